"""Band files on one grid: reading, resampling, decoding."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import dask.array
import numpy as np
import rasterio
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from ..errors import GridError, SceneError
from .radiometry import apply_decode, physical_attrs

MAX_PIXELS = 1e11  # of a grid; a Sentinel-2 tile at 1 m has a tenth of it


@dataclass(frozen=True)
class BandFile:
    """Where a variable of a scene lies, and how its stored numbers become values."""

    name: str  # common band name, or elevation, qa
    path: str  # what rasterio opens
    index: int = 1
    native: str = ""
    kind: str = "reflective"  # "thermal", "flags" and "layer" (elevation) are never reflectance
    nodata: float | None = None  # where the file does not say
    scale: dict = field(default_factory=dict)  # gain, add, k1, k2; empty where nothing says
    attrs: dict = field(default_factory=dict)  # of the variable; `dtype` is that of flags stored as floats

    @property
    def where(self):
        """For messages."""
        return f"{self.path.rsplit('/', 1)[-1]} band {self.index}"


@dataclass(frozen=True)
class SceneFiles:
    """What a product's reader found: its bands, and what is known of the scene."""

    bands: tuple[BandFile, ...]
    attrs: dict  # sensor, radiometry of the decoded values, datetime, sun angles
    mixed_pixels: bool = False  # whether bands of several pixel sizes belong to the product


def read_grid(source):
    """The file's GeoBox (shape, transform, CRS), nodata and dtype."""
    try:
        with rasterio.open(source.path) as file:
            if source.index > file.count:
                raise SceneError(f"{source.path} has {file.count} bands; band {source.index} was asked for.")
            box = GeoBox(file.shape, file.transform, file.crs.to_wkt() if file.crs else None)
            nodata, dtype = file.nodata, file.dtypes[source.index - 1]
    except RasterioError as error:
        raise SceneError(f"{source.path} cannot be read as a raster: {one_line(error)}") from error
    if abs(box.affine.b) + abs(box.affine.d) > 1e-6 * pixel_size(box):
        raise GridError(f"{source.path} is a rotated image: warp it north up first (gdalwarp).")
    return box, source.nodata if nodata is None else nodata, np.dtype(dtype)


def one_line(error):
    """An error's message without line breaks; its cause's where it has one."""
    return " ".join(str(error.__cause__ or error).split())


def same_projection(first, second):
    """Equal, or the same projection and ellipsoid where one of them has no EPSG code and names no datum."""
    if first == second:
        return True
    if first is None or second is None or (first.epsg and second.epsg):
        return False
    described = []
    for crs in (first.proj, second.proj):
        parameters = crs.coordinate_operation.params if crs.coordinate_operation else ()
        described.append(({p.name: p.value for p in parameters}, crs.ellipsoid and crs.ellipsoid.name))
    return described[0] == described[1] and bool(described[0][0])


def common_grid(grids, resolution, mixed_pixels):
    """The grid for all bands: the finest, or `resolution` [units of the CRS] on its extent."""
    names, boxes = list(grids), list(grids.values())
    spectral = [box for name, box in grids.items() if name != "pan"]  # pan alone does not sharpen the others
    finest = min(spectral or boxes, key=pixel_size)
    for name, box in grids.items():
        if not same_projection(box.crs, finest.crs):
            raise GridError(
                f"The bands have different CRS: {name!r} has {crs_name(box.crs)}, "
                f"another {crs_name(finest.crs)}. Reproject them to one CRS first."
            )
    if resolution is not None:
        if not resolution > 0:
            raise GridError(f"resolution={resolution} is no pixel size: give a positive number.")
        pixels = finest.shape[0] * finest.shape[1] * (pixel_size(finest) / resolution) ** 2
        if pixels > MAX_PIXELS:
            raise GridError(f"resolution={resolution} makes {pixels:.1e} pixels: it is in units of the CRS.")
        own = [box for box in boxes if math.isclose(pixel_size(box), resolution)]
        return own[0] if own else finest.zoom_to(resolution=resolution)
    other = [name for name in names if not same_pixels(grids[name], finest)]
    if other and not mixed_pixels:
        sizes = {name: f"{grids[name].shape[0]} x {grids[name].shape[1]}" for name in names}
        raise GridError(
            f"The bands lie on different pixel grids {sizes}. "
            "Give resolution=... to resample them to one, or open fewer with bands=[...]."
        )
    return finest


def pixel_size(box):
    """The pixel's width in units of the CRS."""
    return abs(box.affine.a)


def crs_name(crs):
    """For messages."""
    if crs is None:
        return "no CRS"
    return f"EPSG:{crs.epsg}" if crs.epsg else f"{crs.proj.name!r} (no EPSG code)"


def same_pixels(first, second):
    """Same shape and corner, to a thousandth of a pixel."""
    tolerance = 1e-3 * pixel_size(second)
    close = np.allclose(first.affine[:6], second.affine[:6], rtol=0, atol=tolerance)
    return first.shape == second.shape and close


def resampling(source, own, grid):
    """Nearest for flags; else bilinear, or the mean where pixels grow."""
    if source.kind == "flags":
        return Resampling.nearest
    return Resampling.average if pixel_size(grid) > 1.001 * pixel_size(own) else Resampling.bilinear


def read_stored(source, own, grid, nodata, window=None):
    """The stored numbers (y, x) of the grid, or of a window of it."""
    try:
        with rasterio.open(source.path) as file:
            if same_pixels(own, grid):
                return file.read(source.index, window=window)
            warp = dict(crs=file.crs, transform=grid.affine, height=grid.shape[0], width=grid.shape[1])
            warp |= dict(resampling=resampling(source, own, grid), src_nodata=nodata, nodata=nodata)
            with WarpedVRT(file, **warp) as warped:
                return warped.read(source.index, window=window)
    except RasterioError as error:
        raise SceneError(f"{source.where} is damaged or cut short: {one_line(error)}") from error


def read_lazily(source, own, grid, nodata, dtype, chunks):
    """The same as a dask array; `chunks` as xarray takes them."""
    if isinstance(chunks, dict):
        chunks = tuple(chunks.get(dim, -1) for dim in ("y", "x"))
    chunks = dask.array.core.normalize_chunks(chunks, grid.shape, dtype=dtype)

    def read_block(block_info):
        window = Window.from_slices(*block_info[None]["array-location"])
        return read_stored(source, own, grid, nodata, window)

    return dask.array.map_blocks(read_block, chunks=chunks, dtype=dtype, meta=np.empty((0, 0), dtype))


def open_bands(sources, *, resolution=None, chunks=None, keep_dn=False, mixed_pixels=False):
    """A Dataset of band files on one grid, decoded.

    Nodata becomes NaN before scaling; flags keep their integers. With `keep_dn` the numbers stay digital
    numbers and each band remembers its scale in its attributes.
    """
    found = {source.name: read_grid(source) for source in sources}
    grid = common_grid({name: box for name, (box, *_) in found.items()}, resolution, mixed_pixels)

    def open_one(source):
        own, nodata, dtype = found[source.name]
        if chunks is None:
            stored = read_stored(source, own, grid, nodata)
        else:
            stored = read_lazily(source, own, grid, nodata, dtype, chunks)
        return source.name, decoded(source, xr.DataArray(stored, dims=("y", "x")), nodata, keep_dn)

    with ThreadPoolExecutor(max_workers=4) as pool:
        variables = dict(pool.map(open_one, sources))
    y, x = grid_coordinates(grid)
    scene = xr.Dataset(variables, coords={"y": y, "x": x})
    if grid.crs is not None:
        scene.rio.write_crs(grid.crs.to_wkt(), inplace=True)
    return scene.rio.write_transform(grid.affine, inplace=True)


def grid_coordinates(grid):
    """Pixel centers (y, x) of a GeoBox whose rows run west to east."""
    rows, columns = grid.shape
    a = grid.affine
    return a.f + a.e * (np.arange(rows) + 0.5), a.c + a.a * (np.arange(columns) + 0.5)


def decoded(source, stored, nodata, keep_dn):
    """A variable with its attributes from stored numbers."""
    attrs = source.attrs | {"kind": source.kind} | ({"native": source.native} if source.native else {})
    dtype = attrs.pop("dtype", stored.dtype)
    if source.kind == "flags":
        return with_attrs(stored.astype(dtype, copy=False), attrs)
    if source.kind == "layer":
        units = {"units": "m"} if source.name == "elevation" else {}
        return with_attrs(apply_decode(stored, source.scale, nodata), attrs | units)
    if keep_dn or not source.scale:
        return with_attrs(apply_decode(stored, {}, nodata), attrs | source.scale | {"units": "DN"})
    value = apply_decode(stored, source.scale, nodata)
    return with_attrs(value, attrs | physical_attrs(attrs, source.scale))


def with_attrs(array, attrs):
    """The array with these attributes and no others."""
    array.attrs = attrs
    return array
