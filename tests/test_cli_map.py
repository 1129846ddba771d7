"""`glacierlab map --model`: the model's classes in every file, resumed after a cut, told in the report."""

import re
from functools import partial

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

torch = pytest.importorskip("torch")

from commands import FILES, call, names  # noqa: E402
from scipy import ndimage  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.errors import GlacierlabError  # noqa: E402
from glacierlab.mapping import map_by_model, outline  # noqa: E402
from glacierlab.models import Segmenter  # noqa: E402
from glacierlab.report import Reference  # noqa: E402

CLEAN, DEBRIS, LAKE = 1, 2, 3


@pytest.fixture
def cli(capsys):
    return partial(call, capsys)


@pytest.fixture
def scene_file(made, tmp_path):
    return gl.write_raster(made.drop_vars("truth"), tmp_path / "scene.tif")


@pytest.fixture(scope="module")
def predicted(_made):
    return gl.predict(_made, "default", uncertainty="entropy", precision="float32")


@pytest.fixture
def tiles(monkeypatch):
    """How many tiles went through the network; the attribute `most` cuts the run there."""

    class Count(list):
        most = np.inf

    seen, forward = Count(), Segmenter.forward

    def counted(self, image):
        if sum(seen) >= seen.most:
            raise RuntimeError("cut")
        seen.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(Segmenter, "forward", counted)
    return seen


def small_parts(present, fewest):
    """Where a mask's parts over eight neighbors have too few pixels."""
    labels, _ = ndimage.label(present, np.ones((3, 3)))
    return present & (np.bincount(labels.ravel())[labels] < fewest)


def same_raster(first, second):
    with rasterio.open(first) as one, rasterio.open(second) as other:
        np.testing.assert_array_equal(one.read(), other.read())


# ---- what is written ----


def test_every_file_holds_the_models_classes(cli, scene_file, predicted, tmp_path):
    out = tmp_path / "out"
    asked = ["-m", "default", "--precision", "float32", "--uncertainty", "entropy"]
    code, told, _ = cli("map", scene_file, *asked, "-o", out)
    assert code == 0
    assert names(out) == FILES | {"entropy.tif"}
    expected = predicted.class_map.values.copy()
    for thing in ((CLEAN, DEBRIS), (LAKE,)):  # 0.01 km² are 11.1 pixels of 30 m
        expected[small_parts(np.isin(expected, thing), 12)] = 0
    with rasterio.open(out / "class_map.tif") as file:
        codes = file.read(1)
    np.testing.assert_array_equal(codes, expected)
    with rasterio.open(out / "entropy.tif") as file:
        np.testing.assert_allclose(file.read(1), predicted.entropy, atol=1e-6)
    assert gl.open_map(out / "class_map.tif").attrs["flag_meanings"].split()[2] == "debris_covered_ice"
    outlines, areas = gpd.read_file(out / "outlines.gpkg"), pd.read_csv(out / "areas.csv")
    ice = outlines[outlines["class"] == "glacier"]
    assert ice.pixels.sum() == np.isin(codes, (CLEAN, DEBRIS)).sum()
    assert (ice.pixels * ice.debris_frac).sum() == pytest.approx((codes == DEBRIS).sum())
    lakes = outlines[outlines["class"] == "glacial_lake"]
    assert lakes.pixels.sum() == (codes == LAKE).sum()
    assert lakes.debris_frac.isna().all()
    assert areas.area_km2.tolist() == pytest.approx(outlines.area_km2.tolist())
    assert told.splitlines()[-1] == (
        f"{ice.area_km2.sum():.2f} km² of glacier in {len(ice)} outlines, "
        f"{lakes.area_km2.sum():.2f} km² of glacial lake in {len(lakes)} outlines."
    )


@pytest.mark.parametrize("named", ["clean_ice", "glacial_lake"])
def test_only_what_the_model_knows_is_counted(cli, scene_file, tmp_path, named):
    card = gl.load_model("default").card
    network = gl.models.build_model("unet", len(card.features), 2, widths=[4, 8], norm="batch")
    with torch.no_grad():
        for values in network.parameters():
            values.zero_()
        last = [values for values in network.parameters() if values.shape == torch.Size([2])][-1]
        last[1] = 5.0  # all of the scene is of the second class
    model = tmp_path / "two.safetensors"
    gl.save_model(network, model, recipe=card.recipe, features=card.features, classes=["background", named])
    code, told, _ = cli("map", scene_file, "-m", model, "-o", tmp_path / "out")
    assert code == 0
    area = pd.read_csv(tmp_path / "out/areas.csv").area_km2.sum()
    assert area == pytest.approx(160 * 200 * 9e-4, rel=0.01)
    assert told.splitlines()[-1] == f"{area:.2f} km² of {named.replace('_', ' ')} in 1 outlines."


def test_a_raster_of_uncertainty_is_of_this_map(made, tmp_path):
    scenes = {"one": made.drop_vars("truth")}
    asked = dict(model="default", uncertainty=("entropy",), progress=False)
    gl.map_scenes(scenes, tmp_path, **asked)
    assert names(tmp_path / "one") == FILES | {"entropy.tif"}
    gl.map_scenes(scenes, tmp_path, progress=False)
    assert names(tmp_path / "one") == FILES  # a threshold has none
    gl.map_scenes(scenes, tmp_path, **asked)
    (tmp_path / "one/entropy.tif").unlink()
    gl.map_scenes(scenes, tmp_path, **asked)
    assert names(tmp_path / "one") == FILES | {"entropy.tif"}


def test_debris_is_a_share_of_its_own_glacier():
    codes = np.zeros((60, 60), "uint8")
    codes[5:25, 5:25] = CLEAN
    codes[5:10, 5:25] = DEBRIS  # a quarter of this glacier
    codes[30:50, 30:50] = DEBRIS  # all of this one
    codes[40:45, 5:15] = LAKE
    grid = {"y": 5e6 - 30.0 * np.arange(60), "x": 5e5 + 30.0 * np.arange(60)}
    flags = {"flag_values": [0, 1, 2, 3]}
    flags["flag_meanings"] = "background clean_ice debris_covered_ice glacial_lake"
    drawn = xr.DataArray(codes, grid, ("y", "x"), attrs=flags).rio.write_crs("EPSG:32632")
    found = outline(xr.Dataset({"class_map": drawn}))
    assert found["class"].tolist() == ["glacier", "glacier", "glacial_lake"]
    assert sorted(found.debris_frac[:2]) == [0.25, 1.0]
    assert found.pixels.tolist() == [400, 400, 50]


def test_the_report_names_the_model_and_scores_each_class(cli, made, scene_file, tmp_path):
    truth = gl.write_raster(made["truth"], tmp_path / "truth.tif")
    asked = ["-m", "default", "--tile", "128", "--overlap", "32", "--blend", "linear", "--tta", "chu2022"]
    code, _, _ = cli("map", scene_file, *asked, "--reference", truth, "-o", tmp_path / "out")
    assert code == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    card = gl.load_model("default").card
    for text in (
        "model default", card.license, card.citation, f"{card.temperature:g}", card.note,
        "128 pixels, 32 of them overlapping, blend linear", "identity, hflip, vflip, rot180",
    ):  # fmt: skip
        assert text in page
    assert "What the threshold does" not in page
    assert "A threshold on" not in page
    codes = gl.open_map(tmp_path / "out/class_map.tif")
    expected = gl.score(codes, made["truth"])
    for name in ("clean_ice", "debris_covered_ice", "glacial_lake"):
        row = re.search(rf"<tr><td>{name.replace('_', ' ')}</td>(.*)</tr>", page)[1]
        assert f">{expected.f1[name]:.3f}<" in row
    merged = gl.score(codes, made["truth"], classes=["glacier"])
    row = re.search(r"<tr><td>all glacier ice of truth.tif</td>(.*)</tr>", page)[1]
    assert f">{merged.f1['glacier']:.3f}<" in row


def test_a_partial_reference_is_held_against_all_ice(athabasca, athabasca_outline, tmp_path):
    scene = athabasca.assign_attrs(sensor="landsat_oli")  # HLS L30 is Landsat 8 on another grid
    held = Reference(athabasca_outline, "the outline of 1984", complete=False)
    prediction = map_by_model(scene, precision="float32")
    gl.write_folder(tmp_path, scene, prediction, reference=held)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    recall = float(re.search(r"<b>([\d.]+)</b><span>recall, inside the outline of 1984", page)[1])
    inside = gl.scores.burn(athabasca_outline, athabasca["red"]).values
    codes = prediction.class_map.values
    assert recall == pytest.approx(np.isin(codes, (CLEAN, DEBRIS))[inside & (codes != 255)].mean(), abs=5e-4)
    assert recall > 0.9  # the terminus has melted back since
    assert "precision</th>" not in page


# ---- clouds, ensembles, arguments ----


def test_clouds_are_left_out(made, predicted):
    made["qa"] = xr.zeros_like(made["truth"], dtype="uint16").assign_attrs(native="qa_pixel")
    made["qa"][:40] = 1 << 3  # cloud
    found = map_by_model(made, keep_ice=False, min_area_km2=0, uncertainty="entropy", precision="float32")
    assert (found.class_map[:40] == 255).all()
    assert found.entropy[:40].isnull().all()
    np.testing.assert_array_equal(found.class_map[40:], predicted.class_map[40:])
    assert found.class_map.dtype == np.uint8
    won = map_by_model(made, min_area_km2=0, precision="float32").class_map[:40]
    assert np.isin(won, (CLEAN, DEBRIS)).any()  # ice that the flag had swallowed


def test_several_models_are_averaged(made, predicted):
    found = map_by_model(made, ["default", "default"], min_area_km2=0, precision="float32")
    np.testing.assert_array_equal(found.class_map, predicted.class_map)
    assert found.attrs["model"] == "default"


@pytest.mark.parametrize("area", [-1, np.nan])
def test_areas_are_no_less_than_nothing(made, area):
    with pytest.raises(GlacierlabError, match="0 or more"):
        map_by_model(made, min_area_km2=area)


# ---- large scenes, and runs that were cut ----


@pytest.fixture
def long_file(made, tmp_path):
    """A scene of three rows of blocks, the made one over and over."""
    bands = made.drop_vars(["truth", "elevation"])
    tall = xr.concat([bands.isel(x=slice(0, 100))] * 8, "y").assign_coords(
        y=made.y.values[0] - 30.0 * np.arange(8 * 160)
    )
    return gl.write_raster(tall, tmp_path / "long.tif")


def test_a_cut_run_goes_on_where_it_was(cli, long_file, tmp_path, tiles):
    asked = ["map", long_file, "-m", "default", "--precision", "float32"]
    cli(*asked, "-o", tmp_path / "whole")
    whole = sum(tiles)
    tiles.clear()
    tiles.most = 0.7 * whole
    with pytest.raises(RuntimeError, match="cut"):
        cli(*asked, "-o", tmp_path / "out")
    assert [name[:12] for name in names(tmp_path / "out")] == [".unfinished-"]
    tiles.clear()
    tiles.most = np.inf
    code, _, _ = cli(*asked, "-o", tmp_path / "out")
    assert code == 0
    assert 0 < sum(tiles) < 0.8 * whole
    assert names(tmp_path / "out") == FILES
    for name in ("class_map.tif", "scene.tif"):
        same_raster(tmp_path / "out" / name, tmp_path / "whole" / name)


def test_what_other_settings_left_unfinished_is_removed(cli, scene_file, tmp_path):
    left = tmp_path / "out/.unfinished-0123456789ab/map.zarr"
    left.mkdir(parents=True)
    code, _, _ = cli("map", scene_file, "-m", "default", "-o", tmp_path / "out")
    assert code == 0
    assert names(tmp_path / "out") == FILES


def test_a_large_scene_gives_the_same_map_lazily(cli, scene_file, tmp_path, monkeypatch):
    asked = ["map", scene_file, "-m", "default", "--precision", "float32", "--uncertainty", "entropy"]
    cli(*asked, "-o", tmp_path / "eager")
    monkeypatch.setattr("glacierlab.mapping.LARGE", 100)
    monkeypatch.setattr("glacierlab.mapping.CHUNK", 64)
    cli(*asked, "-o", tmp_path / "lazy")
    for name in ("class_map.tif", "entropy.tif", "scene.tif"):
        same_raster(tmp_path / "lazy" / name, tmp_path / "eager" / name)


# ---- many, and what is no map ----


def test_a_batch_by_a_model(cli, made, scene_file, tmp_path, tiles):
    scenes = tmp_path / "scenes"
    gl.write_raster(made.drop_vars("truth"), scenes / "one.tif")
    gl.write_raster(made.drop_vars(["truth", "swir22"]), scenes / "two.tif")
    asked = ["map", scenes, "-m", "default", "-o", tmp_path / "out"]
    code, _, err = cli(*asked)
    assert code == 1
    assert "two failed: " in err
    assert "swir22" in err
    table = pd.read_csv(tmp_path / "out/summary.csv").set_index("scene")
    one = table.loc["one"]
    assert one.glacier_km2 == pytest.approx(one.clean_ice_km2 + one.debris_covered_ice_km2, abs=2e-6)
    assert one.glacial_lake_km2 > 0
    assert np.isnan(table.glacier_km2["two"])
    tiles.clear()
    cli(*asked)
    assert tiles == []


BAD = {
    "no model": (["-m", "gone.safetensors"], "gone.safetensors is not there"),
    "no model file": (["-m", "text.safetensors"], "is no .safetensors file"),
    "cut model file": (["-m", "cut.safetensors"], "was cut short"),
    "threshold": (["-m", "default", "-t", "2"], "--threshold does not go with the rest"),
    "layer": (["-m", "default", "-l", "ndsi"], "--layer does not go"),
    "guard": (["-m", "default", "--blue-above", "0.1"], "--blue-above does not go"),
    "square": (["-m", "default", "--size", "3"], "--size does not go"),
    "overlap of a tile": (["-m", "default", "--tile", "64", "--overlap", "64"], "less than a tile"),
    "spread of one view": (["-m", "default", "--uncertainty", "spread"], "needs several views"),
    "unknown blend": (["-m", "default", "--blend", "soft"], "'soft'"),
    "no tiles": (["-m", "default", "--batch-size", "0"], "--batch-size"),
    "no such device": (["-m", "default", "--device", "cuda:77"], "GPU"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_usage_is_one_line_and_exit_2(cli, scene_file, tmp_path, monkeypatch, case):
    from glacierlab.models.header import SHIPPED

    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.safetensors").write_text("no model")
    (tmp_path / "cut.safetensors").write_bytes(SHIPPED["default"].read_bytes()[:-1000])
    arguments, message = BAD[case]
    for paths in (["scene.tif"], ["scene.tif", "scene.tif"]):
        if case in ("overlap of a tile", "spread of one view", "no such device") and len(paths) > 1:
            continue  # known only when a scene is mapped
        code, _, err = cli("map", *paths, *arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1, err
