"""The change dashboard as a person uses it, in a browser."""

import re
from contextlib import suppress

import geopandas as gpd
import pytest
import shapely
from browsing import outside, visit

import glacierlab as gl

pytest.importorskip("panel", reason="the apps need panel")

from glacierlab.apps.story import told

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
UTM = "EPSG:32632"
HOSTILE = "<img src=x onerror=window.hit=1>$$x$$"
SIDES = {"large": 3000, "middle": 1000, "small": 300, HOSTILE: 700}


@pytest.fixture(scope="module")
def story():
    def glaciers(year, shrunk):
        boxes = [
            shapely.box(5e5 + 5000 * n, 5e6, 5e5 + 5000 * n + side - shrunk, 5e6 + side)
            for n, side in enumerate(SIDES.values())
        ]
        names = {"rgi_id": [f"RGI-{name}" for name in SIDES], "glac_name": [*SIDES]}
        return gpd.GeoDataFrame(names | {"src_date": f"{year}-08-15"}, geometry=boxes, crs=UTM)

    dates = {str(year): glaciers(year, 50 * n) for n, year in enumerate((1990, 2000, 2010))}
    basin = gpd.GeoDataFrame({"basin": [HOSTILE]}, geometry=[shapely.box(4e5, 4e6, 6e5, 6e6)], crs=UTM)
    return told(dates, regions=basin, pixel_m=30)


@pytest.fixture
def url(served, story):
    return served(lambda: gl.apps.change(story).page("Change"))


def status(page, text):
    """Wait until the dashboard says how many glaciers are chosen."""
    said(page, text).wait_for(timeout=15_000)


def said(page, text):
    return page.get_by_role("status").filter(has_text=text)


def insist(click, awaited):
    """Click until what is awaited is there: a click on a table that Panel draws anew is lost."""
    from playwright.sync_api import TimeoutError as NothingCame

    for _ in range(3):
        click()
        with suppress(NothingCame):
            awaited.wait_for(timeout=10_000)
            return
    raise AssertionError("Nothing came of three clicks.")


def test_a_brush_filters_all_and_a_shared_address_shows_the_same(browser, url):
    page = visit(browser, url, width=1600, height=1200)
    status(page, "all 4 glaciers")
    chart = page.locator(".bk-Figure").filter(has=page.locator(".bk-Canvas")).nth(2)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.97 * box["width"], box["y"] + 120, steps=5)
    page.mouse.up()
    status(page, re.compile("^[12] of 4 glaciers"))
    assert page.locator(".tabulator-row").count() in (1, 2)
    page.wait_for_function("window.location.search.includes('size=')")
    shared, said = page.url, page.get_by_role("status").inner_text()
    other = visit(browser, shared, width=1600, height=1200)
    status(other, said)
    other.get_by_role("button", name="Reset").first.click()
    status(other, "all 4 glaciers")
    other.wait_for_function("!window.location.search.includes('size=')")
    assert outside(page) == outside(other) == []
    assert page.told == other.told == []


def test_keyboard_text_and_rows_choose(browser, url):
    page = visit(browser, url, width=1600, height=1200)
    page.get_by_label("Name or id contains").focus()
    page.keyboard.type("small")
    page.keyboard.press("Enter")
    status(page, "1 of 4 glaciers")
    page.get_by_label("Name or id contains").fill("")
    page.keyboard.press("Enter")
    status(page, "all 4 glaciers")
    insist(page.locator(".tabulator-row input[type=checkbox]").nth(1).click, said(page, "1 of 4 glaciers"))
    assert page.locator(".tabulator-row").count() == 4
    page.wait_for_function("window.location.search.includes('picked=RGI-middle')")
    page.get_by_label("Open the page of a glacier").fill("LARGE")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="large (RGI-large)").wait_for()
    page.wait_for_function("window.location.search.includes('rgi_id=RGI-large')")
    page.get_by_role("button", name="All glaciers").click()
    status(page, "1 of 4 glaciers")
    page.get_by_text("Methods", exact=True).click()
    page.get_by_role("heading", name="Provenance").wait_for()
    assert page.told == []


def test_a_sorted_row_is_still_its_glacier(browser, url):
    page = visit(browser, url, width=1600, height=1600)
    rows = page.locator(".tabulator-row")
    rows.nth(3).wait_for()
    header = page.locator(".tabulator-col").filter(has_text="loss [%/a]")
    header.click()
    rows.nth(0).filter(has_text="RGI-large").wait_for()
    insist(header.click, rows.nth(0).filter(has_text="RGI-small"))  # the other way round
    insist(page.locator(".tabulator-row input[type=checkbox]").nth(0).click, said(page, "1 of 4 glaciers"))
    page.wait_for_function("window.location.search.includes('picked=RGI-small')")
    rows.nth(3).locator(".tabulator-cell").nth(5).click()
    page.get_by_role("heading", name="large (RGI-large)").wait_for()
    page.get_by_role("button", name="All glaciers").click()
    status(page, "1 of 4 glaciers")
    rows.nth(0).filter(has_text="RGI-small").wait_for()
    assert page.told == []


FOCUSED = """() => {
  let at = document.activeElement
  while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement
  const named = at.ariaLabel || (at.labels && at.labels.length && at.labels[0].innerText) || at.innerText
  return [String(named).trim(), getComputedStyle(at).outlineStyle]
}"""


def test_the_keyboard_reaches_all_and_shows_where_it_is(browser, url):
    page = visit(browser, url, width=1600, height=1600)
    status(page, "all 4 glaciers")
    page.locator(".tabulator-row").nth(3).wait_for()
    seen = []
    while len(seen) < 60 and "Select Row" not in dict(seen):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    names = [name for name, _ in seen]
    wanted = ["Dark", "Overview", "Methods", "Open the page of a glacier", "Name or id contains",
              "Region", "Group by", "CSV", "GeoPackage", "Select Row"]  # fmt: skip
    assert [name for name in dict.fromkeys(names) if name in wanted] == wanted
    assert all(outline != "none" for name, outline in seen if name in wanted)
    labels = page.locator("[role=figure]").evaluate_all("all => all.map(each => each.ariaLabel)")
    assert any("km² at 1990" in label for label in labels)


@pytest.mark.parametrize("query", ["", "?rgi_id=RGI-middle", "?view=methods", "?theme=dark&size=0.5,"])
def test_it_fits_a_phone_and_a_projector(browser, url, query):
    page = visit(browser, url + query, width=1600, height=900)
    for width in (1600, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(700)
        for part in ("documentElement", "querySelector('#main')"):
            assert page.evaluate(f"document.{part}.scrollWidth <= window.innerWidth")
    assert outside(page) == []
    assert page.told == []


def test_hostile_names_are_text(browser, url):
    page = visit(browser, f"{url}?glacier=RGI-{HOSTILE.replace(' ', '%20')}", width=1200, height=1000)
    page.get_by_role("heading", name=HOSTILE).first.wait_for()
    page.get_by_role("button", name="All glaciers").click()
    status(page, "all 4 glaciers")
    page.get_by_text(HOSTILE).first.wait_for()
    assert page.evaluate("window.hit === undefined")
    assert outside(page) == []


def test_hostile_addresses_leave_a_plain_note(browser, url):
    for query in ("?rgi_id=<script>window.hit=1</script>", "?glacier=../../etc/passwd", "?size=x,y"):
        page = visit(browser, url + query)
        status(page, "all 4 glaciers")
        page.locator(".note").first.wait_for()
        assert page.evaluate("window.hit === undefined")


def test_downloads_hold_the_chosen_glaciers(browser, url, tmp_path):
    page = visit(browser, f"{url}?q=&text=middle", width=1600, height=1200)
    status(page, "1 of 4 glaciers")
    for label, ending in (("CSV", "csv"), ("GeoPackage", "gpkg"), ("PNG of areas", "png")):
        with page.expect_download() as found:
            page.get_by_text(label, exact=True).click()
        path = tmp_path / f"glaciers.{ending}"
        found.value.save_as(path)
        assert path.stat().st_size > 100
    assert gpd.read_file(tmp_path / "glaciers.gpkg")["name"].tolist() == ["middle"]
    assert (tmp_path / "glaciers.csv").read_text().count("\n") == 2


def test_one_date_says_what_is_missing(browser, served, story):
    one = told({"1990": story.holdings.outlines["1990"]}, pixel_m=30)
    page = visit(browser, served(lambda: gl.apps.change(one).page()))
    status(page, "all 4 glaciers")
    page.get_by_text("a change needs two").first.wait_for()
    assert page.told == []
