"""How many tiles go through a model at a time."""

import time
import warnings

import torch

from ..errors import DataWarning, GlacierlabError
from .passes import averaged

CPU_PIXELS = 2**18  # of a batch on a CPU: about where more tiles at a time are no faster
LARGEST = 256  # that a GPU is tried with
GAIN = 1.1  # by which twice the tiles must be faster to be worth their memory: an assumption


def most_tiles(models, channels, side, manner):
    """Tiles at a time: as asked, or what suits the device.

    On a GPU twice as many are tried, until they do not fit or are no faster.
    """
    if manner.dropout:
        return 1
    if manner.batch_size != "auto":
        return manner.batch_size
    if torch.device(manner.device).type == "cpu":
        return max(1, CPU_PIXELS // side**2)
    return by_trial(lambda size: seconds_of(models, size, channels, side, manner))


def by_trial(seconds, largest=LARGEST):
    """The size that is fastest for each tile, of 1, 2, 4, …, where twice as many gain little: the smaller.

    `seconds(size)` runs a batch; running out of memory ends the trial, at 1 too: the error comes when tiles
    run.
    """
    best, pace, size = 1, float("inf"), 1
    while size <= largest:
        try:
            each = seconds(size) / size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        if each * GAIN > pace:
            break
        best, pace, size = size, each, 2 * size
    return best


@torch.inference_mode()
def seconds_of(models, size, channels, side, manner):
    """Time of a batch of zeros on a GPU, the second of two."""
    images = torch.zeros((size, channels, side, side), device=manner.device)
    for _ in range(2):
        torch.cuda.synchronize(manner.device)
        start = time.perf_counter()
        averaged(models, images, (0, 0), manner)
        torch.cuda.synchronize(manner.device)
    return time.perf_counter() - start


def is_out_of_memory(error):
    """Whether torch had no memory, on a GPU or a CPU."""
    told = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in told)


def fewer(size, manner):
    """Half as many tiles at a time, after there was no memory for so many."""
    if size == 1:
        raise GlacierlabError(
            f"There is no memory on {manner.device!r} for one tile: give a smaller tile=, or another device=."
        )
    warnings.warn(
        f"No memory on {manner.device!r} for {size} tiles at a time: going on with {size // 2}. Give "
        f"batch_size={size // 2} to start so.",
        DataWarning,
        stacklevel=2,
    )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2
