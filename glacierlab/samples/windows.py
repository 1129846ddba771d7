"""Windows of a scene and what they hold, counted in one reading of the labels."""

import hashlib
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import GlacierlabError, GridError
from ..tables import NOT_OBSERVED

STRIP = 1024  # rows read at a time, at least one band


class Tally(NamedTuple):
    """The windows of a scene."""

    rows: np.ndarray  # (window,) upper edges
    cols: np.ndarray  # (window,) left edges
    counts: np.ndarray  # (window, class) pixels
    image: str  # digest of the first feature
    labels: str  # digest of the labels


def places(length, size, stride):
    """Where whole windows begin along an axis: from 0, a stride apart.

    >>> places(10, 4, 3).tolist()
    [0, 3, 6]
    """
    return np.arange(0, length - size + 1, stride)


def require_whole(size, stride):
    """GlacierlabError unless size and stride are whole pixels, 1 or more."""
    for name, value in (("size", size), ("stride", stride)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise GlacierlabError(f"{name}={value!r}: give a whole number of pixels, 1 or more.")


def require_room(shape, size, scene):
    """GridError unless a window fits into a scene."""
    if size > min(shape):
        raise GridError(
            f"Scene {scene!r} has {shape[0]} x {shape[1]} pixels, smaller than a patch of {size}: choose a "
            f"size up to {min(shape)}, or leave the scene out."
        )


def tally(source, shape, size, stride, classes, scene):
    """The windows of a scene, row by row, and how many pixels of each class they hold.

    Every pixel is read once: rows between two edges of windows make a band, its counts are summed along x,
    and a window's count is the difference of such sums at its edges.
    """
    tops, lefts = (places(length, size, stride) for length in shape)
    edges = np.unique(np.concatenate([tops, tops + size]))
    summed = np.zeros((len(edges), classes, len(lefts)), np.int64)
    digests, columns = [hashlib.blake2b(digest_size=16) for _ in range(2)], slice(0, shape[1])
    strips = strips_of(edges)
    quiet = None if len(strips) > 8 else True  # None: a bar in terminals alone
    for first, last in tqdm(strips, desc=f"patches of {scene}", unit="strip", disable=quiet, leave=False):
        rows = slice(int(edges[first]), int(edges[last]))
        codes = source.labels(rows, columns)
        observed, values = source.image.observed(rows, columns)
        codes[~observed] = NOT_OBSERVED
        for digest, array in zip(digests, (values, codes), strict=True):
            digest.update(np.ascontiguousarray(array))
        for band in range(first, last):
            part = codes[edges[band] - rows.start : edges[band + 1] - rows.start]
            for number in range(classes):
                along = np.concatenate([[0], (part == number).sum(axis=0).cumsum()])
                summed[band + 1, number] = along[lefts + size] - along[lefts]
    summed = summed.cumsum(axis=0)
    counts = summed[np.searchsorted(edges, tops + size)] - summed[np.searchsorted(edges, tops)]
    rows, cols = (axis.ravel() for axis in np.meshgrid(tops, lefts, indexing="ij"))
    return Tally(rows, cols, counts.swapaxes(1, 2).reshape(-1, classes), *(d.hexdigest() for d in digests))


def strips_of(edges):
    """Runs of bands (first, last), each of about `STRIP` rows, that are read as one."""
    strips, first = [], 0
    for last in range(1, len(edges)):
        if last == len(edges) - 1 or edges[last + 1] - edges[first] > STRIP:
            strips.append((first, last))
            first = last
    return strips
