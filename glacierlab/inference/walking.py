"""A scene's blocks one after another in this process, with memory for a few of them.

The image is read in units of whole blocks, as large as the source's chunks where memory allows, each once and
one ahead; of what was read, the borders that later blocks need stay. While one block is in the model, another
is cut or written.
"""

import math
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np

from ..errors import DataWarning, GlacierlabError
from .blocks import GIVERS, add, finished, summed, sums_of

AHEAD = 2  # blocks on their way at a time
MEMORY = 10**9  # bytes around the model: an assumption


def walk(image, grid, models, manner, first=0, memory=MEMORY):
    """Blocks as they are finished: (row, column, values (L, y, x) float32).

    Parameters
    ----------
    image : numpy.ndarray or dask.array.Array
        (C, y, x) float32, NaN where not observed.
    grid : Grid
    models : Models
    manner : Manner
    first : int
        Row of blocks to begin at.
    memory : int
        Most bytes of arrays around the model, for a lazy image.

    Raises
    ------
    GlacierlabError
        The memory is too small for a unit of one block.
    """
    channels, pending = models.channels + manner.spread, {}
    pool, waiting = ThreadPoolExecutor(AHEAD), deque()
    try:
        for i, j, window in windows(image, grid, channels, first, memory):
            waiting.append((i, j, pool.submit(sums_of, models, window, grid, i, j, manner)))
            if len(waiting) > AHEAD:
                yield from settled(*waiting.popleft(), grid, pending, channels, first)
        while waiting:
            yield from settled(*waiting.popleft(), grid, pending, channels, first)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # one who stops does not wait for tiles


def settled(i, j, future, grid, pending, channels, first):
    """Hand on a block's sums; give the blocks that have all of theirs.

    `pending` holds, by block, its sums so far, where it is observed, and how many blocks still give to it.
    """
    sums = future.result()
    missing = min(2, grid.counts[0] - i) * min(2, grid.counts[1] - j)
    pending[i, j] = [summed(sums, channels), sums.known, missing]
    for (down, on), part in zip(GIVERS, sums[:4], strict=True):
        place = i - down, j - on
        if place not in pending:
            continue  # beyond the scene's border, or before the first row that is asked
        entry = pending[place]
        if place != (i, j):
            add(entry[0], part)
        entry[2] -= 1
        if not entry[2]:
            total, known, _ = pending.pop(place)
            yield *place, finished(total, known)


# ---- reading ----


def windows(image, grid, channels, first, memory):
    """(row, column, window (C, y, x) of the image) of each block, from a row of blocks on."""
    if isinstance(image, np.ndarray):
        for i, j in product(range(first, grid.counts[0]), range(grid.counts[1])):
            yield i, j, image[:, *grid.window(i, j)]
        return
    sides = unit_of(image, grid, channels, memory)
    for rows, columns, frame in frames(image, grid, sides, first):
        top, left = (grid.window(number, number)[0].start for number in (rows[0], columns[0]))
        for i, j in product(rows, columns):
            ys, xs = grid.window(i, j)
            yield i, j, frame[:, ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]


def frames(image, grid, sides, first):
    """(rows of blocks, columns of blocks, image with its borders above and to the left) of each unit.

    `carried` are the last rows of the units above; `right` the last columns of the frame before.
    """
    downs, across = (
        [range(n, min(n + side, count)) for n in range(begin, count, side)]
        for begin, side, count in zip((first, 0), sides, grid.counts, strict=True)
    )
    reach, begin = grid.reach, first * grid.block
    carried = np.empty((image.shape[0], reach, grid.shape[1]), np.float32)
    for columns in across if first else ():
        xs = pixels(columns, grid, 1)
        carried[:, :, xs] = image[:, begin - reach : begin, xs].compute()
    units, right = list(product(downs, across)), None
    with ThreadPoolExecutor(1, "glacierlab-reader") as reader:
        coming = deque([reader.submit(read, image, grid, *units[0])])
        for number, (rows, columns) in enumerate(units, 1):
            coming.extend(reader.submit(read, image, grid, *unit) for unit in units[number : number + 1])
            own, xs = coming.popleft().result(), pixels(columns, grid, 1)
            top, left = (reach if each.start else 0 for each in (rows, columns))
            frame = np.empty((len(own), top + own.shape[1], left + own.shape[2]), np.float32)
            frame[:, top:, left:] = own
            frame[:, :top, left:] = carried[:, :top, xs]
            if left:
                frame[:, :, :left] = right
            if columns.stop < grid.counts[1]:
                right = np.array(frame[:, :, frame.shape[2] - reach :])
            if rows.stop < grid.counts[0]:
                carried[:, :, xs] = frame[:, frame.shape[1] - reach :, left:]
            del own  # while blocks of it run
            yield rows, columns, frame


def pixels(numbers, grid, axis):
    """The pixels of a range of blocks along an axis."""
    return slice(grid.slice(axis)(numbers[0]).start, grid.slice(axis)(numbers[-1]).stop)


def read(image, grid, rows, columns):
    """The image of a unit, (C, y, x)."""
    return image[:, pixels(rows, grid, 0), pixels(columns, grid, 1)].compute()


def unit_of(image, grid, channels, memory):
    """Rows and columns of blocks that are read at a time: the source's chunks, or what memory holds."""
    chunks = [max(sizes) for sizes in image.chunks[1:]]
    sides = [min(-(-chunk // grid.block), count) for chunk, count in zip(chunks, grid.counts, strict=True)]
    asked = list(sides)
    while working_set(sides, image, grid, channels) > memory and max(sides) > 1:
        longer = sides.index(max(sides))
        sides[longer] = -(-sides[longer] // 2)
    least = working_set(sides, image, grid, channels)
    if least > memory:
        raise GlacierlabError(
            f"max_memory={memory / 1e6:.0f} MB is too little around the model for this scene of "
            f"{len(image)} features and {grid.shape[1]} columns: give {math.ceil(least / 1e6)} MB or more."
        )
    if sides != asked:
        warnings.warn(
            f"Chunks of {chunks[0]} x {chunks[1]} pixels are more than max_memory={memory / 1e6:.0f} MB "
            "holds, and are read several times over: open the scene in smaller chunks, or allow more.",
            DataWarning,
            stacklevel=2,
        )
    return sides


def working_set(sides, image, grid, channels):
    """Bytes of all arrays around the model, for units of so many blocks: about, and rather more."""
    unit = np.prod([min(side * grid.block, length) for side, length in zip(sides, grid.shape, strict=True)])
    frame = np.prod([side * grid.block + grid.reach for side in sides])
    images = 2 * unit + 2 * frame + grid.reach * grid.shape[1]  # read, coming; in use, in the model; carried
    sums = grid.block * (grid.shape[1] + sides[0] * grid.block)  # that wait for the next row and column
    sums += 2 * (AHEAD + 2) * (grid.block + grid.reach) ** 2  # in the model, and on their way out
    return 4 * (len(image) * int(images) + channels * sums)
