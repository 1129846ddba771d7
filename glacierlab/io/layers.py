"""What rasters and outlines measure on the ground."""

import numpy as np
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from pyproj import Geod
from rasterio import Affine

from ..errors import GridError, UnknownNameError

WGS84 = Geod(ellps="WGS84")


def transform_of(raster):
    """The affine transform of a raster, also where one row or column is all there is."""
    if min(raster.sizes["y"], raster.sizes["x"]) > 1:
        require_regular(raster)
        return raster.rio.transform(recalc=True)
    stored = raster.rio.transform()  # knows the pixel size; the coordinates know where
    x, y = raster["x"].item(0), raster["y"].item(0)
    return Affine(stored.a, 0.0, x - stored.a / 2, 0.0, stored.e, y - stored.e / 2)


def require_regular(raster):
    """GridError where pixels do not lie at equal steps, to a tenth of one."""
    for dim in ("y", "x"):
        found = raster[dim].values
        even = np.linspace(found[0], found[-1], len(found))
        if not abs(found - even).max() <= 0.1 * abs(even[1] - even[0]):
            raise GridError(
                f"The pixels do not lie at equal steps in {dim}, so they have no one size: take every pixel, "
                "or resample first (raster.rio.reproject)."
            )


def bounds_of(raster):
    """(left, bottom, right, top) of the pixels' outer edges, in units of the CRS."""
    transform = transform_of(raster)
    x = sorted((transform.c, transform.c + transform.a * raster.sizes["x"]))
    y = sorted((transform.f, transform.f + transform.e * raster.sizes["y"]))
    return x[0], y[0], x[1], y[1]


def require_crs(raster, needed_by):
    """The raster's CRS, or GridError."""
    if raster.rio.crs is None:
        raise GridError(
            f"{needed_by} needs a CRS and the raster has none: set it with raster.rio.write_crs(...)."
        )
    return raster.rio.crs


def class_map_of(prediction):
    """The class map of a prediction, or the map itself; an error that says what was given instead."""
    if isinstance(prediction, xr.Dataset):
        if "class_map" not in prediction:
            raise UnknownNameError(f"It holds {list(prediction)}, no 'class_map': pass one layer of it.")
        return prediction["class_map"]
    if not isinstance(prediction, xr.DataArray):
        raise GridError(
            f"It is a {type(prediction).__name__}, not a class map (y, x), which is an xarray.DataArray."
            + (" These are outlines already." if hasattr(prediction, "to_crs") else "")
        )
    return prediction


def cell_area_m2(raster):
    """The area of a pixel [m²] in a projected CRS; GridError in degrees."""
    crs = require_crs(raster, "An area")
    if crs.is_geographic:
        raise GridError(
            "Pixels in degrees have no one area: reproject to meters first (raster.rio.reproject)."
        )
    transform = transform_of(raster)
    return abs(transform.a * transform.e) * crs.linear_units_factor[1] ** 2


def pixel_size_m(raster):
    """Pixel width [m]; NaN where the CRS is unknown or in degrees."""
    if raster.rio.crs is None or raster.rio.crs.is_geographic:
        return np.nan
    return abs(transform_of(raster).a) * raster.rio.crs.linear_units_factor[1]


def utm_zone(longitude):
    """The UTM zone, 1 to 60, of a longitude [degrees]."""
    return int((longitude + 180) // 6) % 60 + 1


def metric_crs(longitude, latitude):
    """A CRS in meters for a place [degrees]: its UTM zone; polar stereographic beyond 84° N and 80° S."""
    if latitude >= 84 or latitude <= -80:
        return "EPSG:32661" if latitude > 0 else "EPSG:32761"
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + utm_zone(longitude)}"


def geodesic_area_km2(geometries):
    """Area on the WGS84 ellipsoid [km²] of a GeoSeries, holes taken out.

    Edges are geodesics between vertices (Karney 2013, doi:10.1007/s00190-012-0578-z).
    """
    if geometries.crs is None:
        raise GridError("The outlines have no CRS: set it with outlines.set_crs(...).")
    degrees = geometries.to_crs("EPSG:4326").values
    parts, of_row = shapely.get_parts(degrees, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    corners, of_ring = shapely.get_coordinates(rings, return_index=True)
    pieces = np.split(corners, np.searchsorted(of_ring, np.arange(1, len(rings))))
    areas = np.array([abs(WGS84.polygon_area_perimeter(*ring.T)[0]) / 1e6 for ring in pieces if len(ring)])
    areas[1:][of_part[1:] == of_part[:-1]] *= -1  # holes follow their shell
    sums = np.bincount(of_row[of_part], areas, minlength=len(degrees))
    return np.where(shapely.is_missing(degrees), np.nan, sums)
