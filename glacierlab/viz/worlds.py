"""Figures of made worlds, and of how what is made compares with what is real."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .figures import OUTLINE, REFERENCE, draw_outlines, extent_km, false_color
from .fonts import legible
from .stacks import COLORS

PANEL = 4.2  # inches


@legible
def world_figure(world, years=None, columns=3, title="", **view):
    """A made world through the years, with the outlines of each year and of the first.

    Parameters
    ----------
    world : World
        As `synthetic_world` makes it.
    years : sequence of int, optional
        Of the world's; default all.
    columns : int
        Pictures side by side.
    title : str
    **view
        Of `World.scene`, such as `date` and `sensor`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel a year, axes in km from the lower left corner, with the glaciers' area [km²] above.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> figure = world_figure(world, columns=2)
    >>> [ax.get_title().split(",")[0] for ax in figure.axes]
    ['1990: 1.2 km²', '2020: 0.9 km²']
    """
    years = world.years if years is None else years
    first = world.outlines(years[0])
    columns = min(columns, len(years))
    rows = -(-len(years) // columns)
    height = (PANEL * world.shape[0] / world.shape[1] + 0.35) * rows + 1.0
    figure = Figure(figsize=(PANEL * columns + 0.4, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for number, (year, ax) in enumerate(zip(years, axes, strict=False)):
        scene, outlines = world.scene(year, **view), world.outlines(year)
        extent = extent_km(scene)
        ax.imshow(false_color(scene), extent=extent, interpolation="nearest")
        draw_outlines(ax, first, scene, REFERENCE)
        if year != years[0]:
            draw_outlines(ax, outlines, scene, OUTLINE)
        ax.set(xlim=extent[:2], ylim=extent[2:])
        ax.set_xlabel("east [km]", fontsize=10)  # geopandas wrote its own
        ax.set_ylabel("north [km]", fontsize=10)
        ax.label_outer()
        if number + columns >= len(years):  # nothing is drawn below
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("east [km]", fontsize=10)
        ax.set_title(f"{year}: {outlines.area_km2.sum():.1f} km²", fontsize=10)
    for ax in axes:  # what is left of the last row
        ax.set_axis_off()
    if title:
        figure.suptitle(title)
    lines = [Line2D([], [], color=REFERENCE, linewidth=2, label=str(years[0]))]
    if len(years) > 1:
        lines.append(Line2D([], [], color=OUTLINE, linewidth=2, label="of the year"))
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=9)
    return figure


@legible
def histogram_figure(panels, columns=4, bins=50):
    """How values of several origins are distributed, side by side.

    Parameters
    ----------
    panels : dict of dict of array_like
        Title of a panel → name of an origin, such as "real" and "made" → values; NaN is left out. The first
        origin is filled, the others are lines.
    columns : int
        Panels side by side.
    bins : int

    Returns
    -------
    matplotlib.figure.Figure
        Densities over the middle 99 % of all the values in a panel.

    Examples
    --------
    >>> import numpy as np
    >>> panels = {"red": {"one": np.linspace(0, 1, 200), "other": np.linspace(0.5, 1, 200)}}
    >>> figure = histogram_figure(panels, columns=1)
    >>> figure.axes[0].get_title()
    'red'
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.4 * columns, 1.7 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    names = list(dict.fromkeys(name for origins in panels.values() for name in origins))
    colors = dict(zip(names, COLORS, strict=False))
    for (title, origins), ax in zip(panels.items(), axes, strict=False):
        values = {name: seen(of_name) for name, of_name in origins.items()}
        edges = np.linspace(*np.percentile(np.concatenate(list(values.values())), (0.5, 99.5)), bins + 1)
        for name, of_name in values.items():
            style = {"histtype": "stepfilled", "alpha": 0.35} if name == names[0] else {"histtype": "step"}
            ax.hist(of_name, edges, density=True, color=colors[name], linewidth=1.5, label=name, **style)
        ax.set_title(title, fontsize=9)
        ax.set_yticks([])
        ax.tick_params(labelsize=8)
    for ax in axes:  # what is left of the last row
        ax.set_axis_off()
    handles = [Line2D([], [], color=colors[name], linewidth=3, label=name) for name in names[1:]]
    handles.insert(0, Patch(facecolor=colors[names[0]], alpha=0.35, label=names[0]))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), fontsize=9)
    return figure


def seen(values):
    """What is finite, as one row."""
    values = np.ravel(values)
    return values[np.isfinite(values)]
