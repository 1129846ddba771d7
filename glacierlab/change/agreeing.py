"""Two inventories of the same ground: what both have, what one misses, and how far their outlines differ."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from rasterio.features import rasterize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import GlacierlabError, GridError
from ..io.layers import geodesic_area_km2, metric_crs, require_crs, transform_of
from ..scores import polis
from .matching import ID_COLUMNS, is_missing
from .overlaps import links, on_equal_areas, projected

BOTH, NAMES = "both", ("ours", "other")  # of the ground; codes 1, 2, 3 on a grid
SNAP_M = 0.001  # the map's corners lie on a grid so fine, so that its parts fit and stay valid


@dataclass(frozen=True)
class Agreement:
    """Two inventories compared; see `agreement`."""

    matches: pd.DataFrame  # one row a glacier that either has
    total: pd.Series
    map: gpd.GeoDataFrame  # polygons mapped_by "both", or one of the names
    names: tuple[str, str] = NAMES

    def on_grid(self, grid):
        """The map as a raster.

        Parameters
        ----------
        grid : xarray.DataArray
            (y, x) with a CRS, such as a band of a scene.

        Returns
        -------
        xarray.DataArray
            (y, x) uint8 by pixel centers: 0 neither, 1 both, 2 ours, 3 other, or as they were named, with CF
            flag attributes.

        Raises
        ------
        GridError
            The grid has no CRS, or no outline touches it.
        """
        shapes = self.map.geometry.to_crs(require_crs(grid, "An agreement map").to_wkt())
        grid = grid.transpose("y", "x")
        codes = self.map.mapped_by.map({name: code for code, name in enumerate((BOTH, *self.names), 1)})
        transform = transform_of(grid)
        corners = [transform * corner for corner in ((0, 0), grid.shape[::-1])]
        near = shapes.sindex.query(shapely.box(*np.ravel(np.sort(corners, axis=0))))
        if not near.size:
            raise GridError("No outline of either inventory touches the grid: take one that lies there.")
        values = rasterize(
            zip(shapes.iloc[near], codes.iloc[near], strict=True),
            grid.shape,
            transform=transform,
            dtype="uint8",
        )
        attrs = {"long_name": "agreement of two inventories", "flag_values": np.arange(4, dtype="uint8")}
        meanings = ("neither", BOTH, *self.names)
        attrs["flag_meanings"] = " ".join("_".join(name.split()) for name in meanings)
        coords = {name: grid.coords[name] for name in ("y", "x")}
        raster = xr.DataArray(values, coords, ("y", "x"), name="agreement", attrs=attrs)
        return raster.rio.write_crs(grid.rio.crs)


def agreement(ours, other, *, min_overlap=0.5, names=NAMES):
    """Compare two inventories by where their outlines lie: of the same time, or of two dates.

    Outlines that share `min_overlap` of the smaller one are the same ice. A match is all outlines that hang
    together so: one and one, or one that the other side has in parts.

    Parameters
    ----------
    ours, other : geopandas.GeoDataFrame
        Outlines in any CRS; `other` is the reference.
    min_overlap : float
        Share [1] from 0 to 1. Half is an assumption: with less, neighbors whose divide was drawn elsewhere
        become one match.
    names : (str, str)
        What the map calls the ground of one side alone, such as ("1998", "2009").

    Returns
    -------
    Agreement
        `matches`, a DataFrame, those with most area first: `status` ("matched"; "missed", in `other` only;
        "extra", in `ours` only), `ours` and `other` (what each table's first filled id column holds, of
        rgi_id, glims_id, glac_id, glacier_id, local_id, glac_name, or else its index; several joined by
        "; "), `n_ours`, `n_other`, `area_ours_km2`, `area_other_km2` (geodesic), `difference_km2` (ours -
        other), `difference_pct` [% of the other], `overlap_km2`, `iou` [1], and `polis_m`, the mean
        distance of the outlines' corners from the other outline [m] (`scores.polis`). NaN where there is one
        side only.
        `total`, a Series: the numbers of outlines and of matches by status, both areas with their
        difference, `both_km2`, `only_ours_km2`, `only_other_km2` and `iou` of all ground.
        `map`, a GeoDataFrame in the CRS of `ours`: polygons `mapped_by` "both", "ours" (only) or "other"
        (only), or by their `names`, with `area_km2`; `on_grid` draws it on a raster.

    Raises
    ------
    InventoryError
        Outlines without a CRS, or that are no valid polygons.
    GlacierlabError
        `min_overlap` is no share, or `names` are no two different ones.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = lambda *bounds: gpd.GeoDataFrame(geometry=[shapely.box(*b) for b in bounds], crs="EPSG:32632")
    >>> found = agreement(boxes((0, 0, 1000, 1000)), boxes((0, 0, 1000, 500), (2000, 0, 3000, 1000)))
    >>> found.matches[["status", "iou"]].round(3).fillna(0).values.tolist()
    [['missed', 0.0], ['matched', 0.5]]
    """
    if len({BOTH, *map(str, names)}) != 3 or isinstance(names, str):
        raise GlacierlabError(f"names={names!r}: give two names, such as ('1998', '2009'), and not 'both'.")
    tables, names = (ours, other), tuple(map(str, names))
    shapes, crs = on_equal_areas(tables, "agreement")
    count, groups = grouped(*shapes, min_overlap)
    matches = match_table(tables, shapes, crs, count, groups)
    ground = agreement_map(*shapes, crs, ours.crs, names)
    return Agreement(matches, total_of(matches, ground, names), ground, names)


def grouped(ours, other, min_overlap):
    """How many groups of outlines hang together by links, and the group of each outline of both sides."""
    one, two, _ = links(ours, other, min_overlap)
    count, groups = components(one, two + len(ours), len(ours) + len(other))
    return count, np.split(groups, [len(ours)])


def components(one, two, size):
    """How many components a graph of `size` nodes has, and the component of each, by its edges."""
    if not size:
        return 0, np.zeros(0, int)
    return connected_components(coo_array((np.ones(len(one)), (one, two)), (size, size)), directed=False)


def match_table(tables, shapes, crs, count, groups):
    """`matches` of an `Agreement`."""
    columns, areas = {}, []
    for side, table, group in zip(("ours", "other"), tables, groups, strict=True):
        size = np.bincount(group, minlength=count)
        km2 = np.bincount(group, geodesic_area_km2(table.geometry), count)
        columns |= {side: joined(own_names(table), group, count), f"n_{side}": size}
        areas.append(np.where(size > 0, km2, np.nan))
    (ours_km2, other_km2), n_ours, n_other = areas, columns["n_ours"], columns["n_other"]
    status = np.select([n_other == 0, n_ours == 0], ["extra", "missed"], "matched")
    whole = [merged(each, group, count) for each, group in zip(shapes, groups, strict=True)]
    both = np.where(status == "matched", shapely.area(shapely.intersection(*whole)), np.nan)
    matches = pd.DataFrame({"status": status} | columns).assign(
        area_ours_km2=ours_km2,
        area_other_km2=other_km2,
        difference_km2=ours_km2 - other_km2,
        difference_pct=100 * (ours_km2 - other_km2) / other_km2,
        overlap_km2=both / 1e6,
        iou=both / (shapely.area(whole[0]) + shapely.area(whole[1]) - both),
        polis_m=distances_m(*whole, crs, status == "matched"),
    )
    largest = matches[["area_ours_km2", "area_other_km2"]].max(axis=1)
    return matches.iloc[np.argsort(-largest, kind="stable")].reset_index(drop=True)


def own_names(table):
    """What a table calls its outlines: its first id column without a gap, or else its index."""
    for column in ID_COLUMNS:
        if column in table and not is_missing(table[column]).any():
            return table[column].tolist()
    return table.index.tolist()


def joined(names, group, count):
    """The names of each group: the one, several as text, or None."""
    members = [[] for _ in range(count)]
    for name, number in zip(names, group.tolist(), strict=True):
        members[number].append(name)
    return pd.Series(
        [each[0] if len(each) == 1 else "; ".join(map(str, each)) or None for each in members], dtype=object
    )


def merged(shapes, group, count):
    """One geometry a group: its outline, or the union of several; an empty one for a group without."""
    order = np.argsort(group, kind="stable")
    parts = np.split(shapes[order], np.cumsum(np.bincount(group, minlength=count))[:-1]) if count else []
    return np.array([each[0] if len(each) == 1 else shapely.union_all(each) for each in parts], object)


def distances_m(ours, other, crs, matched):
    """The PoLiS distance [m] of pairs of outlines, in the UTM zone of each; NaN where they do not match."""
    distances, wanted = np.full(len(ours), np.nan), np.flatnonzero(matched)
    pairs = gpd.GeoDataFrame({"ours": ours[wanted], "other": other[wanted]})
    inside = gpd.GeoSeries(shapely.point_on_surface(other[wanted]), crs=crs).to_crs("EPSG:4326")
    zones = [metric_crs(x, y) for x, y in zip(inside.x, inside.y, strict=True)]
    for zone, rows in pairs.groupby(np.array(zones, object), sort=False):
        one, two = (gpd.GeoSeries(rows[side], crs=crs).to_crs(zone) for side in ("ours", "other"))
        distances[wanted[rows.index]] = [polis(a, b) for a, b in zip(one, two, strict=True)]
    return distances


def agreement_map(ours, other, crs, own_crs, names):
    """Polygons of the ground that both sides have, or one of them only, in `own_crs`."""
    shapes = np.concatenate([ours, other])
    touching = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    count, groups = components(*touching, len(shapes))  # each by itself: much faster than all at once
    one, two = (
        merged(side, group, count)
        for side, group in zip((ours, other), np.split(groups, [len(ours)]), strict=True)
    )
    parts = {
        BOTH: shapely.intersection(one, two, grid_size=SNAP_M),
        names[0]: shapely.difference(one, two, grid_size=SNAP_M),
        names[1]: shapely.difference(two, one, grid_size=SNAP_M),
    }
    ground = gpd.GeoDataFrame(
        {"mapped_by": np.repeat([*parts], count)}, geometry=np.concatenate([*parts.values()]), crs=crs
    )
    ground = ground.explode(ignore_index=True)
    ground = ground[(ground.geom_type == "Polygon") & ~ground.is_empty].reset_index(drop=True)
    ground = ground.set_geometry(gpd.GeoSeries(projected(ground.geometry, own_crs), crs=own_crs))
    ground.insert(1, "area_km2", geodesic_area_km2(ground.geometry))
    return ground


def total_of(matches, ground, names):
    """`total` of an `Agreement`."""
    km2 = ground.groupby("mapped_by").area_km2.sum().reindex((BOTH, *names)).fillna(0.0)
    km2 = km2.set_axis((BOTH, *NAMES))
    ours, other = matches.area_ours_km2.sum(), matches.area_other_km2.sum()
    return pd.Series(
        {f"n_{side}": int(matches[f"n_{side}"].sum()) for side in ("ours", "other")}
        | {status: int((matches.status == status).sum()) for status in ("matched", "missed", "extra")}
        | {
            "area_ours_km2": ours,
            "area_other_km2": other,
            "difference_km2": ours - other,
            "difference_pct": 100 * (ours - other) / other if other else np.nan,
            "both_km2": km2["both"],
            "only_ours_km2": km2["ours"],
            "only_other_km2": km2["other"],
            "iou": km2["both"] / km2.sum() if km2.sum() else np.nan,
        },
        dtype=object,  # counts stay whole
    )
