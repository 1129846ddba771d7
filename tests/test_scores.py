import dask
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from glacierlab.errors import GridError, UnknownNameError
from glacierlab.scores import burn, polis, score, scores_from

CODES = {"background": 0, "clean_ice": 1, "debris_covered_ice": 2, "glacial_lake": 3}
SETTINGS = settings(max_examples=30, deadline=None)
COUNTS = st.integers(0, 10**9)
MASKS = arrays(np.uint8, (9, 7), elements=st.sampled_from([0, 1, 255]))


def class_map(values, codes=CODES, step=30.0, crs=32645):
    """A class map (y, x) with CF flags on a north-up grid with its corner at (600000, 3100000)."""
    values = np.asarray(values)
    coords = {
        "y": 3_100_000 - step * (np.arange(values.shape[0]) + 0.5),
        "x": 600_000 + step * (np.arange(values.shape[1]) + 0.5),
    }
    flags = {"flag_values": np.array(list(codes.values()), "uint8"), "flag_meanings": " ".join(codes)}
    return xr.DataArray(values, coords, ("y", "x"), attrs=flags).rio.write_crs(crs)


def mask(values, **grid):
    return class_map(values, {"background": 0, "glacier": 1}, **grid)


def squares():
    """The 12 x 12 vector: A as the reference, B as the prediction."""
    a, b = np.zeros((2, 12, 12), "uint8")
    a[2:8, 2:8] = 1
    b[3:9, 2:9] = 1
    return a, b


def random_maps(seed=0, shape=(40, 50), codes=(0, 1, 2, 3, 255)):
    return np.random.default_rng(seed).choice(np.array(codes, "uint8"), (2, *shape))


# ---- from counts ----


def test_scores_by_hand():
    expected = {
        "precision": 0.75,
        "recall": 0.857143,
        "f1": 0.8,
        "iou": 0.666667,
        "iou_background": 0.785714,
        "miou": 0.726190,
        "oa": 0.85,
        "kappa": 0.680851,
        "mcc": 0.684737,
    }
    assert scores_from(tp=30, fp=10, fn=5, tn=55) == pytest.approx(expected, abs=5e-7)


# Chu et al. 2022, Table 2, without and with test-time augmentation; its axes are swapped, so that what it
# prints as false negatives are false positives: precision and recall are of the swapped counts.
CHU_TABLE_2 = {"tp": [186712209, 186798674], "fn": [966562, 880097], "fp": [949981, 885576]}
CHU_TABLE_2["tn"] = [230801649, 230866053]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "float64", object])
def test_scores_of_chu_2022(dtype):
    scores = scores_from(**{name: np.array(counts, dtype) for name, counts in CHU_TABLE_2.items()})
    printed = {"kappa": [0.9908, 0.9915], "miou": [0.9908, 0.9915], "f1": [0.9949, 0.9953]}
    for name, values in printed.items():  # F1 without augmentation is truncated in print: 0.9948
        np.testing.assert_array_equal(np.round(scores[name], 4), values)
    np.testing.assert_allclose(scores["precision"], [0.994938, 0.995282], atol=5e-7)
    np.testing.assert_allclose(scores["recall"], [0.994850, 0.995311], atol=1.01e-6)


def test_f1_of_chen_2022():
    """Chen et al. 2022, Table II, first, best and last row: precision, recall, F1 in percent."""
    for precision, recall, f1 in [(84.98, 98.01, 91.03), (92.82, 94.75, 93.77), (93.96, 92.60, 93.27)]:
        counts = {
            "tp": precision * recall,
            "fp": (100 - precision) * recall,
            "fn": (100 - recall) * precision,
        }
        scores = scores_from(**counts, tn=0)
        assert 100 * scores["precision"] == pytest.approx(precision)
        assert 100 * scores["f1"] == pytest.approx(f1, abs=0.011)


@SETTINGS
@given(tp=COUNTS, fp=COUNTS, fn=COUNTS, tn=COUNTS)
def test_laws_of_scores(tp, fp, fn, tn):
    scores, swapped = scores_from(tp, fp, fn, tn), scores_from(tp, fn, fp, tn)
    np.testing.assert_allclose(scores["f1"], 2 * scores["iou"] / (1 + scores["iou"]))
    np.testing.assert_equal(
        [swapped[name] for name in ("precision", "recall", "kappa", "mcc", "miou")],
        [scores[name] for name in ("recall", "precision", "kappa", "mcc", "miou")],
    )
    negative = scores_from(tn, fn, fp, tp)
    np.testing.assert_equal(negative["kappa"], scores["kappa"])
    np.testing.assert_equal(negative["iou"], scores["iou_background"])


def test_undefined_scores_are_nan():
    assert all(np.isnan(value) for value in scores_from(0, 0, 0, 0).values())
    empty = scores_from(0, 0, 0, 9)
    assert empty["oa"] == empty["iou_background"] == 1
    assert np.isnan(
        [empty[name] for name in ("precision", "recall", "f1", "iou", "miou", "kappa", "mcc")]
    ).all()


def test_small_integer_types_do_not_overflow():
    scores = scores_from(*np.array([[200], [100], [50], [250]], dtype="uint8"))
    assert scores == {name: pytest.approx(value) for name, value in scores_from(200, 100, 50, 250).items()}
    values = np.ones((2**8, 2**9), "uint8")  # products of counts exceed 2³¹
    values[:, :200] = 0
    row = score(values, values, boundary=False).loc["glacier"]
    assert row.tp * row.tn > 2**31
    assert row.kappa == row.mcc == 1


# ---- against sklearn ----


@pytest.fixture
def sklearn_metrics():
    return pytest.importorskip("sklearn.metrics")


def test_binary_scores_match_sklearn(sklearn_metrics):
    prediction, reference = random_maps(codes=(0, 1))
    truth, guess = reference.ravel(), prediction.ravel()
    table = score(mask(prediction), mask(reference))
    assert list(table.index) == ["glacier"]
    row = table.loc["glacier"]
    assert list(table[["tn", "fp", "fn", "tp"]].iloc[0]) == list(
        sklearn_metrics.confusion_matrix(truth, guess).ravel()
    )
    witness = {
        "precision": sklearn_metrics.precision_score(truth, guess),
        "recall": sklearn_metrics.recall_score(truth, guess),
        "f1": sklearn_metrics.f1_score(truth, guess),
        "iou": sklearn_metrics.jaccard_score(truth, guess),
        "miou": sklearn_metrics.jaccard_score(truth, guess, average="macro"),
        "oa": sklearn_metrics.accuracy_score(truth, guess),
        "kappa": sklearn_metrics.cohen_kappa_score(truth, guess),
        "mcc": sklearn_metrics.matthews_corrcoef(truth, guess),
    }
    assert row[list(witness)].to_dict() == pytest.approx(witness)
    assert all(table[name].dtype == int for name in ("tp", "fp", "fn", "tn"))


def test_class_scores_match_sklearn(sklearn_metrics):
    prediction, reference = random_maps()
    table = score(class_map(prediction), class_map(reference), boundary=False)
    seen = (prediction != 255) & (reference != 255)
    truth, guess = reference[seen], prediction[seen]
    assert list(table.index) == ["clean_ice", "debris_covered_ice", "glacial_lake", "mean"]
    for code, name in enumerate(table.index[:3], start=1):
        row, one = table.loc[name], (truth == code, guess == code)
        assert row.kappa == pytest.approx(sklearn_metrics.cohen_kappa_score(*one))
        assert row.mcc == pytest.approx(sklearn_metrics.matthews_corrcoef(*one))
        assert row[["tp", "fp", "fn", "tn"]].sum() == seen.sum()
    jaccard = sklearn_metrics.jaccard_score(truth, guess, labels=[1, 2, 3], average="macro")
    assert table.iou["mean"] == pytest.approx(jaccard)
    assert table.attrs["overall_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, guess))
    assert table.attrs["kappa_all_classes"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, guess))


# ---- boundaries ----


def test_boundary_by_hand():
    reference, prediction = squares()
    row = score(mask(prediction, step=2.0), mask(reference, step=2.0)).loc["glacier"]
    assert row[["tp", "fp", "fn", "tn"]].tolist() == [30, 12, 6, 96]
    expected = {"asd": 0.724148, "asd_mean_of_means": 0.723050, "hausdorff": 1.414214, "hd95": 1.0}
    for name, value in expected.items():
        assert row[f"{name}_px"] == pytest.approx(value, abs=5e-7)
        assert row[f"{name}_m"] == pytest.approx(2 * value, abs=1e-6)
    assert row.boundary_f == pytest.approx(0.976744, abs=5e-7)
    assert score(prediction, reference, tolerance_px=2).boundary_f.item() == 1
    assert score(prediction, reference, tolerance_px=0).boundary_f.item() < 0.5


def borders_by_scipy(values):
    return values & ~ndimage.binary_erosion(values)


@pytest.mark.parametrize("sampling", [(30.0, 30.0), (20.0, 10.0)])
def test_boundary_matches_distance_transform(sampling):
    blobs = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(2, 60, 45)), (0, 3, 3)) > 0.02
    prediction, reference = (mask(blob.astype("uint8")) for blob in blobs)
    for raster in (prediction, reference):
        raster["y"], raster["x"] = -sampling[0] * np.arange(60), sampling[1] * np.arange(45)
    a, b = map(borders_by_scipy, blobs)
    row = score(prediction, reference).loc["glacier"]
    for unit, steps in (("px", (1, 1)), ("m", sampling)):
        there = ndimage.distance_transform_edt(~b, steps)[a]
        back = ndimage.distance_transform_edt(~a, steps)[b]
        every = np.concatenate([there, back])
        assert row[f"asd_{unit}"] == pytest.approx(every.mean())
        assert row[f"asd_mean_of_means_{unit}"] == pytest.approx((there.mean() + back.mean()) / 2)
        assert row[f"hd95_{unit}"] == pytest.approx(np.percentile(every, 95))
        points = [np.argwhere(side) * steps for side in (a, b)]
        hausdorff = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert row[f"hausdorff_{unit}"] == pytest.approx(hausdorff)


def test_empty_masks_have_no_boundary():
    reference, _ = squares()
    empty = score(np.zeros_like(reference), reference).loc["glacier"]
    assert empty.recall == 0
    assert empty.filter(regex="asd|hausdorff|hd95|boundary").isna().all()
    apart = np.zeros_like(reference)
    apart[0, 11] = 1
    assert score(apart, reference).boundary_f.item() == 0


def test_unobserved_pixels_count_nowhere_and_make_no_border():
    reference, prediction = squares()
    hidden = reference.copy()
    hidden[4:6, 4:6] = 255  # a hole in what is seen, inside both squares
    row, full = score(prediction, hidden).loc["glacier"], score(prediction, reference).loc["glacier"]
    assert row.tp == full.tp - 4
    assert row.asd_px == full.asd_px
    hidden[:, :7] = 255  # cuts both squares: three sides remain of each
    left = score(prediction, hidden).loc["glacier"]
    here, there = [[2, 7]] + [[r, 7] for r in range(3, 8)], [[3, 7], [8, 7]] + [[r, 8] for r in range(3, 9)]
    distances = np.linalg.norm(np.array(here)[:, None] - np.array(there)[None], axis=2)
    assert left.asd_px == pytest.approx(np.concatenate([distances.min(0), distances.min(1)]).mean())


def test_floats_with_nan_and_regions():
    prediction, reference = random_maps(codes=(0, 1, 255))
    expected = score(prediction, reference)
    nan = np.where(reference == 255, np.nan, reference)
    pd.testing.assert_frame_equal(score(prediction, nan), expected)
    region = reference != 255
    pd.testing.assert_frame_equal(score(prediction, reference % 2, region=region), expected)
    assert score(prediction, reference, region=np.zeros_like(region)).isna().to_numpy()[0, 4:].all()


def test_meters_need_a_metric_grid():
    reference, prediction = squares()
    degrees = score(mask(prediction, crs=4326, step=1e-4), mask(reference, crs=4326, step=1e-4))
    assert degrees.asd_m.isna().all()
    assert degrees.asd_px.notna().all()
    assert score(prediction, mask(reference)).asd_m.item() == pytest.approx(30 * 0.724148, abs=1e-4)
    feet = score(mask(prediction, crs=2225), mask(reference, crs=2225))  # California zone 1, US survey feet
    assert feet.asd_m.item() == pytest.approx(30 * 0.724148 * 1200 / 3937, abs=1e-4)
    one_row = score(mask(prediction[4:5]), mask(reference[4:5]))
    assert one_row.asd_px.notna().all()
    assert one_row.asd_m.isna().all()


@SETTINGS
@given(prediction=MASKS, reference=MASKS)
def test_symmetries(prediction, reference):
    table = score(prediction, reference)
    for turn in (np.flipud, np.fliplr, np.transpose):
        pd.testing.assert_frame_equal(score(turn(prediction), turn(reference)), table)
    swapped = score(reference, prediction).rename(columns={"precision": "recall", "recall": "precision"})
    pd.testing.assert_frame_equal(swapped.rename(columns={"fp": "fn", "fn": "fp"})[table.columns], table)
    order = np.random.default_rng(0).permutation(prediction.size)
    shuffled = (side.ravel()[order].reshape(side.shape) for side in (prediction, reference))
    pixels = table.loc[:, "tp":"mcc"]
    pd.testing.assert_frame_equal(score(*shuffled, boundary=False), pixels)


@pytest.mark.parametrize("chunks", [{"y": 13, "x": 17}, {"y": 40, "x": 5}, {"y": 1, "x": 50}, {"y": (39, 1)}])
def test_chunks_do_not_matter(chunks):
    prediction, reference = (class_map(side) for side in random_maps())
    region = xr.ones_like(prediction, dtype=bool)
    region[3:20, 8:] = False
    expected = score(prediction, reference, region=region)
    for sides in [
        (prediction.chunk(chunks), reference.chunk({"y": 11})),
        (prediction, reference.chunk(chunks)),
    ]:
        result = score(*sides, region=region.chunk({"x": 9}))
        pd.testing.assert_frame_equal(result, expected, check_exact=True)


def test_dask_is_read_once():
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    prediction, reference = (mask(side) for side in random_maps(codes=(0, 1)))
    lazy = prediction.chunk({"y": 10, "x": 25})
    lazy = lazy.copy(data=lazy.data.map_blocks(read, dtype="uint8", meta=np.empty((0, 0), "uint8")))
    with dask.config.set(scheduler="synchronous"):
        score(lazy, reference)
    assert reads == 8 * [(10, 25)]


# ---- classes ----


def test_classes_match_by_name():
    prediction, reference = random_maps()
    codes = {
        "glacial_lake": 0,
        "background": 7,
        "debris_covered_ice": 30,
        "clean_ice": 254,
        "not_observed": 255,
    }
    table = np.arange(256, dtype="uint8")
    table[[CODES[name] for name in codes if name in CODES]] = [codes[name] for name in codes if name in CODES]
    expected = score(class_map(prediction), class_map(reference))
    pd.testing.assert_frame_equal(score(class_map(prediction), class_map(table[reference], codes)), expected)
    bare = (class_map(side).drop_attrs() for side in (prediction, reference))
    pd.testing.assert_frame_equal(score(*bare, classes=CODES), expected)
    dataset = xr.Dataset(
        {"class_map": class_map(prediction), "entropy": xr.zeros_like(class_map(prediction))}
    )
    pd.testing.assert_frame_equal(score(dataset, class_map(reference)), expected)
    written = class_map(prediction).assign_attrs(flag_values="[0 1 2 3]")  # as a GeoTIFF gives them back
    pd.testing.assert_frame_equal(score(written, class_map(reference)), expected)
    lakes = score(class_map(prediction), class_map(reference), classes=["glacial_lake"])
    pd.testing.assert_frame_equal(lakes, expected.loc[["glacial_lake"]])


def test_glacier_is_clean_and_debris_covered_ice():
    prediction, reference = random_maps(codes=(0, 1, 2, 3))
    ice = [(side == 1) | (side == 2) for side in map(class_map, (prediction, reference))]
    ice = [side.assign_attrs(class_map(prediction).attrs) for side in ice]  # new xarray keeps the flags
    expected = score(*ice)
    pd.testing.assert_frame_equal(score(class_map(prediction), ice[1]), expected)
    pd.testing.assert_frame_equal(score(ice[0], class_map(reference)), expected)
    merged = score(class_map(prediction), class_map(reference), classes=["glacier"])
    pd.testing.assert_frame_equal(merged, expected)


def test_a_class_absent_on_both_sides_is_undefined():
    prediction, reference = random_maps(codes=(0, 1))
    table = score(class_map(prediction), class_map(reference))
    assert table.loc["glacial_lake", ["tp", "fp", "fn"]].sum() == 0
    assert np.isnan(table.iou["glacial_lake"])
    assert table.iou["mean"] == table.iou["clean_ice"]


def test_unmatched_classes_are_told():
    values = np.zeros((3, 3), "uint8")
    lakes = class_map(values, {"background": 0, "glacial_lake": 1})
    with pytest.raises(
        UnknownNameError, match=r"'background', 'glacial_lake'.*'background', 'glacier'.*flag_mea"
    ):
        score(lakes, values == 1)
    with pytest.raises(UnknownNameError, match=r"\['snow'\].*prediction has \['background', 'clean_ice'"):
        score(class_map(values), class_map(values), classes=["snow"])
    with pytest.raises(UnknownNameError, match=r"holds \[7\].*flag_values"):
        score(values + 7, values)
    with pytest.raises(UnknownNameError, match=r"holds \[0\.5\].*threshold"):
        score(values + 0.5, values)
    with pytest.raises(UnknownNameError, match=r"holds \[-inf\]"):
        score(values - np.inf, values)
    with pytest.raises(UnknownNameError, match=r"flag_values \[0\]"):
        score(lakes.assign_attrs(flag_values=[0]), lakes)
    with pytest.raises(UnknownNameError, match=r"'probability'.*class_map"):
        score(xr.Dataset({"probability": lakes}), lakes)


# ---- outlines ----


def outlines(*polygons, crs=32645):
    return gpd.GeoDataFrame(geometry=list(polygons), crs=crs)


TRIANGLE = shapely.Polygon([(600_100, 3_099_900), (601_000, 3_099_700), (600_300, 3_098_900)])
AWAY = shapely.box(700_000, 3_000_000, 700_100, 3_000_100)


@pytest.mark.parametrize("flip", [slice(None), slice(None, None, -1)])
def test_outlines_cover_pixel_centers(flip):
    prediction = mask(random_maps(codes=(0, 1))[0]).isel(y=flip)
    centers = np.meshgrid(prediction.x, prediction.y)
    witness = prediction.copy(data=shapely.contains_xy(TRIANGLE, *centers).astype("uint8"))
    expected = score(prediction, witness)
    reference = outlines(AWAY, shapely.Polygon(), TRIANGLE)
    pd.testing.assert_frame_equal(score(prediction, reference), expected)
    pd.testing.assert_frame_equal(score(prediction.chunk({"x": 9}), reference.to_crs(4326)), expected)
    np.testing.assert_array_equal(burn(reference, prediction), witness)
    inside = score(prediction, np.ones_like(prediction), region=reference)
    assert inside[["tp", "fp", "fn", "tn"]].sum(axis=1).item() == witness.sum()
    cut = prediction.isel(y=slice(3, 20), x=slice(10, 30))  # the stored transform is that of the whole
    np.testing.assert_array_equal(burn(reference, cut), witness.isel(y=slice(3, 20), x=slice(10, 30)))


def test_outlines_need_overlap_and_crs():
    prediction = mask(random_maps(codes=(0, 1))[0])
    with pytest.raises(GridError, match=r"do not overlap.*\[700000.0, 3000000.0.*\[600000.0, 3098800.0"):
        score(prediction, outlines(AWAY))
    with pytest.raises(GridError, match=r"outlines have no CRS.*set_crs"):
        score(prediction, outlines(TRIANGLE, crs=None))
    with pytest.raises(GridError, match=r"raster have no CRS.*write_crs"):
        score(prediction.values, outlines(TRIANGLE))
    with pytest.raises(GridError, match=r"prediction is a GeoDataFrame"):
        score(outlines(TRIANGLE), prediction)


def test_grids_must_agree():
    reference, prediction = squares()
    shifted = mask(reference)
    shifted["x"] = shifted.x + 30
    with pytest.raises(GridError, match=r"prediction and reference do not overlap pixel by pixel in x"):
        score(mask(prediction), shifted)
    with pytest.raises(GridError, match=r"Different grids.*12.*11"):
        score(prediction, reference[1:])
    with pytest.raises(GridError, match=r"prediction and region"):
        score(mask(prediction), mask(reference), region=shifted == 1)
    with pytest.raises(GridError, match=r"dims \('band', 'y', 'x'\).*select"):
        score(mask(prediction).expand_dims("band"), reference)
    with pytest.raises(GridError, match=r"ndarray \(12,\)"):
        score(prediction[0], reference)


# ---- several scenes ----


def test_scenes_are_pooled_and_averaged():
    reference, prediction = squares()
    half = np.arange(144).reshape(12, 12) % 2
    table = score({"one": prediction, "two": half}, {"two": reference, "one": reference})
    assert list(table.index) == [(scene, "glacier") for scene in ("one", "two", "pooled", "macro")]
    assert table.index.names == ["scene", "class"]
    table = table.droplevel("class")
    one, two, pooled = table.loc["one"], table.loc["two"], table.loc["pooled"]
    pd.testing.assert_series_equal(one, score(prediction, reference).loc["glacier"], check_names=False)
    counts = one[["tp", "fp", "fn", "tn"]] + two[["tp", "fp", "fn", "tn"]]
    assert pooled[list(counts.index)].tolist() == counts.tolist()
    assert pooled.kappa == scores_from(**counts)["kappa"]
    macro = table.loc["macro"]
    assert macro.kappa == (one.kappa + two.kappa) / 2 != pooled.kappa
    assert macro.asd_px == (one.asd_px + two.asd_px) / 2
    joined = score(np.hstack([prediction, 0 * half, half]), np.hstack([reference, 0 * half, reference]))
    for name in ("asd_px", "asd_mean_of_means_px", "hausdorff_px", "hd95_px", "boundary_f"):
        assert pooled[name] == pytest.approx(joined[name].item())  # a wide gap keeps the scenes apart
    assert table.attrs["kappa_all_classes"] == pytest.approx(pooled.kappa)


def test_scenes_with_several_classes_and_empty_ones():
    (first, second), reference = random_maps(), class_map(random_maps(seed=1)[0])
    table = score([class_map(first), class_map(second)], reference, boundary=False)
    assert list(table.index.unique("scene")) == ["0", "1", "pooled", "macro"]
    assert list(table.loc["macro"].index) == ["clean_ice", "debris_covered_ice", "glacial_lake", "mean"]
    pd.testing.assert_frame_equal(table.loc["1"], score(class_map(second), reference, boundary=False))
    assert table.miou["macro", "mean"] == pytest.approx(table.miou[["0", "1"]].loc[:, "mean"].mean())
    ice, empty = squares()[0], np.zeros((12, 12), "uint8")
    with_empty = score([ice, empty], [ice, empty])
    assert with_empty.iou["macro", "glacier"] == with_empty.iou["pooled", "glacier"] == 1
    assert with_empty.asd_px["macro", "glacier"] == with_empty.asd_px["pooled", "glacier"] == 0


def test_one_inventory_serves_every_scene():
    scenes = [mask(side) for side in random_maps(codes=(0, 1))]
    table = score(scenes, outlines(TRIANGLE))
    for position, scene in enumerate(scenes):
        pd.testing.assert_frame_equal(table.loc[str(position)], score(scene, outlines(TRIANGLE)))


def test_scenes_must_agree():
    values = squares()[0]
    with pytest.raises(UnknownNameError, match=r"reference has scenes \['0'\], the prediction \['0', '1'\]"):
        score([values, values], [values])
    with pytest.raises(UnknownNameError, match=r"prediction has scenes \[\]"):
        score([], [])
    with pytest.raises(UnknownNameError, match=r"different classes.*classes="):
        score([class_map(values), values], [class_map(values), values])


# ---- polygons ----


def test_polis_by_hand():
    square = shapely.box(0, 0, 1, 1)
    assert polis(square, square) == 0
    assert polis(square, shapely.box(0.5, 0, 1.5, 1)) == 0.25  # two vertices 0.5 away, two on the boundary
    holed = shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 6, 6)
    assert polis(holed, shapely.box(0, 0, 9, 9)) == 0.75  # four of eight vertices 3 away, none back
    pair = shapely.MultiPolygon([square, shapely.box(4, 0, 5, 1)])
    assert polis(pair, square) == polis(square, pair) == pytest.approx((2 * 3 + 2 * 4) / 8 / 2)
    assert np.isnan(polis(square, shapely.Polygon()))
