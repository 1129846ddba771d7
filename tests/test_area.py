"""Areas and the bounds of their errors: the papers' formulas, divides that count for nothing, any place."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import Geod

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, InventoryError, UnknownNameError

WEST, SOUTH = 600_000, 5_200_000
SQUARE = shapely.box(WEST, SOUTH, WEST + 1000, SOUTH + 1000)
BESIDE = shapely.box(WEST + 1000, SOUTH, WEST + 2000, SOUTH + 1000)
BOW = shapely.Polygon([(WEST, SOUTH), (WEST + 900, SOUTH + 900), (WEST + 900, SOUTH), (WEST, SOUTH + 900)])
HOLED = SQUARE.difference(shapely.box(WEST + 400, SOUTH + 400, WEST + 600, SOUTH + 600))
BORDERS = ["buffer", "symmetric_buffer", "perimeter", "pixel_count"]


def table(*shapes, crs="EPSG:32632", **columns):
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def shifted(shape, east):
    return shapely.transform(shape, lambda at: at + np.array([east, 0.0]))


def half_widths(*shapes, method="symmetric_buffer", crs="EPSG:32632", **options):
    return gl.area_uncertainty(table(*shapes, crs=crs), method, **{"pixel_m": 30} | options).area_unc_km2


# ---- the formulas, by hand ----


@pytest.mark.parametrize(
    ("method", "shape", "expected"),
    [
        ("buffer", SQUARE, 1.0609 - 1.0),
        ("symmetric_buffer", SQUARE, (1.0609 - 0.9409) / 2),
        ("perimeter", SQUARE, 0.0600),
        ("symmetric_buffer", HOLED, 0.0720),
        ("perimeter", HOLED, 0.0720),
    ],
)
def test_a_square_kilometer_and_half_a_pixel_of_landsat(method, shape, expected):
    assert half_widths(shape, method=method).tolist() == pytest.approx([expected], abs=1e-9)


def test_round_corners():
    assert half_widths(SQUARE, join="round").item() == pytest.approx(0.059903, abs=5e-7)


@pytest.mark.parametrize(("km2", "percent"), [(0.01, 46.6), (0.1, 23.3), (1, 11.7), (10, 5.9), (100, 2.9)])
def test_the_size_law_of_the_rgi(km2, percent):
    side = 1000 * np.sqrt(km2)
    found = gl.area_uncertainty(table(shapely.box(WEST, SOUTH, WEST + side, SOUTH + side)), "rgi")
    assert 100 * (found.area_unc_km2 / found.area_km2).item() == pytest.approx(percent, abs=0.05)


def test_a_share_that_is_larger_under_debris():
    found = gl.area_uncertainty(table(SQUARE, BESIDE, debris_frac=[0.25, np.nan]), "share", debris_share=0.2)
    assert (found.area_unc_km2 / found.area_km2).tolist() == pytest.approx([0.0875, 0.05])


def test_pixels_along_the_border():
    square = shapely.box(WEST, SOUTH, WEST + 300, SOUTH + 300)  # 10 x 10 pixels, 36 of them on the border
    assert half_widths(square, method="pixel_count").item() == pytest.approx(36 * 450e-6)
    alone = half_widths(square, method="pixel_count", independent=True)
    assert alone.item() == pytest.approx(6 * 450e-6)
    speck = shapely.box(WEST, SOUTH, WEST + 3, SOUTH + 3)
    assert half_widths(speck, method="pixel_count").item() == pytest.approx(450e-6)


@settings(max_examples=20)
@given(arrays(bool, (7, 9)))
def test_border_pixels_are_those_of_an_erosion(present):
    from scipy.ndimage import binary_erosion

    cells = [shapely.box(x, -y, x + 1, 1 - y) for y, x in np.argwhere(present)]
    if not cells:
        return
    whole = shapely.transform(shapely.union_all(cells), lambda at: at * 30 + [WEST, SOUTH])
    parts = shapely.get_parts(whole)
    expected = (present & ~binary_erosion(present)).sum() * 450e-6
    assert half_widths(*parts, method="pixel_count").sum() == pytest.approx(expected)


# ---- divides ----


@pytest.mark.parametrize(("apart", "expected"), [(True, 0.120), (False, 0.090)])
def test_a_divide_is_no_border(apart, expected):
    second = shifted(BESIDE, 5000 * apart)
    found = half_widths(SQUARE, second)
    assert found.tolist() == pytest.approx([expected / 2] * 2)
    total = gl.change.area_total(gl.area_uncertainty(table(SQUARE, second), pixel_m=30))
    assert total.area_unc_linear_km2.item() == pytest.approx(expected)
    assert total.area_unc_rss_km2.item() == pytest.approx(expected / np.sqrt(2))


@pytest.mark.parametrize("method", ["buffer", "symmetric_buffer", "perimeter"])
@settings(max_examples=15)
@given(owners=arrays("uint8", (3, 4), elements=st.integers(0, 3)))
def test_the_parts_of_an_ice_mass_sum_to_the_whole(method, owners):
    """Whatever the divides, the sum of the errors is that of the ice without them."""
    cells = {}
    for (y, x), owner in np.ndenumerate(owners):
        west, south = WEST + 300 * x, SOUTH + 300 * y
        cells.setdefault(owner, []).append(shapely.box(west, south, west + 300, south + 300))
    parts = [shapely.union_all(of_one) for owner, of_one in cells.items() if owner]
    if not parts:
        return
    whole = list(shapely.get_parts(shapely.union_all(parts)))
    found = half_widths(*parts, method=method)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(half_widths(*whole, method=method).sum(), rel=1e-6)


def test_a_glacier_within_another_has_no_border():
    inner = shapely.box(WEST + 400, SOUTH + 400, WEST + 600, SOUTH + 600)
    assert half_widths(HOLED, inner).tolist() == pytest.approx([0.06, 0.0])


def test_gaps_of_rounding_are_closed():
    """A divide whose sides have other vertices opens by fractions of a millimeter in another CRS."""
    left = shapely.Polygon(
        [(WEST, SOUTH), (WEST + 1000, SOUTH), (WEST + 1000, SOUTH + 1000), (WEST, SOUTH + 1000)]
    )
    corners = [(1000, 0), (2000, 0), (2000, 1000), (1000, 1000), (1000, 700), (1000, 333), (1000, 0)]
    right = shapely.Polygon([(WEST + x, SOUTH + y) for x, y in corners])
    degrees = table(left, right).to_crs("EPSG:4326")
    assert gl.area_uncertainty(degrees, pixel_m=30).area_unc_km2.sum() == pytest.approx(0.09, rel=1e-3)


def test_a_lake_does_not_join_glaciers_and_debris_does():
    kinds = [("clean_ice", "debris_covered_ice", 0.09), ("glacier", "glacial_lake", 0.12)]
    for *classes, expected in kinds:
        found = gl.area_uncertainty(table(SQUARE, BESIDE, **{"class": classes}), pixel_m=30)
        assert found.area_unc_km2.sum() == pytest.approx(expected)


# ---- several dates, and what is told twice ----


def of_two_dates():
    """Two neighbors at two dates, of which the second retreats: each touches both outlines of the other."""
    shorter = shapely.box(WEST + 1000, SOUTH, WEST + 1600, SOUTH + 1000)
    shapes = SQUARE, BESIDE, SQUARE, shorter
    return table(*shapes, rgi_id=["a", "b"] * 2, src_date=["1990-08-01"] * 2 + ["2007-08-01"] * 2)


def date_by_date(outlines, measure):
    return pd.concat([measure(own) for _, own in outlines.groupby("src_date")]).sort_index()


@pytest.mark.parametrize("method", BORDERS)
def test_a_table_of_several_dates_is_measured_date_by_date(method):
    outlines = of_two_dates()
    found = gl.area_uncertainty(outlines, method, pixel_m=30)
    expected = date_by_date(outlines, lambda own: gl.area_uncertainty(own, method, pixel_m=30))
    pd.testing.assert_series_equal(found.area_unc_km2, expected.area_unc_km2)
    assert (found.area_unc_km2 > 0.01).all()


def test_five_glaciers_of_svalbard_at_three_dates(data):
    path, names = data / "svalbard_outlines/svalbard.gpkg", {"glac_name": "name", "src_date": "year"}
    outlines = gl.open_inventory(path, columns=names)
    found = gl.area_uncertainty(outlines, pixel_m=30).area_unc_km2
    expected = date_by_date(outlines, lambda own: gl.area_uncertainty(own, pixel_m=30)).area_unc_km2
    pd.testing.assert_series_equal(found, expected)


def test_an_inventory_from_scenes_of_several_days_keeps_its_divides():
    outlines = table(SQUARE, BESIDE, src_date=["2003-08-13", "2003-08-14"])
    assert gl.area_uncertainty(outlines, pixel_m=30).area_unc_km2.tolist() == pytest.approx([0.045] * 2)


def test_what_is_told_twice_keeps_its_error():
    with pytest.warns(
        DataWarning, match="1 of 2 outlines lie on others of their date, such as row 1 on row 0"
    ):
        assert half_widths(SQUARE, SQUARE).tolist() == pytest.approx([0.06] * 2)
    with pytest.warns(DataWarning, match="1 of 3 outlines lie on others"):
        assert half_widths(SQUARE, SQUARE, BESIDE).tolist() == pytest.approx([0.045, 0.06, 0.045])
    with pytest.warns(DataWarning, match="2 of 4 outlines lie on others"):  # two analyses of both
        assert half_widths(BESIDE, SQUARE, SQUARE, BESIDE).tolist() == pytest.approx([0.045] * 4)


def test_neighbors_that_overlap_a_little_are_neighbors():
    over = shapely.box(WEST + 990, SOUTH, WEST + 2000, SOUTH + 1000)
    assert half_widths(SQUARE, over).sum() == pytest.approx(half_widths(SQUARE, BESIDE).sum())


# ---- anywhere ----


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:25833"])
@pytest.mark.parametrize("method", BORDERS)
def test_any_crs(crs, method):
    """The error goes by meters on the ground, the area by the ellipsoid."""
    moved = table(SQUARE, BESIDE).to_crs(crs)
    found = gl.area_uncertainty(moved, method, pixel_m=30)
    assert found.crs == moved.crs
    assert found.area_unc_km2.sum() == pytest.approx(
        half_widths(SQUARE, BESIDE, method=method).sum(), rel=0.01
    )
    expected = Geod(ellps="WGS84").geometry_area_perimeter(
        shapely.orient_polygons(table(SQUARE).to_crs("EPSG:4326").geometry[0])
    )
    assert found.area_km2[0] == pytest.approx(expected[0] / 1e6, rel=1e-5)


def test_across_the_antimeridian():
    west, east = shapely.box(179.98, 70, 180, 70.01), shapely.box(-180, 70, -179.98, 70.01)
    elsewhere = shapely.box(9.98, 70, 10.02, 70.01)
    expected = half_widths(elsewhere, crs="EPSG:4326").item()
    assert half_widths(west, east, crs="EPSG:4326").sum() == pytest.approx(expected, rel=1e-3)
    both = shapely.MultiPolygon([west, east])
    assert half_widths(both, elsewhere, crs="EPSG:4326").tolist() == pytest.approx([expected] * 2, rel=1e-3)


@pytest.mark.parametrize(("crs", "scale"), [("EPSG:3031", 0.9728), ("EPSG:3413", 0.9699)])
def test_near_the_poles(crs, scale):
    """Polar stereographic maps are smaller there (by EPSG's formulas) than the ground."""
    side = 1000 * scale
    cap = shapely.box(0, 20_000, side, 20_000 + side)
    found = gl.area_uncertainty(table(cap, crs=crs), pixel_m=30)
    assert found.area_km2.item() == pytest.approx(1.0, rel=0.002)
    assert found.area_unc_km2.item() == pytest.approx(0.06, rel=0.01)


def test_rows_stay_as_they_were():
    named = table(SQUARE, shifted(SQUARE, 9000), rgi_id=["b", "a"])
    named.index = [7, 3]
    found = gl.area_uncertainty(named, pixel_m=30)
    assert found.index.tolist() == [7, 3]
    assert found.rgi_id.tolist() == ["b", "a"]
    assert set(found.area_unc_kind) == {"bound"}
    assert "area_km2" not in named


def test_the_pixel_is_told_by_outlines_of_a_map(made):
    outlines = gl.vectorize(made["truth"], classes=["clean_ice"])
    told = gl.area_uncertainty(outlines)
    assert told.attrs["area_unc"] == "symmetric_buffer, 15 m"
    pd.testing.assert_series_equal(told.area_unc_km2, gl.area_uncertainty(outlines, pixel_m=30).area_unc_km2)


def test_empty_tables():
    for method in gl.change.area.METHODS:
        found = gl.area_uncertainty(table(SQUARE)[:0], method, pixel_m=30)
        assert {"area_km2", "area_unc_km2", "area_unc_kind"} <= set(found)
    assert gl.change.area_total(found).area_km2.item() == 0


# ---- totals ----


def test_totals_of_calibrated_errors_keep_their_parts():
    parts = dict(area_sd_independent_km2=[0.3, 0.4], area_sd_correlated_km2=[0.1, 0.2])
    rows = pd.DataFrame(dict(area_km2=[1.0, 2.0], area_unc_km2=[0.6, 0.8], area_unc_kind="95 %", **parts))
    total = gl.change.area_total(rows).iloc[0]
    assert total.area_unc_linear_km2 == pytest.approx(1.4)
    assert total.area_unc_rss_km2 == pytest.approx(1.0)
    assert total.area_unc_km2 == pytest.approx(1.96 * np.hypot(0.5, 0.3))
    assert total.area_unc_kind == "95 %"


def test_what_one_glacier_lacks_no_total_has():
    rows = pd.DataFrame(dict(area_km2=[1.0, 2.0], area_unc_km2=[0.1, np.nan], area_unc_kind="bound"))
    total = gl.change.area_total(rows).iloc[0]
    assert total.area_km2 == 3
    assert np.isnan([total.area_unc_linear_km2, total.area_unc_rss_km2]).all()


def test_bounds_and_intervals_do_not_add_up():
    rows = pd.DataFrame(dict(area_km2=[1.0, 2.0], area_unc_km2=0.1, area_unc_kind=["bound", "95 %"]))
    with pytest.raises(InventoryError, match="do not add up"):
        gl.change.area_total(rows)


@pytest.mark.parametrize("ids", [["a", "b"] * 2, None])
def test_a_total_is_of_one_date(ids):
    outlines = gl.area_uncertainty(of_two_dates(), pixel_m=30)
    outlines = outlines.drop(columns="rgi_id") if ids is None else outlines.assign(rgi_id=ids)
    with pytest.raises(InventoryError, match=r"several \('1990-08-01', '2007-08-01'\): choose one"):
        gl.change.area_total(outlines)
    assert gl.change.area_total(outlines[:2]).glaciers.item() == 2


def test_a_total_of_scenes_of_several_days_needs_ids():
    outlines = table(SQUARE, BESIDE, rgi_id=["a", "b"], src_date=["2003-08-13", "2003-08-14"])
    assert gl.change.area_total(gl.area_uncertainty(outlines, pixel_m=30)).glaciers.item() == 2


def test_a_total_is_not_counted_in():
    rows = pd.DataFrame(dict(area_km2=[1.0, 2.0, 3.0], area_unc_km2=0.1, area_unc_kind="bound"))
    with pytest.raises(InventoryError, match="A glacier is called 'total'"):
        gl.change.area_total(rows.assign(glac_name=["x", "y", "total"]))


# ---- bad input ----


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        (table(SQUARE), dict(method="bufer", pixel_m=30), UnknownNameError, "Did you mean 'buffer'"),
        (table(SQUARE), {}, InventoryError, "pixel_m=30"),
        (table(SQUARE), dict(method="pixel_count", buffer_m=15), InventoryError, "pixel_m=30"),
        (table(SQUARE), dict(buffer_m=-1), GlacierlabError, "buffer_m=-1"),
        (table(SQUARE), dict(pixel_m=np.inf), GlacierlabError, "pixel_m=inf"),
        (table(SQUARE), dict(pixel_m=30, join="bevel"), GlacierlabError, "'mitre' or 'round'"),
        (table(SQUARE, crs=None), dict(pixel_m=30), InventoryError, "set_crs"),
        (table(shapely.Point(0, 0)), dict(pixel_m=30), InventoryError, "needs polygons"),
        (
            table(SQUARE, BOW, rgi_id=["a", "b"]),
            dict(pixel_m=30),
            InventoryError,
            r"1 of 2 outlines are invalid, the first in row 1: Self-intersection.*repairs",
        ),
        (table(BOW), dict(method="rgi"), InventoryError, "are invalid"),
        (table(BOW), dict(method="share"), InventoryError, "are invalid"),
        (pd.DataFrame({"area_km2": [1]}), {}, InventoryError, "GeoDataFrame"),
    ],
)
def test_bad_input_says_what_to_do(rows, options, error, message):
    with pytest.raises(error, match=message):
        gl.area_uncertainty(rows, **options)


def test_totals_need_errors():
    with pytest.raises(InventoryError, match="run area_uncertainty"):
        gl.change.area_total(table(SQUARE))
