"""Writing files whole or not at all: under a temporary name first, then renamed."""

import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from pyarrow import ArrowInvalid, ArrowTypeError, parquet
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window
from tqdm import tqdm

from ..errors import GlacierlabError, GridError, InventoryError, WriteError, require_valid, warn
from ..tables import NOT_OBSERVED, lookup
from .bands import one_line
from .dates import iso_range
from .files import TAG
from .layers import transform_of
from .schemas import METADATA, PARQUET, as_rgi7, short_names

FAILURES = (OSError, RasterioError, CPLE_BaseError, DataSourceError, DataLayerError)  # of disks and of GDAL
STRIP = 1024  # rows written at a time
DRIVERS = {
    ".gpkg": "GPKG",
    ".shp": "ESRI Shapefile",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".fgb": "FlatGeobuf",
}  # GDAL's, by a path's ending
SCHEMAS = {"rgi7": as_rgi7}


@contextmanager
def whole_file(path):
    """A temporary path that becomes `path` (sidecars too) when the block ends well, and vanishes if not."""
    path = Path(path)
    with whole_folder(path.parent, path) as folder:
        yield folder / path.name


@contextmanager
def whole_folder(path, told=None, last=None):
    """A temporary folder whose files replace those of `path`, one by one, when the block ends well.

    The file `last` is taken away first and comes last: where it is, all are of one block.
    """
    path, told = Path(path), told or path
    try:
        path.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=path))
    except OSError as error:
        raise WriteError(cannot_write(told, error)) from error
    try:
        yield temporary
        files = sorted(temporary.iterdir(), key=lambda file: (file.name == last, file.name))
        if last:
            (path / last).unlink(missing_ok=True)
        for file in files:
            os.replace(file, path / file.name)
    except WriteError:
        raise
    except FAILURES as error:
        raise WriteError(cannot_write(told, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_folder(folder):
    """Make a folder; WriteError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(cannot_write(folder, error)) from error


def cannot_write(path, error):
    """The one line for the reader."""
    reason = getattr(error, "strerror", None) or one_line(error)
    return f"{path} cannot be written ({reason}). Nothing is left half-written: free space or go elsewhere."


def locked(lock_path, path):
    """A lock that is held, for who writes a path; None where there are no locks.

    Raises
    ------
    GlacierlabError
        Another run holds it.
    WriteError
        It cannot be made.
    """
    try:
        import filelock  # of the extra `models`
    except ImportError:
        return None
    lock = filelock.FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise GlacierlabError(
            f"{path} is being written by another run: wait for it, or choose another name."
        ) from error
    except NotImplementedError:  # how filelock says that the file system has no locks
        return None
    except OSError as error:
        raise WriteError(cannot_write(path, error)) from error
    return lock


def write_raster(raster, path):
    """Write a scene or map as a tiled, deflate-compressed GeoTIFF with band names and attributes.

    Parameters
    ----------
    raster : xarray.Dataset or xarray.DataArray
        Variables (y, x); a Dataset's, and the features of a stack, go into one file as float32 bands, dates
        as days since 1970-01-01; a map keeps its type.
    path : path
        Written whole or not at all; `open_scene` reads it back as it was.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    WriteError
    GridError
        The raster has several dates.

    Examples
    --------
    >>> import tempfile
    >>> import rasterio
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_raster(scene[["red", "swir16"]], f"{folder}/scene.tif")
    ...     with rasterio.open(path) as file:
    ...         print(file.descriptions, file.dtypes)
    ('red', 'swir16') ('float32', 'float32')
    """
    if "time" in raster.dims:
        raise GridError("A GeoTIFF holds one date: choose it with isel(time=0), or write Zarr with to_zarr.")
    if "feature" in raster.dims:
        attrs, raster = raster.attrs, raster.drop_vars("group", errors="ignore").to_dataset("feature")
        raster = raster.assign_attrs(attrs)
    if hasattr(raster, "data_vars"):
        raster = raster.assign({n: in_days(v) for n, v in raster.data_vars.items() if v.dtype.kind == "M"})
        names = tuple(n for n, v in raster.data_vars.items() if {"y", "x"} <= set(v.dims))
        stack = raster[list(names)].to_dataarray("band").astype("float32")
    else:
        names, stack = (raster.name or "map",), raster.expand_dims("band")
        stack = stack.astype("uint8") if stack.dtype == bool else stack
    attrs = {key: plain(value) for key, value in raster.attrs.items()} | band_attrs(raster)
    predictor = 3 if stack.dtype.kind == "f" else 1
    profile = dict(driver="GTiff", tiled=True, blockxsize=256, blockysize=256, compress="deflate", zlevel=1)
    profile |= dict(interleave="band")
    profile |= dict(count=len(names), height=stack.sizes["y"], width=stack.sizes["x"], predictor=predictor)
    profile |= dict(dtype=stack.dtype.name, nodata=np.nan if stack.dtype.kind == "f" else NOT_OBSERVED)
    profile |= dict(crs=raster.rio.crs, transform=transform_of(raster), BIGTIFF="IF_SAFER")
    tag = json.dumps(attrs, default=str)
    with whole_file(path) as temporary:
        with rasterio.open(temporary, "w", **profile) as file:
            file.update_tags(**{TAG: tag})
            file.descriptions = names
            height = stack.chunksizes["y"][0] if stack.chunks else STRIP  # no band's chunk is computed twice
            strips = [(band, top) for band in range(len(names)) for top in range(0, stack.sizes["y"], height)]
            quiet = None if len(strips) > 8 else True  # None: a bar in terminals alone
            for band, top in tqdm(strips, desc=Path(path).name, unit="strip", disable=quiet, leave=False):
                rows = stack.isel(
                    band=band, y=slice(top, top + height)
                ).values  # a lazy scene is computed here
                file.write(rows, band + 1, window=Window(0, top, rows.shape[-1], rows.shape[-2]))
        require_whole(temporary, tag)
    return Path(path)


def in_days(dates):
    """Dates as whole days, as a composite has them before something decodes them."""
    days = (dates - np.datetime64(0, "D")) / np.timedelta64(1, "D")
    return days.astype("float32").assign_attrs(dates.attrs, units="days since 1970-01-01")


def require_whole(path, tag):
    """OSError where a GeoTIFF lacks its tag or a block: GDAL tells nobody of a disk full at closing."""
    size = path.stat().st_size
    with rasterio.open(path) as file:

        def number(what, row, column, band):
            return int(file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band) or size + 1)

        blocks = [(*block, band) for band in file.indexes for block, _ in file.block_windows(band)]
        ends = [number("OFFSET", *block) + number("SIZE", *block) for block in blocks]
        if file.tags().get(TAG) != tag or max(ends) > size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def band_attrs(raster):
    """What a Dataset's variables know that a GeoTIFF's bands cannot hold."""
    if not hasattr(raster, "data_vars"):
        return {}
    known = {
        name: {key: plain(value) for key, value in v.attrs.items()} | {"dtype": v.dtype.name}
        for name, v in raster.data_vars.items()
    }
    return {"bands": known}


def plain(value):
    """A value as JSON knows it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def write_outlines(outlines, path, *, schema=None):
    """Write outlines whole or not at all; `open_inventory` gives back what was written.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
    path : path
        Its ending says the format: .gpkg (GeoPackage, layer as the file is called), .parquet or .geoparquet
        (GeoParquet), .shp, .geojson or .json, .fgb (FlatGeobuf). The first two keep `attrs`. Names in a
        shapefile have ten letters at most: `io.schemas.SHORT` says what glacierlab's own become, and
        `open_inventory` turns them back; other names are cut and numbered, and dates become text.
    schema : "rgi7", optional
        Write the RGI 7.0 glacier product's columns, types and order, in degrees on WGS84, other columns
        after; what is not known gets RGI 7.0's code for it, NaN or "". Default: as the outlines are.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InventoryError
        These are no outlines with a CRS, two columns share a name, or the ending is none of these; with a
        schema, rings cross themselves.
    UnknownNameError
        `schema` is another.
    WriteError

    Warns
    -----
    DataWarning
        A shapefile cuts names, or texts of more than 254 bytes.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> glaciers = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_outlines(glaciers, f"{folder}/glaciers.parquet")
    ...     print(path.name, len(gl.open_inventory(path)) == len(glaciers))
    glaciers.parquet True
    """
    path = Path(path)
    require_writable(outlines, path)
    if schema is not None:
        in_schema = lookup(SCHEMAS, schema, kind="schema")
        require_valid(outlines, f"schema={schema!r}")
        outlines = in_schema(outlines)
    with whole_file(path) as temporary:
        write_vector(outlines, temporary, layer=path.stem)
    return path


def require_writable(outlines, path):
    """InventoryError unless these are outlines and the path's ending is one that we write."""
    if not hasattr(outlines, "to_file") or outlines.crs is None:
        raise InventoryError(
            "write_outlines needs outlines with a CRS (a GeoDataFrame): set it with outlines.set_crs(...)."
        )
    if path.suffix.lower() not in (*DRIVERS, *PARQUET):
        raise InventoryError(f"{path.name} ends in none of {', '.join((*DRIVERS, *PARQUET))}: name a format.")
    if not outlines.columns.is_unique:
        twice = sorted(set(outlines.columns[outlines.columns.duplicated()]))
        raise InventoryError(f"{twice} are the names of several columns: rename or drop all but one.")
    if path.suffix.lower() == ".gpkg":
        require_names_of_a_database(outlines)


def require_names_of_a_database(outlines):
    """InventoryError where columns differ by case alone, or would be a GeoPackage's own numbers of rows."""
    names = outlines.columns[outlines.columns.str.lower().duplicated(keep=False)].tolist()
    own = [
        name
        for name in outlines
        if name.lower() == "fid" and (outlines[name].dtype.kind not in "iu" or not outlines[name].is_unique)
    ]
    if names or own:
        raise InventoryError(
            f"A GeoPackage cannot have the columns {names or own}: to it small letters and capitals are one, "
            "and 'fid' is the number of a row. Rename them."
        )


def write_vector(outlines, path, **options):
    """Write outlines to a path that may be half-written."""
    ending = path.suffix.lower()
    known = json.dumps(outlines.attrs, default=plain)
    if ending in PARQUET:
        try:
            outlines.to_parquet(path)
        except (ArrowInvalid, ArrowTypeError) as error:
            raise InventoryError(f"A column holds values of several types: {one_line(error)}") from error
        table = parquet.read_table(path)  # geopandas takes no metadata to write
        named = {**table.schema.metadata, METADATA.encode(): known.encode()}
        parquet.write_table(table.replace_schema_metadata(named), path)
        return
    if ending == ".shp":
        outlines, options = for_shapefile(outlines, path.name), {}
    if ending == ".gpkg":
        options["layer_metadata"] = {METADATA: known}
    if ending == ".fgb":
        options["SPATIAL_INDEX"] = "NO"  # which would turn the rows' order
    outlines.to_file(path, driver=DRIVERS[ending], engine="pyogrio", **options)


def for_shapefile(outlines, name):
    """Outlines as a shapefile can hold them; a DataWarning tells what it cuts."""
    short = short_names(outlines.columns.drop(outlines.geometry.name))
    if short:
        told = ", ".join(f"{long} → {brief}" for long, brief in short.items())
        warn(f"{name}: a shapefile's names have ten letters at most: {told}. A GeoPackage keeps names.")
    outlines = outlines.rename(columns=short)
    cut = []
    for column in outlines.columns.drop(outlines.geometry.name):
        values = outlines[column]
        if values.dtype.kind == "M":
            outlines[column] = [iso_range(value) for value in values]
        elif values.dtype.kind not in "biuf" and max((len(str(v).encode()) for v in values), default=0) > 254:
            cut.append(column)
            outlines[column] = [str(v).encode()[:254].decode(errors="ignore") for v in values]
    if cut:
        warn(f"{name}: a shapefile's texts have 254 bytes at most, and those of {cut} are cut there.")
    return outlines


def write_text(text, path):
    """Write a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)
