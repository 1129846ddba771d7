"""The index that most indices are."""

import numpy as np

from . import compiled

ZERO, NAN = np.float32(0), np.float32(np.nan)


@compiled
def normalized_difference(a, b, least, out):
    """(a - b) / (a + b) of pixels (n,), into `out` float32; NaN where both are <= 0 or abs(a + b) < least."""
    for x in range(len(out)):
        total = a[x] + b[x]
        undefined = ((a[x] <= ZERO) & (b[x] <= ZERO)) | (abs(total) < least)
        out[x] = NAN if undefined else (a[x] - b[x]) / total
