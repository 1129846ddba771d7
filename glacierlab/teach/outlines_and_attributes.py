"""Lesson 8: what it measures, and verdicts of its exercises (answer, data… → finding and its facts)."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rasterio.enums import Resampling
from shapely.affinity import translate

from ..errors import GlacierlabError
from ..features.dem import terrain
from ..io.align import open_layer
from ..outlines import clean
from .answers import as_number

WINDOWS = (0, 3, 5, 7, 9, 11, 13, 15)  # pixels: what cleaning is tried with
EQUAL_IOU = 0.002  # windows as good as the best, an assumption
LUCK = 0.002  # of `glacier_iou`: less apart is the same, an assumption
SHARE = 0.01  # tolerance of an area, an assumption


# ---- what the lesson measures


def misfits(outlines, before, rim_m=60.0):
    """Where outlines that touched no longer fit: ground that two have, and ground that none has [km²].

    `before` are the outlines as they were; along the outer border, as far as `rim_m`, nothing is missed.
    """
    after = outlines.union_all()
    inner = before.union_all().buffer(-rim_m)
    return pd.Series(
        {
            "overlaps [km²]": max(0.0, outlines.area.sum() - after.area) / 1e6,
            "gaps [km²]": inner.difference(after).area / 1e6,
            "points": int(shapely.get_num_coordinates(outlines.geometry.values).sum()),
        }
    )


def glacier_iou(parts, reference):
    """How well parts are the glaciers of a reference: IoU with the best part, mean over glaciers by area."""
    crs = parts.crs if parts.crs.is_projected else parts.estimate_utm_crs()
    ours, theirs = (np.array(each.to_crs(crs).geometry.values) for each in (parts, reference))
    shared = shapely.area(shapely.intersection(theirs[:, None], ours))
    sizes = shapely.area(theirs)
    iou = shared / (sizes[:, None] + shapely.area(ours) - shared)
    return float(np.average(iou.max(axis=1), weights=sizes))


def shade_around(outlines, dem, margin_m=1000.0, pixel_m=30.0):
    """Hillshade of a DEM (a file or an array, any CRS) around outlines, for `viz.divides_figure`."""
    dem = dem if hasattr(dem, "dims") else open_layer(dem, "elevation", None)
    crs = outlines.estimate_utm_crs()
    corners = gpd.GeoSeries([shapely.box(*outlines.to_crs(crs).total_bounds).buffer(2 * margin_m)], crs=crs)
    dem = dem.rio.clip_box(*corners.to_crs(dem.rio.crs.to_wkt()).total_bounds).compute()
    dem = dem.rio.reproject(crs.to_wkt(), resolution=pixel_m, resampling=Resampling.cubic, nodata=np.nan)
    return terrain(dem.rio.clip_box(*corners.buffer(-margin_m).total_bounds), "hillshade")


def spoiled(glaciers):
    """An inventory with mistakes, each of a kind that happens: the lesson tells which."""
    if len(glaciers) < 9:
        raise GlacierlabError(
            f"The lesson's mistakes take 9 glaciers at least, and these are {len(glaciers)}."
        )
    table = glaciers.reset_index(drop=True).copy()
    shapes = list(table.geometry)
    shapes[1] = crossed(shapes[1])  # two corners drawn in the wrong order
    touching, _ = glaciers.sindex.query(glaciers.geometry, predicate="touches", sort=True)
    next_to = [row for row in touching if row not in (1, 5)] or [2]
    shapes[next_to[-1]] = shapes[next_to[-1]].buffer(60)  # drawn too generously, into its neighbor
    shapes[5] = translate(shapes[5], 50_000)  # another zone's coordinates
    table = table.set_geometry(shapes, crs=glaciers.crs)
    table.loc[3, "slope_deg"] = 78.0  # percent
    table.loc[4, ["zmin_m", "zmax_m"]] = table.loc[4, ["zmax_m", "zmin_m"]].to_numpy()
    table.loc[6, "area_km2"] *= 100  # hectares
    table.loc[7, "src_date"] = "2020-09-15/2020-08-01"
    _, south, east, _ = table.geometry[8].bounds
    left_over = table.iloc[[8]].set_geometry([shapely.box(east + 60, south, east + 70, south + 400)])
    left_over = left_over.assign(area_km2=0.004, lmax_m=400)
    table = pd.concat([table, left_over, table.iloc[[0]]], ignore_index=True)  # a sliver, and one twice
    return table.assign(glac_id=[f"G{number:02d}" for number in range(len(table))])


def crossed(shape):
    """A polygon whose border crosses itself: some corners in a row are run through backwards."""
    outline = max(shapely.get_parts(shape), key=lambda part: part.area).exterior
    for last in range(8, len(outline.coords)):
        corners = shapely.get_coordinates(outline)
        corners[1:last] = corners[1:last][::-1]
        if not (found := shapely.Polygon(corners)).is_valid:
            return found
    return shape


# ---- verdicts


def clean_window(answer, rough, truth):
    """A window (odd, or 0 for none) with which cleaning brings a map as near to the truth as any."""
    number = as_number(answer)
    if number is None or number < 0 or number != int(number) or number > 99:
        return "type", {}
    window = int(number)
    if window and window % 2 == 0:
        return "even", dict(window=window)
    known = truth == 1
    found = {}
    for size in {*WINDOWS, window}:
        mapped = clean(rough, size=size) == 1
        found[size] = float((mapped & known).sum() / (mapped | known).sum())
    best = max(found, key=found.get)
    facts = dict(window=window, iou=found[window], best_iou=found[best])
    if found[window] >= found[best] - EQUAL_IOU:
        return "right", facts
    return ("narrow" if window < best else "wide"), facts


def better_divides(answer, lesson, truth):
    """Glaciers (a GeoDataFrame) that are nearer to the true ones than the lesson's."""
    if not hasattr(answer, "geometry"):
        return "type", {}
    if not np.isclose(answer.to_crs(lesson.crs).area.sum(), lesson.area.sum(), rtol=0.001):
        return "ice", dict(area=answer.to_crs(lesson.crs).area.sum() / 1e6, lesson=lesson.area.sum() / 1e6)
    yours, ours = glacier_iou(answer, truth), glacier_iou(lesson, truth)
    facts = dict(yours=yours, lesson=ours, count=len(answer), true=len(truth))
    finding = "right" if yours > ours + LUCK else "worse" if yours < ours - LUCK else "same"
    return finding, facts


def area_below(answer, table, height_m):
    """How much ice [km²] of `hypsometry`'s table lies below a height, a border between bands."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    bands = [name for name in table if not isinstance(name, str)]
    low = [name for name in bands if name < height_m]
    shares = table[low].sum(axis=1) / 1000
    total = table["area_km2"].sum()
    right = float((shares * table["area_km2"]).sum())
    near = lambda other: abs(number - other) <= SHARE * max(abs(other), 1e-9)
    facts = dict(number=number, height=height_m, total=total, percent=100 * right / total)
    for finding, value in {
        "right": right,
        "above": total - right,
        "unweighted": shares.mean() * total,
        "share": right / total,
        "percent": 100 * right / total,
        "thousandths": 1000 * shares.sum(),
    }.items():
        if near(value):
            return finding, facts
    return "off", facts


def needs_a_person(answer, findings):
    """Names of the findings of `qa(…, repair=True)` for which nothing was done."""
    if isinstance(answer, str) or not isinstance(answer, list | tuple | set | np.ndarray | pd.Series):
        return "type", {}
    answer = set(answer)
    known, open_ = set(findings["finding"]), set(findings.loc[findings["done"] == "", "finding"])
    told = dict(names=", ".join(sorted(open_)), found=len(answer & open_), missing=len(open_ - answer))
    if strangers := answer - known:
        return "unknown", dict(strangers=", ".join(sorted(map(str, strangers))))
    if extra := answer - open_:
        return "extra", dict(extra=", ".join(sorted(extra)))
    return ("missing" if open_ - answer else "right"), told


JUDGES = (clean_window, better_divides, area_below, needs_a_person)
