"""Verdicts and hints of the exercises."""

import numpy as np
import pytest
import xarray as xr

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import UnknownNameError

ALWAYS = {"right", "type"}  # findings that every exercise knows


@pytest.fixture
def reference(made):
    return gl.vectorize(made.truth).query("`class` != 'glacial_lake'")


@pytest.fixture
def ramp():
    """A made NDSI from 0 to 1, and a reference that is glacier exactly above 0.605: hand-made truth."""
    ndsi = xr.DataArray(
        np.linspace(0, 1, 1001, dtype="float32")[None], dims=("y", "x"), attrs={"radiometry": "sr"}
    )
    return ndsi, (ndsi > 0.605).astype("uint8")


def test_every_exercise_has_texts_and_a_function():
    assert set(teach.EXERCISES) == set(teach.JUDGES)
    assert all(set(texts) >= ALWAYS for texts in teach.EXERCISES.values())


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'darkest_band'"):
        gl.teach.check("darkest_bond", 1)


def test_a_verdict_is_true_or_false_and_reads_as_a_sentence():
    right, wrong = teach.Verdict(True, "a < b"), teach.Verdict(False, "Look again.")
    assert right
    assert not wrong
    assert repr(wrong) == "Not yet. Look again."
    assert "<b>Right.</b> a &lt; b</div>" in right._repr_html_()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("swir16", "Right. swir16 it is"),
        ("swir1", "Right. swir16 it is"),  # an alias
        ("nir", "Not yet. In nir the glaciers send back"),
        ("blau", "Not yet. There is no band 'blau'"),
        (6, "Not yet. A band is named by text"),
    ],
)
def test_darkest_band(made, reference, answer, expected):
    bands = made[["green", "red", "nir", "swir16"]]
    assert repr(gl.teach.check("darkest_band", answer, bands, reference)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.605, "Right."),
        (np.float32(0.6), "Right."),
        (0.4, "Not yet. 0.4 is too low"),
        (xr.DataArray(0.9), "Not yet. 0.9 is too high"),
        ("high", "Not yet. A threshold is a number"),
        (None, "Not yet. A threshold is a number"),
        (np.nan, "Not yet. A threshold is a number"),
    ],
)
def test_ndsi_threshold(ramp, answer, expected):
    assert repr(gl.teach.check("ndsi_threshold", answer, *ramp)).startswith(expected)


def test_ndsi_threshold_accepts_the_curve_itself(ramp):
    assert gl.teach.check("ndsi_threshold", gl.best_threshold(*ramp, np.arange(0, 1, 0.05)), *ramp)


def test_better_outlines(made, reference):
    lesson = gl.map_glaciers(made.where(made.x > made.x[20]))["class_map"]  # some of it is not observed
    judge = lambda answer: repr(gl.teach.check("better_outlines", answer, lesson, reference))
    assert judge(reference).startswith("Right. F1 is 1.000 with yours")
    assert judge(gl.vectorize(lesson)).startswith("Not yet. These score just as")
    assert judge(reference.iloc[-1:]).startswith("Not yet. F1 is 0.0")
    assert judge(lesson).startswith("Not yet. Give outlines")
