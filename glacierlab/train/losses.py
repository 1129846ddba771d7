"""Losses on logits (N, C, H, W) and targets (N, H, W), for one logit (C = 1) or several classes.

A target holds places of classes, and 255 where nothing is known: those pixels are left out of every sum, mean
and count, so that whatever the logits are there changes nothing. A batch of nothing else gives 0.
"""

import inspect
from functools import partial

import torch
import torch.nn.functional as F

from ..errors import GlacierlabError
from ..tables import NOT_OBSERVED, lookup

TINY = 1e-12  # keeps 0 / 0 at 0


def build_loss(name, **options):
    """A loss by name, with its options.

    Parameters
    ----------
    name : str
        A key of `LOSSES`.
    **options
        Of that function, such as `weights`, `smooth` or `gamma`.

    Returns
    -------
    callable
        loss(logits (N, C, H, W), target (N, H, W) int64) → scalar tensor.

    Raises
    ------
    UnknownNameError
        No such loss, or no such option of it.

    Examples
    --------
    >>> import torch
    >>> loss = build_loss("cross_entropy")
    >>> round(float(loss(torch.zeros(1, 2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long))), 3)  # ln 2
    0.693
    """
    function = lookup(LOSSES, name, kind="loss")
    known = [
        key for key, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY
    ]
    for option in options:
        lookup(dict.fromkeys(known), option, kind=f"option of {name}")
    return partial(function, **options)


class DeepSupervision:
    """A loss of all outputs of a network: sum of w_k L(S_k), main output first.

    Logits, not probabilities, are resized to the target (bilinear). A single tensor, which is what networks
    give in eval mode, is judged by the loss alone.

    Parameters
    ----------
    loss : callable
        As `build_loss` makes it.
    weights : sequence of float, optional
        One for each output; by default all 1 (PraNet, Fan et al. 2020, arXiv:2006.11392).

    Examples
    --------
    >>> import torch
    >>> loss = DeepSupervision(build_loss("cross_entropy"), weights=[1.0, 0.5])
    >>> outputs = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)]  # the main one, and a coarser
    >>> round(float(loss(outputs, torch.zeros(1, 8, 8, dtype=torch.long))), 3)  # 1.5 ln 2
    1.04
    """

    def __init__(self, loss, weights=None):
        self.loss, self.weights = loss, weights

    def __call__(self, outputs, target):
        if isinstance(outputs, torch.Tensor):
            return self.loss(outputs, target)
        weights = [1.0] * len(outputs) if self.weights is None else self.weights
        if len(weights) != len(outputs):
            raise GlacierlabError(
                f"{len(weights)} weights of deep supervision for {len(outputs)} outputs: give one for each, "
                "main output first."
            )
        return sum(
            weight * self.loss(resized(output, target.shape[-2:]), target)
            for weight, output in zip(weights, outputs, strict=True)
        )


def resized(logits, size):
    """Logits (N, C, H, W) at another size."""
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


# ---- pixel by pixel ----


def cross_entropy(logits, target, *, weights=None):
    """Cross-entropy, of the sigmoid for one logit and of the softmax for several: -log p of the true class.

    Parameters
    ----------
    weights : sequence of float, optional
        One for each class (two for one logit: of the rest, and of the class). The mean is then the weighted
        one, as of `torch.nn.CrossEntropyLoss`.
    """
    entropy, weight = pixel_entropy(logits, target), pixel_weights(logits, target, weights)
    return (entropy * weight).sum() / weight.sum().clamp(min=TINY)


def focal(logits, target, *, gamma=2.0, alpha=0.25, weights=None):
    """Focal loss, the mean of -α (1 - p)^γ log p, with p the probability of the true class.

    Lin et al. 2017, arXiv:1708.02002.

    Parameters
    ----------
    gamma : float
        How little easy pixels count; at 0 they count fully.
    alpha : float
        With one logit: the weight of its class, 1 - alpha that of the rest.
    weights : sequence of float, optional
        With several classes: what stands for alpha, one for each; by default 1. The mean is over pixels, not
        over weights.
    """
    entropy, known = pixel_entropy(logits, target), known_pixels(target)
    if weights is None:
        weights = (1 - alpha, alpha) if logits.shape[1] == 1 else (1.0,) * logits.shape[1]
    weight = pixel_weights(logits, target, weights)
    missed = -torch.expm1(-entropy)  # 1 - p
    return (weight * missed**gamma * entropy).sum() / known.sum().clamp(min=1)


# ---- overlap ----


def dice(logits, target, *, smooth=1.0, per_sample=True):
    """Dice loss: 1 - (2 Σ p y + s) / (Σ p + Σ y + s).

    Milletari et al. 2016, arXiv:1606.04797, with sums in the denominator and `smooth` as in the scripts of
    Chu et al. 2022, doi:10.5194/tc-16-4273-2022; their equation 4 lacks the factor 2.

    Parameters
    ----------
    smooth : float
        s, which makes the loss 0 for a class that is neither there nor predicted.
    per_sample : bool
        The mean of each sample's loss (Chu); False: sums over the batch. Samples without any known pixel
        count in neither. With several classes it is the mean over all of them, background too: an assumption.
    """
    p, y, known = probabilities(logits, target)
    together, p, y = (total(each, per_sample) for each in (p * y, p, y))
    return mean_of_samples(1 - (2 * together + smooth) / (p + y + smooth), known)


def tversky(logits, target, *, alpha=0.3, beta=0.7, smooth=1.0, per_sample=True):
    """Tversky loss: 1 - (TP + s) / (TP + α FP + β FN + s), of soft counts.

    Salehi et al. 2017, arXiv:1706.05721. With α = β = 0.5 and s it is the Dice loss with 2 s.

    Parameters
    ----------
    alpha, beta : float
        Weights of false positives and of false negatives. 0.3 and 0.7, which favor recall, are assumptions.
    smooth, per_sample
        As of `dice`.
    """
    p, y, known = probabilities(logits, target)
    tp, fp, fn = (total(each, per_sample) for each in (p * y, p * (1 - y), (1 - p) * y))
    return mean_of_samples(1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth), known)


def cross_entropy_dice(logits, target, *, weights=None, smooth=1.0, per_sample=True):
    """Half cross-entropy and half Dice (Chu et al. 2022, with one logit); `weights` are the former's."""
    overlap = dice(logits, target, smooth=smooth, per_sample=per_sample)
    return 0.5 * (cross_entropy(logits, target, weights=weights) + overlap)


def structure(logits, target, *, kernel=31, gain=5.0, smooth=1.0, legacy_mean_bce=False):
    """PraNet's structure loss: weighted cross-entropy plus weighted IoU, per sample.

    A pixel weighs 1 + gain |mean of the mask around it - mask|, so that borders count more. Fan et al. 2020,
    arXiv:2006.11392, who cite F³Net (Wei et al. 2020, arXiv:1911.11445).

    Parameters
    ----------
    kernel : int
        Side of the window of that mean [pixels], odd. Beyond the image's border the mask is 0, as published;
        pixels of the image that are not known leave the window, its sum and its count.
    gain, smooth : float
    legacy_mean_bce : bool
        What the published code does, whose `reduce='none'` takes the plain mean of the batch: its
        cross-entropy is unweighted. False is what was meant.

    Notes
    -----
    With several classes each is a mask of its own (of the softmax), the cross-entropy of a pixel weighs as in
    the mask of its class, and the IoU is the mean over classes: an assumption.
    """
    if kernel % 2 != 1:
        raise GlacierlabError(f"kernel={kernel!r}: give an odd number of pixels, so that it has a center.")
    p, y, known = probabilities(logits, target)
    weight = border_weights(y, known, kernel, gain)
    entropy = pixel_entropy(logits, target)
    if legacy_mean_bce:
        cross = entropy.sum() / known.sum().clamp(min=1)
    else:
        own = weight[:, 0] if y.shape[1] == 1 else (weight * y).sum(dim=1)  # (N, H, W)
        cross = (entropy * own).sum(dim=(1, 2)) / own.sum(dim=(1, 2)).clamp(min=TINY)  # (N,)
    both, either = (total(each * weight, True) for each in (p * y, p + y))  # (N, C)
    overlap = 1 - (both + smooth) / (either - both + smooth)
    return mean_of_samples(cross.reshape(-1, 1) + overlap, known)


def border_weights(y, known, kernel, gain):
    """Weights (N, C, H, W) of masks; 0 where nothing is known."""
    mean = partial(F.avg_pool2d, kernel_size=kernel, stride=1, padding=kernel // 2)
    unknown = mean(1 - known)  # share of the window
    around = mean(y) / (1 - unknown).clamp(min=0.5 / kernel**2)
    return (1 + gain * (around - y).abs()) * known


# ---- what all have in common ----


def known_pixels(target):
    """Which pixels count, (N, H, W)."""
    return target != NOT_OBSERVED


def pixel_entropy(logits, target):
    """-log p of the true class, (N, H, W), float32; 0 where it is not known."""
    known, logits = known_pixels(target), logits.float()
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, target, ignore_index=NOT_OBSERVED, reduction="none")
    truth = torch.where(known, target, 0).float()
    logits = torch.where(known, logits[:, 0], 0.0)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known


def pixel_weights(logits, target, weights):
    """Weight of each pixel's true class, (N, H, W); 0 where it is not known."""
    known = known_pixels(target)
    if weights is None:
        return known.float()
    count = max(logits.shape[1], 2)
    if len(weights) != count:
        raise GlacierlabError(
            f"{len(weights)} class weights for {count} classes: give one for each, in order."
        )
    table = torch.as_tensor(weights, dtype=torch.float32, device=logits.device)
    return table[torch.where(known, target, 0)] * known


def probabilities(logits, target):
    """Probabilities and truth (N, C, H, W), 0 where nothing is known, and what is known (N, 1, H, W)."""
    known, classes = known_pixels(target), logits.shape[1]
    mask = known[:, None]
    logits = torch.where(mask, logits.float(), 0.0)
    p = logits.sigmoid() if classes == 1 else logits.softmax(dim=1)
    target = torch.where(known, target, 0)
    y = target[:, None] if classes == 1 else F.one_hot(target, classes).movedim(-1, 1)
    return p * mask, y * mask.float(), mask.float()


def total(values, per_sample):
    """Sums (N, C), or (1, C) over the batch, of values (N, C, H, W)."""
    return values.sum(dim=(2, 3)) if per_sample else values.sum(dim=(0, 2, 3))[None]


def mean_of_samples(losses, known):
    """The mean of losses (N, C) or (1, C); samples without a known pixel do not count."""
    if len(losses) < len(known):
        return losses.mean() * known.any()
    counts = known.flatten(1).any(dim=1).float()
    return (losses.mean(dim=1) * counts).sum() / counts.sum().clamp(min=1)


LOSSES = {
    "cross_entropy": cross_entropy,
    "cross_entropy_dice": cross_entropy_dice,
    "dice": dice,
    "focal": focal,
    "structure": structure,
    "tversky": tversky,
}
