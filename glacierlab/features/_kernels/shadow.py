"""How deep each pixel of a DEM lies below the rays of the sun: a march towards it, step by step."""

import numpy as np

from . import compiled

ZERO = np.float32(0)
ROWS, COLUMNS = 64, 512  # of a tile, small enough for the heights on its way to the sun to stay in the cache
SLACK_M = np.float32(1)  # a ray this far above all heights ahead is clear of them whatever the rounding


@compiled
def extremes(heights):
    """The lowest and the highest finite height of a DEM (y, x); inf, -inf if there is none."""
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for y in range(heights.shape[0]):
        for z in heights[y]:
            low = z if -np.inf < z < low else low
            high = z if high < z < np.inf else high
    return low, high


@compiled
def march(dem, y, x, near, far, share, rise, clear, depth):
    """Depth (x) of the pixels of row `y` from column `x` on; steps as in `shadow_depth`.

    Ends where the ray has risen above `clear`, where nothing is left to meet.
    """
    height, width = dem.shape
    z = dem[y, x : x + len(depth)]
    depth[:] = ZERO
    for k in range(len(rise)):
        if rise[k] > clear:
            break
        y_near, y_far = y + near[k, 0], y + far[k, 0]
        if min(y_near, y_far) < 0 or max(y_near, y_far) >= height:
            continue
        start = max(0, -(x + min(near[k, 1], far[k, 1])))
        stop = min(len(depth), width - x - max(near[k, 1], far[k, 1]))
        if start >= stop:
            continue
        a = dem[y_near, x + start + near[k, 1] : x + stop + near[k, 1]]
        b = dem[y_far, x + start + far[k, 1] : x + stop + far[k, 1]]
        here, deep = z[start:stop], depth[start:stop]
        for i in range(stop - start):
            above = (a[i] - here[i]) + share[k] * (b[i] - a[i]) - rise[k]
            deep[i] = above if deep[i] < above < np.inf else deep[i]  # NaN and infinite heights block nothing


@compiled
def shadow_depth(dem, near, far, share, rise, reach, top, left, first, last, out):
    """Depth below the sun's rays [m], 0 in the sun, into rows `first` to `last` of `out` (y, x) float32.

    Row 0 and column 0 of `out` are row `top` and column `left` of the DEM (y, x) float32 [m]. Step k towards
    the sun meets the height (1 - share) near + share far of the pixels `near`[k] and `far`[k] (y, x) away,
    where the ray has risen by `rise`[k] [m]; beyond the DEM it meets nothing. `reach` is how many pixels the
    steps lead up, down, left and right at most.
    """
    for x in range(0, out.shape[1], COLUMNS):
        x_end = min(x + COLUMNS, out.shape[1])
        columns = slice(max(0, x + left - reach[2]), x_end + left + reach[3])
        for y in range(first, last, ROWS):
            y_end = min(y + ROWS, last)
            peak = extremes(dem[max(0, y + top - reach[0]) : y_end + top + reach[1], columns])[1]
            for row in range(y, y_end):
                here = dem[row + top : row + top + 1, x + left : x_end + left]
                clear = peak - extremes(here)[0] + SLACK_M
                depth = out[row, x:x_end]
                march(dem, row + top, x + left, near, far, share, rise, clear, depth)
                for i in range(len(depth)):
                    depth[i] += ZERO * here[0, i]  # NaN where the height is unknown
