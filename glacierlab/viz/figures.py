"""Figures in matplotlib, which show in any viewer and offline."""

import itertools

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..io.layers import bounds_of
from ..tables import CLASSES
from .fonts import legible

COMPOSITES = (("swir16", "nir", "green"), ("nir", "red", "green"), ("red", "green", "blue"), ("nir", "red"))
OUTLINE, REFERENCE = "#ffd400", "#e8308a"
OUTLINES = (OUTLINE, "#ffffff", "#ff5a1f", "#8cff66")  # of several sets on one picture
MAX_SIDE = 1500  # pixels drawn a side; a larger scene is thinned


def false_color(scene, bands=None, stretch=(2, 98)):
    """A false-color picture (y, x, 3) of a scene, 0 to 1; white where there is no data.

    Parameters
    ----------
    scene : xarray.Dataset
    bands : three str, optional
        Red, green and blue of the picture; default swir16, nir, green, where ice is turquoise, or what the
        scene has.
    stretch : (low, high)
        Percentiles of each band that become black and full color.

    Returns
    -------
    numpy.ndarray
        (y, x, 3) float32, 0 to 1.

    Examples
    --------
    >>> import glacierlab as gl
    >>> picture = false_color(gl.synthetic_scene(seed=6, shape=(64, 64)))
    >>> picture.shape, bool(picture.min() >= 0 and picture.max() <= 1)
    ((64, 64, 3), True)
    """
    chosen = bands or next((c for c in COMPOSITES if all(b in scene for b in c)), tuple(scene.data_vars)[:1])
    chosen = tuple(chosen) + (chosen[-1],) * (3 - len(chosen))
    step = thinning(scene)
    picture = []
    for name in chosen:
        values = north_up(scene[name].isel(y=slice(None, None, step), x=slice(None, None, step)))
        seen = values[np.isfinite(values)]
        low, high = map(float, np.percentile(seen, stretch) if seen.size else (0, 1))  # keeps float32
        picture.append(np.clip((values - low) / max(high - low, 1e-6), 0, 1) ** 0.8)
    picture = np.stack(picture, axis=-1)
    unseen = np.isnan(picture).any(axis=-1, keepdims=True)
    return np.where(unseen, 1.0, np.minimum(picture, 0.996))  # pure white means no data alone


def north_up(band):
    """Values (y, x) float32 with north above and east to the right, however the raster lies."""
    band = band.transpose("y", "x")
    rows = slice(None, None, -1 if band.y[0] < band.y[-1] else 1)
    columns = slice(None, None, -1 if band.x[0] > band.x[-1] else 1)
    return band.isel(y=rows, x=columns).values.astype("float32")


def thinning(scene):
    """Every how manyth pixel is drawn."""
    return max(1, max(scene.sizes["y"], scene.sizes["x"]) // MAX_SIDE)


def extent_km(scene):
    """(left, right, bottom, top) of the pixels' outer edges [km] from the lower left corner, for imshow."""
    left, bottom, right, top = bounds_of(scene)
    km = scene.rio.crs.linear_units_factor[1] / 1000
    return 0, (right - left) * km, 0, (top - bottom) * km


@legible
def scene_figure(scene, outlines=None, reference=None, title="", bands=None):
    """A scene with outlines on it, axes in km from its lower left corner.

    Parameters
    ----------
    scene : xarray.Dataset
        In a projected CRS.
    outlines : geopandas.GeoDataFrame or dict of them, optional
        Mapped outlines, in any CRS; several sets by what the legend calls them.
    reference : geopandas.GeoDataFrame or dict of one, optional
        What mapped outlines are held against, in pink; a dict's key is what the legend calls it.
    title : str
    bands : three str, optional
        As in `false_color`.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> figure = scene_figure(world.scene(2020), outlines=world.outlines(2020), title="2020")
    >>> figure.axes[0].get_title(), figure.axes[0].get_xlabel()
    ('2020', 'east [km]')
    """
    extent = extent_km(scene)
    width = 9.0
    figure = Figure(figsize=(width, width * extent[3] / extent[1] * 0.94 + 0.8), layout="constrained")
    ax = figure.add_subplot()
    draw_scene(ax, scene, outlines, reference, bands)
    ax.set_title(title)
    return figure


def draw_scene(ax, scene, outlines=None, reference=None, bands=None):
    """False color, outlines and their legend on axes in km."""
    extent = extent_km(scene)
    picture = false_color(scene, bands)
    ax.imshow(picture, extent=extent, interpolation="nearest")
    mapped = outlines if isinstance(outlines, dict) else {"mapped": outlines}
    known = reference if isinstance(reference, dict) else {"reference": reference}
    colors = itertools.cycle(OUTLINES)
    legend = []
    for label, shown, color in [
        *((name, known[name], REFERENCE) for name in known),
        *((name, mapped[name], next(colors)) for name in mapped),
    ]:
        if shown is not None and len(shown):
            draw_outlines(ax, shown, scene, color)
            legend.append(Line2D([], [], color=color, linewidth=2, label=label))
    if (picture == 1).all(axis=-1).any():
        legend.insert(0, Patch(facecolor="white", edgecolor="gray", label="no data"))
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="east [km]", ylabel="north [km]")
    if legend:
        ax.legend(handles=legend[::-1], loc="upper right", facecolor="#3b3b3b", labelcolor="white")


def draw_outlines(ax, outlines, scene, color):
    """Polygon boundaries in km from the scene's lower left corner."""
    left, bottom, *_ = bounds_of(scene)
    km = scene.rio.crs.linear_units_factor[1] / 1000
    local = (
        outlines.geometry.to_crs(scene.rio.crs.to_wkt())
        .translate(-left, -bottom)
        .scale(km, km, origin=(0, 0))
    )
    local.boundary.plot(ax=ax, color=color, linewidth=1.4, aspect=None)


@legible
def threshold_figure(curve=None, areas=None, recall=None, threshold=None):
    """Scores or mapped area against the threshold.

    Parameters
    ----------
    curve : ThresholdCurve, optional
        Precision, recall and F1 are drawn, and the stable range.
    areas : pandas.Series, optional
        Mapped area [km²] by threshold, on its own axis.
    recall : pandas.Series, optional
        Recall alone by threshold, where the reference labels only part of the ice.
    threshold : float, optional
        The one that was used.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> curve = gl.best_threshold(scene.glacier.ratio("red", "swir16"), scene.truth, [1.5, 2, 3, 6, 12])
    >>> figure = threshold_figure(curve)
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['precision', 'recall', 'F1', 'best 3']
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot()
    lines = []
    if curve is not None:
        for name, color in (("precision", "#7a5195"), ("recall", "#ef5675"), ("f1", "#003f5c")):
            lines += ax.plot(curve.table[name], color=color, label={"f1": "F1"}.get(name, name), linewidth=2)
        ax.axvspan(*curve.stable, color="#003f5c", alpha=0.08)
        lines.append(ax.axvline(curve.best, color="#003f5c", linestyle=":", label=f"best {curve.best:g}"))
    elif recall is not None:
        lines += ax.plot(recall, color="#ef5675", label="recall inside the reference", linewidth=2)
    if areas is not None:
        second = ax.twinx() if lines else ax
        lines += second.plot(areas, color="#8a8a8a", linestyle="--", label="mapped area")
        second.set_ylabel("mapped area [km²]")
        second.set_ylim(0, 1.1 * float(areas.max()) or 1)
    if threshold is not None:
        lines.append(ax.axvline(threshold, color=CLASSES["clean_ice"].color, label=f"used {threshold:g}"))
    if curve is not None or recall is not None:
        ax.set_ylabel("score")
        ax.set_ylim(0, 1.02)
    ax.set_xlabel("threshold")
    ax.grid(alpha=0.3)
    figure.legend(handles=lines, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    return figure
