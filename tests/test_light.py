"""The sun's place, shadows, open sky, the color of light: published values, geometry, measured shadows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacierlab.errors import GlacierlabError
from glacierlab.synthetic.light import (
    depth_below_rays,
    diffuse_share,
    illuminate,
    overpass,
    sky_view,
    sun_position,
    sunlight,
)

WAVELENGTHS = {
    "B2": 0.4924,
    "B3": 0.5598,
    "B4": 0.6646,
    "B5": 0.7041,
    "B6": 0.7405,
    "B7": 0.7828,
    "B8": 0.8328,
    "B8A": 0.8647,
}

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
moments = st.datetimes(pd.Timestamp("1985-01-01").to_pydatetime(), pd.Timestamp("2049-12-31").to_pydatetime())


def towards(when, latitude, longitude):
    """The unit vector (east, north, up) to the sun."""
    elevation, azimuth = np.radians(sun_position(when, latitude, longitude))
    level = np.cos(elevation)
    return np.array([level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)])


# ---- the sun


@pytest.mark.parametrize(
    ("when", "latitude", "longitude", "elevation", "azimuth"),
    [
        # the worked example of Reda and Andreas 2004, before refraction
        ("2003-10-17T12:30:30-07:00", 39.742476, -105.1786, 39.872046, 194.340241),
        # of their algorithm for the south; refraction is within the tolerance
        ("2012-12-22T12:00:00Z", -41, 0, 90 - 17.5658, 359.08592),
        ("2012-12-22T12:00:00Z", -3, 0, 90 - 20.4285, 180.790356),
        ("2015-06-12T09:34:11-04:00", -3.107, -60.025, 90 - 44.1425, 51.608),
    ],
)
def test_sun_is_where_the_solar_position_algorithm_has_it(when, latitude, longitude, elevation, azimuth):
    found = sun_position(when, latitude, longitude)
    assert found == pytest.approx((elevation, azimuth), abs=0.02)


@pytest.mark.parametrize(
    ("when", "declination"),
    [
        ("2020-03-20T03:50", 0),
        ("2020-06-20T21:44", 23.4365),
        ("2020-09-22T13:31", 0),
        ("2020-12-21T10:02", -23.4365),
    ],
)
def test_poles_see_equinox_and_solstice(when, declination):
    assert sun_position(when, 90, 12)[0] == pytest.approx(declination, abs=0.01)
    assert sun_position(when, -90, 77)[0] == pytest.approx(-declination, abs=0.01)


@given(when=moments, latitude=latitudes, longitude=longitudes)
def test_antipodes_see_opposite_suns(when, latitude, longitude):
    elevation, azimuth = sun_position(when, latitude, longitude)
    assert -90 <= elevation <= 90
    assert 0 <= azimuth <= 360
    east, north, up = towards(when, -latitude, longitude + 180)
    np.testing.assert_allclose(towards(when, latitude, longitude), [-east, north, -up], atol=1e-6)


@given(when=moments, longitude=longitudes)
def test_noon_sun_stands_towards_the_equator_and_mornings_east(when, longitude):
    morning = overpass(when, longitude)
    for latitude, side in ((45, -1), (-45, 1)):
        east, north, up = towards(morning, latitude, longitude)
        assert east > 0
        assert np.sign(north) == side
        assert up > 0


def test_time_may_come_in_any_form():
    forms = ["2020-11-15T04:45", "2020-11-15T04:45:00Z", "2020-11-15T10:30:00+05:45"]
    forms += [np.datetime64("2020-11-15T04:45"), pd.Timestamp("2020-11-15T04:45", tz="UTC")]
    assert len({sun_position(form, 28, 87) for form in forms}) == 1


def test_overpass_by_hand():
    assert overpass("2020-11-15", 0) == "2020-11-15T10:30:00Z"
    assert overpass("2020-11-15", 90) == "2020-11-15T04:30:00Z"  # a quarter turn is 6 hours
    assert overpass("2020-11-15", 180) == "2020-11-14T22:30:00Z"
    assert overpass("2020-11-15", -75, local_hour=10) == "2020-11-15T15:00:00Z"


@pytest.mark.parametrize(
    ("when", "latitude", "message"),
    [
        ("yesterday noon", 0, "'yesterday noon' is no time: give one in UTC"),
        (np.datetime64("NaT"), 0, "is no time"),
        (None, 0, "is no time"),
        ("2020-11-15", 91, "No place lies at latitude 91"),
        ("2020-11-15", np.nan, "latitude nan"),
    ],
)
def test_no_such_time_or_place(when, latitude, message):
    with pytest.raises(GlacierlabError, match=message):
        sun_position(when, latitude, 0)


# ---- direct light


@pytest.mark.parametrize("sun_elevation", [20, 45, 70])
@pytest.mark.parametrize(("azimuth", "turns"), [(180, 0), (90, 1), (0, 2), (270, 3)])
def test_a_wall_throws_a_shadow_as_long_as_the_sun_is_low(sun_elevation, azimuth, turns):
    ground = np.zeros((61, 21), np.float32)
    ground[50] = 100.0  # from west to east, sun in the south
    light = sunlight(np.rot90(ground, turns), 10.0, sun_elevation, azimuth)
    shadow, direct = np.rot90(light.shadow, -turns), np.rot90(light.direct, -turns)
    away = 10.0 * np.arange(1, 51)  # [m] north of the wall
    expected = np.maximum(100 - away * np.tan(np.radians(sun_elevation)), 0)
    np.testing.assert_allclose(shadow[49::-1, 10], expected, atol=1e-3)
    assert (shadow[50:] == 0).all()
    assert (direct[:49][shadow[:49] > 10] == 0).all()
    assert (direct[:49][shadow[:49] == 0] == 1).all()


def test_shadow_has_a_soft_edge():
    ground = np.zeros((3, 40), np.float32)
    ground[:, 0] = 100.0  # sun in the west at 45 degrees: depth falls by a metre a pixel
    light = sunlight(ground, 1.0, 45, 270)
    np.testing.assert_allclose(light.shadow[1, 1:4], [99, 98, 97], atol=1e-4)
    ground[:, 0] = 15.0
    light = sunlight(ground, 1.0, 45, 270)
    assert light.direct[1, 10] == pytest.approx(0.5, abs=1e-5)  # 5 m deep, half of the 10 m
    assert light.direct[1, 3] == 0
    assert (np.diff(light.direct[1, 2:]) >= 0).all()


@pytest.mark.parametrize(
    ("slope", "aspect", "sun", "cosine"),
    [
        (50, 180, (40, 180), 1.0),  # the sun straight on
        (50, 0, (40, 180), 0.0),  # 10 degrees beyond grazing
        (30, 90, (40, 90), np.cos(np.radians(20))),
        (30, 270, (40, 180), np.cos(np.radians(30)) * np.sin(np.radians(40))),  # across
    ],
)
def test_incidence_by_hand(slope, aspect, sun, cosine):
    y, x = np.mgrid[:20, :20] * 10.0
    falls = np.sin(np.radians(aspect)) * x - np.cos(np.radians(aspect)) * y
    light = sunlight(-np.tan(np.radians(slope)) * falls, 10.0, *sun)
    expected = max(cosine, 0) / np.sin(np.radians(40))
    np.testing.assert_allclose(light.direct[5:-5, 5:-5], expected, atol=2e-4)


@given(
    sun_elevation=st.floats(5, 90),
    azimuth=st.floats(0, 360),
    wavelength=st.floats(0.4, 2.4),
    aerosol=st.floats(0, 1),
    surroundings=st.floats(0, 1),
)
def test_level_ground_in_the_sun_keeps_its_reflectance(
    sun_elevation, azimuth, wavelength, aerosol, surroundings
):
    light = sunlight(np.full((9, 9), 3000.0), 30.0, sun_elevation, azimuth)
    seen = illuminate(light, wavelength, aerosol=aerosol, surroundings=surroundings)
    assert seen.dtype == light.direct.dtype == light.sky_view.dtype == light.shadow.dtype == np.float32
    np.testing.assert_allclose(seen, 1, atol=2e-7)


@pytest.mark.parametrize("sun_elevation", [-3, 0, 95, np.nan])
def test_no_light_without_a_sun(sun_elevation):
    with pytest.raises(GlacierlabError, match=f"sun stands at {sun_elevation} degrees.*another time"):
        sunlight(np.zeros((9, 9)), 30.0, sun_elevation, 180)


# ---- the sky


@pytest.mark.parametrize("slope", [0, 20, 40, 55])
def test_a_slope_sees_half_of_one_plus_its_cosine(slope):
    plane = np.tan(np.radians(slope)) * 30.0 * np.arange(400) * np.ones((400, 1))
    found = sky_view(plane, 30.0)[180:220, 180:220]
    np.testing.assert_allclose(found, (1 + np.cos(np.radians(slope))) / 2, atol=0.003)


@pytest.mark.parametrize("slope", [10, 25, 40])
def test_the_bottom_of_a_funnel_sees_the_sky_above_its_rim(slope):
    y, x = np.mgrid[-50:51, -50:51] * 120.0
    funnel = np.tan(np.radians(slope)) * np.hypot(y, x)
    assert sky_view(funnel, 120.0)[50, 50] == pytest.approx(np.cos(np.radians(slope)) ** 2, abs=1e-3)


def test_a_long_wall_hides_its_view_factor():
    ground = np.zeros((101, 101))
    ground[:, 58:] = 600.0
    expected = (1 + np.cos(np.arctan(600 / (8 * 120)))) / 2  # eight cells before the wall
    assert sky_view(ground, 120.0)[50, 50] == pytest.approx(expected, abs=0.02)


@given(seed=st.integers(0, 99), cell_m=st.sampled_from([10.0, 30.0, 120.0, 300.0]))
def test_sky_view_is_a_share_and_does_not_know_heights(seed, cell_m):
    rough = np.random.default_rng(seed).normal(0, cell_m, (23, 31)).cumsum(axis=1)
    view = sky_view(rough, cell_m)
    assert view.shape == rough.shape
    assert (view >= 0).all()
    assert (view <= 1).all()
    np.testing.assert_allclose(sky_view(rough + 1000, cell_m), view, atol=1e-3)
    np.testing.assert_array_equal(sky_view(np.full((23, 31), 7.0), cell_m), 1)


# ---- color


def test_diffuse_share_by_hand():
    # 1 / (0.55⁴ (115.6406 - 1.335 / 0.55²)) = 0.09825; T = 0.90642; (1 - T^0.95) / 2 = 0.04456
    share = diffuse_share(0.55, 90, aerosol=0, altitude_m=0)
    assert share == pytest.approx(0.04456 / (0.90642 + 0.04456), abs=1e-4)


@pytest.mark.parametrize("wavelength", [0.45, 0.55, 0.66, 0.86])
def test_air_alone_scatters_as_another_fit_has_it(wavelength):
    depth = 0.008735 * wavelength**-4.08  # Leckner 1978, doi:10.1016/0038-092X(78)90187-1
    other = 0.5 * (1 - np.exp(-0.95 * depth))
    found = diffuse_share(wavelength, 90, aerosol=0, altitude_m=0)
    assert found == pytest.approx(other / (np.exp(-depth) + other), rel=0.05)


def test_clear_air_is_blue_and_nearly_black_in_the_swir():
    blue, red, swir = (diffuse_share(wavelength, 40) for wavelength in (0.49, 0.66, 1.61))
    assert 0.13 < blue < 0.2
    assert 0.07 < red < 0.11
    assert 0.01 < swir < 0.03


@given(
    wavelength=st.floats(0.4, 2.3),
    sun=st.floats(5, 85),
    aerosol=st.floats(0, 0.5),
    altitude=st.floats(0, 6000),
    land=st.floats(0, 0.9),
)
def test_more_air_is_more_diffuse(wavelength, sun, aerosol, altitude, land):
    share = diffuse_share(wavelength, sun, aerosol, altitude, land)
    assert 0 < share < 1
    assert diffuse_share(wavelength, sun, aerosol + 0.1, altitude, land) > share
    assert diffuse_share(wavelength, sun, aerosol, altitude + 500, land) < share
    assert diffuse_share(wavelength + 0.1, sun, aerosol, altitude, land) < share
    assert diffuse_share(wavelength, sun, aerosol, altitude, land + 0.1) > share


def test_slopes_around_light_a_shadow():
    ground = np.zeros((60, 60), np.float32)
    ground[40:] = 900.0  # sun in the south, behind it
    light = sunlight(ground, 60.0, 30, 180)
    dark = light.direct[35, 30]
    assert dark == 0
    alone, with_snow = illuminate(light, 0.66), illuminate(light, 0.66, surroundings=0.8)
    view = light.sky_view[35, 30]
    assert alone[35, 30] == pytest.approx(view * diffuse_share(0.66, 30), rel=1e-5)
    expected = view * diffuse_share(0.66, 30, surroundings=0.8) + (1 - view) * 0.8
    assert with_snow[35, 30] == pytest.approx(expected, rel=1e-5)
    field = illuminate(light, 0.66, surroundings=np.full(ground.shape, 0.8))
    assert diffuse_share(0.66, 30, surroundings=np.zeros(3, np.float32)).dtype == np.float32
    np.testing.assert_allclose(field, with_snow, atol=1e-6)


def test_rock_in_deep_shadow_looks_like_ice_unless_bright_slopes_light_it():
    ground = np.zeros((60, 60), np.float32)
    ground[40:] = 900.0
    light = sunlight(ground, 60.0, 40, 180)
    bands = {0.6646: (0.153, 0.25), 1.6137: (0.235, 0.15)}  # rock, and a landscape of rock and ice
    lit, alone, among = (
        np.divide(
            *(rock * illuminate(light, w, surroundings=land * on)[at] for w, (rock, land) in bands.items())
        )
        for at, on in (((10, 30), 0), ((37, 30), 0), ((37, 30), 1))
    )
    assert lit == pytest.approx(0.153 / 0.235, rel=0.01)
    assert alone > 2 > among > lit


def test_shadowed_snow_has_the_color_of_real_shadowed_snow(data):
    """Two numbers, open sky and aerosol, explain eight bands of hand-labeled spectra from blue to NIR."""
    table = pd.read_csv(data / "spectra" / "Sentinel-2_SR_training_data.csv")
    means = table.groupby("class")[list(WAVELENGTHS)].mean()
    snow, measured = means.loc[1].values, (means.loc[2] / means.loc[1]).values
    sky, aerosol, sun = 0.84, 0.365, 45
    shares = [
        diffuse_share(w, sun, aerosol, 2000, s) for w, s in zip(WAVELENGTHS.values(), snow, strict=True)
    ]
    made = sky * np.array(shares) + (1 - sky) * snow
    np.testing.assert_allclose(made, measured, atol=0.045)
    assert np.sqrt(np.mean((made - measured) ** 2)) < 0.03


@given(azimuth=st.floats(0, 360), lift=st.floats(-100, 3000))
def test_depth_does_not_know_sea_level(azimuth, lift):
    rough = np.random.default_rng(3).normal(0, 30, (40, 50)).astype(np.float32)
    depth = depth_below_rays(rough, 30.0, 25, azimuth)
    moved = depth_below_rays(rough + np.float32(lift), 30.0, 25, azimuth)
    np.testing.assert_allclose(moved, depth, atol=0.01)
