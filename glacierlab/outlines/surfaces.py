"""The ground below each glacier, on the grid that RGI 7.0 measures it on."""

from dataclasses import dataclass
from os import PathLike

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject
from tqdm import tqdm

from ..errors import GridError, InventoryError, warn
from ..features.dem import METERS
from ..io.align import below, geobox_of, open_layer, require_layer
from ..io.layers import WGS84, geodesic_area_km2, metric_crs, require_crs
from ..io.radiometry import apply_decode
from ..io.shapes import beside, repaired, whole

MAX_SPACING_M = 100.0
RIM_M = 130.0  # around the outline: half the window that center lines smooth over
LOWEST_M, HIGHEST_M = -500.0, 9000.0  # of land: what lies beyond is no height (an assumption)
MOST_CELLS = 1e8  # of one glacier's grid
NAMES = ("rgi_id", "glac_name", "glims_id")  # by which a message calls a glacier


@dataclass(frozen=True)
class Surface:
    """A glacier and the heights below it, on a north-up grid in meters."""

    outline: shapely.Polygon | shapely.MultiPolygon
    crs: str
    grid: rasterio.Affine
    heights: np.ndarray  # (y, x) float32 [m], NaN where the DEM has none
    inside: np.ndarray  # (y, x) bool: cells whose center is inside
    cover: float  # share of those that have a height
    north_deg: float  # azimuth of the grid's north

    @property
    def spacing_m(self):
        """Side of a cell [m]."""
        return self.grid.a

    @property
    def known(self):
        """Heights inside [m], a vector."""
        found = self.heights[self.inside]
        return found[np.isfinite(found)]


def spacing_m(area_km2):
    """Side of a cell [m] for a glacier's area, RGI 7.0's rule.

    >>> [round(float(spacing_m(area)), 1) for area in (0.01, 8.0, 42.0)]
    [11.4, 49.6, 100.0]
    """
    return np.minimum(14 * np.sqrt(area_km2) + 10, MAX_SPACING_M)


def located(outlines):
    """Outlines in degrees with `area_km2` (geodesic) and `cenlon`, `cenlat`, a point inside each.

    Raises
    ------
    InventoryError
        Outlines lie nowhere on earth, or have no area.
    """
    degrees = whole(shapely.force_2d(outlines.geometry.to_crs("EPSG:4326").values))
    degrees = gpd.GeoSeries(degrees, outlines.index, crs="EPSG:4326")
    bounds = degrees.bounds
    off = ~(bounds[["miny", "maxy"]].abs().max(axis=1) <= 90).to_numpy()
    wide = (bounds.maxx - bounds.minx > 180).to_numpy() & ~off
    if wide.any():
        first = name_of(outlines, int(wide.argmax()))
        raise InventoryError(
            f"{wide.sum()} of {len(outlines)} outlines go around a pole, or halfway round the earth, where "
            f"longitudes tell no inside: measure them in parts. The first is {first}."
        )
    if (invalid := ~degrees.is_valid).any():
        names = [name_of(outlines, place) for place in np.flatnonzero(invalid)]
        tell("their rings are invalid; measured as repaired, see what outlines.qa says", names)
        degrees[invalid.to_numpy()] = repaired(degrees.values[invalid])
    inside = shapely.point_on_surface(degrees.values)
    for wrong, what in (
        (shapely.is_empty(inside), "have no area: leave them out"),
        (off, "lie at no latitude: their coordinates are not what their CRS says (see outlines.qa)"),
    ):
        if wrong.any():
            first = name_of(outlines, int(wrong.argmax()))
            raise InventoryError(f"{wrong.sum()} of {len(outlines)} outlines {what}. The first is {first}.")
    places = {"cenlon": beside(shapely.get_x(inside)), "cenlat": shapely.get_y(inside)}
    return outlines.set_geometry(degrees).assign(area_km2=geodesic_area_km2(degrees), **places)


def require_dem(dem):
    """Elevations (y, x) float32, lazy if they are a path; GridError where they are none in meters.

    Nodata is NaN, and so are numbers below -500 m or above 9000 m: nodata that nobody declared.
    """
    if isinstance(dem, str | PathLike):
        dem = open_layer(dem, "elevation", None)
    if not isinstance(dem, xr.DataArray):
        raise GridError(
            f"A DEM is a path or a DataArray (y, x), such as scene.elevation, not {type(dem).__name__}."
        )
    require_crs(dem, "A DEM")
    if dem.attrs.get("units", "m") not in METERS:
        raise GridError(f"The DEM's heights are in {dem.attrs['units']!r}, not in 'm': convert them.")
    dem = apply_decode(require_layer(dem).transpose("y", "x"), {}, dem.rio.nodata)
    return dem.where((dem >= LOWEST_M) & (dem <= HIGHEST_M))


def surfaces(outlines, dem, doing, min_cover=0.0):
    """The `Surface` of each of `located` outlines, in their order; None where the DEM covers too little.

    Warns
    -----
    DataWarning
        Glaciers that the DEM covers in part or not at all, or that are smaller than its pixels.
    """
    raster = require_dem(dem)
    own = geobox_of(raster, "A DEM")
    zones = [metric_crs(*place) for place in zip(outlines.cenlon, outlines.cenlat, strict=True)]
    shapes = in_zones(outlines.geometry, zones)
    pixel = pixel_m(own, raster.rio.crs, outlines)
    partly, missing, coarse = [], [], []
    areas = outlines.area_km2.to_numpy()
    for place in tqdm(range(len(outlines)), desc=doing, unit="glacier", delay=5):
        surface = surface_of(shapes[place], zones[place], areas[place], raster.data, own)
        enough = surface.cover > 0 and surface.cover >= min_cover
        if pixel**2 > areas[place] * 1e6:
            coarse.append(name_of(outlines, place))
        if surface.cover < 1:
            (partly if enough else missing).append(name_of(outlines, place))
        yield surface if enough else None
    little = f"covers less than {min_cover:.0%} of them" if min_cover else "does not cover them"
    tell(f"the DEM {little}; what needs it is missing", missing)
    tell("the DEM covers them in part; what is said is of that part", partly)
    tell(f"they are smaller than a pixel of the DEM ({pixel:.0f} m)", coarse)


def tell(what, names):
    """A DataWarning that names glaciers, if there are any."""
    if names:
        more = "" if len(names) <= 5 else f" and {len(names) - 5} more"
        warn(f"{len(names)} glacier{'s' * (len(names) > 1)} ({', '.join(names[:5])}{more}): {what}.")


def name_of(outlines, place):
    """What a message calls the glacier of a row: its id or name, else its index."""
    for column in NAMES:
        if column in outlines and isinstance(name := outlines[column].iloc[place], str) and name:
            return name
    return f"row {outlines.index[place]!r}"


def in_zones(outlines, zones):
    """Geometries of a GeoSeries, each in the CRS that `zones` names for it."""
    found = np.empty(len(outlines), dtype=object)
    zones = np.array(zones, dtype=object)
    for zone in set(zones):
        there = np.flatnonzero(zones == zone)
        found[there] = outlines.iloc[there].to_crs(zone).values
    return found


def surface_of(outline, crs, area_km2, values, own):
    """The `Surface` of one outline in meters, from a DEM's values (y, x) on the GeoBox `own`."""
    dx = float(spacing_m(area_km2))
    rim = int(np.ceil(RIM_M / dx)) + 2
    west, south, east, north = outline.bounds
    left, top = int(np.floor(west / dx)) - rim, int(np.ceil(north / dx)) + rim
    shape = (top - int(np.floor(south / dx)) + rim, int(np.ceil(east / dx)) + rim - left)
    if shape[0] * shape[1] > MOST_CELLS:
        raise InventoryError(
            f"An outline spans {(east - west) / 1000:.0f} x {(north - south) / 1000:.0f} km, too much to be "
            "measured at once: where its parts lie apart, outlines.explode() them first."
        )
    grid = rasterio.Affine(dx, 0.0, left * dx, 0.0, -dx, top * dx)
    heights = heights_on(GeoBox(shape, grid, crs), values, own)
    inside = cells(outline, grid, shape)
    if not inside.any():  # thinner than a cell everywhere
        inside = cells(outline, grid, shape, all_touched=True)
    middle = shapely.point_on_surface(outline)
    north_deg = azimuth_of_north(middle.x, middle.y, crs)
    cover = float(np.isfinite(heights[inside]).mean())
    return Surface(outline, crs, grid, heights, inside, cover, north_deg)


def cells(outline, grid, shape, all_touched=False):
    """Which cells (y, x) have their center in a polygon; or any of them that it touches."""
    return rasterize([outline], shape, transform=grid, all_touched=all_touched, dtype="uint8").astype(bool)


def heights_on(grid, values, own):
    """Heights (y, x) float32 on a GeoBox by GDAL's cubic resampling, wider where the DEM is finer."""
    heights = np.full(grid.shape, np.nan, dtype=np.float32)
    if (found := below(values, own, grid)) is not None:
        values, own = found
        reproject(
            np.asarray(values),
            heights,
            src_transform=own.affine,
            src_crs=own.crs.to_wkt(),
            src_nodata=np.nan,
            dst_transform=grid.affine,
            dst_crs=grid.crs.to_wkt(),
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    return heights


def pixel_m(own, crs, outlines):
    """About the height of a DEM's pixel [m], in degrees that at the middle one of located outlines."""
    if not crs.is_geographic:
        return abs(own.affine.e) * crs.linear_units_factor[1]
    lat = np.clip(np.median(outlines.cenlat), -89, 89) if len(outlines) else 0.0
    return abs(own.affine.e) * WGS84.inv(0, lat - 0.5, 0, lat + 0.5)[2]


def azimuth_of_north(x, y, crs):
    """Azimuth [degrees] at a place of a CRS's y axis, 0 where that is true north."""
    ends = gpd.GeoSeries.from_xy([x, x], [y, y + 100.0], crs=crs).to_crs("EPSG:4326")
    return WGS84.inv(ends.x[0], ends.y[0], ends.x[1], ends.y[1])[0]
