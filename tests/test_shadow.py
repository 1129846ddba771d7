"""Cast shadow: exact shadows, another interpolator, GRASS, laws, laziness, messages."""

import shutil
import subprocess

import numpy as np
import pytest
import rioxarray
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, map_coordinates

from glacierlab.errors import GlacierlabError
from glacierlab.features.dem import terrain


def dem_of(heights, dx=10.0, dy=-10.0):
    """A DEM (y, x) from heights [m], its upper left pixel at (500 000, 3 100 000)."""
    heights = np.asarray(heights, "float32")
    rows, cols = heights.shape
    coords = {"y": 3_100_000 + dy * np.arange(rows), "x": 500_000 + dx * np.arange(cols)}
    return xr.DataArray(heights, coords, ("y", "x")).rio.write_crs("EPSG:32645")


def shadow(dem, azimuth, elevation, **options):
    """1 in shadow, 0 in the sun (y, x)."""
    return terrain(dem, "cast_shadow", sun_azimuth=azimuth, sun_elevation=elevation, **options)[0]


def hills(seed=5, shape=(40, 50)):
    """Steep hills with noise, in sixteenths of a metre."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(seed).normal(0, 6, shape)
    return np.round((900 + 90 * np.sin(x / 5) * np.cos(y / 4) + noise) * 16) / 16


suns = given(azimuth=st.floats(0, 360), elevation=st.floats(1, 80))

# ---- outside answers ----


@pytest.mark.parametrize("elevation", [10, 33, 60])
@pytest.mark.parametrize(("azimuth", "turns"), [(0, 0), (270, 1), (180, 2), (90, 3)])
def test_a_wall_throws_a_shadow_as_long_as_the_sun_is_low(azimuth, turns, elevation):
    ground = np.zeros((101, 15))
    ground[8] = 120.0  # a wall from west to east, sun in the north
    found = np.rot90(shadow(dem_of(np.rot90(ground, turns)), azimuth, elevation), -turns)
    expected = np.zeros(ground.shape)
    expected[9 : 8 + int(np.ceil(12 / np.tan(np.radians(elevation))))] = 1  # a row is 10 m
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("azimuth", [0, 20, 45, 77.7, 152, 200, 270, 301])
@pytest.mark.parametrize(("dx", "dy"), [(10, -10), (-10, 15), (20, 10)])
def test_a_cone_throws_a_pointed_shadow(azimuth, dx, dy):
    side = 101
    north, east = np.meshgrid(dy * (np.arange(side) - 50), dx * (np.arange(side) - 50), indexing="ij")
    height, foot, elevation = 150.0, 80.0, 25.0
    away = np.hypot(east, north)
    dark = shadow(dem_of(height * np.clip(1 - away / foot, 0, None), dx, dy), azimuth, elevation).values == 1
    # On level ground: the triangle from the foot's tangents to the tip, h / tan(elevation) from the middle.
    length = height / np.tan(np.radians(elevation))
    turn = np.radians(azimuth)
    along = -(east * np.sin(turn) + north * np.cos(turn))
    across = np.abs(east * np.cos(turn) - north * np.sin(turn))
    opening = np.arcsin(foot / length)
    edge = (length - along) * np.sin(opening) - across * np.cos(opening)  # meters inside the triangle's sides
    level = (away > foot + max(abs(dx), abs(dy))) & (along > 0)
    pixel = np.hypot(dx, dy)
    assert dark[level & (edge > pixel)].all()
    assert not dark[(away > foot) & ((edge < -pixel) | (along < 0))].any()
    assert length - 2.5 * pixel < along[dark].max() <= length


@given(azimuth=st.floats(0, 360), elevation=st.floats(2, 80), dx=st.sampled_from([10.0, -7.0]),
       dy=st.sampled_from([-10.0, 23.0]))  # fmt: skip
def test_another_interpolator_sees_the_same(azimuth, elevation, dx, dy):
    heights = hills()
    found = shadow(dem_of(heights, dx, dy), azimuth, elevation).values
    turn, slope = np.radians(azimuth), np.tan(np.radians(elevation))
    way = np.array([np.cos(turn) / dy, np.sin(turn) / dx])  # pixels a metre
    step_m = 1 / np.abs(way).max()
    pixels = np.indices(heights.shape).astype(float)
    above = np.full(heights.shape, -np.inf)
    for k in range(1, 51):
        there = pixels + np.round(k * step_m * way, 6)[:, None, None]  # a path along the rim stays on it
        met = map_coordinates(heights, there, order=1, mode="grid-constant", cval=-1e9)
        above = np.maximum(above, met - heights - k * step_m * slope)
    sure = np.abs(above) > 1e-2
    np.testing.assert_array_equal(found[sure], (above > 0)[sure])
    assert sure.mean() > 0.99


@pytest.mark.skipif(not shutil.which("grass"), reason="GRASS is not installed")
def test_a_real_dem_as_grass_has_it(data, tmp_path):
    with rioxarray.open_rasterio(data / "athabasca/athabasca_dem.tif", masked=True) as file:
        dem = file.squeeze(drop=True)[:120, :120].load()
    dem.rio.to_raster(tmp_path / "dem.tif")
    steps = ("r.in.gdal --q input=dem.tif output=dem", "g.region raster=dem",
             "r.sunmask -z --q elevation=dem output=dark altitude=20 azimuth=152",
             "r.null --q map=dark null=0", "r.out.gdal --q input=dark output=dark.tif type=Byte")  # fmt: skip
    run = dict(cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["grass", "-c", "dem.tif", "place", "-e"], **run)
    subprocess.run(["grass", "place/PERMANENT", "--exec", "sh", "-ec", "\n".join(steps)], **run)
    with rioxarray.open_rasterio(tmp_path / "dark.tif") as file:
        expected = file.squeeze(drop=True).values == 1
    found = shadow(dem, 152, 20).values == 1
    known = (slice(1, -1), slice(1, -1))  # the first row of this DEM is not
    assert 0.2 < found[known].mean() < 0.6
    assert (found != expected)[known].mean() < 0.03
    # GRASS takes the pixel nearest to the ray for a point on it, at up to twice its distance: of the rest
    # it shades a little more, and nothing less.
    lower, higher = (np.degrees(np.arctan(f * np.tan(np.radians(20)))) for f in (0.5, 1.4))
    assert (expected & (shadow(dem, 152, lower).values != 1))[known].mean() < 0.01
    assert not ((shadow(dem, 152, higher).values == 1) & ~expected)[known].any()


# ---- laws ----


@suns
def test_a_lower_sun_shades_more(azimuth, elevation):
    dem = dem_of(hills())
    assert (shadow(dem, azimuth, elevation) <= shadow(dem, azimuth, 0.9 * elevation)).all()


@suns
def test_heights_have_no_zero(azimuth, elevation):
    np.testing.assert_array_equal(
        shadow(dem_of(hills()), azimuth, elevation), shadow(dem_of(hills() + 4096), azimuth, elevation)
    )


@suns
def test_a_mirror_mirrors_the_shadow(azimuth, elevation):
    found = shadow(dem_of(hills()), azimuth, elevation).values
    np.testing.assert_array_equal(shadow(dem_of(hills()[:, ::-1]), -azimuth, elevation)[:, ::-1], found)
    np.testing.assert_array_equal(shadow(dem_of(hills()[::-1]), 180 - azimuth, elevation)[::-1], found)
    np.testing.assert_array_equal(shadow(dem_of(hills().T), 270 - azimuth, elevation).T, found)
    flipped = dem_of(hills()[::-1, ::-1], -10.0, 10.0)  # the same place, its axes run the other way
    np.testing.assert_array_equal(shadow(flipped, azimuth, elevation)[::-1, ::-1], found)


def test_ground_that_faces_away_is_dark():
    ramp = dem_of(np.repeat(-10.0 * np.tan(np.radians(30)) * np.arange(20)[:, None], 9, axis=1))
    assert (shadow(ramp, 0, 29)[1:] == 1).all()  # falls to the south by 30 degrees, sun in the north
    assert (shadow(ramp, 0, 31) == 0).all()
    y, x = np.mgrid[:40, :50]
    dem = dem_of(900 + 90 * np.sin(x / 5) * np.cos(y / 4))
    faces_away = terrain(dem, "hillshade", sun_azimuth=200, sun_elevation=25)[0] == 1
    assert faces_away.sum() > 200
    within = binary_erosion(faces_away, np.ones((3, 3)))  # a crest itself may still see the sun
    assert within.sum() > 100
    assert shadow(dem, 200, 25).values[within].all()


def test_the_sun_overhead_and_on_the_horizon():
    dem = dem_of(hills())
    assert (shadow(dem, 77, 90) == 0).all()
    level = shadow(dem, 0, 0)  # whatever lies lower than anything north of it
    highest = np.maximum.accumulate(dem.values, axis=0)
    np.testing.assert_array_equal(level[1:], highest[:-1] > dem.values[1:])
    assert (shadow(dem_of(np.full((9, 9), 5.0)), 123, 0) == 0).all()


@suns
def test_holes_stay_local(azimuth, elevation):
    dem = dem_of(hills())
    holed = dem.copy()
    holed[20, 30], holed[5, 7], holed[8, 8] = np.nan, np.inf, -np.inf
    found, whole = shadow(holed, azimuth, elevation), shadow(dem, azimuth, elevation)
    np.testing.assert_array_equal(found.isnull(), ~np.isfinite(holed))
    assert (found.fillna(0) <= whole).all()  # a hole shades nothing
    lost = (found.fillna(0) < whole).sum()
    assert lost < 200


def test_a_hole_lets_the_sun_through():
    ground = np.zeros((30, 9))
    ground[3] = 100.0
    ground[3, 4] = np.nan
    found = shadow(dem_of(ground), 0, 45)
    assert (found[4:13, 4] == 0).all()
    assert (found[4:13, :4] == 1).all()
    assert found.isnull().sum() == 1
    assert shadow(dem_of(np.full((5, 5), np.nan)), 30, 45).isnull().all()


def test_mountains_are_sought_as_far_as_said():
    ground = np.zeros((60, 5))
    ground[0] = 5000.0  # higher than relief_m: its shadow ends where the search does
    dark = shadow(dem_of(ground), 0, 45, relief_m=200.0).sum("y")
    assert (dark == 20).all()
    assert (shadow(dem_of(ground), 0, 45, relief_m=np.inf).sum("y") == 59).all()


# ---- laziness ----


@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 50),
    azimuth=st.floats(0, 360),
    elevation=st.floats(0, 90),
    relief_m=st.sampled_from([50.0, 3000.0]),
    others=st.booleans(),
)
def test_chunks_change_nothing(rows, cols, azimuth, elevation, relief_m, others):
    heights = hills()
    heights[11, 13] = np.nan
    dem = dem_of(heights)
    layers = ["slope", "cast_shadow", "tpi"] if others else ["cast_shadow"]
    options = dict(sun_azimuth=azimuth, sun_elevation=elevation, relief_m=relief_m)
    lazy = terrain(dem.chunk(y=rows, x=cols), layers, **options)
    assert lazy.chunks[1:] == dem.chunk(y=rows, x=cols).chunks
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), terrain(dem, layers, **options))


def test_blocks_and_threads_share_a_large_dem():
    dem = dem_of(np.tile(hills(), (20, 12)))  # several tiles of the kernel and strips of rows
    whole = shadow(dem, 152, 20)
    lazy = shadow(dem.chunk(y=190, x=170), 152, 20)
    xr.testing.assert_identical(lazy.compute(), whole)
    parts = shadow(dem[:400], 152, 20, relief_m=300.0)[:300]
    np.testing.assert_array_equal(parts, shadow(dem, 152, 20, relief_m=300.0)[:300])


# ---- messages ----


def test_wrong_arguments_are_told():
    dem = dem_of(hills())
    for given_sun in ({}, {"sun_azimuth": 10.0}, {"sun_elevation": 10.0}):
        with pytest.raises(GlacierlabError, match="no usual sun: give sun_azimuth and sun_elevation"):
            terrain(dem, ["slope", "cast_shadow"], **given_sun)
    with pytest.raises(GlacierlabError, match="No sun stands at azimuth 10, elevation -1"):
        shadow(dem, 10, -1)
    for relief_m in (0.0, -5.0, np.nan):
        with pytest.raises(GlacierlabError, match=r"relief_m=.* is no height"):
            shadow(dem, 10, 30, relief_m=relief_m)
