"""Terrain layers of a DEM: slope, aspect, hillshade, curvature, relief."""

from functools import partial

import dask.array as da
import numpy as np
import xarray as xr

from ..errors import GlacierlabError, GridError
from ..io.layers import require_crs, transform_of
from ..tables import lookup
from ._kernels import terrain as kernels

# Name and unit, in the order of the kernel's codes.
UNITS = ("degrees", "degrees", "1", "1", "1", "m-1", "m-1", "m-1", "m", "m", "m")
TERRAIN = dict(zip(kernels.TERRAIN_LAYERS, UNITS, strict=True))
GRADIENTS = {"horn": True, "zevenbergen_thorne": False}
METERS = ("m", "metre", "meter", "metres", "meters")


def terrain(dem, layers=tuple(TERRAIN), *, sun_azimuth=315.0, sun_elevation=45.0, gradient="horn"):
    """Terrain layers of a DEM, by name, in one pass over it; lazy if the DEM is.

    Each looks at the 3 x 3 pixels around its own. It is NaN where one of the nine is, and so on the rim of
    one pixel, as in GDAL.

    Parameters
    ----------
    dem : xarray.DataArray
        Heights [m], dims (y, x), in a projected CRS; either axis may run either way, and pixels need not be
        square. Computed in float32; a declared nodata value becomes NaN.
    layers : str or sequence of str
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
    sun_azimuth, sun_elevation : float
        For hillshade [degrees clockwise from north; above the horizon]; the map maker's sun in the north
        west by default, as in GDAL.
    gradient : {"horn", "zevenbergen_thorne"}
        For slope, aspect and hillshade. Curvature always takes Zevenbergen and Thorne's polynomial.

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
        The sun is below the horizon or nowhere.

    Notes
    -----
    Gradients of Horn (1981) and of Zevenbergen and Thorne (1987), whose polynomial gives the curvatures; TRI
    is Riley's. Gradient, hillshade, TPI, TRI and roughness are those of GDAL, curvatures those of xdem's
    geometric method. A 30 m DEM is best smoothed before its curvature is taken.

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
    horn = lookup(GRADIENTS, gradient, kind="gradient")
    sun = sun_vector(sun_azimuth, sun_elevation)
    dx, dy = steps_m(dem)

    dem = dem.transpose("y", "x")
    if dem.rio.nodata is not None:
        dem = dem.where(dem != dem.rio.nodata)
    kernel = partial(on_block, codes=asked, dx=dx, dy=dy, horn=horn, sun=sun)
    heights = dem.data.astype(np.float32, copy=False)
    if dem.chunks is None:
        values = kernel(heights)
    else:
        values = da.map_overlap(
            lambda block: kernel(block)[:, 1:-1, 1:-1],
            heights,
            depth=1,
            boundary=np.nan,
            trim=False,
            new_axis=0,
            chunks=((len(names),), *heights.chunks),
            meta=np.empty((0, 0, 0), np.float32),
        )
    attrs = {"long_name": "terrain layers", "feature_units": " ".join(TERRAIN[name] for name in names)}
    coords = {"feature": names} | {name: c for name, c in dem.coords.items() if set(c.dims) <= {"y", "x"}}
    return xr.DataArray(values, coords, ("feature", "y", "x"), name="terrain", attrs=attrs)


def on_block(heights, codes, dx, dy, horn, sun):
    """Layers (layer, y, x) float32 of heights (y, x) float32; NaN on the rim."""
    out = np.empty((len(codes), *heights.shape), np.float32)
    kernels.terrain(np.ascontiguousarray(heights), codes, dx, dy, horn, sun, out)
    return out


def sun_vector(azimuth, elevation):
    """The unit vector (east, north, up) towards the sun, float32, of angles in degrees."""
    if not (np.isfinite(azimuth) and 0 <= elevation <= 90):
        raise GlacierlabError(
            f"No sun stands at azimuth {azimuth}, elevation {elevation}: elevation is 0 to 90 degrees."
        )
    azimuth, elevation = np.radians([azimuth, elevation])
    level = np.cos(elevation)
    return tuple(np.float32([level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)]))


def steps_m(dem):
    """The signed steps along x and y [m], float32; GridError for what is no DEM in metres."""
    if set(dem.dims) != {"y", "x"}:
        raise GridError(f"A DEM has dims (y, x), not {dem.dims}: choose one with isel or squeeze.")
    if missing := {"y", "x"} - set(dem.coords):
        raise GridError(f"The DEM has no coordinates in {sorted(missing)}, so no pixel size: assign them.")
    crs = require_crs(dem, "Terrain")
    if crs.is_geographic:
        raise GridError(
            f"The DEM is in degrees ({crs.to_string()}), and slope needs metres: reproject it first, as with "
            "dem.rio.reproject(dem.rio.estimate_utm_crs())."
        )
    unit = dem.attrs.get("units", "m")
    if unit not in METERS:
        raise GridError(
            f"The DEM's heights are in {unit!r}, not in 'm': convert them and set attrs['units']."
        )
    transform, meters = transform_of(dem), crs.linear_units_factor[1]
    return np.float32(transform.a * meters), np.float32(transform.e * meters)
