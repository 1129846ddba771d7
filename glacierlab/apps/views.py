"""What the dashboard shows: its pages, which follow its state."""

import panel as pn

from . import charts, pages
from .gallery import show_focus
from .mapview import MapView
from .methods import methods
from .pictures import Pictures
from .plots import Plot

SHADE = 0.4  # of the hillshade, so that the pale colors of small rates stand out
FRAME = {"flex": "1 1 420px", "min-width": "0", "max-width": "100%"}


class Views:
    """All pages of a `Dashboard`; `update` after its state changed."""

    def __init__(self, dashboard):
        self.dashboard, self.story = dashboard, dashboard.story
        self.theme = "dark" if pn.config.theme == "dark" else "light"
        self.style = [pages.css(self.theme)]
        self.overview = None
        self.body = pn.Column(sizing_mode="stretch_width")
        self.panel = pn.Column(self._bar(), self.body, sizing_mode="stretch_width", min_width=300)
        self.update({"view"})

    # ---- what pages are made of

    def html(self, text, **options):
        """HTML in the style of the page."""
        return pn.pane.HTML(text, stylesheets=self.style, sizing_mode="stretch_width", **options)

    def card(self, *objects, **styles):
        """Panes that stand together, as wide as there is room."""
        return pn.Column(*objects, styles=FRAME | styles, sizing_mode="stretch_width", margin=(0, 12, 16, 0))

    def cards(self, *cards):
        """Cards beside each other, or below where there is no room."""
        return pn.FlexBox(*cards, align_items="flex-start", sizing_mode="stretch_width")

    def chart(self, chart):
        """A chart as wide as its card."""
        return Plot(chart.figure, sizing_mode="stretch_width")

    def new_map(self, bounds, height, told):
        """A map with a hillshade where there is a DEM; `told` is for those who cannot see it."""
        view = MapView(self.story.glaciers.crs, bounds, height=height, dark=self.theme == "dark")
        charts.say(view.figure, "", told)
        paper = charts.INK[self.theme].paper
        view.figure.update(background_fill_color=paper, border_fill_color=paper)
        if self.story.holdings.dem is not None:
            shade = self.story.once("hillshade", lambda: hillshade_of(self.story.holdings.dem))
            view.show("base", shade, "hillshade", opacity=SHADE)
        return view

    # ---- what stands above all pages

    def _bar(self):
        self.tabs = pn.widgets.RadioButtonGroup(
            name="Page", options={"Overview": "overview", "Methods": "methods"}, value=None
        )
        self.asked = pn.widgets.TextInput(
            name="Open the page of a glacier", placeholder="its id or name", width=230
        )
        self.answer = self.html("", margin=(0, 10))
        self.tabs.param.watch(self._on_tab, "value")
        self.asked.param.watch(self._on_asked, "value")
        notes = self.html(pages.notes_of(self.dashboard.notes), visible=bool(self.dashboard.notes))
        row = pn.FlexBox(
            self.tabs, self.asked, self.answer, align_items="center", sizing_mode="stretch_width"
        )
        return pn.Column(row, notes, sizing_mode="stretch_width")

    def _on_tab(self, event):
        if event.new:
            self.dashboard.view = event.new

    def _on_asked(self, event):
        known = not event.new.strip() or self.dashboard.open(event.new)
        told = [] if known else [f"No glacier here is called “{event.new[:60]}”."]
        self.answer.object = pages.notes_of(told)
        if known:
            self.asked.value = ""

    # ---- the page that is shown

    def update(self, changed):
        """Draw anew what depends on a changed part of the state."""
        from .glacierpage import GlacierPage
        from .overview import Overview

        view = self.dashboard.view
        if changed & {"view", "glacier"}:
            self.tabs.value = view if view != "glacier" else None
            if view == "overview":
                self.overview = self.overview or Overview(self)
                self.body.objects = [self.overview.panel]
                self.overview.update()
            elif view == "glacier":
                self.body.objects = [GlacierPage(self, self.dashboard.glacier).panel]
            else:
                self.body.objects = [self.html(methods(self.story), styles={"max-width": "62rem"})]
            show_focus(self.panel)
        elif self.overview is not None:
            self.overview.update()


def hillshade_of(dem):
    """Pictures of the elevation alone."""
    return Pictures(dem.rename("elevation").to_dataset())
