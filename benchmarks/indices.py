"""How fast are spectral indices?

One: NDSI of two bands in memory, against one numexpr call of the bare formula, and one of the formula with
our guard: NaN where both bands are <= 0 or all but cancel. Aim: 1.2 x of the bare one. Four: NDSI, NDVI, NDWI
and red/SWIR of a lazily opened scene in one dask graph, from files in the page cache to arrays, against four
numexpr calls on bands opened whole, and against plain xarray and spyndex on the same lazy bands; those three
without guard. Medians of interleaved rounds.
"""

import argparse
import tempfile
from pathlib import Path
from timeit import timeit

import dask
import numexpr
import numpy as np
import rasterio
import spyndex
import xarray as xr

import glacierlab as gl

BANDS = {"B03": "green", "B04": "red", "B05": "nir", "B06": "swir16"}
FORMULAS = {
    "ndsi": "(green - swir16) / (green + swir16)",
    "ndvi": "(nir - red) / (nir + red)",
    "ndwi": "(green - nir) / (green + nir)",
    "red/swir16": "red / swir16",
}
GUARDED = "where(((green <= 0) & (swir16 <= 0)) | (abs(green + swir16) < least), nan, {ndsi})"
NUMBERS = {"nan": np.float32(np.nan), "least": np.float32(1e-10)}
ROUNDS = 7


def write_scene(folder, side):
    """An HLS-like folder of one tiled file a band, reflectance 0.05 to 1 in steps of 1e-4."""
    rng = np.random.default_rng(0)
    profile = dict(driver="GTiff", dtype="int16", count=1, height=side, width=side, nodata=-9999)
    profile |= dict(tiled=True, blockxsize=512, blockysize=512)
    profile |= dict(crs="EPSG:32645", transform=rasterio.Affine(30, 0, 5e5, 0, -30, 3.1e6))
    for band in BANDS:
        path = folder / f"HLS.L30.T45RVL.2020229T044500.v2.0.{band}.tif"
        with rasterio.open(path, "w", **profile) as file:
            file.write(rng.integers(500, 10_000, (side, side), dtype="int16"), 1)


def by_numexpr(bands, formula):
    return numexpr.evaluate(formula, {**bands, **NUMBERS}, global_dict={})


def all_by_numexpr(folder):
    """Four calls on bands read whole."""
    scene = gl.open_scene(folder, bands=[*BANDS.values()])
    bands = {name: band.values for name, band in scene.data_vars.items()}
    return [by_numexpr(bands, formula) for formula in FORMULAS.values()]


def all_by_package(scene):
    layers = [scene.glacier.index(name) for name in ("ndsi", "ndvi", "ndwi")]
    return dask.compute(*layers, scene.glacier.ratio("red", "swir16"))


def all_by_xarray(scene):
    green, red, nir, swir16 = (scene[name] for name in BANDS.values())
    ndsi, ndvi = (green - swir16) / (green + swir16), (nir - red) / (nir + red)
    return dask.compute(ndsi, ndvi, (green - nir) / (green + nir), red / swir16)


def all_by_spyndex(scene):
    """Its three, and the ratio, which its catalog lacks, in xarray."""
    bands = dict(G=scene.green, R=scene.red, N=scene.nir, S1=scene.swir16)
    indices = spyndex.computeIndex(["NDSI", "NDVI", "NDWI"], params=bands)
    return dask.compute(*(indices.sel(index=name) for name in indices["index"]), scene.red / scene.swir16)


def compare(title, cases):
    """Print medians of interleaved rounds, and each one's ratio to the first."""
    for run in cases.values():
        run()
    rounds = [{name: timeit(run, number=1) for name, run in cases.items()} for _ in range(ROUNDS)]
    medians = {name: float(np.median([row[name] for row in rounds])) for name in cases}
    base = next(iter(medians.values()))
    print(title)
    for name, value in medians.items():
        print(f"  {name:36} {value:8.3f} s {value / base:6.2f} x")


def require_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-6)


def one_index(side):
    rng = np.random.default_rng(0)
    bands = {name: rng.uniform(0.05, 1, (side, side)).astype("float32") for name in ("green", "swir16")}
    scene = xr.Dataset({name: (("y", "x"), v) for name, v in bands.items()}, attrs={"radiometry": "sr"})
    guarded = GUARDED.format(ndsi=FORMULAS["ndsi"])
    cases = {
        "numexpr, bare": lambda: by_numexpr(bands, FORMULAS["ndsi"]),
        "numexpr, guarded": lambda: by_numexpr(bands, guarded),
        "glacierlab (aim: 1.2 x of bare)": lambda: scene.glacier.index("ndsi"),
    }
    results = [run() for run in cases.values()]
    require_equal(results[1:], results[:1] * 2)
    compare(f"NDSI of {side} x {side} pixels in memory", cases)


def four_indices(side):
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder), side)
        scene = gl.open_scene(folder, bands=[*BANDS.values()], chunks=1024)
        cases = {
            "glacierlab, one graph": lambda: all_by_package(scene),
            "numexpr, bands read whole": lambda: all_by_numexpr(folder),
            "xarray": lambda: all_by_xarray(scene),
            "spyndex": lambda: all_by_spyndex(scene),
        }
        results = [run() for run in cases.values()]
        for result in results[1:]:
            require_equal(result, results[0])
        compare(f"Four indices of a lazy scene of {side} x {side} pixels, from files", cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=5490)
    side = parser.parse_args().side
    one_index(side)
    four_indices(side)


if __name__ == "__main__":
    main()
