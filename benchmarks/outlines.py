"""How fast do class maps become outlines? 4096 x 4096 pixels of three classes, some 50,000 polygons.

To polygons along the pixels' edges, and to smoothed ones without gaps, against rasterio.features.shapes into
a GeoDataFrame (aim: smoothed in at most twice its time), xarray-spatial's polygonize and
shapely.coverage_simplify of the polygons. CPU seconds, best of interleaved rounds.
"""

import argparse
from importlib.util import find_spec
from time import process_time

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from rasterio.features import shapes
from scipy import ndimage

from glacierlab.outlines import smooth, vectorize


def made_map(side, sigma=4.1):
    """Patches of three classes (y, x) uint8, pixels of 30 m: levels of smooth noise."""
    noise = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, sigma)
    codes = np.digitize(noise / noise.std(), [0.6, 1.2, 1.6]).astype("uint8")
    coords = {"y": 5.2e6 - 30.0 * np.arange(side), "x": 6e5 + 30.0 * np.arange(side)}
    flags = {
        "flag_values": [0, 1, 2, 3],
        "flag_meanings": "background clean_ice debris_covered_ice glacial_lake",
    }
    return xr.DataArray(codes, coords, ("y", "x"), attrs=flags).rio.write_crs("EPSG:32632")


def by_rasterio(codes):
    """Polygons of four neighbors, as a GeoDataFrame."""
    found = shapes(codes.values, mask=codes.values > 0, transform=codes.rio.transform())
    geometry, values = zip(*((shapely.geometry.shape(each), value) for each, value in found), strict=True)
    return gpd.GeoDataFrame({"class": values}, geometry=list(geometry), crs=codes.rio.crs)


def by_xarray_spatial(codes):
    """Polygons of four neighbors, background too."""
    from xrspatial.experimental import polygonize

    return polygonize(codes, return_type="geopandas", transform=np.array(codes.rio.transform()[:6]))


def require_same(codes, outlines, smoothed):
    """Exact areas along the pixels' edges; the same areas, valid, without gap or overlap, when smoothed."""
    np.testing.assert_allclose(outlines.area, outlines["pixels"] * 900)
    np.testing.assert_allclose(by_rasterio(codes).area.sum(), outlines.area.sum())
    np.testing.assert_allclose(smoothed.area, smoothed["pixels"] * 900, rtol=1e-6)
    assert smoothed.is_valid.all()
    assert shapely.coverage_is_valid(smoothed.geometry.values)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    codes = made_map(options.side)
    outlines, smoothed = vectorize(codes), vectorize(codes, smooth=2)  # compiles
    require_same(codes, outlines, smoothed)
    polygons = outlines.geometry.values
    cases = {
        "rasterio.features.shapes": lambda: by_rasterio(codes),
        "vectorize": lambda: vectorize(codes),
        "vectorize, smoothed": lambda: vectorize(codes, smooth=2),
        "smooth alone": lambda: smooth(outlines),
        "shapely.coverage_simplify": lambda: shapely.coverage_simplify(polygons, 15.0),
    }
    if find_spec("xrspatial"):
        cases["xarray-spatial polygonize"] = lambda: by_xarray_spatial(codes)
        cases["xarray-spatial polygonize"]()
    best = dict.fromkeys(cases, np.inf)
    for _ in range(options.rounds):
        for name, run in cases.items():
            start = process_time()
            run()
            best[name] = min(best[name], process_time() - start)
    left = int((~smoothed["smoothed"]).sum())
    print(f"{options.side} x {options.side} pixels, {len(outlines)} outlines, {left} of them not smoothed")
    print(f"{'':26} {'CPU s':>7} {'to rasterio':>12}   aim: smoothed in at most 2x")
    for name, value in best.items():
        print(f"{name:26} {value:7.2f} {value / best['rasterio.features.shapes']:11.2f}x")


if __name__ == "__main__":
    main()
