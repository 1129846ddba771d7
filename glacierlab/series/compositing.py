"""`composite`: one picture of a window of time, and which date each pixel is from."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import GlacierlabError, MissingBandError, RadiometryError, require_same_grid, warn
from ..features.indices import index
from ..quality import valid_mask
from ..tables import lookup
from .dates import require_times, scenes_of, variable_kind, windows_of

STRIP = 2**22  # numbers that a kernel has in its hands
HELD = 2**26  # numbers of a block, of all dates and bands together: 256 MiB as float32
WORST = np.float32(1e30)  # where NDSI is undefined: behind every date that has one


def composite(scenes, window="3Y", method="median", reference=None, *, keep_ice=True):
    """One picture for each window of time, without clouds and gaps, that knows where its pixels are from.

    A pixel of a date counts where all bands have a value and its `qa` layer, if there is one, calls it
    neither cloud, shadow nor fill. Where no date counts, the picture is NaN, and a map made of it 255.

    Parameters
    ----------
    scenes : list of xarray.Dataset, or xarray.Dataset
        Scenes (y, x) with an attribute `datetime`, or a cube (time, y, x); on one grid (see `coregister`) and
        of one radiometry, in any order.
    window : str, pandas offset, list of dates, or None
        How long windows are: "3Y" for three calendar years that begin with that of the first scene, as Chen
        et al. 2022 have them; another alias of pandas, such as "YS-OCT" for hydrological years; the edges of
        windows; or None for one of all scenes. Windows without a scene are left out.
    method : {"median", "medoid", "least_snow"}
        "median" of each band by itself. "medoid": the date whose reflectances have the smallest sum of
        Euclidean distances to those of the others (Flood 2013, eq. 1); all bands are of that one date, the
        earliest of several that are equal, as two alone always are. "least_snow": the date of the lowest
        NDSI, an assumption. A cloud that `qa` misses has a low one too.
    reference : int or sequence of int, optional
        Main pictures, by their numbers from 0, at most one a window: where one counts its pixels are taken,
        and `method` fills the rest, such as the stripes of Landsat 7.
    keep_ice : bool
        Take bright ice under a cloud flag for ice (see `valid_mask`), where there are green and SWIR
        reflectances to tell by.

    Returns
    -------
    xarray.Dataset
        Of each band that all scenes have, (time, y, x) float32, lazy if the scenes are; `source_date` (time,
        y, x) float32, the day [days since 1970-01-01, UTC] on which the pixel's values were taken, NaN where
        they are of several dates (a median of two or more) or none; `observations` (time, y, x) uint16, how
        many dates count. `time` is when the window begins, `time_bounds` (time, bounds) that and when the
        next would. `elevation`, and what a cube has without `time`, is kept. Of one window `title` names it
        in the attributes, and `datetime` is that of its main picture, else when it begins.

    Raises
    ------
    GlacierlabError, UnknownNameError
        A scene has no date, or an argument is not what it should be.
    GridError
        The scenes lie on several grids.
    MissingBandError, RadiometryError
        They share no band or differ in radiometry; "least_snow" needs reflectance in green and swir16.

    Warns
    -----
    DataWarning
        Ice under a cloud flag cannot be told from cloud; the scenes are of several sensors, whose bands are
        not adjusted to each other; or some have a `qa` layer and others, whose clouds all count, do not.

    Notes
    -----
    `xr.decode_cf(found)` makes datetimes of `source_date`; a GeoTIFF holds it as it is. Computing the Dataset
    reads each block of the scenes once, and so does computing one band, which needs all: compute before
    writing band by band. Blocks are cut until those of all dates and bands hold 2**26 numbers or fewer
    (256 MiB); what a chunk of a scene takes while it is read is for its reader's `chunks` to settle.

    References
    ----------
    Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277; Flood 2013, doi:10.3390/rs5126481.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=1, years=[2010, 2011, 2014], shape=(64, 64))
    >>> found = composite([world.scene(year) for year in world.years])
    >>> found.time.dt.year.values.tolist()
    [2010, 2013]
    """
    choose = lookup(METHODS, method, kind="method")
    dates = scenes_of(scenes, "composite")
    times = require_times(dates, "composite")
    mains = main_pictures(reference, len(dates))
    bands = shared_bands(dates)
    warn_of_mixtures(dates)
    order = sorted(range(len(dates)), key=times.__getitem__)
    made = []
    for start, end in windows_of(times, window):
        inside = [number for number in order if start <= times[number] < end]
        if not inside:
            continue
        first = [place for place, number in enumerate(inside) if number in mains]
        if len(first) > 1:
            raise GlacierlabError(
                f"The window of {start:%Y-%m-%d} has {len(first)} main pictures, scenes "
                f"{[inside[place] for place in first]}: give one a window."
            )
        stamps = np.array([times[number] for number in inside], "datetime64[ns]")
        layers = layers_of([dates[number] for number in inside], bands, choose, keep_ice, *first)
        bounds = np.array([[start, end]], "datetime64[ns]")
        found = dataset_of(layers, dates, bands, stamps)
        made.append(found.assign_coords(time=bounds[:, 0], time_bounds=(("time", "bounds"), bounds)))
    if not made:
        raise GlacierlabError(f"window={window!r} holds none of the {len(dates)} scenes.")
    out = xr.concat(made, "time", coords="minimal", compat="override", combine_attrs="override")
    out["time"].attrs["bounds"] = "time_bounds"
    out["time"].encoding["units"] = "seconds since 1970-01-01"  # the bounds' too, as CF asks
    out = out.assign(timeless(scenes, dates))
    attrs = common([scene.attrs for scene in dates])
    if len(made) == 1:
        attrs |= attrs_of_window(*bounds[0], method, [times[number] for number in mains])
    return out.assign_attrs(attrs | {"composite": method})


def main_pictures(reference, count):
    """The numbers of the main pictures; GlacierlabError for what is none."""
    asked = [] if reference is None else [reference] if np.ndim(reference) == 0 else list(reference)
    for number in asked:
        if (
            isinstance(number, bool)
            or not isinstance(number, int | np.integer)
            or not -count <= number < count
        ):
            raise GlacierlabError(
                f"reference={reference!r}: give numbers of scenes, 0 to {count - 1}, one a window."
            )
    return {int(number) % count for number in asked}


def attrs_of_window(start, end, method, mains):
    """`datetime` and `title` of the only window; `mains` are the times of main pictures."""
    start, last = pd.Timestamp(start), pd.Timestamp(end) - pd.Timedelta(1, "ns")
    when = next((time for time in mains if start <= time <= last), start)
    title = f"{method} of {start:%Y-%m-%d} to {last:%Y-%m-%d}"
    return {"datetime": when.isoformat()[:19], "title": title}


def warn_of_mixtures(dates):
    """Warn of scenes whose numbers, or whose clouds, do not compare."""
    sensors = sorted({str(scene.attrs["sensor"]) for scene in dates if "sensor" in scene.attrs})
    if len(sensors) > 1:
        warn(
            f"The scenes are of {', '.join(sensors)}: a composite does not adjust their bands to each other. "
            "Make one a sensor, or adjust them first."
        )
    without = [number for number, scene in enumerate(dates) if "qa" not in scene]
    if 0 < len(without) < len(dates):
        warn(
            f"Scenes {without} have no `qa` layer and others do: their clouds count as ground. Open them "
            "with it, or mask them first."
        )


def shared_bands(dates):
    """Names of what is measured in all scenes; refuses other grids, radiometries, and none."""
    first = dates[0]
    for number, scene in enumerate(dates[1:], 1):
        require_same_grid(first, scene, ("scene 0", f"scene {number}"))
    found = sorted({scene.attrs.get("radiometry", "unknown") for scene in dates})
    if len(found) > 1:
        raise RadiometryError(
            f"The scenes hold {found}: a composite mixes no radiometries. Open all alike, or "
            "scene.glacier.to_reflectance()."
        )
    bands = [name for name in first.data_vars if all(measures(scene, name) for scene in dates)]
    if not bands:
        raise MissingBandError(
            f"The scenes share no band: scene 0 has {list(first.data_vars)}. Rename them to common names."
        )
    return bands


def measures(scene, name):
    """Whether a scene has a band of a name."""
    return name in scene and variable_kind(scene, name) in ("reflective", "thermal")


def seen_band(scene, band, keep_ice):
    """A band (y, x), NaN where the `qa` layer, if there is one, says that the ground is hidden."""
    values = scene[band].transpose("y", "x")
    if "qa" not in scene:
        return values
    can = {"green", "swir16"} <= set(scene.data_vars) and scene.attrs.get("radiometry") != "dn"
    if keep_ice and not can:
        warn("Ice under the cloud flag is not won back: that needs reflectance in 'green' and 'swir16'.")
    return values.where(valid_mask(scene, keep_ice=keep_ice and can).transpose("y", "x").data)


def common(dicts):
    """What several dicts agree on."""
    first, *others = dicts
    return {key: value for key, value in first.items() if all(same(value, o.get(key)) for o in others)}


def same(one, other):
    """Whether two attributes are equal, arrays too."""
    return type(one) is type(other) and np.array_equal(one, other)


def timeless(scenes, dates):
    """What has no date: of a cube what has no time, of a list the first elevation."""
    if isinstance(scenes, xr.Dataset):
        return {name: variable for name, variable in scenes.data_vars.items() if "time" not in variable.dims}
    return next(({"elevation": scene["elevation"]} for scene in dates if "elevation" in scene), {})


# ---- one window


def layers_of(group, bands, choose, keep_ice, main=None):
    """Bands, place of the date (-1 for none) and count of dates, (band + 2, y, x) float32; lazy if they are.

    `group` is in the order of time, `main` the place of its main picture.
    """
    arrays = []
    for scene in group:
        arrays.append(seen_band(scene, bands[0], keep_ice))
        arrays += [scene[name].transpose("y", "x") for name in bands[1:]]
    if choose is least_snow:
        arrays += [index(scene, "ndsi").transpose("y", "x") for scene in group]
    arrays = [array.data for array in arrays]
    kinds = [variable_kind(group[0], name) == "reflective" for name in bands]
    how = dict(
        dates=len(group), choose=choose, main=main, colors=np.array(kinds) if any(kinds) else slice(None)
    )
    lazy = [array for array in arrays if dask.is_dask_collection(array)]
    if not lazy:
        return composed(*arrays, **how)
    chunks = cut(lazy[0].chunks, len(arrays))
    arrays = [da.asarray(array).rechunk(chunks) for array in arrays]
    out = dict(dtype=np.float32, chunks=((len(bands) + 2,), *chunks), meta=np.empty((0, 0, 0), np.float32))
    return da.map_blocks(composed, *arrays, new_axis=0, **how, **out)


def cut(chunks, count):
    """Chunks (y, x), halved until `count` blocks hold `HELD` numbers or fewer."""
    height, width = (max(sizes) for sizes in chunks)
    while height * width * count > HELD and height * width > 1:
        if height > width:
            height = -(-height // 2)
        else:
            width = -(-width // 2)
    return tuple(
        tuple(min(most, size - start) for size in sizes for start in range(0, size, most))
        for sizes, most in zip(chunks, (height, width), strict=True)
    )


def dataset_of(layers, dates, bands, stamps):
    """The layers of a window as a Dataset on the scenes' grid."""
    place = layers[-2]
    if dask.is_dask_collection(place):
        when = place.map_blocks(dated, stamps, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    else:
        when = dated(place, stamps)
    dims, first = ("time", "y", "x"), dates[0]
    attrs = {name: common([scene[name].attrs for scene in dates]) for name in bands}
    out = {name: (dims, layers[number][None], attrs[name]) for number, name in enumerate(bands)}
    day = {"long_name": "day on which the values of the pixel were taken", "units": "days since 1970-01-01"}
    out["source_date"] = dims, when[None], day | {"kind": "flags"}
    counted = {"long_name": "dates that show the ground", "units": "1", "kind": "flags"}
    out["observations"] = dims, layers[-1][None].astype(np.uint16), counted
    held = [name for name in ("y", "x", first.rio.grid_mapping) if name in first.coords]
    return xr.Dataset(out, {name: first.coords[name].variable for name in held})


def dated(place, stamps):
    """The day of each place, since 1970-01-01; NaN for -1."""
    days = stamps.astype("datetime64[D]").astype(np.float32)
    return np.append(days, np.float32(np.nan))[place.astype(int)]


def composed(*arrays, dates, choose, main, colors):
    """A block's bands, place of the date and count of dates (band + 2, y, x), from arrays (y, x).

    They are date by date and band by band; then, for some methods, what to judge each date by.
    """
    count = len(arrays) // dates
    bands = count if choose is not least_snow else (len(arrays) - dates) // dates
    height, width = arrays[0].shape
    out = np.empty((bands + 2, height, width), np.float32)
    rows = max(1, STRIP // max(len(arrays) * width, 1))
    for top in range(0, height, rows):
        part = slice(top, top + rows)
        stack = np.stack([array[part] for array in arrays], dtype=np.float32)
        values = stack[: dates * bands].reshape(dates, bands, *stack.shape[1:])
        seen = np.isfinite(values).all(axis=1)
        picture, place = choose(values, seen, colors=colors, judged=stack[dates * bands :])
        if main is not None:
            picture = np.where(seen[main], values[main], picture)
            place = np.where(seen[main], main, place)
        out[:-2, part], out[-2, part], out[-1, part] = picture, place, seen.sum(axis=0)
    return out


def median(values, seen, **_):
    """Medians (band, y, x) of values (date, band, y, x) seen, and the date's place where it was one alone."""
    count = seen.sum(axis=0)
    ordered = np.sort(np.where(seen[:, None], values, np.inf), axis=0)
    middles = [((count - 1).clip(0) // 2), np.minimum(count // 2, len(values) - 1)]
    low, high = (np.take_along_axis(ordered, each[None, None], axis=0)[0] for each in middles)
    picture = np.where(count > 0, (low + high) / 2, np.float32(np.nan))
    return picture, np.where(count == 1, seen.argmax(axis=0), -1)


def medoid(values, seen, colors, **_):
    """Values (band, y, x) of the date with the smallest sum of distances to others seen, and its place."""
    values = np.where(seen[:, None], values, np.float32(0))
    far = np.zeros(seen.shape, np.float32)
    for one in range(len(values)):
        for other in range(one):
            apart = np.sqrt(np.square(values[one, colors] - values[other, colors]).sum(axis=0))
            apart[~(seen[one] & seen[other])] = 0
            far[one] += apart
            far[other] += apart
    return least(far, values, seen)


def least_snow(values, seen, judged, **_):
    """Values (band, y, x) of the date with the lowest NDSI, (date, y, x) in `judged`, and its place."""
    return least(np.where(np.isnan(judged), WORST, judged), values, seen)


def least(score, values, seen):
    """Values (band, y, x) of the date seen with the lowest score (date, y, x), the earliest of equals."""
    place = np.where(seen, score, np.inf).argmin(axis=0)
    picture = np.take_along_axis(values, place[None, None], axis=0)[0]
    some = seen.any(axis=0)
    return np.where(some, picture, np.float32(np.nan)), np.where(some, place, -1)


METHODS = {"median": median, "medoid": medoid, "least_snow": least_snow}
