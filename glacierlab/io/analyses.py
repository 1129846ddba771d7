"""GLIMS polygons to glaciers: parts merged, rock taken out, debris measured, rival analyses kept apart."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import InventoryError, warn
from .layers import geodesic_area_km2
from .shapes import polygonal

KEYS = ["glac_id", "src_date", "anlys_id"]  # one analysis: a glacier, a date, an analyst's work
LINE_TYPES = ("glac_bound", "intrnl_rock", "debris_cov")
HEIGHTS = ["min_elev", "mean_elev", "max_elev"]


def merged_analyses(polygons, name):
    """One row a glacier, date and analysis, of GLIMS polygons with `line_type`.

    Rows of an analysis differ in their polygon alone; the first's attributes are kept. `parts` and `rocks`
    count the polygons; `debris_km2` and `debris_frac` (of the area) are there where debris was mapped. A
    DataWarning tells of polygons without a glacier and of several analyses of one date.
    """
    polygons = polygons.assign(line_type=polygons["line_type"].astype(str).str.strip().str.lower())
    polygons["src_date"] = polygons["src_date"].astype(object).where(polygons["src_date"].notna(), "")
    keys = [key for key in KEYS if key in polygons]
    polygons["analysis"] = polygons.groupby(keys, sort=False, dropna=False).ngroup()
    bounds, rocks, debris = (joined(polygons[polygons["line_type"] == kind]) for kind in LINE_TYPES)
    if not bounds:
        kinds = sorted({*polygons["line_type"]})
        raise InventoryError(f"{name} holds no polygon of line_type glac_bound, but {kinds}.")
    of_bounds = polygons[polygons["line_type"] == "glac_bound"]
    glaciers = of_bounds.drop_duplicates("analysis").set_index("analysis")
    ice = [polygonal(shapely.difference(s, rocks[a])) if a in rocks else s for a, s in bounds.items()]
    glaciers = glaciers.loc[list(bounds)].set_geometry(ice, crs=polygons.crs)
    glaciers["repaired"] = polygons.groupby("analysis")["repaired"].any()
    for column, kind in {"parts": "glac_bound", "rocks": "intrnl_rock"}.items():
        counts = polygons.loc[polygons["line_type"] == kind, "analysis"].value_counts()
        glaciers[column] = counts.reindex(glaciers.index, fill_value=0)
    if debris:
        glaciers = with_debris(glaciers, debris)
    tell_of_rest(polygons, {*bounds}, {*rocks, *debris}, name)
    glaciers = glaciers.drop(columns="line_type").reset_index(drop=True)
    tell_of_rivals(glaciers, name)
    return without_zeros(glaciers)


def joined(polygons):
    """Each analysis's polygons in one: {analysis: shape}, in the order of the rows."""
    shapes = polygons.geometry.values
    rows = polygons.groupby("analysis", sort=False).indices
    order = sorted(rows, key=lambda analysis: rows[analysis][0])
    return {a: shapes[rows[a][0]] if len(rows[a]) == 1 else shapely.union_all(shapes[rows[a]]) for a in order}


def with_debris(glaciers, debris):
    """Glaciers with the area of the debris on them, and its share."""
    nothing = shapely.Polygon()
    on_ice = [polygonal(s & debris.get(a, nothing)) for a, s in glaciers.geometry.items()]
    covered = geodesic_area_km2(gpd.GeoSeries(on_ice, crs=glaciers.crs))
    return glaciers.assign(debris_km2=covered, debris_frac=covered / geodesic_area_km2(glaciers.geometry))


def tell_of_rest(polygons, known, used, name):
    """A DataWarning where polygons belong to no glacier, or are of a kind that is left aside."""
    lost = sorted(set(polygons.loc[polygons["analysis"].isin(used - known), "glac_id"].astype(str)))
    if lost:
        warn(
            f"{name}: rock or debris of {len(lost)} glaciers has no glac_bound and is left aside: {lost[:5]}."
        )
    other = polygons.loc[~polygons["line_type"].isin(LINE_TYPES), "line_type"].value_counts()
    if len(other):
        told = ", ".join(f"{count} {kind}" for kind, count in other.items())
        warn(f"{name}: polygons of other kinds are left aside: {told}.")


def tell_of_rivals(glaciers, name):
    """A DataWarning where a glacier has several analyses of one date."""
    several = glaciers[glaciers.duplicated(["glac_id", "src_date"], keep=False)]
    if len(several):
        ids = list(dict.fromkeys(several["glac_id"]))
        warn(
            f"{name}: {len(ids)} glaciers have several analyses of one date, which stay apart; choose by "
            f"anlys_id or subm_id: {ids[:5]}{' …' if len(ids) > 5 else ''}."
        )


def without_zeros(glaciers):
    """Lengths of 0, and elevations that are all 0, as missing: an assumption."""
    if "length" in glaciers:
        glaciers["length"] = pd.to_numeric(glaciers["length"], errors="coerce").replace(0, np.nan)
    heights = [name for name in HEIGHTS if name in glaciers]
    if heights:
        none = (glaciers[heights].apply(pd.to_numeric, errors="coerce") == 0).all(axis=1)
        glaciers[heights] = glaciers[heights].astype("float64").mask(none)
    return glaciers
