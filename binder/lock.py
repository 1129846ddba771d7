"""The exact versions that the tests ran with: `python binder/lock.py` writes environment-locked.yml.

Run it in an environment where everything was just tested. It follows glacierlab and its extras for users
through what the installed packages themselves ask for; what only other systems need (pywin32) stays open.
"""

import platform
import re
import sys
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKED = ROOT / "environment-locked.yml"
SYSTEM = re.compile(r"\b(sys_platform|platform_system|platform_machine|os_name)\b")
HEAD = """\
# The versions that glacierlab was tested with: {system}, Python {python}, written by binder/lock.py.
# For a class where every machine shall be alike: `conda env create -f environment-locked.yml`.
# Python and pip come from conda, all else from pip, as it was tested; other bounds: environment.yml.
name: glacierlab-locked
channels:
  - conda-forge
dependencies:
  - python ={minor}
  - pip
  - pip:
"""


def pins(root="glacierlab", extra="all"):
    """Exact versions of what a package and one of its extras ask for, here.

    Returns
    -------
    dict of str to str
        "==1.2.3" by canonical name, in alphabetical order; with a marker where it is for some systems alone,
        as the libraries of CUDA are.
    """
    found, asked = {}, set()
    todo = [(root, extra, None)]
    while todo:
        name, extra, system = todo.pop()
        for line in distribution(name).requires or ():
            need = Requirement(line)
            if need.marker and not need.marker.evaluate({"extra": extra}):
                continue
            key = canonicalize_name(need.name)
            own = system or system_of(need.marker)
            if key != root:
                known = found.get(key, own)
                found[key] = own if known is not None else None  # needed everywhere if anyone says so
            for inner in ("", *need.extras):
                step = (key, inner, own)
                if step not in asked:
                    asked.add(step)
                    todo.append(step)
    tail = lambda system: f' ; sys_platform == "{sys.platform}"' if system else ""
    return {key: f"=={version(key)}{tail(found[key])}" for key in sorted(found)}


def system_of(marker):
    """Whether a marker chooses systems: the marker itself, None if it does not."""
    told = str(marker or "")
    return told if SYSTEM.search(told) and not everywhere(marker) else None


def everywhere(marker):
    """Whether a marker holds on the three systems that people have."""
    systems = [("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt")]
    keys = ("sys_platform", "platform_system", "os_name")
    texts = [dict(zip(keys, each, strict=True)) | {"extra": ""} for each in systems]
    return all(Marker(str(marker)).evaluate(text) for text in texts)


def locked():
    """The text of the conda file."""
    minor = ".".join(platform.python_version_tuple()[:2])
    head = HEAD.format(system=platform.system(), python=platform.python_version(), minor=minor)
    lines = [f"      - {name}{pin}\n" for name, pin in pins().items()]
    return head + "".join(lines) + "      - -e .\n"


if __name__ == "__main__":
    part = LOCKED.with_name(LOCKED.name + ".part")
    part.write_text(locked(), encoding="utf-8")
    part.replace(LOCKED)
    print(f"{LOCKED.name}: {len(pins())} packages")
