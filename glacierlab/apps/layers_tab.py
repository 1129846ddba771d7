"""What the inspector's map shows: an image, a layer above it, another date beside it, outlines by class."""

import itertools

import panel as pn

from ..tables import CLASSES
from ..viz.figures import OUTLINES, REFERENCE
from .judging import ERRORS as ERROR_COLORS
from .lab import MAPPED
from .pictures import CLASS_MAP
from .pieces import CURRENT, LINE, entries, html, legend, scale_bar

NOTHING = "nothing"
LAB, ERRORS = "threshold lab", "hits and errors"  # layers that other tabs make
FIRST = "false color"  # ice is turquoise; else the first that there is
OTHERS = "#8a8a8a"
HOVER = {
    "called": "outline", "class": "class", "area_km2": "area [km²]", "area_unc_km2": "± area [km²]",
    "debris_frac": "under debris", "mean_prob": "mean probability", "src_date": "date",
    "review_status": "status",
}  # fmt: skip
ERROR_NAMES = ("hit: both", "miss: reference alone", "false: outlines alone")
PLAY_MS = 1500


class LayersTab:
    """Which layers the map shows, and how."""

    title = "Map"

    def __init__(self, studio):
        self.studio, self.desk, self.map = studio, studio.desk, studio.map
        wide = dict(sizing_mode="stretch_width")
        self.base = pn.widgets.Select(name="Image", **wide)
        self.stretch = pn.widgets.IntRangeSlider(
            name="Stretch [percentiles]", start=0, end=100, value=(2, 98), **wide
        )
        self.over = pn.widgets.Select(name="Layer above", options=[NOTHING], **wide)
        self.opacity = pn.widgets.FloatSlider(name="Opacity", start=0, end=1, step=0.05, value=0.8, **wide)
        self.beside = pn.widgets.Select(name="Swipe to", groups={"Nothing": [NOTHING]}, value=NOTHING, **wide)
        self.classes = pn.widgets.CheckBoxGroup(name="Outlines", inline=True)
        # a MultiChoice would take names for HTML
        self.rivals = pn.widgets.MultiSelect(name="Other outlines (Ctrl for several)", size=3, **wide)
        self.legend, self.palette, self._rival_colors = html(""), html(""), {}
        self.date = pn.widgets.DiscreteSlider(
            name="Date", options=self.desk.labels, value=self.desk.label, width=220
        )
        self.play = pn.widgets.Toggle(name="▶ Play", width=70, align="end")
        self._player, self._colors, self.seen = None, {}, None
        for widget, names, draw in [
            (self.base, "value", self.draw_images),
            (self.stretch, "value_throttled", self.draw_images),
            (self.over, "value", self.draw_over),
            (self.opacity, "value", self.draw_over),
            (self.beside, "value", self.draw_beside),
            (self.classes, "value", self.draw_outlines),
            (self.rivals, "value", self.draw_rivals),
            (self.date, "value", lambda: studio.look_at(self.date.value)),
            (self.play, "value", self._play_or_stop),
        ]:
            widget.param.watch(studio.doing(draw), names)
        self.dates = pn.Row(self.date, self.play, visible=len(self.desk.labels) > 1)
        self.panel = pn.Column(
            self.base, self.stretch, self.palette, self.over, self.opacity, self.beside,
            self.map.swipe,
            html("<b>Outlines</b>"), self.classes, self.rivals,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def refresh(self):
        """Offer what the date has, keep what was chosen where it is still there, and draw it all."""
        pictures = self.desk.pictures
        names = pictures.names if pictures else []
        choose(self.base, names, FIRST if FIRST in names else None)
        self._offer_over()
        others = [label for label in self.desk.holdings.scenes if label != self.desk.label]
        groups = {"Nothing": [NOTHING], "Another date": others, "This date": names}
        self.beside.groups = {name: options for name, options in groups.items() if options}
        if self.beside.value not in [NOTHING, *others, *names]:
            self.beside.value = NOTHING
        names = self.desk.rivals
        self.rivals.param.update(options=names, value=[name for name in self.rivals.value if name in names])
        self.rivals.visible = bool(names)
        self.date.value = self.desk.label
        self.draw_images()
        self.draw_beside()
        self.draw_outlines()
        self.draw_rivals()

    def _offer_over(self):
        made = [LAB] * (self.desk.lab is not None) + [ERRORS] * self.desk.can_judge
        names = self.desk.pictures.names if self.desk.pictures else []
        choose(self.over, [NOTHING, *made, *names], NOTHING)

    def put_over(self, name):
        """Show a layer above the image, or take it away again: `nothing`."""
        self._offer_over()
        if self.over.value == name:
            self.draw_over()
        elif name in self.over.options:
            self.over.value = name

    # ---- pictures ----

    def draw_images(self):
        """Draw the image, and what depends on its stretch."""
        pictures, name = self.desk.pictures, self.base.value
        if pictures is None or name is None:
            self.map.hide("base")
            self.palette.object = ""
        else:
            self.map.show("base", pictures, name, stretch=self.stretch.value)
            scale = pictures.legend(name, self.stretch.value)
            self.palette.object = scale_bar(scale) if scale else ""
        self.draw_over()

    def draw_over(self):
        """Draw the layer above, of the scene or of another tab."""
        name = self.over.value
        self.opacity.visible = name != NOTHING
        if name == LAB and self.desk.lab is not None:
            self.map.show("over", self.desk.lab.picture(), "mapped", opacity=self.opacity.value)
        elif name == ERRORS and self.desk.can_judge:
            self.map.show("over", self.studio.judgment, ERRORS, opacity=self.opacity.value)
        elif name in (NOTHING, None) or self.desk.pictures is None or name not in self.desk.pictures.names:
            self.map.hide("over")
        else:
            told = dict(opacity=self.opacity.value, stretch=self.stretch.value)
            self.map.show("over", self.desk.pictures, name, **told)
        self.tell_colors()

    def draw_beside(self):
        """Draw what is right of the swipe: another date in the same colors, or another layer of this one."""
        name = self.beside.value
        if name in self.desk.holdings.scenes and name != self.desk.label:
            pictures = self.desk.stock.pictures(name)
            same = self.base.value if self.base.value in pictures.names else pictures.names[0]
            self.map.show("swipe", pictures, same, stretch=self.stretch.value)
        elif self.desk.pictures is not None and name in self.desk.pictures.names:
            self.map.show("swipe", self.desk.pictures, name, stretch=self.stretch.value)
        else:
            self.map.hide("swipe")
        self.map.swipe.visible = name != NOTHING
        self.tell_colors()

    # ---- outlines ----

    def draw_outlines(self):
        """Draw the reviewed outlines of the chosen classes, and the current one above them."""
        outlines = self.desk.outlines
        named = outlines["class"] if "class" in outlines else outlines.assign(klass="glacier").klass
        names = list(dict.fromkeys(named))
        if self.classes.options != names:
            hidden = set(self.classes.options) - set(self.classes.value)
            self.classes.param.update(options=names, value=[name for name in names if name not in hidden])
        colors = {name: CLASSES[name].color if name in CLASSES else OTHERS for name in names}
        self._colors = {name: colors[name] for name in names if name in self.classes.value}
        chosen = outlines.assign(outline_color=named.map(colors))[named.isin(self.classes.value)]
        chosen = chosen.set_index("review_id", drop=False)
        self.seen = chosen
        hover = {told: name for name, told in HOVER.items() if name in chosen}
        self.map.outline("outlines", chosen, color="outline_color", width=2, hover=hover)
        self.mark_current()

    def mark_current(self):
        """Mark the outline that is decided on."""
        current = self.desk.review.current
        self.map.select("outlines", [] if current is None else [current])
        self.tell_colors()

    def draw_rivals(self):
        """Draw the chosen other outlines, the reference pink."""
        for name in self._rival_colors.keys() - {*self.rivals.value}:
            self.map.remove(f"other {name}")
        colors = itertools.cycle([REFERENCE, *OUTLINES[1:]])
        self._rival_colors = dict(zip(self.rivals.value, colors, strict=False))
        for name, color in self._rival_colors.items():
            self.map.outline(f"other {name}", self.desk.rival(name), color=color, width=2)
        self.tell_colors()

    # ---- what colors mean ----

    def tell_colors(self):
        """The legend below the map: lines, then areas, then what is empty."""
        there = self.desk.review.current is not None
        lines = self._colors | (CURRENT if there else {}) | self._rival_colors
        errors = dict(zip(ERROR_NAMES, ERROR_COLORS.values(), strict=True))
        areas = {LAB: {"above the threshold": MAPPED}, ERRORS: errors}.get(self.over.value, {})
        if CLASS_MAP in (self.base.value, self.over.value, self.beside.value) and self.desk.pictures:
            areas = self.desk.pictures.classes | areas
        empty = {"no data": "transparent"} if self.desk.pictures is not None else {}
        self.legend.object = legend(entries(lines, LINE) + entries(areas | empty))

    # ---- dates ----

    def _play_or_stop(self):
        if self._player is None:
            self._player = pn.state.add_periodic_callback(self.studio.doing(self._step), PLAY_MS, start=False)
        if self.play.value:
            self._player.start()
        else:
            self._player.stop()

    def _step(self):
        labels = self.desk.labels
        self.date.value = labels[(labels.index(self.desk.label) + 1) % len(labels)]


def choose(widget, options, default):
    """Give a widget other options; its value stays where it can, else the default, else the first."""
    kept = widget.value if widget.value in options else default
    widget.param.update(options=options, value=next(iter(options), None) if kept is None else kept)
