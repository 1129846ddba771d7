"""The lessons as pages: copied with mended links, with results where they were run; and their table."""

import csv
import json
import re
from pathlib import Path

from links import DOCS, LESSONS, NOTEBOOKS, mended, write
from uses import lessons

EXECUTED = NOTEBOOKS / "executed"
LIVE = {  # outputs that need a kernel or scripts from elsewhere: progress bars and what loads an app
    "application/javascript",
    "application/vnd.holoviews_load.v0+json",
    "application/vnd.jupyter.widget-view+json",
}
NOT_RUN = (
    "```{note}\nThis page shows the lesson without its results: `make notebooks` runs every lesson, and "
    "`make docs` then shows what came out. In JupyterLab (`make lab`) the results appear as you go.\n```"
)


def copy_lessons():
    """Write every lesson into docs/course/lessons/, and remove pages of lessons that are gone."""
    wanted = {LESSONS / path.relative_to(NOTEBOOKS): path for path in lessons()}
    for page in set(LESSONS.rglob("*.ipynb")) - set(wanted):
        page.unlink()
    for page, path in wanted.items():
        write(page, json.dumps(as_page(path, page), ensure_ascii=False, indent=1) + "\n")
    write(DOCS / "course" / "lessons" / "table.md", table(wanted.values()))


def as_page(path, page):
    """A lesson as notebook of the site."""
    lesson, run = json.loads(path.read_text(encoding="utf-8")), executed(path)
    notebook = run or lesson
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = mended("".join(cell["source"]), path, page)
        elif "solution" in (tags := cell["metadata"].setdefault("tags", [])) and "hide-input" not in tags:
            tags += [tag for tag in ("hide-cell",) if tag not in tags]
        if cell["cell_type"] == "code":
            cell["outputs"] = [each for each in cell["outputs"] if not LIVE & set(each.get("data", ()))]
    notebook["metadata"].pop("widgets", None)
    if not run:
        notebook["cells"].insert(
            1, {"cell_type": "markdown", "id": "not-run", "metadata": {}, "source": NOT_RUN}
        )
    return notebook


def executed(path):
    """The lesson as `make notebooks` ran it; None where it was not, or has changed since."""
    copy = EXECUTED / path.relative_to(NOTEBOOKS)
    if not copy.exists():
        return None
    run, lesson = (json.loads(each.read_text(encoding="utf-8")) for each in (copy, path))
    sources = [["".join(cell["source"]) for cell in each["cells"]] for each in (run, lesson)]
    return run if sources[0] == sources[1] else None


# ---- the table of the course


def table(paths):
    """The table of all lessons, and of the papers', in Markdown."""
    costs = measured()
    rows = [row(path, costs) for path in paths if path.parent == NOTEBOOKS]
    papers = [row(path, costs) for path in paths if path.parent != NOTEBOOKS]
    text = as_markdown(rows, costs)
    if papers:
        text += "\n## The papers, one by one\n\n"
        text += "Each runs the whole protocol of a paper at small scale, and sets our table beside the "
        text += "published one.\n\n" + as_markdown(papers, costs, "paper", "asks")
    pages = [path.relative_to(NOTEBOOKS).with_suffix("").as_posix() for path in paths]
    return text + "\n```{toctree}\n:hidden:\n\n" + "\n".join(f"lessons/{page}" for page in pages) + "\n```\n"


def as_markdown(rows, costs, first="lesson", second="you learn to"):
    """Rows as a table; what the code costs is a column where it was measured."""
    heads = [first, second, "time", "needs"] + ["code alone, measured"] * bool(costs)
    lines = [heads, ["---"] * len(heads), *rows]
    lines = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f":::{{div}} course\n\n{lines}\n\n:::\n"


def row(path, costs):
    """Lesson, what one learns, time, needs and measured cost."""
    opening = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    title = re.search(r"^# (.+)$", opening, re.MULTILINE)[1]
    page = path.relative_to(NOTEBOOKS).as_posix()
    time = re.split(r" with |;", first_sentence(part(opening, "Time")))[0]
    needs = first_sentence(part(opening, "Needs")).partition(";")[0]
    cells = [f"[{title}](lessons/{page})", learned(opening), time, needs]
    if costs:
        cost = costs.get(path.stem)
        cells.append(f"{cost['seconds']:.0f} s, {cost['peak_mb']:,.0f} MB" if cost else "not yet")
    return [cell.replace("|", "\\|") for cell in cells]


def learned(opening):
    """What one does in a lesson, in the words of its goals; of a paper's, the questions it asks."""
    goals = part(opening, "Goals")
    if "*Techniques*:" in goals:
        return goals.rpartition("*Techniques*:")[2].strip().rstrip(".")
    return first_sentence(goals).removeprefix("You will ") or part(opening, "Questions")


def part(opening, name):
    """The paragraph of the opening that begins with a bold name, on one line, without it."""
    found = re.search(rf"^\*\*{name}\*\*[.:]?\s*(.+?)(?:\n\n|\n\*\*|\Z)", opening, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def first_sentence(text):
    return re.split(r"(?<=[.?])\s", text, maxsplit=1)[0].rstrip(".")


def measured():
    """Seconds and peak memory [MB] of each lesson that `make notebooks` measured."""
    path = NOTEBOOKS / "costs.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        Path(each["lesson"]).stem: {name: float(each[name]) for name in ("seconds", "peak_mb")}
        for each in rows
    }
