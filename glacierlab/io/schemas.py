"""One schema for every inventory: RGI 7.0's names, types and order, whatever a file calls its columns."""

import re

import numpy as np
import pandas as pd

from ..errors import InventoryError, warn
from ..tables import EXTRA_COLUMNS, INVENTORIES, RGI7, lookup
from .dates import iso_dates
from .layers import geodesic_area_km2, utm_zone
from .shapes import in_degrees, inside_points

ID_COLUMNS = ("rgi_id", "glims_id", "glac_id", "glacier_id", "local_id", "glac_name")  # the surest first
OURS = {**RGI7, **EXTRA_COLUMNS}
MISSING = {  # numbers that stand for a missing one: an assumption where a file does not say
    **dict.fromkeys(("zmin_m", "zmax_m", "zmed_m", "zmean_m"), (-999, -9999, -99999)),
    **dict.fromkeys(("slope_deg", "aspect_deg", "lmax_m"), (-9, -99, -999, -9999)),
}
NO_TEXT = ("None", "NULL", "nan", "<NA>")
FILL = re.compile(r"(^|\s{2,})À$")  # RGI 5.0 fills its names so
PARQUET = (".parquet", ".geoparquet")
METADATA = "glacierlab"  # a GeoPackage's layer keeps the table's attrs under this name
SHORT = {  # the ten letters of a shapefile
    "area_km2_source": "area_src",
    "area_unc_km2": "area_unc",
    "area_unc_kind": "unc_kind",
    "area_sd_independent_km2": "area_sd_in",
    "area_sd_correlated_km2": "area_sd_co",
    "debris_frac": "debris_fr",
}
LONG = {short: name for name, short in SHORT.items()}


def known_inventory(names, columns):
    """The row of `INVENTORIES` that a file belongs to, and a map of our names to its columns.

    `columns` is a key of `INVENTORIES`, a map of the user's, or None to go by the file's names.
    """
    lower = {name.lower(): name for name in names}
    if isinstance(columns, dict):
        if missing := [theirs for theirs in columns.values() if str(theirs).lower() not in lower]:
            raise InventoryError(f"columns= names {missing}, but the file has {list(names)}.")
        return None, {ours: lower[theirs.lower()] for ours, theirs in columns.items()}
    row = None
    if columns is not None:
        row = lookup(INVENTORIES, columns, kind="inventory")
        known = [*dict.fromkeys([*row.signature, *row.columns.values()])]
        if known and not {name.lower() for name in known} & {*lower}:
            raise InventoryError(
                f"columns={columns!r}, but the file has none of {row.long_name}'s columns "
                f"({', '.join(known[:4])}, …): it has {list(names)}. Leave columns= out, or map its names by "
                "a dict."
            )
    else:
        fits = [
            r for r in INVENTORIES.values() if r.signature and {s.lower() for s in r.signature} <= {*lower}
        ]
        row = fits[0] if fits else None
    found = {ours: lower.get(theirs.lower()) for ours, theirs in (row.columns if row else {}).items()}
    return row, {ours: theirs for ours, theirs in found.items() if theirs and ours not in lower}


def in_our_names(outlines, row, columns):
    """Columns renamed, dates as ISO text, codes as RGI 7.0 has them; the geometry untouched."""
    ends = [name for name in outlines if row and row.date_end and name.lower() == row.date_end.lower()]
    clashes = [ours for ours in columns if ours in outlines and columns[ours] != ours]
    if clashes:
        raise InventoryError(f"columns= gives {clashes} anew, and the file has columns of that name already.")
    for ours, theirs in columns.items():
        outlines[ours] = outlines[theirs]
    outlines = outlines.drop(columns=[theirs for theirs in columns.values() if theirs not in columns])
    for name in [name for name in outlines if name.lower() in RGI7 and name != name.lower()]:
        if name.lower() not in outlines:
            outlines = outlines.rename(columns={name: name.lower()})
    outlines["src_date"] = dates_of(outlines, outlines[ends[0]] if ends else None, row)
    outlines = outlines.drop(columns=ends)
    if row and row.date_end:
        outlines = region_codes(outlines)
    for name, codes in (row.recode if row else {}).items():
        if name in outlines:
            outlines[name] = outlines[name].replace(codes)
    return outlines


def dates_of(outlines, ends, row):
    """The column `src_date`; a DataWarning names what is no date."""
    if "src_date" not in outlines:
        return row.date if row else ""
    texts, unreadable = iso_dates(outlines["src_date"], ends)
    if unreadable:
        several = sorted(set(unreadable))
        warn(
            f"{len(unreadable)} of {len(texts)} dates cannot be read and are left empty: "
            f"{', '.join(map(repr, several[:5]))}{', …' if len(several) > 5 else ''}."
        )
    return texts


def region_codes(outlines):
    """RGI 6.0's region numbers (11 and 1) as RGI 7.0 writes them (11 and 11-01)."""
    if {"o1region", "o2region"} <= {*outlines}:
        first = pd.to_numeric(outlines["o1region"], errors="coerce")
        second = pd.to_numeric(outlines["o2region"], errors="coerce")
        if first.notna().all() and second.notna().all():
            outlines["o1region"] = [f"{int(a):02d}" for a in first]
            outlines["o2region"] = [f"{int(a):02d}-{int(b):02d}" for a, b in zip(first, second, strict=True)]
    return outlines


def typed(outlines):
    """Columns of ours in their types: numbers that stand for missing ones gone, no text but text."""
    for name in [name for name in outlines if name in OURS and OURS[name].dtype != "geometry"]:
        outlines[name] = as_type(outlines[name], OURS[name], MISSING.get(name, ()))
    return outlines


def as_type(values, column, missing):
    """A column in its type; as it was where a value has no place there."""
    if column.dtype == "str":
        texts = values.astype(object).where(values.notna(), "")
        texts = [FILL.sub("", str(text)).strip() for text in texts]
        return pd.Series(["" if text in NO_TEXT else text for text in texts], values.index)
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().sum() > values.isna().sum():
        return values
    numbers = numbers.astype("float64").where(~numbers.isin(missing))
    if column.dtype == "float":
        return numbers
    if column.unknown is not None:
        numbers = numbers.fillna(column.unknown)
    whole = numbers.notna().all() and (numbers % 1 == 0).all()
    return numbers.astype("int64") if whole else numbers


def ordered(outlines):
    """RGI 7.0's columns first, then ours, then what else a file has; the geometry last."""
    first = [name for name in (*OURS, "area_km2_source", "repaired") if name in outlines]
    shape = outlines.geometry.name
    rest = [name for name in outlines if name not in first and name != shape]
    return outlines[[*(name for name in first if name != shape), *rest, shape]]


def as_rgi7(outlines):
    """Outlines as the RGI 7.0 glacier product has them: all its columns, types and order, WGS84 degrees.

    What is not known gets the code that RGI 7.0 has for it (9, "not assigned"), NaN or "". `cenlon`,
    `cenlat`, `utm_zone` and `area_km2` are made where they are missing; other columns come after.
    """
    outlines = (
        outlines.rename_geometry("geometry") if outlines.geometry.name != "geometry" else outlines.copy()
    )
    outlines = outlines.set_geometry(in_degrees(outlines.geometry))
    if "area_km2" not in outlines:
        outlines["area_km2"] = geodesic_area_km2(outlines.geometry)
    if not {"cenlon", "cenlat"} <= {*outlines}:
        points = inside_points(outlines.geometry)
        outlines["cenlon"], outlines["cenlat"] = points[:, 0], points[:, 1]
    if "utm_zone" not in outlines:
        outlines["utm_zone"] = [utm_zone(lon) if np.isfinite(lon) else 0 for lon in outlines["cenlon"]]
    for name, column in RGI7.items():
        if name not in outlines:
            outlines[name] = column.unknown if column.unknown is not None else np.nan
    return ordered(typed(outlines))


def short_names(names):
    """A shapefile's names, of ten letters at most, each its own: {name: short}; only those that change."""
    taken, short = {name for name in names if len(name) <= 10}, {}
    for name in [name for name in names if len(name) > 10]:
        candidates = (SHORT.get(name, name[:10]), *(f"{name[: 10 - len(str(i))]}{i}" for i in range(1, 1000)))
        short[name] = next(new for new in candidates if new not in taken)
        taken.add(short[name])
    return short
