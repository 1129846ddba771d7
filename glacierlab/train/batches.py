"""Batches: their order depends on seed and epoch alone, and each is looked over before it trains anything."""

from dataclasses import fields

import numpy as np
import torch
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import GlacierlabError
from ..features.recipe import Recipe
from ..samples import Augmentation
from ..samples.moves import move, sources_of
from ..tables import NOT_OBSERVED, lookup


class Samples(Dataset):
    """Patches of a `PatchSet.torch`, each with its place; under each of `moves`, where there are any."""

    def __init__(self, dataset, features=(), moves=()):
        self.dataset, self.features, self.moves = dataset, features, tuple(moves)
        for by in self.moves:
            sources_of(tuple(features), by)  # refuses layers that cannot be moved

    def __len__(self):
        return len(self.dataset) * max(len(self.moves), 1)

    def __getitem__(self, index):
        """Image (feature, y, x), label (y, x), place of the patch."""
        number, place = divmod(index, len(self.dataset))
        image, label = self.dataset[place]
        if self.moves and self.moves[number] != "identity":
            image, label = map(
                torch.from_numpy, move(image.numpy(), label.numpy(), self.moves[number], self.features)
            )
        return image, label, place


class Order(Sampler):
    """Which samples come when in an epoch: each once, or drawn by weight; tells the patches the epoch too."""

    def __init__(self, samples, seed, weights=None):
        self.samples, self.seed, self.weights, self.epoch = samples, seed, weights, 0

    def set_epoch(self, epoch):
        """Say which epoch comes, before its first batch is asked for."""
        self.epoch = epoch
        self.samples.dataset.set_epoch(epoch)

    def __len__(self):
        return len(self.samples)

    def __iter__(self):
        rng, count = np.random.default_rng((self.seed, self.epoch)), len(self)
        chosen = rng.permutation(count) if self.weights is None else rng.choice(count, count, p=self.weights)
        return iter(chosen.tolist())


def augmentation_of(patches, settings, given):
    """What training patches become; None where they stay, or are copied."""
    if isinstance(given, Augmentation):
        return given
    if isinstance(given, dict):
        known = [each.name for each in fields(Augmentation) if each.name != "features"]
        for option in given:
            lookup(dict.fromkeys(known), option, kind="option of augmentation")
        text = patches.origin.get("recipe")
        recipe = Recipe.from_json(text) if text else None
        if recipe is not None and tuple(recipe.features) == tuple(patches.features):
            return Augmentation.for_recipe(recipe, **given)
        normalizer = recipe.fitted.normalizer if recipe else None
        return Augmentation(patches.features, **{"normalizer": normalizer} | given)
    if given not in (None, False):
        raise GlacierlabError(
            f"augmentation={given!r}: give a gl.samples.Augmentation, its options as a dict, or False."
        )
    if settings.copies or settings.moves is None:
        return None
    return Augmentation(patches.features, moves=settings.moves)


def train_loader(patches, settings, augmentation, num_workers):
    """Batches of training patches; its `sampler` is an `Order`."""
    dataset = patches.with_split("train").torch("train", augmentation=augmentation, seed=settings.seed)
    samples = Samples(dataset, patches.features, settings.moves if settings.copies else ())
    weights = None
    if settings.balanced:
        repeats = len(samples) // len(dataset)
        weights = np.tile(patches.sampling_weights(), repeats) / repeats
    order = Order(samples, settings.seed, weights)
    drop_last = settings.drop_last and len(samples) > settings.batch_size
    return loader(samples, settings, num_workers, sampler=order, drop_last=drop_last)


def val_loader(patches, settings, num_workers, rank=0, devices=1):
    """Batches of validation patches, in order; of several devices each has its share, none twice."""
    samples, options = Samples(patches.torch()), {}
    if devices > 1:  # Lightning's own way repeats patches until all have as many, and scores with them
        options["sampler"] = UnrepeatedDistributedSampler(samples, devices, rank, shuffle=False)
    return loader(samples, settings, num_workers, **options)


def loader(samples, settings, num_workers, **options):
    if not isinstance(num_workers, int) or num_workers < 0:
        raise GlacierlabError(f"num_workers={num_workers!r}: give a whole number, 0 or more.")
    return DataLoader(
        samples,
        batch_size=settings.batch_size,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # its own, so that it draws nothing from the one that dropout uses
        **options,
    )


def require_sound(batch, patches, classes):
    """GlacierlabError where an image is not finite, or a label none of the classes; it tells the pixel."""
    images, labels, places = batch
    if not torch.isfinite(
        images.sum()
    ):  # a sum is the fastest look; it may overflow without anything being wrong
        bad = ~torch.isfinite(images)
        if bad.any():
            place = int(places[bad.flatten(1).any(dim=1)][0])
            image, _ = patches[place]
            spots = np.argwhere(~np.isfinite(image))
            if not len(spots):
                raise GlacierlabError(
                    f"Augmentation makes values of the {where(patches, place)} that are not finite."
                )
            feature, y, x = spots[0]
            raise GlacierlabError(
                f"{patches.features[feature]!r} is {image[feature, y, x]} at "
                f"{where(patches, place, y, x)}, one of {len(spots)} such values there: images must be "
                "finite. Fill them, or leave the patch out."
            )
    known = torch.where(labels == NOT_OBSERVED, 0, labels)
    if known.max() >= classes or known.min() < 0:
        place = int(places[((known >= classes) | (known < 0)).flatten(1).any(dim=1)][0])
        label = patches[place][1].astype(int)
        y, x = np.argwhere((label >= classes) & (label != NOT_OBSERVED))[0]
        raise GlacierlabError(
            f"The label is {label[y, x]} at {where(patches, place, y, x)}: labels hold places in "
            f"{list(patches.classes)}, 0 to {classes - 1}, or {NOT_OBSERVED} where nothing is known."
        )


def where(patches, place, y=None, x=None):
    """A patch in words, or a pixel of it by its row and column in the scene."""
    scene, row, col, _ = patches.windows([place])[0]
    if y is None:
        return f"patch of scene {scene!r} at row {row}, column {col}"
    return f"row {row + y}, column {col + x} of scene {scene!r} (the patch at {row}, {col})"
