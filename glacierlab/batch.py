"""Scenes to folders of results: one, or many of which none stops the others."""

import json
import logging
import re
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from dask.base import tokenize
from tqdm.dask import TqdmCallback

from .errors import GlacierlabError, GridError, SceneError, WriteError
from .io.files import open_tags, own_attrs
from .io.finding import digest_of, scene_name, scenes_below, stamp
from .io.maps import open_map
from .io.write import locked, require_folder, write_raster, write_text
from .mapping import areas_by_class, map_by_model, map_glaciers, open_to_map, predicting
from .outlines.curving import require_smoothing
from .outlines.surfaces import require_dem
from .report import FILES, version_of, write_folder

SUMMARY = "summary.csv"
FIRST, LAST = ["scene", "date", "sensor", "status", "reason"], ["outlines", "seconds"]
OK, FAILED = "ok", "failed"
UNFINISHED = ".unfinished-"  # and a hash of the settings: the folder that a killed run goes on from
LOCK = ".lock"  # in a scene's folder while it is written
log = logging.getLogger(__name__)


def map_scenes(
    scenes, folder, *, model=None, reference=None, dem=None, smooth=None, opening=None, say=None,
    progress=True, **how,
):  # fmt: skip
    """Map scenes one after the other, each into a folder of its own; one that fails does not stop the rest.

    The same call again maps what failed, goes on where it was killed, and leaves alone what is there by the
    same settings. `summary.csv` in the folder is written anew after each scene.

    Parameters
    ----------
    scenes : path, list of paths, or dict
        A folder of scenes, see `io.finding.scenes_below`, or scenes as `open_scene` takes them. A dict holds
        by name (of the folder) a path, a list of paths, a scene, or a function of `opening` that gives one;
        its attribute `token`, if any, tells what: where that changes, the scene is mapped again.
    folder : path
    model : path, Segmenter or list of these, optional
        As `map_by_model` takes it; without one a threshold maps.
    reference : Reference, optional
        Every map is held against it.
    dem, smooth : optional
        Of `mapping.outline`: with a DEM that covers the scenes, every map's outlines are an inventory.
    opening : dict, optional
        Arguments of `open_scene`.
    say : function of str, optional
        Told of each scene.
    progress : bool
        Whether bars show how far the model is, in terminals.
    **how
        Arguments of `map_by_model`, or of `map_glaciers`.

    Returns
    -------
    pandas.DataFrame
        One row a scene: `scene`, `date`, `sensor`, `status` ("ok" or "failed"), `reason`, the area of each
        class (`glacier_km2`, …) [km²], `outlines` (how many), `seconds` it took.

    Raises
    ------
    SceneError
        There is no scene.
    GlacierlabError, GridError, ModelFileError
        The model or the DEM cannot be used at all.
    WriteError
        The folder or its summary cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> scenes = {f"seed {seed}": gl.synthetic_scene(seed, shape=(64, 64)) for seed in (1, 2)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     summary = map_scenes(scenes, folder, progress=False)
    >>> summary[["scene", "status", "outlines"]]
        scene status  outlines
    0  seed_1     ok         3
    1  seed_2     ok         4
    """
    scenes, folder, opening = named(scenes, folder), Path(folder), opening or {}
    key = predicting(model)[1].key if model is not None else None
    drawn = drawing(dem, smooth)
    require_folder(folder)
    known, asked, rows = rows_of(folder / SUMMARY), {}, {}
    for name, source in scenes.items():  # first what is there: the summary never mixes two settings
        try:
            asked[name] = settings_of(name, source, opening, key, reference, how | drawn, but_not=folder)
            if found := finished(folder / name, asked[name], how):
                rows[name] = told_row(name, OK, **found, seconds=known.get(name, {}).get("seconds"))
        except Exception as error:  # as below; told when it is this one's turn
            asked[name] = error
    kept = set(rows)
    for number, (name, source) in enumerate(scenes.items(), 1):
        start, settings = time.perf_counter(), asked[name]
        try:
            if isinstance(settings, Exception):
                raise settings
            if name not in kept:
                call = dict(model=model, reference=reference, settings=settings, progress=progress)
                map_scene(source, folder / name, opening=opening, **call, dem=dem, smooth=smooth, **how)
                took = round(time.perf_counter() - start, 1)
                rows[name] = told_row(name, OK, **row_of(folder / name), seconds=took)
        except Exception as error:  # whatever it is, the other scenes are still mapped
            log.debug("%s failed", name, exc_info=error)
            rows[name] = told_row(name, FAILED, reason=reason_of(error))
        in_order = {each: rows[each] for each in scenes if each in rows}
        write_text(table_of(in_order).to_csv(index=False), folder / SUMMARY)
        if say:
            say(f"[{number}/{len(scenes)}] {name}: {told_of(rows[name], name in kept)}")
    return table_of(in_order)


def map_scene(
    source, folder, *, model=None, reference=None, dem=None, smooth=None, opening=None, settings=None,
    say=None, progress=True, **how,
):  # fmt: skip
    """Map one scene by a threshold or a model and write its folder; a killed run by a model goes on.

    Parameters
    ----------
    source : xarray.Dataset, path or function
        A scene, or where it comes from, as in `map_scenes`.
    folder : path
    settings : str, optional
        Kept with the class map; by default what was asked here.
    say : function of str, optional
        Told of each step.
    model, reference, dem, smooth, opening, progress, **how
        As in `map_scenes`.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines: see `mapping.outline`.

    Raises
    ------
    GlacierlabError
        Another run writes to the folder; and all that opening, mapping and writing raise.
    """
    folder, opening = Path(folder), opening or {}
    if isinstance(source, str | Path) and Path(source).resolve() in {(folder / n).resolve() for n in FILES}:
        raise WriteError(f"The map's files would replace the scene {source}: choose another folder.")
    if settings is None:
        key = predicting(model)[1].key if model is not None else None
        asked = how | drawing(dem, smooth)
        settings = settings_of(folder.name, source, opening, key, reference, asked, but_not=folder)
    say = say or (lambda text: None)
    with alone(folder):
        working = working_folder(folder, settings)
        scene = opened(source, opening, working)
        require_meters(scene)
        say(f"opened {scene.attrs.get('title', source)}: {', '.join(scene.data_vars)}")
        if model is None:
            with TqdmCallback(desc="mapping", leave=False, disable=None if progress else True):
                prediction = map_glaciers(scene, **how).compute()  # a lazy scene is computed here
        else:
            out = working / "map.zarr"
            prediction = map_by_model(scene, model, out=out, progress=progress, **how)
        prediction["class_map"].attrs["settings"] = settings
        say(f"mapped by {prediction.attrs.get('layer') or 'model ' + prediction.attrs['model']}")
        outlines = write_folder(folder, scene, prediction, reference=reference, dem=dem, smooth=smooth)
        shutil.rmtree(working, ignore_errors=True)
    say(f"wrote {folder}")
    return outlines


def opened(source, opening, working):
    """The scene of a source; one that comes over a network is fetched once, and mapped from a file."""
    if hasattr(source, "data_vars"):
        return source
    if not callable(source):
        return open_to_map(source, **opening)
    path = working / "scene.tif"
    if not path.exists():
        write_raster(source(**opening), path)
    return open_to_map(path)


def require_meters(scene):
    """GridError where a scene's grid is in degrees, on which no area can be told."""
    crs = scene.rio.crs
    if crs is not None and crs.is_geographic:
        zone = f"EPSG:{scene.rio.estimate_utm_crs().to_epsg()}"
        raise GridError(
            f"The scene is in degrees ({crs.to_string()}), and areas need meters. Bring it onto a grid in "
            f"meters first: `gdalwarp -t_srs {zone} in.tif out.tif`, or scene.rio.reproject({zone!r})."
        )


def passes(catalog="earth-search", **query):
    """{name: function} of the passes that a STAC catalog finds, oldest first, for `map_scenes`.

    Parameters
    ----------
    catalog, **query
        Of `find_scenes`: bbox, dates, collection, sensor, max_cloud, max_items, ….

    Raises
    ------
    SceneError
        Nothing is found, or the catalog cannot be reached.
    """
    from .io.stac import open_stac
    from .series.scenes import find_scenes

    asked = {name: value for name, value in query.items() if value is not None}
    table = find_scenes(look=False, catalog=catalog, **asked).sort_values("datetime", ignore_index=True)

    def opener(number):
        def fetch(**opening):
            return open_stac(table.iloc[[number]], **opening).isel(time=0)

        items = [[item.collection_id, item.id] for item in table["items"][number]]
        fetch.token = [catalog, table.attrs["area"], items]
        return fetch

    ids = [identity.split(",") for identity in table["id"]]
    names = [first.strip() + (f"+{len(rest)}" if rest else "") for first, *rest in ids]
    return {name: opener(number) for number, name in enumerate(names)}


def named(scenes, folder):
    """{name of a folder: source} of what `map_scenes` takes; SceneError where there is none."""
    if isinstance(scenes, dict):
        pairs = list(scenes.items())
    else:
        several = scenes if isinstance(scenes, list | tuple) else [scenes]
        pairs = [(scene_name(path), path) for each in several for path in scenes_below(each, but_not=folder)]
    if not pairs:
        raise SceneError("There is no scene to map: give a folder, files or a query that holds some.")
    found, taken = {}, {SUMMARY}
    for name, source in pairs:
        first = name = re.sub(r"[^\w.+-]", "_", str(name)).lstrip(".") or "scene"
        count = 1
        while name.casefold() in taken:  # some file systems hold "a" and "A" for one
            count += 1
            name = f"{first}-{count}"
        taken.add(name.casefold())
        found[name] = source
    return found


# ---- what is there already ----


def drawing(dem, smooth):
    """What tells how outlines are drawn, among the settings; GlacierlabError where they cannot be."""
    if smooth is not None:
        require_smoothing(smooth)
    if dem is not None:
        require_dem(dem)
    return {"dem": stamp(dem, None) if isinstance(dem, str | Path) else dem, "smooth": smooth}


def settings_of(name, source, opening, key, reference, how, but_not=None):
    """What the results depend on, as JSON text: scene, how it is opened, model, reference, arguments."""
    if callable(source):
        scene = [name, getattr(source, "token", None)]
    elif hasattr(source, "data_vars"):
        scene = [name, tokenize(source)]
    else:
        scene = [name, stamp(source, but_not)]
    held = None
    if reference is not None:
        data = reference.data
        drawn = data.geometry.to_wkb().tolist() if hasattr(data, "geometry") else data
        held = [reference.name, reference.complete, tokenize(drawn)]
    about = {"scene": scene, "opening": opening, "model": key, "reference": held, "how": how}
    about |= {"glacierlab": version_of("glacierlab")}
    return json.dumps(about, sort_keys=True, default=tokenize)


@contextmanager
def alone(folder):
    """The folder, made if needed, for this run only; GlacierlabError where another run writes to it.

    Without filelock, of the extra `models`, nobody is told.
    """
    new = not folder.exists()
    require_folder(folder)
    lock = locked(folder / LOCK, folder)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        if lock:
            lock.release()
        with suppress(OSError):
            if new:
                folder.rmdir()  # of a scene that failed at once


def working_folder(folder, settings):
    """Where a run by these settings keeps what is not finished; those of other settings are removed."""
    working = folder / f"{UNFINISHED}{digest_of(settings)}"
    for other in folder.glob(f"{UNFINISHED}*"):
        if other != working:
            shutil.rmtree(other, ignore_errors=True)
    return working


def finished(folder, settings, how):
    """The row of a folder that holds all files of a map by these settings, else None."""
    asked = how.get("uncertainty") or ()
    rasters = [f"{name}.tif" for name in ([asked] if isinstance(asked, str) else asked)]
    if not all((folder / name).is_file() for name in (*FILES, *rasters)):
        return None
    try:
        same = own_attrs(open_tags(folder / "class_map.tif")[-1]).get("settings") == settings
        return row_of(folder) if same else None
    except (GlacierlabError, OSError, ValueError, KeyError):  # damaged: it is mapped again
        return None


# ---- the summary ----


def row_of(folder):
    """What a finished folder says of its map."""
    told = own_attrs(open_tags(folder / "class_map.tif")[-1])
    outlines = pd.read_csv(folder / "areas.csv")
    areas = areas_by_class(open_map(folder / "class_map.tif", chunks=1024), outlines)
    row = {"date": told.get("datetime", "")[:10], "sensor": told.get("sensor", "")}
    row |= {f"{name}_km2": round(area, 6) for name, area in areas.items()}
    return row | {"outlines": len(outlines)}


def told_row(name, status, **known):
    """A row of the summary."""
    return dict.fromkeys(FIRST, "") | {"scene": name, "status": status} | known


def reason_of(error):
    """What an exception says, in a line; its name too where nobody expected it."""
    told = " ".join(str(error).split()) or type(error).__name__
    expected = isinstance(error, GlacierlabError | OSError | MemoryError)
    return told if expected else f"{type(error).__name__}: {told}"


def rows_of(path):
    """Rows of an earlier summary by scene, none where there is none."""
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(FIRST, str))
        table[FIRST] = table[FIRST].fillna("")
        return {row["scene"]: row for row in table.to_dict("records")}
    except (OSError, ValueError, KeyError):
        return {}


def table_of(rows):
    """The summary, with the areas in the order in which classes came up."""
    table = pd.DataFrame(rows.values())
    areas = [name for name in table if name.endswith("_km2")]
    return table.reindex(columns=[*FIRST, *areas, *LAST]).astype({"outlines": "Int64"})


def told_of(row, kept):
    """What became of a scene, in a few words."""
    if row["status"] == FAILED:
        return f"failed: {row['reason']}"
    areas = [
        f"{value:.2f} km² of {name.removesuffix('_km2').replace('_', ' ')}"
        for name, value in row.items()
        if name.endswith("_km2")
    ]
    return ", ".join(areas) + (", was there already" if kept else "")
