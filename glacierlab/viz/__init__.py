"""Figures: they draw what the package computed, and compute nothing."""

from importlib import import_module

from ..errors import extras
from .change import change_figure, hypsometry_figure, loss_figure, series_figure
from .figures import false_color, scene_figure, threshold_figure
from .learning import learning_figure
from .maps import probability_figure, uncertainty_figure
from .models import comparison_figure, importance_figure, reliability_figure, training_figure
from .outlines import divides_figure
from .predictions import confusion_figure, map_figure, prediction_figure
from .samples import split_figure
from .stacks import COLORS, loadings_figure, separation_figure, stack_figure
from .worlds import histogram_figure, world_figure

__all__ = [
    "COLORS",
    "change_figure",
    "comparison_figure",
    "confusion_figure",
    "divides_figure",
    "explore",
    "explore_inventory",
    "false_color",
    "histogram_figure",
    "hypsometry_figure",
    "importance_figure",
    "learning_figure",
    "loadings_figure",
    "loss_figure",
    "map_figure",
    "prediction_figure",
    "probability_figure",
    "reliability_figure",
    "scene_figure",
    "separation_figure",
    "series_figure",
    "split_figure",
    "stack_figure",
    "threshold_figure",
    "training_figure",
    "uncertainty_figure",
    "world_figure",
    "write_page",
]

_INTERACTIVE = {  # of the extra `viz`, loaded when it is used
    "explore": ".interactive",
    "write_page": ".interactive",
    "explore_inventory": ".inventories",
}


def __getattr__(name):
    if name in _INTERACTIVE:
        with extras(f"{__name__}.{name}"):
            return getattr(import_module(_INTERACTIVE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
