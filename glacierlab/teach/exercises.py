"""Exercises by lesson and place: who judges an answer, and what is said to each finding."""

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
    setting_up,
    training,
    transfer,
    worlds_and_samples,
)

EXERCISES = read_table("exercises.toml", dict)  # what is said to each finding, by the name of the judge
LESSONS = {
    "00": setting_up,
    "01": first_outlines,
    "02": feature_stacks,
    "03": worlds_and_samples,
    "04": training,
    "05": judging,
    "06": layers,
    "07": mapping_large_scenes,
    "08": outlines_and_attributes,
    "09": changing_glaciers,
    "10": outline_studio,
    "11": change_dashboard,
    "12": transfer,
}
JUDGES = {  # "04.2" is the second exercise of lesson 4
    f"{number}.{place}": judge
    for number, lesson in LESSONS.items()
    for place, judge in enumerate(lesson.JUDGES, start=1)
}
HEADS = {True: "Right.", False: "Not yet."}
COLORS = {True: "#2e9e5b", False: "#e08e0b"}


@dataclass(frozen=True)
class Verdict:
    """What `check` finds: true where the answer is right, and shown as a sentence.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(64, 64))
    >>> glaciers = scene.truth.glacier.outlines()
    >>> bool(gl.teach.check("01.1", "swir16", scene[["red", "swir16"]], glaciers))
    True
    """

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
        Number of the lesson and place of the exercise in it, such as "04.2": a key of `JUDGES`.
    answer : object
        A number, a name or outlines, as the exercise asks.
    *given : object
        The data of the exercise, in the order of its function's arguments.

    Returns
    -------
    Verdict

    Raises
    ------
    UnknownNameError
        There is no such exercise.
    """
    judge = lookup(JUDGES, exercise, kind="exercise")
    finding, facts = judge(answer, *given)
    return Verdict(finding == "right", EXERCISES[judge.__name__][finding].format(**facts))
