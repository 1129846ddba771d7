"""The inspector as a person uses it, in a browser."""

import time

import pytest
from browsing import outside, visit

import glacierlab as gl

pytest.importorskip("panel", reason="the apps need panel")

from glacierlab.apps.holdings import held

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
WAIT_S = 30
HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"


def until(what):
    """Wait until something is true of the server's side."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def opened(browser, served):
    """A function that opens a studio in a browser: (page, studio)."""

    def open_in_browser(holdings, **options):
        studios = []

        def make():
            studios.append(gl.apps.inspect(holdings, **options))
            return studios[-1]

        page = visit(browser, served(make), width=1400, height=900)
        until(lambda: studios and drawn(studios[-1], "base") is not None)  # the first picture
        return page, studios[-1]

    return open_in_browser


def drawn(studio, slot):
    """The picture that a browser has in a slot of the map, or None."""
    images = studio.map._pictures[slot].data_source.data["image"]
    return images[0].copy() if len(images) else None


def turn_to(page, tab):
    page.locator(".bk-tab", has_text=tab).click()


def said(page, text):
    """Wait until the line below the map says something."""
    page.get_by_role("status").filter(has_text=text).wait_for(timeout=1000 * WAIT_S)


def pixel_of(page, studio, x, y):
    """Where a place of the map is on the page."""
    (left, bottom, right, top), (height, width) = studio.map.view
    box = page.locator(".bk-Canvas").first.bounding_box()
    return box["x"] + (x - left) / (right - left) * width, box["y"] + (top - y) / (top - bottom) * height


@pytest.fixture
def athabasca_package(athabasca, tmp_path):
    outlines = gl.vectorize(gl.map_glaciers(athabasca)["class_map"])
    outlines["glac_name"] = [f"ice {n}" for n in range(len(outlines) - 1)] + [HOSTILE]
    gl.write_outlines(outlines, tmp_path / "outlines.gpkg")
    return tmp_path / "outlines.gpkg"


CORNERS = """() => {
  const models = [...Bokeh.documents[0]._all_models.values()]
  return models.find(each => each.type == "ColumnDataSource" && each.data.ring).data.x.length
}"""  # that the map shows


def test_a_corner_is_moved_and_back_an_outline_rejected_saved_and_found_again(
    opened, athabasca, athabasca_outline, athabasca_package
):
    holdings = held(athabasca, None, athabasca_package)
    reference = gl.Reference(athabasca_outline, "1984", complete=False)
    page, studio = opened(holdings, reference=reference)
    turn_to(page, "Review")
    page.get_by_role("button", name="Accept").click()
    said(page, "Fill in your name first")
    page.get_by_label("Your name").fill("Zoë")
    page.keyboard.press("Tab")
    until(lambda: studio.desk.analyst == "Zoë")
    page.locator(".tabulator-row", has_text="ice 3").click()
    until(lambda: studio.review.current == "ice 3")
    area = studio.review.queue.set_index("id").area_km2["ice 3"]
    page.get_by_role("button", name="Edit corners").click()
    said(page, "Drag a corner")
    until(lambda: studio.tools.edit.value)
    time.sleep(1)  # the browser's zoom
    corner = studio.review.geometry("ice 3").exterior.coords[0]
    x, y = pixel_of(page, studio, *corner)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 20, steps=5)
    page.mouse.up()
    said(page, "Corners changed: ice 3. Kept safe")
    until(lambda: studio.review.queue.set_index("id").status["ice 3"] == "edited")
    assert studio.review.queue.set_index("id").area_km2["ice 3"] != pytest.approx(area)
    page.keyboard.press("u")
    said(page, "Undone")
    assert studio.review.queue.set_index("id").area_km2["ice 3"] == pytest.approx(area)
    assert page.evaluate(CORNERS) > 0
    page.get_by_role("button", name="Edit corners").click()
    page.wait_for_function(f"({CORNERS})() == 0")
    page.get_by_role("button", name="Reject").click()
    said(page, "needs a reason")
    page.get_by_label("Reason").fill("a snow patch")
    page.get_by_role("button", name="Reject").click()
    until(lambda: studio.review.queue.set_index("id").status["ice 3"] == "rejected")
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "Saved: 1 outline rejected, in outlines.gpkg.")
    assert page.told == []
    assert outside(page) == []
    page.reload()
    page.wait_for_function("window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    turn_to(page, "Review")
    page.locator(".tabulator-row", has_text="ice 3").filter(has_text="rejected").wait_for()
    found = gl.apps.inspect(held(athabasca, None, athabasca_package)).review.trail
    assert found.what.tolist() == ["vertices", "undo vertices", "reject"]
    assert found.reason.tolist()[-1] == "a snow patch"
    assert page.evaluate("window.hit") is None


def test_the_slider_of_the_lab_moves_map_numbers_and_marker(opened, made):
    page, studio = opened(held(made, gl.map_glaciers(made)))
    turn_to(page, "Threshold")
    page.get_by_text("Best F1 0.").wait_for()
    until(lambda: drawn(studio, "over") is not None)
    before = drawn(studio, "over")
    page.locator(".noUi-handle:visible").last.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    until(lambda: studio.lab.threshold == pytest.approx(2.4))
    until(lambda: (drawn(studio, "over") != before).any())
    page.get_by_text("Cleaned, in view").wait_for()
    assert studio.thresholds._marker.location == studio.lab.threshold
    page.get_by_role("button", name="Best F1").click()
    until(lambda: studio.lab.threshold == studio.lab.curve.best)
    assert page.told == []


def test_map_is_moved_swiped_and_played_through_dates(opened, made):
    scenes = [made.assign_attrs(datetime=f"{year}-08-01") for year in (1990, 2020)]
    page, studio = opened(held(scenes))
    view = studio.map.view[0]
    box = page.locator(".bk-Canvas").first.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 350, steps=5)
    page.mouse.up()
    until(lambda: studio.map.view[0][0] < view[0] - 10)
    turn_to(page, "Map")
    page.get_by_label("Swipe to").select_option("1990-08-01")
    until(lambda: drawn(studio, "swipe") is not None)
    page.get_by_role("button", name="▶ Play").click()
    until(lambda: studio.label == "1990-08-01")
    page.get_by_role("button", name="▶ Play").click()
    assert page.told == []


def test_keys_act_unless_someone_types_and_tab_reaches_the_rest(opened, made):
    page, studio = opened(held(made, gl.map_glaciers(made)), analyst="Ana")
    first, second = studio.review.queue.id[:2]
    page.locator("body").press("a")
    until(lambda: studio.review.queue.status[0] == "accepted")
    page.locator("body").press("p")
    until(lambda: studio.review.current == first)
    page.locator("body").press("n")
    until(lambda: studio.review.current == second)
    turn_to(page, "Review")
    page.get_by_label("Reason").click()
    page.keyboard.type("a nap under punctual nunataks")
    for name in ("Accept", "Reject"):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == name
    assert studio.review.queue.status.tolist().count("accepted") == 1
    page.keyboard.press("Enter")  # on Reject
    until(lambda: studio.review.trail.reason.tolist()[-1] == "a nap under punctual nunataks")
    assert studio.review.queue.status[1] == "rejected"
    assert page.told == []


FOCUSED = """(() => {
  let at = document.activeElement
  while (at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement
  return at.innerText.trim()
})()"""


def test_what_is_handed_in_is_compared_and_broken_files_are_told(opened, made, tmp_path):
    outlines = gl.vectorize(gl.map_glaciers(made)["class_map"])
    page, studio = opened(held(made, outlines=outlines))
    path = tmp_path / "<img src=x onerror=window.hit=1>.geojson"
    outlines.to_crs(4326).to_file(path)
    turn_to(page, "Scores")
    page.get_by_text("Kappa").wait_for()
    page.set_input_files("input[type=file]", path)
    said(page, "Read <img")
    until(lambda: len(studio.desk.uploads) == 1)
    page.get_by_text("Recall alone can be told").wait_for()
    (tmp_path / "b.gpkg").write_bytes(b"no table")
    page.set_input_files("input[type=file]", tmp_path / "b.gpkg")
    said(page, "neither a GeoPackage nor GeoJSON")
    turn_to(page, "Compare")
    page.get_by_text("IoU 1.000; ours").wait_for()
    assert page.evaluate("window.hit") is None
    assert page.told == []
    assert outside(page) == []


def test_a_page_that_is_loaded_anew_goes_on_with_what_was_not_saved(opened, made, tmp_path):
    gl.write_outlines(gl.vectorize(gl.map_glaciers(made)["class_map"]), tmp_path / "outlines.gpkg")
    page, _ = opened(held(made, None, tmp_path / "outlines.gpkg"), analyst="Ana")
    turn_to(page, "Review")
    page.get_by_role("button", name="Accept").click()
    said(page, "Accepted: outline")
    page.reload()
    said(page, "Here again: 1 act of a session that ended without a save.")
    turn_to(page, "Review")
    page.locator(".tabulator-row", has_text="accepted").wait_for()
    assert page.told == []


def test_reasons_are_text_in_the_trail_and_where_outlines_are_restored(opened, made):
    page, studio = opened(held(made, gl.map_glaciers(made)), analyst=HOSTILE)
    turn_to(page, "Review")
    page.get_by_label("Reason").fill(HOSTILE)
    page.keyboard.press("Tab")
    until(lambda: studio.queue.reason.value == HOSTILE)
    page.get_by_role("button", name="Reject").click()
    said(page, "Rejected: outline")
    page.get_by_text("Audit trail").click()
    page.locator(".tabulator-cell", has_text="<script>").first.wait_for()
    page.get_by_role("button", name="Restore").click()
    said(page, "Back in the queue: outline")
    assert page.evaluate("window.hit") is None
    assert studio.review.rejected.empty


IN_SIGHT = """element => {
  const {top, bottom, left, right} = element.getBoundingClientRect()
  return top >= 0 && bottom <= innerHeight && left >= 0 && right <= innerWidth
}"""


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1600, 900)])
def test_map_and_messages_are_in_sight_without_scrolling(opened, made, width, height):
    page, _ = opened(held(made, gl.map_glaciers(made)), analyst="Ana")
    page.set_viewport_size({"width": width, "height": height})
    turn_to(page, "Review")
    accept = page.get_by_role("button", name="Accept")
    accept.click()
    said(page, "Accepted: outline")
    until(lambda: page.locator(".bk-Canvas").first.evaluate(IN_SIGHT))
    assert page.get_by_role("status").evaluate(IN_SIGHT)
    assert accept.evaluate(IN_SIGHT)
    assert page.get_by_text("current outline").evaluate(IN_SIGHT)  # the legend


def test_nothing_is_wider_than_a_phone_and_messages_stay_in_sight(opened, made):
    scenes = [made.assign_attrs(datetime=f"{year}-08-01") for year in (1990, 2020)]
    maps = [gl.map_glaciers(scene) for scene in scenes]
    page, studio = opened(held(scenes, maps), analyst="Ana")
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in studio._tabs:
        turn_to(page, tab.title)
        page.wait_for_timeout(300)
        wide = page.locator("#main").evaluate("main => main.scrollWidth - main.clientWidth")
        assert wide <= 0, tab.title
    turn_to(page, "Review")
    page.get_by_role("button", name="Accept").click()
    said(page, "Accepted: outline")
    assert page.get_by_role("status").evaluate(IN_SIGHT)
