"""What a comparison is given, settled: which models, and which patches train and test them."""

import json
from dataclasses import dataclass, field, replace

import pandas as pd
import xarray as xr

from ..errors import GlacierlabError, ManifestError
from ..models import MODELS, Segmenter, load_model
from ..samples.augment import group_of
from ..samples.leakage import audit
from ..samples.patches import PatchSet
from ..tables import lookup
from .looking import require_inference
from .protocols import TRAIN, VAL
from .scenes import whole_scenes

OTHERS = "*"  # in `layers` any model that it does not name, in `inference` every model
TRAINS = (TRAIN, VAL, "validation")  # parts that are no test
SCENES = (xr.Dataset, xr.DataArray, dict, list, tuple)
ENTRIES = ("model", "options", "layers", "logits", "inference")  # of a model


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that is compared."""

    name: str
    architecture: str
    options: dict
    layers: tuple | None = None  # features; None: all
    logits: int | None = None  # None: one for each class
    trained: Segmenter | None = None
    inference: dict = field(default_factory=dict)  # settings of `predict`
    variant: str = ""  # of a protocol

    @property
    def training(self):
        """What tells its training from others: contenders that share it differ in inference alone."""
        if self.trained is not None:
            return id(self.trained)
        made = [self.architecture, self.options, self.layers, self.logits]
        return json.dumps(made, sort_keys=True, default=repr)


@dataclass(frozen=True, eq=False)
class Study:
    """What trains, and the tests of what was trained on it."""

    name: str
    train: PatchSet
    val: PatchSet | None
    tests: dict

    @classmethod
    def of(cls, name, parts):
        """A study of PatchSets by part, which must belong together."""
        parts = {VAL if part == "validation" else part: each for part, each in parts.items()}
        tests = {part: each for part, each in parts.items() if part not in (TRAIN, VAL)}
        if TRAIN not in parts or not tests:
            raise GlacierlabError(
                f"The parts are {list(parts)}: a comparison needs {TRAIN!r} and one test or more, and "
                f"takes {VAL!r}."
            )
        parts |= {
            test: whole_scenes(*(each if is_pair(each) else (each,)), like=parts[TRAIN])
            for test, each in tests.items()
            if not isinstance(each, PatchSet)
        }
        for part, each in parts.items():
            if (each.features, each.classes) != (parts[TRAIN].features, parts[TRAIN].classes):
                raise GlacierlabError(
                    f"{part!r} has other features or classes than {TRAIN!r}: make all parts with one "
                    "recipe and the same classes."
                )
        parts = {part: each.with_split(part) for part, each in parts.items()}
        return cls(name, parts[TRAIN], parts.get(VAL), {test: parts[test] for test in tests})

    def __str__(self):
        validates = f", validated on {len(self.val):,}" if self.val else ""
        scenes = self.train.manifest["scene"].nunique()
        tests = ", ".join(f"{name} {len(each):,}" for name, each in self.tests.items())
        return f"{len(self.train):,} patches of {scenes} scenes{validates}; tests: {tests}"

    def leaks(self):
        """What the audit of training and validation against the tests says."""
        sides = [(TRAIN, each) for each in (self.train, self.val) if each] + [
            ("test", t) for t in self.tests.values()
        ]
        crs = self.train.manifest.crs
        tables = [
            each.manifest.drop(columns="source", errors="ignore").assign(split=side) for side, each in sides
        ]
        try:
            return str(audit(pd.concat([each.to_crs(crs) for each in tables], ignore_index=True)).verdict)
        except ManifestError as error:
            return f"Not known: {error}"


def studies_of(patches):
    """Parts (a dict of PatchSets) by study."""
    if isinstance(patches, PatchSet):
        named = list(patches.parts().index)  # refuses a set without a split
        return {TRAIN: {name: patches.subset(name) for name in named}}
    if not isinstance(patches, dict) or not patches:
        raise GlacierlabError(
            f"patches are a PatchSet with a split, or a dict of them, not {type(patches).__name__}."
        )
    studies = patches if all(isinstance(each, dict) for each in patches.values()) else {TRAIN: patches}
    for parts in studies.values():
        for part, each in parts.items():
            scenes = part not in TRAINS and isinstance(each, SCENES)
            if not isinstance(each, PatchSet) and not scenes:
                raise GlacierlabError(
                    f"The part {part!r} is a {type(each).__name__}, and should be a PatchSet"
                    f"{'' if part in TRAINS else ' or scenes'}."
                )
    tests = [part for parts in studies.values() for part in parts if part not in TRAINS]
    if twice := sorted({name for name in tests if tests.count(name) > 1}):
        raise GlacierlabError(f"Tests of several studies are called {twice}: give each its own name.")
    return studies


def is_pair(given):
    """Whether these are scenes with their labels."""
    return isinstance(given, tuple) and len(given) == 2


def contenders_of(models, layers, inference, row, studies):
    """Contenders of what `compare` is given, checked as far as can be before anything is trained."""
    models = models if isinstance(models, dict) else {name: name for name in models}
    if not models:
        raise GlacierlabError("There is no model to compare.")
    for what, given in (("layers", layers), ("inference", inference)):
        for name in given:
            lookup(models | {OTHERS: None}, name, kind=f"model in {what}=")
    features = next(iter(studies.values())).train.features
    found = [contender_of(str(name), given, row) for name, given in models.items()]
    result = []
    for each in found:
        published = row.layers if row and not each.trained else {}
        chosen = (each.layers, layers.get(each.name), layers.get(OTHERS), published.get(each.architecture),
                  published.get(OTHERS))  # fmt: skip
        names = next((one for one in chosen if one is not None), None)
        names = None if names is None else features_of(names, features)
        variant = row.variants[each.variant]["inference"] if each.variant else {}
        how = joined(variant, inference.get(OTHERS, {}), each.inference, inference.get(each.name, {}))
        if how:
            require_inference(how, names or features)
        result.append(replace(each, layers=names, inference=how))
    return result


def trained_alike(contenders):
    """Contenders in groups, each of which is trained once."""
    groups = {}
    for each in contenders:
        groups.setdefault(each.training, []).append(each)
    return list(groups.values())


def contender_of(name, given, row):
    """A contender of one entry of `models`."""
    if "/" in name or name in ("", ".", ".."):
        raise GlacierlabError(f"{name!r} names files: give the model a name without a slash.")
    entry = {"model": given}
    if isinstance(given, dict):
        entry = given
    elif isinstance(given, tuple | list) and len(given) == 2:
        entry = dict(zip(("model", "options"), given, strict=True))
    model = entry.get("model")
    trained = isinstance(model, Segmenter) or str(model).endswith(".safetensors")
    known, what = (("model", "inference"), ", a trained model") if trained else (ENTRIES, "")
    for key in entry:
        lookup(dict.fromkeys(known), key, kind=f"entry of {name!r}{what}")
    if trained:
        return trained_contender(name, model, entry.get("inference", {}))
    if not isinstance(model, str):
        raise GlacierlabError(
            f"{name!r} is {given!r:.80}: give an architecture, (architecture, options) or a model."
        )
    variant = row.variants.get(model, {}) if row else {}
    architecture, options = variant.get("model", model), entry.get("options", {})
    lookup(MODELS | (row.variants if row else {}), model, kind="model")
    if not isinstance(options, dict):
        raise GlacierlabError(f"{name!r}: options={options!r:.60}: give a dict, options by name.")
    logits = entry.get("logits") or (row.logits if row else 0) or None
    about = {"inference": joined(entry.get("inference", {})), "variant": model if variant else ""}
    return Contender(name, architecture, dict(options), entry.get("layers"), logits, **about)


def trained_contender(name, model, inference):
    """A contender that is a `Segmenter`, or in a file."""
    model = model if isinstance(model, Segmenter) else load_model(model)
    if model.card is None:
        raise GlacierlabError(
            f"The model {name!r} has no card: train it by gl.fit, or give its architecture."
        )
    return Contender(
        name, model.name, dict(model.options), model.card.features, model.classes, model, joined(inference)
    )


def joined(*settings):
    """Settings of inference together, of which the last count."""
    for each in settings:
        if not isinstance(each, dict):
            raise GlacierlabError(f"inference={each!r:.60}: give a dict, settings of gl.predict by name.")
    return {key: value for each in settings for key, value in each.items()}


def features_of(names, features):
    """Features by their names and those of groups, in the order of `features`."""
    groups = {}
    for feature in features:
        groups.setdefault(group_of(feature), []).append(feature)
    known = {feature: [feature] for feature in features}
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise GlacierlabError(f"layers={names!r:.80}: give a list of features or groups by name.")
    wanted = {
        each
        for name in names
        for each in lookup(groups | known, name, kind="feature or group of the patches")
    }
    if not wanted:
        raise GlacierlabError("layers= names no feature: leave it out for all.")
    return tuple(feature for feature in features if feature in wanted)


def require_seeds(seeds):
    """Seeds as a list of different whole numbers."""
    seeds = [seeds] if isinstance(seeds, int) else seeds
    if (
        not isinstance(seeds, list | tuple | range)
        or not seeds
        or not all(isinstance(each, int) and each >= 0 for each in seeds)
        or len(set(seeds)) < len(seeds)
    ):
        raise GlacierlabError(f"seeds={seeds!r}: give different whole numbers, 0 or more, at least one.")
    return list(seeds)
