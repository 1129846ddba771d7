"""How a model travels: from one area to the next, and from date to date."""

import numpy as np
import pandas as pd
import shapely

from ..errors import GlacierlabError, warn
from .bootstrap import LEVEL, REPEATS, block_bootstrap, blocks_of, interval
from .tally import SCORES, score_values

SAME_AREA = 0.01  # share by which labeled ground may differ between dates that are compared, an assumption


# ---- from one area to the next ----


def drops(areas, *, scores=("f1", "kappa", "oa"), paired=False, repeats=REPEATS, level=LEVEL, seed=0):
    """How much each score falls from the first area to every other.

    In the order of Chen et al. 2022 the areas are the ground trained on, then other weather over like ground,
    then other surroundings, then both: the drops tell weather, surroundings and place apart.

    Parameters
    ----------
    areas : dict of Evaluation or DataFrame
        By the area's name, at least two: one model's evaluations, or tables with one row a class or method.
    scores : sequence of str
        Columns.
    paired : bool
        Whether all evaluations are over the same ground (a clear and a cloudy date): the same squares of
        ground are then drawn for both. Otherwise each area's own blocks are drawn.
    repeats, level, seed
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        Index (area, row of the tables); the drops, first minus other, in the tables' units, and of
        evaluations `{score}_low` and `{score}_high`, NaN where blocks are too few.

    Raises
    ------
    GlacierlabError
        There is one area only, tables differ in rows or lack scores, or paired areas are of other ground.

    Examples
    --------
    >>> import glacierlab as gl
    >>> model = gl.load_model("default")
    >>> near, far = (gl.evaluate(model, gl.synthetic_scene(seed, shape=(64, 64))) for seed in (2, 6))
    >>> fall = drops({"near": near, "far": far}, scores=["f1"])
    >>> float(fall.loc[("far", "clean_ice"), "f1"].round(1))
    0.1
    """
    if len(areas) < 2:
        raise GlacierlabError("A drop is from one area to another: give evaluations of two or more.")
    tables = {name: getattr(each, "scores", each) for name, each in areas.items()}
    first, *others = areas
    for name, table in tables.items():
        if list(table.index) != list(tables[first].index) or not set(scores) <= set(table):
            raise GlacierlabError(
                f"{name!r} has rows {list(table.index)} and columns {list(table)}; {first!r} has rows "
                f"{list(tables[first].index)}, asked are {list(scores)}."
            )
    found = {}
    for number, name in enumerate(others, start=1):
        found[name] = tables[first][[*scores]] - tables[name][[*scores]]
        if hasattr(areas[name], "confusions"):
            draw = paired_samples if paired else unpaired_samples
            samples = draw(areas[first], areas[name], repeats, seed, number)
            low, high = interval(samples, level)
            for score in scores:
                place = SCORES.index(score)
                found[name] = found[name].assign(
                    **{f"{score}_low": low[:, place], f"{score}_high": high[:, place]}
                )
    return pd.concat(found, names=["area"])


def unpaired_samples(first, other, repeats, seed, number):
    """Samples (repeats, row, score) of the drop between areas of other ground, each by its own blocks."""
    shape = (1, len(first.classes) + 1, len(SCORES))
    if not (first.blocks.enough and other.blocks.enough):
        return np.full(shape, np.nan)
    sides = [(first, (seed, 0)), (other, (seed, number))]
    drawn = [
        block_bootstrap(each.confusions, each.blocks, score_values, repeats=repeats, seed=own)
        for each, own in sides
    ]
    return drawn[0] - drawn[1]


def paired_samples(first, other, repeats, seed, number):
    """The same over the same ground, by squares of it."""
    ground, ours, manifest = by_ground(first)
    theirs_ground, theirs, _ = by_ground(other, manifest.crs)
    found = theirs_ground.get_indexer(ground)
    if len(ground) != len(theirs_ground) or (found < 0).any():
        raise GlacierlabError(
            f"The areas share {(found >= 0).sum()} of {len(ground)} and {len(theirs_ground)} squares of "
            "ground: pairs need the same patches. Leave paired out."
        )
    blocks = blocks_of(manifest, "space", fewest=first.blocks.fewest)
    if not blocks.enough:
        return np.full((1, len(first.classes) + 1, len(SCORES)), np.nan)
    drop = lambda sums: score_values(sums[:, 0]) - score_values(sums[:, 1])
    both = np.stack([ours, theirs[found]], axis=1)
    return block_bootstrap(both, blocks, drop, repeats=repeats, seed=seed)


def by_ground(evaluation, crs=None):
    """Squares of ground, their confusions summed over dates, and the manifest's first row of each."""
    manifest = evaluation.manifest
    codes, ground = pd.factorize(ground_of(manifest, crs))
    sums = np.zeros((len(ground), *evaluation.confusions.shape[1:]), np.int64)
    np.add.at(sums, codes, evaluation.confusions)
    return ground, sums, manifest.iloc[np.unique(codes, return_index=True)[1]]


def ground_of(manifest, crs=None):
    """The square of ground under each patch, by its center, to a hundredth of a pixel."""
    squares = manifest.geometry if crs is None else manifest.geometry.to_crs(crs)
    centers = squares.centroid
    pixel = np.sqrt(squares.area) / manifest["size"]
    return pd.MultiIndex.from_arrays([(each / pixel * 100).round() for each in (centers.x, centers.y)])


# ---- from date to date ----


def areas(evaluation):
    """Area of every class in every scene, as mapped and in truth, over labeled ground.

    Parameters
    ----------
    evaluation : Evaluation
        Of patches that do not overlap.

    Returns
    -------
    pandas.DataFrame
        Index (scene, class); mapped_km2, true_km2, and labeled_km2, the labeled ground of the scene. Pixels
        have the size that they have in the manifest's projection.

    Raises
    ------
    GlacierlabError
        Patches of a scene overlap, so that pixels would count twice.

    Examples
    --------
    >>> import glacierlab as gl
    >>> judged = gl.evaluate(gl.load_model("default"), gl.synthetic_scene(seed=6, shape=(64, 64)))
    >>> areas(judged).xs("clean_ice", level="class").round(1).values.tolist()
    [[0.5, 0.8, 3.7]]
    """
    return areas_of(evaluation.confusions, evaluation.manifest, evaluation.classes)


def areas_of(confusions, manifest, classes):
    """`areas` of patches."""
    squares = manifest.geometry
    pixel_km2 = (squares.area / manifest["size"] ** 2 / 1e6).to_numpy()
    found = {}
    for scene, rows in manifest.groupby("scene", sort=False).indices.items():
        summed, united = squares.iloc[rows].area.sum(), shapely.union_all(squares.iloc[rows].to_numpy()).area
        if summed > united * (1 + 1e-6):
            raise GlacierlabError(
                f"Patches of scene {scene!r} overlap, so that pixels would count twice: make them with "
                "stride=size."
            )
        km2 = (confusions[rows] * pixel_km2[rows, None, None]).sum(axis=0)
        columns = {"mapped_km2": km2.sum(axis=0), "true_km2": km2.sum(axis=1), "labeled_km2": km2.sum()}
        found[scene] = pd.DataFrame(columns, index=pd.Index(classes, name="class"))
    return pd.concat(found, names=["scene"])


def area_stability(evaluation):
    """How much the mapped area of each class varies over dates of the same ground.

    Snow that comes and goes makes a model's glaciers swell and shrink though the ice does not (Chu et al.
    2022, doi:10.5194/tc-16-4273-2022, Fig. 18).

    Parameters
    ----------
    evaluation : Evaluation
        Of patches of two or more scenes, which are the dates. Only ground that is in all of them counts.

    Returns
    -------
    pandas.DataFrame
        One row a class: dates; mean_km2, std_km2 (of a sample, n - 1) and std_percent of the mapped area;
        range_percent, largest minus smallest; true_km2, the mean over dates, and bias_percent, mean minus
        true. Percents are of the mean, that of the bias of the truth; NaN where that is 0.

    Raises
    ------
    GlacierlabError
        There is one scene only, no ground is in all of them, or patches overlap.

    Warns
    -----
    DataWarning
        Labeled ground differs between dates by more than 1 %, an assumption: clouds and gaps then change
        areas too.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64))
    >>> dates = {date: world.scene(2020, date=date) for date in ("07-15", "09-15")}
    >>> judged = gl.evaluate(gl.load_model("default"), dates)
    >>> area_stability(judged).loc["clean_ice", ["dates", "mean_km2", "true_km2"]].round(1).tolist()
    [2.0, 0.5, 0.8]
    """
    ground = ground_of(evaluation.manifest)
    scenes = evaluation.manifest["scene"].to_numpy()
    dates = pd.Series(scenes).groupby(pd.factorize(ground)[0]).transform("nunique").to_numpy()
    number = len(set(scenes))
    common = dates == number
    if number < 2 or not common.any():
        why = "there is one" if number < 2 else "no patch is in all of them"
        raise GlacierlabError(f"Stability needs several scenes of the same ground, and {why}.")
    table = areas_of(evaluation.confusions[common], evaluation.manifest[common], evaluation.classes)
    labeled = table["labeled_km2"]
    if np.ptp(labeled) > SAME_AREA * labeled.max():
        warn(
            f"The dates have {labeled.min():.4g} to {labeled.max():.4g} km2 of labeled ground in common "
            "patches: areas differ by clouds and gaps too. Ignore in all dates what one has not seen."
        )
    grouped = table.groupby(level="class", sort=False)
    mapped, true = grouped["mapped_km2"], grouped["true_km2"].mean()
    mean, std = mapped.mean(), mapped.std()
    percent = 100 / mean.where(mean > 0)
    return pd.DataFrame(
        {
            "dates": number,
            "mean_km2": mean,
            "std_km2": std,
            "std_percent": std * percent,
            "range_percent": (mapped.max() - mapped.min()) * percent,
            "true_km2": true,
            "bias_percent": 100 * (mean - true) / true.where(true > 0),
        }
    )
