"""coregister: planted shifts come back, holes stay holes, flags stay flags, and what cannot be is refused."""

from functools import lru_cache

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import fourier_shift
from worlds import world_of

from glacierlab.errors import GlacierlabError, GridError, MissingBandError
from glacierlab.series import coregister
from glacierlab.series.matching import agreed, tile_shift, tiles_of

BANDS = ["green", "red", "nir", "swir16"]
SHIFTS = [(1 / 3, -1 / 3), (-2 / 3, 1 / 3), (0.0, -2 / 3)]  # dx, dy: thirds of a pixel, exact by rendering


@lru_cache
def fine(year, date="09-15", weather=0):
    """A made scene in pixels of 10 m."""
    world = world_of(3, (2000, 2010), (480, 510), pixel_size_m=10.0)
    return world.scene(year, date, sensor="sentinel-2", weather=weather)[[*BANDS, "elevation", "truth"]]


def coarse(scene, dx=0.0, dy=0.0):
    """The scene in pixels of 30 m, its content (dx, dy) of them off the place that its coordinates claim."""
    top, left = 6 - round(3 * dy), 6 - round(3 * dx)
    rows, columns = slice(top, top + 462), slice(left, left + 492)
    cells = scene[BANDS].isel(y=rows, x=columns).coarsen(y=3, x=3)
    place = scene[BANDS].isel(y=slice(6, 468), x=slice(6, 498)).coarsen(y=3, x=3).mean()
    out = cells.mean().assign_coords(y=place.y, x=place.x).assign_attrs(scene.attrs)
    return out.rio.write_crs(scene.rio.crs)


@pytest.fixture
def before():
    return coarse(fine(2000))


def later(dx=0.0, dy=0.0):
    """Ten years and other weather on: glaciers, snow and sun differ."""
    return coarse(fine(2010, "08-25", weather=3), dx, dy)


def with_stripes(scene, start):
    """Gaps as Landsat 7 has them: 7 of every 32 rows, aslant."""
    rows, columns = (np.arange(scene.sizes[dim]) for dim in ("y", "x"))
    lost = (rows[:, None] + columns // 6 + start) % 32 < 7
    return scene.where(~xr.DataArray(lost, dims=("y", "x"))).assign_attrs(scene.attrs)


def found(report):
    return report.loc[1, ["dx_px", "dy_px"]].to_numpy(float)


# ---- planted shifts


@pytest.mark.parametrize(("dx", "dy"), SHIFTS)
def test_planted_shifts_come_back(before, dx, dy):
    (same, moved), report = coregister([before, later(dx, dy)])
    np.testing.assert_allclose(found(report), [dx, dy], atol=0.06)
    assert report.east_m[1] == pytest.approx(30 * report.dx_px[1])
    assert report.north_m[1] == pytest.approx(-30 * report.dy_px[1])
    assert report.verdict.tolist() == ["reference", "moved"]
    assert report.attrs["band"] == "nir"
    assert same is before
    assert moved.attrs["misregistration_px"] == [report.dx_px[1], report.dy_px[1]]
    truth, off = later(), later(dx, dy)
    for band in BANDS:  # what was moved lies nearer to what should be seen than what was not
        errors = [float(np.sqrt(((each[band] - truth[band]) ** 2).mean())) for each in (moved, off)]
        assert errors[0] < 0.7 * errors[1]


def test_a_shift_by_fourier_on_real_pixels(athabasca):
    """Witness from outside: the phase ramp of a band, by SciPy, on a Landsat scene with holes."""
    inner = athabasca.isel(y=slice(20, 180), x=slice(20, 180))
    filled = inner.map(lambda v: v.fillna(v.mean()), keep_attrs=True)
    off = filled.copy(deep=True)
    for band in BANDS:
        ramp = fourier_shift(np.fft.fft2(filled[band].values), (-0.4, 0.25))
        off[band].values[:] = np.fft.ifft2(ramp).real
    off = off.where(inner.notnull()).isel(y=slice(8, -8), x=slice(8, -8)).assign_attrs(inner.attrs)
    _, report = coregister([inner.isel(y=slice(8, -8), x=slice(8, -8)), off])
    np.testing.assert_allclose(found(report), [0.25, -0.4], atol=0.05)


@pytest.mark.parametrize("start", [0, 16])
def test_gaps_do_not_draw_the_shift(before, start):
    """Stripes in the same place on both dates would say zero; elsewhere, the offset of the stripes."""
    dx, dy = 1 / 3, -1 / 3
    (_, moved), report = coregister([with_stripes(before, 0), with_stripes(later(dx, dy), start)])
    np.testing.assert_allclose(found(report), [dx, dy], atol=0.08)
    lost = np.isnan(with_stripes(later(dx, dy), start).nir.values)
    np.testing.assert_array_equal(np.isnan(moved.nir.values), lost)  # by less than half a pixel


def test_clouds_are_left_out_by_their_flag(before):
    dx, dy = -1 / 3, 1 / 3
    clear = later(dx, dy)
    cloud = np.zeros(clear.nir.shape, bool)
    cloud[20:90, 30:140] = True
    # The same cloud over both dates at the same place: unflagged it would say "no shift".
    blobs = np.random.default_rng(0).normal(0.6, 0.2, cloud.shape)
    flags = xr.DataArray(np.where(cloud, 1 << 3, 1 << 6).astype("uint16"), dims=("y", "x"))
    flags.attrs["native"] = "qa_pixel"
    hidden = [
        s.map(lambda v: v.where(~cloud, blobs), keep_attrs=True).assign(qa=flags) for s in (before, clear)
    ]
    (_, moved), report = coregister(hidden, min_agreement=0.1)
    np.testing.assert_allclose(found(report), [dx, dy], atol=0.1)
    assert moved.qa.dtype == np.uint16
    unflagged = [scene.drop_vars("qa") for scene in hidden]
    _, wrong = coregister(unflagged, min_agreement=0.1)
    assert abs(found(wrong) - [dx, dy]).max() > 0.15


def test_where_to_look(before):
    """A part that moves by itself, a glacier, is left out by `stable`."""
    off = later(1 / 3, -1 / 3)
    glacier = np.zeros(off.nir.shape, bool)
    glacier[:, 55:] = True
    mixed = xr.where(xr.DataArray(glacier, dims=("y", "x")), later(-2 / 3, 1 / 3), off)
    mixed = mixed.assign_attrs(off.attrs).rio.write_crs(before.rio.crs)
    stable = xr.DataArray(~glacier, before.nir.coords, ("y", "x"))
    _, report = coregister([before, mixed], stable=stable, tile=40)
    np.testing.assert_allclose(found(report), [1 / 3, -1 / 3], atol=0.1)


# ---- what stays


def test_a_scene_that_is_close_is_not_resampled(before):
    close = later()
    (_, kept), report = coregister([before, close])
    assert kept is close
    assert report.verdict[1] == "left"
    assert abs(found(report)).max() < 0.06
    assert report.rmse_px[1] < 0.3
    assert report.tiles[1] <= report.offered[1]


def test_flags_and_classes_are_never_mixed(before):
    off = later(-2 / 3, 1 / 3)
    codes = np.random.default_rng(1).choice([1, 64, 21824, 65535], off.nir.shape).astype("uint16")
    off["truth"] = (("y", "x"), (codes % 4).astype("uint8"), {"flag_values": np.arange(4, dtype="uint8")})
    off["shadow"] = (("y", "x"), codes == 64)
    off["elevation"] = (("y", "x"), np.random.default_rng(2).random(off.nir.shape, "float32"))
    (_, moved), report = coregister([before, off], band="red")
    assert report.verdict[1] == "moved"
    # Two thirds of a pixel: the nearest pixel is the one to the left, and beyond the edge there is none.
    np.testing.assert_array_equal(moved.truth.values[:, 1:], off.truth.values[:, :-1])
    assert (moved.truth.values[:, 0] == 255).all()
    np.testing.assert_array_equal(moved.shadow.values[:, 1:], off.shadow.values[:, :-1])
    assert moved.shadow.dtype == bool
    np.testing.assert_array_equal(moved.elevation, off.elevation)  # a DEM does not share the scene's error
    assert moved.truth.attrs.keys() == off.truth.attrs.keys()


def test_flags_beyond_the_edge_are_fill(before):
    off = later(-2 / 3, 1 / 3)
    off["qa"] = (("y", "x"), np.full(off.nir.shape, 64, "uint16"), {"native": "qa_pixel"})
    (_, moved), _ = coregister([before, off])
    assert (moved.qa.values[:, 0] == 1).all()
    assert (moved.qa.values[:, 1:] == 64).all()


def test_the_order_of_scenes_does_not_matter(before):
    scenes = [before, later(1 / 3, -1 / 3), later(0.0, -2 / 3)]
    moved, report = coregister(scenes, reference=0)
    turned, other = coregister(scenes[::-1], reference=-1)
    for one, two in zip(moved, turned[::-1], strict=True):
        xr.testing.assert_identical(one, two)
    np.testing.assert_array_equal(report.dx_px, other.dx_px[::-1])
    outside, _ = coregister(scenes[1:], reference=before)
    xr.testing.assert_identical(outside[0], moved[1])


def test_a_cube_comes_back_as_a_cube(before):
    off = later(1 / 3, -1 / 3)
    times = np.array(["2000-09-15", "2010-08-25"], "datetime64[ns]")
    cube = xr.concat([before, off], "time", combine_attrs="override").assign_coords(time=times)
    cube["elevation"] = (("y", "x"), np.ones(before.nir.shape, "float32"))
    moved, report = coregister(cube)
    (_, alone), _ = coregister([before, off])
    assert moved.nir.dims == ("time", "y", "x")
    assert moved.elevation.dims == ("y", "x")
    np.testing.assert_array_equal(moved.time, times)
    np.testing.assert_array_equal(moved.nir.isel(time=1), alone.nir)
    np.testing.assert_array_equal(moved.nir.isel(time=0), before.nir)
    assert report.datetime.dt.year.tolist() == [2000, 2010]
    assert coregister(cube.isel(time=[0, 0]))[0].identical(cube.isel(time=[0, 0]))


def test_other_grids_and_crs_come_onto_the_references(before):
    off = later(1 / 3, -1 / 3)
    far = off.rio.reproject("EPSG:32644", resolution=30.0, resampling=3)  # the zone to the west, cubic spline
    far["qa"] = (("y", "x"), np.full(far.nir.shape, 64, "uint16"), {"native": "qa_pixel"})
    (_, moved), report = coregister([before, far.assign_attrs(off.attrs)])
    np.testing.assert_allclose(found(report), [1 / 3, -1 / 3], atol=0.08)
    for dim in ("y", "x"):
        np.testing.assert_array_equal(moved[dim], before[dim])
    assert moved.rio.crs == before.rio.crs
    inside = (slice(5, -5), slice(5, -5))
    truth = later()
    assert np.nanstd((moved.nir - truth.nir).values[inside]) < np.nanstd((off.nir - truth.nir).values[inside])
    assert set(np.unique(moved.qa)) <= {1, 64}


def test_degrees_have_no_meters(before):
    off = later(1 / 3, -1 / 3)
    degrees = dict(x=80 + 4e-4 * np.arange(off.sizes["x"]), y=40 - 3e-4 * np.arange(off.sizes["y"]))
    pair = [scene.assign_coords(degrees).rio.write_crs("EPSG:4326") for scene in (before, off)]
    (_, moved), report = coregister(pair)
    np.testing.assert_allclose(found(report), [1 / 3, -1 / 3], atol=0.06)
    assert report.loc[1, ["east_m", "north_m"]].isna().all()
    np.testing.assert_array_equal(moved.x, before.assign_coords(degrees).x)


# ---- lazy


@lru_cache
def eager_pair():
    pair = [coarse(fine(2000))[["red", "nir"]], later(1 / 3, -1 / 3)[["red", "nir"]]]
    return pair, *coregister(pair)


@settings(max_examples=5)
@given(st.tuples(*[st.integers(30, 170)] * 4))
def test_no_chunk_changes_anything(sizes):
    (one, two), eager, table = eager_pair()
    chunked = [one.chunk(y=sizes[0], x=sizes[1]), two.chunk(y=sizes[2], x=sizes[3])]
    lazy, other = coregister(chunked)
    assert all(dask.is_dask_collection(scene) for scene in lazy)
    assert lazy[1].nir.chunks == chunked[1].nir.chunks
    np.testing.assert_array_equal(table.iloc[1, 1:-1], other.iloc[1, 1:-1])
    for band in ("red", "nir"):
        np.testing.assert_allclose(lazy[1][band], eager[1][band], rtol=0, atol=1e-6)


def test_moving_is_lazy(before):
    """Only the band that is looked at is read before something is asked."""
    off = later(1 / 3, -1 / 3)
    read = []

    def watched(block):
        read.append(1)
        return block

    red = dask.array.map_blocks(watched, off.chunk(80).red.data, meta=np.empty((0, 0), "float32"))
    (_, moved), _ = coregister([before, off.chunk(80).assign(red=(("y", "x"), red))])
    assert not read
    assert np.isfinite(moved.red.values).any()
    assert read


# ---- refusals


def test_more_than_a_pixel_is_refused(before):
    off = later(4 / 3, -2 / 3)
    with pytest.raises(GridError, match=r"scene 1 \(2010-08-25\) lies 1\.\d+ pixels off .*max_shift=2"):
        coregister([before, off])
    _, report = coregister([before, off], max_shift=2.0)
    np.testing.assert_allclose(found(report), [4 / 3, -2 / 3], atol=0.08)


@pytest.mark.parametrize("value", [0.3, np.nan])
def test_no_texture_is_refused(before, value):
    flat = before.map(lambda v: v * 0 + np.float32(value), keep_attrs=True)
    for pair in ([before, flat], [flat, before], [flat, flat.copy()]):
        with pytest.raises(GridError, match=r"0 of \d+ tiles show in 'nir' the ground"):
            coregister(pair)


def test_another_place_is_refused(before):
    other = before.copy(data={name: band.values[::-1, ::-1] for name, band in before.items()})
    with pytest.raises(GridError, match=r"scene 1 .* cannot be matched"):
        coregister([before, other])
    with pytest.raises(GridError, match=r"contradict each other|cannot be matched|pixels off"):
        coregister([before, other], min_agreement=0.0)


def test_refusals_say_what_to_do(before):
    off = later()
    with pytest.raises(GlacierlabError, match="a list of scenes or a cube"):
        coregister(before)
    with pytest.raises(GlacierlabError, match="got no scene"):
        coregister([])
    with pytest.raises(GlacierlabError, match="scene 1 is a cube"):
        coregister([before, off.expand_dims("time")])
    with pytest.raises(GlacierlabError, match="there are 2 scenes, 0 to 1"):
        coregister([before, off], reference=2)
    with pytest.raises(GlacierlabError, match="number of a scene"):
        coregister([before, off], reference="2010")
    with pytest.raises(MissingBandError, match="share"):
        coregister([before[["red"]], off[["nir"]]])
    with pytest.raises(MissingBandError, match="looks at swir22"):
        coregister([before, off], band="swir22")
    with pytest.raises(GridError, match="CRS"):
        coregister([before.drop_vars("spatial_ref"), off.drop_vars("spatial_ref")])
    with pytest.raises(GridError, match="does not overlap"):
        coregister([before, off.assign_coords(x=off.x + 1e5)])
    with pytest.raises(GridError, match="stable"):
        coregister([before, off], stable=before.nir.isel(y=slice(9)) > 0)
    with pytest.raises(GlacierlabError, match="tile=8"):
        coregister([before, off], tile=8)
    with pytest.raises(GlacierlabError, match="min_shift"):
        coregister([before, off], min_shift=2)
    with pytest.raises(GlacierlabError, match="min_agreement"):
        coregister([before, off], min_agreement=1.5)
    with pytest.raises(GlacierlabError, match="'yesterday' is no date"):
        coregister([before, off.assign_attrs(datetime="yesterday")])


# ---- tiles


@given(st.integers(1, 400), st.integers(1, 400), st.integers(16, 200), st.integers(3, 40))
def test_tiles_cover_a_scene_or_are_spread_over_it(height, width, side, most):
    tiles = tiles_of((height, width), side, most)
    seen = np.zeros((height, width), int)
    for rows, columns in tiles:
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
        seen[rows, columns] += 1
    assert len({(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiles}) == 1
    edge = tiles[0][0].stop - tiles[0][0].start
    if -(-height // edge) * -(-width // edge) <= most:
        assert (seen > 0).all()
    else:
        assert len(tiles) <= max(most, -(-max(height, width) // edge))


def test_outliers_do_not_count():
    """By hand: the median of 0.1, 0.2, 0.3 and two far ones is 0.2 once the far ones are out."""
    rows = np.array([[0.1, 0, 1], [0.2, 0, 1], [0.3, 0, 1], [9, 9, 1], [-7, 5, 1], [0.9, 0, 0.1]])
    shift = agreed(rows, 0.2)
    assert (shift.dy, shift.dx, shift.tiles, shift.offered) == (0.2, 0.0, 3, 6)
    assert shift.rmse == pytest.approx(np.sqrt((0.01 + 0 + 0.01) / 3))
    assert agreed(np.full((4, 3), np.nan), 0.2) is None


def test_a_tile_against_itself():
    values = np.random.default_rng(0).random((40, 50))
    np.testing.assert_allclose(tile_shift(values, values), [0, 0, 1], atol=1e-6)
    assert np.isnan(tile_shift(values[:10], values[:10])).all()
