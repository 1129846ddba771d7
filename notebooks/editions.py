"""Two editions of every lesson from one source: for students without solutions, for teachers with them open.

    python notebooks/editions.py student FOLDER
    python notebooks/editions.py teacher FOLDER

Pictures go beside the lessons, into `images/`, so that the folder can be carried away. In the teacher's
edition cells have results where `make notebooks` ran them.
"""

import argparse
import re
import shutil
from copy import deepcopy
from pathlib import Path

import nbformat
from run import FOLDER, executed, lessons, replace

EDITIONS = ("student", "teacher")
PICTURE = re.compile(r"(!\[[^\]]*\]\()([^)\s]+)(\))")
OTHER = re.compile(r"(?<!!)(\[[^\]]*\]\()((?:\.\./)+[^)\s]+)(\))")  # a link to a page beside the lessons
FOLDED = "Under each exercise lies a folded solution."
ASK = "The solutions are with your teacher."


def student(notebook):
    """A copy without solutions and without results.

    Parameters
    ----------
    notebook : nbformat.NotebookNode

    Returns
    -------
    nbformat.NotebookNode
    """
    made = deepcopy(notebook)
    made.cells = [cell for cell in made.cells if "solution" not in tags(cell)]
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = cell.source.replace(FOLDED, ASK)
    return made


def teacher(notebook):
    """A copy whose solutions are open; results stay."""
    made = deepcopy(notebook)
    for cell in made.cells:
        if "solution" in tags(cell):
            cell.metadata.get("jupyter", {}).pop("source_hidden", None)
    return made


def tags(cell):
    return cell.metadata.get("tags", [])


def edition(name, kind):
    """A lesson by name in one edition, and the pictures that its text shows, by their name in `images/`."""
    path = lessons()[name]
    ran = executed(name) if kind == "teacher" else None
    notebook = {"student": student, "teacher": teacher}[kind](ran or nbformat.read(path, as_version=4))
    up, pictures = "../" * name.count("/"), {}

    def carried(match):
        source = (path.parent / match[2]).resolve()
        if not source.is_file():
            return match[0]
        pictures[source.name] = source
        return f"{match[1]}{up}images/{source.name}{match[3]}"

    def unlinked(match):
        target = (path.parent / match[2].partition("#")[0]).resolve()
        return match[0] if target in lessons().values() else match[1][1:-2]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = OTHER.sub(unlinked, PICTURE.sub(carried, cell.source))
    return notebook, pictures


def write(kind, folder):
    """Write all lessons in one edition into a folder; returns their paths.

    Parameters
    ----------
    kind : {"student", "teacher"}
    folder : path

    Returns
    -------
    list of pathlib.Path
    """
    paths = []
    for name in lessons():
        notebook, pictures = edition(name, kind)
        paths.append(Path(folder) / f"{name}.ipynb")
        replace(paths[-1], nbformat.writes(notebook) + "\n")
        (Path(folder) / "images").mkdir(exist_ok=True)
        for picture, source in pictures.items():
            shutil.copyfile(source, Path(folder) / "images" / picture)
    return paths


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("edition", choices=EDITIONS)
    parser.add_argument("folder", help="to write into, not that of the lessons themselves")
    asked = parser.parse_args(arguments)
    if Path(asked.folder).resolve() == FOLDER.resolve():
        parser.error("this folder holds the lessons themselves: name another")
    print(f"{len(write(asked.edition, asked.folder))} lessons in {asked.folder}")


if __name__ == "__main__":
    main()
