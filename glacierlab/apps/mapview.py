"""A map that asks for pictures and outlines as it is moved."""

import html
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import panel as pn
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, HoverTool
from pyproj import CRS

from ..errors import GlacierlabError
from ..tables import lookup
from .canvas import NO_PICTURE, new_figure, picture_slots
from .drawing import Drawing
from .editor import Editor
from .pictures import Pictures
from .plots import Plot

SLOTS = ("ground", "base", "over", "swipe")  # from below; the ground is a basemap
MARGIN = 0.1  # of the view's size, beyond each side, that is drawn too
GUESSED = 800  # pixels, until a browser says
SLOW_MS = 400  # after which the map says that it draws
CHOSEN, CASING = "#ffffff", "#111111"  # dashes and the line below them, which show on light and dark
POOL = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="map")  # of all sessions
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What a slot shows."""

    pictures: object
    name: str
    opacity: float
    stretch: tuple


class MapView:
    """A Bokeh figure of pictures and outlines in the coordinates of one CRS.

    Pictures are drawn for slightly more than the view whenever it is moved, in a thread; while one is drawn,
    only the newest of further views waits. Without a browser (a test, a figure that is saved) everything is
    drawn at once.

    Parameters
    ----------
    crs : pyproj.CRS or what makes one
        Projected.
    bounds : (left, bottom, right, top)
        What is seen first, and after a reset.
    height : int
        Pixels; the width is that of the page.
    basemap : str, optional
        Address of tiles, such as "https://…/{z}/{x}/{y}.png"; nothing is fetched without it, and where tiles
        do not come the map stays as it is.
    dark : bool

    Attributes
    ----------
    figure : bokeh.plotting.figure
    swipe : panel.widgets.FloatSlider
        Where, as a share of the view's width, the "swipe" picture begins; the browser cuts the pictures.
    """

    def __init__(self, crs, bounds, *, height=600, basemap=None, dark=False):
        self.crs, self.bounds = CRS.from_user_input(crs), tuple(map(float, bounds))
        self._lock, self._busy, self._wanted = threading.Lock(), False, False
        self._slots, self._drawings, self._chosen = {}, {}, {}
        self._done = {}  # what is drawn now, by slot or outlines
        self._moved, self._tapped = [], []
        self._view, self._size = None, {}  # that listeners know; pixels, once a browser tells
        self._asked, self._zooming = None, False  # the view that was last to be drawn
        self.figure, self.place, self.message = new_figure(self.crs, self.bounds, height, dark)
        self._pan = self.figure.toolbar.active_drag
        self._pictures, self.swipe = picture_slots(self.figure, SLOTS)
        self._editor, self._pane = Editor(self.figure, self._held), None
        self._listen()
        if basemap:
            from .basemap import Basemap

            self.show("ground", Basemap(basemap), "basemap")

    # ---- the figure ----

    def _listen(self):
        for name in ("start", "end"):
            self.figure.x_range.on_change(name, self._ranged)
            self.figure.y_range.on_change(name, self._ranged)
        for name in ("inner_width", "inner_height"):
            self.figure.on_change(name, self._sized)
        self.figure.on_event(Tap, self._on_tap)

    def _ranged(self, attr, old, new):
        """The view is another; where `zoom_to` made it so, it has asked already."""
        if not self._zooming and self.view != self._asked:
            self._ask()

    def _sized(self, attr, old, new):
        if new:
            self._size[attr] = new
            self._ask()

    def panel(self, fill=False):
        """The map and the line below it, as wide as the page, and as high as it if `fill`."""
        mode = "stretch_both" if fill else "stretch_width"
        self.figure.sizing_mode = mode
        self._pane = Plot(self.figure, sizing_mode=mode)
        below = pn.Row(Plot(self.place), pn.layout.HSpacer(), Plot(self.message))
        return pn.Column(self._pane, below, sizing_mode=mode)

    # ---- what is shown ----

    def show(self, slot, pictures, name, *, opacity=1.0, stretch=(2, 98)):
        """Show a picture in a slot.

        Parameters
        ----------
        slot : {"base", "over", "swipe"}
            "over" lies on "base"; "swipe" takes the place of both right of the line.
        pictures : Pictures
            Or anything with its `render`; its CRS need not be the map's.
        name : str
            Of its `names`.
        opacity : float
            0 to 1.
        stretch : (low, high)
            Percentiles that become the ends of the colors.

        Raises
        ------
        UnknownNameError
            No such slot.
        """
        lookup(dict.fromkeys(SLOTS), slot, kind="slot")
        self._slots[slot] = Shown(pictures, name, float(opacity), tuple(stretch))
        self._pictures[slot].glyph.global_alpha = float(opacity)
        self._pictures[slot].visible = True
        self._ask()

    def hide(self, slot):
        """Show nothing in a slot."""
        self._slots.pop(slot, None)
        self._done.pop(slot, None)
        self._pictures[slot].visible = False
        self._pictures[slot].data_source.data = NO_PICTURE
        self._send()

    def outline(self, name, outlines, *, color, width=2, fill=None, alpha=0.4, hover=()):
        """Draw outlines, anew where some of that name are drawn.

        Parameters
        ----------
        name : str
        outlines : geopandas.GeoDataFrame
            Polygons in the map's CRS.
        color, fill : str
            A color, or a column of colors, None for none.
        width : float
            Of lines, in pixels.
        alpha : float
            Of the fill.
        hover : sequence of str, or dict of str to str
            Columns that are told where the pointer rests, or these by what they are called; as text, whatever
            they hold.
        """
        labels = dict(hover) if isinstance(hover, dict) else {column: column for column in hover}
        self._take_out(name)
        drawing = Drawing(outlines, color=color, fill=fill, hover=labels.values())
        columns = {"xs": [], "ys": [], "color": [], "fill": []} | {f"told{k}": [] for k in range(len(labels))}
        look = dict(line_color="color", fill_color="fill", line_width=width, fill_alpha=alpha)
        mark = dict(line_color=CHOSEN, line_width=width + 1, line_dash=[8, 4], fill_color=None)
        below = dict(line_color=CASING, line_width=width + 4, fill_color=None)
        draw = partial(self.figure.multi_polygons, "xs", "ys")
        drawn, marking = draw(source=ColumnDataSource(columns), **look), ColumnDataSource(columns)
        casing, marked = (draw(source=marking, **each) for each in (below, mark))
        tools = []
        if labels:
            plain = lambda label: label.replace("@", "＠").replace("$", "＄")  # which would name columns
            tips = [(plain(label), f"@told{k}") for k, label in enumerate(labels)]
            tools = [HoverTool(renderers=[drawn], tooltips=tips, point_policy="follow_mouse", visible=False)]
            self.figure.add_tools(*tools)
        self._drawings[name] = drawing, drawn, marked, tools, casing
        self._ask()

    def recolor(self, name, colors, fills=None):
        """Give outlines other colors, without drawing them anew.

        Parameters
        ----------
        name : str
            As `outline` was told.
        colors, fills : sequence of str or None
            Of lines and insides, one for each row; None draws none.
        """
        drawing, drawn, *_ = self._drawings[name]
        drawing.recolor(colors, fills)
        if ("outlines", name) not in self._done:
            return  # it will be drawn with them
        rows = drawing.rows_in(self._done["outlines", name][1])
        columns = drawing.colors_of(rows)
        drawn.data_source.patch({key: [(slice(None), column)] for key, column in columns.items()})
        self._send()

    def remove(self, name):
        """Draw the outlines of that name no more."""
        self._take_out(name)
        self._send()

    def _take_out(self, name):
        if name not in self._drawings:
            return
        _, drawn, marked, tools, casing = self._drawings.pop(name)
        self._done.pop(("outlines", name), None)
        self.figure.renderers = [
            each for each in self.figure.renderers if each not in (drawn, marked, casing)
        ]
        self.figure.tools = [tool for tool in self.figure.tools if tool not in tools]

    def select(self, name, ids):
        """Mark some outlines of a name, by their index labels; [] marks none."""
        self._chosen[name] = tuple(ids)
        self._ask()

    # ---- where it looks ----

    @property
    def view(self):
        """(left, bottom, right, top) that is seen, and its (height, width) in pixels."""
        x, y = self.figure.x_range, self.figure.y_range
        size = {"inner_height": self.figure.height, "inner_width": GUESSED} | self._size
        return (x.start, y.start, x.end, y.end), (int(size["inner_height"]), int(size["inner_width"]))

    def zoom_to(self, bounds, margin=0.2):
        """Look at bounds and a share of their size around them.

        It is asked for here, once: a session tells of its ranges after all are set, and a notebook of none.
        """
        left, bottom, right, top = map(float, bounds)
        _, (height, width) = self.view
        pixel = (1 + 2 * margin) * max((right - left) / width, (top - bottom) / height) or 10 / width
        x, y = (left + right) / 2, (bottom + top) / 2
        self._zooming = True
        try:
            self.figure.x_range.update(start=x - pixel * width / 2, end=x + pixel * width / 2)
            self.figure.y_range.update(start=y - pixel * height / 2, end=y + pixel * height / 2)
        finally:
            self._zooming = False
        if self.view != self._asked:
            self._ask()

    def on_moved(self, function):
        """Call function(bounds, shape) after the view was moved or sized."""
        self._moved.append(function)

    def on_tap(self, function):
        """Call function(x, y) where the map is clicked, but not while something is drawn or edited."""
        self._tapped.append(function)

    # ---- drawing ----

    def _ask(self):
        """Have what is shown drawn for the view: soon and elsewhere, or at once without a browser."""
        document, self._asked = self.figure.document, self.view
        if document is None or document.session_context is None:
            if pn.state.curdoc is None or pn.state.curdoc.session_context is None:
                for draw in self._steps(self._draw_outlines):
                    self._put(draw())
                self._send()
            return  # in a session it is drawn when the browser says how large it is
        if len(self._size) < 2:
            return
        with self._lock:
            self._wanted = True
            if self._busy:
                return
            self._busy = True
        POOL.submit(self._work, document)

    def _send(self):
        """Show in a notebook what is set here: there Panel sends of itself what its own widgets are."""
        if self._pane is not None:
            pn.io.push_notebook(self._pane)  # which does nothing in a session

    def _work(self, document):
        """Draw until nobody wants another view; a view that was passed over meanwhile is never drawn."""
        late = threading.Timer(SLOW_MS / 1000, self._tell, (document, "drawing …"))
        late.daemon = True
        late.start()
        told = ""
        while True:
            with self._lock:
                if not self._wanted:
                    self._busy = False
                    break
                self._wanted = False
            try:
                for draw in self._steps(self._draw_outlines, self._draw_drafts):
                    document.add_next_tick_callback(partial(self._put, draw()))
                told = ""
            except GlacierlabError as error:
                told = str(error)
            except Exception as error:  # of a layer's making; the map stays as it is
                LOG.exception("the map could not be drawn")
                told = f"This could not be drawn ({type(error).__name__}); the server's log says more."
        late.cancel()
        if told or not late.is_alive():
            self._tell(document, told)

    def _tell(self, document, text):
        document.add_next_tick_callback(partial(self.message.update, text=html.escape(text)))

    def _steps(self, *quick):
        """What draws a view, the quick first: nothing waits for tiles."""
        return *quick, partial(self._draw_pictures, SLOTS[1:]), partial(self._draw_pictures, SLOTS[:1])

    def _draw_drafts(self):
        """Pictures half as fine, where the full size has to be read first."""
        view, made = self._draw_pictures(SLOTS, draft=True)
        return view, {slot: ((*key, "draft"), columns) for slot, (key, columns) in made.items()}

    def _draw_pictures(self, slots=SLOTS, **how):
        """(view, what has to be drawn anew for it): columns by slot."""
        bounds, shape = view = self.view
        window, size = enlarged(bounds, shape)
        made = {}
        for slot, shown in [each for each in list(self._slots.items()) if each[0] in slots]:
            key = replace(shown, opacity=1.0), window, size
            if self._done.get(slot) == key or (how and not isinstance(shown.pictures, Pictures)):
                continue
            picture = shown.pictures.render(shown.name, window, size, shown.stretch, crs=self.crs, **how)
            if picture is not None:
                made[slot] = key, image_columns(picture, window)
        return view, made

    def _draw_outlines(self):
        """The same of outlines, columns by name: of those in view, and of the chosen among them."""
        bounds, shape = view = self.view
        pixel = (bounds[2] - bounds[0]) / shape[1]
        made = {}
        for name, (drawing, *_) in list(self._drawings.items()):
            ground, tolerance = drawing.need(bounds, pixel)
            chosen = self._chosen.get(name, ())
            done = self._done.get(("outlines", name), (None, None, None))
            if done[0] is not drawing or done[2] != (tolerance, chosen) or not holds(done[1], bounds):
                columns = drawing.columns(ground, tolerance), drawing.columns(ground, tolerance, chosen)
                made["outlines", name] = (drawing, ground, (tolerance, chosen)), columns
        return view, made

    def _put(self, drawn):
        """Hand the browser what was drawn, and tell who listens that the view is another."""
        view, made = drawn
        for what, (key, columns) in made.items():
            if isinstance(what, str):
                shown = self._slots.get(what)
                if shown is not None and replace(shown, opacity=1.0) == key[0]:
                    self._pictures[what].data_source.data = columns
                    self._done[what] = key
            elif (held := self._drawings.get(what[1])) and held[0] is key[0]:
                columns[0].update(key[0].colors_of(key[0].rows_in(key[1])))  # that may be others by now
                for renderer, data in zip(held[1:3], columns, strict=True):
                    renderer.data_source.data = data
                self._done[what] = key
        if view != self._view:
            self._view = view
            for function in self._moved:
                function(*view)

    # ---- editing ----

    def edit(self, geometry):
        """Make the corners of a Polygon or MultiPolygon movable; None ends it.

        In the browser a corner is dragged, a click on an edge makes one, a double click on one takes it away,
        a drag elsewhere moves the map. Nothing else can be hit meanwhile.
        """
        self._editor.edit(geometry)

    def on_edited(self, function):
        """Call function(geometry) after each corner that was moved, made or taken away in the browser.

        The geometry may be invalid, for a corner can be drawn across an edge.
        """
        self._editor.on_edited(function)

    def draw(self, kind, function=None):
        """Have a "polygon" or a "line" drawn by clicks, then call function(geometry) once.

        A double click, or `finish`, ends it; None as the kind gives it up.
        """
        self._editor.draw(kind, function)

    def finish(self):
        """End what is being drawn, as a double click does, where it has corners enough."""
        self._editor.finish()

    def _held(self):
        """While something is edited or drawn, nothing else can be hit; corners are dragged without a tool."""
        self.figure.toolbar.active_drag = None if self._editor.editing else self._pan
        busy = self._editor.editing or self._editor.drawing
        for _, drawn, _, tools, _ in self._drawings.values():
            for tool in tools:
                tool.renderers = [] if busy else [drawn]
        self._send()

    def _on_tap(self, event):
        if not (self._editor.editing or self._editor.drawing):
            for function in self._tapped:
                function(event.x, event.y)


def enlarged(bounds, shape):
    """A view and its margin: (bounds, shape)."""
    left, bottom, right, top = bounds
    height, width = shape
    rows, columns = round(MARGIN * height), round(MARGIN * width)
    dx, dy = (right - left) / width * columns, (top - bottom) / height * rows
    return (left - dx, bottom - dy, right + dx, top + dy), (height + 2 * rows, width + 2 * columns)


def holds(ground, bounds):
    """Whether bounds lie within others."""
    return (
        ground[0] <= bounds[0]
        and ground[1] <= bounds[1]
        and ground[2] >= bounds[2]
        and ground[3] >= bounds[3]
    )


def image_columns(picture, window):
    """What `image_rgba` draws of a picture (height, width, 4) uint8, north up."""
    left, bottom, right, top = window
    image = np.ascontiguousarray(picture[::-1]).view(np.uint32)[..., 0]
    return {"image": [image], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}
