"""Areas with their dates: inventories as a tidy series, and what their dates and windows say."""

import calendar
import re
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ..errors import InventoryError, require_outlines, require_valid, warn
from ..io.dates import span
from ..tables import lookup
from .matching import ID_COLUMNS, shared_column, some

COLUMNS = ["glacier", "window", "date", "area_km2", "area_unc_km2", "area_unc_kind", "source"]
PARTS = ["area_sd_independent_km2", "area_sd_correlated_km2"]  # of a calibrated error
TOTAL = "total"  # the glacier of a row that sums all others
MISSING = {"vanished": True, "unmapped": False}  # whether a glacier that a table lacks counts, with area 0
DATES = ("date", "src_date")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ][^/]*")


def added(errors):
    """Half widths of errors that all go one way."""
    return errors.sum(skipna=False)


def in_quadrature(errors):
    """Half widths of errors that know nothing of each other."""
    return np.sqrt((errors**2).sum(skipna=False))


SUMS = {  # how errors of glaciers add up: their independent parts, their correlated parts
    "linear": (added, added),
    "root-sum-square": (in_quadrature, in_quadrature),
    "parts": (in_quadrature, added),
}


def area_series(inventories, *, by=None, total=None, missing=None):
    """Areas of glaciers through time, as one tidy table.

    Parameters
    ----------
    inventories : dict, list or pandas.DataFrame
        Inventories by date ("2005-08-12") or window ("1986-1988"), or by any other name if their rows say
        when in `src_date`; a list of such; or one table of several dates, a series or outlines with
        `src_date`. A table has `area_km2`, or outlines to measure (geodesic), and `area_unc_km2` with
        `area_unc_kind` where an error is known. One without ids and outlines is a series of totals.
    by : str, optional
        The column that names a glacier; by default the first of rgi_id, glims_id, glac_id, glacier_id,
        local_id, glac_name and glacier that all have.
    total : {"linear", "root-sum-square", "parts"}, optional
        Add the sum of all glaciers as the glacier "total", dated by the area-weighted mean of their dates.
        Errors are added ("linear", the upper bound that Chen et al. 2022 print), in quadrature (independent
        of each other), or, of calibrated ones, by parts: independent in quadrature, correlated added.
    missing : {"vanished", "unmapped"}, optional
        Whether the total takes glaciers that an inventory lacks for 0 there, or holds only those that are in
        all. By default "vanished" (assumption), with a warning.

    Returns
    -------
    pandas.DataFrame
        `glacier`, `window` (the date or the years of the inventory), `date` (the glacier's own), `area_km2`,
        `area_unc_km2` (half width), `area_unc_kind` ("bound", also where no one says, an assumption, or
        "95 %"), `source`, and the parts of calibrated errors. Glaciers as they came, dates ascending.

    Raises
    ------
    InventoryError
        No area, a negative one, no date or none that can be read, or two areas of a glacier at one date; a
        sum where a glacier is called "total".
    UnknownNameError
        Another `total` or `missing`.

    Warns
    -----
    DataWarning
        A total of glaciers that are not in every inventory.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> dates = {str(year): gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
    >>> series = area_series(dates, total="linear", missing="vanished")
    >>> series[series.glacier == "total"][["window", "area_km2", "area_unc_km2"]].round(1).values.tolist()
    [['1990', 1.2, 0.4], ['2020', 0.9, 0.3]]
    """
    series = dated_rows(inventories, by)
    if total is not None:
        require_no_total(series["glacier"])
        series = in_order(pd.concat([series, _totals(series, total, missing)], ignore_index=True))
    known = [name for name in PARTS if series[name].notna().any()]
    return series[[*COLUMNS, *known]]


def dated_rows(inventories, by=None):
    """`area_series` without a total, with all columns and the `label` that an inventory's rows share."""
    if isinstance(inventories, pd.DataFrame):
        series = rows_of(inventories, glacier_column([inventories], by))
    else:
        series = _joined(inventories, by)
    undated = series[label_of(series) == ""]
    if len(undated):
        raise InventoryError(
            f"A series needs dates, and {len(undated)} of {len(series)} rows have none, the first of glacier "
            f"{undated.glacier.iloc[0]!r}: fill in src_date, or give inventories as {{'2005': outlines}}."
        )
    series["label"] = label_of(series)
    twice = series[series.duplicated(["glacier", "label"])]
    if len(twice):
        raise InventoryError(
            f"{len(twice)} rows repeat a glacier and date, the first {twice.glacier.iloc[0]!r} at "
            f"{twice.label.iloc[0]!r}: merge the parts of a glacier, drop rival outlines, or give "
            "inventories of one year by their dates."
        )
    return in_order(series)


def in_order(series):
    """Glaciers in the order they came, each by date."""
    place, when = pd.factorize(series["glacier"])[0], centers(series)
    return series.iloc[np.lexsort((when, place))].reset_index(drop=True)


def rows_of(table, column, window="", source=""):
    """One inventory, or a series, as rows of a series; `column` names the glacier, None for a total."""
    areas = areas_of(table)
    size = len(table)
    errors = _numbers(table, "area_unc_km2")
    kinds = table["area_unc_kind"].fillna("") if "area_unc_kind" in table else pd.Series("", table.index)
    kinds = kinds.astype(str).str.replace(r"^95\s*%$", "95 %", regex=True).replace("", "bound")
    if unknown := sorted(set(kinds) - {"bound", "95 %", "mixed"}):
        raise InventoryError(
            f"area_unc_kind is {unknown[0]!r}: half widths are a 'bound' or '95 %', 1.96 standard deviations."
        )
    dates = [[date_text(value) for value in table[name]] for name in DATES if name in table]
    rows = {
        "glacier": [TOTAL] * size if column is None else table[column].tolist(),
        "window": [date_text(w) or window for w in table.get("window", [""] * size)],
        "date": [next(filter(None, told), "") for told in zip(*dates, strict=True)] if dates else "",
        "area_km2": areas,
        "area_unc_km2": errors,
        "area_unc_kind": np.where(np.isnan(errors), "", kinds),
        "source": table.get("source", pd.Series([source] * size)).to_numpy(),
    }
    return pd.DataFrame(rows | {name: _numbers(table, name) for name in PARTS})


def areas_of(table):
    """Areas [km²] of a table, measured where it has outlines and no `area_km2`."""
    if "area_km2" not in table:
        if not hasattr(table, "to_crs"):
            raise InventoryError(f"No column 'area_km2', but {list(table.columns)}: rename the one with km².")
        from ..io.layers import geodesic_area_km2

        require_outlines(table, "An area")
        require_valid(table, "An area")
        return geodesic_area_km2(table.geometry)
    return _numbers(table, "area_km2")


def glacier_column(tables, by=None):
    """The column that names the glaciers; None where tables hold totals: no ids, no outlines."""
    for table in tables:
        if not isinstance(table, pd.DataFrame):
            raise InventoryError(
                f"Areas come as tables, and this is a {type(table).__name__}: read a file with "
                "open_inventory."
            )
    named = by is not None or any(name in table for table in tables for name in ID_COLUMNS)
    outlined = any(hasattr(table, "to_crs") for table in tables)
    return shared_column(tables, by) if named or outlined else None


def require_no_total(names):
    """InventoryError where a glacier is called as the sum of all is."""
    if TOTAL in set(names):
        raise InventoryError(
            f"A glacier is called {TOTAL!r}, as the sum of all is: rename it, or leave it out if it is one."
        )


# ---- dates


def date_text(value):
    """A date as ISO text: of text, a timestamp (its day) or a year; '' where there is none."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    if isinstance(value, date):  # timestamps too
        return value.isoformat()[:10]
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip().replace("\N{EN DASH}", "-")
    return text[:10] if MOMENT.fullmatch(text) else text


def days_of(text):
    """First and last day that a date, a year, a month, a range of dates or a window of years names.

    >>> days_of("1986-1988")
    (datetime.date(1986, 1, 1), datetime.date(1988, 12, 31))
    >>> days_of("2009-08-30/2010-09-02")
    (datetime.date(2009, 8, 30), datetime.date(2010, 9, 2))
    """
    try:
        first, last = (date.fromisoformat(day[:10]) for day in span(text))
    except (ValueError, TypeError) as error:
        raise InventoryError(
            f"{text!r} is no date: write '2005-08-12', '2005', a range '2005-08-12/2006-09-01' or a window "
            "'1986-1988'."
        ) from error
    if last < first:
        raise InventoryError(f"{text!r} ends before it begins: write the earlier date first.")
    return first, last


def center_of(text):
    """The middle of a date or window as a decimal year; NaN where there is none.

    >>> center_of("1986-1988")
    1987.5
    """
    if not text:
        return np.nan
    first, last = days_of(text)
    return (_decimal_year(first) + _decimal_year(last) + 1 / _days_in(last.year)) / 2


def centers(rows):
    """Decimal years of rows: of their own date, else of the middle of their window."""
    own = rows["date"].where(rows["date"] != "", rows["window"])
    seen = {text: center_of(text) for text in own.unique()}
    return own.map(seen).astype("float64")


def label_of(rows):
    """What an inventory's rows share: their window, or else their date."""
    return rows["window"].where(rows["window"] != "", rows["date"])


def years_of(rows):
    """First and last calendar year of the windows, or else the dates, of some rows; None without any."""
    days = [days_of(text) for text in label_of(rows).unique() if text]
    return (min(first.year for first, _ in days), max(last.year for _, last in days)) if days else None


def mean_year(rows):
    """The area-weighted mean of the rows' dates, as a decimal year; NaN without any."""
    when, areas = centers(rows), rows["area_km2"].fillna(0)
    known = when.notna()
    if not known.any():
        return np.nan
    weights = areas[known] if areas[known].sum() > 0 else None
    first = when.min()  # taken out, so that equal dates have themselves as mean
    return float(first + np.average(when[known] - first, weights=weights))


def _days_in(year):
    return 366 if calendar.isleap(year) else 365


def _decimal_year(day):
    """When a day begins, as a decimal year."""
    return day.year + (day - date(day.year, 1, 1)).days / _days_in(day.year)


def iso_day(year):
    """The day that a decimal year falls on, as ISO text."""
    whole = int(year // 1)
    return (date(whole, 1, 1) + timedelta(days=int((year - whole) * _days_in(whole)))).isoformat()


# ---- the parts of errors


def halves(rows, calibrated):
    """Half widths (independent, correlated) of the errors of rows; independent where they have no parts."""
    independent = (1.96 * rows[PARTS[0]]).where(calibrated, rows["area_unc_km2"])
    return independent, (1.96 * rows[PARTS[1]]).where(calibrated, 0.0)


def one_kind(texts, several="mixed"):
    """What some texts, kinds of errors for one, come to: the one they share, `several`, or '' without any."""
    found = {text for text in texts if text}
    return found.pop() if len(found) == 1 else several if found else ""


# ---- inside


def _numbers(table, name):
    """A column as float64, NaN where there is none; InventoryError where it holds text or goes below 0."""
    if name not in table:
        return np.full(len(table), np.nan)
    try:
        values = pd.to_numeric(table[name]).to_numpy("float64", na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InventoryError(f"{name!r} holds what is no number: {error}.") from error
    if (wrong := np.flatnonzero((values < 0) | np.isinf(values))).size:
        raise InventoryError(
            f"{name!r} is {values[wrong[0]]:g} in row {table.index[wrong[0]]!r}: areas and errors are finite "
            "and not below 0."
        )
    return values


def _joined(inventories, by):
    """Inventories, in a dict or one after another, as one series."""
    named = inventories.items() if isinstance(inventories, dict) else [("", table) for table in inventories]
    if not named:
        raise InventoryError("area_series got no inventory.")
    column, found = glacier_column([table for _, table in named], by), []
    for name, table in named:
        window, source = _told_by(name)
        rows = rows_of(table, column, window, source)
        if not window and (rows["window"] == "").all() and (span := years_of(rows)):
            rows["window"] = str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"
        found.append(rows)
    return pd.concat(found, ignore_index=True)


def _told_by(name):
    """(window, source) that an inventory's key tells: a date is the one, anything else the other."""
    text = date_text(name)
    try:
        days_of(text)
    except InventoryError:
        return "", text
    return text, ""


def _totals(series, how, missing):
    """Rows of the glacier "total", one a label."""
    independent_sum, correlated_sum = lookup(SUMS, how, kind="sum of errors")
    if missing is not None:
        lookup(MISSING, missing, kind="meaning of a missing glacier")
    seen = series.groupby("glacier", sort=False).label.nunique()
    absent = seen.index[seen < series.label.nunique()]
    if missing is None and len(absent):
        warn(
            f"{len(absent)} glaciers are not in every inventory, and the total takes them for 0 where they "
            f"are missing ({some(absent.tolist())}). missing='vanished' says it is so, 'unmapped' leaves "
            "them out."
        )
    glaciers = series[~series.glacier.isin(absent)] if missing == "unmapped" else series
    totals = []
    for label, rows in glaciers.groupby("label", sort=False):
        calibrated = rows[PARTS].notna().all(axis=1)
        independent, correlated = halves(rows, calibrated)
        ours = independent_sum(independent), correlated_sum(correlated)
        totals.append({
            "glacier": TOTAL,
            "window": label,
            "date": iso_day(mean_year(rows)) if (rows["date"] != "").any() else "",
            "area_km2": rows.area_km2.sum(skipna=False),
            "area_unc_km2": np.hypot(*ours),
            "area_unc_kind": one_kind(rows.area_unc_kind),
            "source": one_kind(rows.source),
            "label": label,
            **dict(zip(PARTS, np.divide(ours, 1.96 if calibrated.all() else np.nan), strict=True)),
        })  # fmt: skip
    return pd.DataFrame(totals, columns=series.columns)
