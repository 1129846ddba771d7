"""Several folders at once: a page that lists them, an app for each; and the commands that serve them."""

import asyncio
import signal
import sys
from html.parser import HTMLParser

import pytest
from browsing import outside, serving, visit
from commands import call
from visiting import crowd, leave, process, raw, status_of

import glacierlab as gl

pn = pytest.importorskip("panel")

from glacierlab.apps import gallery, holdings_of  # noqa: E402

SHAPE = (70, 70)
HURT = "<img src=x onerror=window.hurt=1>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two dates together, in a folder with a name that would be HTML, and a folder of each date alone."""
    top = tmp_path_factory.mktemp("folders")
    world = gl.synthetic_world(6, [2000, 2020], SHAPE)
    for year in world.years:
        scene = world.scene(year)
        for place in (top / HURT / str(year), top / f"only {year}"):
            gl.write_folder(place, scene, scene.glacier.map_glaciers(size=0))
    return {"both": top / HURT, "2000": top / "only 2000", "2020": top / "only 2020"}


def test_one_folder_is_one_dashboard(folders):
    pages = gallery.boards([folders["both"]], with_inspect=True)
    assert set(pages) == {"/", "/inspect"}
    assert set(gallery.boards([folders["2000"]])) == {"/"}  # a single date opens, too


def test_folders_of_one_date_are_shown_together(folders):
    ((title, held),) = gallery.together([folders["2000"], folders["2020"]])
    assert title == "only 2000 and only 2020"
    assert held.labels == ["2000-09-15", "2020-09-15"]
    assert set(gallery.boards([folders["2000"], folders["2020"]])) == {"/"}


def test_folders_with_dates_of_their_own_are_listed(folders):
    pages = gallery.boards([folders["both"], folders["2000"], folders["both"]], with_inspect=True)
    slug = gallery.free_slug(HURT, {})
    apps = ["/only-2000", f"/{slug}", f"/{slug}-2"]
    assert set(pages) == {"/", *apps, *(f"{app}/inspect" for app in apps)}


def test_paths_are_plain_and_never_the_servers_own():
    assert gallery.free_slug("../../etc", {}) == "etc"
    assert gallery.free_slug("Überall", {}) == "berall"
    assert gallery.free_slug("冰川", {}) == "folder"
    assert gallery.free_slug("inspect", {}) == "inspect-2"
    assert gallery.free_slug("a b", {"/a-b": None, "/a-b-2": None}) == "a-b-3"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


def test_a_card_takes_names_as_text_and_draws_both_dates(folders):
    held = holdings_of(folders["both"])
    card = Tags(gallery.card_of(gallery.Entry(HURT, held, {HURT: f"/{HURT}"})))
    assert set(card.found) == {"section", "h2", "svg", "path", "p", "a"}
    assert card.found.count("path") == 2
    assert HURT in card.text
    number = len(held.outlines["2020-09-15"])
    assert f"2 dates, 2000-09-15 to 2020-09-15; {number} outlines at the last" in card.text


@pytest.mark.browser
def test_the_list_leads_to_a_dashboard_and_back(browser, served, folders):
    page = visit(browser, served(gallery.boards([folders["both"], folders["2000"]])))
    assert page.locator(".card").count() == 2
    assert page.locator(".card h2").first.inner_text() == HURT
    page.get_by_role("link", name="Dashboard").first.click()
    page.get_by_role("link", name="All").wait_for()
    page.wait_for_function("Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    assert page.evaluate("window.hurt") is None
    page.get_by_role("link", name="All").click()
    page.locator(".card").first.wait_for()
    assert outside(page) == []


def test_commands_serve_until_they_are_stopped(folders):
    for command, title in (("dashboard", "Change: only 2000"), ("inspect", "Inspect: only 2000")):
        made = [
            sys.executable,
            "-m",
            "glacierlab",
            command,
            str(folders["2000"]),
            "--no-browser",
            "--port",
            "0",
        ]
        with process(made) as (server, url):
            answer = raw(url, "/", wait=60)
            assert status_of(answer) == 200
            assert title.encode() in answer
            server.send_signal(signal.SIGINT)
            out, err = server.communicate(timeout=30)
        assert (server.returncode, out, err) == (0, "Stopped.\n", "")


def test_the_command_tells_that_outlines_alone_have_no_inspector(folders, monkeypatch, capsys):
    monkeypatch.setattr("glacierlab.apps.serving.serve", lambda pages, **options: print(sorted(pages)))
    files = [folders[year] / "outlines.gpkg" for year in ("2000", "2020")]
    _, out, _ = call(capsys, "dashboard", *files, "--inspect")
    assert out.startswith("There is no inspector: it needs a scene")
    assert "['/']" in out
    _, out, _ = call(capsys, "dashboard", folders["both"], "--inspect")
    assert out == "['/', '/inspect']\n"
    _, out, _ = call(capsys, "dashboard", *files)
    assert out == "['/']\n"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/inspect"])
def test_fifty_people_look_at_once(folders, path):
    async def visited(url, server):
        connections, _ = await crowd(url, 50, at_once=4)
        assert len(server.get_sessions()) == 50
        await leave(*connections)

    with serving(gallery.boards([folders["both"]], with_inspect=True)) as (url, server):
        asyncio.run(visited(url.rstrip("/") + path, server))
