"""Fractal mountains in meters: valleys that drain, walls at the angle of repose, ridges between them.

Valley floors fall the less, the more land drains through them, as rivers do (Flint 1974,
doi:10.1029/WR010i005p00969). The rest is a construction of ours; its numbers are assumptions chosen by eye.
"""

from zlib import crc32

import numpy as np
from scipy import fft, ndimage, sparse
from scipy.sparse.csgraph import dijkstra

CONCAVITY = 0.45  # a valley's slope goes with drained area to the minus this (Flint 1974; usual 0.4 to 0.6)
TILE = 2048  # cells: larger noise repeats itself


class Noise:
    """Random fields by name: the same seeds and name give the same field, whatever was made before it."""

    def __init__(self, *seeds):
        self.seeds = seeds

    def rng(self, name):
        return np.random.default_rng([*self.seeds, crc32(name.encode())])

    def __call__(self, name, shape, cell_m, longest_m, exponent=3.0):
        """As `fractal`."""
        return fractal(self.rng(name), shape, cell_m, longest_m, exponent)


def fractal(rng, shape, cell_m, longest_m, exponent=3.0):
    """Noise (y, x) float32, zero mean, unit deviation; power falls as wavenumber^-exponent below `longest_m`.

    Fields wider than `TILE` cells repeat themselves, without a seam.
    """
    tile = tuple(min(n, TILE) for n in shape)
    fy = fft.fftfreq(tile[0], cell_m)[:, None].astype(np.float32)
    fx = fft.rfftfreq(tile[1], cell_m).astype(np.float32)
    spectrum = fft.rfft2(rng.standard_normal(tile, dtype=np.float32), workers=-1)
    spectrum *= (fy**2 + fx**2 + np.float32(longest_m**-2.0)) ** np.float32(-exponent / 4)
    field = fft.irfft2(spectrum, s=tile, workers=-1)
    field -= field.mean(dtype=np.float64)
    field /= field.std(dtype=np.float64)
    return (
        field
        if tile == tuple(shape)
        else np.pad(field, [(0, n - m) for n, m in zip(shape, tile, strict=True)], "wrap")
    )


def mountains(rng, shape, cell_m, *, valley_slope=0.22, wall_slope=0.7, valley_head_m2=1.2e6, outlet_m=7000):
    """A landscape (y, x) [m] of valleys and ridges, without a closed basin.

    Every cell is as high as its least climb from random cells on the border, one for each `outlet_m` of it. A
    step climbs gently where more than `valley_head_m2` drain through it and steeply elsewhere; drained area
    follows from the climb and the climb from drained area, so a few rounds bring both into agreement.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        Heights (y, x) float64 [m], area [m²] that drains through each cell (y, x), and the cell that each
        drains to (y x,), negative at an outlet.
    """
    cells = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)  # older SciPy graphs take no other type
    neighbors = [
        (cells[:, :-1], cells[:, 1:], 1.0),
        (cells[:-1], cells[1:], 1.0),
        (cells[:-1, :-1], cells[1:, 1:], 2**0.5),
        (cells[:-1, 1:], cells[1:, :-1], 2**0.5),
    ]
    one = np.concatenate([a.ravel() for a, _, _ in neighbors])
    other = np.concatenate([b.ravel() for _, b, _ in neighbors])
    length = cell_m * np.concatenate([np.full(a.size, step) for a, _, step in neighbors])

    hardness = 0.25 * fractal(rng, shape, cell_m, longest_m=2500, exponent=2.6)
    hardness = np.exp(hardness + 0.3 * fractal(rng, shape, cell_m, longest_m=12_000, exponent=3.5)).ravel()
    border = np.concatenate([cells[0], cells[-1], cells[1:-1, 0], cells[1:-1, -1]])
    mouths = rng.choice(border, max(3, round(border.size * cell_m / outlet_m)), replace=False)
    drained = np.full(cells.size, valley_head_m2)
    for _ in range(6):
        in_valley = 1 / (1 + (valley_head_m2 / drained) ** 3)
        floor = valley_slope * np.maximum(drained / valley_head_m2, 1) ** -CONCAVITY
        slope = hardness * (floor * in_valley + wall_slope * (1 - in_valley))
        climb = length * (slope[one] + slope[other]) / 2
        graph = sparse.csr_array((climb, (one, other)), shape=(cells.size, cells.size))
        climbs = dijkstra(graph, directed=False, indices=mouths, min_only=True, return_predecessors=True)
        height, below, _ = climbs
        drained = drained_area(height, below, cell_m**2)
    height = ndimage.minimum_filter(height.reshape(shape), size=3)  # wide valley floors, narrow ridges
    return ndimage.gaussian_filter(height, 0.8), drained.reshape(shape), below


def drained_area(height, below, cell_area_m2):
    """Area [m²] that drains through each cell (n,), from heights and the cell below each (< 0: none)."""
    order = np.argsort(-height, kind="stable")
    rank = np.empty_like(order, dtype=np.int32)
    rank[order] = np.arange(order.size)
    flows = np.flatnonzero(below >= 0)
    ends = (rank[below[flows]], rank[flows])
    inflow = sparse.csr_array((np.ones(flows.size), ends), shape=(order.size, order.size))
    balance = sparse.eye_array(order.size, format="csr") - inflow  # area less what flows in is a cell's own
    own = np.full(order.size, cell_area_m2)
    return sparse.linalg.spsolve_triangular(balance, own, lower=True, unit_diagonal=True)[rank]
