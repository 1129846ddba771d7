"""Tiles through a model: its precision, batches, views, draws of dropout, and members of an ensemble."""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..errors import GlacierlabError
from ..samples.moves import MOVES, inverse, sources_of

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
ONE = 2**28  # a probability of 1 as a whole number; int32 holds sums up to 8
FASTER = 1.3  # by which bf16 must beat float32 on a CPU before it is taken


@dataclass(frozen=True)
class Manner:
    """All that the numbers depend on, beside models and scene.

    Attributes
    ----------
    features : tuple of str
        Of the images, in order.
    views : tuple of str
        Keys of `samples.moves.MOVES`; probabilities are averaged over them.
    dropout, seed : int
        Draws of Monte-Carlo dropout, 0 for none. Each tile's draws depend on the seed and its place.
    spread : bool
        Whether the standard deviation over views, draws and members is asked.
    precision : str
        "float32", "bfloat16", or "auto": the process where tiles run decides.
    device : str
        Or "auto", likewise.
    batch_size : int or "auto"
        Tiles at a time.
    """

    features: tuple[str, ...]
    views: tuple[str, ...] = ("identity",)
    dropout: int = 0
    seed: int = 0
    spread: bool = False
    precision: str = "float32"
    device: str = "cpu"
    batch_size: int | str = 4

    def settled(self):
        """The same with device and precision of this process."""
        device = device_of(self.device)
        return replace(self, device=device, precision=precision_of(self.precision, device))


class Tile(NamedTuple):
    """A tile: its first pixel in a window, its weights (pixel,) along both axes, its place in the scene."""

    y: int
    x: int
    weights_y: np.ndarray
    weights_x: np.ndarray
    place: tuple[int, int]

    def slices(self):
        """Its rows and columns in the window."""
        return slice(self.y, self.y + len(self.weights_y)), slice(self.x, self.x + len(self.weights_x))


class Window(NamedTuple):
    """An image on its device, (C, y, x) with 0 where it is not observed; that, as NumPy; when it is there."""

    image: torch.Tensor
    known: np.ndarray
    ready: torch.cuda.Event | None


@torch.inference_mode()
def sent(window, device):
    """An image (C, y, x) float32, NaN where not observed, on its way to a device.

    To a GPU it goes from pinned memory in a stream of its own, while models run in another.
    """
    if not window.flags.writeable or min(window.strides) < 0:
        window = window.copy()  # torch takes no others
    image, device = torch.from_numpy(window), torch.device(device)
    if device.type != "cuda":
        return Window(*filled(image.to(device)), None)
    with torch.cuda.stream(copying(device)):
        found = filled(image.pin_memory().to(device, non_blocking=True))
        return Window(*found, copying(device).record_event())


@lru_cache
def copying(device):
    """The stream of a GPU in which images come."""
    return torch.cuda.Stream(device)


def filled(image):
    """The image with 0 in all features where one has no value, and where all have one."""
    seen = torch.isfinite(image[0])
    for plane in image[1:]:
        seen &= torch.isfinite(plane)
    return image if seen.all() else torch.where(seen, image, 0), seen.cpu().numpy()


@torch.inference_mode()
def run(models, window, tiles, manner, most):
    """Sum of what tiles give to the pixels of a window, each weighted.

    Tiles are cut, and blended, on the device. Sums are whole numbers, so that they do not depend on the order
    of tiles.

    Parameters
    ----------
    models : sequence of Segmenter
        As `made_ready` gives them.
    window : Window
    tiles : sequence of Tile
        Those without an observed pixel are left out.
    manner : Manner
        Settled.
    most : int
        Tiles at a time.

    Returns
    -------
    torch.Tensor or None
        (K, y, x) int32, in parts of `ONE`; where `spread` is asked (K + 1, y, x), the last the standard
        deviation over all passes of the class whose is largest. None where nothing is observed.

    Raises
    ------
    GlacierlabError
        A model gives NaN or infinity.
    torch.OutOfMemoryError
        So many tiles are too many.
    """
    image = window.image
    if window.ready is not None:
        torch.cuda.current_stream(image.device).wait_event(window.ready)
        image.record_stream(torch.cuda.current_stream(image.device))
    tiles = [tile for tile in tiles if window.known[tile.slices()].any()]
    if not tiles:
        return None
    rows, columns = (
        torch.from_numpy(np.stack(each)).to(image.device)
        for each in ([tile.weights_y for tile in tiles], [tile.weights_x * ONE for tile in tiles])
    )
    size = even(len(tiles), most)
    total, finite = None, []
    images = image.new_empty((size, *image.shape[:1], *[len(rows[0])] * 2))
    images = images.contiguous(memory_format=torch.channels_last)
    for first in range(0, len(tiles), size):
        batch = tiles[first : first + size]
        for place, tile in enumerate(batch):
            images[place] = image[(slice(None), *tile.slices())]
        found = averaged(models, images[: len(batch)], batch[0].place, manner)
        finite.append(torch.isfinite(found.sum()))
        if total is None:
            total = image.new_zeros((found.shape[1], *image.shape[1:]), dtype=torch.int32)
        found *= rows[first : first + size, None, :, None]
        found *= columns[first : first + size, None, None, :]
        for tile, values in zip(batch, found.round_().int(), strict=True):
            total[(slice(None), *tile.slices())] += values
    require_finite(finite, tiles[::size], models)
    return total


def fetched(total):
    """Sums as NumPy has them; from a GPU by way of pinned memory."""
    if total is None or total.device.type != "cuda":
        return total if total is None else total.numpy()
    return torch.empty(total.shape, dtype=total.dtype, pin_memory=True).copy_(total).numpy()


def even(count, most):
    """The size of batches of about one size, for so many tiles and no more than the most at a time."""
    return math.ceil(count / math.ceil(count / most))


def require_finite(finite, tiles, models):
    """GlacierlabError with the place of the first batch that is not."""
    for place in (tile.place for yes, tile in zip(finite, tiles, strict=True) if not yes):
        raise GlacierlabError(
            f"The model {models[0].name!r} gives no numbers at row {place[0]}, column {place[1]}, or in a "
            "tile beside: its weights or the scale of its features are at fault."
        )


def averaged(models, batch, place, manner):
    """Mean and, where asked, spread of all passes of one batch; Welford's sums, so that nothing cancels."""
    mean = squares = None
    count = 0
    for found in each_pass(models, batch, place, manner):
        count += 1
        if mean is None:
            mean, squares = found, torch.zeros_like(found) if manner.spread else None
            continue
        step = found - mean
        mean += step / count
        if manner.spread:
            squares += step * (found - mean)
    return torch.cat([mean, (squares / count).sqrt().amax(1, keepdim=True)], 1) if manner.spread else mean


def each_pass(models, batch, place, manner):
    """Probabilities (N, K, t, t) of every member, view and draw."""
    for model in models:
        for by in manner.views:
            turned = turn(batch, by, sources_of(manner.features, by))
            for draw in range(max(manner.dropout, 1)):
                seed = manner.seed, *place, draw
                with dropping(model, seed, manner.device) if manner.dropout else nullcontext():
                    yield MOVED[inverse(by)](probabilities(model, turned, manner))


def probabilities(model, images, manner):
    """(N, K, t, t) float32 at the card's temperature."""
    half = manner.precision == "bfloat16"
    kind = torch.device(manner.device).type
    with torch.autocast(kind, torch.bfloat16) if half else nullcontext():
        logits = model(images.contiguous(memory_format=torch.channels_last))
    return model.activated(logits)


def turn(images, by, sources):
    """Images (N, C, t, t), moved; what points somewhere is turned too, see `samples.moves.move`."""
    if any(source != place or sign < 0 for place, (source, sign) in enumerate(sources)):
        order, signs = zip(*sources, strict=True)
        images = images[:, list(order)] * images.new_tensor(signs)[:, None, None]
    return MOVED[by](images)


def mover(by):
    """A move of `samples.moves` for tensors (..., y, x)."""
    move = MOVES[by]
    flipped = [axis for axis, asked in ((-2, move.flip_y), (-1, move.flip_x)) if asked]

    def moved(tensor):
        tensor = tensor.transpose(-1, -2) if move.transpose else tensor
        return tensor.flip(flipped) if flipped else tensor

    return moved


MOVED = {by: mover(by) for by in MOVES}


class dropping:
    """Dropout layers draw within the block, by a seed; all else stays in eval mode, the random state too."""

    def __init__(self, model, seed, device):
        self.devices = [device] if torch.device(device).type == "cuda" else []
        self.layers = [each for each in model.modules() if isinstance(each, DROPOUTS)]
        self.seed = hash(seed) % 2**63  # of whole numbers alone, which Python hashes alike everywhere

    def __enter__(self):
        self.state = torch.random.fork_rng(devices=self.devices)
        self.state.__enter__()
        torch.manual_seed(self.seed)
        for each in self.layers:
            each.train()

    def __exit__(self, *error):
        for each in self.layers:
            each.eval()
        self.state.__exit__(*error)


# ---- models ----


def require_dropout(models):
    """GlacierlabError where a model has no layer of dropout to draw from."""
    for model in models:
        if not any(isinstance(each, DROPOUTS) and each.p > 0 for each in model.modules()):
            raise GlacierlabError(
                f"{model.name!r} has no dropout to draw from: leave dropout= out, and ask views (tta=) or "
                "several models for a spread."
            )


def device_of(asked):
    """The device by name: "auto" is a GPU where there is one."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if torch.device(asked).type == "cuda" and not torch.cuda.is_available():
        raise GlacierlabError(f"device={asked!r}: torch sees no GPU here. Leave device out, or say 'cpu'.")
    return str(asked)


def precision_of(asked, device):
    """ "float32" or "bfloat16"; "auto" is the latter on GPUs that have it, and on CPUs that are faster so."""
    if asked in ("float32", "bfloat16"):
        return asked
    if asked != "auto":
        raise GlacierlabError(f"precision={asked!r}: give 'auto', 'float32' or 'bfloat16'.")
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if torch.device(device).type == "cpu" and bf16_is_fast() else "float32"


@lru_cache(maxsize=1)
@torch.inference_mode()
def bf16_is_fast():
    """Whether this CPU's convolutions are faster in bf16: measured once a process, in a fifth of a second."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
        image = torch.rand(2, 64, 64, 64).contiguous(memory_format=torch.channels_last)
    seconds = {False: float("inf"), True: float("inf")}
    for _ in range(15):  # in turns, so that what else runs here slows both
        for half in seconds:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                start = time.perf_counter()
                layer(image)
                seconds[half] = min(seconds[half], time.perf_counter() - start)
    return seconds[False] > FASTER * seconds[True]
