"""Reflectance of mixed surfaces: endmembers, how each varies, and what a sensor's bands see of them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..features._kernels import compiled
from ..tables import SENSORS, read_table, sensor_key
from .terrain import TILE


@dataclass(frozen=True)
class Endmember:
    """A row of `endmembers.toml`, whose head says how the numbers make spectra."""

    long_name: str
    reflectance: dict[str, float]  # mean by band of Sentinel-2
    source: str
    loadings: tuple[tuple[float, ...], ...] = ()  # relative deviations, patterns x bands
    lognormal: tuple[str, ...] = ()  # bands; all of them where there are no loadings
    brightness: float = 0.0
    color: float = 0.0

    @property
    def spectrum(self):
        """The row as a `Spectrum` of Sentinel-2's bands."""
        mean = np.array(list(self.reflectance.values()))
        if self.loadings:
            lognormal = np.array([name in self.lognormal for name in self.reflectance])
            return Spectrum(mean, np.array(self.loadings), lognormal)
        log_center = np.log([SENTINEL2[name].center_um for name in self.reflectance])
        tint = np.interp(log_center, log_center[[0, -1]], [-self.color, self.color])
        return Spectrum(mean, np.array([np.full(len(mean), self.brightness), tint]), np.full(len(mean), True))


class Spectrum(NamedTuple):
    """Mean reflectance of a surface in some bands, and its deviations."""

    mean: np.ndarray  # (band,)
    loadings: np.ndarray  # (pattern, band), relative to the mean
    lognormal: np.ndarray  # (band,), mask


SENTINEL2 = SENSORS["sentinel2_msi"].by_name
ENDMEMBERS = read_table("endmembers.toml", Endmember)
SPECTRUM = tuple(ENDMEMBERS["snow"].reflectance)  # every row has these bands


def reflective_bands(sensor):
    """The bands of a sensor that see the sun's light on the ground, as rows of its table, pan left out."""
    bands = SENSORS[sensor_key(sensor)].bands
    return [band for band in bands if band.center_um < 3 and band.name not in ("pan", "cirrus")]


@lru_cache
def resampled(sensor):
    """Each endmember in a sensor's `reflective_bands`.

    Linear between the centers of Sentinel-2's bands and constant beyond them; a band is lognormal where the
    nearest of Sentinel-2's is. An assumption: the widths of bands change nothing.

    Returns
    -------
    dict of str to Spectrum
        float32, read-only.
    """
    known = np.array([SENTINEL2[name].center_um for name in SPECTRUM])
    centers = np.array([band.center_um for band in reflective_bands(sensor)])
    nearest = np.abs(known - centers[:, None]).argmin(axis=1)
    out = {}
    for name, row in ENDMEMBERS.items():
        mean, loadings, lognormal = row.spectrum
        arrays = (
            np.interp(centers, known, mean).astype("float32"),
            np.array([np.interp(centers, known, loading) for loading in loadings], "float32"),
            lognormal[nearest],
        )
        for array in arrays:
            array.flags.writeable = False
        out[name] = Spectrum(*arrays)
    return out


def mix(cover, patterns, sensor, darkest=0.2, brightness=None):
    """Reflectance of pixels that endmembers share, in a sensor's bands.

    Parameters
    ----------
    cover : dict of str to numpy.ndarray
        Share (y, x) of each endmember, 0 to 1, in all 1; float32 saves a copy.
    patterns : callable
        `patterns(name, count)` gives unit normal fields (count, y, x) float32: how an endmember varies from
        place to place. Asked once for each endmember that covers anything; looked at only where it does.
    sensor : str
        A sensor by key, platform or family name.
    darkest : float
        Share of its mean that no endmember falls below, an assumption.
    brightness : dict of str to float, optional
        Multiples of endmembers' means by their names, 1 where there is none.

    Returns
    -------
    dict of str to numpy.ndarray
        Reflectance [1] (y, x) float32 by band name.
    """
    bands = reflective_bands(sensor)
    shape = next(iter(cover.values())).shape
    mixed = np.zeros((len(bands), *shape), "float32")
    spectra, brightness = resampled(sensor), brightness or {}
    for name, share in cover.items():
        share = np.ascontiguousarray(share, dtype="float32")
        if share.any():
            mean, loadings, lognormal = spectra[name]
            mean = mean * np.float32(brightness.get(name, 1))
            fields = np.ascontiguousarray(patterns(name, len(loadings)), dtype="float32")
            add_endmember(share, fields, mean, loadings, lognormal, np.float32(darkest), mixed)
    return {band.name: values for band, values in zip(bands, mixed, strict=True)}


def shared_patterns(rng, fields):
    """`patterns` for `mix` from a few fields (n, y, x) that wrap around, shifted anew for every endmember.

    Noise of a size costs more than the mixing, and its shifts are as good as independent. The first field is
    the first pattern of every endmember, and so on; which shift it gets does not depend on what else a scene
    holds.
    """
    rows, columns = fields[0].shape
    turns = {name: rng.integers((rows, columns), size=(len(fields), 2)) for name in ENDMEMBERS}

    def patterns(name, count):
        return np.stack([shifted(fields[k], turns[name][k]) for k in range(count)])

    return patterns


def shifted(field, by):
    """Noise (y, x) that repeats after TILE pixels, or its size, shifted so that no seam appears."""
    tile = np.roll(field[:TILE, :TILE], by, axis=(0, 1))
    return np.pad(tile, [(0, n - m) for n, m in zip(field.shape, tile.shape, strict=True)], "wrap")


@compiled
def add_endmember(share, fields, mean, loadings, lognormal, darkest, mixed):
    """Add share (y, x) times reflectance to `mixed` (band, y, x), by patterns `fields` (k, y, x); float32."""
    rows, columns = share.shape
    half = (loadings * loadings).sum(axis=0) / np.float32(2)  # what keeps a lognormal band's mean
    for y in range(rows):
        if not share[y].any():
            continue
        for b in range(mean.size):
            for x in range(columns):
                if share[y, x] > 0:
                    deviation = np.float32(0)
                    for k in range(loadings.shape[0]):
                        deviation += loadings[k, b] * fields[k, y, x]
                    relative = np.exp(deviation - half[b]) if lognormal[b] else np.float32(1) + deviation
                    mixed[b, y, x] += share[y, x] * mean[b] * max(relative, darkest)
