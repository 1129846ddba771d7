"""Lesson 7: seams, what doubt is worth, jobs that are killed, and verdicts of its exercises."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import GlacierlabError
from ..inference.tiles import axes_of
from ..io.layers import transform_of
from ..memory import give_back_memory
from ..scores import score
from .answers import as_number

AS_NEAR = 0.01  # by which a share of the map may be off, an assumption
SAME_STEP = 1e-4  # share of a step by which an answer may be off: less than upright borders and level ones
ENOUGH = 0.8  # of the errors, that are to be found
SPARE = 0.01  # share of the map that may be looked at beyond need, an assumption
WORK, LARGEST = 2 / 3, 256  # share of the work, and pixels a side of a tile, that are allowed
LOOK_S, WAIT_S = 0.005, 0.02  # between two looks at the memory, and at a job [s]
BLOCK = 512  # pixels of a chunk
THRIFTY = {  # the C library of Linux keeps one store of freed memory and gives back what is above 64 kB
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "DASK_SCHEDULER": "threads",  # else dask loads its cluster to ask whether there is one
}
JOB = """
import json, sys
import glacierlab as gl
path, options = sys.argv[1], json.loads(sys.argv[2])
gl.predict(gl.open_scene(path, chunks=512), **options)
"""


# ---- what the lesson measures


def seams(prediction):
    """How much probabilities step where a tile begins or ends, and between all other neighbors.

    Parameters
    ----------
    prediction : xarray.Dataset
        Of `gl.predict`, not cut: its attributes say where tiles lie.

    Returns
    -------
    pandas.Series
        `tiles`, how many there are; `at_borders` and `elsewhere`, the mean step [1] between neighboring
        pixels of the class whose step is largest; `ratio` of the two, NaN where there is one tile alone or
        no step elsewhere. Without seams it is near 1, and as far from it as the ground at borders differs
        from the ground elsewhere.
    """
    axes = tiles_of(prediction)
    values = prediction["probability"].transpose("class", "y", "x").values
    at, elsewhere = [], []
    for number, axis in enumerate(axes):
        steps = np.moveaxis(np.abs(np.diff(values, axis=1 + number)).max(axis=0), number, 0)
        edges = np.union1d(axis.starts, axis.starts + axis.tile) - 1  # the step before a pixel
        border = np.isin(np.arange(len(steps)), edges)
        at.append(steps[border])
        elsewhere.append(steps[~border])
    at, elsewhere = (mean_of(np.concatenate([each.ravel() for each in part])) for part in (at, elsewhere))
    tiles = axes[0].starts.size * axes[1].starts.size
    ratio = at / elsewhere if elsewhere else np.nan
    return pd.Series({"tiles": tiles, "at_borders": at, "elsewhere": elsewhere, "ratio": ratio})


def tiles_of(prediction):
    """Where the tiles of a prediction lie, along y and along x."""
    told = prediction.attrs
    shape = [max(prediction.sizes[name], told["tile"]) for name in ("y", "x")]
    return axes_of(shape, told["tile"], told["overlap"], told["blend"])


def mean_of(steps):
    """Mean of the steps between observed pixels, NaN of none."""
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if steps.size else np.nan


def review_curve(doubt, wrong):
    """Share of the errors that is found when the most doubtful pixels are looked at first.

    Parameters
    ----------
    doubt : xarray.DataArray of float
        Such as `entropy` or `spread` of a prediction; NaN is left out.
    wrong : xarray.DataArray of bool
        Where the map is not the truth, on the same grid.

    Returns
    -------
    pandas.Series
        Found errors [1] by share of the map looked at, 0 to 1 in steps of 0.001. Pixels of equal doubt are
        taken as if in random order, so that a doubt that knows nothing gives the diagonal.
    """
    known = np.isfinite(doubt.values)
    doubt, wrong = doubt.values[known], wrong.values[known]
    _, place, counts = np.unique(-doubt, return_inverse=True, return_counts=True)
    errors = np.bincount(place.ravel(), weights=wrong)
    looked, found = (np.append(0, each.cumsum()) / max(each.sum(), 1) for each in (counts, errors))
    shares = pd.Index(np.linspace(0, 1, 1001), name="share of the map looked at")
    return pd.Series(np.interp(shares, looked, found), shares, name="share of the errors found")


def peak_memory(function, *given, **options):
    """Call a function, and watch how far the memory of this process rises meanwhile.

    Parameters
    ----------
    function : callable
    *given, **options
        Its arguments.

    Returns
    -------
    object
        What it returns.
    float
        Highest resident memory above that at the start [MB]. What was kept from before and is used again is
        not seen; on Linux it is given back first, and again at the end.
    """
    import psutil  # comes with dask.distributed

    give_back_memory()
    process, done = psutil.Process(), threading.Event()
    start = process.memory_info().rss
    seen = [start]

    def watch():
        while not done.wait(LOOK_S):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        found = function(*given, **options)
        seen.append(process.memory_info().rss)
    finally:
        done.set()
        watcher.join()
        give_back_memory()
    return found, (max(seen) - start) / 1e6


def repeated(scene, down, across):
    """A scene beside itself so many times, lazily: a large one that is no place.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x) in a projected CRS.
    down, across : int

    Returns
    -------
    xarray.Dataset
        The same bands on a grid that goes on from the scene's first pixel, in chunks of 512 pixels.
    """
    times = {"y": down, "x": across}
    transform = transform_of(scene)
    size = {name: times[name] * scene.sizes[name] for name in times}
    grid = {
        "y": transform.f + transform.e * (np.arange(size["y"]) + 0.5),
        "x": transform.c + transform.a * (np.arange(size["x"]) + 0.5),
    }
    bands = {
        name: (("y", "x"), da.tile(band.transpose("y", "x").data, (down, across)).rechunk(BLOCK), band.attrs)
        for name, band in scene.data_vars.items()
    }
    return xr.Dataset(bands, grid, scene.attrs).assign_coords(spatial_ref=scene["spatial_ref"])


def killed_job(scene, model, out, rows, **options):
    """Map a scene in a process of its own, and kill that in the middle.

    Parameters
    ----------
    scene, model : path
        As `gl.open_scene` and `gl.predict` take them.
    out : path
        Of the map, a Zarr folder.
    rows : int
        Rows of blocks that shall be written first, fewer than the map has.
    **options
        Of `gl.predict`, that JSON knows.

    Returns
    -------
    int
        Rows of blocks that are written. They lie beside `out`, which is not there yet.

    Raises
    ------
    GlacierlabError
        The process ended, well or not, before it was killed.
    """
    from ..inference.job import manifest_of  # torch loads only when used

    give_back_memory()  # so that two processes fit
    out = Path(out)
    unfinished = out.with_name(out.name + ".unfinished")
    asked = json.dumps(dict(model=str(model), out=str(out)) | options)
    command = [sys.executable, "-c", JOB, str(scene), asked]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | THRIFTY)
    written = lambda: (manifest_of(unfinished) or {"rows": 0})["rows"]
    try:
        while job.poll() is None and written() < rows:
            time.sleep(WAIT_S)
        if job.poll() is not None:
            *_, said = ["it was faster than the kill", *job.stderr.read().strip().splitlines()]
            raise GlacierlabError(f"The job at {out} ended by itself: {said}.")
    finally:
        job.kill()
        job.communicate()
    return written()


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def border_step(answer, probability, tile):
    """The mean absolute step of probabilities (y, x) across the upright borders of tiles, a number."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    probability = np.asarray(probability, dtype=float)
    steps, downward = np.diff(probability, axis=1), np.diff(probability, axis=0)
    borders = np.arange(tile, steps.shape[1] + 1, tile)
    near = lambda expected: abs(number - expected) <= SAME_STEP * abs(expected)
    right, inside = np.abs(steps[:, borders - 1]).mean(), np.abs(steps).mean()
    facts = dict(number=number, inside=inside, tile=tile, first=tile - 1, columns=len(borders))
    if near(right):
        return "right", facts | dict(times=right / inside)
    if near(inside):
        return "everywhere", facts
    if near(steps[:, borders - 1].mean()):
        return "signed", facts
    if near(np.abs(downward[tile - 1 :: tile]).mean()):
        return "level", facts
    aside = [
        np.abs(steps[:, borders - 1 + by]).mean() for by in (-1, 1) if borders[-1] + by <= steps.shape[1]
    ]
    return ("aside" if any(map(near, aside)) else "off"), facts


def tiles_needed(answer, shape, tile, overlap):
    """How many tiles cover a scene of so many rows and columns, a whole number."""
    number = as_number(answer)
    if number is None or number != int(number) or number < 1:
        return "type", {}
    count = lambda by: [axis.starts.size for axis in axes_of(shape, tile, by, "none")]
    (rows, columns), bare = count(overlap), np.prod(count(0))
    facts = dict(
        number=int(number), rows=rows, columns=columns, step=tile - overlap, times=rows * columns / bare
    )
    if number == rows * columns:
        return "right", facts
    if number in (rows, columns):
        return "axis", facts
    if number == bare:
        return "apart", facts
    whole = [(side - tile) // (tile - overlap) + 1 for side in shape]
    return ("last" if number == np.prod(whole) else "off"), facts


def thriftier_map(answer, lesson, truth, name):
    """A prediction with less work than the lesson's, whose IoU of a class is no lower, in tiles that fit."""
    if not hasattr(answer, "attrs") or "tile" not in answer.attrs or "class_map" not in answer:
        return "type", {}
    if dict(answer.sizes) != dict(lesson.sizes):
        return "part", {}
    pixels = lambda each: (
        np.prod([axis.starts.size * axis.tile for axis in tiles_of(each)]) * len(each.attrs.get("views", "1"))
    )
    iou = lambda each: score(each["class_map"], truth, boundary=False).loc[name, "iou"]
    share, tile = pixels(answer) / pixels(lesson), answer.attrs["tile"]
    facts = dict(percent=100 * share, most=100 * WORK, tile=tile, largest=LARGEST)
    if tile > LARGEST:
        return "large", facts
    if share > WORK:
        return "dear", facts
    facts |= dict(iou=iou(answer), lesson=iou(lesson), name=name)
    return ("right" if facts["iou"] >= facts["lesson"] else "poor"), facts


def review_share(answer, curve):
    """The share of the map (a number) to look at, most doubtful first, to find four fifths of the errors."""
    number = as_number(answer)
    if number is None or not 0 <= number <= 100:
        return "type", {}
    need = float(curve.index[(curve.to_numpy() >= ENOUGH).argmax()])
    if number > 1:
        return "percent", dict(number=number)
    found = float(np.interp(number, curve.index, curve))
    facts = dict(percent=100 * number, found=100 * found, least=100 * ENOUGH)
    if found < ENOUGH:
        return "low", facts
    if number <= need + SPARE:
        return "right", facts
    return ("blind" if abs(number - ENOUGH) <= AS_NEAR else "high"), facts


JUDGES = (border_step, tiles_needed, thriftier_map, review_share)
