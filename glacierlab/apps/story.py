"""What a change dashboard tells, measured once by the package's functions and shared by all sessions."""

import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..change.assessing import DIVIDED, METHOD, Assessment, assess, ice_of, own_errors, with_errors
from ..change.dated import TOTAL, area_series
from ..change.differences import area_change
from ..change.elevations import elevation_change, halves
from ..change.grouping import regions_of
from ..change.matching import id_column
from ..change.terminus import terminus_change
from ..change.totals import Ledger, ledger
from ..change.trends import trend
from ..errors import DataWarning, GlacierlabError, InventoryError
from ..io.inventory import open_inventory
from ..io.schemas import ID_COLUMNS
from ..outlines.routes import centerlines
from .families import families
from .holdings import Holdings, held, is_date, opened
from .rows import names_of

ANY_YEAR = "2000"  # stands for the date of outlines that have none, and is shown nowhere
KEPT = 4  # stories that a process remembers: an assumption
OF_A_GLACIER = [
    "area_1_km2", "area_1_unc_km2", "area_2_km2", "area_2_unc_km2", "loss_km2", "loss_unc_km2", "loss_pct",
    "loss_unc_pct", "years", "rate_km2_per_a", "rate_unc_km2_per_a", "rate_pct_per_a", "rate_unc_pct_per_a",
    "unc_kind", "significant", "status",
]  # fmt: skip


SHARES = [name for name in OF_A_GLACIER if name.startswith(("rate_", "loss_pct", "loss_unc_pct"))]


@dataclass
class Story:
    """Areas, changes and their errors of some dates, by glacier; see `told`. Sessions share it."""

    holdings: Holdings
    assessment: Assessment | None  # None of one date
    tables: dict  # label → outlines with `glacier`, an id as text
    glaciers: gpd.GeoDataFrame  # a row a glacier, by id
    series: pd.DataFrame
    changes: pd.DataFrame  # of all pairs of dates; empty of one date
    trends: pd.DataFrame | None
    book: Ledger  # glaciers in the order of `glaciers`
    notes: list  # what the package warned of, and what is missing
    families: tuple  # of the book's glaciers, see `families`
    layers: dict = field(default_factory=dict)  # what regions are called by → name of each glacier's region
    _made: dict = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def labels(self):
        """Dates of the areas, in order."""
        return self.book.labels

    @property
    def there(self):
        """Whether each glacier of the book has an area at each date, as an array of bool."""
        return np.isfinite(self.book.year) & np.isfinite(self.book.area_km2)

    @property
    def ends(self):
        """The first and the last date."""
        return self.labels[0], self.labels[-1]

    def find(self, text):
        """The id of the glacier that any id column of any date calls so; None where there is none."""
        if text in self.glaciers.index:
            return text
        for table in self.tables.values():
            for column in ID_COLUMNS:
                if column in table and (rows := table.loc[table[column].astype(str) == text, "glacier"]).size:
                    return rows.iloc[0]
        return None

    def trend_of(self, name):
        """A glacier's row of `trends`; None where a date lacks it, or it was divided or joined."""
        if self.trends is None or not self.there[self.book.glaciers == name].all():
            return None
        own = self.changes[self.changes["glacier"] == name]
        rows = self.trends[self.trends["glacier"] == name]
        return None if own["status"].isin(DIVIDED.values()).any() or rows.empty else rows.iloc[0]

    def is_alone(self, name):
        """Whether a glacier neither divided nor joined others: its front is then one through all dates."""
        own = self.families[1][self.book.glaciers == name]
        return np.isin(self.families[1], own).sum() < 2

    # ---- measured when they are first asked for

    def once(self, name, make):
        """What `make` gives, made once; what the package warns of meanwhile becomes a note."""
        with self._lock:
            if name not in self._made:
                self._made[name], notes = listening(make)
                self.notes += [note for note in notes if note not in self.notes]
            return self._made[name]

    def is_made(self, name):
        """Whether it has been measured."""
        return name in self._made

    def has_fronts(self, names):
        """Whether the fronts of all of these have been measured."""
        return {*names} <= {*self._made.get("fronts", ())}

    def bands(self, label):
        """Areas of a date by elevation: glacier, from_m, to_m, area_km2; NaN: unknown. None without a DEM."""
        if self.holdings.dem is None or label not in self.tables:
            return None
        return self.once(("bands", label), lambda: self._bands(label))

    def _bands(self, label):
        labels = [*self.tables]
        if (
            label in (labels[0], labels[-1])
            and self.assessment is not None
            and self.assessment.bands is not None
        ):
            found = self.assessment.bands
            found = found.assign(glacier=found["glacier"].astype(str))
        else:
            found = elevation_change(
                self.tables[labels[0]], self.tables[label], self.holdings.dem, by="glacier"
            )
        area = "area_1_km2" if label == labels[0] else "area_2_km2"
        rows = found[found["glacier"] != TOTAL]
        return rows[["glacier", "from_m", "to_m", area]].rename(columns={area: "area_km2"})

    def zones(self):
        """Areas below and above each glacier's median elevation (`halves`), first and last; else None."""
        if self.holdings.dem is None or len(self.tables) < 2:
            return None
        first, *_, last = (table[["glacier", "geometry"]] for table in self.tables.values())
        found = self.once("zones", lambda: halves(first, last, self.holdings.dem))
        return found.assign(glacier=found["glacier"].astype(str))

    def retreat(self, names):
        """`terminus_change` of some glaciers along their main center lines; None without a DEM or dates."""
        if self.holdings.dem is None or len(self.tables) < 2:
            return None
        names = [name for name in names if name in self.glaciers.index]
        with self._lock:
            known = self._made.setdefault("fronts", {})
            if missing := [name for name in names if name not in known]:
                rows, notes = listening(lambda: self._retreat(missing))
                known |= {name: rows[rows["glacier"] == name] for name in missing}
                self.notes += [note for note in notes if note not in self.notes]
            return pd.concat([known[name] for name in names]) if names else None

    def _retreat(self, names):
        outlines = self.glaciers.loc[names, ["geometry"]].assign(rgi_id=names)
        lines = centerlines(outlines[~outlines.geometry.isna()], self.holdings.dem)
        tables = {
            label: table[table["glacier"].isin(lines["rgi_id"])] for label, table in self.tables.items()
        }
        tables = {label: table for label, table in tables.items() if len(table)}
        if not tables:
            return pd.DataFrame({"glacier": []}, dtype=object)
        return terminus_change(tables, lines=lines.rename(columns={"rgi_id": "glacier"}), by="glacier")


def told(inventories, series=None, dem=None, regions=None, **asked):
    """Measure a `Story`, or take the one that was measured of the same before.

    Parameters
    ----------
    inventories : dict or list of geopandas.GeoDataFrame, path, list of paths, or Holdings
        Outlines by date.
    series : pandas.DataFrame, optional
        Areas through time instead of those measured here, by the same ids.
    dem : xarray.DataArray or path, optional
        Elevation (y, x) [m].
    regions : geopandas.GeoDataFrame, path, or dict of them by what they are called, optional
        Polygons, such as basins, that glaciers are grouped by.
    **asked
        by, years, method, pixel_m: of `change.assess`.

    Raises
    ------
    InventoryError
        As `assess`; or there are no outlines at all.
    """
    key = key_of(inventories, series, dem, regions, asked)
    if key in _TOLD:
        _TOLD.move_to_end(key)
        return _TOLD[key][0]
    read = opened(inventories)  # with what is known of files
    base = (
        held(outlines=inventories, series=series, dem=dem)
        if read is None
        else held(read, None, None, dem, series)
    )
    story = measured(base, regions, asked)
    if key is not None:
        _TOLD[key] = story, inventories
        while len(_TOLD) > KEPT:
            _TOLD.popitem(last=False)
    return story


_TOLD = OrderedDict()  # key → (story, what it was told of: held, so that no other gets its id)


def key_of(inventories, series, dem, regions, asked):
    """What tells one story from another; None of tables in memory, which may have changed since."""
    paths = [series, dem, regions]
    if isinstance(inventories, Holdings):
        own = id(inventories)
    else:
        own, more = "", inventories if isinstance(inventories, list | tuple) else [inventories]
        paths += more
    if not all(path is None or isinstance(path, str | Path) for path in paths):
        return None
    return own, repr(sorted(asked.items())), tuple(map(state_of, paths))


def state_of(path):
    """A file or folder, and when it was last written; None of None."""
    if path is None or not Path(path).exists():
        return path
    files = [Path(path), *(Path(path).rglob("*") if Path(path).is_dir() else ())]
    return str(Path(path).resolve()), max(file.stat().st_mtime_ns for file in files)


def listening(make):
    """(result, texts of the DataWarnings meanwhile)."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", DataWarning)
        made = make()
    return made, [str(each.message) for each in heard if issubclass(each.category, DataWarning)]


def measured(holdings, regions=None, asked=None):
    """The `Story` of some holdings."""
    outlines, notes = told_about(holdings.outlines)
    (found, tables, by, *areas), heard = listening(lambda: assessed(outlines, holdings.dem, asked or {}))
    tables = {label: with_text_ids(table, by) for label, table in tables.items()}
    dated = any(map(is_date, tables))
    if holdings.series is not None:
        given = in_text(area_series(holdings.series))
        if {*given["glacier"]}.intersection(*(table["glacier"] for table in tables.values())):
            areas, more = listening(lambda: of_series(given))
            dated, heard = True, heard + more
        else:
            notes.append("The table of areas names none of the glaciers that have outlines: it is left out.")
    series, changes, trends = (None if table is None else in_text(table) for table in areas)
    book = ledger(series)
    if not dated:
        book, series = replace(book, labels=[*tables]), series.assign(window=next(iter(tables)))
    glaciers = glaciers_of(tables, book, changes)
    kin = families(found, book.glaciers)
    story = Story(holdings, found, tables, glaciers, series, changes, trends, book, notes + heard, kin)
    story.layers = layers_of(story.glaciers, regions)
    return story


def told_about(tables):
    """({label: outlines}, notes): those of all dates, else the first that there are; notes on the others."""
    filled = {label: table for label, table in tables.items() if len(table)}
    shown = {label: table for label, table in filled.items() if is_date(label)} or dict([*filled.items()][:1])
    if not shown:
        raise InventoryError("A dashboard of change needs outlines: give inventories by date.")
    notes = []
    if left_out := [label for label in tables if label not in shown]:
        notes.append(f"Outlines without a date, or without a row, are left out: {', '.join(left_out)}.")
    if len(shown) == 1:
        (label,) = shown
        told = "of one date alone" if is_date(label) else "without a date alone"
        notes.append(f"Outlines {told}, {label}: a change needs two dates.")
    return shown, notes


def assessed(outlines, dem, asked):
    """(assessment, tables, by, series, changes, trends) of outlines by date; without change of one date."""
    if len(outlines) == 1:
        none = pd.DataFrame(columns=["glacier", "date_1", "date_2", *OF_A_GLACIER])
        return *of_one_date(outlines, asked), none, None
    found = assess(outlines, dem=dem, **asked)
    tables = dict(zip(found.labels, found.inventories, strict=True))
    return found, tables, found.by, found.series, found.changes, found.trends


def of_one_date(outlines, asked):
    """(None, tables, by, series) of one inventory."""
    ((label, table),) = outlines.items()
    method = asked.get("method") or METHOD
    (table,) = with_errors([ice_of(table, label)], method, asked.get("pixel_m"))
    table = own_errors(table)
    try:
        by = id_column([table], asked.get("by"))
    except InventoryError:
        table, by = table.assign(glacier=np.arange(1, len(table) + 1)), "glacier"
    dated = {label: table} if is_date(label) else [table.assign(window=ANY_YEAR)]
    return None, {label: table}, by, area_series(dated, by=by)


def of_series(series):
    """(series, changes, trends) of a table of areas that was given."""
    dates = series.loc[series["glacier"] != TOTAL, "window"].where(lambda text: text != "", series["date"])
    several = dates.nunique() > 1
    glaciers = series[series["glacier"] != TOTAL]
    changes = area_change(glaciers, missing="vanished") if several else pd.DataFrame(
        columns=["glacier", "date_1", "date_2", *OF_A_GLACIER]
    )  # fmt: skip
    return series, changes, trend(series) if dates.nunique() > 2 else None


def in_text(table):
    """A table whose glaciers are called by text."""
    return table.assign(glacier=table["glacier"].astype(str))


def with_text_ids(table, by):
    """Outlines with `glacier` and `name` as text, and the id columns that a page may be asked for by."""
    ids = [column for column in ID_COLUMNS if column in table]
    columns = dict.fromkeys(
        [*ids, *(name for name in ("zmin_m", "zmed_m", "zmax_m", "src_date") if name in table)]
    )
    return gpd.GeoDataFrame(
        table[[*columns]].assign(glacier=table[by].astype(str), name=names_of(table)),
        geometry=table.geometry.values,
        crs=table.crs,
    ).reset_index(drop=True)


def glaciers_of(tables, book, changes):
    """A row a glacier, by its id: name, areas and change from the first date to the last, both outlines."""
    every = pd.concat(
        [table[["glacier", "name", "geometry"]].assign(date=label) for label, table in tables.items()],
        ignore_index=True,
    )
    outlines = every.drop_duplicates("glacier").set_index("glacier")
    named = every[every["name"] != ""].drop_duplicates("glacier").set_index("glacier")["name"]
    latest = every.drop_duplicates("glacier", keep="last").set_index("glacier")
    ids = book.glaciers.append(outlines.index.difference(book.glaciers, sort=False))
    ends = book.labels[0], book.labels[-1]
    whole = changes[(changes["date_1"] == ends[0]) & (changes["date_2"] == ends[1])]
    whole = whole[whole["glacier"] != TOTAL].drop_duplicates("glacier").set_index("glacier")
    found = gpd.GeoDataFrame(
        whole[OF_A_GLACIER].reindex(ids), geometry=outlines.geometry.reindex(ids), crs=every.crs
    )
    found.index.name = "glacier"
    if len(book.labels) == 1:
        errors = np.hypot(book.independent_km2, book.correlated_km2)[:, 0]
        found = found.assign(
            area_1_km2=pd.Series(book.area_km2[:, 0], book.glaciers).reindex(ids),
            area_1_unc_km2=pd.Series(errors, book.glaciers).reindex(ids),
            unc_kind=pd.Series(book.kind[:, 0], book.glaciers).reindex(ids),
        )
    areas = pd.DataFrame(book.area_km2, book.glaciers)
    size = areas.where(areas > 0).bfill(axis=1)[0].reindex(ids)
    middles = shapely.point_on_surface(found.geometry.values)
    divided = found["status"].isin(DIVIDED.values())
    found[[*SHARES]] = found[[*SHARES]].mask(divided)  # of which glacier would they be?
    return found.assign(
        significant=found["significant"].astype("boolean"),
        status=found["status"].fillna(""),
        unc_kind=found["unc_kind"].fillna(""),
        name=named.reindex(ids).fillna(""),
        size_km2=size,
        region="",
        last=latest.geometry.reindex(ids),
        outline_date=latest["date"].reindex(ids),
        x=shapely.get_x(middles),
        y=shapely.get_y(middles),
    )


def layers_of(glaciers, regions):
    """{what regions are called by: the region of each glacier}, of a layer, a path, or several by name."""
    if regions is None:
        return {}
    several = regions if isinstance(regions, dict) else {None: regions}
    found = {}
    for called, layer in several.items():
        layer = open_inventory(layer) if isinstance(layer, str | Path) else layer
        if not hasattr(layer, "geometry"):
            raise GlacierlabError(f"Regions are a GeoDataFrame or a file, not {type(layer).__name__}.")
        found |= grouped_by(glaciers, layer, called)
    return found


def grouped_by(glaciers, layer, called=None):
    """{what the regions are called by: the region of each glacier, "" where none lies}."""
    outlined = glaciers[~glaciers.geometry.isna()]
    names = regions_of(outlined[["geometry"]], layer)
    return {str(called or names.name): names.reindex(glaciers.index).fillna("")}
