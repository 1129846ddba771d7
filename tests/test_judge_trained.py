"""A model is told apart from the patches it was trained on, wherever it is judged, and from other numbers."""

import warnings

import pytest
import torch
from judging import HALF, RED, linear, noisy_patches

import glacierlab as gl
from glacierlab.errors import DataWarning
from glacierlab.judge import calibrate, compare, confusions, evaluate, importance
from glacierlab.models import build_model

torch.set_num_threads(1)
ALONE = dict(progress=False, monitor="train_loss")  # there is no validation
ASKED = {
    "confusions": confusions,
    "evaluate": lambda model, patches: evaluate(model, patches, repeats=2),
    "calibrate": calibrate,
    "importance": lambda model, patches: importance(model, patches, repeats=1),
    "gradients": lambda model, patches: importance(
        model, patches, method="integrated_gradients", baseline=dict.fromkeys(RED, 0.0), steps=2
    ),
}


@pytest.fixture(scope="module")
def patches():
    return noisy_patches(4).split(by="scene", shares=(0.5, 0.5), names=("train", "test"))


@pytest.fixture(scope="module")
def model(patches):
    """Trained on two of four scenes."""
    return gl.fit(build_model("random_forest", 3, 2, n_estimators=3), patches.subset("train"), **ALONE).model


@pytest.mark.parametrize("name", ["confusions", "evaluate", "calibrate", "importance"])
def test_patches_of_the_training_are_told_and_others_not(name, model, patches):
    with pytest.warns(DataWarning, match="trained on 48 of these 48 patches"):
        ASKED[name](model, patches.subset("train"))
    ASKED[name](model, patches.subset("test"))  # warnings are errors


@pytest.mark.parametrize("name", ASKED)
def test_other_numbers_are_told_wherever_a_model_is_judged(name, patches):
    with pytest.warns(DataWarning, match="radiometry is not that of the model"):
        ASKED[name](linear(RED, HALF, radiometry="toa"), patches.subset("test"))


def test_some_of_the_patches_in_any_order_and_with_more_features_are_told(patches, tmp_path):
    train = patches.subset("train")
    taught = build_model("single_band", 2, 2, band="red")
    taught = gl.fit(taught, train.select(["nir", "red"]), **ALONE).model
    path = gl.save_model(taught, tmp_path / "m.safetensors")
    with pytest.warns(DataWarning, match="trained on 48 of these 96 patches"):
        confusions(gl.load_model(path), patches)
    with pytest.warns(DataWarning, match="trained on 48 of these 48"):
        confusions(taught, train.to_zarr(tmp_path / "cache"))


def test_other_patches_of_the_same_names_and_windows_are_no_training(model):
    other = noisy_patches(4, wrong=0.3)  # the same scenes with other labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusions(model, other)


@pytest.mark.parametrize(
    "training", [{}, {"data": 3}, {"data": {"train": {"fingerprint": 1}}, "split": {"train": [1]}}]
)
def test_cards_of_other_trainings_say_nothing(training, patches):
    confusions(linear(RED, HALF, training=training), patches)


def test_a_comparison_says_that_a_model_was_trained_on_its_tests(model, patches):
    turned = {"train": patches.subset("test"), "test": patches.subset("train")}
    found = compare({"mine": model, "red": ("single_band", {"band": "red"})}, turned, repeats=2)
    warned = found.models.set_index("model")["warned"]
    assert "trained on 48 of these 48" in warned["mine"]
    assert "trained on" not in warned["red"]
    assert any(note.startswith("mine: ") for note in found.about["notes"])
