"""How far outlines of one glacier differ that several people drew: the error of digitizing."""

from itertools import combinations

import numpy as np
import pandas as pd
import shapely

from ..errors import GlacierlabError, InventoryError
from ..io.layers import geodesic_area_km2
from .agreeing import components, merged
from .matching import ID_COLUMNS, is_missing, shared_column
from .overlaps import links, on_equal_areas

COLUMNS = [
    *("glacier", "n", "area_km2", "sd_km2", "sd_pct", "range_pct"),
    *("distance_mean_m", "distance_p95_m", "iou"),
]


def digitizing_error(outlines, *, by=None, step_m=5.0, min_overlap=0.5):
    """Compare outlines of the same glaciers and date that several people, or one several times, drew by hand.

    To have glaciers digitized several times and take the spread of the results for the error of the outlines
    is the practice of Paul et al. 2013 (doi:10.3189/2013AoG63A296); the numbers here are our choice.

    Parameters
    ----------
    outlines : dict of str to geopandas.GeoDataFrame
        Two or more tables by analyst (or "Ana 1", "Ana 2"), in any CRS. Not every one needs every glacier;
        several rows of one glacier are its parts.
    by : str, optional
        The column that names a glacier; by default the first of rgi_id, glims_id, glac_id, glacier_id,
        local_id, glac_name, glacier that all tables have filled. Without one, outlines that share
        `min_overlap` of the smaller one, and what hangs together so, are one glacier, which bears a number.
    step_m : float
        Distance of the points along a border from which the way to the other border is measured [m]; 5 is an
        assumption.
    min_overlap : float
        Share [1]; half is an assumption.

    Returns
    -------
    pandas.DataFrame
        One row a glacier, the largest first: `glacier`; `n`, how many drew it; `area_km2`, the mean of their
        areas (geodesic); `sd_km2`, their standard deviation (n - 1), and `sd_pct` of the mean; `range_pct`,
        largest less smallest area in % of the mean; `distance_mean_m` and `distance_p95_m`, the mean and the
        95th percentile of the distances from points along each border to the nearest of another analyst's,
        over all pairs, both ways; `iou`, ground that two have in common by ground that either has, its mean
        over all pairs. All but the area are NaN of a glacier that one alone drew.

    Raises
    ------
    InventoryError
        Fewer than two tables; outlines without CRS or invalid; no column `by`.
    GlacierlabError
        `step_m` is not positive, `min_overlap` no share.

    Notes
    -----
    Areas may agree where borders do not: what one has more here and less there cancels in `sd_pct`, not in
    the distances. People who map by one rule share its bias, which none of these numbers shows.

    Examples
    --------
    Circles of 1000 and 1010 m: borders 10 m apart, areas as the squares of the radii.

    >>> import geopandas as gpd, shapely
    >>> disk = lambda r: gpd.GeoDataFrame(geometry=[shapely.Point(5e5, 5e6).buffer(r, 256)], crs="EPSG:32632")
    >>> found = digitizing_error({"Ana": disk(1000), "Ben": disk(1010)})
    >>> found[["n", "distance_mean_m", "iou", "range_pct"]].round(2).values.tolist()
    [[2.0, 10.0, 0.98, 1.99]]
    """
    if not isinstance(outlines, dict) or len(outlines) < 2:
        raise InventoryError(
            "digitizing_error compares two analysts or more: give {'Ana': outlines, 'Ben': outlines}."
        )
    if not 0 < step_m < np.inf:
        raise GlacierlabError(f"step_m={step_m!r}: give a distance in meters.")
    tables = [*outlines.values()]
    shapes, _ = on_equal_areas(tables, "digitizing_error")
    names = glaciers_of(tables, shapes, by, min_overlap)
    km2 = [geodesic_area_km2(table.geometry) for table in tables]
    glaciers = list(dict.fromkeys(name for each in names for name in each))
    number = {name: place for place, name in enumerate(glaciers)}
    groups = [np.array([number[name] for name in each], int) for each in names]
    areas = [
        np.where(
            np.bincount(group, minlength=len(glaciers)) > 0, np.bincount(group, area, len(glaciers)), np.nan
        )
        for group, area in zip(groups, km2, strict=True)
    ]
    whole = [merged(each, group, len(glaciers)) for each, group in zip(shapes, groups, strict=True)]
    rows = [
        compared(name, np.array([each[at] for each in areas]), [each[at] for each in whole], step_m)
        for at, name in enumerate(glaciers)
    ]
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.sort_values("area_km2", ascending=False, kind="stable", ignore_index=True)


def glaciers_of(tables, shapes, by, min_overlap):
    """What glacier each outline is of, a list a table: a name, or a number where there are no names."""
    named = lambda name: all(name in table and not is_missing(table[name]).any() for table in tables)
    if by is not None or any(map(named, ID_COLUMNS)):
        column = by or next(filter(named, ID_COLUMNS))
        return [table[shared_column(tables, column)].tolist() for table in tables]
    starts = np.cumsum([0, *map(len, shapes)])
    pairs = [np.empty((2, 0), int)]
    for one, two in combinations(range(len(shapes)), 2):
        first, second, _ = links(shapes[one], shapes[two], min_overlap)
        pairs.append(np.stack([first + starts[one], second + starts[two]]))
    _, group = components(*np.concatenate(pairs, axis=1), starts[-1])
    return [each.tolist() for each in np.split(group, starts[1:-1])]


def compared(name, areas, drawn, step_m):
    """The row of a glacier, of areas [km²] and outlines by analyst: NaN and empty of who did not draw it."""
    there = np.flatnonzero(np.isfinite(areas))
    areas, drawn = areas[there], [drawn[at] for at in there]
    row = {"glacier": name, "n": len(there), "area_km2": areas.mean()}
    if len(there) < 2:
        return row
    pairs = [*combinations(drawn, 2)]
    ways = [way for one, two in pairs for way in (distances(one, two, step_m), distances(two, one, step_m))]
    common = [shapely.intersection(one, two).area for one, two in pairs]
    either = [one.area + two.area - both for (one, two), both in zip(pairs, common, strict=True)]
    return row | {
        "sd_km2": areas.std(ddof=1),
        "sd_pct": 100 * areas.std(ddof=1) / areas.mean(),
        "range_pct": 100 * np.ptp(areas) / areas.mean(),
        "distance_mean_m": np.concatenate(ways).mean(),
        "distance_p95_m": np.percentile(np.concatenate(ways), 95),
        "iou": np.mean(np.divide(common, either)),
    }


def distances(start, end, step_m):
    """Distance [m] from points along one outline's border, `step_m` apart, to another's border."""
    rings = shapely.get_rings(shapely.get_parts(start))
    counts = np.maximum(np.ceil(shapely.length(rings) / step_m).astype(int), 1)
    of = np.repeat(np.arange(len(rings)), counts)
    share = (np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[of]
    points = shapely.line_interpolate_point(rings[of], share, normalized=True)
    corners, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(end)), return_index=True)
    sides = np.stack([corners[:-1], corners[1:]], axis=1)[ring[1:] == ring[:-1]]
    found, distance = shapely.STRtree(shapely.linestrings(sides)).query_nearest(
        points, return_distance=True, all_matches=False
    )
    return distance[np.argsort(found[0])]
