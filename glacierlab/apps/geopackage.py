"""Rows of a GeoPackage's layer changed where they lie, in one transaction: all else stays as it is.

A GeoPackage is an SQLite database (OGC 12-128r19). SQLite's transactions are all or nothing, also where the
process is killed, and other programs that have the file open see the change.
"""

import re
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import pyogrio
import shapely

from ..errors import InventoryError, WriteError
from ..io.bands import one_line
from ..io.inventory import open_inventory

ALONE = threading.RLock()  # GDAL has an SQLite of its own: in one process neither sees the other's locks
WAIT_S = 10.0  # for another program's transaction
ENVELOPE = (0, 32, 48, 48, 64)  # bytes, by the flag that says what it holds
ONE_OF_SEVERAL = b"\1\6\0\0\0\1\0\0\0"  # how a multipolygon of one begins, little endian


@contextmanager
def opened(path, write=False):
    """A connection to a GeoPackage, in one transaction if it is to write; WriteError says what is wrong."""
    uri = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
    db = None
    ALONE.acquire()
    try:
        db = sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)
        for name, function in SPATIAL.items():
            db.create_function(name, 1, function, deterministic=True)
        db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        yield db
        db.execute("COMMIT")
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise WriteError(reason(path, error)) from error
    finally:
        if db is not None:
            db.close()  # what is not committed is taken back
        ALONE.release()


def outlines_of(path):
    """`open_inventory` of a GeoPackage, while no session of this process writes to it."""
    with ALONE:
        return open_inventory(path)


def reason(path, error):
    """The one line for the analyst."""
    text = one_line(error)
    if not path.exists():
        return f"{path} is gone: save to another file."
    if "locked" in text or "busy" in text:
        return f"{path} is locked by another program that edits it: end its edit session, and save again."
    if "not a database" in text or "no such table: gpkg" in text:
        return f"{path} is no GeoPackage: write one with gl.write_outlines(outlines, 'name.gpkg')."
    return f"{path} cannot be written ({text}). It is as it was: free space, or save to another file."


# ---- geometries ----


def decoded(blob):
    """The shapely geometry of a GeoPackage's binary; None of NULL."""
    if blob is None:
        return None
    return shapely.from_wkb(blob[8 + ENVELOPE[(blob[3] >> 1) & 7] :])


def encoded(geometry, srs_id):
    """The GeoPackage binary of a geometry, with its envelope."""
    west, south, east, north = geometry.bounds
    head = b"GP\0\3" + int(srs_id).to_bytes(4, "little", signed=True)  # little endian, envelope of x and y
    return (
        head + np.array([west, east, south, north], "<f8").tobytes() + shapely.to_wkb(geometry, byte_order=1)
    )


def edge(place):
    """A side of a binary's envelope, for the triggers of the spatial index."""

    def of(blob):
        shape = decoded(blob)
        return None if shape is None or shape.is_empty else shape.bounds[place]

    return of


SPATIAL = {name: edge(place) for place, name in enumerate(("ST_MinX", "ST_MinY", "ST_MaxX", "ST_MaxY"))}
SPATIAL["ST_IsEmpty"] = lambda blob: int(blob is None or decoded(blob).is_empty)


# ---- layers ----


def quoted(name):
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Layer:
    """What a GeoPackage says of a table of features."""

    name: str
    key: str  # the column of row numbers
    shape: str  # the column of geometries
    kind: str  # POLYGON, MULTIPOLYGON or GEOMETRY
    srs_id: int
    columns: dict  # {name: (type, may be missing)} of all others
    needed: dict  # {name: type} of those that a new row has to fill

    @cached_property
    def by_lower(self):
        return {name.lower(): name for name in self.columns}

    @classmethod
    def of(cls, db, name):
        """The layer of a name; None without one."""
        query = (
            "SELECT column_name, geometry_type_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
        )
        found = db.execute(query, [name]).fetchone()
        if found is None:
            return None
        shape, geometry_kind, srs_id = found
        info = db.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
        key = next((column for _, column, _, _, _, primary in info if primary), None)
        if key is None:
            raise InventoryError(
                f"The layer {name!r} has no column of row numbers, as a GeoPackage must have."
            )
        info = [row for row in info if row[1] not in (key, shape)]
        columns = {c: (kind, not full) for _, c, kind, full, _, _ in info}
        needed = {c: kind for _, c, kind, full, default, _ in info if full and default is None}
        return cls(name, key, shape, geometry_kind.upper(), srs_id, columns, needed)

    def rows(self, db, fids=None):
        """{row number: {column: value}} of all rows or some, in the file's order."""
        where = "" if fids is None else f" WHERE {quoted(self.key)} = ?"
        query = f"SELECT * FROM {quoted(self.name)}{where} "
        cursors = [db.execute(query + f"ORDER BY {quoted(self.key)}")] if fids is None else (
            db.execute(query, [fid]) for fid in fids
        )  # fmt: skip
        found = {}
        for cursor in cursors:
            names = [column[0] for column in cursor.description]
            for values in cursor:
                row = dict(zip(names, values, strict=True))
                found[row[self.key]] = row
        return found

    def with_columns(self, db, columns):
        """The layer with further columns {name: type}, added where they are missing."""
        for name, kind in columns.items():
            if name.lower() not in self.by_lower:
                db.execute(f"ALTER TABLE {quoted(self.name)} ADD COLUMN {quoted(name)} {kind}")
        return Layer.of(db, self.name)

    def update(self, db, fid, values):
        """Set cells of a row {column: value}."""
        if values:
            cells = ", ".join(f"{quoted(name)} = ?" for name in values)
            query = f"UPDATE {quoted(self.name)} SET {cells} WHERE {quoted(self.key)} = ?"
            db.execute(query, [*values.values(), fid])

    def insert(self, db, values):
        """Add a row {column: value}."""
        names, marks = ", ".join(map(quoted, values)), ", ".join("?" * len(values))
        db.execute(f"INSERT INTO {quoted(self.name)} ({names}) VALUES ({marks})", [*values.values()])

    def delete(self, db, fid):
        db.execute(f"DELETE FROM {quoted(self.name)} WHERE {quoted(self.key)} = ?", [fid])

    def blob(self, db, geometry):
        """A geometry in this layer's CRS as its binary; the layer is told of the first with several parts."""
        if self.kind == "MULTIPOLYGON" and geometry.geom_type == "Polygon":
            geometry = shapely.MultiPolygon([geometry])
        if self.kind == "POLYGON" and geometry.geom_type != "Polygon":
            self._of_several_parts(db)
        west, south, east, north = geometry.bounds
        grown = (
            "UPDATE gpkg_contents SET "
            "min_x = min(coalesce(min_x, ?1), ?1), min_y = min(coalesce(min_y, ?2), ?2), "
            "max_x = max(coalesce(max_x, ?3), ?3), max_y = max(coalesce(max_y, ?4), ?4) WHERE table_name = ?5"
        )
        db.execute(grown, [west, south, east, north, self.name])
        return encoded(geometry, self.srs_id)

    def _of_several_parts(self, db):
        """Make a layer of polygons one of multipolygons, as QGIS and GDAL do: one part is one of several."""
        for fid, row in self.rows(db).items():
            if (shape := decoded(row[self.shape])) is not None and shape.geom_type == "Polygon":
                self.update(db, fid, {self.shape: encoded(shapely.MultiPolygon([shape]), self.srs_id)})
        said = "UPDATE gpkg_geometry_columns SET geometry_type_name = 'MULTIPOLYGON' WHERE table_name = ?"
        db.execute(said, [self.name])
        (table,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", [self.name]).fetchone()
        (version,) = db.execute("PRAGMA schema_version").fetchone()
        table = re.sub(rf'("?{re.escape(self.shape)}"?\s+)POLYGON', r"\1MULTIPOLYGON", table, count=1)
        db.execute("PRAGMA writable_schema = ON")  # how GDAL changes what a column is declared as
        db.execute("UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", [table, self.name])
        db.execute("PRAGMA writable_schema = OFF")
        db.execute(f"PRAGMA schema_version = {version + 1}")

    def twin(self, db, name):
        """A layer of another name with the same columns, made if it is not there; for any geometry."""
        found = Layer.of(db, name)
        if found is None:
            columns = "".join(f", {quoted(c)} {kind}" for c, (kind, _) in self.columns.items())
            shape = f"{quoted(self.key)} INTEGER PRIMARY KEY, {quoted(self.shape)} GEOMETRY"
            db.execute(f"CREATE TABLE {quoted(name)} ({shape}{columns})")
            register(db, name, "features", self.srs_id)
            db.execute(
                "INSERT INTO gpkg_geometry_columns VALUES (?, ?, 'GEOMETRY', ?, 0, 0)",
                [name, self.shape, self.srs_id],
            )
            return Layer.of(db, name)
        return found.with_columns(db, {c: kind for c, (kind, _) in self.columns.items()})


def register(db, name, kind, srs_id=None):
    """Tell a GeoPackage of a table: "features" or "attributes"."""
    db.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES (?, ?, ?, ?)",
        [name, kind, name, srs_id],
    )


def touched(db, *names):
    """Note that layers were changed now."""
    now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    for name in names:
        db.execute(f"UPDATE gpkg_contents SET last_change = {now} WHERE table_name = ?", [name])


def digest(row, shape, but=()):
    """What tells a row {column: value} from another, in 32 letters.

    Missing values and some columns are not looked at; in the column `shape`, a polygon is the same whether it
    is called one part of several or not.
    """
    said = blake2b(digest_size=16)
    for name in sorted(row.keys() - {*but}):
        value = row[name]
        if name == shape:
            value = value and value[8 + ENVELOPE[(value[3] >> 1) & 7] :].removeprefix(ONE_OF_SEVERAL)
        if value is not None:
            said.update(name.encode())
            said.update(value if isinstance(value, bytes) else repr(value).encode())
    return said.hexdigest()


def crs_of(path, layer):
    """The CRS of a layer, as PROJ knows it."""
    from pyproj import CRS

    return CRS.from_user_input(pyogrio.read_info(path, layer=layer)["crs"])
