"""Polygons cut along lines that they share, so that the pieces are the whole."""

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
    border, if there is one; those that are not small come first. Returns (polygons, their numbers).
    """
    pieces, numbers = dissolved(faces, numbers)
    while len(small := np.flatnonzero(shapely.area(pieces) < smallest)):
        one, near = shapely.STRtree(pieces).query(pieces[small], predicate="intersects")
        one = small[one]
        one, near = one[one != near], near[one != near]
        borders = shapely.boundary(pieces)
        shared = shapely.length(shapely.intersection(borders[one], borders[near]))
        large = (shared > 0) & ~np.isin(near, small)
        taken = large if large.any() else shared == shared.max(initial=np.finfo(float).tiny)
        if not taken.any():
            break
        if not large.any():  # two small ones, and what they make is looked at again
            taken[np.flatnonzero(taken)[1:]] = False
        order = np.argsort(shared[taken])  # the longest comes last, and stays
        numbers[one[taken][order]] = numbers[near[taken][order]]
        pieces, numbers = dissolved(pieces, numbers)
    return pieces, numbers


def dissolved(faces, numbers):
    """Faces of one number that hang together made one; (polygons, numbers)."""
    found, its = [], []
    for number in np.unique(numbers):
        parts = shapely.get_parts(shapely.coverage_union_all(faces[numbers == number]))
        found += list(parts)
        its += [number] * len(parts)
    return np.array(found, dtype=object), np.array(its)
