"""Layers brought onto a scene's grid: GDAL's own tools, exact surfaces, directions, laziness, messages."""

import shutil
import subprocess
from contextlib import nullcontext

import dask
import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, GridError, SceneError, UnknownNameError
from glacierlab.features.dem import terrain
from glacierlab.io.align import add_layer

EAST, NORTH = 630_000, 5_185_000  # Hintereisferner, in UTM zone 32


def scene_of(shape=(60, 80), size=30.0, east=EAST, north=NORTH, crs="EPSG:32632", dy=-1.0):
    """A scene of one band with its upper left corner there."""
    y = north + dy * size * (np.arange(shape[0]) + 0.5)
    x = east + size * (np.arange(shape[1]) + 0.5)
    red = xr.DataArray(np.ones(shape, np.float32), {"y": y, "x": x}, ("y", "x"))
    return xr.Dataset({"red": red}, attrs={"sensor": "landsat_oli"}).rio.write_crs(crs)


def raster_of(values, size=30.0, east=EAST, north=NORTH, crs="EPSG:32632"):
    """A raster from an array (y, x)."""
    values = np.asarray(values)
    return scene_of(values.shape, size, east, north, crs).red.copy(data=values)


@pytest.fixture
def hills():
    """Noise (90, 100) in pixels of 20 m, with a hole."""
    values = np.random.default_rng(2).normal(1000, 50, (90, 100)).astype("float32")
    values[40:44, 50:55] = np.nan
    return raster_of(values, 20.0)


# ---- outside answers ----


@pytest.mark.skipif(not shutil.which("gdalwarp"), reason="GDAL's gdalwarp is not installed")
@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("size", [30.0, 300.0])
def test_degrees_come_onto_meters_as_gdalwarp_brings_them(data, tmp_path, resampling, size):
    shape = (round(12_000 / size), round(9_000 / size))
    scene = scene_of(shape, size)
    path, output = data / "oggm/hef_srtm.tif", tmp_path / "warped.tif"
    bounds = [EAST, NORTH - 12_000, EAST + 9_000, NORTH]
    options = [
        "-te",
        *bounds,
        "-tr",
        size,
        size,
        "-r",
        resampling.replace("nearest", "near"),
        "-ot",
        "Float32",
    ]
    exact = ["-et", 0, "-wo", "XSCALE=1", "-wo", "YSCALE=1", "-dstnodata", "nan", "-q"]
    command = ["gdalwarp", "-t_srs", "EPSG:32632", *options, *exact, path, output]
    subprocess.run([str(word) for word in command], check=True)
    with rioxarray.open_rasterio(output, masked=True) as file:
        expected = file.squeeze(drop=True).values
    found = add_layer(scene, "elevation", path, resampling=resampling).elevation
    assert np.isfinite(expected).all()
    off = np.abs(found - expected)
    assert off.median() < 1e-3
    assert (off > 0.01).mean() < (0.02 if resampling == "nearest" else 1e-3)  # GDAL's own versions differ so


def test_srtm_in_degrees_has_a_slope_afterwards(data):
    scene = add_layer(scene_of((300, 300)), "elevation", data / "oggm/hef_srtm.tif")
    slope = terrain(scene.elevation, "slope")[0, 1:-1, 1:-1]
    with rioxarray.open_rasterio(data / "oggm/hef_srtm.tif") as file:
        theirs = (
            file.squeeze(drop=True)
            .astype("float32")
            .rio.reproject("EPSG:32632", resolution=30.0, resampling=1)
        )
    theirs = terrain(theirs.rio.clip_box(*scene.rio.bounds()), "slope")
    assert slope.notnull().all()
    assert float(slope.mean()) == pytest.approx(float(theirs.mean()), rel=0.02)
    assert scene.elevation.attrs["source_crs"] == "EPSG:4326"
    assert scene.elevation.attrs["units"] == "m"


def test_a_grid_in_degrees_takes_meters(data):
    with rioxarray.open_rasterio(data / "liligo/srtm_dem_30m.tif", masked=True) as file:
        dem = file.load()  # with its dimension `band`
    west, south, east, north = dem.rio.transform_bounds("EPSG:4326")
    middle = scene_of((50, 60), 0.0003, (west + east) / 2, (south + north) / 2, "EPSG:4326")
    found = add_layer(middle, "elevation", dem, resampling="nearest").elevation
    x, y = np.meshgrid(middle.x, middle.y)
    east, north = Transformer.from_crs(4326, dem.rio.crs.to_wkt(), always_xy=True).transform(x, y)
    at = dict(x=xr.DataArray(east, dims=("i", "j")), y=xr.DataArray(north, dims=("i", "j")))
    expected = dem.squeeze(drop=True).sel(at, method="nearest").values
    assert 0.1 < np.isfinite(expected).mean() < 1  # the DEM ends with the basin
    same = (found == expected) | (found.isnull() & np.isnan(expected))
    assert same.mean() > 0.999  # but for points halfway between two pixels


def test_the_same_grid_is_not_resampled(data, athabasca):
    path = data / "athabasca/athabasca_dem.tif"
    with rioxarray.open_rasterio(path, masked=True) as file:
        stored = file.squeeze(drop=True).load()
    found = add_layer(athabasca.drop_vars("elevation"), "elevation", path).elevation
    np.testing.assert_array_equal(found, stored.astype("float32"))
    xr.testing.assert_equal(found, athabasca.elevation)
    assert found.attrs["resampling"] == "none"
    assert found.attrs["source"] == "athabasca_dem.tif"
    assert found.attrs["coverage"] == 1


# ---- exact surfaces ----


@pytest.mark.parametrize("dy", [-1.0, 1.0])
@pytest.mark.parametrize("flip", [(1, 1), (-1, 1), (1, -1)])
def test_a_plane_stays_a_plane_whichever_way_axes_run(dy, flip):
    scene = scene_of((30, 40), 25.0, EAST + 205, NORTH - 205 if dy < 0 else NORTH - 1205, dy=dy)
    grid = raster_of(np.zeros((80, 90)), 20.0)
    plane = (grid + 0.1 * (grid.x - EAST) + 0.3 * (grid.y - NORTH) + 2000)[:: flip[0], :: flip[1]]
    found = add_layer(scene, "plane", plane.rio.write_crs("EPSG:32632"), resampling="bilinear").plane
    expected = 0.1 * (scene.x - EAST) + 0.3 * (scene.y - NORTH) + 2000
    np.testing.assert_allclose(found, expected.transpose("y", "x"), rtol=1e-6)


def test_larger_pixels_are_means(hills):
    scene = scene_of((22, 25), 80.0)
    found = add_layer(scene, "height", hills).height
    expected = hills.coarsen(y=4, x=4, boundary="trim").mean()  # NaN left out
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.attrs["resampling"] == "average"


def test_smaller_pixels_are_interpolated_and_holes_stay_holes(hills):
    scene = scene_of((360, 400), 5.0)
    found = add_layer(scene, "height", hills).height
    assert found.attrs["resampling"] == "bilinear"
    expected = hills.interp(y=scene.y, x=scene.x)
    both = np.isfinite(expected) & np.isfinite(found)
    assert both.mean() > 0.95
    np.testing.assert_allclose(found.values[both], expected.values[both], rtol=1e-6)
    hole = hills.isnull().sel(y=scene.y, x=scene.x, method="nearest")
    assert (found.isnull() == hole.values).all()


def test_declared_nodata_and_infinities_are_holes(hills):
    stored = hills.fillna(-9999).round().astype("int16").rio.write_nodata(-9999)
    grid = scene_of((90, 100), 20.0)
    np.testing.assert_array_equal(add_layer(grid, "height", stored).height, hills.round())
    shifted = scene_of((40, 40), 20.0, EAST + 310, NORTH - 310)
    endless = hills.fillna(np.inf)
    np.testing.assert_array_equal(
        add_layer(shifted, "height", endless).height, add_layer(shifted, "height", hills).height
    )


def test_booleans_and_flags_keep_their_values(hills):
    high = (hills > 1000).rio.write_crs("EPSG:32632")
    codes = high.astype("uint8").assign_attrs(flag_values=[0, 1])
    for classes in (high, codes):
        layer = add_layer(scene_of((22, 25), 80.0), "high", classes).high
        assert set(np.unique(layer)) == {0.0, 1.0}
        assert layer.attrs["resampling"] == "nearest"


# ---- directions ----


@pytest.mark.parametrize("name", ["aspect", "phase"])
def test_directions_are_not_averaged_across_their_end(name):
    full, low = (360.0, 0.0) if name == "aspect" else (2 * np.pi, -np.pi)
    end = low + full
    values = np.tile([end - 0.01 * full, low + 0.03 * full], (8, 4))  # either side of the end
    scene = scene_of((4, 4), 60.0)
    found = add_layer(scene, name, raster_of(values)).get(name)
    np.testing.assert_allclose(found, low + 0.01 * full, atol=1e-4 * full)
    wrong = add_layer(scene, "angle", raster_of(values)).angle
    np.testing.assert_allclose(wrong, low + 0.51 * full, rtol=1e-5)
    right = add_layer(scene, "angle", raster_of(values), wraps=(low, end)).angle
    np.testing.assert_array_equal(right, found)


def test_just_before_the_end_is_not_the_end():
    found = add_layer(scene_of((4, 4), 25.0), "aspect", raster_of(np.full((8, 8), -1e-6))).aspect
    assert ((found >= 0) & (found < 360)).all()


@given(turn=st.floats(0, 360), seed=st.integers(0, 99))
def test_turning_all_directions_turns_the_layer(turn, seed):
    values = np.random.default_rng(seed).normal(180, 20, (12, 12)) % 360
    scene = scene_of((5, 5), 37.0, EAST + 40, NORTH - 40)
    plain = add_layer(scene, "aspect", raster_of(values)).aspect
    turned = add_layer(scene, "aspect", raster_of((values + turn) % 360)).aspect
    off = (turned - plain - turn + 180) % 360 - 180
    assert abs(off).max() < 1e-2
    assert ((turned >= 0) & (turned < 360)).all()


# ---- laziness ----


@settings(max_examples=20)
@given(
    rows=st.integers(12, 60), cols=st.integers(15, 80), source=st.integers(20, 90),
    name=st.sampled_from(["height", "aspect"]), size=st.sampled_from([13.0, 30.0]),
)  # fmt: skip
def test_chunks_change_nothing(rows, cols, source, name, size):
    values = np.random.default_rng(5).uniform(0, 360, (90, 100)).astype("float32")
    values[11:14, 17] = np.nan
    degrees = raster_of(values, 0.0002, 10.7, 46.82, "EPSG:4326")
    scene = scene_of((60, 80), size, 629_800, 5_186_500)
    with pytest.warns(DataWarning) if size == 30 else nullcontext():
        eager = add_layer(scene, name, degrees)[name]
        lazy = add_layer(scene.chunk(y=rows, x=cols), name, degrees.chunk(y=source))[name]
    assert lazy.chunks == scene.red.chunk(y=rows, x=cols).chunks
    found = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(np.isnan(found), np.isnan(eager))
    np.testing.assert_allclose(found, eager, rtol=1e-6, atol=1e-4)  # the last bit of a float32
    assert found.attrs == eager.attrs


def test_a_lazy_scene_or_raster_stays_so(hills, tmp_path):
    hills.rio.to_raster(tmp_path / "dem.tif")
    scene = scene_of((50, 60), 20.0, EAST + 10, NORTH - 10)
    with dask.config.set(scheduler=never):
        for source in (hills, hills.chunk(y=30), tmp_path / "dem.tif"):
            layer = add_layer(scene.chunk(y=25), "elevation", source).elevation
            assert layer.chunks == ((25, 25), (60,))
            assert layer.dtype == np.float32
            assert isinstance(layer.data._meta, np.ndarray)
        assert add_layer(scene, "elevation", hills.chunk(y=30)).elevation.chunks is not None
    eager = add_layer(scene, "elevation", tmp_path / "dem.tif").elevation
    assert eager.chunks is None
    np.testing.assert_array_equal(eager, add_layer(scene, "elevation", hills).elevation)


def never(*_args, **_kwargs):
    raise AssertionError("computed")


def test_a_scene_of_several_dates_takes_one_layer(hills):
    scene = scene_of((90, 100), 20.0)
    dates = scene.expand_dims(time=2).chunk(time=1, y=40)
    layer = add_layer(dates, "elevation", hills).elevation
    assert layer.dims == ("y", "x")
    assert layer.chunks == ((40, 40, 10), (100,))
    np.testing.assert_array_equal(layer, hills)


def test_the_scene_stays_as_it_was(hills):
    scene = scene_of((90, 100), 20.0)
    before, raster = scene.copy(deep=True), hills.copy(deep=True)
    added = add_layer(scene, "elevation", hills)
    xr.testing.assert_identical(scene, before)
    xr.testing.assert_identical(hills, raster)
    xr.testing.assert_identical(added.drop_vars("elevation"), scene)
    assert added.elevation.rio.crs == scene.rio.crs
    assert added.elevation.attrs["kind"] == "layer"


def test_one_row_of_pixels(hills):
    row = scene_of((9, 40), 20.0, EAST + 7, NORTH - 7).isel(y=slice(4, 5))
    whole = add_layer(scene_of((9, 40), 20.0, EAST + 7, NORTH - 7), "height", hills).height
    row = row.rio.write_transform(scene_of((9, 40), 20.0, EAST + 7, NORTH - 7).rio.transform())
    np.testing.assert_allclose(add_layer(row, "height", hills).height, whole[4:5], rtol=1e-6)


# ---- files ----


def test_a_files_bands_scale_and_nodata(tmp_path, hills):
    stack = xr.concat([hills, hills / 10], "band").fillna(-1).round().astype("int16")
    stack.rio.write_nodata(-1).rio.write_crs("EPSG:32632").rio.to_raster(tmp_path / "two.tif")
    with rasterio.open(tmp_path / "two.tif", "r+") as file:
        file.scales, file.offsets = (1.0, 0.5), (0.0, 3.0)
    scene = scene_of((90, 100), 20.0)
    with pytest.raises(SceneError, match=r"has 2 bands: say which one with band=1 to 2"):
        add_layer(scene, "coherence", tmp_path / "two.tif")
    with pytest.raises(SceneError, match=r"has 2 bands; band=3 is none of them"):
        add_layer(scene, "coherence", tmp_path / "two.tif", band=3)
    found = add_layer(scene, "coherence", str(tmp_path / "two.tif"), band=2).coherence
    np.testing.assert_allclose(found, (hills / 10).round() * 0.5 + 3)


def test_a_scene_with_a_layer_is_written_and_read(tmp_path, hills):
    scene = add_layer(scene_of((90, 100), 20.0), "coherence", hills)
    gl.write_raster(scene, tmp_path / "scene.tif")
    again = gl.open_scene(tmp_path / "scene.tif", radiometry="sr")
    np.testing.assert_array_equal(again.coherence, hills)
    scene.to_netcdf(tmp_path / "scene.nc")
    assert xr.open_dataset(tmp_path / "scene.nc", decode_coords="all").coherence.rio.crs == "EPSG:32632"


# ---- messages ----


def test_rasters_that_do_not_meet_the_scene_are_told(hills):
    with pytest.raises(
        GridError, match=r"'elevation' does not overlap.*EPSG:32632 are \(700000.*\(630000, 518"
    ):
        add_layer(scene_of(), "elevation", raster_of(np.ones((9, 9)), east=700_000))
    with pytest.warns(DataWarning, match=r"'elevation' covers 25.0% of the scene; the rest is NaN"):
        part = add_layer(scene_of(), "elevation", raster_of(np.ones((30, 40))))
    assert part.elevation.notnull().mean() == 0.25
    assert part.elevation.attrs["coverage"] == 0.25


def test_what_is_no_raster_of_numbers_is_refused(hills, tmp_path):
    scene = scene_of()
    with pytest.raises(GridError, match=r"The layer 'dem' needs a CRS.*write_crs"):
        add_layer(scene, "dem", hills.drop_vars("spatial_ref"))
    with pytest.raises(GridError, match=r"add_layer needs a CRS"):
        add_layer(scene.drop_vars("spatial_ref"), "dem", hills)
    with pytest.raises(GridError, match=r"coordinates in y and x; \['y', 'x'\] are missing"):
        add_layer(scene, "dem", hills.rename(y="lat", x="lon"))
    with pytest.raises(GridError, match=r"dims \(y, x\), not \('band', 'y', 'x'\): choose"):
        add_layer(scene, "dem", xr.concat([hills, hills], "band").rio.write_crs("EPSG:32632"))
    with pytest.raises(GridError, match=r"real numbers, not complex64"):
        add_layer(scene, "dem", hills.astype("complex64"))
    with pytest.raises(SceneError, match=r"nowhere.tif does not exist"):
        add_layer(scene, "dem", tmp_path / "nowhere.tif")


@pytest.mark.parametrize(
    ("name", "message"),
    [("red", "has 'red' already: drop it first"), ("x", "has 'x' already"), ("truth", "kept for whole"),
     ("my layer", "no name for a layer"), ("", "no name"), (3, "no name")],
)  # fmt: skip
def test_names_that_will_not_do(hills, name, message):
    with pytest.raises(GlacierlabError, match=message):
        add_layer(scene_of(), name, hills)


def test_wrong_arguments_are_told(hills):
    with pytest.raises(UnknownNameError, match=r"Unknown resampling 'bilinaer'\. Did you mean 'bilinear'"):
        add_layer(scene_of(), "dem", hills, resampling="bilinaer")
    with pytest.raises(GlacierlabError, match=r"wraps=\(360, 0\) is no interval"):
        add_layer(scene_of(), "dem", hills, wraps=(360, 0))
    with pytest.raises(GlacierlabError, match="wraps=3 is no interval"):
        add_layer(scene_of(), "dem", hills, wraps=3)
    for source in (hills.values, hills.to_dataset(name="dem"), [hills]):
        with pytest.raises(GlacierlabError, match="comes from a path or a DataArray, not from"):
            add_layer(scene_of(), "dem", source)


def test_pixels_at_unequal_steps_are_refused(hills):
    with pytest.raises(GridError, match="do not lie at equal steps in y"):
        add_layer(scene_of(), "dem", hills.isel(y=[0, 1, 2, 5, 9, 20]))
    with pytest.raises(GridError, match="do not lie at equal steps in x"):
        terrain(hills.isel(x=[0, 1, 2, 5, 9, 20]), "slope")
