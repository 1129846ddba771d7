"""The view to pan and zoom in: its place on the ground, what it reads, what a browser makes of its page."""

from io import BytesIO

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from browsing import visit
from matplotlib.image import imread

import glacierlab as gl
from glacierlab.errors import GlacierlabError, GridError, UnknownNameError

hv = pytest.importorskip("holoviews", reason="the view needs holoviews")

SIDE, CHUNK = 5000, 500


@pytest.fixture(scope="module")
def glaciers(_made):
    return _made.glacier.map_glaciers().glacier.outlines()


def moved(view, **ranges):
    """What a view shows once someone has panned or zoomed."""
    for dynamic in view.traverse(lambda each: each, [hv.DynamicMap]):
        for stream in dynamic.streams:
            if isinstance(stream, hv.streams.RangeXY):
                stream.event(**ranges)
    return view[()]


def picture_of(shown, kind):
    return shown.traverse(lambda each: each, [kind])[0]


@pytest.mark.parametrize("flipped", [False, True])
def test_every_pixel_lies_where_it_is_on_the_ground(made, flipped):
    scene = made.isel(y=slice(None, None, -1), x=slice(None, None, -1)) if flipped else made
    image = picture_of(gl.viz.explore(scene, layers="ndsi")[()], hv.Image)
    ndsi = made.glacier.index("ndsi")
    for row, column in ((3, 5), (100, 40), (150, 199)):
        place = float(made.x[column]), float(made.y[row])
        assert image[place] == pytest.approx(float(ndsi[row, column]), abs=1e-6)


def test_false_color_is_clear_where_there_is_no_data(made):
    made["nir"][:20] = np.nan
    picture = picture_of(gl.viz.explore(made)[()], hv.RGB)
    alpha = picture.dimension_values("A", flat=False)  # from south to north
    assert (alpha[-20:] == 0).all()
    assert (alpha[:-20] == 255).all()


def test_outlines_bear_their_columns_and_stay_in_place(made, glaciers):
    shown = gl.viz.explore(made, {"mapped": glaciers.to_crs("EPSG:4326")})[()]
    drawn = picture_of(shown, hv.Polygons)
    assert drawn.label == "mapped"
    assert {"class", "area_km2", "src_date"} <= {each.name for each in drawn.vdims}
    assert sum(len(each) for each in shown.traverse(lambda e: e, [hv.Polygons])) == len(glaciers)
    bounds = drawn.range(0)[0], drawn.range(1)[0], drawn.range(0)[1], drawn.range(1)[1]
    assert bounds == pytest.approx(glaciers.total_bounds, abs=0.5)


def test_outlines_of_several_classes_are_several_colors(made, glaciers):
    mixed = glaciers.copy()
    mixed["class"] = np.where(np.arange(len(mixed)) % 2, "clean_ice", "glacial_lake")
    shown = gl.viz.explore(made, mixed)[()].traverse(lambda each: each, [hv.Polygons])
    colors = {each.label: each.opts.get("style").kwargs["line_color"] for each in shown}
    assert colors == {name: gl.tables.CLASSES[name].color for name in ("clean_ice", "glacial_lake")}


def test_several_layers_lie_side_by_side(made, mapped):
    view = gl.viz.explore(made, layers=["false color", "ndsi", mapped["class_map"]])
    assert isinstance(view, hv.Layout)
    assert len(view) == 3
    from bokeh.plotting import figure

    figures = list(hv.render(view, backend="bokeh").select({"type": figure}))
    assert len(figures) == 3
    assert len({each.x_range.id for each in figures}) == len({each.y_range.id for each in figures}) == 1


@pytest.fixture
def large():
    """A lazy scene in many chunks, and a list of the chunks that were made."""
    made_of = []

    def block(block_info=None):
        where = block_info[None]["array-location"]
        made_of.append(where)
        rows, columns = (np.arange(*each, dtype="float32") for each in where)
        return np.add.outer(rows, columns / 10)

    band = da.map_blocks(block, chunks=da.core.normalize_chunks(CHUNK, (SIDE, SIDE), dtype="float32"),
                         dtype="float32", meta=np.empty((0, 0), "float32"))  # fmt: skip
    coords = {"y": 5e6 - 10 * (np.arange(SIDE) + 0.5), "x": 5e5 + 10 * (np.arange(SIDE) + 0.5)}
    scene = xr.Dataset({"red": (("y", "x"), band)}, coords).rio.write_crs("EPSG:32645")
    return scene.assign_attrs(radiometry="sr"), made_of


def test_a_large_scene_is_read_once_and_then_only_where_it_is_seen(large):
    scene, made_of = large
    view = gl.viz.explore(scene, layers="red")
    whole = picture_of(view[()], hv.Image)
    assert len(made_of) == (SIDE // CHUNK) ** 2
    assert max(hv.Dataset(whole).interface.shape(whole, gridded=True)) <= 1700
    made_of.clear()
    near = picture_of(moved(view, x_range=(511000, 515000), y_range=(4961000, 4965000)), hv.Image)
    assert 1 <= len(made_of) <= 4
    assert near[513005.0, 4963005.0] == 3699 + 130.0  # row 3699, column 1300: the pixel itself
    made_of.clear()
    moved(view, x_range=(5e5, 5.4e5), y_range=(4.96e6, 5e6))
    assert made_of == []


def test_someone_who_pans_beyond_the_scene_sees_all_of_it(made):
    shown = picture_of(moved(gl.viz.explore(made, layers="red"), x_range=(0, 1), y_range=(0, 1)), hv.Image)
    assert shown.range(0) == (
        pytest.approx(float(made.x.min()), abs=31),
        pytest.approx(float(made.x.max()), abs=31),
    )


def test_what_cannot_be_shown_is_said(made):
    with pytest.raises(GridError, match="degrees: reproject"):
        gl.viz.explore(made.rio.reproject("EPSG:4326"))
    with pytest.raises(GridError, match="CRS"):
        gl.viz.explore(made.drop_vars("spatial_ref"))
    with pytest.raises(GlacierlabError, match="'pca:3' is 3 features"):
        gl.viz.explore(made, layers="pca:3")
    with pytest.raises(UnknownNameError, match="ndsi"):
        gl.viz.explore(made, layers="ndsi_x")
    with pytest.raises(GlacierlabError, match="name one or more"):
        gl.viz.explore(made, layers=[])


@pytest.mark.parametrize("inline", [False, True])  # styles of Panel's own server, or of one elsewhere
def test_a_page_fetches_nothing_that_panel_adds(made, tmp_path, inline):
    panel = pytest.importorskip("panel")
    panel.extension("tabulator", inline=inline)
    page = gl.viz.write_page(gl.viz.explore(made, width=300), tmp_path / "map.html").read_text()
    assert "<link" not in page.partition("<script")[0]
    assert "<script src" not in page


def test_a_page_shows_everything_and_asks_for_nothing(made, glaciers, browser, tmp_path):
    pytest.importorskip("panel").extension("tabulator")  # adds scripts and styles to every page
    view = gl.viz.explore(made, {"mapped": glaciers}, ["false color", "ndsi"], width=400)
    path = gl.viz.write_page(view, tmp_path / "map.html")
    page = visit(browser, path.as_uri(), width=1150, height=520)
    assert page.asked == [path.as_uri()]
    assert page.told == []
    assert page.locator("canvas").count() >= 2
    shape = glaciers.geometry.iloc[0].representative_point()
    picture = imread(BytesIO(page.screenshot()))[..., :3]
    colors = np.unique((picture.reshape(-1, 3) * 15).astype(int), axis=0)
    assert len(colors) > 100  # a white page has one
    place = page.evaluate(
        """([x, y]) => {
            const views = [...Bokeh.index.roots ?? Object.values(Bokeh.index)]
            const find = view => view.frame && view.model.renderers ? view
                : [...(view.child_views ?? [])].map(find).find(each => each)
            const view = views.map(find).find(each => each)
            const box = view.el.getBoundingClientRect()
            return [box.x + view.frame.x_scale.compute(x), box.y + view.frame.y_scale.compute(y)]
        }""",
        [shape.x, shape.y],
    )
    page.mouse.move(*place)
    page.wait_for_timeout(500)
    assert page.get_by_text("area_km2").count()
