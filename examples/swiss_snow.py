"""Train on hand-labeled Swiss chips to tell snow from bare ice, and score whole chips of glaciers held back.

    GLACIERLAB_DATA=folder-that-holds-swiss_snow python examples/swiss_snow.py

As examples/train_swiss_snow.toml says. Beside the network: Otsu's threshold on near infrared, found anew for
each chip; a threshold for all chips that the training chips settle; and "all snow". Scored is every labeled
pixel of the chips that hold both classes, for where a chip holds one, no threshold can be found in it: mean
IoU of the two classes over all pixels together, and as a mean over chips, in which small chips count as much.
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
OTSU, SEED = "Otsu on NIR, per chip", 0


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
    codes = [2 * label + (nir > step) for step in steps]
    return steps[
        np.argmax(iou_of(np.stack([np.bincount(code, minlength=4) for code in codes]).reshape(-1, 2, 2)))
    ]


def counted(model, scenes, labels, names, threshold):
    """Pixels by [way, chip, actual, predicted] of chips that hold both classes; names of ways and chips."""
    counts, chips, recipe = [], [], gl.Recipe.from_json(model.card.recipe)
    for name in tqdm(names, desc="whole chips"):
        label, known = class_map(labels[name])
        if len(np.unique(label[known])) < 2:
            continue
        stack = recipe.apply(scenes[name]).fillna(0).to_numpy().astype(np.float32)
        probability = model.probabilities(torch.from_numpy(stack[None]))[0].numpy()
        nir = scenes[name]["nir"].to_numpy()
        ways = {
            model.name: probability.argmax(axis=0),
            OTSU: nir > threshold_otsu(nir[known]),
            f"NIR > {threshold:.2f}, from training chips": nir > threshold,
            "all snow": np.ones_like(label),
        }
        codes = [2 * label[known] + np.asarray(found, int)[known] for found in ways.values()]
        counts.append([np.bincount(code, minlength=4).reshape(2, 2) for code in codes])
        chips.append(name)
    return np.swapaxes(counts, 0, 1), list(ways), chips


def iou_of(counts):
    """Mean IoU of the two classes of confusion matrices (…, actual, predicted)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return (hits / (counts.sum(-1) + counts.sum(-2) - hits)).mean(-1)


def pooled(counts):
    """Of all pixels of the chips together: (way, chip, 2, 2) → (way,)."""
    return iou_of(counts.sum(axis=1))


def by_chip(counts):
    """Mean over the chips: (way, chip, 2, 2) → (way,)."""
    return iou_of(counts).mean(axis=1)


def draws_of(counts, glaciers, score, draws=2000):
    """(draw, way) scores, glaciers drawn anew with all of their chips, the same for all ways."""
    rng, codes = np.random.default_rng(SEED), pd.factorize(np.array(glaciers))[0]
    places = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    drawn = rng.integers(len(places), size=(draws, len(places)))
    return np.stack([score(counts[:, np.concatenate([places[k] for k in row])]) for row in drawn])


def with_interval(value, drawn):
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


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
    counts, ways, chips = counted(model, scenes, labels, test, threshold)
    table = pd.DataFrame(iou_of(counts).T, index=pd.Index(chips, name="chip"), columns=ways)
    table.to_csv(Path(told["out"]) / "chips.csv", float_format="%.4f")
    of = [glaciers[name] for name in chips]
    rows, ahead = {}, {}
    for what, score in (("all pixels", pooled), ("mean of chips", by_chip)):
        values, drawn = score(counts), draws_of(counts, of, score)
        rows[what] = [with_interval(value, each) for value, each in zip(values, drawn.T, strict=True)]
        other = ways.index(OTSU)
        ahead[what] = with_interval(values[0] - values[other], drawn[:, 0] - drawn[:, other])
    print(f"\n{len(chips)} whole chips of {len(set(of))} glaciers, mean IoU of bare ice and snow [95 %]:")
    print(pd.DataFrame(rows, index=ways).to_string())
    print("ahead of Otsu by", *(f"{what}: {value}" for what, value in ahead.items()), sep="\n  ")


if __name__ == "__main__":
    main()
