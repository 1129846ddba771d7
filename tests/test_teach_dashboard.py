"""Lesson 11: verdicts of its exercises."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import glacierlab as gl

pytest.importorskip("panel", reason="the dashboard needs panel")
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # Panel 1.9: name is label

SIDES = {"1990": (3000, 1000, 300, 200), "2020": (2700, 700, 300, 150)}


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


@pytest.fixture(scope="module")
def dashboard():
    def glaciers(sides):
        boxes = [shapely.box(5e5 + 5000 * n, 5e6, 5e5 + 5000 * n + m, 5e6 + m) for n, m in enumerate(sides)]
        return gpd.GeoDataFrame({"rgi_id": [*"abcd"]}, geometry=boxes, crs="EPSG:32632")

    dates = {date: glaciers(sides).assign(src_date=f"{date}-08-15") for date, sides in SIDES.items()}
    return gl.apps.change(dates, pixel_m=30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("?size=0.5,20&verdict=loss", "Right. It shows 2 of 4 glaciers"),
        ("http://here:5006/?size=0.5,20&verdict=loss", "Right."),
        ("size=0.5,20&verdict=loss&sums=linear", "Right."),
        ("?picked=a&picked=b", "Not yet. It shows the right 2, each by its name"),
        ("?size=0.01,20", "Not yet. It shows 4 glaciers, 2 of which are not asked for"),
        ("?size=5,20&verdict=loss", "Not yet. It shows 1 glaciers and 1 are missing"),
        ("?size=0.5,20&verdict=lost", "Not yet. The address has no readable “verdict”"),
        ("", "Not yet. It shows all 4 glaciers"),
        (3, "Not yet. An address is text"),
    ],
)
def test_shared_address(dashboard, answer, expected):
    assert dashboard.table.significant.tolist() == [True, True, False, True]  # as the cases take it
    assert said("11.2", answer, dashboard, (0.5, 20), "loss").startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (2, "Right. 2 of the 3 glaciers that have no significant change did lose ice"),
        (3, "Not yet. 3 glaciers have no significant change"),
        (4, "Not yet. 4 glaciers of the table lost ice"),
        (1, "Not yet. 1 is not it"),
        (0.5, "Not yet. A number of glaciers is a whole number"),
        (None, "Not yet. A number of glaciers"),
    ],
)
def test_hidden_losses(answer, expected):
    sure = pd.array([True, True, False, False, False, pd.NA], dtype="boolean")
    table = pd.DataFrame({"significant": sure}, index=[*"abcdef"])
    truth = pd.Series([1.0, 0.5, 0.1, 0.2, -0.1, np.nan], [*"abcdef"])[::-1]
    assert said("11.1", answer, table, truth).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (5, "Right. 10.000 ± 5.000 km²"),  # 3, 4, 5: a right angle
        (7, "Not yet. ± 7.000 km² is the sum"),
        (25, "Not yet. 25.0000 is a sum of squares"),
        (3.5, "Not yet. ± 3.500 km² is the error of a glacier"),
        (1, "Not yet. 1.000 is not it"),
        ("5 km", "Not yet. Give one number"),
    ],
)
def test_error_of_sum(answer, expected):
    table = pd.DataFrame({"loss_unc_km2": [3.0, 4.0, np.nan], "loss_km2": [6.0, 4.0, np.nan]})
    assert said("11.3", answer, table).startswith(expected)


@pytest.fixture(scope="module")
def many():
    """Four small glaciers that lost a little, a fifth that lost none, and a large one that lost for sure."""

    def glaciers(sides):
        boxes = [shapely.box(5e5 + 5000 * n, 5e6, 5e5 + 5000 * n + m, 5e6 + m) for n, m in enumerate(sides)]
        return gpd.GeoDataFrame({"rgi_id": [*"abcdef"]}, geometry=boxes, crs="EPSG:32632")

    sides = {"1990": (300, 300, 300, 300, 400, 3000), "2020": (276, 276, 276, 276, 400, 2700)}
    dates = {date: glaciers(each).assign(src_date=f"{date}-08-15") for date, each in sides.items()}
    return gl.apps.change(dates, pixel_m=30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("?verdict=unsure&rate=0.1,", "Right. 4 glaciers, none of which has changed for sure"),
        ("http://here:5006/?verdict=unsure&picked=a&picked=b&picked=c&picked=d", "Right."),
        ("?verdict=unsure&picked=a&picked=b&picked=e", "Not yet. 3 glaciers, none of them sure"),
        ("?verdict=unsure&picked=a", "Not yet. It shows 1 glaciers. Asked are 3"),
        ("?verdict=loss", "Not yet. It shows 1 glaciers, and 1 of them are sure"),
        ("", "Not yet. It shows 6 glaciers, and 1 of them are sure"),
        ("?verdict=maybe", "Not yet. The address has no readable"),
        (4, "Not yet. An address is text"),
    ],
)
def test_sure_together(many, answer, expected):
    assert said("11.4", answer, many, 3).startswith(expected)
