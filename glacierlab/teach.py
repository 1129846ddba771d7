"""Checks for the exercises of the notebooks: a verdict and a hint, never the solution."""

from dataclasses import dataclass
from html import escape

import numpy as np

from .features.threshold import best_threshold
from .scores import burn, score
from .tables import NOT_OBSERVED, band_name, lookup, read_table

EXERCISES = read_table("exercises.toml", dict)  # what is said to each finding
HEADS = {True: "Right.", False: "Not yet."}
COLORS = {True: "#2e9e5b", False: "#e08e0b"}


@dataclass(frozen=True)
class Verdict:
    """What `check` finds: true where the answer is right, and shown as a sentence."""

    right: bool
    text: str

    def __bool__(self):
        return self.right

    def __repr__(self):
        return f"{HEADS[self.right]} {self.text}"

    def _repr_html_(self):
        style = f"border-left: 5px solid {COLORS[self.right]}; padding: 0.4em 0.8em"
        return f'<div style="{style}"><b>{HEADS[self.right]}</b> {escape(self.text)}</div>'


def check(exercise, answer, *given):
    """Check an answer to an exercise; what is right is computed from the data, not stored.

    Parameters
    ----------
    exercise : str
        A key of `EXERCISES`, such as "ndsi_threshold".
    answer : object
        A number, a name or outlines, as the exercise asks.
    *given : object
        The data of the exercise, in the order of the function of its name in this module.

    Returns
    -------
    Verdict

    Raises
    ------
    UnknownNameError
        There is no such exercise.
    """
    texts = lookup(EXERCISES, exercise, kind="exercise")
    finding, facts = JUDGES[exercise](answer, *given)
    return Verdict(finding == "right", texts[finding].format(**facts))


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def darkest_band(answer, bands, reference):
    """The band (a name) with the lowest median reflectance inside the reference."""
    if not isinstance(answer, str):
        return "type", {}
    ice = bands.where(burn(reference, bands.to_array()[0]))
    percent = {name: 100 * value.item() for name, value in ice.median().items()}
    band, brightest = band_name(answer), max(percent, key=percent.get)
    if band not in percent:
        return "unknown", dict(band=answer, choices=", ".join(percent))
    facts = dict(band=band, percent=percent[band], brightest=brightest, brightest_percent=percent[brightest])
    return "right" if band == min(percent, key=percent.get) else "brighter", facts


def ndsi_threshold(answer, ndsi, reference):
    """A threshold (a number) in the stable range of the sweep."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    curve = best_threshold(ndsi, reference, np.linspace(0, 1, 101))
    low, high = curve.stable
    finding = "low" if number < low else "high" if number > high else "right"
    return finding, dict(number=number, low=low, high=high, tolerance=curve.tolerance)


def better_outlines(answer, lesson_map, reference):
    """Outlines (a GeoDataFrame) with a higher F1 than the lesson's map."""
    if not hasattr(answer, "geometry"):
        return "type", {}
    seen = lesson_map != NOT_OBSERVED
    f1 = lambda each: score(each, reference, region=seen, boundary=False).f1.item()
    yours, ours = f1(burn(answer, lesson_map)), f1(lesson_map)
    finding = "right" if yours > ours else "worse" if yours < ours else "same"
    return finding, dict(f1=yours, f1_lesson=ours)


def as_number(answer):
    """An answer as a float, also of a 0-d array or a ThresholdCurve; None if it is no finite number."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


JUDGES = {function.__name__: function for function in (darkest_band, ndsi_threshold, better_outlines)}
