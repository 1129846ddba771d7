"""Rasters in halved sizes, made once a process and shared, so that any window of them is quick to draw."""

import itertools
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import dask
import dask.array as da
import numpy as np
import xarray as xr
from pyproj import CRS, Transformer
from rasterio import Affine

from ..io.layers import require_crs, transform_of
from ..tables import NOT_OBSERVED

COARSEST = 512  # pixels a side, of the smallest level
LARGEST = np.finfo(np.float16).max  # brighter digital numbers are drawn as this
KNOTS = 17  # a side, between which places in another CRS are interpolated


class Shelf:
    """What is dear to make, by key, up to so many bytes; then what was not asked for longest goes.

    The newest stays, however large. A key is (owner, name).
    """

    def __init__(self, most_bytes):
        self.most_bytes, self.nbytes = most_bytes, 0
        self._held = OrderedDict()  # key → (what, its bytes)
        self._lock = threading.RLock()  # what is let go may drop more, at any time Python cleans up

    def get(self, key):
        """What lies there, or None."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key, what, nbytes):
        with self._lock:
            self._take(key)
            self._held[key] = what, nbytes
            self.nbytes += nbytes
            while self.nbytes > self.most_bytes and len(self._held) > 1:
                self._take(next(iter(self._held)))

    def drop(self, owner):
        """Let go of everything of an owner."""
        with self._lock:
            for key in [key for key in self._held if key[0] == owner]:
                self._take(key)

    def _take(self, key):
        gone = self._held.pop(key, (None, 0))  # let go at the end, when the count is right
        self.nbytes -= gone[1]


BLOCKS = Shelf(2**28)  # bytes, of full-size blocks that were seen last


@dataclass(eq=False)
class Sheet:
    """A raster and its levels.

    Attributes
    ----------
    values : xarray.DataArray
        (y, x), of numbers, or of class codes uint8; perhaps lazy.
    levels : list of numpy.ndarray
        Halved once, twice, …: means float16 of what is there, or the commonest codes uint8.
    nbytes : int
        What it holds in memory beside the scene.
    """

    values: xr.DataArray
    levels: list
    nbytes: int
    transform: Affine
    _limits: dict = field(default_factory=dict)
    _number: int = field(default_factory=itertools.count().__next__)

    def __post_init__(self):
        weakref.finalize(self, BLOCKS.drop, self._number)

    @cached_property
    def _delayed(self):
        return self.values.data.to_delayed()

    @cached_property
    def crs(self):
        return CRS.from_user_input(require_crs(self.values, "A map").to_wkt())

    @property
    def codes(self):
        return self.values.dtype == np.uint8

    @property
    def coarsest(self):
        """The smallest level (y, x), the raster itself where that is small."""
        return self.levels[-1] if self.levels else np.asarray(self.values.data)

    def limits(self, stretch):
        """Percentiles (low, high) of the coarsest level, so that they stay while the map is moved."""
        if stretch not in self._limits:
            values = self.coarsest.astype(np.float32)
            seen = values[np.isfinite(values)]
            low, high = map(float, np.percentile(seen, stretch)) if seen.size else (0.0, 1.0)
            self._limits[stretch] = low, high if high > low else low + 1.0
        return self._limits[stretch]


def sheets_of(rasters, held):
    """`Sheet`s of rasters (y, x): all levels of lazy ones in one pass over them.

    `held` says of each whether someone else keeps it in memory anyway. Beside the levels memory is that of
    dask's blocks in work.
    """
    rasters = [plain(raster) for raster in rasters]
    sheets = []
    for raster, level, elsewhere in zip(rasters, halves_of([r.data for r in rasters]), held, strict=True):
        levels = [] if level is None else [level]
        while levels and max(levels[-1].shape) > COARSEST:
            levels.append(halved(levels[-1]))
        if level is None and raster.chunks is not None:
            raster, elsewhere = raster.compute(), False
        own = 0 if elsewhere or raster.chunks is not None else raster.nbytes
        sheets.append(Sheet(raster, levels, own + sum(each.nbytes for each in levels), transform_of(raster)))
    return sheets


def plain(raster):
    """A raster (y, x) as numbers that can be averaged, or codes."""
    raster = raster.transpose("y", "x")
    if raster.dtype.kind == "f" or raster.dtype == np.uint8:
        return raster
    return raster.astype(np.float32)


def halves_of(arrays):
    """Arrays (y, x) halved, NumPy; None for those small enough. Lazy ones are read once, together."""
    halves = [None] * len(arrays)
    lazy, targets = [], []
    for number, array in enumerate(arrays):
        if max(array.shape) <= COARSEST:
            continue
        if not isinstance(array, da.Array):
            halves[number] = halved(array)
            continue
        even = array.rechunk(tuple(map(evened, array.chunks)))
        chunks = tuple(tuple(-(-size // 2) for size in sizes) for sizes in even.chunks)
        dtype = level_dtype(array)
        lazy.append(even.map_blocks(halved, chunks=chunks, dtype=dtype, meta=np.empty((0, 0), dtype)))
        halves[number] = np.empty(lazy[-1].shape, dtype)
        targets.append(halves[number])
    if lazy:
        da.store(lazy, targets, lock=False)
    return halves


def evened(sizes):
    """Chunk sizes of which each but the last is even, near these."""
    ends = [end - end % 2 for end in itertools.accumulate(sizes)]
    ends[-1] = sum(sizes)
    return tuple(b - a for a, b in itertools.pairwise([0, *ends]) if b > a)


def level_dtype(array):
    return np.uint8 if array.dtype == np.uint8 else np.float16


def halved(array):
    """An array (y, x) of half the size, rounded up: means of what is finite, or the commonest codes."""
    rows, columns = array.shape
    if rows % 2 or columns % 2:
        blank = NOT_OBSERVED if array.dtype == np.uint8 else np.nan
        array = np.pad(array, ((0, rows % 2), (0, columns % 2)), constant_values=blank)
    four = [array[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    if array.dtype == np.uint8:
        return commonest(*four)
    four = [each.astype(np.float32) for each in four]
    mean = (four[0] + four[1] + four[2] + four[3]) / 4
    partial = ~np.isfinite(mean)
    if partial.any():
        some = np.stack([each[partial] for each in four])
        seen = np.isfinite(some)
        count = seen.sum(axis=0)
        total = np.where(seen, some, 0).sum(axis=0)
        mean[partial] = np.where(count, total / np.maximum(count, 1), np.nan)
    return np.clip(mean, -LARGEST, LARGEST, out=mean).astype(np.float16)


def commonest(a, b, c, d):
    """The code that most of four have; of a tie that of the first."""
    found = np.where(c == d, c, a)
    found = np.where((b == c) | (b == d), b, found)
    return np.where((a == b) | (a == c) | (a == d), a, found)


def sampled(sheets, bounds, shape, crs=None, *, draft=False):
    """What sheets of one grid show in a window: arrays (height, width), north up.

    Parameters
    ----------
    sheets : list of Sheet
    bounds : (left, bottom, right, top)
    shape : (height, width)
    crs : pyproj.CRS, optional
        That `bounds` are in, where it is not the raster's: each pixel looks up its place there, once.
    draft : bool
        What is in memory, half as fine, where the window would have to be read at full size; else nothing.

    Returns
    -------
    list of numpy.ndarray
        float32, NaN outside; codes uint8, 255 outside. None of a draft that would be no quicker.
    """
    rows, columns, inside, step = places(sheets[0], bounds, shape, crs)
    level = int(np.clip(np.rint(np.log2(step)), 0, len(sheets[0].levels))) if step > 0 else 0
    blank = [np.full(shape, NOT_OBSERVED if s.codes else np.nan, np.uint8 if s.codes else np.float32)
             for s in sheets]  # fmt: skip
    if not inside.any():
        return None if draft else blank
    size = sheets[0].values.sizes
    rows, columns = rows.clip(0, size["y"] - 1), columns.clip(0, size["x"] - 1)
    if draft:
        if level or not sheets[0].levels or not unread(sheets, extent(rows, columns)):
            return None
        level = 1
    rows, columns = rows >> level, columns >> level
    window = extent(rows, columns)
    parts = [s.levels[level - 1][window] for s in sheets] if level else windows_of(sheets, window)
    rows, columns = rows - window[0].start, columns - window[1].start
    return [np.where(inside, part[rows, columns], empty).astype(empty.dtype, copy=False)
            for part, empty in zip(parts, blank, strict=True)]  # fmt: skip


def extent(rows, columns):
    """The window (rows, columns) of slices around places."""
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def unread(sheets, window):
    """Whether a window of sheets has blocks that are not in memory."""
    return any(
        BLOCKS.get((sheet._number, at)) is None
        for sheet in sheets
        if isinstance(sheet.values.data, da.Array)
        for at in blocks_in(sheet.values.chunks, window)
    )


def windows_of(sheets, window):
    """What sheets hold in a window (rows, columns) of slices; blocks of lazy ones are kept for a while."""
    arrays = [sheet.values.data for sheet in sheets]
    lazy = {
        n: blocks_in(array.chunks, window) for n, array in enumerate(arrays) if isinstance(array, da.Array)
    }
    keys = {(n, at): (sheets[n]._number, at) for n, places in lazy.items() for at in places}
    found = {here: BLOCKS.get(key) for here, key in keys.items()}
    missing = [here for here, block in found.items() if block is None]
    made = dask.compute(*(sheets[n]._delayed[at] for n, at in missing))
    for here, block in zip(missing, made, strict=True):
        found[here] = block
        BLOCKS.put(keys[here], block, block.nbytes)
    parts = []
    for n, array in enumerate(arrays):
        if n not in lazy:
            parts.append(array[window])
            continue
        part = np.empty([side.stop - side.start for side in window], array.dtype)
        for at, (inside, own) in lazy[n].items():
            part[inside] = found[n, at][own]
        parts.append(part)
    return parts


def blocks_in(chunks, window):
    """{(i, j): (where in the window, where in the block)} of the blocks that a window meets."""
    sides = []
    for sizes, side in zip(chunks, window, strict=True):
        edges = np.concatenate([[0], np.cumsum(sizes)])
        met = range(
            np.searchsorted(edges, side.start, "right") - 1, np.searchsorted(edges, side.stop, "left")
        )
        spans = [(k, max(edges[k], side.start), min(edges[k + 1], side.stop), edges[k]) for k in met]
        sides.append(
            [(k, slice(a - side.start, b - side.start), slice(a - e, b - e)) for k, a, b, e in spans]
        )
    return {(i, j): ((rows, columns), (own_rows, own_columns))
            for i, rows, own_rows in sides[0] for j, columns, own_columns in sides[1]}  # fmt: skip


def places(sheet, bounds, shape, crs):
    """(rows, columns, inside, step) of a window's pixels in a raster, `step` of its pixels apart.

    Arrays are (height, 1), (1, width) and (height, width); all are (height, width) in another CRS.
    """
    left, bottom, right, top = bounds
    height, width = shape
    x = left + (np.arange(width) + 0.5) * (right - left) / width
    y = top - (np.arange(height) + 0.5) * (top - bottom) / height
    x, y = x[None, :], y[:, None]
    step = (right - left) / width, (top - bottom) / height
    if crs is not None and not same_crs(crs, sheet.crs):
        x, y = carried(x, y, Transformer.from_crs(crs, sheet.crs, always_xy=True))
        step = [step_of(x, y, axis) for axis in (1, 0)]
    at = sheet.transform
    columns, rows = (x - at.c) / at.a, (y - at.f) / at.e
    high, wide = sheet.values.shape
    inside = (columns >= 0) & (columns < wide) & (rows >= 0) & (rows < high)
    whole = [np.floor(np.nan_to_num(each, nan=-1, posinf=-1, neginf=-1).clip(-1, 2**30)).astype(np.int32)
             for each in (rows, columns)]  # fmt: skip
    return *whole, inside, min(abs(step[0] / at.a), abs(step[1] / at.e))


@lru_cache
def same_crs(first, second):
    """Whether two are one to a map, whatever they are called."""
    return first.equals(second, ignore_axis_order=True)


def step_of(x, y, axis):
    """The usual distance of neighbors along an axis of places (height, width); 0 where it is unknown."""
    with np.errstate(invalid="ignore"):
        apart = np.hypot(np.diff(x, axis=axis), np.diff(y, axis=axis))
    known = apart[np.isfinite(apart)]
    return float(np.median(known)) if known.size else 0.0


def carried(x, y, transformer):
    """Places (1, width) and (height, 1) in another CRS, (height, width); interpolated between knots."""
    from scipy.ndimage import map_coordinates

    size = y.size, x.size
    knots = [np.linspace(each.flat[0], each.flat[-1], KNOTS) for each in (x, y)]
    there = transformer.transform(*np.meshgrid(*knots))
    at = np.meshgrid(*(np.linspace(0, KNOTS - 1, n) for n in size), indexing="ij")
    return [map_coordinates(each, at, order=1, mode="nearest") for each in there]
