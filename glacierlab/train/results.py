"""What a training leaves behind: the best model with its card, and its files."""

from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import lightning
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_only

from .. import __version__
from ..errors import GlacierlabError
from ..models.card import Card
from ..models.file import save_model
from ..models.segmenter import Segmenter
from .starting import logits_of

BEST, LAST = "best.safetensors", "last.safetensors"
SHOWN = 20  # epochs of a notebook's table


@dataclass(frozen=True)
class Training:
    """What `fit` made.

    Attributes
    ----------
    model : Segmenter
        With the weights of the best epoch, in eval mode, card filled.
    history : pandas.DataFrame
        One row an epoch: epoch (from 0), train_loss, lr, seconds, and, where there is validation, val_loss,
        val_accuracy, val_miou (mean over the classes that are there or found), val_iou (the same without the
        first class), val_dice (soft, mean over patches). In the words of `gl.evaluate`, whose `scores` have a
        row a class and a row "mean": val_miou is `iou` of the mean, not its `miou`, which with two classes
        are the same; val_iou is the mean of the classes' `iou` but the first's.
    best, last : pathlib.Path or None
        Model files in `out`.
    best_epoch : int

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> patches = patches.split(by="blocks", block_m=480, shares=(0.5, 0.5), names=("train", "val"))
    >>> model = gl.models.build_model("unet", 2, len(patches.classes), widths=[4, 8])
    >>> training = gl.fit(model, patches, max_epochs=1, precision="32-true", progress=False)
    >>> training.best_epoch, training.history.columns.tolist()[:4], training.best
    (0, ['epoch', 'train_loss', 'val_loss', 'val_accuracy'], None)
    """

    model: Segmenter
    history: pd.DataFrame
    best: Path | None
    last: Path | None
    best_epoch: int

    def __repr__(self):
        row = self.history.set_index("epoch").loc[self.best_epoch]
        scores = ", ".join(
            f"{name} {value:.4g}" for name, value in row.items() if name not in ("lr", "seconds")
        )
        kept = f"; {self.best}" if self.best else ""
        epochs = f"{len(self.history)} epochs, best {self.best_epoch}"
        return f"<Training: {self.model.name}, {epochs}: {scores}{kept}>"

    def _repr_html_(self):
        table = self.history.to_html(index=False, float_format="{:.4g}".format, max_rows=SHOWN)
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}"


def card_of(model, train, settings, facts):
    """A model's card, without scores yet."""
    return Card(
        features=train.features,
        classes=logits_of(model, train),
        tile=train.size,
        training=facts
        | {"glacierlab": __version__, "torch": torch.__version__, "lightning": lightning.__version__},
        **{key: train.origin.get(key) for key in ("recipe", "sensor", "radiometry", "pixel_size_m")},
    )


def scored(card, keeper, epoch):
    """A card with the scores of its epoch, and of the best and the last."""
    scores = lambda row: {name: value for name, value in row.items() if name not in ("lr", "seconds")}
    metrics = {"best": scores(keeper.row_of(keeper.best_epoch)), "last": scores(keeper.history[-1])}
    return replace(
        card, metrics=metrics, training=card.training | {"epochs": len(keeper.history), "epoch": epoch}
    )


def write_best(model, card, keeper):
    """The model file of the best epoch, whose weights the model holds now."""
    model.card = scored(card, keeper, keeper.best_epoch)
    save_model(model, keeper.folder / BEST)


def finish(model, keeper, card):
    """Write the last and the best, and give the best."""
    if not keeper.history:
        raise GlacierlabError("Training ended before its first epoch was done: give it more time or batches.")
    writes = keeper.folder is not None and rank_zero_only.rank == 0
    kinds = {LAST: (keeper.last, keeper.history[-1]["epoch"]), BEST: (keeper.best, keeper.best_epoch)}
    for name, (weights, epoch) in kinds.items():
        model.load_state_dict(weights)
        model.card = scored(card, keeper, epoch)
        model.eval()
        if writes:
            save_model(model, keeper.folder / name)
    files = [None if keeper.folder is None else keeper.folder / name for name in (BEST, LAST)]
    return Training(model, keeper.table(), *files, keeper.best_epoch)
