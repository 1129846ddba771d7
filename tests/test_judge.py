"""Evaluation: counts, scores and intervals against other libraries, published matrices and hand counts."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from labeled import made_outlines

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, ManifestError, MissingBandError, UnknownNameError

torch = pytest.importorskip("torch")

from judging import (  # noqa: E402
    BINARY,
    HALF,
    RED,
    carded,
    linear,
    noisy,
    noisy_patches,
    patches_of,
    truth_of,
)

from glacierlab.judge import confusions, scores_of  # noqa: E402
from glacierlab.judge.evaluation import evaluate  # noqa: E402
from glacierlab.judge.looking import channels_of  # noqa: E402
from glacierlab.models.card import Card  # noqa: E402

THREE = ("background", "clean_ice", "debris_covered_ice")


def written_out(patches, decide):
    """Confusion matrices (patch, K, K), pixel by pixel, of a decision on an image (feature, y, x)."""
    size = len(patches.classes)
    counts = np.zeros((len(patches), size, size), int)
    for number, (image, label) in enumerate(patches):
        for actual, predicted in zip(label.ravel(), decide(image).ravel(), strict=True):
            if actual != 255:
                counts[number, actual, int(predicted)] += 1
    return counts


# ---- scores


def test_scores_of_the_hand_calculation():
    table = scores_of([[55, 10], [5, 30]], BINARY)
    expected = dict(precision=0.75, recall=0.857143, f1=0.8, iou=0.666667, iou_background=0.785714)
    expected |= dict(miou=0.726190, oa=0.85, kappa=0.680851, mcc=0.684737)
    assert table.loc["glacier", [*expected]].to_dict() == pytest.approx(expected, abs=5e-7)
    assert table.loc["glacier", ["tp", "fp", "fn", "tn"]].tolist() == [30, 10, 5, 55]
    assert table.loc["mean", "iou"] == table.loc["glacier", "miou"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [  # Chu et al. 2022, Table 2, whose axes are swapped: its FN are pixels taken for glacier
        ((186712209, 949981, 966562, 230801649), (0.990759, 0.990802, 0.994894, 0.994938, 0.994850)),
        ((186798674, 885576, 880097, 230866053), (0.991487, 0.991523, 0.995296, 0.995282, 0.995311)),
    ],
)
def test_scores_of_a_published_matrix(cells, expected):
    tp, fp, fn, tn = cells
    row = scores_of(np.array([[tn, fp], [fn, tp]], np.int32), BINARY).loc["glacier"]
    assert row[["kappa", "miou", "f1", "precision", "recall"]].tolist() == pytest.approx(expected, abs=6e-7)


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(3)
    actual, predicted = random.integers(0, 3, 500), random.choice(3, 500, p=(0.6, 0.3, 0.1))
    table = scores_of(metrics.confusion_matrix(actual, predicted), THREE)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(actual, predicted)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        np.testing.assert_allclose(table[name], [*expected, expected.mean()])
    np.testing.assert_allclose(table["iou"].iloc[:3], metrics.jaccard_score(actual, predicted, average=None))
    for place, name in enumerate(THREE):
        kappa = metrics.cohen_kappa_score(actual == place, predicted == place)
        assert table.loc[name, "kappa"] == pytest.approx(kappa)


def test_an_absent_class_is_undefined_and_not_in_the_mean():
    table = scores_of([[[8, 0, 0], [0, 1, 0], [0, 0, 0]]], THREE)
    assert table.loc["debris_covered_ice", ["precision", "recall", "iou"]].isna().all()
    assert table.loc["mean", "iou"] == 1
    with pytest.raises(GlacierlabError, match=r"3 classes have the shape .*not \(2, 2\)"):
        scores_of(np.eye(2), THREE)


# ---- counts


def test_confusions_are_the_counted_pixels():
    scene = noisy()
    labels = truth_of(scene, scene.nir.values > 0.4)
    labels.values[:20, :30] = 255
    patches = patches_of(scene, labels)
    found = confusions(linear({"swir16": -20.0, "red": 20.0}), patches)
    np.testing.assert_array_equal(found, written_out(patches, lambda image: image[0] > image[2]))
    assert found.sum() == (labels.values != 255).sum()


def test_classes_and_features_are_matched_by_name():
    scene = noisy()
    codes = np.random.default_rng(1).integers(0, 3, scene.red.shape)
    patches = patches_of(scene, truth_of(scene, codes), classes=list(THREE))
    torch.manual_seed(0)
    plain = carded(torch.nn.Conv2d(2, 3, 1), ("red", "nir"), THREE)
    order = [2, 0, 1]
    turned = carded(torch.nn.Conv2d(2, 3, 1), ("nir", "red"), [THREE[place] for place in order])
    with torch.no_grad():
        turned.network.weight[:] = plain.network.weight[order].flip(1)
        turned.network.bias[:] = plain.network.bias[order]
    assert channels_of(turned, patches) == [1, 0]
    expected = confusions(plain, patches)
    np.testing.assert_array_equal(confusions(turned, patches), expected)
    assert len(set(expected.sum(axis=(0, 1)))) == 3  # so that a mixed-up order would show


def test_batches_chunks_and_caches_change_nothing(tmp_path):
    patches = noisy_patches(2)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)
    )
    model = carded(network, ("red", "nir", "swir16"), BINARY)
    expected = confusions(model, patches)
    cached = patches.to_zarr(tmp_path / "cache")
    lazy = patches_of(
        {"s": noisy().chunk(y=13, x=40)}, truth_of(noisy(), noisy().red.values > 0.5), size=16, stride=9
    )
    for batch_size in (1, 5, 100):
        np.testing.assert_array_equal(confusions(model, patches, batch_size=batch_size), expected)
    np.testing.assert_array_equal(confusions(model, cached), expected)
    assert (confusions(model, lazy).sum(axis=(1, 2)) == 256).all()


def test_one_forward_a_patch_in_eval_mode_and_the_model_is_left_as_it_was():
    seen = []
    patches = noisy_patches(2)
    model = linear(RED, HALF).train()
    model.network.register_forward_hook(lambda module, given, out: seen.append((len(out), module.training)))
    evaluate(model, patches, batch_size=7)
    assert sum(count for count, _ in seen) == len(patches)
    assert not any(training for _, training in seen)
    assert model.training


def test_edit_changes_what_the_model_sees():
    patches = noisy_patches(wrong=0)
    seen = []

    def edit(images, places):
        seen.extend(places.tolist())
        assert images.shape[1:] == (3, 16, 16)
        return np.zeros_like(images)

    found = confusions(linear(RED, HALF), patches, edit=edit)
    assert sorted(seen) == list(range(len(patches)))
    assert found[:, :, 1].sum() == 0


# ---- evaluation


@pytest.fixture(scope="module")
def patches():
    return noisy_patches(6)


@pytest.fixture(scope="module")
def found(patches):
    return evaluate(linear(RED, HALF), patches)


def test_pooled_scores_are_those_of_all_pixels(found, patches):
    counts = confusions(linear(RED, HALF), patches)
    np.testing.assert_array_equal(found.confusions, counts)
    expected = scores_of(counts, BINARY)
    pd.testing.assert_frame_equal(found.scores[[*expected]], expected)
    assert found.scores.columns[4:8].tolist() == ["precision", "precision_low", "precision_high", "recall"]
    inside = found.scores["iou_low"].lt(found.scores["iou"]) & found.scores["iou"].lt(
        found.scores["iou_high"]
    )
    assert inside.all()
    assert found.scores["iou"].between(0.78, 0.86).all()  # a tenth of labels is wrong: 0.9 / 1.1 = 0.82
    assert (found.scores["blocks"] == 6).all()
    assert found.confusion.loc["background", "glacier"] == counts[:, 0, 1].sum()
    np.testing.assert_allclose(found.confusion_shares.sum(axis=1), 1)


def test_macro_is_the_mean_over_units(found, patches):
    for over, groups in (("patch", np.arange(len(patches))), ("scene", patches.manifest["scene"].to_numpy())):
        ious = [
            scores_of(found.confusions[groups == group], BINARY).loc["glacier", "iou"]
            for group in pd.unique(groups)
        ]
        row = found.macro.loc[over].loc["glacier"]
        assert row["iou"] == pytest.approx(np.mean(ious))
        assert row["iou_low"] < row["iou"] < row["iou_high"]
    means = found.macro["iou"].unstack("class")
    np.testing.assert_allclose(means["mean"], means[[*BINARY]].mean(axis=1))


def test_by_scene_and_by_glacier(patches):
    scene = noisy((128, 128))
    labels = truth_of(scene, scene.red.values > 0.5)
    outlines = made_outlines(scene)
    set_ = patches_of(scene, labels, glaciers=outlines)
    result = evaluate(linear(RED, HALF), set_)
    assert result.by_glacier.index.get_level_values("glacier").unique().tolist() == ["a", "b", "c"]
    bears = np.array(["b" in each for each in set_.manifest["glaciers"]])
    expected = scores_of(result.confusions[bears], BINARY)
    pd.testing.assert_frame_equal(result.by_glacier.loc["b"][[*expected]], expected, check_names=False)
    several = evaluate(linear(RED, HALF), patches)
    assert several.by_glacier.empty
    assert "iou" in several.by_glacier
    part = patches.manifest["scene"] == "s3"
    expected = scores_of(several.confusions[part], BINARY)
    pd.testing.assert_frame_equal(several.by_scene.loc["s3"][[*expected]], expected, check_names=False)


def test_too_few_blocks_give_no_interval_and_say_so():
    result = evaluate(linear(RED, HALF), noisy_patches(1))
    assert result.scores["iou_low"].isna().all()
    assert result.scores["iou"].notna().all()
    assert "none: 4 squares of ground are too few, 5 are needed" in repr(result)
    assert "nan" not in repr(result)


def test_a_summary_for_card_and_notebook(found):
    summary = json.loads(json.dumps(found.metrics(), allow_nan=False))
    assert summary["scores"]["glacier"]["iou"]["value"] == found.scores.loc["glacier", "iou"]
    assert summary["scores"]["mean"]["iou"]["low"] == found.scores.loc["mean", "iou_low"]
    assert summary["intervals"] == "95%, by 6 scenes"
    assert summary["overall_accuracy"] == pytest.approx(found.scores.loc["glacier", "oa"])
    assert Card(("red",), ("glacier",), metrics=found.metrics()).metrics == summary
    assert repr(found).startswith("<Evaluation of 'made' on 144 patches, 36,864 pixels: mean IoU 0.8")
    html = found._repr_html_()
    assert "<table" in html
    assert "<Evaluation" not in html
    alone = evaluate(linear(RED, HALF), noisy_patches(1), repeats=5)
    assert json.loads(json.dumps(alone.metrics(), allow_nan=False))["scores"]["mean"]["iou"]["low"] is None


# ---- what is refused


def test_what_does_not_match_is_named(patches):
    with pytest.raises(MissingBandError, match=r"needs \['ndsi', 'slope'\].*have \['red', 'nir', 'swir16'\]"):
        evaluate(linear({"red": 1.0, "ndsi": 1.0, "slope": 1.0}), patches)
    with pytest.raises(UnknownNameError, match=r"knows \['background', 'clean_ice'\], the patches \['backgr"):
        evaluate(linear(RED, classes=("clean_ice",)), patches)
    bare = linear(RED)
    bare.card = None
    with pytest.raises(GlacierlabError, match=r"no card.*gl\.load_model"):
        evaluate(bare, patches)
    wrong = linear({"red": 1.0, "nir": 1.0})
    wrong.card = Card(features=("red",), classes=("glacier",))
    with pytest.raises(GlacierlabError, match="takes 2 channels, and 1"):
        confusions(wrong, patches)
    with pytest.raises(GlacierlabError, match="no patches"):
        evaluate(linear(RED), replace(patches, manifest=patches.manifest.iloc[:0]))


def test_numbers_that_are_none_are_located(patches):
    def spoil(images, places):
        images[places == 40, 0, 3, 5] = np.nan
        return images

    with pytest.raises(
        GlacierlabError, match="'red' is nan at row 3, column 5 of the patch of scene 's1' at"
    ):
        confusions(linear(RED), patches, edit=spoil)
    broken = linear({"red": float("nan")})
    with pytest.raises(GlacierlabError, match="'made' gives no numbers for the patch of scene 's0'"):
        confusions(broken, patches)
    with pytest.raises(GlacierlabError, match="batch_size=0"):
        confusions(linear(RED), patches, batch_size=0)


def test_labels_outside_the_classes_are_located(patches):
    class Spoiled:
        def read_many(self, windows, size):
            image, label = np.zeros((3, size, size), np.float32), np.full((size, size), 7, np.uint8)
            yield from ((number, image, label) for number, _ in enumerate(windows))

    with pytest.raises(GlacierlabError, match="holds 7, and the classes are 0 to 1"):
        confusions(linear(RED), replace(patches, store=Spoiled()))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told(patches):
    with pytest.raises(GlacierlabError, match="torch sees no GPU"):
        confusions(linear(RED), patches, device="cuda")


def test_mixed_parts_and_other_numbers_are_told(patches):
    parts = patches.split(by="scene", shares=(0.5, 0.5), names=("train", "test"))
    with pytest.warns(DataWarning, match=r"\['test', 'train'\] together"):
        evaluate(linear(RED, HALF), parts, repeats=2)
    evaluate(linear(RED, HALF), parts.subset("test"), repeats=2)
    with pytest.warns(DataWarning, match="radiometry is not that of the model"):
        evaluate(linear(RED, HALF, radiometry="toa"), patches, repeats=2)
    scene = noisy()
    recipes = [gl.Recipe(["red", "nir"]).fit(each) for each in (scene, noisy(seed=8))]
    fitted = patches_of(scene, truth_of(scene, scene.red.values > 0.5), layers=recipes[0])
    evaluate(linear(RED, recipe=recipes[0].to_json()), fitted, repeats=2)
    with pytest.warns(DataWarning, match="recipe is not that of the model"):
        evaluate(linear(RED, recipe=recipes[1].to_json()), fitted, repeats=2)


def test_a_manifest_in_degrees_is_refused(patches):
    with pytest.raises(ManifestError, match="in meters"):
        evaluate(linear(RED), replace(patches, manifest=patches.manifest.to_crs(4326)))
