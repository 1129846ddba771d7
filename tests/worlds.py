"""Made worlds that tests share, and what their truth does not tell."""

from functools import lru_cache

import numpy as np

from glacierlab.synthetic import synthetic_world

BACKGROUND, CLEAN, DEBRIS, LAKE = range(4)


@lru_cache(maxsize=32)
def world_of(seed, years=(1990, 2020), shape=(160, 160), **options):
    return synthetic_world(seed, years, shape, **options)


def cover_of(world, year=None, date="09-15", **view):
    """Share of each endmember, by name: finer than the classes that the truth tells."""
    return world._view(year, date, **view).cover


def normalized(one, other):
    return ((one - other) / (one + other)).values


def classes(truth):
    return truth.class_map.values


def faces_north(elevation, pixel_m):
    """Slope to the north (y, x): positive where the ground falls that way; row 0 is in the north."""
    below, above = np.roll(elevation, 1, axis=0), np.roll(elevation, -1, axis=0)
    fall = (above - below) / (2 * pixel_m)
    fall[[0, -1]] = 0
    return fall
