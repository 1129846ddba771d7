"""Makes the pictures of README, pages and notebooks: `python docs/images/make.py`; see also realism.py."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import glacierlab as gl
from glacierlab.viz.change import series_figure
from glacierlab.viz.predictions import class_colors, stretched

scene = gl.sample("athabasca")  # NASA HLS, through SatRbedo
outlines = gl.map_glaciers(scene).glacier.outlines()
reference = gl.sample("athabasca_outline")
figure = gl.viz.scene_figure(scene, outlines, reference, title="Athabasca Glacier, 16 August 2020")
figure.savefig(Path(__file__).with_name("athabasca.png"), dpi=80)

layers = ["nir", "swir16", "pca:2", "tasseled_cap:wetness", "glcm:nir:homogeneity", "slope"]
stack = scene.assign_attrs(sun_azimuth=151, sun_elevation=48).glacier.stack([*layers, "hillshade"])
figure = gl.viz.stack_figure(stack)
figure.savefig(Path(__file__).with_name("stack.png"), dpi=62)

world = gl.synthetic_world(seed=1, years=[1950, 2000, 2030], shape=(500, 500))
figure = gl.viz.world_figure(world)
figure.savefig(Path(__file__).with_name("world_years.jpg"), dpi=75, pil_kwargs={"quality": 85})

made = world.scene(2000)
patches = gl.samples.PatchSet.from_scenes(made, made.truth, ["red"], size=32, glaciers=world.outlines(2000))
leaky = patches.split(by="random", leaks=True)
figure = gl.viz.split_figure(leaky.manifest, leaky.audit(), made)
figure.savefig(Path(__file__).with_name("split_random.jpg"), dpi=70, pil_kwargs={"quality": 85})
honest = patches.split(by="blocks", block_m=4000, buffer_m=500)
figure = gl.viz.split_figure(honest.manifest, honest.audit(500), made)
figure.savefig(Path(__file__).with_name("split_blocks.jpg"), dpi=70, pil_kwargs={"quality": 85})


def training(path, shown=(0, 2, 11)):
    """Lesson 4: the validation patch of most debris, what a network says after some epochs, its curves."""
    patches, _ = gl.teach.lesson_patches()
    val = patches.subset("val")
    image, label = val[val.manifest["debris_covered_ice_share"].to_numpy().argmax()]
    torch.manual_seed(40)
    model = gl.models.build_model("unet", len(val.features), 4, widths=(8, 16, 32, 64), norm="batch")
    said = []

    def look(_):
        now = deepcopy(model).eval()  # the model itself stays in training
        said.append(now.probabilities(torch.from_numpy(image[None]))[0].argmax(dim=0).numpy())

    how = dict(max_epochs=12, batch_size=16, class_weights="inverse_sqrt", progress=False)
    history = gl.fit(model, patches, watch=look, **how).history
    colors = np.array([to_rgb(color) for color in class_colors(val.classes).values()])
    seen = stretched(image[None, [val.features.index(name) for name in ("swir16", "nir", "green")]])[0]
    panels = {"a patch": seen, "its label": colors[label]}
    panels |= {f"after epoch {epoch}": colors[said[epoch]] for epoch in shown}
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.5, 2.6))
    for ax, (title, picture) in zip(above.subplots(1, len(panels)), panels.items(), strict=True):
        ax.imshow(picture, interpolation="nearest")
        ax.set(title=title, xticks=[], yticks=[])
    left, right = below.subplots(1, 2)
    left.plot(history["epoch"], history[["train_loss", "val_loss"]], label=["training", "validation"])
    right.plot(history["epoch"], history[["val_accuracy", "val_miou"]], label=["accuracy", "mean IoU"])
    left.set(title="loss", xlabel="epoch")
    right.set(title="scores of validation", xlabel="epoch", ylim=(0, 1))
    for ax in (left, right):
        ax.grid(alpha=0.3)
        ax.legend()
    figure.savefig(path, dpi=80)


def comparison(path):
    """Lesson 5: four models on two worlds and on ten."""
    patches, _ = gl.teach.lesson_patches()
    new, _ = gl.teach.new_worlds(patches, 48)
    parts = {part: patches.subset(part) for part in ("train", "val")}
    small = dict(widths=(16, 32, 64), norm="batch")
    models = {
        "NDSI threshold": ("single_band", dict(band="ndsi")),
        "forest": ("random_forest", dict(n_estimators=20)),
        "U-Net on light": dict(model="unet", options=small, layers=["optical", "indices"]),
        "U-Net": ("unet", small),
    }
    budget = dict(max_epochs=4, batch_size=16, lr=5e-3, class_weights="inverse_sqrt", max_pixels=5000)
    tests = {"two worlds": patches.subset("test"), "ten worlds": new}
    found = gl.compare(models, parts | tests, metrics=["iou"], progress=False, **budget)
    figure = gl.viz.comparison_figure(found.table, "iou", ["debris_covered_ice", "clean_ice"])
    figure.savefig(path, dpi=90)


def importance(path):
    """Lesson 6: what families of layers cost, shuffled and never had."""
    patches, _ = gl.teach.lesson_patches()
    how = dict(max_epochs=4, batch_size=16, lr=5e-3, class_weights="inverse_sqrt", progress=False)
    torch.manual_seed(40)
    network = gl.models.build_model("unet", len(patches.features), 4, widths=(16, 32, 64), norm="batch")
    model, test = gl.fit(network, patches, **how).model, patches.subset("test")
    groups = gl.Recipe.from_json(patches.origin["recipe"]).groups
    families = {"indices": groups["indices"], "ground and radar": groups["terrain"] + groups["insar"]}
    shuffled = gl.importance(model, test, groups=families, repeats=3)
    again = dict(train=patches, fit=how, repeats=1)
    dropped = gl.importance(model, test, groups=families, method="drop_group", **again)
    table = pd.concat([shuffled, dropped])
    figure = gl.viz.importance_figure(table[table["class"].isin(["clean_ice", "debris_covered_ice"])])
    figure.savefig(path, dpi=90)


def seams(path):
    """Lesson 7: where four tiles meet on a tongue."""
    world = gl.synthetic_world(60, (2020,), (480, 480), latitude=28.0)
    scene, maps = world.scene(2020, sensor="landsat-8").drop_vars("truth"), {}
    for name, blend in (("side by side", "none"), ("overlapping, blended", "hann")):
        found = gl.predict(scene, "default", tile=96, blend=blend, precision="float32", progress=False)
        maps[name] = found[["probability"]].isel(y=slice(300, 470), x=slice(310, 480))
    maps["how much they differ"] = abs(maps["side by side"] - maps["overlapping, blended"])
    gl.viz.probability_figure(maps, "debris_covered_ice").savefig(path, dpi=75)


def divides(path):
    """Lesson 8: where ice ends, where it parts, and the way down."""
    world, inside = gl.synthetic_world(96, (2020,), (480, 480), latitude=47.0), slice(40, -40)
    dem = world.truth(2020).elevation
    scene = world.scene(2020, sensor="landsat-8").drop_vars("truth")
    found = gl.predict(scene, "default", precision="float32", progress=False).class_map[inside, inside]
    ice = gl.outlines.clean(found.isin([1, 2]).astype("uint8"), size=0)
    glaciers = gl.split_glaciers(gl.vectorize(ice, smooth=2), dem)
    shade = dem.glacier.terrain("hillshade")[:, inside, inside]
    figure = gl.viz.divides_figure(glaciers, shade, gl.outlines.centerlines(glaciers, dem))
    figure.savefig(path, dpi=75, pil_kwargs={"quality": 85})


def change(path, seed=40, years=range(1987, 2021, 3)):
    """Lesson 9: the area of a world at twelve dates with two kinds of error, and the truth."""
    made = lambda seed, years: gl.synthetic_world(seed, years, (200, 200))
    world, others = made(seed, years), [made(other, years[::3]) for other in range(100, 105)]
    maps, fits = gl.teach.mapped_dates(world), [gl.teach.mapped_dates(other) for other in others]
    known = [other.outlines(year) for other in others for year in other.years]
    error = gl.change.fit_area_error(
        [table for fit in fits for table in fit.values()], known, by="glac_id", pixel_m=30
    )
    bounds = {date: gl.area_uncertainty(table, pixel_m=30) for date, table in maps.items()}
    fitted = {date: gl.change.area_distribution(table, error, pixel_m=30) for date, table in maps.items()}
    series = {
        "half a pixel": gl.area_series(bounds, total="linear", missing="vanished"),
        "calibrated": gl.area_series(fitted, total="parts", missing="vanished"),
    }
    truth = gl.area_series(gl.teach.true_dates(world), by="glac_id", total="linear", missing="vanished")
    series_figure(series, beside={"truth": truth}).savefig(path, dpi=80)


training(Path(__file__).with_name("training.png"))
comparison(Path(__file__).with_name("comparison.png"))
importance(Path(__file__).with_name("importance.png"))
seams(Path(__file__).with_name("seams.png"))
change(Path(__file__).with_name("change.png"))
divides(Path(__file__).with_name("divides.jpg"))
