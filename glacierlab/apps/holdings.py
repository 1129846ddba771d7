"""What an app shows, read once and changed by nobody: scenes, maps, outlines by date and others beside them.

Nothing here needs a screen. Sessions of a server share one `Holdings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import dask
import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS
from rasterio.warp import transform_bounds

from ..batch import require_meters
from ..change.assessing import in_years
from ..change.dated import center_of, date_text
from ..change.overlaps import equal_area_crs
from ..change.tracking import date_of
from ..errors import GlacierlabError, InventoryError, require_outlines
from ..io.layers import bounds_of, require_crs
from .rows import into

IN_MEMORY = 512 * 2**20  # bytes of all rasters together that are read at once: an assumption


@dataclass(frozen=True, eq=False)
class Holdings:
    """What an app shows; see `held` and `holdings_of`. Shared by all sessions, so none changes it.

    Attributes
    ----------
    scenes : dict of str to xarray.Dataset
        By date ("2020-08-16"), or by name where none is known; the oldest first. Lazy where they are large.
    predictions : dict of str to xarray.Dataset
        Under some of the same labels: class_map, and probability, entropy, spread where there are.
    outlines : dict of str to geopandas.GeoDataFrame
        By label, the oldest first, in `crs`; also of dates without a scene.
    rivals : dict of str to geopandas.GeoDataFrame
        Other outlines of the same ground by name (a method, an analyst, a reference), in `crs`.
    dem : xarray.DataArray or None
        Elevation (y, x) [m]: as given, or the last scene's.
    files : dict of str to pathlib.Path
        The GeoPackage that edits of a label's outlines are saved to, where they came from one.
    series : pandas.DataFrame or None
        Areas through time, where a table of them was given.
    facts : dict of str to str
        Where it all came from.

    Examples
    --------
    >>> import glacierlab as gl
    >>> held = gl.apps.held(gl.synthetic_scene(seed=6, shape=(64, 64)))
    >>> held.labels, held.crs.to_epsg(), held.dem.attrs["units"]
    (['2020-09-15'], 32645, 'm')
    """

    scenes: dict = field(default_factory=dict)
    predictions: dict = field(default_factory=dict)
    outlines: dict = field(default_factory=dict)
    rivals: dict = field(default_factory=dict)
    dem: xr.DataArray | None = None
    files: dict = field(default_factory=dict)
    series: pd.DataFrame | None = None
    facts: dict = field(default_factory=dict)

    @property
    def labels(self):
        """Labels of scenes and outlines, the oldest first."""
        return in_time([*self.scenes, *self.outlines])

    @property
    def crs(self):
        """The CRS [m] of the map, as pyproj's: of the first scene, else of the outlines; see `map_crs`."""
        return map_crs(self.scenes, {**self.outlines, **self.rivals})

    @property
    def bounds(self):
        """(minx, miny, maxx, maxy) of all scenes in `crs`, or of the outlines where there is no scene."""
        crs = self.crs
        if self.scenes:
            boxes = [
                transform_bounds(scene.rio.crs, crs.to_wkt(), *bounds_of(scene))
                for scene in self.scenes.values()
            ]
        else:
            tables = [*self.outlines.values(), *self.rivals.values()]
            boxes = [table.total_bounds for table in tables if len(table)]
        low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
        return (*low.tolist(), *high.tolist())


def holdings_of(*paths):
    """What files and folders hold, for `inspect` and `change`. Nothing is written.

    Parameters
    ----------
    *paths : path
        Folders that `glacierlab demo`, `map` (of a scene, or of many) or `change` wrote; a scene as
        `open_scene` takes it; a class map; an inventory as `open_inventory` takes it; a table of areas (CSV).
        Of several maps of one date and grid the first is shown; outlines of the others become rivals.

    Returns
    -------
    Holdings
        Scenes are read now where they are small, all together (an assumption: 512 MB), and else by chunks.

    Raises
    ------
    GlacierlabError
        There is nothing to show, or a file that was named cannot be read.

    Warns
    -----
    DataWarning
        A file within a folder cannot be read, and is left out.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     glaciers = gl.write_folder(folder, scene, scene.glacier.map_glaciers())
    ...     found = holdings_of(folder)
    >>> len(found.scenes), [len(table) for table in found.outlines.values()] == [len(glaciers)]
    (1, True)
    """
    from .folders import gathered

    if not paths:
        raise GlacierlabError("There is nothing to show: give a folder, a scene or an inventory.")
    return settled(gathered(paths))


def held(scenes=None, prediction=None, outlines=None, dem=None, series=None):
    """What Python objects hold, for `inspect` and `change`.

    Parameters
    ----------
    scenes : xarray.Dataset, list or dict of them, path, list of paths, or Holdings, optional
        A Dataset with `time` is a scene for each of its times. A dict's keys are its labels: dates or names.
        Paths are opened by `holdings_of`. The other arguments add to Holdings, or replace what they have.
    prediction : xarray.Dataset, xarray.DataArray, list or dict of them, or path, optional
        Maps of the scenes, in their order or by their labels; one map of several scenes is of the last.
    outlines : geopandas.GeoDataFrame, list or dict of them, path, list of paths, or Holdings, optional
        By date: a dict's keys, a column `date` as `glacierlab change` writes it, or else `src_date`. With one
        scene, one table is of it, whatever its date.
    dem : xarray.DataArray or path, optional
        Elevation (y, x) [m].
    series : pandas.DataFrame or path, optional
        Of `area_series`.

    Returns
    -------
    Holdings

    Raises
    ------
    GlacierlabError
        There is neither a scene nor an outline, or a table has no CRS or no polygons.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> scenes = {str(year): world.scene(year) for year in world.years}
    >>> found = held(scenes, outlines={"2020": world.outlines(2020)})
    >>> list(found.scenes), list(found.outlines)
    (['1990', '2020'], ['2020'])
    """
    from .folders import open_dem, open_series

    base = opened(scenes)
    if base is None:
        base = Holdings(scenes=labeled_scenes(scenes))
    if prediction is not None:
        more = opened(prediction)
        maps = labeled_maps(prediction, base.scenes) if more is None else more.predictions
        base = replace(base, predictions={**base.predictions, **at_labels(maps, base.scenes)})
    if outlines is not None:
        base = with_outlines_of(base, outlines)
    if dem is not None:
        base = replace(base, dem=open_dem(dem) if isinstance(dem, str | Path) else dem)
    if series is not None:
        base = replace(base, series=open_series(series) if isinstance(series, str | Path) else series)
    return settled(base)


def opened(given):
    """Holdings of paths, or those given; None for anything else."""
    from .folders import gathered

    if isinstance(given, Holdings):
        return given
    paths = given if isinstance(given, list | tuple) else [given]
    if paths and all(isinstance(path, str | Path) for path in paths):
        return gathered(paths)
    return None


def with_outlines_of(base, outlines):
    """Holdings with outlines as `held` takes them, and with what else lay where they came from."""
    more = opened(outlines)
    if more is None:
        more = Holdings(outlines=labeled_outlines(outlines, base.scenes))
    tables, files = at_labels(more.outlines, base.scenes), at_labels(more.files, base.scenes)
    kept = {label: path for label, path in base.files.items() if label not in tables}
    return replace(
        base,
        outlines={**base.outlines, **tables},
        rivals={**base.rivals, **more.rivals},
        files=kept | files,
        series=base.series if more.series is None else more.series,
        facts=base.facts | more.facts,
    )


def at_labels(by_label, scenes):
    """The same, under the label of the only scene where there is one of both."""
    if len(by_label) == len(scenes) == 1:
        return dict(zip(scenes, by_label.values(), strict=True))
    return by_label


# ---- labels ----


def label_of(raster, name="scene"):
    """The day of a scene or a map, or `name` where it does not say."""
    return str(raster.attrs.get("datetime") or "")[:10] or name


def label_of_outlines(table, name="outlines"):
    """The date of outlines, in few words, or `name` where they have none that can be read."""
    try:
        found = date_of(table)
        return in_years(found) if found else name
    except InventoryError:
        return name


def by_dates(table, name="outlines"):
    """{label: outlines}: those of each date of a table with a column `date`, or all of them as one."""
    label = label_of_outlines(table, "")
    if "date" in table and len(table):
        texts = table["date"].map(date_text)
        if all(map(is_date, texts.unique())):
            labels = texts.map(in_years)
            if labels.nunique() > 1:
                return {one: table[labels == one].reset_index(drop=True) for one in labels.unique()}
        if not label and is_date(texts.iloc[0]):
            label = in_years(texts.iloc[0])
    return {label or name: table}


def is_date(label):
    """Whether a label is a date, a year or a range of them."""
    try:
        return not np.isnan(center_of(label))
    except InventoryError:
        return False


def in_time(labels):
    """Labels once each, dates in order of time, then names in order of the alphabet."""
    order = {label: (0, center_of(label), label) if is_date(label) else (1, 0.0, label) for label in labels}
    return sorted(order, key=order.get)


def free_label(label, taken):
    """The label, with a number after it where it is taken."""
    count, found = 1, label
    while found in taken:
        count += 1
        found = f"{label} ({count})"
    return found


# ---- Python objects ----


def labeled_scenes(scenes):
    """{label: scene (y, x)} of what `held` takes; GlacierlabError for anything else."""
    if scenes is None:
        return {}
    pairs = pairs_of(scenes)
    found = {}
    for name, scene in pairs:
        if isinstance(scene, str | Path):
            scene = next(iter(opened(scene).scenes.values()), scene)
        if not isinstance(scene, xr.Dataset):
            raise GlacierlabError(
                f"A scene is an xarray Dataset, and this is {type(scene).__name__}: open it with open_scene."
            )
        for date, single in single_dates(scene):
            label = name if name is not None and date is None else date or label_of(single)
            found[free_label(str(label), found)] = single
    return found


def pairs_of(given):
    """(label or None, value) of a dict, a list, or one value."""
    if isinstance(given, Mapping) and not isinstance(given, xr.Dataset):
        return list(given.items())
    return [(None, value) for value in (given if isinstance(given, list | tuple) else [given])]


def single_dates(scene):
    """(date, scene) of each time of a scene with several, (None, scene) of one without."""
    if "time" not in scene.dims:
        return [(None, scene)]
    times = pd.DatetimeIndex(scene["time"].values)
    days = [stamp.date().isoformat() for stamp in times]
    return [
        (day, scene.isel(time=number).assign_attrs(datetime=stamp.isoformat()))
        for number, (day, stamp) in enumerate(zip(days, times, strict=True))
    ]


def labeled_maps(prediction, scenes):
    """{label of a scene: map}; GlacierlabError where there are more maps than scenes."""
    pairs = [
        (name, one if isinstance(one, xr.Dataset) else one.rename("class_map").to_dataset())
        for name, one in pairs_of(prediction)
    ]
    if any("time" in one.dims for _, one in pairs):
        pairs = [(name or date, single) for name, one in pairs for date, single in single_dates(one)]
    if isinstance(prediction, Mapping) and not isinstance(prediction, xr.Dataset):
        if unknown := [name for name, _ in pairs if scenes and name not in scenes]:
            raise GlacierlabError(f"Maps of {unknown}, and the scenes are {list(scenes)}: label both alike.")
        return dict(pairs)
    labels = in_time(scenes) or [label_of(one, "map") for _, one in pairs]
    if len(pairs) > len(labels):
        raise GlacierlabError(
            f"{len(pairs)} maps of {len(labels)} scenes: give one for each, in their order."
        )
    labels = labels[-1:] if len(pairs) == 1 else list(scenes) or labels
    return {label: one for label, (_, one) in zip(labels, pairs, strict=False)}


def labeled_outlines(outlines, scenes):
    """{label: outlines} of what `held` takes; InventoryError for what are no outlines."""
    if isinstance(outlines, gpd.GeoDataFrame):
        require_outlines(outlines, "An app")
        found = by_dates(outlines)
        return at_labels(found, scenes)
    found = {}
    for name, table in pairs_of(outlines):
        if isinstance(table, str | Path):
            table = next(iter(opened(table).outlines.values()), table)
        require_outlines(table, "An app")
        if name is not None:
            label = in_years(date_text(name)) if is_date(date_text(name)) else str(name)
            found[free_label(label, found)] = table
        else:
            found |= {free_label(label, found): part for label, part in by_dates(table).items()}
    return found


# ---- in one CRS ----


def map_crs(scenes, outlines):
    """The CRS of the first scene; of outlines where it is in meters, else an equal-area one about them."""
    for scene in scenes.values():
        return CRS.from_user_input(require_crs(scene, "A map"))
    tables = [table for table in outlines.values() if len(table)]
    crs = tables[0].crs
    in_meters = crs.is_projected and all(axis.unit_conversion_factor == 1 for axis in crs.axis_info)
    return crs if in_meters else CRS.from_user_input(equal_area_crs(*tables))


def settled(holdings):
    """Holdings in order of time, outlines in one CRS, small rasters in memory; GlacierlabError of nothing."""
    if not holdings.scenes and not any(map(len, [*holdings.outlines.values(), *holdings.rivals.values()])):
        raise GlacierlabError("There is nothing to show: give a scene or outlines.")
    for scene in holdings.scenes.values():
        require_crs(scene, "A map")
        require_meters(scene)
    predictions = holdings.predictions
    if not set(predictions) & set(holdings.scenes):
        predictions = at_labels(predictions, holdings.scenes)
    scenes, predictions, dem = in_memory(holdings.scenes, predictions, holdings.dem)
    scenes, predictions = (
        {label: rasters[label] for label in in_time(rasters)} for rasters in (scenes, predictions)
    )
    if dem is None:
        tall = [scene["elevation"] for scene in scenes.values() if "elevation" in scene]
        dem = tall[-1] if tall else None
    outlines = {label: holdings.outlines[label] for label in in_time(holdings.outlines)}
    crs = map_crs(scenes, {**outlines, **holdings.rivals})
    outlines, rivals = (
        {name: into(table, crs) for name, table in tables.items()} for tables in (outlines, holdings.rivals)
    )
    return replace(
        holdings, scenes=scenes, predictions=predictions, outlines=outlines, rivals=rivals, dem=dem,
        facts=holdings.facts or facts_of(scenes, outlines),
    )  # fmt: skip


def in_memory(scenes, predictions, dem):
    """The same rasters, read now if they are small all together."""
    size = sum(each.nbytes for each in [*scenes.values(), *predictions.values()])
    if size + (0 if dem is None else dem.nbytes) > IN_MEMORY:
        return scenes, predictions, dem
    return dask.compute(scenes, predictions, dem)


def facts_of(scenes, outlines):
    """What is known of objects that were given in memory."""
    told = {label: str(scene.attrs["title"]) for label, scene in scenes.items() if "title" in scene.attrs}
    return told | {f"outlines of {label}": f"{len(table)} outlines" for label, table in outlines.items()}
