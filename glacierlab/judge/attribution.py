"""Which layers a model leans on: what its scores lose when a group of features is taken from it.

Permutation after Breiman 2001, doi:10.1023/A:1010933404324, by groups; integrated gradients after
Sundararajan et al. 2017, arXiv:1703.01365.
"""

import numbers
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..errors import GlacierlabError
from ..features.fitting import SCALED
from ..features.recipe import Recipe
from ..tables import NOT_OBSERVED, lookup
from .looking import card_of, channels_of
from .permuting import bar, permute_others, permute_pixels, permute_tiles
from .scenes import SceneSet, patches_or_scenes
from .tally import MEAN, SCORES, confusions, mean_of, score_values

COLUMNS = ["method", "class", "group", "importance", "spread", "repeats"]


def importance(
    model, patches, *, labels=None, groups=None, method="permute_tiles", metric="iou", repeats=5, seed=0,
    baseline=None, steps=64, train=None, fit=None, batch_size=8, device="auto",
):  # fmt: skip
    """How much a model's scores, class by class, owe to each group of its features.

    Labels stay where they are; only what the model sees changes. Groups that tell the same share their
    importance: either can be taken away without much loss. "permute_others" shows what each is worth alone.

    Parameters
    ----------
    model : Segmenter
        With a card.
    patches : PatchSet, xarray.Dataset, or list or dict of Datasets
        That the model was not trained on. Whole scenes (also of `gl.judge.whole_scenes`) are cut into windows
        as large as the model's tiles, side by side: these are the patches that swap features, and each is
        seen alone, not as `gl.predict` blends it with others.
    labels : DataArray or GeoDataFrame, or list or dict of them, optional
        Of scenes: class maps or outlines; by default their `truth`.
    groups : dict of str to sequence of str, optional
        Names of features by group; what is in none stays as it is, but for "permute_others". By default the
        groups of the recipe in the model's card, and each feature by itself where there is none.
    method : str or sequence of str
        - "permute_tiles": each patch gets the group of another, whole, so that its spatial structure stays;
        - "permute_pixels": each pixel gets the group of another, drawn from all patches, so that it goes;
        - "permute_others": each patch gets all features but the group's from another. The importance is what
          the score keeps above that with everything from another;
        - "occlude": the group is `baseline` everywhere;
        - "drop_group": the model is trained again without the group, and as often with all;
        - "integrated_gradients": for the sum of a class's logits over its pixels, the sum of the group's
          absolute attributions per such pixel [logit], in place of a loss of score.
    metric : str
        A score of `gl.scores_from`.
    repeats : int
        Permutations, or trainings, with seeds of their own; 5 is an assumption.
    seed : int
    baseline : dict of str to float, or PatchSet, optional
        What "occlude" and "integrated_gradients" put in place of a feature, or patches whose means that shall
        be: the training part. By default, where the recipe normalizes, 0, which is the mean of what it
        centers; cast shadow and the sines and cosines of angles, which it leaves as they are, get their mean
        over these patches.
    steps : int
        Points of "integrated_gradients" on the way from the baseline.
    train, fit : PatchSet, dict, optional
        For "drop_group": patches with a split, and arguments of `gl.fit` but for seed, val and out.
    batch_size : int
        Results do not depend on it.
    device : str

    Returns
    -------
    pandas.DataFrame
        Columns method, class (those of the patches and "mean", their unweighted mean), group, importance,
        spread (standard deviation over repeats; NaN of one) and repeats. attrs: `metric`; `score`, the
        unchanged model's by class; `passes`, how often the patches went through a model; with integrated
        gradients `incompleteness` by class, the share by which attributions miss the change of logits.

    Raises
    ------
    MissingBandError, UnknownNameError
        The patches lack features or classes of the model, or there is no such method, metric or feature.
    GlacierlabError
        A group is empty, a feature is in two; or the method cannot be used here: the message says why.

    Warns
    -----
    DataWarning
        Attributions miss the change of logits by more than 1 %.

    Notes
    -----
    Importances are differences of scores of the same patches, so that one of exactly 0 means that no pixel's
    class changed. Permuting makes images that no scene shows; where that misleads, "drop_group" does not.
    A pass costs as much as an evaluation: permuting takes repeats x groups + 1 of them ("permute_others":
    repeats x (groups + 1)), occluding groups + 1; integrated gradients take `steps` of them and one backward
    for each class besides; "drop_group" trains repeats x (groups + 1) times.

    Examples
    --------
    >>> import glacierlab as gl
    >>> model = gl.load_model("default")
    >>> scene = gl.judge.whole_scenes(gl.synthetic_scene(seed=6, shape=(64, 64)), like=model, size=32)
    >>> groups = {"visible": ["blue", "green", "red"], "infrared": ["nir", "swir16", "swir22"]}
    >>> table = importance(model, scene, groups=groups, repeats=2)
    >>> table[table["class"] == "mean"].sort_values("importance").group.tolist()
    ['visible', 'infrared']
    """
    if isinstance(repeats, bool) or not isinstance(repeats, numbers.Integral) or repeats < 1:
        raise GlacierlabError(f"repeats={repeats!r}: give a whole number, 1 or more.")
    lookup(dict.fromkeys(SCORES), metric, kind="metric")
    methods = [method] if isinstance(method, str) else list(method)
    measures = {name: lookup(METHODS, name, kind="method of importance") for name in methods}
    patches = patches_or_scenes(patches, labels, model)
    patches = patches.windows_alone() if isinstance(patches, SceneSet) else patches
    channels_of(model, patches)  # refuses what does not fit before anything else
    asked = Asked(
        model, patches, groups_of(model, groups), metric, int(repeats), seed, baseline, steps, train, fit,
        {"batch_size": batch_size, "device": device}, {"passes": 0},
    )  # fmt: skip
    found = pd.concat([asked.table(name, measure(asked)) for name, measure in measures.items()])
    found.attrs = {"metric": metric, "score": asked.by_class(asked.whole), **asked.notes}
    return found.reset_index(drop=True)


@dataclass(frozen=True)
class Asked:
    """What `importance` was asked, for every method alike."""

    model: object
    patches: object
    groups: dict  # names of features by group
    metric: str
    repeats: int
    seed: int
    baseline: object
    steps: int
    train: object
    fit: dict | None
    options: dict  # of `confusions`
    notes: dict  # for the table's attributes

    @cached_property
    def whole(self):
        """Scores of the model as it is (class + 1,): of each class, and their mean."""
        return self.scores()

    def scores(self, edit=None, model=None, patches=None):
        """Scores (class + 1,) of a model, by default this one, when images are edited first."""
        self.notes["passes"] += 1
        counts = confusions(model or self.model, patches or self.patches, edit=edit, **self.options)
        return score_values(counts.sum(axis=0))[:, SCORES.index(self.metric)]

    @property
    def features(self):
        """Names of the model's features."""
        return card_of(self.model).features

    def places(self, names):
        """Places of features in the patches' images."""
        return [self.patches.features.index(name) for name in names]

    def without(self, group):
        """Names of the model's features that are not in a group."""
        return [name for name in self.features if name not in self.groups[group]]

    def by_class(self, values):
        """Numbers (class + 1,) by name."""
        return dict(zip([*self.patches.classes, MEAN], np.asarray(values).tolist(), strict=True))

    def table(self, method, losses):
        """Rows of losses (repeat, class + 1) by group."""
        rows = []
        for group, each in losses.items():
            each = np.asarray(each)
            spread = each.std(axis=0, ddof=1) if len(each) > 1 else np.full(each.shape[1], np.nan)
            spreads = self.by_class(spread)
            for name, mean in self.by_class(each.mean(axis=0)).items():
                rows.append((method, name, group, mean, spreads[name], len(each)))
        return pd.DataFrame(rows, columns=COLUMNS)


def groups_of(model, groups):
    """Names of features by group, checked."""
    card = card_of(model)
    if groups is None:
        own = Recipe.from_json(card.recipe).groups if card.recipe else {}
        groups = {group: [name for name in names if name in card.features] for group, names in own.items()}
        named = {name for names in groups.values() for name in names}
        groups |= {name: [name] for name in card.features if name not in named}
        groups = {group: names for group, names in groups.items() if names}
    if not isinstance(groups, dict) or not groups:
        raise GlacierlabError(f"groups={groups!r}: give a dict of names of features by group.")
    groups = {group: [names] if isinstance(names, str) else list(names) for group, names in groups.items()}
    every = [name for names in groups.values() for name in names]
    for name in every:
        lookup(dict.fromkeys(card.features), name, kind="feature of the model")
    if twice := sorted({name for name in every if every.count(name) > 1}):
        raise GlacierlabError(f"{twice} would be in two groups, or twice in one: name each feature once.")
    if empty := [group for group, names in groups.items() if not names]:
        raise GlacierlabError(f"The groups {empty} hold no feature: leave them out.")
    return groups


# ---- a constant in place ----


def occlude(asked):
    """Losses of score, by group, when its features are constant."""
    values = baseline_of(asked)
    losses = {}
    for group, names in bar(asked.groups.items(), "occlude"):
        fill = np.array([values[name] for name in names], dtype=np.float32)[:, None, None]
        edit = with_constant(asked.places(names), fill)
        losses[group] = [asked.whole - asked.scores(edit)]
    return losses


def with_constant(channels, fill):
    """An edit that puts constants (channel, 1, 1) in place of channels."""

    def edit(images, places):
        images = images.copy()
        images[:, channels] = fill
        return images

    return edit


def baseline_of(asked):
    """What stands for "no information" of each of the model's features, a dict."""
    given, features = asked.baseline, asked.features
    if given is None:
        recipe = card_of(asked.model).recipe
        if recipe is None or not Recipe.from_json(recipe).normalize:
            raise GlacierlabError(
                "The model's features are not normalized, so that 0 is not their mean: give "
                "baseline=patches.subset('train'), or {feature: mean}."
            )
        as_they_are = [name for name in features if name in SCALED]
        means = means_of(asked.patches.select(as_they_are)) if as_they_are else {}
        return dict.fromkeys(features, 0.0) | means
    if hasattr(given, "store"):
        given = means_of(given)
    if not isinstance(given, dict):
        raise GlacierlabError(f"baseline={given!r:.60}: give patches, or a dict of number by feature.")
    for name in features:
        if not np.isfinite(given.get(name, np.nan)):
            raise GlacierlabError(
                f"baseline has no number for {name!r}: give one for each of {list(features)}."
            )
    return given


def means_of(patches):
    """Mean of each feature over the labeled pixels, a dict."""
    total, count = np.zeros(len(patches.features)), 0
    for _, image, label in patches.store.read_many(patches.windows(), patches.size):
        known = label != NOT_OBSERVED
        total += image[:, known].sum(axis=1, dtype=np.float64)
        count += known.sum()
    return dict(zip(patches.features, (total / max(count, 1)).tolist(), strict=True))


# ---- training again ----


def drop_group(asked):
    """Losses of score, by group, when the model is trained without it; the same seeds train one with all."""
    if asked.train is None or asked.fit is None:
        raise GlacierlabError(
            "'drop_group' trains again: give train=, patches with a split, and fit=, arguments of gl.fit."
        )
    if taken := sorted({"seed", "val", "out"} & set(asked.fit)):
        raise GlacierlabError(
            f"fit= holds {taken}: 'drop_group' seeds each repeat from seed=, validates by the split "
            "of train= and keeps no files."
        )
    kept = {group: asked.without(group) for group in asked.groups}
    if whole := [group for group, names in kept.items() if not names]:
        raise GlacierlabError(f"Without {whole} the model has no feature left: make smaller groups.")
    losses = {group: [] for group in asked.groups}
    for repeat in bar(range(asked.repeats), "drop_group"):
        with_all = retrained(asked, list(asked.features), asked.seed + repeat)
        for group, names in kept.items():
            losses[group].append(with_all - retrained(asked, names, asked.seed + repeat))
    return losses


def retrained(asked, names, seed):
    """Scores (class + 1,) of the same network, trained on some features."""
    import torch

    from ..models import build_model
    from ..train import fit

    options = dict(asked.model.options)
    if options.get("features") is not None:  # of an encoder, which knows channels by name
        options["features"] = names
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of the first weights
        fresh = build_model(asked.model.name, len(names), asked.model.classes, **options)
    training = fit(fresh, asked.train.select(names), seed=seed, **asked.fit)
    return asked.scores(model=training.model, patches=asked.patches.select(names))


# ---- gradients ----


def integrated_gradients(asked):
    """Absolute attributions per pixel of a class, by group; how far they are complete goes into the notes."""
    from .gradients import attributions

    values = baseline_of(asked)
    start = np.array([values[name] for name in asked.features], dtype=np.float32)
    by_channel, passes, incompleteness = attributions(
        asked.model, asked.patches, start, asked.steps, **asked.options
    )  # (class, channel)
    asked.notes["passes"] += passes
    asked.notes["incompleteness"] = dict(zip(asked.patches.classes, incompleteness.tolist(), strict=True))
    found = {}
    for group, names in asked.groups.items():
        sums = by_channel[:, [asked.features.index(name) for name in names]].sum(axis=1)
        found[group] = [np.append(sums, mean_of(sums, axis=0))]
    return found


METHODS = {
    "permute_tiles": permute_tiles,
    "permute_pixels": permute_pixels,
    "permute_others": permute_others,
    "occlude": occlude,
    "drop_group": drop_group,
    "integrated_gradients": integrated_gradients,
}
