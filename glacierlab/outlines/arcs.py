"""Outlines as arcs: what two neighbors share is there once, and may be moved without a gap or an overlap."""

from dataclasses import dataclass, replace

import numpy as np
import shapely

from ..errors import InventoryError
from ._kernels import assembling, crossing

SAME = 1e-4  # pixels between vertices that are one
TOUCHING = 1e-3  # pixels between a vertex and an edge on which it lies
SQUARE = 2.0  # pixels, in which segments are compared


@dataclass(frozen=True)
class Arcs:
    """Polygons made of arcs: ragged arrays, each level with its offsets (one more than it has items).

    A half-arc is 2 * arc, or 2 * arc + 1 where a ring takes the arc backward. An arc that is a `loop` meets
    no other; the ends of all others are places where three or more outlines meet.
    """

    points: np.ndarray  # (point, 2) float64: x, y
    offsets: np.ndarray  # of arcs in points
    loop: np.ndarray  # (arc,) bool
    half_arcs: np.ndarray
    rings: np.ndarray  # offsets in half_arcs
    polygons: np.ndarray  # offsets in rings; a shell comes before its holes
    rows: np.ndarray  # offsets in polygons

    def __len__(self):
        return len(self.offsets) - 1

    def along(self, points, offsets):
        """The same outlines along other paths."""
        return replace(self, points=points, offsets=offsets)

    def taken(self, which):
        """Some of the arcs (arc,) bool, for their paths alone."""
        counts = np.diff(self.offsets)
        offsets = np.r_[0, np.cumsum(counts[which])]
        return replace(
            self, points=self.points[np.repeat(which, counts)], offsets=offsets, loop=self.loop[which]
        )

    def geometries(self):
        """A polygon, or where there are several a multipolygon, for each row: array of shapely objects."""
        if not len(self):
            return np.empty(0, object)
        arc_of = self.half_arcs // 2
        steps = np.r_[0, np.cumsum(np.diff(self.offsets)[arc_of] - 1)]
        offsets = np.zeros(len(self.rings), np.int64)
        points = np.empty((steps[-1] + len(self.rings) - 1, 2))
        assembling.ring_points(self.points, self.offsets, self.half_arcs, self.rings, points, offsets)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (offsets, self.polygons))
        counts = np.diff(self.rows)
        found, row = polygons[self.rows[:-1]], np.repeat(np.arange(len(counts)), counts)
        parts = counts[row] > 1
        if parts.any():
            shapely.multipolygons(polygons[parts], indices=row[parts], out=found)
        return found

    def rows_of(self, arcs):
        """Which rows have one of the arcs that a mask (arc,) marks: (row,) bool."""
        each = arcs[self.half_arcs // 2]
        first = self.rings[self.polygons[self.rows[:-1]]]
        return np.logical_or.reduceat(each, first) if len(each) else np.zeros(0, bool)

    def of_rows(self, rows):
        """Which arcs belong to one of the rows that a mask (row,) marks: (arc,) bool."""
        counts = np.diff(self.rings[self.polygons[self.rows]])
        found = np.zeros(len(self), bool)
        found[self.half_arcs[np.repeat(rows, counts)] // 2] = True
        return found


def arrange(arcs, row, face):
    """Rings, of known rows and polygons (ring,), put in order: by row, then polygon, each shell first."""
    each = np.empty(len(arcs))
    assembling.arc_areas(arcs.points, arcs.offsets, each)
    signed = each[arcs.half_arcs // 2] * np.where(arcs.half_arcs % 2, -1, 1)
    area = np.add.reduceat(signed, arcs.rings[:-1]) if len(signed) else signed
    order = np.lexsort((area, face, row))  # y points down: a shell, its inside on the left, is negative
    sizes = np.diff(arcs.rings)[order]
    rings = np.r_[0, np.cumsum(sizes)]
    places = np.repeat(arcs.rings[:-1][order] - rings[:-1], sizes) + np.arange(rings[-1])
    new_face = np.flatnonzero(np.diff(face[order], prepend=-1))
    new_row = np.flatnonzero(np.diff(row[order][new_face], prepend=-1))
    return replace(
        arcs,
        half_arcs=arcs.half_arcs[places],
        rings=rings,
        polygons=np.r_[new_face, len(order)],
        rows=np.r_[new_row, len(new_face)],
    )


# ---- of polygons


def arcs_of(geometries, places, fixed):
    """`Arcs` of polygons that share borders, vertex by vertex.

    Parameters
    ----------
    geometries : array of shapely polygons and multipolygons, none empty
    places : function
        Of coordinates (point, 2), to where these lie, in pixels; vertices nearer than `SAME` are one.
    fixed : function
        Of coordinates, to which of them (point,) bool must stay where they are.

    Returns
    -------
    Arcs, ndarray
        The arcs in pixels, and (point, 2) the coordinates of their points as they were given.

    Raises
    ------
    InventoryError
        A ring is too small to have three vertices.
    """
    polygons, rows = shapely.get_parts(geometries, return_index=True)
    each, polygon = shapely.get_rings(polygons, return_index=True)
    given, ring = with_touching(*shapely.get_coordinates(each, return_index=True), places)
    vertex = numbered(places(given))
    last = np.r_[ring[1:] != ring[:-1], True]  # a ring's first point again
    again = np.r_[(vertex[1:] == vertex[:-1]), False]
    given, ring, vertex = (array[~(last | again)] for array in (given, ring, vertex))
    rings = np.searchsorted(ring, np.arange(len(each) + 1))
    if (small := np.diff(rings) < 3).any():
        raise InventoryError(
            f"{small.sum()} rings are smaller than a thousandth of a pixel, the first in outline "
            f"{rows[polygon[small.argmax()]]}, counted from 0: leave them out, or see what outlines.qa says."
        )
    vertices = given[one_of_each(vertex)]
    node = nodes(vertex, rings) | fixed(vertices)
    pieces, ends = np.empty((len(vertex), 4), np.int64), np.empty((len(vertex), 2), np.int64)
    members = np.zeros(len(rings), np.int64)
    found = assembling.broken(vertex, rings, node, pieces, ends, members)
    pieces, ends = pieces[:found], ends[:found]
    _, one, arc = np.unique(ends[:, 0] * len(node) + ends[:, 1], return_index=True, return_inverse=True)
    offsets = np.r_[0, np.cumsum(pieces[one, 1] + 1)]
    path = np.empty(offsets[-1], np.int64)
    ring_of = np.repeat(np.arange(len(each)), np.diff(members))
    assembling.piece_points(vertex, rings, ring_of[one], pieces[one], offsets, path)
    given = vertices[path]
    arcs = Arcs(
        places(given),
        offsets,
        pieces[one, 3] == 1,
        2 * arc + (pieces[:, 2] == 0),
        members,
        np.searchsorted(polygon, np.arange(len(polygons) + 1)),
        np.searchsorted(rows, np.arange(len(geometries) + 1)),
    )
    return arcs, given


def with_touching(given, ring, places):
    """Coordinates of closed rings, with vertices of others put in where these lie on an edge."""
    points = places(given)
    rings = np.searchsorted(ring, np.arange(ring[-1] + 2))
    one = one_of_each(numbered(points))
    room = len(points) + 1
    found = np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64)
    count = crossing.touches(points, rings, points[one], SQUARE, TOUCHING, *found)
    while count > room:
        room = count
        found = np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64)
        count = crossing.touches(points, rings, points[one], SQUARE, TOUCHING, *found)
    segment, share, place = (array[:count] for array in found)
    order = np.lexsort((share, segment))
    segment, place = segment[order], one[place[order]]
    return np.insert(given, segment + 1, given[place], axis=0), np.insert(ring, segment + 1, ring[segment])


def numbered(points):
    """A number for each place (point, 2), the same where they agree; from the top down, then to the right."""
    x, y = np.round(points / SAME).T
    order = np.lexsort((x, -y))
    new = np.r_[True, (np.diff(x[order]) != 0) | (np.diff(y[order]) != 0)]
    number = np.empty(len(points), np.int64)
    number[order] = np.cumsum(new) - 1
    return number


def one_of_each(number):
    """The first place of each number, from 0 to the largest; all of them are there."""
    first = np.empty(number.max() + 1, np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return first


def nodes(vertex, rings):
    """Which vertices (vertex,) bool are not simply passed: other than two edges end there."""
    after = np.arange(1, len(vertex) + 1)
    after[rings[1:] - 1] = rings[:-1]
    low, high = np.minimum(vertex, vertex[after]), np.maximum(vertex, vertex[after])
    count = vertex.max() + 1
    edges = np.sort(low * count + high)
    edges = edges[np.diff(edges, prepend=-1) > 0]
    return np.bincount(np.r_[edges // count, edges % count], minlength=count) != 2
