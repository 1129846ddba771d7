"""Endmembers against labeled spectra; mixing; noise, saturation, gaps; digital numbers and back."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from products import landsat, safe

import glacierlab as gl
from glacierlab.errors import RadiometryError, UnknownNameError
from glacierlab.synthetic import instrument, spectra
from glacierlab.synthetic.instrument import INSTRUMENTS, measure, slc_gaps, to_dn
from glacierlab.synthetic.spectra import (
    ENDMEMBERS,
    SPECTRUM,
    mix,
    reflective_bands,
    resampled,
    shared_patterns,
)
from glacierlab.tables import SENSORS

# class in the file, rows fitted, largest error of covariance (relative, Frobenius) and of correlation
FITTED = {
    "snow": (1, 4661, 0.015, 0.04),
    "ice": (3, 1394, 0.010, 0.03),
    "rock": (4, 3338, 0.045, 0.13),
    "water": (5, 145, 0.060, 0.10),
}


@pytest.fixture(scope="module")
def labeled(data):
    """The spectra that the table was fitted to, by endmember: (spectrum, band)."""
    table = pd.read_csv(data / "spectra" / "Sentinel-2_SR_training_data.csv")
    repeated = (table.site_name == "Wolverine") & (table.image_date == 20210615)
    table = table[~repeated].dropna()
    natives = [spectra.SENTINEL2[name].native.replace("B0", "B") for name in SPECTRUM]
    out = {}
    for name, (number, *_) in FITTED.items():
        pure = (table.NDSI >= 0.4) | (name not in ("snow", "ice"))
        out[name] = table.loc[(table["class"] == number) & pure, natives].to_numpy()
    return out


def drawn(name, sensor="sentinel-2", count=40_000):
    """Spectra (band, spectrum) of one endmember, patterns drawn independently."""
    rng = np.random.default_rng(7)
    patterns = lambda _, k: rng.standard_normal((k, 1, count), dtype="float32")
    return mix({name: np.ones((1, count), "float32")}, patterns, sensor)


def ndsi(bands):
    return (bands["green"] - bands["swir16"]) / (bands["green"] + bands["swir16"])


# ---- the table ----


@pytest.mark.parametrize("name", ENDMEMBERS)
def test_every_row_has_every_band_and_a_source(name):
    row = ENDMEMBERS[name]
    assert tuple(row.reflectance) == SPECTRUM
    assert all(0 < value < 1 for value in row.reflectance.values())
    assert all(len(loading) == len(SPECTRUM) for loading in row.loadings)
    assert set(row.lognormal) <= set(SPECTRUM)
    assert row.source
    assert bool(row.loadings) == (name in FITTED) != ("assumption" in row.source)


def test_the_rows_left_out_are_garbage(data):
    table = pd.read_csv(data / "spectra" / "Sentinel-2_SR_training_data.csv")
    values = table.columns[4:]
    day = table[table.image_date == 20210615]
    wolverine, gulkana = (day[day.site_name == site] for site in ("Wolverine", "Gulkana"))
    snow = [part[part["class"] == 1][values].reset_index(drop=True) for part in (wolverine, gulkana)]
    pd.testing.assert_frame_equal(*snow)  # 955 places and numbers of another glacier
    rest = wolverine[wolverine["class"] != 1]
    assert len(rest) == 680
    assert len(rest[values[:-2]].drop_duplicates()) == 1  # ice, shadowed snow and rock alike


@pytest.mark.parametrize("name", FITTED)
def test_means_and_covariances_are_those_of_the_spectra(labeled, name):
    real = labeled[name]
    _, count, error, correlation_error = FITTED[name]
    assert len(real) == count
    mean, loadings, lognormal = ENDMEMBERS[name].spectrum
    np.testing.assert_allclose(mean, real.mean(axis=0), atol=6e-4)
    # moments of normal and lognormal variables: exp(s) - 1 where both are lognormal, else s
    shared = loadings.T @ loadings
    made = np.outer(mean, mean) * np.where(np.outer(lognormal, lognormal), np.expm1(shared), shared)
    covariance = np.cov(real.T)
    assert np.linalg.norm(made - covariance) < error * np.linalg.norm(covariance)
    deviation = np.sqrt(np.diag(made))
    np.testing.assert_allclose(deviation, real.std(axis=0, ddof=1), rtol=0.005)
    assert np.abs(made / np.outer(deviation, deviation) - np.corrcoef(real.T)).max() < correlation_error


@pytest.mark.parametrize(
    ("name", "distance"), [("snow", 0.17), ("ice", 0.13), ("rock", 0.05), ("water", 0.15)]
)
def test_ndsi_is_distributed_as_that_of_the_spectra(labeled, name, distance):
    real = ndsi(dict(zip(SPECTRUM, labeled[name].T, strict=True)))
    made = ndsi(drawn(name))[0]
    assert made.mean() == pytest.approx(real.mean(), abs=0.01)
    assert made.std() == pytest.approx(real.std(), rel=0.15)
    at = np.sort(real)
    share = np.searchsorted(np.sort(made), at) / made.size
    assert np.abs(share - np.arange(at.size) / at.size).max() < distance  # Kolmogorov and Smirnov's


def test_drawn_spectra_have_the_moments_of_the_table():
    made = drawn("ice")
    mean, loadings, _ = ENDMEMBERS["ice"].spectrum
    expected = mean * np.sqrt(np.expm1((loadings**2).sum(axis=0)))  # deviation of a lognormal variable
    np.testing.assert_allclose([made[band].mean() for band in SPECTRUM], mean, rtol=0.03)
    np.testing.assert_allclose([made[band].std() for band in SPECTRUM], expected, rtol=0.05)


def test_coarser_snow_is_darker_most_where_ice_absorbs():
    # Wiscombe and Warren 1980: hardly in the visible, strongly in the near infrared, most in the SWIR
    fresh, coarse = (ENDMEMBERS[name].reflectance for name in ("fresh_snow", "coarse_snow"))
    kept = np.array([coarse[band] / fresh[band] for band in ("green", "nir", "nir09", "swir16")])
    assert (np.diff(kept) < 0).all()
    assert kept[0] > 0.8
    assert kept[-1] < 0.2


def test_traps_look_like_what_they_are_taken_for():
    looks = {name: {b: row.reflectance[b] for b in SPECTRUM} for name, row in ENDMEMBERS.items()}
    icy = [name for name, bands in looks.items() if ndsi(bands) > 0.4 and bands["red"] > 2 * bands["swir16"]]
    snow_and_ice = {"snow", "fresh_snow", "coarse_snow", "ice", "dirty_ice", "lake_ice"}
    assert set(icy) == snow_and_ice | {
        "water",
        "clear_water",
        "turbid_water",
    }  # lakes pass, cloud and debris do not
    assert looks["vegetation"]["nir"] > 3 * looks["vegetation"]["red"]


# ---- bands of other sensors ----


def test_sentinel2_keeps_its_own_numbers():
    assert [band.name for band in reflective_bands("sentinel-2")] == list(SPECTRUM)
    for name, row in ENDMEMBERS.items():
        np.testing.assert_allclose(
            resampled("sentinel-2")[name].mean, list(row.reflectance.values()), rtol=1e-6
        )


@pytest.mark.parametrize("sensor", SENSORS)
def test_every_sensor_sees_every_endmember(sensor):
    bands = reflective_bands(sensor)
    assert not {"pan", "cirrus", "lwir"} & {band.name for band in bands}
    for mean, loadings, lognormal in resampled(sensor).values():
        assert mean.shape == lognormal.shape == (len(bands),)
        assert loadings.shape[1] == len(bands)
        assert (mean > 0).all()
    assert set(INSTRUMENTS[sensor].saturation) <= {band.name for band in bands}


def test_bands_between_are_interpolated():
    own = ENDMEMBERS["rock"].reflectance
    bands = [band.name for band in reflective_bands("landsat-5")]
    rock = dict(zip(bands, resampled("landsat-5")["rock"].mean, strict=True))
    # 1.65 um lies (1.65 - 1.6137) / (2.2024 - 1.6137) = 0.06166 of the way to swir22, and 2.215 beyond
    assert rock["swir16"] == pytest.approx(0.93834 * own["swir16"] + 0.06166 * own["swir22"], rel=1e-4)
    assert rock["swir22"] == pytest.approx(own["swir22"])
    assert len(resampled("gaofen-6")["rock"].mean) == 4


# ---- mixing ----


def test_mixture_by_hand():
    mean, loadings, lognormal = resampled("landsat-8")["snow"]
    assert lognormal.tolist() == [False] * 5 + [True] * 2
    z = np.array([1.0, -0.5, 0.2, 2.0])
    cover = {"snow": np.array([[0.25, 1.0]]), "debris": np.array([[0.75, 0.0]])}
    patterns = lambda name, count: np.full((count, 1, 2), z[:count, None, None] if name == "snow" else 0)
    mixed = mix(cover, patterns, "landsat-8")
    assert list(mixed) == [band.name for band in reflective_bands("landsat-8")]
    g = z @ loadings
    snow = np.where(lognormal, mean * np.exp(g - (loadings**2).sum(axis=0) / 2), mean * (1 + g))
    gray = resampled("landsat-8")["debris"]
    debris = gray.mean * np.exp(-(0.15**2 + gray.loadings[1] ** 2) / 2)
    expected = np.stack([0.25 * snow + 0.75 * debris, snow], axis=-1)
    np.testing.assert_allclose([band[0] for band in mixed.values()], expected, rtol=1e-5)
    assert all(band.dtype == "float32" for band in mixed.values())


@given(name=st.sampled_from(sorted(set(ENDMEMBERS) - {"rock"})), sensor=st.sampled_from(sorted(SENSORS)))
def test_shares_that_sum_to_one_are_a_mean(name, sensor):
    rng = np.random.default_rng(len(name))
    fields = rng.standard_normal((4, 6, 5), dtype="float32")
    patterns = lambda name, count: fields[:count]
    share = rng.random((6, 5), dtype="float32")
    pure = {key: mix({key: np.ones((6, 5))}, patterns, sensor) for key in (name, "rock")}
    same = mix({name: share, "rock": np.zeros((6, 5))}, patterns, sensor)
    both = mix({name: share, "rock": 1 - share}, patterns, sensor)
    for band, values in both.items():
        np.testing.assert_allclose(same[band], share * pure[name][band], rtol=1e-5)
        ends = pure[name][band], pure["rock"][band]
        assert (values >= np.minimum(*ends) * (1 - 1e-5)).all()
        assert (values <= np.maximum(*ends) * (1 + 1e-5)).all()
        assert (pure[name][band] >= np.float32(0.001)).all()


def test_patterns_are_asked_only_for_what_is_there():
    asked = []
    patterns = lambda name, count: asked.append(name) or np.zeros((count, 2, 2), "float32")
    cover = {"ice": np.ones((2, 2)), "cloud": np.zeros((2, 2))}
    first = mix(cover, patterns, "landsat-8")
    assert asked == ["ice"]
    np.testing.assert_equal(mix(cover, patterns, "landsat-8"), first)


def test_shared_patterns_are_unit_normal_and_little_alike():
    fields = np.random.default_rng(0).standard_normal((5, 64, 64), dtype="float32")
    patterns = shared_patterns(np.random.default_rng(1), fields)
    several = np.concatenate([patterns(name, 4) for name in ("ice", "rock", "snow")]).reshape(12, -1)
    np.testing.assert_allclose(several.std(axis=1), 1, atol=0.05)
    assert (
        np.abs(np.corrcoef(several) - np.eye(12)).max() < 0.08
    )  # 64² pixels: a deviation of 0.016 by chance
    again = shared_patterns(np.random.default_rng(1), fields)
    np.testing.assert_array_equal(again("rock", 4), patterns("rock", 4))  # in whatever order


# ---- the instrument ----


def test_noise_has_the_deviation_of_the_table():
    flat = {"red": np.full((300, 300), 0.5, "float32"), "nir": np.zeros((300, 300), "float32")}
    seen = measure(np.random.default_rng(0), flat, "sentinel-2")
    assert seen["red"].std() == pytest.approx(np.hypot(0.005 * 0.5, 0.001), rel=0.02)
    assert seen["nir"].std() == pytest.approx(0.001, rel=0.02)
    assert seen["red"].mean() == pytest.approx(0.5, abs=1e-4)
    assert (seen["nir"] < 0).any()
    assert seen["red"].dtype == "float32"
    np.testing.assert_equal(measure(np.random.default_rng(0), flat, "sentinel-2"), seen)


@pytest.mark.parametrize(
    ("sensor", "band", "radiance", "irradiance"),
    [  # LMAX [W/(m² sr µm)] and ESUN [W/(m² µm)] of Chander et al. 2009
        ("landsat-5", "blue", 193.0, 1983.0),
        ("landsat-5", "red", 264.0, 1536.0),
        ("landsat-5", "swir16", 30.2, 220.0),
        ("landsat-7", "green", 196.5, 1812.0),
        ("landsat-7", "nir", 157.4, 1039.0),
    ],
)
def test_bright_snow_saturates_old_landsats(sensor, band, radiance, irradiance):
    snow = {band: np.full((50, 50), 0.95, "float32")}
    seen = measure(np.random.default_rng(0), snow, sensor, sun_elevation=40.0)[band]
    most = np.pi * radiance / (irradiance * np.sin(np.radians(40)))
    np.testing.assert_allclose(seen, min(most, 0.95), atol=1e-3 if most < 0.9 else 0.06)
    assert (np.unique(seen).size == 1) == (most < 0.9)  # noise does not show where the detector is full


def test_sentinel2_and_oli_see_bright_snow():
    snow = {"blue": np.full((50, 50), 1.1, "float32")}
    for sensor in ("sentinel-2", "landsat-8"):
        seen = measure(np.random.default_rng(0), snow, sensor, sun_elevation=40.0)["blue"]
        assert seen.mean() == pytest.approx(1.1, abs=0.01)


def test_gaps_stay_gaps():
    blue = np.array([np.nan, 2.0], "float32")
    seen = measure(np.random.default_rng(0), {"blue": blue}, "landsat-7")["blue"]
    np.testing.assert_allclose(seen, [np.nan, 0.301], rtol=1e-6)


def test_a_swath_loses_what_the_usgs_says():
    swath = slc_gaps((320, 6166), 30.0, across_m=0.0, tilt=0.0)  # ten periods of 32 lines, 185 km
    assert swath.mean() == pytest.approx(0.22, abs=0.01)
    middle = np.flatnonzero(swath.any(axis=0).reshape(2, -1)[1])[0] * 30
    assert 11_000 < middle < 15_000  # about 22 km in the middle are whole
    assert swath[:, -1].sum() / 10 == pytest.approx(14, abs=0.5)
    assert not slc_gaps((200, 200), 30.0, across_m=0.0).any()


def test_gaps_fall_to_the_south_in_the_east():
    gaps = slc_gaps((64, 101), 30.0, across_m=80_000.0, tilt=45.0)
    assert gaps.mean() > 0.3
    assert (gaps[1:, 1:] != gaps[:-1, :-1]).mean() < 0.01  # a step east is a step south
    east, west = (slc_gaps((64, 5), 30.0, across_m=side, tilt=0.0)[:, 2] for side in (85_000, -85_000))
    assert not (east & west).any()


# ---- digital numbers ----


def reflectance(sensor):
    """A little scene of a sensor's bands [1], in UTM, with a gap and extremes."""
    least = 0.001 if sensor == "gaofen-6" else -0.05  # no offset: its numbers hold nothing below 0
    values = np.linspace(least, 1.2, 12 * 12, dtype="float32").reshape(12, 12)
    values[0, 0] = np.nan
    names = [band.name for band in reflective_bands(sensor)]
    scene = xr.Dataset({name: (("y", "x"), np.roll(values, 7 * k)) for k, name in enumerate(names)})
    scene["elevation"] = ("y", "x"), np.full((12, 12), 2000, "float32"), {"units": "m"}
    scene["illumination"] = ("y", "x"), np.ones((12, 12), "float32")
    return scene.assign_attrs(sensor=gl.tables.sensor_key(sensor), radiometry="sr")


@pytest.mark.parametrize(
    ("sensor", "value", "dn"),
    [  # (rho + 0.2) / 2.75e-5; 10000 rho + 1000; 10000 rho
        ("landsat-5", 0.5, 25455),  # 25454.5…, and 0.0 is 7272.7…
        ("landsat-7", 0.0, 7273),
        ("landsat-8", 1.0, 43636),
        ("sentinel-2", 0.2, 3000),
        ("sentinel-2", -0.05, 500),
        ("hls_l30", -0.05, -500),
        ("gaofen-6", 0.2, 2000),
    ],
)
def test_digital_numbers_by_hand(sensor, value, dn):
    scene = reflectance(sensor)
    scene["red"][:] = np.float32(value)
    numbers = to_dn(scene)
    np.testing.assert_array_equal(numbers.red, dn)
    assert numbers.red.dtype == "float32"
    assert numbers.attrs["radiometry"] == "dn"


@pytest.mark.parametrize(
    "sensor", ["landsat-5", "landsat-7", "landsat-8", "sentinel-2", "hls_s30", "gaofen-6"]
)
@pytest.mark.parametrize("chunks", [None, {"y": 5, "x": 7}])
def test_reflectance_comes_back_to_half_a_step(sensor, chunks):
    scene = reflectance(sensor)
    numbers = to_dn(scene.chunk(chunks) if chunks else scene)
    assert bool(numbers.chunks) == bool(chunks)
    unsaid = {"gain": 1e-4, "radiometry": "sr"} if sensor == "gaofen-6" else {}
    back = numbers.glacier.to_reflectance(**unsaid)
    assert back.attrs["radiometry"] == "sr"
    for band in reflective_bands(sensor):
        step = back[band.name].attrs["scale_step"]
        np.testing.assert_allclose(back[band.name], scene[band.name], rtol=0, atol=step / 2 + 1e-6)
    xr.testing.assert_equal(
        back[["elevation", "illumination"]].compute(), scene[["elevation", "illumination"]]
    )


def test_a_sensor_without_product_does_not_say_its_scale():
    with pytest.raises(RadiometryError, match="gain="):
        to_dn(reflectance("gaofen-6")).glacier.to_reflectance()


@pytest.mark.parametrize("sensor", ["landsat-5", "landsat-8", "sentinel-2"])
def test_a_product_of_the_numbers_opens_as_the_scene(tmp_path, sensor):
    scene = reflectance(sensor)
    numbers = to_dn(scene)
    native = {
        name: values.attrs["native"] for name, values in numbers.data_vars.items() if "native" in values.attrs
    }
    if sensor == "sentinel-2":  # bands of one pixel size, which opening does not resample
        native = {name: key for name, key in native.items() if name in ("blue", "green", "red", "nir")}
    files = {name: numbers[name].fillna(0).astype("uint16").values for name in native}
    if sensor == "sentinel-2":
        folder = safe(
            tmp_path, {key: files[name] for name, key in native.items()}, baseline=instrument.BASELINE
        )
    else:
        bands = {f"SR_{key}": files[name] for name, key in native.items()}
        folder = landsat(tmp_path, bands, f"LANDSAT_{sensor[-1]}")
    opened, as_dn = gl.open_scene(folder), gl.open_scene(folder, radiometry="dn")
    assert opened.attrs["sensor"] == scene.attrs["sensor"]
    for name in native:
        atol = opened[name].attrs["scale_step"] / 2 + 1e-6
        np.testing.assert_allclose(opened[name], scene[name], rtol=0, atol=atol)
        np.testing.assert_array_equal(as_dn[name], numbers[name])
        assert as_dn[name].attrs == numbers[name].attrs
    said = {key: as_dn.attrs[key] for key in ("radiometry", "reflectance_radiometry") if key in as_dn.attrs}
    assert said.items() <= numbers.attrs.items()


def test_what_a_product_cannot_hold_takes_its_nearest_number():
    scene = reflectance("sentinel-2")
    scene["red"][:] = np.float32(-0.5)
    scene["nir"][:] = np.float32(9.0)
    numbers = to_dn(scene)
    assert (numbers.red == 1).all()  # 0 is nodata
    assert (numbers.nir == 65535).all()


def test_bad_input_says_what_to_do():
    scene = reflectance("landsat-8")
    with pytest.raises(
        RadiometryError, match=r"surface reflectance \('sr'\); this scene's radiometry is 'dn'"
    ):
        to_dn(to_dn(scene))
    with pytest.raises(UnknownNameError, match="Did you mean 'landsat-8'"):
        mix({"ice": np.ones((1, 1))}, None, "landsat-88")
