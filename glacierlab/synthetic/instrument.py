"""From reflectance to the numbers in a product: noise, saturation, gaps, digital numbers."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from ..errors import RadiometryError
from ..io.radiometry import kind_of
from ..tables import PRODUCTS, SENSORS, read_table, sensor_key

BASELINE = "05.09"  # of Sentinel-2's processing: it adds an offset


@dataclass(frozen=True)
class Instrument:
    """A row of `instruments.toml`, by key of `SENSORS`."""

    noise: float  # [1]
    relative_noise: float
    source: str
    product: str = ""  # a key of PRODUCTS
    gain: float = 1e-4  # reflectance per DN where there is no product
    saturation: dict[str, float] = field(default_factory=dict)  # by band, of the sun at the zenith [1]


INSTRUMENTS = read_table("instruments.toml", Instrument)


def measure(rng, bands, sensor, sun_elevation=90.0):
    """Reflectance with a sensor's noise, no brighter than it can see.

    Noise comes first: a detector that is full gives the same number for everything, noise and all.

    Parameters
    ----------
    rng : numpy.random.Generator
        One draw a pixel and band, in the order of `bands`.
    bands : dict of str to numpy.ndarray
        Reflectance [1] (y, x) by band name.
    sensor : str
        A sensor by key, platform or family name.
    sun_elevation : float
        [degrees]. A low sun fills no detector: saturation is a radiance. That surface reflectance saturates
        where reflectance at the top of the atmosphere does is an assumption.

    Returns
    -------
    dict of str to numpy.ndarray
        float32, NaN where `bands` are; may be negative.
    """
    row = INSTRUMENTS[sensor_key(sensor)]
    sine = np.sin(np.radians(sun_elevation))
    measured = {}
    for name, reflectance in bands.items():
        deviation = np.square(np.float32(row.relative_noise) * reflectance, dtype="float32")
        deviation += np.float32(row.noise**2)
        np.sqrt(deviation, out=deviation)
        deviation *= rng.standard_normal(reflectance.shape, dtype="float32")
        deviation += reflectance
        measured[name] = np.minimum(
            deviation, np.float32(row.saturation.get(name, np.inf) / sine), out=deviation
        )
    return measured


def slc_gaps(
    shape,
    pixel_m,
    *,
    across_m=60_000.0,
    along_m=0.0,
    tilt=10.0,
    period_m=960.0,
    widest_m=420.0,
    half_swath_m=92_500.0,
):
    """Where Landsat 7 sees nothing since its scan line corrector failed on 2003-05-31.

    Without it, scans to and fro run in zigzag and leave a wedge between every other two on either side, in
    the east where the west has none. A wedge opens from the swath's middle to its edge; where it is narrower
    than two pixels of 30 m it is filled, and 22 % of a scene is lost in all (USGS, Landsat 7 SLC-off
    products). Straight wedges that repeat exactly are an assumption.

    Parameters
    ----------
    shape : tuple of int
    pixel_m : float
    across_m : float
        How far east of the swath's middle the scene's center lies [m]; 0 shows no gaps.
    along_m : float
        How far along the path the scene's center lies from the middle of an eastern gap [m].
    tilt : float
        From west to the east the scans fall to the south by this angle [degrees]: an assumption for middle
        latitudes.
    period_m : float
        From wedge to wedge: two scans of 16 lines of 30 m.
    widest_m : float
        14 lines; Geoscience Australia says 390 to 450 m.
    half_swath_m : float

    Returns
    -------
    numpy.ndarray
        Mask (y, x).
    """
    sine, cosine = np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
    rows, columns = (
        (np.arange(n, dtype="float32") - np.float32((n - 1) / 2)) * np.float32(pixel_m) for n in shape
    )
    south, east = rows[:, None], columns
    across = across_m + east * cosine + south * sine
    along = along_m + south * cosine - east * sine
    width = widest_m * np.abs(across) / half_swath_m
    along += np.where(across < 0, period_m / 2, 0).astype("float32")
    distance = np.abs(np.remainder(along + period_m / 2, period_m) - period_m / 2)
    return (distance < width / 2) & (width > 2 * 30)


def to_dn(scene, sensor=None):
    """A scene of surface reflectance as the digital numbers (DN) of its sensor's product.

    What `open_scene(..., radiometry="dn")` gives of such a product's files, and what
    `.glacier.to_reflectance()` turns back, to half a DN. The numbers of a sensor whose products do not say
    their scale (ASTER, Gaofen-6, PlanetScope) do not say it here: they take
    `to_reflectance(gain=1e-4, radiometry="sr")`, an assumption.

    Parameters
    ----------
    scene : xarray.Dataset
        Surface reflectance [1] by band name; other layers stay as they are.
    sensor : str, optional
        A sensor by key, platform or family name; by default the scene's own.

    Returns
    -------
    xarray.Dataset
        Whole numbers as float32, NaN where the scene is: in files the product's `nodata` stands for it, a
        number that nothing else takes. What a product cannot store takes its nearest number. Lazy if the
        scene is.

    Raises
    ------
    RadiometryError
        The scene is not surface reflectance.
    """
    if (found := scene.attrs.get("radiometry")) != "sr":
        raise RadiometryError(
            f"Digital numbers are made of surface reflectance ('sr'); this scene's radiometry is {found!r}."
        )
    key = sensor_key(sensor or scene.attrs["sensor"])
    row = INSTRUMENTS[key]
    product = PRODUCTS[row.product] if row.product else None
    gain, add, told = row.gain, 0.0, {}
    if product:
        gain, add = product.gain, product.add + product.gain * product.baseline_offset_dn
        told = {"gain": gain, "add": add}
    lowest, highest = (-9998, 32767) if product and product.nodata < 0 else (1, 65535)  # int16 or uint16

    def stored(reflectance):
        return np.clip(np.rint((reflectance - add) / gain), lowest, highest).astype("float32")

    out = {}
    for name, values in scene.data_vars.items():
        if name in SENSORS[key].by_name:
            out[name] = xr.apply_ufunc(
                stored, values, dask="parallelized", output_dtypes=[np.float32], keep_attrs=True
            )
            native = {"kind": "reflective", "native": SENSORS[key].by_name[name].native}
            out[name].attrs = values.attrs | native | told | {"units": "DN"}
        elif "kind" not in values.attrs and kind_of(name) == "reflective":
            out[name] = values.assign_attrs(kind="layer")  # no band, whatever its name
    attrs = scene.attrs | {"radiometry": "dn"}
    if product:
        attrs["reflectance_radiometry"] = product.level
    if product and product.baseline_offset_dn:
        attrs["processing_baseline"] = BASELINE
    return scene.assign(out).assign_attrs(attrs)
