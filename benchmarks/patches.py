"""How fast do patches reach a network? 13 x 256 x 256 float32 from Zarr, through a DataLoader of two workers.

A made stack lies in the page cache, uncompressed, in chunks that are a patch or one feature of 512 x 512; its
patches are read where chunks begin and askew, by dask, and from the cache that `to_zarr` writes. Beside them
plain NumPy: the same patches in one memory-mapped array. Best of two epochs in shuffled order, workers
running. The kernel tells the peak of memory of a process that reads 200 patches, and 2000.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from glacierlab.samples import PatchSet

FEATURES, SIZE, WORKERS, ASKEW, AIM = 13, 256, 2, 100, 300
REPEATS = 3  # how often an epoch sees each patch
CHUNKS = {"a patch a chunk": (FEATURES, SIZE, SIZE), "512 x 512 of a feature": (1, 512, 512)}


def write_stack(path, side, chunks):
    """A stack (feature, y, x) of noise as Zarr."""
    random = np.random.default_rng(0)
    step = 10.0 * np.arange(side)
    names = np.array([f"layer{n}" for n in range(FEATURES)], dtype=object)
    coords = {"feature": names, "y": 5.1e6 - step, "x": 5e5 + step}
    values = random.random((FEATURES, side, side), dtype=np.float32)
    stack = xr.DataArray(values, coords, ("feature", "y", "x"), name="features")
    layout = {"features": {"chunks": chunks, "compressors": None}}
    stack.to_dataset().to_zarr(path, encoding=layout, consolidated=False)


def open_patches(path, askew=0, chunks=None, stride=SIZE):
    """All patches of a stack, with labels by a rule."""
    stack = xr.open_zarr(path, chunks=chunks, consolidated=False)["features"]
    stack = stack.rio.write_crs(32632).isel(y=slice(askew, None), x=slice(askew, None))
    rows, columns = np.ogrid[: stack.sizes["y"], : stack.sizes["x"]]
    labels = stack.isel(feature=0, drop=True).copy(data=((rows // 64 + columns // 64) % 2).astype(np.uint8))
    return PatchSet.from_scenes({"stack": stack}, {"stack": labels}, size=SIZE, stride=stride)


class PlainNumPy(Dataset):
    """Patches and labels of memory-mapped arrays."""

    def __init__(self, folder):
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy", mmap_mode="r")

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, label = np.array(self.images[index]), self.labels[index].astype(np.int64)
        return torch.from_numpy(image), torch.from_numpy(label)


def write_plain(patches, folder):
    """The patches as two NumPy files."""
    shapes = {"images": ((FEATURES, SIZE, SIZE), "float32"), "labels": ((SIZE, SIZE), "uint8")}
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (len(patches), *shape))
        for name, (shape, dtype) in shapes.items()
    ]
    for number, pair in enumerate(patches):
        for array, values in zip(arrays, pair, strict=True):
            array[number] = values


def rate(loader):
    """Patches a second of one epoch."""
    start = perf_counter()
    count = sum(len(images) for images, _ in loader)
    return count / (perf_counter() - start)


def peak_of(path, count):
    """Peak memory [MiB] that reading `count` patches adds to a process which has read ten."""
    run = [sys.executable, __file__, "--peak", str(path), str(count)]
    return float(subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout)


def print_peak(path, count):
    patches = open_patches(path, stride=32)
    dataset = patches.torch()
    for index in range(10):
        dataset[index]
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    for index in np.linspace(0, len(patches) - 1, int(count)).astype(int):
        dataset[index]
    print(memory("VmHWM") - before)


def memory(kind):
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) / 2**10


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2660)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        return print_peak(*options.peak)
    with tempfile.TemporaryDirectory() as name:
        folder, sets = Path(name), {}
        for number, (said, chunks) in enumerate(CHUNKS.items()):
            path = folder / f"{number}.zarr"
            write_stack(path, options.side, chunks)
            sets[f"{said}, aligned"] = open_patches(path)
            sets[f"{said}, askew"] = open_patches(path, ASKEW)
            sets[f"{said}, by dask"] = open_patches(path, chunks={})
        start, first = perf_counter(), next(iter(sets.values()))
        sets["cache of to_zarr"] = first.to_zarr(folder / "cache")
        written = len(first) / (perf_counter() - start)
        write_plain(first, folder)
        datasets = {"plain NumPy": PlainNumPy(folder)}
        datasets |= {said: patches.torch() for said, patches in sets.items()}
        for index in (0, len(first) - 1):
            expected = datasets["plain NumPy"][index]
            for said, dataset in datasets.items():
                same = [torch.equal(a, b) for a, b in zip(dataset[index], expected, strict=True)]
                assert all(same) or "askew" in said, said
        best = {}
        for said, dataset in datasets.items():
            options = dict(batch_size=8, shuffle=True, num_workers=WORKERS, persistent_workers=True)
            loader = DataLoader(ConcatDataset([dataset] * REPEATS), **options)
            rate(loader)
            best[said] = max(rate(loader) for _ in range(2))
            del loader
        print(f"{FEATURES} x {SIZE} x {SIZE} float32, {WORKERS} workers; aim {AIM} patches/s")
        print(f"{'':36} {'patches/s':>10} {'of plain':>9}")
        for said, value in best.items():
            print(f"{said:36} {value:10.0f} {value / best['plain NumPy']:8.2f}x")
        print(f"written to the cache: {written:.0f} patches/s")
        peaks = [peak_of(folder / "0.zarr", count) for count in (200, 2000)]
        print(f"peak memory beyond the first ten patches: 200 {peaks[0]:.0f} MiB, 2000 {peaks[1]:.0f} MiB")


if __name__ == "__main__":
    main()
