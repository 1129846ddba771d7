"""Evaluation of a model on patches: every score with its interval, and where it comes from."""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from ..errors import GlacierlabError, UnknownNameError, warn
from ..samples.manifest import BUFFER
from .bootstrap import (
    FEWEST,
    LEVEL,
    REPEATS,
    Blocks,
    Draws,
    block_bootstrap,
    blocks_of,
    grouped,
    interval,
    scored,
    with_bounds,
)
from .calibration import BINS, Ledger, table_of
from .looking import looked
from .scenes import SceneSet, patches_or_scenes
from .strata import GroundStrata, glaciers_of, patch_bins
from .tally import MEAN, SCORES, count_patches, score_values, with_mean

SHOWN = ("precision", "recall", "f1", "iou")  # of a notebook's table


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a model made of patches; from `gl.evaluate`.

    Tables have one row a class, scored against the rest, and "mean", the classes' unweighted mean. Their
    columns are tp, fp, fn, tn [px], the scores of `gl.scores_from` [1], each followed by `{score}_low` and
    `{score}_high`, and `blocks`, the number of blocks behind these. Undefined values are NaN.

    Attributes
    ----------
    classes : tuple of str
    scores : pandas.DataFrame
        Pooled: all pixels counted together.
    macro : pandas.DataFrame
        The unweighted mean of the scores of patches, and of scenes where there are several: index (over,
        class), without counts. A unit whose score is undefined is left out.
    by_scene, by_glacier : pandas.DataFrame
        Pooled by scene, and over all patches that bear a glacier's id: index (scene or glacier, class).
        Their blocks are squares of ground.
    by_stratum : pandas.DataFrame
        Pooled by bin: index (stratum, bin, class), `by_stratum.loc["slope"].loc["from 40 degrees"]`.
    reliability, reliability_by_class : pandas.DataFrame
        Bins of `gl.judge.reliability`: of the highest probability, and of each class, index (class, bin).
    calibration : pandas.DataFrame
        Rows "all" (of the highest probability; the mean of the classes' Brier scores) and the classes: ece,
        mce, brier [1], nll [nat].
    confusions : numpy.ndarray
        (patch, class, class) int64, [actual, predicted].
    manifest : geopandas.GeoDataFrame
        The patches'.
    blocks : Blocks
        What was drawn for the intervals of `scores`.
    level : float
        Of the intervals.
    unobserved : float
        Share of the labeled pixels of whole scenes where a layer has no value: they are mapped as 255 and not
        counted. 0 of patches, which have no label there.

    Examples
    --------
    >>> import glacierlab as gl
    >>> judged = gl.evaluate(gl.load_model("default"), gl.synthetic_scene(seed=6, shape=(64, 64)))
    >>> judged.confusions.shape, judged.pixels
    ((1, 4, 4), 4096)
    >>> judged.confusion.shape
    (4, 4)
    """

    name: str
    classes: tuple[str, ...]
    scores: pd.DataFrame
    macro: pd.DataFrame
    by_scene: pd.DataFrame
    by_glacier: pd.DataFrame
    by_stratum: pd.DataFrame
    reliability: pd.DataFrame
    reliability_by_class: pd.DataFrame
    calibration: pd.DataFrame
    confusions: np.ndarray
    manifest: object
    blocks: Blocks
    level: float
    unobserved: float = 0.0

    @property
    def confusion(self):
        """Pixels by actual class (rows) and predicted class (columns)."""
        names = pd.Index(self.classes, name="actual"), pd.Index(self.classes, name="predicted")
        return pd.DataFrame(self.confusions.sum(axis=0), *names)

    @property
    def confusion_shares(self):
        """The same as shares of the actual class: each row sums to 1, or is NaN where the class is absent."""
        counts = self.confusion
        sums = counts.sum(axis=1)
        return counts.div(sums.where(sums > 0), axis=0)

    @property
    def ece(self):
        """Expected calibration error of the highest probability; that of a class is in `calibration`."""
        return float(self.calibration.loc["all", "ece"])

    @property
    def pixels(self):
        """How many labeled pixels were counted."""
        return int(self.confusions.sum())

    def metrics(self):
        """A summary for a model's card, in JSON's types; None where a value is undefined."""
        scores = {
            row: {
                name: {"value": at[name], "low": at[f"{name}_low"], "high": at[f"{name}_high"]}
                for name in SCORES
            }
            for row, at in self.scores.to_dict("index").items()
        }
        right, whole = np.trace(self.confusions.sum(axis=0)), self.pixels
        summary = {
            "patches": len(self.confusions),
            "pixels": whole,
            "scenes": int(self.manifest["scene"].nunique()),
            "unobserved": self.unobserved,
            "intervals": f"{self.level:.0%}, {self.blocks}",
            "overall_accuracy": right / whole if whole else np.nan,
            "scores": scores,
        }
        return as_json(summary | self.calibration.loc["all"].to_dict())

    def __repr__(self):
        at = self.scores.loc[MEAN]
        bounds = spread(at, "iou", f", {self.blocks}") if self.blocks.enough else f" (interval {self.blocks})"
        lost = f"; {self.unobserved:.1%} of labeled pixels not observed" if self.unobserved else ""
        return (
            f"<Evaluation of {self.name!r} on {len(self.confusions):,} patches, {self.pixels:,} pixels: "
            f"mean IoU {at['iou']:.3f}{bounds}; ECE {self.ece:.3f}{lost}>"
        )

    def _repr_html_(self):
        cells = {
            name.replace("iou", "IoU"): [
                f"{at[name]:.3f}{spread(at, name)}" for _, at in self.scores.iterrows()
            ]
            for name in SHOWN
        }
        table = pd.DataFrame(cells, index=self.scores.index.rename(None)).to_html(border=0)
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}"


def evaluate(
    model, patches, *, labels=None, inference=None, strata=None, bins=None, by=(), inventory=None,
    blocks="auto", block_m=None, fewest=FEWEST, repeats=REPEATS, level=LEVEL, reliability_bins=BINS,
    batch_size=8, device="auto", seed=0,
):  # fmt: skip
    """Judge a model by patches or whole scenes that it was not trained on.

    Every patch is read once and goes through the model once. A whole scene is mapped by `gl.predict`, with
    tiles and blend as a user's map has them, and counted while it is made, in windows as large as a tile.
    Intervals come from blocks of patches or windows drawn with replacement, for neighbors err together.

    Parameters
    ----------
    model : Segmenter
        With a card; features and classes are matched by name, and its temperature is applied.
    patches : PatchSet, xarray.Dataset, or list or dict of Datasets
        All of them count: give a part of the split, `patches.subset("test")`. Or whole scenes, also as
        `gl.judge.whole_scenes` makes them, which says what they and their labels may be.
    labels : DataArray or GeoDataFrame, or list or dict of them, optional
        Of scenes: class maps or outlines; by default their `truth`.
    inference : dict, optional
        Settings of `gl.predict`: tile, overlap, blend, tta, dropout, seed, batch_size, precision. By default
        those of `predict`, but float32, so that scores do not depend on the machine. A patch is one tile, to
        which tile, overlap and blend mean nothing.
    strata : PatchSet or sequence of str, optional
        Of whole scenes, names of layers, as `scene.glacier.stack` takes them: "elevation", "slope", …. Or
        patches of the same windows (or more), whose features are layers in natural units: elevation [m],
        slope [degrees], aspect [degrees] or aspect_sin and aspect_cos, shadow, cloud, ndvi, debris, …. Pixels
        are told apart by bins of `tables.STRATA`, of which most are assumptions; relief is the mean slope of
        a patch, unless it is a layer. A pixel that lacks any of the layers is in no bin.
    bins : dict of str to sequence of float, optional
        Your own edges for layers and columns; a value on an edge belongs to the bin above.
    by : sequence of str, optional
        Columns of the manifest to tell patches apart by, such as "region"; also "debris_frac", the
        debris-covered share of a patch's ice.
    inventory : geopandas.GeoDataFrame, optional
        With ids, as the manifest's `glaciers`, and area_km2: patches are told apart by their largest glacier.
    blocks : {"auto", "scene", "glacier", "space"}
        What is drawn; see `gl.judge.blocks_of`.
    block_m : float, optional
        Side of the squares of "space" [m]; four patches by default, an assumption.
    fewest : int
        Blocks below which an interval is NaN; 5, an assumption.
    repeats, level : int, float
        Samples, and the share of them within an interval.
    reliability_bins : int
        15, an assumption.
    batch_size : int
        Patches at a time.
    device : str or torch.device
        "auto" is a GPU where there is one.
    seed : int

    Returns
    -------
    Evaluation

    Raises
    ------
    MissingBandError
        The patches lack features of the model.
    UnknownNameError
        One of the two knows a class that the other does not; a stratum has no bins.
    GridError
        The strata are of other windows or other ground; a scene's labels are on another grid; its pixels
        differ from the model's by more than a third, or are degrees.
    GlacierlabError
        There are no patches, none is labeled, an image or a probability is not finite, the model has no card.

    Warns
    -----
    DataWarning
        The patches mix parts of a split, their recipe or radiometry is not that of the model, or it was
        trained on some of them.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> judged = evaluate(gl.load_model("default"), scene)
    >>> judged.classes
    ('background', 'clean_ice', 'debris_covered_ice', 'glacial_lake')
    >>> judged.scores.loc["clean_ice", ["iou", "f1"]].round(1).tolist()
    [0.6, 0.7]
    """
    patches = patches_or_scenes(patches, labels, model)
    warn_if_mixed(patches)
    if isinstance(patches, SceneSet) and isinstance(strata, str | list | tuple):
        strata = patches.layered(strata)
    draws = Draws(repeats, level, seed, fewest)
    own = dict(bins or {})
    found = blocks_of(patches.manifest, blocks, block_m=block_m, fewest=fewest) if len(patches) else None
    ground = GroundStrata(strata, patches, found.of_patch, own) if strata is not None and found else None
    columns = [by] if isinstance(by, str) else [*by]
    columns += ["glacier_area_km2"] if inventory is not None and "glacier_area_km2" not in columns else []
    binned = {name: patch_bins(patches, name, own, inventory) for name in columns}
    require_used(own, binned, ground)

    classes, size = patches.classes, len(patches.classes)
    confusions, ledger = np.zeros((len(patches), size, size), np.int64), Ledger(size, reliability_bins)

    def look(places, probabilities, labels):
        predicted = probabilities.argmax(axis=1)
        strata = ground.entry(places, labels, predicted) if ground is not None else {}
        return places, count_patches(labels, predicted, size), ledger.entry(probabilities, labels), strata

    how, notes = dict(batch_size=batch_size, device=device, inference=inference), {}
    for places, counts, sums, strata in looked(model, patches, look, notes=notes, **how):
        confusions[places] = counts
        ledger.add(sums)
        if ground is not None:
            ground.add(places, strata)
    if not confusions.any():
        raise GlacierlabError("No pixel of the patches has a label: there is nothing to judge a model by.")

    space = grouped(patches.manifest, "space", block_m)
    scenes = patches.manifest["scene"].to_numpy()
    per_class = {name: table_of(sums) for name, sums in zip(classes, ledger.sums[1:], strict=True)}
    return Evaluation(
        name=model.name,
        classes=classes,
        scores=scored(confusions, found.of_patch, classes, draws),
        macro=macro(confusions, patches.manifest, found, classes, draws),
        by_scene=by_group(scenes, np.arange(len(scenes)), "scene", confusions, space, classes, draws),
        by_glacier=by_glacier(confusions, patches.manifest, space, classes, draws),
        by_stratum=by_stratum(confusions, binned, ground, found.of_patch, classes, draws),
        reliability=table_of(ledger.sums[0]),
        reliability_by_class=pd.concat(per_class, names=["class", "bin"]),
        calibration=ledger.summary(classes),
        confusions=confusions,
        manifest=patches.manifest,
        blocks=found,
        level=level,
        unobserved=notes["unobserved"] / notes["labeled"] if notes.get("labeled") else 0.0,
    )


# ---- tables ----


def macro(confusions, manifest, blocks, classes, draws):
    """Unweighted means of the scores of patches and of scenes, with intervals."""
    scenes, _ = pd.factorize(manifest["scene"])
    summed = np.zeros((scenes.max() + 1, *confusions.shape[1:]), np.int64)
    np.add.at(summed, scenes, confusions)
    units = {"patch": (confusions, blocks.of_patch)}
    if len(summed) > 1:  # a scene belongs to one block where blocks are scenes, and ties between them
        of_scene = np.zeros(len(summed), int)
        of_scene[scenes] = grouped(manifest, "scene", None)
        units = {"scene": (summed, of_scene)} | units
    tables = {over: macro_of(*each, classes, draws) for over, each in units.items()}
    return pd.concat(tables, names=["over", "class"])


def macro_of(confusions, blocks, classes, draws):
    """The mean over units (unit, K, K) of their scores; the blocks of units are drawn."""
    held = confusions.any(axis=(1, 2))
    each, blocks = score_values(confusions[held])[:, :-1], pd.factorize(blocks[held])[0]
    defined = ~np.isnan(each)
    sums = np.stack([np.where(defined, each, 0), defined], axis=1)  # (unit, 2, K, score)

    def mean(sums):  # (..., 2, K, score)
        above, below = np.moveaxis(sums, -3, 0)
        return with_mean(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))

    index, number = pd.Index([*classes, MEAN], name="class"), int(blocks.max(initial=-1)) + 1
    table = pd.DataFrame(mean(sums.sum(axis=0, dtype=float)), index, SCORES)
    bounds = np.full((2, *table.shape), np.nan)
    if number >= draws.fewest:
        drawn = block_bootstrap(sums, blocks, mean, repeats=draws.repeats, seed=draws.seed)
        bounds = interval(drawn, draws.level)
    return with_bounds(table, bounds).assign(blocks=number)


def by_group(names, places, what, confusions, space, classes, draws):
    """Scores of groups of patches; `names` are those of the groups, `places` their patches, row by row."""
    codes, found = pd.factorize(names)
    if not len(found):
        return empty_table([what, "class"], classes, draws)
    rows = {name: places[codes == number] for number, name in enumerate(found)}
    tables = {name: scored(confusions[own], space[own], classes, draws) for name, own in rows.items()}
    return pd.concat(tables, names=[what, "class"])


def by_glacier(confusions, manifest, space, classes, draws):
    """Scores over the patches that bear each glacier's id; no rows where ids are not known."""
    if "glaciers" not in manifest:
        return empty_table(["glacier", "class"], classes, draws)
    borne = glaciers_of(manifest).sort_values(key=lambda ids: ids.map(str), kind="stable")
    return by_group(borne.to_numpy(), borne.index.to_numpy(), "glacier", confusions, space, classes, draws)


def by_stratum(confusions, binned, ground, of_block, classes, draws):
    """Scores by bins of layers and of columns; empty bins are left out."""
    tables = {}
    for name, bins in (ground.bins if ground is not None else {}).items():
        every = np.arange(len(ground.counts[name]))
        for place, label in enumerate(bins.labels):
            if (counts := ground.counts[name][:, place]).any():
                tables[name, label] = scored(counts, every, classes, draws)
    for name, (places, labels) in binned.items():
        for place, label in enumerate(labels):
            if confusions[own := places == place].any():
                tables[name, label] = scored(confusions[own], of_block[own], classes, draws)
    names = ["stratum", "bin", "class"]
    return pd.concat(tables, names=names) if tables else empty_table(names, classes, draws)


def empty_table(names, classes, draws):
    """A table without rows, with the columns of others."""
    nothing = np.zeros((0, len(classes), len(classes)), np.int64)
    columns = scored(nothing, np.zeros(0, int), classes, draws).columns
    return pd.DataFrame(columns=columns, index=pd.MultiIndex.from_arrays([[]] * len(names), names=names))


# ---- checks and words ----


def warn_if_mixed(patches):
    """DataWarning where a split's parts are mixed."""
    if "split" in patches.manifest:
        parts = sorted(set(patches.manifest["split"].dropna()) - {BUFFER})
        if len(parts) > 1:
            warn(f"The patches are of {parts} together: judge by one part, patches.subset({parts[0]!r}).")


def require_used(own, binned, ground):
    """UnknownNameError if bins are given for what is no stratum here."""
    known = {*binned, *(ground.made if ground is not None else ())}
    if unused := [name for name in own if name not in known]:
        raise UnknownNameError(
            f"bins= names {unused}, and the strata are {sorted(known) or 'none'}: give strata= a PatchSet "
            "with that layer, or by= the column."
        )


def spread(at, name, why=""):
    """An interval in words, nothing where there is none."""
    low, high = at[f"{name}_low"], at[f"{name}_high"]
    return "" if np.isnan(low) else f" ({low:.3f} to {high:.3f}{why})"


def as_json(value):
    """Numbers as Python's own, None for what is not finite."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, str | int):
        return value
    return float(value) if np.isfinite(value) else None
