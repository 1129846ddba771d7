"""The four papers' ways of comparing networks, on made worlds: what trains, what tests, what is assumed.

A row of `tables.PROTOCOLS` says all of it. A score on a made world says nothing about how well a network does
on real ice; what such a comparison shows is how a way of comparing behaves.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import GlacierlabError, SampleError
from ..features.recipe import Recipe
from ..samples.moves import move
from ..samples.patches import PatchSet
from ..samples.splits import LEAKY
from ..synthetic import synthetic_world
from ..tables import AUGMENTATIONS, CLASSES, PROTOCOLS, RECIPES, lookup

VERSION = 1  # of what is made from a row; another one makes caches anew
TRAIN, VAL = "train", "val"
APART = 100  # seeds between the first worlds of two areas: more worlds, and two areas hold the same one
RELIEF = "flat", "rugged"  # tests by the mean slope of a patch


def protocol_worlds(name, *, worlds=None, shape=(256, 256), size=64, studies=None, out=None):
    """Training, validation and test patches of a paper's protocol, from made worlds.

    Parameters
    ----------
    name : {"chen2022", "huang2025", "chu2022", "cryonet"}
        A row of `tables.PROTOCOLS`, which says what the paper states and what is assumed.
    worlds : int, optional
        Worlds of each area, at most 100, for seeds of areas lie 100 apart; by default the row's, 5 to 30.
    shape : (int, int)
        Rows and columns of a world [px]. 256 is small; mountains narrower than 12 km are smaller, not fewer.
    size : int
        Side of a patch [px]; 64 is small, the papers' are 128, 256, 1024 and, assumed, 256.
    studies : sequence of str, optional
        Some of the row's studies, each of which is one training; by default all.
    out : path, optional
        Folder that keeps the patches; the next call reads them there.

    Returns
    -------
    dict of str to dict of str to PatchSet
        By study, by part: "train", "val", and every other is a test.

    Raises
    ------
    UnknownNameError
        No such protocol or study.
    GlacierlabError
        There are too few worlds, or seeds that the row names.

    Notes
    -----
    Recipes are fitted to the worlds that train and validate; where a study parts the patches of one world, to
    all of them. Clouds are not ignored: the label is what lies below, as an inventory's is.

    Examples
    --------
    >>> studies = protocol_worlds("chen2022", worlds=2, shape=(64, 64), size=32, studies=["scene2"])
    >>> {study: sorted(parts) for study, parts in studies.items()}
    {'scene2': ['area1', 'area2', 'area3', 'train', 'val']}
    """
    row = lookup(PROTOCOLS, name, kind="protocol")
    chosen = list(row.studies) if studies is None else list(studies)
    for study in chosen:
        lookup(row.studies, study, kind=f"study of {name}")
    count = row.worlds["count"] if worlds is None else worlds
    if not isinstance(count, int) or not 1 <= count <= APART:
        raise GlacierlabError(f"worlds={worlds!r}: give a whole number, 1 to {APART}.")
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise GlacierlabError(f"shape={shape!r}: give rows and columns of a world, such as [256, 256].")
    said = json.dumps([VERSION, name, asdict(row), count, list(shape), size])
    key = hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
    folder = None if out is None else Path(out) / f"{name}-{key}"
    areas = Areas(row, count, tuple(shape), {})
    return {study: study_parts(row, study, areas, size, folder) for study in chosen}


def study_parts(row, name, areas, size, folder):
    """The parts of one study, from the cache where they are."""
    study = row.studies[name]
    paths = {part: folder / f"{name}-{part}" for part in part_names(study)} if folder else {}
    try:
        if paths:
            return {part: PatchSet.from_zarr(path) for part, path in paths.items()}
    except SampleError:  # not there, or not whole
        pass
    pool = {scene: each for area in study.pool for scene, each in areas.worlds(area).items()}
    made = (
        dealt_worlds(row, study, pool, size) if study.by == "world" else dealt_patches(row, study, pool, size)
    )
    for area in study.elsewhere:
        made[area] = cut(row, areas.worlds(area), made[TRAIN].recipe, size)
    parts = {part: each.patches.with_split(part) for part, each in made.items()}
    if study.relief:
        parts |= by_relief(parts[study.test], pool)
    return {part: each.to_zarr(paths[part]) if folder else each for part, each in parts.items()}


def part_names(study):
    """Names of a study's parts, in order."""
    own = [study.test] if study.test else []
    return [TRAIN, VAL, *own, *study.elsewhere, *(RELIEF if study.relief else ())]


# ---- worlds ----


@dataclass(frozen=True, eq=False)
class Made:
    """A world as it is seen."""

    scene: object
    labels: object
    glaciers: object  # outlines, for the manifest


@dataclass(frozen=True)
class Areas:
    """The worlds of each area of a protocol, made when they are asked for."""

    row: object
    count: int
    shape: tuple[int, int]
    made: dict

    def worlds(self, area):
        """Worlds by the name of their scene, which begins with the area's."""
        if area not in self.made:
            about = dict(self.row.areas[area])
            seeds, first = about.pop("seeds", None), about.pop("first_seed", 0)
            if seeds is not None and len(seeds) < self.count:
                raise GlacierlabError(
                    f"worlds={self.count}: {area!r} has {len(seeds)} worlds that were chosen for "
                    "what they show."
                )
            seeds = range(first, first + self.count) if seeds is None else seeds[: self.count]
            bar = tqdm(seeds, desc=f"worlds of {area}", unit="world", delay=5, leave=False)
            self.made[area] = {f"{area}-{seed}": self.look(seed, **about) for seed in bar}
        return self.made[area]

    def look(self, seed, *, year, latitude, ela_m, view=None):
        """One world as the protocol's sensor sees it in late summer."""
        how, view = self.row.worlds, view or {}
        place = dict(pixel_size_m=how["pixel_size_m"], latitude=latitude, ela_m=ela_m)
        world = synthetic_world(seed, (year,), self.shape, **place)
        scene = world.scene(sensor=how["sensor"], **view)
        if how.get("radar"):
            radar = world.radar()
            scene = scene.assign(coherence=radar.coherence, phase=radar.phase)
        return Made(
            scene, labels_of(scene.truth, self.row.classes), world.outlines().drop(columns="glacier_id")
        )


def labels_of(truth, classes):
    """The truth as a class map of `classes`; others are background, but for what `PatchSet` merges itself."""
    if "glacier" in classes:
        return truth
    codes = [CLASSES[name].code for name in classes]
    flags = {"flag_values": np.array(codes, "uint8"), "flag_meanings": " ".join(classes)}
    return truth.where(truth.isin(codes), CLASSES["background"].code).astype("uint8").assign_attrs(flags)


# ---- patches ----


@dataclass(frozen=True, eq=False)
class Cut:
    """Patches, and the recipe that they were cut with."""

    patches: PatchSet
    recipe: Recipe


def fitted(row, worlds):
    """The protocol's recipe, fitted to worlds."""
    how = row.worlds
    layers = [
        name for each in how["layers"] for name in (RECIPES[each].layers if each in RECIPES else [each])
    ]
    return Recipe(layers, **how.get("recipe", {})).fit([each.scene for each in worlds.values()])


def cut(row, worlds, recipe, size):
    """Patches of worlds, side by side."""
    scenes, labels, glaciers = (
        {name: getattr(each, what) for name, each in worlds.items()}
        for what in ("scene", "labels", "glaciers")
    )
    least = row.worlds.get("min_glacier", 0.0)
    patches = PatchSet.from_scenes(
        scenes, labels, recipe, size=size, classes=list(row.classes), glaciers=glaciers, min_glacier=least
    )
    return Cut(patches, recipe)


def dealt_worlds(row, study, worlds, size):
    """Parts of whole worlds, in their order: none is in two."""
    names, needed = list(worlds), len(study.shares)
    if len(names) < needed:
        raise GlacierlabError(f"{len(names)} worlds for {needed} parts: give worlds={needed} or more.")
    ends = np.floor(np.cumsum(study.shares) * len(names) + 1e-9).astype(int)
    ends = np.clip(ends, np.arange(1, needed + 1), len(names) - np.arange(needed)[::-1])  # none is empty
    starts = [0, *ends[:-1].tolist()]
    recipe = fitted(row, {name: worlds[name] for name in names[: ends[1]]})  # training and validation
    parts = part_names(study)[:needed]
    return {
        part: cut(row, {name: worlds[name] for name in names[start:end]}, recipe, size)
        for part, start, end in zip(parts, starts, ends.tolist(), strict=True)
    }


def dealt_patches(row, study, worlds, size):
    """Parts of the patches of all worlds."""
    recipe = fitted(row, worlds)
    patches = cut(row, worlds, recipe, size).patches
    if study.twins:
        patches = with_twins(patches, study.twins)
    names = part_names(study)[: len(study.shares)]
    split = patches.split(by=study.by, shares=study.shares, names=names, leaks=study.by in LEAKY)
    return {name: Cut(split.subset(name), recipe) for name in names}


def by_relief(patches, worlds):
    """Flat and rugged patches, whose mean slope is below or above the median."""
    slopes = []
    for scene, row, col, _ in patches.windows():
        heights = worlds[scene].scene.elevation[row : row + patches.size, col : col + patches.size]
        pixel_m = abs(float(heights.x[1] - heights.x[0]))
        slopes.append(np.degrees(np.arctan(np.hypot(*np.gradient(heights.values, pixel_m)))).mean())
    halves = patches.with_split(np.where(slopes < np.median(slopes), *RELIEF))
    return {name: halves.subset(name) for name in RELIEF}


# ---- twins ----


@dataclass(frozen=True, eq=False)
class Twins:
    """Copies of the patches of another store, moved; the twins of patch n of `count` are n + k count."""

    store: object
    features: tuple[str, ...]
    moves: tuple[str, ...]
    count: int

    def read(self, scene, row, col, size, position):
        """Image and label of a patch."""
        which, original = divmod(position, self.count)
        image, label = self.store.read(scene, row, col, size, original)
        return move(image, label, self.moves[which], self.features)

    def read_many(self, windows, size):
        """(position in `windows`, image, label) of patches."""
        for number, window in enumerate(windows):
            yield number, *self.read(*window[:3], size, window[3])


def with_twins(patches, preset):
    """The set with the copies that a paper made of each patch before it split them."""
    import pandas as pd

    moves = tuple(lookup(AUGMENTATIONS, preset, kind="set of augmentations").moves)
    count, manifest = len(patches), patches.manifest.reset_index(drop=True)
    copies = [manifest.assign(source=None if by == "identity" else manifest.index, move=by) for by in moves]
    store = Twins(patches.store, patches.features, moves, count)
    return PatchSet(
        pd.concat(copies, ignore_index=True), patches.features, patches.classes, patches.size,
        f"{patches.fingerprint} with twins of {preset}", store, patches.origin,
    )  # fmt: skip
