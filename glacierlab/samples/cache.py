"""A folder that caches patches: written so that it is whole, or known not to be."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import zarr
from tqdm import tqdm

from ..errors import SampleError, WriteError
from ..io.write import FAILURES, whole_file, write_text
from .sources import UNNAMED

ARRAYS, MANIFEST, MARK, STARTED, DONE = (
    "patches.zarr", "manifest.parquet", "patches.json", "started.json", "done.txt"
)  # fmt: skip
VERSION = 1
UNREADABLE = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, eq=False)
class Cached:
    """Patches read from a cache, by their place in it."""

    image: zarr.Array  # (patch, feature, y, x) float32
    label: zarr.Array  # (patch, y, x) uint8

    def read(self, scene, row, col, size, position):
        """Image and label of a patch."""
        return self.image[position], self.label[position]

    def read_many(self, windows, size):
        """(position in `windows`, image, label) of patches."""
        for number, window in enumerate(windows):
            yield number, *self.read(*window[:3], size, window[3])


def identity(patches):
    """What tells this set from others: its content, and which windows are in it."""
    return identity_of(patches.fingerprint, [window[:3] for window in patches.windows()])


def identity_of(fingerprint, windows):
    """The same of windows (scene, row, col) of the set with a fingerprint."""
    said = json.dumps([VERSION, fingerprint, windows])
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


class PatchFolder(NamedTuple):
    """What a PatchSet holds, in its order."""

    manifest: gpd.GeoDataFrame
    features: tuple
    classes: tuple
    size: int
    fingerprint: str
    store: Cached
    origin: dict


# ---- writing ----


def write_cache(patches, path):
    """Write a set of patches into a folder, or what is missing there; see `PatchSet.to_zarr`."""
    path, mine = Path(path), {"version": VERSION, "identity": identity(patches)}
    try:
        known = started(path)
        if known is not None and known != mine:
            raise WriteError(
                f"{path} holds patches of other scenes, layers, labels or windows: delete it, or choose "
                "another folder."
            )
        if known is None:
            path.mkdir(parents=True, exist_ok=True)
            write_text(json.dumps(mine), path / STARTED)
        fill_in(patches, path)
        finish(patches, path)  # where all was there too: the manifest may have a new split
    except WriteError:
        raise
    except FAILURES as error:
        reason = getattr(error, "strerror", None) or error
        raise WriteError(
            f"{path} cannot be written ({reason}) and is not complete. Free space and run to_zarr again, "
            "which resumes."
        ) from error


def started(path):
    """What the folder says of the set that it is for; None if nothing has begun there."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    try:
        return json.loads((path / STARTED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WriteError(
            f"{path} exists and holds no patches of ours: choose a new or an empty folder."
        ) from error


def writable_arrays(patches, path):
    """The arrays of images and labels, new where they cannot be opened.

    Zarr leaves out chunks that hold nothing but the fill value, and theirs is one that no patch holds.
    """
    try:
        return open_arrays(path, "r+")
    except UNREADABLE:
        side = patches.size
        for name, dtype, fill, dims, shape in (
            ("image", "float32", np.nan, ["feature", "y", "x"], (len(patches.features), side, side)),
            ("label", "uint8", UNNAMED, ["y", "x"], (side, side)),
        ):
            zarr.create_array(
                path / ARRAYS, name=name, shape=(len(patches), *shape), chunks=(1, *shape), dtype=dtype,
                compressors=None, filters=None, fill_value=fill, dimension_names=["patch", *dims],
                overwrite=True,
            )  # fmt: skip
        return open_arrays(path, "r+")


def fill_in(patches, path):
    """Write the patches that are not done, and note each when it is."""
    image, label = writable_arrays(patches, path)
    whole = done(path) - set(missing(path, patches))
    left = [number for number in range(len(patches)) if number not in whole]
    if not left:
        return
    (path / MARK).unlink(missing_ok=True)
    windows = patches.windows()
    read = patches.store.read_many([windows[number] for number in left], patches.size)
    quiet = None if len(left) > 8 else True  # None: a bar in terminals alone
    with open(path / DONE, "w", encoding="ascii") as notes:
        notes.writelines(f"{number}\n" for number in sorted(whole))
        for place, values, classes in tqdm(
            read, total=len(left), desc=path.name, unit="patch", disable=quiet
        ):
            number = left[place]
            image[number], label[number] = values, classes
            notes.write(f"{number}\n")
            notes.flush()


def done(path):
    """Which patches are noted as written; a last line cut short is not."""
    if not (path / DONE).exists():
        return set()
    *lines, _ = (path / DONE).read_text(encoding="ascii").split("\n")
    return {int(line) for line in lines if line.isdigit()}


def finish(patches, path):
    """Write the manifest, and the mark that all is there."""
    mark = {"version": VERSION, "identity": identity(patches), "fingerprint": patches.fingerprint}
    mark |= {"count": len(patches), "size": patches.size}
    mark |= {"features": list(patches.features), "classes": list(patches.classes), "origin": patches.origin}
    with whole_file(path / MANIFEST) as temporary:
        stored(renumbered(patches.manifest)).to_parquet(temporary)
    write_text(json.dumps(mark), path / MARK)


# ---- opening ----


def read_cache(path):
    """What a PatchSet holds, from a folder that is complete."""
    path = Path(path)
    again = "Run to_zarr on the same patches again, which resumes."
    if not (path / STARTED).exists():
        raise SampleError(f"{path} is no cache of patches: write one with PatchSet.to_zarr.")
    if not (path / MARK).exists():
        raise SampleError(
            f"{path} is not complete: it was interrupted after {len(done(path))} patches. {again}"
        )
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
        if mark["version"] > VERSION:
            raise SampleError(f"{path} was written by a newer version: update glacierlab.")
        features, classes = tuple(mark["features"]), tuple(mark["classes"])
        size, manifest = mark["size"], restored(gpd.read_parquet(path / MANIFEST))
        store = Cached(*open_arrays(path, "r"))
    except SampleError:
        raise
    except UNREADABLE as error:
        raise SampleError(f"{path} cannot be read ({error}). {again}") from error
    held = PatchFolder(manifest, features, classes, size, mark["fingerprint"], store, mark["origin"])
    lost = missing(path, held)
    if lost or not len(manifest) == mark["count"] == store.image.shape[0]:
        raise SampleError(
            f"{path} is not complete: {len(lost)} of {mark['count']} patches are missing or cut short, the "
            f"first is number {lost[0] if lost else len(manifest)}. {again}"
        )
    return held


def open_arrays(path, mode):
    return [zarr.open_array(path / ARRAYS / name, mode=mode, zarr_format=3) for name in ("image", "label")]


def missing(path, patches):
    """Which patches have no whole chunk in both arrays, by the sizes of their files."""
    lost, pixels = set(), patches.size**2
    for name, ends, whole in (
        ("image", "0/0/0", 4 * len(patches.features) * pixels),
        ("label", "0/0", pixels),
    ):
        for number in range(len(patches.manifest)):
            try:
                if os.stat(path / ARRAYS / name / "c" / str(number) / ends).st_size != whole:
                    lost.add(number)
            except FileNotFoundError:
                lost.add(number)
    return sorted(lost)


def renumbered(manifest):
    """The manifest numbered from 0, its sources too; one that is not in it keeps its old number, as text."""
    if "source" in manifest:
        new = {old: str(number) for number, old in enumerate(manifest.index)}
        sources = [None if pd.isna(old) else new.get(old, f"old {old}") for old in manifest["source"]]
        manifest = manifest.assign(source=np.array(sources, dtype=object))
    return manifest.reset_index(drop=True)


def stored(manifest):
    """The manifest as GeoParquet knows it: ids as JSON text, for they may be of several types."""
    if "glaciers" not in manifest:
        return manifest
    return manifest.assign(
        glaciers=[
            None if ids is None else json.dumps(ids, default=np.generic.item) for ids in manifest["glaciers"]
        ]
    )


def restored(manifest):
    if "source" in manifest:
        sources = [
            int(each) if isinstance(each, str) and each.isdigit() else each for each in manifest["source"]
        ]
        manifest = manifest.assign(source=np.array(sources, dtype=object))
    if "glaciers" not in manifest:
        return manifest
    return manifest.assign(
        glaciers=[tuple(json.loads(ids)) if isinstance(ids, str) else () for ids in manifest["glaciers"]]
    )
