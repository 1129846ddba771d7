"""The notebooks: what every lesson promises, and that each runs from top to bottom without a network."""

import ast
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from nbclient import NotebookClient

from glacierlab import teach

pytest.importorskip("ipykernel")  # of the extra "notebooks"
pytestmark = pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # zmq on Windows

FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
NOTEBOOKS = [*LESSONS, *sorted(FOLDER.glob("papers/*.ipynb"))]
OPENING = ("Questions", "Goals", "Prerequisites", "Needs", "Time")
KINDS = ("predict", "change", "explain", "stretch")
HOSTS = {"doi.org", "arxiv.org", "github.com", "127.0.0.1"}  # that a notebook may name
FOLDED = "# Solution: click the three dots to unfold\n"  # JupyterLab shows a folded cell's first line
MOST_CELLS = 17  # about fifteen cells of code beside the exercises
NOWHERE = "http://127.0.0.1:9"  # a proxy that answers nothing

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


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


def alt_of(cell):
    """What a cell's figure shows, for those who do not see it."""
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def pictures_without_text(notebook):
    """Cells of an executed notebook that show a picture and do not say what it shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not alt_of(cell)]
    return [cell.id for cell in cells if any("image/png" in out.get("data", {}) for out in cell.outputs)]


def verdict(cell):
    """What `gl.teach.check` said in an executed cell."""
    return cell.outputs[-1]["data"]["text/plain"]


# ---- the contract


def test_lessons_are_numbered_without_a_gap():
    assert [path.name[:2] for path in LESSONS] == [f"{number:02d}" for number in range(len(LESSONS))]


@every_lesson
def test_a_lesson_opens_with_picture_questions_goals_prerequisites_needs_and_time(path):
    opening = read(path).cells[0].source
    pictures = [part.split(")")[0] for part in opening.split("](")[1:]]
    assert opening.startswith(f"# {int(path.name[:2])} ")
    assert [name for name in OPENING if f"**{name}**" not in opening] == []
    goals = opening.split("**Goals**")[1].split("**Prerequisites**")[0].lower()
    assert "concepts" in goals
    assert "techniques" in goals
    assert (FOLDER / pictures[0]).stat().st_size < 300_000


@every_lesson
def test_a_lesson_closes_with_what_to_take_home_the_next_one_and_its_references(path):
    closing = read(path).cells[-1].source
    assert "## What to take home" in closing
    assert re.search(r"^\*\*Next\*\* ", closing, re.M)
    assert re.search(r"^\*\*References\*\* .*(doi:10\.|arXiv:)", closing, re.M)
    following = LESSONS[LESSONS.index(path) + 1 :][:1]
    assert all(f"]({lesson.name})" in closing.split("**Next**")[1] for lesson in following)


@every_lesson
def test_a_lesson_has_one_parameters_cell_and_exercises_with_folded_solutions(path):
    notebook = read(path)
    exercises, solutions = tagged(notebook, "exercise"), tagged(notebook, "solution")
    assert len(tagged(notebook, "parameters")) == 1
    assert 3 <= len(exercises) <= 5
    assert len(exercises) == len(solutions)
    assert all(last_statement(cell).startswith("gl.teach.check(") for cell in exercises)
    assert all(cell.metadata["jupyter"]["source_hidden"] for cell in solutions)
    assert [cell.id for cell in solutions if not cell.source.startswith(FOLDED)] == []
    assert all({"hide-cell", "hide-input"} & set(cell.metadata.tags) for cell in solutions)


@every_lesson
def test_exercises_are_numbered_in_their_order_and_of_several_kinds(path):
    notebook, number = read(path), path.name[:2]
    headings = [
        line.removeprefix("### Exercise ").split(": ")
        for cell in notebook.cells
        for line in cell.source.splitlines()
        if cell.cell_type == "markdown" and line.startswith("### Exercise")
    ]
    places, kinds = zip(*headings, strict=True)
    judged = [re.search(r'check\("([^"]+)"', cell.source)[1] for cell in tagged(notebook, "exercise")]
    assert judged == [name for name in teach.JUDGES if name.startswith(f"{number}.")]
    assert list(places) == [f"{int(number)}.{place}" for place in range(1, len(judged) + 1)]
    assert set(kinds) <= set(KINDS)
    assert "stretch" in kinds
    assert len(set(kinds)) >= (3 if len(kinds) >= 4 else 2)


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


@every_lesson
def test_figures_of_a_lesson_have_a_text_for_those_who_do_not_see_them(path):
    draws = re.compile(r"_figure\(|\.plot[.(]|\bImage\(")
    cells = [cell for cell in read(path).cells if cell.cell_type == "code" and draws.search(cell.source)]
    assert [cell.id for cell in cells if len(alt_of(cell)) < 20] == []


# ---- every notebook: links, pictures, hosts


def prose_of(path):
    """The text of a notebook's Markdown cells without code."""
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    return re.sub(r"`[^`\n]+`", "", re.sub(r"```.*?```", "", "\n\n".join(cells), flags=re.S))


def anchors_of(path):
    """The anchors of the headings of a notebook or a Markdown page."""
    text = prose_of(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@every_notebook
def test_links_of_a_notebook_lead_somewhere(path):
    targets = re.findall(r"\]\(<?([^)>\s]+)>?\)", prose_of(path))
    for target in targets:
        if urlsplit(target).scheme:
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        assert FOLDER.parent in page.parents, target
        assert not anchor or anchor.lower() in anchors_of(page), target


@every_notebook
def test_pictures_in_the_text_of_a_notebook_have_a_text_of_their_own(path):
    pictures = re.findall(r"!\[([^\]]*)\]\(", prose_of(path))
    assert [alt for alt in pictures if len(alt) < 20] == []


@every_notebook
def test_a_notebook_writes_formulas_that_need_no_script_to_be_drawn(path):
    prose = re.sub(r"```.*?```|`[^`]*`", "", prose_of(path), flags=re.DOTALL)
    assert re.findall(r"\$[^$\n]+\$", prose) == []


@every_notebook
def test_a_notebook_names_no_other_host_and_no_place_of_one_machine(path):
    sources = "\n".join(cell.source for cell in read(path).cells)
    hosts = {urlsplit(found).hostname for found in re.findall(r"https?://[^\s)\"'>`]+", sources)}
    assert hosts - HOSTS == set()
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|mnt|Users)/\S*", sources) == []


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
    assert pictures_without_text(notebook) == []


@lessons_slow_from("03")
def test_a_lesson_runs_on_the_real_scene(path, data, tmp_path):
    notebook = read(path)
    (parameters,) = tagged(notebook, "parameters")
    parameters.source += '\nSAMPLE = "athabasca"'
    run(notebook, tmp_path, GLACIERLAB_DATA=str(data))
    assert pictures_without_text(notebook) == []
