"""Lesson 5: the worlds to judge on, and verdicts of its exercises."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from worlds import world_of

import glacierlab as gl
from glacierlab import teach
from glacierlab.samples import PatchSet

CLASSES = ["background", "clean_ice", "debris_covered_ice"]


def check(exercise, answer, *given):
    return repr(teach.check(exercise, answer, *given))


# ---- worlds to judge on


@pytest.fixture(scope="module")
def known():
    """Patches of one world with a recipe."""
    world = world_of(1, years=(2020,), shape=(96, 96))
    scene = world.scene(2020, sensor="hls_l30").assign(coherence=world.radar().coherence)
    recipe = gl.Recipe(["red", "swir16", "coherence"]).fit(scene)
    return PatchSet.from_scenes(scene, scene.truth, recipe, size=32)


@pytest.fixture(scope="module")
def new(known):
    return teach.new_worlds(known, 48, 2)


def test_new_worlds_have_the_layers_and_numbers_of_the_known_ones(known, new):
    patches, ground = new
    assert (patches.features, patches.classes, patches.size) == (
        known.features,
        (*CLASSES, "glacial_lake"),
        32,
    )
    assert patches.origin["recipe"] == known.origin["recipe"]  # nothing was learned from them
    world = gl.synthetic_world(48, (2010, 2020), (160, 160), latitude=28.0)
    scene = world.scene(2020, sensor="hls_l30").assign(coherence=world.radar().coherence)
    expected = gl.Recipe.from_json(known.origin["recipe"]).apply(scene)
    row, col = patches.manifest.loc[7, ["row", "col"]]
    window = dict(y=slice(row, row + 32), x=slice(col, col + 32))
    image, label = patches[7]
    np.testing.assert_allclose(image, expected.isel(window), atol=1e-6)
    np.testing.assert_array_equal(label, world.truth(2020).class_map.isel(window))
    np.testing.assert_allclose(ground[7][0][0], scene.elevation.isel(window), rtol=1e-6)  # [m]


def test_new_worlds_do_not_overlap_and_are_a_scene_each(new):
    patches, ground = new
    assert patches.manifest.scene.value_counts().to_dict() == {"world 48": 25, "world 49": 25}
    assert patches.windows() == ground.windows()
    squares = patches.manifest.geometry
    assert squares.union_all().area == pytest.approx(squares.area.sum())


def test_another_day_changes_what_is_seen_and_not_the_labels(known, new):
    june, _ = teach.new_worlds(known, 48, 1, date="06-15")
    red, radar = (known.features.index(name) for name in ("red", "coherence"))
    for (image, label), (snowy, same) in zip(new[0], june, strict=False):
        np.testing.assert_array_equal(label, same)
        np.testing.assert_array_equal(image[radar], snowy[radar])
    brighter = np.mean([image[red].mean() for image, _ in june])
    assert brighter > np.mean([new[0][n][0][red].mean() for n in range(25)]) + 0.5  # snow


def test_patches_without_a_recipe_have_no_new_worlds(known):
    world = world_of(1, years=(2020,), shape=(96, 96))
    images = world.scene(2020).glacier.stack(["red"])
    bare = PatchSet.from_scenes(images, world.truth(2020).class_map, size=32)
    with pytest.raises(gl.errors.GlacierlabError, match="do not know their recipe: make them by"):
        teach.new_worlds(bare, 48)


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("debris_covered_ice", "background"), "Right. 40.0 % of debris_covered_ice was taken for backgr"),
        (["debris_covered_ice", "background"], "Right."),
        (("background", "debris_covered_ice"), "Not yet. 10.0 % of background was taken for debris_co"),
        (("clean_ice", "background"), "Not yet. 5.0 % of clean_ice was taken for background, and there is"),
        (("clean_ice", "clean_ice"), "Not yet. Name two different classes, the actual one first: backgr"),
        (("clean_ice",), "Not yet. Name two different classes"),
        (("clean_ice", "rock"), "Not yet. Name two different classes"),
        ("clean_ice", "Not yet. Give two names in brackets"),
        (None, "Not yet. Give two names in brackets"),
    ],
)
def test_worst_confusion(answer, expected):
    shares = pd.DataFrame([[0.9, 0.0, 0.1], [0.05, 0.95, 0.0], [0.4, 0.1, 0.5]], CLASSES, CLASSES)
    assert check("05.2", answer, shares).startswith(expected)


def test_worst_confusion_leaves_out_classes_that_are_not_there():
    shares = pd.DataFrame([[0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [np.nan] * 3], CLASSES, CLASSES)
    assert check("05.2", ("clean_ice", "background"), shares).startswith("Right. 30.0 %")
    assert check("05.2", ("debris_covered_ice", "background"), shares).startswith("Not yet.")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.9, "Right. The bin from 0.75 to 1.00 adds 0.0901 to the ECE: it holds 90 % of the pixels."),
        (1, "Right."),
        (np.float32(0.75), "Right."),
        (0.3, "Not yet. From 0.25 to 0.50 the gap is widest, but the bin holds 0.9 % of the pixels and adds"),
        (0.6, "Not yet. The bin from 0.50 to 0.75 adds 0.0090"),
        (0.1, "Not yet. The bin from 0.00 to 0.25 adds 0.0000 (it holds 0 % of the pixels)"),
        (2, "Not yet. Give a confidence from 0 to 1"),
        (90, "Not yet. Give a confidence"),
        ("high", "Not yet. Give a confidence"),
        (None, "Not yet. Give a confidence"),
    ],
)
def test_costly_bin_counts_pixels(answer, expected):
    # by hand: 1000 / 1110 x 0.1 = 0.0901, 100 / 1110 x 0.1 = 0.0090, 10 / 1110 x 0.3 = 0.0027
    table = pd.DataFrame(
        dict(
            low=[0, 0.25, 0.5, 0.75], high=[0.25, 0.5, 0.75, 1], count=[0, 10, 100, 1000],
            confidence=[np.nan, 0.4, 0.6, 0.95], accuracy=[np.nan, 0.1, 0.5, 0.85],
        )
    )  # fmt: skip
    assert check("05.4", answer, table).startswith(expected)


def test_costly_bin_of_the_package_own_table():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 10_000)
    table = gl.judge.reliability(sure, rng.random(10_000) < sure - 0.3 * (sure > 0.9), bins=10)
    assert check("05.4", 0.93, table).startswith("Right. The bin from 0.90 to 1.00")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["b"], "Right. Not to be told apart from a: b."),
        ({"b"}, "Right."),
        (
            ["b", "c"],
            "Not yet. c can be told apart from a: the interval of their difference does not hold 0.",
        ),
        ([], "Not yet. 0 right, and 1 missing."),
        (["z"], "Not yet. No difference is known for z: choose from b, c."),
        (["a"], "Not yet. No difference is known for a"),
        ("b", "Not yet. Give names in brackets"),
        ([1], "Not yet. Give names in brackets"),
    ],
)
def test_told_apart_either_way_round(answer, expected):
    rows = [("a", "b", 0.1, -0.05, 0.2), ("c", "a", -0.3, -0.4, -0.2), ("b", "c", 0.2, -0.1, 0.3)]
    table = pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high"])
    table = table.assign(**{"test": "new", "class": "clean_ice", "metric": "iou"})
    other = table.assign(test="old", low=-1, high=1)  # where nothing can be told
    given = pd.concat([table, other]), "a", "new", "clean_ice"
    assert check("05.1", answer, *given).startswith(expected)


def test_told_apart_from_all():
    rows = [("a", "b", "new", "clean_ice", "iou", 0.1, 0.05, 0.2)]
    table = pd.DataFrame(
        rows, columns=["first", "second", "test", "class", "metric", "difference", "low", "high"]
    )
    assert check("05.1", [], table, "a", "new", "clean_ice").startswith("Right. Not to be told apart")
    assert check("05.1", ["b"], table, "a", "new", "clean_ice").startswith("Not yet. b can be")


def day_of(iou, labels=(10, 5)):
    """An evaluation by hand: so many pixels of two classes, and the IoU of clean ice."""
    confusions = np.array([np.diag(labels)])
    return SimpleNamespace(confusions=confusions, scores=pd.DataFrame({"iou": {"clean_ice": iou}}))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            day_of(0.4),
            "Right. IoU of clean_ice is 0.40 on your day, against 0.60 in June and 0.90 on a clear day",
        ),
        (day_of(0.7), "Not yet. IoU of clean_ice is 0.70 on your day, and 0.60 in June"),
        (day_of(0.6), "Not yet. IoU of clean_ice is 0.60, as in June"),
        (day_of(0.4, labels=(9, 6)), "Not yet. These are 1 patches with other labels than the 1"),
        (dict(haze=1), "Not yet. Give what gl.evaluate returns"),
    ],
)
def test_harder_day(answer, expected):
    judged = {"clear": day_of(0.9), "June": day_of(0.6)}
    assert check("05.3", answer, judged, "clean_ice").startswith(expected)
