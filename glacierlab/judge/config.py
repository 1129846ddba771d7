"""Comparisons as TOML files: unknown entries are named, and nothing in them is run."""

import tomllib
from pathlib import Path

from ..errors import GlacierlabError
from ..tables import lookup
from .comparing import compare

ENTRIES = ("protocol", "worlds", "data", "models", "groups", "seeds", "max_epochs", "minutes", "metrics",
           "blocks", "repeats", "device", "out", "training")  # fmt: skip


def compare_from(path, out=None):
    """The comparison that a TOML file describes; see `examples/compare_small.toml`.

    Its entries are the arguments of `compare`, paths relative to the file. `[models.NAME]` holds `model`,
    `options`, `layers` and `logits`, or `file`, a model file; `[training]` what `fit` takes; `[data]` patches
    as for training, where no protocol makes them; `[groups]` names lists of features that `layers` may name.

    Raises
    ------
    UnknownNameError, GlacierlabError
        Of what is in the file; unknown entries are named with near matches.
    """
    path = Path(path)
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GlacierlabError(f"{path} cannot be read as TOML: {' '.join(str(error).split())}.") from error
    for entry in config:
        lookup(dict.fromkeys(ENTRIES), entry, kind=f"entry of {path.name}")
    groups, data = config.pop("groups", {}), config.pop("data", None)
    models = {}
    for name, given in config.pop("models", {}).items():
        layers = given.get("layers")
        if isinstance(layers, str):
            given = given | {"layers": groups.get(layers, [layers])}
        models[name] = str(path.parent / given["file"]) if "file" in given else given
    if data is not None:
        from ..train.config import PATHS, patches_of, scenes_in

        files = [(each, ("path", "labels", "glaciers")) for each in scenes_in({"data": data})]
        for section, keys in ((data, PATHS["data"]), *files):
            section.update({key: path.parent / section[key] for key in keys if key in section})
        config["patches"] = patches_of(data)
    if "out" in config:
        config["out"] = path.parent / config["out"]
    config["out"] = config.get("out") if out is None else out
    training = config.pop("training", {})
    if twice := sorted(training.keys() & {*ENTRIES, "layers", "patches"}):
        raise GlacierlabError(f"{path.name}: {twice} are no options of fit: write them above [training].")
    return compare(models, **config, **training)
