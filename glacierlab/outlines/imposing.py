"""Divides that are given: an older inventory's, or lines."""

import numpy as np
import shapely

from ..errors import InventoryError, warn
from ..io.layers import geodesic_area_km2
from .cutting import faces_of, joined, numbers_at
from .grounds import Ground, in_turn
from .naming import some

SMALLEST_KM2 = 0.01  # RGI 7.0's: what is smaller is no glacier
SMOOTH_M = 15.0  # lines between older glaciers over new ice: one and a half of the finest cells


def impose(outlines, divides):
    """(row, polygon, position in `divides` or -1) of every glacier of every complex."""
    lines = require_divides(divides)
    divides = divides.geometry.to_crs(outlines.crs)
    if len(divides) and not len(divides.sindex.query(outlines.geometry, predicate="intersects")[0]):
        warn("The divides touch no outline, so that none is divided: is their CRS right, and their place?")
    areas, parts, uncut = geodesic_area_km2(outlines.geometry), [], []
    for row, polygon, metric in in_turn(outlines):
        near = np.sort(divides.sindex.query(polygon, predicate="intersects"))
        found = [(polygon, -1)]
        if len(near):
            smallest = SMALLEST_KM2 / areas[row]  # of the complex
            ground = Ground(polygon, outlines.crs, metric)
            given = ground.here(divides.values[near])
            found = along(ground, given, smallest) if lines else by_older(ground, given, near, smallest)
            if lines and len(found) == 1:
                uncut.append(row)
        parts += [(row, *part) for part in found]
    if uncut:
        warn(
            f"The lines in {len(uncut)} outlines cut nothing ({some(outlines.index[uncut])}): they must lead "
            "from outline to outline. An older inventory's polygons grow to the new one; its lines do not."
        )
    return parts


def require_divides(divides):
    """Whether divides are lines, not polygons; InventoryError for anything else."""
    if not hasattr(divides, "geometry") or not hasattr(divides, "iterrows"):
        raise InventoryError(
            f"divides= takes a GeoDataFrame of polygons or lines, not {type(divides).__name__}."
        )
    if divides.crs is None:
        raise InventoryError("The divides have no CRS: divides.set_crs(...).")
    kinds = {str(kind).removeprefix("Multi") for kind in divides.geom_type}
    if not kinds <= {"Polygon"} and not kinds <= {"LineString", "LinearRing"}:
        raise InventoryError(
            f"Divides are polygons or lines, all of one kind, and these are {sorted(kinds)}."
        )
    invalid = divides.index[~divides.is_valid]
    if len(invalid):
        raise InventoryError(
            f"{len(invalid)} divides are invalid ({some(invalid)}): repair them (outlines.qa)."
        )
    return not kinds <= {"Polygon"}


def by_older(ground, older, positions, smallest):
    """(polygon, position) of a complex's glaciers: what older ones cover, and what is nearest to each."""
    in_meters = ground.to_meters(older)
    covered = shapely.area(shapely.intersection(ground.in_meters, in_meters))
    order = np.argsort(-covered, kind="stable")  # where older ones overlap, the larger has it
    order = order[covered[order] > 0]
    if len(order) < 2:
        return [(ground.given, *(positions[order] if len(order) else [-1]))]
    older, in_meters, positions = older[order], in_meters[order], positions[order]
    lines = [*shapely.boundary(older)]
    new = shapely.difference(ground.polygon, shapely.union_all(older))
    if new.area > 0:
        between, *_ = ground.divides(ground.burnt(in_meters), SMOOTH_M)
        lines += [*shapely.intersection(between, new)]
    faces = faces_of(ground.polygon, lines)
    places = ground.to_meters(shapely.point_on_surface(faces))
    owners = numbers_at(places, in_meters, np.arange(len(in_meters)))
    polygons, owners = ground.gathered(*joined(faces, owners, smallest * ground.polygon.area))
    return list(zip(polygons, positions[owners], strict=True))


def along(ground, lines, smallest):
    """(polygon, -1) of a complex's parts between lines; a part that none cuts goes to the nearest that is."""
    faces = faces_of(ground.polygon, lines)
    pieces, its = joined(faces, np.arange(len(faces)), smallest * ground.polygon.area)
    whole = shapely.get_parts(ground.polygon)
    part = numbers_at(shapely.point_on_surface(pieces), whole, np.arange(len(whole)))
    cut = np.bincount(part)[part] > 1
    if not cut.any():
        return [(ground.given, -1)]
    its[~cut] = its[cut][shapely.STRtree(pieces[cut]).nearest(pieces[~cut])]
    return [(polygon, -1) for polygon in ground.gathered(pieces, its)[0]]
