"""HLS, GeoTIFF, NetCDF and Zarr as scenes: what the file says, what the caller says, and what nobody says."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from PIL import Image
from products import hls, landsat, write_image
from rasterio.errors import NotGeoreferencedWarning

import glacierlab as gl
from glacierlab.errors import DataWarning, GridError, MissingBandError
from glacierlab.scores import burn

EXACT = dict(rtol=1e-6, atol=1e-7)  # float32

# ---- HLS, official and shortened names, and the real one ----


@pytest.mark.parametrize(
    ("kind", "nir", "swir16", "sensor"), [("L30", "B05", "B06", "hls_l30"), ("S30", "B08", "B11", "hls_s30")]
)
def test_official_hls(tmp_path, kind, nir, swir16, sensor):
    images = {nir: [[-9999, 12000]], swir16: [[-5, 3000]], "SAA": [[1, 1]]}  # SAA is an angle, not a band
    scene = gl.open_scene(hls(tmp_path, images, kind, fmask=[[255, 64]]))
    np.testing.assert_allclose(scene.nir, [[np.nan, 1.2]], **EXACT)
    np.testing.assert_allclose(scene.swir16, [[-0.0005, 0.3]], **EXACT)
    assert list(scene) == ["nir", "swir16", "qa"]
    assert scene.attrs == {
        "sensor": sensor,
        "radiometry": "sr",
        "datetime": "2020-08-16T18:38:55",  # day 229
        "sun_elevation": 49.5,
        "sun_azimuth": 160.25,
        "title": tmp_path.name,
    }
    np.testing.assert_array_equal(gl.valid_mask(scene), [[False, True]])


@pytest.mark.parametrize("ending", ["tif", "tiff", "TIF"])
def test_shortened_hls_names(tmp_path, ending):
    write_image(tmp_path / f"athabasca_2020229_B8A_S30.{ending}", np.int16([[3000]]), nodata=-9999)
    write_image(tmp_path / f"athabasca_dem.{ending}", np.int16([[2100]]))
    scene = gl.open_scene(tmp_path)
    assert (scene.nir08.item(), scene.elevation.item()) == (pytest.approx(0.3), 2100)
    assert scene.attrs["datetime"] == "2020-08-16T00:00:00"


@pytest.fixture(scope="module")
def athabasca(data):
    return gl.open_scene(data / "athabasca")


def test_athabasca_opens(athabasca, data):
    assert list(athabasca) == ["blue", "green", "red", "nir", "swir16", "swir22", "elevation"]
    with rasterio.open(data / "athabasca/athabasca_2020229_B06_L30.tif") as file:
        dn = file.read(1)
    expected = np.where(dn == -9999, np.nan, dn * 1e-4)
    np.testing.assert_allclose(athabasca.swir16, expected, **EXACT)
    assert athabasca.attrs["sensor"] == "hls_l30"
    assert athabasca.rio.crs.to_epsg() is None  # known to lack a code
    assert athabasca.rio.crs.is_projected
    assert 1000 < float(athabasca.elevation.min()) < float(athabasca.elevation.max()) < 3800


def test_athabasca_figures(athabasca, data):
    outline = gl.open_inventory(data / "athabasca/athabasca_outline.shp")
    inside = burn(outline, athabasca.red)
    ndsi, ratio = athabasca.glacier.index("ndsi"), athabasca.glacier.ratio("red", "swir16")
    assert 27.5 < float((ndsi > 0.4).sum()) * 900e-6 < 27.9  # km²
    recall = lambda image, above: float((image > above).where(inside & image.notnull()).mean())
    assert recall(ndsi, 0.4) == pytest.approx(0.95, abs=0.01)
    assert recall(ratio, 2) >= 0.93


# ---- GeoTIFF ----


@pytest.mark.parametrize(
    ("descriptions", "options", "names"),
    [
        (("Red", "NIR", "SWIR1"), {}, ["red", "nir", "swir16"]),
        (("red", "nir", "swir2"), {}, ["red", "nir", "swir22"]),
        (("SR_B4", "SR_B5", "SR_B6"), {"sensor": "landsat-8"}, ["red", "nir", "swir16"]),
        (("B4", "B8", "B8A"), {"sensor": "sentinel-2"}, ["red", "nir", "nir08"]),
        (("B04", "B05", "B06"), {"sensor": "landsat 9"}, ["red", "nir", "swir16"]),
        ((), {"bands": {"red": 1, "nir": 2, "swir1": 3}}, ["red", "nir", "swir16"]),
        (("x", "y", "z"), {"bands": {"green": 3}}, ["green"]),
        (("Red", "NIR", "SWIR1"), {"bands": ["swir1", "red"]}, ["swir16", "red"]),
        (("B4", "B5", "B6"), {"sensor": "oli", "bands": ["SR_B6", "nir"]}, ["swir16", "nir"]),
    ],
)
def test_names_of_bands(tmp_path, descriptions, options, names):
    path = write_image(tmp_path / "a.tif", np.float32([[[0.1]], [[0.2]], [[0.3]]]))
    if descriptions:
        with rasterio.open(path, "r+") as file:
            file.descriptions = descriptions
    scene = gl.open_scene(path, radiometry="sr", **options)
    assert list(scene) == names
    by_number = {"red": 0.1, "nir": 0.2, "swir16": 0.3, "swir22": 0.3, "nir08": 0.3, "green": 0.3}
    assert {n: v.item() for n, v in scene.items()} == pytest.approx({n: by_number[n] for n in names})


@pytest.mark.parametrize("gain", [1e-4, {"red": 1e-4, "nir": 2e-4}])
def test_gain_and_offset(tmp_path, gain):
    path = write_image(
        tmp_path / "a.tif", np.uint16([[[0, 3000]], [[0, 3000]]]), descriptions=("red", "nir"), nodata=0
    )
    scene = gl.open_scene(path, gain=gain, offset=-1000)
    np.testing.assert_allclose(scene.red, [[np.nan, 0.2]], **EXACT)
    np.testing.assert_allclose(scene.nir, [[np.nan, 0.2 if gain == 1e-4 else 0.4]], **EXACT)
    assert scene.attrs["radiometry"] == "unknown"
    assert gl.open_scene(path, gain=gain, offset=-1000, radiometry="toa").attrs["radiometry"] == "toa"


@pytest.mark.parametrize(
    ("sensor", "key", "bands"),
    [
        ("gaofen-6", "gf6_pms", ["blue", "green", "red", "nir"]),
        ("planetscope", "planetscope_4", ["blue", "green", "red", "nir"]),
        ("aster", "aster", ["green", "red", "nir", "swir16"]),
    ],
)
def test_sensors_without_scale(tmp_path, sensor, key, bands):
    dn = np.uint16([[[101]], [[201]], [[301]], [[401]]])
    path = write_image(tmp_path / "a.tif", dn)
    names = {name: i for i, name in enumerate(bands, 1)} if sensor == "aster" else None
    scene = gl.open_scene(path, sensor=sensor, bands=names, gain=1e-3, offset=-1, radiometry="toa")
    assert {n: v.item() for n, v in scene.items()} == pytest.approx(
        dict(zip(bands, [0.1, 0.2, 0.3, 0.4], strict=True))
    )
    assert scene.attrs["sensor"] == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sentinel-2", "sentinel2_msi"),
        ("Sentinel-2A", "sentinel2_msi"),
        ("landsat-8", "landsat_oli"),
        ("Landsat 5", "landsat_tm"),
        ("LANDSAT_7", "landsat_etm"),
        ("hls_l30", "hls_l30"),
        ("terra", "aster"),
    ],
)
def test_sensor_by_platform_or_family(tmp_path, name, key):
    path = write_image(tmp_path / "a.tif", np.float32([[0.3]]), descriptions=("red",))
    assert gl.open_scene(path, sensor=name, radiometry="sr").attrs["sensor"] == key


def test_scale_tags_are_heeded(tmp_path):
    scale = dict(scales=(1e-4, 2e-4), offsets=(-0.1, 0.0), descriptions=("red", "nir"))
    scene = gl.open_scene(
        write_image(tmp_path / "a.tif", np.uint16([[[3000]], [[3000]]]), **scale), radiometry="sr"
    )
    assert (scene.red.item(), scene.nir.item()) == (pytest.approx(0.2), pytest.approx(0.6))
    assert scene.attrs["radiometry"] == "sr"
    assert scene.red.attrs["scale_step"] == 1e-4


@pytest.mark.parametrize(
    ("numbers", "state", "evidence"),
    [
        (np.uint16([[0, 3000], [3000, 3000]]), "dn", r"red .*/3000/3000, 0% negative.*digital numbers"),
        (np.float32([[0.1, -0.1], [0.3, 0.3]]), "unknown", r"red .*/0.2/0.3, 25% negative.*reflectance"),
    ],
)
def test_numbers_of_unknown_scale_warn_once(tmp_path, numbers, state, evidence):
    path = write_image(tmp_path / "a.tif", np.stack([numbers, numbers]), descriptions=("red", "swir16"))
    with pytest.warns(DataWarning, match=evidence + r".*radiometry='sr'.*gain=") as caught:
        scene = gl.open_scene(path)
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert "dark" in str(caught[0].message)  # the share of SWIR
    np.testing.assert_array_equal(scene.red, numbers)
    assert scene.attrs["radiometry"] == state
    for radiometry in ("sr", "toa", "dn"):  # settles it
        settled = gl.open_scene(path, radiometry=radiometry)
        np.testing.assert_array_equal(settled.red, numbers)
        assert settled.attrs["radiometry"] == radiometry


@pytest.mark.parametrize("radiometry", [None, "sr"])
def test_reflectance_of_hls_is_not_scaled_again(tmp_path, radiometry):
    path = write_image(tmp_path / "a.tif", np.float32([[0.3]]), descriptions=("B05",))
    if radiometry is None:
        with pytest.warns(DataWarning, match="reflectance as they are"):
            scene = gl.open_scene(path, sensor="hls_l30")
    else:
        scene = gl.open_scene(path, sensor="hls_l30", radiometry="sr")
    assert scene.nir.item() == pytest.approx(0.3)


def test_stack_of_hls_numbers_is_scaled(tmp_path):
    dn = np.int16([[[3000, -9999]], [[500, 100]]])
    scene = gl.open_scene(write_image(tmp_path / "a.tif", dn, descriptions=("B05", "B06")), sensor="hls_l30")
    np.testing.assert_allclose(scene.nir, [[0.3, np.nan]], **EXACT)
    np.testing.assert_allclose(scene.swir16, [[0.05, 0.01]], **EXACT)
    assert scene.attrs["radiometry"] == "sr"


def test_nodata_that_the_type_cannot_hold(tmp_path):
    path = write_image(tmp_path / "a.tif", np.uint8([[241, 0]]), descriptions=("B05",))  # -9999 modulo 256
    scene = gl.open_scene(path, sensor="hls_l30")
    np.testing.assert_allclose(scene.nir, [[0.0241, 0]], **EXACT)


def test_a_list_or_folder_of_single_files(tmp_path):
    paths = [
        write_image(tmp_path / f"{name}.tif", np.float32([[value]]))
        for name, value in {"scene_B4": 0.1, "scene_B5": 0.2, "my_dem": 2000}.items()
    ]
    scene = gl.open_scene(paths, sensor="landsat-8", radiometry="sr")
    assert {n: v.item() for n, v in scene.items()} == pytest.approx(
        {"red": 0.1, "nir": 0.2, "elevation": 2000}
    )
    folder = gl.open_scene(tmp_path, sensor="landsat-8", radiometry="sr")
    assert set(folder) == set(scene)
    assert folder.attrs["title"] == tmp_path.name
    named = gl.open_scene(
        tmp_path, bands={"green": "scene_B5.tif", "blue": "scene_B4.tif:1"}, radiometry="sr"
    )
    assert {n: v.item() for n, v in named.items()} == pytest.approx({"green": 0.2, "blue": 0.1})


def test_everest_has_no_swir(data):
    folder = data / "everest"
    rgb, nir = (f"LE71400412000304SGS00_{name}.tif" for name in ("RGB", "B4"))
    bands = {"red": f"{rgb}:1", "green": f"{rgb}:2", "blue": f"{rgb}:3", "nir": nir}
    scene = gl.open_scene(folder, bands=bands, sensor="landsat-7", radiometry="dn")
    assert scene.sizes == {"y": 655, "x": 800}
    with rasterio.open(folder / rgb) as file:
        np.testing.assert_array_equal(scene.green, file.read(2))
    with pytest.raises(MissingBandError, match=r"'ndsi' needs \['swir16'\].*bands="):
        scene.glacier.index("ndsi")


UTM_WITHOUT_DATUM = """PROJCS["UTM Zone {0}, Northern Hemisphere",
GEOGCS["Unknown datum based upon the WGS 84 ellipsoid",
DATUM["Not specified (based on WGS 84 spheroid)",SPHEROID["WGS 84",6378137,298.257223563]],
PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],
PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",{1}],PARAMETER["scale_factor",0.9996],
PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]"""  # as in many HLS files


@pytest.mark.parametrize(("zone", "meridian"), [(11, -117), (12, -111)])
def test_a_crs_without_code_beside_one_with(tmp_path, zone, meridian):
    paths = [
        write_image(tmp_path / "red.tif", np.uint16(5)),
        write_image(tmp_path / "nir.tif", np.uint16(5), crs=UTM_WITHOUT_DATUM.format(zone, meridian)),
    ]
    if zone == 11:  # the same projection and ellipsoid
        assert gl.open_scene(paths, radiometry="sr").rio.crs.to_epsg() == 32611
    else:
        with pytest.raises(GridError, match="'UTM Zone 12, Northern Hemisphere' \\(no EPSG code\\)"):
            gl.open_scene(paths, radiometry="sr")


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1)])
def test_thin_scenes(tmp_path, shape):
    path = write_image(tmp_path / "a.tif", np.full(shape, 3000, "uint16"), descriptions=("red",))
    scene = gl.open_scene(path, gain=1e-4)
    assert scene.red.shape == shape
    assert (scene.y.values[0], scene.x.values[0]) == (5_783_985, 478_015)


def test_a_plain_picture_opens_without_crs(tmp_path):
    Image.fromarray(np.full((3, 3), 0.3, "float32")).save(tmp_path / "red.tif")
    with pytest.warns(NotGeoreferencedWarning):
        scene = gl.open_scene(tmp_path / "red.tif", radiometry="sr")
    assert scene.rio.crs is None
    assert gl.check(scene).verdict["CRS"] == "fail"


# ---- NetCDF and Zarr ----


@pytest.fixture(params=["nc", "zarr"])
def store(request, tmp_path):
    """A function that writes a Dataset as NetCDF or Zarr."""

    def write(scene):
        path = tmp_path / f"scene.{request.param}"
        if request.param == "nc":
            scene.to_netcdf(path)
        else:
            scene.to_zarr(path, zarr_format=2)
        return path

    return write


def test_stores_give_back_what_they_took(tmp_path, store):
    scene = gl.open_scene(
        landsat(tmp_path, {"SR_B4": np.arange(144).reshape(12, 12) * 400, "ST_B10": 9}, qa=21824)
    )
    path = store(scene)
    xr.testing.assert_identical(gl.open_scene(path), scene)
    assert gl.open_scene(path).rio.crs.to_epsg() == 32611
    lazy = gl.open_scene(path, chunks={})
    assert lazy.red.chunks is not None
    xr.testing.assert_identical(lazy.compute(), scene)
    assert list(gl.open_scene(path, bands=["qa", "SR_B4"])) == ["qa", "red"]


def test_stores_of_digital_numbers(tmp_path, store):
    folder = landsat(tmp_path, {"SR_B4": [[0, 9000]], "ST_B10": [[0, 40000]]})
    path = store(gl.open_scene(folder, radiometry="dn"))
    xr.testing.assert_identical(gl.open_scene(path), gl.open_scene(folder, radiometry="dn"))
    xr.testing.assert_identical(gl.open_scene(path, radiometry="sr"), gl.open_scene(folder))


def test_stores_of_others(store):
    numbers = {"B4": (("lat", "lon"), np.full((2, 3), 3000, "int32")), "crs": ((), 0), "z": ("z", [1])}
    path = store(xr.Dataset(numbers, attrs={"sensor": "SAR", "radiometry": "backscatter"}))
    with pytest.warns(DataWarning, match="3000.*digital numbers") as caught:
        scene = gl.open_scene(path, sensor="landsat-8")
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert (list(scene), scene.red.dims, scene.red.dtype) == (["red"], ("y", "x"), "float32")
    assert scene.attrs == {"sensor": "landsat_oli", "radiometry": "dn"}
    scaled = gl.open_scene(path, bands={"red": "B4"}, gain=1e-4, offset=-1000, radiometry="sr")
    np.testing.assert_allclose(scaled.red, 0.2, **EXACT)
    assert scaled.attrs["radiometry"] == "sr"


def test_digital_numbers_called_reflectance_fail_the_doctor(tmp_path):
    path = write_image(tmp_path / "red.tif", np.full((20, 20), 3000, "uint16"), descriptions=("red",))
    table = gl.open_scene(path, radiometry="sr").glacier.check()  # the caller's word, and the doctor's
    assert table.verdict["scale"] == "fail"
    assert "gain=" in table.advice["scale"]


def test_hls_files_given_as_a_list_are_hls(tmp_path):
    folder = hls(tmp_path, {"B04": [[3000]], "B06": [[200]]})
    scene = gl.open_scene(sorted(folder.glob("*.tif")))
    assert scene.attrs["sensor"] == "hls_l30"
    assert scene.attrs["radiometry"] == "sr"
    assert float(scene.red[0, 0]) == pytest.approx(0.3)
