"""Figures of change: where ice went, areas through time, losses, areas by elevation."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.colors import to_hex, to_rgba

import glacierlab as gl
from glacierlab.errors import GlacierlabError
from glacierlab.viz import change as viz

EAST, NORTH, CRS = 500_000, 5_200_000, "EPSG:32632"
DATES = ["1990", "2000", "2010"]


def table(*boxes):
    shapes = [shapely.box(EAST + w, NORTH + s, EAST + e, NORTH + n) for w, s, e, n in boxes]
    return gpd.GeoDataFrame({"glac_id": [f"g{i}" for i in range(len(shapes))]}, geometry=shapes, crs=CRS)


def series(areas, error=0.1, kind="95 %"):
    """A series of glaciers by name, at three dates."""
    rows = [(name, date, km2) for name, each in areas.items() for date, km2 in zip(DATES, each, strict=True)]
    made = pd.DataFrame(rows, columns=["glacier", "date", "area_km2"])
    return gl.area_series(made.assign(area_unc_km2=error, area_unc_kind=kind), total="linear")


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def bars(ax):
    """(years, areas, half widths) of everything with bars of error, by its label."""
    found = {}
    for drawn in ax.containers:
        ((_, _, (ends,)), label) = drawn.lines, drawn.get_label()
        years, areas = (np.asarray(each, float) for each in drawn.lines[0].get_data())
        halves = [np.ptp(segment[:, 1]) / 2 for segment in ends.get_segments()]
        found[label] = years, areas, halves
    return found


# ---- where ice went


def test_ice_is_kept_lost_and_gained_in_its_place():
    first, second = table((0, 0, 2000, 1000)), table((500, 0, 2200, 1000))
    figure = viz.change_figure(gl.change.agreement(first, second).map, ("1990", "2020"), title="a tongue")
    (ax,) = figure.axes
    found = {}
    for drawn in ax.collections:
        corners = np.concatenate([path.vertices for path in drawn.get_paths()])
        found[to_hex(drawn.get_facecolor()[0])] = (*corners.min(axis=0), *corners.max(axis=0))
    # km from the lower left corner
    assert found[viz.LOST] == pytest.approx((0, 0, 0.5, 1), abs=1e-6)
    assert found[viz.KEPT] == pytest.approx((0.5, 0, 2, 1), abs=1e-6)
    assert found[viz.GAINED] == pytest.approx((2, 0, 2.2, 1), abs=1e-6)
    assert texts(figure.legends[0]) == [
        "ice in 1990 and 2020 (1.50 km²)",
        "lost: in 1990 only (0.50 km²)",
        "gained: in 2020 only (0.20 km²)",
    ]
    assert (ax.get_title(), ax.get_aspect()) == ("a tongue", 1)
    named = gl.change.agreement(first, second, names=("1990", "2020")).map
    same = viz.change_figure(named, ("1990", "2020"))
    assert texts(same.legends[0]) == texts(figure.legends[0])
    with pytest.raises(GlacierlabError, match=r"\['1990', '2020'\] apart: give labels="):
        viz.change_figure(named)


def test_a_picture_lies_where_it_belongs():
    ground = gl.change.agreement(table((1000, 500, 2000, 1000)), table((1000, 500, 2000, 1000))).map
    extent = (EAST, EAST + 4000, NORTH, NORTH + 2000)
    (ax,) = viz.change_figure(ground, background=(np.zeros((20, 40)), extent)).axes
    assert ax.images[0].get_extent() == pytest.approx((0, 4, 0, 2))
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 4), (0, 2))
    corners = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [[1, 0.5], [2, 1]], atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 40_000, 100), (0, 0, 100, 40_000), (0, 0, 1, 1)])
def test_long_and_small_grounds_have_figures_of_a_size_to_print(box, tmp_path):
    figure = viz.change_figure(gl.change.agreement(table(box), table(box)).map)
    figure.savefig(tmp_path / "map.png", dpi=30)
    assert (figure.get_size_inches() <= 10).all()
    assert (figure.get_size_inches() >= 3).all()


# ---- areas through time


def test_areas_have_their_errors_as_bars():
    drawn = series({"a": [4.0, 3.0, 2.0], "b": [2.0, 1.5, 1.5]})
    figure = viz.series_figure(drawn, gl.trend(drawn), title="two glaciers")
    total, glaciers = figure.axes
    (label, (years, areas, halves)), *others = bars(total).items()
    assert others == []
    assert label == "total (-0.125 km²/a)"  # by hand: 6 to 3.5 in twenty years
    np.testing.assert_allclose(years, [1990.5, 2000.5, 2010.5], atol=0.01)
    np.testing.assert_allclose(areas, [6, 4.5, 3.5])
    np.testing.assert_allclose(halves, 0.2)  # added
    assert [label[:1] for label in bars(glaciers)] == ["a", "b"]
    np.testing.assert_allclose(bars(glaciers)["a (-0.1 km²/a)"][2], 0.1)
    assert glaciers.get_xlabel() == "bars: 95 %"
    assert figure.get_suptitle() == "two glaciers"


def test_the_largest_glaciers_are_drawn_and_the_others_counted():
    drawn = series({f"g{n}": [n + 1.0] * 3 for n in range(10)})
    _, glaciers = viz.series_figure(drawn).axes
    assert list(bars(glaciers)) == ["g9", "g8", "g7", "g6", "g5", "g4"]
    assert glaciers.get_xlabel() == "bars: 95 %; 4 smaller glaciers are not drawn"


def test_several_series_stand_beside_each_other_and_say_what_their_bars_are():
    one, two = series({"a": [4.0, 3.0, 2.0]}, 1.0, "bound"), series({"a": [3.8, 2.9, 1.9]})
    truth = gl.area_series(one[one.glacier == "total"][["window", "area_km2"]])
    (ax,) = viz.series_figure({"half a pixel": one, "fitted": two}, beside={"truth": truth}).axes
    found = bars(ax)
    assert list(found) == ["total, half a pixel (bars: bound)", "total, fitted (bars: 95 %)"]
    bound, fitted = found.values()
    assert (fitted[0] - bound[0] == 0.5).all()  # aside, so that neither hides the other
    (crosses,) = [line for line in ax.lines if line.get_label() == "truth"]
    np.testing.assert_allclose(crosses.get_xdata(), [1990.5, 2000.5, 2010.5], atol=0.01)
    np.testing.assert_allclose(crosses.get_ydata(), [4, 3, 2])


def test_areas_without_errors_say_so():
    made = pd.DataFrame({"window": DATES, "area_km2": [3.0, 2.0, 1.0]})
    (ax,) = viz.series_figure(gl.area_series(made)).axes
    assert ax.get_xlabel() == "no errors known"


def test_a_series_without_dates_is_refused():
    undated = series({"a": [3.0, 2.0, 1.0]}).assign(date="", window="")
    with pytest.raises(GlacierlabError, match="No row of this series has a date: see area_series"):
        viz.series_figure(undated)


# ---- losses


def test_losses_are_ordered_and_pale_where_they_are_not_significant():
    areas = {"small": [2.0, 2.0, 1.95], "large": [9.0, 8.0, 7.0], "grown": [1.0, 1.0, 1.5]}
    change = gl.area_change(series(areas).query("glacier != 'total'"), between=("1990", "2010"))
    (ax,) = viz.loss_figure(change, "losses").axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["large", "grown", "small"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [2, -0.5, 0.05])
    assert [bar.get_facecolor() for bar in ax.patches] == [
        to_rgba(viz.LOST), to_rgba(viz.GAINED), to_rgba(viz.LOST, 0.35),
    ]  # fmt: skip
    assert ax.yaxis_inverted()  # the largest above
    assert ax.get_xlabel() == "loss [km²]; bars of error: 95 %; pale: not significant"


def test_at_most_thirty_glaciers_have_a_bar():
    areas = {f"g{n}": [n + 1.0, n + 1.0, 0.5] for n in range(40)}
    change = gl.area_change(series(areas).query("glacier != 'total'"), between=("1990", "2010"))
    (ax,) = viz.loss_figure(change).axes
    assert len(ax.patches) == 30
    assert ax.get_yticklabels()[0].get_text() == "g39"


# ---- by elevation


BANDS = pd.DataFrame(
    {
        "glacier": "total",
        "from_m": [2700.0, 2750.0, 2800.0, np.nan],
        "to_m": [2750.0, 2800.0, 2850.0, np.nan],
        "area_1_km2": [1.0, 2.0, 1.0, 0.1],
        "area_2_km2": [0.2, 1.5, 1.2, 0.1],
        "loss_km2": [0.8, 0.5, -0.2, 0.0],
    }
)


def test_what_lies_between_the_dates_is_filled():
    (ax,) = viz.hypsometry_figure(BANDS, ("1990", "2020"), title="bands").axes
    first, second = (patch for patch in ax.patches if hasattr(patch, "get_data"))
    np.testing.assert_allclose(first.get_data().values, [1, 2, 1])
    np.testing.assert_allclose(second.get_data().values, [0.2, 1.5, 1.2])
    np.testing.assert_allclose(first.get_data().edges, [2700, 2750, 2800, 2850])
    lost, gained = ax.containers
    spans = lambda drawn: [(bar.get_x(), bar.get_width(), bar.get_y(), bar.get_height()) for bar in drawn]
    np.testing.assert_allclose(spans(lost)[:2], [(0.2, 0.8, 2700, 50), (1.5, 0.5, 2750, 50)])
    np.testing.assert_allclose(spans(gained)[2], (1.0, 0.2, 2800, 50))
    assert texts(ax.get_legend()) == ["1990", "2020", "lost", "gained"]


def test_nothing_is_called_gained_where_nobody_could_see_it():
    slight = BANDS.assign(area_2_km2=[0.2, 1.5, 1.0005, 0.1], loss_km2=[0.8, 0.5, -0.0005, 0.0])
    (ax,) = viz.hypsometry_figure(slight).axes
    assert "gained" not in texts(ax.get_legend())


def test_a_glacier_without_bands_is_named():
    with pytest.raises(GlacierlabError, match=r"No bands of 'other': there are \['total'\]"):
        viz.hypsometry_figure(BANDS, glacier="other")
