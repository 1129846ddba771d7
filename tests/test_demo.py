"""`glacierlab demo`: a threshold and a model side by side, offline, and without torch too."""

import re

import geopandas as gpd
import pandas as pd
import pytest
import rasterio
from commands import FILES, SMALL, names, run

from glacierlab import demo
from glacierlab.errors import GlacierlabError
from glacierlab.report import write_folder

NO_TORCH = "sys.modules['torch'] = None;"


def test_demo_tells_the_whole_story(tmp_path):
    pytest.importorskip("torch")
    done = run(
        "demo", "-o", "out", cwd=tmp_path, http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9"
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert names(out) == FILES | {"2000", "model"}
    assert names(out / "2000") == names(out / "model") == FILES
    outlines, before, by_model = (
        gpd.read_file(folder / "outlines.gpkg") for folder in (out, out / "2000", out / "model")
    )
    area, past = outlines.area_km2.sum(), before.area_km2.sum()
    assert area < past  # there is change to show
    assert f"{past:.2f} km² in 2000 → {area:.2f} km² in 2020" in done.stdout
    assert pd.read_csv(out / "areas.csv").area_km2.sum() == pytest.approx(area)
    with rasterio.open(out / "class_map.tif") as codes:
        assert (codes.read(1) == 1).sum() == outlines.pixels.sum()
    ice = by_model[by_model["class"] == "glacier"]
    told = done.stdout.splitlines()[-3:-1]  # the last line names the report
    assert told == [
        f"{area:.2f} km² of glacier in {len(outlines)} outlines by red/swir16 > 2.",
        f"{ice.area_km2.sum():.2f} km² of glacier in {len(ice)} outlines by model default.",
    ]


def test_demo_without_torch_and_then_with_it(tmp_path):
    page = tmp_path / "out/report.html"
    done = run("demo", "-o", "out", cwd=tmp_path, before=SMALL + NO_TORCH)
    assert done.returncode == 0, done.stderr
    assert names(page.parent) == FILES | {"2000"}
    assert "no map by the default model: A map by a model needs torch: pip install" in done.stdout
    assert "Side by side" not in page.read_text(encoding="utf-8")
    pytest.importorskip("torch")
    done = run("demo", "-o", "out", "--seed", "1", cwd=tmp_path, before=SMALL)  # into the same folder
    assert done.returncode == 0, done.stderr
    assert "seed 1" in done.stdout
    assert names(page.parent) == FILES | {"2000", "model"}
    rows = re.findall(r"<tr><td>(.*? 2|model default)</td>(.*)</tr>", page.read_text(encoding="utf-8"))
    assert [name for name, _ in rows] == ["red/swir16 &gt; 2", "model default"]
    f1 = [float(re.findall(r">([\d.]+)<", cells)[4]) for _, cells in rows]
    assert 0 < f1[0] < f1[1] <= 1  # a threshold misses ice under debris


def test_demo_on_the_real_scene(data, tmp_path):
    done = run("demo", "--sample", "athabasca", "-o", tmp_path / "out", GLACIERLAB_DATA=str(data))
    assert done.returncode == 0, done.stderr
    by_model = "by model default" in done.stdout
    assert by_model or "no map by the default model: " in done.stdout
    assert names(tmp_path / "out") == FILES | ({"model"} if by_model else set())
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "labels only part of the ice" in page
    assert "precision</th>" not in page


def test_another_demo_leaves_no_maps_of_the_first(made, tmp_path, monkeypatch):
    def without(*_, **__):
        raise GlacierlabError("no torch")

    for name in ("2000", "model"):
        write_folder(tmp_path / name, made, made.glacier.map_glaciers())
    (tmp_path / "model/notes.txt").write_text("of the user")
    monkeypatch.setattr("glacierlab.demo.real_scene", lambda name: (made, None))
    monkeypatch.setattr("glacierlab.demo.map_by_model", without)
    demo.run(tmp_path, sample_name="made", say=lambda text: None)
    assert names(tmp_path) == FILES | {"model"}
    assert names(tmp_path / "model") == {"notes.txt"}


def test_a_demo_of_more_dates_and_then_of_fewer(tmp_path):
    done = run("demo", "--dates", "4", "-o", "out", cwd=tmp_path, before=SMALL + NO_TORCH)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert names(out) == FILES | {"1986", "1998", "2009"}
    assert all(names(out / year) == FILES for year in ("1986", "1998", "2009"))
    areas = [pd.read_csv(out / year / "areas.csv").area_km2.sum() for year in ("1986", "1998", "2009", "")]
    assert areas == sorted(areas, reverse=True)
    assert f"{areas[0]:.2f} km² in 1986 → {areas[-1]:.2f} km² in 2021" in done.stdout
    (out / "1998/notes.txt").write_text("of the user")
    done = run("demo", "--dates", "1", "-o", "out", cwd=tmp_path, before=SMALL + NO_TORCH)
    assert done.returncode == 0, done.stderr
    assert names(out) == FILES | {"1998"}
    assert names(out / "1998") == {"notes.txt"}


def test_dates_of_the_demo():
    assert demo.years_of(2) == (2000, 2020)
    assert demo.years_of(1) == (2020,)
    assert demo.years_of(12) == (1986, 1989, 1992, 1996, 1999, 2002, 2005, 2008, 2011, 2015, 2018, 2021)
    assert demo.years_of(36) == tuple(range(1986, 2022))
    for wrong in (0, 37):
        with pytest.raises(GlacierlabError, match="1 to 36, of 1986 to 2021"):
            demo.years_of(wrong)
    with pytest.raises(GlacierlabError, match="one date: leave --dates out"):
        demo.run("never", sample_name="athabasca", dates=5)


def test_map_by_a_model_without_torch_says_what_to_install(tmp_path):
    (tmp_path / "scene.tif").write_text("never opened")
    done = run("map", tmp_path / "scene.tif", "-m", "default", cwd=tmp_path, before=NO_TORCH)
    assert done.returncode == 2
    assert "needs torch: pip install 'glacierlab[models]'" in done.stderr
    assert done.stderr.count("\n") == 1
