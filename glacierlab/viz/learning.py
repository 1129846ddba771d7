"""What labels are worth: scores by how many there are."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .fonts import legible
from .models import MARKERS, require_columns
from .stacks import COLORS

COLUMNS = ("start", "labels", "draw", "class", "iou")


@legible
def learning_figure(curve, classes=None):
    """IoU by how many patches are labeled, a panel a class.

    Parameters
    ----------
    curve : pandas.DataFrame
        As `gl.teach.learning_curve` makes it: `start`, `labels`, `draw`, `class`, `iou`.
    classes : sequence of str, optional
        Those to show; default all but the first.

    Returns
    -------
    matplotlib.figure.Figure
        A dot a draw, a line through their means; steps of labels evenly apart. What there is without labels
        goes on as a dotted line.

    Raises
    ------
    GlacierlabError
        The table lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("far", 0, 0, "glacier", 0.5), ("far", 4, 0, "glacier", 0.7), ("far", 16, 0, "glacier", 0.8)]
    >>> curve = pd.DataFrame(rows, columns=["start", "labels", "draw", "class", "iou"])
    >>> figure = learning_figure(curve, classes=["glacier"])
    >>> len(figure.axes)
    1
    """
    require_columns(curve, COLUMNS, "gl.teach.learning_curve")
    classes = list(curve["class"].unique())[1:] if classes is None else list(classes)
    figure = Figure(figsize=(2.9 * len(classes) + 0.6, 3.4), layout="constrained")
    draw_curve(figure, curve, classes)
    return figure


def draw_curve(figure, curve, classes):
    """The panels of `learning_figure`, on a figure or a part of one."""
    place = {count: at for at, count in enumerate(sorted(curve["labels"].unique()))}
    looks = list(zip(curve["start"].unique(), COLORS, MARKERS, strict=False))
    axes = figure.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    for name, ax in zip(classes, axes, strict=True):
        for start, color, marker in looks:
            rows = curve[(curve["class"] == name) & (curve["start"] == start)]
            ax.plot(rows["labels"].map(place), rows["iou"], marker, color=color, markersize=5, alpha=0.6)
            means = rows.groupby("labels")["iou"].mean()
            ax.plot(means.index.map(place), means, color=color)
            if 0 in means.index:
                ax.axhline(means[0], color=color, linestyle=":", linewidth=1)
        ax.set_title(name.replace("_", " "), fontsize=10)
        ax.set_xticks([*place.values()], [str(count) for count in place])
        ax.set(xlabel="labeled patches", ylim=(-0.02, 1))
    axes[0].set_ylabel("IoU")
    handles = [Line2D([], [], color=color, marker=marker, label=start) for start, color, marker in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
