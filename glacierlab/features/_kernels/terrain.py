"""Terrain layers of a DEM, row by row."""

import numpy as np

from . import compiled

TERRAIN_LAYERS = (
    "slope", "aspect", "aspect_sin", "aspect_cos", "hillshade", "profile_curvature", "plan_curvature",
    "tangential_curvature", "tpi", "tri", "roughness",
)  # fmt: skip
(SLOPE, ASPECT, ASPECT_SIN, ASPECT_COS, HILLSHADE, PROFILE, PLAN, TANGENTIAL, TPI, TRI, ROUGHNESS) = range(
    len(TERRAIN_LAYERS)
)

# A Python number would widen a float32 loop to float64.
ZERO, EIGHTH, HALF, ONE, TWO, FOUR = (np.float32(n) for n in (0, 0.125, 0.5, 1, 2, 4))
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
def window(dem, y):
    """The neighbours a b c, d e f, g h i of a row's inner pixels: nine rows (x - 2) of a DEM (y, x)."""
    above, here, below = dem[y - 1], dem[y], dem[y + 1]
    return (above[:-2], above[1:-1], above[2:], here[:-2], here[1:-1], here[2:],
            below[:-2], below[1:-1], below[2:])  # fmt: skip


@compiled
def gradient(dem, y, dx, dy, horn, east, north):
    """Slopes east and north (x - 2) of a row: Horn's, or Zevenbergen and Thorne's."""
    a, b, c, d, _, f, g, h, i = window(dem, y)
    per_x, per_y = ONE / dx, ONE / dy
    if horn:
        for x in range(len(east)):
            east[x] = EIGHTH * per_x * ((c[x] - a[x]) + TWO * (f[x] - d[x]) + (i[x] - g[x]))
            north[x] = EIGHTH * per_y * ((g[x] - a[x]) + TWO * (h[x] - b[x]) + (i[x] - c[x]))
    else:
        for x in range(len(east)):
            east[x] = HALF * per_x * (f[x] - d[x])
            north[x] = HALF * per_y * (h[x] - b[x])


@compiled
def second_derivatives(dem, y, dx, dy, r, s, t):
    """Zevenbergen and Thorne's second derivatives xx, xy, yy (x - 2) of a row."""
    a, b, c, d, e, f, g, h, i = window(dem, y)
    per_xx, per_xy, per_yy = ONE / (dx * dx), ONE / (FOUR * dx * dy), ONE / (dy * dy)
    for x in range(len(r)):
        r[x] = per_xx * ((d[x] - e[x]) + (f[x] - e[x]))
        s[x] = per_xy * ((a[x] - c[x]) + (i[x] - g[x]))
        t[x] = per_yy * ((b[x] - e[x]) + (h[x] - e[x]))


@compiled
def first_order(layer, p, q, sun, out):
    """A row (x - 2) of a layer that follows from the slopes p east and q north."""
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
    """A row (x - 2) of profile, plan or tangential curvature [1/m], positive where convex; level: NaN."""
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
def relief(layer, dem, y, out):
    """A row (x - 2) of TPI, TRI or roughness [m]."""
    a, b, c, d, e, f, g, h, i = window(dem, y)
    if layer == TPI:
        for x in range(len(out)):
            around = (a[x] - e[x]) + (b[x] - e[x]) + (c[x] - e[x]) + (d[x] - e[x])
            around += (f[x] - e[x]) + (g[x] - e[x]) + (h[x] - e[x]) + (i[x] - e[x])
            out[x] = -EIGHTH * around
    elif layer == TRI:
        for x in range(len(out)):
            squares = (a[x] - e[x]) ** 2 + (b[x] - e[x]) ** 2 + (c[x] - e[x]) ** 2 + (d[x] - e[x]) ** 2
            squares += (f[x] - e[x]) ** 2 + (g[x] - e[x]) ** 2 + (h[x] - e[x]) ** 2 + (i[x] - e[x]) ** 2
            out[x] = np.sqrt(squares)
    else:
        for x in range(len(out)):
            high, low = e[x], e[x]
            for z in (a[x], b[x], c[x], d[x], f[x], g[x], h[x], i[x]):
                high, low = z if z > high else high, z if z < low else low
            out[x] = high - low


@compiled
def terrain(dem, layers, dx, dy, horn, sun, out):
    """Layers of a DEM (y, x) float32 [m], into `out` (layer, y, x) float32, row by row.

    `layers` are positions in TERRAIN_LAYERS; `dx`, `dy` [m] float32 a step along x and y, signed, positive
    east and north; `horn` chooses the gradient of slope, aspect and hillshade, or else Zevenbergen and
    Thorne's; `sun` is the unit vector (east, north, up) towards it, float32. The rim is NaN.
    """
    rows, cols = dem.shape
    out[:, :1], out[:, -1:], out[:, :, :1], out[:, :, -1:] = np.nan, np.nan, np.nan, np.nan
    if rows < 3 or cols < 3:
        return
    bends = np.any((layers >= PROFILE) & (layers <= TANGENTIAL))
    work = np.empty((8, cols - 2), np.float32)
    hole, gx, gy, p, q = work[0], work[1], work[2], work[3], work[4]  # unpacked, they would not be contiguous
    r, s, t = work[5], work[6], work[7]
    for y in range(1, rows - 1):
        a, b, c, d, e, f, g, h, i = window(dem, y)
        for x in range(cols - 2):  # 0, or NaN where any of the nine is
            hole[x] = ZERO * (a[x] + b[x] + c[x] + d[x] + e[x] + f[x] + g[x] + h[x] + i[x])
        gradient(dem, y, dx, dy, horn, gx, gy)
        if bends:
            gradient(dem, y, dx, dy, False, p, q)
            second_derivatives(dem, y, dx, dy, r, s, t)
        for k, layer in enumerate(layers):
            row = out[k, y, 1:-1]
            if layer <= HILLSHADE:
                first_order(layer, gx, gy, sun, row)
            elif layer <= TANGENTIAL:
                second_order(layer, p, q, r, s, t, row)
            else:
                relief(layer, dem, y, row)
            for x in range(cols - 2):
                row[x] += hole[x]
