"""All that a class needs without a network, as one zip in dist/: `make workshop-kit`.

The package as a wheel, the list that a wheelhouse is made of, the locked environment, the lessons in two
editions, each also as pages that need no program but a browser, and the data of the demo. What `make
notebooks` ran before is in the teacher's edition with its results.
"""

import argparse
import base64
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from html import escape
from pathlib import Path

import editions
import nbformat
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from run import FOLDER, costs, executed, lessons

import glacierlab as gl
from glacierlab.errors import SampleError
from glacierlab.io.samples import SAMPLES, fetch

ROOT = FOLDER.parent
sys.path.insert(0, str(ROOT / "binder"))
from lock import locked, pins  # noqa: E402  it lies in binder/

REAL = ("athabasca", "athabasca_outline")
NOWHERE = "http://127.0.0.1:9"  # samples are taken from this machine or left out
FORMULA = re.compile(r"\$([^$\n]+)\$")
LESSON = re.compile(r"(\]\([\w./]+)\.ipynb((?:#[^)\s]*)?\))")  # a link to another lesson
OUTSIDE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^>]*>""")
MODULE = re.compile(
    r'<script type="module">(?:(?!</script>).)*https?://.*?</script>', re.DOTALL
)  # of Mermaid


# ---- the parts


def wheel(folder):
    """Build the package's wheel into a folder; returns its path."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    build = [uv, "build", "--wheel", "-o", folder] if uv else [
        sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder
    ]  # fmt: skip
    done = subprocess.run([*map(str, build), str(ROOT)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"The wheel could not be built:\n{done.stderr}")
    (path,) = Path(folder).glob("*.whl")
    return path


def wheelhouse(name):
    """The list of all packages in the versions tested here, and the wheel itself."""
    return "".join(f"{package}{pin}\n" for package, pin in pins().items()) + f"./{name}\n"


def as_html(path):
    """A lesson as one page that asks for nothing: pictures in it, formulas as pictures, no scripts of others.

    Parameters
    ----------
    path : path
        Of a notebook; its pictures lie where its text says.

    Returns
    -------
    str
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(lambda match: drawn(match[0]), cell.source)
            cell.source = LESSON.sub(r"\1.html\2", cell.source)
        else:
            cell.outputs = [quiet(output, alt_of(cell)) for output in cell.outputs]
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(
        embed_images=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        widget_renderer_url="",
        language_code="en",
    )
    resources = {"metadata": {"path": str(path.parent), "name": title_of(notebook)}}
    text, _ = exporter.from_notebook_node(notebook, resources=resources)
    return OUTSIDE.sub("", MODULE.sub("", text))


def title_of(notebook):
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def drawn(formula):
    """A formula as a picture within the text."""
    picture = io.BytesIO()
    math_to_image(formula, picture, format="svg")
    code = base64.b64encode(picture.getvalue()).decode()
    alt = escape(formula.strip("$"))
    return f'<img alt="{alt}" style="height: 1.3em" src="data:image/svg+xml;base64,{code}">'


def alt_of(cell):
    """What a cell's figure shows, for those who do not see it."""
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def quiet(output, alt):
    """An output without what only a running kernel or a network shows, and with its picture told in words."""
    data = output.get("data", {})
    live = [name for name in data if name.startswith(("application/vnd.", "application/javascript"))]
    for name in live:
        data.pop(name)
    if alt and "image/png" in data:
        picture = data.pop("image/png").replace("\n", "")
        data["text/html"] = f'<img alt="{escape(alt)}" src="data:image/png;base64,{picture}">'
    return output


def add_html(source, notebooks, folder):
    """Write the pages of lessons below a folder `source` into another, and one that lists them."""
    items = []
    for path in notebooks:
        name = path.relative_to(source).with_suffix(".html")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(as_html(path), encoding="utf-8")
        title = title_of(nbformat.read(path, as_version=4))
        items.append(f'<li><a href="{name.as_posix()}">{title}</a></li>')
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>glacierlab: the lessons</title>'
    style = '<body style="font-family: sans-serif; max-width: 40em; margin: 2em auto; line-height: 1.7">'
    (folder / "index.html").write_text(
        f"{head}{style}<h1>The lessons</h1><ul>{''.join(items)}</ul></body></html>\n", encoding="utf-8"
    )


def add_data(folder):
    """The demo's folders, and the real sample where this machine has it; returns whether it has."""
    for dates, name in ((2, "glacierlab-demo"), (12, "glacierlab-demo-12")):
        command = [sys.executable, "-m", "glacierlab", "demo", "--dates", str(dates), "-o", folder / name]
        subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    told = []
    for name in REAL:
        row = SAMPLES[name]
        try:
            found = fetch(name, base_url=NOWHERE, progress=False)
        except SampleError:
            continue
        place = folder / "samples" / row.folder
        place.mkdir(parents=True, exist_ok=True)
        for file in row.files:
            shutil.copyfile(found / file.name, place / file.name)
        told.append(
            f"{row.long_name}\n  License: {row.license}\n  Source: {row.repo} on GitHub, commit {row.commit}"
            f"\n  Cite: {row.citation}\n"
        )
    if told:
        (folder / "samples" / "LICENCES.txt").write_text("\n".join(told), encoding="utf-8")
    return bool(told)


# ---- what the teacher reads


def lesson_rows():
    """The table of lessons: time with the exercises as each says, and what the code alone took here."""
    lines = ["| lesson | with its exercises | code alone | memory |", "|---|---|---|---|"]
    measured = costs()
    for name, path in lessons().items():
        notebook = nbformat.read(path, as_version=4)
        minutes = re.search(r"\*\*Time\*\* (\d+ minutes)", notebook.cells[0].source)
        row = measured.get(name)
        cost = (f"{float(row['seconds']):.0f} s", f"{float(row['peak_mb']):,.0f} MB") if row else ("", "")
        lines.append(f"| {title_of(notebook)} | {minutes[1] if minutes else ''} | {cost[0]} | {cost[1]} |")
    return "\n".join(lines)


def memory_line():
    """What was measured of memory and time, in one sentence."""
    rows = [row for name, row in costs().items() if name in lessons()]
    if not rows:
        return "Memory and time were not measured on this machine: `make notebooks` does."
    peak, seconds = (max(float(row[name]) for row in rows) for name in ("peak_mb", "seconds"))
    return (
        f"Measured over {len(rows)} of {len(lessons())} notebooks on {rows[0]['cores']} cores "
        f"({rows[0]['system']}, Python {rows[0]['python']}): the hungriest takes {peak:,.0f} MB of resident "
        f"memory, with all processes that it starts, and the slowest {seconds:.0f} s, without a network."
    )


def readme(wheel_name, has_sample):
    """The teacher's page."""
    text = (FOLDER / "for_teachers.md").read_text(encoding="utf-8")
    ran = sum(executed(name) is not None for name in lessons())
    sample = (
        "`data/samples/` holds the real scene of lesson 1; point the environment variable `GLACIERLAB_DATA` "
        'at that folder, and `SAMPLE = "athabasca"` needs no network. `LICENCES.txt` there says whose it is.'
        if has_sample
        else "The real scene of lesson 1 is not in this kit, for it was not on the machine that made it; "
        "`glacierlab sample athabasca` fetches it (0.6 MB), and no lesson needs it."
    )  # fmt: skip
    given = dict(
        VERSION=gl.__version__, WHEEL=wheel_name, LESSONS=lesson_rows(), MEASURED=memory_line(),
        SAMPLE=sample,
        RAN=f"{ran} of {len(lessons())}", PYTHON=".".join(map(str, sys.version_info[:2])),
        PACKAGES=str(len(pins())),
    )  # fmt: skip
    for key, value in given.items():
        text = text.replace(f"{{{key}}}", value)
    return text


# ---- the kit


def fill(folder):
    """Put everything into an empty folder, with a line for each step."""
    print("the wheel, and the lists of packages", flush=True)
    built = wheel(folder)
    (folder / "wheelhouse.txt").write_text(wheelhouse(built.name), encoding="utf-8")
    (folder / "environment-locked.yml").write_text(
        locked().replace("- -e .", f"- ./{built.name}"), encoding="utf-8"
    )
    for kind in editions.EDITIONS:
        print(f"the {kind}'s edition", flush=True)
        add_html(folder / kind, editions.write(kind, folder / kind), folder / "html" / kind)
    print("the data of the demo", flush=True)
    has_sample = add_data(folder / "data")
    for name in ("LICENSE", "CITATION.cff"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "README.md").write_text(readme(built.name, has_sample), encoding="utf-8")


def pack(folder, target):
    """Zip a folder under its own name, in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as kit:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            kit.write(path, Path(folder.name) / path.relative_to(folder))
    part.replace(target)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", default=ROOT / "dist", type=Path, help="folder for the zip")
    asked = parser.parse_args(arguments)
    name = f"glacierlab-workshop-{gl.__version__}"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        folder.mkdir()
        fill(folder)
        pack(folder, asked.output / f"{name}.zip")
    print(f"{asked.output / name}.zip: {(asked.output / f'{name}.zip').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
