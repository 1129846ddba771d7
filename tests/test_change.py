"""Change of area between two inventories: losses, errors, years, and what is said of bad input."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box

import glacierlab as gl
from glacierlab.change.matching import id_column
from glacierlab.errors import DataWarning, InventoryError, UnknownNameError

AREAS = st.lists(st.tuples(st.floats(0.01, 1e4), st.floats(0, 1e4)), min_size=1, max_size=6)
NO_DATES = {"years": None}


def inventory(areas, unc=None, date="", names="abcdefgh", **columns):
    """A table of glaciers a, b, c … without outlines."""
    columns = {"rgi_id": list(names)[: len(areas)], "area_km2": areas, "src_date": date} | columns
    return pd.DataFrame(columns if unc is None else columns | {"area_unc_km2": unc})


def calibrated(areas, independent, correlated, **columns):
    independent, correlated = np.array(independent), np.array(correlated)
    parts = {"area_sd_independent_km2": independent, "area_sd_correlated_km2": correlated}
    return inventory(areas, 1.96 * np.hypot(*parts.values()), area_unc_kind="95 %", **parts, **columns)


def total(change, errors_summed="linear"):
    return change[(change.glacier == "total") & (change.errors_summed == errors_summed)].iloc[0]


def glaciers(change):
    return change[change.errors_summed == ""].set_index("glacier")


# ---- losses, errors, rates, by hand


def test_loss_error_share_and_rate():
    change = gl.area_change(inventory([10.0, 4.0, 4.0], 0.3), inventory([8.0, 4.1, 6.0], 0.4), years=20)
    a, b, c = (glaciers(change).loc[name] for name in "abc")
    assert (a.loss_km2, a.loss_pct, a.loss_unc_km2, a.loss_unc_pct) == pytest.approx((2, 20, 0.5, 5))
    assert (a.rate_km2_per_a, a.rate_unc_km2_per_a) == pytest.approx((0.1, 0.025))
    assert (a.rate_pct_per_a, a.rate_unc_pct_per_a) == pytest.approx((1, 0.25))
    assert (b.loss_km2, c.loss_km2) == pytest.approx((-0.1, -2))  # they grew
    assert (a.significant, b.significant, c.significant) == (True, False, True)
    assert (a.years, a.years_by, a.unc_kind) == (20, "given", "bound")


def test_totals_say_how_errors_were_summed():
    first, second = inventory([10.0, 5.0], [3.0, 4.0]), inventory([6.0, 6.0], [0.6, 0.8])
    change = gl.area_change(first, second, years=10)
    assert change.errors_summed.tolist() == ["", "", "linear", "root-sum-square"]
    linear, quadrature = total(change), total(change, "root-sum-square")
    assert (linear.area_1_km2, linear.area_2_km2, linear.loss_km2) == pytest.approx((15, 12, 3))
    assert (linear.area_1_unc_km2, linear.area_2_unc_km2) == pytest.approx((7, 1.4))
    assert linear.loss_unc_km2 == pytest.approx(np.sqrt(7**2 + 1.4**2))
    assert (quadrature.area_1_unc_km2, quadrature.area_2_unc_km2) == pytest.approx((5, 1))
    assert quadrature.loss_unc_km2 == pytest.approx(np.sqrt(26))
    assert linear.loss_pct == quadrature.loss_pct == pytest.approx(20)


def test_what_the_dates_share_cancels():
    """1.96 √(0.3² + 0.4² + (2.0 - 1.9)²) where the correlated parts are the same bias at both dates."""
    first, second = calibrated([10.0], [0.3], [2.0]), calibrated([9.0], [0.4], [1.9])
    a = glaciers(gl.area_change(first, second, **NO_DATES)).loc["a"]
    assert a.loss_unc_km2 == pytest.approx(1.96 * np.sqrt(0.26))
    assert a.area_1_unc_km2 == pytest.approx(first.area_unc_km2[0])
    assert (a.unc_kind, a.significant) == ("95 %", True)
    apart = glaciers(gl.area_change(first, second, shared=False, **NO_DATES)).loc["a"]
    assert apart.loss_unc_km2 == pytest.approx(1.96 * np.sqrt(0.25 + 2.0**2 + 1.9**2))
    assert not apart.significant


def test_totals_of_calibrated_errors_by_parts():
    first = calibrated([10.0, 20.0], [0.3, 0.4], [2.0, 1.0])
    second = calibrated([9.0, 18.0], [1.2, 0.5], [1.5, 0.8])
    change = gl.area_change(first, second, **NO_DATES)
    parts = total(change, "parts")
    assert parts.loss_unc_km2 == pytest.approx(1.96 * np.sqrt(0.5**2 + 1.3**2 + 0.7**2))
    assert parts.area_1_unc_km2 == pytest.approx(1.96 * np.sqrt(0.5**2 + 3.0**2))
    rss = 1.96 * np.sqrt(0.5**2 + 1.3**2 + 0.5**2 + 0.2**2)
    assert total(change, "root-sum-square").loss_unc_km2 == pytest.approx(rss)
    linear = 1.96 * np.sqrt(0.7**2 + 1.7**2 + 0.7**2)
    assert total(change, "linear").loss_unc_km2 == pytest.approx(linear)


def test_kinds_of_errors_are_not_mixed_in_silence():
    first, second = calibrated([10.0], [0.3], [0.4]), inventory([9.0], [1.0])
    with pytest.warns(DataWarning, match="different kinds.*one method"):
        change = gl.area_change(first, second, **NO_DATES)
    assert change.unc_kind.unique().tolist() == ["mixed"]
    assert change.loss_unc_km2[0] == pytest.approx(np.hypot(1.96 * 0.5, 1.0))
    assert "neither" in change.attrs["significant"]["mixed"]


def test_significant_is_explained_by_kind():
    bound = gl.area_change(inventory([2.0], [0.1]), inventory([1.0], [0.1]), **NO_DATES)
    assert "bound of its mapping error" in bound.attrs["significant"]["bound"]
    interval = gl.area_change(calibrated([2.0], [0.1], [0.0]), calibrated([1.0], [0.1], [0.0]), **NO_DATES)
    assert "95 % interval" in interval.attrs["significant"]["95 %"]


def test_without_errors_nothing_is_significant():
    change = gl.area_change(inventory([2.0]), inventory([1.0]), years=4)
    assert change.loss_unc_km2.isna().all()
    assert change.significant.isna().all()
    assert change.attrs["significant"] == {}
    assert (change.rate_km2_per_a == 0.25).all()


@settings(max_examples=20)
@given(AREAS, st.floats(0.5, 100))
def test_reversed_in_time_a_loss_is_a_gain(pairs, years):
    before, after = (inventory(list(areas), 0.1) for areas in zip(*pairs, strict=True))
    forth = gl.area_change(before, after, years=years)
    back = gl.area_change(after, before, years=years)
    np.testing.assert_array_equal(forth.loss_km2, -back.loss_km2)
    np.testing.assert_array_equal(forth.loss_unc_km2, back.loss_unc_km2)
    np.testing.assert_array_equal(forth.significant, back.significant)


@settings(max_examples=20)
@given(AREAS, st.floats(1e-3, 1e3))
def test_totals_are_sums_and_per_cents_know_no_unit(pairs, factor):
    before, after = (inventory(list(areas), 0.1) for areas in zip(*pairs, strict=True))
    change = gl.area_change(before, after, years=7)
    assert glaciers(change).loss_km2.sum() == pytest.approx(total(change).loss_km2, abs=1e-9)
    assert total(change).loss_unc_km2 >= total(change, "root-sum-square").loss_unc_km2 * (1 - 1e-12)
    scaled = [t.assign(area_km2=factor * t.area_km2, area_unc_km2=factor * 0.1) for t in (before, after)]
    again = gl.area_change(*scaled, years=7)
    for name in ("loss_pct", "loss_unc_pct", "rate_pct_per_a"):
        np.testing.assert_allclose(again[name], change[name], rtol=1e-9, atol=1e-9)


# ---- which glaciers


def test_vanished_and_appeared():
    first, second = inventory([1.0, 2.0], names="ab"), inventory([1.5, 0.0, 3.0], names="bac")
    with pytest.warns(DataWarning, match=r"0 glaciers are in the first only.*1 in the second only.*'c'"):
        change = gl.area_change(first, second, **NO_DATES)
    found = glaciers(change)
    assert found.status.to_dict() == {"a": "vanished", "b": "both", "c": "appeared"}
    assert found.loss_km2.to_dict() == {"a": 1.0, "b": 0.5, "c": -3.0}
    assert found.loss_pct.a == 100
    assert np.isnan(found.loss_pct.c)
    assert total(change).loss_km2 == -1.5


def test_glaciers_that_are_missing_as_the_user_says():
    first, second = inventory([1.0, 2.0], [0.1, 0.2]), inventory([1.5], [0.2], names="b")
    gone = gl.area_change(first, second, missing="vanished", **NO_DATES)
    assert (total(gone).loss_km2, glaciers(gone).loss_unc_km2.a) == (1.5, 0.1)
    left_out = gl.area_change(first, second, missing="unmapped", **NO_DATES)
    assert glaciers(left_out).index.tolist() == ["b"]
    assert total(left_out).loss_km2 == 0.5
    with pytest.raises(UnknownNameError, match="Known: unmapped, vanished"):
        gl.area_change(first, second, missing="dropped")


def test_a_table_with_its_own_total_gets_no_other():
    first, second = inventory([3.0, 3.0]), inventory([2.0, 2.0])
    names = ["west", "total"]
    change = gl.area_change(first.assign(rgi_id=names), second.assign(rgi_id=names), **NO_DATES)
    assert change.glacier.tolist() == names


def test_areas_are_measured_where_no_column_has_them():
    squares = gpd.GeoDataFrame(
        {"rgi_id": ["a"]}, geometry=[box(500_000, 5_000_000, 501_000, 5_001_000)], crs="EPSG:32632"
    )
    change = gl.area_change(squares, squares.set_geometry(squares.scale(0.5, 0.5)), **NO_DATES)
    assert change.area_1_km2[0] == pytest.approx(1, rel=1e-3)  # UTM shrinks by 0.9996 on its meridian
    assert change.loss_pct[0] == pytest.approx(75, abs=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (inventory([1.0, 2.0], names="aa"), inventory([1.0]), r"more than once in table 1: 'a'.*by="),
        (inventory([1.0]), inventory([1.0], names="x"), r"No glacier is in both: .*'a'.*'x'.*by="),
        (inventory([1.0]), inventory([1.0], names=[""]), r"'rgi_id' is empty in 1 rows of table 2.*by="),
        (inventory([1.0]), inventory([-1.0]), r"'area_km2' is -1 in row 0"),
        (inventory(["large"]), inventory([1.0]), r"'area_km2' holds what is no number"),
        (inventory([1.0])[["rgi_id"]], inventory([1.0]), r"No column 'area_km2', but \['rgi_id'"),
        (inventory([1.0]), [1.0], r"this is a list: .*open_inventory"),
        (inventory([1.0]), inventory([1.0]).rename(columns={"rgi_id": "x"}), r"share none.*by=.*track"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_compared(first, second, message):
    with pytest.raises(InventoryError, match=message):
        gl.area_change(first, second, **NO_DATES)


def test_outlines_without_crs_or_polygons():
    square, point = (
        gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[g]) for g in (box(0, 0, 1, 1), Point(0, 0))
    )
    with pytest.raises(InventoryError, match="set_crs"):
        gl.area_change(square, square)
    with pytest.raises(InventoryError, match="needs polygons"):
        gl.area_change(point.set_crs(4326), square.set_crs(4326))


def test_glaciers_without_area_are_left_out_of_the_total_and_named():
    with pytest.warns(DataWarning, match=r"1 glaciers have no area.*'b'"):
        change = gl.area_change(inventory([2.0, np.nan]), inventory([1.0, 1.0]), **NO_DATES)
    assert np.isnan(glaciers(change).loss_km2.b)
    assert total(change).loss_km2 == 1


def test_id_column_is_the_first_that_all_have_in_full():
    first = inventory([1.0, 2.0], glims_id=["G1", "G2"], glac_name=["x", "x"])
    assert id_column([first, first]) == "rgi_id"
    assert id_column([first, first.assign(rgi_id=["", None])]) == "glims_id"
    assert id_column([first, first], by="area_km2") == "area_km2"
    with pytest.raises(InventoryError, match="Table 2 has no column 'glac_name'"):
        id_column([first, first.drop(columns="glac_name")], by="glac_name")
    with pytest.raises(InventoryError, match="more than once in table 1: 'x'"):
        id_column([first, first], by="glac_name")


# ---- years


def test_years_between_mean_dates():
    first = inventory([10.0, 30.0], date=["2000-01-01", "2002-01-01"])
    second = inventory([10.0, 10.0], date=["2010-01-01", "2011-01-01"])
    change = gl.area_change(first, second)
    assert glaciers(change).years.to_dict() == pytest.approx({"a": 10, "b": 9}, abs=2e-3)
    # area-weighted: (2000 + 3 * 2002) / 4 = 2001.5, and 2010.5
    assert total(change).years == pytest.approx(9, abs=2e-3)
    assert total(change).year_1 == pytest.approx(2001.5, abs=2e-3)


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("2001", 2001.5),
        (2001, 2001.5),
        (2001.0, 2001.5),
        ("2001-07-02", 2001.5),  # noon of the 183rd of 365 days
        (pd.Timestamp("2001-07-02 10:00"), 2001.5),
        ("2001-07-02T10:00:00Z", 2001.5),
        ("2001-01", 2001 + 15.5 / 365),
        ("2001-01-01/2002-12-31", 2002.0),
        ("2000-2002", 2001.5),
        ("2000–2002", 2001.5),  # en dash
    ],
)
def test_ways_to_write_a_date(date, year):
    change = gl.area_change(inventory([2.0], date=[date]), inventory([1.0], date="2010-01-01"))
    assert change.year_1[0] == pytest.approx(year, abs=1e-9)


def test_chen_dates_the_first_window_by_its_first_year_and_others_by_their_last():
    first, second = inventory([2.0], date="1986-1988"), inventory([1.0], date="2019-2021")
    assert gl.area_change(first, second, years="chen2022").years.tolist() == [35] * 3
    days = inventory([2.0, 2.0], date=["1986-08-01", "1988-07-30"])
    change = gl.area_change(days, inventory([1.0, 1.0], date="2021-09-01/2021-09-30"), years="chen2022")
    assert change.years.unique().tolist() == [35]


def test_both_conventions_at_once():
    first, second = inventory([2.0], date="1986-1988"), inventory([1.0], date="2001-2003")
    change = gl.area_change(first, second, years=["dates", "chen2022", 16])
    assert change.groupby("years_by").years.first().to_dict() == {"chen2022": 17, "dates": 15, "given": 16}


def test_a_vanished_glacier_takes_the_mean_date_of_the_others():
    first, second = inventory([1.0, 1.0], date="2000"), inventory([1.0], date="2008")
    change = gl.area_change(first, second, missing="vanished")
    assert glaciers(change).years.to_dict() == {"a": 8, "b": 8}


def test_years_none_gives_no_rates():
    change = gl.area_change(inventory([2.0]), inventory([1.0]), years=None)
    assert change.loss_km2.tolist() == [1] * 3
    assert change.rate_km2_per_a.isna().all()


@pytest.mark.parametrize(
    ("dates", "options", "error", "message"),
    [
        (("", "2005"), {}, InventoryError, "first table has none: fill in src_date.*years=None"),
        (("2005", ""), {"years": "chen2022"}, InventoryError, "second table has none"),
        (("2005", "1998"), {}, InventoryError, r"'a': 2005.50 and 1998.50. Swap the tables"),
        (("2005", "2005"), {}, InventoryError, "no later"),
        (("2005", "1998"), {"years": "chen2022"}, InventoryError, "Swap the tables"),
        (("1988-1986", "1998"), {}, InventoryError, "'1988-1986' ends before it begins"),
        (("last summer", "1998"), {}, InventoryError, "'last summer' is no date: write '2005-08-12'"),
        (("2005-02-30", "2010"), {}, InventoryError, "is no date"),
        (("1998", "2005"), {"years": -7}, InventoryError, "positive number of years"),
        (("1998", "2005"), {"years": "chen"}, UnknownNameError, "Known: chen2022, dates"),
        (("1998", "2005"), {"between": ("1998", "2005")}, InventoryError, "two tables"),
    ],
)
def test_years_that_cannot_be(dates, options, error, message):
    with pytest.raises(error, match=message):
        gl.area_change(*(inventory([1.0], date=date) for date in dates), **options)


def test_glaciers_without_a_date_have_no_rate_and_are_named():
    first = inventory([1.0, 3.0], date=["2000", ""])
    with pytest.warns(DataWarning, match=r"1 glaciers of the first table have no date.*'b'"):
        change = gl.area_change(first, inventory([0.5, 2.0], date="2010"))
    assert glaciers(change).rate_km2_per_a.a == pytest.approx(0.05)
    assert np.isnan(glaciers(change).rate_km2_per_a.b)
    assert total(change).years == 10
