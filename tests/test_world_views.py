"""What sensors see of a world: light and sky, the traps of a scene, and radar."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage
from worlds import CLEAN, DEBRIS, LAKE, classes, cover_of, normalized, world_of

import glacierlab as gl
from glacierlab.errors import SceneError, UnknownNameError
from glacierlab.synthetic import ground, model, synthetic_world
from glacierlab.synthetic.spectra import shared_patterns
from glacierlab.synthetic.terrain import fractal

WINTER = "01-15"

# ---- light, sky, instrument ----


def shadow_by_marching(height, pixel_m, elevation, azimuth):
    """Where the sun is hidden: walks from every pixel, half a pixel a step, until above all."""
    rise = np.tan(np.radians(elevation)) * pixel_m / 2
    y, x = np.mgrid[: height.shape[0], : height.shape[1]].astype(float)
    hidden = np.zeros(height.shape, bool)
    for step in range(1, int(np.ptp(height) / rise) + 2):
        at = y - step / 2 * np.cos(np.radians(azimuth)), x + step / 2 * np.sin(np.radians(azimuth))
        hidden |= ndimage.map_coordinates(height, at, order=1, cval=-1e9) > height + rise * step
    return hidden


@pytest.mark.parametrize("date", ["10-25", "12-15", "02-20"])
def test_shadow_is_where_a_ray_to_the_sun_is_blocked(date):
    world = world_of(1, (2020,), (128, 128), latitude=46.0)
    truth, scene = world.truth(date=date), world.scene(date=date)
    sun = scene.attrs["sun_elevation"], scene.attrs["sun_azimuth"]
    expected = shadow_by_marching(truth.elevation.values.astype(float), 30.0, *sun)
    shadow = truth.shadow.values
    assert shadow.sum() > 200
    assert np.mean(shadow == expected) > 0.98
    assert (shadow & expected).sum() > 0.7 * (shadow | expected).sum()
    snowy = truth.snow.values > 0.99
    dark, lit = (scene.nir.values[snowy & place] for place in (shadow, ~shadow))
    assert dark.mean() < 0.5 * lit.mean()
    blue = (scene.blue / scene.red).values
    assert np.median(blue[snowy & shadow]) > np.median(blue[snowy & ~shadow])


def test_slopes_are_bright_where_they_face_the_sun():
    world = world_of(2, (2020,), (128, 128), latitude=28.0)
    view = dict(date="12-15", snowline_m=500)
    scene, truth = world.scene(**view), world.truth(**view)
    height, azimuth = np.radians([scene.attrs["sun_elevation"], scene.attrs["sun_azimuth"]])
    south, east = np.gradient(truth.elevation.values.astype(float), 30)
    normal = np.stack([-east, south, np.ones_like(east)]) / np.sqrt(1 + south**2 + east**2)
    sun = np.array([np.sin(azimuth) * np.cos(height), np.cos(azimuth) * np.cos(height), np.sin(height)])
    cosine = np.einsum("k,kyx->yx", sun, normal)
    judged = (truth.snow.values > 0.99) & ~truth.shadow.values
    assert judged.sum() > 1000
    assert np.corrcoef(cosine[judged], scene.nir.values[judged])[0, 1] > 0.8


def test_clouds_are_bright_and_counted():
    world = world_of(1)
    view = dict(clouds=0.2, thin_cloud=0.1, fog=0.05, weather=4)
    truth, scene, clear = world.truth(**view), world.scene(**view), world.scene(weather=4)
    for name, key in (("cloud", "clouds"), ("thin_cloud", "thin_cloud"), ("fog", "fog")):
        assert float(truth[name].mean()) == pytest.approx(view[key], abs=1e-4)
    cloud = truth.cloud.values
    assert scene.swir16.values[cloud].mean() > 0.3
    gain = (scene.swir16 - clear.swir16).values
    assert (gain[cloud] > 0).mean() > 0.95
    only_shadow = (truth.cloud_shadow & ~truth.thin_cloud & ~truth.fog & ~truth.shadow).values
    assert only_shadow.sum() > 100
    assert scene.nir.values[only_shadow].mean() < 0.7 * clear.nir.values[only_shadow].mean()
    untouched = ~(truth.cloud | truth.thin_cloud | truth.fog | truth.cloud_shadow).values
    assert np.median(np.abs(gain[untouched])) < 0.01


def test_weather_changes_clouds_and_noise_alone():
    world = world_of(1)
    one, other = (world.truth(clouds=0.2, weather=k) for k in (1, 2))
    skies = ["cloud", "cloud_shadow"]
    xr.testing.assert_identical(one.drop_vars(skies), other.drop_vars(skies))
    assert (one.cloud != other.cloud).mean() > 0.1
    difference = (world.scene(weather=1).red - world.scene(weather=2).red).values
    assert 0 < difference.std() < 0.02
    assert abs(difference.mean()) < 0.001


def test_haze_lowers_contrast_most_in_the_blue():
    world = world_of(1)
    clear, hazy = world.scene(), world.scene(haze=0.8)
    kept = {name: float(hazy[name].std() / clear[name].std()) for name in ("blue", "red", "nir", "swir16")}
    assert kept["blue"] < kept["red"] < kept["nir"] < kept["swir16"]
    assert kept["blue"] < 0.85
    dark = clear.blue.values < 0.1
    assert (hazy.blue.values[dark] > clear.blue.values[dark]).mean() > 0.95


def test_stripes_of_landsat_7_are_missing_and_nothing_else():
    world = world_of(1, (1990, 2020))
    whole, striped = world.scene(sensor="landsat-7"), world.scene(sensor="landsat-7", gaps=True)
    bands = [name for name in whole.data_vars if name not in ("elevation", "truth")]
    lost = np.isnan(striped.red.values)
    assert 0.05 < lost.mean() < 0.35
    for name in bands:
        np.testing.assert_array_equal(np.isnan(striped[name]), lost)
        np.testing.assert_array_equal(striped[name].values[~lost], whole[name].values[~lost])
    xr.testing.assert_identical(striped[["elevation", "truth"]], whole[["elevation", "truth"]])
    runs = ndimage.label(lost[:, 80])[1]
    assert 4 <= runs <= 6  # a picture of 160 x 30 m; a wedge every 960 m of the sensor's own
    digital = world.scene(sensor="landsat-7", gaps=True, radiometry="dn")
    np.testing.assert_array_equal(np.isnan(digital.red), lost)


@pytest.mark.parametrize("what", [dict(sensor="landsat-8"), dict(sensor="landsat-7", year=1990)])
def test_no_other_sensor_or_time_has_stripes(what):
    with pytest.raises(SceneError, match="Landsat 7"):
        world_of(1).scene(gaps=True, **what)


# ---- traps ----


def test_winter_hides_ice_under_snow_and_frozen_water():
    world = world_of(0, shape=(256, 256))
    scene, truth = world.scene(date=WINTER), world.truth(date=WINTER)
    found, clean = scene.red.values > 2 * scene.swir16.values, classes(truth) == CLEAN
    assert (found & clean).sum() < 0.5 * found.sum()  # precision
    assert found[classes(truth) == LAKE].mean() > 0.7
    view = dict(snowline_m=5600)
    frozen, open_water = (world.scene(frozen=is_frozen, **view) for is_frozen in (True, False))
    lake = truth.fraction.sel({"class": "glacial_lake"}).values == 1
    brighter = (frozen.nir - open_water.nir).values
    assert brighter[lake].mean() > 0.1
    assert normalized(frozen.green, frozen.swir16)[lake].mean() > 0.5
    rivers = (
        cover_of(world, frozen=True, **view)["lake_ice"]
        - truth.fraction.sel({"class": "glacial_lake"}).values
    )
    assert brighter[rivers > 0.4].mean() > 0.03
    land = cover_of(world, frozen=True, **view)["lake_ice"] == 0
    assert np.abs(brighter[land]).mean() < 0.01


# ---- radar ----


def test_ice_is_incoherent_under_debris_too():
    world = world_of(1, shape=(192, 192))
    radar, truth, scene = world.radar(), world.truth(), world.scene()
    coherence, seen = radar.coherence.values, ~radar.layover.values
    rock = cover_of(world)["rock"] > 0.9
    on_rock = coherence[rock & seen].mean()
    assert on_rock > 0.7
    assert coherence[(classes(truth) == CLEAN) & seen].mean() < 0.5 * on_rock
    assert coherence[(classes(truth) == DEBRIS) & seen].mean() < 0.5 * on_rock
    assert world.radar(days=1).coherence.values[seen].mean() > coherence[seen].mean()
    assert np.abs(radar.phase.values).max() <= np.pi
    fast, slow = (
        (truth.ice_thickness.values > limit[0]) & (truth.ice_thickness.values <= limit[1]) & seen
        for limit in ((60, 1e9), (0, 20))
    )
    winter = world.radar(date="03-01", days=6).coherence.values  # nothing melts: motion alone
    assert winter[fast].mean() < winter[slow].mean()
    both = scene.assign(coherence=radar.coherence, phase=radar.phase)
    stack = both.glacier.stack(gl.Recipe(["red/swir16", "coherence"]).fit(both))
    assert list(stack.feature.values) == ["red/swir16", "coherence"]
    xr.testing.assert_identical(world.radar(), radar)
    assert (world.radar(weather=1).coherence != radar.coherence).mean() > 0.9


# ---- days, gaps, width ----


def test_late_summer_is_the_default_on_either_side():
    for latitude, late_summer in ((45.0, "09-15"), (-45.0, "03-15")):
        world = world_of(1, (2020,), (96, 96), latitude=latitude)
        xr.testing.assert_identical(world.scene(), world.scene(date=late_summer))
        assert float(world.truth().snow.mean()) < 0.4


def test_stripes_began_on_a_day_and_move():
    world = world_of(1, (2003, 2010), (64, 64))
    with pytest.raises(SceneError, match="since 2003-05-31, not for 'landsat-7' on 2003-05-30"):
        world.scene(2003, "05-30", "landsat-7", gaps=True)
    lost = [
        np.isnan(world.scene(2010, date, "landsat-7", gaps=True).red.values) for date in ("08-01", "09-15")
    ]
    assert all(0.05 < each.mean() < 0.4 for each in lost)
    assert (lost[0] & ~lost[1]).any()


def test_no_seam_in_pictures_wider_than_the_noise_repeats():
    noise = fractal(np.random.default_rng(0), (64, 3000), 30.0, 2000.0, 3.3)
    patterns = shared_patterns(np.random.default_rng(1), [noise])
    for name in ("snow", "rock"):
        steps = np.abs(np.diff(patterns(name, 1)[0], axis=1)).mean(axis=0)
        assert steps.max() < 3 * np.median(steps)


@pytest.mark.parametrize(
    ("view", "error", "message"),
    [
        ({"clouds": "x"}, SceneError, "clouds='x' is no number"),
        ({"frozen": "yes"}, SceneError, "frozen='yes': give True or False"),
        ({"cloud": 0.1}, UnknownNameError, "Did you mean 'clouds'"),
    ],
)
def test_views_that_cannot_be(view, error, message):
    with pytest.raises(error, match=message):
        world_of(1).scene(**view)


def test_a_world_too_wide_is_refused():
    with pytest.raises(SceneError, match="make 1920 km; a world is 250 km wide at most"):
        synthetic_world(0, (2020,), (64, 64), pixel_size_m=30_000)
    with pytest.raises(UnknownNameError, match="Unknown option of radar 'look'"):
        world_of(1).radar(look=3)


def test_the_page_tells_the_numbers_of_the_code():
    page = (Path(__file__).parents[1] / "docs/worlds.md").read_text(encoding="utf-8")
    rise = inspect.signature(synthetic_world).parameters["ela_rise_m_a"].default
    assert f"rises {model.ELA_ROSE:g} m until {model.REFERENCE}, and {rise:g} m a year after" in page
    assert f"a smooth one of {ground.WAVES:g} m" in page
