"""Glaciers through time: who goes on, parts, joins, ends; ids that noise does not multiply."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import world_of

import glacierlab as gl
from glacierlab.change import track
from glacierlab.errors import GlacierlabError, InventoryError

EAST, NORTH = 600_000, 5_200_000
YEARS = tuple(range(1965, 2021, 5))


def table(*bounds, crs="EPSG:32632", **columns):
    """Outlines that are boxes (west, south, east, north) [m] from a corner in UTM 32."""
    shapes = [shapely.affinity.translate(shapely.box(*b), EAST, NORTH) for b in bounds]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def kinds(tracks, *columns):
    """Events as plain tuples, None for what is missing."""
    rows = tracks.events[["event", "glacier_1", "glacier_2", *columns]].itertuples(index=False)
    return [tuple(None if pd.isna(value) else value for value in row) for row in rows]


def ids(tracks, date):
    own = tracks.glaciers[tracks.glaciers.date == date]
    return dict(zip(own.row, own.glacier, strict=True))


WHOLE = (0, 0, 1000, 300)
LARGE, SMALL = (0, 0, 600, 300), (650, 0, 1000, 300)
FAR = (0, 5000, 500, 5500)


# ---- events, by hand


def test_a_glacier_that_shrinks_goes_on():
    assert kinds(track({2000: table(WHOLE), 2020: table(LARGE)})) == [("continue", 1, 1)]


def test_the_part_with_the_largest_overlap_keeps_the_id():
    found = track({2000: table(WHOLE), 2020: table(SMALL, LARGE)})
    assert kinds(found, "row_2") == [("split", 1, 2, 0), ("split", 1, 1, 1)]


def test_of_merging_glaciers_the_larger_keeps_its_id():
    found = track({2000: table(SMALL, LARGE), 2020: table(WHOLE)})
    assert kinds(found, "row_1") == [("merge", 2, 1, 0), ("merge", 1, 1, 1)]


def test_vanish_and_appear():
    found = track({2000: table(WHOLE, FAR), 2020: table(WHOLE, (3000, 0, 3500, 300))})
    assert kinds(found) == [("continue", 1, 1), ("vanish", 2, None), ("appear", None, 3)]


def test_a_glacier_missed_at_one_date_reappears():
    found = track({2000: table(WHOLE, FAR), 2010: table(WHOLE), 2020: table(FAR, WHOLE)})
    assert ids(found, "2000") == {0: 1, 1: 2}
    assert ids(found, "2020") == {0: 2, 1: 1}
    last = found.events[found.events.event == "reappear"].iloc[0]
    assert (last.date_1, last.date_2, last.row_1, last.row_2) == ("2000", "2020", 1, 0)
    assert last.overlap_km2 == pytest.approx(0.25, rel=1e-3)


def test_ice_between_two_glaciers_splits_from_one_and_merges_with_another():
    found = track(
        {
            2000: table((0, 0, 1000, 300), (1000, 0, 1400, 300)),
            2020: table((0, 0, 300, 300), (400, 0, 1400, 300)),
        }
    )
    assert kinds(found) == [("split", 1, 3), ("split and merge", 1, 1), ("merge", 2, 1)]


def test_a_divide_drawn_elsewhere_is_no_event():
    before = table((0, 0, 1000, 1000), (1000, 0, 1800, 1000))
    after = table((0, 0, 1300, 1000), (1300, 0, 1800, 1000))
    assert kinds(track({2000: before, 2020: after})) == [("continue", 1, 1), ("continue", 2, 2)]


def test_an_outline_that_lies_on_several_and_mostly_on_none_is_linked_to_one():
    before = table((0, 0, 1000, 300), (1000, 0, 2000, 300), (2000, 0, 3000, 300))
    after = table((700, 0, 2600, 100))  # shares 16, 53 and 32 % with them
    found = track({2000: before, 2020: after}, min_overlap=0.6)
    assert kinds(found) == [("continue", 2, 2), ("vanish", 1, None), ("vanish", 3, None)]


def test_areas_are_geodesic_and_overlaps_agree_with_geopandas():
    before, after = table(WHOLE, FAR), table((100, -50, 900, 200), FAR)
    found = track({2000: before, 2020: after}).events
    np.testing.assert_allclose(found.area_1_km2, gl.io.layers.geodesic_area_km2(before.geometry))
    shared = gpd.overlay(before.to_crs("EPSG:3035"), after.to_crs("EPSG:3035")).area / 1e6  # equal areas too
    np.testing.assert_allclose(np.sort(found.overlap_km2), np.sort(shared), rtol=1e-5)


def test_glaciers_are_named_by_what_a_column_holds_when_they_appear():
    before = table(WHOLE, FAR, rgi_id=["a", "b"])
    after = table(LARGE, SMALL, rgi_id=["x", "a"])
    found = track({2000: before, 2020: after}, by="rgi_id")
    assert ids(found, "2000") == {0: "a", 1: "b"}
    assert ids(found, "2020") == {0: "a", 1: "a (2020)"}


# ---- ids that stay


def test_glaciers_that_join_and_part_take_their_ids_again():
    apart, joined = table(LARGE, SMALL), table(WHOLE)
    found = track(dict(enumerate([apart, joined] * 6, 1990)))
    assert found.glaciers.glacier.nunique() == 2
    assert all(ids(found, str(year)) == {0: 1, 1: 2} for year in range(1990, 2002, 2))


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_noise_does_not_multiply_ids(seed):
    """Two glaciers about as large, joined, parted, missed and shifted at random over 15 dates."""
    rng = np.random.default_rng(seed)
    dates = {}
    for year in range(2000, 2015):
        shift, gap = rng.uniform(-40, 40), rng.uniform(1, 60)
        parts = [(0, 0, 500 - gap, 400), (500 + gap, 0, 1000, 400)]
        shapes = [(0, 0, 1000, 400)] if rng.random() < 0.4 else [p for p in parts if rng.random() < 0.8]
        dates[year] = table(*[(w + shift, s + shift, e + shift, n + shift) for w, s, e, n in shapes])
    found = track(dates)
    assert found.glaciers.glacier.nunique() <= 3
    assert not found.glaciers.duplicated(["date", "glacier"]).any()


@st.composite
def inventories(draw):
    """Three dates of a few boxes on a coarse grid, that touch, overlap in time, come and go."""
    corner, side = st.integers(0, 6), st.integers(1, 3)
    box = st.tuples(corner, corner, side, side)
    sized = [draw(st.lists(box, min_size=1, max_size=5)) for _ in range(3)]
    return {
        2000 + step: table(*[(x, y, x + w - i / 50, y + h - i / 30) for i, (x, y, w, h) in enumerate(boxes)])
        for step, boxes in enumerate(sized)
    }


@settings(max_examples=15)
@given(inventories())
def test_every_outline_has_one_id_and_its_events(dates):
    found = track(dates)
    for date, outlines in dates.items():
        own = found.glaciers[found.glaciers.date == str(date)]
        assert sorted(own.row) == sorted(outlines.index)
        assert own.glacier.is_unique
    ends = found.events
    for date, later in zip(list(dates)[:-1], list(dates)[1:], strict=True):
        assert set(ends[ends.date_1 == str(date)].row_1) == set(dates[date].index)
        assert set(ends[ends.date_2 == str(later)].row_2) == set(dates[later].index)
    assert (ends.overlap_km2 <= ends[["area_1_km2", "area_2_km2"]].min(axis=1) * 1.001).all()


@settings(max_examples=15)
@given(inventories())
def test_neither_the_order_of_dates_nor_the_crs_changes_anything(dates):
    found = track(dates)
    turned = track({date: dates[date].to_crs("EPSG:4326") for date in reversed(dates)})
    pd.testing.assert_frame_equal(found.glaciers, turned.glaciers, rtol=1e-4)
    pd.testing.assert_frame_equal(found.events, turned.events, rtol=1e-4)


# ---- made and real glaciers


@pytest.fixture(scope="module")
def world():
    made = world_of(2, YEARS, (200, 200))
    return {year: made.outlines(year) for year in YEARS}


def test_the_glaciers_of_a_world_are_followed_for_55_years(world):
    found = track(world).glaciers
    found["truth"] = np.concatenate([outlines.glacier_id for outlines in world.values()])
    assert len(world) == 12
    assert found.truth.nunique() > 8
    assert (found.groupby("truth").glacier.nunique() == 1).all()
    assert (found.groupby("glacier").truth.nunique() == 1).all()


def test_they_are_followed_in_spite_of_gaps_shifts_and_errors(world):
    rng = np.random.default_rng(1)
    noisy = {}
    for year, outlines in world.items():
        seen = outlines[(outlines.area_km2 >= 0.01) & (rng.random(len(outlines)) > 0.05)].sample(
            frac=1, random_state=1
        )
        grown = seen.translate(*rng.uniform(-20, 20, 2)).buffer(rng.uniform(-10, 10))
        noisy[year] = seen.set_geometry(grown)[~grown.is_empty]
    found = track(noisy).glaciers
    found["truth"] = np.concatenate([outlines.glacier_id for outlines in noisy.values()])
    followed = found.groupby("truth").glacier.agg(lambda own: own.value_counts().iloc[0]).sum()
    assert followed / len(found) > 0.97


def test_named_glaciers_of_glacier_national_park_are_found_by_place(data):
    dates = {1966: "66", 1998: "98", 2005: "05", 2015: "15"}
    with pytest.warns(match="repaired"):
        tables = {
            year: gl.open_inventory(data / f"gnp_glaciers/polys{name}.json") for year, name in dates.items()
        }
    found = track(tables).glaciers
    found["name"] = np.concatenate([outlines.GLACNAME for outlines in tables.values()])
    assert found.groupby("glacier").name.nunique().tolist() == [1] * 39


def test_across_the_antimeridian():
    west, east = shapely.box(179.95, 70, 180, 70.1), shapely.box(-180, 70, -179.95, 70.1)
    whole = gpd.GeoDataFrame(geometry=[shapely.MultiPolygon([west, east])], crs="EPSG:4326")
    beyond = gpd.GeoDataFrame(geometry=[shapely.box(179.95, 70, 180.05, 70.1)], crs="EPSG:4326")
    found = track({2000: whole, 2020: beyond}).events.iloc[0]
    assert found.event == "continue"
    assert found.overlap_km2 == pytest.approx(found.area_2_km2, rel=1e-4)


# ---- bad input


def test_a_date_without_glaciers():
    found = track({2000: table(WHOLE), 2010: table(), 2020: table(WHOLE)})
    assert kinds(found) == [("vanish", 1, None), ("reappear", 1, 1)]
    assert kinds(track({2000: table(), 2010: table()})) == []


def test_dates_from_src_date():
    first = table(WHOLE, FAR, src_date=["2000-08-01", "2000-09-01"])
    second = table(WHOLE, FAR, src_date=["2020-08-16T10:30:00", ""])
    assert track([second, first]).glaciers.date.unique().tolist() == [
        "2000-08-01/2000-09-01",
        "2020-08-16",
    ]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({2000: table(WHOLE)}, "2 dates or more, and got 1"),
        (table(WHOLE), "this is one table: split it"),
        ([table(WHOLE), table(WHOLE)], "table 1 has no date in src_date"),
        ({2000: table(WHOLE), "2000": table(WHOLE)}, "two inventories are of 2000"),
        ({2000: table(WHOLE), "last year": table(WHOLE)}, "'last year' is no date"),
        ({2000: table(WHOLE), "2020/2010": table(WHOLE)}, "ends before it begins"),
        ({2000: table(WHOLE), 2020: table(WHOLE, crs=None)}, "needs a CRS"),
        ({2000: table(WHOLE), 2020: pd.DataFrame()}, "this is DataFrame"),
    ],
)
def test_bad_inventories_are_told_by_name(tables, message):
    with pytest.raises(InventoryError, match=message):
        track(tables)


def test_crossed_outlines_are_refused_by_row():
    bow = gpd.GeoDataFrame(
        geometry=[shapely.Polygon([(0, 0), (999, 999), (999, 0), (0, 999)])], index=[7], crs="EPSG:32632"
    )
    with pytest.raises(
        InventoryError, match=r"1 of 1 outlines of table 2 are invalid, the first in row 7: Self"
    ):
        track({2000: table(WHOLE), 2020: bow})


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (42, "needs an inventory for each date, .*, and this is int"),
        (["a.gpkg", "b.gpkg"], "needs outlines .*, and this is str: read a file with open_inventory"),
    ],
)
def test_what_is_no_inventory_is_told(tables, message):
    with pytest.raises(InventoryError, match=f"track {message}"):
        track(tables)
    with pytest.raises(InventoryError, match=f"assess {message}"):
        gl.change.assess(tables)
    with pytest.raises(InventoryError, match=f"terminus_change {message}"):
        gl.change.terminus_change(tables, width_m=3)


def test_other_bad_arguments():
    pair = {2000: table(WHOLE, FAR, rgi_id=["a", "a"]), 2020: table(WHOLE, rgi_id=["a"])}
    with pytest.raises(InventoryError, match="'rgi_id' names 1 glaciers more than once"):
        track(pair, by="rgi_id")
    with pytest.raises(GlacierlabError, match="min_overlap=2 is no share"):
        track(pair, min_overlap=2)
