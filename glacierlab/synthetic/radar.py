"""Coherence and phase of a pair of radar images: statistics of the ground, not simulated echoes.

Every number without a source is an assumption, close to Sentinel-1's interferometric wide swath.
"""

import numexpr
import numpy as np
from scipy import ndimage

from ..errors import GlacierlabError
from .light import depth_below_rays
from .terrain import fractal

STABLE = 0.9  # coherence of rock and scree on the day: noise of the receiver and of processing
STABLE_DAYS = 100.0  # rock: snow showers, frost and rain; 0.80 after 12 days
VEGETATION_DAYS = 10.0  # leaves and stems move in the wind
MELT_DAYS = 4.0  # a melting surface is another one after a few days
BASELINE_SHARE = 0.02  # of the critical baseline: about 100 m of 5 km
WINDOW_M = 70.0  # side of the window: 5 x 20 pixels of 14 m x 4 m on the ground
CELL_M = 14.0  # longest side of a pixel: ice that moves so far is other ice
FLOW_SMOOTH_M = 150.0  # ice flows down a surface without its roughness
ATMOSPHERE_M = 10_000.0  # longest scale of the air's delay
ATMOSPHERE_EXPONENT = 11 / 3  # of its power in two dimensions: turbulence


def coherence_and_phase(
    rng,
    elevation,
    cell_m,
    *,
    speed_m_a=0.0,
    melting=0.0,
    vegetation=0.0,
    water=0.0,
    days=12.0,
    look_azimuth=80.0,
    incidence_angle=39.0,
    wavelength_m=0.0555,
    looks=30,
    atmosphere_rad=1.0,
):
    """Estimated coherence and phase of a pair of radar images, and where layover or shadow hides the ground.

    Parameters
    ----------
    rng : numpy.random.Generator
        The air's delay and the speckle have a stream each.
    elevation : numpy.ndarray
        Heights (y, x) [m], row 0 in the north.
    cell_m : float
        Side of a pixel [m].
    speed_m_a : float or numpy.ndarray
        Speed at the surface (y, x) [m/a]; it goes down the slope.
    melting, vegetation, water : float or numpy.ndarray
        Share of each pixel (y, x), 0 to 1, that is so. Ice melts under thin debris too.
    days : float
        Between the images.
    look_azimuth : float
        Direction in which the radar looks [degrees clockwise from north]. 80, of ascending passes; 280, of
        descending ones (assumption).
    incidence_angle : float
        From the vertical [degrees], the same all over the picture.
    wavelength_m : float
        [m]; C band.
    looks : int
        Independent samples in a window. Assumption: 30 of the 100 pixels.
    atmosphere_rad : float
        Deviation of the phase by the air's delay [radians]. Assumption: 1.

    Returns
    -------
    coherence : numpy.ndarray
        (y, x) float32, 0 to 1, with the bias and the spread of so many looks.
    phase : numpy.ndarray
        (y, x) float32 [radians], -π to π, of the first image times the conjugate of the second: positive
        where the ground went away from the radar.
    layover : numpy.ndarray
        (y, x) bool: several places at one distance, or in the radar's shadow.

    Raises
    ------
    GlacierlabError
        Fewer than one look, or an angle that is none.

    Notes
    -----
    Coherence is a product of what time, motion, shear within the window and baseline leave (`motion`,
    `true_coherence`); coherence and phase are then drawn from the exact distribution of `looks` samples
    (`estimate`). Pixels are drawn one by one: unlike real windows, those of neighbors do not overlap.
    """
    if looks < 1 or not 0 < incidence_angle < 90 or days < 0:
        raise GlacierlabError(
            f"looks={looks} is 1 or more, incidence_angle={incidence_angle} between 0 and 90 degrees, "
            f"days={days} 0 or more."
        )
    elevation = np.ascontiguousarray(elevation, np.float32)
    of_air, of_speckle = rng.spawn(2)
    layover = hidden(elevation, cell_m, look_azimuth, incidence_angle)
    away_m, moved_m = motion(elevation, cell_m, speed_m_a, days, look_azimuth, incidence_angle)
    radians = np.float32(4 * np.pi / wavelength_m) * away_m
    true = true_coherence(days, melting, vegetation, water)
    true = true * within_window(radians, moved_m, cell_m)
    true *= foreshortening(elevation, cell_m, look_azimuth, incidence_angle)
    true[layover] = 0
    radians += np.float32(atmosphere_rad) * fractal(
        of_air, elevation.shape, cell_m, ATMOSPHERE_M, ATMOSPHERE_EXPONENT
    )
    coherence, noise = estimate(of_speckle, true, looks)
    return coherence, wrapped(radians + noise), layover


def hidden(elevation, cell_m, look_azimuth, incidence_angle):
    """Where (y, x) slopes fold over each other in range or lie in the radar's shadow, for parallel rays.

    A place d farther along the look, and d tan(incidence) higher, is at the same distance from the radar. So
    folds are cast shadows too: of rays from beyond, and, the land upside down, of rays from the radar's side.
    """
    to_radar = (look_azimuth + 180) % 360
    shadow = depth_below_rays(elevation, cell_m, 90 - incidence_angle, to_radar) > 0
    near = depth_below_rays(elevation, cell_m, incidence_angle, look_azimuth % 360) > 0
    far = depth_below_rays(-elevation, cell_m, incidence_angle, to_radar) > 0
    return shadow | near | far


def motion(elevation, cell_m, speed_m_a, days, look_azimuth, incidence_angle):
    """How far (y, x) float32 [m] ice went away from the radar, and how far it went at all; down the slope."""
    speed = np.broadcast_to(np.asarray(speed_m_a, np.float32), elevation.shape)
    if not speed.any():
        nothing = np.zeros(elevation.shape, np.float32)
        return nothing, nothing
    smooth = ndimage.gaussian_filter(elevation, FLOW_SMOOTH_M / cell_m, mode="nearest")
    south, east = np.gradient(smooth, np.float32(cell_m))
    azimuth, angle = np.radians([look_azimuth, incidence_angle])
    numbers = {
        "years": days / 365.25,
        "to_north": np.sin(angle) * np.cos(azimuth),
        "to_east": np.sin(angle) * np.sin(azimuth),
        "down": np.cos(angle),
        "one": 1,
        "level": 1e-6,  # on level ground no direction is down
    }
    names = {name: np.float32(number) for name, number in numbers.items()}
    names |= {"south": south, "east": east, "speed": speed}
    names["slope2"] = numexpr.evaluate("south * south + east * east", names)
    along = "(to_north * south - to_east * east + down * slope2) / sqrt(slope2 * (one + slope2) + level)"
    return numexpr.evaluate(f"years * speed * {along}", names), numexpr.evaluate("years * speed", names)


def true_coherence(days, melting, vegetation, water):
    """Coherence (y, x) that time leaves a surface, each share losing its part day by day; 0 on water."""
    names = {"melting": melting, "vegetation": vegetation, "water": water}
    names = {name: np.asarray(share, np.float32) for name, share in names.items()}
    names["stable"] = np.float32(STABLE * np.exp(-days / STABLE_DAYS))
    names["melts"] = np.float32(-np.expm1(-days / MELT_DAYS))
    names["grows"] = np.float32(-np.expm1(-days / VEGETATION_DAYS))
    names["one"] = np.float32(1)
    formula = "stable * (one - melting * melts) * (one - vegetation * grows) * (one - water)"
    return numexpr.evaluate(formula, names)


def within_window(radians, moved_m, cell_m):
    """What motion leaves of coherence (y, x): its differences within a window, and ice that left its pixel.

    A phase that rises by 2π n over a window averages to sinc(n), along each axis.
    """
    if not moved_m.any():
        return np.float32(1)
    cycles = np.gradient(radians, np.float32(2 * np.pi * cell_m / WINDOW_M))
    kept = np.abs(np.sinc(cycles[0]) * np.sinc(cycles[1]))
    return kept * np.clip(1 - moved_m / np.float32(CELL_M), 0, 1)


def foreshortening(elevation, cell_m, look_azimuth, incidence_angle):
    """What the baseline leaves of coherence (y, x): less on slopes that face the radar, 0 where they fold.

    1 - B / B_critical; the critical baseline goes with the tangent of the local incidence angle.
    """
    south, east = np.gradient(elevation, np.float32(cell_m))
    azimuth, angle = np.radians([look_azimuth, incidence_angle])
    rise = np.float32(np.sin(azimuth)) * east - np.float32(np.cos(azimuth)) * south  # towards where it looks
    level = np.float32(np.tan(angle))
    names = {"rise": rise, "level": level, "share": np.float32(BASELINE_SHARE), "one": np.float32(1)}
    lost = numexpr.evaluate("share * level * (one + level * rise) / (level - rise)", names)
    return np.where(rise < level, np.clip(1 - lost, 0, 1), np.float32(0))


def estimate(rng, true, looks):
    """Coherence and phase [radians] (y, x) float32 as estimated from `looks` independent samples.

    Drawn, not approximated: the sums over samples of a circular Gaussian pair are a complex Wishart matrix
    (Goodman 1963, doi:10.1214/aoms/1177704250), whose triangular root has independent entries.
    """
    shape = np.shape(true)
    names = {
        "first": rng.standard_gamma(looks, shape, dtype=np.float32),
        "rest": rng.standard_gamma(looks - 1, shape, dtype=np.float32),
        "u": rng.standard_normal(shape, dtype=np.float32),
        "v": rng.standard_normal(shape, dtype=np.float32),
        "true": np.asarray(true, np.float32),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    names["blur"] = numexpr.evaluate("one - true * true", names)
    names["x"] = numexpr.evaluate("true * sqrt(first) + sqrt(half * blur) * u", names)
    names["y"] = numexpr.evaluate("sqrt(half * blur) * v", names)
    coherence = numexpr.evaluate("sqrt((x * x + y * y) / (x * x + y * y + blur * rest))", names)
    return coherence, numexpr.evaluate("arctan2(y, x)", names)


def wrapped(radians):
    """Angles (y, x) [radians] brought to -π to π."""
    turns = np.round(radians / np.float32(2 * np.pi))
    return np.clip(radians - np.float32(2 * np.pi) * turns, -np.float32(np.pi), np.float32(np.pi))
