"""The change dashboard: what is chosen of a `Story`, and the address that says so."""

import io
import tempfile
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import panel as pn
import param

from ..change.dated import TOTAL
from ..change.totals import change_total, series_total
from ..change.trends import trend
from ..errors import GlacierlabError
from ..io.schemas import ID_COLUMNS
from ..io.write import write_outlines
from . import gallery
from .families import whole
from .filtering import CONDITIONS, Filter, read_query
from .sessions import address, later, write_address
from .story import OF_A_GLACIER, Story, grouped_by, told

VIEWS = ("overview", "glacier", "methods")
ASKED_BY = (*ID_COLUMNS, "glacier")  # keys of an address that name a glacier
LONGEST = 200  # letters of an id that an address may hold: an assumption


def change(inventories, series=None, dem=None, regions=None, **asked):
    """A dashboard of the change between glacier outlines of several dates.

    Parameters
    ----------
    inventories : dict or list of geopandas.GeoDataFrame, path, list of paths, Holdings or Story
        Outlines by date, in any CRS, as `change.assess` takes them, or files and folders, as
        `glacierlab demo`, `map` and `change` write them. One date opens too, without change.
    series : pandas.DataFrame or path, optional
        Areas through time, as `area_series` makes them, instead of those measured here; by the same ids.
    dem : xarray.DataArray or path, optional
        Elevation (y, x) [m]: also a hillshade, areas by elevation, and fronts along center lines.
    regions : geopandas.GeoDataFrame, path, or dict of them, optional
        Polygons, such as basins or countries, that glaciers are grouped by: each is in the one that has most
        of it. A dict's keys say what the regions are called.
    **asked
        by, years, method, pixel_m: of `change.assess`.

    Returns
    -------
    Dashboard
        It shows itself in a notebook; `page()` is what a server shows.

    Raises
    ------
    InventoryError, GlacierlabError

    Notes
    -----
    What is measured is kept and shared: the same inventories are assessed once a process.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(96, 96))
    >>> dashboard = gl.apps.change({year: world.outlines(year) for year in world.years}, pixel_m=30)
    >>> dashboard.filter.size = (0.5, None)
    >>> bool((dashboard.table.area_1_km2 >= 0.5).all())
    True
    """
    if isinstance(inventories, Story):
        return Dashboard(inventories)
    return Dashboard(told(inventories, series, dem, regions, **asked))


class Dashboard(pn.viewable.Viewer):
    """Glaciers that are chosen of a `Story`, their areas, errors and changes; see `change`.

    Attributes
    ----------
    story : Story
        Shared by all sessions.
    filter : Filter
        Which glaciers are chosen; every view follows it.
    notes : list of str
        What could not be read of an address.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> dashboard = gl.apps.change({year: world.outlines(year) for year in world.years}, pixel_m=30)
    >>> dashboard.story.labels, len(dashboard.table)
    (['1990', '2020'], 15)
    """

    view = param.Selector(default="overview", objects=[*VIEWS], doc="Which page is shown.")
    glacier = param.String(default="", doc="Id of the glacier whose page is shown.")
    sums = param.Selector(default="linear", objects=["linear"], doc="How errors of glaciers are summed.")
    grouping = param.Selector(default="", objects=[""], doc="What regions are called by; '' for none.")

    def __init__(self, story, query=None):
        super().__init__()
        self.story, self.notes, self.layers = story, [], dict(story.layers)
        self.param.sums.objects = story.book.sums
        self.param.grouping.objects = ["", *self.layers]
        self.sums = story.book.sums[-1] if story.book.calibrated else "linear"
        self.grouping = next(iter(self.layers), "")
        self.filter = Filter()
        self._views, self._news = None, set()  # what changed and is not drawn yet
        self.read(address() if query is None else query)
        self.filter.param.watch(self._changed, [*CONDITIONS])
        self.param.watch(self._regrouped, "grouping")
        self.param.watch(self._changed, ["view", "glacier", "sums", "grouping"])

    # ---- what is chosen ----

    @property
    def assessment(self):
        """What `change.assess` found; None of one date."""
        return self.story.assessment

    @property
    def glaciers(self):
        """All glaciers, a row each, with their `region` of the grouping."""
        if not self.grouping:
            return self.story.glaciers
        return self.story.glaciers.assign(region=self.layers[self.grouping])

    @property
    def chosen(self):
        """Whether each of `glaciers` passes the filter, as an array of bool."""
        return self.filter.passes(self.glaciers)

    @property
    def table(self):
        """The chosen glaciers, by id: name, region, areas, change, errors."""
        return self.rows(self.chosen)

    def rows(self, chosen):
        """Some glaciers as a table without outlines."""
        return pd.DataFrame(self.glaciers.loc[chosen, ["name", "region", *OF_A_GLACIER]])

    @property
    def outlines(self):
        """The chosen glaciers with their outlines of the last date that has them, their `outline_date`."""
        chosen = self.glaciers.loc[self.chosen, ["name", "region", *OF_A_GLACIER, "outline_date", "last"]]
        found = chosen.set_geometry("last", crs=self.glaciers.crs).rename_geometry("geometry")
        return found[~found.geometry.isna()].reset_index()

    @property
    def series(self):
        """The sum of the chosen glaciers at each date (`change.area_series`), errors summed by `sums`.

        Glaciers that divided from others, or joined them, count where the others are chosen too. `glaciers`
        says how many have an area there.
        """
        chosen = whole(self._in_book(self.chosen), self.story.families[1])
        found = series_total(self.story.book, chosen, self.sums)
        there = dict(zip(self.story.labels, self.story.there[chosen].sum(axis=0), strict=True))
        return found.assign(glaciers=[int(there[label]) for label in found["window"]])

    @property
    def trend(self):
        """The row of `trend` of that sum; None of fewer than three dates."""
        return trend_of(self.series)

    @property
    def totals(self):
        """The change of the chosen glaciers from the first date to the last: all together, and by region.

        A row for each group and each way to sum errors, see `change.totals.change_total`, with the numbers of
        its glaciers that are `chosen`, and that have an area at the first date (`glaciers_1`), at the last
        (`glaciers_2`), or only between them (`glaciers_between`). Those that divided from others outside the
        group, or joined them, are in no sum (`apart`), or in none but this one (`apart_between`).

        None of one date.
        """
        if len(self.story.labels) < 2:
            return None
        groups = self._groups()
        summed = {name: whole(self._in_book(own), self.story.families[0]) for name, own in groups.items()}
        found = change_total(self.story.book, summed)
        numbers = pd.DataFrame({name: self._numbers(own) for name, own in groups.items()}).T
        return found.join(numbers, on="group")

    def _groups(self):
        """{name: whether each glacier is chosen and in the group}: all together, and by region."""
        chosen = self.chosen
        groups = {TOTAL: chosen}
        if self.grouping:
            regions = self.glaciers["region"].to_numpy()
            names = sorted({*regions[chosen]}, key=lambda name: (name == "", name))
            groups |= {name or "in no region": chosen & (regions == name) for name in names}
        return groups

    def _numbers(self, own):
        """How many glaciers of a group have an area when."""
        book, there = self._in_book(own), self.story.there
        first, last = there[:, 0], there[:, -1]
        by_ends, by_steps = (whole(book, each) for each in self.story.families)
        at_ends, between = book & (first | last), book & there.any(axis=1) & ~first & ~last
        numbers = {
            "chosen": own, "glaciers_1": by_ends & first, "glaciers_2": by_ends & last,
            "glaciers_between": between & by_steps, "apart": (at_ends & ~by_ends) | (between & ~by_steps),
            "apart_between": at_ends & by_ends & ~by_steps,
        }  # fmt: skip
        return {name: int(each.sum()) for name, each in numbers.items()}

    def _in_book(self, chosen):
        """The same for the glaciers that have areas, which come first."""
        return np.asarray(chosen)[: len(self.story.book.glaciers)]

    @property
    def told(self):
        """How many glaciers are chosen, in words."""
        number, every = int(self.chosen.sum()), len(self.story.glaciers)
        if not self.filter.is_set:
            return f"all {every} glaciers"
        return (
            f"{number} of {every} glaciers" if number else f"0 of {every} glaciers: nothing passes the filter"
        )

    # ---- regions that someone hands in ----

    def add_regions(self, regions, called="uploaded"):
        """Group by another layer of polygons, in this session alone."""
        found = grouped_by(self.story.glaciers, regions, called)
        self.layers |= found
        self.param.grouping.objects = ["", *self.layers]
        self.param.update(grouping=next(iter(found)))

    def _regrouped(self, event):
        self.filter.region = []  # names of the regions before, which no glacier is in now

    # ---- files ----

    def csv(self):
        """The chosen glaciers as a CSV file's bytes."""
        return io.BytesIO(self.table.to_csv().encode("utf-8"))

    def geopackage(self):
        """The chosen glaciers with their last outlines as a GeoPackage's bytes."""
        with tempfile.TemporaryDirectory(prefix="glacierlab-") as folder:
            path = Path(folder, "glaciers.gpkg")
            write_outlines(self.outlines, path)
            return io.BytesIO(path.read_bytes())

    def png(self):
        """Areas of the chosen glaciers through time as a picture's bytes."""
        from ..report.pages import png
        from ..viz.change import series_figure

        own = self.story.series[self.story.series["glacier"].isin(self.glaciers.index[self.chosen])]
        series = pd.concat([self.series, own], ignore_index=True)
        if series.empty:
            raise GlacierlabError("No glacier is chosen: there is nothing to draw.")
        return io.BytesIO(png(series_figure(series, title=f"Area through time, {self.told}")))

    # ---- the address ----

    def read(self, query):
        """Take the state from the query of an address; what it cannot say goes into `notes`."""
        self.filter, self.notes = Filter.from_query(query)
        texts = {name: values[0][:LONGEST] for name, values in read_query(query).items()}
        for name in ("view", "sums", "grouping"):
            if name in texts and texts[name] in self.param[name].objects:
                setattr(self, name, texts[name])
            elif name in texts:
                self.notes.append(f"The address asks for a {name} that is not here: it is left out.")
        asked = next((texts[name] for name in ASKED_BY if name in texts), None)
        if asked is not None:
            found = self.story.find(asked)
            self.glacier, self.view = (asked, "overview") if found is None else (found, "glacier")
            if found is None:
                self.glacier = ""
                self.notes.append(f"No glacier here is called “{asked}”.")
        elif self.view == "glacier":
            self.view = "overview"

    @property
    def query(self):
        """The state as the query of an address, to be shared; "" where all is as at first."""
        own = []
        if self.view == "glacier":
            own.append(("rgi_id" if self._by == "rgi_id" else "glacier", self.glacier))
        elif self.view != VIEWS[0]:
            own.append(("view", self.view))
        if self.sums != (self.story.book.sums[-1] if self.story.book.calibrated else "linear"):
            own.append(("sums", self.sums))
        if self.grouping != next(iter(self.layers), "") and self.grouping in self.story.layers:
            own.append(("grouping", self.grouping))
        found = "&".join(filter(None, [urlencode(own), self.filter.to_query()]))
        return f"?{found}" if found else ""

    @property
    def _by(self):
        return "glacier" if self.assessment is None else self.assessment.by

    def open(self, name):
        """Show the page of a glacier by an id or a name; whether there is one."""
        found = self.story.find(str(name).strip())
        if found is None:
            named = self.story.glaciers["name"].str.lower() == str(name).strip().lower()
            found = next(iter(self.story.glaciers.index[named & bool(str(name).strip())]), None)
        if found is not None:
            self.param.update(glacier=found, view="glacier")
        return found is not None

    # ---- the screen ----

    def _changed(self, *events):
        if self._views is None:
            return
        told, self._news = self._news, self._news | {event.name for event in events}
        if not told:
            later(self._show)

    def _show(self):
        """Draw all that has changed since it was last drawn."""
        news, self._news = self._news, set()
        self._views.update(news)
        write_address(self.query)

    def __panel__(self):
        if self._views is None:
            from .views import Views

            self._views = Views(self)
        return self._views.panel

    def page(self, title="Glacier change", links=None):
        """The dashboard as a page of its own, for a server; light, or dark as the address says."""
        return gallery.page(self, title, links)


def trend_of(series):
    """The row of `trend` of one series; None of fewer than three dates."""
    return trend(series).iloc[0] if len(series) > 2 else None
