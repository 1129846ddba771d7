"""Totals of chosen glaciers, and glaciers by region: the same as the whole package says, only faster."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.change.grouping import regions_of
from glacierlab.change.totals import change_total, ledger, series_total
from glacierlab.errors import InventoryError, UnknownNameError

PARTS = ["area_sd_independent_km2", "area_sd_correlated_km2"]


@pytest.fixture(scope="module")
def series():
    """Twelve glaciers at four dates, some missing, with dates of their own."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        [(f"g{n}", year) for year in (1990, 2000, 2010, 2020) for n in range(12)],
        columns=["glacier", "window"],
    )
    rows["date"] = [f"{year}-{7 + n % 3:02d}-1{n % 9}" for n, year in enumerate(rows["window"])]
    rows["window"] = rows["window"].astype(str)
    rows["area_km2"] = rng.uniform(0.1, 9, len(rows))
    rows["area_unc_km2"] = 0.07 * rows["area_km2"]
    rows["area_unc_kind"] = "bound"
    return rows.drop(index=[3, 20, 40])


def calibrated(series):
    parts = dict(zip(PARTS, (0.03 * series["area_km2"], 0.04 * series["area_km2"]), strict=True))
    half = 1.96 * 0.05 * series["area_km2"]
    return series.assign(area_unc_kind="95 %", area_unc_km2=half, **parts)


@given(chosen=st.sets(st.integers(0, 11), min_size=1))
@pytest.mark.parametrize("how", ["linear", "root-sum-square", "parts"])
def test_sums_are_those_of_area_series(series, how, chosen):
    rows = calibrated(series) if how == "parts" else series
    some = rows[rows["glacier"].isin({f"g{n}" for n in chosen})]
    expected = gl.area_series(some, total=how, missing="vanished").query("glacier == 'total'")
    book = ledger(rows)
    found = series_total(book, book.glaciers.isin(some["glacier"]), how)
    pd.testing.assert_frame_equal(found, expected[found.columns].reset_index(drop=True))
    pd.testing.assert_frame_equal(gl.trend(found), gl.trend(expected))


@pytest.mark.parametrize("given_parts", [False, True])
def test_changes_are_those_of_area_change(series, given_parts):
    rows = calibrated(series) if given_parts else series
    book = ledger(rows)
    groups = {"few": book.glaciers.isin(["g1", "g3", "g8"]), "all": slice(None)}
    found = change_total(book, groups, "2000", "2020")
    for name, chosen in groups.items():
        some = rows[rows["glacier"].isin(book.glaciers[chosen])]
        expected = gl.area_change(some, between=("2000", "2020"), missing="vanished").query(
            "glacier == 'total'"
        )
        ours = found[found["group"] == name].reset_index(drop=True)
        assert ours["errors_summed"].tolist() == book.sums == expected["errors_summed"].tolist()
        shared = [column for column in ours if column in expected and column not in ("status", "significant")]
        pd.testing.assert_frame_equal(
            ours[shared], expected[shared].reset_index(drop=True), check_dtype=False
        )
        assert ours["significant"].tolist() == expected["significant"].tolist()
    assert found["glaciers"].tolist()[:1] == [3]


def test_two_sums_by_hand():
    """Errors of 3 and 4 at one date, none at the other: 7 together, 5 in quadrature."""
    rows = pd.DataFrame({"glacier": ["a", "b"] * 2, "window": ["2000"] * 2 + ["2010"] * 2})
    rows = rows.assign(area_km2=[20.0, 30.0, 15.0, 25.0], area_unc_km2=[3.0, 4.0, 0.0, 0.0])
    found = change_total(ledger(rows)).set_index("errors_summed")
    assert found["loss_unc_km2"].to_dict() == pytest.approx({"linear": 7.0, "root-sum-square": 5.0})
    assert found["loss_km2"].tolist() == pytest.approx([10.0, 10.0])
    assert found["rate_km2_per_a"].tolist() == pytest.approx([1.0, 1.0], rel=1e-3)


def test_no_glaciers_have_no_total(series):
    book = ledger(series)
    none = np.zeros(len(book.glaciers), bool)
    assert series_total(book, none).empty
    assert change_total(book, {"none": none})["glaciers"].tolist() == [0, 0]


def test_bad_questions(series):
    book = ledger(series)
    with pytest.raises(InventoryError, match="earlier first"):
        change_total(book, first="2020", last="2000")
    with pytest.raises(UnknownNameError, match="date of the series '1850'"):
        change_total(book, first="1850")
    with pytest.raises(InventoryError, match="all are calibrated"):
        series_total(book, how="parts")


# ---- by region


def boxes(*bounds, crs="EPSG:32632", **columns):
    shapes = [shapely.affinity.translate(shapely.box(*b), 5e5, 5e6) for b in bounds]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def test_a_glacier_is_in_the_region_that_has_most_of_it():
    glaciers = boxes((0, 0, 100, 100), (180, 0, 280, 100), (900, 0, 950, 50))
    regions = boxes((-500, -500, 200, 500), (200, -500, 800, 500), Basin=["west", "east"]).to_crs("EPSG:4326")
    assert regions_of(glaciers, regions).tolist() == ["west", "east", ""]
    glaciers.index = [7, 3, 5]
    assert regions_of(glaciers, regions, "Basin").to_dict() == {7: "west", 3: "east", 5: ""}


def test_layers_that_name_no_region():
    glaciers, regions = boxes((0, 0, 100, 100)), boxes((0, 0, 500, 500), size=[1])
    with pytest.raises(InventoryError, match="No column of 'size' names the regions"):
        regions_of(glaciers, regions)
    with pytest.raises(InventoryError, match="no column 'land', but 'size'"):
        regions_of(glaciers, regions, "land")
    with pytest.raises(InventoryError, match="needs a CRS"):
        regions_of(glaciers, regions.set_crs(None, allow_override=True))
