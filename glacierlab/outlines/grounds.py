"""A glacier complex on square cells: its ice, the heights below, and the way back to its exact outline."""

from functools import lru_cache

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio import Affine
from rasterio.features import rasterize
from rasterio.fill import fillnodata
from scipy import ndimage
from tqdm import tqdm

from ..errors import InventoryError
from ..io.align import default_resampling, positions, regridded
from ..io.layers import metric_crs
from ..io.shapes import around, cut_at_180, whole
from .cutting import divides_of, faces_of, joined, numbers_at
from .flowsheds import MARGIN, surroundings

MEDIAN = 5  # cells: side of the window that smooths the DEM
PAD = MARGIN + MEDIAN // 2
FINEST_M, FEW_CELLS = 10.0, 4e6  # of a grid whose cells nobody has chosen
MOST_CELLS = 3e7  # of any; a cell takes about a hundred bytes


class Ground:
    """A polygon of a CRS on a grid of another one, in meters, which does not move when the polygon changes.

    In degrees, a polygon on both sides of 180° is taken in one piece, with longitudes beyond it.
    """

    def __init__(self, polygon, crs, metric, cell_m=None):
        self.given, self.crs, self.metric = polygon, crs, metric
        self.polygon = whole([polygon])[0] if crs.is_geographic else polygon
        self.middle = np.mean(self.polygon.bounds[::2])
        self.in_meters = self.to_meters(self.polygon)
        west, south, east, north = self.in_meters.bounds
        cell_m = cell_m or max(FINEST_M, np.sqrt((east - west) * (north - south) / FEW_CELLS))
        self.cell_m = cell_m
        left, bottom, right, top = (
            (shift * PAD + np.round(edge / cell_m)) * cell_m
            for shift, edge in zip((-1, -1, 1, 1), (west, south, east, north), strict=True)
        )
        shape = round((top - bottom) / cell_m), round((right - left) / cell_m)
        if shape[0] * shape[1] > MOST_CELLS:
            raise InventoryError(
                f"A complex spans {(east - west) / 1000:.0f} x {(north - south) / 1000:.0f} km, too much for "
                f"cells of {cell_m:g} m: where its parts lie apart, outlines.explode() them first; else give "
                "a larger cell_m."
            )
        self.grid = GeoBox(shape, Affine(cell_m, 0, left, 0, -cell_m, top), metric)
        self.ice = self.burnt([self.in_meters]) > 0

    def here(self, geometries):
        """Geometries of the polygon's CRS on its turn of the globe."""
        return around(geometries, self.middle) if self.crs.is_geographic else geometries

    def back(self, polygons):
        """Polygons as they were given, in two where they cross 180°."""
        return cut_at_180(polygons) if self.polygon is not self.given else polygons

    def to_meters(self, geometries):
        """Geometries of the polygon's CRS on the grid."""
        return shapely.transform(geometries, transformer(self.crs, self.metric).transform, interleaved=False)

    def from_meters(self, geometries):
        """Geometries on the grid in the polygon's CRS."""

        onto = transformer(self.metric, self.crs).transform
        return self.here(shapely.transform(geometries, onto, interleaved=False))

    def burnt(self, polygons):
        """Number from 1 of the polygon, in meters, that each cell's middle lies in, the first of several."""
        rows = [(polygon, number) for number, polygon in enumerate(polygons, 1)][::-1]
        return rasterize(rows, self.grid.shape, transform=self.grid.affine, dtype="int32")

    def divides(self, numbers, smooth_m):
        """Lines between the areas nearest to numbers (y, x), in the polygon's CRS; the areas and theirs."""
        areas, its = divides_of(numbers, self.grid.affine, smooth_m / self.cell_m)
        left, bottom, right, top = self.grid.boundingbox.bbox
        cell = self.cell_m
        lines = shapely.clip_by_rect(
            shapely.boundary(areas), left + cell, bottom + cell, right - cell, top - cell
        )
        return self.from_meters(lines), areas, its

    def cut(self, numbers, smooth_m, smallest):
        """The polygon in parts by numbers (y, x) of its cells; pieces below a share of it go to a neighbor.

        What lies apart is a part of its own if it is not so small.
        """
        if numbers.max() < 2:
            return [self.given]
        lines, areas, its = self.divides(numbers, smooth_m)
        faces = faces_of(self.polygon, lines)
        its = numbers_at(self.to_meters(shapely.point_on_surface(faces)), areas, its)
        smallest *= self.polygon.area
        pieces, its = joined(faces, its, smallest)
        size = shapely.area(pieces)
        main = [np.flatnonzero(its == number)[size[its == number].argmax()] for number in np.unique(its)]
        apart = size >= smallest
        apart[main] = False
        its[apart] = its.max() + 1 + np.arange(apart.sum())
        return self.gathered(pieces, its)[0]

    def gathered(self, pieces, numbers):
        """Pieces of one number as one polygon, as given: (polygons, their numbers)."""
        its = np.unique(numbers)
        return list(self.back(np.array([polygons_of(pieces[numbers == n]) for n in its], dtype=object))), its

    def heights(self, dem, own):
        """Heights (y, x) float32 [m] of a DEM with this GeoBox, and how many of its pixels the ice has."""
        rows, columns = np.array(self.grid.shape) / 2
        y, x = positions(self.grid, own, rows + np.array([0, 1, 0]), columns + np.array([0, 0, 1]))
        per_cell = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
        heights = regridded(dem.data, own, self.grid, default_resampling(dem, own, self.grid))
        return np.asarray(heights), per_cell * self.ice.sum()


def in_turn(outlines):
    """(row, polygon, CRS in meters) of each outline, with a bar if it takes long."""
    middles = outlines.geometry.representative_point().to_crs("EPSG:4326")
    rows = zip(outlines.geometry, middles, strict=True)
    bar = tqdm(rows, desc="divides", total=len(outlines), unit="complex", delay=5)
    for row, (polygon, middle) in enumerate(bar):
        yield row, polygon, metric_crs(middle.x, middle.y)


def polygons_of(pieces):
    """A Polygon, or MultiPolygon, of several."""
    flat = [part for part in shapely.get_parts(np.asarray(pieces, dtype=object)) if not part.is_empty]
    return flat[0] if len(flat) == 1 else shapely.MultiPolygon(flat)


def filled(heights, ice, max_gap):
    """Heights (y, x) with gaps filled from around, and the share of the surroundings that was missing.

    None where that is more than `max_gap`.
    """
    seen = np.isfinite(heights)
    around = surroundings(ice)
    missing = 1 - seen[around].mean()
    if missing > max_gap:
        return None, missing
    if missing:
        heights = fillnodata(np.where(seen, heights, 0), seen.astype("uint8"), max_search_distance=100.0)
        seen = seen | around
    if not seen.all():  # beyond the surroundings: for the median's window alone
        _, (y, x) = ndimage.distance_transform_edt(~seen, return_indices=True)
        heights = heights[y, x]
    return heights, missing


def smoothed(heights):
    """Median heights (y, x) of the square around each cell."""
    return ndimage.median_filter(heights, MEDIAN, mode="nearest")


@lru_cache(maxsize=64)
def transformer(source, target):
    """From one CRS to another, easting or longitude first."""
    return Transformer.from_crs(source, target, always_xy=True)
