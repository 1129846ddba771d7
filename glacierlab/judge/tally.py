"""A model's pass over patches, counted: one confusion matrix a patch, and the scores that follow from it."""

from contextlib import contextmanager
from itertools import chain

import numpy as np
import pandas as pd
import torch

from ..errors import GlacierlabError, MissingBandError, UnknownNameError, warn
from ..models.segmenter import in_eval_mode
from ..samples.cache import identity_of
from ..scores import COUNTS, scores_from
from ..tables import NOT_OBSERVED

SCORES = tuple(scores_from(1, 0, 0, 1))  # their names, in order
MEAN = "mean"  # the row of the unweighted mean of the classes


# ---- the pass ----


def confusions(model, patches, *, batch_size=8, device="auto", edit=None):
    """Confusion matrices of a model, one a patch; each patch is read and goes through the model once.

    Parameters
    ----------
    model : Segmenter
        With a card: features and classes are matched by name.
    patches : PatchSet
    batch_size : int
        Patches at a time; results do not depend on it.
    device : str or torch.device
        "auto" is a GPU where there is one. The model is put back where it was.
    edit : callable, optional
        `edit(images (N, C, H, W) float32, places (N,))` → images of the same shape, what the model shall see
        instead; C are all features of the patches, places those of the patches in the set.

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
    """
    size = len(patches.classes)
    counts = np.zeros((len(patches), size, size), np.int64)
    for places, probabilities, labels in predictions(model, patches, batch_size, device, edit):
        predicted = probabilities.argmax(dim=1).cpu().numpy()
        rows = np.arange(len(places))[:, None, None]
        counts[places] = count(rows, labels, predicted, (len(places), size))
    return counts


def count(groups, actual, predicted, shape):
    """Confusion matrices (group, class, class) int64 of pixels, by group; `shape` is (groups, classes).

    `actual` holds classes or 255, which is not counted, and `groups` broadcasts against it.
    """
    number, size = shape
    rows = np.where(actual == NOT_OBSERVED, size, actual).astype(np.int64)  # one row more, dropped below
    code = (groups * (size + 1) + rows) * size + predicted
    found = np.bincount(code.ravel(), minlength=number * (size + 1) * size)
    return found.reshape(number, size + 1, size)[:, :size]


def predictions(model, patches, batch_size=8, device="auto", edit=None):
    """Batches of (places (N,), probabilities (N, K, H, W) torch float32, labels (N, H, W) uint8).

    Places are those of patches in the set, in an order that reads best; K are the patches' classes.
    """
    order = order_of(model, patches)
    for places, images, labels in inputs(model, patches, batch_size, device, edit):
        probabilities = model.probabilities(images)
        if not torch.isfinite(probabilities.sum()):
            raise GlacierlabError(
                f"The model {model.name!r} gives no numbers for {named(patches, places)}: its weights or the "
                "scale of its features are at fault."
            )
        yield places, probabilities if order is None else probabilities[:, order], labels


def inputs(model, patches, batch_size=8, device="auto", edit=None):
    """The same with images (N, C, H, W) of the model's features on the device, the model in eval mode."""
    channels = channels_of(model, patches)
    order_of(model, patches)  # refuses other classes before anything is read
    warn_if_other(model, patches)
    with ready(model, device) as where:
        for places, images, labels in batches(patches, batch_size):
            if edit is not None:
                images = edit(images, places)
            images = np.ascontiguousarray(images[:, channels], dtype=np.float32)
            require_finite(images, [patches.features[each] for each in channels], patches, places)
            yield places, torch.from_numpy(images).to(where), labels


def batches(patches, batch_size):
    """(places, images (N, C, H, W) float32, labels (N, H, W) uint8), what lies together together."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise GlacierlabError(f"batch_size={batch_size!r}: give a whole number, 1 or more.")
    waiting = []
    for item in patches.store.read_many(patches.windows(), patches.size):
        waiting.append(item)
        if len(waiting) == batch_size:
            yield stacked(waiting, patches)
            waiting = []
    if waiting:
        yield stacked(waiting, patches)


def stacked(items, patches):
    """One batch of (place, image, label) items."""
    places, images, labels = zip(*items, strict=True)
    places, labels = np.array(places), np.stack(labels)
    if (bad := (labels >= len(patches.classes)) & (labels != NOT_OBSERVED)).any():
        raise GlacierlabError(
            f"A label holds {labels[bad][0]}, and the classes are 0 to {len(patches.classes) - 1}, in "
            f"{named(patches, places[bad.any(axis=(1, 2))])}: make the patches again."
        )
    return places, np.stack(images), labels


@contextmanager
def ready(model, device):
    """The model in eval mode on a device; afterwards it is as it was before."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise GlacierlabError(f"device={device!r}: torch sees no GPU here. Leave device out, or say 'cpu'.")
    first = next(chain(model.parameters(), model.buffers()), None)
    before = "cpu" if first is None else first.device
    model.to(device)
    try:
        with in_eval_mode(model):
            yield torch.device(device)
    finally:
        model.to(before)


# ---- what must match ----


def channels_of(model, patches):
    """Places of the model's features among those of the patches, a list of int, in the model's order.

    Raises
    ------
    MissingBandError
        The patches lack features of the model; they are named.
    GlacierlabError
        There are no patches, or the model's card does not say what its channels are.
    """
    if not len(patches):
        raise GlacierlabError("There are no patches to judge a model by. Check what was filtered out.")
    card = card_of(model)
    if missing := [name for name in card.features if name not in patches.features]:
        raise MissingBandError(
            f"The model needs {missing}, but the patches have {list(patches.features)}. Make them with the "
            "model's own recipe: PatchSet.from_scenes(scenes, labels, recipe)."
        )
    return [patches.features.index(name) for name in card.features]


def order_of(model, patches):
    """Places of the patches' classes among the model's probabilities, or None where they are the same."""
    names = list(card_of(model).names)
    if set(names) != set(patches.classes):
        raise UnknownNameError(
            f"The model knows {names}, the patches {list(patches.classes)}: judge it by the same classes, "
            "PatchSet.from_scenes(…, classes=[…])."
        )
    order = [names.index(name) for name in patches.classes]
    return None if order == sorted(order) else order


def warn_if_other(model, patches):
    """DataWarning where numbers mean other things than to the model, or it was trained on the patches."""
    card = card_of(model)
    for what, why in (("recipe", "normalized and composed"), ("radiometry", "scaled")):
        theirs, ours = getattr(card, what), patches.origin.get(what)
        if theirs and ours and theirs != ours:
            warn(
                f"The patches' {what} is not that of the model: layers are {why} otherwise than those it was "
                "trained on. Make them with the recipe of its card, gl.Recipe.from_json(model.card.recipe)."
            )
    if known := trained_on(card, patches):
        warn(
            f"The model {model.name!r} was trained on {known:,} of these {len(patches):,} patches, where it "
            "does better than elsewhere: judge it by others, such as patches.subset('test')."
        )


def trained_on(card, patches):
    """How many of the patches the model was trained on; 0 where its card names patches of another set."""
    try:
        told, seen = card.training["data"]["train"]["fingerprint"], card.training["split"]["train"]
        windows = [(scene, row, col) for scene, places in seen.items() for row, col in places]
    except (AttributeError, KeyError, TypeError, ValueError):  # of no training of ours
        return 0
    as_trained = {patches.fingerprint, patches.select(card.features).fingerprint}
    if told not in {identity_of(each, windows) for each in as_trained}:
        return 0
    return len({*windows} & {window[:3] for window in patches.windows()})


def card_of(model):
    """The model's card; GlacierlabError unless it names every channel and logit."""
    card = getattr(model, "card", None)
    if card is None:
        raise GlacierlabError(
            "The model has no card, so that nobody knows its features and classes. Take one that gl.fit "
            "trained or gl.load_model opened."
        )
    card.require_fit(model.in_channels, model.classes)
    return card


def require_finite(images, features, patches, places):
    """GlacierlabError, with the place, if an image (N, C, H, W) holds a number that is not finite."""
    if np.isfinite(images.sum(dtype=np.float64)):  # rare, and ten times as fast as to look at each
        return
    number, channel, row, col = np.argwhere(~np.isfinite(images))[0]
    raise GlacierlabError(
        f"{features[channel]!r} is {images[number, channel, row, col]} at row {row}, column {col} of "
        f"{named(patches, places[number : number + 1])}: fill such pixels before the model sees them."
    )


def named(patches, places):
    """Which patches these are, for messages."""
    (scene, row, col, _), *more = patches.windows(places)
    return f"the patch of scene {scene!r} at row {row}, column {col}" + (
        f" or {len(more)} more" if more else ""
    )


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
