"""Worlds: areas that are exact, truth that agrees with itself and with what the sensor sees."""

import copy
import pickle
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Proj
from scipy import ndimage
from worlds import BACKGROUND, CLEAN, DEBRIS, classes, faces_north, world_of

import glacierlab as gl
from glacierlab.errors import GlacierlabError, SceneError
from glacierlab.synthetic import synthetic_world

TWELVE = tuple(range(1965, 2024, 5))
WINTER = "01-15"


def twelve(seed):
    return world_of(seed, TWELVE, (128, 160))


@lru_cache
def outlines(seed):
    return {year: twelve(seed).outlines(year) for year in TWELVE}


# ---- areas ----


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_twelve_dates_have_twelve_exact_areas(seed):
    world, table = twelve(seed), twelve(seed).areas().set_index(["year", "glacier_id"]).area_km2
    for year, found in outlines(seed).items():
        truth = world.truth(year)
        share, number = (
            truth.glacier_fraction.values.astype(float).ravel(),
            truth["glacier_id"].values.ravel(),
        )
        assert found.area.sum() == pytest.approx(share.sum() * 30**2, rel=1e-6)
        each = np.bincount(number, share, minlength=found.glacier_id.max() + 1) * 30**2
        np.testing.assert_allclose(found.area, each[found.glacier_id], rtol=1e-6)
        assert each.sum() == pytest.approx(found.area.sum())  # no ice without a number
        middle = found.representative_point().to_crs(4326)
        scale = Proj(found.crs).get_factors(middle.x.to_numpy(), middle.y.to_numpy()).areal_scale
        np.testing.assert_allclose(found.area_km2 * 1e6, found.area / scale, rtol=1e-4)
        in_table = table[year]
        np.testing.assert_allclose(in_table[found.glacier_id], found.area_km2, rtol=1e-12)
        assert in_table.sum() == pytest.approx(found.area_km2.sum())
    total = table.groupby("year").sum()
    assert list(total.index) == list(TWELVE)
    assert (np.diff(total) < 0).all()


def test_ice_answers_to_the_equilibrium_line():
    rises = (-40.0, -5.0, 0.0, 5.0, 15.0)
    areas = [world_of(0, (2000, 2030), (96, 96), ela_rise_m_a=rise).areas() for rise in rises]
    first, last = (np.array([table[table.year == y].area_km2.sum() for table in areas]) for y in (2000, 2030))
    assert np.ptp(first) < 1e-9  # the rise begins in 2000
    assert (np.diff(last) < 0).all()
    assert last[0] > first[0] > last[-1]


def test_a_year_without_ice_has_no_area():
    world = synthetic_world(0, (2000, 2400), (64, 64), ela_rise_m_a=50.0)
    assert len(world.outlines(2400)) == 0
    areas = world.areas()
    assert sorted(areas.year.unique()) == [2000, 2400]
    assert (areas[areas.year == 2400].area_km2 == 0).all()
    with pytest.raises(SceneError, match="No glacier lies in this picture in 2400"):
        world.scene(2400)


def test_a_year_does_not_know_the_others():
    alone, among = world_of(1, (2013,)), world_of(1, (1905, 1990, 2011, 2013, 2030))
    xr.testing.assert_identical(alone.truth(2013), among.truth(2013))
    xr.testing.assert_identical(alone.scene(2013, clouds=0.1), among.scene(2013, clouds=0.1))
    assert alone.outlines().equals(among.outlines(2013))


# ---- outlines ----


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_outlines_are_an_inventory(seed):
    world, by_year = twelve(seed), outlines(seed)
    named = by_year[2000]
    assert named.glacier_id.corr(named.area, method="spearman") < -0.9  # about by size
    assert named.glacier_id.iloc[0] == 1
    for year, found in by_year.items():
        assert found.crs.to_epsg() == 32645
        assert found.geometry.is_valid.all()
        assert set(found.geom_type) <= {"Polygon", "MultiPolygon"}
        assert (found.year == year).all()
        assert found.glacier_id.is_unique
        assert found.union_all().area == pytest.approx(found.area.sum(), rel=1e-9)  # none lies over another
        west, south, east, north = world.truth(year).rio.bounds()
        assert shapely.box(west, south, east, north).covers(found.union_all())
    for earlier, later in pairwise(by_year.values()):
        assert set(later.glacier_id) <= set(earlier.glacier_id)
        gained = later.union_all().difference(earlier.union_all()).area
        assert gained < 0.003 * later.area.sum()  # all but the toe that thickens on its way down


@pytest.mark.parametrize("seed", [0, 3])
def test_numbers_stay_where_they_are(seed):
    world = twelve(seed)
    first, last = (world.truth(year) for year in (TWELVE[0], TWELVE[-1]))
    both = (first.glacier_fraction > 0) & (last.glacier_fraction > 0)
    np.testing.assert_array_equal(first["glacier_id"].values[both], last["glacier_id"].values[both])
    for truth in (first, last):
        np.testing.assert_array_equal(truth["glacier_id"] > 0, truth.glacier_fraction > 0)


def test_neighbors_share_a_divide_that_is_high():
    rises, step = [], 5  # pixels to either side of the divide
    for seed in (1, 3, 4):
        world = world_of(seed, (1950,), (256, 256))
        found = world.outlines()
        shared = [a.intersection(b).length for a, b in combinations(found.geometry, 2)]
        assert sum(length > 100 for length in shared) >= 2
        truth = world.truth()
        height = ndimage.gaussian_filter(truth.elevation.values, 2)  # less the waves of its surface
        fields = truth["glacier_id"].values, height, truth.glacier_fraction.values == 1
        for number, height, ice in (fields, [field.T for field in fields]):
            divide = (number[:-1] != number[1:]) & ice[:-1] & ice[1:]
            y, x = np.nonzero(divide[step:-step])
            y += step
            both = ice[y - step, x] & ice[y + step, x] & (number[y + step, x] == number[y + 1, x])
            rises.append((height[y, x] - (height[y - step, x] + height[y + step, x]) / 2)[both])
    rises = np.concatenate(rises)
    assert rises.size > 30
    assert np.median(rises) > 1  # [m]; a border drawn anywhere on the ice would not stand out


def test_outlines_lie_on_the_pixels_whose_share_they_are():
    world = world_of(2, (2020,), (64, 80))
    truth, ice = world.truth(), world.outlines().union_all()
    x, y = np.meshgrid(truth.x, truth.y)
    boxes = shapely.box(x - 15, y - 15, x + 15, y + 15)
    shapely.prepare(ice)
    share = shapely.area(shapely.intersection(boxes, ice)) / 30**2
    np.testing.assert_allclose(truth.glacier_fraction, share, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_pixels_have_the_area_of_the_outlines_to_the_mixing_limit(seed):
    """A pixel is one class: it errs by up to half of itself along the border, this way and that."""
    world = world_of(seed)
    truth, exact = world.truth(), world.outlines()
    found = gl.vectorize(truth.class_map, classes=["clean_ice", "debris_covered_ice"])
    ponds = truth.glacier_fraction - truth.fraction.sel({"class": ["clean_ice", "debris_covered_ice"]}).sum(
        "class"
    )
    pond_area = float(ponds.sum()) * 30**2
    border = exact.union_all().length
    assert abs(found.area.sum() + pond_area - exact.area.sum()) < 0.03 * border * 30


# ---- truth ----


@pytest.mark.parametrize("year", [1990, 2020])
def test_truth_agrees_with_itself(year):
    truth, scene = world_of(1).truth(year), world_of(1).scene(year)
    share = truth.fraction.values
    assert share.dtype == "float32"
    assert share.min() >= 0
    np.testing.assert_allclose(share.sum(axis=0), 1, atol=1e-6)
    chosen = np.take_along_axis(share, classes(truth)[None].astype(int), axis=0)[0]
    np.testing.assert_array_equal(chosen, share.max(axis=0))
    assert list(truth["class"].values) == truth.class_map.attrs["flag_meanings"].split()
    np.testing.assert_array_equal(truth.class_map, scene.truth)
    np.testing.assert_array_equal(truth.elevation, scene.elevation)
    for coordinate in ("x", "y"):
        np.testing.assert_array_equal(truth[coordinate], scene[coordinate])
    assert truth.rio.crs == scene.rio.crs
    ice = share[CLEAN] + share[DEBRIS]
    assert (ice <= truth.glacier_fraction.values + 1e-6).all()  # lakes on the ice lie within outlines
    assert (truth.ice_thickness.values[truth.glacier_fraction.values == 0] == 0).all()
    assert truth.ice_thickness.values[truth.glacier_fraction.values == 1].min() >= 0
    assert truth.attrs["datetime"] == scene.attrs["datetime"]
    flags = ("shadow", "cloud", "thin_cloud", "fog", "cloud_shadow")
    assert all(truth[name].dtype == bool for name in flags)
    assert not any(truth[name].any() for name in flags[1:])


@pytest.mark.parametrize("seed", range(4))
def test_debris_thickens_down_the_glaciers(seed):
    truth = world_of(seed).truth(1990)
    inside = truth.glacier_fraction.values == 1
    height, thickness = truth.elevation.values[inside], truth.debris_thickness.values[inside]
    edges = np.quantile(height, np.linspace(0, 1, 6))
    bands = np.digitize(height, edges[1:-1])
    means = [thickness[bands == k].mean() for k in range(5)]
    assert means[0] > 0.02
    assert (np.diff(means) <= 0.2 * means[0]).all()  # the lowest ice is of the lowest glaciers alone
    assert means[-1] < 0.001  # above the equilibrium line snow buries it
    assert (truth.debris_thickness.values[truth.glacier_fraction.values == 0] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_debris_is_medial_and_keeps_its_share(seed):
    world, shares = world_of(seed, (1990, 2005, 2020), (256, 256)), []
    for year in world.years:
        truth = world.truth(year)
        ice = np.isin(classes(truth), (CLEAN, DEBRIS))
        shares.append((classes(truth) == DEBRIS).sum() / ice.sum())
    assert 0.08 < shares[0] < 0.14
    assert all(0.6 < share / shares[0] < 1.8 for share in shares)
    to_rim = ndimage.distance_transform_edt(truth.glacier_fraction.values > 0.5)
    buried = classes(truth) == DEBRIS
    assert np.mean(to_rim[buried] > 4) > 0.2  # out on the ice
    assert np.mean(to_rim[buried] <= 3) > 0.03  # and along its rims


def test_lakes_are_level_and_grow_as_ice_leaves():
    area, lakes, ponds = {}, [], 0.0
    for seed in range(4):
        world = world_of(seed, (1990, 2005, 2020), (256, 256))
        for year in world.years:
            truth = world.truth(year)
            height = truth.elevation.values
            bare = truth.fraction.sel({"class": ["clean_ice", "debris_covered_ice"]}).sum("class").values
            pond = truth.glacier_fraction.values - bare
            beside = truth.fraction.sel({"class": "glacial_lake"}).values - pond
            assert beside.min() > -1e-6
            area[year] = area.get(year, 0.0) + beside.sum()
            labels, count = ndimage.label(beside > 0.99)
            lakes += [height[labels == lake] for lake in range(1, count + 1)]
            # ponds lie where debris hides the ice
            assert (truth.debris_thickness.values[pond > 0] > 0.06).all()
            ponds += pond.sum()
    assert area[1990] < area[2005] < area[2020]
    assert len(lakes) > 10
    assert max(np.ptp(lake) for lake in lakes) < 0.01
    assert np.ptp([lake[0] for lake in lakes]) > 50
    assert ponds > 10


# ---- snow ----


def snow(world, **view):
    return world.truth(**view).snow.values


def test_more_snow_lies_higher_up():
    truth = world_of(1, shape=(256, 256)).truth()
    height = truth.elevation.values
    gentle = np.hypot(*np.gradient(height, 30)) < 0.4  # walls shed theirs
    bands = np.digitize(height, np.quantile(height[gentle], np.linspace(0, 1, 9)[1:-1]))
    means = [truth.snow.values[gentle & (bands == k)].mean() for k in range(8)]
    assert (np.diff(means[:-1]) > -0.01).all()  # the highest are crests, that winds sweep
    assert means[0] < 0.02
    assert means[-1] > 0.3


@given(line=st.floats(3500, 6500), higher=st.floats(0, 800))
@settings(max_examples=12)
def test_a_lower_snow_line_means_more_snow_everywhere(line, higher):
    world = world_of(2, (2020,), (64, 64))
    assert (snow(world, snowline_m=line) >= snow(world, snowline_m=line + higher) - 1e-5).all()


@pytest.mark.parametrize(
    ("latitude", "winter", "summer", "epsg"), [(28, WINTER, "09-15", 32645), (-40, "07-15", "03-15", 32745)]
)
def test_seasons_are_those_of_the_hemisphere(latitude, winter, summer, epsg):
    world = world_of(3, (2020,), (128, 128), latitude=float(latitude))
    scene = world.scene()
    assert scene.rio.crs.to_epsg() == epsg
    assert (float(scene.y.mean()) > 5e6) == (latitude < 0)  # the south counts from 10,000 km
    most, least = snow(world, date=winter), snow(world, date=summer)
    assert (most >= least - 1e-5).all()
    assert most.mean() > 2 * least.mean()


def test_shady_slopes_keep_ice_and_snow():
    """The same mountains either side of the equator: what faces north is shady in one, sunny in the other."""
    kept = {}
    for latitude in (35.0, -35.0):
        for seed in range(4):
            truth = world_of(seed, (2020,), (160, 160), latitude=latitude).truth(snowline_m=2800)
            height = truth.elevation.values
            north = faces_north(height, 30)
            band = (height > np.quantile(height, 0.4)) & (height < np.quantile(height, 0.9))
            for name in ("glacier_fraction", "snow"):
                sides = [truth[name].values[band & (side > 0.1) & (side < 0.6)] for side in (north, -north)]
                kept.setdefault((name, latitude), []).append(sides[0].mean() - sides[1].mean())
    for name in ("glacier_fraction", "snow"):
        assert np.mean(kept[name, 35.0]) > np.mean(kept[name, -35.0]) + 0.01


# ---- the same world ----


def test_order_of_calls_changes_nothing():
    make = lambda: synthetic_world(4, (1990, 2000, 2020), (96, 110))
    one, other = make(), make()
    one.areas()
    late, early, truth = one.scene(), one.scene(1990), one.truth(2000, clouds=0.1)
    radar = one.radar(2000)
    xr.testing.assert_identical(other.truth(2000, clouds=0.1), truth)
    xr.testing.assert_identical(other.radar(2000), radar)
    xr.testing.assert_identical(other.scene(1990), early)
    other.scene(1990, sensor="sentinel-2", date=WINTER)
    xr.testing.assert_identical(other.scene(), late)
    assert one.areas().equals(other.areas())
    assert one == other
    assert hash(one) == hash(other)
    for twin in (pickle.loads(pickle.dumps(one)), pickle.loads(pickle.dumps(make())), copy.deepcopy(one)):
        xr.testing.assert_identical(twin.scene(), late)


def test_what_comes_back_is_the_callers_own():
    world = world_of(5, (2020,), (64, 64))
    truth, scene = world.truth(), world.scene()
    kept = truth.copy(deep=True), scene.copy(deep=True)
    for data in (truth, scene):
        for values in data.data_vars.values():
            if values.ndim >= 2:
                values.values[:] = 0
    xr.testing.assert_identical(world.truth(), kept[0])
    xr.testing.assert_identical(world.scene(), kept[1])


# ---- bad input ----


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"years": ()}, "at least one"),
        ({"years": (2020, 2010)}, "ascending"),
        ({"years": (2000, 2000)}, "distinct"),
        ({"years": (2000.5,)}, "whole"),
        ({"years": (float("nan"),)}, "whole"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"shape": (47, 400)}, r"shape=\(47, 400\) is no two whole numbers of 48 or more"),
        ({"shape": (64.5, 64)}, "shape="),
        ({"shape": (400,)}, "rows and columns"),
        ({"shape": 400}, "rows and columns"),
        ({"years": (1850, 2000)}, "begins in 1900"),
        ({"pixel_size_m": 0}, "pixel_size_m=0"),
        ({"pixel_size_m": float("inf")}, "pixel_size_m=inf"),
        ({"latitude": 81}, "latitude=81"),
        ({"latitude": float("nan")}, "latitude=nan"),
        ({"ela_m": float("inf")}, "ela_m=inf"),
        ({"ela_rise_m_a": float("nan")}, "ela_rise_m_a=nan"),
    ],
)
def test_no_such_world(what, message):
    with pytest.raises(SceneError, match=message):
        synthetic_world(**what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"year": 1995}, r"no year 1995; it has \[1990, 2020\]"),
        ({"date": "02-30"}, "date='02-30' is no day of 2020"),
        ({"date": "15-09"}, "is no day"),
        ({"date": ""}, "is no day"),
        ({"date": "9"}, "is no day"),
        ({"date": "2020-09-15"}, "is no day"),
        ({"weather": -1}, "weather=-1"),
        ({"clouds": 1.2}, "clouds=1.2"),
        ({"haze": -1}, "haze=-1"),
        ({"snowline_m": float("nan")}, "snowline_m=nan"),
        ({"cloud": 0.1}, "Unknown option of a view 'cloud'. Did you mean 'clouds'"),
    ],
)
def test_no_such_view(what, message):
    with pytest.raises(GlacierlabError, match=message):
        world_of(1).scene(**what)


def test_polar_night_is_no_time_for_pictures():
    world = synthetic_world(1, (2020,), (64, 64), latitude=75)
    assert 0 < world.scene().attrs["sun_elevation"] < 30
    with pytest.raises(GlacierlabError, match=r"^(?!haze).*sun"):
        world.scene(date=WINTER)


def test_seeds_lie_in_places_of_their_own():
    grounds = [shapely.Point(synthetic_world(seed)._corner).buffer(10_000) for seed in range(40)]
    pairs = shapely.STRtree(grounds).query(grounds, predicate="intersects")
    assert pairs.shape[1] == len(grounds)  # each meets itself alone, as wide as 20 km
    ids = [set(world_of(seed).outlines(2020).glac_id) for seed in range(2)]
    assert not ids[0] & ids[1]


def test_heights_and_place_are_what_was_asked():
    world = world_of(1, (2020,), (96, 96), ela_m=3000.0, latitude=46.0)
    scene, truth = world.scene(), world.truth()
    x, y = float(scene.x.mean()), float(scene.y.mean())
    assert abs(x - 500_000) < 200_000
    assert abs(y - 5_093_992) < 100_000  # 46° on WGS84 by Snyder's meridian arc times 0.9996
    ice = truth.glacier_fraction.values > 0.5
    assert truth.elevation.values[ice].min() < 3000 < truth.elevation.values[ice].max()
    same = world_of(1, (2020,), (96, 96), ela_m=2900.0, latitude=46.0).truth()
    np.testing.assert_allclose(truth.elevation - same.elevation, 100, atol=0.01)
    np.testing.assert_array_equal(same.class_map, truth.class_map)
    np.testing.assert_array_equal(classes(truth) == BACKGROUND, truth.class_map == BACKGROUND)
