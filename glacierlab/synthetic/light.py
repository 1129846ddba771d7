"""Sun, shadow and sky over mountains, and how much light of each wavelength reaches the ground.

Published formulas were read in other software and are held to outside numbers; the papers were not re-read.
"""

from dataclasses import dataclass
from functools import partial

import numexpr
import numpy as np
import pandas as pd

from ..errors import GlacierlabError
from ..features._kernels.shadow import shadow_depth
from ..features.dem import in_strips, sun_ray

PENUMBRA_M = 10.0  # assumption: the edge of a shadow, as depth below the sun's rays
HORIZON_CELL_M = 120.0  # assumption: mountains at this resolution make the horizon of a pixel
HORIZON_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 42)  # cells at which it is sought, up to 5 km
HORIZON_DIRECTIONS = 16
SCALE_HEIGHT_M = 8400.0  # assumption: of the pressure of the air
AEROSOL = 0.07  # assumption: optical depth of clear mountain air at 0.55 µm
AEROSOL_EXPONENT = 1.3  # assumption: Ångström's, its fall with wavelength
ASYMMETRY = 0.65  # mean cosine of the scattering angle, Bird and Riordan's rural aerosol
DIFFUSE_AIR_MASS = 1.8  # theirs too, of light that the ground sends up


@dataclass(frozen=True)
class Light:
    """The sun and the open sky over a landscape."""

    direct: np.ndarray  # (y, x), sunlight as a multiple of that on level ground; 0 in shadow
    sky_view: np.ndarray  # (y, x), share of the sky's light that arrives, 0 to 1
    shadow: np.ndarray  # (y, x), depth below the sun's rays [m], 0 in the sun
    sun_elevation: float  # [degrees]
    sun_azimuth: float  # [degrees clockwise from north]


def sun_position(when, latitude, longitude):
    """Elevation and azimuth of the sun [degrees; azimuth clockwise from north].

    Parameters
    ----------
    when : str, numpy.datetime64 or pandas.Timestamp
        In UTC, or with a time zone.
    latitude, longitude : float
        [degrees], north and east positive.

    Returns
    -------
    (float, float)
        Of the sun's middle, without refraction, which lifts it by less than 0.1 degrees above 10.

    Raises
    ------
    GlacierlabError
        No such time or latitude.

    Notes
    -----
    The Astronomical Almanac's low-precision formula, as Michalsky (1988, doi:10.1016/0038-092X(88)90045-X)
    brought it to the horizon: good to about 0.01 degrees from 1950 to 2050.

    Examples
    --------
    >>> elevation, azimuth = sun_position("2003-10-17T19:30:30Z", 39.742476, -105.1786)
    >>> round(elevation, 1), round(azimuth, 1)
    (39.9, 194.3)
    """
    if not (-90 <= latitude <= 90 and np.isfinite(longitude)):
        raise GlacierlabError(f"No place lies at latitude {latitude}, longitude {longitude}: give degrees.")
    time = utc(when)
    days = (time - pd.Timestamp("2000-01-01T12:00")) / pd.Timedelta(days=1)
    anomaly = np.radians(357.528 + 0.9856003 * days)
    mean_longitude = 280.460 + 0.9856474 * days
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    tilt = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(tilt) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(tilt) * np.sin(ecliptic))
    hours = (time - time.normalize()) / pd.Timedelta(hours=1)
    sidereal = np.radians(15 * (6.697375 + 0.0657098242 * days + hours))  # at Greenwich
    hour_angle = sidereal + np.radians(longitude) - ascension
    latitude = np.radians(latitude)
    up = np.sin(declination) * np.sin(latitude) + np.cos(declination) * np.cos(latitude) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.sin(declination) * np.cos(latitude) - np.cos(declination) * np.sin(latitude) * np.cos(
        hour_angle
    )
    return float(np.degrees(np.arcsin(np.clip(up, -1, 1)))), float(np.degrees(np.arctan2(east, north)) % 360)


def utc(when):
    """A moment as a naive timestamp in UTC, or GlacierlabError."""
    try:
        time = pd.Timestamp(when)
    except (ValueError, TypeError):
        time = pd.NaT
    if time is pd.NaT:
        raise GlacierlabError(f"{when!r} is no time: give one in UTC, such as '2020-11-15T04:45:00Z'.")
    return time if time.tz is None else time.tz_convert(None)


def overpass(date, longitude, local_hour=10.5):
    """When a polar orbiter passes: UTC, as an ISO string with Z.

    Assumption: at 10:30 local mean solar time at every latitude, as Landsat and Sentinel-2 nearly do at the
    equator.

    Examples
    --------
    >>> overpass("2020-11-15", 87.0)
    '2020-11-15T04:42:00Z'
    """
    time = utc(date).normalize() + pd.Timedelta(hours=local_hour - longitude / 15)
    return f"{time.round('s').isoformat()}Z"


def sunlight(elevation, cell_m, sun_elevation, sun_azimuth):
    """The `Light` on a surface.

    Parameters
    ----------
    elevation : numpy.ndarray
        Heights (y, x) float32 [m], row 0 in the north.
    cell_m : float
        Side of a pixel [m].
    sun_elevation, sun_azimuth : float
        [degrees above the horizon; clockwise from north].

    Returns
    -------
    Light

    Raises
    ------
    GlacierlabError
        The sun is not above the horizon.

    Notes
    -----
    `direct` is the cosine between ground and sun over that of level ground, times the share of the sun that
    mountains leave, which goes from all to nothing within PENUMBRA_M below the rays.
    """
    if not 0 < sun_elevation <= 90:
        raise GlacierlabError(
            f"The sun stands at {sun_elevation} degrees, and nothing is lit: choose another time."
        )
    elevation = np.ascontiguousarray(elevation, np.float32)
    south, east = np.gradient(elevation, np.float32(cell_m))
    height, azimuth = np.radians([sun_elevation, sun_azimuth])
    shadow = depth_below_rays(elevation, cell_m, sun_elevation, sun_azimuth)
    numbers = {
        "up": np.sin(height),
        "to_north": np.cos(height) * np.cos(azimuth),
        "to_east": np.cos(height) * np.sin(azimuth),
        "edge": PENUMBRA_M,
        "one": 1,
    }
    names = {name: np.float32(number) for name, number in numbers.items()}
    names |= {"south": south, "east": east, "depth": shadow}
    steep = numexpr.evaluate("sqrt(one + south * south + east * east)", names)
    names["cosine"] = numexpr.evaluate(
        "(up + to_north * south - to_east * east) / steep", names | {"steep": steep}
    )
    names["dark"] = numexpr.evaluate("where(depth < edge, depth / edge, one)", names)
    lit = "where(cosine > 0, cosine / up * (one - dark * dark * (one + 2 * (one - dark))), one - one)"
    direct = numexpr.evaluate(lit, names)
    view = sky_view(elevation, cell_m, steep)
    return Light(direct, view, shadow, float(sun_elevation), float(sun_azimuth))


def depth_below_rays(elevation, cell_m, ray_elevation, ray_azimuth):
    """Depth (y, x) float32 [m] of a surface below parallel rays [degrees], 0 where they reach it."""
    ray = sun_ray(ray_azimuth, ray_elevation, cell_m, -cell_m, np.inf, elevation.shape)
    return in_strips(partial(fill_depth, ray=ray), elevation, 1)[0]


def fill_depth(heights, top, left, out, first, last, *, ray):
    """Rows `first` to `last` of the depth in `out` (1, y, x), as `in_strips` asks for them."""
    shadow_depth(heights, *ray, top, left, first, last, out[0])


def sky_view(elevation, cell_m, steepness=None):
    """Share of an even sky's light that arrives (y, x) float32: 1 on a plain, less between mountains.

    Dozier and Frew's (1990, doi:10.1109/36.58986) integral over the horizons of a coarser surface, times the
    sky that the pixel's own slope leaves relative to the coarse one. `steepness` is √(1 + slope²), if known.
    """
    elevation = np.asarray(elevation, np.float32)
    if steepness is None:
        south, east = np.gradient(elevation, np.float32(cell_m))
        steepness = np.sqrt(1 + south * south + east * east)
    factor = max(1, round(HORIZON_CELL_M / cell_m))
    coarse = coarsened(elevation, factor)
    if min(coarse.shape) < 2:
        return (1 + 1 / steepness) / 2
    view, cosine = coarse_sky_view(coarse, cell_m * factor)
    names = {"relative": enlarge(view / (1 + cosine), factor, elevation.shape), "steep": steepness}
    view = numexpr.evaluate("relative + relative / steep", names)
    return np.minimum(view, 1, out=view)


def coarse_sky_view(surface, cell_m):
    """Sky view and cosine of the slope (y, x) of a surface, by horizons of its own cells."""
    rows, columns = surface.shape
    south, east = np.gradient(surface, np.float32(cell_m))
    cosine = 1 / np.sqrt(1 + south * south + east * east)
    reach = HORIZON_STEPS[-1]
    around = np.pad(surface, reach, mode="edge")
    view = np.zeros_like(surface)
    for azimuth in np.arange(HORIZON_DIRECTIONS) * 2 * np.pi / HORIZON_DIRECTIONS:
        tangent = np.zeros_like(surface)
        for step in HORIZON_STEPS:
            dy, dx = round(-step * np.cos(azimuth)), round(step * np.sin(azimuth))
            there = around[reach + dy : reach + dy + rows, reach + dx : reach + dx + columns]
            np.maximum(tangent, (there - surface) / np.float32(cell_m * np.hypot(dy, dx)), out=tangent)
        zenith = np.float32(np.pi / 2) - np.arctan(tangent)  # angle down to the horizon
        falls = (
            np.float32(np.cos(azimuth)) * south - np.float32(np.sin(azimuth)) * east
        )  # towards the azimuth
        open_sky = np.sin(zenith) ** 2 + falls * (zenith - np.sin(zenith) * np.cos(zenith))
        view += cosine * np.maximum(open_sky, 0)
    return view / np.float32(HORIZON_DIRECTIONS), cosine


def coarsened(fine, factor):
    """Means of factor x factor pixels (y, x); at the far borders the last ones fill up."""
    rows, columns = (-(-size // factor) for size in fine.shape)
    fill = [(0, n * factor - size) for n, size in zip((rows, columns), fine.shape, strict=True)]
    return np.pad(fine, fill, mode="edge").reshape(rows, factor, columns, factor).mean(axis=(1, 3))


def enlarge(coarse, factor, shape):
    """A coarse array as one (y, x) of `shape`, linear between the middles of its cells."""
    for axis in (0, 1):
        at = np.clip((np.arange(shape[axis]) + 0.5) / factor - 0.5, 0, coarse.shape[axis] - 1)
        low = np.minimum(at.astype(int), coarse.shape[axis] - 2)
        share = np.expand_dims((at - low).astype(np.float32), 1 - axis)
        before, after = coarse.take(low, axis), coarse.take(low + 1, axis)
        coarse = before + share * (after - before)
    return coarse


def illuminate(light, wavelength_um, *, aerosol=AEROSOL, altitude_m=3000.0, surroundings=0.0):
    """Light on the ground at a wavelength, as a multiple of what level ground in the open gets in the sun.

    Times the reflectance of the ground this is what a product that knows nothing of terrain calls surface
    reflectance: level ground in the sun keeps its own.

    Parameters
    ----------
    light : Light
    wavelength_um : float
        [µm].
    aerosol : float
        Optical depth of the aerosol at 0.55 µm. Assumption: 0.07, clear mountain air; it falls with
        wavelength to the power of 1.3.
    altitude_m : float
        Of the scene [m], for the air above it. Assumption: 3000 m.
    surroundings : float or numpy.ndarray
        Reflectance at the wavelength of the land around, a number or (y, x). Slopes that hide a part of the
        sky send light instead of it, as much as if they were level and in the sun (assumption); and the
        air sends some of the light that leaves the ground back to it. 0 leaves both out.

    Returns
    -------
    numpy.ndarray
        (y, x) float32.

    Notes
    -----
    See `diffuse_share`. An even sky: no brighter rim around the sun.
    """
    surroundings = np.asarray(surroundings, np.float32)
    diffuse = diffuse_share(wavelength_um, light.sun_elevation, aerosol, altitude_m, surroundings)
    names = {"direct": light.direct, "view": light.sky_view, "land": surroundings}
    names |= {"diffuse": np.asarray(diffuse, np.float32), "one": np.float32(1)}
    formula = "(one - diffuse) * direct + diffuse * view + land * (one - view)"
    return numexpr.evaluate(formula, names)


def diffuse_share(wavelength_um, sun_elevation, aerosol=AEROSOL, altitude_m=3000.0, surroundings=0.0):
    """Share of the light on level ground that comes from a clear sky, 0 to 1.

    Bird and Riordan (1984, doi:10.2172/5986936): Rayleigh scattering (equation 2-4, by pressure), aerosol
    that absorbs nothing (3-5, 3-6, 3-11 to 3-14), and light between ground and sky (3-7, 3-8). What the air
    absorbs cancels. The air mass is Kasten and Young's (1989, doi:10.1364/AO.28.004735).
    """
    pressure = np.exp(-altitude_m / SCALE_HEIGHT_M)  # relative to the sea's
    rayleigh = pressure / (wavelength_um**4 * (115.6406 - 1.335 / wavelength_um**2))
    dust = aerosol * (wavelength_um / 0.55) ** -AEROSOL_EXPONENT
    up = np.sin(np.radians(sun_elevation))
    air_mass = 1 / (up + 0.50572 * (sun_elevation + 6.07995) ** -1.6364)
    by_air, by_dust = np.exp(-air_mass * rayleigh), np.exp(-air_mass * dust)
    scattered = 0.5 * (1 - by_air**0.95) + by_air**1.5 * (1 - by_dust) * forward_share(up)
    direct = by_air * by_dust / (by_air * by_dust + scattered)
    by_air, by_dust = np.exp(-DIFFUSE_AIR_MASS * rayleigh), np.exp(-DIFFUSE_AIR_MASS * dust)
    back = 0.5 * (1 - by_air) + (1 - forward_share(1 / DIFFUSE_AIR_MASS)) * by_air * (1 - by_dust)
    return 1 - float(direct) * (1 - float(back) * surroundings)  # no wider than the surroundings are


def forward_share(cosine):
    """Share of an aerosol's scattered light that goes on downward, for the cosine of the sun's zenith."""
    log = np.log(1 - ASYMMETRY)
    a = log * (1.459 + log * (0.1595 + log * 0.4129))
    b = log * (0.0783 + log * (-0.3824 - log * 0.5874))
    return 1 - 0.5 * np.exp((a + b * cosine) * cosine)
