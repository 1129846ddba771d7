"""A scene's blocks as dask tasks: every tile goes through the model once, whichever block asks for it.

The plane is cut into blocks of one size, and a tile belongs to the block that holds its last pixel, so that
it reaches into the blocks above, left and above left at most. A block's task runs its own tiles, on its image
and the borders of those three, and keeps or hands on what each of the four gets from them. A block is done
when to its own and what its right neighbor handed it (`inner`) is added what comes from the two below
(`outer`), always in this order. So results depend on the scene's size, tile, overlap and block alone, not on
chunks, workers, or which block was asked first.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
import torch
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from .tiles import axes_of

BLOCK = 512  # least side of a block [pixels]


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

    def chunks(self, axis):
        """Sizes of the blocks along an axis."""
        length = self.shape[axis]
        return tuple(min(self.block, length - first) for first in range(0, length, self.block))

    def tiles_of(self, axis, number):
        """Starts of a block's tiles along an axis, from the block's first pixel on, and their weights."""
        first = number * self.block
        mine = self.axes[axis].ending_in(first, first + self.block)
        return self.axes[axis].starts[mine] - first, self.axes[axis].weights[mine]


def block_side(tile, shape):
    """Side of the blocks [pixels]: several tiles, and no more than the scene needs."""
    return int(min(max(BLOCK, tile), max(shape)))


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
    model, below, right, corner, tiles, inner, outer, name = (
        f"{what}-{token}"
        for what in ("model", "below", "right", "corner", "tiles", "inner", "outer", "predict")
    )
    tasks, width = {model: models}, grid.tile - 1
    rows, columns = grid.counts
    for i in range(rows):
        for j in range(columns):
            own = (image.name, 0, i, j)
            tasks[(below, i, j)] = (border, own, width, None)
            tasks[(right, i, j)] = (border, own, None, width)
            tasks[(corner, i, j)] = (border, own, width, width)
            around = [
                (below, i - 1, j) if i else None,
                (right, i, j - 1) if j else None,
                (corner, i - 1, j - 1) if i and j else None,
            ]
            tasks[(tiles, i, j)] = (run_block, model, own, around, grid, i, j, manner)
            following = (tiles, i, j + 1) if j + 1 < columns else None
            tasks[(inner, i, j)] = (inner_of, (tiles, i, j), following)
            tasks[(outer, i, j)] = (outer_of, (tiles, i, j), following)
            beneath = (outer, i + 1, j) if i + 1 < rows else None
            tasks[(name, 0, i, j)] = (finished, (inner, i, j), beneath, (observed_of, own))
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[image])
    chunks = ((models.channels + manner.spread,), grid.chunks(0), grid.chunks(1))
    return da.Array(graph, name, chunks, dtype=np.float32)


def rows_of(image, grid, models, manner, first=0):
    """The same row by row: (number of the row of blocks, [values (L, y, x) of each block]), from a row on.

    One row's image and sums are in memory at a time, and what the next needs of it. To start from a later row
    costs that row of the image once more.
    """
    blocks, width = image.to_delayed()[0], grid.tile - 1
    cut_border, rows = dask.delayed(border), len(blocks)
    (model,) = dask.persist(dask.delayed(models, name=f"model-{models.key}", traverse=False))  # sent once
    below = dask.persist(*(cut_border(each, width, None) for each in blocks[first - 1])) if first else None
    inner = observed = None
    for i in range(first, rows):
        tiles = row_of_tiles(blocks[i], below, grid, i, model, manner)
        following = [*tiles[1:], None]
        asked = [
            list(map(dask.delayed(inner_of), tiles, following)),
            list(map(dask.delayed(outer_of), tiles, following)),
            [dask.delayed(observed_of)(each) for each in blocks[i]],
            [cut_border(each, width, None) for each in blocks[i]],
        ]
        *asked, below = dask.persist(*asked)
        made, outer, seen = dask.compute(*asked)
        if inner is not None:
            yield i - 1, list(map(finished, inner, outer, observed))
        inner, observed = made, seen
    yield rows - 1, list(map(finished, inner, [None] * len(inner), observed))


def row_of_tiles(row, below, grid, i, model, manner):
    """`Sums` of each block of a row, not yet computed; `below` are the last rows of the blocks above."""
    width, tiles = grid.tile - 1, []
    cut_border, run = dask.delayed(border), dask.delayed(run_block)
    for j, own in enumerate(row):
        left = cut_border(row[j - 1], None, width) if j else None
        corner = cut_border(below[j - 1], None, width) if i and j else None
        tiles.append(run(model, own, [below[j] if i else None, left, corner], grid, i, j, manner))
    return tiles


def border(block, rows, columns):
    """Copy of the last rows and columns of a block (C, y, x), None for all."""
    place = [
        slice(0 if asked is None else max(side - asked, 0), None)
        for side, asked in zip(block.shape[1:], (rows, columns), strict=True)
    ]
    return np.array(block[:, *place])


class Sums(NamedTuple):
    """What a block's tiles give to itself and to the blocks above, left and above left, (L, y, x) float32."""

    own: np.ndarray
    above: np.ndarray
    left: np.ndarray
    corner: np.ndarray


def run_block(models, own, around, grid, i, j, manner):
    """`Sums` of a block's tiles.

    `around` are the borders above, to the left and at the corner, None where the scene ends.
    """
    above, left, corner = around
    window = framed(own, above, left, corner)
    top, side = (0 if each is None else each.shape[axis] for each, axis in ((above, 1), (left, 2)))
    (ys, weights_y), (xs, weights_x) = (grid.tiles_of(axis, number) for axis, number in enumerate((i, j)))
    total = np.zeros((models.channels + manner.spread, *window.shape[1:]), np.float32)
    queue = [(y + top, x + side, wy, wx) for y, wy in zip(ys, weights_y, strict=True)
             for x, wx in zip(xs, weights_x, strict=True)]  # fmt: skip
    observed = observed_of(window)
    queue = [each for each in queue if observed[cut(each, grid.tile)].any()]
    window = np.where(observed, window, np.float32(0)) if not observed.all() else window
    size = manner.batch_size
    origin = np.array([i, j]) * grid.block - (top, side)
    for first in range(0, len(queue), size):
        batch = queue[first : first + size]
        images = torch.from_numpy(np.stack([window[(slice(None), *cut(each, grid.tile))] for each in batch]))
        places = [tuple((origin + each[:2]).tolist()) for each in batch]
        found = models.run(images, places, manner).numpy()
        for each, values in zip(batch, found, strict=True):
            values *= each[2][:, None]
            values *= each[3]
            total[(slice(None), *cut(each, grid.tile))] += values
    return Sums(total[:, top:, side:], total[:, :top, side:], total[:, top:, :side], total[:, :top, :side])


def cut(each, tile):
    """Rows and columns of a tile in its window."""
    return slice(each[0], each[0] + tile), slice(each[1], each[1] + tile)


def framed(own, above, left, corner):
    """A block with the borders above and to the left, one array (C, y, x)."""
    if above is None and left is None:
        return own
    lower = own if left is None else np.concatenate([left, own], axis=2)
    if above is None:
        return lower
    upper = above if left is None else np.concatenate([corner, above], axis=2)
    return np.concatenate([upper, lower], axis=1)


def inner_of(sums, following):
    """A block's own sum with what the next block to the right hands it, a new array."""
    total = np.array(sums.own)
    return total if following is None else add(total, following.left)


def outer_of(sums, following):
    """What a block and the next one to the right hand to the block above, its last rows, a new array."""
    total = np.array(sums.above)
    return total if following is None else add(total, following.corner)


def observed_of(block):
    """Where a block (C, y, x) has a value in every feature, (y, x) bool."""
    return np.isfinite(block).all(axis=0)


def finished(inner, outer, observed):
    """A block's values (L, y, x), NaN where it is not observed; a new array."""
    total = np.array(inner)
    if outer is not None:
        add(total, outer)
    total[:, ~observed] = np.nan
    return total


def add(total, part):
    """Adds to the last rows and columns, in place."""
    rows, columns = (whole - mine for whole, mine in zip(total.shape[1:], part.shape[1:], strict=True))
    total[:, rows:, columns:] += part
    return total
