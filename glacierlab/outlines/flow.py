"""Where flow goes on a DEM (y, x) that drains to given outlets: compiled, on flat indices of its cells.

Water rises from the outlets (priority flood, Barnes et al. 2014, doi:10.1016/j.cageo.2013.04.024). Then each
cell drains straight down the steepest facet between it and its eight neighbors, shared by the two at its ends
(D-infinity, Tarboton 1997, doi:10.1029/96WR03137), or, on flats and in filled pits, back the way the water
came. All lie below or were wet before: the order of the flood leads from outlets to summits.
"""

import heapq

import numpy as np

from ..features._kernels import compiled

KEPT = 4  # ends that a cell may drain to; further ones get a negligible share


def drain(heights, inside, outlets):
    """The end to which most of each cell's flow goes, and the flow through it.

    Parameters
    ----------
    heights : numpy.ndarray
        (y, x) float32 [m], finite where `inside`.
    inside, outlets : numpy.ndarray
        (y, x) bool: the cells that drain, and those of them where flow may end. An outlet drains to lower
        outlets only, to the steepest; one that has none beside it is an end, and only these are.

    Returns
    -------
    ends : numpy.ndarray
        (y, x) int32: flat index of a cell; -1 outside and where no way leads.
    flow : numpy.ndarray
        (y, x) float64: cells that drain through a cell, itself counted; 0 outside.
    """
    order, level, source = flood(heights, inside, outlets)
    first, second, share = descend(level, source, outlets)
    flow = accumulate(order, first, second, share).reshape(heights.shape)
    return largest_shares(order, first, second, share).reshape(heights.shape), flow


@compiled
def flood(heights, inside, outlets):
    """Let water rise from the outlets.

    Cells in the order they are reached, and of each cell the level [m] and the neighbor that the water came
    from: an outlet itself, -1 where no water comes. Among equal levels the first to be wet floods on first.
    """
    rows, columns = heights.shape
    level = np.full(heights.shape, np.inf, heights.dtype)
    source = np.full(heights.shape, -1, np.int32)
    order = np.empty(inside.sum(), np.int32)
    heap = [(heights[0, 0], np.int64(0), np.int64(0))]
    heap.pop()  # empty, and of a known type
    wet = np.int64(0)
    for y in range(rows):
        for x in range(columns):
            if outlets[y, x] and inside[y, x]:
                level[y, x] = heights[y, x]
                source[y, x] = y * columns + x
                heapq.heappush(heap, (heights[y, x], wet, np.int64(y * columns + x)))
                wet += 1
    found = 0
    while len(heap) > 0:
        height, _, cell = heapq.heappop(heap)
        order[found] = cell
        found += 1
        y, x = cell // columns, cell % columns
        for v in range(max(y - 1, 0), min(y + 2, rows)):
            for u in range(max(x - 1, 0), min(x + 2, columns)):
                if inside[v, u] and source[v, u] < 0:
                    source[v, u] = cell
                    level[v, u] = max(heights[v, u], height)
                    heapq.heappush(heap, (level[v, u], wet, np.int64(v * columns + u)))
                    wet += 1
    return order[:found], level, source


@compiled
def descend(level, source, outlets):
    """The two cells that each drains to, flat, and the share of the first; -1 where there is no water."""
    rows, columns = level.shape
    first = source.copy().ravel()
    second = source.copy().ravel()
    share = np.ones(level.size, np.float32)
    for y in range(rows):
        for x in range(columns):
            if source[y, x] >= 0:
                cell = y * columns + x
                straight, slanted, part = -1, -1, 1.0
                if not outlets[y, x]:
                    straight, slanted, part = steepest_facet(level, source, y, x)
                if straight < 0:
                    straight = slanted = steepest_neighbor(level, source, outlets, y, x)
                first[cell], second[cell], share[cell] = straight, slanted, part
    return first, second, share


@compiled
def steepest_facet(level, source, y, x):
    """The lower neighbors at the ends of the steepest facet, flat, and the first's share; -1 if none falls.

    A facet lies between a neighbor in the same row or column and a diagonal one next to it.
    """
    rows, columns = level.shape
    own, steepest = np.float64(level[y, x]), 0.0
    straight, slanted, part = -1, -1, 1.0
    for dy, dx in ((-1, 0), (0, 1), (1, 0), (0, -1)):
        for side in (-1, 1):
            v, u, s, t = y + dy, x + dx, y + dy + side * dx, x + dx + side * dy
            if min(v, u, s, t) < 0 or max(v, s) >= rows or max(u, t) >= columns:
                continue
            if source[v, u] < 0 or source[s, t] < 0:
                continue
            ahead, aside = own - level[v, u], np.float64(level[v, u]) - level[s, t]
            angle = min(max(np.arctan2(aside, ahead), 0.0), np.pi / 4)
            fall = ahead * np.cos(angle) + aside * np.sin(angle)
            if fall > steepest and (level[v, u] < own or level[s, t] < own):
                steepest = fall
                straight, slanted, part = v * columns + u, s * columns + t, 1 - angle / (np.pi / 4)
                if level[v, u] >= own:
                    straight, part = slanted, 1.0
                if level[s, t] >= own:
                    slanted, part = straight, 1.0
    return straight, slanted, part


@compiled
def steepest_neighbor(level, source, outlets, y, x):
    """The neighbor that lies steepest below, flat, or where the water came from if none is lower."""
    rows, columns = level.shape
    steepest, found = 0.0, source[y, x]
    for v in range(max(y - 1, 0), min(y + 2, rows)):
        for u in range(max(x - 1, 0), min(x + 2, columns)):
            if source[v, u] < 0 or (outlets[y, x] and not outlets[v, u]):
                continue
            fall = np.float64(level[y, x]) - level[v, u]
            fall /= np.sqrt(2.0) if v != y and u != x else 1.0
            if fall > steepest:
                steepest, found = fall, v * columns + u
    return found


@compiled
def accumulate(order, first, second, share):
    """How many cells drain through each cell, itself counted; flat."""
    flow = np.zeros(first.size)
    for k in range(order.size - 1, -1, -1):
        cell = order[k]
        flow[cell] += 1
        if first[cell] != cell:
            flow[first[cell]] += flow[cell] * share[cell]
            flow[second[cell]] += flow[cell] * (1 - share[cell])
    return flow


@compiled
def largest_shares(order, first, second, share):
    """The end that gets most of each cell's flow; flat, -1 where there is none."""
    ends = np.full((first.size, KEPT), -1, np.int32)
    shares = np.zeros((first.size, KEPT), np.float32)
    for cell in order:
        if first[cell] == cell:
            ends[cell, 0], shares[cell, 0] = cell, 1.0
            continue
        for below, part in ((first[cell], share[cell]), (second[cell], np.float32(1) - share[cell])):
            for k in range(KEPT):
                if shares[below, k] * part > 0:
                    add(ends[cell], shares[cell], ends[below, k], shares[below, k] * part)
    owner = np.full(first.size, -1, np.int32)
    for cell in order:
        owner[cell] = ends[cell, np.argmax(shares[cell])]
    return owner


@compiled
def add(ends, shares, end, part):
    """Add a part to a cell's ends, in place of the smallest where all places are taken."""
    for k in range(KEPT):
        if ends[k] == end:
            shares[k] += part
            return
    smallest = np.argmin(shares)
    if part > shares[smallest]:
        ends[smallest], shares[smallest] = end, part
