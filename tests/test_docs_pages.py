"""How-to guides, explanations and the pages beside them: their Python runs, commands and links are real."""

import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from products import landsat, safe
from stac_server import add_sentinel_2, serving

import glacierlab as gl
from glacierlab.accessors import RasterAccessor, SceneAccessor
from glacierlab.cli import main
from glacierlab.errors import GlacierlabError

DOCS = Path(__file__).parents[1] / "docs"
ALONE = ("comparison.md", "benchmarks.md", "cite.md")
PAGES = [
    page.relative_to(DOCS) for part in ("howto", "explanation") for page in sorted((DOCS / part).glob("*.md"))
]
PAGES += [Path(name) for name in ALONE]
SLOW = {  # pages whose Python takes more than some ten seconds
    "howto/cluster.md",
    "howto/gpu.md",
    "howto/interactive.md",
    "howto/labels.md",
    "howto/model.md",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page, language):
    return [code for kind, code in FENCE.findall(text_of(page)) if kind == language]


def with_python(page):
    """A page as a parameter, marked slow where it is."""
    name = page.as_posix()
    return pytest.param(page, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


# ---- what a page takes for granted ----


@contextmanager
def scenes_on_disk(folder, monkeypatch):
    """A Landsat folder, a SAFE folder and a STAC catalog, as the page on scenes calls them."""
    half = np.arange(144).reshape(12, 12) < 72
    clear, snow = 21824, 30048  # of QA_PIXEL
    bands = {f"SR_B{n}": np.where(half, 9000, 20000 + 100 * n) for n in range(1, 8)}
    landsat(folder, bands, qa=np.where(half, clear, snow))
    safe(
        folder, {"B04": np.full((36, 36), 5000), "B11": np.full((18, 18), 1500), "SCL": np.full((18, 18), 11)}
    )
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving(folder / "served") as api:
        for day in ("2020-07-20", "2020-08-16", "2020-09-04"):
            layers = dict.fromkeys(("B03", "B04"), np.full((40, 40), 5000))
            layers |= {"B11": np.full((20, 20), 600), "SCL": np.full((20, 20), 4)}
            more = {"applied": True, "when": f"{day}T18:59:19Z", "eo:cloud_cover": 10.0}
            add_sentinel_2(api, f"S2_{day}", layers, **more)
        known = gl.tables.CATALOGS
        monkeypatch.setitem(known, "earth-search", replace(known["earth-search"], url=api.url))
        yield


SETTINGS = {"howto/scenes.md": scenes_on_disk}


@contextmanager
def nothing(folder, monkeypatch):
    yield


# ---- the tests ----


@pytest.mark.parametrize("page", [with_python(page) for page in PAGES if blocks(page, "python")])
@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    with SETTINGS.get(page.as_posix(), nothing)(tmp_path, monkeypatch):
        for number, code in enumerate(blocks(page, "python"), 1):
            exec(compile(code, f"{page}, block {number}", "exec"), names)
    import matplotlib.pyplot as plt

    plt.close("all")


def command_lines(page):
    """Lines of shell that call glacierlab, those that end in a backslash joined."""
    for code in blocks(page, "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line.partition(" #")[0]):
                words = part.split()
                while words and ("=" in words[0] or words[0] == "export"):
                    words = words[1:]
                if words and Path(words[0]).name == "glacierlab":
                    yield words[1:]


def test_there_are_commands_to_look_at():
    assert sum(len(list(command_lines(page))) for page in PAGES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=Path.as_posix)
def test_every_command_and_option_exists(page):
    inline = re.findall(r"`glacierlab ([^`]+)`", FENCE.sub("", text_of(page)))
    for words in [*command_lines(page), *(each.split() for each in inline)]:
        command = main
        while isinstance(command, click.Group) and words:
            assert words[0] in command.commands, f"{page}: glacierlab {words[0]}"
            command, words = command.commands[words[0]], words[1:]
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert asked <= known, f"{page}: {command.name} has no {asked - known}"


@pytest.mark.parametrize("page", PAGES, ids=Path.as_posix)
def test_every_name_exists(page):
    prose = FENCE.sub("", text_of(page))
    for dotted in re.findall(r"`gl\.([\w.]+)", prose):
        found = gl
        for name in dotted.rstrip(".").split("."):
            assert hasattr(found, name), f"{page}: gl.{dotted}"
            found = getattr(found, name)
    for name in re.findall(r"\.glacier\.(\w+)", prose):
        assert hasattr(SceneAccessor, name) or hasattr(RasterAccessor, name), f"{page}: .glacier.{name}"


def anchors(text):
    """What headings are called in addresses."""
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=Path.as_posix)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", FENCE.sub("", text_of(page))):
        name, _, anchor = link.partition("#")
        target = (DOCS / page).parent / name if name else DOCS / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("part", ["howto", "explanation"])
def test_every_page_is_on_its_list(part):
    index = text_of(Path(part, "index.md"))
    for page in (DOCS / part).glob("*.md"):
        assert page.stem == "index" or f"({page.name})" in index, page


def test_every_sample_is_to_be_cited():
    from glacierlab.io.samples import SAMPLES

    page = text_of("cite.md")
    for name, row in SAMPLES.items():
        assert f"`{name}`" in page
        (doi,) = re.findall(r"doi:(10\.[^; ]+)", row.citation) or [""]
        assert doi.lower() in page.lower(), name


def test_every_benchmark_is_on_its_page():
    page = text_of("benchmarks.md")
    for script in (DOCS.parent / "benchmarks").glob("*.py"):
        assert f"`{script.name}`" in page, script.name


@pytest.mark.parametrize("page", PAGES, ids=Path.as_posix)
def test_pages_are_plain(page):
    text = FENCE.sub("", text_of(page))
    assert text.startswith("# ")
    assert "!" not in text.replace("![", "").replace("!=", "")
    assert not re.search(r"pypi|\bTODO\b|[\U0001F300-\U0001FAFF]", text, re.IGNORECASE)


def test_a_module_that_nobody_wrapped_is_refused_by_name(made):
    torch = pytest.importorskip("torch")
    with pytest.raises(GlacierlabError, match=r"model= is a Conv2d: .*gl\.models\.Segmenter"):
        gl.predict(made, torch.nn.Conv2d(6, 2, 1))
