"""Outlines from files: any vector file in, repaired and measured anew; GeoPackage out."""

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from ..errors import DataWarning, InventoryError
from .bands import one_line
from .layers import geodesic_area_km2

AREA_COLUMNS = ("area_km2", "area", "db_area", "shape_area")  # as inventories call them, any case
AREA_UNITS = {1.0: "km2", 1e6: "m2", 100.0: "ha"}  # units per km²


def open_inventory(path, layer=None):
    """Open glacier outlines of any vector file.

    Parameters
    ----------
    path : path
        GeoPackage, shapefile, GeoJSON, or what else GDAL reads; GeoParquet by its ending.
    layer : str, optional
        Which layer of a file with several.

    Returns
    -------
    geopandas.GeoDataFrame
        The file's rows and columns. `area_km2` is measured anew on the ellipsoid; the file's own area is kept
        as `area_km2_source`, its unit (km², ha or m²) told by comparison and recorded in
        `attrs["area_source"]`. `repaired` marks rows whose rings were invalid.

    Raises
    ------
    InventoryError
        The file is missing, no vector file, empty, without polygons or without CRS.

    Warns
    -----
    DataWarning
        Invalid polygons were repaired; the message names them.
    """
    outlines = read_vector(Path(path), layer)
    polygonal = outlines.geom_type.isin(["Polygon", "MultiPolygon"])
    if not polygonal.any():
        found = sorted(set(outlines.geom_type.dropna())) or "no geometry"
        raise InventoryError(f"{path} holds no polygons, but {found}. Outlines are polygons.")
    if outlines.crs is None:
        raise InventoryError(f"{path} has no CRS. Write one beside it (.prj), or use geopandas and set_crs.")
    outlines = repair(outlines[polygonal].reset_index(drop=True), path)
    outlines = keep_source_area(outlines.assign(area_new=geodesic_area_km2(outlines.geometry)))
    return outlines.rename(columns={"area_new": "area_km2"})


def read_vector(path, layer):
    """The file's GeoDataFrame, or InventoryError."""
    if not path.exists():
        raise InventoryError(f"{path} does not exist. Check the spelling and the folder you are in.")
    try:
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            return gpd.read_parquet(path)
        found = gpd.read_file(path, **({"layer": layer} if layer else {}))
    except Exception as error:  # pyogrio, fiona, pyarrow and GDAL each have their own
        raise InventoryError(f"{path} cannot be read as a vector file: {one_line(error)}") from error
    if not isinstance(found, gpd.GeoDataFrame) or found.empty:
        raise InventoryError(f"{path} holds no outlines: {len(found)} rows, and no geometry.")
    return found


def repair(outlines, path):
    """Invalid polygons made valid (structure method: rings keep their meaning), and said so."""
    invalid = ~outlines.geometry.is_valid
    if invalid.any():
        reasons = [shapely.is_valid_reason(g) for g in outlines.geometry[invalid]]
        names = [f"row {i}: {reason}" for i, reason in zip(outlines.index[invalid], reasons, strict=True)]
        warnings.warn(
            f"{Path(path).name}: {invalid.sum()} of {len(outlines)} polygons were invalid and have been "
            f"repaired ({'; '.join(names[:5])}{'; …' if len(names) > 5 else ''}).",
            DataWarning,
            stacklevel=3,
        )
        fixed = shapely.make_valid(outlines.geometry.values, method="structure", keep_collapsed=False)
        outlines = outlines.set_geometry(np.where(invalid, polygons_only(fixed), outlines.geometry.values))
    return outlines.assign(repaired=invalid.values)


def polygons_only(geometries):
    """Geometries without the points and lines that a repair may leave."""
    flat = []
    for geometry in geometries:
        pieces = [p for p in shapely.get_parts(geometry) if p.geom_type in ("Polygon", "MultiPolygon")]
        flat.append(geometry if geometry.geom_type != "GeometryCollection" else shapely.union_all(pieces))
    return np.array(flat, dtype=object)


def keep_source_area(outlines):
    """The file's own area column, in km², as `area_km2_source`."""
    by_lower = {name.lower(): name for name in outlines.columns}
    for wanted in AREA_COLUMNS:
        name = by_lower.get(wanted)
        if name is None or not np.issubdtype(outlines[name].dtype, np.number):
            continue
        ratio = np.nanmedian(outlines[name].replace(0, np.nan) / outlines.area_new)
        close = [1.0] if wanted == "area_km2" else [unit for unit in AREA_UNITS if 0.5 < ratio / unit < 2]
        if close:
            outlines = outlines.assign(area_km2_source=outlines[name] / close[0])
            outlines.attrs["area_source"] = f"{name} in {AREA_UNITS[close[0]]}"
            return outlines.drop(columns=[name] if name == "area_km2" else [])
    return outlines.drop(columns=["area_km2"], errors="ignore")
