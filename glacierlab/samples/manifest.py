"""What splits and their audit share: a checked manifest, what ties its patches together, what lies close."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely

from ..errors import ManifestError

WINDOW = ["scene", "row", "col", "size"]
BUFFER = "buffer"  # the part of patches that are left out
TOUCH = 1e-6  # of a patch's side: squares that share a border may overlap by rounding


class Link(NamedTuple):
    """Which ids (codes from 0) a manifest's patches (positions) bear; equal ids tie patches together."""

    patches: np.ndarray
    ids: np.ndarray


def require_manifest(manifest, *columns):
    """ManifestError unless it is a GeoDataFrame of patches, in meters, with these columns."""
    if getattr(manifest, "geometry", None) is None:
        raise ManifestError(f"A manifest is a GeoDataFrame of patches, not a {type(manifest).__name__}.")
    if missing := [name for name in (*WINDOW, *columns) if name not in manifest]:
        raise ManifestError(
            f"The manifest lacks {missing}; it has {list(manifest.columns)}. Add the columns."
        )
    if manifest.empty:
        raise ManifestError("The manifest holds no patches. Check what was filtered out.")
    crs = manifest.crs
    if crs is None or not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
        found = crs.name if crs else "no CRS"
        raise ManifestError(
            f"Distances need a projected CRS in meters; found {found}. Use manifest.to_crs()."
        )
    if not manifest.index.is_unique:
        raise ManifestError("The manifest's index has duplicates. Use manifest.reset_index(drop=True).")
    if not (manifest.geometry.area > 0).all():
        raise ManifestError("Some patches have no geometry or no area. Each needs its square.")
    if not (manifest["size"] > 0).all():
        raise ManifestError(f"A patch's size is a number of pixels > 0; found {manifest['size'].min()}.")


def links(manifest):
    """What ties patches together, by kind: {"windows": Link, ...}, without the kinds that are not known."""
    every = np.arange(len(manifest))
    found = {"windows": Link(every, manifest.groupby(WINDOW, sort=False, dropna=False).ngroup().to_numpy())}
    if "source" in manifest:  # a patch is its own source too, for the twins that name it
        values = [*manifest.index, *manifest["source"]]
        found["twins"] = _link(np.concatenate([every, every]), values)
    if "label" in manifest:
        found["labels"] = _link(every, manifest["label"])
    if "glaciers" in manifest:
        ids = [_as_tuple(each) for each in manifest["glaciers"]]
        found["glaciers"] = _link(
            np.repeat(every, [len(each) for each in ids]), [i for each in ids for i in each]
        )
    return found


def _link(patches, values):
    objects = np.empty(len(values), dtype=object)
    objects[:] = list(values)
    codes = pd.factorize(objects)[0] if len(objects) else np.empty(0, dtype=np.intp)
    return Link(patches[codes >= 0], codes[codes >= 0])  # missing ids tie nothing


def _as_tuple(ids):
    if isinstance(ids, str):
        return (ids,)
    return tuple(ids) if np.iterable(ids) else () if pd.isna(ids) else (ids,)


def shared(link, first, second):
    """How many ids patches of both masks bear, and the mask of the patches that do."""
    in_first, in_second = first[link.patches], second[link.patches]
    common = np.intersect1d(link.ids[in_first], link.ids[in_second])
    guilty = np.zeros(len(first), dtype=bool)
    guilty[link.patches[np.isin(link.ids, common) & (in_first | in_second)]] = True
    return len(common), guilty


def distances(squares, others):
    """Distance [m] of each square to the nearest of the others; inf where there are none."""
    if not len(others):
        return np.full(len(squares), np.inf)
    found, inverse = _distinct(squares)
    tree = shapely.STRtree(_distinct(others)[0])
    (patches, _), nearest = tree.query_nearest(found, return_distance=True, all_matches=False)
    result = np.full(len(found), np.inf)
    result[patches] = nearest
    return result[inverse]


def overlaps(squares, others):
    """Which of the squares share ground with any of the others; a common border is none."""
    inner = shapely.buffer(squares, -TOUCH * np.sqrt(shapely.area(squares)), join_style="mitre")
    return (
        distances(inner, others) == 0
    )  # the nearest alone: all pairs of dense patches would fill the memory


def _distinct(squares):
    """Each square once, and where it stands for the given ones: twins lie on the same ground."""
    codes, wkb = pd.factorize(np.asarray(shapely.to_wkb(squares), dtype=object))
    return shapely.from_wkb(wkb), codes
