"""Config files and `glacierlab train`: what they make, and one line where something is wrong."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import glacierlab as gl
from glacierlab.cli import main
from glacierlab.errors import GlacierlabError
from glacierlab.io.write import write_outlines, write_raster
from glacierlab.models import load_model
from glacierlab.train import patches_of, read_config

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = """
[model]
name = "unet"
widths = [4, 8]

[data]
kind = "worlds"
seeds = [1, 2, 3]
years = [2020]
shape = [64, 64]
layers = ["red", "swir16", "ndsi"]
size = 16
classes = ["background", "glacier"]

[data.split]
shares = [0.4, 0.3, 0.3]
names = ["train", "val", "test"]

[train]
max_epochs = 2
lr = 1e-2
out = "results"
"""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def cli(capsys):
    """`glacierlab ...` in this process: exit code, stdout, stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


@pytest.fixture
def config(tmp_path):
    """A function that writes the small config, with changes, and gives its path."""

    def write(*changes):
        text = SMALL
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "train.toml").write_text(text, encoding="utf-8")
        return tmp_path / "train.toml"

    return write


def test_train_writes_what_it_says(cli, config, tmp_path):
    code, out, _ = cli("train", config())
    assert code == 0
    for name in ("best.safetensors", "last.safetensors", "history.csv"):
        assert str(tmp_path / "results" / name) in out
    assert "val_miou" in out
    model = load_model(tmp_path / "results/best.safetensors")
    assert model.card.features == ("red", "swir16", "ndsi")
    assert gl.Recipe.from_json(model.card.recipe).features == ["red", "swir16", "ndsi"]
    assert len(pd.read_csv(tmp_path / "results/history.csv")) == 2


def test_options_go_before_the_file_and_a_second_call_goes_on(cli, config, tmp_path):
    path, folder = config(), tmp_path / "elsewhere"
    for _ in range(2):
        code, _, _ = cli("train", path, "--out", folder, "--epochs", 1)
        assert code == 0
        assert len(pd.read_csv(folder / "history.csv")) == 1
    assert not (tmp_path / "results").exists()
    code, _, err = cli("train", path, "--out", folder)
    assert code == 2
    assert "settings.max_epochs was 1, now 2" in err
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[model]", "[modell]"), "Unknown section of train.toml 'modell'. Did you mean 'model'"),
        (("seeds =", "seed ="), "Unknown key of worlds in [data] 'seed'. Did you mean 'seeds'"),
        (('"worlds"', '"world"'), "Unknown kind of data 'world'. Did you mean 'worlds'"),
        (("max_epochs =", "epochs ="), "Unknown argument of fit 'epochs'. Did you mean 'max_epochs'"),
        (("widths =", "width ="), "Unknown option of unet 'width'. Did you mean 'widths'"),
        (('name = "unet"', ""), "[model] needs name = …"),
        (('name = "unet"', 'name = "unett"'), "Unknown model 'unett'. Did you mean 'unet'"),
        (("[data]", "[data"), "is no TOML"),
        (('"red"', '"read"'), "read"),
        (('names = ["train"', 'names = ["training"'), "No patch is in a part 'train'"),
        (("lr = 1e-2", 'lr = "fast"'), "lr"),
        (("lr = 1e-2", 'watch = "me"'), "[train] watch: this is not for a config"),
        (("shares =", "sharess ="), "Unknown key of [data.split] 'sharess'. Did you mean 'shares'"),
        (("shares =", 'buffer_m = "far"\nshares ='), "[data.split] buffer_m='far': give a number"),
        (("seeds = [1, 2, 3]", "seeds = 3"), "[data] seeds=3: give a list of whole numbers"),
        (("seeds = [1, 2, 3]", ""), "[data] of kind 'worlds' needs seeds"),
        (("years = [2020]", "years = 2020"), "[data] years=2020: give a list of whole numbers"),
        (("shape = [64, 64]", "shape = 64"), "[data] shape=64: give a list of whole numbers"),
        (("size = 16", 'size = 16\nmin_glacier = "a"'), "[data] min_glacier='a': give a number"),
        (
            ("size = 16", "size = 16\nview = { clods = 1 }"),
            "Unknown option of a view 'clods'. Did you mean 'clouds'",
        ),
        (('kind = "worlds"', "kind = 3"), "Unknown kind of data '3'"),
        (("lr = 1e-2", "seed = -1"), "seed=-1: give a whole number, 0 or more"),
        (("lr = 1e-2", 'accelerator = "abacus"'), "Lightning cannot train"),
        (("lr = 1e-2", 'freeze = "network"'), "freeze='network': give a list"),
        (("lr = 1e-2", 'num_workers = "all"'), "num_workers='all': give a whole number"),
        (("lr = 1e-2", 'class_weights = ["a", "b"]'), "class_weights=('a', 'b'): give a list"),
        (("lr = 1e-2", "deep_supervision = 3"), "deep_supervision=3: give a list of numbers"),
    ],
)
def test_bad_configs_are_one_line(cli, config, change, told):
    code, _, err = cli("train", config(change))
    assert code == 2
    assert told in err
    assert [line for line in err.splitlines() if line.startswith("glacierlab: ")][-1] == err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_split_is_a_table(cli, config):
    changes = (
        ("[data.split]\n", ""),
        ("shares = [0.4", "[other]\nshares = [0.4"),
        ("size = 16", 'split = "region"\nsize = 16'),
    )
    path = config(*changes)
    path.write_text(path.read_text().partition("[other]")[0] + "[train]\n")
    code, _, err = cli("train", path)
    assert (code, "[data] split='region': give a table" in err) == (2, True)


def test_a_config_that_is_not_there(cli, tmp_path):
    code, _, err = cli("train", tmp_path / "gone.toml")
    assert (code, "cannot be read" in err) == (2, True)


def test_one_logit_by_config(config, tmp_path, cli):
    code, _, _ = cli("train", config(('name = "unet"', 'name = "unet"\nclasses = 1')), "--epochs", 1)
    assert code == 0
    assert load_model(tmp_path / "results/best.safetensors").card.classes == ("glacier",)


# ---- data


def test_recipes_are_fitted_to_training_scenes_alone(config):
    data = read_config(config())["data"]
    patches = patches_of(data)
    train = set(patches.subset("train").manifest["scene"])
    worlds = {f"world {seed}, 2020": gl.synthetic_world(seed, [2020], (64, 64)) for seed in (1, 2, 3)}
    scenes = [worlds[name].scene(2020) for name in worlds if name in train]
    expected = gl.Recipe(["red", "swir16", "ndsi"]).fit(scenes)
    found = gl.Recipe.from_json(patches.origin["recipe"])
    assert found.fitted.normalizer == expected.fitted.normalizer
    assert len(train) < 3
    assert patches.audit().ok


def test_a_cache_is_written_once_and_holds_the_split(config, tmp_path):
    data = read_config(config(("size = 16", 'size = 16\ncache = "cache"')))["data"]
    first, second = patches_of(data), patches_of(data)
    assert (tmp_path / "cache/patches.zarr").is_dir()
    assert second.fingerprint == first.fingerprint
    assert (second.manifest["split"] == first.manifest["split"]).all()
    np.testing.assert_array_equal(second[3][0], first[3][0])


def test_scenes_of_your_own(tmp_path):
    for seed in (1, 2):
        world = gl.synthetic_world(seed, [2020], (64, 64))
        scene = world.scene(2020)
        write_raster(scene.drop_vars("truth"), tmp_path / f"scene{seed}.tif")
        write_raster(scene["truth"], tmp_path / f"truth{seed}.tif")
        write_outlines(world.outlines(2020), tmp_path / f"outlines{seed}.gpkg")
    (tmp_path / "config.toml").write_text(
        """
        [data]
        kind = "scenes"
        layers = ["red", "nir"]
        size = 16
        classes = ["background", "glacier"]
        split = { shares = [0.5, 0.5], names = ["train", "val"] }
        [data.scenes.one]
        path = "scene1.tif"
        labels = "truth1.tif"
        region = "first"
        [data.scenes.two]
        path = "scene2.tif"
        labels = "outlines2.gpkg"
        glaciers = "outlines2.gpkg"
        region = "second"
        """,
        encoding="utf-8",
    )
    patches = patches_of(read_config(tmp_path / "config.toml")["data"])
    assert set(patches.manifest["scene"]) == {"one", "two"}
    assert patches.features == ("red", "nir")
    assert set(patches.manifest["split"]) == {"train", "val"}


def test_scenes_need_a_path_and_labels():
    with pytest.raises(GlacierlabError, match=r"\[data.scenes.one\] needs labels"):
        patches_of({"kind": "scenes", "scenes": {"one": {"path": "scene.tif"}}})


@pytest.mark.slow
def test_the_swiss_set_by_config(data):
    patches = patches_of({"kind": "swiss_snow", "folder": data / "swiss_snow", "mini": True, "size": 64})
    assert patches.classes == ("bare_ice", "snow")
    assert patches.audit().ok


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("train_*.toml")), ids=lambda path: path.stem)
def test_examples_are_read(path):
    config = read_config(path)
    assert set(config) <= {"model", "data", "train"}
    assert config["train"]["out"].parent == path.parent
    assert tomllib.loads(path.read_text(encoding="utf-8"))["data"]["kind"] in ("worlds", "swiss_snow")
