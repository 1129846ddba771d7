"""Large maps written as they are made, row of blocks by row of blocks, and taken up again after a kill."""

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio.shutil
import xarray as xr
import zarr
from tqdm import tqdm

from ..errors import GlacierlabError, SceneError, WriteError
from ..io.bands import one_line
from ..io.files import open_tags, own_attrs
from ..io.maps import open_map
from ..io.write import FAILURES, locked, require_folder, whole_file, write_raster, write_text
from .cluster import cluster

MANIFEST, ARRAYS = "manifest.json", "map.zarr"  # in the working folder
JOB = "glacierlab_job"  # attribute of a finished map: what it was made of
ASKED = ("tile", "overlap", "blend", "tta", "precision", "batch_size")  # arguments that a caller can repeat
LOOKS, WINDOW = 8, 32  # windows on each diagonal, and their side, whose values tell a scene from others


def written(template, blocks, grid, about, describe, path, progress):
    """Make a map and write it; what is there of the same map already stays.

    Parameters
    ----------
    template : xarray.Dataset
        The map as it will be, lazy: its variables, coordinates and attributes.
    blocks : callable
        `blocks(first)` → (row, column, values (L, y, x)) of each block from a row of blocks on.
    grid : Grid
    about : dict
        Of `about_job`.
    describe : callable
        `describe(values (L, y, x) of a block)` → {variable: array}.
    path : pathlib.Path
        Ends in `.zarr` or, for the class map alone, `.tif`.
    progress : bool

    Returns
    -------
    xarray.Dataset
        The map, read lazily.

    Raises
    ------
    GlacierlabError
        Another job is at it, or the path holds something else.
    WriteError
        It cannot be written; the same call goes on from where it stopped.
    """
    if path.suffix.lower() == ".tif":
        template = template[["class_map"]]
    about = about | {"variables": list(template.data_vars)}
    unfinished = path.with_name(path.name + ".unfinished")
    with alone(path):
        if path.exists():
            require_same(path, about)
            shutil.rmtree(unfinished, ignore_errors=True)
            return opened(path)
        first = None
        try:
            first = begin(unfinished, template, grid, about)
            group = zarr.open_group(unfinished / ARRAYS, mode="r+")
            store = {name: group[name] for name in template.data_vars}
            done = rows_noted(unfinished, about, grid, first)
            if first < grid.counts[0]:
                found = readable(blocks(first), path)
                fill(store, template, found, grid, describe, path.stem, progress, first, done)
            finish(unfinished, path, template, about)
        except (*FAILURES, WriteError) as error:
            if first is not None:  # a folder that is gone fails in many ways: it is looked for first
                require_kept(unfinished, error)
            if isinstance(error, WriteError):
                raise
            reason = getattr(error, "strerror", None) or one_line(error)
            raise WriteError(
                f"{path} cannot be written ({reason}). The same call goes on from there."
            ) from error
    return opened(path)


def require_kept(folder, cause=None):
    """WriteError where the working folder is gone."""
    if not (folder / MANIFEST).exists():
        raise WriteError(f"{folder} was removed while the map was being made: start it again.") from cause


def readable(blocks, path):
    """Blocks as they come; SceneError where the scene cannot be read."""
    try:
        yield from blocks
    except FAILURES as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise SceneError(
            f"The scene of {path} cannot be read on ({reason}). The same call goes on from there."
        ) from error


def require_name(path):
    """A path whose ending says what to write."""
    if Path(path).suffix.lower() not in (".zarr", ".tif"):
        raise GlacierlabError(
            f"out={str(path)!r}: give a name that ends in .zarr, or in .tif for the class map."
        )
    return Path(path)


def fill(store, template, blocks, grid, describe, name, progress, first=0, done=None):
    """Put blocks into arrays as they come, with a bar; `done(row, column)` is told of each."""
    rows, columns = grid.counts
    quiet = None if progress else True  # None: a bar in terminals alone
    with tqdm(total=rows * columns, initial=first * columns, desc=name, unit="block", disable=quiet) as bar:
        for i, j, values in blocks:
            place = []
            for axis, (number, dim) in enumerate(zip((i, j), ("y", "x"), strict=True)):
                mine = grid.slice(axis)(number)
                place.append(slice(mine.start, min(mine.stop, template.sizes[dim])))
            ys, xs = place
            values = values[:, : ys.stop - ys.start, : xs.stop - xs.start]
            for key, layer in describe(values).items():
                if key in template:
                    store[key][..., ys, xs] = layer
            if done is not None:
                done(i, j)
            bar.update()


def rows_noted(folder, about, grid, first):
    """A function that is told of each block that is written, and notes the rows of blocks that are whole."""
    left, whole = [grid.counts[1]] * grid.counts[0], first

    def done(i, j):
        nonlocal whole
        require_kept(folder)
        left[i] -= 1
        if not left[whole]:
            while whole < len(left) and not left[whole]:
                whole += 1
            note(folder, about, whole)

    return done


@contextmanager
def alone(path):
    """GlacierlabError where another job holds the output; the lock goes with its process, its file stays."""
    require_folder(path.parent)
    lock = locked(path.with_name(f".{path.name}.lock"), path)
    try:
        yield
    finally:
        if lock:
            lock.release()


def about_job(template, image, grid, models, manner):
    """What tells the map from others, as JSON's types."""
    digest = hashlib.blake2b(digest_size=16)
    rows, columns = (np.linspace(0, max(side - WINDOW, 0), LOOKS).astype(int) for side in image.shape[1:])
    corners = [*zip(rows, columns, strict=True), *zip(rows, columns[::-1], strict=True)]  # on both diagonals
    for y, x in corners:  # one after the other: each may be made of a whole chunk
        digest.update(np.ascontiguousarray(in_memory(image[:, y : y + WINDOW, x : x + WINDOW])))
    digest.update(template.rio.crs.to_wkt().encode())
    for name in ("y", "x"):
        digest.update(np.ascontiguousarray(template[name].values))
    asked = {key: str(value) for key, value in template.attrs.items()}
    return asked | {
        "scene": digest.hexdigest(),
        "values": digest_of(image) if isinstance(image, np.ndarray) else None,  # a lazy one is not read
        "model": models.key, "block": grid.block, "seed": manner.seed, "dropout": manner.dropout,
        "batch_size": manner.batch_size, "precision": manner.precision,
    }  # fmt: skip


def in_memory(window):
    """A window of an image, computed if it is lazy.

    A cluster gets its tasks as they are: dask names fused ones by what they end in, and those of a window end
    like others of the same image that the cluster may still hold, where it fails (dask's issue 9888).
    """
    if isinstance(window, np.ndarray):
        return window
    return window.compute(optimize_graph=cluster() is None)


def digest_of(image):
    """What tells an image in memory from others, by all of its values."""
    digest = hashlib.blake2b(digest_size=16)
    for plane in image:
        digest.update(np.ascontiguousarray(plane))
    return digest.hexdigest()


# ---- the working folder ----


def begin(folder, template, grid, about):
    """The first row of blocks that is not written; a new working folder where there is none."""
    known = manifest_of(folder)
    if known is not None and known["rows"] and (folder / ARRAYS).exists():
        require_about(folder, known["about"], about)
        return known["rows"]
    if folder.exists():
        shutil.rmtree(folder)  # cut before its first row
    sides = {"y": grid.block, "x": grid.block}
    encoding = {
        name: {"chunks": tuple(min(size, sides.get(dim, size)) for dim, size in variable.sizes.items())}
        for name, variable in template.data_vars.items()
    }
    told = template.assign_attrs({JOB: json.dumps(about)}).drop_encoding()
    told.to_zarr(
        folder / ARRAYS,
        compute=False,
        encoding=encoding,
        consolidated=False,
        zarr_format=2,
        safe_chunks=False,
    )
    note(folder, about, 0)
    return 0


def finish(folder, path, template, about):
    """Give the whole map its name."""
    if path.suffix.lower() == ".zarr":
        os.replace(folder / ARRAYS, path)
    else:
        found = xr.open_zarr(folder / ARRAYS, consolidated=False)["class_map"]
        found = found.assign_coords(spatial_ref=template["spatial_ref"])
        with whole_file(path) as cog:
            plain = cog.with_name("plain.tif")
            told = template["class_map"].attrs | template.attrs | {JOB: json.dumps(about)}
            write_raster(found.assign_attrs(told), plain)
            rasterio.shutil.copy(plain, cog, driver="COG", compress="deflate", overview_resampling="mode")
            plain.unlink()
    shutil.rmtree(folder)


def note(folder, about, rows):
    write_text(json.dumps({"about": about, "rows": rows}, indent=1), folder / MANIFEST)


def manifest_of(folder):
    """What a folder says of its map, None where it says nothing."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def precision_begun(path):
    """The precision of a map that is there or begun, for "auto" not to change its mind; else "auto"."""
    begun = manifest_of(path.with_name(path.name + ".unfinished"))
    known = begun["about"] if begun else finished_about(path)
    return known["precision"] if known else "auto"


def require_same(path, about):
    """GlacierlabError unless a finished map is the one that is asked."""
    known = finished_about(path)
    if known is None:
        raise GlacierlabError(f"{path} exists: delete it, or choose another name.")
    require_about(path, known, about)


def finished_about(path):
    """What a finished map was made of, None where there is no such map."""
    try:
        tags = zarr.open_group(path, mode="r").attrs if path.is_dir() else own_attrs(open_tags(path)[-1])
        return json.loads(tags[JOB])
    except (KeyError, OSError, TypeError, ValueError):
        return None


def require_about(path, known, about):
    """GlacierlabError that names how another map differs."""
    looked = [key for key in about if key != "values" or None not in (known.get(key), about[key])]
    other = [key for key in looked if known.get(key) != about[key]]
    if other:
        told = " and ".join(dict.fromkeys("scene" if key == "values" else key for key in other))
        before = ", ".join(f"{key}={known[key]}" for key in other if key in ASKED and known.get(key))
        raise GlacierlabError(
            f"{path} holds a map of another {told}: delete it, or choose another name."
            + f" It was begun with {before}, and goes on with that." * bool(before)
        )


def opened(path):
    """A written map, lazily."""
    if not path.is_dir():
        found = open_map(path, chunks=1024).rename("class_map")
        found.attrs.pop(JOB, None)
        return found.to_dataset()
    found = xr.open_zarr(path, consolidated=False).set_coords("spatial_ref")
    found.attrs.pop(JOB, None)
    return found
