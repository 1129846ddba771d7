"""Borders between the pixels of a class map: corners, arcs between them, rings of arcs.

A map is read once, row by row; two rows of it are held. A corner is a place where a border turns or where
three or more meet. Directions are 0 east, 1 south, 2 west, 3 north; the pixels around a corner are
0 north-east, 1 south-east, 2 south-west, 3 north-west, so that a step in direction d has pixel d on its left
and d + 1 on its right.
"""

import numpy as np

from ...features._kernels import compiled

EAST, SOUTH, WEST, NORTH = range(4)


@compiled
def root_of(parents, label):
    """The smallest label that stands for the same region; shortens the way to it."""
    while parents[label] != label:
        parents[label] = parents[parents[label]]
        label = parents[label]
    return label


@compiled
def join(parents, one, other):
    """Make two labels stand for one region."""
    one, other = root_of(parents, one), root_of(parents, other)
    parents[max(one, other)] = min(one, other)


@compiled
def borders(nw, ne, sw, se):
    """Bits of the directions in which a border leaves the corner between four pixels; 0 where none turns."""
    bits = (ne != se) | (se != sw) << SOUTH | (sw != nw) << WEST | (nw != ne) << NORTH
    return 0 if bits in (1 << EAST | 1 << WEST, 1 << SOUTH | 1 << NORTH) else bits


@compiled
def count(codes, above):
    """Corners, and labels at most, of some rows (y, x) uint8 with one column of 0 at either end."""
    corners = labels = 0
    for row in range(codes.shape[0]):
        here = codes[row]
        for col in range(1, codes.shape[1]):
            nw, ne, sw, se = above[col - 1], above[col], here[col - 1], here[col]
            if nw == se and ne == se and sw == se:
                continue
            corners += borders(nw, ne, sw, se) > 0
            labels += se != 0 and se != sw and se != ne
        above = here
    return corners, labels


@compiled
def sweep(codes, above, first_row, grid, step, parents, sizes, runs, free, corners, known, open_at, labels):
    """Label some rows of a map and find their corners; returns the next free label and corner.

    Parameters
    ----------
    codes, above : rows (y, x) uint8, and the row (x,) before them, with one column of 0 at either end.
    grid : area of a pixel where every `step`-th row and column of corners cross.
    parents, sizes, runs : by label: region of four neighbors; code, pixels and area; length, row and middle
        column of the longest run. `free` is the next label.
    corners : (corner, 9) int32: row, column, bits, next corner to the north and to the south, labels of the
        four pixels; `known` of them are there.
    open_at : (x,) int32, the last corner of each column.
    labels : (x,) int32 of `above`; those of the last row in the end.
    """
    cols = codes.shape[1]
    row_labels = np.zeros(cols, np.int32)
    for row in range(codes.shape[0]):
        here = codes[row]
        place, start = first_row + row, 0
        t = (place + 0.5) / step - place // step
        cells = grid[place // step] * (1 - t) + grid[min(place // step + 1, len(grid) - 1)] * t
        for col in range(1, cols):
            nw, ne, sw, se = above[col - 1], above[col], here[col - 1], here[col]
            label = 0
            if se == sw:
                label = row_labels[col - 1]
                if se != 0 and se == ne and se != nw:
                    join(parents, label, labels[col])
            else:
                if sw != 0:
                    end_run(row_labels[col - 1], sw, start - 1, col - 1, place, cells, step, sizes, runs)
                start = col
                if se != 0:
                    label = labels[col]
                    if se != ne:
                        label, free = free, free + 1
                        parents[label] = label
            row_labels[col] = label
            if nw == se and ne == se and sw == se:
                continue
            bits = borders(nw, ne, sw, se)
            if bits:
                corner = corners[known]
                corner[0], corner[1], corner[2], corner[4] = place, col - 1, bits, -1
                corner[3] = open_at[col] if bits & 1 << NORTH else -1
                if bits & 1 << NORTH:
                    corners[open_at[col], 4] = known
                open_at[col] = known
                corner[5], corner[6] = labels[col], label
                corner[7], corner[8] = row_labels[col - 1], labels[col - 1]
                known += 1
        above = here
        labels[:] = row_labels
    return free, known


@compiled
def end_run(label, code, start, end, row, cells, step, sizes, runs):
    """Count a run of pixels of one row towards its label."""
    sizes[label, 0] = code
    sizes[label, 1] += end - start
    if end - start > runs[label, 0]:
        runs[label, 0], runs[label, 1], runs[label, 2] = end - start, row, (start + end - 1) // 2
    while start < end:
        cell = start // step
        stop = min(end, (cell + 1) * step)
        t = (start + stop) / 2 / step - cell
        sizes[label, 2] += (stop - start) * (cells[cell] * (1 - t) + cells[cell + 1] * t)
        start = stop


# ---- arcs


@compiled
def turn_of(bits, came):
    """Where a border goes on at a corner of two directions; `came` is the one it arrived in."""
    rest = bits & ~(1 << (came + 2) % 4)
    return (
        EAST if rest == 1 << EAST else SOUTH if rest == 1 << SOUTH else WEST if rest == 1 << WEST else NORTH
    )


@compiled
def meets(bits):
    """Whether three borders or more meet."""
    return bits & (bits - 1) & ((bits & (bits - 1)) - 1) != 0


@compiled
def walk(corners, start, direction, path, length):
    """Follow a border to where others meet it, or around; returns the path's length and its last heading."""
    corner, heading = start, direction
    path[length] = corner
    while True:
        if heading == EAST:
            corner += 1
        elif heading == WEST:
            corner -= 1
        else:
            corner = corners[corner, 3] if heading == NORTH else corners[corner, 4]
        length += 1
        path[length] = corner
        if corner == start or meets(corners[corner, 2]):
            return length + 1, heading
        heading = turn_of(corners[corner, 2], heading)


@compiled
def trace(corners, path, arcs, used):
    """Arcs of all borders: first between corners where three or more meet, then loops; returns their number.

    Parameters
    ----------
    path : (point,) int32, corners of one arc after the other; the loops' first corner is also their last.
    arcs : (arc, 5) int32: begin in `path`, first and last heading, labels on the left and on the right.
    used : (corner,) uint8, zeros; bits of the directions that an arc has taken.
    """
    found = length = 0
    for loops in (False, True):
        for start in range(len(corners)):
            bits = corners[start, 2]
            if loops == meets(bits) or (loops and used[start]):
                continue
            for direction in (NORTH, WEST, EAST, SOUTH):
                if not bits & 1 << direction or used[start] & 1 << direction:
                    continue
                begin = length
                length, heading = walk(corners, start, direction, path, length)
                for k in range(begin, length):
                    used[path[k]] |= 16  # of loops and corners between; of the ends, their directions
                used[start] |= 1 << direction
                used[path[length - 1]] |= 1 << (heading + 2) % 4
                arcs[found, 0], arcs[found, 1], arcs[found, 2] = begin, direction, heading
                arcs[found, 3] = corners[start, 5 + direction]
                arcs[found, 4] = corners[start, 5 + (direction + 1) % 4]
                found += 1
                if loops:
                    break
    return found, length


@compiled
def follow(arcs, starts, ends, faces, exits, nexts):
    """The half-arc that goes on after each one, around the region on its left.

    A half-arc is 2 * arc, or 2 * arc + 1 for its way back. Rings turn right where they can, so that a region
    that touches itself at a corner gets two rings there, and none touches itself.

    Parameters
    ----------
    starts, ends : corners of the arcs. faces : (half-arc,) region on the left.
    exits : (corner, 4) int32, filled: half-arcs by direction, of corners where borders meet; `starts` and
        `ends` count these from 0, and are -1 for loops.
    """
    exits[:] = -1
    for arc in range(len(arcs)):
        if starts[arc] >= 0:
            exits[starts[arc], arcs[arc, 1]] = 2 * arc
            exits[ends[arc], (arcs[arc, 2] + 2) % 4] = 2 * arc + 1
    for half in range(len(nexts)):
        arc, back = half // 2, half % 2
        if starts[arc] < 0:
            nexts[half] = half
            continue
        heading = (arcs[arc, 1] + 2) % 4 if back else arcs[arc, 2]
        corner = starts[arc] if back else ends[arc]
        for turn in (1, 0, 3):  # right, ahead, left
            other = exits[corner, (heading + turn) % 4]
            if other >= 0 and faces[other] == faces[half]:
                nexts[half] = other
                break


@compiled
def rings(nexts, faces, members, offsets):
    """Rings of half-arcs (ragged `members`) around every region but 0; returns how many there are."""
    seen = np.zeros(len(nexts), np.bool_)
    found = length = 0
    for first in range(len(nexts)):
        if seen[first] or faces[first] == 0:
            continue
        half = first
        while not seen[half]:
            seen[half] = True
            members[length] = half
            length += 1
            half = nexts[half]
        found += 1
        offsets[found] = length
    return found


# ---- regions


@compiled
def flat(parents):
    """For every label the smallest one of its region."""
    found = np.empty_like(parents)
    for label in range(len(parents)):
        found[label] = parents[label] if parents[label] == label else found[parents[label]]
    return found


@compiled
def joined_at_corners(corners, faces, sizes):
    """For every label the smallest one of those that hang together over eight neighbors; codes in `sizes`."""
    parts = faces.copy()
    for corner in corners:
        if corner[2] == 15:
            for k in (5, 6):
                one, other = corner[k], corner[k + 2]
                if one and other and sizes[one, 0] == sizes[other, 0]:
                    join(parts, one, other)
    return flat(parts)


@compiled
def gathered(parts, sizes, runs, rows):
    """Code, pixels, area, and length, row and column of the longest run, of each part in `rows`: (row, 6)."""
    place = np.full(len(parts), -1, np.int32)
    place[rows] = np.arange(len(rows))
    found = np.zeros((len(rows), 6))
    for label in range(1, len(parts)):
        row = found[place[parts[label]]]
        row[0] = sizes[label, 0]
        row[1] += sizes[label, 1]
        row[2] += sizes[label, 2]
        if runs[label, 0] > row[3]:
            row[3], row[4], row[5] = runs[label, 0], runs[label, 1], runs[label, 2]
    return found
