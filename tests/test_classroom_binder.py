"""Binder: what warms its caches is in the package, and what the launcher shows lies where it looks."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from glacierlab.apps import launching
from glacierlab.cli import main

POST_BUILD = Path(__file__).parents[1] / "binder" / "postBuild"
LINES = [line for line in POST_BUILD.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
COMMANDS = [shlex.split(line.removesuffix("|| true")) for line in LINES]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "glacierlab"], ids=" ".join)
def test_its_commands_are_ours_with_their_options(words):
    _, name, *given = words
    assert main.commands[name].make_context(name, given).params


@pytest.mark.slow
def test_its_one_line_programs_run(tmp_path):
    programs = [words[2] for words in COMMANDS if words[:2] == ["python", "-c"]]
    assert programs
    for program in programs:
        ast.parse(program)
        subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_it_makes_the_data_that_the_launcher_opens():
    (demo,) = [words for words in COMMANDS if words[:2] == ["glacierlab", "demo"]]
    assert demo[demo.index("-o") + 1] == launching.FOLDER
    assert demo[demo.index("--dates") + 1] == str(launching.DATES)


def test_it_is_a_program():
    assert POST_BUILD.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert POST_BUILD.stat().st_mode & 0o100
