"""Training, validation and test patches that share nothing: by scene, glacier, region or spatial block."""

import math

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import ManifestError
from ..tables import SPLITS, lookup
from .manifest import BUFFER, distances, links, overlaps, require_manifest, shared

COLUMNS = {  # way to split → the columns it needs
    "scene": (),
    "glacier": ("glaciers",),
    "region": ("region",),
    "blocks": (),
    "source": (),
    "random": (),
}
LEAKY = {
    "random": "patches of one glacier, overlapping ones and augmented twins",
    "source": "patches of one glacier",
}
BLOCK_PATCHES = 4  # sides of a patch in a block


def split(
    manifest,
    by=None,
    shares=(0.8, 0.1, 0.1),
    names=("train", "validation", "test"),
    *,
    buffer_m=0,
    block_m=None,
    seed=0,
    leaks=False,
):
    """Split patches into parts that share nothing.

    Patches that share a scene window, a source, a label or a glacier never part, and neither do those of one
    scene, region or block. The groups that this makes are dealt out, large ones first, each to the part that
    lacks most, so that no part exceeds its share by a whole group. Then patches that overlap another part, or
    lie nearer to it than the buffer, are left out: those of earlier names give way to those of later ones, so
    that the test set stays whole.

    Parameters
    ----------
    manifest : geopandas.GeoDataFrame
        One row a patch, in a projected CRS [m]; see `glacierlab.samples`. Ids that it lacks tie nothing.
    by : {"scene", "glacier", "region", "blocks", "source", "random"}, optional
        What is kept together; default the preset's, else "scene". "source" keeps only windows, twins and
        labels together, "random" nothing: both leak, and need `leaks=True`.
    shares : sequence of float or str
        Share of the patches for each name, sum 1, or a row of `tables.SPLITS`: "8:1:1", "chen2022_scene1",
        "chen2022_scene2" (by `region`, the WRS-2 path and row such as "139036"), which brings its own names.
    names : sequence of str
        The parts; train first, test last.
    buffer_m : float
        Least distance between patches of two parts [m].
    block_m : float, optional
        Side of a block [m]; default four times the largest patch's (assumption). A patch belongs to the block
        where the mean center lies of all patches that it may not part from.
    seed : int
        Order of groups of about the same size (within a factor of two, an assumption).
    leaks : bool
        Say that you know that the split leaks.

    Returns
    -------
    geopandas.GeoDataFrame
        The manifest with a column `split`: a name, or "buffer" for patches to leave out.

    Raises
    ------
    ManifestError
        The manifest is malformed, the arguments contradict, or a part would be empty.
    UnknownNameError
        `by` or the preset is not known.

    References
    ----------
    Spatial blocks and buffers: Roberts et al. 2017, doi:10.1111/ecog.02881.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> parts = split(patches.manifest, "blocks", (0.5, 0.5), ("train", "test"), block_m=480)
    >>> parts.split.value_counts().to_dict()
    {'train': 8, 'test': 8}
    """
    preset = lookup(SPLITS, shares, kind="split") if isinstance(shares, str) else None
    if preset:
        by, shares, names = by or preset.by or "scene", preset.shares, preset.names
        if preset.regions and by != "region":
            raise ManifestError(f"This preset assigns regions to parts; by={by!r} cannot. Use by='region'.")
    by = by or "scene"
    _require_options(manifest, by, buffer_m, block_m, leaks)
    tied = links(manifest)
    if preset and preset.regions:
        names, parts = tuple(preset.regions), _assign(manifest, preset.regions)
    else:
        shares = _require_shares(shares, names)
        parts = _deal(tied_groups(manifest, by, tied, block_m), shares, names, by, seed)
    if by != "random":
        parts = _give_way(manifest, parts, names, tied if by != "source" else _own(tied), buffer_m)
    return _named(manifest, parts, names)


def folds(manifest, k=5, by="scene", *, buffer_m=0, block_m=None, seed=0):
    """Group k-fold: k splits into "train" and "test", where each patch is tested once.

    Parameters
    ----------
    manifest, by, buffer_m, block_m, seed
        As of `split`; ways that leak are refused.
    k : int
        Number of folds, at least 2; as many groups are needed.

    Returns
    -------
    list of geopandas.GeoDataFrame
        The manifest with a column `split`, once a fold; training patches in the buffer are "buffer".

    Raises
    ------
    ManifestError, UnknownNameError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> found = folds(patches.manifest, k=4, by="blocks", block_m=480)
    >>> [int((fold.split == "test").sum()) for fold in found]
    [4, 4, 4, 4]
    """
    if not isinstance(k, int | np.integer) or k < 2:
        raise ManifestError(f"k is a whole number of folds, at least 2; found {k!r}.")
    _require_options(manifest, by, buffer_m, block_m, leaks=False)
    tied, names = links(manifest), ("train", "test")
    numbered = [f"fold {number}" for number in range(k)]
    fold = _deal(tied_groups(manifest, by, tied, block_m), np.full(k, 1 / k), numbered, by, seed)
    result = []
    for number in range(k):
        parts = _give_way(manifest, (fold == number).astype(int), names, tied, buffer_m)
        result.append(_named(manifest, parts, names))
    return result


def _require_options(manifest, by, buffer_m, block_m, leaks):
    needed = lookup(COLUMNS, by, kind="way to split")
    require_manifest(manifest, *needed)
    if by in LEAKY and not leaks:
        raise ManifestError(
            f"by={by!r} leaks: it parts {LEAKY[by]}, and scores come out too good. Use by='glacier' or "
            "'blocks', or split(..., leaks=True) to show just that."
        )
    if not (math.isfinite(buffer_m) and buffer_m >= 0):
        raise ManifestError(f"buffer_m is a distance [m], 0 or more; found {buffer_m}.")
    if by == "random" and buffer_m:
        raise ManifestError("A random split has no borders to buffer. Use by='blocks' with buffer_m.")
    if block_m is not None and not (math.isfinite(block_m) and block_m > 0):
        raise ManifestError(f"block_m is the side of a block [m], more than 0; found {block_m}.")
    if by == "region" and manifest["region"].isna().any():
        raise ManifestError(f"{manifest['region'].isna().sum()} patches have no region. Fill or drop them.")


def _require_shares(shares, names):
    shares = np.asarray(shares, dtype=float)
    if shares.ndim != 1 or len(shares) != len(names):
        raise ManifestError(f"{shares.size} shares for {len(names)} names {list(names)}. Give one for each.")
    if not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ManifestError(
            f"Shares are more than 0 and sum to 1; {shares.tolist()} sum to {shares.sum():g}."
        )
    if len(names) < 2 or len(set(names)) < len(names) or BUFFER in names:
        raise ManifestError(f"Names are two or more, distinct and not {BUFFER!r}; found {list(names)}.")
    return shares


def _own(tied):
    return {kind: link for kind, link in tied.items() if kind != "glaciers"}


def tied_groups(manifest, by, tied, block_m):
    """The group of each patch: what must not part."""
    if by == "random":
        return np.arange(len(manifest))
    edges = list((_own(tied) if by == "source" else tied).values())
    if by in ("scene", "region"):
        edges.append((np.arange(len(manifest)), pd.factorize(manifest[by])[0]))
    groups = _components(len(manifest), edges)
    if (
        by == "blocks"
    ):  # by the center of all that is tied: a glacier across a border would tie the blocks too
        side = block_m or BLOCK_PATCHES * math.sqrt(manifest.geometry.area.max())
        centers = manifest.geometry.centroid
        mean = pd.DataFrame({"x": centers.x, "y": centers.y}).groupby(groups).transform("mean")
        groups = pd.factorize(pd.MultiIndex.from_frame(mean // side))[0]
    return groups


def _components(count, edges):
    """Connected components of patches (nodes from 0) and the ids they bear (nodes after them)."""
    starts = count + np.cumsum([0, *(ids.max(initial=-1) + 1 for _, ids in edges)])
    row = np.concatenate([patches for patches, _ in edges])
    col = np.concatenate([ids + start for (_, ids), start in zip(edges, starts, strict=False)])
    graph = coo_array((np.ones(len(row), dtype=bool), (row, col)), shape=(starts[-1], starts[-1]))
    return pd.factorize(connected_components(graph, directed=False)[1][:count])[0]


def _deal(groups, shares, names, by, seed):
    """The part of each patch: groups, about the largest first, each to the part that lacks most patches."""
    counts = np.bincount(groups)
    if len(counts) < len(names):
        raise ManifestError(
            f"{list(names[len(counts) :])} would be empty: {len(groups)} patches make {len(counts)} groups"
            f" that may not part (by={by!r}, and what shares windows, twins, labels or glaciers). "
            "Add scenes, ask for fewer parts, or split by='glacier' or by='blocks' with a smaller block_m."
        )
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    order = shuffled[np.argsort(-np.frexp(counts[shuffled])[1], kind="stable")]
    lacking = shares * len(groups)
    empty = np.ones(len(shares), dtype=bool)
    part_of_group = np.empty(len(counts), dtype=int)
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        open_parts = np.where(empty, lacking, -np.inf) if left <= empty.sum() else lacking
        part = int(np.argmax(open_parts))
        part_of_group[group] = part
        lacking[part] -= counts[group]
        empty[part] = False
    return part_of_group[groups]


def _assign(manifest, regions):
    """The part of each patch where a preset says which region belongs to which."""
    part = {region: number for number, each in enumerate(regions.values()) for region in each}
    found = manifest["region"].astype(str)
    if unknown := sorted(set(found) - set(part)):
        raise ManifestError(
            f"Regions {unknown[:5]} are in no part. Known: {sorted(part)}. Drop their patches."
        )
    parts = found.map(part).to_numpy()
    if empty := [name for number, name in enumerate(regions) if number not in parts]:
        raise ManifestError(
            f"{empty} would be empty: no patch is of their regions. Split with shares of your own."
        )
    return parts


def _give_way(manifest, parts, names, tied, buffer_m):
    """The parts, with `len(names)` for patches that share or nearly touch what a later part keeps."""
    squares, parts, left_out = manifest.geometry.to_numpy(), parts.copy(), len(names)
    for number in reversed(range(left_out - 1)):
        mine, later = parts == number, (parts > number) & (parts < left_out)
        drop = np.zeros(len(parts), dtype=bool)
        for link in tied.values():
            drop |= shared(link, mine, later)[1] & mine
        drop[mine] |= overlaps(squares[mine], squares[later])
        if buffer_m:
            drop[mine] |= distances(squares[mine], squares[later]) < buffer_m
        if drop[mine].all():
            raise ManifestError(
                f"{names[number]!r} would be empty: each of its {mine.sum()} patches overlaps a later part, "
                f"shares a glacier with it or lies within {buffer_m:g} m. "
                "Lower buffer_m, raise block_m or add scenes."
            )
        parts[drop] = left_out
    return parts


def _named(manifest, parts, names):
    return manifest.assign(split=np.array([*names, BUFFER], dtype=object)[parts])
