"""Lesson 6: verdicts of its exercises."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from glacierlab import teach

DEBRIS, CLEAN = "debris_covered_ice", "clean_ice"


def check(exercise, answer, *given):
    return repr(teach.check(exercise, answer, *given))


def table_of(rows):
    return pd.DataFrame(rows, columns=["class", "group", "importance"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("coherence", "Right. coherence: permuted, it costs debris_covered_ice 0.260 of IoU, and clean"),
        ("slope", "Right."),
        ("odd", "Right."),  # better without it for clean ice, by little
        ("ndsi", "Not yet. ndsi costs debris_covered_ice 0.320 of IoU, and clean_ice 0.150: both"),
        ("harmful", "Not yet. harmful costs debris_covered_ice 0.300 of IoU, and clean_ice -0.200: both"),
        ("red", "Not yet. red costs debris_covered_ice 0.010 of IoU, which is not much."),
        ("texture", "Not yet. There is no layer 'texture' in the table: choose one of coherence, harmful,"),
        (["slope"], "Not yet. A layer is named by text"),
        (None, "Not yet. A layer is named by text"),
    ],
)  # fmt: skip
def test_specialist_layer(answer, expected):
    owed = {"ndsi": (0.32, 0.15), "coherence": (0.26, 0.001), "slope": (0.17, 0.0), "red": (0.01, 0.0),
            "odd": (0.2, -0.01), "harmful": (0.3, -0.2)}  # fmt: skip
    rows = [(DEBRIS, group, much) for group, (much, _) in owed.items()]
    rows += [(CLEAN, group, little) for group, (_, little) in owed.items()]
    assert check("06.1", answer, table_of(rows), DEBRIS, CLEAN).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("indices", "Right. indices: permuted, it costs 0.420, and a model that never had it loses 0.030."),
        ("terrain", "Right."),  # without it, better by chance
        ("insar", "Not yet. insar: permuted, it costs 0.460, and a model that never had it still loses 0.56"),
        ("texture", "Not yet. texture costs 0.010 when permuted: what is hardly used"),
        ("optical", "Not yet. 'optical' is not in both tables: choose one of indices, terrain, insar"),
        (3, "Not yet. A group is named by text"),
    ],
)  # fmt: skip
def test_replaceable_group(answer, expected):
    shuffled = {"optical": 0.39, "indices": 0.42, "terrain": 0.44, "insar": 0.46, "texture": 0.01}
    without = {"indices": 0.03, "terrain": -0.01, "insar": 0.56, "texture": 0.0}
    permuted, dropped = (
        table_of([(name, group, each) for group, each in groups.items() for name in (DEBRIS, CLEAN)])
        for groups in (shuffled, without)
    )
    dropped.loc[dropped["class"] == CLEAN, "importance"] = 9.0  # another class has no say
    assert check("06.2", answer, permuted, dropped, DEBRIS).startswith(expected)


class Says:
    """A model that is right in so many of ten pixels of the first class, and in all of the second."""

    def __init__(self, right):
        self.right = right


@pytest.fixture
def judged(monkeypatch):
    """Patches, with confusions by hand in place of a network's: IoU of debris is right / 10."""
    import glacierlab.judge as judge

    found = lambda model, patches: np.array([[[10, 0], [10 - model.right, model.right]]])
    monkeypatch.setattr(judge, "confusions", found, raising=False)
    return SimpleNamespace(classes=("background", DEBRIS), features=("red", "ndsi", "slope", "coherence"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["ndsi", "coherence"], "Right. IoU of debris_covered_ice is 0.700, 88 % of the 0.800 with"),
        (["red", "coherence", "red"], "Right."),
        (("red", "ndsi"), "Not yet. IoU of debris_covered_ice is 0.200, 25 % of the 0.800 with"),
        (["red", "ndsi", "coherence"], "Not yet. These are 3 layers; take one at least, and 2 at most."),
        ([], "Not yet. These are 0 layers"),
        (["cohérence"], "Not yet. The patches have no cohérence: choose from red, ndsi, slope, coherence."),
        ("ndsi", "Not yet. Give names of layers in brackets"),
        ([1], "Not yet. Give names of layers"),
    ],
)  # fmt: skip
def test_lean_stack(judged, answer, expected):
    lean = lambda layers: Says(7 if "coherence" in layers else 2)
    assert check("06.3", answer, Says(8), lean, judged, DEBRIS, 2, 0.85).startswith(expected)


def test_lean_stack_trains_nothing_for_what_it_refuses(judged):
    def lean(layers):
        raise AssertionError("trained")

    for answer in ("ndsi", [], ["snow"], ["red", "ndsi", "slope"]):
        assert check("06.3", answer, Says(8), lean, judged, DEBRIS, 2, 0.85).startswith("Not yet.")
