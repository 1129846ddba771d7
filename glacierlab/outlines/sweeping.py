"""A class map to arcs: from top to bottom, a few rows at a time."""

import numpy as np

from ._kernels import tracing
from .arcs import Arcs, arrange

START = 1 << 12  # labels and corners there is room for at first


class Sweep:
    """A class map taken in from top to bottom, some rows at a time; keeps the last of them, and borders."""

    def __init__(self, width, grid, step):
        self.grid, self.step, self.row = grid, step, 0
        self.free, self.known = 1, 0  # label 0 is background
        self.above, self.labels = np.zeros(width + 2, np.uint8), np.zeros(width + 2, np.int32)
        self.open_at = np.full(width + 2, -1, np.int32)
        self.parents = np.zeros(START, np.int32)
        self.sizes, self.runs = np.zeros((START, 3)), np.zeros((START, 3), np.int32)
        self.corners = np.zeros((START, 9), np.int32)

    def add(self, codes):
        """Take in the next rows (y, x) uint8; 0 is background."""
        codes = np.pad(codes, ((0, 0), (1, 1)))
        corners, labels = tracing.count(codes, self.above)
        self.corners = with_room(self.corners, self.known + corners)
        self.parents, self.sizes, self.runs = (
            with_room(each, self.free + labels) for each in (self.parents, self.sizes, self.runs)
        )
        self.free, self.known = tracing.sweep(
            codes, self.above, self.row, self.grid, self.step, self.parents, self.sizes, self.runs,
            self.free, self.corners, self.known, self.open_at, self.labels,
        )  # fmt: skip
        self.above, self.row = codes[-1].copy(), self.row + len(codes)

    def finish(self):
        """`Arcs` in pixels (x to the right, y down), and by row: code, pixels, area, longest run.

        Rows are what hangs together over eight neighbors, polygons over four.
        """
        self.add(np.zeros((1, len(self.above) - 2), np.uint8))
        corners, parents = self.corners[: self.known], self.parents[: self.free]
        faces = tracing.flat(parents)
        parts = tracing.joined_at_corners(corners, faces, self.sizes)
        arcs, path, offsets = traced(corners)
        starts, ends, loop = ends_of(path, offsets, corners)
        sides = np.stack([faces[arcs[:, 3]], faces[arcs[:, 4]]], axis=1).ravel()
        nexts = np.empty(len(sides), np.int32)
        exits = np.empty((max(starts.max(initial=-1), ends.max(initial=-1)) + 1, 4), np.int32)
        tracing.follow(arcs, starts, ends, sides, exits, nexts)
        half_arcs, rings = np.empty(len(sides), np.int32), np.zeros(len(sides) + 1, np.int64)
        count = tracing.rings(nexts, sides, half_arcs, rings)
        rings = rings[: count + 1]
        half_arcs = half_arcs[: rings[-1]]
        points = corners[path][:, 1::-1].astype(float)
        face = sides[half_arcs[rings[:-1]]]
        row = parts[face]
        arranged = arrange(Arcs(points, offsets, loop, half_arcs, rings, rings, rings), row, face)
        return arranged, tracing.gathered(parts, self.sizes, self.runs, np.unique(row))


def with_room(array, length):
    """The array, or a larger one that begins like it, for `length` items."""
    if length <= len(array):
        return array
    larger = np.zeros((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def traced(corners):
    """Arcs between corners: table (arc, 5) of `tracing.trace`, path of corners, and offsets in it."""
    degree = np.bitwise_count(corners[:, 2].astype(np.uint8)).astype(np.int64)
    ends = int(degree[degree > 2].sum())
    arcs = np.empty((ends // 2 + len(corners) // 4 + 1, 5), np.int32)
    path = np.empty(len(corners) + len(corners) // 4 + ends + 1, np.int32)
    found, length = tracing.trace(corners, path, arcs, np.zeros(len(corners), np.uint8))
    return arcs[:found], path[:length], np.r_[arcs[:found, 0], length].astype(np.int64)


def ends_of(path, offsets, corners):
    """Numbers of the places where arcs begin and end, from 0; -1 for loops; and which arcs are loops."""
    starts, ends = path[offsets[:-1]], path[offsets[1:] - 1]
    degree = np.bitwise_count(corners[:, 2].astype(np.uint8))
    number = np.cumsum(degree > 2, dtype=np.int32) - 1
    loop = degree[starts] == 2
    return np.where(loop, -1, number[starts]), np.where(loop, -1, number[ends]), loop
