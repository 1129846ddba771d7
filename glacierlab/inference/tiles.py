"""Tiles on one grid over a scene, and how much each pixel of a tile counts where tiles overlap.

The grid depends on the scene's size, tile and overlap alone. Along an axis tiles begin every `tile - overlap`
pixels; the last one moves inward to the far border. What a tile counts is the product of one weight along y
and one along x, already divided by the sum over all tiles, so that the weights at a pixel add up to 1.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import GlacierlabError
from ..tables import lookup


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis.

    Attributes
    ----------
    length, tile, overlap : int
        [pixels]; `length` is not less than `tile`.
    blend : str
        A key of `BLENDS`.
    """

    length: int
    tile: int
    overlap: int
    blend: str

    @cached_property
    def starts(self):
        """Where tiles begin, (tile,) int."""
        last = self.length - self.tile
        return np.unique(np.append(np.arange(0, last + 1, self.tile - self.overlap), last))

    @cached_property
    def weights(self):
        """What each tile counts along the axis, (tile, pixel) float32; at a pixel they add up to 1."""
        starts = self.starts
        raw = np.stack([BLENDS[self.blend](self.tile, self.overlap) for _ in starts])
        if self.blend == "crop":  # there is no other tile at the scene's borders
            raw[0, : self.tile // 2] = raw[-1, self.tile // 2 :] = 1
        total = np.zeros(self.length)
        for start, row in zip(starts, raw, strict=True):
            total[start : start + self.tile] += row
        for start, row in zip(starts, raw, strict=True):
            row /= total[start : start + self.tile]
        return raw.astype(np.float32)

    def ending_in(self, first, stop):
        """Numbers of the tiles whose last pixel is in [first, stop)."""
        last = self.starts + self.tile - 1
        return np.flatnonzero((last >= first) & (last < stop))


def from_border(tile):
    """Distance of a tile's pixels from its nearer border [pixels], half a pixel at it."""
    place = np.arange(tile) + 0.5
    return np.minimum(place, tile - place)


def hann(tile, overlap):
    """A squared sine over the overlap, 1 between: two tiles that overlap so far add up to 1."""
    return np.sin(0.5 * np.pi * ramp(tile, overlap)) ** 2


def linear(tile, overlap):
    """A straight ramp over the overlap, 1 between."""
    return ramp(tile, overlap)


def ramp(tile, overlap):
    return np.minimum(from_border(tile) / max(overlap, 0.5), 1.0)


def crop(tile, overlap):
    """1 in the middle, 0 in a margin of half the overlap (Chu et al. 2022, doi:10.5194/tc-16-4273-2022)."""
    return (from_border(tile) > overlap // 2).astype(float)


def uniform(tile, overlap):
    """1 everywhere."""
    return np.ones(tile)


BLENDS = {"hann": hann, "linear": linear, "crop": crop, "none": uniform}


def axes_of(shape, tile, overlap, blend):
    """The two axes of a scene's tile grid.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the scene, each at least `tile`.
    tile, overlap : int
        [pixels].
    blend : str
        "hann", "linear", "crop" or "none".

    Returns
    -------
    (Axis, Axis)

    Raises
    ------
    GlacierlabError, UnknownNameError
    """
    lookup(BLENDS, blend, kind="blend")
    for name, value, least in (("tile", tile, 1), ("overlap", overlap, 0)):
        require_whole(name, value, least)
    if overlap >= tile:
        raise GlacierlabError(
            f"overlap={overlap} with tile={tile}: give less than a tile; a quarter is usual."
        )
    return tuple(Axis(int(length), int(tile), int(overlap), blend) for length in shape)


def require_whole(name, value, least):
    """GlacierlabError unless a value is a whole number of pixels."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise GlacierlabError(f"{name}={value!r}: give a whole number of pixels, {least} or more.")
