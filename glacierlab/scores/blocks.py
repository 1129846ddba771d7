"""Two class maps, block by block: confusion counts, and the pixels where classes end."""

from itertools import product

import numpy as np

from ..errors import UnknownNameError
from ..tables import NOT_OBSERVED

UNNAMED = 254  # marks codes that a map does not name
BLOCK = 2048  # pixels a side of a block of an array that is in memory
KEY_BITS = 27  # of a row, and of a column, in the key of a border pixel; above them is its class


def pair_of(prediction, reference, region, tables):
    """Prediction and reference as places of classes, a dask array (side, y, x) uint8."""
    import dask.array as da

    operands = []
    for raster in (prediction, reference, region):
        if raster is not None:
            lazy = raster.data if raster.chunks else da.from_array(raster.data, chunks=BLOCK, name=False)
            operands += [lazy, "yx"]
    meta = np.empty((0, 0, 0), np.uint8)
    return da.blockwise(recode, "syx", *operands, new_axes={"s": 2}, meta=meta, dtype="uint8", tables=tables)


def tally(pair, size, boundary):
    """Confusion matrix (size, size) of a pair; for each class, border pixels (n, 2) of both sides."""
    import dask
    from dask.array.overlap import overlap

    count, find = dask.delayed(confusion), dask.delayed(border_keys)
    # each block sees one pixel of its neighbors, and background beyond the image
    blocks = overlap(pair, {0: 0, 1: 1, 2: 1}, {0: "none", 1: 0, 2: 0}).to_delayed().ravel()
    corners = product(*(np.cumsum((0, *sizes[:-1])) for sizes in pair.chunks[1:]))
    places = zip(blocks, corners, strict=True)
    jobs = [(count(block, size), find(block, corner) if boundary else None) for block, corner in places]
    matrices, borders = zip(*dask.compute(*jobs), strict=True)
    if not boundary:
        return sum(matrices), []
    sides = [np.sort(np.concatenate(side)) for side in zip(*borders, strict=True)]  # whatever the chunks
    return sum(matrices), [[border_pixels(side, k) for side in sides] for k in range(1, size)]


def recode(prediction, reference, region=None, *, tables):
    """Class codes of both sides (y, x) as places (2, y, x) uint8; NOT_OBSERVED where either side is."""
    pair = np.stack([look_up(prediction, tables[0]), look_up(reference, tables[1])])
    hidden = (pair[0] == NOT_OBSERVED) | (pair[1] == NOT_OBSERVED)
    if region is not None:
        hidden |= np.asarray(region) != 1
    pair |= hidden.view(np.uint8) * np.uint8(NOT_OBSERVED)  # all bits
    return pair


def look_up(values, table):
    """Rows of a table (256,) uint8 for class codes of any type; NaN is NOT_OBSERVED."""
    if values.dtype == bool:
        values = values.view(np.uint8)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), NOT_OBSERVED, values)
    with np.errstate(invalid="ignore"):  # infinities fail below
        codes = values.astype(np.uint8, copy=False)
    highest = codes.max(initial=0)
    if codes is values and highest < UNNAMED and (table[: highest + 1] == np.arange(highest + 1)).all():
        return codes
    found = table[codes]
    if (bad := (codes != values) | (found == UNNAMED)).any():
        raise UnknownNameError(
            f"A map holds {np.unique(values[bad])[:5].tolist()}, codes of no class: give it flag_values and "
            "flag_meanings, or classes={name: code}, or threshold it first."
        )
    return found


def confusion(pair, size):
    """Confusion matrix (predicted, actual) of the observed pixels of a block (2, y + 2, x + 2) in a rim."""
    predicted, actual = pair[:, 1:-1, 1:-1]
    places = range(size)
    return np.array([[np.count_nonzero((predicted == p) & (actual == a)) for a in places] for p in places])


def border_keys(pair, corner):
    """Keys (n,) int64 of the border pixels of both sides of a block (2, y + 2, x + 2): class, row, column."""
    sides = []
    for side in pair:
        inner = side[1:-1, 1:-1]
        across, down = side[1:-1, 1:] != side[1:-1, :-1], side[1:, 1:-1] != side[:-1, 1:-1]
        ends = across[:, 1:] | across[:, :-1]
        ends |= down[1:]
        ends |= down[:-1]
        ends &= inner != 0
        rows, columns = np.divmod(np.flatnonzero(ends), inner.shape[1])
        kinds = inner[rows, columns].astype("int64")
        if (side == NOT_OBSERVED).any():  # makes no border, and is none
            around = [side[rows + y, columns + x] for y, x in ((0, 1), (2, 1), (1, 0), (1, 2))]
            seen = np.logical_or.reduce([(n != kinds) & (n != NOT_OBSERVED) for n in around])
            seen &= kinds != NOT_OBSERVED
            rows, columns, kinds = rows[seen], columns[seen], kinds[seen]
        sides.append((kinds << 2 * KEY_BITS) + ((rows + corner[0]) << KEY_BITS) + columns + corner[1])
    return sides


def border_pixels(keys, k):
    """Rows and columns (n, 2) int64 of one class, from the sorted keys of all border pixels."""
    first, last = np.searchsorted(keys, np.array([k, k + 1]) << 2 * KEY_BITS)
    keys = keys[first:last]
    return np.stack([keys >> KEY_BITS, keys], axis=1) & ((1 << KEY_BITS) - 1)
