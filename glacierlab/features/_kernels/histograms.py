"""Histograms of pixel pairs in sliding windows: what depends on how often each pair occurs.

A window that moves on by a pixel loses one column of pairs and gains one. A sum over bins of some function of
their counts is kept up to date through a table of what one more count adds to it.
"""

import numpy as np

from . import compiled
from .texture import extent

PAIR, ORDERED_PAIR, TOTAL, STEP, FIRST, SECOND = range(6)  # what a bin stands for
ONE = np.uint64(1)  # an index known to be unsigned needs no check for counting from the end


def bins(kind, levels):
    """How many bins there are, beside the last, which takes the pairs that miss a pixel."""
    sizes = {PAIR: levels * (levels + 1) // 2, ORDERED_PAIR: levels**2, TOTAL: 2 * levels - 1}
    return sizes.get(kind, levels)


@compiled
def code(kind, levels, i, j):
    """The bin of a pair of levels."""
    if kind == PAIR:
        high = max(i, j)
        return high * (high + 1) // 2 + min(i, j)
    if kind == ORDERED_PAIR:
        return i * levels + j
    if kind == TOTAL:
        return i + j
    if kind == STEP:
        return abs(i - j)
    return i if kind == FIRST else j


@compiled
def pair_codes(kind, count, levels, y, x, dy, dx, missing, codes):
    """Bins (x, y) of the pairs whose first pixels lie in a rectangle from (y, x): a column is contiguous."""
    cols, rows = codes.shape
    for row in range(rows):
        first, second = levels[y + row, x:], levels[y + row + dy, x + dx :]
        for col in range(cols):
            i, j = np.int64(first[col]), np.int64(second[col])
            codes[col, row] = missing if i < 0 or j < 0 else code(kind, count, i, j)


@compiled
def codes_of_tile(kinds, count, levels, window, reach, offsets, missing, shape):
    """Bins (member, x, y) of pairs, and how many a window has (high, wide), for every offset and kind.

    The members' pairs count in one histogram.
    """
    rows, cols = shape
    members = len(offsets) * len(kinds)
    codes = np.empty((members, cols + window - 1, rows + window - 1), np.uint32)
    spans = np.empty((members, 2), np.int64)
    member = 0
    for dy, dx in offsets:
        above, below = extent(window, reach, dy)
        before, after = extent(window, reach, dx)
        for kind in kinds:
            spans[member] = below - above + 1, after - before + 1
            part = codes[member, : cols + after - before, : rows + below - above]
            pair_codes(kind, count, levels, above, before, dy, dx, missing, part)
            member += 1
    return codes, spans


@compiled
def enter(column, histogram, gains):
    """Count pairs; how much the sum grows."""
    gain = np.int64(0)
    for k in range(len(column)):
        count = histogram[column[k]]
        gain += gains[count]
        histogram[column[k]] = count + ONE
    return gain


@compiled
def leave(column, histogram, gains):
    """Discount pairs; how much the sum shrinks."""
    loss = np.int64(0)
    for k in range(len(column)):
        count = histogram[column[k]] - ONE
        loss += gains[count]
        histogram[column[k]] = count
    return loss


@compiled
def histogram_sums(kinds, count, levels, window, reach, offsets, empty, gains, out):
    """Sums (y, x) int64 over the bins of each window's histogram.

    `gains` says what one more pair adds to the sum, by what the bin holds; `empty` (bin) is what bins hold at
    first: those that count by another rule begin in another part of `gains`.
    """
    missing = len(empty) - 1
    codes, spans = codes_of_tile(kinds, count, levels, window, reach, offsets, missing, out.shape)
    histogram = empty.copy()
    rows, cols = out.shape
    for y in range(rows):
        total = np.int64(0)
        for m in range(len(codes)):
            high, wide = spans[m]
            for x in range(wide - 1):
                total += enter(codes[m, x, y : y + high], histogram, gains)
        for x in range(cols):
            for m in range(len(codes)):
                high, wide = spans[m]
                total += enter(codes[m, x + wide - 1, y : y + high], histogram, gains)
            out[y, x] = total
            for m in range(len(codes)):
                high, wide = spans[m]
                total -= leave(codes[m, x, y : y + high], histogram, gains)
        for m in range(len(codes)):  # the window leaves the row, and the histogram is empty again
            high, wide = spans[m]
            for x in range(cols, cols + wide - 1):
                leave(codes[m, x, y : y + high], histogram, gains)


@compiled
def move(column, step, histogram, weights, bins_of):
    """Count (step 1) or discount (-1) pairs, and how many bins have each weight; the heaviest touched."""
    heaviest = np.int64(0)
    for k in range(len(column)):
        before = np.int64(histogram[column[k]])
        after = before + step
        histogram[column[k]] = after
        bins_of[weights[before]] -= 1
        bins_of[weights[after]] += 1
        heaviest = max(heaviest, weights[after])
    return heaviest


@compiled
def histogram_peaks(kinds, count, levels, window, reach, offsets, empty, weights, out):
    """Weight (y, x) int64 of the heaviest bin of each window's histogram; `weights` by what a bin holds."""
    missing = len(empty) - 1
    codes, spans = codes_of_tile(kinds, count, levels, window, reach, offsets, missing, out.shape)
    histogram = empty.copy()
    bins_of = np.zeros(weights.max() + 1, np.int64)
    rows, cols = out.shape
    for y in range(rows):
        peak = np.int64(0)
        for x in range(1 - window, cols):
            for m in range(len(codes)):
                high, wide = spans[m]
                if x + wide > 0:
                    peak = max(
                        peak, move(codes[m, x + wide - 1, y : y + high], 1, histogram, weights, bins_of)
                    )
            if x < 0:
                continue
            out[y, x] = peak
            for m in range(len(codes)):
                high, wide = spans[m]
                move(codes[m, x, y : y + high], -1, histogram, weights, bins_of)
            while peak > 0 and bins_of[peak] == 0:
                peak -= 1
        for m in range(len(codes)):
            high, wide = spans[m]
            for x in range(cols, cols + wide - 1):
                move(codes[m, x, y : y + high], -1, histogram, weights, bins_of)


@compiled
def split(sums, pairs, ways, values, bits, places, squares, entropies):
    """Sums (y, x) of squares and of c ln c, kept in one integer, as such and as entropy [nat] times counts.

    `values` is c ln c, in fixed point with so many binary `places`, in the upper `bits`, by how many c count.
    """
    low, unit = (1 << bits) - 1, 0.5**places
    for y in range(sums.shape[0]):
        for x in range(sums.shape[1]):
            both = sums[y, x]
            squares[y, x] = both & low
            entropies[y, x] = ((values[np.int64(pairs[y, x]) * ways] >> bits) - (both >> bits)) * unit
