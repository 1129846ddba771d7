"""GLIMS: polygons to glaciers, glaciers to a submission, and what is wrong with one."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import box

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError
from glacierlab.io.glims import glims_ids, write_glims
from glacierlab.io.glims_check import check_glims
from glacierlab.tables import GLIMS_FILES

IMAGES = [
    {"orig_id": "LE71940271998", "inst_name": "TM", "acq_time": "1998-08-31"},
    {
        "orig_id": "swissimage",
        "inst_name": "camera",
        "acq_time": "2009-09-15",
        "imgctrlon": 8.3,
        "imgctrlat": 46.6,
    },
]
SAID = {"analysts": "Doe, Jane", "method": "by hand"}
ISLAND = box(8.014, 46.014, 8.016, 46.016)
ICE = box(8, 46, 8.03, 46.03) - box(8.01, 46.01, 8.02, 46.02) | ISLAND  # a nunatak with ice in it


def polygons(*rows, **columns):
    """GLIMS polygons of (line_type, glac_id, src_date, anlys_id, shape)."""
    names = ["line_type", "glac_id", "src_date", "anlys_id", "geometry"]
    return gpd.GeoDataFrame(pd.DataFrame(rows, columns=names).assign(**columns), crs="EPSG:4326")


def opened(table, tmp_path):
    table.to_file(tmp_path / "a.gpkg")
    return gl.open_inventory(tmp_path / "a.gpkg")


def row(kind, shape, glacier="G008000E46000N", date="1998-08-31T00:00:00", analysis=1):
    return kind, glacier, date, analysis, shape


# ---- reading ----


def test_parts_are_merged_and_rock_is_taken_out(tmp_path):
    parts = [row("glac_bound", box(8, 46, 8.1, 46.1)), row("glac_bound", box(8.2, 46, 8.3, 46.1))]
    table = polygons(*parts, row("intrnl_rock", box(8.04, 46.04, 8.06, 46.06)), length=0.0)
    glaciers = opened(table, tmp_path)
    assert len(glaciers) == 1
    assert (glaciers.parts[0], glaciers.rocks[0]) == (2, 1)
    assert glaciers.geometry[0].area == pytest.approx(2 * 0.01 - 0.0004)
    assert glaciers.src_date[0] == "1998-08-31"
    assert np.isnan(glaciers.lmax_m[0])


def test_dates_and_rivals_stay_apart(tmp_path):
    shape = box(8, 46, 8.1, 46.1)
    rows = [row("glac_bound", shape), row("glac_bound", shape, date="2009-09-15", analysis=2)]
    assert len(opened(polygons(*rows), tmp_path)) == 2
    rival = row("glac_bound", shape.buffer(0.01), analysis=3)
    rock = row("intrnl_rock", box(8.04, 46.04, 8.06, 46.06), analysis=3)
    with pytest.warns(DataWarning, match=r"1 glaciers have several analyses.*anlys_id.*\['G008000E46000N'\]"):
        glaciers = opened(polygons(*rows, rival, rock), tmp_path)
    assert glaciers.anlys_id.tolist() == [1, 2, 3]
    assert glaciers.rocks.tolist() == [0, 0, 1]  # a rival's rock is its own
    assert glaciers.geometry[0].area == pytest.approx(0.01)


def test_debris_is_measured(tmp_path):
    rows = [
        row("glac_bound", box(8, 46, 8.1, 46.1)),
        row("glac_bound", box(9, 46, 9.1, 46.1), "G009000E46000N"),
    ]
    glaciers = opened(polygons(*rows, row("debris_cov", box(7.9, 46, 8.05, 46.1))), tmp_path)
    assert glaciers.debris_frac.tolist() == pytest.approx([0.5, 0], abs=1e-3)
    np.testing.assert_allclose(glaciers.debris_km2, glaciers.debris_frac * glaciers.area_km2)


def test_names_in_capitals_and_kinds_that_are_left_aside(tmp_path):
    rows = [row("GLAC_BOUND ", box(8, 46, 8.1, 46.1)), row("pro_lake", box(8.1, 46, 8.2, 46.1))]
    rows += [row("intrnl_rock", box(9, 46, 9.1, 46.1), "G009000E46000N")]
    table = polygons(*rows).rename(columns=lambda name: name.upper() if name != "geometry" else name)
    with pytest.warns(DataWarning) as warnings:
        glaciers = opened(table, tmp_path)
    told = " ".join(str(w.message) for w in warnings)
    assert "1 pro_lake" in told
    assert "rock or debris of 1 glaciers has no glac_bound" in told
    assert glaciers.glims_id.tolist() == ["G008000E46000N"]


def test_polygons_without_a_boundary(tmp_path):
    with pytest.raises(InventoryError, match=r"no polygon of line_type glac_bound, but \['intrnl_rock'\]"):
        opened(polygons(row("intrnl_rock", box(8, 46, 8.1, 46.1))), tmp_path)


# ---- ids ----


def test_ids_are_those_of_rgi7(data):
    # RGI 7.0 published these; GLIMS gives a glacier its id once, from a point inside it then
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    ids = np.array(glims_ids(glaciers))
    assert (ids == glaciers.glims_id).sum() >= 19
    assert len(set(ids)) == 23


def test_ids_by_hand():
    near = gpd.GeoSeries(
        [shapely.Point(86.949, 27.95).buffer(0.01), shapely.Point(-73.124, -46.647).buffer(0.01)]
    )
    assert glims_ids(gpd.GeoDataFrame(geometry=near, crs=4326)) == ["G086949E27950N", "G286876E46647S"]


def test_ids_are_each_their_own_and_inside():
    shapes = [box(8.0001 + 0.0001 * i, 46, 8.01 + 0.0001 * i, 46.01) for i in range(5)]
    ids = glims_ids(gpd.GeoDataFrame(geometry=shapes, crs=4326))
    assert len(set(ids)) == 5
    for text, shape in zip(ids, shapes, strict=True):
        assert shapely.contains_xy(shape, int(text[1:7]) / 1000, int(text[8:13]) / 1000)


# ---- submissions ----


@pytest.fixture
def glaciers():
    """Two glaciers in meters, one in two parts, one with a nunatak with ice in it."""
    shapes = [ICE, shapely.MultiPolygon([box(8.1, 46, 8.11, 46.01), box(8.12, 46, 8.13, 46.01)])]
    columns = {"glac_name": ["A", "B"], "src_date": ["1998-08-31", "2009"], "rgi_id": ["r1", "r2"]}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4326).to_crs(32632)


@pytest.fixture
def folder(glaciers, tmp_path):
    debris = gpd.GeoDataFrame(geometry=[box(7.9, 46, 8.03, 46.01)], crs=4326).to_crs(32632)
    return write_glims(tmp_path / "glims", glaciers, images=IMAGES, debris=debris, local_unc_m=15, **SAID)


def test_a_submission_comes_back(folder, glaciers):
    assert {path.name for path in folder.glob("*.shp")} == {f"{name}.shp" for name in GLIMS_FILES}
    again = gl.open_inventory(folder)
    assert again.glac_name.tolist() == ["A", "B"]
    assert again.src_date.tolist() == ["1998-08-31", "2009-09-15"]  # a year becomes its image's day
    expected = glaciers.to_crs(4326).geometry
    for ours, theirs in zip(again.geometry, expected, strict=True):
        assert ours.symmetric_difference(theirs).area < 1e-12
    assert again.parts.tolist() == [1, 2]
    assert again.rocks.tolist() == [1, 0]
    assert again.debris_frac[0] == pytest.approx(box(8, 46, 8.03, 46.01).area / ICE.area, rel=1e-3)
    assert again.debris_frac[1] == 0
    assert check_glims(folder).empty


def test_ids_that_are_there_are_kept(glaciers, tmp_path):
    known = glaciers.assign(glims_id=["", "G008125E46005N"])
    again = gl.open_inventory(write_glims(tmp_path, known, images=IMAGES, **SAID))
    assert again.glims_id[1] == "G008125E46005N"
    assert again.glims_id[0] == glims_ids(glaciers)[0]
    assert check_glims(tmp_path).empty


def test_what_the_files_hold(folder):
    tables = {name: gpd.read_file(folder / f"{name}.shp") for name in GLIMS_FILES}
    assert tables["polygons"].line_type.value_counts().to_dict() == {
        "glac_bound": 3, "intrnl_rock": 1, "debris_cov": 1,
    }  # fmt: skip
    assert set(tables["polygons"].loc_unc_x) == {15}
    assert tables["glaciers"].local_id.tolist() == ["r1", "r2"]
    assert tables["session"].analysts.tolist() == ["Doe, Jane"]
    assert tables["image"].imgctrlon.tolist() == pytest.approx([8.0, 8.3], abs=0.03)
    for name, about in GLIMS_FILES.items():
        assert {*about.required} <= {*tables[name]}
        assert tables[name].crs.equals("EPSG:4326", ignore_axis_order=True)


@pytest.mark.parametrize("crs", [4326, 32601, 32660, 3413])
def test_a_submission_across_180_degrees(tmp_path, crs):
    def ellipse(east, a, b):
        turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        return shapely.Polygon(np.column_stack([180 + east + a * np.cos(turn), 71 + b * np.sin(turn)]))

    shapes = [ellipse(0, 0.03, 0.01) - ellipse(0, 0.01, 0.003), ellipse(-0.1, 0.02, 0.01)]
    outlines = gpd.GeoDataFrame({"src_date": "1998-08-31"}, geometry=shapes, crs=4326, index=[0, 1])
    debris = gpd.GeoDataFrame(geometry=[ellipse(0.02, 0.012, 0.003)], crs=4326)
    given = outlines.to_crs(crs), debris.to_crs(crs)
    write_glims(tmp_path, given[0], images=IMAGES[:1], debris=given[1], **SAID)
    polygons = gpd.read_file(tmp_path / "polygons.shp")
    assert polygons.is_valid.all()
    assert (polygons.bounds.maxx - polygons.bounds.minx).max() < 0.05  # no ring jumps
    assert (polygons.bounds[["minx", "maxx"]].abs() <= 180).all(axis=None)
    assert check_glims(tmp_path).empty
    again = gl.open_inventory(tmp_path)
    np.testing.assert_allclose(again.area_km2, outlines.to_crs(3413).to_crs(6931).area / 1e6, rtol=1e-5)
    assert again.debris_km2[0] == pytest.approx(
        (debris.geometry[0] & shapes[0]).area / shapes[0].area * again.area_km2[0], rel=1e-3
    )
    assert glims_ids(given[0]) == again.glims_id.tolist()
    for name in ("session", "image"):
        assert abs(gpd.read_file(tmp_path / f"{name}.shp").geometry.x[0]) > 179.8


@pytest.mark.filterwarnings("ignore:.*repaired")
def test_glims_own_glaciers_once_more(data, tmp_path):
    rhone = gl.open_inventory(data / "rhone_glims")
    again = gl.open_inventory(write_glims(tmp_path, rhone, images=IMAGES, **SAID))
    assert again.glims_id.tolist() == rhone.glims_id.tolist()
    assert again.src_date.tolist() == rhone.src_date.tolist()
    np.testing.assert_allclose(again.area_km2, rhone.area_km2, rtol=1e-9)
    found = check_glims(tmp_path)  # the database's own slip: an id 19 km away
    assert found.finding.tolist() == ["glac_id G008427E46731N lies 18.8 km from its glacier"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"src_date": ["", "2009-09-15"]}, r"1 outlines have no image.*no date"),
        ({"src_date": ["2001-08-31", "2009"]}, r"no image of their date: G\d{6}E46\d{3}N \(2001-08-31\)"),
    ],
)
def test_outlines_without_image(glaciers, tmp_path, change, match):
    with pytest.raises(InventoryError, match=match):
        write_glims(tmp_path / "a", glaciers.assign(**change), images=IMAGES, **SAID)
    assert not (tmp_path / "a").exists()


def test_rings_that_cross_themselves_are_not_written(glaciers, tmp_path):
    bow = shapely.Polygon([(8, 46), (8.1, 46.1), (8.1, 46), (8, 46.1)])
    crossed = glaciers.set_geometry([bow] * len(glaciers), crs="EPSG:4326")
    with pytest.raises(InventoryError, match="write_glims: 2 of 2 outlines are invalid, the first in row 0"):
        write_glims(tmp_path / "a", crossed, images=IMAGES, **SAID)
    with pytest.raises(InventoryError, match="debris=,: 2 of 2 outlines are invalid"):
        write_glims(tmp_path / "a", glaciers, images=IMAGES, debris=crossed, **SAID)
    assert not (tmp_path / "a").exists()


def test_images_that_say_too_little(glaciers, tmp_path):
    with pytest.raises(InventoryError, match="got no outline"):
        write_glims(tmp_path, glaciers.iloc[:0], images=IMAGES, **SAID)
    with pytest.raises(InventoryError, match=r"images lack \['inst_name'\]"):
        write_glims(tmp_path, glaciers, images=[{"orig_id": "a", "acq_time": "2000-01-01"}], **SAID)
    with pytest.raises(InventoryError, match="date as acq_time"):
        write_glims(tmp_path, glaciers, images=[IMAGES[0] | {"acq_time": "LIA"}], **SAID)
    scenes = glaciers.assign(scene_ids=["swissimage", ""])
    with pytest.raises(InventoryError, match="no image"):
        write_glims(tmp_path, scenes, images=IMAGES[:1], **SAID)


BROKEN = {
    "polygons": [
        (lambda t: t.assign(line_type=["ice", *t.line_type[1:]]), "line_type 'ice' is none of"),
        (lambda t: t.assign(image_id=9), "image_id 9 is not in image"),
        (lambda t: t.assign(session_id=7), "session_id 7 is not in session"),
        (lambda t: t.assign(src_date=["2001-01-01", *t.src_date[1:]]), "src_date 2001-01-01 is not its"),
        (lambda t: t.assign(src_date=["", *t.src_date[1:]]), "src_date is empty"),
        (lambda t: t.drop(columns="session_id"), r"lacks the columns \['session_id'\]"),
        (lambda t: t.to_crs(32632), "not in WGS84 degrees"),
        (lambda t: t[t.line_type != "glac_bound"], "has no glac_bound"),
        (lambda t: t.set_geometry(t.geometry.where(t.line_type != "intrnl_rock", t.translate(0.015))),
         "intrnl_rock reaches outside its glacier"),
        (lambda t: t[t.line_type != "intrnl_rock"], r"area 6.9.* km² is 7.7.* km² by its polygons"),
        (lambda t: t.set_geometry(t.boundary), "is LineString, no Polygon"),
    ],
    "glaciers": [
        (lambda t: t.assign(glac_id=["G8E46N", t.glac_id[1]]), "'G8E46N' is no GLIMS id"),
        (lambda t: t.assign(glac_id=["G400000E46000N", t.glac_id[1]]), "outside the globe"),
        (lambda t: t.assign(glac_id=["G010000E46000N", t.glac_id[1]]), r"lies \d+.* km from its glacier"),
        (lambda t: t.assign(anlys_id=1), "anlys_id is there twice"),
        (lambda t: t.assign(src_date="2999-01-01"), "ahead of today"),
    ],
    "session": [(lambda t: t.assign(anlys_time="LIA"), "anlys_time 'LIA' is no date")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "finding"), [(n, *one) for n, all_ in BROKEN.items() for one in all_]
)
def test_findings(folder, name, change, finding):
    change(gpd.read_file(folder / f"{name}.shp")).to_file(folder / f"{name}.shp")
    found = check_glims(folder)
    assert found.finding.str.contains(finding).any(), found.finding.tolist()
    assert list(found) == ["file", "row", "finding"]


def test_a_glacier_twice_and_glaciers_that_overlap(tmp_path):
    west, east = box(8, 46, 8.03, 46.03), box(8.01, 46, 8.04, 46.03)
    table = gpd.GeoDataFrame({"src_date": ["1998-08-31"] * 3}, geometry=[west, west, east], crs="EPSG:4326")
    write_glims(tmp_path / "a", table, images=IMAGES[:1], **SAID)
    found = check_glims(tmp_path / "a")
    told = found[found.file == "glaciers"].groupby("row").finding.apply(list)
    assert told[1] == ["overlaps row 0 by 100.0% of the smaller"]
    assert told[2] == [f"overlaps row {row} by 66.7% of the smaller" for row in (0, 1)]
    glaciers = gpd.read_file(tmp_path / "a/glaciers.shp")
    glaciers.assign(glac_id=glaciers.glac_id[0]).to_file(tmp_path / "a/glaciers.shp")
    assert "glac_id and src_date are there twice" in check_glims(tmp_path / "a").finding.tolist()


def test_files_that_are_missing_or_damaged(folder):
    (folder / "image.shp").unlink()
    (folder / "session.shx").unlink()
    found = check_glims(folder).set_index("file").finding
    assert found["image"] == "is missing"
    assert found["session"].startswith("cannot be read")
