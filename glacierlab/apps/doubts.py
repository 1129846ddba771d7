"""How much area an outline may be wrong by: what a review looks at first."""

import numpy as np
import pandas as pd
import shapely
import xarray as xr

from ..change.area import pixel_of, require_numbers
from ..errors import require_outlines
from ..io.layers import WGS84, geodesic_area_km2, pixel_size_m, require_crs, transform_of

KNOWN = 0.5  # share of a border beside which pixels must be known: an assumption
LANDSAT_M = 30.0  # where nothing tells the pixel size: an assumption
UNCERTAIN = ("probability", "entropy")  # layers of a prediction, the more telling first


def expected_area_error(outlines, prediction=None, pixel_m=None):
    """The area [km²] by which each outline may be wrong: uncertainty times the length of its border.

    It orders a review; it is no interval. With a prediction, the pixels along the border, half a pixel to
    both sides of it, count with their chance of being wrong; ground farther away is taken to be right
    (assumption), and probabilities to be calibrated. Of `probability` the chance is 1 minus the largest; of
    `entropy` alone half of it, what two classes come to at most (assumption for more). Beyond the scene, and
    where it has no data, a border counts as the rest of it does on average. Without a prediction, or where
    pixels are missing along more than half of a border (assumption), `area_unc_km2` of the outlines counts,
    and where that is missing half a pixel along the whole border (assumption).

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS.
    prediction : xarray.Dataset, optional
        Of `gl.predict` or `mapping.map_glaciers`, with `probability` (class, y, x) or `entropy` (y, x), in
        any CRS; a lazy one is computed where borders run.
    pixel_m : float, optional
        Side of the pixels that were mapped [m]; default the prediction's, else what the column `pixels` of
        `vectorize` tells, else 30, an assumption.

    Returns
    -------
    pandas.Series
        [km²], by the outlines' index; NaN for none.

    Raises
    ------
    InventoryError, GridError
        These are no outlines, or there is no CRS.
    GlacierlabError
        `pixel_m` is negative.

    Examples
    --------
    >>> import glacierlab as gl
    >>> outlines = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> expected_area_error(outlines.nlargest(2, "area_km2"), pixel_m=30).round(2).tolist()
    [0.08, 0.05]
    """
    require_outlines(outlines, "expected_area_error")
    require_numbers(pixel_m=pixel_m)
    layer = None if prediction is None else next((n for n in UNCERTAIN if n in prediction), None)
    if layer is not None and pixel_m is None:
        pixel_m = pixel_size_m(prediction[layer])
    if pixel_m is None or not pixel_m > 0:
        counted = "pixels" in outlines
        pixel_m = pixel_of(outlines, geodesic_area_km2(outlines.geometry)) if counted else None
        pixel_m = pixel_m or LANDSAT_M
    border_km2 = border_m(outlines.geometry) * pixel_m / 1e6  # a strip as wide as a pixel
    error = np.full(len(outlines), np.nan)
    if layer is not None:
        error = border_km2 * chances_along(outlines, prediction[layer])
    if "area_unc_km2" in outlines:
        known = pd.to_numeric(outlines["area_unc_km2"], errors="coerce").to_numpy(float, na_value=np.nan)
        error = np.where(np.isfinite(error), error, known)
    error = np.where(np.isfinite(error), error, border_km2 / 2)
    return pd.Series(error, outlines.index, name="expected_error_km2")


def border_m(geometries):
    """Length of the borders [m] of a GeoSeries along geodesics, rims of holes too."""
    points, row, ring = ring_points(geometries.to_crs("EPSG:4326").values)
    along = ring[1:] == ring[:-1]
    lon, lat = points.T
    _, _, step = WGS84.inv(lon[:-1][along], lat[:-1][along], lon[1:][along], lat[1:][along])
    return np.bincount(row[1:][along], step, len(geometries))


def ring_points(shapes):
    """Corners (n, 2) of all rings of polygons, the row of each and its ring."""
    parts, part_row = shapely.get_parts(shapes, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return points, part_row[ring_part][ring], ring


def chances_along(outlines, layer):
    """Chance of being wrong of the pixels on both sides of a border, added, its mean along it; (n,).

    NaN where pixels of a side are missing along more than half of it.
    """
    layer = layer.transpose(..., "y", "x")
    transform, found = transform_of(layer), np.zeros(len(outlines))
    shapes = outlines.geometry.to_crs(require_crs(layer, "A prediction").to_wkt())
    to_pixels = lambda points: np.column_stack(~transform * points.T)
    shapes = shapely.segmentize(shapely.transform(shapes.values, to_pixels), 0.5)
    points, row, ring = ring_points(shapes)
    along = ring[1:] == ring[:-1]
    one, two, row = points[:-1][along], points[1:][along], row[1:][along]
    length = np.maximum(np.hypot(*(two - one).T), 1e-12)
    beside = 0.5 * (two - one)[:, ::-1] * [1, -1] / length[:, None]
    for side in (-1, 1):
        column, line = np.floor((one + two) / 2 + side * beside).astype(int).T
        chance = chances_at(layer, line, column)
        known = np.isfinite(chance)
        seen, wrong = (
            np.bincount(row[known], each[known], len(outlines)) for each in (length, chance * length)
        )
        enough = seen >= KNOWN * np.bincount(row, length, len(outlines))
        found += np.divide(wrong, seen, where=enough & (seen > 0), out=np.full(len(outlines), np.nan))
    return found


def chances_at(layer, line, column):
    """Chance of being wrong of pixels; NaN beyond the layer."""
    inside = (line >= 0) & (line < layer.sizes["y"]) & (column >= 0) & (column < layer.sizes["x"])
    chance = np.full(len(line), np.nan)
    if not inside.any():
        return chance
    places = {"y": xr.DataArray(line[inside], dims="place"), "x": xr.DataArray(column[inside], dims="place")}
    values = layer.isel(places).transpose(..., "place").values
    if layer.name == "entropy":
        chance[inside] = values / 2
    elif values.size == values.shape[-1]:  # of the one class that the model tells from all else
        chance[inside] = np.minimum(values, 1 - values).ravel()
    else:
        chance[inside] = 1 - values.max(axis=0)
    return chance
