"""Figures: they draw what the package computed, and compute nothing."""

from .figures import false_color, scene_figure, threshold_figure
from .samples import split_figure
from .stacks import loadings_figure, separation_figure, stack_figure
from .worlds import histogram_figure, world_figure

__all__ = [
    "false_color",
    "histogram_figure",
    "loadings_figure",
    "scene_figure",
    "separation_figure",
    "split_figure",
    "stack_figure",
    "threshold_figure",
    "world_figure",
]
