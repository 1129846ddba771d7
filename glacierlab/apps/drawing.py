"""Outlines as a browser draws them: what is in view, no finer than a pixel, and the text of each."""

import numpy as np
import pandas as pd
import shapely
from bokeh.core.serialization import Serializable

MARGIN = 0.5  # of the view's size, beyond each side, that is drawn too
DECIMALS = 1  # of coordinates: a tenth of a meter


class Ready(list, Serializable):
    """A nested list of numbers that Bokeh hands to JSON as it is, without a look at each of them."""

    def to_serializable(self, serializer):
        return list(self)


class Drawing:
    """Outlines of a map, to be drawn for any view.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in the map's CRS; others are left out.
    color, fill : str or None
        A color, or a column of colors.
    hover : sequence of str
        Columns to be told.
    """

    def __init__(self, outlines, *, color, fill=None, hover=()):
        there = outlines.geometry.geom_type.isin(["Polygon", "MultiPolygon"]) & ~outlines.geometry.is_empty
        self._there = there.to_numpy()
        self.outlines = outlines[self._there]
        self.shapes = shapely.force_2d(self.outlines.geometry.to_numpy())
        self.tree = shapely.STRtree(self.shapes)
        self.color, self.fill = self._colors(color), self._colors(fill)
        self.hover = tuple(hover)
        self.texts = [[told(value) for value in self.outlines[column]] for column in self.hover]

    def _colors(self, color):
        if color is not None and color in self.outlines.columns:
            return np.array([None if pd.isna(each) else str(each) for each in self.outlines[color]], object)
        return np.full(len(self.outlines), color, object)

    def need(self, bounds, pixel):
        """(ground, tolerance) that a view asks for; the same again until it moves or zooms far."""
        left, bottom, right, top = bounds
        tolerance = 2.0 ** np.floor(np.log2(pixel))
        width, height = MARGIN * (right - left), MARGIN * (top - bottom)
        return (left - width, bottom - height, right + width, top + height), tolerance

    def rows_in(self, ground):
        """Places of the outlines whose boxes meet a ground, in their order."""
        return np.sort(self.tree.query(shapely.box(*ground)))

    def columns(self, ground, tolerance, chosen=None):
        """What `multi_polygons` draws: lists by column, a row an outline; of `chosen` index labels alone."""
        rows = self.rows_in(ground)
        if chosen is not None:
            rows = rows[self.outlines.index[rows].isin(chosen)]
        xs, ys = nested(thinned(self.shapes[rows], tolerance))
        found = {"xs": Ready(xs), "ys": Ready(ys)} | self.colors_of(rows)
        found |= {f"told{k}": [texts[row] for row in rows] for k, texts in enumerate(self.texts)}
        return found

    def colors_of(self, rows):
        """The columns of colors alone."""
        return {"color": self.color[rows].tolist(), "fill": self.fill[rows].tolist()}

    def recolor(self, colors, fills):
        """Other colors, one for each outline that was given; None, or None as one of them, is none."""
        there = self._there
        self.color = np.asarray(colors, object)[there]
        self.fill = (
            np.full(len(there), None, object)[there] if fills is None else np.asarray(fills, object)[there]
        )


def thinned(shapes, tolerance):
    """Polygons without what is smaller than the tolerance; of one that is itself smaller, its box."""
    thin = shapely.simplify(shapes, tolerance, preserve_topology=False)
    lost = shapely.is_empty(thin)
    thin[lost] = shapely.envelope(shapes[lost])
    return thin


def told(value):
    """A value as the text of a hover, plain."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return "" if value is None or value is pd.NaT or value is pd.NA else str(value)


def nested(shapes):
    """(xs, ys) of polygons (n,) as Bokeh nests them: outline, part, ring, numbers; rings are cut open."""
    parts, of_shape = shapely.get_parts(shapes, return_index=True)
    solid = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, of_shape = parts[solid], of_shape[solid]
    rings, of_part = shapely.get_rings(parts, return_index=True)
    ends = np.cumsum(shapely.get_num_coordinates(rings)).tolist()
    found = []
    for numbers in shapely.get_coordinates(rings).T.round(DECIMALS).tolist():
        start, in_part = 0, [[] for _ in parts]
        for end, part in zip(ends, of_part.tolist(), strict=True):
            in_part[part].append(numbers[start : end - 1])
            start = end
        in_shape = [[] for _ in shapes]
        for shape, part in zip(of_shape.tolist(), in_part, strict=True):
            in_shape[shape].append(part)
        found.append(in_shape)
    return found


def rings_of(geometry):
    """Rings of polygons: [(part, xs, ys)] cut open, the shell of each part before its holes."""
    rings = []
    for number, part in enumerate(shapely.get_parts(geometry)):
        for ring in (part.exterior, *part.interiors):
            x, y = shapely.get_coordinates(ring)[:-1].T
            rings.append((number, x.tolist(), y.tolist()))
    return rings


def polygon_of(rings):
    """The geometry of such rings; whether it is valid is for others to say."""
    parts = {}
    for number, xs, ys in rings:
        parts.setdefault(number, []).append(np.column_stack([xs, ys]))
    polygons = [shapely.Polygon(shell, holes) for shell, *holes in parts.values()]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
