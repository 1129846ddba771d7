"""Figures: they draw what the package computed, and compute nothing."""

from .figures import false_color, scene_figure, threshold_figure
from .stacks import loadings_figure, separation_figure, stack_figure

__all__ = [
    "false_color",
    "loadings_figure",
    "scene_figure",
    "separation_figure",
    "stack_figure",
    "threshold_figure",
]
