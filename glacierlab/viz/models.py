"""Figures of models: how one learned, how sure it is, how several compare, what they look at."""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..errors import GlacierlabError
from ..tables import lookup
from .fonts import legible
from .stacks import COLORS

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
CURVES = {  # title of a panel → column of a history → its name
    "loss": {"train_loss": "training", "val_loss": "validation"},
    "score of validation": {
        "val_miou": "mean IoU",
        "val_accuracy": "accuracy",
        "val_iou": "mean IoU without the first class",
        "val_dice": "Dice of probabilities",
    },
    "learning rate": {"lr": "learning rate"},
}
WRITTEN = {"iou": "IoU", "miou": "mean IoU", "f1": "F1", "mcc": "MCC", "oa": "overall accuracy"}


def require_columns(table, columns, maker):
    """GlacierlabError unless a table has the columns of what `maker` makes."""
    if missing := [name for name in columns if name not in table]:
        raise GlacierlabError(
            f"The table lacks the columns {missing}; it has {list(table)}. Give what {maker} returns."
        )


@legible
def training_figure(history, best=None):
    """How a model learned: loss, scores and learning rate by epoch; the best epoch is marked.

    Parameters
    ----------
    history : pandas.DataFrame
        As `Training.history`: one row an epoch, columns `epoch`, `train_loss`, and what there is of
        `val_loss`, `val_miou`, `val_accuracy`, `val_iou`, `val_dice` [1] and `lr`.
    best : int, optional
        The epoch whose model was kept, where it was chosen by something else than here: by default it is that
        of the highest `val_miou`, or of the lowest `val_loss` where there is none; without validation no
        epoch is marked.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each of the three that has numbers; the learning rate on a logarithmic axis.

    Raises
    ------
    GlacierlabError
        The table lacks `epoch` or `train_loss`, or has no epoch `best`.

    Examples
    --------
    >>> import pandas as pd
    >>> losses = {"train_loss": [1.1, 0.8, 0.6], "val_loss": [1.0, 0.7, 0.8]}
    >>> figure = training_figure(pd.DataFrame({"epoch": [0, 1, 2], **losses}))
    >>> len(figure.axes), figure.axes[0].get_legend_handles_labels()[1]
    (1, ['training', 'validation', 'best: epoch 1'])
    """
    require_columns(history, ("epoch", "train_loss"), "gl.fit(...).history")
    known = {column for column in history if history[column].notna().any()}
    panels = {title: known.intersection(columns) for title, columns in CURVES.items()}
    shown = [title for title, columns in panels.items() if columns] or ["loss"]
    best = best_epoch(history, known) if best is None else best
    if best is not None and best not in history["epoch"].to_numpy():
        raise GlacierlabError(f"best={best!r}: the epochs are {history['epoch'].tolist()}.")
    figure = Figure(figsize=(3.6 * len(shown), 3.2), layout="constrained")
    for title, ax in zip(shown, figure.subplots(1, len(shown), squeeze=False).flat, strict=True):
        for (column, name), color, marker in zip(CURVES[title].items(), COLORS, MARKERS, strict=False):
            if column in panels[title]:
                ax.plot(
                    history["epoch"], history[column], color=color, marker=marker, markersize=3, label=name
                )
        if best is not None:
            ax.axvline(best, color="black", linestyle=":", linewidth=1.2, label=f"best: epoch {best}")
        if title == "learning rate" and (history["lr"].dropna() > 0).all():
            ax.set_yscale("log")
        ax.set(title=title, xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
        if title == "score of validation":
            ax.set_ylim(0, 1)
        if title != "learning rate":
            ax.legend(fontsize=8, loc="lower right" if title == "score of validation" else "best")
    return figure


def best_epoch(history, known):
    """The epoch with the highest score, or else the lowest loss of validation; None without validation."""
    if "val_miou" in known:
        return history["epoch"][history["val_miou"].idxmax()].item()
    return history["epoch"][history["val_loss"].idxmin()].item() if "val_loss" in known else None


@legible
def reliability_figure(reliability, before=None):
    """How often a model is right by how sure it is; below, how sure it is how often.

    Parameters
    ----------
    reliability : pandas.DataFrame
        One row a bin of confidence: its bounds `low` and `high`, `count` of pixels, their mean `confidence`
        and their `accuracy`, the share that is right, all [1].
    before : pandas.DataFrame, optional
        The same before the model was calibrated, drawn beside it.

    Returns
    -------
    matplotlib.figure.Figure
        On the diagonal a model is as often right as it says. The legend gives the expected calibration error,
        the mean distance from it over all pixels.

    Raises
    ------
    GlacierlabError
        A column is missing, or no pixel was counted.

    Examples
    --------
    >>> import glacierlab as gl
    >>> figure = reliability_figure(gl.judge.reliability([0.6, 0.9, 0.9, 0.9], [True, True, True, False]))
    >>> figure.axes[0].get_ylabel()
    'share that is right'
    """
    tables = {"": reliability} if before is None else {"calibrated: ": reliability, "before: ": before}
    for table in tables.values():
        require_columns(
            table, ("low", "high", "count", "confidence", "accuracy"), "an evaluation's calibration"
        )
        if not table["count"].sum():
            raise GlacierlabError("No pixel was counted in any bin: evaluate on patches that have labels.")
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.axline((0, 0), slope=1, color="gray", linestyle="--", linewidth=1)
    for (name, table), color, marker in zip(tables.items(), COLORS, MARKERS, strict=False):
        seen = table[table["count"] > 0]
        off = np.average((seen["confidence"] - seen["accuracy"]).abs(), weights=seen["count"])
        above.plot(
            seen["confidence"], seen["accuracy"], f"{marker}-", color=color, label=f"{name}ECE {off:.3f}"
        )
        share, width = table["count"] / table["count"].sum(), table["high"] - table["low"]
        style = dict(alpha=0.6, color=color) if table is reliability else dict(fill=False, edgecolor=color)
        below.bar(table["low"], share, width, align="edge", **style)
    left = min(table["low"].min() for table in tables.values())
    above.set(xlim=(left, 1), ylim=(0, 1.02), ylabel="share that is right")
    below.set(xlabel="confidence", ylabel="share of pixels")
    above.grid(alpha=0.3)
    above.legend(loc="upper left")
    return figure


@legible
def comparison_figure(table, metric="iou", classes=None):
    """Models side by side: a point with its interval for each class, a panel for each test.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy: one row a `model`, `test`, `class` and `metric`, with `value` and its interval from `low` to
        `high` (NaN where none is known).
    metric : str
        Which of the metrics.
    classes : sequence of str, optional
        Which of the classes; by default all but the background.

    Returns
    -------
    matplotlib.figure.Figure
        Models in the same order in all panels: by their mean over the drawn classes in the first test, the
        highest above, and below those that it did not test.

    Raises
    ------
    GlacierlabError
        A column is missing.
    UnknownNameError
        The table has no such metric, or no such class.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "model": ["unet", "band_ratio"], "test": "here", "class": "glacier", "metric": "iou",
    ...     "value": [0.8, 0.7], "low": [0.75, 0.6], "high": [0.85, 0.8],
    ... })
    >>> figure = comparison_figure(table)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['band_ratio', 'unet']
    """
    require_columns(
        table, ("model", "test", "class", "metric", "value", "low", "high"), "gl.compare(...).table"
    )
    lookup(dict.fromkeys(table["metric"]), metric, kind="metric of the table")
    rows = table[table["metric"] == metric]
    known = dict.fromkeys(rows["class"])
    for name in classes or ():
        lookup(known, name, kind="class of the table")
    classes = list(classes or [name for name in known if name != "background"] or known)
    rows = rows[rows["class"].isin(classes)]
    tests, models = list(dict.fromkeys(rows["test"])), list(dict.fromkeys(rows["model"]))
    models = from_below(models, rows[rows["test"] == tests[0]], "model", "value")
    columns = min(len(tests), 4)
    lines = -(-len(tests) // columns)
    height = (0.35 + 0.12 * len(classes)) * len(models) + 0.7
    figure = Figure(figsize=(1.6 + 2.7 * columns, height * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    styles = dict(zip(classes, zip(np.resize(COLORS, len(classes)), cycle(MARKERS)), strict=False))
    for test, ax in zip(tests, axes, strict=False):
        draw_points(ax, rows[rows["test"] == test], models, styles)
        ax.set_title(test, fontsize=10)
        ax.set_xlabel(WRITTEN.get(metric, metric))
        ax.tick_params(labelbottom=True)  # in every row, for the last may not be full
    for ax in axes:  # what is left of the last row
        ax.set_axis_off()
    handles = [Line2D([], [], color=c, marker=marker, label=name) for name, (c, marker) in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def draw_points(ax, rows, models, styles):
    """Each model's values with their intervals on a line of its own, the classes a little apart."""
    for place, (name, (color, marker)) in enumerate(styles.items()):
        here = rows[rows["class"] == name]
        y = models.get_indexer(here["model"]) + 0.25 - 0.5 * (place + 0.5) / len(styles)
        ax.hlines(y, here["low"], here["high"], color=color, linewidth=2)
        ax.plot(here["value"], y, marker, color=color, markersize=6, label=name)
    ax.set_yticks(range(len(models)), models)
    ax.set_ylim(-0.6, len(models) - 0.4)
    ax.grid(axis="x", alpha=0.3)


def from_below(names, rows, column, value):
    """Names of a column, an index: by the mean of their values, the highest last; first those without one."""
    return rows.groupby(column)[value].mean().reindex(names).sort_values(na_position="first").index


@legible
def importance_figure(table):
    """How much a model owes to each group of layers, as bars with their spread.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a `method`, `class` and `group`, with its `importance` and the `spread` of it over repeats
        (NaN where there were none), as `gl.importance` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each class; where there are several methods, a row of panels for each, whose numbers may
        mean different things. Groups in the same order in all, by their mean over the classes of the first
        method, the highest above.

    Raises
    ------
    GlacierlabError
        A column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "method": "permute_tiles", "class": "glacier", "group": ["visible", "infrared"],
    ...     "importance": [0.1, 0.4], "spread": [0.02, 0.05],
    ... })
    >>> figure = importance_figure(table)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['visible', 'infrared']
    """
    require_columns(table, ("method", "class", "group", "importance", "spread"), "gl.importance(...)")
    methods, classes, groups = (list(dict.fromkeys(table[name])) for name in ("method", "class", "group"))
    color_of = dict(zip(groups, np.resize(COLORS, len(groups)).tolist(), strict=True))
    groups = from_below(groups, table[table["method"] == methods[0]], "group", "importance")
    size = (1.4 + 2.6 * len(classes), (0.7 + 0.3 * len(groups)) * len(methods) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(methods), len(classes), sharex=True, sharey=True, squeeze=False)
    for method, panels in zip(methods, axes, strict=True):
        for name, ax in zip(classes, panels, strict=True):
            here = table[(table["method"] == method) & (table["class"] == name)]
            ax.barh(
                groups.get_indexer(here["group"]), here["importance"], xerr=here["spread"],
                color=[color_of[group] for group in here["group"]], error_kw=dict(capsize=3, linewidth=1.2),
            )  # fmt: skip
            ax.axvline(0, color="black", linewidth=0.8)
            ax.set_title(name if len(methods) == 1 else f"{name}, {method}", fontsize=10)
            ax.set_xlabel("importance")
            ax.set_yticks(range(len(groups)), groups)
            ax.set_ylim(-0.6, len(groups) - 0.4)
            ax.grid(axis="x", alpha=0.3)
            if ax is not panels[0]:
                ax.tick_params(axis="y", labelleft=False)
    return figure
