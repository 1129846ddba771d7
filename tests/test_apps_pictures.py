"""Pictures of scenes: what they show, that windows fit together, what is read and kept."""

import gc
import threading
import weakref

import numpy as np
import pytest
import rasterio.warp
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from pyproj import CRS
from rasterio.transform import from_bounds

import glacierlab as gl
from glacierlab.apps import levels, pictures
from glacierlab.apps.levels import Shelf, halved, sampled, sheets_of
from glacierlab.apps.pictures import SHELF, Pictures
from glacierlab.errors import GridError, MissingBandError, UnknownNameError
from glacierlab.tables import CLASSES


@pytest.fixture
def pictured(made):
    return Pictures(made, made.glacier.map_glaciers())


def whole(found, name, **options):
    """A picture with a pixel for each of the scene's."""
    return found.render(name, found.bounds, (found.scene.sizes["y"], found.scene.sizes["x"]), **options)


def big(rows, columns, seed=0, chunks=None):
    """Noise (y, x) float32 with a hole, larger than the coarsest level."""
    values = np.random.default_rng(seed).normal(100, 30, (rows, columns)).astype("float32")
    values[: rows // 5, : columns // 7] = np.nan
    coords = {"y": 5e6 - 10.0 * np.arange(rows), "x": 4e5 + 10.0 * np.arange(columns)}
    made = xr.DataArray(values, coords, ("y", "x")).rio.write_crs("EPSG:32645")
    return made if chunks is None else made.chunk(chunks)


# ---- what there is ----


def test_names_are_what_the_scene_yields(made, pictured):
    assert pictured.names[:3] == ["true color", "false color", "color infrared"]
    assert {"red", "ndsi", "red/swir16", "hillshade", "pca:3", "class map"} <= {*pictured.names}
    assert "truth" not in pictured.names
    less = Pictures(made.drop_vars(["swir16", "elevation", "blue"]))
    assert not {"true color", "false color", "ndsi", "red/swir16", "hillshade", "class map"} & {*less.names}
    assert "infrared and red" in less.names


def test_digital_numbers_have_no_indices(made):
    names = Pictures(made.assign_attrs(radiometry="dn")).names
    assert "ndsi" not in names
    assert "red/swir16" in names


def test_every_name_is_drawn_alike_from_memory_and_from_blocks(made):
    prediction = gl.predict(made, "default", uncertainty=["entropy"])
    eager, lazy = Pictures(made, prediction), Pictures(made.chunk(64), prediction.chunk(y=50, x=50))
    assert {"probability of clean_ice", "entropy"} <= {*eager.names}
    for name in eager.names:
        expected, found = whole(eager, name).astype(int), whole(lazy, name).astype(int)
        assert expected.shape == (160, 200, 4)
        assert expected[..., 3].any(), name
        if not name.startswith("pca"):  # components are fitted on samples in blocks
            assert abs(expected - found).max() <= 1, name


@pytest.mark.parametrize("name", ["nothing", "truth", "class map"])
def test_unknown_names_are_told(made, name):
    with pytest.raises(UnknownNameError):
        Pictures(made).render(name, (0, 0, 1, 1), (2, 2))


def test_a_layer_without_its_bands_says_which(made):
    with pytest.raises(MissingBandError, match="swir16"):
        Pictures(made.drop_vars("swir16")).render("ndsi", (0, 0, 1, 1), (2, 2))


def test_several_dates_or_no_place_are_refused(made):
    with pytest.raises(GridError, match="choose a date"):
        Pictures(made.expand_dims("time"))
    with pytest.raises(GridError, match="CRS"):
        Pictures(made.drop_vars("spatial_ref"))


# ---- what it looks like ----


def test_a_band_is_gray_between_its_percentiles(made, pictured):
    red = made["red"].values
    low, high = np.percentile(red, (10, 90))
    expected = colormaps["gray"](np.clip((red - low) / (high - low), 0, 1), bytes=True)
    assert abs(whole(pictured, "red", stretch=(10, 90)).astype(int) - expected).max() <= 1
    assert pictured.legend("red", (10, 90))[:2] == pytest.approx((low, high), rel=1e-5)


def test_false_color_is_that_of_the_figures(made, pictured):
    expected = 255 * gl.viz.false_color(made)
    assert abs(whole(pictured, "false color")[..., :3] - expected).max() <= 2


def test_the_class_map_has_the_colors_of_the_tables(made, pictured):
    prediction = made.glacier.map_glaciers()
    codes = prediction["class_map"].copy()
    codes[:10] = 255
    found = whole(Pictures(made, prediction.assign(class_map=codes)), "class map")
    ice = np.rint(255 * np.array(to_rgb(CLASSES["glacier"].color)))
    assert (found[codes.values == 1][:, :3] == ice).all()
    assert (found[codes.values == 1][:, 3] == 255).all()
    assert (found[:10, :, 3] == 0).all()
    assert (found[codes.values == 0][:, 3] > 0).all()  # background is seen, unlike what was not observed
    assert pictured.classes["glacier"] == CLASSES["glacier"].color


def test_signed_layers_are_white_at_zero(pictured):
    low, high, palette = pictured.legend("ndsi")
    assert low == -high
    assert palette[128] == "#{:02x}{:02x}{:02x}".format(*colormaps["RdBu"](128, bytes=True)[:3])
    assert pictured.legend("true color") is None
    assert pictured.legend("class map") is None


@pytest.mark.parametrize("dim", ["x", "y"])
@pytest.mark.parametrize("name", ["false color", "hillshade"])
def test_north_is_up_however_the_raster_lies(made, dim, name):
    turned = Pictures(made.isel({dim: slice(None, None, -1)}))
    np.testing.assert_array_equal(whole(turned, name), whole(Pictures(made), name))


def test_nothing_is_drawn_where_nothing_is(made, pictured):
    left, bottom, right, top = pictured.bounds
    assert not pictured.render("red", (right + 10, bottom, right + 500, top), (20, 30)).any()
    beyond = pictured.render("red", (left - (right - left), bottom, right, top), (160, 400))[..., 3]
    assert (beyond[:, :200] == 0).all()
    assert (beyond[:, 200:] == 255).all()
    made["red"][40:60, 50:90] = np.nan
    assert (whole(Pictures(made), "red")[..., 3] == 0).sum() == 20 * 40


def test_the_value_below_a_point_is_the_scenes(made, pictured):
    at = made["red"][70, 120]
    x, y = float(at.x), float(at.y)
    assert pictured.value_at("red", x + 14, y - 14) == float(at)
    assert pictured.value_at("class map", x, y) == float(pictured.prediction["class_map"][70, 120])
    assert np.isnan(pictured.value_at("red", 0, 0))
    assert np.isnan(pictured.value_at("true color", x, y))


@given(top=st.integers(0, 120), left=st.integers(0, 160), scale=st.sampled_from([1, 2, 4]))
def test_windows_are_parts_of_the_whole(parts, top, left, scale):
    found = parts
    west, _, _, north = found.bounds
    top, left = scale * (top // scale), scale * (left // scale)
    size = 32
    bounds = (west + 30 * left, north - 30 * (top + size), west + 30 * (left + size), north - 30 * top)
    window = found.render("nir", bounds, (size // scale, size // scale))
    everything = found.render("nir", found.bounds, (160 // scale, 200 // scale))
    expected = everything[top // scale : (top + size) // scale, left // scale : (left + size) // scale]
    np.testing.assert_array_equal(window[: len(expected), : expected.shape[1]], expected)


@pytest.fixture(scope="module")
def parts():
    return Pictures(gl.synthetic_scene(seed=1, shape=(160, 200)).chunk(48))


def test_another_crs_is_what_gdal_finds(made, pictured):
    other = CRS.from_epsg(32644)
    made_bounds = rasterio.warp.transform_bounds(made.rio.crs, other.to_wkt(), *pictured.bounds)
    shape = (170, 230)
    expected = np.full(shape, 255, "uint8")
    rasterio.warp.reproject(
        pictured.prediction["class_map"].values,
        expected,
        src_transform=made.rio.transform(),
        src_crs=made.rio.crs,
        dst_transform=from_bounds(*made_bounds, shape[1], shape[0]),
        dst_crs=other.to_wkt(),
        src_nodata=255,
        dst_nodata=255,
        tolerance=0.0,
    )
    sheets = sheets_of([pictured.prediction["class_map"]], held=[True])
    found = sampled(sheets, made_bounds, shape, other)[0]
    assert (found == expected).mean() > 0.999


# ---- levels ----


@pytest.mark.parametrize("size", [(1040, 1300), (1041, 1301)])
@pytest.mark.parametrize("chunks", [None, 256, {"y": 333, "x": 131}, {"y": -1, "x": 500}])
def test_levels_are_means_for_any_chunking(size, chunks):
    raster = big(*size)
    (sheet,) = sheets_of([raster if chunks is None else raster.chunk(chunks)], held=[True])
    odd = size[0] % 2
    assert [level.shape for level in sheet.levels] == [(520 + odd, 650 + odd), (260 + odd, 325 + odd)]
    rows, columns = size[0] // 2 * 2, size[1] // 2 * 2
    expected = raster[:rows, :columns].coarsen(y=2, x=2).mean().values  # xarray's own, without NaN
    np.testing.assert_allclose(sheet.levels[0][: rows // 2, : columns // 2], expected, rtol=2e-3)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_coarser_code_is_a_commonest(codes):
    block = np.array(codes, "uint8").reshape(2, 2)
    found = halved(block).item()
    assert codes.count(found) == max(map(codes.count, codes))


def test_digital_numbers_stay_finite():
    assert np.isfinite(halved(np.full((2, 2), 65535.0, "float32"))).all()


def test_colors_do_not_jump_with_the_view(made):
    raster = big(1100, 1200).to_dataset(name="red").assign_attrs(sensor="landsat_oli", radiometry="sr")
    found = Pictures(raster)
    left, bottom, *_ = found.bounds
    place = (left + 6000, bottom + 4000, left + 6400, bottom + 4400)
    alone = found.render("red", place, (40, 40))
    wide = found.render("red", (left + 5600, bottom + 3600, left + 6800, bottom + 4800), (120, 120))
    np.testing.assert_array_equal(wide[40:80, 40:80], alone)


# ---- what is read and kept ----


class Counted:
    """A lazy scene of two bands that counts the blocks that are made."""

    def __init__(self, rows=1200, columns=1100, chunk=256):
        self.made = []
        lock = threading.Lock()

        def block(values, called, block_info=None):
            with lock:
                self.made.append((called, block_info[0]["chunk-location"]))
            return values

        bands = {}
        for seed, name in enumerate(("nir", "red", "green")):
            band = big(rows, columns, seed, chunk)
            kind = dict(dtype="float32", meta=np.empty((0, 0), "float32"))
            bands[name] = band.copy(data=band.data.map_blocks(block, called=name, **kind))
        self.scene = xr.Dataset(bands).assign_attrs(sensor="landsat_oli", radiometry="sr")


@pytest.fixture
def shelves(monkeypatch):
    """Shelves of this test alone."""
    monkeypatch.setattr(pictures, "SHELF", Shelf(2**28))
    monkeypatch.setattr(levels, "BLOCKS", Shelf(2**26))


def test_a_lazy_scene_is_read_once_for_all_who_look(shelves):
    counted = Counted()
    found = Pictures(counted.scene)
    draw = lambda: found.render("color infrared", found.bounds, (120, 110))
    threads = [threading.Thread(target=draw) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(counted.made) == len({*counted.made}) == 3 * 25
    found.render("nir", found.bounds, (90, 80))  # of the same levels
    assert len(counted.made) == 75


def test_full_size_reads_the_blocks_in_view_once(shelves):
    counted = Counted()
    found = Pictures(counted.scene)
    found.render("nir", found.bounds, (60, 50))
    counted.made.clear()
    left, _, _, top = found.bounds
    window = (left + 100, top - 2400, left + 2400, top - 100)
    expected = found.render("nir", window, (230, 230))
    assert {*counted.made} == {("nir", (0, 0))}
    np.testing.assert_array_equal(found.render("nir", window, (230, 230)), expected)
    assert len(counted.made) == 1


def test_a_draft_reads_nothing_and_is_half_as_fine(shelves):
    counted = Counted()
    found = Pictures(counted.scene)
    found.render("nir", found.bounds, (60, 50))
    counted.made.clear()
    left, _, _, top = found.bounds
    window = (left + 400, top - 2400, left + 2400, top - 400)
    draft = found.render("nir", window, (200, 200), draft=True)
    assert counted.made == []
    np.testing.assert_array_equal(draft[::2, ::2], found.render("nir", window, (100, 100)))
    assert found.render("nir", window, (100, 100), draft=True) is None  # the halved one is in memory
    sharp = found.render("nir", window, (200, 200))
    assert np.abs(sharp.astype(int) - draft).mean() < 30
    assert found.render("nir", window, (200, 200), draft=True) is None  # it has been read
    assert found.render("nir", (0, 0, 2000, 2000), (200, 200), draft=True) is None  # elsewhere


def test_the_shelf_is_bounded_and_lets_the_oldest_go():
    shelf = Shelf(100)
    for name in "abc":
        shelf.put((0, name), name, 40)
        shelf.get((0, "a"))
    assert shelf.nbytes == 80
    assert shelf.get((0, "b")) is None
    assert shelf.get((0, "a")) == "a"
    shelf.put((1, "large"), "large", 500)
    assert shelf.nbytes == 500
    shelf.drop(1)
    assert shelf.nbytes == 0


def test_what_is_let_go_may_let_go_of_more():
    shelf, seen = Shelf(10), []

    class Thing:
        pass

    def fill():
        for owner in range(6):
            thing = Thing()
            weakref.finalize(thing, shelf.drop, owner)  # called while the shelf lets the thing go
            shelf.put((owner, "a"), thing, 8)
            shelf.put((owner, "b"), None, 1)
            seen.append(shelf.nbytes)

    filling = threading.Thread(target=fill, daemon=True)
    filling.start()
    filling.join(20)
    assert not filling.is_alive()
    assert max(seen) <= 10
    shelf.drop(5)
    assert shelf.nbytes == 0


def test_pictures_that_are_gone_keep_nothing(made):
    gc.collect()
    before = SHELF.nbytes
    found = Pictures(made)
    whole(found, "red/swir16")
    assert SHELF.nbytes > before
    del found
    gc.collect()
    assert SHELF.nbytes <= before


def test_an_app_that_is_gone_keeps_nothing(made):
    pytest.importorskip("panel")
    studio = gl.apps.inspect(made, made.glacier.map_glaciers())
    studio.layers.draw_images()
    holdings, pictures = studio.desk.holdings, studio.desk.pictures
    held = [weakref.ref(each) for each in (studio, holdings, pictures)]
    del studio, holdings, pictures
    gc.collect()
    assert [each() for each in held] == [None, None, None]


def test_what_was_let_go_is_made_again(made, monkeypatch):
    monkeypatch.setattr(pictures, "SHELF", Shelf(0))
    found = Pictures(made)
    np.testing.assert_array_equal(whole(found, "true color"), whole(Pictures(made), "true color"))
    assert whole(found, "ndsi")[..., 3].all()
