"""A small inventory without a flaw, and ways to spoil it."""

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr

from glacierlab.io.layers import geodesic_area_km2

X, Y, UTM = 600_000.0, 5_200_000.0, "EPSG:32632"
LEFT, RIGHT = (shapely.box(X + 1000 * n, Y, X + 1000 * (n + 1), Y + 1000) for n in (0, 1))
AWAY = shapely.box(X + 5000, Y, X + 6000, Y + 1000) - shapely.box(X + 5400, Y + 400, X + 5600, Y + 600)


def measured(table):
    """The table with the areas of its outlines."""
    return table.assign(area_km2=geodesic_area_km2(table.geometry))


def good(crs=UTM):
    """Two neighbors, and a glacier with a hole of 0.04 km², as RGI 7 would have them."""
    table = gpd.GeoDataFrame(
        {
            "rgi_id": ["a", "b", "c"],
            "src_date": ["2019-08-01", "2019-08-01/2019-09-30", "2020"],
            "zmin_m": 2500.0,
            "zmax_m": 3000.0,
            "zmed_m": 2750.0,
            "zmean_m": 2760.0,
            "slope_deg": 20.0,
            "aspect_deg": [350.0, 90.0, 180.0],
            "aspect_sec": [1, 3, 5],
            "lmax_m": 1200,
            "surge_type": 9,
            "term_type": 0,
        },
        geometry=[LEFT, RIGHT, AWAY],
        crs=UTM,
        index=[10, 20, 30],
    )
    return measured(table).to_crs(crs)


def put(column, value, row=30):
    """The good inventory with another cell."""
    table = good()
    table[column] = table[column].astype(object)
    table.at[row, column] = value
    return table


def shaped(shape, row=30, measure=True):
    """The good inventory with another outline, its area, and no length."""
    table = put("lmax_m", None, row)
    shapes = table.geometry.astype(object).to_dict() | {row: shape}
    table = table.set_geometry(gpd.GeoSeries(shapes, crs=UTM)[table.index])
    return measured(table) if measure else table


def dem(hole=None):
    """Elevation (y, x) [m] around it all, 50 m; a hole of NaN is a box."""
    y, x = Y + 1475 - 50 * np.arange(40), X - 475 + 50 * np.arange(140)
    heights = xr.DataArray(np.full((40, 140), 2700.0), {"y": y, "x": x}, ("y", "x")).rio.write_crs(UTM)
    if hole is None:
        return heights
    west, south, east, north = hole.bounds
    inside = (heights.x > west) & (heights.x < east) & (heights.y > south) & (heights.y < north)
    return heights.where(~inside)
