"""Figures of worlds: every year with its outlines and area; histograms of several origins."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

import glacierlab as gl
from glacierlab.viz.figures import OUTLINE, REFERENCE
from glacierlab.viz.stacks import COLORS

PAGE = Path(__file__).parents[1] / "docs/worlds.md"
YEARS = (1980, 2000, 2020, 2030)


@pytest.fixture(scope="module")
def world():
    return gl.synthetic_world(1, YEARS, (64, 80))


@pytest.fixture(scope="module")
def figure(world):
    return gl.viz.world_figure(world, title="a world")


def lines(ax):
    return {to_hex(c.get_edgecolor()[0]): len(c.get_paths()) for c in ax.collections}


def test_every_year_says_its_area(world, figure):
    shown = [ax for ax in figure.axes if ax.axison]
    areas = world.areas().groupby("year").area_km2.sum()
    assert [ax.get_title() for ax in shown] == [f"{year}: {areas[year]:.1f} km²" for year in YEARS]
    assert len(figure.axes) == 6  # two places of the second row are empty
    assert figure.get_suptitle() == "a world"


def test_every_year_has_its_outlines_and_those_of_the_first(world, figure):
    first, *later = (lines(ax) for ax in figure.axes[: len(YEARS)])
    assert set(first) == {REFERENCE}
    assert all(set(found) == {REFERENCE, OUTLINE} for found in later)
    assert len({found[REFERENCE] for found in (first, *later)}) == 1
    for found, year in zip(later, YEARS[1:], strict=True):
        assert found[OUTLINE] == len(world.outlines(year).boundary.explode())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1980", "of the year"]


def test_pictures_are_those_of_the_scenes_in_km(world, figure):
    for ax, year in zip(figure.axes, YEARS, strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), gl.viz.false_color(world.scene(year)))
        assert (ax.get_xlim(), ax.get_ylim()) == (pytest.approx((0, 2.4)), pytest.approx((0, 1.92)))
    assert figure.axes[3].get_xlabel() == "east [km]"
    assert figure.axes[0].get_ylabel() == "north [km]"


def test_years_and_views_are_chosen(world):
    chosen = gl.viz.world_figure(world, [2020], sensor="sentinel-2", date="07-01")
    (ax,) = chosen.axes
    view = world.scene(2020, "07-01", sensor="sentinel-2")
    np.testing.assert_array_equal(ax.images[0].get_array(), gl.viz.false_color(view))
    (legend,) = chosen.legends
    assert [text.get_text() for text in legend.get_texts()] == ["2020"]


def test_histograms_are_densities_of_what_was_given():
    rng = np.random.default_rng(0)
    real, made = rng.normal(0.3, 0.1, 2000), rng.normal(0.5, 0.1, (20, 40))
    figure = gl.viz.histogram_figure({"red": {"real": real, "made": made}, "nir": {"real": made}}, bins=20)
    red, nir = (ax for ax in figure.axes if ax.axison)
    assert (red.get_title(), nir.get_title()) == ("red", "nir")
    first, second = red.patches
    assert (to_hex(first.get_facecolor()).upper(), first.get_fill()) == (COLORS[0], True)
    assert (to_hex(second.get_edgecolor()).upper(), second.get_fill()) == (COLORS[1], False)
    low, high = np.percentile(np.concatenate([real, made.ravel()]), (0.5, 99.5))
    heights, edges = np.histogram(made, np.linspace(low, high, 21), density=True)
    x, y = second.get_xy()[:, 0], second.get_xy()[:, 1]
    assert (x.min(), x.max(), y.max()) == pytest.approx((edges[0], edges[-1], heights.max()))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["real", "made"]


def test_histograms_leave_out_what_is_not_finite():
    values = np.append(np.linspace(0, 1, 101), [np.nan, np.inf])
    (ax,) = gl.viz.histogram_figure({"a": {"real": values}}).axes
    assert ax.get_xlim()[1] < 1.1


def test_the_page_of_worlds_has_its_pictures_and_tables():
    text = PAGE.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 5
    assert all((PAGE.parent / picture).stat().st_size < 250_000 for picture in pictures)
    made = re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", text, flags=re.DOTALL)
    assert [name for name, _ in made] == ["counts", "spectra", "scene", "terrain", "debris", "method"]
    assert all(len(table) > 100 for _, table in made)
