"""Manifests of made patches, for tests of splits and their audit."""

import geopandas as gpd
import numpy as np
import shapely

PIXEL_M = 10
SIZE = 16


def patches(rows, cols, scenes="a", glaciers=None, **columns):
    """A manifest of squares of 160 m at pixel windows (row, col); 0, 0 is in the upper left."""
    x, y = 500_000 + PIXEL_M * np.asarray(cols), 5_000_000 - PIXEL_M * np.asarray(rows)
    squares = shapely.box(x, y - PIXEL_M * SIZE, x + PIXEL_M * SIZE, y)
    count = len(squares)
    columns |= {"scene": list(scenes) if len(scenes) == count else [scenes] * count}
    columns |= {"row": rows, "col": cols, "size": SIZE, "glaciers": glaciers or [()] * count}
    return gpd.GeoDataFrame(columns, geometry=squares, crs="EPSG:32611")


def grid(side=12, stride=SIZE, **columns):
    rows, cols = (stride * axis.ravel() for axis in np.mgrid[:side, :side])
    return patches(rows, cols, **columns)
