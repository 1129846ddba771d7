"""The notebooks of the papers: what each promises, that its checks can fail, and that each runs."""

import ast
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import glacierlab as gl

pytest.importorskip("ipykernel")  # of the extra "notebooks"
pytestmark = pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # zmq on Windows

FOLDER = Path(__file__).parents[1] / "notebooks/papers"
PAPERS = sorted(FOLDER.glob("*.ipynb"))
MOST_CODE_CELLS = 28
NOWHERE = "http://127.0.0.1:9"  # a proxy that answers nothing

every_paper = pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_magics(cell):
    return "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))


def text_of(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def run(path, folder):
    """The notebook, executed in an empty folder, without a way out; a cell that fails fails the test."""
    notebook = read(path)
    offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    offline |= {"NO_PROXY": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | offline)
    return notebook


# ---- the contract


def test_there_is_a_notebook_for_each_protocol():
    assert [path.stem for path in PAPERS] == sorted(gl.tables.PROTOCOLS)


@every_paper
def test_it_opens_with_the_paper_and_what_is_done_of_it(path):
    title, what = (cell.source for cell in read(path).cells[:2])
    source = re.search(r"10\.\d{4,}/\S+?(?=[ ,(]|$)|\d{4}\.\d{5}", gl.tables.PROTOCOLS[path.stem].source)[0]
    assert title.startswith("# ")
    assert source in title
    assert [name for name in ("Questions", "Time", "Needs") if f"**{name}**" not in title] == []
    assert "**What the paper did.**" in what
    assert "**What is done here, and what not.**" in what
    assert "| | paper | here |" in what


@every_paper
def test_it_ends_with_what_may_be_compared_what_to_try_and_the_full_settings(path):
    text = text_of(read(path))
    places = [text.index(part) for part in (
        "## What may be compared", "## Try", "**The full settings.**", "**References.**"
    )]  # fmt: skip
    assert places == sorted(places)
    verdicts = re.findall(r"^\|.*\| (\*\*yes|no|hardly|in kind)", text[places[0] : places[1]], re.MULTILINE)
    assert "no" in verdicts
    assert "**yes" in verdicts


@every_paper
def test_its_cells_are_named_short_and_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code_of(notebook))
    assert len([c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]) == 1
    assert len(code_of(notebook)) <= MOST_CODE_CELLS
    nodes = [node for cell in code_of(notebook) for node in ast.walk(ast.parse(without_magics(cell)))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 5] == []


@every_paper
def test_its_figures_have_words_for_those_who_do_not_see_them(path):
    drawn = [cell for cell in code_of(read(path)) if "_figure(" in cell.source]
    assert drawn
    for cell in drawn:
        assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40, cell.id


@every_paper
def test_it_compares_all_that_the_paper_compared_and_shows_the_published_numbers(path):
    code = "\n".join(cell.source for cell in code_of(read(path)))
    assert [name for name in gl.tables.PROTOCOLS[path.stem].models if f'"{name}"' not in code] == []
    assert f'protocol="{path.stem}"' in code
    assert "assert" in code
    tables = re.findall(r'published\("(\w+)"\)', code)
    assert {name for name in gl.tables.PUBLISHED if name.startswith(path.stem)} - {*tables} <= {
        "chen2022_table1_training_scenes"
    }


@every_paper
def test_its_links_within_the_project_lead_somewhere(path):
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text_of(read(path))):
        assert (FOLDER / link).exists(), link


# ---- its checks can fail: a printed number is altered, and the cells from the table to the check run


def checked(name, cells):
    notebook = read(FOLDER / f"{name}.ipynb")
    sources = {cell.id: without_magics(cell) for cell in code_of(notebook)}
    names = {"display": lambda table: None}
    for cell in ["setup", *cells]:
        exec(compile(sources[cell], f"{name}: {cell}", "exec"), names)


CHECKS = [
    ("chen2022", ["sweep", "sweep-check"], "chen2022_table2_threshold_sweep", "f1_pct"),
    ("chen2022", ["table5", "table5-check"], "chen2022_table5b_changes", "rate_km2_per_a"),
    ("chen2022", ["table5", "totals"], "chen2022_table5a_areas", "area_km2"),
    ("chen2022", ["table6"], "chen2022_table6_comparison", "relative_error_pct"),
    ("chu2022", ["matrix", "matrix-check"], "chu2022_table2_confusion", "kappa"),
    ("chu2022", ["matrix", "axes"], "chu2022_table2_confusion", "tp"),
    ("chu2022", ["table3"], "chu2022_table3_inventories", "ggi_km2"),
    ("huang2025", ["printed", "printed-check"], "huang2025_headline", "precision_pct"),
    ("cryonet", ["printed", "printed-check"], "cryonet_headline", "recall_pct"),
]


@pytest.mark.parametrize(("paper", "cells", "name", "column"), CHECKS)
def test_a_check_agrees_with_what_is_printed_and_not_with_another_number(
    paper, cells, name, column, monkeypatch, capsys
):
    checked(paper, cells)

    def altered(asked, **dtypes):
        table = original(asked, **dtypes)
        if asked == name:
            row = 1 if name == "cryonet_headline" else 0
            table[column] = table[column].astype(float)
            table.loc[row, column] *= 1.01
        return table

    original = gl.tables.published
    monkeypatch.setattr(gl.tables, "published", altered)
    with pytest.raises(AssertionError):
        checked(paper, cells)


# ---- running


@pytest.mark.slow
@every_paper
def test_it_runs_from_top_to_bottom_without_a_network(path, tmp_path):
    ran = run(path, tmp_path)
    for cell in code_of(ran):
        if "_figure(" in cell.source:
            assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.id
