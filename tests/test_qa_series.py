"""The quality report of areas through time; Chen et al. 2022, Table V(a), with its slip by ten."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import glacierlab as gl
from glacierlab.errors import InventoryError

qa = gl.outlines.qa


@pytest.fixture
def chen():
    names = {"period": "window", "uncertainty_km2": "area_unc_km2"}
    return gl.tables.published("chen2022_table5a_areas").rename(columns=names)


def corrected(chen):
    return chen.assign(area_unc_km2=chen.uncertainty_corrected_km2)


def good():
    """Two parts and their total at three dates, shrinking."""
    dates = ["1990-08-01", "2000-08-01", "2010-08-01"]
    areas = {"a": [10.0, 9.0, 8.0], "b": [2.0, 1.9, 1.5], "total": [12.0, 10.9, 9.5]}
    errors = {"a": 0.4, "b": 0.1, "total": 0.5}
    rows = [(n, d, a, errors[n]) for n in areas for d, a in zip(dates, areas[n], strict=True)]
    return pd.DataFrame(rows, columns=["glacier", "date", "area_km2", "area_unc_km2"])


def put(column, value, row):
    table = good().astype({column: object})
    table.at[row, column] = value
    return table


# ---- the published slip ----


def test_the_tenfold_slip_of_chen_2022(chen):
    found = qa(chen).groupby("finding")
    assert set(found.groups) == {"uncertainties_do_not_sum", "misplaced_decimal", "uncertainty_out_of_line"}
    slips = found.get_group("misplaced_decimal")
    assert len(slips) == 12  # periods
    assert set(slips.id) == {"testing_area_2"}
    assert set(slips.value) == {0.1}
    told = chen.area_unc_km2[slips.row.astype(int)] * slips.value.to_numpy()
    np.testing.assert_allclose(told, chen.uncertainty_corrected_km2[slips.row.astype(int)])
    assert slips.evidence.iloc[0] == "area_unc_km2 41.05: with 4.105 the parts come to the total, 72.69"
    sums = found.get_group("uncertainties_do_not_sum")
    assert set(sums.id) == {"total"}
    assert sums.evidence.iloc[0] == "parts: sum 109.64, root-sum-square 59.93"
    lines = found.get_group("uncertainty_out_of_line")
    assert set(lines.id) == {"testing_area_2"}
    assert len(lines) == 12
    assert lines.evidence.iloc[0] == "34.4% of the area"


def test_the_corrected_column_is_in_order(chen):
    assert qa(corrected(chen)).empty


def test_no_silent_fix(chen):
    table, found = qa(chen, repair=True)
    assert_frame_equal(table, chen)
    assert (found.done == "").all()


def test_areas_of_chen_2022_rise_by_less_than_their_errors(chen):
    """4.47, 5.07 and 0.01 km² from one window to the next (evaluation of the paper's table)."""
    certain = corrected(chen).assign(area_unc_km2=lambda t: t.area_unc_km2 / 1e4)
    rises = qa(certain, rounding_km2=1e9)
    assert rises.finding.unique().tolist() == ["area_rises"]
    assert sorted(rises.value.round(2)) == [0.01, 4.47, 5.07]


# ---- every finding, where it must be told and where not ----


def test_nothing_is_found_where_nothing_is_wrong():
    assert qa(good()).empty
    assert qa(good().rename(columns={"glacier": "region"}).drop(index=[6, 7, 8])).empty


CASES = {
    "dates_out_of_order": (good().iloc[[1, 0, 2]], 0, 3653),
    "duplicate_row": (good().iloc[[0, 1, 2, 2]], 2, np.nan),
    "uncertainty_missing": (put("area_unc_km2", None, 1).iloc[:3], 1, np.nan),
    "negative": (put("area_unc_km2", -0.4, 1).iloc[:3], 1, -0.4),
    "no_number": (put("area_km2", "ten", 0).iloc[:3], 0, np.nan),
    "areas_do_not_sum": (put("area_km2", 12.1, 6), 6, 12.1),
    "uncertainties_do_not_sum": (put("area_unc_km2", 0.45, 6), 6, 0.45),
    "uncertainty_out_of_line": (put("area_unc_km2", 1.5, 1).iloc[:3], 1, np.nan),
    "date_missing": (put("date", "", 1).iloc[:3], 1, np.nan),
    "date_unreadable": (put("date", "2000/13/01", 1).iloc[:3], 1, np.nan),
    "date_in_future": (put("date", "2999", 2).iloc[:3], 2, np.nan),
    "date_reversed": (put("date", "2002-1999", 1).iloc[:3], 1, np.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_finding(name):
    table, row, value = CASES[name]
    found = qa(table)
    assert set(found.finding) == {name}
    assert found.row.iloc[0] == row
    if not np.isnan(value):
        assert found.value.iloc[0] == pytest.approx(value)


def test_a_rise_is_told_above_both_errors():
    # errors of 0.3 and 0.4 together are 0.5
    table = pd.DataFrame({"glacier": "a", "date": [1990, 2000], "area_unc_km2": [0.3, 0.4]})
    assert qa(table.assign(area_km2=[9.0, 9.49])).empty
    found = qa(table.assign(area_km2=[9.0, 9.51]))
    assert found[["finding", "row", "id"]].values.tolist() == [["area_rises", 1, "a"]]
    assert found.value[0] == pytest.approx(0.51)
    assert found.evidence[0] == "errors together 0.5 km²"
    bare = table.drop(columns="area_unc_km2").assign(area_km2=[9.0, 9.1])
    assert qa(bare).finding.tolist() == ["uncertainty_missing"] * 2 + ["area_rises"]


def test_sums_within_rounding_and_both_ways():
    independent = good()
    independent.loc[independent.glacier == "total", "area_unc_km2"] = round(np.hypot(0.4, 0.1), 2)
    assert qa(independent).empty
    nearly = put("area_km2", 12.015, 6)  # three numbers, each off by half of 0.01
    assert qa(nearly).empty
    assert qa(put("area_km2", 12.016, 6)).finding.tolist() == ["areas_do_not_sum"]
    assert qa(put("area_km2", 12.016, 6), rounding_km2=0.1).empty
    named = good().replace({"total": "all"})
    assert qa(named).empty  # a part like others
    assert (
        qa(named.assign(area_km2=named.area_km2 + (named.glacier == "all")), total="all").finding.tolist()
        == ["areas_do_not_sum"] * 3
    )


def test_uncertainties_are_compared_at_equal_size():
    law = pd.DataFrame({"glacier": list("abcde"), "date": "2000", "area_km2": [0.01, 0.1, 1.0, 10.0, 100.0]})
    law["area_unc_km2"] = 3 * 0.039 * law.area_km2**0.7  # 46.6 % to 2.9 %, RGI's law
    assert qa(law).empty
    law.loc[2, "area_unc_km2"] /= 10
    assert qa(law)[["row", "finding"]].values.tolist() == [[2, "uncertainty_out_of_line"]]
    assert qa(law, max_ratio=11).empty


def test_dates_out_of_order_are_sorted_on_request():
    table, found = qa(good().iloc[[2, 0, 1]], repair=True)
    assert found.done.tolist() == ["sorted by date"]
    assert table.index.tolist() == [0, 1, 2]


def test_windows_dates_and_years_are_read():
    texts = ["1986-1988", "1989-1991"], ["1986", "1989-05"], ["1986-07-01/1988-09-30", "1989"]
    for dates in (*texts, [1986, 1989], [1986.0, 1989.0], pd.to_datetime(["1986-07-01", "1989-07-01"])):
        table = pd.DataFrame({"glacier": "a", "date": dates, "area_km2": [2.0, 1.0], "area_unc_km2": 0.1})
        assert qa(table, max_ratio=9).empty
        assert qa(table[::-1], max_ratio=9).finding.tolist() == ["dates_out_of_order"]


def test_what_is_no_series_is_refused():
    with pytest.raises(
        InventoryError, match=r"glacier, date or window, and area_km2; this table has \['glacier'"
    ):
        qa(good().drop(columns="area_km2"))
    with pytest.raises(InventoryError, match="Rename its columns"):
        qa(good().drop(columns="date"))


CELLS = st.sampled_from([None, np.nan, np.inf, "", "x", -1.0, 0.0, 3.5, "1990", "2002-1999", pd.NaT, "total"])


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=5))
def test_no_series_is_too_bad(rows):
    table = pd.DataFrame(rows, columns=["glacier", "date", "area_km2", "area_unc_km2"], dtype=object)
    mended, found = qa(table, repair=True)
    assert len(mended) == len(table)
    assert set(found.severity) <= {"error", "warning"}
