"""Train on hand-labeled Swiss chips to tell snow from bare ice, and score whole chips of glaciers held back.

    GLACIERLAB_DATA=folder-that-holds-swiss_snow python examples/swiss_snow.py

As examples/train_swiss_snow.toml says. Beside the network: Otsu's threshold on near infrared, found anew for
each chip; a threshold for all chips that the training chips settle; and "all snow". Scored is every labeled
pixel of the chips that hold both classes, for where a chip holds one, no threshold can be found in it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skimage.filters import threshold_otsu
from tqdm import tqdm

import glacierlab as gl
from glacierlab.samples.real import swiss_chips
from glacierlab.tables import NOT_OBSERVED
from glacierlab.train.config import patches_of, read_config
from glacierlab.train.starting import build_for

HERE = Path(__file__).parent
BOTH = ("bare_ice", "snow")
SEED = 0


def mean_iou(found, label, known):
    """Mean IoU of bare ice and snow in one chip."""
    found, label = found[known], label[known]
    return np.mean(
        [((found == k) & (label == k)).sum() / ((found == k) | (label == k)).sum() for k in (0, 1)]
    )


def class_map(label):
    """0 bare ice, 1 snow, and where one of them is known."""
    known = (label != NOT_OBSERVED).to_numpy()
    return np.where(known, label, 1).astype(int) - 1, known


def threshold_of(scenes, labels):
    """The reflectance in near infrared that tells snow from ice best: highest mean IoU in all pixels."""
    pixels = []
    for name, scene in scenes.items():
        label, known = class_map(labels[name])
        pixels.append((scene["nir"].to_numpy()[known], label[known]))
    nir, label = map(np.concatenate, zip(*pixels, strict=True))
    steps = np.linspace(0.05, 1.0, 96)
    return steps[np.argmax([mean_iou((nir > step).astype(int), label, ...) for step in steps])]


def scored(model, scenes, labels, names, threshold):
    """A row a chip that holds both classes: mean IoU of each way."""
    rows, recipe = {}, gl.Recipe.from_json(model.card.recipe)
    for name in tqdm(names, desc="whole chips"):
        label, known = class_map(labels[name])
        if len(np.unique(label[known])) < 2:
            continue
        stack = recipe.apply(scenes[name]).fillna(0).to_numpy().astype(np.float32)
        probability = model.probabilities(torch.from_numpy(stack[None]))[0].numpy()
        nir = scenes[name]["nir"].to_numpy()
        ways = {
            model.name: probability.argmax(axis=0),
            "Otsu on NIR, per chip": nir > threshold_otsu(nir[known]),
            f"NIR > {threshold:.2f}, from training chips": nir > threshold,
            "all snow": np.ones_like(label),
        }
        rows[name] = {way: mean_iou(np.asarray(found, int), label, known) for way, found in ways.items()}
    return pd.DataFrame(rows).T.rename_axis("chip")


def interval(values, glaciers, draws=2000):
    """95 % interval of a mean over chips, glaciers drawn anew."""
    rng, groups = np.random.default_rng(SEED), [each.to_numpy() for _, each in values.groupby(glaciers)]
    means = [
        np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))]).mean()
        for _ in range(draws)
    ]
    return np.percentile(means, [2.5, 97.5])


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--config", type=Path, default=HERE / "train_swiss_snow.toml")
    asked.add_argument("--epochs", type=int, help="instead of the config's")
    asked = asked.parse_args()
    config = read_config(asked.config)
    told = config["train"] | ({} if asked.epochs is None else {"max_epochs": asked.epochs})
    patches = patches_of(config["data"])
    print(patches, patches.parts(), patches.audit(), sep="\n")
    torch.manual_seed(SEED)
    model = gl.fit(build_for(patches, **config["model"]), patches, seed=SEED, **told).model

    scenes, labels, glaciers = swiss_chips(
        config["data"].get("folder"), mini=config["data"].get("mini", False)
    )
    part = patches.manifest.groupby("scene")["split"].agg(set)
    train, test = ([name for name, parts in part.items() if parts == {each}] for each in ("train", "test"))
    threshold = threshold_of({name: scenes[name] for name in train}, labels)
    table = scored(model, scenes, labels, test, threshold)
    table.to_csv(Path(told["out"]) / "chips.csv", float_format="%.4f")
    of = pd.Series(glaciers)[table.index]
    print(f"\n{len(table)} whole chips of {of.nunique()} glaciers, mean IoU of bare ice and snow:")
    for way, values in table.items():
        low, high = interval(values, of)
        print(f"{way:40} {values.mean():.3f} [{low:.3f}, {high:.3f}]")
    gain = table[model.name] - table["Otsu on NIR, per chip"]
    low, high = interval(gain, of)
    share = (gain > 0).mean()
    print(f"{'ahead of Otsu by':40} {gain.mean():.3f} [{low:.3f}, {high:.3f}], in {share:.0%} of chips")


if __name__ == "__main__":
    main()
