"""Which scenes of a catalog to take: those that show the area, and little snow on it."""

import datetime as dt
import re
from calendar import monthrange
from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.crs import CRS
from rasterio.features import geometry_mask

from ..errors import GlacierlabError, SceneError, warn
from ..io.assets import DEGREES, reprojected
from ..io.catalogs import area_of, find_items, passes_of, taken_at
from ..io.stac import CHUNK, facts_of, one_sensor, open_items
from ..quality import flag_set, qa_kind, valid_mask

READERS = 8  # files looked at together
HALF_A_YEAR = 6  # months, by which the south's season is later


def find_scenes(
    *, bbox=None, geometry=None, dates=None, catalog="earth-search", collection=None, sensor=None,
    max_cloud=None, query=None, max_items=100, modifier=None, timeout=30.0, look=True, resolution=120.0,
    glaciers=None, season=("07-01", "09-30"), off_season_days=60.0,
):  # fmt: skip
    """Search a STAC catalog and rank what it has for mapping glaciers; `open_stac` takes the result.

    Parameters
    ----------
    bbox, geometry, dates, catalog, collection, sensor, max_cloud, query, max_items, modifier, timeout
        The search, as `open_stac` takes it. `max_cloud` is of the whole tile, which may be cloudy where the
        area is clear: leave it wide.
    look : bool
        Read the quality layer over the area; without, only what the catalog says counts.
    resolution : float
        Pixel size [m] to look at; an assumption.
    glaciers : geopandas.GeoDataFrame, optional
        Outlines to leave out when snow is counted, so that it is the snow of the season. Without, ice counts
        as snow, alike on all dates.
    season : (str, str)
        First and last day ("MM-DD") of the season with the least snow, in the north; half a year later south
        of the equator. July to September is an assumption: eleven of the thirteen scenes that Chen et al.
        (2022, Table 1) took on the Tibetan Plateau are of these months.
    off_season_days : float
        Days before and after the season over which a scene's score falls to 0; an assumption.

    Returns
    -------
    geopandas.GeoDataFrame
        One row an overpass of a platform, the best first: `id` (of its items), `datetime` (UTC), `platform`,
        `sensor`, `tile_cloud_share` (the catalog's), `covered_share` (of the area, with data),
        `cloud_share` (of that, under cloud or its shadow), `snow_share` (of clear ground off `glaciers`,
        snow or ice), `season_day` (1 is the season's first), `sun_elevation` [degrees], `score`, `items`
        and the footprint, in EPSG:4326. Shares are 0 to 1, NaN where nobody looked.

    Raises
    ------
    SceneError, GridError, UnknownNameError, GlacierlabError
        As `open_stac`.

    Warns
    -----
    DataWarning
        The quality layer of some scenes cannot be read; the catalog's cloud cover counts for them.

    Notes
    -----
    score = covered · (1 − cloud) · (1 − snow) · season, a product of shares, with season 1 within it and
    falling linearly beside it: an assumption of ours, no published rule. Clouds and snow are the flags of
    `valid_mask`, which take bright ice for cloud now and then. They are read at `resolution`, from the
    overviews of the files where there are some, of which each pixel stands for many: that shares come out
    right so, small clouds included, is an assumption.

    Examples
    --------
    >>> import glacierlab as gl
    >>> table = gl.find_scenes(bbox=(7.9, 46.4, 8.2, 46.6), dates="2020")  # doctest: +SKIP
    >>> scene = gl.open_stac(table.iloc[[0]]).isel(time=0)  # doctest: +SKIP
    """
    if not resolution > 0 or not off_season_days > 0:
        raise GlacierlabError(f"{resolution=} and {off_season_days=} must be above 0.")
    area = area_of(bbox, geometry)
    first, length = season_of(season, south=area is not None and area.centroid.y < 0)
    items = find_items(
        area, dates, catalog=catalog, collection=collection, sensor=sensor, max_cloud=max_cloud, query=query,
        max_items=max_items, modifier=modifier, timeout=timeout,
    )  # fmt: skip
    passes = passes_of(items)
    table = table_of(passes, sensor, first, length)
    if look:
        shares = looked_at(passes, table, area, glaciers, resolution, timeout)
        table[list(shares)] = shares
    table.insert(len(table.columns) - 2, "score", score_of(table, length, off_season_days))
    table = table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    table.attrs["area"] = area.wkt
    return table


def season_of(season, south):
    """The season's first day as (month, day), and its length in days."""
    found = [re.fullmatch(r"(\d\d)-(\d\d)", str(day)) for day in season]
    try:
        first, last = (dt.date(2001, int(day[1]), int(day[2])) for day in found)
    except (TypeError, ValueError):
        raise GlacierlabError(
            f"season={season!r} is no pair of days of the year, such as ('07-01', '09-30')."
        ) from None
    length = (last - first).days % 365 + 1
    month = (first.month - 1 + HALF_A_YEAR * south) % 12 + 1
    return (month, min(first.day, monthrange(2001, month)[1])), length


def season_day(date, first, length):
    """The day of the season: 1 is its first; below that is before it, above `length` after, as is nearer."""
    starts = [dt.date(date.year + years, *first) for years in (-1, 0, 1)]
    days = [(date.date() - start).days + 1 for start in starts]
    return min(days, key=lambda day: days_off(day, length))


def days_off(day, length):
    """Days from the season."""
    return max(1 - day, day - length, 0)


def table_of(passes, sensor, first, length):
    """What the catalog says of passes."""
    rows = []
    for items in passes:
        facts = facts_of(items)
        clouds = [item.properties.get("eo:cloud_cover", np.nan) for item in items]
        rows.append(
            {
                "id": facts["id"],
                "datetime": pd.Timestamp(facts["datetime"]),
                "platform": facts["platform"],
                "sensor": one_sensor(items, sensor),
                "tile_cloud_share": float(np.mean(clouds)) / 100,
                "covered_share": np.nan,
                "cloud_share": np.nan,
                "snow_share": np.nan,
                "season_day": season_day(taken_at(items[0]), first, length),
                "sun_elevation": np.nan if facts["sun_elevation"] is None else facts["sun_elevation"],
                "items": items,
                "geometry": shapely.union_all([shapely.geometry.shape(i.geometry) for i in items]),
            }
        )
    return gpd.GeoDataFrame(rows, crs="EPSG:4326")


def looked_at(passes, table, area, glaciers, resolution, timeout):
    """Shares by pass, of the quality layer over an area; NaN where it cannot be read."""
    options = dict(resolution=resolution, crs=None, chunks=CHUNK, offset="baseline", timeout=timeout)

    def look(items, sensor):
        try:
            scene = open_items(items, sensor, area, ["qa"], **options).isel(time=0)
            return scene.compute(scheduler="sync")
        except GlacierlabError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(look, passes, table.sensor))
    outcomes = zip(table.id, found, strict=True)
    if failed := [(name, error) for name, error in outcomes if isinstance(error, GlacierlabError)]:
        name, error = failed[0]
        if len(failed) == len(passes):
            raise SceneError(f"No quality layer can be read (look=False goes without), as of {name}: {error}")
        warn(f"The quality layer of {len(failed)} of {len(passes)} scenes cannot be read; {name}: {error}")
    names = ("covered_share", "cloud_share", "snow_share")
    nothing = dict.fromkeys(names, np.nan)
    rows = [nothing if isinstance(f, GlacierlabError) else shares_of(f, area, glaciers) for f in found]
    return pd.DataFrame(rows, columns=names)


def shares_of(scene, area, glaciers):
    """What share of an area one pass covers, and of that cloud hides, and of the rest snow."""
    crs, transform = CRS(scene.rio.crs.to_wkt()), scene.rio.transform()
    shape = (scene.sizes["y"], scene.sizes["x"])
    inside = ~geometry_mask([reprojected(area, DEGREES, crs)], shape, transform, all_touched=True)
    ground = inside
    if glaciers is not None:
        outlines = glaciers.geometry.to_crs(scene.rio.crs.to_wkt())
        ice = [outline for outline in outlines if outline is not None and not outline.is_empty]
        ground = inside & geometry_mask(ice, shape, transform) if ice else inside
    row = qa_kind(scene.qa)
    covered = inside & (scene.qa != row.fill_value).values
    seen = valid_mask(scene).values
    snow = flag_set(scene.qa, row, row.snow).values
    return {
        "covered_share": share(covered, inside),
        "cloud_share": share(~seen, covered),
        "snow_share": share(snow, ground & covered & seen),
    }


def share(part, whole):
    """The share of `whole` that is `part` too; NaN where it is empty."""
    return float(part[whole].mean()) if whole.any() else np.nan


def score_of(table, length, off_season_days):
    """From 0 to 1; what nobody looked at takes nothing away, only the catalog's cloud does."""
    cloud = table.cloud_share.fillna(table.tile_cloud_share).fillna(0.0)
    off = table.season_day.map(lambda day: days_off(day, length))
    season = (1 - off / off_season_days).clip(0, 1)
    return table.covered_share.fillna(1.0) * (1 - cloud) * (1 - table.snow_share.fillna(0.0)) * season
