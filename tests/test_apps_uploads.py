"""Files that someone hands in: zipped shapefiles, and what would make the server ask or write elsewhere."""

import io
import json
import sqlite3
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import geopandas as gpd
import pytest
import shapely

from glacierlab.apps.uploads import read_upload
from glacierlab.errors import DataWarning, InventoryError


@pytest.fixture
def parts(tmp_path):
    """{ending: bytes} of a shapefile of two outlines."""
    boxes = [shapely.box(5e5, 5e6, 501_000, 5_001_000), shapely.box(5.1e5, 5e6, 512_000, 5_001_000)]
    gpd.GeoDataFrame({"glac_name": ["Zemu", "Ötztal"]}, geometry=boxes, crs="EPSG:32632").to_file(
        tmp_path / "ice.shp", encoding="UTF-8"
    )
    return {path.suffix: path.read_bytes() for path in tmp_path.glob("ice.*")}


def packed(files, method=zipfile.ZIP_DEFLATED):
    """The bytes of a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def named(parts, stem="ice"):
    return {f"{stem}{ending}": data for ending, data in parts.items()}


# ---- zipped shapefiles ----


@pytest.mark.parametrize("stem", ["ice", "a folder/ice", "../../../../ice", "/tmp/ice", "C:\\ice", "..\\ice"])
def test_a_zipped_shapefile_is_read_by_any_name(parts, stem, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "private"))
    (tmp_path / "private").mkdir()
    before = {*tmp_path.rglob("*")}
    others = {"a folder/": b"", "readme.txt": b"of the field", f"__MACOSX/._{stem[-3:]}.shp": b"of macOS"}
    found = read_upload(packed(others | named(parts, stem)))
    assert found.area_km2.tolist() == pytest.approx([1, 2], rel=1e-2)
    assert found.glac_name.tolist() == ["Zemu", "Ötztal"]
    assert {*tmp_path.rglob("*")} == before  # nothing was left, and nothing escaped


def test_endings_in_capitals_and_no_attributes_will_do(parts):
    files = {f"ICE{ending.upper()}": data for ending, data in parts.items() if ending != ".dbf"}
    with pytest.warns(DataWarning, match="lacks its .dbf"):
        assert len(read_upload(packed(files))) == 2


def test_what_is_wrong_with_a_zip_is_told_in_one_line(parts):
    without = lambda *endings: {e: data for e, data in parts.items() if e not in endings}
    whole = packed(named(parts))
    cases = {
        "holds 2 shapefiles (ice.shp, snow.shp): pack one alone": packed(named(parts) | named(parts, "snow")),
        "holds 2 shapefiles (ice.shp, ice.shp)": packed(named(parts) | named(parts, "twice/ice")),
        "holds no shapefile. Hand in a": packed({"readme.txt": b"of the field"}),
        "lacks its .prj, which says its CRS: pack it, too": packed(named(without(".prj"))),
        "lacks its .shx, .prj: pack it, too": packed(named(without(".prj", ".shx"))),
        "is no shapefile": packed(named(parts | {".shp": b"<OGRVRTDataSource/>"})),
        "is packed in a rare way": packed(named(parts), zipfile.ZIP_LZMA),
        "The zip is broken": whole[: len(whole) // 2],
        "zip is broken (": spoiled(whole),
        "cut short": packed(named(parts | {".shp": parts[".shp"][:150]})),
    }
    for told, data in cases.items():
        with pytest.raises(InventoryError) as caught:
            read_upload(data)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "/glacierlab-" not in str(caught.value)


def spoiled(whole):
    """A zip of which one byte within a packed file is another."""
    at = whole.index(b"ice.shp") + 40
    return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]


def test_a_zip_of_a_later_version_is_told(parts):
    whole = bytearray(packed(named(parts)))
    whole[whole.index(b"PK\1\2") + 6] = 99  # the version that its first entry needs
    with pytest.raises(InventoryError, match="is packed in a rare way"):
        read_upload(bytes(whole))


def test_any_spoiled_byte_of_a_zip_is_told_or_harmless(parts):
    whole = packed(named(parts))
    for place in range(0, len(whole), 7):
        spoiled = bytearray(whole)
        spoiled[place] ^= 0xFF
        with suppress(InventoryError, DataWarning):
            assert len(read_upload(bytes(spoiled)))


def test_a_zip_with_a_password_is_told(parts):
    data = bytearray(packed(named(parts)))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag of encryption, in both headers
        start = 0
        while (start := data.find(mark, start)) >= 0:
            data[start + at] |= 1
            start += 4
    with pytest.raises(InventoryError, match="has a password"):
        read_upload(bytes(data))


def test_a_bomb_is_refused_by_what_it_says_and_by_what_it_does(parts):
    zeros = bytes(9 * 2**20)
    bomb = packed(named(parts | {".dbf": zeros}))
    assert len(bomb) < 20_000
    with pytest.raises(InventoryError, match="has 9 MB unpacked, and 8 are read"):
        read_upload(bomb, max_bytes=2 * 2**20)
    liar = bomb.replace(len(zeros).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    with pytest.raises(InventoryError, match="zip is broken"):
        read_upload(liar, max_bytes=2 * 2**20)
    beside = packed(named(parts) | {"zeros.bin": zeros})  # what is not read may be large
    assert len(read_upload(beside, max_bytes=2 * 2**20)) == 2


# ---- what would be fetched ----


@pytest.fixture
def asked():
    """An address on this machine, and what was asked of it."""
    paths = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/crs", paths
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("place", ["file", "geometry", "capitals", "escaped"])
def test_a_crs_that_is_an_address_is_not_asked_for(asked, place):
    url, paths = asked
    link = {"type": "link", "properties": {"href": url}}
    shape = {"type": "Polygon", "coordinates": [[[7, 46], [7.1, 46], [7.1, 46.1], [7, 46]]]}
    feature = {"type": "Feature", "properties": {"crs": "free text", "href": url}, "geometry": shape}
    whole = {"type": "FeatureCollection", "features": [feature]}
    assert len(read_upload(json.dumps(whole).encode())) == 1
    if place == "geometry":
        shape["crs"] = link
    elif place == "capitals":
        whole["CRS"] = {"Type": "URL", "Properties": {"URL": url}}
    else:
        whole["crs"] = link
    text = json.dumps(whole)
    text = text.replace('"crs": {', '"\\u0063rs": {') if place == "escaped" else text
    with pytest.raises(InventoryError, match="is an address"):
        read_upload(text.encode())
    assert paths == []


def test_a_crs_by_name_is_read():
    shape = shapely.box(5e5, 5e6, 501_000, 5_001_000)
    table = gpd.GeoDataFrame(geometry=[shape], crs="EPSG:32632")
    named_crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    data = json.dumps(json.loads(table.to_json(to_wgs84=False)) | {"crs": named_crs}).encode()
    assert read_upload(data).crs == "EPSG:32632"


def test_a_geopackage_with_views_is_refused(tmp_path):
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.box(5e5, 5e6, 501_000, 5_001_000)], crs="EPSG:32632").to_file(path)
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x FROM n"
        )
    database.close()
    with pytest.raises(InventoryError, match="has views, which are not read"):
        read_upload(path.read_bytes())
