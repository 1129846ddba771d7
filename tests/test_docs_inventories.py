"""The page on inventories: its chain of cleaning runs as it stands."""

from pathlib import Path

import glacierlab as gl

PAGE = Path(__file__).parents[1] / "docs/inventories.md"


def test_the_chain_of_cleaning_runs():
    section = PAGE.read_text(encoding="utf-8").partition("## Cleaning")[2]
    code = section.partition("```python")[2].partition("```")[0]
    names = {"gl": gl}
    exec(code, names)  # our own page
    truth, ice = names["scene"]["truth"], names["ice"]
    assert gl.score(ice, truth.isin([1, 2]).astype("uint8")).loc["mean", "iou"] > 0.95
