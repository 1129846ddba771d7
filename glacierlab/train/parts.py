"""The two parts of a training: which patches they are, and whether they can be trusted."""

from dataclasses import replace

import pandas as pd

from ..errors import GlacierlabError, ManifestError, warn
from ..samples import PatchSet, audit
from ..samples.cache import identity
from ..samples.manifest import BUFFER

NAMES = {"train": ("train",), "val": ("val", "validation")}  # of the parts in a split


def parts_of(train, val):
    """Training and validation patches; the latter None where there are none."""
    for name, patches in (("train", train), ("val", val)):
        if not isinstance(patches, PatchSet) and (patches is not None or name == "train"):
            raise GlacierlabError(f"{name} is a {type(patches).__name__}: give a gl.samples.PatchSet.")
    if val is None and "train" in (names := names_in(train)):
        val = next((train.subset(name) for name in NAMES["val"] if name in names), None)
    train, val = part_of(train, "train"), None if val is None else part_of(val, "val")
    for name, patches in (("train", train), ("val", val)):
        if patches is not None and not len(patches):
            raise GlacierlabError(
                f"{name} holds no patches: look at what was filtered out, or at patches.parts()."
            )
    if val is not None and (val.features != train.features or val.classes != train.classes):
        raise GlacierlabError(
            f"Training patches have {list(train.features)} and {list(train.classes)}, those for validation "
            f"{list(val.features)} and {list(val.classes)}: cut both with the same layers and classes."
        )
    return train, val


def names_in(patches):
    """Names of the parts of a split; none where there is no split."""
    return [name for name in patches.manifest.get("split", pd.Series()).unique() if name != BUFFER]


def part_of(patches, what):
    """The part "train" or "val" of patches; where there is one part or no split, all but the buffer.

    Raises
    ------
    ManifestError
        There are several parts and none of that name: which one is meant must not be guessed.
    """
    names = names_in(patches)
    here = next((name for name in NAMES[what] if name in names), None)
    if here is None and len(names) > 1:
        raise ManifestError(
            f"{what}: the parts of the split are {names}, and none is {what!r}: name one so, or give one, "
            f"patches.subset({names[0]!r})."
        )
    if here is not None:
        return patches.subset(here)
    if BUFFER not in patches.manifest.get("split", pd.Series()).values:
        return patches
    return replace(patches, manifest=patches.manifest[patches.manifest["split"] != BUFFER])


def require_parts(train, val):
    """The audit's verdict in a line; a DataWarning where it fails, or where training lacks a class."""
    if absent := [name for name, share in train.class_shares().items() if not share > 0]:
        warn(
            f"No training pixel is {', '.join(absent)}: the model cannot learn it. Split otherwise, or merge "
            "classes."
        )
    if val is None:
        return "no validation"
    try:
        found = audit(joined(train, val))
    except ManifestError as error:
        warn(f"Whether training and validation share ground could not be told: {error}")
        return str(error)
    if not found.ok:
        warn(f"{found.verdict} Scores of validation will be too good: split by scene, glacier or blocks.")
    return found.verdict


def joined(train, val):
    """The manifests of both parts as one."""
    first, second = (
        patches.manifest.assign(split=name) for name, patches in (("train", train), ("val", val))
    )
    if not first.index.intersection(second.index).empty:  # two sets: their twins are numbered apart
        first, second = (
            first.drop(columns="source", errors="ignore"),
            second.drop(columns="source", errors="ignore"),
        )
        second = second.set_axis(range(first.index.max() + 1, first.index.max() + 1 + len(second)))
    return pd.concat([first, second.to_crs(first.crs)])


def facts_of(train, val, settings, verdict):
    """What a model's card says of its training: settings, and which patches it saw."""
    parts = {"train": train} | ({"val": val} if val is not None else {})
    return {
        "settings": settings.told(),
        "data": {name: {"patches": len(each), "fingerprint": identity(each)} for name, each in parts.items()},
        "audit": verdict,
        "split": {name: windows_by_scene(each) for name, each in parts.items()},
    }


def windows_by_scene(patches):
    """{scene: [[row, col], …]}."""
    windows = {}
    for scene, row, col, _ in patches.windows():
        windows.setdefault(str(scene), []).append([row, col])
    return windows
