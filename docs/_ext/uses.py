"""Where a public name is used: code of lessons, pages and the gallery, read and not run."""

import ast
import json
import re
from functools import cache
from pathlib import Path

from public import accessor_methods, by_any_name

from glacierlab.teach import JUDGES

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|\{code-cell\}.*?)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def lessons():
    """The lessons in order, the papers' after them."""
    folder = ROOT / "notebooks"
    return sorted(folder.glob("*.ipynb")) + sorted((folder / "papers").glob("*.ipynb"))


def pages():
    """README, how-tos, explanations and the long pages: whatever may have blocks of Python."""
    docs = ROOT / "docs"
    parts = [path for part in ("howto", "explanation") for path in sorted((docs / part).glob("*.md"))]
    return [ROOT / "README.md", *parts, *sorted(docs.glob("*.md"))]


def figures():
    """The scripts of the gallery."""
    return sorted((ROOT / "docs" / "gallery").glob("*.py"))


def code_of(path):
    """The Python code of a notebook or page, as a list of cells or blocks."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [text]
    if path.suffix == ".md":
        return BLOCK.findall(text)
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells]


@cache
def used_in(path):
    """Names (of `public()`) that a file's code uses."""
    return frozenset().union(*(names_in(code) for code in code_of(path)))


def names_in(code):
    """Names (of `public()`) in a piece of code; one that is no Python has none."""
    try:
        tree = ast.parse(re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE))
    except SyntaxError:
        return set()
    known, methods = by_any_name(), methods_by_name()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "glacierlab":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "gl.teach.check":
            found |= judge_of(node)
        elif isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if dotted.startswith("gl."):
                found.add(f"glacierlab.{dotted[3:]}")
            elif isinstance(node.value, ast.Attribute) and node.value.attr == "glacier":
                found |= methods.get(node.attr, set())
    return {known[name].name for name in found if name in known}


def judge_of(call):
    """The function that judges the exercise of a call of `gl.teach.check`."""
    exercise = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    judge = JUDGES.get(exercise)
    return {f"glacierlab.teach.{judge.__name__}"} if judge else set()


@cache
def methods_by_name():
    """Names of the functions behind a method of `.glacier`."""
    known = by_any_name()
    found = {}
    for method in accessor_methods():
        function = method.function
        names = {name for name, each in known.items() if each.value is function}
        found.setdefault(method.name, set()).update(names)
    return found


def has_example(each):
    """Whether a docstring of it, or of a method of a class, has an example that the doctests run."""
    docs = [each.doc]
    if each.kind == "class":
        docs += [getattr(value, "__doc__", None) or "" for value in vars(each.value).values()]
    lines = [line for doc in docs for line in doc.splitlines() if line.lstrip().startswith(">>>")]
    return any("doctest: +SKIP" not in line and not line.strip().startswith(">>> import") for line in lines)
