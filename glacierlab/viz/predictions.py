"""Figures of what a model says: its map in the colors of the classes, and what it says against the truth."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import GlacierlabError
from ..tables import CLASSES, NOT_OBSERVED, lookup
from .figures import COMPOSITES, REFERENCE, draw_scene, extent_km, north_up, thinning
from .fonts import legible
from .stacks import COLORS, STRETCH

MAX_ROWS = 12  # patches drawn
PANEL = 1.9  # inches


@legible
def map_figure(scene, class_map, outlines=None, reference=None, title=""):
    """A scene with outlines, and beside it the map in the colors of its classes.

    Parameters
    ----------
    scene, outlines, reference, title
        As in `scene_figure`.
    class_map : xarray.DataArray
        (y, x) uint8 on the scene's grid, with CF flag attributes; 255 is white.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> figure = map_figure(scene, scene.truth, title="truth")
    >>> len(figure.axes)
    2
    """
    extent, width = extent_km(scene), 7.0
    size = 2 * width, width * extent[3] / extent[1] + 1.2
    figure = Figure(figsize=size, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    draw_scene(left, scene, outlines, reference)
    step = slice(None, None, thinning(class_map))
    codes = north_up(class_map.isel(y=step, x=step)).astype(int)
    names = class_map.attrs["flag_meanings"].split()
    shades = class_colors(names)
    colors = np.ones((256, 3), "float32")
    colors[list(class_map.attrs["flag_values"])] = [to_rgb(shades[name]) for name in names]
    right.imshow(colors[codes], extent=extent, interpolation="nearest")
    right.set(xlim=extent[:2], ylim=extent[2:], xlabel="east [km]")
    handles = [Patch(facecolor=shade, label=name.replace("_", " ")) for name, shade in shades.items()]
    if (codes == NOT_OBSERVED).any():
        handles.append(Patch(facecolor="white", edgecolor="gray", label="not observed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title)
    return figure


@legible
def confusion_figure(matrix, classes):
    """What the pixels of each class were taken for: shares of the actual class, row by row.

    Parameters
    ----------
    matrix : array_like of int
        Pixels (K, K) [actual, predicted].
    classes : sequence of str
        Their K names in order.

    Returns
    -------
    matplotlib.figure.Figure
        Shares in percent, each row together 100; beside the names the pixels of each actual class. The row of
        a class that no pixel has is gray.

    Raises
    ------
    GlacierlabError
        The matrix does not fit the classes.

    Examples
    --------
    >>> figure = confusion_figure([[90, 10], [5, 45]], ["background", "glacier"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['90.0', '10.0', '10.0', '90.0']
    """
    matrix, count = np.asarray(matrix), len(classes)
    if matrix.shape != (count, count):
        raise GlacierlabError(
            f"A confusion matrix of {list(classes)} is ({count}, {count}), and this one is {matrix.shape}: "
            "sum confusions over patches first (confusions.sum(axis=0))."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    figure = Figure(figsize=(2.2 + 0.95 * count, 1.5 + 0.65 * count), layout="constrained")
    ax = figure.add_subplot()
    blues = colormaps["Blues"].with_extremes(bad="#e3e3e3")
    ax.imshow(shares, cmap=blues, vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            color = "white" if share > 0.5 else "black"
            ax.text(column, row, percent(share), ha="center", va="center", color=color)
    ax.set_xticks(range(count), classes, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(
        range(count), [f"{name}\n{total:,} px" for name, total in zip(classes, totals[:, 0], strict=True)]
    )
    ax.set(xlabel="predicted", ylabel="actual", title="percent of the actual class")
    return figure


def percent(share):
    """A share in percent, which is 0 or 100 only where it is exactly so."""
    if 0 < share < 0.0005 or 0.9995 <= share < 1:
        return "< 0.1" if share < 0.5 else "> 99.9"
    return f"{100 * share:.1f}" if 0 < share < 1 else f"{100 * share:.0f}"


@legible
def prediction_figure(images, labels, predicted, features, classes, names=None):
    """Patches in rows: false color, label, prediction, and where the two differ.

    Parameters
    ----------
    images : array_like of float
        (N, C, H, W); the first 12 are drawn.
    labels, predicted : array_like of int
        (N, H, W), places in `classes`; 255 is not observed.
    features, classes : sequence of str
        Names of the C features and of the classes, as of the `PatchSet`.
    names : three str, optional
        Features that become red, green and blue; by default swir16, nir, green, or what there is.

    Returns
    -------
    matplotlib.figure.Figure
        One stretch for all patches, from the 2nd to the 98th percentile of each feature. What is not
        observed is white, and not compared where it has no label.

    Raises
    ------
    GlacierlabError
        Shapes do not go together, or a label is none of the classes.
    UnknownNameError
        A name is none of the features.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((2, 2, 8, 8))
    >>> labels = np.zeros((2, 8, 8), dtype=int)
    >>> figure = prediction_figure(images, labels, labels, ["red", "swir16"], ["background", "glacier"])
    >>> len(figure.axes)
    8
    """
    images, labels, predicted = (np.asarray(each)[:MAX_ROWS] for each in (images, labels, predicted))
    require_patches(images, labels, predicted, features, classes)
    labels, predicted = labels.astype(int), predicted.astype(int)
    chosen = names or next((c for c in COMPOSITES if set(c) <= set(features)), tuple(features)[:3])
    chosen = tuple(chosen) + (chosen[-1],) * (3 - len(chosen))
    place_of = {name: place for place, name in enumerate(features)}
    pictures = stretched(images[:, [lookup(place_of, name, kind="feature") for name in chosen]])
    colors = np.ones((256, 3), "float32")
    colors[: len(classes)] = [to_rgb(color) for color in class_colors(classes).values()]
    known, wrong = labels != NOT_OBSERVED, labels != predicted
    gray = np.repeat(0.4 + 0.55 * pictures.mean(axis=-1, keepdims=True), 3, axis=-1)
    differ = np.where(wrong[..., None], to_rgb(REFERENCE), gray)
    differ = np.where(known[..., None], differ, 1.0)
    columns = {", ".join(chosen): pictures, "label": colors[labels], "prediction": colors[predicted]}
    columns["where they differ"] = differ
    figure = Figure(figsize=(PANEL * len(columns), PANEL * len(images) + 0.8), layout="constrained")
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for panels, (title, shown) in zip(axes.T, columns.items(), strict=True):
        panels[0].set_title(title, fontsize=9)
        for ax, picture in zip(panels, shown, strict=True):
            ax.imshow(picture, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
    handles = [Patch(facecolor=color, label=name) for name, color in class_colors(classes).items()]
    if NOT_OBSERVED in labels or NOT_OBSERVED in predicted:
        handles.append(Patch(facecolor="white", edgecolor="gray", label="not observed"))
    handles.append(Patch(facecolor=REFERENCE, label="differs"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def require_patches(images, labels, predicted, features, classes):
    """GlacierlabError unless images, labels and predictions belong together and hold known classes."""
    shape = (len(images), len(features), *images.shape[2:])
    if images.ndim != 4 or images.shape != shape or not images.size:
        raise GlacierlabError(
            f"images are {images.shape}: give one patch or more, (N, C, H, W), of {list(features)}."
        )
    for what, values in dict(labels=labels, predicted=predicted).items():
        if values.shape != (len(images), *images.shape[2:]):
            raise GlacierlabError(
                f"{what} are {values.shape}, but images {images.shape} ask for (N, H, W): a class a pixel."
            )
        if extra := set(np.unique(values).tolist()) - {*range(len(classes)), NOT_OBSERVED}:
            raise GlacierlabError(
                f"{what} hold {sorted(extra)[:5]}, which are no places in {list(classes)}, nor 255."
            )


def stretched(images):
    """Pictures (N, H, W, 3), 0 to 1, of images (N, 3, H, W); white where a value is missing."""
    low, high = np.nanpercentile(images, STRETCH, axis=(0, 2, 3), keepdims=True)
    pictures = np.moveaxis(np.clip((images - low) / np.maximum(high - low, 1e-6), 0, 1) ** 0.8, 1, -1)
    return np.where(np.isnan(pictures).any(axis=-1, keepdims=True), 1.0, pictures)


def class_colors(classes):
    """Color of each class: of the package's maps, or else one that is free."""
    free = iter([*COLORS, *COLORS])
    return {name: CLASSES[name].color if name in CLASSES else next(free) for name in classes}
