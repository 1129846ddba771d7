"""Repairs of an inventory: what was done is said, the rest is as it was."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from inventories import AWAY, RIGHT, UTM, X, Y, good, measured, put, shaped

import glacierlab as gl


def repaired(table, **options):
    return gl.outlines.qa(table, repair=True, **options)


def box(x, y, width, height):
    return shapely.box(X + x, Y + y, X + x + width, Y + y + height)


def test_a_good_inventory_stays_as_it_is():
    table = good()
    again, found = repaired(table)
    assert found.empty
    assert "done" in found
    assert again is not table
    assert_geodataframe_equal(again, table)


def test_the_table_given_is_not_touched():
    table = shaped(box(1900, 0, 500, 500))
    before = table.copy()
    repaired(table)
    assert_geodataframe_equal(table, before)


def test_bow_tie_becomes_two_triangles():
    x, y = X + 5000, Y
    bow_tie = shapely.Polygon([(x, y), (x + 1000, y + 1000), (x + 1000, y), (x, y + 1000)])
    table, found = repaired(shaped(bow_tie, measure=False))
    assert found.finding.tolist() == ["invalid", "area_differs"]
    assert found.done.tolist() == ["made valid, 2 part(s)", "measured again on the ellipsoid"]
    assert table.geometry[30].is_valid
    assert table.geometry[30].area == pytest.approx(0.5e6)
    assert table.area_km2[30] == pytest.approx(0.5, rel=1e-3)


def test_rows_without_polygons_are_left_out():
    shapes = [
        None,
        shapely.LineString([(X, Y), (X + 9, Y)]),
        shapely.GeometryCollection([AWAY, AWAY.centroid]),
    ]
    table, found = repaired(good().set_geometry(shapes, crs=UTM))
    assert found.finding.tolist() == ["no_geometry", "no_polygon", "no_polygon"]
    assert found.done.tolist() == ["row left out", "row left out", "its polygons kept"]
    assert table.index.tolist() == [30]
    assert table.geometry[30].equals(AWAY)


def test_a_ring_without_area_is_left_out():
    flat = shapely.Polygon([(X, Y), (X + 900, Y), (X + 400, Y)])
    table, found = repaired(shaped(flat, measure=False))
    assert found.done.tolist() == ["nothing was left of it: row left out"]
    assert table.index.tolist() == [10, 20]


def test_across_the_antimeridian():
    across = shapely.Polygon([(179.9, 70), (-179.9, 70), (-179.9, 70.1), (179.9, 70.1)])
    table = gpd.GeoDataFrame({"area_km2": [85.0]}, geometry=[across], crs="EPSG:4326")
    table, found = repaired(table)
    assert found.done.tolist() == ["cut at the 180th meridian"]
    assert sorted((part.bounds for part in table.geometry[0].geoms), reverse=True) == [
        pytest.approx((179.9, 70, 180, 70.1)),
        pytest.approx((-180, 70, -179.9, 70.1)),
    ]
    cap = 6371.0**2 * np.radians(0.2) * (np.sin(np.radians(70.1)) - np.sin(np.radians(70)))  # of a sphere
    assert table.area_km2[0] == pytest.approx(cap, rel=0.01)


def test_small_holes_are_filled_unless_a_glacier_lies_in_them():
    small, large = box(5100, 100, 90, 90), box(5500, 500, 110, 110)
    holed = box(5000, 0, 1000, 1000) - small - large
    table, found = repaired(shaped(holed))
    assert found.done.tolist() == ["1 filled"]
    assert table.geometry[30].equals(box(5000, 0, 1000, 1000) - large)
    assert table.area_km2[30] == pytest.approx(1 - 0.0121, rel=1e-3)
    both = shaped(holed)
    both = measured(both.set_geometry([box(5110, 110, 60, 60), RIGHT, holed], crs=UTM).assign(lmax_m=np.nan))
    table, found = repaired(both)
    assert dict(zip(found.finding, found.done, strict=True)) == {"tiny": "", "small_hole": ""}


def test_doubles_and_overlaps():
    table, found = repaired(shaped(RIGHT))
    assert found[["row", "finding", "done"]].values.tolist() == [[30, "duplicate_geometry", "row left out"]]
    assert table.index.tolist() == [10, 20]
    table, found = repaired(shaped(box(1900, 0, 500, 500)))
    assert found.done.tolist() == ["cut from this one"]
    assert table.geometry[30].equals(box(2000, 0, 400, 500))
    assert table.geometry[20].equals(RIGHT)
    assert table.area_km2[30] == pytest.approx(0.2, rel=1e-3)
    table, found = repaired(shaped(box(1500, 0, 600, 500)))  # five sixths lie in the other
    assert found.done.tolist() == [""]
    assert table.geometry[30].equals(box(1500, 0, 600, 500))


def test_areas_and_dates():
    table, found = repaired(put("area_km2", 96.0))
    assert found.done.tolist() == ["measured again on the ellipsoid"]
    assert table.area_km2.tolist() == pytest.approx(good().area_km2.tolist())
    table, found = repaired(put("src_date", "2020-09-01/2019-09-01"))
    assert found.done.tolist() == ["now 2019-09-01/2020-09-01"]
    assert table.src_date.tolist() == ["2019-08-01", "2019-08-01/2019-09-30", "2019-09-01/2020-09-01"]


def test_what_takes_a_person_is_left():
    worse = put("slope_deg", 70.0).assign(rgi_id="a", src_date="2020")
    table, found = repaired(worse)
    assert found.finding.tolist() == ["duplicate_id", "duplicate_id", "slope_impossible"]
    assert found.done.tolist() == ["", "", ""]
    assert_geodataframe_equal(table, worse)


def test_coordinates_of_another_crs_are_left_to_the_reader():
    wrong = good().set_crs("EPSG:4326", allow_override=True)
    table, found = repaired(wrong)
    assert found.finding.tolist() == ["meters_as_degrees"]
    assert_geodataframe_equal(table, wrong)


def test_nothing_is_left_to_repair():
    rng = np.random.default_rng(7)
    corners = rng.uniform(0, 4000, (12, 2)).round()
    shapes = [box(*corner, 700, 900) - box(*(corner + 300), 80, 90) for corner in corners]
    table = gpd.GeoDataFrame(
        {"rgi_id": range(12), "area_km2": 1.0}, geometry=[*shapes[:-1], shapes[0]], crs=UTM
    )
    once, first = repaired(table)
    assert {"overlap", "small_hole", "duplicate_geometry", "area_differs"} <= set(first.finding)
    again, second = repaired(once)
    # outlines of which more than half lies in another, and holes that others lie in
    assert set(second.finding) <= {"overlap", "small_hole", "sliver", "tiny"}
    assert (second.done == "").all()
    assert again.area_km2.tolist() == pytest.approx(once.area_km2.tolist())


def test_real_outlines(data):
    raw = gpd.read_file(data / "exploradores/17_rgi60_glacier_outlines.gpkg")
    table, found = repaired(raw)
    assert (found.done[found.finding == "invalid"] != "").all()
    assert table.geometry.is_valid.all()
    assert "invalid" not in set(gl.outlines.qa(table).finding)
    pd.testing.assert_index_equal(table.index, raw.index)
