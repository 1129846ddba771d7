"""Lesson 4: the worlds that lessons share, and verdicts of its exercises."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import glacierlab as gl

CLASSES = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
SHARES = dict(zip(CLASSES, (0.6, 0.3, 0.08, 0.02), strict=True))
RARE = ["debris_covered_ice", "glacial_lake"]


# ---- the worlds of lessons 4 to 6


@pytest.fixture(scope="module")
def shared():
    return gl.teach.lesson_patches(40, ["red", "swir16", "slope", "coherence"], stride=32)


def test_worlds_are_parts_as_a_whole_and_nothing_leaks(shared):
    patches, _ = shared
    scenes = patches.manifest.groupby("split")["scene"].unique().map(sorted).to_dict()
    assert scenes == {"test": ["G", "H"], "train": [*"ABCDE"], "val": ["F"]}
    assert patches.audit().ok
    assert patches.classes == CLASSES
    assert (patches.parts() > 0).all(axis=None)  # every part holds every class


def test_the_recipe_goes_with_the_patches_and_knows_the_training_worlds_alone(shared):
    patches, _ = shared
    recipe = gl.Recipe.from_json(patches.origin["recipe"])
    assert recipe.layers == ("red", "swir16", "slope", "coherence")
    assert recipe.fitted.scenes == 5
    assert patches.origin["sensor"] == "hls_l30"  # as Athabasca's
    images = np.stack([image for image, _ in patches.subset("train")])
    np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), 0, atol=0.02)
    np.testing.assert_allclose(images.std(axis=(0, 2, 3)), 1, atol=0.03)


def test_the_ground_has_the_same_windows_in_natural_units(shared):
    patches, ground = shared
    window = ["scene", "row", "col", "split"]
    pd.testing.assert_frame_equal(patches.manifest[window], ground.manifest[window])
    assert ground.features == ("elevation", "slope", "aspect_sin", "aspect_cos", "ndvi", "cast_shadow")
    world = gl.synthetic_world(40, (2010, 2020), (160, 160), latitude=28.0)
    image, label = ground[0]
    known = label != 255
    np.testing.assert_array_equal(image[0][known], world.scene(2020).elevation.values[:32, :32][known])
    assert 1 < image[1][known].mean() < 60  # degrees
    assert set(np.unique(image[5])) <= {0, 1}


def test_the_ground_serves_as_strata(shared):
    pytest.importorskip("torch")
    patches, ground = shared
    model = gl.models.build_model("single_band", len(patches.features), len(CLASSES), band="swir16")
    model = gl.fit(model, patches, max_pixels=500, progress=False).model
    found = gl.evaluate(model, patches.subset("test"), strata=ground, repeats=20)
    kinds = set(found.by_stratum.index.get_level_values("stratum"))
    assert kinds >= {"elevation", "slope", "aspect", "relief", "vegetation", "shadow"}


# ---- verdicts


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.9, "Right. A map that never finds debris_covered_ice and glacial_lake can still be right in 90.0"),
        (np.float32(0.903), "Right."),
        (90, "Not yet. 90 is the right number as a percentage"),
        (0.1, "Not yet. 0.1 is where such a map is wrong"),
        (0.6, "Not yet. 0.6 is not it"),
        ("many", "Not yet. An accuracy is a number"),
        (None, "Not yet. An accuracy is a number"),
    ],
)
def test_blind_accuracy(answer, expected):
    patches = SimpleNamespace(class_shares=lambda: SHARES)
    assert said("04.1", answer, patches, RARE).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (2, "Right. Epoch 2, where the loss of validation is 0.400"),
        (np.int64(3), "Right."),  # 0.43 is about as good
        (0, "Not yet. In epoch 0 the loss of validation is 1.000, and later it is lower. Read the orange"),
        (4, "Not yet. In epoch 4 the loss of validation is 0.500, and it was lower before"),
        (5, "Not yet. In epoch 5 the loss of validation is 0.700, and it was lower before"),
        (6, "Not yet. An epoch is a whole number from 0 to 5"),
        (2.5, "Not yet. An epoch is a whole number"),
        ("2nd", "Not yet. An epoch is a whole number"),
    ],
)
def test_stop_epoch(answer, expected):
    history = pd.DataFrame({"epoch": range(6), "val_loss": [1.0, 0.6, 0.4, 0.43, 0.5, 0.7]})
    assert said("04.4", answer, history).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.15, "Right. Above 0.15 the IoU is 0.80; with one half it would be 0.25."),  # 4 found, 1 too many
        (np.float32(0.16), "Right."),
        (0.05, "Not yet. Above 0.05 the IoU is 0.500: much that is no lake"),
        (0.5, "Not yet. Above 0.5 the IoU is 0.250: the network hardly ever"),
        (15, "Not yet. A threshold of a probability is a number from 0 to 1."),
        ("low", "Not yet. A threshold of a probability"),
    ],
)
def test_rare_threshold(answer, expected):
    probability = np.array([[0.2, 0.3, 0.4, 0.6, 0.2], [0.1, 0.1, 0.1, 0.02, 0.01]])
    lake = np.array([[True, True, True, True, False], [False] * 5])
    assert said("04.3", answer, probability, lake).startswith(expected)


def test_a_world_with_hardly_a_lake_asks_for_another_seed():
    probability, lake = np.full((100, 100), 0.1), np.zeros((100, 100), dtype=bool)
    lake[0, :9] = True
    assert said("04.3", 0.05, probability, lake).startswith("Not yet. Lakes are 0.09 % of the pixels here")
    lake[0, :10] = True
    assert "Go up" not in said("04.3", 0.05, probability, lake)
    training, val = SimpleNamespace(model=None, history=[]), SimpleNamespace()
    val.class_shares = lambda: SHARES | {"glacial_lake": 0.0002}
    found = said("04.2", training, training, val, "glacial_lake")
    assert found.startswith("Not yet. glacial_lake is 0.02 % of these pixels")
    assert "Take another SEED" in found


def test_the_hint_of_the_first_exercise_leads_to_the_right_number(shared):
    """What it names, of the validation patches, gives what is accepted; over all parts, it does not."""
    patches, _ = shared
    assert 'the row "val" of the table, or patches.subset("val").class_shares()' in said(
        "04.1", 0.5, patches.subset("val"), RARE
    )
    table, shares = patches.parts().loc["val"], patches.subset("val").class_shares()
    for each in (table, shares):
        assert gl.teach.check("04.1", 1 - sum(each[name] for name in RARE), patches.subset("val"), RARE)


def trained(shared, pixels):
    """A `Training` of a forest on so many pixels of each class."""
    patches, _ = shared
    model = gl.models.build_model("random_forest", len(patches.features), len(CLASSES), n_estimators=5)
    return gl.fit(model, patches, max_pixels=pixels, progress=False)


def test_better_training_asks_for_more_than_luck(shared):
    pytest.importorskip("sklearn")
    val = shared[0].subset("val")
    lesson, other = trained(shared, 4), trained(shared, 2000)
    judge = lambda mine, theirs: said("04.2", mine, theirs, val, "debris_covered_ice")
    assert judge(other, lesson).startswith("Right. IoU of debris_covered_ice is 0.")
    assert judge(lesson, other).startswith("Not yet. IoU of debris_covered_ice is 0.")
    assert "One change at a time" in judge(lesson, other)
    assert "Less than 0.1 apart is luck" in judge(lesson, lesson)
    assert judge(lesson.model, lesson) == "Not yet. Give what gl.fit returns, a Training."
