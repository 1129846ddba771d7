"""Baselines that learn at once, from pixels of the training patches."""

import numpy as np
import torch

from ..errors import GlacierlabError
from ..io.write import write_text
from ..tables import NOT_OBSERVED
from .batches import require_sound, val_loader
from .keeping import HISTORY, Keeper, weights_of
from .results import finish
from .tally import Tally


def learn_at_once(model, train, val, settings, card, folder):
    """`fit` for a network with `learn`: one pass, one row of history, the same files."""
    pixels, labels, counts = sample_pixels(train, settings.max_pixels, settings.seed)
    about = dict(features=train.features, classes=train.classes, seed=settings.seed, counts=counts)
    options = model.network.learn(pixels, labels, **about) or {}
    model.options = model.options | options
    keeper = Keeper("train_loss", folder, {}, None)
    row = {"epoch": 0} | ({} if val is None else judged(model.eval(), val, settings))
    keeper.history, keeper.best_epoch = [row], 0
    keeper.best = keeper.last = weights_of(model)
    if folder is not None:
        write_text(keeper.table().to_csv(index=False), folder / HISTORY)
    return finish(model, keeper, card)


def sample_pixels(patches, most, seed):
    """Pixels (n, feature) float32 and labels (n,) int64, at most `most` of a class, and how many there are.

    Every pixel gets a number by the seed, and the smallest of each class stay: one pass, little memory.
    """
    rng = np.random.default_rng(seed)
    kept = [(np.empty((0, len(patches.features)), np.float32), np.empty(0)) for _ in patches.classes]
    counts = np.zeros(len(patches.classes), np.int64)
    for place, (image, label) in enumerate(patches):
        batch = (
            torch.from_numpy(image)[None],
            torch.from_numpy(label.astype(np.int64))[None],
            torch.tensor([place]),
        )
        require_sound(batch, patches, len(patches.classes))
        pixels, codes, draws = image.reshape(len(image), -1).T, label.ravel(), rng.random(label.size)
        for code in np.unique(codes[codes != NOT_OBSERVED]):
            mine = codes == code
            counts[code] += mine.sum()
            values = np.concatenate([kept[code][0], pixels[mine]])
            numbers = np.concatenate([kept[code][1], draws[mine]])
            if len(numbers) > most:
                chosen = np.sort(np.argpartition(numbers, most)[:most])
                values, numbers = values[chosen], numbers[chosen]
            kept[code] = values, numbers
    labels = np.repeat(np.arange(len(kept)), [len(values) for values, _ in kept])
    if not len(labels):
        raise GlacierlabError("No training pixel has a label: look at patches.parts().")
    return np.concatenate([values for values, _ in kept]), labels, counts.tolist()


def judged(model, patches, settings):
    """Validation scores of a model that learned at once, as a row of history has them."""
    tally = Tally(len(patches.classes), torch.device("cpu"))
    with torch.inference_mode():
        for images, labels, places in val_loader(patches, settings, 0):
            require_sound((images, labels, places), patches, len(patches.classes))
            tally.add(model(images), labels)
    scores = tally.scores(lambda values, reduce_op: values)
    return {f"val_{name}": value for name, value in scores.items() if name != "loss"}
