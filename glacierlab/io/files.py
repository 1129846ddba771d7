"""HLS folders, GeoTIFFs with many bands, and files of single bands."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from ..errors import MissingBandError, SceneError
from ..tables import PRODUCTS, SENSORS, band_name, native_key, sensor_key
from .bands import BandFile, SceneFiles, one_line
from .radiometry import AS_THEY_ARE, SCALE_KEYS, kind_of

TAG = "GLACIERLAB"  # our own GeoTIFFs carry the scene's attributes as JSON here
ELEVATION = re.compile(r"(?:^|[._-])(?:dem|elevation)(?:[._-]|$)", re.IGNORECASE)
HLS = re.compile(r"(?:^|[._])(?:(?P<kind>[LS]30)[._].*)?(?P<band>B\d\d|B8A|Fmask)(?:[._](?P<tail>[LS]30))?$")


def open_tags(path):
    """Count, descriptions, scales, offsets and tags of a raster."""
    try:
        with rasterio.open(path) as file:
            return file.count, file.descriptions, file.scales, file.offsets, file.dtypes, file.tags()
    except RasterioError as error:
        raise SceneError(f"{path} cannot be read as a raster: {one_line(error)}") from error


def hls_match(name):
    """The parts of an HLS file name, official or shortened (`..._B05_L30.tif`), or None."""
    found = HLS.search(Path(name).stem)
    return found if found and (found["kind"] or found["tail"]) else None


def is_hls(names):
    """Whether any file is named as HLS names its bands."""
    return any(hls_match(name) for name in names if name.lower().endswith((".tif", ".tiff")))


def read_hls(listing):
    """The `SceneFiles` of an HLS folder; a file with `dem` in its name becomes `elevation`."""
    bands, attrs = [], {}
    for name in sorted(listing.find(".tif", ".tiff")):
        path, found = listing.gdal_path(name), hls_match(name)
        if found is None:
            if ELEVATION.search(Path(name).stem):
                bands.append(BandFile("elevation", path, kind="layer"))
            continue
        sensor = f"hls_{(found['kind'] or found['tail']).lower()}"
        if attrs.get("sensor", sensor) != sensor:
            raise SceneError(f"{listing.root} mixes L30 and S30 files: open one sensor's at a time.")
        attrs |= {"sensor": sensor, "radiometry": PRODUCTS["hls"].level, **name_date(name)}
        if found["band"] == "Fmask":
            bands.append(BandFile("qa", path, kind="flags", native="fmask", nodata=255))
        elif native_key(found["band"]) in SENSORS[sensor].by_native:
            band = SENSORS[sensor].by_native[native_key(found["band"])]
            bands.append(hls_band(band, path))
            attrs |= sun_tags(path) if "sun_elevation" not in attrs else {}
    return SceneFiles(tuple(bands), attrs | {"title": listing.root.name})


def hls_band(band, path):
    """A `BandFile` of HLS: int16 reflectance with one scale for all."""
    product = PRODUCTS["hls"]
    scale = {"gain": product.gain, "add": product.add}
    return BandFile(band.name, path, native=band.native, nodata=product.nodata, scale=scale)


def name_date(name):
    """`datetime` from year and day of the year in an HLS file name."""
    found = re.search(r"(?<!\d)((?:19|20)\d\d)([0-3]\d\d)(?:T(\d{6}))?(?!\d)", name)
    if not found or not 1 <= int(found[2]) <= 366:
        return {}
    day = datetime(int(found[1]), 1, 1) + timedelta(days=int(found[2]) - 1)
    time = datetime.strptime(found[3] or "000000", "%H%M%S").time()
    return {"datetime": datetime.combine(day, time).isoformat()}


def sun_tags(path):
    """Sun angles of the official HLS files' tags."""
    tags = open_tags(path)[-1]
    try:
        zenith, azimuth = float(tags["MEAN_SUN_ZENITH_ANGLE"]), float(tags["MEAN_SUN_AZIMUTH_ANGLE"])
    except (KeyError, ValueError):
        return {}
    return {"sun_elevation": 90.0 - zenith, "sun_azimuth": azimuth}


def read_raster(path, sensor, bands):
    """The `SceneFiles` of one GeoTIFF: names from its descriptions, or from `bands` (name → number)."""
    count, descriptions, scales, offsets, dtypes, tags = open_tags(path)
    attrs = {"title": Path(path).name} | own_attrs(tags)
    own, told = attrs.pop("bands", {}), attrs.get("radiometry")
    sensor = sensor_key(attrs["sensor"]) if "sensor" in attrs else sensor
    if bands is not None:
        numbers = {band_name(name, sensor): band_number(number) for name, number in bands.items()}
    elif all(descriptions) and len(set(descriptions)) == count:
        numbers = {band_name(text, sensor): i for i, text in enumerate(descriptions, 1)}
    elif in_order := bands_in_order(sensor, count):
        numbers = {band.name: i for i, band in enumerate(in_order, 1)}
    elif count == 1 and (found := single_band(path, sensor)):
        numbers = {found: 1}
    else:
        raise MissingBandError(
            f"{path} has {count} bands without names. Say which is which: bands={{'red': 1, 'nir': 2}}."
        )
    rows = SENSORS[sensor].by_name if sensor else {}
    product = PRODUCTS.get(SENSORS[sensor].product) if sensor else None
    sources = []
    for name, i in numbers.items():
        if not 1 <= i <= count:
            raise MissingBandError(f"{path} has {count} bands; bands={{{name!r}: {i}}} is none of them.")
        known = own.get(descriptions[i - 1], {})
        native = known.get("native") or (rows[name].native if name in rows else "")
        kind = known.get("kind") or kind_of(name)
        scale, nodata = {}, None
        if (scales[i - 1], offsets[i - 1]) != (1.0, 0.0):
            scale = {"gain": scales[i - 1], "add": offsets[i - 1]}
        elif kind in ("flags", "layer"):
            pass
        elif told == "dn":
            scale = {key: known[key] for key in SCALE_KEYS if key in known}
        elif told in ("sr", "toa", "unknown"):
            scale = AS_THEY_ARE | {"step": known.get("scale_step", AS_THEY_ARE["step"])}
        elif product and np.dtype(dtypes[i - 1]).kind in "iu":
            scale, nodata = {"gain": product.gain, "add": product.add}, product.nodata
            attrs["radiometry"] = product.level
        kept = {key: value for key, value in known.items() if key not in SCALE_KEYS}
        sources.append(BandFile(name, str(path), i, native, kind, nodata, scale, kept))
    return SceneFiles(tuple(sources), attrs | ({"sensor": sensor} if sensor else {}))


def bands_in_order(sensor, count):
    """The sensor's bands but the panchromatic one, where a file has as many; else none."""
    bands = [band for band in SENSORS[sensor].bands if band.name != "pan"] if sensor else []
    return bands if len(bands) == count else []


def band_number(number):
    """A band's number in a file of several."""
    try:
        return int(number)
    except ValueError:
        raise MissingBandError(f"bands={{...: {number!r}}}: give the band's number in the file.") from None


def own_attrs(tags):
    """The attributes that `write_raster` left in a GeoTIFF's tags."""
    try:
        found = json.loads(tags.get(TAG, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def single_band(path, sensor):
    """The band that a file's name tells, such as `..._B5.TIF` with the sensor known, or `red.tif`."""
    stem = Path(path).stem
    if ELEVATION.search(stem):
        return "elevation"
    for token in reversed(re.split(r"[._-]", stem)):
        name = band_name(token, sensor)
        if any(name in row.by_name for row in SENSORS.values()):
            return name
    return None


def read_files(paths, sensor, bands):
    """The `SceneFiles` of single-band files, named by `bands` (name → "file.tif:2") or by themselves."""
    if bands is not None:
        parts = [file_and_band(spec) for spec in bands.values()]
        found = [read_raster(path, sensor, {name: i}) for name, (path, i) in zip(bands, parts, strict=True)]
    else:
        found = [read_raster(path, sensor, None) for path in paths]
    sources = tuple(source for files in found for source in files.bands)
    attrs = {}
    for files in found:
        attrs |= files.attrs
    return SceneFiles(sources, attrs)


def file_and_band(spec):
    """`("file.tif", 2)` of "file.tif:2"."""
    path, separator, number = str(spec).rpartition(":")
    return (path, int(number)) if separator and number.isdigit() else (str(spec), 1)
