"""Moments of the pixels of a stack, and sums of its layers by weights, run of pixels by run."""

import numpy as np

from . import compiled

# A run is LANES columns of 8 pixels. Each column has its own sums, which the processor adds side by side: the
# order of all additions is fixed without fast-math, and each sum is short.
LANES = 32
RUN = 8 * LANES
ZERO, NAN = np.float32(0), np.float32(np.nan)


@compiled
def find_holes(pixels, start, stop, holes):
    """How many pixels from start to stop are finite in all layers; `holes` (RUN) is 0 there, else NaN."""
    size = stop - start
    holes[:size], holes[size:] = ZERO, NAN
    for i in range(len(pixels)):
        row = pixels[i, start:stop]
        for p in range(size):
            holes[p] += ZERO * row[p]
    seen = 0
    for p in range(RUN):
        seen += 1 if holes[p] == ZERO else 0
    return seen


@compiled
def center(row, shift, holes, away):
    """A row's distances from `shift`, into `away` (RUN) float64; 0 in the holes."""
    for p in range(len(row)):
        step = row[p] - shift
        away[p] = step if holes[p] == ZERO else 0.0
    away[len(row) :] = 0.0


@compiled
def add_run(away, i, sums, products):
    """Add layer i of a run (n, 8, LANES) to the sums of its columns, and its products with layers 0 to i."""
    a, total = away[i], sums[i]
    for x in range(LANES):
        total[x] += (a[0, x] + a[1, x] + a[2, x] + a[3, x]) + (a[4, x] + a[5, x] + a[6, x] + a[7, x])
    for j in range(i + 1):
        b, total = away[j], products[i, j]
        for x in range(LANES):
            upper = a[0, x] * b[0, x] + a[1, x] * b[1, x] + a[2, x] * b[2, x] + a[3, x] * b[3, x]
            lower = a[4, x] * b[4, x] + a[5, x] * b[5, x] + a[6, x] * b[6, x] + a[7, x] * b[7, x]
            total[x] += upper + lower


@compiled
def moments(pixels, start, stop):
    """Count, mean (n,) and scatter (n, n) float64 of the pixels (n, :) from start to stop, holes left out.

    The scatter is the sum of products of the distances from the mean. Sums are taken about the first pixel
    seen, so that means far from 0 cost no digits.
    """
    n, count = len(pixels), 0
    shift, holes, away = np.zeros(n), np.empty(RUN, np.float32), np.empty((n, RUN))
    columns = away.reshape(n, 8, LANES)
    sums, products = np.zeros((n, LANES)), np.zeros((n, n, LANES))
    for s in range(start, stop, RUN):
        e = min(s + RUN, stop)
        seen = find_holes(pixels, s, e, holes)
        if not seen:
            continue
        if not count:
            first = s + np.argmax(holes == ZERO)
            for i in range(n):
                shift[i] = pixels[i, first]
        count += seen
        for i in range(n):
            center(pixels[i, s:e], shift[i], holes, away[i])
            add_run(columns, i, sums, products)
    mean, scatter = np.zeros(n), np.zeros((n, n))
    for i in range(n if count else 0):
        mean[i] = sums[i].sum() / count
        for j in range(i + 1):
            scatter[i, j] = products[i, j].sum() - count * mean[i] * mean[j]
            scatter[j, i] = scatter[i, j]
    return count, shift + mean, scatter


@compiled
def project(pixels, start, weights, shift, out):
    """Sums by weights (k, n) of the pixels (n, :) from `start` on, plus a shift (k,), into `out` (k, :).

    Added up layer by layer in the precision of the weights.
    """
    k, n = weights.shape
    sums = np.empty(RUN, weights.dtype)
    for s in range(0, out.shape[1], RUN):
        e = min(s + RUN, out.shape[1])
        total = sums[: e - s]
        for c in range(k):
            total[:] = shift[c]
            for i in range(n):
                row, weight = pixels[i, start + s : start + e], weights[c, i]
                for p in range(len(total)):
                    total[p] += weight * row[p]
            out[c, s:e] = total
