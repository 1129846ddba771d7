"""Cleaning a mask before it becomes outlines. Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277."""

import numpy as np
import xarray as xr
from scipy import ndimage

from ..io.layers import cell_area_m2
from ..tables import CLASSES, NOT_OBSERVED

GLACIER = CLASSES["glacier"].code


def clean(mask, size=5, min_area_km2=0.01, min_hole_km2=0.01):
    """Open, close, and drop small parts and holes of a glacier mask; the mask keeps its size.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8: 1 glacier, 255 not observed.
    size : int
        Side [px] of the square of opening, then closing; 0 leaves both out. Chen 2022 used 5; that opening
        comes first is an assumption.
    min_area_km2 : float
        Smaller parts (connected over eight neighbours) become background: 0.01, the limit of RGI 7.0.
    min_hole_km2 : float
        Smaller holes (over four neighbours) become glacier: 0.01 is an assumption. A hole with unobserved
        pixels in it stays.

    Returns
    -------
    xarray.DataArray
        As `mask`; unobserved pixels stay so and count as background. A lazy mask stays lazy; it is one block
        then, for a glacier may cross all of them (a byte a pixel).

    Raises
    ------
    GridError
        The CRS is missing or in degrees, so that an area in pixels cannot be told.
    """
    needs_area = min_area_km2 > 0 or min_hole_km2 > 0
    pixels_per_km2 = 1e6 / cell_area_m2(mask) if needs_area else 0.0
    whole = mask if mask.chunks is None else mask.chunk({"y": -1, "x": -1})
    cleaned = xr.apply_ufunc(
        clean_block,
        whole,
        kwargs=dict(
            size=size, min_pixels=min_area_km2 * pixels_per_km2, min_hole_pixels=min_hole_km2 * pixels_per_km2
        ),
        input_core_dims=[["y", "x"]],
        output_core_dims=[["y", "x"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        vectorize=mask.ndim > 2,
        keep_attrs=True,
    )
    return cleaned.assign_attrs(cleaning=f"{size} x {size}, {min_area_km2:g} km2, holes {min_hole_km2:g} km2")


def clean_block(codes, size, min_pixels, min_hole_pixels):
    """The whole of `clean` on an array (y, x) uint8."""
    unseen = codes == NOT_OBSERVED
    glacier = codes == GLACIER
    if size:
        square = np.ones((size, size), bool)
        glacier = ndimage.binary_opening(glacier, square)
        padded = np.pad(glacier, size)  # closing erodes what lies at the image's edge otherwise
        glacier = ndimage.binary_closing(padded, square)[size:-size, size:-size]
    glacier &= ~unseen
    glacier &= ~small_parts(glacier, min_pixels, np.ones((3, 3)))
    holes = ~glacier & ~unseen
    small = small_parts(holes, min_hole_pixels, None, but_not=edge_or_near(unseen))
    return np.where(unseen, np.uint8(NOT_OBSERVED), ((glacier | small) * GLACIER).astype(np.uint8))


def small_parts(mask, min_pixels, structure, but_not=None):
    """Parts of a mask with fewer pixels, save those that touch `but_not`."""
    labels, _ = ndimage.label(mask, structure)
    small = np.bincount(labels.ravel()) < min_pixels
    small[0] = False
    if but_not is not None:
        small[np.unique(labels[but_not])] = False
    return small[labels]


def edge_or_near(unseen):
    """The image's rim and the neighbours of unobserved pixels: a part that reaches them may go on beyond."""
    near = ndimage.binary_dilation(unseen) if unseen.any() else np.zeros_like(unseen)
    near[[0, -1]] = True
    near[:, [0, -1]] = True
    return near
