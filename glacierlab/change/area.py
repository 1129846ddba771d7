"""The area of outlines and how far off it may be, by the bounds that papers give."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from rasterio import Affine
from rasterio.features import rasterize

from ..errors import GlacierlabError, InventoryError, require_outlines, require_valid
from ..io.layers import geodesic_area_km2
from ..tables import lookup
from .borders import GAP_M, Borders, borders_of
from .dated import label_of, require_no_total, rows_of
from .matching import ID_COLUMNS, is_missing, some

ROUND = 64  # segments a quarter of a circle
STRIP = 4_000_000  # pixels that are rasterized at a time
BOUND, INTERVAL = "bound", "95 %"  # what a half width is


@dataclass(frozen=True)
class Measured:
    """What a method may look at."""

    area_km2: np.ndarray  # (n,) geodesic
    debris_frac: np.ndarray  # (n,) 0 where nobody said
    borders: Borders | None  # where the method asks for them
    buffer_m: float
    pixel_m: float
    join: str
    independent: bool
    share: float
    debris_share: float

    def buffered(self, meters):
        """The area of the complexes, their borders moved outward [km²]."""
        moved = shapely.buffer(self.borders.complexes, meters, join_style=self.join, quad_segs=ROUND)
        return shapely.area(moved) / 1e6


# ---- one method, one function: half widths (n,) [km²] ----


def buffer(it):
    """Area gained when borders move outward, as in Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277."""
    return it.borders.per_outline(it.buffered(it.buffer_m) - it.buffered(0.0))


def symmetric_buffer(it):
    """Half of what lies between borders moved outward and inward."""
    return it.borders.per_outline(it.buffered(it.buffer_m) - it.buffered(-it.buffer_m)) / 2


def perimeter(it):
    """Length of the border times the buffer; rims of rock holes count."""
    length = shapely.length(it.borders.complexes)
    return it.borders.per_outline(length * it.buffer_m / 1e6)


def pixel_count(it):
    """Half of each border pixel; where their errors are independent, divided by the root of their number."""
    count = border_pixels(it.borders, it.pixel_m)
    return (np.sqrt(count) if it.independent else count) * it.pixel_m**2 / 2e6


def rgi(it):
    """3 x 0.039 s^0.7 of an area of s km². Pfeffer et al. 2014, doi:10.3189/2014JoG13J176."""
    return 3 * 0.039 * it.area_km2**0.7


def share(it):
    """A share of the area, more where debris lies. Paul et al. 2013, doi:10.3189/2013AoG63A296."""
    return it.area_km2 * ((1 - it.debris_frac) * it.share + it.debris_frac * it.debris_share)


METHODS = {
    "buffer": buffer,
    "symmetric_buffer": symmetric_buffer,
    "perimeter": perimeter,
    "pixel_count": pixel_count,
    "rgi": rgi,
    "share": share,
}
WITHOUT_PIXELS = ("rgi", "share")


# ---- the public functions ----


def area_uncertainty(
    outlines, method="symmetric_buffer", *, buffer_m=None, pixel_m=None, join="mitre", independent=False,
    share=0.05, debris_share=0.1, gap_m=GAP_M,
):  # fmt: skip
    """Measure outlines and bound the error of their areas.

    Every one of these methods gives a bound on the mapping error, not a standard deviation; only
    `change.area_distribution` gives a 95 % interval. Glaciers that touch are joined first, so that a divide
    counts for neither; the complex' error is dealt out to its glaciers by their share of its border.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS, degrees too. Outlines of different `class` are not joined, but for clean and
        debris-covered ice; nor are those that lie on each other, by half of the smaller (assumption). Where
        outlines of two dates do (`src_date`, `date` or `year`), each date is measured by itself.
    method : str
        "symmetric_buffer" (default, an assumption): half the area between borders moved outward and inward.
        "buffer": the area gained when borders move outward (Chen et al. 2022, after Granshaw and Fountain
        2006, doi:10.3189/172756506781828782, and Bolch et al. 2010, doi:10.5194/tc-4-419-2010).
        "perimeter": length of the border, rims of rock holes too, times the buffer. "pixel_count": half the
        area of the pixels along the border. "rgi": 0.117 s^0.7 km² of an area of s km² (Pfeffer et al. 2014,
        doi:10.3189/2014JoG13J176). "share": a fixed share (Paul et al. 2013, doi:10.3189/2013AoG63A296).
    buffer_m : float, optional
        How far borders move [m]; default half a pixel.
    pixel_m : float, optional
        Side of the pixels that were mapped [m]; default what a column `pixels` (of `vectorize`) tells.
    join : {"mitre", "round"}
        Corners of the moved borders; mitre is an assumption.
    independent : bool
        Of "pixel_count": whether border pixels err independently, so that errors grow with the root of
        their number. False, an assumption.
    share, debris_share : float
        Of "share": of clean ice, and of what `debris_frac` says is covered. 0.05 is the upper end of what
        Paul et al. found; 0.1 is an assumption.
    gap_m : float
        Outlines nearer than this touch [m]; 0.1 is an assumption.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines with `area_km2` (geodesic, WGS84, measured anew), `area_unc_km2` (half width) and
        `area_unc_kind`, "bound". `attrs["area_unc"]` says by which method.

    Raises
    ------
    UnknownNameError
        There is no such method.
    InventoryError
        There are no polygons, or invalid ones, or no CRS; or nothing tells how large the pixels are.
    GlacierlabError
        A number is negative, or `join` neither mitre nor round.

    Warns
    -----
    DataWarning
        Outlines that lie on others of their date.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=1, years=[2020], shape=(64, 64))
    >>> gl.area_uncertainty(world.outlines(), pixel_m=30).area_unc_kind.unique().tolist()
    ['bound']
    """
    require_outlines(outlines, "area_uncertainty")
    require_valid(outlines, "area_uncertainty")
    function = lookup(METHODS, method, kind="method of area_uncertainty")
    require_numbers(buffer_m=buffer_m, pixel_m=pixel_m, share=share, debris_share=debris_share, gap_m=gap_m)
    if join not in ("mitre", "round"):
        raise GlacierlabError(f"join={join!r}: corners are 'mitre' or 'round'.")
    area = geodesic_area_km2(outlines.geometry)
    needs_borders = method not in WITHOUT_PIXELS
    if needs_borders:
        pixel_m, buffer_m = sizes(outlines, area, pixel_m, buffer_m, method)
    borders = borders_of(outlines, gap_m=gap_m) if needs_borders else None
    debris = outlines["debris_frac"].fillna(0.0).to_numpy(float) if "debris_frac" in outlines else 0 * area
    half_width = function(
        Measured(area, debris, borders, buffer_m, pixel_m, join, independent, share, debris_share)
    )
    found = outlines.assign(area_km2=area, area_unc_km2=half_width, area_unc_kind=BOUND)
    found.attrs["area_unc"] = method if not needs_borders else f"{method}, {told(method, buffer_m, pixel_m)}"
    return found


def area_total(outlines):
    """The area of all glaciers together, and its error if theirs go together or each its own way.

    Parameters
    ----------
    outlines : pandas.DataFrame
        With `area_km2`, `area_unc_km2` and `area_unc_kind`, of `area_uncertainty` or `area_distribution`; of
        one date, or of several where a column of ids says that each row is a glacier of its own.

    Returns
    -------
    pandas.DataFrame
        One row: `glaciers`, their number; `area_km2`; `area_unc_linear_km2`, the sum of the half widths: all
        glaciers err alike (an upper bound, what Chen et al. 2022 did); `area_unc_rss_km2`, the root of the
        sum of their squares: each errs its own way; `area_unc_kind`. Of a calibrated table also
        `area_sd_independent_km2` (root-sum-square), `area_sd_correlated_km2` (sum: one method errs alike
        everywhere, an assumption) and `area_unc_km2`, 1.96 times both together. NaN where a glacier's is.

    Raises
    ------
    InventoryError
        A column is missing, or the table holds bounds and intervals, several dates of a glacier, or a
        "total".

    Examples
    --------
    >>> import glacierlab as gl
    >>> outlines = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> total = area_total(gl.area_uncertainty(outlines, pixel_m=30))
    >>> total[["glaciers", "area_km2", "area_unc_linear_km2", "area_unc_rss_km2"]].round(2).values.tolist()
    [[12.0, 0.92, 0.32, 0.12]]
    """
    needed = ["area_km2", "area_unc_km2", "area_unc_kind"]
    if missing := [name for name in needed if name not in outlines]:
        raise InventoryError(
            f"area_total needs {missing}, and the table has {list(outlines.columns)}: run area_uncertainty."
        )
    kinds = outlines["area_unc_kind"].unique().tolist()
    if len(kinds) > 1:
        raise InventoryError(f"The table holds half widths of several kinds, {kinds}: they do not add up.")
    require_one_date(outlines)
    half = outlines["area_unc_km2"]
    total = {
        "glaciers": len(outlines),
        "area_km2": outlines["area_km2"].sum(skipna=False),
        "area_unc_linear_km2": half.sum(skipna=False),
        "area_unc_rss_km2": np.sqrt((half**2).sum(skipna=False)),
        "area_unc_kind": kinds[0] if kinds else BOUND,
    }
    if {"area_sd_independent_km2", "area_sd_correlated_km2"} <= set(outlines):
        independent = np.sqrt((outlines["area_sd_independent_km2"] ** 2).sum(skipna=False))
        correlated = outlines["area_sd_correlated_km2"].sum(skipna=False)
        total |= {
            "area_sd_independent_km2": independent,
            "area_sd_correlated_km2": correlated,
            "area_unc_km2": 1.96 * np.hypot(independent, correlated),
        }
    return pd.DataFrame([total])


# ---- what they ask ----


def require_one_date(outlines):
    """InventoryError where a glacier, or a table that names none, has several dates; or there is a total."""
    named = [name for name in ID_COLUMNS if name in outlines]
    for name in named:
        require_no_total(outlines[name])
    rows = rows_of(outlines, next((name for name in named if not is_missing(outlines[name]).any()), None))
    labels = label_of(rows)
    if (labels.groupby(rows["glacier"]).nunique() > 1).any():
        raise InventoryError(
            f"area_total is of one date, and the table has several ({some(sorted(set(labels)), 3)}): choose "
            "one, or see area_series; where each row is another glacier, name them in a column 'rgi_id'."
        )


def require_numbers(**numbers):
    """GlacierlabError unless each is missing, or a finite number of 0 or more."""
    for name, value in numbers.items():
        if value is not None and not 0 <= value < np.inf:
            raise GlacierlabError(f"{name}={value!r}: give a number, 0 or more.")


def sizes(outlines, area_km2, pixel_m, buffer_m, method):
    """Pixel and buffer [m], of what was said or else of how many pixels the outlines count."""
    if pixel_m is None:
        pixel_m = pixel_of(outlines, area_km2)
    if buffer_m is None and pixel_m is not None:
        buffer_m = pixel_m / 2
    if buffer_m is None or (method == "pixel_count" and not pixel_m):
        raise InventoryError(
            f"Nothing tells how large the pixels were that {method!r} needs: give pixel_m=30 for Landsat, 10 "
            "for Sentinel-2, or, but for 'pixel_count', buffer_m=."
        )
    return pixel_m, buffer_m


def pixel_of(outlines, area_km2):
    """Side of the pixels [m] by the column `pixels` of `vectorize`; None without one."""
    if "pixels" not in outlines or not len(outlines):
        return None
    counted = outlines["pixels"].to_numpy(float)
    if not (counted > 0).all():
        return None
    side = float(np.sqrt(np.median(1e6 * area_km2 / counted)))
    return round(side, 1)  # areas on the ellipsoid differ from those of the grid by 0.1 %


def told(method, buffer_m, pixel_m):
    """The size that a method went by, in words."""
    return f"pixels of {pixel_m:g} m" if method == "pixel_count" else f"{buffer_m:g} m"


def border_pixels(borders, pixel_m):
    """Pixels of each outline (n,) with one of their four neighbors outside its complex; at least one."""
    count = np.zeros(len(borders.shapes))
    order = np.argsort(borders.complex_of, kind="stable")
    starts = np.searchsorted(borders.complex_of[order], np.arange(len(borders.complexes) + 1))
    for number, bounds in enumerate(shapely.bounds(borders.complexes).reshape(-1, 4)):
        rows = order[starts[number] : starts[number + 1]]
        west, south, east, north = bounds
        width, height = (
            int(np.ceil((b - a) / pixel_m - 1e-6)) + 2 for a, b in ((west, east), (south, north))
        )
        step = max(1, STRIP // width)
        for top in range(1, height - 1, step):
            high = min(step, height - 1 - top) + 2  # with a row of each neighboring strip
            grid = Affine(pixel_m, 0, west - pixel_m, 0, -pixel_m, north + pixel_m * (2 - top))
            named = zip(borders.shapes[rows], range(1, len(rows) + 1), strict=True)
            labels = rasterize(named, (high, width), transform=grid, dtype="int32")
            ice = labels > 0
            inner = ice[:-2, 1:-1] & ice[2:, 1:-1] & ice[1:-1, :-2] & ice[1:-1, 2:]
            edge = labels[1:-1, 1:-1][~inner]
            count[rows] += np.bincount(edge, minlength=len(rows) + 1)[1:]
    return np.maximum(count, 1)
