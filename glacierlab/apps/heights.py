"""What a DEM tells of chosen glaciers: area by elevation, halves, fronts; measured when asked for."""

import panel as pn

from . import charts, pages
from .sessions import later, soon

AT_ONCE = 300  # glaciers whose halves and fronts are measured without being asked: an assumption


class Heights:
    """Three cards that are filled in as the package measures."""

    def __init__(self, views):
        self.views, self.story = views, views.story
        self.bands, self.zones = (
            charts.ElevationChart(views.theme),
            charts.ZoneChart(self.story.ends, views.theme),
        )
        self.fronts = charts.FrontChart(views.theme)
        first, *_, last = labels = [*self.story.tables]
        self.dates = pn.widgets.MultiChoice(
            name="Dates", options=labels, value=[first, last], sizing_mode="stretch_width"
        )
        self.answer = views.html("")
        self.asked = {"zones", "fronts"} if len(self.story.glaciers) <= AT_ONCE else set()
        self.buttons = {name: pn.widgets.Button(name="Measure", width=140, visible=False) for name in
                        ("zones", "fronts")}  # fmt: skip
        self.ids, self._newest = [], None
        self.dates.param.watch(lambda event: later(lambda: self.show(self.ids)), "value")
        for name, button in self.buttons.items():
            button.on_click(lambda event, name=name: self.ask(name))
        self.cards = [
            views.card(views.chart(self.bands), self.dates, self.answer),
            views.card(views.chart(self.zones), self.buttons["zones"]),
            views.card(views.chart(self.fronts), self.buttons["fronts"]),
        ]

    def ask(self, name):
        """Measure "zones" or "fronts", which takes long of many glaciers."""
        self.asked.add(name)
        later(lambda: self.show(self.ids))

    def show(self, ids):
        """Draw what is known of some glaciers; what is not measured yet comes when it is."""
        self.ids = ids
        names, labels = (
            [*ids[: charts.MOST_LINES]],
            [each for each in self.story.tables if each in self.dates.value],
        )
        self._newest = wanted = object()

        def work():
            bands = {label: self.story.bands(label) for label in labels}
            zones = self.story.zones() if "zones" in self.asked else None
            return bands, zones, self.story.retreat(names) if "fronts" in self.asked else None

        def show(found):
            if wanted is self._newest:  # else another choice was made meanwhile
                self._draw(found)

        ready = all(self.story.is_made(("bands", label)) for label in labels)
        ready &= "zones" not in self.asked or self.story.is_made("zones")
        ready &= "fronts" not in self.asked or self.story.has_fronts(names)
        if ready:
            show(work())
        else:
            soon(work, show)

    def _draw(self, found):
        if isinstance(found, Exception):
            self.answer.object = pages.notes_of([str(found)])
            return
        bands, zones, fronts = found
        self.bands.show(
            {label: summed(rows[rows["glacier"].isin(self.ids)]) for label, rows in bands.items()}
        )
        if zones is not None:
            self.zones.show(pages.zones_of(zones[zones["glacier"].isin(self.ids)]))
        if "fronts" in self.asked:
            self.fronts.show(fronts)
        for name, button in self.buttons.items():
            button.visible = name not in self.asked


def summed(rows):
    """Areas of several glaciers' bands, added."""
    return rows.groupby(["from_m", "to_m"], as_index=False)["area_km2"].sum()
