"""Both apps as tiles of JupyterLab's launcher: what jupyter-server-proxy is told, and what it starts.

The apps show twelve dates of a made world. Where they are not there yet, the page says that they are being
made, and comes back by itself.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from html import escape
from importlib.util import find_spec
from pathlib import Path

FOLDER = "glacierlab-demo-12"  # below where the server of notebooks was started, as `make dashboard` calls it
DATES = 12
START_S = 120.0  # for the server to answer, on a busy machine
AGAIN_S = 2  # between two looks whether the data are there
ICONS = Path(__file__).with_name("icons")
log = logging.getLogger(__name__)


# ---- what jupyter-server-proxy is told, when a server of notebooks starts: nothing heavy is imported


def inspector():
    """The tile of the inspector."""
    return tile("inspect", "Outline inspector")


def dashboard():
    """The tile of the dashboard."""
    return tile("dashboard", "Change dashboard")


def tile(app, title):
    """A server's entry: no tile without Panel, and the proxy's pages alone may connect."""
    return {
        "command": [sys.executable, "-m", __name__, app, "{port}"],
        "timeout": START_S,
        "request_headers_override": {"Origin": "http://127.0.0.1:{port}"},  # the proxy checked the page's own
        "launcher_entry": {
            "title": title,
            "icon_path": str(ICONS / f"{app}.svg"),
            "category": "Notebook",
            "enabled": find_spec("panel") is not None,
        },
    }


# ---- what it starts


class Opening:
    """An app that is being readied in a thread: `page()` shows it, or how far it is, or why it fails.

    Parameters
    ----------
    open_app : function of path
        Gives a function that makes a page.
    folder : path
        Of the data, which are made if they are not there.
    """

    def __init__(self, open_app, folder):
        self.open_app, self.folder = open_app, Path(folder)
        self.make = self.failure = None
        self.doing = f"Opening {self.folder.name}"
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            if not (self.folder / "report.html").exists():
                self.say(f"Making {DATES} dates of a made world in {self.folder.name}: about a minute")
                make_data(self.folder)
            self.say(f"Opening {self.folder.name}")
            self.make = self.open_app(self.folder)
        except Exception as error:  # told on the page and in the log: there is nobody else to tell
            log.exception("the data could not be opened")
            self.failure = str(error)

    def say(self, text):
        self.doing = text
        print(f"glacierlab: {text}.", flush=True)

    def page(self):
        """The app's page, or one that says how far things are and comes again."""
        if self.make:
            return self.make()
        return (
            told(self.failure)
            if self.failure
            else told(f"{self.doing}. This page comes back by itself.", AGAIN_S)
        )


def told(text, again_s=None):
    """A line as an app; it loads its page again after some seconds."""
    import panel as pn

    line = pn.pane.HTML(f"<p role='status'>{escape(text)}</p>", sizing_mode="stretch_width")
    if again_s and pn.state.curdoc is not None:
        from bokeh.models import CustomJS

        reload = CustomJS(code=f"setTimeout(() => window.location.reload(), {1000 * again_s})")
        pn.state.curdoc.js_on_event("document_ready", reload)
    return line


def make_data(folder):
    """Make the demo in a process of its own; the folder appears once all of it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        made = Path(place) / folder.name
        command = [sys.executable, "-m", "glacierlab", "demo", "--dates", str(DATES), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            *_, last = ["it says nothing", *done.stderr.strip().splitlines()]
            raise RuntimeError(f"The data could not be made: {last}")
        if not (folder / "report.html").exists():  # the other app may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(made, folder)


def open_inspector(folder):
    """A function that makes a page of the inspector."""
    from .gallery import page
    from .holdings import holdings_of
    from .studio import inspect

    held = holdings_of(folder)
    return lambda: page(inspect(held), "Outline inspector")


def open_dashboard(folder):
    """A function that makes a page of the dashboard."""
    from .gallery import boards

    return boards([folder])["/"]


OPEN = {"inspect": open_inspector, "dashboard": open_dashboard}


def main(app, port):
    """Serve an app on this machine alone, until the server of notebooks ends it."""
    from .serving import serve

    opening = Opening(OPEN[app], FOLDER)
    serve(opening.page, port=int(port), show=False, title="glacierlab")


if __name__ == "__main__":
    main(*sys.argv[1:])
