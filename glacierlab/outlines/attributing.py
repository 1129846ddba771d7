"""The columns of RGI 7.0 for any outlines and DEM."""

from os import PathLike
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from ..errors import GlacierlabError, InventoryError, require_outlines
from ..io.layers import utm_zone
from ..tables import RGI7
from .routes import branches_of, onto
from .surfaces import located, surfaces

LEVEL = 1e-4  # tangent of a slope that is rounding
MEASURED = ["zmin_m", "zmax_m", "zmed_m", "zmean_m", "slope_deg", "aspect_deg", "lmax_m"]


def attributes(outlines, dem, *, dem_source=None, min_cover=0.5):
    """All columns of RGI 7.0 for outlines: what can be measured, measured; the rest as it is or unknown.

    Heights are taken on a grid of the glacier's own, as RGI 7.0 does: its UTM zone (polar stereographic
    beyond 84° N and 80° S), cells of 14 sqrt(area in km²) + 10 meters, at most 100, cubic resampling of the
    DEM (wider where the DEM is finer than the cells), cells whose center is inside; all that it touches
    where that is none.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS, degrees too, holes taken out.
    dem : path or xarray.DataArray
        Elevation (y, x) [m] in any CRS, NaN for nodata, in memory or lazy. A glacier reads what lies below it
        and no more.
    dem_source : str, optional
        Name of the DEM; default its file's, or the array's attribute `source` or name.
    min_cover : float
        Share of the glacier that the DEM must cover; less, and what needs it is NaN. 0.5 is an assumption.

    Returns
    -------
    geopandas.GeoDataFrame
        The rows, index and CRS of `outlines`, with the columns of `tables.RGI7` in their order, the others
        after them, `geometry` last. Measured anew:

        - `area_km2` (geodesic), `cenlon`, `cenlat` (a point inside), `utm_zone`;
        - `zmin_m`, `zmax_m`, `zmed_m`, `zmean_m`, `slope_deg` (mean), `aspect_deg` (direction of the mean of
          unit vectors, from true north), `aspect_sec`;
        - `lmax_m` (Int64), `termlon`, `termlat`: length and lower end of the main one of `centerlines`;
        - `dem_source`, and `dem_frac`, the share of the glacier that the DEM covers.

        Other columns of RGI 7.0 stay as they are; where missing they hold an empty text or the code for
        unknown.

    Raises
    ------
    InventoryError
        The outlines are no polygons or have no CRS, or text stands where RGI 7.0 has numbers.
    GridError
        The DEM has no CRS, no coordinates, or heights in feet.
    SceneError
        The file cannot be read.

    Warns
    -----
    DataWarning
        Glaciers, by name, that the DEM covers in part or too little, or that are smaller than its pixels.

    Notes
    -----
    Slopes are those of central differences. Areas and lines are of the outline alone: debris or snow is what
    it says it is. Source: RGI 7.0 user guide, doi:10.5067/F6JMOVY5NAVZ; lengths: Kienholz et al. 2014,
    doi:10.5194/tc-8-503-2014.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(shape=(96, 96))
    >>> glaciers = gl.outlines.vectorize(scene.truth == 1, min_area_km2=0.1)
    >>> table = attributes(glaciers, scene.elevation)
    >>> bool((table.zmin_m < table.zmed_m).all() and (table.zmed_m < table.zmax_m).all())
    True
    """
    require_outlines(outlines, "attributes")
    if not 0 <= min_cover <= 1:
        raise GlacierlabError(f"min_cover={min_cover} is no share: give 0 to 1.")
    places = located(outlines)
    source = dem_source or name_of_dem(dem)
    rows, ends = [], []
    for surface in surfaces(places, dem, "attributes", min_cover):
        row = {"dem_frac": 0.0} if surface is None else relief(surface)
        if surface is not None:
            main = branches_of(surface)[-1].line
            row |= {"lmax_m": round(main.length), "dem_source": source}
            ends.append((surface.crs, main.boundary.geoms[-1]))
        rows.append(row)
    table = complete(outlines, places, pd.DataFrame(rows, outlines.index))
    found = table.lmax_m.notna().to_numpy()
    terminus = onto(ends, "EPSG:4326")
    table.loc[found, "termlon"], table.loc[found, "termlat"] = terminus.x.values, terminus.y.values
    return table


def unmeasured(outlines):
    """The table of `attributes` for what is no glacier: where it lies and how large; the rest is unknown."""
    return complete(outlines, located(outlines), pd.DataFrame(index=outlines.index))


def name_of_dem(dem):
    """A DEM's file name, or what the array says of itself."""
    if isinstance(dem, str | PathLike):
        return Path(dem).name
    return str(getattr(dem, "attrs", {}).get("source") or getattr(dem, "name", None) or "")


def relief(surface):
    """Columns of elevation, slope and aspect of a `Surface`."""
    known = surface.known.astype(np.float64)
    down, right = np.gradient(surface.heights.astype(np.float64), surface.spacing_m)
    down, right = down[surface.inside], right[surface.inside]
    down, right = (axis[np.isfinite(down + right)] for axis in (down, right))
    steepness = np.hypot(down, right)
    tilted = steepness > LEVEL  # level ground looks nowhere
    east, north = (-right[tilted] / steepness[tilted]).sum(), (down[tilted] / steepness[tilted]).sum()
    clear = np.hypot(east, north) > 1e-6 * max(1, tilted.sum())
    azimuth = (np.degrees(np.arctan2(east, north)) + surface.north_deg) % 360 if clear else np.nan
    return {
        "zmin_m": known.min(),
        "zmax_m": known.max(),
        "zmed_m": np.median(known),
        "zmean_m": known.mean(),
        "slope_deg": np.degrees(np.arctan(steepness)).mean() if steepness.size else np.nan,
        "aspect_deg": azimuth,
        "aspect_sec": sector(azimuth),
        "dem_frac": surface.cover,
    }


def sector(azimuth):
    """RGI's code of the sector of an azimuth [degrees]: 1 is north, 3 east; 9 where there is none.

    >>> [sector(azimuth) for azimuth in (0.0, 22.5, 77.1, 180.0, 337.4, 337.5, float("nan"))]
    [1, 2, 3, 5, 8, 1, 9]
    """
    return 9 if np.isnan(azimuth) else int((azimuth + 22.5) // 45 % 8) + 1


def complete(outlines, places, measured):
    """The whole table of RGI 7.0 of outlines, of the `located` ones and what the DEM says."""
    known = {name: outlines[name] for name in RGI7 if name in outlines and name != "geometry"}
    known |= {name: places[name] for name in ("cenlon", "cenlat", "area_km2")}
    known["utm_zone"] = places.cenlon.map(utm_zone)
    known |= {name: measured.get(name) for name in [*MEASURED, "aspect_sec", "dem_source"]}
    known |= dict.fromkeys(("termlon", "termlat"))
    own = outlines.geometry.name
    columns = {name: column_of(name, known.get(name), outlines.index) for name in RGI7 if name != "geometry"}
    extras = {name: outlines[name] for name in outlines if name not in columns and name != own}
    extras["dem_frac"] = measured.get("dem_frac", pd.Series(dtype=float))
    table = gpd.GeoDataFrame(columns | extras, index=outlines.index)
    return table.set_geometry(gpd.GeoSeries(outlines.geometry.values, outlines.index, crs=outlines.crs))


def column_of(name, values, index):
    """Values as a column of RGI 7.0, what is missing as its unknown; all of that without values."""
    column = RGI7[name]
    values = pd.Series(values, index, dtype=object if values is None else None)
    if column.dtype == "str":
        if pd.api.types.is_datetime64_any_dtype(values):
            values = values.dt.strftime("%Y-%m-%d")
        return values.astype(object).where(values.notna(), column.unknown).astype("str")
    try:
        values = pd.to_numeric(values)
        if column.dtype == "float":
            return values.astype(np.float64)
        whole = values.astype("Int64")
    except (TypeError, ValueError) as error:
        raise InventoryError(
            f"{name} holds {column.dtype}s in RGI 7.0, and here {str(error).splitlines()[0]}: rename that "
            "column, or convert it."
        ) from error
    return whole if column.unknown is None else whole.fillna(column.unknown).astype(np.int64)
