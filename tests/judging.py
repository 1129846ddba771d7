"""Small models and patches for tests of the judge: a threshold on noise, whose every decision is known."""

import numpy as np
import torch
from labeled import CRS, FLAGS, grid
from torch import nn

import glacierlab as gl
from glacierlab.models import Segmenter
from glacierlab.models.card import Card

torch.set_num_threads(1)
BINARY = ("background", "glacier")


def linear(weights, bias=0.0, classes=("glacier",), **about):
    """A model whose first logits are 0 and whose last is a weighted sum of features by name, plus a bias."""
    network = nn.Conv2d(len(weights), len(classes), 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        network.weight[-1, :, 0, 0] = torch.tensor([*weights.values()])
        network.bias[-1] = bias
    return carded(network, weights, classes, **about)


def carded(network, features, classes, **about):
    model = Segmenter(network, "made", len(features), len(classes), {})
    model.card = Card(features=tuple(features), classes=tuple(classes), **about)
    return model


def noisy(shape=(64, 96), seed=0, bands=("red", "nir", "swir16"), **place):
    """Independent uniform numbers in every band."""
    import xarray as xr

    values = np.random.default_rng(seed).random((len(bands), *shape), dtype="float32")
    named = {name: (("y", "x"), each) for name, each in zip(bands, values, strict=True)}
    scene = xr.Dataset(named, grid(shape, **place))
    return scene.rio.write_crs(CRS).assign_attrs(sensor="landsat_oli", radiometry="sr")


def truth_of(scene, glacier):
    """Labels: 1 where the mask (y, x) says glacier, 255 where it is 255."""
    return scene["red"].copy(data=np.asarray(glacier).astype("uint8")).assign_attrs(FLAGS)


def patches_of(scenes, labels, size=16, **options):
    options = {"classes": list(BINARY)} | options
    return gl.samples.PatchSet.from_scenes(scenes, labels, size=size, **options)


def noisy_patches(scenes=1, wrong=0.1, size=16, shape=(64, 96), **options):
    """Patches of scenes side by side; glacier is where red is above a half, but for a share that is wrong."""
    made = {f"s{n}": noisy(shape, seed=n, west=500_000 + 20_000 * n) for n in range(scenes)}
    random = np.random.default_rng(99)
    labels = {
        name: truth_of(scene, (scene.red.values > 0.5) ^ (random.random(shape) < wrong))
        for name, scene in made.items()
    }
    return patches_of(made, labels, size, **options)


RED = {"red": 20.0}  # with the bias below: glacier where red is above a half
HALF = -10.0
