"""Layers of a scene by name, put together as a stack (feature, y, x)."""

import dask.array as da
import numpy as np
import xarray as xr

from ..errors import GridError, MissingBandError
from .dem import terrain
from .indices import evaluate, layer
from .texture import glcm
from .transforms import tasseled_cap

SUNLIT = ("hillshade", "cast_shadow")
SUN = ("sun_azimuth", "sun_elevation")
# Undefined on level ground, where a network wants the 0 between their two signs.
LEVEL = ("aspect_sin", "aspect_cos", "profile_curvature", "plan_curvature", "tangential_curvature")


def require_layers(scene, layers):
    """MissingBandError, naming every layer that the scene cannot yield, unless there is none."""
    if extra := set(scene.dims) - {"y", "x"}:
        raise GridError(f"A stack is of one date, and the scene has {sorted(extra)}: choose one with isel.")
    lacking = {}
    for each in layers:
        missing = [name for name in each.needs if name not in scene]
        if set(each.features) & set(SUNLIT):
            missing += [f"attrs[{name!r}]" for name in SUN if name not in scene.attrs]
        if missing:
            lacking[each.name] = ", ".join(missing)
    if lacking:
        told = "; ".join(f"{name!r} needs {missing}" for name, missing in lacking.items())
        raise MissingBandError(
            f"The scene cannot yield every layer: {told}. It has {', '.join(map(str, scene.data_vars))}. "
            "Bring a layer in with scene.glacier.add_layer(...), or leave these out."
        )


def make(scene, layers, recipe):
    """Features by name, each (y, x) float32, lazy where the scene is.

    Each source is asked once for all its features: the components, one tasselled cap, one pass over the
    DEM, one texture call an image.
    """
    made = components(scene, recipe.fitted.pca, max((each.components for each in layers), default=0))
    wanted = {}
    for each in layers:
        wanted.setdefault(each.source, []).extend(each.features)
    for source, features in wanted.items():
        made |= MAKERS[source.partition(":")[0]](scene, features, recipe, made)
    return {name: made[name] for each in layers for name in each.features}


def components(scene, pca, count):
    """The first `count` principal components by name, "pc1" and on."""
    if not count:
        return {}
    bands = scene[pca.features].to_dataarray("feature")
    return apart(pca.transform(bands), [f"pc{i}" for i in range(1, count + 1)])


def apart(stack, names, labels=None):
    """Features of a stack by name; `labels` are what the stack calls them."""
    return {
        name: stack.sel(feature=label, drop=True) for name, label in zip(names, labels or names, strict=True)
    }


def from_scene(scene, features, recipe, made):
    return {name: layer(scene, name) for name in features}


def from_components(scene, features, recipe, made):
    return {}  # made already


def index_of_components(scene, features, recipe, made):
    formula = "where(abs(pc1 + pc2) < least, nan, (pc1 - pc2) / (pc1 + pc2))"
    return {"ndpci": evaluate(formula, {name: made[name] for name in ("pc1", "pc2")})}


def sine_and_cosine(scene, features, recipe, made):
    return {"phase_sin": np.sin(scene["phase"]), "phase_cos": np.cos(scene["phase"])}


def tasseled_caps(scene, features, recipe, made):
    components = [name.partition(":")[2] for name in features]
    return apart(tasseled_cap(scene, recipe.fitted.table), features, components)


def textures(scene, features, recipe, made):
    image = texture_image(scene, features[0].split(":")[1], made)
    kinds = [name.split(":")[2] for name in features]
    quantizer = recipe.fitted.quantizers[features[0].split(":")[1]]
    found = glcm(image, kinds, window=recipe.window, levels=quantizer.levels, quantizer=quantizer)
    return apart(found, features, kinds)


def texture_image(scene, name, made):
    """What a texture looks at: a component, or a layer of the scene."""
    return made[name] if name in made else layer(scene, name)


def terrain_layers(scene, features, recipe, made):
    asked = [*features, *({"slope"} - set(features))]
    sun = {name: float(scene.attrs[name]) for name in SUN} if set(features) & set(SUNLIT) else {}
    made = apart(terrain(scene["elevation"], asked, **sun), asked)
    for name in set(features) & set(LEVEL):
        made[name] = made[name].where(made[name].notnull() | made["slope"].isnull(), np.float32(0))
    return made


MAKERS = {
    "scene": from_scene,
    "pca": from_components,
    "ndpci": index_of_components,
    "phase": sine_and_cosine,
    "tasseled_cap": tasseled_caps,
    "glcm": textures,
    "terrain": terrain_layers,
}


def put_together(scene, made, groups):
    """One array (feature, y, x) of features by name; a chunk holds one, so that each can be had alone."""
    arrays = [values.transpose("y", "x").data.astype(np.float32, copy=False) for values in made.values()]
    lazy = any(isinstance(array, da.Array) for array in arrays)
    values = da.stack(arrays) if lazy else np.stack(arrays)
    grid = {name: scene.coords[name] for name in ("y", "x", "spatial_ref") if name in scene.coords}
    coords = grid | {"feature": list(made), "group": ("feature", groups)}
    stack = xr.DataArray(values, coords, ("feature", "y", "x"), name="stack")
    known = {key: scene.attrs[key] for key in ("sensor", "radiometry", "datetime") if key in scene.attrs}
    return stack.assign_attrs(long_name="feature stack", **known)
