"""What a comparison of models found: scores with intervals, differences in pairs, and a verdict."""

import json
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ..io.write import whole_file, write_text
from .bootstrap import block_bootstrap, blocks_of, interval
from .tally import MEAN, SCORES, mean_of, score_values

KEYS = ["trained_on", "test", "class", "metric"]
BOUNDS = ["low", "high"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Models under one split, with the same seeds and budget; made by `gl.compare`.

    Attributes
    ----------
    table : pandas.DataFrame
        `model`, `trained_on` (a study, "train", or "elsewhere"), `test`, `class`, `metric`, `value`, the 95 %
        interval `low` to `high`, and how many `seeds` it is the mean of. Classes are scored against the rest;
        "mean" is their unweighted mean. Bounds are NaN where blocks are too few.
    models : pandas.DataFrame
        One row a model and training: `architecture`, `features` (how many), `layers`, `inference` (settings
        of `gl.predict` that were given), `parameters` (numbers learned), `seeds`, `epochs` and `training_s`
        [s] (means over seeds), `s_per_megapixel` [s] (of patches, all views), `warned`, what training said of
        the data, and `failed`, why it gave nothing, or "".
    differences : pandas.DataFrame
        `trained_on`, `test`, `class`, `metric`, `first`, `second`, `difference` (first - second), `low`,
        `high`: the same blocks are drawn for both.
    about : dict
        `budget`, `seeds`, `metrics`, `data` (what trained, by study), `blocks` (what was drawn, by test),
        `leaks` and `notes`.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(96, 96))
    >>> layers, classes = ["red", "nir", "swir16"], ["background", "glacier"]
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, layers, size=16, classes=classes)
    >>> patches = patches.split(by="blocks", block_m=960, shares=(0.6, 0.4), names=("train", "test"))
    >>> found = gl.compare(["band_ratio", "single_band"], patches)
    >>> {name: iou[:3] for name, iou in found.wide("iou").loc[("test", "glacier")].items()}
    {'band_ratio': '0.7', 'single_band': '0.3'}
    """

    table: pd.DataFrame
    models: pd.DataFrame
    differences: pd.DataFrame
    about: dict

    @property
    def ok(self):
        """Whether no model failed."""
        return not (self.models["failed"] != "").any()

    def wide(self, metric=None):
        """One score for people: rows are tests and classes, columns models, cells values with intervals."""
        chosen = self.table[self.table["metric"] == self._metric(metric)]
        cells = chosen.assign(cell=[said(*row) for row in chosen[["value", *BOUNDS]].to_numpy()])
        wide = cells.pivot(index=["test", "class"], columns="model", values="cell")
        wide = wide.reindex(columns=self.models["model"].unique())
        order = pd.MultiIndex.from_frame(chosen[["test", "class"]].drop_duplicates())
        return wide.reindex(order).astype(object).fillna("failed")

    def verdict(self, metric=None):
        """What the paired intervals allow to be said, a line for each test and class but background.

        A model is called behind another only where the interval of their difference does not hold 0.
        Intervals are not corrected for how many models are compared.
        """
        metric = self._metric(metric)
        mine = self.table[(self.table["metric"] == metric) & ~self.table["class"].isin(["background", MEAN])]
        lines = [
            self._verdict(test, name, metric, group)
            for (test, name), group in mine.groupby(["test", "class"], sort=False)
        ]
        failed = self.models[self.models["failed"] != ""]
        lines += [f"{row.model} ({row.trained_on}) failed: {row.failed}" for row in failed.itertuples()]
        return "\n".join([*lines, *self.about["notes"]])

    def _verdict(self, test, name, metric, group):
        head = f"{test}, {name}, {metric}: "
        group = group.dropna(subset="value").sort_values("value", ascending=False, kind="stable")
        if group.empty:
            return head + "no model has a score."
        best = group.iloc[0]
        head += f"{best['model']} {said(*best[['value', *BOUNDS]])}"
        rows = self.differences.query("test == @test and `class` == @name and metric == @metric")
        behind, level = [], []
        for rival in group["model"].iloc[1:]:
            forth = rows[(rows["first"] == best["model"]) & (rows["second"] == rival)]
            back = rows[(rows["first"] == rival) & (rows["second"] == best["model"])]
            low, high = forth[BOUNDS].to_numpy()[0] if len(forth) else -back[BOUNDS[::-1]].to_numpy()[0]
            by = abs((forth if len(forth) else back)["difference"].iloc[0])
            (behind if low > 0 else level).append(f"{rival} by {said(by, low, high)}")
        if np.isnan(best["low"]):
            return f"{head}. Intervals: {self.about['blocks'][test]}; no ranking is claimed."
        said_level = f" Not to be told apart from it: {', '.join(level)}." if level else ""
        return f"{head}.{said_level}" + (f" Behind it: {', '.join(behind)}." if behind else "")

    def _metric(self, metric):
        from ..tables import lookup

        known = dict.fromkeys(self.about["metrics"])
        first = next((name for name in ("iou", "f1") if name in known), next(iter(known)))
        lookup(known, metric or first, kind="metric of the comparison")
        return metric or first

    def to_csv(self, path):
        """Write the table, and beside it `{stem}_models.csv` and `{stem}_differences.csv`, each whole."""
        path = Path(path)
        beside = {"": self.table, "_models": self.models, "_differences": self.differences}
        for ending, table in beside.items():
            with whole_file(path.with_name(path.stem + ending + path.suffix)) as temporary:
                table.to_csv(temporary, index=False)
        return path

    def to_json(self, path):
        """Write everything into one JSON file, whole or not at all; `from_json` reads it."""
        tables = {name: getattr(self, name) for name in ("table", "models", "differences")}
        text = {
            name: json.loads(each.to_json(orient="records", double_precision=15))
            for name, each in tables.items()
        }
        return write_text(json.dumps({"about": self.about, **text}, indent=1), path)

    @classmethod
    def from_json(cls, path):
        """What `to_json` wrote."""
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        numbers = {"value", "difference", *BOUNDS}
        tables = []
        for name, columns in (("table", TABLE), ("models", MODELS), ("differences", DIFFERENCES)):
            frame = pd.DataFrame(saved[name], columns=columns)
            tables.append(frame.astype({each: float for each in columns if each in numbers}))
        return cls(*tables, saved["about"])

    def __repr__(self):
        tests = ", ".join(self.table["test"].unique())
        return (
            f"<Comparison of {', '.join(self.models['model'].unique())} on {tests or 'nothing: all failed'}>"
        )

    def _repr_html_(self):
        shown = self.models.drop(columns="layers")
        parts = [f"<p><b>{escape(self.about['budget'])}</b></p>"]
        if len(self.table):
            parts.append(f"<p>{escape(self._metric(None))}</p>{self.wide().to_html()}")
        parts.append(shown.to_html(index=False, float_format="{:.4g}".format))
        parts.append("".join(f"<p>{escape(line)}</p>" for line in self.verdict().split("\n")))
        return "".join(parts)


# ---- from counts to tables ----

TABLE = ["model", *KEYS, "value", *BOUNDS, "seeds"]
DIFFERENCES = [*KEYS, "first", "second", "difference", *BOUNDS]
MODELS = ["model", "trained_on", "architecture", "features", "layers", "inference", "parameters", "seeds",
          "epochs", "training_s", "s_per_megapixel", "warned", "failed"]  # fmt: skip


def said(value, low, high):
    """A value with its interval, for people."""
    value, low, high = (round(each, 3) + 0.0 for each in (value, low, high))  # no -0.000
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def tables_of_test(counts, trained_on, test, patches, metrics, blocks="auto", repeats=1000, seed=0):
    """Rows of `table` and `differences` for one test, and the blocks that were drawn.

    Parameters
    ----------
    counts : dict of str to array (seed, patch, K, K)
        Confusion matrices of each model, one for each seed that it was trained with.
    trained_on : dict of str to str
        By model.
    test : str
    patches : PatchSet
        The test.
    metrics : sequence of str
        Keys of `gl.scores_from`.
    blocks : str
        As `blocks_of` takes it.
    repeats, seed : int

    Notes
    -----
    A model's score is the mean over its seeds of the scores of its pooled pixels. A repeat draws blocks, the
    same for all models, and as many seeds as there are, by the same random numbers for models that have as
    many. Few seeds tell little of how much they matter: the spread of n seeds comes out too small by (n - 1)
    / n.
    """
    names, drawn = [*patches.classes, MEAN], blocks_of(patches.manifest, blocks)
    columns = [SCORES.index(metric) for metric in metrics]
    values, samples = {}, {}
    random = np.random.default_rng(seed).random((repeats, max(map(len, counts.values()))))
    for model, each in counts.items():
        values[model] = mean_of(score_values(each.sum(axis=1))[..., columns], axis=0)  # (K + 1, metric)
        if drawn.enough:
            scores = block_bootstrap(
                np.moveaxis(each, 0, 1), drawn, score_values, repeats=repeats, seed=seed
            )  # (repeat, seed, K + 1, score)
            picked = (random[:, : len(each)] * len(each)).astype(int)[..., None, None]
            samples[model] = mean_of(np.take_along_axis(scores[..., columns], picked, axis=1), axis=1)
        else:
            samples[model] = np.full((1, *values[model].shape), np.nan)
    rows, gaps = [], []
    for model, value in values.items():
        bounds = interval(samples[model])
        for (i, name), (j, metric) in places(names, metrics):
            key = [model, trained_on[model], test, name, metric]
            rows.append([*key, value[i, j], *bounds[:, i, j], len(counts[model])])
    for first, second in combinations(values, 2):
        gap, bounds = values[first] - values[second], interval(samples[first] - samples[second])
        both = " / ".join(dict.fromkeys([trained_on[first], trained_on[second]]))
        for (i, name), (j, metric) in places(names, metrics):
            gaps.append([both, test, name, metric, first, second, gap[i, j], *bounds[:, i, j]])
    return rows, gaps, drawn


def places(names, metrics):
    """Every class with every metric, and where they are."""
    return [(name, metric) for name in enumerate(names) for metric in enumerate(metrics)]
