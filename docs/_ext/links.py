"""Links that work on a forge and in the site: mended when pages are read, never in the files."""

import re
from os.path import relpath
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS, NOTEBOOKS = ROOT / "docs", ROOT / "notebooks"
LESSONS = DOCS / "course" / "lessons"
PAGES = {  # what has another name in the site
    ROOT / "README.md": DOCS / "index.md",
    ROOT / "CONTRIBUTING.md": DOCS / "contributing.md",
    NOTEBOOKS / "README.md": DOCS / "course" / "index.md",
    NOTEBOOKS: DOCS / "course" / "index.md",
    NOTEBOOKS / "papers": DOCS / "course" / "index.md",
}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")


def mended(text, source, page):
    """A page's Markdown with links that lead from where it lies in the site.

    Parameters
    ----------
    text : str
    source, page : Path
        Where the text was written, and where the site has it.
    """

    def mend(match):
        target, _, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        found = (source.parent / target).resolve()
        shown = in_site(found)
        if shown.suffix == ".md" and not shown.is_relative_to(DOCS):
            return match[1][1:-2]  # a page that the site does not have
        if shown == DOCS / "index.md" and anchor:
            anchor = ""  # the README's headings are not the landing page's
        path = Path(relpath(shown, page.parent)).as_posix()
        return f"{match[1]}{path}{'#' * bool(anchor)}{anchor}{match[3]}"

    return LINK.sub(mend, text)


def listed(text, page):
    """The pages of its own folder that a page links to, in its order, as a hidden table of contents."""
    found = [(page.parent / match[2].partition("#")[0]).resolve() for match in LINK.finditer(text)]
    here = [path.stem for path in found if path.suffix == ".md" and path.parent == page.parent != DOCS]
    rest = sorted(path.stem for path in page.parent.glob("*.md") if path != page)
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(dict.fromkeys([*here, *rest])) + "\n```\n"


def in_site(path):
    """Where the site has a file of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.suffix == ".ipynb" and path.is_relative_to(NOTEBOOKS):
        return LESSONS / path.relative_to(NOTEBOOKS)
    return path


def write(path, text):
    """Write a generated page, unless it stands there already: Sphinx reads again what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        part = path.with_name(f"{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
