"""Linear transforms of bands: tasseled cap by published tables, principal components by fit and replay."""

import json
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import chain, pairwise

import dask
import numpy as np
import xarray as xr

from ..errors import GlacierlabError, RadiometryError, require_bands, require_numbers, warn
from ..tables import TASSELED_CAP, lookup
from ._kernels import moments as kernels

STRIP = 2**13  # pixels that stay in the processor's cache
# An array in memory is shared by threads in parts: the same ones however many threads there are.
PARTS, PART = 16, 2**15  # at most so many, of at least so many pixels


# ---- tasseled cap ----


def tasseled_cap(scene, table=None):
    """Brightness, greenness, wetness and what else the sensor's published table has; lazy if the scene is.

    Parameters
    ----------
    scene : xarray.Dataset
        One variable a band, with `sensor` and `radiometry` in its attributes.
    table : str, optional
        A key of `tables.TASSELED_CAP`; by default the one for the scene's sensor and radiometry. Which of
        several published ones is the default is an assumption.

    Returns
    -------
    xarray.DataArray
        (feature, ..., y, x) float32, units as the scene's; NaN where any band is.

    Raises
    ------
    RadiometryError
        No table fits the sensor and radiometry, or `table` is for DN and the scene is reflectance, or the
        reverse.
    MissingBandError, UnknownNameError

    Warns
    -----
    DataWarning
        The default was derived for another product level or sensor; `table=` says that it is meant.

    Examples
    --------
    >>> import glacierlab as gl
    >>> cap = tasseled_cap(gl.synthetic_scene(seed=6, shape=(64, 64)))
    >>> cap.feature.values[:3].tolist()
    ['brightness', 'greenness', 'wetness']
    >>> cap.attrs["source"]
    'Zhai et al. 2022, Remote Sensing of Environment 274, 112992, doi:10.1016/j.rse.2022.112992'
    """
    name = default_table(scene) if table is None else table
    row = lookup(TASSELED_CAP, name, kind="tasseled-cap table")
    require_same_numbers(scene, name, row)
    bands = require_bands(scene, row.bands, needed_by=f"tasseled_cap ({name})")
    components = list(row.coefficients)
    weights = np.array([row.coefficients[c] for c in components], np.float32)
    shifts = np.array([row.additive.get(c, 0.0) for c in components], np.float32)
    lazy = any(band.chunks for band in bands.values())
    bands = xr.Dataset(bands).unify_chunks().data_vars if lazy else bands
    values = xr.apply_ufunc(
        weighted_sums,
        *bands.values(),
        kwargs=dict(weights=weights, shifts=shifts, threads=not lazy),
        output_core_dims=[["feature"]],
        dask="parallelized",
        dask_gufunc_kwargs=dict(output_sizes={"feature": len(components)}),
        output_dtypes=[np.float32],
        keep_attrs=True,
    )
    values = values.transpose("feature", ...).assign_coords(feature=components).rename("tasseled_cap")
    values.attrs = {"long_name": "tasseled cap", "table": name, "source": row.source}
    return values.assign_attrs(radiometry=scene.attrs.get("radiometry", "unknown"))


def weighted_sums(*bands, weights, shifts, threads):
    """Sums (..., features) of bands (...) by weights (features, bands), float32; NaN where any band is."""
    flat = [band.reshape(-1) for band in bands]
    out = np.empty((len(weights), flat[0].size), np.float32)

    def work(start, stop):
        for first in range(start, stop, STRIP):
            strip = slice(first, min(first + STRIP, stop))
            pixels = np.stack([band[strip] for band in flat], dtype=np.float32)
            kernels.project(pixels, 0, weights, shifts, out[:, strip])

    in_parts(work, out.shape[1], threads)
    return np.moveaxis(out.reshape(-1, *bands[0].shape), 0, -1)


def in_parts(work, pixels, threads):
    """What `work(start, stop)` gives of each part of so many pixels, or of all of them at once."""
    if not threads:
        return [work(0, pixels)]
    edges = np.linspace(0, pixels, 1 + min(PARTS, 1 + pixels // PART)).astype(int).tolist()
    # traverse=False, or dask would look for its own kind in everything that `work` holds
    work = dask.delayed(work, traverse=False)
    return dask.compute(*(work(*part) for part in pairwise(edges)), scheduler="threads")


def default_table(scene):
    """The table for a scene's sensor and radiometry, or an error that lists what there is."""
    sensor, radiometry = scene.attrs.get("sensor"), scene.attrs.get("radiometry", "unknown")
    wanted = f"{sensor}:{radiometry}"
    for name, row in TASSELED_CAP.items():
        if wanted in row.default_for:
            return name
        if wanted in row.stands_in_for:
            warn(
                f"No tasseled cap was published for {sensor!r} at {radiometry!r}: {name!r} ({row.input}) "
                "stands in. Say table= if that is meant."
            )
            return name
    known = [f"{name} ({row.input})" for name, row in TASSELED_CAP.items() if row.sensor == sensor]
    raise RadiometryError(
        f"No tasseled cap fits sensor {sensor!r} with {radiometry!r} values. "
        f"Published for this sensor: {'; '.join(known) or 'none'}. "
        "Convert the scene, or choose one with table=."
    )


def require_same_numbers(scene, name, row):
    """RadiometryError where a table for DN meets reflectance, or the reverse."""
    radiometry = scene.attrs.get("radiometry", "unknown")
    if radiometry != "unknown" and (radiometry == "dn") != (row.radiometry == "dn"):
        raise RadiometryError(
            f"The table {name!r} is for {row.input}, and the scene holds {radiometry!r} values: convert it, "
            "or take a table for those."
        )


# ---- principal components ----


@dataclass(frozen=True)
class PCA:
    """Principal components, fitted once and replayed anywhere.

    Attributes
    ----------
    features : list of str
        Names of the layers that went in, in order.
    mean, scale : list of float
        Of each layer, over the pixels where all are observed; scale is 1 unless standardized.
    loadings : list of list of float
        One row a component: unit vectors, the loading of largest magnitude positive.
    explained_variance : list of float
        Variance of each component [units of the layers squared, or 1 where standardized].
    total_variance : float
        Of all layers, so that `explained_variance_ratio` is the share of each component.
    pixels : int
        How many were fitted.

    Examples
    --------
    >>> import glacierlab as gl
    >>> stack = gl.synthetic_scene(seed=6, shape=(64, 64)).glacier.stack(["green", "red", "nir", "swir16"])
    >>> pca = gl.features.PCA.fit(stack, 2)
    >>> [round(share, 2) for share in pca.explained_variance_ratio]
    [0.86, 0.12]
    >>> pca.transform(stack).sizes
    Frozen({'feature': 2, 'y': 64, 'x': 64})
    """

    features: list
    mean: list
    scale: list
    loadings: list
    explained_variance: list
    total_variance: float
    pixels: int

    @classmethod
    def fit(cls, stacks, components=3, standardize=False):
        """Fit to one stack or several, in one pass, block by block.

        Pixels that are NaN or infinite in any layer are left out.

        Parameters
        ----------
        stacks : xarray.DataArray or list of them
            (feature, y, x), in memory or lazy; several must have the same features.
        components : int
            How many to keep; 3 is an assumption.
        standardize : bool
            Divide each layer by its standard deviation first (correlation instead of covariance), for layers
            of different units.

        Returns
        -------
        PCA

        Raises
        ------
        GlacierlabError
            Features differ, too many components are asked for, fewer than two pixels are observed, or a
            layer is constant while standardizing.

        Notes
        -----
        Sums are kept in float64, about a pixel of each block, and blocks joined by Chan et al. 1983,
        doi:10.1080/00031305.1983.10483115: chunks change the result by rounding alone.
        """
        stacks = [stacks] if isinstance(stacks, xr.DataArray) else list(stacks)
        if not stacks:
            raise GlacierlabError("Components are fitted to one stack or more, and there is none.")
        features = feature_names(stacks[0])
        if any(feature_names(stack) != features for stack in stacks):
            raise GlacierlabError(
                f"The stacks have different features: {[feature_names(s) for s in stacks]}."
            )
        if components not in range(1, len(features) + 1):
            raise GlacierlabError(f"components={components}: the stack has {len(features)} features.")
        count, mean, scatter = reduce(joined, moments_of(stacks))
        if count < 2:
            raise GlacierlabError(f"Only {count} pixels are observed in all features: nothing to fit.")
        covariance = scatter / (count - 1)
        scale = np.sqrt(np.diag(covariance)) if standardize else np.ones(len(features))
        if flat := [name for name, s in zip(features, scale, strict=True) if not s > 0]:
            raise GlacierlabError(f"{flat} are constant: leave them out, or standardize=False.")
        if not covariance.any():
            raise GlacierlabError(f"{features} are all constant: nothing varies, so there are no components.")
        variance, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        order = np.argsort(variance)[::-1][:components]
        loadings = vectors[:, order].T
        loadings *= np.sign(loadings[np.arange(components), np.abs(loadings).argmax(axis=1)])[:, np.newaxis]
        kept = np.maximum(variance[order], 0.0).tolist()
        total = float(variance.sum())
        return cls(features, mean.tolist(), scale.tolist(), loadings.tolist(), kept, total, int(count))

    @property
    def explained_variance_ratio(self):
        """Share of the total variance in each component."""
        return [variance / self.total_variance for variance in self.explained_variance]

    def transform(self, stack):
        """Components of a stack; lazy if it is.

        Parameters
        ----------
        stack : xarray.DataArray
            (feature, y, x) with the features that were fitted, in any order.

        Returns
        -------
        xarray.DataArray
            (feature, y, x) float32, features "pc1", "pc2", …; NaN where any feature is.

        Raises
        ------
        GlacierlabError
            A feature is missing.
        """
        if missing := [name for name in self.features if name not in feature_names(stack)]:
            raise GlacierlabError(f"The stack lacks {missing}, which the components were fitted on.")
        stack = stack.transpose("feature", ...)
        if feature_names(stack) != self.features:  # sel copies
            stack = stack.sel(feature=self.features)
        weights = np.array(self.loadings) / self.scale
        shift = -(weights * self.mean).sum(axis=1)
        names = [f"pc{i}" for i in range(1, len(weights) + 1)]
        values = xr.apply_ufunc(
            project,
            stack.chunk({"feature": -1}) if stack.chunks else stack,
            kwargs=dict(weights=weights, shift=shift, threads=stack.chunks is None),
            input_core_dims=[["feature"]],
            output_core_dims=[["component"]],
            dask="parallelized",
            dask_gufunc_kwargs=dict(output_sizes={"component": len(names)}),
            output_dtypes=[np.float32],
            keep_attrs=True,
        )
        values = values.transpose("component", ...).rename(component="feature").assign_coords(feature=names)
        values.attrs = {"long_name": "principal components"}
        return values.rename("pca")

    def to_json(self):
        """The fit as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """The fit of JSON text; GlacierlabError for anything else. Nothing in it is evaluated."""
        try:
            found = cls(**json.loads(text))
            found.require()
        except (ValueError, TypeError, RecursionError) as error:
            raise GlacierlabError(
                f"No saved principal components: {' '.join(str(error).split())}."
            ) from error
        return found

    def require(self):
        """ValueError unless all numbers are finite and as many as they must be."""
        count, kept = len(self.features), len(self.explained_variance)
        if not all(isinstance(name, str) for name in self.features) or len(set(self.features)) != count:
            raise ValueError("its features are not names, each once")
        if not 1 <= kept <= count:
            raise ValueError(f"{kept} components of {count} features")
        require_numbers(self.mean, (count,), "mean")
        require_numbers(self.scale, (count,), "scale")
        require_numbers(self.loadings, (kept, count), "loadings")
        require_numbers(self.explained_variance, (kept,), "explained_variance")
        for name in ("total_variance", "pixels"):
            require_numbers(getattr(self, name), (), name)
        if not min(self.scale) > 1e-30 or not self.total_variance > 0:
            raise ValueError("a scale, or all the variance, is 0")


def feature_names(stack):
    """A stack's features."""
    if "feature" not in stack.coords:
        raise GlacierlabError(f"A stack has a `feature` coordinate; this array has dims {stack.dims}.")
    return [str(name) for name in stack["feature"].values]


def moments_of(stacks):
    """Count, mean and scatter of every part of the stacks: arrays here, on threads; lazy ones by dask."""
    found, lazy = [], []
    for stack in stacks:
        stack = stack.transpose("feature", ...)
        if stack.chunks is None:
            found += moments_of_pixels(stack.values, threads=True)
        else:
            blocks = stack.chunk({"feature": -1}).data.to_delayed().ravel()
            lazy += [dask.delayed(moments_of_pixels)(block, threads=False) for block in blocks]
    return [*found, *chain.from_iterable(dask.compute(*lazy))]


def moments_of_pixels(stack, threads):
    """Count, mean (n,) and scatter (n, n) of each part of a stack (n, ...); pixels with a hole left out."""
    pixels = stack.reshape(len(stack), -1)
    return in_parts(lambda *part: kernels.moments(*ready(pixels, *part)), pixels.shape[1], threads)


def ready(pixels, start, stop):
    """Pixels (n, :), start and stop for a kernel; a part of other numbers than native floats is cast."""
    if pixels.dtype in (np.float32, np.float64):
        return pixels, start, stop
    wide = np.float32 if np.can_cast(pixels.dtype, np.float32) else np.float64
    return pixels[:, start:stop].astype(wide), 0, stop - start


def joined(first, second):
    """Moments of two sets of pixels together."""
    (n, mean, scatter), (m, other_mean, other_scatter) = first, second
    total = n + m
    if not total:
        return first
    step = other_mean - mean
    together = scatter + other_scatter + np.outer(step, step) * (n * m / total)
    return total, mean + step * (m / total), together


def project(pixels, weights, shift, threads):
    """Components (..., k) float32 of pixels (..., n) by weights (k, n), plus a shift (k,)."""
    bands = np.moveaxis(pixels, -1, 0)  # as they lie in memory
    flat = bands.reshape(len(bands), -1)
    out = np.empty((len(weights), flat.shape[1]), np.float32)

    def work(start, stop):
        part, first, _ = ready(flat, start, stop)
        kernels.project(part, first, weights, shift, out[:, start:stop])

    in_parts(work, out.shape[1], threads)
    return np.moveaxis(out.reshape(-1, *bands.shape[1:]), 0, -1)
