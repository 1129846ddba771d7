"""Trends of area through several dates, with their 95 % intervals."""

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import InventoryError
from ..tables import lookup
from .dated import centers, dated_rows

COLUMNS = [
    "glacier", "method", "dates", "year_1", "year_2", "rate_km2_per_a", "rate_se_km2_per_a",
    "rate_low_km2_per_a", "rate_high_km2_per_a", "rate_pct_per_a", "r2", "tau", "p_value", "significant",
]  # fmt: skip
FEWEST_RANKED = 5  # dates whose slopes may leave out no more than 5 %: 2 / n! by the ranks of n areas


def trend(series, method="ols", *, by=None):
    """How fast area is lost, by a straight line through all dates of a series.

    Parameters
    ----------
    series : pandas.DataFrame, dict or list
        What `area_series` makes or takes. Areas stand at the date of their outlines, or else in the middle of
        their window; dates without an area are left out.
    method : {"ols", "weighted", "theil_sen"}
        Least squares; least squares weighted by `1 / area_unc_km2²`; or the median of all slopes between two
        dates (Theil and Sen), which a few bad dates do not move, with the test of Mann and Kendall.
    by : str, optional
        The column that names a glacier, as for `area_series`.

    Returns
    -------
    pandas.DataFrame
        A row a glacier: `dates` (their number), `year_1`, `year_2`; `rate_km2_per_a`, positive where area is
        lost, its standard error, and its 95 % interval, from t with n - 2 degrees of freedom or, of
        "theil_sen" and five dates or more, from the ranks of the slopes (`scipy.stats.theilslopes`: of four
        dates all slopes together hold 92 %); `rate_pct_per_a` [% of the
        first area]; `r2`; `tau` (Kendall, of area and time); `p_value` of no trend,
        by t or Mann-Kendall; `significant`, p < 0.05. NaN for what so few dates do not tell.

    Raises
    ------
    InventoryError
        A series without dates or areas, or weights of areas that have no error or one of 0.
    UnknownNameError
        Another `method`.

    Notes
    -----
    The scatter of areas about the line gives the interval, whatever their own errors are. An error that all
    dates share does not show, and dates are taken for independent: neither may be so (assumption).

    Examples
    --------
    >>> windows = ["1990-1992", "1993-1995", "1996-1998", "1999-2001"]
    >>> float(trend(pd.DataFrame({"window": windows, "area_km2": [4, 3, 3, 1]})).rate_km2_per_a[0].round(9))
    0.3
    """
    fit = lookup(METHODS, method, kind="trend")
    rows = dated_rows(series, by)
    rows = rows.assign(year=centers(rows))
    found = []
    for glacier, dates in rows.groupby("glacier", sort=False):
        years, areas, errors = dates.dropna(subset="area_km2")[["year", "area_km2", "area_unc_km2"]].values.T
        row = {"glacier": glacier, "method": method, "dates": len(years)}
        if len(years) > 1:
            row |= {"year_1": years[0], "year_2": years[-1]}
        if len(set(years)) > 1:
            row |= fit(years, areas, errors, glacier)
            row["rate_pct_per_a"] = 100 * row["rate_km2_per_a"] / areas[0] if areas[0] else np.nan
        found.append(row)
    table = pd.DataFrame(found, columns=COLUMNS)
    return table.assign(significant=(table.p_value < 0.05).astype("boolean").mask(table.p_value.isna()))


def _line(years, areas, weights):
    """The least-squares line of one glacier: its loss a year, error, interval and how well it fits."""
    center, level = np.average(years, weights=weights), np.average(areas, weights=weights)
    spread = (weights * (years - center) ** 2).sum()
    slope = (weights * (years - center) * (areas - level)).sum() / spread
    freedom = len(years) - 2
    if not freedom:
        return {"rate_km2_per_a": -slope}
    left = (weights * (areas - level - slope * (years - center)) ** 2).sum()
    scatter = (weights * (areas - level) ** 2).sum()
    error = np.sqrt(left / freedom / spread)
    half = stats.t.ppf(0.975, freedom) * error
    return {
        "rate_km2_per_a": -slope,
        "rate_se_km2_per_a": error,
        "rate_low_km2_per_a": -slope - half,
        "rate_high_km2_per_a": -slope + half,
        "r2": 1 - left / scatter if scatter else np.nan,
        "p_value": 2 * stats.t.sf(abs(slope) / error, freedom) if error else float(slope == 0),
    }


def _ols(years, areas, errors, glacier):
    return _line(years, areas, np.ones_like(areas))


def _weighted(years, areas, errors, glacier):
    if not (errors > 0).all():
        raise InventoryError(
            f"A weighted trend needs errors above 0, and {glacier!r} has areas without: fill in area_unc_km2 "
            "(area_uncertainty measures it), or take method='ols'."
        )
    return _line(years, areas, (errors.min() / errors) ** 2)


def _theil_sen(years, areas, errors, glacier):
    """The median slope between two dates, and the test of Mann and Kendall."""
    sen = stats.theilslopes(areas, years, alpha=0.95)
    if len(years) < 3:
        return {"rate_km2_per_a": -sen.slope}
    kendall = stats.kendalltau(years, areas)
    known = len(years) >= FEWEST_RANKED
    return {
        "rate_km2_per_a": -sen.slope,
        "rate_low_km2_per_a": -sen.high_slope if known else np.nan,
        "rate_high_km2_per_a": -sen.low_slope if known else np.nan,
        "tau": kendall.statistic,
        "p_value": kendall.pvalue,
    }


METHODS = {"ols": _ols, "weighted": _weighted, "theil_sen": _theil_sen}
