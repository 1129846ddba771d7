"""The Bokeh figure of a map: tools, scale bar, the place below the pointer, pictures that a line divides."""

import panel as pn
from bokeh.events import MouseMove, Reset
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CustomJS,
    Div,
    PanTool,
    Range1d,
    ResetTool,
    ScaleBar,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from . import gestures
from .places import sphere_fit

LIGHT, DARK = ("#ffffff", "#222222"), ("#1b1b1b", "#e6e6e6")  # background and text
METERS = ("metre", "meter")
NO_PICTURE = {"image": [], "x": [], "y": [], "dw": [], "dh": []}


def new_figure(crs, bounds, height, dark):
    """(figure, place, message): a map without pictures, and two texts that belong below it."""
    ground, ink = DARK if dark else LIGHT
    left, bottom, right, top = bounds
    plot = figure(
        x_range=Range1d(left, right, reset_start=left, reset_end=right),
        y_range=Range1d(bottom, top, reset_start=bottom, reset_end=top),
        height=height, sizing_mode="stretch_width", min_border=0, toolbar_location="right", tools=[],
        background_fill_color=ground, border_fill_color=ground, outline_line_color=None,
    )  # fmt: skip
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
    pan, wheel = PanTool(), WheelZoomTool(zoom_on_axis=False)
    plot.add_tools(pan, wheel, BoxZoomTool(match_aspect=True), ResetTool())
    plot.toolbar.active_drag, plot.toolbar.active_scroll = pan, wheel
    unit = crs.axis_info[0].unit_name
    if unit in METERS:
        colors = dict(background_fill_color=ground, label_text_color=ink, bar_line_color=ink)
        bar = ScaleBar(range=plot.x_range, unit="m", location="bottom_left", **colors)
        bar.update(bar_length=0.1, background_fill_alpha=0.7, border_line_color=None)
        plot.add_layout(bar)
    place = Div(text="&nbsp;", styles={"font-variant-numeric": "tabular-nums", "color": ink})
    args = dict(told=place, unit="m" if unit in METERS else unit, **sphere_fit(crs, bounds))
    plot.js_on_event(MouseMove, CustomJS(args=args, code=gestures.POINTER))
    keep_scale(plot)
    return plot, place, Div(text="", styles={"color": ink})


def keep_scale(plot):
    """One scale in x and y, whatever size the page gives the figure."""
    for name in ("inner_width", "inner_height"):
        plot.js_on_change(name, CustomJS(args=dict(figure=plot, whole=False), code=gestures.FIT))
    plot.js_on_event(Reset, CustomJS(args=dict(figure=plot, whole=True), code=gestures.FIT))


def picture_slots(plot, slots):
    """({slot: renderer}, slider): pictures from below, the last of which begins where the slider says."""
    pictures = {slot: plot.image_rgba(source=ColumnDataSource(NO_PICTURE), visible=False) for slot in slots}
    line = Span(dimension="height", line_color="#ffffff", line_width=2, visible=False, location=0, tags=[0.5])
    plot.add_layout(line)
    *left, right = pictures.values()
    args = dict(figure=plot, line=line, left=left, right=right)
    curtain = CustomJS(args=args, code=gestures.CURTAIN)
    for renderer in pictures.values():
        renderer.data_source.js_on_change("data", curtain)
    right.js_on_change("visible", curtain)
    line.js_on_change("tags", curtain)
    for name in ("start", "end"):
        plot.x_range.js_on_change(name, curtain)
    for name in ("inner_width", "inner_height"):
        plot.js_on_change(name, curtain)
    return pictures, Swipe(
        line, name="Swipe", start=0, end=1, step=0.01, value=0.5, sizing_mode="stretch_width"
    )


class Swipe(pn.widgets.FloatSlider):
    """A slider that moves a line in the browser.

    `jscallback` would do the same, and keep what the line leads to, the whole app, as long as the process.
    """

    def __init__(self, line, **params):
        super().__init__(**params)
        self._line = line

    def _get_model(self, doc, root=None, parent=None, comm=None):
        model = super()._get_model(doc, root, parent, comm)
        model.js_on_change("value", CustomJS(args=dict(line=self._line), code="line.tags = [cb_obj.value]"))
        return model
