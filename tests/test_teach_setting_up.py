"""Lesson 0: the machine, scenes spoiled on purpose, and the verdicts of its exercises."""

import numpy as np
import pytest
import xarray as xr

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, UnknownNameError
from glacierlab.teach import setting_up

FOUND = {  # what the doctor finds of each ailment; nothing of the exchange of two infrared bands
    "not scaled": {"scale": "fail", "offset": "warn", "bright values": "warn"},
    "offset left in": {"offset": "warn"},
    "red and swir16 swapped": {"band order": "warn"},
    "nir and swir16 swapped": {},
    "cirrus band for swir16": {"SWIR not empty": "fail"},
    "saturated": {"saturation": "warn"},
    "striped": {"gaps": "warn"},
}


def said(*given):
    return repr(gl.teach.check(*given))


# ---- the machine


def test_a_machine_where_the_tests_run_is_ready(made, tmp_path):
    table = gl.teach.ready(tmp_path)
    assert list(table.columns) == list(made.glacier.check().columns)
    assert table.verdict["Python"] == table.verdict["glacierlab"] == "ok"
    assert table.evidence["glacierlab"] == gl.__version__
    assert set(setting_up.USERS) == {name.split("'")[1] for name in table.index if name.startswith("extra")}


def test_a_missing_and_an_old_package_are_named_with_what_to_type(monkeypatch):
    here = setting_up.version

    def version(name):
        if name == "holoviews":
            raise setting_up.PackageNotFoundError(name)
        return "0.1" if name == "panel" else here(name)

    monkeypatch.setattr(setting_up, "version", version)
    row = gl.teach.ready().loc["extra 'viz'"]
    assert row.verdict == "warn"
    assert row.evidence.startswith("2 of ")
    assert "holoviews" in row.evidence
    assert "panel" in row.evidence
    assert row.advice == "%pip install 'glacierlab[viz]' in a cell, then restart the kernel"


def test_a_container_with_little_memory_is_told(monkeypatch):
    import distributed.system

    monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 1_000_000_000)
    row = gl.teach.ready().loc["memory"]
    assert (row.verdict, row.evidence[:6]) == ("warn", "1.0 GB")
    assert "1.8 GB" in row.advice


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GlacierlabError, match=r"no folder .*nowhere"):
        gl.teach.ready(tmp_path / "nowhere")


# ---- spoiled scenes


@pytest.mark.parametrize("ailment", gl.teach.AILMENTS)
def test_what_the_doctor_finds_of_each_ailment(made, ailment):
    spoiled = gl.teach.ailing(made, ailment)
    verdict = spoiled.glacier.check().verdict
    assert verdict[verdict != "ok"].to_dict() == FOUND[ailment]
    assert not setting_up.same(spoiled, made)
    assert made.glacier.check().verdict.eq("ok").all()


def test_every_ailment_is_known_and_an_unknown_one_told(made):
    assert set(FOUND) == set(gl.teach.AILMENTS)
    with pytest.raises(UnknownNameError, match="Did you mean 'striped'"):
        gl.teach.ailing(made, "stripes")


def test_a_lazy_scene_is_spoiled_lazily(made):
    for ailment in gl.teach.AILMENTS:
        lazy = gl.teach.ailing(made.chunk(y=50), ailment)
        assert lazy["swir16"].chunks is not None
        xr.testing.assert_identical(lazy.compute(), gl.teach.ailing(made, ailment))


def test_five_patients_differ_and_the_seed_says_who_has_what(made):
    for seed in range(5):
        five = gl.teach.patients(made, seed)
        assert list(five) == list("ABCDE")
        pairs = [(a, b) for a in five for b in five if a < b]
        assert not any(setting_up.same(five[a], five[b]) for a, b in pairs)


def test_a_file_that_does_not_say_what_its_numbers_are(made, tmp_path):
    path = gl.teach.write_unlabeled(made, tmp_path / "new" / "neighbor.tif")
    with pytest.warns(DataWarning, match="does not say how its numbers become reflectance"):
        assert gl.open_scene(path).attrs["radiometry"] == "dn"
    again = gl.open_scene(path, gain=0.0001, offset=-1000)
    np.testing.assert_allclose(again.red, made.red, rtol=0, atol=0.5 / 10_000 + 1e-6)


# ---- verdicts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("falls", "Right. The median of red/SWIR on the ice was "),
        (" Falls", "Right."),
        ("rises", "Not yet. Take two numbers"),
        ("stays", "Not yet. It would, had both been multiplied"),
        ("down", 'Not yet. Answer "rises", "falls" or "stays".'),
        (np.arange(3), 'Not yet. Answer "rises", "falls" or "stays".'),
    ],
)
def test_ratio_moves(made, answer, expected):
    spoiled = gl.teach.ailing(made, "offset left in")
    assert said("00.1", answer, made, spoiled, made.truth == 1).startswith(expected)


def test_a_ratio_stays_where_both_bands_are_scaled_alike(made):
    scaled = gl.teach.ailing(made, "not scaled")
    assert said("00.1", "stays", made, scaled, made.truth == 1).startswith("Right.")
    assert said("00.1", "falls", made, scaled, made.truth == 1).startswith("Not yet.")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (dict(gain=0.0001, offset=-1000), "Right. Now it is the scene"),
        (dict(gain=0.0001, offset=0), "Not yet. Every pixel is +10.0 % off."),
        (dict(gain=0.0001, offset=1000), "Not yet. Every pixel is +20.0 % off."),
        (dict(gain=0.001, offset=-1000), "Not yet. One step in the true reflectance is 10 steps"),
        (dict(radiometry="dn"), "Not yet. These are still digital numbers"),
    ],
)
def test_mended_scene(made, tmp_path, how, expected):
    path = gl.teach.write_unlabeled(made.where(made.x > made.x[20]), tmp_path / "a.tif")  # some is missing
    mine = gl.open_scene(path, **how)
    assert said("00.2", mine, made.where(made.x > made.x[20])).startswith(expected)


def test_mended_scene_of_something_else(made):
    for answer in (None, "neighbor.tif", made[["elevation"]], made.isel(y=slice(50)), made * np.nan):
        assert said("00.2", answer, made).startswith("Not yet. Give what gl.open_scene returns")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("red", "swir16"), "Right. red and swir16 it is."),
        (["swir16", "red"], "Right."),
        (("green", "red"), "Not yet. One of the two is right."),
        (("green", "nir"), "Not yet. Both are what they are called."),
        (("green", "swir"), "Not yet. Bands are named coastal, blue, green"),
        ((1, 2), "Not yet. Bands are named"),
        ("red", "Not yet. Give two different names"),
        (("red", "red"), "Not yet. Give two different names"),
        (None, "Not yet. Give two different names"),
    ],
)
def test_swapped_pair(made, answer, expected):
    spoiled = gl.teach.ailing(made, "red and swir16 swapped")
    assert said("00.3", answer, spoiled, made).startswith(expected)


def test_diagnoses(made):
    order = ["striped", "saturated", "nir and swir16 swapped", "not scaled", "offset left in"]
    five = {letter: gl.teach.ailing(made, name) for letter, name in zip("ABCDE", order, strict=True)}
    truth = dict(zip("ABCDE", order, strict=True))
    judged = lambda answer: said("00.4", answer, five, made)
    assert judged(truth).startswith("Right. All 5. And the doctor found nothing wrong with C:")
    assert judged(truth | {"C": "cirrus band for swir16"}).startswith("Not yet. 4 of 5. What is left is a")
    assert judged(truth | {"A": "saturated"}).startswith("Not yet. 4 of 5. The doctor's evidence")
    assert judged(dict.fromkeys("ABCDE", "striped")).startswith("Not yet. 1 of 5.")
    assert judged(truth | {"A": "ill"}).startswith("Not yet. 'ill' is no ailment. There are: not scaled;")
    for answer in (order, {"A": "striped"}, None):
        assert judged(answer).startswith("Not yet. Give a dict with an ailment for each")


# ---- what the lesson says


def test_what_lesson_0_says_of_the_made_scene():
    scene = gl.synthetic_scene(seed=6)
    assert scene.glacier.check().verdict.eq("ok").all()
    assert len(scene.glacier.check()) == 12  # questions of the doctor
    spoiled = gl.teach.ailing(scene, "offset left in")
    area = lambda each: int((gl.map_glaciers(each, value=2.0)["class_map"] == 1).sum())
    assert area(spoiled) < 0.95 * area(scene)  # the map comes out too small
    assert setting_up.same(
        gl.teach.patients(scene, seed=1)["E"], gl.teach.ailing(scene, "red and swir16 swapped")
    )
    five = gl.teach.patients(scene, seed=8)
    quiet = [name for name, each in five.items() if each.glacier.check().verdict.eq("ok").all()]
    assert quiet == ["A"]  # one of them needs the picture
