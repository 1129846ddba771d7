"""glacierlab compare: a TOML file is a comparison; what it lacks or misspells; the shipped examples."""

import json
from pathlib import Path

import pytest
import torch

from glacierlab import errors, models
from glacierlab.cli import main
from glacierlab.judge import config
from glacierlab.judge.comparing import compare
from glacierlab.judge.config import compare_from
from glacierlab.tables import PRESETS, PROTOCOLS

torch.set_num_threads(1)

CONFIG = """
protocol = "chen2022"
max_epochs = 1
out = "{out}"
[worlds]
studies = ["scene2"]
worlds = 2
shape = [64, 64]
size = 32
[groups]
two = ["red", "nir"]
[models.ratio]
model = "band_ratio"
[models.unet]
model = "unet"
layers = "two"
options = {{widths = {widths}}}
[training]
progress = false
accelerator = "cpu"
"""


def test_the_command_compares_and_says_where_one_failed(tmp_path, capsys):
    path, text = tmp_path / "config.toml", CONFIG.format(out="out", widths="[4, 8]")
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["compare", str(path)])
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "area3" in printed
    saved = json.loads((tmp_path / "out/comparison.json").read_text())  # beside the file
    assert {row["layers"] for row in saved["models"]} == {"red nir", "red/swir16"}
    path.write_text(
        text.replace("models.unet", "models.bad").replace("[4, 8]", "[]").replace('"out"', '"other"')
    )
    with pytest.raises(SystemExit) as end:
        main(["compare", str(path), "-o", str(tmp_path / "out")])
    assert end.value.code == 1
    assert "bad (scene2) failed" in capsys.readouterr().out
    assert not (tmp_path / "other").exists()


def test_a_config_brings_patches_of_its_own(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        '[data]\nkind = "worlds"\nseeds = [1, 2, 3]\nyears = [2020]\nshape = [64, 64]\nsize = 32\n'
        'cache = "patches"\nlayers = ["red/swir16"]\nclasses = ["background", "glacier"]\n'
        "split = { shares = [0.34, 0.33, 0.33] }\n[models.ratio]\nmodel = 'band_ratio'\n"
    )
    result = compare_from(path)
    assert set(result.table["test"]) == {"test"}
    assert (tmp_path / "patches").is_dir()


def test_a_config_with_unknown_entries_is_refused(tmp_path):
    path = tmp_path / "config.toml"
    for text, said in (
        ("protocl = 'chen2022'", "Did you mean 'protocol'"),
        ("protocol = ", "cannot be read as TOML"),
        ("[models.unet]\nmodel = 'unet'\n[training]\nseeds = 3", r"\['seeds'\] are no options of fit"),
    ):
        path.write_text(text)
        with pytest.raises(errors.GlacierlabError, match=said):
            compare_from(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worlds = 5", "written .worlds."),
        ("models = 5", "written .models."),
        ("training = 'fast'", "written .training."),
        ("[data]\nkind = 'worlds'\nseeds = [1]\ncache = 5", "cache=5: give a path"),
        ("out = 5", "out=5: give a path"),
        ("[models.a]\nfile = 5", "file=5: give a path"),
        ("[models.a]\nfile = 'a.safetensors'\nlayers = ['red']", r"model file, 'layers'"),
        ("[models.a]\nmodel = 'unet'\noptions = 'x'", "options='x'"),
        ("[models.a]\nmodel = 'unet'\nlayers = 5", "layers=5"),
        ("metrics = 'iuo'\n[models]\na = 'unet'", "Unknown metric 'iuo'"),
        ("seeds = 1.5\n[models]\na = 'unet'", "seeds=1.5"),
        ("minutes = '5'\n[models]\na = 'unet'", "minutes='5'"),
        ("repeats = 0\n[models]\na = 'unet'", "repeats=0"),
        ("protocol = 'chen2022'\n[worlds]\nsahpe = [64, 64]\n[models]\na = 'unet'", "Did you mean 'shape'"),
        ("[models]\na = 'unet'\n[training]\ncallbacks = 1", "callbacks"),
    ],
)
def test_values_of_another_kind_are_told(tmp_path, text, said, monkeypatch):
    path = tmp_path / "config.toml"
    path.write_text(text)
    if "options =" in text or "layers = 5" in text:
        found = labeled_patches()
        monkeypatch.setattr(config, "compare", lambda given, **options: compare(given, found, **options))
    with pytest.raises(errors.GlacierlabError, match=said):
        compare_from(path)


def labeled_patches():
    from judging import noisy_patches

    return noisy_patches(2).split(by="scene", shares=(0.5, 0.5), names=("train", "test"))


def test_models_are_what_compare_itself_takes(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(config, "compare", lambda given, **options: asked.update(options, models=given))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = tmp_path / "config.toml"
    path.write_text("out = '~/found'\n[models]\na = 'unet'\nb = ['unet', {}]\nc = 'c.safetensors'\n"
                    "d = { file = '~/d.safetensors' }")  # fmt: skip
    compare_from(path)
    assert asked["models"] == {
        "a": "unet", "b": ["unet", {}], "c": tmp_path / "c.safetensors",
        "d": tmp_path / "home/d.safetensors",
    }  # fmt: skip
    assert asked["out"] == tmp_path / "home/found"


@pytest.mark.parametrize("name", ["compare_small", "compare_views", "compare_worlds"])
def test_examples_name_what_there_is(name, monkeypatch):
    """Everything up to the training; the options of each architecture too."""
    asked = {}
    monkeypatch.setattr(config, "compare", lambda given, **options: asked.update(options, models=given))
    compare_from(Path(__file__).parents[1] / f"examples/{name}.toml")
    assert asked["protocol"] in ("chen2022", "chu2022", "cryonet")
    assert PRESETS[asked["protocol"]]
    variants = PROTOCOLS[asked["protocol"]].variants
    for each in asked["models"].values():
        architecture = variants.get(each["model"], each)["model"]
        with torch.device("meta"):
            models.build_model(architecture, 6, 4, **each.get("options", {}))
