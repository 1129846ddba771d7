"""Checks for the exercises (a verdict and a hint, never the solution), and what the lessons measure.

A module for each lesson: what the lesson measures, and one function an exercise, which
`exercises.JUDGES` knows by name. What is said to their findings is in `tables/exercises.toml`.
"""

from .exercises import EXERCISES, JUDGES, Verdict, check
from .feature_stacks import (
    alike_bands,
    better_stack,
    debris_and_ground,
    pixels,
    separation,
    texture_window,
    together,
)
from .first_outlines import better_outlines, darkest_band, ndsi_threshold
from .judging import costly_bin, new_worlds, told_apart, worst_confusion
from .layers import lean_stack, replaceable_group, specialist_layer
from .mapping_large_scenes import (
    border_step,
    killed_job,
    peak_memory,
    repeated,
    review_curve,
    review_share,
    seams,
    tiles_needed,
)
from .training import better_training, blind_accuracy, lesson_patches, stop_epoch
from .worlds_and_samples import (
    f1_by_class,
    fastest_loss,
    honest_split,
    labeled_pixels,
    leak_kinds,
    optimism,
)

__all__ = [
    "EXERCISES",
    "JUDGES",
    "Verdict",
    "alike_bands",
    "better_outlines",
    "better_stack",
    "better_training",
    "blind_accuracy",
    "border_step",
    "check",
    "costly_bin",
    "darkest_band",
    "debris_and_ground",
    "f1_by_class",
    "fastest_loss",
    "honest_split",
    "killed_job",
    "labeled_pixels",
    "leak_kinds",
    "lean_stack",
    "lesson_patches",
    "ndsi_threshold",
    "new_worlds",
    "optimism",
    "peak_memory",
    "pixels",
    "repeated",
    "replaceable_group",
    "review_curve",
    "review_share",
    "seams",
    "separation",
    "specialist_layer",
    "stop_epoch",
    "texture_window",
    "tiles_needed",
    "together",
    "told_apart",
    "worst_confusion",
]
