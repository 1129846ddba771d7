"""The map of a scene and its report, up to what a browser shows."""

import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import glacierlab as gl
from glacierlab.errors import GlacierlabError, MissingBandError
from glacierlab.report import Reference
from glacierlab.tables import CLASSES


@pytest.fixture
def folder(made, tmp_path):
    gl.write_folder(
        tmp_path, made, made.glacier.map_glaciers(), reference=Reference(made["truth"], "the truth")
    )
    return tmp_path


# ---- the map ----


def test_map_finds_clean_ice_and_misses_debris(made):
    codes = made.glacier.map_glaciers()["class_map"]
    truth = made["truth"]
    assert gl.score(codes, truth, region=truth != 2).f1["glacier"] > 0.8
    assert float((codes == 1).where(truth == 2).mean()) < 0.3


def test_blue_guard_and_sun_guard_only_take_away(made):
    plain = made.glacier.map_glaciers(size=0, min_area_km2=0)["class_map"]
    for guard in ({"blue_above": 0.2}, {"sunlit": made["elevation"] > made["elevation"].median()}):
        guarded = made.glacier.map_glaciers(size=0, min_area_km2=0, **guard)["class_map"]
        # small holes are filled afterwards, so compare where the guard itself forbids
        allowed = made["blue"] > 0.2 if "blue_above" in guard else guard["sunlit"]
        assert int((guarded == 1).sum()) < int((plain == 1).sum())
        assert float((guarded == 1).where(~allowed).mean()) < 0.05


@pytest.mark.parametrize(("layer", "threshold"), [("red/swir16", 2.0), ("nir/swir16", 2.0), ("ndsi", 0.4)])
def test_published_thresholds_are_the_default(made, layer, threshold):
    prediction = made.glacier.map_glaciers(layer_name=layer)
    assert prediction.attrs["threshold"] == threshold
    assert prediction.attrs["layer"] == layer


@pytest.mark.parametrize("layer", ["nir", "ndgi", "green/blue", "swir16/red"])
def test_layer_without_published_threshold_asks_for_one(made, layer):
    with pytest.raises(GlacierlabError, match=r"no published threshold: give one, or 'otsu'"):
        made.glacier.map_glaciers(layer_name=layer)


def test_map_of_digital_numbers_asks_for_a_threshold(made):
    with pytest.raises(GlacierlabError, match=r"on 'dn' values has no published threshold"):
        made.assign_attrs(radiometry="dn").glacier.map_glaciers()


def test_blue_that_was_not_seen_is_not_background(made):
    made["blue"][:30] = np.nan
    codes = made.glacier.map_glaciers(blue_above=0.05)["class_map"]
    assert (codes[:30] == 255).all()


def test_lazy_otsu_ends_as_a_number(made, tmp_path):
    lazy = made.chunk(64)
    prediction = lazy.glacier.map_glaciers(value="otsu")
    assert prediction["class_map"].chunks is not None
    gl.write_folder(tmp_path, lazy, prediction)
    found = made.glacier.map_glaciers(value="otsu").attrs["threshold"]
    assert f"red/swir16 &gt; {found:.4g}" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_map_without_swir(made):
    with pytest.raises(MissingBandError, match=r"'red/swir16' needs \['swir16'\]"):
        made.drop_vars("swir16").glacier.map_glaciers()


# ---- figures ----


def test_false_color_is_a_picture(made):
    picture = gl.viz.false_color(made)
    assert picture.shape == (160, 200, 3)
    assert 0 <= picture.min() <= picture.max() <= 1
    made["red"][:10] = np.nan
    assert (gl.viz.false_color(made, ["red", "green", "blue"])[:10] == 1).all()  # no data is white


@pytest.mark.parametrize("dim", ["x", "y"])
def test_north_is_up_however_the_raster_lies(made, dim):
    turned = made.isel({dim: slice(None, None, -1)})
    np.testing.assert_array_equal(gl.viz.false_color(turned), gl.viz.false_color(made))


def test_a_folder_of_one_row(made, tmp_path):
    row = made.isel(y=[80])
    gl.write_folder(tmp_path, row, row.glacier.map_glaciers(size=0, min_area_km2=0))
    xr.testing.assert_allclose(gl.open_scene(tmp_path / "scene.tif").y, made.y[[80]])


def test_figures_need_no_display(made):
    ratio = made.glacier.ratio("red", "swir16")
    curve = gl.best_threshold(ratio, made["truth"], range(1, 16))
    for figure in (gl.viz.scene_figure(made, gl.vectorize(made["truth"])), gl.viz.threshold_figure(curve)):
        assert isinstance(figure, Figure)


def test_a_map_of_classes_is_drawn_in_their_colors(made):
    truth = made["truth"].copy()
    truth[0, 0] = 255
    named = {"glacier": gl.vectorize(truth, classes=["clean_ice"]), "lakes": None}
    figure = gl.viz.map_figure(made, truth, named, title="both")
    left, right = figure.axes
    shown = right.images[0].get_array()
    for name, code in (("clean_ice", 1), ("debris_covered_ice", 2), ("glacial_lake", 3)):
        assert (shown[truth.values == code] == np.float32(to_rgb(CLASSES[name].color))).all()
    assert (shown[0, 0] == 1).all()
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["background", "clean ice", "debris covered ice", "glacial lake", "not observed"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["glacier"]


# ---- the report ----


def test_report_tells_what_the_files_hold(made, folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    outlines = gl.open_inventory(folder / "outlines.gpkg")
    assert f"{outlines.area_km2.sum():.2f} km²" in page
    table = gl.score(made.glacier.map_glaciers(), made["truth"])
    assert f"{table.f1['glacier']:.3f}" in page
    assert "A made scene, not a real place" in page
    assert gl.__version__ in page


def test_report_of_a_partial_reference_holds_recall_alone(athabasca, athabasca_outline, tmp_path):
    held = Reference(athabasca_outline, "the outline of 1984", complete=False)
    gl.write_folder(tmp_path, athabasca, athabasca.glacier.map_glaciers(), reference=held)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "labels only part of the ice" in page
    assert not re.search(r"<th[^>]*>(precision|F1|kappa)</th>", page)


def test_report_escapes_what_it_is_told(made, tmp_path):
    made.attrs["title"] = "<script>alert(1)</script>"
    gl.write_folder(tmp_path, made, made.glacier.map_glaciers())
    assert "<script>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_folder_reads_back(made, folder):
    scene = gl.open_scene(folder / "scene.tif")
    np.testing.assert_array_equal(scene["red"], made["red"])
    assert scene.attrs["radiometry"] == "sr"
    again = scene.glacier.map_glaciers()["class_map"]
    xr.testing.assert_equal(gl.open_map(folder / "class_map.tif").drop_attrs(), again.drop_attrs())


@pytest.mark.browser
def test_report_in_a_browser(browser, folder):
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    outside = [url for url in asked if not url.startswith(("file:", "data:"))]
    assert outside == []
    widths = page.eval_on_selector_all("img", "images => images.map(i => i.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 500
    assert page.eval_on_selector("body", "b => b.scrollWidth <= window.innerWidth")
    assert page.title().startswith("Synthetic world, seed 1, 2020: not a real place")


@pytest.mark.browser
def test_report_on_a_phone(browser, folder):
    page = browser.new_page(viewport={"width": 380, "height": 700})
    page.goto((folder / "report.html").as_uri())
    assert page.locator("h1").bounding_box()["width"] <= 380
