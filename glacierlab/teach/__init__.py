"""Checks for the exercises (a verdict and a hint, never the solution), and what the lessons measure.

A module for each lesson: what the lesson measures, and one function an exercise, which
`exercises.JUDGES` knows by name. What is said to their findings is in `tables/exercises.toml`.
"""

from .change_dashboard import error_of_sum, hidden_losses, shared_address
from .changing_glaciers import (
    first_sure,
    least_shift,
    mapped_dates,
    mended_series,
    moved,
    true_dates,
    whole,
    window_of,
)
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
from .outline_studio import (
    border_offset,
    drawn,
    killed_review,
    net_change,
    outlines_to_review,
    sound_outlines,
    true_errors,
)
from .outlines_and_attributes import (
    area_below,
    better_divides,
    clean_window,
    glacier_iou,
    misfits,
    needs_a_person,
    shade_around,
    spoiled,
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
    "area_below",
    "better_divides",
    "better_outlines",
    "better_stack",
    "better_training",
    "blind_accuracy",
    "border_offset",
    "border_step",
    "check",
    "clean_window",
    "costly_bin",
    "darkest_band",
    "debris_and_ground",
    "drawn",
    "error_of_sum",
    "f1_by_class",
    "fastest_loss",
    "first_sure",
    "glacier_iou",
    "hidden_losses",
    "honest_split",
    "killed_job",
    "killed_review",
    "labeled_pixels",
    "leak_kinds",
    "lean_stack",
    "least_shift",
    "lesson_patches",
    "mapped_dates",
    "mended_series",
    "misfits",
    "moved",
    "ndsi_threshold",
    "needs_a_person",
    "net_change",
    "new_worlds",
    "optimism",
    "outlines_to_review",
    "peak_memory",
    "pixels",
    "repeated",
    "replaceable_group",
    "review_curve",
    "review_share",
    "seams",
    "separation",
    "shade_around",
    "shared_address",
    "sound_outlines",
    "specialist_layer",
    "spoiled",
    "stop_epoch",
    "texture_window",
    "tiles_needed",
    "together",
    "told_apart",
    "true_dates",
    "true_errors",
    "whole",
    "window_of",
    "worst_confusion",
]
