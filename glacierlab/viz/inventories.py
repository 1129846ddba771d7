"""An inventory to pan and zoom in, in longitude and latitude across UTM zones, by GeoViews, offline."""

import itertools

import geoviews as gv
import holoviews as hv
import numpy as np
import shapely
from bokeh.models import CDSView, CustomJS, CustomJSFilter, CustomJSTicker, CustomJSTickFormatter
from cartopy.crs import GOOGLE_MERCATOR

from ..errors import GlacierlabError, InventoryError, require_outlines
from ..io.schemas import ID_COLUMNS
from ..io.shapes import around, in_degrees, whole
from .interactive import LEGEND, MOST_COLUMNS, STRETCH, as_numbers
from .predictions import class_colors

RADIUS_M = 6378137.0  # of the sphere of Web Mercator
NORTHERNMOST = 85.0  # degrees: there Web Mercator ends
DETAIL = 250  # an outline is as exact as its length or width over this
DOT = 6  # pixels: glaciers smaller than that are dots of that size
MARGIN = 0.04  # of what is seen
FLATTEST, TALLEST = 0.3, 1.2  # height over width
LEAST_M = 2000.0  # seen from side to side, however small the glaciers
WIDE_RANGE = 50  # of all-positive values, highest over lowest: colors by their logarithm from there on
NO_VALUE = "#bbbbbb"
PLACE = ["Longitude", "Latitude"]
NOTHING = ("", "nan", "None", "NaT", "<NA>")
OUTLINE = "#333333"  # of glaciers that are colored by a column
FILL = 0.35
SETS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # of stacks.COLORS; no pale ones
ENDINGS = {  # of a column's name, and its unit
    "_km2_per_a": "km²/a", "_pct_per_a": "%/a", "_km2": "km²", "_pct": "%", "_deg": "°",
    "_m": "m",
}  # fmt: skip
SEEN = """
const least = (x.end - x.start) / width * dot
const shown = []
across.forEach((size, row) => { if ((size < least) == dots || (!dots && size == largest)) shown.push(row) })
return shown
"""  # the largest is an outline always: the legend shows how that one looks
ZOOMED = """
const span = x.end - x.start
if (Math.abs(span / (filter.span ?? 1) - 1) > 0.02) { filter.span = span; filter.change.emit() }
"""  # panning changes nothing
DEGREE_M = RADIUS_M * np.pi / 180  # of longitude
TICKS = f"""
const [low, high] = [cb_data.start / {DEGREE_M}, cb_data.end / {DEGREE_M}]
const power = 10 ** Math.floor(Math.log10((high - low) / 2))
const steps = (high - low) / power
const step = power * (steps > 12 ? 5 : steps > 6 ? 2 : 1)
const ticks = []
for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(n * step * {DEGREE_M})
return ticks
"""
LONGITUDE = f"""
const degrees = tick / {DEGREE_M}
return String(Number((degrees > 180.0000001 ? degrees - 360 : degrees).toFixed(6)))
"""


def explore_inventory(outlines, color=None, *, width=620):
    """Glaciers of an inventory on axes of longitude and latitude; what they are is told under the pointer.

    Glaciers too small to be seen are dots, and become outlines as you zoom in, also in a page that
    `write_page` keeps. Outlines are simplified, each to 1/250 of its own length or width: they are for
    looking, not for measuring. Nothing is downloaded, so there is no background map. Where there is a
    network, `geoviews.tile_sources.OSM * view` lays one below.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame or dict of them
        In any CRS; several sets, such as dates, by what the legend calls them. A table with several of
        `class` is in the colors of its classes. What lies on both sides of 180° is in one piece.
    color : str, optional
        A column of numbers to color glaciers by, in all sets on one scale: from its 2nd to its 98th
        percentile, logarithmic if all are positive and the ends are 50 times apart, and on both sides of
        zero if some are negative. Gray is where it has no value.
    width : int
        Of the map [px of the screen].

    Returns
    -------
    holoviews.Overlay
        Its coordinates are those of Web Mercator (EPSG:3857) [m], the axes say degrees.

    Raises
    ------
    InventoryError
        There is no outline, no CRS, something else than polygons, or ice beyond 85° north or south.
    GlacierlabError
        `color` is no column of numbers.
    MissingExtraError
        GeoViews is not installed.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> view = gl.viz.explore_inventory({str(year): world.outlines(year) for year in world.years})
    >>> change = gl.area_change(world.outlines(1990), world.outlines(2020), years=30, missing="vanished")
    >>> glaciers = world.outlines(1990).merge(change, left_on="glac_id", right_on="glacier")
    >>> view = gl.viz.explore_inventory(glaciers, color="rate_pct_per_a")
    """
    if not hv.Store.loaded_backends():
        hv.extension("bokeh", inline=True)  # scripts within the notebook: none is fetched
    sets = in_mercator(outlines if isinstance(outlines, dict) else {"outlines": outlines})
    paints = dict(zip(sets, itertools.cycle(SETS)))
    look = {}
    if color is not None:
        look = colored(sets, color)
        paints = paints if len(sets) > 1 else dict.fromkeys(sets, OUTLINE)
    elif len(sets) == 1:
        (table,) = sets.values()
        if "class" in table and table["class"].nunique() > 1:
            sets = dict(tuple(table.groupby(table["class"].replace("", None).fillna("no class"))))
            paints = class_colors(sets)
    frame = framed(sets, width)
    layers = []
    for name, table in sets.items():
        bar = dict(colorbar=True) if look and not layers else {}
        called = str(name) if len(sets) > 1 else ""
        layers += layers_of(table, called, color, look | bar, paints[name], frame)
    beside = LEGEND | dict(legend_position="right", show_legend=len(sets) > 1)  # on the map it hides glaciers
    return hv.Overlay(layers).opts(hv.opts.Overlay(**frame, **beside))


# ---- where ----


def in_mercator(sets):
    """Tables on the sphere of Web Mercator [m], simplified, by name; those without rows are left out."""
    for table in sets.values():
        require_outlines(table, "A map")
    shapes = {name: whole(in_degrees(table.geometry).values) for name, table in sets.items() if len(table)}
    if not shapes:
        raise InventoryError("A map needs outlines, and there is none.")
    west, south, east, north = shapely.total_bounds(np.concatenate(list(shapes.values())))
    if max(-south, north) > NORTHERNMOST:
        raise InventoryError(
            f"A map in Web Mercator ends at {NORTHERNMOST:g}°, and there is ice at {south:g}° or {north:g}°: "
            "leave it out, or draw it in a projected CRS."
        )
    if east - west > 180:  # on both sides of 180°, unless it is all around the world
        turned = {name: around(each, 180.0) for name, each in shapes.items()}
        west, _, east, _ = shapely.total_bounds(np.concatenate(list(turned.values())))
        shapes = turned if east - west <= 180 else shapes
    made = {}
    for name, degrees in shapes.items():
        flat = shapely.transform(degrees, mercator)
        flat = shapely.simplify(flat, extents(flat) / DETAIL)
        made[name] = sets[name].reset_index(drop=True).set_geometry(flat, crs="EPSG:3857")
    return made


def mercator(degrees):
    """Longitudes and latitudes (n, 2) [degrees] in Web Mercator [m]; what lies beyond 180° goes on there."""
    east, north = np.radians(degrees).T
    return RADIUS_M * np.column_stack([east, np.log(np.tan(np.pi / 4 + north / 2))])


def extents(shapes):
    """Length or width of each, whichever is more [units of the shapes]."""
    west, south, east, north = shapely.bounds(shapes).T
    return np.maximum(east - west, north - south)


def framed(sets, width):
    """Options of a map that holds all tables, and is neither a strip nor tiny."""
    bounds = np.array([table.total_bounds for table in sets.values()])
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    span = np.maximum((high - low) * (1 + 2 * MARGIN), LEAST_M)
    span = np.maximum(span, span[::-1] * (1 / TALLEST, FLATTEST))
    (left, bottom), (right, top) = (low + high - span) / 2, (low + high + span) / 2
    return dict(
        frame_width=width, frame_height=round(width * span[1] / span[0]), xlim=(left, right),
        ylim=(bottom, top), xlabel="longitude [°]", ylabel="latitude [°]", title="",
        active_tools=["pan", "wheel_zoom"], hooks=[beyond_180 if right > 180 * DEGREE_M else as_numbers],
    )  # fmt: skip


def beyond_180(plot, element):
    """A hook: longitudes go on across 180° with -179; Bokeh's end there."""
    for axis in plot.state.xaxis:
        axis.ticker = CustomJSTicker(major_code=TICKS)
        axis.formatter = CustomJSTickFormatter(code=LONGITUDE)
    plot.state.sizing_mode = None  # as in `as_numbers`


# ---- what is drawn ----


def layers_of(table, name, color, look, paint, frame):
    """Outlines of glaciers that are large enough to be seen, and dots for the others: two layers.

    Each bears the frame too, so that it lasts when something is laid below.
    """
    told = columns_of(table, color)
    rows = table[[table.geometry.name]].assign(**{str(key): readable(table[key]) for key in told})
    across = extents(table.geometry.values)
    labels = [dimension(key) for key in told]
    style = dict(look, color=color if look else paint, line_color=paint, tools=["hover"])
    outlines = hv.Polygons(rows, PLACE, labels, label=name, datatype=["geodataframe"])
    dots = gv.Points(rows.set_geometry(rows.representative_point()), PLACE, labels, crs=GOOGLE_MERCATOR)
    hooks = {dot: [*frame["hooks"], seen_when(across, frame["frame_width"], dot)] for dot in (False, True)}
    style |= frame
    return [
        outlines.opts(**style | dict(fill_alpha=1.0 if look else FILL, show_legend=True, hooks=hooks[False])),
        dots.opts(**style | dict(size=DOT, hooks=hooks[True])),
    ]


def seen_when(across, width, dots):
    """A hook that shows glaciers as long as they are dots on the screen, or as long as they are not."""

    def hook(plot, element):
        x, drawn = plot.state.x_range, plot.handles["glyph_renderer"]
        known = dict(x=x, across=across.tolist(), largest=across.max(), width=width, dot=DOT, dots=dots)
        seen = CustomJSFilter(args=known, code=SEEN)
        drawn.view = CDSView(filter=seen)
        x.js_on_change("end", CustomJS(args=dict(x=x, filter=seen), code=ZOOMED))
        if dots:  # they go with their outlines, which the legend hides
            outlines = plot.state.renderers[plot.state.renderers.index(drawn) - 1]
            for each in ("visible", "muted"):
                outlines.js_link(each, drawn, each)

    return hook


def columns_of(table, color):
    """Columns that are told: ids, name, area and what is colored by, then others that say anything."""
    first = [key for key in (*ID_COLUMNS, "name", "area_km2", color) if key in table]
    others = table.columns.drop([*PLACE, table.geometry.name], errors="ignore")
    said = [key for key in dict.fromkeys([*first, *others]) if not table[key].astype(str).isin(NOTHING).all()]
    return said[:MOST_COLUMNS]


def readable(column):
    """Numbers as such, all else as text."""
    if column.dtype.kind in "iuf":
        return column.to_numpy(float, na_value=np.nan) if column.hasnans else column.to_numpy()
    return column.astype(str)


def dimension(column):
    """What a column is called on a map: `area_km2` is area (km²)."""
    ending = next((each for each in ENDINGS if str(column).endswith(each)), "")
    label = str(column).removesuffix(ending).replace("_", " ")
    return hv.Dimension((str(column), label), unit=ENDINGS.get(ending))


def colored(sets, color):
    """Options that color all tables by a column: the map, its ends and its bar."""
    for name, table in sets.items():
        if color not in table or table[color].dtype.kind not in "iuf":
            numbers = [str(key) for key in table.columns if table[key].dtype.kind in "iuf"]
            raise GlacierlabError(f"color={color!r} is no column of numbers of {name!r}: it has {numbers}.")
    values = np.concatenate([table[color].to_numpy(float, na_value=np.nan) for table in sets.values()])
    values = values[np.isfinite(values)]
    if not values.size:
        raise GlacierlabError(f"color={color!r}: no glacier has a value.")
    low, high = np.percentile(values, STRETCH)
    look = dict(cmap="cividis", logz=bool(values.min() > 0 and high / low > WIDE_RANGE))
    if low < 0 < high:
        high = max(-low, high)
        low, look["cmap"] = -high, "PuOr_r"
    return look | dict(clim=(float(low), float(max(high, low + 1e-6))), clipping_colors={"NaN": NO_VALUE})
