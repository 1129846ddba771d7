"""Outlines that someone hands in over the browser: bounded, and read as data."""

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ..errors import InventoryError
from ..io.inventory import open_inventory

MAX_BYTES = 64 * 2**20
GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")  # application_id, bytes 68 to 71 of the file
TELL = "Hand in a GeoPackage or GeoJSON of polygons."


def read_upload(data, max_bytes=MAX_BYTES):
    """Outlines of a file's bytes; what it is tells its content, not its name.

    Parameters
    ----------
    data : bytes
        A GeoPackage or GeoJSON. It lies in a folder of its own while it is read, and nowhere afterwards.
    max_bytes : int

    Returns
    -------
    geopandas.GeoDataFrame
        See `open_inventory`.

    Raises
    ------
    InventoryError
        It is too large, of another kind, broken, or holds no polygons; in one line.
    """
    if len(data) > max_bytes:
        raise InventoryError(
            f"The file has {len(data) / 2**20:.0f} MB, and {max_bytes / 2**20:.0f} may be sent."
        )
    ending = ending_of(data)
    with tempfile.TemporaryDirectory(prefix="glacierlab-") as folder:
        path = Path(folder, f"upload{ending}")
        path.write_bytes(data)
        if ending == ".gpkg":
            require_own_tables(path)
        try:
            return open_inventory(path)
        except InventoryError as error:
            raise InventoryError(str(error).replace(str(path), "The file").splitlines()[0]) from None


def ending_of(data):
    """ ".gpkg" or ".geojson" by what the bytes say; InventoryError for anything else."""
    if data[:16] == b"SQLite format 3\0" and data[68:72] in GEOPACKAGE_IDS:
        return ".gpkg"
    try:
        kind = json.loads(data).get("type")
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind not in ("FeatureCollection", "Feature"):
        raise InventoryError(f"The file is neither a GeoPackage nor GeoJSON. {TELL}")
    return ".geojson"


def require_own_tables(path):
    """InventoryError where a GeoPackage has tables that are elsewhere: a virtual table can name any file."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            made = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    except sqlite3.DatabaseError as error:
        raise InventoryError(f"The GeoPackage is broken ({error}). {TELL}") from None
    words = [sql.lower().split() for sql in made]
    virtual = [each for each in words if each[:3] == ["create", "virtual", "table"]]
    if any("using" not in each or not each[each.index("using") + 1].startswith("rtree") for each in virtual):
        raise InventoryError(f"The GeoPackage has tables that lie elsewhere, which is not read. {TELL}")
