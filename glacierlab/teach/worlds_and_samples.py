"""Lesson 3: what splits promise and new places keep, and verdicts of the exercises."""

from itertools import pairwise

import numpy as np
import pandas as pd

from ..tables import NOT_OBSERVED


def optimism(ways, new, *, pixels=40_000, trees=30, seed=0):
    """What splits of patches say of a classifier, and what patches say that it has truly never seen.

    For each split a random forest learns classes from single pixels of the part "train" and is tried on the
    part "test"; the tests of several folds are pooled, so that every patch counts once.

    Parameters
    ----------
    ways : dict of str to sequence of PatchSet
        Folds, or one split alone, by what they are called.
    new : PatchSet
        Of other places; each forest is tried on it too, and their scores are averaged.
    pixels : int
        That a forest learns from, drawn from all of the training part. Assumption: 40 000.
    trees : int
        Of a forest. Assumption: 30.
    seed : int

    Returns
    -------
    pandas.DataFrame
        F1 [1] by way and class: `own_test`, `new`, and `flattery`, the former less the latter. NaN where no
        test holds a class.
    """
    from sklearn.ensemble import RandomForestClassifier  # of the extra "models"

    classes, unseen, rows = new.classes, labeled_pixels(new), {}
    for way, splits in ways.items():
        own, others = [], []
        for each in splits:
            values, labels = labeled_pixels(each.subset("train"))
            some = np.random.default_rng(seed).permutation(len(labels))[:pixels]
            forest = RandomForestClassifier(trees, n_jobs=2, random_state=seed).fit(
                values[some], labels[some]
            )
            values, labels = labeled_pixels(each.subset("test"))
            own.append((labels, forest.predict(values)))
            others.append(f1_by_class(unseen[1], forest.predict(unseen[0]), classes))
        own, others = (
            f1_by_class(*map(np.concatenate, zip(*own, strict=True)), classes),
            np.mean(others, axis=0),
        )
        rows |= {(way, name): found for name, *found in zip(classes, own, others, own - others, strict=True)}
    columns = ["own_test", "new", "flattery"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(rows, names=["split", "class"])
    return table


def labeled_pixels(patches, every=5):
    """Values (pixel, feature) and classes (pixel,) of every so manyth labeled pixel of a set's patches."""
    values, labels = [], []
    for _, image, label in patches.store.read_many(patches.windows(), patches.size):
        values.append(image.reshape(len(image), -1).T)
        labels.append(label.ravel())
    values, labels = np.concatenate(values)[::every], np.concatenate(labels)[::every]
    return values[labels != NOT_OBSERVED], labels[labels != NOT_OBSERVED]


def f1_by_class(truth, found, classes):
    """F1 of each class, an array; NaN where the truth has none of it."""
    both = np.array([((truth == code) & (found == code)).sum() for code in range(len(classes))], float)
    either = np.array([(truth == code).sum() + (found == code).sum() for code in range(len(classes))])
    present = np.isin(np.arange(len(classes)), truth)
    return np.divide(2 * both, either, out=np.full(len(classes), np.nan), where=present)


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def fastest_loss(answer, areas):
    """The two neighboring years (a pair) of `World.areas` between which area shrank fastest per year."""
    if not isinstance(answer, list | tuple) or not all(isinstance(year, int | np.integer) for year in answer):
        return "type", {}
    total = areas.groupby("year").area_km2.sum()
    years = total.index.tolist()
    rates = {(a, b): (total[a] - total[b]) / (b - a) for a, b in pairwise(years)}
    if tuple(answer) not in rates:
        return "unknown", dict(choices=", ".join(f"({a}, {b})" for a, b in rates))
    (first, last), yours = answer, rates[tuple(answer)]
    facts = dict(first=first, last=last, rate=yours, lost=total[first] - total[last], years=last - first)
    return "right" if yours == max(rates.values()) else "slower", facts


def leak_kinds(answer, patches):
    """All kinds of leak (names, or several in one text) that the audit of a split set of patches reports."""
    given = [answer] if isinstance(answer, str) else list(answer) if np.iterable(answer) else [answer]
    if not all(isinstance(each, str) for each in given):
        return "type", {}
    named, planted = kinds_in(given), kinds_in(patches.audit().offenders["leak"])
    if extra := sorted(named - planted):
        return "extra", dict(extra=", ".join(extra))
    if missing := len(planted - named):
        return "missing", dict(found=len(named), missing=missing)
    return "right", dict(kinds=", ".join(sorted(planted)))


def kinds_in(texts):
    """The kinds of leak that texts name, each one or several with commas between."""
    return {kind.strip() for text in texts for kind in text.split(",") if kind.strip()}


def honest_split(answer, min_distance_m, min_share):
    """Patches (a PatchSet) split within each scene, without a leak, whose parts hold enough of everything."""
    if not hasattr(answer, "audit") or "split" not in answer.manifest:
        return "type", {}
    counts = answer.manifest["split"].value_counts(normalize=True)
    if not {"train", "test"} <= set(counts.index):
        return "type", {}
    scenes = {part: set(answer.subset(part).manifest["scene"]) for part in ("train", "test")}
    if whole := scenes["train"] ^ scenes["test"]:
        return "whole", dict(scenes=", ".join(sorted(whole)))
    report = answer.audit(min_distance_m)
    if not report.ok:
        return "leaks", dict(verdict=report.verdict, distance=min_distance_m)
    for part in ("train", "test"):
        if counts[part] < min_share:
            return "small", dict(part=part, percent=100 * counts[part], least=100 * min_share)
        shares = answer.subset(part).class_shares()
        if none := [name for name, share in answer.class_shares().items() if share and not shares[name]]:
            return "poor", dict(part=part, missing=", ".join(none))
    return "right", dict(nearest=report.table["nearest_m"].min(), percent=100 * counts["test"])


JUDGES = (fastest_loss, leak_kinds, honest_split)
