"""What the README says works when it is pasted."""

import re
from pathlib import Path

import pytest

import glacierlab as gl
from glacierlab.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines_work(tmp_path, monkeypatch, capsys):
    code, *_ = BLOCKS
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["glaciers"].area_km2.sum() > 10
    assert "kappa" in capsys.readouterr().out
    assert len(gl.open_inventory("glaciers.gpkg")) == len(names["glaciers"])


def test_the_recipe_is_replayed(made):
    _, code, *_ = BLOCKS
    names = {"gl": gl, "training_scenes": [made], "scene": made}
    exec(compile(code, "README.md", "exec"), names)
    assert names["stack"].feature.values.tolist() == names["recipe"].features
    assert gl.Recipe.from_json(names["text"]) == names["recipe"]


def test_the_split_does_not_leak_and_a_network_learns(tmp_path, monkeypatch, capsys):
    _, _, code, training = BLOCKS
    names = {"gl": gl}
    exec(compile(code, "README.md", "exec"), names)
    assert names["patches"].audit().ok
    assert set(names["patches"].manifest["split"]) >= {"train", "validation", "test"}
    assert names["patches"].manifest["split"].value_counts().min() > 50
    image, label = names["data"][0]
    assert image.shape == (3, 16, 16)
    assert label.shape == (16, 16)
    assert "glaciers" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    exec(compile(training, "README.md", "exec"), names)
    assert names["again"].card.classes == ("background", "glacier")
    assert "glacier" in capsys.readouterr().out


def test_every_name_and_command_exists():
    for name in re.findall(r"`gl\.(\w+)", README):
        assert hasattr(gl, name), name
    for command in re.findall(r"`(?:\.venv/bin/)?glacierlab (\w+)", README):
        assert command in main.commands, command


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()
