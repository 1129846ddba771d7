"""`.glacier` on Dataset and DataArray: the package's functions as methods; names, no logic."""

from functools import wraps

import xarray as xr

from .features.indices import index, ratio
from .features.threshold import area_curve, best_threshold, threshold
from .io.radiometry import to_reflectance
from .quality import check, valid_mask


def as_method(function):
    """A function of a scene or raster as a method; help and completion show the function's own."""

    @wraps(function)
    def method(self, *args, **kwargs):
        return function(self._object, *args, **kwargs)

    return method


class Outlines:
    """What geopandas draws in, imported when it is called."""

    def __init__(self, xarray_object):
        self._object = xarray_object  # nothing else: xarray drops the accessor after most operations

    def outlines(self, **options):
        """Polygons of a class map; see `glacierlab.vectorize`."""
        from .outlines import vectorize

        return vectorize(self._object, **options)


@xr.register_dataset_accessor("glacier")
class SceneAccessor(Outlines):
    """Functions of a scene or prediction: `scene.glacier.index("ndsi")`."""

    check = as_method(check)
    index = as_method(index)
    ratio = as_method(ratio)
    to_reflectance = as_method(to_reflectance)
    valid_mask = as_method(valid_mask)

    def map_glaciers(self, **options):
        """A glacier map of a scene; see `glacierlab.map_glaciers`."""
        from .mapping import map_glaciers

        return map_glaciers(self._object, **options)


@xr.register_dataarray_accessor("glacier")
class RasterAccessor(Outlines):
    """Functions of one raster: `ratio.glacier.threshold("otsu")`."""

    area_curve = as_method(area_curve)
    best_threshold = as_method(best_threshold)
    threshold = as_method(threshold)

    def clean(self, **options):
        """Open, close, and drop small parts of a mask; see `glacierlab.outlines.clean`."""
        from .outlines import clean

        return clean(self._object, **options)
