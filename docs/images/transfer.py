"""Makes the title picture of lesson 12: `python docs/images/transfer.py`, some minutes."""

import tempfile
from pathlib import Path

import torch
from matplotlib.figure import Figure

import glacierlab as gl
from glacierlab.viz.figures import draw_scene
from glacierlab.viz.learning import draw_curve

SEED = 1200
CLASSES = ("clean_ice", "debris_covered_ice", "glacial_lake")


def fresh(count, seed=SEED):
    torch.manual_seed(seed)
    return gl.models.build_model("unet", count, 4, widths=(16, 32, 64), norm="batch")


def lesson_curve():
    """The learning curve of the lesson."""
    home, away = gl.teach.two_ranges(SEED)
    features = [name for name in home.features if name != "elevation"]
    how = dict(max_epochs=10, batch_size=16, lr=5e-3, class_weights="inverse_sqrt", progress=False)
    pool, val = (away.subset(part).select(features) for part in ("pool", "val"))
    with tempfile.TemporaryDirectory() as folder:
        start = gl.fit(fresh(len(features)), home.select(features), out=folder, **how).best
        return gl.teach.learning_curve(lambda seed: fresh(len(features), seed), start, pool, val)


def title(curve):
    """Both ranges above, what labels are worth below."""
    figure = Figure(figsize=(9.2, 7.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    for ax, name in zip(above.subplots(1, 2), ("home", "away"), strict=True):
        scene, _, outlines = gl.teach.range_world(name, SEED)
        draw_scene(ax, scene, {"glaciers": outlines})
        ax.set_title(name, fontsize=11)
    draw_curve(below, curve, CLASSES)
    return figure


if __name__ == "__main__":
    title(lesson_curve()).savefig(Path(__file__).with_name("transfer.png"), dpi=80)
