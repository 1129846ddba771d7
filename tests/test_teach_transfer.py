"""Lesson 12: two made ranges, few labels, and verdicts of its exercises."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import glacierlab as gl
from glacierlab.errors import GlacierlabError, SceneError
from glacierlab.teach import transfer

CLASSES = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
RARE = "glacial_lake"


@pytest.fixture(scope="module")
def ranges():
    """Both ranges with a world a part."""
    few = {"home": dict(train=1, val=1, test=1), "away": dict(pool=1, val=1, test=1)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "WORLDS", few)
        return gl.teach.two_ranges(1200, ["red", "nir", "elevation", "slope"])


# ---- rock


def test_rock_has_the_brightness_asked_for_and_the_truth_knows_nothing_of_it():
    world = gl.synthetic_world(3, (2020,), (64, 64))
    plain, same, dark = world.scene(), world.scene(rock=1.0), world.scene(rock=0.6)
    assert plain.identical(same)
    truth = world.truth()
    assert world.truth(rock=0.6).class_map.equals(truth.class_map)
    ice = (truth.fraction.sel({"class": "clean_ice"}) == 1) & (truth.snow == 0)
    debris = truth.fraction.sel({"class": "debris_covered_ice"}) == 1
    ratio = dark.nir / plain.nir
    assert 0.6 <= float(ratio.where(debris).median()) < 0.75  # some ice looks through, and light from around
    assert float(ratio.where(ice).median()) > 0.9


@pytest.mark.parametrize("rock", [0, 5, "granite", None, np.nan])
def test_no_such_rock(rock):
    with pytest.raises(SceneError, match=r"rock=.* is no brightness of rock: give a multiple, 0.2 to 2.0"):
        gl.synthetic_world(3, (2020,), (64, 64)).scene(rock=rock)


# ---- what the lesson measures


def test_ranges_share_a_recipe_and_no_world_is_in_two_parts(ranges):
    home, away = ranges
    assert home.classes == away.classes == CLASSES
    assert home.origin["recipe"] == away.origin["recipe"]
    assert gl.Recipe.from_json(home.origin["recipe"]).fitted.scenes == 1  # the training world alone
    parts = {
        name: sorted(set(each.manifest["split"])) for name, each in zip(("home", "away"), ranges, strict=True)
    }
    assert parts == {"home": ["test", "train", "val"], "away": ["pool", "test", "val"]}
    for each in ranges:
        assert (each.manifest.groupby("scene")["split"].nunique() == 1).all()
        assert each.audit().ok
    assert not set(home.manifest["scene"]) & set(away.manifest["scene"])


def test_a_low_range_of_bright_rock_lies_beside_what_home_knows(ranges):
    images = [np.stack([image for image, _ in each]) for each in ranges]
    red, _, elevation, slope = (images[1] - images[0].mean(axis=(0, 2, 3), keepdims=True)).mean(
        axis=(0, 2, 3)
    )
    assert elevation < -5
    assert red > 0
    assert abs(slope) < 1


def test_lakes_of_a_world_are_frozen_at_home_alone():
    nir = {}
    for name in transfer.RANGES:
        scene, labels, outlines = gl.teach.range_world(name, 1200)
        assert len(outlines)
        nir[name] = float(scene.nir.where(labels == CLASSES.index(RARE)).median())
    assert nir["home"] > 0.2 > nir["away"]


def test_more_labels_of_a_draw_hold_those_of_fewer(ranges):
    pool = ranges[1].subset("pool")
    few, more = (list(gl.teach.few_patches(pool, count, 1).manifest.index) for count in (3, 8))
    assert len(set(more)) == 8
    assert more[:3] == few
    assert few != list(gl.teach.few_patches(pool, 3, 2).manifest.index)


def test_medians_of_a_class(ranges):
    medians = gl.teach.class_medians("clean_ice", home=ranges[0], away=ranges[1])
    image, label = map(np.stack, zip(*ranges[1], strict=True))
    red = image[:, 0][label == 1]
    assert medians.loc["red", "away"] == pytest.approx(np.median(red))
    assert list(medians.index) == list(ranges[0].features)


@pytest.mark.slow
def test_a_curve_begins_with_the_model_that_came(ranges, tmp_path):
    torch = pytest.importorskip("torch")
    home, away = ranges
    pool, val = away.subset("pool"), away.subset("val")

    def fresh(seed):
        torch.manual_seed(seed)
        return gl.models.build_model("unet", 4, 4, widths=(4, 8), norm="batch")

    start = gl.fit(fresh(0), home, out=tmp_path, max_epochs=1, progress=False)
    curve = gl.teach.learning_curve(fresh, start.best, pool, val, labels=(8,), draws=1)
    keys = curve[["start", "labels", "draw"]].drop_duplicates().to_records(index=False).tolist()
    assert keys == [("fine-tuned", 0, 0), ("fine-tuned", 8, 0), ("from scratch", 8, 0)]
    came = curve[curve["labels"] == 0].set_index("class")["iou"]
    np.testing.assert_allclose(came, gl.evaluate(start.model, val).scores["iou"][list(CLASSES)])
    labeled = curve[curve["labels"] == 8].groupby("start")["labeled_px"].sum()
    assert (labeled == 8 * 32 * 32).all()
    learned = curve[(curve["class"] == "background") & (curve["labels"] == 8)]["iou"]
    assert (learned > came["background"]).all()  # of another range, by ground that it has never seen


def test_the_figure_has_a_panel_a_class_and_refuses_another_table():
    rows = [
        (start, labels, 0, name, 0.5)
        for name in CLASSES
        for start, labels in (("fine-tuned", 0), ("fine-tuned", 4), ("from scratch", 4))
    ]
    curve = pd.DataFrame(rows, columns=["start", "labels", "draw", "class", "iou"])
    axes = gl.viz.learning_figure(curve).axes
    assert [ax.get_title() for ax in axes] == ["clean ice", "debris covered ice", "glacial lake"]
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["0", "4"]
    with pytest.raises(GlacierlabError, match=r"lacks the columns \['iou'\].*learning_curve"):
        gl.viz.learning_figure(curve.drop(columns="iou"))


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("elevation", "Right. elevation lies -"),
        ("red", "Not yet. red lies +"),
        ("height", "Not yet. The patches have no layer 'height'. They have: red, nir, elevation, slope"),
        (3, "Not yet. Give the name of one layer"),
    ],
)
def test_farthest_layer(ranges, answer, expected):
    assert repr(gl.teach.check("12.1", answer, *ranges)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("nir", "Right. In nir the middle lake pixel is at +0.8 at home and at -0.9 away"),
        ("slope", "Not yet. In slope the middle lake pixel is at -1.0 at home and at -1.2 away"),
        ("ice", "Not yet. There is no layer 'ice' in the table. There are: nir, slope"),
        (None, "Not yet. Give the name of one layer"),
    ],
)
def test_moved_layer(answer, expected):
    medians = pd.DataFrame({"home": [0.8, -1.0], "away": [-0.9, -1.2]}, ["nir", "slope"])
    assert repr(gl.teach.check("12.2", answer, medians)).startswith(expected)


@pytest.mark.parametrize(
    ("rows", "iou", "expected"),
    [
        ("most", 0.5, "Right. 4 patches with"),
        ("most", 0.32, "Not yet. "),
        ("least", 0.5, "Not yet. No pixel of these 4 patches is glacial_lake"),
        ("many", 0.5, "Not yet. These are 5 patches, and the budget is 4"),
        ([-1], 0.5, "Not yet. The pool has no patch -1"),
        (7, 0.5, "Not yet. Give numbers of rows in brackets"),
    ],
)
def test_chosen_patches(ranges, monkeypatch, rows, iou, expected):
    pool = ranges[1].subset("pool")
    table = pool.manifest[f"{RARE}_share"]
    chosen = {"most": table.nlargest(4).index, "least": list(table.nsmallest(4).index)}
    chosen["many"] = table.nlargest(5).index
    monkeypatch.setattr(transfer, "iou_by_class", lambda model, _: {RARE: model})
    given = (0.3, pool, ranges[1].subset("val"), lambda few: iou, RARE, 4)
    answer = chosen[rows] if isinstance(rows, str) else rows
    assert repr(gl.teach.check("12.3", answer, *given)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RARE, "Right. glacial_lake: IoU 0.80 before, 0.50 after"),
        ("clean_ice", "Not yet. clean_ice: IoU 0.95 before, 0.90 after"),
        ("mean", "Not yet. There is no class 'mean'"),
        (1, "Not yet. Give the name of one class"),
    ],
)
def test_forgotten_class(answer, expected):
    seen = [
        SimpleNamespace(scores=pd.DataFrame({"iou": values}, [*CLASSES, "mean"]))
        for values in ([0.98, 0.95, 0.8, 0.8, 0.9], [0.97, 0.9, 0.7, 0.5, 0.8])
    ]
    assert repr(gl.teach.check("12.4", answer, *seen)).startswith(expected)
