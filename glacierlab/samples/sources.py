"""Where a scene's patches come from: images, labels and what is ignored, read one window at a time."""

from dataclasses import dataclass

import dask
import numpy as np
import shapely
import xarray as xr
from rasterio import Affine
from rasterio.features import rasterize

from ..errors import UnknownNameError
from ..tables import NOT_OBSERVED

UNNAMED = 254  # marks codes that no class bears
MARGIN = 2  # pixels around a window to which outlines are cut: no center within it sees the cut


@dataclass(frozen=True, eq=False)
class Image:
    """Features of a scene: one variable (feature, y, x), or one (y, x) for each."""

    variables: tuple[xr.Variable, ...]
    telling: int = 0  # place of the feature whose nodata counts

    def read(self, rows, columns):
        """(feature, y, x) float32 of slices of rows and columns, a new array."""
        if self.variables[0].ndim == 3:
            stack = self.variables[0]
            values = np.ascontiguousarray(stack[:, rows, columns].values, dtype=np.float32)
            return values if values.flags.owndata and stack.chunks is None else values.copy()  # dask may lend
        bands = dask.compute(
            *(variable[rows, columns].data for variable in self.variables)
        )  # one graph for all
        return np.stack([np.asarray(band, dtype=np.float32) for band in bands])

    def observed(self, rows, columns):
        """Where the telling feature has a value, and its values; all features would cost a whole reading."""
        stack, place = self.variables[0], self.telling
        if stack.ndim == 3:
            values = stack[place, rows, columns].values
        else:
            values = self.variables[place][rows, columns].values
        values = np.asarray(values, dtype=np.float32)
        return np.isfinite(values), values


@dataclass(frozen=True, eq=False)
class Raster:
    """A class map or mask (y, x) by its codes; `table` (256,) uint8 gives each code its class."""

    variable: xr.Variable
    table: np.ndarray
    names: dict  # code → name, for messages
    asked: tuple  # classes of the set, for messages
    what: str

    def read(self, rows, columns):
        """Classes (y, x) uint8."""
        values = np.asarray(self.variable[rows, columns].values)
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), NOT_OBSERVED, values)
        with np.errstate(invalid="ignore"):  # infinities are told below
            codes = values.astype(np.uint8)
        found = self.table[codes]
        if (bad := (codes != values) | (found == UNNAMED)).any():
            code = values[bad].ravel()[0].item()
            named = f" ({self.names[code]})" if code in self.names else ""
            raise UnknownNameError(
                f"{self.what} hold {code}{named}, which is none of the classes asked, {list(self.asked)}: "
                "add it to classes=, name its code in flag_values and flag_meanings, or ignore its pixels."
            )
        return found


@dataclass(frozen=True, eq=False)
class Polygons:
    """Polygons in pixel coordinates, burnt where they cover a pixel's center; later ones go before."""

    tree: shapely.STRtree
    values: np.ndarray  # uint8, one a polygon
    beyond: int  # the value outside all

    def read(self, rows, columns):
        """Values (y, x) uint8."""
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        window = (columns.start, rows.start, columns.stop, rows.stop)
        near = np.sort(self.tree.query(shapely.box(*window)))
        around = np.add(window, (-MARGIN, -MARGIN, MARGIN, MARGIN))
        cut = shapely.clip_by_rect(self.tree.geometries[near], *around)
        solid = ~shapely.is_empty(cut)
        shapes = list(zip(cut[solid], self.values[near][solid].tolist(), strict=True))
        if not shapes:
            return np.full(shape, self.beyond, np.uint8)
        shift = Affine.translation(columns.start, rows.start)  # by whole pixels, so that no window rounds
        return rasterize(shapes, shape, fill=self.beyond, transform=shift, dtype="uint8", all_touched=False)


@dataclass(frozen=True, eq=False)
class SceneSource:
    """One scene: its image, its label and the places to ignore."""

    image: Image
    label: Raster | Polygons
    ignored: tuple[Raster | Polygons, ...]  # 1 where ignored

    def labels(self, rows, columns):
        """Classes (y, x) uint8, 255 where they are unknown or ignored."""
        classes = self.label.read(rows, columns)
        for each in self.ignored:
            classes[each.read(rows, columns) == 1] = NOT_OBSERVED
        return classes

    def read(self, rows, columns, fill):
        """Image (feature, y, x) float32 and label (y, x) uint8, 255 where any feature has no value."""
        image, label = self.image.read(rows, columns), self.labels(rows, columns)
        if not np.isfinite(image.sum(dtype=np.float32)):  # rare, and ten times as fast as to look at each
            missing = ~np.isfinite(image)
            label[missing.any(axis=0)] = NOT_OBSERVED
            image[missing] = fill
        return image, label


@dataclass(frozen=True, eq=False)
class Scenes:
    """Patches read from their scenes."""

    sources: dict  # scene name → SceneSource
    fill: float

    def read(self, scene, row, col, size, position):
        """Image and label of a patch."""
        return self.sources[scene].read(slice(row, row + size), slice(col, col + size), self.fill)

    def read_many(self, windows, size, block=1024):
        """(position in `windows`, image, label) of patches, those that lie together read together.

        `windows` are (scene, row, col, position) rows. A block's pixels are made once, however many of its
        patches overlap; those of a lazy stack with the block's chunks too.
        """
        together = {}
        for number, (scene, row, col, _) in enumerate(windows):
            together.setdefault((scene, row // block, col // block), []).append((number, row, col))
        for (scene, *_), patches in together.items():
            _, rows, cols = np.array(patches).T
            top, left = rows.min(), cols.min()
            area = slice(int(top), int(rows.max()) + size), slice(int(left), int(cols.max()) + size)
            image, label = self.sources[scene].read(*area, self.fill)
            for number, row, col in patches:
                y, x = slice(row - top, row - top + size), slice(col - left, col - left + size)
                yield number, np.ascontiguousarray(image[:, y, x]), np.ascontiguousarray(label[y, x])


@dataclass(frozen=True, eq=False)
class Selected:
    """Patches of another store with some of its features."""

    store: object
    places: tuple[int, ...]  # of the features in the other's images

    def read(self, *window):
        """Image and label of a patch."""
        image, label = self.store.read(*window)
        return np.ascontiguousarray(image[list(self.places)]), label

    def read_many(self, windows, size):
        """(position in `windows`, image, label) of patches."""
        for number, image, label in self.store.read_many(windows, size):
            yield number, np.ascontiguousarray(image[list(self.places)]), label
