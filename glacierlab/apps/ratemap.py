"""A map whose outlines change their colors while one chooses: only the colors go to the browser."""

import numpy as np

from .mapview import MapView


class RateMap(MapView):
    """A `MapView` that can color outlines anew without drawing them anew."""

    def recolor(self, name, colors, fills=None):
        """Give the outlines of a name other colors.

        Parameters
        ----------
        name : str
            As `outline` was told.
        colors, fills : sequence of str or None
            Of lines and insides, one for each row; None draws none.
        """
        drawing, drawn, *_ = self._drawings[name]
        drawing.color = np.asarray(colors, object)
        drawing.fill = np.full(len(colors), None, object) if fills is None else np.asarray(fills, object)
        done = self._done.get(("outlines", name))
        if done is None:
            return  # it is drawn with them
        rows = drawing.rows_in(done[1])
        if len(drawn.data_source.data["color"]) != len(rows):
            self._done.pop(("outlines", name), None)
            self._ask()
            return
        drawn.data_source.patch({
            "color": [(slice(None), drawing.color[rows].tolist())],
            "fill": [(slice(None), drawing.fill[rows].tolist())],
        })  # fmt: skip

    def _put(self, drawn):
        """As of a map; outlines that were drawn in a thread take the colors that they have by now."""
        for (drawing, ground, _), (columns, _) in (
            made for what, made in drawn[1].items() if not isinstance(what, str)
        ):
            rows = drawing.rows_in(ground)
            columns["color"], columns["fill"] = drawing.color[rows].tolist(), drawing.fill[rows].tolist()
        super()._put(drawn)
