"""Tables of areas through time: whether parts sum to the total, and rows to one another."""

import numpy as np
import pandas as pd

from .dating import date_flaws, ends
from .findings import Flaw, numbers, text_of

SLIPS = (0.1, 10.0, 0.01, 100.0)  # misplaced decimal points
EXPONENT = 0.7  # of area, in RGI's law of its uncertainty


def series_flaws(table, parts, limits):
    """All flaws of a series, a column `parts` of names."""
    dates = "date" if "date" in table.columns else "window"
    flaws = list(date_flaws(table[dates].tolist(), limits["today"]))
    area, bad = numbers(table, "area_km2")
    error, worse = numbers(table, "area_unc_km2") if "area_unc_km2" in table.columns else (area * np.nan, [])
    rows = pd.DataFrame({"area": area, "error": error})
    rows["part"] = [text_of(value) for value in table[parts]]
    rows["window"] = [text_of(value) for value in table[dates]]
    rows["begin"] = [begin(value) for value in table[dates]]
    flaws += bad + worse + sign_flaws(rows) + order_flaws(rows)
    flaws += sum_flaws(rows, limits) + ratio_flaws(rows, limits) + rise_flaws(rows, limits)
    return flaws


def begin(value):
    """The first day of a date or window; NaT where there is none to read."""
    try:
        found = ends(value)
    except ValueError:
        found = None
    return pd.NaT if found is None else found[0][0]


def sign_flaws(rows):
    flaws = [Flaw(int(at), "negative", rows.area[at], "area_km2") for at in np.flatnonzero(rows.area < 0)]
    flaws += [
        Flaw(int(at), "negative", rows.error[at], "area_unc_km2") for at in np.flatnonzero(rows.error < 0)
    ]
    missing = rows.error.isna() & rows.area.notna()
    return flaws + [Flaw(int(at), "uncertainty_missing") for at in np.flatnonzero(missing)]


def order_flaws(rows):
    """Dates of a part that go back, and rows of one part and date."""
    flaws = []
    for _, part in rows.groupby("part", sort=False):
        known = part[part.begin.notna()]
        back = (known.begin.shift() - known.begin).dt.days
        flaws += [Flaw(int(at), "dates_out_of_order", days) for at, days in back[back > 0].items()]
        first = part[part.window != ""].groupby("window").apply(lambda same: same.index[0])
        for at in part.index[part.duplicated("window") & (part.window != "")]:
            flaws.append(Flaw(int(at), "duplicate_row", None, "as", int(first[part.window[at]])))
    return flaws


def sum_flaws(rows, limits):
    """Totals that are not the sum of their parts, and the slip of a decimal point that would explain it."""
    flaws = []
    for _, same in rows.groupby("window", sort=False):
        total, parts = same[same.part == limits["total"]], same[same.part != limits["total"]]
        if len(total) != 1 or parts.empty:
            continue
        near = limits["rounding_km2"] * (len(parts) + 1) / 2
        for column, name in (("area", "areas_do_not_sum"), ("error", "uncertainties_do_not_sum")):
            given, values = float(total[column].iloc[0]), parts[column].to_numpy()
            if np.isnan(given) or np.isnan(values).any() or agrees(given, values, column, near):
                continue
            sums = ", ".join(f"{way} {found:.2f}" for way, found in sums_of(values, column).items())
            flaws.append(Flaw(int(total.index[0]), name, given, f"parts: {sums}"))
            flaws += slips(parts.index, values, given, column, near)
    return flaws


def sums_of(values, column):
    """What parts come to; uncertainties as fully correlated or as independent ones."""
    found = {"sum": values.sum()}
    return found | ({"root-sum-square": np.sqrt((values**2).sum())} if column == "error" else {})


def agrees(given, values, column, near):
    return any(abs(found - given) <= near + 1e-9 for found in sums_of(values, column).values())


def slips(index, values, given, column, near):
    """Parts that would make the sum right if their decimal point were elsewhere."""
    flaws = []
    for at, row in enumerate(index):
        for factor in SLIPS:
            tried = values.copy()
            tried[at] *= factor
            if values[at] > 0 and agrees(given, tried, column, near):
                name = {"area": "area_km2", "error": "area_unc_km2"}[column]
                said = f"{name} {values[at]:g}: with {tried[at]:g} the parts come to the total, {given:g}"
                flaws.append(Flaw(int(row), "misplaced_decimal", factor, said))
    return flaws


def ratio_flaws(rows, limits):
    """Uncertainties far from those of other rows, size allowed for."""
    size = rows.error.where(rows.error >= 0) / rows.area.where(rows.area > 0) ** EXPONENT
    typical = size[size > 0].median()
    ratio = size / typical
    far = (ratio > limits["max_ratio"]) | (ratio < 1 / limits["max_ratio"])
    share = rows.error / rows.area
    return [
        Flaw(int(at), "uncertainty_out_of_line", ratio[at], f"{share[at]:.1%} of the area")
        for at in np.flatnonzero(far)
    ]


def rise_flaws(rows, limits):
    """Areas that grow from one date to the next by more than both errors."""
    flaws = []
    for _, part in rows[rows.begin.notna() & rows.area.notna()].groupby("part", sort=False):
        part = part.sort_values("begin", kind="stable")
        rise = part.area.diff()
        error = np.hypot(part.error.fillna(0), part.error.shift().fillna(0))
        for at in part.index[rise > error]:
            flaws.append(Flaw(int(at), "area_rises", rise[at], f"errors together {error[at]:.3g} km²"))
    return flaws


def sorted_by_date(table, flaws, limits):
    """The series by date, and what was done about each flaw; the rest wants a person."""
    late = any(flaw.name == "dates_out_of_order" for flaw in flaws)
    done = ["sorted by date" if flaw.name == "dates_out_of_order" else "" for flaw in flaws]
    if not late:
        return table.copy(), done
    dates = "date" if "date" in table.columns else "window"
    order = pd.Series([begin(value) for value in table[dates]]).argsort(kind="stable")
    return table.iloc[order], done
