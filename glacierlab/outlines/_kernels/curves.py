"""Arcs, ragged arrays of points (x, y) in pixels, made simple and smooth; their ends stay where they are.

Chaikin 1974, doi:10.1016/0146-664X(74)90028-8; Douglas and Peucker 1973, doi:10.3138/FM57-6770-U75U-7727.
"""

import numpy as np

from ...features._kernels import compiled


@compiled
def twice_area(points):
    """Twice the signed area between a path (point, 2) and the line from its last point to its first."""
    total = 0.0
    x, y = points[0]
    for i in range(len(points) - 1):
        total += (points[i, 0] - x) * (points[i + 1, 1] - y) - (points[i + 1, 0] - x) * (points[i, 1] - y)
    return total


@compiled
def length_of(points):
    """Length of a path."""
    total = 0.0
    for i in range(len(points) - 1):
        total += np.hypot(points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1])
    return total


@compiled
def put(out, length, x, y):
    """Append a point unless it is the last one already; returns how many there are."""
    if length and abs(out[length - 1, 0] - x) + abs(out[length - 1, 1] - y) < 1e-9:
        return length
    out[length, 0], out[length, 1] = x, y
    return length + 1


@compiled
def cut_corners(points, free, out):
    """Cut corners half a pixel, or half an edge, from where they are; returns how many points `out` holds.

    Steps of one pixel become straight. The end of a `free` loop is cut like any other corner.
    """
    length, last = 0, len(points) - 1
    if not free:
        length = put(out, length, points[0, 0], points[0, 1])
    for i in range(0 if free else 1, last):
        x, y = points[i]
        for j in (i - 1 if i else last - 1, i + 1):
            dx, dy = points[j, 0] - x, points[j, 1] - y
            edge = np.hypot(dx, dy)
            part = min(0.5, 0.5 / edge)
            length = put(out, length, x + part * dx, y + part * dy)
    if not free:
        return put(out, length, points[last, 0], points[last, 1])
    if abs(out[length - 1, 0] - out[0, 0]) + abs(out[length - 1, 1] - out[0, 1]) < 1e-9:
        length -= 1
    out[length] = out[0]
    return length + 1


@compiled
def off_line(points, i, first, last):
    """Squared distance of a point from the segment between two others."""
    x, y = points[first]
    dx, dy = points[last, 0] - x, points[last, 1] - y
    px, py = points[i, 0] - x, points[i, 1] - y
    squared = dx * dx + dy * dy
    t = 0.0 if squared == 0 else min(max((px * dx + py * dy) / squared, 0.0), 1.0)
    return (px - t * dx) ** 2 + (py - t * dy) ** 2


@compiled
def farthest(points, first, last):
    """The point between two that is farthest from their segment, and its squared distance."""
    best, most = first, 0.0
    for i in range(first + 1, last):
        squared = off_line(points, i, first, last)
        if squared > most:
            best, most = i, squared
    return best, most


@compiled
def simplify(points, free, tolerance, stack, keep):
    """Douglas and Peucker: leave out, in place, points within `tolerance`; returns how many are left.

    A loop keeps the point farthest from its first; other paths leave their ends as they did before.
    """
    last = len(points) - 1
    keep[: last + 1] = False
    keep[0] = keep[last] = True
    if free:
        middle, _ = farthest(points, 0, last)
        keep[middle] = True
        stack[0], stack[1], stack[2], stack[3], depth = 0, middle, middle, last, 2
    else:
        keep[1] = keep[last - 1] = True
        stack[0], stack[1], depth = 1, last - 1, 1
    while depth:
        depth -= 1
        begin, end = stack[2 * depth], stack[2 * depth + 1]
        middle, squared = farthest(points, begin, end)
        if squared > tolerance * tolerance:
            keep[middle] = True
            stack[2 * depth], stack[2 * depth + 1] = begin, middle
            stack[2 * depth + 2], stack[2 * depth + 3] = middle, end
            depth += 2
    left = 0
    for i in range(last + 1):
        if keep[i]:
            points[left] = points[i]
            left += 1
    return left


@compiled
def simplify_arcs(points, offsets, free, tolerance, out, out_offsets):
    """Corners cut, then points left out: by arcs, into `out` (twice as many points and a few)."""
    longest = np.max(np.diff(offsets))
    stack, keep = np.empty(4 * longest + 8, np.int64), np.empty(2 * longest + 4, np.bool_)
    for arc in range(len(offsets) - 1):
        path, begin = points[offsets[arc] : offsets[arc + 1]], out_offsets[arc]
        found = cut_corners(path, free[arc], out[begin:])
        # a twentieth of its length: what is small keeps its shape
        bound = min(tolerance[arc], length_of(path) / 20)
        if found > 3:
            found = simplify(out[begin : begin + found], free[arc], bound, stack, keep)
        out_offsets[arc + 1] = begin + found


@compiled
def chaikin(points, free, weights, reach, out):
    """Corners cut as by Chaikin, no farther than `reach` from each; returns how many points `out` holds.

    `weights` (point, 3) are those of the corners before, at and after, for some number of rounds.
    """
    length, last = 0, len(points) - 1
    if not free:
        out[0], length = points[0], 1
    for i in range(0 if free else 1, last):
        x, y = points[i]
        before, after = points[i - 1 if i else last - 1], points[i + 1]
        ax, ay, bx, by = before[0] - x, before[1] - y, after[0] - x, after[1] - y
        a, b = np.hypot(ax, ay), np.hypot(bx, by)
        bend = np.hypot(ax / a + bx / b, ay / a + by / b)
        most = 8 * reach / max(bend, 1e-9)  # a parabola passes a corner at an eighth of |ax + bx|
        first, second = min(1.0, most / a), min(1.0, most / b)
        for k in range(len(weights)):
            p, q = weights[k, 0] * first, weights[k, 2] * second
            out[length, 0], out[length, 1] = x + p * ax + q * bx, y + p * ay + q * by
            length += 1
    if free:
        out[length] = out[0]
    else:
        out[length] = points[last]
    return length + 1


@compiled
def normals_of(points, free, out):
    """Unit normals of a path's points, 0 at ends that stay."""
    last = len(points) - 1
    out[0], out[last] = 0.0, 0.0
    for i in range(0 if free else 1, last):
        before, after = points[i - 1 if i else last - 1], points[i + 1]
        dx, dy = after[0] - before[0], after[1] - before[1]
        size = np.hypot(dx, dy)
        out[i, 0], out[i, 1] = (dy / size, -dx / size) if size else (0.0, 0.0)
    if free:
        out[last] = out[0]


@compiled
def restore_area(points, free, area, most, normals):
    """Move a path along its normals, in place, until it bounds twice the area asked; False beyond `most`."""
    normals_of(points, free, normals)
    for _ in range(8):  # Newton's, of a parabola
        lacking, gain = area - twice_area(points), 0.0
        for i in range(len(points) - 1):
            x = normals[i, 0] * (points[i + 1, 1] - points[i, 1])
            gain += x - normals[i, 1] * (points[i + 1, 0] - points[i, 0])
            x = normals[i + 1, 1] * (points[i + 1, 0] - points[i, 0])
            gain += normals[i + 1, 0] * (points[i + 1, 1] - points[i, 1]) - x
        if abs(lacking) < 1e-9:
            return True
        step = lacking / gain if gain else np.inf
        most -= abs(step)
        if not most >= 0:
            return False
        points += step * normals[: len(points)]
    return True


@compiled
def smooth_arcs(points, offsets, simple, simple_offsets, free, weights, reach, out, out_offsets, done):
    """Chaikin's curves of simplified arcs, each bounding the area that its original did, by arcs into `out`.

    `done` says which; the others are as they were.
    """
    normals = np.empty((np.max(np.diff(simple_offsets)) * len(weights) + 2, 2))
    for arc in range(len(offsets) - 1):
        path, begin = points[offsets[arc] : offsets[arc + 1]], out_offsets[arc]
        found = out[begin:]
        if done[arc]:
            bare = simple[simple_offsets[arc] : simple_offsets[arc + 1]]
            found = found[: chaikin(bare, free[arc], weights, reach, found)]
            done[arc] = restore_area(found, free[arc], twice_area(path), 2 * reach, normals)
        if not done[arc]:
            found = out[begin : begin + len(path)]
            found[:] = path
        out_offsets[arc + 1] = begin + len(found)
