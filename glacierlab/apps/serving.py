"""Serving the apps: who may reach them, how much they may send, and when a session ends."""

import errno
import json
import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from html import escape
from pathlib import Path

import panel as pn
import psutil
from bokeh.models import CustomJS
from panel.auth import AUTH_PROVIDERS
from panel.io.server import ComponentResourceHandler, get_server
from panel.template.base import BaseTemplate
from tornado.web import HTTPError, RequestHandler

from ..errors import GlacierlabError
from ..tables import lookup
from .gallery import page

PORT = 5006
MAX_UPLOAD_MB = 64
LIFETIME_S = 30  # of a session whose browser is gone: long enough to come back by a reload
CHECK_S = 10  # how often sessions are looked through
MOST_SESSIONS = 500  # that a server holds at once: an assumption, of 4 to 37 MB each
LOOPBACK = ("127.0.0.1", "localhost")
PASSWORD = "GLACIERLAB_PASSWORD"  # an environment variable
BASE64 = 4 / 3  # uploads come as text
FULL = "This server holds as many pages as it can. Try again in a minute."
LOST = """
const line = document.createElement("p")
line.id = "connection-lost"
line.setAttribute("role", "alert")
line.style = "position: fixed; inset: 0 0 auto 0; z-index: 10000; margin: 0; padding: 0.8rem 1rem; \\
  background: #7f1d1d; color: white; font: 600 1rem sans-serif;"
line.textContent = "The server does not answer. Edits of outlines that come from a file are kept beside it. \\
Reload this page once the server runs."
document.getElementById(line.id)?.remove()
document.body.prepend(line)
"""
FOUND = 'document.getElementById("connection-lost")?.remove()'
log = logging.getLogger(__name__)


def serve(
    make, *, port=PORT, address="127.0.0.1", show=True, title="glacierlab", allow_origin=(), basic_auth=None,
    oauth_provider=None, oauth_key=None, oauth_redirect_uri=None, max_upload_mb=MAX_UPLOAD_MB, say=print,
):  # fmt: skip
    """Serve an app, or several, until Ctrl-C; see `server_of` for what is refused.

    Parameters
    ----------
    make : function, or dict of str to function
        Gives a fresh app for each session; what it shows is shared. A dict holds several by their path: "/"
        is the page that opens.
    port : int
        0 takes any free one.
    address : str
        Loopback by default, so that only this machine can reach it; "0.0.0.0" for all.
    show : bool
        Open the page in a browser.
    title : str
        Of the browser's tab.
    allow_origin : list of str
        Further names that the server is reached by, such as "glaciers.example.org" or "myhost:5006".
    basic_auth : path, optional
        A file of names and passwords (JSON: {"ana": "…"}), or of one password. Without it, the password in
        the environment variable GLACIERLAB_PASSWORD, if any.
    oauth_provider, oauth_key, oauth_redirect_uri : str, optional
        As Panel takes them; the secrets come from the environment (PANEL_OAUTH_SECRET, PANEL_COOKIE_SECRET,
        PANEL_OAUTH_ENCRYPTION).
    max_upload_mb : float
        The largest file that may be sent to an app.
    say : function of str
        Told of the address, and of the end.

    Raises
    ------
    GlacierlabError
        The port is taken, the address is not this machine's, or an option makes no sense.

    Examples
    --------
    >>> import glacierlab as gl
    >>> make = lambda: gl.apps.inspect(gl.synthetic_scene(seed=6, shape=(64, 64)))  # one for each session
    >>> try:
    ...     serve(make, max_upload_mb=0, show=False)
    ... except gl.errors.GlacierlabError as error:
    ...     print(error)
    Uploads of at most 0 MB: give a number above 0, up to a million.
    """
    server = server_of(
        make, port=port, address=address, title=title, allow_origin=allow_origin, basic_auth=basic_auth,
        oauth_provider=oauth_provider, oauth_key=oauth_key, oauth_redirect_uri=oauth_redirect_uri,
        max_upload_mb=max_upload_mb,
    )  # fmt: skip
    url = url_of(server)
    say(f"{title} is at {url}   (Ctrl-C ends it)")
    if address not in LOOPBACK and not (oauth_provider or password_of(basic_auth)):
        say("Anyone who reaches this address may look and edit: --basic-auth asks for a name and password.")
    loop = server.io_loop
    stop = lambda *_: loop.asyncio_loop.call_soon_threadsafe(loop.stop)
    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    server.start()
    if show:
        loop.call_later(0.2, webbrowser.open, url)
    loop.start()
    server.stop(wait=False)
    for name, handler in before.items():
        signal.signal(name, handler)
    say("Stopped.")


def server_of(
    make, *, port=0, address="127.0.0.1", title="glacierlab", allow_origin=(), basic_auth=None,
    oauth_provider=None, oauth_key=None, oauth_redirect_uri=None, max_upload_mb=MAX_UPLOAD_MB,
):  # fmt: skip
    """A Bokeh server that listens and is not started yet; arguments as of `serve`.

    Pages that another site shows in its own may not connect (the origin is checked), sessions begin with a
    token that this server signed, and messages above the bound are refused by their length, unread. No file
    is served but those that Panel ships.

    Returns
    -------
    panel.io.server.Server
    """
    if not 0 < max_upload_mb < 2**20:
        raise GlacierlabError(
            f"Uploads of at most {max_upload_mb} MB: give a number above 0, up to a million."
        )
    if ":" in address:  # Panel fails at the colons of the host that a browser names
        raise GlacierlabError(
            f"--address {address}: Panel cannot serve pages under an address of IPv6. Give a name that "
            "stands for it, as localhost does for ::1, or 127.0.0.1, or 0.0.0.0."
        )
    makers = make if isinstance(make, dict) else {"/": make}
    largest = int(max_upload_mb * BASE64 * 2**20) + 2**20  # and what stands around a file
    auth = login_of(basic_auth, oauth_provider, oauth_key, oauth_redirect_uri)
    servers = []
    held = lambda: sum(len(each.get_sessions()) for each in servers)
    try:
        server = get_server(
            {path: guarded(function, title, held) for path, function in makers.items()},
            port=port,
            address=address,
            title=title,
            start=False,
            show=False,
            verbose=False,
            cookie_secret=os.environ.get("PANEL_COOKIE_SECRET") or secrets.token_hex(32),
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            websocket_max_message_size=largest,
            http_server_kwargs={"max_body_size": 2**20, "max_buffer_size": largest + 2**20},
            unused_session_lifetime_milliseconds=1000 * LIFETIME_S,
            check_unused_sessions_milliseconds=1000 * CHECK_S,
            extra_patterns=[("/liveness", Alive, {"held": held}), ("/components/(.*)", LoadedResources)],
            **auth,
        )
    except OSError as error:
        raise cannot_listen(error, address, port) from error
    servers.append(server)
    origins = {*origins_of(address, server.port), *map(with_port, allow_origin)}
    server._tornado.websocket_origins.clear()  # Bokeh's own default knows only localhost
    server._tornado.websocket_origins.update(origins)
    return server


def guarded(make, title, held=lambda: 0):
    """The same as a whole page, where an error is said instead of an empty one, and a server that is gone.

    `held()` is how many sessions there are; above `MOST_SESSIONS` a page says so, and nothing is made.
    """

    def session():
        if pn.state.curdoc is not None:
            pn.state.curdoc.js_on_event("connection_lost", CustomJS(code=LOST))
            pn.state.curdoc.js_on_event("client_reconnected", CustomJS(code=FOUND))
        try:
            app = make() if held() < MOST_SESSIONS else alert(FULL)
        except GlacierlabError as error:
            app = alert(str(error))
        except Exception:
            log.exception("an app could not be made")
            app = alert("This page could not be made; the terminal of the server says why.")
        return app if isinstance(app, BaseTemplate) else page(app, title)

    return session


def alert(text):
    """A line that says what is wrong."""
    return pn.pane.HTML(f"<p role='alert'>{escape(text)}</p>")


class Alive(RequestHandler):
    """`/liveness`: that the server answers, and how many sessions it holds."""

    def initialize(self, held):
        self.held = held

    def get(self):
        self.write({"ok": True, "sessions": self.held()})


class LoadedResources(ComponentResourceHandler):
    """Files of Panel's components; Panel itself would import any module that an address names."""

    def parse_url_path(self, path):
        if path.split("/", 1)[0] not in sys.modules:
            raise HTTPError(404)
        return super().parse_url_path(path)


# ---- addresses ----


def url_of(server):
    """The address of a server, as a browser on this machine takes it."""
    host = "127.0.0.1" if server.address in ("", "0.0.0.0") else server.address
    return f"http://{host}:{server.port}/"


def origins_of(address, port):
    """Hosts and port that a server on this address is reached by: of all addresses, this machine's own."""
    if address in LOOPBACK:
        hosts = {"127.0.0.1", "localhost"}
    elif address in ("", "0.0.0.0"):
        own = [each.address for rows in psutil.net_if_addrs().values() for each in rows]
        hosts = {
            "127.0.0.1",
            "localhost",
            socket.gethostname().lower(),
            *(host for host in own if host.count(".") == 3),
        }
    else:
        hosts = {address.lower()}
    return {f"{host}:{port}" for host in hosts}


def with_port(origin):
    """A host with its port, 80 where it has none, as browsers leave that out; GlacierlabError for a URL."""
    host, _, port = origin.lower().partition(":")
    if "/" in origin or "*" in origin or not host or not (port or "80").isdigit():
        raise GlacierlabError(
            f"--allow-origin {origin!r} is no host: write it as glaciers.org or myhost:5006."
        )
    return origin.lower()


def cannot_listen(error, address, port):
    """What to do where the operating system does not let us listen."""
    if error.errno == errno.EADDRINUSE:
        return GlacierlabError(
            f"Port {port} of {address} is taken, perhaps by another glacierlab: end that one, or give "
            "--port 0 for any free one."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return GlacierlabError(
            f"Port {port} may not be used here: give one of 1024 or above, as --port {PORT}."
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return GlacierlabError(f"{address!r} is no address of this machine: leave --address out, or 0.0.0.0.")
    return error


# ---- who may enter ----


def login_of(basic_auth, provider, key, redirect_uri):
    """What Panel is told of who may enter; GlacierlabError where a provider lacks something."""
    if password := password_of(basic_auth):
        return {"basic_auth": password}
    if not provider:
        return {}
    lookup(AUTH_PROVIDERS, provider, kind="OAuth provider")
    key = key or os.environ.get("PANEL_OAUTH_KEY")
    if not key or not os.environ.get("PANEL_OAUTH_SECRET"):
        raise GlacierlabError(
            f"{provider} needs the key and the secret that it gave to this server: --oauth-key, and the "
            "environment variable PANEL_OAUTH_SECRET."
        )
    return dict(oauth_provider=provider, oauth_key=key, oauth_redirect_uri=redirect_uri)


def password_of(path):
    """{name: password} or one password of a file, else of the environment; None without any."""
    if path is None:
        return os.environ.get(PASSWORD) or None
    path = Path(path)
    if not path.is_file():
        raise GlacierlabError(
            "--basic-auth takes a file, since all users of a machine see how a command was called: write the "
            f"password in one, or in the environment variable {PASSWORD}."
        )
    text = path.read_text(encoding="utf-8").strip()
    try:
        found = json.loads(text) if text.startswith("{") else text
    except ValueError as error:
        raise GlacierlabError(f'{path} is no JSON of names and passwords, as {{"ana": "…"}}.') from error
    kept = isinstance(found, str) or all(isinstance(word, str) and word for word in found.values())
    if not found or not kept:
        raise GlacierlabError(f'{path} holds no password: write one, or {{"ana": "…"}} for each name.')
    return found
