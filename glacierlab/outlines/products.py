"""What lies on and beside glaciers: lakes with their distance to ice, and debris-covered area."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import GridError, InventoryError, UnknownNameError, require_outlines, require_valid, warn
from ..io.dates import span
from ..io.layers import WGS84, class_map_of, geodesic_area_km2, metric_crs, require_crs
from ..io.schemas import ID_COLUMNS
from ..io.shapes import in_degrees, inside_points
from ..scores import GLACIER_PARTS, codes_of
from ..tables import NOT_OBSERVED
from .checking import id_column
from .within import at_hand, in_crs_of, opened, share_within, values_within

LAKE, DEBRIS = "glacial_lake", "debris_covered_ice"
NEAR_DEG = 10.0  # of longitude: ice farther off is out of a zone's projection, and touches no lake
POLAR_DEG = 80.0  # of latitude, beyond which the projection is polar and longitude matters no more


def lakes(outlines, glaciers, *, dem=None, contact_m=30.0, by=None):
    """Lake outlines with their area, and how far the nearest ice is; of one date, or of several.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame, or dict of date to GeoDataFrame
        Polygons of lakes. Where a column `class` says what they are, as `vectorize` writes it, only
        "glacial_lake" counts.
    glaciers : geopandas.GeoDataFrame, or dict of date to GeoDataFrame
        Outlines of ice, in any CRS, of a column `class` those of ice only; a dict has the dates of the
        lakes, one table serves all.
    dem : path or xarray.DataArray, optional
        Elevation (y, x) [m] in any CRS, NaN for nodata.
    contact_m : float
        Largest distance at which a lake touches ice [m]: 30, a Landsat pixel, is an assumption. Lakes and ice
        of one class map are 0 apart where they touch.
    by : str, optional
        Column of the glaciers' ids; default the first of those that `qa` knows.

    Returns
    -------
    geopandas.GeoDataFrame
        The lakes' rows, CRS and columns, and `area_km2` (geodesic), `cenlon`, `cenlat`; `ice_m`, from rim to
        rim [m], on the ellipsoid between the nearest points, 0 where they touch; `nearest`, the id of that
        glacier (its label in the index, without ids); `in_contact`; `zmed_m`, the median elevation [m], NaN
        without a DEM or pixels of it. Of several dates: in front `lake`, a number that parts keep while they
        overlap those of another date, the largest first, and `date`; last `change_km2` since the date
        before, of all parts of the lake together, on the largest. It is NaN at the first date; a new lake
        grew from 0, and one that is gone has no row.

    Raises
    ------
    InventoryError
        A table is none of polygons, has no CRS; dates differ, or are none.
    SceneError, GridError
        The DEM cannot be read, or has no CRS.

    Warns
    -----
    DataWarning
        No ice lies within 10° of longitude of a lake, so that its distance is NaN.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=2, shape=(64, 64))
    >>> water, ice = (gl.vectorize(scene.truth, classes=[name]) for name in ("glacial_lake", "clean_ice"))
    >>> table = lakes(water, ice, dem=scene.elevation)
    >>> table[["area_km2", "in_contact"]].head(2).round(2).values.tolist()
    [[0.01, True], [0.01, True]]
    """
    if not isinstance(outlines, dict):
        return lakes_of(outlines, glaciers, dem, contact_m, by)
    glaciers, outlines = by_date(glaciers, outlines, "glaciers"), in_time(outlines, "lakes")
    found = {date: lakes_of(each, glaciers[date], dem, contact_m, by) for date, each in outlines.items()}
    series = one_table(found)
    series.insert(0, "lake", lake_numbers(series))
    series = series.sort_values(
        ["lake", "date", "area_km2"], ascending=[True, True, False], ignore_index=True
    )
    areas = series.groupby(["lake", "date"], observed=True).area_km2.sum()
    total = areas.unstack(fill_value=0.0)  # 0 once it is gone
    change = total.diff(axis=1).stack().rename("change_km2").reset_index()
    series = series.merge(change, on=["lake", "date"], how="left")
    series.loc[series.duplicated(["lake", "date"]), "change_km2"] = np.nan
    return series.astype({"date": object})


def one_table(found):
    """Tables of several dates below each other, in the first one's CRS; `date` in front, in order of time."""
    crs = next(iter(found.values())).crs
    tables = [table.to_crs(crs).assign(date=str(date)) for date, table in found.items()]
    series = gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=crs)
    series.insert(0, "date", pd.Categorical(series.pop("date"), [str(date) for date in found], ordered=True))
    return series


def lakes_of(outlines, glaciers, dem, contact_m, by):
    """The lakes of one date."""
    for table in (outlines, glaciers):
        require_outlines(table, "lakes")
        require_valid(table, "lakes")
    found = outlines[outlines["class"] == LAKE] if "class" in outlines.columns else outlines
    if "class" in glaciers.columns:
        glaciers = glaciers[glaciers["class"].isin([*GLACIER_PARTS, "glacier"])]
    inside, area = inside_points(found.geometry), geodesic_area_km2(found.geometry)
    found = found.assign(area_km2=area, cenlon=inside[:, 0], cenlat=inside[:, 1])
    ids = id_column(glaciers, by, ID_COLUMNS)
    names = (glaciers[ids] if ids else glaciers.index).to_numpy()
    distance, nearest = nearest_ice(found, glaciers)
    found["ice_m"] = distance
    found["nearest"] = pd.Series([names[n] if n >= 0 else None for n in nearest], found.index, dtype=object)
    found["in_contact"] = distance <= contact_m
    found["zmed_m"] = median_elevations(found, dem) if dem is not None else np.nan
    if np.isnan(distance).any() and len(glaciers):
        far = np.isnan(distance).sum()
        warn(
            f"{far} of {len(found)} lakes have no ice within {NEAR_DEG:g}° of longitude: "
            "their distance is NaN. Do lakes and glaciers belong together?"
        )
    return found


def nearest_ice(found, glaciers):
    """Distance [m] of each lake to the nearest ice, NaN where there is none, and its position, -1 there."""
    distance, nearest = np.full(len(found), np.nan), np.full(len(found), -1)
    if not len(glaciers):
        return distance, nearest
    bounds = in_degrees(glaciers.geometry).bounds
    longitude, latitude = (bounds[[f"min{c}", f"max{c}"]].mean(axis=1).to_numpy() for c in "xy")
    reach = NEAR_DEG + (bounds.maxx - bounds.minx).to_numpy() / 2
    places = zip(found.cenlon, found.cenlat, strict=True)
    zones = np.array([metric_crs(*place) for place in places], dtype=object)
    for zone in np.unique(zones):
        here = np.flatnonzero(zones == zone)
        lon, lat = found[["cenlon", "cenlat"]].iloc[here[0]]
        apart = abs((longitude - lon + 180) % 360 - 180)
        near = np.flatnonzero((apart <= reach) | ((abs(lat) >= POLAR_DEG) & (latitude * lat > 0)))
        if not near.size:
            continue
        ice = glaciers.geometry.iloc[near].to_crs(zone).to_numpy()
        water = found.geometry.iloc[here].to_crs(zone).to_numpy()
        at = shapely.STRtree(ice).nearest(water)
        nearest[here] = near[at]
        distance[here] = on_ellipsoid(gpd.GeoSeries(shapely.shortest_line(water, ice[at]), crs=zone))
    return distance, nearest


def on_ellipsoid(lines):
    """Geodesic length [m] of lines (GeoSeries) of two points."""
    points = shapely.get_coordinates(lines.to_crs("EPSG:4326").values).reshape(-1, 4)
    return WGS84.inv(*points.T)[2]


def median_elevations(found, dem):
    """Median of the DEM [m] within each lake; NaN where it has no pixels."""
    dem, medians = opened(dem), np.full(len(found), np.nan)
    for at, shape in enumerate(in_crs_of(dem, found.geometry)):
        values = [strip[np.isfinite(strip)] for strip in values_within(dem, shape)]
        if sum(map(len, values)):
            medians[at] = np.median(np.concatenate(values))
    return medians


def lake_numbers(series):
    """A number, from 1, for each group of lakes that overlap from date to date, the largest first."""
    shapes, dates = series.geometry.to_numpy(), series["date"].to_numpy()
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = (one < two) & (dates[one] != dates[two])
    one, two = one[pairs], two[pairs]
    share = shapely.area(shapely.intersection(shapes[one], shapes[two])) > 0
    one, two = one[share], two[share]
    links = coo_array((np.ones(len(one)), (one, two)), shape=(len(series),) * 2)
    group = connected_components(links, directed=False)[1]
    largest = series.area_km2.groupby(group).transform("max")
    return pd.DataFrame({"group": group, "largest": -largest}).groupby(["largest", "group"]).ngroup() + 1


def in_time(tables, what):
    """A dict of date to table, the earliest first; InventoryError where it has no dates."""
    try:
        starts = {date: span(date)[0] for date in tables}
    except (TypeError, ValueError):
        starts = {}
    if not starts:
        raise InventoryError(
            f"{what} by date need dates as names, such as {{'2005': …}}, not {list(tables)}."
        )
    return {date: tables[date] for date in sorted(tables, key=starts.get)}


def by_date(tables, dates, what):
    """One table for each date; InventoryError where dates are missing."""
    if not isinstance(tables, dict):
        return dict.fromkeys(dates, tables)
    if set(tables) != set(dates):
        raise InventoryError(f"The {what} are of {list(tables)}, the others of {list(dates)}: name the same.")
    return tables


def debris(glaciers, class_map, *, by=None):
    """Debris-covered area of each glacier, and its change where there are several dates.

    Parameters
    ----------
    glaciers : geopandas.GeoDataFrame, or dict of date to GeoDataFrame
        Outlines, in any CRS. One table serves all dates: then all change is that of the debris.
    class_map : xarray.DataArray or Dataset, or dict of date to them
        Class map (y, x) with CF flags, among them "debris_covered_ice"; 255 is not observed. Lazy maps are
        read below the outlines only.
    by : str, optional
        Column of the glaciers' ids; default the first of those that `qa` knows, else the index.

    Returns
    -------
    geopandas.GeoDataFrame
        The glaciers' rows, CRS and columns, and `area_km2` (geodesic); `debris_frac`, the share [1] of the
        outline's observed pixels that is debris-covered ice, pixels by their centers; `seen_frac`, the share
        of the outline that the map observed; `debris_km2`, the area of observed debris, their product with
        the area. NaN where nothing was observed. Of several dates: in front `date`, and last, since the date
        before, `change_km2` and `change_frac` of debris; NaN at a glacier's first date.

    Raises
    ------
    InventoryError
        The outlines are none of polygons, have no CRS, or repeat an id; dates differ, or are none.
    UnknownNameError
        The map has no debris-covered ice among its classes.
    GridError
        The map has no CRS, or other dims than (y, x).

    Warns
    -----
    DataWarning
        Glaciers that the map does not show at all.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> glaciers = world.outlines(2020).nlargest(2, "area_km2")
    >>> table = debris(glaciers, world.truth(2020).class_map)
    >>> table[["area_km2", "debris_frac", "debris_km2"]].round(2).values.tolist()
    [[0.24, 0.07, 0.02], [0.23, 0.08, 0.02]]
    """
    if not isinstance(class_map, dict):
        return debris_of(glaciers, class_map)
    glaciers, class_map = by_date(glaciers, class_map, "glaciers"), in_time(class_map, "debris")
    found = {date: debris_of(glaciers[date], each) for date, each in class_map.items()}
    series = one_table(found)
    names = pd.Series(np.concatenate([named(table, by) for table in found.values()]), series.index)
    before = series.sort_values("date", kind="stable").groupby(names, sort=False)
    series["change_km2"] = before.debris_km2.diff()
    series["change_frac"] = before.debris_frac.diff()
    return series.astype({"date": object})


def named(table, by):
    """Ids of a table's rows; InventoryError where they repeat."""
    ids = id_column(table, by, ID_COLUMNS)
    names = (table[ids] if ids else table.index).to_numpy()
    if twice := pd.Series(names)[pd.Series(names).duplicated()].unique().tolist():
        raise InventoryError(
            f"{len(twice)} glaciers of one date share an id, the first {twice[0]!r}: their change cannot be "
            "told. Merge their parts (dissolve), or name another column with by=."
        )
    return names


def debris_of(glaciers, class_map):
    """Debris of one date."""
    require_outlines(glaciers, "debris")
    require_valid(glaciers, "debris")
    mask = class_map_of(class_map)
    if set(mask.dims) != {"y", "x"}:
        raise GridError(f"The class map has dims {mask.dims}, not (y, x): choose one date with isel or sel.")
    require_crs(mask, "debris")
    mask, codes = at_hand(mask.transpose("y", "x")), codes_of(mask, None)
    if DEBRIS not in codes:
        raise UnknownNameError(
            f"The map has {list(codes)}, no {DEBRIS!r}: map debris too, or set its flag_meanings."
        )
    shares = [cover(mask, codes[DEBRIS], shape) for shape in in_crs_of(mask, glaciers.geometry)]
    covered, seen = np.array(shares, dtype=float).reshape(-1, 2).T
    area = geodesic_area_km2(glaciers.geometry)
    if (unseen := seen == 0).any():
        warn(
            f"The class map shows nothing of {unseen.sum()} of {len(glaciers)} glaciers, the first in row "
            f"{glaciers.index[unseen][0]!r}: their debris is NaN."
        )
    columns = {"area_km2": area, "debris_km2": covered * seen * area}
    return glaciers.assign(**columns, debris_frac=covered, seen_frac=seen)


def cover(mask, code, shape):
    """Share of a shape's observed pixels that have a code, NaN without any, and share that is observed."""
    pixels = seen = coded = 0
    for values in values_within(mask, shape):
        observed = values[~np.isnan(values) & (values != NOT_OBSERVED)]
        pixels, seen = pixels + len(values), seen + len(observed)
        coded += np.count_nonzero(observed == code)
    if not seen:
        return np.nan, 0.0
    return coded / seen, share_within(mask, shape) * seen / pixels
