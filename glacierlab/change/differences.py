"""Change of area between two dates: what was lost, its error, its rate, and whether it exceeds its error."""

from itertools import pairwise
from numbers import Real

import numpy as np
import pandas as pd

from ..errors import InventoryError, warn
from ..tables import lookup
from . import dated
from .dated import MISSING, PARTS, SUMS, TOTAL, label_of, one_kind
from .matching import id_column, some

COLUMNS = [
    "glacier", "errors_summed", "date_1", "date_2", "area_1_km2", "area_1_unc_km2", "area_2_km2",
    "area_2_unc_km2", "loss_km2", "loss_unc_km2", "loss_pct", "loss_unc_pct", "year_1", "year_2", "years",
    "years_by", "rate_km2_per_a", "rate_unc_km2_per_a", "rate_pct_per_a", "rate_unc_pct_per_a", "unc_kind",
    "significant", "status",
]  # fmt: skip
AREAS = ["area_1_km2", "area_2_km2"]
SIGNIFICANT = {  # what a significant loss means, by kind of error
    "bound": "the loss is larger than the bound of its mapping error (Chen et al. 2022)",
    "95 %": "the 95 % interval of the loss leaves out 0",
    "mixed": "the loss is larger than errors of several kinds in quadrature: neither a bound nor 95 %",
}


def area_change(first, second=None, *, years="dates", by=None, between=None, missing=None, shared=True):
    """Change of glacier area between two inventories, or between the dates of a series.

    A loss is positive. Its error is that of both dates in quadrature, after Hall et al. 2003,
    doi:10.1016/S0034-4257(03)00134-2. Where both tables hold calibrated errors by parts, what the dates
    share cancels: 1.96 √(ind₁² + ind₂² + (corr₁ - corr₂)²).

    Parameters
    ----------
    first, second : geopandas.GeoDataFrame or pandas.DataFrame
        Inventories, or tables of one date each, as `area_series` takes them: `area_km2` or outlines,
        `area_unc_km2`, `area_unc_kind`, `src_date` or `window`. Or `first` alone: a series of several dates,
        as `area_series` makes and takes it.
    years : {"dates", "chen2022"}, number, None, or list of them
        How many years lie between. "dates": the difference of mean acquisition dates or of the middles of
        windows, a glacier's own, and area-weighted for totals; a glacier that is missing at one date takes
        that table's mean (assumption). "chen2022": the first window of the series is dated by its first year
        and all others by their last (Chen et al. 2022); of two tables, `first` begins the series. None: no
        rates. A list makes rows for each, told apart by `years_by`.
    by : str, optional
        The column that names a glacier; by default the first of rgi_id, glims_id, glac_id, glacier_id,
        local_id, glac_name and glacier that both tables have.
    between : pair of str, or list of pairs, optional
        Windows or dates of a series to compare; by default each with the next, and the first with the last.
    missing : {"vanished", "unmapped"}, optional
        Whether glaciers that one table lacks have an area of 0 there, without an error, or are left out. By
        default "vanished" (assumption), with a warning.
    shared : bool
        Whether the correlated parts of calibrated errors are the same at both dates, as for one sensor and
        method (assumption); if not, they add in quadrature too.

    Returns
    -------
    pandas.DataFrame
        A row a glacier and pair of dates, and "total" unless a glacier is called so: with errors that
        `errors_summed` says were added over glaciers at each date ("linear", the upper bound), combined in
        "root-sum-square" (independent), or, where they are known, by "parts". Columns: areas, `loss_km2`,
        `loss_pct` [% of the first area], `rate_km2_per_a`, `rate_pct_per_a` and the half widths of all their
        errors (`…_unc_…`); `year_1`, `year_2` (decimal years used), `years`; `unc_kind`, which is "bound",
        "95 %" or "mixed"; `significant`, `|loss|` above its error (`attrs["significant"]` says what that
        means by kind); `status`: "both", "vanished" or "appeared". What cannot be had is NaN.

    Raises
    ------
    InventoryError
        No glacier in common, ids that repeat, dates that are missing or reversed, areas that are missing.
    UnknownNameError
        Another name for `years` or `missing`, or dates that the series lacks.

    Warns
    -----
    DataWarning
        Glaciers in one table only, glaciers without an area or date, errors of different kinds.

    Notes
    -----
    Of two maps of one time, `years=None` compares areas: per cents are of the first, and their absolute value
    with a reference as the first is the relative error of Chen et al. 2022 (Table VI).

    Per cents take the first area for exact, as Chen et al. 2022 do: if both areas err independently, the
    errors of per cents are too large for a loss and too small for a gain.

    A glacier that vanished has the error of its first area alone: where maps leave out what is smaller than
    some limit, it may still be there below it.

    Errors that no column calls "95 %" are taken for bounds, and 95 % intervals without parts for independent
    from date to date: both make the error of a difference too large rather than too small (assumptions).

    Examples
    --------
    The last line of Table V of Chen et al. 2022:

    >>> areas = {"area_km2": [2518.65, 2102.25], "area_unc_km2": [72.69, 72.56]}
    >>> series = pd.DataFrame({"window": ["1986-1988", "2019-2021"]} | areas)
    >>> change = area_change(series, years="chen2022").loc[0]
    >>> change[["loss_km2", "loss_unc_km2", "rate_km2_per_a"]].astype(float).round(2).to_dict()
    {'loss_km2': 416.4, 'loss_unc_km2': 102.71, 'rate_km2_per_a': 11.9}
    """
    if missing is not None:
        lookup(MISSING, missing, kind="meaning of a missing glacier")
    conventions = years if isinstance(years, list | tuple) else [years]
    if not conventions:
        raise InventoryError(f"years={years!r} counts none: say 'dates', 'chen2022', a number or None.")
    for convention in conventions:
        _require_years(convention)
    pairs = _pairs(first, second, by, between)
    if len(pairs) > 1 and any(isinstance(convention, Real) for convention in conventions):
        raise InventoryError(
            f"years= a number is of one pair of dates, and here are {len(pairs)}: choose one with "
            "between=(…, …), or say years='dates' or 'chen2022'."
        )
    tables = []
    for rows, later, begins in pairs:
        losses = _losses(*_matched(rows, later, missing), shared)
        tables += [with_rates(_with_years(losses, rows, later, each, begins)) for each in conventions]
    change = pd.concat(tables, ignore_index=True)[COLUMNS]
    kinds = [kind for kind in change.unc_kind.unique() if kind in SIGNIFICANT]
    if "mixed" in kinds:
        warn(
            "Errors of different kinds are combined, and no one knows what comes of a bound and a 95 % "
            "interval: measure both dates with one method of area_uncertainty."
        )
    change.attrs["significant"] = {kind: SIGNIFICANT[kind] for kind in kinds}
    return change


# ---- which rows are compared


def _pairs(first, second, by, between):
    """(rows, later rows, whether the first begin the series) of every pair of dates."""
    if second is None:
        return _pairs_of_series(dated.dated_rows(first, by), between)
    if between is not None:
        raise InventoryError("between= chooses dates of a series, and here are two tables: leave it out.")
    column = dated.glacier_column([first, second], by)
    if column is not None:
        id_column([first, second], column)
    elif max(len(first), len(second)) > 1:
        raise InventoryError("The tables have several rows and no column that names a glacier: say by=.")
    return [(dated.rows_of(first, column), dated.rows_of(second, column), True)]


def _pairs_of_series(series, between):
    labels = series["label"]
    ordered = sorted(labels.unique(), key=dated.center_of)
    if len(ordered) < 2:
        raise InventoryError(
            f"A change needs two dates, and the series has {ordered}: give two inventories, or a series with "
            "the columns glacier, window (or date) and area_km2."
        )
    if (series["window"] == "").any() and labels.groupby(series["glacier"]).nunique().min() < len(ordered):
        year = year_between(series)
        raise InventoryError(
            f"The glaciers of this table have {len(ordered)} dates of their own, and a change is between two "
            f"inventories. Give two tables, such as table[table.src_date < '{year}'] and the rest, or say in "
            "a column 'window' ('1986-1988', '2005') which rows belong to one. area_series takes such dates."
        )
    if between is None:
        chosen = [*pairwise(ordered), (ordered[0], ordered[-1])][: None if len(ordered) > 2 else 1]
    else:
        chosen = _asked(between, ordered)
    return [(series[labels == a], series[labels == b], a == ordered[0]) for a, b in chosen]


def year_between(series):
    """The year that ends the widest gap between dates."""
    when = np.sort(dated.centers(series))
    return int(when[np.diff(when).argmax() + 1])


def _asked(between, ordered):
    """Pairs of labels of a series, as a user asked for them."""
    several = isinstance(between, list | tuple) and any(isinstance(pair, list | tuple) for pair in between)
    pairs = between if several else [between]
    if wrong := [pair for pair in pairs if not isinstance(pair, list | tuple) or len(pair) != 2]:
        raise InventoryError(
            f"between: {wrong[0]!r} is no pair of dates. Say between=('2000', '2020'), or a list of such."
        )
    chosen = [tuple(map(dated.date_text, pair)) for pair in pairs]
    places = {label: place for place, label in enumerate(ordered)}
    for a, b in chosen:
        earlier, later = (lookup(places, label, kind="date of the series") for label in (a, b))
        if earlier >= later:
            raise InventoryError(f"between: {a} is not before {b}. Put the earlier date first.")
    return chosen


def _matched(rows, later, missing):
    """Both dates' rows, each glacier at the same place; what one lacks has an area of 0."""
    a, b = rows.set_index("glacier"), later.set_index("glacier")
    common = a.index.intersection(b.index, sort=False)
    if common.empty:
        raise InventoryError(
            f"No glacier is in both: the first has {some(a.index.tolist(), 3)}; the second "
            f"{some(b.index.tolist(), 3)}. Name the column that identifies them with by=, or match them by "
            "where they lie with change.track."
        )
    gone, new = a.index.difference(b.index, sort=False), b.index.difference(a.index, sort=False)
    if missing is None and len(gone) + len(new):
        warn(
            f"{len(gone)} glaciers are in the first only and are taken for vanished ({some(gone.tolist())}), "
            f"{len(new)} in the second only and for appeared ({some(new.tolist())}). missing='vanished' says "
            "it is so, 'unmapped' leaves them out."
        )
    names = a.index.append(new) if MISSING[missing or "vanished"] else common
    return _filled(a, names), _filled(b, names)


def _filled(side, names):
    """Rows by name; those that are not there with area and error 0, and the label that all others share."""
    labels = label_of(side).unique()
    absent = side.index.get_indexer(names) < 0
    numbers, texts = ["area_km2", "area_unc_km2", *PARTS], ["window", "date", "area_unc_kind"]
    side = side.reindex(names)[[*numbers, *texts]]
    side.loc[absent, numbers] = 0.0
    side.loc[absent, texts] = ""
    side.loc[absent, "window"] = labels[0] if len(labels) == 1 else ""
    return side


# ---- losses and their errors


def _losses(a, b, shared):
    """Areas and losses of glaciers and in all, with the half widths of their errors."""
    calibrated = a[PARTS].notna().all(axis=1) & b[PARTS].notna().all(axis=1)
    halves = [*dated.halves(a, calibrated), *dated.halves(b, calibrated)]
    theirs, ours = a["area_unc_kind"], b["area_unc_kind"]
    kinds = theirs.where(ours == "", ours.where((theirs == "") | (theirs == ours), "mixed"))
    glaciers = pd.DataFrame(
        {"glacier": a.index, "errors_summed": "", "date_1": label_of(a), "date_2": label_of(b)}
        | {"area_1_km2": a["area_km2"], "area_2_km2": b["area_km2"], "unc_kind": kinds}
        | difference_errors(*halves, shared)
    )
    if TOTAL in a.index:
        return with_shares(glaciers)
    measured = glaciers[AREAS].notna().all(axis=1)
    if not measured.all():
        warn(
            f"{(~measured).sum()} glaciers have no area at one date and are left out of the total: "
            f"{some(glaciers.index[~measured].tolist())}."
        )
    known, totals = glaciers[measured], []
    for how, sums in SUMS.items():
        if how == "parts" and not calibrated.all():
            continue
        totals.append(
            {"glacier": TOTAL, "errors_summed": how, "unc_kind": one_kind(known["unc_kind"])}
            | {side: one_kind(known[side], "") for side in ("date_1", "date_2")}
            | dict(known[AREAS].sum(min_count=1))
            | difference_errors(*(half[measured] for half in halves), shared, *sums)
        )
    return with_shares(pd.concat([glaciers, pd.DataFrame(totals)], ignore_index=True))


def difference_errors(
    u1, s1, u2, s2, shared, sum_independent=lambda each: each, sum_correlated=lambda each: each
):
    """Half widths of both areas and of the loss, from independent (u) and correlated (s) ones."""
    first, second = sum_correlated(s1), sum_correlated(s2)
    between = sum_correlated(s1 - s2) if shared else np.hypot(first, second)
    earlier, later = sum_independent(u1), sum_independent(u2)
    return {
        "area_1_unc_km2": np.hypot(earlier, first),
        "area_2_unc_km2": np.hypot(later, second),
        "loss_unc_km2": np.hypot(np.hypot(earlier, later), between),
    }


def with_shares(losses):
    """Losses in km² and per cent, whether they are significant, and what became of the glacier."""
    before, after = losses["area_1_km2"], losses["area_2_km2"]
    loss, error, share = before - after, losses["loss_unc_km2"], 100 / before.where(before > 0)
    became = {"vanished": (before > 0) & (after == 0), "appeared": (before == 0) & (after > 0)}
    return losses.assign(
        loss_km2=loss,
        loss_pct=loss * share,
        loss_unc_pct=error * share,
        significant=(abs(loss) > error).astype("boolean").mask(loss.isna() | error.isna()),
        status=np.select(list(became.values()), list(became), "both"),
    )


# ---- years


def _acquired(rows, begins):
    """Decimal years of rows by their dates, and their area-weighted mean."""
    return dated.centers(rows), dated.mean_year(rows)


def _as_chen(rows, begins):
    """The first year of the window that begins a series, the last year of every other; Chen et al. 2022."""
    span = dated.years_of(rows)
    year = np.nan if span is None else float(span[0 if begins else 1])
    return pd.Series(year, rows.index), year


CONVENTIONS = {"dates": _acquired, "chen2022": _as_chen}


def _require_years(years):
    """An error unless this is a way to count years."""
    if isinstance(years, Real) and not isinstance(years, bool):
        if not (years > 0 and np.isfinite(years)):
            raise InventoryError(f"years={years:g}: between two dates lies a positive number of years.")
    elif years is not None:
        lookup(CONVENTIONS, years, kind="way of counting years")


def _with_years(losses, rows, later, years, begins):
    """Losses with the years between."""
    if not isinstance(years, str):
        between, told = (np.nan, "") if years is None else (float(years), "given")
        return losses.assign(year_1=np.nan, year_2=np.nan, years=between, years_by=told)
    found = {}
    for side, (table, first) in {"first": (rows, begins), "second": (later, False)}.items():
        own, mean = CONVENTIONS[years](table, first)
        if np.isnan(mean):
            raise InventoryError(
                f"years={years!r} needs dates, and the {side} table has none: fill in src_date (or window), "
                "or say years= a number, or years=None for no rates."
            )
        if own.isna().any():
            warn(
                f"{own.isna().sum()} glaciers of the {side} table have no date, and no rate therefore: "
                f"{some(table.glacier[own.isna()].tolist())}. Fill in src_date, or say years= a number."
            )
        by_name = dict(zip(table["glacier"], own, strict=True))
        found[side] = [by_name.get(name, mean) for name in losses["glacier"]]
    losses = losses.assign(year_1=found["first"], year_2=found["second"], years_by=years)
    losses["years"] = losses["year_2"] - losses["year_1"]
    wrong = losses[losses["years"] <= 0]
    if len(wrong):
        name, earlier, late = wrong.iloc[0][["glacier", "year_1", "year_2"]]
        raise InventoryError(
            f"{len(wrong)} rows are dated no later in the second table than in the first, such as {name!r}: "
            f"{earlier:.2f} and {late:.2f}. Swap the tables, or correct the dates."
        )
    return losses


def with_rates(losses):
    """Losses and errors a year."""
    names = ("km2", "unc_km2", "pct", "unc_pct")
    return losses.assign(**{f"rate_{name}_per_a": losses[f"loss_{name}"] / losses["years"] for name in names})
