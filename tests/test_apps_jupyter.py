"""The apps in a notebook: without a browser, and in JupyterLab as a person uses it."""

import pytest
from browsing import jupyter_lab

pytest.importorskip("panel", reason="the apps need panel")
from bokeh.document import Document
from bokeh.plotting import figure

from glacierlab.apps.plots import Plot

INSPECTOR = """
import panel as pn
pn.extension("tabulator", inline=True)
import glacierlab as gl
scene = gl.synthetic_scene(seed=1, shape=(60, 80))
studio = gl.apps.inspect(scene, scene.glacier.map_glaciers(), analyst="Ana")
before = studio.bounds
studio
"""
DASHBOARD = """
import panel as pn
pn.extension("tabulator", inline=True)
import glacierlab as gl
world = gl.synthetic_world(40, [1990, 2000, 2010], (60, 80))
dashboard = gl.apps.change(gl.teach.true_dates(world), pixel_m=30)
dashboard
"""


def test_a_figure_leaves_the_document_of_a_notebook_as_it_was():
    comms = pytest.importorskip("pyviz_comms", reason="a notebook speaks through pyviz_comms")
    drawn, seen, document = figure(width=100, height=100), [], Document()
    drawn.x_range.on_change("start", lambda attr, old, new: seen.append(new))
    document.add_root(Plot(drawn).get_root(document, comms.Comm()))
    document.hold()  # as Panel does while it reads what the notebook sent
    drawn.x_range.start = 5
    document.unhold()
    assert seen == [5]
    assert document.callbacks.hold_value is None


@pytest.fixture
def lab(browser, tmp_path):
    """A function of the code of cells: they are opened in JupyterLab and run; it returns the page."""
    nbformat = pytest.importorskip("nbformat", reason="this needs JupyterLab")

    def run(*cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "lesson.ipynb")
        page = browser.new_page(viewport={"width": 1800, "height": 1300})
        page.goto(f"{url}lab/tree/lesson.ipynb?token=asked&reset")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".bk-Figure").last.wait_for(timeout=120_000)
        page.wait_for_timeout(3000)  # the figure tells the kernel its size, and gets its pictures
        return page

    with jupyter_lab(tmp_path) as url:
        yield run


def prints(page, text):
    """Run the second cell until it prints a text."""
    cell = page.locator(".jp-Cell").nth(1)
    for _ in range(10):
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1500)
        printed = "".join(cell.locator(".jp-OutputArea-output pre").all_inner_texts())
        if text in printed:
            return
    raise AssertionError(f"{text!r} is not in {printed!r}")


MAPS = """() => {
  const models = [...Bokeh.documents.at(-1)._all_models.values()]
  const {x_range: x, y_range: y} = models.find(each => each.type == "Figure" && each.inner_width > 400)
  const tables = models.filter(each => each.type == "ColumnDataSource").map(each => each.data)
  const covers = ({image, x: [left], dw: [width], y: [bottom], dh: [height]}) => image.length > 0 &&
    left < x.start && x.end < left + width && bottom < y.start && y.end < bottom + height &&
    width < 1.5 * (x.end - x.start)
  return [tables.some(each => each.image && covers(each)), tables.find(each => each.ring).x.length > 0]
}"""  # whether the picture is that of the view, and corners are shown


def maps(page, pictured, corners):
    """Wait until the browser has the picture of its view, and corners or none."""
    page.wait_for_function(f"String(({MAPS})()) == '{pictured},{corners}'.toLowerCase()", timeout=20_000)


@pytest.mark.slow
@pytest.mark.browser
def test_the_inspector_answers_in_jupyterlab(lab):
    page = lab(INSPECTOR, "print(studio.tabs.active, len(studio.review.trail), studio.bounds != before)")
    page.locator(".bk-tab").nth(1).click()
    page.get_by_role("button", name="Accept", exact=True).click()
    page.get_by_role("status").filter(has_text="Accepted").wait_for()
    prints(page, "1 1 ")
    page.get_by_role("button", name="Undo").last.click()
    prints(page, "1 2 ")
    maps(page, True, False)
    for name, corners in [("Next ›", False), ("Edit corners", True), ("Edit corners", False),
                          ("Edit corners", True), ("Next ›", False), ("‹ Previous", False)]:  # fmt: skip
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_timeout(1500)
        maps(page, True, corners)
    page.locator(".bk-tab").nth(2).click()
    page.get_by_text("Above it").wait_for()
    prints(page, "2 2 ")


@pytest.mark.slow
@pytest.mark.browser
def test_the_dashboard_answers_in_jupyterlab(lab):
    page = lab(DASHBOARD, "print(dashboard.told, dashboard.view, dashboard.glacier)")
    name = page.locator(".tabulator-row").first.locator(".tabulator-cell").nth(2).inner_text()
    page.get_by_label("Name or id contains").fill(name)
    page.keyboard.press("Enter")
    prints(page, "1 of ")
    page.get_by_role("button", name="Reset").first.click()
    prints(page, "all ")
    page.locator(".tabulator-row").first.locator(".tabulator-cell").nth(2).click()
    page.get_by_role("heading", name=name).first.wait_for()
    prints(page, f"glacier {name}")
