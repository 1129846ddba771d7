"""At what elevation glaciers change, and how two inventories share out above and below their middle."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rasterio import Affine

from ..errors import GlacierlabError, InventoryError
from ..io.layers import geodesic_area_km2, metric_crs
from ..outlines.surfaces import cells, in_zones, located, surfaces
from .agreeing import merged, own_names
from .dated import TOTAL, require_no_total
from .matching import id_column
from .overlaps import largest_of_each, links, on_equal_areas

FINE = 5  # a cell is burned in so many rows and columns: the share that is covered counts
ZONES = ("ablation", "accumulation", "unknown")
AREAS = ["area_1_km2", "area_2_km2"]
COLUMNS = ["glacier", "from_m", "to_m", *AREAS, "loss_km2", "loss_pct"]


def elevation_change(first, second, dem, *, band_m=50.0, by=None):
    """Area of glaciers in bands of elevation at two dates, and what was lost in each.

    Parameters
    ----------
    first, second : geopandas.GeoDataFrame
        Outlines of two dates in any CRS, one row a glacier.
    dem : path or xarray.DataArray
        Elevation (y, x) [m] in any CRS, NaN for nodata; one for both dates: a band is the same ground.
    band_m : float
        Height of a band [m]; 50 is RGI's. A band begins at a multiple of it.
    by : str, optional
        The column that names a glacier; by default the first of rgi_id, glims_id, glac_id, glacier_id,
        local_id, glac_name that both tables have.

    Returns
    -------
    pandas.DataFrame
        A row a glacier and band that it has ground in at either date, the lowest first, and the "total" of
        all glaciers: `glacier`, `from_m`, `to_m` (NaN: the DEM has no height there), `area_1_km2`,
        `area_2_km2`, `loss_km2` (positive where ice was lost) and `loss_pct` [% of the first area]. A
        glacier's bands add up to its geodesic area.

    Raises
    ------
    InventoryError, GridError, SceneError
    GlacierlabError
        `band_m` is not above 0.

    Warns
    -----
    DataWarning
        Glaciers that the DEM covers in part or not at all, or that are smaller than its pixels.

    Notes
    -----
    Both outlines are burned on one grid, RGI 7.0's for the ground that they cover together
    (`outlines.attributes` has its rule), by the share of each cell that they cover, to a 25th.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> first, second = (world.outlines(year).query("area_km2 > 0.05") for year in world.years)
    >>> bands = elevation_change(first, second, world.scene(2020).elevation, band_m=100)
    >>> total = bands.query("glacier == 'total' and from_m > 0")
    >>> total[["from_m", "area_1_km2", "loss_km2"]].round(1).values.tolist()
    [[2800.0, 0.6, 0.2], [2900.0, 0.4, 0.1]]
    """
    if not band_m > 0:
        raise GlacierlabError(f"band_m={band_m} is no height: give meters above 0.")
    column = id_column([first, second], by)
    shapes, crs = on_equal_areas([first, second], "elevation_change")
    if not len(first) + len(second):
        raise InventoryError("elevation_change got two tables without outlines.")
    names = pd.Index(first[column]).append(pd.Index(second[column])).unique()
    require_no_total(names)
    sides = [
        placed(each, names.get_indexer(table[column]), len(names))
        for each, table in zip(shapes, (first, second), strict=True)
    ]
    grounds = grounds_of(names, *sides, crs, dem, "elevation change")
    rows = []
    for name, both in zip(names, grounds, strict=True):
        bands = [in_bands(*ground, band_m) for ground in both]
        areas = pd.concat(bands, axis=1, keys=AREAS).fillna(0.0).sort_index()
        rows.append(areas.reset_index().assign(glacier=name))
    table = pd.concat(rows, ignore_index=True)
    total = table.groupby("from_m", dropna=False)[AREAS].sum().reset_index().assign(glacier=TOTAL)
    table = pd.concat([table, total], ignore_index=True)
    loss = table.area_1_km2 - table.area_2_km2
    percent = 100 * loss / table.area_1_km2.where(table.area_1_km2 > 0)
    return table.assign(to_m=table.from_m + band_m, loss_km2=loss, loss_pct=percent)[COLUMNS]


def halves(ours, other, dem, *, min_overlap=0.5):
    """Areas of two inventories below and above the median elevation of each glacier of ours.

    The median elevation stands for the equilibrium line (Braithwaite and Raper 2009,
    doi:10.3189/172756410790595930): what lies below is called ablation zone, what lies above accumulation
    zone, as in Table 3 of Chu et al. 2022.

    Parameters
    ----------
    ours, other : geopandas.GeoDataFrame
        Outlines in any CRS.
    dem : path or xarray.DataArray
        Elevation (y, x) [m] in any CRS, NaN for nodata.
    min_overlap : float
        Share [1] of the smaller of two outlines that makes them the same ice: 0.5 is an assumption.

    Returns
    -------
    pandas.DataFrame
        A row a glacier of ours and zone, and the "total" of all, with a row for "all" zones: `glacier` (what
        the first filled id column holds, or the index), `zone` ("ablation", "accumulation", and "unknown"
        where the DEM has no height), `split_m`, `area_km2`, `other_km2`, `other_diff_km2` (ours - other) and
        `other_diff_pct` [% of ours]. What is nought on both sides is left out.

    Raises
    ------
    InventoryError, GridError, SceneError, GlacierlabError

    Warns
    -----
    DataWarning
        Glaciers that the DEM covers in part or not at all, or that are smaller than its pixels.

    Notes
    -----
    That our median elevation divides the other outlines too is an assumption; so is that an outline of the
    other inventory belongs to the one of ours that it shares most ground with, and that one that none of
    ours lies on is divided at its own median.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> first, second = (world.outlines(year).query("area_km2 > 0.05") for year in world.years)
    >>> table = halves(second, first, world.scene(2020).elevation)
    >>> table[table.glacier == "total"][["zone", "area_km2", "other_km2"]].round(1).values.tolist()
    [['ablation', 0.4, 0.6], ['accumulation', 0.4, 0.5], ['unknown', 0.0, 0.0], ['all', 0.8, 1.0]]
    """
    shapes, crs = on_equal_areas([ours, other], "halves")
    one, two, shared = links(*shapes, min_overlap)
    largest = largest_of_each(two, shared)
    if not len(ours) + len(other):
        raise InventoryError("halves got two tables without outlines.")
    owner = np.full(len(other), -1)
    owner[two[largest]] = one[largest]
    alone = np.flatnonzero(owner < 0)
    owner[alone] = len(ours) + np.arange(len(alone))
    names = pd.Index(own_names(ours) + [own_names(other)[place] for place in alone], dtype=object)
    require_no_total(names)
    size = len(names)
    sides = placed(shapes[0], np.arange(len(ours)), size), placed(shapes[1], owner, size)
    rows = []
    for name, (own, theirs) in zip(names, grounds_of(names, *sides, crs, dem, "halves"), strict=True):
        split = median_of(*own) if len(own[0]) else median_of(*theirs)
        zones = [in_zones_of(*ground, split) for ground in (own, theirs)]
        rows += [(name, zone, split, *areas) for zone, *areas in zip(ZONES, *zones, strict=True)]
    return with_difference(
        pd.DataFrame(rows, columns=["glacier", "zone", "split_m", "area_km2", "other_km2"])
    )


def placed(shapes, places, size):
    """Outlines in an array of `size` by their places: several at one become one, none is empty."""
    return merged(shapes, np.asarray(places), size)


def grounds_of(names, ours, other, crs, dem, doing):
    """Of each pair of outlines, for both: heights [m] of the cells that it covers, how much of each [km²]."""
    both = gpd.GeoDataFrame({"rgi_id": names.astype(str)}, geometry=shapely.union(ours, other), crs=crs)
    places = located(both)
    zones = [metric_crs(*place) for place in zip(places.cenlon, places.cenlat, strict=True)]
    sides = []
    for shapes in (ours, other):
        outlines = gpd.GeoSeries(shapes, crs=crs)
        sides.append((in_zones(outlines, zones), geodesic_area_km2(outlines)))
    for place, surface in enumerate(surfaces(places, dem, doing)):
        yield tuple(ground_of(shapes[place], km2[place], surface) for shapes, km2 in sides)


def ground_of(outline, area_km2, surface):
    """Heights [m] of the cells of a `Surface` that an outline covers, and how much of each it does [km²]."""
    if outline.is_empty:
        return np.zeros(0), np.zeros(0)
    if surface is None:
        return np.array([np.nan]), np.array([area_km2])
    rows, columns = surface.inside.shape
    fine = surface.grid * Affine.scale(1 / FINE)
    shape = (FINE * rows, FINE * columns)
    burned = cells(outline, fine, shape)
    if not burned.any():  # thinner than a fifth of a cell everywhere
        burned = cells(outline, fine, shape, all_touched=True)
    share = burned.reshape(rows, FINE, columns, FINE).sum(axis=(1, 3), dtype=np.int64)
    covered = share > 0
    return surface.heights[covered].astype(float), area_km2 * share[covered] / share.sum()


def in_bands(heights, km2, band_m):
    """Area [km²] by the lower end of the band [m]; NaN where the height is unknown."""
    lower = pd.Series(np.floor(heights / band_m) * band_m, name="from_m")
    return pd.Series(km2, dtype=float).groupby(lower, dropna=False).sum()


def median_of(heights, km2):
    """The height [m] that half of the known area lies below; NaN without any."""
    known = np.isfinite(heights)
    order = np.argsort(heights[known], kind="stable")
    below = np.cumsum(km2[known][order])
    return heights[known][order][np.searchsorted(below, below[-1] / 2)] if below.size else np.nan


def in_zones_of(heights, km2, split_m):
    """Area [km²] below and above a height, and where it is unknown."""
    zone = np.select([heights < split_m, heights >= split_m], [0, 1], 2)
    return np.bincount(zone, km2, len(ZONES))


def with_difference(table):
    """Rows of `halves` with the total and the differences."""
    total = table.groupby("zone", sort=False)[["area_km2", "other_km2"]].sum()
    total = pd.concat([total, total.sum().to_frame("all").T]).rename_axis("zone").reset_index()
    table = pd.concat([table, total.assign(glacier=TOTAL, split_m=np.nan)], ignore_index=True)
    table = table[(table.area_km2 > 0) | (table.other_km2 > 0)].reset_index(drop=True)
    difference = table.area_km2 - table.other_km2
    percent = 100 * difference / table.area_km2.where(table.area_km2 > 0)
    return table.assign(other_diff_km2=difference, other_diff_pct=percent)
