"""What does the full stack of a whole tile cost? From a GeoTIFF of 10,980 x 10,980 pixels to Zarr.

A made scene is repeated over the tile, with coherence and phase, and written as deflate GeoTIFF. A second
process opens it in chunks of 1024 x 1024, fits the recipe "cryonet_landsat" and writes its stack with two
threads; the kernel tells the peak of its memory. Half the scene shows that the peak does not follow the size.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import dask
import numpy as np
import rasterio

import glacierlab as gl

RECIPE, CHUNK = "cryonet_landsat", 1024


def write_scene(path, shape):
    """A scene of all layers (y, x) as int16, in blocks of 512."""
    made = gl.synthetic_scene(seed=1, shape=(CHUNK, CHUNK)).drop_vars("truth")
    random = np.random.default_rng(0)
    made["coherence"] = made.red.copy(data=random.uniform(0, 1, made.red.shape))
    made["phase"] = made.red.copy(data=random.uniform(-3, 3, made.red.shape))
    profile = dict(driver="GTiff", height=shape[0], width=shape[1], count=len(made.data_vars), dtype="int16")
    profile |= dict(nodata=-9999, crs=made.rio.crs, transform=made.rio.transform(), interleave="band")
    profile |= dict(tiled=True, blockxsize=512, blockysize=512, compress="deflate", zlevel=1)
    with rasterio.open(path, "w", num_threads=2, **profile) as file:
        file.descriptions = list(made.data_vars)
        file.scales = [1.0 if name == "elevation" else 1e-4 for name in made.data_vars]
        for number, (values, scale) in enumerate(zip(made.data_vars.values(), file.scales, strict=True), 1):
            stored = np.round(values.values / scale).astype("int16")
            stored = np.pad(stored, [(0, CHUNK)] * 2, mode="symmetric")
            file.write(np.tile(stored, [-(-n // len(stored)) for n in shape])[: shape[0], : shape[1]], number)


def write_stack(path):
    """Fit and write in this process; prints what it cost as JSON."""
    with dask.config.set(scheduler="threads", num_workers=2):
        start = perf_counter()
        scene = gl.open_scene(path, sensor="landsat-8", radiometry="sr", chunks=CHUNK)
        recipe = gl.Recipe(RECIPE).fit(scene)
        fitted = perf_counter()
        stack = recipe.apply(scene)
        stack.to_dataset(name="stack").to_zarr(path.with_suffix(".zarr"), mode="w", zarr_format=2)
        written = perf_counter()
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20
    cost = dict(features=stack.sizes["feature"], fit=fitted - start, write=written - fitted, peak=peak)
    print(json.dumps(cost))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_980)
    parser.add_argument("--scene", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scene:
        return write_stack(options.scene)
    print(f"{'scene':>15} {'features':>8} {'fit':>8} {'write':>8} {'peak memory':>12}")
    for shape in ((options.side // 2, options.side), (options.side, options.side)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.tif"
            write_scene(path, shape)
            command = [sys.executable, __file__, "--scene", str(path)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        cost = json.loads(told)
        times = f"{cost['fit']:6.1f} s {cost['write']:6.1f} s"
        print(f"{shape[0]:>7} x{shape[1]:>6} {cost['features']:8} {times} {cost['peak']:8.2f} GiB")


if __name__ == "__main__":
    main()
