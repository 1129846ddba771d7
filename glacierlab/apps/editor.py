"""Corners of an outline that are moved on a map, and lines that are drawn on it."""

import shapely
from bokeh.events import DoubleTap, Pan, PanEnd, PanStart, Tap
from bokeh.models import ColumnDataSource, CustomJS

from . import gestures
from .drawing import polygon_of, rings_of

REACH = 10  # pixels from a corner or an edge that mean it
COLOR, INK = "#8cff66", "#222222"
FEWEST = {"polygon": 3, "line": 2}  # corners


class Editor:
    """What of a figure is edited or drawn; the browser moves corners by itself and tells when one is let go.

    Parameters
    ----------
    figure : bokeh.plotting.figure
    changed : function
        Called without arguments when `editing`, `drawing` or what is drawn changes.
    """

    def __init__(self, figure, changed):
        self._changed = changed
        self._parts, self._stroke = None, None  # part of each ring; kind, function and corners
        self._listeners, self._quiet = [], False
        self._rings = ColumnDataSource({"xs": [], "ys": []})
        self.corners = ColumnDataSource({"x": [], "y": [], "ring": []}, tags=[False])
        self._path = ColumnDataSource({"x": [], "y": []})
        dot = dict(line_color=INK, nonselection_alpha=1, level="overlay")
        line = dict(line_color=COLOR, line_width=2, level="overlay")
        figure.patches("xs", "ys", source=self._rings, fill_alpha=0, **line)
        figure.scatter("x", "y", source=self.corners, size=8, fill_color="#ffffff", **dot)
        figure.line("x", "y", source=self._path, line_dash="dashed", **line)
        figure.scatter("x", "y", source=self._path, size=6, fill_color=COLOR, **dot)
        args = dict(figure=figure, corners=self.corners, rings=self._rings, reach=REACH)
        grab = CustomJS(args=args, code=gestures.GRAB)
        for event in (PanStart, Pan, PanEnd, Tap, DoubleTap):
            figure.js_on_event(event, grab)
        figure.on_event(Tap, self._tapped)
        figure.on_event(DoubleTap, lambda event: self.finish())
        self.corners.on_change("data", self._moved)

    @property
    def editing(self):
        """Whether corners can be moved."""
        return self._parts is not None and self._stroke is None

    @property
    def drawing(self):
        """Whether clicks draw."""
        return self._stroke is not None

    def edit(self, geometry):
        """Make the corners of a polygon movable; None ends it."""
        rings = [] if geometry is None else rings_of(geometry)
        self._parts = [part for part, *_ in rings] or None
        self._quiet = True
        try:
            self._rings.data = {"xs": [xs for _, xs, _ in rings], "ys": [ys for *_, ys in rings]}
            self.corners.data = {
                "x": [x for _, xs, _ in rings for x in xs],
                "y": [y for *_, ys in rings for y in ys],
                "ring": [number for number, (_, xs, _) in enumerate(rings) for _ in xs],
            }
        finally:
            self._quiet = False
        self._tell()

    def on_edited(self, function):
        self._listeners.append(function)

    def draw(self, kind, function):
        """Have a "polygon" or a "line" drawn by clicks; None gives up what is being drawn."""
        self._stroke = None if kind is None else (kind, function, [])
        self._path.data = {"x": [], "y": []}
        self._tell()

    def finish(self):
        """End what is being drawn, where it has corners enough."""
        if self._stroke is None:
            return
        kind, function, corners = self._stroke
        if len(corners) >= FEWEST[kind]:
            self.draw(None, None)
            function(shapely.Polygon(corners) if kind == "polygon" else shapely.LineString(corners))

    def _tell(self):
        self.corners.tags = [self.editing]
        self._changed()

    def _tapped(self, event):
        if self._stroke is None:
            return
        corners = self._stroke[2]
        if not corners or (event.x, event.y) != corners[-1]:
            corners.append((event.x, event.y))
        self._path.data = {"x": [x for x, _ in corners], "y": [y for _, y in corners]}
        self._changed()

    def _moved(self, attr, old, new):
        if self._quiet or self._parts is None:
            return
        rings = {}
        for x, y, ring in zip(new["x"], new["y"], new["ring"], strict=True):
            xs, ys = rings.setdefault(int(ring), ([], []))
            xs.append(float(x))
            ys.append(float(y))
        geometry = polygon_of([(self._parts[ring], *rings[ring]) for ring in sorted(rings)])
        for function in self._listeners:
            function(geometry)
