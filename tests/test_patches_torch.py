"""Patches as a torch dataset: the same by any number of workers, augmentation for training alone."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from labeled import made_labels, made_outlines, made_scene
from torch.utils.data import DataLoader

import glacierlab as gl
from glacierlab.errors import GlacierlabError
from glacierlab.samples import Augmentation, PatchSet


@pytest.fixture
def scenes():
    return {name: made_scene(seed=n, west=500_000 + 20_000 * n) for n, name in enumerate("abc")}


@pytest.fixture
def patches(scenes):
    labels = {name: made_labels(scene) for name, scene in scenes.items()} | {"b": made_outlines(scenes["b"])}
    labels["b"]["class"] = "clean_ice"
    made = PatchSet.from_scenes(scenes, labels, size=8, stride=8)
    return made.split(shares=(0.4, 0.3, 0.3))


def batches(dataset, **options):
    return [torch.cat(each) for each in zip(*DataLoader(dataset, batch_size=7, **options), strict=True)]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_items_are_the_patches(patches):
    dataset = patches.torch("test")
    part = patches.subset("test")
    assert len(dataset) == len(part)
    for (image, label), (expected, classes) in zip(dataset, part, strict=True):
        assert (image.dtype, label.dtype) == (torch.float32, torch.int64)
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(label, classes)
    assert len(patches.torch()) == len(patches)


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_change_nothing(patches, scenes, start, workers):
    augmented = patches.torch("train", augmentation=Augmentation(patches.features, gain=0.1), seed=3)
    alone = batches(augmented)
    assert equal(batches(augmented, num_workers=workers, multiprocessing_context=start), alone)


def test_workers_read_dask_and_zarr(scenes, tmp_path):
    scene = scenes["a"]
    recipe = gl.Recipe(["red", "nir/swir16"]).fit(scene)
    stored = PatchSet.from_scenes(scene.chunk(y=16), made_labels(scene), recipe, size=8)
    stored[0]  # the parent's own threads are running now
    for patches in (stored, stored.to_zarr(tmp_path / "cache")):
        dataset = patches.torch()
        assert equal(batches(dataset, num_workers=2, multiprocessing_context="fork"), batches(dataset))


def test_augmentation_depends_on_seed_epoch_and_patch_alone(patches):
    augmentation = Augmentation(patches.features, gain=0.1, offset=0.02)
    dataset = patches.torch("train", augmentation=augmentation, seed=1)
    first = batches(dataset)
    assert equal(batches(dataset), first)
    dataset.set_epoch(1)
    second = batches(dataset)
    assert not torch.equal(first[0], second[0])
    position = patches.subset("train").manifest.index[2]
    image, label = patches.subset("train")[2]
    expected = augmentation(image, label, (1, 1, int(position)))
    np.testing.assert_array_equal(dataset[2][0], expected[0])
    np.testing.assert_array_equal(dataset[2][1], expected[1])
    assert not equal(batches(patches.torch("train", augmentation=augmentation, seed=2)), first)


def test_lasting_workers_hear_of_the_epoch(patches):
    dataset = patches.torch("train", augmentation=Augmentation(patches.features, gain=0.3))
    loader = DataLoader(
        dataset, batch_size=99, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        ((images, _),) = loader
        assert torch.equal(images, batches(dataset)[0])


def test_augmentation_is_for_training_alone(patches):
    augmentation = Augmentation(patches.features)
    for part in ("test", "validation", None):
        with pytest.raises(GlacierlabError, match="for the part 'train' alone"):
            patches.torch(part, augmentation=augmentation)
    with pytest.raises(GlacierlabError, match="no split"):
        PatchSet.from_scenes(made_scene(), made_labels(made_scene()), size=8).torch(augmentation=augmentation)
    assert len(patches.subset("train").torch(augmentation=augmentation)) > 0
    with pytest.raises(GlacierlabError, match=r"\['red'\].*the patches have"):
        patches.torch("train", augmentation=Augmentation(["red"]))


def test_the_sampler_draws_by_weight_and_seed(patches):
    draws = list(patches.sampler("train", seed=4))
    train = patches.subset("train")
    assert len(draws) == len(train)
    assert draws == list(patches.sampler("train", seed=4))
    assert draws != list(patches.sampler("train", seed=5))
    counts = np.zeros(len(train))
    for seed in range(300):
        np.add.at(counts, list(train.sampler(seed=seed)), 1)
    expected = train.sampling_weights() * counts.sum()
    assert abs(counts - expected).max() < 6 * np.sqrt(expected.max())  # six deviations of Poisson


def test_a_dataset_is_light(patches):
    assert len(pickle.dumps(patches.torch())) < 3 * 40 * 50 * 4 * 3 * 1.5  # its scenes, and little more
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from labeled import *; import glacierlab as gl\n"
        "scene = made_scene(); set = gl.samples.PatchSet.from_scenes(scene, made_labels(scene), size=8)\n"
        "set[0], set.with_split('train').subset('train').class_weights(); print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code, str(Path(__file__).parent)]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "False\n"
