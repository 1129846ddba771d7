"""composite: medians, medoids and the least snow of windows of time, and where each pixel is from."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import (
    DataWarning,
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    UnknownNameError,
)
from glacierlab.series import composite

BANDS = ("green", "nir", "swir16")
METHODS = ("median", "medoid", "least_snow")


def scene_of(date, values, **layers):
    """A scene of values (band, y, x) on pixels of 30 m, taken on a date."""
    values = np.asarray(values, "float32")
    _, height, width = values.shape
    coords = {"y": 5e6 - 30 * (np.arange(height) + 0.5), "x": 5e5 + 30 * (np.arange(width) + 0.5)}
    bands = {
        name: (("y", "x"), band, {"units": "1"})
        for name, band in zip(BANDS[: len(values)], values, strict=True)
    }
    layers = {name: (("y", "x"), *layer) for name, layer in layers.items()}
    attrs = {"datetime": date, "radiometry": "sr", "sensor": "landsat_oli"}
    return xr.Dataset(bands | layers, coords, attrs).rio.write_crs("EPSG:32645")


def random_scenes(count=5, shape=(12, 14), holes=0.3, seed=0):
    """Scenes of one July after the other, each with holes of its own."""
    rng = np.random.default_rng(seed)
    scenes = []
    for number in range(count):
        values = rng.uniform(0.05, 0.9, (3, *shape))
        values[:, rng.random(shape) < holes] = np.nan
        scenes.append(scene_of(f"{2001 + number}-07-15T04:30:00Z", values))
    return scenes


def stacked(scenes):
    return np.stack([[scene[name].values for name in BANDS] for scene in scenes])


def pixels(*dates, **layers):
    """Scenes of one row: each date is (date, [spectrum of each pixel])."""
    return [scene_of(date, np.array(spectra).T[:, None], **layers) for date, spectra in dates]


def day(text):
    return np.datetime64(text, "ns")


def dates_in(found):
    """`source_date` as datetimes, by xarray's own reading of CF."""
    return xr.decode_cf(found).source_date


# ---- methods


def test_the_median_is_numpys():
    scenes = random_scenes()
    found = composite(scenes, window=None)
    assert found.nir.dims == ("time", "y", "x")
    assert found.nir.dtype == np.float32
    values = stacked(scenes)
    hidden = np.isnan(values).all(axis=(0, 1))
    expected = np.full(values.shape[1:], np.nan)
    expected[:, ~hidden] = np.nanmedian(values[:, :, ~hidden], axis=0)
    for number, name in enumerate(BANDS):
        np.testing.assert_array_equal(found[name][0], expected[number].astype("float32"))
    np.testing.assert_array_equal(found.observations[0], np.isfinite(values[:, 0]).sum(axis=0))


def test_the_medoid_by_hand():
    """Flood 2013, eq. 1. On a line 0, 0.1, 0.3, 0.7: sums 1.1, 0.9, 0.9, 1.7; the earlier of two."""
    line = [[0.0, 0.2, 0.2], [0.1, 0.2, 0.2], [0.3, 0.2, 0.2], [0.7, 0.2, 0.2]]
    corner = [[0.0, 0.0, 0.0], [0.3, 0.4, 0.0], [0.6, 0.8, 0.0], [0.3, 0.4, 0.1]]  # sums 2.0, 1.1, 2.0, 1.1+
    years = ["2001-08-01", "2002-08-01", "2003-08-01", "2003-09-01"]
    scenes = pixels(*((year, [a, b]) for year, a, b in zip(years, line, corner, strict=True)))
    found = composite(scenes, method="medoid")
    np.testing.assert_array_equal(dates_in(found)[0, 0], [day("2002-08-01")] * 2)
    np.testing.assert_allclose(found.green[0, 0], [0.1, 0.3], rtol=1e-6)


@given(st.integers(0, 1000), st.integers(1, 6))
def test_a_medoid_is_one_of_the_dates_and_none_is_nearer(seed, count):
    scenes = random_scenes(count, (3, 4), seed=seed)
    found = composite(scenes, window=None, method="medoid")
    values = stacked(scenes).astype(float)
    for y, x in np.ndindex(3, 4):
        seen = [v for v in values[:, :, y, x] if np.isfinite(v).all()]
        own = np.array([float(found[name][0, y, x]) for name in BANDS])
        if not seen:
            assert np.isnan(own).all()
            continue
        sums = [sum(np.linalg.norm(a - b) for b in seen) for a in seen]
        mine = [total for a, total in zip(seen, sums, strict=True) if np.array_equal(a, own)]
        assert mine
        assert mine[0] == pytest.approx(min(sums), abs=1e-5)


def test_the_thermal_band_does_not_choose():
    """Kelvin would outweigh every reflectance."""
    years = ["2001-08-01", "2002-08-01", "2003-08-01"]
    spectra = [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.9, 0.9, 0.9]]
    scenes = pixels(*((year, [own]) for year, own in zip(years, spectra, strict=True)))
    heat = [np.full((1, 1), kelvin, "float32") for kelvin in (280, 250, 281)]
    scenes = [s.assign(lwir11=(("y", "x"), h, {"units": "K"})) for s, h in zip(scenes, heat, strict=True)]
    found = composite(scenes, method="medoid")
    assert found.green.item() == pytest.approx(0.2)
    assert found.lwir11.item() == 250


def test_the_least_snow_by_hand():
    """NDSI (green - swir16) / (green + swir16): 0.8, 0.0, -0.2; undefined where both are 0 or below."""
    spectra = [[0.9, 0.8, 0.1], [0.2, 0.3, 0.2], [0.2, 0.3, 0.3], [-0.1, 0.3, -0.1]]
    dates = ["2001-06-01", "2001-07-01", "2001-08-01", "2001-09-01"]
    scenes = pixels(*((date, [own]) for date, own in zip(dates, spectra, strict=True)))
    found = composite(scenes, method="least_snow")
    assert dates_in(found).values == day("2001-08-01")
    assert found.swir16.item() == pytest.approx(0.3)
    assert composite(scenes[3:], method="least_snow").nir.item() == pytest.approx(0.3)


def test_late_summer_wins_by_the_least_snow():
    world = gl.synthetic_world(seed=2, years=[2010], shape=(80, 80))
    early, late = (
        world.scene(2010, date, snowline_m=line) for date, line in (("06-20", 2300), ("09-01", 3200))
    )
    found = composite([early, late], method="least_snow")
    snow = {
        date: world.truth(2010, date, snowline_m=line).snow
        for date, line in (("06-20", 2300), ("09-01", 3200))
    }
    melted = ((snow["06-20"] > 0.9) & (snow["09-01"] < 0.05) & (late.truth == 0)).values
    assert melted.sum() > 200
    assert (dates_in(found)[0].dt.month.values[melted] == 9).mean() > 0.95


# ---- laws


@pytest.mark.parametrize("method", METHODS)
def test_identical_scenes_give_that_scene(method):
    (scene,) = random_scenes(1)
    scenes = [scene.assign_attrs(datetime=f"2001-0{month}-01") for month in (6, 7, 8)]
    found = composite(scenes, method=method)
    for name in BANDS:
        np.testing.assert_array_equal(found[name][0], scene[name])
    assert (found.observations.isel(time=0) == 3 * scene.nir.notnull()).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reference", [None, 2])
def test_order_does_not_matter(method, reference):
    scenes = random_scenes(6)
    found = composite(scenes, method=method, reference=reference)
    order = [4, 2, 0, 5, 3, 1]
    turned = [scenes[number] for number in order]
    other = None if reference is None else order.index(reference)
    xr.testing.assert_identical(composite(turned, method=method, reference=other), found)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=6)
@given(st.tuples(*[st.integers(3, 14)] * 4))
def test_no_chunk_changes_anything(method, sizes):
    scenes = random_scenes(4)
    eager = composite(scenes, method=method, reference=1)
    chunked = [
        scenes[0].chunk(y=sizes[0], x=sizes[1]),
        *(s.chunk(y=sizes[2], x=sizes[3]) for s in scenes[1:]),
    ]
    lazy = composite(chunked, method=method, reference=1)
    assert dask.is_dask_collection(lazy.source_date)
    xr.testing.assert_identical(lazy.compute(), eager)


def test_nothing_is_computed_before_it_is_asked():
    def never(block):
        raise AssertionError("computed")

    scenes = [
        s.chunk(5).map(lambda v: v.copy(data=v.data.map_blocks(never, meta=np.empty((0, 0), "float32"))))
        for s in random_scenes(3)
    ]
    scenes = [s.assign_attrs(datetime=f"200{n}-01-01", radiometry="sr") for n, s in enumerate(scenes)]
    for method in METHODS:
        composite(scenes, method=method)


# ---- where pixels are from


def test_gaps_of_landsat_7_are_filled_from_other_dates():
    """The main picture keeps its pixels; what no date saw is NaN, and 255 in a map."""
    world = gl.synthetic_world(seed=4, years=[2004, 2005], shape=(96, 96))
    main = world.scene(2004, "09-10", "landsat-7", gaps=True)
    other = world.scene(2005, "08-12", "landsat-7", gaps=True)
    nobody = np.zeros(main.red.shape, bool)
    nobody[:5, :7] = True
    scenes = [s.where(~xr.DataArray(nobody, dims=("y", "x"))).assign_attrs(s.attrs) for s in (other, main)]
    scenes = [s.drop_vars("truth") for s in scenes]
    found = composite(scenes, reference=1)
    ours, theirs = (np.isfinite(s.red.values) for s in scenes[::-1])
    assert (theirs & ~ours).sum() > 300
    year = dates_in(found)[0].dt.year.values
    assert (year[ours] == 2004).all()
    assert (year[theirs & ~ours] == 2005).all()
    assert np.isnan(year[~(ours | theirs)]).all()
    np.testing.assert_array_equal(found.red[0].values[ours], main.red.values[ours])
    np.testing.assert_array_equal(found.red[0].values[theirs & ~ours], other.red.values[theirs & ~ours])
    assert np.isnan(found.red[0].values[~(ours | theirs)]).all()
    codes = gl.map_glaciers(found.isel(time=0)).class_map.values
    np.testing.assert_array_equal(codes == 255, ~(ours | theirs))
    np.testing.assert_array_equal(found.elevation, scenes[0].elevation)


def test_a_median_of_several_dates_has_no_date():
    scenes = pixels(
        ("2001-08-01", [[0.1] * 3, [0.1] * 3, [np.nan] * 3]),
        ("2002-08-01", [[0.3] * 3, [np.nan] * 3, [np.nan] * 3]),
    )
    found = composite(scenes)
    assert np.isnan(found.source_date[0, 0].values).tolist() == [True, False, True]
    assert dates_in(found)[0, 0, 1] == day("2001-08-01")
    assert found.observations[0, 0].values.tolist() == [2, 1, 0]
    np.testing.assert_allclose(found.green[0, 0], [0.2, 0.1, np.nan], rtol=1e-6)


def test_a_pixel_counts_where_all_of_its_bands_do():
    scenes = pixels(("2001-08-01", [[0.1, 0.1, np.nan]]), ("2002-08-01", [[0.3, 0.3, 0.3]]))
    assert composite(scenes).green.item() == pytest.approx(0.3)


# ---- clouds


def flagged(date, spectra, codes, native="qa_pixel"):
    return pixels((date, spectra), qa=(np.array([codes], "uint16"), {"native": native}))[0]


def test_clouds_are_left_out_and_bright_ice_is_not():
    cloud, clear = 1 << 3, 1 << 6
    ice, white, rock = [0.8, 0.7, 0.03], [0.8, 0.8, 0.6], [0.2, 0.3, 0.3]
    scenes = [
        flagged("2001-08-01", [white, ice], [cloud, cloud]),
        flagged("2002-08-01", [rock, ice], [clear, clear]),
    ]
    found = composite(scenes)
    assert found.observations[0, 0].values.tolist() == [1, 2]
    assert found.green.values[0, 0, 0] == pytest.approx(0.2)
    assert "qa" not in found
    strict = composite(scenes, keep_ice=False)
    assert strict.observations[0, 0].values.tolist() == [1, 1]
    with pytest.warns(DataWarning, match="not won back"):
        composite([scene.drop_vars("green") for scene in scenes])


def test_a_wholly_clouded_date_changes_nothing():
    scenes = random_scenes(3)
    cloudy = scenes[0].assign_attrs(datetime="2002-01-01")
    cloudy["qa"] = (("y", "x"), np.full(cloudy.nir.shape, 8, "uint16"), {"native": "scl"})
    for method in METHODS:
        with pytest.warns(DataWarning, match=r"Scenes \[0, 1, 2\] have no `qa` layer.*count as ground"):
            found = composite([*scenes, cloudy], method=method, keep_ice=False)
        xr.testing.assert_identical(found, composite(scenes, method=method))


# ---- windows

CHEN = [  # Chen et al. 2022, the twelve periods of table V(a)
    "1986-1988", "1989-1991", "1992-1994", "1995-1997", "1998-2000", "2001-2003", "2004-2006", "2007-2009",
    "2010-2012", "2013-2015", "2016-2018", "2019-2021",
]  # fmt: skip


def dated(*dates):
    return [scene_of(date, np.full((3, 1, 1), number / 10)) for number, date in enumerate(dates)]


@pytest.mark.parametrize("window", ["3Y", "3YS", pd.offsets.YearBegin(3)])
def test_windows_are_chens(window):
    found = composite(dated(*(f"{year}-08-20" for year in range(1986, 2022))), window=window)
    first, after = pd.to_datetime(found.time_bounds.values.ravel()).year.values.reshape(-1, 2).T
    assert [f"{a}-{b - 1}" for a, b in zip(first, after, strict=True)] == CHEN
    np.testing.assert_array_equal(found.time, found.time_bounds[:, 0])
    assert (found.observations == 3).all()
    assert found.time.attrs["bounds"] == "time_bounds"


def test_windows_without_scenes_are_left_out():
    found = composite(dated("2000-12-31", "2001-01-01", "2009-07-01"), window="Y")
    assert found.time.dt.year.values.tolist() == [2000, 2001, 2009]
    np.testing.assert_allclose(found.nir.values.ravel(), [0, 0.1, 0.2], rtol=1e-6)


def test_hydrological_years_and_edges():
    scenes = dated("2000-09-30T23:00:00Z", "2000-10-01", "2001-09-30")
    found = composite(scenes, window="YS-OCT")
    assert found.time.values.tolist() == [int(day("1999-10-01")), int(day("2000-10-01"))]
    assert found.observations.values.ravel().tolist() == [1, 2]
    edges = composite(
        scenes, window=["2000-10-01", "2001-09-30", "2005-01-01"]
    )  # the first scene lies before
    assert edges.observations.values.ravel().tolist() == [1, 1]
    assert composite(scenes, window=None).observations.item() == 3


def test_a_main_picture_for_each_window():
    scenes = dated("2000-07-01", "2001-07-01", "2003-07-01", "2004-07-01")
    found = composite(scenes, reference=[1, 3])
    assert dates_in(found).dt.year.values.ravel().tolist() == [2001, 2004]
    with pytest.raises(GlacierlabError, match=r"2 main pictures, scenes \[0, 1\]"):
        composite(scenes, reference=[0, 1])


def test_a_cube_and_its_scenes_agree():
    scenes = random_scenes(4)
    times = [day(scene.attrs["datetime"][:19]) for scene in scenes]
    cube = xr.concat(scenes, "time", combine_attrs="drop_conflicts").assign_coords(time=times)
    found = composite(cube, method="medoid")
    xr.testing.assert_identical(found, composite(scenes, method="medoid"))
    cube["slope"] = (("y", "x"), np.ones((12, 14), "float32"))
    assert composite(cube).slope.dims == ("y", "x")


def test_a_composite_is_a_cube_that_files_keep(tmp_path):
    found = composite(random_scenes(5), method="medoid")
    assert found.rio.crs.to_epsg() == 32645
    assert found.attrs == {"radiometry": "sr", "sensor": "landsat_oli", "composite": "medoid"}
    found.to_netcdf(tmp_path / "years.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "years.nc", engine="h5netcdf", decode_coords="all") as again:
        np.testing.assert_array_equal(again.source_date, dates_in(found))
        np.testing.assert_array_equal(again.time_bounds, found.time_bounds)


# ---- refusals


def test_scenes_that_do_not_compare_are_told():
    one, two = random_scenes(2)
    with pytest.warns(DataWarning, match="landsat_etm, landsat_oli: a composite does not adjust"):
        composite([one, two.assign_attrs(sensor="landsat_etm")])


def test_years_are_no_dates():
    """pandas would take 2010 for nanoseconds after 1970."""
    scenes = random_scenes(2)
    cube = xr.concat(scenes, "time", combine_attrs="drop_conflicts").assign_coords(time=[2010, 2011])
    with pytest.raises(GlacierlabError, match=r"2010 is a number.*pd.to_datetime"):
        composite(cube)
    mended = cube.assign_coords(time=pd.to_datetime(cube.time.values.astype(str)))  # as it says
    assert composite(mended, window=None).attrs["datetime"] == "2010-01-01T00:00:00"
    with pytest.raises(GlacierlabError, match="2001 is a number"):
        composite([scenes[0].assign_attrs(datetime=2001)])


def test_refusals_say_what_to_do():
    scenes = random_scenes(3)
    with pytest.raises(GlacierlabError, match=r"scenes \[1\] have none"):
        composite([scenes[0], scenes[1].assign_attrs(datetime=None)])
    with pytest.raises(GlacierlabError, match="list of scenes or a cube"):
        composite(scenes[0])
    with pytest.raises(UnknownNameError, match="Did you mean 'median'"):
        composite(scenes, method="medain")
    for window in ("3 years", "3YE", "-1YS", 3, ["2001-01-01"], ["2002", "2001"]):
        with pytest.raises(GlacierlabError, match="window="):
            composite(scenes, window=window)
    with pytest.raises(GlacierlabError, match="holds none of the 3 scenes"):
        composite(scenes, window=["1990", "1993"])
    with pytest.raises(GlacierlabError, match="0 to 2"):
        composite(scenes, reference=3)
    with pytest.raises(GlacierlabError, match="0 to 2"):
        composite(scenes, reference="2001-07-15")
    with pytest.raises(GridError, match="scene 1"):
        composite([scenes[0], scenes[1].assign_coords(x=scenes[1].x + 15)])
    with pytest.raises(GridError, match="EPSG:32644"):
        composite([scenes[0], scenes[1].rio.write_crs("EPSG:32644")])
    with pytest.raises(RadiometryError, match="mixes no radiometries"):
        composite([scenes[0], scenes[1].assign_attrs(radiometry="toa")])
    with pytest.raises(MissingBandError, match="share no band"):
        composite([scenes[0][["nir"]], scenes[1][["green"]]])
    with pytest.raises(MissingBandError, match="ndsi"):
        composite([scene[["nir"]] for scene in scenes], method="least_snow")
