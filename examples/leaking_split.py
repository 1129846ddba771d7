"""What a split that leaks promises, and what comes true: random, by blocks, and on worlds nobody has seen.

A random forest learns from two dates of one made world. Its score on the test part of its own split stands
beside its score on three other worlds. Some minutes on one core.

    python examples/leaking_split.py
"""

import pandas as pd

import glacierlab as gl

LAYERS, YEARS, SHAPE = ["red", "nir", "swir16", "elevation"], [2000, 2020], (256, 256)
OPTIONS = dict(size=16, classes=["background", "glacier"], min_valid=0.5)
WAYS = {"random": dict(by="random", leaks=True), "blocks": dict(by="blocks", buffer_m=300)}
HOME, ELSEWHERE, SEEDS = 6, (7, 8, 9), range(3)


def dates_of(seed):
    """Scenes and outlines of a world, by name."""
    world = gl.synthetic_world(seed, YEARS, SHAPE)
    scenes = {f"{seed}-{year}": world.scene(year).drop_vars("truth") for year in YEARS}
    return scenes, {f"{seed}-{year}": world.outlines(year) for year in YEARS}


def iou(model, patches):
    """Of the glaciers."""
    return gl.evaluate(model, patches).scores.loc["glacier", "iou"]


def main():
    scenes, labels = dates_of(HOME)
    recipe = gl.Recipe(LAYERS).fit(list(scenes.values()))
    home = gl.samples.PatchSet.from_scenes(scenes, labels, recipe, **OPTIONS)
    scenes, labels = ({} for _ in range(2))
    for seed in ELSEWHERE:
        more_scenes, more_labels = dates_of(seed)
        scenes, labels = scenes | more_scenes, labels | more_labels
    elsewhere = gl.samples.PatchSet.from_scenes(scenes, labels, recipe, **OPTIONS)
    rows = []
    for way, options in WAYS.items():
        for seed in SEEDS:
            patches = home.split(shares=(0.7, 0.3), names=("train", "test"), seed=seed, **options)
            train, test = patches.subset("train"), patches.subset("test")
            forest = gl.models.build_model("random_forest", len(LAYERS), 2)
            model = gl.fit(forest, train, seed=seed, progress=False).model
            shared = patches.audit().table["glaciers"].sum()
            rows.append([way, seed, len(train), shared, iou(model, test), iou(model, elsewhere)])
    columns = ["split", "seed", "training patches", "glaciers on both sides", "own test", "new worlds"]
    table = pd.DataFrame(rows, columns=columns).assign(
        promised_too_much=lambda t: t["own test"] - t["new worlds"]
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
