"""Polygons cut along lines that they share, so that the pieces are the whole."""

from heapq import heappop, heappush

import numpy as np
import shapely
from rasterio.features import shapes
from scipy import ndimage


def divides_of(numbers, transform, tolerance):
    """The areas nearest to each number of a grid (y, x), as (polygons, their numbers); cells of 0 have none.

    They fill the grid and share their borders, simplified to about `tolerance` [cells].
    """
    _, (y, x) = ndimage.distance_transform_edt(numbers == 0, return_indices=True)
    found = [(shapely.geometry.shape(g), int(n)) for g, n in shapes(numbers[y, x], connectivity=4)]
    polygons = np.array([polygon for polygon, _ in found], dtype=object)
    # Neighbors share borders only if they share every vertex.
    polygons = shapely.transform(shapely.segmentize(polygons, 1.0), np.rint)
    if tolerance > 0:
        polygons = shapely.coverage_simplify(polygons, tolerance, simplify_boundary=False)
    to_ground = np.array(transform).reshape(3, 3)
    place = lambda at: np.column_stack([at, np.ones(len(at))]) @ to_ground[:2].T
    return shapely.transform(polygons, place), np.array([number for _, number in found])


def faces_of(polygon, lines):
    """The polygon cut along lines: faces that share their borders and together are the polygon.

    Its own vertices stay where they are; lines that end within it cut nothing.
    """
    lines = [line for line in lines if not line.is_empty]
    if not lines:
        return np.array([polygon], dtype=object)
    noded = shapely.union_all([polygon.boundary, *lines])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    inside = shapely.point_on_surface(faces)
    shapely.prepare(polygon)
    return faces[shapely.contains_xy(polygon, shapely.get_x(inside), shapely.get_y(inside))]


def numbers_at(points, polygons, numbers):
    """The number of the polygon that each point lies in, the first of several, else of the nearest one."""
    tree = shapely.STRtree(polygons)
    found = numbers[tree.nearest(points)]
    which, area = tree.query(points, predicate="intersects")
    order = np.lexsort((area, which))[::-1]  # the first comes last, and stays
    found[which[order]] = numbers[area[order]]
    return found


def joined(faces, numbers, smallest):
    """Faces of one number that hang together made one, and small ones given to a neighbor.

    A piece below `smallest` [squared units of the CRS] goes to the one with which it shares the longest
    border, if there is one; those that are not small come first, and of two small ones the smaller goes.
    Returns (polygons, their numbers).
    """
    pieces, numbers = dissolved(faces, numbers)
    if not (shapely.area(pieces) < smallest).any():
        return pieces, numbers
    return dissolved(pieces, Mosaic(pieces, numbers, smallest).numbers_without_small())


class Mosaic:
    """Pieces and the borders that they share, while small ones become part of a neighbor."""

    def __init__(self, pieces, numbers, smallest):
        self.areas, self.numbers, self.smallest = shapely.area(pieces).tolist(), numbers.tolist(), smallest
        self.part_of = list(range(len(pieces)))  # of itself, as long as it stands alone
        self.borders = [{} for _ in pieces]  # length shared with each neighbor
        self.pairs = []  # a heap of small neighbors, the longest border first; some are no more
        for one, other, length in shared_borders(pieces):
            self.meet(one, other, length)

    def numbers_without_small(self):
        """The number of each piece, once those that are small went to a neighbor, if they have one."""
        pieces = range(len(self.areas))
        grown = [piece for piece in pieces if not self.is_small(piece)]
        while grown or self.pairs:
            reached = {near for piece in grown for near in self.borders[piece] if self.is_small(near)}
            given = {piece: self.taker(piece) for piece in reached} or self.closest()
            grown = [piece for piece in self.give(given) if not self.is_small(piece)]
        return np.array([self.numbers[self.whole(piece)] for piece in pieces])

    def is_small(self, piece):
        return self.areas[piece] < self.smallest

    def taker(self, piece):
        """The number of the neighbor that is not small with the longest border."""
        borders = self.borders[piece]
        return self.numbers[max((near for near in borders if not self.is_small(near)), key=borders.get)]

    def closest(self):
        """{smaller: number of the larger} of the small neighbors with the longest border; empty without."""
        while self.pairs:
            length, *pair = heappop(self.pairs)
            if self.borders[pair[0]].get(pair[1]) == -length and self.is_small(pair[0]):
                one, other = sorted(pair, key=self.areas.__getitem__)
                return {one: self.numbers[other]}
        return {}

    def give(self, given):
        """Pieces get these numbers, and become part of neighbors that have them; what they are part of."""
        for piece, number in given.items():
            self.numbers[piece] = number
        alike = [(p, near) for p in given for near in self.borders[p] if self.numbers[near] == given[p]]
        for piece, near in alike:
            self.merge(self.whole(piece), self.whole(near))
        return {self.whole(piece) for piece in given}

    def whole(self, piece):
        """What a piece is part of."""
        while self.part_of[piece] != piece:
            self.part_of[piece] = piece = self.part_of[self.part_of[piece]]
        return piece

    def merge(self, one, other):
        """Make two neighbors one; the one with more neighbors stays."""
        if one == other:
            return
        if len(self.borders[one]) < len(self.borders[other]):
            one, other = other, one
        self.part_of[other] = one
        self.areas[one] += self.areas[other]
        moved, self.borders[other] = self.borders[other], {}
        del self.borders[one][other], moved[one]
        for near, length in moved.items():
            del self.borders[near][other]
            self.meet(one, near, length + self.borders[one].get(near, 0.0))

    def meet(self, one, other, length):
        """Note a border."""
        self.borders[one][other] = self.borders[other][one] = length
        if self.is_small(one) and self.is_small(other):
            heappush(self.pairs, (-length, one, other))


def shared_borders(polygons):
    """(one, other, length) of all that share segments, which have the same ends in both."""
    rings, owner = shapely.get_rings(polygons, return_index=True)
    at, ring = shapely.get_coordinates(rings, return_index=True)
    along = ring[1:] == ring[:-1]
    ends = np.stack([at[:-1], at[1:]], axis=1)[along]  # (segments, ends, x and y)
    owner = owner[ring[1:][along]]
    backward = (ends[:, 0, 0] > ends[:, 1, 0]) | (
        (ends[:, 0, 0] == ends[:, 1, 0]) & (ends[:, 0, 1] > ends[:, 1, 1])
    )
    ends[backward] = ends[backward, ::-1]
    length = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    order = np.lexsort(ends.reshape(-1, 4).T)
    same = (ends[order[1:]] == ends[order[:-1]]).all(axis=(1, 2))
    one, other = np.sort([owner[order[:-1]][same], owner[order[1:]][same]], axis=0)
    pairs, which = np.unique(one * len(polygons) + other, return_inverse=True)
    lengths = np.bincount(which, length[order[1:]][same], len(pairs))
    found = zip(pairs // len(polygons), pairs % len(polygons), lengths, strict=True)
    return [(int(one), int(other), float(length)) for one, other, length in found if one != other]


def dissolved(faces, numbers):
    """Faces of one number that hang together made one; (polygons, numbers)."""
    order = np.argsort(numbers, kind="stable")
    its, starts = np.unique(numbers[order], return_index=True)
    groups = np.split(faces[order], starts[1:])
    parts = [shapely.get_parts(shapely.coverage_union_all(group)) for group in groups]
    return np.concatenate(parts), np.repeat(its, [len(part) for part in parts])
