"""What a recipe learns from its training scenes: components, gray levels, means and deviations."""

import warnings
from dataclasses import dataclass, field, replace

import dask
import numpy as np
import xarray as xr
from tqdm.dask import TqdmCallback

from ..errors import DataWarning, GlacierlabError
from .layers import ANGLES, Context
from .quantize import Quantizer
from .stacking import components, make, texture_image
from .transforms import PCA

SIDE = 128  # pixels of a training tile
SCALED = ("cast_shadow", *ANGLES["aspect"], *ANGLES["phase"])  # between -1 and 1 already
WITHOUT_BOUNDS = ("ndpci", "profile_curvature", "plan_curvature", "tangential_curvature")
LIMITS = (1, 99)  # percentiles of those, an assumption


@dataclass(frozen=True)
class Normalizer:
    """Mean and standard deviation of features by name, and limits [low, high] of those without bounds."""

    mean: dict
    scale: dict
    limits: dict

    def __call__(self, values, name):
        """A feature (y, x) float32, limited, less its mean, divided by its scale; lazy if it is."""
        if name not in self.mean:
            return values
        if name in self.limits:
            values = values.clip(*np.float32(self.limits[name]))
        return (values - np.float32(self.mean[name])) * np.float32(1 / self.scale[name])

    def require(self, features):
        """ValueError unless it holds finite numbers for `features` and nothing else."""
        wanted = set(features) - set(SCALED)
        if set(self.mean) != wanted or set(self.scale) != wanted or not set(self.limits) <= wanted:
            raise ValueError(f"the normalizer is of {sorted(self.mean)}")
        limits = np.array(list(self.limits.values()), dtype=float).reshape(-1, 2)
        numbers = np.array([*self.mean.values(), *self.scale.values(), *limits.ravel()], dtype=float)
        if not (np.isfinite(numbers).all() and min(self.scale.values(), default=1) > 0):
            raise ValueError("the normalizer's numbers are not finite, or a scale is not above 0")
        if (limits[:, 0] > limits[:, 1]).any():
            raise ValueError("a lower limit is above the higher one")


@dataclass(frozen=True)
class Fit:
    """What a recipe learned from its training scenes, and what they were."""

    sensor: str | None
    radiometry: str
    pixel_size_m: float | None
    scenes: int
    pixels: int  # that were looked at
    variables: tuple[str, ...] = ()  # of the scenes that are layers by no other rule
    table: str | None = None  # of the tasselled cap
    pca: PCA | None = None
    quantizers: dict = field(default_factory=dict)  # by what the texture looks at
    normalizer: Normalizer | None = None

    @property
    def context(self):
        """What the names of layers depend on."""
        return Context(self.variables, self.table, tuple(self.pca.features) if self.pca else ())


@dataclass(frozen=True)
class Tile:
    """A part of a training scene in memory, with neighbors around it so that windows are whole."""

    scene: xr.Dataset
    inner: dict  # slices along y and x without the neighbors


def learn(recipe, layers, scenes):
    """The recipe, fitted: its `layers` are read already, and `scenes` are read here, once."""
    tiles = training_tiles(scenes, layers, recipe.max_pixels, max(recipe.window // 2, 1))
    insides = [tile.scene.isel(tile.inner) for tile in tiles]
    learned = {"pixels": sum(inside.sizes["y"] * inside.sizes["x"] for inside in insides)}
    if count := max(each.components for each in layers):
        bands = list(next(each.needs for each in layers if each.components))
        stacks = [inside[bands].to_dataarray("feature") for inside in insides]
        learned["pca"] = PCA.fit(stacks, count, recipe.standardize)
    learned["quantizers"] = {}
    for name in dict.fromkeys(each.source.partition(":")[2] for each in layers if each.group == "glcm"):
        images = [
            texture_image(inside, name, components(inside, learned.get("pca"), count)) for inside in insides
        ]
        learned["quantizers"][name] = Quantizer.fit(images, levels=recipe.levels, method=recipe.quantize)
    recipe = replace(recipe, fitted=replace(recipe.fitted, **learned))
    if not recipe.normalize:
        return recipe
    normalizer = learn_normalizer(layers, tiles, recipe)
    return replace(recipe, fitted=replace(recipe.fitted, normalizer=normalizer))


def learn_normalizer(layers, tiles, recipe):
    """A `Normalizer` of the features of layers over training tiles."""
    looked_at = [each for each in layers if not set(each.features) <= set(SCALED)]
    mean, scale, limits = {}, {}, {}
    made = [make(tile.scene, looked_at, recipe) for tile in tiles]
    for name in made[0]:
        if name in SCALED:
            continue
        parts = [each[name].isel(tile.inner).values.ravel() for each, tile in zip(made, tiles, strict=True)]
        values = np.concatenate(parts).astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            raise GlacierlabError(f"The layer {name!r} has no observed pixel in the training scenes.")
        if name in WITHOUT_BOUNDS or "/" in name:
            limits[name] = np.percentile(values, LIMITS).tolist()
            values = values.clip(*limits[name])
        mean[name], scale[name] = float(values.mean()), float(values.std())
        if not scale[name] > 1e-6 * abs(mean[name]):
            scale[name] = 1.0
            warnings.warn(
                f"The layer {name!r} is constant over the training scenes ({mean[name]:g}): it "
                "teaches nothing and is only centered.",
                DataWarning,
                stacklevel=4,
            )
    return Normalizer(mean, scale, limits)


def training_tiles(scenes, layers, pixels, margin):
    """Tiles of scenes, evenly spread, at most about `pixels` in all, read in one go; margins come on top."""
    names = list(dict.fromkeys(need for each in layers for need in each.needs))
    planned = []
    for scene in scenes:
        for rows, cols in windows((scene.sizes["y"], scene.sizes["x"]), max(pixels // len(scenes), SIDE**2)):
            top, left = max(rows.start - margin, 0), max(cols.start - margin, 0)
            part = scene[names].isel(y=slice(top, rows.stop + margin), x=slice(left, cols.stop + margin))
            inner = {"y": slice(rows.start - top, rows.stop - top)}
            planned.append((part, inner | {"x": slice(cols.start - left, cols.stop - left)}))
    parts = [part for part, _ in planned]
    if any(part.chunks for part in parts):
        with TqdmCallback(desc="Reading training pixels", leave=False):
            parts = dask.compute(*parts)
    return [Tile(part, inner) for part, (_, inner) in zip(parts, planned, strict=True)]


def windows(shape, pixels):
    """Rows and columns (two slices) of tiles spread evenly over a shape: all, or about `pixels` of it."""
    rows, cols = shape
    if rows * cols <= pixels:
        return [(slice(0, rows), slice(0, cols))]
    count = max(1, pixels // SIDE**2)
    down = int(np.clip(round(np.sqrt(count * rows / cols)), 1, max(1, rows // SIDE)))
    across = int(np.clip(count // down, 1, max(1, cols // SIDE)))
    return [(y, x) for y in spread(down, rows) for x in spread(across, cols)]


def spread(count, length):
    """`count` slices of a tile's side, each in the middle of its share of a length."""
    side = min(SIDE, length)
    middles = (np.arange(count) + 0.5) * length / count
    return [slice(start, start + side) for start in (middles - side / 2).astype(int).clip(0).tolist()]
