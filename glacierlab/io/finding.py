"""Telling one scene from a folder of several."""

import re
from pathlib import Path

import rasterio

from .files import is_hls
from .scene import ARCHIVES, is_array_store
from .sentinel2 import METADATA

RASTERS = (".tif", ".tiff", ".jp2")
ENDINGS = re.compile(r"\.(SAFE|zarr|nc4?|h5|tiff?|jp2|tar|tgz|tar\.gz|(SAFE\.)?zip)$", re.IGNORECASE)


def scenes_below(path, but_not=None):
    """The scenes of a folder that holds several; the path alone where it is one scene.

    A scene is a product's folder, an archive, a NetCDF or Zarr, or a GeoTIFF of several bands beside others;
    files of single bands that lie together are one.

    Parameters
    ----------
    path : path
    but_not : path, optional
        A folder below that is not looked into, such as the one that maps are written to.

    Returns
    -------
    list of path
        In the order of their names.
    """
    if "://" in str(path) or not Path(path).is_dir():
        return [path]
    found = list(scenes_in(Path(path), but_not and Path(but_not).resolve()))
    return found if len(found) > 1 else [Path(path)]


def scenes_in(folder, but_not, above=()):
    """Scenes of a folder and those below it; the folder where it is one itself."""
    place = folder.resolve()
    if place == but_not or place in above:  # a link that leads back up
        return
    if is_product(folder):
        yield folder
        return
    children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    rasters = [child for child in children if child.suffix.lower() in RASTERS and child.is_file()]
    several = len(rasters) > 1 and all(map(has_bands, rasters))
    found = False
    for child in children:
        if child.is_dir():
            for scene in scenes_in(child, but_not, (*above, place)):
                found = True
                yield scene
        elif (several and child in rasters) or is_whole(child):
            found = True
            yield child
    if rasters and not found:
        yield folder


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
    path = Path(path)
    if path.name.upper().endswith("_MTL.TXT") or path.name in METADATA:
        path = path.parent
    return ENDINGS.sub("", path.name) or path.resolve().name
