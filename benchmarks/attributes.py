"""How fast are the attributes of RGI 7.0? 1,000 glaciers on a DEM of 4096 x 4096 pixels of 30 m.

All columns, center lines too, with the DEM in memory and read lazily from a file; against a loop over the
outlines with `rasterio.mask` on the DEM's own grid, which finds elevation, slope and aspect only: no grid of
the glacier's own, no line. CPU seconds of one process; aim: under 60.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio.mask
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from scipy import ndimage

import glacierlab as gl
from glacierlab.io.layers import geodesic_area_km2

PIXEL_M = 30.0


def made_dem(side):
    """Rough mountains (y, x) float32 [m] by noise of many scales."""
    rng = np.random.default_rng(0)
    heights = np.full((side, side), 4500.0, dtype=np.float32)
    for step in (512, 256, 128, 64, 32, 16, 8):
        coarse = rng.normal(0, 1.6 * step, (side // step + 3, side // step + 3)).astype(np.float32)
        heights += ndimage.zoom(coarse, step, order=3)[step : step + side, step : step + side]
    coords = {"y": 3.1e6 - PIXEL_M * np.arange(side), "x": 5e5 + PIXEL_M * np.arange(side)}
    return xr.DataArray(heights, coords, ("y", "x")).rio.write_crs("EPSG:32645")


def made_glaciers(dem, count):
    """Ragged ellipses down the slope, areas lognormal about 0.8 km² (2 km² in the mean)."""
    rng = np.random.default_rng(1)
    side = int(np.ceil(np.sqrt(count)))
    step = dem.sizes["x"] * PIXEL_M / (side + 1)
    areas = np.clip(rng.lognormal(np.log(0.8e6), 1.35, count), 0.02e6, 150e6)
    outlines = []
    for place, area in enumerate(areas):
        x = dem["x"].item(0) + step * (1 + place % side)
        y = dem["y"].item(0) - step * (1 + place // side)
        turns = np.linspace(0, 2 * np.pi, max(16, int(4 * np.sqrt(area) / PIXEL_M)), endpoint=False)
        waves = sum(rng.normal(0, 0.12 / k) * np.sin(k * turns + rng.uniform(0, 6)) for k in range(2, 9))
        radius = np.sqrt(area / np.pi) * np.exp(waves)
        point = np.array([1.7 * radius * np.cos(turns), radius * np.sin(turns) / 1.7])
        turn = rng.uniform(0, np.pi)
        c, s = np.cos(turn), np.sin(turn)
        vertices = (np.array([[c, -s], [s, c]]) @ point).T + np.array([x, y])
        outlines.append(shapely.Polygon(vertices).buffer(0))
    names = [f"made-{place:04d}" for place in range(count)]
    return gpd.GeoDataFrame({"rgi_id": names}, geometry=outlines, crs="EPSG:32645")


def by_rasterio_mask(glaciers, path):
    """Elevation, slope and aspect with `rasterio.mask` on the DEM's grid, as loops after rasterstats go."""
    rows = []
    with rasterio.open(path) as file:
        for outline in glaciers.geometry:
            heights, _ = rasterio.mask.mask(file, [outline], crop=True, pad=True, nodata=np.nan)
            down, right = np.gradient(heights[0], PIXEL_M)
            slope, aspect = np.degrees(np.arctan(np.hypot(down, right))), np.arctan2(-right, down)
            mean = np.arctan2(np.nanmean(np.sin(aspect)), np.nanmean(np.cos(aspect)))
            levels = [getattr(np, f"nan{name}")(heights) for name in ("min", "max", "median", "mean")]
            rows.append([*levels, np.nanmean(slope), np.degrees(mean) % 360])
    return rows


def cpu_seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--glaciers", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore", gl.errors.DataWarning)  # outlines at the rim
    dem = made_dem(options.side)
    glaciers = made_glaciers(dem, options.glaciers)
    gl.outlines.attributes(glaciers[:3], dem)  # imports
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dem.tif"
        dem.rio.to_raster(path, tiled=True, compress="deflate")
        medians = [row[2] for row in by_rasterio_mask(glaciers[:100], path)]
        apart = np.abs(gl.outlines.attributes(glaciers[:100], path).zmed_m - medians)
        assert apart.median() < 5, f"median elevations differ by {apart.median():.1f} m"  # another grid
        seconds = {
            "glacierlab, DEM in memory": cpu_seconds(lambda: gl.outlines.attributes(glaciers, dem)),
            "glacierlab, DEM in a file": cpu_seconds(lambda: gl.outlines.attributes(glaciers, path)),
            "hypsometry": cpu_seconds(lambda: gl.outlines.hypsometry(glaciers, dem)),
            "center lines": cpu_seconds(lambda: gl.outlines.centerlines(glaciers, dem)),
            "rasterio.mask, no lines": cpu_seconds(lambda: by_rasterio_mask(glaciers, path)),
        }
    area = geodesic_area_km2(glaciers.geometry).sum()
    print(f"{options.glaciers} glaciers, {area:,.0f} km², on {options.side} x {options.side} pixels of 30 m")
    print(f"{'':28} {'CPU s':>8} {'ms each':>8} {'to rasterio.mask':>17}")
    for name, value in seconds.items():
        ratio = value / seconds["rasterio.mask, no lines"]
        print(f"{name:28} {value:8.2f} {1000 * value / options.glaciers:8.1f} {ratio:16.1f}x")


if __name__ == "__main__":
    main()
