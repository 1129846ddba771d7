"""Lesson 10: what outlines are wrong by, outlines as people draw them, a killed session, and verdicts."""

import subprocess
import sys

import geopandas as gpd
import numpy as np
import shapely
from scipy.ndimage import gaussian_filter, map_coordinates

from ..errors import GlacierlabError, require_outlines
from .answers import as_number

GRID_M = 10.0  # between the places where it is told how far a hand slips
SLIP_M = 60.0  # over which a hand keeps its direction, an assumption
MARGIN_M = 300.0  # around outlines
LITTLE = 1e-3  # share of the ground that a repair may cost, an assumption
AS_NEAR = 0.02  # share by which an answer may be off, an assumption
ENOUGH = 0.8  # of the expected error, that is to be looked at
SHIFT_NEAR_M = 0.5  # by which an answer may be off, an assumption
JOB = """
import sys, time
import glacierlab as gl
path, analyst, acts = sys.argv[1], sys.argv[2], int(sys.argv[3])
review = gl.apps.Review(gl.open_inventory(path), analyst=analyst, path=path)
for _ in range(acts):
    review.accept(review.current)
    review.next()
print(review.unsaved, flush=True)
time.sleep(600)
"""


# ---- what the lesson measures


def true_errors(outlines, truth):
    """Area [km²] by which outlines are wrong: ground too much, and ice that they miss.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        In a projected CRS.
    truth : geopandas.GeoDataFrame
        All glaciers that there are, in any CRS. Each piece of missed ice counts with the nearest outline.

    Returns
    -------
    pandas.Series
        By the index of the outlines.
    """
    require_outlines(outlines, "true_errors")
    ice = truth.to_crs(outlines.crs).union_all()
    extra = outlines.difference(ice).area
    missed = gpd.GeoSeries([ice.difference(outlines.union_all())], crs=outlines.crs).explode()
    (place, nearest), areas = outlines.sindex.nearest(missed, return_all=False), missed.area.to_numpy()
    lacking = np.bincount(nearest, areas[place], len(outlines))
    return ((extra + lacking) / 1e6).rename("true_error_km2")


def drawn(outlines, slip_m=10.0, offset_m=0.0, seed=0):
    """Outlines as a person draws them by hand: each corner slips a little, and all lie out or in a little.

    A made hand, for lessons: how far it slips is one random vector field, smooth over 60 m (an assumption),
    so that borders that glaciers share stay shared.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        In a projected CRS.
    slip_m : float
        Standard deviation of a slip along each axis [m].
    offset_m : float
        How far outward all borders lie [m]; below 0 inward.
    seed : int
        Of the hand on that day.

    Returns
    -------
    geopandas.GeoDataFrame
        The other columns as they were.
    """
    require_outlines(outlines, "drawn")
    west, south, east, north = outlines.total_bounds
    west, south = west - MARGIN_M, south - MARGIN_M
    shape = [int((high + MARGIN_M - low) / GRID_M) + 2 for low, high in ((south, north), (west, east))]
    random = np.random.default_rng(seed)
    field = [gaussian_filter(random.standard_normal(shape), SLIP_M / GRID_M) for _ in range(2)]
    field = [slip_m * each / each.std() for each in field]

    def slipped(points):
        place = (points[:, ::-1] - (south, west)).T / GRID_M
        return points + np.column_stack(
            [map_coordinates(each, place, order=1, mode="nearest") for each in field]
        )

    shapes = shapely.transform(shapely.segmentize(outlines.geometry.values, 2 * GRID_M), slipped)
    shapes = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    return outlines.set_geometry(gpd.GeoSeries(shapes, outlines.index, outlines.crs).buffer(offset_m))


def killed_review(path, analyst, acts):
    """Accept outlines of a GeoPackage in a process of its own, one after the other, and kill it unsaved.

    Parameters
    ----------
    path : path
    analyst : str
    acts : int
        How many outlines are accepted before the kill.

    Returns
    -------
    int
        How many acts the session had not saved.

    Raises
    ------
    GlacierlabError
        The process ended by itself.
    """
    asked = [sys.executable, "-c", JOB, str(path), str(analyst), str(acts)]
    job = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        unsaved = job.stdout.readline().strip()
    finally:
        job.kill()
        _, said = job.communicate()
    if not unsaved:
        *_, last = ["it said nothing", *said.strip().splitlines()]
        raise GlacierlabError(f"The session ended by itself: {last}")
    return int(unsaved)


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def outlines_to_review(answer, queue):
    """How many outlines of a queue, from the first on, hold 80 % of the expected error; a whole number."""
    number = as_number(answer)
    if number is None or number != int(number) or not 0 < number <= len(queue):
        return "type", dict(most=len(queue))
    errors = queue["expected_error_km2"].fillna(0).to_numpy()
    found = errors.cumsum() / errors.sum()
    least = int(np.searchsorted(found, ENOUGH - 1e-9)) + 1
    facts = dict(number=int(number), most=len(queue), percent=100 * found[int(number) - 1])
    facts |= dict(least=100 * ENOUGH, share=100 * least / len(queue))
    if number == int(np.ceil(ENOUGH * len(queue))) != least:
        return "count", facts
    return ("right" if number == least else "few" if number < least else "many"), facts


def sound_outlines(answer, review, before):
    """The outlines of a review without problems, and without less ground than `before` [km²]."""
    if not hasattr(answer, "geometry") or "review_id" not in answer:
        return "type", {}
    found = {one: review.problems(one) for one in answer["review_id"]}
    found = {one: texts for one, texts in found.items() if texts}
    if found:
        one, texts = next(iter(found.items()))
        return "left", dict(count=len(found), id=one, problem=texts[0])
    area = answer.union_all().area / 1e6
    return ("right" if area > before * (1 - LITTLE) else "lost"), dict(area=area, before=before)


def net_change(answer, trail):
    """Area [km²] by which a review has changed the inventory, by its trail; a number below 0 for less."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    changes = trail["change_km2"].to_numpy()
    net, moved = changes.sum(), np.abs(changes).sum()
    undone = trail["what"].str.startswith(("undo", "redo")).to_numpy()
    facts = dict(number=number, net=net, moved=moved, lines=len(trail))
    near = lambda value: abs(number - value) <= max(AS_NEAR * abs(net), 1e-6)
    values = {"right": net, "sign": -net, "moved": moved, "once": changes[~undone].sum()}
    return next((finding for finding, value in values.items() if near(value)), "off"), facts


def border_offset(answer, ours, theirs):
    """How far [m] the borders of `theirs` lie outside of those of `ours`, on average; below 0 inside."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    lengths = (ours.length.sum() + theirs.length.sum()) / 2
    offset = (theirs.area.sum() - ours.area.sum()) / lengths
    facts = dict(number=number, offset=offset)
    if abs(number - offset) <= SHIFT_NEAR_M:
        return "right", facts
    if abs(number + offset) <= SHIFT_NEAR_M:
        return "sign", facts
    return ("distance" if 3 * offset > number > offset > 0 else "off"), facts


JUDGES = (outlines_to_review, net_change, sound_outlines, border_offset)
