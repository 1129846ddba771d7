"""A folder with everything about the change between dates, and the page that tells it."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from ..change.assessing import assess
from ..change.overlaps import equal_area_crs
from ..io.align import open_layer
from ..io.write import whole_folder, write_outlines, write_raster, write_text
from ..viz.change import change_figure, hypsometry_figure, loss_figure, series_figure
from .pages import as_data_uri, made_by, png, render

SHOWN_GLACIERS = 20
MARGIN = 0.1  # of the longer side, by which the DEM that is kept reaches beyond the outlines
SIDES = {"both": "kept", "ours": "lost", "other": "gained"}
TABLES = ("series", "changes", "trends", "events", "bands", "findings")
PICTURES = ("change_map", "series", "losses", "hypsometry")


def write_change(folder, inventories, *, title="Glacier change", **asked):
    """Write what changed between inventories: tables, figures, a map, and a page that tells it.

    Parameters
    ----------
    folder : path
        Made if needed. It gets `series.csv`, `changes.csv`, `trends.csv`, `events.csv`, `bands.csv` (with a
        DEM), `findings.csv`, `dem.tif` (the DEM around the outlines), `change.gpkg` (what was kept, lost and
        gained between the first and the last date), `glaciers.gpkg` (every date's outlines with areas and
        errors), pictures, and `report.html`.
    inventories : dict or list of geopandas.GeoDataFrame
        As `change.assess` takes them.
    title : str
    **asked
        by, years, method, pixel_m, dem: of `change.assess`.

    Returns
    -------
    Assessment

    Raises
    ------
    InventoryError, GridError, WriteError

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = write_change(folder, {year: world.outlines(year) for year in world.years}, pixel_m=30)
    ...     print(sorted(path.name for path in Path(folder).glob("*.csv")))
    ['changes.csv', 'events.csv', 'findings.csv', 'series.csv']
    """
    found = assess(inventories, **asked)
    figures = figures_of(found)
    pictures = {name: png(figure) for name, figure in figures.items()}
    with whole_folder(folder, last="report.html") as staged:
        for name in TABLES:
            table = getattr(found, name)
            if table is not None:
                write_text(table.to_csv(index=False), staged / f"{name}.csv")
        ground = found.ground.assign(change=found.ground["mapped_by"].map(SIDES)).drop(columns="mapped_by")
        write_outlines(ground, staged / "change.gpkg")
        write_outlines(all_dates(found), staged / "glaciers.gpkg")
        if (dem := dem_around(asked.get("dem"), found.inventories)) is not None:
            write_raster(dem, staged / "dem.tif")
        for name, picture in pictures.items():
            (staged / f"{name}.png").write_bytes(picture)
        write_text(page_of(found, pictures, title), staged / "report.html")
        remove_tables_and_pictures(Path(folder))
    return found


def remove_tables_and_pictures(folder):
    """Away with what an earlier run left that this one may not write, such as bands without a DEM."""
    for name in ["dem.tif", *(f"{name}.csv" for name in TABLES), *(f"{name}.png" for name in PICTURES)]:
        (folder / name).unlink(missing_ok=True)


def all_dates(found):
    """Every date's outlines in one table, in the CRS of the first."""
    crs = found.inventories[0].crs
    columns = [found.by, "area_km2", "area_unc_km2", "area_unc_kind"]
    tables = [
        gpd.GeoDataFrame(table[columns], geometry=table.geometry.values).to_crs(crs).assign(date=label)
        for label, table in zip(found.labels, found.inventories, strict=True)
    ]
    return gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=crs)


def dem_around(dem, inventories):
    """A DEM (y, x) [m] as far as outlines reach, and a margin; None where there is none of them."""
    if dem is None:
        return None
    dem = open_layer(Path(dem), "elevation", None) if isinstance(dem, str | Path) else dem
    crs = dem.rio.crs.to_wkt()
    edges = np.array([table.to_crs(crs).total_bounds for table in inventories if len(table)])
    low, high = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    margin = MARGIN * (high - low).max()
    inside = {
        dim: np.flatnonzero((low[at] - margin <= dem[dim].values) & (dem[dim].values <= high[at] + margin))
        for at, dim in enumerate(("x", "y"))
    }
    if min(map(len, inside.values())) < 2:
        return None
    return dem.isel(inside).transpose("y", "x").rename("elevation")


def figures_of(found):
    """The pictures of an assessment, by name."""
    ends = found.labels[0], found.labels[-1]
    span = f"{ends[0]} to {ends[1]}"
    ground = found.ground.to_crs(equal_area_crs(found.ground))
    figures = {
        "change_map": change_figure(ground, ends, f"Ice of {span}"),
        "series": series_figure(found.series, found.trends, "Area through time"),
        "losses": loss_figure(first_to_last(found), f"Losses {span}"),
    }
    if found.bands is not None and found.bands["from_m"].notna().any():  # else the DEM lies elsewhere
        figures["hypsometry"] = hypsometry_figure(found.bands, ends, title=f"Area by elevation, {span}")
    return figures


def page_of(found, pictures, title):
    """The page as HTML."""
    totals, whole = found.changes[found.changes["glacier"] == "total"], first_to_last(found)
    first = totals.index.isin(whole.index)
    totals = pd.concat([totals[first], totals[~first]])  # steps between come after the whole
    sums = whole[whole["glacier"] == "total"].drop_duplicates("errors_summed").set_index("errors_summed")
    told = "parts" if "parts" in sums.index else sums.index[0]
    glaciers = whole[whole["glacier"] != "total"].drop_duplicates("glacier")
    order = glaciers["loss_km2"].abs().sort_values(ascending=False).index
    return render(
        "change.html",
        title=title,
        labels=found.labels,
        headline=sums.loc[told].to_dict() | {"errors_summed": told},
        totals=totals.to_dict("records"),
        glaciers=glaciers.loc[order[:SHOWN_GLACIERS]].to_dict("records"),
        conventions=totals["years_by"].nunique(),
        count=len(glaciers),
        trend=None if found.trends is None else trend_of(found),
        events=found.events["event"].value_counts().drop("continue", errors="ignore").to_dict(),
        findings=counted(found.findings, ["date", "severity", "finding"]),
        meaning=found.changes.attrs.get("significant", {}),
        pictures={name: as_data_uri(picture) for name, picture in pictures.items()},
        facts=provenance(found),
    )


def first_to_last(found):
    """The changes from the first date to the last."""
    changes = found.changes
    return changes[(changes["date_1"] == found.labels[0]) & (changes["date_2"] == found.labels[-1])]


def counted(table, columns):
    """Rows of a table by what they say, with their number as `count`."""
    return table.groupby(columns).size().reset_index(name="count").to_dict("records")


def trend_of(found):
    """The line through all totals."""
    return found.trends[found.trends["glacier"] == "total"].iloc[0].to_dict()


def provenance(found):
    """What the page was made of, as {name: text}."""
    errors = {table.attrs.get("area_unc", "as the tables say") for table in found.inventories}
    return {
        "glaciers told apart by": found.by,
        "inventories": "; ".join(
            f"{label}: {len(table)} outlines"
            for label, table in zip(found.labels, found.inventories, strict=True)
        ),
        "errors of areas": "; ".join(sorted(errors)),
        "years between dates": ", ".join(found.changes["years_by"].unique()) or "not counted",
        **made_by(),
    }
