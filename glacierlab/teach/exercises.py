"""Exercises by name: who judges an answer, and what is said to each finding."""

from dataclasses import dataclass
from html import escape

from ..tables import lookup, read_table
from . import (
    change_dashboard,
    changing_glaciers,
    feature_stacks,
    first_outlines,
    judging,
    layers,
    mapping_large_scenes,
    outline_studio,
    outlines_and_attributes,
    training,
    worlds_and_samples,
)

EXERCISES = read_table("exercises.toml", dict)  # what is said to each finding
LESSONS = (
    first_outlines, feature_stacks, worlds_and_samples, training, judging, layers, mapping_large_scenes,
    outlines_and_attributes, changing_glaciers, outline_studio, change_dashboard,
)  # fmt: skip
JUDGES = {judge.__name__: judge for lesson in LESSONS for judge in lesson.JUDGES}
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
        The data of the exercise, in the order of its function in `JUDGES`.

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
