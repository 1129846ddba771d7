"""The page of one glacier."""

from html import escape

import pandas as pd
import panel as pn

from . import charts, pages
from .heights import Heights


class GlacierPage:
    """All that is known of one glacier: its outlines by date, areas, changes, elevations, front."""

    def __init__(self, views, name):
        self.views, self.story, self.name = views, views.story, name
        story, row = self.story, self.story.glaciers.loc[name]
        back = pn.widgets.Button(name="All glaciers", width=140)
        back.on_click(lambda event: setattr(views.dashboard, "view", "overview"))
        self.areas = charts.AreaChart(views.theme)
        self.areas.show(story.series[story.series["glacier"] == name], story.trend_of(name))
        cards = [views.card(*self._map())] if row.geometry is not None else []
        cards += [views.card(views.chart(self.areas), views.html(pages.glacier_facts(story, name)))]
        if story.holdings.dem is not None and len(story.tables) > 1:
            self.heights = Heights(views)
            self.heights.show([name])
            cards += self.heights.cards
        told = ["<h2>Change between dates</h2>", pages.glacier_changes(story, name)]
        if story.assessment is not None:
            told += ["<h2>Divided, joined, vanished</h2>", pages.glacier_events(story, name)]
        cards.append(views.card(views.html("".join(told)), flex="1 1 100%"))
        title = f"{row['name']} ({name})" if row["name"] and row["name"] != name else name
        self.panel = pn.Column(
            back, views.html(f"<h1>{escape(title)}</h1>"), views.cards(*cards), sizing_mode="stretch_width"
        )

    def _map(self):
        """The map of the glacier's outlines, a color a date, and what the colors say."""
        dates = {label: rows[rows["glacier"] == self.name] for label, rows in self.story.tables.items()}
        dates = {label: rows for label, rows in dates.items() if len(rows)}
        colors = dict(zip(dates, charts.dates_colors(len(dates), self.views.theme), strict=True))
        bounds = pd.concat([rows.geometry for rows in dates.values()]).total_bounds
        told = f"Map of the outlines of {self.name} at {len(dates)} of {len(self.story.tables)} dates."
        self.map = self.views.new_map(bounds, 420, told)
        for label, rows in dates.items():
            self.map.outline(label, rows[["geometry"]], color=colors[label], width=2)
        self.map.zoom_to(bounds)
        return self.map.panel(), self.views.html(pages.color_key(colors))
