"""Landsat Collection 2 products, Level 1 and 2, by their MTL file (USGS Collection 2 data format)."""

import math
import re

from ..errors import SceneError
from ..tables import PRODUCTS, SENSORS, native_key, sensor_key
from .bands import BandFile, SceneFiles


def parse_mtl(text):
    """Groups of an MTL text: `{group: {key: value}}`, numbers as float, the rest as text."""
    groups, stack = {}, []
    for line in text.splitlines():
        key, separator, value = (part.strip() for part in line.partition("="))
        if not separator:
            continue
        if key == "GROUP":
            stack.append(value)
        elif key == "END_GROUP":
            stack.pop()
        elif stack:
            groups.setdefault(stack[-1], {})[key] = number_or_text(value)
    return groups


def number_or_text(value):
    """A number where the text is one."""
    try:
        return float(value)
    except ValueError:
        return value.strip('"')


def read_landsat(listing):
    """The `SceneFiles` of a Landsat folder or archive."""
    name = listing.find("_MTL.txt")[0]
    groups = parse_mtl(listing.read_text(name))
    try:
        contents, image = groups["PRODUCT_CONTENTS"], groups["IMAGE_ATTRIBUTES"]
        sensor = sensor_key(image["SPACECRAFT_ID"])
        level_2 = contents["PROCESSING_LEVEL"].startswith("L2")
        sun_elevation = image["SUN_ELEVATION"]
    except KeyError as error:
        raise SceneError(
            f"{name} lacks {error.args[0]!r}: cut short, or not a Collection 2 MTL file. Download it again."
        ) from error
    by_basename = {path.rsplit("/", 1)[-1]: path for path in listing.files}
    bands = []
    for key, filename in contents.items():
        if not key.startswith("FILE_NAME_") or filename not in by_basename:
            continue  # a folder may hold only some of the bands
        path = listing.gdal_path(by_basename[filename])
        if key == "FILE_NAME_QUALITY_L1_PIXEL":
            bands.append(BandFile("qa", path, kind="flags", native="qa_pixel", nodata=1))
        elif (native := band_id(key)) in SENSORS[sensor].by_native:
            bands.append(landsat_band(SENSORS[sensor].by_native[native], path, groups, level_2))
    attrs = {
        "sensor": sensor,
        "radiometry": "sr" if level_2 else "toa",
        "datetime": f"{image['DATE_ACQUIRED']}T{image.get('SCENE_CENTER_TIME', '00:00:00Z')}"[:19],
        "sun_elevation": sun_elevation,
        "sun_azimuth": image.get("SUN_AZIMUTH", math.nan),
        "title": contents.get("LANDSAT_PRODUCT_ID", name.removesuffix("_MTL.txt")),
    }
    return SceneFiles(tuple(bands), attrs, mixed_pixels=True)


def band_id(key):
    """`FILE_NAME_BAND_5`, `FILE_NAME_BAND_ST_B10` and `FILE_NAME_BAND_6_VCID_1` as B5, B10, B6."""
    found = re.fullmatch(r"FILE_NAME_BAND_(?:ST_B)?(\d+)(?:_VCID_1)?", key)
    return f"B{found[1]}" if found else None


def landsat_band(band, path, groups, level_2):
    """A `BandFile` with the scale that the MTL gives for it."""
    number = native_key(band.native)[1:]
    thermal = band.name.startswith("lwir")
    if level_2:
        group = f"LEVEL2_SURFACE_{'TEMPERATURE' if thermal else 'REFLECTANCE'}_PARAMETERS"
        quantity, suffix = ("TEMPERATURE", f"ST_B{number}") if thermal else ("REFLECTANCE", number)
        divisor = 1.0
    else:
        group = "LEVEL1_RADIOMETRIC_RESCALING"
        quantity = "RADIANCE" if thermal else "REFLECTANCE"
        suffix = (
            f"{number}_VCID_1" if f"{quantity}_MULT_BAND_{number}_VCID_1" in groups.get(group, {}) else number
        )
        divisor = 1.0 if thermal else math.sin(math.radians(groups["IMAGE_ATTRIBUTES"]["SUN_ELEVATION"]))
    try:
        scale = {
            "gain": groups[group][f"{quantity}_MULT_BAND_{suffix}"] / divisor,
            "add": groups[group][f"{quantity}_ADD_BAND_{suffix}"] / divisor,
        }
        if thermal and not level_2:
            constants = groups["LEVEL1_THERMAL_CONSTANTS"]
            scale |= {
                "k1": constants[f"K1_CONSTANT_BAND_{suffix}"],
                "k2": constants[f"K2_CONSTANT_BAND_{suffix}"],
            }
    except KeyError as error:
        raise SceneError(
            f"The MTL file gives no {error.args[0]} for {band.native}: download it again."
        ) from error
    return BandFile(
        band.name,
        path,
        native=band.native,
        kind="thermal" if thermal else "reflective",
        nodata=PRODUCTS["landsat_c2_l2_sr"].nodata,
        scale=scale,
    )
