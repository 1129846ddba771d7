"""Scores of the outlines as they are now against a reference, and where the two differ."""

import panel as pn

from .layers_tab import ERRORS as LAYER
from .layers_tab import NOTHING
from .pieces import facts, html, paragraph
from .uploads import ACCEPTED

NONE = "none"
LACKING = (
    "No reference yet: choose one above, hand in outlines, or start with --reference FILE (in Python "
    "reference=). What a model or a method mapped is no truth, so none of it is taken unasked."
)
NO_SCENE = "Scores count the pixels of a scene, and this date has none."
NAMES = {
    "precision": "Precision", "recall": "Recall", "f1": "F1", "iou": "IoU", "kappa": "Kappa",
    "asd_m": "Mean border distance", "hd95_m": "95 % border distance", "boundary_f": "Border F1, one pixel",
}  # fmt: skip


class JudgingTab:
    """A reference, scores against it, and the error map."""

    title = "Scores"

    def __init__(self, studio):
        self.studio, self.desk = studio, studio.desk
        doing = studio.doing
        self.reference = pn.widgets.Select(name="Reference", sizing_mode="stretch_width")
        self.reference.param.watch(doing(self._choose), "value")
        self.complete = pn.widgets.Checkbox(name="It labels all ice of the scene")
        self.complete.param.watch(doing(self._tell_complete), "value")
        self.upload = pn.widgets.FileInput(accept=ACCEPTED, sizing_mode="stretch_width")
        self.upload.param.watch(doing(self._uploaded), "value")
        self.told, self.note, self._of = html(""), html(""), None
        self.panel = pn.Column(
            self.reference, self.complete,
            html(paragraph("Hand in outlines (GeoPackage, GeoJSON, zipped shapefile):")), self.upload,
            self.told, self.note,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def refresh(self):
        """Offer the references of the date, and score."""
        names, now = list(self.desk.references), (self.desk.label, self.desk.reference)
        if self._of != now:
            self._of, self.told.object = now, ""
        with pn.io.hold():
            self.reference.param.update(options=[NONE, *names], value=self.desk.reference or NONE)
            self.complete.disabled = self.desk.reference is None
            if self.desk.reference is not None:
                self.complete.value = self.desk.references[self.desk.reference].complete
        self.show()

    def opened(self):
        """Hits and errors are what one sees."""
        if self.desk.can_judge:
            self.studio.layers.put_over(LAYER)

    def closed(self):
        """The error map goes with it."""
        if self.studio.layers.over.value == LAYER:
            self.studio.layers.put_over(NOTHING)

    def show(self):
        """The scores as they are now."""
        judgment = self.studio.judgment
        if judgment is None:
            self.told.object, self.note.object = (
                "",
                paragraph(NO_SCENE if self.desk.scene is None else LACKING),
            )
            return
        work = lambda: (judgment.judge, judgment.scores, judgment.areas)
        self.studio.later("scores", work, self._tell, busy=self.told)

    def _tell(self, found):
        judge, scores, areas = found
        blocks = []
        for name, row in scores.iterrows():
            told = {NAMES[column]: number(row[column], column) for column in scores}
            blocks.append(paragraph(str(name).replace("_", " ")) * (len(scores) > 1) + facts(told))
        known = areas.dropna()
        blocks.append(facts({f"Area, {name}": f"{km2:.3f} km²" for name, km2 in known.items()}))
        self.told.object = "<br>".join(blocks)
        self.note.object = paragraph(note_of(judge))

    def _choose(self):
        chosen = None if self.reference.value == NONE else self.reference.value
        if chosen == self.desk.reference:
            return
        self.desk.reference = chosen
        self._changed()

    def _tell_complete(self):
        name = self.desk.reference
        if name is None or self.complete.value == self.desk.references[name].complete:
            return
        self.desk.is_complete(self.complete.value)
        self._changed()

    def _changed(self):
        self.studio.judge_anew()
        self.refresh()
        if self.desk.can_judge:
            self.opened()
        else:
            self.closed()

    def _uploaded(self):
        data, name = self.upload.value, self.upload.filename or "upload"
        if not data:
            return
        try:
            name = self.desk.hold_upload(data, name)
        finally:
            self.upload.clear()
        self.studio.tell(f"Read {name}.", "done")
        self.studio.layers.refresh()
        self._changed()


def number(value, column):
    """A score as text, distances in meters."""
    return f"{value:.0f} m" if column.endswith("_m") else f"{value:.3f}"


def note_of(judge):
    """What the scores leave out."""
    told = []
    if not judge.reference.complete:
        told.append("Recall alone can be told: ice outside of the reference may be unlabeled.")
    if judge.every > 1:
        told.append(f"Every {judge.every}th pixel of this large scene is judged.")
    return " ".join(told)
