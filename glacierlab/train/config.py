"""Config files: a model, data and a training as TOML; unknown keys are named, and nothing in them is run."""

import inspect
import tomllib
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path

from ..errors import GlacierlabError
from ..features.recipe import Recipe
from ..io.inventory import open_inventory
from ..io.maps import open_map
from ..io.scene import open_scene
from ..models.registry import MODELS
from ..samples import PatchSet, split
from ..samples.real import swiss_chips
from ..synthetic import synthetic_world
from ..tables import PRESETS, lookup
from .fitting import fit, require_arguments
from .settings import require_seed
from .starting import build_for
from .task import seed_all

SECTIONS = ("model", "data", "train")
PATHS = {"data": ("cache", "folder"), "train": ("out", "init")}  # keys that hold paths, relative to the file
CHUNK = 1024


def read_config(path, sections=SECTIONS):
    """A config file as a dict of its sections; paths in it are relative to the file.

    Parameters
    ----------
    path : path
        TOML.
    sections : sequence of str
        Those that it may have.

    Returns
    -------
    dict of dict

    Raises
    ------
    GlacierlabError
        The file is not there, is no TOML, or a section is no table.
    UnknownNameError
        A section is not known.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "small.toml")
    ...     _ = path.write_text('model.name = "unet"', encoding="utf-8")
    ...     config = read_config(path)
    >>> config
    {'model': {'name': 'unet'}}
    """
    path = Path(path)
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GlacierlabError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise GlacierlabError(f"{path} is no TOML: {error}.") from error
    require_known(config, sections, f"section of {path.name}")
    for name, section in config.items():
        if not isinstance(section, dict):
            raise GlacierlabError(f"{path}: {name!r} is a section, written [{name}].")
        for key in PATHS.get(name, ()):
            if key in section:
                section[key] = path.parent / require_text(section[key], key)
    for scene in scenes_in(config):
        for key in ("path", "labels", "glaciers"):
            if key in scene:
                scene[key] = path.parent / require_text(scene[key], key)
    return config


def scenes_in(config):
    """The tables [data.scenes.NAME]."""
    scenes = config.get("data", {}).get("scenes", {})
    if not isinstance(scenes, dict) or not all(isinstance(each, dict) for each in scenes.values()):
        raise GlacierlabError("Scenes are tables: [data.scenes.NAME] with path = … and labels = ….")
    return scenes.values()


def require_text(value, key):
    if not isinstance(value, str):
        raise GlacierlabError(f"{key}={value!r}: give a path, as text.")
    return Path(value).expanduser()


IS = {  # what a value may be, in words
    "a whole number": lambda value: isinstance(value, Integral) and not isinstance(value, bool),
    "a number": lambda value: isinstance(value, Real) and not isinstance(value, bool),
    "a text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a list of whole numbers": lambda value: is_list(value, "a whole number"),
    "a list of numbers": lambda value: is_list(value, "a number"),
    "a list of names": lambda value: is_list(value, "a text"),
    "a list": lambda value: is_list(value),
    "a table": lambda value: isinstance(value, dict),
}
FORMS = {  # of the keys of [data] and [data.split], where what reads them does not tell
    "seeds": ["a list of whole numbers"], "years": ["a list of whole numbers"],
    "shape": ["a list of whole numbers"], "sensor": ["a text"], "pixel_size_m": ["a number"],
    "radar": ["true or false"], "mini": ["true or false"], "view": ["a table"], "split": ["a table"],
    "scenes": ["a table"], "layers": ["a list"], "size": ["a whole number"], "stride": ["a whole number"],
    "classes": ["a list of names", "a table"], "min_valid": ["a number"], "min_glacier": ["a number"],
    "by": ["a text"], "shares": ["a list of numbers", "a text"], "names": ["a list of names"],
    "buffer_m": ["a number"], "block_m": ["a number"], "seed": ["a whole number"], "leaks": ["true or false"],
}  # fmt: skip


def is_list(value, of=None):
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return listed and (of is None or all(map(IS[of], value)))


def require_forms(given, section):
    """GlacierlabError where a value is of another kind than its key takes."""
    for key, value in given.items():
        forms = FORMS.get(key, ())
        if forms and value is not None and not any(IS[form](value) for form in forms):
            raise GlacierlabError(f"[{section}] {key}={value!r}: give {' or '.join(forms)}.")


def require_known(given, known, kind):
    """UnknownNameError, with near matches, where a key is not known."""
    for key in given:
        lookup(dict.fromkeys(known), key, kind=kind)


# ---- data ----


def patches_of(data):
    """The patches of a section [data], with a split.

    Parameters
    ----------
    data : dict
        `kind`: "worlds", "swiss_snow" or "scenes", with the keys of `of_worlds`, `of_swiss_snow` and
        `of_scenes` below; `split`: arguments of `PatchSet.split`; `cache`: a folder for `to_zarr`.

    Returns
    -------
    PatchSet

    Raises
    ------
    UnknownNameError, GlacierlabError

    Examples
    --------
    >>> data = {"kind": "worlds", "seeds": [1, 2], "years": [2020], "shape": [64, 64], "size": 32}
    >>> data |= {"layers": ["red", "swir16"]}
    >>> data["split"] = {"shares": [0.5, 0.5], "names": ["train", "val"]}
    >>> patches = patches_of(data)
    >>> len(patches.subset("train")), patches.features
    (4, ('red', 'swir16'))
    """
    data = dict(data)
    if "kind" not in data:
        raise GlacierlabError(f"[data] needs kind = one of {', '.join(KINDS)}.")
    kind, cache = data.pop("kind"), data.pop("cache", None)
    make = lookup(KINDS, str(kind), kind="kind of data")
    takes = inspect.signature(make).parameters
    known = [key for key in takes if key != "cuts"]
    require_known(data, [*known, *CUTS, "cache"], f"key of {kind} in [data]")
    require_forms(data, "data")
    for key in known:
        if takes[key].default is inspect.Parameter.empty and key not in data | {"split": None}:
            raise GlacierlabError(f"[data] of kind {kind!r} needs {key} = ….")
    parts = data.pop("split", None) or {}
    ways = [key for key in inspect.signature(split).parameters if key != "manifest"]
    require_known(parts, ways, "key of [data.split]")
    require_forms(parts, "data.split")
    patches = make(split=parts, **data)
    return patches if cache is None else patches.to_zarr(cache)


CUTS = ("size", "stride", "classes", "min_valid", "min_glacier")  # of PatchSet.from_scenes


def of_worlds(*, seeds, split, years=(2000, 2020), shape=(256, 256), sensor="landsat-8", pixel_size_m=None,
              radar=False, layers=None, view=None, **cuts):  # fmt: skip
    """Made worlds, by default split by world: a scene a seed and year; `radar` adds coherence and phase."""
    scenes, labels, glaciers, regions = {}, {}, {}, {}
    size = {} if pixel_size_m is None else {"pixel_size_m": pixel_size_m}
    for seed in seeds:
        world = synthetic_world(seed, years, tuple(shape), **size)
        for year in years:
            name = f"world {seed}, {year}"
            scene = world.scene(year, sensor=sensor, **(view or {}))
            labels[name] = scene["truth"]
            scenes[name] = scene.drop_vars("truth")
            if radar:
                scenes[name] = scenes[name].assign(world.radar(year)[["coherence", "phase"]].data_vars)
            glaciers[name], regions[name] = world.outlines(year), f"world {seed}"
    return cut(scenes, labels, layers, {"by": "region"} | split, glaciers=glaciers, regions=regions, **cuts)


def of_scenes(*, scenes, split, layers=None, **cuts):
    """Scenes of your own: each a table with `path`, `labels` (a class map, or outlines), and, where wanted,
    `glaciers` (outlines with ids), `region`, and options of `open_scene`."""
    opened, labels, glaciers, regions = {}, {}, {}, {}
    for name, about in scenes.items():
        about = dict(about)
        for key in ("path", "labels"):
            if key not in about:
                raise GlacierlabError(f"[data.scenes.{name}] needs {key} = ….")
        path, label, outlines = about.pop("path"), Path(about.pop("labels")), about.pop("glaciers", None)
        labels[name] = open_map(label) if label.suffix.lower() in (".tif", ".tiff") else open_inventory(label)
        glaciers[name] = None if outlines is None else open_inventory(outlines)
        regions[name] = about.pop("region", None)
        require_known(about, inspect.signature(open_scene).parameters, f"key of [data.scenes.{name}]")
        opened[name] = open_scene(path, chunks=CHUNK, **about)
    return cut(opened, labels, layers, split, glaciers=glaciers, regions=regions, **cuts)


def of_swiss_snow(*, split, folder=None, mini=False, layers=("blue", "nir08", "nir"), size=64, **cuts):
    """The Swiss snow set, by default split by glacier, so that no glacier is in two parts."""
    scenes, labels, glaciers = swiss_chips(folder, mini=mini, least=size)
    return cut(scenes, labels, layers, {"by": "glacier"} | split, glaciers=glaciers, size=size, **cuts)


KINDS = {"worlds": of_worlds, "swiss_snow": of_swiss_snow, "scenes": of_scenes}


def cut(scenes, labels, layers, split, **options):
    """Patches with a split; layers by name make a recipe, fitted to the scenes that have training patches.

    Where a scene has training patches and others (a split by blocks), the recipe's means and deviations are
    those of the whole scene.
    """
    if layers is None:
        return PatchSet.from_scenes(scenes, labels, **options).split(**split)
    bare = PatchSet.from_scenes(scenes, labels, **options).split(**split).manifest
    training = {
        name: scenes[name] for name in scenes if ((bare["scene"] == name) & (bare["split"] == "train")).any()
    }
    if not training:
        raise GlacierlabError("No patch is in a part 'train': its name is the first of [data.split] names.")
    patches = PatchSet.from_scenes(scenes, labels, Recipe(layers).fit(list(training.values())), **options)
    places = bare.set_index(["scene", "row", "col"])["split"]
    window = patches.manifest.set_index(["scene", "row", "col"]).index
    return patches.with_split(places.reindex(window, fill_value="buffer").tolist())


# ---- the whole ----


def train_from(config, *, out=None, epochs=None, progress=True):
    """Train as a config says.

    Parameters
    ----------
    config : dict
        Of `read_config`: [model] holds `name` (default the preset's), `classes` (default as many as the
        patches have; 1 for one logit) and the architecture's options, as of `build_for`; [data] is for
        `patches_of`, [train] holds arguments of `fit`.
    out : path, optional
    epochs : int, optional
        Both go before the config's.
    progress : bool

    Returns
    -------
    Training

    Raises
    ------
    GlacierlabError, UnknownNameError
        The config is not what it should be; also all that `fit` raises.

    Examples
    --------
    >>> import tempfile
    >>> data = {"kind": "worlds", "seeds": [1, 2], "years": [2020], "shape": [64, 64], "size": 32}
    >>> data |= {"layers": ["red", "swir16"]}
    >>> data["split"] = {"shares": [0.5, 0.5], "names": ["train", "val"]}
    >>> model = {"name": "unet", "widths": [4, 8]}
    >>> settings = {"max_epochs": 1, "precision": "32-true"}
    >>> config = {"model": model, "data": data, "train": settings}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     training = train_from(config, out=folder, progress=False)
    >>> len(training.history), training.model.card.classes
    (1, ('background', 'clean_ice', 'debris_covered_ice', 'glacial_lake'))
    """
    for section in ("data", "train"):
        if section not in config:
            raise GlacierlabError(f"The config has no section [{section}].")
    told = dict(config["train"])
    for key in ("model", "train", "val", "progress", "watch"):
        if key in told:
            raise GlacierlabError(f"[train] {key}: this is not for a config.")
    told |= {key: value for key, value in (("out", out), ("max_epochs", epochs)) if value is not None}
    told.setdefault("out", "glacierlab-train")
    row = lookup(PRESETS, told.get("preset", "glacierlab"), kind="preset")
    model = dict(config.get("model", {}))
    name = model.pop("name", row.model)
    if not name:
        raise GlacierlabError("[model] needs name = …, or [train] a preset that names one.")
    lookup(MODELS, name, kind="model")  # before data are read, which may take long
    require_arguments(told)
    require_seed(told.get("seed", 0))
    patches = patches_of(config["data"])
    seed_all(told.get("seed", 0))
    built = build_for(patches, name, model.pop("classes", None), preset=told.get("preset"), **model)
    return fit(built, patches, progress=progress, **told)
