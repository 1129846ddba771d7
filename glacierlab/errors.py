"""The package's exceptions: each says what was wrong, what was found and what to do."""

import sys
import warnings
from contextlib import contextmanager


class GlacierlabError(Exception):
    """Bad input, told in one line; the command line prints it and exits with 2.

    Examples
    --------
    >>> import glacierlab as gl
    >>> try:
    ...     gl.synthetic_scene(shape=(0, 0))
    ... except gl.errors.GlacierlabError as error:
    ...     print(error)
    shape=(0, 0) is no two whole numbers of 48 or more, rows and columns.
    """


class UnknownNameError(GlacierlabError, LookupError):
    """A name is in none of the tables.

    Examples
    --------
    >>> import glacierlab as gl
    >>> try:
    ...     gl.models.build_model("unet_pp", 3, 2)
    ... except gl.errors.UnknownNameError as error:
    ...     print(str(error).partition(" Known")[0])
    Unknown model 'unet_pp'. Did you mean 'unetpp'?
    """


class MissingBandError(GlacierlabError, LookupError):
    """A scene lacks a band that a feature needs.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))[["red", "nir"]]
    >>> try:
    ...     scene.glacier.ratio("red", "swir16")
    ... except gl.errors.MissingBandError as error:
    ...     print(str(error).partition(",")[0])
    'red/swir16' needs ['swir16']
    """


class RadiometryError(GlacierlabError, ValueError):
    """A scene holds other numbers (DN, reflectance) than a feature needs.

    Examples
    --------
    >>> import glacierlab as gl
    >>> counts = gl.synthetic_scene(seed=6, shape=(64, 64), radiometry="dn")
    >>> try:
    ...     counts.glacier.index("ndsi")
    ... except gl.errors.RadiometryError as error:
    ...     print(str(error).partition(". ")[0])
    'ndsi' needs reflectance, but the scene holds digital numbers
    """


class SceneError(GlacierlabError, ValueError):
    """A file or folder cannot be opened as a scene.

    Examples
    --------
    >>> import glacierlab as gl
    >>> try:
    ...     gl.open_scene("no-such-scene.tif")
    ... except gl.errors.SceneError as error:
    ...     print(error)
    no-such-scene.tif does not exist. Check the spelling and the folder you are in.
    """


class GridError(GlacierlabError, ValueError):
    """Two rasters, or a raster and outlines, do not share a grid or an area.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> try:
    ...     gl.score(scene.truth, scene.truth[:32])
    ... except gl.errors.GridError as error:
    ...     print(str(error).partition(". ")[0])
    Different grids: prediction {'y': 64, 'x': 64} and reference {'y': 32, 'x': 64}
    """


class InventoryError(GlacierlabError, ValueError):
    """A vector file cannot be read as an inventory.

    Examples
    --------
    >>> import glacierlab as gl
    >>> outlines = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> try:
    ...     gl.area_uncertainty(outlines.set_crs(None, allow_override=True))
    ... except gl.errors.InventoryError as error:
    ...     print(error)
    area_uncertainty needs a CRS and the outlines have none: outlines.set_crs(...).
    """


class ManifestError(GlacierlabError, ValueError):
    """A manifest of patches is malformed, or cannot be split as asked.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> try:
    ...     gl.samples.audit(patches.manifest)
    ... except gl.errors.ManifestError as error:
    ...     print(str(error).partition(";")[0])
    The manifest lacks ['split']
    """


class ModelFileError(GlacierlabError, ValueError):
    """A model file cannot be read, or a model not be kept in one.

    Examples
    --------
    >>> import glacierlab as gl
    >>> try:
    ...     gl.load_model("weights.pt")
    ... except gl.errors.ModelFileError as error:
    ...     print(error)
    weights.pt is not there, or no file.
    """


class SampleError(GlacierlabError, OSError):
    """A sample could not be fetched.

    Examples
    --------
    >>> import glacierlab as gl
    >>> try:
    ...     gl.samples.swiss_snow("no-such-folder")
    ... except gl.errors.SampleError as error:
    ...     print(str(error).partition(":")[0])
    no-such-folder holds no manifest.csv and chips/ of the Swiss snow set
    """


class WriteError(GlacierlabError, OSError):
    """A result could not be written; nothing was left half-written.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     try:
    ...         gl.write_raster(scene.truth, f"{file.name}/map.tif")
    ...     except gl.errors.WriteError as error:
    ...         print(type(error).__name__)
    WriteError
    """


class MissingExtraError(GlacierlabError, ImportError):
    """Something needs packages that an extra of glacierlab brings, and they are not installed.

    Examples
    --------
    >>> import glacierlab as gl
    >>> issubclass(gl.errors.MissingExtraError, ImportError)
    True
    """


class DataWarning(UserWarning):
    """Something about the data that the reader can settle with an argument.

    Examples
    --------
    >>> import warnings
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     series = gl.area_series({year: world.outlines(year) for year in world.years}, total="linear")
    >>> told[0].category.__name__, str(told[0].message).partition(",")[0]
    ('DataWarning', '3 glaciers are not in every inventory')
    """


EXTRAS = {  # what is imported → the extra that brings it
    **dict.fromkeys(
        ("lightning", "safetensors", "segmentation_models_pytorch", "sklearn", "timm", "torch",
         "torchmetrics", "torchvision"),
        "models",
    ),
    **dict.fromkeys(
        ("bokeh", "cartopy", "geoviews", "holoviews", "panel", "param"),
        "viz",
    ),
}  # fmt: skip


@contextmanager
def extras(needed_by):
    """MissingExtraError with what to type, where an import within finds a package of an extra missing.

    Examples
    --------
    >>> try:
    ...     with extras("gl.fit"):
    ...         raise ModuleNotFoundError(name="torch")
    ... except MissingExtraError as error:
    ...     print(error)
    gl.fit needs torch, which is not installed: pip install 'glacierlab[models]'.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        told = f"pip install 'glacierlab[{EXTRAS[missing]}]'"
        raise MissingExtraError(f"{needed_by} needs {missing}, which is not installed: {told}.") from error


def warn(message):
    """A `DataWarning` at the line of the user's that led here, however deep in the package it arose.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     warn("The offset is unknown: give offset=.")
    >>> told[0].category.__name__, str(told[0].message)
    ('DataWarning', 'The offset is unknown: give offset=.')
    """
    package, level = __name__.partition(".")[0], 1
    while sys._getframe(level).f_globals.get("__name__", "").partition(".")[0] == package:
        level += 1
    warnings.warn(message, DataWarning, stacklevel=level + 1)


def require_numbers(values, shape, what):
    """ValueError unless `values` are nested lists of finite numbers, of a shape; for what a file says.

    Examples
    --------
    >>> require_numbers([[1, 2], [3, 4]], (2, 2), "loadings")
    >>> try:
    ...     require_numbers([1, None], (2,), "loadings")
    ... except ValueError as error:
    ...     print(error)
    loadings holds 'None', no finite number
    """
    if shape:
        if not isinstance(values, list | tuple) or len(values) != shape[0]:
            raise ValueError(f"{what} is not of {' x '.join(map(str, shape))} numbers")
        for value in values:
            require_numbers(value, shape[1:], what)
    elif type(values) not in (int, float) or not abs(values) < 1e300:
        raise ValueError(f"{what} holds {str(values)[:40]!r}, no finite number")


def require_bands(scene, bands, needed_by):
    """The bands by name; MissingBandError unless every one is in the scene.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> list(require_bands(scene, ["green", "swir16"], needed_by="ndsi"))
    ['green', 'swir16']
    """
    if missing := [band for band in bands if band not in scene]:
        raise MissingBandError(
            f"{needed_by!r} needs {missing}, but the scene has {list(scene.data_vars)}. "
            "Open it with bands=[...] or rename its variables to the common band names."
        )
    return {band: scene[band] for band in bands}


def require_outlines(outlines, needed_by):
    """InventoryError unless these are outlines with a CRS, each a polygon; an empty table passes.

    Examples
    --------
    >>> import glacierlab as gl
    >>> outlines = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> require_outlines(outlines, "area_change")
    >>> try:
    ...     require_outlines("glaciers.gpkg", "area_change")
    ... except InventoryError as error:
    ...     print(str(error).partition(":")[0])
    area_change needs outlines (a GeoDataFrame), and this is str
    """
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
    """What outlines.qa calls coordinates of another CRS, and whether the largest `|x|` and `|y|` are so.

    Examples
    --------
    >>> from pyproj import CRS
    >>> misread(7.9, 46.5, CRS("EPSG:32632"))
    ('degrees_as_meters', True)
    >>> misread(416_000, 5_149_000, CRS("EPSG:32632"))[1]
    False
    """
    if crs.is_geographic:
        return "meters_as_degrees", (x > 360) | (y > 90)
    meters = (crs.axis_info[0].unit_conversion_factor or 1) < 10  # a unit of kilometers is another matter
    return "degrees_as_meters", meters & (x <= 180) & (y <= 180)


def require_valid(outlines, needed_by, what="outlines"):
    """InventoryError where a ring crosses itself: its area is not what it looks like.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import Polygon
    >>> bow = gpd.GeoDataFrame(geometry=[Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])], crs="EPSG:32632")
    >>> try:
    ...     require_valid(bow, "area_change")
    ... except InventoryError as error:
    ...     print(str(error).partition(",")[0])
    area_change: 1 of 1 outlines are invalid
    """
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
    """GridError unless both rasters have the same shape, coordinates in y and x, and EPSG code if any.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> require_same_grid(scene.red, scene.truth)
    >>> try:
    ...     require_same_grid(scene.red, scene.truth[:, 1:], ("red", "truth"))
    ... except GridError as error:
    ...     print(str(error).partition(". ")[0])
    Different grids: red {'y': 64, 'x': 64} and truth {'y': 64, 'x': 63}
    """
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
