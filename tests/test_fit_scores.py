"""Scores of training: what they are in the words of evaluate, on every device, and when there are none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler
from trained import Altered, learnable, narrow

import glacierlab as gl
from glacierlab.errors import GlacierlabError
from glacierlab.train import fit, tally
from glacierlab.train.batches import val_loader

QUICK = dict(max_epochs=1, batch_size=8, progress=False)
THREE = ("background", "clean_ice", "glacial_lake")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches():
    return learnable()


def three_classes(patches):
    """The patches with every third row a lake."""

    def change(image, label, *_):
        label[::3] = np.where(label[::3] == 255, 255, 2)

    lakes = patches.manifest.assign(glacial_lake_share=0.3)
    return replace(patches, store=Altered(patches.store, change), classes=THREE, manifest=lakes)


def test_miou_is_the_mean_iou_of_evaluate(patches):
    made = three_classes(patches)
    training = fit(narrow(classes=3), made, **QUICK)
    row = training.history.set_index("epoch").loc[training.best_epoch]
    scores = gl.evaluate(training.model, made.subset("val"), repeats=10).scores
    assert row["val_miou"] == pytest.approx(scores.loc["mean", "iou"])
    assert row["val_iou"] == pytest.approx(scores.loc[list(THREE[1:]), "iou"].mean())
    assert row["val_miou"] != pytest.approx(scores.loc["mean", "miou"])  # of each class against the rest


def test_sums_lie_where_the_loss_does(monkeypatch):
    made, zeros = [], torch.zeros

    def noting(*shape, **options):
        made.append(options)
        return zeros(*shape, **options | {"device": "cpu"})

    monkeypatch.setattr(torch, "zeros", noting)
    tally.Tally(2, torch.device("mps"))
    assert [options["device"].type for options in made] == ["mps", "mps"]
    assert torch.float64 not in [options["dtype"] for options in made]  # which Apple's GPUs do not have


def test_several_devices_validate_each_patch_once(patches):
    val = patches.subset("val")
    val = replace(val, manifest=val.manifest.iloc[:9])
    loaders = [val_loader(val, SimpleNamespace(batch_size=2), 0, rank, devices=2) for rank in range(2)]
    assert all(isinstance(each.sampler, DistributedSampler) for each in loaders)  # which Lightning leaves
    places = [int(place) for each in loaders for _, _, some in each for place in some]
    assert sorted(places) == list(range(9))


def test_a_score_that_is_no_number_does_not_end_training(patches):
    val = patches.subset("val")

    def change(image, label, *_):
        label[:] = 0

    bare = replace(val, store=Altered(val.store, change))
    found = dict(loss=lambda logits, target: (logits[:, 1] - logits[:, 0]).mean().exp(), lr=0.1)
    training = fit(narrow(), patches.subset("train"), bare, monitor="val_iou", patience=3,
                   **QUICK | found | {"max_epochs": 6})  # fmt: skip
    assert training.history["val_iou"].isna().any()  # no ice, and none found
    assert len(training.history) > 1


def test_an_epoch_that_ruins_the_weights_is_not_the_best(patches, tmp_path):
    train = patches.subset("train")
    call = dict(optimizer={"name": "sgd", "lr": 1e38}, clip_norm=False, batch_size=len(train))
    with pytest.raises(GlacierlabError, match=r"the loss of validation was (nan|inf) in epoch 0"):
        fit(narrow(), patches, out=tmp_path, **QUICK | call | {"max_epochs": 3})
    assert not (tmp_path / "best.safetensors").exists()
