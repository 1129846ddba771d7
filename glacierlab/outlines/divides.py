"""Glacier complexes divided into glaciers, by a DEM or by given divides."""

from dataclasses import dataclass

import numpy as np
import shapely

from ..errors import GlacierlabError, GridError, require_outlines, require_valid, warn
from ..io.align import geobox_of
from ..io.layers import geodesic_area_km2
from .flowsheds import glaciers
from .grounds import MEDIAN, Ground, filled, in_turn, smoothed
from .imposing import impose
from .naming import as_table, some
from .surfaces import require_dem

DEM_PIXELS = MEDIAN**2  # assumption: the fewest on a complex that can tell its glaciers


@dataclass(frozen=True)
class Rules:
    """What makes two flowsheds one glacier; as the arguments of `split_glaciers`."""

    merge_m: float
    max_merge_m: float
    pit_m: float
    sliver_km2: float
    compact_sliver_km2: float
    min_range_m: float
    min_range_share: float


def split_glaciers(
    outlines,
    dem=None,
    *,
    divides=None,
    cell_m=40.0,
    merge_m=14.3,
    max_merge_m=3500.0,
    pit_m=30.0,
    sliver_km2=0.1,
    compact_sliver_km2=0.2,
    min_range_m=0.0,
    min_range_share=0.0,
    smooth_m=60.0,
    max_gap=0.05,
):
    """Divide glacier complexes into glaciers, by a DEM's flowsheds or by given divides.

    Each outline is divided on its own, on cells around all of it: neighbors that touch are not joined, so
    make complexes of an inventory that is divided already first, `glaciers.dissolve().explode()`. The
    glaciers of a complex are exactly the complex: no gap, no overlap, and its outline stays where it is.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        One row a complex, polygons in any CRS.
    dem : xarray.DataArray or path, optional
        Heights [m], (y, x), in any CRS, NaN or a declared nodata value where there are none; on the ice and
        160 m around it. Needed unless there are `divides`.
    divides : geopandas.GeoDataFrame, optional
        Impose these instead. Polygons of an older inventory: each takes the ice that it covers, and ice that
        none covers goes to the nearest of those in its complex; a complex that none touches stays whole. Or
        lines: they cut where they lead from outline to outline.
    cell_m : float
        Side of the cells of flow [m].
    merge_m, max_merge_m : float
        Flowsheds within r = merge_m √f [m] of one end of flow are one glacier, f its flow in cells of 40 m
        (for other cells scaled by their area: an assumption); r is at most `max_merge_m`. The
        published 14.3 divides Alpine ice too often: the RGI has 23 glaciers in Hintereisferner's complex, we
        find 32, and 26 with 24.
    pit_m : float
        Flow in the gutter passes pits up to so deep [m], which steps of square cells make along steep ice.
        Assumption: 30. With 0 it ends in each.
    sliver_km2, compact_sliver_km2 : float
        Smaller parts go to a neighbor; below the second limit if compact, extent x π / perimeter > 0.5.
    min_range_m, min_range_share : float
        Parts with less relief [m, and share of the complex's] go to a neighbor. Off by default; 100 and 0.1
        are in use.
    smooth_m : float
        Divides between square cells are simplified to about so much [m]. Assumption: one and a half cells.
    max_gap : float
        The largest share of the DEM below a complex that may be missing; it is filled from around.
        Assumption: 0.05.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a glacier, in the CRS and order of the complexes, the largest of a complex first; columns as
        given, `complex_id`, the index of the complex's row, and anew `area_km2` (geodesic) and `cenlon`,
        `cenlat`, a point inside [degrees]. What was measured of a complex that is divided, such as `pixels`,
        `debris_frac` or `zmin_m`, is missing: see `outlines.attributes`.

        `glac_id`, unless there is one, is the roundest place inside in the form of a GLIMS id
        ("G010752E46800N"), which hardly ever moves with the DEM. Ids that are text (`rgi_id`, `glims_id`,
        `glac_id`, `glacier_id`, `local_id`) become "id_place" where a complex is divided. With an older
        inventory they are the older glacier's, as its `glac_name`; where it lies in several complexes now,
        its largest piece keeps them and the others become "id_place"; `older_id` is the older one's own in
        all of them (of its first of these columns that says something), missing where there is none.

    Raises
    ------
    InventoryError
        No polygons, no CRS, invalid polygons, or coordinates that are not in their CRS.
    GridError
        The DEM has no CRS, or covers none of the complexes.
    GlacierlabError
        Neither `dem` nor `divides`, or an argument is out of bounds.

    Warns
    -----
    DataWarning
        Complexes that overlap; that stay whole because of a DEM that does not cover them or is too coarse
        (fewer than 25 pixels on one: an assumption); whose DEM was filled; lines that cut nothing.

    Notes
    -----
    Kienholz et al. 2013, doi:10.3189/2013JoG12J138: DEM in cells of 40 m, 5 x 5 median, a gutter of 100 m
    between one and two cells outside the outline, flowsheds of its ends of flow (D-infinity), merged where
    near to one end, slivers and enclosed parts to neighbors. Of ours: pits are filled by priority flood, and
    a cell belongs to the end that gets most of its flow, so that flowsheds never overlap. Divides are good
    to a few cells; the authors found 2 to 3 % of glaciers divided wrongly.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> squares = [box(600_000, 5_200_000, 601_500, 5_201_000), box(601_500, 5_200_000, 602_000, 5_201_000)]
    >>> older = gpd.GeoDataFrame({"rgi_id": ["A", "B"]}, geometry=squares, crs="EPSG:32632")
    >>> glaciers = split_glaciers(older[["geometry"]].dissolve().explode(), divides=older)
    >>> glaciers[["rgi_id", "area_km2"]].round(1).values.tolist()
    [['A', 1.5], ['B', 0.5]]
    """
    require_outlines(outlines, "split_glaciers")
    require_valid(outlines, "split_glaciers")
    if dem is None and divides is None:
        raise GlacierlabError("split_glaciers needs dem=, or divides= of an older inventory: give one.")
    rules = Rules(merge_m, max_merge_m, pit_m, sliver_km2, compact_sliver_km2, min_range_m, min_range_share)
    require_positive(cell_m=cell_m)
    require_positive(at_least=0, smooth_m=smooth_m, max_gap=max_gap, **vars(rules))
    tell_overlaps(outlines)
    if divides is not None:
        return as_table(outlines, impose(outlines, divides), divides)
    return as_table(outlines, drain(outlines, dem, rules, cell_m, smooth_m, max_gap))


def require_positive(at_least=None, **numbers):
    """GlacierlabError for numbers that are not finite and above 0, or not at least so much."""
    for name, value in numbers.items():
        if not (value > 0 if at_least is None else value >= at_least) or not np.isfinite(value):
            bound = "above 0" if at_least is None else f"{at_least} or more"
            raise GlacierlabError(f"{name}={value}: give a finite number, {bound}.")


def tell_overlaps(outlines):
    """Warn of complexes that overlap by more than rounding."""
    shapes = outlines.geometry.values
    one, other = outlines.sindex.query(shapes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    shared = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    real = shared > 1e-6 * np.minimum(shapely.area(shapes[one]), shapely.area(shapes[other]))
    if real.any():
        rows = outlines.index[np.unique([one[real], other[real]])]
        warn(f"{len(rows)} outlines overlap others and still do once divided: {some(rows)}.")


def drain(outlines, dem, rules, cell_m, smooth_m, max_gap):
    """(row, polygon, -1) of every glacier of every complex, by a DEM."""
    dem = opened(dem)
    areas, told, parts = geodesic_area_km2(outlines.geometry), Told(outlines.index), []
    for row, polygon, metric in in_turn(outlines):
        found = [polygon]
        if areas[row] >= 2 * rules.sliver_km2:  # else there are no two glaciers in it
            ground = Ground(polygon, outlines.crs, metric, cell_m)
            heights = usable(ground, dem, max_gap, told, row)
            if heights is not None:
                numbers = glaciers(heights, ground.ice, cell_m, rules)
                found = ground.cut(numbers, smooth_m, rules.sliver_km2 / areas[row])
        parts += [(row, part, -1) for part in found]
    told.tell(max_gap)
    return parts


def opened(dem):
    """A DEM as a DataArray (y, x), lazy if it is a file, and its GeoBox."""
    dem = require_dem(dem)
    return dem, geobox_of(dem, "split_glaciers")


def usable(ground, dem, max_gap, told, row):
    """Smoothed heights (y, x) below a complex, or None where they cannot divide it."""
    if not ground.ice.any():
        return None
    heights, pixels = ground.heights(*dem)
    heights, missing = filled(heights, ground.ice, max_gap)
    told.missing.append(missing)
    if heights is None:
        told.uncovered.append(row)
    elif not pixels >= DEM_PIXELS:
        told.coarse.append(row)
    else:
        told.filled += [row] if missing else []
        return smoothed(heights)
    return None


class Told:
    """Rows whose DEM was wanting, until all are told together."""

    def __init__(self, labels):
        self.labels, self.missing = labels, []
        self.uncovered, self.coarse, self.filled = [], [], []

    def tell(self, max_gap):
        """Warn of them; GridError where the DEM lies elsewhere."""
        if self.missing and min(self.missing) == 1:
            raise GridError("The DEM covers none of the outlines: check the file, its nodata and its CRS.")
        reasons = {
            "were left whole: more than {:.3g} % of the DEM below is missing": self.uncovered,
            "were left whole: they hold fewer than 25 pixels of the DEM": self.coarse,
            "were divided on a DEM with gaps, filled from around": self.filled,
        }
        for reason, rows in reasons.items():
            if rows:
                warn(f"{len(rows)} outlines {reason.format(100 * max_gap)} ({some(self.labels[rows])}).")
