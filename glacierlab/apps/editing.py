"""Outlines by id, and what an analyst does to them: every act forth and back, and who lies on whom."""

from dataclasses import dataclass, replace
from itertools import count

import geopandas as gpd
import numpy as np
import shapely

from ..errors import InventoryError, UnknownNameError
from ..io.layers import geodesic_area_km2
from ..io.shapes import polygonal
from ..outlines.checking import LIMITS
from ..outlines.cutting import faces_of
from ..outlines.flaws import mended
from ..tables import CLASSES, lookup

GLACIER = "glacier"  # what outlines without a class are
REJECTED = "rejected"
MOVED = 200  # outlines that were changed since the tree was made, before it is made anew


@dataclass(frozen=True)
class Outline:
    """What an act can change of a row."""

    geometry: object  # shapely polygons in the CRS of the table
    area_km2: float
    klass: str = GLACIER
    status: str = ""  # "", "accepted", "edited" or "rejected"
    by: str = ""  # who decided
    at: str = ""  # when, ISO 8601 in UTC
    reason: str = ""
    parent: str | None = None  # the id of the outline it was cut from

    @property
    def counted_km2(self):
        """Its area in the inventory."""
        return 0.0 if self.status == REJECTED else self.area_km2


@dataclass(frozen=True)
class Act:
    """One step: outlines by id before and after, None where there was or is none."""

    what: str
    before: dict
    after: dict

    def turned(self):
        """The act that takes this one back."""
        return Act(f"undo {self.what}", self.after, self.before)

    def lines(self, when, who):
        """What an audit trail says of it, an outline a line."""
        km2 = lambda row: 0.0 if row is None else row.counted_km2
        return [
            {
                "when": when,
                "who": who,
                "what": self.what,
                "id": one,
                "area_before_km2": km2(self.before[one]),
                "area_after_km2": km2(row),
                "change_km2": km2(row) - km2(self.before[one]),
                "reason": "" if row is None or self.what.startswith("undo") else row.reason,
            }
            for one, row in self.after.items()
        ]


class Sheet:
    """Outlines that acts change; it knows neighbors, and goes back and forth.

    Parameters
    ----------
    rows : dict of str to Outline
    crs : pyproj.CRS
    """

    def __init__(self, rows, crs):
        self.rows, self.crs = dict(rows), crs
        self.done, self.undone = [], []
        self._used = {*rows}  # ids, of outlines that are no more too
        self._plant()

    # ---- acts ----

    def put(self, what, after):
        """Do something; what was undone before can then not be done again."""
        act = Act(what, {one: self.rows.get(one) for one in after}, after)
        self._set(act.after)
        self.done.append(act)
        self.undone.clear()
        return act

    def undo(self):
        """Take the last act back; what that does, as an act."""
        act = self.done.pop()
        self._set(act.before)
        self.undone.append(act)
        return act.turned()

    def redo(self):
        """Do again what was undone last."""
        act = self.undone.pop()
        self._set(act.after)
        self.done.append(act)
        return replace(act, what=f"redo {act.what}")

    def again(self, act):
        """Do an act that was done elsewhere, so that it can be taken back as it could there."""
        if self.done and act == self.done[-1].turned():
            return self.undo()
        if self.undone and act == replace(self.undone[-1], what=f"redo {self.undone[-1].what}"):
            return self.redo()
        return self.put(act.what, act.after)

    def forget(self, ids):
        """Rows that are others now: no act that touches them can be taken back."""
        touches = lambda act: not ids.isdisjoint(act.after)
        self.done = [act for act in self.done if not touches(act)]
        self.undone = [act for act in self.undone if not touches(act)]

    def load(self, rows):
        """Take rows as they are elsewhere, by no act; None takes one away."""
        self.forget({*rows})
        self._set(rows)

    def _set(self, rows):
        for one, row in rows.items():
            old = self.rows.get(one)
            if row is None:
                self.rows.pop(one, None)
            else:
                self.rows[one] = row
            if row is None or old is None or old.geometry is not row.geometry:
                self._moved.add(one)
        self._used |= {*rows}
        if len(self._moved) > MOVED:
            self._plant()

    # ---- neighbors ----

    def _plant(self):
        self._ids = list(self.rows)
        self._tree = shapely.STRtree([self.rows[one].geometry for one in self._ids])
        self._moved = set()

    def near(self, geometry, but=None):
        """Ids of outlines, save the rejected, whose boxes touch a geometry's."""
        found = [self._ids[at] for at in np.sort(self._tree.query(geometry))]
        there = [one for one in found if one not in self._moved]
        moved = [one for one in self.rows if one in self._moved]
        shapes = [self.rows[one].geometry for one in moved]
        there += [moved[at] for at in np.flatnonzero(boxes_touch(shapes, geometry))]
        return [one for one in there if one != but and self.rows[one].status != REJECTED]

    def overlaps(self, one):
        """{id: m²} of the ground that an outline shares with others, the largest first."""
        mine = usable(self.rows[one].geometry)
        others = self.near(mine, but=one)
        theirs = np.array([usable(self.rows[other].geometry) for other in others], dtype=object)
        shared = [polygonal(each) for each in shapely.intersection(mine, theirs)]
        found = {
            other: 1e6 * area_km2(ground, self.crs)
            for other, ground in zip(others, shared, strict=True)
            if not ground.is_empty
        }
        found = {other: m2 for other, m2 in found.items() if m2 >= LIMITS["min_overlap_m2"]}
        return dict(sorted(found.items(), key=lambda each: -each[1]))

    def problems(self, one, extent=None):
        """What is wrong with an outline, in words; see `Review.problems`."""
        shape = self.rows[one].geometry
        found = [] if shape.is_valid else [f"invalid: {flaw_of(shape)}"]
        found += [f"overlaps {other} by {m2:,.0f} m²" for other, m2 in self.overlaps(one).items()]
        if extent is not None and not extent.covers(mine := usable(shape)) and mine.area:
            share = 1 - shapely.intersection(mine, extent).area / mine.area
            found += [f"{share:.1%} outside of the scene"]
        return found

    # ---- names ----

    def require(self, one):
        """The outline of an id, or UnknownNameError."""
        if one not in self.rows:
            raise UnknownNameError(
                f"No outline {str(one)[:80]!r} here: the queue lists the {len(self.rows)} ids."
            )
        return self.rows[one]

    def free_id(self, stem, taken=(), first=2):
        """An id that nothing here has or had: the stem and a number."""
        numbered = (f"{stem}-{number}" for number in count(first))
        return next(one for one in numbered if one not in self._used and one not in taken)


def area_km2(geometry, crs):
    """Geodesic area of one geometry."""
    return float(geodesic_area_km2(gpd.GeoSeries([geometry], crs=crs))[0])


def boxes_touch(shapes, geometry):
    """Which of some shapes (n,) have boxes that touch that of a geometry."""
    if not shapes:
        return np.zeros(0, bool)
    west, south, east, north = shapely.bounds(shapes).T
    a, b, c, d = shapely.bounds(geometry)
    return (west <= c) & (east >= a) & (south <= d) & (north >= b)


def usable(shape):
    """Valid polygons of a shape that may be invalid; an empty one if there are none."""
    if shape.is_valid:
        return shape
    return polygonal(shapely.make_valid(shape, method="structure", keep_collapsed=False))


def flaw_of(shape):
    """Why a shape is invalid, in GEOS's words without the place."""
    return shapely.is_valid_reason(shape).partition("[")[0].strip()


# ---- shapes: each gives new ones or says why not ----


def require_polygon(geometry):
    """The geometry without heights; InventoryError unless it is polygons with finite corners."""
    kind = getattr(geometry, "geom_type", type(geometry).__name__)
    if kind not in ("Polygon", "MultiPolygon") or geometry.is_empty:
        empty = "an empty " if getattr(geometry, "is_empty", False) else ""
        raise InventoryError(f"An outline is a polygon, and this is {empty}{kind}: draw one with an inside.")
    geometry = shapely.force_2d(geometry)
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise InventoryError("An outline has a corner that is no finite number: draw it again.")
    return geometry


def require_valid(geometry, what):
    """InventoryError where a ring crosses itself."""
    if not geometry.is_valid:
        raise InventoryError(
            f"{what} cannot be: the outline is invalid ({shapely.is_valid_reason(geometry)}). Drag its "
            "corners apart, or repair it."
        )


def require_class(klass, known):
    """The name of a class of the tables or of the outlines, or UnknownNameError."""
    lookup(dict.fromkeys([*CLASSES, *known]), klass, kind="class")
    return klass


def cut_by(geometry, line):
    """The pieces of an outline along a line: the largest, with all parts that the line leaves whole, first.

    They share their new border, and all other corners stay where they were.
    """
    if getattr(line, "geom_type", "") not in ("LineString", "MultiLineString"):
        raise InventoryError(f"An outline is cut along a line, and this is {type(line).__name__}: draw one.")
    require_valid(geometry, "A cut")
    parts = shapely.get_parts(geometry)
    faces = [faces_of(part, [line]) for part in parts]
    whole = [part for part, cut in zip(parts, faces, strict=True) if len(cut) == 1]
    pieces = sorted((face for cut in faces if len(cut) > 1 for face in cut), key=lambda face: -face.area)
    if not pieces:
        raise InventoryError("The line cuts nothing: draw it from outside the outline through it to outside.")
    main = shapely.MultiPolygon([pieces[0], *whole]) if whole else pieces[0]
    return [main, *pieces[1:]]


def without_hole(geometry, point):
    """The outline with the hole filled that a point lies in."""
    parts, filled = [], 0
    for part in shapely.get_parts(geometry):
        keep = [ring for ring in part.interiors if not shapely.Polygon(ring).covers(point)]
        filled += len(part.interiors) - len(keep)
        parts.append(shapely.Polygon(part.exterior, keep))
    if not filled:
        raise InventoryError("No hole lies there: point into the one that is to be filled.")
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def without(geometry, others, what):
    """The outline without the ground of other polygons."""
    require_valid(geometry, what)
    left = polygonal(shapely.difference(geometry, shapely.union_all(others)))
    if left.is_empty:
        raise InventoryError(f"{what} would leave nothing of the outline: reject it instead.")
    return left


def repaired(geometry, crs):
    """Valid polygons of an outline, as `outlines.qa` repairs them."""
    shape = mended(geometry, crs.is_geographic)
    if shape is None:
        raise InventoryError(
            "No ground is left of this outline once it is repaired: draw it anew or reject it."
        )
    return shape
