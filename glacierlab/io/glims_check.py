"""What is wrong with a submission to GLIMS."""

from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..tables import GLIMS_FILES
from .analyses import LINE_TYPES, joined
from .bands import one_line
from .dates import iso_dates
from .glims import id_point
from .layers import WGS84, geodesic_area_km2
from .shapes import beside

LINKS = (
    ("polygons", "session_id", "session"),
    ("polygons", "image_id", "image"),
    ("polygons", "glac_id", "glaciers"),
    ("glaciers", "glac_id", "polygons"),
)  # a file, its column, and the file that must have the same
NEAR_KM = 0.2  # between a glacier and its id's point, a thousandth of a degree wide: an assumption
LEAST_OVERLAP = 0.001  # of the smaller of two glaciers: an assumption


def check_glims(folder):
    """What is wrong with a submission to GLIMS.

    Ids are well-formed and lie in their glaciers; every polygon has a session, an image of its date and, of
    rock and debris, a boundary around it; columns, dates and areas are there; no glacier is there twice at
    one date or overlaps another; all is in WGS84.

    Parameters
    ----------
    folder : path
        As `write_glims` writes it.

    Returns
    -------
    pandas.DataFrame
        Findings: `file`, `row` (-1 for the whole file), `finding`. Empty where nothing is wrong.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> glaciers = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> glaciers = glaciers.assign(src_date="2020-08-15")
    >>> images = [{"orig_id": "made-2020", "inst_name": "OLI", "acq_time": "2020-08-15"}]
    >>> told = dict(analysts="Doe, Ana", method="made", images=images)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     findings = check_glims(gl.write_glims(folder, glaciers, **told))
    >>> len(findings)
    0
    """
    tables, findings = {}, []
    for name, about in GLIMS_FILES.items():
        tables[name], wrong = read_checked(Path(folder) / f"{name}.shp", about)
        findings += [(name, *one) for one in wrong]
    if all(table is not None for table in tables.values()):
        for name, column, other in LINKS:
            findings += unmatched(tables, name, column, other)
        for check in (check_ids, check_dates, check_insides, check_areas, check_rivals):
            findings += check(**tables)
    return pd.DataFrame(findings, columns=["file", "row", "finding"])


def read_checked(path, about):
    """A shapefile of a submission, None where it cannot be used, and findings (row, text) about it alone."""
    try:
        table = gpd.read_file(path)
    except Exception as error:
        return None, [(-1, f"cannot be read: {one_line(error)}" if path.exists() else "is missing")]
    wrong = []
    if missing := [name for name in about.required if name not in table]:
        wrong.append((-1, f"lacks the columns {missing}"))
    if table.crs is None or not table.crs.equals("EPSG:4326", ignore_axis_order=True):
        wrong.append((-1, f"is in {table.crs.name if table.crs else 'no CRS'}, not in WGS84 degrees"))
    kinds = table.geom_type.fillna("nothing")
    wrong += [
        (row, f"is {kinds[row]}, no {about.geometry}") for row in np.flatnonzero(kinds != about.geometry)
    ]
    broken = ~table.geometry.is_valid & (kinds == about.geometry)
    wrong += [(row, shapely.is_valid_reason(table.geometry[row])) for row in np.flatnonzero(broken)]
    for name in [name for name in about.required if name in table]:
        empty = table[name].isna() | (table[name].astype(str).str.strip() == "")
        wrong += [(row, f"{name} is empty") for row in np.flatnonzero(empty)]
    return (None if missing or (kinds != about.geometry).any() else table), wrong


def unmatched(tables, name, column, other):
    """Rows whose id no row of the other file has."""
    alone = ~tables[name][column].isin(tables[other][column])
    return [
        (name, row, f"{column} {tables[name][column][row]} is not in {other}")
        for row in np.flatnonzero(alone)
    ]


def boundaries(polygons):
    """Each analysis's boundary, of all its parts: {anlys_id: shape}."""
    bounds = polygons[polygons["line_type"] == "glac_bound"]
    return joined(bounds.assign(analysis=bounds["anlys_id"]))


def check_ids(polygons, glaciers, **_):
    """Kinds of polygons, form and place of ids, one row of glaciers an analysis, one boundary at least."""
    findings = [
        ("polygons", row, f"line_type {kind!r} is none of {', '.join(LINE_TYPES)}")
        for row, kind in enumerate(polygons["line_type"])
        if kind not in LINE_TYPES
    ]
    bounds = boundaries(polygons)
    for row, (glims_id, analysis) in enumerate(zip(glaciers["glac_id"], glaciers["anlys_id"], strict=True)):
        try:
            point = id_point(glims_id)
        except ValueError as error:
            findings.append(("glaciers", row, str(error)))
            continue
        if analysis not in bounds:
            findings.append(("glaciers", row, f"anlys_id {analysis} has no glac_bound"))
        elif (away := distance_km(point, bounds[analysis])) > NEAR_KM:
            findings.append(("glaciers", row, f"glac_id {glims_id} lies {away:.1f} km from its glacier"))
    twice = glaciers["anlys_id"].duplicated()
    return findings + [("glaciers", row, "anlys_id is there twice") for row in np.flatnonzero(twice)]


def distance_km(point, shape):
    """How far a point (longitude, latitude) lies outside a shape in degrees [km], on the ellipsoid."""
    line = shapely.shortest_line(shapely.Point(beside(point[0], shape.centroid.x), point[1]), shape)
    return WGS84.geometry_length(line) / 1000


def check_dates(polygons, glaciers, session, image):
    """Dates that are none or lie ahead, and polygons of another day than their image."""
    findings, today = [], date.today().isoformat()
    places = {"polygons": (polygons, "src_date"), "glaciers": (glaciers, "src_date")}
    places |= {"session": (session, "anlys_time"), "image": (image, "acq_time")}
    for name, (table, column) in places.items():
        texts, _ = iso_dates(table[column])
        findings += [
            (name, row, f"{column} {table[column][row]!r} is {'no date' if not text else 'ahead of today'}")
            for row, text in enumerate(texts)
            if not text or text[:10] > today
        ]
    taken = dict(zip(image["image_id"], iso_dates(image["acq_time"])[0], strict=True))
    for row, (text, number) in enumerate(
        zip(iso_dates(polygons["src_date"])[0], polygons["image_id"], strict=True)
    ):
        if text and taken.get(number) and text[:10] != taken[number][:10]:
            findings.append(("polygons", row, f"src_date {text} is not its image's, {taken[number]}"))
    return findings


def check_insides(polygons, **_):
    """Rock and debris that lie outside the boundary of their analysis."""
    bounds = boundaries(polygons)
    findings = []
    for row in np.flatnonzero(polygons["line_type"].isin(LINE_TYPES[1:])):
        kind, analysis, shape = polygons.loc[row, ["line_type", "anlys_id", "geometry"]]
        if analysis not in bounds:
            findings.append(("polygons", int(row), f"{kind} has no glac_bound of anlys_id {analysis}"))
        elif shapely.difference(shape, bounds[analysis]).area > 1e-6 * shape.area:
            findings.append(("polygons", int(row), f"{kind} reaches outside its glacier"))
    return findings


def check_areas(polygons, glaciers, **_):
    """Areas that differ from the polygons' by more than a hundredth."""
    measured = polygons.assign(km2=geodesic_area_km2(polygons.geometry))
    measured["km2"] *= measured["line_type"].map({"glac_bound": 1, "intrnl_rock": -1}).fillna(0)
    own = glaciers["anlys_id"].map(measured.groupby("anlys_id")["km2"].sum())
    off = (glaciers["area"] / own - 1).abs() > 0.01
    return [
        ("glaciers", int(row), f"area {glaciers['area'][row]:.4g} km² is {own[row]:.4g} km² by its polygons")
        for row in np.flatnonzero(off)
    ]


def check_rivals(polygons, glaciers, **_):
    """Glaciers that are there twice at one date, and boundaries of one date that overlap."""
    names = glaciers[["glac_id"]].assign(date=iso_dates(glaciers["src_date"])[0])
    findings = [
        ("glaciers", int(row), "glac_id and src_date are there twice")
        for row in np.flatnonzero(names.duplicated())
    ]
    bounds = boundaries(polygons)
    shapes = np.array([bounds.get(analysis) for analysis in glaciers["anlys_id"]], dtype=object)
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = (one < two) & (names["date"].to_numpy()[one] == names["date"].to_numpy()[two])
    for first, second in zip(one[pairs], two[pairs], strict=True):
        common = shapely.area(shapely.intersection(shapes[first], shapes[second]))
        share = common / min(shapes[first].area, shapes[second].area)
        if share > LEAST_OVERLAP:
            findings.append(("glaciers", int(second), f"overlaps row {first} by {share:.1%} of the smaller"))
    return findings
