"""Lesson 0: is this machine ready, scenes that are spoiled on purpose, and verdicts of its exercises."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import GlacierlabError
from ..io.write import write_raster
from ..tables import lookup

LESSON_GB = 1.8  # the most that a lesson may take, by `make notebooks`
ROOM_GB = 1.0  # of disk, for what lessons write: an assumption
USERS = ("models", "viz", "stac", "notebooks")  # extras for users, by what pyproject.toml calls them
BANDS = ("coastal", "blue", "green", "red", "nir", "swir16", "swir22")
AS_NEAR = 0.001  # reflectance by which a mended scene may be off: files hold whole numbers
STEADY = 0.05  # share by which a ratio may move and still be called the same, an assumption


# ---- the machine


def ready(folder="."):
    """Whether this machine is ready for the lessons, in the form of the scene doctor.

    Parameters
    ----------
    folder : path
        Where results shall go.

    Returns
    -------
    pandas.DataFrame
        One row a thing: `verdict` ("ok"; "warn": some lesson will not run; "unknown"), `evidence`, `advice`.
        A container that is given less memory or fewer cores than its machine has is judged by what it is
        given, where the system tells.

    Raises
    ------
    GlacierlabError
        There is no such folder.
    """
    rows = {
        "Python": ("ok", platform.python_version(), ""),
        "glacierlab": ("ok", version("glacierlab"), ""),
        **{f"extra {name!r}": extra_row(name) for name in USERS},
        "memory": memory_row(),
        "cores": cores_row(),
        "disk": disk_row(folder),
        "graphics card": card_row(),
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["verdict", "evidence", "advice"])
    return table.rename_axis("thing")


def extra_row(name):
    """What of an extra is installed."""
    from packaging.requirements import Requirement

    needs = [Requirement(line) for line in requires("glacierlab")]
    asked = lambda need: need.marker and need.marker.evaluate({"extra": name})
    needs = [need for need in needs if asked(need) and not need.marker.evaluate({"extra": ""})]
    missing = [need.name for need in needs if not fits(need)]
    if not missing:
        return "ok", f"all {len(needs)} packages", ""
    pip = f"%pip install 'glacierlab[{name}]' in a cell, then restart the kernel"
    return "warn", f"{len(missing)} of {len(needs)} packages missing or too old: {', '.join(missing)}", pip


def fits(need):
    """Whether a requirement is met here."""
    try:
        return need.specifier.contains(version(need.name), prereleases=True)
    except PackageNotFoundError:
        return False


def memory_row():
    import psutil
    from distributed.system import MEMORY_LIMIT  # knows the limits of containers

    given, free = MEMORY_LIMIT / 1e9, psutil.virtual_memory().available / 1e9
    evidence = f"{given:.1f} GB, {min(free, given):.1f} GB of it free"
    if min(free, given) < LESSON_GB:
        return "warn", evidence, f"lessons take up to {LESSON_GB} GB: close other programs and notebooks"
    return "ok", evidence, ""


def cores_row():
    from dask.system import CPU_COUNT  # knows the limits of containers

    return "ok", f"{CPU_COUNT}", "" if CPU_COUNT > 1 else "lessons are timed on two: allow twice the time"


def disk_row(folder):
    try:
        free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        raise GlacierlabError(f"There is no folder {str(folder)!r} to write results to.") from error
    return ("ok" if free > ROOM_GB else "warn"), f"{free:.1f} GB free", "" if free > ROOM_GB else "make room"


def card_row():
    """The graphics card that models would take; torch, which is slow to load, is asked where there is one."""
    if shutil.which("nvidia-smi") is None:
        return "ok", "none", "no lesson needs one"
    try:
        from ..inference.passes import device_of

        seen = device_of("auto") == "cuda"
    except ImportError:
        return (
            "unknown",
            "there is one, but no PyTorch",
            "%pip install 'glacierlab[models]' in a cell to use it",
        )
    return ("ok", "PyTorch sees one", "") if seen else ("warn", "PyTorch does not see it", "mind its driver")


# ---- spoiled scenes


def reflectances(scene):
    """The reflective bands of a scene that the ailments are of."""
    return [name for name in BANDS if name in scene]


def each_band(scene, change):
    """The scene with every band changed alike, its attributes kept."""
    return scene.assign(
        {name: change(scene[name]).assign_attrs(scene[name].attrs) for name in reflectances(scene)}
    )


def exchanged(scene, first, second):
    """The scene with two bands under each other's names."""
    return scene.assign({first: scene[second], second: scene[first]})


def striped(scene):
    """Gaps as of Landsat 7 after May 2003: wedges that are wide at both sides and nothing in the middle."""
    rows, columns = (np.arange(scene.sizes[name]) for name in ("y", "x"))
    width = 5 * np.abs(columns / columns.size - 0.5)
    gap = (rows[:, None] + columns // 6) % 16 < 2 * width
    return each_band(scene, lambda band: band.where(~xr.DataArray(gap, dims=("y", "x"))))


AILMENTS = {  # what is done to a scene, by name
    "not scaled": lambda scene: each_band(scene, lambda band: band * 10_000),
    "offset left in": lambda scene: each_band(scene, lambda band: band + 0.1),
    "red and swir16 swapped": lambda scene: exchanged(scene, "red", "swir16"),
    "nir and swir16 swapped": lambda scene: exchanged(scene, "nir", "swir16"),
    "cirrus band for swir16": lambda scene: scene.assign(swir16=0.01 * scene["swir16"]),
    "saturated": lambda scene: each_band(scene, lambda band: band.clip(max=0.6)),
    "striped": striped,
}


def ailing(scene, ailment):
    """A scene spoiled on purpose, in one of the ways in which real files are.

    Parameters
    ----------
    scene : xarray.Dataset
        Reflectance, with red, nir and swir16.
    ailment : str
        A key of `AILMENTS`.

    Returns
    -------
    xarray.Dataset
        As lazy as the scene.

    Raises
    ------
    UnknownNameError
    """
    return lookup(AILMENTS, ailment, kind="ailment")(scene)


def patients(scene, seed=0):
    """Five scenes with an ailment each, under letters.

    Parameters
    ----------
    scene : xarray.Dataset
    seed : int
        Says who has what; no two have the same.

    Returns
    -------
    dict of str to xarray.Dataset
    """
    names = np.random.default_rng(seed).permutation(list(AILMENTS))[:5].tolist()
    return dict(zip("ABCDE", (ailing(scene, name) for name in names), strict=True))


def write_unlabeled(scene, path):
    """Write a scene as some neighbors do: numbers of which the file does not say what they are.

    Parameters
    ----------
    scene : xarray.Dataset
        Reflectance.
    path : path
        Of a GeoTIFF with 10 000 times the reflectance and 1000 added, as in Sentinel-2 of processing
        baseline 04.00.

    Returns
    -------
    pathlib.Path
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    numbers = (10_000 * scene[reflectances(scene)] + 1000).round().drop_attrs(deep=True)
    return write_raster(numbers.assign_coords(spatial_ref=scene["spatial_ref"]), path)


def same(first, second, within=0.0):
    """Whether two scenes hold the same bands, missing pixels too."""
    names = reflectances(second)
    if not set(names) <= set(first.data_vars):
        return False
    close = lambda a, b: a.shape == b.shape and np.allclose(a, b, rtol=0, atol=within, equal_nan=True)
    return all(close(first[name].values, second[name].values) for name in names)


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def ratio_moves(answer, scene, spoiled, ice):
    """Whether red/SWIR of ice "rises", "falls" or "stays" in a spoiled scene."""
    word = answer.strip().lower() if isinstance(answer, str) else None
    if word not in ("rises", "falls", "stays"):
        return "type", {}
    before, after = (float((each["red"] / each["swir16"]).where(ice).median()) for each in (scene, spoiled))
    grown = after / before - 1
    right = "stays" if abs(grown) < STEADY else "rises" if grown > 0 else "falls"
    return ("right" if word == right else word), dict(before=before, after=after)


def mended_scene(answer, scene):
    """A scene from a file (Dataset), with the reflectance that it was written from."""
    if not isinstance(answer, xr.Dataset) or not {"red", "swir16"} <= set(answer.data_vars):
        return "type", {}
    if answer.attrs.get("radiometry") == "dn":
        return "numbers", dict(red=float(answer["red"].median()))
    if same(answer, scene, AS_NEAR):
        return "right", dict(dark=100 * float(scene["swir16"].quantile(0.005)))
    yours, truth = (each["red"].values.ravel() for each in (answer, scene))
    if yours.shape != truth.shape or not (seen := np.isfinite(yours) & np.isfinite(truth)).any():
        return "type", {}
    gain, offset = np.polyfit(truth[seen], yours[seen], 1)
    facts = dict(times=gain, more=100 * offset, dark=100 * float(answer["swir16"].quantile(0.005)))
    return ("gain" if abs(gain - 1) > AS_NEAR else "offset"), facts


def swapped_pair(answer, spoiled, scene):
    """The two bands (names) that stand under each other's names."""
    if isinstance(answer, str) or not np.iterable(answer) or len(pair := set(answer)) != 2:
        return "type", {}
    if not all(isinstance(name, str) for name in pair) or not pair <= set(scene.data_vars):
        return "unknown", dict(choices=", ".join(reflectances(scene)))
    moved = {name for name in reflectances(scene) if not spoiled[name].identical(scene[name])}
    facts = dict(one=min(pair), other=max(pair), right=len(pair & moved))
    return {2: "right", 1: "one", 0: "none"}[len(pair & moved)], facts


def diagnoses(answer, patients, scene):
    """What each patient has: a dict of letter to ailment."""
    if not isinstance(answer, dict) or set(answer) != set(patients):
        return "type", dict(letters=", ".join(patients))
    if unknown := [each for each in answer.values() if each not in AILMENTS]:
        return "unknown", dict(name=unknown[0], choices="; ".join(AILMENTS))
    found = [letter for letter, name in answer.items() if same(patients[letter], ailing(scene, name))]
    facts = dict(count=len(found), all=len(patients))
    silent = [letter for letter in patients if (patients[letter].glacier.check().verdict == "ok").all()]
    facts["silent"] = ", ".join(silent) or "none of them"
    if len(found) == len(patients):
        return "right", facts
    return ("quiet" if set(patients) - set(found) <= set(silent) else "off"), facts


JUDGES = (ratio_moves, mended_scene, swapped_pair, diagnoses)
