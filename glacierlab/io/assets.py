"""What the assets of STAC items hold: bands by name, their scale, and the grid they lie on."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real

import rasterio
import shapely
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from ..errors import GridError, MissingBandError, RadiometryError, warn
from ..tables import COLLECTIONS, MASKS, PRODUCTS, SENSORS, band_name, lookup
from .bands import MAX_PIXELS, BandFile, crs_name, pixel_size, read_grid
from .catalogs import baseline_of
from .radiometry import kind_of, per_band
from .shapes import around, cut_at_180

DEGREES = CRS("EPSG:4326")
RIM_POINTS = 20  # along a file's side, which bends in another CRS
RIM_DEGREES = 0.05  # between points of an area's rim


@dataclass(frozen=True)
class Source:
    """An item, and its assets by band name."""

    item: object
    assets: dict

    @classmethod
    def of(cls, item, sensor):
        """By the assets' keys: catalogs call several bands by one common name."""
        row, assets = SENSORS[sensor], {}
        for key, asset in item.assets.items():
            if key.lower() == row.qa:
                assets["qa"] = asset
            elif (name := band_name(key, sensor)) in row.by_name:
                assets[name] = asset
        return cls(item, assets)


def choose_bands(found, bands, sensor):
    """Names of the bands to open, in the order asked for or the sensor's."""
    held = Counter(name for source in found for name in source.assets)
    if bands is None:
        order = [*SENSORS[sensor].by_name, "qa"]
        names = [name for name in order if name in held]
    else:
        if isinstance(bands, Mapping):
            raise MissingBandError(f"bands={bands!r}: of a catalog give names alone, such as {[*bands]}.")
        asked = [bands] if isinstance(bands, str) else bands
        names = list(dict.fromkeys(name if name == "qa" else band_name(name, sensor) for name in asked))
        if missing := [name for name in names if name not in held]:
            raise MissingBandError(f"The scenes lack {missing}; they have {sorted(held)}.")
    if not names:
        raise MissingBandError(f"No asset of {found[0].item.id} is a band of {sensor}.")
    if partly := [f"{name} ({len(found) - held[name]})" for name in names if held[name] < len(found)]:
        warn(f"Some of the {len(found)} items lack bands, which are NaN there: {', '.join(partly)}.")
    return names


# ---- scale ----


def collection_of(item, sensor):
    """The row of `tables.COLLECTIONS` that an item follows; another collection follows its sensor's first."""
    if item.collection_id in COLLECTIONS:
        return COLLECTIONS[item.collection_id]
    rows = [row for row in COLLECTIONS.values() if sensor in row.sensors]
    return rows[0] if rows else lookup(COLLECTIONS, item.collection_id, kind="collection")


def band_file(source, name, sensor, offset):
    """The `BandFile` of a band of an item: where it lies, and how its numbers become values."""
    kind, row = kind_of(name), collection_of(source.item, sensor)
    asset = source.assets[name]
    path = address(asset)
    if kind == "flags":
        mask = SENSORS[sensor].qa
        return BandFile(name, path, native=mask, kind=kind, nodata=MASKS[mask].fill_value)
    native = SENSORS[sensor].by_name[name].native
    product = PRODUCTS[row.temperature if kind == "thermal" else row.reflectance]
    add = product.add
    if row.offset:
        add = product.gain * dn_offset(source.item, asset, name, row, product, offset)
    scale = {"gain": product.gain, "add": add}
    return BandFile(name, path, native=native, kind=kind, nodata=product.nodata, scale=scale)


def address(asset):
    """Where an asset lies."""
    return asset.get_absolute_href() or asset.href


def dn_offset(item, asset, name, row, product, choice):
    """DN to add to a Sentinel-2 band, as its catalog, its baseline or the caller says."""
    if not isinstance(choice, str):
        own = per_band(choice, name)
        return own if own is not None else dn_offset(item, asset, name, row, product, "metadata")
    if choice == "metadata" and row.removed and item.properties.get(row.removed):
        return 0.0
    if choice == "metadata" and row.offset == "raster:bands":
        told = (asset.extra_fields.get("raster:bands") or [{}])[0]
        if "offset" in told:
            return told["offset"] / told.get("scale", product.gain)
    try:
        return product.baseline_offset_dn if float(baseline_of(item)) >= 4 else 0.0
    except (TypeError, ValueError):
        raise RadiometryError(
            f"{item.id} does not tell its processing baseline ({baseline_of(item)!r}), on which its offset "
            "depends: say offset=-1000, or 0 where it is removed."
        ) from None


def require_offset(items, sensor, offset):
    """RadiometryError for an `offset` that is none, or that nobody would use."""
    if isinstance(offset, str) and offset in ("metadata", "baseline"):
        return
    numbers = [*offset.values()] if isinstance(offset, Mapping) else [offset]
    if not all(isinstance(number, Real) and not isinstance(number, bool) for number in numbers):
        raise RadiometryError(
            f"offset={offset!r} is neither 'metadata', 'baseline' nor a number, or several by band."
        )
    if not any(collection_of(item, sensor).offset for item in items):
        raise RadiometryError(f"offset={offset!r} is for Sentinel-2, and these are {sensor}: leave it out.")
    strange = set(offset) - set(SENSORS[sensor].by_name) if isinstance(offset, Mapping) else ()
    if strange:
        raise RadiometryError(f"offset= names {sorted(strange)}: bands are {[*SENSORS[sensor].by_name]}.")


def warn_of_collections(items, sensor):
    """Warn where items of an unknown collection are taken for those of a known one."""
    unknown = sorted({str(item.collection_id) for item in items} - set(COLLECTIONS))
    if unknown:
        like = next(name for name, row in COLLECTIONS.items() if sensor in row.sensors)
        warn(f"Collection {unknown[0]!r} is not known; its numbers are taken for those of {like!r}.")


def warn_of_offsets(items, sensor, offset):
    """Warn where items do not say that the offset is removed, in a catalog that is wrong about some.

    One that names assets as ESA does, such as Planetary Computer, keeps ESA's numbers: an assumption.
    """
    if offset != "metadata":
        return
    doubtful = [
        item.id
        for item in items
        if (flag := collection_of(item, sensor).removed)
        and not item.properties.get(flag)
        and not any(band.native in item.assets for band in SENSORS[sensor].bands)
        and float(baseline_of(item) or 0) >= 4
    ]
    if doubtful:
        warn(
            f"{len(doubtful)} of {len(items)} items, such as {doubtful[0]}, do not say that the offset of "
            "-1000 DN is removed, and so it is subtracted. This catalog is wrong about some of 2022 and "
            "2025: where scene.glacier.check() finds much of a date negative, open it with offset=0."
        )


# ---- grid ----


def grids_of(found, names):
    """GeoBoxes of the finest band of every item, pan aside; of its metadata, else of the file."""
    spectral = [name for name in names if name not in ("pan", "qa")] or names
    grids = []
    for source in found:
        own = [grid_of(source, name) for name in spectral if name in source.assets]
        grids += [min(own, key=pixel_size)] if own else []
    return grids


def grid_of(source, name):
    """An asset's GeoBox: what the item says of it, else the file's own."""
    told = source.item.properties | source.assets[name].extra_fields
    shape, affine = told.get("proj:shape"), told.get("proj:transform")
    code = told.get("proj:code") or told.get("proj:epsg") or told.get("proj:wkt2")
    if shape and affine and code:
        return GeoBox(tuple(shape), rasterio.Affine(*affine[:6]), code)
    return grid_in_file(address(source.assets[name]))


@lru_cache(maxsize=1024)  # an answer of a server each
def grid_in_file(path):
    """A file's own GeoBox."""
    return read_grid(BandFile("", path))[0]


def target_grid(found, names, area, resolution, crs):
    """The grid to open on: whole pixels of the most frequent CRS around the area, or around all scenes."""
    grids = grids_of(found, names)
    common = Counter(grid.crs for grid in grids).most_common(1)[0][0]
    own = min((grid for grid in grids if grid.crs == common), key=pixel_size)
    target = common if crs is None else crs_of(crs)
    if target.geographic and resolution is None:
        raise GridError(f"{crs_name(target)} is in degrees: give resolution= in degrees too.")
    step = pixel_size(own) if resolution is None else resolution
    if not step > 0:
        raise GridError(f"resolution={resolution} is no pixel size: give a positive number.")
    if area is None:
        bounds = shapely.total_bounds([outline_of(grid, target) for grid in grids])
    else:
        covered = shapely.union_all([outline_of(grid, DEGREES) for grid in grids])
        if not covered.intersects(area):
            shown = [", ".join(f"{v:g}" for v in shape.bounds) for shape in (area, covered)]
            raise GridError(f"The area ({shown[0]}) lies outside the scenes ({shown[1]}): choose others.")
        bounds = reprojected(shapely.segmentize(area, RIM_DEGREES), DEGREES, target).bounds
    corner = (own.affine.c, own.affine.f) if target == common else (0.0, 0.0)
    return whole_pixels(bounds, corner, step, target)


def whole_pixels(bounds, corner, step, crs):
    """The smallest GeoBox around bounds (west, south, east, north) of pixels that keep to a corner's grid."""
    west, south, east, north = bounds
    (x, y), close = corner, 1e-6  # of a pixel: rounding
    left, right = math.floor((west - x) / step + close), math.ceil((east - x) / step - close)
    top, bottom = math.floor((y - north) / step + close), math.ceil((y - south) / step - close)
    shape = max(bottom - top, 1), max(right - left, 1)
    if shape[0] * shape[1] > MAX_PIXELS:
        raise GridError(f"{shape[0]} x {shape[1]} pixels of {step:g}: resolution= is in units of the CRS.")
    return GeoBox(shape, rasterio.Affine(step, 0, x + left * step, 0, -step, y - top * step), crs)


def crs_of(crs):
    """The CRS of a code or text; GridError where there is none."""
    try:
        return CRS(crs)
    except Exception as error:  # pyproj's and odc-geo's
        raise GridError(f"crs={crs!r} is none that PROJ knows: give 'EPSG:32611', say.") from error


def outline_of(grid, crs):
    """The outline of a GeoBox in a CRS, as a shapely geometry; in degrees cut at the 180th meridian."""
    rim = shapely.segmentize(grid.extent.geom, pixel_size(grid) * max(grid.shape) / RIM_POINTS)
    outline = reprojected(rim, grid.crs, crs)
    if not crs.geographic or grid.crs.geographic:
        return outline
    return cut_at_180([around(outline, reprojected(rim.centroid, grid.crs, crs).x)])[0]


def reprojected(geometry, source, target):
    """A shapely geometry, vertex by vertex, in another CRS."""
    if source == target:
        return geometry
    onto = Transformer.from_crs(source.proj, target.proj, always_xy=True)
    return shapely.transform(geometry, onto.transform, interleaved=False)
