"""Training: losses, presets of the papers, `fit` with its resume, and config files."""

from ..lazy import lazily

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

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
