"""Polygons of a class map."""

import numpy as np
import shapely
from rasterio.features import shapes
from scipy import ndimage

from ..errors import GridError
from ..io.layers import geodesic_area_km2, require_crs, transform_of
from ..tables import NOT_OBSERVED
from .clean import part_sizes

COLUMNS = ["class", "area_km2", "pixels", "cenlon", "cenlat", "src_date", "geometry"]


def vectorize(mask, classes=None, min_area_km2=0.0):
    """Polygons of every class of a map but background, along the pixel edges.

    Parameters
    ----------
    mask : xarray.DataArray or xarray.Dataset
        `class_map` (y, x) uint8 with CF flag attributes, in memory or lazy; 0 and 255 get no
        polygon. A Dataset must hold `class_map`.
    classes : list of str, optional
        Names of the classes to outline; default all but background.
    min_area_km2 : float
        Leave out smaller polygons; see `outlines.clean` to drop them, and small holes, from the map itself.

    Returns
    -------
    geopandas.GeoDataFrame
        One row for each part that hangs together over eight neighbours, the largest first, in the map's CRS:
        `class` (name), `area_km2` (geodesic, WGS84), `pixels`, `cenlon`, `cenlat` (a point inside [degrees]),
        `src_date`. Polygons are valid, holes are kept, and planar area is pixels times cell area.

    Raises
    ------
    GridError
        The map has no CRS or several dates.
    """
    import geopandas as gpd

    mask = mask["class_map"] if hasattr(mask, "data_vars") else mask
    if mask.ndim != 2:
        raise GridError(
            f"Outlines are of one map (y, x), not of dims {mask.dims}: choose one with isel or sel."
        )
    mask, crs = mask.transpose("y", "x"), require_crs(mask, "Outlines")
    codes, names = np.asarray(mask.values), class_names(mask)
    rows = []
    for code in set(np.unique(codes).tolist()) - {0, NOT_OBSERVED}:
        name = names.get(code, f"class {code}")
        if classes is None or name in classes:
            rows += [(name, *part) for part in parts(codes == code, mask)]
    outlines = gpd.GeoDataFrame(
        rows, columns=["class", "geometry", "pixels"], geometry="geometry", crs=crs.to_wkt()
    )
    outlines = with_areas(outlines)
    outlines["src_date"] = mask.attrs.get("datetime", "")
    outlines = outlines[outlines.area_km2 >= min_area_km2]
    return outlines.sort_values("area_km2", ascending=False, ignore_index=True)[COLUMNS]


def class_names(mask):
    """Class names by code, of the CF flag attributes."""
    meanings = mask.attrs.get("flag_meanings", "background glacier").split()
    return dict(zip(map(int, mask.attrs.get("flag_values", range(len(meanings)))), meanings, strict=True))


def parts(present, mask):
    """(geometry, pixels) of each part of a boolean map that hangs together over eight neighbours.

    GDAL traces four-connected polygons, which are valid; those that only touch at corners become one
    MultiPolygon, which is valid too, where tracing eight-connected ones makes rings that cross themselves.
    """
    labels, count = ndimage.label(present, np.ones((3, 3)), output=np.int32)
    polygons = {}
    for geometry, label in shapes(labels, mask=present, connectivity=4, transform=transform_of(mask)):
        polygons.setdefault(int(label), []).append(shapely.geometry.shape(geometry))
    pixels = part_sizes(labels, count)
    for label, found in sorted(polygons.items()):
        yield found[0] if len(found) == 1 else shapely.MultiPolygon(found), int(pixels[label])


def with_areas(outlines):
    """The outlines with `area_km2` (geodesic) and `cenlon`, `cenlat`, a point inside each."""
    degrees = outlines.geometry.to_crs("EPSG:4326")
    inside = outlines.geometry.representative_point().to_crs("EPSG:4326")
    return outlines.assign(area_km2=geodesic_area_km2(degrees), cenlon=inside.x, cenlat=inside.y)
