"""Lesson 1: verdicts of its exercises, (answer, data…) → what was found and the facts that its text names."""

import numpy as np

from ..features.threshold import best_threshold
from ..scores import burn, score
from ..tables import NOT_OBSERVED, band_name
from .answers import as_number


def darkest_band(answer, bands, reference):
    """The band (a name) with the lowest median reflectance inside the reference."""
    if not isinstance(answer, str):
        return "type", {}
    ice = bands.where(burn(reference, bands.to_array()[0]))
    percent = {name: 100 * value.item() for name, value in ice.median().items()}
    band, brightest = band_name(answer), max(percent, key=percent.get)
    if band not in percent:
        return "unknown", dict(band=answer, choices=", ".join(percent))
    facts = dict(band=band, percent=percent[band], brightest=brightest, brightest_percent=percent[brightest])
    return "right" if band == min(percent, key=percent.get) else "brighter", facts


def ndsi_threshold(answer, ndsi, reference):
    """A threshold (a number) in the stable range of the sweep."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    curve = best_threshold(ndsi, reference, np.linspace(0, 1, 101))
    low, high = curve.stable
    finding = "low" if number < low else "high" if number > high else "right"
    return finding, dict(number=number, low=low, high=high, tolerance=curve.tolerance)


def better_outlines(answer, lesson_map, reference):
    """Outlines (a GeoDataFrame) with a higher F1 than the lesson's map."""
    if not hasattr(answer, "geometry"):
        return "type", {}
    seen = lesson_map != NOT_OBSERVED
    f1 = lambda each: score(each, reference, region=seen, boundary=False).f1.item()
    yours, ours = f1(burn(answer, lesson_map)), f1(lesson_map)
    finding = "right" if yours > ours else "worse" if yours < ours else "same"
    return finding, dict(f1=yours, f1_lesson=ours)


JUDGES = (darkest_band, ndsi_threshold, better_outlines)
