"""Two inventories of one ground beside each other, and what two analysts make of one glacier."""

import panel as pn

from .comparing import COLUMNS, DRAWN, DRAWN_FORMATS, FORMATS, MAPPED_BY, WIDTHS
from .pieces import button, html, paragraph, swatches, table, update


class ComparingTab:
    """The reviewed outlines against others: which match, and where they differ."""

    title = "Compare"

    def __init__(self, studio):
        self.studio, self.desk = studio, studio.desk
        self.rival = pn.widgets.Select(name="Compare with", sizing_mode="stretch_width")
        self.rival.param.watch(studio.doing(self.show), "value")
        self.again = button("Compare again", studio.doing(self.show))
        self.told, self.legend = html(""), html("")
        self.matches, self._place = None, pn.Column(sizing_mode="stretch_width", margin=0)
        self.comparison = None
        self._open, self._of = False, None
        self.analysts = button("As two analysts: the error of digitizing", studio.doing(self.show_digitized))
        self.digitized = pn.Column(sizing_mode="stretch_width", margin=0)
        self.panel = pn.Column(
            self.rival, self.again, self.told, self.legend, self._place, self.analysts, self.digitized,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def refresh(self):
        """Offer the inventories of the ground."""
        names = self.desk.rivals
        kept = self.rival.value if self.rival.value in names else next(iter(names), None)
        self.rival.param.update(options=names, value=kept)
        self.again.disabled = self.analysts.disabled = not names
        if not names:
            self.told.object = paragraph("There is one inventory only: hand in another under Scores.")
            self._forget()
        elif self._of != (self.desk.label, kept):
            self.show()

    def _forget(self):
        """Nothing is compared."""
        self.comparison = self._of = self.matches = None
        self._place.clear()
        self.digitized.clear()
        self.legend.object = ""
        self.studio.map.remove("agreement")

    def opened(self):
        """Compare, and show it."""
        self._open = True
        self.show()

    def closed(self):
        """The agreement map goes with it."""
        self._open = False
        self.studio.map.remove("agreement")

    def show(self):
        """Compare the outlines as they are now."""
        if not self._open or self.rival.value is None:
            return
        ours, name = self.desk.outlines, self.rival.value
        self._of = self.desk.label, name
        self.studio.later("comparison", lambda: self.desk.compare(name, ours), self._show, busy=self.told)

    def _show(self, found):
        if not self._open:
            return
        self.comparison = found
        self.digitized.clear()
        self.told.object = paragraph(found.told())
        names = ("both", *(f"{name} only" for name in found.names))
        self.legend.object = swatches(dict(zip(names, MAPPED_BY.values(), strict=True)))
        if self.matches is None:
            # whoever has no name in a row tells whether it is missed or extra
            told = dict(height=260, widths=WIDTHS, hidden_columns=["status"])
            self.matches = table(found.shown(), COLUMNS, FORMATS, **told)
            self._place.append(self.matches)
        else:
            update(self.matches, found.shown())
        colored = found.colored().to_crs(self.desk.holdings.crs)
        told = {"mapped by": "mapped_by", "area [km²]": "area_km2"}
        self.studio.map.outline("agreement", colored, color="color", fill="color", width=1, hover=told)

    def show_digitized(self):
        """Take both for drawn by two people of the same glaciers and date."""
        if self.comparison is not None:
            self.studio.later("digitizing", self.comparison.digitized, self._show_digitized)

    def _show_digitized(self, found):
        both = found[found["n"] > 1]
        self.digitized[:] = [
            html(paragraph(
                f"{len(both)} drawn by both: borders {both.distance_mean_m.median():.0f} m apart, "
                f"areas differ by {both.range_pct.median():.1f} % (medians)."
            )),
            table(both[list(DRAWN)], DRAWN, DRAWN_FORMATS, height=180),
        ]  # fmt: skip
