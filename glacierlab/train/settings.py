"""What a training is told: a preset's values, and what is given instead; checked once."""

import inspect
from dataclasses import dataclass, fields
from functools import partial
from numbers import Real

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler

from ..errors import GlacierlabError
from ..tables import PRESETS, lookup
from .losses import DeepSupervision, build_loss

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
SCHEDULERS = {  # all step once an epoch
    "cosine": lr_scheduler.CosineAnnealingLR,
    "cosine_warm_restarts": lr_scheduler.CosineAnnealingWarmRestarts,
    "poly": lr_scheduler.PolynomialLR,
    "reduce_on_plateau": lr_scheduler.ReduceLROnPlateau,
    "step": lr_scheduler.StepLR,
}
WHOLE_COURSE = {
    "cosine": "T_max",
    "poly": "total_iters",
}  # what is the number of epochs where it is not given
INITIALIZATIONS = {
    "glorot_normal": nn.init.xavier_normal_,
    "glorot_uniform": nn.init.xavier_uniform_,
    "he_normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
}
MONITORS = {"val_loss": "min", "train_loss": "min"} | dict.fromkeys(
    ("val_accuracy", "val_miou", "val_iou", "val_dice"), "max"
)
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
OFF = False  # what switches a preset's value off


@dataclass(frozen=True)
class Settings:
    """How to train, complete and checked."""

    preset: str
    seed: int
    max_epochs: int
    batch_size: int
    loss: object  # {"name": …, option: …}, or a callable
    class_weights: object  # a method of PatchSet.class_weights, or numbers
    deep_supervision: tuple | None
    optimizer: dict
    scheduler: dict | None
    initialization: str | None
    clip_norm: float | None
    clip_value: float | None
    monitor: str
    patience: int | None
    moves: tuple
    copies: bool
    balanced: bool
    drop_last: bool
    precision: str
    channels_last: bool
    explode: float
    max_pixels: int

    def told(self):
        """As JSON: for the model's card, and to compare before resuming."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if callable(self.loss):
            values["loss"] = {"name": getattr(self.loss, "__qualname__", type(self.loss).__qualname__)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    def make_loss(self):
        """The loss of a network's outputs."""
        if callable(self.loss):
            return DeepSupervision(self.loss, self.deep_supervision)
        options = {key: value for key, value in self.loss.items() if key != "name"}
        if self.class_weights is not None:
            options["weights"] = self.class_weights
        return DeepSupervision(build_loss(self.loss["name"], **options), self.deep_supervision)

    def make_optimizer(self, parameters):
        return made(OPTIMIZERS, self.optimizer, "optimizer", parameters)

    def make_scheduler(self, optimizer):
        """None where the learning rate stays."""
        if self.scheduler is None:
            return None
        options = dict(self.scheduler)
        if (key := WHOLE_COURSE.get(options["name"])) is not None:
            options.setdefault(key, self.max_epochs)
        if options["name"] == "reduce_on_plateau":
            options.setdefault("mode", MONITORS[self.monitor])
        return made(SCHEDULERS, options, "scheduler", optimizer)


def settle(preset, given):
    """Settings of a preset (None: "glacierlab", ours), where nothing else is given.

    `given` holds arguments of `fit`; None leaves the preset's value, False switches it off.

    Raises
    ------
    UnknownNameError, GlacierlabError
    """
    name = "glacierlab" if preset is None else preset
    row = lookup(PRESETS, name, kind="preset")
    lr = given.pop("lr", None)
    values = {"preset": name}
    for key, value in given.items():
        value = getattr(row, key, None) if value is None else value
        values[key] = None if value is OFF and key not in SWITCHES else value
    for key in ("loss", "optimizer", "scheduler"):
        values[key] = named(values[key], key)
    if lr is not None:
        values["optimizer"] = values["optimizer"] | {"lr": lr}
    settled = Settings(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    require_sense(settled)
    return settled


SWITCHES = ("copies", "balanced", "drop_last", "channels_last")  # whose False is a value


def named(given, what):
    """{"name": …, option: …} of a name or such a dict; callables and None as they are."""
    if given is None or callable(given):
        return given
    if isinstance(given, str):
        return {"name": given}
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        return dict(given)
    raise GlacierlabError(
        f"{what}={given!r}: give a name, or a dict with its name and options, {{'name': …}}."
    )


def made(table, given, what, first):
    """An optimizer or a scheduler by name and options."""
    options = {key: value for key, value in given.items() if key != "name"}
    maker = lookup(table, given["name"], kind=what)
    known = [
        key for key in inspect.signature(maker).parameters if key not in ("params", "optimizer", "last_epoch")
    ]
    for option in options:
        lookup(dict.fromkeys(known), option, kind=f"option of {given['name']}")
    try:
        return maker(first, **{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
    except (TypeError, ValueError) as error:
        raise GlacierlabError(f"{what}={given!r}: {error}.") from error


def require_sense(settings):
    """GlacierlabError where a value is of the wrong kind; losses and the like are made once to see that."""
    for key in ("max_epochs", "batch_size", "max_pixels"):
        require_number(settings, key, whole=True)
    for key in ("class_weights", "deep_supervision"):
        value = getattr(settings, key)
        numbers = np.ndim(value) == 1 and all(isinstance(each, Real) for each in value)
        if not numbers and value is not None and (key, type(value)) != ("class_weights", str):
            raise GlacierlabError(f"{key}={value!r}: give a list of numbers.")
    require_seed(settings.seed)
    for key in ("patience", "clip_norm", "clip_value", "explode"):
        if getattr(settings, key) is not None:
            require_number(settings, key, whole=key == "patience")
    for key in SWITCHES:
        if not isinstance(getattr(settings, key), bool):
            raise GlacierlabError(f"{key}={getattr(settings, key)!r}: give True or False.")
    for key in ("loss", "optimizer"):
        if getattr(settings, key) is None:
            raise GlacierlabError(f"{key}=False: a training needs one; give its name.")
    if settings.clip_norm is not None and settings.clip_value is not None:
        raise GlacierlabError("clip_norm and clip_value are both given: switch one off with False.")
    lookup(MONITORS, settings.monitor, kind="monitor")
    lookup(dict.fromkeys(PRECISIONS), settings.precision, kind="precision")
    if settings.initialization is not None:
        lookup(INITIALIZATIONS, settings.initialization, kind="initialization")
    settings.make_loss()
    settings.make_scheduler(settings.make_optimizer([nn.Parameter(torch.zeros(1))]))


def require_seed(seed):
    """GlacierlabError unless a seed is a whole number, 0 or more."""
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise GlacierlabError(f"seed={seed!r}: give a whole number, 0 or more.")


def require_number(settings, key, whole):
    """GlacierlabError unless a value is a number above 0."""
    value = getattr(settings, key)
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right or not 0 < value < float("inf"):
        raise GlacierlabError(f"{key}={value!r}: give a {'whole ' if whole else ''}number above 0.")
