"""Lesson 3: verdicts of its exercises, and that it measures what it says."""

import numpy as np
import pandas as pd
import pytest
from labeled import made_labels, made_scene
from worlds import world_of

import glacierlab as gl
from glacierlab import teach
from glacierlab.samples import PatchSet
from glacierlab.teach import worlds_and_samples

PARTS = dict(shares=(0.67, 0.33), names=("train", "test"))


def noise(size=8, stride=4):
    """Patches of three places where neither bands nor labels know anything: nothing can be learned."""
    scenes = {f"s{n}": made_scene((48, 48), n, west=500_000 + 5_000 * n) for n in range(4)}
    labels = {
        name: made_labels(scene, n, (0, 1, 2), block=1) for n, (name, scene) in enumerate(scenes.items())
    }
    every = PatchSet.from_scenes(scenes, labels, size=size, stride=stride)
    every = every.with_split(np.where(every.manifest["scene"] == "s3", "new", "known"))
    return every.subset("known"), every.subset("new")


@pytest.fixture(scope="module")
def known():
    return noise()[0]


# ---- what it measures


def test_where_nothing_can_be_learned_all_above_chance_is_flattery():
    pytest.importorskip("sklearn")
    known, new = noise()
    ways = {"random": [known.split("random", leaks=True, **PARTS)], "scene": known.folds(3, "scene")}
    table = teach.optimism(ways, new, trees=10)
    kinds = ["background", "clean_ice", "debris_covered_ice"]
    assert table["own_test"].loc["random", kinds].min() > 0.45  # it has seen most of its test's pixels
    np.testing.assert_allclose(table["own_test"].loc["scene", kinds], 1 / 3, atol=0.06)
    np.testing.assert_allclose(table["new"].dropna(), 1 / 3, atol=0.06)
    np.testing.assert_allclose(table["flattery"], table["own_test"] - table["new"])


def test_without_overlap_the_random_split_of_noise_flatters_nobody():
    pytest.importorskip("sklearn")
    known, new = noise(stride=8)
    table = teach.optimism({"random": [known.split("random", leaks=True, **PARTS)]}, new, trees=10)
    np.testing.assert_allclose(table["flattery"].dropna(), 0, atol=0.12)


def test_f1_by_class_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 3, 500), rng.integers(0, 4, 500)
    ours = worlds_and_samples.f1_by_class(truth, found, ("a", "b", "c", "d"))
    np.testing.assert_allclose(ours[:3], metrics.f1_score(truth, found, labels=[0, 1, 2], average=None))
    assert np.isnan(ours[3])  # no pixel is of it


def test_in_made_worlds_the_random_split_flatters_where_the_class_is_hard():
    pytest.importorskip("sklearn")
    worlds = {
        name: world_of(n, years=(2020,), shape=(128, 128), latitude=28.0 + n) for n, name in enumerate("ABCD")
    }
    layers = ["green", "red", "nir", "swir16", "elevation", "slope", "aspect"]
    images = {name: world.scene(2020).glacier.stack(layers) for name, world in worlds.items()}
    labels = {name: world.truth(2020).class_map for name, world in worlds.items()}
    every = PatchSet.from_scenes(images, labels, size=16, stride=8)
    every = every.with_split(np.where(every.manifest["scene"] == "D", "new", "known"))
    known = every.subset("known")
    random = known.split("random", leaks=True, **PARTS)
    ways = {"random": [random], "scene": known.folds(3, "scene")}
    own = teach.optimism(ways, every.subset("new"), trees=10)["own_test"]
    assert not random.audit().ok
    assert known.split("scene", **PARTS).audit().ok
    assert own["random", "debris_covered_ice"] > own["scene", "debris_covered_ice"] + 0.05
    assert own["random", "clean_ice"] < own["scene", "clean_ice"] + 0.05


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((2010, 2020), "Right. From 2010 to 2020 the glaciers lost 2.00 km² in 10 years, 0.200"),
        ([np.int64(2010), 2020], "Right."),
        ((1980, 2010), "Not yet. From 1980 to 2010 they lost 3.00 km², but in 30 years: 0.100"),
        ((1980, 2020), "Not yet. Give two years that follow one another: one of (1980, 2010), (2010, 2020)"),
        (("1980", "2010"), "Not yet. Give two years in brackets"),
        (2010, "Not yet. Give two years in brackets"),
    ],
)
def test_fastest_loss_asks_for_the_rate(answer, expected):
    years = np.repeat([1980, 2010, 2020], 2)
    areas = pd.DataFrame({"glacier_id": [1, 2] * 3, "year": years, "area_km2": [9.0, 1, 6, 1, 5, 0]})
    assert repr(gl.teach.check("03.1", answer, areas)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"overlap"}, "Right. Just these: overlap."),
        ([], "Not yet. 0 right, and 1 missing"),
        (["overlap", "glaciers"], "Not yet. The audit reports no glaciers"),
        ("overlap", "Right."),
        ("overlap, labels", "Not yet. The audit reports no labels"),
        (np.array(["overlap"]), "Right."),
        (pd.Series(["overlap"], index=[7]), "Right."),
        (["windows", "twins"], "Not yet. The audit reports no twins, windows"),  # the example of the hint
        ([1], "Not yet. Give the names in brackets"),
        (1, "Not yet. Give the names in brackets"),
        (None, "Not yet. Give the names in brackets"),
    ],
)
def test_leak_kinds(known, answer, expected):
    split = known.split("random", leaks=True, **PARTS)
    assert repr(gl.teach.check("03.2", answer, split)).startswith(expected)


def test_leak_kinds_of_two_dates_with_one_label():
    scenes = {"2010": made_scene(seed=1), "2020": made_scene(seed=2)}
    set_ = PatchSet.from_scenes(scenes, made_labels(scenes["2010"]), size=10, glaciers="g")
    by_date = set_.with_split(np.where(set_.manifest["scene"] == "2010", "train", "test"))
    leak = by_date.audit().offenders["leak"]
    assert leak.str.contains(", ").all()  # several in one text
    for answer in (
        ["overlap", "labels", "glaciers"],
        "overlap, labels,glaciers",
        leak,
        list(leak),
        leak.unique(),
    ):
        assert gl.teach.check("03.2", answer, by_date)
    assert said_of(by_date, ["overlap, labels"]).startswith("Not yet. 2 right, and 1 missing.")
    assert said_of(by_date, ["windows", "twins"]).startswith("Not yet. The audit reports no")


def said_of(split, answer):
    return repr(gl.teach.check("03.2", answer, split))


def test_honest_split():
    scenes = {f"s{n}": made_scene((96, 96), n, west=500_000 + 10_000 * n) for n in range(2)}
    labels = {name: made_labels(scene, n, (0, 1), block=1) for n, (name, scene) in enumerate(scenes.items())}
    wide = PatchSet.from_scenes(scenes, labels, size=8, stride=4)
    judge = lambda answer, share=0.2: repr(gl.teach.check("03.3", answer, 100, share))
    blocks = wide.split("blocks", block_m=480, buffer_m=100, **PARTS)
    assert judge(blocks).startswith("Right. No leak: patches of two parts are at least 1")
    assert judge(blocks, 0.6).startswith("Not yet. The part ")
    assert judge(wide.split("blocks", block_m=480, **PARTS)).startswith("Not yet. Leaks between")
    assert judge(wide.split("random", leaks=True, **PARTS)).startswith("Not yet. Leaks between")
    whole = wide.split("scene", shares=(0.5, 0.5), names=("train", "test"))
    assert judge(whole).startswith("Not yet. Of s0, s1 one part holds nothing.")
    assert judge(wide).startswith("Not yet. Give patches with the parts")
    assert judge(blocks.manifest).startswith("Not yet. Give patches with the parts")


def test_honest_split_needs_every_class_in_both_parts():
    scene = made_scene((48, 96))
    labels = made_labels(scene, codes=(0, 1))
    labels[:, 72:] = 2  # on one side alone
    one = PatchSet.from_scenes({"s": scene}, {"s": labels}, size=8)
    east = one.manifest.geometry.centroid.x > float(scene.x.mean())
    sides = one.with_split(np.where(east, "test", "train"))
    assert "The part 'train' holds no debris_covered_ice" in repr(gl.teach.check("03.3", sides, 0, 0.2))
