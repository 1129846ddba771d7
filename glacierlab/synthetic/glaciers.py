"""Where ice, debris, lakes and late snow lie on given mountains.

Ice flows by the shallow ice approximation (Cuffey and Paterson 2010, The Physics of Glaciers; formula and
constants read in OGGM's documentation, book not re-read). Debris, lakes and snow are constructions of ours.
Numbers without a source are assumptions chosen by eye.
"""

import numpy as np
from scipy import ndimage
from skimage.morphology import reconstruction

from . import _kernels

GLEN_A = 2.4e-24  # rate factor of temperate ice [Pa^-3 s^-1]
ICE_DENSITY = 900.0  # [kg m^-3]
GRAVITY = 9.81  # [m s^-2]
YEAR = 365.25 * 24 * 3600  # [s]


def smoothstep(value, low, high):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def steepness(surface, cell_m):
    """Magnitude of the gradient [m/m] of a surface (y, x) [m]."""
    return np.hypot(*np.gradient(surface, cell_m))


def snow_retention(bed, cell_m):
    """Share of snowfall that stays, 0 to 1: none on steep walls, less on windy crests."""
    crest = bed - ndimage.gaussian_filter(bed, 500 / cell_m)
    return (1 - smoothstep(steepness(bed, cell_m), 0.45, 0.72)) * (1 - 0.7 * smoothstep(crest, 20, 150))


def shade(bed, cell_m, poleward, *, range_m=80.0):
    """How much lower the equilibrium line lies (y, x) [m] on slopes that face the pole.

    `poleward` is 1 in the northern half, where that is up the rows, and -1 in the southern.
    """
    rise = poleward * np.gradient(ndimage.gaussian_filter(bed, 250 / cell_m), cell_m, axis=0)
    return range_m * rise / np.sqrt(1 + rise**2)


def ice_velocity(thickness, slope):
    """Depth-averaged speed [m/a] of ice of a thickness [m] on a surface slope [m/m], for Glen's n = 3.

    2 A (ρ g |∇s|)³ h⁴ / 5: the shallow ice approximation.
    """
    return 2 / 5 * GLEN_A * YEAR * (ICE_DENSITY * GRAVITY) ** 3 * slope**3 * (thickness * thickness) ** 2


def flow(
    bed, thickness, cell_m, ela_m, years, *, melt=0.010, growth=0.004, max_balance=1.5, max_diffusivity=4e4
):
    """Thickness (y, x) [m] of glaciers some years later, by the shallow ice approximation.

    Mass balance [m/a of ice] changes with height [m] from the equilibrium line `ela_m` (a number or (y, x))
    by `melt` below it and by `growth` above, up to `max_balance`; where no snow stays it is -1.
    `max_diffusivity` [m²/a] bounds the number of explicit steps.
    """
    later = np.array(thickness, dtype=float)
    line = np.array(np.broadcast_to(ela_m, bed.shape), dtype=float)
    retention = snow_retention(bed, cell_m)
    unit = ice_velocity(1.0, 1.0)
    _kernels.flow(
        bed, later, line, retention, years, cell_m, unit, melt, growth, max_balance, max_diffusivity
    )
    return later


def steady_ice(bed, cell_m, ela_m, *, years=500, fine_years=60, **balance):
    """Thickness (y, x) [m] of glaciers that grew on a bare bed [m] for so long that they hardly change.

    Cells twice as wide, for which a step may be four times as long, carry the first `years`.
    """
    coarse = ndimage.zoom(bed, 0.5, order=1, grid_mode=True, mode="nearest")
    line = np.broadcast_to(ela_m, bed.shape)
    coarse_line = ndimage.zoom(line, 0.5, order=1, grid_mode=True, mode="nearest")
    ice = flow(coarse, np.zeros_like(coarse), 2 * cell_m, coarse_line, years, **balance)
    scale = np.divide(bed.shape, coarse.shape)
    ice = ndimage.zoom(ice, scale, order=1, grid_mode=True, mode="nearest")
    return flow(bed, ice, cell_m, ela_m, fine_years, **balance)


def overdeepened(bed, ice, cell_m, *, share=0.2):
    """A bed (y, x) [m] that ice of a thickness [m] has dug into: basins that will hold lakes."""
    return bed - share * ndimage.gaussian_filter(ice, 150 / cell_m)


def ends(surface, ice, *, saddle_m=100.0):
    """Numbers (y, x) from 1 of the places where glaciers end, 0 elsewhere: one a glacier.

    An end is a low of the ice that no way leads out of without a climb of `saddle_m`.
    """
    ground = np.where(ice, surface, surface.max() + 2 * saddle_m)
    depth = reconstruction(ground + saddle_m, ground, method="erosion") - ground
    return ndimage.label((depth >= saddle_m - 1e-6) & ice, np.ones((3, 3)))[0]
