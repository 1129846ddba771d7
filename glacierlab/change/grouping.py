"""Which polygon of a layer, such as a basin or a country, a glacier belongs to."""

import numpy as np
import pandas as pd

from ..errors import InventoryError, require_outlines
from .matching import some
from .overlaps import largest_of_each, on_equal_areas, overlaps

NAMES = (
    "name",
    "basin",
    "region",
    "country",
    "subregion",
)  # of columns that name a polygon, the surest first


def regions_of(outlines, regions, column=None):
    """The region that each glacier has most of its area in.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Glaciers, in any CRS.
    regions : geopandas.GeoDataFrame
        Polygons in any CRS. Several may have one name.
    column : str, optional
        Of `regions`: what they are called. By default the first called name, basin, region, country or
        subregion (in any case), else the first that holds text.

    Returns
    -------
    pandas.Series
        A name for each outline, with its index; "" where no region lies.

    Raises
    ------
    InventoryError
        No such column, none that names regions, invalid polygons or no CRS.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> import glacierlab as gl
    >>> glaciers = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> west, south, east, north = glaciers.total_bounds
    >>> halves = [box(west, south, (west + east) / 2, north), box((west + east) / 2, south, east, north)]
    >>> regions = gpd.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=glaciers.crs)
    >>> regions_of(glaciers, regions).value_counts().to_dict()
    {'west': 8, 'east': 4}
    """
    require_outlines(regions, "A layer of regions")
    column = column_of(regions, column)
    (glaciers, areas), _ = on_equal_areas([outlines, regions], "regions_of")
    one, two, shared = overlaps(glaciers, areas)
    names = pd.Series("", outlines.index, dtype=object)
    chosen = largest_of_each(one, shared)
    own = regions[column].astype(object).where(regions[column].notna(), "").astype(str).to_numpy()
    values = names.to_numpy(copy=True)
    values[np.asarray(one)[chosen]] = own[np.asarray(two)[chosen]]
    return pd.Series(values, outlines.index, dtype=object, name=column)


def column_of(regions, column=None):
    """The column that names regions; InventoryError where there is none."""
    columns = regions.columns.drop(regions.geometry.name)
    if column is not None:
        if column not in columns:
            raise InventoryError(f"The regions have no column {column!r}, but {some([*columns])}.")
        return column
    by_case = {str(name).lower(): name for name in columns}
    known = [by_case[name] for name in NAMES if name in by_case]
    texts = [name for name in columns if pd.api.types.is_string_dtype(regions[name])]
    if not known + texts:
        raise InventoryError(f"No column of {some([*columns])} names the regions: say which does.")
    return (known + texts)[0]
