"""Class maps that tests share."""

import numpy as np
import rioxarray  # noqa: F401  registers .rio
import xarray as xr

from glacierlab.features.threshold import mask_attrs


def mask_of(codes, pixel=30.0, crs="EPSG:32632"):
    """A class map in UTM from an array of codes."""
    codes = np.asarray(codes, "uint8")
    y = 5_200_000 - pixel * (np.arange(codes.shape[0]) + 0.5)
    x = 600_000 + pixel * (np.arange(codes.shape[1]) + 0.5)
    mask = xr.DataArray(codes, {"y": y, "x": x}, ("y", "x"), attrs=mask_attrs())
    return mask.rio.write_crs(crs) if crs else mask
