"""Where a training starts: fresh weights, or a model file's, moved to the right channels; and what stays."""

from types import SimpleNamespace

import torch
from torch import nn

from ..errors import GlacierlabError, warn
from ..models.card import REST
from ..models.encoders import RGB
from ..models.file import load_model, shapes_of
from ..models.registry import build_model
from ..models.segmenter import Segmenter
from ..tables import PRESETS, lookup
from .settings import INITIALIZATIONS

WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
HERE_ALONE = ("encoder_weights", "features")  # options that say how weights start, and shape nothing


def build_for(patches, name, classes=None, *, preset=None, **options):
    """A model by name for patches, with fresh weights or a pretrained encoder.

    Parameters
    ----------
    patches : PatchSet
        Pretrained weights for red, green and blue go to their features of these names; where they have none
        of the three, the weights are spread over all features.
    name : str
        A key of `gl.models.MODELS`.
    classes : int, optional
        How many logits; default as many as the patches have classes.
    preset : str, optional
        A row of `tables.PRESETS`: where the model is its own, its options for the model are the default.
    **options
        Of the architecture.

    Returns
    -------
    Segmenter

    Raises
    ------
    UnknownNameError, GlacierlabError
        As of `gl.models.build_model`.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "nir", "swir16"], size=16)
    >>> model = build_for(patches, "unet", widths=[4, 8])
    >>> model.in_channels, model.classes
    (3, 4)
    """
    row = None if preset is None else lookup(PRESETS, preset, kind="preset")
    if row is not None and row.model == name:
        options = row.model_options | options
    if options.get("encoder_weights") is not None and set(RGB) & set(patches.features):
        options = {"features": list(patches.features)} | options
    classes = len(patches.classes) if classes is None else classes
    return build_model(name, len(patches.features), classes, **options)


def require_model(model, patches):
    """GlacierlabError unless a model takes the patches' features and tells their classes apart."""
    if not isinstance(model, Segmenter):
        raise GlacierlabError(
            f"fit trains what gl.models.build_model gives, not a {type(model).__name__}: build it by name."
        )
    if model.in_channels != len(patches.features):
        raise GlacierlabError(
            f"The model takes {model.in_channels} channels, the patches have {len(patches.features)} "
            f"features: {list(patches.features)}. Build it with in_channels={len(patches.features)}."
        )
    count = len(patches.classes)
    if model.classes == 1 and count != 2:
        raise GlacierlabError(
            f"One logit tells one class from the rest, the patches know {list(patches.classes)}: build the "
            f"model with classes={count}, or merge them with classes=[rest, class] of PatchSet.from_scenes."
        )
    if model.classes == 1 and patches.classes[0] != REST:
        raise GlacierlabError(
            f"One logit tells one class from the rest, which is called {REST!r}, and the patches tell "
            f"{list(patches.classes)} apart: build the model with classes=2."
        )
    if model.classes > 1 and model.classes != count:
        raise GlacierlabError(
            f"The model has {model.classes} classes, the patches {count}: {list(patches.classes)}. Build it "
            f"with classes={count}."
        )


def logits_of(model, patches):
    """Names of the model's logits."""
    return patches.classes[1:] if model.classes == 1 else patches.classes


def initialize(model, name):
    """Weights of convolutions and dense layers by a rule, biases 0 (which Chen et al. 2022 do not state).

    Raises
    ------
    GlacierlabError
        It would undo what the model has learned.
    """
    if model.card is not None or model.options.get("encoder_weights") is not None:
        learned = "is trained already" if model.card is not None else "has a pretrained encoder"
        raise GlacierlabError(
            f"The model {learned}, and initialization={name!r} would overwrite its weights: give "
            "initialization=False to go on from them, or build the model anew."
        )
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            INITIALIZATIONS[name](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_from(model, path, patches):
    """Give a model the weights of a model file, channels and classes matched by name.

    Where the number of channels or of classes shapes a tensor, only what has the same name moves; the rest
    keeps the model's own start, and is told.

    Raises
    ------
    ModelFileError
    GlacierlabError
        The file holds another architecture, or one with other options.
    """
    source = load_model(path)
    require_same(model, source, path)
    channels = matched(patches.features, source.card.features)
    rows = matched(logits_of(model, patches), source.card.classes)
    if fresh := [name for name in patches.features if name not in source.card.features]:
        warn(f"{path} has no channel for {fresh}: their first weights start fresh.")
    if fresh := [name for name in logits_of(model, patches) if name not in source.card.classes]:
        warn(f"{path} does not know {fresh}: their head starts fresh.")
    wide, many = (shapes_with(model, **{what: 1}) for what in ("in_channels", "classes"))
    given = source.state_dict()
    with torch.no_grad():
        for name, mine in model.state_dict(keep_vars=True).items():
            pairs = dict.fromkeys(differing(mine.shape, wide[name]), channels)
            pairs |= dict.fromkeys(differing(mine.shape, many[name]), rows)
            copy_by_name(mine, given[name].to(mine.device), pairs)


def require_same(model, source, path):
    """GlacierlabError unless both are one architecture with the same options."""
    if source.name != model.name:
        raise GlacierlabError(
            f"{path} holds {source.name!r}, and the model is {model.name!r}: build the same one."
        )
    plain = lambda value: list(value) if isinstance(value, tuple) else value
    differs = {
        key: (plain(source.options.get(key)), plain(model.options.get(key)))
        for key in sorted(source.options.keys() | model.options.keys())
        if key not in HERE_ALONE and plain(source.options.get(key)) != plain(model.options.get(key))
    }
    if differs:
        told = ", ".join(f"{key}={theirs!r} (the model: {mine!r})" for key, (theirs, mine) in differs.items())
        raise GlacierlabError(
            f"{path} holds a {source.name} with {told}: build the model with these options."
        )


def shapes_with(model, in_channels=0, classes=0):
    """Shapes of the same architecture with more channels or classes, by name; no memory is used."""
    about = SimpleNamespace(
        name=model.name,
        in_channels=model.in_channels + in_channels,
        classes=model.classes + classes,
        options={key: value for key, value in model.options.items() if key not in HERE_ALONE},
    )
    return {name: each.shape for name, each in shapes_of(about).state_dict().items()}


def matched(names, others):
    """[(place, place among the others)] of the names that both have."""
    at = {name: place for place, name in enumerate(others)}
    return [(place, at[name]) for place, name in enumerate(names) if name in at]


def differing(shape, other):
    """Dimensions in which two shapes differ."""
    return [dim for dim, sizes in enumerate(zip(shape, other, strict=True)) if len(set(sizes)) > 1]


def copy_by_name(mine, theirs, pairs):
    """Copy a tensor; along dimensions in `pairs`, only [(place, place among theirs)] of the same names."""
    fixed = [dim for dim in range(mine.dim()) if dim not in pairs]
    if any(mine.shape[dim] != theirs.shape[dim] for dim in fixed):
        return
    if not pairs:
        mine.copy_(theirs)
        return
    along = [pairs.get(dim, [(k, k) for k in range(size)]) for dim, size in enumerate(mine.shape)]
    to, start = (
        torch.meshgrid(
            *(torch.tensor([pair[side] for pair in each], dtype=torch.long) for each in along), indexing="ij"
        )
        for side in (0, 1)
    )
    mine[to] = theirs[start]


def freeze_layers(model, prefixes):
    """Parameters whose names begin with a prefix learn no more; gives those that did.

    Raises
    ------
    GlacierlabError
        No parameter begins with a prefix, or none is left to learn.
    """
    if isinstance(prefixes, str):
        raise GlacierlabError(f"freeze={prefixes!r}: give a list of beginnings, freeze=[{prefixes!r}].")
    for prefix in prefixes:
        names = [name for name, _ in model.named_parameters() if name.startswith(prefix)]
        if not names:
            parts = sorted({".".join(name.split(".")[:2]) for name, _ in model.named_parameters()})
            raise GlacierlabError(
                f"freeze: no layer's name begins with {prefix!r}. There are {', '.join(parts)}."
            )
    frozen = [
        each
        for name, each in model.named_parameters()
        if name.startswith(tuple(prefixes)) and each.requires_grad
    ]
    for each in frozen:
        each.requires_grad_(False)
    if not any(each.requires_grad for each in model.parameters()):
        raise GlacierlabError("freeze leaves nothing to learn: name fewer layers.")
    return frozen
