"""The ground of a year, in pixels that mix pieces: ice with its glaciers, debris, lakes, rivers."""

from dataclasses import dataclass

import numpy as np
import shapely
from rasterio.features import shapes
from scipy import ndimage
from skimage.draw import line
from skimage.segmentation import watershed

from . import glaciers
from .cover import carried
from .glaciers import smoothstep
from .model import CELL, MARGIN, REFERENCE

PIECES = 2  # a pixel mixes 2 x 2 pieces of ground
MIN_ICE = 8.0  # [m]: thinner is none
MIN_PIECE = 50_000.0  # [m²]: smaller ice is none
SURFACE_SPEED = 5 / 4  # of the mean over depth, by the shallow ice approximation for n = 3
DEBRIS_SHARE = 0.12  # of the ice is debris-covered in the year of reference
HALF_DEBRIS = 0.06  # thickness [m] where half of a pixel is hidden
SHORE_M = 70.0  # rounds the corners that the model's cells give to lakes
WAVES = 2.0  # deviation of the surface of ice from a smooth one [m]


@dataclass(frozen=True)
class Grid:
    """Pixels of a picture, by their side in the model's meters."""

    rows: int
    columns: int
    pixel_m: float

    @property
    def shape(self):
        return self.rows, self.columns

    @property
    def pieces(self):
        return self.rows * PIECES, self.columns * PIECES

    def axes(self, pieces=1):
        """Centers down and across [m] of the pixels, or of the pieces that they mix."""
        return [(np.arange(n * pieces) + 0.5) * self.pixel_m / pieces for n in self.shape]

    def fine(self, model, field, degree=3):
        """A field of the model on the pieces, float32, in strips that keep memory low."""
        spline, (down, across) = model.spline(field, degree), self.axes(PIECES)
        out = np.empty((down.size, across.size), np.float32)
        for start in range(0, down.size, 512):
            out[start : start + 512] = spline(down[start : start + 512], across)
        return out

    def coarse(self, model, field):
        """A field of the model on the pixels, float32."""
        return model.spline(field)(*self.axes()).astype(np.float32)


@dataclass(frozen=True)
class Ground:
    """One year on the pixels (y, x) of a picture, float32. Shares are of the pixel, 0 to 1, unless said."""

    pixel_m: float  # in the model's meters, as all heights and lengths
    ela_m: float
    elevation: np.ndarray  # of ground, ice or water [m]
    ice: np.ndarray  # share within the outlines, ponds too
    pond: np.ndarray  # share of lakes on the ice
    lake: np.ndarray  # share of lakes beside the ice
    river: np.ndarray  # share
    debris: np.ndarray  # share of the ice that debris hides
    debris_m: np.ndarray  # its thickness [m]
    lithology: np.ndarray  # of walls and of what falls from them, 0 to 1
    streaks: np.ndarray  # pattern of the ice along its flow, of about unit deviation
    forefield: np.ndarray  # share that ice covered at the great advance
    ice_m: np.ndarray  # thickness [m]
    speed_m_a: np.ndarray  # of the ice, at its surface
    pieces: np.ndarray  # mask (2 y, 2 x) of what lies within the outlines

    @property
    def buried(self):
        """Mask of pixels whose ice is debris-covered."""
        return self.debris > 0.5

    def classes(self):
        """Share of each class of the truth, by name; they sum to 1."""
        bare = self.ice - self.pond
        return {
            "background": 1 - self.ice - self.lake,
            "clean_ice": bare * ~self.buried,
            "debris_covered_ice": bare * self.buried,
            "glacial_lake": self.lake + self.pond,
        }


def pixel_mean(pieces):
    """Mean over the pieces of each pixel: (2 y, 2 x) → (y, x) float32."""
    rows, columns = (n // PIECES for n in pieces.shape)
    blocks = pieces.reshape(rows, PIECES, columns, PIECES)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def spread(pixels):
    """Each pixel's value in all its pieces: (y, x) → (2 y, 2 x)."""
    return pixels.repeat(PIECES, axis=0).repeat(PIECES, axis=1)


def majority(shares):
    """Place of the largest of the shares (class, y, x); of two that are equal, one or the other in turn.

    A pixel at a border is often half and half: always the same class would grow at the other's cost.
    """
    first = shares.argmax(axis=0)
    last = len(shares) - 1 - shares[::-1].argmax(axis=0)
    rows, columns = np.ogrid[: shares.shape[1], : shares.shape[2]]
    return np.where((rows + columns) % 2, first, last)


def without_small(mask, cell_m, min_area_m2=MIN_PIECE):
    """A mask (y, x) without its pieces smaller than `min_area_m2` and without loose threads."""
    labels, _ = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    large = np.bincount(labels.ravel()) * cell_m**2 >= min_area_m2
    large[0] = False
    return large[labels]


def ice_pieces(noise, model, grid, year):
    """What lies within the outlines of a year, a mask of pieces (2 y, 2 x)."""
    rough = crags(noise, grid)
    thickness = grid.fine(model, model.ice[year])
    thickness -= 3 * rough  # a ragged rim
    thickness -= 25 * ruggedness(model, grid) * np.maximum(rough - 0.8, 0)  # rock that looks out
    return without_small(thickness > MIN_ICE, grid.pixel_m / PIECES)


def ruggedness(model, grid):
    """How rough the land is (2 y, 2 x), 0.1 to 1.1."""
    return grid.fine(model, 0.1 + smoothstep(glaciers.steepness(model.bed, CELL), 0.2, 0.8))


def crags(noise, grid):
    """Gullies and crags narrower than the model's cells (2 y, 2 x), of unit deviation."""
    return noise("crags", grid.pieces, grid.pixel_m / PIECES, longest_m=900, exponent=3.4)


def surface_and_lakes(noise, model, grid, year, ice):
    """Height (y, x) [m] of ground, ice and water, and the mask (2 y, 2 x) of lakes beside the ice."""
    rough, cell_m = crags(noise, grid), grid.pixel_m / PIECES
    depth = ndimage.gaussian_filter(grid.fine(model, model.lake_depth, degree=1), SHORE_M / cell_m)
    water = depth > 1.0 + 0.6 * np.clip(rough, -1, 1)
    water = ndimage.binary_opening(water & ~ice, iterations=2)
    surface = grid.fine(model, model.bed)
    top = grid.fine(model, model.ice[year])
    surface += np.where(ice, top, -30 * ruggedness(model, grid) * np.abs(rough))
    level = model.nearest(model.lake_level, grid.axes(PIECES)).astype(np.float32)
    lakes, count = ndimage.label(water, np.ones((3, 3)))
    levels = np.asarray(ndimage.minimum(np.nan_to_num(level, nan=np.inf), lakes, np.arange(count + 1)))
    np.copyto(surface, levels.astype(np.float32)[lakes], where=water)  # where basins touch, the lower one's
    return pixel_mean(surface), water


def waves(noise, grid):
    """The relief of ice (y, x) that the model's smooth surface lacks, of unit deviation."""
    return noise("waves", grid.shape, grid.pixel_m, longest_m=600, exponent=4.0)


def make_ground(noise, model, grid, year, ela_m, half_load):
    """The `Ground` of a year."""
    ice = ice_pieces(noise, model, grid, year)
    elevation, water = surface_and_lakes(noise, model, grid, year, ice)
    share, lake = pixel_mean(ice), pixel_mean(water)
    thickness = np.clip(grid.coarse(model, model.ice[year]), 0, None) * (share > 0)
    speed = glaciers.ice_velocity(model.ice[year], glaciers.steepness(model.bed + model.ice[year], CELL))
    covering = cover_of_ice(noise, grid, elevation, share > 0.5, model.ela_m, half_load)
    return Ground(
        pixel_m=grid.pixel_m,
        ela_m=ela_m,
        elevation=elevation + WAVES * waves(noise, grid) * share,
        ice=share,
        pond=pixel_mean(ponds(noise, grid, elevation, covering["debris"]) & ice),
        lake=lake,
        river=river_share(model, grid) * (1 - share - lake),
        forefield=smoothstep(grid.coarse(model, model.advance), 4, 12) * (1 - share),
        ice_m=thickness,
        speed_m_a=SURFACE_SPEED * np.clip(grid.coarse(model, speed), 0, None) * share,
        pieces=ice,
        **covering,
    )


def rockfall(noise, grid, ice):
    """What falls on the ice from the walls around it (y, x), in no unit: most at its rim."""
    weak = np.exp(noise("weak walls", grid.shape, grid.pixel_m, longest_m=4000, exponent=4.0))
    return weak * np.exp(-ndimage.distance_transform_edt(ice).astype(np.float32) * (grid.pixel_m / 80))


def debris_load(noise, grid, fallen, elevation, ela_m):
    """How much debris lies on the ice (y, x), in no unit: of what it carried, the more the more it melted."""
    patches = noise("debris", grid.shape, grid.pixel_m, longest_m=300)
    load = ndimage.gaussian_filter(fallen, 30 / grid.pixel_m)
    return load * np.clip(ela_m - elevation, 0, None) * np.exp(0.15 * patches)


def half_hiding_load(noise, grid, elevation, ice, ela_m):
    """The load that hides half of a pixel, so that DEBRIS_SHARE of the ice (y, x) is debris-covered."""
    (fallen,) = carried(rockfall(noise, grid, ice)[None], ice, elevation, grid.pixel_m)
    load = debris_load(noise, grid, fallen, elevation, ela_m)[ice]
    return max(float(np.quantile(load, 1 - DEBRIS_SHARE)), 1e-9) if load.size else 1.0


def cover_of_ice(noise, grid, elevation, ice, ela_m, half_load):
    """What lies on the ice and how it looks (y, x), by the names of `Ground`."""
    falling = rockfall(noise, grid, ice)
    rock = smoothstep(noise("lithology", grid.shape, grid.pixel_m, longest_m=6000, exponent=3.6), -0.5, 0.5)
    grain = noise("grain", grid.shape, grid.pixel_m, longest_m=600, exponent=4.0)
    came = carried(np.stack([falling, rock * falling, grain]), ice, elevation, grid.pixel_m)
    load = debris_load(noise, grid, came[0], elevation, ela_m)
    deviation = came[2][ice].std() if ice.any() else 1
    covering = {
        "debris": np.where(ice, smoothstep(load, 0.55 * half_load, 1.45 * half_load), 0),
        "debris_m": np.where(ice, HALF_DEBRIS * load / half_load, 0),
        "lithology": np.where(ice, came[1] / np.maximum(came[0], 1e-6), rock),
        "streaks": np.clip(came[2] / max(deviation, 1e-6), -2.5, 2.5),  # rare ones would outshine snow
    }
    return {name: field.astype(np.float32) for name, field in covering.items()}


def ponds(noise, grid, elevation, debris, *, share=0.04):
    """Lakes on the debris of flat tongues, a mask (2 y, 2 x)."""
    flat = glaciers.steepness(ndimage.gaussian_filter(elevation, 60 / grid.pixel_m), grid.pixel_m) < 0.12
    holes = noise("ponds", grid.pieces, grid.pixel_m / PIECES, longest_m=250, exponent=4.0)
    return (holes > np.quantile(holes[::8, ::8], 1 - share)) & spread(flat & (debris > 0.6))


def river_share(model, grid):
    """Share (y, x) of each pixel that is river, by lines a piece wide."""
    drawn = np.zeros(grid.pieces, bool)
    cell_m = grid.pixel_m / PIECES
    for (y0, x0), (y1, x1) in ((model.rivers + 0.5 - MARGIN) * CELL / cell_m).round().astype(int):
        rows, columns = line(y0, x0, y1, x1)
        inside = (rows >= 0) & (columns >= 0) & (rows < drawn.shape[0]) & (columns < drawn.shape[1])
        drawn[rows[inside], columns[inside]] = True
    return pixel_mean(drawn)


def reference(noise, model, grid):
    """What every year is measured by: the numbers of glaciers (y, x) and the load of debris that hides half.

    Numbers, int32 from 1 for the largest, are also where no ice is. The model says where glaciers end; the
    basins of the pixels' own surface make neighbors share their divide.
    """
    thickness = model.ice[REFERENCE]
    surface, ice = grid.coarse(model, model.bed + thickness), grid.coarse(model, thickness) > MIN_ICE
    markers = model.nearest(glaciers.ends(model.bed + thickness, thickness > MIN_ICE), grid.axes())
    if not markers.any():
        return np.ones(grid.shape, np.int32), 1.0  # no ice in that year: what another has is one glacier
    surface += 3 * WAVES * waves(noise, grid)  # on a smooth one divides would run straight along the pixels
    numbers = watershed(np.where(ice, surface, surface + np.float32(1e4)), markers, connectivity=2)
    order = np.argsort(-np.bincount(numbers[ice], minlength=markers.max() + 1), kind="stable")
    rank = np.empty(order.size, np.int32)
    rank[order] = np.arange(1, order.size + 1)
    return rank[numbers], half_hiding_load(noise, grid, surface, ice, model.ela_m)


def polygons(pieces, numbers, transform):
    """Polygon of each glacier, by its number, along the edges of the pieces (2 y, 2 x) that it covers."""
    parts = {}
    for shape, number in shapes(spread(numbers), mask=pieces, connectivity=4, transform=transform):
        parts.setdefault(int(number), []).append(shapely.geometry.shape(shape))
    return {number: shapely.union_all(found) for number, found in parts.items()}
