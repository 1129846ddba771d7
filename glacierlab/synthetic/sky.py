"""Haze, fog and clouds between a landscape and the sensor, and the shadows of the clouds.

Shapes and optical depths are constructions of ours: every number in this file is an assumption.
"""

from dataclasses import dataclass, replace

import numexpr
import numpy as np
from scipy import ndimage

from ..errors import GlacierlabError
from .light import AEROSOL_EXPONENT
from .terrain import TILE, fractal

CLOUD_SIZE_M = 6000.0  # the longest clouds, if the picture is wide enough
CLOUD_EDGE = 0.12  # how soft, in deviations of the noise that makes the clouds
CLOUD_RELIEF_M = 500.0  # height of a cloud's top for a deviation of that noise; it shades the cloud itself
CLOUD_SMOOTH_M = 120.0  # bulges narrower than this do not shade
THIN_CLOUD_SIZE_M = 15_000.0
THIN_CLOUD_DEPTH = 0.7  # optical depth where the noise is a deviation above the edge of the cloud
FOG_RELIEF_M = 40.0  # unevenness of the top of fog
FOG_PER_M = 0.02  # optical depth of a meter of fog
MOST_FOG = 4.0  # optical depth
HAZE_BACKSCATTER = 0.15  # share of what haze scatters that is lost to the way on
HAZE_REFLECTANCE = 0.35  # of haze without end, seen from above


@dataclass(frozen=True)
class Sky:
    """What hangs over a landscape; every field but haze is (y, x)."""

    opacity: np.ndarray  # share of clouds and fog in what a sensor sees, 0 to 1
    brightness: np.ndarray  # of the cloud, as a multiple of its reflectance
    shade: np.ndarray  # share of the sunlight that clouds keep from the ground, 0 to 1
    haze: float  # optical depth at 0.55 µm, beyond that of clear air
    air_mass: float  # of the way to the sun
    cloud: np.ndarray  # bool: thick cloud, more than half opaque
    thin_cloud: np.ndarray  # bool: any thin cloud
    fog: np.ndarray  # bool: any fog
    cloud_shadow: np.ndarray  # bool: more than half of the sunlight kept away, and no thick cloud above


def make_sky(
    rng,
    elevation,
    cell_m,
    sun_elevation,
    sun_azimuth,
    *,
    clouds=0.0,
    thin_cloud=0.0,
    fog=0.0,
    haze=0.0,
    cloud_base_m=1500.0,
):
    """A sky over a surface.

    Parameters
    ----------
    rng : numpy.random.Generator
        Clouds, thin cloud and fog have a stream each: one does not move the others.
    elevation : numpy.ndarray
        Heights (y, x) [m], row 0 in the north.
    cell_m : float
        Side of a pixel [m].
    sun_elevation, sun_azimuth : float
        [degrees above the horizon; clockwise from north].
    clouds, thin_cloud, fog : float
        Share of the pixels under each, 0 to 1: exactly, save for ties; of thick clouds, where they are more
        than half opaque. Fog fills the lowest ground.
    haze : float
        Optical depth at 0.55 µm, over all of the picture.
    cloud_base_m : float
        Height of the level base of thick clouds above the median height of the ground [m]. Assumption: 1500.

    Returns
    -------
    Sky

    Raises
    ------
    GlacierlabError
        A share outside 0 to 1, negative haze, or no sun.
    """
    for name, share in {"clouds": clouds, "thin_cloud": thin_cloud, "fog": fog}.items():
        if not 0 <= share <= 1:
            raise GlacierlabError(f"{name}={share} is a share of the picture: give 0 to 1.")
    if not (0 <= haze < np.inf and 0 < sun_elevation <= 90):
        raise GlacierlabError(
            f"haze={haze} is an optical depth of 0 or more, and sun_elevation={sun_elevation} an angle "
            "above the horizon."
        )
    shape = elevation.shape
    of_clouds, of_thin, of_fog = rng.spawn(3)
    nothing, nowhere = np.broadcast_to(np.float32(0), shape), np.broadcast_to(False, shape)
    opacity, brightness, shade = nothing, np.broadcast_to(np.float32(1), shape), nothing
    cloud = thin = foggy = cloud_shadow = nowhere
    if round(clouds * elevation.size):
        tops = above_rank(fractal(of_clouds, shape, cell_m, CLOUD_SIZE_M, 3.6), clouds)
        opacity = soft_edge(tops)
        cloud = opacity > 0.5
        brightness = cloud_tops(tops, cell_m, sun_elevation, sun_azimuth)
        base = np.median(elevation) + cloud_base_m - elevation
        shade = cast(opacity, base, cell_m, sun_elevation, sun_azimuth)
        cloud_shadow = (shade > 0.5) & ~cloud
    if round(thin_cloud * elevation.size):
        cover = above_rank(fractal(of_thin, shape, cell_m, THIN_CLOUD_SIZE_M, 3.0), thin_cloud)
        thin = cover > 0
        opacity = veiled(opacity, THIN_CLOUD_DEPTH * np.maximum(cover, 0))
    if round(fog * elevation.size):
        rough = FOG_RELIEF_M * fractal(of_fog, shape, cell_m, 2000.0, 3.0)
        depth_m = above_rank(rough - elevation.astype(np.float32), fog)
        foggy = depth_m > 0
        opacity = veiled(opacity, np.clip(FOG_PER_M * depth_m, 0, MOST_FOG))
    air_mass = float(1 / np.sin(np.radians(sun_elevation)))
    return Sky(opacity, brightness, shade, float(haze), air_mass, cloud, thin, foggy, cloud_shadow)


def above_rank(field, share):
    """A field less the value that exactly `share` of its pixels exceed, to the nearest pixel; float32."""
    count = round(share * field.size)
    if count == field.size:
        return field - np.nextafter(field.min(), np.float32(-np.inf))
    last = field.size - 1 - count
    return field - np.partition(field, last, axis=None)[last]  # the highest that stays out becomes 0


def soft_edge(tops):
    """Opacity of thick clouds from the height of their tops above their edge: more than half just above 0."""
    names = {"tops": tops, "edge": np.float32(CLOUD_EDGE), "one": np.float32(1)}
    opacity = numexpr.evaluate("one / (one + exp(-tops / edge))", names)
    opacity[opacity < 0.01] = 0  # clear air is clear
    inside = np.nextafter(np.float32(0.5), np.float32(1))
    return np.where(tops > 0, np.maximum(opacity, inside), np.minimum(opacity, np.float32(0.5)))


def cloud_tops(tops, cell_m, sun_elevation, sun_azimuth):
    """Brightness of clouds (y, x) about 1, by how their tops face the sun."""
    smooth = ndimage.gaussian_filter(tops, CLOUD_SMOOTH_M / cell_m, mode="wrap")
    south, east = np.gradient(smooth, np.float32(cell_m / CLOUD_RELIEF_M))
    height, azimuth = np.radians([sun_elevation, sun_azimuth])
    tilt = np.float32(np.cos(azimuth) / np.tan(height)) * south
    tilt -= np.float32(np.sin(azimuth) / np.tan(height)) * east
    return np.clip(1 + np.float32(0.2) * tilt, np.float32(0.7), np.float32(1.15))


def cast(opacity, height_m, cell_m, sun_elevation, sun_azimuth):
    """Opacity (y, x) of what lies `height_m` (y, x) [m] up on the way from each pixel to the sun.

    Beyond the picture the clouds repeat, as their noise does.
    """
    along = np.maximum(height_m, 0) / (np.tan(np.radians(sun_elevation)) * cell_m)  # [pixels]
    azimuth = np.radians(sun_azimuth)
    y, x = np.ogrid[: opacity.shape[0], : opacity.shape[1]]
    at = np.empty((2, *opacity.shape), np.float32)
    np.subtract(y, np.cos(azimuth) * along, out=at[0], casting="unsafe")
    np.add(x, np.sin(azimuth) * along, out=at[1], casting="unsafe")
    return ndimage.map_coordinates(opacity[:TILE, :TILE], at, order=1, mode="grid-wrap")


def veiled(opacity, optical_depth):
    """Opacity behind a further layer of an optical depth; both (y, x)."""
    return 1 - (1 - opacity) * np.exp(-optical_depth)


def under(light, sky):
    """`Light` on the ground below a sky: without the sunlight that clouds keep."""
    return replace(light, direct=light.direct * (1 - sky.shade))


def through(reflectance, wavelength_um, sky, *, cloud):
    """Reflectance that a sensor sees of the ground through a sky; the same array under a clear one.

    Parameters
    ----------
    reflectance : numpy.ndarray
        Of the ground as lit, (y, x) float32 [1].
    wavelength_um : float
        [µm].
    sky : Sky
    cloud : float
        Reflectance of a thick cloud at the wavelength [1]; fog and thin cloud are of the same stuff.

    Returns
    -------
    numpy.ndarray
        (y, x) float32.

    Notes
    -----
    T R + (1 - T) C for each layer: what a layer of transmittance T and reflectance without end C does to
    light R that passes. Haze lies below the clouds; for it T = exp(-b τ (1 + m)) on the way down and up, τ
    falling with wavelength to the power of 1.3; m is the air mass and b the share scattered back.
    """
    depth = sky.haze * (wavelength_um / 0.55) ** -AEROSOL_EXPONENT
    clear = np.exp(-HAZE_BACKSCATTER * depth * (1 + sky.air_mass))
    gray = sky.opacity.any()
    if not gray and sky.haze == 0:
        return reflectance
    names = {
        "ground": reflectance,
        "clear": np.float32(clear),
        "haze": np.float32((1 - clear) * HAZE_REFLECTANCE),
    }
    seen = "ground * clear + haze"
    if gray:
        names |= {
            "opacity": sky.opacity,
            "bright": sky.brightness,
            "cloud": np.float32(cloud),
            "one": np.float32(1),
        }
        seen = f"(one - opacity) * ({seen}) + opacity * bright * cloud"
    return numexpr.evaluate(seen, names)
