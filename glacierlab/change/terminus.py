"""How far glaciers' fronts moved: along a center line, and as the mean over a box."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.ops import substring

from ..errors import GlacierlabError, InventoryError, warn
from .matching import id_column, some
from .overlaps import equal_area_crs, on_equal_areas, projected
from .tracking import dated

COLUMNS = ["glacier", "method", "date", "position_m", "since", "years", "retreat_m", "retreat_m_per_a"]


def terminus_change(inventories, *, lines=None, boxes=None, width_m=None, heading_m=500.0, by=None):
    """Retreat of glacier fronts from date to date: positive where a front went back, negative in an advance.

    With `lines`, along a center line: the front is where the line leaves the outline for the last time. With
    `width_m`, by the box method (Moon and Joughin 2008, doi:10.1029/2007JF000927): the area of the outline
    within a box of that width, divided by the width, so that the whole front counts. Both may be asked at
    once.

    Parameters
    ----------
    inventories : dict or sequence of geopandas.GeoDataFrame
        Outlines by date, as `track` takes them, one row a glacier.
    lines : shapely.LineString or geopandas.GeoDataFrame, optional
        Center lines, drawn from the head down to the front: one of one glacier, in the CRS of the first table
        given, or a table as `outlines.centerlines` makes it, with the glacier's id (in the column `by`, else
        `rgi_id`) and, where there are tributaries, `is_main`. Past its end a line goes straight on, so that
        advances are seen.
    boxes : shapely.Polygon or geopandas.GeoDataFrame, optional
        Boxes across the fronts, given as `lines` are. By default a band along the line from one width above
        the farthest retreat (assumption); without lines the whole outline, whose sides then count too.
    width_m : float or str, optional
        Width of the boxes [m]: a number, or a column of every table with the width of the front, whose mean
        over the dates is taken (assumption).
    heading_m : float
        The last part of a line [m] that says where it goes on: 500 is an assumption.
    by : str, optional
        The column that names a glacier; by default the first of rgi_id, glims_id, glac_id, glacier_id,
        local_id, glac_name, glacier that all tables have.

    Returns
    -------
    pandas.DataFrame
        A row a glacier, `method` ("centerline" or "box") and `date`: `position_m` of the front, along the
        line from its head, or of the mean front along the box [m]; `since`, the date before, the `years`
        between their middles, `retreat_m` and `retreat_m_per_a` since then; '' and NaN at the first.

    Raises
    ------
    InventoryError
        As `track`; ids that are missing or there twice; no lines or boxes; a width that is none; no glacier
        that lies where it did at the date before.
    GlacierlabError
        Neither `lines` nor `width_m`; boxes without a width; one line for several glaciers.

    Warns
    -----
    DataWarning
        Glaciers without a line or box, and outlines that theirs does not touch: they have no position.
        Glaciers that are elsewhere than at the date before.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> def tongue(end):
    ...     outline = shapely.box(500_000, 0, 500_000 + end, 300)
    ...     return gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[outline], crs="EPSG:32632")
    >>> axis = shapely.LineString([(500_000, 150), (502_000, 150)])
    >>> found = terminus_change({2000: tongue(2000), 2010: tongue(1500)}, lines=axis, width_m=200)
    >>> found[["method", "retreat_m", "retreat_m_per_a"]].round(1).dropna().values.tolist()
    [['centerline', 500.2, 50.0], ['box', 500.2, 50.0]]
    """
    if boxes is not None and width_m is None:
        raise GlacierlabError("The area in a box becomes a length by the box's width: say width_m=.")
    if lines is None and width_m is None:
        raise GlacierlabError("terminus_change needs lines=, or width_m= for the box method, or both.")
    if not heading_m > 0:
        raise GlacierlabError(f"heading_m={heading_m} is no length: give meters above 0.")
    labels, middles, tables = dated(inventories, "terminus_change")
    column = id_column(tables, by)
    outlines = gathered(tables, column, width_m)
    require_same_places(outlines)
    names = outlines.glacier.unique()
    lines = by_glacier(lines, "lines", column, names, tables[0].crs, outlines.crs)
    boxes = by_glacier(boxes, "boxes", column, names, tables[0].crs, outlines.crs)
    rows = []
    for name, own in outlines.groupby("glacier", sort=False):
        rows += fronts(name, own, lines.get(name), boxes.get(name), width_m is not None, heading_m)
    return with_retreat(
        pd.DataFrame(rows, columns=["glacier", "method", "step", "position_m"]), labels, middles
    )


def gathered(tables, column, width_m):
    """A row a glacier and date, in one projection: glacier, step (of the dates), width, geometry."""
    shapes, crs = on_equal_areas(tables, "terminus_change")
    rows = pd.concat(
        [
            pd.DataFrame({"glacier": table[column].to_numpy(), "step": step, "width": widths(table, width_m)})
            for step, table in enumerate(tables)
        ],
        ignore_index=True,
    )
    rows["width"] = rows.groupby("glacier").width.transform("mean")
    return gpd.GeoDataFrame(rows, geometry=np.concatenate(shapes), crs=crs)


def require_same_places(outlines):
    """InventoryError where no glacier touches its outline of the date before; a warning where some do not."""
    seen = [(name, own.geometry.values) for name, own in outlines.groupby("glacier", sort=False)]
    seen = [(name, shapes) for name, shapes in seen if len(shapes) > 1]
    moved = [name for name, shapes in seen if not shapely.intersects(shapes[1:], shapes[:-1]).all()]
    if not moved:
        return
    told = f"{len(moved)} of {len(seen)} glaciers do not touch their outline of the date before"
    if len(moved) == len(seen):
        raise InventoryError(f"{told} ({some(moved)}): these are other places, or a CRS or id is wrong.")
    warn(f"{told}: is what {some(moved)} names one glacier?")


def widths(table, width_m):
    """The width of the box [m] of each row; InventoryError where it is none."""
    if isinstance(width_m, str) and width_m not in table:
        raise InventoryError(f"width_m: no column {width_m!r}, but {list(table.columns)}.")
    values = pd.to_numeric(table[width_m], errors="coerce") if isinstance(width_m, str) else width_m
    found = np.full(len(table), np.nan if width_m is None else values, float)
    if width_m is not None and not (np.isfinite(found) & (found > 0)).all():
        wrong = next(value for value in found if not (np.isfinite(value) and value > 0))
        raise InventoryError(f"width_m is {wrong:g} for a glacier, and a width is above 0 m.")
    return found


def by_glacier(given, what, column, names, own_crs, crs):
    """Lines or boxes by glacier, in a CRS; `own_crs` is that of one without a table."""
    wanted = {"lines": ["LineString"], "boxes": ["Polygon", "MultiPolygon"]}[what]
    if given is None:
        return {}
    if isinstance(given, shapely.Geometry):
        if len(names) != 1:
            raise GlacierlabError(
                f"{what}: one {given.geom_type} for {len(names)} glaciers; give a table of them."
            )
        given = gpd.GeoDataFrame({column: names}, geometry=[given], crs=own_crs)
    if not hasattr(given, "geometry") or given.crs is None:
        raise InventoryError(
            f"{what} are a {wanted[0]} or a GeoDataFrame with a CRS, not {type(given).__name__}."
        )
    if "is_main" in given:
        given = given[given.is_main.astype(bool)]
    if not given.geom_type.isin(wanted).all() or given.geometry.is_empty.any():
        found = sorted(set(given.geom_type.dropna()) - {*wanted}) or "no geometry"
        raise InventoryError(f"{what} are {wanted[0]}s, and some are {found}.")
    if points := given.index[shapely.length(given.geometry.values) == 0].tolist():
        raise InventoryError(f"{what} have no length in rows {some(points)} and head nowhere: draw them.")
    own = next((name for name in (column, "rgi_id") if name in given), None)
    if own is None:
        raise InventoryError(
            f"{what} have no column {column!r} that says whose they are: {list(given.columns)}."
        )
    if twice := given[own][given[own].duplicated()].unique().tolist():
        raise InventoryError(f"{what}: {some(twice)} have several. Keep the main one of each.")
    if lacking := [name for name in names if name not in set(given[own])]:
        warn(f"{what}: {len(lacking)} of {len(names)} glaciers have none, and no position: {some(lacking)}.")
    return dict(zip(given[own], given.geometry.to_crs(crs), strict=True))


def fronts(name, outlines, line, box, by_box, heading_m):
    """(glacier, method, step, position) of a glacier's `gathered` rows, on a projection of its own."""
    crs = equal_area_crs(outlines)
    shapes, width = projected(outlines.geometry, crs), outlines.width.iloc[0]
    line, box = (
        None if each is None else gpd.GeoSeries([each], crs=outlines.crs).to_crs(crs)[0]
        for each in (line, box)
    )
    found = {}
    if line is not None:
        reach = np.hypot(
            *np.ptp(np.reshape([*outlines.to_crs(crs).total_bounds, *line.bounds], (4, 2)), axis=0)
        )
        longer = lengthened(line, heading_m, reach)
        found["centerline"] = np.array([front_on(line, longer, shape) for shape in shapes])
        if by_box and box is None:
            box = band(longer, found["centerline"], width)
    if by_box:
        found["box"] = np.array([mean_front(shape, box, width) for shape in shapes])
    for method, positions in found.items():
        for step, position in zip(outlines.step, positions, strict=True):
            yield name, method, step, position


def lengthened(line, heading_m, reach_m):
    """A line that goes straight on past its end, as its last `heading_m` head."""
    end = np.array(line.coords[-1][:2])
    start = np.array(line.interpolate(max(0.0, line.length - heading_m)).coords[0][:2])
    ahead = (end - start) / np.hypot(*(end - start))
    return shapely.LineString([*shapely.get_coordinates(line), end + reach_m * ahead])


def front_on(line, longer, outline):
    """How far down a line an outline ends [m]: past the line's end, where the outline reaches so far."""
    end = shapely.Point(line.coords[-1])
    if outline.distance(end) < 1e-6:
        ahead = substring(longer, line.length, longer.length).intersection(outline)
        first = [part.length for part in shapely.get_parts(ahead) if part.distance(end) < 1e-6]
        return line.length + max(first, default=0.0)
    inside = shapely.get_coordinates(line.intersection(outline))
    return shapely.line_locate_point(line, shapely.points(inside)).max() if len(inside) else np.nan


def band(line, positions, width_m):
    """A box along a line, from one width above the farthest retreat to one below the farthest advance."""
    known = positions[np.isfinite(positions)]
    if not known.size:
        return None
    axis = substring(line, max(0.0, known.min() - width_m), known.max() + width_m)
    return axis.buffer(width_m / 2, cap_style="flat", join_style="mitre")


def mean_front(outline, box, width_m):
    """The area of an outline in a box, divided by the box's width [m]; NaN if they do not touch."""
    area = (outline if box is None else outline.intersection(box)).area
    return area / width_m if area > 0 else np.nan


def with_retreat(rows, labels, middles):
    """Rows by date, and what changed since the date before that has a position."""
    missed = rows[rows.position_m.isna()]
    if len(missed):
        warn(
            f"{len(missed)} outlines do not touch their line or box and have no position, the first in "
            f"{labels[missed.step.iloc[0]]}: {some(missed.glacier.unique().tolist())}."
        )
    rows = rows.dropna(subset="position_m")
    before = rows.groupby(["glacier", "method"], sort=False)[["step", "position_m"]].shift()
    years = np.array(middles)
    since = before.step.notna().to_numpy()
    steps = before.step.fillna(0).astype(int)
    rows = rows.assign(
        date=[labels[step] for step in rows.step],
        since=[labels[step] if known else "" for step, known in zip(steps, since, strict=True)],
        years=np.where(since, years[rows.step] - years[steps], np.nan),
        retreat_m=before.position_m - rows.position_m,
    )
    return rows.assign(retreat_m_per_a=rows.retreat_m / rows.years)[COLUMNS].reset_index(drop=True)
