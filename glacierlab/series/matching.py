"""How far a picture lies off another: tiles, and what they agree on. NumPy arrays in, numbers out."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

STEPS = 5  # at most: each takes away most of what the one before left
FINEST = 0.01  # pixels
SEEN = 0.25  # share of a tile that both pictures show, with the stripes of Landsat 7 too: assumption
TEXTURE = 1e-5  # smallest gradient, of the largest value: below it is rounding
SMALLEST = 16  # pixels
OUTLIER = 3.0  # NMAD: assumption
QUIET = 0.05  # pixels: tiles that agree better are not told apart
NORMAL = 1.4826  # NMAD per median absolute deviation of a normal distribution
MEDIAN_ERROR = 1.2533  # standard error of a median per that of a mean, of a normal distribution


@dataclass(frozen=True)
class Shift:
    """How far a picture lies off the reference [pixels], by its tiles."""

    dy: float
    dx: float
    tiles: int  # that agree
    offered: int
    nmad: float  # of what the tiles leave over, on the axis where it is larger
    rmse: float  # of their distances from it
    error: float  # standard error of dy and dx

    @property
    def length(self):
        """Distance from the reference."""
        return float(np.hypot(self.dy, self.dx))


def tiles_of(shape, side, most):
    """Slices (rows, columns) of tiles that cover a shape, or of about `most` spread evenly over it.

    Of a small picture tiles have a third of its shorter side.
    """
    side = min(side, max(min(shape) // 3, min(2 * SMALLEST, *shape)))
    counts = np.array([-(-size // side) for size in shape])
    if counts.prod() > most:
        counts = np.maximum(1, (counts * np.sqrt(most / counts.prod())).astype(int))
    rows, columns = (spread(size, side, count) for size, count in zip(shape, counts.tolist(), strict=True))
    return [(row, column) for row in rows for column in columns]


def spread(size, side, count):
    """`count` slices of a side from one end of a size to the other; a single one lies in the middle."""
    starts = np.linspace(0, size - side, count) if count > 1 else [(size - side) // 2]
    return [slice(int(start), int(start) + side) for start in starts]


def tile_shift(reference, moving):
    """Where the content of a tile lies in another picture of it: (dy, dx) [pixels] and their agreement.

    Both are (y, x), NaN where nothing is known; NaN come back where there is too little to compare. The
    agreement is the correlation of their gradients there, 0 to 1.
    """
    nothing = np.full(3, np.nan)
    if min(reference.shape) < SMALLEST:
        return nothing
    ours, shift = gradient(np.asarray(reference, float)), np.zeros(2)
    moving = np.asarray(moving, float)
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in ours.shape))
    for _ in range(STEPS):
        theirs = gradient(shifted(moving, shift))
        both = np.isfinite(ours) & np.isfinite(theirs)
        if both.mean() < SEEN:
            return nothing
        first, second = (np.where(both, each, 0) * window for each in (ours, theirs))
        if not (textured(first, reference) and textured(second, moving)):
            return nothing
        step, error, _ = phase_cross_correlation(
            first, second, upsample_factor=round(1 / FINEST), normalization=None
        )
        shift = shift + step
        if abs(shift).max() > min(ours.shape) / 4:
            return nothing
        if abs(step).max() <= FINEST:
            break
    return np.array([*-shift, np.sqrt(max(0.0, 1 - error**2))])


def gradient(values):
    """East plus i times south, complex (y, x); NaN beside what is unknown."""
    down, right = np.gradient(values)
    return right + 1j * down


def textured(slopes, values):
    """Whether gradients are more than rounding errors of the values."""
    return abs(slopes).max() > TEXTURE * np.nanmax(abs(values))


def shifted(values, shift):
    """A picture moved by (y, x) pixels, cubic spline; NaN where it would lean on what is unknown."""
    if not shift.any():
        return values
    known = np.isfinite(values)
    filled = np.where(known, values, values[known].mean())
    out = ndimage.shift(filled, shift, order=3, mode="nearest")
    lost = ndimage.shift((~known).astype(float), shift, order=1, mode="constant", cval=1.0) > 1e-6
    out[lost] = np.nan
    return out


def agreed(found, min_agreement):
    """The `Shift` of tiles (tile, [dy, dx, agreement]): their median, outliers left out; None without any."""
    good = found[found[:, 2] >= min_agreement, :2]  # NaN is not
    if len(good):
        off = abs(good - np.median(good, axis=0))
        good = good[(off <= OUTLIER * max(spread_of(off), QUIET)).all(axis=1)]
    if not len(good):
        return None
    middle = np.median(good, axis=0)
    off = good - middle
    nmad, rmse = spread_of(abs(off)), np.sqrt((off**2).sum(axis=1).mean())
    error = MEDIAN_ERROR * nmad / np.sqrt(len(good))
    return Shift(*map(float, middle), len(good), len(found), nmad, float(rmse), float(error))


def spread_of(distances):
    """NMAD of absolute deviations (tile, axis), on the axis where it is larger."""
    return float(NORMAL * np.median(distances, axis=0).max())
