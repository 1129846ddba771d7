"""`glacierlab ...` for tests: in this process, and in one of its own."""

import os
import subprocess
import sys

import pytest

from glacierlab.cli import main

FILES = {"scene.tif", "class_map.tif", "outlines.gpkg", "areas.csv", "map.png", "report.html"}
SMALL = (  # before the command: a demo of a small world
    "import glacierlab.synthetic as made; whole = made.synthetic_world;"
    "made.synthetic_world = lambda seed, years: whole(seed, years, (120, 120));"
)


def run(*arguments, cwd=None, before="", **environment):
    """A process of its own, after some lines of Python."""
    command = [sys.executable, "-c", f"import sys;{before} from glacierlab.cli import main; main()"]
    env = {**os.environ, **environment}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=env, timeout=120,
        check=False,
    )  # fmt: skip


def call(capsys, *arguments):
    """This process: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        main.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def names(folder):
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}
