"""Repairs of an inventory, each told; what takes a person's knowledge is left as it is."""

from functools import cached_property

import numpy as np
import pandas as pd
import shapely

from ..io.shapes import polygonal, width
from .dating import turned_around
from .flaws import DATES, measures, mended

HALF = 0.5  # of an outline: with more of it inside another, which one is right takes a person


def repaired(table, flaws, limits):
    """The inventory as far as it can be repaired, and for each flaw what was done; '' if nothing was."""
    work = Work(table)
    done = [REPAIRS[flaw.name](work, flaw, limits) if flaw.name in REPAIRS else "" for flaw in flaws]
    return work.table(), done


class Work:
    """An inventory in repair: its shapes, which rows are left, and which areas are to be measured again."""

    def __init__(self, table):
        self.given = table
        self.shapes = np.array(table.geometry.values, dtype=object)
        self.crs = table.crs
        self.left = np.ones(len(table), bool)
        self.changed = np.zeros(len(table), bool)
        self.dates = {}

    def put(self, at, shape):
        self.shapes[at], self.changed[at] = shape, True

    def valid(self, at):
        """The shape at a position as valid polygons; None if there are none."""
        shape = self.shapes[at]
        if shape is None or shape.is_empty or not np.isfinite(shapely.get_coordinates(shape)).all():
            return None
        return mended(shape, self.crs is not None and self.crs.is_geographic)

    @cached_property
    def tree(self):
        return shapely.STRtree(self.shapes)  # later repairs only take ground away

    def lies_in(self, hole, position):
        """Whether the ground of an outline other than that at a position lies in a hole."""
        others = [n for n in self.tree.query(hole) if n != position and self.left[n]]
        return any(hole.relate_pattern(self.valid(n), "T********") for n in others)

    def table(self):
        """The repaired inventory, areas measured anew where they must be."""
        table = self.given.copy()
        table[table.geometry.name] = type(table.geometry)(self.shapes, index=table.index, crs=self.crs)
        if "area_km2" in table.columns and self.changed.any():
            area = pd.to_numeric(table["area_km2"], errors="coerce").to_numpy(float, na_value=np.nan).copy()
            area[self.changed] = measures(self.shapes[self.changed], self.crs)[0]
            table["area_km2"] = area
        for name, cells in self.dates.items():
            table[name] = cells
        return table[self.left]


def leave_out(work, flaw, limits):
    shape = work.valid(flaw.position)
    if shape is not None:
        work.put(flaw.position, shape)
        return "its polygons kept"
    work.left[flaw.position] = False
    return "row left out"


def make_valid(work, flaw, limits):
    if not work.left[flaw.position]:
        return "row left out"
    shape = work.valid(flaw.position)
    if shape is None:
        work.left[flaw.position] = False
        return "nothing was left of it: row left out"
    work.put(flaw.position, shape)
    return f"made valid, {len(shapely.get_parts(shape))} part(s)"


def cut(work, flaw, limits):
    shape = work.valid(flaw.position)
    if shape is None or width(shape) > 180:
        return ""  # around a pole
    work.put(flaw.position, shape)
    return "cut at the 180th meridian"


def fill(work, flaw, limits):
    """Fill small holes, save those that another outline lies in."""
    shape = work.valid(flaw.position)
    scale = measures(np.array([shape], dtype=object), work.crs)[0][0] / shape.area
    parts, filled = [], 0
    for part in shapely.get_parts(shape):
        keep = []
        for ring in part.interiors:
            hole = shapely.Polygon(ring)
            small = hole.area * scale < limits["min_hole_km2"]
            taken = small and work.lies_in(hole, flaw.position)
            keep += [ring] if taken or not small else []
        filled += len(part.interiors) - len(keep)
        parts.append(shapely.Polygon(part.exterior, keep))
    if filled:
        work.put(flaw.position, parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    return f"{filled} filled" if filled else ""


def drop_double(work, flaw, limits):
    work.left[flaw.position] = False
    return "row left out"


def cut_overlap(work, flaw, limits):
    """Take what two outlines share from the smaller."""
    if not (work.left[flaw.position] and work.left[flaw.other]):
        return "one of them left out"
    small, large = work.valid(flaw.position), work.valid(flaw.other)
    left = polygonal(shapely.difference(small, large))
    if left.area < HALF * small.area:
        return ""
    work.put(flaw.position, left)
    return "cut from this one"


def measure(work, flaw, limits):
    work.changed[flaw.position] = True
    return "measured again on the ellipsoid"


def turn_around(work, flaw, limits):
    name = next(name for name in DATES if name in work.given.columns)
    cells = work.dates.setdefault(name, work.given[name].tolist())
    cells[flaw.position] = turned_around(str(cells[flaw.position]))
    return f"now {cells[flaw.position]}"


REPAIRS = {
    "no_geometry": leave_out,
    "not_finite": leave_out,
    "no_polygon": leave_out,
    "invalid": make_valid,
    "across_antimeridian": cut,
    "small_hole": fill,
    "duplicate_geometry": drop_double,
    "overlap": cut_overlap,
    "area_in_degrees": measure,
    "area_differs": measure,
    "date_reversed": turn_around,
}
