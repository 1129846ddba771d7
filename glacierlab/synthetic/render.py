"""A made-up landscape under the sun, seen by a real sensor."""

from dataclasses import dataclass

import numpy as np
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from scipy.interpolate import RectBivariateSpline

from ..errors import RadiometryError, SceneError
from ..tables import CLASSES, SENSORS, read_table, sensor_key
from . import glaciers
from .terrain import fractal, mountains

# Assumptions: a clear November morning at 28° N 87° E, and mountains as high as those there.
DATETIME = "2020-11-15T04:45:00Z"
SUN_ELEVATION = 40.0  # [degrees]
SUN_AZIMUTH = 152.0  # [degrees clockwise from north]
CRS = "EPSG:32645"
EASTING, NORTHING = 480_000.0, 3_100_000.0  # of the upper left corner [m]
EQUILIBRIUM_LINE = 5400.0  # [m]

MODEL_CELL = 130.0  # [m], of terrain and ice flow
MODEL_EXTENT = 12_000.0  # [m]: a smaller scene shows the same mountains, smaller in every direction
SUBPIXELS = 2  # a pixel mixes 2 x 2 pieces of ground
MIN_SIDE = 48  # [pixels]
DIFFUSE_SHARE = 0.25  # of the light at 0.56 µm
SKY_SLOPE = -1.1  # power of the wavelength: skylight is blue, haze and bright slopes make it whiter
TRUTH = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")


@dataclass(frozen=True)
class Endmember:
    """A row of `endmembers.toml`."""

    long_name: str
    reflectance: dict[str, float]  # by band of Sentinel-2
    texture: float  # relative deviation of brightness
    source: str


@dataclass(frozen=True)
class Landscape:
    """Ground on a grid (y, x), finer than the pixels that will see it."""

    cell_m: float
    surface: np.ndarray  # height of ground, ice or water [m]
    ice: np.ndarray  # mask
    cover: dict[str, np.ndarray]  # share of each of ENDMEMBERS, 0 to 1
    streaks: np.ndarray  # pattern of the ice along its flow, zero mean and unit deviation
    ela_m: float  # equilibrium line, in heights of `surface`


ENDMEMBERS = read_table("endmembers.toml", Endmember)
SPECTRUM = tuple(ENDMEMBERS["snow"].reflectance)  # every row has these bands


def synthetic_scene(seed=0, shape=(400, 400), sensor="landsat-8", *, radiometry="sr"):
    """A made-up scene with glaciers, debris, lakes and late snow whose truth is exactly known.

    Valleys and ridges by a drainage rule, glaciers by the shallow ice approximation, light with cast shadow,
    spectra of hand-labelled real pixels mixed at borders, noise. A picture for lessons and tests: nothing
    in it is a measurement, and its numbers say nothing about how well a method does on real ice.

    Parameters
    ----------
    seed : int
        Names the world: the same seed, shape and sensor give the same scene.
    shape : tuple of int
        Rows and columns, at least 48 each. Mountains narrower than 12 km are smaller, not fewer.
    sensor : str
        A sensor by key, platform or family name, such as "landsat-8", "landsat-5", "sentinel-2", "gaofen-6".
    radiometry : {"sr"}
        Surface reflectance [1], not corrected for terrain.

    Returns
    -------
    xarray.Dataset
        Dims (y, x): one float32 variable for each reflective band of the sensor [1]; `elevation` float32 [m];
        `truth` uint8, the class of most of the pixel: 0 background, 1 clean_ice, 2 debris_covered_ice,
        3 glacial_lake. Late snow beside the glaciers is background.

    Raises
    ------
    UnknownNameError, RadiometryError, SceneError

    Notes
    -----
    Assumptions are the numbers of `glacierlab.synthetic` and the rows of `tables/endmembers.toml` so marked.
    """
    key = sensor_key(sensor)
    if radiometry != "sr":
        raise RadiometryError(f"A synthetic scene is reflectance: radiometry='sr', not {radiometry!r}.")
    if len(shape) != 2 or min(shape) < MIN_SIDE:
        raise SceneError(f"shape={tuple(shape)} is too small: ask for {MIN_SIDE} rows and columns or more.")
    if seed < 0:
        raise SceneError(f"seed={seed} is negative; take 0 or more.")

    rng = np.random.default_rng(seed)
    pixel_m = SENSORS[key].pixel_size_m
    scale = min(1.0, max(shape) * pixel_m / MODEL_EXTENT)
    cell_m = pixel_m / scale / SUBPIXELS
    world = landscape(rng, (shape[0] * SUBPIXELS, shape[1] * SUBPIXELS), cell_m)
    bands = observe(rng, world, SENSORS[key])
    elevation = EQUILIBRIUM_LINE + scale * (pixel_mean(world.surface) - world.ela_m)
    truth_attrs = {
        "long_name": "true surface class",
        "flag_values": np.array([CLASSES[name].code for name in TRUTH], "uint8"),
        "flag_meanings": " ".join(TRUTH),
    }
    scene = xr.Dataset(
        {
            name: (("y", "x"), band, {"long_name": f"{name} surface reflectance", "units": "1"})
            for name, band in bands.items()
        }
        | {
            "elevation": (("y", "x"), elevation.astype("float32"), {"long_name": "elevation", "units": "m"}),
            "truth": (("y", "x"), true_class(world), truth_attrs),
        },
        coords={
            "y": NORTHING - (np.arange(shape[0]) + 0.5) * pixel_m,
            "x": EASTING + (np.arange(shape[1]) + 0.5) * pixel_m,
        },
        attrs={
            "title": f"synthetic scene, seed {seed}: not a real place",
            "sensor": key,
            "radiometry": radiometry,
            "datetime": DATETIME,
            "sun_elevation": SUN_ELEVATION,
            "sun_azimuth": SUN_AZIMUTH,
        },
    )
    return (
        scene.rio.write_crs(CRS).rio.write_coordinate_system().rio.write_transform()
    )  # knows the pixel size


def landscape(rng, shape, cell_m):
    """Mountains, glaciers and what covers them, on a grid (y, x) of `cell_m`."""
    margin = 6  # the model's own border stays out of the picture
    model_shape = [int(np.ceil(n * cell_m / MODEL_CELL)) + 2 * margin for n in shape]
    model_bed = mountains(rng, model_shape, MODEL_CELL)
    valley_floors = model_bed[glaciers.snow_retention(model_bed, MODEL_CELL) > 0.5]
    ela_m = np.quantile(valley_floors, 0.78)
    model_ice = glaciers.ice_thickness(model_bed, MODEL_CELL, ela_m)

    model_axes = [(np.arange(n) + 0.5 - margin) * MODEL_CELL for n in model_shape]
    axes = [(np.arange(n) + 0.5) * cell_m for n in shape]
    fields = (model_bed, model_bed + model_ice, model_ice)
    bed, top, thickness = (RectBivariateSpline(*model_axes, field)(*axes) for field in fields)
    rugged = 0.1 + glaciers.smoothstep(glaciers.steepness(bed, cell_m), 0.2, 0.8)
    gullies = 30 * rugged * np.abs(fractal(rng, shape, cell_m, longest_m=900, exponent=3.4))
    ice = glaciers.without_small((top > bed - gullies + 5) & (thickness > 8), cell_m)
    if not ice.any():
        raise SceneError("No glacier lies in this picture: take another seed or a larger shape.")
    land, water = glaciers.dam_lakes(rng, bed, ice, cell_m)
    surface = np.where(ice, top, np.where(water, land, land - gullies))

    debris = glaciers.debris_cover(rng, ice, surface, cell_m, ela_m)
    height = surface + 25 * fractal(rng, shape, cell_m, longest_m=500)
    firn = glaciers.smoothstep(height, ela_m + 60, ela_m + 140)  # late in the year
    snow = glaciers.snow_patches(rng, surface, ~ice & ~water, cell_m, ela_m)
    bare = ~ice & ~water & ~snow
    meadow_line = land.min() + 0.45 * (ela_m - land.min())
    height = surface + 60 * fractal(rng, shape, cell_m, longest_m=800)
    meadow = 0.8 * bare * (1 - glaciers.smoothstep(height, meadow_line - 60, meadow_line + 100))
    cover = {
        "snow": snow + ice * (1 - debris) * firn,
        "ice": ice * (1 - debris) * (1 - firn),
        "debris": ice * debris,
        "rock": bare - meadow,
        "vegetation": meadow,
        "water": water,
    }
    grain = fractal(rng, shape, cell_m, longest_m=140, exponent=2)
    streaks = glaciers.mean_up_glacier(grain, ice, surface, cell_m)
    return Landscape(cell_m, surface, ice, cover, streaks / streaks[ice].std(), ela_m)


def pixel_mean(pieces):
    """Mean over the pieces of each pixel: (2 y, 2 x) → (y, x)."""
    rows, columns = (n // SUBPIXELS for n in pieces.shape)
    return pieces.reshape(rows, SUBPIXELS, columns, SUBPIXELS).mean(axis=(1, 3))


def true_class(world):
    """Code of the class (y, x) that covers most of each pixel, uint8."""
    cover, ice = world.cover, world.ice
    buried = ice & (cover["debris"] > 0.5)
    shares = [~ice & ~cover["water"], ice & ~buried, buried, cover["water"]]  # in the order of TRUTH
    codes = np.array([CLASSES[name].code for name in TRUTH], "uint8")
    return codes[np.argmax([pixel_mean(share) for share in shares], axis=0)]


def cast_shadow(elevation, cell_m, sun_elevation, sun_azimuth):
    """Depth below the sun's rays (y, x) [m]: 0 in the sun. Rows run from north to south; angles in degrees.

    One pass over the rows, away from the sun, carries the ray that grazes everything passed so far.
    """
    south, east = -np.cos(np.radians(sun_azimuth)), np.sin(np.radians(sun_azimuth))
    if abs(east) > abs(south) + 1e-9:  # walk along the axis nearer to the sun
        return cast_shadow(elevation.T, cell_m, sun_elevation, 270 - sun_azimuth).T
    rows = elevation[::-1] if south > 0 else elevation
    columns = np.arange(rows.shape[1])
    sunward = columns + east / abs(south)
    drop = cell_m / abs(south) * np.tan(np.radians(sun_elevation))
    ray = np.empty(rows.shape)
    ray[0] = rows[0]
    for row in range(1, len(rows)):
        ray[row] = np.maximum(rows[row], np.interp(sunward, columns, ray[row - 1]) - drop)
    depth = ray - rows
    return depth[::-1] if south > 0 else depth


def incidence(elevation, cell_m, sun_elevation, sun_azimuth):
    """Cosine of the angle between sun and ground (y, x), 0 where the ground faces away. Angles in degrees."""
    height, azimuth = np.radians(sun_elevation), np.radians(sun_azimuth)
    southward, eastward = np.gradient(elevation, cell_m)
    tilt = np.cos(height) * (southward * np.cos(azimuth) - eastward * np.sin(azimuth))
    return np.clip((np.sin(height) + tilt) / np.sqrt(1 + southward**2 + eastward**2), 0, None)


def observe(rng, world, sensor):
    """Reflectance (y, x) float32 by name of each reflective band of a sensor.

    A band takes the reflectance of the Sentinel-2 band nearest in wavelength. Direct light goes with the
    incidence and stops in shadow; the diffuse rest, bluer the shorter the wave, comes from the open sky.
    """
    shape, cell_m = world.surface.shape, world.cell_m
    brightness = {}
    for name, row in ENDMEMBERS.items():
        patches = fractal(rng, shape, cell_m, longest_m=1500, exponent=2.8)
        pattern = world.streaks if name == "ice" else patches
        brightness[name] = world.cover[name] * np.exp(row.texture * pattern)
    sunlit = 1 - glaciers.smoothstep(cast_shadow(world.surface, cell_m, SUN_ELEVATION, SUN_AZIMUTH), 0, 10)
    direct = sunlit * incidence(world.surface, cell_m, SUN_ELEVATION, SUN_AZIMUTH)
    direct /= np.sin(np.radians(SUN_ELEVATION))  # as bright on level ground as a corrected image has it
    open_sky = (1 + 1 / np.sqrt(1 + glaciers.steepness(world.surface, cell_m) ** 2)) / 2

    sentinel2 = SENSORS["sentinel2_msi"].by_name
    seen = {}
    for band in sensor.bands:
        if band.center_um > 3 or band.name in ("pan", "cirrus"):
            continue
        distance = {name: abs(sentinel2[name].center_um - band.center_um) for name in SPECTRUM}
        nearest = min(distance, key=distance.get)
        diffuse = DIFFUSE_SHARE * (band.center_um / 0.56) ** SKY_SLOPE
        light = (1 - diffuse) * direct + diffuse * open_sky
        pure = sum(row.reflectance[nearest] * brightness[name] for name, row in ENDMEMBERS.items())
        mixed = pixel_mean(light * pure)
        noisy = mixed * rng.normal(1, 0.01, mixed.shape) + rng.normal(0, 0.002, mixed.shape)
        seen[band.name] = noisy.astype("float32")
    return seen
