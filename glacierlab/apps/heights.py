"""What a DEM tells of chosen glaciers: area by elevation, halves, fronts; measured when asked for."""

from html import escape

import panel as pn

from . import charts, pages
from .sessions import later, soon

LEAST_KM2 = 0.0005  # that is told of
WRAPPED = """
.bk-input-group.bk-inline { flex-wrap: wrap; }
.bk-input-group.bk-inline > label { margin: 0 10px 0 0 !important; }
"""
AT_ONCE = 300  # glaciers whose halves and fronts are measured without being asked: an assumption


class Heights:
    """Three cards that are filled in as the package measures; `drawn` is called each time."""

    def __init__(self, views, drawn=lambda: None):
        self.views, self.story, self.drawn = views, views.story, drawn
        first, *_, last = labels = [*self.story.tables]
        self.bands = charts.ElevationChart(views.theme)
        self.zones = charts.ZoneChart((first, last), views.theme)
        self.fronts = charts.FrontChart(views.theme)
        self.told_of_zones = views.html("")
        self.dates = pn.widgets.CheckBoxGroup(
            name="Dates",
            options=labels,
            value=[first, last],
            inline=True,
            sizing_mode="stretch_width",
            stylesheets=[WRAPPED],
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
            views.card(views.chart(self.zones), self.told_of_zones, self.buttons["zones"]),
            views.card(views.chart(self.fronts), self.buttons["fronts"]),
        ]

    def ask(self, name):
        """Measure "zones" or "fronts", which takes long of many glaciers."""
        self.asked.add(name)
        later(lambda: self.show(self.ids))

    def show(self, ids):
        """Draw what is known of some glaciers; what is not measured yet comes when it is."""
        self.ids = ids
        names = [name for name in ids if self.story.is_alone(name)][: charts.MOST_LINES]
        labels = [each for each in self.story.tables if each in self.dates.value]
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
        own = {label: rows[rows["glacier"].isin(self.ids)] for label, rows in bands.items()}
        self.bands.show({label: summed(rows) for label, rows in own.items()})
        self.answer.object = without_heights(own)
        if zones is not None:
            own = pages.zones_of(zones[zones["glacier"].isin(self.ids)])
            self.zones.show(own)
            self.told_of_zones.object = pages.told_of_zones(own, self.zones.ends)
        if "fronts" in self.asked:
            self.fronts.show(fronts, len(self.ids))
        for name, button in self.buttons.items():
            button.visible = name not in self.asked
        self.drawn()


def without_heights(bands):
    """That some of the area of some dates has no height in the DEM, where it is so."""
    unknown = {label: rows.loc[rows["from_m"].isna(), "area_km2"].sum() for label, rows in bands.items()}
    told = ", ".join(f"{km2:.3f} km² of {label}" for label, km2 in unknown.items() if km2 >= LEAST_KM2)
    return f'<p class="soft">Without a height in the DEM, and left out: {escape(told)}.</p>' if told else ""


def summed(rows):
    """Areas of several glaciers' bands, added; not what has no height."""
    return rows.groupby(["from_m", "to_m"], as_index=False)["area_km2"].sum()
