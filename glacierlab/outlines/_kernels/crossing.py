"""Segments of arcs that meet where they should not, found in squares of a grid."""

import numpy as np

from ...features._kernels import compiled


@compiled
def side(ax, ay, bx, by, px, py):
    """On which side of a line through two points a third one lies: the sign, and 0 on it."""
    cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    bound = 1e-9 * (abs(bx - ax) + abs(by - ay) + abs(px - ax) + abs(py - ay))
    return 0 if abs(cross) <= bound else 1 if cross > 0 else -1


@compiled
def meet(a, b, c, d):
    """Whether segments a to b and c to d cross, touch or overlap elsewhere than at one shared end."""
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    if max(a[1], b[1]) < min(c[1], d[1]) or max(c[1], d[1]) < min(a[1], b[1]):
        return False
    for p, q in ((a, b), (b, a)):
        for r, s in ((c, d), (d, c)):
            if p[0] == r[0] and p[1] == r[1]:
                along = (q[0] - p[0]) * (s[0] - p[0]) + (q[1] - p[1]) * (s[1] - p[1])
                return along > 0 and side(p[0], p[1], q[0], q[1], s[0], s[1]) == 0
    first, second = side(a[0], a[1], b[0], b[1], c[0], c[1]), side(a[0], a[1], b[0], b[1], d[0], d[1])
    if first * second > 0:
        return False
    third, fourth = side(c[0], c[1], d[0], d[1], a[0], a[1]), side(c[0], c[1], d[0], d[1], b[0], b[1])
    return third * fourth <= 0


@compiled
def squares_of(a, b, size, west, south, wide, count, squares):
    """Numbers of the grid's squares that a segment may enter; returns how many."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    pieces = int(max(abs(dx), abs(dy)) / size) + 1
    found = 0
    for piece in range(pieces):
        s, t = piece / pieces, (piece + 1) / pieces
        x0, x1 = a[0] + s * dx - west, a[0] + t * dx - west
        y0, y1 = a[1] + s * dy - south, a[1] + t * dy - south
        for row in range(int(min(y0, y1) / size), int(max(y0, y1) / size) + 1):
            for col in range(int(min(x0, x1) / size), int(max(x0, x1) / size) + 1):
                square = (row * wide + col) % count
                if found == 0 or squares[found - 1] != square:
                    squares[found] = square
                    found += 1
    return found


@compiled
def longest_of(points, offsets):
    """The longest extent of any segment in x or y."""
    longest = 0.0
    for arc in range(len(offsets) - 1):
        for i in range(offsets[arc], offsets[arc + 1] - 1):
            dx, dy = abs(points[i + 1, 0] - points[i, 0]), abs(points[i + 1, 1] - points[i, 1])
            longest = max(longest, dx, dy)
    return longest


@compiled
def crossings(points, offsets, changed, size, bad):
    """Mark in `bad` the arcs that meet a changed one, or a changed one that meets itself, but at shared ends.

    Segments are compared within squares of a grid, `size` wide, which share memory where there are many.
    """
    west, south, east = np.min(points[:, 0]), np.min(points[:, 1]), np.max(points[:, 0])
    wide, count = int((east - west) / size) + 2, 2 * len(points) + 1
    squares = np.empty(4 * int(longest_of(points, offsets) / size + 2), np.int64)
    marked, begins = np.zeros(count, np.bool_), np.zeros(count + 1, np.int32)
    for fill in range(3):  # mark squares of changed arcs; count what enters them; write it down
        if fill == 2:
            begins = np.concatenate((begins[:1], np.cumsum(begins[1:]))).astype(np.int32)
            segments, arcs = np.empty(begins[-1], np.int32), np.empty(begins[-1], np.int32)
            upto = begins[:-1].copy()
        for arc in range(len(offsets) - 1):
            if fill == 0 and not changed[arc]:
                continue
            for i in range(offsets[arc], offsets[arc + 1] - 1):
                entered = squares_of(points[i], points[i + 1], size, west, south, wide, count, squares)
                for square in squares[:entered]:
                    if fill == 0:
                        marked[square] = True
                    elif marked[square] and fill == 1:
                        begins[square + 1] += 1
                    elif marked[square]:
                        segments[upto[square]], arcs[upto[square]] = i, arc
                        upto[square] += 1
    for square in range(count):
        for m in range(begins[square], begins[square + 1]):
            for n in range(begins[square], m):
                i, j, one, other = segments[m], segments[n], arcs[m], arcs[n]
                asked = (changed[one] or changed[other]) and not (bad[one] and bad[other])
                if i != j and asked and meet(points[i], points[i + 1], points[j], points[j + 1]):
                    bad[one] = bad[other] = True


@compiled
def touches(points, rings, places, size, within, segments, shares, touching):
    """Places that lie on a segment of a ring but not at its ends; returns how many.

    Parameters
    ----------
    points : (point, 2), of rings one after the other, closed; `rings` their offsets.
    places : (place, 2). `size` is that of a grid's squares, `within` how near is on.
    segments, shares, touching : filled as far as there is room: the segment's first point, where on it (0 to
        1), and which place.
    """
    west = np.min(points[:, 0]) - 0.37 * size  # off the lines on which pixels lie
    south, east = np.min(points[:, 1]) - 0.37 * size, np.max(points[:, 0])
    wide, count = int((east - west) / size) + 3, 2 * len(places) + 1
    squares = np.empty(4 * int(longest_of(points, rings) / size + 2), np.int64)
    square = np.empty(len(places), np.int64)
    begins = np.zeros(count + 1, np.int64)
    for i in range(len(places)):
        row, col = int((places[i, 1] - south) / size), int((places[i, 0] - west) / size)
        square[i] = (row * wide + col) % count
        begins[square[i] + 1] += 1
    begins = np.cumsum(begins)
    upto, inside = begins[:-1].copy(), np.empty(len(places), np.int64)
    for i in range(len(places)):
        inside[upto[square[i]]] = i
        upto[square[i]] += 1
    found = 0
    for ring in range(len(rings) - 1):
        for k in range(rings[ring], rings[ring + 1] - 1):
            a, b = points[k], points[k + 1]
            dx, dy = b[0] - a[0], b[1] - a[1]
            long = np.hypot(dx, dy)
            for entered in squares[: squares_of(a, b, size, west, south, wide, count, squares)]:
                for i in inside[begins[entered] : begins[entered + 1]]:
                    px, py = places[i, 0] - a[0], places[i, 1] - a[1]
                    along = (px * dx + py * dy) / long if long else 0.0
                    off = abs(px * dy - py * dx) / long if long else np.inf
                    if off <= within and within < along < long - within:
                        if found < len(segments):
                            segments[found], shares[found], touching[found] = k, along / long, i
                        found += 1
    return found
