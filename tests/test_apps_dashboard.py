"""The change dashboard without a browser: the story, the filter, totals, addresses, pages, files."""

import io

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.errors import InventoryError

pytest.importorskip("panel", reason="the apps need panel")

from glacierlab.apps import charts, pages
from glacierlab.apps.filtering import Filter
from glacierlab.apps.methods import methods
from glacierlab.apps.story import told

UTM = "EPSG:32632"
HOSTILE = '<script>alert("ice")</script>'


def glaciers(date, **sizes):
    """Square glaciers by name, their sides [m] given, 5 km from each other."""
    boxes = [
        shapely.box(5e5 + 5000 * n, 5e6, 5e5 + 5000 * n + side, 5e6 + side)
        for n, side in enumerate(sizes.values())
    ]
    names = {"rgi_id": [f"RGI-{name}" for name in sizes], "glac_name": [*sizes]}
    kept = [side > 0 for side in sizes.values()]
    return gpd.GeoDataFrame(names | {"src_date": date}, geometry=boxes, crs=UTM)[kept].reset_index(drop=True)


@pytest.fixture(scope="module")
def dates():
    return {
        "1990": glaciers("1990-08-15", large=3000, middle=1000, small=300, gone=200),
        "2000": glaciers("2000-08-15", large=2900, middle=900, small=290, gone=150),
        "2020": glaciers("2020-08-15", large=2700, middle=700, small=300, gone=0),
    }


@pytest.fixture(scope="module")
def basins():
    shapes = [shapely.box(4.9e5, 4.9e6, 5.04e5, 5.1e6), shapely.box(5.04e5, 4.9e6, 5.12e5, 5.1e6)]
    return gpd.GeoDataFrame({"basin": ["west", HOSTILE]}, geometry=shapes, crs=UTM).to_crs("EPSG:4326")


@pytest.fixture(scope="module")
def story(dates, basins):
    return told(dates, regions=basins, pixel_m=30)


@pytest.fixture
def dashboard(story):
    return gl.apps.change(story)


# ---- numbers are the package's


def test_all_that_it_shows_is_what_assess_says(dates, dashboard):
    found = gl.change.assess(dates, pixel_m=30)
    whole = found.changes[(found.changes.date_1 == "1990") & (found.changes.date_2 == "2020")]
    own = whole[whole.glacier != "total"].set_index("glacier")
    table = dashboard.table
    shared = ["area_1_km2", "area_2_km2", "loss_km2", "loss_unc_km2", "rate_pct_per_a"]
    pd.testing.assert_frame_equal(
        table[shared], own.loc[table.index, shared], check_names=False, check_dtype=False
    )
    totals = whole[whole.glacier == "total"].set_index("errors_summed")
    ours = dashboard.totals.query("group == 'total'").set_index("errors_summed")
    for column in ("area_1_km2", "loss_km2", "loss_unc_km2", "rate_unc_pct_per_a", "years"):
        assert ours[column].to_dict() == pytest.approx(totals[column].to_dict())
    line = found.trends.set_index("glacier").loc["total"]
    assert dashboard.trend.rate_km2_per_a == pytest.approx(line.rate_km2_per_a)
    assert dashboard.series.area_km2.tolist() == pytest.approx(
        found.series.query("glacier == 'total'").area_km2.tolist()
    )


def test_losses_by_hand(dashboard):
    """Squares of 3 km and 2.7 km; the ellipsoid's areas are 0.08 % larger than the plane's."""
    large = dashboard.table.loc["RGI-large"]
    assert large.loss_km2 == pytest.approx(9 - 7.29, rel=2e-3)
    assert large.loss_pct == pytest.approx(19.0, rel=1e-3)
    assert large.years == pytest.approx(30.0, abs=0.01)
    assert dashboard.table.loc["RGI-gone", "status"] == "vanished"


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"size": (0.5, None)}, ["large", "middle"]),
        ({"size": (0.05, 1.5)}, ["middle", "small"]),
        ({"rate": (1.0, None)}, ["middle", "gone"]),
        ({"rate": (None, 0.1)}, ["small"]),
        ({"verdict": "loss"}, ["large", "middle"]),
        ({"verdict": "unsure"}, ["small", "gone"]),
        ({"text": "MID"}, ["middle"]),
        ({"text": "rgi-s"}, ["small"]),
        ({"region": ["west"]}, ["large"]),
        ({"picked": ["RGI-gone", "RGI-large"]}, ["large", "gone"]),
        ({"box": (5.04e5, 4.9e6, 5.06e5, 5.1e6)}, ["middle"]),
        ({"size": (0.5, None), "text": "large"}, ["large"]),
    ],
)
def test_every_view_follows_the_filter(dashboard, conditions, names):
    dashboard.filter.param.update(**conditions)
    if "verdict" in conditions:
        sure = dashboard.story.glaciers["significant"]
        names = [
            name
            for name in ("large", "middle", "small", "gone")
            if sure[f"RGI-{name}"] == (conditions["verdict"] == "loss")
        ]
    assert dashboard.table["name"].tolist() == names
    assert len(dashboard.outlines) == len(names)
    assert dashboard.series.area_km2.iloc[0] == pytest.approx(dashboard.table.area_1_km2.sum())
    assert dashboard.totals.query("group == 'total'").loss_km2.iloc[0] == pytest.approx(
        dashboard.table.loss_km2.sum()
    )
    assert dashboard.told == f"{len(names)} of 4 glaciers"
    dashboard.filter.reset()
    assert dashboard.told == "all 4 glaciers"


def test_nothing_that_passes_says_so(dashboard):
    dashboard.filter.text = "no such glacier"
    assert dashboard.told == "0 of 4 glaciers: nothing passes the filter"
    assert dashboard.table.empty
    assert dashboard.series.empty
    assert dashboard.trend is None
    dashboard.__panel__()
    assert dashboard._views.overview.areas.figure.title.text == "Area through time: no glacier is chosen"


def test_totals_by_region_add_up(dashboard, basins):
    totals = dashboard.totals
    assert [*dict.fromkeys(totals.group)] == ["total", HOSTILE, "west", "in no region"]
    linear = totals[totals.errors_summed == "linear"].set_index("group")
    assert linear.loss_km2.drop("total").sum() == pytest.approx(linear.loss_km2["total"])
    assert linear.glaciers.to_dict() == {"total": 4, HOSTILE: 2, "west": 1, "in no region": 1}
    dashboard.filter.region = ["west"]
    dashboard.grouping = ""
    assert dashboard.totals.group.unique().tolist() == ["total"]
    assert dashboard.told == "all 4 glaciers"  # not those of a region that is none any more


def test_a_column_name_is_the_name_of_a_glacier(dates):
    called = {year: table.rename(columns={"glac_name": "Name"}) for year, table in dates.items()}
    found = gl.apps.change(called, pixel_m=30)
    assert found.glaciers["name"].to_dict() == {
        "RGI-large": "large",
        "RGI-middle": "middle",
        "RGI-small": "small",
        "RGI-gone": "gone",
    }
    assert found.open("Middle")
    assert found.glacier == "RGI-middle"


def test_the_same_story_is_told_once(dates):
    held = gl.apps.held(outlines=dates)
    assert told(held, pixel_m=30) is told(held, pixel_m=30)
    assert told(held, pixel_m=30) is not told(held, pixel_m=10)
    assert told(dates, pixel_m=30) is not told(dates, pixel_m=30)  # tables in memory may have changed


def test_a_series_that_is_given_takes_the_place_of_the_measured(dates):
    areas = {"RGI-large": 10.0, "RGI-middle": 9.0}
    rows = [(name, year, km2 - (int(year) - 1990) / 10) for name, km2 in areas.items() for year in dates]
    series = pd.DataFrame(rows, columns=["glacier", "window", "area_km2"]).assign(area_unc_km2=0.5)
    found = gl.apps.change(dates, series=series, pixel_m=30)
    assert found.table.loc["RGI-large", "loss_km2"] == pytest.approx(3.0)
    assert found.series.area_km2.tolist() == pytest.approx([19.0, 17.0, 13.0])
    other = gl.apps.change(dates, series=series.assign(glacier="elsewhere " + series.glacier), pixel_m=30)
    assert any("names none of the glaciers" in note for note in other.story.notes)
    assert other.table.loc["RGI-large", "loss_km2"] == pytest.approx(1.71, rel=2e-3)


def test_one_date_opens_and_says_so(dates):
    found = gl.apps.change({"2020": dates["2020"]}, pixel_m=30)
    assert found.assessment is None
    assert found.totals is None
    assert any("a change needs two" in note for note in found.story.notes)
    found.__panel__()
    shown = found._views.overview
    assert "One date alone" in shown.totals.object
    assert "11.0" not in shown.headline.object
    assert found.table.index.tolist() == ["RGI-large", "RGI-middle", "RGI-small"]
    assert found.series.area_km2.tolist() == pytest.approx([7.29 + 0.49 + 0.09], rel=2e-3)


def test_no_outlines_are_refused(dates):
    with pytest.raises(InventoryError, match="needs outlines"):
        gl.apps.change(gl.apps.held(gl.synthetic_scene(seed=1, shape=(48, 48))))


# ---- addresses


def test_a_view_comes_back_from_its_address(dashboard):
    dashboard.filter.param.update(
        size=(0.05, None), rate=(-1.5, 2.25), verdict="loss", region=["west", HOSTILE]
    )
    dashboard.filter.param.update(text="a&b=c", picked=["RGI-large", "a,b"], box=(1.0, 2.0, 3.0, 4.0))
    dashboard.sums, dashboard.view = "root-sum-square", "methods"
    again = gl.apps.Dashboard(dashboard.story, dashboard.query)
    for name in ("size", "rate", "verdict", "region", "text", "picked", "box"):
        assert getattr(again.filter, name) == getattr(dashboard.filter, name)
    assert (again.sums, again.view, again.notes) == ("root-sum-square", "methods", [])
    assert again.query == dashboard.query


@pytest.mark.parametrize("query", ["?rgi_id=RGI-large", "?glacier=RGI-large", "?glac_name=large"])
def test_a_glacier_by_any_id(story, query):
    found = gl.apps.Dashboard(story, query)
    assert (found.view, found.glacier, found.notes) == ("glacier", "RGI-large", [])
    assert found.query == "?rgi_id=RGI-large"


@pytest.mark.parametrize(
    "query",
    [
        "?rgi_id=" + HOSTILE, "?rgi_id=../../etc/passwd", "?glacier=%00", "?size=a,b", "?size=1", "?size=3,1",
        "?rate=nan,inf", "?box=1,2,3", "?box=,,,", "?box=4,0,1,1", "?verdict=<b>", "?view=admin", "?sums=all",
        "?grouping=__class__", "?size=" + "9" * 5000, "?view=glacier", "?%ff=%ff",
        "?" + "&".join("size=1,2" for _ in range(5000)),
    ],
)  # fmt: skip
def test_hostile_addresses_leave_a_note_and_a_page(story, query):
    found = gl.apps.Dashboard(story, query)
    assert found.view == "overview"
    assert len(found.table) == 4
    html = pages.notes_of(found.notes)
    assert "<script>" not in html
    assert "<b>" not in html
    assert all(len(note) < 300 for note in found.notes)


def test_opening_by_name(dashboard):
    assert dashboard.open("Middle")
    assert dashboard.glacier == "RGI-middle"
    assert not dashboard.open("Aletsch")
    assert not dashboard.open("")


@pytest.mark.parametrize("limits", [(0.1, 1.0), (None, 2.0), (0.5, None)])
def test_filters_say_themselves(limits):
    assert Filter.from_query(Filter(size=limits).to_query())[0].size == limits


# ---- what it says


def test_texts_of_data_are_text(dates):
    named = {
        date: table.assign(glac_name=HOSTILE, rgi_id=[f"{HOSTILE}{n}" for n in range(len(table))])
        for date, table in dates.items()
    }
    found = gl.apps.change(named, pixel_m=30)
    name = found.story.glaciers.index[0]
    said = [
        methods(found.story), pages.glacier_facts(found.story, name),
        pages.glacier_changes(found.story, name),
        pages.glacier_events(found.story, name), pages.notes_of([HOSTILE]),
        pages.table([HOSTILE], [[HOSTILE]], HOSTILE), pages.color_key({HOSTILE: "#ffffff"}),
        pages.totals_table(found, found.totals), pages.scale(1.0, (HOSTILE, HOSTILE)),
    ]  # fmt: skip
    assert not any("<script" in text for text in said)
    found.open(name)
    found.__panel__()
    assert found._views.body.objects


def test_totals_name_their_sums_and_what_they_mean(dashboard):
    said = pages.totals_table(dashboard, dashboard.totals)
    assert "± linear [km²]" in said
    assert "± root-sum-square [km²]" in said
    assert "± is a bound of the error of mapping, not a standard deviation" in said
    row = dashboard.totals.query("group == 'total' and errors_summed == 'linear'").iloc[0]
    assert f"{row.loss_pct:.1f} ± {row.loss_unc_pct:.1f}" in said


def test_methods_tell_dates_and_versions(dashboard):
    said = methods(dashboard.story)
    assert gl.__version__ in said
    assert "area-weighted mean dates" in said
    for label in dashboard.story.labels:
        assert f"<td>{label}</td>" in said


def test_a_glacier_that_vanished_has_its_event(story):
    said = pages.glacier_events(story, "RGI-gone")
    assert "vanish" in said
    assert "neither divided" in pages.glacier_events(story, "RGI-large")


# ---- colors


def test_colors_tell_losses_from_gains_and_are_pale_at_none():
    colors = charts.rate_colors([-9.0, -1.0, 0.0, 1.0, 9.0, np.nan], 2.0)
    assert colors.tolist()[0] == charts.GAIN
    assert colors.tolist()[2] == charts.MIDDLE
    assert colors.tolist()[4:] == [charts.LOSS, charts.UNKNOWN]
    light = [sum(charts.rgb(color)) for color in colors[:5]]
    assert light[0] < light[1] < light[2] > light[3] > light[4]


@pytest.mark.parametrize(
    ("rates", "limit"), [([0.4, 0.5, 0.6, 0.7], 0.8), ([], 1.0), ([0, 0], 1.0), ([np.nan, 12], 15)]
)
def test_colors_end_at_a_round_rate(rates, limit):
    assert charts.rate_limit(rates) == pytest.approx(limit)


# ---- charts show what they are given


def test_charts_hold_the_numbers(dashboard):
    dashboard.filter.size = (0.5, None)
    dashboard.__panel__()
    shown = dashboard._views.overview
    areas = shown.areas.areas.data
    assert areas["area"].tolist() == pytest.approx(dashboard.series.area_km2.tolist())
    assert (areas["high"] - areas["area"]).tolist() == pytest.approx(dashboard.series.area_unc_km2.tolist())
    line = shown.areas.line.data
    slope = np.diff(line["area"]) / np.diff(line["year"])
    assert slope == pytest.approx(-dashboard.trend.rate_km2_per_a)
    expected = np.polyval(np.polyfit(areas["year"], areas["area"], 1), line["year"])
    assert line["area"] == pytest.approx(expected)
    assert shown.sizes.source.data["chosen"].sum() == 2
    assert shown.sizes.source.data["all"].sum() == 4
    assert shown.table.widget.value.index.tolist() == ["RGI-large", "RGI-middle"]


def test_brushes_choose(dashboard):
    from bokeh.events import Reset, SelectionGeometry

    dashboard.__panel__()
    shown = dashboard._views.overview
    span = {"type": "rect", "x0": 0.5, "x1": 2.0, "y0": 0, "y1": 1}
    shown.sizes.figure._trigger_event(SelectionGeometry(shown.sizes.figure, span, final=True))
    assert dashboard.filter.size == (0.5, 2.0)
    assert dashboard.table["name"].tolist() == ["middle"]
    assert 10 ** shown.controls.size.value[0] == pytest.approx(0.5, rel=1e-3)
    shown.sizes.figure._trigger_event(Reset(shown.sizes.figure))
    assert dashboard.filter.size is None
    shown.map._on_tap(5e5 + 10, 5e6 + 10)
    assert dashboard.filter.picked == ["RGI-large"]
    assert shown.table.widget.selection == [0]
    losses = dashboard.rows(shown.table.widget.value.index).loss_km2
    assert losses.is_monotonic_decreasing
    rows = shown.table.widget.value["name"].tolist()
    shown.table.widget.selection = [rows.index("middle"), rows.index("small")]
    assert dashboard.table["name"].tolist() == ["middle", "small"]
    assert len(shown.table.widget.value) == 4  # of all that could be picked
    shown.controls.reset.clicks += 1
    assert not dashboard.filter.is_set
    shown.controls.verdict.value = "loss"
    assert dashboard.filter.verdict == "loss"


def test_uploaded_regions_group_this_session_alone(dashboard, tmp_path):
    dashboard.__panel__()
    shown = dashboard._views.overview
    regions = gpd.GeoDataFrame({"name": ["here"]}, geometry=[shapely.box(4e5, 4e6, 6e5, 6e6)], crs=UTM)
    regions.to_file(tmp_path / "r.gpkg")
    shown.controls.take((tmp_path / "r.gpkg").read_bytes())
    assert dashboard.totals.group.unique().tolist() == ["total", "here"]
    assert "uploaded" not in gl.apps.change(dashboard.story).layers
    for data in (b"", b"SQLite format 3\0" + b"x" * 100, b"{}", b"<OGRVRTDataSource>", b"0" * (21 * 2**20)):
        shown.controls.take(data)
        assert 'class="note"' in shown.controls.answer.object


# ---- which glaciers a number is of


@pytest.fixture(scope="module")
def coming_and_going():
    """Of five glaciers one is there at the middle date alone, one vanishes, one is new at the last."""
    return {
        "1990": glaciers("1990-08-15", large=3000, middle=1000, brief=0, gone=300, new=0),
        "2000": glaciers("2000-08-15", large=2900, middle=900, brief=310, gone=250, new=0),
        "2020": glaciers("2020-08-15", large=2700, middle=700, brief=0, gone=0, new=320),
    }


def test_each_number_says_which_glaciers_it_is_of(coming_and_going):
    found = gl.apps.change(coming_and_going, pixel_m=30)
    found.filter.size = (0.05, 0.5)  # as a brush over the sizes of when each was first mapped
    assert found.told == "3 of 5 glaciers"
    row = found.totals.iloc[0]
    assert (row.chosen, row.glaciers, row.glaciers_1, row.glaciers_2, row.glaciers_between) == (3, 2, 1, 1, 1)
    assert found.series.glaciers.tolist() == [1, 2, 1]
    found.__panel__()
    shown = found._views.overview
    assert shown.sizes.source.data["chosen"].sum() == 3
    said = "Of 3 chosen glaciers: 1 with an area at the first date, 1 at the last; 1 only between these"
    assert said in shown.headline.object
    assert "area 1990, 1 glacier<" in shown.headline.object
    assert '<td class="n">3</td>' in shown.totals.object
    assert f"{row.area_1_km2:.3f} (1)" in shown.totals.object
    assert shown.areas.areas.data["label"].tolist() == [
        "1990, 1 glacier",
        "2000, 2 glaciers",
        "2020, 1 glacier",
    ]
    assert shown.table.widget.value.status.to_dict() == {
        "RGI-brief": "only between", "RGI-gone": "vanished", "RGI-new": "appeared"
    }  # fmt: skip
    found.filter.size = (0.5, None)
    assert "Of 2 chosen glaciers: all with an area at both dates." in shown.headline.object


def boxes_of(year, *bounds):
    """Outlines of a year without ids."""
    return gpd.GeoDataFrame(
        {"src_date": [f"{year}-08-15"] * len(bounds)},
        geometry=[shapely.box(*each) for each in bounds],
        crs=UTM,
    )


def test_what_split_off_a_glacier_that_is_not_chosen_is_no_gain():
    """One glacier of 9 km² loses a tongue of 2; another of 1 km² shrinks by 0.19."""

    one, other = (0, 0, 3000, 3000), (9000, 0, 10_000, 1000)
    main, tongue, less = (0, 0, 2000, 3000), (2200, 0, 3000, 2500), (9000, 0, 9900, 900)
    dates = {"1990": boxes_of(1990, one, other), "2005": boxes_of(2005, main, tongue, less)}
    dates |= {"2020": boxes_of(2020, main, tongue, less)}
    found = gl.apps.change(dates, pixel_m=30)
    assert found.totals.loss_km2.iloc[0] == pytest.approx(1.0 + 0.19, abs=0.01)  # all: nothing is left out
    parts = found.table.query("status == 'split'")
    assert len(parts) == 2
    assert parts[["rate_pct_per_a", "rate_km2_per_a", "loss_pct"]].isna().all(axis=None)
    found.filter.size = (None, 5)  # the tongue and the small one
    assert found.told == "2 of 3 glaciers"
    row = found.totals.iloc[0]
    assert row.loss_km2 == pytest.approx(0.19, abs=0.01)
    assert (row.chosen, row.glaciers_1, row.glaciers_2, row.apart, row.apart_between) == (2, 1, 1, 1, 0)
    assert found.series.area_km2.tolist() == pytest.approx([1.0, 0.81, 0.81], abs=0.01)
    said = pages.headline(found, found.totals, found.series, found.trend)
    assert "1 in no sum, for they divided from others that are not chosen, or joined them" in said
    halves = [shapely.box(-100, -100, 2100, 4000), shapely.box(2100, -100, 20_000, 4000)]
    regions = gpd.GeoDataFrame({"half": ["west", "east"]}, geometry=halves, crs=UTM)
    found = gl.apps.change(dates, regions=regions, pixel_m=30)
    east = found.totals.set_index("group").loc["east"].iloc[0]
    assert east.loss_km2 == pytest.approx(0.19, abs=0.01)


def test_a_glacier_that_joined_another_for_a_while_is_not_in_the_chart():
    one, other, both = (0, 0, 2000, 1000), (2200, 0, 3000, 1000), (0, 0, 3000, 1000)
    dates = {
        "1990": boxes_of(1990, one, other),
        "2005": boxes_of(2005, both),
        "2020": boxes_of(2020, one, other),
    }
    found = gl.apps.change(dates, pixel_m=30)
    found.filter.size = (None, 1)
    row = found.totals.iloc[0]
    assert (row.chosen, row.glaciers_1, row.apart, row.apart_between) == (1, 1, 0, 1)
    assert row.loss_km2 == pytest.approx(0, abs=1e-6)
    assert found.series.empty or not found.series.area_km2.any()
    found.__panel__()
    assert "1 not in the trend and the chart of areas" in found._views.overview.headline.object


def test_fronts_are_of_glaciers_that_stay_whole():
    one, other = (0, 0, 2000, 3000), (4000, 0, 5000, 3000)
    dates = {"1990": boxes_of(1990, one, other)}
    dates["2020"] = boxes_of(2020, (0, 0, 1000, 3000), (1200, 0, 2000, 3000), (4000, 400, 5000, 3000))
    x, y = np.arange(-485.0, 5500, 30), np.arange(3485.0, -500, -30)
    heights = 2000 + 0.2 * y[:, None] + 0.0005 * np.abs(x[None, :] - 4500)
    dem = xr.DataArray(heights, coords={"y": y, "x": x}, dims=("y", "x")).rio.write_crs(UTM)
    found = gl.apps.change(dates, dem=dem, pixel_m=30)
    found.__panel__()
    shown = found._views.overview.heights.fronts
    (whole,) = found.table.query("status == 'both'").index
    assert shown.source.data["label"] == [whole]
    assert shown.source.data["ys"][0][-1] == pytest.approx(400, abs=60)


def test_glaciers_without_an_area_are_told(dates):
    rows = [(name, year, 10.0) for name in ("RGI-large", "RGI-middle") for year in ("1990", "2020")]
    series = pd.DataFrame(rows, columns=["glacier", "window", "area_km2"])
    found = gl.apps.change(dates, series=series, pixel_m=30)
    assert found.told == "all 4 glaciers"
    assert "2 at none, in no sum" in pages.headline(found, found.totals, found.series, found.trend)


def test_numbers_by_region_add_up(coming_and_going, basins):
    totals = gl.apps.change(coming_and_going, regions=basins, pixel_m=30).totals
    numbers = totals[totals.errors_summed == "linear"].set_index("group")
    numbers = numbers[["chosen", "glaciers_1", "glaciers_2", "glaciers_between"]]
    assert numbers.loc["total"].tolist() == [5, 3, 3, 1]
    assert numbers.drop("total").sum().tolist() == [5, 3, 3, 1]


@pytest.mark.parametrize(("sides", "word"), [((1000, 930, 800), "lost"), ((800, 930, 1000), "gained")])
def test_a_loss_is_called_one_and_a_gain_too(sides, word):
    years = zip(("1990", "2000", "2020"), sides, strict=True)
    found = gl.apps.change({year: glaciers(f"{year}-08-15", one=side) for year, side in years}, pixel_m=30)
    said = pages.headline(found, found.totals, found.series, found.trend)
    assert f"<span>{word} in 30.0 years" in said
    assert f"<span>{word} a year by the trend of all dates; 95 %: " in said
    assert "<b>-" not in said


# ---- one date


def test_one_date_shows_its_areas_once(dates):
    found = gl.apps.change({"2020": dates["2020"]}, pixel_m=30)
    found.__panel__()
    shown = found._views.overview
    assert [*shown.table.titles.values()].count("area 2020 [km²]") == 1
    assert {*shown.table.widget.value} <= {*shown.table.titles}
    assert shown.table.widget.value.area_1_km2.tolist() == pytest.approx([7.29, 0.49, 0.09], rel=2e-3)
    assert found.table.area_1_unc_km2.gt(0).all()
    axis = shown.areas.figure.x_range
    assert (axis.start, axis.end) == pytest.approx((2017.6, 2023.6), abs=0.1)
    assert "outline of 2020" in shown.map.panes[1].object
    assert "no rate" not in shown.map.panes[1].object
    assert "3 glaciers" in shown.headline.object


def test_outlines_without_a_date_are_given_none(dates):
    outlines = dates["2020"].drop(columns="src_date")
    empty = outlines.iloc[:0]
    found = gl.apps.change({"nothing": empty, "mine": outlines, "yours": outlines}, pixel_m=30)
    assert found.story.labels == ["mine"]
    assert found.story.notes[:2] == [
        "Outlines without a date, or without a row, are left out: nothing, yours.",
        "Outlines without a date alone, mine: a change needs two dates.",
    ]
    found.__panel__()
    shown = found._views.overview
    assert "2000" not in shown.headline.object
    assert shown.areas.figure.title.text == "Area through time: the date is not known"
    assert "<td>mine</td>" in methods(found.story)
    assert [download.label for download in shown.downloads] == ["CSV", "GeoPackage"]
    found.filter.text = "no such glacier"
    assert all(download.disabled for download in shown.downloads)


# ---- the map


def test_the_map_shows_rates_and_last_outlines_where_there_are_any(coming_and_going):
    halves = coming_and_going["2020"].iloc[[0, 0]].assign(rgi_id=["RGI-large", "RGI-part"])
    halves = halves.set_geometry(
        [shapely.box(5e5, 5e6, 5e5 + 1300, 5e6 + 2700), shapely.box(5e5 + 1400, 5e6, 5e5 + 2700, 5e6 + 2700)]
    )
    last = pd.concat([halves, coming_and_going["2020"].iloc[1:]], ignore_index=True)
    found = gl.apps.change(coming_and_going | {"2020": last}, pixel_m=30)
    found.__panel__()
    shown = found._views.overview.map
    colors = dict(zip(shown.ids, shown.colors, strict=True))
    assert colors["RGI-middle"] != charts.UNKNOWN
    assert colors["RGI-large"] == colors["RGI-part"] == charts.UNKNOWN  # split: no rate
    drawn = shown.map._drawings["last"][0].outlines
    assert len(drawn) == len(last)  # not what vanished before
    shown._on_tap(5e5 + 2000, 5e6 + 10)
    assert found.filter.picked == ["RGI-part"]  # which lies on RGI-large
    for text in ("no rate: split, merged", "outline of 2020", "not chosen", "the first outline"):
        assert text in shown.panes[1].object


# ---- a glacier's page


def test_a_trend_is_of_a_glacier_that_was_there_all_the_time(coming_and_going):
    found = gl.apps.change(coming_and_going, pixel_m=30)
    line = found.story.trend_of("RGI-middle")
    assert line.rate_km2_per_a == pytest.approx(0.51 / 30, rel=0.05)
    assert "lost a year; 95 %:" in pages.glacier_facts(found.story, "RGI-middle")
    for name in ("RGI-gone", "RGI-new", "RGI-brief"):
        assert found.story.trend_of(name) is None  # which would run through areas of 0 that no one drew
        assert "none: it has no area at some date" in pages.glacier_facts(found.story, name)


def test_facts_of_a_glacier_are_in_words(story):
    said = pages.glacier_facts(story, "RGI-large")
    assert "date of the image" in said
    assert "src_date" not in said
    assert "rgi_id" not in said


# ---- for those who do not see, or print


def test_charts_tell_what_they_show(dashboard):
    dashboard.__panel__()
    shown = dashboard._views.overview
    told = lambda chart: chart.figure.html_attributes["aria-label"]
    dashboard.filter.size = (0.5, None)
    assert f"{dashboard.series.area_km2.iloc[0]:.2f} km² at 1990" in told(shown.areas)
    assert "2 of 4 chosen" in told(shown.sizes)
    assert "table" in told(shown.map.map)


def test_legends_cover_nothing_and_the_trends_is_there_with_a_trend(dashboard):
    chart = charts.AreaChart()
    assert chart.legend in chart.figure.above
    chart.show(dashboard.series, dashboard.trend)
    assert [item.visible for item in chart.legend.items] == [True, True]
    chart.show(dashboard.series.iloc[:1])
    assert [item.visible for item in chart.legend.items] == [True, False]


def test_fronts_that_stand_still_look_so():
    rows = pd.DataFrame({"glacier": "a", "date": ["1990", "2000"], "retreat_m": [np.nan, 1e-4]})
    chart = charts.FrontChart()
    chart.show(rows, glaciers=3)
    assert chart.figure.y_range.end - chart.figure.y_range.start >= charts.LEAST_M
    assert chart.figure.title.text == "Retreat [m], 1 of 3 glaciers"


# ---- by elevation


@pytest.fixture(scope="module")
def world():
    world = gl.synthetic_world(seed=6, years=[1990, 2005, 2020], shape=(96, 96))
    return {str(year): world.outlines(year) for year in world.years}, world.scene(2020).elevation


@pytest.mark.filterwarnings("ignore:.*smaller than a pixel of the DEM")
def test_elevations_are_the_packages(world):
    outlines, dem = world
    found = told(outlines, dem=dem, pixel_m=30)
    own = found.bands("2005").groupby("from_m").area_km2.sum()
    expected = gl.change.elevation_change(outlines["1990"], outlines["2005"], dem).query("glacier == 'total'")
    expected = expected.dropna(subset="from_m").set_index("from_m").area_2_km2
    assert own.to_dict() == pytest.approx(expected.to_dict())
    total = (
        gl.change.halves(outlines["1990"], outlines["2020"], dem)
        .query("glacier == 'total'")
        .set_index("zone")
    )
    zones = pages.zones_of(found.zones().query("glacier != 'total'")).set_index("zone")
    assert zones.other_diff_pct["ablation"] == pytest.approx(total.other_diff_pct["ablation"])
    names = [*found.glaciers.index[:2]]
    fronts = found.retreat(names)
    assert {*fronts.glacier} <= {*names}
    assert found.has_fronts(names)
    board = gl.apps.change(found)
    board.__panel__()
    assert board._views.overview.heights.bands.source.data["label"] == ["1990", "2020"]
    board.open(names[0])


@pytest.mark.filterwarnings("ignore:.*smaller than a pixel of the DEM")
def test_charts_of_heights_say_what_they_are_of(world):
    outlines, dem = world
    ids = told(outlines, dem=dem, pixel_m=30).glaciers.index
    series = pd.DataFrame({"glacier": [*ids, *ids], "area_km2": 1.0})
    series["window"] = ["1980"] * len(ids) + ["2021"] * len(ids)  # other dates than those of the outlines
    half = dem.where(dem.x < dem.x.mean())
    found = gl.apps.change(outlines, series=series, dem=half, pixel_m=30)
    found.__panel__()
    shown = found._views.overview.heights
    assert [item.label.value for item in shown.zones.figure.legend[0].items] == ["1990", "2020"]
    known = found.story.zones().query("glacier != 'total'")
    one, two = known[known.zone != "all"][["area_km2", "other_km2"]].sum()
    assert f"Together {one:.2f} km² of 1990 and {two:.2f} km² of 2020" in shown.told_of_zones.object
    unknown = found.story.bands("1990").query("from_m != from_m").area_km2.sum()
    assert unknown > 0
    assert f"Without a height in the DEM, and left out: {unknown:.3f} km² of 1990" in shown.answer.object
    assert "lost" in " ".join(shown.zones.source.data["loss"])
    shown.dates.value = ["2005"]
    assert shown.bands.source.data["label"] == ["2005"]
    band = found.story.bands("2005").groupby("from_m").area_km2.sum().idxmax()
    assert f"2005 most at {band:.0f} to" in shown.bands.figure.html_attributes["aria-label"]


# ---- files


def test_exports_hold_what_is_chosen(dashboard, tmp_path):
    dashboard.filter.size = (0.5, None)
    table = pd.read_csv(io.BytesIO(dashboard.csv().read()))
    assert table.glacier.tolist() == ["RGI-large", "RGI-middle"]
    (tmp_path / "chosen.gpkg").write_bytes(dashboard.geopackage().read())
    file = gpd.read_file(tmp_path / "chosen.gpkg")
    assert file.geometry.area.tolist() == pytest.approx([2700**2, 700**2])
    assert file.loss_km2.tolist() == pytest.approx(table.loss_km2.tolist())
    assert file.outline_date.tolist() == ["2020", "2020"]
    dashboard.filter.param.update(size=None, text="gone")
    assert dashboard.outlines.outline_date.tolist() == ["2000"]  # the last one that has it
    assert dashboard.png().read(4) == b"\x89PNG"


def test_a_folder_of_change_opens(dates, tmp_path):
    from glacierlab.report import write_change

    found = write_change(tmp_path, dates, pixel_m=30)
    opened = gl.apps.change(tmp_path)
    total = found.changes.query("glacier == 'total' and errors_summed == 'linear'").iloc[-1]
    ours = opened.totals.query("group == 'total' and errors_summed == 'linear'").iloc[0]
    assert ours.loss_km2 == pytest.approx(total.loss_km2)
    assert ours.loss_unc_km2 == pytest.approx(total.loss_unc_km2)
    assert str(tmp_path) in methods(opened.story)


def test_the_park_of_glaciers(data):
    column = {"glac_name": "GLACNAME"}
    parks = {
        year: gl.open_inventory(data / f"gnp_glaciers/polys{year[2:]}.json", columns=column)
        for year in ("1966", "1998", "2015")
    }
    found = gl.apps.change(parks, by="glac_name", pixel_m=1)
    row = found.totals.query("group == 'total'").iloc[0]
    # the U.S. Geological Survey's sums, which the data's note gives: 21.63 and 14.18 km²
    assert (row.area_1_km2, row.area_2_km2) == pytest.approx((21.63, 14.18), rel=5e-3)
    assert row.glaciers == 39
