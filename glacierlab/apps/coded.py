"""Codes on a grid as pictures, which a map draws as it draws the layers of a scene."""

import numpy as np
from pyproj import CRS

from ..io.layers import bounds_of
from .levels import sampled, sheets_of


class CodedPicture:
    """Codes (y, x) uint8, each in a color of its own; what has none is left clear. As `Pictures` of one name.

    Parameters
    ----------
    codes : xarray.DataArray
        (y, x) uint8 with a CRS.
    colors : dict of int to (r, g, b, a)
        0 to 255.
    name : str
    """

    def __init__(self, codes, colors, name):
        self.names = [name]
        self.crs, self.bounds = CRS.from_user_input(codes.rio.crs.to_wkt()), bounds_of(codes)
        self._sheets = sheets_of([codes], held=[False])
        self._table = np.zeros((256, 4), "uint8")
        for code, color in colors.items():
            self._table[code] = color

    def render(self, name, bounds, shape, stretch=None, crs=None):
        """A picture (height, width, 4) uint8 of a window, north up."""
        return self._table[sampled(self._sheets, bounds, tuple(shape), crs)[0]]

    def value_at(self, name, x, y):
        """The code at a place; NaN outside."""
        found = sampled(self._sheets, (x, y, x, y), (1, 1))[0].item()
        return float("nan") if found == 255 else float(found)

    def legend(self, name, stretch=None):
        """None: codes have no scale."""


def color_of(text, alpha=255):
    """ "#rrggbb" as (r, g, b, a), 0 to 255."""
    return (*bytes.fromhex(text.removeprefix("#")), alpha)
