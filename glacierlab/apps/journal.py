"""What a session did, on disk at once: a line of JSON an act, read again when the session was killed."""

import json
import os
import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from pathlib import Path
from weakref import WeakValueDictionary

import psutil
import shapely

from ..errors import InventoryError, warn
from .editing import Act, Outline, area_km2, require_polygon

ENDING = "review.jsonl"
FORMAT = 1
OTHER = re.compile(r"[^A-Za-z0-9_-]+")  # what not every system has in a file's name
LONGEST = 60, 120  # letters of an analyst's name, and bytes of a file's, in a journal's name
FIELDS = ("klass", "status", "by", "at", "reason", "parent")
OPEN = WeakValueDictionary()  # journals of this process's living sessions, by path


def safe_name(name):
    """An analyst's name as part of a file's name, on any system; different names stay different.

    >>> safe_name("Ana"), safe_name("../Zoë")
    ('Ana', 'Zoe-c844')
    """
    name = unicodedata.normalize("NFC", str(name))
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    safe = OTHER.sub("-", plain).strip("-_")[: LONGEST[0]]
    return safe if safe == name and safe else f"{safe or 'nobody'}-{mark(name)}"


def cut(text, size):
    return text.encode(errors="ignore")[:size].decode(errors="ignore")


def mark(text):
    """Four letters that tell texts apart."""
    return blake2b(text.encode(errors="backslashreplace"), digest_size=2).hexdigest()


class Journal:
    """The acts of one session that no file holds yet.

    The file is made with the first act and is this session's alone: another session of the same analyst makes
    one with a number. It is removed when all is saved.

    Parameters
    ----------
    folder : path
    name : str
        Of the file that is reviewed.
    analyst : str
    """

    def __init__(self, folder, name, analyst):
        self.folder, self.name, self.analyst, self.path = Path(folder), str(name), str(analyst), None
        self._pending, self._told, self._file, self._size = [], False, None, 0

    @property
    def file_stem(self):
        """How the names of all journals of the file begin."""
        name = self.name
        return name if len(name.encode(errors="ignore")) <= LONGEST[1] else f"{cut(name, 100)}-{mark(name)}"

    @property
    def stem(self):
        """How the names of this analyst's journals of the file begin."""
        return f"{self.file_stem}.{safe_name(self.analyst)}"

    # ---- writing ----

    def append(self, entry, header):
        """Write an act; where that fails it is told once, and tried again with the next act.

        `header` is called for what is said of the outlines before the first act.
        """
        if self._file is None and not self._pending:
            self._pending.append(self._first() | header())
        self._pending.append(entry)
        lines = b"".join(json.dumps(each).encode() + b"\n" for each in self._pending)
        try:
            if self._file is None:
                self._begin()
            if os.write(self._file, lines) < len(lines):
                raise OSError("no space is left")
            os.fsync(self._file)
        except OSError as error:
            if self._file is not None:
                with suppress(OSError):
                    os.ftruncate(self._file, self._size)  # no half a line
            if not self._told:
                warn(f"Edits are not kept in {self.folder} ({error.strerror or error}): save often, or give "
                     "journal=, a folder that can be written.")  # fmt: skip
            self._told = True
            return
        self._size += len(lines)
        self._pending, self._told = [], False

    def _first(self):
        process = psutil.Process()
        return {
            "journal": FORMAT,
            "file": self.name,
            "analyst": self.analyst,
            "begun": datetime.now(UTC).isoformat(timespec="microseconds"),
            "process": [process.pid, process.create_time()],
        }

    def _begin(self):
        """Make a file of our own, under the first free name."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        for number in count(1):
            path = self.folder / f"{self.stem}.{f'{number}.' if number > 1 else ''}{ENDING}"
            try:
                self._file = os.open(path, flags, 0o600)
            except FileExistsError:
                continue
            self.path, self._size = path, 0
            OPEN[str(path.absolute())] = self
            return

    def clear(self):
        """All is saved: nothing needs to be recovered."""
        self.close()
        if self.path is not None:
            removed(self.path)
        self.path, self._pending = None, []

    def close(self):
        """End the session; what is not saved stays in the file."""
        if self._file is not None:
            os.close(self._file)
            OPEN.pop(str(self.path.absolute()), None)
        self._file = None

    def __del__(self):
        self.close()

    # ---- what others left ----

    def left(self):
        """Journals of this file's sessions that have ended, the oldest first: [(path, header, entries)]."""
        found = []
        for path in sorted(self.folder.glob("*." + ENDING), key=lambda path: path.name):
            if path == self.path or not path.name.startswith(f"{self.file_stem}."):
                continue
            header, entries = read_journal(path)
            if header.get("file") == self.name and not living(header, path):
                found.append((path, header, entries))
        return sorted(found, key=lambda each: str(each[1].get("begun")))


def living(header, path):
    """Whether the session that writes a journal still runs."""
    try:
        pid, started = header["process"]
        if pid == os.getpid():
            return str(path.absolute()) in OPEN
        return abs(psutil.Process(pid).create_time() - started) < 1
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False


def removed(path):
    """Take a journal away whose acts are kept elsewhere; one that has to stay does no harm."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def read_journal(path):
    """(header, entries) of a journal; a last line that is cut, or all from a broken one on, left out.

    Nothing of what is gone meanwhile, or belongs to another user of the machine who lets nobody read it.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")  # what follows the last end of line is cut, or nothing
    except OSError:
        return {}, []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            if number > 1:
                require_entry(said)
            found.append(said)
        except (ValueError, RecursionError):
            warn(f"Line {number} of {path.name} cannot be read: it and all after it are left out.")
            break
    if not found or not isinstance(found[0], dict) or found[0].get("journal") != FORMAT:
        return {}, []
    return found[0], found[1:]


# ---- acts as lines ----


def entry_of(act, when, who):
    """An act as JSON: what is new in each row, and what tells each row as it was."""
    rows = {one: changed(act.before[one], row) for one, row in act.after.items()}
    was = {one: print_of(row) for one, row in act.before.items()}
    return {"when": when, "who": who, "what": act.what, "rows": rows, "was": was}


def changed(before, after):
    """The fields of a row that differ from what it was; None of a row that is no more."""
    if after is None:
        return None
    new = {name: getattr(after, name) for name in FIELDS}
    if before is not None:
        new = {name: value for name, value in new.items() if value != getattr(before, name)}
    if before is None or before.geometry != after.geometry:
        new["wkb"] = shapely.to_wkb(after.geometry, hex=True)
    return new


def require_entry(said):
    """ValueError unless a line says what `entry_of` says."""
    parts = {"when": str, "who": str, "what": str, "rows": dict, "was": dict}
    if not isinstance(said, dict) or not all(
        isinstance(said.get(name), kind) for name, kind in parts.items()
    ):
        raise ValueError("no act")


def act_of(entry, rows, crs):
    """The act of an entry on rows as they are; InventoryError where it says nothing that could be one."""
    try:
        before = {one: rows.get(one) for one in entry["rows"]}
        after = {one: row_of(before[one], new, crs) for one, new in entry["rows"].items()}
        return Act(str(entry["what"]), before, after)
    except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.ShapelyError) as error:
        raise InventoryError(f"A line of the journal is no act: {error!r:.200}.") from error


def row_of(before, new, crs):
    """A row of what it was and what is new."""
    if new is None:
        return None
    known = {} if before is None else {"geometry": before.geometry, "area_km2": before.area_km2}
    known |= {} if before is None else {name: getattr(before, name) for name in FIELDS}
    known |= {name: None if new[name] is None else str(new[name]) for name in FIELDS if name in new}
    if "wkb" in new:
        geometry = require_polygon(shapely.from_wkb(new["wkb"]))
        known |= {"geometry": geometry, "area_km2": area_km2(geometry, crs)}
    return Outline(**known)


def print_of(row):
    """What tells a row from another; None of none."""
    if row is None:
        return None
    parts = shapely.get_parts(row.geometry)  # one part is the same whether a file calls it several or not
    said = blake2b(b"".join(shapely.to_wkb(parts)), digest_size=12)
    said.update(f"{row.klass}\0{row.status}".encode())
    return said.hexdigest()
