"""Which glaciers are chosen, as one state that every view reads and an address can hold."""

import math
from urllib.parse import parse_qs, urlencode

import numpy as np
import pandas as pd
import param

VERDICTS = {  # what is said of a glacier's change, in words
    "loss": "a significant loss",
    "gain": "a significant gain",
    "unsure": "no significant change",
    "unjudged": "not judged: split, merged, only between, or no error known",
}
LONGEST = 200  # letters of a text, and names of a list, that an address may hold: an assumption


class Filter(param.Parameterized):
    """Which glaciers are chosen: those that pass every condition that is set.

    Examples
    --------
    >>> chosen = Filter(size=(0.1, 1))
    >>> chosen.to_query()
    'size=0.1%2C1'
    >>> Filter.from_query("?size=0.1,1&size=2,3&nonsense=1")[0].size
    (0.1, 1.0)
    """

    size = param.Tuple(
        length=2, default=None, allow_None=True, doc="Area [km²] at the first date that has the glacier."
    )
    rate = param.Tuple(
        length=2, default=None, allow_None=True, doc="Loss [% of the first area a year]; gains below 0."
    )
    verdict = param.Selector(default="", objects=["", *VERDICTS], doc="A key of `VERDICTS`, or '' for any.")
    region = param.List(default=[], item_type=str, doc="Names of regions; none for all.")
    text = param.String(default="", doc="What a name or an id contains, in any case.")
    box = param.Tuple(
        default=None,
        length=4,
        allow_None=True,
        doc="(minx, miny, maxx, maxy) around middles, in the map's CRS.",
    )
    picked = param.List(default=[], item_type=str, doc="Ids of single glaciers; none for all.")

    @property
    def is_set(self):
        """The names of the conditions that are set."""
        return [name for name in CONDITIONS if getattr(self, name) not in (None, "", [])]

    def reset(self):
        """Choose all glaciers."""
        self.param.update(**{name: self.param[name].default for name in CONDITIONS})

    def passes(self, glaciers, leaving_out=()):
        """Whether each glacier of `Story.glaciers` is chosen, as an array of bool.

        A view leaves out its own conditions, so that it shows what else could be chosen.
        """
        chosen = np.ones(len(glaciers), bool)
        for name in self.is_set:
            if name not in leaving_out:
                chosen &= CONDITIONS[name](glaciers, getattr(self, name))
        return chosen

    def to_query(self):
        """The conditions as the query of an address, without the "?"."""
        return urlencode(
            [(name, text) for name in self.is_set for text in texts_of(name, getattr(self, name))]
        )

    @classmethod
    def from_query(cls, query):
        """A filter, and what could not be read of a query, as plain sentences; other keys are let be."""
        found, notes = {}, []
        for name, texts in read_query(query).items():
            if name not in CONDITIONS:
                continue
            try:
                found[name] = value_of(name, texts)
            except ValueError:
                notes.append(f"The address has no readable “{name}”: it is left out.")
        return cls(**found), notes


def within(values, limits):
    low, high = limits
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    return ((values >= low) & (values <= high)).to_numpy(bool)


def judged(glaciers, verdict):
    """Which have a verdict of `VERDICTS`."""
    sure = glaciers["significant"]
    if verdict == "unjudged":
        return sure.isna().to_numpy(bool)
    if verdict == "unsure":
        return (sure == False).fillna(False).to_numpy(bool)  # noqa: E712  of booleans that may be missing
    sign = 1 if verdict == "loss" else -1
    return (sure.fillna(False).astype(bool) & (sign * glaciers["loss_km2"] > 0)).to_numpy(bool)


def called(glaciers, text):
    ids = pd.Series(glaciers.index.astype(str), glaciers.index)
    wanted = text.strip()
    return (
        ids.str.contains(wanted, case=False, regex=False)
        | glaciers["name"].str.contains(wanted, case=False, regex=False)
    ).to_numpy(bool)


def inside(glaciers, box):
    west, south, east, north = box
    return within(glaciers["x"], (west, east)) & within(glaciers["y"], (south, north))


CONDITIONS = {  # name → function(glaciers, value) → array of bool
    "size": lambda glaciers, limits: within(glaciers["size_km2"], limits),
    "rate": lambda glaciers, limits: within(glaciers["rate_pct_per_a"], limits),
    "verdict": judged,
    "region": lambda glaciers, names: glaciers["region"].isin(names).to_numpy(bool),
    "text": called,
    "box": inside,
    "picked": lambda glaciers, names: glaciers.index.isin(names),
}


# ---- addresses ----


def read_query(query):
    """{name: texts} of the query of an address, bounded; whatever it holds is text."""
    try:
        return parse_qs(query.removeprefix("?"), max_num_fields=2 * LONGEST)
    except ValueError:  # more fields than that
        return {}


def texts_of(name, value):
    """What an address says of a condition."""
    if isinstance(value, tuple):
        return [",".join("" if number is None else f"{number:.10g}" for number in value)]
    return value[:LONGEST] if isinstance(value, list) else [value]


def value_of(name, texts):
    """The value of a condition by what an address says; ValueError where it says nothing sensible."""
    if name in ("size", "rate", "box"):
        return numbers_of(texts[0], 4 if name == "box" else 2)
    if name in ("region", "picked"):
        return [text[:LONGEST] for text in texts[:LONGEST]]
    if name == "verdict" and texts[0] not in VERDICTS:
        raise ValueError(texts[0])
    return texts[0][:LONGEST]


def numbers_of(text, count):
    """A box of four numbers, or two ends of which either may be open; ValueError for anything else."""
    parts = text[:LONGEST].split(",")
    ends = tuple(None if count == 2 and not part.strip() else float(part) for part in parts)
    known = [end for end in ends if end is not None]
    lows, highs = ends[: count // 2], ends[count // 2 :]
    if len(ends) != count or not all(map(math.isfinite, known)):
        raise ValueError(text)
    if any(None not in pair and pair[0] > pair[1] for pair in zip(lows, highs, strict=True)):
        raise ValueError(text)
    return ends
