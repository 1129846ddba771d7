"""Outlines' shapes as the rest relies on them: polygons, flat, in one piece across 180°, valid."""

import numpy as np
import shapely

from ..errors import InventoryError, warn

POLYGONS = ("Polygon", "MultiPolygon")


def clean_shapes(outlines, name):
    """Rows with polygons, repaired; `repaired` marks those whose rings were invalid.

    A DataWarning says what was left out, put in one piece or repaired; `name` is the file's.
    """
    outlines = polygons_alone(outlines, name)
    shapes = shapely.force_2d(outlines.geometry.values)
    if outlines.crs.is_geographic:
        shapes = in_one_piece(shapes, name)
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
        shapes[mixed] = polygons_only(shapes[mixed])
        outlines = outlines.set_geometry(shapes, crs=outlines.crs)
    found = outlines.geom_type.where(~outlines.geometry.is_empty)
    polygonal = found.isin(POLYGONS)
    if not polygonal.any():
        kinds = sorted(set(found.dropna())) or "no geometry"
        raise InventoryError(f"{name} holds no polygons, but {kinds}. Outlines are polygons.")
    if not polygonal.all():
        rows = np.flatnonzero(~polygonal)
        kinds = sorted({kind if isinstance(kind, str) else "nothing" for kind in found[~polygonal]})
        warn(
            f"{name}: {len(rows)} of {len(outlines)} rows hold no polygon ({', '.join(kinds)}) and are left "
            f"out: {rows[:5].tolist()}{' …' if len(rows) > 5 else ''}."
        )
    return outlines[polygonal].reset_index(drop=True)


def repaired(shapes):
    """Valid polygons of invalid ones; rings keep their meaning (GEOS's structure method)."""
    return polygons_only(shapely.make_valid(shapes, method="structure", keep_collapsed=False))


def polygons_only(geometries):
    """Geometries without the points and lines that a repair, or a file, may hold."""
    flat = np.empty(len(geometries), dtype=object)
    for row, geometry in enumerate(geometries):
        pieces = [piece for piece in shapely.get_parts(geometry) if piece.geom_type in POLYGONS]
        flat[row] = geometry if geometry.geom_type in POLYGONS else shapely.union_all(pieces)
    return flat


def in_one_piece(shapes, name):
    """Polygons in degrees whose rings jump from 180° E to 180° W, with longitudes that go on beyond 180."""
    bounds = shapely.bounds(shapes)
    turned = []
    for row in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 180):
        whole = unwrapped(shapes[row])
        if not whole.equals_exact(shapes[row]):
            shapes[row] = whole
            turned.append(int(row))
    if turned:
        warn(
            f"{name}: {len(turned)} outlines cross 180° and are put in one piece, with longitudes beyond it: "
            f"rows {turned[:5]}{' …' if len(turned) > 5 else ''}."
        )
    return shapes


def unwrapped(shape):
    """A polygon, or several, without jumps of 360° along its rings; as it is where one goes around a pole."""
    parts = []
    for part in shapely.get_parts(shape):
        rings = [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
        for ring in rings:
            ring[:, 0] = np.unwrap(ring[:, 0], period=360)
            if abs(ring[-1, 0] - ring[0, 0]) > 180:
                return shape
            ring[:, 0] += 360 * np.round(
                (rings[0][:, 0].mean() - ring[:, 0].mean()) / 360
            )  # beside its shell
        parts.append(shapely.Polygon(rings[0], rings[1:]))
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def in_degrees(geometries):
    """A GeoSeries in degrees on WGS84; what another CRS has in one piece across 180° goes on beyond it."""
    degrees = geometries.to_crs("EPSG:4326")
    bounds = degrees.bounds
    for row in np.flatnonzero(bounds.maxx - bounds.minx > 180):
        degrees.iloc[row] = unwrapped(degrees.iloc[row])
    return degrees


def inside_points(geometries):
    """A point inside each of a GeoSeries, about central: (n, 2) longitude and latitude [degrees]."""
    points = shapely.get_coordinates(shapely.point_on_surface(in_degrees(geometries).values))
    points[:, 0] = (points[:, 0] + 180) % 360 - 180
    return points
