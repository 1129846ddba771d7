"""Losses: values by hand and from other libraries, and what is not known counts nowhere."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.train import LOSSES, DeepSupervision, build_loss
from glacierlab.train.losses import border_weights, probabilities

UNKNOWN = 255


def drawn(classes, shape=(2, 7, 9), seed=0, share_unknown=0.0):
    """Logits (N, C, H, W) and targets (N, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = shape
    logits = 2 * torch.randn(batch, classes, height, width, generator=generator)
    target = torch.randint(max(classes, 2), shape, generator=generator)
    target[torch.rand(shape, generator=generator) < share_unknown] = UNKNOWN
    return logits, target


def halves(pixels=16):
    """Logits 0, half of the pixels positive: the pack's case."""
    target = torch.zeros(1, 4, pixels // 4, dtype=torch.int64)
    target[:, :2] = 1
    return torch.zeros(1, 1, 4, pixels // 4), target


# ---- values from outside


def test_half_positive_at_logits_zero():
    logits, target = halves()
    assert LOSSES["cross_entropy"](logits, target).item() == pytest.approx(0.693147, abs=1e-6)
    assert LOSSES["dice"](logits, target).item() == pytest.approx(1 - 9 / 17, abs=1e-6)
    half = 0.5 * (math.log(2) + 1 - 9 / 17)  # Chu's loss
    assert LOSSES["cross_entropy_dice"](logits, target).item() == pytest.approx(half, abs=1e-6)
    assert LOSSES["focal"](logits, target).item() == pytest.approx(0.5 * 0.25 * math.log(2), abs=1e-6)
    tversky = 1 - (4 + 1) / (4 + 0.3 * 4 + 0.7 * 4 + 1)  # tp, fp and fn are 4 each
    assert LOSSES["tversky"](logits, target).item() == pytest.approx(tversky, abs=1e-6)


def test_cross_entropy_is_that_of_torch():
    logits, target = drawn(4, share_unknown=0.2)
    weights = [0.5, 1.0, 2.0, 4.0]
    expected = F.cross_entropy(logits, target, torch.tensor(weights), ignore_index=UNKNOWN)
    torch.testing.assert_close(LOSSES["cross_entropy"](logits, target, weights=weights), expected)
    logits, target = drawn(1)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], target.float())
    torch.testing.assert_close(LOSSES["cross_entropy"](logits, target), expected)
    known = torch.where(target == 1, 3.0, 1.0)
    each = F.binary_cross_entropy_with_logits(logits[:, 0], target.float(), reduction="none")
    expected = (each * known).sum() / known.sum()
    torch.testing.assert_close(LOSSES["cross_entropy"](logits, target, weights=(1, 3)), expected)


def test_dice_of_a_batch_is_that_of_smp():
    for classes, mode in ((1, "binary"), (3, "multiclass")):
        logits, target = drawn(classes, share_unknown=0.2)
        theirs = smp.losses.DiceLoss(mode, smooth=0.0, ignore_index=UNKNOWN)
        expected = theirs(logits, target[:, None] if classes == 1 else target)
        torch.testing.assert_close(LOSSES["dice"](logits, target, smooth=0.0, per_sample=False), expected)


def test_tversky_is_that_of_smp():
    logits, target = drawn(1)
    theirs = smp.losses.TverskyLoss("binary", smooth=0.7, alpha=0.2, beta=0.8)
    expected = theirs(logits, target[:, None])
    found = LOSSES["tversky"](logits, target, alpha=0.2, beta=0.8, smooth=0.7, per_sample=False)
    torch.testing.assert_close(found, expected)


def test_even_tversky_is_dice_with_twice_the_smoothing():
    logits, target = drawn(3, share_unknown=0.1)
    even = LOSSES["tversky"](logits, target, alpha=0.5, beta=0.5, smooth=0.5)
    torch.testing.assert_close(even, LOSSES["dice"](logits, target, smooth=1.0))


def test_focal_is_that_of_torchvision():
    logits, target = drawn(1)
    expected = sigmoid_focal_loss(logits[:, 0], target.float(), alpha=0.25, gamma=2, reduction="mean")
    torch.testing.assert_close(LOSSES["focal"](logits, target), expected)
    logits, target = drawn(3)
    plain = LOSSES["focal"](logits, target, gamma=0.0)
    torch.testing.assert_close(plain, LOSSES["cross_entropy"](logits, target))


def by_hand(logits, mask, slip=False):
    """PraNet's structure loss of one sample (H, W), pixel by pixel."""
    height, width = mask.shape
    weight = torch.ones(height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            around = mask[max(0, y - 15) : y + 16, max(0, x - 15) : x + 16].sum() / 31**2
            weight[y, x] += 5 * abs(around - mask[y, x])
    p = logits.double().sigmoid()
    bce = -(mask * p.log() + (1 - mask) * (1 - p).log())
    cross = bce.mean() if slip else (weight * bce).sum() / weight.sum()
    both, either = (weight * p * mask).sum(), (weight * (p + mask)).sum()
    return cross + 1 - (both + 1) / (either - both + 1)


@pytest.mark.parametrize("slip", [False, True])
def test_structure_is_that_of_a_calculation_by_hand(slip):
    logits, target = drawn(1, shape=(2, 18, 37))
    expected = sum(by_hand(z[0], y.double(), slip) for z, y in zip(logits, target, strict=True)) / 2
    found = LOSSES["structure"](logits, target, legacy_mean_bce=slip)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert abs(found - LOSSES["structure"](logits, target, legacy_mean_bce=not slip)) > 1e-4


def test_structure_means_leave_out_what_is_unknown():
    """Windows of 3 on a row 1 ? 0: each counts 8 places, beyond the border as 0, and not the unknown."""
    target = torch.tensor([[[1, UNKNOWN, 0]]])
    _, y, known = probabilities(torch.zeros(1, 1, 1, 3), target)
    weights = border_weights(y, known, kernel=3, gain=5.0)
    expected = [
        1 + 5 * abs(1 / 8 - 1),
        0,
        1 + 5 * abs(0 / 8 - 0),
    ]  # each window: 9 places less the unknown one
    torch.testing.assert_close(weights.flatten(), torch.tensor(expected))


# ---- what always holds


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_logits_of_unknown_pixels_change_nothing(name, classes):
    @settings(max_examples=15)
    @given(seed=st.integers(0, 999), value=st.floats(-50, 50))
    def holds(seed, value):
        logits, target = drawn(classes, shape=(2, 5, 6), seed=seed, share_unknown=0.4)
        changed = torch.where((target == UNKNOWN)[:, None], torch.full_like(logits, value), logits)
        torch.testing.assert_close(LOSSES[name](changed, target), LOSSES[name](logits, target))

    holds()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_sample_of_unknown_pixels_changes_nothing(name, classes):
    logits, target = drawn(classes)
    more = torch.cat([logits, torch.randn(1, *logits.shape[1:])])
    padded = torch.cat([target, torch.full_like(target[:1], UNKNOWN)])
    torch.testing.assert_close(LOSSES[name](more, padded), LOSSES[name](logits, target))


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_nothing_known_is_zero_with_a_gradient(name, classes):
    logits, target = drawn(classes)
    logits.requires_grad_()
    loss = LOSSES[name](logits, torch.full_like(target, UNKNOWN))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_perfect_prediction_is_nearly_free_and_better_than_others(name, classes):
    logits, target = drawn(classes)
    perfect = 20.0 * (2 * target[:, None] - 1) if classes == 1 else 20.0 * F.one_hot(target, 3).movedim(-1, 1)
    perfect = perfect.float().requires_grad_()
    loss = LOSSES[name](perfect, target)
    loss.backward()
    assert loss.item() < 1e-3 < LOSSES[name](logits, target).item()
    assert perfect.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_large_logits_give_finite_gradients(name):
    for classes in (1, 3):
        logits, target = drawn(classes, share_unknown=0.1)
        logits = (1e4 * logits).requires_grad_()
        LOSSES[name](logits, target).backward()
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["dice", "tversky", "structure", "cross_entropy_dice"])
def test_the_loss_of_a_batch_is_the_mean_of_its_samples(name):
    logits, target = drawn(1)
    each = [LOSSES[name](logits[n : n + 1], target[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(LOSSES[name](logits, target), sum(each) / 2)


# ---- deep supervision


def test_deep_supervision_resizes_logits_and_adds():
    logits, target = drawn(1, shape=(2, 8, 8))
    small = logits[..., ::2, ::2]
    dice = build_loss("dice")
    grown = F.interpolate(small, size=(8, 8), mode="bilinear", align_corners=False)
    expected = dice(logits, target) + 0.5 * dice(grown, target)
    torch.testing.assert_close(DeepSupervision(dice, (1, 0.5))([logits, small], target), expected)
    expected = dice(logits, target) + dice(grown, target)
    torch.testing.assert_close(DeepSupervision(dice)([logits, small], target), expected)
    assert DeepSupervision(dice, (1, 0.5))(logits, target) == dice(logits, target)  # eval mode: one tensor


def test_weights_are_as_many_as_outputs_and_classes():
    logits, target = drawn(3)
    with pytest.raises(GlacierlabError, match="2 weights of deep supervision for 1 outputs"):
        DeepSupervision(build_loss("dice"), (1, 1))([logits], target)
    with pytest.raises(GlacierlabError, match="2 class weights for 3 classes"):
        LOSSES["cross_entropy"](logits, target, weights=(1, 2))
    with pytest.raises(GlacierlabError, match="kernel=30: give an odd number"):
        LOSSES["structure"](logits, target, kernel=30)


def test_names_are_looked_up():
    with pytest.raises(UnknownNameError, match="Did you mean 'focal'"):
        build_loss("focall")
    with pytest.raises(UnknownNameError, match=r"option of dice 'smoth'\. Did you mean 'smooth'"):
        build_loss("dice", smoth=1)
