"""What covers the ground on a day: snow by altitude, aspect and date, avalanche cones, plants, water.

All of it is a construction of ours; the numbers are assumptions chosen by eye.
"""

import numpy as np
from scipy import ndimage

from . import _kernels
from .glaciers import shade, smoothstep, steepness

SNOWLINE_RANGE = 1500.0  # from late summer to late winter [m]
LATE_SUMMER = 258  # day of the year when the snow line stands highest in the northern half


def carried(fields, ice, surface, cell_m, *, length_m=2500.0):
    """Means of fields (k, y, x) along the way that ice came, by steepest ascent; 0 off the ice."""
    dy, dx = np.gradient(ndimage.gaussian_filter(surface, 60 / cell_m), np.float32(cell_m))
    stride = max(1.0, 40 / cell_m) / (np.hypot(dy, dx) + 1e-6)  # [pixels]
    rows, columns = np.nonzero(ice)
    mean = np.zeros((len(fields), rows.size), np.float32)
    steps = int(length_m / max(cell_m, 40)) + 1
    _kernels.climb(rows, columns, fields.astype(np.float32), stride * dy, stride * dx, steps, mean)
    out = np.zeros(fields.shape, np.float32)
    out[:, rows, columns] = mean
    return out


def snowline(ela_m, day, latitude):
    """Height of the snow line [m] on a day of the year: at the equilibrium line in late summer."""
    phase = 2 * np.pi * (day - LATE_SUMMER) / 365.25 + (np.pi if latitude < 0 else 0)
    return ela_m - SNOWLINE_RANGE * (1 - np.cos(phase)) / 2


def snow_shares(noise, ground, line_m, latitude):
    """Share of the ice, and of the land, under snow (y, x), and of the land under avalanche cones."""
    shape, pixel_m, surface = ground.elevation.shape, ground.pixel_m, ground.elevation
    steep = steepness(surface, np.float32(pixel_m))
    cool = shade(surface, pixel_m, 1 if latitude >= 0 else -1)
    drift = noise("drift", shape, pixel_m, longest_m=500)
    height = surface + cool + 25 * drift
    on_ice = smoothstep(height, line_m - 40, line_m + 40)
    hollow = np.clip(ndimage.gaussian_filter(surface, 120 / pixel_m) - surface, -25, 25)
    patchy = noise("patches", shape, pixel_m, longest_m=400, exponent=3.6)
    # land warms and sheds its snow: it stays higher up, in hollows, and not on walls
    place = height + 6 * hollow + 90 * patchy - 800 * smoothstep(steep, 0.4, 0.9)
    on_land = smoothstep(place, line_m + 600, line_m + 660)
    return on_ice, on_land, cones(surface, steep, pixel_m, line_m)


def cones(surface, steep, pixel_m, line_m):
    """Share (y, x) of avalanche snow at the foot of high, steep walls, down to 400 m below the snow line."""
    foot = (steep > 0.15) & (steep < 0.6) & (surface > line_m - 400)
    wall = smoothstep(steep, 0.7, 1.0) * smoothstep(surface, line_m - 300, line_m + 200)
    above = carried(wall[None], foot, surface, pixel_m, length_m=600.0)[0]
    return smoothstep(ndimage.gaussian_filter(above, 30 / pixel_m), 0.5, 0.75)


def make_cover(noise, ground, *, line_m, frozen, latitude):
    """Share of each pixel (y, x) that each endmember covers, by name; they sum to 1.

    `line_m` is the snow line; where `frozen`, lakes and rivers are under ice.
    """
    on_ice, on_land, cone = snow_shares(noise, ground, line_m, latitude)
    shape, pixel_m = ground.elevation.shape, ground.pixel_m
    fresh = float(smoothstep(ground.ela_m - line_m, 150, 600))  # winter's snow is fresh, summer's is old
    bare_ice = ground.ice - ground.pond
    snow, open_ice = bare_ice * on_ice, bare_ice * (1 - on_ice)
    stones, clean = open_ice * ground.debris, open_ice * (1 - ground.debris)
    dirt = 0.8 * smoothstep(ground.debris_m, 0.008, 0.035)

    land = np.maximum(1 - ground.ice - ground.lake - ground.river, 0)
    on_land = np.maximum(on_land, 0.6 * cone)
    cold = land * on_land
    low = meadow_line(ground) + 60 * noise("plants", shape, pixel_m, longest_m=800) - ground.elevation
    young = 1 - ground.forefield
    plants = (land - cold) * young * smoothstep(low, -100, 60)
    forest = plants * smoothstep(low, 250, 400)
    meadow = 0.8 * (plants - forest)
    ground_bare = land - cold - forest - meadow
    till = ground_bare * np.maximum(ground.forefield, 0.35 * smoothstep(ground.lithology, 0.3, 0.8))
    scree = (ground_bare - till) * scree_share(ground, noise)
    water = ground.lake + ground.river + ground.pond
    thaw = 0.0 if frozen else 1.0
    old = snow + cold
    coarse = smoothstep(line_m + 200 - ground.elevation, 0, 150) * (1 - fresh)
    return {
        "fresh_snow": old * fresh,
        "coarse_snow": old * coarse,
        "snow": old * (1 - fresh - coarse),
        "ice": clean * (1 - dirt),
        "dirty_ice": clean * dirt,
        "debris": stones * (1 - ground.lithology) + till * (1 - ground.lithology),
        "dark_debris": (stones + till) * ground.lithology,
        "rock": ground_bare - till - scree,
        "scree": scree,
        "vegetation": meadow,
        "forest": forest,
        "water": thaw * ground.lake,
        "clear_water": thaw * 0.5 * ground.river,
        "turbid_water": thaw * (ground.pond + 0.5 * ground.river),
        "lake_ice": (1 - thaw) * water,
    }


def scree_share(ground, noise):
    """Share (y, x) of bare ground under light scree: in fans on slopes near 35 degrees, under light rock."""
    shape, pixel_m = ground.elevation.shape, ground.pixel_m
    steep = steepness(ground.elevation, np.float32(pixel_m))
    repose = smoothstep(steep, 0.5, 0.6) * (1 - smoothstep(steep, 0.75, 0.85))
    fans = smoothstep(noise("scree", shape, pixel_m, longest_m=400), 0.3, 0.8)
    return repose * fans * (1 - ground.lithology)


def meadow_line(ground):
    """Height [m] below which meadows grow."""
    land = ground.elevation[ground.ice < 0.5]
    lowest = land.min() if land.size else ground.ela_m
    return lowest + 0.45 * (ground.ela_m - lowest)
