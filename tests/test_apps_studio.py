"""The inspector without a browser: as a notebook or a script uses it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import shapely

import glacierlab as gl

pytest.importorskip("panel", reason="the apps need panel")

from glacierlab.apps.holdings import held
from glacierlab.apps.pieces import facts, paragraph, plain, shown, swatches, update
from glacierlab.apps.review_tab import told_of_flaws
from glacierlab.errors import DataWarning, GlacierlabError, InventoryError, UnknownNameError
from glacierlab.report import Reference

HOSTILE = ["<script>alert(1)</script>", "x" * 300, "جبل جليدي", "a\nb;`$(rm)`", "'\"&amp;"]


@pytest.fixture
def studio(made, mapped, outlines):
    return gl.apps.inspect(made, mapped, outlines, analyst="Ana")


@pytest.fixture
def package(outlines, tmp_path):
    gl.write_outlines(outlines, tmp_path / "outlines.gpkg")
    return tmp_path / "outlines.gpkg"


# ---- what is seen at once ----


def test_something_sensible_is_seen_at_once(studio, outlines):
    assert studio.layers.base.value == "false color"
    assert len(studio.review.queue) == len(outlines)
    errors = studio.review.queue.expected_error_km2
    assert errors.is_monotonic_decreasing
    assert studio.review.current == studio.review.queue.id[0]
    assert studio.layers.classes.value == ["glacier"]


def test_a_scene_alone_opens_with_its_lab(made):
    studio = gl.apps.inspect(made)
    assert len(studio.review.queue) == 0
    studio.tabs.active = 2
    assert studio.layers.over.value == "threshold lab"
    studio.thresholds.do_review()
    assert studio.review.outlines.area_km2.sum() == pytest.approx(
        gl.vectorize(gl.map_glaciers(made)["class_map"]).area_km2.sum()
    )


def test_outlines_alone_open_without_a_scene(outlines):
    studio = gl.apps.inspect(outlines=outlines, analyst="Ana")
    for number in range(len(studio.tabs)):
        studio.tabs.active = number
    assert studio.lab is None
    assert studio.scores is None
    studio.accept()
    assert studio.review.queue.status[0] == "accepted"


def test_nothing_to_show_is_told():
    with pytest.raises(GlacierlabError, match="nothing to show"):
        gl.apps.inspect()


def test_a_prediction_gives_its_outlines(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped)
    assert studio.review.outlines.area_km2.sum() == pytest.approx(outlines.area_km2.sum())


def test_sessions_share_pictures_and_nothing_that_is_edited(made, mapped):
    holdings = held(made, mapped)
    one, two = (gl.apps.inspect(holdings, analyst=name) for name in ("Ana", "Ben"))
    assert one.desk.pictures is two.desk.pictures
    one.reject("snow")
    assert len(two.review.outlines) == len(one.review.outlines) + 1
    assert (one.desk.analyst, two.desk.analyst) == ("Ana", "Ben")


# ---- the review ----


def test_a_script_accepts_and_rejects(studio):
    first, second = studio.review.queue.id[:2]
    studio.accept()
    assert studio.review.current == second
    studio.reject("seasonal snow")
    status = studio.review.queue.set_index("id").status
    assert (status[first], status[second]) == ("accepted", "rejected")
    assert studio.review.trail[["who", "what", "reason"]].values.tolist() == [
        ["Ana", "accept", ""],
        ["Ana", "reject", "seasonal snow"],
    ]
    assert second not in set(studio.review.outlines.review_id)


def test_buttons_tell_what_is_missing(studio):
    studio.queue.reject.clicks += 1
    assert "needs a reason" in studio.status.object
    studio.queue.analyst.value = ""
    studio.queue.accept.clicks += 1
    assert "Fill in your name first" in studio.status.object
    assert (studio.review.queue.status == "").all()


def test_buttons_decide_undo_and_do_again(studio):
    first = studio.review.current
    studio.queue.reason.value = "snow"
    studio.queue.reject.clicks += 1
    assert studio.review.queue.status[0] == "rejected"
    assert studio.review.current != first
    assert studio.queue.reason.value == ""
    studio.queue.undo.clicks += 1
    assert studio.review.queue.status[0] == ""
    studio.queue.redo.clicks += 1
    assert studio.review.queue.status[0] == "rejected"
    assert [*studio.queue.trail.value["what"]] == ["redo reject", "undo reject", "reject"]


def test_a_moved_corner_is_an_edit_and_keeps_holes(studio):
    one = studio.review.current
    area = studio.review.queue.area_km2[0]
    hole = studio.review.geometry(one).representative_point().buffer(40)
    studio.review.cut_hole(one, hole)
    studio.tools.edit.value = True
    shape = studio.review.geometry(one)
    studio.tools._moved(shapely.affinity.translate(shape, 30, 0))  # as the map tells it
    moved = studio.review.geometry(one)
    assert len(moved.interiors) == len(shape.interiors)
    assert moved.equals(shapely.affinity.translate(shape, 30, 0))
    assert studio.review.queue.status[0] == "edited"
    studio.queue.undo.clicks += 1
    studio.queue.undo.clicks += 1
    assert studio.review.queue.area_km2[0] == pytest.approx(area)


def test_what_is_drawn_is_added_and_what_is_cut_is_two(studio):
    left, bottom, *_ = studio.desk.holdings.bounds
    count = len(studio.review.ids)
    studio.tools._drawn(shapely.box(left, bottom, left + 300, bottom + 300))
    assert len(studio.review.ids) == count + 1
    new = studio.review.current
    assert studio.review.queue.set_index("id").area_km2[new] == pytest.approx(0.09, rel=2e-3)
    studio.tools._cut(shapely.LineString([(left + 150, bottom - 10), (left + 150, bottom + 310)]))
    assert len(studio.review.ids) == count + 2
    studio.tools.klass.value = "glacial_lake"
    studio.tools.reclassify.clicks += 1
    assert "glacial_lake" in studio.layers.classes.options
    assert studio.desk.lakes().area_km2.item() == pytest.approx(0.045, rel=2e-3)


def test_overlaps_are_told_and_trimmed(studio):
    shape = studio.review.geometry(studio.review.current)
    studio.tools._drawn(shape.buffer(60))
    assert "overlaps" in studio.queue.about.object
    studio.tools.trim.clicks += 1
    assert "overlaps" not in studio.queue.about.object


def test_errors_of_tools_are_told_not_raised(studio):
    studio.doing_with(studio.tools._cut)(shapely.LineString([(0, 0), (1, 1)]))
    assert "cuts nothing" in studio.status.object
    assert studio.review.unsaved == 0


def test_saving_tells_when_and_is_found_again(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package, analyst="Ana")
    studio.queue.reason.value = "snow <b>patch</b>"
    studio.queue.reject.clicks += 1
    assert "Rejected: outline 0. Kept safe; Save writes it to outlines.gpkg." in studio.said
    assert [path.name for path in package.parent.glob("*.jsonl")]
    studio.queue.save.clicks += 1
    assert studio.said.startswith("Saved: 1 outline rejected, in outlines.gpkg.")
    assert not [*package.parent.glob("*.jsonl")]
    again = gl.apps.inspect(studio.desk.holdings, analyst="Ben")  # what a server read before it was saved
    assert "rejected" in set(again.review.queue.status)
    assert again.review.trail.reason.tolist() == ["snow <b>patch</b>"]


BOW_TIE = shapely.Polygon([(0, 0), (900, 900), (900, 0), (0, 900)])


def test_saving_names_outlines_that_cross_themselves(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package, analyst="Ana")
    left, bottom, *_ = studio.desk.holdings.bounds
    crossing = shapely.affinity.translate(BOW_TIE, left, bottom)
    first, second = studio.review.queue.id[:2]
    studio.review.replace(first, crossing)
    studio.refresh()
    assert "⚠ invalid: Self-intersection" in studio.queue.about.object
    assert "[" not in studio.queue.about.object  # where it crosses is seen on the map
    studio.queue.save.clicks += 1
    called = studio.desk.called()
    assert studio.said.startswith("Saved: 1 outline changed, in outlines.gpkg.")
    assert f"But {called[first]} crosses itself: try Repair." in studio.said
    assert "⚠" in studio.status.object
    with pytest.warns(DataWarning, match="1 of .* polygons were invalid"):
        gl.open_inventory(package)
    studio.review.replace(second, crossing)
    studio.queue.save.clicks += 1
    assert f"{called[first]}, {called[second]} cross themselves: try Repair." in studio.said
    for one in (first, second):
        studio.review.repair(one)
    studio.queue.save.clicks += 1
    assert "Repair" not in studio.said
    assert "⚠" not in studio.status.object


@pytest.mark.parametrize(
    ("flaws", "told"),
    [
        ({"ice 3": "Ring Self-intersection"}, "ice 3 crosses itself: try Repair."),
        ({"ice 3": "Holes are nested"}, "ice 3 is invalid: try Repair."),
        (
            dict.fromkeys("abcdefg", "Self-intersection"),
            "a, b, c, d, e and 2 more cross themselves: try Repair.",
        ),
        ({"a": "Self-intersection", "b": "Nested shells"}, "a, b are invalid: try Repair."),
    ],
)
def test_flaws_are_told_by_what_they_are(flaws, told):
    assert told_of_flaws(flaws) == told


def test_what_memory_holds_is_saved_to_a_new_file(studio, tmp_path):
    studio.accept()
    assert studio.queue.save.disabled
    studio.save(tmp_path / "mine.gpkg")
    assert studio.desk.file == tmp_path / "mine.gpkg"
    studio.accept()
    studio.queue.save.clicks += 1
    assert gl.open_inventory(tmp_path / "mine.gpkg").review_status.tolist().count("accepted") == 2
    with pytest.raises(InventoryError, match="there already"):
        gl.apps.inspect(outlines=studio.review.outlines).save(tmp_path / "mine.gpkg")


def test_downloads_are_geopackages(studio, tmp_path):
    studio.accept()
    for name, make in [("a.gpkg", studio.queue._outlines_file), ("b.gpkg", studio.queue._labels_file)]:
        (tmp_path / name).write_bytes(make().read())
    assert len(gl.open_inventory(tmp_path / "a.gpkg")) == len(studio.review.outlines)
    assert len(gl.open_inventory(tmp_path / "b.gpkg")) == 1


KILLED = """
import os, signal, sys, warnings
import glacierlab as gl
studio = gl.apps.inspect(outlines=sys.argv[1], analyst="Ana")
studio.accept()
studio.reject("snow")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_session_is_recovered_on_opening(package):
    subprocess.run([sys.executable, "-c", KILLED, str(package)], check=False, timeout=300)
    other = gl.apps.inspect(outlines=package, analyst="Ben")
    assert other.review.unsaved == 0  # not his
    other.queue.analyst.value = "Ana"
    assert "Here again: 2 acts of a session that ended without a save." in other.said
    assert sorted(other.review.queue.status)[-2:] == ["accepted", "rejected"]


def test_a_name_changes_who_signs_from_then_on(studio):
    studio.accept()
    studio.queue.analyst.value = "Ben"
    studio.accept()
    assert studio.review.trail.who.tolist() == ["Ana", "Ben"]


# ---- the lab, scores ----


def test_the_lab_follows_its_widgets_and_a_script(studio):
    studio.tabs.active = 2
    studio.thresholds.threshold.value = 2.4
    assert studio.lab.threshold == 2.4
    assert "km²" in studio.thresholds.told.object
    studio.thresholds.layer.value = "ndsi"
    assert (studio.lab.layer, studio.thresholds.threshold.value) == ("ndsi", 0.4)
    studio.lab.threshold = 0.5
    studio.refresh()
    assert studio.thresholds.threshold.value == 0.5
    studio.tabs.active = 0
    assert studio.layers.over.value == "nothing"


def test_the_marker_stands_at_the_threshold(studio):
    studio.tabs.active = 2
    studio.thresholds.take_best()
    curve = studio.lab.curve
    assert studio.thresholds._marker.location == curve.best == studio.lab.threshold
    assert f"Best F1 {curve.table.f1.max():.3f}" in studio.thresholds.note.object
    drawn = {r.glyph.x: r for r in studio.thresholds.chart.object.renderers}
    assert len(studio.thresholds.chart.object.renderers) == 3, drawn


def test_the_lab_outlines_exactly_what_is_in_view(studio, outlines):
    studio.tabs.active = 2
    studio.thresholds._release()
    assert f"{len(outlines)} outlines" in studio.thresholds.exact.object


def test_a_review_with_edits_is_not_thrown_away(studio):
    studio.accept()
    studio.tabs.active = 2
    studio.thresholds.review.clicks += 1
    assert "not saved" in studio.status.object
    assert studio.review.queue.status[0] == "accepted"


def test_scores_follow_edits(studio, made):
    before = studio.scores.recall.item()
    assert before == pytest.approx(
        gl.score(gl.scores.burn(studio.review.outlines, made["truth"]), made["truth"]).recall.item()
    )
    studio.tabs.active = 3
    assert f"{before:.3f}" in studio.judging.told.object
    studio.reject("to see the score fall")
    assert studio.scores.recall.item() < before
    assert f"{studio.scores.recall.item():.3f}" in studio.judging.told.object
    assert studio.layers.over.value == "hits and errors"


def test_a_reference_that_labels_some_ice_gives_recall_until_told_otherwise(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, reference=outlines.iloc[:1])
    assert list(studio.scores) == ["recall"]
    studio.tabs.active = 3
    studio.judging.complete.value = True
    assert "precision" in studio.scores
    assert gl.apps.inspect(made, mapped, reference=Reference(outlines, "mine")).desk.reference == "mine"


def test_an_upload_becomes_the_reference(studio, outlines, tmp_path):
    outlines.to_file(tmp_path / "a.gpkg")
    studio.tabs.active = 3
    studio.judging.upload.param.update(filename=HOSTILE[0], value=(tmp_path / "a.gpkg").read_bytes())
    assert studio.desk.reference == HOSTILE[0]
    assert studio.scores.recall.item() == 1
    assert "<script>" not in studio.status.object + studio.judging.told.object
    studio.judging.upload.param.update(filename="b.gpkg", value=b"nothing")
    assert "neither a GeoPackage nor GeoJSON" in studio.status.object
    assert studio.desk.reference == HOSTILE[0]


def test_unknown_names_are_told(studio):
    for name in ("label", "reference"):
        with pytest.raises(UnknownNameError):
            setattr(studio.desk, name, "1850")
    with pytest.raises(UnknownNameError, match="inventory"):
        studio.desk.compare("nobody's")


# ---- dates, products, agreement ----


@pytest.fixture
def two_dates(made, mapped):
    older = made.assign_attrs(datetime="1990-08-01").map(lambda band: band, keep_attrs=True)
    newer = made.assign_attrs(datetime="2020-08-01")
    return gl.apps.inspect([older, newer], [mapped, gl.map_glaciers(made, value=4.0)], analyst="Ana")


def test_dates_have_reviews_of_their_own(two_dates):
    assert two_dates.label == "2020-08-01"
    two_dates.accept()
    two_dates.layers.date.value = "1990-08-01"
    assert two_dates.label == "1990-08-01"
    assert two_dates.review.unsaved == 0
    two_dates.look_at("2020-08-01")
    assert two_dates.review.unsaved == 1
    assert two_dates.layers.date.value == "2020-08-01"


def test_swipe_shows_another_date_or_layer(two_dates):
    two_dates.layers.beside.value = "1990-08-01"
    assert two_dates.map._slots["swipe"].pictures is two_dates.desk.stock.pictures("1990-08-01")
    two_dates.layers.beside.value = "class map"
    assert two_dates.map._slots["swipe"].name == "class map"
    two_dates.layers.beside.value = "nothing"
    assert "swipe" not in two_dates.map._slots


def test_the_date_plays(two_dates):
    two_dates.layers._step()
    assert two_dates.label == "1990-08-01"
    two_dates.layers._step()
    assert two_dates.label == "2020-08-01"


def test_two_inventories_are_compared(studio, outlines):
    ben = outlines.set_geometry(outlines.buffer(30))
    studio.desk.hold_against(ben, "Ben")
    studio.tabs.active = 6
    expected = gl.change.agreement(studio.review.outlines, ben).total
    assert f"IoU {expected['iou']:.3f}" in studio.comparing.told.object
    assert "agreement" in studio.map._drawings
    studio.comparing.show_digitized()
    found = studio.comparing.comparison.digitized()
    assert found.distance_mean_m.median() == pytest.approx(30, rel=0.15)  # a buffer of 30 m
    assert (
        f"{found[found.n > 1].distance_mean_m.median():.0f} m apart" in studio.comparing.digitized[0].object
    )
    studio.tabs.active = 0
    assert "agreement" not in studio.map._drawings


def test_debris_is_told_where_a_map_knows_it(made):
    truth = made["truth"].rename("class_map").to_dataset()
    studio = gl.apps.inspect(made, truth)
    found = studio.desk.debris()
    assert found.debris_km2.sum() == pytest.approx(float((made["truth"] == 2).sum()) * 900 / 1e6, rel=0.02)
    studio.tabs.active = 5
    assert "under debris" in studio._tabs[5].told.object
    studio.tabs.active = 4
    assert ("in contact with ice" in studio._tabs[4].told.object) == bool((made["truth"] == 3).any())


# ---- text is text ----


def test_hostile_names_are_text_everywhere(made, mapped, outlines):
    hostile = outlines.iloc[:5].assign(glac_name=HOSTILE[: len(outlines.iloc[:5])])
    rival = {HOSTILE[0]: outlines}
    studio = gl.apps.inspect(made.assign_attrs(title=HOSTILE[0]), mapped, hostile, analyst=HOSTILE[0])
    studio.desk.hold_against(rival[HOSTILE[0]], HOSTILE[0])
    for number in range(len(studio.tabs)):
        studio.tabs.active = number
    for _ in range(len(studio.review.queue)):
        studio.accept(reason=HOSTILE[0])
    panes = [pane.object for pane in studio.__panel__().select(lambda part: hasattr(part, "object"))]
    markup = [text for text in panes if isinstance(text, str)]
    assert any("&lt;script&gt;" in text for text in markup)
    assert not any("<script" in text for text in markup)


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_escapes_what_it_is_given(text):
    for markup in (paragraph(text), facts({text: text}), swatches({text: "#000000"})):
        assert "<script" not in markup
        assert "<b>" not in markup


def test_tables_hold_texts_and_numbers_alone():
    frame = pd.DataFrame({"a": ["x", None, np.nan, pd.NaT, 3], "b": [1.0, np.nan, 3, 4, 5]})
    assert shown(frame)["a"].tolist() == ["x", "", "", "", "3"]
    assert plain(pd.Timestamp("2020-01-01")) == "2020-01-01 00:00:00"


def test_a_table_that_nobody_looked_at_yet_shows_what_was_done_meanwhile(studio):
    studio.accept()
    drawn = studio.queue.queue.get_root().source.data
    assert drawn["status"][0] == "accepted"


def test_a_table_changes_only_the_cells_that_did(studio):
    rows = studio.queue.queue
    rows.get_root()  # someone looks at it
    old, patched = rows.value, []
    rows.patch = patched.append
    update(rows, old.assign(status=["accepted"] + [""] * (len(old) - 1)))
    assert patched == [{"status": [(0, "accepted")]}]
    update(rows, old)
    assert len(patched) == 1
