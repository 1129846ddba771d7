"""The figure of glaciers, divides and center lines over hillshade."""

import geopandas as gpd
import numpy as np
import pytest
import rioxarray
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb

import glacierlab as gl
from glacierlab.viz.figures import OUTLINE, REFERENCE
from glacierlab.viz.outlines import COLORS, DIVIDE, colors_of, divides_figure

WEST, NORTH = 500_000.0, 5_200_000.0


@pytest.fixture
def shade():
    """Hillshade of 60 x 80 pixels of 50 m: 3 km high, 4 km wide."""
    values = np.arange(60 * 80, dtype="float32").reshape(60, 80) % 255 + 1
    coords = {"y": NORTH - 25 - 50 * np.arange(60), "x": WEST + 25 + 50 * np.arange(80)}
    return xr.DataArray(values, coords, ("y", "x")).rio.write_crs("EPSG:32632")


@pytest.fixture
def pair():
    """Two glaciers of 1 km² that share a border, from 1 to 3 km east, 1 to 2 km north."""
    boxes = [shapely.box(x, NORTH - 2000, x + 1000, NORTH - 1000) for x in (WEST + 1000, WEST + 2000)]
    return gpd.GeoDataFrame({"name": ["one", "two"]}, geometry=boxes, crs="EPSG:32632")


def lines_of(figure, color):
    """What is drawn in a color, as one geometry [km]."""
    drawn = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    wanted = [each for each in drawn if to_rgb(each.get_color()[0]) == to_rgb(color)]
    return shapely.union_all([shapely.LineString(line) for each in wanted for line in each.get_segments()])


def told(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_divides_lie_where_glaciers_touch_and_outlines_around_all(pair, shade, tmp_path):
    figure = divides_figure(pair, shade, title="two")
    figure.savefig(tmp_path / "divides.png")
    around = lines_of(figure, OUTLINE)
    assert around.hausdorff_distance(shapely.box(1, 1, 3, 2).exterior) < 1e-9
    divide = lines_of(figure, DIVIDE).difference(around.buffer(1e-6))
    assert divide.hausdorff_distance(shapely.LineString([(2, 1), (2, 2)])) < 1e-5
    (picture,) = figure.axes[0].images
    np.testing.assert_array_equal(picture.get_array(), shade)
    assert picture.get_extent() == pytest.approx([0, 4, 0, 3])
    assert told(figure) == ["outlines", "divides"]
    assert figure.axes[0].get_title() == "two"


def test_any_crs_and_the_hillshade_as_terrain_gives_it(pair, shade):
    layers = shade.expand_dims(feature=["hillshade"])
    figure = divides_figure(pair.to_crs("EPSG:4326"), layers)
    assert lines_of(figure, OUTLINE).bounds == pytest.approx((1, 1, 3, 2), abs=1e-6)


def test_center_lines_are_drawn_the_main_ones_thicker(pair, shade):
    ways = [[(WEST + 1500, NORTH - 1100), (WEST + 1500, NORTH - 1900)],
            [(WEST + 2500, NORTH - 1100), (WEST + 2500, NORTH - 1500)]]  # fmt: skip
    lines = gpd.GeoDataFrame({"is_main": [1, 0]}, geometry=[*map(shapely.LineString, ways)], crs=pair.crs)
    figure = divides_figure(pair, shade, lines)
    assert lines_of(figure, REFERENCE).length == pytest.approx(0.8 + 0.4)
    width = {
        round(each.get_segments()[0][0][0], 1): each.get_linewidth()[0]
        for each in figure.axes[0].collections
        if isinstance(each, LineCollection) and to_rgb(each.get_color()[0]) == to_rgb(REFERENCE)
    }
    assert width[1.5] > width[2.5]
    assert told(figure) == ["outlines", "divides", "center lines"]


def test_names_stand_in_their_glaciers(pair, shade):
    figure = divides_figure(pair, shade, names="name")
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert places == {"one": pytest.approx((1.5, 1.5)), "two": pytest.approx((2.5, 1.5))}


def test_a_name_stands_half_way_along_the_main_line(pair, shade):
    west, south, east, north = pair.geometry.iloc[0].bounds
    x = west + (east - west) / 4
    line = shapely.LineString([(x, south + 50), (x, north - 50)])
    lines = gpd.GeoDataFrame({"is_main": [1]}, geometry=[line], crs=pair.crs)
    figure = divides_figure(pair, shade, lines, names="name")
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert places == {"one": pytest.approx((1.25, 1.5)), "two": pytest.approx((2.5, 1.5))}


def test_nothing_is_drawn_of_nothing(pair, shade):
    lines = gpd.GeoDataFrame({"is_main": []}, geometry=[], crs=pair.crs)
    empty = gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[shapely.Polygon(), None], crs=pair.crs)
    for outlines in (pair.iloc[:0], empty):
        figure = divides_figure(outlines, shade, lines, names="name")
        assert not figure.axes[0].collections
        assert told(figure) == []


def test_colors_are_those_of_the_glaciers(pair, shade):
    (filled,) = [each for each in divides_figure(pair, shade).axes[0].collections
                 if isinstance(each, PatchCollection)]  # fmt: skip
    found = [tuple(color[:3]) for color in filled.get_facecolor()]
    assert found == [to_rgb(color) for color in colors_of(pair.geometry)]


@given(st.integers(1, 5), st.integers(1, 5), st.randoms())
def test_neighbors_have_other_colors(rows, columns, random):
    boxes = [shapely.box(x, y, x + 1, y + 1) for y in range(rows) for x in range(columns)]
    boxes += [shapely.Polygon()]
    random.shuffle(boxes)
    shapes = np.array(boxes)
    colors = np.array(colors_of(gpd.GeoSeries(boxes, crs="EPSG:32632")))
    assert set(colors) <= set(COLORS)
    near = shapely.intersects(shapes[:, None], shapes) & ~np.eye(len(boxes), dtype=bool)
    few = near.sum(axis=1) < len(COLORS)  # a square inside has eight neighbors, corners counted
    assert not (near & (colors[:, None] == colors))[few][:, few].any()


def test_on_the_hintereisferner_complex_the_divides_are_those_of_the_rgi(data):
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    shade = gl.teach.shade_around(glaciers, data / "oggm/srtm_oetztal.tif")
    figure = divides_figure(glaciers, shade)
    with rioxarray.open_rasterio(data / "oggm/srtm_oetztal.tif") as dem:
        assert dem.rio.crs.is_geographic  # and the figure in meters
    assert float(np.isfinite(shade).mean()) > 0.98
    local = glaciers.to_crs(shade.rio.crs)
    divides = local.boundary.length.sum() - local.union_all().boundary.length
    drawn = lines_of(figure, DIVIDE).difference(lines_of(figure, OUTLINE).buffer(1e-3))
    assert drawn.length == pytest.approx(divides / 2000, rel=0.05)  # each divide is part of two outlines
