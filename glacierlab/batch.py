"""Scenes to folders of results: one, or many of which none stops the others."""

import hashlib
import json
import re
import shutil
import time
from pathlib import Path

import pandas as pd
from dask.base import tokenize
from tqdm.dask import TqdmCallback

from .errors import GlacierlabError, SceneError
from .io.files import open_tags, own_attrs
from .io.finding import scene_name, scenes_below
from .io.maps import open_map
from .io.write import write_raster, write_text
from .mapping import areas_by_class, map_by_model, map_glaciers, open_to_map, predicting
from .report import write_folder

SUMMARY = "summary.csv"
FIRST, LAST = ["scene", "date", "sensor", "status", "reason"], ["outlines", "seconds"]
OK, FAILED = "ok", "failed"
FILES = ("scene.tif", "class_map.tif", "outlines.gpkg", "areas.csv", "map.png", "report.html")
UNFINISHED = ".unfinished-"  # and a hash of the settings: the folder that a killed run goes on from


def map_scenes(
    scenes, folder, *, model=None, reference=None, opening=None, say=None, progress=True, **how
):  # fmt: skip
    """Map scenes one after the other, each into a folder of its own; one that fails does not stop the rest.

    The same call again maps what failed, goes on where it was killed, and leaves alone what is there by the
    same settings. `summary.csv` in the folder is written anew after each scene.

    Parameters
    ----------
    scenes : path, list of paths, or dict
        A folder of scenes, see `io.finding.scenes_below`, or scenes as `open_scene` takes them. A dict holds
        by name (of the folder) a path, a scene, or a function of `opening` that gives one.
    folder : path
    model : path, Segmenter or list of these, optional
        As `map_by_model` takes it; without one a threshold maps.
    reference : Reference, optional
        Every map is held against it.
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
    GlacierlabError, ModelFileError
        The model cannot be used at all.
    WriteError
        The summary cannot be written.
    """
    scenes, folder, opening = named(scenes, folder), Path(folder), opening or {}
    key = predicting(model)[1].key if model is not None else None
    known, rows = rows_of(folder / SUMMARY), {}
    rows |= {name: known[name] for name in scenes if name in known}
    for number, (name, source) in enumerate(scenes.items(), 1):
        place, start = folder / name, time.perf_counter()
        settings = settings_of(name, source, opening, key, reference, how)
        kept = is_finished(place, settings)
        try:
            if not kept:
                call = dict(model=model, reference=reference, settings=settings, progress=progress)
                map_scene(source, place, opening=opening, **call, **how)
            row = row_of(place) | {"status": OK, "seconds": round(time.perf_counter() - start, 1)}
        except Exception as error:  # whatever it is, the other scenes are still mapped
            known_kind = isinstance(error, GlacierlabError | OSError | MemoryError)
            told = " ".join(str(error).split()) or type(error).__name__
            row = {"status": FAILED, "reason": told if known_kind else f"{type(error).__name__}: {told}"}
        if kept:
            row["seconds"] = known.get(name, {}).get("seconds")
        rows[name] = dict.fromkeys(FIRST, "") | {"scene": name} | row
        write_text(table_of(rows).to_csv(index=False), folder / SUMMARY)
        if say:
            say(f"[{number}/{len(scenes)}] {name}: {told_of(row, kept)}")
    return table_of(rows)


def map_scene(
    source, folder, *, model=None, reference=None, opening=None, settings=None, say=None, progress=True,
    **how,
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
    model, reference, opening, progress, **how
        As in `map_scenes`.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines: see `mapping.outline`.
    """
    folder, opening = Path(folder), opening or {}
    if settings is None:
        key = predicting(model)[1].key if model is not None else None
        settings = settings_of(folder.name, source, opening, key, reference, how)
    say = say or (lambda text: None)
    working = working_folder(folder, settings)
    scene = opened(source, opening, working)
    say(f"opened {scene.attrs.get('title', source)}: {', '.join(scene.data_vars)}")
    if model is None:
        with TqdmCallback(desc="mapping", leave=False, disable=None if progress else True):
            prediction = map_glaciers(scene, **how).compute()  # a lazy scene is computed here
    else:
        out = working / "map.zarr"
        prediction = map_by_model(scene, model, out=out, progress=progress, **how)
    prediction["class_map"].attrs["settings"] = settings
    say(f"mapped by {prediction.attrs.get('layer') or 'model ' + prediction.attrs['model']}")
    outlines = write_folder(folder, scene, prediction, reference=reference)
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


def passes(**query):
    """{name: function} of the passes that a STAC catalogue finds, oldest first, for `map_scenes`.

    Parameters
    ----------
    **query
        Of `find_scenes`: bbox, dates, catalog, collection, sensor, max_cloud, ….

    Raises
    ------
    SceneError
        Nothing is found, or the catalogue cannot be reached.
    """
    from .io.stac import open_stac
    from .series.scenes import find_scenes

    asked = {name: value for name, value in query.items() if value is not None}
    table = find_scenes(look=False, **asked).sort_values("datetime", ignore_index=True)

    def opener(number):
        return lambda **opening: open_stac(table.iloc[[number]], **opening).isel(time=0)

    ids = [identity.split(",") for identity in table["id"]]
    names = [first.strip() + (f"+{len(rest)}" if rest else "") for first, *rest in ids]
    return {name: opener(number) for number, name in enumerate(names)}


def named(scenes, folder):
    """{name: source} of what `map_scenes` takes; SceneError where there is none."""
    if not isinstance(scenes, dict):
        several = scenes if isinstance(scenes, list | tuple) else [scenes]
        paths = [path for each in several for path in scenes_below(each, but_not=folder)]
        scenes = {}
        for path in paths:
            name, count = scene_name(path), 1
            while name in scenes:
                count += 1
                name = f"{scene_name(path)}-{count}"
            scenes[name] = path
    if not scenes:
        raise SceneError("There is no scene to map: give a folder, files or a query that holds some.")
    return {re.sub(r"[^\w.+-]", "_", name): source for name, source in scenes.items()}


# ---- what is there already ----


def settings_of(name, source, opening, key, reference, how):
    """What the results depend on, as JSON text: scene, how it is opened, model, reference, arguments."""
    if callable(source):
        scene = [name]  # the name tells what is fetched
    elif hasattr(source, "data_vars"):
        scene = [name, tokenize(source)]
    else:
        scene = [name, *(stamp(Path(source)) if Path(source).exists() else [])]
    held = None
    if reference is not None:
        data = reference.data
        drawn = data.geometry.to_wkb().tolist() if hasattr(data, "geometry") else data
        held = [reference.name, reference.complete, tokenize(drawn)]
    about = {"scene": scene, "opening": opening, "model": key, "reference": held, "how": how}
    return json.dumps(about, sort_keys=True, default=tokenize)


def stamp(path):
    """Bytes of a scene's files in all and the time of the latest [s], which tell whether it was replaced."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    found = [file.stat() for file in files]
    return [sum(each.st_size for each in found), max((int(each.st_mtime) for each in found), default=0)]


def working_folder(folder, settings):
    """Where a run by these settings keeps what is not finished; those of other settings are removed."""
    digest = hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()
    working = folder / f"{UNFINISHED}{digest}"
    for other in folder.glob(f"{UNFINISHED}*"):
        if other != working:
            shutil.rmtree(other, ignore_errors=True)
    return working


def is_finished(folder, settings):
    """Whether a folder holds all files of a map that was made by these settings."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    try:
        return own_attrs(open_tags(folder / "class_map.tif")[-1]).get("settings") == settings
    except GlacierlabError:
        return False


# ---- the summary ----


def row_of(folder):
    """What a finished folder says of its map."""
    told = own_attrs(open_tags(folder / "class_map.tif")[-1])
    outlines = pd.read_csv(folder / "areas.csv")
    areas = areas_by_class(open_map(folder / "class_map.tif", chunks=1024), outlines)
    row = {"date": told.get("datetime", "")[:10], "sensor": told.get("sensor", "")}
    row |= {f"{name}_km2": round(area, 6) for name, area in areas.items()}
    return row | {"outlines": len(outlines)}


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
