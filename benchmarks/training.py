"""How much of a training step does `fit` add to a bare PyTorch loop, and how much of it is reading patches?

U-Net-ResNet18 on 13 x 256 x 256, batches of 8, AdamW, gradients clipped. The bare loop trains on batches in
memory; `fit` reads its patches from the cache of `to_zarr`, looks them over, keeps scores and weights. Both
stamp the clock in the same loss; rounds take turns, the first steps of each warm up, the best step counts.
Beside them the share of a step that reading its batch takes, in this process. A GPU is used where there is
one (bf16 in both).
"""

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader

from glacierlab.errors import DataWarning
from glacierlab.models import build_model
from glacierlab.samples import PatchSet
from glacierlab.train import fit

FEATURES, CLASSES, AIM, WARM = 13, 2, 0.9, 2


def made_patches(folder, side, count):
    """Patches of noise with labels by a rule, cached."""
    random, rows = np.random.default_rng(0), -(-count // 4)
    shape = rows * side, 4 * side
    names = np.array([f"layer{n}" for n in range(FEATURES)], dtype=object)
    coords = {
        "feature": names,
        "y": 5.1e6 - 10.0 * np.arange(shape[0]),
        "x": 5e5 + 10.0 * np.arange(shape[1]),
    }
    values = random.normal(size=(FEATURES, *shape)).astype(np.float32)
    stack = xr.DataArray(values, coords, ("feature", "y", "x")).rio.write_crs(32632)
    labels = stack.isel(feature=0, drop=True).copy(data=(values[0] > 0).astype(np.uint8))
    patches = PatchSet.from_scenes({"noise": stack}, {"noise": labels}, size=side)
    return patches.with_split("train").to_zarr(folder)


class Stamped:
    """A loss that notes when it is asked."""

    def __init__(self):
        self.times = []

    def __call__(self, logits, target):
        if logits.is_cuda:
            torch.cuda.synchronize()
        self.times.append(perf_counter())
        return nn.functional.cross_entropy(logits, target, ignore_index=255)

    def steps(self):
        return np.diff(self.times)[WARM:].tolist()


def new_model():
    torch.manual_seed(0)
    return build_model("unet_resnet18", FEATURES, CLASSES)


def by_fit(patches, batch):
    """Seconds of each step of `fit`."""
    loss = Stamped()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # no validation
        fit(
            new_model(),
            patches,
            loss=loss,
            batch_size=batch,
            max_epochs=1,
            augmentation=False,
            progress=False,
        )
    return loss.steps()


def by_hand(batches, device):
    """Seconds of each step of a bare loop on the same batches."""
    loss, model = Stamped(), new_model().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    for images, labels in batches:
        images = images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            value = loss(model(images), labels.to(device, non_blocking=True))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return loss.steps()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    with tempfile.TemporaryDirectory() as folder:
        patches = made_patches(Path(folder) / "cache", given.side, given.batch * given.steps)
        loader = DataLoader(patches.torch(), batch_size=given.batch)
        batches = list(loader)
        started = perf_counter()
        for _ in loader:
            pass
        reading = (perf_counter() - started) / len(batches)
        times = {"fit": [], "bare loop": []}
        for _ in range(given.rounds):
            times["fit"] += by_fit(patches, given.batch)
            times["bare loop"] += by_hand(batches, device)
    best = {name: min(each) for name, each in times.items()}
    print(f"unet_resnet18, {FEATURES} x {given.side} x {given.side}, batches of {given.batch}, {device}")
    for name, seconds in best.items():
        print(f"{name:10} {seconds * 1e3:9.1f} ms a step {given.batch / seconds:9.1f} images/s")
    print(f"throughput of fit: {best['bare loop'] / best['fit']:.3f} of the bare loop; aim {AIM}")
    print(f"reading a batch: {reading * 1e3:.1f} ms, {reading / best['fit']:.1%} of a step")


if __name__ == "__main__":
    main()
