"""Figures of a model's map of a scene: where tiles meet, and where it is in doubt."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import GlacierlabError
from ..tables import NOT_OBSERVED, lookup
from .figures import REFERENCE, extent_km, north_up, thinning
from .fonts import legible
from .predictions import class_colors

WIDTH, PANEL = 12.0, 4.6  # inches of a figure, and of a panel at most
DOUBTS = {"entropy": 1.0, "spread": 0.5}  # the largest that each can be
UNSEEN = "#9a9a9a"


@legible
def probability_figure(predictions, name, title=""):
    """The probability of a class in several maps of one ground, side by side on one scale.

    Parameters
    ----------
    predictions : dict of str to xarray.Dataset
        Of `gl.predict`, by what they are called; parts of it, too. In a projected CRS.
    name : str
        The class.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        0 white to 1 dark, gray where not observed; axes in km from the lower left corner.

    Raises
    ------
    UnknownNameError
        A prediction has no such class.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> figure = probability_figure({"default": scene.glacier.predict("default")}, "clean_ice")
    >>> figure.axes[0].get_title()
    'default'
    """
    panels = {}
    for called, prediction in predictions.items():
        classes = prediction["class"].values.tolist()
        place = lookup({each: number for number, each in enumerate(classes)}, name, kind="class")
        panels[called] = prediction["probability"].isel({"class": place})
    figure, axes = panels_of(next(iter(panels.values())), len(panels))
    for ax, (called, layer) in zip(axes, panels.items(), strict=True):
        shown = draw_layer(ax, layer, "Blues")
        ax.set_title(called, fontsize=10)
    figure.colorbar(shown, ax=list(axes), label=f"probability of {name}", shrink=0.8, pad=0.01)
    figure.suptitle(title)
    return figure


@legible
def uncertainty_figure(prediction, truth=None):
    """A class map, each layer of doubt that it has, and its errors where the truth is known.

    Parameters
    ----------
    prediction : xarray.Dataset
        Of `gl.predict(..., uncertainty=[...])`, in a projected CRS.
    truth : xarray.DataArray, optional
        Codes (y, x) on the same grid, as of `class_map`; 255 is not known.

    Returns
    -------
    matplotlib.figure.Figure
        Doubt is the darker, the larger; errors are pink.

    Raises
    ------
    GlacierlabError
        The prediction has no layer of doubt, or the truth is of another size.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> prediction = scene.glacier.predict("default", uncertainty=["entropy"])
    >>> figure = uncertainty_figure(prediction, scene.truth)
    >>> len(figure.axes)
    4
    """
    doubts = [name for name in DOUBTS if name in prediction]
    if not doubts:
        raise GlacierlabError(
            'This prediction has no layer of doubt: ask for uncertainty=["entropy"], or "spread" of several '
            "views."
        )
    codes = prediction["class_map"]
    if truth is not None and truth.sizes != codes.sizes:
        raise GlacierlabError(f"The truth has {dict(truth.sizes)}, the map {dict(codes.sizes)}.")
    figure, axes = panels_of(codes, 1 + len(doubts) + (truth is not None))
    first, *others = axes
    colors = class_colors(codes.attrs["flag_meanings"].split())
    draw_codes(first, codes, dict(zip(codes.attrs["flag_values"], colors.values(), strict=True)))
    first.set_title("class map", fontsize=10)
    for ax, name in zip(others, doubts, strict=False):
        shown = draw_layer(ax, prediction[name], "magma_r", DOUBTS[name])
        ax.set_title(name, fontsize=10)
        figure.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.8, pad=0.01)
    handles = [Patch(facecolor=color, label=name) for name, color in colors.items()]
    if (codes == NOT_OBSERVED).any():
        handles.append(Patch(facecolor=UNSEEN, label="not observed"))
    if truth is not None:
        known = (truth != NOT_OBSERVED) & (codes != NOT_OBSERVED)
        wrong = (codes != truth).where(known, NOT_OBSERVED).astype("uint8")
        draw_codes(axes[-1], wrong, {0: "white", 1: REFERENCE})
        axes[-1].set_title("not the truth", fontsize=10)
        handles.append(Patch(facecolor=REFERENCE, label="not the truth"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=9)
    return figure


def panels_of(layer, count):
    """A figure with so many panels in the shape of a layer (y, x), axes in km on the first."""
    extent = extent_km(layer)
    side = min(PANEL, WIDTH / count)
    size = side * count + 0.4, side * extent[3] / extent[1] + 0.9
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, count, squeeze=False, sharex=True, sharey=True)[0]
    axes[0].set(xlabel="east [km]", ylabel="north [km]")
    return figure, axes


def draw_layer(ax, layer, colors, most=1.0):
    """Values (y, x) from 0 to the most, gray where there are none; what was drawn."""
    step = thinning(layer)
    values = north_up(layer.isel(y=slice(None, None, step), x=slice(None, None, step)))
    ax.set_facecolor(UNSEEN)
    return ax.imshow(values, extent=extent_km(layer), cmap=colors, vmin=0, vmax=most, interpolation="nearest")


def draw_codes(ax, codes, colors):
    """Codes (y, x) in the colors of theirs, gray where not observed."""
    step = thinning(codes)
    shown = north_up(codes.isel(y=slice(None, None, step), x=slice(None, None, step))).astype(int)
    table = np.tile(np.float32(to_rgb(UNSEEN)), (256, 1))
    for code, color in colors.items():
        table[code] = to_rgb(color)
    ax.imshow(table[shown], extent=extent_km(codes), interpolation="nearest")
