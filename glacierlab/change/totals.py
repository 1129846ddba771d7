"""Totals of any choice of glaciers of a series, fast enough to follow a brush: summed from arrays."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import InventoryError
from ..tables import lookup
from .dated import PARTS, SUMS, TOTAL, center_of, centers, dated_rows, iso_day, one_kind
from .differences import difference_errors, with_rates, with_shares
from .matching import some


@dataclass(frozen=True)
class Ledger:
    """A series as arrays (glacier, date); see `ledger`."""

    glaciers: pd.Index
    labels: list  # of the dates, in order
    area_km2: np.ndarray
    independent_km2: np.ndarray  # half widths; those without parts count as independent
    correlated_km2: np.ndarray
    year: np.ndarray  # decimal, NaN where a date lacks the glacier
    dated: np.ndarray  # whether that is its own date, not the middle of the inventory's window
    kind: np.ndarray  # of the error, as text
    calibrated: bool  # whether every error is known by its parts

    @property
    def sums(self):
        """The ways in which errors of glaciers can be summed here."""
        return [how for how in SUMS if how != "parts" or self.calibrated]


def ledger(series, *, by=None):
    """A series, with its rows as arrays (glacier, date), for `series_total` and `change_total`.

    Parameters
    ----------
    series : pandas.DataFrame, dict or list
        What `area_series` makes or takes; its "total" is left out.
    by : str, optional
        The column that names a glacier, as for `area_series`.

    Returns
    -------
    Ledger
        A glacier that a date lacks has an area and an error of 0 there: it vanished, or is yet to appear.

    Raises
    ------
    InventoryError
        As `area_series`.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> dates = {str(year): gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
    >>> book = ledger(dates)
    >>> book.labels, book.area_km2.sum(axis=0).round(1).tolist(), book.sums
    (['1990', '2020'], [1.2, 0.9], ['linear', 'root-sum-square'])
    """
    rows = dated_rows(series, by)
    rows = rows[rows["glacier"] != TOTAL]
    labels = sorted(rows["label"].unique(), key=center_of)
    row, glaciers = pd.factorize(rows["glacier"])
    column = pd.Categorical(rows["label"], labels).codes
    known = rows[PARTS].notna().all(axis=1)

    def grid(values, empty):
        found = np.full((len(glaciers), len(labels)), empty, dtype=object if empty == "" else type(empty))
        found[row, column] = values
        return found

    return Ledger(
        glaciers=pd.Index(glaciers),
        labels=labels,
        area_km2=grid(rows["area_km2"], 0.0),
        independent_km2=grid((1.96 * rows[PARTS[0]]).where(known, rows["area_unc_km2"]), 0.0),
        correlated_km2=grid((1.96 * rows[PARTS[1]]).where(known, 0.0), 0.0),
        year=grid(centers(rows), np.nan),
        dated=grid(rows["date"] != "", False),
        kind=grid(rows["area_unc_kind"], ""),
        calibrated=bool(known.all()) and len(rows) > 0,
    )


def series_total(book, chosen=slice(None), how="linear"):
    """The sum of some glaciers at every date, as the "total" of `area_series` with `missing="vanished"`.

    Parameters
    ----------
    book : Ledger
    chosen : array of bool or int
        Which of its glaciers.
    how : {"linear", "root-sum-square", "parts"}
        How their errors are summed.

    Returns
    -------
    pandas.DataFrame
        A row a date: glacier, window, date, area_km2, area_unc_km2, area_unc_kind. `trend` takes it. Without
        glaciers it has no rows.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> dates = {str(year): gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
    >>> book = gl.change.ledger(dates)
    >>> large = book.area_km2[:, 0] > 0.1
    >>> series_total(book, large)[["window", "area_km2", "area_unc_km2"]].round(1).values.tolist()
    [['1990', 0.9, 0.3], ['2020', 0.7, 0.2]]
    """
    sums = sums_of(book, how)
    areas, kinds = book.area_km2[chosen], book.kind[chosen]
    found = []
    for place, label in enumerate(book.labels):
        there = np.isfinite(book.year[chosen, place])
        if not there.any():
            continue
        errors = half_widths(book, chosen, place, sums)
        found.append({
            "glacier": TOTAL,
            "window": label,
            "date": iso_day(mean_year(book, chosen, place)) if book.dated[chosen, place].any() else "",
            "area_km2": areas[:, place].sum(),
            "area_unc_km2": np.hypot(*errors),
            "area_unc_kind": one_kind(kinds[there, place]),
        })  # fmt: skip
    columns = ["glacier", "window", "date", "area_km2", "area_unc_km2", "area_unc_kind"]
    return pd.DataFrame(found, columns=columns)


def change_total(book, groups=None, first=None, last=None):
    """The change of groups of glaciers between two dates, as the "total" of `area_change` for each.

    Parameters
    ----------
    book : Ledger
    groups : dict of str to array of bool or int, optional
        Which glaciers are in each; by default all in one, called "total".
    first, last : str, optional
        Labels of two dates; by default the first and the last.

    Returns
    -------
    pandas.DataFrame
        For each group a row for each of `book.sums`: `group`, `glaciers` (how many are there at either date),
        then the columns of `area_change`. Years are counted between area-weighted mean dates; correlated
        parts are taken for the same at both dates.

    Raises
    ------
    InventoryError
        The dates are not two, in order.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> dates = {str(year): gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
    >>> book = gl.change.ledger(dates)
    >>> large = book.area_km2[:, 0] > 0.1
    >>> table = change_total(book, {"large": large, "small": ~large}).query("errors_summed == 'linear'")
    >>> table[["group", "glaciers", "loss_pct"]].round().values.tolist()
    [['large', 4, 20.0], ['small', 11, 36.0]]
    """
    first, last = book.labels[0] if first is None else first, book.labels[-1] if last is None else last
    dates = {label: place for place, label in enumerate(book.labels)}
    a, b = (lookup(dates, label, kind="date of the series") for label in (first, last))
    if a >= b:
        raise InventoryError(f"A change needs two dates, the earlier first, and got {some([first, last])}.")
    rows = []
    for name, chosen in ({TOTAL: slice(None)} if groups is None else groups).items():
        rows += group_rows(book, name, np.arange(len(book.glaciers))[chosen], a, b)
    columns = [
        "group",
        "glaciers",
        "errors_summed",
        "date_1",
        "date_2",
        "area_1_km2",
        "area_2_km2",
        "unc_kind",
    ]
    columns += ["area_1_unc_km2", "area_2_unc_km2", "loss_unc_km2", "year_1", "year_2"]
    table = with_shares(pd.DataFrame(rows, columns=columns))
    return with_rates(table.assign(years=table["year_2"] - table["year_1"]))


def group_rows(book, name, chosen, a, b):
    """A group's sums at two dates, a row for each way to sum errors."""
    chosen = chosen[np.isfinite(book.area_km2[chosen][:, [a, b]]).all(axis=1)]
    there = np.isfinite(book.year[chosen][:, [a, b]])
    for how in book.sums:
        sums = sums_of(book, how)
        parts = (book.independent_km2, book.correlated_km2)
        errors = [pd.Series(each[chosen, place]) for place in (a, b) for each in parts]
        yield {
            "group": name,
            "glaciers": int(there.any(axis=1).sum()),
            "errors_summed": how,
            "date_1": book.labels[a],
            "date_2": book.labels[b],
            "area_1_km2": book.area_km2[chosen, a].sum(),
            "area_2_km2": book.area_km2[chosen, b].sum(),
            "unc_kind": one_kind({*book.kind[chosen][:, [a, b]].ravel().tolist()}),
            "year_1": mean_year(book, chosen, a),
            "year_2": mean_year(book, chosen, b),
            **difference_errors(*errors, True, *sums),
        }


def sums_of(book, how):
    """The two functions of `SUMS`; InventoryError for parts that are not known."""
    sums = lookup(SUMS, how, kind="sum of errors")
    if how not in book.sums:
        raise InventoryError("Errors are summed by parts where all are calibrated, and these are not.")
    return sums


def half_widths(book, chosen, place, sums):
    """Half widths [km²] of the sum at one date: of its independent and of its correlated parts."""
    parts = (book.independent_km2[chosen, place], book.correlated_km2[chosen, place])
    return tuple(add(pd.Series(each)) for add, each in zip(sums, parts, strict=True))


def mean_year(book, chosen, place):
    """The area-weighted mean date of one inventory's glaciers as a decimal year; NaN without any."""
    years, areas = book.year[chosen, place], np.nan_to_num(book.area_km2[chosen, place])
    known = np.isfinite(years)
    if not known.any():
        return np.nan
    first = years[known].min()
    weights = areas[known] if areas[known].sum() > 0 else None
    return float(first + np.average(years[known] - first, weights=weights))
