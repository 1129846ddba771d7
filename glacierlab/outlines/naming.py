"""The table of a divided inventory, and names of glaciers that stay."""

import numpy as np
import pandas as pd
import shapely

from ..io.layers import geodesic_area_km2
from ..io.schemas import ID_COLUMNS
from ..io.shapes import inside_points, whole
from .checking import id_column

NAMES = ("glac_name",)  # both halves of a complex may bear its name
IDS = tuple(name for name in ID_COLUMNS if name not in NAMES)
MEASURED = (  # of the whole complex: unknown of its parts
    "pixels", "area_unc_km2", "area_unc_kind", "area_sd_independent_km2", "area_sd_correlated_km2",
    "dem_frac", "debris_km2", "debris_frac", "mean_prob", "zmin_m", "zmax_m", "zmed_m", "zmean_m",
    "slope_deg", "aspect_deg", "aspect_sec", "lmax_m", "termlon", "termlat",
)  # fmt: skip
EDGE = 0.001  # degrees between the places that names are made of, as in the ids of GLIMS


def as_table(outlines, parts, divides=None):
    """The inventory of (row of a complex, polygon, position in `divides` or -1)."""
    rows, polygons, older = zip(*parts, strict=True) if parts else ((), (), ())
    rows, older = np.array(rows, int), np.array(older, int)
    table = outlines.iloc[rows].assign(complex_id=outlines.index[rows]).reset_index(drop=True)
    table = table.set_geometry(np.array(polygons, dtype=object), crs=outlines.crs)
    table["area_km2"] = geodesic_area_km2(table.geometry)
    order = np.lexsort((-table.area_km2, rows))  # the largest of a complex first
    table, rows, older = table.iloc[order].reset_index(drop=True), rows[order], older[order]
    inside = inside_points(table.geometry)
    table = table.assign(cenlon=inside[:, 0], cenlat=inside[:, 1])
    places = np.array([place_name(p) for p in whole(table.geometry.to_crs("EPSG:4326").values)], dtype=object)
    divided = np.bincount(rows, minlength=len(outlines))[rows] > 1
    for name in MEASURED:
        if name in table:
            table[name] = table[name].where(~divided)
    for name in IDS:
        if name in table:
            table[name] = suffixed(table[name], places, divided & (older < 0))
    for name in () if divides is None else (*IDS, *NAMES):
        if name in divides:
            table[name] = taken(table.get(name), divides[name], older)
            if name in IDS:
                table[name] = suffixed(table[name], places, repeats(older, table.area_km2))
    if "glac_id" not in table:
        table["glac_id"] = places
    known = None if divides is None else id_column(divides, None, ID_COLUMNS)
    if known is not None:
        table["older_id"] = pd.array(taken(None, divides[known], older))
    return table


def suffixed(ids, places, where):
    """Ids that are text with a place appended, where asked."""
    return [
        f"{i}_{place}" if at and isinstance(i, str) and i else i
        for i, place, at in zip(ids, places, where, strict=True)
    ]


def taken(own, others, older):
    """The older glaciers' values where there is one, else one's own, or none."""
    own = [None] * len(older) if own is None else own
    return [value if at < 0 else others.iloc[at] for value, at in zip(own, older, strict=True)]


def repeats(older, areas):
    """Whether each is a piece of an older glacier that has a larger piece."""
    order = np.argsort(-np.asarray(areas), kind="stable")
    again = pd.Series(older[order]).duplicated().to_numpy()
    return again[np.argsort(order)] & (older >= 0)


def place_name(polygon):
    """A name for a polygon in degrees, of the roundest place in it: "G010758E46799N", as GLIMS writes ids.

    Places lie at thousandths of a degree; the roundest is divisible by the highest power of two in both
    coordinates, the southernmost and then westernmost of several. So the name stays unless that very place
    changes hands, or a rounder one does.
    """
    west, south, east, north = np.array(polygon.bounds) / EDGE
    shapely.prepare(polygon)
    for power in range(int(np.log2(max(east - west, north - south, 1))) + 1, -1, -1):
        step = 2**power
        lon = np.arange(np.ceil(west / step), np.floor(east / step) + 1) * step
        lat = np.arange(np.ceil(south / step), np.floor(north / step) + 1) * step
        lat, lon = (places.ravel() for places in np.meshgrid(lat, lon, indexing="ij"))
        inside = shapely.contains_xy(polygon, lon * EDGE, lat * EDGE)
        if inside.any():
            return glims_name(lon[inside][0], lat[inside][0])
    point = polygon.point_on_surface()
    return glims_name(round(point.x / EDGE), round(point.y / EDGE))


def glims_name(lon, lat):
    """A place [thousandths of a degree] as GLIMS writes it."""
    return f"G{int(lon) % 360_000:06d}E{abs(int(lat)):05d}{'N' if lat >= 0 else 'S'}"


def some(labels):
    """The first rows by name."""
    return "rows " + ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")
