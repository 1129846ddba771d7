"""Patches of scenes with their labels: one light object from selecting them to feeding a network."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..errors import GlacierlabError, ManifestError, extras
from ..tables import lookup
from .building import build
from .cache import read_cache, write_cache
from .leakage import audit
from .manifest import BUFFER
from .sources import Selected
from .splits import folds, split

TRAIN = "train"  # the part that may be augmented
WEIGHTS = {
    "inverse_sqrt": lambda share: share**-0.5,
    "inverse": lambda share: 1 / (len(share) * share),
    "median": lambda share: np.median(share) / share,
}
BOUNDS = (0.2, 5.0)  # of "inverse_sqrt", an assumption


@dataclass(frozen=True, eq=False, repr=False)
class PatchSet:
    """Patches of any number of scenes, with labels; made by `from_scenes` or `from_zarr`.

    It holds no pixels: `patches[i]` reads an image (feature, y, x) float32 and its label (y, x) uint8, which
    holds places in `classes` and 255 where nothing is known.

    Attributes
    ----------
    manifest : geopandas.GeoDataFrame
        One row a patch, see `glacierlab.samples`, with further columns: `valid_share`, the share of the
        patch's pixels that have a label and are observed in the first band (where no feature is a band, in
        the first feature), and for each class `{class}_share`, which sum to it.
    features, classes : tuple of str
        Names in the order of images, and of labels.
    size : int
        Side of a patch [pixels].
    fingerprint : str
        Of labels, first band, all features in some windows, recipe and options.
    origin : dict
        What a model trained on the patches must know of them: `recipe` (JSON text), `sensor` ("a+b" for
        several), `radiometry` and `pixel_size_m`, each None where scenes differ or do not say.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(128, 192))
    >>> recipe = gl.Recipe(["red", "nir", "swir16", "ndsi"]).fit(scene)
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, recipe, size=16)
    >>> image, label = patches[0]
    >>> len(patches), image.shape, label.shape
    (96, (4, 16, 16), (16, 16))
    >>> patches = patches.split(by="blocks", shares=(0.5, 0.5), names=("train", "test"))
    >>> patches.audit().ok
    True
    """

    manifest: object
    features: tuple[str, ...]
    classes: tuple[str, ...]
    size: int
    fingerprint: str
    store: object  # what reads a patch
    origin: dict = field(default_factory=dict)

    @classmethod
    def from_scenes(
        cls, scenes, labels, layers=None, *, size=256, stride=None, min_valid=0.0, min_glacier=0.0,
        classes=None, ignore=None, glaciers=None, regions=None, label_ids=None, crs=None, fill=0.0,
    ):  # fmt: skip
        """Cut patches from scenes with labels.

        Labels are read once, strip by strip, and with them the scenes' first feature, for its nodata; a
        progress bar shows it. What is given for each scene is a dict by their names, or one thing for all.

        Parameters
        ----------
        scenes : xarray.Dataset, xarray.DataArray, or dict of them by name
            Scenes (y, x), or stacks (feature, y, x) as `Recipe.apply` makes them. Fastest is one opened from
            Zarr without dask (`chunks=None`), which reads a patch's own chunks and nothing else.
        labels : xarray.DataArray or geopandas.GeoDataFrame, or dict of them
            A class map or mask on the scene's grid (CF flags; 255 or NaN where unknown), or outlines in any
            CRS: glacier, or what their column `class` says, where they cover a pixel's center (later rows go
            before), and background beyond.
        layers : Recipe, or sequence of str, optional
            A fitted recipe, or names of the scenes' variables; by default every band, and every feature of a
            stack.
        size, stride : int
            Side of a patch, and distance to the next [pixels]; by default patches lie side by side. Only
            whole patches are cut, from the upper left corner: what is left over at the other two borders,
            less than a stride, is in none.
        min_valid, min_glacier : float
            Least share of a patch's pixels that are labeled, and that are of any class but background and
            lake. Patches without any labeled pixel are always left out.
        classes : sequence of str or dict of str to int, optional
            What a label counts, in order; ["background", "glacier"] merges the parts of a glacier, and lakes
            with the background. A dict
            names the codes of maps without flags. By default all that the labels name.
        ignore : DataArray of bool, GeoDataFrame, list of them, or dict by scene, optional
            Places that get the label 255: clouds (`~gl.valid_mask(scene)`), doubt about the labels' date, ….
        glaciers : GeoDataFrame, DataArray of int or str, or dict of them, optional
            For the manifest: outlines with a column of ids (`rgi_id`, `glac_id`, `glacier_id`, `id`), ids by
            pixel (0 is none), or the one id of all. By default the labels' own, where they are outlines with
            ids. A patch that an outline only touches bears its id too.
        regions : str or dict of str, optional
            Names of regions for the manifest.
        label_ids : dict of str, optional
            Name of the label that a scene has; where scenes of several dates share one, patches of the same
            ground are twins that no split parts. By default scenes that are given the same object share it.
        crs : optional
            The manifest's, projected in meters. By default that of the scenes if they share one, else
            Lambert's azimuthal equal-area projection around their mean center; distances within 1000 km of
            it are then right to 1 %, and within 5000 km to 9 %.
        fill : float
            What images hold where they have no value (and the label 255); 0, an assumption, is the mean of a
            normalized feature.

        Returns
        -------
        PatchSet

        Raises
        ------
        GridError
            Labels lie on another grid, in another CRS or beside the scene, or a scene is smaller than a
            patch.
        UnknownNameError
            A label holds a class or code that has no name, or is not among `classes`.
        MissingBandError
            A scene lacks a layer.
        ManifestError
            No patch is left, or a scene comes twice.
        GlacierlabError
            An argument is not what it should be.
        """
        layout = dict(
            size=size, stride=stride, min_valid=min_valid, min_glacier=min_glacier, crs=crs, fill=fill
        )
        about = dict(ignore=ignore, glaciers=glaciers, regions=regions, label_ids=label_ids)
        return cls(*build(scenes, labels, layers, classes, about, **layout))

    @classmethod
    def from_zarr(cls, path):
        """Open what `to_zarr` wrote; an incomplete cache is refused.

        Raises
        ------
        SampleError
            There is no cache, it is incomplete, or parts of it are missing or cut short.
        """
        return cls(*read_cache(path))

    # ---- reading ----

    def __len__(self):
        return len(self.manifest)

    def __getitem__(self, index):
        """Image (feature, y, x) float32 and label (y, x) uint8 of a patch by its place."""
        if not isinstance(index, int | np.integer):
            raise GlacierlabError(f"patches[{index!r}]: one patch at a time, by a whole number; or subset().")
        (window,) = self.windows([range(len(self))[index]])
        return self.store.read(*window[:3], self.size, window[3])

    def __iter__(self):
        return (self.store.read(*window[:3], self.size, window[3]) for window in self.windows())

    def windows(self, places=None):
        """(scene, row, col, label of the manifest's row) of patches by their places, by default of all."""
        rows = self.manifest if places is None else self.manifest.iloc[list(places)]
        columns = [rows["scene"], rows["row"], rows["col"], rows.index]
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def __repr__(self):
        shape = f"{len(self.features)} x {self.size} x {self.size}"
        said = f"{len(self):,} patches of {shape} from {self.manifest['scene'].nunique()} scenes"
        parts = self.manifest["split"].value_counts(sort=False) if "split" in self.manifest else {}
        listed = "; " + ", ".join(f"{name} {count:,}" for name, count in parts.items()) if len(parts) else ""
        return f"<PatchSet: {said}; {', '.join(self.classes)}{listed}>"

    # ---- parts ----

    def split(self, by=None, shares=(0.8, 0.1, 0.1), **options):
        """The set with a column `split`; see `glacierlab.samples.split`, and look at `parts` of it."""
        return replace(self, manifest=split(self.manifest, by, shares, **options))

    def parts(self):
        """Share of each class among the labeled pixels of each part of the split, a DataFrame."""
        if "split" not in self.manifest:
            raise ManifestError("The patches have no parts yet: patches = patches.split(...).")
        names = [name for name in self.manifest["split"].unique() if name != BUFFER]
        return pd.DataFrame({name: self.subset(name).class_shares() for name in names}).T

    def folds(self, k=5, by="scene", **options):
        """One set a fold, with a column `split`; see `glacierlab.samples.folds`."""
        return [replace(self, manifest=each) for each in folds(self.manifest, k, by, **options)]

    def with_split(self, parts):
        """The set with a split of your own: a name for all patches, or one for each in order."""
        if not isinstance(parts, str) and len(parts) != len(self):
            raise ManifestError(
                f"{len(parts)} parts for {len(self)} patches: give one name, or one for each."
            )
        return replace(self, manifest=self.manifest.assign(split=parts))

    def subset(self, part):
        """The patches of a part of the split."""
        if "split" not in self.manifest:
            raise ManifestError(f"The patches have no part {part!r} yet: patches = patches.split(...).")
        mine = self.manifest["split"] == part
        if not mine.any():
            lookup(dict.fromkeys(self.manifest["split"].unique()), part, kind="part of the split")
        return replace(self, manifest=self.manifest[mine])

    def select(self, features):
        """The set with some of its features, in the order given; `origin` stays what made all of them.

        Raises
        ------
        UnknownNameError
            The set has no such feature; near matches are told.
        GlacierlabError
            No feature is named, or one twice.
        """
        places = {name: place for place, name in enumerate(self.features)}
        if isinstance(features, str) or not len(names := tuple(features)) or len(set(names)) < len(names):
            raise GlacierlabError(f"features={features!r}: give a list of one name or more, each once.")
        chosen = tuple(lookup(places, name, kind="feature of the patches") for name in names)
        if names == self.features:
            return self
        store = Selected(self.store, chosen)
        return replace(
            self, features=names, store=store, fingerprint=f"{self.fingerprint} of {' '.join(names)}"
        )

    def audit(self, min_distance_m=0):
        """What the parts of the split have in common; see `glacierlab.samples.audit`."""
        return audit(self.manifest, min_distance_m)

    # ---- classes ----

    def class_shares(self):
        """Share of each class among the labeled pixels, a dict; overlapping patches count theirs each."""
        sums = self.manifest[[f"{name}_share" for name in self.classes]].sum().to_numpy()
        return dict(zip(self.classes, (sums / sums.sum()).tolist(), strict=True))

    def class_weights(self, method="inverse_sqrt"):
        """Weights of the classes for a loss; take them from the training part.

        Parameters
        ----------
        method : {"inverse_sqrt", "inverse", "median"}
            With f the share of a class among labeled pixels and C the number of classes: f^(-1/2), 1 / (C f),
            or median(f) / f (Eigen and Fergus 2015, doi:10.1109/ICCV.2015.304, with shares over all patches).
            All are then divided by their mean; "inverse_sqrt" is bounded to 0.2 and 5 after that. That it is
            the default is an assumption.

        Returns
        -------
        dict of str to float
            In the order of `classes`; 0 for a class that no pixel has.
        """
        formula = lookup(WEIGHTS, method, kind="class weights")
        shares = np.array([*self.class_shares().values()])
        present, weights = shares > 0, np.zeros(len(shares))
        weights[present] = formula(shares[present])
        weights[present] /= weights[present].mean()
        if method == "inverse_sqrt":
            weights[present] = weights[present].clip(*BOUNDS)
        return dict(zip(self.classes, weights.tolist(), strict=True))

    def sampling_weights(self):
        """How often to draw each patch for training, so that rare classes come more often, (patch,) sum 1.

        The mean over a patch's labeled pixels of 1 / f, with f the share of the pixel's class in the set: a
        patch whose pixels are of a class ten times as rare is drawn ten times as often.
        """
        counts = self.manifest[[f"{name}_share" for name in self.classes]].to_numpy()
        shares = np.array([*self.class_shares().values()])
        rare = np.divide(1, shares, out=np.zeros(len(shares)), where=shares > 0)
        weights = counts @ rare / counts.sum(axis=1)
        return weights / weights.sum()

    # ---- onward ----

    def torch(self, part=None, *, augmentation=None, seed=0):
        """A map-style `torch.utils.data.Dataset` of a part of the split, or of all.

        Parameters
        ----------
        part : str, optional
            A part of the split.
        augmentation : Augmentation, optional
            For the part "train" only. What a patch becomes depends on seed, epoch and patch, not on the order
            or the number of workers; tell the dataset each epoch, `set_epoch(n)`.
        seed : int

        Returns
        -------
        glacierlab.samples.dataset.PatchDataset
            Items are an image (feature, y, x) float32 and a label (y, x) int64. It can be sent to workers;
            those that are spawned hold a copy each of scenes in memory, and none of scenes on disk.

        Raises
        ------
        GlacierlabError
            Augmentation for another part than "train", or for other features.
        """
        with extras("PatchSet.torch"):
            from .dataset import PatchDataset  # torch loads only when used

        chosen = self if part is None else self.subset(part)
        if augmentation is not None:
            parts = sorted(set(chosen.manifest["split"])) if "split" in chosen.manifest else "no split"
            if parts != [TRAIN]:
                raise GlacierlabError(
                    f"Augmentation is for the part {TRAIN!r} alone, and this is {parts}: leave it out, or "
                    f"say which patches train (patches.split, patches.with_split({TRAIN!r}))."
                )
            if tuple(augmentation.features) != self.features:
                raise GlacierlabError(
                    f"The augmentation is for {list(augmentation.features)}, the patches have "
                    f"{list(self.features)}: Augmentation(patches.features, …) or Augmentation.for_recipe."
                )
        return PatchDataset(chosen.store, chosen.windows(), self.size, augmentation, seed)

    def sampler(self, part=None, *, seed=0):
        """A torch sampler: as many draws as patches, by `sampling_weights`, with replacement."""
        with extras("PatchSet.sampler"):
            from torch import Generator
            from torch.utils.data import WeightedRandomSampler

        chosen = self if part is None else self.subset(part)
        generator = Generator().manual_seed(seed)
        return WeightedRandomSampler(chosen.sampling_weights().tolist(), len(chosen), generator=generator)

    def to_zarr(self, path):
        """Cache images, labels and manifest in a folder, for training that reads nothing twice.

        The folder holds `patches.zarr` (Zarr 3, `image` and `label`, one uncompressed chunk a patch: nothing
        reads faster, and floats hardly shrink), `manifest.parquet` (GeoParquet) and, written last,
        `patches.json`. An interrupted run resumes where it was; a folder of another set is refused.

        Returns
        -------
        PatchSet
            The cached one, as `from_zarr` opens it; its manifest is numbered from 0.

        Raises
        ------
        WriteError
            The folder cannot be written, or holds something else.
        """
        write_cache(self, path)
        return type(self).from_zarr(path)
