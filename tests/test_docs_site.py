"""The documentation's site: what it is made of, that it builds without a warning, and has no dead link."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from browsing import outside

import glacierlab as gl
from glacierlab.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.append(str(DOCS / "_ext"))
MODULES = ("data_tables", "gallery", "lessons", "links", "public", "reference", "uses")
data_tables, gallery, lessons, links, public, reference, uses = map(import_module, MODULES)

LESSONS = uses.lessons()
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


# ---- the reference


def public_names():
    """What a user may write, told by the package itself."""
    yield from (f"glacierlab.{name}" for name in gl.__all__ if not is_module_or_text(getattr(gl, name)))
    for part in gl._PARTS:
        module = getattr(gl, part)
        for name in getattr(module, "__all__", ()):
            if not isinstance(getattr(module, name), ModuleType):
                yield f"glacierlab.{part}.{name}"


def is_module_or_text(value):
    return isinstance(value, ModuleType | str)


def test_every_public_name_is_in_the_reference():
    assert sorted(set(public_names()) - set(public.by_any_name())) == []
    listed = [each.name for _, names in reference.groups().values() for each in names]
    assert sorted(listed) == sorted(public.public())  # each in one group, and in one alone


def test_every_method_of_the_accessor_is_in_the_reference():
    tables = reference.accessor_tables()
    for of in (gl.accessors.SceneAccessor, gl.accessors.RasterAccessor):
        for name in (name for name in vars(of) if not name.startswith("_")):
            assert f"`.glacier.{name}(" in tables


def test_every_public_function_is_in_an_example_that_runs():
    missing = reference.without_example()
    assert not missing, "\n".join(missing)


def test_code_is_searched_for_names_and_not_run():
    code = "import glacierlab as gl\nraise SystemExit\nmask = scene.glacier.ratio('a', 'b').glacier.clean()\n"
    assert uses.names_in(code + "%matplotlib inline\ngl.judge.fit(x)\n") == {
        "glacierlab.ratio",
        "glacierlab.outlines.clean",
    }
    assert uses.names_in("gl.train.fit(model, patches)") == {"glacierlab.fit"}
    assert uses.names_in('gl.teach.check("01.1", 2)') > {"glacierlab.teach.check"}
    assert uses.names_in("this is no Python") == set()


def test_a_lesson_is_named_on_the_pages_of_what_it_uses():
    users = reference.users_of()["glacierlab.best_threshold"]
    assert any("course/lessons/01_first_outlines.ipynb" in user for user in users)
    assert any("gallery/generated/threshold_curve.md" in user for user in users)


# ---- tables made from the code


def test_sensors_indices_presets_and_classes_are_all_there():
    for make, rows in (
        (data_tables.indices, gl.tables.INDICES),
        (data_tables.presets, gl.tables.PRESETS),
        (data_tables.protocols, gl.tables.PROTOCOLS),
        (data_tables.products, gl.tables.PRODUCTS),
        (data_tables.classes, gl.tables.CLASSES),
    ):
        assert [name for name in rows if name not in make()] == []
    bands = sum(len(sensor.bands) for sensor in gl.tables.SENSORS.values())
    table = data_tables.sensors()
    assert table.count("\n| `") == bands
    assert "| `swir16` | B6 | 1.61 |" in table


def test_layers_say_what_they_need():
    table = data_tables.layers()
    assert "| `ndsi` | ndsi | green, swir16 |" in table
    assert "| `aspect` | aspect_sin, aspect_cos | elevation |" in table
    assert "| `glcm:nir:entropy` | glcm:nir:entropy | nir |" in table


def test_parameters_of_models_are_those_of_the_page_on_models():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    zoo = page.partition("<!-- zoo -->")[2].partition("<!-- end -->")[0]
    told = re.findall(r"^\| `(\w+)` \| ([\d,]+|none|depends) \|", zoo, re.MULTILINE)
    made = data_tables.models()
    assert len(told) == len(gl.models.MODELS)
    assert [name for name, count in told if f"| `{name}` | {count} |" not in made] == []


# ---- pages


def test_the_front_page_shows_the_ten_lines_of_the_readme():
    blocks = [
        re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for path in (ROOT / "README.md", DOCS / "index.md")
    ]
    assert blocks[0][0] == blocks[1][0]


@pytest.mark.parametrize(
    ("target", "mended"),
    [
        ("../notebooks/04_train.ipynb", "course/lessons/04_train.ipynb"),
        ("../README.md#tests", "index.md"),
        ("../CONTRIBUTING.md", "contributing.md"),
        ("areas.md#calibrated", "areas.md#calibrated"),
        ("https://xarray.dev", "https://xarray.dev"),
        ("#below", "#below"),
    ],
)
def test_links_of_a_page_are_mended(target, mended):
    page = DOCS / "models.md"
    assert links.mended(f"see [it]({target})", page, page) == f"see [it]({mended})"


def test_a_page_that_the_site_does_not_have_is_named_without_a_link():
    page = DOCS / "benchmarks.md"
    text = "each file in [`benchmarks/`](../benchmarks/README.md) answers"
    assert links.mended(text, page, page) == "each file in `benchmarks/` answers"


@every_lesson
def test_a_lesson_has_links_that_lead_somewhere_and_folded_solutions(path):
    page = links.LESSONS / path.relative_to(links.NOTEBOOKS)
    cells = lessons.as_page(path, page)["cells"]
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for _, target, _ in links.LINK.findall("".join(cell["source"])):
                file = target.partition("#")[0]
                assert not file or re.match(r"[a-z]+:", file) or leads_somewhere(page.parent / file), target
        elif "solution" in (tags := cell["metadata"]["tags"]):
            assert {"hide-cell", "hide-input"} & set(tags)


def leads_somewhere(path):
    """Whether a page or picture of the site will be there: lessons are copied when it is built."""
    path = path.resolve()
    return path.exists() or any(path == links.in_site(lesson) for lesson in LESSONS)


def test_results_are_shown_of_the_same_cells_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "EXECUTED", tmp_path)
    path, page = LESSONS[0], links.LESSONS / LESSONS[0].name
    assert lessons.NOT_RUN in [cell["source"] for cell in lessons.as_page(path, page)["cells"]]
    run = json.loads(path.read_text(encoding="utf-8"))
    run["metadata"]["run"] = True
    (tmp_path / path.name).write_text(json.dumps(run), encoding="utf-8")
    shown = lessons.as_page(path, page)
    assert shown["metadata"]["run"]
    assert lessons.NOT_RUN not in [cell["source"] for cell in shown["cells"]]
    run["cells"][-1]["source"] = "another"
    (tmp_path / path.name).write_text(json.dumps(run), encoding="utf-8")
    assert lessons.NOT_RUN in [cell["source"] for cell in lessons.as_page(path, page)["cells"]]


def test_the_table_of_the_course_has_every_lesson_with_goal_and_time():
    table = lessons.table(LESSONS)
    for path in LESSONS:
        (row,) = re.findall(rf"^\| \[.*?\]\(lessons/.*?{path.name}\) \| (.*)", table, re.MULTILINE)
        goal, time, *_ = row.split(" | ")
        assert len(goal) > 20, path.stem
        assert re.search(r"\d+ minutes|hour", time), path.stem


def test_every_figure_of_the_gallery_says_what_it_shows():
    examples = gallery.examples()
    assert {each.path for each in examples} == set((DOCS / "gallery").glob("*.py"))
    assert all(len(each.alt) > 30 and len(each.text) > 30 for each in examples)


# ---- the site


class Page(HTMLParser):
    """What a page of HTML links to, shows and can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.targets, self.loaded, self.without_alt = {""}, [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])
        if tag in ("img", "script", "iframe", "source") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.without_alt.append(found.get("src", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built as `make docs` does."""
    pytest.importorskip("sphinx", reason="the site needs the extra docs")
    pytest.importorskip("myst_nb", reason="the site needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-j",
        "auto",
        DOCS,
        folder / "html",
    ]
    built = subprocess.run([*command, "-d", folder / "doctrees"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    return folder / "html"


@pytest.fixture(scope="module")
def html(site):
    """Every page by its path."""
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.slow
def test_no_link_within_the_site_is_dead(site, html):
    dead = set()
    for path, page in html.items():
        for target in (*page.targets, *page.loaded):
            address = urlsplit(target)
            if address.scheme or address.netloc:
                continue
            file = (path.parent / unquote(address.path)).resolve() if address.path else path
            file = file / "index.html" if file.is_dir() else file
            anchor = unquote(address.fragment)
            if not file.exists() or (file in html and anchor not in html[file].anchors):
                dead.add((path.relative_to(site).as_posix(), target))
    assert sorted(dead) == []


@pytest.mark.slow
def test_every_picture_has_a_text_for_those_who_do_not_see_it(html):
    bare = {(path.name, each) for path, page in html.items() for each in page.without_alt}
    assert {
        each for each in bare if not each[1].endswith("mark.svg")
    } == set()  # the mark has its name beside it


@pytest.mark.slow
def test_pages_load_nothing_from_outside_and_every_public_name_and_command_has_its_place(site, html):
    outer = {
        (path.name, each) for path, page in html.items() for each in page.loaded if urlsplit(each).netloc
    }
    assert outer == set()
    anchors = set().union(*(page.anchors for page in html.values()))
    assert sorted(set(public.public()) - anchors) == []
    cli = html[site / "reference" / "cli.html"].anchors
    assert [name for name in main.commands if f"glacierlab-{name}" not in cli] == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("color", ["light", "dark"])
def test_pages_ask_for_nothing_outside_in_a_browser(site, browser, color):
    pages = [
        "index",
        "course/index",
        "reference/models",
        "reference/generated/glacierlab.fit",
        "gallery/index",
    ]
    pages += [f"course/lessons/{path.relative_to(links.NOTEBOOKS).with_suffix('')}" for path in LESSONS]
    for name in pages:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=color)
        page.asked, page.told = [], []
        page.on("request", lambda request, page=page: page.asked.append(request.url))
        page.on("pageerror", lambda error, page=page: page.told.append(str(error)))
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
        assert outside(page) == [], name
        assert page.told == [], name
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        page.close()
