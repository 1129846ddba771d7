"""Clouds, their shadows, fog and haze: shares asked and got, geometry by hand, nothing where nothing is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierlab.errors import GlacierlabError
from glacierlab.synthetic.light import sunlight
from glacierlab.synthetic.sky import cast, make_sky, through, under

SHAPE = (60, 70)
LEVEL = np.full(SHAPE, 3000, np.float32)
HILLS = (3000 + 400 * np.sin(np.arange(60) / 7)[:, None] * np.cos(np.arange(70) / 9)).astype(np.float32)
MASKS = ("cloud", "thin_cloud", "fog", "cloud_shadow")

shares = st.floats(0, 1)


def sky_of(elevation=HILLS, seed=1, cell_m=60.0, sun=(40, 150), **what):
    return make_sky(np.random.default_rng(seed), elevation, cell_m, *sun, **what)


def ground(value=0.3):
    return np.full(SHAPE, value, np.float32)


# ---- shares


@settings(max_examples=25)
@given(seed=st.integers(0, 999), clouds=shares, thin_cloud=shares, fog=shares)
def test_share_asked_is_share_got(seed, clouds, thin_cloud, fog):
    sky = sky_of(seed=seed, clouds=clouds, thin_cloud=thin_cloud, fog=fog)
    pixels = HILLS.size
    assert sky.cloud.sum() == round(clouds * pixels)
    assert sky.thin_cloud.sum() == round(thin_cloud * pixels)
    assert sky.fog.sum() == round(fog * pixels)
    for field in (sky.opacity, sky.brightness, sky.shade):
        assert field.dtype == np.float32
        assert field.shape == SHAPE
    for share in (sky.opacity, sky.shade):
        assert (share >= 0).all()
        assert (share <= 1).all()
    assert not (sky.cloud & sky.cloud_shadow).any()
    alone = sky_of(seed=seed, clouds=clouds)
    assert (alone.opacity > 0.5).sum() == round(clouds * pixels)


def test_a_clear_sky_changes_nothing():
    sky = sky_of()
    seen = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    light = sunlight(HILLS, 60.0, 40, 150)
    assert through(seen, 0.66, sky, cloud=0.9) is seen
    np.testing.assert_array_equal(under(light, sky).direct, light.direct)
    assert not any(getattr(sky, mask).any() for mask in MASKS)


def test_ground_without_anything_above_it_is_unchanged():
    sky = sky_of(clouds=0.2, thin_cloud=0.3, fog=0.2)
    seen = through(ground(), 0.66, sky, cloud=0.9)
    free = sky.opacity == 0
    assert free.mean() > 0.15
    assert (seen[free] == ground()[free]).all()
    assert (seen[sky.thin_cloud | sky.fog] != np.float32(0.3)).mean() > 0.99


def test_one_does_not_move_another():
    clouds, fog = sky_of(clouds=0.3), sky_of(fog=0.3)
    all_three = sky_of(clouds=0.3, thin_cloud=0.2, fog=0.3, haze=0.1)
    np.testing.assert_array_equal(all_three.cloud, clouds.cloud)
    np.testing.assert_array_equal(all_three.shade, clouds.shade)
    np.testing.assert_array_equal(all_three.fog, fog.fog)
    np.testing.assert_array_equal(sky_of(clouds=0.3).opacity, clouds.opacity)
    assert (sky_of(clouds=0.3, seed=2).cloud != clouds.cloud).any()


# ---- shadows of clouds


@pytest.mark.parametrize(
    ("azimuth", "moves"), [(180, (-15, 0)), (0, (15, 0)), (270, (0, 15)), (90, (0, -15)), (135, None)]
)
def test_cloud_shadow_lies_height_over_tangent_away_from_the_sun(azimuth, moves):
    sky = sky_of(LEVEL, cell_m=100.0, sun=(45, azimuth), clouds=0.3)  # base 1500 m: 15 pixels at 45 degrees
    if moves is None:  # sun in the south-east: 15 / √2 to the north-west is no whole pixel
        moves = (-11, -11)
        agree = (np.roll(sky.cloud, moves, (0, 1)) == (sky.shade > 0.5)).mean()
        assert agree > 0.9
    else:
        np.testing.assert_allclose(sky.shade, np.roll(sky.opacity, moves, (0, 1)), atol=1e-4)


@pytest.mark.parametrize("sun_elevation", [20, 45, 65])
def test_low_sun_throws_cloud_shadows_far(sun_elevation):
    opacity = np.zeros((101, 101), np.float32)
    opacity[60:63, 49:52] = 1
    height, cell_m = 500.0, 25.0
    shade = cast(opacity, np.full(opacity.shape, height), cell_m, sun_elevation, 180)
    y, x = (np.sum(axis * shade) / shade.sum() for axis in np.indices(shade.shape))
    assert (61 - y) * cell_m == pytest.approx(height / np.tan(np.radians(sun_elevation)), abs=0.01)
    assert x == pytest.approx(50)
    assert shade.sum() == pytest.approx(9, rel=1e-4)


def test_shadow_falls_nearer_on_higher_ground():
    opacity = np.zeros((101, 11), np.float32)
    opacity[80] = 1
    for below, row in (
        (1000, 60),
        (500, 70),
        (0, 80),
        (-200, 80),
    ):  # peaks above the base stay under their own
        shade = cast(opacity, np.full(opacity.shape, below), 50.0, 45, 180)
        assert np.flatnonzero(shade[:, 5] > 0.5).tolist() == [row]


def test_shadow_takes_direct_light_alone():
    sky, light = sky_of(clouds=0.4), sunlight(HILLS, 60.0, 40, 150)
    below = under(light, sky)
    np.testing.assert_allclose(below.direct, light.direct * (1 - sky.shade), rtol=1e-6)
    assert below.sky_view is light.sky_view
    assert sky.cloud_shadow.any()
    assert (sky.shade[sky.cloud_shadow] > 0.5).all()


# ---- what is seen


def test_thick_cloud_hides_the_ground():
    sky = sky_of(clouds=1.0)
    core = sky.opacity > 0.999
    dark, bright = (through(ground(value), 0.66, sky, cloud=0.9) for value in (0.05, 0.9))
    np.testing.assert_allclose(dark[core], bright[core], atol=1e-3)
    np.testing.assert_allclose(dark[core], 0.9 * sky.brightness[core], atol=2e-3)
    assert sky.brightness.mean() == pytest.approx(1, abs=0.05)


def test_haze_by_hand():
    # 0.2 at 0.55 µm, sun at 30 degrees: T = exp(-0.15 · 0.2 · (1 + 2)) = 0.91393, 0.35 of the rest comes back
    sky = sky_of(sun=(30, 150), haze=0.2)
    seen = through(ground(), 0.55, sky, cloud=0.9)
    np.testing.assert_allclose(seen, 0.91393 * 0.3 + 0.35 * 0.08607, atol=1e-5)
    assert not any(getattr(sky, mask).any() for mask in MASKS)


@given(haze=st.floats(0.01, 1), wavelength=st.floats(0.4, 2.0), reflectance=st.floats(0, 0.3))
def test_haze_is_bluish_over_dark_ground(haze, wavelength, reflectance):
    sky = sky_of(haze=haze)
    shorter, longer = (
        through(ground(reflectance), w, sky, cloud=0.9)[0, 0] for w in (wavelength, wavelength + 0.2)
    )
    assert reflectance < longer < shorter
    snow = through(ground(0.9), wavelength, sky, cloud=0.9)[0, 0]
    assert snow < 0.9
    assert snow - shorter < 0.9 - reflectance  # contrast is lost


def test_fog_fills_the_valleys_and_is_gray():
    sky = sky_of(fog=0.3)
    assert HILLS[sky.fog].mean() < HILLS[~sky.fog].mean() - 200
    deep = np.quantile(HILLS, 0.05) > HILLS
    assert sky.fog[deep].all()
    assert sky.opacity[deep].min() > 0.8
    blue, swir = (through(ground(0.1), w, sky, cloud=0.6) for w in (0.49, 1.61))
    np.testing.assert_array_equal(blue, swir)


def test_fog_by_hand():
    # a level valley 100 m below the lowest of the dry ground: 100 m · 0.02 / m, so that exp(-2) comes through
    valley = LEVEL.copy()
    valley[:, :35] -= 5000
    sky = sky_of(valley, fog=0.5)
    np.testing.assert_array_equal(sky.fog, valley < 0)
    assert sky.opacity[valley < 0] == pytest.approx(1 - np.exp(-4), abs=1e-5)  # no fog is thicker than 4


def test_thin_cloud_is_thin():
    sky = sky_of(thin_cloud=0.5)
    assert 0.1 < sky.opacity[sky.thin_cloud].mean() < 0.6
    assert (sky.opacity[~sky.thin_cloud] == 0).all()
    assert not sky.shade.any()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"clouds": 1.2}, "clouds=1.2 is a share of the picture: give 0 to 1"),
        ({"fog": -0.1}, "fog=-0.1 is a share"),
        ({"thin_cloud": np.nan}, "thin_cloud=nan"),
        ({"haze": -1}, "haze=-1 is an optical depth of 0 or more"),
        ({"sun": (0, 150)}, "sun_elevation=0 an angle above the horizon"),
    ],
)
def test_bad_input_says_what_to_do(what, message):
    with pytest.raises(GlacierlabError, match=message):
        sky_of(**what)
