"""A Bokeh figure among widgets."""

import panel as pn


class Plot(pn.pane.Bokeh):
    """A Bokeh pane that goes on answering in a notebook.

    There Panel sends on what a callback of Bokeh changed. Its own way (1.9, `panel.pane.plot._wrap_callback`)
    ends with `Document.hold(None)`, which Bokeh leaves unheeded: the document stays on hold, and no widget
    answers.
    """

    @classmethod
    def _property_callback_wrapper(cls, callback, document, comm, callbacks):
        return sending(callback, document, comm)

    @classmethod
    def _event_callback_wrapper(cls, callback, document, comm, callbacks):
        return sending(callback, document, comm)


def sending(callback, document, comm):
    """The callback; what it changes goes to the notebook at once."""

    def handler(*args):
        with pn.io.hold(document, comm=comm):
            callback(*args)

    return handler
