"""Landsat and Sentinel-2 scenes: every value follows from the file's numbers by the published formula."""

import math

import dask
import numpy as np
import pytest
import xarray as xr
from products import SIZE_M, landsat, pack, safe

import glacierlab as gl
from glacierlab.errors import DataWarning, RadiometryError
from glacierlab.io import bands as band_files

EXACT = dict(rtol=1e-6, atol=1e-7)  # float32


def ramp(step, size_m=SIZE_M):
    """Numbers that grow by 10 a metre from west to east, as pixels of `step` see them, and their x [m]."""
    x = np.arange(step / 2, size_m, step)
    return np.tile(1000 + 10 * x, (len(x), 1)).astype("uint16"), x


# ---- Landsat ----


def test_landsat_surface_reflectance(tmp_path):
    dn = np.array([[0, 1, 7273], [10000, 43636, 65535]])  # 7273..43636 is 0..1 (USGS)
    scene = gl.open_scene(landsat(tmp_path, {"SR_B4": dn}))
    expected = [[np.nan, -0.1999725, 0.0000075], [0.075, 0.99999, 1.6022125]]  # 2.75e-5 * DN - 0.2
    np.testing.assert_allclose(scene.red, expected, **EXACT)
    assert scene.red.dtype == "float32"
    assert (
        scene.red.attrs["scale_step"] == 2.75e-5
    )  # and no word about the negatives: nobody removes this offset


def test_landsat_surface_temperature(tmp_path):
    dn = np.array([[0, 40000], [1, 65535]])
    scene = gl.open_scene(landsat(tmp_path, {"ST_B10": dn}))
    np.testing.assert_allclose(scene.lwir11, [[np.nan, 285.7208], [149.00341802, 372.9999407]], rtol=1e-6)
    assert scene.lwir11.attrs["units"] == "K"


@pytest.mark.parametrize(
    ("platform", "band", "name", "dn", "expected"),
    [  # (M * DN + A) / sin(30 degrees); T = K2 / ln(K1 / L + 1)
        ("LANDSAT_8", "B4", "red", 10000, 0.2),
        ("LANDSAT_8", "B4", "red", 4000, -0.04),
        ("LANDSAT_8", "B4", "red", 60000, 2.2),
        ("LANDSAT_8", "B10", "lwir11", 25000, 1321.0789 / math.log(774.8853 / 8.455 + 1)),
        ("LANDSAT_8", "B11", "lwir12", 25000, 1201.1442 / math.log(480.8883 / 8.455 + 1)),
        ("LANDSAT_7", "B4", "nir", 100, (2.4e-3 * 100 - 0.016) / 0.5),
        ("LANDSAT_5", "B4", "nir", 100, (1.6e-3 * 100 - 0.008) / 0.5),
        ("LANDSAT_5", "B6", "lwir", 140, 1260.56 / math.log(607.76 / 8.93493 + 1)),
    ],
)
def test_landsat_top_of_atmosphere(tmp_path, platform, band, name, dn, expected):
    scene = gl.open_scene(landsat(tmp_path, {band: [[0, dn]]}, platform, "L1TP"))
    np.testing.assert_allclose(scene[name], [[np.nan, expected]], rtol=2e-6)
    assert scene.attrs["radiometry"] == "toa"


def test_etm_takes_the_low_gain_thermal_band(tmp_path):
    bands = {"B6_VCID_1": [[150]], "B6_VCID_2": [[99]]}
    scene = gl.open_scene(landsat(tmp_path, bands, "LANDSAT_7", "L1TP"))
    kelvin = 1282.71 / math.log(666.09 / (6.7087e-2 * 150 - 0.06709) + 1)
    np.testing.assert_allclose(scene.lwir, [[kelvin]], rtol=1e-6)


def test_a_metadata_file_stands_for_its_folder(tmp_path):
    folder = landsat(tmp_path, {"SR_B4": 9000})
    (metadata,) = folder.glob("*_MTL.txt")
    xr.testing.assert_identical(gl.open_scene(metadata), gl.open_scene(folder))


def test_landsat_says_what_it_is(tmp_path):
    scene = gl.open_scene(landsat(tmp_path, {"SR_B4": 9000}, sun_elevation=35.5, qa=21824))
    assert scene.attrs == {
        "sensor": "landsat_oli",
        "radiometry": "sr",
        "datetime": "2020-08-16T18:38:55",
        "sun_elevation": 35.5,
        "sun_azimuth": 150.25,
        "title": "LC08_L2SP_044025_20200816_20200920_02_T1",
    }
    assert scene.rio.crs.to_epsg() == 32611
    assert scene.rio.transform()[:6] == (30, 0, 478_000, 0, -30, 5_784_000)
    assert (scene.qa.dtype, scene.qa.attrs["native"], scene.qa.values.max()) == ("uint16", "qa_pixel", 21824)
    assert (gl.valid_mask(scene)).all()


@pytest.mark.parametrize(
    ("name", "inside"),
    [("a.tar", ""), ("b.tar", "./"), ("c.tar", "./LC08/deep/"), ("d.tgz", ""), ("e.zip", "LC08/")],
)
def test_packed_landsat_is_the_folder(tmp_path, name, inside):
    folder = landsat(tmp_path, {"SR_B4": np.arange(1, 145).reshape(12, 12) * 400, "ST_B10": 40000}, qa=21824)
    packed = gl.open_scene(pack(folder, tmp_path / name, inside))
    xr.testing.assert_identical(packed, gl.open_scene(folder))


def test_mac_sidecars_are_no_images(tmp_path):
    folder = landsat(tmp_path, {"SR_B4": 9000})
    for file in list(folder.iterdir()):
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    assert list(gl.open_scene(folder)) == ["red"]


def test_pan_and_spectral_grids_differ_by_half_a_pan_pixel(tmp_path):
    spectral, _ = ramp(30)
    folder = landsat(tmp_path, {"B4": spectral, "B8": 12000}, level="L1TP")
    fine = gl.open_scene(folder, resolution=15)
    assert fine.sizes == {"y": 23, "x": 23}
    meters = fine.x.values - 478_000
    expected = (2e-5 * (1000 + 10 * meters) - 0.1) / 0.5
    np.testing.assert_allclose(fine.red[11, 1:-1], expected[1:-1], atol=2.1e-5)  # half a DN
    own = gl.open_scene(folder)  # the 30 m bands' own grid, so their own numbers
    xr.testing.assert_identical(own.red, gl.open_scene(folder, bands=["red"]).red)


# ---- from digital numbers to reflectance, exactly once ----


@pytest.fixture(params=["L2SP", "L1TP", "L2A"])
def product(request, tmp_path):
    if request.param == "L2SP":
        return landsat(tmp_path, {"SR_B4": [[0, 9000]], "SR_B6": [[1, 60000]], "ST_B10": [[0, 40000]]})
    if request.param == "L1TP":
        return landsat(tmp_path, {"B4": [[0, 9000]], "B6": [[1, 60000]], "B10": [[0, 25000]]}, level="L1TP")
    return safe(tmp_path, {"B02": ramp(10)[0], "B11": 3000, "SCL": 11})


def test_to_reflectance_is_opening_as_reflectance(product):
    numbers = gl.open_scene(product, radiometry="dn")
    before = numbers.copy(deep=True)
    direct = gl.open_scene(product)
    once = numbers.glacier.to_reflectance()
    xr.testing.assert_identical(once, direct)
    xr.testing.assert_identical(once.glacier.to_reflectance(), once)
    xr.testing.assert_identical(numbers, before)


def test_digital_numbers_stay(tmp_path):
    dn = [[0, 1], [7273, 65535]]
    scene = gl.open_scene(landsat(tmp_path, {"SR_B4": dn, "ST_B10": dn}), radiometry="dn")
    for band in ("red", "lwir11"):
        np.testing.assert_array_equal(scene[band], [[np.nan, 1], [7273, 65535]])
        assert scene[band].attrs["units"] == "DN"
    assert scene.attrs["radiometry"] == "dn"
    with pytest.raises(RadiometryError, match="to_reflectance"):
        gl.index(scene.assign(green=scene.red, swir16=scene.red), "ndsi")


def test_numbers_of_ones_own_become_reflectance():
    names = ("red", "elevation", "lwir")
    dn = xr.Dataset({name: (("y", "x"), np.full((2, 2), 3000.0, "float32")) for name in names})
    dn = dn.assign_attrs(radiometry="dn")
    scene = dn.glacier.to_reflectance(gain=1e-4, offset=-1000, radiometry="sr")
    np.testing.assert_allclose(scene.red, 0.2, **EXACT)
    assert scene.attrs == {"radiometry": "sr"}
    assert (scene[["elevation", "lwir"]].to_dataarray() == 3000).all()  # nothing says how they become kelvin
    with pytest.raises(RadiometryError, match="gain="):
        dn.glacier.to_reflectance()


def test_offset_by_hand_after_opening(tmp_path):
    scene = gl.open_scene(safe(tmp_path, {"B02": 3000, "B03": 3000}), radiometry="dn")
    scene = scene.glacier.to_reflectance(offset={"green": 0})
    np.testing.assert_allclose(scene.blue, 0.2, **EXACT)  # as the metadata say
    np.testing.assert_allclose(scene.green, 0.3, **EXACT)


def test_one_gain_leaves_thermal_bands_alone(tmp_path):
    scene = gl.open_scene(landsat(tmp_path, {"SR_B4": 9000, "ST_B10": 40000}), gain=1e-4)
    np.testing.assert_allclose(scene.lwir11, 285.7208, rtol=1e-6)


# ---- Sentinel-2 ----


@pytest.mark.parametrize("level", ["L2A", "L1C"])
@pytest.mark.parametrize(
    ("baseline", "told", "date", "offset", "expected"),
    [  # (DN + offset) / 10000 of DN 3000
        ("05.09", -1000, "20200816", "metadata", 0.2),
        ("05.09", -1000, "20200816", "baseline", 0.2),
        ("05.09", -1000, "20200816", 0, 0.3),
        ("05.09", -1000, "20170816", "baseline", 0.2),  # reprocessed: the baseline decides, not the date
        ("04.00", -1000, "20220301", "metadata", 0.2),
        ("05.09", None, "20200816", "baseline", 0.2),
        ("05.09", None, "20200816", 0, 0.3),
        ("02.08", None, "20200816", "metadata", 0.3),
        ("02.08", None, "20200816", "baseline", 0.3),
        ("02.08", None, "20200816", -1000, 0.2),
        ("03.01", None, "20220301", "baseline", 0.3),
        ("02.08", -1000, "20200816", "metadata", 0.2),  # the file's word before the rule of thumb
        ("05.09", -900, "20200816", "metadata", 0.21),
    ],
)
def test_sentinel2_offset(tmp_path, level, baseline, told, date, offset, expected):
    folder = safe(tmp_path, {"B02": [[0, 3000]], "B03": [[1, 3000]]}, level, baseline, told, date)
    scene = gl.open_scene(folder, offset=offset, bands=["blue"])
    np.testing.assert_allclose(scene.blue, [[np.nan, expected]], **EXACT)
    assert scene.attrs["radiometry"] == ("sr" if level == "L2A" else "toa")
    assert scene.attrs["processing_baseline"] == baseline


def test_sentinel2_offset_by_band(tmp_path):
    told = dict.fromkeys(range(13), -1000) | {11: -900, 8: -800}  # 11 is B11, 8 is B8A
    folder = safe(tmp_path, dict.fromkeys(["B02", "B8A", "B11", "B12"], 3000), offsets=told)
    found = {name: band.values[0, 0] for name, band in gl.open_scene(folder).data_vars.items()}
    assert found == pytest.approx({"blue": 0.2, "nir08": 0.22, "swir16": 0.21, "swir22": 0.2}, rel=1e-6)
    by_hand = gl.open_scene(folder, offset={"swir16": 0})
    assert float(by_hand.swir16[0, 0]) == pytest.approx(0.3)
    assert float(by_hand.nir08[0, 0]) == pytest.approx(0.22)


def test_new_baseline_without_offset_warns_the_caller(tmp_path):
    folder = safe(tmp_path, {"B02": 3000}, offsets=None)
    with pytest.warns(DataWarning, match=r"no BOA_ADD_OFFSET.*-1000.*offset=0") as caught:
        scene = gl.open_scene(folder)
    np.testing.assert_allclose(scene.blue, 0.2, **EXACT)
    assert (len(caught), caught[0].filename) == (1, __file__)


@pytest.mark.parametrize("share", [0.04, 0.06])
def test_many_negatives_warn(tmp_path, share):
    dn = np.full((50, 50), 3000)
    dn[:, : int(50 * share)] = 400
    folder = safe(tmp_path, {"B02": dn})
    if share > 0.05:
        with pytest.warns(DataWarning, match=r"6% of 'blue' is negative.*offset=0") as caught:
            scene = gl.open_scene(folder)
        assert caught[0].filename == __file__
    else:
        scene = gl.open_scene(folder)
    assert float(scene.blue.min()) == pytest.approx(-0.06)  # kept


def test_sentinel2_says_what_it_is(tmp_path):
    folder = safe(tmp_path, {"B02": 3000, "B10": 1500}, "L1C", platform="Sentinel-2C")
    assert gl.open_scene(folder).attrs == {
        "sensor": "sentinel2_msi",
        "radiometry": "toa",
        "processing_baseline": "05.09",
        "datetime": "2020-08-16T18:59:19",
        "title": folder.name,
        "sun_elevation": 49.5,
        "sun_azimuth": 160.25,
    }
    assert list(gl.open_scene(folder)) == ["blue", "cirrus"]


def test_sentinel2_without_tile_metadata(tmp_path):
    folder = safe(tmp_path, {"B02": 3000})
    next(folder.rglob("MTD_TL.xml")).unlink()
    assert "sun_elevation" not in gl.open_scene(folder).attrs


def test_zipped_safe_is_the_folder(tmp_path):
    folder = safe(tmp_path, {"B02": ramp(10)[0], "B11": ramp(20)[0], "SCL": 11})
    packed = gl.open_scene(pack(folder, tmp_path / "scene.zip", f"{folder.name}/"))
    xr.testing.assert_identical(packed, gl.open_scene(folder).assign_attrs(title="scene.zip"))


@pytest.mark.parametrize(
    ("bands", "resolution", "pixel"),
    [(None, None, 10), (["swir16", "qa"], None, 20), (["coastal"], None, 60), (None, 20, 20), (None, 60, 60)],
)
def test_sentinel2_on_one_grid(tmp_path, bands, resolution, pixel):
    images = {"B01": 2500, "B02": ramp(10)[0], "B11": ramp(20)[0], "SCL": 11}
    scene = gl.open_scene(safe(tmp_path, images), bands=bands, resolution=resolution)
    assert scene.sizes == {"y": SIZE_M // pixel, "x": SIZE_M // pixel}
    assert scene.rio.resolution() == (pixel, -pixel)
    x = scene.x.values - 478_000
    for name, band in scene.data_vars.items():
        if name == "coastal":
            np.testing.assert_allclose(band, 0.15, **EXACT)  # a constant stays one
        elif name != "qa":
            expected = (1000 + 10 * x - 1000) / 10000  # a ramp stays one, but for the outermost pixel
            np.testing.assert_allclose(band[3, 1:-1], expected[1:-1], atol=5.1e-5)


def test_growing_pixels_are_means(tmp_path):
    dn = np.random.default_rng(0).integers(1, 9000, (36, 36))
    scene = gl.open_scene(safe(tmp_path, {"B02": dn}, offsets=0), resolution=60)
    means = dn.reshape(6, 6, 6, 6).mean(axis=(1, 3)) / 10000
    np.testing.assert_allclose(scene.blue, means, atol=5.1e-5)


def test_finest_image_of_a_band_is_read(tmp_path):
    folder = safe(tmp_path, {"R60m/B02": 5000, "R20m/B02": 4000, "R10m/B02": 3000})
    np.testing.assert_allclose(gl.open_scene(folder).blue, 0.2, **EXACT)


@pytest.mark.parametrize("resolution", [10, 60])
def test_flags_are_not_mixed(tmp_path, resolution):
    classes = np.random.default_rng(0).choice([3, 4, 9, 11], (18, 18))
    scene = gl.open_scene(safe(tmp_path, {"B02": 3000, "SCL": classes}), resolution=resolution)
    assert scene.qa.dtype == "uint8"
    assert set(np.unique(scene.qa)) <= {3, 4, 9, 11}
    if resolution == 10:
        np.testing.assert_array_equal(scene.qa, np.kron(classes, np.ones((2, 2))))


@pytest.mark.parametrize("resolution", [10, 60])
def test_nodata_does_not_bleed(tmp_path, resolution):
    holes = np.full((18, 18), 5000)
    holes[4:9, 3:11] = 0
    scene = gl.open_scene(safe(tmp_path, {"B02": 3000, "B11": holes}), resolution=resolution)
    seen = scene.swir16.values[np.isfinite(scene.swir16.values)]
    np.testing.assert_allclose(seen, 0.4, **EXACT)
    if resolution == 10:
        assert np.isnan(scene.swir16[9:17, 7:21]).all()  # all but the outermost half pixel of the hole
    else:
        np.testing.assert_array_equal(np.argwhere(np.isnan(scene.swir16.values)), [[2, 1], [2, 2]])


# ---- lazily ----


@pytest.mark.parametrize("chunks", [5, -1, "auto", {}, {"y": 7, "x": 9}, {"x": 4}])
@pytest.mark.parametrize("resolution", [None, 60])
def test_chunks_change_nothing(tmp_path, chunks, resolution):
    holes = np.random.default_rng(0).integers(0, 3, (18, 18)) * 4000
    folder = safe(tmp_path, {"B02": ramp(10)[0], "B11": holes, "SCL": 11})
    lazy = gl.open_scene(folder, resolution=resolution, chunks=chunks)
    assert all(band.chunks for band in lazy.data_vars.values())
    if isinstance(chunks, dict):
        assert set(lazy.blue.data.chunksize) >= {min(lazy.sizes["x"], v) for v in chunks.values()}
    xr.testing.assert_identical(lazy.compute(), gl.open_scene(folder, resolution=resolution))


def test_lazy_opening_reads_no_image(tmp_path, monkeypatch):
    folder = landsat(tmp_path, {"B4": 9000, "B10": 25000}, level="L1TP")
    reads = []
    whole = band_files.read_stored
    monkeypatch.setattr(band_files, "read_stored", lambda *a: reads.append(a) or whole(*a))
    scene = gl.open_scene(folder, chunks=6, radiometry="dn").glacier.to_reflectance()
    ratio = scene.glacier.ratio("red", "lwir11")
    assert reads == []
    ratio[:6, :6].compute()
    assert len(reads) == 2  # one block of each band


def test_two_resolutions_of_one_file_in_one_computation(tmp_path):
    folder = safe(tmp_path, {"B02": ramp(10)[0]})
    fine, coarse = gl.open_scene(folder, chunks=6), gl.open_scene(folder, chunks=6, resolution=60)
    for computed, resolution in zip(dask.compute(fine, coarse), (10, 60), strict=True):
        xr.testing.assert_identical(computed, gl.open_scene(folder, resolution=resolution))
