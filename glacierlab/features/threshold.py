"""Thresholds: automatic ones, and the sweep that finds the best against a reference.

Otsu 1979, doi:10.1109/TSMC.1979.4310076; Li and Tam 1998, doi:10.1016/S0167-8655(98)00057-9;
Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277.
"""

import warnings
from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.graph_manipulation import clone

from ..errors import DataWarning, GlacierlabError, GridError, require_same_grid
from ..scores import GLACIER_PARTS, burn, scores_from
from ..tables import CLASSES, NOT_OBSERVED, lookup

CHEN_SWEEP = np.arange(15, 38, 2) / 10  # 1.5 to 3.7 by 0.2, Chen 2022
BINS = 256  # scikit-image's default
SHOWN = 12  # rows of a sweep's table at most, where it is shown
LI_PIXELS = 1_000_000  # Li's method sees every nth pixel of a larger image


@dataclass(frozen=True)
class ThresholdCurve:
    """Scores for each threshold of a sweep; `float(curve)` is the best one.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a threshold: precision, recall, f1, kappa, oa [1].
    best : float
        The threshold of the highest F1; the lower one of equals.
    stable : tuple of float
        The lowest and highest threshold around the best whose F1 comes within `tolerance` of it: where it
        is wide, the choice hardly matters.
    tolerance : float
    layer, radiometry : str
        What the thresholds apply to: one found on a ratio is none for an index, one on DN none for
        reflectance.
    """

    table: pd.DataFrame
    best: float
    stable: tuple[float, float]
    tolerance: float
    layer: str = ""
    radiometry: str = "unknown"

    def __float__(self):
        return self.best

    def __repr__(self):
        head, rows = self._shown()
        return f"{head}\n{rows.to_string(float_format='{:.4f}'.format)}"

    def _repr_html_(self):
        head, rows = self._shown()
        return f"<p>{head}</p>{rows.to_html(float_format='{:.4f}'.format)}"

    def _shown(self):
        """The result in one line, and rows of the table, evenly spaced and with the best among them."""
        (low, high), count = self.stable, len(self.table)
        step = -(-count // SHOWN)
        head = (
            f"best threshold {self.best:g}, F1 within {self.tolerance:g} of its best from {low:g} to {high:g}"
            f" ({self.radiometry})"
        )
        if step > 1:
            head += f"; one in {step} of {count} thresholds is shown, all are in the table"
        return head, self.table.iloc[self.table.index.get_loc(self.best) % step :: step]


def threshold(image, value="otsu"):
    """Map glacier where an image exceeds a threshold; lazy if the image is.

    Parameters
    ----------
    image : xarray.DataArray
        A ratio, an index or a band, (..., y, x); NaN where not observed.
    value : {"otsu", "li"} or float or ThresholdCurve
        The threshold, or how to find it. Otsu and Li look at a bounded scale (assumption): a ratio t as
        (t - 1) / (t + 1), a normalized difference limited to -1…1, anything else as it is.

    Returns
    -------
    xarray.DataArray
        `class_map`, uint8: 0 background, 1 glacier, 255 not observed, with CF flag attributes. `threshold`
        in the attributes is the number used; of a lazy image with "otsu" or "li" it is the method, and the
        number is the lazy coordinate `threshold`.

    Raises
    ------
    GlacierlabError
        The threshold is not finite; or the image has no observed pixel, or only one value, so that none
        can be found.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> ice = threshold(scene.glacier.ratio("red", "swir16"), 2)
    >>> ice.attrs["flag_meanings"], round(float((ice == 1).mean()), 2)
    ('background glacier', 0.26)
    >>> round(threshold(scene.glacier.index("ndsi"), "otsu").attrs["threshold"], 1)
    0.3
    """
    if isinstance(value, str):
        number, told = lookup(METHODS, value, kind="threshold")(image), value
        if image.chunks is None:
            number = told = float(number)
    else:
        number = told = float(value)
        if not np.isfinite(number):
            raise GlacierlabError(
                f"A threshold of {number} maps nothing: give a finite number, 'otsu' or 'li'."
            )
    if isinstance(value, ThresholdCurve):
        require_same_layer(image, value)
    options = dict(dask="parallelized", output_dtypes=[np.uint8], keep_attrs=True)  # the CRS is in attributes
    above = xr.apply_ufunc(exceeds, image, xr.DataArray(number), **options)
    kept = {key: image.attrs[key] for key in ("radiometry", "datetime", "sensor") if key in image.attrs}
    layer = image.attrs.get("long_name", str(image.name))
    above.attrs = mask_attrs() | {"threshold": told, "layer": layer} | kept
    if isinstance(told, str):  # known once it is computed
        above = above.assign_coords(threshold=((), number))
    return above.rename("class_map")


def exceeds(values, number):
    """Class codes (uint8) of float values (..., y, x) and a threshold: 0, 1, or 255 for NaN."""
    codes = (values > values.dtype.type(number)).view(np.uint8)  # glacier is 1
    np.copyto(codes, np.uint8(NOT_OBSERVED), where=np.isnan(values))
    return codes


def mask_attrs(names=("background", "glacier")):
    """CF flag attributes of a class map."""
    codes = np.array([CLASSES[name].code for name in names], dtype="uint8")
    return {"long_name": "surface class", "flag_values": codes, "flag_meanings": " ".join(names)}


def require_same_layer(image, curve):
    """A threshold found on one layer, or at one radiometric level, is refused at another."""
    if curve.layer and curve.layer != image.attrs.get("long_name", curve.layer):
        raise GlacierlabError(
            f"The threshold {curve.best:g} was found on {curve.layer!r}, and this is "
            f"{image.attrs['long_name']!r}: find one here, or pass the number itself."
        )
    found, own = curve.radiometry, image.attrs.get("radiometry", "unknown")
    if "unknown" not in (found, own) and found != own:
        raise GlacierlabError(
            f"The threshold {curve.best:g} was found on {found!r} and the image is {own!r}: "
            "ratios of the two differ. Find the threshold at the same level, or pass the number itself."
        )


def bounded(image):
    """The image on a scale without far outliers, the scale's range if it has one, and the way back."""
    kind = image.attrs.get("kind")
    if kind == "ratio":
        positive = image.clip(min=0)
        return (positive - 1) / (positive + 1), (-1.0, 1.0), lambda t: (1 + t) / (1 - t)
    if kind == "normalized_difference":
        return image.clip(-1, 1), (-1.0, 1.0), float
    return image, None, float


def otsu(image):
    """Otsu's threshold of an image's observed pixels; a lazy 0-d array of a lazy image, block by block."""
    scale, span, back = bounded(image)
    blocks, delayed = blocks_of(scale)
    if span is None:
        ranges = [delayed(value_range)(block) for block in blocks_of(scale, again=True)[0]]
        span = delayed(whole_range)(ranges)
    counts = [delayed(histogram)(block, span) for block in blocks]
    return as_number(delayed(lambda *args: back(otsu_of_histogram(*args)))(counts, span))


def value_range(block):
    """Smallest and largest finite value, or None."""
    values = finite(block)
    return (float(values.min()), float(values.max())) if values.size else None


def whole_range(ranges):
    """The range of all blocks."""
    found = [r for r in ranges if r is not None] or [(np.nan, np.nan)]
    return min(low for low, _ in found), max(high for _, high in found)


def histogram(block, span):
    """Pixels in `BINS` equal bins over the span; all in the first where the span is one value."""
    values, (low, high) = finite(block), span
    if not high > low:
        return np.bincount(np.zeros(values.size, int), minlength=BINS)
    return np.histogram(values, np.linspace(low, high, BINS + 1))[0]


def otsu_of_histogram(counts, span):
    """Otsu's threshold by scikit-image, of the blocks' histograms."""
    from skimage.filters import threshold_otsu

    counts = np.sum(counts, axis=0)
    require_contrast(np.count_nonzero(counts))
    edges = np.linspace(*span, BINS + 1)
    return float(threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2)))


def li(image):
    """Li's threshold of an image's observed pixels, every nth of a large one; lazy if the image is."""
    from skimage.filters import threshold_li

    scale, _, back = bounded(image)
    step = int(np.ceil(np.sqrt(image.size / LI_PIXELS)))
    blocks, delayed = blocks_of(scale[..., ::step, ::step])

    def of_blocks(blocks):
        values = np.sort(np.concatenate([finite(block) for block in blocks]))  # the same for any chunking
        require_contrast(len(np.unique(values)))
        return back(float(threshold_li(values)))

    return as_number(delayed(of_blocks)(blocks))


METHODS = {"otsu": otsu, "li": li}


def finite(block):
    """The finite values of an array, flat."""
    return block[np.isfinite(block)]


def require_contrast(values):
    """GlacierlabError unless the observed pixels have at least two values."""
    if values < 2:
        found = "only one value" if values else "no observed pixel"
        raise GlacierlabError(f"No threshold can be found: the image has {found}. Give a number instead.")


def blocks_of(image, again=False):
    """An image's blocks, and `dask.delayed` for a lazy image; read `again`, they need not stay in memory."""
    if image.chunks is None:
        return [image.values], lambda function: function
    data = clone(image.data) if again else image.data
    return data.to_delayed().ravel().tolist(), dask.delayed


def as_number(value):
    """A delayed number as a 0-d dask array; a number as it is."""
    return da.from_delayed(value, shape=(), dtype=float) if hasattr(value, "dask") else value


def best_threshold(image, reference, grid=CHEN_SWEEP, *, region=None, tolerance=0.01):
    """Score every threshold of a sweep against a reference, as Chen 2022 did (Table II).

    Parameters
    ----------
    image : xarray.DataArray
        A ratio, an index or a band (y, x); glacier is where it exceeds the threshold.
    reference : DataArray or GeoDataFrame
        Mask, class map or outlines that label all of the scene (or of `region`): ice outside an incomplete
        inventory counts as background.
    grid : array of float
        Thresholds; default 1.5 to 3.7 by 0.2, Chen's.
    region : DataArray of bool or GeoDataFrame, optional
        Where to score; default everywhere.
    tolerance : float
        F1 within this of the best counts as equally good in `stable` (assumption).

    Returns
    -------
    ThresholdCurve
        The image is read once, block by block; the result does not depend on its chunks.

    Raises
    ------
    GlacierlabError, GridError

    Warns
    -----
    DataWarning
        The best threshold is the lowest or highest of the sweep.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> curve = best_threshold(scene.glacier.ratio("red", "swir16"), scene.truth, [1.5, 2, 3, 6, 12])
    >>> curve.best
    3.0
    >>> curve.table[["precision", "recall"]].round(1).loc[[1.5, 3, 12]].values.tolist()
    [[0.8, 0.9], [0.9, 0.9], [1.0, 0.6]]
    """
    image, grid = as_map(image), sorted_grid(grid)
    observed, glacier = observed_and_glacier(reference, image, region)
    counts = sweep_counts(image, grid, observed, glacier)
    (fn, tp), (tn, fp) = split(counts[1]), split(counts[0])
    if not (tp + fn)[0] or not (fp + tn)[0]:
        raise GlacierlabError(
            "The reference has only one class where the image is observed: nothing to sweep."
        )
    scores = scores_from(tp, fp, fn, tn)
    table = pd.DataFrame({k: scores[k] for k in ("precision", "recall", "f1", "kappa", "oa")}, index=grid)
    table.index.name = "threshold"
    best = int(np.nanargmax(table.f1.values))
    if best in (0, len(grid) - 1) and len(grid) > 2:
        warnings.warn(
            f"The best F1 is at the end of the sweep ({grid[best]:g}): a wider grid= may hold a better one.",
            DataWarning,
            stacklevel=2,
        )
    good = table.f1.values >= table.f1.values[best] - tolerance
    first = best - int(np.argmin(np.append(good[best::-1], False))) + 1
    last = best + int(np.argmin(np.append(good[best:], False))) - 1
    stable = (float(grid[first]), float(grid[last]))
    known = image.attrs.get("long_name", ""), image.attrs.get("radiometry", "unknown")
    return ThresholdCurve(table, float(grid[best]), stable, tolerance, *known)


def as_map(image):
    """The image (y, x), rows first."""
    if set(image.dims) != {"y", "x"}:
        raise GridError(
            f"A sweep needs one image (y, x), not dims {image.dims}: choose one with isel or sel."
        )
    return image.transpose("y", "x")


def sorted_grid(grid):
    """Thresholds in order, each once."""
    grid = np.unique(np.asarray(grid, dtype="float64"))
    if not grid.size or not np.isfinite(grid).all():
        raise GlacierlabError("A sweep needs finite thresholds: grid=np.arange(1.5, 3.8, 0.2), say.")
    return grid


def recall_curve(image, reference, grid=CHEN_SWEEP):
    """Recall by threshold, for a reference that labels only some of the ice."""
    image, grid = as_map(image), sorted_grid(grid)
    missed, found = split(sweep_counts(image, grid, *observed_and_glacier(reference, image))[1])
    return pd.Series(found / (found + missed), pd.Index(grid, name="threshold"), name="recall")


def observed_and_glacier(reference, image, region=None):
    """Where the reference (and the region) says anything, and where it says glacier: two bool arrays."""
    observed = xr.ones_like(image, dtype=bool)
    if hasattr(reference, "geometry"):
        glacier = burn(reference, image)
    else:
        require_same_grid(image, reference, ("image", "reference"))
        reference = reference.transpose("y", "x")
        observed = reference.notnull() if reference.dtype.kind == "f" else reference != NOT_OBSERVED
        meanings = reference.attrs.get("flag_meanings", "background glacier").split()
        codes = reference.attrs.get("flag_values", range(len(meanings)))
        ice = [int(c) for c, m in zip(codes, meanings, strict=True) if m in ("glacier", *GLACIER_PARTS)]
        glacier = reference.isin(ice)
    if region is not None:
        region = burn(region, image) if hasattr(region, "geometry") else region
        require_same_grid(image, region, ("image", "region"))
        observed = observed & region.transpose("y", "x").data
    return observed, glacier.transpose("y", "x")


def split(counts):
    """Pixels at or below, and above, each threshold."""
    below = np.cumsum(counts)[:-1]
    return below, counts.sum() - below


def sweep_counts(image, grid, observed=None, glacier=None):
    """Pixels between neighboring thresholds, `(2, len(grid) + 1)`: off and on the reference's glaciers."""
    edges = grid.astype(image.dtype)  # as `image > threshold` compares

    def of_block(values, seen, truth):
        keep = seen & ~np.isnan(values)
        slot = np.searchsorted(edges, values[keep], side="left")  # thresholds below the value
        counts = np.bincount(slot + (len(edges) + 1) * truth[keep], minlength=2 * (len(edges) + 1))
        return counts.reshape(2, len(edges) + 1)

    seen = xr.ones_like(image, bool) if observed is None else observed
    truth = xr.zeros_like(image, bool) if glacier is None else glacier
    if image.chunks is None:
        return of_block(image.values, seen.values, truth.values)
    aligned = [array.chunk(dict(zip(image.dims, image.chunks, strict=True))).data for array in (seen, truth)]
    blocks = [array.to_delayed().ravel() for array in (image.data, *aligned)]
    return sum(dask.compute(*(dask.delayed(of_block)(*parts) for parts in zip(*blocks, strict=True))))


def area_curve(image, grid=CHEN_SWEEP):
    """Area mapped as glacier [km²] for each threshold of a sweep.

    Parameters
    ----------
    image : xarray.DataArray
        A ratio, an index or a band (y, x) in a projected CRS.
    grid : array of float

    Returns
    -------
    pandas.Series
        Area [km²] by threshold: pixels times cell area.

    Raises
    ------
    GridError
        The CRS is in degrees.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> areas = area_curve(scene.glacier.ratio("red", "swir16"), [1.5, 2.0, 2.5])
    >>> areas.round(1).to_dict()
    {1.5: 1.0, 2.0: 0.9, 2.5: 0.9}
    """
    from ..io.layers import cell_area_m2

    image, grid = as_map(image), sorted_grid(grid)
    above = split(sweep_counts(image, grid).sum(axis=0))[1]
    return pd.Series(above * cell_area_m2(image) / 1e6, pd.Index(grid, name="threshold"), name="area_km2")
