"""What lies in the files and folders that an app is started with."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyogrio
import xarray as xr

from ..errors import GlacierlabError, InventoryError, SceneError, warn
from ..io.align import open_layer
from ..io.bands import one_line
from ..io.files import ELEVATION, open_tags, own_attrs
from ..io.finding import scene_name, scenes_below
from ..io.inventory import layer_of, open_inventory
from ..io.layers import transform_of
from ..io.maps import open_map
from ..io.scene import is_array_store, open_scene
from ..io.schemas import known_inventory
from ..mapping import UNCERTAINTIES
from ..report import method_of
from ..tables import INVENTORIES
from .holdings import Holdings, by_dates, free_label, label_of, label_of_outlines, single_dates

WINDOW = 512  # pixels a side of chunks: what a screen shows is read, and little beside it
VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".parquet", ".geoparquet", ".fgb", ".kml", ".gml")
RASTERS = (".tif", ".tiff", ".jp2")
OF_A_MAP = ("scene.tif", "class_map.tif", "outlines.gpkg")
OF_A_CHANGE = "glaciers.gpkg"
LOOKED_FOR = (
    "scene.tif, class_map.tif and outlines.gpkg of `glacierlab demo` or `map`, glaciers.gpkg of `glacierlab "
    "change`, a scene, or an inventory"
)
TEXTS = ("window", "date", "source")  # columns of a series
MAP_NAMES = ("class_map", "probability")  # either is what tells a map from a scene


def gathered(paths):
    """`Holdings` of files and folders, not yet in one CRS; see `holdings_of`."""
    found, left_out = Holdings(), []
    last = lambda path: (
        path.suffix.lower() in VECTORS
    )  # outlines are of the scenes, however files are ordered
    for path in sorted(map(Path, paths), key=last):
        if not path.exists():
            raise GlacierlabError(f"{path} does not exist. Check the spelling and the folder you are in.")
        if path.is_dir() and not is_array_store(path):
            found = with_folder(found, path, left_out)
        else:
            found = with_file(found, path)
    if not (found.scenes or found.predictions or found.outlines or found.rivals):
        names = ", ".join(map(str, paths))
        told = f" {'; '.join(left_out)}." if left_out else ""
        raise GlacierlabError(f"{names}: nothing there to show. Looked for {LOOKED_FOR}.{told}")
    for text in left_out:
        warn(f"Left out: {text}")
    opened = "; ".join(str(path) for path in paths)
    return replace(found, facts={"opened": opened} | found.facts)


def with_folder(found, folder, left_out):
    """Holdings with what a folder holds, and the maps in the folders right below it."""
    below = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    places = [place for place in (folder, *below) if is_map(place) or is_change(place)]
    for place in places:
        if is_map(place):
            found = with_map(found, place, left_out)
        if is_change(place):
            found = with_change(found, place, left_out)
    return found if places else with_data(found, folder, left_out)


def is_map(folder):
    """Whether a folder has files of a map, some of which may be broken."""
    return any((folder / name).is_file() for name in OF_A_MAP)


def is_change(folder):
    """Whether a folder is what `glacierlab change` wrote."""
    return (folder / OF_A_CHANGE).is_file()


def tried(read, path, left_out):
    """What `read` makes of a file, or None, and why it is left out."""
    if not path.is_file():
        return None
    try:
        return read(path)
    except (GlacierlabError, OSError) as error:
        text = one_line(error)
        left_out.append(text if path.name in text else f"{path}: {text}")
        return None


def with_map(found, folder, left_out):
    """Holdings with the map that `write_folder` wrote; of a date and grid that they have, as a rival."""
    scene = tried(read_scene, folder / "scene.tif", left_out)
    prediction = tried(read_map, folder / "class_map.tif", left_out)
    outlines = tried(open_inventory, folder / "outlines.gpkg", left_out)
    rasters = [raster for raster in (scene, prediction) if raster is not None]
    known = [label_of(raster, "") for raster in rasters]
    known += [label_of_outlines(outlines, "")] if outlines is not None else []
    label = next(filter(None, known), folder.resolve().name)
    method = method_of(prediction) if prediction is not None else folder.name
    held = [*found.scenes, *found.predictions, *found.outlines]
    if label in held and same_ground(found, label, rasters):
        if outlines is None:
            return found
        name = free_label(method, found.rivals)
        return replace(found, rivals={**found.rivals, name: outlines})
    label = free_label(label, held)
    facts = dict(found.facts)
    title = next((raster.attrs["title"] for raster in rasters if raster.attrs.get("title")), "")
    facts[label] = "; ".join(filter(None, [str(title), f"mapped by {method}", str(folder)]))
    found = replace(found, facts=facts)
    if scene is not None:
        found = replace(found, scenes={**found.scenes, label: scene})
    if prediction is not None:
        found = replace(found, predictions={**found.predictions, label: prediction})
    if outlines is not None:
        found = with_outlines(found, label, outlines, folder / "outlines.gpkg")
    return found


def same_ground(found, label, rasters):
    """Whether rasters lie on the grid of what is held under a label."""
    others = [table[label] for table in (found.scenes, found.predictions) if label in table]
    if not others or not rasters:
        return True
    one, two = others[0], rasters[0]
    shape = dict(one.sizes) == dict(two.sizes)
    return shape and one.rio.crs == two.rio.crs and transform_of(one) == transform_of(two)


def with_outlines(found, label, outlines, path):
    """Holdings with outlines under a label, and the GeoPackage whose rows they are."""
    files = dict(found.files)
    if Path(path).suffix.lower() == ".gpkg" and not is_merged(path):
        files[label] = Path(path).resolve()
    return replace(found, outlines={**found.outlines, label: outlines}, files=files)


def is_merged(path):
    """Whether `open_inventory` makes one outline of several rows of a file: those of a GLIMS analysis."""
    names = pyogrio.read_info(path, layer=layer_of(path, None))["fields"]
    return known_inventory([*names], None)[0] is INVENTORIES["glims"]


def with_change(found, folder, left_out):
    """Holdings with every date's outlines, the series and the DEM that `write_change` wrote."""
    outlines = tried(open_inventory, folder / OF_A_CHANGE, left_out)
    if outlines is not None:
        if "src_date" in outlines and not outlines["src_date"].astype(bool).any():
            outlines = outlines.drop(columns="src_date")
        for label, table in by_dates(outlines, folder.resolve().name).items():
            if label in found.outlines:
                found = replace(
                    found, rivals={**found.rivals, free_label(f"{folder.name} {label}", found.rivals): table}
                )
            else:
                found = replace(found, outlines={**found.outlines, label: table})
    series = tried(open_series, folder / "series.csv", left_out)
    dem = tried(open_dem, folder / "dem.tif", left_out)
    return replace(
        found,
        series=found.series if series is None else series,
        dem=found.dem if dem is None else dem,
    )


def with_data(found, folder, left_out):
    """Holdings with the scenes and the inventories of a folder that nobody of ours wrote."""
    vectors = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in VECTORS and path.is_file()]
    lines = [
        (path, table) for path in vectors if (table := tried(open_inventory, path, left_out)) is not None
    ]
    try:
        for path in scenes_below(folder):
            found = with_scene(found, open_scene(path, chunks=WINDOW), scene_name(path))
    except SceneError as error:
        if any(path.suffix.lower() in RASTERS for path in folder.rglob("*")):
            left_out.append(one_line(error))
    except GlacierlabError as error:
        left_out.append(one_line(error))
    for path, table in lines:
        found = with_inventory(found, path, table)
    return found


def with_file(found, path):
    """Holdings with what a file that was named holds; GlacierlabError where it cannot be read."""
    kind = path.suffix.lower()
    if kind == ".csv":
        return replace(found, series=open_series(path))
    if kind in VECTORS:
        return with_inventory(found, path, open_inventory(path))
    if kind in (".tif", ".tiff"):
        count, *_, tags = open_tags(path)
        if count == 1 and "flag_meanings" in own_attrs(tags):
            return with_prediction(found, read_map(path), path)
        if count == 1 and ELEVATION.search(path.stem):
            return replace(found, dem=open_dem(path))
    elif is_array_store(path):
        store = open_store(path)
        if any(name in store for name in MAP_NAMES):
            return with_prediction(found, store, path)
    return with_scene(found, open_scene(path, chunks=WINDOW), scene_name(path))


def with_scene(found, scene, name):
    """Holdings with a scene, or with one of each of its times."""
    scenes = dict(found.scenes)
    for date, single in single_dates(scene):
        scenes[free_label(date or label_of(single, name), scenes)] = single
    return replace(found, scenes=scenes)


def with_prediction(found, prediction, path):
    """Holdings with a map: of the scene of its date, or of the only one."""
    label = label_of(prediction, scene_name(path))
    if label not in found.scenes and len(found.scenes) == 1:
        label = next(iter(found.scenes))
    return replace(found, predictions={**found.predictions, label: prediction})


def with_inventory(found, path, outlines):
    """Holdings with outlines by date; one table is of the only scene; a rival where a label is taken."""
    parts = by_dates(outlines, path.stem)
    for label, table in parts.items():
        if len(parts) == len(found.scenes) == 1:
            label = next(iter(found.scenes))
        if label in found.outlines:
            found = replace(found, rivals={**found.rivals, free_label(path.stem, found.rivals): table})
        elif len(parts) == 1:
            found = with_outlines(found, label, table, path)
        else:
            found = replace(found, outlines={**found.outlines, label: table})
    return found


# ---- single files ----


def read_scene(path):
    """A scene in chunks."""
    return open_scene(path, chunks=WINDOW)


def read_map(path):
    """A class map in chunks, with what is known of it and the rasters of its uncertainty beside it."""
    codes = open_map(path, chunks=WINDOW)
    attrs = own_attrs(open_tags(path)[-1])
    prediction = codes.to_dataset().assign_attrs(
        {name: value for name, value in attrs.items() if name not in codes.attrs or name == "datetime"}
    )
    for name in UNCERTAINTIES:
        beside = Path(path).with_name(f"{name}.tif")
        if beside.is_file():
            prediction[name] = open_layer(beside, name, None)
    return prediction


def open_store(path):
    """A NetCDF or Zarr in chunks; SceneError where it is none."""
    engine = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    try:
        return xr.open_dataset(path, chunks={}, decode_coords="all", **engine)
    except (OSError, ValueError, KeyError) as error:
        raise SceneError(f"{path} cannot be read as NetCDF or Zarr: {one_line(error)}") from error


def open_dem(path):
    """Elevation (y, x) [m] of a file, in chunks."""
    return open_layer(Path(path), "elevation", None)


def open_series(path):
    """A table of areas through time; InventoryError where it is none."""
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str))
    except (ValueError, UnicodeDecodeError) as error:
        raise InventoryError(f"{path} cannot be read as a table: {one_line(error)}") from error
    if missing := [name for name in ("glacier", "date", "area_km2") if name not in table]:
        raise InventoryError(f"{path} is no series of areas: it lacks {missing}, and has {list(table)[:8]}.")
    return table.assign(**{name: table[name].fillna("") for name in TEXTS if name in table})
