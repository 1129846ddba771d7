"""The house around the package: one list of packages, one version, imports that only look back."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import glacierlab

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "glacierlab"


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text("pyproject.toml"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ALL = Requirement(EXTRAS["all"][0]).extras

# pip's name → conda-forge's, where they differ
CONDA_NAMES = {
    "dask": ["dask", "distributed"],
    "matplotlib": ["matplotlib-base"],
    "playwright": ["playwright-python"],
    "torch": ["pytorch"],
}


# ---- packages

PYTHON_312 = {"python_version": "3.12"}  # the conda files begin there


def required(extras, conda_names):
    """What pyproject.toml asks for on Python 3.12, as {conda name: bounds}."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    needs = [need for need in map(Requirement, lines) if not need.marker or need.marker.evaluate(PYTHON_312)]
    return {name: need.specifier for need in needs for name in conda_names.get(need.name, [need.name])}


def conda(path):
    """What a conda file asks for, as {name: bounds}; conda's `=3.12` is pip's `==3.12`."""
    lines = [line for line in yaml.safe_load(text(path))["dependencies"] if isinstance(line, str)]
    needs = [Requirement(re.sub(r"(?<![<>=!~])=(?!=)", "==", line)) for line in lines]
    return {need.name: need.specifier for need in needs}


@pytest.mark.parametrize(
    ("path", "extras", "conda_names"),
    [
        ("environment.yml", [*ALL, "test"], CONDA_NAMES),
        ("binder/environment.yml", ["models", "viz", "notebooks"], CONDA_NAMES | {"torch": ["pytorch-cpu"]}),
    ],
)
def test_conda_files_name_the_packages_and_bounds_of_pyproject(path, extras, conda_names):
    found = conda(path)
    python, _ = found.pop("python"), found.pop("pip")
    assert found == required(extras, conda_names)
    minors = [minor for minor in range(30) if f"3.{minor}" in python]
    assert minors
    assert all(f"3.{minor}" in SpecifierSet(PROJECT["requires-python"]) for minor in minors)


def test_all_is_every_extra_for_users():
    assert set(EXTRAS) - ALL == {"all", "test", "bench", "docs", "dev"}


def test_classifiers_and_makefile_name_the_supported_pythons():
    supported = [minor for minor in range(30) if f"3.{minor}" in SpecifierSet(PROJECT["requires-python"])]
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    assert [int(minor) for minor in named] == supported
    low, high = re.search(r"\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)", text("Makefile")).groups()
    assert list(range(int(low), int(high))) == supported


def test_version_is_in_one_place():
    assert "version" in PROJECT["dynamic"]
    assert glacierlab.__version__ == version("glacierlab")
    assert "version" not in yaml.safe_load(text("CITATION.cff"))


# ---- imports

ORDER = [
    "errors", "memory", "lazy", "cells", "tables", "scores", "io", "features", "quality", "series",
    "synthetic", "samples", "models", "train", "inference", "judge", "outlines", "change", "mapping",
    "viz", "report", "batch", "apps", "demo", "accessors", "completing", "teach", "cli", "__main__",
]  # fmt: skip
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})
MAY_IMPORT = {  # only these parts import it
    "torch": {"features", "samples", "models", "train", "inference", "judge"},
    "glacierlab.viz": {"viz", "report", "apps", "cli"},
    "xarray": {*ORDER} - {"models"},
}


def imports(path):
    """The full dotted names a module imports, at its top or inside a function."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = [*base, node.module] if node.module else base
            yield from (".".join([*module, alias.name]) for alias in node.names)


def part(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_only_look_back(path):
    allowed = {"__version__", *ORDER[: ORDER.index(part(path)) + 1]}
    ours = [name for name in imports(path) if name.split(".")[0] == "glacierlab"]
    assert [name for name in ours if f"{name}.".split(".")[1] not in allowed] == []


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_only_some_parts_import(name):
    users = {part(path) for path in MODULES for used in imports(path) if f"{used}.".startswith(f"{name}.")}
    assert users <= MAY_IMPORT[name]


def test_import_is_light():
    code = "import sys, glacierlab; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert {"xarray", "glacierlab.accessors"} <= loaded
    assert not {"torch", "panel", "geoviews", "geopandas", "matplotlib", "numba", "rasterio"} & loaded


# ---- files


@pytest.fixture(scope="module")
def tracked():
    """The files git knows of or would add; skipped in an export without .git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine(tracked):
    path = re.compile(rb"(?<![\w.$}>])/(work|farm|root|home|Users)/\w")
    assert [file for file in tracked if path.search(file.read_bytes())] == []


def test_notebooks_are_committed_without_outputs(tracked):
    for file in (file for file in tracked if file.suffix == ".ipynb"):
        cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells), file


@pytest.mark.parametrize("path", sorted((PACKAGE / "tables").glob("*.toml")), ids=lambda path: path.stem)
def test_tables_are_toml_with_rows(path):
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    assert rows
    assert all(isinstance(row, dict) for row in rows.values())


def test_readme_makefile_and_ci_name_the_same_commands():
    readme, ci = text("README.md"), text(".ci/run")
    assert "make demo" in readme
    assert "make test" in readme
    assert "make test" in ci
    chromium = "apt-get update && apt-get install -y --no-install-recommends chromium"
    assert chromium in readme
    assert chromium in ci
