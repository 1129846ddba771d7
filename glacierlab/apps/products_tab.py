"""Lakes beside glaciers, and debris on them, as tables whose rows the map looks at."""

import panel as pn

from .pieces import counted, html, paragraph, table, update

LAKES = {
    "called": "lake", "area_km2": "km²", "ice_m": "to ice m", "nearest": "nearest",
    "zmed_m": "m a.s.l.",
}  # fmt: skip
LAKE_FORMATS = {"area_km2": "0.000", "ice_m": "0", "zmed_m": "0"}
DEBRIS = {"called": "glacier", "area_km2": "km²", "debris_km2": "debris", "debris_frac": "share"}
DEBRIS_FORMATS = {"area_km2": "0.000", "debris_km2": "0.000", "debris_frac": "0 %"}


WIDTHS = dict.fromkeys(LAKE_FORMATS | DEBRIS_FORMATS, 78)  # pixels


class ProductTab:
    """A table of what lies beside or on the glaciers; a row that is chosen is zoomed to.

    Parameters
    ----------
    studio : Studio
    title : str
    make : function of outlines
        They with their numbers, or None where nothing tells.
    titles, formats : dict
        Shown columns, and how numbers are written.
    told : function of outlines
        One line on all of them.
    none : str
        What is said where there are none.
    """

    def __init__(self, studio, title, make, titles, formats, told, none):
        self.studio, self.title = studio, title
        self._make, self._titles, self._formats, self._told, self._none = make, titles, formats, told, none
        self.outlines, self.rows = None, None
        self.told, self._place = html(""), pn.Column(sizing_mode="stretch_width", margin=0)
        self.panel = pn.Column(self.told, self._place, sizing_mode="stretch_width")

    def refresh(self):
        """Measure anew."""
        outlines = self.studio.desk.outlines
        self.studio.later(self.title, lambda: self._make(outlines), self._show, busy=self.told)

    def _show(self, found):
        self.outlines = found
        if found is None or not len(found):
            self.told.object = paragraph(self._none)
            self._place.clear()
            self.rows = None
            return
        self.told.object = paragraph(self._told(found))
        frame = found[list(self._titles)]
        if self.rows is None:
            self.rows = table(frame, self._titles, self._formats, height=320, widths=WIDTHS)
            self.rows.param.watch(self.studio.doing(self._pick), "selection")
            self._place.append(self.rows)
        else:
            update(self.rows, frame)

    def _pick(self):
        if self.rows.selection:
            self.studio.go(self.outlines["review_id"].iloc[self.rows.selection[0]])


def lakes_tab(studio):
    """Lakes with their distance to ice."""
    none = "No outline is a glacial lake: a model's map tells lakes, or set the class of an outline."
    told = lambda found: (
        f"{counted(len(found), 'lake')}, {found.area_km2.sum():.3f} km²; "
        f"{int(found.in_contact.sum())} in contact with ice"
    )
    return ProductTab(studio, "Lakes", studio.desk.lakes, LAKES, LAKE_FORMATS, told, none)


def debris_tab(studio):
    """Debris-covered area of each glacier."""
    none = "No map of this date tells debris-covered ice: a model that knows it does."
    told = lambda found: (
        f"{found.debris_km2.sum():.3f} of {found.area_km2.sum():.3f} km² of ice lie under debris "
        f"({100 * found.debris_km2.sum() / found.area_km2.sum():.0f} %)"
    )
    return ProductTab(studio, "Debris", studio.desk.debris, DEBRIS, DEBRIS_FORMATS, told, none)
