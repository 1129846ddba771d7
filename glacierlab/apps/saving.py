"""Where a review is kept: its layer of a GeoPackage, with what was rejected and the trail beside it."""

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from ..errors import InventoryError, WriteError
from ..io.inventory import layer_of
from ..io.layers import geodesic_area_km2, utm_zone
from ..io.schemas import ID_COLUMNS, OURS, known_inventory
from ..io.shapes import cut_at_180, inside_points, polygonal, unwrapped
from ..outlines.findings import text_of
from .editing import GLACIER, REJECTED, Outline, usable
from .geopackage import Layer, crs_of, decoded, digest, opened, quoted, touched
from .rows import REVIEW_ID, SIGNED, UNTRUE, into
from .trail import TRAIL_LAYER, add_lines, after_others, lines_of

REJECTED_LAYER = "review_rejected"
NUMERIC = re.compile("INT|REAL|FLOA|DOUB|BOOL", re.IGNORECASE)  # as SQLite knows types by their names
ALIKE = 1e-6  # share of their place by which corners of one outline may differ in a file and in memory


class ReviewConflict(WriteError):
    """Outlines that this review and another session both changed: `ids`.

    Examples
    --------
    >>> error = ReviewConflict("2 outlines were also changed elsewhere.", ids=["3", "8"])
    >>> error.ids
    ['3', '8']
    """

    def __init__(self, message, ids=()):
        super().__init__(message)
        self.ids = list(ids)


@dataclass(frozen=True)
class Found:
    """A row as the file has it."""

    layer: str
    values: dict
    digest: str


class GeoPackage:
    """A reviewed layer of a file: which of its rows are which outlines, and what they were when last seen."""

    def __init__(self, path, layer, crs):
        self.path, self.layer, self.crs = Path(path), layer, crs  # the CRS of the review
        self.own_crs = crs_of(self.path, layer)
        self.id_column, self.keeps_ids = None, False
        self.fids, self.seen = {}, {}  # {id: row number}, {row number: digest}

    @classmethod
    def of(cls, path, layer, outlines, ids):
        """The layer that outlines come from; InventoryError where they do not."""
        path = Path(path)
        if not path.exists():
            raise InventoryError(f"{path} does not exist: leave path= out, and name a file when you save.")
        with opened(path):  # says what is no GeoPackage
            pass
        layer = layer or layer_of(path, None)
        with opened(path) as db:
            if (home := Layer.of(db, layer)) is None:
                raise InventoryError(f"{path} has no layer {layer!r} of outlines: name one with layer=.")
            file = cls(path, layer, outlines.crs)
            found = file._look(db)
        file._match(
            {fid: row.values for fid, row in found.items() if row.layer == file.layer}, home, outlines, ids
        )
        for fid, row in found.items():
            if row.layer == REJECTED_LAYER and (one := file._id_of(row.values)) not in file.fids:
                file.fids[one] = fid
        file.seen = {fid: row.digest for fid, row in found.items()}
        return file

    # ---- which row is which ----

    def _match(self, rows, home, outlines, ids):
        """Find the row of each outline, by ids or else by order."""
        _, theirs = known_inventory([*home.columns], None)
        names = {name: theirs.get(name) or home.by_lower.get(name) for name in (REVIEW_ID, *ID_COLUMNS)}
        for name in filter(None, names.values()):
            fids = {text_of(row[name]).strip(): fid for fid, row in rows.items()}
            if len(fids) == len(rows) and {*ids} <= {*fids}:
                self.id_column, self.fids = name, {one: fids[one] for one in ids}
                self.keeps_ids = name == REVIEW_ID or "TEXT" in home.columns[name][0].upper()
                return
        shapes = {fid: decoded(row[home.shape]) for fid, row in rows.items()}
        shapes = {fid: shape for fid, shape in shapes.items() if shape and polygonal(usable(shape)).area > 0}
        if len(shapes) != len(ids) or not alike(self._here(shapes.values()), outlines.geometry.values):
            raise InventoryError(
                f"These {len(ids)} outlines are not the {len(rows)} of layer {self.layer!r} of "
                f"{self.path.name}: give the layer they are of, or leave path= out and save to a new file."
            )
        self.fids = dict(zip(ids, shapes, strict=True))

    def _id_of(self, row):
        """The id that a row of the file bears; '' where it bears none."""
        return text_of(row.get(REVIEW_ID)) or (text_of(row.get(self.id_column)) if self.id_column else "")

    def _look(self, db, fids=None):
        """{row number: Found} of all rows or some, those of rejected outlines too."""
        found = {}
        for name in (self.layer, REJECTED_LAYER):
            if layer := Layer.of(db, name):
                rows = layer.rows(db, fids)
                found |= {
                    fid: Found(name, row, digest(row, layer.shape, but=(REVIEW_ID,)))
                    for fid, row in rows.items()
                }
        return found

    def _here(self, shapes):
        """Geometries of the file in the CRS of the review, an array."""
        shapes = gpd.GeoSeries([shapely.force_2d(shape) for shape in shapes], crs=self.own_crs)
        return np.asarray(into(shapes, self.crs).values)

    def _outlines(self, found, home):
        """Outlines of some rows, a list."""
        shapes = self._here(decoded(row.values[home.shape]) for row in found)
        areas = geodesic_area_km2(gpd.GeoSeries(shapes, crs=self.crs))
        klass = home.by_lower.get("class")
        return [
            Outline(
                geometry=shape,
                area_km2=float(km2),
                klass=text_of(row.values.get(klass)) or GLACIER,
                **{field: text_of(row.values.get(name)) for name, field in SIGNED.items()}
                | ({"status": REJECTED} if row.layer == REJECTED_LAYER else {}),
            )
            for shape, km2, row in zip(shapes, areas, found, strict=True)
        ]

    # ---- what earlier reviews left ----

    def rejected(self):
        """{id: Outline} of what is rejected in the file."""
        with opened(self.path) as db:
            found, home = self._look(db), Layer.of(db, self.layer)
        known = {fid: one for one, fid in self.fids.items()}
        away = {known[fid]: row for fid, row in found.items() if row.layer == REJECTED_LAYER and fid in known}
        return dict(zip(away, self._outlines([*away.values()], home), strict=True)) if away else {}

    def trail(self):
        """Lines of the file's trail, the oldest first."""
        with opened(self.path) as db:
            return lines_of(db)

    def now(self, one):
        """An outline as the file has it now; None where it is gone. That is then what was last seen."""
        with opened(self.path) as db:
            found, home = self._look(db), Layer.of(db, self.layer)
        fid = self.fids.get(one)
        if fid not in found:
            self.seen.pop(fid, None)
            return None
        self.seen[fid] = found[fid].digest
        return self._outlines([found[fid]], home)[0]

    # ---- writing ----

    def copied_to(self, path):
        """A copy of the whole file, and what is known of its rows; others may write meanwhile."""
        with opened(self.path) as source:
            target = sqlite3.connect(path)
            source.backup(target)
            target.close()
        other = GeoPackage(path, self.layer, self.crs)
        other.id_column, other.keeps_ids = self.id_column, self.keeps_ids
        other.fids, other.seen = dict(self.fids), dict(self.seen)
        return other

    def write(self, changes, base, lines, over=(), known=0):
        """Write what changed, {id: Outline or None of one that is no more}; the same of what others changed.

        Parameters
        ----------
        changes, base : dict
            Outlines as they are, and as they were when the file was last seen.
        lines : list of dict
            Of the trail.
        over : collection of str
            Outlines that may go over what others made of them.
        known : int
            Lines of the file's trail when it was last seen.
        """
        with opened(self.path, write=True) as db:
            home = Layer.of(db, self.layer)
            if home is None:
                raise WriteError(f"{self.path} has no layer {self.layer!r} any more: save to another file.")
            found = self._look(db)
            fids = dict(self.fids)
            named = {name: fid for fid, row in found.items() if (name := self._id_of(row.values))}
            fids |= {one: named[one] for one in changes if one not in fids and one in named}
            self._require_no_clash(found, home, changes, fids, over)
            Writing(self, db, found, fids, base).all(changes)
            add_lines(db, after_others(lines, lines_of(db)[known:]))
            touched(db, self.layer, REJECTED_LAYER, TRAIL_LAYER)
            ours = {fids.get(one) for one in changes}
            others, new = self._others(found, ours, home)
            if "class" in home.by_lower or "class" not in Layer.of(db, self.layer).by_lower:
                after = {fid: row for fid, row in found.items() if fid not in ours} | self._look(db, ours)
            else:
                after = self._look(db)  # every row got a class
        self.id_column = self.id_column or REVIEW_ID
        self.fids = {one: fid for one, fid in {**fids, **new}.items() if fid in after}
        self.seen = {fid: row.digest for fid, row in after.items()}
        return others

    def _require_no_clash(self, found, home, changes, fids, over):
        """ReviewConflict where others changed, since they were last seen, rows that are to be written."""
        clash = {}
        for one, mine in changes.items():
            fid = fids.get(one)
            row = found.get(fid)
            if one in over or fid is None or (row.digest if row else None) == self.seen.get(fid):
                continue
            theirs = self._outlines([row], home)[0] if row else None
            if not same(mine, theirs):
                clash[one] = theirs
        if clash:
            told = [f"{one} ({whose(theirs)})" for one, theirs in [*clash.items()][:5]]
            raise ReviewConflict(
                f"Somebody changed {len(clash)} of your outlines in {self.path.name} meanwhile: "
                f"{', '.join(told)}. Nothing was written. For each, take theirs (take_theirs), or put yours "
                "over it (save(overwrite=[…])), or save to another file.",
                clash,
            )

    def _others(self, found, ours, home):
        """What others changed, added or took away since the file was last seen.

        As {id: Outline or None}, and {id: row number} of what is there.
        """
        known = {fid: one for one, fid in self.fids.items()}
        new = {fid: row for fid, row in found.items() if fid not in ours and row.digest != self.seen.get(fid)}
        new = {fid: row for fid, row in new.items() if decoded(row.values[home.shape]) is not None}
        names = [known.get(fid) or self._id_of(row.values) or f"row {fid}" for fid, row in new.items()]
        gone = {
            one: None
            for fid, one in known.items()
            if fid in self.seen and fid not in found and fid not in ours
        }
        there = dict(zip(names, self._outlines([*new.values()], home), strict=True)) if new else {}
        return gone | there, dict(zip(names, new, strict=True))


class Writing:
    """One transaction's changes of rows."""

    def __init__(self, file, db, found, fids, base):
        self.file, self.db, self.found, self.fids, self.base = file, db, found, fids, base
        columns = dict.fromkeys(SIGNED, "TEXT") | ({} if file.keeps_ids else {REVIEW_ID: "TEXT"})
        self.home = Layer.of(db, file.layer).with_columns(db, columns)
        self.last = max(found, default=0)
        _, theirs = known_inventory([*self.home.columns], None)
        self.ours = {name: name.lower() for name in self.home.columns}
        self.ours |= {column: name for name, column in theirs.items()}

    def all(self, changes):
        if not self.file.keeps_ids:
            for one, fid in self.file.fids.items():
                if fid in self.found and self.found[fid].values.get(REVIEW_ID) is None:
                    self.home.update(self.db, fid, {REVIEW_ID: one})
        if (
            any(row and row.klass != GLACIER for row in changes.values())
            and "class" not in self.home.by_lower
        ):
            self.home = self.home.with_columns(self.db, {"class": "TEXT"})
            self.db.execute(f"UPDATE {quoted(self.home.name)} SET class = ?", [GLACIER])
        for one, row in changes.items():
            if row is None:
                self.remove(one)
            else:
                self.put(one, row)

    def remove(self, one):
        """Take away a row, whose making was undone."""
        if (fid := self.fids.get(one)) in self.found:
            Layer.of(self.db, self.found[fid].layer).delete(self.db, fid)

    def put(self, one, row):
        """Bring a row to what it is now, and to the layer where it belongs."""
        fid, old = self.fids.get(one), self.base.get(one)
        values = {name: getattr(row, field) for name, field in SIGNED.items()}
        fresh = fid not in self.found
        if fresh:
            fid = self.made(one, row)
        if fresh or old is None or old.geometry != row.geometry:
            values |= self.measured(row)
        if "class" in self.home.by_lower and (fresh or old is None or old.klass != row.klass):
            values[self.home.by_lower["class"]] = row.klass
        self.moved(fid, REJECTED_LAYER if row.status == REJECTED else self.home.name).update(
            self.db, fid, values
        )

    def made(self, one, row):
        """A new row with the attributes of what it was cut from; its number."""
        self.last += 1
        parent = self.found.get(self.fids.get(row.parent))
        values = (
            {n: v for n, v in parent.values.items() if n in self.home.columns} if parent else self.dated()
        )
        values = {name: blank(kind) for name, kind in self.home.needed.items()} | values
        values |= {self.file.id_column if self.file.keeps_ids else REVIEW_ID: one, self.home.key: self.last}
        self.home.insert(self.db, values)
        self.fids[one] = self.last
        self.found[self.last] = Found(self.home.name, values, "")
        return self.last

    def dated(self):
        """The date that all outlines share, for one that is drawn."""
        column = next((name for name, ours in self.ours.items() if ours == "src_date"), None)
        dates = {row.values.get(column) for row in self.found.values()} if column else ()
        return {column: dates.pop()} if len(dates) == 1 else {}

    def measured(self, row):
        """Cells of an outline that has another shape: what is known of it; what no longer holds, missing."""
        shape = gpd.GeoSeries([row.geometry], crs=self.file.crs).to_crs(self.file.own_crs).iloc[0]
        if self.file.own_crs.is_geographic:
            (shape,) = cut_at_180(unwrapped([shape]))
        inside = usable(row.geometry) or row.geometry.envelope
        lon, lat = inside_points(gpd.GeoSeries([inside], crs=self.file.crs))[0]
        again = {"area_km2": row.area_km2, "cenlon": lon, "cenlat": lat, "utm_zone": utm_zone(lon)}
        values = {self.home.shape: self.home.blob(self.db, shape)}
        for name, ours in self.ours.items():
            if ours in again:
                values[name] = float(again[ours]) if ours != "utm_zone" else again[ours]
            elif ours in UNTRUE and self.home.columns[name][1]:
                values[name] = OURS[ours].unknown if ours in OURS else None
        return values

    def moved(self, fid, to):
        """Bring a row to a layer; that layer."""
        now = self.found[fid].layer
        away = self.home.twin(self.db, REJECTED_LAYER) if REJECTED_LAYER in (now, to) else None
        goal = away if to == REJECTED_LAYER else self.home
        if now != to:
            source = self.home if now == self.home.name else away
            values = source.rows(self.db, [fid])[fid]
            goal.insert(
                self.db, {n: v for n, v in values.items() if n in (goal.key, goal.shape) or n in goal.columns}
            )
            source.delete(self.db, fid)
        return goal


def blank(kind):
    """What stands for an unknown value in a column of a type that has to be filled."""
    return 0 if NUMERIC.search(kind) else ""


def whose(row):
    """Who changed a row, in words."""
    return "gone" if row is None else f"by {row.by}, {row.at}" if row.by else "by another program"


def alike(shapes, others):
    """Whether outlines have the boxes of others, one by one, save those that are invalid."""
    valid = shapely.is_valid(shapes)
    ours, theirs = shapely.bounds(shapes)[valid], shapely.bounds(np.asarray(others))[valid]
    return np.allclose(ours, theirs, rtol=ALIKE, atol=ALIKE)


def same(mine, theirs):
    """Whether two outlines say the same, whoever says it."""
    if mine is None or theirs is None:
        return mine is theirs
    far = ALIKE * np.abs(mine.geometry.bounds).max()
    close = shapely.MultiPolygon(shapely.get_parts(mine.geometry).tolist()).equals_exact(
        shapely.MultiPolygon(shapely.get_parts(theirs.geometry).tolist()), far
    )
    return close and (mine.klass, mine.status) == (theirs.klass, theirs.status)
