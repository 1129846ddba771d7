"""All that is said of the change between several inventories, in one call."""

from dataclasses import dataclass
from itertools import pairwise

import geopandas as gpd
import pandas as pd
import shapely

from ..errors import InventoryError, warn
from ..io.layers import geodesic_area_km2
from ..outlines.checking import qa
from ..scores import GLACIER_PARTS
from ..tables import lookup
from .agreeing import agreement
from .area import BOUND, METHODS, WITHOUT_PIXELS, area_uncertainty, pixel_of
from .dated import PARTS, TOTAL, area_series, date_text, days_of, require_no_total
from .differences import area_change
from .elevations import elevation_change
from .matching import id_column, some
from .overlaps import on_equal_areas
from .tracking import dated, track
from .trends import trend

DIVIDED = {"split": "split", "merge": "merged", "split and merge": "split and merged"}  # event → status
METHOD = "symmetric_buffer"  # of tables without errors: an assumption
SAME_IDS = 0.9  # of the area of glaciers that go on, for a column of ids to be believed: an assumption


@dataclass(frozen=True)
class Assessment:
    """What was found; see `assess`."""

    labels: list  # of the dates, in order
    inventories: list  # measured, with a column `by`
    by: str
    series: pd.DataFrame
    changes: pd.DataFrame
    trends: pd.DataFrame | None
    events: pd.DataFrame
    ground: gpd.GeoDataFrame
    bands: pd.DataFrame | None
    findings: pd.DataFrame


def assess(inventories, *, by=None, years="dates", method=None, pixel_m=None, dem=None):
    """Measure areas, errors, changes, trends and events of two inventories or more.

    Parameters
    ----------
    inventories : dict or list of geopandas.GeoDataFrame
        Outlines of two dates or more, by date or with a `src_date` in every row, in any order and CRS. Of a
        `class` column only glacier ice counts.
    by : str, optional
        The column that names a glacier. By default a column of ids that all have, if glaciers that lie on
        each other have the same at both dates (nine tenths of their area, an assumption); else glaciers are
        followed by where they lie (`track`).
    years : {"dates", "chen2022"}, number, or list of them
        Of `area_change`.
    method : str, optional
        Of `area_uncertainty`, for all tables, whatever errors they have. By default a table keeps its own
        `area_unc_km2`, and those without get a "symmetric_buffer" (assumption). Where nothing tells the
        pixel that a method needs, the size law "rgi" serves instead, and a warning says so (assumption).
    pixel_m : float, optional
        Side of the pixels that were mapped [m], of tables that are measured.
    dem : path or xarray.DataArray, optional
        Elevation (y, x) [m]: also areas by elevation.

    Returns
    -------
    Assessment
        `labels` and `inventories` in order of time; `by`; `series` with totals (`area_series`); `changes`
        from each date to the next and from the first to the last (`area_change`; glaciers that were divided
        or joined have the status "split", "merged" or "split and merged" and are not judged); `trends` of
        three dates or more (`trend`, least squares; a glacier that a date lacks has no area there), else
        None; `events` (`track`); `ground`, what was ice at the first and the last date (the map of
        `agreement`); `bands` (`elevation_change` from the first to the last), None without `dem`; `findings`
        of `outlines.qa` by `date`.

    Raises
    ------
    InventoryError
        Fewer than two dates, no common glaciers, no ground that two dates in succession share, dates that are
        missing or the same; see `area_change`.

    Warns
    -----
    DataWarning
        Errors by the size law, tables that keep their own although `pixel_m` is given, ids that do not last,
        outlines dated outside of the date of their inventory.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> found = assess({str(year): world.outlines(year) for year in world.years}, pixel_m=30)
    >>> found.labels, found.by
    (['1990', '2020'], 'glac_id')
    >>> total = found.changes.query("glacier == 'total' and errors_summed == 'linear'")
    >>> total[["loss_km2", "loss_pct"]].round(1).values.tolist()
    [[0.3, 24.0]]
    """
    labels, _, tables = dated(inventories, "assess", 2)
    labels = [in_years(label) for label in labels]
    findings = [qa(table).assign(date=label) for label, table in zip(labels, tables, strict=True)]
    tables = [ice_of(table, label) for label, table in zip(labels, tables, strict=True)]
    tell_of_other_dates(labels, tables)
    tables = to_measure(labels, tables, method, pixel_m)
    tables = with_errors(tables, method or METHOD, pixel_m)
    require_same_ground(labels, tables)
    tracks = track(dict(zip(labels, tables, strict=True)))
    by, tables = with_names(labels, tables, tracks, by)
    for table in tables:
        require_no_total(table[by])
    by_date = dict(zip(labels, tables, strict=True))
    total = "parts" if all(set(PARTS) <= set(table) for table in tables) else "linear"
    series = area_series(by_date, by=by, total=total, missing="vanished")
    return Assessment(
        labels=labels,
        inventories=tables,
        by=by,
        series=series,
        changes=told_apart(
            area_change(series[series["glacier"] != TOTAL], years=years, missing="vanished"), by_date, by
        ),
        trends=trend(with_zeros(series, labels)) if len(labels) > 2 else None,
        events=tracks.events,
        ground=agreement(tables[0], tables[-1]).map,
        bands=None if dem is None else elevation_change(tables[0], tables[-1], dem, by=by),
        findings=pd.concat(findings, ignore_index=True),
    )


def in_years(label):
    """A date in fewer words where it is of whole years: 1966 for 1966-01-01/1966-12-31."""
    first, last = days_of(label)
    if (first.month, first.day, last.month, last.day) != (1, 1, 12, 31):
        return label
    return f"{first.year}" if first.year == last.year else f"{first.year}-{last.year}"


def ice_of(outlines, label):
    """The outlines of glaciers, where lakes are among them; InventoryError where there are none."""
    known = ["glacier", *GLACIER_PARTS]
    ice = outlines[outlines["class"].isin(known)] if "class" in outlines else outlines
    if ice.empty:
        found = (
            f"only those of class {some(outlines['class'].unique().tolist())}" if len(outlines) else "none"
        )
        raise InventoryError(
            f"assess needs glaciers, and the inventory of {label} has {found}. Of a column 'class' only "
            f"{', '.join(known)} count: drop it where it means something else."
        )
    return ice


def tell_of_other_dates(labels, tables):
    """A DataWarning where outlines are dated outside of the days that their inventory is called by."""
    for label, table in zip(labels, tables, strict=True):
        dates = {date_text(date) for date in table.get("src_date", ())} - {""}
        first, last = days_of(label)
        other = sorted(text for text in dates if days_of(text)[1] < first or days_of(text)[0] > last)
        if other:
            warn(
                f"Outlines of {label} have another src_date, and years are counted by it: {some(other, 3)}. "
                "Correct or drop src_date, or say years= a number."
            )


def to_measure(labels, tables, method, pixel_m):
    """Outlines without their own errors where a method is asked; a DataWarning where a pixel alone is."""
    if method is not None:
        return [table.drop(columns=[*PARTS, "area_unc_km2"], errors="ignore") for table in tables]
    own = [label for label, table in zip(labels, tables, strict=True) if "area_unc_km2" in table]
    if own and pixel_m is not None:
        warn(
            f"Outlines of {', '.join(own)} keep their own errors (area_unc_km2), whatever the pixel. Name a "
            f"method, such as {METHOD!r}, to measure those of all dates anew."
        )
    return tables


def with_errors(tables, method, pixel_m):
    """Outlines with `area_unc_km2`: their own, or all by one method, the size law where no pixel is known."""
    lookup(METHODS, method, kind="method of area_uncertainty")
    bare = [table for table in tables if "area_unc_km2" not in table]
    if bare and method not in WITHOUT_PIXELS and pixel_m is None:
        pixels = [pixel_of(table, geodesic_area_km2(table.geometry)) for table in bare]
        if None in pixels:
            warn(
                f"Nothing tells how large the pixels were that {method!r} needs: errors are by the size law "
                "of RGI, of area alone. Say pixel_m=30 for Landsat, 10 for Sentinel-2."
            )
            method = "rgi"
    return [
        own_errors(table) if "area_unc_km2" in table else area_uncertainty(table, method, pixel_m=pixel_m)
        for table in tables
    ]


def own_errors(table):
    """Outlines with errors of their own, measured and called bounds where they do not say."""
    if "area_km2" not in table:
        table = table.assign(area_km2=geodesic_area_km2(table.geometry))
    return table if "area_unc_kind" in table else table.assign(area_unc_kind=BOUND)


def require_same_ground(labels, tables):
    """InventoryError where no outline of a date touches one of the next, whatever their ids say."""
    shapes, _ = on_equal_areas(tables, "assess")
    for one, two in pairwise(range(len(tables))):
        if not shapely.STRtree(shapes[one]).query(shapes[two], predicate="intersects").size:
            raise InventoryError(
                f"No outline of {labels[one]} touches one of {labels[two]}: these are other places, or a CRS "
                "is wrong."
            )


def with_names(labels, tables, tracks, by):
    """The column that names a glacier and the tables that have it: by their ids, or else as tracked."""
    glaciers = tracks.glaciers.set_index("row")
    names = [glaciers.loc[glaciers["date"] == label, "glacier"] for label in labels]
    try:
        column = id_column(tables, by)
        if by is not None or ids_last(column, tables, names):
            return column, tables
    except InventoryError:
        if by is not None:
            raise
    if not any(one.isin(other).any() for one, other in pairwise(names)):
        raise InventoryError(
            f"No glacier of one date lies where one of the next does ({', '.join(labels)}): these are other "
            "places, or a CRS is wrong. Name the column that identifies glaciers with by=."
        )
    named = [
        table.assign(glacier=each.reindex(table.index)) for table, each in zip(tables, names, strict=True)
    ]
    return "glacier", named


def told_apart(changes, by_date, by):
    """Changes where glaciers that were divided or joined are called so, and are not judged one by one."""
    for (a, b), rows in changes.groupby(["date_1", "date_2"]).groups.items():
        events = track({a: by_date[a], b: by_date[b]}).events
        for event, status in DIVIDED.items():
            links = events[events["event"] == event]
            names = {*by_date[a].loc[links["row_1"], by], *by_date[b].loc[links["row_2"], by]}
            here = rows[changes.loc[rows, "glacier"].isin(names)]
            changes.loc[here, "status"] = status
            changes.loc[here, "significant"] = pd.NA
    return changes


def with_zeros(series, labels):
    """A series where glaciers that a date lacks have an area of 0 there, as for their changes."""
    every = pd.MultiIndex.from_product([series["glacier"].unique(), labels], names=["glacier", "window"])
    lacking = every.difference(pd.MultiIndex.from_frame(series[["glacier", "window"]]))
    return pd.concat([series, lacking.to_frame(index=False).assign(area_km2=0.0, date="", area_unc_kind="")])


def ids_last(column, tables, names):
    """Whether glaciers that go on by where they lie keep their ids; a DataWarning where they do not."""
    went_on, kept, changed = 0.0, 0.0, []
    for one, two in pairwise(zip(tables, names, strict=True)):
        a, b = (
            table.assign(place=place.reindex(table.index)).set_index("place") for table, place in (one, two)
        )
        places = a.index.intersection(b.index)
        a, b = a.loc[places], b.loc[places]
        same = (a[column] == b[column]).to_numpy()
        went_on, kept = went_on + a["area_km2"].sum(), kept + a["area_km2"][same].sum()
        changed += [f"{x} → {y}" for x, y in zip(a[column][~same], b[column][~same], strict=True)]
    if kept >= SAME_IDS * went_on:
        return True
    warn(
        f"{column!r} does not last: {len(changed)} glaciers have another at the next date, where they lie "
        f"({some(changed, 3)}). Glaciers are followed by that place; by={column!r} goes by ids all the same."
    )
    return False
