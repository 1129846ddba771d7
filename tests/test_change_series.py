"""Areas of several dates: series, their changes, trends; glaciers of Montana and Svalbard."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from shapely.geometry import Polygon, box

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError, UnknownNameError

WINDOWS = ["1990-1992", "1993-1995", "1996-1998", "1999-2001"]


def inventory(areas, unc=0.1, names="abcdefgh", **columns):
    columns = {"rgi_id": list(names)[: len(areas)], "area_km2": areas, "area_unc_km2": unc} | columns
    return pd.DataFrame(columns)


def region(areas, windows=WINDOWS, **columns):
    """A series of totals: window and area_km2."""
    return pd.DataFrame({"window": windows[: len(areas)], "area_km2": areas} | columns)


# ---- series


def test_series_of_inventories_by_date():
    series = gl.area_series({"2015": inventory([1.0, 3.0]), 1998: inventory([2.0, 4.0])})
    assert list(series.columns) == [
        "glacier", "window", "date", "area_km2", "area_unc_km2", "area_unc_kind", "source",
    ]  # fmt: skip
    assert series[["glacier", "window", "area_km2"]].values.tolist() == [
        ["a", "1998", 2.0],
        ["a", "2015", 1.0],
        ["b", "1998", 4.0],
        ["b", "2015", 3.0],
    ]
    assert series.area_unc_kind.unique().tolist() == ["bound"]


def test_dates_of_glaciers_are_kept_beside_the_window():
    first = inventory([2.0, 4.0], src_date=["1986-08-01", "1988-09-01"])
    for inventories in ([first], {"1986-1988": first}):
        series = gl.area_series(inventories)
        assert series.window.tolist() == ["1986-1988"] * 2
        assert series.date.tolist() == first.src_date.tolist()
    named = gl.area_series({"Landsat 5": first})
    assert (named.source == "Landsat 5").all()
    assert named.window.tolist() == ["1986-1988"] * 2


def test_one_table_of_several_dates():
    squares = [box(0, 0, side, side) for side in (1000, 900)]
    table = gpd.GeoDataFrame(
        {"name": "x", "src_date": ["1990-08-01", "2000-08-01"]}, geometry=squares, crs="EPSG:3035"
    )
    series = gl.area_series(table, by="name")
    assert series.date.tolist() == ["1990-08-01", "2000-08-01"]
    assert series.area_km2[1] / series.area_km2[0] == pytest.approx(0.81, rel=1e-3)


def test_a_series_of_a_series_is_itself():
    series = gl.area_series({"1998": inventory([2.0, 4.0]), "2015": inventory([1.0, 3.0])})
    pd.testing.assert_frame_equal(gl.area_series(series), series)


def test_totals_of_a_series():
    tables = {"1998": inventory([2.0, 4.0], [0.3, 0.4]), "2015": inventory([1.0, 3.0], [0.6, 0.8])}
    for how, errors in {"linear": [0.7, 1.4], "root-sum-square": [0.5, 1.0]}.items():
        totals = gl.area_series(tables, total=how).query("glacier == 'total'")
        assert totals.area_km2.tolist() == [6, 4]
        assert totals.area_unc_km2.tolist() == pytest.approx(errors)
        assert totals.window.tolist() == ["1998", "2015"]
    with pytest.raises(UnknownNameError, match="Known: linear, parts, root-sum-square"):
        gl.area_series(tables, total="quadrature")


def test_parts_of_calibrated_errors_reach_the_total():
    parts = {"area_sd_independent_km2": [0.3, 0.4], "area_sd_correlated_km2": [1.0, 2.0]}
    half = 1.96 * np.hypot(*map(np.array, parts.values()))
    table = inventory([2.0, 4.0], half, area_unc_kind="95 %", **parts)
    last = gl.area_series({"1998": table}, total="parts").iloc[-1]
    assert (last.area_sd_independent_km2, last.area_sd_correlated_km2) == pytest.approx((0.5, 3.0))
    assert last.area_unc_km2 == pytest.approx(1.96 * np.sqrt(9.25))
    assert last.area_unc_kind == "95 %"


def test_a_total_is_dated_by_the_area_weighted_mean():
    table = inventory([1.0, 3.0], src_date=["2000-01-01", "2000-01-05"])
    assert gl.area_series([table], total="linear").date.iloc[-1] == "2000-01-04"


def test_a_printed_total_is_not_summed_again():
    printed = inventory([1.0, 2.0, 3.0], names=["a", "b", "total"])
    with pytest.raises(InventoryError, match=r"A glacier is called 'total', .*leave it out"):
        gl.area_series({"2005": printed}, total="linear")
    assert gl.area_series({"2005": printed}).glacier.tolist() == ["a", "b", "total"]


def test_rings_that_cross_themselves_are_not_measured():
    bow = Polygon([(5e5, 5e6), (501e3, 5001e3), (501e3, 5e6), (5e5, 5001e3)])
    one, two = (
        gpd.GeoDataFrame({"rgi_id": ["a"], "src_date": [date]}, geometry=[shape], crs="EPSG:32632")
        for date, shape in (("2000", box(5e5, 5e6, 501e3, 5001e3)), ("2010", bow))
    )
    for measure in (gl.area_series, gl.trend, lambda tables: gl.area_change(*tables)):
        with pytest.raises(
            InventoryError, match="1 of 1 outlines are invalid, the first in row 0: Self-inters"
        ):
            measure([one, two])
    mended = gl.qa(two, repair=True)[0]
    assert gl.area_change(one, mended).loss_km2[0] == pytest.approx(0.5, rel=1e-3)


def test_totals_of_glaciers_that_come_and_go():
    tables = {"1998": inventory([2.0, 4.0]), "2015": inventory([1.0])}
    with pytest.warns(DataWarning, match=r"1 glaciers are not in every inventory.*\('b'\).*'unmapped'"):
        series = gl.area_series(tables, total="linear")
    assert series.query("glacier == 'total'").area_km2.tolist() == [6, 1]
    pd.testing.assert_frame_equal(gl.area_series(tables, total="linear", missing="vanished"), series)
    same = gl.area_series(tables, total="linear", missing="unmapped")
    assert same.query("glacier == 'total'").area_km2.tolist() == [2, 1]
    with pytest.raises(UnknownNameError, match="Known: unmapped, vanished"):
        gl.area_series(tables, total="linear", missing="gone")


@pytest.mark.parametrize(
    ("inventories", "message"),
    [
        ([], "got no inventory"),
        ([inventory([1.0])], "1 of 1 rows have none, the first of glacier 'a'"),
        ({"Landsat": inventory([1.0])}, r"needs dates.*\{'2005': outlines\}"),
        ({"2005": inventory([1.0, 2.0], names="aa")}, "repeat a glacier and date, the first 'a' at '2005'"),
        ([inventory([1.0], src_date="12 Aug")], "'12 Aug' is no date"),
        ({"2005": inventory([1.0], area_unc_kind="1 sigma")}, "area_unc_kind is '1 sigma'.*1.96 standard"),
        ({"2005": "outlines.gpkg"}, "this is a str: .*open_inventory"),
    ],
)
def test_inventories_that_make_no_series(inventories, message):
    with pytest.raises(InventoryError, match=message):
        gl.area_series(inventories)


# ---- changes of a series


def test_each_with_the_next_and_the_first_with_the_last():
    change = gl.area_change(region([10.0, 9.0, 9.5, 7.0], area_unc_km2=0.5))
    assert change.glacier.unique().tolist() == ["total"]
    assert change[["date_1", "date_2"]].values.tolist() == [
        WINDOWS[:2], WINDOWS[1:3], WINDOWS[2:], [WINDOWS[0], WINDOWS[3]],
    ]  # fmt: skip
    assert change.loss_km2.tolist() == [1, -0.5, 2.5, 3]
    assert change.years.tolist() == [3, 3, 3, 9]
    assert gl.area_change(region([10.0, 9.0])).loss_km2.tolist() == [1]


def test_chen_begins_with_the_first_window_of_the_series():
    change = gl.area_change(region([10.0, 9.0, 9.5, 7.0]), years="chen2022")
    assert change.years.tolist() == [1995 - 1990, 3, 3, 2001 - 1990]


def test_pairs_that_are_asked_for():
    series = region([10.0, 9.0, 9.5, 7.0])
    one = gl.area_change(series, between=("1990-1992", "1996-1998"), years=5)
    assert (one.loss_km2[0], one.rate_km2_per_a[0]) == (0.5, 0.1)
    several = gl.area_change(series, between=[WINDOWS[:2], WINDOWS[1:3]])
    assert several.loss_km2.tolist() == [1, -0.5]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"between": ("1990-1992", "2020")}, UnknownNameError, "Unknown date of the series '2020'"),
        ({"between": (WINDOWS[1], WINDOWS[0])}, InventoryError, "is not before"),
        ({"between": "1990-1992"}, InventoryError, "'1990-1992' is no pair of dates"),
        ({"between": []}, InventoryError, r"\[\] is no pair of dates"),
        ({"between": [WINDOWS[:2], WINDOWS[:3]]}, InventoryError, "is no pair of dates"),
        ({"years": 5}, InventoryError, "of one pair of dates, and here are 4"),
        ({"years": []}, InventoryError, r"years=\[\] counts none"),
    ],
)
def test_changes_that_a_series_does_not_hold(options, error, message):
    with pytest.raises(error, match=message):
        gl.area_change(region([10.0, 9.0, 9.5, 7.0]), **options)


def test_one_date_is_no_change():
    with pytest.raises(InventoryError, match=r"needs two dates, and the series has \['1990-1992'\]"):
        gl.area_change(region([10.0]))


def test_glaciers_with_dates_of_their_own_need_a_window():
    dates = ["1990-08-01", "2000-08-01", "1990-09-02", "2001-08-01"]
    series = pd.DataFrame({"glacier": list("aabb"), "date": dates, "area_km2": [2.0, 1.0, 4.0, 3.0]})
    message = r"4 dates of their own.*table\[table.src_date < '2000'\].*'window'"
    with pytest.raises(InventoryError, match=message):
        gl.area_change(series)
    dated = series.rename(columns={"date": "src_date"})  # as GLIMS has them: what the message says works
    before = dated.src_date < "2000"
    assert gl.area_change(dated[before], dated[~before]).loss_km2.tolist() == [1, 1, 2, 2]
    assert gl.area_series(dated).date.tolist() == ["1990-08-01", "2000-08-01", "1990-09-02", "2001-08-01"]
    change = gl.area_change(series.assign(window=["1990", "2000-2001"] * 2))
    assert change.loss_km2.tolist() == [1, 1, 2, 2]
    assert change.years[:2].tolist() == pytest.approx([10, 10.9], abs=0.05)


# ---- trends


@given(st.lists(st.floats(1, 1e3), min_size=3, max_size=8, unique=True))
@settings(max_examples=20)
def test_least_squares_is_that_of_scipy(areas):
    years = np.arange(1990, 1990 + 3 * len(areas), 3)
    series = region(areas, [f"{year}-{year + 2}" for year in years])
    expected = stats.linregress(years, areas)
    fit = gl.trend(series).loc[0]
    half = stats.t.ppf(0.975, len(areas) - 2) * expected.stderr
    found = [fit.rate_km2_per_a, fit.rate_se_km2_per_a, fit.rate_high_km2_per_a - fit.rate_km2_per_a, fit.r2]
    wanted = [-expected.slope, expected.stderr, half, expected.rvalue**2]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
    assert fit.p_value == pytest.approx(expected.pvalue, rel=1e-4, abs=1e-8)


def test_least_squares_by_hand():
    """Areas 4, 3, 3, 1 at equal steps of 3 years: slope -0.9 a step, residuals -0.1, -0.2, 0.7, -0.4."""
    fit = gl.trend(region([4.0, 3.0, 3.0, 1.0])).loc[0]
    assert fit.rate_km2_per_a == pytest.approx(0.3)
    assert fit.rate_se_km2_per_a == pytest.approx(np.sqrt(0.7 / 2 / 5) / 3)
    assert fit.r2 == pytest.approx(1 - 0.7 / 4.75)
    assert fit.rate_pct_per_a == pytest.approx(7.5)
    low, high = fit.rate_low_km2_per_a, fit.rate_high_km2_per_a
    assert high - low == pytest.approx(2 * 4.302653 * fit.rate_se_km2_per_a, rel=1e-6)  # t(0.975, 2)
    assert fit.significant == (low > 0)


def test_weights_are_those_of_polyfit():
    areas, unc, years = [10.0, 9.5, 7.0, 7.1], [0.1, 0.5, 0.2, 0.3], [1991.5, 1994.5, 1997.5, 2000.5]
    (slope, _), covariance = np.polyfit(years, areas, 1, w=1 / np.array(unc), cov=True)
    fit = gl.trend(region(areas, area_unc_km2=unc), method="weighted").loc[0]
    assert fit.rate_km2_per_a == pytest.approx(-slope, rel=1e-6)
    assert fit.rate_se_km2_per_a == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)


def test_theil_sen_does_not_mind_one_bad_date():
    areas = [20.0 - year for year in range(10)]
    areas[4] = 80.0
    series = region(areas, [str(1990 + year) for year in range(10)])
    fit = gl.trend(series, method="theil_sen").loc[0]
    assert fit.rate_km2_per_a == pytest.approx(1)
    assert abs(gl.trend(series).rate_km2_per_a[0] - 1) > 0.3
    # Kendall's S by hand: 36 falling pairs without the bad date; with it 4 more rise and 5 more fall
    assert fit.tau == pytest.approx((4 - 41) / 45)
    assert fit.rate_low_km2_per_a <= 1 <= fit.rate_high_km2_per_a
    assert fit.significant


def test_slopes_of_four_dates_are_too_few_for_an_interval():
    """Areas of n dates without a trend all fall, or all rise, in 2 / n! of cases, 8 % of four."""
    areas, dates = [9.0, 7.0, 6.0, 5.5, 5.4], [str(1990 + 5 * place) for place in range(5)]
    four, five = (gl.trend(region(areas[:n], dates[:n]), "theil_sen").loc[0] for n in (4, 5))
    assert four.p_value == pytest.approx(2 / 24)
    assert np.isnan([four.rate_low_km2_per_a, four.rate_high_km2_per_a]).all()
    assert five.p_value == pytest.approx(2 / 120)
    assert 0 < five.rate_low_km2_per_a < five.rate_km2_per_a < five.rate_high_km2_per_a


@pytest.mark.parametrize("method", ["ols", "weighted", "theil_sen"])
def test_trends_of_few_dates(method):
    one, two = (gl.trend(region([4.0, 3.0][:n], area_unc_km2=0.1), method).loc[0] for n in (1, 2))
    assert np.isnan(one.rate_km2_per_a)
    assert two.rate_km2_per_a == pytest.approx(1 / 3)
    assert np.isnan([two.rate_low_km2_per_a, two.p_value]).all()
    assert pd.isna(two.significant)


@pytest.mark.parametrize("method", ["ols", "theil_sen"])
def test_windows_around_one_year_have_no_trend(method):
    fit = gl.trend(region([3.0, 2.0, 1.0], ["1986-1988", "1987", "1987-1987"]), method).loc[0]
    assert (fit.year_1, fit.year_2) == (1987.5, 1987.5)
    assert np.isnan(fit.rate_km2_per_a)


def test_trends_a_glacier_and_of_gaps():
    tables = {"1990": inventory([9.0, 4.0]), "1993": inventory([8.0, np.nan]), "1996": inventory([7.0, 4.0])}
    fits = gl.trend(gl.area_series(tables)).set_index("glacier")
    assert fits.rate_km2_per_a.to_dict() == pytest.approx({"a": 1 / 3, "b": 0})
    assert fits.dates.to_dict() == {"a": 3, "b": 2}


def test_steady_areas_have_no_trend_and_a_perfect_line_has():
    steady, line = (gl.trend(region(areas)).loc[0] for areas in ([4.0] * 4, [4.0, 3.0, 2.0, 1.0]))
    assert (steady.rate_km2_per_a, bool(steady.significant)) == (0, False)
    assert (line.rate_km2_per_a, bool(line.significant)) == (pytest.approx(1 / 3), True)


def test_weights_need_errors():
    with pytest.raises(InventoryError, match="needs errors above 0, and 'total' has areas without"):
        gl.trend(region([4.0, 3.0, 2.0]), method="weighted")
    with pytest.raises(UnknownNameError, match="Known: ols, theil_sen, weighted"):
        gl.trend(region([4.0, 3.0]), method="loess")


# ---- real glaciers


@pytest.fixture(scope="module")
def montana(data):
    """39 glaciers of Glacier National Park, by year."""
    files = {"1966": "66", "1998": "98", "2005": "05", "2015": "15"}
    with pytest.warns(DataWarning, match="repaired|invalid"):
        return {y: gl.open_inventory(data / f"gnp_glaciers/polys{k}.json") for y, k in files.items()}


def test_glacier_national_park(montana):
    series = gl.area_series(montana, by="GLACNAME", total="linear")
    totals = series.query("glacier == 'total'").set_index("window").area_km2
    published = {"1966": 21.63, "1998": 16.27, "2005": 15.45, "2015": 14.18}
    assert totals.to_dict() == pytest.approx(published, rel=0.003)
    change = gl.area_change(series[series.glacier != "total"])
    whole = change[(change.date_1 == "1966") & (change.date_2 == "2015")]
    assert len(whole) == 39 + 2
    assert whole.years.unique().tolist() == [49]
    total = whole.set_index("errors_summed").loc["linear"]
    assert total.loss_km2 == pytest.approx(21.63 - 14.18, abs=0.05)
    assert total.loss_pct == pytest.approx(100 * (21.63 - 14.18) / 21.63, abs=0.2)
    # the files' own areas, glacier by glacier
    own = [montana[year].set_index("GLACNAME").AREA / 1e6 for year in ("1966", "2015")]
    losses = whole[whole.errors_summed == ""].set_index("glacier").loss_km2
    np.testing.assert_allclose(losses, (own[0] - own[1])[losses.index], atol=0.02)
    assert gl.trend(series).set_index("glacier").loc["total"].rate_km2_per_a > 0.1


def test_two_inventories_of_montana(montana):
    old, new = (montana[year].assign(src_date=year) for year in ("1998", "2005"))
    change = gl.area_change(old, new, by="GLACNAME")
    assert (change.years == 7).all()
    assert (change.status == "both").all()
    assert change.significant.isna().all()  # no errors were given


def test_svalbard(data):
    table = gl.open_inventory(data / "svalbard_outlines/svalbard.gpkg")
    series = gl.area_series(table.assign(src_date=table.year), by="name", total="linear")
    assert len(series) == 3 * (5 + 1)
    change = gl.area_change(series[series.glacier != "total"])
    totals = series.query("glacier == 'total'").area_km2
    assert totals.tolist() == pytest.approx(
        [32.91, 26.24, 24.95], abs=0.005
    )  # as docs/inventories.md has them
    scale = 0.9996 * (1 + (433_500 - 500_000) ** 2 / (2 * 6.39e6**2))  # of UTM there
    planar = table.assign(km2=table.area / 1e6).pivot(index="name", columns="year", values="km2")
    np.testing.assert_allclose(totals, planar.sum() / scale**2, rtol=1e-5)
    whole = change[(change.date_1 == "1936") & (change.date_2 == "2007")].set_index("glacier")
    assert whole.years.unique().tolist() == [71]
    lost = planar[1936] - planar[2007]
    np.testing.assert_allclose(whole.loss_km2[lost.index], lost, rtol=0.01)
    assert whole.loss_km2["total"].iloc[0] == pytest.approx(lost.sum(), rel=0.01)
    assert (change.loss_km2 > 0).all()
