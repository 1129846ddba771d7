"""NumPy arrays in, NumPy arrays out, compiled: ice that flows, and the way that it came."""

import numpy as np

from ..features._kernels import compiled


@compiled
def slope_squared(surface, thickness, cell_m, out):
    """Squared gradient (y, x) of a surface (y, x) on ice and beside it; one-sided at the border."""
    rows, columns = surface.shape
    for y in range(rows):
        up, down = max(y - 1, 0), min(y + 1, rows - 1)
        per_y = 1 / ((down - up) * cell_m)
        for x in range(columns):
            left, right = max(x - 1, 0), min(x + 1, columns - 1)
            near = thickness[up, x] + thickness[down, x] + thickness[y, left] + thickness[y, right]
            if thickness[y, x] + near > 0:
                dy = (surface[down, x] - surface[up, x]) * per_y
                dx = (surface[y, right] - surface[y, left]) / ((right - left) * cell_m)
                out[y, x] = dy * dy + dx * dx


@compiled
def diffuse(surface, thickness, squared, unit, most, axis, out):
    """Diffusivity (y, x) [m²/a] between each cell and the next one along an axis; returns the largest."""
    down, right = (1, 0) if axis == 0 else (0, 1)
    largest = 0.0
    for y in range(surface.shape[0] - down):
        for x in range(surface.shape[1] - right):
            v, u = y + down, x + right
            h = (
                thickness[v, u] if surface[v, u] > surface[y, x] else thickness[y, x]
            )  # ice from the higher side
            out[y, x] = 0.0
            if h > 0:
                h2 = h * h
                out[y, x] = min(unit * h2 * h2 * h * (squared[y, x] + squared[v, u]) / 2, most)
                largest = max(largest, out[y, x])
    return largest


@compiled
def move(surface, thickness, diffusivity, step, cell_m, axis, change):
    """Add the meters (y, x) that ice moves along an axis in `step` years to `change`."""
    down, right = (1, 0) if axis == 0 else (0, 1)
    for y in range(surface.shape[0] - down):
        for x in range(surface.shape[1] - right):
            if diffusivity[y, x] > 0:
                v, u = y + down, x + right
                moved = diffusivity[y, x] * step / (cell_m * cell_m) * (surface[v, u] - surface[y, x])
                # no face takes more than a quarter of what a cell has
                moved = min(max(moved, -thickness[y, x] / 4), thickness[v, u] / 4)
                change[y, x] += moved
                change[v, u] -= moved


@compiled
def grow(surface, ela, retention, melt, growth, max_balance, step, change):
    """What falls less what melts (y, x) [m] in `step` years, into `change`."""
    for y in range(surface.shape[0]):
        for x in range(surface.shape[1]):
            above = surface[y, x] - ela[y, x]
            if above > 0:
                balance = retention[y, x] * (min(growth * above, max_balance) + 1) - 1
            else:
                balance = melt * above
            change[y, x] = balance * step


@compiled
def flow(bed, thickness, ela, retention, years, cell_m, unit, melt, growth, max_balance, most):
    """Let ice of a thickness (y, x) [m] on a bed flow, fall and melt for some years, in place.

    Explicit steps of the shallow ice equation; `unit` is the speed [m/a] of a meter of ice on a slope of one,
    `most` the largest diffusivity [m²/a].
    """
    surface, squared, change = bed + thickness, np.empty_like(bed), np.empty_like(bed)
    along_y, along_x = np.zeros_like(bed), np.zeros_like(bed)
    year = 0.0
    while year < years:
        slope_squared(surface, thickness, cell_m, squared)
        largest = max(
            1e3,
            diffuse(surface, thickness, squared, unit, most, 0, along_y),
            diffuse(surface, thickness, squared, unit, most, 1, along_x),
        )
        step = min(0.22 * cell_m**2 / largest, years - year)
        grow(surface, ela, retention, melt, growth, max_balance, step, change)
        move(surface, thickness, along_y, step, cell_m, 0, change)
        move(surface, thickness, along_x, step, cell_m, 1, change)
        for y in range(bed.shape[0]):
            for x in range(bed.shape[1]):
                thickness[y, x] = max(thickness[y, x] + change[y, x], 0.0)
                surface[y, x] = bed[y, x] + thickness[y, x]
        year += step


@compiled
def climb(rows, columns, fields, rise_y, rise_x, steps, out):
    """Mean of fields (k, y, x) on the way that ice came, for places (n,), into `out` (k, n).

    From each place `steps` times by (`rise_y`, `rise_x`) [pixels] of the pixel that it is in.
    """
    last_row, last_column = fields.shape[1] - 1, fields.shape[2] - 1
    for i in range(rows.size):
        y, x = np.float64(rows[i]), np.float64(columns[i])
        for _ in range(steps):
            row, column = int(y + 0.5), int(x + 0.5)
            for k in range(fields.shape[0]):
                out[k, i] += fields[k, row, column]
            y = min(max(y + rise_y[row, column], 0.0), last_row)
            x = min(max(x + rise_x[row, column], 0.0), last_column)
        for k in range(fields.shape[0]):
            out[k, i] /= steps
