"""The reference's pages, written from what the package makes public: a page a name, gathered by task."""

import inspect
import json
import tomllib
from collections import defaultdict

from gallery import read
from links import DOCS, LESSONS, NOTEBOOKS, ROOT, write
from public import accessor_methods, by_any_name, public
from uses import figures, has_example, lessons, pages, used_in

FOLDER = DOCS / "reference"
GENERATED = FOLDER / "generated"
TABLE_OF = {  # a table of the package → the page that shows it
    "SENSORS": "sensors", "SENSOR_NAMES": "sensors", "PRODUCTS": "sensors", "MASKS": "sensors",
    "INDICES": "indices", "RATIOS": "indices", "TASSELED_CAP": "indices", "RECIPES": "layers",
    "MODELS": "models", "PRESETS": "presets", "PROTOCOLS": "presets", "SPLITS": "presets",
    "STRATA": "presets",
    "CLASSES": "classes", "NOT_OBSERVED": "classes", "INVENTORIES": "classes", "RGI7": "classes",
    "EXTRA_COLUMNS": "classes",
}  # fmt: skip


def write_reference():
    """A page for every public name, one for each group, and the accessor's tables."""
    users = users_of()
    wanted = set()
    for each in public().values():
        page = GENERATED / f"{each.name}.md"
        write(page, page_of(each, users[each.name]))
        wanted.add(page)
    for key, (group, names) in groups().items():
        page = GENERATED / f"group-{key}.md"
        write(page, group_page(group, names))
        wanted.add(page)
    write(GENERATED / "tables" / "groups.md", overview())
    write(GENERATED / "tables" / "accessor.md", accessor_tables())
    for page in set(GENERATED.glob("*.md")) - wanted:
        page.unlink()


# ---- by task


def groups():
    """(group, its `Public`s) by the group's key; each public thing is in one group."""
    rows = tomllib.loads((FOLDER / "groups.toml").read_text(encoding="utf-8"))
    known, taken = by_any_name(), {}
    for key, row in rows.items():
        for name in row.get("names", ()):
            taken[known[f"glacierlab.{name}"].name] = key
    part_of = {part: key for key, row in rows.items() for part in row.get("parts", ())}
    found = {key: (row, []) for key, row in rows.items()}
    for each in public().values():
        key = taken.get(each.name) or part_of[each.part]
        found[key][1].append(each)
    for row, names in found.values():
        order = [known[f"glacierlab.{name}"].name for name in row.get("names", ())]
        names.sort(key=lambda each, order=order: order.index(each.name) if each.name in order else len(order))
    return found


def group_page(group, names):
    """A group's page: its names with their first sentence."""
    rows = "\n".join(f"| [`{each.short}`]({each.name}.md) | {line_of(each)} |" for each in names)
    listed = "\n".join(each.name for each in names)
    return (
        f"# {group['title']}\n\n{group['text']}\n\n| | |\n| --- | --- |\n{rows}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )


def line_of(each):
    """What a thing is, on one line of a table."""
    text = each.summary if each.kind != "data" else data_summary(each)
    return text.replace("|", "\\|").replace("``", "`")


def overview():
    """All groups with all their names, for the API's front page."""
    text = ""
    for key, (group, names) in groups().items():
        links = ", ".join(f"[`{each.short}`](generated/{each.name}.md)" for each in names)
        text += f"## [{group['title']}](generated/group-{key}.md)\n\n{group['text']}\n\n{links}\n\n"
    listed = "\n".join(f"generated/group-{key}" for key in groups())
    return f"{text}```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


# ---- one name


def page_of(each, users):
    """A name's page: what it is, from its docstring, and where it is used."""
    names = [name.replace("glacierlab", "gl", 1) for name in each.also if name.count(".") <= 2]
    names += [f"{METHOD_OF[m.of]}.glacier.{m.name}" for m in accessor_methods() if m.function is each.value]
    text = f"# {each.short}\n\n"
    if names:
        text += f"Also: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}\n\n"
    text += documented(each)
    if users:
        text += "\n## Used in\n\n" + "".join(f"- {user}\n" for user in users)
    return text


METHOD_OF = {"scene": "scene", "raster": "raster"}


def documented(each):
    """The directive that brings the docstring in."""
    if each.kind == "data":
        return f"```{{py:data}} {each.name}\n\n{data_text(each)}\n```\n"
    directive = {"function": "autofunction", "class": "autoclass", "exception": "autoexception"}[each.kind]
    options = "   :members:\n" if each.kind == "class" else ""
    return f"```{{eval-rst}}\n.. {directive}:: {each.name}\n{options}```\n"


def data_summary(each):
    """What a table or a constant is, in a line."""
    value = each.value
    if isinstance(value, dict):
        kind = next((type(row).__name__ for row in value.values()), "")
        of = f", rows of `{kind}`" if kind[:1].isupper() else ""
        return f"A table of {len(value)} entries{of}."
    return f"`{value!r}`" if len(repr(value)) < 80 else f"A {type(value).__name__} of {len(value)}."


def data_text(each):
    text = data_summary(each)
    short = each.name.rpartition(".")[2]
    if short in TABLE_OF:
        text += f" [The table](../{TABLE_OF[short]}.md)."
    elif isinstance(each.value, dict):
        text += f" Keys: {', '.join(f'`{key}`' for key in each.value)}."
    return text


def users_of():
    """Links to the lessons, pages and figures that use a name, by the name."""
    found = defaultdict(list)
    for path in [*lessons(), *pages(), *figures()]:
        if path.name in ("README.md", "index.md"):
            continue
        for name in used_in(path):
            found[name].append(f"[{title_of(path)}](../../{in_docs(path)})")
    return found


def in_docs(path):
    page = LESSONS / path.relative_to(NOTEBOOKS) if path.suffix == ".ipynb" else path
    if path.suffix == ".py":
        page = path.parent / "generated" / f"{path.stem}.md"
    return page.relative_to(DOCS).as_posix()


def title_of(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
        prefix = "Lesson " if path.parent == NOTEBOOKS else "Paper: "
    elif path.suffix == ".py":
        return f"Figure: {read(path).title}"
    else:
        prefix = ""
    first = next(line for line in text.splitlines() if line.startswith("# "))
    return prefix + first[2:].strip()


# ---- the accessor


def accessor_tables():
    """Methods of `.glacier` on scenes and on rasters, with the function that each is."""
    text = ""
    titles = {
        "scene": "On a scene or prediction (`xarray.Dataset`)",
        "raster": "On one raster (`xarray.DataArray`)",
    }
    names = {id(each.value): each for each in public().values()}
    for of, title in titles.items():
        text += (
            f"## {title}\n\n:::{{div}} told\n\n| method | what it does | function |\n| --- | --- | --- |\n"
        )
        for method in (each for each in accessor_methods() if each.of == of):
            each = names[id(method.function)]
            taken = called(method.function)
            text += f"| `.glacier.{method.name}({taken})` | {line_of(each)} "
            text += f"| [`{each.short}`](generated/{each.name}.md) |\n"
        text += "\n:::\n\n"
    return text


def called(function):
    """The arguments of a method without defaults, and `…` for the rest."""
    _, *rest = inspect.signature(function).parameters.values()
    plain = [
        each.name for each in rest if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    return ", ".join([*plain, *(["…"] if len(rest) > len(plain) else [])])


# ---- examples


def without_example():
    """Public functions and classes that no example shows that runs: their own, a lesson's or a page's."""
    shown = set().union(*(used_in(path) for path in [*lessons(), *run_pages(), *figures()]))
    return sorted(
        each.name
        for each in public().values()
        if each.kind in ("function", "class")
        and each.part != "tables"
        and not has_example(each)
        and each.name not in shown
    )


def run_pages():
    """Pages whose Python a test runs: test_readme.py, test_docs_pages.py, test_docs_inventories.py."""
    parts = [path for path in pages() if path.parent.name in ("howto", "explanation")]
    return [ROOT / "README.md", DOCS / "inventories.md", *parts]
