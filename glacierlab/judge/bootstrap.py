"""How sure a score is: blocks of patches that hang together are drawn again and again.

Pixels of one scene or glacier resemble each other, so that intervals from pixels or patches come out too
narrow. Block bootstrap: Efron and Tibshirani 1993, An introduction to the bootstrap; blocks in space:
Roberts et al. 2017, doi:10.1111/ecog.02881.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import GlacierlabError
from ..samples.manifest import links, require_manifest
from ..samples.splits import tied_groups as tied_groups
from ..scores import COUNTS
from ..tables import lookup
from .tally import SCORES, score_values, scores_of

FEWEST = 5  # blocks without which there is no interval, an assumption
LEVEL = 0.95
REPEATS = 1000
BOUNDS = [[f"{score}_{side}" for score in SCORES] for side in ("low", "high")]
KINDS = {"scene": "scenes", "glacier": "glaciers", "space": "squares of ground"}


@dataclass(frozen=True)
class Draws:
    """How intervals are made: samples, share of them within, seed, and blocks that they need."""

    repeats: int = REPEATS
    level: float = LEVEL
    seed: int = 0
    fewest: int = FEWEST


@dataclass(frozen=True, eq=False)
class Blocks:
    """What is drawn together: the block of each patch.

    Attributes
    ----------
    of_patch : numpy.ndarray
        (patch,) int, from 0.
    kind : str
        "scene", "glacier" or "space".
    count : int
    enough : bool
        Whether there are as many as an interval needs.
    """

    of_patch: np.ndarray
    kind: str
    fewest: int = FEWEST

    @property
    def count(self):
        return int(self.of_patch.max(initial=-1)) + 1

    @property
    def enough(self):
        return self.count >= self.fewest

    def __str__(self):
        what = f"{self.count} {KINDS[self.kind]}"
        return f"by {what}" if self.enough else f"none: {what} are too few, {self.fewest} are needed"


def blocks_of(manifest, by="auto", *, block_m=None, fewest=FEWEST):
    """The blocks of a manifest's patches.

    Patches of one window at several dates are in one block whatever the kind, and so are those that share a
    glacier, but for "space".

    Parameters
    ----------
    manifest : geopandas.GeoDataFrame
        Of a `PatchSet`.
    by : {"auto", "scene", "glacier", "space"}
        "auto" takes the first of the three that gives `fewest` blocks. Where scenes are too few, and glaciers
        or squares stand in, the interval knows nothing of how scenes differ.
    block_m : float, optional
        Side of the squares of "space" [m]; by default four patches. An assumption: it should be longer than
        errors resemble each other.
    fewest : int
        Blocks below which there is no interval; 5, an assumption.

    Returns
    -------
    Blocks

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> blocks = blocks_of(patches.manifest, block_m=960)
    >>> len(patches.manifest), blocks.kind, blocks.count, blocks.enough
    (16, 'space', 6, True)
    """
    require_manifest(manifest)
    if by != "auto":
        lookup(KINDS, by, kind="kind of blocks")
        if by == "glacier" and "glaciers" not in manifest:
            raise GlacierlabError("The manifest names no glaciers: PatchSet.from_scenes(…, glaciers=…).")
    kinds = [by] if by != "auto" else ["scene", *(["glacier"] if "glaciers" in manifest else []), "space"]
    found = None
    for kind in kinds:
        found = Blocks(grouped(manifest, kind, block_m), kind, fewest)
        if found.enough:
            break
    return found


def grouped(manifest, kind, block_m):
    """The block (patch,) of each patch."""
    tied = links(manifest)
    if kind != "glacier":
        if kind == "space":
            tied.pop("glaciers", None)  # one that crosses many squares would join them all
        return tied_groups(manifest, "blocks" if kind == "space" else kind, tied, block_m)
    groups = tied_groups(manifest, kind, tied, block_m)
    bare = np.array([not np.size(each) or np.all(pd.isna(each)) for each in manifest["glaciers"]])
    if bare.any():  # patches without ice, each a block of its own, would look like evidence
        groups[bare] = len(manifest) + grouped(manifest[bare], "space", block_m)
    return pd.factorize(groups)[0]


def block_bootstrap(confusions, blocks, statistic, *, repeats=REPEATS, seed=0):
    """A statistic of pooled confusion matrices, over blocks drawn with replacement.

    Several models are compared in pairs by giving their matrices side by side, (patch, model, K, K): the same
    blocks are drawn for all, and a difference is a statistic as any other. The same seed and number of blocks
    draw the same blocks in another call too.

    Parameters
    ----------
    confusions : array (patch, ...)
        Counts of each patch.
    blocks : Blocks, or array of int (patch,)
        The block of each patch.
    statistic : callable
        Of sums (repeats, ...) of counts → (repeats, ...); vectorized, as `tally.score_values` is.
    repeats : int
    seed : int

    Returns
    -------
    numpy.ndarray
        (repeats, ...) samples of the statistic.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[[90, 10], [5, 45]], [[80, 20], [0, 50]], [[70, 30], [10, 40]]])  # three patches
    >>> share_right = lambda sums: np.trace(sums, axis1=-2, axis2=-1) / sums.sum((-2, -1))
    >>> samples = block_bootstrap(counts, np.array([0, 1, 2]), share_right, repeats=200)
    >>> samples.shape, interval(samples).round(2).tolist()
    ((200,), [0.73, 0.9])
    """
    confusions = np.asarray(confusions)
    of_patch = np.asarray(blocks.of_patch if isinstance(blocks, Blocks) else blocks)
    if of_patch.shape != confusions.shape[:1] or not len(of_patch):
        raise GlacierlabError(f"{len(of_patch)} blocks for {len(confusions)} patches: give one for each.")
    if not isinstance(repeats, int) or repeats < 1:
        raise GlacierlabError(f"repeats={repeats!r}: give a whole number, 1 or more.")
    number = int(of_patch.max()) + 1
    sums = np.zeros((number, *confusions.shape[1:]))
    np.add.at(sums, of_patch, confusions)
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=repeats)
    # float64 holds sums of counts exactly to 2^53, and BLAS multiplies it
    samples = drawn.astype(float) @ sums.reshape(number, -1)
    return statistic(samples.reshape(repeats, *confusions.shape[1:]))


def interval(samples, level=LEVEL):
    """Lower and upper bound (2, ...) of samples (repeats, ...): percentiles; NaN where all samples are.

    Samples without a value (a class that no drawn block holds) are left out.

    Parameters
    ----------
    samples : array of float (repeats, ...)
        Of `block_bootstrap`.
    level : float
        Share of the samples within [1].

    Returns
    -------
    numpy.ndarray
        (2, ...), in the units of the samples.

    Examples
    --------
    >>> import numpy as np
    >>> interval(np.arange(101.0), level=0.9).round(6).tolist()
    [5.0, 95.0]
    """
    if not 0 < level < 1:
        raise GlacierlabError(f"level={level!r}: give the share of samples within, such as 0.95.")
    samples = np.asarray(samples, dtype=float)
    bounds = np.full((2, *samples.shape[1:]), np.nan)
    some = ~np.isnan(samples).all(axis=0)
    tails = (0.5 - level / 2, 0.5 + level / 2)
    bounds[:, some] = np.nanquantile(samples[:, some], tails, axis=0)
    return bounds


def scored(confusions, blocks, classes, draws):
    """`scores_of` with an interval beside each score, `iou_low` and `iou_high`, and the number of `blocks`.

    `blocks` (patch,) are the patches' blocks; those without a labeled pixel do not count. Too few: NaN.
    """
    held = confusions.any(axis=(1, 2))
    confusions, blocks = confusions[held], pd.factorize(blocks[held])[0]
    table, number = scores_of(confusions, classes), int(blocks.max(initial=-1)) + 1
    bounds = np.full((2, *table[[*SCORES]].shape), np.nan)
    if number >= draws.fewest:
        drawn = block_bootstrap(confusions, blocks, score_values, repeats=draws.repeats, seed=draws.seed)
        bounds = interval(drawn, draws.level)
    return with_bounds(table, bounds).assign(blocks=number)


def with_bounds(table, bounds):
    """A table with columns of the lower and upper bound (2, row, score) after each score."""
    sides = [pd.DataFrame(each, table.index, names) for each, names in zip(bounds, BOUNDS, strict=True)]
    together = [column for trio in zip(SCORES, *BOUNDS, strict=True) for column in trio]
    return pd.concat([table, *sides], axis=1)[[name for name in COUNTS if name in table] + together]
