"""`glacierlab demo`: a scene, its maps by two methods, scores, a report; of a made world also the past."""

from pathlib import Path

from .errors import GlacierlabError
from .mapping import map_by_model, map_glaciers
from .report import Reference, method_of, remove_map, write_folder

SEED = 6  # of the made world: a forked valley glacier with moraines and lakes
YEARS = (2000, 2020)  # the later one is what `synthetic_scene` makes


def run(folder, sample_name=None, seed=None, say=print):
    """Map a made world at two dates, or a real sample, and write the folder.

    The map in the folder is by a threshold; that of the default model is in `model` below it, and the report
    shows both side by side. Without torch, and where the model cannot take the scene, `say` is told so. Maps
    that an earlier demo left there and this one does not make are removed.

    Parameters
    ----------
    folder : path
        The later date's files, and a folder of the earlier date's, by its year.
    sample_name : str, optional
        A sample that is a scene; its outlines, if it has some, become the reference.
    seed : int, optional
        Of the made world.
    say : function of str
        Told of each step.

    Returns
    -------
    dict of str to geopandas.GeoDataFrame
        Glacier outlines of the later date by method, the threshold's first.
    """
    if sample_name:
        maps = write_maps(folder, *real_scene(sample_name), say)
        remove_map(Path(folder) / str(YEARS[0]))
        return maps
    from .synthetic import synthetic_world

    world, (past, present) = synthetic_world(SEED if seed is None else seed, YEARS), YEARS
    scenes = {year: world.scene(year) for year in YEARS}
    truths = {year: Reference(scene["truth"], "the made truth") for year, scene in scenes.items()}
    by_threshold = told(map_glaciers(scenes[past]), say)
    before = write_map(Path(folder) / str(past), scenes[past], by_threshold, truths[past], say)
    maps = write_maps(folder, scenes[present], truths[present], say)
    after = next(iter(maps.values()))
    say(f"glacier: {before.area_km2.sum():.2f} km² in {past} → {after.area_km2.sum():.2f} km² in {present}")
    return maps


def write_maps(folder, scene, reference, say):
    """Map a scene by a threshold and by the default model and write both folders; outlines by method."""
    by_threshold, others, maps = told(map_glaciers(scene), say), [], {}
    try:
        others = [told(map_by_model(scene, progress=False), say)]
    except GlacierlabError as error:
        say(f"no map by the default model: {error}")
    outlines = write_map(folder, scene, by_threshold, reference, say, beside=others)
    maps[method_of(by_threshold)] = outlines
    if not others:
        remove_map(Path(folder) / "model")
    for other in others:
        found = write_map(Path(folder) / "model", scene, other, reference, say)
        maps[method_of(other)] = found[found["class"] == "glacier"]
    return maps


def told(prediction, say):
    """The map, and `say` told of it."""
    say(f"mapped {prediction.attrs.get('title')} by {method_of(prediction)}")
    return prediction


def write_map(folder, scene, prediction, reference, say, beside=()):
    """Write the folder of a map; returns the outlines."""
    outlines = write_folder(folder, scene, prediction, reference=reference, beside=beside)
    say(f"wrote scene.tif, class_map.tif, outlines.gpkg, areas.csv, map.png and report.html to {folder}")
    return outlines


def real_scene(name):
    """A sample scene, and its sample outlines as an incomplete reference where there are any."""
    from .errors import SampleError
    from .io.samples import SAMPLES, sample

    scene = sample(name)
    if not hasattr(scene, "data_vars"):
        raise SampleError(f"The sample {name!r} is no scene: `glacierlab sample` lists them with their kind.")
    outlines = next((key for key in (f"{name}_outline", f"{name}_outlines") if key in SAMPLES), None)
    if outlines is None:
        return scene, None
    return scene, Reference(sample(outlines), SAMPLES[outlines].long_name, complete=False)
