"""A browser's session: its address, and when its page may be changed."""

import logging
import threading
from urllib.parse import urlencode

import panel as pn

from .filtering import read_query

LOG = logging.getLogger(__name__)


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
