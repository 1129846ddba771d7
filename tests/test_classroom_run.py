"""`make notebooks`: what a lesson took is measured, what fails is named, what was done is not done again."""

import csv
import importlib.util
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("ipykernel")  # of the extra "notebooks"
pytestmark = pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # zmq on Windows

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """`notebooks/run.py` over a folder of its own."""
    spec = importlib.util.spec_from_file_location("run_lessons", NOTEBOOKS / "run.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_lessons", module)
    spec.loader.exec_module(module)
    for name, value in {"FOLDER": "", "EXECUTED": "executed", "COSTS": "costs.csv"}.items():
        monkeypatch.setattr(module, name, tmp_path / value)
    monkeypatch.setattr(module, "CORES", 1000)  # leave the tests theirs
    return module


def lesson(path, *cells, tags=()):
    """A notebook of code cells; the last one has the tags."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells[-1].metadata.tags = list(tags)
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)


def rows(runner):
    with runner.COSTS.open(newline="") as file:
        return {row["lesson"]: row for row in csv.DictReader(file)}


def test_time_and_the_memory_of_a_kernel_and_what_it_starts_are_measured(runner, tmp_path):
    child = "import time; kept = bytearray(200_000_000); time.sleep(1.5)"
    lesson(
        tmp_path / "01_a.ipynb", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    )
    assert runner.main([]) == 0
    row = rows(runner)["01_a"]
    assert 1.5 < float(row["seconds"]) < 60
    assert 230 < float(row["peak_mb"]) < 600  # a kernel holds some 60 MB, a bare Python 10
    assert row["cores"] == str(runner.cores())
    assert runner.executed("01_a").cells[0].outputs[0].output_type == "execute_result"


def test_a_short_peak_is_seen_where_the_system_keeps_it(runner, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system keeps no high-water mark")
    lesson(tmp_path / "01_a.ipynb", "len(bytearray(300_000_000))")
    assert runner.main([]) == 0
    assert float(rows(runner)["01_a"]["peak_mb"]) > 330


def test_a_failed_lesson_is_named_and_its_copy_and_cost_are_not_written(runner, tmp_path, capsys):
    lesson(tmp_path / "01_a.ipynb", "1 / 0")
    assert runner.main([]) == 1
    told = capsys.readouterr()
    assert "ZeroDivisionError" in told.out
    assert "01_a" in told.err
    assert not runner.EXECUTED.exists()
    assert not runner.COSTS.exists()


def test_a_mistake_may_fail_and_must(runner, tmp_path, capsys):
    lesson(tmp_path / "01_a.ipynb", "1 / 0", tags=["raises-exception"])
    lesson(tmp_path / "02_b.ipynb", "1 / 1", tags=["raises-exception"])
    assert runner.main([]) == 1
    assert "was meant to fail, and did not" in capsys.readouterr().out
    assert list(rows(runner)) == ["01_a"]


def test_a_lesson_has_no_way_out_and_an_empty_folder(runner, tmp_path):
    asks = "import os, urllib.request as r\nassert os.listdir() == []\nr.urlopen('http://example.org')"
    lesson(tmp_path / "01_a.ipynb", asks, tags=["raises-exception"])
    assert runner.main([]) == 0
    (error,) = runner.executed("01_a").cells[0].outputs
    assert (error.ename, "refused" in error.evalue) == ("URLError", True)


def test_a_copy_tells_no_folder_of_the_machine(runner, tmp_path):
    lesson(tmp_path / "01_a.ipynb", "import os; print(os.path.join(os.getcwd(), 'map.tif'))")
    assert runner.main([]) == 0
    assert runner.executed("01_a").cells[0].outputs[0].text == "map.tif\n"


def test_what_was_run_is_not_run_again_unless_its_cells_changed_or_one_asks(runner, tmp_path, capsys):
    first, paper = tmp_path / "01_a.ipynb", tmp_path / "papers" / "who2020.ipynb"
    lesson(first, "import time; time.time_ns()")
    lesson(paper, "2")
    when = lambda: runner.executed("01_a").cells[0].outputs[0]["data"]["text/plain"]
    assert runner.main([]) == 0
    before = when()
    assert list(rows(runner)) == ["01_a", "papers/who2020"]
    assert runner.main([]) == 0
    assert when() == before
    assert "(of 20" in capsys.readouterr().out
    assert runner.main(["--again", "01"]) == 0
    assert when() != before
    lesson(first, "3")
    assert runner.executed("01_a") is None
    assert runner.main(["01"]) == 0
    assert when() == "3"


def test_a_lesson_above_the_budget_fails_the_run_each_time(runner, tmp_path, monkeypatch, capsys):
    lesson(tmp_path / "01_a.ipynb", "1")
    monkeypatch.setattr(runner, "MOST_MB", 10)
    assert runner.main([]) == runner.main([]) == 1
    assert "MB are more than 10 MB" in capsys.readouterr().out


def test_a_name_that_is_no_lesson_is_told_with_those_there_are(runner, tmp_path):
    lesson(tmp_path / "01_a.ipynb", "1")
    with pytest.raises(SystemExit, match=r"no lesson 07. There are: 01_a"):
        runner.main(["07"])
