"""Figures of an inventory: glaciers, their divides and center lines on the shape of the land."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from ..io.layers import bounds_of
from ..io.schemas import ID_COLUMNS
from ..outlines.checking import id_column
from .figures import OUTLINE, REFERENCE, extent_km, north_up, thinning
from .fonts import as_written, is_legible, legible
from .stacks import COLORS as SERIES

WIDTH = 9.0  # inches
COLORS = SERIES[:6]  # neither the yellow of outlines nor the black of divides
DIVIDE = "#101010"
DARKEST = -120  # what would be black, of a hillshade from 1 to 255: colors show on light gray


@legible
def divides_figure(outlines, shade, lines=None, names=None, title=""):
    """Glaciers over hillshade, neighbors in other colors, the divides between them, and center lines.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Of `outlines.split_glaciers`, or any others, in any CRS. Where two share a border it is a divide.
    shade : xarray.DataArray
        Of `dem.glacier.terrain("hillshade")`, in a projected CRS; its extent is drawn.
    lines : geopandas.GeoDataFrame, optional
        Of `outlines.centerlines`; main lines are drawn thicker.
    names : str, optional
        A column whose values are written on the glaciers; ids instead where no font here has the letters.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> shade = world.scene(2020).elevation.glacier.terrain("hillshade")
    >>> figure = divides_figure(world.outlines(2020), shade, title="2020")
    >>> figure.axes[0].get_title()
    '2020'
    """
    shade = shade.sel(feature="hillshade", drop=True) if "feature" in shade.dims else shade
    step, extent = thinning(shade), extent_km(shade)
    thin = shade.isel(y=slice(None, None, step), x=slice(None, None, step))
    figure = Figure(figsize=(WIDTH, WIDTH * extent[3] / extent[1] * 0.94 + 0.9), layout="constrained")
    ax = figure.add_subplot()
    ax.imshow(north_up(thin), extent=extent, cmap="gray", vmin=DARKEST, vmax=255, interpolation="bilinear")
    legend = [*draw_glaciers(ax, in_km(outlines, shade)), *draw_lines(ax, lines, shade)]
    if names:
        shapes = in_km(outlines, shade)
        label(ax, places_on(shapes, lines, shade), legible_names(outlines, names))
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="east [km]", ylabel="north [km]", title=title)
    if legend:
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
    return figure


def draw_glaciers(ax, shapes):
    """Glaciers in color, divides and outlines on axes in km; what the legend says of them."""
    shapes = shapes[~(shapes.isna() | shapes.is_empty)]
    if not len(shapes):
        return []
    shapes.plot(ax=ax, color=colors_of(shapes), alpha=0.5, aspect=None, linewidth=0)
    whole = type(shapes)([shapes.union_all()], crs=shapes.crs)  # a GeoSeries
    legend = []
    for lines, color, width, name in [
        (shapes.boundary, DIVIDE, 1.6, "divides"),
        (whole.boundary, OUTLINE, 1.2, "outlines"),  # covers all of it but the divides
    ]:
        lines.plot(ax=ax, color=color, linewidth=width, aspect=None)
        legend.append(Line2D([], [], color=color, linewidth=2, label=name))
    return legend[::-1]


def colors_of(shapes):
    """A color for each shape, other than its neighbors' as long as there are enough."""
    one, other = shapes.sindex.query(shapes.values, predicate="intersects", sort=True)
    neighbors = np.split(other, np.searchsorted(one, np.arange(1, len(shapes))))
    chosen, used = np.full(len(shapes), -1), np.zeros(len(COLORS), int)
    for place, near in enumerate(neighbors):
        near = chosen[near]
        taken = np.bincount(near[near >= 0], minlength=len(COLORS))
        chosen[place] = np.lexsort((used, taken))[0]
        used[chosen[place]] += 1
    return [COLORS[number] for number in chosen]


def draw_lines(ax, lines, raster):
    """Center lines on axes in km; what the legend says of them."""
    if lines is None or not len(lines):
        return []
    routes, main = in_km(lines, raster), lines["is_main"].to_numpy(bool)
    for chosen, width in ((~main, 0.8), (main, 1.8)):
        if chosen.any():
            routes[chosen].plot(ax=ax, color=REFERENCE, linewidth=width, aspect=None)
    return [Line2D([], [], color=REFERENCE, linewidth=2, label="center lines")]


def legible_names(outlines, column):
    """What a column calls outlines, or their ids where no installed font has the letters."""
    ids = id_column(outlines, None, ID_COLUMNS) or column
    pairs = zip(outlines[column].astype(str), outlines[ids].astype(str), strict=True)
    return [name if is_legible(name) else other for name, other in pairs]


def places_on(shapes, lines, raster):
    """Where names of shapes stand: half-way along the main line, and within where there is none."""
    places = shapes.representative_point()
    main = lines[lines["is_main"] == 1] if lines is not None and len(lines) else []
    if len(main):
        for middle in in_km(main, raster).interpolate(0.5, normalized=True):
            for at in shapes.sindex.query(middle, predicate="within"):
                places.iloc[at] = middle
    return places


def label(ax, places, names):
    """Write names at places, on axes in km."""
    edge = [withStroke(linewidth=2.5, foreground="black")]
    for place, name in zip(places, names, strict=True):
        if place is not None and not place.is_empty:
            where = dict(fontsize=8, ha="center", va="center", clip_on=True)
            ax.text(place.x, place.y, as_written(name), color="white", path_effects=edge, **where)


def in_km(shapes, raster):
    """Geometries in km from a raster's lower left corner."""
    left, bottom, *_ = bounds_of(raster)
    km = raster.rio.crs.linear_units_factor[1] / 1000
    local = shapes.geometry.to_crs(raster.rio.crs.to_wkt())
    return local.affine_transform([km, 0, 0, km, -left * km, -bottom * km])
