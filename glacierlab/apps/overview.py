"""All chosen glaciers at once: map, series, sizes, elevations, totals, table; each brush filters all."""

import geopandas as gpd
import numpy as np
import panel as pn
import shapely
from bokeh.events import Reset, SelectionGeometry
from bokeh.models import BoxSelectTool
from bokeh.models.widgets.tables import NumberFormatter

from . import charts, pages
from .controls import Controls
from .dashboard import trend_of
from .heights import Heights
from .pieces import HOVERED

PAGE = 15  # rows of the table at a time
TITLES = {
    "glacier": "glacier", "name": "name", "region": "region", "area_1_km2": "{0} [km²]",
    "area_1_unc_km2": "±", "area_2_km2": "{1} [km²]", "area_2_unc_km2": "±", "loss_km2": "loss [km²]",
    "loss_unc_km2": "±", "rate_pct_per_a": "loss [%/a]", "rate_unc_pct_per_a": "±",
    "significant": "significant", "status": "became",
}  # fmt: skip
TEXTS = ("glacier", "name", "region", "significant", "status")  # of the table


class Overview:
    """The first page of a `Dashboard`; `update` draws it for what is chosen."""

    def __init__(self, views):
        self.views, self.dashboard, self.story = views, views.dashboard, views.story
        self.controls = Controls(views)
        self.headline, self.totals = views.html(""), views.html("")
        self.areas = charts.AreaChart(views.theme)
        self.sizes = charts.SizeChart(self.story.glaciers["size_km2"], views.theme)
        self.sizes.on_brush(lambda limits: self.controls.set(size=limits))
        self.map, self.table = ChoiceMap(self), ChoiceTable(self)
        self.heights = None
        cards = [
            views.card(self.headline, flex="1 1 100%"),
            views.card(*self.map.panes, flex="2 1 720px"),
            views.card(views.chart(self.areas), views.chart(self.sizes)),
        ]
        if self.story.holdings.dem is not None and len(self.story.tables) > 1:
            self.heights = Heights(views)
            cards += self.heights.cards
        cards += [
            views.card(views.html("<h2>Totals</h2>"), self.controls.grouping, self.totals, flex="1 1 100%"),
            views.card(
                views.html("<h2>Glaciers</h2>"), self._downloads(), self.table.widget, flex="1 1 100%"
            ),
        ]
        notes = views.html(pages.told_of_notes(self.story), visible=bool(self.story.notes))
        self.panel = pn.Column(notes, self.controls.panel, views.cards(*cards), sizing_mode="stretch_width")

    def _downloads(self):
        made = {
            "CSV": ("csv", self.dashboard.csv), "GeoPackage": ("gpkg", self.dashboard.geopackage),
            "PNG of areas": ("png", self.dashboard.png),
        }  # fmt: skip
        buttons = [
            pn.widgets.FileDownload(callback=make, filename=f"glaciers.{ending}", label=label, width=140)
            for label, (ending, make) in made.items()
        ]
        told = self.views.html("The chosen glaciers as a file. A click on a glacier opens its page.")
        return pn.FlexBox(*buttons, pn.Column(told, min_width=280), align_items="center")

    def update(self):
        """Draw everything for the glaciers that are chosen now."""
        chosen, totals, series = self.dashboard.chosen, self.dashboard.totals, self.dashboard.series
        line = trend_of(series)
        self.headline.object = pages.headline(self.dashboard, totals, series, line)
        self.totals.object = pages.totals_table(self.dashboard, totals)
        self.areas.show(series, line)
        self.sizes.show(self.story.glaciers["size_km2"].to_numpy()[chosen], self.dashboard.filter.size)
        self.map.show(chosen)
        self.table.show()
        if self.heights is not None:
            self.heights.show(self.dashboard.glaciers.index[chosen])
        self.controls.show()  # last: it says how many are chosen, which is true once all shows them


class ChoiceMap:
    """Glaciers in the color of their rate; a tap picks one, a box chooses all whose middle is in it."""

    def __init__(self, overview):
        views, story, self.controls = overview.views, overview.story, overview.controls
        self.filter = lambda: overview.dashboard.filter
        glaciers = story.glaciers
        self.outlined = (~glaciers.geometry.isna()).to_numpy()
        outlined = glaciers[self.outlined]
        self.ids, self.tree = outlined.index.to_numpy(), shapely.STRtree(outlined.geometry.values)
        limit = charts.rate_limit(outlined["rate_pct_per_a"])
        self.colors = charts.rate_colors(outlined["rate_pct_per_a"], limit)
        self.ink = charts.INK[views.theme].text
        shown = pages.with_told(outlined).assign(color=self.colors)
        self.map = views.new_map(outlined.total_bounds, 560)
        hovered = shown[[*pages.HOVER.values(), "color", "geometry"]]
        self.map.outline(
            "glaciers", hovered, color="color", fill="color", width=1, alpha=0.85, hover=pages.HOVER
        )
        self.several = len(story.labels) > 1
        if self.several:
            last = gpd.GeoDataFrame(geometry=outlined["last"].values, crs=outlined.crs)
            self.map.outline("last", last, color=self.ink, width=1)
        self.map.figure.add_tools(BoxSelectTool(renderers=[], description="Choose glaciers in a box"))
        self.map.figure.on_event(SelectionGeometry, self._on_box)
        self.map.figure.on_event(Reset, lambda event: self.controls.set(box=None, picked=[]))
        self.map.on_tap(self._on_tap)
        legend = views.html(pages.scale(limit, story.ends) if self.several else "")
        self.panes = [self.map.panel(), legend]

    def _on_box(self, event):
        box = event.geometry
        if event.final and box.get("type") == "rect":
            x, y = sorted((box["x0"], box["x1"])), sorted((box["y0"], box["y1"]))
            self.controls.set(box=tuple(float(round(each)) for each in (x[0], y[0], x[1], y[1])))

    def _on_tap(self, x, y):
        hit = self.ids[self.tree.query(shapely.Point(x, y), predicate="intersects")]
        if len(hit):
            picked, name = self.filter().picked, str(hit[0])
            self.controls.set(picked=sorted({*picked} ^ {name}))

    def show(self, chosen):
        """Chosen glaciers in the color of their rate, others as gray lines."""
        here = chosen[self.outlined]
        colors = np.where(here, self.colors, charts.UNKNOWN)
        self.map.recolor("glaciers", colors, np.where(here, self.colors, None))
        if self.several:
            self.map.recolor("last", np.where(here, self.ink, None))


class ChoiceTable:
    """Glaciers as rows: sortable, checked ones are picked, a click on an id opens its page."""

    def __init__(self, overview):
        self.views, self.dashboard, self.controls = overview.views, overview.dashboard, overview.controls
        self.titles = {name: title.format(*overview.story.ends) for name, title in TITLES.items()}
        self.grouped_by, self.every = self.dashboard.grouping, self._rows()
        self.rows_of = self.every  # whose rows are shown
        numbers = {
            name: NumberFormatter(
                format="0.00" if "pct" in name else "0.000", nan_format="–", text_align="right"
            )
            for name in TITLES
            if name not in TEXTS
        }
        self.widget = pn.widgets.Tabulator(
            self.every, titles=self.titles, pagination="remote", page_size=PAGE, selectable="checkbox",
            disabled=True, layout="fit_data_fill", sizing_mode="stretch_width",
            theme="midnight" if self.views.theme == "dark" else "simple", stylesheets=[HOVERED],
            formatters=numbers | {name: {"type": "plaintext"} for name in TEXTS},
        )  # fmt: skip
        self._busy = False
        self.widget.param.watch(self._on_rows, "selection")
        self.widget.on_click(self._on_cell)

    def _rows(self):
        return pages.for_table(self.dashboard.rows(slice(None)), [*TITLES][1:])

    def _on_rows(self, event):
        if not self._busy:
            self.controls.set(picked=[str(self.widget.value.index[row]) for row in event.new])

    def _on_cell(self, event):
        if event.column in self.titles:
            self.dashboard.open(str(self.widget.value.index[event.row]))

    def show(self):
        """Rows that pass all but the picks by hand, which are checked."""
        picked = {*self.dashboard.filter.picked}
        if self.grouped_by != self.dashboard.grouping:
            self.grouped_by, self.every = self.dashboard.grouping, self._rows()
        rows = self.every[self.dashboard.filter.passes(self.dashboard.glaciers, leaving_out=["picked"])]
        self._busy = True
        try:
            if self.every is not self.rows_of or not rows.index.equals(self.widget.value.index):
                self.widget.value, self.rows_of = rows, self.every
            marked = [place for place, name in enumerate(rows.index) if name in picked] if picked else []
            if self.widget.selection != marked:
                self.widget.selection = marked
        finally:
            self._busy = False
