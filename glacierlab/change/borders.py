"""Outlines in meters, joined where they touch: a divide between two glaciers is no border of ice."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import warn
from ..io.layers import metric_crs
from ..outlines.flaws import DATES
from ..scores import GLACIER_PARTS
from .dated import date_text

DEGREE_M = 111_000.0  # of latitude, about
GAP_M = 0.1  # outlines nearer than this touch: what a file's rounding and another CRS may open; an assumption
SAME = 0.5  # of the smaller of two outlines: with more in common, one lies on the other; an assumption


@dataclass(frozen=True)
class Borders:
    """What touches what: glaciers that share a divide are one complex, with one border."""

    shapes: np.ndarray  # (n,) polygons in meters
    complex_of: np.ndarray  # (n,) int, the place of each outline's complex in `complexes`
    complexes: np.ndarray  # (k,) polygons in meters
    length_m: np.ndarray  # (n,) of each outline's border, divides left out
    crs: np.ndarray  # (k,) in which the complexes lie
    layer: np.ndarray  # (n,) int, the same where outlines lie side by side, as those of one date do

    def per_outline(self, of_complexes):
        """What complexes have (k,), dealt out to their outlines (n,) by length of border."""
        whole = np.bincount(self.complex_of, self.length_m, len(self.complexes))[self.complex_of]
        dealt = np.zeros(len(self.shapes))
        return np.divide(of_complexes[self.complex_of] * self.length_m, whole, where=whole > 0, out=dealt)


def borders_of(outlines, crs=None, gap_m=GAP_M):
    """The `Borders` of outlines, in `crs`, else each complex in UTM or polar stereographic by its center."""
    first, second = touching(outlines, gap_m)
    layer = layers_of(outlines, first, second)
    beside = layer[first] == layer[second]
    first, second, n = first[beside], second[beside], len(outlines)
    links = coo_array((np.ones(len(first), bool), (first, second)), (n, n))
    count, complex_of = connected_components(links, directed=False)
    crs = metric_crs_of(outlines, complex_of, count) if crs is None else np.full(count, crs, object)
    shapes = np.empty(n, object)
    for code in set(crs):
        there = crs[complex_of] == code
        shapes[there] = outlines.geometry[there].to_crs(code).values
    broken = ~shapely.is_valid(shapes)  # a sliver of the old CRS may cross itself in the new one
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    length = shapely.length(shapes)
    shared = shapely.length(
        shapely.intersection(
            shapely.boundary(shapes[first]), shapely.boundary(shapes[second]), grid_size=gap_m
        )
    )
    length -= np.bincount(first, shared, n) + np.bincount(second, shared, n)
    complexes = join(shapes, complex_of, count, gap_m)
    return Borders(shapes, complex_of, complexes, np.maximum(length, 0.0), crs, layer)


def touching(outlines, gap_m):
    """Places (m,), (m,) of outlines of one kind that lie within a gap of each other, each pair once."""
    shapes = outlines.geometry.values
    if outlines.crs.is_geographic:
        gap = gap_m / DEGREE_M
        pairs = [neighbors(shapes, shapes, gap)]
        west, _, east, _ = shapely.bounds(shapes).T
        if len(shapes) and west.min() < -179 and east.max() > 179:  # the antimeridian's other side
            moved = shapely.transform(shapes, lambda degrees: degrees + np.array([360.0, 0.0]))
            pairs.append(neighbors(moved, shapes, gap))
    else:
        pairs = [neighbors(shapes, shapes, gap_m / outlines.crs.axis_info[0].unit_conversion_factor)]
    first, second = np.concatenate(pairs, axis=1)
    kinds = kinds_of(outlines)
    found = np.unique(np.sort([first, second], axis=0), axis=1)
    return found[:, (found[0] != found[1]) & (kinds[found[0]] == kinds[found[1]])]


def layers_of(outlines, one, two):
    """The layer of each outline (n,), of pairs that touch: what lies on another is in another layer.

    Where outlines of two dates lie on each other, every date is a layer; else the table is one inventory,
    drawn from scenes of several days. Copies of one date get layers of their own, and a DataWarning.
    """
    shapes, date = outlines.geometry.values, dates_of(outlines)
    area = shapely.area(shapes)
    shared = shapely.area(shapely.intersection(shapes[one], shapes[two]))
    upon = shared > SAME * np.minimum(area[one], area[two])
    twice = upon & (date[one] == date[two])
    if (twice == upon).all():
        date = np.zeros_like(date)
    copy = np.zeros_like(date)
    for at in np.flatnonzero(twice)[np.argsort(two[twice], kind="stable")]:  # what lies below comes first
        copy[two[at]] = max(copy[two[at]], copy[one[at]] + 1)
    if twice.any():
        rows, at = outlines.index.tolist(), twice.argmax()
        warn(
            f"{(copy > 0).sum()} of {len(outlines)} outlines lie on others of their date, such as row "
            f"{rows[two[at]]!r} on row {rows[one[at]]!r}, and their ground counts twice: see outlines.qa."
        )
    return date * len(outlines) + copy


def dates_of(outlines):
    """A number for each outline's date (n,)."""
    column = next((name for name in DATES if name in outlines), None)
    if column is None:
        return np.zeros(len(outlines), int)
    return np.unique([date_text(date) for date in outlines[column]], return_inverse=True)[1]


def neighbors(shapes, others, gap):
    """Pairs (2, m) of shapes and others within a gap."""
    return shapely.STRtree(others).query(shapes, predicate="dwithin", distance=gap)


def kinds_of(outlines):
    """The class of each outline (n,), clean and debris-covered ice being one: lakes join no glaciers."""
    if "class" not in outlines:
        return np.zeros(len(outlines), int)
    return outlines["class"].replace(dict.fromkeys(GLACIER_PARTS, "glacier")).to_numpy(object)


def metric_crs_of(outlines, complex_of, count):
    """A CRS in meters for each complex, (k,), by the mean place of its outlines."""
    inside = gpd.GeoSeries(outlines.representative_point(), crs=outlines.crs).to_crs("EPSG:4326")
    longitude, latitude = np.radians(inside.x.to_numpy()), inside.y.to_numpy()
    east, north = (np.bincount(complex_of, part, count) for part in (np.cos(longitude), np.sin(longitude)))
    latitude = np.bincount(complex_of, latitude, count) / np.bincount(complex_of, minlength=count)
    middle = np.degrees(np.arctan2(north, east))
    return np.array([metric_crs(*place) for place in zip(middle, latitude, strict=True)], object)


def join(shapes, complex_of, count, gap_m):
    """The union of each complex, (k,): divides gone, and seams, such as a cut along the antimeridian."""
    order = np.argsort(complex_of, kind="stable")
    members = np.split(order, np.searchsorted(complex_of[order], np.arange(1, count)))
    joined = np.empty(count, object)
    for number, places in enumerate(members if count else []):
        whole = shapes[places[0]]
        several = len(places) > 1 or whole.geom_type == "MultiPolygon"
        joined[number] = shapely.union_all(shapes[places], grid_size=gap_m) if several else whole
    return joined
