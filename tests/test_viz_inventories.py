"""The map of an inventory: where glaciers lie, how they are colored, what a browser makes of its page."""

import geopandas as gpd
import numpy as np
import pytest
from browsing import outside, visit
from pyproj import Transformer
from shapely import Point, box

import glacierlab as gl
from glacierlab.errors import GlacierlabError, InventoryError

hv = pytest.importorskip("holoviews", reason="the map needs holoviews")
pytest.importorskip("geoviews", reason="the map needs geoviews")


def circles(places, radius_m=800, **columns):
    """Round glaciers at longitudes and latitudes."""
    points = gpd.GeoSeries([Point(place) for place in places], crs="EPSG:4326").to_crs("EPSG:6933")
    return gpd.GeoDataFrame(columns, geometry=points.buffer(radius_m)).to_crs("EPSG:4326")


def drawn(view, kind="Polygons"):
    """The layers of a kind by label."""
    return {each.label: each for each in view if type(each).__name__ == kind}


def style(layer):
    return layer.opts.get("style").kwargs | layer.opts.get("plot").kwargs


@pytest.fixture(scope="module")
def alps():
    return circles(
        [(7.9, 46.5), (8.0, 46.6), (10.7, 46.8), (13.0, 47.1)],
        rgi_id=["A", "B", "C", "D"], area_km2=[0.1, 2.0, 3.0, 40.0], rate_pct_per_a=[-0.5, 1.0, np.nan, 3.0],
        zmin_m=[2000, 2100, 2200, 2300], note=["", "", "", ""],
    )  # fmt: skip


def test_glaciers_of_several_utm_zones_lie_where_they_are(alps):
    east, west = alps.iloc[2:].to_crs("EPSG:32633"), alps.iloc[:2].to_crs("EPSG:32632")
    shown = drawn(gl.viz.explore_inventory({"west": west, "east": east}))
    assert list(shown) == ["west", "east"]
    back = Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True)
    for name, rows in (("west", alps.iloc[:2]), ("east", alps.iloc[2:])):
        x, y = shown[name].range(0), shown[name].range(1)
        bounds = (*back.transform(x[0], y[0]), *back.transform(x[1], y[1]))
        assert bounds == pytest.approx(rows.total_bounds, abs=1e-4)  # 10 m
        dots = drawn(gl.viz.explore_inventory(rows), "Points")[""]
        longitudes, _ = back.transform(dots.dimension_values(0), dots.dimension_values(1))
        assert longitudes == pytest.approx(rows.representative_point().x.to_numpy(), abs=1e-3)


@pytest.mark.parametrize(
    "outlines",
    [
        circles([(179.8, 68.0), (-179.8, 68.1)]),  # one on either side
        gpd.GeoDataFrame(geometry=[box(179.9, 68, 180, 68.1) | box(-180, 68, -179.9, 68.1)], crs="EPSG:4326"),
        circles([(179.999, 68.0)]).to_crs("EPSG:3571"),  # one that crosses, in a polar CRS
    ],
)
def test_an_inventory_on_both_sides_of_180_is_in_one_piece(outlines):
    shown = drawn(gl.viz.explore_inventory(outlines))[""]
    degrees = np.degrees(np.array(shown.range(0)) / 6378137)
    assert 179 < degrees[0] < 180 < degrees[1] < 181


def test_longitudes_go_on_across_180(browser, tmp_path):
    view = gl.viz.explore_inventory(circles([(179.8, 68.0), (-179.8, 68.1)]))
    page = browser.new_page(viewport={"width": 800, "height": 700})
    page.goto(gl.viz.write_page(view, tmp_path / "across.html").as_uri())
    page.wait_for_function("window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    page.evaluate(FIND)
    ticks = page.evaluate(
        "() => { const axis = map.views.find_one(map.model.below[0]); const at = axis.tick_coords.major[0];"
        "return axis.model.formatter.doFormat(at, {loc: 0}) }"
    )
    assert ticks == ["179.8", "179.9", "180", "-179.9", "-179.8"]


def test_an_inventory_of_the_world_stays_as_it_is():
    shown = drawn(gl.viz.explore_inventory(circles([(-150, 60), (-70, -40), (80, 30), (170, -44)])))[""]
    assert np.degrees(np.array(shown.range(0)) / 6378137) == pytest.approx([-150, 170], abs=0.1)


def test_the_pointer_is_told_names_first_and_units(alps):
    layer = drawn(gl.viz.explore_inventory(alps, color="zmin_m"))[""]
    assert [str(each.pprint_label) for each in layer.vdims] == [
        "rgi id", "area (km²)", "zmin (m)", "rate (%/a)",
    ]  # fmt: skip


def test_colors_are_of_a_column_on_one_scale(alps):
    look = style(drawn(gl.viz.explore_inventory(alps, color="zmin_m"))[""])
    assert look["cmap"] == "cividis"
    assert not look["logz"]
    assert look["clim"] == pytest.approx(np.percentile(alps.zmin_m, [2, 98]))
    assert style(drawn(gl.viz.explore_inventory(alps, color="area_km2"))[""])["logz"]
    both = gl.viz.explore_inventory({"a": alps[:2], "b": alps[2:]}, color="rate_pct_per_a")
    looks = [style(each) for each in drawn(both).values()]
    assert looks[0]["clim"] == looks[1]["clim"]
    assert looks[0]["clim"][0] == -looks[0]["clim"][1]  # losses and gains: zero is in the middle
    assert looks[0]["cmap"] == "PuOr_r"
    assert [each.get("colorbar", False) for each in looks] == [True, False]


def test_classes_have_their_colors(alps):
    mixed = alps.assign(**{"class": ["clean_ice", "glacial_lake", "clean_ice", ""]})
    shown = drawn(gl.viz.explore_inventory(mixed))
    assert {name: len(each) for name, each in shown.items()} == {
        "clean_ice": 2, "glacial_lake": 1, "no class": 1,
    }  # fmt: skip
    for name in ("clean_ice", "glacial_lake"):
        assert style(shown[name])["color"] == gl.tables.CLASSES[name].color


def test_what_cannot_be_shown_is_said(alps):
    with pytest.raises(GlacierlabError, match=r"'note' is no column of numbers of 'outlines'.*area_km2"):
        gl.viz.explore_inventory(alps, color="note")
    with pytest.raises(GlacierlabError, match="of 'b'"):
        gl.viz.explore_inventory({"a": alps, "b": alps.drop(columns="zmin_m")}, color="zmin_m")
    with pytest.raises(GlacierlabError, match="no glacier has a value"):
        gl.viz.explore_inventory(alps.assign(x=np.nan), color="x")
    with pytest.raises(InventoryError, match="needs outlines, and there is none"):
        gl.viz.explore_inventory(alps[:0])
    with pytest.raises(InventoryError, match="GeoDataFrame"):
        gl.viz.explore_inventory("glaciers.gpkg")
    with pytest.raises(InventoryError, match=r"ends at 85°.*-87"):
        gl.viz.explore_inventory(circles([(0, -87)]))


def test_its_frame_lasts_over_tiles(alps):
    import geoviews

    view = gl.viz.explore_inventory({"a": alps, "b": alps}, width=300)
    plain = hv.render(view, backend="bokeh")
    tiled = hv.render(geoviews.tile_sources.OSM * view, backend="bokeh")
    for each in ("frame_width", "frame_height"):
        assert getattr(tiled, each) == getattr(plain, each)
    assert (tiled.x_range.start, tiled.y_range.end) == (plain.x_range.start, plain.y_range.end)
    assert "Mercator" in type(tiled.xaxis[0].formatter).__name__
    assert len(tiled.legend[0].items) == 2


def test_many_outlines_are_few_vertices():
    rng = np.random.default_rng(1)
    places = np.column_stack([rng.uniform(70, 95, 2000), rng.uniform(28, 36, 2000)])
    many = circles(places, area_km2=np.full(2000, 2.0))
    many["geometry"] = many.segmentize(0.0001)  # as from pixels of 10 m
    layer = drawn(gl.viz.explore_inventory(many))[""]
    assert many.count_coordinates().sum() > 10 * layer.data.count_coordinates().sum()
    ratio = layer.data.area / many.to_crs("EPSG:3857").area
    assert ratio.between(0.98, 1.0).all()


FIND = """
() => {
    const views = [...Bokeh.index.roots ?? Object.values(Bokeh.index)]
    const find = view => view.frame && view.model.renderers ? view
        : [...(view.child_views ?? [])].map(find).find(each => each)
    window.map = views.map(find).find(view => view)
}
"""
COUNT = """
() => map.model.renderers.map(each => each.visible ? map.views.find_one(each).glyph.data_size : 0)
"""
ZOOM = """
([x, y, half]) => {
    map.model.x_range.setv({start: x - half, end: x + half})
    map.model.y_range.setv({start: y - half, end: y + half})
}
"""
PLACE = """
([x, y]) => {
    const box = map.el.getBoundingClientRect()
    return [box.x + map.frame.x_scale.compute(x), box.y + map.frame.y_scale.compute(y)]
}
"""


def test_a_page_tells_what_is_under_the_pointer_and_asks_for_nothing(alps, browser, tmp_path):
    view = gl.viz.explore_inventory({"2000": alps, "2020": alps[:2]}, width=400)
    path = gl.viz.write_page(view, tmp_path / "inventory.html")
    page = visit(browser, path.as_uri(), width=700, height=500)
    page.evaluate(FIND)
    assert page.evaluate(COUNT) == [1, 4, 1, 2]  # of both dates all dots, and an outline for the legend
    layer = drawn(view, "Points")[""]
    x, y = layer.dimension_values(0)[0], layer.dimension_values(1)[0]
    page.mouse.move(*page.evaluate(PLACE, [x, y]))
    page.wait_for_timeout(500)
    assert page.get_by_text("rgi id").count() == 2  # one of each date
    page.evaluate(ZOOM, [x, y, 5000])
    page.wait_for_timeout(500)
    assert page.evaluate(COUNT) == [4, 0, 2, 0]  # seen close they are outlines
    page.evaluate("() => { map.model.renderers[2].visible = false }")  # as a click in the legend does
    page.wait_for_timeout(200)
    assert page.evaluate("() => map.model.renderers.map(each => each.visible)") == [True, True, False, False]
    assert outside(page) == []
    assert [url for url in page.asked if url.startswith("file:")] == [path.as_uri()]
    assert page.told == []


def test_glacier_national_park_1966_and_2015(data):
    years = {year: gl.open_inventory(data / f"gnp_glaciers/polys{year % 100}.json") for year in (1966, 2015)}
    shown = drawn(gl.viz.explore_inventory(years))
    assert list(shown) == ["1966", "2015"]
    for year, layer in shown.items():
        table = layer.data.to_crs("EPSG:6933")  # equal area
        assert table.area.sum() / 1e6 == pytest.approx(years[int(year)].area_km2.sum(), rel=0.01)
