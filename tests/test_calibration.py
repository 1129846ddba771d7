"""Calibration: errors against hand calculation and other libraries, temperatures that are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError

torch = pytest.importorskip("torch")

from judging import BINARY, HALF, RED, carded, linear, noisy, noisy_patches, patches_of, truth_of  # noqa: E402

from glacierlab.judge import calibrate, expected_error, reliability  # noqa: E402
from glacierlab.judge.calibration import best_temperature, moments  # noqa: E402
from glacierlab.judge.evaluation import evaluate  # noqa: E402

TEN = np.arange(0.05, 1, 0.1)
CAME_TRUE = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1])


# ---- reliability


def test_the_hand_calculation():
    table = reliability(TEN, CAME_TRUE, bins=5)
    assert expected_error(table)[0] == pytest.approx(0.12)
    assert table["count"].tolist() == [2] * 5
    np.testing.assert_allclose(table["confidence"], [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(table["accuracy"], [0, 0.5, 0.5, 0.5, 1])
    assert expected_error(table)[1] == pytest.approx(0.2)


def test_bins_hold_what_lies_in_them():
    table = reliability([0, 0.5, 1.0], [0, 1, 1], bins=2)
    assert table["count"].tolist() == [1, 2]  # an edge belongs above it, but 1
    assert table[["low", "high"]].to_numpy().tolist() == [[0, 0.5], [0.5, 1]]
    assert np.isnan(reliability([0.9], [1], bins=2)["accuracy"][0])
    assert np.isnan(expected_error(reliability([], []))).all()


@given(seed=st.integers(0, 99), bins=st.integers(1, 20))
def test_errors_are_those_of_torchmetrics(seed, bins):
    from torchmetrics.functional.classification import binary_calibration_error

    random = np.random.default_rng(seed)
    probability, outcome = random.random(300), random.integers(0, 2, 300)
    given_ = torch.tensor(probability), torch.tensor(outcome)
    expected = [float(binary_calibration_error(*given_, n_bins=bins, norm=norm)) for norm in ("l1", "max")]
    assert expected_error(reliability(probability, outcome, bins=bins)) == pytest.approx(expected, abs=1e-6)


def test_bad_probabilities_are_refused():
    with pytest.raises(GlacierlabError, match="softmax or sigmoid"):
        reliability([1.2], [1])
    with pytest.raises(GlacierlabError, match="differ in shape"):
        reliability([0.2, 0.3], [1])
    with pytest.raises(GlacierlabError, match="bins=0"):
        reliability([0.2], [1], bins=0)


@pytest.fixture(scope="module")
def three():
    """A model of three classes, patches with them, and their pixels: probabilities (n, 3), labels (n,)."""
    classes = ("background", "clean_ice", "debris_covered_ice")
    scene = noisy()
    labels = truth_of(scene, np.random.default_rng(4).choice([0, 1, 2, 255], scene.red.shape))
    patches = patches_of(scene, labels, classes=list(classes))
    torch.manual_seed(1)
    model = carded(torch.nn.Conv2d(3, 3, 1), ("red", "nir", "swir16"), classes)
    with torch.no_grad():
        model.network.weight *= 6
    images = torch.from_numpy(np.stack([image for image, _ in patches]))
    truth = np.stack([label for _, label in patches])
    probabilities = model.probabilities(images).permute(0, 2, 3, 1).numpy()[truth != 255]
    return model, patches, probabilities, truth[truth != 255]


def test_evaluation_of_classes_is_that_of_other_libraries(three):
    from sklearn.metrics import brier_score_loss, log_loss
    from torchmetrics.functional.classification import multiclass_calibration_error

    model, patches, probabilities, truth = three
    found = evaluate(model, patches, batch_size=5)
    given_ = torch.from_numpy(probabilities), torch.from_numpy(truth.astype(np.int64))
    expected = [
        float(multiclass_calibration_error(*given_, num_classes=3, n_bins=15, norm=norm))
        for norm in ("l1", "max")
    ]
    assert found.calibration.loc["all", ["ece", "mce"]].tolist() == pytest.approx(expected, abs=1e-6)
    assert found.ece == found.calibration.loc["all", "ece"]
    assert found.calibration.loc["all", "nll"] == pytest.approx(log_loss(truth, probabilities), rel=1e-5)
    briers = [brier_score_loss(truth == place, probabilities[:, place]) for place in range(3)]
    assert found.calibration["brier"].tolist() == pytest.approx([np.mean(briers), *briers], rel=1e-5)
    assert found.reliability["count"].sum() == len(truth)
    of_class = found.reliability_by_class.loc["clean_ice"]
    alone = reliability(probabilities[:, 1], truth == 1)
    np.testing.assert_allclose(of_class["accuracy"], alone["accuracy"], rtol=1e-6)
    finer = evaluate(model, patches, reliability_bins=30, repeats=1)
    assert len(finer.reliability) == 30


# ---- temperature


def drawn(seed=0, count=20_000, classes=3):
    """Logits and labels drawn by their own probabilities: the best temperature is 1."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, (random.random((count, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1, 3, 20])
def test_a_known_scale_is_recovered(scale):
    logits, labels = drawn()
    assert best_temperature(scale * logits, labels) == pytest.approx(scale, rel=0.03)


@given(seed=st.integers(0, 50), scale=st.floats(0.1, 10))
def test_no_other_temperature_is_likelier(seed, scale):
    from scipy.optimize import minimize_scalar

    logits, labels = drawn(seed, 200)
    loss = lambda log_t: float(
        torch.nn.functional.cross_entropy(
            torch.from_numpy(scale * logits) / np.exp(log_t), torch.from_numpy(labels)
        )
    )
    found = minimize_scalar(loss, bounds=(-3.9, 3.9), method="bounded", options={"xatol": 1e-9})
    assert np.log(best_temperature(scale * logits, labels)) == pytest.approx(found.x, abs=1e-4)


def test_slopes_are_those_of_the_loss():
    logits, labels = drawn(3, 500)
    rows, step = np.arange(500), 1e-4
    below, here, above = (moments(logits, labels, rows, 0.7 + d) for d in (-step, 0, step))
    assert here[1] == pytest.approx((above[0] - below[0]) / (2 * step), rel=1e-6)
    assert here[2] == pytest.approx((above[1] - below[1]) / (2 * step), rel=1e-6)


def test_calibration_keeps_decisions_and_lowers_the_loss():
    patches = noisy_patches(2)
    sure = linear({"red": 200.0}, -100.0)  # and wrong in a tenth
    calm = calibrate(sure, patches)
    assert sure.card.temperature == 1
    assert calm.card.temperature > 5
    assert calm.network is sure.network
    before, after = (evaluate(model, patches, repeats=1) for model in (sure, calm))
    np.testing.assert_array_equal(after.confusions, before.confusions)
    assert after.calibration.loc["all", "nll"] < before.calibration.loc["all", "nll"]
    again = calibrate(calm, patches)  # from the logits, not from what was calibrated
    assert again.card.temperature == pytest.approx(calm.card.temperature)


def test_one_logit_and_two_have_one_temperature(tmp_path):
    patches = noisy_patches(2)
    one, two = linear(RED, HALF), linear(RED, HALF, classes=BINARY)
    found = [calibrate(model, patches) for model in (one, two)]
    assert found[0].card.temperature == pytest.approx(found[1].card.temperature, rel=1e-6)
    some = calibrate(one, patches, max_pixels=4000)
    assert some.card.temperature == pytest.approx(found[0].card.temperature, rel=0.1)
    assert calibrate(one, patches, max_pixels=4000, batch_size=3).card == some.card


def test_the_file_keeps_the_temperature(tmp_path):
    from glacierlab.models import build_model

    scene = noisy()
    patches = patches_of(scene, truth_of(scene, scene.red.values > 0.5))
    model = build_model("unet", 1, 1, widths=[4, 8])
    model.card = linear({"red": 1.0}).card
    calm = calibrate(model, patches)
    gl.models.save_model(calm, tmp_path / "calm.safetensors")
    assert gl.models.load_model(tmp_path / "calm.safetensors").card.temperature == calm.card.temperature


def test_what_gives_no_temperature_is_told():
    patches = noisy_patches(1, wrong=0)
    with pytest.warns(DataWarning, match=r"at its bound, 0\.02: the model is right"):
        calibrate(linear(RED, HALF), patches)
    with pytest.warns(DataWarning, match="at its bound, 50"):
        calibrate(linear({"red": -20.0}, 10.0), patches)
    with pytest.raises(GlacierlabError, match="no finite logits"):
        calibrate(linear({"red": float("inf")}), patches)
