"""`.glacier` on Dataset and DataArray: the package's functions as methods; names, no logic."""

from functools import wraps

import xarray as xr

from .features.indices import index, ratio
from .features.threshold import area_curve, best_threshold, threshold
from .features.transforms import tasseled_cap
from .io.radiometry import to_reflectance
from .mapping import map_glaciers
from .outlines import clean, vectorize
from .quality import check, valid_mask


def as_method(function):
    """A function of a scene or raster as a method; help and completion show the function's own."""

    @wraps(function)
    def method(self, *args, **kwargs):
        return function(self._object, *args, **kwargs)

    return method


class Accessor:
    """Holds the object and nothing else: xarray drops an accessor after most operations."""

    def __init__(self, xarray_object):
        self._object = xarray_object


@xr.register_dataset_accessor("glacier")
class SceneAccessor(Accessor):
    """Functions of a scene or prediction: `scene.glacier.index("ndsi")`."""

    check = as_method(check)
    index = as_method(index)
    map_glaciers = as_method(map_glaciers)
    outlines = as_method(vectorize)
    ratio = as_method(ratio)
    tasseled_cap = as_method(tasseled_cap)
    to_reflectance = as_method(to_reflectance)
    valid_mask = as_method(valid_mask)


@xr.register_dataarray_accessor("glacier")
class RasterAccessor(Accessor):
    """Functions of one raster: `ratio.glacier.threshold("otsu")`."""

    area_curve = as_method(area_curve)
    best_threshold = as_method(best_threshold)
    clean = as_method(clean)
    outlines = as_method(vectorize)
    threshold = as_method(threshold)
