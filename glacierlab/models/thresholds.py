"""Maps by one threshold, under the interface of networks: a ratio of two bands, or a single band.

Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277 (red / SWIR, swept from 1.5 to 3.7); Chu et al. 2022 (SBTM:
one band; which one, and how its threshold was found, is not told).
"""

import numpy as np
import torch
from torch import nn

from ..errors import GlacierlabError, MissingBandError, warn
from ..tables import lookup

CHEN_SWEEP = tuple((np.arange(15, 38, 2) / 10).tolist())  # 1.5 to 3.7 by 0.2
PERCENTILES = np.arange(
    1, 100
)  # of a feature's pixels, the sweep where its units are not known, an assumption
LOWEST = -0.2  # the least reflectance that a product stores (Landsat Collection 2: DN 0)
MOST_BELOW = 0.01  # share of pixels below it from which on a band is no band any more, an assumption
LIMIT = 10.0  # of a logit of the mapped class, an assumption; classes that are never mapped get twice less
TIE = 1e-6  # a pixel at the threshold is below it


def band_ratio(
    in_channels, classes, *, numerator="red", denominator="swir16", floor=1e-4, target=None, threshold=None,
    grid=None, channels=None, places=None,
):  # fmt: skip
    """Glacier where the ratio of two bands exceeds a threshold.

    Where the features hold both bands as reflectance or digital numbers, their ratio is taken and the default
    sweep is Chen's. Where they hold the ratio itself as a feature ("red/swir16"), that is thresholded; the
    default sweep is its percentiles, in whatever units it has: a recipe that normalizes turns a ratio t into
    ((t - 1) / (t + 1) - mean) / scale, which grows with t, so that its threshold is one of the ratio too.
    A ratio of two normalized bands means nothing and is refused.

    Parameters
    ----------
    in_channels, classes : int
    numerator, denominator : str
        Names of bands, found among the features when the threshold is learned.
    floor : float
        Smallest denominator, an assumption: one step of reflectance; 1 suits digital numbers.
    target : str, optional
        The class that is mapped, against background; no pixel is given any other class. By default
        "clean_ice" or "glacier" (assumption), or the second of two;
        one logit is of its own class.
    threshold : float, optional
        One that is known already, in the units of the ratio or feature, such as 2.0; none is learned then.
    grid : sequence of float, optional
        Thresholds of the sweep.
    channels, places : sequence of int, optional
        Told by `learn`: the features it looks at; where background and the mapped class are in the logits.

    Returns
    -------
    Threshold
    """
    learned = dict(channels=channels, places=places)
    asked = dict(floor=floor, target=target, threshold=threshold, grid=grid)
    return Threshold(classes, (numerator, denominator), **asked, **learned)


def single_band(
    in_channels, classes, *, band="nir", above=True, target=None, threshold=None, grid=None, channels=None,
    places=None,
):  # fmt: skip
    """Glacier where a single feature exceeds a threshold (SBTM), or falls below it.

    Parameters
    ----------
    in_channels, classes : int
    band : str
        Name of any feature; near infrared is an assumption.
    above : bool
        Whether the mapped class lies above the threshold.
    target, threshold, grid, channels, places
        As in `band_ratio`; the default sweep is the feature's percentiles.

    Returns
    -------
    Threshold
    """
    learned = dict(channels=channels, places=places)
    return Threshold(classes, (band,), above=above, target=target, threshold=threshold, grid=grid, **learned)


class Threshold(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W), from one or two of their channels.

    Background's logit is 0; that of the mapped class is how far a pixel lies above the threshold, in
    interquartile ranges of the training pixels, between -10 and 10: a rank, and a probability once its
    temperature is fitted. A single logit is that of the mapped class.
    """

    def __init__(
        self, classes, names, *, above=True, floor=None, target=None, threshold=None, grid=None,
        channels=None, places=None,
    ):  # fmt: skip
        super().__init__()
        self.classes, self.names, self.above, self.floor = classes, names, above, floor
        self.target, self.known, self.grid = target, threshold, grid
        self.channels, self.places = channels, places
        known = 0.0 if threshold is None else float(threshold)
        self.register_buffer("threshold", torch.tensor(known))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, image):  # (N, in_channels, H, W)
        if self.channels is None:
            raise GlacierlabError("This threshold was not learned yet: gl.fit(model, patches) does.")
        value = self.value(image.float())  # (N, H, W)
        gap = (value - self.threshold) / self.spread
        gap = (gap if self.above else -gap).clamp(-LIMIT, LIMIT)
        exceeds = value > self.threshold if self.above else value < self.threshold
        gap = torch.where(exceeds, gap.clamp(min=TIE), gap.clamp(max=-TIE))
        if self.classes == 1:
            return gap[:, None]
        background, target = self.places
        flat = torch.zeros_like(gap)
        never = flat - 2 * LIMIT
        logits = {background: flat, target: gap}
        return torch.stack([logits.get(place, never) for place in range(self.classes)], dim=1)

    def value(self, image):
        """What is thresholded (N, …), of channels (N, in_channels, …)."""
        first, *second = (image[:, channel] for channel in self.channels)
        return first / second[0].clamp(min=self.floor) if second else first

    def learn(self, pixels, labels, *, features, classes, seed=0, counts=None):
        """Find the features by name, and the threshold of the best F1, the lowest of equals.

        Parameters
        ----------
        pixels : array (n, in_channels) float32
        labels : array (n,) int
            Places in `classes`; where there is one logit, 1 is its class and 0 the rest.
        features, classes : sequence of str
        seed : int
            Not used: nothing here is drawn.
        counts : array (class,), optional
            Pixels of each class that the given ones were drawn from, if some classes were drawn more often
            than others: F1 is then that of all.

        Returns
        -------
        dict
            Options that rebuild this network.

        Raises
        ------
        MissingBandError
            The features hold neither the bands nor their ratio.
        GlacierlabError
            The bands were normalized; or the mapped class is in none or in all of the pixels.
        UnknownNameError
            `target` is no class.

        Warns
        -----
        DataWarning
            The best threshold is the first or last of a sweep that was given or is Chen's.
        """
        self.channels = find_channels(self.names, list(features), pixels)
        self.places = [0, 1] if self.classes == 1 else find_places(self.target, list(classes))
        with torch.no_grad():
            values = self.value(torch.as_tensor(pixels)).numpy()
        positive = np.asarray(labels) == self.places[1]
        weights = np.ones(len(labels)) if counts is None else weights_of(labels, counts)
        quartiles = np.percentile(values, (25, 75))
        self.spread.fill_(float(np.ptp(quartiles)) or 1.0)
        if self.known is None:
            self.threshold.fill_(self.sweep(values, positive, weights))
        return {"channels": self.channels, "places": self.places}

    def sweep(self, values, positive, weights):
        """The best threshold of the sweep."""
        grid = self.grid if self.grid is not None else CHEN_SWEEP if len(self.channels) == 2 else None
        if not 0 < positive.sum() < len(positive):
            raise GlacierlabError(
                f"{int(positive.sum())} of {len(positive)} training pixels are of the mapped class: nothing "
                "to sweep. Choose other patches, or another target=."
            )
        steps = np.unique(
            np.asarray(np.percentile(values, PERCENTILES) if grid is None else grid, np.float32)
        )
        if self.above:
            scores = f1_above(values, positive, weights, steps)
        else:
            scores = f1_above(-values, positive, weights, -steps[::-1])[::-1]
        best = int(np.argmax(scores))
        if grid is not None and len(steps) > 2 and best in (0, len(steps) - 1):
            warn(
                f"The best F1 is at the end of the sweep ({steps[best]:g}): "
                "a wider grid= may hold a better one."
            )
        return float(steps[best])


def find_channels(names, features, pixels):
    """Places of the bands among the features, or of their ratio."""
    whole = "/".join(names)
    if len(names) == 2 and set(names) <= set(features):
        channels = [features.index(name) for name in names]
        below = (np.asarray(pixels)[:, channels] < LOWEST).mean(axis=0).max()
        if below <= MOST_BELOW:
            return channels
        if whole not in features:
            raise GlacierlabError(
                f"{below:.0%} of the pixels lie below {LOWEST:g} in {names[0]} or {names[1]}: they are "
                f"normalized, and a ratio of such numbers means nothing. Add the layer {whole!r} to the "
                "recipe, or take Recipe(..., normalize=False)."
            )
    if whole not in features:
        wanted = f"{list(names)} or {whole!r}" if len(names) == 2 else f"{whole!r}"
        raise MissingBandError(
            f"The threshold needs {wanted}, and the features are {features}: add a layer to the recipe, or "
            "name another band."
        )
    return [features.index(whole)]


def find_places(target, classes):
    """Places of background and of the mapped class."""
    if target is None:
        target = next((name for name in ("clean_ice", "glacier") if name in classes), None)
        if target is None and len(classes) > 2:
            raise GlacierlabError(f"Which of {classes} should a threshold map? Say target=.")
        target = target or classes[1]
    lookup(dict.fromkeys(classes), target, kind="class")
    others = [name for name in classes if name != target]
    background = "background" if "background" in others else others[0]
    return [classes.index(background), classes.index(target)]


def weights_of(labels, counts):
    """For each pixel, how many of its class it stands for."""
    drawn = np.bincount(labels, minlength=len(counts))
    return (np.asarray(counts) / np.maximum(drawn, 1))[labels]


def f1_above(values, positive, weights, steps):
    """F1 of taking every value above a step for positive, for each step (rising); 0 where it is undefined."""
    slot = np.searchsorted(steps, values, side="left")  # steps below the value
    sums = [np.bincount(slot[own], weights[own], len(steps) + 1) for own in (positive, ~positive)]
    tp, fp = (np.cumsum(each[::-1])[::-1][1:] for each in sums)
    return 2 * tp / (tp + fp + weights[positive].sum())
