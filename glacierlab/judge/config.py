"""Comparisons as TOML files: unknown entries are named, and nothing in them is run."""

import tomllib
from pathlib import Path

from ..errors import GlacierlabError
from ..tables import lookup
from ..train.config import PATHS, patches_of, require_text, scenes_in
from .comparing import compare

ENTRIES = ("protocol", "worlds", "data", "models", "groups", "inference", "seeds", "max_epochs", "minutes",
           "metrics", "blocks", "repeats", "device", "out", "training")  # fmt: skip
TABLES = ("worlds", "data", "models", "groups", "inference", "training")  # entries that are tables


def compare_from(path, out=None):
    """The comparison that a TOML file describes; see `examples/compare_small.toml`.

    Its entries are the arguments of `compare`, paths relative to the file. `[models.NAME]` holds `model`,
    `options`, `layers`, `logits` and `inference`, or `file` alone, a model file; `[inference.NAME]` settings
    of `gl.predict` for a model, `[inference."*"]` for all; `[training]` what `fit` takes; `[data]` patches as
    for training, where no protocol makes them; `[groups]` names lists of features that `layers` may name.

    Parameters
    ----------
    path : path
        TOML.
    out : path, optional
        Folder that keeps the models; it goes before the file's own `out`.

    Returns
    -------
    Comparison

    Raises
    ------
    UnknownNameError, GlacierlabError
        Of what is in the file; unknown entries are named with near matches.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> text = '''
    ... metrics = ["iou"]
    ... max_epochs = 1
    ... [models.unet]
    ... model = "unet"
    ... options = { widths = [4, 8] }
    ... [data]
    ... kind = "worlds"
    ... seeds = [1, 2, 3]
    ... years = [2020]
    ... shape = [64, 64]
    ... layers = ["red", "swir16"]
    ... size = 32
    ... split = { shares = [0.4, 0.3, 0.3], names = ["train", "val", "test"] }
    ... [training]
    ... precision = "32-true"
    ... progress = false
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "small.toml")
    ...     _ = path.write_text(text, encoding="utf-8")
    ...     found = compare_from(path)
    >>> found.ok, found.table.model.unique().tolist(), found.table.metric.unique().tolist()
    (True, ['unet'], ['iou'])
    """
    path = Path(path)
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GlacierlabError(f"{path} cannot be read as TOML: {' '.join(str(error).split())}.") from error
    for entry in config:
        lookup(dict.fromkeys(ENTRIES), entry, kind=f"entry of {path.name}")
    for name in TABLES:
        if not isinstance(config.get(name, {}), dict):
            raise GlacierlabError(f"{path}: {name!r} is a table, written [{name}].")
    groups, data = config.pop("groups", {}), config.pop("data", None)
    models = {
        name: entry_of(name, given, groups, path.parent) for name, given in config.pop("models", {}).items()
    }
    if data is not None:
        files = [(each, ("path", "labels", "glaciers")) for each in scenes_in({"data": data})]
        for section, keys in ((data, PATHS["data"]), *files):
            section.update(
                {key: path.parent / require_text(section[key], key) for key in keys if key in section}
            )
        config["patches"] = patches_of(data)
    if "out" in config:
        config["out"] = path.parent / require_text(config["out"], "out")
    config["out"] = config.get("out") if out is None else out
    training = config.pop("training", {})
    if twice := sorted(training.keys() & {*ENTRIES, "layers", "patches"}):
        raise GlacierlabError(f"{path.name}: {twice} are no options of fit: write them above [training].")
    return compare(models, **config, **training)


def entry_of(name, given, groups, folder):
    """An entry of [models] as `compare` takes it: with the features of a group, and files from `folder`."""
    if isinstance(given, str) and given.endswith(".safetensors"):
        given = {"file": given}
    if not isinstance(given, dict):
        return given
    if "file" in given:
        for key in given:
            lookup({"file": None}, key, kind=f"entry of [models.{name}], a model file,")
        return folder / require_text(given["file"], "file")
    if isinstance(layers := given.get("layers"), str):
        return given | {"layers": groups.get(layers, [layers])}
    return given
