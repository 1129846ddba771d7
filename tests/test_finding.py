"""What is one scene and what a folder of several, and whether a scene was replaced."""

import os

import numpy as np
import pytest
from products import hls, landsat, pack, safe, write_image

from glacierlab.errors import DataWarning
from glacierlab.io.finding import scene_name, scenes_below, stamp

DN = dict.fromkeys(("B2", "B3", "B4", "B5", "B6", "B7"), 9000)


def test_products_are_told_from_folders_of_products(tmp_path):
    one = landsat(tmp_path / "landsat", DN)
    two = safe(tmp_path / "safe", {"B03": 2000, "B04": 2000, "B11": 1500})
    three = hls(tmp_path / "hls/one", {"B03": 2000, "B05": 1500})
    packed = pack(other := landsat(tmp_path / "other", DN), tmp_path / "LC08_1.tar")
    for path in (one, two, three, packed):
        assert scenes_below(path) == [path]
    assert set(scenes_below(tmp_path)) == {one, two, three, packed, other}
    assert [scene_name(path) for path in (two, packed)] == [two.name.removesuffix(".SAFE"), "LC08_1"]


def test_single_bands_together_are_one_scene(tmp_path):
    for name in ("red", "nir", "swir16"):
        write_image(tmp_path / f"bands/{name}.tif", np.full((12, 12), 0.2, "float32"))
    assert scenes_below(tmp_path / "bands") == [tmp_path / "bands"]
    stacked = np.full((3, 12, 12), 0.2, "float32")
    write_image(tmp_path / "bands/all.tif", stacked)
    assert scenes_below(tmp_path / "bands") == [tmp_path / "bands"]
    paths = [write_image(tmp_path / f"many/{name}.tif", stacked) for name in ("a", "b")]
    assert scenes_below(tmp_path / "many") == paths


def test_a_raster_beside_other_scenes_is_one(tmp_path):
    stacked = np.full((3, 12, 12), 0.2, "float32")
    paths = [write_image(tmp_path / f"{name}.tif", stacked) for name in ("a", "z/b", "z/c")]
    assert scenes_below(tmp_path) == paths
    assert scenes_below(tmp_path / "z") == paths[1:]
    (archive := tmp_path / "y.zip").write_bytes(b"")
    assert scenes_below(tmp_path) == [paths[0], archive, *paths[1:]]


def test_layers_beside_scenes_are_left_out_and_told(tmp_path):
    paths = [write_image(tmp_path / f"{n}.tif", np.full((3, 12, 12), 0.2, "float32")) for n in "ab"]
    for name in ("dem", "sub/mask"):
        write_image(tmp_path / f"{name}.tif", np.full((12, 12), 0.2, "float32"))
    write_image(paths[1].with_name("sub") / "c.tif", np.full((3, 12, 12), 0.2, "float32"))
    with pytest.warns(DataWarning, match=r"scenes: dem\.tif\. Bands"):
        assert scenes_below(tmp_path) == [*paths, tmp_path / "sub"]  # a stack and a mask of one scene
    write_image(tmp_path / "sub/d.tif", np.full((3, 12, 12), 0.2, "float32"))
    with pytest.warns(DataWarning, match=r"scenes: sub.mask\.tif, dem\.tif\. "):
        assert len(scenes_below(tmp_path)) == 4


def test_a_layer_above_the_bands_is_opened_with_them(tmp_path):
    for name in ("dem", "bands/red", "bands/swir16"):
        write_image(tmp_path / f"{name}.tif", np.full((12, 12), 0.2, "float32"))
    assert scenes_below(tmp_path) == [tmp_path]


def test_zarr_and_netcdf_are_scenes(made, tmp_path):
    made.to_netcdf(tmp_path / "a.nc")
    made.to_zarr(tmp_path / "b.zarr", consolidated=False, zarr_format=2)
    assert scenes_below(tmp_path) == [tmp_path / "a.nc", tmp_path / "b.zarr"]


def test_a_replaced_part_of_a_product_is_mapped_again(tmp_path):
    product = landsat(tmp_path / "product", DN)
    before = stamp(product, None)
    assert stamp(next(product.glob("*_MTL.txt")), None) == before
    (product / "maps").mkdir()
    for name in ("maps/scene.tif", "maps/class_map.tif", "maps/report.html", ".lock"):
        (product / name).write_text("no part of the product")
    assert stamp(product, None) == before
    band = next(product.glob("*_B4.TIF"))
    at = band.stat()
    os.utime(band, ns=(at.st_atime_ns, at.st_mtime_ns - 1000))  # of the same second, and not the latest
    assert stamp(product, None) != before
    for address in ("https://example.org/a.tif", "/vsicurl/https://example.org/a.tif"):
        assert stamp(address, None) == address
