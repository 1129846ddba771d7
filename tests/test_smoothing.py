"""Smoothed outlines: no gaps, no overlaps, areas kept; from class maps and from anywhere."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from masks import mask_of
from pyproj import CRS
from rasterio.features import shapes

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, InventoryError
from glacierlab.io.layers import geodesic_area_km2
from glacierlab.outlines import measuring
from glacierlab.outlines._kernels import curves
from glacierlab.outlines.curving import chaikin_weights

CODES = arrays(np.uint8, st.tuples(st.integers(2, 8), st.integers(2, 8)), elements=st.integers(0, 3))


@pytest.fixture(scope="module")
def patches():
    """A class map of patches that touch: three classes, seed 4."""
    return mask_of(np.random.default_rng(4).integers(0, 4, (30, 30)).repeat(3, 0).repeat(3, 1))


def require_coverage(outlines):
    """Valid, and neighbors share their borders vertex by vertex."""
    assert outlines.is_valid.all()
    assert len(outlines) == 0 or shapely.coverage_is_valid(np.asarray(outlines.geometry))


# ---- the curve


@pytest.mark.parametrize(("rounds", "share"), [*enumerate([1, 0.875, 0.84375, 0.8359375, 0.833984375])])
def test_chaikin_of_a_square(rounds, share):
    # areas of science/outlines.md, section 4; the limit is 5/6
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    out = np.empty((100, 2))
    count = curves.chaikin(square, True, chaikin_weights(rounds), np.inf, out)
    assert count == 4 * 2**rounds + 1
    assert shapely.Polygon(out[:count]).area == pytest.approx(share, abs=1e-12)


def test_chaikin_by_its_rule():
    # q = 3/4 p + 1/4 p', r = 1/4 p + 3/4 p' along a path whose ends stay
    path = np.array([[0.0, 0], [4, 0], [4, 8], [0, 8]])
    out = np.empty((20, 2))
    count = curves.chaikin(path, False, chaikin_weights(1), np.inf, out)
    assert out[:count].tolist() == [[0, 0], [3, 0], [4, 2], [4, 6], [3, 8], [0, 8]]


@pytest.mark.parametrize("reach", [0.1, 0.5])
def test_corners_are_rounded_no_farther_than_told(reach):
    square = np.array([[0.0, 0], [50, 0], [50, 50], [0, 50], [0, 0]])
    out = np.empty((200, 2))
    count = curves.chaikin(square, True, chaikin_weights(5), reach, out)
    distance = shapely.hausdorff_distance(shapely.Polygon(square), shapely.Polygon(out[:count]))
    assert distance == pytest.approx(reach, rel=0.01)


def test_simplified_as_by_geos():
    rng = np.random.default_rng(0)
    path = np.stack([np.arange(200.0), rng.normal(0, 1, 200).cumsum()], axis=1)
    expected = shapely.get_coordinates(shapely.simplify(shapely.LineString(path[1:-1]), 0.8))
    stack, keep = np.empty(1000, np.int64), np.empty(200, bool)
    count = curves.simplify(path, False, 0.8, stack, keep)
    np.testing.assert_array_equal(path[1 : count - 1], expected)


# ---- class maps


@given(CODES)
def test_no_gaps_no_overlaps_and_areas_kept(codes):
    sharp, smooth = gl.vectorize(mask_of(codes)), gl.vectorize(mask_of(codes), smooth=2)
    require_coverage(sharp)
    require_coverage(smooth)
    np.testing.assert_allclose(smooth.area, smooth.pixels * 900, rtol=1e-6)
    np.testing.assert_allclose(smooth.area_km2, sharp.area_km2, rtol=1e-6)
    if len(smooth):
        union = smooth.union_all()  # moves at the outer border alone, by less than a pixel and a half
        assert union.area == pytest.approx(sharp.union_all().area, rel=1e-6)
        off = union.symmetric_difference(sharp.union_all())
        assert off.difference(sharp.union_all().boundary.buffer(45)).is_empty
        inside = gpd.points_from_xy(smooth.cenlon, smooth.cenlat, crs=4326).to_crs(smooth.crs)
        assert shapely.contains(np.asarray(smooth.geometry), np.asarray(inside)).all()


def test_all_of_a_map_is_smoothed(patches):
    smooth = gl.vectorize(patches, smooth=2)
    require_coverage(smooth)
    assert smooth.smoothed.all()
    assert smooth.area.sum() == pytest.approx(gl.vectorize(patches).area.sum(), rel=1e-9)


def test_a_straight_border_of_steps_becomes_straight():
    y, x = np.mgrid[:60, :90]
    smooth = gl.vectorize(mask_of(y > x / 3), smooth=2)
    points = shapely.get_coordinates(smooth.geometry) / 30
    border = points[(points[:, 0] > 20_002) & (points[:, 0] < 20_085) & (points[:, 1] > 173_275)]
    slope, offset = np.polyfit(*border.T, 1)
    assert slope == pytest.approx(-1 / 3, abs=0.01)
    assert abs(border @ [-slope, 1] - offset).max() < 0.5  # steps are a pixel high


def test_a_pixel_becomes_round():
    smooth = gl.vectorize(mask_of(np.pad([[1]], 3)), smooth=3)
    assert smooth.area[0] == pytest.approx(900)
    compactness = 4 * np.pi * smooth.area[0] / smooth.length[0] ** 2  # of a square 0.785, of a circle 1
    assert compactness > 0.97


def test_lines_stay_within_about_a_pixel(patches):
    sharp, smooth = gl.vectorize(patches), gl.vectorize(patches, smooth=2)
    assert shapely.hausdorff_distance(sharp.geometry.values, smooth.geometry.values).max() < 1.25 * 30


@pytest.mark.parametrize(
    ("rounds", "tolerance"), [(-1, 0.5), (2.5, 0.5), (9, 0.5), (2, 0), (2, 0.6), (2, np.nan)]
)
def test_odd_settings_are_refused(rounds, tolerance):
    with pytest.raises(GlacierlabError, match=r"rounds|tolerance"):
        gl.vectorize(mask_of([[1, 0]] * 2), smooth=rounds, tolerance=tolerance)


# ---- outlines from anywhere


@settings(max_examples=25)
@given(CODES)
def test_outlines_smoothed_afterwards_are_a_coverage_too(codes):
    sharp = gl.vectorize(mask_of(codes))
    smooth = gl.outlines.smooth(sharp)
    require_coverage(smooth)
    assert smooth.smoothed.all()
    np.testing.assert_allclose(smooth.area, sharp.area, rtol=1e-6)


def test_in_degrees_as_in_meters(patches):
    sharp = gl.vectorize(patches)
    smooth = gl.outlines.smooth(sharp.to_crs("EPSG:4326"))
    assert smooth.crs == "EPSG:4326"
    require_coverage(smooth)
    np.testing.assert_allclose(smooth.area_km2, sharp.area_km2, rtol=1e-4)
    there = gl.outlines.smooth(sharp)
    apart = shapely.hausdorff_distance(smooth.to_crs(sharp.crs).geometry.values, there.geometry.values)
    assert apart.max() < 30


def test_polygons_of_gdal_which_share_no_vertices_where_three_meet(patches):
    found = shapes(patches.values, mask=patches.values > 0, transform=patches.rio.transform())
    raw = gpd.GeoDataFrame(geometry=[shapely.geometry.shape(each) for each, _ in found], crs=patches.rio.crs)
    assert not shapely.coverage_is_valid(raw.geometry.values)
    smooth = gl.outlines.smooth(raw, pixel_m=30)
    require_coverage(smooth)
    np.testing.assert_allclose(smooth.area, raw.area, rtol=1e-6)


def test_rows_columns_and_index_stay(patches):
    sharp = gl.vectorize(patches).assign(rgi_id="x").set_index(np.arange(len(gl.vectorize(patches))) + 7)
    smooth = gl.outlines.smooth(sharp)
    assert smooth.index.equals(sharp.index)
    assert smooth.columns.tolist() == [*sharp.columns, "smoothed"]
    assert smooth.crs == sharp.crs


def test_every_round_doubles_the_points(patches):
    sharp = gl.vectorize(patches)
    none, one, two = (gl.outlines.smooth(sharp, rounds=rounds) for rounds in range(3))
    points = [len(shapely.get_coordinates(each.geometry)) for each in (none, one, two)]
    assert points[0] < points[1] < points[2] < 2.1 * points[1]


def test_self_crossing_outline_stays_and_is_said():
    tie = shapely.Polygon([(0, 0), (300, 300), (300, 0), (0, 300)])
    rows = gpd.GeoDataFrame(geometry=[tie, shapely.box(600, 0, 900, 300)], crs="EPSG:32632")
    with pytest.warns(DataWarning, match=r"1 of 2 outlines are invalid or overlap.*row 0.*outlines\.qa"):
        smooth = gl.outlines.smooth(rows, pixel_m=30)
    assert smooth.smoothed.tolist() == [False, True]
    assert smooth.geometry[0].equals(tie) or smooth.geometry[0].normalize() == tie.normalize()
    assert smooth.area[1] == pytest.approx(300 * 300)


def test_overlapping_outlines_stay_where_they_cross():
    rows = gpd.GeoDataFrame(
        geometry=[shapely.box(0, 0, 300, 300), shapely.box(150, 150, 450, 450)], crs="EPSG:32632"
    )
    with pytest.warns(DataWarning, match="2 of 2"):
        smooth = gl.outlines.smooth(rows, pixel_m=30)
    assert not smooth.smoothed.any()
    assert smooth.geometry.geom_equals(rows.geometry).all()


def test_an_island_smaller_than_the_pixel_is_not_stepped_over():
    # the bay is shallower than the tolerance, and the island lies in it
    land = shapely.Polygon([(0, 0), (300, 20), (600, 0), (600, 300), (0, 300)])
    rows = gpd.GeoDataFrame(geometry=[land, shapely.box(299, 10, 301, 12)], crs="EPSG:32632")
    smooth = gl.outlines.smooth(rows, pixel_m=60)
    require_coverage(smooth)
    assert smooth.geometry[0].intersection(smooth.geometry[1]).area == 0
    np.testing.assert_allclose(smooth.area, rows.area, rtol=1e-6)


def test_antimeridian():
    west, east = shapely.box(179.9, 70, 180, 70.05), shapely.box(-180, 70, -179.9, 70.05)
    beyond = shapely.box(179.9, 71, 180.1, 71.05)
    rows = gpd.GeoDataFrame(geometry=[west, east, beyond], crs="EPSG:4326")
    smooth = gl.outlines.smooth(rows, pixel_m=100)
    np.testing.assert_allclose(
        geodesic_area_km2(smooth.geometry), geodesic_area_km2(rows.geometry), rtol=1e-3
    )
    at = [
        points[np.abs(points[:, 0]) == 180, 1] for points in map(shapely.get_coordinates, smooth.geometry[:2])
    ]
    assert set(at[0]) == set(at[1]) == {70, 70.05}  # the cut stays, so that its sides meet
    assert smooth.total_bounds[2] == pytest.approx(180.1, abs=0.01)
    jump = shapely.Polygon([(179.9, 70), (-179.9, 70), (-179.9, 70.1), (179.9, 70.1)])
    with pytest.raises(InventoryError, match=r"jump across the antimeridian, the first in row 0"):
        gl.outlines.smooth(gpd.GeoDataFrame(geometry=[jump], crs="EPSG:4326"), pixel_m=100)


def test_at_the_pole():
    cap = shapely.Point(0, 0).buffer(20_000, quad_segs=4).difference(shapely.box(0, 0, 5000, 5000))
    rows = gpd.GeoDataFrame(geometry=[cap], crs="EPSG:32761")
    smooth = gl.outlines.smooth(rows, pixel_m=300)
    assert smooth.smoothed.all()
    assert smooth.area[0] == pytest.approx(cap.area, rel=1e-9)


def test_feet_are_not_taken_for_meters():
    crs = CRS.from_user_input("EPSG:2263")  # US survey feet
    rows = gpd.GeoDataFrame(geometry=[shapely.box(1e6, 2e5, 1.001e6, 2.01e5)], crs=crs)
    there = gl.outlines.smooth(rows, pixel_m=30).geometry[0]
    apart = shapely.hausdorff_distance(there, rows.geometry[0])
    assert 0.2 * 30 / 0.3048 < apart < 30 / 0.3048


def test_real_outlines_in_degrees(data):
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    smooth = gl.outlines.smooth(glaciers, pixel_m=10)
    assert smooth.is_valid.all()
    np.testing.assert_allclose(smooth.area_km2, glaciers.area_km2, rtol=1e-5)


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        (gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)]), "needs a CRS"),
        (gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs="EPSG:32632"), "Point"),
        (gpd.GeoDataFrame(geometry=[shapely.Polygon()], crs="EPSG:32632"), "empty"),
        (
            gpd.GeoDataFrame(geometry=[shapely.box(500, 500, 500 + 1e-4, 500 + 1e-4)], crs="EPSG:32632"),
            "thousandth of a pixel",
        ),
    ],
)
def test_no_outlines(outlines, message):
    with pytest.raises(InventoryError, match=message):
        gl.outlines.smooth(outlines, pixel_m=30)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32632"])
def test_afterwards_as_at_once_whatever_the_crs_makes_of_a_meter(crs):
    disk = mask_of(np.hypot(*np.ogrid[-20:21, -20:21]) < 18)
    disk = disk.assign_coords(y=disk.y + 8e6).rio.write_crs(crs)  # 60° N, where Mercator doubles lengths
    at_once, afterwards = gl.vectorize(disk, smooth=2), gl.outlines.smooth(gl.vectorize(disk))
    assert afterwards.geometry[0].hausdorff_distance(at_once.geometry[0]) < 1


def test_pixels_must_be_known():
    outlines = gpd.GeoDataFrame(geometry=[shapely.box(500, 500, 590, 590)], crs="EPSG:32632")
    with pytest.raises(InventoryError, match="pixel_m, such as 30"):
        gl.outlines.smooth(outlines)
    with pytest.raises(GlacierlabError, match="more than 0 m"):
        gl.outlines.smooth(outlines, pixel_m=-30)
    assert gl.outlines.smooth(outlines[:0], pixel_m=30).smoothed.tolist() == []


# ---- areas of many at once


@pytest.mark.parametrize("latitude", [-85, -40, 0, 47, 80])
@pytest.mark.parametrize("size", [1e-3, 0.3])
def test_areas_as_by_karney(latitude, size):
    ring = shapely.Point(179.9, latitude).buffer(size, 32)
    outlines = gpd.GeoSeries(
        [ring.difference(shapely.Point(179.9, latitude).buffer(size / 3)), ring], crs=4326
    )
    np.testing.assert_allclose(measuring.areas_km2(outlines), geodesic_area_km2(outlines), rtol=1e-8)


def test_radius_of_the_sphere_of_equal_area():
    assert measuring.authalic_radius_m() == pytest.approx(6_371_007.181, abs=0.001)  # as it is commonly given


@pytest.mark.parametrize(
    ("crs", "corner", "pixel"),
    [
        ("EPSG:4326", (10.7, 46.8), 0.0003),
        ("EPSG:4326", (179.99, -78), 0.001),
        ("EPSG:3031", (-3000, 3000), 30),
        ("EPSG:3413", (-200_000, -2_000_000), 100),
        ("EPSG:2263", (1e6, 2e5), 100),
    ],
    ids=["degrees", "antimeridian", "pole", "Greenland", "feet"],
)
def test_areas_of_pixels_in_any_crs(crs, corner, pixel):
    codes = np.random.default_rng(0).integers(0, 2, (50, 70))
    codes[20:26, 20:30] = 0  # no polygon goes round a pole that lies here
    mask = mask_of(codes, crs=None)
    x, y = (
        start + step * pixel * (np.arange(n) + 0.5)
        for start, step, n in zip(corner, (1, -1), (70, 50), strict=True)
    )
    outlines = gl.vectorize(mask.assign_coords(x=x, y=y).rio.write_crs(crs))
    expected = geodesic_area_km2(outlines.geometry)
    small = outlines.pixels < 200
    np.testing.assert_allclose(outlines.area_km2[small], expected[small], rtol=1e-6)
