"""What may be asked of a made world, or an error that says so."""

import math
import numbers
import re

import pandas as pd

from ..errors import SceneError
from ..tables import lookup, sensor_key
from .model import ADVANCE

MIN_SIDE = 48  # [pixels]
MOST_LATITUDE = 80
VIEW = ("snowline_m", "frozen", "rock", "clouds", "thin_cloud", "fog", "haze", "weather")
ROCK = (0.2, 2.0)  # brightness of rock that may be asked for
STRIPED = "landsat_etm", "2003-05-31"  # the sensor whose scan line corrector failed, and when
WIDEST_M = 250_000.0  # of a picture: the ice of more takes hours
SHARES = ("clouds", "thin_cloud", "fog", "haze")


def require_world(seed, years, shape, pixel_size_m, latitude, ela_m, ela_rise_m_a):
    """Arguments of a world as plain numbers and tuples; SceneError unless it can be made."""
    if not is_whole(seed) or seed < 0:
        raise SceneError(f"seed={seed!r} is no whole number of 0 or more.")
    years, shape = as_tuple(years), as_tuple(shape)
    if not years or not all(map(is_whole, years)) or list(years) != sorted(set(years)):
        raise SceneError(f"years={years} are not whole, distinct and in ascending order, at least one.")
    if years[0] < ADVANCE:
        raise SceneError(f"A made world begins in {ADVANCE}; year {years[0]} lies before it.")
    if len(shape) != 2 or not all(map(is_whole, shape)) or min(shape) < MIN_SIDE:
        raise SceneError(f"shape={shape} is no two whole numbers of {MIN_SIDE} or more, rows and columns.")
    measures = {
        "pixel_size_m": pixel_size_m, "latitude": latitude, "ela_m": ela_m, "ela_rise_m_a": ela_rise_m_a
    }  # fmt: skip
    for name, value in measures.items():
        if not (isinstance(value, numbers.Real) and math.isfinite(value)):
            raise SceneError(f"{name}={value!r} is no finite number.")
    if pixel_size_m <= 0 or abs(latitude) > MOST_LATITUDE:
        raise SceneError(
            f"pixel_size_m={pixel_size_m} must be more than 0, and latitude={latitude} within "
            f"{-MOST_LATITUDE} and {MOST_LATITUDE}."
        )
    if max(shape) * pixel_size_m > WIDEST_M:
        raise SceneError(
            f"{max(shape)} pixels of {pixel_size_m} m make {max(shape) * pixel_size_m / 1e3:.0f} km; a world "
            f"is {WIDEST_M / 1e3:.0f} km wide at most."
        )
    return int(seed), tuple(map(int, years)), tuple(map(int, shape)), *map(float, measures.values())


def require_day(year, date):
    """The day as a timestamp, or SceneError."""
    if re.fullmatch(r"\d\d-\d\d", str(date)):
        try:
            return pd.Timestamp(f"{year}-{date}")
        except ValueError:
            pass
    raise SceneError(f"date={date!r} is no day of {year}: give month and day, such as '09-15'.")


def require_view(view):
    """UnknownNameError or SceneError unless these are options of a view."""
    for name in view:
        lookup(dict.fromkeys(VIEW), name, kind="option of a view")
    weather, line = view.get("weather", 0), view.get("snowline_m")
    if not is_whole(weather) or weather < 0:
        raise SceneError(f"weather={weather!r} is a seed: a whole number of 0 or more.")
    for name in SHARES:
        if not isinstance(view.get(name, 0), numbers.Real):
            raise SceneError(f"{name}={view[name]!r} is no number.")
    if view.get("frozen") not in (None, True, False):
        raise SceneError(f"frozen={view['frozen']!r}: give True or False; None takes the snow line's word.")
    rock = view.get("rock", 1)
    if not (isinstance(rock, numbers.Real) and ROCK[0] <= rock <= ROCK[1]):
        raise SceneError(f"rock={rock!r} is no brightness of rock: give a multiple, {ROCK[0]} to {ROCK[1]}.")
    if line is not None and not (isinstance(line, numbers.Real) and math.isfinite(line)):
        raise SceneError(f"snowline_m={line!r} is no height [m]; None takes the date's.")


def require_gaps(sensor, datetime):
    """SceneError unless a sensor's images of a day have stripes."""
    striped, since = STRIPED
    if sensor_key(sensor) != striped or datetime < since:
        raise SceneError(
            f"gaps=True is for Landsat 7 since {since}, not for {sensor!r} on {datetime[:10]}: leave it out."
        )


def is_whole(number):
    return isinstance(number, numbers.Real) and not isinstance(number, bool) and float(number).is_integer()


def as_tuple(value):
    return tuple(value) if hasattr(value, "__iter__") else (value,)
