"""Whether a model's probabilities are right: reliability, expected calibration error, temperature.

Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599; the score of Brier 1950.
"""

from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from ..errors import GlacierlabError, warn
from ..inference.passes import device_of
from ..inference.readying import made_ready
from ..tables import NOT_OBSERVED
from .looking import inputs, order_of

BINS = 15  # an assumption
COLDEST, HOTTEST = 0.02, 50.0  # bounds of the temperature, an assumption
TINY = 1e-12  # below it a probability counts as this much in a logarithm


# ---- reliability ----


def bin_sums(probability, outcome, bins=BINS):
    """Sums (4, bins) by bins of probability: pixels, probabilities, outcomes, squared errors."""
    probability = np.asarray(probability, dtype=np.float64).ravel()
    outcome = np.asarray(outcome, dtype=np.float64).ravel()
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)  # 1 belongs to the last bin
    weights = (None, probability, outcome, (probability - outcome) ** 2)
    return np.stack([np.bincount(place, weight, minlength=bins) for weight in weights]).astype(float)


def table_of(sums):
    """Bins as a table, from sums (4, bins)."""
    count, probability, outcome, _ = sums
    edges = np.linspace(0, 1, len(count) + 1)
    filled = np.where(count > 0, count, np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count.astype(np.int64),
            "confidence": probability / filled,
            "accuracy": outcome / filled,
        }
    )


def reliability(probability, outcome, *, bins=BINS):
    """How often what was given a probability came true, by bins of equal width.

    Parameters
    ----------
    probability : array of float, any shape
        Of one class; or the highest of all classes, the confidence.
    outcome : array of bool, same shape
        Whether the pixel is of the class; or whether the likeliest class was right.
    bins : int
        15, an assumption.

    Returns
    -------
    pandas.DataFrame
        One row a bin: low, high [1]; count; confidence, the mean probability; accuracy, the share that came
        true; NaN where nothing is.

    Raises
    ------
    GlacierlabError
        Shapes differ, or a probability is not in 0 … 1.

    Examples
    --------
    >>> table = reliability([0.6, 0.9, 0.9, 0.9], [True, True, True, False], bins=2)
    >>> table[["low", "count", "confidence", "accuracy"]].round(3).values.tolist()
    [[0.0, 0.0, nan, nan], [0.5, 4.0, 0.825, 0.75]]
    """
    probability, outcome = np.asarray(probability), np.asarray(outcome)
    if probability.shape != outcome.shape:
        raise GlacierlabError(
            f"Probabilities {probability.shape} and outcomes {outcome.shape} differ in shape."
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise GlacierlabError("Probabilities lie in 0 … 1: apply a softmax or sigmoid to logits first.")
    require_bins(bins)
    return table_of(bin_sums(probability, outcome, bins))


def require_bins(bins):
    """GlacierlabError unless it is a number of bins."""
    if not isinstance(bins, int) or bins < 1:
        raise GlacierlabError(f"bins={bins!r}: give a whole number, 1 or more.")


def expected_error(table):
    """Expected and largest calibration error (ECE, MCE) of a table of `reliability`, NaN of an empty one.

    Sum over bins of `|confidence - accuracy|`, weighted by their shares of pixels; and the largest of them.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `reliability`: its count, confidence and accuracy.

    Returns
    -------
    (float, float)
        ECE and MCE [1].

    Examples
    --------
    >>> table = reliability([0.9, 0.9, 0.9, 0.9], [True, True, True, False], bins=10)
    >>> [round(float(error), 2) for error in expected_error(table)]
    [0.15, 0.15]
    """
    filled = table[table["count"] > 0]
    if filled.empty:
        return np.nan, np.nan
    gap = (filled["confidence"] - filled["accuracy"]).abs()
    return float((gap * filled["count"]).sum() / filled["count"].sum()), float(gap.max())


class Ledger:
    """What evaluation must know of probabilities, summed batch by batch.

    `sums` (1 + K, 4, bins) are those of the confidence, then of each class; `loss` is the summed negative
    log-likelihood.
    """

    def __init__(self, classes, bins):
        require_bins(bins)
        self.bins, self.loss = bins, 0.0
        self.sums = np.zeros((1 + classes, 4, bins))

    def entry(self, probabilities, labels):
        """Sums and loss of probabilities (N, K, H, W) of labeled pixels (N, H, W), for `add`."""
        known = labels != NOT_OBSERVED
        actual, given = labels[known], np.moveaxis(probabilities, 1, 0)[:, known]  # (n,), (K, n)
        sums = [bin_sums(given.max(axis=0), given.argmax(axis=0) == actual, self.bins)]
        sums += [bin_sums(each, actual == number, self.bins) for number, each in enumerate(given)]
        right = given[actual, np.arange(len(actual))].astype(np.float64)
        return np.stack(sums), -np.log(np.maximum(right, TINY)).sum()

    def add(self, entry):
        """Add what `entry` gave."""
        self.sums += entry[0]
        self.loss += entry[1]

    def summary(self, classes):
        """One row for the confidence ("all") and one a class: ece, mce, brier; nll of all."""
        rows = []
        for sums in self.sums:
            ece, mce = expected_error(table_of(sums))
            many = sums[0].sum()
            rows.append({"ece": ece, "mce": mce, "brier": sums[3].sum() / many if many else np.nan})
        table = pd.DataFrame(rows, index=pd.Index(["all", *classes], name="class"))
        table.loc["all", "brier"] = table["brier"].iloc[1:].mean()
        many = self.sums[0, 0].sum()
        return table.assign(nll=[self.loss / many if many else np.nan] + [np.nan] * len(classes))


# ---- temperature ----


def calibrate(model, patches, *, batch_size=8, device="auto", max_pixels=1_000_000, seed=0):
    """The model with the temperature that makes its probabilities likeliest; its decisions stay the same.

    Logits are divided by one number, the temperature, that minimizes the negative log-likelihood of the
    labels (Guo et al. 2017). Take it from validation patches: the training part would tell that the model is
    sure, the test part is for judging.

    Parameters
    ----------
    model : Segmenter
    patches : PatchSet
        Validation patches.
    batch_size : int
    device : str or torch.device
    max_pixels : int
        Labeled pixels to look at, drawn at random in the same number from each patch; an assumption. One
        number is fitted, and a million pixels leave it no doubt.
    seed : int
        Of that draw.

    Returns
    -------
    Segmenter
        It shares its network with the one given; its card holds the temperature, `save_model` keeps it, and
        `probabilities` applies it.

    Raises
    ------
    GlacierlabError
        As `confusions`; or a temperature is no cure: the patches hold no labeled pixel.

    Examples
    --------
    >>> import glacierlab as gl
    >>> model = gl.load_model("default")
    >>> scenes = gl.judge.whole_scenes(gl.synthetic_scene(seed=6, shape=(64, 64)), like=model, size=32)
    >>> round(calibrate(model, scenes).card.temperature, 1)
    1.4
    """
    logits, labels = sampled_logits(model, patches, batch_size, device, max_pixels, seed)
    temperature = best_temperature(logits, labels)
    calibrated = copy(model)
    calibrated.card = replace(model.card, temperature=temperature)
    return calibrated


def best_temperature(logits, labels):
    """The temperature that minimizes the negative log-likelihood of labels (n,) under logits (n, K).

    The likelihood is convex in 1 / temperature: Newton's steps, halved while they do not improve.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels)
    rows = np.arange(len(labels))
    inverse, (loss, slope, bend) = 1.0, moments(logits, labels, rows, 1.0)
    for _ in range(100):
        step = -slope / bend if bend > 0 else -np.sign(slope)
        new = float(np.clip(inverse + step, 1 / HOTTEST, 1 / COLDEST))
        while (found := moments(logits, labels, rows, new))[0] > loss and abs(new - inverse) > 1e-12:
            new = (new + inverse) / 2
        done = abs(new - inverse) < 1e-9
        inverse, (loss, slope, bend) = new, found
        if done:
            break
    temperature = 1 / inverse
    if not COLDEST * 1.001 < temperature < HOTTEST * 0.999:
        warn(
            f"The best temperature lies at its bound, {temperature:.3g}: the model is right, or no better "
            "than chance, everywhere in these patches. Take more before its probabilities are believed."
        )
    return temperature


def moments(logits, labels, rows, inverse):
    """Mean negative log-likelihood at an inverse temperature, and its two derivatives there."""
    scaled = logits * inverse
    top = scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled - top)
    total = weights.sum(axis=1, keepdims=True)
    weights /= total
    mean = (weights * logits).sum(axis=1)
    loss = (np.log(total[:, 0]) + top[:, 0] - scaled[rows, labels]).mean()
    variance = (weights * (logits - mean[:, None]) ** 2).sum(axis=1)
    return loss, (mean - logits[rows, labels]).mean(), variance.mean()


@torch.inference_mode()
def sampled_logits(model, patches, batch_size, device, max_pixels, seed):
    """Logits (n, K) float32, without temperature, and labels (n,) of pixels drawn from all patches."""
    order, each = order_of(model, patches), max(1, max_pixels // max(len(patches), 1))
    logits, labels = [], []
    model = made_ready(model, where := device_of(device))
    for places, images, truth in inputs(model, patches, batch_size):
        out = model(images.to(where)).float()
        if out.shape[1] == 1:  # a sigmoid is the softmax of 0 and the logit
            out = torch.cat([torch.zeros_like(out), out], dim=1)
        out = (out if order is None else out[:, order]).permute(0, 2, 3, 1).cpu().numpy()
        for place, patch, known in zip(places, out, truth, strict=True):
            pixels = np.argwhere(known != NOT_OBSERVED)
            if len(pixels) > each:
                pixels = np.random.default_rng((seed, int(place))).choice(pixels, each, replace=False)
            logits.append(patch[tuple(pixels.T)])
            labels.append(known[tuple(pixels.T)])
    logits, labels = np.concatenate(logits), np.concatenate(labels)
    if not len(labels) or not np.isfinite(logits).all():
        what = (
            "the model gives no finite logits there" if len(labels) else "the patches hold no labeled pixel"
        )
        raise GlacierlabError(f"There is no temperature to find: {what}.")
    return logits, labels
