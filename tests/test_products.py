"""Lakes beside ice and debris on it: hand-measured shapes, and made worlds whose truth is known."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from inventories import UTM, X, Y, dem
from pyproj import Geod
from worlds import world_of

import glacierlab as gl
from glacierlab.errors import DataWarning, GridError, InventoryError, UnknownNameError
from glacierlab.io.layers import geodesic_area_km2

lakes, debris = gl.outlines.lakes, gl.outlines.debris


def box(x, y, width, height):
    return shapely.box(X + x, Y + y, X + x + width, Y + y + height)


def table(*shapes, crs=UTM, **columns):
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


ICE = table(box(0, 0, 1000, 1000), box(2000, 0, 1000, 1000), rgi_id=["west", "east"])
WATER = table(box(1000, 0, 200, 500), box(1400, 100, 200, 200), box(2000, 1025, 100, 100))
CODES = {"background": 0, "clean_ice": 1, "debris_covered_ice": 2, "glacial_lake": 3}


def class_map(codes, pixel=100.0):
    """A class map (y, x) whose lower left corner is that of the outlines, north up."""
    codes = np.asarray(codes, "uint8")[::-1]
    y, x = (
        (Y + pixel * (np.arange(codes.shape[0]) + 0.5))[::-1],
        X + pixel * (np.arange(codes.shape[1]) + 0.5),
    )
    flags = {"flag_values": np.array([*CODES.values()], "uint8"), "flag_meanings": " ".join(CODES)}
    return xr.DataArray(codes, {"y": y, "x": x}, ("y", "x"), attrs=flags).rio.write_crs(UTM)


# ---- lakes ----


def test_lakes_by_hand():
    found = lakes(WATER, ICE)
    scale = 0.99972  # of UTM so far from its meridian
    np.testing.assert_allclose(found.ice_m, [0, 400 / scale, 25 / scale], atol=0.02)
    assert found.nearest.tolist() == ["west", "west", "east"]
    assert found.in_contact.tolist() == [True, False, True]
    np.testing.assert_allclose(found.area_km2, [0.1, 0.04, 0.01], rtol=1e-3)
    assert found.zmed_m.isna().all()
    assert lakes(WATER, ICE, contact_m=20).in_contact.tolist() == [True, False, False]
    assert found.crs == UTM
    assert found.index.tolist() == WATER.index.tolist()


def test_distance_is_geodesic_and_any_crs_will_do():
    expected = lakes(WATER, ICE).ice_m
    for crs in ("EPSG:4326", "EPSG:3035", "EPSG:32633"):
        np.testing.assert_allclose(lakes(WATER.to_crs(crs), ICE).ice_m, expected, atol=0.5)
        np.testing.assert_allclose(lakes(WATER, ICE.to_crs(crs)).ice_m, expected, atol=0.5)
    corners = gpd.GeoSeries([shapely.Point(X + 1400, Y + 200), shapely.Point(X + 1000, Y + 200)], crs=UTM)
    (lon, lat), (lon2, lat2) = shapely.get_coordinates(corners.to_crs(4326).values)
    assert expected[1] == pytest.approx(Geod(ellps="WGS84").inv(lon, lat, lon2, lat2)[2], abs=0.01)


def test_across_the_antimeridian_and_near_the_pole():
    ice = table(shapely.box(-179.99, 70, -179.9, 70.1), crs=4326)
    water = table(shapely.box(179.9, 70, 179.98, 70.1), shapely.box(10, 86, 11, 86.1), crs=4326)
    step = np.radians(0.03) * 6378.0 * np.cos(np.radians(70.1))  # km, at the northern ends
    two = table(water.geometry[0], shapely.box(10, 70, 11, 71), crs=4326)
    with pytest.warns(DataWarning, match="1 of 2 lakes have no ice within 10°"):
        far = lakes(two, ice)
    assert far.ice_m.iloc[0] / 1000 == pytest.approx(step, rel=0.01)
    assert np.isnan(far.ice_m.iloc[1])
    assert not far.in_contact.iloc[1]
    polar = table(shapely.box(-170, 86, -169, 86.1), crs=4326)
    over = lakes(water.iloc[[1]], polar).ice_m.iloc[0]  # 179 degrees away, over the pole
    assert over / 1000 == pytest.approx(2 * 3.9 * 111.7, rel=0.01)


def test_elevation_is_the_median_of_what_the_dem_knows():
    heights = dem(box(1400, 100, 300, 300))
    slope = heights + 0 * heights.x + (heights.y - Y) / 10
    found = lakes(WATER, ICE, dem=slope)
    assert found.zmed_m[0] == pytest.approx(2700 + 25, abs=2.6)
    assert np.isnan(found.zmed_m[1])
    pd.testing.assert_series_equal(lakes(WATER, ICE, dem=slope.chunk(y=7)).zmed_m, found.zmed_m)


def test_only_lakes_of_a_class_map_count():
    codes = np.zeros((10, 12))
    codes[:, :5], codes[2:6, 5:7], codes[8, 10] = 1, 3, 3
    outlines = gl.vectorize(class_map(codes))
    found = lakes(outlines, outlines)
    assert (found["class"] == "glacial_lake").all()
    np.testing.assert_allclose(found.ice_m, [0, 500], rtol=1e-3)
    assert found.nearest.tolist() == outlines.index[outlines["class"] == "clean_ice"].tolist() * 2


def test_lakes_through_time():
    first = table(box(0, 0, 100, 100), box(500, 0, 100, 100))
    second = table(box(50, 0, 200, 100), box(900, 0, 300, 300))
    third = table(box(0, 0, 60, 100), box(100, 0, 100, 100))
    ice = table(box(-1000, 0, 1000, 1000))
    found = lakes({"1990": first, "2000": second, "2010": third}, ice)
    assert found[["lake", "date"]].values.tolist() == [
        [1, "2000"],
        [2, "1990"], [2, "2000"], [2, "2010"], [2, "2010"],
        [3, "1990"],
    ]  # fmt: skip
    expected = [0.09, np.nan, 0.01, 0.016 - 0.02, np.nan, np.nan]
    np.testing.assert_allclose(found.change_km2, expected, rtol=2e-3)
    retreat = {"1990": ice, "2000": ice.translate(-100).to_frame("geometry"), "2010": ice}
    apart = lakes({"1990": first, "2000": second, "2010": third}, retreat)
    np.testing.assert_allclose(apart.ice_m[apart.lake == 2], [0, 150, 100, 0], atol=0.1)
    with pytest.raises(InventoryError, match=r"glaciers are of \['1990'\], the others of \['1990', '2000'\]"):
        lakes({"1990": first, "2000": second}, {"1990": ice})


def test_lakes_and_debris_follow_time_not_the_alphabet():
    small, large = table(box(1000, 0, 200, 500)), table(box(1000, 0, 400, 500))
    found = lakes({"Aug 2010": large, "Sep 2000": small}, ICE)
    assert found.date.tolist() == ["Sep 2000", "Aug 2010"]
    np.testing.assert_allclose(found.change_km2, [np.nan, 0.1], rtol=2e-3)
    codes = np.ones((10, 30))
    maps = [class_map(np.where(np.arange(30) < n, 2, codes)) for n in (1, 3, 6)]
    found = debris(
        ICE, dict(zip(["Sep 2010", "Aug 2000", "Jul 2020"], [maps[1], maps[0], maps[2]], strict=True))
    )
    west = found[found.rgi_id == "west"]
    assert west.date.tolist() == ["Aug 2000", "Sep 2010", "Jul 2020"]
    np.testing.assert_allclose(west.change_frac, [np.nan, 0.2, 0.3])
    for wrong in ({}, {"before": small}):
        with pytest.raises(InventoryError, match="lakes by date need dates as names"):
            lakes(wrong, ICE)


def test_lakes_of_a_world():
    world = world_of(seed=4, years=(2000, 2020), shape=(200, 200))
    maps = {str(year): world.truth(year)["class_map"] for year in (2000, 2020)}
    outlines = {year: gl.vectorize(each) for year, each in maps.items()}
    found = lakes(outlines, outlines, dem=world.scene(2020)["elevation"])
    pixels = {year: int((each == CODES["glacial_lake"]).sum()) for year, each in maps.items()}
    total = found.groupby("date").area_km2.sum()
    assert total.to_dict() == pytest.approx(
        {year: n * 900 / 1e6 for year, n in pixels.items() if n}, rel=2e-3
    )
    assert found.zmed_m.notna().all()
    assert (found.ice_m >= 0).all()


# ---- debris ----


def test_debris_by_hand():
    codes = np.zeros((10, 30))
    codes[:, :10] = 1
    codes[:3, :10] = 2  # three tenths of the first
    codes[:, 20:] = 255
    codes[5:, 20:] = 2  # all that is seen of the second
    found = debris(ICE, class_map(codes))
    np.testing.assert_allclose(found.debris_frac, [0.3, 1.0])
    np.testing.assert_allclose(found.seen_frac, [1.0, 0.5])
    np.testing.assert_allclose(found.area_km2, geodesic_area_km2(ICE.geometry))
    np.testing.assert_allclose(found.debris_km2, [0.3, 0.5], rtol=1e-3)
    degrees = debris(ICE.to_crs(4326), class_map(codes).chunk(y=3))
    np.testing.assert_allclose(degrees.debris_km2, found.debris_km2, rtol=1e-6)
    assert degrees.crs == "EPSG:4326"
    half = debris(ICE, class_map(codes[:, :25]))
    np.testing.assert_allclose(half.seen_frac, [1.0, 0.25])


def test_change_of_debris():
    codes = np.ones((10, 30))
    codes[:3] = 2
    later = codes.copy()
    later[:4, :10], later[:2, 20:] = 2, 2
    later[2, 20:] = 1
    found = debris(ICE, {"2000": class_map(codes), "2020": class_map(later)})
    assert found.date.tolist() == ["2000", "2000", "2020", "2020"]
    np.testing.assert_allclose(found.change_frac, [np.nan, np.nan, 0.1, -0.1])
    np.testing.assert_allclose(found.change_km2, [np.nan, np.nan, 0.1, -0.1], rtol=2e-3)
    smaller = ICE.iloc[::-1].set_geometry([box(2000, 0, 1000, 500), box(0, 0, 1000, 500)], crs=UTM)
    found = debris({"2000": ICE, "2020": smaller}, {"2000": class_map(codes), "2020": class_map(later)})
    assert found.rgi_id.tolist() == ["west", "east", "east", "west"]
    np.testing.assert_allclose(found.change_km2.tolist()[2:], [0.2 - 0.3, 0.4 - 0.3], rtol=5e-3)


def test_debris_of_a_world():
    world = world_of(seed=4, years=(2000, 2020), shape=(200, 200))
    glaciers = {str(year): world.outlines(year) for year in (2000, 2020)}
    maps = {str(year): world.truth(year)["class_map"] for year in (2000, 2020)}
    found = debris(glaciers, maps)
    total = found.groupby("date").debris_km2.sum()
    for year, truth in maps.items():
        expected = int((truth == CODES["debris_covered_ice"]).sum()) * 900 / 1e6
        assert total[year] == pytest.approx(expected, rel=0.05)  # outlines cut pixels that the map gives away
    assert found.debris_frac.between(0, 1).all()
    assert found.change_km2.notna().any()


def test_one_pixel_of_a_glacier_without_a_center():
    codes = np.ones((10, 30))
    codes[0, 0] = 2
    small = table(box(10, 10, 20, 20))
    assert debris(small, class_map(codes)).debris_frac.tolist() == [1.0]


def test_bad_input_is_told():
    good = class_map(np.ones((10, 30)))
    with pytest.raises(InventoryError, match="debris needs a CRS"):
        debris(ICE.set_crs(None, allow_override=True), good)
    with pytest.raises(InventoryError, match="lakes needs polygons, and 1 of 1"):
        lakes(table(shapely.Point(X, Y)), ICE)
    bow = table(shapely.Polygon([(X, Y), (X + 900, Y + 900), (X + 900, Y), (X, Y + 900)]))
    for measure in (lambda: lakes(bow, ICE), lambda: lakes(WATER, bow), lambda: debris(bow, good)):
        with pytest.raises(InventoryError, match="1 of 1 outlines are invalid, the first in row 0"):
            measure()
    with pytest.raises(GridError, match="CRS"):
        debris(ICE, good.drop_vars("spatial_ref"))
    with pytest.raises(GridError, match="choose one date"):
        debris(ICE, good.expand_dims("time"))
    with pytest.raises(UnknownNameError, match=r"\['background', 'glacier'\], no 'debris_covered_ice'"):
        debris(ICE, good.assign_attrs(flag_values=[0, 1], flag_meanings="background glacier"))
    with pytest.raises(InventoryError, match="1 glaciers of one date share an id, the first 'x'"):
        debris(ICE.assign(rgi_id="x"), {"2000": good, "2020": good})
    with pytest.warns(DataWarning, match="nothing of 1 of 2 glaciers, the first in row 1"):
        found = debris(ICE, good.isel(x=slice(0, 15)))
    assert found.debris_km2.isna().tolist() == [False, True]
    assert lakes(WATER.iloc[:0], ICE).empty
    alone = lakes(WATER, ICE.iloc[:0])
    assert alone.ice_m.isna().all()
    assert not alone.in_contact.any()


def test_empty_ids_are_none():
    """As `attributes` leaves them where nobody has named a glacier."""
    unnamed = ICE.assign(rgi_id="", glac_id=["w", "e"])
    assert lakes(WATER, unnamed).nearest.tolist() == ["w", "w", "e"]
    assert lakes(WATER, ICE.assign(rgi_id="")).nearest.tolist() == [0, 0, 1]
    codes = class_map(np.ones((10, 30)))
    assert debris(unnamed, {"2000": codes, "2001": codes}).change_km2[2:].tolist() == [0, 0]
