"""Cleaning a mask before it becomes outlines. Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277."""

import numpy as np
import xarray as xr
from scipy import ndimage

from ..errors import GlacierlabError
from ..io.layers import cell_area_m2
from ..tables import CLASSES, NOT_OBSERVED

GLACIER = np.uint8(CLASSES["glacier"].code)
STRIP = 512  # rows


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
        then, for a glacier may cross all of them (about ten bytes a pixel while it works).

    Raises
    ------
    GlacierlabError
        `size` is even or negative, or an area negative.
    GridError
        The CRS is missing or in degrees, so that an area in pixels cannot be told.
    """
    if size < 0 or (size and size % 2 == 0):
        raise GlacierlabError(
            f"size={size}: the square's side is odd, or 0 to leave opening and closing out."
        )
    if not min(min_area_km2, min_hole_km2) >= 0:
        raise GlacierlabError(f"Areas of {min_area_km2} and {min_hole_km2} km²: give 0 or more.")
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
    return np.where(unseen, np.uint8(NOT_OBSERVED), (glacier | small) * GLACIER)


def small_parts(mask, min_pixels, structure, but_not=None):
    """Parts of a mask with fewer pixels, save those that touch `but_not`."""
    labels, count = ndimage.label(mask, structure, output=np.int32)
    small = part_sizes(labels, count) < min_pixels
    small[0] = False
    if but_not is not None:
        small[np.unique(labels[but_not])] = False
    found = np.empty(mask.shape, bool)
    for rows in strips(labels):
        found[rows] = small[labels[rows]]
    return found


def part_sizes(labels, count):
    """Pixels of each label (y, x) int32, from 0 to `count`."""
    return sum(np.bincount(labels[rows].ravel(), minlength=count + 1) for rows in strips(labels))


def strips(labels):
    """Slices of some rows each: NumPy widens to 64 bits what it counts or looks up."""
    return [slice(top, top + STRIP) for top in range(0, len(labels), STRIP)]


def edge_or_near(unseen):
    """The image's rim and the neighbours of unobserved pixels: a part that reaches them may go on beyond."""
    near = ndimage.binary_dilation(unseen) if unseen.any() else np.zeros_like(unseen)
    near[[0, -1]] = True
    near[:, [0, -1]] = True
    return near
