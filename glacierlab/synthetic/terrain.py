"""Fractal mountains in metres: valleys that drain, walls at the angle of repose, ridges between them.

The landforms are a construction of ours; every number in this file is an assumption chosen by eye.
"""

import numpy as np
from scipy import fft, ndimage, sparse
from scipy.sparse.csgraph import dijkstra


def fractal(rng, shape, cell_m, longest_m, exponent=3.0):
    """Noise (y, x), zero mean, unit deviation; power falls as wavenumber^-exponent below `longest_m`."""
    fy, fx = fft.fftfreq(shape[0], cell_m)[:, None], fft.rfftfreq(shape[1], cell_m)
    amplitude = (fy**2 + fx**2 + longest_m**-2.0) ** (-exponent / 4)
    field = fft.irfft2(fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape)
    return (field - field.mean()) / field.std()


def mountains(rng, shape, cell_m, *, valley_slope=0.2, wall_slope=1.0, valley_head_m2=1.2e6, outlets=7):
    """A landscape (y, x) [m] of valleys and ridges, without a closed basin.

    Every cell is as high as its least climb from one of `outlets` random cells on the border. A step climbs
    gently where more than `valley_head_m2` drain through it and steeply elsewhere; drained area follows
    from the climb and the climb from drained area, so a few rounds bring both into agreement.
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

    hardness = np.exp(0.4 * fractal(rng, shape, cell_m, longest_m=2500, exponent=2.6)).ravel()
    border = np.concatenate([cells[0], cells[-1], cells[1:-1, 0], cells[1:-1, -1]])
    mouths = rng.choice(border, outlets, replace=False)
    drained = np.full(cells.size, valley_head_m2)
    for _ in range(6):
        in_valley = 1 / (1 + (valley_head_m2 / drained) ** 3)
        slope = hardness * (valley_slope * in_valley + wall_slope * (1 - in_valley))
        climb = length * (slope[one] + slope[other]) / 2
        graph = sparse.csr_array((climb, (one, other)), shape=(cells.size, cells.size))
        climbs = dijkstra(graph, directed=False, indices=mouths, min_only=True, return_predecessors=True)
        height, below, _ = climbs
        drained = drained_area(height, below, cell_m**2)
    height = ndimage.minimum_filter(height.reshape(shape), size=3)  # wide valley floors, narrow ridges
    return ndimage.gaussian_filter(height, 0.8)


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
