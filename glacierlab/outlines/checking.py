"""What is wrong with an inventory, or with a table of areas: findings first, repairs on request."""

import pandas as pd

from ..errors import InventoryError
from ..io.schemas import ID_COLUMNS
from ..tables import lookup
from .findings import as_table, in_order, text_of

LIMITS = {
    "min_area_km2": 0.01,
    "min_width_m": 30.0,
    "min_hole_km2": 0.01,
    "max_hole_share": 0.5,
    "min_overlap_m2": 1.0,
    "max_off_dem": 0.01,
    "area_tolerance": 0.01,
    "max_slope_deg": 60.0,
    "today": None,
    "total": "total",
    "rounding_km2": 0.01,
    "max_ratio": 3.0,
}
PARTS = ("glacier", "subarea", "region")  # whose areas a series holds


def qa(table, *, dem=None, repair=False, by=None, **limits):
    """Look an inventory, or a table of areas through time, over before believing it.

    Parameters
    ----------
    table : geopandas.GeoDataFrame or pandas.DataFrame
        An inventory, however bad: nothing in it makes this fail. Without geometry a series: `glacier` (or
        `subarea`, `region`), `date` or `window` ("1986-1988"), `area_km2`, and `area_unc_km2` if known.
    dem : path or xarray.DataArray, optional
        Elevation (y, x) [m] in any CRS, NaN for nodata: looks for outlines outside it or over its gaps.
    repair : bool
        Also return the table as far as it can be repaired. What was done to a row is said in its finding.
    by : str, optional
        Column of ids; default the first of rgi_id, glims_id, glac_id, glacier_id, local_id, glac_name that is
        not empty. A table may hold a glacier at several dates: its outlines overlap, and may equal, those of
        another date by right.
    **limits
        Of an inventory: `min_area_km2` 0.01, the limit of RGI 7.0; `min_width_m` 30, twice the area by the
        perimeter, one Landsat pixel; `min_hole_km2` 0.01; `max_hole_share` 0.5 of the filled outline;
        `min_overlap_m2` 1; `max_off_dem` 0.01 of the outline; `area_tolerance` 0.01 of the area;
        `max_slope_deg` 60; `today`, after which the future begins (default the computer's). Of a series:
        `total` "total", what the sum of the other parts is called; `rounding_km2` 0.01, the last digit of
        its numbers; `max_ratio` 3, of an uncertainty to others of its size; `today`. All but the first are
        assumptions.

    Returns
    -------
    pandas.DataFrame
        One row a finding, none if all is well: `row` (its label in the index, None for the whole table),
        `id`, `finding` (a key of `tables/findings.toml`), `severity` ("error" makes results wrong, "warning"
        wants a look), `value` and its `units`, `evidence`, `advice`. With `repair`: the repaired table, and
        the findings with a column `done`, empty where nothing was.

    Raises
    ------
    InventoryError
        This is no table, has neither geometry nor areas through time, or no column `by`.
    UnknownNameError
        No such limit.
    SceneError, GridError
        The DEM cannot be read, or has no CRS.

    Notes
    -----
    Areas, perimeters and widths are geodesic. A longest line is too long above half the perimeter, which no
    shortest way within an outline exceeds, and too short where its range of elevations would be steeper than
    `max_slope_deg`. Uncertainties of a series are compared at equal size, as if they grew with area to the
    power 0.7 (the size law of RGI, Pfeffer et al. 2014, doi:10.3189/2014JoG13J176); for others that is an
    assumption.

    Repaired are rings (structure method of GEOS), outlines across the 180th meridian, small holes, doubles
    (the first stays), overlaps (the smaller outline is cut, unless more than half of it is inside), areas
    and reversed dates; rows without a polygon are left out. Of a series the order of dates only.

    Examples
    --------
    >>> series = pd.DataFrame({"glacier": ["a", "b", "total"], "date": "2000", "area_km2": [3.0, 4.0, 7.0]})
    >>> findings = qa(series.assign(area_unc_km2=[0.2, 3.0, 0.5]))
    >>> findings.finding.tolist()
    ['uncertainties_do_not_sum', 'misplaced_decimal', 'uncertainty_out_of_line']
    >>> findings.evidence[1]
    'area_unc_km2 3: with 0.3 the parts come to the total, 0.5'
    """
    limits = settled(limits)
    if not isinstance(table, pd.DataFrame):
        raise InventoryError(
            f"qa looks at a GeoDataFrame or a DataFrame, and this is {type(table).__name__}: read a file "
            "with open_inventory."
        )
    table = table.loc[:, ~table.columns.duplicated()]
    if has_geometry(table):
        from .flaws import inventory_flaws as look
        from .repairing import repaired as mend

        ids = id_column(table, by, ID_COLUMNS)
        found = look(table, ids, dem, limits)
    else:
        from .adding_up import series_flaws as look
        from .adding_up import sorted_by_date as mend

        ids = require_series(table, by)
        found = look(table, ids, limits)
    found = in_order(found)
    findings = as_table(found, table, ids)
    if not repair:
        return findings
    mended, done = mend(table, found, limits)
    return mended, findings.assign(done=done)


def settled(limits):
    """All limits by name, `today` as a Timestamp; UnknownNameError for one that is none."""
    for name in limits:
        lookup(LIMITS, name, kind="limit of qa")
    limits = LIMITS | limits
    today = pd.Timestamp(limits["today"] or pd.Timestamp.now()).tz_localize(None).normalize()
    return limits | {"today": today}


def has_geometry(table):
    """Whether a table has an active geometry column."""
    return getattr(table, "active_geometry_name", None) in table.columns


def id_column(table, by, known):
    """The column of ids: `by`, or the first of the known that says something; None if none does."""
    if by is not None and by not in table.columns:
        raise InventoryError(f"No column {by!r} for by=; the table has {list(table.columns)}.")
    there = (name for name in known if name in table.columns)
    return by or next((name for name in there if any(text_of(value).strip() for value in table[name])), None)


def require_series(table, by):
    """The column of parts of a series; InventoryError where it is none."""
    parts = id_column(table, by, PARTS + ID_COLUMNS) or next((n for n in PARTS if n in table.columns), None)
    if parts is None or not {"date", "window"} & set(table.columns) or "area_km2" not in table.columns:
        raise InventoryError(
            "qa needs outlines, or a series with glacier, date or window, and area_km2; this table has "
            f"{list(table.columns)} and no geometry. Rename its columns."
        )
    return parts
