"""A model's pass over patches, counted: one confusion matrix a patch, and the scores that follow from it."""

import numpy as np
import pandas as pd

from ..errors import GlacierlabError
from ..scores import COUNTS, scores_from
from ..tables import NOT_OBSERVED
from .looking import looked

SCORES = tuple(scores_from(1, 0, 0, 1))  # their names, in order
MEAN = "mean"  # the row of the unweighted mean of the classes


# ---- the pass ----


def confusions(model, patches, *, batch_size=8, device="auto", edit=None, inference=None):
    """Confusion matrices of a model, one a patch; each patch is read and goes through the model once.

    Parameters
    ----------
    model : Segmenter
        With a card: features and classes are matched by name.
    patches : PatchSet
        Or whole scenes, of `whole_scenes`.
    batch_size : int
        Patches at a time; results do not depend on it.
    device : str or torch.device
        "auto" is a GPU where there is one. The model stays where it is.
    edit : callable, optional
        `edit(images (N, C, H, W) float32, places (N,))` → images of the same shape, what the model shall see
        instead; C are all features of the patches, places those of the patches in the set.
    inference : dict, optional
        Settings of `gl.predict`, see `gl.evaluate`.

    Returns
    -------
    numpy.ndarray
        (patch, class, class) int64: pixels by [actual, predicted], classes in the order of the patches'.
        Pixels without a label are not counted; those of overlapping patches are counted in each.

    Raises
    ------
    MissingBandError
        The patches lack features of the model.
    UnknownNameError
        One of the two knows a class that the other does not.
    GlacierlabError
        There are no patches, an image or a probability is not finite, or the model has no card.

    Warns
    -----
    DataWarning
        The patches' recipe or radiometry is not that of the model, or it was trained on some of them.

    Examples
    --------
    >>> import glacierlab as gl
    >>> model = gl.load_model("default")
    >>> scenes = gl.judge.whole_scenes(gl.synthetic_scene(seed=6, shape=(64, 64)), like=model, size=32)
    >>> counts = confusions(model, scenes)
    >>> counts.shape, int(counts.sum()) == 64 * 64
    ((4, 4, 4), True)
    """
    size = len(patches.classes)
    counts = np.zeros((len(patches), size, size), np.int64)

    def look(places, probabilities, labels):
        return places, count_patches(labels, probabilities.argmax(axis=1), size)

    how = dict(batch_size=batch_size, device=device, edit=edit, inference=inference)
    for places, found in looked(model, patches, look, **how):
        counts[places] = found
    return counts


def count_patches(labels, predicted, classes):
    """Confusion matrices (N, K, K) int64 of labels and predicted classes (N, H, W)."""
    return count(np.arange(len(labels))[:, None, None], labels, predicted, (len(labels), classes))


def count(groups, actual, predicted, shape):
    """Confusion matrices (group, class, class) int64 of pixels, by group; `shape` is (groups, classes).

    `actual` holds classes or 255, which is not counted, and `groups` broadcasts against it.
    """
    number, size = shape
    rows = np.where(actual == NOT_OBSERVED, size, actual).astype(np.int64)  # one row more, dropped below
    code = (groups * (size + 1) + rows) * size + predicted
    found = np.bincount(code.ravel(), minlength=number * (size + 1) * size)
    return found.reshape(number, size + 1, size)[:, :size]


# ---- scores ----


def score_values(matrices):
    """Scores (..., K + 1, score) of confusion matrices (..., K, K): each class, then their mean.

    Each class is scored against the rest, by `gl.scores_from`; the mean is unweighted and leaves out classes
    whose score is undefined.
    """
    counts = class_counts(np.asarray(matrices))
    return with_mean(np.stack(list(scores_from(*counts).values()), axis=-1))


def with_mean(scores):
    """Scores (..., K, score) and, as one class more, their mean."""
    return np.concatenate([scores, mean_of(scores, axis=-2)[..., None, :]], axis=-2)


def class_counts(matrices):
    """tp, fp, fn, tn (..., K) of confusion matrices (..., K, K), each class against the rest."""
    tp = np.diagonal(matrices, axis1=-2, axis2=-1)
    fp, fn = matrices.sum(axis=-2) - tp, matrices.sum(axis=-1) - tp
    return tp, fp, fn, matrices.sum(axis=(-2, -1))[..., None] - tp - fp - fn


def mean_of(values, axis):
    """The mean of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    many = defined.sum(axis=axis)
    sums = np.where(defined, values, 0).sum(axis=axis)
    return np.divide(sums, many, out=np.full(sums.shape, np.nan), where=many > 0)


def scores_of(confusions, classes):
    """Scores of confusion matrices, pooled: all their pixels are counted together first.

    Parameters
    ----------
    confusions : array of int (..., K, K)
        Pixels by [actual, predicted].
    classes : sequence of str
        Their K names.

    Returns
    -------
    pandas.DataFrame
        One row a class, against the rest, and "mean", their unweighted mean, background included (Chu et al.
        2022: the mean IoU of ice and background). Columns: tp, fp, fn, tn [px] (summed in "mean"), and the
        scores of `gl.scores_from` [1], NaN where undefined; the mean leaves those out.

    Examples
    --------
    >>> table = scores_of([[90, 10], [5, 45]], ["background", "glacier"])
    >>> table[["precision", "recall", "iou"]].round(2).T.to_dict("list")
    {'background': [0.95, 0.9, 0.86], 'glacier': [0.82, 0.9, 0.75], 'mean': [0.88, 0.9, 0.8]}
    """
    confusions, classes = np.asarray(confusions), list(classes)
    if confusions.ndim < 2 or confusions.shape[-2:] != (len(classes),) * 2:
        raise GlacierlabError(
            f"Confusion matrices of {len(classes)} classes have the shape (..., {len(classes)}, "
            f"{len(classes)}), not {confusions.shape}."
        )
    pooled = confusions.reshape(-1, *confusions.shape[-2:]).sum(axis=0)
    counts = np.stack(class_counts(pooled), axis=1)
    counts = np.concatenate([counts, counts.sum(axis=0, keepdims=True)])
    index = pd.Index([*classes, MEAN], name="class")
    return pd.DataFrame(counts, index, COUNTS).join(pd.DataFrame(score_values(pooled), index, SCORES))
