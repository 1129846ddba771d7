"""Two editions from one source, the workshop kit, and the locked environment."""

import importlib
import re
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import glacierlab as gl

pytest.importorskip("ipykernel")  # of the extra "notebooks"

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"""\b(?:src|href)=["'](?:https?:)?//""")


@pytest.fixture(scope="module")
def scripts():
    """The modules of notebooks/ and binder/ by name, as their scripts import them."""
    before, folders = set(sys.modules), [str(ROOT / "notebooks"), str(ROOT / "binder")]
    sys.path[:0] = folders
    names = ("run", "lock", "editions", "kit")
    yield {name: importlib.import_module(name) for name in names}
    for folder in folders:
        sys.path.remove(folder)
    for name in set(names) - before:
        del sys.modules[name]


@pytest.fixture(scope="module")
def source(scripts):
    """All lessons as they are, by name."""
    return {name: nbformat.read(path, as_version=4) for name, path in scripts["run"].lessons().items()}


def read(folder, name):
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def tags(cell):
    return cell.metadata.get("tags", [])


# ---- editions


def test_students_get_everything_but_solutions_and_results(scripts, source, tmp_path):
    scripts["editions"].write("student", tmp_path)
    for name, lesson in source.items():
        made = read(tmp_path, name)
        nbformat.validate(made)
        kept = [cell.id for cell in lesson.cells if "solution" not in tags(cell)]
        assert [cell.id for cell in made.cells] == kept
        assert not any(cell.get("outputs") for cell in made.cells)
        answers = [cell.source for cell in lesson.cells if "solution" in tags(cell)]
        assert not [a for a in answers if any(cell.source == a for cell in made.cells)]
        assert not any("folded" in cell.source for cell in made.cells if cell.cell_type == "markdown")


def test_teachers_get_open_and_marked_solutions(scripts, source, tmp_path):
    scripts["editions"].write("teacher", tmp_path)
    for name, lesson in source.items():
        made = read(tmp_path, name)
        nbformat.validate(made)
        assert [cell.id for cell in made.cells] == [cell.id for cell in lesson.cells]
        solved = [cell for cell in made.cells if "solution" in tags(cell)]
        assert len(solved) == sum("solution" in tags(cell) for cell in lesson.cells)
        assert not any(cell.metadata.get("jupyter", {}).get("source_hidden") for cell in solved)
        assert all(cell.source.startswith("# Solution") for cell in solved)


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_pictures_come_along_and_no_link_leads_out_of_the_folder(scripts, tmp_path, kind):
    for path in scripts["editions"].write(kind, tmp_path):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "markdown":
                continue
            for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", cell.source):
                if "://" not in link:
                    assert (path.parent / link).resolve().is_relative_to(tmp_path), (path.name, link)
                    assert (path.parent / link).is_file(), (path.name, link)


def test_the_lessons_themselves_are_not_written_over(scripts, capsys):
    with pytest.raises(SystemExit):
        scripts["editions"].main(["student", str(ROOT / "notebooks")])
    assert "name another" in capsys.readouterr().err


# ---- pages


def lesson_with(*outputs):
    """A small lesson with a formula, and results as a kernel gives them."""
    title = nbformat.v4.new_markdown_cell("# 1 Small\n\nAn area is $\\pi r^2$.")
    code = nbformat.v4.new_code_cell("1", outputs=list(outputs))
    return nbformat.v4.new_notebook(cells=[title, code])


def test_a_page_asks_for_nothing_and_shows_formulas_and_results(scripts, tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "bar"}
    lesson = lesson_with(
        nbformat.v4.new_output("display_data", data=widget),
        nbformat.v4.new_output("display_data", data={"text/html": "<b>a result</b>"}),
    )
    lesson.cells[0].source += "\n\nSee [2 More](02_more.ipynb#how)."
    lesson.cells[1].metadata.mystnb = {"image": {"alt": "a bar that is high"}}
    lesson.cells[1].outputs.append(nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="}))
    nbformat.write(lesson, tmp_path / "01.ipynb")
    page = scripts["kit"].as_html(tmp_path / "01.ipynb")
    assert not OUTSIDE.search(re.sub(r"<a [^>]*>", "", page))
    assert 'alt="\\pi r^2"' in page
    assert "<b>a result</b>" in page
    assert "<title>1 Small</title>" in page
    assert 'href="02_more.html#how"' in page
    assert 'alt="a bar that is high"' in page


@pytest.mark.browser
def test_every_page_of_the_students_shows_without_a_network(scripts, browser, tmp_path):
    names = ["01_first_outlines", "07_map_large_scenes"]
    paths = [p for p in scripts["editions"].write("student", tmp_path / "student") if p.stem in names]
    scripts["kit"].add_html(tmp_path / "student", paths, tmp_path / "html")
    asked, failed = [], []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto((tmp_path / "html" / "index.html").as_uri())
    assert page.get_by_role("listitem").count() == len(names)
    page.get_by_role("link", name="First glacier outlines").click()
    page.get_by_role("heading", name="1 First glacier outlines").wait_for()
    width = page.locator("img").first.evaluate("image => image.naturalWidth")
    assert width > 100
    page.goto((tmp_path / "html" / "07_map_large_scenes.html").as_uri())
    page.wait_for_timeout(500)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert failed == []


# ---- the kit


def test_the_kit_holds_what_its_page_says(scripts, tmp_path, monkeypatch, capsys):
    kit = scripts["kit"]
    monkeypatch.setattr(kit, "wheel", lambda folder: folder / "glacierlab-1-py3-none-any.whl")
    monkeypatch.setattr(kit, "add_data", lambda folder: False)
    monkeypatch.setattr(kit, "add_html", lambda source, notebooks, folder: folder.mkdir(parents=True))
    assert kit.main(["-o", str(tmp_path)]) is None
    (path,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(path) as found:
        names = {name.split("/", 1)[1] for name in found.namelist()}
        text = found.read(f"{path.stem}/README.md").decode()
        listed = found.read(f"{path.stem}/wheelhouse.txt").decode().splitlines()
        locked = yaml.safe_load(found.read(f"{path.stem}/environment-locked.yml"))
    assert {"README.md", "LICENSE", "student/01_first_outlines.ipynb", "teacher/04_train.ipynb"} <= names
    assert {"student/images/athabasca.png", "wheelhouse.txt"} <= names
    assert "{" not in re.sub(r"`[^`]*`", "", text)  # every place is filled
    assert "1 First glacier outlines | 45 minutes" in text
    assert listed[-1] == locked["dependencies"][-1]["pip"][-1] == "./glacierlab-1-py3-none-any.whl"
    assert not any("://" in line for line in listed)  # no host is named
    assert str(path) in capsys.readouterr().out


@pytest.mark.slow
def test_the_wheel_of_the_kit_is_this_version(scripts, tmp_path):
    path = scripts["kit"].wheel(tmp_path)
    with zipfile.ZipFile(path) as found:
        names = found.namelist()
    assert "glacierlab/tables/exercises.toml" in names
    assert "glacierlab/apps/icons/inspect.svg" in names
    (points,) = [name for name in names if name.endswith("entry_points.txt")]
    with zipfile.ZipFile(path) as found:
        assert "glacierlab-dashboard" in found.read(points).decode()


# ---- the locked environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned():
    """What environment-locked.yml asks for: Python, and {name: requirement}."""
    lines = yaml.safe_load((ROOT / "environment-locked.yml").read_text(encoding="utf-8"))["dependencies"]
    *pins, package = lines[-1]["pip"]
    assert package == "-e ."
    return lines[0], {canonicalize_name(need.name): need for need in map(Requirement, pins)}


def asked():
    """What pyproject.toml asks for of users, with all extras."""
    extras = PROJECT["optional-dependencies"]
    names = Requirement(extras["all"][0]).extras
    return [*map(Requirement, [*PROJECT["dependencies"], *(line for name in names for line in extras[name])])]


def test_the_locked_environment_names_every_package_once_and_within_its_bounds():
    python, pins = pinned()
    minor = python.removeprefix("python =")
    assert f"Programming Language :: Python :: {minor}" in PROJECT["classifiers"]
    here = {"python_version": minor}
    for need in asked():
        if need.marker and not need.marker.evaluate(here):
            continue
        (exact,) = pins[canonicalize_name(need.name)].specifier
        assert exact.operator == "=="
        assert need.specifier.contains(exact.version), need


def test_the_lock_follows_what_packages_themselves_ask_for(scripts):
    pins = scripts["lock"].pins()
    assert pins["numpy"] == f"=={version('numpy')}"
    assert pins["markupsafe"] == f"=={version('markupsafe')}"  # which only jinja2 asks for
    assert not {"pytest", "sphinx", "ruff", "glacierlab"} & set(pins)


def test_what_one_system_alone_needs_is_marked_so(scripts):
    lock = scripts["lock"]
    marker = lambda text: lock.system_of(Requirement(f"a ; {text}").marker)
    assert marker('sys_platform == "linux"')
    assert marker('platform_system == "Linux" and platform_machine == "x86_64"')
    assert marker('python_version < "3.12"') is None
    assert lock.system_of(None) is None


def test_the_real_scene_comes_with_its_license_where_the_machine_has_it(scripts, data, tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(data))
    monkeypatch.setattr(scripts["kit"].subprocess, "run", lambda *given, **options: None)  # no demo
    assert scripts["kit"].add_data(tmp_path / "data")
    assert len(list((tmp_path / "data" / "samples" / "athabasca").glob("*.tif"))) == 7
    assert "GPL-3" in (tmp_path / "data" / "samples" / "LICENCES.txt").read_text(encoding="utf-8")
    monkeypatch.setenv("GLACIERLAB_DATA", str(tmp_path / "data" / "samples"))
    assert gl.sample("athabasca").sizes["x"] > 100


def test_without_the_real_scene_the_kit_says_how_to_get_it(scripts, tmp_path, monkeypatch):
    monkeypatch.delenv("GLACIERLAB_DATA", raising=False)
    monkeypatch.setenv("GLACIERLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scripts["kit"].subprocess, "run", lambda *given, **options: None)
    assert not scripts["kit"].add_data(tmp_path / "data")
    assert "glacierlab sample athabasca" in scripts["kit"].readme("a.whl", False)
