"""Bad input: refused with one line that names the thing and says what to do; nothing is unpacked."""

import io
import os
import re
import shutil
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import rasterio
import xarray as xr
from products import CORNER, hls, landsat, pack, safe, write_image

import glacierlab as gl
from glacierlab.errors import (
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    SceneError,
    UnknownNameError,
)
from glacierlab.io.write import write_raster


def refused(error, match, path, **options):
    """`open_scene` raises this error, of ours and on one line."""
    with pytest.raises(error, match=match) as caught:
        gl.open_scene(path, **options)
    assert isinstance(caught.value, GlacierlabError)
    assert "\n" not in str(caught.value)


@pytest.fixture
def scene_folder(tmp_path):
    return landsat(tmp_path, {"SR_B4": 9000, "SR_B5": 20000, "ST_B10": 40000}, qa=21824)


@pytest.fixture
def safe_folder(tmp_path):
    return safe(tmp_path, {"B02": 3000, "B11": 2000, "SCL": 11})


def edited(folder, pattern, edit):
    """The folder with one file's bytes edited."""
    file = next(folder.rglob(pattern))
    file.write_bytes(edit(file.read_bytes()))
    return folder


def random_image(path, **options):
    values = np.random.default_rng(0).integers(1, 9999, (300, 300), dtype="uint16")
    return write_image(path, values, descriptions=("red",), **options)


# ---- nothing there, or something else ----


def test_empty_folder(tmp_path):
    refused(SceneError, r"holds no scene: 0 files.*_MTL\.txt", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "nothing.tif", "nothing.nc", "nothing.zarr", "nothing.tar"])
def test_nothing_there(tmp_path, name):
    refused(SceneError, rf"{name} does not exist.*spelling", tmp_path / name)
    refused(SceneError, rf"{name} does not exist", [tmp_path / name])


@pytest.mark.parametrize("name", ["a.tif", "a.tar", "a.zip", "a.tgz", "a.nc", "a.jp2"])
@pytest.mark.parametrize("text", ["", "this is not an image\n" * 100])
def test_text_file(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    refused(SceneError, rf"{name} cannot be read as", tmp_path / name, radiometry="sr")


@pytest.mark.parametrize("driver", ["GTiff", "COG"])  # with the directory last and first
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("radiometry", ["sr", None])
def test_truncated_geotiff(tmp_path, driver, share, radiometry):
    whole = random_image(tmp_path / "whole.tif", driver=driver, compress="deflate").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(share * len(whole))])
    refused(SceneError, r"cut\.tif.* (cut short|cannot be read)", tmp_path / "cut.tif", radiometry=radiometry)


def test_bands_that_are_not_there(scene_folder):
    refused(
        MissingBandError, r"lacks \['swir16'\]; it has \['red', 'nir'", scene_folder, bands=["red", "swir16"]
    )
    refused(SceneError, "no band images", scene_folder, bands=[])
    refused(SceneError, r"B9\.TIF cannot be read", scene_folder, bands={"red": "B9.TIF"})


@pytest.mark.parametrize(
    ("bands", "match"),
    [
        (["red"], r"3 bands without names"),
        (None, r"3 bands without names.*bands=\{'red': 1"),
        ({"red": 4}, r"has 3 bands; bands=\{'red': 4\}"),
        ({"red": 0}, r"has 3 bands"),
        ({"red": "a.tif:1"}, r"'a.tif:1'.*number"),
    ],
)
def test_bands_without_names(tmp_path, bands, match):
    path = write_image(tmp_path / "a.tif", np.ones((3, 2, 2), "uint16"))
    refused(MissingBandError, match, path, bands=bands)


def test_sensors(scene_folder):
    refused(UnknownNameError, "Did you mean 'landsat-8'", scene_folder, sensor="landsat-88")
    refused(SceneError, "is of 'landsat_oli'.*not 'sentinel2_msi'", scene_folder, sensor="sentinel-2")
    assert gl.open_scene(scene_folder, sensor="landsat-8").attrs["sensor"] == "landsat_oli"


@pytest.mark.parametrize("options", [{"radiometry": "radiance"}, {"radiometry": "toa"}, {"offset": "none"}])
def test_impossible_radiometry(safe_folder, options):
    refused(RadiometryError, "radiometry|offset|'toa' is not in it", safe_folder, **options)


def test_offset_without_gain(tmp_path):
    path = write_image(tmp_path / "a.tif", np.uint16([[3000]]), descriptions=("red",))
    refused(RadiometryError, r"offset= alone.*gain", path, offset=-1000)


@pytest.mark.parametrize("resolution", [0, -30, float("nan")])
def test_impossible_resolution(scene_folder, resolution):
    refused(GridError, "no pixel size", scene_folder, resolution=resolution)


# ---- grids ----


def test_mixed_crs(tmp_path):
    paths = [
        write_image(tmp_path / f"{name}.tif", np.uint16(5), crs=crs)
        for name, crs in {"red": "EPSG:32611", "nir": "EPSG:32612"}.items()
    ]
    refused(GridError, r"different CRS.*EPSG:3261[12].*EPSG:3261[12]", paths, radiometry="sr")
    refused(GridError, "different CRS", paths, radiometry="sr", resolution=60)


@pytest.mark.parametrize("other", [{"step": 60}, {"corner": (CORNER[0] + 15, CORNER[1])}])
def test_mixed_pixel_grids(tmp_path, other):
    paths = [
        write_image(tmp_path / "red.tif", np.uint16(5)),
        write_image(tmp_path / "nir.tif", np.uint16(5), **other),
    ]
    refused(GridError, r"different pixel grids.*resolution=", paths, radiometry="sr")
    assert gl.open_scene(paths, radiometry="sr", resolution=30).sizes == {"y": 12, "x": 12}


def test_rotated_image(tmp_path):
    path = write_image(tmp_path / "red.tif", np.uint16(5))
    with rasterio.open(path, "r+") as file:
        file.transform = rasterio.Affine(28, 10, CORNER[0], 10, -28, CORNER[1])
    refused(GridError, r"red\.tif is a rotated image.*warp", path, radiometry="sr")


@pytest.mark.parametrize("dem", [False, True])
def test_all_nodata(tmp_path, dem):
    hls(tmp_path, {"B04": -9999, "B06": -9999}, fmask=255)
    if dem:
        write_image(tmp_path / "dem.tif", np.int16(2000))
    refused(SceneError, "every pixel is nodata", tmp_path)


def test_all_nodata_of_unknown_scale(tmp_path):
    refused(SceneError, "every pixel is nodata", write_image(tmp_path / "red.tif", np.uint16(0), nodata=0))


def test_all_nodata_in_a_store(tmp_path):
    nothing = xr.Dataset({"red": (("y", "x"), np.full((2, 2), np.nan))}, attrs={"radiometry": "sr"})
    nothing.to_netcdf(tmp_path / "a.nc")
    refused(SceneError, "every pixel is nodata", tmp_path / "a.nc")


# ---- several scenes at once ----


def test_two_scenes_in_a_folder(tmp_path):
    landsat(tmp_path, {"SR_B4": 9000})
    landsat(tmp_path, {"SR_B4": 9000}, "LANDSAT_7")
    refused(SceneError, "2 scenes.*LC08.*LE07.*one at a time", tmp_path)


def test_two_dates_of_hls_in_a_folder(tmp_path):
    for day in ("2020229", "2020245"):
        write_image(tmp_path / f"HLS.L30.T11UMS.{day}T183855.v2.0.B04.tif", np.int16(3000), nodata=-9999)
    refused(SceneError, r"several files give \['red'\].*one scene at a time", tmp_path)


def test_both_kinds_of_hls_in_a_folder(tmp_path):
    hls(tmp_path, {"B04": 3000}, "L30")
    hls(tmp_path, {"B04": 3000}, "S30")
    refused(SceneError, "mixes L30 and S30", tmp_path)


# ---- archives that mean harm ----


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S2A.SAFE/MTD_MSIL2A.xml", b"\0" * 50_000_000)


def overstated(path):
    with open(path, "wb") as file:
        header = tarfile.TarInfo("LC08_B4.TIF")
        header.size = 10**14
        file.write(header.tobuf(tarfile.GNU_FORMAT))


def crowd(path):
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(20_001):
            archive.writestr(str(i), b"")


@pytest.mark.parametrize("write", [bomb, overstated, crowd])
def test_archive_bomb(tmp_path, write):
    path = tmp_path / ("a.tar" if write is overstated else "a.zip")
    write(path)
    refused(SceneError, r"unpacks to more than .*Do not trust", path)


@pytest.mark.parametrize("member", ["../evil_MTL.txt", "a/../../evil_MTL.txt", "/evil_MTL.txt"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_that_climb_out(tmp_path, kind, member):
    path = tmp_path / "inner" / f"a.{kind}"
    path.parent.mkdir()
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo(member), io.BytesIO())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "")
    refused(SceneError, rf"{re.escape(member)}.*leaves the archive", path)
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", path.name]


@pytest.mark.parametrize("member", ["C:\\evil_MTL.txt", "..\\evil_MTL.txt"])
def test_members_that_climb_out_on_windows(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "")
    refused(SceneError, "leaves the archive", tmp_path / "a.zip")


@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_not_followed(tmp_path, link):
    secret = tmp_path / "secret"
    secret.write_text("GROUP = PRODUCT_CONTENTS")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("LC08_MTL.txt")
        member.type, member.linkname = link, str(secret)
        archive.addfile(member)
    refused(SceneError, "holds no scene", tmp_path / "a.tar")


@pytest.mark.parametrize("name", [".", "", "a\nb"])
def test_members_without_a_name(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "x"), b"12")
    if not name:
        packed = (tmp_path / "a.zip").read_bytes()
        (tmp_path / "a.zip").write_bytes(packed.replace(b"x12", b".12").replace(b"\0\0x", b"\0\0."))
    refused(SceneError, "holds no scene", tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_archive_cut_short(tmp_path, scene_folder, name, share):
    path = pack(scene_folder, tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(SceneError, rf"{name}|_MTL\.txt|\.TIF", path)


def test_damaged_bytes_in_an_archive(tmp_path, scene_folder):
    path = pack(scene_folder, tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b"SUN_ELEVATION", b"SUN_ELEVATIOM"))
    refused(SceneError, r"_MTL\.txt in .*a\.zip cannot be read .*CRC", path)


def test_locked_zip(tmp_path, scene_folder):
    path = pack(scene_folder, tmp_path / "a.zip")
    packed = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the encryption bit of every header
        for found in re.finditer(re.escape(signature), packed):
            packed[found.start() + at] |= 1
    path.write_bytes(packed)
    refused(SceneError, "password", path)


# ---- metadata cut short or wrong ----


def test_mtl_cut_anywhere(tmp_path, scene_folder):
    whole = gl.open_scene(scene_folder)
    file = next(scene_folder.glob("*_MTL.txt"))
    text, opened = file.read_bytes(), 0
    for end in range(0, len(text), 83):
        file.write_bytes(text[:end])
        with suppress(SceneError):
            scene = gl.open_scene(scene_folder)
            xr.testing.assert_identical(
                scene, whole
            )  # only what is not needed was cut, never a number in two
            opened += 1
    assert 0 < opened < len(text) / 83


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"SUN_ELEVATION = 30", b"SUN_ELEVATION = high", "SUN_ELEVATION = 'high.*' is no number"),
        (b"SUN_ELEVATION = 30", b"SUN_ELEVATION = -3", "sun is -3 degrees high"),
        (b'"L1TP"', b"3", "PROCESSING_LEVEL '3'"),
        (b"IMAGE_ATTRIBUTES", b"PRODUCT_METADATA", "SPACECRAFT_ID in IMAGE_ATTRIBUTES.*Collection 2"),
        (b"REFLECTANCE_MULT_BAND_4", b"X", "REFLECTANCE_MULT_BAND_4 in LEVEL1"),
        (b"K2_CONSTANT_BAND_10", b"X", "K2_CONSTANT_BAND_10 in LEVEL1_THERMAL"),
        (b"GROUP = ", b"END_GROUP = ", "_MTL.txt lacks"),
    ],
)
def test_wrong_mtl(tmp_path, old, new, match):
    folder = landsat(tmp_path, {"B4": 9000, "B10": 25000}, level="L1TP")
    refused(SceneError, match, edited(folder, "*_MTL.txt", lambda text: text.replace(old, new)))


def test_mtl_of_an_unknown_satellite(scene_folder):
    edited(scene_folder, "*_MTL.txt", lambda text: text.replace(b"LANDSAT_8", b"LANDSAT_3"))
    refused(UnknownNameError, "landsat-3", scene_folder)


@pytest.mark.parametrize("builder", [landsat, safe])
def test_metadata_without_images(tmp_path, builder):
    refused(SceneError, "no band images.*complete", builder(tmp_path, {}))


@pytest.mark.parametrize("file", ["MTD_MSIL2A.xml", "MTD_TL.xml"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.99])
def test_xml_cut_short(safe_folder, file, share):
    edited(safe_folder, file, lambda text: text[: int(share * len(text))])
    refused(SceneError, rf"{file} is damaged or cut short", safe_folder)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b">05.09<", b">new<", "PROCESSING_BASELINE 'new' is no number"),
        (b'band_id="3"', b'band_id="33"', "BOA_ADD_OFFSET is damaged"),
        (b'band_id="3"', b"", "BOA_ADD_OFFSET is damaged"),
        (b">-1000<", b"><", "BOA_ADD_OFFSET is damaged"),
        (b"BOA_QUANTIFICATION", b"L2A_BOA_QUANTIFICATION", "no BOA_QUANTIFICATION_VALUE.*unknown version"),
    ],
)
def test_wrong_xml(safe_folder, old, new, match):
    edited(safe_folder, "MTD_MSIL2A.xml", lambda text: text.replace(old, new))
    refused(SceneError, match, safe_folder)


def test_xml_that_expands(safe_folder):
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "aaaaaaaaaa">{entities}]><a>&a11;</a>'
    edited(safe_folder, "MTD_MSIL2A.xml", lambda text: bomb.encode())
    refused(SceneError, r"MTD_MSIL2A.xml is damaged.*amplification", safe_folder)


def test_xml_that_reads_files(safe_folder, tmp_path):
    (tmp_path / "secret").write_text("05.09")
    inside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'.encode()
    edit = lambda text: text.replace(b"<n1:Level", inside + b"<n1:Level", 1).replace(b">05.09<", b">&x;<")
    refused(SceneError, "undefined entity", edited(safe_folder, "MTD_MSIL2A.xml", edit))


@pytest.mark.parametrize("keep", [0, 0.5, 0.95])
def test_image_cut_short_in_a_product(safe_folder, keep):
    edited(safe_folder, "*_B02_10m.jp2", lambda image: image[: int(keep * len(image))])
    refused(SceneError, r"_B02_10m\.jp2", safe_folder)


# ---- files of ours, and of others ----


def test_reflectance_is_not_scaled_twice(tmp_path, scene_folder):
    scene = gl.open_scene(scene_folder)
    write_raster(scene, tmp_path / "a.tif")
    scene.to_netcdf(tmp_path / "a.nc")
    for name in ("a.tif", "a.nc"):
        refused(RadiometryError, "holds reflectance already", tmp_path / name, gain=1e-4)
        refused(RadiometryError, "holds reflectance already", tmp_path / name, radiometry="dn")
        refused(RadiometryError, "'toa' is not in it", tmp_path / name, radiometry="toa")
        refused(SceneError, "is of 'landsat_oli'", tmp_path / name, sensor="sentinel-2")


def test_numbers_do_not_become_reflectance_by_name(tmp_path):
    dn = xr.Dataset({"red": (("y", "x"), np.full((2, 2), 3000.0))}, {"y": [45, 15], "x": [15, 45]})
    path = write_raster(dn.assign_attrs(radiometry="dn"), tmp_path / "a.tif")
    assert gl.open_scene(path).attrs["radiometry"] == "dn"
    refused(RadiometryError, "digital numbers by its metadata.*gain=", path, radiometry="sr")
    assert gl.open_scene(path, radiometry="sr", gain=1e-4).red.values[0, 0] == pytest.approx(0.3)


@pytest.mark.parametrize("tag", ["not json", "[1]", '{"sensor": "nothing"}'])
def test_a_tag_like_ours(tmp_path, tag):
    path = write_image(tmp_path / "red.tif", np.float32(0.3), tags={"GLACIERLAB": tag})
    if "nothing" in tag:
        refused(UnknownNameError, "'nothing'", path, radiometry="sr")
    else:
        assert list(gl.open_scene(path, radiometry="sr")) == ["red"]


def test_stores_that_are_no_scenes(tmp_path):
    xr.Dataset({"a": ("z", [1, 2])}).to_netcdf(tmp_path / "a.nc")
    refused(SceneError, r"a\.nc has no variables on y and x", tmp_path / "a.nc")
    xr.Dataset({"red": (("y", "x"), [[0.1]])}, attrs={"radiometry": "sr"}).to_netcdf(tmp_path / "b.nc")
    refused(MissingBandError, r"lacks \['swir1'\]; it has \['red'\]", tmp_path / "b.nc", bands=["swir1"])
    refused(MissingBandError, r"lacks \['B5'\]", tmp_path / "b.nc", bands={"nir": "B5"})
    refused(GridError, "leave resolution= out", tmp_path / "b.nc", resolution=60)


def test_stores_cut_short(tmp_path, scene_folder):
    gl.open_scene(scene_folder).to_netcdf(tmp_path / "a.nc")
    whole = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    refused(SceneError, r"cut\.nc cannot be read", tmp_path / "cut.nc")
    gl.open_scene(scene_folder).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    shutil.rmtree(tmp_path / "a.zarr/x")
    os.truncate(tmp_path / "a.zarr/red/.zarray", 20)
    refused(SceneError, r"a\.zarr cannot be read", tmp_path / "a.zarr")
