"""Terrain layers: the pack's numbers, GDAL, xdem, exact surfaces, laws, laziness, messages."""

import shutil
import subprocess

import numpy as np
import pytest
import rioxarray
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from glacierlab.errors import GlacierlabError, GridError, UnknownNameError
from glacierlab.features.dem import GRADIENTS, TERRAIN, terrain

CURVATURES = ["profile_curvature", "plan_curvature", "tangential_curvature"]
VECTOR = """
100.3 101.7 106.3 109.2 112.9 120.7 129.6
102.9 102.6 105.5 111.8 119.1 121.3 133.6
100.5 105.5 110.9 117.4 125.8 135.1 141.7
108.7 109.7 117.7 125.8 132.2 139.5 149.2
109.1 116.4 121.0 130.6 139.7 151.1 161.4
115.7 120.7 129.7 140.6 152.0 157.5 175.0
123.7 130.6 138.5 147.4 161.9 174.9 187.6
"""


def dem_of(heights, dx=10.0, dy=-10.0, crs="EPSG:32645"):
    """A DEM (y, x) from heights [m], its upper left pixel at (500 000, 3 100 000)."""
    heights = np.asarray(heights)
    rows, cols = heights.shape
    coords = {"y": 3_100_000 + dy * np.arange(rows), "x": 500_000 + dx * np.arange(cols)}
    return xr.DataArray(heights, coords, ("y", "x")).rio.write_crs(crs)


def surface(height, shape=(41, 51), dx=10.0, dy=-10.0):
    """A DEM of a function of meters east and north of its middle, and these two."""
    rows, cols = shape
    north, east = np.meshgrid(dy * (np.arange(rows) - rows // 2), dx * (np.arange(cols) - cols // 2),
                              indexing="ij")  # fmt: skip
    return dem_of(height(east, north), dx, dy), east, north


@pytest.fixture
def rough():
    """Hills with noise."""
    noise = np.random.default_rng(3).normal(0, 2, (40, 50))
    dem, _, _ = surface(lambda x, y: 500 + 40 * np.sin(x / 90) * np.cos(y / 70), (40, 50))
    return (dem + noise).astype("float32")


def inner(layers):
    return layers[:, 1:-1, 1:-1]


# ---- outside answers ----


def test_the_packs_vector():
    dem = dem_of([line.split() for line in VECTOR.strip().splitlines()]).astype("float32")
    expected = {
        "slope": 45.131283, "aspect": 308.837952, "tpi": 1.387505, "tri": 25.267172, "roughness": 28.799995,
        "hillshade": 254, "profile_curvature": 0.005881, "plan_curvature": 0.037584,
        "tangential_curvature": 0.026312,
    }  # fmt: skip
    found = terrain(dem, list(expected))[:, 3, 3].values
    np.testing.assert_allclose(found[:6], list(expected.values())[:6], rtol=2e-6)
    np.testing.assert_allclose(found[6:], list(expected.values())[6:], atol=6e-7)  # six decimals are given
    other = terrain(dem, ["slope", "aspect"], gradient="zevenbergen_thorne")[:, 3, 3]
    np.testing.assert_allclose(other, [44.433575, 312.313], rtol=1e-6)


GDAL = {
    "slope": ["slope"], "aspect": ["aspect"], "hillshade": ["hillshade", "-az", "120", "-alt", "30"],
    "tpi": ["TPI"], "tri": ["TRI", "-alg", "Riley"], "roughness": ["roughness"],
}  # fmt: skip
REAL = ["athabasca/athabasca_dem.tif", "liligo/srtm_dem_30m.tif",
        "exploradores/AST_L1A_00303182012144228_Z.tif"]  # fmt: skip


def assert_equal_angles(found, expected, atol):
    """Two arrays of degrees, 0 next to 360."""
    off = (found - expected + 180) % 360 - 180
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(off)) < atol


@pytest.mark.skipif(not shutil.which("gdaldem"), reason="GDAL's gdaldem is not installed")
@pytest.mark.parametrize("gradient", ["horn", "zevenbergen_thorne"])
@pytest.mark.parametrize("path", REAL)
def test_real_dems_as_gdal_has_them(data, tmp_path, path, gradient):
    with rioxarray.open_rasterio(data / path) as file:
        dem = file.squeeze(drop=True).load()
    layers = terrain(dem, list(GDAL), sun_azimuth=120, sun_elevation=30, gradient=gradient)
    for name, arguments in GDAL.items():
        mode, *options = arguments
        if gradient == "zevenbergen_thorne" and mode in ("slope", "aspect", "hillshade"):
            options += ["-alg", "ZevenbergenThorne"]
        output = tmp_path / f"{name}.tif"
        subprocess.run(["gdaldem", mode, data / path, output, *options, "-q"], check=True)
        with rioxarray.open_rasterio(output, masked=True) as file:
            expected = file.squeeze(drop=True).values
        found = layers.sel(feature=name).values
        if name == "aspect":
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            steep = (layers.sel(feature="slope") > 2).values  # GDAL's float32 sums blur it on gentler ground
            assert_equal_angles(found[steep], expected[steep], atol=0.05)
        elif name == "hillshade":
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            assert np.nanmax(np.abs(found - expected)) <= 1  # halves round either way
            assert (np.abs(found - expected) > 0).mean() < 1e-3
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-3)  # GDAL's sums of float32


def test_curvature_as_xdem_has_it(data):
    xdem = pytest.importorskip("xdem")
    path = data / "athabasca/athabasca_dem.tif"
    names = ["profile_curvature", "planform_curvature", "tangential_curvature"]
    options = dict(surface_fit="ZevenbergThorne", curv_method="geometric")
    expected = xdem.terrain.get_terrain_attribute(xdem.DEM(path), names, **options)
    with rioxarray.open_rasterio(path, masked=True) as file:
        found = terrain(file.squeeze(drop=True).load(), CURVATURES)
    for ours, theirs in zip(found.values, expected, strict=True):
        theirs = theirs.data.filled(np.nan) / 100
        both = np.isfinite(ours) & np.isfinite(theirs)
        assert both.mean() > 0.9
        np.testing.assert_allclose(ours[both], theirs[both], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gradient", ["horn", "zevenbergen_thorne"])
@pytest.mark.parametrize("dx", [10.0, -7.0])
@pytest.mark.parametrize("dy", [-10.0, 12.0])
def test_a_plane_is_exact_whichever_way_its_axes_run(gradient, dx, dy):
    dem, _, _ = surface(lambda x, y: 3000 + 0.5 * x + 0.25 * y, (9, 11), dx, dy)  # descends to the WSW
    names = ["slope", "aspect", "aspect_sin", "aspect_cos", "hillshade", "tpi"]
    found = inner(terrain(dem, names, gradient=gradient))
    steep = np.hypot(0.5, 0.25)
    light = (1 + (0.5 - 0.25) / np.sqrt(2)) * np.sqrt(0.5) / np.sqrt(1 + steep**2)
    expected = [np.degrees(np.arctan(steep)), 270 - np.degrees(np.arctan(0.5)), -0.5 / steep, -0.25 / steep,
                np.round(1 + 254 * light), 0]  # fmt: skip
    np.testing.assert_allclose(found, np.broadcast_to(np.array(expected)[:, None, None], found.shape),
                               rtol=1e-6, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("dy", [-10.0, 14.0])
def test_curvatures_of_a_dome(dy):
    k = 1 / 2000  # z = -k r² / 2: the polynomial is exact; slope k r, sections of a surface of revolution
    dem, east, north = surface(lambda x, y: 100 - k * (x**2 + y**2) / 2, dy=dy)
    away = np.hypot(east, north)[1:-1, 1:-1]
    with np.errstate(divide="ignore"):
        expected = [k / (1 + (k * away) ** 2) ** 1.5, 1 / away, k / np.sqrt(1 + (k * away) ** 2)]
    found = inner(terrain(dem, CURVATURES)).values
    assert np.isnan(found[:, 19, 24]).all()  # the level top
    far = away > 30  # float32 heights leave a level top uncertain
    np.testing.assert_allclose(found[:, far], np.array(expected)[:, far], rtol=5e-3)


def test_contours_of_a_saddle_bend_both_ways():
    dem, _, _ = surface(lambda x, y: x * y / 500 + 0.303 * x)  # the cross term alone: r = t = 0, s = 1/500
    _, east, north = surface(lambda x, y: x)
    p, q, s = north / 500 + 0.303, east / 500, 1 / 500
    m = p**2 + q**2
    expected = [
        -2 * p * q * s / (m * (1 + m) ** 1.5),
        2 * p * q * s / m**1.5,
        2 * p * q * s / (m * (1 + m) ** 0.5),
    ]
    np.testing.assert_allclose(terrain(dem, CURVATURES)[:, 1:-1, 1:-1],
                               np.array(expected)[:, 1:-1, 1:-1], rtol=1e-4, atol=1e-6)  # fmt: skip


def test_a_cone_descends_away_from_its_top():
    dem, east, north = surface(lambda x, y: 900 - 0.6 * np.hypot(x, y))
    slope, aspect = terrain(dem, ["slope", "aspect"]).values
    away = np.hypot(east, north) > 100
    away[[0, -1]] = away[:, [0, -1]] = False
    np.testing.assert_allclose(slope[away], np.degrees(np.arctan(0.6)), atol=0.1)
    off = (aspect - np.degrees(np.arctan2(east, north)) + 180) % 360 - 180
    assert np.abs(off[away]).max() < 0.2


# ---- laws ----


def test_heights_have_no_zero(rough):
    steps = np.round(rough * 16) / 16  # heights a float32 holds exactly, also 1000 m up
    np.testing.assert_array_equal(terrain(steps), terrain(steps + 1024))


def test_turning_the_dem_turns_the_aspect(rough):
    slope, aspect = terrain(rough, ["slope", "aspect"]).values
    turned_slope, turned_aspect = terrain(dem_of(np.rot90(rough.values, -1)), ["slope", "aspect"]).values
    np.testing.assert_allclose(turned_slope, np.rot90(slope, -1), rtol=1e-5)
    assert_equal_angles(turned_aspect, (np.rot90(aspect, -1) + 90) % 360, atol=1e-3)  # clockwise


def test_flipping_the_rows_changes_nothing(rough):
    flipped = terrain(rough[::-1, ::-1])[:, ::-1, ::-1]
    np.testing.assert_allclose(flipped, terrain(rough), rtol=1e-4, atol=1e-5)
    turned = terrain(rough.transpose("x", "y"))
    xr.testing.assert_identical(turned, terrain(rough))


def test_sine_and_cosine_are_the_aspects(rough):
    aspect, sine, cosine = inner(terrain(rough, ["aspect", "aspect_sin", "aspect_cos"])).values
    np.testing.assert_allclose([sine, cosine], [np.sin(np.radians(aspect)), np.cos(np.radians(aspect))],
                               atol=1e-6)  # fmt: skip


def test_any_set_of_layers_is_that_part_of_all(rough):
    everything = terrain(rough)
    assert everything.feature.values.tolist() == list(TERRAIN)[:-1]  # cast shadow asks for the sun
    names = ["roughness", "plan_curvature", "slope"]
    some = terrain(rough, names)
    np.testing.assert_array_equal(some, everything.sel(feature=names))
    assert some.attrs["feature_units"] == "m m-1 degrees"
    xr.testing.assert_identical(terrain(rough, "slope"), terrain(rough, ["slope"]))


def test_level_ground_has_no_aspect():
    level = inner(terrain(dem_of(np.full((5, 6), 4321.1))))
    undefined = ["aspect", "aspect_sin", "aspect_cos", *CURVATURES]
    assert level.sel(feature=undefined).isnull().all()
    assert (level.sel(feature=["slope", "tpi", "tri", "roughness"]) == 0).all()
    assert (level.sel(feature="hillshade") == np.round(1 + 254 * np.sqrt(0.5))).all()


def test_holes_stay_local(rough):
    holed = rough.copy()
    holed[20, 30] = np.nan
    holed[5, 7] = np.inf
    expected = np.zeros(rough.shape, bool)
    expected[[0, -1]] = expected[:, [0, -1]] = True
    expected[19:22, 29:32] = expected[4:7, 6:9] = True
    found, whole = terrain(holed), terrain(rough)
    assert (found.isnull() == expected).all()
    np.testing.assert_array_equal(found.where(~expected), whole.where(~expected))


def test_declared_nodata_are_holes(rough):
    holed = rough.copy()
    holed[20, 30] = np.nan
    stored = holed.fillna(-9999).rio.write_nodata(-9999)
    np.testing.assert_array_equal(terrain(stored), terrain(holed))


@pytest.mark.parametrize("shape", [(1, 5), (2, 2), (5, 2), (3, 3)])
def test_small_dems(shape):
    heights = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    dem = dem_of(heights).rio.write_transform(dem_of(np.zeros((4, 4))).rio.transform())
    found = terrain(dem, ["slope", "tpi"])
    assert found.shape == (2, *shape)
    assert found.notnull().sum() == (2 if shape == (3, 3) else 0)


def test_feet_on_the_ground_are_meters(rough):
    foot = 0.3048
    feet = dem_of(rough.values, 10 / foot, -10 / foot, crs="EPSG:2222")  # international feet
    np.testing.assert_allclose(terrain(feet), terrain(rough), rtol=1e-3, atol=2e-3)


# ---- laziness ----


@given(rows=st.integers(1, 40), cols=st.integers(1, 50))
def test_chunks_change_nothing(rows, cols):
    heights = np.random.default_rng(8).normal(1000, 20, (40, 50)).astype("float32")
    heights[11, 13] = np.nan
    dem = dem_of(heights)
    lazy = terrain(dem.chunk(y=rows, x=cols))
    assert lazy.chunks[1:] == dem.chunk(y=rows, x=cols).chunks
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), terrain(dem))


def test_nothing_is_computed_before_it_is_asked_for(rough):
    import dask.array as da

    def never(block):
        raise AssertionError("computed")

    lazy = rough.copy(
        data=da.map_blocks(never, rough.chunk(y=20).data, dtype="float32", meta=np.empty((0, 0)))
    )
    layers = terrain(lazy, ["slope", "tri"])
    assert (layers.shape, layers.dtype) == ((2, 40, 50), np.float32)
    assert isinstance(layers.data._meta, np.ndarray)
    with pytest.raises(AssertionError, match="computed"):
        layers.compute()


def test_the_grid_and_the_input_stay(rough):
    before = rough.copy(deep=True)
    layers = terrain(rough)
    assert layers.dims == ("feature", "y", "x")
    assert layers.dtype == np.float32
    assert layers.rio.crs == rough.rio.crs
    assert layers.rio.transform() == rough.rio.transform()
    xr.testing.assert_identical(rough, before)


# ---- messages ----


def test_a_dem_in_degrees_is_refused(data):
    with rioxarray.open_rasterio(data / "oggm/hef_srtm.tif") as file:
        dem = file.squeeze(drop=True).load()
    with pytest.raises(GridError, match=r"degrees \(EPSG:4326\).*reproject"):
        terrain(dem)
    advised = dem.astype("float32").rio.reproject(dem.rio.estimate_utm_crs(), nodata=np.nan)
    assert 15 < terrain(advised, "slope").mean() < 35  # Hintereisferner and its mountains


def test_what_is_no_dem_is_refused(rough):
    with pytest.raises(GridError, match=r"needs a CRS.*write_crs"):
        terrain(rough.drop_vars("spatial_ref"))
    with pytest.raises(GridError, match=r"dims \(y, x\), not \('time', 'y', 'x'\)"):
        terrain(rough.expand_dims("time"))
    with pytest.raises(GridError, match=r"no coordinates in \['x'\]"):
        terrain(rough.drop_vars("x"))
    with pytest.raises(GridError, match=r"in 'feet', not in 'm'"):
        terrain(rough.assign_attrs(units="feet"))


def test_wrong_arguments_are_told(rough):
    with pytest.raises(UnknownNameError, match=r"Unknown terrain layer 'slop'\. Did you mean 'slope'\?"):
        terrain(rough, ["aspect", "slop"])
    with pytest.raises(UnknownNameError, match=r"Unknown gradient 'sobel'.*horn"):
        terrain(rough, gradient="sobel")
    for angles in (dict(sun_elevation=-3), dict(sun_elevation=91), dict(sun_azimuth=np.nan)):
        with pytest.raises(GlacierlabError, match="No sun stands at"):
            terrain(rough, **angles)


# ---- Evans's quadratic ----


@given(st.integers(0, 2**32 - 1), st.sampled_from([10.0, -25.0]), st.sampled_from([-10.0, 15.0]))
def test_evans_fits_the_nearest_quadratic(seed, dx, dy):
    heights = 500 + np.random.default_rng(seed).normal(0, 8, (3, 3))
    y, x = dy * np.array([-1, 0, 1])[:, None] + np.zeros((3, 3)), dx * np.array([-1, 0, 1]) + np.zeros((3, 3))
    columns = [np.ones(9), *(v.ravel() for v in (x, y, x * x / 2, x * y, y * y / 2))]
    _, p, q, r, s, t = np.linalg.lstsq(np.stack(columns, axis=1), heights.ravel(), rcond=None)[0]
    m = p * p + q * q
    expected = [
        np.degrees(np.arctan(np.sqrt(m))),
        -(p * p * r + 2 * p * q * s + q * q * t) / (m * (1 + m) ** 1.5),
        -(q * q * r - 2 * p * q * s + p * p * t) / (m * np.sqrt(1 + m)),
    ]
    names = ["slope", "profile_curvature", "tangential_curvature"]
    found = terrain(dem_of(heights, dx, dy), names, gradient="evans")[:, 1, 1]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


def test_evans_smooths_what_noise_does_to_slopes():
    plane, _, _ = surface(lambda x, y: 0.3 * x, (40, 50))
    noisy = plane + np.random.default_rng(0).normal(0, 0.5, plane.shape)
    spread = {fit: float(inner(terrain(noisy, "slope", gradient=fit)).std()) for fit in GRADIENTS}
    assert spread["evans"] < spread["horn"] < spread["zevenbergen_thorne"]
