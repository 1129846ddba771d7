"""Labels of any kind put onto a scene's grid: class maps, masks and outlines, and what is to be ignored."""

import numpy as np
import shapely
import xarray as xr

from ..errors import GlacierlabError, GridError, UnknownNameError
from ..io.align import aligned, coverage, geobox_of
from ..io.bands import crs_name, same_projection
from ..scores import GLACIER_PARTS, codes_of
from ..tables import CLASSES, NOT_OBSERVED, lookup
from .sources import UNNAMED, Polygons, Raster

# of outlines, in any case; the first there is
ID_COLUMNS = ("rgi_id", "rgiid", "glac_id", "glacier_id", "glacier", "id")
BRING = "scene.glacier.add_layer('labels', labels, resampling='nearest')['labels'].assign_attrs(labels.attrs)"
LAST = len(CLASSES)  # where classes that the tables do not know come in order


def by_scene(given, scenes, what):
    """What is given for each scene: a dict by name, or one thing for all."""
    if not isinstance(given, dict):
        return dict.fromkeys(scenes, given)
    if set(given) != set(scenes):
        raise GlacierlabError(
            f"{what} are for the scenes {list(given)}, and the scenes are {list(scenes)}: give each its own."
        )
    return given


def is_outlines(given):
    """Whether these are vector outlines (geopandas is loaded when it is used)."""
    return hasattr(given, "geometry") and hasattr(given, "to_crs")


# ---- classes ----


def class_codes(labels, classes, what):
    """The codes of a label's classes by name; those of outlines are numbers of our own."""
    if is_outlines(labels):
        named = labels["class"].tolist() if "class" in labels else ["glacier"]
        if unnamed := sum(not isinstance(name, str) for name in named):
            raise UnknownNameError(f"{unnamed} outlines of {what} have no class: fill the column 'class'.")
        return {name: code for code, name in enumerate(dict.fromkeys(["background", *named]))}
    if not isinstance(labels, xr.DataArray):
        raise GlacierlabError(
            f"{what} are a {type(labels).__name__}: give a class map or mask (DataArray) or outlines."
        )
    return codes_of(labels, classes)


def settle_classes(found, classes):
    """The classes of a set in order; a patch's label holds their places.

    Parameters
    ----------
    found : iterable of str
        Names that the labels bear.
    classes : sequence of str, dict or None
        Names in order; a dict's in the order of their codes; None: all found, in the order of
        `tables.CLASSES`.
    """
    found = list(dict.fromkeys(found))
    if classes is None:
        parts = [name for name in found if name in GLACIER_PARTS]
        if "glacier" in found and parts:
            raise UnknownNameError(
                f"Some labels say 'glacier' and others {parts}: merge them by "
                "classes=['background', 'glacier']."
            )
        order = {name: place for place, name in enumerate(CLASSES)}
        return tuple(sorted(found, key=lambda name: order.get(name, LAST)))
    if isinstance(classes, str):
        raise UnknownNameError(f"classes={classes!r}: give a list of names.")
    names = sorted(classes, key=classes.get) if isinstance(classes, dict) else list(classes)
    for name in names:
        lookup(dict.fromkeys([*found, *CLASSES]), name, kind="class")
    if len(set(names)) < len(names) or not names or len(names) > UNNAMED:
        raise UnknownNameError(f"classes={names}: give each once, and one at least.")
    return tuple(names)


def places_of(codes, classes):
    """A table (256,) uint8 of the places of codes in `classes`.

    Where they are not asked for themselves, the parts of a glacier are `glacier`, and lakes background.
    """
    table = np.full(256, UNNAMED, np.uint8)
    for name, code in codes.items():
        if name not in classes:
            name = "glacier" if name in GLACIER_PARTS else "background" if name == "glacial_lake" else name
        if name in classes:
            table[code] = classes.index(name)
    table[NOT_OBSERVED] = NOT_OBSERVED
    return table


# ---- onto the grid ----


def read_labels(labels, codes, classes, grid, what):
    """A source of classes (y, x) for a scene's grid."""
    table = places_of(codes, classes)
    if not is_outlines(labels):
        require_grid(labels, grid, what)
        names = {code: name for name, code in codes.items()}
        return Raster(labels.transpose("y", "x").variable, table, names, tuple(classes), what)
    named = labels["class"] if "class" in labels else ["glacier"] * len(labels)
    values = table[[codes[name] for name in named]]
    beyond = table[codes["background"]]
    if UNNAMED in values or beyond == UNNAMED:
        asked = sorted({"background", *named})
        raise UnknownNameError(f"{what} hold {asked}, and classes={list(classes)} lack some: add them.")
    polygons = pixel_polygons(labels, grid, what)
    kept = shapely.area(polygons) > 0
    if not shapely.intersects(polygons[kept], shapely.box(0, 0, *grid.shape[::-1])).any():
        theirs = ", ".join(f"{v:.7g}" for v in labels.to_crs(grid.crs.to_wkt()).total_bounds)
        ours = ", ".join(f"{v:.7g}" for v in grid.boundingbox.bbox)
        raise GridError(
            f"{what} do not overlap the scene: (west, south, east, north) ({theirs}) and ({ours}) in the "
            "scene's CRS. Give outlines of this place."
        )
    return Polygons(shapely.STRtree(polygons[kept]), values[kept], int(beyond))


def read_ignored(ignored, grid, what):
    """Sources that are 1 where a scene is to be ignored."""
    sources, table = [], np.arange(256, dtype=np.uint8)
    for each in ignored if isinstance(ignored, list | tuple) else [ignored]:
        if each is None:
            continue
        if is_outlines(each):
            polygons = pixel_polygons(each, grid, what)
            sources.append(Polygons(shapely.STRtree(polygons), np.ones(len(polygons), np.uint8), 0))
        elif isinstance(each, xr.DataArray) and each.dtype == bool:
            require_grid(each, grid, what)
            sources.append(Raster(each.transpose("y", "x").variable, table, {}, (), what))
        else:
            found = each.dtype if isinstance(each, xr.DataArray) else type(each).__name__
            raise GlacierlabError(
                f"{what} are {found}: give a DataArray of bool, True where ignored, or polygons."
            )
    return tuple(sources)


def require_grid(raster, grid, what):
    """GridError unless a raster (y, x) lies on a scene's grid, pixel by pixel."""
    if set(raster.dims) != {"y", "x"}:
        raise GridError(f"{what} have dims {raster.dims}, not (y, x): choose a date or band with isel.")
    own, bring = geobox_of(raster, "A raster beside a scene"), BRING
    if not same_projection(own.crs, grid.crs):
        raise GridError(
            f"{what} are in {crs_name(own.crs)}, the scene in {crs_name(grid.crs)}: bring them onto its "
            f"grid first, {bring}."
        )
    if not aligned(own, grid):
        coverage(grid, own, what)
        raise GridError(
            f"{what} lie on another grid, {own.shape[0]} x {own.shape[1]} pixels where the scene has "
            f"{grid.shape[0]} x {grid.shape[1]}, or shifted: bring them onto its grid first, {bring}."
        )


def pixel_polygons(outlines, grid, what):
    """Polygons of a GeoDataFrame in a grid's pixels: x the columns and y the rows, from the upper left."""
    if outlines.crs is None:
        raise GridError(f"{what} have no CRS: set it with outlines.set_crs(...).")
    polygons = outlines.geometry.to_crs(grid.crs.to_wkt()).to_numpy()
    polygons = np.where(shapely.is_valid(polygons), polygons, shapely.make_valid(polygons))
    to_pixels = ~grid.affine

    def positions(points):
        return np.column_stack(to_pixels * (points[:, 0], points[:, 1]))

    return shapely.transform(polygons, positions)


# ---- glacier ids ----


def read_glaciers(glaciers, labels, grid, what):
    """A function of windows (rows, cols, size) that gives the glaciers' ids in each; None if unknown."""
    if glaciers is None and is_outlines(labels) and id_column(labels):
        glaciers = labels
    if glaciers is None:
        return None
    if isinstance(glaciers, str):
        return lambda rows, cols, size: [(glaciers,)] * len(rows)
    if not is_outlines(glaciers):
        require_grid(glaciers, grid, what)
        return _ids_of_raster(glaciers.transpose("y", "x").variable)
    column = id_column(glaciers)
    if column is None:
        raise GlacierlabError(f"{what} have none of the columns {list(ID_COLUMNS)}: name their ids so.")
    tree, ids = shapely.STRtree(pixel_polygons(glaciers, grid, what)), glaciers[column].to_numpy(object)

    def find(rows, cols, size):
        found = [set() for _ in rows]
        boxes = shapely.box(cols, rows, cols + size, rows + size)
        for window, outline in tree.query(boxes, predicate="intersects").T:
            if (glacier := ids[outline]) is not None and glacier == glacier:  # NaN is no id
                found[window].add(glacier)
        return [tuple(sorted(each, key=str)) for each in found]

    return find


def id_column(outlines):
    """The column of glacier ids, or None."""
    by_lower = {str(name).lower(): name for name in outlines.columns}
    return next((by_lower[name] for name in ID_COLUMNS if name in by_lower), None)


def _ids_of_raster(variable):
    def find(rows, cols, size):
        found = []
        for row, col in zip(rows, cols, strict=True):
            values = np.unique(variable[row : row + size, col : col + size].values)
            found.append(tuple(int(value) for value in values if value == value and value != 0))
        return found

    return find
