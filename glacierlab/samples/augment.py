"""Augmentation of training samples: moves, and changes of bands and layers that stay physical."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ..errors import GlacierlabError, GridError
from ..features.haralick import FEATURES as TEXTURES
from ..features.layers import read_layer
from ..tables import AUGMENTATIONS, lookup
from .moves import MOVES, move, require_fit, single_direction, sources_of, turned

OF_BANDS = ("indices", "pca", "tasseled_cap", "glcm")  # groups that are made of the bands


# ---- bands and layers ----


def jitter(image, features, seed, *, gain=0.1, offset=0.02, per_band=False, normalizer=None, out=None):
    """An image whose reflectance is seen through another sensor and air: gain times it, plus an offset.

    Gain and offset are drawn evenly, and no reflectance above 0 falls to 0 or below: the offset takes away
    less than half of the darkest pixel above 0, for haze cannot be brighter than what is seen through it
    (Chavez 1988, doi:10.1016/0034-4257(88)90019-3). Values of 0 or below, and above 1, get the same gain and
    offset and are not clipped.

    Parameters
    ----------
    image : numpy.ndarray
        (feature, y, x) float, NaN where not observed.
    features : sequence of str
        Names in order. Optical bands are changed, and thermal ones, terrain and radar are not.
    seed : int, sequence of int or numpy.random.Generator
        As `numpy.random.default_rng` takes it.
    gain : float
        The gain is between 1 - gain and 1 + gain. 0.1 is an assumption.
    offset : float
        The offset [reflectance] is between -offset and offset. 0.02 is an assumption.
    per_band : bool
        Whether each band gets its own. One for all, the default and an assumption, leaves the colors nearly
        as they are.
    normalizer : Normalizer, optional
        What the image was normalized with (`recipe.fitted.normalizer`): its bands go back to reflectance for
        this, and are normalized again.
    out : numpy.ndarray, optional
        The image itself, to change it in place.

    Returns
    -------
    numpy.ndarray
        A copy, or `out`.

    Raises
    ------
    GlacierlabError
        The image holds layers made of the bands (indices, components, textures), which would no longer belong
        to them; or gain or offset is no sensible number.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.full((2, 2, 2), 0.5, dtype="float32")
    >>> seen = jitter(image, ["red", "swir16"], seed=0, gain=0.1, offset=0.02)
    >>> bool((abs(seen - image) <= 0.5 * 0.1 + 0.02).all()), len(np.unique(seen))
    (True, 1)
    """
    require_fit(image, None, features)
    if not 0 <= gain < 1 or not 0 <= offset < np.inf:
        raise GlacierlabError(
            f"gain={gain!r}, offset={offset!r}: give a gain from 0 to below 1, an offset of 0 or more."
        )
    groups = [group_of(name) for name in features]
    if made := [name for name, group in zip(features, groups, strict=True) if group in OF_BANDS]:
        raise GlacierlabError(
            f"{made} are made of the bands and would not follow them: jitter the bands before the layers are "
            "made, or leave these layers out."
        )
    bands = [i for i, group in enumerate(groups) if group == "optical"]
    if not bands:
        raise GlacierlabError(f"No optical band is among {list(features)}: leave jitter out.")
    jittered = np.array(image, order="C") if out is None else out
    rng, names = np.random.default_rng(seed), [features[i] for i in bands]
    mean = np.array([normalizer.mean[name] if normalizer else 0.0 for name in names])
    scale = np.array([normalizer.scale[name] if normalizer else 1.0 for name in names])
    darkest = np.array([darkest_of(image[i], -m / s) for i, m, s in zip(bands, mean, scale, strict=True)])
    darkest = (darkest * scale + mean).clip(0)  # reflectance
    sets = len(bands) if per_band else 1
    gains, offsets = 1 + rng.uniform(-gain, gain, sets), rng.uniform(-offset, offset, sets)
    offsets = np.maximum(offsets, -0.5 * gains * (darkest if per_band else darkest.min()))
    adds = (gains * mean + offsets - mean) / scale
    for i, factor, add in zip(bands, np.broadcast_to(gains, adds.shape).tolist(), adds.tolist(), strict=True):
        jittered[i] *= factor
        jittered[i] += add
    return jittered


def darkest_of(band, zero):
    """The least value of a band above `zero`; infinity if there is none."""
    return np.min(band, where=band > zero, initial=np.inf)


def drop(image, features, parts, seed, *, probability=0.1, fill=0.0, out=None):
    """An image without some of its parts, so that a model learns not to lean on any of them.

    Parameters
    ----------
    image : numpy.ndarray
        (feature, y, x).
    features : sequence of str
        Names in order.
    parts : dict of str to sequence of str
        What is dropped as a whole: features by name, such as a recipe's `groups` for whole modalities, or
        `bands_of(features)` for single bands.
    seed : int, sequence of int or numpy.random.Generator
        As `numpy.random.default_rng` takes it.
    probability : float
        Of each part by itself; one drawn at random stays where all would go. 0.1 is an assumption.
    fill : float
        What a dropped feature holds. 0, an assumption, is the mean of a normalized feature.
    out : numpy.ndarray, optional
        The image itself, to change it in place.

    Returns
    -------
    numpy.ndarray
        A copy, or `out`.

    Raises
    ------
    UnknownNameError
        A part names a feature that the image has not.
    GlacierlabError
        `probability` is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.ones((3, 2, 2), dtype="float32")
    >>> groups = {"visible": ["red"], "infrared": ["nir", "swir16"]}
    >>> left = drop(image, ["red", "nir", "swir16"], groups, seed=0, probability=1)
    >>> left[:, 0, 0].tolist()
    [1.0, 0.0, 0.0]
    """
    require_fit(image, None, features)
    if not 0 <= probability <= 1:
        raise GlacierlabError(f"probability={probability!r}: give a number from 0 to 1.")
    at = {name: i for i, name in enumerate(features)}
    rows = [[lookup(at, name, kind="feature") for name in part] for part in parts.values()]
    rng = np.random.default_rng(seed)
    dropped = rng.random(len(rows)) < probability
    if rows and dropped.all():
        dropped[rng.integers(len(rows))] = False
    image = np.array(image, order="C") if out is None else out
    for i in np.flatnonzero(dropped):
        image[rows[i]] = fill
    return image


def bands_of(features):
    """Each optical band among features as a part of its own, for `drop`.

    >>> bands_of(["red", "nir", "ndsi", "slope"])
    {'red': ['red'], 'nir': ['nir']}
    """
    return {name: [name] for name in features if group_of(name) == "optical"}


@lru_cache(maxsize=1024)
def group_of(feature):
    """The group of a feature by its name alone, as `Recipe.groups` has it."""
    if re.fullmatch(r"pc\d+", feature):
        return "pca"
    if single_direction(feature) or feature in TEXTURES:
        return "glcm"
    try:
        return read_layer(feature).group
    except GlacierlabError:
        return "other"


# ---- sets and recipes ----


def random_clip(image, label, size, seed):
    """A square window of `size` pixels of an image (..., y, x) and its label, at a place drawn at random.

    Raises
    ------
    GridError
        The image is smaller than the window.
    """
    rows, columns = image.shape[-2:]
    if not 1 <= size <= min(rows, columns):
        raise GridError(
            f"A window of {size} pixels does not fit into {rows} x {columns}: choose a smaller one."
        )
    rng = np.random.default_rng(seed)
    top, left = rng.integers(rows - size + 1), rng.integers(columns - size + 1)
    window = (..., slice(top, top + size), slice(left, left + size))
    return image[window].copy(), None if label is None else label[window].copy()


def offline(image, label, features, preset, *, clip=None, seed=0, vectors=(), fixed_light="refuse"):
    """The copies of one sample that a paper trained with: twins of each other, which no split may part.

    Parameters
    ----------
    image, label, features, vectors, fixed_light
        As in `move`.
    preset : str
        A key of `tables.AUGMENTATIONS`: "chen2022" or "chu2022". What a row does not name is not made: Chu's
        names five moves beside the original.
    clip : int, optional
        Side [pixels] of the window cut at random from each copy. Needed where the row clips, because the
        paper gives none; the patch's own side cuts nothing away.
    seed : int, sequence of int or numpy.random.Generator
        Of the windows.

    Returns
    -------
    list of (str, numpy.ndarray, numpy.ndarray)
        Name of the move, image, label.

    Raises
    ------
    UnknownNameError, GridError, GlacierlabError
        As `move` does; or a clip is missing, or given where the row has none.

    Examples
    --------
    >>> import numpy as np
    >>> image, label = np.zeros((2, 8, 8), dtype="float32"), np.zeros((8, 8), dtype="uint8")
    >>> copies = offline(image, label, ["red", "swir16"], "chu2022", clip=4)
    >>> [name for name, _, _ in copies], copies[0][1].shape
    (['hflip', 'vflip', 'rot180', 'rot90_cw', 'rot90_ccw'], (2, 4, 4))
    """
    row = lookup(AUGMENTATIONS, preset, kind="set of augmentations")
    if row.random_clip and clip is None:
        raise GlacierlabError(f"{preset!r} clips at random and does not say how much: give clip=, in pixels.")
    if clip is not None and not row.random_clip:
        raise GlacierlabError(f"{preset!r} does not clip: leave clip={clip!r} out.")
    require_fit(image, label, tuple(features))
    rng, copies = np.random.default_rng(seed), []
    for by in row.moves:
        window = (image, label) if clip is None else random_clip(image, label, clip, rng)
        copies.append((by, *move(*window, by, features, vectors=vectors, fixed_light=fixed_light)))
    return copies


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training sample each time it is seen: by default one of the eight moves.

    Parameters
    ----------
    features : sequence of str
        Of the images, in order.
    moves : sequence of str
        Keys of `MOVES`. That all are as likely is an assumption.
    gain, offset, per_band, normalizer
        As in `jitter`, which is left out where gain and offset are 0.
    drop_bands, drop_groups : float
        Probability for each optical band, and for each of `groups`, see `drop`.
    groups : dict of str to sequence of str
        Features by modality.
    fill : float
        As in `drop`.
    vectors, fixed_light
        As in `move`.

    Raises
    ------
    UnknownNameError, GlacierlabError
        As `move` does, for any of the moves, when it is made and not first in the midst of training.

    Notes
    -----
    A sample depends on its seed alone, so give (seed, epoch, index): neither the order of samples nor the
    number of workers matters then.

    Examples
    --------
    >>> augment = Augmentation(["red", "nir", "aspect_sin", "aspect_cos"], gain=0.1)
    >>> image, label = np.full((4, 2, 2), 0.5, "float32"), np.array([[0, 1], [2, 3]])
    >>> _, moved = augment(image, label, (0, 12, 7))
    >>> sorted(moved.ravel().tolist())
    [0, 1, 2, 3]
    """

    features: Sequence[str]
    moves: Sequence[str] = tuple(MOVES)
    gain: float = 0.0
    offset: float = 0.0
    per_band: bool = False
    drop_bands: float = 0.0
    drop_groups: float = 0.0
    groups: dict = field(default_factory=dict)
    fill: float = 0.0
    normalizer: object = None
    vectors: Sequence[tuple[str, str]] = ()
    fixed_light: str = "refuse"

    def __post_init__(self):
        for name in ("features", "moves"):
            if isinstance(getattr(self, name), str):
                raise GlacierlabError(f"{name}={getattr(self, name)!r}: give a list of names.")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "vectors", tuple(map(tuple, self.vectors)))
        if not self.moves:
            raise GlacierlabError("moves is empty: 'identity' alone leaves a sample as it lies.")
        for by in self.moves:
            sources_of(self.features, by, self.vectors, self.fixed_light)
        self._change(np.zeros((len(self.features), 1, 1)), np.random.default_rng(0))

    @classmethod
    def for_recipe(cls, recipe, **options):
        """One for the stacks of a fitted recipe, whose features, groups and normalizer it takes.

        Raises
        ------
        GlacierlabError
            Also where the recipe's textures are averaged over directions that a move makes others.
        """
        made = cls(recipe.features, groups=recipe.groups, normalizer=recipe.fitted.normalizer, **options)
        period = 180 if recipe.glcm["symmetric"] else 360
        angles = {angle % period for angle in np.ravel(recipe.glcm["directions"]).tolist()}
        for by in made.moves if "glcm" in recipe.groups else ():
            if {turned(angle, by) % period for angle in angles} != angles:
                raise GlacierlabError(
                    f"{by!r} makes other directions of the recipe's textures, {sorted(angles)}: average them "
                    "over all, or leave this move out."
                )
        return made

    def __call__(self, image, label, seed):
        """An image (feature, y, x) and its label (y, x), changed; new arrays."""
        rng = np.random.default_rng(seed)
        by = self.moves[rng.integers(len(self.moves))]
        moved, label = move(
            image, label, by, self.features, vectors=self.vectors, fixed_light=self.fixed_light
        )
        return self._change(moved, rng), label

    def _change(self, image, rng):
        """An image with its values changed, in place."""
        if self.gain or self.offset:
            how = dict(gain=self.gain, offset=self.offset, per_band=self.per_band, normalizer=self.normalizer)
            image = jitter(image, self.features, rng, **how, out=image)
        for probability, parts in (
            (self.drop_bands, bands_of(self.features)),
            (self.drop_groups, self.groups),
        ):
            if probability:
                image = drop(
                    image, self.features, parts, rng, probability=probability, fill=self.fill, out=image
                )
        return image
