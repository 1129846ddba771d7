"""The pixels that may belong to each glacier: its outline's and those around, without its neighbors'."""

from dataclasses import dataclass

import numpy as np
import shapely
from rasterio import Affine
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt

from ..errors import GridError, UnknownNameError
from ..io.layers import cell_area_m2, transform_of
from ..scores import GLACIER_PARTS
from .borders import borders_of

STEP = 0.75  # of a pixel: vertices nearer to the line are steps of pixels, no length of border; an assumption


@dataclass(frozen=True)
class Zone:
    """The pixels around one outline, arrays (y, x) over its box."""

    within: np.ndarray  # bool, the outline's own
    near: np.ndarray  # bool, those and the ones outside within reach, nearest to it
    distance_px: np.ndarray  # float32 to the border of the ice, negative inside, not beyond reach
    probability: np.ndarray | None  # float32 of ice, NaN where not observed
    length_px: float  # of its border, without divides
    pixel_m: float
    grid: Affine
    crs: str


def zones_of(outlines, reach_px, pixel_m, probability=None):
    """Each outline's `Zone`, in order; on the probability's grid, else each complex on its own, in meters."""
    if probability is not None:
        raster, ice = glacier_probability(probability)
        pixel_m, grid, crs = np.sqrt(cell_area_m2(raster)), transform_of(raster), raster.rio.crs.to_wkt()
        step = abs(grid.a * grid.e) ** 0.5  # in units of the CRS
        require_overlap(outlines, raster)
    else:
        ice, grid, crs, step = None, None, None, pixel_m
    borders = borders_of(outlines, crs=crs)
    lengths = lengths_px(borders, step)
    places = list(zip(borders.crs[borders.complex_of], borders.layer, strict=True))
    beside = {place: [] for place in places}
    for row, place in enumerate(places):
        beside[place].append(row)
    trees = {place: (np.array(rows), shapely.STRtree(borders.shapes[rows])) for place, rows in beside.items()}
    for row, shape in enumerate(borders.shapes):
        number = borders.complex_of[row]
        west, _, _, north = shapely.bounds(borders.complexes[number])
        over = grid or Affine(step, 0, west, 0, -step, north)
        window, size = box_of(shape, over, int(np.ceil(reach_px)) + 1)
        rows, tree = trees[places[row]]
        shown = rows[tree.query(shapely.box(*edges(window, size)))]
        labels = labels_of(row, borders.shapes, shown, window, size)
        within, near, distance = around(labels, reach_px)
        seen = None if ice is None else cut(ice, over, window, size)
        yield Zone(within, near, distance, seen, lengths[row], pixel_m, window, borders.crs[number])


def glacier_probability(probability):
    """A raster (y, x) for its grid, and the probability of glacier on it in memory, float32."""
    if hasattr(probability, "data_vars"):
        probability = probability["probability"]
    if "class" in probability.dims:
        names = probability["class"].values.tolist()
        wanted = ["glacier"] if "glacier" in names else [name for name in GLACIER_PARTS if name in names]
        if not wanted:
            raise UnknownNameError(f"The prediction knows no glacier, but {names}.")
        probability = probability.sel({"class": wanted}).sum("class", skipna=False)
    raster = probability.transpose("y", "x")
    return raster, np.asarray(raster.astype("float32").data.compute() if raster.chunks else raster, "float32")


def require_overlap(outlines, raster):
    """GridError where no outline touches the raster."""
    west, south, east, north = raster.rio.bounds(recalc=True)
    moved = outlines.geometry.to_crs(raster.rio.crs.to_wkt())
    if len(outlines) and not len(moved.sindex.query(shapely.box(west, south, east, north))):
        raise GridError("The outlines do not overlap the prediction: take those that were drawn from it.")


def lengths_px(borders, step):
    """Length of each outline's border, divides and steps of pixels left out, in pixels."""
    plain = shapely.length(shapely.simplify(borders.complexes, STEP * step))
    return borders.per_outline(plain) / step


def box_of(shape, grid, margin):
    """Grid and (rows, columns) of a shape's box and some pixels around."""
    west, south, east, north = shapely.bounds(shape)
    columns, rows = np.transpose([~grid * corner for corner in ((west, north), (east, south))])
    left, top = (int(np.floor(min(way) + 1e-6)) - margin for way in (columns, rows))
    right, bottom = (int(np.ceil(max(way) - 1e-6)) + margin for way in (columns, rows))
    return grid * Affine.translation(left, top), (bottom - top, right - left)


def edges(window, size):
    """(west, south, east, north) of a window."""
    x, y = np.transpose([window * corner for corner in ((0, 0), size[::-1])])
    return min(x), min(y), max(x), max(y)


def clipped(shapes, window, size):
    """What a window needs of shapes; new sides lie a pixel beyond it."""
    return shapely.clip_by_rect(
        shapes, *edges(window * Affine.translation(-1, -1), (size[0] + 2, size[1] + 2))
    )


def labels_of(row, shapes, rows, window, size):
    """Which outline pixels' centers lie in: 1 this one, which has one at least, 2 another, 0 none."""
    others = [(part, 2) for part in clipped(shapes[rows[rows != row]], window, size) if not part.is_empty]
    labels = rasterize([*others, (shapes[row], 1)], size, transform=window, dtype="uint8")
    if not (labels == 1).any():
        labels[rasterize([shapes[row]], size, transform=window, all_touched=True, dtype="uint8") == 1] = 1
    return labels


def around(labels, reach_px):
    """`within`, `near` and `distance_px` of a zone."""
    ice = labels > 0
    outside, place = distance_transform_edt(~ice, return_indices=True)
    inside = distance_transform_edt(ice)
    distance = np.where(ice, 0.5 - inside, outside - 0.5)  # borders run between pixels
    near = (labels[tuple(place)] == 1) & (distance <= reach_px)
    return labels == 1, near, np.clip(distance, -reach_px, reach_px).astype("float32")


def cut(raster, grid, window, size):
    """The part (rows, columns) of an array that a window shows, NaN beyond."""
    left, top = (round(at) for at in ~grid * (window.c, window.f))
    part = np.full(size, np.nan, "float32")
    rows = slice(max(top, 0), max(min(top + size[0], raster.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + size[1], raster.shape[1]), 0))
    shown = raster[rows, columns]
    if shown.size:
        part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = shown
    return part
