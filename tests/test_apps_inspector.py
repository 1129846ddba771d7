"""What the inspector says and shows: references, saves, rejected outlines, legends, who is called what."""

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
import shapely
from browsing import serving
from commands import call
from visiting import join, leave

import glacierlab as gl

pytest.importorskip("panel", reason="the apps need panel")

from glacierlab.apps import serving as served_by
from glacierlab.apps.answering import Answering
from glacierlab.apps.desk import TRUTH
from glacierlab.apps.holdings import held
from glacierlab.apps.review_tab import told_of_save
from glacierlab.errors import GridError, InventoryError


@pytest.fixture
def package(outlines, tmp_path):
    names = [f"ice {number}" for number in range(len(outlines))]
    gl.write_outlines(outlines.assign(glac_name=names), tmp_path / "outlines.gpkg")
    return tmp_path / "outlines.gpkg"


@pytest.fixture
def two_dates(made):
    """The same ground in 1990, with half its ice, and in 2020."""
    scenes = [made.assign_attrs(datetime=f"{year}-08-01") for year in (1990, 2020)]
    scenes[0]["truth"] = (
        made["truth"].where(made.x > float(made.x.mean()), 0).assign_attrs(made["truth"].attrs)
    )
    maps = [gl.map_glaciers(scene, value=value) for scene, value in zip(scenes, (4.0, 2.0), strict=True)]
    outlines = {
        f"{year}-08-01": gl.vectorize(each["class_map"])
        for year, each in zip((1990, 2020), maps, strict=True)
    }
    return gl.apps.inspect(scenes, maps, outlines, analyst="Ana")


# ---- what scores are of ----


def test_what_a_method_mapped_is_no_reference_unless_someone_chooses_it(made, mapped, outlines):
    holdings = replace(held(made.drop_vars(TRUTH), mapped), rivals={"model default": outlines})
    studio = gl.apps.inspect(holdings)
    assert studio.desk.reference is None
    assert studio.scores is None
    studio.tabs.active = 3
    assert studio.judging.reference.value == "none"
    assert "hand in outlines, or start with --reference" in studio.judging.note.object
    studio.tabs.active = 2
    assert "choose or hand in one under Scores" in studio.thresholds.note.object
    studio.tabs.active = 3
    studio.judging.reference.value = "model default"
    assert studio.scores.recall.item() == 1
    studio.judging.reference.value = "none"
    assert studio.layers.over.value == "nothing"


def test_what_is_given_comes_before_the_truth_of_a_made_scene(made, mapped, outlines):
    assert gl.apps.inspect(made, mapped).desk.reference == TRUTH
    assert gl.apps.inspect(made, mapped, reference=outlines).desk.reference == "reference"


def test_the_truth_of_one_date_is_not_that_of_another(two_dates):
    two_dates.desk.is_complete(False)
    two_dates.look_at("1990-08-01")
    reference = two_dates.desk.references[TRUTH]
    assert reference.data.identical(two_dates.desk.scene[TRUTH])
    assert not reference.complete  # said of truth, whatever the date


def test_who_wants_no_reference_gets_none_at_other_dates_either(two_dates):
    two_dates.desk.reference = None
    two_dates.look_at("1990-08-01")
    assert two_dates.scores is None


def test_a_date_without_the_reference_does_not_lose_the_choice(made, outlines):
    older = made.drop_vars(TRUTH).assign_attrs(datetime="1990-08-01")
    studio = gl.apps.inspect([older, made.assign_attrs(datetime="2020-08-01")])
    studio.desk.reference = TRUTH
    studio.look_at("1990-08-01")
    assert studio.desk.reference is None
    studio.look_at("2020-08-01")
    assert studio.desk.reference == TRUTH


def test_the_command_takes_a_reference(monkeypatch, capsys, made, mapped, package, tmp_path):
    gl.report.write_folder(tmp_path / "map", made.drop_vars(TRUTH), mapped)
    makers = []
    monkeypatch.setattr(served_by, "serve", lambda make, **options: makers.append(make))
    for more in ([], ["--reference", str(package)]):
        call(capsys, "inspect", tmp_path / "map", *more, "--no-browser")
    alone, against = (make() for make in makers)
    assert alone.scores is None
    assert against.desk.reference == "outlines.gpkg"
    assert against.scores.recall.item() > 0.99


# ---- what a save says ----


@pytest.mark.parametrize(
    ("changes", "acts", "told"),
    [
        ({"a": "edited", "b": "edited", "c": "rejected"}, 3, "Saved: 2 outlines changed, 1 rejected, in o."),
        ({"a": "accepted"}, 1, "Saved: 1 outline accepted, in o."),
        ({"a": "", "b": None}, 2, "Saved: 1 outline waiting for a decision again, 1 taken away, in o."),
        ({}, 2, "Saved in o: what was done is in its trail, and all outlines are as they were."),
        ({}, 0, "Nothing new to save in o."),
    ],
)
def test_a_save_says_what_was_written_where(changes, acts, told):
    assert told_of_save(changes, acts, "o") == told


def test_a_save_names_the_measures_that_are_missing(made, mapped, outlines, tmp_path):
    path = tmp_path / "measured.gpkg"
    gl.write_outlines(outlines.assign(zmin_m=2000.0), path)
    studio = gl.apps.inspect(made, mapped, path, analyst="Ana")
    studio.queue.save.clicks += 1
    assert studio.said.startswith("Nothing new to save in measured.gpkg.")
    studio.tools.edit.value = True
    studio.tools._moved(shapely.affinity.translate(studio.review.geometry(studio.review.current), 5, 0))
    studio.queue.save.clicks += 1
    assert studio.said.startswith("Saved: 1 outline changed, in measured.gpkg.")
    assert "zmin_m" in studio.said


def test_acts_that_no_file_holds_are_counted_in_words(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package, analyst="Ana")
    studio.accept()
    assert "outlines.gpkg: 1 act not saved yet" in studio.queue.file.object
    studio.accept()
    assert "outlines.gpkg: 2 acts not saved yet" in studio.queue.file.object
    studio.save()
    assert "outlines.gpkg: all is saved" in studio.queue.file.object


def test_what_no_file_keeps_is_said_to_end_with_the_page(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines, analyst="Ana")
    studio.accept()
    assert "Kept until this page is closed: download" in studio.said


def test_a_page_begins_with_what_is_left_to_do(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package, analyst="Ana")
    count = len(studio.review.queue)
    assert studio.said == f"{count} of {count} outlines to decide on, the most doubtful first."
    studio.accept()
    studio.save()
    assert gl.apps.inspect(package).said.startswith(f"{count - 1} of {count} outlines to decide on")
    assert "map some under Threshold" in gl.apps.inspect(made).said


# ---- rejected, and back ----


def test_a_rejected_outline_comes_back_by_an_act(made, mapped, outlines):
    review = gl.apps.inspect(made, mapped, outlines, analyst="Ana").review
    with pytest.raises(InventoryError, match="is not rejected"):
        review.restore("0")
    review.reject("0", "snow")
    assert review.rejected[["id", "by", "reason"]].values.tolist() == [["0", "Ana", "snow"]]
    area = review.queue.set_index("id").area_km2["0"]
    review.restore("0", "it is firn")
    assert "0" in set(review.outlines.review_id)
    assert review.queue.set_index("id").status["0"] == ""
    line = review.trail.iloc[-1]
    assert (line.what, line.reason, line.change_km2) == ("restore", "it is firn", pytest.approx(area))
    assert review.undo() == "undo restore"
    assert review.rejected.id.tolist() == ["0"]


def test_a_rejected_outline_is_found_and_restored_after_a_save_and_a_reload(made, mapped, package):
    first = gl.apps.inspect(made, mapped, package, analyst="Ana")
    first.review.go("ice 2")
    shape = first.review.geometry("ice 2")
    first.reject("snow <b>")
    first.save()
    studio = gl.apps.inspect(made, mapped, package, analyst="Ben")
    assert studio.queue.back.visible
    (text,) = studio.queue.rejected.options
    assert text.startswith("ice 2: ")
    assert text.endswith("snow <b>")
    studio.queue.reason.value = "it stays in August"
    studio.queue.restore.clicks += 1
    assert studio.said.startswith("Back in the queue: ice 2.")
    assert studio.review.current == "ice 2"
    assert not studio.queue.back.visible
    studio.queue.save.clicks += 1
    assert studio.said.startswith("Saved: 1 outline waiting for a decision again, in outlines.gpkg.")
    saved = gl.open_inventory(package).set_index("glac_name")
    assert saved.geometry["ice 2"].equals(shape)
    again = gl.apps.inspect(made, mapped, package).review
    assert again.rejected.empty
    assert again.trail.what.tolist() == ["reject", "restore"]


# ---- colors, names ----


def test_the_legend_tells_every_color_that_is_shown(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines, analyst="Ana")
    legend = studio.layers.legend
    for told in ("glacier", "current outline", "no data"):
        assert told in legend.object
    assert ">background<" not in legend.object
    studio.layers.base.value = "class map"
    assert ">background<" in legend.object
    studio.tabs.active = 3
    assert "miss: reference alone" in legend.object
    studio.tabs.active = 2
    assert "above the threshold" in legend.object
    assert "miss:" not in legend.object
    studio.desk.hold_against(outlines, "<b>Ben</b>")
    studio.layers.refresh()
    studio.layers.rivals.value = ["<b>Ben</b>"]
    assert "&lt;b&gt;Ben" in legend.object


def test_without_a_scene_nothing_is_called_no_data(outlines):
    assert "no data" not in gl.apps.inspect(outlines=outlines).layers.legend.object


def test_the_current_outline_shows_on_light_and_dark(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines)
    marks = [
        each.glyph.line_color
        for each in studio.map.figure.renderers
        if len(getattr(each, "data_source", SimpleNamespace(data={})).data.get("xs", ())) == 1
    ]
    assert marks == ["#111111", "#ffffff"]  # dashes of one above a line of the other
    studio.tabs.active = 2
    studio.layers.draw_outlines()
    assert len(studio.map.figure.renderers) == len({*studio.map.figure.renderers})


def test_the_heading_tells_a_date_once(made, two_dates):
    one = gl.apps.inspect(made.assign_attrs(title="Somewhere, 2020-08-01", datetime="2020-08-01"))
    assert one.heading.object.count("2020-08-01") == 1
    assert "Landsat" in one.heading.object  # not the key of a table
    bare = gl.apps.inspect(made.assign_attrs(title="Somewhere", datetime="2020-08-01"))
    assert bare.heading.object.count("2020-08-01") == 1
    assert "2020-08-01" not in two_dates.heading.object  # the slider says it


def test_people_see_names_not_columns(made, mapped, package, outlines):
    studio = gl.apps.inspect(made, mapped, package)
    assert studio.desk.called()["ice 0"] == "ice 0"
    assert studio.queue.queue.value["name"].str.startswith("ice ").all()
    drawing, _, _, (hover,), _ = studio.map._drawings["outlines"]
    assert [name for name, _ in hover.tooltips][:3] == ["outline", "class", "area [km²]"]
    assert drawing.texts[0][0].startswith("ice ")
    numbered = gl.apps.inspect(made, mapped, outlines)
    assert numbered.desk.called()["0"] == "outline 0"
    same = gl.apps.inspect(
        made, mapped, outlines.assign(glac_name="Twin", rgi_id=[f"r{n}" for n in outlines.index])
    )
    assert same.desk.called()["r1"] == "Twin (r1)"


def test_a_click_reaches_only_what_is_drawn(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines)
    one = studio.review.queue.id.iloc[-1]
    place = studio.review.geometry(one).representative_point()
    studio._tapped(place.x, place.y)
    assert studio.review.current == one
    studio.review.go(studio.review.queue.id[0])
    studio.layers.classes.value = []
    studio._tapped(place.x, place.y)
    assert studio.review.current == studio.review.queue.id[0]


# ---- tabs follow the date ----


def test_the_lab_and_the_comparison_follow_the_date(two_dates):
    two_dates.tabs.active = 2
    chart = two_dates.thresholds.chart.object
    two_dates.look_at("1990-08-01")
    assert two_dates.thresholds.chart.object is not chart
    assert f"Best F1 {two_dates.lab.curve.table.f1.max():.3f}" in two_dates.thresholds.note.object
    two_dates.tabs.active = 6
    assert two_dates.comparing.comparison.names == ("ours", "2020-08-01")
    two_dates.look_at("2020-08-01")
    assert two_dates.comparing.comparison.names == ("ours", "1990-08-01")


def test_a_date_without_bands_leaves_the_lab_quiet(outlines, made):
    alone = made[["red"]].assign_attrs(datetime="2020-08-01")
    studio = gl.apps.inspect(alone, outlines=outlines)
    studio.tabs.active = 2
    assert studio.thresholds.best.disabled
    studio.thresholds._release()
    assert "bands to threshold" in studio.thresholds.note.object


# ---- answering ----


class Told(Answering):
    def __init__(self):
        document = SimpleNamespace(session_context=object(), add_next_tick_callback=lambda act: act())
        super().__init__(SimpleNamespace(document=document))


def worked(page, work, shown, busy):
    """Do work in its thread, and wait for what comes of it."""
    done = threading.Event()
    page._figure.document.add_next_tick_callback = lambda act: (act(), done.set())
    page.later("work", work, shown, busy)
    assert done.wait(10)


def test_work_that_fails_is_told_and_its_spinner_ends(caplog):
    page, busy = Told(), SimpleNamespace(loading=False)
    worked(page, lambda: 1 / 0, None, busy)
    assert page.said == "This could not be done (ZeroDivisionError); the log of the server says more."
    assert not busy.loading
    assert "division by zero" in caplog.text

    def fails():
        raise InventoryError("No outlines.")

    worked(page, fails, None, busy)
    assert page.said == "No outlines."
    found = []
    worked(page, lambda: 3, found.append, busy)
    assert found == [3]
    assert not busy.loading


def test_an_act_that_fails_is_told_in_a_session_and_raised_in_a_script(caplog):
    page = Told()
    page.doing(lambda: {}["missing"])()
    assert "(KeyError)" in page.said
    page._figure.document = None
    with pytest.raises(KeyError):
        page.doing(lambda: {}["missing"])()


# ---- the end of a session ----


def open_journals():
    return [each.path for each in psutil.Process().open_files() if each.path.endswith(".jsonl")]


def test_a_session_that_ends_leaves_no_file_open_and_its_acts_to_the_next(monkeypatch, made, mapped, package):
    monkeypatch.setattr(served_by, "LIFETIME_S", 1)
    monkeypatch.setattr(served_by, "CHECK_S", 0.1)
    holdings, studios = held(made, mapped, package), []

    def make():
        studio = gl.apps.inspect(holdings, analyst="Ana")
        studios.append(weakref.ref(studio))
        return studio

    async def visited(url):
        connection, _ = await join(url)
        review = studios[0]().review
        review.accept(review.current)
        assert len(open_journals()) == 1
        await leave(connection)

    with serving(make) as (url, server):
        asyncio.run(visited(url))
        deadline = time.monotonic() + 20
        while server.get_sessions() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.get_sessions() == []
        time.sleep(0.3)
        assert open_journals() == []
        gc.collect()
        assert studios[0]() is None
    after = gl.apps.inspect(holdings, analyst="Ana")
    assert after.review.trail.what.tolist() == ["accept"]
    after.close()
    assert open_journals() == []


# ---- tools ----


def test_corners_move_the_outline_they_are_of_and_no_other(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines, analyst="Ana")
    one = studio.review.current
    shape = studio.review.geometry(one)
    studio.tools.edit.value = True
    studio.tools.do_draw()
    assert not studio.tools.edit.value
    left, bottom, *_ = studio.desk.holdings.bounds
    studio.tools._drawn(shapely.box(left, bottom, left + 300, bottom + 300))
    new = studio.review.current
    studio.tools._moved(shape.buffer(50))  # of corners that are no longer on the map
    assert studio.review.geometry(new).equals(shapely.box(left, bottom, left + 300, bottom + 300))
    studio.go(one)
    studio.tools.edit.value = True
    studio.accept()
    assert not studio.tools.edit.value


def test_labels_are_offered_once_somebody_stands_for_an_outline(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines, analyst="Ana")
    assert studio.queue.labels.disabled
    studio.accept()
    assert not studio.queue.labels.disabled
    assert gl.apps.inspect(made).queue.download.disabled


def test_scores_of_another_reference_never_stand_beside_its_name(made, mapped, outlines):
    studio = gl.apps.inspect(made, mapped, outlines)
    studio.tabs.active = 3
    assert "Kappa" in studio.judging.told.object
    with pytest.raises(GridError, match="do not overlap"):
        studio.hold_against(outlines.translate(1e6, 0).to_frame("geometry"), "elsewhere")
    with pytest.raises(GridError, match="do not overlap"):
        studio.judging.refresh()  # as a page does, whatever else failed
    assert studio.judging.told.object == ""
