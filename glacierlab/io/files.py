"""HLS folders, GeoTIFFs with many bands, and files of single bands."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from ..errors import MissingBandError, SceneError
from ..tables import PRODUCTS, SENSORS, band_name, native_key
from .bands import BandFile, SceneFiles, one_line
from .radiometry import AS_THEY_ARE

TAG = "GLACIERLAB"  # our own GeoTIFFs carry the scene's attributes as JSON here
ELEVATION = re.compile(r"(?:^|[._-])(?:dem|elevation)(?:[._-]|$)", re.IGNORECASE)
HLS = re.compile(r"(?:^|[._])(?:(?P<kind>[LS]30)[._].*)?(?P<band>B\d\d|B8A|Fmask)(?:[._](?P<tail>[LS]30))?$")


def open_tags(path):
    """Count, descriptions, scales, offsets and tags of a raster."""
    try:
        with rasterio.open(path) as file:
            return file.count, file.descriptions, file.scales, file.offsets, file.tags()
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
    for name in sorted(listing.find(".tif")):
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
    count, descriptions, scales, offsets, tags = open_tags(path)
    attrs = {"title": Path(path).name} | own_attrs(tags)
    steps = attrs.pop("scale_step", {})
    sensor = sensor or attrs.get("sensor")
    if bands is not None:
        numbers = {name: int(number) for name, number in bands.items()}
    elif all(descriptions):
        numbers = {band_name(text, sensor): i for i, text in enumerate(descriptions, 1)}
    elif sensor and count == len(SENSORS[sensor].bands):
        numbers = {band.name: i for i, band in enumerate(SENSORS[sensor].bands, 1)}
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
        source = dict(name=name, path=str(path), index=i, native=rows[name].native if name in rows else "")
        if name == "elevation":
            source |= dict(kind="layer")
        elif name in ("qa", "truth", "class_map"):
            source |= dict(kind="flags", native=attrs.get("qa", "") if name == "qa" else "")
        elif (scales[i - 1], offsets[i - 1]) != (1.0, 0.0):
            source |= dict(scale={"gain": scales[i - 1], "add": offsets[i - 1]})
        elif attrs.get("radiometry") in ("sr", "toa", "unknown"):
            source |= dict(scale=AS_THEY_ARE | {"step": steps.get(name, AS_THEY_ARE["step"])})
        elif product:
            source |= dict(scale={"gain": product.gain, "add": product.add}, nodata=product.nodata)
        sources.append(BandFile(**source))
    if product:
        attrs.setdefault("radiometry", product.level)
    return SceneFiles(tuple(sources), {**attrs, **({"sensor": sensor} if sensor else {})})


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
    names = [source.name for source in sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SceneError(f"Several files give {sorted(twice)}. Say which to take: bands={{name: file}}.")
    attrs = {}
    for files in found:
        attrs |= files.attrs
    return SceneFiles(sources, attrs)


def file_and_band(spec):
    """`("file.tif", 2)` of "file.tif:2"."""
    path, separator, number = str(spec).rpartition(":")
    return (path, int(number)) if separator and number.isdigit() else (str(spec), 1)
