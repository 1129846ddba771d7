"""All chosen glaciers at once: map, series, sizes, elevations, totals, table; each brush filters all."""

import geopandas as gpd
import numpy as np
import panel as pn
import shapely
from bokeh.events import Reset, SelectionGeometry
from bokeh.models import BoxSelectTool
from bokeh.models.widgets.tables import NumberFormatter

from ..change.assessing import DIVIDED
from . import charts, pages
from .controls import Controls
from .dashboard import trend_of
from .heights import Heights
from .holdings import is_date
from .pieces import HOVERED

PAGE = 15  # rows of the table at a time
TITLES = {
    "glacier": "glacier", "name": "name", "region": "region", "area_1_km2": "{0} [km²]",
    "area_1_unc_km2": "±", "area_2_km2": "{1} [km²]", "area_2_unc_km2": "±", "loss_km2": "loss [km²]",
    "loss_unc_km2": "±", "rate_pct_per_a": "loss [%/a]", "rate_unc_pct_per_a": "±",
    "significant": "significant", "status": "became",
}  # fmt: skip
OF_ONE_DATE = {
    "glacier": "glacier", "name": "name", "region": "region", "area_1_km2": "area {0} [km²]",
    "area_1_unc_km2": "±",
}  # fmt: skip
CLOSE = """
.tabulator { font-size: 14px !important; }
.tabulator-row .tabulator-cell { padding: 4px 8px !important; }
.tabulator-header .tabulator-col .tabulator-col-content { padding: 4px 2px 4px 8px !important; }
.tabulator-header .tabulator-col-title { padding-right: 18px !important; }
"""
TEXTS = ("glacier", "name", "region", "significant", "status")  # of the table


class Overview:
    """The first page of a `Dashboard`; `update` draws it for what is chosen."""

    def __init__(self, views):
        self.views, self.dashboard, self.story = views, views.dashboard, views.story
        self.controls = Controls(views)
        self.headline, self.totals, self.notes = views.html(""), views.html(""), views.html("")
        self.areas = charts.AreaChart(views.theme, "Summed area [km²] at each date")
        self.sizes = charts.SizeChart(self.story.glaciers["size_km2"], views.theme)
        self.sizes.on_brush(lambda limits: self.controls.set(size=limits))
        self.map, self.table = ChoiceMap(self), ChoiceTable(self)
        self.heights = None
        cards = [
            views.card(self.headline, flex="1 1 100%"),
            views.card(*self.map.panes, flex="1 1 560px"),
            views.card(views.chart(self.areas), views.chart(self.sizes)),
        ]
        if self.story.holdings.dem is not None and len(self.story.tables) > 1:
            self.heights = Heights(views, self._show_notes)
            cards += self.heights.cards
        cards += [
            views.card(views.html("<h2>Totals</h2>"), self.controls.grouping, self.totals, flex="1 1 100%"),
            views.card(
                views.html("<h2>Glaciers</h2>"), self._downloads(), self.table.widget, flex="1 1 100%"
            ),
        ]
        self.panel = pn.Column(
            self.notes, self.controls.panel, views.cards(*cards), sizing_mode="stretch_width"
        )

    def _downloads(self):
        made = {
            "CSV": ("csv", self.dashboard.csv), "GeoPackage": ("gpkg", self.dashboard.geopackage),
            "PNG of areas": ("png", self.dashboard.png),
        }  # fmt: skip
        if not any(map(is_date, self.story.labels)):
            del made["PNG of areas"]
        self.downloads = [
            pn.widgets.FileDownload(callback=make, filename=f"glaciers.{ending}", label=label, width=140)
            for label, (ending, make) in made.items()
        ]
        told = "The chosen glaciers as files. A click on a row opens its page, one on its box chooses it."
        return pn.FlexBox(
            *self.downloads, pn.Column(self.views.html(told), min_width=280), align_items="center"
        )

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
        for download in self.downloads:
            download.disabled = not chosen.any()
        if self.heights is not None:
            self.heights.show(self.dashboard.glaciers.index[chosen])
        self._show_notes()
        self.controls.show()  # last: it says how many are chosen, which is true once all shows them

    def _show_notes(self):
        self.notes.object = pages.told_of_notes(self.story)


class ChoiceMap:
    """Glaciers in the color of their rate; a tap picks the upper, a box all whose middle is in it."""

    def __init__(self, overview):
        views, story, self.controls = overview.views, overview.story, overview.controls
        self.filter = lambda: overview.dashboard.filter
        glaciers, self.several = story.glaciers, len(story.labels) > 1
        self.outlined = (~glaciers.geometry.isna()).to_numpy()
        outlined = glaciers[self.outlined]
        self.ids, self.tree = outlined.index.to_numpy(), shapely.STRtree(outlined.geometry.values)
        # what was divided or joined has lost no such share
        rates = outlined["rate_pct_per_a"].mask(outlined["status"].isin(DIVIDED.values()))
        limit, self.ink = charts.rate_limit(rates), charts.INK[views.theme].text
        plain = np.full(len(outlined), charts.INK[views.theme].chosen, object)
        self.colors = charts.rate_colors(rates, limit) if self.several else plain
        shown = pages.with_told(outlined).assign(color=self.colors)
        hover = pages.hover_of(shown, self.several)
        told = "Map of the glaciers. The table has the same numbers, and the fields above choose as it does."
        self.map = views.new_map(outlined.total_bounds, 560, told)
        self.map.outline(
            "glaciers", shown[[*hover.values(), "color", "geometry"]], color="color", fill="color", width=1,
            alpha=0.85, hover=hover,
        )  # fmt: skip
        if self.several:
            at_last = outlined.index.isin([*story.tables.values()][-1]["glacier"])
            last = gpd.GeoDataFrame(geometry=outlined["last"].where(at_last).values, crs=outlined.crs)
            self.map.outline("last", last, color=self.ink, width=1)
        self._listen()
        dates = story.ends[0], [*story.tables][-1]
        self.panes = [self.map.panel(), views.html(pages.scale(limit, dates))]

    def _listen(self):
        self.map.figure.add_tools(BoxSelectTool(renderers=[], description="Choose glaciers in a box"))
        self.map.figure.on_event(SelectionGeometry, self._on_box)
        self.map.figure.on_event(Reset, lambda event: self.controls.set(box=None, picked=[]))
        self.map.on_tap(self._on_tap)

    def _on_box(self, event):
        box = event.geometry
        if event.final and box.get("type") == "rect":
            x, y = sorted((box["x0"], box["x1"])), sorted((box["y0"], box["y1"]))
            self.controls.set(box=tuple(float(round(each)) for each in (x[0], y[0], x[1], y[1])))

    def _on_tap(self, x, y):
        hit = self.ids[np.sort(self.tree.query(shapely.Point(x, y), predicate="intersects"))]
        if len(hit):
            picked, name = self.filter().picked, str(hit[-1])
            self.controls.set(picked=sorted({*picked} ^ {name}))

    def show(self, chosen):
        """Chosen glaciers in the color of their rate, others as gray lines."""
        here = chosen[self.outlined]
        colors = np.where(here, self.colors, charts.UNKNOWN)
        self.map.recolor("glaciers", colors, np.where(here, self.colors, None))
        if self.several:
            self.map.recolor("last", np.where(here, self.ink, None))


class ChoiceTable:
    """Glaciers as rows, by loss: sortable, checked ones are picked, a click on a row opens its page."""

    def __init__(self, overview):
        self.views, self.dashboard, self.controls = overview.views, overview.dashboard, overview.controls
        titles = TITLES if len(overview.story.labels) > 1 else OF_ONE_DATE
        self.titles = {name: title.format(*overview.story.ends) for name, title in titles.items()}
        self.grouped_by, self.every = self.dashboard.grouping, self._rows()
        self.rows_of = self.every  # whose rows are shown
        numbers = [name for name in titles if name not in TEXTS]
        formats = {name: "0.00" if "pct" in name else "0.000" for name in numbers}
        formatters = {name: NumberFormatter(format=form, nan_format="–") for name, form in formats.items()}
        to_right = dict.fromkeys(numbers, "right")
        self.widget = pn.widgets.Tabulator(
            self.every, titles=self.titles, pagination="remote", page_size=PAGE, selectable="checkbox",
            disabled=True, layout="fit_data_stretch", sizing_mode="stretch_width",
            theme="midnight" if self.views.theme == "dark" else "simple", stylesheets=[HOVERED, CLOSE],
            formatters=formatters | {name: {"type": "plaintext"} for name in TEXTS},
            editors=dict.fromkeys(self.titles), text_align=to_right, header_align=to_right,
        )  # fmt: skip
        self._busy = False
        self.widget.param.watch(self._on_rows, "selection")
        self.widget.on_click(self._on_cell)

    def _rows(self):
        """All glaciers, first what lost most, or the largest of one date; `order` is where they were."""
        table = self.dashboard.rows(slice(None))
        by = "loss_km2" if "loss_km2" in self.titles else "area_1_km2"
        self.order = np.argsort(-table[by].to_numpy(), kind="stable")  # unknown ones last
        return pages.for_table(table.iloc[self.order], [*self.titles][1:])

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
        passing = self.dashboard.filter.passes(self.dashboard.glaciers, leaving_out=["picked"])
        rows = self.every[passing[self.order]]
        self._busy = True
        try:
            if self.every is not self.rows_of or not rows.index.equals(self.widget.value.index):
                self.widget.value, self.rows_of = rows, self.every
            marked = [place for place, name in enumerate(rows.index) if name in picked] if picked else []
            if self.widget.selection != marked:
                self.widget.selection = marked
        finally:
            self._busy = False
