"""The ground under the sun and the sky, as a sensor sees it on a day."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..errors import SceneError
from ..tables import lookup
from .checks import require_day
from .cover import make_cover, snowline
from .glaciers import smoothstep
from .ground import Ground
from .instrument import measure, slc_gaps
from .light import AEROSOL, Light, coarsened, enlarge, illuminate, overpass, sun_position, sunlight
from .radar import coherence_and_phase
from .sky import Sky, make_sky, through, under
from .spectra import mix, reflective_bands, resampled, shared_patterns
from .terrain import Noise

ROCKS = ("rock", "scree", "debris", "dark_debris")
SNOW = ("fresh_snow", "snow", "coarse_snow")
WATER = ("water", "clear_water", "turbid_water", "lake_ice")
RADAR = ("look_azimuth", "incidence_angle", "wavelength_m", "looks", "atmosphere_rad")
FROZEN = 900.0  # assumption: how far the snow line lies below the equilibrium line when lakes freeze [m]
AROUND_M = 700.0  # assumption: how far the ground lends its color to the light [m]


@dataclass(frozen=True)
class View:
    """A landscape on a day."""

    year: int
    datetime: str
    ground: Ground
    cover: dict[str, np.ndarray]  # share of each endmember (y, x)
    light: Light
    sky: Sky
    noise: Noise  # of the world
    weather: Noise  # of the day
    snowline_m: float
    altitude_m: float
    rock: float  # brightness of ROCKS, as a multiple of their rows'


def look(
    noise,
    ground,
    year,
    date,
    *,
    latitude,
    longitude,
    altitude_m,
    snowline_m=None,
    frozen=None,
    rock=1.0,
    clouds=0.0,
    thin_cloud=0.0,
    fog=0.0,
    haze=0.0,
    weather=0,
):
    """The view on a day; see `World.scene`."""
    day = require_day(year, date)
    when = overpass(day, longitude)
    sun = sun_position(when, latitude, longitude)
    if sun[0] <= 0:
        raise SceneError(
            f"The sun is down at {latitude}° on {day:%d %B} at half past ten: take another date."
        )
    line = float(snowline(ground.ela_m, day.day_of_year, latitude) if snowline_m is None else snowline_m)
    frozen = bool(line < ground.ela_m - FROZEN) if frozen is None else frozen
    cover = make_cover(noise, ground, line_m=line, frozen=frozen, latitude=latitude)
    of_day = Noise(*noise.seeds, weather, year, day.day_of_year)
    hung = dict(clouds=clouds, thin_cloud=thin_cloud, fog=fog, haze=haze)
    sky = make_sky(of_day.rng("sky"), ground.elevation, ground.pixel_m, *sun, **hung)
    light = sunlight(ground.elevation, ground.pixel_m, *sun)
    return View(year, when, ground, cover, light, sky, noise, of_day, line, altitude_m, rock)


def observe(view, sensor, *, gaps_m=None):
    """Reflectance (y, x) float32 by name of each reflective band of a sensor, as measured.

    `gaps_m` is the size of a pixel [m] where Landsat 7's stripes are to be lost.
    """
    shape, pixel_m = view.ground.elevation.shape, view.ground.pixel_m
    fields = [view.noise("brightness", shape, pixel_m, longest_m=2000, exponent=3.2)]
    fields += [view.noise(f"color {k}", shape, pixel_m, longest_m=9000, exponent=3.8) for k in range(3)]
    patterns = along_flow(shared_patterns(view.noise.rng("patterns"), fields), view.ground.streaks)
    seen = mix(view.cover, patterns, sensor, brightness=dict.fromkeys(ROCKS, view.rock))
    light, cloud = under(view.light, view.sky), resampled(sensor)["cloud"].mean
    for band, of_cloud in zip(reflective_bands(sensor), cloud, strict=True):
        pure = seen[band.name]
        around = mean_around(pure, pixel_m)
        pure *= illuminate(
            light,
            band.center_um,
            aerosol=AEROSOL + view.sky.haze,
            altitude_m=view.altitude_m,
            surroundings=around,
        )
        seen[band.name] = through(pure, band.center_um, view.sky, cloud=of_cloud)
    measured = measure(view.weather.rng("instrument"), seen, sensor, view.light.sun_elevation)
    if gaps_m:
        lost = slc_gaps(shape, gaps_m, along_m=view.weather.rng("gaps").uniform(0, 960))
        for band in measured.values():
            band[lost] = np.nan
    return measured


def mean_around(field, pixel_m):
    """Mean of a field (y, x) within about AROUND_M, made on a coarser grid."""
    factor = max(1, round(AROUND_M / 6 / pixel_m))
    coarse = coarsened(field, factor)
    if min(coarse.shape) < 2:
        return np.broadcast_to(coarse.mean(), field.shape)
    return enlarge(gaussian_filter(coarse, AROUND_M / (factor * pixel_m)), factor, field.shape)


def along_flow(patterns, streaks):
    """`patterns` whose first of ice is the streaks that flow draws."""

    def drawn(name, count):
        fields = patterns(name, count)
        if name in ("ice", "dirty_ice"):
            fields[0] = streaks
        return fields

    return drawn


def snow_share(cover):
    """Share of each pixel (y, x) under snow."""
    return np.sum([cover[name] for name in SNOW], axis=0, dtype=np.float32)


def radar(view, days, options):
    """Coherence, phase and layover (y, x) by name."""
    for name in options:
        lookup(dict.fromkeys(RADAR), name, kind="option of radar")
    ground, cover = view.ground, view.cover
    dry = smoothstep(ground.elevation, view.snowline_m - 100, view.snowline_m + 400)  # high snow is frozen
    water = np.clip(sum(cover[name] for name in WATER), 0, 1)
    names = "coherence", "phase", "layover"
    fields = coherence_and_phase(
        view.weather.rng("radar"),
        ground.elevation,
        ground.pixel_m,
        speed_m_a=ground.speed_m_a,
        melting=np.maximum(ground.ice, snow_share(cover)) * (1 - dry),
        vegetation=cover["vegetation"] + cover["forest"],
        water=water,
        days=days,
        **options,
    )
    return dict(zip(names, fields, strict=True))
