"""A page that answers events while it holds its session's document, and says how that went."""

import logging
from functools import partial
from html import escape

import panel as pn

from ..errors import GlacierlabError
from .mapview import POOL
from .pieces import KINDS

LOG = logging.getLogger(__name__)


class Answering(pn.viewable.Viewer):
    """What a page of one session does when something is clicked, typed or drawn.

    Parameters
    ----------
    figure : bokeh.plotting.figure
        Of the page: its document is that of the session.

    Attributes
    ----------
    status : panel.pane.HTML
        The line that says what was done, or why not.
    said : str
        What it says, as plain text.
    """

    def __init__(self, figure):
        super().__init__()
        self._figure, self._asked, self._acting, self.said = figure, {}, 0, ""
        self.status = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 10))

    @property
    def document(self):
        """The document of a session with a browser, or None."""
        document = self._figure.document
        return None if document is None or document.session_context is None else document

    def tell(self, text, kind="info"):
        """Say something in the line beside the buttons; screen readers read it."""
        self.said, (mark, color) = text, KINDS[kind]
        style = f"border-left:5px solid {color};padding-left:8px;font-weight:600;overflow-wrap:anywhere"
        self.status.object = f'<div role="status" style="{style}">{mark}{escape(text)}</div>'

    def doing(self, function):
        """A handler of events that calls a function without them; what goes wrong is told."""
        return self.doing_with(lambda *_: function())

    def doing_with(self, function):
        """The same, with the arguments. It holds a session's document, which Panel's own handlers do not."""

        def handler(*args):
            document = self.document
            if document is None or self._acting:  # what an act of ours changes is answered within it
                self._act(function, *args)
            else:
                document.add_next_tick_callback(partial(self._act, function, *args))

        return handler

    def _act(self, function, *args):
        self._acting += 1
        try:
            function(*args)
        except GlacierlabError as error:
            self.tell(str(error), "error")
        except Exception as error:
            if self.document is None:
                raise
            self._tell_of(error)
        finally:
            self._acting -= 1

    def later(self, kind, work, show, busy=None):
        """Do work in a thread and show what it gives, unless newer work of its kind was asked for meanwhile.

        Without a browser it is done at once. `busy` is a part of the page that shows a spinner until then.
        """
        document = self.document
        if document is None:
            show(work())
            return
        self._asked[kind] = ticket = object()
        if busy is not None:
            busy.loading = True

        def answered(answer, found):
            if self._asked[kind] is not ticket:
                return
            if busy is not None:
                busy.loading = False
            self._act(answer, found)

        def run():
            if self._asked[kind] is not ticket:
                return
            try:
                answer, found = show, work()
            except Exception as error:  # nobody waits for this thread: what went wrong is told
                answer, found = self._tell_of, error
            document.add_next_tick_callback(partial(answered, answer, found))

        POOL.submit(run)

    def _tell_of(self, error):
        """Say what went wrong: an error of ours in its words, any other in the log."""
        if isinstance(error, GlacierlabError):
            self.tell(str(error), "error")
            return
        LOG.error("The page could not do something", exc_info=error)
        name = type(error).__name__
        self.tell(f"This could not be done ({name}); the log of the server says more.", "error")
