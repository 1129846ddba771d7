"""Outlines from files: any vector file or inventory in, repaired, named as RGI 7.0 does and measured anew."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from pyarrow import parquet

from ..errors import InventoryError, warn
from ..tables import INVENTORIES
from .analyses import merged_analyses
from .bands import one_line
from .layers import geodesic_area_km2
from .schemas import LONG, METADATA, PARQUET, in_our_names, known_inventory, ordered, typed
from .shapes import clean_shapes

AREA_COLUMNS = ("area_km2", "area", "db_area", "shape_area", "glc_area")  # as inventories call them, any case
AREA_UNITS = {1.0: "km2", 1e6: "m2", 100.0: "ha"}  # units per km²
IN_FOLDERS = ("polygons.shp", "glims_polygons.shp")  # of a GLIMS submission, of a GLIMS download
SHAPEFILE = bytes((0, 0, 0x27, 0x0A))  # how a .shp begins
ASIDE = "review_"  # how layers begin that a review keeps beside the outlines
RASTERS = (".tif", ".tiff", ".nc", ".zarr")


def open_inventory(path, layer=None, *, columns=None, encoding=None):
    """Open glacier outlines of any vector file in one schema: RGI 7.0's names, and the file's others after.

    RGI 5, 6 and 7, GLIMS and the Second Chinese Glacier Inventory are known by their columns. Of GLIMS
    polygons (`line_type`), parts of one analysis are merged, rock inside is taken out, debris is measured
    (`debris_km2`, `debris_frac`); several analyses of a glacier's date stay apart, and are told.

    Parameters
    ----------
    path : path
        GeoPackage, shapefile, GeoJSON, or what else GDAL reads; GeoParquet by its ending; a folder as
        `io.glims.write_glims` and the GLIMS download make them.
    layer : str, optional
        Which layer of a file with several.
    columns : dict or str, optional
        Our names and the file's, such as `{"glac_name": "NAME", "src_date": "year"}`, or a key of
        `tables.INVENTORIES`, each with its DOI: "rgi7" (doi:10.5067/F6JMOVY5NAVZ), "rgi6" (5.0 too;
        doi:10.7265/N5-RGI-60), "glims" (doi:10.7265/N5V98602), "cgi2", the Second Chinese Glacier Inventory
        (doi:10.3189/2015JoG14J209), "ggi", GAMDAM (doi:10.5194/tc-9-849-2015, doi:10.5194/tc-13-2043-2019),
        "tpg2017" (doi:10.11888/Glacio.tpdc.270924), "chen2022" (doi:10.5281/zenodo.5512064). The rows say
        what is assumed: no source at hand lists the columns of the last three, so that those come as they
        are.
    encoding : str, optional
        Of a shapefile's texts. By default what its .cpg says; without one, UTF-8 where they are.

    Returns
    -------
    geopandas.GeoDataFrame
        In the file's CRS and order. `src_date` is ISO 8601 text: a day, a range (`2003-07-01/2003-09-30`,
        also where a file knows a year or month alone), or "". `area_km2` is measured anew on the ellipsoid;
        the file's own area is kept as `area_km2_source`, its unit (km², ha or m²) told by comparison and
        recorded in `attrs["area_source"]`. `repaired` marks rows whose rings were invalid. Heights and
        measures of points are dropped. `attrs["inventory"]` and `attrs["source"]` say what is to be cited.

    Raises
    ------
    InventoryError
        The file is missing, cut short, no vector file, empty, without polygons or without CRS; `layer` or
        `columns` name what it has not.
    UnknownNameError
        `columns` is no key of `tables.INVENTORIES`.

    Warns
    -----
    DataWarning
        Polygons were repaired; rows without polygon left out; dates not read; rival analyses kept apart.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     inventory = open_inventory(gl.write_outlines(world.outlines(2020), f"{folder}/glaciers.gpkg"))
    >>> len(inventory), round(float(inventory.area_km2.sum()), 1)
    (12, 0.9)
    """
    path = file_of(Path(path))
    outlines = read_vector(path, layer, encoding)
    if outlines.crs is None:
        raise InventoryError(f"{path} has no CRS. Write one beside it (.prj), or use geopandas and set_crs.")
    attrs = outlines.attrs
    outlines = clean_shapes(outlines, path.name)
    row, found = known_inventory(outlines.columns.drop(outlines.geometry.name), columns)
    if row is INVENTORIES["glims"]:
        if lacking := [name for name in row.signature if name not in {*map(str.lower, outlines)}]:
            raise InventoryError(
                f"{path} is no file of GLIMS polygons: it lacks {lacking}. Leave columns= out."
            )
        found = {ours: theirs.lower() for ours, theirs in found.items()}
        outlines = merged_analyses(outlines.rename(columns=str.lower), path.name)
    outlines = typed(in_our_names(outlines, row, found))
    outlines.attrs = attrs | ({"inventory": row.long_name, "source": row.source} if row else {})
    outlines = keep_source_area(outlines.assign(area_new=geodesic_area_km2(outlines.geometry)))
    return ordered(outlines.rename(columns={"area_new": "area_km2"}))


def file_of(path):
    """The path of a file, also where its folder is given; InventoryError where there is none."""
    if not path.exists():
        raise InventoryError(f"{path} does not exist. Check the spelling and the folder you are in.")
    if path.is_dir() and path.suffix.lower() != ".gdb":
        inside = [path / name for name in IN_FOLDERS if (path / name).exists()]
        if not inside:
            raise InventoryError(f"{path} is a folder without {' or '.join(IN_FOLDERS)}: name a file in it.")
        return inside[0]
    return path


def read_vector(path, layer, encoding):
    """The file's GeoDataFrame, or InventoryError."""
    if path.suffix.lower() in RASTERS:
        raise InventoryError(
            f"{path} is a raster: open it with gl.open_map and outline it with gl.vectorize."
        )
    if path.is_file() and not path.stat().st_size:
        raise InventoryError(f"{path} is empty, 0 bytes. Copy or fetch it again.")
    if path.suffix.lower() == ".shp":
        require_whole_shapefile(path)
    try:
        if path.suffix.lower() in PARQUET:
            found = gpd.read_parquet(path)
            found.attrs = json.loads((parquet.read_schema(path).metadata or {}).get(METADATA.encode(), "{}"))
        else:
            layer = layer_of(path, layer)
            found = read_texts(path, layer, encoding)
    except InventoryError:
        raise
    except Exception as error:  # pyogrio, pyarrow and GDAL each have their own
        raise InventoryError(
            f"{path} cannot be read as a vector file: {one_line(error)}. Is it whole? Copy or fetch it again."
        ) from error
    if not isinstance(found, gpd.GeoDataFrame) or found.empty:
        raise InventoryError(f"{path} holds no outlines: {len(found)} rows, and no geometry.")
    if path.suffix.lower() == ".shp":
        found = found.rename(
            columns={s: name for s, name in LONG.items() if s in found and name not in found}
        )
    return found


def read_texts(path, layer, encoding):
    """The rows of a layer and, of a GeoPackage of ours, what the table knew of itself.

    A shapefile's texts without .cpg are read as UTF-8 where they are, for GDAL takes them for Latin-1.
    """
    unsaid = encoding is None and path.suffix.lower() == ".shp" and not part_of(path, ".cpg")
    try:
        found = gpd.read_file(path, layer=layer, encoding="UTF-8" if unsaid else encoding)
    except UnicodeDecodeError:
        if not unsaid:
            raise
        found = gpd.read_file(path, layer=layer)
    stored = (pyogrio.read_info(path, layer=layer).get("layer_metadata") or {}).get(METADATA)
    if stored and isinstance(found, gpd.GeoDataFrame):
        found.attrs = json.loads(stored)
    return found


def layer_of(path, layer):
    """The layer to read: the one that is asked for, or the first with polygons; several are told."""
    layers = pyogrio.list_layers(path)
    names = [name for name, _ in layers]
    if layer is not None:
        if layer not in names:
            raise InventoryError(f"{path} has no layer {layer!r}, but {names}.")
        return layer
    layers = [(name, kind) for name, kind in layers if not name.startswith(ASIDE)]
    shaped = [name for name, kind in layers if kind is not None]
    polygonal = [name for name, kind in layers if kind is not None and "Polygon" in kind] or shaped or names
    if len(polygonal) > 1:
        warn(f"{path.name} has several layers of outlines: {polygonal[0]!r} is opened. Choose with layer=…, "
             f"one of {polygonal}.")  # fmt: skip
    return polygonal[0] if polygonal else None


def part_of(path, ending):
    """A file beside a shapefile, whatever the case of its ending; None where it is not there."""
    beside = [path.with_suffix(ending), path.with_suffix(ending.upper())]
    return next((part for part in beside if part.exists()), None)


def require_whole_shapefile(path):
    """InventoryError where a shapefile lacks its index or is shorter than its header says."""
    with open(path, "rb") as file:
        header = file.read(28)
    if header[:4] != SHAPEFILE:
        return  # GDAL says what else it is
    if not part_of(path, ".shx"):
        raise InventoryError(
            f"{path} lacks its .shx: copy it beside, or make it anew: "
            f"ogrinfo --config SHAPE_RESTORE_SHX YES {path.name}"
        )
    if not part_of(path, ".dbf"):
        warn(f"{path.name} lacks its .dbf: its outlines come without names, dates and ids.")
    told = 2 * int.from_bytes(header[24:28], "big")  # the header counts words of two bytes
    if path.stat().st_size < told:
        raise InventoryError(
            f"{path} is cut short: it has {path.stat().st_size:,} of {told:,} bytes. Copy or fetch it again."
        )


def keep_source_area(outlines):
    """The file's own area column, in km², as `area_km2_source`; of a file of ours what it had there."""
    if "area_km2_source" in outlines:
        return outlines.drop(columns=["area_km2"], errors="ignore")
    by_lower = {name.lower(): name for name in outlines.columns}
    for wanted in AREA_COLUMNS:
        name = by_lower.get(wanted)
        if name is None or not np.issubdtype(outlines[name].dtype, np.number):
            continue
        known = outlines[name].replace(0, np.nan) / outlines.area_new
        ratio = known.median() if known.notna().any() else np.nan
        close = [unit for unit in AREA_UNITS if 0.5 < ratio / unit < 2] or [1.0] * (wanted == "area_km2")
        if close:
            outlines = outlines.assign(area_km2_source=outlines[name] / close[0])
            outlines.attrs["area_source"] = f"{name} in {AREA_UNITS[close[0]]}"
            return outlines.drop(columns=[name] if name == "area_km2" else [])
    return outlines.drop(columns=["area_km2"], errors="ignore")
