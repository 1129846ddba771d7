"""Scenes of several dates: as a list or a cube, when they were taken, and the windows they fall into."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import GlacierlabError
from ..io.radiometry import kind_of

FOREVER = 100_000  # windows


def scenes_of(scenes, needed_by):
    """Scenes (y, x), one a date, of a list of them or a cube (time, y, x); GlacierlabError for less."""
    if isinstance(scenes, xr.Dataset):
        if "time" not in scenes.dims:
            raise GlacierlabError(
                f"{needed_by} takes several dates: a list of scenes or a cube (time, y, x)."
            )
        found = [scenes.isel(time=number) for number in range(scenes.sizes["time"])]
    else:
        found = list(scenes)
        for number, scene in enumerate(found):
            if not isinstance(scene, xr.Dataset) or "time" in scene.dims:
                told = "a cube" if isinstance(scene, xr.Dataset) else f"a {type(scene).__name__}"
                raise GlacierlabError(
                    f"{needed_by}: scene {number} is {told}; a list holds Datasets of one date each (y, x)."
                )
    if not found:
        raise GlacierlabError(f"{needed_by} got no scene.")
    return found


def time_of(scene):
    """When a scene was taken (UTC), by its coordinate `time` or attribute `datetime`; None where neither."""
    told = scene.coords["time"].values if "time" in scene.coords else scene.attrs.get("datetime")
    if told is None:
        return None
    if np.asarray(told).dtype.kind in "biuf":  # pandas would take nanoseconds
        raise GlacierlabError(
            f"{told} is a number and no date. For whole years: assign_coords(time=pd.to_datetime(cube.time"
            ".values.astype(str))) of a cube, scene.attrs['datetime'] = '2020-08-16' of a scene."
        )
    try:
        found = pd.Timestamp(told)
    except (ValueError, TypeError) as error:
        raise GlacierlabError(f"{told!r} is no date: set scene.attrs['datetime'] = '2020-08-16'.") from error
    if found is pd.NaT:
        return None
    return found if found.tzinfo is None else found.tz_convert(None)


def require_times(scenes, needed_by):
    """When scenes were taken; GlacierlabError where one does not say."""
    times = [time_of(scene) for scene in scenes]
    if missing := [number for number, time in enumerate(times) if time is None]:
        raise GlacierlabError(
            f"{needed_by} needs dates, and scenes {missing} have none: set scene.attrs['datetime'] = "
            "'2020-08-16', or give a cube with a coordinate 'time'."
        )
    return times


def variable_kind(scene, name):
    """What a variable of a scene is: "reflective", "thermal", "flags" or "layer"."""
    variable = scene[name]
    if variable.dtype.kind in "bui" or "flag_values" in variable.attrs:
        return "flags"
    return variable.attrs.get("kind", kind_of(name))


def windows_of(times, window):
    """Windows (start, end before which) that together hold all of `times`, or what edges `window` gives."""
    if window is None:
        return [(min(times).normalize(), max(times).normalize() + pd.Timedelta(days=1))]
    edges = edges_of(times, window)
    return list(pairwise(edges))


def edges_of(times, window):
    """Where windows begin, and where the last one ends."""
    if isinstance(window, list | tuple | np.ndarray | pd.Index):
        edges = [pd.Timestamp(edge) for edge in window]
        if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
            raise GlacierlabError(f"window={window!r}: edges are two dates or more, in ascending order.")
        return edges
    asked = re.sub(r"^(\d*)Y$", r"\1YS", window) if isinstance(window, str) else window
    try:
        step = pd.tseries.frequencies.to_offset(asked)
    except (ValueError, TypeError) as error:
        raise GlacierlabError(
            f"window={window!r} is no length of time: give '3Y', an alias of pandas such as 'YS-OCT', or "
            "the edges of windows."
        ) from error
    if step.n < 1 or type(step).__name__.endswith("End"):
        raise GlacierlabError(f"window={window!r}: windows go forward from where they begin, such as '3YS'.")
    edges = [step.rollback(min(times).normalize())]
    while edges[-1] <= max(times):
        edges.append(edges[-1] + step)
        if len(edges) > FOREVER:
            raise GlacierlabError(f"window={window!r} makes more than {FOREVER:,} windows: take longer ones.")
    return edges


def iso(time):
    """A date in brackets, for messages; nothing where there is none."""
    return "" if time is None else f" ({time:%Y-%m-%d})"
