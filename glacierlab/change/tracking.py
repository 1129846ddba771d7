"""Glaciers through time: which outline of one date is which of the next, by where they lie."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import shapely

from ..errors import InventoryError, require_outlines
from ..io.layers import geodesic_area_km2
from .dated import center_of, date_text, days_of
from .matching import id_column
from .overlaps import couples, links, on_equal_areas

EVENTS = [
    "event", "date_1", "date_2", "glacier_1", "glacier_2", "row_1", "row_2", "area_1_km2", "area_2_km2",
    "overlap_km2",
]  # fmt: skip


@dataclass(frozen=True)
class Tracks:
    """Glaciers through time; see `track`."""

    glaciers: pd.DataFrame  # glacier, date, row, area_km2: one row an outline
    events: pd.DataFrame  # one row a link between two outlines, or the end of one without


def track(inventories, *, min_overlap=0.5, by=None):
    """Follow glaciers through several inventories by where they lie, through splits and merges.

    Outlines of two dates in succession are linked where they share `min_overlap` of the smaller one; an
    outline that lies by as much on several together, on none of them alone, is linked to the one it shares
    most with.

    Parameters
    ----------
    inventories : dict or sequence of geopandas.GeoDataFrame
        Outlines of two dates or more, in any order and CRS, by date (a year, "2020-08-16", a range
        "2019-07-01/2019-09-30", a datetime) or with one in every row's `src_date`.
    min_overlap : float
        Share [1] from 0 to 1. Half is an assumption: less links neighbors whose divide was drawn elsewhere,
        more loses small glaciers that a pixel's shift moves.
    by : str, optional
        A column of every table. A glacier is named by what it holds where it first appears; by default
        glaciers are numbered, the first date's from the largest, then those that come later.

    Returns
    -------
    Tracks
        `glaciers`, one row an outline, by date: `glacier`, `date` (as given), `row` (of its table's index),
        `area_km2` (geodesic). `events`, one row a link: `event`, `date_1` and `date_2`, `glacier_1` and
        `glacier_2`, `row_1` and `row_2`, `area_1_km2` and `area_2_km2`, `overlap_km2`. An event is

        - "continue": one outline, and one later;
        - "split", "merge": one outline and several later, several and one later (a row each);
        - "split and merge": a link between one that splits and one that is merged from several;
        - "vanish", "appear": the outline is linked to none later, to none earlier; the other side is missing;
        - "reappear": linked to none of the date before, but to where a glacier was last seen.

    Raises
    ------
    InventoryError
        Fewer than two dates, a date that is missing, unreadable or there twice, an outline that is no valid
        polygon, ids that are missing or there twice.
    GlacierlabError
        `min_overlap` is no share.

    Notes
    -----
    A glacier keeps its id through a split in the part with the largest overlap, and through a merger if its
    own overlap is the largest; other parts are new glaciers, other glaciers end. Ids that ended rest, so that
    outlines that join and part from date to date, or are missed at one, do not make ever new ones: a part
    that is like a resting glacier where it was last seen (they share `min_overlap` of the larger) takes its
    id before the parent's own is handed on, and one that would need a new id takes a resting one by the same
    share of the smaller. This rule is an assumption of ours.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = lambda *bounds: gpd.GeoDataFrame(geometry=[shapely.box(*b) for b in bounds], crs="EPSG:32632")
    >>> before = boxes((0, 0, 1000, 300), (0, 1000, 500, 1500))
    >>> after = boxes((0, 0, 400, 300), (450, 0, 1000, 300))
    >>> found = track({2000: before, 2020: after})
    >>> found.events[["event", "glacier_1", "glacier_2"]].fillna(0).astype({"glacier_2": int}).values.tolist()
    [['split', 1, 3], ['split', 1, 1], ['vanish', 2, 0]]
    """
    labels, _, tables = dated(inventories, "track", 2)
    if by is not None:
        id_column(tables, by)
    shapes, _ = on_equal_areas(tables, "track")
    ids, events = [new_numbers(shapes[0], 0)], []
    ended = {}  # id → (date, position) where a glacier was last seen
    for now in range(1, len(tables)):
        last = np.array([shapes[then][position] for then, position in ended.values()], object)
        found = links(shapes[now - 1], shapes[now], min_overlap)
        back = links(last, shapes[now], min_overlap)
        ids.append(
            next_ids(ids[now - 1], found, np.array([*ended], int), last, back, shapes[now], min_overlap)
        )
        events += events_of(now, found, back, ids, ended)
        gone = np.flatnonzero(~np.isin(ids[now - 1], ids[now]))
        alive = set(ids[now].tolist())
        ended = {number: place for number, place in ended.items() if number not in alive}
        ended |= {int(ids[now - 1][position]): (now - 1, int(position)) for position in gone}
    outlines = pd.concat(
        [
            pd.DataFrame(
                {
                    "glacier": names,
                    "date": label,
                    "row": table.index,
                    "area_km2": geodesic_area_km2(table.geometry),
                }
            )
            for names, label, table in zip(names_of(ids, tables, labels, by), labels, tables, strict=True)
        ],
        keys=range(len(tables)),
    )
    return Tracks(outlines.reset_index(drop=True), event_table(events, outlines))


def dated(inventories, needed_by, least=1):
    """Dates as text, their middles as decimal years, and tables of inventories, by date."""
    if hasattr(inventories, "geometry"):
        raise InventoryError(
            f"{needed_by} needs an inventory for each date, and this is one table: split it, as with "
            "dict(tuple(outlines.groupby('src_date')))."
        )
    if not isinstance(inventories, Iterable):
        raise InventoryError(
            f"{needed_by} needs an inventory for each date, {{'2000': first, '2020': second}}, and this is "
            f"{type(inventories).__name__}."
        )
    by_date = isinstance(inventories, Mapping)
    tables = list(inventories.values() if by_date else inventories)
    if len(tables) < least:
        raise InventoryError(
            f"{needed_by} needs inventories of {least} dates or more, and got {len(tables)}."
        )
    for table in tables:
        require_outlines(table, needed_by)
    labels = [date_text(key) for key in inventories] if by_date else [date_of(table) for table in tables]
    middles = [center_of(label) for label in labels]
    if missing := [number for number, label in enumerate(labels, 1) if not label]:
        raise InventoryError(
            f"{needed_by}: table {missing[0]} has no date in src_date. Give a dict of tables by date, "
            "{'2000': first, '2020': second}."
        )
    order = np.argsort(middles, kind="stable").tolist()
    for one, two in pairwise(order):
        if middles[one] == middles[two]:
            raise InventoryError(
                f"{needed_by}: two inventories are of {labels[two]}. Merge them, or drop one."
            )
    return tuple([values[place] for place in order] for values in (labels, middles, tables))


def date_of(table):
    """The date that all rows of a table share, or the range that theirs span, as text; '' without any."""
    dates = {date_text(date) for date in table.get("src_date", ())} - {""}
    if len(dates) < 2:
        return "".join(dates)
    first, last = zip(*map(days_of, dates), strict=True)
    return f"{min(first)}/{max(last)}"


def new_numbers(shapes, least):
    """Numbers from least + 1 for outlines, the largest first."""
    numbers = np.empty(len(shapes), int)
    numbers[np.argsort(-shapely.area(shapes), kind="stable")] = least + 1 + np.arange(len(shapes))
    return numbers


def next_ids(old, found, resting, last, back, shapes, min_overlap):
    """Ids of a date's outlines: handed on along `found`, taken up again along `back`, or new."""
    one, two, shared = found
    gone, again, covered = back
    ids = np.zeros(len(shapes), int)
    alike = covered >= (min_overlap - 1e-9) * np.maximum(
        shapely.area(last)[gone], shapely.area(shapes)[again]
    )
    returns = np.isin(two, again[alike])  # as good as where a glacier ended
    chosen = couples(one, two, np.lexsort((-shared, returns)))
    ids[two[chosen]] = old[one[chosen]]
    free = ids[again] == 0
    gone, again, covered, alike = gone[free], again[free], covered[free], alike[free]
    chosen = couples(gone, again, np.lexsort((-covered, ~alike)))
    ids[again[chosen]] = resting[gone[chosen]]
    ids[ids == 0] = new_numbers(shapes[ids == 0], max([*old, *resting], default=0))
    return ids


def events_of(now, found, back, ids, ended):
    """(event, date and position of one outline, of the other, shared m²); None for a side that is missing."""
    one, two, shared = found
    parts = np.bincount(one, minlength=len(ids[now - 1]))
    sources = np.bincount(two, minlength=len(ids[now]))
    kinds = {(False, False): "continue", (True, False): "split", (False, True): "merge"}
    for link in np.lexsort((two, one)):
        kind = kinds.get((parts[one[link]] > 1, sources[two[link]] > 1), "split and merge")
        yield kind, (now - 1, one[link]), (now, two[link]), shared[link]
    for position in np.flatnonzero(parts == 0):
        yield "vanish", (now - 1, position), None, 0.0
    places = [*ended.items()]
    seen = {(places[gone][0], two): m2 for gone, two, m2 in zip(*back, strict=True)}
    for position in np.flatnonzero(sources == 0):
        number = int(ids[now][position])
        if number in ended:
            yield "reappear", ended[number], (now, position), seen[number, position]
        else:
            yield "appear", None, (now, position), 0.0


def names_of(ids, tables, labels, by):
    """Names of the glaciers of each date: their numbers, or what `by` holds where they first appear."""
    if by is None:
        return ids
    names, taken = {}, set()
    for numbers, table, label in zip(ids, tables, labels, strict=True):
        for number, own in zip(numbers.tolist(), table[by], strict=True):
            if number not in names:
                names[number] = f"{own} ({label})" if own in taken else own
                taken.add(names[number])
    return [[names[number] for number in numbers.tolist()] for numbers in ids]


def event_table(events, outlines):
    """Events as a table; `outlines` is indexed by date and position."""
    sides = []
    for side, end in (("1", 1), ("2", 2)):
        ends = [event[end] or (-1, -1) for event in events]
        places = pd.MultiIndex.from_arrays([[step for step, _ in ends], [row for _, row in ends]])
        rows = outlines.reindex(places).add_suffix(f"_{side}").reset_index(drop=True)
        sides.append(rows.rename(columns={f"area_km2_{side}": f"area_{side}_km2"}))
    table = pd.concat([pd.DataFrame({"event": [event[0] for event in events]}), *sides], axis=1)
    table["overlap_km2"] = [event[3] / 1e6 for event in events]
    whole = ["glacier_1", "glacier_2", "row_1", "row_2"]  # numbers stay whole where a side is missing
    table[whole] = table[whole].convert_dtypes()
    return table[EVENTS]
