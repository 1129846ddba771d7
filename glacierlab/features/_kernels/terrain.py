"""Terrain layers of a DEM that look at 3 x 3 pixels, row by row."""

import numpy as np

from . import compiled

TERRAIN_LAYERS = (
    "slope", "aspect", "aspect_sin", "aspect_cos", "hillshade", "profile_curvature", "plan_curvature",
    "tangential_curvature", "tpi", "tri", "roughness",
)  # fmt: skip
(SLOPE, ASPECT, ASPECT_SIN, ASPECT_COS, HILLSHADE, PROFILE, PLAN, TANGENTIAL, TPI, TRI, ROUGHNESS) = range(
    len(TERRAIN_LAYERS)
)
GRADIENTS = ("horn", "zevenbergen_thorne", "evans")
HORN, ZEVENBERGEN_THORNE, EVANS = range(len(GRADIENTS))

# A Python number would widen a float32 loop to float64.
ZERO, EIGHTH, HALF, ONE, TWO, FOUR = (np.float32(n) for n in (0, 0.125, 0.5, 1, 2, 4))
THIRD, SIXTH = np.float32(1 / 3), np.float32(1 / 6)
GREYS, FULL_CIRCLE = np.float32(254), np.float32(360)
DEGREES, TAN_22_5 = np.float32(180 / np.pi), np.float32(np.tan(np.pi / 8))
# Cephes' atanf (Moshier 1989): atan(t) = t + t z (A0 + z (A1 + z (A2 + z A3))), z = t², |t| <= tan(22.5°)
A0, A1 = np.float32(-3.33329491539e-1), np.float32(1.99777106478e-1)
A2, A3 = np.float32(-1.38776856032e-1), np.float32(8.05374449538e-2)


@compiled
def angle(opposite, adjacent):
    """atan(opposite / adjacent) [degrees] of two lengths >= 0, 0 to 90; NaN if both are 0."""
    steep = opposite > adjacent
    low, high = (adjacent, opposite) if steep else (opposite, adjacent)
    wide = low > TAN_22_5 * high
    t = (low - high if wide else low) / (low + high if wide else high)
    z = t * t
    degrees = DEGREES * (t + t * z * (A0 + z * (A1 + z * (A2 + z * A3))))
    degrees += np.float32(45) if wide else ZERO
    return np.float32(90) - degrees if steep else degrees


@compiled
def compass(east, north):
    """Direction of a vector [degrees clockwise from north], 0 <= it < 360; NaN of the zero vector."""
    degrees = angle(abs(east), abs(north))
    degrees = np.float32(180) - degrees if north < ZERO else degrees
    degrees = FULL_CIRCLE - degrees if east < ZERO else degrees
    return ZERO if degrees >= FULL_CIRCLE else degrees


@compiled
def window(dem, y, start, stop):
    """The neighbors a b c, d e f, g h i of pixels (y, start to stop): nine rows (x) of a DEM (y, x)."""
    above, here, below = dem[y - 1], dem[y], dem[y + 1]
    return (above[start - 1 : stop - 1], above[start:stop], above[start + 1 : stop + 1],
            here[start - 1 : stop - 1], here[start:stop], here[start + 1 : stop + 1],
            below[start - 1 : stop - 1], below[start:stop], below[start + 1 : stop + 1])  # fmt: skip


@compiled
def gradient(nine, hole, dx, dy, fit, east, north):
    """Slopes east and north (x) of a row by one of GRADIENTS; NaN where `hole` is."""
    a, b, c, d, _, f, g, h, i = nine
    per_x, per_y = ONE / dx, ONE / dy
    if fit == ZEVENBERGEN_THORNE:
        for x in range(len(east)):
            east[x] = hole[x] + HALF * per_x * (f[x] - d[x])
            north[x] = hole[x] + HALF * per_y * (h[x] - b[x])
        return
    part, middle = (EIGHTH, TWO) if fit == HORN else (SIXTH, ONE)
    for x in range(len(east)):
        east[x] = hole[x] + part * per_x * ((c[x] - a[x]) + middle * (f[x] - d[x]) + (i[x] - g[x]))
        north[x] = hole[x] + part * per_y * ((g[x] - a[x]) + middle * (h[x] - b[x]) + (i[x] - c[x]))


@compiled
def second_derivatives(nine, dx, dy, fit, r, s, t):
    """Second derivatives xx, xy, yy (x) of a row, of Zevenbergen and Thorne's polynomial or of Evans's."""
    a, b, c, d, e, f, g, h, i = nine
    per_xx, per_xy, per_yy = ONE / (dx * dx), ONE / (FOUR * dx * dy), ONE / (dy * dy)
    for x in range(len(r)):
        s[x] = per_xy * ((a[x] - c[x]) + (i[x] - g[x]))
    if fit == EVANS:  # the means of three rows and of three columns
        for x in range(len(r)):
            r[x] = (
                (a[x] - b[x]) + (c[x] - b[x]) + (d[x] - e[x]) + (f[x] - e[x]) + (g[x] - h[x]) + (i[x] - h[x])
            )
            t[x] = (
                (a[x] - d[x]) + (g[x] - d[x]) + (b[x] - e[x]) + (h[x] - e[x]) + (c[x] - f[x]) + (i[x] - f[x])
            )
            r[x], t[x] = THIRD * per_xx * r[x], THIRD * per_yy * t[x]
        return
    for x in range(len(r)):
        r[x] = per_xx * ((d[x] - e[x]) + (f[x] - e[x]))
        t[x] = per_yy * ((b[x] - e[x]) + (h[x] - e[x]))


@compiled
def first_order(layer, p, q, sun, out):
    """A row (x) of a layer that follows from the slopes p east and q north."""
    east, north, up = sun
    if layer == SLOPE:
        for x in range(len(out)):
            out[x] = angle(np.sqrt(p[x] * p[x] + q[x] * q[x]), ONE)
    elif layer == ASPECT:
        for x in range(len(out)):
            out[x] = compass(-p[x], -q[x])
    elif layer == ASPECT_SIN:
        for x in range(len(out)):
            out[x] = -p[x] / np.sqrt(p[x] * p[x] + q[x] * q[x])
    elif layer == ASPECT_COS:
        for x in range(len(out)):
            out[x] = -q[x] / np.sqrt(p[x] * p[x] + q[x] * q[x])
    else:
        for x in range(len(out)):
            light = (up - east * p[x] - north * q[x]) / np.sqrt(ONE + p[x] * p[x] + q[x] * q[x])
            out[x] = np.floor(ONE + HALF + GREYS * (ZERO if light < ZERO else light))


@compiled
def second_order(layer, p, q, r, s, t, out):
    """A row (x) of profile, plan or tangential curvature [1/m], positive where convex; level: NaN."""
    if layer == PROFILE:
        for x in range(len(out)):
            pp, qq, pq = p[x] * p[x], q[x] * q[x], TWO * p[x] * q[x] * s[x]
            m = pp + qq
            out[x] = -(pp * r[x] + pq + qq * t[x]) / (m * (ONE + m) * np.sqrt(ONE + m))
        return
    flat = ONE if layer == TANGENTIAL else ZERO
    for x in range(len(out)):
        pp, qq, pq = p[x] * p[x], q[x] * q[x], TWO * p[x] * q[x] * s[x]
        m = pp + qq
        out[x] = -(qq * r[x] - pq + pp * t[x]) / (m * np.sqrt(flat + m))


@compiled
def relief(layer, nine, hole, out):
    """A row (x) of TPI, TRI or roughness [m]; NaN where `hole` is."""
    a, b, c, d, e, f, g, h, i = nine
    if layer == TPI:
        for x in range(len(out)):
            around = (a[x] - e[x]) + (b[x] - e[x]) + (c[x] - e[x]) + (d[x] - e[x])
            around += (f[x] - e[x]) + (g[x] - e[x]) + (h[x] - e[x]) + (i[x] - e[x])
            out[x] = hole[x] - EIGHTH * around
    elif layer == TRI:
        for x in range(len(out)):
            squares = (a[x] - e[x]) ** 2 + (b[x] - e[x]) ** 2 + (c[x] - e[x]) ** 2 + (d[x] - e[x]) ** 2
            squares += (f[x] - e[x]) ** 2 + (g[x] - e[x]) ** 2 + (h[x] - e[x]) ** 2 + (i[x] - e[x]) ** 2
            out[x] = hole[x] + np.sqrt(squares)
    else:
        for x in range(len(out)):
            high, low = e[x], e[x]
            for z in (a[x], b[x], c[x], d[x], f[x], g[x], h[x], i[x]):
                high, low = z if z > high else high, z if z < low else low
            out[x] = hole[x] + (high - low)


@compiled
def terrain(dem, layers, dx, dy, fit, sun, top, left, first, last, out):
    """Layers of a DEM (y, x) float32 [m] into rows `first` to `last` of `out` (layer, y, x) float32.

    Row 0 and column 0 of `out` are row `top` and column `left` of the DEM, whose rim is NaN. `layers` are
    positions in TERRAIN_LAYERS, one beyond is left to another kernel; `dx`, `dy` [m] float32 a step along x
    and y, signed, positive east and north; `fit` is a position in GRADIENTS, of which curvature takes
    Evans's, or else Zevenbergen and Thorne's; `sun` is the unit vector (east, north, up) towards it, float32.
    """
    height, width = dem.shape
    start, stop = max(0, 1 - left), min(out.shape[2], width - 1 - left)
    bends = np.any((layers >= PROFILE) & (layers <= TANGENTIAL))
    bend_fit = EVANS if fit == EVANS else ZEVENBERGEN_THORNE
    work = np.empty((8, max(0, stop - start)), np.float32)
    hole, gx, gy, p, q = work[0], work[1], work[2], work[3], work[4]  # unpacked, they would not be contiguous
    r, s, t = work[5], work[6], work[7]
    for y in range(first, last):
        if start >= stop or not 0 < y + top < height - 1:
            out[:, y] = np.nan
            continue
        out[:, y, :start], out[:, y, stop:] = np.nan, np.nan
        nine = window(dem, y + top, start + left, stop + left)
        a, b, c, d, e, f, g, h, i = nine
        for x in range(len(hole)):  # 0, or NaN where any of the nine is
            hole[x] = ZERO * (a[x] + b[x] + c[x] + d[x] + e[x] + f[x] + g[x] + h[x] + i[x])
        gradient(nine, hole, dx, dy, fit, gx, gy)
        if bends:
            gradient(nine, hole, dx, dy, bend_fit, p, q)
            second_derivatives(nine, dx, dy, bend_fit, r, s, t)
        for k, layer in enumerate(layers):
            row = out[k, y, start:stop]
            if layer <= HILLSHADE:
                first_order(layer, gx, gy, sun, row)
            elif layer <= TANGENTIAL:
                second_order(layer, p, q, r, s, t, row)
            elif layer <= ROUGHNESS:
                relief(layer, nine, hole, row)
