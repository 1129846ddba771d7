"""Where ice, debris, lakes and late snow lie on given mountains.

Ice flows by the shallow ice approximation (Cuffey and Paterson 2010, The Physics of Glaciers; formula and
constants read in OGGM's documentation, book not re-read). Debris, lakes and snow are constructions of ours.
Numbers without a source are assumptions chosen by eye.
"""

import numpy as np
from scipy import ndimage

from .terrain import fractal

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
    """Share of snowfall that stays, 0 to 1: little on steep walls, none on windy crests."""
    crest = bed - ndimage.gaussian_filter(bed, 500 / cell_m)
    return (1 - smoothstep(steepness(bed, cell_m), 0.45, 0.75)) * (1 - smoothstep(crest, -30, 30))


def ice_velocity(thickness, slope):
    """Depth-averaged speed [m/a] of ice of a thickness [m] on a surface slope [m/m], for Glen's n = 3.

    2 A (ρ g |∇s|)³ h⁴ / 5: the shallow ice approximation.
    """
    return 2 / 5 * GLEN_A * YEAR * (ICE_DENSITY * GRAVITY) ** 3 * slope**3 * (thickness * thickness) ** 2


def ice_thickness(bed, cell_m, ela_m, *, years=250, gradient=0.006, max_balance=1.5, max_diffusivity=4e4):
    """Thickness (y, x) [m] of glaciers that grew for `years` on a bare bed [m]: close to a steady state.

    Mass balance [m/a of ice] grows by `gradient` with height above the equilibrium line `ela_m` up to
    `max_balance`; where no snow stays it is -1. `max_diffusivity` [m²/a] bounds the number of explicit steps.
    """
    retention = snow_retention(bed, cell_m)
    thickness = np.zeros_like(bed)
    per_unit_slope = ice_velocity(1.0, 1.0)
    year = 0.0
    while year < years:
        surface = bed + thickness
        balance = np.minimum(gradient * (surface - ela_m), max_balance)
        balance = np.where(balance > 0, retention * (balance + 1) - 1, balance)
        dy, dx = np.gradient(surface, cell_m)
        slope_squared = dy * dy + dx * dx
        squared = thickness * thickness
        conductance = per_unit_slope * squared * squared * thickness
        fluxes = []
        for turn in (np.asarray, np.transpose):  # along y, then along x
            slope = np.diff(turn(surface), axis=0) / cell_m
            c, g = turn(conductance), turn(slope_squared)
            source = np.where(slope > 0, c[1:], c[:-1])  # ice comes from the higher side
            diffusivity = np.minimum(source * (g[1:] + g[:-1]) / 2, max_diffusivity)
            fluxes.append((turn, diffusivity, slope))
        step = min(0.22 * cell_m**2 / max(1e3, *(flux[1].max() for flux in fluxes)), years - year)
        change = balance * step
        for turn, diffusivity, slope in fluxes:
            quarter = turn(thickness) / 4  # no face takes more than a quarter of what a cell has
            moved = np.clip(diffusivity * slope * step / cell_m, -quarter[:-1], quarter[1:])
            turn(change)[:-1] += moved
            turn(change)[1:] -= moved
        thickness = np.maximum(thickness + change, 0)
        year += step
    return thickness


def without_small(mask, cell_m, min_area_m2=50_000):
    """A mask (y, x) without its pieces smaller than `min_area_m2` and without loose threads."""
    labels, _ = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    large = np.bincount(labels.ravel()) * cell_m**2 >= min_area_m2
    large[0] = False
    return large[labels]


def mean_up_glacier(field, ice, surface, cell_m, *, length_m=2500):
    """Mean of a field (y, x) along the way the ice of each pixel came, by steepest ascent; 0 off the ice."""
    dy, dx = np.gradient(ndimage.gaussian_filter(surface, 60 / cell_m))
    stride = max(1.0, 40 / cell_m) / (np.hypot(dy, dx) + 1e-6)  # [pixels]
    rise_y, rise_x = stride * dy, stride * dx
    y, x = (axis.astype(float) for axis in np.nonzero(ice))
    steps = int(length_m / max(cell_m, 40)) + 1
    total = np.zeros(y.size)
    for _ in range(steps):
        at = np.rint(y).astype(int) * ice.shape[1] + np.rint(x).astype(int)
        total += field.flat[at]
        y = np.clip(y + rise_y.flat[at], 0, ice.shape[0] - 1)
        x = np.clip(x + rise_x.flat[at], 0, ice.shape[1] - 1)
    mean = np.zeros(ice.shape)
    mean[ice] = total / steps
    return mean


def debris_cover(rng, ice, surface, cell_m, ela_m, *, share=0.12):
    """Fraction of each pixel of ice under debris (y, x), 0 to 1; on `share` of the ice it is over half.

    Rock falls on the margins, more where walls are weak; the ice carries it along, so that lines of debris
    follow the flow from where two glaciers meet; melt brings it up the more the lower the ice lies.
    """
    weak_walls = np.exp(fractal(rng, ice.shape, cell_m, longest_m=4000, exponent=4.0))
    rockfall = weak_walls * np.exp(-ndimage.distance_transform_edt(ice) * cell_m / 80)
    load = ndimage.gaussian_filter(mean_up_glacier(rockfall, ice, surface, cell_m), 30 / cell_m)
    load *= np.clip(ela_m - surface, 0, None) * np.exp(0.15 * fractal(rng, ice.shape, cell_m, longest_m=300))
    half = max(np.quantile(load[ice], 1 - share), 1e-9)
    return np.where(ice, smoothstep(load, 0.55 * half, 1.45 * half), 0.0)


def dam_lakes(rng, bed, ice, cell_m, *, radius_m=550, lakes=3):
    """Lakes behind the end moraines of the largest glaciers that end inside the picture.

    Returns the land or water surface (y, x) [m] with the moraines on it, and the water as a mask.
    """
    labels, _ = ndimage.label(ice)
    sizes = np.bincount(labels.ravel())[1:]
    ends = ndimage.minimum_position(bed, labels, np.arange(1, sizes.size + 1))
    inset = np.minimum(radius_m / cell_m, np.array(bed.shape) / 4)
    inside = [np.all((end >= inset) & (end < bed.shape - inset)) for end in map(np.array, ends)]
    land, water = bed.copy(), np.zeros(bed.shape, bool)
    wobble = 1 + 0.12 * fractal(rng, bed.shape, cell_m, longest_m=600, exponent=5)
    y, x = np.ogrid[: bed.shape[0], : bed.shape[1]]
    for which in np.lexsort((sizes, inside))[::-1][:lakes]:
        level = bed[ends[which]] + 2
        radius = np.hypot(y - ends[which][0], x - ends[which][1]) * cell_m * wobble
        moraine = level + 12 - 0.5 * np.clip(radius - radius_m - 40, 0, None)
        water |= ndimage.binary_opening((radius < radius_m) & (land < level) & ~ice)
        land = np.where(radius < radius_m, np.maximum(land, level), np.maximum(land, moraine))
    return land, water


def snow_patches(rng, surface, land, cell_m, ela_m, *, share=0.05):
    """Late snow beside the glaciers, a mask (y, x) on `share` of the land mask: high up, in hollows."""
    hollow = ndimage.gaussian_filter(surface, 120 / cell_m) - surface
    place = hollow / 10 + np.clip((surface - ela_m) / 400, -np.inf, 0.5)
    place += fractal(rng, surface.shape, cell_m, longest_m=400, exponent=3.6)
    place -= 2 * smoothstep(steepness(surface, cell_m), 0.7, 1.2)
    return land & (place > np.quantile(place[land], 1 - share))
