"""Writing: what comes back is what went in, and a file is there whole or not at all."""

import contextlib
import errno
import os

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from products import landsat, safe, write_image
from rasterio._err import CPLE_AppDefinedError, CPLE_FileIOError
from rasterio.errors import RasterioIOError

import glacierlab as gl
from glacierlab.errors import GlacierlabError, SceneError, WriteError
from glacierlab.io.maps import open_map
from glacierlab.io.write import whole_file, whole_folder, write_outlines, write_raster, write_text


@pytest.fixture
def scene(tmp_path):
    """A small Landsat scene with everything in it: NaN, negative and bright values, kelvin, flags."""
    dn = np.arange(144).reshape(12, 12) * 400
    bands = {"SR_B4": dn, "SR_B6": dn.T, "ST_B10": 40000}
    return gl.open_scene(landsat(tmp_path / "landsat", bands, qa=np.where(dn == 0, 1, 21824)))


@pytest.fixture
def target(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def rectangles(count=500):
    rows = {"name": [f"glacier {i}" for i in range(count)]}
    return gpd.GeoDataFrame(rows, geometry=[shapely.box(i, 0, i + 1, 1) for i in range(count)], crs=32611)


# ---- round trips ----


def test_a_scene_comes_back(scene, target):
    back = gl.open_scene(write_raster(scene, target / "scene.tif"))
    xr.testing.assert_identical(back, scene)  # values, types, CRS, attributes, scale_step
    assert [path.name for path in target.iterdir()] == ["scene.tif"]
    xr.testing.assert_identical(gl.valid_mask(back), gl.valid_mask(scene))
    xr.testing.assert_identical(back.glacier.ratio("red", "swir16"), scene.glacier.ratio("red", "swir16"))


def test_digital_numbers_come_back_with_their_scale(tmp_path, target):
    folder = safe(tmp_path, {"B02": [[0, 3000]], "B03": [[1000, 9000]]})
    numbers, scene = gl.open_scene(folder, radiometry="dn"), gl.open_scene(folder)
    path = write_raster(numbers, target / "dn.tif")
    xr.testing.assert_identical(gl.open_scene(path), numbers)
    xr.testing.assert_identical(gl.open_scene(path).glacier.to_reflectance(), scene)
    xr.testing.assert_identical(gl.open_scene(path, radiometry="sr"), scene)


def test_a_made_scene_comes_back_with_its_truth(made, target):
    back = gl.open_scene(write_raster(made, target / "made.tif"))
    assert list(back) == list(made)
    for name, variable in made.data_vars.items():
        np.testing.assert_array_equal(back[name], variable)
        assert back[name].dtype == variable.dtype
    assert back.truth.attrs["flag_meanings"] == made.truth.attrs["flag_meanings"]
    assert back.rio.crs == made.rio.crs
    assert back.rio.transform() == made.rio.transform()


@pytest.mark.parametrize(
    "part", [dict(y=slice(5, 6)), dict(x=slice(7, 8)), dict(y=slice(5, 6), x=slice(7, 8))]
)
def test_one_row_keeps_its_place(scene, target, part):
    row = scene.isel(part)
    back = gl.open_scene(write_raster(row, target / "row.tif"))
    xr.testing.assert_equal(back.drop_vars("spatial_ref"), row.drop_vars("spatial_ref"))
    assert back.rio.crs == scene.rio.crs


def test_a_lazy_scene_is_written_strip_by_strip(target):
    def block(block_info):
        (top, _), _ = block_info[None]["array-location"]
        return np.full(block_info[None]["chunk-shape"], top, "float32")

    dask = pytest.importorskip("dask.array")
    lazy = dask.map_blocks(block, chunks=((500,) * 5, (300,)), dtype="float32")
    scene = xr.Dataset(
        {"red": (("y", "x"), lazy)}, {"y": -30.0 * np.arange(2500), "x": 30.0 * np.arange(300)}
    )
    with rasterio.open(write_raster(scene.rio.write_crs(32611), target / "a.tif")) as file:
        np.testing.assert_array_equal(file.read(1)[::500, 0], [0, 500, 1000, 1500, 2000])
        assert file.profile["tiled"]


def test_a_class_map_comes_back(target):
    flags = {"flag_values": np.array([0, 1], "uint8"), "flag_meanings": "background glacier"}
    codes = xr.DataArray(np.uint8([[0, 1, 255]]), dims=("y", "x"), name="class_map", attrs=flags)
    codes = codes.assign_coords(y=[15.0], x=[15.0, 45.0, 75.0]).rio.write_crs(32611)
    codes = codes.rio.write_transform(rasterio.Affine(30, 0, 0, 0, -30, 30))
    path = write_raster(codes, target / "map.tif")
    for chunks in (None, 1):
        back = open_map(path, chunks=chunks)
        xr.testing.assert_equal(back, codes)
        assert (back.dtype, list(back.attrs["flag_values"])) == ("uint8", [0, 1])
        assert (back.chunks is None) == (chunks is None)
    with rasterio.open(path) as file:
        assert (file.nodata, file.dtypes) == (255, ("uint8",))


def test_a_mask_of_truth_values_is_written(scene, target):
    back = open_map(write_raster(scene.red > 0.5, target / "mask.tif"))
    np.testing.assert_array_equal(back, scene.red > 0.5)


def test_maps_of_others(tmp_path, data):
    values = np.float32([[0, 1, np.nan, -9999]])
    back = open_map(write_image(tmp_path / "a.tif", values, nodata=-9999))
    np.testing.assert_array_equal(back, [[0, 1, 255, 255]])
    with rasterio.open(data / "liligo/glacierMask_30m.tif") as file:
        expected = file.read(1)
    found = open_map(data / "liligo/glacierMask_30m.tif")
    np.testing.assert_array_equal(found, np.where(np.isnan(expected), 255, expected))
    assert found.rio.crs.to_epsg() == 32643


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.float32([[0.5, 1]]), "no class codes.*threshold"),
        (np.int16([[-1, 1]]), "no class codes"),
        (np.int16([[300, 1]]), "no class codes"),
        (np.ones((2, 1, 1), "uint8"), "2 bands; a class map has one"),
    ],
)
def test_what_is_no_map(tmp_path, values, match):
    with pytest.raises(SceneError, match=match):
        open_map(write_image(tmp_path / "a.tif", values))


@pytest.mark.parametrize("name", ["o.gpkg", "o.shp", "o.geojson", "o.parquet"])
def test_outlines_come_back(target, name):
    outlines = rectangles()
    path = write_outlines(outlines, target / name)
    back = gpd.read_parquet(path) if name.endswith("parquet") else gpd.read_file(path)
    assert list(back.name) == list(outlines.name)
    back, outlines = back.to_crs(outlines.crs).normalize(), outlines.normalize()
    assert back.geom_equals_exact(outlines, 1e-2).all()
    assert {p.stem for p in target.iterdir()} == {"o"}  # a shapefile's parts, and nothing temporary


# ---- whole or not at all ----


WRITERS = {
    "a.tif": lambda scene, path: write_raster(scene, path),
    "a[1]*.tif": lambda scene, path: write_raster(scene, path),
    "a.gpkg": lambda scene, path: write_outlines(rectangles(), path),
    "a.shp": lambda scene, path: write_outlines(rectangles(), path),
    "a.txt": lambda scene, path: write_text("areas " * 20_000, path),
}


def not_written(write, scene, path, match):
    """The writer raises a WriteError of one line."""
    with pytest.raises(WriteError, match=match) as caught:
        write(scene, path)
    assert isinstance(caught.value, GlacierlabError)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@contextlib.contextmanager
def full_disk(at):
    """A system that lets no file grow beyond `at` bytes."""
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("old", [b"what was there", None])
def test_full_disk(scene, target, writer, old):
    path = target / writer
    if old:
        path.write_bytes(old)
    with full_disk(at=800):
        not_written(WRITERS[writer], scene, path, "cannot be written.*free space")
    assert [p.name for p in target.iterdir()] == [path.name] * bool(old)
    assert not old or path.read_bytes() == old


def test_disk_full_at_closing(scene, target):
    """GDAL closes a GeoTIFF without a word where its last blocks found no room."""
    size = write_raster(scene, target / "whole.tif").stat().st_size
    for missing in range(1, size, size // 25):
        with full_disk(at=size - missing):
            not_written(WRITERS["a.tif"], scene, target / "a.tif", "File too large|No space|cannot")
    assert [p.name for p in target.iterdir()] == ["whole.tif"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RasterioIOError("Write failed.\nSee previous exception for details."),
        CPLE_FileIOError(3, 3, "Free disk space available is 0 bytes"),
        CPLE_AppDefinedError(3, 1, "TIFFAppendToStrip:Write error at scanline 0"),
    ],
)
def test_failing_writes(scene, target, monkeypatch, error):
    def write(*args, **kwargs):
        raise error

    monkeypatch.setattr(rasterio.io.DatasetWriter, "write", write)
    not_written(WRITERS["a.tif"], scene, target / "a.tif", r"a\.tif cannot be written \(.*free space")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_cannot_be(scene, target, writer):
    (target / "file").write_text("not a folder")
    not_written(WRITERS[writer], scene, target / "file" / writer, "cannot be written")
    (target / writer).mkdir()  # and a file that is a folder
    if not writer.endswith(".shp"):
        not_written(WRITERS[writer], scene, target / writer, "cannot be written")
    assert {p.name for p in target.iterdir()} == {"file", writer}


def test_a_folder_is_replaced_whole_or_not(target):
    def half_of_it():
        with whole_folder(target) as staged:
            write_text("new", staged / "a.txt")
            raise OSError(errno.ENOSPC, "No space left on device")

    (target / "a.txt").write_text("old")
    with pytest.raises(WriteError, match=r"out cannot be written \(No space"):
        half_of_it()
    assert [(p.name, p.read_text()) for p in target.iterdir()] == [("a.txt", "old")]
    with whole_folder(target) as staged:
        write_text("new", staged / "a.txt")
        write_text("more", staged / "b.txt")
    assert {p.name: p.read_text() for p in target.iterdir()} == {"a.txt": "new", "b.txt": "more"}


@pytest.mark.parametrize("stop_at", ["a.txt", "c.txt", "b.txt"])
def test_the_last_file_vouches_for_the_others(target, monkeypatch, stop_at):
    def write(text):
        with whole_folder(target, last="b.txt") as staged:
            for name in ("a.txt", "b.txt", "c.txt"):
                write_text(text, staged / name)

    def stopped(source, to):
        if to == target / stop_at:
            raise KeyboardInterrupt
        return replace(source, to)

    write("old")
    replace = os.replace
    monkeypatch.setattr("os.replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write("new")
    assert not (target / "b.txt").exists()
    monkeypatch.undo()
    write("new")
    assert {p.name: p.read_text() for p in target.iterdir()} == dict.fromkeys(
        ("a.txt", "b.txt", "c.txt"), "new"
    )


@pytest.mark.parametrize("error", [KeyError("a bug"), KeyboardInterrupt()])
def test_other_errors_pass_and_leave_nothing(target, error):
    def half_of_it():
        with whole_file(target / "a.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        half_of_it()
    assert list(target.iterdir()) == []
