"""Lesson 9: dates of a made world, borders that are moved, and verdicts of its exercises."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import InventoryError
from glacierlab.teach import changing_glaciers

EAST, NORTH, CRS = 500_000, 5_200_000, "EPSG:32632"
YEARS = (1987, 2020)


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


def table(*boxes):
    shapes = [shapely.box(EAST + w, NORTH + s, EAST + e, NORTH + n) for w, s, e, n in boxes]
    return gpd.GeoDataFrame({"glac_id": [f"g{i}" for i in range(len(shapes))]}, geometry=shapes, crs=CRS)


# ---- twelve dates, here two


@pytest.fixture(scope="module")
def world():
    return gl.synthetic_world(40, YEARS, (120, 120))


@pytest.fixture(scope="module")
def maps(world):
    return teach.mapped_dates(world)


def test_windows_are_named_by_their_years():
    assert [changing_glaciers.window_of(year) for year in YEARS] == ["1986-1988", "2019-2021"]


def test_dates_are_mapped_with_names_of_the_inventory(world, maps):
    assert list(maps) == ["1986-1988", "2019-2021"]
    known = set(world.outlines(1987).glac_id)
    for year, outlines in zip(YEARS, maps.values(), strict=True):
        assert list(outlines.columns) == ["glac_id", "geometry", "src_date"]
        assert set(outlines.glac_id) <= known
        assert outlines.glac_id.is_unique
        assert outlines.is_valid.all()
        assert (outlines.area >= 10_000).all()
        assert set(outlines.src_date.str[:4]) == {str(year)}


def test_maps_are_near_the_truth_and_not_the_truth(world, maps):
    for window, outlines in teach.true_dates(world).items():
        assert set(outlines.src_date) == set(maps[window].src_date)
        both = maps[window].merge(outlines, on="glac_id", suffixes=("", "_true"))
        both = both[both.geometry_true.area > 100_000]
        assert len(both) >= 3
        off = both.geometry.area / both.geometry_true.area
        assert (off > 0.8).all()
        assert (off < 1.4).all()
        assert (off != 1).all()


def test_a_newer_inventory_names_glaciers_as_well(world):
    later = world.outlines(2020).iloc[:2]
    found = teach.mapped_dates(world, later)
    assert set(found["1986-1988"].glac_id) <= set(later.glac_id)


# ---- moved borders, by hand


def test_borders_move_outward_and_inward():
    square = table((0, 0, 1000, 1000))
    assert teach.moved(square, 100).area.item() == pytest.approx(1200**2)
    assert teach.moved(square, -100).area.item() == pytest.approx(800**2)
    assert teach.moved(square, 0).area.item() == pytest.approx(1000**2)


def test_of_what_is_narrow_nothing_is_left():
    assert teach.moved(table((0, 0, 1000, 1000), (2000, 0, 2100, 1000)), -60).glac_id.tolist() == ["g0"]


def test_outlines_without_a_crs_are_refused():
    with pytest.raises(InventoryError, match="moved"):
        teach.moved(table((0, 0, 1, 1)).set_crs(None, allow_override=True), 1)


def test_whole_ice_has_no_divides_and_the_largest_first():
    found = teach.whole(table((5000, 0, 5100, 100), (0, 0, 1000, 1000), (1000, 0, 2000, 1000)))
    assert found.glac_id.tolist() == ["ice 1", "ice 2"]
    assert found.area.tolist() == pytest.approx([2e6, 1e4])


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # by hand: a border of 40 km is off by 15 m at each date, 0.6 km²; together 0.85 km²
        (0.71, "Right. 0.71 pixels: a loss of 0.85 km² beside an error of 0.85 km²."),
        (np.hypot(0.5, 0.5) + 0.001, "Right."),
        (0.3, "Not yet. 0.30 pixels are within the error: a loss of 0.36 km², and 0.85 km² of error."),
        (0.5, "Not yet. Half a pixel is the error of one map"),
        (1.0, "Not yet. One pixel is significant, with a loss of 1.20 km²"),
        (0.9, "Not yet. 0.90 pixels are significant"),
        (0, "Not yet. A shift is a number of pixels above 0"),
        (-0.7, "Not yet. A shift is a number of pixels above 0"),
        ("half", "Not yet. A shift is a number of pixels above 0"),
    ],
)
def test_least_shift(answer, expected):
    assert said("09.1", answer, table((0, 0, 10_000, 10_000)), 30).startswith(expected)


def series(*areas, error=0.3):
    """A glacier at dates ten years apart."""
    rows = pd.DataFrame({"window": [str(1980 + 10 * n) for n in range(len(areas))], "area_km2": areas})
    made = rows.assign(glacier="a", area_unc_km2=error, area_unc_kind="95 %")
    return gl.area_series(made, total="linear")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # by hand: the error of a loss is 0.3 √2 = 0.42
        (
            "2000",
            "Right. From 1980 to 2000, 20 years, 0.50 ± 0.42 km² were lost, and 0 is outside. One window",
        ),
        ("1990", "Not yet. From 1980 to 1990 the loss is 0.20 ± 0.42 km²: the interval holds 0."),
        ("2010", "Not yet. From 1980 to 2010, 1.00 ± 0.42 km² is significant, but an earlier window was too"),
        ("1980", "Not yet. '1980' is no later window: choose one of 1990, 2000, 2010."),
        ("2005", "Not yet. '2005' is no later window"),
        (2000, "Not yet. A window is named by text in quotes"),
    ],
)
def test_first_sure(answer, expected):
    assert said("09.2", answer, series(10.0, 9.8, 9.5, 9.0)).startswith(expected)


def test_a_loss_that_is_sure_for_once_only_does_not_count():
    rising = series(10.0, 9.5, 9.9, 9.0)
    assert "in a later window it is not" in said("09.2", "1990", rising)
    assert said("09.2", "2010", rising).startswith("Right.")
    never = series(10.0, 9.5, 9.9)
    assert not gl.teach.check("09.2", "1990", never)
    assert not gl.teach.check("09.2", "2000", never)
    assert said("09.2", "1990", series(10.0, 9.0)).startswith("Right.")


@pytest.fixture(scope="module")
def printed():
    names = {"period": "window", "subarea": "glacier", "uncertainty_km2": "area_unc_km2"}
    table = gl.tables.published("chen2022_table5a_areas").rename(columns=names)
    return table[["window", "glacier", "area_km2", "area_unc_km2"]]


def mended(printed, rows, column="area_unc_km2", factor=0.1):
    table = printed.copy()
    table.loc[rows, column] *= factor
    return table


def test_mended_series(printed):
    slips = printed.glacier == "testing_area_2"
    exercise = lambda answer: said("09.4", answer, printed)
    right = "Right. qa finds nothing any more, and 12 numbers were touched, all of testing_area_2."
    assert exercise(mended(printed, slips)).startswith(right)
    assert exercise(printed).startswith(
        "Not yet. This is the table as it was printed, and it has 36 findings"
    )
    assert exercise(mended(printed, printed.glacier == "total", factor=1.5)).startswith("Not yet. ")
    assert "findings are left" in exercise(mended(printed, slips & (printed.index < 30)))
    assert "findings are left" in exercise(mended(printed, printed.index >= 0))
    assert "other than printed" in exercise(mended(mended(printed, slips), [3], "area_km2", 1.1))
    for answer in (None, 0.1, printed.iloc[:5], printed.drop(columns="area_km2")):
        assert exercise(answer).startswith("Not yet. Give the whole table")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("lake", "Right. 50 % of what the map has too much there is lake."),
        ("snow", "Not yet. 17 % of it lies under snow."),
        ("shadow", "Not yet. 17 % of it lies in shadow."),
        ("rock", "Not yet. 17 % of it is sunlit rock"),
        ("debris", "Not yet. Choose one of lake, snow, shadow, rock"),
        (3, "Not yet. Choose one of"),
    ],
)
def test_false_ice(answer, expected):
    # by hand: the map has eight of ten pixels, two rightly; three are lake, one each snow, shadow, rock
    flat = lambda *values: (("y", "x"), np.array([values]))
    classes = (
        flat(1, 2, 3, 3, 3, 0, 0, 0, 0, 3)[0],
        flat(1, 2, 3, 3, 3, 0, 0, 0, 0, 3)[1],
        dict(flag_values=[0, 1, 2, 3], flag_meanings="background clean_ice debris_covered_ice glacial_lake"),
    )
    truth = xr.Dataset(
        {
            "class_map": classes,
            "snow": flat(1.0, 0, 0, 0, 0, 0.9, 0.2, 0, 1, 0),
            "shadow": flat(False, False, True, False, False, True, True, False, True, False),
        }
    )
    mapped = xr.DataArray(np.array([[True] * 8 + [False] * 2]), dims=("y", "x"))
    assert said("09.3", answer, mapped, truth).startswith(expected)
    assert said("09.3", answer, mapped & False, truth).startswith(
        "Not yet. The map has nothing too much"
        if answer in ("lake", "snow", "shadow", "rock")
        else "Not yet."
    )
