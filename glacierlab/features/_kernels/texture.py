"""Statistics of pixel pairs in sliding windows, from which every GLCM feature follows.

All are sums of integers (logarithms and reciprocals in fixed point), so that a pixel's result depends on its
window alone, never on the block it was computed in.
"""

import numpy as np

from . import compiled

SUMS = ("pairs", "sum_", "sum2", "sum3", "sum4", "diff", "diff2", "skew", "skew2", "near2", "near")
PAIRS, SUM, SUM2, SUM3, SUM4, DIFF, DIFF2, SKEW, SKEW2, NEAR2, NEAR = range(len(SUMS))
MISSING = -1  # the level of a pixel that is not observed or not there
ONE = 2**40  # in fixed point


@compiled
def extent(window, reach, step):
    """First and last place of the pixels, `step` before their partners, that make the pairs of a window.

    Counted from the margin's rim. Without a `reach` partners lie in the window; with one, the margin has room
    for all of them.
    """
    if reach:
        return reach, reach + window - 1
    return max(0, -step), window - 1 - max(0, step)


@compiled
def pair_row(levels, y, x, dy, dx, total, step, seen):
    """i + j, i - j and 1 of the pairs (pixels) whose first pixels lie along a row from (y, x); missing: 0."""
    first, second = levels[y, x:], levels[y + dy, x + dx :]
    for k in range(len(seen)):
        i, j = np.int32(first[k]), np.int32(second[k])
        both = (i >= 0) & (j >= 0)
        total[k] = i + j if both else 0
        step[k] = i - j if both else 0
        seen[k] = both


@compiled
def slide_down(kind, enters, leaves, inverse, column):
    """Sums (pixels) of one kind of term over the rows of a window, one row on."""
    s, t, one = enters
    s0, t0, one0 = leaves
    if kind == PAIRS:
        for k in range(len(column)):
            column[k] += one[k] - one0[k]
    elif kind == SUM:
        for k in range(len(column)):
            column[k] += s[k] - s0[k]
    elif kind == SUM2:
        for k in range(len(column)):
            column[k] += s[k] * s[k] - s0[k] * s0[k]
    elif kind == SUM3:
        for k in range(len(column)):
            column[k] += s[k] * s[k] * s[k] - s0[k] * s0[k] * s0[k]
    elif kind == SUM4:
        for k in range(len(column)):
            square, square0 = np.int64(s[k] * s[k]), np.int64(s0[k] * s0[k])
            column[k] += square * square - square0 * square0
    elif kind == DIFF:
        for k in range(len(column)):
            column[k] += abs(t[k]) - abs(t0[k])
    elif kind == DIFF2:
        for k in range(len(column)):
            column[k] += t[k] * t[k] - t0[k] * t0[k]
    elif kind == SKEW:
        for k in range(len(column)):
            column[k] += t[k] - t0[k]
    elif kind == SKEW2:
        for k in range(len(column)):
            column[k] += s[k] * t[k] - s0[k] * t0[k]
    else:
        for k in range(len(column)):
            column[k] += one[k] * inverse[abs(t[k])] - one0[k] * inverse[abs(t0[k])]


@compiled
def slide_along(column, span, scale, out):
    """Add to `out` (pixels) the sums of `span` neighbors in a column sum, times a power of two."""
    run = np.int64(0)
    for k in range(span - 1):
        run += column[k]
    for x in range(len(out)):
        run += column[x + span - 1]
        out[x] += run * scale
        run -= column[x]


@compiled
def pair_sums(levels, window, reach, offsets, kinds, inverses, out):
    """Sums (kind, y, x) float64 over all pairs of windows, of the kinds asked.

    `levels` int16 has a margin all round: half a window, and `reach` if partners may lie outside; `offsets`
    (offset, 2) lead from a pair's first pixel to its second; `inverses` (2, levels) are 1 / (1 + d²) and
    1 / (1 + d) in fixed point.
    """
    rows, cols = out.shape[1:]
    out[:] = 0
    for dy, dx in offsets:
        above, below = extent(window, reach, dy)
        before, after = extent(window, reach, dx)
        span = after - before + 1
        columns = np.zeros((len(kinds), cols + span - 1), np.int64)
        work = np.zeros((2, 3, cols + span - 1), np.int32)
        s, t, one, s0, t0, one0 = work[0, 0], work[0, 1], work[0, 2], work[1, 0], work[1, 1], work[1, 2]
        for y in range(above - below, rows):
            pair_row(levels, y + below, before, dy, dx, s, t, one)
            if y > 0:
                pair_row(levels, y + above - 1, before, dy, dx, s0, t0, one0)
            for k, kind in enumerate(kinds):
                inverse = inverses[0 if kind == NEAR2 else 1]
                slide_down(kind, (s, t, one), (s0, t0, one0), inverse, columns[k])
                if y >= 0:
                    slide_along(columns[k], span, 1 / ONE if kind >= NEAR2 else 1.0, out[k, y])


@compiled
def to_levels(values, low, high, count, edges, levels):
    """Gray levels (y, x) int16 of values, into `levels`: MISSING where not finite.

    `count` steps of equal width from low to high, or, if there are any, between inner `edges`: each is the
    lowest value of its level.
    """
    scale = count / (high - low)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value = np.float64(values[y, x])
            if not np.isfinite(value):
                levels[y, x] = MISSING
            elif len(edges):
                levels[y, x] = np.searchsorted(edges, value, side="right")
            else:
                step = np.floor((value - low) * scale)
                levels[y, x] = min(max(step, 0.0), count - 1.0)
