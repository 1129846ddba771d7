"""Scenes from STAC items: the same numbers as `open_scene` gives of the same files, lazily, by date."""

from collections import Counter

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr

from ..errors import GlacierlabError, SceneError
from ..tables import MASKS, PRODUCTS, SENSORS, sensor_key
from .assets import (
    Source,
    band_file,
    choose_bands,
    collection_of,
    grid_of,
    require_offset,
    target_grid,
    warn_of_collections,
    warn_of_offsets,
)
from .bands import decoded, grid_coordinates
from .catalogs import area_of, baseline_of, find_items, passes_of, require_stac, taken_at
from .radiometry import kind_of
from .scene import require_data

CHUNK = 2048  # pixels


def open_stac(
    scenes=None, *, bbox=None, geometry=None, dates=None, catalog="earth-search", collection=None,
    sensor=None, max_cloud=None, query=None, max_items=100, modifier=None, timeout=30.0, bands=None,
    resolution=None, crs=None, chunks=CHUNK, offset="metadata",
):  # fmt: skip
    """Open scenes of a STAC catalog as reflectance, one date a time step, on one grid; lazy.

    Opening asks the catalog alone and reads no pixel. Items of one platform less than half an hour apart
    are one time step: the first with data counts, and of a tile processed twice only the newest baseline.

    Parameters
    ----------
    scenes : table, row or list of pystac.Item, optional
        What `find_scenes` gave, or rows of it, or items; by default what the search below finds.
    bbox : (west, south, east, north), optional
        The area, in degrees. The scenes are cut to the rectangle around it on their grid.
    geometry : GeoDataFrame, GeoSeries, shapely geometry or GeoJSON, optional
        The same in place of `bbox`; in degrees (EPSG:4326) where it does not know its CRS.
    dates : str, (start, end) or datetime, optional
        "2020-07/2020-09", "2020-08-16", dates or datetimes; None in a pair leaves that end open.
    catalog : str
        A key of `tables.CATALOGS` ("earth-search", "planetary-computer") or the address of a STAC API.
    collection : str, optional
        By default the sensor's: "sentinel-2-l2a", or "landsat-c2-l2". One that `tables.COLLECTIONS` does
        not know needs `sensor`, and is taken to hold USGS's or ESA's numbers: an assumption.
    sensor : str, optional
        A sensor, platform or family ("sentinel-2", "landsat-8"); only its items are taken.
    max_cloud : float, optional
        Largest cloud cover of a whole tile [%], as the catalog has it.
    query : dict, optional
        Further conditions of STAC's query extension: {"landsat:collection_category": {"eq": "T1"}}.
    max_items : int
        The search stops there, with a warning.
    modifier : callable, optional
        Signs what the catalog answers, as pystac-client takes it. For Planetary Computer the package
        planetary-computer does where it is installed.
    timeout : float
        Seconds to wait for an answer of the catalog, and for each part of a file (asked for twice).
    bands : list of str, optional
        Common or native names; "qa" is the quality layer. By default all.
    resolution : float, optional
        Pixel size in units of the CRS; by default that of the finest band opened, pan aside. Reflectance is
        resampled bilinearly, averaged where pixels grow (from overviews, where the files have them); flags
        take the nearest.
    crs : str or int, optional
        By default the UTM zone of most scenes.
    chunks : int, dict or None
        Pixels a dask chunk along y and x; None reads now.
    offset : {"metadata", "baseline"} or float or dict of float
        DN added before the gain of Sentinel-2. "metadata" believes the catalog where it says that it has
        removed the offset of baseline 04.00; "baseline" takes ESA's numbers: -1000 from 04.00 on. A number,
        or some by common name of band, settles it by hand.

    Returns
    -------
    xarray.Dataset
        One float32 variable a band, dims (time, y, x), NaN where there is no data, thermal bands in kelvin;
        `qa` (integer flags). Attributes as `open_scene` gives them: `sensor`, `radiometry` ("sr"), and of
        one date also `datetime`, `title`, `processing_baseline`, `sun_elevation`, `sun_azimuth` [degrees];
        these, `id` and `platform` are also coordinates of time. No value is clipped.

    Raises
    ------
    SceneError
        No scene found, a catalog that does not answer; while computing, a file that cannot be read.
    GridError, MissingBandError, RadiometryError, UnknownNameError, GlacierlabError

    Warns
    -----
    DataWarning
        Items that do not say the offset is removed, in a catalog known to be wrong about some; items
        without a band; more than `max_items`.

    Notes
    -----
    Bands go by the keys of assets, since catalogs give one common name to several bands. Earth Search
    advertises an offset of -0.1 for `sentinel-2-l2a` also where it is removed, which is not believed.
    Numbers resampled are rounded to whole DN, as GDAL does, so that in another CRS than the files' chunks
    may change a pixel by one DN; in theirs they change nothing.

    Examples
    --------
    >>> import glacierlab as gl
    >>> cube = gl.open_stac(bbox=(7.9, 46.4, 8.2, 46.6), dates="2020-07/2020-09", max_cloud=20,
    ...                     bands=["green", "red", "swir16", "qa"])  # doctest: +SKIP
    >>> gl.map_glaciers(cube.isel(time=0))  # doctest: +SKIP
    """
    require_stac()
    area = area_of(bbox, geometry)
    if scenes is None:
        items = find_items(
            area, dates, catalog=catalog, collection=collection, sensor=sensor, max_cloud=max_cloud,
            query=query, max_items=max_items, modifier=modifier, timeout=timeout,
        )  # fmt: skip
    else:
        items, searched = given_items(scenes)
        area = searched if area is None else area
    key = one_sensor(items, sensor)
    require_offset(items, key, offset)
    scene = open_items(items, key, area, bands, resolution, crs, chunks or CHUNK, offset, timeout)
    if chunks is None:
        scene = scene.compute(scheduler="threads")
        require_data(scene, scene.attrs.get("title", f"{scene.sizes['time']} dates"))
    return scene


def open_items(items, sensor, area, bands, resolution, crs, chunks, offset, timeout):
    """The lazy cube of items of one sensor over an area."""
    from .remote import gdal_options  # needs the extra

    passes = passes_of(items)
    passes = [[Source.of(item, sensor) for item in each] for each in passes]
    found = [source for each in passes for source in each]
    names = choose_bands(found, bands, sensor)
    with gdal_options(timeout):
        grid = target_grid(found, names, area, resolution, crs)
        variables = read_bands(passes, names, sensor, grid, chunks, offset)
    y, x = grid_coordinates(grid)
    scene = xr.Dataset(variables, coords={"y": y, "x": x})
    scene = with_times(scene, passes, sensor)
    if any(kind_of(name) == "reflective" for name in names):
        warn_of_collections([source.item for source in found], sensor)
        warn_of_offsets([source.item for source in found], sensor, offset)
    return scene.rio.write_crs(grid.crs.to_wkt()).rio.write_transform(grid.affine)


def read_bands(passes, names, sensor, grid, chunks, offset):
    """Variables (time, y, x) by band name; lazy."""
    from .remote import read_passes

    groups, parts = {}, {name: [] for name in names}
    for number, each in enumerate(passes):
        for source in each:
            files = {name: band_file(source, name, sensor, offset) for name in names if name in source.assets}
            for flags in (True, False):
                some = {name: file for name, file in files.items() if (file.kind == "flags") == flags}
                scales = tuple((name, *file.scale.values()) for name, file in some.items())
                if some:
                    groups.setdefault(scales, []).append((number, grid_of(source, next(iter(some))), some))
    for members in groups.values():  # what scales alike is read together, then joined
        for name, stored in read_passes(members, grid, chunks).items():
            file = members[0][2][name]
            parts[name].append(decoded(file, stored, file.nodata, keep_dn=False))
    fill = MASKS[SENSORS[sensor].qa].fill_value
    return {
        name: joined(found, len(passes), fill if name == "qa" else np.nan) for name, found in parts.items()
    }


def joined(parts, count, fill):
    """One variable of `count` passes of several that hold some passes each, or some pixels."""
    whole, attrs = parts[0], parts[0].attrs
    for part in parts[1:]:
        whole = whole.combine_first(part)
    if whole.sizes["time"] < count:
        whole = whole.reindex(time=range(count), fill_value=fill)
    return whole.drop_vars("time").assign_attrs(attrs)


def with_times(scene, passes, sensor):
    """The scene with its times, what is known of each, and the attributes of a scene."""
    rows = [facts_of([source.item for source in each]) for each in passes]
    times = pd.DatetimeIndex([row["datetime"] for row in rows]).as_unit("ns")
    scene = scene.assign_coords(time=times)
    for name in rows[0]:
        known = [row[name] for row in rows]
        if name != "datetime" and None not in known:
            scene = scene.assign_coords({name: ("time", np.array(known))})
    collection = collection_of(passes[0][0].item, sensor)
    scene.attrs = {"sensor": sensor, "radiometry": PRODUCTS[collection.reflectance].level}
    if len(rows) == 1:
        known = {name: value for name, value in rows[0].items() if value is not None and name != "platform"}
        known |= {"datetime": known["datetime"].isoformat()[:19], "title": known.pop("id")}
        scene.attrs |= known
    return scene


def facts_of(items):
    """What the items of a pass tell about it, None for what they do not."""
    first = items[0]
    sun = [sun_of(item) for item in items]
    return {
        "id": ", ".join(item.id for item in items),
        "datetime": taken_at(first),
        "platform": str(first.properties.get("platform", "")).lower(),
        "processing_baseline": baseline_of(first),
        "sun_elevation": mean_of([elevation for elevation, _ in sun]),
        "sun_azimuth": sun[0][1],
    }


def sun_of(item):
    """The sun's elevation and azimuth [degrees], or None."""
    own = item.properties
    elevation, zenith = own.get("view:sun_elevation"), own.get("s2:mean_solar_zenith")
    if elevation is None and zenith is not None:
        elevation = 90.0 - zenith
    return elevation, own.get("view:sun_azimuth", own.get("s2:mean_solar_azimuth"))


def mean_of(values):
    """The mean of numbers, None where one is missing."""
    return None if None in values else sum(values) / len(values)


def given_items(scenes):
    """pystac items, and the area, of what `find_scenes` gave, a row of it, or a list of items."""
    area = None
    if isinstance(scenes, pd.DataFrame | pd.Series):
        area, scenes = scenes.attrs.get("area"), scenes.get("items", [])
        scenes = [item for each in scenes for item in (each if isinstance(each, list) else [each])]
    items = [scenes] if hasattr(scenes, "assets") else list(scenes)
    if not items:
        raise SceneError("No scenes to open: the table or list is empty.")
    if strange := [type(item).__name__ for item in items if not hasattr(item, "assets")]:
        raise GlacierlabError(f"scenes= holds {strange[0]}: give a table of find_scenes, or pystac items.")
    return items, shapely.from_wkt(area) if area else None


def one_sensor(items, sensor=None):
    """The sensor of all items; SceneError where there are several."""
    platforms = Counter(str(item.properties.get("platform", "")).lower() for item in items)
    if sensor is None and "" in platforms:
        raise SceneError(f"{items[0].id} and others do not name their platform: say sensor=.")
    keys = {sensor_key(platform) for platform in platforms} if sensor is None else {sensor_key(sensor)}
    if len(keys) > 1:
        counts = ", ".join(f"{count} of {platform}" for platform, count in platforms.items())
        raise SceneError(f"Scenes of several sensors ({counts}) share no bands: choose one with sensor=.")
    return keys.pop()
