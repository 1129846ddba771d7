"""Rings of points out of arcs, and arcs out of rings."""

from ...features._kernels import compiled


@compiled
def ring_points(points, offsets, members, ring_offsets, out, out_offsets):
    """The points of rings of half-arcs, closed, into `out`."""
    length = 0
    for ring in range(len(ring_offsets) - 1):
        for half in members[ring_offsets[ring] : ring_offsets[ring + 1]]:
            begin, end = offsets[half // 2], offsets[half // 2 + 1]
            for k in range(end - begin - 1):  # its last point is the first of the next half-arc
                out[length] = points[end - 1 - k] if half % 2 else points[begin + k]
                length += 1
        out[length] = out[out_offsets[ring]]
        length += 1
        out_offsets[ring + 1] = length


@compiled
def arc_areas(points, offsets, out):
    """What each arc adds to twice the area of a ring that it is part of."""
    for arc in range(len(offsets) - 1):
        total = 0.0
        for i in range(offsets[arc], offsets[arc + 1] - 1):
            total += points[i, 0] * points[i + 1, 1] - points[i + 1, 0] * points[i, 1]
        out[arc] = total


@compiled
def broken(vertices, rings, node, pieces, half_arcs, members):
    """Break rings of vertices at nodes; returns how many pieces there are.

    Parameters
    ----------
    vertices : (point,) numbers of the places that rings pass, each ring once around.
    rings : offsets in `vertices`.
    node : (vertex,) bool, where pieces end. A ring without one is one piece, from its first vertex by number.
    pieces : (piece, 4), filled: first point, how many steps, whether forward is the way to take it (else it
        is read backward), whether it is a loop.
    half_arcs : (piece, 2), filled: the first two vertices of a piece in the way to take it.
    members : offsets of rings in pieces, filled.
    """
    found = 0
    for ring in range(len(rings) - 1):
        begin, size = rings[ring], rings[ring + 1] - rings[ring]
        first, loop = 0, True
        for k in range(size):
            v = vertices[begin + k]
            if node[v]:
                first, loop = k, False
                break
            if v < vertices[begin + first]:
                first = k
        start = first
        for k in range(first + 1, first + size + 1):
            if k < first + size and (loop or not node[vertices[begin + k % size]]):
                continue
            a, b = vertices[begin + start % size], vertices[begin + (start + 1) % size]
            d, c = vertices[begin + k % size], vertices[begin + (k - 1) % size]
            forward = a < d or (a == d and b <= c)
            pieces[found, 0], pieces[found, 1], pieces[found, 2], pieces[found, 3] = (
                start,
                k - start,
                forward,
                loop,
            )
            half_arcs[found, 0], half_arcs[found, 1] = (a, b) if forward else (d, c)
            found, start = found + 1, k
        members[ring + 1] = found
    return found


@compiled
def piece_points(points, rings, ring_of, pieces, offsets, out):
    """The points of some pieces of rings, each in the way to take it, into `out` from `offsets` on."""
    for i in range(len(pieces)):
        begin, size = rings[ring_of[i]], rings[ring_of[i] + 1] - rings[ring_of[i]]
        start, steps, forward = pieces[i, 0], pieces[i, 1], pieces[i, 2]
        for k in range(steps + 1):
            place = start + k if forward else start + steps - k
            out[offsets[i] + k] = points[begin + place % size]
