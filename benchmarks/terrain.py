"""How fast are terrain layers? Slope, aspect, profile and plan curvature of a 4096 x 4096 DEM.

Against gdaldem (slope and aspect only, files in memory-backed storage where there is one), xarray-spatial on
dask threads and xdem, each where it is installed. Best of seven interleaved rounds.
"""

import argparse
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from timeit import timeit

import dask
import numpy as np
import xarray as xr

from glacierlab.features.dem import terrain

LAYERS = ["slope", "aspect", "profile_curvature", "plan_curvature"]


def made_dem(side):
    """Noisy hills (y, x) float32 [m], pixels of 30 m."""
    y, x = np.mgrid[:side, :side].astype("float32")
    heights = 3000 + 800 * np.sin(x / 90) * np.cos(y / 70)
    heights += np.random.default_rng(0).normal(0, 3, heights.shape).astype("float32")
    coords = {"y": 3.1e6 - 30.0 * np.arange(side), "x": 5e5 + 30.0 * np.arange(side)}
    return xr.DataArray(heights, coords, ("y", "x")).rio.write_crs("EPSG:32645")


def by_gdaldem(path):
    """Slope and aspect, file to file."""
    for mode in ("slope", "aspect"):
        subprocess.run(["gdaldem", mode, path, path.with_name(f"{mode}.tif"), "-q"], check=True)


def by_xarray_spatial(dem):
    """Slope, aspect and its one curvature, as a dask graph."""
    import xrspatial

    dem = dem.assign_attrs(res=(30.0, 30.0))
    dask.compute(xrspatial.slope(dem), xrspatial.aspect(dem), xrspatial.curvature(dem))


def by_xdem(dem):
    """The four layers."""
    from xdem.terrain import get_terrain_attribute

    names = ["slope", "aspect", "profile_curvature", "planform_curvature"]
    get_terrain_attribute(dem.values, names, resolution=30.0, surface_fit="ZevenbergThorne")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    dem = made_dem(options.side)
    lazy = dem.chunk(y=512, x=-1)
    shaded = dict(layers="cast_shadow", sun_azimuth=152, sun_elevation=30)
    cases = {
        "glacierlab": lambda: terrain(dem, LAYERS),
        "glacierlab, dask": lambda: terrain(lazy, LAYERS).compute(),
        "glacierlab, cast shadow": lambda: terrain(dem, **shaded),
    }
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        if shutil.which("gdaldem"):
            dem.rio.to_raster(Path(folder) / "dem.tif")
            cases["gdaldem, slope + aspect"] = lambda: by_gdaldem(Path(folder) / "dem.tif")
        if find_spec("xrspatial"):
            cases["xarray-spatial, dask"] = lambda: by_xarray_spatial(lazy)
        if find_spec("xdem"):
            cases["xdem"] = lambda: by_xdem(dem)
        with dask.config.set(scheduler="threads", num_workers=options.threads):
            for run in cases.values():
                run()  # compiles
            rounds = [{name: timeit(run, number=1) for name, run in cases.items()} for _ in range(7)]
    best = {name: min(row[name] for row in rounds) for name in cases}
    print(f"{options.side} x {options.side} pixels, {options.threads} threads; aim: others 8x")
    print(f"{'':26} {'seconds':>9} {'to ours':>8} {'to ours on dask':>16}")
    for name, value in best.items():
        ratios = [value / best[ours] for ours in ("glacierlab", "glacierlab, dask")]
        print(f"{name:26} {value:9.3f} {ratios[0]:7.1f}x {ratios[1]:15.1f}x")


if __name__ == "__main__":
    main()
