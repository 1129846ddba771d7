"""Layers of a scene by name, put together as a stack (feature, y, x)."""

from numbers import Real

import dask.array as da
import numpy as np
import xarray as xr

from ..errors import GlacierlabError, GridError, MissingBandError
from .dem import terrain
from .indices import evaluate, guarded, index, ratio
from .texture import glcm
from .transforms import tasseled_cap

SUNLIT = ("hillshade", "cast_shadow")
SUN = ("sun_azimuth", "sun_elevation")
TEXTURE_OPTIONS = ("window", "distance", "directions", "combine", "symmetric")
# Undefined on level ground, where a network wants the 0 between their two signs.
LEVEL = ("aspect_sin", "aspect_cos", "profile_curvature", "plan_curvature", "tangential_curvature")


def require_pixels(scene):
    """GridError unless a scene has pixels along y and x, and no dates."""
    dims = tuple(map(str, scene.dims))
    if not {"y", "x"} <= set(dims) or "time" in dims:
        raise GridError(
            f"A stack has dims (y, x), the scene {dims}: rename them, or choose a date with isel."
        )
    if 0 in (scene.sizes["y"], scene.sizes["x"]):
        raise GridError(f"The scene has no pixels: {dict(scene.sizes)}.")


def require_layers(scene, layers):
    """MissingBandError, naming every layer that the scene cannot yield, unless there is none."""
    require_pixels(scene)
    lacking = {}
    for each in layers:
        missing = [name for name in each.needs if name not in scene]
        if each.source == "terrain" and set(each.features) & set(SUNLIT):
            missing += [f"attrs[{name!r}]" for name in SUN if not isinstance(scene.attrs.get(name), Real)]
        if each.components and not each.needs:
            missing += ["reflective bands"]
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

    Each source is asked once for all its features: the components, one tasseled cap, one pass over the
    DEM, one texture call an image.
    """
    made = components(scene, recipe.fitted.pca, max((each.components for each in layers), default=0))
    wanted = {}
    for each in layers:
        if each.source != "pca":
            wanted.setdefault(each.source, []).append(each)
    for source, alike in wanted.items():
        made |= MAKERS[source.partition(":")[0]](scene, alike, recipe, made)
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


def variables(scene, layers, recipe, made):
    return {name: number(scene, name) for each in layers for name in each.features}


def number(scene, name):
    """A variable (y, x) of real numbers; GridError or GlacierlabError for another."""
    values = scene[name]
    if set(values.dims) != {"y", "x"}:
        raise GridError(f"The layer {name!r} has dims {values.dims}, not (y, x).")
    if values.dtype.kind not in "biuf":
        raise GlacierlabError(f"The layer {name!r} holds {values.dtype}, not real numbers.")
    return values


def ratios(scene, layers, recipe, made):
    floors = recipe.fitted.floors
    return {f"{top}/{bottom}": ratio(scene, top, bottom, floors[bottom]) for top, bottom in
            (each.needs for each in layers)}  # fmt: skip


def indices(scene, layers, recipe, made):
    return {name: index(scene, name) for each in layers for name in each.features}


def index_of_components(scene, layers, recipe, made):
    return {
        "ndpci": evaluate(guarded("(pc1 - pc2) / (pc1 + pc2)"), {name: made[name] for name in ("pc1", "pc2")})
    }


def sines_and_cosines(scene, layers, recipe, made):
    found = {}
    for each in layers:
        (name,) = each.needs
        angle = np.deg2rad(number(scene, name)) if name == "aspect" else number(scene, name)
        found |= dict(zip(each.features, (np.sin(angle), np.cos(angle)), strict=True))
    return found


def tasseled_caps(scene, layers, recipe, made):
    features = [name for each in layers for name in each.features]
    components = [name.partition(":")[2] for name in features]
    return apart(tasseled_cap(scene, recipe.fitted.table), features, components)


def textures(scene, layers, recipe, made):
    name = texture_name(layers[0])
    features = [name for each in layers for name in each.features]
    kinds = [name.rpartition(":")[2] for name in features]
    options = {key: value for key, value in recipe.glcm.items() if key in TEXTURE_OPTIONS}
    image = texture_image(scene, layers[0], recipe, made)
    return apart(glcm(image, kinds, quantizer=recipe.fitted.quantizers[name], **options), features, kinds)


def texture_name(each):
    """The name of what a texture looks at."""
    return each.source.partition(":")[2]


def texture_image(scene, each, recipe, made):
    """What a texture looks at: a component, or a layer of the scene."""
    if each.image is None:
        return made[texture_name(each)]
    return MAKERS[each.image.source](scene, [each.image], recipe, made)[texture_name(each)]


def terrain_layers(scene, layers, recipe, made):
    features = [name for each in layers for name in each.features]
    asked = [*features, *({"slope"} - set(features))]
    sun = {name: float(scene.attrs[name]) for name in SUN} if set(features) & set(SUNLIT) else {}
    made = apart(terrain(number(scene, "elevation"), asked, **sun), asked)
    for name in set(features) & set(LEVEL):
        made[name] = made[name].where(made[name].notnull() | made["slope"].isnull(), np.float32(0))
    return made


MAKERS = {
    "variable": variables,
    "ratio": ratios,
    "index": indices,
    "ndpci": index_of_components,
    "angle": sines_and_cosines,
    "tasseled_cap": tasseled_caps,
    "glcm": textures,
    "terrain": terrain_layers,
}


def put_together(scene, made, groups):
    """One array (feature, y, x) of features by name; a chunk holds one, so that each can be had alone."""
    arrays = [values.transpose("y", "x").data.astype(np.float32, copy=False) for values in made.values()]
    lazy = any(isinstance(array, da.Array) for array in arrays)
    values = da.stack(arrays) if lazy else np.stack(arrays)
    grid = {name: c for name, c in scene.coords.items() if set(c.dims) <= {"y", "x"}}
    names = [np.array(texts, dtype=object) for texts in (list(made), groups)]  # Zarr 3 has no other text
    coords = grid | {"feature": names[0], "group": ("feature", names[1])}
    stack = xr.DataArray(values, coords, ("feature", "y", "x"), name="features")
    stack.encoding["grid_mapping"] = next(iter(scene.data_vars.values())).rio.grid_mapping
    known = {key: scene.attrs[key] for key in ("sensor", "radiometry", "datetime") if key in scene.attrs}
    return stack.assign_attrs(long_name="feature stack", **known)
