"""Dates as inventories write them: ISO 8601, ranges of it, years, windows of years."""

import re

import pandas as pd

from ..io.dates import span
from .findings import Flaw, text_of

WINDOW = re.compile(r"(\d{4})\s*[-–]\s*(\d{4})")  # 1986-1988


def ends(value):
    """First and last day of the begin, and of the end, of a date or range; None where it is missing.

    ValueError for what is neither.

    >>> [str(day.date()) for moments in ends("1986-1988") for day in moments]
    ['1986-01-01', '1986-12-31', '1988-01-01', '1988-12-31']
    """
    if not (text := text_of(value).strip()):
        return None
    if hasattr(value, "isoformat"):
        text = value.isoformat()
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))  # years beside missing ones
    if window := WINDOW.fullmatch(text):
        return moments(window[1]), moments(window[2])
    first, _, last = text.partition("/")
    return moments(first), moments(last or first)


def moments(text):
    """First and last day of a year, month or day."""
    if (found := span(text)) is None:
        raise ValueError(f"{text!r} is no date")
    return tuple(pd.Timestamp(day[:10]) for day in found)


def date_flaws(values, today):
    """Flaws of a list of dates."""
    if len(values) > 1 and not any(text_of(value).strip() for value in values):
        yield Flaw(None, "date_missing", None, f"all {len(values)} rows")
        return
    for position, value in enumerate(values):
        try:
            found = ends(value)
        except ValueError:
            yield Flaw(position, "date_unreadable", None, repr(str(value)[:40]))
            continue
        if found is None:
            yield Flaw(position, "date_missing")
            continue
        (first, _), (last, over) = found
        if over < first:
            yield Flaw(position, "date_reversed", (first - over).days, str(value))
        if max(first, last) > today:
            yield Flaw(position, "date_in_future", (max(first, last) - today).days, str(value))


def turned_around(text):
    """A range of dates with its ends exchanged."""
    if window := WINDOW.fullmatch(text.strip()):
        return f"{window[2]}-{window[1]}"
    first, _, last = text.partition("/")
    return f"{last}/{first}"
