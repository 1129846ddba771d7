"""Small made scenes with labels, for tests of patches."""

import geopandas as gpd
import numpy as np
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr

PIXEL_M = 10
CRS = "EPSG:32632"
FLAGS = {"flag_values": [0, 1, 2, 3], "flag_meanings": "background clean_ice debris_covered_ice glacial_lake"}


def grid(shape, west=500_000, north=5_100_000):
    y, x = (PIXEL_M * (np.arange(count) + 0.5) for count in shape)
    return {"y": north - y, "x": west + x}


def made_scene(shape=(40, 50), seed=0, bands=("red", "nir", "swir16"), holes=0.02, **place):
    """Noise, with a share of holes of its own in each band."""
    random, coords = np.random.default_rng(seed), grid(shape, **place)
    values = random.uniform(0.1, 0.9, (len(bands), *shape)).astype("float32")
    values[random.random(values.shape) < holes] = np.nan
    scene = xr.Dataset({name: (("y", "x"), each) for name, each in zip(bands, values, strict=True)}, coords)
    return scene.rio.write_crs(CRS).assign_attrs(sensor="landsat_oli", radiometry="sr")


def made_labels(scene, seed=0, codes=(0, 0, 0, 1, 1, 2, 3, 255), block=4, **flags):
    """Squares of codes drawn at random."""
    shape = scene.sizes["y"], scene.sizes["x"]
    drawn = np.random.default_rng(seed).choice(codes, [-(-count // block) for count in shape])
    values = np.kron(drawn, np.ones((block, block))).astype("uint8")[: shape[0], : shape[1]]
    return scene["red"].copy(data=values).assign_attrs(flags or FLAGS).rename("class_map")


def made_outlines(scene, **columns):
    """A triangle, a disk with a hole and a sliver, none along pixel edges, in the scene's CRS."""
    west, south, east, north = scene.rio.bounds()
    x = lambda share: west + share * (east - west)
    y = lambda share: south + share * (north - south)
    disk = shapely.Point(x(0.7), y(0.6)).buffer(91.3).difference(shapely.Point(x(0.7), y(0.6)).buffer(33.1))
    shapes = [
        shapely.Polygon([(x(0.03), y(0.12)), (x(0.41), y(0.17)), (x(0.22), y(0.83))]),
        disk,
        shapely.LineString([(x(0.05), y(0.93)), (x(0.9), y(0.97))]).buffer(4.7),
    ]
    return gpd.GeoDataFrame({"rgi_id": ["a", "b", "c"], **columns}, geometry=shapes, crs=CRS)
