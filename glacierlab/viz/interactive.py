"""A scene and its outlines to pan and zoom in, by HoloViews, offline."""

import itertools
import re
from dataclasses import dataclass

import holoviews as hv
import numpy as np
import shapely
import xarray as xr

from ..errors import GlacierlabError, GridError, require_bands, require_outlines
from ..features.recipe import stack
from ..features.stacking import require_pixels
from ..io.layers import bounds_of, require_crs
from ..io.radiometry import FLAGS
from ..io.write import write_text
from ..tables import NOT_OBSERVED
from .figures import COMPOSITES, OUTLINES
from .predictions import class_colors

FALSE_COLOR, TRUE_COLOR = "false color", "true color"
SIDE = 800  # pixels that are drawn of the longer side of what is seen
OVERVIEW = 2048  # pixels of the longer side that are kept in memory; what is seen closer is read again
STRETCH = (2, 98)  # percentiles of the overview that become the ends of the colors
GAMMA = 0.8  # of composites, as in `false_color`
FILL = 0.15  # of outlines, so that the ground is seen
MOST_COLUMNS = 12  # of outlines, under the pointer
FETCHED = re.compile(  # what Panel adds to every page once it is loaded, of its own server or of another
    r'^\s*(<script [^<>]*\bsrc="[^"]*"></script>|<link [^<>]*\bhref="[^<>]*>)\n', re.MULTILINE
)
TOOLS = ["pan", "wheel_zoom", "box_zoom", "save", "reset"]
LEGEND = dict(legend_position="bottom_left", click_policy="hide", legend_opts={"background_fill_alpha": 0.7})


@dataclass(frozen=True)
class Sheet:
    """A layer (y, x) of any size, and what is seen of it from afar; `codes` are of a class map."""

    values: xr.DataArray
    overview: xr.DataArray
    codes: bool = False

    @classmethod
    def of(cls, values):
        """That of a layer, read once; rows from south to north."""
        values = values.transpose("y", "x").sortby(["y", "x"])  # does nothing where it is so
        codes = "flag_values" in values.attrs
        return cls(values, thinned(values, OVERVIEW, codes).compute(), codes)

    def seen(self, x_range, y_range):
        """What lies within ranges of the CRS, (y, x), float32, in about `SIDE` pixels; NaN without data."""
        per_pixel = max(abs(high - low) for low, high in (x_range, y_range)) / SIDE
        afar = 2 * per_pixel >= step_of(self.overview)
        source = self.overview if afar else self.values
        half = 0.51 * step_of(source)
        x, y = (slice(low - half, high + half) for low, high in (x_range, y_range))
        window = thinned(source.sel(x=x, y=y), SIDE, self.codes).compute()
        return window.where(window != NOT_OBSERVED) if self.codes else window


def step_of(raster):
    """Pixel width in units of the CRS."""
    return abs(float(raster.x[-1] - raster.x[0])) / max(raster.sizes["x"] - 1, 1)


def thinned(values, side, codes):
    """A raster (y, x) of `side` to twice as many pixels at most: means, or every nth of codes."""
    step = max(1, max(values.shape) // side)
    if step == 1:
        return values if codes else values.astype("float32")
    if codes:
        return values.isel(y=slice(step // 2, None, step), x=slice(step // 2, None, step))
    few = {dim: min(step, values.sizes[dim]) for dim in ("y", "x")}
    return values.coarsen(few, boundary="trim").mean(keep_attrs=True).astype("float32")


def explore(scene, outlines=None, layers=(FALSE_COLOR,), *, width=620):
    """A scene to pan and zoom in, with outlines that say what they are under the pointer.

    What is seen is read and averaged anew with every move where Python runs, in a notebook or an app;
    `write_page` keeps it as a page without. Axes are in the scene's CRS, and nothing is downloaded.
    `gl.apps.inspect` does more: it measures, edits and signs.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x), in a projected CRS. One that is lazy is read once for the overview and is never held whole.
    outlines : geopandas.GeoDataFrame or dict of them, optional
        In any CRS; several sets by what the legend calls them. Those of several classes bear their colors.
    layers : sequence of str or xarray.DataArray
        What lies side by side, moving together: "false color", "true color", any layer that
        `scene.glacier.stack` knows and that is one feature; or a raster of your own in the same CRS, such as
        `prediction["class_map"]`.
    width : int
        Of each map [px of the screen].

    Returns
    -------
    holoviews.Overlay, holoviews.DynamicMap or holoviews.Layout

    Raises
    ------
    GridError
        The scene has several dates, no CRS or one in degrees.
    UnknownNameError, MissingBandError
        As `scene.glacier.stack` does.
    GlacierlabError
        There is no layer, or one has several features.
    MissingExtraError
        HoloViews is not installed.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    >>> glaciers = scene.glacier.map_glaciers().glacier.outlines()
    >>> view = gl.viz.explore(scene, glaciers, ["false color", "ndsi"])
    >>> len(view)
    2
    """
    require_pixels(scene)
    crs = require_crs(scene, "A map")
    if crs.is_geographic:
        raise GridError(f"{crs.to_string()} is in degrees: reproject to meters (scene.rio.reproject(...)).")
    asked = [layers] if isinstance(layers, str | xr.DataArray) else list(layers)
    if not asked:
        raise GlacierlabError("layers=[]: name one or more, such as 'false color'.")
    if not hv.Store.loaded_backends():
        hv.extension("bokeh", inline=True)  # scripts within the notebook: none is fetched
    bounds = bounds_of(scene)
    left, bottom, right, top = bounds
    shapes = shapes_of(outlines, crs, bounds)
    height = int(width * np.clip((top - bottom) / (right - left), 0.3, 1.6))
    about = dict(
        frame_width=width, frame_height=height, xlim=(left, right), ylim=(bottom, top), xlabel="east [m]",
        ylabel="north [m]", active_tools=["pan", "wheel_zoom"], default_tools=TOOLS, hooks=[as_numbers],
        show_legend=True,
    )  # fmt: skip
    maps = []
    for each in asked:
        title, view = map_of(scene, each, bounds)
        maps.append(
            hv.Overlay([view, *shapes]).collate().opts(hv.opts.Overlay(title=title, **about, **LEGEND))
        )
    return maps[0] if len(maps) == 1 else hv.Layout(maps).cols(2)


def write_page(view, path):
    """Keep a view as one page of HTML that needs neither Python nor a network, whole or not at all.

    It shows what the view shows at first: the whole scene, in up to 800 pixels a side, to zoom and pan in.

    Parameters
    ----------
    view : holoviews object
        Of `explore` or `explore_inventory`.
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    WriteError

    Examples
    --------
    >>> import tempfile, glacierlab as gl
    >>> view = gl.viz.explore(gl.synthetic_scene(seed=1, shape=(48, 48)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gl.viz.write_page(view, f"{folder}/map.html").suffix
    '.html'
    """
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    drawn = hv.render(view, backend="bokeh")  # not by holoviews.save, whose pages ask a server for styles
    page = file_html(drawn, INLINE, "glacierlab", suppress_callback_warning=True)
    return write_text(FETCHED.sub("", page), path)


def as_numbers(plot, element):
    """A hook: coordinates are written out."""
    for axis in (*plot.state.xaxis, *plot.state.yaxis):
        axis.formatter.use_scientific = False
    plot.state.sizing_mode = None  # of a frame whose size is given, Bokeh warns of "fixed"


def map_of(scene, asked, bounds):
    """The title of a layer, and a view of it that is drawn anew with every move."""
    title, sheets = sheets_of(scene, asked)
    ends = [ends_of(sheet) for sheet in sheets]
    left, bottom, right, top = bounds

    def draw(x_range, y_range):
        x_range = within(x_range, left, right)
        y_range = within(y_range, bottom, top)
        bands = [sheet.seen(x_range, y_range) for sheet in sheets]
        place = bands[0]["x"].values, bands[0]["y"].values
        bands = [band.values for band in bands]
        if len(bands) == 3:
            return hv.RGB((*place, *composed(bands, ends)), vdims=list("RGBA"))
        return hv.Image((*place, bands[0]), vdims=[title])

    view = hv.DynamicMap(draw, streams=[hv.streams.RangeXY()])
    if len(sheets) == 3:
        return title, view
    return title, view.opts(hv.opts.Image(**colors_of(sheets[0], ends[0])))


def within(seen, low, high):
    """A range of the scene: what is seen of it; all of it at first, and where nothing is."""
    first, last = sorted(seen) if seen else (low, high)
    first, last = max(low, first), min(high, last)
    return (first, last) if first < last else (low, high)


def sheets_of(scene, asked):
    """The title of a layer, and the sheets that it is drawn from: three of a composite, else one."""
    if isinstance(asked, xr.DataArray):
        require_pixels(asked.to_dataset(name="layer"))
        return str(asked.name or "layer"), [Sheet.of(asked)]
    composites = {FALSE_COLOR: COMPOSITES[0], TRUE_COLOR: COMPOSITES[2]}
    if asked == FALSE_COLOR:
        composites[asked] = next((c for c in COMPOSITES if all(name in scene for name in c)), COMPOSITES[0])
    if asked in composites:
        names = (*composites[asked], composites[asked][-1])[:3]
        return f"{asked}: {', '.join(names)}", [
            Sheet.of(band) for band in require_bands(scene, names, asked).values()
        ]
    if asked in scene and asked in FLAGS:
        return asked, [Sheet.of(scene[asked])]
    made = stack(scene, [asked])
    if made.sizes["feature"] != 1:
        raise GlacierlabError(
            f"{asked!r} is {made.sizes['feature']} features, and a map shows one: name one of "
            f"{made['feature'].values.tolist()}, or give scene.glacier.stack([{asked!r}]).isel(feature=0)."
        )
    return asked, [Sheet.of(made.isel(feature=0, drop=True))]


# ---- colors ----


def ends_of(sheet):
    """Low and high end of the colors of a sheet."""
    seen = sheet.overview.values[np.isfinite(sheet.overview.values)]
    low, high = np.percentile(seen, STRETCH) if seen.size else (0, 1)
    return float(low), float(max(high, low + 1e-6))


def composed(bands, ends):
    """Red, green, blue and alpha (y, x) uint8 of three bands; clear where there is no data."""
    bands = [
        np.clip((band - low) / (high - low), 0, 1) ** GAMMA
        for band, (low, high) in zip(bands, ends, strict=True)
    ]
    clear = np.isnan(bands).any(axis=0)
    return [np.where(clear, 0, 255 * band).astype(np.uint8) for band in (*bands, np.ones_like(bands[0]))]


def colors_of(sheet, ends):
    """Options of a layer of one feature: its colors and their bar."""
    if not sheet.codes:
        return dict(
            cmap="cividis",
            clim=ends,
            colorbar=True,
            tools=["hover"],
            clabel=sheet.values.attrs.get("units", ""),
        )
    codes = np.atleast_1d(sheet.values.attrs["flag_values"]).tolist()
    names = class_colors(sheet.values.attrs["flag_meanings"].split())
    table = dict(zip(codes, names.values(), strict=True))
    colors = [table.get(code, "#ffffff") for code in range(max(codes) + 1)]
    ticks = [(code, name) for code, name in zip(codes, names, strict=True)]
    return dict(
        cmap=colors, clim=(-0.5, max(codes) + 0.5), colorbar=True, cticks=ticks, clabel="", tools=["hover"]
    )


# ---- outlines ----


def shapes_of(outlines, crs, bounds):
    """Polygons of each set of outlines, and of each class where there are several, that the scene holds."""
    sets = outlines if isinstance(outlines, dict) else {"outlines": outlines}
    shapes = []
    for (name, table), color in zip(sets.items(), itertools.cycle(OUTLINES)):
        if table is None:
            continue
        require_outlines(table, "A map")
        table = table.to_crs(crs.to_wkt())
        table = table[table.intersects(shapely.box(*bounds))].reset_index(drop=True)
        several = "class" in table and table["class"].nunique() > 1
        parts = dict(tuple(table.groupby("class"))) if several else {name: table}
        colors = class_colors(parts) if several else {name: color}
        for part, rows in parts.items():
            if len(rows):
                shapes.append(polygons(rows, str(part), colors[part]))
    return shapes


def polygons(table, name, color):
    """Outlines of one color; what their columns say is shown under the pointer."""
    parts = table.explode(ignore_index=True)
    parts = parts[parts.geom_type == "Polygon"]
    told = {
        str(column): parts[column] if parts[column].dtype.kind in "ifu" else parts[column].astype(str)
        for column in list(parts.columns.drop(parts.geometry.name))[:MOST_COLUMNS]
    }
    paths = [
        {
            "x": shapely.get_coordinates(shape.exterior)[:, 0],
            "y": shapely.get_coordinates(shape.exterior)[:, 1],
        }
        | {"holes": [[shapely.get_coordinates(ring) for ring in shape.interiors]]}
        | {column: values.iloc[row] for column, values in told.items()}
        for row, shape in enumerate(parts.geometry)
    ]
    return hv.Polygons(paths, vdims=list(told), label=name).opts(
        line_color=color, fill_color=color, fill_alpha=FILL, line_width=1.5, tools=["hover"], show_legend=True
    )
