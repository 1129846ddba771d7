"""STAC: scenes equal what was encoded, and what `open_scene` gives of the same files; lazily, on one grid."""

import subprocess
import sys

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from products import CORNER as PRODUCT_CORNER
from products import landsat, safe
from stac_server import LIE, add_item, add_landsat, add_sentinel_2, serving

import glacierlab as gl
from glacierlab.errors import (
    DataWarning,
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    SceneError,
)
from glacierlab.io.stac import open_stac

pytest.importorskip("odc.stac")
pystac = pytest.importorskip("pystac")
pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo
EXACT = dict(rtol=0, atol=1e-6)  # float32


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A catalog on loopback, past any proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving(tmp_path / "served") as found:
        yield found


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def opened(api, **options):
    """Everything that the catalog has, on its own grid."""
    return open_stac([pystac.Item.from_dict(item) for item in api.items], **options)


def truth(rng, shape=(60, 60)):
    """Reflectance that whole numbers of Sentinel-2 hold exactly, below 0 and above 1 too."""
    return np.round(rng.uniform(-0.05, 1.3, shape), 4)


# ---- the same numbers ----

OFFSETS = [  # how a catalog tells, baseline, its flag, the offset in the numbers [DN]
    ("earth-search", "05.09", True, 0),  # removed, though raster:bands says -0.1
    ("earth-search", "05.09", False, 1000),
    ("earth-search", "03.01", False, 0),
    ("earth-search", "02.14", None, 0),
    ("planetary-computer", "05.10", None, 1000),  # nothing says so but the baseline
    ("planetary-computer", "04.00", None, 1000),
    ("planetary-computer", "03.01", None, 0),
    ("planetary-computer", "02.12", None, 0),
]


@pytest.mark.filterwarnings("ignore:1 of 1 items:glacierlab.errors.DataWarning")
@pytest.mark.parametrize(("style", "baseline", "applied", "in_it"), OFFSETS)
def test_sentinel_2_is_what_was_encoded(api, rng, style, baseline, applied, in_it):
    red = np.clip(truth(rng), -0.05 if in_it else 1e-4, None)
    add_sentinel_2(
        api, bands={"B04": np.round(red * 1e4) + in_it}, style=style, baseline=baseline, applied=applied
    )
    scene = opened(api, chunks=None)
    np.testing.assert_allclose(scene.red[0], red, **EXACT)
    assert scene.red.dtype == "float32"
    assert scene.attrs["processing_baseline"] == baseline
    assert (scene.attrs["sensor"], scene.attrs["radiometry"]) == ("sentinel2_msi", "sr")
    assert (scene.attrs["sun_elevation"], scene.attrs["sun_azimuth"]) == (49.5, 160.25)


def test_collection_1_keeps_its_offset_whatever_the_flag(api):
    bands = {"B04": np.full((20, 20), 3000)}
    add_sentinel_2(api, bands=bands, collection="sentinel-2-c1-l2a", baseline="05.00", applied=True)
    assert opened(api).red.values.ravel()[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("offset", "value"), [("baseline", 0.2), (0, 0.3), (-500, 0.25), ({"red": -1000}, 0.2)]
)
def test_the_offset_by_hand(api, offset, value):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, applied=True)
    assert opened(api, offset=offset).red.values.ravel()[0] == pytest.approx(value)


def test_a_doubtful_flag_is_told_without_reading_a_pixel(api):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 700), "SCL": np.full((10, 10), 4)}, applied=False)
    with pytest.warns(DataWarning, match=r"1 of 1 items.*S2B_11UMS.*2022 and 2025.*check\(\).*offset=0"):
        scene = opened(api)
    assert not api.files_read()
    assert scene.isel(time=0).glacier.check().verdict["offset"] == "warn"  # 700 - 1000 DN
    opened(api, offset=0)  # settled
    opened(api, bands=["qa"])  # nothing to settle


def test_a_missing_flag_is_told_where_the_offset_may_be_removed(api):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, applied=None)
    with pytest.warns(DataWarning, match=r"1 of 1 items.*do not say that the offset.*is removed.*offset=0"):
        assert opened(api).red.values.ravel()[0] == pytest.approx(0.2)
    opened(api, offset="baseline")
    api.items.clear()
    add_sentinel_2(api, "other", {"B04": np.full((20, 20), 3000)}, "planetary-computer", applied=None)
    opened(api)  # a warning is an error


def test_an_unknown_baseline_is_asked_for(api):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, style="planetary-computer", baseline=None)
    with pytest.raises(RadiometryError, match=r"S2B_11UMS.*baseline.*offset=-1000, or 0"):
        opened(api)
    assert opened(api, offset=0).red.values.ravel()[0] == pytest.approx(0.3)


def test_landsat_is_what_was_encoded(api, rng):
    red = rng.integers(7273, 43636, (40, 40))
    red[0, 0], red[0, 1], red[0, 2] = 0, 65535, 1  # nodata, saturated, far below 0
    bands = {"B4": red, "B5": red, "B10": np.full((40, 40), 36000), "QA_PIXEL": np.full((40, 40), 21824)}
    add_landsat(api, bands=bands | {"ST_QA": red})  # its key is "qa"
    scene = opened(api, chunks=None).isel(time=0)
    assert list(scene) == ["red", "nir", "lwir11", "qa"]
    np.testing.assert_allclose(scene.red, np.where(red == 0, np.nan, 2.75e-5 * red - 0.2), **EXACT)
    assert scene.red[0, 1].item() == pytest.approx(1.6022, abs=1e-4)  # kept, not clipped
    assert scene.lwir11[5, 5].item() == pytest.approx(0.00341802 * 36000 + 149, abs=1e-3)
    assert scene.qa.dtype == "uint16"
    assert bool(gl.valid_mask(scene).all())
    assert scene.attrs["sensor"] == "landsat_oli"
    assert scene.rio.transform()[2] % 30 == 15  # Landsat's own grid, not a multiple of 30


def test_bands_go_by_keys_not_by_common_names(api):
    values = {
        native: np.full((20, 20), 1000 + 100 * n) for n, native in enumerate(["B05", "B06", "B07", "B8A"], 1)
    }
    add_sentinel_2(api, bands=values, style="planetary-computer", baseline="03.01")
    scene = opened(api, bands=["B8A", "rededge1", "rededge078"], chunks=None)
    assert list(scene) == ["nir08", "rededge071", "rededge078"]
    assert [round(float(v.mean()), 4) for v in scene.values()] == [0.14, 0.11, 0.13]


# ---- the same scene as from files ----


def identical(one, other):
    """Bit for bit, and with the same attributes but the title."""
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name].values, other[name].values)
        assert one[name].attrs == other[name].attrs
        assert one[name].dtype == other[name].dtype
    assert one.attrs | {"title": ""} == other.attrs | {"title": ""}
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.y, other.y)
    assert one.rio.crs == other.rio.crs
    assert one.rio.transform() == other.rio.transform()


def test_sentinel_2_equals_the_same_product_opened_from_files(api, tmp_path, rng):
    bands = {"B04": rng.integers(980, 9000, (36, 36)), "B8A": rng.integers(980, 9000, (18, 18))}
    bands["B04"][3:5, 4:9] = bands["B8A"][3, 4:6] = 0
    bands |= {"SCL": rng.integers(0, 12, (18, 18))}
    product = safe(tmp_path, bands)
    add_sentinel_2(api, bands=bands, style="planetary-computer", corner=PRODUCT_CORNER)
    for options in ({}, {"resolution": 20}, {"bands": ["nir08", "qa"]}):
        identical(opened(api, **options).isel(time=0, drop=True), gl.open_scene(product, **options))


def test_landsat_equals_the_same_product_opened_from_files(api, tmp_path, rng):
    bands = {f"B{n}": rng.integers(0, 60000, (12, 12)) for n in (2, 3, 4, 5, 6, 7)}
    qa = rng.choice([1, 21824, 30048], (12, 12))
    heat = {"ST_B10": rng.integers(0, 60000, (12, 12))}
    product = landsat(tmp_path, {f"SR_{name}": v for name, v in bands.items()} | heat, qa=qa)
    bands |= {"B10": heat["ST_B10"], "QA_PIXEL": qa}
    add_landsat(api, bands=bands, corner=PRODUCT_CORNER, when="2020-08-16T18:38:55.123456Z")
    scene = opened(api).isel(time=0, drop=True)
    identical(scene, gl.open_scene(product)[list(scene)])


# ---- lazy, and the same for any chunking ----


def test_opening_reads_no_pixel_and_computing_what_is_asked(api, rng):
    add_sentinel_2(api, bands={b: rng.integers(1, 9000, (60, 60)) for b in ("B02", "B04")}, applied=True)
    scene = opened(api)
    assert dask.is_dask_collection(scene.red.data)
    assert not api.files_read()
    scene.red.compute()
    assert {path.rpartition("/")[2] for path in api.files_read()} == {"red.tif"}


@pytest.mark.parametrize("chunks", [7, {"y": 13, "x": 40}, None])
@pytest.mark.parametrize("resolution", [None, 33])
def test_chunks_change_nothing(api, rng, chunks, resolution):
    bands = {"B04": rng.integers(0, 9000, (60, 60)), "B11": rng.integers(0, 9000, (30, 30))}
    add_sentinel_2(api, bands=bands, applied=True)
    whole = opened(api, resolution=resolution).compute()
    xr.testing.assert_identical(opened(api, resolution=resolution, chunks=chunks).compute(), whole)


def test_chunks_change_no_more_than_a_rounding_in_another_crs(api, rng):
    add_sentinel_2(api, bands={"B04": rng.integers(1000, 9000, (400, 400))}, applied=True)
    whole, parts = (opened(api, crs="EPSG:32612", chunks=chunks).compute().red for chunks in (2048, 97))
    np.testing.assert_allclose(parts, whole, atol=1.01e-4)  # 1 DN; GDAL's own tolerance moves hundreds
    assert float((parts != whole).where(whole.notnull()).mean()) < 2e-3


def test_a_coarse_grid_reads_overviews(api, rng):
    values = rng.integers(1, 9000, (512, 512))
    add_sentinel_2(api, bands={"B04": values}, applied=True)
    blocks = values.reshape(128, 4, 128, 4).mean(axis=(1, 3)) * 1e-4
    coarse = opened(api, resolution=40)
    np.testing.assert_allclose(
        coarse.red[0], blocks, atol=2e-4
    )  # overviews hold whole numbers, twice rounded


def test_the_area_is_cut_to_whole_pixels_of_the_grid_of_the_files(api, rng):
    values = rng.integers(1, 9000, (60, 60))
    item = add_sentinel_2(api, bands={"B04": values}, applied=True)
    west, south, east, north = item["bbox"]
    middle = (west + east) / 2, (south + north) / 2
    scene = open_stac(bbox=(middle[0], middle[1], east, north), catalog=api.url)
    assert 30 <= scene.sizes["x"] < 40
    inside = scene.red.dropna("x", how="all").dropna("y", how="all")
    np.testing.assert_array_equal(inside, opened(api).red.sel(x=inside.x, y=inside.y))


# ---- several dates, tiles and platforms ----


def test_tiles_of_one_pass_are_one_date(api):
    left, right = np.full((20, 20), 1000), np.full((20, 20), 2000)
    add_sentinel_2(api, "left", {"B04": left}, applied=True, tile="11UMS")
    corner = (478_005 + 200, 5_784_015)
    add_sentinel_2(
        api, "right", {"B04": right}, applied=True, tile="11UNS", corner=corner, when="2020-08-16T18:59:34Z"
    )
    add_sentinel_2(api, "later", {"B04": left}, applied=True, when="2020-08-16T20:39:19Z")  # the next orbit
    scene = opened(api).compute()
    assert scene.id.values.tolist() == ["left, right", "later"]
    assert scene.sizes == {"y": 20, "x": 40, "time": 2}
    np.testing.assert_allclose(scene.red[0, 5], np.repeat([0.1, 0.2], 20), **EXACT)
    assert np.isnan(scene.red[1, 5, 20:]).all()
    assert scene.time.values[0] == np.datetime64("2020-08-16T18:59:19")
    assert "datetime" not in scene.attrs


def test_of_a_tile_processed_twice_the_newest_baseline_counts(api):
    for name, baseline, value in (("old", "02.09", 1000), ("new", "05.00", 4000)):
        add_sentinel_2(api, name, {"B04": np.full((20, 20), value)}, "planetary-computer", baseline)
    scene = opened(api).compute()
    assert scene.id.values.tolist() == ["new"]
    assert float(scene.red.max()) == pytest.approx(0.3)


def test_dates_with_and_without_the_offset_stand_side_by_side(api):
    for day, baseline, value in ((10, "03.01", 2000), (20, "04.00", 3000), (30, "05.00", 3500)):
        when = f"2022-01-{day}T18:59:19Z"
        add_sentinel_2(api, f"d{day}", {"B04": np.full((20, 20), value), "SCL": np.full((10, 10), day // 10)},
                       "planetary-computer", baseline, when=when)  # fmt: skip
    scene = opened(api).compute()
    np.testing.assert_allclose(scene.red[:, 3, 3], [0.2, 0.2, 0.25], **EXACT)
    assert scene.qa.dtype == "uint8"
    assert scene.qa[:, 3, 3].values.tolist() == [1, 2, 3]
    assert scene.processing_baseline.values.tolist() == ["03.01", "04.00", "05.00"]
    one = scene.isel(time=1)
    assert one.red.attrs["native"] == "B04"
    assert bool(gl.valid_mask(one).all())


def test_scenes_of_several_sensors_need_a_choice(api):
    add_landsat(api, bands={"B4": np.full((20, 20), 9000)})
    add_landsat(api, "LE07", {"B4": np.full((20, 20), 9000)}, platform="landsat-7")
    with pytest.raises(SceneError, match=r"1 of landsat-8, 1 of landsat-7.*sensor="):
        opened(api)
    area = dict(bbox=api.items[0]["bbox"], catalog=api.url)
    assert open_stac(sensor="landsat-7", **area).attrs["sensor"] == "landsat_etm"


def test_scenes_in_two_zones_come_on_the_grid_of_most(api):
    west, north = 700_005, 5_784_015
    x, y = rasterio.warp.transform("EPSG:32611", "EPSG:32612", [west], [north])
    other = ("EPSG:32612", (round(x[0], -1) - 400, round(y[0], -1) + 400))
    for day, (crs, corner) in enumerate([("EPSG:32611", (west, north))] * 2 + [other], 1):
        when, bands = f"2020-08-0{day}T18:59:19Z", {"B04": np.full((160, 160), 3000)}
        add_sentinel_2(api, f"d{day}", bands, applied=True, crs=crs, corner=corner, when=when)
    bounds = (west + 200, north - 400, west + 400, north - 200)
    scene = open_stac(
        bbox=rasterio.warp.transform_bounds("EPSG:32611", "EPSG:4326", *bounds), catalog=api.url
    )
    assert scene.rio.crs.to_epsg() == 32611
    assert scene.sizes["time"] == 3
    np.testing.assert_allclose(scene.red, 0.3, **EXACT)


def test_a_band_that_some_items_lack_is_empty_there(api):
    add_sentinel_2(api, "one", {"B04": np.full((20, 20), 3000), "SCL": np.full((10, 10), 4)}, applied=True)
    add_sentinel_2(api, "two", {"B04": np.full((20, 20), 3000)}, applied=True, when="2020-08-26T18:59:19Z")
    with pytest.warns(DataWarning, match=r"Some of the 2 items lack bands.*qa \(1\)"):
        scene = opened(api)
    assert scene.qa.dtype == "uint8"
    assert np.unique(scene.qa[1]).tolist() == [0]


# ---- bad input ----


def test_landsat_has_no_offset_to_settle(api):
    add_landsat(api, bands={"B4": np.full((20, 20), 9000)})
    with pytest.raises(RadiometryError, match=r"for Sentinel-2.*landsat_oli: leave it out"):
        opened(api, offset=-1000)
    opened(api, offset="baseline")


def test_bands_that_are_not_there(api):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, applied=True)
    with pytest.raises(MissingBandError, match=r"lack \['pan'\].*'red'"):
        opened(api, bands=["red", "pan"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crs": "EPSG:0"}, GridError, "none that PROJ knows"),
        ({"crs": "EPSG:4326"}, GridError, "resolution= in degrees"),
        ({"resolution": -1}, GridError, "positive"),
        ({"resolution": 1e-5}, GridError, "units of the CRS"),
        ({"offset": "guess"}, RadiometryError, "neither"),
        ({"offset": None}, RadiometryError, "neither"),
        ({"offset": {"red": "guess"}}, RadiometryError, "neither"),
        ({"offset": {"B04": -1000}}, RadiometryError, r"names \['B04'\].*'red'"),
        ({"bands": {"red": 1}}, MissingBandError, r"names alone, such as \['red'\]"),
        ({"bbox": (10, 10, 11, 11)}, GridError, "outside the scenes"),
    ],
)
def test_wrong_arguments(api, options, error, message):
    add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, applied=True)
    with pytest.raises(error, match=message):
        opened(api, **options)


def test_nothing_to_open():
    with pytest.raises(SceneError, match="empty"):
        open_stac([])
    with pytest.raises(GlacierlabError, match="holds str"):
        open_stac(["S2B_11UMS"])


def test_a_scene_without_any_data(api):
    add_sentinel_2(api, bands={"B04": np.zeros((20, 20))}, applied=True)
    with pytest.raises(SceneError, match=r"S2B_11UMS.*nodata"):
        opened(api, chunks=None)


def test_items_that_do_not_say_where_their_pixels_lie(api):
    asset = {"red": (np.full((20, 20), 3000, "uint16"), 10, dict(LIE))}
    add_item(api, "bare", "sentinel-2-l2a", asset, projection=False, platform="sentinel-2a",
             **{"earthsearch:boa_offset_applied": True})  # fmt: skip
    scene = opened(api)
    assert scene.red.shape == (1, 20, 20)
    assert float(scene.red.mean()) == pytest.approx(0.3)


def test_without_the_extra_the_pip_line_is_given():
    code = (
        "import sys; sys.modules['odc.stac'] = sys.modules['pystac_client'] = None\n"
        "from glacierlab.io.stac import open_stac\n"
        "open_stac(bbox=(0, 0, 1, 1))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'glacierlab[stac]'" in ran.stderr.splitlines()[-1]
