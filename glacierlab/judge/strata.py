"""Where a model fails: bins of layers, pixel by pixel, and of what the manifest knows, patch by patch.

The kinds of ground are those of Huang et al. 2025 and Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277; bins
are rows of `tables.STRATA`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import shapely

from ..errors import GlacierlabError, GridError, InventoryError, UnknownNameError
from ..samples.labels import id_column
from ..tables import NOT_OBSERVED, STRATA, lookup
from .tally import count

WINDOW = ["scene", "row", "col"]


# ---- bins ----


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of numbers: edges ascending, the label of each bin; bins of one label are one."""

    edges: np.ndarray
    labels: tuple[str, ...]  # each once
    places: np.ndarray  # of the bins' labels among them

    def of(self, values):
        """The bin of each value, int64; as many as there are labels for what is not finite."""
        found = self.places[np.digitize(values, self.edges)]
        return np.where(np.isfinite(values), found, len(self.labels))


def bins_for(name, own):
    """The bins of a stratum: one's own edges, or those of the table."""
    row = STRATA.get(name)
    if name in own:
        edges, labels, units = own[name], (), row.units if row else ""
    else:
        row = lookup(STRATA, name, kind="stratum")
        edges, labels, units = row.edges, row.labels, row.units
    edges = np.asarray(edges, dtype=float)
    if edges.ndim != 1 or not len(edges) or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise GlacierlabError(f"bins={{{name!r}: {edges.tolist()}}}: give ascending numbers, one at least.")
    labels = labels or spelled(edges, "" if units == "1" else f" {units}".rstrip())
    places, unique = pd.factorize(np.array(labels, dtype=object))
    return Bins(edges, tuple(unique), places.astype(np.int64))


def spelled(edges, unit):
    """Names of the bins between edges."""
    text = [f"{edge:g}" for edge in edges]
    inner = [f"{low} to {high}{unit}" for low, high in pairwise(text)]
    return [f"below {text[0]}{unit}", *inner, f"from {text[-1]}{unit}"]


# ---- by pixel ----


class GroundStrata:
    """Layers of the ground under a set's patches, and confusions by their bins and the patches' blocks.

    Parameters
    ----------
    strata : PatchSet
        The same windows, with layers in natural units for features.
    patches : PatchSet
    of_block : numpy.ndarray
        (patch,) the patches' blocks.
    own : dict
        Edges by name.
    """

    def __init__(self, strata, patches, of_block, own):
        self.strata, self.of_block = strata, of_block
        self.windows = strata.windows(matched(strata, patches))
        self.made = made_of(strata.features, own)
        self.bins = {name: bins_for(name, own) for name in self.made}
        size, blocks = len(patches.classes), int(of_block.max(initial=-1)) + 1
        self.counts = {
            name: np.zeros((blocks, len(bins.labels), size, size), np.int64)
            for name, bins in self.bins.items()
        }

    def entry(self, places, labels, predicted):
        """Confusions (N, bin, K, K) by stratum of labels and predicted classes (N, H, W), for `add`."""
        read = {
            number: pair
            for number, *pair in self.strata.store.read_many(
                [self.windows[place] for place in places], self.strata.size
            )
        }
        images, theirs = (np.stack(each) for each in zip(*map(read.get, range(len(places))), strict=True))
        layers = dict(zip(self.strata.features, np.moveaxis(images, 1, 0).astype(float), strict=True))
        known = theirs != NOT_OBSERVED  # a set's images hold its fill value where a layer has none
        rows, found = np.arange(len(places))[:, None, None], {}
        for name, make in self.made.items():
            number, size = self.counts[name].shape[1:3]
            code = rows * (number + 1) + np.where(known, self.bins[name].of(make(layers, known)), number)
            counts = count(code, labels, predicted, (len(places) * (number + 1), size))
            found[name] = counts.reshape(-1, number + 1, size, size)[:, :number]
        return found

    def add(self, places, entry):
        """Add what `entry` gave of patches by their places."""
        for name, counts in entry.items():
            np.add.at(self.counts[name], self.of_block[places], counts)


def made_of(features, own):
    """How each stratum is made of layers (N, H, W) by name and of where they are known, by its name."""
    made, used = {}, set()

    def take(name, needs, make):
        if name not in made and set(needs) <= set(features):
            made[name] = make
            used.update(needs)

    for name, row in STRATA.items():
        for layer in row.layers or (name,):
            take(name, [layer], lambda layers, known, layer=layer: layers[layer])
    if "aspect" in features:
        made["aspect"] = lambda layers, known: layers["aspect"] % 360
    take("aspect", ["aspect_sin", "aspect_cos"], lambda layers, known: bearing(layers))
    take("relief", ["slope"], lambda layers, known: patch_mean(layers["slope"], known))
    for name in own:
        take(name, [name], lambda layers, known, name=name: layers[name])
    if unused := [name for name in features if name not in used]:
        raise UnknownNameError(
            f"The strata's layers {unused} have no bins: give bins={{{unused[0]!r}: [edges]}}, or name them "
            f"as the table does: {', '.join(STRATA)}."
        )
    return made


def bearing(layers):
    """Aspect [degrees clockwise from north] of its sine and cosine; NaN on level ground, where both are 0."""
    east, north = layers["aspect_sin"], layers["aspect_cos"]
    return np.where(np.hypot(east, north) > 0, np.rad2deg(np.arctan2(east, north)) % 360, np.nan)


def patch_mean(values, known):
    """The mean of each patch (N, H, W) where it is known, on all its pixels."""
    many = known.sum(axis=(1, 2))
    sums = np.where(known, values, 0).sum(axis=(1, 2))
    means = np.divide(sums, many, out=np.full(len(many), np.nan), where=many > 0)
    return np.broadcast_to(means[:, None, None], values.shape)


def matched(strata, patches):
    """The place in `strata` of each patch: same scene, window, size and ground; else GridError."""
    if strata.size != patches.size:
        raise GridError(f"The strata's patches are {strata.size} pixels wide, the patches {patches.size}.")
    ours, theirs = (pd.MultiIndex.from_frame(each.manifest[WINDOW]) for each in (patches, strata))
    if not theirs.is_unique:
        raise GridError("The strata hold a window twice: make them with PatchSet.from_scenes.")
    found = theirs.get_indexer(ours)
    if (found < 0).any():
        scene, row, col = ours[found < 0][0]
        raise GridError(
            f"The strata lack {(found < 0).sum()} of {len(patches)} patches, first that of {scene!r} at row "
            f"{row}, column {col}: make them of the same scenes, with the same labels, size and stride."
        )
    squares = strata.manifest.geometry.iloc[found].to_crs(patches.manifest.crs)
    apart = shapely.distance(
        *(shapely.centroid(each.to_numpy()) for each in (squares, patches.manifest.geometry))
    )
    pixel = np.sqrt(patches.manifest.geometry.area.to_numpy()) / patches.size
    if (far := apart > pixel / 2).any():
        scene, row, col = ours[far][0]
        raise GridError(
            f"The strata of {far.sum()} patches lie elsewhere, first of scene {scene!r} at row {row}, column "
            f"{col}, {apart[far][0]:.4g} m away: bring the layers onto the scene's grid."
        )
    return found


# ---- by patch ----


def patch_bins(patches, column, own, inventory=None):
    """The bin of each patch and the bins' labels, by a column of the manifest or what follows from it."""
    values = patch_values(patches.manifest, column, inventory)
    if values.dtype.kind in "iuf" and (column in own or column in STRATA):
        bins = bins_for(column, own)
        return bins.of(values.to_numpy(dtype=float)), bins.labels
    if values.dtype.kind == "f":
        raise GlacierlabError(f"{column!r} holds numbers and has no bins: give bins={{{column!r}: [edges]}}.")
    codes, labels = pd.factorize(values, sort=True)
    return np.where(codes < 0, len(labels), codes), tuple(map(str, labels))


def patch_values(manifest, column, inventory):
    """A column of the manifest, the largest glacier's area, or the debris-covered share of the ice."""
    if column in manifest:
        return manifest[column]
    if column == "glacier_area_km2" and inventory is not None:
        return largest_glacier(manifest, inventory)
    shares = [f"{name}_share" for name in ("clean_ice", "debris_covered_ice")]
    if column == "debris_frac" and set(shares) <= set(manifest):
        ice = manifest[shares].sum(axis=1)
        return manifest[shares[1]] / ice.where(ice > 0)
    raise UnknownNameError(f"The manifest has no column {column!r}: it has {list(manifest.columns)}.")


def largest_glacier(manifest, inventory):
    """Area [km2] of the largest glacier of each patch, by ids; NaN where it bears none."""
    column = id_column(inventory)
    if column is None or "area_km2" not in inventory or "glaciers" not in manifest:
        raise InventoryError(
            "Glacier sizes need an inventory with ids and area_km2, and a manifest with glaciers: "
            f"the inventory has {list(inventory.columns)}."
        )
    sizes = dict(zip(inventory[column], inventory["area_km2"], strict=True))
    borne = glaciers_of(manifest)
    found = borne.map(sizes).groupby(level=0).max()
    if len(borne) and found.isna().all():
        raise InventoryError(
            f"The inventory knows none of the patches' glaciers, such as {borne.iloc[0]!r}: take the one "
            "whose ids the manifest bears."
        )
    return found.reindex(range(len(manifest)))


def glaciers_of(manifest):
    """Ids of glaciers, one row a patch and glacier, indexed by the patch's place."""
    return manifest["glaciers"].reset_index(drop=True).explode().dropna()
