"""The notebooks: what every lesson promises, and that each runs from top to bottom without a network."""

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytest.importorskip("ipykernel")  # of the extra "notebooks"
pytestmark = pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # zmq on Windows

FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
MOST_CELLS = 17  # about fifteen cells of code beside the exercises
NOWHERE = "http://127.0.0.1:9"  # a proxy that answers nothing

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def lessons_slow_from(number):
    """Every lesson; those from a number on, which take long, in the slow run."""
    cases = [pytest.param(p, marks=[pytest.mark.slow] * (p.name >= number), id=p.stem) for p in LESSONS]
    return pytest.mark.parametrize("path", cases)


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def tree_of(cell):
    """The syntax tree of a code cell without its magics."""
    return ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")))


def last_statement(cell):
    return ast.unparse(tree_of(cell).body[-1])


def run(notebook, folder, **environment):
    """Execute in an empty folder, without a way out; a cell that fails unannounced fails the test."""
    offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    offline |= {"NO_PROXY": "", "HF_HUB_OFFLINE": "1"}
    offline |= {"OMP_NUM_THREADS": "1"}  # on a busy machine several threads of torch wait for each other
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | offline | environment)
    return notebook


def verdict(cell):
    """What `gl.teach.check` said in an executed cell."""
    return cell.outputs[-1]["data"]["text/plain"]


# ---- the contract


def test_there_is_a_first_lesson():
    assert [path.name for path in LESSONS][:1] == ["01_first_outlines.ipynb"]


@every_lesson
def test_a_lesson_opens_with_picture_questions_goals_prerequisites_and_time(path):
    opening = read(path).cells[0].source
    pictures = [part.split(")")[0] for part in opening.split("](")[1:]]
    assert opening.startswith("# ")
    assert [
        name for name in ("Questions", "Goals", "Prerequisites", "Time") if f"**{name}**" not in opening
    ] == []
    assert (FOLDER / pictures[0]).stat().st_size < 300_000


@every_lesson
def test_a_lesson_has_one_parameters_cell_and_exercises_with_folded_solutions(path):
    notebook = read(path)
    exercises, solutions = tagged(notebook, "exercise"), tagged(notebook, "solution")
    assert len(tagged(notebook, "parameters")) == 1
    assert len(exercises) == len(solutions) >= 3
    assert all(last_statement(cell).startswith("gl.teach.check(") for cell in exercises)
    assert all(cell.metadata["jupyter"]["source_hidden"] for cell in solutions)


@every_lesson
def test_a_lesson_shows_a_mistake(path):
    assert tagged(read(path), "raises-exception")


@every_lesson
def test_a_lesson_is_short_and_its_thinking_is_in_the_package(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    apart = len(tagged(read(path), "exercise") + tagged(read(path), "solution"))
    assert len(cells) - apart <= MOST_CELLS
    nodes = [node for cell in cells for node in ast.walk(tree_of(cell))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 5] == []


@every_lesson
def test_a_lesson_is_committed_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


# ---- running


@lessons_slow_from("05")
def test_a_lesson_runs_hints_at_first_and_accepts_its_solutions(path, tmp_path):
    notebook = read(path)
    for exercise, solution in zip(tagged(notebook, "exercise"), tagged(notebook, "solution"), strict=True):
        again = nbformat.v4.new_code_cell(last_statement(exercise), metadata={"tags": ["again"]})
        notebook.cells.insert(notebook.cells.index(solution) + 1, again)
    run(notebook, tmp_path)
    assert [v for v in map(verdict, tagged(notebook, "exercise")) if not v.startswith("Not yet.")] == []
    assert [v for v in map(verdict, tagged(notebook, "again")) if not v.startswith("Right.")] == []
    for cell in tagged(notebook, "raises-exception"):
        assert cell.outputs[-1]["output_type"] == "error"


@lessons_slow_from("03")
def test_a_lesson_runs_on_the_real_scene(path, data, tmp_path):
    notebook = read(path)
    (parameters,) = tagged(notebook, "parameters")
    parameters.source += '\nSAMPLE = "athabasca"'
    run(notebook, tmp_path, GLACIERLAB_DATA=str(data))
