"""Between a table of outlines and what a review holds of each row."""

import geopandas as gpd
import numpy as np
import pandas as pd

from ..io.inventory import AREA_COLUMNS
from ..io.layers import geodesic_area_km2, utm_zone
from ..io.schemas import ID_COLUMNS, OURS
from ..io.shapes import inside_points, whole
from ..outlines.findings import text_of
from .editing import GLACIER, REJECTED, Outline, usable

NAMES = ("glac_name", "name")  # columns of a glacier's name, in small letters, the surest first
REVIEW_ID = "review_id"  # the column that keeps ids where no other column does
SIGNED = {"review_status": "status", "reviewed_by": "by", "reviewed_at": "at", "review_reason": "reason"}
AGAIN = ("area_km2", "cenlon", "cenlat", "utm_zone")  # measured at once where an outline was changed
UNTRUE = {
    *("zmin_m", "zmax_m", "zmed_m", "zmean_m", "slope_deg", "aspect_deg", "aspect_sec", "lmax_m"),
    *(
        "termlon",
        "termlat",
        "dem_frac",
        "dem_source",
        "area_unc_km2",
        "area_unc_kind",
        "area_sd_independent_km2",
    ),
    *("area_sd_correlated_km2", "debris_km2", "debris_frac", "mean_prob", "pixels", "area_km2_source"),
    *(name for name in AREA_COLUMNS if name != "area_km2"),
    *("perimeter", "shape_leng", "shape_length"),
}  # measured of the outline as it was, in small letters; no longer true once it is another


def ids_of(outlines):
    """The ids of outlines as text, and the column they are from: the first that names every row once.

    Without one, row numbers and None.
    """
    for name in (REVIEW_ID, *ID_COLUMNS):
        texts = [text_of(value).strip() for value in outlines[name]] if name in outlines else [""]
        if all(texts) and len({*texts}) == len(outlines):
            return texts, name
    return [str(number) for number in range(len(outlines))], None


def names_of(outlines):
    """Names of glaciers as text, a list: of `glac_name`, else `name`, in any case; "" where there is none."""
    by_lower = {str(column).lower(): column for column in outlines.columns}
    known = [
        [text_of(value).strip() for value in outlines[by_lower[name]]] for name in NAMES if name in by_lower
    ]
    return [next(filter(None, names), "") for names in zip(*known, strict=True)] or [""] * len(outlines)


def into(outlines, crs):
    """Outlines, or a GeoSeries of them, in another CRS; what is in parts on both sides of 180° as one."""
    if outlines.crs == crs:
        return outlines
    if not outlines.crs.is_geographic:
        return outlines.to_crs(crs)
    shapes = gpd.GeoSeries(whole(outlines.geometry.values), outlines.index, outlines.crs)
    if isinstance(outlines, gpd.GeoSeries):
        return shapes.to_crs(crs)
    return outlines.set_geometry(shapes).to_crs(crs)


def rows_of(outlines, ids):
    """{id: Outline} of a table."""
    km2 = geodesic_area_km2(outlines.geometry)
    texts = lambda name: [text_of(v) for v in outlines[name]] if name in outlines else [""] * len(ids)
    klass, signed = texts("class"), {field: texts(name) for name, field in SIGNED.items()}
    return {
        one: Outline(
            geometry=geometry,
            area_km2=float(km2[at]),
            klass=klass[at] or GLACIER,
            **{field: values[at] for field, values in signed.items()},
        )
        for at, (one, geometry) in enumerate(zip(ids, outlines.geometry.values, strict=True))
    }


def origin_of(one, rows, known):
    """The id whose attributes an outline has: its own, or that of what it was cut from; None of one drawn."""
    while one is not None and one not in known:
        one = rows[one].parent if one in rows else None
    return one


def as_now(table, rows, id_column=None, rejected=False):
    """The table, its index the ids, as the rows are now; see `Review.outlines`."""
    ids = [one for one, row in rows.items() if rejected or row.status != REJECTED]
    origins = [origin_of(one, rows, table.index) for one in ids]
    at = table.index.get_indexer(origins)  # -1 where there is none
    shape = table.geometry.name
    found = blank_where(table.drop(columns=shape).take(at) if len(table) else None, at < 0, table)
    before = np.append(table.geometry.values, [None])[at]
    now = [rows[one] for one in ids]
    changed = np.array([old != row.geometry for old, row in zip(before, now, strict=True)], bool)
    found = found.assign(**{REVIEW_ID: ids} | {n: [getattr(r, f) for r in now] for n, f in SIGNED.items()})
    if id_column is not None and not pd.api.types.is_numeric_dtype(found[id_column]):
        found[id_column] = ids
    if "class" in found or any(row.klass != GLACIER for row in now):
        found["class"] = [row.klass for row in now]
    shapes = gpd.GeoSeries([row.geometry for row in now], crs=table.crs)
    found = gpd.GeoDataFrame(found.assign(**{shape: shapes}), geometry=shape)
    found.attrs = dict(table.attrs)
    return measured_anew(found, now, changed) if changed.any() else found


def blank_where(found, drawn, table):
    """Attributes with those of drawn outlines missing, save a date that all others share; a new index."""
    if found is None:
        found = pd.DataFrame(index=range(len(drawn)), columns=table.columns.drop(table.geometry.name))
    found = pd.DataFrame(found).reset_index(drop=True)
    if drawn.any():
        dates = table["src_date"].unique() if "src_date" in table else []
        for name in found:
            found[name] = missing_where(found[name], drawn)
        if len(dates) == 1:
            found.loc[drawn, "src_date"] = dates[0]
    return found


def missing_where(values, where):
    """A column with what stands for an unknown value in some rows."""
    column = OURS.get(values.name)
    if column is not None and column.unknown is not None:
        return values.mask(where, column.unknown)
    if values.dtype.kind in "iub" and not pd.api.types.is_extension_array_dtype(values.dtype):
        values = values.astype(float if values.dtype.kind in "iu" else object)
    return values.mask(where, "") if column is not None and column.dtype == "str" else values.mask(where)


def measured_anew(found, now, changed):
    """What was measured of changed outlines measured again, or missing."""
    for name in found.columns[found.columns.str.lower().isin(UNTRUE)]:
        found[name] = missing_where(found[name], changed)
    shapes = [usable(shape) or shape.envelope for shape in found.geometry[changed]]
    lon, lat = inside_points(gpd.GeoSeries(shapes, crs=found.crs)).T
    new = {"area_km2": [row.area_km2 for row, is_new in zip(now, changed, strict=True) if is_new]}
    new |= {"cenlon": lon, "cenlat": lat, "utm_zone": [utm_zone(east) for east in lon]}
    for name in AGAIN:
        if name in found:
            found.loc[changed, name] = new[name]
    return found
