"""Lesson 5: worlds to judge on, and verdicts of the exercises."""

import numpy as np

from ..errors import GlacierlabError
from ..features.recipe import Recipe
from ..samples import PatchSet
from ..synthetic import synthetic_world
from .answers import as_number
from .training import GROUND, LATITUDE, SHAPE, YEARS


def new_worlds(patches, seed, count=10, **view):
    """Patches of made worlds that nobody has seen, with the layers of others.

    Worlds as those of `lesson_patches`, by the seeds from `seed` on. Patches do not overlap, so that every
    pixel counts once.

    Parameters
    ----------
    patches : PatchSet
        Of `lesson_patches`: its recipe and size are taken.
    seed, count : int
        Of the first world, and how many.
    **view
        Of `World.scene`: date, haze, thin_cloud, …. Labels and coherence are the same whatever it is.

    Returns
    -------
    new : PatchSet
        A scene a world, "world {seed}".
    ground : PatchSet
        The same windows in natural units, as of `lesson_patches`.

    Raises
    ------
    GlacierlabError
        The patches do not know their recipe.
    """
    if not patches.origin.get("recipe"):
        raise GlacierlabError(
            "The patches do not know their recipe: make them by gl.teach.lesson_patches, or by "
            "PatchSet.from_scenes(scenes, labels, recipe)."
        )
    scenes, labels, glaciers = {}, {}, {}
    for n in range(count):
        world, name = synthetic_world(seed + n, YEARS, SHAPE, latitude=LATITUDE + n), f"world {seed + n}"
        scene = world.scene(YEARS[-1], sensor="hls_l30", **view)
        scenes[name] = scene.assign(coherence=world.radar().coherence)
        labels[name], glaciers[name] = world.truth(YEARS[-1]).class_map, world.outlines(YEARS[-1])
    recipe = Recipe.from_json(patches.origin["recipe"])
    natural = Recipe(GROUND, normalize=False).fit(list(scenes.values()))
    return tuple(
        PatchSet.from_scenes(scenes, labels, each, size=patches.size, glaciers=glaciers)
        for each in (recipe, natural)
    )


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def worst_confusion(answer, confusion):
    """What is most often taken for what: names (actual, predicted) of `Evaluation.confusion_shares`.

    Shares of the actual class; the diagonal does not count.
    """
    if not isinstance(answer, list | tuple) or not all(isinstance(name, str) for name in answer):
        return "type", {}
    names = list(confusion.index)
    if len(answer) != 2 or answer[0] == answer[1] or not set(answer) <= set(names):
        return "unknown", dict(choices=", ".join(names))
    wrong = confusion.mask(np.eye(len(names), dtype=bool))
    yours = wrong.loc[tuple(answer)]
    missed = wrong.max(axis=1).idxmax()
    facts = dict(actual=answer[0], predicted=answer[1], percent=100 * yours, missed=missed)
    if yours == wrong.max().max():
        return "right", facts
    turned = wrong.loc[tuple(answer)[::-1]] == wrong.max().max()
    return ("turned" if turned else "less"), facts


def costly_bin(answer, reliability):
    """The bin (any confidence in it) that adds most to the expected calibration error."""
    number = as_number(answer)
    if number is None or not 0 <= number <= 1:
        return "type", {}
    added = reliability["count"] * (reliability["confidence"] - reliability["accuracy"]).abs()
    added = (added / reliability["count"].sum()).fillna(0)
    mine = (reliability["low"] <= number) & ((number < reliability["high"]) | (reliability["high"] == 1))
    place = mine.to_numpy().nonzero()[0][0]
    gap = (reliability["confidence"] - reliability["accuracy"]).abs()
    facts = dict(low=reliability["low"][place], high=reliability["high"][place], added=added[place],
                 percent=100 * reliability["count"][place] / reliability["count"].sum())  # fmt: skip
    if added[place] == added.max():
        return "right", facts
    return ("widest" if place == gap.idxmax() else "less"), facts


def told_apart(answer, differences, best, test, name, metric="iou"):
    """The models (names) whose paired interval from the best one holds 0 on a test, for a class."""
    if not isinstance(answer, list | tuple | set) or not all(isinstance(each, str) for each in answer):
        return "type", {}
    rows = differences.query("test == @test and `class` == @name and metric == @metric")
    rows = rows[(rows["first"] == best) | (rows["second"] == best)]
    rivals = rows["first"].where(rows["first"] != best, rows["second"])
    level = set(rivals[(rows["low"] <= 0) & (rows["high"] >= 0)])
    if strangers := sorted(set(answer) - set(rivals)):
        return "unknown", dict(strangers=", ".join(strangers), choices=", ".join(rivals))
    if extra := sorted(set(answer) - level):
        return "extra", dict(extra=", ".join(extra), best=best)
    if missing := len(level - set(answer)):
        return "missing", dict(found=len(set(answer)), missing=missing)
    return "right", dict(best=best, names=", ".join(sorted(level)) or "none")


def harder_day(answer, judged, name):
    """An `Evaluation` of the ground of `judged` (by day) where the IoU of a class is lower than in "June"."""
    if not hasattr(answer, "confusions") or not hasattr(answer, "scores"):
        return "type", {}
    labels = lambda each: each.confusions.sum(axis=2)
    clear, june = judged["clear"], judged["June"]
    if not np.array_equal(labels(answer), labels(june)):
        return "ground", dict(patches=len(answer.confusions), asked=len(june.confusions))
    iou = [each.scores.loc[name, "iou"] for each in (answer, clear, june)]
    facts = dict(zip(("iou", "clear", "june"), iou, strict=True), name=name)
    if iou[0] < iou[2]:
        return "right", facts
    return ("same" if iou[0] == iou[2] else "kinder"), facts


JUDGES = (told_apart, worst_confusion, harder_day, costly_bin)
