"""Scores of a map against a reference: confusion counts first, every score a small function of them."""

import numpy as np
import xarray as xr

from ..errors import GlacierlabError, GridError, UnknownNameError, require_same_grid
from ..tables import CLASSES, NOT_OBSERVED
from .blocks import UNNAMED, pair_of, tally
from .distances import border_distances

BINARY = {name: CLASSES[name].code for name in ("background", "glacier")}  # of masks that name no classes
GLACIER_PARTS = ("clean_ice", "debris_covered_ice")
COUNTS = ["tp", "fp", "fn", "tn"]
UNITS = list(enumerate(("px", "m")))  # columns of border distances


def score(prediction, reference, *, classes=None, region=None, boundary=True, tolerance_px=1):
    """Score a class map or mask against a reference, or several scenes at once.

    Pixels that either side has not observed (255 or NaN) are left out. Classes are matched by name: one that
    only one side knows is not scored and counts as background. Where only one side knows `glacier`, the
    other's `clean_ice` and `debris_covered_ice` are merged to it. Dask arrays are read once, chunk by chunk,
    and the result does not depend on the chunks.

    Parameters
    ----------
    prediction : xarray.DataArray, xarray.Dataset, array, or list or dict of them
        Class map (y, x) with CF `flag_values` and `flag_meanings`, a Dataset with a `class_map`, or a mask
        (True or 1 = glacier). A list or a dict (by name) holds one for each scene.
    reference : as prediction, or geopandas.GeoDataFrame
        Outlines are glacier where they cover a pixel's center. Lists and dicts go with the prediction's;
        anything else serves every scene.
    classes : list of str or dict of str to int, optional
        A list scores these classes only (`["glacier"]` merges its parts on both sides). A dict names the
        codes of maps without flags; default background 0, glacier 1.
    region : array or DataArray (y, x) of bool, GeoDataFrame, or list or dict of them, optional
        Where to score; default everywhere.
    boundary : bool
        Whether to measure boundary distances.
    tolerance_px : float
        Largest distance [px] at which two borders agree in `boundary_f`; 1 is an assumption.

    Returns
    -------
    pandas.DataFrame
        One row a class, against the rest, and "mean", their unweighted mean, where there are several.
        Columns: tp, fp, fn, tn [px]; the scores of `scores_from` [1]; `asd` (Chu et al. 2022: all
        distances pooled), `asd_mean_of_means`, `hausdorff`, `hd95`, each `_px` and `_m`; `boundary_f` [1].
        Undefined scores are NaN, as are meters without coordinates or in degrees; coordinates without a CRS
        are taken for meters (assumption). Several scenes: index (scene, class), then "pooled" (counts
        summed, distances united) and "macro" (unweighted mean over scenes). Means skip NaN and sum counts.
        `attrs`: overall_accuracy and kappa_all_classes of the whole pooled confusion matrix.

    Raises
    ------
    GridError
        Prediction and reference lie on different grids, do not overlap, or lack a CRS that outlines need.
    UnknownNameError
        The sides share no class, lack one of `classes`, hold a code without a name or other scenes.

    Notes
    -----
    Border pixels are those of a class with a 4-neighbor outside it; beyond the image lies background
    (assumption). An unobserved neighbor makes no border, and unobserved pixels are none (assumption).

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> table = score(scene.glacier.map_glaciers(size=0), scene.truth)
    >>> table.loc["glacier", ["precision", "recall", "iou"]].round(1).to_dict()
    {'precision': 0.9, 'recall': 0.9, 'iou': 0.8}
    """
    import pandas as pd

    predictions = _by_scene(prediction)
    references = _by_scene(reference, predictions, "reference")
    regions = _by_scene(region, predictions, "region")
    sides = {scene: (each, references[scene], regions[scene]) for scene, each in predictions.items()}
    results = {scene: _compare(*each, classes, boundary) for scene, each in sides.items()}
    pooled = _pool(list(results.values()))
    table = _class_table(*pooled, tolerance_px)
    if isinstance(prediction, list | tuple | dict):
        tables = {scene: _class_table(*result, tolerance_px) for scene, result in results.items()}
        scenes = pd.concat(tables, names=["scene", "class"])
        macro = _averaged(scenes, scenes.index.get_level_values("class"))
        table = pd.concat([scenes, pd.concat({"pooled": table, "macro": macro}, names=["scene", "class"])])
    table.attrs = _overall(pooled[1])
    return table


def scores_from(tp=None, fp=None, fn=None, tn=None, *, precision=None, recall=None, prevalence=None):
    """Pixel scores of confusion counts, or of the rates that a paper prints; NaN where a ratio is undefined.

    Parameters
    ----------
    tp, fp, fn, tn : int or array of int, any shape
        Pixels. Computed in float64, so that no integer type overflows.
    precision, recall : float or array of float, any shape
        In place of counts, as fractions of 1. They settle f1 and iou.
    prevalence : float or array of float, optional
        Share of all pixels that is glacier in the reference. Precision and recall leave it open, and without
        it the scores that count the background are NaN: iou_background, miou, oa, kappa and mcc.

    Returns
    -------
    dict of str to float or numpy.ndarray
        precision, recall, f1, iou, iou_background, miou (mean of both, Chu et al. 2022), oa (overall
        accuracy), kappa (Cohen) and mcc (Matthews), all [1].

    Raises
    ------
    GlacierlabError
        Neither four counts nor precision and recall, or rates that no map can have together.

    Examples
    --------
    >>> scores = scores_from(tp=80, fp=20, fn=20, tn=880)
    >>> {name: round(float(scores[name]), 3) for name in ("precision", "recall", "iou", "oa", "kappa")}
    {'precision': 0.8, 'recall': 0.8, 'iou': 0.667, 'oa': 0.96, 'kappa': 0.778}
    >>> round(float(scores_from(precision=0.9, recall=0.9)["iou"]), 3)
    0.818
    """
    counts, rates = (tp, fp, fn, tn), (precision, recall, prevalence)
    if all(count is None for count in counts) and precision is not None and recall is not None:
        counts = _shares(*rates)
    elif any(count is None for count in counts) or any(rate is not None for rate in rates):
        raise GlacierlabError("scores_from takes tp, fp, fn and tn, or else precision= and recall= by name.")
    tp, fp, fn, tn = (np.asarray(count, dtype="float64") for count in counts)
    predicted, actual, left, absent = tp + fp, tp + fn, fn + tn, fp + tn
    agreement = tp * tn - fp * fn
    iou, iou_background = _ratio(tp, tp + fp + fn), _ratio(tn, tn + fp + fn)
    scores = {
        "precision": _ratio(tp, predicted),
        "recall": _ratio(tp, actual),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": iou,
        "iou_background": iou_background,
        "miou": (iou + iou_background) / 2,
        "oa": _ratio(tp + tn, predicted + left),
        # (oa - pe) / (1 - pe) times n² above and below, without the difference of nearly equal numbers
        "kappa": _ratio(2 * agreement, predicted * absent + actual * left),
        "mcc": _ratio(agreement, np.sqrt(predicted * actual) * np.sqrt(absent * left)),
    }
    return {name: values[()] for name, values in scores.items()}


def _shares(precision, recall, prevalence):
    """tp, fp, fn, tn as shares of all pixels; without a prevalence as shares of the glacier, and tn NaN."""
    open_ended = prevalence is None
    prevalence = 1.0 if open_ended else prevalence
    precision, recall, prevalence = (np.asarray(r, dtype="float64") for r in (precision, recall, prevalence))
    if any(np.any((rate < 0) | (rate > 1)) for rate in (precision, recall, prevalence)):
        raise GlacierlabError(
            "Precision, recall and prevalence lie between 0 and 1: divide per cents by 100."
        )
    tp = prevalence * recall
    fp, fn = _ratio(tp * (1 - precision), precision), prevalence - tp
    tn = np.full_like(fp, np.nan) if open_ended else 1 - prevalence - fp
    if np.any(tn < -1e-9):
        raise GlacierlabError(
            "No map has this precision and recall at this prevalence: its false positives would be more than "
            "all the background. Check which numbers belong together."
        )
    return tp, fp, fn, np.where(tn < 0, 0.0, tn)  # but for rounding


def polis(a, b):
    """PoLiS distance of two shapely polygons, in units of their coordinates; NaN if one is empty.

    The mean distance of the vertices of `a` to the boundary of `b`, and the reverse, halved. After
    Avbelj et al. 2015, A metric for polygon comparison and building extraction evaluation.

    Parameters
    ----------
    a, b : shapely.Polygon
        In one projected CRS.

    Returns
    -------
    float

    Examples
    --------
    >>> from shapely import box
    >>> round(polis(box(0, 0, 10, 10), box(0, 0, 10, 12)), 6)
    0.5
    """
    import shapely

    if a.is_empty or b.is_empty:
        return np.nan

    def one_way(start, end):
        rings = shapely.get_rings(shapely.get_parts(start))
        vertices = np.concatenate([shapely.get_coordinates(ring)[1:] for ring in rings])  # first = last
        return shapely.distance(shapely.points(vertices), end.boundary).mean()

    return float((one_way(a, b) + one_way(b, a)) / 2)


def burn(outlines, grid):
    """Outlines as a mask: True where a pixel's center lies inside one.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS.
    grid : xarray.DataArray
        (y, x) with CRS and coordinates; its values do not matter.

    Returns
    -------
    xarray.DataArray
        (y, x) bool, in memory.

    Raises
    ------
    GridError
        A CRS is missing, or no outline touches the grid.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> mask = burn(world.outlines(2020), world.scene(2020).red)
    >>> mask.dtype, mask.shape, bool(mask.any())
    (dtype('bool'), (64, 64), True)
    """
    import rioxarray  # noqa: F401  registers .rio
    from rasterio.features import rasterize
    from shapely.geometry import box

    if grid.rio.crs is None or outlines.crs is None:
        bare = "raster" if grid.rio.crs is None else "outlines"
        raise GridError(f"The {bare} have no CRS: set it with raster.rio.write_crs or outlines.set_crs.")
    shapes = outlines.geometry.to_crs(grid.rio.crs.to_wkt())
    bounds = grid.rio.bounds(recalc=True)
    near = shapes.iloc[shapes.sindex.query(box(*bounds))]  # leaves out empty ones too
    if near.empty:
        theirs, ours = (np.round(edges, 3).tolist() for edges in (shapes.total_bounds, bounds))
        raise GridError(
            f"The outlines do not overlap the grid: (west, south, east, north) {theirs} and {ours} "
            "in the grid's CRS. Take other outlines, or another scene."
        )
    grid = grid.transpose("y", "x")
    mask = rasterize(near, grid.shape, transform=grid.rio.transform(recalc=True), dtype="uint8")
    return xr.DataArray(mask == 1, grid.coords, grid.dims)


def _compare(prediction, reference, region, classes, boundary):
    """Scored names, confusion matrix and, for each class, border distances of one scene."""
    prediction = _raster(prediction, "prediction")
    reference = _raster(reference, "reference", prediction)
    region = None if region is None else _raster(region, "region", prediction)
    names, tables = _match(codes_of(prediction, classes), codes_of(reference, classes), classes)
    matrix, borders = tally(pair_of(prediction, reference, region, tables), len(names) + 1, boundary)
    pixel_m = _pixel_size_m(prediction if "x" in prediction.coords else reference)
    return names, matrix, [border_distances(*sides, pixel_m) for sides in borders]


def _match(predicted, actual, classes):
    """Names to score, and for each side a table (256,) uint8 of their places (from 1; 0 = rest) by code."""
    wanted = list(classes) if isinstance(classes, list | tuple) else []
    both_know_glacier = "glacier" in predicted and "glacier" in actual
    merge = "glacier" in {*predicted, *actual, *wanted} and not both_know_glacier
    merged = dict.fromkeys(GLACIER_PARTS, "glacier") if merge else {}
    sides = [{code: merged.get(name, name) for name, code in side.items()} for side in (predicted, actual)]
    shared = [n for n in dict.fromkeys(sides[0].values()) if n in sides[1].values() and n != "background"]
    names = tuple(wanted or shared)
    if not names or not set(names) <= set(shared):
        raise UnknownNameError(
            f"Cannot match {wanted or 'any class'}: the prediction has {list(predicted)}, the reference "
            f"{list(actual)}. Rename their flag_meanings alike, or name codes with classes={{name: code}}."
        )
    tables = np.full((2, 256), UNNAMED, dtype=np.uint8)
    for table, side in zip(tables, sides, strict=True):
        for code, name in side.items():
            table[code] = 1 + names.index(name) if name in names else 0
    tables[:, NOT_OBSERVED] = NOT_OBSERVED
    return names, tables


def _pool(results):
    """Names, confusion matrix and border distances of several scenes as if of one."""
    names, matrices, distances = zip(*results, strict=True)
    if len(set(names)) > 1:
        raise UnknownNameError(f"The scenes have different classes, {names}: choose with classes=[...].")
    by_class = zip(*distances, strict=True)
    united = [[np.concatenate(way, axis=1) for way in zip(*each, strict=True)] for each in by_class]
    return names[0], sum(matrices), united


def _class_table(names, matrix, distances, tolerance_px):
    """Counts and scores, one row a class, and their mean."""
    import pandas as pd

    tp = np.diagonal(matrix)[1:]
    fp, fn = matrix.sum(axis=1)[1:] - tp, matrix.sum(axis=0)[1:] - tp
    counts = {"tp": tp, "fp": fp, "fn": fn, "tn": matrix.sum() - tp - fp - fn}
    table = pd.DataFrame(counts | scores_from(**counts), index=pd.Index(names, name="class"))
    if distances:
        table = table.join(pd.DataFrame([_boundary_scores(d, tolerance_px) for d in distances], table.index))
    return table if len(names) == 1 else pd.concat([table, _averaged(table, ["mean"] * len(names))])


def _averaged(table, by):
    """Unweighted means of scores, sums of counts, by group."""
    how = {column: "sum" if column in COUNTS else "mean" for column in table}
    return table.groupby(by, sort=False).agg(how).rename_axis("class")


def _boundary_scores(distances, tolerance_px):
    """Boundary scores of one class; NaN where one side has no border."""
    there, back = distances if distances[0].size else np.full((2, 2, 1), np.nan)  # (2, n): px, m
    every = np.concatenate([there, back], axis=1)
    scores = {
        "asd": every.mean(axis=1),
        "asd_mean_of_means": (there.mean(axis=1) + back.mean(axis=1)) / 2,
        "hausdorff": every.max(axis=1),
        "hd95": [np.percentile(unit, 95) for unit in every],
    }
    columns = {f"{name}_{unit}": pair[i] for name, pair in scores.items() for i, unit in UNITS}
    precision, recall = (np.mean(way[0] <= tolerance_px) for way in (there, back))
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return columns | {"boundary_f": f if distances[0].size else np.nan}


def _overall(matrix):
    """Overall accuracy and Cohen's kappa of a whole confusion matrix."""
    n, right = float(matrix.sum()), float(np.trace(matrix))
    chance = float(matrix.sum(axis=0, dtype="float64") @ matrix.sum(axis=1, dtype="float64"))
    kappa = _ratio(n * right - chance, n * n - chance)
    return {"overall_accuracy": float(_ratio(right, n)), "kappa_all_classes": float(kappa)}


def _by_scene(value, scenes=None, what="prediction"):
    """One value for each scene: by name, by position, or the same for all."""
    if isinstance(value, list | tuple):
        value = {str(position): each for position, each in enumerate(value)}
    if not isinstance(value, dict):
        return dict.fromkeys(scenes or ["0"], value)
    if not value or (scenes is not None and set(value) != set(scenes)):
        raise UnknownNameError(f"The {what} has scenes {list(value)}, the prediction {list(scenes or [])}.")
    return value


def _raster(value, what, grid=None):
    """A DataArray (y, x) of a class map, a mask or, on the grid, outlines."""
    if isinstance(value, xr.Dataset):
        if "class_map" not in value:
            raise UnknownNameError(f"The {what} holds {list(value)}, no 'class_map': pass one layer.")
        value = value["class_map"]
    if hasattr(value, "to_crs") and grid is not None:
        value = burn(value, grid)
    if not isinstance(value, xr.DataArray):
        if np.ndim(value) != 2 or hasattr(value, "to_crs"):
            raise GridError(f"The {what} is a {type(value).__name__} {np.shape(value)}, not a raster (y, x).")
        value = xr.DataArray(value, dims=("y", "x"))
    if set(value.dims) != {"y", "x"}:
        raise GridError(f"The {what} has dims {value.dims}, not (y, x): select one band or date first.")
    if grid is not None:
        require_same_grid(grid, value, ("prediction", what))
    return value.transpose("y", "x")


def codes_of(raster, classes):
    """Class codes by name, from CF flags or, without them, from `classes`; a bool is glacier or not.

    Parameters
    ----------
    raster : xarray.DataArray
        Class map (y, x), or a mask.
    classes : dict of str to int, or None
        Codes of a map without flags.

    Returns
    -------
    dict of str to int

    Examples
    --------
    >>> import xarray as xr
    >>> import glacierlab as gl
    >>> codes_of(gl.synthetic_scene(seed=6, shape=(64, 64)).truth, None)
    {'background': 0, 'clean_ice': 1, 'debris_covered_ice': 2, 'glacial_lake': 3}
    >>> codes_of(xr.DataArray([[True, False]]), None)
    {'background': 0, 'glacier': 1}
    """
    if raster.dtype == bool or "flag_meanings" not in raster.attrs:
        return classes if isinstance(classes, dict) and raster.dtype != bool else BINARY
    names, codes = raster.attrs["flag_meanings"].split(), raster.attrs.get("flag_values", [])
    if isinstance(codes, str):  # a GeoTIFF keeps attributes as text
        codes = codes.strip("[]").replace(",", " ").split()
    codes = [int(code) for code in np.atleast_1d(codes)]
    if len(names) != len(codes) or not set(codes) <= set(range(256)):
        raise UnknownNameError(f"flag_meanings {names} need a code (0 to 255) each, not flag_values {codes}.")
    return {name: code for name, code in zip(names, codes, strict=True) if code != NOT_OBSERVED}


def _pixel_size_m(raster):
    """Height and width of a pixel [m] (2,); NaN where unknown or in degrees."""
    if not {"y", "x"} <= set(raster.coords) or min(raster.shape) < 2:
        return np.full(2, np.nan)
    import rioxarray  # noqa: F401  registers .rio

    steps = np.array([abs(np.diff(raster[dim].values[[0, -1]])[0]) for dim in ("y", "x")])
    steps = steps / (np.array(raster.shape) - 1)
    crs = raster.rio.crs
    unit = 1 if crs is None else np.nan if crs.is_geographic else crs.linear_units_factor[1]
    return steps * unit


def _ratio(above, below):
    """above / below, NaN where below is 0."""
    return above / np.where(below == 0, np.nan, below)
