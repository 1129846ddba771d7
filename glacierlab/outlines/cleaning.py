"""Cleaning a mask before it becomes outlines. Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277.

Every step is a function of a mask or class map, and takes what the one before it gave.
"""

import numpy as np
import xarray as xr
from scipy import ndimage

from ..errors import GlacierlabError, GridError, UnknownNameError, require_same_grid
from ..features.indices import find_index, index
from ..io.layers import cell_area_m2
from ..tables import CLASSES, NOT_OBSERVED
from .polygons import class_names

GLACIER = np.uint8(CLASSES["glacier"].code)
STRIP = 512  # rows


def clean(mask, size=5, min_area_km2=0.01, min_hole_km2=0.01):
    """Open, close, and drop small parts and holes of a glacier mask; the mask keeps its size.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8: 1 glacier, 255 not observed; or bool.
    size : int
        Side [px] of the square of opening, then closing; 0 leaves both out. Chen 2022 used 5; that opening
        comes first is an assumption.
    min_area_km2 : float
        Smaller parts (connected over eight neighbors) become background: 0.01, the limit of RGI 7.0.
    min_hole_km2 : float
        Smaller holes (over four neighbors) become glacier: 0.01 is an assumption. A hole with unobserved
        pixels in it stays.

    Returns
    -------
    xarray.DataArray
        As `mask`; unobserved pixels stay so and count as background. A lazy mask stays lazy; it is one block
        then, for a glacier may cross all of them (about ten bytes a pixel while it works).

    Raises
    ------
    GlacierlabError
        `size` is even or negative, or an area negative; there are codes of other classes (of a lazy map that
        is told when it is computed).
    GridError
        The CRS is missing or in degrees, so that an area in pixels cannot be told.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> ice = scene.glacier.ratio("red", "swir16").glacier.threshold(2)
    >>> [len(gl.vectorize(mask)) for mask in (ice, clean(ice, size=3, min_area_km2=0.05))]  # parts
    [37, 4]
    """
    if size < 0 or (size and size % 2 == 0):
        raise GlacierlabError(
            f"size={size}: the square's side is odd, or 0 to leave opening and closing out."
        )
    if not min(min_area_km2, min_hole_km2) >= 0:
        raise GlacierlabError(f"Areas of {min_area_km2} and {min_hole_km2} km²: give 0 or more.")
    needs_area = min_area_km2 > 0 or min_hole_km2 > 0
    per_km2 = 1e6 / cell_area_m2(mask) if needs_area else 0.0
    pixels = dict(min_pixels=min_area_km2 * per_km2, min_hole_pixels=min_hole_km2 * per_km2)
    cleaned = on_whole(clean_block, mask, size=size, **pixels)
    return cleaned.assign_attrs(cleaning=f"{size} x {size}, {min_area_km2:g} km2, holes {min_hole_km2:g} km2")


def on_whole(function, mask, *layers, **options):
    """A function of whole arrays (y, x) on a mask and layers of its grid, lazy if any of them is."""
    whole = [each if each.chunks is None else each.chunk({"y": -1, "x": -1}) for each in (mask, *layers)]
    return xr.apply_ufunc(
        function,
        *whole,
        kwargs=options,
        input_core_dims=[["y", "x"]] * len(whole),
        output_core_dims=[["y", "x"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        vectorize=mask.ndim > 2,
        keep_attrs=True,
    )


def clean_block(codes, size, min_pixels, min_hole_pixels):
    """The whole of `clean` on an array (y, x) uint8."""
    unseen = codes == NOT_OBSERVED
    glacier = codes == GLACIER
    require_mask(codes)
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


def require_mask(codes):
    """GlacierlabError where codes (y, x) tell more than glacier or not: their classes would be lost."""
    others = np.setdiff1d(np.unique(codes), [0, GLACIER, NOT_OBSERVED])
    if others.size:
        raise GlacierlabError(
            "A mask of glacier (1) or not (0) is cleaned, and this map has other classes too "
            f"({others.tolist()}). Clean one thing at a time, such as all ice: clean(class_map.isin([1, 2]))."
        )


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
    """The image's rim and the neighbors of unobserved pixels: a part that reaches them may go on beyond."""
    near = ndimage.binary_dilation(unseen) if unseen.any() else np.zeros_like(unseen)
    near[[0, -1]] = True
    near[:, [0, -1]] = True
    return near


# ---- of class maps


def majority(mask, size=3):
    """Give each pixel the class that most pixels of a square around it have.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8, 255 not observed.
    size : int
        Side [px] of the square, odd; 3 is an assumption.

    Returns
    -------
    xarray.DataArray
        As `mask`, lazy if it is. Unobserved pixels stay so and do not vote; of classes with as many votes a
        pixel's own goes first, then the lowest code.

    Raises
    ------
    GlacierlabError
        `size` is not odd and positive.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> speck = np.zeros((5, 5), dtype="uint8")
    >>> speck[2, 2] = 1
    >>> int(majority(xr.DataArray(speck, dims=("y", "x"))).sum())
    0
    """
    if not (size > 0 and size % 2 == 1):
        raise GlacierlabError(f"size={size}: the square's side is an odd number of pixels.")
    if mask.chunks is None:
        return mask.copy(data=majority_block(mask.values, size))
    depth = {mask.get_axis_num(dim): size // 2 for dim in ("y", "x")}
    found = mask.data.map_overlap(
        majority_block, depth=depth, boundary=NOT_OBSERVED, dtype=mask.dtype,
        meta=np.empty((0,) * mask.ndim, mask.dtype), size=size, allow_rechunk=True,
    )  # fmt: skip
    return mask.copy(data=found)


def majority_block(codes, size):
    """`majority` of an array (..., y, x) of codes."""
    most, best = np.zeros(codes.shape, np.int32), codes.copy()
    for code in np.unique(codes[codes != NOT_OBSERVED]):
        votes = (codes == code).astype(np.int32)
        for axis in (-2, -1):
            votes = ndimage.convolve1d(votes, np.ones(size, np.int32), axis, mode="constant")
        better = (votes > most) | ((votes == most) & (codes == code))
        most, best = np.where(better, votes, most), np.where(better, code, best)
    return np.where(codes == NOT_OBSERVED, codes, best)


def slope_on(mask, slope):
    """A slope (y, x) on the grid of a mask, also of a stack (feature, y, x) that holds nothing else."""
    if slope.sizes.get("feature") == 1:
        slope = slope.squeeze("feature", drop=True)
    if set(slope.dims) != set(mask.dims):
        raise GridError(
            f'slope is {dict(slope.sizes)}, not (y, x): give one layer, as terrain(dem, "slope") makes it.'
        )
    require_same_grid(mask, slope, ("mask", "slope"))
    return slope


def without_gentle_holes(mask, slope, max_hole_km2=0.225, max_slope_deg=30.0):
    """Fill holes in glaciers that are small and not steep; steep ones are rock that stands out, nunataks.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8: 0 background, 255 not observed.
    slope : xarray.DataArray
        Slope (y, x) [degrees] on the same grid, such as `features.terrain(dem, "slope")`.
    max_hole_km2, max_slope_deg : float
        Holes (over four neighbors) are filled that are smaller and, on average, less steep. As GlacierNet2's
        demonstration does it: 1000 pixels of 15 m, 30 degrees.

    Returns
    -------
    xarray.DataArray
        As `mask`, filled with the code of glacier or clean ice, 1; lazy if either is, and then one block. A
        hole whose slope is unknown stays, and so does one at the image's edge or beside unobserved pixels.

    Raises
    ------
    GridError
        The grids differ, or the CRS is missing or in degrees.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> slope = gl.features.terrain(scene.elevation, "slope")
    >>> ice = scene.glacier.ratio("red", "swir16").glacier.threshold(2)
    >>> filled = without_gentle_holes(ice, slope)
    >>> int((filled == 1).sum() - (ice == 1).sum())  # [px]
    14
    """
    slope = slope_on(mask, slope)
    max_pixels = max_hole_km2 * 1e6 / cell_area_m2(mask)
    return on_whole(fill_block, mask, slope, max_pixels=max_pixels, max_slope_deg=max_slope_deg)


def fill_block(codes, slope, max_pixels, max_slope_deg):
    """`without_gentle_holes` on arrays (y, x)."""
    labels, count = ndimage.label(codes == 0, output=np.int32)
    known = np.isfinite(slope)
    sums = (np.bincount(labels[known], weights, count + 1) for weights in (slope[known], None))
    with np.errstate(invalid="ignore"):
        mean = np.divide(*sums)
    gentle = (mean < max_slope_deg) & (part_sizes(labels, count) < max_pixels)  # NaN is not
    gentle[0] = False
    gentle[np.unique(labels[edge_or_near(codes == NOT_OBSERVED)])] = False
    return np.where(gentle[labels], GLACIER, codes)


def without_steep_debris(mask, slope, max_slope_deg=30.0):
    """Make debris-covered ice background where it is too steep for debris to stay.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8 with a class `debris_covered_ice`.
    slope : xarray.DataArray
        Slope (y, x) [degrees] on the same grid; where it is unknown nothing changes.
    max_slope_deg : float
        The literature has 24 to 30; which of these is an assumption.

    Returns
    -------
    xarray.DataArray
        As `mask`, lazy if either is.

    Raises
    ------
    UnknownNameError
        The map has no debris-covered ice.
    GridError
        The grids differ.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> slope = gl.features.terrain(scene.elevation, "slope")
    >>> kept = without_steep_debris(scene.truth, slope, max_slope_deg=10)
    >>> [int((mask == 2).sum()) for mask in (scene.truth, kept)]  # [px] of debris-covered ice
    [88, 39]
    """
    slope = slope_on(mask, slope)
    codes = {name: code for code, name in class_names(mask).items()}
    if "debris_covered_ice" not in codes:
        raise UnknownNameError(f"The map has no class 'debris_covered_ice', but {', '.join(codes)}.")
    steep = (mask == codes["debris_covered_ice"]) & (slope.transpose(*mask.dims).data > max_slope_deg)
    return mask.where(~steep, 0).astype(mask.dtype).assign_attrs(mask.attrs)


def without_lakes(mask, scene, slope, min_ndwi=None, max_nir=0.15, max_slope_deg=10.0, snow=None):
    """Cut out of glaciers what is water: by NDWI, dark in the near infrared, level, and no snow.

    NDWI alone fires on bare ice too. All limits are assumptions.

    Parameters
    ----------
    mask : xarray.DataArray
        `class_map` (y, x) uint8.
    scene : xarray.Dataset
        Reflectance on the same grid, with `green` and `nir`.
    slope : xarray.DataArray
        Slope (y, x) [degrees] on the same grid; where it, or a band, is unknown nothing changes.
    min_ndwi : float, optional
        Water is above it; default the threshold of `tables.INDICES`.
    max_nir, max_slope_deg : float
        Water is below these.
    snow : xarray.DataArray, optional
        Where snow was mapped (y, x) bool; a class `snow` of the map is never cut either.

    Returns
    -------
    xarray.DataArray
        As `mask`; water becomes `glacial_lake` where the map has that class, else background. Lazy if
        anything given is.

    Raises
    ------
    MissingBandError, RadiometryError, GridError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=2, shape=(64, 64))
    >>> slope = gl.features.terrain(scene.elevation, "slope")
    >>> mapped = scene.truth.isin([1, 3]).astype("uint8")  # lakes taken for ice
    >>> kept = without_lakes(mapped, scene, slope)
    >>> [int((mask == 1).where(scene.truth == 3).sum()) for mask in (mapped, kept)]  # [px] of lakes
    [37, 14]
    """
    slope = slope_on(mask, slope)
    for other, name in ((scene, "scene"), (snow, "snow")):
        if other is not None:
            require_same_grid(mask, other, ("mask", name))
    codes = {name: code for code, name in class_names(mask).items()}
    above = find_index("ndwi").threshold if min_ndwi is None else min_ndwi
    signs = [index(scene, "ndwi") > above, scene["nir"] < max_nir, slope < max_slope_deg]
    kept = [0, NOT_OBSERVED, *(codes[name] for name in ("snow", "glacial_lake") if name in codes)]
    water = ~mask.isin(kept)
    for sign in signs if snow is None else [*signs, ~snow.astype(bool)]:
        water = water & sign.transpose(*mask.dims).data
    return mask.where(~water, codes.get("glacial_lake", 0)).astype(mask.dtype).assign_attrs(mask.attrs)
