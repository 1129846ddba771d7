"""Flaws of an inventory's geometry: each test sees what was looked at and tells what is wrong."""

from dataclasses import dataclass
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely

from ..errors import misread
from ..io.layers import WGS84, geodesic_area_km2
from ..io.shapes import cut_at_180, polygonal, repaired, unwrapped, width
from .dating import date_flaws
from .findings import Flaw, text_of
from .implausible import attribute_flaws
from .within import in_crs_of, opened, share_within, values_within

POLYGON, MULTIPOLYGON, COLLECTION = 3, 6, 7  # shapely's type ids
PAIRS = 20_000  # neighbors that are cut with each other at a time
DATES = ("src_date", "date", "year")


@dataclass(frozen=True, eq=False)
class Looked:
    """An inventory as far as it could be made sense of; arrays (row,)."""

    given: np.ndarray  # the geometries themselves
    shapes: np.ndarray  # valid polygons of them; None where there is nothing to measure
    crs: object  # None where it is missing
    area_km2: np.ndarray  # geodesic; NaN without
    perimeter_m: np.ndarray  # of the outer rings
    names: list  # (id, date) of each row, as text

    @cached_property
    def known(self):
        return set(self.names)


def inventory_flaws(table, ids, dem, limits):
    """All flaws of an inventory."""
    looked, flaws = look(table, ids)
    for test in (antimeridian_flaws, size_flaws, hole_flaws, double_flaws, overlap_flaws):
        flaws += test(looked, limits)
    flaws += id_flaws(looked)
    if dem is not None:
        flaws += dem_flaws(looked, dem, limits)
    flaws += attribute_flaws(table, looked, limits)
    date = next((name for name in DATES if name in table.columns), None)
    return flaws + (list(date_flaws(table[date].tolist(), limits["today"])) if date else [])


def look(table, ids):
    """What there is to look at, and the flaws that left rows out of it."""
    given, crs = np.array(table.geometry.values, dtype=object), table.crs
    flaws = [Flaw(None, "no_crs", None, f"{len(table)} outlines")] if crs is None and len(table) else []
    none = shapely.is_missing(given) | shapely.is_empty(given)
    flaws += [Flaw(int(at), "no_geometry") for at in np.flatnonzero(none)]
    points, of = shapely.get_coordinates(given, return_index=True)
    broken = np.bincount(of[~np.isfinite(points).all(axis=1)], minlength=len(given)) > 0
    flaws += [Flaw(int(at), "not_finite") for at in np.flatnonzero(broken)]
    kinds = shapely.get_type_id(given)
    other = ~np.isin(kinds, (POLYGON, MULTIPOLYGON)) & ~none
    flaws += [Flaw(int(at), "no_polygon", None, given[at].geom_type) for at in np.flatnonzero(other)]
    shapes = np.where(none | broken | (other & (kinds != COLLECTION)), None, given)
    wrong = coordinate_flaws(shapes, crs)
    flaws += as_one(wrong, np.count_nonzero(~shapely.is_missing(shapes)))
    shapes[[flaw.position for flaw in wrong]] = None
    invalid = ~none & ~broken & ~shapely.is_valid(given)
    reasons = shapely.is_valid_reason(given[invalid])
    flaws += [
        Flaw(int(at), "invalid", None, why) for at, why in zip(np.flatnonzero(invalid), reasons, strict=True)
    ]
    degrees = crs is not None and crs.is_geographic
    shapes = np.array([None if s is None else mended(s, degrees) for s in shapes], dtype=object)
    area, perimeter = measures(shapes, crs)
    return Looked(given, shapes, crs, area, perimeter, names_of(table, ids)), flaws


def coordinate_flaws(shapes, crs):
    """Rows whose coordinates are not those of the CRS."""
    if crs is None:
        return []
    west, south, east, north = shapely.bounds(shapes).T  # NaN where there is none
    x, y = np.fmax(abs(west), abs(east)), np.fmax(abs(south), abs(north))
    name, wrong = misread(x, y, crs)
    return [Flaw(int(at), name, max(x[at], y[at]), f"in {crs.name}") for at in np.flatnonzero(wrong)]


def as_one(flaws, rows):
    """One flaw of the whole table where every one of its rows has it."""
    if len(flaws) < max(2, rows):
        return flaws
    worst = max(flaws, key=lambda flaw: flaw.value)
    return [worst._replace(position=None, evidence=f"all {len(flaws)} outlines, {worst.evidence}")]


def mended(shape, degrees):
    """Valid polygons of a geometry, in degrees cut where they jump at 180°; None if there are none."""
    jumps = degrees and width(shape) > 180
    if jumps:
        (shape,) = unwrapped([shape])
    if not shape.is_valid:
        (shape,) = repaired([shape])
    shape = polygonal(shape)
    if jumps:
        (shape,) = cut_at_180([shape])
    return None if shape.is_empty else shape


def measures(shapes, crs):
    """Geodesic area [km²] and length of the outer rings [m]; NaN where there is no shape, or no CRS."""
    found = np.full((2, len(shapes)), np.nan)
    there = np.flatnonzero([shape is not None for shape in shapes])
    if crs is None or not there.size:
        return found
    degrees = gpd.GeoSeries(shapes[there], crs=crs).to_crs("EPSG:4326")
    known = np.isfinite(degrees.bounds).all(axis=1).to_numpy()
    there, degrees = there[known], degrees[known]
    found[0, there] = geodesic_area_km2(degrees)
    parts, of_row = shapely.get_parts(degrees.values, return_index=True)
    lengths = [WGS84.geometry_length(ring) for ring in shapely.get_exterior_ring(parts)]
    found[1, there] = np.bincount(of_row, lengths, minlength=len(there))
    return found


def names_of(table, ids):
    """(id, date) of each row, as text; '' where there is none."""
    date = next((name for name in DATES if name in table.columns), None)
    columns = [[text_of(v) for v in table[name]] if name else [""] * len(table) for name in (ids, date)]
    return list(zip(*columns, strict=True))


def of_two_dates(looked, one, two):
    """Whether a glacier of two rows has an outline at the other's date: they may overlap by right then."""
    (first, early), (second, late) = looked.names[one], looked.names[two]
    there = [(name, date) in looked.known for name, date in ((first, late), (second, early)) if name]
    return early != late and any(there)


# ---- tests of what was looked at ----


def antimeridian_flaws(looked, limits):
    if looked.crs is None or not looked.crs.is_geographic:
        return []
    there = [at for at, shape in enumerate(looked.shapes) if shape is not None]
    wide = [(at, width(looked.given[at])) for at in there]
    return [Flaw(at, "across_antimeridian", degrees) for at, degrees in wide if degrees > 180]


def size_flaws(looked, limits):
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_width = 2e6 * looked.area_km2 / looked.perimeter_m
    tiny = looked.area_km2 < limits["min_area_km2"]
    thin = mean_width < limits["min_width_m"]
    least, said = limits["min_area_km2"], "{:.3g} km², {:.3g} m around"
    flaws = [
        Flaw(int(at), "tiny", looked.area_km2[at], f"{looked.area_km2[at]:.3g} km², least {least:g}")
        for at in np.flatnonzero(tiny)
    ]
    return flaws + [
        Flaw(int(at), "sliver", mean_width[at], said.format(looked.area_km2[at], looked.perimeter_m[at]))
        for at in np.flatnonzero(thin)
    ]


def holes_of(shape, km2_per_unit):
    """Areas [km²] of a shape's holes, and their shares [1] of the filled polygons."""
    holes = [
        (shapely.Polygon(ring).area, shapely.Polygon(part.exterior).area)
        for part in shapely.get_parts(shape)
        for ring in part.interiors
    ]
    areas, filled = np.array(holes).T
    return areas * km2_per_unit, areas / filled


def hole_flaws(looked, limits):
    flaws = []
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = looked.area_km2 / shapely.area(looked.shapes)
    for at in np.flatnonzero(holed(looked.shapes)):
        areas, shares = holes_of(looked.shapes[at], scale[at])
        small = areas < limits["min_hole_km2"]
        if small.any():
            largest = areas[small].max()
            flaws.append(Flaw(int(at), "small_hole", largest, f"{small.sum()} of {len(areas)} holes"))
        if shares.max() > limits["max_hole_share"]:
            flaws.append(Flaw(int(at), "large_hole", shares.max(), f"{areas[shares.argmax()]:.3g} km²"))
    return flaws


def holed(shapes):
    """Which shapes have holes."""
    parts, of = shapely.get_parts(shapes, return_index=True)
    return np.bincount(of, shapely.get_num_interior_rings(parts).clip(0), len(shapes)) > 0


def double_flaws(looked, limits):
    flaws, seen = [], {}
    for at, shape in enumerate(looked.shapes):
        if shape is None:
            continue
        first = seen.setdefault(shapely.normalize(shape).wkb, at)
        if first != at and not of_two_dates(looked, at, first):
            flaws.append(Flaw(at, "duplicate_geometry", None, "as", first))
    return flaws


def id_flaws(looked):
    """Rows of one id and date."""
    flaws, seen = [], {}
    for at, name in enumerate(looked.names):
        first = seen.setdefault(name, at)
        if first != at and name[0]:
            flaws.append(Flaw(at, "duplicate_id", None, "as", first))
    return flaws


def overlap_flaws(looked, limits):
    there = np.flatnonzero([shape is not None for shape in looked.shapes])
    shapes, area = looked.shapes[there], looked.area_km2[there]
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, two = one[one < two], two[one < two]
    smaller = np.where(area[one] <= area[two], one, two)
    larger = one + two - smaller
    flaws = []
    for start in range(0, len(one), PAIRS):
        pair = slice(start, start + PAIRS)
        small, large = smaller[pair], larger[pair]
        shared = shapely.intersection(shapes[small], shapes[large])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = shapely.area(shared) / shapely.area(shapes[small])
            km2 = share * area[small]
        twins = shapely.equals(shapes[small], shapes[large])
        for k in np.flatnonzero((km2 * 1e6 > limits["min_overlap_m2"]) & ~twins):
            at, other = int(there[small[k]]), int(there[large[k]])
            if not of_two_dates(looked, at, other):
                flaws.append(Flaw(at, "overlap", km2[k], f"{share[k]:.1%} of it, with", other))
    return flaws


def dem_flaws(looked, dem, limits):
    there = [at for at, shape in enumerate(looked.shapes) if shape is not None]
    if looked.crs is None or not there:
        return []
    flaws, dem = [], opened(dem)
    moved = in_crs_of(dem, gpd.GeoSeries(looked.shapes[there], crs=looked.crs))
    for at, shape in zip(there, moved, strict=True):
        inside, pixels, good = share_within(dem, shape), 0, 0
        for values in values_within(dem, shape) if inside else []:
            pixels, good = pixels + len(values), good + np.isfinite(values).sum()
        good = good / pixels if pixels else 0.0
        missing = 1 - inside * good
        if missing > limits["max_off_dem"]:
            said = f"{1 - inside:.1%} outside, {missing - 1 + inside:.1%} over gaps"
            flaws.append(Flaw(at, "off_dem", missing, said))
    return flaws
