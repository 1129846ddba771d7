"""Outlines that someone hands in over the browser: bounded, and read as data."""

import io
import json
import sqlite3
import tempfile
import zipfile
import zlib
from contextlib import closing
from pathlib import Path, PurePosixPath

from ..errors import InventoryError
from ..io.inventory import SHAPEFILE, open_inventory

MAX_BYTES = 64 * 2**20
GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")  # application_id, bytes 68 to 71 of the file
UNPACKED = 4  # times what may be sent: an assumption, for shapefiles pack to a half or a third
NEEDED, PARTS = (".shp", ".shx", ".prj"), (".shp", ".shx", ".prj", ".dbf", ".cpg")  # of a shapefile
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as all programs pack; others can ask for any memory
RARE = "The zip has a password or is packed in a rare way: pack it plainly."
TELL = "Hand in a GeoPackage, GeoJSON or zipped shapefile of polygons."
ACCEPTED = ".gpkg,.geojson,.json,.zip"  # endings, for a browser's choice of files


def read_upload(data, max_bytes=MAX_BYTES):
    """Outlines of a file's bytes; what it is tells its content, not its name.

    Parameters
    ----------
    data : bytes
        A GeoPackage, GeoJSON, or a zip of one shapefile. It lies in a folder of its own while it is read, and
        nowhere afterwards.
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
    with tempfile.TemporaryDirectory(prefix="glacierlab-") as folder:
        path = Path(folder, f"upload{ending_of(data)}")
        if path.suffix == ".shp":
            for ending, part in shapefile_in(data, UNPACKED * max_bytes).items():
                path.with_suffix(ending).write_bytes(part)
        else:
            path.write_bytes(data)
        if path.suffix == ".gpkg":
            require_own_tables(path)
        try:
            return open_inventory(path)
        except InventoryError as error:
            raise InventoryError(str(error).replace(str(path), "The file").splitlines()[0]) from None


def ending_of(data):
    """What the bytes are: ".gpkg", ".geojson", or ".shp" of a zip; InventoryError for anything else."""
    if data[:16] == b"SQLite format 3\0" and data[68:72] in GEOPACKAGE_IDS:
        return ".gpkg"
    if data[:4] == b"PK\3\4":
        return ".shp"
    try:
        kind = json.loads(data, object_pairs_hook=without_addresses).get("type")
    except InventoryError:
        raise
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind not in ("FeatureCollection", "Feature"):
        raise InventoryError(f"The file is neither a GeoPackage nor GeoJSON nor a zip. {TELL}")
    return ".geojson"


def without_addresses(pairs):
    """An object of a GeoJSON; InventoryError where its CRS is an address, which GDAL would ask for."""
    if any(name.lower() == "crs" and has_address(value) for name, value in pairs):
        raise InventoryError(
            "The CRS of the GeoJSON is an address, which is not asked: write it as EPSG code."
        )
    return dict(pairs)


def has_address(value):
    """Whether an object, or one in it, names an address."""
    return isinstance(value, dict) and (
        not {"href", "url"}.isdisjoint(map(str.lower, value)) or any(map(has_address, value.values()))
    )


def shapefile_in(data, most_bytes):
    """{ending: bytes} of the one shapefile in a zip; InventoryError where there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = parts_in(packed.infolist())
            if (size := sum(part.file_size for part in parts.values())) > most_bytes:
                raise InventoryError(
                    f"The shapefile in the zip has {size / 2**20:,.0f} MB unpacked, and "
                    f"{most_bytes / 2**20:,.0f} are read."
                )
            found = {ending: packed.read(part) for ending, part in parts.items()}  # never beyond file_size
    except InventoryError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        raise InventoryError(f"The zip is broken ({told}). Pack it again.") from None
    except RuntimeError:  # a version, patch or encryption that Python cannot unpack
        raise InventoryError(RARE) from None
    if found[".shp"][:4] != SHAPEFILE or found[".shx"][:4] != SHAPEFILE:  # GDAL would try any format
        raise InventoryError("The .shp or .shx in the zip is no shapefile. Pack it again.")
    return found


def parts_in(entries):
    """{ending: entry} of the one shapefile among the entries of a zip."""
    files = [(PurePosixPath(entry.filename.replace("\\", "/")), entry) for entry in entries]
    files = [(path, entry) for path, entry in files if not path.name.startswith(".")]  # of macOS, twins
    shapes = [path for path, _ in files if path.suffix.lower() == ".shp"]
    if len(shapes) != 1:
        told = ", ".join(sorted(path.name for path in shapes)[:5])
        raise InventoryError(
            f"The zip holds {len(shapes)} shapefiles ({told}): pack one alone."
            if shapes
            else f"The zip holds no shapefile. {TELL}"
        )
    stem = shapes[0].with_suffix("")
    parts = {path.suffix.lower(): entry for path, entry in files if path.with_suffix("") == stem}
    parts = {ending: entry for ending, entry in parts.items() if ending in PARTS}
    if missing := [ending for ending in NEEDED if ending not in parts]:
        why = ", which says its CRS" if missing == [".prj"] else ""
        raise InventoryError(f"The shapefile in the zip lacks its {', '.join(missing)}{why}: pack it, too.")
    if any(entry.flag_bits & 1 or entry.compress_type not in PLAIN for entry in parts.values()):
        raise InventoryError(RARE)
    return parts


def require_own_tables(path):
    """InventoryError where a GeoPackage has tables that are not its own.

    A virtual table can name any file, and a view ask for any work.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            made = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    except sqlite3.DatabaseError as error:
        raise InventoryError(f"The GeoPackage is broken ({error}). {TELL}") from None
    words = [sql.lower().split() for sql in made]
    virtual = [each for each in words if each[:3] == ["create", "virtual", "table"]]
    if any("using" not in each or not each[each.index("using") + 1].startswith("rtree") for each in virtual):
        raise InventoryError(f"The GeoPackage has tables that lie elsewhere, which is not read. {TELL}")
    if any(each[0] == "create" and "view" in each[1:3] for each in words):
        raise InventoryError("The GeoPackage has views, which are not read: export the outlines alone.")
