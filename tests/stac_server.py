"""A STAC API and its files on loopback: pages, errors, slow answers, byte ranges, and a log of requests."""

import json
import operator
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin

CORNER = (478_005, 5_784_015)  # west, north [m], UTM 11 north; off a multiple of 30, as Landsat's grids are
CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
]


class Api:
    """What the server answers; tests change it."""

    def __init__(self, folder):
        self.folder, self.items, self.log = Path(folder), [], []
        self.page = 2  # items on one page
        self.token = uuid4().hex  # in addresses of files: GDAL remembers those of a port's last server
        self.status, self.delay, self.text = {}, {}, {}  # by path
        self.conforms = CONFORMS
        self.collections = ("sentinel-2-l2a", "sentinel-2-c1-l2a", "landsat-c2-l2")

    def files_read(self):
        return [path for path in self.log if path.startswith("/files/")]

    def link(self, rel, path, **more):
        return {"rel": rel, "href": self.url + path, "type": "application/geo+json"} | more

    def landing(self):
        links = [
            self.link("self", ""),
            self.link("root", ""),
            self.link("data", "/collections"),
            self.link("search", "/search", method="GET"),
            self.link("search", "/search", method="POST"),
        ]
        about = {"type": "Catalog", "id": "loopback", "description": "made", "stac_version": "1.0.0"}
        return about | {"conformsTo": self.conforms, "links": links}

    def collection(self, name):
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        about = {"type": "Collection", "id": name, "description": "made", "stac_version": "1.0.0"}
        links = [self.link("self", f"/collections/{name}"), self.link("root", "")]
        return about | {"license": "other", "extent": extent, "links": links}

    def search(self, asked):
        found = [item for item in self.items if self.fits(item, asked)]
        first = int(asked.get("token", 0))
        page = found[first : first + self.page]
        links = [self.link("root", "")]
        if first + self.page < len(found):
            body = asked | {"token": first + self.page}
            links.append(self.link("next", "/search", method="POST", body=body, merge=False))
        return {"type": "FeatureCollection", "features": page, "links": links}

    def fits(self, item, asked):
        west, south, east, north = asked["bbox"]
        w, s, e, n = item["bbox"]
        day = item["properties"]["datetime"]
        start, _, end = asked.get("datetime", "../..").partition("/")
        holds = {"lte": operator.le, "lt": operator.lt, "eq": operator.eq}
        for name, tests in asked.get("query", {}).items():
            if not all(holds[kind](item["properties"].get(name), value) for kind, value in tests.items()):
                return False
        return (
            item["collection"] in asked["collections"]
            and (w < east and e > west and s < north and n > south)
            and (start == ".." or day >= start)
            and (end in ("", "..") or day <= end)
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        api, parts = self.server.api, urlsplit(self.path)
        path = parts.path.rstrip("/").removeprefix(f"/{api.token}")
        if path.startswith("/files/"):
            return self.send_file(path, parts.query)
        if path == "/search":
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            asked["bbox"] = [float(value) for value in asked["bbox"].split(",")]
            asked["collections"] = asked["collections"].split(",")
            return self.answer(path, lambda: api.search(asked))
        if path == "/collections":
            listed = lambda: {"collections": [api.collection(c) for c in api.collections], "links": []}
            return self.answer(path, listed)
        if path.startswith("/collections/"):
            name = path.split("/")[2]
            if name not in api.collections:
                return self.send(404, b'{"code": "NotFound", "description": "no such collection"}')
            return self.answer(path, lambda: api.collection(name))
        return self.answer(path, api.landing)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer("/search", lambda: self.server.api.search(asked))

    def answer(self, path, make):
        api = self.server.api
        api.log.append(path or "/")
        time.sleep(api.delay.get(path, 0))
        if path in api.text:
            return self.send(200, api.text[path].encode())
        if path in api.status:
            return self.send(api.status[path], b'{"description": "out of order"}')
        return self.send(200, json.dumps(make()).encode())

    def send_file(self, path, query):
        api = self.server.api
        api.log.append(path + ("?" + query if query else ""))
        time.sleep(api.delay.get(path, 0))
        file = api.folder / path.removeprefix("/files/")
        if path in api.status or not file.is_file():
            return self.send(api.status.get(path, 404), b"no")
        data, asked = file.read_bytes(), re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self.send(200, data)
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        extra = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Accept-Ranges": "bytes"}
        return self.send(206, data[first : last + 1], extra)

    def send(self, status, body, extra=None):
        try:
            self.send_response(status)
            for key, value in ({"Content-Type": "application/json"} | (extra or {})).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the other side gave up waiting


@contextmanager
def serving(folder):
    """An `Api` on a free port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    server.handle_error = lambda request, address: None  # GDAL drops connections that it no longer needs
    server.api = api = Api(folder)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- files and items ----


def write_cog(path, values, step, corner=CORNER, crs="EPSG:32611", nodata=None, overviews="AVERAGE"):
    """A cloud-optimized GeoTIFF of (y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = dict(driver="GTiff", count=1, height=values.shape[0], width=values.shape[1], dtype=values.dtype)
    profile |= dict(crs=crs, transform=from_origin(*corner, step, step), nodata=nodata)
    with rasterio.io.MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(values, 1)
        with memory.open() as file:
            options = dict(BLOCKSIZE=128, OVERVIEW_RESAMPLING=overviews, COMPRESS="DEFLATE")
            copy_raster(file, path, driver="COG", **options)
    return path


def footprint(shape, step, corner, crs):
    """Bounds and ring of a raster in degrees."""
    x, y = corner
    xs, ys = [x, x + shape[1] * step] * 2, [y, y, y - shape[0] * step, y - shape[0] * step]
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(xs, ys)
    ring = [[lon[i], lat[i]] for i in (0, 1, 3, 2, 0)]
    return [min(lon), min(lat), max(lon), max(lat)], {"type": "Polygon", "coordinates": [ring]}


def add_item(
    api, name, collection, assets, when="2020-08-16T18:59:19Z", corner=CORNER, crs="EPSG:32611",
    projection=True, **properties,
):  # fmt: skip
    """Files and an item of `assets`: key → (stored numbers, pixel size [m], fields of the asset)."""
    told = {}
    for key, (values, step, fields) in assets.items():
        quality = key.lower() in ("scl", "qa_pixel")
        path = api.folder / name / f"{key}.tif"
        nodata = (1 if key == "qa_pixel" else 0) if quality else fields.pop("file_nodata", 0)
        write_cog(path, values, step, corner, crs, nodata, "NEAREST" if quality else "AVERAGE")
        own = {"proj:shape": list(values.shape), "proj:transform": [step, 0, corner[0], 0, -step, corner[1]]}
        kind = "image/tiff; application=geotiff; profile=cloud-optimized"
        href = f"{api.url}/{api.token}/files/{name}/{key}.tif"
        told[key] = {"href": href, "type": kind, "roles": ["data"]} | (own if projection else {}) | fields
    values, step, _ = next(iter(assets.values()))
    bbox, geometry = footprint(values.shape, step, corner, crs)
    projected = {"proj:code": crs} if projection else {}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "bbox": bbox,
        "geometry": geometry, "assets": told, "links": [],
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "properties": {"datetime": when, "eo:cloud_cover": 10.0} | projected | properties,
    }  # fmt: skip
    api.items.append(item)
    return item


S2_NAMES = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
}
S2_NAMES |= {
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B11": "swir16",
    "B12": "swir22",
}
LIE = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 1e-4, "offset": -0.1}]}


def add_sentinel_2(
    api, name="S2B_11UMS_20200816_0_L2A", bands=None, style="earth-search", baseline="05.09", applied=None,
    collection="sentinel-2-l2a", platform="sentinel-2b", tile="11UMS", **more,
):  # fmt: skip
    """An item as Earth Search or Planetary Computer describes it; `bands` by native ids, 10 or 20 m."""
    assets = {}
    for native, values in bands.items():
        step = 10 if native in ("B02", "B03", "B04", "B08") else 20
        if style == "earth-search":
            key, common = (S2_NAMES | {"SCL": "scl"})[native], S2_NAMES.get(native, "")
            fields = dict(LIE) if native != "SCL" else {}
        else:
            key = native
            common = "rededge" if native in ("B05", "B06", "B07", "B8A") else S2_NAMES.get(native, "")
            fields = {}
        if common:
            fields["eo:bands"] = [{"name": native, "common_name": common.rstrip("123")}]
        assets[key] = (np.asarray(values, "uint8" if native == "SCL" else "uint16"), step, fields)
    sun = {"view:sun_elevation": 49.5, "view:sun_azimuth": 160.25}
    if style == "planetary-computer":
        platform = platform.replace("sentinel", "Sentinel").replace("2b", "2B").replace("2a", "2A")
        sun = {"s2:mean_solar_zenith": 40.5, "s2:mean_solar_azimuth": 160.25}
        own = {"s2:mgrs_tile": tile}
    else:
        own = {"grid:code": f"MGRS-{tile}"}
    if applied is not None:
        own["earthsearch:boa_offset_applied"] = applied
    own |= {"platform": platform} | ({"s2:processing_baseline": baseline} if baseline else {})
    return add_item(api, name, collection, assets, **(sun | own | more))


L_NAMES = {"B2": "blue", "B3": "green", "B4": "red", "B5": "nir08", "B6": "swir16", "B7": "swir22"}


def add_landsat(api, name="LC08_L2SP_044025_20200816_02_T1", bands=None, platform="landsat-8", **more):
    """An item of Landsat Collection 2 Level 2; `bands` by native ids (B4, B10, QA_PIXEL), 30 m."""
    assets = {}
    for native, values in bands.items():
        key = (L_NAMES | {"B10": "lwir11", "QA_PIXEL": "qa_pixel", "ST_QA": "qa"})[native]
        scale = (
            {"scale": 0.00341802, "offset": 149.0} if key == "lwir11" else {"scale": 2.75e-5, "offset": -0.2}
        )
        assets[key] = (np.asarray(values, "uint16"), 30, {"raster:bands": [{"nodata": 0} | scale]})
    own = {"platform": platform, "landsat:wrs_path": "044", "landsat:wrs_row": "025"}
    own |= {"landsat:collection_category": "T1", "view:sun_elevation": 30.0, "view:sun_azimuth": 150.25}
    return add_item(api, name, "landsat-c2-l2", assets, **(own | more))
