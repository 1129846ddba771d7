"""The card of a model file for people."""

from glacierlab.models.card import Card
from glacierlab.models.describe import describe
from glacierlab.models.header import Header


def test_windows_are_left_to_programs_and_what_is_off_is_not_unknown():
    training = {
        "settings": {"loss": "cross_entropy", "initialization": None, "patience": 5},
        "data": {"train": {"patches": 18}},
        "split": {"train": {"scene": [[0, 80], [16, 96]]}},
    }
    card = Card(features=("red",), classes=("glacier",), training=training, metrics={"iou": None})
    header = Header("unet", 1, 1, {}, 5, card, {}, {}, "", "1")
    lines = [" ".join(line.split()) for line in describe(header).splitlines()]
    assert "loss cross_entropy" in lines
    assert "patience 5" in lines
    assert "patches 18" in lines
    assert "iou unknown" in lines
    assert not any("96" in line or "initialization" in line for line in lines)
