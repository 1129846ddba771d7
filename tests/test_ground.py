"""What outlines measure on the ground, wherever they lie, and what is asked of them first."""

import re

import geopandas as gpd
import numpy as np
import pytest
import shapely

import glacierlab as gl
from glacierlab.errors import InventoryError, require_outlines
from glacierlab.io.layers import geodesic_area_km2, metric_crs, utm_zone
from glacierlab.outlines.findings import FINDINGS

ACROSS = shapely.Polygon([(179.9, 70), (-179.9, 70), (-179.9, 70.1), (179.9, 70.1)])
BEYOND = shapely.box(179.9, 70, 180.1, 70.1)
SPLIT = shapely.MultiPolygon([shapely.box(179.9, 70, 180, 70.1), shapely.box(-180, 70, -179.9, 70.1)])
ELSEWHERE = shapely.box(10, 70, 10.2, 70.1)


@pytest.mark.parametrize(
    ("across", "crs"),
    [
        (ACROSS, "EPSG:4326"),
        (BEYOND, "EPSG:4326"),
        (SPLIT, "EPSG:4326"),
        (BEYOND, "EPSG:3413"),
        (SPLIT, "EPSG:3413"),
    ],
    ids=["jumps", "goes on", "split", "goes on, polar", "split, polar"],
)
def test_an_area_is_the_same_across_180_degrees(across, crs):
    areas = geodesic_area_km2(gpd.GeoSeries([across], crs="EPSG:4326").to_crs(crs))
    expected = geodesic_area_km2(gpd.GeoSeries([ELSEWHERE], crs="EPSG:4326"))
    np.testing.assert_allclose(areas, expected, rtol=2e-6)  # a middle vertex bends the geodesic


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031"])
def test_an_area_around_a_pole(crs):
    side = 100_000
    square = gpd.GeoSeries([shapely.box(-side, -side, side, side)], crs=crs)
    hole = square.difference(shapely.box(-side / 2, -side / 2, side / 2, side / 2))
    equal_area = {"EPSG:3413": "EPSG:6931", "EPSG:3031": "EPSG:6932"}[crs]
    for shape in (square, hole):
        dense = shape.segmentize(1000)
        expected = dense.to_crs(equal_area).area / 1e6
        np.testing.assert_allclose(geodesic_area_km2(dense), expected, rtol=1e-5)


def test_holes_and_parts_are_told_apart_whatever_their_orientation():
    shell, hole = shapely.box(10, 45, 10.1, 45.1), shapely.box(10.02, 45.02, 10.05, 45.05)
    for turn in (shapely.Polygon(shell.exterior.coords[::-1], [hole.exterior.coords[::-1]]), shell - hole):
        both = gpd.GeoSeries(
            [turn, shell, hole, shapely.MultiPolygon([turn, shapely.box(11, 45, 11.1, 45.1)])], crs=4326
        )
        holed, whole, inside, parts = geodesic_area_km2(both)
        assert holed == pytest.approx(whole - inside)
        assert parts == pytest.approx(holed + whole)


def test_an_area_without_a_shape_is_missing_and_of_an_empty_one_nought():
    areas = geodesic_area_km2(gpd.GeoSeries([None, shapely.Polygon(), ACROSS], crs="EPSG:4326"))
    assert np.isnan(areas[0])
    assert areas[1] == 0
    assert areas[2] == pytest.approx(85.0, abs=0.01)


@pytest.mark.parametrize(
    ("place", "crs"),
    [
        ((86.9, 27.9), "EPSG:32645"),
        ((-73.1, -46.6), "EPSG:32718"),
        ((-180.0, 10.0), "EPSG:32601"),
        ((180.0, 10.0), "EPSG:32601"),
        ((20.0, 86.0), "EPSG:32661"),
        ((20.0, -85.0), "EPSG:32761"),
    ],
)
def test_meters_for_a_place(place, crs):
    assert metric_crs(*place) == crs


def test_zones_are_six_degrees_wide():
    assert [utm_zone(longitude) for longitude in (-180, -174.1, -174, 0, 179.9)] == [1, 1, 2, 31, 60]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, "needs outlines .a GeoDataFrame., and this is NoneType"),
        (gpd.GeoDataFrame(geometry=[ELSEWHERE]), "needs a CRS"),
        (gpd.GeoDataFrame(geometry=[ELSEWHERE, shapely.Point(0, 0)], crs=4326), "row 1: Point"),
        (gpd.GeoDataFrame(geometry=[shapely.Polygon()], crs=4326), "row 0: empty"),
    ],
)
def test_what_is_no_outline_is_told(table, told):
    with pytest.raises(InventoryError, match=told):
        require_outlines(table, "this")


@pytest.mark.parametrize(
    ("shape", "crs", "name"),
    [
        (shapely.box(10.7, 46.7, 10.8, 46.8), "EPSG:32632", "degrees_as_meters"),
        (shapely.box(6e5, 52e5, 601e3, 5201e3), "EPSG:4326", "meters_as_degrees"),
        (shapely.box(46.7, 100.7, 46.8, 100.8), "EPSG:4326", "meters_as_degrees"),  # the axes swapped
    ],
)
def test_coordinates_of_another_crs_are_told_as_qa_tells_them(shape, crs, name):
    table = gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[shape], crs=crs)
    assert name in set(gl.qa(table).finding)
    with pytest.raises(InventoryError, match=re.escape(FINDINGS[name].advice)):
        require_outlines(table, "this")
    for measure in (gl.area_series, gl.area_uncertainty, lambda rows: gl.area_change(rows, rows)):
        with pytest.raises(InventoryError, match=re.escape(FINDINGS[name].advice)):
            measure(table.assign(src_date="2000"))
