"""Arcs made simple and smooth, each with the area beside it as it was, and none across another.

Chaikin 1974, doi:10.1016/0146-664X(74)90028-8; Douglas and Peucker 1973, doi:10.3138/FM57-6770-U75U-7727.
"""

from itertools import pairwise

import numpy as np

from ..errors import GlacierlabError
from ._kernels import crossing, curves
from .arcs import SQUARE

SHARES = np.array([1.0, 0.5, 0.25, 0.0])  # of the tolerance, one after the other where arcs would cross


def require_smoothing(rounds, tolerance=0.5):
    """GlacierlabError unless these are rounds and a tolerance [px] of smoothing."""
    if rounds not in range(9):
        raise GlacierlabError(f"{rounds} rounds of smoothing: give a whole number from 0 to 8.")
    if not 0 < tolerance <= 0.5:
        raise GlacierlabError(
            f"A tolerance of {tolerance} pixels: give more than 0 and at most half a pixel."
        )


def smoothed_arcs(arcs, rounds, tolerance, held=False):
    """`Arcs` in pixels, smoothed so that none crosses another, and which stayed as they were (arc,) bool.

    Each arc bounds the area that it did before, and so does every outline.
    """
    done = np.full(len(arcs), True) & ~np.asarray(held)
    tries, changed = np.zeros(len(arcs), np.int64), done.copy()
    points, offsets = curved(arcs, SHARES[tries], done, rounds, tolerance)
    while changed.any():
        bad = np.zeros(len(arcs), bool)
        crossing.crossings(points, offsets, changed, SQUARE, bad)
        changed = bad & done
        tries[changed] += 1
        done &= tries < len(SHARES)
        some, tried = arcs.taken(changed), done[changed]
        anew = curved(some, SHARES[np.minimum(tries[changed], len(SHARES) - 1)], tried, rounds, tolerance)
        done[changed] = tried
        points, offsets = replaced(points, offsets, changed, *anew)
    return arcs.along(points, offsets), ~done


def curved(arcs, shares, done, rounds, tolerance):
    """Points and offsets of smoothed arcs; `done` tells which to smooth, and afterwards which are."""
    weights, counts = chaikin_weights(rounds), np.diff(arcs.offsets)
    simple = np.empty((2 * len(arcs.points) + 2 * len(arcs), 2))
    simple_offsets = np.zeros(len(arcs) + 1, np.int64)
    if len(arcs):
        bounds = tolerance * shares
        curves.simplify_arcs(arcs.points, arcs.offsets, arcs.loop, bounds, simple, simple_offsets)
    room = np.maximum(np.diff(simple_offsets) * len(weights) + 2, counts)
    points, offsets = np.empty((int(room.sum()), 2)), np.zeros(len(arcs) + 1, np.int64)
    if len(arcs):
        curves.smooth_arcs(
            arcs.points, arcs.offsets, simple, simple_offsets, arcs.loop, weights, tolerance, points,
            offsets, done,
        )  # fmt: skip
    return points[: offsets[-1]], offsets


def chaikin_weights(rounds):
    """Weights (point, 3) of the corners before, at and after one, of the points that `rounds` make of it."""
    path = np.eye(3)
    for _ in range(rounds):
        cut = [(0.75 * p + 0.25 * q, 0.25 * p + 0.75 * q) for p, q in pairwise(path)]
        path = np.array([point for pair in cut for point in pair])
    beside = (len(path) - 2**rounds) // 2  # of the edges' far ends
    return path[beside : len(path) - beside]


def replaced(points, offsets, where, new_points, new_offsets):
    """Ragged arrays with the items that a mask tells replaced, in order, by those of others."""
    counts = np.diff(offsets)
    old = np.repeat(where, counts)
    counts[where] = np.diff(new_offsets)
    new = np.repeat(where, counts)
    out = np.empty((counts.sum(), 2))
    out[~new], out[new] = points[~old], new_points
    return out, np.r_[0, np.cumsum(counts)]
