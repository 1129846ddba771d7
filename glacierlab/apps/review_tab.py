"""The review queue: what to look at next, and what an analyst says about it."""

import io
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import panel as pn

from ..errors import DataWarning, GlacierlabError
from ..io.write import write_outlines
from .labeling import KEPT
from .pieces import WIDTH, button, counted, facts, html, paragraph, table, update
from .saving import ReviewConflict

QUEUE = {"name": "glacier", "area_km2": "km²", "expected_error_km2": "± km²", "status": "status"}
TRAIL = {
    "when": "UTC", "who": "who", "what": "what", "id": "outline", "change_km2": "Δ km²", "reason": "reason",
}  # fmt: skip
WRITTEN = {
    "edited": "changed", "accepted": "accepted", "rejected": "rejected", "": "waiting for a decision again",
    None: "taken away",
}  # fmt: skip
NAMED = 5  # invalid outlines that a message names
BESIDE = dict(button_type="default", sizing_mode="stretch_width", margin=(3, 3))


class ReviewTab:
    """The queue, decisions on the current outline, the trail and the file."""

    title = "Review"

    def __init__(self, studio, tools):
        self.studio, self.desk, self.tools = studio, studio.desk, tools
        doing = studio.doing
        self.analyst = pn.widgets.TextInput(
            name="Your name", value=self.desk.analyst, placeholder="goes into the audit trail",
            sizing_mode="stretch_width",
        )  # fmt: skip
        self.analyst.param.watch(doing(self._sign), "value")
        self.queue = table(
            self._queue(), QUEUE, {"area_km2": "0.000", "expected_error_km2": "0.000"}, height=168,
            hidden_columns=["id"], sortable=False,  # it is in order
        )  # fmt: skip
        self.queue.param.watch(doing(self._pick), "selection")
        self.progress, self.about, self.file = html(""), html(""), html("")
        self.reason = pn.widgets.TextInput(
            name="Reason", placeholder="why; a rejection needs one", sizing_mode="stretch_width"
        )
        self.previous = button("‹ Previous", doing(self.go_previous))
        self.next = button("Next ›", doing(self.go_next))
        self.accept = button("Accept", doing(self.do_accept), button_type="success")
        self.reject = button("Reject", doing(self.do_reject), button_type="danger")
        self.rejected = pn.widgets.Select(name="Rejected", sizing_mode="stretch_width")
        self.restore = button("Restore", doing(self.do_restore), align="end", max_width=90)
        self.back = pn.Row(self.rejected, self.restore, sizing_mode="stretch_width", visible=False)
        self.undo = button("↶ Undo", doing(self.do_undo))
        self.redo = button("↷ Redo", doing(self.do_redo))
        self.save = button("Save", doing(self.do_save), button_type="primary")
        self.mine = button("Keep mine", doing(self.keep_mine))
        self.theirs = button("Take theirs", doing(self.take_theirs))
        self.conflict, self._conflicting = pn.Row(self.mine, self.theirs, visible=False), []
        self.download = pn.widgets.FileDownload(
            callback=self._outlines_file, filename="outlines.gpkg", label="Download outlines", **BESIDE
        )
        self.labels = pn.widgets.FileDownload(
            callback=self._labels_file, filename="labels.gpkg", label="Download labels", **BESIDE
        )
        self.trail = table(
            self._trail(), TRAIL, {"change_km2": "+0.000"}, wrapped=TRAIL.keys() - {"change_km2"}, height=220,
            widths={"when": 76, "who": 44, "what": 54, "change_km2": 56}, sortable=False,
        )  # fmt: skip
        self.panel = pn.Column(
            self.analyst, self.progress, self.queue,
            pn.Row(self.previous, self.next, sizing_mode="stretch_width"),
            self.about, self.reason,
            pn.Row(self.accept, self.reject, sizing_mode="stretch_width"),
            pn.Row(self.undo, self.redo, self.save, sizing_mode="stretch_width"), self.conflict, self.file,
            self.back, tools.panel,
            pn.Row(self.download, self.labels, sizing_mode="stretch_width"),
            pn.Card(self.trail, title="Audit trail", collapsed=True, sizing_mode="stretch_width"),
            sizing_mode="stretch_width", max_width=WIDTH,
        )  # fmt: skip

    # ---- what is shown ----

    def _queue(self):
        queue = self.desk.review.queue
        return queue.assign(name=queue["id"].map(self.desk.called()))[["id", *QUEUE]]

    def _trail(self):
        """The trail, the last act first, as people read it."""
        trail = self.desk.review.trail.iloc[::-1]
        when = trail["when"].astype(str).str.slice(0, 16).str.replace("T", " ")
        called = self.desk.called()
        return trail.assign(when=when, id=[called.get(one, one) for one in trail["id"]])[list(TRAIL)]

    def refresh(self):
        """Show the review as it is now."""
        review = self.desk.review
        queue = self._queue()
        update(self.queue, queue)
        at = [place for place, one in enumerate(queue["id"]) if one == review.current]
        if self.queue.selection != at:
            self.queue.selection = at
        decided = int((queue["status"] != "").sum())
        self.progress.object = paragraph(f"{decided} of {len(queue)} decided, by expected area error [km²]")
        self.about.object = self._about()
        update(self.trail, self._trail())
        for each, can in [(self.undo, review.can_undo), (self.redo, review.can_redo)]:
            each.disabled = not can
        for each in (self.previous, self.next, self.accept, self.reject):
            each.disabled = review.current is None
        path = self.desk.file
        self.save.disabled = path is None
        self.download.disabled = not len(queue)
        self.labels.disabled = not queue["status"].isin(KEPT).any()
        self.file.object = paragraph(self._told_of_file(path))
        self._offer_rejected()
        self.tools.refresh()

    def _offer_rejected(self):
        """What can be brought back, the last that was rejected first."""
        lines = self.desk.review.rejected.iloc[::-1]
        called = self.desk.called()
        told = lambda row: f"{called[row.id]}: {row.area_km2:.3f} km², {row.reason}"
        options = {told(row): row.id for row in lines.itertuples()}
        ids = list(options.values())
        chosen = self.rejected.value if self.rejected.value in ids else next(iter(ids), None)
        self.rejected.param.update(options=options, value=chosen)
        self.back.visible = bool(options)

    def _told_of_file(self, path):
        review = self.desk.review
        if path is None:
            return "No file belongs to these outlines: download them to keep your work."
        unsaved = f"{counted(review.unsaved, 'act')} not saved yet" if review.unsaved else "all is saved"
        told = f"{path.name}: {unsaved}"
        if left := {name: acts for name, acts in review.left_by.items() if name != review.analyst}:
            names = ", ".join(f"{name} ({acts})" for name, acts in left.items())
            told += f". Acts that ended sessions did not save: {names}. Fill in that name to bring them back."
        return told

    def _about(self):
        review = self.desk.review
        if review.current is None:
            return paragraph("There are no outlines here: map some in the threshold lab, or draw one.")
        row = review.queue.set_index("id").loc[review.current]
        error = row.expected_error_km2
        told = {
            "Outline": self.desk.called()[review.current],
            "Area": f"{row.area_km2:.3f} km²" + (f" ± {error:.3f} km² expected" if error == error else ""),
            "Status": row.status or "not decided",
        }
        if problems := review.problems(review.current):
            told["Problems"] = "⚠ " + "; ".join(problems)
        return facts(told)

    # ---- what is done ----

    def _sign(self):
        self.desk.analyst = self.analyst.value
        if not self.studio.recover():
            self.refresh()

    def _pick(self):
        if self.queue.selection:
            chosen = self.queue.value["id"].iloc[self.queue.selection[0]]
            if chosen != self.desk.review.current:
                self.studio.go(chosen)

    def go_next(self):
        self.studio.go(self.desk.review.next())

    def go_previous(self):
        self.studio.go(self.desk.review.previous())

    def do_accept(self):
        self._decide(self.studio.accept)

    def do_reject(self):
        self._decide(self.studio.reject)

    def do_restore(self):
        self.require_name()
        self.studio.restore(self.rejected.value, self.reason.value)
        self._decided()

    def _decide(self, act):
        self.require_name()
        act(self.reason.value)
        self._decided()

    def _decided(self):
        self.reason.value = ""
        self.studio.go(self.desk.review.current)

    def do_undo(self):
        self.studio.told_of(self.desk.review.undo(), "Undone")

    def do_redo(self):
        self.studio.told_of(self.desk.review.redo(), "Done again")

    def require_name(self):
        """GlacierlabError until there is a name for the trail."""
        if not self.desk.analyst:
            raise GlacierlabError("Who decides? Fill in your name first: it goes into the audit trail.")

    # ---- files ----

    def do_save(self, overwrite=()):
        """Save, and tell what the file then lacks; or that another session changed the same outlines."""
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", DataWarning)
                self.studio.save(overwrite=overwrite)
        except ReviewConflict as conflict:
            self._conflicting, self.conflict.visible = conflict.ids, True
            raise
        self._conflicting, self.conflict.visible = [], False
        if told:
            kind = "error" if self.desk.review.flaws else "done"
            self.studio.tell(f"{self.studio.said} {told[0].message}", kind)

    def keep_mine(self):
        """Write over what another session made of the outlines."""
        self.do_save(self._conflicting)

    def take_theirs(self):
        """Give up what was done here to outlines that another session changed, and save."""
        for one in self._conflicting:
            self.desk.review.take_theirs(one)
        self.tools.again()
        self.do_save()

    def _outlines_file(self):
        return as_file(self.desk.review.outlines)

    def _labels_file(self):
        return as_file(self.desk.review.labels())


def as_file(outlines):
    """Outlines as a GeoPackage to download."""
    with tempfile.TemporaryDirectory(prefix="glacierlab-") as folder:
        path = Path(folder, "outlines.gpkg")
        write_outlines(outlines, path)
        return io.BytesIO(path.read_bytes())


def told_of_save(changes, acts, name):
    """What a save wrote, in words: `changes` and `unsaved` of the review before."""
    if not acts:
        return f"Nothing new to save in {name}."
    numbers = [(sum(status == one for status in changes.values()), done) for one, done in WRITTEN.items()]
    (first, done), *others = [each for each in numbers if each[0]] or [(0, "")]
    if not first:
        return f"Saved in {name}: what was done is in its trail, and all outlines are as they were."
    told = ", ".join(
        [f"{counted(first, 'outline')} {done}", *(f"{number} {done}" for number, done in others)]
    )
    return f"Saved: {told}, in {name}."


def told_of_flaws(flaws):
    """What to do about outlines that are invalid: `flaws`, as of a review, by what they are called."""
    several, crossing = len(flaws) > 1, all("self-intersection" in flaw.lower() for flaw in flaws.values())
    names = ", ".join([*flaws][:NAMED]) + (f" and {len(flaws) - NAMED} more" if len(flaws) > NAMED else "")
    what = ("cross themselves" if several else "crosses itself") if crossing else None
    return f"{names} {what or ('are invalid' if several else 'is invalid')}: try Repair."


def clock():
    """The time of day, as a person reads it."""
    return datetime.now().strftime("%H:%M:%S")
