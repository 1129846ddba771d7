"""How fast are boundary distances? ASD and HD95 of two 4096 x 4096 masks, smooth and ragged.

`score`, which counts the pixels of both classes too, against border pixels by NumPy and a SciPy KD-tree of
them, distance transforms, and MONAI where it is installed. Smooth: outlines that differ by some pixels.
Ragged: noise, half of it border; masks of a quarter, half and all of the side show how time grows. Best of
several interleaved rounds, in CPU seconds too, for a clock on the wall also counts what others run.
"""

import argparse
import os
import resource
import subprocess
import sys
import warnings
from importlib.util import find_spec
from time import perf_counter, process_time

import dask
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from glacierlab.scores import score

AIM = 1.2  # times the KD-tree


def smooth_masks(side):
    """Prediction and reference (y, x) uint8: blobs, and the same a little elsewhere."""
    rng = np.random.default_rng(0)
    coarse = ndimage.gaussian_filter(
        rng.normal(size=(2, side // 4, side // 4)).astype("float32"), (0, 12, 12)
    )
    fine = [ndimage.zoom(layer, 4, order=1) for layer in (coarse[0], coarse[0] + 0.15 * coarse[1])]
    return [(layer > 0.01).astype("uint8") for layer in fine]


def ragged_masks(side):
    """Prediction and reference (y, x) uint8: noise."""
    return list(np.random.default_rng(0).integers(0, 2, (2, side, side), dtype="uint8"))


def borders(mask):
    """Where a mask ends, by its four neighbors."""
    padded = np.pad(mask.astype(bool), 1)
    inner = padded[1:-1, 1:-1]
    return inner & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def of_distances(there, back):
    every = np.concatenate([there, back])
    return float(every.mean()), float(np.percentile(every, 95))


def by_glacierlab(a, b):
    row = score(a, b).loc["glacier"]
    return row.asd_px, row.hd95_px


def by_tree(a, b):
    a, b = (np.argwhere(borders(mask)) for mask in (a, b))
    return of_distances(cKDTree(b).query(a)[0], cKDTree(a).query(b)[0])


def by_transform(a, b):
    a, b = borders(a), borders(b)
    return of_distances(ndimage.distance_transform_edt(~b)[a], ndimage.distance_transform_edt(~a)[b])


def by_monai(a, b):
    """MONAI's pooled mean alone: its HD95 is the larger of two directions, by the same transforms again."""
    import torch
    from monai.metrics import compute_average_surface_distance

    warnings.simplefilter("ignore", FutureWarning)  # its own, of an argument of its own
    sides = [torch.from_numpy(np.stack([1 - mask, mask])[None]) for mask in (a, b)]
    return float(compute_average_surface_distance(*sides, symmetric=True)), np.nan


def timed(run, *masks):
    """CPU and wall seconds, and what came out."""
    start = process_time(), perf_counter()
    result = run(*masks)
    return process_time() - start[0], perf_counter() - start[1], result


def compare(name, cases, masks, rounds):
    """Print one table; all must agree, except that MONAI's borders are its own."""
    best = dict.fromkeys(cases, (np.inf, np.inf))
    expected = by_glacierlab(*masks)
    for _ in range(rounds):
        for case, run in cases.items():
            cpu, wall, result = timed(run, *masks)
            best[case] = min(best[case][0], cpu), min(best[case][1], wall)
            if case != "MONAI":
                np.testing.assert_allclose(result, expected, rtol=1e-9)
    print(f"\n{name}\n{'':30} {'CPU s':>8} {'wall s':>8} {'ours to it':>11}")
    for case, (cpu, wall) in best.items():
        print(f"{case:30} {cpu:8.3f} {wall:8.3f} {best['glacierlab'][0] / cpu:10.2f}x")


def growth(side):
    """Print seconds, in all and a million pixels, and memory of ragged masks of growing sides."""
    print(f"\nragged\n{'side':>6} {'CPU s':>8} {'s / Mpx':>8} {'peak MB':>8}")
    for each in (side // 4, side // 2, side):
        command = [sys.executable, __file__, "--ragged", str(each)]
        said = subprocess.run(command, capture_output=True, check=True).stdout
        cpu, before, after = map(float, said.split())
        print(f"{each:6} {cpu:8.2f} {cpu / each**2 * 1e6:8.3f} {after:8.0f}, {before:.0f} before it began")


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ragged", type=int, help="this side of noise alone; prints seconds and megabytes")
    options = parser.parse_args()
    with dask.config.set(scheduler="threads", num_workers=min(2, os.cpu_count())):
        by_glacierlab(*smooth_masks(128))  # loads what it needs
        if options.ragged:
            masks, before = ragged_masks(options.ragged), peak_mb()
            print(timed(by_glacierlab, *masks)[0], before, peak_mb())
            return
        print(f"{options.side} x {options.side} pixels; aim: at most {AIM} times the KD-tree")
        growth(options.side)  # first, for a child's peak of memory begins with its parent's
        cases = {
            "glacierlab": by_glacierlab,
            "KD-tree (SciPy)": by_tree,
            "distance transforms (SciPy)": by_transform,
        }
        if find_spec("monai"):
            cases["MONAI"] = by_monai
        compare("smooth", cases, smooth_masks(options.side), options.rounds)
        del cases["distance transforms (SciPy)"]
        cases.pop("MONAI", None)
        compare("ragged", cases, ragged_masks(options.side // 4), 1)


if __name__ == "__main__":
    main()
