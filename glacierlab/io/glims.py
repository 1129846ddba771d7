"""Submissions to GLIMS: a folder of four shapefiles, and what is wrong with one.

Raup et al. 2007, doi:10.1016/j.gloplacha.2006.07.018; columns and their sources: `tables/glims.toml`.
"""

import re
from datetime import date
from itertools import product
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import InventoryError, require_outlines
from ..tables import GLIMS_FILES
from .analyses import LINE_TYPES, joined
from .bands import one_line
from .dates import iso_dates, span
from .layers import WGS84, geodesic_area_km2
from .shapes import inside_points
from .write import whole_folder, write_vector

AROUND = sorted(product(range(-3, 4), repeat=2), key=lambda step: step[0] ** 2 + step[1] ** 2)
LINKS = (
    ("polygons", "session_id", "session"),
    ("polygons", "image_id", "image"),
    ("polygons", "glac_id", "glaciers"),
    ("glaciers", "glac_id", "polygons"),
)  # a file, its column, and the file that must have the same
NEAR_KM = 0.2  # between a glacier and its id's point, a thousandth of a degree wide: an assumption


def write_glims(
    folder,
    outlines,
    *,
    analysts,
    method,
    images,
    submitters=None,
    affiliation="",
    analysis_date=None,
    debris=None,
    local_unc_m=None,
    global_unc_m=None,
):
    """Write outlines as a submission to GLIMS: shapefiles `polygons`, `glaciers`, `session`, `image`, WGS84.

    Holes become polygons of `line_type` intrnl_rock. `open_inventory(folder)` gives the glaciers back.

    Parameters
    ----------
    folder : path
        Its files of these names are replaced, each whole.
    outlines : geopandas.GeoDataFrame
        One row a glacier and date, with `src_date`. `glims_id` is kept where it is there, as a glacier of
        several dates needs it; else `glims_ids` makes one. Of other columns go along: `glac_name`,
        `primeclass`, `lmax_m`, `zmin_m`, `zmean_m`, `zmax_m`, and `rgi_id` as `local_id`.
    analysts, method : str
        Who made the outlines ("Surname, Given; …"), and how.
    images : pandas.DataFrame or list of dict
        What they were made from: `orig_id`, `inst_name`, `acq_time`; `imgctrlon`, `imgctrlat` where known.
        A glacier belongs to the first image of its `scene_ids`, else to the first of its `src_date`; of a
        range it gets the image's date.
    submitters, affiliation, analysis_date : str, optional
        Default the analysts, nothing, and today.
    debris : geopandas.GeoDataFrame, optional
        Debris cover, cut to the glaciers: polygons of `line_type` debris_cov.
    local_unc_m, global_unc_m : float, optional
        Precision of digitizing and accuracy of the geolocation [m], which GLIMS asks for.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InventoryError
        There is no outline, one lacks its date or image, or `images` lack their columns.
    WriteError
    """
    require_outlines(outlines, "write_glims")
    outlines = outlines[~outlines.geometry.is_empty].reset_index(drop=True)
    if outlines.empty:
        raise InventoryError("write_glims got no outline: a submission needs one at least.")
    glaciers = glacier_table(outlines)
    images = image_table(images)
    glaciers["image_id"], glaciers["src_date"] = images_of(glaciers, outlines, images)
    glaciers["session_id"] = 1
    polygons = polygon_table(glaciers, debris)
    for name, value in {"loc_unc": local_unc_m, "glob_unc": global_unc_m}.items():
        if value is not None:
            polygons[f"{name}_x"] = polygons[f"{name}_y"] = float(value)
    points = inside_points(glaciers.geometry)
    session = dict(session_id=1, anlys_time=analysis_date or date.today().isoformat(), analysts=analysts)
    session |= dict(submitters=submitters or analysts, proc_desc=method, chief_affl=affiliation)
    tables = {
        "polygons": polygons,
        "glaciers": at_points(glaciers.drop(columns=glaciers.geometry.name), points),
        "session": at_points(pd.DataFrame([session]), points.mean(axis=0, keepdims=True)),
        "image": at_points(*centered(images, glaciers, points)),
    }
    with whole_folder(folder) as staged:
        for name, table in tables.items():
            known = [*GLIMS_FILES[name].required, *GLIMS_FILES[name].optional, "geometry"]
            write_vector(table[[column for column in known if column in table]], staged / f"{name}.shp")
    return Path(folder)


def glims_ids(outlines, taken=()):
    """GLIMS ids, such as G086949E27950N, from a point inside each outline; every one its own.

    Thousandths of a degree of longitude, 0 to 359999 eastwards, and of latitude. Where outlines would share
    an id, or it is in `taken`, the next thousandth inside is chosen.
    """
    shapes = outlines.geometry.to_crs("EPSG:4326").values
    taken, ids = set(taken), []
    for shape, (lon, lat) in zip(shapes, inside_points(outlines.geometry), strict=True):
        ids.append(free_id(shape, round(lon * 1000), round(lat * 1000), taken))
        taken.add(ids[-1])
    return ids


def free_id(shape, east, north, taken):
    """The nearest id that is not taken, inside the shape if any is; InventoryError where all around are."""
    nearest = None
    for x, y in AROUND:
        text = id_text(east + x, north + y)
        if text in taken:
            continue
        if shapely.intersects_xy(shape, (east + x) / 1000, (north + y) / 1000):
            return text
        nearest = nearest or text
    if nearest is None:
        raise InventoryError(
            f"{len(AROUND)} outlines lie around {east / 1000}, {north / 1000}: see outlines.qa."
        )
    return nearest


def id_text(east, north):
    """A GLIMS id of thousandths of a degree.

    >>> id_text(86949, 27950), id_text(-73124, -46647)
    ('G086949E27950N', 'G286876E46647S')
    """
    return f"G{east % 360_000:06d}E{abs(north):05d}{'N' if north >= 0 else 'S'}"


def id_point(glims_id):
    """Longitude (-180 to 180) and latitude [degrees] of a GLIMS id; ValueError where it is none."""
    found = re.fullmatch(r"G(\d{6})E(\d{5})([NS])", str(glims_id))
    if not found:
        raise ValueError(f"{glims_id!r} is no GLIMS id")
    east, north = int(found[1]) / 1000, int(found[2]) / 1000
    if east >= 360 or north > 90:
        raise ValueError(f"{glims_id!r} lies outside the globe")
    return (east + 180) % 360 - 180, north if found[3] == "N" else -north


def glacier_table(outlines):
    """Glaciers in degrees with the columns of GLIMS."""
    theirs = dict(glac_name="glac_name", primeclass="primeclass", length="lmax_m", local_id="rgi_id")
    theirs |= dict(min_elev="zmin_m", mean_elev="zmean_m", max_elev="zmax_m")
    found = {name: outlines[ours].to_numpy() for name, ours in theirs.items() if ours in outlines}
    glaciers = gpd.GeoDataFrame(found, geometry=outlines.geometry.to_crs("EPSG:4326").values, crs="EPSG:4326")
    ids = outlines.get("glims_id", pd.Series("", outlines.index)).fillna("").astype(object)
    ids[ids == ""] = glims_ids(outlines[ids == ""], {*ids})
    glaciers["glac_id"] = ids.astype(str)
    glaciers["anlys_id"] = np.arange(1, len(glaciers) + 1)
    glaciers["area"] = geodesic_area_km2(glaciers.geometry)
    return glaciers


def image_table(images):
    """Images with numbers and ISO dates; InventoryError where a column is missing."""
    images = pd.DataFrame(images).reset_index(drop=True)
    if missing := [name for name in ("orig_id", "inst_name", "acq_time") if name not in images]:
        raise InventoryError(f"images lack {missing}: each needs orig_id, inst_name and acq_time.")
    texts, unreadable = iso_dates(images["acq_time"])
    if unreadable or "" in texts:
        raise InventoryError(f"images need a date as acq_time, and {unreadable or 'some'} are none.")
    return images.assign(image_id=np.arange(1, len(images) + 1), acq_time=texts)


def images_of(glaciers, outlines, images):
    """Each glacier's image and date; InventoryError names glaciers without."""
    if "src_date" not in outlines:
        raise InventoryError("write_glims needs the outlines' dates: set src_date, such as '2020-08-16'.")
    numbers = dict(zip(images["orig_id"], images["image_id"], strict=True))
    days = [span(text)[0][:10] for text in images["acq_time"]]
    scenes = outlines["scene_ids"].fillna("") if "scene_ids" in outlines else [""] * len(outlines)
    texts, _ = iso_dates(outlines["src_date"])
    found, dates, without = [], [], []
    for row, (text, named) in enumerate(zip(texts, scenes, strict=True)):
        covered = tuple(day[:10] for day in span(text)) if text else ("", "")
        mine = [numbers[scene] for scene in str(named).split(";") if scene in numbers]
        mine += [number + 1 for number, day in enumerate(days) if covered[0] <= day <= covered[1]]
        if not mine or not text:
            without.append(f"{glaciers['glac_id'][row]} ({text or 'no date'})")
            continue
        found.append(mine[0])
        dates.append(text if covered[0] == covered[1] else images["acq_time"][mine[0] - 1])
    if without:
        raise InventoryError(
            f"{len(without)} outlines have no image of their date: {', '.join(without[:5])}"
            f"{', …' if len(without) > 5 else ''}. Set src_date, or add the image."
        )
    return found, dates


def polygon_table(glaciers, debris):
    """Rows of boundaries, of the rock in them and of debris on them."""
    shapes = glaciers.geometry.values
    filled = [
        shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(s)]) for s in shapes
    ]
    kinds = {"glac_bound": filled, "intrnl_rock": shapely.difference(filled, shapes)}
    if debris is not None:
        require_outlines(debris, "write_glims, debris=,")
        cover = shapely.union_all(debris.geometry.to_crs("EPSG:4326").values)
        kinds["debris_cov"] = shapely.intersection(shapes, cover)
    tables = []
    for kind, whole in kinds.items():
        parts, rows = shapely.get_parts(whole, return_index=True)
        polygonal = (shapely.get_type_id(parts) == 3) & ~shapely.is_empty(parts)
        table = glaciers.iloc[rows[polygonal]].set_geometry(parts[polygonal], crs=glaciers.crs)
        tables.append(table.assign(line_type=kind))
    return pd.concat(tables, ignore_index=True)


def at_points(table, points):
    """A table as points in degrees."""
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*np.transpose(points)), crs="EPSG:4326")


def centered(images, glaciers, points):
    """Images with their centers, where unknown amid their glaciers; and the centers."""
    amid = pd.DataFrame(points).groupby(np.asarray(glaciers["image_id"])).mean().reindex(images["image_id"])
    for name, column in {"imgctrlon": 0, "imgctrlat": 1}.items():
        known = images[name] if name in images else pd.Series(np.nan, images.index)
        images[name] = known.fillna(pd.Series(amid[column].to_numpy(), images.index)).fillna(
            points[:, column].mean()
        )
    return images, images[["imgctrlon", "imgctrlat"]].to_numpy()


def check_glims(folder):
    """What is wrong with a submission to GLIMS.

    Ids are well-formed and lie in their glaciers; every polygon has a session, an image of its date and, of
    rock and debris, a boundary around it; columns, dates and areas are there; all is in WGS84.

    Parameters
    ----------
    folder : path
        As `write_glims` writes it.

    Returns
    -------
    pandas.DataFrame
        Findings: `file`, `row` (-1 for the whole file), `finding`. Empty where nothing is wrong.
    """
    tables, findings = {}, []
    for name, about in GLIMS_FILES.items():
        tables[name], wrong = read_checked(Path(folder) / f"{name}.shp", about)
        findings += [(name, *one) for one in wrong]
    if all(table is not None for table in tables.values()):
        for name, column, other in LINKS:
            findings += unmatched(tables, name, column, other)
        for check in (check_ids, check_dates, check_insides, check_areas):
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
    lon = point[0] + 360 * round((shape.centroid.x - point[0]) / 360)
    line = shapely.shortest_line(shapely.Point(lon, point[1]), shape)
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
