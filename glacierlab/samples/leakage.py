"""The leakage audit: what patches of different parts of a split have in common."""

from dataclasses import dataclass
from html import escape
from itertools import combinations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import ManifestError
from .manifest import BUFFER, distances, links, overlaps, require_manifest, shared

NUMBER = "{:,.6g}".format
KINDS = ("windows", "twins", "labels", "glaciers")
SLACK_M = 1e-6  # distances are equal to within rounding


@dataclass(frozen=True, eq=False)
class LeakageAudit:
    """What `audit` found.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a pair of parts, index (first, second). `overlap_m2`: ground that both cover [m²], counted
        once; `overlap_px`: the same in pixels of the second part; `windows`, `twins`, `labels`, `glaciers`:
        how many scene windows, sources, labels and glaciers are on both sides, <NA> where the manifest does
        not know them; `nearest_m`: the least distance of two patches [m]; `ok`.
    offenders : geopandas.GeoDataFrame
        The patches concerned, with a column `leak` that says why; for a map.
    min_distance_m : float
        The distance that was asked for [m].

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16, stride=8)
    >>> leaky = gl.samples.split(patches.manifest, "random", (0.5, 0.5), ("train", "test"), leaks=True)
    >>> found = gl.samples.audit(leaky)
    >>> found.ok, bool(found.table.overlap_m2.item() > 0)
    (False, True)
    """

    table: pd.DataFrame
    offenders: gpd.GeoDataFrame
    min_distance_m: float

    @property
    def ok(self):
        """Whether no pair of parts leaks."""
        return bool(self.table["ok"].all())

    @property
    def verdict(self):
        """The result in one line."""
        pairs = [f"{first} and {second}" for first, second in self.table.index[~self.table["ok"]]]
        unknown = [kind for kind in KINDS if self.table[kind].isna().all()]
        said = (
            f"Leaks between {', '.join(pairs)}: {len(self.offenders)} patches." if pairs else "No leak found."
        )
        return said + (f" The table of patches does not tell of {', '.join(unknown)}." if unknown else "")

    def __repr__(self):
        return f"{self.verdict}\n{self.table.to_string(float_format=NUMBER)}"

    def _repr_html_(self):
        table = self.table.to_html(float_format=NUMBER)
        return f"<p><strong>{escape(self.verdict)}</strong></p>{table}"


def audit(manifest, min_distance_m=0):
    """Audit a split for leaks: anything that patches of two parts have in common.

    Parameters
    ----------
    manifest : geopandas.GeoDataFrame
        As of `split`, with its column `split`; patches of "buffer" are left out.
    min_distance_m : float
        Least distance between patches of two parts [m]; at 0 they may touch, but not overlap.

    Returns
    -------
    LeakageAudit
        `ok`, a table by pair of parts, and the patches concerned.

    Raises
    ------
    ManifestError
        The manifest is malformed, lacks `split`, or holds fewer than two parts.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> parts = gl.samples.split(
    ...     patches.manifest, "blocks", (0.5, 0.5), ("train", "test"), block_m=960, buffer_m=300
    ... )
    >>> found = audit(parts, min_distance_m=300)
    >>> found.ok, found.table.nearest_m.item()
    (True, 480.0)
    """
    require_manifest(manifest, "split")
    if not (np.isfinite(min_distance_m) and min_distance_m >= 0):
        raise ManifestError(f"min_distance_m is a distance [m], 0 or more; found {min_distance_m}.")
    if manifest["split"].isna().any():
        raise ManifestError(
            f"{manifest['split'].isna().sum()} patches have no split. Drop them, or call it 'buffer'."
        )
    used = manifest[manifest["split"] != BUFFER]
    names = list(dict.fromkeys(used["split"]))
    if len(names) < 2:
        raise ManifestError(f"An audit needs two parts or more; the column 'split' holds {names}.")
    tied, reasons, rows = links(used), {}, {}
    for first, second in combinations(names, 2):
        sides = [(used["split"] == name).to_numpy() for name in (first, second)]
        rows[first, second], guilty = _compare(used, tied, sides, min_distance_m)
        for kind, mask in guilty.items():
            reasons[kind] = reasons.get(kind, False) | mask
    pairs = pd.MultiIndex.from_tuples(rows, names=["first", "second"])
    table = pd.DataFrame(list(rows.values()), index=pairs).astype(dict.fromkeys(KINDS, "Int64"))
    why = np.array(
        [", ".join(kind for kind in reasons if reasons[kind][n]) for n in range(len(used))], dtype=object
    )
    return LeakageAudit(table, used.assign(leak=why)[why != ""], min_distance_m)


def _compare(manifest, tied, sides, min_distance_m):
    """The row of a pair of parts, and the masks of the patches that leak, by reason."""
    squares = manifest.geometry.to_numpy()
    first, second = sides
    overlapping = _either(overlaps, squares, first, second)
    ground = [shapely.union_all(squares[overlapping & side]) for side in sides]
    overlap_m2 = float(shapely.area(shapely.intersection(*ground)))
    pixel_m2 = (shapely.area(squares[second]) / manifest["size"].to_numpy(dtype=float)[second] ** 2).mean()
    guilty = {"overlap": overlapping}
    row = {"overlap_px": overlap_m2 / pixel_m2, "overlap_m2": overlap_m2} | dict.fromkeys(KINDS)
    for kind, link in tied.items():
        row[kind], guilty[kind] = shared(link, first, second)
    row["nearest_m"] = float(distances(squares[second], squares[first]).min())
    if row["nearest_m"] < min_distance_m - SLACK_M:
        nearer = lambda these, others: distances(these, others) < min_distance_m - SLACK_M
        guilty["distance"] = _either(nearer, squares, first, second)
    row["ok"] = not any(mask.any() for mask in guilty.values())
    return row, guilty


def _either(test, squares, first, second):
    """The mask of patches of each part that pass a test against the other part."""
    mask = np.zeros(len(squares), dtype=bool)
    mask[first] = test(squares[first], squares[second])
    mask[second] = test(squares[second], squares[first])
    return mask
