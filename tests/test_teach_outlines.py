"""Lesson 8: that it measures what it says, and verdicts of its exercises."""

from itertools import pairwise

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import GlacierlabError

X, Y = 500_000.0, 5_200_000.0


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


def boxes(*bounds, **columns):
    """Rectangles (west, south, east, north) [m] from a corner."""
    shapes = [shapely.box(X + w, Y + s, X + e, Y + n) for w, s, e, n in bounds]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32632")


# ---- what the lesson measures


def test_misfits_by_hand():
    # two squares of 1 km: one reaches 100 m into the other, or they part by 100 m
    before = boxes((0, 0, 1000, 1000), (1000, 0, 2000, 1000))
    over = teach.misfits(boxes((0, 0, 1100, 1000), (1000, 0, 2000, 1000)), before)
    apart = teach.misfits(boxes((0, 0, 900, 1000), (1000, 0, 2000, 1000)), before)
    assert teach.misfits(before, before).tolist() == pytest.approx([0, 0, 10])
    assert over.tolist() == pytest.approx([0.1, 0, 10])
    assert apart.tolist() == pytest.approx([0, 0.1 * 0.88, 10])  # but for 60 m at both ends


def test_glacier_iou_by_hand():
    true = boxes((0, 0, 1000, 1000), (1000, 0, 4000, 1000))
    assert teach.glacier_iou(true, true) == pytest.approx(1)
    # the small one is found; of the large one the best part is two thirds
    parts = boxes((0, 0, 1000, 1000), (1000, 0, 2000, 1000), (2000, 0, 4000, 1000))
    assert teach.glacier_iou(parts, true) == pytest.approx((1 + 3 * 2 / 3) / 4)
    joined = boxes((0, 0, 4000, 1000))
    assert teach.glacier_iou(joined, true) == pytest.approx((1 * 1 / 4 + 3 * 3 / 4) / 4)
    assert teach.glacier_iou(parts.to_crs("EPSG:4326"), true) == pytest.approx(0.75, abs=1e-3)


@given(st.lists(st.floats(100, 3900), min_size=1, max_size=5, unique=True))
def test_glacier_iou_is_a_share_and_order_does_not_matter(cuts):
    true = boxes((0, 0, 2000, 1000), (2000, 0, 4000, 1000))
    edges = [0, *sorted(cuts), 4000]
    parts = boxes(*((a, 0, b, 1000) for a, b in pairwise(edges)))
    iou = teach.glacier_iou(parts, true)
    assert 0 < iou <= 1 + 1e-12
    assert teach.glacier_iou(parts.iloc[::-1], true.iloc[::-1]) == pytest.approx(iou)


def test_shade_around_is_the_hillshade_of_the_dem_in_meters(tmp_path):
    # a plane that falls 0.5 to the north-west: GDAL's formula, and 255 where it faces the map maker's sun
    side = 400
    y, x = Y + 15 - 30 * np.arange(side), X - 5000 + 30 * np.arange(side)
    heights = 3000 + 0.5 * (x[None, :] - X - (y[:, None] - Y)) / np.sqrt(2)
    dem = xr.DataArray(heights.astype("float32"), {"y": y + 6000, "x": x}, ("y", "x")).rio.write_crs(32632)
    glacier = boxes((0, 0, 1500, 1000))
    expected = 1 + 254 * np.cos(np.radians(45) - np.arctan(0.5))
    path = tmp_path / "dem.tif"
    dem.rio.reproject("EPSG:4326", nodata=np.nan, resampling=Resampling.cubic).rio.to_raster(path)
    for given_, tolerance in ((dem, 1), (path, 3)):
        shade = teach.shade_around(glacier, given_, margin_m=600)
        assert shade.rio.crs.to_epsg() == 32632
        left, bottom, right, top = shade.rio.bounds(recalc=True)
        assert (left, bottom) == pytest.approx((X - 600, Y - 600), abs=45)
        assert (right, top) == pytest.approx((X + 2100, Y + 1600), abs=45)
        inner = shade.isel(feature=0, y=slice(2, -2), x=slice(2, -2))
        assert float(abs(inner - expected).max()) < tolerance


# ---- an inventory with mistakes


@pytest.fixture(scope="module")
def inventory():
    """Glaciers of a made world with all attributes, and their DEM."""
    world = gl.synthetic_world(97, (2020,), (480, 480), latitude=47.0)
    dem = world.truth().elevation
    inside = dem.isel(y=slice(20, -20), x=slice(20, -20)).rio.bounds(recalc=True)
    ice = world.outlines().clip(inside, keep_geom_type=True)
    ice = ice[ice.area > 1e5].sort_values("area_km2", ascending=False, ignore_index=True)
    ice = gpd.GeoDataFrame({"src_date": "2020-09-15"}, geometry=ice.geometry, index=ice.index)
    return gl.attributes(ice, dem), dem


def test_each_mistake_is_found_and_what_was_right_is_not(inventory):
    glaciers, dem = inventory
    assert len(glaciers) >= 9
    allowed = {"small_hole", "sliver"}
    before = gl.qa(glaciers, dem=dem)
    assert set(before.finding) <= allowed
    worse = teach.spoiled(glaciers)
    found = gl.qa(worse, dem=dem, by="glac_id")
    found = found[~found.finding.isin(["small_hole"])]
    of = found.groupby("finding").row.agg(set)
    last = len(worse) - 1
    assert {name: rows for name, rows in of.items() if name in {
        "invalid", "slope_impossible", "elevations_out_of_order", "off_dem", "date_reversed",
        "duplicate_geometry", "tiny",
    }} == {
        "invalid": {1}, "slope_impossible": {3}, "elevations_out_of_order": {4}, "off_dem": {5},
        "date_reversed": {7}, "duplicate_geometry": {last}, "tiny": {last - 1},
    }  # fmt: skip
    assert 6 in of["area_differs"]
    assert last - 1 in of["sliver"]
    assert "overlap" in of


def test_what_can_be_repaired_is_and_the_rest_waits_for_a_person(inventory):
    glaciers, dem = inventory
    mended, findings = gl.qa(teach.spoiled(glaciers), dem=dem, by="glac_id", repair=True)
    left = gl.qa(mended, dem=dem, by="glac_id")
    undone = set(findings.finding[findings.done == ""])
    assert undone >= {"tiny", "sliver", "off_dem", "elevations_out_of_order", "slope_impossible"}
    assert set(left.finding) <= undone
    assert gl.teach.check("08.4", sorted(undone), findings)


def test_spoiled_leaves_the_given_inventory_alone(inventory):
    glaciers, _ = inventory
    kept = glaciers.copy()
    teach.spoiled(glaciers)
    pd.testing.assert_frame_equal(pd.DataFrame(glaciers), pd.DataFrame(kept))


def test_too_few_glaciers_to_spoil(inventory):
    with pytest.raises(GlacierlabError, match="9 glaciers at least, and these are 8"):
        teach.spoiled(inventory[0].head(8))


# ---- verdicts


@pytest.fixture(scope="module")
def rough_and_truth():
    """A block of 20 x 20 pixels with a thread of one pixel beside it, and specks all over."""
    truth = np.zeros((60, 60), "uint8")
    truth[20:40, 20:40] = 1
    rough = truth.copy()
    rough[30, 40:55] = 1
    rough[::4, ::4] = 1
    coords = {"y": Y - 30.0 * np.arange(60), "x": X + 30.0 * np.arange(60)}
    grid = lambda values: xr.DataArray(values, coords, ("y", "x")).rio.write_crs("EPSG:32632")
    return grid(rough), grid(truth)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (5, "Right. IoU is 1.000 with a window of 5, and no other does better."),
        (np.int64(7), "Right."),
        (0, "Not yet. IoU is 0."),
        (25, "Not yet. IoU is 0.000 with a window of 25, and 1.000 is possible. So wide a square"),
        (4, "Not yet. A window of 4 pixels has no middle pixel"),
        (2.5, "Not yet. A window is a whole odd number"),
        (-3, "Not yet. A window is a whole odd number"),
        ("five", "Not yet. A window is a whole odd number"),
    ],
)
def test_clean_window(answer, expected, rough_and_truth):
    assert said("08.1", answer, *rough_and_truth).startswith(expected)


HALVES = ((0, 0, 2000, 1000), (2000, 0, 4000, 1000))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (boxes(*HALVES), "Right. IoU with the true glaciers is 1.000 with your 2 glaciers, and 0.817 with"),
        (boxes(*HALVES).to_crs("EPSG:4326"), "Right."),
        (
            boxes((0, 0, 1600, 1000), (1600, 0, 4000, 1000)).iloc[::-1],
            "Not yet. IoU is 0.817 with yours, just as",
        ),
        (boxes((0, 0, 4000, 1000)), "Not yet. IoU is 0.500 with your 1 glaciers, and 0.817"),
        (boxes((0, 0, 2000, 1000)), "Not yet. These cover 2.00 km², and the mapped ice 4.00 km²."),
        (2, "Not yet. Give glaciers, a GeoDataFrame"),
    ],
)
def test_better_divides(answer, expected):
    # by hand: of the lesson's, 1.6 of 2 km² are one true glacier, and 2 of 2.4 km² the other
    lesson = boxes((0, 0, 1600, 1000), (1600, 0, 4000, 1000))
    assert said("08.2", answer, lesson, boxes(*HALVES)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (4.1, "Right. 4.10 km² lie below 2,900 m, 41 % of the ice"),
        (np.float64(4.12), "Right."),
        (5.9, "Not yet. 5.90 km² lie above 2,900 m."),
        (4.5, "Not yet. 4.50 km² would it be if all glaciers were alike."),
        (0.41, "Not yet. 0.410 is the share. Asked are km², of 10.00 in all."),
        (41, "Not yet. 41.0 is the percentage."),
        (900, "Not yet. 900 are thousandths, added up over glaciers."),
        (3, "Not yet. 3.00 is not it. Take the bands whose middle lies below 2,900 m"),
        (None, "Not yet. Give one number, in km²."),
    ],
)
def test_area_below(answer, expected):
    # by hand: 0.4 of 9 km² and 0.5 of 1 km² lie below: 3.6 + 0.5
    table = pd.DataFrame({"rgi_id": ["a", "b"], "area_km2": [9.0, 1.0],
                          2825: [100, 300], 2875: [300, 200], 2925: [600, 500]})  # fmt: skip
    assert said("08.3", answer, table, 2900).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["sliver", "off_dem"], "Right. Just these: off_dem, sliver."),
        ({"off_dem", "sliver"}, "Right."),
        (np.array(["off_dem", "sliver"]), "Right."),
        (["sliver"], "Not yet. 1 right, and 1 missing."),
        ([], "Not yet. 0 right, and 2 missing."),
        (["sliver", "invalid"], "Not yet. Something was done about invalid: read the column done."),
        (["slivers"], "Not yet. No finding is called slivers."),
        ("sliver", "Not yet. Give names in brackets"),
        (3, "Not yet. Give names in brackets"),
    ],
)
def test_needs_a_person(answer, expected):
    findings = pd.DataFrame({"finding": ["invalid", "sliver", "off_dem"], "done": ["made valid", "", ""]})
    assert said("08.4", answer, findings).startswith(expected)
