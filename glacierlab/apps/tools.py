"""The inspector's tools for outlines: corners, drawing, cutting, holes, classes."""

import panel as pn

from ..errors import GlacierlabError
from ..tables import CLASSES
from .pieces import button

DRAWING = "Draw it on the map: a click for each corner, a double click for the last."


class Tools:
    """What changes an outline's shape or class."""

    def __init__(self, studio):
        self.studio, self.desk, self.map = studio, studio.desk, studio.map
        doing = studio.doing
        self.edit = pn.widgets.Toggle(name="Edit corners", margin=(3, 3), sizing_mode="stretch_width")
        self.edit.param.watch(doing(self._begin_or_end), "value")
        self.draw = button("Draw new", doing(self.do_draw))
        self.cut = button("Cut", doing(self.do_cut), description="draw a line across the outline")
        self.hole = button("Cut hole", doing(self.do_hole), description="draw around rock or water")
        self.fill = button("Fill hole", doing(self.do_fill), description="then click into the hole")
        self.trim = button(
            "Trim overlap", doing(self.do_trim), description="leave shared ground to neighbors"
        )
        self.repair = button("Repair", doing(self.do_repair), description="of an outline that crosses itself")
        self.klass = pn.widgets.Select(name="Class", sizing_mode="stretch_width")
        self.reclassify = button("Set class", doing(self.do_reclassify), align="end")
        self.map.on_edited(studio.doing_with(self._moved))
        self._filling, self._moving = False, None  # the outline whose corners are on the map
        self.panel = pn.Column(
            pn.Row(self.edit, self.draw, self.cut, sizing_mode="stretch_width"),
            pn.Row(self.hole, self.fill, sizing_mode="stretch_width"),
            pn.Row(self.trim, self.repair, sizing_mode="stretch_width"),
            pn.Row(self.klass, self.reclassify, sizing_mode="stretch_width"),
            sizing_mode="stretch_width", margin=0,
        )  # fmt: skip

    def refresh(self):
        """Offer what the current outline allows."""
        review = self.desk.review
        there = review.current is not None
        problems = review.problems(review.current) if there else []
        for each in (self.edit, self.cut, self.hole, self.fill, self.reclassify):
            each.disabled = not there
        self.trim.disabled = not any(problem.startswith("overlaps") for problem in problems)
        self.repair.disabled = not any(problem.startswith("invalid") for problem in problems)
        names = [name for name in CLASSES if name != "background"]
        names += [name for name in review.classes if name not in CLASSES]
        kept = self.klass.value if self.klass.value in names else names[-1]
        self.klass.param.update(options=names, value=kept)

    def stop(self):
        """Give up what is drawn, and let go of the outline whose corners are moved."""
        self.edit.value = False
        self._filling = False
        self.map.draw(None)

    def again(self):
        """Show the corners as they are now, after an undo."""
        self._moving = self.desk.review.current if self.edit.value else None
        self.map.edit(None if self._moving is None else self.desk.review.geometry(self._moving))

    # ---- corners ----

    def _begin_or_end(self):
        if not self.edit.value:
            self.again()
            return
        self._named()
        self._filling = False
        self.studio.zoom_to_current()
        self.again()
        self.studio.tell("Drag a corner; click an edge for a new one; double click a corner to remove it.")

    def _moved(self, geometry):
        if self._moving is not None and self._moving == self.desk.review.current:
            self.desk.review.replace(self._moving, geometry)
            self._done("Corners changed")

    # ---- drawn ----

    def do_draw(self):
        self._named()
        self.stop()
        self.studio.tell(DRAWING)
        self.map.draw("polygon", self.studio.doing_with(self._drawn))

    def _drawn(self, geometry):
        new = self.desk.review.add(geometry, self.klass.value)
        self.desk.review.go(new)
        self._done("Drawn")

    def do_cut(self):
        self._named()
        self.stop()
        self.studio.tell(f"{DRAWING} The line goes through the outline, from outside to outside.")
        self.map.draw("line", self.studio.doing_with(self._cut))

    def _cut(self, line):
        pieces = self.desk.review.cut(self.desk.review.current, line)
        self._done(f"Cut into {len(pieces)} pieces")

    def do_hole(self):
        self._named()
        self.stop()
        self.studio.tell(DRAWING)
        self.map.draw("polygon", self.studio.doing_with(self._hole))

    def _hole(self, polygon):
        self.desk.review.cut_hole(self.desk.review.current, polygon)
        self._done("Hole cut")

    def do_fill(self):
        self._named()
        self.stop()
        self._filling = True
        self.studio.tell("Click into the hole that is to be filled.")

    def tapped(self, x, y):
        """Whether a click on the map was one into a hole that is to be filled."""
        from shapely import Point

        if not self._filling:
            return False
        self._filling = False
        self.desk.review.remove_hole(self.desk.review.current, Point(x, y))
        self._done("Hole filled")
        return True

    # ---- at once ----

    def do_trim(self):
        self._named()
        self.desk.review.trim(self.desk.review.current)
        self._done("Trimmed")

    def do_repair(self):
        self._named()
        self.desk.review.repair(self.desk.review.current)
        self._done("Repaired")

    def do_reclassify(self):
        self._named()
        self.desk.review.reclassify(self.desk.review.current, self.klass.value)
        self._done(f"Now {self.klass.value.replace('_', ' ')}")

    def _done(self, what):
        self.studio.edited(f"{what}: {self.desk.called()[self.desk.review.current]}")

    def _named(self):
        if not self.desk.analyst:
            self.edit.value = False
            raise GlacierlabError("Who edits? Fill in your name first: it goes into the audit trail.")
