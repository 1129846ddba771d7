"""Outlines held against a reference while they are edited: scores, and where the two differ."""

from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from rasterio.features import rasterize

from ..features.threshold import mask_attrs, observed_and_glacier
from ..io.layers import cell_area_m2, require_crs, transform_of
from ..scores import GLACIER_PARTS, score
from ..tables import CLASSES, NOT_OBSERVED
from .coded import CodedPicture, color_of

MAX_PIXELS = 3000 * 3000  # of a larger scene every nth pixel is judged
ERRORS = {"hit": "#3d9be9", "miss": "#e8308a", "false": "#ff9d00"}  # codes 1, 2, 3
SHOWN = ("precision", "recall", "f1", "iou", "kappa", "asd_m", "hd95_m", "boundary_f")
ICE = ("glacier", *GLACIER_PARTS)


class Judge:
    """Outlines against a reference, by the pixel centers of a scene.

    Parameters
    ----------
    scene : xarray.Dataset
        Where its first band is not observed nothing is judged. Of a scene above 9 million pixels every nth
        is.
    reference : Reference
        Where it does not label all ice, ice outside of it is unknown: no error, and recall is the only
        score.

    Raises
    ------
    GridError
        The scene has no CRS, or the reference lies elsewhere.
    """

    def __init__(self, scene, reference):
        self.every = int(np.ceil(np.sqrt(scene.sizes["y"] * scene.sizes["x"] / MAX_PIXELS)))
        self.reference = reference
        band = scene[next(iter(scene.data_vars))]
        require_crs(band, "A judgment")
        self._grid = self._thinned(band).compute()
        self._truth = reference.data
        if not hasattr(self._truth, "geometry"):
            self._truth = self._thinned(self._truth).compute()
        known, ice = observed_and_glacier(self._truth, self._grid)
        self._known, self._ice = known.to_numpy() & self._grid.notnull().to_numpy(), ice.to_numpy()

    def scores(self, outlines):
        """Scores by class.

        Parameters
        ----------
        outlines : geopandas.GeoDataFrame
            In any CRS; ice where no column `class` says what they are.

        Returns
        -------
        pandas.DataFrame
            One row a class; of `score` the columns from precision to boundary_f, or recall alone.

        Raises
        ------
        UnknownNameError
            Outlines and reference share no class.
        """
        codes, names = self._burned(outlines)
        codes = self._raster(np.where(self._known, codes, NOT_OBSERVED).astype("uint8"))
        table = score(codes.assign_attrs(mask_attrs(("background", *names))), self._truth)
        return table[list(SHOWN if self.reference.complete else ["recall"])]

    def errors(self, outlines):
        """Where outlines and reference differ about ice.

        Returns
        -------
        xarray.DataArray
            (y, x) uint8: 0 none, 1 hit, 2 miss, 3 false, 255 not known, with CF flags.
        """
        burned, names = self._burned(outlines)
        ours = np.isin(burned, [CLASSES[name].code for name in names if name in ICE])
        codes = np.select([ours & self._ice, self._ice, ours], [1, 2, 3], 0).astype("uint8")
        codes[~self._known] = NOT_OBSERVED
        if not self.reference.complete:
            codes[codes == 3] = NOT_OBSERVED  # nobody says that there is no ice
        flags = {"flag_values": np.arange(4, dtype="uint8"), "flag_meanings": " ".join(("none", *ERRORS))}
        return self._raster(codes).assign_attrs({"long_name": "hits and errors"} | flags)

    def areas(self, errors):
        """Area [km²] of hit, miss and false, of what `errors` gave."""
        km2 = cell_area_m2(errors) / 1e6
        sums = {name: km2 * int((errors == code).sum()) for code, name in enumerate(ERRORS, 1)}
        return pd.Series(sums if self.reference.complete else sums | {"false": np.nan}, name="area_km2")

    def _thinned(self, raster):
        return raster.transpose("y", "x")[:: self.every, :: self.every]

    def _raster(self, codes):
        return xr.DataArray(codes, self._grid.coords, ("y", "x"))

    def _burned(self, outlines):
        """Codes (y, x) uint8 of outlines, the last on top, and the names of their classes."""
        shapes = outlines.geometry.to_crs(self._grid.rio.crs.to_wkt())
        named = outlines["class"] if "class" in outlines else pd.Series("glacier", outlines.index)
        drawable = ~(shapes.is_empty | shapes.isna()) & named.isin(list(CLASSES))
        names = list(dict.fromkeys(named[drawable]))
        if "glacier" in names:  # whole glaciers beside their parts: all of it is glacier
            names = [name for name in names if name not in GLACIER_PARTS]
            named = named.replace(dict.fromkeys(GLACIER_PARTS, "glacier"))
        codes = named[drawable].map({name: CLASSES[name].code for name in names})
        if codes.empty:
            return np.zeros(self._grid.shape, "uint8"), ["glacier"]
        drawn = zip(shapes[drawable], codes, strict=True)
        transform = transform_of(self._grid)
        return rasterize(drawn, self._grid.shape, transform=transform, dtype="uint8"), names


class Judgment:
    """Some outlines before a judge; an answer is found when it is first asked for. As `Pictures` of one name.

    Parameters
    ----------
    make : function
        Gives the `Judge`.
    outlines : geopandas.GeoDataFrame
    """

    names = ("hits and errors",)

    def __init__(self, make, outlines):
        self._make, self.outlines = make, outlines

    @cached_property
    def judge(self):
        return self._make()

    @cached_property
    def scores(self):
        return self.judge.scores(self.outlines)

    @cached_property
    def errors(self):
        return self.judge.errors(self.outlines)

    @cached_property
    def areas(self):
        return self.judge.areas(self.errors)

    @cached_property
    def picture(self):
        """The errors, each in its color."""
        colors = {code: color_of(color, 170) for code, color in enumerate(ERRORS.values(), 1)}
        return CodedPicture(self.errors, colors, self.names[0])

    def render(self, name, bounds, shape, stretch=None, crs=None):
        """A picture (height, width, 4) uint8 of a window, north up."""
        return self.picture.render(name, bounds, shape, stretch, crs)
