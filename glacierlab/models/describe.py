"""What a model file says of itself, for people."""

from ..cells import folded, html_of, printable
from .header import ITEM_BYTES

FOLDED = ("training", "metrics")
STORED = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def describe(header, groups=None):
    """The card of a model file as lines of text.

    Parameters
    ----------
    header : Header
    groups : dict of list of str, optional
        The features by group, as `Recipe.groups`.
    """
    rows = [*rows_of(header, groups), ("written by", f"glacierlab {header.written_by}")]
    width = max(len(label) for label, _ in rows)
    return "\n".join(printable(f"{label:<{width}}  {value}") for label, value in rows)


def rows_of(header, groups=None):
    """(label, text) of what a model file, or a `Header` of a model in memory, says."""
    card, colors = header.card, header.colors
    floats = [code for code, _ in header.tensors.values() if code in STORED]
    stored = STORED[min(floats, key=ITEM_BYTES.get)] if floats else "whole numbers"
    network = f"{header.name}, {header.parameters:,} parameters, {stored}"
    return [
        ("network", network),
        ("options", in_words({key: value for key, value in header.options.items() if value is not None})),
        *card_rows(card, colors, groups),
    ]


def card_rows(card, colors=None, groups=None):
    """(label, text) of a card, with colors of its classes where they are given."""
    pixel = f"{card.pixel_size_m:g} m" if card.pixel_size_m else "any size"
    tile = f", tiles of {card.tile} px" if card.tile else ""
    return [
        *features_in(card.features, groups or {}),
        ("classes", ", ".join(f"{name} {(colors or {}).get(name, '')}".strip() for name in card.names)),
        (
            "scenes",
            f"{card.sensor or 'any sensor'}, {card.radiometry or 'any radiometry'}, pixels of {pixel}{tile}",
        ),
        ("recipe", "inside" if card.recipe else "none: make the features yourself"),
        *nested("training", told_of(card.training)),
        *nested("metrics", card.metrics),
        ("temperature", f"{card.temperature:g}"),
        ("license", card.license or "not said"),
        *((name, getattr(card, name)) for name in ("citation", "note") if getattr(card, name)),
    ]


def html_card(title, rows):
    """Rows of a card as HTML for a notebook cell; what is within `training` and `metrics` is folded away."""
    outer, inner = [], {}
    for label, value in rows:
        if label.startswith(" ") and outer[-1][0] in FOLDED:
            inner.setdefault(outer[-1][0], []).append((label, value))
        else:
            outer.append((label, value))
    open_rows = [row for row in outer if row[0] not in inner]
    parts = "".join(folded(label, its) for label, its in inner.items())
    return html_of(title, open_rows) + parts


def features_in(features, groups):
    """Rows of the features, by group where that keeps their order."""
    if [name for names in groups.values() for name in names] != list(features):
        return [("features", f"{len(features)}: {', '.join(features)}")]
    return [
        ("features", f"{len(features)}"),
        *((f"  {key}", ", ".join(names)) for key, names in groups.items()),
    ]


def told_of(training):
    """What a card says of a training, without what was switched off, and its windows, which are many."""
    told = {key: value for key, value in training.items() if key != "split"}
    if isinstance(settings := told.get("settings"), dict):
        told["settings"] = {key: value for key, value in settings.items() if value is not None}
    return told


def nested(label, values, depth=0):
    """Rows of a dict, those within it further in; an interval is one value."""
    if not isinstance(values, dict) or is_interval(values):
        return [("  " * depth + label, in_words(values))]
    inner = [row for key, value in values.items() for row in nested(key, value, depth + 1)]
    return [("  " * depth + label, "" if values else "not said"), *inner]


def is_interval(value):
    """Whether a dict is a number with an interval."""
    return isinstance(value, dict) and set(value) == {"value", "low", "high"}


def in_words(value):
    """A value of a card on one line."""
    if is_interval(value):
        return f"{in_words(value['value'])} ({in_words(value['low'])} to {in_words(value['high'])})"
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else str(value)
