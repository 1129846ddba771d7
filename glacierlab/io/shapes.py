"""Outlines' shapes as the rest relies on them: polygons, flat, in one piece across 180°, valid."""

import numpy as np
import shapely
from shapely.affinity import translate

from ..errors import InventoryError, warn

POLYGONS = ("Polygon", "MultiPolygon")


def clean_shapes(outlines, name):
    """Rows with polygons, repaired; `repaired` marks those whose rings were invalid.

    A DataWarning says what was left out, put in one piece or repaired; `name` is the file's.
    """
    outlines = polygons_alone(outlines, name)
    shapes = shapely.force_2d(outlines.geometry.values)
    if outlines.crs.is_geographic:
        given, shapes = shapes, unwrapped(shapes)
        if rows := [int(row) for row in wide(given) if shapes[row] is not given[row]]:
            warn(
                f"{name}: {len(rows)} outlines cross 180° and are put in one piece, with longitudes beyond "
                f"it: rows {rows[:5]}{' …' if len(rows) > 5 else ''}."
            )
    invalid = ~shapely.is_valid(shapes)
    marked = invalid | earlier_repairs(outlines)
    if invalid.any():
        rows = np.flatnonzero(invalid)
        reasons = [f"row {row}: {shapely.is_valid_reason(shapes[row])}" for row in rows[:5]]
        warn(
            f"{name}: {len(rows)} of {len(outlines)} polygons were invalid and have been repaired "
            f"({'; '.join(reasons)}{'; …' if len(rows) > 5 else ''})."
        )
        shapes[invalid] = repaired(shapes[invalid])
    outlines = outlines.set_geometry(shapes, crs=outlines.crs).assign(repaired=marked)
    left = ~shapely.is_empty(shapes)
    return outlines[left].reset_index(drop=True)


def earlier_repairs(outlines):
    """What a file of ours says of rows that were repaired when it was first read."""
    told = outlines.get("repaired")
    return False if told is None or told.dtype.kind not in "biu" else told.to_numpy(bool)


def polygons_alone(outlines, name):
    """Rows with a polygon; collections keep their polygons, other rows are left out and told."""
    shapes = outlines.geometry.values
    mixed = shapely.get_type_id(shapes) == 7
    if mixed.any():
        shapes = np.array(shapes, dtype=object)
        shapes[mixed] = [polygonal(shape) for shape in shapes[mixed]]
        outlines = outlines.set_geometry(shapes, crs=outlines.crs)
    found = outlines.geom_type.where(~outlines.geometry.is_empty)
    kept = found.isin(POLYGONS)
    if not kept.any():
        kinds = sorted(set(found.dropna())) or "no geometry"
        raise InventoryError(f"{name} holds no polygons, but {kinds}. Outlines are polygons.")
    if not kept.all():
        rows = np.flatnonzero(~kept)
        kinds = sorted({kind if isinstance(kind, str) else "nothing" for kind in found[~kept]})
        warn(
            f"{name}: {len(rows)} of {len(outlines)} rows hold no polygon ({', '.join(kinds)}) and are left "
            f"out: {rows[:5].tolist()}{' …' if len(rows) > 5 else ''}."
        )
    return outlines[kept].reset_index(drop=True)


def repaired(shapes):
    """Valid polygons of invalid ones; rings keep their meaning (GEOS's structure method)."""
    valid = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    return np.array([polygonal(shape) for shape in valid], dtype=object)


def polygonal(geometry):
    """A geometry without the points and lines that a repair, or a file, may hold."""
    if geometry.geom_type in POLYGONS:
        return geometry
    pieces = shapely.get_parts(geometry) if geometry.geom_type == "GeometryCollection" else []
    return shapely.union_all([polygonal(piece) for piece in pieces])


# ---- across 180° ----


def beside(longitudes, middle=0.0):
    """Longitudes from half a turn before a middle up to half a turn after it.

    >>> [float(beside(longitude)) for longitude in (-180.0, 180.0, 359.5)], float(beside(-179.0, 180.0))
    ([-180.0, -180.0, -0.5], 181.0)
    """
    return longitudes - 360 * np.floor((longitudes - middle + 180) / 360)


def around(shapes, middle):
    """Shapes in degrees with all longitudes `beside` a middle."""
    return shapely.transform(shapes, lambda at: np.column_stack([beside(at[:, 0], middle), at[:, 1]]))


def width(shape):
    """East to west, of the widest part [units of the CRS]."""
    west, _, east, _ = shapely.bounds(shapely.get_parts(shape)).T
    return float(np.max(east - west, initial=0))


def wide(shapes):
    """Rows of shapes in degrees that lie on both sides of 180°, or around a pole."""
    west, _, east, _ = shapely.bounds(shapes).T
    return np.flatnonzero(east - west > 180)


def unwrapped(shapes):
    """Polygons (row,) in degrees; those whose rings jump from 180° to -180° with longitudes beyond 180.

    What goes around a pole stays as it is.
    """
    shapes = np.array(shapes, dtype=object)
    for row in wide(shapes):
        turned = around(shapes[row], 180.0)
        if width(turned) <= 180 < width(shapes[row]):
            shapes[row] = turned
    return shapes


def whole(shapes):
    """Polygons (row,) in degrees, unwrapped; those in parts on both sides of 180° as one."""
    shapes = np.array(shapes, dtype=object)
    for row in wide(shapes):
        turned = around(shapes[row], 180.0)
        if not len(wide([turned])):
            parts = shapely.get_parts(turned)
            shapes[row] = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    return shapes


def cut_at_180(shapes):
    """Polygons (row,) in degrees; those with longitudes beyond 180° in parts that have none."""
    shapes = np.array(shapes, dtype=object)
    west, _, east, _ = shapely.bounds(shapes).T
    for row in np.flatnonzero((west < -180) | (east > 180)):
        sides = [
            translate(shapes[row] & shapely.box(turn - 180, -90, turn + 180, 90), -turn)
            for turn in (-360, 0, 360)
        ]
        shapes[row] = polygonal(shapely.union_all(sides))
    return shapes


def in_degrees(geometries):
    """A GeoSeries in degrees on WGS84; what another CRS has in one piece across 180° goes on beyond it."""
    degrees = geometries.to_crs("EPSG:4326")
    return type(degrees)(unwrapped(degrees.values), index=degrees.index, crs=degrees.crs, name=degrees.name)


def inside_points(geometries):
    """A point inside each of a GeoSeries, about central: (n, 2) longitude and latitude [degrees]."""
    points = shapely.get_coordinates(shapely.point_on_surface(in_degrees(geometries).values))
    points[:, 0] = beside(points[:, 0])
    return points
