"""Many models, one split, the same seeds and budget: trained, judged by the same patches, and kept."""

import hashlib
import inspect
import json
import shutil
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ..errors import DataWarning, GlacierlabError
from ..memory import give_back_memory
from ..models import load_model, read_card, save_model
from ..samples.cache import identity
from ..scores import scores_from
from ..tables import PRESETS, PROTOCOLS, lookup
from ..train import fit
from ..train.fitting import require_arguments
from ..train.starting import build_for
from .comparison import DIFFERENCES, MODELS, TABLE, Comparison, tables_of_test
from .contenders import Contender, Study, contenders_of, require_seeds, studies_of, trained_alike
from .looking import batches, channels_of, passing
from .protocols import protocol_worlds
from .tally import confusions

VERSION = 1  # of what a fingerprint holds
ELSEWHERE = "elsewhere"  # where a model that was given trained was trained
METRICS = ("iou", "f1", "precision", "recall", "kappa", "oa")
TIMED = 2**18  # pixels at a time when a model is timed, at least a patch


def compare(
    models, patches=None, *, protocol=None, worlds=None, layers=None, inference=None, seeds=(0,),
    max_epochs=None, minutes=None, metrics=None, blocks="auto", repeats=1000, device="auto", out=None,
    **training,
):  # fmt: skip
    """Compare models under one split, with the same seeds and the same budget.

    A model that fails (bad options, a loss that explodes, no memory) is a row that says why, and the others
    go on.

    Parameters
    ----------
    models : dict or sequence
        By name: the name of an architecture; (that, options); a dict with `model` and, where wanted,
        `options`, `layers`, `logits` (1: a sigmoid of the second of two classes) and `inference`; or one that
        is trained already, a `Segmenter` with a card or the path of a model file, which is judged and not
        trained. A sequence of architectures goes by their own names. A protocol's variants are names too.
    patches : PatchSet, or dict, optional
        A set with a split, or a dict of sets by part: "train", "val" (or "validation"; may be missing), and
        every other part is a test, of patches or of whole scenes: scenes with a `truth`, a pair (scenes,
        labels), or what `whole_scenes` makes, mapped as by `evaluate`; or a dict of such dicts, one for each
        study, whose tests bear different names. By default `protocol_worlds(protocol, **worlds)`.
    protocol : {"chen2022", "huang2025", "chu2022", "cryonet"}, optional
        A row of `tables.PROTOCOLS`: its preset, metrics, logits and layers go for what is not given.
    worlds : dict, optional
        Options of `judge.protocol_worlds`: worlds, shape, size, studies.
    layers : dict of str to sequence of str, optional
        What a model sees of the patches' features, by model ("*" for those not named): names of features, or
        of groups such as "optical" or "terrain". By default all, or what the protocol says of an
        architecture.
    inference : dict of str to dict, optional
        Settings of `gl.predict`, as `evaluate` takes them, by model; those of "*" are for all, where a model
        has none of its own. Models that differ in these alone are trained once.
    seeds : sequence of int
        Each model is trained once with each. With one, intervals know nothing of how seeds differ.
    max_epochs : int, optional
        Most epochs of each training; by default the preset's.
    minutes : float, optional
        Most minutes of each training; fits that need more end there. What it allows depends on the machine.
    metrics : sequence of str, optional
        Keys of `gl.scores_from`.
    blocks : {"auto", "scene", "glacier", "space"}
        What is drawn for intervals, see `judge.blocks_of`.
    repeats : int
        Draws.
    device : str
        Where models are judged; `fit` has its own `accelerator`.
    out : path, optional
        Folder that keeps each model when it is done, as `{name}-seed{n}.safetensors`, a protocol's patches,
        and in the end the tables. The same call goes on where an earlier one was stopped, and trains nothing
        twice.
    **training
        Of `gl.fit`, the same for all: preset, batch_size, loss, …. A preset's options of its own network,
        such as pretrained weights, are not taken: no model shall have what others have not, unless said so.

    Returns
    -------
    Comparison

    Raises
    ------
    UnknownNameError
        No such architecture, protocol, metric or feature.
    GlacierlabError
        Parts are missing or do not belong together; or `out` holds models of another comparison.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(1, (2020,), (96, 96))
    >>> scene = world.scene()
    >>> cut = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "nir", "swir16"], size=16,
    ...                                       classes=["background", "glacier"])
    >>> cut = cut.split(by="blocks", block_m=960, shares=(0.6, 0.4), names=("train", "test"))
    >>> found = compare(["band_ratio", "single_band"], cut)
    >>> found.ok, len(found.models), found.about["data"]["train"].partition(";")[0]
    (True, 2, '22 patches of 1 scenes')
    """
    row = None if protocol is None else lookup(PROTOCOLS, protocol, kind="protocol")
    metrics = list([metrics] if isinstance(metrics, str) else metrics or (row.metrics if row else METRICS))
    for metric in metrics:
        lookup(scores_from(1, 0, 0, 1), metric, kind="metric")
    seeds = require_seeds(seeds)
    for what, value in (("minutes", minutes), ("repeats", repeats), ("max_epochs", max_epochs)):
        if value is not None and (not isinstance(value, int | float) or not value > 0):
            raise GlacierlabError(f"{what}={value!r}: give a number above 0.")
    if row:
        training = {"preset": row.preset} | training
    require_training(training)
    if patches is None:
        if row is None:
            raise GlacierlabError(
                "There is nothing to compare on: give patches, or protocol= for made worlds."
            )
        for option in worlds or {}:
            known = inspect.signature(protocol_worlds).parameters.keys() - {"name", "out"}
            lookup(dict.fromkeys(known), option, kind="option of worlds")
        kept = {"out": Path(out) / "patches"} if out is not None else {}
        patches = protocol_worlds(protocol, **kept, **(worlds or {}))
    studies = {name: Study.of(name, parts) for name, parts in studies_of(patches).items()}
    contenders = contenders_of(models, layers or {}, inference or {}, row, studies)
    groups = trained_alike(contenders)
    budget = {"max_epochs": max_epochs, "minutes": minutes} | training
    course = Course(seeds, budget, None if out is None else Path(out), len(studies) > 1, device)
    course.require_own(contenders, studies)
    runs = [run for study in studies.values() for group in groups for run in course.runs(group, study)]
    told = about(course, contenders, studies, row, metrics)
    found = put_together(runs, contenders, studies, metrics, blocks, repeats, told)
    if out is not None:
        found.to_csv(Path(out) / "comparison.csv")
        found.to_json(Path(out) / "comparison.json")
    return found


def require_training(options):
    """UnknownNameError unless all are arguments of `fit`, and none is one that a comparison gives itself."""
    require_arguments(options)
    if ours := sorted({"model", "train", "val", "seed"} & options.keys()):
        raise GlacierlabError(
            f"{ours} are for the comparison to give: it takes models=, patches= and seeds=."
        )
    if options.get("preset") is not None:
        lookup(PRESETS, options["preset"], kind="preset")


# ---- training and judging ----


@dataclass(frozen=True, eq=False)
class Run:
    """One model trained with one seed, and judged."""

    contender: Contender
    study: str
    seed: int | None
    error: str = ""
    counts: dict | None = None  # confusion matrices (patch, K, K) by test
    parameters: int = 0
    epochs: float = np.nan
    training_s: float = np.nan
    s_per_megapixel: float = np.nan
    warned: str = ""


@dataclass(frozen=True, eq=False)
class Course:
    """What all models go through."""

    seeds: list
    budget: dict
    out: Path | None
    many: bool  # studies: each has a folder of its own
    device: str

    def path(self, contender, study, seed):
        folder = self.out / study.name if self.many else self.out
        return folder / f"{contender.name}-seed{seed}.safetensors"

    def path_of(self, group, study, seed):
        """Where a group's model is, or will be under the first of its names; None where none is kept."""
        if self.out is None:
            return None
        paths = [self.path(each, study, seed) for each in group]
        return next((path for path in paths if path.exists()), paths[0])

    def fingerprint(self, contender, study, seed):
        """What a finished model must have been made of to be taken for this run's."""
        train, val = (
            identity(chosen(each, contender)) if each else None for each in (study.train, study.val)
        )
        made = [
            VERSION,
            contender.architecture,
            contender.options,
            contender.logits,
            seed,
            train,
            val,
            self.budget,
        ]
        text = json.dumps(made, sort_keys=True, default=repr)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def require_own(self, contenders, studies):
        """GlacierlabError where `out` holds a model under a name of ours that is not of this comparison."""
        if self.out is None:
            return
        for study in studies.values():
            for each in contenders:
                for seed in self.seeds:
                    path = self.path(each, study, seed)
                    if each.trained or not path.exists():
                        continue
                    if trained_for(read_card(path)).get("fingerprint") != self.fingerprint(each, study, seed):
                        raise GlacierlabError(
                            f"{path} was trained on other patches, options or budget: take another out=, "
                            "or delete it."
                        )

    def runs(self, group, study):
        """Every run of contenders that share their training in a study; those that fail say why."""
        for seed in [None] if group[0].trained else self.seeds:
            try:
                model = group[0].trained or self.trained(group, study, seed)
            except Exception as error:  # whatever it is, the other models go on
                yield from (self.failed(each, study, seed, error) for each in group)
                continue
            for each in group:
                try:
                    yield self.judged(each, model, study, seed)
                except Exception as error:
                    yield self.failed(each, study, seed, error)
            model = None
            give_back_memory()

    def failed(self, contender, study, seed, error):
        """The run of a contender that gave nothing."""
        said = " ".join(str(error).split()) or type(error).__name__
        if seed is not None and len(self.seeds) > 1:
            said = f"seed {seed}: {said}"
        tqdm.write(f"{contender.name} failed: {said}")
        return Run(contender, study.name, seed, said)

    def judged(self, contender, model, study, seed):
        """The run of a contender, by its trained model, on every test."""
        told, how = {"warned": ""}, dict(device=self.device, inference=contender.inference)
        if not contender.trained:
            told = {key: trained_for(model.card)[key] for key in ("epochs", "training_s", "warned")}
        with noted() as warned:
            counts = {test: confusions(model, each, **how) for test, each in study.tests.items()}
        told["warned"] = " ".join(dict.fromkeys([*filter(None, [told["warned"]]), *warned]))
        speed = seconds_per_megapixel(model, next(iter(study.tests.values())), **how)
        return Run(contender, study.name, seed, "", counts, size_of(model), **told, s_per_megapixel=speed)

    def options(self, train):
        """Arguments of `fit`."""
        given = {key: value for key, value in self.budget.items() if value is not None}
        if (minutes := given.pop("minutes", None)) is not None:
            given["max_time"] = {"minutes": minutes}
        if "move" in train.manifest:  # the protocol's twins are augmented already
            given["augmentation"] = False
        return given

    def trained(self, group, study, seed):
        """The model of a group's run, from its file where it was finished before."""
        contender, path = group[0], self.path_of(group, study, seed)
        if path and path.exists():
            return load_model(path)
        train, val = (chosen(each, contender) if each else None for each in (study.train, study.val))
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # of the first weights
            model = build_for(train, contender.architecture, contender.logits, **contender.options)
        began, unfinished = time.perf_counter(), path.with_suffix(".unfinished") if path else None
        with noted() as warned:
            done = fit(model, train, val, seed=seed, out=unfinished, **self.options(train))
        seconds = time.perf_counter() - began
        if "seconds" in done.history:  # what came before a kill counts too
            seconds = max(seconds, float(done.history["seconds"].sum()))
        made = {"fingerprint": self.fingerprint(contender, study, seed), "study": study.name}
        made |= {"epochs": max(len(done.history), 1), "training_s": seconds, "warned": " ".join(warned)}
        card = done.model.card
        done.model.card = replace(card, training=card.training | {"comparison": made})
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_model(done.model, path)
            shutil.rmtree(unfinished, ignore_errors=True)
        return done.model


@contextmanager
def noted():
    """A list that is filled with what is warned of the data, which nobody reads between progress bars."""
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield said
    for each in caught:
        if issubclass(each.category, DataWarning):
            said.append(str(each.message))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def trained_for(card):
    """What a comparison wrote into the card of a model that it trained."""
    return card.training.get("comparison", {})


def chosen(patches, contender):
    """The patches as a contender sees them."""
    return patches if contender.layers is None else patches.select(contender.layers)


def size_of(model):
    """How many numbers were learned: parameters, or what a network without any keeps in buffers."""
    return sum(each.numel() for each in (list(model.parameters()) or list(model.buffers())))


def seconds_per_megapixel(model, patches, device, inference=None):
    """How long a batch of patches takes [s], views and all, without reading: the fastest of some passes."""
    _, images, _ = next(batches(patches, max(1, min(TIMED // patches.size**2, len(patches)))))
    images = torch.from_numpy(np.ascontiguousarray(images[:, channels_of(model, patches)]))
    times, through, corners = [], passing(model, device, inference), [(0, 0)] * len(images)
    for _ in range(4):
        began = time.perf_counter()
        through(images, corners)
        times.append(time.perf_counter() - began)
    return min(times[1:]) / (len(images) * patches.size**2) * 1e6


# ---- what was found ----


def about(course, contenders, studies, row, metrics):
    """What a comparison says of itself; `blocks` are filled in with the tests."""
    told = {key: value for key, value in course.budget.items() if value is not None}
    budget = ", ".join(f"{key} {value}" for key, value in told.items()) or "as the preset says"
    notes = [f"Assumed: {each}." for each in row.assumed] if row else []
    for name in dict.fromkeys(each.variant for each in contenders if each.variant):
        if numbers := row.variants[name].get("published"):
            told_of = ", ".join(f"{metric} {value}" for metric, value in numbers.items())
            notes.append(f"Published of {name}, on its own data: {told_of}.")
    if len(course.seeds) == 1:
        notes.append("One seed for each model: intervals say nothing of how another would do.")
    leaks = {name: study.leaks() for name, study in studies.items()}
    notes += [f"{name}: {said}" for name, said in leaks.items() if not said.startswith("No leak")]
    return {
        "budget": f"The same for all: {budget}; seeds {', '.join(map(str, course.seeds))}.",
        "seeds": course.seeds, "metrics": metrics, "blocks": {}, "leaks": leaks, "notes": notes,
        "data": {name: str(study) for name, study in studies.items()},
    }  # fmt: skip


def put_together(runs, contenders, studies, metrics, blocks, repeats, told):
    """The comparison of all runs."""
    table, differences = [], []
    for study in studies.values():
        mine = [run for run in runs if run.study == study.name and not run.error]
        names = [each.name for each in contenders if any(run.contender is each for run in mine)]
        trained_on = {run.contender.name: ELSEWHERE if run.contender.trained else study.name for run in mine}
        for test, patches in study.tests.items() if mine else ():
            counts = {
                name: np.stack([r.counts[test] for r in mine if r.contender.name == name]) for name in names
            }
            rows, gaps, drawn = tables_of_test(counts, trained_on, test, patches, metrics, blocks, repeats)
            table, differences = table + rows, differences + gaps
            told["blocks"][test] = str(drawn)
    lines = [described(each, name, runs, studies) for name in studies for each in contenders]
    elsewhere = [line for line in lines if line["trained_on"] == ELSEWHERE and line["warned"]]
    told["notes"] += [f"{line['model']}: {line['warned']}" for line in elsewhere]
    frames = (table, TABLE), (lines, MODELS), (differences, DIFFERENCES)
    return Comparison(*(pd.DataFrame(rows, columns=columns) for rows, columns in frames), told)


def described(contender, study, runs, studies):
    """The row of `models` of a contender in a study."""
    mine = [run for run in runs if run.contender is contender and run.study == study]
    good = [run for run in mine if not run.error]
    mean = {
        key: float(np.mean([getattr(run, key) for run in good])) if good else np.nan
        for key in ("epochs", "training_s", "s_per_megapixel")
    }
    layers = contender.layers or studies[study].train.features
    return {
        "model": contender.name, "trained_on": ELSEWHERE if contender.trained else study,
        "architecture": contender.architecture, "features": len(layers), "layers": " ".join(layers),
        "inference": ", ".join(f"{key} {value}" for key, value in contender.inference.items()),
        "parameters": good[0].parameters if good else 0, "seeds": len(good), **mean,
        "warned": " ".join(dict.fromkeys(run.warned for run in good if run.warned)),
        "failed": "; ".join(run.error for run in mine if run.error),
    }  # fmt: skip
