"""fit: it learns, keeps the best, does what presets say, and refuses what would go wrong."""

import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from trained import BANDS, learnable, narrow, same_weights, scenes_of

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError
from glacierlab.models import load_model
from glacierlab.tables import PRESETS
from glacierlab.train import fit, keeping
from glacierlab.train.batches import Order, Samples, augmentation_of
from glacierlab.train.settings import Settings, settle

QUICK = dict(max_epochs=2, batch_size=8, progress=False)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches():
    return learnable()


def settings_of(preset=None, **given):
    """Settings as `fit` makes them of a preset and arguments."""
    off = dict(
        balanced=False, drop_last=True, precision="auto", channels_last=True, explode=1e3, max_pixels=9
    )
    names = {field.name for field in fields(Settings)} - {"preset"} | {"lr"}
    return settle(preset, dict.fromkeys(names) | off | {"seed": 0} | given)


# ---- learning


def test_it_learns_and_keeps_the_best(patches, tmp_path):
    out = tmp_path / "out"
    training = fit(narrow(), patches, max_epochs=5, batch_size=8, lr=3e-2, out=out, progress=False)
    history = training.history
    scores = ["loss", "accuracy", "miou", "iou", "dice"]
    expected = ["epoch", "train_loss", *(f"val_{name}" for name in scores), "lr", "seconds"]
    assert list(history) == expected
    assert history["val_accuracy"].iloc[-1] > 0.95
    assert training.best_epoch == history["val_miou"].idxmax()
    assert not training.model.training
    pd.testing.assert_frame_equal(pd.read_csv(out / "history.csv"), history)
    best, last = load_model(training.best), load_model(training.last)
    assert same_weights(best, training.model)
    assert best.card.metrics["last"]["val_miou"] == history["val_miou"].iloc[-1]
    assert best.card.metrics["best"]["val_miou"] == history["val_miou"].max()
    assert last.card.training["epoch"] == 4
    assert best.card == training.model.card


def test_scores_are_those_of_torchmetrics(patches):
    training = fit(narrow(), patches, **QUICK)
    images, labels = zip(*patches.torch("val"), strict=True)
    labels = torch.stack(labels)
    with torch.inference_mode():
        found = training.model(torch.stack(images)).argmax(dim=1)
    row = training.history.set_index("epoch").loc[training.best_epoch]
    options = dict(num_classes=2, ignore_index=255)
    accuracy = multiclass_accuracy(found, labels, average="micro", **options)
    assert row["val_accuracy"] == pytest.approx(accuracy.item())
    iou = multiclass_jaccard_index(found, labels, average="none", **options)
    assert row["val_miou"] == pytest.approx(iou.mean().item())
    assert row["val_iou"] == pytest.approx(iou[1].item())


def test_the_card_tells_the_training(patches):
    card = fit(narrow(), patches, preset="chen2022", **QUICK).model.card
    assert (card.features, card.classes, card.tile) == (BANDS, ("background", "clean_ice"), 8)
    assert (card.sensor, card.radiometry, card.pixel_size_m) == ("landsat_oli", "sr", 10)
    told = card.training
    assert told["settings"]["preset"] == "chen2022"
    assert told["settings"]["seed"] == 0
    assert told["audit"].startswith("No leak found.")
    train = patches.subset("train")
    assert told["data"]["train"]["patches"] == len(train)
    listed = {(scene, row, col) for scene, places in told["split"]["train"].items() for row, col in places}
    assert listed == {window[:3] for window in train.windows()}
    json.dumps(told)


def test_the_same_seed_gives_the_same_weights(patches):
    runs = [fit(narrow(), patches, seed=seed, balanced=True, **QUICK).model for seed in (3, 3, 4)]
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])


def test_workers_change_nothing(patches):
    runs = [fit(narrow(), patches, num_workers=workers, **QUICK).model for workers in (0, 2)]
    assert same_weights(*runs)


def test_one_logit_and_the_structure_loss(patches):
    training = fit(narrow(classes=1), patches, preset="huang2025", lr=1e-2, **QUICK | {"max_epochs": 4})
    assert training.model.card.classes == ("clean_ice",)
    assert training.history["val_iou"].iloc[-1] > 0.8


def test_class_weights_come_by_name_as_the_patches_give_them(patches):
    by_name = patches.subset("train").class_weights("inverse")
    one, other = (fit(narrow(), patches, class_weights=w, **QUICK) for w in (by_name, "inverse"))
    assert same_weights(one.model, other.model)
    with pytest.raises(GlacierlabError, match="class_weights are of rock; the patches' classes are"):
        fit(narrow(), patches, class_weights={"rock": 1.0}, **QUICK)


def test_side_outputs_are_supervised(patches):
    model = narrow("unetpp", widths=(4, 8, 8), deep_supervision=True)
    heads = [each for name, each in model.named_parameters() if "head" in name]
    before = [each.detach().clone() for each in heads]
    fit(model, patches, **QUICK)
    assert len(heads) > 2
    assert all(not torch.equal(each, old) for each, old in zip(heads, before, strict=True))


def test_a_loss_of_your_own_and_a_watcher(patches):
    seen = []
    loss = lambda logits, target: nn.functional.cross_entropy(logits, target, ignore_index=255)
    fit(narrow(), patches, loss=loss, watch=lambda history: seen.append(len(history)), **QUICK)
    assert seen == [1, 2]


def test_a_figure_is_shown_in_place_of_the_last(monkeypatch):
    shown, display = [], pytest.importorskip("IPython.display")

    class Handle:
        def update(self, made):
            shown.append(("update", made))

    monkeypatch.setattr(display, "display", lambda made, display_id: shown.append(("new", made)) or Handle())
    show = keeping.shown(lambda history: f"figure of {history}")
    show(1)
    assert shown == []  # no notebook
    monkeypatch.setattr(keeping, "in_kernel", lambda: True)
    show(1)
    show(2)
    assert shown == [("new", "figure of 1"), ("update", "figure of 2")]


def test_the_bar_tells_epoch_and_scores(patches, capsys):
    fit(narrow(), patches, **QUICK | {"progress": True})
    assert "epoch 2 of 2: 100%" in capsys.readouterr().err


def test_baselines_learn_through_the_same_door(patches, tmp_path):
    forest = gl.models.build_model("random_forest", 3, 2)
    training = fit(forest, patches, out=tmp_path, seed=1, max_pixels=300)
    assert training.history["val_accuracy"].item() > 0.95
    again = load_model(training.best)
    images = torch.stack([image for image, _ in patches.torch("test")])
    torch.testing.assert_close(again.probabilities(images), training.model.probabilities(images))
    assert again.card.features == BANDS


# ---- data in order


def test_each_epoch_has_an_order_of_its_own(patches):
    samples = Samples(patches.torch("train"))
    order = Order(samples, seed=1)
    first = list(order)
    assert sorted(first) == list(range(len(samples)))
    order.set_epoch(1)
    assert list(order) != first
    assert int(samples.dataset.epoch) == 1
    order.set_epoch(0)
    assert list(order) == first


def test_copies_show_every_patch_under_every_move(patches):
    moves = ("identity", "hflip", "rot90_ccw")
    dataset = patches.torch("train")
    samples = Samples(dataset, patches.features, moves)
    assert len(samples) == 3 * len(dataset)
    image, label = dataset[4]
    for number, expected in enumerate((image, image.flip(-1), torch.rot90(image, dims=(1, 2)))):
        moved, moved_label, place = samples[number * len(dataset) + 4]
        assert torch.equal(moved, expected)
        assert place == 4
        assert torch.equal(moved_label, (label, label.flip(-1), torch.rot90(label))[number])


# ---- presets


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_complete_and_build(name):
    settings = settings_of(name)
    optimizer = settings.make_optimizer([nn.Parameter(torch.zeros(1))])
    assert settings.make_scheduler(optimizer) is not None
    row = PRESETS[name]
    assert row.source
    assert row.assumed
    if row.model:
        gl.tables.lookup(gl.models.MODELS, row.model, kind="model")


def rates(name, epochs):
    """Learning rate of each epoch."""
    settings = settings_of(name)
    optimizer = settings.make_optimizer([nn.Parameter(torch.zeros(1))])
    scheduler, found = settings.make_scheduler(optimizer), []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def test_chen_decays_by_ten_every_ten_epochs():
    settings = settings_of("chen2022")
    expected = dict(
        loss={"name": "cross_entropy"}, batch_size=4, max_epochs=80, monitor="val_accuracy", patience=10
    )
    assert {key: getattr(settings, key) for key in expected} == expected
    np.testing.assert_allclose(rates("chen2022", 80), 1e-3 * 0.1 ** (np.arange(80) // 10))
    optimizer = settings.make_optimizer([nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["betas"] == (0.9, 0.999)


def test_chu_runs_six_whole_cycles():
    found, start, cycles = rates("chu2022", 126), 0, 0
    for length in (2, 4, 8, 16, 32, 64):
        phase = np.arange(length) / length
        expected = 1e-6 + (1e-4 - 1e-6) * (1 + np.cos(np.pi * phase)) / 2
        np.testing.assert_allclose(found[start : start + length], expected, rtol=1e-6)
        start, cycles = start + length, cycles + 1
    assert (start, cycles) == (settings_of("chu2022").max_epochs, 6)
    assert settings_of("chu2022").patience is None
    assert settings_of("chu2022").optimizer == {"name": "adamw", "lr": 1e-4, "weight_decay": 1e-3}


def test_glorot_normal_is_as_wide_as_it_should_be(patches):
    model = narrow(widths=(64, 64))
    fit(model, patches.subset("train"), patches.subset("val"), preset="chen2022", lr=1e-12, max_epochs=1,
        batch_size=64, progress=False)  # fmt: skip
    convs = [
        each for each in model.modules() if isinstance(each, nn.Conv2d) and each.weight.shape[:2] == (64, 64)
    ]
    expected = np.sqrt(2 / (9 * 64 + 9 * 64))
    assert convs
    for conv in convs:
        if conv.kernel_size == (3, 3):
            assert conv.weight.std().item() == pytest.approx(expected, rel=0.02)
            assert conv.bias is None or conv.bias.abs().max() < 1e-9


def test_arguments_go_before_the_preset():
    settings = settings_of("huang2025", lr=0.5, scheduler=False, clip_norm=1.0, clip_value=False, patience=3)
    assert settings.optimizer == {"name": "adam", "lr": 0.5}
    assert (settings.scheduler, settings.clip_norm, settings.clip_value, settings.patience) == (
        None,
        1.0,
        None,
        3,
    )


def test_gradients_are_clipped(patches):
    model = narrow()
    before = [each.detach().clone() for each in model.parameters()]
    sgd = {"name": "sgd", "lr": 1.0}
    whole = len(patches.subset("train"))
    fit(model, patches, optimizer=sgd, scheduler=False, clip_norm=False, clip_value=1e-4, max_epochs=1,
        batch_size=whole, progress=False)  # fmt: skip
    steps = [(each - old).abs().max().item() for each, old in zip(model.parameters(), before, strict=True)]
    assert 0 < max(steps) <= 1e-4 * 1.01


def test_early_stopping_waits_for_its_patience(patches):
    training = fit(narrow(), patches, lr=1e-12, patience=2, max_epochs=9, batch_size=8, progress=False)
    assert len(training.history) == 3
    assert training.best_epoch == 0


# ---- fine-tuning


def test_channels_and_classes_are_matched_by_name(patches, tmp_path):
    source = fit(narrow(), patches, out=tmp_path, **QUICK)
    scenes, labels = scenes_of()
    wider = gl.samples.PatchSet.from_scenes(
        {name: scene.assign(blue=scene["red"]) for name, scene in scenes.items()}, labels,
        ["swir16", "blue", "red"], size=8, classes=["clean_ice", "background"],
    ).split(shares=(0.5, 0.25, 0.25), names=("train", "val", "test"))  # fmt: skip
    model = narrow(seed=5)
    fresh = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.warns(DataWarning, match=r"no channel for \['blue'\]"):
        fit(model, wider, init=source.best, lr=1e-12, **QUICK | {"max_epochs": 1})
    theirs, mine = load_model(source.best).state_dict(), model.state_dict()
    first, *_, head = [name for name, each in mine.items() if each.dim() == 4]
    close = lambda a, b: torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    close(mine[first][:, 0], theirs[first][:, 2])  # swir16
    close(mine[first][:, 1], fresh[first][:, 1])  # blue
    close(mine[first][:, 2], theirs[first][:, 0])  # red
    close(mine[head], theirs[head].flip(0))  # the classes the other way around
    between = [name for name, each in mine.items() if each.dim() == 4 and name not in (first, head)]
    for name in between:
        close(mine[name], theirs[name])


def test_another_architecture_or_option_is_refused(patches, tmp_path):
    source = fit(narrow(), patches, out=tmp_path, **QUICK | {"max_epochs": 1})
    with pytest.raises(GlacierlabError, match=r"widths=\[4, 8\] \(the model: \[4, 4\]\)"):
        fit(narrow(widths=(4, 4)), patches, init=source.best, **QUICK)
    with pytest.raises(GlacierlabError, match="holds 'unet', and the model is 'unetpp'"):
        fit(narrow("unetpp"), patches, init=source.best, **QUICK)


def test_frozen_layers_do_not_move(patches):
    model = narrow()
    prefix = "network." + next(iter(dict(model.network.named_children())))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    fit(model, patches, freeze=[prefix], **QUICK)
    for name, each in model.state_dict().items():
        if name.startswith(prefix):
            assert torch.equal(each, before[name]), name
    assert any("running_mean" in name and name.startswith(prefix) for name in before)
    assert any(not torch.equal(each, before[name]) for name, each in model.state_dict().items())
    with pytest.raises(GlacierlabError, match=r"begins with 'network\.none'\. There are network"):
        fit(model, patches, freeze=["network.none"], **QUICK)


def test_augmentation_by_its_options_knows_the_recipe_of_the_patches():
    scene = gl.synthetic_scene(seed=1, shape=(64, 64))
    recipe = gl.Recipe(["red", "nir"]).fit(scene)
    bands, labels = {"one": scene.drop_vars("truth")}, {"one": scene["truth"]}
    made = gl.samples.PatchSet.from_scenes(bands, labels, recipe, size=32)
    found = augmentation_of(made, settings_of(), {"gain": 0.3, "moves": ["identity"]})
    image, label = made[0]
    expected = gl.samples.Augmentation.for_recipe(recipe, gain=0.3, moves=["identity"])
    np.testing.assert_array_equal(found(image, label, 7)[0], expected(image, label, 7)[0])
    alone = augmentation_of(made.select(["nir"]), settings_of(), {"gain": 0.3, "moves": ["identity"]})
    darker = alone(image[1:], label, 7)[0]
    mean, scale = (getattr(recipe.fitted.normalizer, name)["nir"] for name in ("mean", "scale"))
    before, after = image[1] * scale + mean, darker[0] * scale + mean  # reflectance
    np.testing.assert_allclose(after / before, (after / before).mean(), rtol=1e-4)
