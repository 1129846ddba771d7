"""A scene and its outlines to pan and zoom in, by HoloViews, GeoViews and datashader; nothing is downloaded."""

import itertools
from dataclasses import dataclass

import numpy as np
import shapely
import xarray as xr

from ..errors import GlacierlabError, GridError, extras, require_bands, require_outlines
from ..features.recipe import stack
from ..features.stacking import require_pixels
from ..io.layers import bounds_of, require_crs
from ..io.radiometry import FLAGS
from ..io.write import write_text
from ..tables import NOT_OBSERVED
from .figures import COMPOSITES, OUTLINES
from .predictions import class_colors

with extras("glacierlab.viz.explore"):
    import datashader
    import geoviews as gv
    import holoviews as hv
    from cartopy import crs as ccrs

FALSE_COLOR, TRUE_COLOR = "false color", "true color"
SIDE = 800  # pixels that are drawn of the longer side of what is seen
OVERVIEW = 2048  # pixels of the longer side that are kept in memory; what is seen closer is read again
STRETCH = (2, 98)  # percentiles of the overview that become the ends of the colors
GAMMA = 0.8  # of composites, as in `false_color`
FILL = 0.15  # of outlines, so that the ground is seen
MOST_COLUMNS = 12  # of outlines, under the pointer
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
        """That of a layer, read once; north above and east to the right."""
        values = values.transpose("y", "x").sortby("x")  # does nothing where it is so
        values = values.sortby("y", ascending=False)
        codes, step = "flag_values" in values.attrs, max(1, -(-max(values.shape) // OVERVIEW))
        if step == 1 or codes:
            return cls(
                values, values.isel(y=slice(None, None, step), x=slice(None, None, step)).compute(), codes
            )
        means = values.coarsen(y=step, x=step, boundary="pad").mean(keep_attrs=True).astype("float32")
        return cls(values, means.compute(), codes)

    def seen(self, x_range, y_range, shape):
        """What lies within ranges of the CRS, (y, x) of a shape from south to north, the mean of each pixel."""
        per_pixel = (x_range[1] - x_range[0]) / shape[1]
        coarse = per_pixel >= abs(float(self.overview.x[1] - self.overview.x[0]))
        source = self.overview if coarse else self.values
        margin = 2 * abs(float(source.x[1] - source.x[0]))
        window = source.sel(
            x=slice(x_range[0] - margin, x_range[1] + margin),
            y=slice(y_range[1] + margin, y_range[0] - margin),
        )
        if min(window.shape) < 2:
            return np.full(shape, np.nan, np.float32)
        canvas = datashader.Canvas(shape[1], shape[0], x_range, y_range)
        window = window.compute().astype("float32")
        if self.codes:
            window = window.where(window != NOT_OBSERVED)
        how = "first" if self.codes else "mean"
        return canvas.raster(window, agg=how, interpolate="nearest").sortby("y").values


def explore(scene, outlines=None, layers=(FALSE_COLOR,), *, width=620):
    """A scene to pan and zoom in, with outlines that say what they are under the pointer.

    What is seen is read and averaged anew with every move where Python runs, in a notebook or an app;
    `write_page` keeps it as a page without. Axes are in the scene's CRS, and nothing is downloaded; elements
    of GeoViews in other CRS may lie on it. `gl.apps.inspect` does more: it measures, edits and signs.

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
        HoloViews, GeoViews or datashader is not installed.

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
    projection = projection_of(crs, bounds)
    shapes = shapes_of(outlines, projection, crs, bounds)
    height = int(width * np.clip((top - bottom) / (right - left), 0.3, 1.6))
    about = dict(
        frame_width=width, frame_height=height, projection=projection, xlim=(left, right), ylim=(bottom, top),
        active_tools=["pan", "wheel_zoom"], default_tools=TOOLS, hooks=[with_axes], show_legend=True,
    )  # fmt: skip
    maps = []
    for each in asked:
        title, view = map_of(scene, each, projection, bounds)
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
        Of `explore`.
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    WriteError
    """
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    drawn = hv.render(view, backend="bokeh")  # not by holoviews.save, whose pages ask a server for styles
    return write_text(file_html(drawn, INLINE, "glacierlab", suppress_callback_warning=True), path)


def with_axes(plot, element):
    """A hook: axes in meters, which GeoViews hides in every projection but two."""
    for axis, label in ((plot.state.xaxis, "east [m]"), (plot.state.yaxis, "north [m]")):
        axis.visible = True
        axis.axis_label = label
        for each in axis:
            each.formatter.use_scientific = False
    plot.state.sizing_mode = None  # of a frame whose size is given, Bokeh warns of "fixed"


def projection_of(crs, bounds):
    """The CRS as cartopy has it, from the code or the text of it alone."""
    code = crs.to_epsg()
    if code:
        return ccrs.epsg(code)
    projection = ccrs.Projection(crs.to_wkt())
    left, bottom, right, top = bounds
    projection.bounds = left, right, bottom, top
    return projection


def map_of(scene, asked, projection, bounds):
    """The title of a layer, and a view of it that is drawn anew with every move."""
    title, sheets = sheets_of(scene, asked)
    ends = [ends_of(sheet) for sheet in sheets]
    left, bottom, right, top = bounds

    def draw(x_range, y_range):
        x_range, y_range = x_range or (left, right), y_range or (bottom, top)
        x_range = max(left, min(x_range)), min(right, max(x_range))
        y_range = max(bottom, min(y_range)), min(top, max(y_range))
        if not (x_range[0] < x_range[1] and y_range[0] < y_range[1]):  # nothing of the scene is seen
            x_range, y_range = (left, right), (bottom, top)
        width, height = x_range[1] - x_range[0], y_range[1] - y_range[0]
        shape = tuple(max(2, round(SIDE * side / max(width, height))) for side in (height, width))
        bands = [sheet.seen(x_range, y_range, shape) for sheet in sheets]
        x, y = (np.linspace(low, high, 2 * n + 1)[1::2] for (low, high), n in
                zip((x_range, y_range), shape[::-1], strict=True))  # fmt: skip
        if len(bands) == 3:
            return gv.RGB((x, y, *composed(bands, ends)), vdims=list("RGBA"), crs=projection)
        return gv.Image((x, y, bands[0]), vdims=[title], crs=projection)

    view = hv.DynamicMap(draw, streams=[hv.streams.RangeXY()])
    return title, view if len(sheets) == 3 else view.opts(
        gv.opts.Image(**colors_of(sheets[0], title, ends[0]))
    )


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


def colors_of(sheet, title, ends):
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
    return dict(cmap=colors, clim=(-0.5, max(codes) + 0.5), colorbar=True, cticks=ticks, tools=["hover"])


# ---- outlines ----


def shapes_of(outlines, projection, crs, bounds):
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
                shapes.append(polygons(rows, str(part), colors[part], projection))
    return shapes


def polygons(table, name, color, projection):
    """Outlines of one color; what their columns say is shown under the pointer."""
    table = table.rename(columns={column: str(column) for column in table.columns})
    shown = [column for column in table.columns if column != table.geometry.name][:MOST_COLUMNS]
    table = table[[*shown, table.geometry.name]]
    for column in shown:
        if table[column].dtype.kind not in "ifu":
            table[column] = table[column].astype(str)
    return gv.Polygons(table, vdims=shown, crs=projection, label=name).opts(
        line_color=color, fill_color=color, fill_alpha=FILL, line_width=1.5, tools=["hover"], show_legend=True
    )
