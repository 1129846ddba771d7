"""Dates of outlines, however a file writes them, as ISO 8601 text."""

import re
from calendar import monthrange
from functools import lru_cache

import pandas as pd

NOTHING = {"", "none", "nan", "nat", "<na>", "null", "0", "-9999999", "-9999", "9999", "99999999"}
DIGITS = re.compile(
    r"([12]\d{3})(\d{2})?(\d{2})?"
)  # 1936, 200308, 20030831; RGI writes 99 for what it does not know
PARTS = re.compile(r"([12]\d{3})(?:[-/](\d{1,2})|([-/.])(\d{1,2})\3(\d{1,2}))")
BACKWARD = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2([12]\d{3})")  # 31.8.2005
YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
RANGE = re.compile(r"([12]\d{3})\s*[-–]\s*([12]\d{3})")  # 1986-1988


def iso_dates(values, until=None):
    """ISO 8601 texts of dates in any writing, and which of them could not be read.

    Parameters
    ----------
    values : iterable
        Texts (`2009-09-15T00:00:00`, `20030799`, `1936`, `1986-1988`, `31.8.2005`, `Aug 2005`), numbers,
        dates, or missing. Day and month are not guessed: `5/8/2005` and a year like 2009.5 are unreadable.
    until : iterable, optional
        The ends of ranges, written the same ways; missing where `values` is one day.

    Returns
    -------
    texts : list of str
        `YYYY-MM-DD`; `YYYY-MM-DD/YYYY-MM-DD` of a range, and where day or month are not known; a moment that
        is not midnight as it was written; "" where missing or unreadable.
    unreadable : list of str
        What is there and is no date.
    """
    texts, unreadable = [], []
    values = list(values)
    for value, last in zip(values, [None] * len(values) if until is None else until, strict=True):
        try:
            texts.append(iso_range(value, last))
        except ValueError:
            texts.append("")
            unreadable.append(str(value))
    return texts, unreadable


@lru_cache(maxsize=10_000)
def iso_range(value, last=None):
    """The ISO text of a date, or of the range that `last` ends; ValueError where it is none.

    >>> iso_range("20030799", 20030999), iso_range(1936.0), iso_range("2009-09-15T00:00:00")
    ('2003-07-01/2003-09-30', '1936-01-01/1936-12-31', '2009-09-15')
    """
    start = span(value)
    end = span(last) if start else None
    if start is None:
        return ""
    first, final = start[0], (end or start)[1]
    if final[:10] < first[:10]:
        raise ValueError(f"{last!r} is before {value!r}")
    return first if first == final else f"{first[:10]}/{final[:10]}"


def span(value):
    """The first and last day that a date covers, as ISO texts; None where missing."""
    if hasattr(value, "isoformat") and value is not pd.NaT:
        return moment(value.isoformat())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if text.lower() in NOTHING:
        return None
    if found := RANGE.fullmatch(text):
        return span(found[1])[0], span(found[2])[1]
    if "/" in text and not PARTS.fullmatch(text) and not BACKWARD.fullmatch(text):
        first, last = map(span, text.partition("/")[::2])
        if not (first and last):
            raise ValueError(f"{text!r} lacks an end")
        return first[0], last[1]
    return moment(text)


def moment(text):
    """The same, of a text that is no range."""
    if found := in_numbers(text):
        year, month, day = found
        if month == "99":
            return f"{year}-01-01", f"{year}-12-31"
        if day == "99":
            return f"{year}-{month:0>2}-01", f"{year}-{month:0>2}-{days_of(year, month):02d}"
        text = f"{year}-{month:0>2}-{day:0>2}"
    elif not YEAR.search(text) or re.fullmatch(r"[\d.]+", text):  # 2009.5 is July, not May
        raise ValueError(f"{text!r} is no date")
    stamp = pd.Timestamp(text)  # ValueError, with the reason, for what is no date
    if stamp is pd.NaT:
        raise ValueError(f"{text!r} is no date")
    if not found and len(re.findall(r"\d+", text)) == 1:  # Aug 2005
        return moment(f"{stamp.year}-{stamp.month}")
    day = f"{stamp.year:04d}-{stamp.month:02d}-{stamp.day:02d}"
    return (day, day) if stamp == stamp.normalize() else (text, text)


def in_numbers(text):
    """Year, month and day as a text has them in digits, "99" for what it leaves out; None where it has words.

    ValueError where it may be read as the fifth of August or as the eighth of May.
    """
    if found := DIGITS.fullmatch(text):
        return found[1], found[2] or "99", found[3] or "99"
    if found := PARTS.fullmatch(text):
        return found[1], found[2] or found[4], found[5] or "99"
    if not (found := BACKWARD.fullmatch(text)):
        return None
    one, separator, other, year = found.groups()
    if separator == "." or int(one) > 12 or one == other:
        return year, other, one
    if int(other) > 12:
        return year, one, other
    raise ValueError(f"{text!r} may be two days: write year, month, day")


def days_of(year, month):
    """How many days a month has; ValueError where there is no such month."""
    if not 1 <= int(month) <= 12:
        raise ValueError(f"{month} is no month")
    return monthrange(int(year), int(month))[1]
