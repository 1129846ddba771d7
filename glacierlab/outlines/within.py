"""The pixels of a raster that lie within outlines, strip by strip."""

import numpy as np
import shapely
from rasterio.features import geometry_mask
from rasterio.windows import Window
from rasterio.windows import transform as transform_in
from shapely import affinity

from ..io.layers import bounds_of, transform_of
from ..io.shapes import beside, whole
from .surfaces import require_dem

STRIP = 2**22  # pixels looked at at a time
SMALL = 2**26  # pixels


def opened(dem):
    """Elevations (y, x), NaN for nodata, in memory if they are not many."""
    return at_hand(require_dem(dem))


def at_hand(raster):
    """A raster in memory if it is small enough, for it is looked at outline by outline."""
    return raster.compute() if raster.size <= SMALL else raster


def values_within(raster, shape):
    """Yield the values (n,) of pixels with their center in a shape in the raster's CRS, a strip at a time.

    Of a shape without any center, those of the pixels that it touches.
    """
    transform = transform_of(raster)
    corners = np.array(shape.bounds).reshape(2, 2)  # (x, y) of two
    columns, rows = ~transform * tuple(corners.T)
    left, right = np.clip([columns.min(), np.ceil(columns.max())], 0, raster.sizes["x"]).astype(int).tolist()
    top, bottom = np.clip([rows.min(), np.ceil(rows.max())], 0, raster.sizes["y"]).astype(int).tolist()
    if left >= right or top >= bottom:
        return
    step, found = max(1, STRIP // (right - left)), False
    for touched in (False, True):
        for first in range(top, bottom, step):
            size = right - left, min(step, bottom - first)
            place = transform_in(Window(left, first, *size), transform)
            inside = geometry_mask([shape], size[::-1], place, invert=True, all_touched=touched)
            if inside.any():
                found = True
                strip = raster.isel(y=slice(first, first + size[1]), x=slice(left, right))
                yield strip.values[inside]
        if found:
            return


def share_within(raster, shape):
    """Share [1] of a shape in the raster's CRS that lies within the raster's bounds."""
    if not np.isfinite(shape.bounds).all() or shape.area == 0:
        return 0.0
    return shape.intersection(shapely.box(*bounds_of(raster))).area / shape.area


def in_crs_of(raster, shapes):
    """Shapes (GeoSeries) in a raster's CRS, valid ones, as an array; in degrees on its turn of the globe."""
    moved = np.array(shapes.to_crs(raster.rio.crs.to_wkt()).values, dtype=object)
    if raster.rio.crs.is_geographic:
        moved = whole(moved)
        middles = shapely.bounds(moved)[:, ::2].mean(axis=1)
        turn = beside(middles, np.mean(bounds_of(raster)[::2])) - middles
        for at in np.flatnonzero(np.isfinite(turn) & (abs(turn) > 1)):
            moved[at] = affinity.translate(moved[at], turn[at])
    invalid = ~shapely.is_valid(moved)
    moved[invalid] = shapely.make_valid(moved[invalid])
    return moved
