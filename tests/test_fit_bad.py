"""fit refuses, or tells, what would go wrong: before anything trains on it, where that can be."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from trained import Altered, learnable, narrow

from glacierlab.errors import DataWarning, GlacierlabError, UnknownNameError, WriteError
from glacierlab.models import load_model
from glacierlab.samples import Augmentation
from glacierlab.train import fit

QUICK = dict(max_epochs=2, batch_size=8, progress=False)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches():
    return learnable()


def altered(patches, change):
    return replace(patches, store=Altered(patches.store, change))


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_nan_is_located_before_it_trains(patches, part, workers):
    scene, row, col, _ = patches.subset(part).windows()[3]

    def change(image, label, *window):
        if window == (scene, row, col):
            image[1, 2, 5] = np.nan

    model = narrow()
    with pytest.raises(
        GlacierlabError, match=rf"'nir' is nan at row {row + 2}, column {col + 5} of scene '{scene}'"
    ):
        fit(model, altered(patches, change), num_workers=workers, **QUICK | {"max_epochs": 1})
    assert all(each.isfinite().all() for each in model.state_dict().values())


def test_a_label_beyond_the_classes_is_named(patches):
    scene, row, col, _ = patches.subset("train").windows()[0]

    def change(image, label, *window):
        if window == (scene, row, col):
            label[0, 3] = 7

    with pytest.raises(
        GlacierlabError, match=rf"The label is 7 at row {row}, column {col + 3} .*0 to 1, or 255"
    ):
        fit(narrow(), altered(patches, change), **QUICK)


@pytest.mark.parametrize("after", [0, 1])
def test_an_exploding_loss_stops_and_the_best_is_kept(patches, after, tmp_path):
    calls = []

    def loss(logits, target):
        calls.append(1)
        value = nn.functional.cross_entropy(logits, target, ignore_index=255)
        return value * (float("nan") if logits.requires_grad and len(calls) > after * 25 else 1)

    run = lambda: fit(narrow(), patches, loss=loss, out=tmp_path, lr=1e-2, **QUICK | {"max_epochs": 9})
    if after == 0:
        with pytest.raises(GlacierlabError, match=r"the loss was nan in epoch 0\. Try a smaller lr"):
            run()
        return
    with pytest.warns(
        DataWarning, match=r"Training stopped, for the loss was nan in epoch \d; the best epoch"
    ):
        training = run()
    assert 0 < len(training.history) < 9
    for model in (training.model, load_model(training.best), load_model(training.last)):
        assert all(each.isfinite().all() for each in model.state_dict().values())


def test_a_loss_far_above_its_start_counts_as_exploded(patches):
    with pytest.raises(GlacierlabError, match="went astray"):
        fit(narrow(), patches, optimizer={"name": "sgd", "lr": 1e6}, clip_norm=False, explode=10, **QUICK)


def test_leaks_missing_classes_and_no_validation_are_told(patches):
    leaky = learnable(stride=4)
    leaky = leaky.with_split((["train", "val"] * len(leaky))[: len(leaky)])
    with pytest.warns(DataWarning, match=r"Leaks between train and val.*will be too good"):
        fit(narrow(), leaky, **QUICK | {"max_epochs": 1})
    lakes = learnable(classes=("background", "clean_ice", "glacial_lake"))
    with pytest.warns(DataWarning, match="No training pixel is glacial_lake"):
        fit(narrow(classes=3), lakes, **QUICK | {"max_epochs": 1})
    with pytest.warns(DataWarning, match="no validation patches: train_loss"):
        training = fit(narrow(), patches.subset("train"), **QUICK)
    assert training.best_epoch == training.history["train_loss"].idxmin()


def test_models_that_do_not_fit_are_refused(patches):
    for model, message in (
        (narrow(in_channels=4), "takes 4 channels, the patches have 3 features"),
        (narrow(classes=3), "has 3 classes, the patches 2"),
        (nn.Conv2d(3, 2, 1), "not a Conv2d"),
    ):
        with pytest.raises(GlacierlabError, match=message):
            fit(model, patches, **QUICK)
    with pytest.raises(GlacierlabError, match="One logit tells one class from the rest"):
        fit(narrow(classes=1), learnable(classes=("background", "clean_ice", "glacial_lake")), **QUICK)


def test_no_patches_and_one_patch(patches):
    none = replace(patches, manifest=patches.manifest.iloc[:0])
    with pytest.raises(GlacierlabError, match="train holds no patches"):
        fit(narrow(), none, **QUICK)
    train = patches.subset("train")
    both = (train.manifest[["background_share", "clean_ice_share"]] > 0).all(axis=1)
    one = replace(train, manifest=train.manifest[both].iloc[:1])
    training = fit(narrow(), one, patches.subset("val"), **QUICK)  # a single batch is not dropped
    assert training.history["train_loss"].notna().all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(preset="chen"), "Unknown preset 'chen'. Did you mean 'chen2022'"),
        (dict(optimizer="adamm"), "Unknown optimizer 'adamm'. Did you mean 'adam'"),
        (
            dict(optimizer={"name": "sgd", "lr": 1.0, "momentm": 1}),
            "option of sgd 'momentm'. Did you mean 'momentum'",
        ),
        (dict(loss={"smooth": 1}), "loss={'smooth': 1}: give a name"),
        (dict(monitor="miou"), "Unknown monitor 'miou'. Did you mean 'val_miou'"),
        (dict(batch_size=0), "batch_size=0: give a whole number above 0"),
        (dict(clip_norm=1.0, clip_value=1.0), "both given"),
        (dict(epochs=3), "Unknown argument of fit 'epochs'. Did you mean 'max_epochs'"),
        (dict(plugins=[]), "Unknown argument of fit 'plugins'"),
        (dict(augmentation="all"), "give a gl.samples.Augmentation"),
        (dict(augmentation={"gian": 0.1}), "option of augmentation 'gian'. Did you mean 'gain'"),
        (dict(augmentation=Augmentation(["red"])), r"for \['red'\], the patches have"),
    ],
)
def test_bad_arguments_are_named(patches, given, message):
    with pytest.raises((GlacierlabError, UnknownNameError), match=message):
        fit(narrow(), patches, **QUICK | given)


def test_a_folder_that_cannot_be_written_is_told(patches, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        fit(narrow(), patches, out=tmp_path / "file/out", **QUICK)


def test_it_is_silent(patches, capfd, caplog):
    with caplog.at_level(logging.INFO):
        fit(narrow(), patches, **QUICK)
    out, err = capfd.readouterr()
    assert (out, err, caplog.records) == ("", "", [])
