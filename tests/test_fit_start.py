"""Where a training starts: the parts of a split, the model for its patches, and weights that must stay."""

from dataclasses import replace

import pytest
import torch
from trained import BANDS, learnable, narrow

import glacierlab as gl
from glacierlab.errors import GlacierlabError, ManifestError
from glacierlab.models import build_model, save_model
from glacierlab.train import build_for, config, fit, starting

QUICK = dict(max_epochs=1, batch_size=8, progress=False)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches():
    return learnable()


def renamed(patches, **names):
    return patches.with_split(patches.manifest["split"].replace(names).tolist())


# ---- parts


def test_a_split_without_train_is_refused(patches):
    with pytest.raises(
        ManifestError, match=r"train: the parts of the split are \['fit', .*patches\.subset\('fit'\)"
    ):
        fit(narrow(), renamed(patches, train="fit"), **QUICK)
    with pytest.raises(ManifestError, match=r"val: the parts of the split are .*none is 'val'"):
        fit(narrow(), patches.subset("train"), renamed(patches, val="look"), **QUICK)


def test_one_part_of_any_name_trains_and_the_buffer_never(patches):
    train = renamed(patches, train="fit").subset("fit")
    parts = ["fit"] * (len(train) - 2) + ["buffer"] * 2
    val = patches.subset("val")
    card = fit(narrow(), train.with_split(parts), val, **QUICK).model.card
    assert card.training["data"]["train"]["patches"] == len(train) - 2
    card = fit(narrow(), patches, patches, **QUICK).model.card  # of each its own part
    assert card.training["data"]["val"]["patches"] == len(val)


def test_one_logit_has_a_background(patches):
    two = replace(patches, classes=("bare_ice", "snow"))
    with pytest.raises(
        GlacierlabError, match=r"\['bare_ice', 'snow'\] apart: build the model with classes=2"
    ):
        fit(narrow(classes=1), two, **QUICK)


# ---- the model for patches


@pytest.fixture
def asked(monkeypatch):
    """What `build_model` is asked for, instead of building it."""
    monkeypatch.setattr(starting, "build_model", lambda *args, **options: (*args, options))


def test_pretrained_weights_know_channels_by_name(patches, asked):
    options = dict(encoder_weights="imagenet")
    named = options | {"features": list(BANDS)}
    assert build_for(patches, "unet_resnet18", **options) == ("unet_resnet18", 3, 2, named)
    assert build_for(patches, "unet_resnet18", 1) == ("unet_resnet18", 3, 1, {})
    assert build_for(patches.select(["nir"]), "pan", **options) == ("pan", 1, 2, options)  # spread over all
    assert build_for(patches, "cryonet", preset="cryonet") == ("cryonet", 3, 2, named)
    assert build_for(patches, "cryonet", preset="cryonet", encoder_weights=None)[3] == {
        "encoder_weights": None
    }
    assert build_for(patches, "unet", preset="cryonet")[3] == {}


def test_configs_build_the_same(patches, asked, monkeypatch):
    monkeypatch.setattr(config, "patches_of", lambda data: patches)
    monkeypatch.setattr(config, "fit", lambda model, *_, **__: model)
    built = config.train_from({"data": {}, "train": {"preset": "cryonet"}})
    assert built == build_for(patches, "cryonet", preset="cryonet")


def test_other_bands_fine_tune_a_named_encoder(patches, tmp_path):
    """`features` say how weights start; they are no other architecture."""
    first = build_model("unet_resnet18", 3, 2, features=list(BANDS))
    gl.save_model(first, tmp_path / "m.safetensors", features=BANDS, classes=patches.classes)
    fewer = patches.select(["swir16", "red"])
    model = build_model("unet_resnet18", 2, 2, features=list(fewer.features))
    starting.start_from(model, tmp_path / "m.safetensors", fewer)
    mine, theirs = (each.network.encoder.conv1.weight for each in (model, first))
    torch.testing.assert_close(mine, theirs[:, [2, 0]])


# ---- weights that stay


def test_a_presets_start_does_not_undo_what_was_learned(patches):
    model = fit(narrow(), patches, **QUICK).model
    with pytest.raises(GlacierlabError, match="trained already, and initialization='glorot_normal' would"):
        fit(model, patches, preset="chen2022", **QUICK)
    before = [each.detach().clone() for each in model.parameters()]
    fit(model, patches, preset="chen2022", initialization=False, lr=1e-12, **QUICK)
    for each, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(each, old, atol=1e-6, rtol=0)
    pretrained = narrow()
    pretrained.options = pretrained.options | {"encoder_weights": "imagenet"}
    with pytest.raises(GlacierlabError, match="has a pretrained encoder, and initialization"):
        fit(pretrained, patches, preset="chen2022", **QUICK)


def test_baselines_have_no_use_for_a_start(patches):
    for given in (dict(init="nowhere.safetensors"), dict(freeze=["network"])):
        with pytest.raises(GlacierlabError, match="'random_forest' learns at once"):
            fit(build_model("random_forest", 3, 2), patches, **given)


# ---- Lightning's arguments


@pytest.mark.parametrize(
    "given",
    [
        dict(check_val_every_n_epoch=2),
        dict(limit_val_batches=0),
        dict(max_steps=1),
        dict(fast_dev_run=True),
    ],
)
def test_arguments_that_break_the_record_are_not_taken(patches, given):
    with pytest.raises(GlacierlabError, match=f"Unknown argument of fit '{next(iter(given))}'"):
        fit(narrow(), patches, **QUICK, **given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (dict(accelerator="hpu"), "Lightning cannot train"),
        (dict(accelerator="abacus"), "Lightning cannot train"),
        (dict(strategy="nope"), "Lightning cannot train"),
        (dict(devices="many"), "Lightning cannot train"),
        (dict(max_time=[1]), "Lightning cannot train"),
        (dict(limit_train_batches=-1), "Lightning cannot train"),
        (dict(limit_train_batches=0), "before its first epoch"),
        (dict(max_time={"seconds": 0}), "before its first epoch"),
    ],
)
def test_what_lightning_cannot_do_is_told(patches, given, told):
    with pytest.raises(GlacierlabError, match=told):
        fit(narrow(), patches, **QUICK, **given)


def test_the_card_tells_lightnings_arguments(patches):
    model = fit(narrow(), patches, limit_train_batches=1, max_time={"minutes": 5}, **QUICK).model
    assert model.card.training["trainer"] == {"limit_train_batches": 1, "max_time": {"minutes": 5}}


@pytest.mark.parametrize(
    ("name", "options"), [("fcn32s", {"widths": [4, 4, 4, 4, 4], "hidden": 8}), ("unet", {"widths": [4, 8]})]
)
def test_classes_and_channels_in_another_order_mean_the_same(patches, tmp_path, name, options):
    """A kernel of FCN-32s has the classes in two dimensions, and both must turn."""
    torch.manual_seed(3)
    source = build_model(name, 3, 3, **options).eval()
    here, there = ("red", "nir", "swir16"), ("swir16", "red", "nir")
    path = tmp_path / "source.safetensors"
    save_model(source, path, features=here, classes=("background", "clean_ice", "glacial_lake"))
    turned = replace(patches, features=there, classes=("background", "glacial_lake", "clean_ice"))
    model = build_model(name, 3, 3, **options).eval()
    starting.start_from(model, path, turned)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = source(image)[:, [0, 2, 1]], model(image[:, [2, 0, 1]])
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(expected, source(image))
