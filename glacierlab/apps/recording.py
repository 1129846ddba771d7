"""What a review did and where it is kept: the trail, the journal, the file."""

from hashlib import blake2b
from pathlib import Path

from ..change.matching import some
from ..errors import InventoryError, warn
from ..io.write import whole_file, write_outlines
from .editing import REJECTED
from .journal import entry_of, print_of
from .rows import REVIEW_ID
from .saving import GeoPackage


class Record:
    """The acts of a review, and its outlines as the file has them.

    Parameters
    ----------
    rows : dict of str to Outline
        As they are when the review begins.
    crs : pyproj.CRS
    file : GeoPackage, optional
    journal : Journal, optional
    """

    def __init__(self, rows, crs, file=None, journal=None):
        self.base, self.crs, self.file, self.journal = dict(rows), crs, file, journal
        self.past = [] if file is None else file.trail()  # lines of the trail that the file holds
        self.new = []  # lines that it does not hold yet

    def note(self, act, when, who):
        """Note an act that was done."""
        self.new += act.lines(when, who)
        if self.journal is not None:
            self.journal.append(entry_of(act, when, who), self._header)

    def _header(self):
        return {"crs": self.crs.to_wkt(), "outlines": fingerprint(self.base)}

    # ---- saving ----

    def save(self, rows, path, overwrite, whole):
        """Write what changed to the file or a new one; {id: Outline or None} of what others changed there.

        `whole()` is a table of all outlines, with rejected ones, for a file that is made anew.
        """
        target = self.target(path)
        changes = self.changes(rows)
        others = {}
        if self.file is not None and target == self.file.path:
            others = self.file.write(changes, self.base, self.new, overwrite, len(self.past))
        else:
            self.file = self._made(target, rows, changes, whole)
        self.past, self.new = self.file.trail(), []  # with the lines of others
        self.base = {one: row for one, row in {**rows, **others}.items() if row is not None}
        if self.journal is not None:
            self.journal.clear()
        return others

    def changes(self, rows):
        """{id: Outline, None of one that is no more} of what is not as the file has it."""
        return {one: rows.get(one) for one in {**self.base, **rows} if rows.get(one) != self.base.get(one)}

    def reshaped(self, rows):
        """How many outlines have another shape than in the file."""
        base = ((row, self.base.get(one)) for one, row in self.changes(rows).items() if row is not None)
        return sum(old is None or old.geometry != row.geometry for row, old in base)

    def target(self, path):
        """The file to save to; InventoryError where it cannot be."""
        if path is None and self.file is None:
            raise InventoryError("These outlines are of no file: save('name.gpkg').")
        target = self.file.path if path is None else Path(path).expanduser()
        if self.file is not None and target.absolute() == self.file.path.absolute():
            return self.file.path
        if target.suffix.lower() != ".gpkg":
            raise InventoryError(f"{target.name} is no GeoPackage, which keeps a review: save('name.gpkg').")
        if target.exists():
            raise InventoryError(
                f"{target} is there already: take a new name, or review that file with path=."
            )
        return target

    def _made(self, target, rows, changes, whole):
        """A new file: a copy of the old one with the changes, or all anew where there is none."""
        with whole_file(target) as temporary:
            if self.file is not None and self.file.path.exists():
                file = self.file.copied_to(temporary)
                file.write(changes, self.base, self.new, changes, len(self.past))
            else:
                table = whole()
                write_outlines(table, temporary)
                file = GeoPackage.of(temporary, None, table, [*table[REVIEW_ID]])
                away = {one: row for one, row in rows.items() if row.status == REJECTED}
                file.write(away, away, self.past + self.new)
        file.path = target
        return file

    # ---- what killed sessions left ----

    def waiting(self):
        """Journals of the analyst's ended sessions: [(path, header, acts that no trail holds)]."""
        analyst = self.journal.analyst if self.journal is not None else ""
        return [each for each in self.left() if each[1].get("analyst") == analyst]

    def left(self):
        """Those of everybody."""
        done = {(line["when"], line["who"]) for line in [*self.past, *self.new]}
        fresh = lambda entry: (entry.get("when"), entry.get("who")) not in done
        left = [] if self.journal is None else self.journal.left()
        return [(path, header, [*filter(fresh, entries)]) for path, header, entries in left]

    def fitting(self, rows):
        """Those whose acts fit the rows (live) as they are: (path, acts); others are told and kept."""
        for path, header, entries in self.waiting():
            if strange := strangers(entries, rows):
                crs = header.get("crs") != self.crs.to_wkt()
                warn(
                    f"{path} holds {len(entries)} acts on outlines that are not as they were then "
                    f"({'the CRS is another' if crs else some(strange)}): none is done and it is kept. "
                    "Review the file that it belongs to, or remove it."
                )
                continue
            if entries and header.get("outlines") != fingerprint(self.base):
                warn(
                    f"{header.get('file')} was changed since {header.get('begun')}: {len(entries)} acts are "
                    "done again on outlines that are as they were then. Look at them before you save."
                )
            yield path, entries


def fingerprint(rows):
    """What tells outlines from others."""
    said = blake2b(digest_size=12)
    for one, row in rows.items():
        said.update(f"{one}\0{print_of(row)}".encode())
    return said.hexdigest()


def strangers(entries, rows):
    """Ids of a journal's rows that are not as they were when it began."""
    first = {}
    for entry in entries:
        for one, was in entry["was"].items():
            first.setdefault(one, was)
    return [one for one, was in first.items() if print_of(rows.get(one)) != was]
