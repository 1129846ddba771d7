"""How fast are principal components and the tasseled cap?

PCA: fit and three components of a (10, 4096, 4096) float32 stack with 5 % NaN, against scikit-learn on the
observed pixels (IncrementalPCA and the covariance solver); aims: 5 and 20 times as fast in a quarter of the
memory. Tasseled cap: six bands of 4096 x 4096 to six components, against one matrix product; aim: 2 x.
Medians of interleaved rounds; the peak memory of each in a process of its own, after a small run (Linux).
"""

import argparse
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np
import xarray as xr

NAMES = ["blue", "green", "red", "nir", "swir16", "swir22"]


def made_stack(side, features=10):
    """Correlated layers (features, side, side) float32 with 5 % of the pixels unobserved."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(features, features)).astype("float32")
    stack = np.empty((features, side, side), np.float32)
    for row in range(side):
        stack[:, row] = mixing @ rng.standard_normal((features, side), dtype=np.float32)
        stack[:, row, rng.random(side) < 0.05] = np.nan
    return xr.DataArray(stack, {"feature": [f"f{i}" for i in range(features)]}, ("feature", "y", "x"))


def ours(stack):
    from glacierlab.features import PCA

    return PCA.fit(stack, 3).transform(stack).values


def by_scikit_learn(stack, solver):
    from sklearn.decomposition import PCA, IncrementalPCA

    pixels = stack.values.reshape(len(stack), -1).T
    seen = np.isfinite(pixels).all(axis=1)
    if solver == "incremental":
        model = IncrementalPCA(3, batch_size=100_000)
    else:
        model = PCA(3, svd_solver="covariance_eigh")
    out = np.full((len(pixels), 3), np.nan, np.float32)
    out[seen] = model.fit_transform(pixels[seen])
    return out


def require_exact(stack):
    """Our components are those of NumPy's covariance in float64, up to their signs."""
    pixels = stack.values.reshape(len(stack), -1)
    seen = np.isfinite(pixels).all(axis=0)
    pixels = pixels[:, seen].astype("float64")
    vectors = np.linalg.eigh(np.cov(pixels))[1][:, :-4:-1]
    expected = vectors.T @ (pixels - pixels.mean(axis=1, keepdims=True))
    found = ours(stack).reshape(3, -1)[:, seen]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-5, atol=1e-5)


def caps(side):
    """Our tasseled cap and the same by one matrix product."""
    import glacierlab as gl

    rng = np.random.default_rng(1)
    values = rng.random((6, side, side), dtype=np.float32)
    attrs = {"sensor": "landsat_oli", "radiometry": "toa"}
    scene = xr.Dataset({n: (("y", "x"), v) for n, v in zip(NAMES, values, strict=True)}, attrs=attrs)
    rows = list(gl.tables.TASSELED_CAP["landsat8_oli_toa_baig2014"].coefficients.values())
    matrix = np.array(rows, np.float32)
    return {
        "tasseled cap, six components": lambda: scene.glacier.tasseled_cap().values,
        "one product by np.tensordot": lambda: np.tensordot(matrix, values, axes=1),
    }


WAYS = {
    "glacierlab PCA": ours,
    "scikit-learn covariance solver": lambda stack: by_scikit_learn(stack, "covariance"),
    "scikit-learn IncrementalPCA": lambda stack: by_scikit_learn(stack, "incremental"),
}


def peak_so_far_mb():
    """This process's peak memory [MB], as Linux tells it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000


def peak_mb(way, side):
    """Peak memory [MB] that a way adds to the stack, in a process of its own."""
    command = [sys.executable, __file__, "--side", str(side), "--memory-of", way]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(title, rounds):
    """Print medians and ratios to the first."""
    print(title)
    medians = {name: float(np.median([row[name] for row in rounds])) for name in rounds[0]}
    first = next(iter(medians.values()))
    for name, value in medians.items():
        print(f"  {name:34} {value:8.3f} s {value / first:7.1f} x")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--memory-of", choices=WAYS)
    asked = parser.parse_args()
    stack = made_stack(asked.side)
    if asked.memory_of:
        WAYS[asked.memory_of](stack[:, :256, :256])  # loads and compiles
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = peak_so_far_mb()
        WAYS[asked.memory_of](stack)
        print(peak_so_far_mb() - before)
        return
    require_exact(stack[:, :256, :256])
    ours(stack[:, :8])
    compare(
        f"PCA of a (10, {asked.side}, {asked.side}) stack, fit and three components",
        [{name: timeit(partial(way, stack), number=1) for name, way in WAYS.items()} for _ in range(3)],
    )
    del stack
    for name in WAYS:
        print(f"  {name:34} {peak_mb(name, asked.side):8.0f} MB above the stack")
    ways = dict(reversed(caps(asked.side).items()))
    np.testing.assert_allclose(*(way() for way in ways.values()), atol=1e-5)
    rounds = [{name: timeit(way, number=1) for name, way in ways.items()} for _ in range(7)]
    compare(f"Tasseled cap of {asked.side} x {asked.side} pixels", rounds)


if __name__ == "__main__":
    main()
