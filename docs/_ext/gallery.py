"""The gallery: every script of docs/gallery/ run, its figure with its code on a page of its own."""

import ast
import os
import runpy
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from links import DOCS, ROOT, write

FOLDER = DOCS / "gallery"
GENERATED = FOLDER / "generated"


@dataclass(frozen=True)
class Example:
    """A script, and what its docstring says: title, text, and the picture in words."""

    path: Path
    title: str
    text: str
    alt: str
    code: str

    @property
    def name(self):
        return self.path.stem

    @property
    def picture(self):
        return GENERATED / f"{self.name}.png"

    @property
    def stale(self):
        """Whether the script or the package has changed since its picture was made."""
        if not self.picture.exists():
            return True
        made = self.picture.stat().st_mtime
        sources = [self.path, *(ROOT / "glacierlab").rglob("*.py"), *(ROOT / "glacierlab").rglob("*.toml")]
        return any(source.stat().st_mtime > made for source in sources)


def examples():
    """Every script, in the order of `order.toml`."""
    names = tomllib.loads((FOLDER / "order.toml").read_text(encoding="utf-8"))["figures"]
    return [read(FOLDER / f"{name}.py") for name in names]


def read(path):
    """A script's parts; its docstring is title, text and picture, parted by empty lines."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, text, picture = (" ".join(part.split()) for part in ast.get_docstring(tree).split("\n\n"))
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    return Example(path, title, text, picture.removeprefix("Picture: "), code)


def write_gallery():
    """Make stale pictures in one process of its own, and write the pages."""
    found = examples()
    stale = [each.name for each in found if each.stale]
    if stale:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        subprocess.run([sys.executable, __file__, *stale], check=True, env=environment)
    for each in found:
        write(GENERATED / f"{each.name}.md", page(each))
    write(GENERATED / "grid.md", grid(found))
    for path in set(GENERATED.glob("*.*")) - {GENERATED / "grid.md"}:
        if path.stem not in {each.name for each in found}:
            path.unlink()


def page(each):
    """A figure, what it shows, and its code."""
    return (
        f"# {each.title}\n\n{each.text}\n\n![{each.alt}]({each.name}.png)\n\n```python\n{each.code}\n```\n\n"
        f'`figure` is a matplotlib figure: a notebook shows it, `figure.savefig("picture.png")` keeps it.\n'
    )


def grid(found):
    """All figures as a grid of cards, and their pages as a hidden table of contents."""
    cards = "".join(
        f":::{{grid-item-card}} {each.title}\n:img-top: generated/{each.name}.png\n:img-alt: {each.alt}\n"
        f":link: generated/{each.name}\n:link-type: doc\n:::\n\n"
        for each in found
    )
    listed = "\n".join(f"generated/{each.name}" for each in found)
    cards = f"::::{{grid}} 1 2 3 3\n:gutter: 3\n:class-container: thumbnails\n\n{cards}::::\n"
    return f"{cards}\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def draw(name):
    """Run a script and keep its figure; written whole, then renamed."""
    figure = runpy.run_path(str(FOLDER / f"{name}.py"))["figure"]
    GENERATED.mkdir(exist_ok=True)
    part = GENERATED / f"{name}.part.png"
    figure.savefig(part, dpi=100)
    part.replace(GENERATED / f"{name}.png")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        draw(name)
