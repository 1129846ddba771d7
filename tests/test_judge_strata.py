"""Strata, drops and areas: bins counted by hand, Chen's published drops, dates whose areas are known."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError, UnknownNameError
from glacierlab.tables import STRATA

pytest.importorskip("torch")

from judging import BINARY, HALF, RED, linear, noisy, noisy_patches, patches_of, truth_of

from glacierlab.judge import area_stability, areas, drops, interval, scores_of
from glacierlab.judge.evaluation import evaluate
from glacierlab.judge.strata import bins_for

MODEL = linear(RED, HALF)
PIXEL_KM2 = 1e-4  # 10 m


def ground(scene, **layers):
    """A scene's strata: layers (y, x) in natural units, as patches of the same windows."""
    layers = scene.assign({name: (("y", "x"), np.asarray(each, "float32")) for name, each in layers.items()})
    return patches_of(layers, truth_of(scene, scene.red.values > 0.5), layers=[*layers][len(scene) :])


@pytest.fixture(scope="module")
def scene():
    return noisy()


@pytest.fixture(scope="module")
def patches(scene):
    return patches_of(scene, truth_of(scene, scene.nir.values > 0.5), regions="here")


def by_hand(scene, where):
    """Scores of the model over the pixels of a mask (y, x)."""
    actual, predicted = scene.nir.values[where] > 0.5, scene.red.values[where] > 0.5
    counts = [[((actual == a) & (predicted == p)).sum() for p in (0, 1)] for a in (0, 1)]
    return scores_of(counts, BINARY)


def require_equal(found, expected):
    pd.testing.assert_frame_equal(found[[*expected]], expected, check_names=False)


# ---- bins


def test_rows_of_the_table_are_bins():
    for name, row in STRATA.items():
        bins = bins_for(name, {})
        assert len(bins.places) == len(row.edges) + 1
        assert len(row.labels) in (0, len(row.edges) + 1)
        assert row.source
    assert bins_for("elevation", {"elevation": [1000, 2000]}).labels == (
        "below 1000 m",
        "1000 to 2000 m",
        "from 2000 m",
    )
    assert bins_for("elevation", {"elevation": [1000]}).of([999.9, 1000, np.nan]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("degrees", [0, 22.4, 22.5, 90, 180, 269, 337.4, 337.5, 359.9])
def test_aspects_are_the_sectors_of_rgi(degrees):
    names = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"]
    bins = bins_for("aspect", {})
    assert bins.labels[bins.of(degrees)] == names[int((degrees + 22.5) // 45) % 8]


@pytest.mark.parametrize("edges", [[], [3, 1], [1, 1], [1, np.inf]])
def test_edges_ascend(edges):
    with pytest.raises(GlacierlabError, match="ascending"):
        bins_for("elevation", {"elevation": edges})


# ---- by pixel


def test_strata_are_pixels_told_apart(scene, patches):
    random = np.random.default_rng(5)
    elevation = random.uniform(2000, 4000, scene.red.shape)
    shadow = random.random(scene.red.shape) < 0.3
    strata = ground(scene, elevation=elevation, cast_shadow=shadow, coherence=random.random(scene.red.shape))
    own = {"elevation": [2500, 3500], "coherence": [0.5]}
    found = evaluate(MODEL, patches, strata=strata, bins=own, repeats=20).by_stratum
    elevation = elevation.astype("float32")
    require_equal(
        found.loc["elevation"].loc["2500 to 3500 m"], by_hand(scene, (elevation >= 2500) & (elevation < 3500))
    )
    require_equal(found.loc["shadow"].loc["shadow"], by_hand(scene, shadow))
    assert set(found.loc["coherence"].index.get_level_values("bin")) == {"below 0.5", "from 0.5"}
    for stratum in ("elevation", "shadow", "coherence"):
        rows = found.loc[stratum].xs("glacier", level="class")
        assert rows[["tp", "fp", "fn", "tn"]].to_numpy().sum() == scene.red.size


def test_aspect_by_sine_and_cosine_or_degrees(scene, patches):
    aspect = np.random.default_rng(6).uniform(0, 360, scene.red.shape)
    level = np.zeros(scene.red.shape, bool)
    level[:5] = True  # a stack holds 0 and 0 there
    parts = {
        f"aspect_{name}": np.where(level, 0, f(np.deg2rad(aspect)))
        for name, f in (("sin", np.sin), ("cos", np.cos))
    }
    found = evaluate(MODEL, patches, strata=ground(scene, **parts), repeats=1).by_stratum.loc["aspect"]
    require_equal(found.loc["E"], by_hand(scene, ~level & (abs(aspect - 90) < 22.5)))
    require_equal(found.loc["N"], by_hand(scene, ~level & ((aspect > 337.5) | (aspect < 22.5))))
    turned = evaluate(MODEL, patches, strata=ground(scene, aspect=aspect - 360), repeats=1).by_stratum.loc[
        "aspect"
    ]
    require_equal(turned.loc["E"], by_hand(scene, abs(aspect - 90) < 22.5))


def test_relief_is_the_mean_slope_of_a_patch(scene, patches):
    slope = np.random.default_rng(7).uniform(0, 20, scene.red.shape)
    slope[:16, :16] += 20
    found = evaluate(MODEL, patches, strata=ground(scene, slope=slope), repeats=1).by_stratum.loc["relief"]
    steep = np.zeros(scene.red.shape, bool)
    steep[:16, :16] = True
    require_equal(found.loc["rugged"], by_hand(scene, steep))
    require_equal(found.loc["flat"], by_hand(scene, ~steep))


def test_pixels_without_a_layer_are_in_no_bin(scene, patches):
    slope = np.full(scene.red.shape, 5.0)
    slope[:8] = np.nan  # patches hold their fill value there, 0
    found = evaluate(MODEL, patches, strata=ground(scene, slope=slope), repeats=1).by_stratum.loc["slope"]
    below = np.isfinite(slope)
    require_equal(found.loc["below 10 degrees"], by_hand(scene, below))


def test_blocks_of_a_bin_are_those_that_hold_it():
    scene = noisy((128, 128))
    patches = patches_of(scene, truth_of(scene, scene.nir.values > 0.5))
    cloud = np.zeros(scene.red.shape)
    cloud[:32, :32] = 1
    found = evaluate(MODEL, patches, strata=ground(scene, cloud=cloud), block_m=160).by_stratum.loc["cloud"]
    assert found.loc["cloudy", "blocks"].tolist() == [4] * 3
    assert found.loc["cloudy", "iou_low"].isna().all()
    assert found.loc["clear", "blocks"].tolist() == [60] * 3
    assert found.loc["clear", "iou_low"].lt(found.loc["clear", "iou"]).all()


def test_a_bin_that_holds_all_is_the_whole():
    scene = noisy((128, 128))
    patches = patches_of(
        scene, truth_of(scene, scene.nir.values > np.linspace(0, 1, 128))
    )  # no block is average
    strata = ground(scene, cloud=np.zeros(scene.red.shape))
    found = evaluate(MODEL, patches, strata=strata, by="scene", batch_size=5)
    for stratum, name in (("cloud", "clear"), ("scene", "scene")):
        pd.testing.assert_frame_equal(found.by_stratum.loc[stratum].loc[name], found.scores)


def test_strata_must_be_of_the_same_ground(scene, patches):
    slope = np.full(scene.red.shape, 5.0)
    strata = ground(scene, slope=slope)
    part = patches.with_split(["a"] * 4 + ["b"] * 20).subset("b")
    assert len(evaluate(MODEL, part, strata=strata, repeats=1).confusions) == 20  # more windows do no harm
    fewer = replace(strata, manifest=strata.manifest.iloc[3:])
    with pytest.raises(GridError, match=r"lack 3 of 24 patches, first that of 'scene' at row 0, column 0"):
        evaluate(MODEL, patches, strata=fewer)
    moved = replace(strata, manifest=strata.manifest.assign(geometry=strata.manifest.translate(7)))
    with pytest.raises(GridError, match=r"of 24 patches lie elsewhere.* 7 m away"):
        evaluate(MODEL, patches, strata=moved)
    wider = patches_of(
        scene.assign(slope=(("y", "x"), slope)), truth_of(scene, slope > 0), 32, layers=["slope"]
    )
    with pytest.raises(GridError, match="32 pixels wide"):
        evaluate(MODEL, patches, strata=wider)
    unknown = ground(scene, slope=slope, coherence=slope)
    with pytest.raises(UnknownNameError, match=r"layers \['coherence'\] have no bins"):
        evaluate(MODEL, patches, strata=unknown)
    with pytest.raises(
        UnknownNameError, match=r"bins= names \['elevation'\], and the strata are \['relief', 's"
    ):
        evaluate(MODEL, patches, strata=strata, bins={"elevation": [1]})


# ---- by patch


def test_columns_tell_patches_apart():
    patches = noisy_patches(2, regions={"s0": "north", "s1": "south"})
    found = evaluate(MODEL, patches, by="region", repeats=1)
    require_equal(
        found.by_stratum.loc["region"].loc["north"], found.by_scene.loc["s0"][[*scores_of(np.eye(2), BINARY)]]
    )
    with pytest.raises(UnknownNameError, match="no column 'glacier_type'"):
        evaluate(MODEL, patches, by=["glacier_type"])
    with pytest.raises(GlacierlabError, match="'valid_share' holds numbers and has no bins"):
        evaluate(MODEL, patches, by=["valid_share"])
    half = evaluate(MODEL, patches, by=["glacier_share"], bins={"glacier_share": [0.5]}, repeats=1)
    assert half.by_stratum.index.get_level_values("bin").unique().tolist() == ["below 0.5", "from 0.5"]


def test_glacier_sizes_come_from_an_inventory(scene, patches):
    ids = [("a",), ("a", "b"), ("c",)] + [()] * 21
    patches = replace(patches, manifest=patches.manifest.assign(glaciers=ids))
    inventory = gpd.GeoDataFrame({"rgi_id": ["a", "b"], "area_km2": [0.05, 20.0]}, geometry=[None, None])
    found = evaluate(MODEL, patches, inventory=inventory, repeats=1)
    sizes = found.by_stratum.loc["glacier_area_km2"]
    assert sizes.index.get_level_values("bin").unique().tolist() == ["below 0.1 km2", "10 to 100 km2"]
    require_equal(sizes.loc["10 to 100 km2"], scores_of(found.confusions[1], BINARY))
    with pytest.raises(InventoryError, match="knows none of the patches' glaciers, such as 'a'"):
        evaluate(MODEL, patches, inventory=inventory.assign(rgi_id=["x", "y"]))
    with pytest.raises(InventoryError, match="ids and area_km2"):
        evaluate(MODEL, patches, inventory=inventory.drop(columns="area_km2"))


def test_debris_is_a_share_of_a_patch_s_ice(scene):
    codes = np.zeros(scene.red.shape, int)
    codes[:16, :16], codes[:16, 16:32], codes[:8, 16:32] = 1, 1, 2  # none of the ice, and half of it
    classes = ("background", "clean_ice", "debris_covered_ice")
    patches = patches_of(scene, truth_of(scene, codes), classes=list(classes))
    found = evaluate(linear(RED, HALF, classes=classes), patches, by="debris_frac", repeats=1)
    bins = found.by_stratum.loc["debris_frac"]
    assert bins.index.get_level_values("bin").unique().tolist() == ["below 0.1", "from 0.5"]
    require_equal(bins.loc["from 0.5"], scores_of(found.confusions[1], classes))


# ---- drops


def test_published_drops_follow_from_the_published_table():
    # Chen et al. 2022, Table III [%], scene 1 and area 3 of scene 2, and the drops in the text
    methods = ["unet", "landsnet", "unetpp", "band_ratio", "m_landsnet"]
    columns = ["f1", "kappa", "oa"]
    scene1 = [(95.93, 94.69, 98.10), (95.45, 94.09, 97.91), (95.76, 94.47, 98.02), (93.71, 91.79, 97.08)]
    area3 = [(71.09, 68.26, 94.66), (75.57, 73.47, 96.12), (78.25, 76.56, 96.89), (77.03, 75.21, 96.62)]
    text = [(24.84, 26.43, 3.44), (19.88, 20.62, 1.79), (17.51, 17.91, 1.13), (16.68, 16.58, 0.46)]
    tables = {
        "scene 1": pd.DataFrame([*scene1, (96.01, 94.81, 98.16)], methods, columns),
        "area 3": pd.DataFrame([*area3, (80.48, 78.82, 96.94)], methods, columns),
    }
    found = drops(tables)
    np.testing.assert_allclose(found.loc["area 3"], [*text, (15.53, 15.99, 1.22)], atol=1e-9)
    with pytest.raises(GlacierlabError, match="two or more"):
        drops({"scene 1": tables["scene 1"]})
    with pytest.raises(GlacierlabError, match="has rows"):
        drops({"scene 1": tables["scene 1"], "area 3": tables["area 3"].iloc[1:]})


@pytest.fixture(scope="module")
def weather():
    """The same ground with fewer and with more wrong labels."""
    clear, cloudy = (noisy_patches(6, wrong=wrong) for wrong in (0.05, 0.25))
    return {name: evaluate(MODEL, each, repeats=10) for name, each in (("clear", clear), ("cloudy", cloudy))}


def test_a_drop_is_a_difference_with_its_interval(weather):
    found = drops(weather, scores=["iou"]).loc["cloudy"].loc["glacier"]
    expected = [weather[name].scores.loc["glacier", "iou"] for name in ("clear", "cloudy")]
    assert found["iou"] == pytest.approx(expected[0] - expected[1])
    assert 0 < found["iou_low"] < found["iou"] < found["iou_high"]
    paired = drops(weather, scores=["iou"], paired=True).loc["cloudy"].loc["glacier"]
    assert paired["iou"] == found["iou"]
    assert 0 < paired["iou_low"] < paired["iou"] < paired["iou_high"]


def test_equal_evaluations_drop_by_nothing_in_pairs(weather):
    same = {"first": weather["clear"], "again": weather["clear"]}
    paired = drops(same, paired=True)
    assert (paired.to_numpy() == 0).all()
    low, high = drops(same).loc["again"].loc["glacier", ["f1_low", "f1_high"]]
    assert low < 0 < high


def test_pairs_are_of_the_same_ground(weather):
    elsewhere = evaluate(MODEL, noisy_patches(5), repeats=1)
    with pytest.raises(GlacierlabError, match="share 120 of 144 and 120 squares of ground"):
        drops({"here": weather["clear"], "there": elsewhere}, paired=True)
    few = evaluate(MODEL, noisy_patches(1), repeats=1)
    found = drops({"here": weather["clear"], "there": few})
    assert found["f1"].notna().all()
    assert found["f1_low"].isna().all()


# ---- dates


@pytest.fixture
def dates():
    """Three dates of one ground: the ice stays, what looks like it covers 1, 2 and 3 quarters more pixels."""
    made, labels = {}, {}
    ice = np.zeros((64, 64), bool)
    ice[:32, :32] = True  # 1024 pixels
    for number in range(3):
        scene = noisy((64, 64), seed=number)
        scene["red"].values[:] = np.where(ice, 0.9, 0.1)
        scene["red"].values[32 : 32 + 8 * number, :32] = 0.9  # snow on 256 pixels more each date
        made[f"d{number}"], labels[f"d{number}"] = scene, truth_of(scene, ice)
    return made, labels


def test_areas_are_pixels_times_their_size(dates):
    found = areas(evaluate(MODEL, patches_of(*dates), repeats=1))
    assert found.loc["d2", "glacier"].to_dict() == pytest.approx(
        {"mapped_km2": 1536 * PIXEL_KM2, "true_km2": 1024 * PIXEL_KM2, "labeled_km2": 4096 * PIXEL_KM2}
    )


def test_stability_is_the_spread_of_the_mapped_area(dates):
    found = area_stability(evaluate(MODEL, patches_of(*dates), repeats=1)).loc["glacier"]
    assert found["dates"] == 3
    assert found["mean_km2"] == pytest.approx(1280 * PIXEL_KM2)
    assert found["std_km2"] == pytest.approx(256 * PIXEL_KM2)
    assert found["std_percent"] == pytest.approx(20)
    assert found["range_percent"] == pytest.approx(40)
    assert found["true_km2"] == pytest.approx(1024 * PIXEL_KM2)
    assert found["bias_percent"] == pytest.approx(25)


def test_only_common_ground_counts_and_gaps_are_told(dates):
    made, labels = dates
    labels["d1"].values[:, 48:] = 255  # its last column of patches is not cut
    found = area_stability(evaluate(MODEL, patches_of(made, labels), repeats=1))
    assert found["true_km2"].sum() == pytest.approx(64 * 48 * PIXEL_KM2)
    labels["d2"].values[:, 40:] = 255
    with pytest.warns(DataWarning, match=r"0\.256 to 0\.3072 km2 of labeled ground"):
        area_stability(evaluate(MODEL, patches_of(made, labels), repeats=1))


def test_what_gives_no_stability_is_told(dates):
    made, labels = dates
    with pytest.raises(GlacierlabError, match="there is one"):
        area_stability(evaluate(MODEL, patches_of(made["d0"], labels["d0"]), repeats=1))
    with pytest.raises(GlacierlabError, match="no patch is in all of them"):
        area_stability(evaluate(MODEL, noisy_patches(2), repeats=1))
    with pytest.raises(GlacierlabError, match="scene 'd0' overlap"):
        areas(evaluate(MODEL, patches_of(made, labels, stride=8), repeats=1))
    assert interval(np.zeros((3, 2))).tolist() == [[0, 0], [0, 0]]
