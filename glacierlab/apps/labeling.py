"""Reviewed outlines as labels to train on."""

import geopandas as gpd
import shapely

from ..errors import InventoryError
from ..io.layers import bounds_of, require_crs

KEPT = ("accepted", "edited")  # what an analyst stands for


def labeled(rows, crs):
    """The outlines that an analyst stands for: id, class, area, who and when; invalid ones left out."""
    kept = {one: row for one, row in rows.items() if row.status in KEPT and row.geometry.is_valid}
    columns = {
        "id": [*kept],
        "class": [row.klass for row in kept.values()],
        "area_km2": [row.area_km2 for row in kept.values()],
        "review_status": [row.status for row in kept.values()],
        "reviewed_by": [row.by for row in kept.values()],
        "reviewed_at": [row.at for row in kept.values()],
    }
    return gpd.GeoDataFrame(columns, geometry=[row.geometry for row in kept.values()], crs=crs)


def unknown_ground(rows, crs, scenes, complete):
    """Polygons of ground whose class nobody told, in the CRS of the outlines, or None where there is none.

    Undecided outlines; unless the review is complete, also all ground that no decided outline covers.
    """
    decided = {one for one, row in rows.items() if row.status and row.geometry.is_valid}
    if complete:
        open_ = [shapely.make_valid(row.geometry) for one, row in rows.items() if one not in decided]
        return gpd.GeoDataFrame(geometry=open_, crs=crs) if open_ else None
    known = shapely.union_all([rows[one].geometry for one in decided])
    frame = shapely.union_all([ground_of(scene, crs) for scene in scenes])
    return gpd.GeoDataFrame(geometry=[shapely.difference(frame, known)], crs=crs)


def ground_of(scene, crs):
    """The ground of a scene in another CRS, and a little more, for its sides are bent there."""
    west, south, east, north = bounds_of(scene)
    frame = shapely.box(west, south, east, north).buffer(0.1 * max(east - west, north - south))
    frame = shapely.segmentize(frame, (east - west) / 10)
    return gpd.GeoSeries([frame], crs=require_crs(scene, "A scene").to_wkt()).to_crs(crs).iloc[0]


def patches_of(rows, crs, scenes, layers, complete, ignore, options):
    """See `Review.patches`."""
    from ..samples import PatchSet

    labels = labeled(rows, crs)
    if not len(labels):
        raise InventoryError(
            "No outline is accepted or edited yet, and labels are of those: review some first."
        )
    several = scenes if isinstance(scenes, dict) else {"scene": scenes}
    unknown = unknown_ground(rows, crs, several.values(), complete)
    as_list = lambda given: list(given) if isinstance(given, list | tuple) else [given]
    given = ignore if isinstance(ignore, dict) else dict.fromkeys(several, ignore)
    ignore = {name: [unknown, *as_list(each)] for name, each in given.items()}
    return PatchSet.from_scenes(several, labels, layers, ignore=ignore, **options)
