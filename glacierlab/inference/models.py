"""Models on their way to where tiles are: one copy a process, however many tasks run there."""

import hashlib
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ..errors import GlacierlabError
from ..models import Segmenter, load_model, save_model
from .batches import fewer, is_out_of_memory, most_tiles
from .passes import Window, fetched, run, sent
from .readying import made_ready

KEPT = 2  # sets of models that a process keeps


class Models:
    """Models that know the same features and classes, as a value of a dask graph.

    In threads all tasks share it. Sent to another process it is the bytes of model files, which make the
    models there once: the graph holds it under a key of its own, not in each task.

    Attributes
    ----------
    members : list of Segmenter
    card : Card
        Of the first.
    """

    def __init__(self, members):
        self.members = list(members)
        self.card = self.members[0].card
        self.key = fingerprint_of(self.members)
        self._ready = {}  # by device and precision
        self._most = {}  # tiles at a time, by manner

    @property
    def channels(self):
        """How many probabilities a pixel has."""
        return len(self.card.names)

    def run(self, window, tiles, manner):
        """Weighted sums (K, y, x) int32 of tiles of a window (C, y, x), or None, and where it is observed.

        Models run one window at a time in a process, and always in the same thread: torch keeps workers for
        every thread that calls it, and those of several wait for each other on few cores. Windows travel to
        a GPU meanwhile.
        """
        if not manner.device.startswith("cuda"):
            total, known = runner().submit(self._run, window, tiles, manner).result()
            return fetched(total), known
        with ON_GPU:
            window = sent(window, manner.device)
            total, known = runner().submit(self._run, window, tiles, manner).result()
            return fetched(total), known

    def _run(self, window, tiles, manner):
        if not isinstance(window, Window):
            window = sent(window, manner.device)
        way = manner.device, manner.precision
        if way not in self._ready:
            self._ready[way] = [made_ready(each, *way) for each in self.members]
        models, channels = self._ready[way], len(window.image)
        if manner not in self._most:
            self._most[manner] = most_tiles(models, channels, len(tiles[0].weights_y), manner)
        while True:
            try:
                return run(models, window, tiles, manner, self._most[manner]), window.known
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._most[manner] = fewer(self._most[manner], manner)

    def __reduce__(self):
        with TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.safetensors" for number in range(len(self.members))]
            for model, path in zip(self.members, paths, strict=True):
                save_model(model, path)
            return revived, (self.key, tuple(path.read_bytes() for path in paths))

    def __dask_tokenize__(self):
        return self.key


ON_GPU = threading.Semaphore(3)  # windows that are there or on their way
REVIVED, REVIVING = OrderedDict(), threading.Lock()
RUNNERS = {}  # by process: threads do not survive a fork


def runner():
    """The one thread of this process in which models run."""
    process = os.getpid()
    with REVIVING:
        if process not in RUNNERS:
            RUNNERS[process] = ThreadPoolExecutor(1, "glacierlab-model")
        return RUNNERS[process]


def revived(key, files):
    """The models of files' bytes, those of this process where it has them."""
    with REVIVING:
        if key not in REVIVED:
            with TemporaryDirectory() as folder:
                path, members = Path(folder) / "model.safetensors", []
                for data in files:
                    path.write_bytes(data)
                    members.append(load_model(path))
            REVIVED[key] = Models(members)
            while len(REVIVED) > KEPT:
                REVIVED.popitem(last=False)
        REVIVED.move_to_end(key)
        return REVIVED[key]


def fingerprint_of(members):
    """What tells models from others: networks, cards and weights."""
    digest = hashlib.blake2b(digest_size=16)
    for model in members:
        about = (model.name, model.in_channels, model.classes, model.options, model.card, model.network)
        digest.update(repr(about).encode())
        for name, tensor in model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def models_of(given):
    """Models of a path, a `Segmenter`, or a list of those.

    Raises
    ------
    GlacierlabError
        There is none, one has no card, or their features or classes are not the same.
    ModelFileError
        A file is none.
    """
    several = list(given) if isinstance(given, list | tuple) else [given]
    if not several:
        raise GlacierlabError("model=[]: give a model file, a model, or a list of them.")
    for each in several:
        if not isinstance(each, Segmenter | str | PathLike):
            raise GlacierlabError(
                f"model= is a {type(each).__name__}: give a model file, 'default', or what "
                "gl.models.build_model gives. A network of your own becomes one by gl.models.Segmenter."
            )
    members = [each if isinstance(each, Segmenter) else load_model(each) for each in several]
    for model in members:
        if model.card is None:
            raise GlacierlabError(
                f"The model {model.name!r} has no card that says what its channels and classes are: train it "
                "with gl.fit, or save and load it with gl.save_model(model, path, recipe=…, classes=[…])."
            )
    first = members[0].card
    for model in members[1:]:
        for what in ("features", "classes", "recipe"):
            if getattr(model.card, what) != getattr(first, what):
                raise GlacierlabError(
                    f"The models of an ensemble differ in their {what}: map with each alone."
                )
    return Models(members)
