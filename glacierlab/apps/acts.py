"""What an analyst does to outlines: decisions, edits, and back."""

from dataclasses import replace
from datetime import UTC, datetime

from ..errors import InventoryError
from . import editing
from .editing import GLACIER, REJECTED, Outline, area_km2


class Acts:
    """The part of a `Review` that changes its outlines; each act is signed, and noted by `_noted`.

    It works on `_sheet`, an `editing.Sheet`, for `analyst`.
    """

    # ---- decisions ----

    def accept(self, id, reason=""):
        """Take an outline as it is; one that was rejected comes back.

        Raises
        ------
        InventoryError
            It is invalid.
        """
        editing.require_valid(self._sheet.require(id).geometry, "Acceptance")
        self._decide("accept", id, "accepted", reason)

    def reject(self, id, reason):
        """Take an outline out of the inventory; it is kept, with the reason, and can come back.

        Raises
        ------
        InventoryError
            There is no reason.
        """
        if not str(reason).strip():
            raise InventoryError(f"A rejection needs a reason: say why {id} is no outline of this inventory.")
        self._decide("reject", id, REJECTED, reason)

    def restore(self, id, reason=""):
        """Bring a rejected outline back into the inventory, where it waits for a decision.

        Raises
        ------
        InventoryError
            It is not rejected.
        """
        if self._sheet.require(id).status != REJECTED:
            raise InventoryError(f"{id} is not rejected: there is nothing to bring back.")
        self._decide("restore", id, "", reason)

    def _decide(self, what, id, status, reason):
        row = self._sheet.require(id)
        self._act(what, {id: replace(self._signed(row, status), reason=legible(reason).strip())})

    # ---- edits ----

    def replace(self, id, geometry, what="vertices"):
        """Give an outline another shape, holes and all; an invalid one is kept as drawn, `problems` tells.

        Raises
        ------
        InventoryError
            It is no polygon, is empty, or has corners that are no finite numbers.
        """
        row, geometry = self._sheet.require(id), editing.require_polygon(geometry)
        if geometry != row.geometry:
            self._act(what, {id: self._signed(row, "edited", geometry)})

    def add(self, geometry, klass=None):
        """Add an outline that was drawn; its id. Class: by default the most frequent one."""
        geometry, classes = (
            editing.require_polygon(geometry),
            [row.klass for row in self._sheet.rows.values()],
        )
        klass = klass or (max(set(classes), key=classes.count) if classes else GLACIER)
        new = self._sheet.free_id(f"new-{self._token}", first=1)
        row = Outline(geometry, 0.0, editing.require_class(klass, self.classes))
        self._act("add", {new: self._signed(row, "edited", geometry)})
        return new

    def cut(self, id, line):
        """Cut an outline along a line; ids of the pieces, the largest first, which keeps its own.

        Parts of it that the line does not cross stay with the largest piece.

        Raises
        ------
        InventoryError
            The line cuts nothing, or the outline is invalid.
        """
        row = self._sheet.require(id)
        main, *others = editing.cut_by(row.geometry, line)
        after = {id: self._signed(row, "edited", main)}
        for piece in others:
            new = self._sheet.free_id(id, after)
            after[new] = replace(self._signed(row, "edited", piece), parent=id)
        self._act("cut", after)
        return [*after]

    def remove_hole(self, id, point):
        """Fill the hole that a point lies in. InventoryError where none does."""
        self.replace(id, editing.without_hole(self.geometry(id), point), "fill hole")

    def cut_hole(self, id, polygon):
        """Take a polygon's ground, such as rock, out of an outline. InventoryError where nothing is left."""
        self.replace(
            id, editing.without(self.geometry(id), [editing.require_polygon(polygon)], "A hole"), "cut hole"
        )

    def trim(self, id):
        """Take away what neighbors have of an outline's ground: no overlap is left. Nothing without one."""
        others = [editing.usable(self.geometry(other)) for other in self._sheet.overlaps(id)]
        if others:
            self.replace(id, editing.without(self.geometry(id), others, "A trim"), "trim")

    def repair(self, id):
        """Make an invalid outline valid, as `outlines.qa` does (GEOS's structure method)."""
        if not self.geometry(id).is_valid:
            self.replace(id, editing.repaired(self.geometry(id), self.crs), "repair")

    def reclassify(self, id, klass):
        """Give an outline another class, of `tables.CLASSES` or of the outlines, or UnknownNameError."""
        row = self._sheet.require(id)
        if editing.require_class(klass, self.classes) != row.klass:
            self._act(f"class {klass}", {id: replace(self._signed(row, "edited"), klass=klass)})

    def _signed(self, row, status, geometry=None):
        """The row with a decision of the analyst, now."""
        row = replace(row, status=status, by=self.analyst, at=utc_now(), reason="")
        if geometry is not None:
            row = replace(row, geometry=geometry, area_km2=area_km2(geometry, self.crs))
        return row

    # ---- back and forth ----

    @property
    def can_undo(self):
        return bool(self._sheet.done)

    @property
    def can_redo(self):
        return bool(self._sheet.undone)

    def undo(self):
        """Take the last act back, a decision too; what that was, or None where there is nothing."""
        return self._noted(self._sheet.undo()) if self.can_undo else None

    def redo(self):
        """Do again what was undone last; what that was, or None where there is nothing."""
        return self._noted(self._sheet.redo()) if self.can_redo else None

    def _act(self, what, after):
        return self._noted(self._sheet.put(what, after))


def legible(text):
    """Text that any file takes: half a letter, as of an emoji that was cut, becomes a question mark."""
    return str(text).encode(errors="replace").decode()


def utc_now():
    """Now, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
