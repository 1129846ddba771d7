"""How far two borders lie apart."""

import numpy as np

CROWDED = 16  # pixels of ground for each border pixel, below which most have a neighbor in the other border
REACH = 3  # pixels: how far such neighbors are looked for
STEPS = [(y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1)]
STEPS = sorted((y * y + x * x, y, x) for y, x in STEPS if y * y + x * x <= REACH**2)


def border_distances(predicted, actual, pixel_m):
    """Distances from the border pixels (n, 2) of each side to the nearest of the other, two (2, n): px, m."""
    if not len(predicted) or not len(actual):
        return [np.empty((2, 0))] * 2
    ways = (predicted, actual), (actual, predicted)
    px = [nearest(*way) for way in ways]
    oblong = np.isfinite(pixel_m).all() and not np.isclose(*pixel_m)
    if oblong:
        m = [by_tree(start * pixel_m, end * pixel_m) for start, end in ways]
    else:
        m = [way * np.mean(pixel_m) for way in px]
    return [np.stack(way) for way in zip(px, m, strict=True)]


def nearest(start, end):
    """Distance (n,) [px] from each pixel (n, 2) of a border to the nearest of another."""
    places = np.concatenate([start.T, end.T], axis=1)
    low = places.min(axis=1) - REACH
    height, width = places.max(axis=1) + REACH + 1 - low
    if height * width > CROWDED * (len(start) + len(end)):
        return by_tree(start, end)
    there = np.zeros(height * width, bool)  # smaller than a tree, for the ground is crowded
    places = (places[0] - low[0]) * width + places[1] - low[1]
    there[places[len(start) :]] = True
    places, left = places[: len(start)], np.arange(len(start))
    distances = np.empty(len(start))
    for square, y, x in STEPS:
        found = there[places + (y * width + x)]
        distances[left[found]] = np.sqrt(square)
        places, left = places[~found], left[~found]
    if left.size:
        distances[left] = by_tree(start[left], end)
    return distances


def by_tree(start, end):
    """Distance (n,) from each point (n, 2) to the nearest of others."""
    from scipy.spatial import cKDTree

    return cKDTree(end, balanced_tree=False).query(start, workers=-1)[0]  # a median has many ties in a grid
