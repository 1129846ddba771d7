"""Statistics of pixel pairs on the processor: the sums that compiled loops take, and the tables they read."""

from functools import lru_cache

import numba
import numpy as np

from ._kernels import histograms as h
from ._kernels import texture as t
from .haralick import FEATURES, needs

MOST, FEWEST = 32, 20  # binary places of c ln c: at most, and so few that squares fit into the same integer


where = np.where


def tile_shape(cols, count):
    """Pixels (rows, cols) at a time: they stay in the processor's cache."""
    return 64, min(cols, 512)


def load(levels, device):
    """A block of levels as the compiled loops take it."""
    return np.ascontiguousarray(levels)


def unload(values):
    """Values as NumPy has them."""
    return values


@lru_cache
def formula(name):
    """A feature's formula as a NumPy ufunc of float64, and the names of what it takes."""
    names = needs(FEATURES[name])
    kinds = f"float64({', '.join('float64' for _ in names)})"
    return numba.vectorize([kinds], cache=True)(FEATURES[name]), names


def statistics(levels, offsets, count):
    """Statistics of `haralick` by name, each (rows, cols), of the pairs of all offsets together.

    `levels` (y, x) int16 has a margin; `offsets` (offset, 2); `count` is a `Counting`.
    """
    shape = tuple(size - 2 * count.margin for size in levels.shape)
    asked = ["pairs", *(name for name in t.SUMS[1:] if name in count.needs)]
    kinds = np.array([t.SUMS.index(name) for name in asked])
    sums = np.empty((len(asked), *shape))
    t.pair_sums(levels, count.window, count.reach, offsets, kinds, reciprocals(count.levels), sums)
    found = dict(zip(asked, sums, strict=True))

    place = (count.levels, levels, count.window, count.reach, offsets)
    pairs, most = sums[0], count.most_pairs(offsets)
    cell, ways = (h.PAIR, 2) if count.symmetric else (h.ORDERED_PAIR, 1)
    if "peak" in count.needs:
        found["peak"] = np.empty(shape, np.int64)
        empty = empty_histogram(cell, count.levels, most)
        h.histogram_peaks(np.array([cell]), *place, empty, cell_weights(most), found["peak"])
    if count.needs & {"squares", "entropy"}:
        found["squares"], found["entropy"] = cell_sums(place, (cell,), pairs, most, ways)
    histograms = {"total_entropy": (h.TOTAL,), "step_entropy": (h.STEP,), "second_entropy": (h.SECOND,),
                  "first_entropy": (h.FIRST, h.SECOND)[:ways]}  # fmt: skip
    for name in histograms.keys() & count.needs:
        kinds = histograms[name]
        found[name] = cell_sums(place, kinds, pairs * len(kinds), most * len(kinds), 1)[1]
    return found


def cell_sums(place, kinds, pairs, most, ways):
    """Sum of squares, and entropy [nat] times counts, (rows, cols) float64, of each window's histogram.

    In a whole window it counts `most` pairs, `ways` times each.
    """
    bits = ((ways * most) ** 2).bit_length()
    places = min(MOST, 62 - bits - int(ways * most * np.log(ways * most) + 1).bit_length())
    found = np.empty((2, *pairs.shape))
    if places >= FEWEST:  # one integer holds both sums
        total = histogram_sums(place, kinds, pairs.shape, most, ways, places, bits)
        h.split(total, pairs, ways, cell_values(ways * most, places, bits), bits, places, *found)
    else:
        found[0] = histogram_sums(place, kinds, pairs.shape, most, ways, None, bits)
        logs = histogram_sums(place, kinds, pairs.shape, most, ways, MOST, 0)
        found[1] = (cell_values(ways * most, MOST, 0)[ways * pairs.astype(np.int64)] - logs) / 2.0**MOST
    return found


def histogram_sums(place, kinds, shape, most, ways, places, bits):
    """Sums (rows, cols) int64 of `cell_values` over the bins of each window's histogram."""
    sums = np.empty(shape, np.int64)
    empty = empty_histogram(kinds[0], place[0], most)
    h.histogram_sums(np.array(kinds), *place, empty, sum_gains(most, ways, places, bits), sums)
    return sums


# ---- tables ----


@lru_cache(maxsize=16)
def reciprocals(levels):
    """1 / (1 + d²) and 1 / (1 + d), (2, levels) int64 in fixed point."""
    d = np.arange(levels)
    return np.round(t.ONE / np.stack([1 + d * d, 1 + d])).astype(np.int64)


@lru_cache(maxsize=64)
def cell_values(most, places, bits):
    """c ln c (with so many binary places) above c² (in so many bits) of counts c to `most`, int64."""
    c = np.arange(most + 1)
    squares = c * c if bits else 0 * c
    if places is None:
        return squares
    return (np.round(2.0**places * c * np.log(np.maximum(c, 1))).astype(np.int64) << bits) + squares


@lru_cache(maxsize=64)
def sum_gains(most, ways, places, bits):
    """What one more pair adds to the sum of `cell_values`, by what its bin holds (`empty_histogram`).

    Both ways round (`ways` 2), a pair counts in two cells, or twice in a cell of the diagonal.
    """
    values = cell_values(2 * most + 2, places, bits)
    c = np.arange(most + 1)
    aside, diagonal = ways * (values[c + 1] - values[c]), values[2 * c + 2] - values[2 * c]
    return np.concatenate([aside, diagonal, 0 * c])


@lru_cache(maxsize=16)
def cell_weights(most):
    """How many pairs a cell of the matrix counts, by what its bin holds."""
    c = np.arange(most + 1)
    return np.concatenate([c, 2 * c, 0 * c])


@lru_cache(maxsize=64)
def empty_histogram(kind, levels, most):
    """What bins hold before any pair: where their part of a table of gains begins.

    The first part is for ordinary bins, the second for the diagonal of a symmetric matrix, the third for the
    last bin, which takes the pairs that miss a pixel.
    """
    part = most + 1
    empty = np.zeros(h.bins(kind, levels) + 1, np.uint16 if 3 * part <= 2**16 else np.uint32)
    if kind == h.PAIR:
        level = np.arange(levels)
        empty[level * (level + 1) // 2 + level] = part
    empty[-1] = 2 * part
    return empty
