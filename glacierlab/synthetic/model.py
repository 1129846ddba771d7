"""Mountains and their ice on a coarse grid, from a great advance through the years asked for."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.interpolate import RectBivariateSpline
from skimage.morphology import reconstruction

from . import glaciers
from .terrain import mountains

CELL = 130.0  # [m]
MARGIN = 12  # cells: the model's own border stays out of the picture
ADVANCE, REFERENCE = (
    1900,
    2000,
)  # years: glaciers are steady in the first, and named as they are in the second
ELA_QUANTILE = 0.82  # of the heights of valley floors, where the equilibrium line lies in the second
ELA_ROSE = 130.0  # from the first to the second [m]
STRIDE = 5  # years between two positions of the line
MORAINE = 60.0  # height of an end moraine [m], before it is rounded


@dataclass(frozen=True)
class Model:
    """Fields (y, x) on cells of `CELL`, with `MARGIN` cells around the picture; all [m]."""

    bed: np.ndarray
    ela_m: float  # equilibrium line of the year of reference, on level ground
    ice: dict[int, np.ndarray]  # thickness by year
    advance: np.ndarray  # thickness at the great advance
    lake_depth: np.ndarray  # of the water that the basins of the bed would hold
    lake_level: np.ndarray  # its surface, two cells further; NaN beyond
    rivers: np.ndarray  # (n, 2, 2): cells (y, x) from and to which rivers run

    def spline(self, field, degree=3):
        """A function of positions down and across [m from the picture's corner] → field (y, x)."""
        axes = [(np.arange(n) + 0.5 - MARGIN) * CELL for n in field.shape]
        return RectBivariateSpline(*axes, field, kx=degree, ky=degree)

    def nearest(self, field, axes):
        """A field (y, x) at the nearest cells of positions down and across [m]."""
        rows, columns = (np.clip((axis / CELL + MARGIN).astype(int), 0, None) for axis in axes)
        return field[np.ix_(rows, columns)]


def line_rise(year, rise_m_a):
    """How far the equilibrium line has risen since the year of reference [m], `rise_m_a` a year after it."""
    since = year - REFERENCE
    return rise_m_a * since if since > 0 else ELA_ROSE * since / (REFERENCE - ADVANCE)


def simulate(noise, extent_m, years, rise_m_a, poleward=1):
    """A model of a landscape of an extent (height, width) [m]; a year does not depend on the others.

    `poleward` as of `glaciers.shade`.
    """
    shape = [int(np.ceil(side / CELL)) + 2 * MARGIN for side in extent_m]
    bed, drained, below = mountains(noise.rng("mountains"), shape, CELL)
    floors = bed[glaciers.snow_retention(bed, CELL) > 0.5]
    ela_m = float(np.quantile(floors, ELA_QUANTILE))
    line = ela_m - glaciers.shade(bed, CELL, poleward)
    advance = glaciers.steady_ice(bed, CELL, line - ELA_ROSE)
    rivers = courses(noise.rng("rivers"), drained, below)
    bed = with_moraines(glaciers.overdeepened(bed, advance, CELL), advance)

    ice, thickness, at = {}, advance, ADVANCE
    for year in sorted({*years, REFERENCE}):
        while at + STRIDE <= year:
            at += STRIDE
            thickness = glaciers.flow(bed, thickness, CELL, line + line_rise(at, rise_m_a), STRIDE)
        later = glaciers.flow(bed, thickness, CELL, line + line_rise(year, rise_m_a), year - at)
        ice[year] = later.astype(np.float32)
    return Model(bed, ela_m, ice, advance.astype(np.float32), *lakes(bed), rivers)


def with_moraines(bed, ice, *, min_ice_m=8.0):
    """A bed (y, x) [m] with a wall where the ice ended, higher the lower it ended."""
    covered = ice > min_ice_m
    rim = ndimage.binary_dilation(covered) & ~covered
    labels, _ = ndimage.label(covered)
    numbers = np.arange(labels.max() + 1)
    low, high = (np.asarray(f(bed, labels, numbers)) for f in (ndimage.minimum, ndimage.maximum))
    owner = ndimage.grey_dilation(labels, size=3)  # of the rim
    depth = (bed - low[owner]) / np.maximum(high - low, 1)[owner]
    return bed + MORAINE * ndimage.gaussian_filter(rim * np.clip(1 - 3 * depth, 0, 1), 0.6)


def lakes(bed, *, min_depth_m=3.0, min_cells=4):
    """Depth of the lakes (y, x) [m] that the closed basins of a bed would hold, and their level."""
    seed = np.full_like(bed, bed.max())
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        seed[edge] = bed[edge]
    filled = reconstruction(seed, bed, method="erosion")
    labels, count = ndimage.label(filled > bed)
    numbers = np.arange(count + 1)
    keep = ndimage.maximum(filled - bed, labels, numbers) >= min_depth_m
    keep &= np.bincount(labels.ravel(), minlength=count + 1) >= min_cells
    keep[0] = False
    level = np.append(np.nan, ndimage.maximum(filled, labels, numbers)[1:])
    near = ndimage.grey_dilation(labels * keep[labels], size=5)  # a shore lies between cells
    return np.where(keep[labels], filled - bed, 0), level[near]


def courses(rng, drained, below, *, min_area_m2=8e6):
    """From where to where (n, 2, 2) rivers run, in cells (y, x); they wind about the cells that drain."""
    cells = np.flatnonzero((drained.ravel() >= min_area_m2) & (below >= 0))
    at = np.stack(np.unravel_index(np.arange(drained.size), drained.shape), axis=1).astype(float)
    at += rng.normal(0, 1.2, at.shape)
    for _ in range(3):
        ahead = at[below[cells]]
        at[cells] = (at[cells] + ahead) / 2
    return np.stack([at[cells], at[below[cells]]], axis=1)
