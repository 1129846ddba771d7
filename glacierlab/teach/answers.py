"""What exercises read from an answer."""

import numpy as np


def as_number(answer):
    """An answer as a float, also of a 0-d array or a ThresholdCurve; None if it is no finite number."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
