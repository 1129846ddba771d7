"""`.glacier` on Dataset and DataArray: the package's functions as methods; names, no logic."""

from importlib import import_module
from types import MethodType

import xarray as xr

from .errors import extras


class Method:
    """A function of a scene or raster as a method, loaded when it is first looked at.

    Help and completion show the function's own.
    """

    def __init__(self, module, function=None):
        self.module, self.function = module, function

    def __set_name__(self, owner, name):
        self.function = self.function or name

    def __get__(self, accessor, owner):
        with extras(f".glacier.{self.function}"):
            function = getattr(import_module(f".{self.module}", __package__), self.function)
        return function if accessor is None else MethodType(function, accessor._object)


class Accessor:
    """Holds the object and nothing else: xarray drops an accessor after most operations."""

    def __init__(self, xarray_object):
        self._object = xarray_object


@xr.register_dataset_accessor("glacier")
class SceneAccessor(Accessor):
    """Functions of a scene or prediction: `scene.glacier.index("ndsi")`."""

    add_layer = Method("io.align")
    check = Method("quality")
    index = Method("features.indices")
    map_by_model = Method("mapping")
    map_glaciers = Method("mapping")
    predict = Method("inference.prediction")
    outlines = Method("mapping", "outline")
    pansharpen = Method("features.sharpening")
    ratio = Method("features.indices")
    stack = Method("features.recipe")
    tasseled_cap = Method("features.transforms")
    to_reflectance = Method("io.radiometry")
    valid_mask = Method("quality")

    __repr__ = Method("report.cards", "scene_text")
    _repr_html_ = Method("report.cards", "scene_html")


@xr.register_dataarray_accessor("glacier")
class RasterAccessor(Accessor):
    """Functions of one raster: `ratio.glacier.threshold("otsu")`."""

    area_curve = Method("features.threshold")
    best_threshold = Method("features.threshold")
    clean = Method("outlines")
    glcm = Method("features.texture")
    outlines = Method("mapping", "outline")
    predict = Method("inference.prediction")
    terrain = Method("features.dem")
    threshold = Method("features.threshold")

    __repr__ = Method("report.cards", "raster_text")
    _repr_html_ = Method("report.cards", "raster_html")
