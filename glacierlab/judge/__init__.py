"""What a model is worth: scores with intervals, by stratum and date; calibration, comparison, importance.

Everything is counted first: a pass of the model over a `PatchSet`, or its maps of `whole_scenes`, leaves one
confusion matrix a patch or window, and every score, interval and difference is a function of those.
"""

from ..lazy import lazily

_WHERE = {
    "Comparison": "comparison",
    "Evaluation": "evaluation",
    "area_stability": "travel",
    "areas": "travel",
    "block_bootstrap": "bootstrap",
    "blocks_of": "bootstrap",
    "calibrate": "calibration",
    "compare": "comparing",
    "compare_from": "config",
    "confusions": "tally",
    "drops": "travel",
    "evaluate": "evaluation",
    "expected_error": "calibration",
    "importance": "attribution",
    "interval": "bootstrap",
    "protocol_worlds": "protocols",
    "reliability": "calibration",
    "scores_of": "tally",
    "whole_scenes": "scenes",
}  # public name → module, loaded when it is used; no module bears the name of a function, which it would hide

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
