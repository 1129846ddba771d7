"""Charts of change in Bokeh, each drawn anew from tables: no numbers are made here."""

from collections import namedtuple

import numpy as np
from bokeh.events import Reset, SelectionGeometry
from bokeh.models import (
    BoxAnnotation,
    BoxSelectTool,
    ColumnDataSource,
    CustomJSTickFormatter,
    FactorRange,
    FixedTicker,
    HoverTool,
    Range1d,
    Span,
    TeeHead,
    Whisker,
)
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from bokeh.transform import dodge

from ..change.dated import center_of
from .holdings import is_date
from .pieces import counted

LOSS, MIDDLE, GAIN = "#c4530a", "#e9e6e1", "#1f5fa8"  # orange and blue: told apart by all eyes
UNKNOWN = "#8c8c8c"
Ink = namedtuple("Ink", "text paper grid every chosen marked")
INK = {
    "light": Ink("#1c2833", "#ffffff", "#dde3e8", "#b9c4cc", "#1f5fa8", "#c4530a"),
    "dark": Ink("#e8edf1", "#212529", "#3b444c", "#5c6873", "#79b8f0", "#ff9f5a"),
}
ZONES = {"ablation": "below", "accumulation": "above", "unknown": "height unknown"}  # as the chart calls them
BINS = 24
SEEN = 0.01  # of the area, that a bar of unknown heights is worth: an assumption
MOST_LINES = 100  # fronts that are drawn
YEARS_AROUND = 3  # of a single date: an assumption
LEAST_M = 50  # that an axis of retreat spans: an assumption


# ---- colors of rates


def rate_limit(rates):
    """A round rate [%/a] that three quarters of the rates stay below: where the colors end."""
    known = np.abs(np.asarray(rates, float))
    known = known[np.isfinite(known)]
    high = np.quantile(known, 0.75) if known.size else 0.0
    if not high > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(high))
    return next(
        step * float(power) for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= 0.999 * high
    )


def rate_colors(rates, limit):
    """A color for each rate: orange where ice is lost, blue where it is gained, pale at 0, gray unknown."""
    rates = np.asarray(rates, float)
    share = np.clip(np.nan_to_num(rates) / limit, -1, 1)
    ends = np.array([rgb(GAIN), rgb(MIDDLE), rgb(LOSS)], float)
    found = ends[1] + np.abs(share)[:, None] * (np.where(share[:, None] > 0, ends[2], ends[0]) - ends[1])
    colors = ["#" + bytes(each).hex() for each in found.round().astype("uint8")]
    return np.where(np.isfinite(rates), colors, UNKNOWN)


def rgb(color):
    return tuple(bytes.fromhex(color[1:]))


def dates_colors(count, theme):
    """A color for each of some dates, the latest with the most contrast."""
    colors = Cividis256[10:225] if theme == "light" else Cividis256[140:256][::-1]
    spots = np.linspace(len(colors) - 1, 0, max(count, 2))[-count:] if count else []
    return [colors[int(spot)] for spot in spots]


# ---- what all charts share


def empty_figure(title, x, y, theme, height=300, **options):
    """A figure with axes that say units, in the colors of a theme; it fills the width that it gets."""
    ink, paper, grid, *_ = INK[theme]
    options = {"tools": "pan,wheel_zoom,box_zoom,reset,save"} | options
    options = {"x_range": Range1d(0, 1), "y_range": Range1d(0, 1)} | options
    chart = figure(height=height, sizing_mode="stretch_width", min_width=260, **options)
    say(chart, title)
    chart.title.text_font_size = "15px"
    chart.title.text_color = ink
    chart.toolbar.logo, chart.toolbar.autohide = None, True
    chart.background_fill_color = chart.border_fill_color = paper
    chart.outline_line_color = None
    for axis, label in ((chart.xaxis, x), (chart.yaxis, y)):
        axis.axis_label = label
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "14px", "13px"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = ink
        axis.axis_line_color = axis.major_tick_line_color = ink
        axis.minor_tick_line_color = None
    if x == "year":
        chart.xaxis.ticker.desired_num_ticks = 5  # which a phone has room for
    chart.grid.grid_line_color = grid
    return chart


def with_legend(chart, theme):
    """The legend of a chart between its title and what it shows, where it covers nothing."""
    (legend,) = chart.legend
    chart.center = [each for each in chart.center if each is not legend]
    legend.update(
        orientation="horizontal", location="left", ncols=2, margin=0, padding=2, spacing=12,
        label_text_color=INK[theme].text, label_text_font_size="13px", border_line_color=None,
        background_fill_color=None,
    )  # fmt: skip
    chart.add_layout(legend, "above")
    return legend


def say(chart, title, text=None):
    """Give a chart a title, and those who cannot see it a text; the title alone by default."""
    chart.title.text = title
    chart.html_attributes = {"role": "figure", "aria-label": text or title}


class AreaChart:
    """Area through time with errors as bars, and the straight line of `trend`."""

    def __init__(self, theme="light", title="Area [km²] through time"):
        ink, *_, chosen, marked = INK[theme]
        self.title = title
        self.figure = empty_figure(title, "year", "area [km²]", theme)
        self.areas, self.line = ColumnDataSource(), ColumnDataSource({"year": [], "area": []})
        self.areas.data = {name: [] for name in ("year", "area", "low", "high", "error", "label", "kind")}
        dots = self.figure.scatter(
            "year", "area", source=self.areas, size=8, color=chosen, legend_label="area"
        )
        self.figure.line(
            "year", "area", source=self.line, color=marked, width=2, dash="dashed", legend_label="trend"
        )
        heads = {"upper_head": TeeHead(size=8, line_color=ink), "lower_head": TeeHead(size=8, line_color=ink)}
        self.figure.add_layout(
            Whisker(base="year", upper="high", lower="low", source=self.areas, line_color=ink, **heads)
        )
        tips = [("date", "@label"), ("area", "@area{0.000} ± @error{0.000} km² (@kind)")]
        self.figure.add_tools(HoverTool(renderers=[dots], tooltips=tips))
        self.legend = with_legend(self.figure, theme)

    def show(self, series, trend=None):
        """Rows of a series by date, and a row of `trend`, or None."""
        date = series["date"].where(series["date"] != "", series["window"])
        label = series["window"].where(series["window"] != "", date)
        if "glaciers" in series:
            label = label + [f", {counted(number, 'glacier')}" for number in series["glaciers"]]
        year = np.array([center_of(text) if is_date(text) else np.nan for text in date], float)
        area, error = (series[name].to_numpy(float) for name in ("area_km2", "area_unc_km2"))
        low, high = area - np.nan_to_num(error), area + np.nan_to_num(error)
        self.areas.data = {
            "year": year, "area": area, "low": low, "high": high, "error": error,
            "label": label.to_numpy(str),
            "kind": series["area_unc_kind"].replace("", "no error known").to_numpy(str),
        }  # fmt: skip
        self._show_line(year, area, trend)
        say(self.figure, *self._words(date.tolist(), year, area))
        fit(self.figure.x_range, year, 0.06, alone=YEARS_AROUND)
        fit(self.figure.y_range, np.append(low, high), 0.08, least=0.0)

    def _show_line(self, year, area, trend):
        known = np.isfinite(year) & np.isfinite(area)
        drawn = trend is not None and np.isfinite(trend["rate_km2_per_a"])
        ends = np.array([year[known].min(), year[known].max()]) if drawn else np.array([])
        # a least-squares line goes through the middle of its points
        line = area[known].mean() - trend["rate_km2_per_a"] * (ends - year[known].mean()) if drawn else ends
        self.line.data = {"year": ends, "area": line}
        self.legend.items[1].visible = bool(drawn)

    def _words(self, dates, year, area):
        if not dates:
            return ["Area through time: no glacier is chosen"]
        if not np.isfinite(year).any():
            return ["Area through time: the date is not known"]
        told = "; ".join(f"{km2:.2f} km² at {date}" for date, km2 in zip(dates, area, strict=True))
        return [self.title, f"{self.title}: {told}"]


def fit(axis, values, margin, least=-np.inf, alone=None):
    """Let a range show all values, with a margin; a single value with `alone` on either side."""
    values = values[np.isfinite(values)]
    if values.size:
        span = np.ptp(values)
        room = margin * span if span else alone or margin * abs(values[0]) or 1.0
        axis.start, axis.end = max(least, float(values.min() - room)), float(values.max() + room)


class SizeChart:
    """How many glaciers there are of each size: all of them pale, the chosen in color; brush to choose."""

    def __init__(self, sizes, theme="light"):
        known = np.asarray(sizes, float)
        known = known[np.isfinite(known) & (known > 0)]
        low, high = (known.min(), known.max()) if known.size else (0.01, 1.0)
        self.edges = np.geomspace(
            low / 1.05, high * 1.05, min(BINS, max(5, 2 * int(np.sqrt(known.size) + 1))) + 1
        )
        self.figure = empty_figure(
            "Glaciers by size: brush to choose", "area when first mapped [km²]", "glaciers", theme,
            x_axis_type="log", x_range=(float(self.edges[0]), float(self.edges[-1])), tools="reset,save",
        )  # fmt: skip
        sides = {"left": self.edges[:-1], "right": self.edges[1:]}
        counts = np.histogram(known, self.edges)[0]
        self.source = ColumnDataSource({**sides, "all": counts, "chosen": counts.copy()})
        for name, color, label in (("all", INK[theme].every, "all"), ("chosen", INK[theme].chosen, "chosen")):
            bars = self.figure.quad(
                left="left", right="right", bottom=0, top=name, source=self.source, fill_color=color,
                line_color=INK[theme].paper, legend_label=label,
            )  # fmt: skip
            bars.nonselection_glyph = bars.selection_glyph = None
        tips = [("size", "@left{0.000} to @right{0.000} km²"), ("chosen", "@chosen of @all")]
        self.figure.add_tools(HoverTool(renderers=[bars], tooltips=tips))
        brush = BoxSelectTool(dimensions="width", renderers=[], description="Choose sizes")
        self.figure.add_tools(brush)
        self.figure.toolbar.active_drag = brush
        self.brushed = BoxAnnotation(
            fill_color=INK[theme].marked, fill_alpha=0.12, line_color=INK[theme].marked, visible=False
        )
        self.figure.add_layout(self.brushed)
        self.figure.y_range.end = 1.1 * counts.max(initial=1)
        self.figure.xaxis.formatter = CustomJSTickFormatter(
            code="return Number(tick.toPrecision(2)).toString()"
        )
        self.figure.xaxis.ticker = FixedTicker(ticks=round_sizes(low, high))
        with_legend(self.figure, theme)

    def show(self, sizes, limits=None):
        """Sizes of the chosen glaciers, and the limits that are set."""
        counts = np.histogram(sizes, self.edges)[0]
        self.source.patch({"chosen": [(slice(None), counts)]})
        title, every = self.figure.title.text, self.source.data["all"].sum()
        say(self.figure, title, f"{title}. {counts.sum()} of {every} chosen; the field Area does the same.")
        self.brushed.visible = limits is not None
        if limits is not None:
            self.brushed.left, self.brushed.right = limits

    def on_brush(self, function):
        """Call `function((low, high))` after a brush, `function(None)` after a reset."""

        def brushed(event):
            if event.final and event.geometry.get("type") == "rect":
                low, high = sorted((event.geometry["x0"], event.geometry["x1"]))
                function((float(f"{low:.4g}"), float(f"{high:.4g}")))

        self.figure.on_event(SelectionGeometry, brushed)
        self.figure.on_event(Reset, lambda event: function(None))


def round_sizes(low, high):
    """1, 3, 10 … times a power of ten between two sizes, only 1, 10 … where there would be many."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1, 3) if len(powers) < 5 else (1,)
    return [float(f"{step * power:.1g}") for power in powers for step in steps]


class ElevationChart:
    """Area by elevation, a stepped line a date: the oldest pale, the latest dark, each named."""

    def __init__(self, theme="light"):
        self.theme = theme
        self.figure = empty_figure(
            "Area by elevation", "area of a band [km²]", "elevation [m]", theme, height=340
        )
        self.source = ColumnDataSource({"xs": [], "ys": [], "color": [], "label": []})
        self.figure.multi_line(
            "xs", "ys", source=self.source, color="color", line_width=2.5, legend_field="label"
        )
        with_legend(self.figure, theme)

    def show(self, bands):
        """{date: table of from_m, to_m, area_km2, a row a band}."""
        xs, ys = [], []
        for table in bands.values():
            table = table.sort_values("from_m")
            heights = table[["from_m", "to_m"]].to_numpy(float).ravel()
            areas = np.repeat(table["area_km2"].to_numpy(float), 2)
            xs.append(np.concatenate([[0.0], areas, [0.0]]) if areas.size else areas)
            ys.append(np.concatenate([heights[:1], heights, heights[-1:]]))
        colors = dates_colors(len(xs), self.theme)
        self.source.data = {"xs": xs, "ys": ys, "color": colors, "label": [*bands]}
        self.figure.height = 340 + 32 * max(0, (len(xs) - 1) // 2)  # below the rows of its legend
        drawn = any(len(each) for each in xs)
        if not drawn:
            say(self.figure, "Area by elevation: none is known here")
            return
        fit(self.figure.x_range, np.append(np.concatenate(xs), 0.0), 0.05, least=0.0)
        fit(self.figure.y_range, np.concatenate(ys), 0.05)
        there = {label: table for label, table in bands.items() if table["area_km2"].sum() > 0}
        most = [(label, table.loc[table["area_km2"].idxmax()]) for label, table in there.items()]
        told = [f"{label} most at {row['from_m']:.0f} to {row['to_m']:.0f} m" for label, row in most]
        title = "Area [km²] by elevation [m]"
        say(self.figure, title, f"{title}: {'; '.join(told)}")


class ZoneChart:
    """Area below and above each glacier's median elevation, at the first and the last date."""

    def __init__(self, ends, theme="light"):
        self.figure = empty_figure(
            "Area [km²] below and above", "median elevation of each glacier", "area [km²]", theme,
            tools="save",
            x_range=FactorRange(*list(ZONES.values())[:2]),
        )  # fmt: skip
        self.ends = ends
        self.source = ColumnDataSource({"zone": [], "first": [], "last": [], "top": [], "loss": []})
        for name, label, color, aside in (
            ("first", ends[0], INK[theme].every, -0.18),
            ("last", ends[1], INK[theme].chosen, 0.18),
        ):
            self.figure.vbar(
                dodge("zone", aside, range=self.figure.x_range), 0.32, name, source=self.source, color=color,
                legend_label=str(label),
            )  # fmt: skip
        self.figure.text(
            "zone", "top", "loss", source=self.source, text_align="center", text_baseline="bottom",
            text_color=INK[theme].text, text_font_size="14px", y_offset=-4,
        )  # fmt: skip
        with_legend(self.figure, theme)

    def show(self, zones):
        """Areas by zone: a table with zone, area_km2 (first), other_km2 (last), other_diff_pct (lost)."""
        zones = zones[(zones["zone"] != "unknown") | (zones["area_km2"] > SEEN * zones["area_km2"].sum())]
        areas = zones[["area_km2", "other_km2"]].to_numpy(float)
        names, shares = [ZONES[zone] for zone in zones["zone"]], zones["other_diff_pct"]
        lost = [
            "" if np.isnan(each) else f"{abs(each):.1f} % {'gained' if each < 0 else 'lost'}"
            for each in shares
        ]
        self.source.data = {
            "zone": names, "first": areas[:, 0], "last": areas[:, 1], "top": areas.max(axis=1), "loss": lost
        }  # fmt: skip
        self.figure.x_range.factors = names or ["none is known here"]
        self.figure.y_range.end = 1.2 * areas.max(initial=0) or 1
        told = [f"{name} {one:.2f} and {two:.2f} km²" for name, (one, two) in zip(names, areas, strict=True)]
        title = "Area [km²] below and above"
        say(
            self.figure,
            title,
            f"{title} the median elevation, {' and '.join(self.ends)}: {'; '.join(told) or 'none'}",
        )


class FrontChart:
    """How far fronts went back since the first date, a line a glacier."""

    def __init__(self, theme="light"):
        self.figure = empty_figure("Retreat of fronts", "year", "retreat [m], advance below 0", theme)
        self.source = ColumnDataSource({"xs": [], "ys": [], "label": [], "told": []})
        lines = self.figure.multi_line(
            "xs", "ys", source=self.source, color=INK[theme].chosen, line_width=2, alpha=0.6,
            hover_line_color=INK[theme].marked, hover_line_alpha=1.0,
        )  # fmt: skip
        self.figure.add_tools(
            HoverTool(renderers=[lines], tooltips=[("glacier", "@label"), ("retreat", "@told")])
        )
        self.figure.add_layout(Span(location=0, dimension="width", line_color=INK[theme].text, line_width=1))

    def show(self, fronts, glaciers=0):
        """Rows of `terminus_change`, or None; of how many glaciers they are some."""
        found = {name: [] for name in ("xs", "ys", "label", "told")}
        if fronts is not None and len(fronts):
            for name, rows in fronts.groupby("glacier", sort=False):
                if len(rows) < 2:
                    continue
                years = [center_of(date) for date in rows["date"]]
                gone = rows["retreat_m"].fillna(0.0).cumsum().to_numpy()
                found["xs"].append(years)
                found["ys"].append(gone)
                found["label"].append(str(name))
                found["told"].append(f"{round(gone[-1])} m in {years[-1] - years[0]:.0f} years")
        self.source.data = found
        if not found["xs"]:
            say(self.figure, "Retreat of fronts: none is known")
            return
        fit(self.figure.x_range, np.concatenate(found["xs"]), 0.05)
        heights = np.append(np.concatenate(found["ys"]), 0.0)
        fit(self.figure.y_range, np.append(heights, [-LEAST_M / 2, LEAST_M / 2]), 0.08)
        shown = f", {len(found['xs'])} of {glaciers} glaciers" if glaciers > len(found["xs"]) else ""
        told = "; ".join(map(": ".join, zip(found["label"], found["told"], strict=True)))
        say(self.figure, f"Retreat [m]{shown or ' of fronts'}", f"Retreat of fronts{shown}. {told}")
