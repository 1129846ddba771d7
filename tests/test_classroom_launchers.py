"""Both apps from the launcher of JupyterLab: what the proxy is told, data not yet there, and the pages."""

import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browsing import jupyter_lab, outside

import glacierlab as gl
from glacierlab.apps import launching

ROOT = Path(__file__).parents[1]
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
TILES = POINTS["jupyter_serverproxy_servers"]


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """What `glacierlab demo --dates 12` writes, small: three dates."""
    folder = tmp_path_factory.mktemp("demo") / launching.FOLDER
    world = gl.synthetic_world(6, [1990, 2005, 2020], (160, 160))
    for year in (1990, 2005):
        gl.write_folder(folder / str(year), world.scene(year), gl.map_glaciers(world.scene(year)))
    gl.write_folder(folder, world.scene(2020), gl.map_glaciers(world.scene(2020)))
    return folder


@pytest.mark.parametrize("name", TILES)
def test_a_tile_has_a_title_an_icon_of_our_own_and_a_command(name):
    module, _, function = TILES[name].partition(":")
    told = getattr(import_module(module), function)()
    assert told["command"][:3] == [sys.executable, "-m", "glacierlab.apps.launching"]
    assert told["command"][3] in launching.OPEN
    assert told["launcher_entry"]["title"] in ("Outline inspector", "Change dashboard")
    assert ElementTree.parse(told["launcher_entry"]["icon_path"]).getroot().tag.endswith("svg")


def test_nothing_heavy_is_loaded_for_the_tiles():
    code = "import sys, glacierlab.apps.launching as l; l.inspector(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"panel", "bokeh", "torch", "geopandas", "matplotlib"} & set(run.stdout.split())


def test_without_panel_there_is_no_tile(monkeypatch):
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    assert launching.inspector()["launcher_entry"]["enabled"] is False


def test_data_that_are_not_there_are_made_and_the_page_says_so(twelve, tmp_path, monkeypatch, capsys):
    pytest.importorskip("panel", reason="the apps need panel")
    seen = []

    def make(folder):
        seen.append(opening.page().object)
        shutil.copytree(twelve, folder)

    monkeypatch.setattr(launching, "make_data", make)
    opening = launching.Opening.__new__(launching.Opening)
    opening.__init__(lambda folder: lambda: f"the app of {folder.name}", tmp_path / launching.FOLDER)
    opening.thread.join(60)
    assert "Making 12 dates of a made world" in seen[0]
    assert "comes back by itself" in seen[0]
    assert opening.page() == f"the app of {launching.FOLDER}"
    assert "glacierlab: Making 12 dates" in capsys.readouterr().out


def test_what_goes_wrong_is_on_the_page(tmp_path, monkeypatch):
    pytest.importorskip("panel", reason="the apps need panel")

    def fail(folder):
        raise RuntimeError("The data could not be made: <no room>")

    monkeypatch.setattr(launching, "make_data", fail)
    opening = launching.Opening(launching.open_dashboard, tmp_path / "none")
    opening.thread.join(60)
    assert "&lt;no room&gt;" in opening.page().object


def test_a_demo_that_fails_leaves_nothing_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(launching, "DATES", 99)
    with pytest.raises(RuntimeError, match=r"could not be made: .*99"):
        launching.make_data(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


# ---- through a real JupyterLab


@pytest.fixture
def lab(twelve, tmp_path):
    """The address of a JupyterLab that knows the tiles, in a folder with the data."""
    pytest.importorskip("jupyter_server_proxy", reason="this needs jupyter-server-proxy")
    shutil.copytree(twelve, tmp_path / launching.FOLDER)
    with jupyter_lab(tmp_path) as url:
        yield url


@pytest.mark.slow
@pytest.mark.browser
def test_the_launcher_shows_both_tiles_and_the_apps_work_behind_the_proxy(lab, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.goto(f"{lab}lab?token=asked&reset")
    for title in ("Outline inspector", "Change dashboard"):
        page.locator(".jp-LauncherCard", has_text=title).wait_for(timeout=120_000)
    for name, shows in (("glacierlab-inspect", "Accept"), ("glacierlab-dashboard", "km²")):
        page = context.new_page()
        page.asked, page.told = [], []
        page.on("request", lambda request, page=page: page.asked.append(request.url))
        page.on("pageerror", lambda error, page=page: page.told.append(str(error)))
        page.goto(f"{lab}{name}/", timeout=150_000)
        page.locator(".bk-Figure").first.wait_for(timeout=150_000)  # after pages that say it takes a moment
        page.wait_for_timeout(3000)  # the figure tells the server its size, and gets its pictures
        if shows == "Accept":
            page.locator(".bk-tab").nth(1).click()
        page.get_by_text(shows).first.wait_for(timeout=30_000)
        assert painted(page)
        assert outside(page) == []
        assert page.told == []


def painted(page):
    """Whether a figure of the page shows more than one color."""
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(page.locator(".bk-Figure").first.screenshot()))
    return len(picture.convert("RGB").getcolors(10_000_000)) > 100
