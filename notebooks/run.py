"""Run the lessons headless and measure them: `make notebooks`.

Each lesson runs from top to bottom in an empty folder, without a way to the network, on two cores at most and
with one thread of torch. The executed copy goes to notebooks/executed/, the cost to notebooks/costs.csv. A
lesson whose executed copy has the same cells is not run again; --again runs it, as after a change of the
package.
"""

import argparse
import csv
import json
import os
import platform
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
import psutil
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError

FOLDER = Path(__file__).parent
EXECUTED, COSTS = FOLDER / "executed", FOLDER / "costs.csv"
MOST_S, MOST_MB, CORES = 180, 1800, 2
CELL_S = 600  # after which a cell hangs
QUIET = ["--IPKernelApp.log_level=40"]  # of the kernel: errors alone
LOOK_S = 0.1  # between two looks at the memory
NOWHERE = "http://127.0.0.1:9"  # a proxy that answers nothing
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
OFFLINE |= {"NO_PROXY": "", "no_proxy": "", "HF_HUB_OFFLINE": "1"}
STEADY = {"OMP_NUM_THREADS": "1"}  # the slower choice, which does not depend on what else runs
COLUMNS = ["lesson", "seconds", "peak_mb", "cores", "python", "system", "date"]


@dataclass(frozen=True)
class Cost:
    """What a lesson took: wall clock [s] and the peak of resident memory of all its processes [MB]."""

    seconds: float
    peak_mb: float

    def over(self):
        """What is above the budget, in words; empty where nothing is."""
        found = []
        if self.seconds > MOST_S:
            found.append(f"{self.seconds:.0f} s are more than {MOST_S} s")
        if self.peak_mb > MOST_MB:
            found.append(f"{self.peak_mb:,.0f} MB are more than {MOST_MB:,} MB")
        return " and ".join(found)

    def __str__(self):
        return f"{self.seconds:6.1f} s {self.peak_mb:7,.0f} MB"


class LessonFailed(Exception):
    """A cell failed that should not, or did not that should."""


# ---- one lesson


def lessons():
    """Paths of all lessons by name: "01_first_outlines", "papers/chen2022"."""
    paths = [*sorted(FOLDER.glob("*.ipynb")), *sorted((FOLDER / "papers").glob("*.ipynb"))]
    return {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in paths}


def run(notebook, folder, **environment):
    """Execute a notebook in place, offline, and measure it.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Its outputs are written into it.
    folder : path
        Where it runs, an empty one.
    **environment : str
        Further environment variables.

    Returns
    -------
    Cost
        Seconds with the start of the kernel; memory as `Peak` sees it.

    Raises
    ------
    LessonFailed
        A cell raised and is not tagged `raises-exception`, is so tagged and did not, or the kernel died.
    """
    client = NotebookClient(
        notebook,
        timeout=CELL_S,
        record_timing=False,
        extra_arguments=QUIET,
        resources={"metadata": {"path": str(folder)}},
    )
    start = time.perf_counter()
    try:
        with Peak(client) as peak:
            client.execute(env=os.environ | OFFLINE | STEADY | environment)
    except (
        CellControlSignal,
        DeadKernelError,
        NoSuchKernel,
    ) as error:  # a cell failed or hangs, the kernel died
        raise LessonFailed(str(error).strip()) from error
    finally:
        seconds = time.perf_counter() - start
    for cell in notebook.cells:
        meant = "raises-exception" in cell.metadata.get("tags", [])
        if meant and not any(output.output_type == "error" for output in cell.outputs):
            raise LessonFailed(f"The cell {cell.id!r} was meant to fail, and did not.")
    return Cost(seconds, peak.mb)


class Peak:
    """The highest resident memory of a client's kernel and of all processes that it starts.

    Looked at every 0.1 s: what the kernel holds, and what each other process holds alone, for the pages of
    libraries that they share lie in memory once. On Linux never less than the kernel's own high-water mark,
    which the system keeps.
    """

    def __init__(self, client):
        self.client, self.done, self.mb = client, threading.Event(), 0.0
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.watcher.join()

    def watch(self):
        while not self.done.wait(LOOK_S):
            if pid := getattr(getattr(self.client.km, "provisioner", None), "pid", None):
                with suppress(psutil.Error, OSError):
                    self.mb = max(self.mb, resident(pid), high_water(pid))


def resident(pid):
    """Memory of a process and what its descendants hold beside [MB]."""
    kernel = psutil.Process(pid)
    total = kernel.memory_info().rss
    for process in kernel.children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            total += process.memory_full_info().uss
    return total / 1e6


def high_water(pid):
    """The most that a process itself ever held [MB]; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines.get("VmHWM", "0 kB").split()[0]) * 1024 / 1e6


# ---- all of them


def sources(notebook):
    """What decides the outcome of a notebook: its cells, without outputs."""
    return [(cell.id, cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def executed_path(name):
    """Where the executed copy of a lesson lies, or would."""
    return EXECUTED / f"{name}.ipynb"


def executed(name):
    """The executed copy of a lesson, None where there is none of the same cells."""
    path = executed_path(name)
    if not path.exists():
        return None
    copy, lesson = (nbformat.read(each, as_version=4) for each in (path, lessons()[name]))
    return copy if sources(copy) == sources(lesson) else None


def replace(path, text):
    """Write a text file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def costs():
    """Rows of `costs.csv` by lesson."""
    if not COSTS.exists():
        return {}
    with COSTS.open(encoding="utf-8", newline="") as file:
        return {row["lesson"]: row for row in csv.DictReader(file)}


def keep(name, cost):
    """Write the row of a lesson into `costs.csv`; rows of lessons that are gone go."""
    row = dict(
        lesson=name, seconds=f"{cost.seconds:.1f}", peak_mb=f"{cost.peak_mb:.0f}", cores=cores(),
        python=platform.python_version(), system=f"{platform.system()} {platform.machine()}",
        date=date.today(),
    )  # fmt: skip
    rows = costs() | {name: row}
    lines = [",".join(str(rows[each][column]) for column in COLUMNS) for each in lessons() if each in rows]
    replace(COSTS, "\n".join([",".join(COLUMNS), *lines, ""]))


def cores():
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count()


def run_and_keep(name, path):
    """Run a lesson, keep its copy and its cost."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        cost = run(notebook, folder)
        text = nbformat.writes(notebook)
        for here in (folder, FOLDER.parent):  # what a cell tells of files is read elsewhere
            text = text.replace(json.dumps(os.path.join(here, ""))[1:-1], "")
    replace(executed_path(name), text)
    keep(name, cost)
    return cost


def verdict(name, path, again):
    """Run a lesson unless that was done before; a line that says how it went, and whether well."""
    known = costs().get(name)
    try:
        if again or known is None or executed(name) is None:
            cost, told = run_and_keep(name, path), ""
        else:
            cost, told = Cost(float(known["seconds"]), float(known["peak_mb"])), f"  (of {known['date']})"
    except LessonFailed as failure:
        return f"FAILED\n{failure}", False
    over = cost.over()
    return f"{cost}{told}" + (f"  TOO MUCH: {over}" if over else ""), not over


def chosen(names):
    """Paths by name of the lessons asked for, all without a name; a name may be cut short: "04", "papers"."""
    found = lessons()
    if unknown := [each for each in names if not any(name.startswith(each) for name in found)]:
        raise SystemExit(f"There is no lesson {', '.join(unknown)}. There are: {', '.join(found)}.")
    return {name: path for name, path in found.items() if not names or name.startswith(tuple(names))}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="which: 04, 01_first_outlines, papers; all without a name")
    parser.add_argument(
        "--again", action="store_true", help="also those whose executed copy has the same cells"
    )
    asked = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    print(f"{cores()} cores, one thread of torch; at most {MOST_S} s and {MOST_MB:,} MB each", flush=True)
    bad = []
    for name, path in chosen(asked.names).items():
        print(f"{name:<32} ", end="", flush=True)
        line, well = verdict(name, path, asked.again)
        print(line, flush=True)
        bad += [] if well else [name]
    if bad:
        print(f"{len(bad)} not within the budget or failed: {', '.join(bad)}", file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
