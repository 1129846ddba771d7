"""A model's probabilities beside labels, patch by patch or over whole scenes, and what must match for it."""

from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401  registers .rio
import torch
import xarray as xr

from ..errors import GlacierlabError, MissingBandError, UnknownNameError, warn
from ..inference.passes import Manner, averaged, device_of, precision_of, require_dropout
from ..inference.prediction import VIEWS, predict
from ..inference.readying import made_ready
from ..models import Card, Segmenter
from ..samples.cache import identity_of
from ..tables import NOT_OBSERVED, lookup

SETTINGS = {
    "tile": None, "overlap": None, "blend": "hann", "tta": "none", "dropout": 0, "seed": 0,
    "batch_size": "auto", "precision": "float32",
}  # fmt: skip
BLOCK = 512  # least side of what is counted at a time in a whole scene [pixels]


def looked(
    model, patches, look, *, batch_size=8, device="auto", edit=None, inference=None, notes=None
):  # fmt: skip
    """What `look` gives of each batch of patches, one after the other; each is seen by the model once.

    Parameters
    ----------
    model : Segmenter
        With a card: features and classes are matched by name.
    patches : PatchSet
        Those of a `SceneSet` get their probabilities from `predict` on the whole scene.
    look : callable
        `look(places (N,), probabilities (N, K, H, W) float32, labels (N, H, W) uint8)`, without side effects:
        for whole scenes it runs in dask's workers. Places are those of patches in the set, K are its classes.
    batch_size : int
        Patches at a time.
    device : str
    edit : callable, optional
        See `confusions`; the patches of whole scenes are then seen as any other.
    inference : dict, optional
        Settings of `predict`: keys of `SETTINGS`. A patch is a tile of its own, to which tile, overlap and
        blend mean nothing.
    notes : dict, optional
        Gets `labeled`, and `unobserved` of these: pixels of whole scenes.
    """
    channels_of(model, patches)  # refuses what does not fit before anything is read
    order = order_of(model, patches)
    if inference:
        require_inference(inference, card_of(model).features)
    if getattr(patches, "stacks", None) and edit is None:
        yield from of_scenes(model, patches, look, device, settled(inference), {} if notes is None else notes)
        return
    through = passing(model, device, inference)
    for places, images, labels in inputs(model, patches, batch_size, edit):
        found = through(images, [window[1:3] for window in patches.windows(places)])
        if not torch.isfinite(found.sum()):
            raise GlacierlabError(
                f"The model {model.name!r} gives no numbers for {named(patches, places)}: its weights or the "
                "scale of its features are at fault."
            )
        yield look(places, (found if order is None else found[:, order]).numpy(), labels)


# ---- settings ----


def settled(inference):
    """Settings of inference with their defaults; UnknownNameError if one is none.

    They are those of `predict`, but in float32, so that scores do not depend on the machine.
    """
    for name in inference or {}:
        lookup(SETTINGS, name, kind="setting of inference")
    return SETTINGS | (inference or {})


def require_inference(inference, features):
    """UnknownNameError or GlacierlabError unless `predict` takes settings, for a model of these features.

    It is asked for a map by a stand-in, and the map is not made.
    """
    model = Segmenter(torch.nn.Dropout(), "stand-in", len(features), 2, {})
    model.card = Card(features=tuple(features), classes=("background", "glacier"))
    zeros = da.zeros((len(features), 2, 2), np.float32)
    coords = {"feature": list(features), "y": [1.0, 0.0], "x": [0.0, 1.0]}
    stack = xr.DataArray(zeros, coords, ("feature", "y", "x")).rio.write_crs(32632)
    predict(stack, model, device="cpu", **settled(inference))


# ---- patches ----


def passing(model, device="auto", inference=None):
    """A function of images (N, C, H, W) and the corners (row, col) of patches → probabilities on the CPU."""
    how, device = settled(inference), device_of(str(device))
    views = VIEWS[how["tta"]] if isinstance(how["tta"], str) else tuple(how["tta"])
    manner = Manner(
        tuple(card_of(model).features), views, how["dropout"], how["seed"],
        precision=precision_of(how["precision"], device), device=device,
    )  # fmt: skip
    models = [made_ready(model, device, manner.precision)]
    if how["dropout"]:
        require_dropout(models)

    @torch.inference_mode()
    def through(images, corners):
        images = images.to(device)
        if not how["dropout"]:
            return averaged(models, images, corners[0], manner).cpu()
        each = zip(images.split(1), corners, strict=True)  # draws must not depend on neighbors in a batch
        return torch.cat([averaged(models, image, corner, manner).cpu() for image, corner in each])

    return through


def inputs(model, patches, batch_size=8, edit=None):
    """Batches of (places (N,), images (N, C, H, W) torch float32 of the model's features, labels)."""
    channels = channels_of(model, patches)
    order_of(model, patches)  # refuses other classes before anything is read
    warn_if_other(model, patches)
    for places, images, labels in batches(patches, batch_size):
        if edit is not None:
            images = edit(images, places)
        images = np.ascontiguousarray(images[:, channels], dtype=np.float32)
        require_finite(images, [patches.features[each] for each in channels], patches, places)
        yield places, torch.from_numpy(images), labels


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


# ---- whole scenes ----


def of_scenes(model, patches, look, device, inference, notes):
    """`looked` of a `SceneSet`: each scene is mapped once, and its windows are seen as they are made.

    One graph of dask holds mapping and counting, so that probabilities are dropped block by block.
    """
    warn_if_other(model, patches)
    size = patches.size
    side = -(-BLOCK // size) * size
    windows = {}
    for place, (scene, row, col, _) in enumerate(patches.windows()):
        windows.setdefault(scene, {})[row, col] = place
    notes |= {"labeled": 0, "unobserved": 0}
    for name, places in windows.items():
        stack = patches.stacks[name].sel(feature=list(patches.features))
        if set(card_of(model).features) != set(patches.features):
            stack = stack.where(stack.notnull().all("feature"))  # the same pixels for every model
        found = predict(stack, model, device=str(device), **inference)["probability"]
        values = found.sel({"class": list(patches.classes)}).data
        values = values.rechunk((-1, side, side))
        labels = replace(patches.store.sources[name], image=None)  # which no worker needs
        shared = dask.delayed(Counting(look, labels, places, size), traverse=False)
        tops, lefts = (np.cumsum([0, *sizes[:-1]]).tolist() for sizes in values.chunks[1:])
        seen = [
            dask.delayed(seen_block)(shared, block, top, left)
            for top, row in zip(tops, values.to_delayed()[0], strict=True)
            for left, block in zip(lefts, row, strict=True)
        ]
        for said, labeled, unobserved in dask.compute(*seen):
            notes["labeled"] += labeled
            notes["unobserved"] += unobserved
            yield from said


class Counting:
    """What the blocks of a scene share; not a dataclass, into which dask would look for collections."""

    def __init__(self, look, source, places, size):
        self.look, self.source, self.places, self.size = look, source, places, size


def seen_block(shared, probability, top, left):
    """What `look` gives of a block's windows, as a list of one or none; labeled pixels, and unobserved ones.

    `probability` (K, y, x) is NaN where the scene is not observed, `top` and `left` its place in the scene.
    """
    height, width = probability.shape[1:]
    labels = shared.source.labels(slice(top, top + height), slice(left, left + width))
    labeled, lost = labels != NOT_OBSERVED, np.isnan(probability[0])
    numbers = int(labeled.sum()), int((labeled & lost).sum())
    labels[lost] = NOT_OBSERVED
    labels = windows_of(labels[None], shared.size, NOT_OBSERVED)[:, 0]
    rows, columns = (range(0, length, shared.size) for length in (height, width))
    places = [shared.places.get((top + row, left + col)) for row in rows for col in columns]
    kept = [number for number, place in enumerate(places) if place is not None]
    if not kept:
        return [], *numbers
    images = windows_of(np.where(lost, np.float32(0), probability), shared.size, 0)
    return [shared.look(np.array([places[each] for each in kept]), images[kept], labels[kept])], *numbers


def windows_of(values, size, fill):
    """Values (C, y, x) as windows (N, C, size, size), row by row; the last ones are filled up."""
    missing = [(0, -length % size) for length in values.shape[1:]]
    values = np.pad(values, [(0, 0), *missing], constant_values=fill)
    count, rows, columns = values.shape[0], values.shape[1] // size, values.shape[2] // size
    return (
        values.reshape(count, rows, size, columns, size)
        .transpose(1, 3, 0, 2, 4)
        .reshape(-1, count, size, size)
    )


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
