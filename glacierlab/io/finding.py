"""Telling one scene from a folder of several, and whether it was replaced."""

import hashlib
import json
import os
import re
from pathlib import Path

import rasterio

from ..errors import warn
from .files import is_hls
from .scene import ARCHIVES, is_array_store
from .sentinel2 import METADATA

RASTERS = (".tif", ".tiff", ".jp2")
TOLD = 10  # files that a warning names
ENDINGS = re.compile(r"\.(SAFE|zarr|nc4?|h5|tiff?|jp2|tar|tgz|tar\.gz|(SAFE\.)?zip)$", re.IGNORECASE)


def scenes_below(path, but_not=None):
    """The scenes of a folder that holds several; the path alone where it is one scene.

    A scene is a product's folder, an archive, a NetCDF or Zarr, or a GeoTIFF of several bands; files of
    single bands that lie together, with no other scene among or below them, are one. Folders that maps were
    written to are left out.

    Parameters
    ----------
    path : path
    but_not : path, optional
        A folder below that is not looked into, such as the one that maps are written to.

    Returns
    -------
    list of path
        In the order of their names.

    Warns
    -----
    DataWarning
        Rasters of one band are left out, for they lie beside scenes.
    """
    if "://" in str(path) or not Path(path).is_dir():
        return [path]
    left = []
    found = list(scenes_in(Path(path), but_not and Path(but_not).resolve(), left))
    if not found or (left and len(found) == 1 and found[0].is_dir() and not is_array_store(found[0])):
        return [Path(path)]  # bands below and a layer above them are opened together
    if left:
        names = [str(file.relative_to(path)) for file in left]
        more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
        warn(
            f"Left out, being of one band beside scenes: {', '.join(names[:TOLD])}{more}. Bands of a scene "
            "need a folder of their own."
        )
    return found


def scenes_in(folder, but_not, left, above=()):
    """Scenes of a folder and those below it; the folder where it is one itself; `left` gets what is none."""
    place = folder.resolve()
    if place in above or (above and place == but_not):  # in above: a link that leads back up
        return
    if is_product(folder):
        yield folder
        return
    if is_map(folder):
        return
    found, rasters = [], []
    for child in sorted(child for child in folder.iterdir() if not child.name.startswith(".")):
        if child.is_dir():
            found += scenes_in(child, but_not, left, (*above, place))
        elif is_whole(child):
            found.append(child)
        elif child.suffix.lower() in RASTERS:
            rasters.append(child)
    stacks = [raster for raster in rasters if has_bands(raster)]
    if found or len(stacks) > 1 or stacks == rasters:
        left += [raster for raster in rasters if raster not in stacks]
        yield from sorted(found + stacks)
    else:
        yield folder


def is_map(folder):
    """Whether a folder was written by `write_folder`."""
    return (folder / "class_map.tif").is_file() and (folder / "report.html").is_file()


def is_product(folder):
    """Whether a folder's own files are those of one scene with metadata, or the parts of a Zarr."""
    names = [child.name for child in folder.iterdir() if not child.name.startswith("._")]
    told = any(name.upper().endswith("_MTL.TXT") or name in METADATA for name in names)
    return told or is_hls(names) or is_array_store(folder)


def is_whole(path):
    """Whether a file is a scene by itself."""
    return path.name.lower().endswith(ARCHIVES) or is_array_store(path)


def has_bands(path):
    """Whether a raster has several bands; one that cannot be read counts, so that somebody is told."""
    try:
        with rasterio.open(path) as file:
            return file.count > 1
    except rasterio.errors.RasterioError:
        return True


def scene_name(path):
    """What a scene is called by its path: a folder's or file's name without its ending."""
    path = product_of(path)
    name = "" if path.name == ".." else ENDINGS.sub("", path.name)
    return name or path.resolve().name


def product_of(path):
    """The folder of a product whose metadata file is given; any other path as it is."""
    path = Path(path).expanduser()
    return path.parent if path.name.upper().endswith("_MTL.TXT") or path.name in METADATA else path


def stamp(source, but_not):
    """Where a scene lies and a hash of its files' names, sizes and times, which tell whether it was replaced.

    Maps below a product's folder, hidden files and the folder `but_not` are no part of the product.
    """
    if isinstance(source, list | tuple):
        return [stamp(each, but_not) for each in source]
    if "://" in str(source) or str(source).startswith("/vsi"):
        return str(source)
    path = product_of(source).resolve()
    files = sorted(files_below(path, but_not and Path(but_not).resolve())) if path.is_dir() else [path]
    stats = [(file.relative_to(path).as_posix(), file.stat()) for file in files if file.exists()]
    told = json.dumps([(name, each.st_size, each.st_mtime_ns) for name, each in stats])
    return [str(path), digest_of(told)]


def files_below(folder, but_not):
    """The files of a product's folder and those below it."""
    for place, folders, names in os.walk(folder):
        below = [name for name in folders if not name.startswith(".")]
        folders[:] = [n for n in below if not is_map(Path(place, n)) and Path(place, n) != but_not]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def digest_of(text):
    """A short hash."""
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
