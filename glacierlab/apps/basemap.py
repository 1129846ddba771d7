"""Tiles of a map server below everything else: GDAL fetches them, and warps them once into the map's CRS."""

import shutil
import time
import weakref
from tempfile import mkdtemp
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT

from ..errors import GlacierlabError

HALF_WORLD = 20037508.342789244  # meters, of Web Mercator
DEEPEST = 19  # zoom level
PATIENCE_S = 5  # for a tile
MOST_BYTES = 2**28  # of tiles kept in a temporary folder
REST_S = 60  # after tiles did not come
GONE = "204,400,401,403,404,410,429,500,502,503,504"  # answers that leave a tile clear
DESCRIPTION = """<GDAL_WMS>
<Service name="TMS"><ServerUrl>{url}</ServerUrl></Service>
<DataWindow><UpperLeftX>-{half}</UpperLeftX><UpperLeftY>{half}</UpperLeftY><LowerRightX>{half}</LowerRightX>
<LowerRightY>-{half}</LowerRightY><TileLevel>{deepest}</TileLevel><TileCountX>1</TileCountX>
<TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow>
<Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
<BandsCount>4</BandsCount><MaxConnections>4</MaxConnections><Timeout>{patience}</Timeout>
<ZeroBlockHttpCodes>{gone}</ZeroBlockHttpCodes><ZeroBlockOnServerException>true</ZeroBlockOnServerException>
<Cache><Path>{folder}</Path><MaxSize>{most}</MaxSize></Cache><UserAgent>glacierlab</UserAgent></GDAL_WMS>"""


class Basemap:
    """Tiles as `Pictures` of one name: "basemap".

    Parameters
    ----------
    template : str
        Address with {z}, {x} and {y}, in Web Mercator, rows counted from the north.

    Raises
    ------
    GlacierlabError
        The address is none of HTTP, or lacks one of the three.
    """

    names = ("basemap",)

    def __init__(self, template):
        if not template.startswith(("http://", "https://")) or not all(
            k in template for k in ("{z}", "{x}", "{y}")
        ):
            raise GlacierlabError(
                f"basemap={template[:80]!r} is no address of tiles: give one such as "
                "'https://tiles.example.org/{z}/{x}/{y}.png'."
            )
        url = template
        for key in "zxy":
            url = url.replace("{" + key + "}", "${" + key + "}")
        folder = mkdtemp(prefix="glacierlab-tiles-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)  # also when Python ends
        self._about = DESCRIPTION.format(
            url=escape(url), folder=escape(folder), most=MOST_BYTES, half=HALF_WORLD, deepest=DEEPEST,
            patience=PATIENCE_S, gone=GONE,
        )  # fmt: skip
        self._resting = 0.0

    def render(self, name, bounds, shape, stretch=None, crs=None):
        """A picture (height, width, 4) uint8 of a window in `crs`, clear where no tile came."""
        height, width = shape
        if time.monotonic() < self._resting:
            return np.zeros((height, width, 4), np.uint8)
        grid = dict(
            crs=crs.to_wkt(), transform=from_bounds(*bounds, width, height), width=width, height=height
        )
        try:
            with (
                rasterio.Env(GDAL_HTTP_TIMEOUT=PATIENCE_S, GDAL_HTTP_CONNECTTIMEOUT=PATIENCE_S),
                rasterio.open(self._about, **level_for(grid)) as tiles,
                WarpedVRT(tiles, resampling=Resampling.bilinear, **grid) as warped,
            ):
                return np.moveaxis(warped.read(), 0, -1)
        except RasterioError:
            self._resting = time.monotonic() + REST_S
            return np.zeros((height, width, 4), np.uint8)


def level_for(grid):
    """Opening options for the tiles whose pixels are about as large as a grid's, in the middle of it."""
    x, y = grid["width"] / 2, grid["height"] / 2
    near = [grid["transform"] * (x + dx, y + dy) for dx, dy in ((0, 0), (1, 0), (0, 1))]
    x, y = Transformer.from_crs(grid["crs"], "EPSG:3857", always_xy=True).transform(*zip(*near, strict=True))
    pixel = min(np.hypot(x[k] - x[0], y[k] - y[0]) for k in (1, 2))
    halvings = int(np.clip(np.rint(np.log2(pixel / (2 * HALF_WORLD / 256 / 2**DEEPEST))), 0, DEEPEST))
    return {"OVERVIEW_LEVEL": halvings - 1} if halvings else {}
