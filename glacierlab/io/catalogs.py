"""Searching STAC catalogs: an area and dates in, items out, grouped by overpass."""

import datetime as dt
import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import islice, pairwise

import numpy as np
import shapely

from ..errors import GlacierlabError, GridError, SceneError, UnknownNameError, warn
from ..tables import CATALOGS, COLLECTIONS, SENSORS, lookup, sensor_key
from .bands import one_line

PASS_MINUTES = 30  # an orbit takes about 100: farther apart are two passes, also where they share a day
CONNECT_SECONDS = 10.0
SHOWN = 200  # characters of a server's message


def require_stac():
    """GlacierlabError with what to type where the extra is missing."""
    if missing := [name for name in ("pystac_client", "odc.stac") if not installed(name)]:
        raise GlacierlabError(f"STAC needs {' and '.join(missing)}: pip install 'glacierlab[stac]'.")


def installed(name):
    """Whether a module could be imported."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


# ---- what to look for ----


def area_of(bbox=None, geometry=None):
    """The area asked for as a shapely geometry in degrees (EPSG:4326); None where neither is given."""
    if bbox is not None and geometry is not None:
        raise GridError("Give bbox= or geometry=, not both.")
    if bbox is not None:
        return box_of(bbox)
    if geometry is None:
        return None
    if (crs := getattr(geometry, "crs", None)) is not None and hasattr(geometry, "to_crs"):
        area = shapely_of(geometry.to_crs("EPSG:4326"))
    elif crs is None and hasattr(geometry, "to_crs"):
        raise GridError("The geometry has no CRS: set it with geometry.set_crs(...).")
    else:
        area = shapely_of(geometry)
    require_degrees(area.bounds, "geometry")
    if not area.area > 0:
        raise GridError(f"geometry= has no extent ({area.geom_type}): buffer it first.")
    return area


def box_of(bbox):
    """A rectangle in degrees of (west, south, east, north); GridError where it is none."""
    try:
        west, south, east, north = (float(value) for value in bbox)
    except (TypeError, ValueError):
        raise GridError(f"bbox={bbox!r} is not (west, south, east, north) in degrees.") from None
    require_degrees((west, south, east, north), "bbox")
    if not (west < east and south < north):
        raise GridError(
            f"bbox={(west, south, east, north)} has no extent: it is (west, south, east, north), with west < "
            "east and south < north. Ask for both sides of the 180th meridian in two calls."
        )
    return shapely.box(west, south, east, north)


def require_degrees(bounds, name):
    """GridError unless bounds (west, south, east, north) may be degrees."""
    west, south, east, north = bounds
    if not np.isfinite(bounds).all():
        raise GridError(f"{name}= is empty or not finite.")
    if min(west, east) < -180 or max(west, east) > 180 or max(abs(south), abs(north)) > 90:
        shown = ", ".join(f"{value:g}" for value in bounds)
        raise GridError(
            f"{name}= ({shown}) is not in degrees of longitude and latitude. "
            "For another CRS give geometry= as a GeoDataFrame or GeoSeries, which knows its own."
        )


def shapely_of(geometry):
    """One shapely geometry of a GeoDataFrame, GeoSeries, GeoJSON dict or shapely geometry."""
    try:
        if isinstance(geometry, Mapping):
            if "features" in geometry:
                return shapely.union_all([shapely_of(each) for each in geometry["features"]])
            return shapely.geometry.shape(geometry.get("geometry", geometry))
        if hasattr(geometry, "geometry") and hasattr(geometry, "union_all"):
            return geometry.union_all()
        return shapely.geometry.shape(geometry)
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise GridError(
            f"geometry= is a {type(geometry).__name__} that cannot be read ({one_line(error)}): "
            "give a shapely geometry, a GeoDataFrame or GeoJSON."
        ) from error


def dates_text(dates):
    """Dates as STAC's `start/end`; a `datetime` alone means its day."""
    if dates is None:
        return None
    if isinstance(dates, list | tuple):
        if len(dates) != 2:
            raise GlacierlabError(f"dates={dates!r} is no pair (start, end).")
        ends = ["" if date is None else date_text(date) for date in dates]
    else:
        ends = (dates if isinstance(dates, str) else date_text(dates, day=True)).split("/")
    for end in ends:
        if not re.fullmatch(r"(\.\.)?|\d{4}(-\d\d(-\d\d(T\S+)?)?)?", end):
            raise GlacierlabError(
                f"dates={dates!r} is no date: give '2020-07/2020-09', '2020-08-16' or (start, end)."
            )
    if len(ends) == 2 and all(end.strip(".") for end in ends):
        both = min(map(len, ends))
        if ends[0][:both] > ends[1][:both]:
            raise GlacierlabError(f"dates={dates!r} ends before it begins.")
    return "/".join(end or ".." for end in ends)


def date_text(date, day=False):
    """One date, datetime or year as ISO text, in UTC."""
    if isinstance(date, np.datetime64):
        date = date.astype("datetime64[s]").item()
    if isinstance(date, dt.datetime):
        date = date if date.tzinfo is None else date.astimezone(dt.UTC)
        return date.strftime("%Y-%m-%d" if day else "%Y-%m-%dT%H:%M:%SZ")
    return date.isoformat() if isinstance(date, dt.date) else str(date)


def collection_and_platforms(collection, sensor):
    """The collection to search, and which platforms' items to keep (empty: all)."""
    platforms = ()
    if sensor is not None:
        key = sensor_key(sensor)
        own = re.sub(r"[\s_]+", "-", str(sensor).strip().lower())
        platforms = (own,) if own in SENSORS[key].platforms else SENSORS[key].platforms
        held = [name for name, row in COLLECTIONS.items() if key in row.sensors]
        if not held:
            known = sorted({name for row in COLLECTIONS.values() for name in row.sensors})
            raise UnknownNameError(f"No STAC collection of {sensor!r} is known; known sensors: {known}.")
        collection = collection or held[0]
    collection = collection or next(iter(COLLECTIONS))
    if sensor is None:
        lookup(COLLECTIONS, collection, kind="collection")
    return collection, platforms


# ---- asking a catalog ----


def find_items(
    area, dates=None, *, catalog="earth-search", collection=None, sensor=None, max_cloud=None, query=None,
    max_items=100, modifier=None, timeout=30.0,
):  # fmt: skip
    """The items of a catalog in an area; SceneError where it cannot be asked, or has none."""
    require_stac()
    if area is None:
        raise GridError("Where? Give bbox=(west, south, east, north) in degrees, or geometry=.")
    if not max_items > 0 or not timeout > 0:
        raise GlacierlabError(f"max_items={max_items} and timeout={timeout} must be above 0.")
    if query is not None and not isinstance(query, Mapping):
        raise GlacierlabError(f"query={query!r} is no dict such as {{'eo:snow_cover': {{'lt': 50}}}}.")
    collection, platforms = collection_and_platforms(collection, sensor)
    dates, url = dates_text(dates), address_of(catalog)
    modifier = modifier or signer_of(url)

    def wanted(item):
        own = str(item.properties.get("platform", "")).lower()
        cloud = item.properties.get("eo:cloud_cover")
        return (
            (not platforms or own in platforms)
            and (max_cloud is None or cloud is None or cloud <= max_cloud)
            and (item.geometry is None or shapely.geometry.shape(item.geometry).intersects(area))
        )

    try:
        client = open_catalog(url, modifier, timeout)
        asked = dict(collections=[collection], bbox=area.bounds, datetime=dates)
        conditions = dict(query or {})
        if max_cloud is not None and can_query(client):  # else all come, and some go
            conditions.setdefault("eo:cloud_cover", {"lte": max_cloud})
        search = client.search(**asked, query=conditions or None)
        items = list(islice(filter(wanted, search.items()), max_items + 1))
        if not items:
            require_collection(client, collection, url)
    except GlacierlabError:
        raise
    except Exception as error:  # pystac-client, pystac and requests each have their own
        raise SceneError(what_failed(url, error, timeout)) from error
    if not items:
        where = ", ".join(f"{value:g}" for value in area.bounds)
        asked = [f"dates {dates}"] * (dates is not None) + [f"cloud up to {max_cloud} %"] * (
            max_cloud is not None
        )
        asked += [f"platforms {', '.join(platforms)}"] * bool(platforms) + [f"query {query}"] * bool(query)
        raise SceneError(
            f"No scenes of {collection!r} at {url} over ({where})"
            f"{' with ' + ', '.join(asked) if asked else ''}: widen the area or the conditions."
        )
    if len(items) > max_items:
        warn(f"More than max_items={max_items} scenes are there; the rest is left out. Narrow the search.")
    return items[:max_items]


def address_of(catalog):
    """A catalog's URL, by name or as it is."""
    if "://" in str(catalog):
        return str(catalog).rstrip("/")
    return lookup(CATALOGS, catalog, kind="catalog").url


def signer_of(url):
    """What signs the answers of a catalog whose files open only so; None where nothing need."""
    if not any(row.signed and row.url == url for row in CATALOGS.values()):
        return None
    try:
        from planetary_computer import sign_inplace
    except ImportError:
        raise GlacierlabError(
            f"The files of {url} open only with signed addresses: pip install planetary-computer, or give "
            "modifier=."
        ) from None
    return sign_inplace


def open_catalog(url, modifier, timeout):
    """A client that gives up within about twice `timeout` seconds."""
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(  # what did not answer in time will not the next time
        total=2, connect=1, read=0, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504),
        allowed_methods=None, respect_retry_after_header=False, raise_on_status=False,
    )  # fmt: skip
    wait = (min(CONNECT_SECONDS, timeout), timeout)
    return Client.open(url, modifier=modifier, timeout=wait, stac_io=StacApiIO(max_retries=retry))


def can_query(client):
    """Whether a catalog filters by properties."""
    from pystac_client import ConformanceClasses

    return client.conforms_to(ConformanceClasses.QUERY)


def require_collection(client, collection, url):
    """UnknownNameError where a catalog has no such collection."""
    held = sorted(each.id for each in client.get_collections())
    if collection not in held:
        close = get_close_matches(collection, held, n=5) or held[:12]
        raise UnknownNameError(f"{url} has no collection {collection!r} among {len(held)}; it has {close}.")


def what_failed(url, error, timeout):
    """A message of what went wrong with a catalog."""
    told, status = one_line(error), getattr(error, "status_code", None)
    told = told if len(told) <= SHOWN else told[:SHOWN] + "…"
    if status is not None:
        advice = "Check catalog= and the conditions." if status < 500 else "Try again later."
        return f"{url} answered with HTTP status {status}: {told} {advice}"
    if re.search("timed out|timeout", told, re.IGNORECASE):
        return f"{url} did not answer within {timeout:g} s. Try again later, or give timeout= more seconds."
    if re.search("Connection|Max retries|resolve", told):
        return f"{url} cannot be reached. Check the address and your network. ({told})"
    return f"{url} did not answer as a STAC API does ({told}). Give the address of its landing page."


# ---- what came ----


def taken_at(item):
    """When an item was taken: UTC, without time zone."""
    found = item.datetime or item.common_metadata.start_datetime
    return found.astimezone(dt.UTC).replace(tzinfo=None)


def baseline_of(item):
    """The processing baseline of a Sentinel-2 item as text, or None."""
    return item.properties.get("s2:processing_baseline")


def tile_of(item):
    """What names the ground of an item, or None."""
    own = item.properties
    row = (own.get("landsat:wrs_path"), own.get("landsat:wrs_row"))
    return own.get("grid:code") or own.get("s2:mgrs_tile") or (row if None not in row else None)


def passes_of(items):
    """Items as lists, one an overpass of a platform, by time; of a tile the newest baseline only."""
    ordered = sorted(items, key=lambda item: (str(item.properties.get("platform")).lower(), taken_at(item)))
    passes = [ordered[:1]] if ordered else []
    for before, item in pairwise(ordered):
        same = before.properties.get("platform") == item.properties.get("platform")
        if same and taken_at(item) - taken_at(before) < dt.timedelta(minutes=PASS_MINUTES):
            passes[-1].append(item)
        else:
            passes.append([item])
    return sorted(map(newest, passes), key=lambda found: taken_at(found[0]))


def newest(items):
    """Items of one pass, without those of a tile that a later baseline has again."""
    latest = {}
    for item in items:
        tile, baseline = tile_of(item), baseline_of(item) or ""
        latest[tile] = max(latest.get(tile, ""), baseline)
    return [i for i in items if tile_of(i) is None or (baseline_of(i) or "") == latest[tile_of(i)]]
