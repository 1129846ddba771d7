"""Lesson 2: what tells debris from ground, and verdicts of the exercises."""

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from scipy.stats import mannwhitneyu

from ..errors import GlacierlabError
from ..features.indices import index
from ..features.recipe import Recipe
from ..features.texture import glcm
from ..io.layers import pixel_size_m
from ..tables import band_name
from .answers import as_number

WINDOWS, WIDEST = (3, 5, 7, 9, 11, 15, 21, 31), 99  # pixels, that an answer is compared with
ALIKE, AS_GOOD = 0.002, 0.005  # of correlation and of separation: too little to matter, assumptions
MOST_FEATURES = 3


def debris_and_ground(scene, glacier, *, below=0.2, within_m=500.0):
    """Debris on a glacier, and the bare ground beside it.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x), with green, red, nir, swir16 in reflectance, in a projected CRS.
    glacier : xarray.DataArray
        Mask (y, x) of bool, such as `scores.burn(outlines, scene.red)`.
    below : float
        Bare is what has NDSI and NDVI below this: neither ice nor plants. Assumption: 0.2.
    within_m : float
        How far from debris the ground may lie [m]. Assumption: 500.

    Returns
    -------
    debris, ground : xarray.DataArray
        Masks (y, x) of bool: bare on the glacier, and bare off it but near debris.
    """
    bare = (index(scene, "ndsi") < below) & (index(scene, "ndvi") < below)
    debris = (glacier & bare).transpose("y", "x")
    away = distance_transform_edt(~debris.values) * pixel_size_m(scene)
    return debris, bare & ~glacier & debris.copy(data=(away <= within_m) & debris.values.any())


def pixels(stack, **masks):
    """The pixels of a stack under masks as a table.

    Parameters
    ----------
    stack : xarray.DataArray
        (feature, y, x).
    **masks : xarray.DataArray
        (y, x) of bool, by what they show: `debris=`, `ground=`.

    Returns
    -------
    pandas.DataFrame
        One row a pixel that is observed in every feature, one column a feature; the index's first level names
        the mask.
    """
    values = stack.transpose("feature", "y", "x").values.astype(float)  # float32 ranks would be rounded
    names = stack["feature"].values
    under = {
        kind: pd.DataFrame(values[:, mask.transpose("y", "x").values].T, columns=names)
        for kind, mask in masks.items()
    }
    return pd.concat(under, names=["kind", "pixel"]).dropna()


def separation(table):
    """How well each feature alone tells the two kinds of a table of `pixels` apart: 0.5 not at all, 1 wholly.

    The area under the ROC curve, either way round: how often a random pixel of the one kind lies above a
    random one of the other, or below it if that is more often.

    Returns
    -------
    pandas.Series
        By feature, the highest first.
    """
    first, second = (table.loc[kind] for kind in table.index.unique("kind"))
    above = mannwhitneyu(first, second, method="asymptotic").statistic / (len(first) * len(second))
    found = pd.Series(np.maximum(above, 1 - above), table.columns, name="separation")
    return found.sort_values(ascending=False)


def together(table, other):
    """How well all features of a table of `pixels` together tell its two kinds apart on another one.

    Fisher's linear discriminant (1936, doi:10.1111/j.1469-1809.1936.tb02137.x) of `table` weighs and sums the
    features of `other`; the `separation` of that sum.
    """
    first, second = (table.loc[kind] for kind in table.index.unique("kind"))
    weights = np.linalg.pinv((first.cov() + second.cov()).to_numpy()) @ (first.mean() - second.mean())
    return separation((other[table.columns] @ weights).to_frame("sum")).item()


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def alike_bands(answer, bands):
    """The two bands (a pair of names) of a stack with the highest correlation, or nearly so."""
    if not isinstance(answer, list | tuple) or not all(isinstance(name, str) for name in answer):
        return "type", {}
    names = list(dict.fromkeys(map(band_name, answer)))
    known = bands["feature"].values.tolist()
    if len(names) != 2 or not set(names) <= set(known):
        return "unknown", dict(choices=", ".join(known))
    table = pixels(bands, all=bands.notnull().all("feature")).corr()
    others = table.mask(np.eye(len(table), dtype=bool)).stack()
    yours, best = table.loc[names[0], names[1]], others.max()
    facts = dict(first=names[0], second=names[1], correlation=yours)
    if yours < best - ALIKE:
        return "unlike", facts
    closer = f" ({' and '.join(others.idxmax())} are closer still: {best:.4f})" if yours < best else ""
    return "right", facts | dict(closer=closer)


def texture_window(answer, image, debris, ground):
    """A window (a number of pixels) whose homogeneity separates debris from ground as the best does."""
    number = as_number(answer)
    if number is None or number % 1 or not 3 <= number <= WIDEST:
        return "type", {}
    if number % 2 == 0:
        return "even", dict(window=int(number))
    masks = dict(debris=debris, ground=ground)
    found = {
        window: separation(pixels(glcm(image, ["homogeneity"], window=window), **masks)).item()
        for window in sorted({*WINDOWS, int(number)})
    }
    yours, best = found[number], max(found, key=found.get)
    finding = "right" if yours >= found[best] - AS_GOOD else "narrow" if number < best else "wide"
    return finding, dict(window=int(number), separation=yours)


def better_stack(answer, lesson, first, second):
    """Layers (at most three features) that together beat the lesson's on a second scene.

    `first` and `second` are each a scene and its glaciers' mask: learned on the one, tried on the other.
    """
    if not isinstance(answer, list | tuple) or not all(isinstance(name, str) for name in answer):
        return "type", {}

    def tried(layers):
        recipe = Recipe(layers).fit(first[0])
        tables = []
        for scene, glacier in (first, second):
            debris, ground = debris_and_ground(scene, glacier)
            tables.append(pixels(recipe.apply(scene), debris=debris, ground=ground))
        return recipe.features, together(*tables)

    try:
        features, yours = tried(answer)
    except GlacierlabError as error:
        return "unknown", dict(error=error)
    if len(features) > MOST_FEATURES:
        return "many", dict(features=", ".join(features), count=len(features))
    ours = tried(lesson)[1]
    finding = "right" if yours > ours else "worse" if yours < ours else "same"
    return finding, dict(separation=yours, lesson=ours)


JUDGES = (alike_bands, texture_window, better_stack)
