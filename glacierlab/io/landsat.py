"""Landsat Collection 2 products, Level 1 and 2, by their MTL file (USGS Collection 2 data format)."""

import math
import re
from dataclasses import dataclass

from ..errors import SceneError
from ..tables import PRODUCTS, SENSORS, native_key, sensor_key
from .bands import BandFile, SceneFiles


@dataclass(frozen=True)
class Mtl:
    """An MTL file: `groups` is group → key → text."""

    name: str
    groups: dict

    def text(self, group, key):
        """An entry; SceneError where there is none."""
        try:
            return self.groups[group][key]
        except KeyError as error:
            raise SceneError(
                f"{self.name} lacks {key} in {group}: cut short, or not of Collection 2. Download it again."
            ) from error

    def number(self, group, key):
        """An entry that is a number."""
        text = self.text(group, key)
        try:
            return float(text)
        except ValueError as error:
            raise SceneError(f"{self.name}: {key} = {text!r} is no number. Download it again.") from error


def parse_mtl(name, text):
    """The `Mtl` of a file's text."""
    groups, entries = {}, {}
    for line in text.splitlines():
        key, separator, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            entries = {}
        elif key == "END_GROUP":  # a group cut short is none: its last number may be
            groups[value], entries = entries, {}
        elif separator:
            entries[key] = value.strip('"')
    return Mtl(name, groups)


def read_landsat(listing):
    """The `SceneFiles` of a Landsat folder or archive."""
    name = listing.find("_MTL.txt")[0]
    mtl = parse_mtl(name, listing.read_text(name))
    sensor = sensor_key(mtl.text("IMAGE_ATTRIBUTES", "SPACECRAFT_ID"))
    level = mtl.text("PRODUCT_CONTENTS", "PROCESSING_LEVEL")
    if level[:2] not in ("L1", "L2"):
        raise SceneError(f"{name}: PROCESSING_LEVEL {level!r} is neither Level 1 nor 2. Download it again.")
    level_2 = level.startswith("L2")
    by_basename = {path.rsplit("/", 1)[-1]: path for path in listing.files}
    bands = []
    for key, filename in mtl.groups["PRODUCT_CONTENTS"].items():
        if not key.startswith("FILE_NAME_") or filename not in by_basename:
            continue  # a folder may hold only some of the bands
        path = listing.gdal_path(by_basename[filename])
        if key == "FILE_NAME_QUALITY_L1_PIXEL":
            bands.append(BandFile("qa", path, kind="flags", native="qa_pixel", nodata=1))
        elif (native := band_id(key)) in SENSORS[sensor].by_native:
            bands.append(landsat_band(SENSORS[sensor].by_native[native], path, mtl, level_2))
    date = mtl.text("IMAGE_ATTRIBUTES", "DATE_ACQUIRED")
    time = mtl.text("IMAGE_ATTRIBUTES", "SCENE_CENTER_TIME")
    attrs = {
        "sensor": sensor,
        "radiometry": "sr" if level_2 else "toa",
        "datetime": f"{date}T{time}"[:19],
        "sun_elevation": mtl.number("IMAGE_ATTRIBUTES", "SUN_ELEVATION"),
        "sun_azimuth": mtl.number("IMAGE_ATTRIBUTES", "SUN_AZIMUTH"),
        "title": mtl.text("PRODUCT_CONTENTS", "LANDSAT_PRODUCT_ID"),
    }
    return SceneFiles(tuple(bands), attrs, mixed_pixels=True)


def band_id(key):
    """`FILE_NAME_BAND_5`, `FILE_NAME_BAND_ST_B10` and `FILE_NAME_BAND_6_VCID_1` as B5, B10, B6."""
    found = re.fullmatch(r"FILE_NAME_BAND_(?:ST_B)?(\d+)(?:_VCID_1)?", key)
    return f"B{found[1]}" if found else None


def landsat_band(band, path, mtl, level_2):
    """A `BandFile` with the scale that the MTL gives for it."""
    number = native_key(band.native)[1:]
    thermal = band.name.startswith("lwir")
    divisor = 1.0
    if level_2:
        group = f"LEVEL2_SURFACE_{'TEMPERATURE' if thermal else 'REFLECTANCE'}_PARAMETERS"
        quantity, suffix = ("TEMPERATURE", f"ST_B{number}") if thermal else ("REFLECTANCE", number)
    else:
        group, quantity, suffix = "LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE", number
        if thermal:
            low_gain = f"{number}_VCID_1"  # of ETM+
            quantity = "RADIANCE"
            suffix = low_gain if f"RADIANCE_MULT_BAND_{low_gain}" in mtl.groups.get(group, {}) else number
        else:
            divisor = sine_of_sun(mtl)
    scale = {
        "gain": mtl.number(group, f"{quantity}_MULT_BAND_{suffix}") / divisor,
        "add": mtl.number(group, f"{quantity}_ADD_BAND_{suffix}") / divisor,
    }
    if thermal and not level_2:
        for key in ("k1", "k2"):
            scale[key] = mtl.number("LEVEL1_THERMAL_CONSTANTS", f"{key.upper()}_CONSTANT_BAND_{suffix}")
    return BandFile(
        band.name,
        path,
        native=band.native,
        kind="thermal" if thermal else "reflective",
        nodata=PRODUCTS["landsat_c2_l2_sr"].nodata,
        scale=scale,
    )


def sine_of_sun(mtl):
    """Of the sun's elevation, by which top-of-atmosphere reflectance is divided; SceneError at night."""
    elevation = mtl.number("IMAGE_ATTRIBUTES", "SUN_ELEVATION")
    if not elevation > 0:
        raise SceneError(f"{mtl.name}: the sun is {elevation:g} degrees high; a night has no reflectance.")
    return math.sin(math.radians(elevation))
