"""What a recipe learns from its training scenes: components, gray levels, means and deviations."""

from dataclasses import dataclass, field, replace

import dask
import numpy as np
import xarray as xr
from dask.callbacks import Callback
from tqdm import tqdm

from ..errors import GlacierlabError, require_numbers, warn
from .indices import NORMALIZED_DIFFERENCE, find_index
from .layers import ANGLES, Context
from .quantize import Quantizer
from .stacking import components, make, texture_image, texture_name
from .transforms import PCA

SIDE = 128  # pixels of a training tile
SCALED = ("cast_shadow", *ANGLES["aspect"], *ANGLES["phase"])  # between -1 and 1 already
CURVATURES = ("profile_curvature", "plan_curvature", "tangential_curvature")
UNITY = (-1.0, 1.0)


@dataclass(frozen=True)
class Normalizer:
    """Mean and standard deviation of features by name, after what keeps far outliers from ruling them.

    Attributes
    ----------
    mean, scale : dict of float
    limits : dict of (float, float)
        Values outside are set to the nearer one.
    ratios : tuple of str
        A ratio t of these enters as (t - 1) / (t + 1), and one below 0 as -1.
    """

    mean: dict
    scale: dict
    limits: dict
    ratios: tuple[str, ...] = ()

    def __call__(self, values, name):
        """A feature (y, x), normalized, float32; lazy if it is."""
        if name not in self.mean:
            return values
        return (self.bounded(values, name) - np.float32(self.mean[name])) * np.float32(1 / self.scale[name])

    def bounded(self, values, name):
        """A feature's values within their limits."""
        if name in self.ratios:
            values = values.clip(np.float32(0), None)
            values = (values - np.float32(1)) / (values + np.float32(1))
        return values.clip(*np.float32(self.limits[name])) if name in self.limits else values

    def require(self, features):
        """ValueError unless it holds numbers for `features` and nothing else."""
        wanted = sorted(set(features) - set(SCALED))
        for what in ("mean", "scale"):
            if sorted(getattr(self, what)) != wanted:
                raise ValueError(f"the normalizer's {what} is of {sorted(getattr(self, what))[:5]}")
            require_numbers(list(getattr(self, what).values()), (len(wanted),), f"the normalizer's {what}")
        if not {*self.limits, *self.ratios} <= set(wanted):
            raise ValueError("the normalizer's limits are of other features")
        require_numbers(list(self.limits.values()), (len(self.limits), 2), "the normalizer's limits")
        if (
            any(low > high for low, high in self.limits.values())
            or min(self.scale.values(), default=1) < 1e-30
        ):
            raise ValueError("the normalizer has a scale of 0, or a lower limit above the higher one")


@dataclass(frozen=True)
class Fit:
    """What a recipe learned from its training scenes, and what they were."""

    sensor: str | None
    radiometry: str
    pixel_size_m: float | None
    scenes: int
    pixels: int = 0  # that were looked at
    variables: tuple[str, ...] = ()  # of the scenes that are layers by their own names
    floors: dict = field(default_factory=dict)  # smallest denominators of ratios, by band
    table: str | None = None  # of the tasseled cap
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
    tiles = training_tiles(scenes, layers, recipe.max_pixels, max(recipe.glcm["window"] // 2, 1))
    insides = [tile.scene.isel(tile.inner) for tile in tiles]
    learned = {"pixels": sum(inside.sizes["y"] * inside.sizes["x"] for inside in insides)}
    if count := max(each.components for each in layers):
        bands = list(next(each.needs for each in layers if each.components))
        stacks = [inside[bands].to_dataarray("feature") for inside in insides]
        learned["pca"] = PCA.fit(stacks, count, recipe.standardize)
    recipe = replace(recipe, fitted=replace(recipe.fitted, **learned))
    quantizers = {}
    for each in layers:
        if each.group == "glcm" and texture_name(each) not in quantizers:
            quantizers[texture_name(each)] = learn_levels(recipe, each, insides, count)
    recipe = replace(recipe, fitted=replace(recipe.fitted, quantizers=quantizers))
    if not recipe.normalize:
        return recipe
    normalizer = learn_normalizer(recipe, layers, tiles)
    return replace(recipe, fitted=replace(recipe.fitted, normalizer=normalizer))


def learn_levels(recipe, layer, insides, count):
    """The quantizer of what a texture looks at."""
    made = [components(inside, recipe.fitted.pca, count) for inside in insides]
    images = [texture_image(inside, layer, recipe, own) for inside, own in zip(insides, made, strict=True)]
    options = {name: recipe.glcm[name] for name in ("levels", "method", "percentiles")}
    try:
        return Quantizer.fit(images, **options)
    except GlacierlabError as error:
        raise GlacierlabError(
            f"{layer.name!r} cannot be fitted: {error} In a recipe, glcm=dict(percentiles=...) widens them."
        ) from error


def learn_normalizer(recipe, layers, tiles):
    """A `Normalizer` of the features of layers over training tiles."""
    looked_at = [each for each in layers if not set(each.features) <= set(SCALED)]
    made = [make(tile.scene, looked_at, recipe) for tile in tiles]
    mean, scale, limits = {}, {}, {}
    ratios = tuple(name for each in looked_at if each.source == "ratio" for name in each.features)
    named = [(each, name) for each in looked_at for name in each.features if name not in SCALED]
    for each, name in named:
        parts = [own[name].isel(tile.inner).values.ravel() for own, tile in zip(made, tiles, strict=True)]
        values = np.concatenate(parts).astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            raise GlacierlabError(
                f"The layer {name!r} is not observed in the {recipe.fitted.pixels:,} training pixels looked "
                "at: leave it out, or raise max_pixels."
            )
        if is_normalized_difference(each):
            limits[name] = UNITY
        elif each.source in ("index", "ndpci") or name in CURVATURES:
            limits[name] = tuple(np.percentile(values, recipe.limits).tolist())
        values = Normalizer({}, {}, limits, ratios).bounded(values, name)
        mean[name], scale[name] = float(values.mean()), float(values.std())
        if not scale[name] > 1e-6 * abs(mean[name]):
            scale[name] = 1.0
            warn(
                f"The layer {name!r} is constant over the training scenes ({mean[name]:g}): it "
                "teaches nothing and is only centered."
            )
    return Normalizer(mean, scale, limits, ratios)


def is_normalized_difference(layer):
    """Whether a layer is an index that should lie between -1 and 1, and does while both bands are above 0."""
    if layer.source != "index":
        return False
    return NORMALIZED_DIFFERENCE.fullmatch(find_index(layer.features[0]).formula) is not None


def training_tiles(scenes, layers, pixels, margin):
    """Tiles of scenes, evenly spread, read in one go: about `pixels` in all, one a scene at least."""
    names = list(dict.fromkeys(need for each in layers for need in each.needs))
    planned = []
    for scene in scenes:
        scene = scene[names].unify_chunks()
        for rows, cols in windows((scene.sizes["y"], scene.sizes["x"]), max(pixels // len(scenes), SIDE**2)):
            top, left = max(rows.start - margin, 0), max(cols.start - margin, 0)
            part = scene.isel(y=slice(top, rows.stop + margin), x=slice(left, cols.stop + margin))
            inner = {"y": slice(rows.start - top, rows.stop - top)}
            planned.append((part, inner | {"x": slice(cols.start - left, cols.stop - left)}))
    parts = [part for part, _ in planned]
    if any(map(dask.is_dask_collection, parts)):
        with ReadingBar():
            parts = dask.compute(*parts)
    return [Tile(part, inner) for part, (_, inner) in zip(parts, planned, strict=True)]


class ReadingBar(Callback):
    """A progress bar for what dask computes in this process."""

    def _start_state(self, dsk, state):
        count = sum(len(state[kind]) for kind in ("ready", "waiting"))
        self.bar = tqdm(total=count, desc="Reading training pixels", unit="task", leave=False)

    def _posttask(self, key, result, dsk, state, worker):
        self.bar.update()

    def _finish(self, dsk, state, errored):
        self.bar.close()


def windows(shape, pixels):
    """Rows and columns (two slices) of tiles spread evenly over a shape: all, or about `pixels` of it."""
    rows, cols = shape
    if rows * cols <= pixels:
        return [(slice(0, rows), slice(0, cols))]
    count = max(1, pixels // (min(SIDE, rows) * min(SIDE, cols)))
    down = int(np.clip(round(np.sqrt(count * rows / cols)), 1, min(count, max(1, rows // SIDE))))
    across = int(np.clip(count // down, 1, max(1, cols // SIDE)))
    return [(y, x) for y in spread(down, rows) for x in spread(across, cols)]


def spread(count, length):
    """`count` slices of a tile's side, each in the middle of its share of a length."""
    side = min(SIDE, length)
    middles = (np.arange(count) + 0.5) * length / count
    return [slice(start, start + side) for start in (middles - side / 2).astype(int).clip(0).tolist()]
