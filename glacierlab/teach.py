"""Checks for the exercises (a verdict and a hint, never the solution), and what the lessons measure."""

from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from scipy.stats import mannwhitneyu

from .errors import GlacierlabError
from .features.indices import index
from .features.recipe import Recipe
from .features.texture import glcm
from .features.threshold import best_threshold
from .io.layers import pixel_size_m
from .scores import burn, score
from .tables import NOT_OBSERVED, band_name, lookup, read_table

EXERCISES = read_table("exercises.toml", dict)  # what is said to each finding
HEADS = {True: "Right.", False: "Not yet."}
COLORS = {True: "#2e9e5b", False: "#e08e0b"}
WINDOWS, WIDEST = (3, 5, 7, 9, 11, 15, 21, 31), 99  # pixels, that an answer is compared with
ALIKE, AS_GOOD = 0.002, 0.005  # of correlation and of separation: too little to matter, assumptions
MOST_FEATURES = 3


@dataclass(frozen=True)
class Verdict:
    """What `check` finds: true where the answer is right, and shown as a sentence."""

    right: bool
    text: str

    def __bool__(self):
        return self.right

    def __repr__(self):
        return f"{HEADS[self.right]} {self.text}"

    def _repr_html_(self):
        style = f"border-left: 5px solid {COLORS[self.right]}; padding: 0.4em 0.8em"
        return f'<div style="{style}"><b>{HEADS[self.right]}</b> {escape(self.text)}</div>'


def check(exercise, answer, *given):
    """Check an answer to an exercise; what is right is computed from the data, not stored.

    Parameters
    ----------
    exercise : str
        A key of `EXERCISES`, such as "ndsi_threshold".
    answer : object
        A number, a name or outlines, as the exercise asks.
    *given : object
        The data of the exercise, in the order of the function of its name in this module.

    Returns
    -------
    Verdict

    Raises
    ------
    UnknownNameError
        There is no such exercise.
    """
    texts = lookup(EXERCISES, exercise, kind="exercise")
    finding, facts = JUDGES[exercise](answer, *given)
    return Verdict(finding == "right", texts[finding].format(**facts))


# ---- what lessons measure


def debris_and_ground(scene, glacier, *, below=0.2, within_m=500.0):
    """Debris on a glacier, and the bare ground beside it.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x), with green, red, nir, swir16 in reflectance, in a projected CRS.
    glacier : xarray.DataArray
        Mask (y, x) of bool, such as `scores.burn(outlines, scene.red)`.
    below : float
        Bare is what has NDSI and NDVI below this: neither ice nor plants. Assumption: 0.2.
    within_m : float
        How far from debris the ground may lie [m]. Assumption: 500.

    Returns
    -------
    debris, ground : xarray.DataArray
        Masks (y, x) of bool: bare on the glacier, and bare off it but near debris.
    """
    bare = (index(scene, "ndsi") < below) & (index(scene, "ndvi") < below)
    debris = (glacier & bare).transpose("y", "x")
    away = distance_transform_edt(~debris.values) * pixel_size_m(scene)
    return debris, bare & ~glacier & debris.copy(data=(away <= within_m) & debris.values.any())


def pixels(stack, **masks):
    """The pixels of a stack under masks as a table.

    Parameters
    ----------
    stack : xarray.DataArray
        (feature, y, x).
    **masks : xarray.DataArray
        (y, x) of bool, by what they show: `debris=`, `ground=`.

    Returns
    -------
    pandas.DataFrame
        One row a pixel that is observed in every feature, one column a feature; the index's first level names
        the mask.
    """
    values = stack.transpose("feature", "y", "x").values.astype(float)  # float32 ranks would be rounded
    names = stack["feature"].values
    under = {
        kind: pd.DataFrame(values[:, mask.transpose("y", "x").values].T, columns=names)
        for kind, mask in masks.items()
    }
    return pd.concat(under, names=["kind", "pixel"]).dropna()


def separation(table):
    """How well each feature alone tells the two kinds of a table of `pixels` apart: 0.5 not at all, 1 wholly.

    The area under the ROC curve, either way round: how often a random pixel of the one kind lies above a
    random one of the other, or below it if that is more often.

    Returns
    -------
    pandas.Series
        By feature, the highest first.
    """
    first, second = (table.loc[kind] for kind in table.index.unique("kind"))
    above = mannwhitneyu(first, second, method="asymptotic").statistic / (len(first) * len(second))
    found = pd.Series(np.maximum(above, 1 - above), table.columns, name="separation")
    return found.sort_values(ascending=False)


def together(table, other):
    """How well all features of a table of `pixels` together tell its two kinds apart on another one.

    Fisher's linear discriminant (1936, doi:10.1111/j.1469-1809.1936.tb02137.x) of `table` weighs and sums the
    features of `other`; the `separation` of that sum.
    """
    first, second = (table.loc[kind] for kind in table.index.unique("kind"))
    weights = np.linalg.pinv((first.cov() + second.cov()).to_numpy()) @ (first.mean() - second.mean())
    return separation((other[table.columns] @ weights).to_frame("sum")).item()


# ---- what lesson 3 measures


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


def darkest_band(answer, bands, reference):
    """The band (a name) with the lowest median reflectance inside the reference."""
    if not isinstance(answer, str):
        return "type", {}
    ice = bands.where(burn(reference, bands.to_array()[0]))
    percent = {name: 100 * value.item() for name, value in ice.median().items()}
    band, brightest = band_name(answer), max(percent, key=percent.get)
    if band not in percent:
        return "unknown", dict(band=answer, choices=", ".join(percent))
    facts = dict(band=band, percent=percent[band], brightest=brightest, brightest_percent=percent[brightest])
    return "right" if band == min(percent, key=percent.get) else "brighter", facts


def ndsi_threshold(answer, ndsi, reference):
    """A threshold (a number) in the stable range of the sweep."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    curve = best_threshold(ndsi, reference, np.linspace(0, 1, 101))
    low, high = curve.stable
    finding = "low" if number < low else "high" if number > high else "right"
    return finding, dict(number=number, low=low, high=high, tolerance=curve.tolerance)


def better_outlines(answer, lesson_map, reference):
    """Outlines (a GeoDataFrame) with a higher F1 than the lesson's map."""
    if not hasattr(answer, "geometry"):
        return "type", {}
    seen = lesson_map != NOT_OBSERVED
    f1 = lambda each: score(each, reference, region=seen, boundary=False).f1.item()
    yours, ours = f1(burn(answer, lesson_map)), f1(lesson_map)
    finding = "right" if yours > ours else "worse" if yours < ours else "same"
    return finding, dict(f1=yours, f1_lesson=ours)


def alike_bands(answer, bands):
    """The two bands (a pair of names) of a stack with the highest correlation, or nearly so."""
    if not isinstance(answer, list | tuple) or not all(isinstance(name, str) for name in answer):
        return "type", {}
    names = list(dict.fromkeys(map(band_name, answer)))
    known = bands["feature"].values.tolist()
    if len(names) != 2 or not set(names) <= set(known):
        return "unknown", dict(choices=", ".join(known))
    table = pixels(bands, all=bands.notnull().all("feature")).corr()
    yours, best = table.loc[names[0], names[1]], table.mask(np.eye(len(table), dtype=bool)).max().max()
    facts = dict(first=names[0], second=names[1], correlation=yours)
    return "right" if yours >= best - ALIKE else "unlike", facts


def texture_window(answer, image, debris, ground):
    """A window (a number of pixels) whose homogeneity separates debris from ground as the best does."""
    number = as_number(answer)
    if number is None or number % 1 or not 3 <= number <= WIDEST:
        return "type", {}
    if number % 2 == 0:
        return "even", dict(window=int(number))
    masks = dict(debris=debris, ground=ground)
    found = {
        window: separation(pixels(glcm(image, ["homogeneity"], window=window), **masks)).item()
        for window in sorted({*WINDOWS, int(number)})
    }
    yours, best = found[number], max(found, key=found.get)
    finding = "right" if yours >= found[best] - AS_GOOD else "narrow" if number < best else "wide"
    return finding, dict(window=int(number), separation=yours)


def better_stack(answer, lesson, first, second):
    """Layers (at most three features) that together beat the lesson's on a second scene.

    `first` and `second` are each a scene and its glaciers' mask: learned on the one, tried on the other.
    """
    if not isinstance(answer, list | tuple) or not all(isinstance(name, str) for name in answer):
        return "type", {}

    def tried(layers):
        recipe = Recipe(layers).fit(first[0])
        tables = []
        for scene, glacier in (first, second):
            debris, ground = debris_and_ground(scene, glacier)
            tables.append(pixels(recipe.apply(scene), debris=debris, ground=ground))
        return recipe.features, together(*tables)

    try:
        features, yours = tried(answer)
    except GlacierlabError as error:
        return "unknown", dict(error=error)
    if len(features) > MOST_FEATURES:
        return "many", dict(features=", ".join(features), count=len(features))
    ours = tried(lesson)[1]
    finding = "right" if yours > ours else "worse" if yours < ours else "same"
    return finding, dict(separation=yours, lesson=ours)


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
    """All kinds of leak (names) that the audit of a split set of patches reports."""
    if not isinstance(answer, list | tuple | set) or not all(isinstance(kind, str) for kind in answer):
        return "type", {}
    planted = {kind for why in patches.audit().offenders["leak"] for kind in why.split(", ")}
    if extra := sorted(set(answer) - planted):
        return "extra", dict(extra=", ".join(extra))
    if missing := len(planted - set(answer)):
        return "missing", dict(found=len(set(answer)), missing=missing)
    return "right", dict(kinds=", ".join(sorted(planted)))


def honest_split(answer, min_distance_m, min_share):
    """A split set of patches (a PatchSet) that leaks nothing, and whose parts hold enough of everything."""
    if not hasattr(answer, "audit") or "split" not in answer.manifest:
        return "type", {}
    counts = answer.manifest["split"].value_counts(normalize=True)
    if not {"train", "test"} <= set(counts.index):
        return "type", {}
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


def as_number(answer):
    """An answer as a float, also of a 0-d array or a ThresholdCurve; None if it is no finite number."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


JUDGES = {
    function.__name__: function
    for function in (
        darkest_band,
        ndsi_threshold,
        better_outlines,
        alike_bands,
        texture_window,
        better_stack,
        fastest_loss,
        leak_kinds,
        honest_split,
    )
}
