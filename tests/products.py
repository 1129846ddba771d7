"""Minimal scenes in the public layout: USGS Landsat Collection 2, ESA Sentinel-2 SAFE, NASA HLS.

Each builder takes `bands`, native id → one number or an array of digital numbers, and returns the path.
"""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

CORNER = (478_000, 5_784_000)  # west, north [m] of every image, UTM 11 north
SIZE_M = 360  # of the square that every image covers


def write_image(path, values, step=30, corner=CORNER, crs="EPSG:32611", **options):
    """A GeoTIFF, or a lossless JPEG 2000, of (y, x) or (band, y, x); one number fills `SIZE_M` x `SIZE_M`.

    Options are rasterio's profile, and `descriptions`, `scales`, `offsets` and `tags`.
    """
    values = np.asarray(values)
    if values.ndim == 0:
        values = np.full((SIZE_M // step, SIZE_M // step), values)
    values = values.reshape(-1, *values.shape[-2:])
    count, height, width = values.shape
    tags = options.pop("tags", {})
    later = {key: options.pop(key) for key in ("descriptions", "scales", "offsets") if key in options}
    profile = dict(count=count, height=height, width=width, dtype=values.dtype, crs=crs) | options
    if Path(path).suffix == ".jp2":
        profile |= dict(driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", transform=from_origin(*corner, step, step), **profile) as file:
        file.write(values)
        file.update_tags(**tags)
        for key, value in later.items():
            setattr(file, key, value)
    return Path(path)


def pack(folder, path, inside=""):
    """A zip, tar or tgz of a folder's files, under the folder `inside` in it."""
    files = {file: f"{inside}{file.relative_to(folder).as_posix()}" for file in sorted(folder.rglob("*"))}
    if Path(path).suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in files.items():
                archive.write(file, name)
    else:
        with tarfile.open(path, "w:gz" if Path(path).suffix == ".tgz" else "w") as archive:
            for file, name in files.items():
                archive.add(file, name, recursive=False)
    return Path(path)


# ---- Landsat Collection 2 ----

LANDSAT = {  # instrument → product prefix, reflective bands, thermal band files at Level 1
    "LANDSAT_8": ("LC08", [1, 2, 3, 4, 5, 6, 7, 9], ["10", "11"]),
    "LANDSAT_7": ("LE07", [1, 2, 3, 4, 5, 7], ["6_VCID_1", "6_VCID_2"]),
    "LANDSAT_5": ("LT05", [1, 2, 3, 4, 5, 7], ["6"]),
}
RADIANCE = {  # multiplier, summand, K1, K2 as the MTL files of these sensors give them
    "10": (3.3420e-04, 0.1, 774.8853, 1321.0789),
    "11": (3.3420e-04, 0.1, 480.8883, 1201.1442),
    "6_VCID_1": (6.7087e-02, -0.06709, 666.09, 1282.71),
    "6_VCID_2": (3.7205e-02, 3.16280, 666.09, 1282.71),
    "6": (5.5375e-02, 1.18243, 607.76, 1260.56),
}
LEVEL_1_REFLECTANCE = {  # multiplier, summand; TM and ETM+ have their own for every band
    "LANDSAT_8": lambda band: (2.0e-05, -0.1),
    "LANDSAT_7": lambda band: (2.0e-03 + 1e-4 * band, -0.012 - 1e-3 * band),
    "LANDSAT_5": lambda band: (1.2e-03 + 1e-4 * band, -0.004 - 1e-3 * band),
}


def landsat(folder, bands, platform="LANDSAT_8", level="L2SP", sun_elevation=30.0, qa=None):
    """A product folder; `bands` by the ids of the file names: B4, SR_B4, ST_B10, B6_VCID_1."""
    product = f"{LANDSAT[platform][0]}_{level}_044025_20200816_20200920_02_T1"
    folder = Path(folder, product)
    folder.mkdir(parents=True)
    for band, values in bands.items():
        pan = band == "B8"
        # a pan pixel's center lies on the corner pixel's center, so that the grids differ by half a pan pixel
        corner = (CORNER[0] + 7.5, CORNER[1] - 7.5) if pan else CORNER
        values = np.full((23, 23), values) if pan and np.ndim(values) == 0 else values
        dtype = "uint16" if platform == "LANDSAT_8" or level == "L2SP" else "uint8"
        image = np.asarray(values, dtype)
        write_image(folder / f"{product}_{band}.TIF", image, 15 if pan else 30, corner)
    if qa is not None:
        write_image(folder / f"{product}_QA_PIXEL.TIF", np.asarray(qa, "uint16"))
    Path(folder, f"{product}_MTL.txt").write_text(
        mtl(product, platform, level, sun_elevation, qa is not None)
    )
    return folder


def mtl(product, platform, level, sun_elevation, qa):
    """The text of an MTL file; a Level-2 one holds the Level-1 numbers of the same bands too."""
    _, reflective, thermal = LANDSAT[platform]
    ones = [*reflective, 8] if platform != "LANDSAT_5" else reflective
    files_1 = {f"FILE_NAME_BAND_{b}": f'"{product}_B{b}.TIF"' for b in [*ones, *thermal]}
    level_2 = level.startswith("L2")
    surface = [b for b in reflective if b < 8]
    heat = thermal[0].split("_")[0]
    files_2 = {f"FILE_NAME_BAND_{b}": f'"{product}_SR_B{b}.TIF"' for b in surface}
    files_2 |= {f"FILE_NAME_BAND_ST_B{heat}": f'"{product}_ST_B{heat}.TIF"'}
    contents = {
        "ORIGIN": '"Image courtesy of the U.S. Geological Survey"',
        "LANDSAT_PRODUCT_ID": f'"{product}"',
        "PROCESSING_LEVEL": f'"{level}"',
        "COLLECTION_NUMBER": "02",
        "OUTPUT_FORMAT": '"GEOTIFF"',
        **(files_2 if level_2 else files_1),
        **({"FILE_NAME_QUALITY_L1_PIXEL": f'"{product}_QA_PIXEL.TIF"'} if qa else {}),
        "FILE_NAME_METADATA_ODL": f'"{product}_MTL.txt"',
    }
    attributes = {
        "SPACECRAFT_ID": f'"{platform}"',
        "WRS_PATH": "044",
        "DATE_ACQUIRED": "2020-08-16",
        "SCENE_CENTER_TIME": '"18:38:55.1234560Z"',
        "CLOUD_COVER": "3.30",
        "SUN_AZIMUTH": "150.25000000",
        "SUN_ELEVATION": f"{sun_elevation:.8f}",
    }
    rescaling = {}
    for b in ones:
        gain, add = LEVEL_1_REFLECTANCE[platform](b)
        rescaling |= {f"RADIANCE_MULT_BAND_{b}": "1.2345E-02", f"RADIANCE_ADD_BAND_{b}": "-61.72500"}
        rescaling |= {f"REFLECTANCE_MULT_BAND_{b}": f"{gain:.4E}", f"REFLECTANCE_ADD_BAND_{b}": f"{add:.6f}"}
    constants = {}
    for b in thermal:
        gain, add, k1, k2 = RADIANCE[b]
        rescaling |= {f"RADIANCE_MULT_BAND_{b}": f"{gain:.4E}", f"RADIANCE_ADD_BAND_{b}": f"{add:.5f}"}
        constants |= {f"K1_CONSTANT_BAND_{b}": f"{k1:.4f}", f"K2_CONSTANT_BAND_{b}": f"{k2:.4f}"}
    groups = {"PRODUCT_CONTENTS": contents, "IMAGE_ATTRIBUTES": attributes}
    if level_2:
        reflectance = {f"REFLECTANCE_MULT_BAND_{b}": "2.75e-05" for b in surface}
        reflectance |= {f"REFLECTANCE_ADD_BAND_{b}": "-0.2" for b in surface}
        groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"] = reflectance
        groups["LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"] = {
            f"TEMPERATURE_MULT_BAND_ST_B{heat}": "0.00341802",
            f"TEMPERATURE_ADD_BAND_ST_B{heat}": "149.0",
        }
        groups["LEVEL1_PROCESSING_RECORD"] = {"PROCESSING_LEVEL": '"L1TP"', **files_1}
    groups["LEVEL1_RADIOMETRIC_RESCALING"] = rescaling
    groups["LEVEL1_THERMAL_CONSTANTS"] = constants
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, rows in groups.items():
        lines += [f"  GROUP = {name}", *(f"    {k} = {v}" for k, v in rows.items()), f"  END_GROUP = {name}"]
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])


# ---- Sentinel-2 SAFE ----

S2_BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
S2_STEP = dict.fromkeys(S2_BANDS, 20) | dict.fromkeys(["B02", "B03", "B04", "B08"], 10)
S2_STEP |= dict.fromkeys(["B01", "B09", "B10"], 60) | {"SCL": 20}


def safe(
    folder, bands, level="L2A", baseline="05.09", offsets=-1000, date="20200816", platform="Sentinel-2B"
):
    """A SAFE folder. `bands` by ids at their own pixel size, or "R60m/B02"; with `offsets` None no tags."""
    short = platform.replace("Sentinel-", "S")
    folder = Path(
        folder,
        f"{short}_MSI{level}_{date}T185919_N{baseline.replace('.', '')}_R013_T11UMS_20230401T120000.SAFE",
    )
    granule = folder / f"GRANULE/{level}_T11UMS_A018040_{date}T190231"
    for spec, values in bands.items():
        place, _, band = spec.rpartition("/")
        step = int(place[1:-1]) if place else S2_STEP[band]
        image = np.asarray(values, "uint8" if band == "SCL" else "uint16")
        ending = (
            f"R{step}m/T11UMS_{date}T185919_{band}_{step}m"
            if level == "L2A"
            else f"T11UMS_{date}T185919_{band}"
        )
        write_image(granule / f"IMG_DATA/{ending}.jp2", image, step)
    granule.mkdir(parents=True, exist_ok=True)
    folder.joinpath(f"MTD_MSI{level}.xml").write_text(product_xml(level, baseline, offsets, date, platform))
    granule.joinpath("MTD_TL.xml").write_text(tile_xml(level))
    return folder


def product_xml(level, baseline, offsets, date, platform):
    """MTD_MSIL2A.xml or MTD_MSIL1C.xml; `offsets` is one number or a dict by band number."""
    if offsets is not None and not isinstance(offsets, dict):
        offsets = dict.fromkeys(range(13), offsets)
    tag, around, quantity = {
        "L2A": ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST", "BOA_QUANTIFICATION_VALUE"),
        "L1C": ("RADIO_ADD_OFFSET", "Radiometric_Offset_List", "QUANTIFICATION_VALUE"),
    }[level]
    rows = "".join(f'<{tag} band_id="{i}">{value}</{tag}>' for i, value in (offsets or {}).items())
    uri = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level[1:]}.xsd"
    aerosol = '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>' * (level == "L2A")
    start = f"{date[:4]}-{date[4:6]}-{date[6:]}T18:59:19.024Z"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_User_Product xmlns:n1="{uri}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
      <PROCESSING_LEVEL>Level-{level[1:]}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="GS2B_{date}T185919_018040_N{baseline}">
        <SPACECRAFT_NAME>{platform}</SPACECRAFT_NAME>
      </Datatake>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <{quantity} unit="none">10000</{quantity}>{aerosol}
      {f"<{around}>{rows}</{around}>" if rows else ""}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level[1:]}_User_Product>
"""


def tile_xml(level):
    """MTD_TL.xml with the mean sun angles."""
    uri = f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level[1:]}_Tile_Metadata.xsd"
    angle = '<{0}_ANGLE unit="deg">{1}</{0}_ANGLE>'
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_Tile_ID xmlns:n1="{uri}">
  <n1:Geometric_Info><Tile_Angles>
    <Sun_Angles_Grid><Zenith><COL_STEP unit="m">5000</COL_STEP></Zenith></Sun_Angles_Grid>
    <Mean_Sun_Angle>{angle.format("ZENITH", 40.5)}{angle.format("AZIMUTH", 160.25)}</Mean_Sun_Angle>
    <Mean_Viewing_Incidence_Angle_List><Mean_Viewing_Incidence_Angle bandId="0">
      {angle.format("ZENITH", 8.0)}{angle.format("AZIMUTH", 280.0)}
    </Mean_Viewing_Incidence_Angle></Mean_Viewing_Incidence_Angle_List>
  </Tile_Angles></n1:Geometric_Info>
</n1:Level-{level[1:]}_Tile_ID>
"""


# ---- HLS v2.0 ----


def hls(folder, bands, kind="L30", fmask=None):
    """A folder of official HLS files: HLS.L30.T11UMS.2020229T183855.v2.0.B05.tif."""
    start = f"HLS.{kind}.T11UMS.2020229T183855.v2.0"
    tags = {"MEAN_SUN_ZENITH_ANGLE": "40.5", "MEAN_SUN_AZIMUTH_ANGLE": "160.25"}
    scale = dict(nodata=-9999, scales=(1e-4,), offsets=(0.0,), tags=tags)
    for band, values in bands.items():
        write_image(Path(folder, f"{start}.{band}.tif"), np.asarray(values, "int16"), **scale)
    if fmask is not None:
        write_image(Path(folder, f"{start}.Fmask.tif"), np.asarray(fmask, "uint8"), nodata=255)
    return Path(folder)
