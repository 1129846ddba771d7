"""Made scenes: their form, and how what they show compares with real spectra and with what papers say."""

from functools import lru_cache
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from skimage.measure import regionprops
from worlds import BACKGROUND, CLEAN, DEBRIS, LAKE, classes, cover_of, normalized, world_of

import glacierlab as gl
from glacierlab.errors import RadiometryError, SceneError, UnknownNameError
from glacierlab.synthetic import synthetic_scene
from glacierlab.tables import CLASSES, SENSORS

SPECTRA_CLASS = {"snow": 1, "ice": 3, "rock": 4, "water": 5}
SHADOWED_SNOW = 2
SEEDS = range(4)


@lru_cache(maxsize=8)
def seen(seed, side=256):
    """A clean scene of the default view, with its truth and cover."""
    world = world_of(seed, (2020,), (side, side))
    return world.scene(), world.truth(), cover_of(world)


# ---- form ----


def test_scene_has_the_shape_of_the_data_model():
    scene = synthetic_scene(1, (64, 90))
    bands = ["coastal", "blue", "green", "red", "nir", "swir16", "swir22"]
    assert list(scene.data_vars) == [*bands, "elevation", "truth"]
    assert dict(scene.sizes) == {"y": 64, "x": 90}
    assert scene.rio.crs.to_epsg() == 32645
    assert scene.rio.resolution() == (30, -30)
    assert scene.attrs["sensor"] == "landsat_oli"
    assert scene.attrs["radiometry"] == "sr"
    assert pd.Timestamp(scene.attrs["datetime"]).tz is not None
    assert scene.attrs["title"] == "synthetic world, seed 1, 2020: not a real place"
    assert 0 < scene.attrs["sun_elevation"] < 90
    assert 90 < scene.attrs["sun_azimuth"] < 180  # half past ten, north of the tropic
    assert all(scene[name].dtype == "float32" for name in scene.data_vars if name != "truth")
    assert all(np.isfinite(scene[name]).all() for name in scene.data_vars)
    assert all(scene[name].min() > -0.05 and scene[name].max() < 2 for name in bands)
    assert scene.red.attrs["units"] == "1"
    assert scene.truth.dtype == "uint8"
    meanings = scene.truth.attrs["flag_meanings"].split()
    assert [CLASSES[name].code for name in meanings] == scene.truth.attrs["flag_values"].tolist()
    assert scene.truth.attrs["flag_values"].dtype == "uint8"
    assert gl.check(scene) is not None


@pytest.mark.parametrize("sensor", ["landsat-5", "landsat-7", "sentinel-2", "gaofen-6", "aster", "hls_l30"])
def test_any_sensor_has_its_reflective_bands(sensor):
    scene = synthetic_scene(0, (48, 60), sensor)
    row = SENSORS[scene.attrs["sensor"]]
    reflective = [b.name for b in row.bands if b.center_um < 3 and b.name not in ("pan", "cirrus")]
    assert list(scene.data_vars) == [*reflective, "elevation", "truth"]
    assert scene.rio.resolution()[0] == row.pixel_size_m


def test_seed_names_the_world():
    again = synthetic_scene(2, (64, 90))
    xr.testing.assert_identical(again, synthetic_scene(2, (64, 90)))
    other = synthetic_scene(3, (64, 90))
    assert not np.array_equal(again.truth, other.truth)
    assert not np.array_equal(again.red, other.red)
    older = synthetic_scene(2, (64, 90), "landsat-5")
    np.testing.assert_array_equal(again.truth, older.truth)  # another sensor looks at the same place
    np.testing.assert_array_equal(again.elevation, older.elevation)


def test_a_scene_is_the_last_year_of_its_world():
    scene = synthetic_scene(2, (64, 90), "sentinel-2", date="07-01", clouds=0.1)
    world = world_of(2, (2020,), (64, 90), pixel_size_m=10.0)
    xr.testing.assert_identical(scene, world.scene(2020, "07-01", "sentinel-2", clouds=0.1))


@pytest.mark.parametrize("sensor", ["landsat-8", "landsat-5", "sentinel-2"])
def test_digital_numbers_come_back(sensor):
    scene, digital = (synthetic_scene(2, (64, 90), sensor, radiometry=kind) for kind in ("sr", "dn"))
    assert digital.attrs["radiometry"] == "dn"
    back = digital.glacier.to_reflectance()
    assert back.attrs["radiometry"] == "sr"
    for band in ("green", "red", "swir16"):
        assert (digital[band] == digital[band].round()).all()
        assert float(abs(back[band] - scene[band]).max()) < 0.51 * digital[band].attrs["gain"] + 1e-6
    xr.testing.assert_equal(back[["truth", "elevation"]], scene[["truth", "elevation"]])


def test_a_scene_goes_to_disk_and_comes_back(tmp_path):
    scene = synthetic_scene(2, (64, 90))
    scene.to_zarr(tmp_path / "scene.zarr", zarr_format=2)
    back = gl.open_scene(tmp_path / "scene.zarr")
    xr.testing.assert_equal(back[list(scene.data_vars)], scene)
    assert back.rio.crs == scene.rio.crs
    assert back.attrs["sensor"] == scene.attrs["sensor"]
    assert back.attrs["sun_elevation"] == pytest.approx(scene.attrs["sun_elevation"])
    bands = ["blue", "green", "red"]
    gl.write_raster(scene[bands], tmp_path / "scene.tif")
    opened = gl.open_scene(tmp_path / "scene.tif", sensor="landsat-8", bands=bands, radiometry="sr")
    np.testing.assert_allclose(opened.red, scene.red, atol=1e-6)
    np.testing.assert_allclose(opened.y, scene.y)
    assert opened.rio.crs == scene.rio.crs


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shape": (20, 400)}, SceneError, r"shape=\(20, 400\) is no two whole numbers of 48 or more"),
        ({"shape": (400,)}, SceneError, "rows and columns"),
        ({"seed": -1}, SceneError, "seed=-1"),
        ({"sensor": "landsat-88"}, UnknownNameError, "Did you mean 'landsat-8'"),
        ({"radiometry": "toa"}, RadiometryError, "radiometry='sr' or 'dn', not 'toa'"),
        ({"date": "13-01"}, SceneError, "is no day of 2020"),
    ],
)
def test_bad_input_says_what_to_do(options, error, message):
    with pytest.raises(error, match=message):
        synthetic_scene(**options)


def test_default_scene_is_quick():
    begin = perf_counter()
    synthetic_scene(6)
    assert perf_counter() - begin < 15  # about 1 s on two cores; the bound leaves room for a busy machine


# ---- glaciers, by eye of a ruler ----


@pytest.mark.parametrize("side", [256, 400])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_class_is_there(seed, side):
    share = np.bincount(seen(seed, side)[0].truth.values.ravel(), minlength=4) / side**2
    assert len(share) == 4
    assert 0.1 < share[CLEAN] < 0.4
    assert share[DEBRIS] > 0.005
    assert share[LAKE] > 0.0005


@pytest.mark.parametrize("seed", SEEDS)
def test_glaciers_lie_high_and_reach_down(seed):
    scene = seen(seed)[0]
    height, truth = scene.elevation.values, scene.truth.values
    ice = np.isin(truth, (CLEAN, DEBRIS))
    gentle = np.hypot(*np.gradient(height, 30)) < 0.4  # walls and crests above the ice are bare
    assert np.median(height[gentle & ice]) > np.median(height[gentle & (truth == BACKGROUND)])
    assert height[ice].min() < np.quantile(height, 0.4)
    assert np.median(height[truth == DEBRIS]) < np.median(height[truth == CLEAN])
    assert np.median(height[truth == LAKE]) < np.median(height[ice])


def test_glacier_tongues_are_longer_than_wide():
    sizes = []
    for seed in SEEDS:
        truth = seen(seed)[1]
        glaciers = np.where(truth.glacier_fraction > 0.5, truth.glacier_id, 0)
        largest = sorted(regionprops(glaciers), key=lambda region: -region.area)[:5]
        sizes += [region.axis_major_length / region.axis_minor_length for region in largest]
    assert np.median(sizes) > 1.4  # basins of snow are wide, too


def test_lakes_look_like_water():
    ndwi = []
    for seed in SEEDS:
        scene, truth, cover = seen(seed)
        water = (cover["water"] > 0.999) & ~truth.shadow.values
        assert water.sum() > 20
        assert scene.truth.values[water].min() == LAKE
        ndwi.append(normalized(scene.green, scene.nir)[water])
        dry = (cover["rock"] > 0.99) & ~truth.shadow.values
        assert np.mean(normalized(scene.green, scene.nir)[dry] < 0.3) > 0.95
    ndwi = np.concatenate(ndwi)
    assert np.median(ndwi) > 0.5
    assert np.mean(ndwi > 0.2) > 0.9  # McFeeters 1996 has 0; some lakes are turbid


# ---- the ratio of red to SWIR, the field's own yardstick ----


def off_glacier_snow(truth):
    return (truth.glacier_fraction.values < 0.5) & (truth.snow.values > 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_ratio_finds_clean_ice_and_misses_debris(seed):
    """Nothing is left out of the first score; of the next late snow off the glaciers, which looks like it."""
    scene, truth, _ = seen(seed)
    ratio = scene.glacier.ratio("red", "swir16")
    reference = (scene.truth == CLEAN).astype("uint8")
    reference.attrs = {"flag_values": np.array([0, 1], "uint8"), "flag_meanings": "background glacier"}
    at = lambda **what: gl.best_threshold(ratio, reference, np.arange(12, 80, 4) / 10, **what)
    assert at().table.f1[2.0] > 0.88
    judged = scene.truth.copy(data=~off_glacier_snow(truth))
    curve = at(region=judged)
    assert curve.table.f1[2.0] > 0.93
    assert curve.table.f1.max() > 0.95
    found = ratio.values > 2
    assert found[classes(truth) == DEBRIS].mean() < 0.1
    by_hand = np.isin(found[judged.values & (classes(truth) == CLEAN)], True).mean()
    assert by_hand == pytest.approx(curve.table.recall[2.0])


def test_ratio_takes_lakes_late_snow_and_shadow_for_ice():
    lakes, patches, dark, lit = [], [], [], []
    for seed in SEEDS:
        scene, truth, _ = seen(seed)
        found, shadow = scene.red.values > 2 * scene.swir16.values, truth.shadow.values
        lakes.append(found[classes(truth) == LAKE])
        patches.append(found[off_glacier_snow(truth) & (truth.snow.values > 0.8) & ~shadow])
        view = dict(date="12-01", snowline_m=6000)  # a low sun before the snow
        world = world_of(seed, (2020,), (256, 256), latitude=28.0)
        low, rock = world.scene(**view), cover_of(world, **view)["rock"] > 0.99
        found, shadow = low.red.values > 2 * low.swir16.values, world.truth(**view).shadow.values
        dark.append(found[rock & shadow])
        lit.append(found[rock & ~shadow])
    lakes, patches, dark, lit = map(np.concatenate, (lakes, patches, dark, lit))
    assert lakes.mean() > 0.5
    assert patches.size > 500
    assert patches.mean() > 0.9
    assert dark.size > 200
    assert 0.02 < dark.mean() < 0.9
    assert dark.mean() > 5 * lit.mean()  # partly, and in the sun hardly ever
    assert lit.mean() < 0.02


# ---- against hand-labeled spectra ----


@pytest.fixture(scope="module")
def labeled(data):
    """Spectra by class; `test_spectra` says what is left out and why."""
    table = pd.read_csv(data / "spectra" / "Sentinel-2_SR_training_data.csv")
    repeated = (table.site_name == "Wolverine") & (table.image_date == 20210615)
    table = table[~repeated].dropna()
    clouded = table["class"].isin([SPECTRA_CLASS["snow"], SPECTRA_CLASS["ice"]]) & (table.NDSI < 0.4)
    return table[~clouded].groupby("class")


def distance(one, other):
    """Kolmogorov and Smirnov's, between two samples."""
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(sample), at, side="right") / sample.size for sample in (one, other)]
    return np.abs(below[0] - below[1]).max()


@pytest.mark.parametrize(("surface", "bound"), [("snow", 0.3), ("ice", 0.2), ("rock", 0.15), ("water", 0.4)])
def test_ndsi_of_sunlit_surfaces_is_that_of_real_spectra(labeled, surface, bound):
    made = []
    for seed in (0, 1, 2):
        world = world_of(seed, (2020,), (256, 256))
        scene, pure = world.scene(sensor="sentinel-2"), seen(seed)[2][surface] > 0.99
        made.append(normalized(scene.green, scene.swir16)[pure & ~seen(seed)[1].shadow.values])
    made = np.concatenate(made)
    real = labeled.get_group(SPECTRA_CLASS[surface]).NDSI.to_numpy()
    assert made.size > 300
    assert made.mean() == pytest.approx(real.mean(), abs=0.05)
    if surface != "water":  # lakes are few, and each has its color
        assert made.std() == pytest.approx(real.std(), rel=0.35)
    assert distance(made, real) < bound


def test_shadowed_snow_looks_like_real_shadowed_snow(labeled):
    real = labeled.get_group(SHADOWED_SNOW)
    ndsi, blue, blue_in_sun = [], [], []
    for seed in SEEDS:
        world, view = world_of(seed, (2020,), (256, 256)), dict(snowline_m=2500)  # old snow, lower down
        scene, truth = world.scene(sensor="sentinel-2", **view), world.truth(**view)
        snow = truth.snow.values > 0.99
        umbra = snow & (world._view(2020, "09-15", **view).light.shadow > 20)
        ratio = (scene.blue / scene.red).values
        ndsi.append(normalized(scene.green, scene.swir16)[umbra])
        blue.append(ratio[umbra])
        blue_in_sun.append(ratio[snow & ~truth.shadow.values])
    ndsi, blue, blue_in_sun = map(np.concatenate, (ndsi, blue, blue_in_sun))
    assert ndsi.size > 150
    assert np.median(ndsi) == pytest.approx(real.NDSI.median(), abs=0.03)
    assert np.median(blue) == pytest.approx((real.B2 / real.B4).median(), abs=0.15)
    assert np.median(blue_in_sun) < 1.1
