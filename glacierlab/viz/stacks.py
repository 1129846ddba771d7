"""Figures of stacks: every feature as a picture, what components are made of, what tells two kinds apart."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .figures import REFERENCE, extent_km, north_up, thinning
from .fonts import legible

STRETCH = (2, 98)  # percentiles that become the ends of the color scale
PANEL = 2.6  # inches
# Okabe and Ito 2008, which color-blind readers can tell apart
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999")


@legible
def stack_figure(stack, columns=4, title="", mask=None):
    """Every feature of a stack as a small picture, north above, with its own color scale.

    Parameters
    ----------
    stack : xarray.DataArray
        (feature, y, x) in a projected CRS.
    columns : int
        Pictures side by side.
    title : str
    mask : xarray.DataArray, optional
        (y, x) of bool on the same grid; its border is drawn on every picture.

    Returns
    -------
    matplotlib.figure.Figure
        Gray for values, blue to red around 0 for features of both signs; sand where there is no data. Numbers
        under a name are the ends of its color scale, its 2nd and 98th percentile.

    Examples
    --------
    >>> import glacierlab as gl
    >>> stack = gl.synthetic_scene(seed=6, shape=(64, 64)).glacier.stack(["red", "ndsi", "slope"])
    >>> figure = stack_figure(stack, columns=3)
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes]
    ['red', 'ndsi', 'slope']
    """
    columns = min(columns, stack.sizes["feature"])
    rows = -(-stack.sizes["feature"] // columns)
    extent = extent_km(stack)
    height = (PANEL * extent[3] / extent[1] + 0.35) * rows + 0.4 * bool(title)
    figure = Figure(figsize=(PANEL * columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    thinned = dict.fromkeys(("y", "x"), slice(None, None, thinning(stack)))
    border = None if mask is None else north_up(mask.isel(thinned))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, feature in zip(axes.flat, stack.isel(thinned), strict=False):
        values = north_up(feature)
        name, (cmap, low, high) = feature.feature.item(), color_scale(values)
        ax.imshow(values, extent=extent, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
        if border is not None:
            ax.contour(border[::-1], [0.5], extent=extent, colors=REFERENCE, linewidths=1)
        ax.set_title(f"{name}\n{short(low)} … {short(high)}", fontsize=8, linespacing=1.4)
    figure.suptitle(title)
    return figure


def color_scale(values):
    """Color map and its ends for values (y, x): diverging around 0 where both signs are common."""
    import matplotlib

    seen = values[np.isfinite(values)]
    low, high = np.percentile(seen, STRETCH) if seen.size else (0.0, 1.0)
    signed = low < 0 < high and min(-low, high) > 0.1 * max(-low, high)
    cmap = matplotlib.colormaps["RdBu_r" if signed else "gray"].with_extremes(bad="#e3cf9b")
    if signed:
        high = max(-low, high)
        low = -high
    return cmap, low, high if high > low else low + 1


def short(number):
    """A number as a short text without a power of ten, where it can be."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.2g}"


@legible
def loadings_figure(pca):
    """What each principal component is made of: its loadings as a table of colors and numbers.

    Parameters
    ----------
    pca : features.PCA

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> stack = gl.synthetic_scene(seed=6, shape=(64, 64)).glacier.stack(["green", "red", "nir", "swir16"])
    >>> figure = loadings_figure(gl.features.PCA.fit(stack, 2))
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['green', 'red', 'nir', 'swir16']
    """
    loadings = np.array(pca.loadings)
    shares = pca.explained_variance_ratio
    size = (1.6 + 0.75 * len(pca.features), 1.0 + 0.5 * len(loadings))
    figure = Figure(figsize=size, layout="constrained")
    ax = figure.add_subplot()
    ax.imshow(loadings, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(loadings):
        color = "white" if abs(value) > 0.6 else "black"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=color)
    ax.set_xticks(range(len(pca.features)), pca.features)
    labels = [f"pc{i} ({share:.1%})" for i, share in enumerate(shares, 1)]
    ax.set_yticks(range(len(loadings)), labels)
    ax.set_xlabel("loading of each band; in brackets the share of the variance")
    return figure


@legible
def separation_figure(separation, groups):
    """How well each feature alone tells two kinds of ground apart, as bars, the best above.

    Parameters
    ----------
    separation : pandas.Series
        By feature, from 0.5 (not at all) to 1, as `teach.separation` gives it.
    groups : dict of list of str
        Features by group, as `Recipe.groups`; each group has its color.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import pandas as pd
    >>> separation = pd.Series({"red": 0.7, "swir16": 0.8, "ndsi": 0.95})
    >>> figure = separation_figure(separation, {"bands": ["red", "swir16"], "indices": ["ndsi"]})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['red', 'swir16', 'ndsi']
    """
    ordered = separation.sort_values()
    group_of = {feature: group for group, features in groups.items() for feature in features}
    color_of = dict(zip(groups, COLORS, strict=False))
    figure = Figure(figsize=(7, 0.8 + 0.2 * len(ordered)), layout="constrained")
    ax = figure.add_subplot()
    bars = ax.barh(
        ordered.index, ordered - 0.5, left=0.5, color=[color_of[group_of[f]] for f in ordered.index]
    )
    ax.bar_label(bars, [f"{value:.2f}" for value in ordered], padding=3, fontsize=8)
    ax.set(xlim=(0.5, 1.03), ylim=(-0.6, len(ordered) - 0.4), xlabel="separation: 0.5 a coin, 1 perfect")
    ax.tick_params(axis="y", labelsize=8)
    ax.legend(handles=[Patch(color=c, label=g) for g, c in color_of.items()], loc="lower right", fontsize=8)
    return figure
