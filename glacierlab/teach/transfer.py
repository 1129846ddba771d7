"""Lesson 12: two made ranges, learning from few labels, and verdicts of its exercises."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..features.recipe import Recipe
from ..samples import PatchSet
from ..synthetic import synthetic_world
from .training import LAYERS, SHAPE

YEAR, SIZE = 2020, 32  # of the scenes, and side of a patch [px]
RANGES = {  # they stand for the Poiqu basin and for Mont Blanc; every number is an assumption
    "home": dict(latitude=28.2, ela_m=5500.0, date="10-15", rock=0.6, frozen=True),
    "away": dict(latitude=45.8, ela_m=2900.0, date="08-15", rock=1.7, frozen=False),
}
WORLDS = {"home": dict(train=12, val=2, test=6), "away": dict(pool=4, val=5, test=8)}  # of each part
STEPS, BATCH = 120, 8  # of a training on few labels
STARTS = ("fine-tuned", "from scratch")
FAR = 1.0  # standard deviations at home by which a layer of a class has moved, an assumption
CLEARLY = 0.15  # of an IoU: a gain that is no luck, an assumption
NEAR = 0.03  # of an IoU: losses that can hardly be told apart, an assumption


# ---- what the lesson measures


def range_world(name, seed):
    """A world of one of the two ranges as a sensor sees it.

    Parameters
    ----------
    name : {"home", "away"}
        A key of `RANGES`.
    seed : int
        Of `gl.synthetic_world`.

    Returns
    -------
    scene : xarray.Dataset
        Of 2020, with coherence, as HLS has it from Landsat; 160 x 160 pixels of 30 m.
    labels : xarray.DataArray
        The true classes.
    outlines : geopandas.GeoDataFrame
        The true glaciers.
    """
    view = dict(RANGES[name])
    place = {key: view.pop(key) for key in ("latitude", "ela_m")}
    world, date = synthetic_world(seed, (YEAR,), SHAPE, **place), view["date"]
    scene = world.scene(YEAR, sensor="hls_l30", **view)
    scene = scene.assign(coherence=world.radar(YEAR, date).coherence)
    return scene, world.truth(YEAR).class_map, world.outlines(YEAR)


def two_ranges(seed=1200, layers=LAYERS):
    """Patches of made worlds of two ranges, in parts by world; no world is in two.

    Parameters
    ----------
    seed : int
        Of the first world; 37 worlds have those from it on.
    layers : sequence of str
        As of `Recipe`, which is fitted to the training worlds of the first range alone.

    Returns
    -------
    home : PatchSet
        Parts "train", "val" and "test".
    away : PatchSet
        Of the other range, by the same recipe: "pool", from which few labels are taken, "val" and "test".
    """
    names = iter(range(seed, seed + 1000))
    part = {
        (range_, next(names)): part
        for range_, parts in WORLDS.items()
        for part, count in parts.items()
        for _ in range(count)
    }
    seen = {world: range_world(*world) for world in part}
    recipe = Recipe(layers).fit([seen[world][0] for world in part if part[world] == "train"])
    return tuple(cut(range_, seen, part, recipe) for range_ in WORLDS)


def cut(range_, seen, part, recipe):
    """Patches of the worlds of one range, side by side, with their parts."""
    mine = {f"{range_} {seed}": world for world in seen for seed in world[1:] if world[0] == range_}
    scenes, labels, glaciers = ({name: seen[world][k] for name, world in mine.items()} for k in range(3))
    patches = PatchSet.from_scenes(scenes, labels, recipe, size=SIZE, glaciers=glaciers)
    return patches.with_split([part[mine[name]] for name in patches.manifest["scene"]])


def few_patches(pool, labels, draw=0):
    """Some patches of a pool by chance; more labels of the same draw hold those of fewer.

    Parameters
    ----------
    pool : PatchSet
    labels : int
        How many patches.
    draw : int
        Seed of the order.

    Returns
    -------
    PatchSet
    """
    order = np.random.default_rng(draw).permutation(len(pool))
    return replace(pool, manifest=pool.manifest.iloc[order[:labels]])


def learn(model, few, *, steps=STEPS, batch=BATCH, **how):
    """Train on few patches for a number of steps, and keep the end: nothing is left to choose an epoch by.

    Parameters
    ----------
    model : Segmenter
    few : PatchSet
    steps : int
        Batches that it learns from, rounded up to whole epochs; 120, an assumption.
    batch : int
        Patches at a time; 8, an assumption.
    **how
        Of `gl.fit`, such as `init` and `lr`.

    Returns
    -------
    Training
        Its best epoch is that of the lowest training loss.
    """
    from ..train import fit  # torch loads only when used

    size = min(batch, len(few))
    epochs = -(-steps // -(-len(few) // size))
    own = dict(class_weights="inverse_sqrt", monitor="train_loss", patience=False, drop_last=False)
    return fit(model, few, max_epochs=epochs, batch_size=size, progress=False, **own | how)


def iou_by_class(model, patches):
    """IoU of each class over the pixels of patches, a Series."""
    from ..judge import confusions, scores_of

    return scores_of(confusions(model, patches).sum(axis=0), patches.classes)["iou"].drop("mean")


def learning_curve(fresh, start, pool, judged, labels=(4, 16, 64), draws=2, lr=(1e-3, 5e-3)):
    """What few labels are worth, to a model that was trained elsewhere and to one that knows nothing.

    Parameters
    ----------
    fresh : callable
        fresh(seed) builds a network with new weights.
    start : path
        A model file of the same network, `Training.best`.
    pool, judged : PatchSet
        Where labels are drawn from, and what models are judged by: patches of other worlds.
    labels : sequence of int
        How many patches of the pool are labeled.
    draws : int
        How often they are drawn; each draw has weights of its own.
    lr : pair of float
        Learning rates of the model that goes on and of the one that begins.

    Returns
    -------
    pandas.DataFrame
        A row for each of `start` (of `STARTS`), `labels`, `draw` and `class`: `iou`, and `labeled_px`, the
        pixels of the class among the labels. Without labels there is the model as it came.
    """
    from ..models import load_model

    found = {(STARTS[0], 0, 0): (iou_by_class(load_model(start), judged), {})}
    for count in labels:
        for draw in range(draws):
            few = few_patches(pool, count, draw)
            pixels = {name: share * len(few) * few.size**2 for name, share in few.class_shares().items()}
            for name, init, rate in zip(STARTS, (start, None), lr, strict=True):
                model = learn(fresh(draw), few, init=init, lr=rate, seed=draw).model
                found[name, count, draw] = iou_by_class(model, judged), pixels
    rows = [
        (*key, name, iou[name], round(pixels.get(name, 0)))
        for key, (iou, pixels) in found.items()
        for name in judged.classes
    ]
    return pd.DataFrame(rows, columns=["start", "labels", "draw", "class", "iou", "labeled_px"])


def class_medians(name, **sets):
    """Median of each layer over the pixels of a class, a column a set of patches; normalized, as they are."""
    medians = {}
    for title, patches in sets.items():
        code = patches.classes.index(name)
        values = np.concatenate([image[:, label == code] for image, label in patches], axis=1)
        medians[title] = pd.Series(np.median(values, axis=1), patches.features)
    return pd.DataFrame(medians)


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def farthest_layer(answer, home, away):
    """The layer (a name) whose values away lie farthest from those at home, in deviations at home."""
    if not isinstance(answer, str):
        return "type", {}
    if answer not in home.features:
        return "unknown", dict(layer=answer, choices=", ".join(home.features))
    first, second = (np.stack([image for image, _ in each]) for each in (home, away))
    deviation = first.std(axis=(0, 2, 3))
    shifts = (second.mean(axis=(0, 2, 3)) - first.mean(axis=(0, 2, 3))) / deviation
    mine = shifts[home.features.index(answer)]
    farthest = np.abs(shifts).argmax() == home.features.index(answer)
    return ("right" if farthest else "nearer"), dict(layer=answer, shift=mine)


def moved_layer(answer, medians):
    """A layer (a name) that looks otherwise away than at home for a class: `class_medians`, home first."""
    if not isinstance(answer, str):
        return "type", {}
    if answer not in medians.index:
        return "unknown", dict(layer=answer, choices=", ".join(medians.index))
    home, away = medians.loc[answer]
    facts = dict(layer=answer, home=home, away=away)
    return ("right" if abs(away - home) >= FAR else "still"), facts


def chosen_patches(answer, before, pool, judged, adapted, name, most):
    """At most so many patches (numbers of the pool's table) with which `adapted(few)` finds a class better.

    `before` is the model without labels; better is by more than luck brings, on the patches `judged`.
    """
    if not isinstance(answer, list | tuple | np.ndarray | pd.Index):
        return "type", {}
    rows = list(dict.fromkeys(answer))
    if strangers := [row for row in rows if row not in pool.manifest.index]:
        return "unknown", dict(row=strangers[0])
    if not 1 <= len(rows) <= most:
        return "many", dict(count=len(rows), most=most)
    few = replace(pool, manifest=pool.manifest.loc[rows])
    pixels = round(few.class_shares()[name] * len(few) * few.size**2)
    if not pixels:
        return "none", dict(count=len(rows), name=name)
    iou = lambda model: iou_by_class(model, judged)[name]
    facts = dict(count=len(rows), pixels=pixels, before=iou(before), after=iou(adapted(few)), luck=CLEARLY)
    return ("right" if facts["after"] > facts["before"] + CLEARLY else "poor"), facts


def forgotten_class(answer, before, after):
    """A class (a name) whose IoU fell most, or nearly so: evaluations before and after a model went on."""
    if not isinstance(answer, str):
        return "type", {}
    first, second = (each.scores["iou"].drop("mean") for each in (before, after))
    if answer not in first.index:
        return "unknown", dict(name=answer, choices=", ".join(first.index))
    facts = dict(name=answer, before=first[answer], after=second[answer])
    lost = first - second
    return ("right" if lost[answer] > max(0, lost.max() - NEAR) else "less"), facts


JUDGES = (farthest_layer, moved_layer, chosen_patches, forgotten_class)
