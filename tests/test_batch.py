"""Many scenes: one that fails stops nothing, what is done is kept, the same call maps what is missing."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from commands import FILES, call, names
from products import hls, landsat, pack, safe, write_image

import glacierlab as gl
from glacierlab.batch import map_scenes
from glacierlab.errors import SceneError
from glacierlab.io.finding import scene_name, scenes_below
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


def test_scenes_by_name_come_from_functions_too(worlds, tmp_path):
    asked = []

    def fetch(**opening):
        asked.append(opening)
        return worlds[0].chunk(32)

    def unreachable(**_):
        raise SceneError("the catalogue is gone")

    scenes = {"in memory": worlds[0], "far/away": fetch, "gone": unreachable}
    table = map_scenes(scenes, tmp_path / "out", opening={"resolution": 30}, progress=False)
    assert list(table.scene) == ["in_memory", "far_away", "gone"]
    assert list(table.status) == ["ok", "ok", "failed"]
    assert asked == [{"resolution": 30}]
    assert table.glacier_km2[0] == table.glacier_km2[1]
    map_scenes(scenes, tmp_path / "out", opening={"resolution": 30}, progress=False)
    assert len(asked) == 1


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


# ---- one scene, or a folder of several ----

DN = dict.fromkeys(("B2", "B3", "B4", "B5", "B6", "B7"), 9000)


def test_products_are_told_from_folders_of_products(tmp_path):
    one = landsat(tmp_path / "landsat", DN)
    two = safe(tmp_path / "safe", {"B03": 2000, "B04": 2000, "B11": 1500})
    three = hls(tmp_path / "hls/one", {"B03": 2000, "B05": 1500})
    packed = pack(other := landsat(tmp_path / "other", DN), tmp_path / "LC08_1.tar")
    for path in (one, two, three, packed):
        assert scenes_below(path) == [path]
    assert set(scenes_below(tmp_path)) == {one, two, three, packed, other}
    assert [scene_name(path) for path in (two, packed)] == [two.name.removesuffix(".SAFE"), "LC08_1"]


def test_single_bands_together_are_one_scene(tmp_path):
    for name in ("red", "nir", "swir16"):
        write_image(tmp_path / f"bands/{name}.tif", np.full((12, 12), 0.2, "float32"))
    assert scenes_below(tmp_path / "bands") == [tmp_path / "bands"]
    stacked = np.full((3, 12, 12), 0.2, "float32")
    write_image(tmp_path / "bands/all.tif", stacked)
    assert scenes_below(tmp_path / "bands") == [tmp_path / "bands"]
    paths = [write_image(tmp_path / f"many/{name}.tif", stacked) for name in ("a", "b")]
    assert scenes_below(tmp_path / "many") == paths


def test_maps_among_the_scenes_are_no_scenes(cli, folder, worlds, tmp_path):
    gl.write_raster(worlds[1], folder / "world2.tif")
    for _ in range(2):
        code, told, _ = cli("map", folder, "-o", folder / "maps")
        assert code == 0
        assert "3 of 3" in told


def test_zarr_and_netcdf_are_scenes(worlds, tmp_path):
    worlds[0].to_netcdf(tmp_path / "a.nc")
    worlds[0].to_zarr(tmp_path / "b.zarr", consolidated=False, zarr_format=2)
    assert scenes_below(tmp_path) == [tmp_path / "a.nc", tmp_path / "b.zarr"]


# ---- a catalogue ----


@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo
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
            scene = gl.open_scene(tmp_path / "out" / name / "scene.tif")
            assert scene.attrs["sensor"] == "sentinel2_msi"
        read = len(api.files_read())
        _, told, _ = cli(*asked)
        assert told.count("was there already") == 2
        assert len(api.files_read()) == read
        code, _, err = cli(*asked[:-2], "--max-cloud", "1", "-o", tmp_path / "none")
        assert code == 2
        assert len(err.splitlines()) == 1
