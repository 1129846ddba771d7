"""Widgets that choose glaciers, and say what is chosen."""

import numpy as np
import panel as pn
from bokeh.models import CustomJSTickFormatter

from ..errors import GlacierlabError
from . import pages
from .filtering import VERDICTS
from .uploads import ACCEPTED, read_upload

MAX_REGIONS_MB = 20  # of a file of regions
LONGEST = 200  # letters of a search
WIDTH = 230  # pixels of a widget
POWERS = "return Number((10 ** tick).toPrecision(2)).toString()"  # of a slider of powers of ten


class Controls:
    """The filter of a `Dashboard` as widgets, how errors are summed, and what glaciers are grouped by."""

    def __init__(self, views):
        self.views, self.dashboard, self.story = views, views.dashboard, views.story
        self._busy = False  # while widgets are set by the state, not by hand
        self._make_sliders()
        several = len(self.story.labels) > 1
        options = {"any": ""} | {told: name for name, told in VERDICTS.items()}
        self.verdict = pn.widgets.Select(name="Change", options=options, visible=several, width=WIDTH)
        self.text = pn.widgets.TextInput(name="Name or id contains", width=WIDTH)
        # a MultiChoice would take names for HTML
        self.region = pn.widgets.MultiSelect(name="Region", options=[], size=4, width=WIDTH)
        self.reset = pn.widgets.Button(name="Reset", width=90, margin=(22, 10, 5, 10))
        self.reset.on_click(lambda event: self.dashboard.filter.reset())
        self.told = views.html("", margin=(6, 10))
        self.verdict.param.watch(lambda event: self.set(verdict=event.new), "value")
        self.text.param.watch(lambda event: self.set(text=event.new[:LONGEST]), "value")
        self.region.param.watch(lambda event: self.set(region=list(event.new)), "value")
        self.panel = pn.FlexBox(
            self.size, self.rate, self.verdict, self.text, self.region, self.reset, self.told,
            align_items="center", sizing_mode="stretch_width",
        )  # fmt: skip
        self._make_grouping()

    def _make_sliders(self):
        glaciers, several = self.story.glaciers, len(self.story.labels) > 1
        sizes, rates = glaciers["size_km2"], glaciers["rate_pct_per_a"].dropna()
        sizes = np.log10(sizes[sizes > 0])
        self.ends = {
            "size": outward(sizes, 0.01) if len(sizes) else (-2.0, 0.0),
            "rate": outward(rates, 0.1) if len(rates) else (0.0, 1.0),
        }
        self.size, self.rate = (
            pn.widgets.RangeSlider(
                name=label, start=ends[0], end=ends[1], value=ends, step=step, width=WIDTH, **options
            )
            for label, ends, step, options in (
                ("Area [km²]", self.ends["size"], 0.01, {"format": CustomJSTickFormatter(code=POWERS)}),
                ("Loss [%/a]", self.ends["rate"], 0.05, {"visible": several}),
            )
        )
        for name in ("size", "rate"):
            getattr(self, name).param.watch(lambda event, name=name: self._on_slider(name), "value_throttled")

    def _make_grouping(self):
        self.sums = pn.widgets.Select(
            name="Errors of glaciers summed",
            options=self.story.book.sums,
            value=self.dashboard.sums,
            width=WIDTH,
        )
        self.group = pn.widgets.Select(name="Group by", width=WIDTH)
        self.sums.param.watch(lambda event: self.set_state(sums=event.new), "value")
        self.group.param.watch(lambda event: self.set_state(grouping=event.new), "value")
        upload = pn.widgets.FileInput(accept=ACCEPTED, multiple=False)
        upload.param.watch(lambda event: self.take(event.new), "value")
        self.answer = self.views.html("")
        other = pn.Column(
            self.views.html("Other regions: polygons in a GeoPackage, GeoJSON or zipped shapefile"),
            upload,
            width=330,
        )
        self.grouping = pn.FlexBox(self.sums, self.group, other, self.answer, align_items="center")

    # ---- by hand

    def set(self, **conditions):
        """Set conditions of the filter, unless it is the filter that sets the widgets."""
        if not self._busy:
            self.dashboard.filter.param.update(**conditions)

    def set_state(self, **values):
        """Set what else the dashboard knows."""
        if not self._busy:
            self.dashboard.param.update(**values)

    def _on_slider(self, name):
        (low, high), (least, most) = getattr(self, name).value, self.ends[name]
        limits = [None if low <= least + 1e-9 else low, None if high >= most - 1e-9 else high]
        if name == "size":
            limits = [None if each is None else float(f"{10**each:.4g}") for each in limits]
        self.set(**{name: None if limits == [None, None] else tuple(limits)})

    def take(self, data):
        """Group by the regions of a file that was handed in, or say why not."""
        try:
            self.dashboard.add_regions(read_upload(data or b"", MAX_REGIONS_MB * 2**20))
            self.answer.object = ""
        except GlacierlabError as error:
            self.answer.object = pages.notes_of([str(error)])

    # ---- by the state

    def show(self):
        """Set the widgets as the state is."""
        chosen, glaciers = self.dashboard.filter, self.dashboard.glaciers
        self._busy = True
        try:
            for name in ("size", "rate"):
                self._show_slider(name, getattr(chosen, name) or (None, None))
            self.verdict.value, self.text.value = chosen.verdict, chosen.text
            regions = sorted({*glaciers["region"]} - {""}) if self.dashboard.grouping else []
            if self.region.options != regions:
                self.region.options = regions
            self.region.visible = bool(regions)
            self.region.value = [name for name in chosen.region if name in regions]
            self.group.options = {name or "nothing": name for name in self.dashboard.param.grouping.objects}
            self.group.value, self.sums.value = self.dashboard.grouping, self.dashboard.sums
        finally:
            self._busy = False
        self.told.object = f'<p role="status" aria-live="polite"><b>{self.dashboard.told}</b></p>'
        self.reset.disabled = not chosen.is_set

    def _show_slider(self, name, limits):
        slider, ends = getattr(self, name), self.ends[name]
        if name == "size":
            limits = [None if each is None else np.log10(max(each, 1e-9)) for each in limits]
        shown = tuple(
            end if each is None else float(np.clip(each, *ends))
            for each, end in zip(limits, ends, strict=True)
        )
        if slider.value != shown:
            slider.value = shown


def outward(values, step):
    """The least and the largest of some values, outward to a multiple of a step; never one number."""
    low, high = np.floor(values.min() / step), np.ceil(values.max() / step)
    return float(round(low * step, 6)), float(round(max(high, low + 1) * step, 6))
