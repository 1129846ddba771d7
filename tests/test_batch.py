"""Many scenes: one that fails stops nothing, what is done is kept, the same call maps what is missing."""

import json
import os
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from commands import FILES, call, names

import glacierlab as gl
from glacierlab.batch import alone, map_scene, map_scenes, named
from glacierlab.errors import GlacierlabError, SceneError, WriteError
from glacierlab.io.files import open_tags, own_attrs
from glacierlab.io.finding import scene_name
from glacierlab.report import Reference


@pytest.fixture(scope="module")
def worlds():
    return [gl.synthetic_scene(seed=seed, shape=(60, 80)).drop_vars("truth") for seed in (1, 2, 3)]


@pytest.fixture
def folder(worlds, tmp_path):
    """Three scenes, the second cut short, and a table between them."""
    scenes = tmp_path / "scenes"
    for number, world in enumerate(worlds, 1):
        gl.write_raster(world, scenes / f"world{number}.tif")
    broken = scenes / "world2.tif"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    (scenes / "notes.csv").write_text("not a scene")
    return scenes


@pytest.fixture
def cli(capsys):
    return partial(call, capsys)


@pytest.fixture
def mapped(monkeypatch):
    """Titles of the scenes that were mapped."""
    seen = []

    def counted(scene, *args, **how):
        seen.append(scene.attrs["title"])
        return gl.map_glaciers(scene, *args, **how)

    monkeypatch.setattr("glacierlab.batch.map_glaciers", counted)
    return seen


def summary(folder):
    return pd.read_csv(folder / "summary.csv").set_index("scene")


# ---- one fails ----


def test_a_broken_scene_stops_nothing(cli, folder, worlds, tmp_path):
    out = tmp_path / "out"
    code, told, err = cli("map", folder, "-o", out)
    assert code == 1
    assert "2 of 3 scenes mapped" in told
    assert len(err.splitlines()) == 1
    assert "world2 failed: world2.tif" in err
    assert "damaged or cut short" in err
    assert names(out) == {"summary.csv", "world1", "world3"}
    assert names(out / "world1") == names(out / "world3") == FILES
    table = summary(out)
    assert list(table.index) == ["world1", "world2", "world3"]
    assert list(table.status) == ["ok", "failed", "ok"]
    assert "cut short" in table.reason["world2"]
    outlines = gl.vectorize(gl.map_glaciers(worlds[2]))
    assert table.glacier_km2["world3"] == pytest.approx(outlines.area_km2.sum(), abs=1e-5)
    assert table.outlines["world3"] == len(outlines)
    assert (table.date["world3"], table.sensor["world3"]) == ("2020-09-15", "landsat_oli")


def test_the_same_call_maps_what_is_missing(cli, folder, worlds, tmp_path, mapped):
    out = tmp_path / "out"
    cli("map", folder, "-o", out)
    first = summary(out)
    assert len(mapped) == 2
    gl.write_raster(worlds[1], folder / "world2.tif")
    code, told, err = cli("map", folder, "-o", out)
    assert (code, err) == (0, "")
    assert told.count("was there already") == 2
    assert len(mapped) == 3
    assert mapped[2] == worlds[1].attrs["title"]
    again = summary(out)
    pd.testing.assert_series_equal(again.seconds.drop("world2"), first.seconds.drop("world2"))
    assert (again.status == "ok").all()
    assert again.reason.isna().all()


def test_files_that_changed_places_are_mapped_again(worlds, tmp_path, mapped):
    first, second = (tmp_path / f"{name}/scene.tif" for name in "ab")
    for path, world in zip((first, second), worlds, strict=False):
        gl.write_raster(world, path)
        with path.open("ab") as file:
            file.write(bytes(300_000 - path.stat().st_size))
        os.utime(path, (1.6e9, 1.6e9))
    areas = map_scenes([first, second], tmp_path / "out", progress=False).glacier_km2
    swapped = map_scenes([second, first], tmp_path / "out", progress=False).glacier_km2
    assert list(swapped) == list(areas[::-1])
    assert len(mapped) == 4


def test_a_new_version_maps_again(worlds, tmp_path, mapped, monkeypatch):
    for version in ("1.0", "1.0", "1.1"):
        monkeypatch.setattr("glacierlab.batch.version_of", lambda _, version=version: version)
        map_scenes({"one": worlds[0]}, tmp_path, progress=False)
    assert len(mapped) == 2


@pytest.mark.parametrize("change", ["threshold", "scene", "file"])
def test_what_changed_is_mapped_again(cli, folder, worlds, tmp_path, mapped, change):
    out, more = tmp_path / "out", []
    cli("map", folder, "-o", out)
    if change == "threshold":
        more = ["-t", "3"]
    elif change == "scene":
        gl.write_raster(worlds[1].assign_attrs(title="another"), folder / "world1.tif")
    else:
        (out / "world1/outlines.gpkg").unlink()
    cli("map", folder, "-o", out, *more)
    assert len(mapped) == {"threshold": 4, "scene": 3, "file": 3}[change]


def test_a_stop_keeps_what_is_done(cli, folder, tmp_path, monkeypatch):
    out, find = tmp_path / "out", gl.map_glaciers

    def stopped(scene, *args, **how):
        if "seed 3" in scene.attrs["title"]:
            raise KeyboardInterrupt
        return find(scene, *args, **how)

    monkeypatch.setattr("glacierlab.batch.map_glaciers", stopped)
    code, _, err = cli("map", folder, "-o", out)
    assert code == 130
    assert "stopped" in err
    assert list(summary(out).status) == ["ok", "failed"]
    monkeypatch.setattr("glacierlab.batch.map_glaciers", find)
    code, told, _ = cli("map", folder, "-o", out)
    assert list(summary(out).status) == ["ok", "failed", "ok"]
    assert told.count("was there already") == 1


def test_a_stop_leaves_no_summary_of_two_settings(worlds, tmp_path, monkeypatch):
    scenes = {f"world{number}": world for number, world in enumerate(worlds, 1)}
    map_scenes(scenes, tmp_path, value=2, progress=False)
    old = summary(tmp_path).glacier_km2["world3"]

    def stopped(scene, *args, **how):
        if "seed 2" in scene.attrs["title"]:
            raise KeyboardInterrupt
        return gl.map_glaciers(scene, *args, **how)

    monkeypatch.setattr("glacierlab.batch.map_glaciers", stopped)
    with pytest.raises(KeyboardInterrupt):
        map_scenes(scenes, tmp_path, value=5, progress=False)
    assert list(summary(tmp_path).index) == ["world1"]  # the others are of the value 2
    monkeypatch.undo()
    backwards = dict(reversed(scenes.items()))
    with pytest.raises(KeyboardInterrupt):  # what is there by these settings stays, wherever it comes
        map_scenes(backwards, tmp_path, value=2, progress=False, say=interrupt)
    found = summary(tmp_path)
    assert list(found.index) == ["world3", "world2"]
    assert found.glacier_km2["world3"] == old


def interrupt(_):
    raise KeyboardInterrupt


def test_an_error_that_nobody_expected_stops_nothing(folder, tmp_path, monkeypatch, worlds):
    def ill(scene, *args, **how):
        if "seed 1" in scene.attrs["title"]:
            raise ZeroDivisionError("by a bug")
        return gl.map_glaciers(scene, *args, **how)

    monkeypatch.setattr("glacierlab.batch.map_glaciers", ill)
    table = map_scenes(folder, tmp_path / "out", progress=False)
    assert table.reason[0] == "ZeroDivisionError: by a bug"
    assert list(table.status) == ["failed", "failed", "ok"]


def test_several_paths_make_a_batch(cli, folder, worlds, tmp_path):
    other = gl.write_raster(worlds[1], tmp_path / "elsewhere/world1.tif")
    code, _, err = cli("map", folder / "world1.tif", other, "gone.tif", "-o", tmp_path / "out")
    assert code == 1
    assert "gone failed: gone.tif does not exist" in err
    assert names(tmp_path / "out") == {"world1", "world1-2", "summary.csv"}
    areas = summary(tmp_path / "out").glacier_km2
    assert areas["world1"] != areas["world1-2"]


def test_names_that_become_one_keep_their_scenes(cli, worlds, tmp_path):
    for world, name in zip(worlds, ("scene 1", "scene_1", "scene(1"), strict=True):
        gl.write_raster(world, tmp_path / f"in/{name}.tif")
    code, told, _ = cli("map", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0
    assert "3 of 3" in told
    assert len(set(summary(tmp_path / "out").glacier_km2)) == 3
    assert names(tmp_path / "out") == {"scene_1", "scene_1-2", "scene_1-3", "summary.csv"}


def test_names_are_folders_of_their_own(monkeypatch, tmp_path):
    (tmp_path / "place/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "place/deep")
    found = named({"a b": 1, "a/b": 2, "A_B": 3, "..": 4, "": 5, "../up": 6, "summary.csv": 7}, "out")
    assert list(found.values()) == [1, 2, 3, 4, 5, 6, 7]
    assert list(found) == ["a_b", "a_b-2", "A_B-3", "scene", "scene-2", "_up", "summary.csv-2"]
    assert [scene_name(path) for path in ("..", ".", "../..")] == ["place", "deep", tmp_path.name]


def test_a_list_of_files_is_a_scene(worlds, tmp_path, mapped):
    files = [gl.write_raster(worlds[0][[name]], tmp_path / f"in/{name}.tif") for name in ("red", "swir16")]
    scenes = {"bands": files, "nothing": [5], "ok": worlds[1]}
    table = map_scenes(scenes, tmp_path / "out", progress=False)
    assert list(table.status) == ["ok", "failed", "ok"]
    map_scenes(scenes, tmp_path / "out", progress=False)
    assert len(mapped) == 2


def test_scenes_by_name_come_from_functions_too(worlds, tmp_path):
    asked = []

    def fetch(**opening):
        asked.append(opening)
        return worlds[0].chunk(32)

    def unreachable(**_):
        raise SceneError("the catalog is gone")

    scenes = {"in memory": worlds[0], "far/away": fetch, "gone": unreachable}
    table = map_scenes(scenes, tmp_path / "out", opening={"resolution": 30}, progress=False)
    assert list(table.scene) == ["in_memory", "far_away", "gone"]
    assert list(table.status) == ["ok", "ok", "failed"]
    assert asked == [{"resolution": 30}]
    assert table.glacier_km2[0] == table.glacier_km2[1]
    map_scenes(scenes, tmp_path / "out", opening={"resolution": 30}, progress=False)
    assert len(asked) == 1


def test_what_a_function_fetches_is_told_by_its_token(worlds, tmp_path, mapped):
    for token, world in (("a", 0), ("a", 0), ("b", 1)):

        def fetch(world=world, **_):
            return worlds[world]

        fetch.token = token
        map_scenes({"one": fetch}, tmp_path, progress=False)
    assert len(mapped) == 2


def test_two_runs_do_not_share_a_folder(worlds, tmp_path):
    pytest.importorskip("filelock")
    left = tmp_path / "out/.unfinished-0123456789ab"
    left.mkdir(parents=True)
    with alone(tmp_path / "out"):
        with pytest.raises(GlacierlabError, match="another run"):
            map_scene(worlds[0], tmp_path / "out")
        assert left.exists()
    map_scene(worlds[0], tmp_path / "out", progress=False)
    assert names(tmp_path / "out") == FILES


def test_without_filelock_it_goes_without(worlds, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    map_scene(worlds[0], tmp_path / "out", progress=False)
    assert names(tmp_path / "out") == FILES


def test_degrees_are_told_with_what_to_do(cli, worlds, tmp_path):
    path = gl.write_raster(worlds[0].rio.reproject("EPSG:4326"), tmp_path / "degrees.tif")
    code, _, err = cli("map", path, "-o", tmp_path / "out")
    assert code == 2
    assert f"gdalwarp -t_srs EPSG:{worlds[0].rio.crs.to_epsg()}" in err
    assert names(tmp_path) == {"degrees.tif"}


def test_debug_shows_why_a_scene_failed(cli, folder, tmp_path):
    _, _, err = cli("map", folder, "-o", tmp_path / "out", "--debug")
    assert "Traceback" in err
    assert "SceneError: " in err
    _, _, err = cli("map", folder, "-o", tmp_path / "out")
    assert "Traceback" not in err


def test_there_must_be_a_scene(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = cli("map", tmp_path / "empty", "-o", tmp_path / "out")
    assert code == 2
    assert "holds no scene" in err
    with pytest.raises(SceneError, match="no scene to map"):
        map_scenes([], tmp_path / "out")


def test_a_reference_is_part_of_what_was_asked(worlds, tmp_path, mapped):
    held = Reference(gl.map_glaciers(worlds[0], value=3)["class_map"], "a stricter map")
    scenes = {"one": worlds[0]}
    for reference in (None, held, held):
        table = map_scenes(scenes, tmp_path / "out", reference=reference, progress=False)
    assert len(mapped) == 2
    assert "Scores against a stricter map" in (tmp_path / "out/one/report.html").read_text(encoding="utf-8")
    far = gl.vectorize(held.data)
    far = Reference(far.set_geometry(far.translate(1e6)), "far away")
    table = map_scenes(scenes, tmp_path / "out", reference=far, progress=False)
    assert table.status[0] == "failed"
    assert "do not overlap" in table.reason[0]
    map_scenes(scenes | {"one": worlds[1]}, tmp_path / "out", reference=held, progress=False)
    assert len(mapped) == 4


def test_maps_among_the_scenes_are_no_scenes(cli, folder, worlds, tmp_path):
    gl.write_raster(worlds[1], folder / "world2.tif")
    for _ in range(2):
        code, told, _ = cli("map", folder, "-o", folder / "maps")
        assert code == 0
        assert "3 of 3" in told


def test_earlier_maps_are_no_scenes(cli, folder, worlds):
    gl.write_raster(worlds[1], folder / "world2.tif")
    for out in ("one", "other", "."):
        code, told, _ = cli("map", folder, "-o", folder / out)
        assert code == 0
        assert "3 of 3" in told


# ---- a catalog ----


@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo
@pytest.mark.filterwarnings("always:More than max_items")
def test_a_query_maps_every_pass(cli, tmp_path, monkeypatch):
    pytest.importorskip("odc.stac")
    stac_server = pytest.importorskip("stac_server")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rng = np.random.default_rng(6)
    with stac_server.serving(tmp_path / "served") as api:
        for day in ("2020-08-16", "2020-08-21"):
            shape = {10: (120, 120), 20: (60, 60)}
            steps = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20}
            bands = {name: rng.integers(1000, 4000, shape[step]) for name, step in steps.items()}
            name = f"S2B_11UMS_{day.replace('-', '')}_0_L2A"
            stac_server.add_sentinel_2(api, name, bands, applied=True, when=f"{day}T18:59:19Z")
        west, south, east, north = api.items[0]["bbox"]
        asked = ["map", "--stac", api.url, "--bbox", f"{west},{south},{east},{north}", "--dates", "2020-08"]
        asked += ["--bands", "red,swir16", "-o", tmp_path / "out"]
        code, told, err = cli(*asked)
        assert code == 0, err
        table = summary(tmp_path / "out")
        assert list(table.date) == ["2020-08-16", "2020-08-21"]
        assert list(table.index) == [item["id"] for item in api.items]
        for name in table.index:
            assert names(tmp_path / "out" / name) == FILES
            told = own_attrs(open_tags(tmp_path / "out" / name / "class_map.tif")[-1])["settings"]
            (_, (catalog, _, items)) = json.loads(told)["scene"]
            assert (catalog, items) == (api.url, [["sentinel-2-l2a", name]])
            scene = gl.open_scene(tmp_path / "out" / name / "scene.tif")
            assert scene.attrs["sensor"] == "sentinel2_msi"
        read = len(api.files_read())
        _, told, _ = cli(*asked)
        assert told.count("was there already") == 2
        assert len(api.files_read()) == read
        _, told, err = cli(*asked[:-2], "--max-items", "1", "-o", tmp_path / "first")
        assert "1 of 1" in told
        assert "max_items" in err
        code, _, err = cli(*asked[:-2], "--max-cloud", "1", "-o", tmp_path / "none")
        assert code == 2
        assert len(err.splitlines()) == 1


def test_a_scene_is_not_replaced_by_its_map(tmp_path):
    scene = gl.synthetic_scene(seed=3, shape=(60, 70)).drop_vars("truth")
    path = gl.write_raster(scene, tmp_path / "scene.tif")
    before = path.read_bytes()
    with pytest.raises(WriteError, match="would replace the scene"):
        map_scene(path, tmp_path)
    assert path.read_bytes() == before
