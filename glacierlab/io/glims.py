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

from ..errors import InventoryError, require_outlines, require_valid
from ..tables import GLIMS_FILES
from .dates import iso_dates, span
from .layers import geodesic_area_km2
from .shapes import beside, cut_at_180, in_degrees, inside_points
from .write import whole_folder, write_vector

AROUND = sorted(product(range(-3, 4), repeat=2), key=lambda step: step[0] ** 2 + step[1] ** 2)


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

    Holes become polygons of `line_type` intrnl_rock, and what crosses 180° is cut there.
    `open_inventory(folder)` gives the glaciers back.

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
        There is no outline, or one that crosses itself, lacks its date or image, or `images` lack their
        columns.
    WriteError

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> glaciers = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> glaciers = glaciers.assign(src_date="2020-08-15")
    >>> images = [{"orig_id": "made-2020", "inst_name": "OLI", "acq_time": "2020-08-15"}]
    >>> told = dict(analysts="Doe, Ana", method="made", images=images)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = write_glims(folder, glaciers, **told)
    ...     print(sorted(path.name for path in made.glob("*.shp")))
    ['glaciers.shp', 'image.shp', 'polygons.shp', 'session.shp']
    """
    require_outlines(outlines, "write_glims")
    require_valid(outlines, "write_glims")
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
    points[:, 0] = beside(points[:, 0], points[0, 0])  # for their means
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
    shapes = cut_at_180(in_degrees(outlines.geometry).values)
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
    return beside(east), north if found[3] == "N" else -north


def glacier_table(outlines):
    """Glaciers in degrees with the columns of GLIMS."""
    theirs = dict(glac_name="glac_name", primeclass="primeclass", length="lmax_m", local_id="rgi_id")
    theirs |= dict(min_elev="zmin_m", mean_elev="zmean_m", max_elev="zmax_m")
    found = {name: outlines[ours].to_numpy() for name, ours in theirs.items() if ours in outlines}
    glaciers = gpd.GeoDataFrame(found, geometry=in_degrees(outlines.geometry).values, crs="EPSG:4326")
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
        require_valid(debris, "write_glims, debris=,")
        cover = shapely.union_all(cut_at_180(in_degrees(debris.geometry).values))
        kinds["debris_cov"] = shapely.intersection(cut_at_180(shapes), cover)
    tables = []
    for kind, whole in kinds.items():
        parts, rows = shapely.get_parts(cut_at_180(whole), return_index=True)
        polygonal = (shapely.get_type_id(parts) == 3) & ~shapely.is_empty(parts)
        table = glaciers.iloc[rows[polygonal]].set_geometry(parts[polygonal], crs=glaciers.crs)
        tables.append(table.assign(line_type=kind))
    return pd.concat(tables, ignore_index=True)


def at_points(table, points):
    """A table as points in degrees, with longitudes from -180 to 180."""
    lon, lat = np.transpose(points)
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(beside(lon), lat), crs="EPSG:4326")


def centered(images, glaciers, points):
    """Images with their centers, where unknown amid their glaciers; and the centers."""
    amid = pd.DataFrame(points).groupby(np.asarray(glaciers["image_id"])).mean().reindex(images["image_id"])
    for name, column in {"imgctrlon": 0, "imgctrlat": 1}.items():
        known = images[name] if name in images else pd.Series(np.nan, images.index)
        images[name] = known.fillna(pd.Series(amid[column].to_numpy(), images.index)).fillna(
            points[:, column].mean()
        )
    return images, images[["imgctrlon", "imgctrlat"]].to_numpy()
