"""Layers from other grids: reprojected, resampled, and named where they came from."""

import warnings
from functools import partial
from os import PathLike
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj.crs import GeographicCRS
from pyproj.crs.datum import CustomDatum, CustomPrimeMeridian
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points

from ..errors import DataWarning, GlacierlabError, GridError, SceneError
from ..tables import lookup
from .bands import BandFile, crs_name, open_bands, pixel_size, same_pixels, same_projection
from .files import open_tags
from .layers import require_crs, transform_of
from .radiometry import FLAGS, apply_decode
from .scene import existing
from .shapes import beside

RESAMPLING = {name: Resampling[name] for name in ("nearest", "bilinear", "cubic", "average")}
WRAPS = {"phase": (-np.pi, np.pi), "aspect": (0.0, 360.0)}  # where a layer's last value meets its first
UNITS = {"elevation": "m", "coherence": "1", "phase": "radians", "aspect": "degrees"}
BLOCK = (1024, 1024)  # pixels read or made at a time, where the caller has no chunks
TOLERANCE = 1e-6  # pixels: GDAL's own 0.125 depends on where a block begins
WHOLE = 0.9999  # of the scene; the rest is rounding


def add_layer(scene, name, source, *, resampling=None, band=None, wraps=None):
    """Bring a raster onto the scene's grid and add it as a layer; lazy if the scene or the raster is.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x) or (time, y, x), with a CRS.
    name : str
        Of the new variable, such as "elevation" or "coherence". Names that the scene has are refused.
    source : path or xarray.DataArray
        A GeoTIFF or what else GDAL reads, or (y, x) in any CRS, with either axis either way. Its declared
        nodata and infinities become NaN, its declared scale is applied. What is neither boolean nor has
        `flag_values` counts as a quantity, whole numbers too: heights are often stored so.
    resampling : {"nearest", "bilinear", "cubic", "average"}, optional
        By default the mean of the pixels below where the scene's are larger, else bilinear; nearest for
        booleans and flags. Say "nearest" for other class codes.
    band : int, optional
        Which of the file's bands, from 1, where it has several.
    wraps : (float, float), optional
        Where the values' end meets their beginning: (0, 360) for directions in degrees. They are resampled
        by sine and cosine, for 359 and 1 have 0 between them, not 180. By default -π to π for `phase`, 0 to
        360 for `aspect`; an unwrapped phase wants another name.

    Returns
    -------
    xarray.Dataset
        The scene with `name` (y, x) float32, NaN where the raster has none. Its attributes say `source`,
        `source_crs`, `source_pixel_size` [units of that CRS], `resampling` ("none" on the same grid) and
        `coverage`, the share of the scene within the raster's bounds (holes not counted).

    Raises
    ------
    GridError
        Scene or raster has no CRS or other dims than (y, x), or they do not overlap.
    GlacierlabError
        The name is taken, reserved, or no name.
    SceneError
        The file cannot be read, or has several bands and none is chosen.
    UnknownNameError
        No such resampling.

    Warns
    -----
    DataWarning
        The raster covers part of the scene; the message has the share.

    Notes
    -----
    GDAL resamples, with positions exact to a millionth of a pixel, so that chunks change no more than a last
    bit; between CRS that takes about four times as long as with its own eighth of a pixel. Neighbors that
    are NaN are left out of a mean, and a pixel whose nearest one is NaN stays NaN unless it is an average.
    Only what lies below the scene is read. Heights keep their datum, a geoid or an ellipsoid.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(shape=(64, 64))
    >>> coarse = scene["nir"].coarsen(y=4, x=4).mean().rio.write_crs(scene.rio.crs)
    >>> add_layer(scene, "smooth_nir", coarse).smooth_nir.attrs["resampling"]
    'bilinear'
    """
    require_new_name(scene, name)
    if not isinstance(source, xr.DataArray | str | PathLike):
        raise GlacierlabError(f"A layer comes from a path or a DataArray, not from {type(source).__name__}.")
    method = None if resampling is None else lookup(RESAMPLING, resampling, kind="resampling")
    chunks = chunks_of(scene)
    given = isinstance(source, xr.DataArray)
    raster = source if given else open_layer(source, name, band)
    wraps = WRAPS.get(name) if wraps is None else wraps
    if wraps is not None and not (np.shape(wraps) == (2,) and wraps[0] < wraps[1]):
        raise GlacierlabError(f"wraps={wraps} is no interval: give (low, high), such as (0, 360).")
    grid, own = geobox_of(scene, "add_layer"), geobox_of(raster, f"The layer {name!r}")
    raster = require_layer(raster)
    covered = coverage(grid, own, name)
    if covered < WHOLE:
        warnings.warn(
            f"{name!r} covers {covered:.1%} of the scene; the rest is NaN.", DataWarning, stacklevel=2
        )
    if method is None:
        method = default_resampling(raster, own, grid)
    values = on_grid(raster, grid, method, chunks, wraps)
    if chunks is None and not given:
        values = values.compute(scheduler="threads")
    attrs = {key: raster.attrs[key] for key in ("long_name", "units") if key in raster.attrs}
    attrs = ({"units": UNITS[name]} if name in UNITS else {}) | attrs | {"kind": "layer"}
    attrs |= {
        "source": str(source.name or "array") if given else Path(source).name,
        "source_crs": crs_name(own.crs),
        "source_pixel_size": pixel_size(own),
        "resampling": "none" if aligned(own, grid) else method.name,
        "coverage": round(covered, 4),
    }
    layer = xr.Variable(("y", "x"), values, attrs, {"grid_mapping": scene.rio.grid_mapping})
    return scene.assign({name: layer})


def at_pixel_size(scene, size):
    """A scene's bands and layers (y, x) at another pixel size [units of the CRS]; its flags are left out.

    Averaged where pixels grow, else bilinear; lazy if the scene is, NaN beyond its border.
    """
    own = geobox_of(scene, "Resampling")
    grid = own.zoom_to(resolution=size)
    chunks = chunks_of(scene)
    chunks = None if chunks is None else tuple(max(map(max, chunks)) for _ in grid.shape)
    layers = {}
    for name, layer in scene.data_vars.items():
        if name in FLAGS or "flag_values" in layer.attrs or layer.dtype.kind not in "iuf":
            continue
        values = on_grid(layer, grid, default_resampling(layer, own, grid), chunks, WRAPS.get(name))
        layers[name] = (("y", "x"), values, layer.attrs)
    x, y = (
        grid.affine.c + grid.affine.a * (np.arange(grid.shape[1]) + 0.5),
        grid.affine.f + grid.affine.e * (np.arange(grid.shape[0]) + 0.5),
    )
    return xr.Dataset(layers, {"y": y, "x": x}, scene.attrs).rio.write_crs(scene.rio.crs)


def require_new_name(scene, name):
    """GlacierlabError for a name that is no identifier, reserved, or taken."""
    if not isinstance(name, str) or not name.isidentifier():
        raise GlacierlabError(f"{name!r} is no name for a layer: take letters, digits and underscores.")
    if name in FLAGS:
        raise GlacierlabError(f"{name!r} is kept for whole-number flags: give the layer another name.")
    if name in scene.variables or name in scene.dims:
        raise GlacierlabError(f"The scene has {name!r} already: drop it first (scene.drop_vars), or rename.")


def open_layer(path, name, band):
    """A band of a file as a lazy DataArray (y, x) float32."""
    path = existing(path)
    count, _, scales, offsets, *_ = open_tags(path)
    if band is None and count > 1:
        raise SceneError(f"{path} has {count} bands: say which one with band=1 to {count}.")
    index = 1 if band is None else band
    if index not in range(1, count + 1):
        raise SceneError(f"{path} has {count} band{'s' * (count > 1)}; band={band} is none of them.")
    scale = {"gain": scales[index - 1], "add": offsets[index - 1]}
    source = BandFile(name, str(path), index, kind="layer", scale=scale)
    return open_bands([source], chunks=dict(zip(("y", "x"), BLOCK, strict=True)))[name]


def chunks_of(scene):
    """The chunks along y and x of a scene's first lazy variable; None where all is in memory."""
    for variable in scene.data_vars.values():
        if variable.chunks is not None and {"y", "x"} <= set(variable.dims):
            return tuple(variable.chunksizes[dim] for dim in ("y", "x"))
    return None


def geobox_of(raster, needed_by):
    """A raster's shape, transform and CRS, from its coordinates; GridError where one is missing."""
    crs = require_crs(raster, needed_by)
    if missing := [dim for dim in ("y", "x") if dim not in raster.dims or dim not in raster.coords]:
        raise GridError(f"{needed_by} needs coordinates in y and x; {missing} are missing: rename or assign.")
    return GeoBox((raster.sizes["y"], raster.sizes["x"]), transform_of(raster), crs.to_wkt())


def require_layer(raster):
    """A raster of real numbers without its dimensions of one (band); GridError unless (y, x) remain."""
    raster = raster.squeeze([dim for dim in raster.dims if dim not in ("y", "x") and raster.sizes[dim] == 1])
    if set(raster.dims) != {"y", "x"}:
        raise GridError(f"A layer has dims (y, x), not {raster.dims}: choose one with isel.")
    if raster.dtype.kind not in "biuf":
        raise GridError(f"A layer holds real numbers, not {raster.dtype}: take its parts, or its coherence.")
    return raster


def aligned(own, grid):
    """Whether two GeoBoxes have the same pixels."""
    return same_projection(own.crs, grid.crs) and same_pixels(own, grid)


def positions(grid, own, rows, columns):
    """Where points of a grid, by row and column of its pixels' corners, lie in another: (rows, columns).

    Columns in degrees go on across 180°.
    """
    x, y = grid.affine * (columns.ravel(), rows.ravel())
    if not same_projection(grid.crs, own.crs):
        x, y = (np.array(v) for v in transform_points(grid.crs.to_wkt(), own.crs.to_wkt(), x, y))
        if own.crs.geographic:
            known = np.isfinite(x)
            x[known] = beside(x[known], x[known][:1])
    x, y = ~own.affine * (x, y)
    return y, x


def coverage(grid, own, name):
    """The share of a grid within another's bounds; GridError where there is none."""
    rows, columns = grid.shape
    rim = shapely.segmentize(shapely.box(0, 0, columns, rows), max(grid.shape) / 20)  # bent in the other CRS
    y, x = positions(grid, own, *shapely.get_coordinates(rim).T[::-1])
    if not np.isfinite([x, y]).all():
        raise GridError(f"The scene lies outside {crs_name(own.crs)}, the CRS of {name!r}: check both.")
    footprint = shapely.Polygon(np.column_stack([x, y]))
    inside = sum(
        footprint.intersection(shapely.box(at, 0, at + own.shape[1], own.shape[0])).area
        for at in turns_of(own, x.min(), x.max())
    )
    if inside > 0:
        return inside / footprint.area
    x, y = own.affine * (x, y)
    bounds = [own.boundingbox.bbox, (x.min(), y.min(), x.max(), y.max())]
    its, the_scenes = (", ".join(f"{v:.7g}" for v in b) for b in bounds)
    raise GridError(
        f"{name!r} does not overlap the scene: its bounds (west, south, east, north) in {crs_name(own.crs)} "
        f"are ({its}), the scene's ({the_scenes}). Check the file and its CRS."
    )


def default_resampling(raster, own, grid):
    """Nearest for booleans and flags, the mean where pixels grow, else bilinear."""
    if raster.dtype.kind == "b" or "flag_values" in raster.attrs:
        return Resampling.nearest
    middle = np.array(grid.shape) / 2
    y, x = positions(grid, own, middle[0] + np.array([0, 1, 0]), middle[1] + np.array([0, 0, 1]))
    area = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
    return Resampling.average if area > 1.001**2 else Resampling.bilinear


def on_grid(raster, grid, resampling, chunks=None, wraps=None):
    """Values (y, x) float32 of a raster on a GeoBox, with these chunks; in memory only if the raster is
    and `chunks` is None.
    """
    raster, own = require_layer(raster), geobox_of(raster, "Resampling")
    values = apply_decode(raster.transpose("y", "x"), {}, raster.rio.nodata).data
    return regridded(values, own, grid, resampling, chunks, wraps)


def regridded(values, own, grid, resampling, chunks=None, wraps=None):
    """Values (y, x) float32 of the GeoBox `own` on another, as `on_grid` does it."""
    lazy = chunks is not None or not isinstance(values, np.ndarray)
    if aligned(own, grid):
        return da.asarray(values).rechunk(chunks or values.chunks) if lazy else values
    rows, columns = (
        [slice(end - size, end) for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True)]
        for sizes in da.core.normalize_chunks(chunks or BLOCK, grid.shape, dtype=np.float32)
    )
    part = partial(part_on_grid, values, own, resampling=resampling, wraps=wraps)
    blocks = da.block([[part(grid[row, column]) for column in columns] for row in rows])
    return blocks if lazy else blocks.compute(scheduler="threads")


def part_on_grid(values, own, part, resampling, wraps):
    """A part of the grid as one block of a dask array, from the source's pixels below it and no others."""
    found = below(values, own, part)
    if found is None:
        return da.full(tuple(part.shape), np.float32(np.nan))
    values, own = found
    resample = partial(resampled, own=own, grid=part, resampling=resampling, wraps=wraps)
    block = dask.delayed(resample, pure=False)(values)
    return da.from_delayed(block, part.shape, meta=np.empty((0, 0), np.float32))


def below(values, own, grid):
    """What a source (y, x) holds below a grid, and its GeoBox; None where that is nothing.

    No other pixels are read. A source in degrees that closes around the globe goes on across its ends.
    """
    rows, columns = np.meshgrid(*(np.linspace(0, n, 9) for n in grid.shape), indexing="ij")
    found = np.array(positions(grid, own, rows, columns))
    found = found[:, np.isfinite(found).all(axis=0)]
    if not found.size:
        return None
    # Neighbors of a cubic, and what bends between the points looked at.
    margin = 3 + np.ptp(found, axis=1) * np.maximum(0.05, 3 / np.array(grid.shape))
    top, left = np.floor(found.min(axis=1) - margin).tolist()
    bottom, right = np.ceil(found.max(axis=1) + margin).tolist()
    rows = slice(int(max(0, top)), int(min(own.shape[0], bottom)))
    turns, width = turns_of(own, left, right), own.shape[1]
    turn, count = 360 / abs(own.affine.a), int(right - left)
    if not len(turns):
        return None
    if len(turns) == 1:
        start, stop = int(max(0, left - turns[0])), int(min(width, np.ceil(right - turns[0])))
        values, left = values[rows, start:stop], turns[0] + start
    elif abs(turn - round(turn)) < 0.01 and count < turn < width + 0.5:  # it closes
        turn = round(turn)
        start = int(left % turn)
        values = values[rows, start : min(start + count, turn)], values[rows, : max(0, start + count - turn)]
        values = np.concatenate(values, axis=1)
    else:
        values, left = values[rows], 0
    if 0 in values.shape:
        return None
    return values, GeoBox(values.shape, own.affine * Affine.translation(left, rows.start), own.crs)


def turns_of(own, left, right):
    """Where columns `left` to `right` meet a source: an offset [columns] for each turn of the globe."""
    if not own.crs.geographic:
        return np.zeros(1)
    turn = 360 / abs(own.affine.a)
    return turn * np.arange(np.floor((left - own.shape[1]) / turn) + 1, np.ceil(right / turn))


def resampled(values, own, grid, resampling, wraps):
    """Values (y, x) of the GeoBox `own` on the GeoBox `grid`, float32."""
    if wraps is None or resampling == Resampling.nearest:
        return warp(values[np.newaxis], own, grid, resampling)[0]
    low, high = wraps
    angle = (values - np.float32(low)) * np.float32(2 * np.pi / (high - low))
    sine, cosine = warp(np.stack([np.sin(angle), np.cos(angle)]), own, grid, resampling)
    turned = np.mod(np.arctan2(sine, cosine) / np.float32(2 * np.pi), 1) * np.float32(high - low)
    turned += np.float32(low)
    return np.where(turned >= np.float32(high), np.float32(low), turned)


def warp(values, own, grid, resampling):
    """GDAL's warp of (band, y, x) float32 from one GeoBox to another, NaN for what is not finite."""
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    west, _, east, _ = own.boundingbox.bbox
    crs = own.crs.to_wkt()
    onto = crs if same_projection(own.crs, grid.crs) else grid.crs.to_wkt()
    if onto != crs and own.crs.geographic and (west < -180 or east > 180):
        middle = round((west + east) / 2)  # GDAL's longitudes end 180 from their meridian: from this one
        datum = CustomDatum(ellipsoid=own.crs.proj.ellipsoid, prime_meridian=CustomPrimeMeridian(middle))
        crs, own = GeographicCRS(datum=datum).to_wkt(), own.translate_pix(-middle / own.affine.a, 0)
    shape = dict(count=len(values), height=own.shape[0], width=own.shape[1])
    target = dict(crs=onto, transform=grid.affine, height=grid.shape[0], width=grid.shape[1])
    # Without the scales GDAL takes them from the block, and a block's neighbor gets others.
    exact = dict(tolerance=TOLERANCE, XSCALE=1, YSCALE=1, src_nodata=np.nan, nodata=np.nan)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", dtype="float32", crs=crs, transform=own.affine, nodata=np.nan, **shape
        ) as file:
            file.write(values)
        with memory.open() as file, WarpedVRT(file, resampling=resampling, **target, **exact) as warped:
            return warped.read()
