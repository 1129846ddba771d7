"""How much does opening cost? A 5490 x 5490 scene of six bands, from files to a red/SWIR mask.

Against the same scaling, masking and arithmetic in plain NumPy on arrays already in memory. The files are
written first, so they are in the page cache. Median of three interleaved rounds.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np
import rasterio

import glacierlab as gl

BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B05": "nir", "B06": "swir16", "B07": "swir22"}
NODATA, GAIN = -9999, 1e-4


def made_numbers(side):
    """Stored numbers (band, y, x) int16 of a smooth, noisy made scene with 3 % nodata."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side].astype("float32") / side
    surface = 3000 + 2500 * np.sin(9 * x + 4 * y) * np.cos(7 * y)
    stack = [surface * weight + rng.normal(0, 60, surface.shape) for weight in (1.1, 1.1, 1, 0.9, 0.4, 0.3)]
    stack = np.clip(stack, -200, 12000).astype("int16")
    stack[:, : side // 33] = NODATA
    return stack


def write_scene(folder, stack, **options):
    """An HLS-like folder of one file a band."""
    profile = dict(driver="GTiff", dtype="int16", count=1, height=stack.shape[1], width=stack.shape[2])
    profile |= dict(tiled=True, blockxsize=512, blockysize=512)
    profile |= dict(crs="EPSG:32645", transform=rasterio.Affine(30, 0, 5e5, 0, -30, 3.1e6), nodata=NODATA)
    for name, values in zip(BANDS, stack, strict=True):
        path = folder / f"HLS.L30.T45RVL.2020229T044500.v2.0.{name}.tif"
        with rasterio.open(path, "w", **profile, **options) as file:
            file.write(values, 1)


def in_numpy(stack):
    """All six bands scaled and masked, the ratio with its floor, and the mask, in plain NumPy."""
    scene = {}
    for name, stored in zip(BANDS.values(), stack, strict=True):
        band = stored.astype("float32") * np.float32(GAIN)
        band[stored == NODATA] = np.nan
        scene[name] = band
    ratio = scene["red"] / np.maximum(scene["swir16"], np.float32(GAIN))
    mask = (ratio > 2).astype("uint8")
    mask[np.isnan(ratio)] = 255
    return mask


def by_package(folder, chunks=None):
    """The same through the public API."""
    scene = gl.open_scene(folder, chunks=chunks)
    return scene.glacier.ratio("red", "swir16").glacier.threshold(2).values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=5490)
    side = parser.parse_args().side
    stack = made_numbers(side)
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"uncompressed": {}, "deflate": {"compress": "deflate", "predictor": 2}}
        for kind, options in kinds.items():
            (Path(folder) / kind).mkdir()
            write_scene(Path(folder) / kind, stack, **options)
            assert np.array_equal(by_package(Path(folder) / kind), in_numpy(stack))
        ways = {"whole": None, "lazy, two bands": 1830}  # chunks; a lazy scene reads what the ratio needs
        cases = {f"{kind}, {way}": (Path(folder) / kind, n) for kind in kinds for way, n in ways.items()}
        rounds = []
        for _ in range(3):
            row = {"NumPy, six bands": timeit(lambda: in_numpy(stack), number=1)}
            row |= {case: timeit(partial(by_package, *asked), number=1) for case, asked in cases.items()}
            rounds.append(row)
    medians = {case: float(np.median([row[case] for row in rounds])) for case in rounds[0]}
    base = medians["NumPy, six bands"]
    print(f"{side} x {side} pixels, six bands; seconds and ratio to NumPy on arrays in memory")
    for case, value in medians.items():
        print(f"{case:30} {value:7.2f} s  {value / base:5.2f} x")


if __name__ == "__main__":
    main()
