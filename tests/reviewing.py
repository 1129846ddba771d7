"""Outlines to review, and a GeoPackage with more in it than those."""

import sqlite3

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from glacierlab.apps.review import Review

X, Y, UTM = 500_000.0, 5_200_000.0, "EPSG:32632"  # the middle of a zone: a planar km² is a true one to 0.1 %


def square(column, row=0, side=1000.0):
    """A square of 1 km² on a raster of places 2 km apart."""
    return shapely.box(X + 2000 * column, Y + 2000 * row, X + 2000 * column + side, Y + 2000 * row + side)


def outlines(count=4, crs=UTM, **columns):
    """Squares in a row, ids g0, g1, …, with attributes that an edit makes untrue."""
    known = {"rgi_id": [f"g{n}" for n in range(count)], "zmin_m": 2500.0, "aspect_sec": 3, "note": "Ötztal"}
    known |= {"src_date": "2020-08-01"} | columns
    known = pd.DataFrame({name: values for name, values in known.items() if values is not None}, range(count))
    return gpd.GeoDataFrame(known, geometry=[square(n) for n in range(count)], crs=UTM).to_crs(crs)


def across(column, row=0, share=0.5):
    """A line from south to north through a square."""
    x = X + 2000 * column + 1000 * share
    return shapely.LineString([(x, Y + 2000 * row - 500), (x, Y + 2000 * row + 1500)])


def written(path, table=None):
    """A GeoPackage of outlines, a layer of lines, a table without geometry and a style of QGIS."""
    table = outlines() if table is None else table
    table.to_file(path, layer="glaciers", engine="pyogrio")
    lines = gpd.GeoDataFrame({"name": ["divide"]}, geometry=[across(0)], crs=UTM)
    lines.to_file(path, layer="lines", engine="pyogrio")
    pyogrio.write_dataframe(pd.DataFrame({"gauge": ["A"], "m3": [2.5]}), path, layer="gauges")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, f_table_name TEXT, styleQML TEXT)")
        db.execute("INSERT INTO layer_styles VALUES (1, 'glaciers', '<qgis/>')")
    db.close()
    return path


def contents(path, but=()):
    """Every row of every table of an SQLite file."""
    db = sqlite3.connect(path)
    names = [
        name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    found = {
        name: db.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in names if name not in but
    }
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    return found


def layer(path, name="glaciers"):
    """A layer as GDAL reads it."""
    return gpd.read_file(path, layer=name, engine="pyogrio")


def opened(path, analyst="Ana", **options):
    """A review of the outlines of a file, as GDAL reads them."""
    return Review(layer(path), analyst=analyst, path=path, layer="glaciers", **options)


def total(review):
    return float(np.sum(review.outlines.geometry.area)) / 1e6
