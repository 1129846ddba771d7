"""Tiles through a model: its precision, batches, views, draws of dropout, and members of an ensemble."""

import copy
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from ..errors import GlacierlabError
from ..samples.moves import MOVES, inverse, sources_of

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
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
        "float32" or "bfloat16".
    device : str
    batch_size : int
        Tiles at a time.
    """

    features: tuple[str, ...]
    views: tuple[str, ...] = ("identity",)
    dropout: int = 0
    seed: int = 0
    spread: bool = False
    precision: str = "float32"
    device: str = "cpu"
    batch_size: int = 4


def run(models, images, places, manner):
    """Probabilities of tiles, averaged over members, views and draws.

    Parameters
    ----------
    models : sequence of Segmenter
        As `made_ready` gives them.
    images : torch.Tensor
        (N, C, t, t) float32, finite.
    places : sequence of (int, int)
        Row and column of each tile: they seed the draws of dropout.
    manner : Manner

    Returns
    -------
    torch.Tensor
        (N, K, t, t) float32; where `spread` is asked, (N, K + 1, t, t), the last the standard deviation over
        all passes of the class whose is largest.

    Raises
    ------
    GlacierlabError
        A model gives NaN or infinity.
    """
    size = 1 if manner.dropout else manner.batch_size  # draws must not depend on the neighbors in a batch
    found = []
    for first in range(0, len(images), size):
        batch = images[first : first + size].to(manner.device, non_blocking=True)
        found.append(averaged(models, batch, places[first], manner).cpu())
    return torch.cat(found)


@torch.inference_mode()
def averaged(models, batch, place, manner):
    """Mean and, where asked, spread of all passes of one batch; Welford's sums, so that nothing cancels."""
    mean, squares, count = 0.0, 0.0, 0
    for model in models:
        for by in manner.views:
            turned = turn(batch, by, sources_of(manner.features, by))
            for draw in range(max(manner.dropout, 1)):
                seeded = dropping(model, (manner.seed, *place, draw)) if manner.dropout else nullcontext()
                with seeded:
                    found = MOVED[inverse(by)](probabilities(model, turned, manner))
                count += 1
                step = found - mean
                mean = mean + step / count
                if manner.spread:
                    squares = squares + step * (found - mean)
    if not torch.isfinite(mean.sum()):
        raise GlacierlabError(
            f"The model {models[0].name!r} gives no numbers at row {place[0]}, column {place[1]}, or in a "
            "tile beside: its weights or the scale of its features are at fault."
        )
    return torch.cat([mean, (squares / count).sqrt().amax(1, keepdim=True)], 1) if manner.spread else mean


def probabilities(model, images, manner):
    """(N, K, t, t) float32 at the card's temperature."""
    half = manner.precision == "bfloat16"
    kind = torch.device(manner.device).type
    with torch.autocast(kind, torch.bfloat16) if half else nullcontext():
        logits = model(images.contiguous(memory_format=torch.channels_last))
    logits = logits.float() / (model.card.temperature if model.card else 1.0)
    if model.classes > 1:
        return logits.softmax(dim=1)
    yes = logits.sigmoid()
    return torch.cat([1 - yes, yes], dim=1)


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

    def __init__(self, model, seed):
        self.layers = [each for each in model.modules() if isinstance(each, DROPOUTS)]
        self.seed = hash(seed) % 2**63  # of whole numbers alone, which Python hashes alike everywhere

    def __enter__(self):
        self.state = torch.random.fork_rng(devices=None if torch.cuda.is_available() else [])
        self.state.__enter__()
        torch.manual_seed(self.seed)
        for each in self.layers:
            each.train()

    def __exit__(self, *error):
        for each in self.layers:
            each.eval()
        self.state.__exit__(*error)


# ---- models ----


def made_ready(model, device):
    """A copy of a model in eval mode on a device, in the memory layout that convolutions are fastest in."""
    ready = copy.deepcopy(model).eval().requires_grad_(False)
    return ready.to(device).to(memory_format=torch.channels_last)


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
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
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
