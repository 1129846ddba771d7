"""Across 180°: outlines in one piece, and DEMs of the whole globe of which little is read."""

import dask
import dask.array as da
import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.affinity import translate

import glacierlab as gl
from glacierlab.errors import GridError
from glacierlab.io.align import add_layer
from glacierlab.io.shapes import around, beside, cut_at_180, in_degrees, unwrapped, whole

BEYOND = shapely.box(179.9, 70, 180.1, 70.1)
JUMPING = around(BEYOND, 0.0)
SIDES = shapely.box(-180, 70, -179.9, 70.1), shapely.box(179.9, 70, 180, 70.1)
SPLIT = shapely.MultiPolygon(SIDES)
POLAR = shapely.Polygon([(x, 80) for x in range(-180, 181, 10)] + [(180, 90), (-180, 90)])
ELSEWHERE = shapely.box(-10, 70, 10, 70.1)
TURN = np.linspace(0, 2 * np.pi, 80, endpoint=False)
GLACIER = shapely.Polygon(np.column_stack([180 + 0.2 * np.cos(TURN), 70 + 0.06 * np.sin(TURN)]))


# ---- outlines ----


@given(longitude=st.floats(-720, 720), middle=st.floats(-360, 360))
def test_a_longitude_is_the_same_place_beside_a_middle(longitude, middle):
    found = beside(longitude, middle)
    assert abs(found - middle) <= 180 + 1e-9
    assert (found - longitude) / 360 == pytest.approx(round((found - longitude) / 360), abs=1e-12)


def test_rings_that_jump_go_on_and_all_else_stays():
    given = [JUMPING, BEYOND, SPLIT, POLAR, ELSEWHERE]
    found = unwrapped(given)
    assert found[0].equals(BEYOND)
    assert all(one is other for one, other in zip(found[1:], given[1:], strict=True))
    joined = whole(given)
    assert all(one.equals(BEYOND) for one in joined[:3])
    assert all(one is other for one, other in zip(joined[3:], given[3:], strict=True))


def test_what_goes_beyond_is_cut_and_comes_together_again():
    for turn in (-360, 0):  # whichever way it is told
        beyond = translate(BEYOND, turn)
        (cut,) = cut_at_180([beyond])
        assert [part.bounds for part in cut.geoms] == [pytest.approx(part.bounds) for part in SIDES]
        assert whole([cut])[0].symmetric_difference(BEYOND).area < 1e-12


@pytest.mark.parametrize("crs", [3413, 32601, 32660])
def test_degrees_of_meters_are_in_one_piece(crs):
    given = gpd.GeoSeries([shapely.segmentize(BEYOND, 0.01)], index=["a"], crs=4326)
    found = in_degrees(given.to_crs(crs))
    assert found["a"].is_valid
    assert found["a"].symmetric_difference(BEYOND).area < 1e-9
    jumping = gpd.GeoSeries([JUMPING], crs=4326)
    assert in_degrees(jumping)[0].equals(BEYOND)
    assert jumping[0] is JUMPING  # not the caller's


# ---- DEMs ----


def globe(start, step=0.01, loaded=None):
    """A lazy DEM (y, x) of 65° to 75° N that begins at a longitude and counts the chunks it makes.

    It falls by 1500 m a degree on both sides of 180°.
    """
    x = start + step * (np.arange(round(360 / step)) + 0.5)
    y = 75 - step * (np.arange(round(10 / step)) + 0.5)

    def make(block_info=None):
        (top, bottom), (left, right) = block_info[None]["array-location"]
        if loaded is not None:
            loaded.append((top, left))
        heights = (
            800 - 1500 * abs(beside(x[left:right], 180.0) - 180) + 300 * (y[top:bottom, np.newaxis] - 70)
        )
        return heights.astype("float32")

    chunks = da.core.normalize_chunks(100, (len(y), len(x)))
    values = da.map_blocks(make, chunks=chunks, dtype="float32", meta=np.empty((0, 0), "float32"))
    return xr.DataArray(values, {"y": y, "x": x}, ("y", "x")).rio.write_crs(4326)


@pytest.mark.parametrize("start", [-180, 0, -20, 180])
@pytest.mark.parametrize("crs", [4326, 3413])
def test_a_glacier_reads_what_is_below_it(start, crs):
    loaded, east = [], globe(175.0).isel(x=slice(1000))
    outlines = gpd.GeoDataFrame({"src_date": ["2020"]}, geometry=[GLACIER], crs=4326).to_crs(crs)
    dem = globe(start, loaded=loaded)
    with dask.config.set(scheduler="synchronous"):
        row = gl.outlines.attributes(outlines, dem).iloc[0]
        assert len(loaded) == 4  # of 3600
        expected = gl.outlines.attributes(outlines, east).iloc[0]
        names = ["zmin_m", "zmed_m", "zmax_m", "slope_deg", "aspect_deg", "lmax_m", "dem_frac"]
        np.testing.assert_allclose(row[names].astype(float), expected[names].astype(float), rtol=1e-5)
        loaded.clear()
        parts = gl.split_glaciers(outlines, dem)
        assert len(set(loaded)) <= 4
        assert len(parts) == 2  # with their divide at 180°
        assert parts.area_km2.tolist() == pytest.approx([parts.area_km2.sum() / 2] * 2, rel=0.01)
        assert parts.geometry.geom_equals(gl.split_glaciers(outlines, east).geometry).all()


def test_a_globe_whose_pixels_do_not_meet_again_is_read_in_rows():
    outlines = gpd.GeoDataFrame({"src_date": ["2020"]}, geometry=[GLACIER], crs=4326)
    row, expected = (
        gl.outlines.attributes(outlines, dem).iloc[0] for dem in (globe(-180, 0.010033), globe(0))
    )
    assert row.dem_frac == 1
    assert row.zmed_m == pytest.approx(expected.zmed_m, abs=2)


def scene_at(lon, lat, crs, size=30.0, side=64):
    """A scene of one band about a place."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    steps = size * (np.arange(side) - side / 2 + 0.5)
    red = xr.DataArray(np.ones((side, side), "float32"), {"y": y - steps, "x": x + steps}, ("y", "x"))
    return xr.Dataset({"red": red}).rio.write_crs(crs)


@pytest.mark.parametrize("crs", [32601, 32660, 3413])
@pytest.mark.parametrize("start", [-180, 0])
@pytest.mark.parametrize("chunks", [None, 22])
def test_a_scene_takes_a_layer_from_both_sides(crs, start, chunks):
    loaded, scene = [], scene_at(180, 70.2, crs)
    asked = scene if chunks is None else scene.chunk(chunks)
    layer = add_layer(asked, "elevation", globe(start, loaded=loaded)).elevation
    assert not loaded
    found = layer.compute()
    assert len(set(loaded)) <= 4
    x, y = np.meshgrid(scene.x, scene.y)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    away = abs(beside(lon, 180.0) - 180)
    off = abs(found.values - (800 - 1500 * away + 300 * (lat - 70)))
    assert off[away > 0.011].max() < 0.01  # bilinear is exact but at the ridge
    assert off.max() < 1500 * 0.01
    assert layer.attrs["coverage"] == 1


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("size", [30.0, 3000.0])
def test_at_180_degrees_a_layer_is_as_at_0(resampling, size):
    """Zones 1 and 31 lie alike around them, so that GDAL at Greenwich is the witness."""
    dem = globe(-180)
    turned = dem.roll(x=18_000, roll_coords=False)
    there, here = (
        add_layer(scene, "elevation", raster, resampling=resampling).elevation.values
        for scene, raster in (
            (scene_at(180, 70.2, 32601, size), dem),
            (scene_at(0, 70.2, 32631, size), turned),
        )
    )
    np.testing.assert_allclose(there, here, atol=1e-3)
    chunked = scene_at(180, 70.2, 32601, size).chunk(30)
    again = add_layer(chunked, "elevation", dem, resampling=resampling).elevation
    np.testing.assert_allclose(again, there, atol=1e-3)


def test_a_layer_of_0_to_360_degrees_lies_below_western_scenes():
    dem = globe(0).isel(x=slice(23_000, 25_000))
    scene = scene_at(-120, 70, 32611)
    found = add_layer(scene, "elevation", dem).elevation.compute()
    degrees = (
        scene.drop_vars("spatial_ref")
        .assign_coords(x=-120 + 0.003 * np.arange(64), y=70 - 0.003 * np.arange(64))
        .rio.write_crs(4326)
    )
    for layer in (found, add_layer(degrees, "elevation", dem, resampling="bilinear").elevation.compute()):
        assert layer.attrs["coverage"] == 1
        assert layer.notnull().all()
    with pytest.raises(GridError, match="does not overlap"):
        add_layer(scene_at(-100, 70, 32614), "elevation", dem)
