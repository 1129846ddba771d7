"""Coherence and phase of two complex radar images."""

from functools import partial

import dask.array as da
import numpy as np
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from scipy.special import gammaln

from ..errors import GlacierlabError, GridError, require_same_grid

PIXELS = 2**15  # of a strip of rows that stays in the processor's cache


def coherence(first, second, window=(5, 20)):
    """Coherence and interferometric phase of two co-registered images; lazy if one of them is.

    Parameters
    ----------
    first, second : xarray.DataArray
        Complex images, dims (y, x) as azimuth and range, on one grid; no CRS is needed. Take the phase of
        topography and of the flat earth out first: what of it varies within a window lowers the coherence.
    window : (int, int)
        Rows (azimuth) and columns (range) of the boxcar. 5 x 20, an assumption, suits Sentinel-1 IW. An
        even n reaches n / 2 pixels back and n / 2 - 1 on.

    Returns
    -------
    xarray.Dataset
        `coherence` [1], 0 to 1, and `phase` [radians], -π to π, of `first` times the conjugate of `second`:
        (y, x) float32, ready for `scene.assign`; lazy, they share their work if computed together. NaN where
        the pixel itself is not observed in both images, or an image is 0 throughout the window.

    Raises
    ------
    GridError
        The images differ in size or grid, or have other dims than (y, x).
    GlacierlabError
        They are not complex, or the window is no pair of whole numbers from 1 to the image's size.

    Notes
    -----
    `|Σ s₁ s₂*| / √(Σ|s₁|² Σ|s₂|²)` and the angle of the same sum (Touzi et al. 1999, doi:10.1109/36.739146).
    Windows are cut at the edges. Pixels that are NaN, infinite or the declared nodata in either image are
    left out of all three sums, so that fewer looks are left there. Few looks make coherence too high: see
    `expected_coherence`. Sums are in float64 in an order that chunks do not change.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> image = xr.DataArray(np.ones((9, 30)) + 1j, dims=("y", "x"))
    >>> pair = coherence(image, image * np.exp(0.5j))
    >>> round(pair.coherence.mean().item(), 6), round(pair.phase.mean().item(), 6)
    (1.0, -0.5)
    """
    first, second = (observed(image) for image in (first, second))
    require_same_grid(first, second, names=("first", "second"))
    rows, columns = window_of(window, first)
    kernel = partial(complex_coherence, window=(rows, columns))
    if first.chunks is None and second.chunks is None:
        values = kernel(first.values, second.values)
    else:
        values = da.map_overlap(
            kernel,
            *(da.asarray(image.data) for image in (first, second)),
            depth={0: (rows // 2, (rows - 1) // 2), 1: (columns // 2, (columns - 1) // 2)},
            boundary="none",
            meta=np.empty((0, 0), np.complex64),
        )
    coords = {name: c for name, c in first.coords.items() if set(c.dims) <= {"y", "x"}}
    both = xr.DataArray(values, coords, ("y", "x"))
    size = np.minimum(np.abs(both), np.float32(1)).assign_attrs(
        long_name="interferometric coherence", units="1"
    )
    phase = both.copy(data=np.angle(values)).assign_attrs(long_name="interferometric phase", units="radians")
    pair = xr.Dataset({"coherence": size, "phase": phase})
    for layer in pair.data_vars.values():
        layer.attrs |= {"kind": "layer", "window": f"{rows} x {columns} (azimuth x range)"}
    return pair


def expected_coherence(looks):
    """What coherence of pure noise is estimated as, on average: the bias at zero true coherence.

    Parameters
    ----------
    looks : float or array
        Independent samples in the window, at least 1. Neighboring pixels of oversampled images are not
        independent: looks are then fewer than pixels.

    Returns
    -------
    float or array
        Γ(L) Γ(3/2) / Γ(L + 1/2): 1 for one look, about 0.886 / √L for many (Touzi et al. 1999,
        doi:10.1109/36.739146).

    Raises
    ------
    GlacierlabError
        Fewer than one look.

    Examples
    --------
    >>> round(float(expected_coherence(100)), 4)
    0.0887
    """
    looks = np.asarray(looks, float)
    if not (looks >= 1).all():
        raise GlacierlabError(f"looks={looks}: a window holds at least one.")
    return np.exp(gammaln(looks) + gammaln(1.5) - gammaln(looks + 0.5))


def observed(image):
    """A complex image (y, x) with its declared nodata as NaN, or an error."""
    if set(image.dims) != {"y", "x"}:
        raise GridError(f"A radar image has dims (y, x), not {image.dims}: choose one with isel or squeeze.")
    if image.dtype.kind != "c":
        raise GlacierlabError(
            f"Coherence needs complex images, and this one is {image.dtype}: "
            "join its parts, as real + 1j * imaginary."
        )
    image = image.transpose("y", "x")
    nodata = image.rio.nodata
    return image if nodata is None else image.where(image != nodata)


def window_of(window, image):
    """Rows and columns of a window, or GlacierlabError."""
    shape = image.sizes["y"], image.sizes["x"]
    whole = np.ndim(window) == 1 and len(window) == 2 and all(n == int(n) for n in window)
    if not whole or not all(1 <= n <= size for n, size in zip(window, shape, strict=True)):
        raise GlacierlabError(
            f"window={window} must be two whole numbers, rows and columns, from 1 to the image's {shape}."
        )
    return tuple(int(n) for n in window)


def complex_coherence(first, second, window):
    """Coherence times exp(i phase) of two images (y, x), complex64: windows cut at the edges."""
    rows, columns = first.shape
    height, width = window
    above, left = height // 2, width // 2
    out = np.empty(first.shape, np.complex64)
    step = max(4 * height, PIXELS // (columns + width))
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        read = slice(max(0, top - above), min(rows, bottom - above + height - 1))
        down = read.start - (top - above)
        products = np.zeros((4, bottom - top + height - 1, columns + width - 1))  # zeros beyond the edges
        inner = products[:, down : down + read.stop - read.start, left : left + columns]
        seen = interfere(first[read], second[read], out=inner)
        real, imaginary, one, other = window_sums(window_sums(products, height, 1), width, 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = 1 / (np.sqrt(one) * np.sqrt(other))
            out[top:bottom].real = real * scale
            out[top:bottom].imag = imaginary * scale
        out[top:bottom][~seen[top - read.start : bottom - read.start]] = np.nan
    return out


def interfere(first, second, out):
    """Write s₁ s₂* (parts), |s₁|², |s₂|² to `out` (4, y, x), 0 where not observed; return where they are."""
    a, b, c, d = (part.astype(np.float64) for image in (first, second) for part in (image.real, image.imag))
    out[0], out[1] = a * c + b * d, b * c - a * d
    out[2], out[3] = a * a + b * b, c * c + d * d
    seen = np.isfinite(out[2]) & np.isfinite(out[3])
    out[:, ~seen] = 0.0
    return seen


def window_sums(values, size, axis):
    """Sums of `size` neighbors along an axis, which shrinks by size - 1: by doubling, 2 log2(size) additions.

    A sum's order depends on its own window alone, not on where the array begins.
    """
    length = values.shape[axis] - size + 1
    part = [slice(None)] * values.ndim

    def from_(start, count):
        part[axis] = slice(start, start + count)
        return tuple(part)

    total, start, run = None, 0, 1  # `values` holds sums of `run` neighbors
    while True:
        if size & run:
            found = values[from_(start, length)]
            total = found.copy() if total is None else np.add(total, found, out=total)
            start += run
        if start == size:
            return total
        count = values.shape[axis] - run
        values = values[from_(0, count)] + values[from_(run, count)]
        run *= 2
