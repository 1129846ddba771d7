"""A scene's blocks as dask tasks: every tile goes through the model once, whichever block asks for it.

The plane is cut into blocks of one size, and a tile belongs to the block that holds its last pixel, so that
it reaches into the blocks above, left and above left at most. A block's task runs its own tiles, on its image
and the borders of those three, and hands each of the four what it gets from them. Sums are whole numbers, and
so the same in every order: results depend on the scene's size, tile, overlap, blend and block alone, not on
chunks, workers, or which block was asked first.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from .cluster import gpu_units
from .passes import ONE, Tile
from .tiles import axes_of

BLOCK, GPU_BLOCK = 512, 2048  # least side of a block [pixels]


@dataclass(frozen=True)
class Grid:
    """Blocks and tiles over a scene.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns, each at least `tile`.
    tile, overlap : int
    blend : str
    block : int
        Side of a block, at least `tile` [pixels].
    """

    shape: tuple[int, int]
    tile: int
    overlap: int
    blend: str
    block: int

    def __post_init__(self):
        object.__setattr__(self, "axes", axes_of(self.shape, self.tile, self.overlap, self.blend))

    @property
    def counts(self):
        """Rows and columns of blocks."""
        return tuple(math.ceil(length / self.block) for length in self.shape)

    @property
    def reach(self):
        """Pixels by which a block's tiles reach into the blocks above and to the left, at most."""
        return self.tile - 1

    def chunks(self, axis):
        """Sizes of the blocks along an axis."""
        return tuple(each.stop - each.start for each in map(self.slice(axis), range(self.counts[axis])))

    def slice(self, axis):
        """A function of a block's number along an axis that gives its pixels there."""
        side, length = self.block, self.shape[axis]
        return lambda number: slice(number * side, min((number + 1) * side, length))

    def window(self, i, j):
        """Rows and columns of all that a block's tiles may need."""
        rows, columns = self.slice(0)(i), self.slice(1)(j)
        return tuple(slice(max(each.start - self.reach, 0), each.stop) for each in (rows, columns))

    def tiles(self, i, j):
        """The `Tile`s of a block, in its window."""
        top, left = (each.start for each in self.window(i, j))
        rows, columns = (
            [(start, axis.weights[each]) for each, start in self.ending_in(axis, number)]
            for axis, number in zip(self.axes, (i, j), strict=True)
        )
        return [
            Tile(int(y) - top, int(x) - left, by_row, by_column, (int(y), int(x)))
            for y, by_row in rows
            for x, by_column in columns
        ]

    def ending_in(self, axis, number):
        """Numbers and starts of the tiles of an axis whose last pixel is in a block."""
        last, first = axis.starts + self.reach, number * self.block
        mine = np.flatnonzero((last >= first) & (last < first + self.block))
        return zip(mine, axis.starts[mine], strict=True)


def block_side(tile, shape, device="cpu"):
    """Side of the blocks [pixels]: several tiles, more on GPUs, and no more than the scene needs."""
    least = GPU_BLOCK if device.startswith("cuda") else BLOCK
    return int(min(max(least, tile), max(shape)))


GIVERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # blocks below and to the right that give to one


class Sums(NamedTuple):
    """What a block's tiles give to it and to the blocks above, left and above left, (L, y, x) int32 or None.

    In the order of `GIVERS`; and where the block is observed, (y, x) bool.
    """

    own: np.ndarray | None
    above: np.ndarray | None = None
    left: np.ndarray | None = None
    corner: np.ndarray | None = None
    known: np.ndarray | None = None


def sums_of(models, window, grid, i, j, manner):
    """`Sums` of a block's tiles, on its window of the image, (C, y, x) float32."""
    tiles, (rows, columns) = grid.tiles(i, j), grid.window(i, j)
    top, left = i * grid.block - rows.start, j * grid.block - columns.start
    if not tiles:
        return Sums(None, known=np.isfinite(window[:, top:, left:]).all(axis=0))
    total, known = models.run(window, tiles, manner)
    known = known[top:, left:]
    if total is None:
        return Sums(None, known=known)
    whole, upper = slice(top, None), slice(top)
    on, left = slice(left, None), slice(left)
    parts = total[:, whole, on], total[:, upper, on], total[:, whole, left], total[:, upper, left]
    return Sums(*parts, known)


def summed(sums, channels):
    """A block's own sums (L, y, x) as a new array, to add to."""
    if sums.own is None:
        return np.zeros((channels, *sums.known.shape), np.int32)
    return np.array(sums.own)


def add(total, part):
    """Adds sums, or None, to the last rows and columns, in place."""
    if part is not None:
        rows, columns = (whole - mine for whole, mine in zip(total.shape[1:], part.shape[1:], strict=True))
        total[:, rows:, columns:] += part


def finished(total, known):
    """Values (L, y, x) float32 of a block's sums, NaN where it is not observed."""
    values = np.multiply(total, np.float32(1 / ONE), dtype=np.float32)
    if not known.all():
        values[:, ~known] = np.nan
    return values


# ---- lazily ----


def predicted(image, grid, models, manner):
    """What the models give for each pixel, lazily.

    Parameters
    ----------
    image : dask.array.Array
        (feature, y, x) float32 in the grid's blocks, all features together; NaN where not observed.
    grid : Grid
    models : Models
    manner : Manner

    Returns
    -------
    dask.array.Array
        (K, y, x) float32, or (K + 1, y, x) with the spread last, NaN where a feature has no value.
    """
    token = tokenize(image.name, grid, models.key, manner)
    model, below, right, corner, tiles, name = (
        f"{what}-{token}" for what in ("model", "below", "right", "corner", "tiles", "predict")
    )
    channels, width = models.channels + manner.spread, grid.reach
    cut, run, join = {}, {}, {}
    rows, columns = grid.counts
    for i in range(rows):
        for j in range(columns):
            own = (image.name, 0, i, j)
            cut[(below, i, j)] = (border, own, width, None)
            cut[(right, i, j)] = (border, own, None, width)
            cut[(corner, i, j)] = (border, own, width, width)
            around = [
                (below, i - 1, j) if i else None,
                (right, i, j - 1) if j else None,
                (corner, i - 1, j - 1) if i and j else None,
            ]
            run[(tiles, i, j)] = (run_block, model, own, around, grid, i, j, manner)
            givers = [
                (tiles, i + down, j + on) if i + down < rows and j + on < columns else None
                for down, on in GIVERS
            ]
            join[(name, 0, i, j)] = (joined, givers, channels)
    taking = {"resources": units} if (units := gpu_units()) else None
    layers = {model: {model: models}, below: cut, tiles: run, name: join}
    needs = {model: set(), below: {image.name}, tiles: {model, below, image.name}, name: {tiles}}
    graph = HighLevelGraph(
        dict(image.dask.layers)
        | {each: MaterializedLayer(made, taking if each == tiles else None) for each, made in layers.items()},
        dict(image.dask.dependencies) | needs,
    )
    return da.Array(graph, name, ((channels,), grid.chunks(0), grid.chunks(1)), dtype=np.float32)


def border(block, rows, columns):
    """Copy of the last rows and columns of a block (C, y, x), None for all."""
    place = [
        slice(0 if asked is None else max(side - asked, 0), None)
        for side, asked in zip(block.shape[1:], (rows, columns), strict=True)
    ]
    return np.array(block[:, *place])


def run_block(models, own, around, grid, i, j, manner):
    """`Sums` of a block's tiles; `around` are the borders above, left and at the corner, or None."""
    return sums_of(models, framed(own, *around), grid, i, j, manner)


def framed(own, above, left, corner):
    """A block with the borders above and to the left, one array (C, y, x)."""
    if above is None and left is None:
        return own
    lower = own if left is None else np.concatenate([left, own], axis=2)
    if above is None:
        return lower
    upper = above if left is None else np.concatenate([corner, above], axis=2)
    return np.concatenate([upper, lower], axis=1)


def joined(givers, channels):
    """A block's values from the `Sums` of the up to four blocks that give to it, in the order of `GIVERS`."""
    total = summed(givers[0], channels)
    for place, each in enumerate(givers[1:], 1):
        if each is not None:
            add(total, each[place])
    return finished(total, givers[0].known)


# ---- row by row, on a cluster ----


def rows_of(image, grid, models, manner, first=0):
    """The same block by block, row after row: (row, column, values (L, y, x)), from a row on.

    One row's image and sums are in memory at a time, and what the next needs of it. To start from a later row
    costs that row of the image once more.
    """
    blocks, width, count = image.to_delayed()[0], grid.reach, grid.counts[0]
    cut_border = dask.delayed(border)
    (model,) = dask.persist(dask.delayed(models, name=f"model-{models.key}", traverse=False))  # sent once
    below = dask.persist(*(cut_border(each, width, None) for each in blocks[first - 1])) if first else None
    upper = None
    for i in range(first, count):
        tiles = row_of_tiles(blocks[i], below, grid, i, model, manner)
        tiles, below = dask.persist(tiles, [cut_border(each, width, None) for each in blocks[i]])
        if upper is not None:
            yield from made_row(i - 1, upper, tiles, models.channels + manner.spread)
        upper = tiles
    yield from made_row(count - 1, upper, [None] * len(upper), models.channels + manner.spread)


def made_row(i, tiles, below, channels):
    """(row, column, values) of a row of blocks, given the `Sums` of its tiles and of the next row's."""
    after = [*tiles[1:], None], [*below[1:], None]
    join = dask.delayed(joined)
    made = dask.compute(*(join(list(each), channels) for each in zip(tiles, below, *after, strict=True)))
    for j, values in enumerate(made):
        yield i, j, values


def row_of_tiles(row, below, grid, i, model, manner):
    """`Sums` of each block of a row, not yet computed; `below` are the last rows of the blocks above."""
    width, tiles = grid.reach, []
    cut_border, run = dask.delayed(border), dask.delayed(run_block)
    taking = {"resources": units} if (units := gpu_units()) else {}
    for j, own in enumerate(row):
        left = cut_border(row[j - 1], None, width) if j else None
        corner = cut_border(below[j - 1], None, width) if i and j else None
        with dask.annotate(**taking):
            tiles.append(run(model, own, [below[j] if i else None, left, corner], grid, i, j, manner))
    return tiles
