"""The threshold lab: a slider, what it maps, and the curve of scores with a marker that moves."""

import panel as pn
from bokeh.models import Range1d, Span
from bokeh.plotting import figure

from .lab import MAPPED
from .layers_tab import LAB, NOTHING
from .pieces import button, counted, facts, html, paragraph
from .plots import Plot

LINES = {"precision": "#d55e00", "recall": "#0072b2", "f1": "#000000"}  # Okabe and Ito's; dashes differ too
DASHES = {"precision": "dashed", "recall": "dotdash", "f1": "solid"}
NAMES = {"f1": "F1"}


class LabTab:
    """A layer, a threshold, and at once its map, area and scores."""

    title = "Threshold"

    def __init__(self, studio):
        self.studio, self.desk = studio, studio.desk
        doing = studio.doing
        self.layer = pn.widgets.Select(name="Layer", sizing_mode="stretch_width")
        self.threshold = pn.widgets.DiscreteSlider(
            name="Threshold", options=[0.0, 1.0], sizing_mode="stretch_width"
        )
        self.layer.param.watch(doing(self._choose), "value")
        self.threshold.param.watch(doing(self._slide), "value")
        self.threshold.param.watch(doing(self._release), "value_throttled")
        self.best = button("Best F1", doing(self.take_best))
        self.usual = button("Published or Otsu", doing(self.take_usual))
        self.review = button("Review these outlines", doing(self.do_review), button_type="primary")
        self.told, self.note, self.exact = html(""), html(""), html("")
        self.chart = Plot(None, sizing_mode="stretch_width", height=230, margin=(2, 10))
        self._marker, self._drawn, self._lab = None, None, None
        self.panel = pn.Column(
            self.layer, self.threshold, self.told, self.exact,
            pn.Row(self.usual, self.best, sizing_mode="stretch_width"),
            self.chart, self.note, self.review,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def refresh(self):
        """Show the lab of the date, and its map."""
        lab = self.desk.lab
        for each in (self.layer, self.threshold, self.best, self.usual, self.review):
            each.disabled = lab is None
        if lab is not self._lab:
            self._lab, self.exact.object = lab, ""
        if lab is None:
            self.note.object = paragraph("No scene of this date has bands to threshold.")
            self.chart.object, self._drawn, self.told.object = None, None, ""
            return
        self.layer.param.update(options=lab.names, value=lab.layer)
        self._prepare()

    def opened(self):
        """The lab's map is what one sees."""
        if self.desk.lab is not None:
            self.studio.layers.put_over(LAB)

    def closed(self):
        """Its map goes with it."""
        self.studio.map.remove("lab")
        if self.studio.layers.over.value == LAB:
            self.studio.layers.put_over(NOTHING)

    def show(self):
        """What the threshold gives, in numbers and on the map."""
        lab, told = self.desk.lab, self.desk.lab.told()
        rows = {"Above it": f"{told['area_km2']:.2f} km²"}
        rows |= {NAMES.get(n, n).capitalize(): f"{told[n]:.3f}" for n in LINES if n in told}
        self.told.object = facts(rows)
        if self._marker is not None:
            self._marker.location = lab.threshold
        if self.studio.layers.over.value == LAB:
            self.studio.layers.draw_over()

    # ---- what is done ----

    def _choose(self):
        lab = self.desk.lab
        if lab is None or self.layer.value == lab.layer:
            return
        lab.layer = self.layer.value
        self.studio.map.remove("lab")
        self.exact.object = ""
        self._prepare()

    def _prepare(self):
        """Look at the whole layer once, in a thread; then the slider can move."""
        lab = self.desk.lab
        work = lambda: (lab, lab.steps, lab.curve, lab.recall, lab.areas)
        self.studio.later("lab", work, self._prepared, busy=self.told)

    def _prepared(self, found):
        lab = found[0]
        if lab is not self.desk.lab:
            return
        steps = sorted({*(float(f"{step:.6g}") for step in found[1]), lab.threshold})
        self.threshold.param.update(options=steps, value=lab.threshold)
        self._draw_chart()
        self.show()

    def _slide(self):
        lab = self.desk.lab
        if lab is None or self.threshold.value == lab.threshold:
            return
        lab.threshold = self.threshold.value
        self.studio.map.remove("lab")
        self.exact.object = ""
        self.show()

    def _release(self):
        """The exact outlines of what the map shows, once the slider rests."""
        lab = self.desk.lab
        if lab is None:
            return
        bounds = self.studio.in_scene(self.studio.bounds)
        if lab.is_large(bounds):
            self.exact.object = paragraph("Zoom in for exact outlines: too much is in view.")
            return
        self.studio.later("lab outlines", lambda: lab.outlines(bounds), self._show_exact)

    def _show_exact(self, found):
        self.studio.map.outline(
            "lab", found.to_crs(self.desk.holdings.crs), color=MAPPED, width=2, hover=("area_km2",)
        )
        told = f"{counted(len(found), 'outline')}, {found.area_km2.sum():.2f} km²"
        self.exact.object = facts({"Cleaned, in view": told})

    def take_best(self):
        """Move to the best F1, or tell why there is none."""
        if self.desk.lab.curve is None:
            self.studio.tell("F1 needs a reference that labels all ice of the scene: see Scores.")
        else:
            self.threshold.value = self.desk.lab.curve.best
            self._release()

    def take_usual(self):
        """Move to the published threshold, or Otsu's."""
        self.threshold.value = self.desk.lab.usual
        self._release()

    def do_review(self):
        """Map the whole scene at this threshold, and review that."""
        self.studio.require_saved()
        self.studio.later("review of the lab", self.desk.lab.outlines, self.studio.take, busy=self.review)

    # ---- the chart ----

    def _draw_chart(self):
        lab = self.desk.lab
        state = lab, lab.layer, lab.reference and (lab.reference.name, lab.reference.complete)
        if state == self._drawn:
            return
        self._drawn = state
        self.chart.object, self._marker = chart_of(lab)
        self.note.object = paragraph(note_of(lab))


def chart_of(lab):
    """A Bokeh figure of scores, or else areas, by threshold, and its marker."""
    tools = dict(height=230, sizing_mode="stretch_width", toolbar_location=None, tools="")
    drawn = figure(x_axis_label=f"threshold of {lab.layer}", **tools)
    if lab.curve is not None:
        lines = {name: lab.curve.table[name] for name in LINES}
    elif lab.recall is not None:
        lines = {"recall": lab.recall}
    else:
        lines = {}
    for name, values in lines.items():
        drawn.line(
            values.index.to_numpy(), values.to_numpy(), legend_label=NAMES.get(name, name),
            color=LINES[name], line_dash=DASHES[name], line_width=2,
        )  # fmt: skip
    if lines:
        drawn.y_range, drawn.yaxis.axis_label = Range1d(0, 1.02), "score"
        drawn.legend.orientation, drawn.legend.label_text_font_size = "horizontal", "11px"
        drawn.add_layout(drawn.legend[0], "above")
    else:
        drawn.line(lab.areas.index.to_numpy(), lab.areas.to_numpy(), color="#555555", line_width=2)
        drawn.yaxis.axis_label = "area above it [km²]"
    marker = Span(location=lab.threshold, dimension="height", line_color=MAPPED, line_width=3)
    drawn.add_layout(marker)
    return drawn, marker


def note_of(lab):
    """What the curve says, and what would say more."""
    if lab.curve is not None:
        low, high = lab.curve.stable
        best, f1 = lab.curve.best, lab.curve.table.f1.max()
        end = " It lies at the end of the slider." if best in (lab.steps[0], lab.steps[-1]) else ""
        near = f"within {lab.curve.tolerance:g} of it from {low:g} to {high:g}"
        return f"Best F1 {f1:.3f} at {best:g}; {near}.{end} Held against {lab.reference.name}."
    if lab.reference is not None:
        return (
            f"Held against {lab.reference.name}: recall alone, for ice outside of it may be unlabeled. If it "
            "labels all ice here, say so under Scores."
        )
    return "A reference gives precision, recall and F1: choose or hand in one under Scores."
