from functools import lru_cache
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from skimage.measure import label, regionprops
from skimage.morphology import reconstruction

from glacierlab.errors import RadiometryError, SceneError, UnknownNameError
from glacierlab.synthetic import glaciers, render, synthetic_scene, terrain
from glacierlab.tables import CLASSES, SENSORS

BACKGROUND, CLEAN, DEBRIS, LAKE = range(4)
# class means of NDSI of the labelled spectra; `test_table_is_the_mean_of_the_spectra` holds them to the file
REAL_NDSI = {"snow": 0.902, "ice": 0.878, "rock": -0.236, "water": 0.742}
SPECTRA_CLASS = {"snow": 1, "ice": 3, "rock": 4, "water": 5}


@lru_cache
def scene_of(seed, side=256):
    return synthetic_scene(seed, (side, side))


@lru_cache
def ground_of(seed):
    """Pixel means of the landscape under `scene_of(seed)`: cover by name, and depth in shadow [m]."""
    cell_m = render.MODEL_EXTENT / 256 / render.SUBPIXELS
    world = render.landscape(np.random.default_rng(seed), (256 * render.SUBPIXELS,) * 2, cell_m)
    depth = render.cast_shadow(world.surface, cell_m, render.SUN_ELEVATION, render.SUN_AZIMUTH)
    return {name: render.pixel_mean(share) for name, share in world.cover.items()}, render.pixel_mean(depth)


def ratio_mask(scene):
    return (scene.red > 2 * scene.swir16).values


def test_scene_has_the_shape_of_the_data_model():
    scene = synthetic_scene(1, (64, 90))
    assert list(scene.data_vars) == [
        *("coastal", "blue", "green", "red", "nir", "swir16", "swir22"),
        *("elevation", "truth"),
    ]
    assert dict(scene.sizes) == {"y": 64, "x": 90}
    assert scene.rio.crs.to_epsg() == 32645
    assert scene.rio.resolution() == (30, -30)
    assert scene.attrs["sensor"] == "landsat_oli"
    assert scene.attrs["radiometry"] == "sr"
    assert pd.Timestamp(scene.attrs["datetime"]).tz is not None
    assert scene.attrs["title"] == "synthetic scene, seed 1: not a real place"
    assert all(scene[name].dtype == "float32" for name in scene.data_vars if name != "truth")
    assert all(np.isfinite(scene[name]).all() for name in scene.data_vars)
    assert scene.red.attrs["units"] == "1"
    assert scene.truth.dtype == "uint8"
    meanings = scene.truth.attrs["flag_meanings"].split()
    assert [CLASSES[name].code for name in meanings] == scene.truth.attrs["flag_values"].tolist()
    assert scene.truth.attrs["flag_values"].dtype == "uint8"


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


@pytest.mark.parametrize("side", [256, 400])
@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_there(seed, side):
    share = np.bincount(scene_of(seed, side).truth.values.ravel(), minlength=4) / side**2
    assert len(share) == 4
    assert 0.1 < share[CLEAN] < 0.4
    assert share[DEBRIS] > 0.005
    assert share[LAKE] > 0.001


@pytest.mark.parametrize("seed", range(5))
def test_ratio_finds_lit_clean_ice_and_misses_debris(seed):
    scene = scene_of(seed)
    cover, shadow = ground_of(seed)
    truth, found = scene.truth.values, ratio_mask(scene)
    late_snow = (truth == BACKGROUND) & (cover["snow"] > 0)
    judged = np.isin(truth, (BACKGROUND, CLEAN)) & ~late_snow & (shadow < 1)
    hits = np.sum(found & (truth == CLEAN) & judged)
    assert 2 * hits / (np.sum(found & judged) + np.sum((truth == CLEAN) & judged)) > 0.9
    assert found[truth == DEBRIS].mean() < 0.25
    lit_patch = late_snow & (cover["snow"] > 0.8) & (shadow < 1)
    assert lit_patch.sum() > 20
    assert found[lit_patch].mean() > 0.9  # the trap: late snow looks like ice
    assert (
        found[(truth == BACKGROUND) & (cover["rock"] > 0.99) & (shadow > 20)].mean() > 0.1
    )  # and so does shadow


@pytest.mark.parametrize("seed", range(5))
def test_glaciers_lie_high_and_reach_down(seed):
    scene = scene_of(seed)
    height, truth = scene.elevation.values, scene.truth.values
    ice = np.isin(truth, (CLEAN, DEBRIS))
    assert np.median(height[ice]) > np.median(height[truth == BACKGROUND])
    assert height[ice].min() < np.quantile(height, 0.4)
    assert np.median(height[truth == DEBRIS]) < np.median(height[truth == CLEAN])
    assert np.median(height[truth == LAKE]) < np.median(height[ice])


def test_glacier_tongues_are_longer_than_wide():
    ice = np.isin(scene_of(5).truth.values, (CLEAN, DEBRIS))
    largest = sorted(regionprops(label(ice)), key=lambda region: -region.area)[:5]
    assert np.median([region.axis_major_length / region.axis_minor_length for region in largest]) > 1.7


@pytest.mark.parametrize("seed", range(5))
def test_lakes_are_water_and_level(seed):
    scene = scene_of(seed)
    water = ground_of(seed)[0]["water"] == 1
    ndwi = ((scene.green - scene.nir) / (scene.green + scene.nir)).values
    assert water.any()
    assert ndwi[water].min() > 0.3
    assert len(np.unique(scene.elevation.values[water])) <= 3  # one level a lake


@pytest.mark.parametrize(("surface", "real"), REAL_NDSI.items())
def test_ndsi_of_each_surface_is_that_of_real_spectra(surface, real):
    scene = scene_of(0)
    cover, shadow = ground_of(0)
    pure = (cover[surface] > 0.99) & (shadow == 0)
    ndsi = ((scene.green - scene.swir16) / (scene.green + scene.swir16)).values[pure]
    assert ndsi.mean() == pytest.approx(real, abs=0.06)


def test_table_is_the_mean_of_the_spectra(data):
    spectra = pd.read_csv(data / "spectra" / "Sentinel-2_SR_training_data.csv").groupby("class")
    bands = SENSORS["sentinel2_msi"].by_name
    for surface, number in SPECTRA_CLASS.items():
        for name, value in render.ENDMEMBERS[surface].reflectance.items():
            native = bands[name].native.replace("B0", "B")
            assert value == pytest.approx(spectra[native].mean()[number], abs=0.0006), (surface, name)
        assert REAL_NDSI[surface] == pytest.approx(spectra["NDSI"].mean()[number], abs=0.001)


def test_every_endmember_has_every_band_and_a_source():
    for row in render.ENDMEMBERS.values():
        assert tuple(row.reflectance) == render.SPECTRUM
        assert row.source


def test_shadow_is_bluish_and_darker():
    scene = scene_of(1)
    cover, shadow = ground_of(1)
    rock = cover["rock"] > 0.99
    lit, dark = rock & (shadow == 0), rock & (shadow > 20)
    assert scene.red.values[dark].mean() < 0.4 * scene.red.values[lit].mean()
    blue_share = (scene.blue / scene.red).values
    assert np.median(blue_share[dark]) > np.median(blue_share[lit])


@pytest.mark.parametrize(("azimuth", "turns"), [(180, 0), (90, 1), (0, 2), (270, 3)])
def test_a_wall_throws_a_shadow_as_long_as_the_sun_is_low(azimuth, turns):
    ground = np.zeros((41, 41))
    ground[30] = 100.0  # a wall from west to east, sun in the south
    ground = np.rot90(ground, turns)
    shadow = np.rot90(render.cast_shadow(ground, 10.0, 45.0, azimuth), -turns)
    np.testing.assert_allclose(shadow[20:30, 5:-5], np.arange(0, 100, 10)[:, None] * np.ones(31), atol=1e-9)
    assert shadow[:20].max() == shadow[30:].max() == 0


@pytest.mark.parametrize("azimuth", [120, 135, 152, 225, 315])
def test_a_pole_throws_its_shadow_away_from_the_sun(azimuth):
    ground = np.zeros((101, 101))
    ground[48:53, 48:53] = 200.0
    y, x = np.nonzero(render.cast_shadow(ground, 10.0, 45.0, azimuth) > 50)
    bearing = np.degrees(np.arctan2(x.mean() - 50, 50 - y.mean())) % 360
    assert bearing == pytest.approx((azimuth + 180) % 360, abs=3)
    assert np.hypot(y - 50, x - 50).max() * 10 == pytest.approx(150, abs=40)  # 50 m below a ray from 200 m


def test_incidence_by_hand():
    y, x = np.mgrid[:5, :5] * 10.0
    np.testing.assert_allclose(render.incidence(0 * y, 10.0, 40, 152), np.sin(np.radians(40)))
    facing = -y * np.tan(np.radians(50))  # falls to the south by 90° - 40°
    np.testing.assert_allclose(render.incidence(facing, 10.0, 40, 180), 1)
    np.testing.assert_allclose(render.incidence(facing, 10.0, 40, 0), 0)  # 80° past the sun: away
    eastward = -x * np.tan(np.radians(30))
    np.testing.assert_allclose(render.incidence(eastward, 10.0, 40, 90), np.cos(np.radians(20)))


def test_ice_velocity_by_hand():
    # stress 900 · 9.81 · 100 · 0.1 = 88290 Pa; 2/5 · 2.4e-24 · 88290³ · 100 m = 6.607e-8 m/s = 2.085 m/a
    assert glaciers.ice_velocity(100.0, 0.1) == pytest.approx(2.085, abs=1e-3)


def test_ice_on_a_ramp_keeps_its_mass():
    bed = np.repeat(np.linspace(2000.0, 0.0, 200)[:, None], 4, axis=1)
    assert glaciers.ice_thickness(bed, 40.0, ela_m=5000.0).max() == 0
    ice = glaciers.ice_thickness(bed, 40.0, ela_m=1200.0, years=1500)
    surface = bed + ice
    balance = np.minimum(0.006 * (surface - 1200), 1.5)
    covered = ice > 0.5
    assert covered.any()
    assert surface[covered].min() < 1200  # it flows below the equilibrium line and ends
    assert ice[-1].max() == 0
    retention = glaciers.snow_retention(bed, 40.0)
    balance = np.where(balance > 0, retention * (balance + 1) - 1, balance)[covered]
    assert abs(balance.sum()) < 0.1 * np.abs(balance).sum()  # what falls above the line melts below it


@pytest.mark.parametrize("seed", range(4))
def test_valleys_drain_to_the_border(seed):
    land = terrain.mountains(np.random.default_rng(seed), (90, 70), 130.0)
    land = np.pad(land, 1, mode="edge")
    seeds = np.full_like(land, land.max())
    seeds[[0, -1]], seeds[:, [0, -1]] = land[[0, -1]], land[:, [0, -1]]
    depth = lambda ground: (reconstruction(seeds, ground, method="erosion") - ground).max()
    assert depth(land) < 1
    land[40, 30] -= 500
    assert depth(land) > 300  # a planted basin is seen


def test_drained_area_by_hand():
    # 0 ← 1 ← 2 and 1 ← 3: the mouth drains all four
    area = terrain.drained_area(np.array([0.0, 1.0, 2.0, 2.0]), np.array([-9999, 0, 1, 1]), 10.0)
    assert area.tolist() == [40, 30, 10, 10]


def test_fractal_is_standard_and_rough_as_asked():
    field = terrain.fractal(np.random.default_rng(0), (256, 256), 1.0, longest_m=1e6, exponent=3.0)
    assert field.mean() == pytest.approx(0, abs=1e-9)
    assert field.std() == pytest.approx(1)
    power = np.abs(np.fft.rfft2(field)[1:40, 0]) ** 2  # along one axis the power falls as k^-3
    slope = np.polyfit(np.log(np.arange(1, 40)), np.log(power), 1)[0]
    assert slope == pytest.approx(-3, abs=0.6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shape": (20, 400)}, SceneError, r"shape=\(20, 400\) is too small: ask for 48"),
        ({"shape": (400,)}, SceneError, "too small"),
        ({"seed": -1}, SceneError, "seed=-1 is negative"),
        ({"sensor": "landsat-88"}, UnknownNameError, "Did you mean 'landsat-8'"),
        ({"radiometry": "dn"}, RadiometryError, "radiometry='sr', not 'dn'"),
    ],
)
def test_bad_input_says_what_to_do(options, error, message):
    with pytest.raises(error, match=message):
        synthetic_scene(**options)


def test_default_scene_is_quick():
    begin = perf_counter()
    synthetic_scene(6)
    assert perf_counter() - begin < 15  # about 2 s on two cores; the bound leaves room for a busy machine
