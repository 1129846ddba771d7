"""The package's exceptions: each says what was wrong, what was found and what to do."""

import sys
import warnings


class GlacierlabError(Exception):
    """Bad input, told in one line; the command line prints it and exits with 2."""


class UnknownNameError(GlacierlabError, LookupError):
    """A name is in none of the tables."""


class MissingBandError(GlacierlabError, LookupError):
    """A scene lacks a band that a feature needs."""


class RadiometryError(GlacierlabError, ValueError):
    """A scene holds other numbers (DN, reflectance) than a feature needs."""


class SceneError(GlacierlabError, ValueError):
    """A file or folder cannot be opened as a scene."""


class GridError(GlacierlabError, ValueError):
    """Two rasters, or a raster and outlines, do not share a grid or an area."""


class InventoryError(GlacierlabError, ValueError):
    """A vector file cannot be read as an inventory."""


class ManifestError(GlacierlabError, ValueError):
    """A manifest of patches is malformed, or cannot be split as asked."""


class ModelFileError(GlacierlabError, ValueError):
    """A model file cannot be read, or a model not be kept in one."""


class SampleError(GlacierlabError, OSError):
    """A sample could not be fetched."""


class WriteError(GlacierlabError, OSError):
    """A result could not be written; nothing was left half-written."""


class DataWarning(UserWarning):
    """Something about the data that the reader can settle with an argument."""


def warn(message):
    """A `DataWarning` at the line of the user's that led here, however deep in the package it arose."""
    package, level = __name__.partition(".")[0], 1
    while sys._getframe(level).f_globals.get("__name__", "").partition(".")[0] == package:
        level += 1
    warnings.warn(message, DataWarning, stacklevel=level + 1)


def require_numbers(values, shape, what):
    """ValueError unless `values` are nested lists of finite numbers, of a shape; for what a file says."""
    if shape:
        if not isinstance(values, list | tuple) or len(values) != shape[0]:
            raise ValueError(f"{what} is not of {' x '.join(map(str, shape))} numbers")
        for value in values:
            require_numbers(value, shape[1:], what)
    elif type(values) not in (int, float) or not abs(values) < 1e300:
        raise ValueError(f"{what} holds {str(values)[:40]!r}, no finite number")


def require_bands(scene, bands, needed_by):
    """The bands by name; MissingBandError unless every one is in the scene."""
    if missing := [band for band in bands if band not in scene]:
        raise MissingBandError(
            f"{needed_by!r} needs {missing}, but the scene has {list(scene.data_vars)}. "
            "Open it with bands=[...] or rename its variables to the common band names."
        )
    return {band: scene[band] for band in bands}


def require_outlines(outlines, needed_by):
    """InventoryError unless these are outlines with a CRS, each a polygon; an empty table passes."""
    if not hasattr(outlines, "geometry") or not hasattr(outlines, "iterrows"):
        raise InventoryError(
            f"{needed_by} needs outlines (a GeoDataFrame), and this is {type(outlines).__name__}: read a "
            "file with open_inventory."
        )
    if outlines.crs is None:
        raise InventoryError(f"{needed_by} needs a CRS and the outlines have none: outlines.set_crs(...).")
    kinds = outlines.geom_type.where(~outlines.geometry.is_empty)
    wrong = outlines.index[~kinds.isin(["Polygon", "MultiPolygon"])].tolist()
    if wrong:
        found = kinds[wrong[0]] if isinstance(kinds[wrong[0]], str) else "empty"
        raise InventoryError(
            f"{needed_by} needs polygons, and {len(wrong)} of {len(outlines)} outlines are none, the first "
            f"in row {wrong[0]!r}: {found}. Leave them out, or see what outlines.qa says."
        )
    west, south, east, north = outlines.total_bounds
    farthest = max(abs(west), abs(east)), max(abs(south), abs(north))
    name, wrong = misread(*farthest, outlines.crs)
    if wrong:
        raise InventoryError(
            f"{needed_by} got coordinates to {max(farthest):g} in {outlines.crs.name}: {MISREAD[name]}."
        )


MISREAD = {  # as outlines.qa advises, in tables/findings.toml
    "degrees_as_meters": "the coordinates look like degrees in a projected CRS: "
    "outlines.set_crs('EPSG:4326', allow_override=True)",
    "meters_as_degrees": "these are no longitudes and latitudes: set the projected CRS with "
    "allow_override=True, or swap the axes",
}


def misread(x, y, crs):
    """What outlines.qa calls coordinates of another CRS, and whether the largest |x| and |y| are so."""
    if crs.is_geographic:
        return "meters_as_degrees", (x > 360) | (y > 90)
    meters = (crs.axis_info[0].unit_conversion_factor or 1) < 10  # a unit of kilometers is another matter
    return "degrees_as_meters", meters & (x <= 180) & (y <= 180)


def require_valid(outlines, needed_by, what="outlines"):
    """InventoryError where a ring crosses itself: its area is not what it looks like."""
    valid = outlines.is_valid.to_numpy()
    if not valid.all():
        first = int(valid.argmin())
        reason = outlines.geometry.iloc[[first]].is_valid_reason().iloc[0]
        raise InventoryError(
            f"{needed_by}: {(~valid).sum()} of {len(outlines)} {what} are invalid, the first in row "
            f"{outlines.index.tolist()[first]!r}: {reason}. open_inventory repairs those of a file, "
            "outlines.qa(…, repair=True) those in memory."
        )


def require_same_grid(first, second, names=("first", "second")):
    """GridError unless both rasters have the same shape, coordinates in y and x, and EPSG code if any."""
    codes = [r.rio.crs.to_epsg() for r in (first, second) if "spatial_ref" in r.coords and r.rio.crs]
    if len(set(codes) - {None}) > 1:
        raise GridError(f"{names[0]} is in EPSG:{codes[0]} and {names[1]} in EPSG:{codes[1]}: reproject one.")
    for dim in ("y", "x"):
        if first.sizes[dim] != second.sizes[dim]:
            shapes = [f"{n} {dict(r.sizes)}" for n, r in zip(names, (first, second), strict=True)]
            raise GridError(f"Different grids: {' and '.join(shapes)}. Reproject one onto the other first.")
        if dim not in first.coords or dim not in second.coords:
            continue
        a, b = first[dim].values, second[dim].values
        step = abs(a[1] - a[0]) if len(a) > 1 else 1.0
        if abs(a - b).max() > 0.01 * step:
            raise GridError(
                f"The grids of {names[0]} and {names[1]} do not overlap pixel by pixel in {dim}: "
                f"{a[0]:g}…{a[-1]:g} and {b[0]:g}…{b[-1]:g}. Reproject one onto the other first."
            )
