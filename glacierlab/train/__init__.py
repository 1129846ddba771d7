"""Training: losses, presets of the papers, `fit` with its resume, and config files."""

from importlib import import_module

_WHERE = {
    "DeepSupervision": "losses",
    "LOSSES": "losses",
    "Training": "fitting",
    "build_for": "starting",
    "build_loss": "losses",
    "fit": "fitting",
    "patches_of": "config",
    "read_config": "config",
    "train_from": "config",
}  # public name → module, loaded when it is used; no module bears the name of a function, which it would hide

__all__ = list(_WHERE)


def __dir__():
    return [*globals(), *__all__]


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
