"""Hypsometry: a glacier's area by elevation."""

import numpy as np
import pandas as pd

from ..errors import GlacierlabError, require_outlines
from .surfaces import located, surfaces


def hypsometry(outlines, dem, *, band_m=50):
    """Area of glaciers in bands of elevation, in thousandths, as RGI has it.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS.
    dem : path or xarray.DataArray
        Elevation (y, x) [m] in any CRS, NaN for nodata.
    band_m : int
        Height of a band [m]; an even number. RGI's is 50. A band begins at a multiple of it.

    Returns
    -------
    pandas.DataFrame
        A row for each outline, with its index: `rgi_id` (if there), `area_km2` (geodesic), then a column for
        each band from the lowest to the highest of all glaciers, named by the elevation of its middle [m],
        a whole number. Its numbers are thousandths of the glacier's area, which add up to 1000: rounded down
        but for those with the largest remainders, an assumption. Where the DEM has gaps they are of what it
        covers, and 0 throughout where it covers nothing.

    Raises
    ------
    InventoryError, GridError, GlacierlabError

    Warns
    -----
    DataWarning
        Glaciers that the DEM covers in part or not at all.

    Notes
    -----
    On the grid of `attributes`. Source: RGI 7.0 user guide, doi:10.5067/F6JMOVY5NAVZ.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> table = hypsometry(world.outlines(2020).nlargest(1, "area_km2"), world.scene(2020).elevation)
    >>> table.drop(columns="area_km2").iloc[0].to_dict()
    {2825: 4, 2875: 208, 2925: 744, 2975: 44}
    """
    require_outlines(outlines, "hypsometry")
    if int(band_m) != band_m or band_m < 2 or band_m % 2:
        raise GlacierlabError(f"band_m={band_m}: give an even number of meters, so that middles are whole.")
    band_m = int(band_m)
    places = located(outlines)
    bands = [
        np.array([], dtype=int) if surface is None else np.floor(surface.known / band_m).astype(int)
        for surface in surfaces(places, dem, "hypsometry")
    ]
    found = np.concatenate([*bands, np.array([], dtype=int)])
    first, last = (found.min(), found.max()) if found.size else (0, -1)
    counts = [np.bincount(band - first, minlength=last - first + 1) for band in bands]
    middles = [int(band) * band_m + band_m // 2 for band in range(first, last + 1)]
    shares = pd.DataFrame([thousandths(row) for row in counts], outlines.index, middles, dtype=np.int64)
    ids = places[["rgi_id", "area_km2"]] if "rgi_id" in places else places[["area_km2"]]
    return pd.concat([pd.DataFrame(ids), shares], axis=1)


def thousandths(counts):
    """Whole thousandths of counts (n,) that add up to 1000; zeros where there is nothing to share.

    >>> thousandths([1, 1, 1]).tolist()
    [334, 333, 333]
    """
    counts = np.asarray(counts, dtype=np.int64)
    if not (total := counts.sum()):
        return counts
    whole, rest = np.divmod(counts * 1000, total)
    most = np.argsort(-rest, kind="stable")[: 1000 - whole.sum()]
    whole[most] += 1
    return whole
