"""Gray levels: a fitted rule, so that a level means the same in every image."""

import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import ceil, isfinite, sqrt

import dask
import numpy as np
import xarray as xr

from ..errors import GlacierlabError
from ..tables import lookup
from ._kernels import texture as kernels

PIXELS = 2**22  # of larger images, every nth row and column is fitted


@dataclass(frozen=True)
class Quantizer:
    """Gray levels 0 … levels - 1, fitted once and replayed anywhere; calling it on an image gives them.

    Attributes
    ----------
    levels : int
        2 to 256.
    low, high : float
        Where the lowest level begins and the highest ends; values outside belong to these two.
    edges : tuple of float
        Where levels 1, 2, … begin; empty for levels of equal width.

    Raises
    ------
    GlacierlabError
        The numbers make no such scale.

    Examples
    --------
    >>> import xarray as xr
    >>> import glacierlab as gl
    >>> gray = gl.features.Quantizer(levels=4, low=0.0, high=1.0)
    >>> gray(xr.DataArray([[-0.1, 0.3, 0.6, 1.2]], dims=("y", "x"))).values.tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """

    levels: int
    low: float
    high: float
    edges: tuple = ()

    def __post_init__(self):
        if type(self.levels) is not int or not 2 <= self.levels <= 256:
            raise GlacierlabError(f"levels={self.levels!r}: gray levels are a whole number from 2 to 256.")
        numbers = [self.low, *self.edges, self.high]
        if not all(type(n) in (int, float) and isfinite(n) for n in numbers) or not self.low < self.high:
            raise GlacierlabError(f"Gray levels need two finite numbers low < high, not {self.low!r} and "
                                  f"{self.high!r}.")  # fmt: skip
        if self.edges and (len(self.edges) != self.levels - 1 or any(b < a for a, b in pairwise(numbers))):
            raise GlacierlabError(
                f"{self.levels} gray levels need {self.levels - 1} edges that rise from low to high, "
                f"not {len(self.edges)} such as {self.edges[:3]}."
            )
        object.__setattr__(self, "edges", tuple(self.edges))  # JSON has lists

    @classmethod
    def between(cls, low, high, levels=32):
        """Levels of equal width between two numbers."""
        return cls(levels, float(low), float(high))

    @classmethod
    def fit(cls, images, levels=32, method="width", percentiles=(2, 98)):
        """Levels for one image or several, in memory or lazy (then read now).

        Parameters
        ----------
        images : xarray.DataArray or array, or list of them
            Training pixels, (..., y, x) or a list of them, NaN where not observed. Of more than 4 million,
            every nth along y and x is looked at.
        levels : int
            2 to 256; 32 is an assumption.
        method : {"width", "population"}
            Steps of equal width, or of equal population, which spreads the levels where values are common.
        percentiles : tuple of float
            The range [%] that is divided; 2 to 98 is an assumption.

        Returns
        -------
        Quantizer

        Raises
        ------
        GlacierlabError
            No pixel is observed, or the range is a single value; or levels or percentiles are none.
        UnknownNameError
        """
        images = list(images) if isinstance(images, (list, tuple)) else [images]
        return quantizer_of(dask.compute(*sampled(images)), levels, method, percentiles)

    def __call__(self, image):
        """Gray levels of an image; lazy if it is.

        Parameters
        ----------
        image : xarray.DataArray
            (y, x), NaN where not observed.

        Returns
        -------
        xarray.DataArray
            float32 whole numbers 0 … levels - 1, NaN where not observed.
        """

        def kernel(values):
            found = self.on_array(values.reshape(len(values), -1)).astype(np.float32).reshape(values.shape)
            return np.where(found == kernels.MISSING, np.float32(np.nan), found)

        found = xr.apply_ufunc(
            kernel, image, dask="parallelized", output_dtypes=[np.float32], keep_attrs=True
        )
        found.attrs = {"long_name": "gray level", "quantizer": self.to_json()}
        return found

    def on_array(self, values, margin=0):
        """Gray levels int16 of an array (y, x), -1 where not observed and in a margin of so many pixels."""
        rows, cols = values.shape
        levels = np.full((rows + 2 * margin, cols + 2 * margin), kernels.MISSING, np.int16)
        inner = levels[margin : margin + rows, margin : margin + cols]
        edges = np.array(self.edges, np.float64)
        values = np.ascontiguousarray(values, np.float32)
        kernels.to_levels(values, self.low, self.high, self.levels, edges, inner)
        return levels

    def to_json(self):
        """The quantizer as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """The quantizer of JSON text; GlacierlabError for anything else. Nothing in it is evaluated."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise GlacierlabError(f"No saved quantizer: {' '.join(str(error).split())}.") from error


def quantizer_of(samples, levels=32, method="width", percentiles=(2, 98)):
    """A quantizer of all pixels of some arrays: `Quantizer.fit`."""
    divide = lookup(METHODS, method, kind="quantizer method")
    first, last = percentiles
    if not 0 <= first < last <= 100:
        raise GlacierlabError(f"percentiles={percentiles}: two numbers from 0 to 100, the lower first.")
    values = np.concatenate([np.ravel(sample) for sample in samples]).astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        raise GlacierlabError("No gray levels can be fitted: no pixel is observed. Give (low, high).")
    low, high = np.percentile(values, percentiles).tolist()
    if not low < high:
        raise GlacierlabError(
            f"No gray levels can be fitted: percentiles {first} to {last} of the image are all {low:g}. "
            "Widen percentiles=, or give (low, high)."
        )
    return divide(Quantizer.between(low, high, levels), values)


def equal_width(scale, values):
    """The scale as it is."""
    return scale


def equal_population(scale, values):
    """The scale with edges at equal shares of the values on it."""
    inside = values[(values >= scale.low) & (values <= scale.high)]
    edges = np.quantile(inside, np.linspace(0, 1, scale.levels + 1)[1:-1])
    return replace(scale, edges=tuple(edges.tolist()))


METHODS = {"width": equal_width, "population": equal_population}


def sampled(images):
    """The images' arrays; of more than `PIXELS` pixels, every nth along y and x. Lazy where they are."""
    arrays = [image.data if isinstance(image, xr.DataArray) else image for image in images]
    step = max(1, ceil(sqrt(sum(array.size for array in arrays) / PIXELS)))
    return [array[..., ::step, ::step] if array.ndim > 1 else array[:: step**2] for array in arrays]
