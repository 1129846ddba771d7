"""Sentinel-2 SAFE products, L1C and L2A, old and new baselines (ESA products specification)."""

import re
import warnings
from xml.etree import ElementTree

from ..errors import DataWarning, SceneError
from ..tables import MASKS, PRODUCTS, SENSORS, native_key, sensor_key
from .bands import BandFile, SceneFiles

BAND_IDS = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]  # by band_id
METADATA = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")


def read_safe(listing, offset="metadata"):
    """The `SceneFiles` of a SAFE folder or archive; `offset` as in `open_scene`."""
    name = listing.find(*METADATA)[0]
    level_2 = name.lower().endswith("msil2a.xml")
    product = PRODUCTS["sentinel2_l2a" if level_2 else "sentinel2_l1c"]
    meta = parse_xml(listing, name)
    quantification = number_of(meta, f"{'BOA_' * level_2}QUANTIFICATION_VALUE", name)
    if not quantification > 0:
        raise SceneError(
            f"{name}: a quantification value of {quantification:g} scales nothing. Download it again."
        )
    gain = 1 / quantification
    by_baseline = product.baseline_offset_dn if number_of(meta, "PROCESSING_BASELINE", name) >= 4 else 0.0
    tag = "BOA_ADD_OFFSET" if level_2 else "RADIO_ADD_OFFSET"
    offsets = dn_offsets(meta, tag, name, by_baseline, offset)
    sensor = sensor_key(text_of(meta, "SPACECRAFT_NAME", name))
    bands = []
    for native, path in band_paths(listing).items():
        if native == "SCL":
            qa = MASKS["scl"]
            bands.append(BandFile("qa", path, kind="flags", native="scl", nodata=qa.fill_value))
            continue
        band = SENSORS[sensor].by_native[native]
        scale = {"gain": gain, "add": gain * offsets[native]}
        bands.append(BandFile(band.name, path, native=band.native, nodata=product.nodata, scale=scale))
    attrs = {
        "sensor": sensor,
        "radiometry": product.level,
        "processing_baseline": text_of(meta, "PROCESSING_BASELINE", name),
        "datetime": text_of(meta, "PRODUCT_START_TIME", name)[:19],
        "title": listing.root.name,
        **sun_angles(listing),
    }
    return SceneFiles(tuple(bands), attrs, mixed_pixels=True)


def parse_xml(listing, name):
    """The root element of an XML file of the product."""
    try:
        return ElementTree.fromstring(listing.read_text(name))
    except ElementTree.ParseError as error:
        raise SceneError(f"{name} is damaged or cut short ({error}). Download it again.") from error


def text_of(root, tag, name):
    """The text of the first element with this tag, whatever its namespace."""
    for element in root.iter():
        if element.tag.rpartition("}")[2] == tag:
            return (element.text or "").strip()
    raise SceneError(f"{name} has no {tag}: cut short, or of an unknown version. Download it again.")


def number_of(root, tag, name):
    """The same as a number."""
    text = text_of(root, tag, name)
    try:
        return float(text)
    except ValueError as error:
        raise SceneError(f"{name}: {tag} {text!r} is no number. Download it again.") from error


def dn_offsets(meta, tag, name, by_baseline, choice):
    """DN to add by native band, as the metadata or the processing baseline says."""
    offsets = dict.fromkeys(BAND_IDS, by_baseline)
    if choice == "baseline":
        return offsets
    try:
        told = {BAND_IDS[int(e.get("band_id"))]: float(e.text) for e in meta.iter() if e.tag.endswith(tag)}
    except (ValueError, TypeError, IndexError) as error:
        raise SceneError(f"{name}: a {tag} is damaged ({error}). Download it again.") from error
    if by_baseline and not told and choice == "metadata":
        warnings.warn(
            f"{name} has no {tag}, though its processing baseline implies {by_baseline:g}, which is used. "
            "Say offset=0 if it was removed already.",
            DataWarning,
            stacklevel=6,
        )
    return offsets | told


def band_paths(listing):
    """GDAL paths by native band (and SCL), each at its finest pixel size."""
    found = {}
    for name in listing.find(".jp2"):
        match = re.search(r"IMG_DATA/(?:R\d+m/)?[^/]*_(B\d[0-9A]|SCL)(?:_(\d+)m)?\.jp2$", name)
        if match:
            size = int(match[2] or 0)
            found.setdefault(native_key(match[1]), []).append((size, listing.gdal_path(name)))
    for native, paths in found.items():
        if len({size for size, _ in paths}) < len(paths):
            raise SceneError(
                f"{listing.root} holds several tiles ({native} twice): give one GRANULE folder's images."
            )
    return {native: min(paths)[1] for native, paths in found.items()}


def sun_angles(listing):
    """Mean sun elevation and azimuth [degrees] of the tile's metadata, where there are any."""
    for name in listing.find("MTD_TL.xml")[:1]:
        for element in parse_xml(listing, name).iter():
            if element.tag.endswith("Mean_Sun_Angle"):
                zenith = number_of(element, "ZENITH_ANGLE", name)
                return {
                    "sun_elevation": 90.0 - zenith,
                    "sun_azimuth": number_of(element, "AZIMUTH_ANGLE", name),
                }
    return {}
