"""Areas on the ellipsoid, of many outlines and pixels at once, on a sphere of the same area.

Authalic latitudes: Snyder 1987, doi:10.3133/pp1395, equations 3-11 to 3-13.
"""

import numpy as np
import shapely
from pyproj import Transformer

from ..io.layers import WGS84, require_crs, transform_of
from ..io.shapes import beside

STEP = 32  # pixels between places where a pixel's area is measured


def authalic(latitude):
    """Sine of the latitude on the sphere of equal area of a latitude on WGS84 [degrees]."""
    return _q(np.sin(np.radians(latitude))) / _q(1.0)


def authalic_radius_m():
    """The radius [m] of the sphere that has WGS84's area."""
    return WGS84.a * np.sqrt(_q(1.0) / 2)


def _q(sine):
    """Snyder's q: the area from the equator to a latitude, in units of πa² per turn."""
    e = np.sqrt(WGS84.es)
    return (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)


def pixel_areas_km2(raster):
    """Area of a pixel [km²] where every `STEP`-th row and column of pixel corners cross: (y, x) float64.

    At least three of each; between them areas are linear, to 1e-7 for pixels below 100 m.
    """
    transform = transform_of(raster)
    rows, cols = (STEP * np.arange(raster.sizes[dim] // STEP + 3) for dim in ("y", "x"))
    x, y = transform * np.meshgrid(cols.astype(float), rows.astype(float))
    to_degrees = Transformer.from_crs(
        require_crs(raster, "An area").to_wkt(), "EPSG:4326", always_xy=True
    ).transform
    return area_density(*to_degrees(x, y)) / STEP**2 * (authalic_radius_m() / 1000) ** 2


def area_density(longitude, latitude):
    """Area on the unit sphere of one step along both axes of a grid (y, x) of places [degrees]."""
    sine, turn = authalic(latitude), np.radians(longitude)
    cosine = np.sqrt(1 - sine**2)
    places = np.stack([cosine * np.cos(turn), cosine * np.sin(turn), sine], axis=-1)
    down, along = np.gradient(places, axis=(0, 1), edge_order=2)
    return np.linalg.norm(np.cross(along, down), axis=-1)


def areas_km2(geometries):
    """Area on WGS84 [km²] of a GeoSeries of polygons, holes taken out; as `geodesic_area_km2`, to 1e-6.

    Edges are great circles of the authalic sphere: 1e-8 from geodesics where they are below a kilometer.
    """
    polygons, rows = shapely.get_parts(geometries.to_crs("EPSG:4326").values, return_index=True)
    rings, owners = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    turn, excess = _turn_and_excess(points[:-1], points[1:])
    turn[ring[1:] != ring[:-1]] = excess[ring[1:] != ring[:-1]] = 0
    turns, area = (np.abs(np.bincount(ring[:-1], each, len(rings))) for each in (turn, excess))
    area = np.where(turns > np.pi, 2 * np.pi - area, area) * (authalic_radius_m() / 1000) ** 2  # round a pole
    hole = np.r_[False, owners[1:] == owners[:-1]]  # the first ring of a polygon is its shell
    return np.bincount(rows[owners], np.where(hole, -area, area), len(geometries))


def _turn_and_excess(one, other):
    """Change of longitude along edges, and spherical excess between them and the equator."""
    turn = np.radians(beside(other[:, 0] - one[:, 0]))  # the short way, also across the antimeridian
    first, second = (np.tan(np.arcsin(np.clip(authalic(p[:, 1]), -1, 1)) / 2) for p in (one, other))
    return turn, 2 * np.arctan2(np.tan(turn / 2) * (first + second), 1 + first * second)


def still_inside(points, geometry):
    """The points, those that lie outside their outlines replaced by others inside."""
    out = ~shapely.contains(geometry, points)
    points = points.copy()
    points[out] = shapely.point_on_surface(geometry[out])
    return points
