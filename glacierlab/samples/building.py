"""Building a set of patches: scenes and labels checked, windows counted and chosen, the manifest written."""

import hashlib
import json
import math

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from pyproj import CRS
from tqdm import tqdm

from ..errors import GlacierlabError, GridError, ManifestError, require_bands, warn
from ..features.kinds import kind_of_scene, sensors_of
from ..features.layers import BANDS
from ..features.recipe import Recipe
from ..features.stacking import require_pixels
from ..io.align import geobox_of
from ..io.layers import pixel_size_m
from .labels import by_scene, class_codes, read_glaciers, read_ignored, read_labels, settle_classes
from .sources import Image, Scenes, SceneSource
from .windows import require_room, require_whole, tally

NOT_GLACIER = ("background", "glacial_lake")  # classes that are no part of a glacier
SAME_SIZE = 0.001  # share by which pixels of one size may differ
LOOKS = 32  # windows whose every feature tells a scene from others
EARTH_M = 6.371e6
FAR_M = 5e6  # where an equal-area map bends distances by a tenth


def build(scenes, labels, layers, classes, about, *, size, stride, min_valid, min_glacier, crs, fill):
    """What a PatchSet holds: manifest, features, classes, size, fingerprint, store, origin."""
    scenes = scenes if isinstance(scenes, dict) else {"scene": scenes}
    require_scenes(scenes)
    stride = size if stride is None else stride
    require_whole(size, stride)
    for name, share in (("min_valid", min_valid), ("min_glacier", min_glacier)):
        if not 0 <= share <= 1:
            raise GlacierlabError(f"{name}={share!r}: give a share from 0 to 1.")
    if not np.isfinite(fill):
        raise GlacierlabError(f"fill={fill!r}: give a number, for a network learns nothing from NaN.")
    labels = by_scene(labels, scenes, "labels")
    about = {key: by_scene(given, scenes, key) for key, given in about.items()}
    codes = {name: class_codes(labels[name], classes, f"The labels of {name!r}") for name in scenes}
    classes = settle_classes([each for found in codes.values() for each in found], classes)
    label_ids = ids_of(labels, about["label_ids"])
    features, images = images_of(scenes, layers)
    origin = origin_of(scenes, layers)
    tables, sources, prints = [], {}, {}
    quiet = None if len(scenes) > 8 else True  # None: a bar in terminals alone
    for name, scene in tqdm(scenes.items(), desc="patches", unit="scene", disable=quiet):
        grid = geobox_of(scene, f"Scene {name!r}")
        require_room(grid.shape, size, name)
        what = f"The labels of {name!r}"
        label = read_labels(labels[name], codes[name], classes, grid, what)
        ignored = read_ignored(about["ignore"][name], grid, f"The places to ignore of {name!r}")
        source = sources[name] = SceneSource(images[name], label, ignored)
        counted = tally(source, grid.shape, size, stride, len(classes), name)
        prints[name] = fingerprint_of(source, grid, size, counted)
        require_other(prints, name)
        find = read_glaciers(about["glaciers"][name], labels[name], grid, f"The glaciers of {name!r}")
        tables.append(
            table_of(counted, grid, size, classes, find, name, label_ids[name], about["regions"][name])
        )
    manifest = chosen(tables, classes, min_valid, min_glacier, crs)
    said = json.dumps([prints, origin["recipe"], features, classes, int(size), float(fill)])
    fingerprint = hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
    return manifest, features, classes, int(size), fingerprint, Scenes(sources, float(fill)), origin


def origin_of(scenes, layers):
    """What all scenes have in common that a model trained on them must know."""
    radiometries = {kind_of_scene(scene)[1] for scene in scenes.values()}
    sizes = np.array([pixel_size_m(scene) for scene in scenes.values()])
    return {
        "recipe": layers.to_json() if isinstance(layers, Recipe) and layers.fitted else None,
        "sensor": sensors_of(scenes.values()),
        "radiometry": radiometries.pop() if len(radiometries) == 1 else None,
        "pixel_size_m": float(sizes.mean()) if np.ptp(sizes) <= SAME_SIZE * sizes.mean() else None,
    }


def require_scenes(scenes):
    """GlacierlabError or ManifestError unless these are scenes or stacks, each once."""
    if not scenes:
        raise GlacierlabError("Patches are of one scene or more, and there is none.")
    seen = {}
    for name, scene in scenes.items():
        if not isinstance(name, str) or not isinstance(scene, xr.Dataset | xr.DataArray):
            raise GlacierlabError(
                f"Scene {name!r} is a {type(scene).__name__}: give a scene or stack, or a dict of them by "
                "names."
            )
        if id(scene) in seen:
            raise ManifestError(
                f"{name!r} is the same scene as {seen[id(scene)]!r}, and its patches would stand on both "
                "sides of a split. Give each once."
            )
        seen[id(scene)] = name


def ids_of(labels, given):
    """The name of each scene's label: what was given, or one for each object."""
    first = {}
    for name, label in labels.items():
        first.setdefault(id(label), name)
    return {name: first[id(labels[name])] if given[name] is None else given[name] for name in labels}


# ---- images ----


def images_of(scenes, layers):
    """Features, and an `Image` by scene; nothing is read."""
    if isinstance(layers, Recipe):
        if layers.fitted is None:
            raise GlacierlabError(
                "The recipe is not fitted: fit it to training scenes alone, recipe.fit([scene, …])."
            )
        scenes, layers = {name: layers.apply(scene) for name, scene in scenes.items()}, layers.features
    if isinstance(layers, str):
        raise GlacierlabError(f"layers={layers!r}: give a list of names, or a fitted recipe.")
    if layers is None:
        name, first = next(iter(scenes.items()))
        stack = isinstance(first, xr.DataArray)
        layers = features_of(first, name) if stack else [band for band in first.data_vars if band in BANDS]
    layers = tuple(layers)
    if not layers or len(set(layers)) < len(layers):
        raise GlacierlabError(f"layers={list(layers)}: give each once, and one at least.")
    return layers, {name: image_of(scene, layers, name) for name, scene in scenes.items()}


def image_of(scene, layers, name):
    """The layers of a scene or stack as they are stored."""
    if isinstance(scene, xr.DataArray):
        found = features_of(scene, name)
        if tuple(found) != layers:
            if missing := [each for each in layers if each not in found]:
                raise GlacierlabError(f"Stack {name!r} lacks {missing}; it has {found}. Make it with them.")
            scene = scene.sel(feature=list(layers))
        return Image((scene.transpose("feature", "y", "x").variable,), telling(layers))
    require_pixels(scene)
    bands = require_bands(scene, layers, f"PatchSet of {name!r}").values()
    if other := [
        band.name for band in bands if set(band.dims) != {"y", "x"} or band.dtype.kind not in "buif"
    ]:
        raise GridError(f"Scene {name!r}: {other} are not numbers (y, x). Leave them out.")
    return Image(tuple(band.transpose("y", "x").variable for band in bands), telling(layers))


def telling(layers):
    """Place of the feature whose nodata counts: the first band, for a DEM has values under every gap."""
    return next((place for place, name in enumerate(layers) if name in BANDS), 0)


def features_of(stack, name):
    """Names of a stack's features; GridError if it is none."""
    if set(stack.dims) != {"feature", "y", "x"} or "feature" not in stack.coords:
        raise GridError(
            f"Stack {name!r} has dims {stack.dims} and coordinates {list(stack.coords)}: a stack is "
            "(feature, y, x) with the names of its features."
        )
    return stack["feature"].values.tolist()


def fingerprint_of(source, grid, size, counted):
    """What tells a scene with its labels from others: its first feature, and all in some labeled windows."""
    labeled = np.flatnonzero(counted.counts.sum(axis=1))
    some = labeled[np.linspace(0, len(labeled) - 1, min(LOOKS, len(labeled))).astype(int)]
    digest, read = hashlib.blake2b(digest_size=16), source.image.read
    if math.prod(grid.shape) <= LOOKS * size**2:  # a small scene is read once
        whole = read(slice(0, grid.shape[0]), slice(0, grid.shape[1]))
        read = lambda rows, columns: np.ascontiguousarray(whole[:, rows, columns])
    for row, col in zip(counted.rows[some].tolist(), counted.cols[some].tolist(), strict=True):
        digest.update(read(slice(row, row + size), slice(col, col + size)))
    return {
        "place": [*grid.affine[:6], *grid.shape],
        "image": [counted.image, digest.hexdigest()],
        "labels": counted.labels,
    }


def require_other(prints, name):
    """ManifestError if a scene is one of those before it: same place, same pixels where it was looked at."""
    for other, found in prints.items():
        if other != name and all(found[key] == prints[name][key] for key in ("place", "image")):
            raise ManifestError(
                f"{name!r} holds the same pixels as {other!r}, and its patches would stand on both sides "
                "of a split. Give each scene once."
            )


# ---- the manifest ----


def table_of(counted, grid, size, classes, find, scene, label, region):
    """The rows of a scene's windows."""
    rows, cols = counted.rows, counted.cols
    corners = np.array([[0, 0], [0, size], [size, size], [size, 0]])
    x, y = grid.affine * (cols[:, None] + corners[:, 0], rows[:, None] + corners[:, 1])
    shares = counted.counts / size**2
    columns = {"scene": scene, "row": rows, "col": cols, "size": int(size)}
    columns["glaciers"] = find(rows, cols, size) if find else [None] * len(rows)
    columns["region"] = region
    columns["label"] = [f"{label} {a:.9g} {b:.9g}" for a, b in zip(x[:, 0], y[:, 0], strict=True)]
    columns["source"] = None
    columns["valid_share"] = shares.sum(axis=1)
    columns |= {f"{name}_share": share for name, share in zip(classes, shares.T, strict=True)}
    squares = shapely.polygons(np.stack([x, y], axis=-1))
    return gpd.GeoDataFrame(columns, geometry=squares, crs=grid.crs.to_wkt())


def chosen(tables, classes, min_valid, min_glacier, crs):
    """One manifest of the windows that hold enough, numbered from 0."""
    crs = common_crs(tables) if crs is None else CRS.from_user_input(crs)
    manifest = pd.concat([table.to_crs(crs) for table in tables], ignore_index=True)
    ice = [f"{name}_share" for name in classes if name not in NOT_GLACIER]
    valid, glacier = manifest["valid_share"], manifest[ice].sum(axis=1)
    enough = (valid > 0) & (valid >= min_valid) & (glacier >= min_glacier)
    if not enough.any():
        raise ManifestError(
            f"None of {len(manifest)} patches is left: the best have {valid.max():.3g} of their pixels "
            f"labeled and {glacier.max():.3g} glacier, asked are min_valid={min_valid:g} and "
            f"min_glacier={min_glacier:g}. Lower these, or check labels, nodata and ignore."
        )
    unknown = [name for name in ("glaciers", "region") if manifest[name].isna().all()]
    return manifest[enough].drop(columns=unknown).reset_index(drop=True)


def common_crs(tables):
    """The CRS of all windows if it is one in meters, else an equal-area one around their mean center."""
    first = tables[0].crs
    metric = first.is_projected and first.axis_info[0].unit_conversion_factor == 1
    if metric and all(table.crs == first for table in tables):
        return first
    first_patches = pd.concat([table.geometry.iloc[:1].to_crs(4326) for table in tables])
    lon, lat = np.deg2rad(shapely.get_coordinates(first_patches)).T
    x, y, z = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean(), np.sin(lat).mean()
    to_center = np.linalg.norm([x, y, z])
    lon_lat = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    farthest = EARTH_M * np.arccos(np.clip(np.array([x, y, z]) / max(to_center, 1e-9) @ lon_lat, -1, 1)).max()
    if farthest > FAR_M:
        warn(
            f"Scenes lie up to {farthest / 1e3:,.0f} km from their middle: distances between patches are "
            "bent by more than a tenth there. Make a set for each region, or give crs=."
        )
    lat, lon = np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x))
    return CRS.from_dict(
        dict(proj="laea", lat_0=round(lat, 2), lon_0=round(lon, 2), datum="WGS84", units="m")
    )
