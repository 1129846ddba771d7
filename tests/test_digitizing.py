"""The error of digitizing: by hand from circles and squares, and what must always hold."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierlab.change.digitizing import digitizing_error
from glacierlab.errors import GlacierlabError, InventoryError

X, Y, UTM = 500_000.0, 5_200_000.0, "EPSG:32632"


def table(shapes, crs=UTM, **columns):
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=UTM).to_crs(crs)


def disk(radius, east=0.0, **columns):
    return table([shapely.Point(X + east, Y).buffer(radius, 512)], **columns)


def drawn(*radii):
    return {f"analyst {n}": disk(radius) for n, radius in enumerate(radii)}


# ---- by hand


def test_circles_of_three_analysts():
    radii = np.array([1000.0, 1020.0, 1060.0])
    (row,) = digitizing_error(drawn(*radii)).itertuples()
    km2 = np.pi * radii**2 / 1e6
    assert row.n == 3
    assert row.area_km2 == pytest.approx(km2.mean(), rel=1e-3)
    assert row.sd_pct == pytest.approx(100 * km2.std(ddof=1) / km2.mean(), rel=1e-3)
    assert row.sd_km2 == pytest.approx(row.sd_pct * row.area_km2 / 100)
    assert row.range_pct == pytest.approx(100 * (km2[2] - km2[0]) / km2.mean(), rel=1e-3)
    # gaps of 20, 40 and 60 m, each as often as its two circles have points: by their circumferences
    gaps, around = np.array([20, 60, 40]), np.array([2020, 2060, 2080])
    assert row.distance_mean_m == pytest.approx((gaps * around).sum() / around.sum(), rel=1e-3)
    assert row.distance_p95_m == pytest.approx(60, abs=0.1)
    pairs = [(1000 / 1020) ** 2, (1000 / 1060) ** 2, (1020 / 1060) ** 2]
    assert row.iou == pytest.approx(np.mean(pairs), rel=1e-3)


def test_squares_side_by_side_have_one_area_and_are_apart_all_the_same():
    one, two = (table([shapely.box(X + east, Y, X + east + 1000, Y + 1000)]) for east in (0, 100))
    (row,) = digitizing_error({"Ana": one, "Ben": two}).itertuples()
    assert row.sd_pct == pytest.approx(0, abs=1e-3)
    assert row.iou == pytest.approx(900 / 1100, rel=1e-3)
    # Of each border: the side outside is 100 m away; the one inside at most 100, nearer to the ends (distance
    # to the nearest of three sides); of north and south 900 m lie on the other's, 100 m are 50 m away or so
    inside = np.minimum(100, np.minimum(np.arange(1000), 1000 - np.arange(1000))).mean()
    assert row.distance_mean_m == pytest.approx((1000 * 100 + 1000 * inside + 2 * 100 * 50) / 4000, rel=1e-2)


def test_a_hole_that_one_alone_drew_counts_by_its_border():
    full = table([shapely.box(X, Y, X + 1000, Y + 1000)])
    holed = table([shapely.box(X, Y, X + 1000, Y + 1000) - shapely.box(X + 400, Y + 400, X + 600, Y + 600)])
    (row,) = digitizing_error({"Ana": full, "Ben": holed}).itertuples()
    # of 4000 + 4800 m of border, 800 m are 400 m from the other's
    assert row.distance_mean_m == pytest.approx(800 * 400 / 8800, rel=1e-2)
    assert row.range_pct == pytest.approx(100 * 0.04 / 0.98, rel=1e-3)


# ---- which is which


def glaciers(shift=0.0, **columns):
    return table([shapely.Point(X + 5000 * n + shift, Y).buffer(1000 + 100 * n) for n in range(3)], **columns)


def test_glaciers_are_those_of_one_id():
    ana, ben = glaciers(rgi_id=["a", "b", "c"]), glaciers(rgi_id=["c", "b", "a"])
    found = digitizing_error({"Ana": ana, "Ben": ben}).set_index("glacier")
    assert found.iou.to_dict() == {"a": 0, "b": pytest.approx(1, abs=1e-6), "c": 0}
    assert digitizing_error({"Ana": ana, "Ben": ben.rename(columns={"rgi_id": "x"})}).iou.min() > 0.999


def test_glaciers_without_ids_are_those_that_lie_on_each_other_and_one_may_lack():
    found = digitizing_error(
        {"Ana": glaciers(), "Ben": glaciers(50.0).iloc[[2, 0]], "Cyd": glaciers().iloc[:2]}
    )
    assert found.n.tolist() == [2, 2, 3]  # the largest first
    assert found.distance_mean_m.notna().all()
    alone = digitizing_error({"Ana": glaciers(), "Ben": glaciers().iloc[:2]})
    assert alone.n.tolist() == [1, 2, 2]
    assert alone.drop(columns=["glacier", "n", "area_km2"]).iloc[0].isna().all()


def test_parts_of_one_glacier_are_added():
    whole = table([shapely.box(X, Y, X + 1000, Y + 1000)], glac_name=["Zemu"])
    halves = [shapely.box(X, Y, X + 500, Y + 1000), shapely.box(X + 500, Y, X + 1000, Y + 1000)]
    (row,) = digitizing_error({"Ana": whole, "Ben": table(halves, glac_name=["Zemu"] * 2)}).itertuples()
    assert (row.n, row.iou) == (2, pytest.approx(1))
    assert row.distance_mean_m == pytest.approx(0, abs=1e-3)


# ---- laws


@settings(max_examples=15)
@given(
    radii=st.lists(st.floats(200, 2000), min_size=2, max_size=3),
    crs=st.sampled_from(["EPSG:4326", "EPSG:3857", UTM]),
)
def test_neither_the_order_of_analysts_nor_the_crs_matters(radii, crs):
    found = digitizing_error(drawn(*radii), step_m=50)
    again = {name: outlines.to_crs(crs) for name, outlines in reversed(drawn(*radii).items())}
    again = digitizing_error(again, step_m=50)
    numbers = found.columns.drop("glacier")
    np.testing.assert_allclose(again[numbers], found[numbers], rtol=1e-5, atol=1e-3)
    assert (found.distance_p95_m >= 0).all()
    assert found.iou.between(0, 1 + 1e-9).all()


def test_the_same_outline_twice_has_no_error():
    (row,) = digitizing_error({"Ana": disk(900), "Ana again": disk(900)}).itertuples()
    assert (row.sd_km2, row.range_pct, row.iou) == (0, 0, pytest.approx(1))
    assert row.distance_p95_m == pytest.approx(0, abs=1e-6)


# ---- what cannot be compared


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        ([disk(1), disk(2)], {}, "two analysts or more"),
        ({"Ana": disk(1)}, {}, "two analysts or more"),
        (drawn(100, 200), {"step_m": 0}, "give a distance in meters"),
        (drawn(100, 200), {"by": "name"}, "no column 'name'"),
        (drawn(100, 200), {"min_overlap": 2}, "no share"),
    ],
)
def test_bad_input_is_told(given, options, told):
    with pytest.raises((InventoryError, GlacierlabError), match=told):
        digitizing_error(given, **options)
