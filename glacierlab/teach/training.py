"""Lesson 4: the made worlds that lessons 4 to 6 share, and verdicts of the exercises."""

import numpy as np

from ..features.recipe import Recipe
from ..samples import PatchSet
from ..synthetic import synthetic_world
from .answers import as_number

LAYERS = (
    "blue", "green", "red", "nir", "swir16", "swir22", "ndsi", "ndvi",
    "elevation", "slope", "aspect", "coherence",
)  # fmt: skip
GROUND = ("elevation", "slope", "aspect", "ndvi", "cast_shadow")  # that `tables.STRATA` has bins for
PARTS = {**dict.fromkeys("ABCDE", "train"), "F": "val", "G": "test", "H": "test"}  # world → its part
YEARS, SHAPE, LATITUDE = (2010, 2020), (160, 160), 28.0  # [px], [degrees] of the first world
AS_LOW = 0.1  # share by which a loss may be above the lowest: curves are jagged; an assumption
AS_NEAR = 0.005  # of an accuracy, an assumption
AS_GOOD = 0.9  # share of the best IoU that is as good, an assumption
RARE = 0.001  # share of the pixels below which a class cannot be judged, an assumption
LUCK = 0.1  # of an IoU: by how much another seed may move it, an assumption


def lesson_patches(seed=40, layers=None, *, size=32, stride=16):
    """Patches of eight made worlds in parts by world: five to train, one for validation, two to test.

    The worlds A to H are those of the seeds from `seed` on, each 4.8 km wide and a degree farther north than
    the last; of each, the scene of 2020 as HLS has it from Landsat, coherence, and the true classes.

    Parameters
    ----------
    seed : int
        Of world A.
    layers : sequence of str, optional
        As of `Recipe`, which is fitted to the worlds that train; by default bands, indices, elevation, slope,
        aspect and coherence.
    size, stride : int
        Of the patches [px].

    Returns
    -------
    patches : PatchSet
        Normalized, with the parts "train", "val" and "test".
    ground : PatchSet
        The same windows, with elevation [m], slope [degrees], aspect, NDVI and cast shadow as they are: the
        `strata` of `gl.evaluate`.
    """
    scenes, labels, glaciers = {}, {}, {}
    for n, name in enumerate(PARTS):
        world = synthetic_world(seed + n, YEARS, SHAPE, latitude=LATITUDE + n)
        scenes[name] = world.scene(2020, sensor="hls_l30").assign(coherence=world.radar().coherence)
        labels[name], glaciers[name] = world.truth(2020).class_map, world.outlines(2020)
    layout = dict(size=size, stride=stride, glaciers=glaciers)
    learned = [scene for name, scene in scenes.items() if PARTS[name] == "train"]
    recipe = Recipe(LAYERS if layers is None else layers).fit(learned)
    patches = PatchSet.from_scenes(scenes, labels, recipe, **layout)
    ground = PatchSet.from_scenes(scenes, labels, Recipe(GROUND, normalize=False).fit(learned), **layout)
    return tuple(
        each.with_split([PARTS[name] for name in each.manifest["scene"]]) for each in (patches, ground)
    )


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def blind_accuracy(answer, patches, missed):
    """The accuracy (a number) of a map that is right everywhere, but never finds some classes (names)."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    shares = patches.class_shares()
    lost = sum(shares[name] for name in missed)
    facts = dict(number=number, missed=" and ".join(missed))
    if abs(number - (1 - lost)) <= AS_NEAR:
        return "right", facts | dict(percent=100 * (1 - lost))
    if abs(number - 100 * (1 - lost)) <= 100 * AS_NEAR:
        return "percent", facts
    return ("lost" if abs(number - lost) <= AS_NEAR else "off"), facts


def stop_epoch(answer, history):
    """The epoch (a number) after which the loss of validation falls no more, or one about as good."""
    number = as_number(answer)
    losses = history.set_index("epoch")["val_loss"]
    if number is None or number not in losses.index:
        return "type", dict(first=losses.index[0], last=losses.index[-1])
    yours, best = losses[number], losses.idxmin()
    facts = dict(epoch=int(number), loss=yours)
    if yours <= losses.min() * (1 + AS_LOW):
        return "right", facts
    return "early" if number < best else "late", facts


def better_training(answer, lesson, patches, name):
    """A `Training` whose IoU of the class `name` on patches is above the lesson's, by more than luck."""
    from ..judge import confusions, scores_of  # torch loads only when used

    if not hasattr(answer, "model") or not hasattr(answer, "history"):
        return "type", {}
    share = patches.class_shares()[name]
    if share < RARE:
        return "empty", dict(name=name, percent=100 * share)
    iou = lambda each: scores_of(confusions(each.model, patches).sum(axis=0), patches.classes)["iou"][name]
    yours, ours = iou(answer), iou(lesson)
    facts = dict(iou=yours, lesson=ours, name=name, luck=LUCK, epochs=len(answer.history))
    return ("right" if yours > ours + LUCK else "worse" if yours < ours - LUCK else "same"), facts


def rare_threshold(answer, probability, truth):
    """A threshold (a number) of the probability of a class with which its IoU is about as high as it gets.

    `probability` and `truth` (bool) are arrays of one shape.
    """
    number = as_number(answer)
    if number is None or not 0 <= number <= 1:
        return "type", {}
    if truth.mean() < RARE:
        return "empty", dict(percent=100 * truth.mean())
    inside, outside = np.sort(probability[truth]), np.sort(probability[~truth])
    above = lambda values, least: values.size - np.searchsorted(values, least, side="right")
    iou = lambda least: above(inside, least) / (inside.size + above(outside, least))
    sweep = np.linspace(0, 1, 201)
    found = np.array([iou(least) for least in sweep])
    best = sweep[found.argmax()]
    facts = dict(number=number, iou=iou(number), half=iou(0.5))
    if facts["iou"] >= AS_GOOD * found.max():
        return "right", facts
    return ("low" if number < best else "high"), facts


JUDGES = (blind_accuracy, better_training, rare_threshold, stop_epoch)
