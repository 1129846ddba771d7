"""`glacierlab map --dem --smooth`: the inventory that Python makes, of one scene and of many."""

from functools import partial

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from commands import FILES, call, names

import glacierlab as gl
from glacierlab.tables import RGI7


@pytest.fixture
def cli(capsys):
    return partial(call, capsys)


@pytest.fixture
def files(made, tmp_path):
    """A scene without heights, and a DEM of it."""
    made = made.isel(y=slice(0, 100), x=slice(60, 200))
    scene = gl.write_raster(made.drop_vars(["truth", "elevation"]), tmp_path / "scenes/one.tif")
    return scene, gl.write_raster(made["elevation"], tmp_path / "heights.tif")


pytestmark = pytest.mark.filterwarnings("ignore::glacierlab.errors.DataWarning")  # of glaciers of few pixels


def test_the_command_makes_pythons_inventory(cli, files, tmp_path):
    scene, dem = files
    code, told, err = cli("map", scene, "--dem", dem, "--smooth", 1, "-o", tmp_path / "out")
    assert code == 0, err
    assert names(tmp_path / "out") == FILES
    expected = gl.map_glaciers(gl.open_scene(scene)).compute().glacier.outlines(dem=dem, smooth=1)
    found = gpd.read_file(tmp_path / "out/outlines.gpkg")
    assert list(found)[: len(RGI7) - 1] == [name for name in RGI7 if name != "geometry"]
    assert found.lmax_m.notna().any()
    assert set(found.dem_source) == {"heights.tif"}
    for name in ("area_km2", "zmed_m", "lmax_m", "complex_id", "area_unc_km2"):
        np.testing.assert_allclose(found[name].astype(float), expected[name].astype(float))
    assert found.geom_equals_exact(expected, 1e-6).all()
    areas = pd.read_csv(tmp_path / "out/areas.csv")
    assert areas.zmin_m.tolist() == pytest.approx(expected.zmin_m.tolist())
    assert f"{expected.area_km2.sum():.2f} km² of glacier in {len(expected)} outlines." in told
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "divided into glaciers by the flow on heights.tif" in page
    assert f'<td class="n">{expected.lmax_m[0]:.0f}</td>' in page


def test_a_models_inventory_has_probabilities(cli, files, tmp_path):
    pytest.importorskip("torch")
    scene, dem = files
    code, _, err = cli("map", scene, "-m", "default", "--dem", dem, "-o", tmp_path / "out")
    assert code == 0, err
    found = gpd.read_file(tmp_path / "out/outlines.gpkg")
    ice = found[found["class"] == "glacier"]
    assert ice.mean_prob.between(0.5, 1).all()
    assert ice.zmed_m.notna().all()
    others = found[found["class"] != "glacier"]
    assert len(others)
    assert others[["mean_prob", "lmax_m", "zmed_m"]].isna().all(axis=None)


def test_a_batch_knows_by_which_dem_it_was_made(cli, files, made, tmp_path):
    scene, dem = files
    asked = ["map", scene, scene, "-o", tmp_path / "out"]  # twice: a folder each
    again = lambda *options: cli(*asked, *options)[1].count("was there already")
    assert again("--dem", dem, "--smooth", 2) == 0
    table = pd.read_csv(tmp_path / "out/summary.csv")
    assert (table.status == "ok").all()
    outlines = gpd.read_file(tmp_path / "out/one/outlines.gpkg")
    assert table.glacier_km2[0] == pytest.approx(outlines.area_km2.sum(), abs=1e-5)
    assert table.outlines[0] == len(outlines)
    assert again("--dem", dem, "--smooth", 2) == 2
    gl.write_raster(made["elevation"] + 100, dem)
    assert again("--dem", dem, "--smooth", 2) == 0
    assert again() == 0
    assert "zmin_m" not in gpd.read_file(tmp_path / "out/one/outlines.gpkg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dem", "gone.tif"], "gone.tif"),
        (["--dem", "away.tif"], "covers none of the outlines"),
        (["--smooth", "9"], "--smooth"),
    ],
)
def test_what_cannot_be_used_is_told(cli, files, made, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    away = made["elevation"].assign_coords(x=made.x + 300_000)
    gl.write_raster(away, "away.tif")
    code, _, err = cli("map", files[0], *options, "-o", "out")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1, err
    assert not (tmp_path / "out").exists()
