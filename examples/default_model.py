"""Train the small model that the package ships, on made worlds.

    python examples/default_model.py --out glacierlab/models/weights/default.safetensors

Six bands that Landsat 5, 8 and Sentinel-2 share, four classes; worlds at the latitudes of the Himalaya, the
Alps, Norway and Patagonia, each seen once, in late summer, under some haze and cloud.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from tqdm import tqdm

import glacierlab as gl
from glacierlab.models import build_model

BANDS = ["blue", "green", "red", "nir", "swir16", "swir22"]
LAYERS = [*BANDS, "ndsi", "red/swir16"]
PLACES = [
    (33, 5400),
    (38, 4800),
    (46, 2900),
    (49, 2900),
    (61, 1500),
    (-44, 1700),
]  # latitude, ELA [m]: assumptions
SENSORS = [("landsat-5", 30.0), ("landsat-8", 30.0), ("sentinel-2", 20.0)]
FIRST = 9000  # seed of the first world, beyond those of lessons, tests and protocols
METRICS = ("precision", "recall", "f1", "iou")


def seen(number, shape):
    """A world's name, scene, labels, clouds and outlines; what it is like follows from its number."""
    rng = np.random.default_rng(FIRST + number)
    (latitude, ela_m), (sensor, pixel_size_m) = list(itertools.product(PLACES, SENSORS))[number % 18]
    year = int(rng.integers(1985, 2026))
    world = gl.synthetic_world(
        FIRST + number, (year,), (shape, shape), latitude=latitude, ela_m=ela_m, pixel_size_m=pixel_size_m
    )
    day = f"{8 + rng.integers(2) if latitude > 0 else 2 + rng.integers(2):02}-{rng.integers(1, 29):02}"
    view = dict(
        date=day,
        haze=round(rng.uniform(0, 0.15), 3),
        thin_cloud=round(rng.uniform(0, 0.08), 3),
        clouds=round(rng.uniform(0, 0.08), 3),
        weather=number,
    )
    scene, truth = world.scene(year, sensor=sensor, **view), world.truth(year, **view)
    name = f"{FIRST + number} {sensor} {latitude:+} {year}-{day}"
    return (
        name,
        scene.drop_vars("truth"),
        scene["truth"],
        truth.cloud | truth.cloud_shadow,
        world.outlines(year),
    )


def patches_of(worlds, shape, size):
    """Patches with a split by world; the recipe is fitted to the training worlds."""
    found = [seen(number, shape) for number in tqdm(range(worlds), desc="worlds")]
    scenes, labels, clouds, glaciers = ({row[0]: row[k] for row in found} for k in (1, 2, 3, 4))
    options = dict(
        size=size, ignore=clouds, glaciers=glaciers, regions={name: name for name in scenes}, crs="EPSG:6933"
    )
    bare = gl.samples.PatchSet.from_scenes(scenes, labels, BANDS, **options).split("region", (0.7, 0.1, 0.2))
    part = bare.manifest.groupby("scene")["split"].first()
    recipe = gl.Recipe(LAYERS).fit([scenes[name] for name in part[part == "train"].index])
    patches = gl.samples.PatchSet.from_scenes(scenes, labels, recipe, **options)
    return patches.with_split(patches.manifest["scene"].map(part).tolist())


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--out", type=Path, default=Path("default.safetensors"))
    asked.add_argument("--work", type=Path, default=Path("default-model"), help="cache and checkpoints")
    asked.add_argument("--worlds", type=int, default=54)
    asked.add_argument("--epochs", type=int, default=40)
    asked = asked.parse_args()
    cache = asked.work / "patches"
    if (cache / "patches.json").exists():
        patches = gl.samples.PatchSet.from_zarr(cache)
    else:
        patches = patches_of(asked.worlds, shape=288, size=96).to_zarr(cache)
    print(patches, patches.parts(), sep="\n")
    model = build_model("unet", len(patches.features), len(patches.classes), widths=WIDTHS, norm="batch")
    trained = gl.fit(
        model, patches, out=asked.work, max_epochs=asked.epochs, batch_size=16, class_weights="inverse_sqrt"
    )
    model = gl.judge.calibrate(trained.model, patches.subset("validation"))
    found = gl.evaluate(model, patches.subset("test"))
    print(found.scores.round(3).to_string())
    gl.save_model(model, asked.out, dtype="float16", metrics=found.metrics(), **ABOUT)
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.1f} MB")


WIDTHS = (16, 32, 64, 128, 256)
ABOUT = dict(
    license="BSD-3-Clause",
    citation="the glacierlab developers",
    note=(
        "Trained on made worlds alone and scored on others of their kind: scores say nothing about real ice. "
        "Six bands cannot tell debris-covered ice from rock by color; it guesses debris from where it lies. "
        "Late summer, surface reflectance, pixels of 20 to 30 m. Look at what it finds before you use it."
    ),
)

if __name__ == "__main__":
    main()
