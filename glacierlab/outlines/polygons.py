"""Polygons of a class map."""

import numpy as np

from ..errors import GridError
from ..io.layers import class_map_of, require_crs, transform_of
from ..scores import codes_of
from ..tables import NOT_OBSERVED, lookup
from .curving import require_smoothing, smoothed_arcs
from .measuring import STEP, pixel_areas_km2, still_inside
from .sweeping import Sweep

STRIP = 1024  # rows taken in at once


def vectorize(mask, classes=None, min_area_km2=0.0, smooth=None, tolerance=0.5):
    """Polygons of every class of a map but background, along the pixel edges or smoothed.

    Parameters
    ----------
    mask : xarray.DataArray or xarray.Dataset
        `class_map` (y, x) uint8 with CF flag attributes, in memory or lazy; 0 and 255 get no
        polygon. A Dataset must hold `class_map`. A lazy map is read once, a row of chunks at a time.
    classes : list of str, optional
        Names of the classes to outline; default all but background.
    min_area_km2 : float
        Leave out smaller polygons; see `outlines.clean` to drop them, and small holes, from the map itself.
    smooth : int, optional
        Rounds of Chaikin's corner cutting, as in `outlines.smooth`; default none, along the pixel edges.
    tolerance : float
        Of `outlines.smooth` [px].

    Returns
    -------
    geopandas.GeoDataFrame
        One row for each part that hangs together over eight neighbors, the largest first, in the map's CRS:
        `class` (name), `area_km2` (geodesic, WGS84, to 1e-6), `pixels`, `cenlon`, `cenlat` (a point inside
        [degrees]), `src_date`; smoothed ones also `smoothed`, whether all of the outline could be. Polygons
        are valid, holes are kept, neighbors share their vertices, and planar area is pixels times cell area,
        smoothed or not.

    Raises
    ------
    GridError
        The map has no CRS or several dates, or holds other numbers than codes from 0 to 255;
        or it is no raster.
    UnknownNameError
        The map has no class of that name; the Dataset no `class_map`.
    GlacierlabError
        `smooth` or `tolerance` is no sensible number.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> table = vectorize(scene.truth, classes=["clean_ice"], min_area_km2=0.05)
    >>> table[["class", "area_km2", "pixels"]].round(2)
           class  area_km2  pixels
    0  clean_ice      0.21     237
    1  clean_ice      0.20     219
    2  clean_ice      0.12     134
    3  clean_ice      0.08      93
    4  clean_ice      0.05      56
    """
    import geopandas as gpd

    mask = class_map_of(mask)
    if mask.ndim != 2:
        raise GridError(
            f"Outlines are of one map (y, x), not of dims {mask.dims}: choose one with isel or sel."
        )
    if smooth is not None:
        require_smoothing(smooth, tolerance)
    mask, crs, known = mask.transpose("y", "x"), require_crs(mask, "Outlines"), class_names(mask)
    names = {code: known.get(code, f"class {code}") for code in range(1, NOT_OBSERVED)}
    classes = [classes] if isinstance(classes, str) else classes
    for name in set(classes or ()) - set(names.values()):
        lookup({each: code for code, each in names.items() if code in known}, name, kind="class of the map")
    wanted = [code for code, name in names.items() if classes is None or name in classes]
    arcs, rows = trace(mask, wanted)
    transform, smoothed = transform_of(mask), {}
    if smooth is not None:
        arcs, same = smoothed_arcs(arcs, smooth, tolerance)
        smoothed = {"smoothed": ~arcs.rows_of(same)}
    geometry = placed(arcs, transform).geometries()
    code, pixels, area_km2, _, row, column = rows.T
    inside = gpd.points_from_xy(*(transform * (column + 0.5, row + 0.5)), crs=crs.to_wkt())
    degrees = (still_inside(inside, geometry) if smoothed else inside).to_crs("EPSG:4326")
    columns = {
        "class": [names[each] for each in code],
        "area_km2": area_km2,
        "pixels": pixels.astype(int),
        "cenlon": degrees.x,
        "cenlat": degrees.y,
        "src_date": mask.attrs.get("datetime", ""),
        **smoothed,
        "geometry": geometry,
    }
    outlines = gpd.GeoDataFrame(columns, crs=crs.to_wkt())
    outlines = outlines[outlines.area_km2 >= min_area_km2]
    return outlines.sort_values("area_km2", ascending=False, ignore_index=True, kind="stable")


def trace(mask, wanted):
    """`Arcs` in pixels of a class map (y, x), and its rows: code, pixels, area [km²], place of a pixel."""
    table = np.zeros(256, np.uint8)
    table[wanted] = wanted
    sweep = Sweep(mask.sizes["x"], pixel_areas_km2(mask), STEP)
    for strip in strips(mask):
        for top in range(0, len(strip), STRIP):
            sweep.add(table[strip[top : top + STRIP]])
    return sweep.finish()


def strips(mask):
    """The codes (y, x) uint8 of a map in memory, or of one row of chunks after the other."""
    heights = mask.chunksizes["y"] if mask.chunks else mask.shape[:1]
    ends = np.cumsum(heights)
    for end, height in zip(ends, heights, strict=True):
        codes = np.asarray(mask[end - height : end].values)
        if codes.dtype not in (np.uint8, bool):
            wrong = codes[~((codes >= 0) & (codes <= 255) & (codes == np.trunc(codes)))]
            if wrong.size:
                raise GridError(f"A class map holds codes from 0 to 255, and this one {wrong.flat[0]:g}.")
        yield codes.astype(np.uint8, copy=False)


def placed(arcs, transform):
    """Arcs in pixels as arcs in a map's CRS."""
    x, y = transform * arcs.points.T
    return arcs.along(np.stack([x, y], axis=1), arcs.offsets)


def class_names(mask):
    """Class names by code, of the CF flag attributes."""
    return {code: name for name, code in codes_of(mask, None).items()}
