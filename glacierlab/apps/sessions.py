"""A browser's session: its address, and when its page may be changed."""

import logging
import threading
import weakref
from urllib.parse import urlencode

import panel as pn

from .filtering import read_query

LOG = logging.getLogger(__name__)
SEEN = weakref.WeakKeyDictionary()  # documents of sessions that a browser has shown, by their apps


def document_of_session():
    """The document of the browser that is served now; None in a notebook or a script."""
    document = pn.state.curdoc
    return document if document is not None and document.session_context is not None else None


def later(function):
    """Call a function when the page may be changed: soon in a session, else at once.

    Panel answers clicks and keys without the lock of the document that Bokeh's own models ask for.
    """
    document = document_of_session()
    if document is None:
        function()
    else:
        document.add_next_tick_callback(function)


def soon(work, then):
    """Do work and then something with what it gives, or raises: in a thread in a session, else at once."""
    document = document_of_session()
    if document is None:
        then(work())
        return

    def run():
        try:
            found = work()
        except Exception as error:  # told to the one who looks: a thread has no other reader
            LOG.warning("A view could not be made", exc_info=error)
            found = error
        document.add_next_tick_callback(lambda: then(found))

    threading.Thread(target=run, daemon=True).start()


# ---- the end


def end_with_session(app, shown):
    """Have an app's `close` called when the session of its browser ends, and `shown` once it is there."""
    document = document_of_session()
    if document is None:
        return
    app = weakref.ref(app)
    document.on_session_destroyed(lambda session_context: close(app()))
    pn.state.onload(lambda: SEEN.update({app(): weakref.ref(document)}))
    pn.state.onload(shown)


def end_abandoned():
    """Close the apps that no browser shows any more: a page that is loaded anew goes on with what they did.

    Their sessions would end by themselves only when nobody came back to them for a while.
    """
    for app, document in list(SEEN.items()):
        context = document() and document().session_context
        if context is None or (context.session is not None and context.session.connection_count == 0):
            close(app)


def close(app):
    if app is not None:
        SEEN.pop(app, None)
        app.close()


# ---- the address


def address():
    """The query of the browser's address, as text; "" without one."""
    return "" if document_of_session() is None else pn.state.location.search


def write_address(query):
    """Let the browser show another query; what it says of the page's colors, the template's, stays."""
    if document_of_session() is not None:
        theme = read_query(pn.state.location.search).get("theme")
        kept = "" if theme is None else urlencode({"theme": theme[0]})
        found = "&".join(filter(None, [query.removeprefix("?"), kept]))
        pn.state.location.search = f"?{found}" if found else ""
