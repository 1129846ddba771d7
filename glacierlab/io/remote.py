"""Reading files over HTTP with odc-stac, at exact positions, within bounded times."""

import re
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import numpy as np
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.loader import RioDriver
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from ..errors import SceneError
from .align import TOLERANCE
from .assets import DEGREES, outline_of
from .bands import one_line, pixel_size, same_projection

PASS = "pass"  # the property that odc-stac groups by
MARGIN_DEGREES = 1e-3  # around a file, whose sides bend in degrees
RETRIES = 1
QUICK_SECONDS = 0.5
EPOCH = datetime(2000, 1, 1)
DTYPES = {"scl": "uint8"}  # of stored numbers; others are uint16
METRES_PER_DEGREE = 111_320


def gdal_options(timeout):
    """GDAL's settings for files of the web: no listing of folders, and no wait without end."""
    return rasterio.Env(
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
        GDAL_HTTP_CONNECTTIMEOUT=str(min(10, timeout)),
        GDAL_HTTP_TIMEOUT=str(timeout),
        GDAL_HTTP_MAX_RETRY=str(RETRIES),
        GDAL_HTTP_RETRY_DELAY="0.5",
        CPL_VSIL_CURL_USE_HEAD="NO",
    )


def read_passes(members, grid, chunks):
    """Stored numbers (time, y, x) by band, lazily, on a GeoBox; time is the number of the pass.

    `members` are (pass, GeoBox, `BandFile` by band), all with the same bands, either flags or not. Of a pass
    the first file with data counts.
    """
    import odc.stac

    names, file = list(members[0][2]), next(iter(members[0][2].values()))
    loaded = odc.stac.load(
        [bare_item(rank, *member) for rank, member in enumerate(members)],
        names,
        geobox=grid,
        groupby=PASS,
        chunks=chunks if isinstance(chunks, dict) else {"y": chunks, "x": chunks},
        resampling="nearest" if file.kind == "flags" else "bilinear",
        dtype=DTYPES.get(file.native, "uint16"),
        nodata=file.nodata,
        driver=ExactDriver(),
    )
    time = {"time": sorted({number for number, *_ in members})}
    return {name: xr.DataArray(loaded[name].data, time, ("time", "y", "x")) for name in names}


def bare_item(rank, number, own, files):
    """A STAC item that says where its files lie and when it is their turn, and nothing to misread."""
    import pystac

    outline = outline_of(own, DEGREES).buffer(MARGIN_DEGREES)
    when = EPOCH + timedelta(days=number)
    item = pystac.Item(f"{rank:06d}", outline.__geo_interface__, list(outline.bounds), when, {PASS: number})
    for name, file in files.items():
        item.add_asset(name, pystac.Asset(file.path, media_type="image/tiff"))
    return item


class ExactDriver(RioDriver):
    """odc-stac's reader of rasters, with a `read` that does not depend on chunks and names what failed."""

    def open(self, src, ctx):
        return ExactReader(src.uri)


class ExactReader:
    """One file."""

    def __init__(self, path):
        self.path = path

    def read(self, cfg, dst_geobox, *, dst=None, selection=None):
        """Slices of the grid, and the stored numbers there."""
        window = partial(read_window, self.path, dst_geobox, cfg.resampling == "nearest", cfg.fill_value)
        began = monotonic()
        try:
            values = window()
        except RasterioError as error:
            if monotonic() - began > QUICK_SECONDS:
                raise self.failure(error) from error
            values = self.once_more(window)
        if dst is not None:
            dst[...] = values
        return np.s_[0 : values.shape[0], 0 : values.shape[1]], values

    def once_more(self, window):
        """Ask the server: GDAL remembers for good that a file was not there, and fails at once."""
        try:
            with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=f"/vsicurl/{self.path}"):
                return window()
        except RasterioError as error:
            raise self.failure(error) from error

    def failure(self, error):
        """What to tell of an error of GDAL's."""
        return SceneError(
            f"{unsigned(self.path)} cannot be read ({unsigned(one_line(error))}). Try again, or leave the "
            "scene out; addresses signed long ago need a new search."
        )


def unsigned(text):
    """A text without what signs its addresses."""
    return re.sub(r"\?[^\s')]*", "", text)


def read_window(path, grid, flags, nodata):
    """Stored numbers (y, x) of a file on a GeoBox, from the coarsest overview whose pixels are not larger."""
    with rasterio.open(path, sharing=False) as file:
        if file.crs is None:
            raise SceneError(f"{unsigned(path)} has no CRS: leave the scene out.")
        own = GeoBox(file.shape, file.transform, file.crs.to_wkt())
        finer = [i for i, n in enumerate(file.overviews(1)) if n * meters(own) <= 1.001 * meters(grid)]
        nodata = nodata if file.nodata is None else file.nodata
    options = {"overview_level": finer[-1]} if finer else {}
    with rasterio.open(path, sharing=False, **options) as file:
        own = GeoBox(file.shape, file.transform, own.crs)
        warp = dict(crs=grid.crs.to_wkt(), transform=grid.affine, height=grid.shape[0], width=grid.shape[1])
        warp |= dict(src_nodata=nodata, nodata=nodata, tolerance=TOLERANCE, XSCALE=1, YSCALE=1)
        with WarpedVRT(file, resampling=resampling(own, grid, flags), **warp) as warped:
            return warped.read(1)


def resampling(own, grid, flags):
    """Nearest for flags and where pixels coincide; else bilinear, or the mean where pixels grow."""
    if flags or coincide(own, grid):
        return Resampling.nearest
    return Resampling.average if meters(grid) > 1.001 * meters(own) else Resampling.bilinear


def coincide(own, grid):
    """Whether the pixels of two GeoBoxes are the same where both have some."""
    step = pixel_size(own)
    if not same_projection(own.crs, grid.crs) or abs(pixel_size(grid) - step) > 1e-6 * step:
        return False
    apart = (grid.affine.c - own.affine.c) / step, (grid.affine.f - own.affine.f) / step
    return all(abs(pixels - round(pixels)) < 1e-3 for pixels in apart)


def meters(grid):
    """Pixel size, roughly where the CRS is in degrees."""
    return pixel_size(grid) * (METRES_PER_DEGREE if grid.crs.geographic else 1.0)
