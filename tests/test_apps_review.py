"""A review and what it leaves: queue, GeoPackage, trail, journal after a kill, labels."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
import xarray as xr
from reviewing import UTM, X, Y, across, contents, layer, opened, outlines, square, written

import glacierlab as gl
from glacierlab.apps.doubts import border_m
from glacierlab.apps.geopackage import opened as database
from glacierlab.apps.journal import safe_name
from glacierlab.apps.review import Review, expected_area_error
from glacierlab.apps.saving import ReviewConflict
from glacierlab.errors import DataWarning, InventoryError, WriteError

UNTRUE = pytest.mark.filterwarnings("ignore:.*another shape now")


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "ötztal.gpkg")


def journals(path):
    return sorted(each.name for each in path.parent.glob("*.jsonl"))


# ---- the queue


def test_the_queue_begins_where_most_area_is_in_doubt_and_its_order_stays():
    review = Review(outlines(), doubt=[0.1, 0.4, 0.1, np.nan])
    assert review.queue.id.tolist() == ["g1", "g0", "g2", "g3"]
    assert review.current == "g1"
    assert review.queue.columns.tolist() == ["id", "name", "area_km2", "expected_error_km2", "status"]
    review.replace("g2", square(2, side=9000))
    review.cut("g0", across(0))
    assert review.queue.id.tolist() == ["g1", "g0", "g0-2", "g2", "g3"]


def test_next_goes_to_what_nobody_decided_and_previous_back():
    review = Review(outlines(), doubt=[4, 3, 2, 1])
    review.accept("g1")
    assert (review.next(), review.next(), review.next()) == ("g2", "g3", "g0")
    review.go("g2")
    assert review.previous() == "g1"
    for one in review.ids:
        review.accept(one)
    assert review.next() == "g1"  # nothing is left: it stays
    empty = Review(outlines().iloc[:0])
    assert (empty.current, empty.next(), empty.previous(), len(empty.queue)) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"rgi_id": ["b", "a"]}, ["b", "a"]),
        ({"rgi_id": ["", ""], "glims_id": [7, 8]}, ["7", "8"]),
        ({"rgi_id": ["a", "a"], "glac_name": ["Ötztal", "Zemu"]}, ["Ötztal", "Zemu"]),
        ({"rgi_id": ["a", None]}, ["0", "1"]),
        ({"rgi_id": None}, ["0", "1"]),
    ],
)
def test_ids_are_those_of_the_first_column_that_names_every_row_once(columns, ids):
    assert Review(outlines(2, **columns)).ids == ids


def test_a_glacier_is_called_by_either_column_of_names():
    table = outlines(3, glac_name=["Zemu", "", None]).assign(Name=["another", "Kang", None])
    assert Review(table).queue.set_index("id").name.to_dict() == {"g0": "Zemu", "g1": "Kang", "g2": ""}
    assert Review(outlines(2)).queue.name.tolist() == ["", ""]


def test_a_rejection_needs_a_reason_and_can_be_taken_back():
    review = Review(outlines(), analyst="Ana")
    with pytest.raises(InventoryError, match="needs a reason: say why g0"):
        review.reject("g0", " ")
    review.reject("g0", "seasonal snow")
    assert review.outlines.review_id.tolist() == ["g1", "g2", "g3"]
    line = review.trail.iloc[-1]
    assert (line.who, line.what, line.id, line.reason) == ("Ana", "reject", "g0", "seasonal snow")
    assert line.change_km2 == -line.area_before_km2 == pytest.approx(-1, rel=1e-3)
    review.accept("g0")
    assert review.outlines.review_id.tolist() == ["g0", "g1", "g2", "g3"]


@pytest.mark.parametrize("bad", [[1, 2], outlines().set_crs(None, allow_override=True), pd.DataFrame()])
def test_what_are_no_outlines_is_told(bad):
    with pytest.raises(InventoryError, match="Review needs"):
        Review(bad)


# ---- how much may be wrong


def test_without_a_prediction_the_error_is_half_a_pixel_along_the_border():
    ring = square(0) - square(0).buffer(-250)  # 4 km and 2 km of border
    table = gpd.GeoDataFrame(geometry=[square(0), ring], crs=UTM)
    assert border_m(table.geometry) == pytest.approx([4000, 6000], rel=1e-3)
    assert expected_area_error(table, pixel_m=20).tolist() == pytest.approx([0.04, 0.06], rel=1e-3)
    assert expected_area_error(table).tolist() == pytest.approx([0.06, 0.09], rel=1e-3)  # pixels of 30 m
    known = table.assign(area_unc_km2=[0.5, np.nan])
    assert expected_area_error(known, pixel_m=20).tolist() == pytest.approx([0.5, 0.06], rel=1e-3)
    assert expected_area_error(table.to_crs("EPSG:4326"), pixel_m=20).tolist() == pytest.approx(
        [0.04, 0.06], rel=1e-3
    )


@pytest.mark.parametrize("kind", ["one class", "two classes", "entropy", "lazy"])
def test_with_a_prediction_pixels_along_the_border_count_with_their_chance_of_being_wrong(kind):
    x, y = np.arange(X - 500 + 5, X + 1500, 10), np.arange(Y + 1500 - 5, Y - 500, -10)
    sure = np.full((len(y), len(x)), 1.0, "float32")
    east = x > X + 500
    sure[:, east] = 0.8  # every pixel of the eastern half is wrong once in five times
    layers = {
        "one class": sure[None],
        "two classes": np.stack([sure, 1 - sure]),
        "lazy": np.stack([sure, 1 - sure]),
    }
    name, dims = ("entropy", ("y", "x")) if kind == "entropy" else ("probability", ("class", "y", "x"))
    values = 2 * (1 - sure) if kind == "entropy" else layers[kind]
    prediction = xr.Dataset({name: (dims, values)}, {"y": y, "x": x}).rio.write_crs(UTM)
    prediction = prediction.chunk({"y": 50, "x": 70}) if kind == "lazy" else prediction
    table = gpd.GeoDataFrame(geometry=[square(0), square(5)], crs=UTM)  # the second lies beyond
    inside, beyond = expected_area_error(table, prediction)
    assert inside == pytest.approx(0.2 * 2 * 2000 * 10 / 1e6, rel=0.01)  # of two pixels, along half of 4 km
    assert beyond == pytest.approx(4000 * 10 / 2 / 1e6, rel=1e-3)
    ends = prediction.sel(y=slice(Y + 1000, None))  # at the northern side: what is beyond it nobody knows
    assert expected_area_error(table[:1], ends).item() == pytest.approx(inside, rel=0.02)


# ---- saving


@UNTRUE
def test_a_save_changes_the_edited_rows_and_nothing_else(path):
    before, review = contents(path), opened(path)
    review.accept("g0")
    review.replace("g1", square(1, side=500))
    review.cut("g2", across(2))
    review.reject("g3", "snow")
    new = review.add(square(8))
    assert review.save() == path
    found = layer(path)
    assert found.rgi_id.tolist() == ["g0", "g1", "g2", "g2-2", new]
    assert found.review_status.tolist() == ["accepted", *["edited"] * 4]
    assert found.reviewed_by.tolist() == ["Ana"] * 5
    assert found.note.tolist()[:4] == ["Ötztal"] * 4
    assert found.zmin_m.fillna(0).tolist() == [2500, 0, 0, 0, 0]
    assert found.src_date.tolist() == ["2020-08-01"] * 5
    assert [shape.area for shape in found.geometry] == pytest.approx([1e6, 25e4, 5e5, 5e5, 1e6])
    assert found.geometry[0] == square(0).normalize() or found.geometry[0].equals(square(0))
    (away,) = layer(path, "review_rejected").itertuples()
    assert (away.rgi_id, away.note, away.review_status, away.review_reason) == (
        "g3",
        "Ötztal",
        "rejected",
        "snow",
    )
    assert away.geometry.equals(square(3))
    trail = layer(path, "review_trail")
    assert trail.what.tolist() == ["accept", "vertices", "cut", "cut", "reject", "add"]
    assert trail.change_km2.sum() == pytest.approx(-0.75, rel=1e-3)
    after = contents(path)
    for name in ("lines", "gauges", "layer_styles", "gpkg_spatial_ref_sys"):
        assert after[name] == before[name]
    assert (
        after["glaciers"][0][: len(before["glaciers"][0])] == before["glaciers"][0]
    )  # the accepted row itself
    assert journals(path) == []


@UNTRUE
def test_the_spatial_index_follows(path):
    review = opened(path)
    review.replace("g1", square(50, 50))
    review.save()
    box = square(50, 50).bounds
    assert gpd.read_file(path, layer="glaciers", bbox=box, engine="pyogrio").rgi_id.tolist() == ["g1"]
    assert len(gpd.read_file(path, layer="glaciers", bbox=square(1).bounds, engine="pyogrio")) == 0
    info = pyogrio.read_info(path, layer="glaciers", force_feature_count=True, force_total_bounds=True)
    assert info["features"] == 4
    assert info["total_bounds"][2] >= box[2]


@UNTRUE
def test_saves_follow_each_other_and_a_later_session_goes_on(path):
    first = opened(path)
    first.reject("g3", "snow")
    first.cut("g0", across(0))
    first.save()
    first.undo()  # of what is saved
    first.save()
    assert layer(path).rgi_id.tolist() == ["g0", "g1", "g2"]
    assert layer(path).geometry[0].equals(square(0))
    second = opened(path, "Ben")
    assert second.queue.set_index("id").status.to_dict() == {"g0": "", "g1": "", "g2": "", "g3": "rejected"}
    assert second.trail.what.tolist() == ["reject", "cut", "cut", "undo cut", "undo cut"]
    second.accept("g3", "it is ice")
    second.save()
    found = layer(path)
    assert found.rgi_id.tolist() == ["g0", "g1", "g2", "g3"]  # at its old place
    assert (found.note[3], found.zmin_m[3], found.reviewed_by[3]) == ("Ötztal", 2500, "Ben")
    assert len(layer(path, "review_rejected")) == 0
    assert layer(path, "review_trail").who.tolist() == [*["Ana"] * 5, "Ben"]


@UNTRUE
def test_rows_without_ids_are_known_by_their_place_and_keep_their_numbers(tmp_path):
    path = written(tmp_path / "a.gpkg", outlines(rgi_id=None))
    review = opened(path)
    review.reject("0", "snow")
    review.cut("2", across(2))
    review.save()
    again = opened(path)
    assert again.outlines.review_id.tolist() == ["1", "2", "3", "2-2"]
    assert again.trail.id.tolist() == ["0", "2", "2-2"]
    assert again.queue.id.tolist()[-1] == "0"


@UNTRUE
def test_edits_in_the_crs_of_a_map_are_saved_in_that_of_the_file(tmp_path):
    path = written(tmp_path / "a.gpkg", outlines(crs="EPSG:4326"))
    before = contents(path)["glaciers"]
    review = Review(layer(path).to_crs(UTM), path=path, layer="glaciers")
    review.replace("g1", square(1, side=500))
    review.save()
    found = layer(path)
    assert found.crs == "EPSG:4326"
    assert found.geometry.to_crs(UTM)[1].hausdorff_distance(square(1, side=500)) < 1e-3
    assert contents(path)["glaciers"][0][1] == before[0][1]  # the geometry of the others, to the byte


@UNTRUE
def test_columns_that_have_to_be_filled_are(path):
    with database(path, write=True) as db:
        db.execute("PRAGMA writable_schema = ON")
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'glaciers'").fetchone()
        sql = sql.replace('"note" TEXT', '"note" TEXT NOT NULL')
        sql = sql.replace('"aspect_sec" INTEGER', '"aspect_sec" INTEGER NOT NULL')
        sql = sql.replace('"zmin_m" REAL', '"zmin_m" REAL NOT NULL DEFAULT 7')
        assert sql.count("NOT NULL") == 4
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'glaciers'", [sql])
    review = opened(path)
    new = review.add(square(9))
    review.cut("g1", across(1))
    review.save()
    found = layer(path).set_index("rgi_id")
    assert found.loc[new, ["note", "aspect_sec", "zmin_m"]].tolist() == ["", 0, 7]
    assert found.loc["g1-2", ["note", "aspect_sec"]].tolist() == ["Ötztal", 3]


@UNTRUE
@pytest.mark.parametrize("columns", [{"rgi_id": ["a", "b"]}, {"note": ["x", "y"]}])
def test_an_outline_on_both_sides_of_180_is_one_on_the_map_and_two_parts_in_the_file(tmp_path, columns):
    sides = [shapely.box(179.9, 71.2, 180, 71.3), shapely.box(-180, 71.2, -179.95, 71.3)]
    shapes = [shapely.MultiPolygon(sides), shapely.box(179.5, 71.2, 179.6, 71.3)]
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326").to_file(path)
    desk = gl.apps.inspect(gl.apps.holdings_of(path), analyst="Ana").desk
    one = desk.review.ids[0]
    whole = desk.review.geometry(one)
    assert (whole.geom_type, whole.is_valid) == ("Polygon", True)
    assert desk.review.problems(one) == []
    desk.review.replace(one, whole.buffer(-100))
    desk.save()
    found = layer(path, "a").geometry
    assert found[1].equals(shapes[1])
    parts = gpd.GeoSeries(found[0].geoms, crs="EPSG:4326")
    assert sorted(parts.bounds.round(1).values.tolist()) == [
        [-180, 71.2, -180, 71.3],
        [179.9, 71.2, 180, 71.3],
    ]
    assert (parts.bounds.maxx - parts.bounds.minx < 0.1).all()


@UNTRUE
def test_an_invalid_ring_that_is_repaired_on_opening_is_no_other_outline(tmp_path):
    bow_tie = shapely.Polygon([(X, Y), (X + 1000, Y + 1000), (X + 1000, Y), (X, Y + 1000)])  # of no area
    path = tmp_path / "a.gpkg"
    outlines(3, rgi_id=None).set_geometry([bow_tie, square(1), square(2)], crs=UTM).to_file(path)
    with pytest.warns(DataWarning, match="have been repaired"):
        review = Review(gl.open_inventory(path), analyst="Ana", path=path)
    review.accept("1")
    review.save()
    assert layer(path, "a").review_status.fillna("").tolist() == ["", "accepted", ""]


def test_outlines_of_several_rows_each_have_no_file_to_be_saved_to(tmp_path):
    rock = square(0).buffer(-300)
    table = {"glac_id": ["G1", "G1", "G2"], "anlys_id": [1, 1, 2], "src_date": "2000-01-01"}
    table |= {"line_type": ["glac_bound", "intrnl_rock", "glac_bound"]}
    path = tmp_path / "glims.gpkg"
    gpd.GeoDataFrame(table, geometry=[square(0), rock, square(1)], crs=UTM).to_crs(4326).to_file(path)
    studio = gl.apps.inspect(gl.apps.holdings_of(path), analyst="Ana")
    assert (len(studio.review.ids), studio.desk.file) == (2, None)
    assert "download" in studio.queue.file.object


def test_half_an_emoji_does_not_keep_a_review_from_being_saved(path):
    review = opened(path, "Ana \ud83c")
    review.reject("g0", "snow \ud83c")
    review.save()
    assert layer(path, "review_rejected")[["reviewed_by", "review_reason"]].values.tolist() == [
        ["Ana ?", "snow ?"]
    ]


@UNTRUE
def test_open_inventory_reads_what_was_saved_without_a_word(path):
    review = Review(gl.open_inventory(path, "glaciers"), path=path, layer="glaciers")
    review.reject("g3", "snow")
    review.replace("g0", shapely.MultiPolygon([square(0), square(8)]))
    review.save()
    again = gl.open_inventory(path)
    assert again.area_km2.tolist() == pytest.approx([2, 1, 1], rel=1e-3)
    assert again.review_status.fillna("").tolist() == ["edited", "", ""]


@UNTRUE
def test_several_parts_in_a_layer_of_polygons(path):
    assert pyogrio.read_info(path, layer="glaciers")["geometry_type"] == "Polygon"
    review = opened(path)
    review.replace("g0", shapely.MultiPolygon([square(0), square(8)]))
    review.save()
    assert pyogrio.read_info(path, layer="glaciers")["geometry_type"] == "MultiPolygon"
    again = opened(path)
    again.replace("g1", square(1, side=500))
    again.save()
    review.accept("g2")  # rows that became multipolygons are not others
    review.save()
    assert layer(path).geom_type.tolist() == ["MultiPolygon"] * 4
    assert layer(path).area.tolist() == pytest.approx([2e6, 25e4, 1e6, 1e6])


@UNTRUE
def test_outlines_of_no_file_are_saved_to_a_new_one_and_the_review_goes_on_there(tmp_path):
    review = Review(outlines(), analyst="Ana")
    with pytest.raises(InventoryError, match=r"of no file: save\('name.gpkg'\)"):
        review.save()
    review.reject("g0", "snow")
    review.replace("g1", square(1, side=500))
    assert review.save(tmp_path / "new.gpkg") == tmp_path / "new.gpkg"
    review.accept("g2")
    review.save()
    found = layer(tmp_path / "new.gpkg", "new")
    assert found.review_status.tolist() == ["edited", "accepted", ""]
    assert layer(tmp_path / "new.gpkg", "review_rejected").rgi_id.tolist() == ["g0"]
    assert layer(tmp_path / "new.gpkg", "review_trail").id.tolist() == ["g0", "g1", "g2"]
    assert [each.name for each in tmp_path.iterdir()] == ["new.gpkg"]
    for bad, told in [("new.shp", "is no GeoPackage"), ("taken.gpkg", "is there already")]:
        (tmp_path / "taken.gpkg").touch()
        with pytest.raises(InventoryError, match=told):
            review.save(tmp_path / bad)


@UNTRUE
def test_a_copy_holds_all_that_the_file_held(path, tmp_path):
    review = opened(path)
    review.accept("g0")
    review.save(tmp_path / "copy.gpkg")
    assert contents(tmp_path / "copy.gpkg")["gauges"] == contents(path)["gauges"]
    assert layer(tmp_path / "copy.gpkg").review_status[0] == "accepted"
    assert "review_status" not in layer(path)
    path.unlink()
    review.accept("g1")
    review.save()
    assert layer(tmp_path / "copy.gpkg").review_status.tolist()[:2] == ["accepted", "accepted"]


def test_missing_measures_are_told(path):
    review = opened(path)
    review.replace("g1", square(1, side=500))
    with pytest.warns(
        DataWarning, match=r"1 outline has another shape now, and what .* is missing \(aspect_sec, zmin_m\)"
    ):
        review.save()


def test_outlines_of_another_layer_are_refused(path):
    with pytest.raises(InventoryError, match=r"These 3 outlines are not the 4 of layer 'glaciers'"):
        Review(outlines(3, rgi_id=None), path=path, layer="glaciers")
    moved = outlines(rgi_id=None).set_geometry(outlines().translate(500))
    with pytest.raises(InventoryError, match="leave path= out"):
        Review(moved, path=path, layer="glaciers")
    with pytest.raises(InventoryError, match="has no layer 'gauges' of outlines"):
        Review(outlines(), path=path, layer="gauges")
    with pytest.raises(InventoryError, match="does not exist"):
        Review(outlines(), path=path.with_name("none.gpkg"))


# ---- several sessions


@UNTRUE
def test_two_sessions_on_one_file_lose_nothing_of_either(path):
    ana, ben = opened(path), opened(path, "Ben")
    ana.replace("g0", square(0, side=500))
    ana.reject("g3", "snow")
    a_new = ana.add(square(10))
    ben.cut("g1", across(1))
    ben.accept("g2")
    b_new = ben.add(square(12))
    ana.save()
    ben.save()
    found = layer(path).set_index("rgi_id")
    assert {*found.index} == {"g0", "g1", "g1-2", "g2", a_new, b_new}
    assert found.geometry["g0"].area == pytest.approx(25e4)
    assert found.reviewed_by.to_dict()["g2"] == "Ben"
    assert layer(path, "review_trail").who.tolist() == [*["Ana"] * 3, *["Ben"] * 4]
    assert ben.geometry("g0").equals(square(0, side=500))  # what Ana saved came to Ben
    assert a_new in ben.queue.id.tolist()
    assert ben.queue.set_index("id").status["g3"] == "rejected"
    ana.accept("g0")
    ana.save()  # and Ben's to Ana
    assert {*ana.outlines.review_id} == {*found.index}


@UNTRUE
def test_a_row_that_both_changed_is_told_and_nothing_is_written(path):
    ana, ben = opened(path), opened(path, "Ben")
    ana.replace("g0", square(0, side=500))
    ana.accept("g1")
    ana.save()
    before = contents(path)
    ben.replace("g0", square(0, side=700))
    ben.accept("g1")  # the same decision is no conflict
    ben.accept("g2")
    with pytest.raises(ReviewConflict, match=r"1 of your outlines in ötztal.gpkg meanwhile: g0 \(by Ana, 20"):
        ben.save()
    assert contents(path) == before
    assert len(journals(path)) == 1
    assert ben.unsaved == 3
    ben.save(path.with_name("mine.gpkg"))
    mine = layer(path.with_name("mine.gpkg"))
    assert mine.geometry[0].area == pytest.approx(49e4)
    assert mine.review_status.tolist()[:3] == ["edited", "accepted", "accepted"]


@UNTRUE
@pytest.mark.parametrize("mine", [True, False])
def test_a_conflict_is_settled_either_way(path, mine):
    ana, ben = opened(path), opened(path, "Ben")
    ana.replace("g0", square(0, side=500))
    ana.reject("g1", "snow")
    ana.save()
    ben.replace("g0", square(0, side=700))
    ben.replace("g1", square(1, side=700))
    with pytest.raises(ReviewConflict) as told:
        ben.save()
    assert told.value.ids == ["g0", "g1"]
    if mine:
        ben.save(overwrite=told.value.ids)
    else:
        for one in told.value.ids:
            ben.take_theirs(one)
        ben.save()
    found = layer(path).set_index("rgi_id")
    assert found.geometry["g0"].area == pytest.approx(49e4 if mine else 25e4)
    assert ("g1" in found.index) == mine
    assert ben.unsaved == 0


@UNTRUE
@pytest.mark.parametrize("settle", ["agreed", "mine", "theirs", "copy"])
def test_the_changes_of_a_trail_of_two_add_up(path, settle):
    ana, ben = opened(path), opened(path, "Ben")
    ana.replace("g0", square(0, side=500))
    ana.reject("g1", "snow")
    ana.accept("g2")
    ana.save()
    if settle == "agreed":
        ben.reject("g1", "snow, too")
    else:
        ben.replace("g0", square(0, side=700))
        ben.accept("g1")
    ben.cut("g3", across(3))
    if settle == "mine":
        ben.save(overwrite=["g0", "g1"])
    elif settle == "theirs":
        ben.take_theirs("g0")
        ben.take_theirs("g1")
    path = ben.save(path.with_name("copy.gpkg") if settle == "copy" else None)
    ana_and_ben = layer(path, "review_trail")
    km2 = layer(path).area.sum() / 1e6
    assert ana_and_ben.change_km2.sum() == pytest.approx(km2 - 4, abs=5e-3)
    assert ben.trail.values.tolist() == ana_and_ben[ben.trail.columns].values.tolist()
    assert ana_and_ben.what.tolist().count("another session's taken back") == {"agreed": 1}.get(settle, 2)
    ben.accept("g2")
    ben.save()
    assert len(layer(path, "review_trail")) == len(ana_and_ben) + 1


@UNTRUE
def test_what_another_program_writes_is_kept_and_counts(path):
    review = opened(path)
    with database(path, write=True) as db:  # as QGIS does
        db.execute("UPDATE glaciers SET note = 'Zemu' WHERE rgi_id IN ('g0', 'g1')")
    review.replace("g2", square(2, side=500))
    review.save()
    assert layer(path).note.tolist() == ["Zemu", "Zemu", "Ötztal", "Ötztal"]
    with database(path, write=True) as db:
        db.execute("UPDATE glaciers SET note = 'Kang' WHERE rgi_id = 'g2'")
    review.accept("g2")
    with pytest.raises(ReviewConflict, match=r"g2 \(by Ana"):
        review.save()


def test_saves_at_once_wait_for_each_other(tmp_path):
    path = written(tmp_path / "a.gpkg", outlines(40))
    reviews = [opened(path, f"analyst {number}") for number in range(4)]

    def work(number):
        for row in range(number, 40, 4):
            reviews[number].accept(f"g{row}")
            reviews[number].save()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = layer(path)
    assert found.reviewed_by.tolist() == [f"analyst {row % 4}" for row in range(40)]
    assert len(layer(path, "review_trail")) == 40


@UNTRUE
def test_a_row_that_another_program_adds_comes_in_and_is_edited_where_it_lies(path):
    review = opened(path)
    with database(path, write=True) as db:
        db.execute("INSERT INTO glaciers (geom, note) SELECT geom, 'new' FROM glaciers WHERE rgi_id = 'g3'")
    review.accept("g0")
    review.save()
    (new,) = {*review.ids} - {"g0", "g1", "g2", "g3"}
    review.replace(new, square(20))
    review.save()
    assert len(layer(path)) == 5
    assert layer(path).geometry[4].equals(square(20))


@UNTRUE
def test_a_part_of_a_layer_can_be_reviewed(path):
    review = Review(layer(path).iloc[[2, 0]], path=path, layer="glaciers")
    review.cut("g2", across(2))
    review.save()
    review.accept("g0")
    review.save()
    assert layer(path).rgi_id.tolist() == ["g0", "g1", "g2", "g3", "g2-2"]
    assert review.ids == ["g2", "g0", "g2-2"]


# ---- files that cannot be written


def test_a_locked_file_is_told_and_the_edits_stay(path, monkeypatch):
    monkeypatch.setattr("glacierlab.apps.geopackage.WAIT_S", 0.1)
    review = opened(path)
    review.accept("g0")
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WriteError, match="locked by another program that edits it: end its edit session"):
        review.save()
    other.close()
    assert len(journals(path)) == 1
    review.save()
    assert layer(path).review_status[0] == "accepted"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(b"no database" * 99), "is no GeoPackage"),
        (lambda path: path.unlink(), "is gone: save to another file"),
    ],
)
def test_a_file_that_is_spoiled_or_gone_is_told(path, spoil, told):
    review = opened(path)
    review.accept("g0")
    spoil(path)
    with pytest.raises(WriteError, match=told):
        review.save()
    assert review.unsaved == 1
    path.unlink(missing_ok=True)
    review.save(path.with_name("else.gpkg"))
    assert layer(path.with_name("else.gpkg"), "else").review_status[0] == "accepted"


def test_a_full_disk_leaves_file_and_journal_as_they_were(path):
    resource = pytest.importorskip("resource")
    review = opened(path)
    review.accept("g0")
    before, limits = contents(path), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"cannot be written .*It is as it was: free space"):
            review.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert contents(path) == before
    assert len(journals(path)) == 1
    review.save()
    assert layer(path).review_status[0] == "accepted"


def test_a_journal_that_cannot_be_written_is_told_once_and_written_later(path, tmp_path):
    folder = tmp_path / "later"
    review = opened(path, journal=folder)
    with pytest.warns(DataWarning, match="Edits are not kept in .*later"):
        review.accept("g0")
    review.accept("g1")
    folder.mkdir()
    review.accept("g2")
    review.close()
    del review
    again = opened(path, journal=folder)
    assert again.recover() == 3


# ---- the journal


def killed(path, analyst="Ana"):
    """A session that accepts, cuts, undoes and adds, and ends without a save; its outlines."""
    review = opened(path, analyst)
    review.accept("g0")
    review.cut("g1", across(1))
    review.reject("g2", "snow")
    review.undo()
    review.add(square(9))
    review.undo()
    review.redo()
    found = review.outlines
    review.close()
    return found


@UNTRUE
def test_a_session_that_ended_is_taken_up_by_the_next(path):
    expected = killed(path)
    review = opened(path)
    assert review.recoverable == 7
    assert review.recover() == 7
    assert review.outlines.equals(expected)
    assert review.trail.what.tolist() == [
        *("accept", "cut", "cut", "reject", "undo reject", "add", "undo add", "redo add")
    ]
    assert (review.recoverable, review.recover()) == (0, 0)
    assert len(journals(path)) == 1  # its own now
    review.undo()
    review.undo()
    assert review.outlines.review_id.tolist() == ["g0", "g1", "g2", "g3"]
    review.redo()
    review.redo()
    review.save()
    assert journals(path) == []
    assert len(layer(path)) == 6


def test_a_last_line_that_is_cut_is_left_out(path):
    killed(path)
    journal = path.with_name(journals(path)[0])
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    assert opened(path).recover() == 6
    journal.write_bytes(whole.replace(b'"what": "reject"', b'"what": rej', 1))
    for other in path.parent.glob("*.2.review.jsonl"):
        other.unlink()
    review = opened(path)
    with pytest.warns(DataWarning, match="Line 4 of .* cannot be read: it and all after it"):
        assert review.recover() == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("3", "Line 6 of .* cannot be read"),
        ("{}", "Line 6 of .* cannot be read"),
        ('{"when": ["a"], "who": "Ana", "what": "x", "rows": {}, "was": {}}', "Line 6 of .* cannot be read"),
        ("[" * 100_000, "Line 6 of .* cannot be read"),
        ('{"when": "a", "who": "Ana", "what": "x", "rows": {"g0": {"wkb": "00"}}, "was": {}}', "is no act"),
        ('{"when": "a", "who": "Ana", "what": "x", "rows": {"g0": 3}, "was": {}}', "is no act"),
    ],
)
def test_a_line_that_is_no_act_is_told_and_what_came_before_is_done(path, line, told):
    killed(path)
    journal = path.with_name(journals(path)[0])
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:5], line, *lines[5:]]) + "\n")
    review = opened(path)
    with pytest.warns(DataWarning, match=told):
        assert review.recover() == 4
    assert review.trail.what.tolist() == ["accept", "cut", "cut", "reject", "undo reject"]


@pytest.mark.parametrize("process", [3, None, [1, 2, 3], ["a", "b"], [-1, 0], [2**70, 0]])
def test_a_journal_of_any_process_is_read(path, process):
    killed(path)
    journal = path.with_name(journals(path)[0])
    head, *lines = journal.read_text().splitlines()
    journal.write_text("\n".join([json.dumps(json.loads(head) | {"process": process}), *lines]) + "\n")
    assert opened(path).recover() == 7


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("gone")])
def test_a_journal_that_nobody_may_read_keeps_nobody_out(path, make):
    make(path.with_name(f"{path.name}.Ben.review.jsonl"))
    killed(path)
    review = opened(path)
    assert (review.left_by, review.recover()) == ({"Ana": 7}, 7)


def test_journals_of_one_second_are_done_in_their_order(path):
    review = opened(path)
    for side in (900, 800, 700):
        review.replace("g0", square(0, side=side))
        review.close()  # as where its page was left; what follows goes into another journal
    assert len(journals(path)) == 3
    again = opened(path)
    assert again.recover() == 3
    assert again.geometry("g0").area == pytest.approx(49e4)


def test_the_journal_of_outlines_that_are_others_now_is_kept_and_not_applied(path):
    killed(path)
    with database(path, write=True) as db:
        db.execute("DELETE FROM glaciers WHERE rgi_id = 'g1'")
    review = opened(path)
    with pytest.warns(DataWarning, match=r"holds 7 acts on outlines that are not as they were then \('g1'\)"):
        assert review.recover() == 0
    assert review.trail.empty
    assert len(journals(path)) == 1
    review.accept("g0")  # goes into another journal
    assert len(journals(path)) == 2


def test_a_change_elsewhere_in_the_file_is_told(path):
    killed(path)
    ben = opened(path, "Ben")
    ben.accept("g3")
    ben.save()
    review = opened(path)
    with pytest.warns(DataWarning, match="was changed since .*: 7 acts are done again"):
        assert review.recover() == 7


@UNTRUE
def test_an_act_that_was_saved_before_the_kill_is_not_done_twice(path):
    killed(path)
    (name,) = journals(path)
    kept = path.with_name(name).read_bytes()
    review = opened(path)
    review.recover()
    review.save()
    path.with_name(name).write_bytes(kept)  # as if the session was killed before it removed it
    again = opened(path)
    assert (again.recoverable, again.recover()) == (0, 0)
    assert journals(path) == []
    assert len(again.trail) == 8


def test_living_sessions_of_one_name_have_a_journal_each_and_leave_the_other_alone(path):
    one, two = opened(path), opened(path)
    one.accept("g0")
    two.accept("g1")
    assert len(journals(path)) == 2
    three = opened(path)
    assert three.recover() == 0
    one.close()
    assert three.recover() == 1
    assert three.queue.set_index("id").status.to_dict()["g0"] == "accepted"
    assert opened(path, "Ben").recoverable == 0


@pytest.mark.parametrize(
    "name", ["../../etc", "a/b\\c:d", "Zoë 张", "", "x" * 300, "con", "a\0b", "<script>", ".."]
)
def test_any_name_of_an_analyst_makes_a_journal_beside_the_file(path, name):
    review = opened(path, name)
    review.accept("g0")
    (journal,) = journals(path)
    assert len(journal.encode()) < 200
    review.close()
    assert [each.name for each in path.parent.parent.glob("*.jsonl")] == []
    again = opened(path, name)
    assert again.recover() == 1
    assert again.trail.who.tolist() == [name]


def test_an_analyst_who_gives_a_name_later_is_found_by_it(path):
    review = opened(path, "")
    review.analyst = "Ana"
    review.accept("g0")
    review.close()
    assert opened(path, "").recoverable == 0
    again = opened(path, "")
    again.analyst = "Ana"
    assert again.recover() == 1


def test_names_of_analysts_that_differ_have_files_that_differ():
    names = ["a/b", "a-b", "a b", "Ana", "ana ", "", "-", "x" * 300, "x" * 301, "ä", "a"]
    assert len({safe_name(name) for name in names}) == len(names)


SESSION = """
import sys, warnings
warnings.simplefilter("ignore")
from reviewing import opened, square
from pathlib import Path
review = opened(Path(sys.argv[1]))
for number in range(400):
    review.replace(f"g{number}", square(number, side=500 + number))
    if sys.argv[2] == "saves" and number % 7 == 6:
        review.save()
    print(number + 1, flush=True)
"""


@pytest.mark.slow
def test_what_a_killed_process_did_comes_back(tmp_path):
    runs = []
    for number, saves in enumerate(["", "", "saves", "saves"]):  # side by side, for mostly they import
        path = written(tmp_path / f"{number}.gpkg", outlines(400))
        command = [sys.executable, "-c", SESSION, path, saves]
        env = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
        runs.append((path, subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)))
    for number, (path, process) in enumerate(runs):
        process.stdout.readline()
        time.sleep(0.15 * number)
        process.kill()
        told = int((process.communicate()[0].split() or [1])[-1])
        assert process.returncode == -signal.SIGKILL
        review = opened(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            review.recover()
        sizes = [round(review.geometry(f"g{n}").area ** 0.5) for n in range(400)]
        done = sum(size != 1000 or n == 500 for n, size in enumerate(sizes))
        assert told <= done <= told + 1  # every act that was told, and perhaps one more
        assert sizes == [500 + n if n < done else 1000 for n in range(400)]
        assert len(review.trail) == done  # none twice
        contents(path)  # is whole


def test_a_journal_is_lines_of_json_that_say_what_was_done(path):
    killed(path)
    lines = [json.loads(line) for line in path.with_name(journals(path)[0]).read_text().splitlines()]
    assert (lines[0]["file"], lines[0]["analyst"]) == (path.name, "Ana")
    assert lines[1]["rows"]["g0"].keys() == {"status", "by", "at"}  # no more than what changed
    assert shapely.from_wkb(lines[2]["rows"]["g1-2"]["wkb"]).area == pytest.approx(5e5)


# ---- labels


def test_labels_are_what_an_analyst_stands_for():
    review = Review(outlines(), analyst="Ana")
    assert len(review.labels()) == 0
    review.accept("g0")
    review.replace("g1", square(1, side=500))
    review.reject("g2", "snow")
    labels = review.labels()
    assert labels.columns.tolist() == [
        *("id", "class", "area_km2", "review_status", "reviewed_by", "reviewed_at", "geometry")
    ]
    assert labels[["id", "class", "review_status"]].values.tolist() == [
        ["g0", "glacier", "accepted"],
        ["g1", "glacier", "edited"],
    ]


@pytest.fixture
def scene():
    """4 km x 10 km of pixels of 20 m, around the four squares."""
    x, y = np.arange(X - 500 + 10, X + 8500, 20), np.arange(Y + 1500 - 10, Y - 500, -20)
    values = np.ones((len(y), len(x)), "float32")
    return xr.Dataset({"red": (("y", "x"), values)}, {"y": y, "x": x}).rio.write_crs(UTM)


def counts(patches):
    """km² of each class of a set, and of what is unknown."""
    labels = np.concatenate([patches[at][1].ravel() for at in range(len(patches))])
    found = {name: int((labels == at).sum()) for at, name in enumerate(patches.classes)}
    return {name: count * 400 / 1e6 for name, count in found.items()}


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_ground_that_nobody_decided_on_is_unknown(scene, crs):
    review = Review(outlines(crs=crs), analyst="Ana")
    with pytest.raises(InventoryError, match="No outline is accepted or edited yet"):
        review.patches(scene, size=50)
    review.accept("g0")
    review.reject("g1", "snow")
    some = dict(size=50, stride=50, min_valid=0.0)
    assert counts(review.patches(scene, **some)) == pytest.approx({"background": 1.0, "glacier": 1.0})
    whole = counts(review.patches(scene, complete=True, **some))
    assert whole == pytest.approx({"background": 18 - 1 - 2, "glacier": 1.0})  # g2 and g3 are undecided
    ignored = gpd.GeoDataFrame(geometry=[square(0).buffer(-250)], crs=UTM)
    less = counts(review.patches({"a": scene}, ignore=ignored, **some))
    assert less == pytest.approx({"background": 1.0, "glacier": 0.75})
