"""glacierlab: map glaciers from satellite images, on one xarray object.

`import glacierlab as gl` loads xarray and registers the `.glacier` accessor; every other name loads
its part of the package when it is first used.
"""

import sys as _sys
from importlib import import_module
from importlib.metadata import version

from . import accessors as _accessors  # noqa: F401  registers .glacier
from .errors import extras as _extras

__version__ = version("glacierlab")

_WHERE = {  # public name → the module that holds it
    "Recipe": "features.recipe",
    "Reference": "report.mapped",
    "area_change": "change.differences",
    "area_curve": "features.threshold",
    "area_series": "change.dated",
    "area_uncertainty": "change.area",
    "attributes": "outlines.attributing",
    "best_threshold": "features.threshold",
    "check": "quality",
    "check_glims": "io.glims_check",
    "compare": "judge.comparing",
    "composite": "series.compositing",
    "coregister": "series.alignment",
    "evaluate": "judge.evaluation",
    "find_scenes": "series.scenes",
    "fit": "train.fitting",
    "importance": "judge.attribution",
    "index": "features.indices",
    "load_model": "models.file",
    "map_by_model": "mapping",
    "map_glaciers": "mapping",
    "map_scenes": "batch",
    "open_inventory": "io.inventory",
    "open_map": "io.maps",
    "open_scene": "io.scene",
    "open_stac": "io.stac",
    "predict": "inference.prediction",
    "qa": "outlines.checking",
    "ratio": "features.indices",
    "sample": "io.samples",
    "save_model": "models.file",
    "score": "scores",
    "scores_from": "scores",
    "split_glaciers": "outlines.divides",
    "synthetic_scene": "synthetic",
    "synthetic_world": "synthetic",
    "threshold": "features.threshold",
    "trend": "change.trends",
    "valid_mask": "quality",
    "vectorize": "outlines.polygons",
    "write_change": "report.changed",
    "write_folder": "report.mapped",
    "write_glims": "io.glims",
    "write_outlines": "io.write",
    "write_raster": "io.write",
    "write_report": "report.mapped",
}
_PARTS = (
    "apps", "change", "errors", "features", "io", "judge", "models", "outlines", "samples", "scores",
    "series", "synthetic", "tables", "teach", "train", "viz",
)  # fmt: skip

__all__ = ["__version__", *_WHERE, *_PARTS]


def __getattr__(name):
    if name in _WHERE:
        with _extras(f"{__name__}.{name}"):
            value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    elif name in _PARTS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)


if "IPython" in _sys.modules:  # Tab offers names of layers, models and the like
    from .completing import register as _register

    _register()
