"""Small patches that can be learned, and narrow networks, for tests of training."""

from functools import lru_cache

import numpy as np
import torch
from labeled import made_labels, made_scene

from glacierlab.models import build_model
from glacierlab.samples import PatchSet

BANDS = ("red", "nir", "swir16")


@lru_cache(maxsize=4)
def scenes_of(count=4, shape=(32, 40)):
    """Scenes far apart whose red tells glacier from background, and labels with holes."""
    scenes, labels = {}, {}
    for n in range(count):
        scene = made_scene(shape, seed=n, bands=BANDS, holes=0, west=500_000 + 20_000 * n)
        label = made_labels(scene, seed=n, codes=(0, 0, 1, 1, 255))
        scene["red"] = scene["red"].copy(data=scene["red"].values * 0.3 + 0.7 * (label.values == 1))
        scenes[f"scene{n}"], labels[f"scene{n}"] = scene, label
    return scenes, labels


def learnable(size=8, classes=("background", "clean_ice"), **options):
    """Patches of them: half train, a quarter validates, a quarter tests."""
    patches = PatchSet.from_scenes(*scenes_of(), size=size, classes=list(classes), **options)
    return patches.split(shares=(0.5, 0.25, 0.25), names=("train", "val", "test"))


def narrow(name="unet", in_channels=3, classes=2, seed=0, **options):
    """A small network, always with the same weights."""
    torch.manual_seed(seed)
    small = {"widths": (4, 8)} | ({"norm": "batch"} if name == "unet" else {})
    return build_model(name, in_channels, classes, **(small | options))


def same_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Altered:
    """A store whose pixels are changed when they are read: `change(image, label, scene, row, col)`."""

    def __init__(self, store, change):
        self.store, self.change = store, change

    def read(self, scene, row, col, size, position):
        image, label = (np.array(each) for each in self.store.read(scene, row, col, size, position))
        self.change(image, label, scene, row, col)
        return image, label

    def read_many(self, windows, size):
        for place, (scene, row, col, position) in enumerate(windows):
            yield place, *self.read(scene, row, col, size, position)
