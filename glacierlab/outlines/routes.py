"""Center lines: the cheapest ways from heads to terminus. Kienholz et al. 2014, doi:10.5194/tc-8-503-2014."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from scipy import ndimage
from skimage.graph import MCP_Geometric

from ..errors import require_outlines
from .surfaces import cells, located, surfaces

SMOOTHING_M = 251.0  # window of the DEM
HEAD_WINDOW_M = 500.0  # to either side along the outline in which a head is the highest point
Q1, Q2, MAX_RADIUS_M = 2e-6, 500.0, 1000.0  # of equation 1: heads closer than q1 * area [m2] + q2 are one
LOWEST_HEADS = 1 / 3  # heads lie above so much of the glacier
F1, F2, A, B = 1000.0, 3000.0, 4.25, 3.7  # of equation 2: the cost of a cell
RIM_COST = 50.0  # times that of the dearest cell on the outline
APART_CELLS = 2.5  # a tributary ends so far before the line that it joins
COLUMNS = ["rgi_id", "segment_id", "is_main", "outflow_id", "strahler_n", "length_m", "geometry"]


@dataclass(frozen=True)
class Branch:
    """A center line from its head down."""

    line: shapely.LineString
    outflow: int  # place of the line that it joins; -1 of the main one
    order: int  # Strahler's


def centerlines(outlines, dem, *, min_branch_m=500.0, smooth_cells=2.0, level_m=1.0):
    """Center lines of glaciers, the longest of each and its tributaries.

    Heads are the local maxima of elevation along the outline, the terminus is its lowest point. From every
    head the route of least cost is sought on the glacier's own grid (`attributes` has its rule), where a cell
    costs more the nearer it lies to the outline and the higher. The longest route is the main line; each
    other ends 2.5 cells before the first that it meets.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS. Of several parts the largest counts.
    dem : path or xarray.DataArray
        Elevation (y, x) [m] in any CRS, NaN for nodata. Holes take the nearest height.
    min_branch_m : float
        Tributaries that are shorter are left out: 500, the least distance of two heads, is an assumption.
    smooth_cells : float
        Standard deviation [cells] of the Gaussian that takes the grid's steps out of a route; 0 leaves them
        in, and lengths up to 8 % too long. 2 is an assumption.
    level_m : float
        Heights [m] so close are one: of a level stretch of the outline, such as a calving front, the middle
        is the head or terminus. 1 is an assumption.

    Returns
    -------
    geopandas.GeoDataFrame
        In the outlines' CRS, a row for each line from head to end: `rgi_id` of the glacier (its index where
        there is none), `segment_id` from 0, the main line last, `is_main` (1 or 0), `outflow_id` (the segment
        that it joins, -1 of the main line), `strahler_n` (1 without tributaries, as in Strahler's own count;
        RGI 7.0 has one less), `length_m` [m].

    Raises
    ------
    InventoryError, GridError

    Warns
    -----
    DataWarning
        Glaciers that the DEM covers in part or not at all; the latter have no lines.

    Notes
    -----
    Constants are Kienholz's, by way of OGGM (Maussion et al. 2019, doi:10.5194/gmd-12-909-2019), whose is
    also that heads lie above the lowest third of the glacier and that the outline's cells cost 50 times the
    dearest of them. An assumption: the DEM's window of 251 m is a Gaussian's four standard deviations. Routes
    step to eight neighbors, as in the paper: across the grid's directions they may stray from the middle by
    about a tenth of the glacier's width.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(96, 96))
    >>> lines = centerlines(world.outlines(2020).nlargest(1, "area_km2"), world.scene(2020).elevation)
    >>> lines.is_main.tolist(), lines.outflow_id.tolist()
    ([1], [-1])
    >>> float(lines[lines.is_main == 1].length_m.round(-2).item())  # [m]
    1400.0
    """
    require_outlines(outlines, "centerlines")
    places = located(outlines)
    ids = [
        name if isinstance(name, str) and name else label
        for name, label in zip(places.get("rgi_id", places.index), places.index, strict=True)
    ]
    rows, lines = [], []
    for glacier, surface in zip(ids, surfaces(places, dem, "center lines"), strict=True):
        branches = [] if surface is None else branches_of(surface, min_branch_m, smooth_cells, level_m)
        for segment, branch in enumerate(branches):
            main = branch.outflow < 0
            rows.append((glacier, segment, int(main), branch.outflow, branch.order, branch.line.length))
            lines.append((surface.crs, branch.line))
    table = gpd.GeoDataFrame(rows, columns=COLUMNS[:-1], geometry=onto(lines, outlines.crs))
    whole = dict.fromkeys(["segment_id", "is_main", "outflow_id", "strahler_n"], np.int64)
    return table.astype(whole | {"length_m": np.float64})


def onto(lines, crs):
    """A GeoSeries in one CRS of pairs (CRS, line)."""
    found = gpd.GeoSeries([None] * len(lines), crs=crs)
    for zone in {zone for zone, _ in lines}:
        there = [place for place, (own, _) in enumerate(lines) if own == zone]
        found.iloc[there] = gpd.GeoSeries([lines[i][1] for i in there], crs=zone).to_crs(crs).values
    return found


def branches_of(surface, min_branch_m=500.0, smooth_cells=2.0, level_m=1.0):
    """The `Branch`es of a `Surface`, by order, the main one last."""
    outline = max(shapely.get_parts(surface.outline), key=lambda part: part.area)
    heights = smoothed_heights(surface)
    ring = along(outline.exterior, surface.spacing_m)
    on_ring = ndimage.map_coordinates(heights, cell_of(surface, ring) - 0.5, order=1, mode="nearest")
    if np.ptp(on_ring) <= level_m:  # no way is down: the farthest
        end = ring[distance(ring, ring[0]).argmax()]
        heads = ring[[distance(ring, end).argmax()]]
    else:
        end = ring[middle_at(on_ring <= on_ring.min() + level_m, on_ring.argmin())]
        heads = ring[heads_of(on_ring, surface, level_m)]
        heads = thinned(heads, outline, surface.spacing_m)
    routes = routes_to(end, heads, cost_of(outline, heights, surface), surface)
    lines = [shapely.LineString(smoothed(route, smooth_cells)) for route in routes]
    return joined(lines, APART_CELLS * surface.spacing_m, min_branch_m)


def smoothed_heights(surface):
    """Heights (y, x) without gaps, smoothed."""
    heights = surface.heights.astype(np.float64)
    if not (known := np.isfinite(heights)).all():
        _, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
        heights = heights[tuple(nearest)]
    return ndimage.gaussian_filter(heights, SMOOTHING_M / 4 / surface.spacing_m, mode="nearest")


def along(ring, step):
    """Points (n, 2) at equal steps along a ring, at least eight."""
    vertices = shapely.get_coordinates(ring)
    way = np.concatenate([[0.0], np.hypot(*np.diff(vertices, axis=0).T).cumsum()])
    stops = np.linspace(0, way[-1], max(8, int(way[-1] / step)), endpoint=False)
    return np.column_stack([np.interp(stops, way, axis) for axis in vertices.T])


def cell_of(surface, points):
    """Rows and columns (2, n), in cells from the grid's corner, of points (n, 2)."""
    x, y = ~surface.grid * points.T
    return np.array([y, x])


def distance(points, point):
    """Distances (n,) of points (n, 2) to one."""
    return np.hypot(*(points - point).T)


def heads_of(on_ring, surface, level_m):
    """Where heights (n,) along the outline are the highest of their stretch, the highest first."""
    reach = int(np.clip(round(HEAD_WINDOW_M / surface.spacing_m), 2, max(2, len(on_ring) // 5)))
    highest = ndimage.maximum_filter1d(on_ring, 2 * reach + 1, mode="wrap")
    runs, start = runs_of(on_ring >= highest - level_m)
    found = np.array([(run[0].start + run[0].stop - 1) // 2 for run in ndimage.find_objects(runs)]) + start
    found = found % len(on_ring)
    found = found[np.argsort(-on_ring[found], kind="stable")]
    enough = on_ring[found] >= np.quantile(surface.known, LOWEST_HEADS)
    enough[0] = True
    return found[enough]


def thinned(points, outline, tolerance):
    """Points (n, 2), the first first, without those near a kept one on the same piece of the glacier."""
    radius = min(Q1 * outline.area + Q2, MAX_RADIUS_M)
    kept, left = [], points
    while len(left):
        kept.append(left[0])
        near = distance(left, left[0]) <= radius
        if near.sum() > 1:
            disc = shapely.get_parts(shapely.Point(left[0]).buffer(radius).intersection(outline))
            piece = disc[shapely.distance(disc, shapely.Point(left[0])).argmin()]
            near[near] = shapely.distance(piece, shapely.points(left[near])) < tolerance
        near[0] = True
        left = left[~near]
    return np.array(kept)


def runs_of(flags):
    """Runs of True, numbered, in a cyclic sequence from `start`, which divides none."""
    start = int((~flags).argmax())
    return ndimage.label(np.roll(flags, -start))[0], start


def middle_at(flags, place):
    """The middle of the run of True around a place of a cyclic sequence."""
    runs, start = runs_of(flags)
    run = np.flatnonzero(runs == runs[(place - start) % len(flags)])
    return (run[(len(run) - 1) // 2] + start) % len(flags)


def cost_of(outline, heights, surface):
    """The cost of each cell (y, x), equation 2; infinite off the glacier."""
    inside = cells(outline, surface.grid, heights.shape)
    rim = cells(outline.boundary, surface.grid, heights.shape, all_touched=True)
    off = ~(inside | rim)
    away = ndimage.distance_transform_edt(inside & ~rim)  # cells from the outline
    above = np.where(off, 0, heights - heights[~off].min())
    nearness, height = 1 - away / max(away.max(), 1), above / max(above.max(), 1e-3)
    cost = (nearness * F1) ** A + (height * F2) ** B + 1
    cost[rim] = RIM_COST * cost[rim].max()
    cost[off] = np.inf
    return cost


def routes_to(end, heads, cost, surface):
    """The cheapest way (n, 2) [m] from each head to the end."""
    off = np.isinf(cost)
    _, nearest = ndimage.distance_transform_edt(off, return_indices=True)

    def cell(point):
        place = np.floor(cell_of(surface, point[np.newaxis])[:, 0]).astype(int)
        return tuple(int(axis[tuple(place)]) for axis in nearest)

    starts = [cell(head) for head in heads]
    network = MCP_Geometric(cost, fully_connected=True)
    network.find_costs([cell(end)], starts)
    for head, start in zip(heads, starts, strict=True):
        rows, columns = np.array(network.traceback(start))[::-1].T
        way = np.column_stack(surface.grid * (columns + 0.5, rows + 0.5))
        yield np.concatenate([[head], way[1:-1], [end]])


def smoothed(points, sigma):
    """Points (n, 2) of a line smoothed along it; its ends stay."""
    reach = min(len(points) - 1, int(np.ceil(4 * sigma)))
    if len(points) < 3 or reach < 1:
        return points
    before, after = 2 * points[0] - points[reach:0:-1], 2 * points[-1] - points[-2 : -reach - 2 : -1]
    turned = np.concatenate([before, points, after])  # about the ends, so that these do not move
    return ndimage.gaussian_filter1d(turned, sigma, axis=0, mode="nearest")[reach : reach + len(points)]


def joined(lines, apart, min_length):
    """`Branch`es of lines that all lead to one end, the longest whole, the others to where they meet it."""
    lines = sorted(lines, key=lambda line: -line.length)
    kept, outflows = [lines[0]], [-1]
    for line in lines[1:]:
        points = shapely.get_coordinates(line)
        others = shapely.MultiLineString(kept)
        shapely.prepare(others)
        meets = shapely.dwithin(others, shapely.points(points), apart)
        piece = points[: int(meets.argmax())]
        if len(piece) < 2 or (piece := shapely.LineString(piece)).length < min_length:
            continue
        last = shapely.Point(shapely.get_coordinates(piece)[-1])
        outflows.append(int(shapely.distance(kept, last).argmin()))
        kept.append(piece)
    orders = np.ones(len(kept), dtype=int)
    for place in range(len(kept) - 1, 0, -1):  # a line flows to one before it
        orders[outflows[place]] = max(orders[outflows[place]], orders[place] + 1)
    by_order = sorted(range(len(kept)), key=lambda place: (place == 0, orders[place], -kept[place].length))
    new = {place: segment for segment, place in enumerate(by_order)} | {-1: -1}
    return [Branch(kept[i], new[outflows[i]], int(orders[i])) for i in by_order]
