"""Outlines without their pixels: shared borders are moved once, and every area stays as it was."""

import numpy as np
import shapely
from pyproj import CRS, Transformer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import GlacierlabError, InventoryError, require_outlines, warn
from ..io.shapes import beside
from ._kernels.crossing import crossings
from .arcs import SQUARE, arcs_of
from .curving import require_smoothing, smoothed_arcs
from .measuring import areas_km2, still_inside


def smooth(outlines, pixel_m=None, rounds=2, tolerance=0.5):
    """Outlines made simple and smooth; what neighbors share is moved once, and areas stay.

    Corners are cut half a pixel, points within the tolerance left out (Douglas and Peucker 1973), corners
    rounded (Chaikin 1974) no farther than the tolerance, and each border between two places where three or
    more outlines meet is moved back, by less than a pixel, until it bounds the area that it did. Such places
    stay. A line ends up within about a pixel of where it was.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Of `vectorize` or from anywhere, in any CRS; polygons in degrees are worked on in an equal-area
        projection around them. A vertex that lies on a neighbor's edge becomes a vertex of both.
    pixel_m : float, optional
        Side of the pixels [m] that the outlines were drawn from; default from the areas and `pixels` of
        `vectorize`.
    rounds : int
        Of Chaikin's corner cutting; each doubles the points. 0 leaves corners sharp, 2 is an assumption.
    tolerance : float
        Pixels, at most half of one, which is an assumption.

    Returns
    -------
    geopandas.GeoDataFrame
        Rows, columns and CRS as given, `area_km2`, `cenlon` and `cenlat` measured anew where they are, and
        `smoothed`: whether all of the outline could be. The total area is kept and so is each, to 1e-6 (in
        degrees to 1e-4 of a pixel). Borders that would cross others stay as they were, in both neighbors,
        and so do invalid outlines.

    Raises
    ------
    InventoryError
        The outlines are no polygons, have no CRS, jump across the antimeridian, are smaller than a thousandth
        of a pixel, or `pixel_m` is needed.
    GlacierlabError
        `rounds`, `tolerance` or `pixel_m` is no sensible number.

    Warns
    -----
    DataWarning
        Invalid outlines, or such as overlap others, stay as they are.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> steps = gl.vectorize(scene.truth, classes=["clean_ice"], min_area_km2=0.1)
    >>> round_ones = smooth(steps)
    >>> [round(float(table.area_km2.sum()), 3) for table in (steps, round_ones)]
    [0.531, 0.531]
    >>> bool((round_ones.length < steps.length).all())
    True
    """
    require_outlines(outlines, "smooth")
    require_smoothing(rounds, tolerance)
    if not len(outlines):
        return outlines.assign(smoothed=np.zeros(0, bool))
    plane, before = Plane.around(outlines, pixel_of(outlines, pixel_m)), np.asarray(outlines.geometry.values)
    arcs, given = arcs_of(before, plane.pixels, plane.fixed)
    valid = shapely.is_valid(before)
    held = standing(arcs, valid, outlines.index)
    while True:
        curved, same = smoothed_arcs(arcs, rounds, tolerance, held)
        curved = curved.along(placed(arcs, curved, same, given, plane), curved.offsets)
        after = curved.geometries()
        wrong = arcs.of_rows(valid & ~shapely.is_valid(after))
        wrong |= stepped_over(arcs.along(given, arcs.offsets), before, curved, after)
        wrong &= ~held
        if not wrong.any():
            break
        held |= wrong
    return measured(outlines.set_geometry(after, crs=outlines.crs).assign(smoothed=~arcs.rows_of(same)))


def pixel_of(outlines, pixel_m):
    """The side of a pixel [m], as given or by area and number of pixels."""
    if pixel_m is None:
        if "pixels" not in outlines or "area_km2" not in outlines:
            raise InventoryError(
                "These outlines do not tell the pixels they were drawn from (columns 'pixels' and 'area_km2' "
                "of vectorize): give pixel_m, such as 30 for Landsat."
            )
        counted = outlines[outlines["pixels"] > 0]
        area = counted["area_km2"].sum() * 1e6
        if not outlines.crs.is_geographic:  # in meters of the CRS, which Mercator stretches
            area = counted.area.sum() * outlines.crs.axis_info[0].unit_conversion_factor ** 2
        pixel_m = np.sqrt(area / counted["pixels"].sum()) if len(counted) else np.nan
    if not (np.isfinite(pixel_m) and pixel_m > 0):
        raise GlacierlabError(f"pixel_m={pixel_m}: the side of a pixel is more than 0 m.")
    return float(pixel_m)


class Plane:
    """Outlines' coordinates (point, 2) as pixels on a plane, and back."""

    def __init__(self, scale, origin=(0.0, 0.0), to=None, fro=None):
        self.scale, self.origin, self.to, self.fro = scale, np.asarray(origin), to, fro

    @classmethod
    def around(cls, outlines, pixel_m):
        """The plane of the outlines' CRS; for degrees, an equal-area one around them."""
        if not outlines.crs.is_geographic:
            return cls(pixel_m / outlines.crs.axis_info[0].unit_conversion_factor, outlines.total_bounds[:2])
        require_no_jump(outlines)
        longitude, latitude = np.radians(shapely.get_coordinates(outlines.geometry.values)).T
        around = np.cos(latitude)
        x, y, z = (
            each.mean() for each in (around * np.cos(longitude), around * np.sin(longitude), np.sin(latitude))
        )
        place = dict(lon_0=np.degrees(np.arctan2(y, x)), lat_0=np.degrees(np.arctan2(z, np.hypot(x, y))))
        plane = CRS.from_dict(dict(proj="laea", datum="WGS84", **place))
        to, fro = ((outlines.crs, plane), (plane, outlines.crs))
        return cls(pixel_m, (0, 0), *(Transformer.from_crs(*pair, always_xy=True) for pair in (to, fro)))

    def pixels(self, given):
        """Places in pixels."""
        on_plane = np.stack(self.to.transform(*given.T), axis=1) if self.to else given
        return (on_plane - self.origin) / self.scale

    def coordinates(self, pixels, near):
        """Coordinates of places in pixels; longitudes within half a turn of others `near` them."""
        given = pixels * self.scale + self.origin
        if self.fro is None:
            return given
        given = np.stack(self.fro.transform(*given.T), axis=1)
        given[:, 0] = beside(given[:, 0], near[:, 0])
        return given

    def fixed(self, given):
        """Which places stay: where outlines are cut along the antimeridian."""
        return (np.abs(np.abs(given[:, 0]) - 180) < 1e-9) & (self.fro is not None)


def require_no_jump(outlines):
    """InventoryError where a ring in degrees goes from 179 to -179."""
    points, row = shapely.get_coordinates(outlines.geometry.values, return_index=True)
    jump = (np.abs(np.diff(points[:, 0])) > 180) & (np.diff(row) == 0)
    if jump.any():
        rows = outlines.index[np.unique(row[1:][jump])].tolist()
        raise InventoryError(
            f"{len(rows)} of {len(outlines)} outlines jump across the antimeridian, the first in row "
            f"{rows[0]!r}: cut them there, let longitudes go on beyond 180, or reproject to meters."
        )


def standing(arcs, valid, index):
    """Which arcs must stay (arc,) bool: of invalid outlines, and those that cross others. Warns of them."""
    crossed = np.zeros(len(arcs), bool)
    crossings(arcs.points, arcs.offsets, np.ones(len(arcs), bool), SQUARE, crossed)
    held = crossed | arcs.of_rows(~valid)
    if held.any():
        rows = index[~valid | arcs.rows_of(crossed)].tolist()
        warn(
            f"{len(rows)} of {len(index)} outlines are invalid or overlap others, the first in row "
            f"{rows[0]!r}: their borders there are not smoothed. See what outlines.qa says."
        )
    return held


def placed(arcs, curved, same, given, plane):
    """Coordinates of curves; of what stays, and of where three or more outlines meet, those `given`."""
    before, after = arcs.offsets, curved.offsets
    near = np.repeat(given[before[:-1]], np.diff(after), axis=0)
    found = plane.coordinates(curved.points, near)
    found[np.repeat(same, np.diff(after))] = given[np.repeat(same, np.diff(before))]
    for old, new in ((before[:-1], after[:-1]), (before[1:] - 1, after[1:] - 1)):
        found[new[~arcs.loop]] = given[old[~arcs.loop]]
    return found


def stepped_over(arcs, before, curved, after):
    """Which arcs (arc,) bool are on the other side of an outline's border now, or are of that outline.

    Arcs that hang together and cross no others lie on one side of them, so that a point of each will do.
    """
    group, first = hanging_together(arcs)
    then, now = (
        within(geometry, each.points[each.offsets[first]])
        for geometry, each in ((before, arcs), (after, curved))
    )
    row, over = np.divmod(np.setxor1d(then, now), len(first))
    bad = np.zeros(len(before), bool)
    bad[row] = True
    return arcs.of_rows(bad) | np.isin(group, over)


def hanging_together(arcs):
    """A number for the arcs (arc,) that hang together, from 0, and one arc of each."""
    ends = np.r_[arcs.points[arcs.offsets[:-1]], arcs.points[arcs.offsets[1:] - 1]]
    place = np.unique(ends, axis=0, return_inverse=True)[1].ravel().reshape(2, -1)
    links = coo_array((np.ones(len(arcs)), tuple(place)), shape=(place.max() + 1,) * 2)
    group = connected_components(links, directed=False)[1][place[0]]
    return np.unique(group, return_inverse=True)[1], np.unique(group, return_index=True)[1]


def within(geometry, points):
    """Which points (point, 2) lie inside which outlines: outline * number of points + point."""
    row, point = shapely.STRtree(shapely.points(points)).query(geometry, predicate="contains")
    return row * len(points) + point


def measured(outlines):
    """The outlines with area and a point inside as they are now, where they have such columns."""
    if "area_km2" in outlines:
        outlines["area_km2"] = areas_km2(outlines.geometry)
    if {"cenlon", "cenlat"} <= set(outlines.columns):
        import geopandas as gpd

        center = gpd.points_from_xy(outlines["cenlon"], outlines["cenlat"], crs="EPSG:4326")
        inside = still_inside(center.to_crs(outlines.crs), outlines.geometry.values).to_crs("EPSG:4326")
        outlines["cenlon"], outlines["cenlat"] = inside.x, inside.y
    return outlines
