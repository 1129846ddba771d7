"""Terrain layers of a DEM: slope, aspect, hillshade, curvature, relief, cast shadow."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dask.array as da
import numpy as np
import xarray as xr

from ..errors import GlacierlabError, GridError
from ..io.layers import require_crs, transform_of
from ..tables import lookup
from ._kernels.shadow import shadow_depth
from ._kernels.terrain import GRADIENTS, TERRAIN_LAYERS
from ._kernels.terrain import terrain as around

# Name and unit, in the order of the kernel's codes; cast shadow has a kernel of its own.
UNITS = ("degrees", "degrees", "1", "1", "1", "m-1", "m-1", "m-1", "m", "m", "m", "1")
TERRAIN = dict(zip((*TERRAIN_LAYERS, "cast_shadow"), UNITS, strict=True))
CAST_SHADOW = len(TERRAIN_LAYERS)
STRIP = 256  # rows of an eager DEM that a thread takes at a time
METERS = ("m", "metre", "metres", "meter", "meters")


def terrain(
    dem, layers=TERRAIN_LAYERS, *, sun_azimuth=None, sun_elevation=None, gradient="horn", relief_m=3000.0
):
    """Terrain layers of a DEM, by name, in one pass over it; lazy if the DEM is.

    Each looks at the 3 x 3 pixels around its own. It is NaN where one of the nine is, and so on the rim of
    one pixel, as in GDAL. Only cast shadow looks farther, and is NaN where the DEM itself is.

    Parameters
    ----------
    dem : xarray.DataArray
        Heights [m], dims (y, x), in a projected CRS; either axis may run either way, and pixels need not be
        square. Computed in float32; a declared nodata value becomes NaN.
    layers : str or sequence of str
        All but cast_shadow unless named.

        slope
            Steepness [degrees].
        aspect
            Direction of descent [degrees clockwise from north], NaN on level ground.
        aspect_sin, aspect_cos
            Its sine (east) and cosine (north) [1], for stacks.
        hillshade
            1 to 255, whole numbers: 1 + 254 times the cosine between the ground and the sun, 1 facing away.
        profile_curvature, tangential_curvature
            Of the normal sections along and across the slope [1/m], positive where convex, NaN on level
            ground.
        plan_curvature
            Of the contour [1/m], signed alike.
        tpi
            Height above the mean of the 8 neighbors [m].
        tri
            Root of the summed squared steps to the 8 neighbors [m].
        roughness
            Highest minus lowest of the nine [m].
        cast_shadow
            1 where the ground between the middle of the pixel and the sun rises above the line to it, 0 in
            the sun [1]. Ground that falls away from the sun more steeply than its rays is in shadow too: its
            own crest hides the sun. Heights where the line crosses rows (or columns, if the sun is nearer to
            the x axis) are interpolated between two pixels. Holes and what lies beyond the DEM shade nothing.
    sun_azimuth, sun_elevation : float, optional
        For hillshade and cast_shadow [degrees clockwise from the grid's north; above the horizon]. Hillshade
        takes the map maker's sun by default, 315 and 45, as in GDAL; cast_shadow asks for both.
    gradient : {"horn", "zevenbergen_thorne", "evans"}
        For slope, aspect and hillshade. Curvature takes Zevenbergen and Thorne's polynomial, or with "evans"
        the quadratic nearest to all nine heights, which also gives slopes that noise moves less.
    relief_m : float
        Cast shadow looks for mountains up to so much higher than the pixel, and so as far as
        relief_m / tan(sun_elevation). Assumption: 3000 m; at 30 degrees they are sought within 5.2 km.

    Returns
    -------
    xarray.DataArray
        `terrain` (feature, y, x) float32; the coordinate `feature` holds the names in the order asked.
        `feature_units` in the attributes lists the units in that order.

    Raises
    ------
    GridError
        The DEM has other dims than (y, x), no coordinates, no CRS, pixels in degrees, or heights in feet.
    UnknownNameError
        No such layer or gradient.
    GlacierlabError
        The sun is below the horizon, nowhere, or not given for cast_shadow; relief_m is not positive.

    Notes
    -----
    Gradients of Horn (1981), of Zevenbergen and Thorne (1987), whose polynomial gives the curvatures, and of
    Evans (1980), whose quadratic GlacierNet's authors fit; TRI is Riley's. Gradient, hillshade, TPI, TRI and
    roughness are those of GDAL, curvatures those of xdem's geometric method. A 30 m DEM is best smoothed
    before its curvature is taken. The earth is flat for cast shadow: no curvature, no refraction.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> x, y = 10.0 * np.arange(4), 10.0 * np.arange(4)[::-1]
    >>> plane = xr.DataArray(np.tile(x, (4, 1)), coords={"y": y, "x": x}, dims=("y", "x"))
    >>> layers = terrain(plane.rio.write_crs("EPSG:32645"), ["slope", "aspect"])  # rises to the east
    >>> layers[:, 1, 1].values.tolist()
    [45.0, 270.0]
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    codes = dict(zip(TERRAIN, range(len(TERRAIN)), strict=True))
    asked = np.array([lookup(codes, name, kind="terrain layer") for name in names], dtype=np.int64)
    fit = lookup(dict(zip(GRADIENTS, range(len(GRADIENTS)), strict=True)), gradient, kind="gradient")
    if "cast_shadow" in names and (sun_azimuth is None or sun_elevation is None):
        raise GlacierlabError(
            "cast_shadow has no usual sun: give sun_azimuth and sun_elevation, as a scene's attrs have them."
        )
    sun = (315.0 if sun_azimuth is None else sun_azimuth, 45.0 if sun_elevation is None else sun_elevation)
    vector = sun_vector(*sun)
    if not relief_m > 0:
        raise GlacierlabError(f"relief_m={relief_m} is no height: give meters above 0.")
    dx, dy = steps_m(dem)

    dem = dem.transpose("y", "x")
    if dem.rio.nodata is not None:
        dem = dem.where(dem != dem.rio.nodata)
    ray, halo = None, (0, 0, 0, 0)
    if CAST_SHADOW in asked:
        ray = sun_ray(*sun, dx, dy, relief_m, dem.shape)
        *_, halo = ray
    if (asked < CAST_SHADOW).any():
        halo = tuple(max(1, reach) for reach in halo)
    fill = partial(fill_rows, codes=asked, dx=dx, dy=dy, fit=fit, sun=vector, ray=ray)
    heights = dem.data.astype(np.float32, copy=False)
    on_array = in_strips if dem.chunks is None else in_blocks
    values = on_array(fill, heights, len(names), halo)
    attrs = {"long_name": "terrain layers", "feature_units": " ".join(TERRAIN[name] for name in names)}
    coords = {"feature": names} | {name: c for name, c in dem.coords.items() if set(c.dims) <= {"y", "x"}}
    return xr.DataArray(values, coords, ("feature", "y", "x"), name="terrain", attrs=attrs)


def in_strips(fill, heights, layers, halo=None):
    """Layers (layer, y, x) float32 of an array of heights (y, x) float32: threads share its rows."""
    heights = np.ascontiguousarray(heights)
    out = np.empty((layers, *heights.shape), np.float32)
    starts = np.arange(0, len(heights), STRIP)
    stops = np.minimum(starts + STRIP, len(heights))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(fill, heights, 0, 0, out), starts, stops))  # raises what a thread raised
    return out


def in_blocks(fill, heights, layers, halo):
    """The same of a dask array, in its chunks, to which `halo` pixels lead up, down, left and right."""
    halo = [min(reach, heights.shape[side // 2]) for side, reach in enumerate(halo)]
    depth = {0: tuple(halo[:2]), 1: tuple(halo[2:])}
    padded = da.overlap.overlap(heights, depth, boundary="none")  # joins chunks smaller than the halo

    def trimmed(sizes, axis):
        before, after = depth[axis]
        last = len(sizes) - 1
        return tuple(n - before * (i > 0) - after * (i < last) for i, n in enumerate(sizes))

    chunks = tuple(trimmed(sizes, axis) for axis, sizes in enumerate(padded.chunks))
    values = da.map_blocks(
        partial(fill_block, fill=fill, layers=layers, sizes=chunks, halo=halo),
        padded,
        chunks=((layers,), *chunks),
        new_axis=0,
        meta=np.empty((0, 0, 0), np.float32),
    )
    return values.rechunk(((layers,), *heights.chunks))


def fill_block(heights, fill, layers, sizes, halo, block_id):
    """One block of `in_blocks`; at the border of the DEM it has no halo."""
    _, i, j = block_id
    out = np.empty((layers, sizes[0][i], sizes[1][j]), np.float32)
    top, left = halo[0] * (i > 0), halo[2] * (j > 0)
    fill(np.ascontiguousarray(heights), top, left, out, 0, out.shape[1])
    return out


def fill_rows(heights, top, left, out, first, last, *, codes, dx, dy, fit, sun, ray):
    """Rows `first` to `last` of `out` (layer, y, x), whose first pixel is (top, left) of heights (y, x)."""
    if (codes < CAST_SHADOW).any():
        around(heights, codes, dx, dy, fit, sun, top, left, first, last, out)
    for layer in np.flatnonzero(codes == CAST_SHADOW):
        shadow_depth(heights, *ray, top, left, first, last, out[layer])
        np.sign(out[layer, first:last], out=out[layer, first:last])


def sun_vector(azimuth, elevation):
    """The unit vector (east, north, up) towards the sun, float32, of angles in degrees."""
    if not (np.isfinite(azimuth) and 0 <= elevation <= 90):
        raise GlacierlabError(
            f"No sun stands at azimuth {azimuth}, elevation {elevation}: elevation is 0 to 90 degrees."
        )
    azimuth, elevation = np.radians([azimuth, elevation])
    level = np.cos(elevation)
    return tuple(np.float32([level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)]))


def sun_ray(azimuth, elevation, dx, dy, relief_m, shape):
    """The way to the sun from any pixel of a DEM of `shape`, as `shadow_depth` takes it.

    A step leads to the next row, or to the next column if the sun stands nearer to the x axis; between two
    pixels there, the ray passes the one `near` it and the one `far`. It ends `relief_m` above its start.
    """
    azimuth, elevation = np.radians([azimuth, elevation])
    way = np.array([np.cos(azimuth) / dy, np.sin(azimuth) / dx], dtype=float)  # pixels (y, x) a metre
    step_m = 1 / np.abs(way).max()
    with np.errstate(divide="ignore", over="ignore"):
        steps = min(relief_m / (step_m * np.tan(elevation)), max(shape))
    count = np.arange(1, int(steps) + 1)
    offset = np.round(count[:, None] * way * step_m, 6)  # a sun in the south stands in the south
    near = np.rint(offset).astype(np.int64)
    far = near + np.sign(offset - near).astype(np.int64)
    inside = (np.abs(near) < shape).all(axis=1)
    near, far = near[inside], far[inside]
    share = np.abs(offset[inside] - near).max(axis=1).astype(np.float32)
    rise = (count[inside] * step_m * np.tan(elevation)).astype(np.float32)
    ends = np.concatenate([near, far, np.zeros((1, 2), np.int64)])
    reach = tuple(int(n) for n in np.stack([-ends.min(axis=0), ends.max(axis=0)], axis=1).ravel())
    return near, far, share, rise, reach


def steps_m(dem):
    """The signed steps along x and y [m], float32; GridError for what is no DEM in meters."""
    if set(dem.dims) != {"y", "x"}:
        raise GridError(f"A DEM has dims (y, x), not {dem.dims}: choose one with isel or squeeze.")
    if missing := {"y", "x"} - set(dem.coords):
        raise GridError(f"The DEM has no coordinates in {sorted(missing)}, so no pixel size: assign them.")
    crs = require_crs(dem, "Terrain")
    if crs.is_geographic:
        raise GridError(
            f"The DEM is in degrees ({crs.to_string()}), and slope needs meters: bring it onto a scene's "
            "grid with scene.glacier.add_layer('elevation', dem), or reproject it, as with "
            "dem.rio.reproject(dem.rio.estimate_utm_crs())."
        )
    unit = dem.attrs.get("units", "m")
    if unit not in METERS:
        raise GridError(
            f"The DEM's heights are in {unit!r}, not in 'm': convert them and set attrs['units']."
        )
    transform, meters = transform_of(dem), crs.linear_units_factor[1]
    return np.float32(transform.a * meters), np.float32(transform.e * meters)
