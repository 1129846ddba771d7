"""gl.compare: one split, seeds and budget for all; intervals in pairs, restarts, failures, refusals."""

from functools import wraps

import numpy as np
import pandas as pd
import pytest
import torch
from labeled import made_labels, made_scene

from glacierlab import errors, models, scores, train
from glacierlab.judge import comparing
from glacierlab.judge.comparing import compare
from glacierlab.judge.comparison import Comparison, tables_of_test
from glacierlab.samples import PatchSet

torch.set_num_threads(1)
CLASSES = ["background", "glacier"]
THRESHOLDS = {"red": ("single_band", {"band": "red"}), "nir": ("single_band", {"band": "nir"})}
TINY = {"widths": [4, 8]}
QUIET = dict(progress=False, accelerator="cpu", max_epochs=1, batch_size=8)


def instead_of_fit(monkeypatch, function):
    monkeypatch.setattr(comparing, "fit", wraps(train.fit)(function))


def lit_scene(seed):
    """A scene whose glaciers are bright in the near infrared alone, but for a tenth of the pixels."""
    scene = made_scene((32, 48), seed, holes=0, west=500_000 + 20_000 * seed)
    labels = made_labels(scene, seed, codes=(0, 0, 1, 1))
    ice = labels.values == 1
    wrong = np.random.default_rng(seed).random(ice.shape) < 0.1
    scene["nir"].values[:] = np.where(ice ^ wrong, 0.8, 0.2)
    return scene, labels


@pytest.fixture(scope="module")
def patches():
    scenes, labels = zip(*(lit_scene(seed) for seed in range(9)), strict=True)
    names = [f"s{number}" for number in range(9)]
    pairs = (dict(zip(names, each, strict=True)) for each in (scenes, labels))
    cut = PatchSet.from_scenes(*pairs, size=16, classes=CLASSES)
    place = cut.manifest["scene"].str[1:].astype(int)
    return cut.with_split(np.select([place < 2, place < 3], ["train", "val"], "test"))


@pytest.fixture(scope="module")
def found(patches):
    return compare(THRESHOLDS, patches)


# ---- the tables


def test_values_are_the_scores_of_pooled_pixels(found, patches):
    """A witness: the threshold applied again with numpy, and scikit-learn's scores."""
    from sklearn.metrics import cohen_kappa_score, f1_score, jaccard_score

    test = patches.subset("test")
    nir = np.stack([image[1] for image, _ in test]).ravel()
    truth = np.stack([label for _, label in test]).ravel()
    mine = found.table.set_index(["model", "class", "metric"])["value"]["nir"]
    for metric, score in (("f1", f1_score), ("iou", jaccard_score), ("kappa", cohen_kappa_score)):
        assert mine["glacier", metric] == pytest.approx(score(truth, nir > 0.5))
    assert mine["mean", "iou"] == pytest.approx(jaccard_score(truth, nir > 0.5, average="macro"))


def test_columns_and_what_is_said_of_each_row(found):
    columns = ["model", "trained_on", "test", "class", "metric", "value", "low", "high", "seeds"]
    assert list(found.table) == columns
    assert set(found.table["trained_on"]) == {"train"}
    assert set(found.table["seeds"]) == {1}
    assert found.ok
    assert found.models.set_index("model").loc["red", "features"] == 3
    assert (found.models["s_per_megapixel"] > 0).all()
    assert "One seed for each model" in found.verdict()
    assert "12 patches of 2 scenes, validated on 6; tests: test 36" in found.about["data"]["train"]
    assert (found.table.low <= found.table.value).all()
    assert (found.table.value <= found.table.high).all()


def test_a_difference_is_drawn_in_pairs(patches):
    """Of two models that err alike but for one scene in six the difference is far surer than either score."""
    test = patches.subset("test")
    rng = np.random.default_rng(0)
    scene = pd.factorize(test.manifest["scene"])[0]
    wrong = rng.integers(0, 120, scene.max() + 1)[scene]  # scenes differ greatly
    first = np.stack([[[128 - w, w], [w, 128 - w]] for w in wrong])
    second = first + np.array([[-2, 2], [2, -2]])
    counts = {"a": first[None], "b": second[None]}
    rows, gaps, drawn = tables_of_test(counts, dict(a="t", b="t"), "test", test, ["oa"])
    assert (drawn.kind, drawn.count) == ("scene", 6)
    a = next(row for row in rows if row[0] == "a" and row[3] == "glacier")
    gap = next(row for row in gaps if row[2] == "glacier")
    assert gap[-3:] == pytest.approx([4 / 256] * 3)  # 2 + 2 of 256 pixels, whatever is drawn
    assert a[-2] - a[-3] > 0.1  # high - low
    # a hand-made bootstrap of scene totals agrees with the interval of one score
    right = np.array([2 * (128 - wrong[scene == s]).sum() for s in range(6)])
    total = np.array([256 * (scene == s).sum() for s in range(6)])
    draws = np.random.default_rng(7).integers(0, 6, (20_000, 6))
    bounds = np.percentile(right[draws].sum(axis=1) / total[draws].sum(axis=1), [2.5, 97.5])
    np.testing.assert_allclose(a[-3:-1], bounds, atol=0.03)


def test_seeds_are_drawn_too(patches):
    """Where every block is alike, all that is left is how seeds differ."""
    test = patches.subset("test")
    alike = lambda right: np.tile([[right, 128 - right], [128 - right, right]], (len(test), 1, 1))
    counts = {
        "a": np.stack([alike(100), alike(120)]),
        "b": np.stack([alike(90), alike(110)]),
        "c": alike(64)[None],
    }
    rows, gaps, _ = tables_of_test(counts, dict.fromkeys("abc", "t"), "test", test, ["oa"])
    a, c = (next(row for row in rows if row[0] == name and row[3] == "glacier") for name in "ac")
    assert a[-4:] == pytest.approx([110 / 128, 100 / 128, 120 / 128, 2])
    assert c[-4:] == pytest.approx([0.5, 0.5, 0.5, 1])
    pair = {tuple(row[4:6]): row[-3:] for row in gaps if row[2] == "glacier"}
    assert pair["a", "b"] == pytest.approx([10 / 128] * 3)  # seed by seed, the gap is the same
    assert pair["a", "c"] == pytest.approx([46 / 128, 36 / 128, 56 / 128])


def test_the_verdict_ranks_only_what_the_interval_allows(found, patches):
    said = found.verdict("iou")
    assert said.startswith("test, glacier, iou: nir 0.8")
    assert "Behind it: red by" in said
    same = compare({"one": THRESHOLDS["nir"], "two": THRESHOLDS["nir"]}, patches)
    assert "Not to be told apart from it: two by 0.000 [0.000, 0.000]." in same.verdict("iou")
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'iou'"):
        found.verdict("iuo")


def test_too_few_blocks_give_no_interval_and_no_ranking(patches):
    few = patches.with_split(np.where(patches.manifest["scene"] < "s6", "train", "test"))
    result = compare(THRESHOLDS, few, blocks="scene")
    assert result.table["low"].isna().all()
    assert result.differences["high"].isna().all()
    assert "3 scenes are too few, 5 are needed; no ranking is claimed" in result.verdict()


def test_tables_for_people_and_files(found, tmp_path):
    wide = found.wide("f1")
    assert wide.loc[("test", "glacier"), "nir"].startswith("0.9")
    html = found._repr_html_()
    assert "<table" in html
    assert "Behind it" in html
    found.to_json(tmp_path / "c.json")
    again = Comparison.from_json(tmp_path / "c.json")
    for name in ("table", "differences"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name), check_dtype=False)
    assert again.about == found.about
    found.to_csv(tmp_path / "c.csv")
    assert len(pd.read_csv(tmp_path / "c_differences.csv")) == len(found.differences)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c.csv", "c.json", "c_differences.csv", "c_models.csv",
    ]  # fmt: skip


# ---- layers


def test_select_gives_the_same_pixels_and_leaves_the_rest(patches):
    chosen = patches.select(["nir", "red"])
    (image, label), (part, same) = patches[4], chosen[4]
    np.testing.assert_array_equal(part, image[[1, 0]])
    np.testing.assert_array_equal(same, label)
    many = {n: i for n, i, _ in chosen.store.read_many(chosen.windows(range(5)), 16)}
    np.testing.assert_array_equal(many[4], part)
    assert chosen.features == ("nir", "red")
    assert chosen.origin is patches.origin
    prints = {each.fingerprint for each in (patches, chosen, patches.select(["red", "nir"]))}
    assert len(prints) == 3
    assert patches.select(patches.features) is patches
    assert torch.equal(chosen.torch()[4][0], torch.from_numpy(part))


def test_a_selection_is_cached_as_what_it_is(patches, tmp_path):
    chosen = patches.select(["swir16"])
    cached = chosen.to_zarr(tmp_path / "cache")
    np.testing.assert_array_equal(cached[3][0], chosen[3][0])
    assert cached.features == ("swir16",)
    with pytest.raises(errors.WriteError, match="other scenes, layers"):
        patches.to_zarr(tmp_path / "cache")


@pytest.mark.parametrize("names", ["nir", [], ["nir", "nir"]])
def test_select_refuses_what_is_no_list(patches, names):
    with pytest.raises(errors.GlacierlabError, match="each once"):
        patches.select(names)
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'swir16'"):
        patches.select(["swir61"])


def test_each_model_sees_its_layers(patches):
    given = {"all": "random_forest", "one": "random_forest"}
    forests = {name: (each, {"n_estimators": 3, "max_leaf_nodes": 8}) for name, each in given.items()}
    result = compare(forests, patches, layers={"one": ["red", "swir16"], "*": "optical"})
    rows = result.models.set_index("model")
    assert rows["layers"].to_dict() == {"all": "red nir swir16", "one": "red swir16"}
    iou = result.table.query("metric == 'iou' and `class` == 'glacier'").set_index("model")["value"]
    assert iou["all"] > iou["one"] + 0.2  # what tells ice is in nir


# ---- training, seeds, restarts


def test_networks_train_alike_and_a_restart_trains_nothing_twice(patches, tmp_path, monkeypatch):
    given = {"unet": ("unet", TINY), "red": THRESHOLDS["red"]}
    options = dict(seeds=(0, 1), out=tmp_path, **QUIET)
    first = compare(given, patches, **options)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"unet-seed0.safetensors", "unet-seed1.safetensors", "red-seed0.safetensors"} <= names
    assert not [name for name in names if "unfinished" in name]
    rows = first.models.set_index("model")
    assert (rows.loc["unet", "seeds"], rows.loc["unet", "epochs"]) == (2, 1)
    assert rows.loc["unet", "parameters"] == sum(
        each.numel() for each in models.build_model("unet", 3, 2, **TINY).parameters()
    )
    one, two = (models.load_model(tmp_path / f"unet-seed{n}.safetensors") for n in (0, 1))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert one.card.features == patches.features
    (tmp_path / "unet-seed1.safetensors").unlink()
    trained = []

    def noting(model, *args, **options):
        trained.append(options["seed"])
        return train.fit(model, *args, **options)

    instead_of_fit(monkeypatch, noting)
    again = compare(given, patches, **options)
    assert trained == [1]  # and the same weights, so the same table
    pd.testing.assert_frame_equal(again.table, first.table)
    with pytest.raises(errors.GlacierlabError, match="other patches, options or budget"):
        compare(given, patches, **options | {"max_epochs": 2})
    with pytest.raises(errors.GlacierlabError, match="other patches, options or budget"):
        compare(given, patches.select(["nir", "red"]), **options)
    assert trained == [1]


def test_minutes_are_a_budget(patches):
    result = compare({"unet": ("unet", TINY)}, patches, minutes=1e-3, **QUIET | {"max_epochs": 10_000})
    assert result.ok
    assert result.models["epochs"].item() < 100


def test_a_trained_model_is_judged_and_not_trained(patches, tmp_path, monkeypatch):
    compare({"red": THRESHOLDS["red"]}, patches, out=tmp_path)
    instead_of_fit(monkeypatch, lambda *_, **__: pytest.fail("trained"))
    path = tmp_path / "red-seed0.safetensors"
    result = compare({"file": path, "model": models.load_model(path)}, patches, seeds=(0, 1))
    assert set(result.table["trained_on"]) == {"elsewhere"}
    assert set(result.models["seeds"]) == {1}
    assert (result.differences["difference"] == 0).all()
    with pytest.raises(errors.GlacierlabError, match="no card"):
        compare({"bare": models.build_model("unet", 3, 2, **TINY)}, patches)


def test_a_model_that_fails_is_a_row_and_the_others_go_on(patches, monkeypatch):
    def explode(model, *args, **options):
        if model.name == "unet":
            raise errors.GlacierlabError("the loss was nan\nin epoch 0")
        return train.fit(model, *args, **options)

    instead_of_fit(monkeypatch, explode)
    given = {"unet": ("unet", TINY), "wrong": ("unet", {"widths": "wide"}), "red": THRESHOLDS["red"]}
    result = compare(given, patches)
    assert not result.ok
    assert result.models.set_index("model")["failed"]["unet"] == "the loss was nan in epoch 0"
    assert set(result.table["model"]) == {"red"}
    assert result.wide("iou").loc[("test", "glacier"), "unet"] == "failed"
    assert "unet (train) failed: the loss was nan" in result.verdict()
    nothing = compare({"unet": ("unet", TINY)}, patches)
    assert not nothing.ok
    assert nothing.table.empty
    assert "unet" in nothing._repr_html_()


# ---- what is refused, before anything is trained


def test_what_cannot_be_compared_is_refused(patches, monkeypatch):
    instead_of_fit(monkeypatch, lambda *_, **__: pytest.fail("trained"))
    first, test = patches.subset("train"), patches.subset("test")
    for given, said in (
        (patches.with_split("train"), "needs 'train' and one test"),
        ({"train": first, "test": test.select(["nir", "red"])}, "other features or classes"),
        ({"train": first, "test": 3}, "should be a PatchSet"),
        ({"a": {"train": first, "t": test}, "b": {"train": first, "t": test}}, r"called \['t'\]"),
        (5, "PatchSet with a split"),
        (None, "nothing to compare on"),
    ):
        with pytest.raises(errors.GlacierlabError, match=said):
            compare(THRESHOLDS, given)
    for options, said in (
        (dict(models={}), "no model"),
        (dict(models=["unett"]), "Did you mean 'unet'"),
        (dict(models={"a/b": "unet"}), "slash"),
        (dict(models={"a": 3}), "architecture"),
        (dict(models={"a": {"model": "unet", "layer": []}}), "Did you mean 'layers'"),
        (dict(layers={"unet": ["nir"]}), "model in layers="),
        (dict(layers={"nir": ["nri"]}), "Did you mean 'nir'"),
        (dict(seeds=(1, 1)), "different whole numbers"),
        (dict(metrics=["iuo"]), "Did you mean 'iou'"),
        (dict(protocol="chen"), "chen2022"),
        (dict(preset="chen2021"), "chen2022"),
        (dict(max_epoch=3), "max_epochs"),
        (dict(batchsize=3), "batch_size"),
    ):
        with pytest.raises(errors.GlacierlabError, match=said):
            compare(**{"models": THRESHOLDS, "patches": patches} | options)


def test_leaks_are_told(patches):
    twins = patches.with_split(np.where(np.arange(len(patches)) % 2, "train", "test"))
    parts = {"train": twins.subset("train"), "test": twins}
    assert "Leaks between train and test" in compare({"red": THRESHOLDS["red"]}, parts).verdict()


def test_metrics_are_those_of_scores():
    assert set(comparing.METRICS) <= set(scores.scores_from(1, 0, 0, 1))
