"""Two inventories compared: matches, areas, distances and the map, against hand and real outlines."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.change import agreement
from glacierlab.errors import GlacierlabError, GridError, InventoryError
from glacierlab.scores import burn

EAST, NORTH = 600_000, 5_200_000
NUMBERS = ["area_ours_km2", "area_other_km2", "overlap_km2", "iou", "polis_m"]


def table(*bounds, crs="EPSG:32632", **columns):
    """Outlines that are boxes (west, south, east, north) [m] from a corner in UTM 32."""
    shapes = [shapely.affinity.translate(shapely.box(*b), EAST, NORTH) for b in bounds]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def grid(rows, columns, step=30.0, crs="EPSG:32632"):
    y = NORTH + step * (np.arange(rows)[::-1] + 0.5)
    x = EAST + step * (np.arange(columns) + 0.5)
    return xr.DataArray(np.zeros((rows, columns)), {"y": y, "x": x}, ("y", "x")).rio.write_crs(crs)


SQUARE = (0, 0, 1000, 1000)


# ---- by hand


def test_a_square_and_its_shifted_copy():
    found = agreement(table(SQUARE, rgi_id=["a"]), table((100, 0, 1100, 1000), rgi_id=["b"]))
    row = found.matches.iloc[0]
    assert (row.status, row.ours, row.other, row.n_ours, row.n_other) == ("matched", "a", "b", 1, 1)
    assert row.iou == pytest.approx(9 / 11, rel=1e-6)
    assert row.polis_m == pytest.approx(50, rel=1e-6)  # two corners lie on the other outline, two 100 m away
    assert row.overlap_km2 == pytest.approx(0.9 * row.area_ours_km2, rel=1e-5)
    assert row.difference_km2 == pytest.approx(0, abs=1e-5)
    assert found.total.iou == pytest.approx(9 / 11, rel=1e-5)


def test_missed_extra_and_the_relative_difference():
    ours, other = table((0, 0, 500, 1000), (0, 3000, 200, 3200)), table(SQUARE, (5000, 0, 5600, 600))
    found = agreement(ours, other)
    assert found.matches.status.tolist() == ["matched", "missed", "extra"]
    assert found.matches.difference_pct[0] == pytest.approx(-50, rel=1e-4)
    assert found.matches[NUMBERS].isna().sum().tolist() == [1, 1, 2, 2, 2]
    total = found.total
    assert total[["n_ours", "n_other", "matched", "missed", "extra"]].tolist() == [2, 2, 1, 1, 1]
    areas = (
        gl.io.layers.geodesic_area_km2(ours.geometry).sum(),
        gl.io.layers.geodesic_area_km2(other.geometry).sum(),
    )
    assert (total.area_ours_km2, total.area_other_km2) == pytest.approx(areas)
    assert total.difference_pct == pytest.approx(100 * (areas[0] / areas[1] - 1))
    assert total.only_ours_km2 == pytest.approx(areas[0] * 0.04 / 0.54, rel=1e-4)


def test_a_glacier_that_the_other_has_in_parts_is_one_match():
    parts = table((0, 0, 400, 1000), (400, 0, 1000, 1000), rgi_id=["x", "y"])
    row = agreement(table(SQUARE), parts).matches.iloc[0]
    assert (row.ours, row.other, row.n_ours, row.n_other) == (0, "x; y", 1, 2)
    assert row.iou == pytest.approx(1)
    assert row.polis_m == pytest.approx(0, abs=1e-3)


def test_a_divide_drawn_elsewhere_leaves_two_matches():
    ours = table((0, 0, 1000, 1000), (1000, 0, 2000, 1000))
    other = table((0, 0, 1200, 1000), (1200, 0, 2000, 1000))
    assert agreement(ours, other).matches[["n_ours", "n_other"]].values.tolist() == [[1, 1], [1, 1]]
    assert len(agreement(ours, other, min_overlap=0.1).matches) == 1


def test_the_map_has_the_ground_of_both():
    found = agreement(table(SQUARE), table((400, 300, 1500, 1200)))
    planar = found.map.dissolve("mapped_by").area
    assert planar["both"] == pytest.approx(600 * 700, rel=5e-6)
    assert planar["ours"] == pytest.approx(1e6 - 600 * 700, rel=5e-6)
    assert planar["other"] == pytest.approx(1100 * 900 - 600 * 700, rel=5e-6)


def test_the_map_on_a_grid_is_what_burning_both_says():
    ours, other = table(SQUARE, (1500, 200, 1800, 260)), table((400, 300, 1500, 1200))
    like = grid(50, 70)
    raster = agreement(ours, other).on_grid(like)
    in_ours, in_other = burn(ours, like).values, burn(other, like).values
    np.testing.assert_array_equal(raster, np.select([in_ours & in_other, in_ours, in_other], [1, 2, 3]))
    assert raster.dtype == np.uint8
    assert raster.attrs["flag_meanings"] == "neither both ours other"
    assert raster.rio.crs == like.rio.crs
    turned = agreement(ours, other).on_grid(like.transpose("x", "y")[::-1])
    assert turned.dims == ("y", "x")
    np.testing.assert_array_equal(turned.sel(x=raster.x), raster)


# ---- laws


@st.composite
def tables(draw):
    corner, side = st.integers(0, 8), st.integers(1, 4)
    boxes = draw(st.lists(st.tuples(corner, corner, side, side), min_size=1, max_size=5))
    return table(*[(100 * x, 100 * y, 100 * (x + w) + 7, 100 * (y + h) + 3) for x, y, w, h in boxes])


@settings(max_examples=10)
@given(tables(), tables())
def test_the_parts_of_the_map_add_up_and_sides_can_change(ours, other):
    found, turned = agreement(ours, other), agreement(other, ours)
    assert found.map.is_valid.all()
    united = [side.union_all() for side in (ours, other)]
    total = found.total
    km2 = gpd.GeoSeries(united, crs=ours.crs)
    areas = gl.io.layers.geodesic_area_km2(km2)
    assert total.both_km2 + total.only_ours_km2 == pytest.approx(areas[0], rel=1e-5)
    assert total.both_km2 + total.only_other_km2 == pytest.approx(areas[1], rel=1e-5)
    assert total.iou == pytest.approx(turned.total.iou, abs=1e-9)
    assert (total.missed, total.extra) == (turned.total.extra, turned.total.missed)
    assert found.matches.n_ours.sum() == len(ours)
    assert found.matches.n_other.sum() == len(other)
    assert found.matches.iou.dropna().between(0, 1 + 1e-9).all()


def test_the_crs_changes_nothing():
    ours, other = table(SQUARE), table((100, -30, 1100, 900))
    plain = agreement(ours, other).matches[NUMBERS]
    mixed = agreement(ours.to_crs("EPSG:4326"), other.to_crs("EPSG:3857")).matches[NUMBERS]
    np.testing.assert_allclose(mixed, plain, rtol=1e-4)


# ---- real outlines


@pytest.fixture(scope="module")
def everest(data):
    return gl.open_inventory(data / "everest/15_rgi60_glacier_outlines.gpkg")


def test_an_inventory_agrees_with_itself(everest):
    found = agreement(everest, everest)
    assert (found.matches.status == "matched").sum() == len(everest) == 86
    np.testing.assert_allclose(found.matches.iou, 1)
    np.testing.assert_allclose(found.matches.polis_m, 0, atol=1e-6)
    assert set(found.map.mapped_by) == {"both"}


def test_a_shift_of_a_pixel_is_seen(everest):
    moved = everest.to_crs("EPSG:32645")
    moved = moved.set_geometry(moved.translate(30, 0))
    found = agreement(everest, moved)
    assert found.total.matched == 86
    assert found.matches.polis_m.between(0, 30).all()
    assert found.matches.polis_m.mean() == pytest.approx(
        2 / np.pi * 30, rel=0.06
    )  # |cos| of rims all ways round
    expected = everest.to_crs("EPSG:32645").union_all(), moved.union_all()
    iou = expected[0].intersection(expected[1]).area / expected[0].union(expected[1]).area
    assert found.total.iou == pytest.approx(iou, rel=1e-5)
    assert found.map.is_valid.all()


def test_hintereisferner_of_rgi_5_and_7(data):
    five = gl.open_inventory(data / "oggm/Hintereisferner_RGI5.shp")
    seven = gl.open_inventory(data / "oggm/rgi7g_hef.shp")
    row = agreement(five, seven).matches.iloc[0]
    assert row.status == "matched"
    assert row.iou > 0.9998
    assert row.polis_m < 0.05
    assert row.area_other_km2 == pytest.approx(8.036175, rel=1e-5)  # its area_km2


def test_the_glaciers_of_a_complex_are_one_match_with_it(data):
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    ice_complex = gl.open_inventory(data / "oggm/rgi7c_hef.shp")
    row = agreement(glaciers, ice_complex).matches.iloc[0]
    assert (row.n_ours, row.n_other) == (23, 1)
    assert row.iou == pytest.approx(1, abs=1e-6)
    assert row.area_other_km2 == pytest.approx(77.670226, rel=1e-6)


@pytest.mark.filterwarnings("ignore::glacierlab.errors.DataWarning")
def test_rhone_of_1998_and_2009(data):
    both = gl.open_inventory(data / "rhone_glims/glims_polygons.shp")
    old, new = (both[both.src_date.str.startswith(year)] for year in ("1998", "2009"))
    matches = agreement(new, old).matches
    rhone = matches[matches.ours == "G008398E46623N"].iloc[0]
    assert rhone.other == rhone.ours
    assert (rhone.area_other_km2, rhone.area_ours_km2) == pytest.approx((16.10, 15.31), rel=0.005)
    one_to_one = matches[(matches.status == "matched") & (matches.n_ours == 1) & (matches.n_other == 1)]
    assert (one_to_one.ours == one_to_one.other).mean() > 0.9  # GLIMS ids, which we did not look at


# ---- bad input


def test_an_empty_side_is_all_missed():
    found = agreement(table(), table(SQUARE))
    assert found.matches.status.tolist() == ["missed"]
    assert found.total.iou == 0
    assert len(agreement(table(), table()).matches) == 0


def test_two_dates_go_by_their_names():
    ours, other = table(SQUARE, (1500, 200, 1800, 260)), table((400, 300, 1500, 1200))
    plain, dated = agreement(ours, other), agreement(ours, other, names=("July 1998", 2009))
    assert dated.map.mapped_by.tolist() == [
        {"both": "both", "ours": "July 1998", "other": "2009"}[side] for side in plain.map.mapped_by
    ]
    pd.testing.assert_series_equal(plain.total, dated.total)
    pd.testing.assert_frame_equal(plain.matches, dated.matches)
    raster, like = dated.on_grid(grid(50, 70)), plain.on_grid(grid(50, 70))
    np.testing.assert_array_equal(raster, like)
    assert raster.attrs["flag_meanings"] == "neither both July_1998 2009"


@pytest.mark.parametrize("names", ["ab", ("a", "a"), ("both", "b"), ("a", "b", "c"), (1998,)])
def test_names_are_two(names):
    with pytest.raises(GlacierlabError, match="give two names"):
        agreement(table(SQUARE), table(SQUARE), names=names)


def test_bad_input_is_told():
    with pytest.raises(InventoryError, match=r"agreement needs a CRS"):
        agreement(table(SQUARE), table(SQUARE, crs=None))
    with pytest.raises(InventoryError, match="1 of 1 outlines are none"):
        agreement(table(SQUARE).boundary.to_frame(), table(SQUARE))
    with pytest.raises(GlacierlabError, match="min_overlap=-1"):
        agreement(table(SQUARE), table(SQUARE), min_overlap=-1)
    found = agreement(table(SQUARE), table(SQUARE))
    with pytest.raises(GridError, match="touches the grid"):
        found.on_grid(grid(5, 5, crs="EPSG:32633"))
    with pytest.raises(GridError, match="needs a CRS"):
        found.on_grid(grid(5, 5).drop_vars("spatial_ref"))
