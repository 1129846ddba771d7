"""Which outlines of two tables lie on each other, by how much, and which of them go together."""

import numpy as np
import shapely

from ..errors import GlacierlabError, require_outlines, require_valid


def equal_area_crs(*tables):
    """Lambert's azimuthal equal-area projection [m] around the middle of some outlines, as PROJ text.

    Areas are those on the ellipsoid. The middle is that of points on a sphere, so that neither the poles nor
    the antimeridian are special.
    """
    degrees = [shapely.get_coordinates(table.geometry.to_crs("EPSG:4326").values) for table in tables]
    lon, lat = np.radians(np.concatenate(degrees)).T
    x, y, z = (np.cos(lat) * np.cos(lon)).sum(), (np.cos(lat) * np.sin(lon)).sum(), np.sin(lat).sum()
    middle = np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)])
    return f"+proj=laea +lat_0={middle[0]:.6f} +lon_0={middle[1]:.6f} +datum=WGS84 +units=m +type=crs"


def on_equal_areas(tables, needed_by):
    """The outlines of each table as an array of shapely geometries [m] in one projection, and its CRS.

    InventoryError for what is no polygon, has no CRS or crosses itself.
    """
    for number, table in enumerate(tables, 1):
        require_outlines(table, needed_by)
        require_valid(table, needed_by, f"outlines of table {number}")
    crs = equal_area_crs(*tables)
    return [projected(table.geometry, crs) for table in tables], crs


def projected(outlines, crs):
    """Valid outlines (a GeoSeries) as an array of shapely geometries in another CRS, valid there too.

    A ring that touches itself, or nearly, may cross itself by the rounding of a projection.
    """
    shapes = np.asarray(outlines.to_crs(crs).values)
    crossed = ~shapely.is_valid(shapes)
    shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=False)
    return shapes


def overlaps(first, second):
    """Positions of outlines (two int arrays) that share ground, and how much of it [m²].

    Parameters
    ----------
    first, second : array of shapely geometries
        In one equal-area projection [m].
    """
    one, two = shapely.STRtree(second).query(first, predicate="intersects")
    shared = shapely.area(shapely.intersection(first[one], second[two]))
    return one[shared > 0], two[shared > 0], shared[shared > 0]


def links(first, second, min_overlap):
    """The overlaps, as `overlaps` gives them, of outlines that go together.

    Two do where they share at least `min_overlap` of the smaller one. An outline that goes with none, and
    yet lies by so much on several together, goes with the one it shares most with.
    """
    if not 0 <= min_overlap <= 1:
        raise GlacierlabError(f"min_overlap={min_overlap} is no share: give 0 to 1.")
    one, two, shared = overlaps(first, second)
    sides = (one, shapely.area(first)), (two, shapely.area(second))
    share = min_overlap - 1e-9  # rounding
    linked = shared >= share * np.minimum(*(areas[own] for own, areas in sides))
    most = [largest_of_each(own, shared) for own, areas in sides]
    alone = [
        (np.bincount(own[linked], minlength=len(areas)) == 0)
        & (np.bincount(own, shared, minlength=len(areas)) >= share * areas)
        for own, areas in sides
    ]
    for (own, _), largest, lonely in zip(sides, most, alone, strict=True):
        linked[largest[lonely[own[largest]]]] = True
    return one[linked], two[linked], shared[linked]


def largest_of_each(own, shared):
    """Where the largest overlap of each outline stands in a list of overlaps."""
    order = np.lexsort((-shared, own))
    return order[np.diff(own[order], prepend=-1) != 0]


def couples(one, two, order):
    """Which of the links make couples (bool), every outline in one at most, taken in that order."""
    chosen, taken_one, taken_two = np.zeros(len(one), bool), set(), set()
    for link in order:
        if one[link] not in taken_one and two[link] not in taken_two:
            chosen[link] = True
            taken_one.add(one[link])
            taken_two.add(two[link])
    return chosen
