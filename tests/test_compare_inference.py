"""gl.compare with settings of inference: one training for rows that differ in views and tiling alone."""

from functools import wraps

import numpy as np
import pandas as pd
import pytest
import torch
from labeled import made_labels, made_scene

import glacierlab as gl
from glacierlab import errors, judge, models, tables, train
from glacierlab.judge import comparing, config
from glacierlab.judge.comparing import compare
from glacierlab.judge.config import compare_from
from glacierlab.samples import PatchSet

torch.set_num_threads(1)
CLASSES = ["background", "glacier"]
TINY = {"widths": [4, 8], "norm": "batch"}
QUIET = dict(progress=False, accelerator="cpu", max_epochs=6, lr=0.02, batch_size=4, repeats=20)
ROWS = {
    "plain": ("unet", TINY),
    "views": {"model": "unet", "options": TINY, "inference": {"tta": "chu2022"}},
    "seams": {"model": "unet", "options": TINY, "inference": {"blend": "none", "overlap": 0}},
}


@pytest.fixture
def trained(monkeypatch):
    """Names and seeds of what is trained."""
    seen = []

    def noting(model, *args, **options):
        seen.append((model.name, options["seed"]))
        return train.fit(model, *args, **options)

    monkeypatch.setattr(comparing, "fit", wraps(train.fit)(noting))
    return seen


def scene_of(seed, shape=(32, 48)):
    scene = made_scene(shape, seed, holes=0, west=500_000 + 20_000 * seed)
    labels = made_labels(scene, seed, codes=(0, 0, 1, 1))
    scene["nir"].values[:] = np.where(labels.values == 1, 0.6, 0.4) + 0.3 * (scene["red"].values - 0.5)
    return scene, labels


@pytest.fixture(scope="module")
def patches():
    scenes, labels = zip(*(scene_of(seed) for seed in range(6)), strict=True)
    names = [f"s{number}" for number in range(6)]
    pairs = (dict(zip(names, each, strict=True)) for each in (scenes, labels))
    cut = PatchSet.from_scenes(*pairs, size=16, classes=CLASSES)
    place = cut.manifest["scene"].str[1:].astype(int)
    return cut.with_split(np.select([place < 2, place < 3], ["train", "val"], "test"))


@pytest.fixture(scope="module")
def parts(patches):
    """Patches and the same ground as whole scenes, for tests."""
    whole = {"a": scene_of(3)[0], "b": scene_of(4)[0]}, {"a": scene_of(3)[1], "b": scene_of(4)[1]}
    return {name: patches.subset(name) for name in ("train", "val", "test")} | {"whole": whole}


# ---- one training


def test_rows_that_differ_in_inference_are_trained_once(parts, trained, tmp_path):
    given = ROWS | {"other": ("single_band", {"band": "red"})}
    found = compare(given, parts, seeds=(0, 1), out=tmp_path, **QUIET)
    assert found.ok
    assert trained == [(name, seed) for name in ("unet", "single_band") for seed in (0, 1)]
    names = {path.name for path in tmp_path.glob("*.safetensors")}
    assert names == {f"{name}-seed{seed}.safetensors" for name in ("plain", "other") for seed in (0, 1)}
    assert found.models["inference"].tolist() == ["", "tta chu2022", "blend none, overlap 0", ""]
    assert found.models["seeds"].tolist() == [2] * 4
    rows = found.models.set_index("model")
    assert rows.loc["views", "training_s"] == rows.loc["plain", "training_s"]
    assert rows.loc["views", "s_per_megapixel"] > 1.5 * rows.loc["plain", "s_per_megapixel"]  # six views
    values = found.table.pivot_table("value", ["test", "class", "metric"], "model")
    test, whole = values.loc["test"], values.loc["whole"]
    assert test["plain"].equals(test["seams"])  # a patch is one tile
    assert not whole["plain"].equals(whole["seams"])
    assert not test["plain"].equals(test["views"])
    again = compare(dict(reversed(given.items())), parts, seeds=(0, 1), out=tmp_path, **QUIET)
    assert len(trained) == 4  # whichever of its rows comes first
    other = again.table.pivot_table("value", ["test", "class", "metric"], "model")
    pd.testing.assert_frame_equal(other, values)


def test_values_are_those_of_predict_and_of_views_turned_by_hand(parts, tmp_path):
    """Witnesses: scikit-learn on the map of predict; and torch's own flips and turns, averaged."""
    metrics = pytest.importorskip("sklearn.metrics")
    found = compare(ROWS, parts, out=tmp_path, **QUIET)
    iou = found.table.query("metric == 'iou' and `class` == 'glacier'").set_index(["model", "test"])["value"]
    model = models.load_model(tmp_path / "plain-seed0.safetensors")
    maps, truth = {name: [] for name in ROWS}, []
    for scene, labels in zip(*(each.values() for each in parts["whole"]), strict=True):
        stack = scene[list(model.card.features)].to_array("feature").assign_attrs(scene.attrs)
        truth.append(labels.values.ravel())
        for name, entry in ROWS.items():
            how = entry.get("inference", {}) if isinstance(entry, dict) else {}
            mapped = gl.predict(stack, model, precision="float32", **how).class_map
            maps[name].append(mapped.values.ravel() > 0)
    for name, each in maps.items():
        expected = metrics.jaccard_score(np.concatenate(truth), np.concatenate(each))
        assert iou[name, "whole"] == pytest.approx(expected), name
    images, truth = (torch.from_numpy(np.stack(each)) for each in zip(*parts["test"], strict=True))
    turned = [model.probabilities(images)]
    for dims in ((2,), (3,), (2, 3)):
        turned.append(model.probabilities(images.flip(dims)).flip(dims))
    for quarters in (1, 3):
        turned.append(model.probabilities(images.rot90(quarters, (2, 3))).rot90(-quarters, (2, 3)))
    decided = torch.stack(turned).mean(dim=0).argmax(dim=1)
    expected = metrics.jaccard_score(truth.ravel(), decided.ravel())
    assert iou["views", "test"] == pytest.approx(expected, abs=1e-3)


def test_settings_of_all_give_way_to_a_models_own_and_these_to_those_by_name(parts, trained):
    rows = {"a": ROWS["views"], "b": ROWS["plain"]}
    settings = {"*": {"tile": 16, "blend": "linear"}, "a": {"tta": "none"}}
    found = compare(rows, parts, inference=settings, **QUIET)
    assert found.models["inference"].tolist() == [
        "tile 16, blend linear, tta none", "tile 16, blend linear",
    ]  # fmt: skip
    assert (found.differences["difference"].fillna(0) == 0).all()
    assert trained == [("unet", 0)]
    assert (
        "inference"
        in judge.Comparison(found.table, found.models, found.differences, found.about)._repr_html_()
    )


def test_a_model_in_a_file_may_have_settings(parts, tmp_path, trained):
    compare({"red": ("single_band", {"band": "red"})}, parts, out=tmp_path, **QUIET)
    path = tmp_path / "red-seed0.safetensors"
    model = models.load_model(path)
    given = {"one": model, "two": {"model": path, "inference": {"tta": "dihedral"}}}
    found = compare(given, parts, inference={"one": {"blend": "crop"}}, **QUIET)
    assert found.models["inference"].tolist() == ["blend crop", "tta dihedral"]
    assert (found.differences["difference"].fillna(0) == 0).all()  # a threshold sees one pixel
    assert len(trained) == 1


# ---- tests of whole scenes


def test_whole_scenes_are_tests(parts, patches):
    given = {"red": ("single_band", {"band": "red"}), "nir": ("single_band", {"band": "nir"})}
    scenes, labels = parts["whole"]
    same = judge.whole_scenes(scenes, labels, like=patches)
    found = compare(given, {"train": parts["train"], "pair": parts["whole"], "set": same}, **QUIET)
    values = found.table.pivot_table("value", ["class", "metric"], ["model", "test"])
    assert (values["nir", "pair"] == values["nir", "set"]).all()
    ground = patches.manifest["scene"].isin(["s3", "s4"])
    cut = patches.with_split(np.where(ground, "test", "train")).subset("test")
    alone = compare(given, {"train": parts["train"], "cut": cut}, **QUIET)
    np.testing.assert_allclose(alone.table["value"], found.table.query("test == 'set'")["value"])
    assert "set 12" in found.about["data"]["train"]


def test_what_cannot_be_done_is_refused_before_anything_is_trained(parts, trained):
    scenes, labels = parts["whole"]
    coarse = scenes["a"].assign_coords(x=scenes["a"].x * 3, y=scenes["a"].y * 3)
    for options, said in (
        (dict(inference={"plain": {"ttta": "chu2022"}}), "Did you mean 'tta'"),
        (dict(inference={"*": {"tta": "chu"}}), "chu2022"),
        (dict(inference={"plain": {"tile": 8, "overlap": 9}}), "less than a tile"),
        (dict(inference={"tta": "chu2022"}), "model in inference="),
        (dict(inference={"plain": "chu2022"}), "inference='chu2022'"),
        (dict(inference={"*": {"dropout": -1}}), "dropout=-1"),
        (dict(models={"a": {"model": "unet", "inferrence": {}}}), "Did you mean 'inference'"),
        (dict(patches={"train": parts["train"], "t": scenes}), "have no labels"),
        (dict(patches={"train": (scenes, labels), "t": scenes}), "should be a PatchSet\\."),
        (dict(patches=parts | {"t": (coarse, labels["a"])}), "another grid|resample"),
    ):
        with pytest.raises(errors.GlacierlabError, match=said):
            compare(**{"models": ROWS, "patches": parts} | options | QUIET)
    assert trained == []


# ---- the protocol and files


def test_published_numbers_of_chu_are_those_of_his_matrices():
    """Chu et al. 2022, Table 2, its axes swapped; F1 without views is printed 0.9948 and rounds to 0.9949."""
    variants = tables.PROTOCOLS["chu2022"].variants
    for name, (tp, fp, fn, tn) in {
        "attention_deeplabv3plus": (186712209, 949981, 966562, 230801649),
        "attention_deeplabv3plus_tta": (186798674, 885576, 880097, 230866053),
    }.items():
        scores = gl.scores_from(tp, fp, fn, tn)
        for metric, printed in variants[name]["published"].items():
            assert scores[metric] == pytest.approx(printed, abs=1e-4)
    assert "published" not in variants["attention_deeplabv3plus_seams"]
    crop = variants["attention_deeplabv3plus"]["inference"]
    assert (crop["tile"] - crop["overlap"]) ** 2 / crop["tile"] ** 2 == pytest.approx(0.9, abs=2e-3)


@pytest.mark.parametrize("name", tables.PROTOCOLS)
def test_variants_name_what_there_is(name):
    from glacierlab.judge.looking import require_inference

    row = tables.PROTOCOLS[name]
    for each in row.variants.values():
        assert each["model"] in row.models
        assert set(each.get("published", {})) <= set(row.metrics)
        require_inference(each["inference"], row.worlds["layers"])


def test_variants_of_a_protocol_share_a_training(parts, trained):
    options = {"widths": [4, 4, 8, 8], "blocks": [1, 1, 1, 1], "pooled": 4, "low": 2}
    names = list(tables.PROTOCOLS["chu2022"].variants)
    given = {name: {"model": name, "options": options} for name in names}
    how = QUIET | {"max_epochs": 1}
    found = compare(given, parts, protocol="chu2022", inference={"*": {"tile": 16, "overlap": 4}}, **how)
    assert found.ok
    assert len(trained) == 1
    assert set(found.models["architecture"]) == {"attention_deeplabv3plus"}
    assert found.models["inference"].iloc[1] == "tile 16, overlap 4, blend crop, tta chu2022"
    assert found.models["inference"].iloc[2] == "tile 16, overlap 4, blend none"
    said = "Published of attention_deeplabv3plus_tta, on its own data: kappa 0.9915, miou 0.9915, f1 0.9953."
    assert said in found.verdict()


def test_a_file_holds_settings(tmp_path, monkeypatch, parts):
    asked = {}
    monkeypatch.setattr(config, "compare", lambda given, **options: asked.update(options, models=given))
    path = tmp_path / "config.toml"
    path.write_text(
        "[models.a]\nmodel = 'unet'\n[models.b]\nmodel = 'unet'\ninference = { tta = 'chu2022' }\n"
        "[inference.'*']\ntile = 64\n"
    )
    compare_from(path)
    assert asked["models"]["b"] == {"model": "unet", "inference": {"tta": "chu2022"}}
    assert asked["inference"] == {"*": {"tile": 64}}
    path.write_text("inference = 5\n[models]\na = 'unet'")
    with pytest.raises(errors.GlacierlabError, match=r"written \[inference\]"):
        compare_from(path)
