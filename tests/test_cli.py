"""The command line as people use it: real processes, their exit codes, their files."""

import re
from functools import partial
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import rasterio
from commands import FILES, call, run

import glacierlab as gl
from glacierlab.io.write import write_raster


@pytest.fixture
def cli(capsys):
    return partial(call, capsys)


@pytest.fixture
def scene_file(made, tmp_path):
    return write_raster(made.drop_vars("truth"), tmp_path / "scene.tif")


def test_map_and_score_a_file(cli, made, scene_file, tmp_path):
    code, out, _ = cli("map", scene_file, "-t", "otsu", "-o", tmp_path / "out")
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    write_raster(made["truth"], tmp_path / "truth.tif")
    code, out, _ = cli("score", tmp_path / "out/class_map.tif", tmp_path / "truth.tif", "--csv")
    assert code == 0
    printed = pd.read_csv(StringIO(out), index_col=0)
    mask = made.glacier.map_glaciers(value="otsu")
    assert printed.f1["glacier"] == pytest.approx(gl.score(mask, made["truth"]).f1["glacier"])


def test_map_against_outlines(cli, data, tmp_path):
    reference = data / "athabasca/athabasca_outline.shp"
    code, out, _ = cli(
        "map", data / "athabasca", "-l", "ndsi", "--reference", reference, "--partial", "-o", tmp_path / "out"
    )
    assert code == 0
    assert float(re.search(r"([\d.]+) km²", out)[1]) == pytest.approx(26, abs=2)


@pytest.mark.parametrize("threshold", [[], ["-t", "otsu"], ["-t", "li"]])
def test_map_of_a_large_scene_is_lazy(cli, scene_file, tmp_path, monkeypatch, threshold):
    monkeypatch.setattr("glacierlab.mapping.LARGE", 100)
    monkeypatch.setattr("glacierlab.mapping.CHUNK", 64)
    code, _, _ = cli("map", scene_file, *threshold, "-o", tmp_path / "lazy")
    assert code == 0
    monkeypatch.setattr("glacierlab.mapping.LARGE", 10**9)
    cli("map", scene_file, *threshold, "-o", tmp_path / "eager")
    for name in ("scene.tif", "class_map.tif"):
        with (
            rasterio.open(tmp_path / "lazy" / name) as lazy,
            rasterio.open(tmp_path / "eager" / name) as eager,
        ):
            np.testing.assert_array_equal(lazy.read(), eager.read())


def test_doctor(cli, scene_file):
    code, out, _ = cli("doctor", scene_file)
    assert code == 0
    assert re.search(r"CRS +ok +EPSG:32645", out)


def test_doctor_fails_an_ill_scene(cli, made, tmp_path):
    write_raster(made.drop_vars("truth").assign(swir16=made.swir16 * 0.01), tmp_path / "ill.tif")
    code, out, _ = cli("doctor", tmp_path / "ill.tif")
    assert code == 1
    assert "cirrus" in out


def test_sample_list(cli):
    code, out, _ = cli("sample")
    assert code == 0
    assert "athabasca" in out


@pytest.mark.parametrize("command", ["demo", "doctor", "sample", "map", "score"])
def test_help(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert out.startswith("Usage: ")


def test_debug_shows_the_traceback(tmp_path):
    done = run("doctor", tmp_path / "gone.tif", "--debug")
    assert "Traceback" in done.stderr


BAD = {
    "no such file": (["doctor", "gone.tif"], "gone.tif does not exist"),
    "empty folder": (["map", "empty"], "holds no scene"),
    "text as tif": (["map", "text.tif"], "cannot be read as a raster"),
    "cut short": (["map", "cut.tif"], "damaged or cut short"),
    "unknown sensor": (["doctor", "scene.tif", "--sensor", "landsat-99"], "Unknown sensor 'landsat-99'"),
    "unknown layer": (["map", "scene.tif", "-l", "ndxi"], "Unknown index 'ndxi'"),
    "missing band": (["map", "scene.tif", "-l", "red/lwir"], "'lwir'"),
    "no threshold": (["map", "scene.tif", "-l", "nir"], "has no published threshold"),
    "no number": (["map", "scene.tif", "-t", "high"], "'high' is no number"),
    "not writable": (["map", "scene.tif", "-o", "text.tif/out"], "cannot be written"),
    "no reference": (["score", "truth.tif", "gone.gpkg"], "does not exist"),
    "no overlap": (["score", "truth.tif", "far.gpkg"], "do not overlap"),
    "other grid": (["score", "truth.tif", "small.tif"], "Different grids"),
    "scene as map": (["score", "scene.tif", "truth.tif"], "a class map has one"),
    "mixed bands": (["map", "scene.tif", "--bands", "red=4,nir"], "mixes names and name=number"),
    "even window": (["map", "scene.tif", "--size", "4"], "odd"),
    "negative window": (["map", "scene.tif", "--size", "-1"], "odd"),
    "no area": (["map", "scene.tif", "--min-area", "nan"], "0 or more"),
    "infinite": (["map", "scene.tif", "-t", "inf"], "finite"),
    "tiny pixels": (["doctor", "scene.tif", "--resolution", "1e-4"], "units of the CRS"),
    "address": (["doctor", "https://127.0.0.1/scene.tif"], "is an address"),
    "missing argument": (["map"], "Missing argument"),
    "unknown sample": (["sample", "athabaska"], "Did you mean 'athabasca'"),
    "tile and threshold": (["map", "scene.tif", "--tile", "64"], "--tile does not go"),
    "dates and paths": (["map", "scene.tif", "--dates", "2020"], "only --stac takes it"),
    "paths and query": (["map", "scene.tif", "--stac", "earth-search"], "not both"),
    "query without area": (["map", "--stac", "earth-search"], "needs an area"),
    "query of two edges": (["map", "--stac", "earth-search", "--bbox", "1,2"], "not west,south,east,north"),
    "output is a file": (["map", "scene.tif", "-o", "text.tif"], "is a file"),
    "outputs below a file": (["map", "scene.tif", "cut.tif", "-o", "text.tif/out"], "cannot be written"),
    "demo to a file": (["demo", "-o", "text.tif"], "is a file"),
    "partial of nothing": (["map", "scene.tif", "--partial"], "give --reference"),
    "no items": (["map", "--stac", "earth-search", "--max-items", "0"], "--max-items"),
    "unknown command": (["mapp", "scene.tif"], "No such command"),
}


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory, _made):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty").mkdir()
    (folder / "text.tif").write_text("not a raster")
    scene = write_raster(_made.drop_vars("truth"), folder / "scene.tif")
    (folder / "cut.tif").write_bytes(scene.read_bytes()[:60_000])
    write_raster(_made["truth"], folder / "truth.tif")
    write_raster(_made["truth"].isel(y=slice(0, 30)), folder / "small.tif")
    far = gl.vectorize(_made["truth"])
    far.set_geometry(far.translate(1e6)).to_file(folder / "far.gpkg")
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(cli, bad_folder, case, monkeypatch):
    arguments, message = BAD[case]
    monkeypatch.chdir(bad_folder)
    before = sorted(bad_folder.rglob("*"))
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1, err
    left = [path for path in sorted(bad_folder.rglob("*")) if path not in before]
    assert [path for path in left if path.name != "glacierlab-map"] == []


def test_disk_full_leaves_nothing_half_written(cli, scene_file, tmp_path, monkeypatch):
    cli("map", scene_file, "-o", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geopandas.GeoDataFrame.to_file", no_space)
    code, _, err = cli("map", scene_file, "-t", "3", "-o", tmp_path / "out")
    assert code == 2
    assert "No space left on device" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
