"""GLCM texture: how often gray levels meet in a window."""

from dataclasses import dataclass
from functools import partial
from math import log
from numbers import Real

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from dask.graph_manipulation import clone

from ..errors import GlacierlabError, GridError
from ..tables import lookup
from . import _cpu
from ._kernels.texture import MISSING
from .haralick import FEATURES, needs
from .quantize import Quantizer, quantizer_of, sampled

DEFAULT = ("contrast", "dissimilarity", "homogeneity", "asm", "entropy", "correlation", "mean", "variance")

# From a pixel to its partner, (rows down, columns right), by Haralick's angle.
STEPS = {0: (0, 1), 45: (-1, 1), 90: (-1, 0), 135: (-1, -1),
         180: (0, -1), 225: (1, -1), 270: (1, 0), 315: (1, 1)}  # fmt: skip
NATS = {"nat": 1.0, "bit": log(2)}

# How other tools count, for `glcm(image, **PRESETS["grass"])`. The notes say which measures are then theirs:
# the others some tools compute in a way of their own.
PRESETS = {
    # graycomatrix and graycoprops as they come, of whole numbers 0 to 255 and angle 0: all
    "scikit_image": dict(levels=256, quantizer=(0, 256), directions=(0,), symmetric=False),
    # r.texture of whole numbers 0 to 255: asm, contrast, corr, var, idm (homogeneity), entr, moc1
    "grass": dict(window=3, levels=256, quantizer=(0, 256), entropy_unit="bit"),
    # HaralickTextureExtraction: the simple ones but correlation; its energy is asm, its inertia contrast
    "otb": dict(window=5, levels=8, quantizer=(0, 255), directions=(315,), partners="anywhere",
                entropy_unit="bit"),
    # glcm for R: all but mean and variance; its levels lie between the image's lowest and highest value
    "r_glcm": dict(window=3, levels=32, directions=(315,), partners="anywhere", symmetric=False),
}  # fmt: skip


@dataclass(frozen=True)
class Counting:
    """How pairs are counted, and which statistics of them are needed."""

    window: int
    reach: int  # how far partners may lie outside the window; 0 if they may not
    levels: int
    symmetric: bool
    needs: frozenset
    unit: float  # of entropy [nat]

    @property
    def margin(self):
        """Pixels around a block that its windows see."""
        return self.window // 2 + self.reach

    def side(self, step):
        """How many pairs with a step along an axis a whole window has along it."""
        return self.window if self.reach else self.window - abs(step)

    def most_pairs(self, offsets):
        """How many pairs a whole window has."""
        return sum(self.side(dy) * self.side(dx) for dy, dx in offsets.tolist())


def glcm(
    image,
    features=DEFAULT,
    *,
    window=7,
    levels=32,
    quantizer=None,
    distance=1,
    directions=(0, 45, 90, 135),
    combine="features",
    symmetric=True,
    partners="inside",
    entropy_unit="nat",
    device="cpu",
):
    """GLCM texture of an image, by name, at every pixel; lazy if the image is.

    A window's pairs are its pixels and their partners `distance` away, where both are observed and lie in
    the window and in the image: at the image's edge the window is cut, and holes leave their pairs out. A
    direction without a pair drops out of the average. NaN is where the pixel itself is not observed, or no
    pair is left.

    Parameters
    ----------
    image : xarray.DataArray
        One band or layer (y, x), NaN where not observed; a declared nodata value becomes NaN.
    features : str or sequence of str
        Of gray levels i, j of pairs with probability P, mean m and variance v of i, natural logarithm:

        contrast, dissimilarity
            Σ (i - j)² P, Σ abs(i - j) P.
        homogeneity, inverse_difference
            Σ P / (1 + (i - j)²), Σ P / (1 + abs(i - j)).
        asm, energy, maximum_probability
            Σ P², its root, max P.
        entropy
            -Σ P ln P.
        correlation
            Covariance of i and j over their standard deviations; 1 where either is constant, as in
            scikit-image.
        mean, variance, std
            m, v, √v.
        cluster_shade, cluster_prominence
            Mean third and fourth power of i + j less its mean.
        sum_average, sum_variance, sum_entropy
            Mean, variance and entropy of i + j.
        difference_variance, difference_entropy
            Variance and entropy of abs(i - j).
        imc1, imc2
            Haralick's information measures of correlation; 0 where a window is constant.
    window : int
        Side of the window [pixels], odd, 3 or more. 7 is an assumption.
    levels : int
        Gray levels of a quantizer made here, 2 to 256. 32 is an assumption.
    quantizer : Quantizer or (low, high), optional
        How values become levels. By default `Quantizer.fit(image, levels)`, one for the whole image; of a
        lazy image it is computed with the result. Fit it once on the training area, and levels compare.
    distance : int or sequence of int
        How far a partner is, in pixels along rows and columns (diagonally, so many of both). Several are
        averaged like directions. 1 is an assumption.
    directions : sequence of int
        Haralick's angles [degrees], counterclockwise from the right of the array as it lies, row 0 on top: 45
        is the diagonal from lower left to upper right (scikit-image's angles run the other way: its π/4 is
        315 here, and 135 if symmetric). 180 and more matter where `symmetric` is False.
    combine : {"features", "pool"} or None
        Average the features of directions (default: an assumption), or count all pairs in one matrix, or keep
        directions one by one: features are then called "contrast_45".
    symmetric : bool
        Count each pair both ways round. If not, i is the pixel's and j its partner's level.
    partners : {"inside", "anywhere"}
        Whether the partner of a window's pixel lies in the window too, or anywhere in the image.
    entropy_unit : {"nat", "bit"}
        Of the entropies; imc1 and imc2 have none.
    device : str
        "cpu", or "cuda" (or "cuda:1") to count on a GPU, with torch; the result is in memory either way.

    Returns
    -------
    xarray.DataArray
        `glcm` (feature, y, x) float32; the coordinate `feature` holds the names in the order asked. It is the
        same for any chunking. `quantizer` in the attributes is its JSON text, where it is known.

    Raises
    ------
    GridError
        The image has other dims than (y, x), or is smaller than the window.
    UnknownNameError
        No such feature, direction, way to combine or unit.
    GlacierlabError
        The window is even, the distance is beyond it, the quantizer cannot be fitted (a constant image); or
        there is no torch or GPU.

    Notes
    -----
    Haralick et al. 1973, doi:10.1109/TSMC.1973.4309314, sums from level 0; `sum_variance` is about
    `sum_average`. Each pixel costs in proportion to the window's side, not to its area.
    `glcm(image, **PRESETS["grass"])` counts as GRASS r.texture does; "otb", "r_glcm" and "scikit_image" are
    the others.

    Examples
    --------
    >>> import xarray as xr
    >>> rows = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]
    >>> image = xr.DataArray(rows, dims=("y", "x"))
    >>> found = glcm(image, ["contrast", "asm"], window=3, levels=4, quantizer=(0, 4), directions=[0])
    >>> found[:, 0, 1].values.tolist()  # the cut window has two pairs 0, 0 and two pairs 0, 1
    [0.5, 0.375]
    """
    names = [features] if isinstance(features, str) else list(features)
    for name in names:
        lookup(FEATURES, name, kind="GLCM feature")
    unit = lookup(NATS, entropy_unit, kind="entropy unit")
    outputs = offset_groups(directions, distance, window, combine)
    window = int(window)
    reach = lookup({"inside": 0, "anywhere": int(np.max(distance))}, partners, kind="place of partners")
    image = require_image(image, window + 2 * reach)
    quantizer = settled(quantizer, image, levels)
    known = isinstance(quantizer, Quantizer)
    count = Counting(window, reach, quantizer.levels if known else levels, symmetric,
                     needed(names, symmetric), unit)  # fmt: skip
    kernel = partial(textures, features=names, outputs=list(outputs.values()), count=count,
                     device=require_device(device))  # fmt: skip

    values, margin = image.data, count.margin
    if image.chunks is None:
        found = kernel(quantizer.on_array(values, margin), scheduler="threads")
    else:
        levels = da.map_blocks(levels_of, values, quantizer=quantizer, meta=np.empty((0, 0), np.int16))
        levels = da.overlap.overlap(levels, depth=margin, boundary=MISSING)
        inner = [tuple(n - 2 * margin for n in sizes) for sizes in levels.chunks]
        chunks = ((len(names) * len(outputs),), *inner)
        found = levels.map_blocks(kernel, new_axis=0, chunks=chunks, meta=np.empty((0, 0, 0), np.float32))
        found = found.rechunk((-1, *values.chunks))  # overlap joins chunks smaller than its margin
    if combine is None:
        names = [f"{name}_{angle}" for name in names for angle in outputs]
    coords = {"feature": names} | {name: c for name, c in image.coords.items() if set(c.dims) <= {"y", "x"}}
    attrs = {"long_name": "GLCM texture", "window": window}
    attrs |= {"quantizer": quantizer.to_json()} if known else {}
    return xr.DataArray(found, coords, ("feature", "y", "x"), name="glcm", attrs=attrs)


def require_image(image, side):
    """The image (y, x), NaN where not observed; GridError unless a square of `side` pixels fits in."""
    if set(image.dims) != {"y", "x"}:
        raise GridError(
            f"Texture needs one image (y, x), not dims {image.dims}: choose one with isel or sel."
        )
    if image.dtype.kind not in "biuf":
        raise GlacierlabError(f"Texture needs real numbers, not {image.dtype}.")
    if side > min(image.sizes.values()):
        raise GridError(
            f"A window of {side} pixels is larger than the image, {dict(image.sizes)}: take a smaller one."
        )
    if image.rio.nodata is not None:
        image = image.where(image != image.rio.nodata)
    return image.transpose("y", "x")


def is_whole(number):
    """Whether a value is a whole number, of whatever type."""
    return isinstance(number, Real) and float(number).is_integer()


def offset_groups(directions, distance, window, combine):
    """By output (an angle, or "" for all): groups of offsets (offset, 2) whose pairs count in one matrix."""
    if not is_whole(window) or window < 3 or window % 2 == 0:
        raise GlacierlabError(f"window={window}: a window has a middle, so an odd side of 3 pixels or more.")
    angles, distances = np.ravel(directions).tolist(), np.ravel(distance).tolist()
    if not angles or any(angle not in STEPS for angle in angles):
        raise GlacierlabError(f"directions={directions}: choose from {', '.join(map(str, STEPS))} degrees.")
    if not distances or not all(is_whole(d) and 1 <= d < window for d in distances):
        raise GlacierlabError(
            f"distance={distance}: whole pixels, from 1 to {window - 1} in a window of {window}."
        )
    offsets = {int(angle): [np.array([STEPS[angle]]) * int(d) for d in distances] for angle in angles}
    if combine is None:
        return offsets
    together = [offset for group in offsets.values() for offset in group]
    ways = {"features": {"": together}, "pool": {"": [np.concatenate(together)]}}
    return lookup(ways, combine, kind="way to combine directions")


def settled(quantizer, image, levels):
    """A quantizer: as given, of a pair, or fitted to the image, which stays lazy if the image is."""
    if isinstance(quantizer, Quantizer):
        return quantizer
    Quantizer.between(0, 1, levels)  # levels are checked even if nothing is computed yet
    if quantizer is not None:
        try:
            low, high = map(float, quantizer)
        except (TypeError, ValueError):
            raise GlacierlabError(f"quantizer={quantizer!r}: give a Quantizer or (low, high).") from None
        return Quantizer.between(low, high, levels)
    if image.chunks is None:
        return Quantizer.fit(image, levels)
    (sample,) = sampled([clone(image.data)])  # read again, its blocks need not wait in memory
    return dask.delayed(quantizer_of)(sample.to_delayed().ravel().tolist(), levels)


def require_device(device):
    """The device, "cpu" or torch's; GlacierlabError if it is not there."""
    if device == "cpu":
        return device
    from . import _gpu

    return _gpu.require_device(device)


# ---- blocks ----


def levels_of(values, quantizer):
    """Gray levels (y, x) int16 of a block, by a quantizer that may have been fitted meanwhile."""
    return quantizer.on_array(values)


def textures(levels, features, outputs, count, device, scheduler="synchronous"):
    """Features (feature * output, y, x) float32 of levels (y, x) int16 with a margin."""
    if device == "cpu":
        backend = _cpu
    else:
        from . import _gpu as backend
    margin = 2 * count.margin
    rows, cols = (size - margin for size in levels.shape)
    out = np.empty((len(features), len(outputs), rows, cols), np.float32)
    formulas = [(*backend.formula(name), count.unit if "entropy" in name else 1.0) for name in features]
    high, wide = backend.tile_shape(cols, count)

    def fill(y, x):
        block = backend.load(levels[y : y + high + margin, x : x + wide + margin], device)
        for k, groups in enumerate(outputs):
            values = averages(block, formulas, groups, count, backend)
            for part, value in zip(out[:, k, y : y + high, x : x + wide], values, strict=True):
                part[:] = backend.unload(value)

    tiles = [dask.delayed(fill)(y, x) for y in range(0, rows, high) for x in range(0, cols, wide)]
    dask.compute(tiles, scheduler=scheduler if device == "cpu" else "synchronous")  # a tile fills the GPU
    return out.reshape(-1, rows, cols)


def averages(block, formulas, groups, count, backend):
    """Features, each (rows, cols) float64, of a block of levels: means over the groups that have a pair.

    NaN where there is none, or the window's own pixel is not observed.
    """
    margin = count.margin
    observed = block[margin:-margin, margin:-margin] >= 0
    totals, seen = None, 0
    with np.errstate(divide="ignore", invalid="ignore"):
        for offsets in groups:
            s = backend.statistics(block, offsets, count)
            s["counts"] = s["pairs"]
            if count.symmetric:
                s["counts"], s["skew"] = 2 * s["pairs"], 0 * s["pairs"]
                s["skew2"], s["second_entropy"] = s["skew"], s.get("first_entropy")
            there = observed & (s["pairs"] > 0)
            values = [formula(*(s[name] for name in names)) for formula, names, _ in formulas]
            if not there.all():
                values = [backend.where(there, value, 0.0) for value in values]
            if totals is None:
                totals = values
            else:
                for total, value in zip(totals, values, strict=True):
                    total += value
            seen = seen + there
        for total, (_, _, unit) in zip(totals, formulas, strict=True):
            total /= seen * unit
    return totals


def needed(features, symmetric):
    """The statistics that features need; of a symmetric matrix, some are 0 or told by others."""
    names = {name for feature in features for name in needs(FEATURES[feature])}
    return frozenset(names - {"skew", "skew2", "second_entropy"} if symmetric else names)
