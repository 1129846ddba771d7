"""Figures: they draw what the package computed, and compute nothing."""

from .figures import false_color, scene_figure, threshold_figure

__all__ = ["false_color", "scene_figure", "threshold_figure"]
