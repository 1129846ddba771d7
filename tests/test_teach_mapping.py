"""Lesson 7: that it measures what it says, and verdicts of its exercises."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import GlacierlabError


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


def prediction_of(values, tile, overlap=0, blend="none"):
    """A prediction of probabilities (class, y, x) by hand."""
    told = dict(tile=tile, overlap=overlap, blend=blend)
    return xr.Dataset({"probability": (("class", "y", "x"), np.asarray(values, dtype="float32"))}, attrs=told)


# ---- seams


def test_seams_are_means_by_hand():
    # 8 x 8 pixels, four tiles: from left to right steps of 0.1, and of 0.5 where tiles meet; none downwards
    row = [0, 0.1, 0.2, 0.3, 0.8, 0.9, 1.0, 1.1]
    found = teach.seams(prediction_of(np.broadcast_to(row, (1, 8, 8)), 4))
    assert found.to_dict() == pytest.approx(dict(tiles=4, at_borders=0.25, elsewhere=0.05, ratio=5))


def test_the_class_whose_step_is_largest_counts_and_what_is_not_observed_does_not():
    values = np.zeros((2, 4, 8))
    values[1, :, 4:] = 0.4
    values[:, 3] = np.nan
    assert teach.seams(prediction_of(values, 4))["at_borders"] == pytest.approx(0.4)


def test_one_tile_has_no_seam():
    assert np.isnan(teach.seams(prediction_of(np.random.default_rng(0).random((2, 5, 7)), 8))["ratio"])


@given(st.integers(8, 40), st.integers(8, 40), st.integers(2, 8), st.data())
def test_a_border_is_where_the_tiles_over_a_pixel_change(height, width, tile, data):
    overlap = data.draw(st.integers(0, tile - 1))
    starts = [sorted({*range(0, side - tile + 1, tile - overlap), side - tile}) for side in (height, width)]
    under = [[{s for s in each if s <= k < s + tile} for k in range(side)]
             for each, side in zip(starts, (height, width), strict=True)]  # fmt: skip
    rows, columns = (np.cumsum([0, *(a != b for a, b in pairwise(u))]) for u in under)
    values = np.add.outer(rows, columns)[None] / 100  # one step a border, nothing elsewhere
    found = teach.seams(prediction_of(values, tile, overlap))
    assert found["elsewhere"] == pytest.approx(0) or np.isnan(found["elsewhere"])
    assert found["at_borders"] == pytest.approx(0.01, rel=1e-4) or len(starts[0]) * len(starts[1]) == 1
    assert found["tiles"] == len(starts[0]) * len(starts[1])


@pytest.fixture(scope="module")
def mapped():
    """The world of the lesson, smaller: its scene, its truth, and a function that maps it."""
    pytest.importorskip("torch")
    world = gl.synthetic_world(60, (2020,), (288, 288), latitude=28.0)
    scene = world.scene(2020, sensor="landsat-8")
    how = dict(tile=96, precision="float32", progress=False)
    return lambda **options: scene.drop_vars("truth").glacier.predict("default", **how | options), scene.truth


def test_tiles_side_by_side_have_seams_and_blended_ones_do_not(mapped):
    predict, _ = mapped
    assert teach.seams(predict(blend="none"))["ratio"] > 2
    assert teach.seams(predict(overlap=16))["ratio"] < 1.2


# ---- doubt


def grid(values):
    return xr.DataArray(np.atleast_2d(values), dims=("y", "x"))


def test_review_finds_errors_in_the_order_of_doubt_by_hand():
    curve = teach.review_curve(grid([0.9, 0.1, 0.5, 0.3, np.nan]), grid([True, False, False, True, True]))
    assert curve.loc[[0, 0.25, 0.5, 0.75, 1]].tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.loc[0.125] == 0.25  # between pixels


def test_doubt_that_knows_nothing_finds_what_was_looked_at():
    curve = teach.review_curve(grid([0.5] * 8), grid([True, False] * 4))
    np.testing.assert_allclose(curve, curve.index, atol=1e-12)


def test_review_is_the_gain_that_scikit_learn_knows():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    doubt = rng.integers(0, 50, 2000) / 50  # with ties
    wrong = rng.random(2000) < 0.3 * doubt
    off, found, _ = metrics.roc_curve(wrong, doubt, drop_intermediate=False)
    looked = found * wrong.mean() + off * (1 - wrong.mean())
    curve = teach.review_curve(grid(doubt), grid(wrong))
    np.testing.assert_allclose(curve, np.interp(curve.index, looked, found), atol=1e-12)


def test_in_a_made_world_doubt_points_to_errors(mapped):
    predict, truth = mapped
    found = predict(uncertainty=["entropy"])
    curve = teach.review_curve(found.entropy, found.class_map != truth)
    assert curve.loc[0.1] > 0.7
    assert curve.is_monotonic_increasing
    assert (curve.iloc[0], curve.iloc[-1]) == (0, 1)


# ---- large scenes


def test_memory_is_watched_while_a_function_works():
    found, megabytes = teach.peak_memory(
        lambda size, fill: np.full(size, fill, "uint8").sum(), 300_000_000, fill=1
    )
    assert found == 300_000_000
    assert 290 < megabytes < 600


def test_memory_of_a_function_that_fails():
    with pytest.raises(ZeroDivisionError):
        teach.peak_memory(lambda: 1 / 0)


def test_a_repeated_scene_is_lazy_and_the_same_again_and_again(made, tmp_path):
    large = teach.repeated(made[["red", "nir"]], 3, 2)
    assert dict(large.sizes) == {"y": 480, "x": 400}
    assert large.red.chunks is not None
    np.testing.assert_array_equal(large.red, np.tile(made.red, (3, 2)))
    assert large.attrs == made.attrs
    first = large.isel(y=slice(160), x=slice(200)).compute()
    xr.testing.assert_allclose(first, made[["red", "nir"]], rtol=1e-12)
    again = gl.open_scene(gl.write_raster(large, tmp_path / "large.tif"))
    assert again.rio.crs == made.rio.crs
    np.testing.assert_array_equal(again.nir, large.nir)


@pytest.mark.slow
def test_a_killed_job_leaves_rows_and_no_map_and_the_same_call_goes_on(made, tmp_path):
    pytest.importorskip("torch")
    bands = ["blue", "green", "red", "nir", "swir16", "swir22"]
    path = gl.write_raster(teach.repeated(made[bands], 16, 1), tmp_path / "large.tif")  # five rows of blocks
    how = dict(tta=["identity", "hflip"], precision="float32", progress=False)
    out = tmp_path / "map.zarr"
    rows = teach.killed_job(path, "default", out, 1, **how)
    assert 1 <= rows < 5
    assert not out.exists()
    scene = gl.open_scene(path, chunks=512)
    with pytest.raises(GlacierlabError, match="holds a map of another overlap"):
        gl.predict(scene, "default", out=out, **how | dict(overlap=48))
    found = gl.predict(scene, "default", out=out, **how)
    whole = gl.predict(scene, "default", **how)
    np.testing.assert_array_equal(found.probability, whole.probability)


def test_a_job_that_ends_before_the_kill_says_why(tmp_path):
    with pytest.raises(GlacierlabError, match=r"map\.zarr ended by itself: .*none\.tif"):
        teach.killed_job(tmp_path / "none.tif", "default", tmp_path / "map.zarr", 1)


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.3, "Right. 0.3000, 2.0 times the step between neighbors anywhere (0.1500)."),
        (np.float32(0.3), "Right."),
        (0.301, "Not yet. 0.3010 is not it"),
        (0.15, "Not yet. 0.1500 is the mean over all columns. Asked are those where one tile ends"),
        (0.1, "Not yet. 0.1000 is a mean in which up and down cancel."),
        (
            0.05,
            "Not yet. 0.0500 is the step just beside the borders. The first tile holds the columns 0 to 1, t",
        ),
        (0.7, "Not yet. 0.7000 is not it. From column 1 to column 2 is the first border, and there are 3;"),
        ("large", "Not yet. Give one number"),
        (None, "Not yet. Give one number"),
    ],
)
def test_border_step(answer, expected):
    # by hand: the borders are the 2nd, 4th and 6th step; the mean of all is 1.05 / 7
    p = np.cumsum([0, 0, 0.3, 0, -0.3, 0.1, 0.3, -0.05]) + np.zeros((5, 1))
    assert said("07.1", answer, p, 2).startswith(expected)


def test_the_step_of_the_other_axis_is_told_from_the_right_one():
    """In the world of the lesson they differ by less than a thousandth."""
    p = np.add.outer(np.arange(6) // 2 * 0.3001, np.arange(8) // 2 * 0.3)
    assert said("07.1", 0.3, p, 2).startswith("Right.")
    assert said("07.1", 0.3001, p, 2).startswith("Not yet. 0.30010 is the step across the level borders")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (51_984, "Right. 228 × 228 tiles, 3.93 times as many as without overlap."),
        (np.int64(51_984), "Right."),
        (228, "Not yet. 228 is along one axis."),
        (13_225, "Not yet. 13,225 tiles do without overlap. With it, a tile begins every 48 pixels."),
        (51_529, "Not yet. 51,529 tiles leave a strip at the far borders."),
        (52_000, "Not yet. 52,000 is not it. Along one axis: the first tile begins at 0, the next 48"),
        (0.5, "Not yet. A number of tiles is a whole number"),
        ("many", "Not yet. A number of tiles is a whole number"),
    ],
)
def test_tiles_needed(answer, expected):
    # by hand: (10,980 - 96) / 48 = 226.75, so 227 tiles begin at multiples of 48, and one ends at the border
    assert said("07.2", answer, (10_980, 10_980), 96, 48).startswith(expected)


def test_tiles_are_those_that_are_made(mapped):
    predict, _ = mapped
    tiles = teach.seams(predict(overlap=30))["tiles"]
    assert gl.teach.check("07.2", tiles, (288, 288), 96, 30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.2, "Right. Whoever looks at the most doubtful 20.0 % of the map finds 80 % of the errors."),
        (np.float64(0.208), "Right."),
        (0.1, "Not yet. In the most doubtful 10.0 % lie 40 % of the errors; asked are 80 %."),
        (0.5, "Not yet. In the most doubtful 50.0 % lie 88 % of the errors, more than asked."),
        (0.8, "Not yet. That is what it takes to find 80 % by picking pixels blindly."),
        (20, "Not yet. 20 reads as a percentage."),
        (-1, "Not yet. Give a share of the map"),
        ("all", "Not yet. Give a share of the map"),
    ],
)
def test_review_share(answer, expected):
    shares = np.linspace(0, 1, 1001)
    curve = pd.Series(np.interp(shares, [0, 0.2, 1], [0, 0.8, 1]), shares)
    assert said("07.4", answer, curve).startswith(expected)


def map_of(found, tile, overlap=0, **attrs):
    """A map of 96 x 96 pixels, `found` of whose 12 upper rows are glacier."""
    rows = np.arange(96) < found
    class_map = xr.DataArray(
        np.repeat(rows[:, None], 96, axis=1).astype("uint8"),
        coords={"y": 30.0 * np.arange(96, 0, -1), "x": 30.0 * np.arange(96)},
        dims=("y", "x"),
        attrs=dict(flag_values=[0, 1], flag_meanings="background clean_ice"),
    )
    told = dict(tile=tile, overlap=overlap, blend="hann") | attrs
    return xr.Dataset({"class_map": class_map.rio.write_crs("EPSG:32645")}, attrs=told)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            map_of(12, 48),
            "Right. IoU of clean_ice is 1.000 with 25 % of the work, and 0.833 with the lesson's",
        ),
        (map_of(10, 48), "Right."),  # as good
        (map_of(8, 48), "Not yet. 25 % of the work, but IoU of clean_ice is 0.667, and 0.833"),
        (map_of(12, 16, 8), "Not yet. That is 84 % of the lesson's work"),
        (map_of(12, 48, views=["identity", "hflip", "vflip"]), "Not yet. That is 75 % of the lesson's work"),
        (map_of(12, 300), "Not yet. A tile of 300 pixels a side"),
        (map_of(12, 48).isel(x=slice(48)), "Not yet. Give a map of the whole scene"),
        (map_of(12, 48).class_map, "Not yet. Give a map: scene.glacier.predict"),
        (96, "Not yet. Give a map: scene.glacier.predict"),
    ],
)
def test_thriftier_map(answer, expected):
    # by hand: tiles of 32 every 16 pixels are 5 x 5 x 1024 pixels; four of 48 are a quarter of 96 x 96 x 4
    lesson = map_of(10, 48, views=["identity", "hflip", "vflip", "transpose"])
    truth = map_of(12, 48).class_map
    assert said("07.3", answer, lesson, truth, "clean_ice").startswith(expected)
