"""What a comparison is given, settled: which models, and which patches train and test them."""

from dataclasses import dataclass, replace

import pandas as pd

from ..errors import GlacierlabError, ManifestError
from ..models import MODELS, Segmenter, load_model
from ..samples.augment import group_of
from ..samples.leakage import audit
from ..samples.patches import PatchSet
from ..tables import lookup
from .protocols import TRAIN, VAL

OTHERS = "*"  # any model that `layers` does not name


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that is compared."""

    name: str
    architecture: str
    options: dict
    layers: tuple | None = None  # features; None: all
    logits: int | None = None  # None: one for each class
    trained: Segmenter | None = None


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
            if not isinstance(each, PatchSet):
                raise GlacierlabError(
                    f"The part {part!r} is a {type(each).__name__}, and should be a PatchSet."
                )
    tests = [part for parts in studies.values() for part in parts if part not in (TRAIN, VAL, "validation")]
    if twice := sorted({name for name in tests if tests.count(name) > 1}):
        raise GlacierlabError(f"Tests of several studies are called {twice}: give each its own name.")
    return studies


def contenders_of(models, layers, row, studies):
    """Contenders of what `compare` is given, checked as far as can be before anything is trained."""
    models = models if isinstance(models, dict) else {name: name for name in models}
    if not models:
        raise GlacierlabError("There is no model to compare.")
    for name in layers:
        lookup(models | {OTHERS: None}, name, kind="model in layers=")
    features = next(iter(studies.values())).train.features
    found = [contender_of(str(name), given, row) for name, given in models.items()]
    result = []
    for each in found:
        published = row.layers if row and not each.trained else {}
        chosen = (each.layers, layers.get(each.name), layers.get(OTHERS), published.get(each.architecture),
                  published.get(OTHERS))  # fmt: skip
        names = next((one for one in chosen if one is not None), None)
        result.append(replace(each, layers=None if names is None else features_of(names, features)))
    return result


def contender_of(name, given, row):
    """A contender of one entry of `models`."""
    if "/" in name or name in ("", ".", ".."):
        raise GlacierlabError(f"{name!r} names files: give the model a name without a slash.")
    if isinstance(given, Segmenter) or str(given).endswith(".safetensors"):
        model = given if isinstance(given, Segmenter) else load_model(given)
        if model.card is None:
            raise GlacierlabError(
                f"The model {name!r} has no card: train it by gl.fit, or give its architecture."
            )
        return Contender(name, model.name, dict(model.options), model.card.features, model.classes, model)
    if isinstance(given, tuple | list) and len(given) == 2:
        given = dict(zip(("model", "options"), given, strict=True))
    given = {"model": given} if isinstance(given, str) else given
    if not isinstance(given, dict) or not isinstance(given.get("model"), str):
        raise GlacierlabError(
            f"{name!r} is {given!r:.80}: give an architecture, (architecture, options) or a model."
        )
    for key in given:
        lookup(dict.fromkeys(("model", "options", "layers", "logits")), key, kind=f"entry of {name!r}")
    lookup(MODELS, given["model"], kind="model")
    if not isinstance(given.get("options", {}), dict):
        raise GlacierlabError(f"{name!r}: options={given['options']!r:.60}: give a dict, options by name.")
    logits = given.get("logits") or (row.logits if row else 0) or None
    return Contender(name, given["model"], dict(given.get("options", {})), given.get("layers"), logits)


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
