"""Whole scenes with labels, to judge a model by the maps that it makes of them."""

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..errors import GlacierlabError, GridError, MissingBandError, UnknownNameError, require_bands
from ..features.recipe import Recipe
from ..features.recipe import stack as stack_layers
from ..inference.prediction import TILE, size_differs
from ..io.align import geobox_of
from ..io.layers import pixel_size_m
from ..samples.building import features_of, ids_of, origin_of, telling
from ..samples.labels import by_scene, class_codes, is_outlines, require_grid
from ..samples.patches import PatchSet
from ..samples.sources import Image
from .looking import card_of

CHUNK = 1024  # of a scene that is in memory, so that its map is made piece by piece


class Like(NamedTuple):
    """What whole scenes take from a model or from patches."""

    recipe: str | None
    features: tuple[str, ...]
    classes: tuple[str, ...]
    tile: int
    pixel_size_m: float | None

    @classmethod
    def of(cls, given):
        """That of a model with a card, or of a PatchSet."""
        if isinstance(given, PatchSet):
            origin = given.origin.get
            return cls(origin("recipe"), given.features, given.classes, given.size, origin("pixel_size_m"))
        card = card_of(given)
        return cls(card.recipe, card.features, card.names, card.tile or TILE, card.pixel_size_m)


@dataclass(frozen=True, eq=False, repr=False)
class SceneSet(PatchSet):
    """Whole scenes with labels; made by `whole_scenes`.

    It is a `PatchSet` of the windows of its scenes, side by side; those at the right and lower border reach
    beyond it, where nothing is labeled.

    Attributes
    ----------
    scenes : dict of xarray.Dataset or xarray.DataArray
        As they were given.
    stacks : dict of xarray.DataArray
        The features of each (feature, y, x), lazy.
    """

    scenes: dict = field(default_factory=dict)
    stacks: dict = field(default_factory=dict)

    def __repr__(self):
        names = self.manifest["scene"].nunique()
        shape = f"{len(self.features)} x {self.size} x {self.size}"
        return f"<SceneSet: {names} scenes, {len(self):,} windows of {shape}; {', '.join(self.classes)}>"

    def windows_alone(self):
        """The windows as a PatchSet, each seen by a model without what lies around."""
        return PatchSet(**{each.name: getattr(self, each.name) for each in fields(PatchSet)})

    def layered(self, names):
        """The same windows as a PatchSet of other layers, in natural units, for `strata`."""
        if stacks := [name for name, scene in self.scenes.items() if isinstance(scene, xr.DataArray)]:
            raise GlacierlabError(
                f"strata={names!r} are layers of scenes, and {stacks} are stacks: give the scenes."
            )
        names = [names] if isinstance(names, str) else list(names)
        store, features = self.store, ()
        sources = dict(store.sources)
        for name, scene in self.scenes.items():
            stack = framed(stack_layers(scene, names), self.size, constant_values=np.nan)
            features = tuple(stack["feature"].values.tolist())
            sources[name] = replace(sources[name], image=Image((stack.variable,), telling(features)))
        return PatchSet(
            self.manifest, features, self.classes, self.size, self.fingerprint,
            replace(store, sources=sources),
        )  # fmt: skip


def whole_scenes(
    scenes, labels=None, *, like, size=None, ignore=None, glaciers=None, regions=None, label_ids=None,
    crs=None,
):  # fmt: skip
    """Whole scenes with their labels, for `gl.evaluate`, `gl.compare` and `gl.importance`.

    Labels are read once. What is given for each scene is a dict by their names, a list in their order, or one
    thing for all.

    Parameters
    ----------
    scenes : xarray.Dataset or xarray.DataArray, or list or dict of them
        Scenes (y, x), or stacks (feature, y, x) that hold the features.
    labels : DataArray or GeoDataFrame, or list or dict of them, optional
        Class maps, masks or outlines, as `PatchSet.from_scenes` takes them; by default the `truth` of a made
        scene.
    like : Segmenter or PatchSet
        The model that is judged, or patches it was trained on: recipe, features and classes are theirs.
    size : int, optional
        Side of the windows in which pixels are counted [pixels], of which intervals draw squares of four
        (`judge.blocks_of`): smaller ones give more of them. By default that of the model's tiles.
    ignore, glaciers, regions, label_ids, crs
        Of `PatchSet.from_scenes`.

    Returns
    -------
    SceneSet

    Raises
    ------
    GridError
        Labels lie on another grid; a scene has several dates, is in degrees, or its pixels differ from those
        of `like` by more than a third.
    MissingBandError
        A scene lacks a feature.
    UnknownNameError
        A label holds a class that `like` does not know.
    GlacierlabError
        A scene has no labels, or nothing is labeled.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    >>> whole_scenes(scene, like=gl.load_model("default"), size=32)
    <SceneSet: 1 scenes, 6 windows of 8 x 32 x 32; background, clean_ice, debris_covered_ice, glacial_lake>
    """
    like = Like.of(like)
    scenes = named(scenes)
    labels = labels_of(scenes, labels, like.classes)
    about = dict(ignore=ignore, glaciers=glaciers, regions=regions, label_ids=label_ids)
    about = {what: each_scene(given, scenes, what) for what, given in about.items()}
    about["label_ids"] = ids_of(labels, about["label_ids"])  # before padding makes other objects of them
    stacks = {name: stack_of(scene, like, name) for name, scene in scenes.items()}
    size = like.tile if size is None else size
    framed_stacks = {name: framed(each, size, constant_values=np.nan) for name, each in stacks.items()}
    rasters = dict(labels=labels, ignore=about["ignore"], glaciers=about["glaciers"])
    for what, given in rasters.items():
        for name, each in given.items():
            given[name] = on_windows(each, scenes[name], size, f"The {what} of {name!r}")
    cut = PatchSet.from_scenes(
        framed_stacks, rasters["labels"], size=size, classes=list(like.classes), crs=crs,
        **about | {what: rasters[what] for what in ("ignore", "glaciers")},
    )  # fmt: skip
    recipe = Recipe.from_json(like.recipe) if like.recipe else None
    values = {each.name: getattr(cut, each.name) for each in fields(PatchSet)}
    return SceneSet(**values | {"origin": origin_of(scenes, recipe), "scenes": scenes, "stacks": stacks})


def patches_or_scenes(given, labels, like):
    """What `evaluate` and `importance` are given, as a PatchSet: whole scenes become one."""
    if not isinstance(given, PatchSet):
        return whole_scenes(given, labels, like=like)
    if labels is not None:
        raise GlacierlabError("labels= are of whole scenes, and patches have their own: leave labels out.")
    return given


# ---- what is given ----


def named(scenes):
    """Scenes by name: one, a list or a dict."""
    if isinstance(scenes, list | tuple):
        scenes = {f"scene {number}": each for number, each in enumerate(scenes)}
    elif not isinstance(scenes, dict):
        scenes = {"scene": scenes}
    for name, scene in scenes.items():
        if not isinstance(scene, xr.Dataset | xr.DataArray):
            raise GlacierlabError(
                f"Scene {name!r} is a {type(scene).__name__}: give a scene, a list or dict of them, or a "
                "PatchSet."
            )
        if "time" in scene.dims:
            raise GridError(
                f"Scene {name!r} has {scene.sizes['time']} dates: give each by itself, scene.isel(time=0)."
            )
    if not scenes:
        raise GlacierlabError("There is no scene to judge a model by.")
    return scenes


def each_scene(given, scenes, what):
    """What is given for each scene: a dict, a list as long as the scenes, or one thing for all."""
    if isinstance(given, list | tuple) and what != "ignore":  # whose list is of several for each
        if len(given) != len(scenes):
            raise GlacierlabError(f"{len(given)} {what} for {len(scenes)} scenes: give one for each.")
        given = dict(zip(scenes, given, strict=True))
    return dict(by_scene(given, scenes, what))


def labels_of(scenes, labels, classes):
    """Labels by scene, their `truth` where none are given."""
    if labels is None:
        if bare := [name for name, scene in scenes.items() if "truth" not in getattr(scene, "data_vars", ())]:
            raise GlacierlabError(
                f"{bare} have no labels: give labels=, a class map or outlines (only made scenes have a "
                "truth of their own)."
            )
        labels = {name: scene["truth"] for name, scene in scenes.items()}
    labels = each_scene(labels, scenes, "labels")
    for name, each in labels.items():
        what = f"The labels of {name!r}"
        if "glacier" in class_codes(each, list(classes), what) and "glacier" not in classes:
            raise UnknownNameError(
                f"{what} say 'glacier', and the model tells {list(classes)} apart: give labels of these, or "
                "score its map, gl.score(gl.predict(scene, model), labels), which merges a glacier's parts."
            )
    return labels


def stack_of(scene, like, name):
    """The features of a scene (feature, y, x), lazy."""
    if isinstance(scene, xr.DataArray):
        if missing := [each for each in like.features if each not in features_of(scene, name)]:
            raise MissingBandError(
                f"Stack {name!r} lacks {missing}: give the scene, or a stack made by the model's recipe."
            )
        stack = scene.sel(feature=list(like.features))
    elif like.recipe:
        stack = Recipe.from_json(like.recipe).apply(scene).sel(feature=list(like.features))
    else:
        require_bands(scene, like.features, f"whole_scenes of {name!r}")
        stack = scene[list(like.features)].to_array("feature").assign_attrs(scene.attrs)
    if size_differs(stack, like):
        raise GridError(
            f"The pixels of {name!r} have {pixel_size_m(stack):g} m, the model's {like.pixel_size_m:g} m, "
            "where glaciers look otherwise: resample the scene and its labels first."
        )
    stack = stack.transpose("feature", "y", "x").astype("float32", copy=False)
    return stack if stack.chunks is not None else stack.chunk({"feature": -1, "y": CHUNK, "x": CHUNK})


def on_windows(raster, scene, size, what):
    """A raster of a scene, checked and continued by its border to whole windows; all else as it is."""
    if isinstance(raster, list | tuple):
        return [on_windows(each, scene, size, what) for each in raster]
    if is_outlines(raster) or not isinstance(raster, xr.DataArray):
        return raster
    require_grid(raster, geobox_of(scene, "A scene"), what)
    return framed(raster, size, mode="edge")


def framed(raster, size, **filled):
    """A raster (…, y, x) continued to whole windows of a size, with coordinates that go on."""
    missing = {dim: (0, -raster.sizes[dim] % size) for dim in ("y", "x")}
    if not any(more for _, more in missing.values()):
        return raster
    box = geobox_of(raster, "A raster")
    steps = {"y": box.affine.e, "x": box.affine.a}
    coords = {
        dim: raster[dim].values[0] + step * np.arange(raster.sizes[dim] + missing[dim][1])
        for dim, step in steps.items()
    }
    for dim in coords:
        coords[dim][: raster.sizes[dim]] = raster[dim].values
    return raster.pad(missing, **filled).assign_coords(coords).assign_attrs(raster.attrs)
