"""A browser, and apps served to it on loopback; every test knows the fixtures, by conftest.py."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from functools import partial

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium():
    """Debian's Chromium, None for whichever Playwright finds; without either the test is skipped."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None and not os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        pytest.skip("no Chromium here: the README's test section has the line that installs it")
    return path


@pytest.fixture
def browser():
    """A browser to open pages in; what they ask of other places than this machine fails."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    path = chromium()
    with playwright.sync_playwright() as starter:
        opened = starter.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def serving(make, **options):
    """Address and server, in a thread of this process; `make` and options as of `serve`.

    What an app raises while it is made is raised again at the end.
    """
    from tornado.ioloop import IOLoop

    from glacierlab.apps.serving import server_of, url_of

    started, found, failed = threading.Event(), {}, []
    makers = make if isinstance(make, dict) else {"/": make}
    make = {path: partial(remembering, function, failed) for path, function in makers.items()}

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        try:
            found["server"] = server_of(make, **options)
            found["server"].start()
        except BaseException as error:
            found["error"] = error
            raise
        finally:
            started.set()
        found["server"].io_loop.start()
        found["server"].stop(wait=False)
        IOLoop.current().close(all_fds=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(60)
    if "error" in found:
        raise found["error"]
    try:
        yield url_of(found["server"]), found["server"]
    finally:
        loop = found["server"].io_loop
        loop.add_callback(loop.stop)
        thread.join(30)
    if failed:
        raise failed[0]


def remembering(make, failed):
    """What `make` makes; what it raises is kept too."""
    try:
        return make()
    except Exception as error:
        failed.append(error)
        raise


@pytest.fixture
def served():
    """A function of `make` that serves an app until the test ends and returns its address."""
    pytest.importorskip("panel", reason="the apps need panel")
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda make, **options: stack.enter_context(serving(make, **options))[0]


def visit(browser, url, *, width=1200, height=800, color="light"):
    """A page at an address, once drawn: `page.asked` has what it asked for, `page.told` its errors."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=color)
    page.asked, page.told = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.on("console", lambda line: page.told.append(line.text) if line.type == "error" else None)
    page.goto(url)
    page.wait_for_function("window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    return page


def outside(page):
    """Addresses that a page asked for and that are not on this machine."""
    own = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:", "about:")
    return [url for url in page.asked if not url.startswith(own)]


@contextmanager
def jupyter_lab(folder):
    """The address of a JupyterLab of its own that serves a folder; its token is "asked"."""
    pytest.importorskip("jupyterlab", reason="this needs JupyterLab")
    runtime = folder / ".runtime"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=asked", f"--ServerApp.root_dir={folder}"),
    ]
    own = {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(folder / ".config")}
    with open(folder / ".log", "w") as log:
        process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log, cwd=folder)
    try:
        yield address_of(runtime)
    finally:
        process.terminate()
        process.wait(30)


def address_of(runtime, wait_s=90):
    """Where the Jupyter server of a runtime folder listens, once it answers."""
    for _ in range(wait_s):
        for path in runtime.glob("jpserver-*.json"):
            url = json.loads(path.read_text())["url"]
            with urllib.request.urlopen(f"{url}api/status?token=asked", timeout=30):
                return url
        time.sleep(1)
    raise TimeoutError("JupyterLab did not start")
