"""Which cells of an ice mask drain together. Kienholz et al. 2013, doi:10.3189/2013JoG12J138."""

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label as label_equal
from skimage.morphology import local_minima, reconstruction

from .flow import drain

EIGHT = np.ones((3, 3), bool)
MARGIN = 4  # cells around the ice that the DEM is looked at
GUTTER_M = 100.0  # depth of the ring between one and two cells outside the ice
FLOW_CELL_M = 40.0  # side of the cells that Kienholz counts flow in
COMPACT = 0.5  # extent times π over perimeter; all but ragged shapes have more


def surroundings(ice):
    """The cells of a mask (y, x), of what it encloses, and of the margin around it."""
    return ndimage.binary_dilation(ndimage.binary_fill_holes(ice), EIGHT, MARGIN)


def glaciers(heights, ice, cell_m, rules):
    """Numbers of the glaciers of an ice mask, from 1.

    Parameters
    ----------
    heights : numpy.ndarray
        (y, x) float32 [m], smoothed, finite in the `surroundings` of the ice.
    ice : numpy.ndarray
        (y, x) bool, with `MARGIN` cells of none around.
    cell_m : float
        Side of a cell [m].
    rules : Rules
        As of `divides`.

    Returns
    -------
    numpy.ndarray
        (y, x) int32; 0 where there is no ice.
    """
    solid = ndimage.binary_fill_holes(ice)
    near = ndimage.binary_dilation(solid, EIGHT)
    gutter = ndimage.binary_dilation(near, EIGHT) & ~near
    lowered = heights - GUTTER_M * gutter.astype(heights.dtype)
    ends, flow = drain(lowered, surroundings(ice), gutter)
    ends, flow = along_gutter(ends, flow, lowered, gutter, rules.pit_m)
    sheds = label_equal(np.where(ice, ends + 1, 0), connectivity=2).astype(np.int32)
    ends = np.unique(ends[ice])
    sheds = merge_at_ends(sheds, ends, flow.ravel()[ends] * (cell_m / FLOW_CELL_M) ** 2, cell_m, rules)
    km2 = (cell_m / 1000) ** 2
    sheds = absorb(sheds, slivers(sheds, km2, rules))
    sheds = join_islands(sheds, rules.sliver_km2 / km2)
    sheds = absorb_enclosed(sheds)
    return absorb(sheds, flat_parts(sheds, heights, rules))


def along_gutter(ends, flow, heights, gutter, pit_m):
    """Ends of flow and the flow through cells (y, x), with pits of the gutter up to a depth filled.

    A ring of square cells goes up and down on a slope, and would hold flow back on its way along the ice.
    """
    if pit_m == 0 or not gutter.any():
        return ends, flow
    outside = np.float32(heights[gutter].max() + pit_m)
    ring = np.where(gutter, heights, outside)
    level = reconstruction(np.where(gutter, ring + np.float32(pit_m), outside), ring, "erosion", EIGHT)
    level = level.astype(np.float32)
    pits = label_equal(local_minima(level, connectivity=2) & gutter, connectivity=2)
    _, lowest = np.unique(pits, return_index=True)  # a cell of each
    mouths = np.zeros(gutter.shape, bool)
    mouths.ravel()[lowest[1:]] = True
    to, _ = drain(level, gutter, mouths)
    old = np.unique(ends[ends >= 0])
    joined = np.zeros(flow.size)
    np.add.at(joined, to.ravel()[old], flow.ravel()[old])
    return np.where(ends >= 0, to.ravel()[ends], -1), np.where(mouths, joined.reshape(flow.shape), flow)


def merge_at_ends(sheds, ends, flow, cell_m, rules):
    """Flowsheds (y, x) from 1, those that reach near one end of flow made one.

    Near is r = `merge_m` √f meters, at most `max_merge_m`, with f the flow in cells of 40 m, and on the piece
    of ice within the disc that is nearest to the end.
    """
    _, columns = sheds.shape
    pairs = []
    for end, cells in zip(ends, flow, strict=True):
        radius = min(rules.merge_m * np.sqrt(cells), rules.max_merge_m) / cell_m
        y, x = divmod(int(end), columns)
        top, left = max(y - int(radius), 0), max(x - int(radius), 0)
        window = sheds[top : y + int(radius) + 1, left : x + int(radius) + 1]
        v, u = np.ogrid[: window.shape[0], : window.shape[1]]
        distance = np.hypot(v + top - y, u + left - x)
        disc = (distance <= radius) & (window > 0)
        if not disc.any():
            continue
        pieces, _ = ndimage.label(disc, EIGHT)
        nearest = pieces.ravel()[np.where(disc, distance, np.inf).argmin()]
        found = np.unique(window[pieces == nearest])
        pairs += [(found[0], other) for other in found[1:]]
    return renumber(sheds, pairs)


def renumber(sheds, pairs):
    """Numbers (y, x) from 1 without gaps, with the parts of each pair made one."""
    count = int(sheds.max(initial=0)) + 1
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    _, groups = connected_components(
        coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count)), directed=False
    )
    present = np.bincount(groups[sheds[sheds > 0]], minlength=count) > 0
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)[groups]
    table[0] = 0
    return table[sheds]


def slivers(sheds, km2, rules):
    """Whether each part, by number, is a sliver: small, or not so small and compact."""
    cells = np.bincount(sheds.ravel())
    perimeter = np.zeros(len(cells))
    padded = np.pad(sheds, 1)
    for one, other in ((padded[:, :-1], padded[:, 1:]), (padded[:-1], padded[1:])):
        differ = one != other
        perimeter += np.bincount(one[differ], minlength=len(cells))
        perimeter += np.bincount(other[differ], minlength=len(cells))
    extent = [max(s.stop - s.start for s in box) if box else 0 for box in ndimage.find_objects(sheds)]
    compact = np.array([0, *extent]) * np.pi > COMPACT * perimeter
    area = cells * km2
    return (area < rules.sliver_km2) | (compact & (area < rules.compact_sliver_km2))


def flat_parts(sheds, heights, rules):
    """Whether each part, by number, has less relief than a glacier should."""
    numbers = np.arange(1, sheds.max(initial=0) + 1)
    if not len(numbers):
        return np.zeros(1, bool)
    highest = ndimage.maximum(heights, sheds, numbers)
    relief = highest - ndimage.minimum(heights, sheds, numbers)
    whole = np.ptp(heights[sheds > 0])
    return np.array([False, *((relief < rules.min_range_m) | (relief < rules.min_range_share * whole))])


def borders_of(sheds):
    """Edges of cells that each two parts share: {part: {neighbor: edges}}."""
    pairs = []
    for one, other in ((sheds[:, :-1], sheds[:, 1:]), (sheds[:-1], sheds[1:])):
        differ = (one != other) & (one > 0) & (other > 0)
        pairs += [np.column_stack([one[differ], other[differ]])]
    found, edges = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0, return_counts=True)
    borders = {int(number): {} for number in np.unique(sheds[sheds > 0])}
    for (one, other), length in zip(found.tolist(), edges.tolist(), strict=True):
        borders[one][other] = borders[other][one] = length
    return borders


def absorb(sheds, weak):
    """Numbers (y, x) with the weak parts, the smallest first, given to a neighbor.

    It is the one with the longest common border, of those that are not weak if there are any.
    """
    if not weak.any():
        return sheds
    borders, cells, pairs = borders_of(sheds), np.bincount(sheds.ravel()), []
    for part in sorted(borders, key=lambda number: (cells[number], number)):
        near = borders[part]
        if not weak[part] or not near:
            continue
        strong = [number for number in near if not weak[number]]
        host = max(strong or near, key=lambda number: (near[number], -number))
        pairs.append((part, host))
        for number, length in borders.pop(part).items():
            del borders[number][part]
            if number != host:
                borders[host][number] = borders[number][host] = borders[host].get(number, 0) + length
    return renumber(sheds, pairs)


def join_islands(sheds, cells):
    """Numbers (y, x) with parts of fewer cells that touch no other given to the nearest larger one."""
    small = np.bincount(sheds.ravel()) < cells
    small[0] = False
    if not small.any() or small[1:].all():
        return sheds
    island = small[sheds]
    away, (y, x) = ndimage.distance_transform_edt(island | (sheds == 0), return_indices=True)
    boxes, pairs = ndimage.find_objects(sheds), []
    for number in np.flatnonzero(small):
        box = boxes[number - 1]
        place = np.where(sheds[box] == number, away[box], np.inf).argmin()
        pairs.append((number, sheds[y[box].ravel()[place], x[box].ravel()[place]]))
    return renumber(sheds, pairs)


def absorb_enclosed(sheds):
    """Numbers (y, x) with parts that lie inside another one given to it."""
    cells, pairs = np.bincount(sheds.ravel()), []
    for number, box in enumerate(ndimage.find_objects(sheds), 1):
        own = sheds[box] == number
        within = sheds[box][ndimage.binary_fill_holes(own) & ~own]
        counts = np.bincount(within[within > 0], minlength=1)
        pairs += [(number, other) for other in np.flatnonzero(counts) if counts[other] == cells[other]]
    return renumber(sheds, pairs)
