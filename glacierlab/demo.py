"""`glacierlab demo`: a scene, its maps by two methods, scores, a report; of a made world also the past."""

from pathlib import Path

import numpy as np

from .errors import GlacierlabError
from .mapping import map_by_model, map_glaciers
from .report import Reference, method_of, remove_map, write_folder

SEED = 6  # of the made world: a forked valley glacier with moraines and lakes
YEARS = (2000, 2020)  # of two dates; the later one is what `synthetic_scene` makes
SPAN = (1986, 2021)  # first and last year of more dates
MAX_DATES = SPAN[1] - SPAN[0] + 1


def run(folder, sample_name=None, seed=None, dates=2, say=print):
    """Map a made world at several dates, or a real sample, and write the folder.

    The map in the folder is by a threshold; that of the default model is in `model` below it, and the report
    shows both side by side. Without torch, and where the model cannot take the scene, `say` is told so. Maps
    that an earlier demo left there and this one does not make are removed.

    Parameters
    ----------
    folder : path
        The latest date's files, and a folder of each earlier date's, by its year.
    sample_name : str, optional
        A sample that is a scene; its outlines, if it has some, become the reference.
    seed : int, optional
        Of the made world.
    dates : int
        How many, 1 to 36: 2000 and 2020, or more, evenly from 1986 to 2021.
    say : function of str
        Told of each step.

    Returns
    -------
    dict of str to geopandas.GeoDataFrame
        Glacier outlines of the latest date by method, the threshold's first.

    Raises
    ------
    GlacierlabError
        More dates than there are years, or several of a real scene.
    """
    folder = Path(folder)
    if sample_name:
        if dates not in (1, 2):  # 2 is what is there without asking
            raise GlacierlabError("A real scene has one date: leave --dates out, or --sample.")
        maps = write_maps(folder, *real_scene(sample_name), say)
        remove_years(folder, kept=())
        return maps
    from .synthetic import synthetic_world

    *past, present = years_of(dates)
    world = synthetic_world(SEED if seed is None else seed, [*past, present])
    areas = {year: write_past(folder / str(year), world.scene(year), year, say) for year in past}
    scene = world.scene(present)
    maps = write_maps(folder, scene, truth_of(scene), say)
    remove_years(folder, kept=past)
    if past:
        after = next(iter(maps.values())).area_km2.sum()
        say(f"glacier: {areas[past[0]]:.2f} km² in {past[0]} → {after:.2f} km² in {present}")
    return maps


def years_of(dates):
    """Years of the made world, for a number of dates."""
    if not 1 <= dates <= MAX_DATES:
        raise GlacierlabError(
            f"{dates} dates: the made world has 1 to {MAX_DATES}, of {SPAN[0]} to {SPAN[1]}."
        )
    if dates <= len(YEARS):
        return YEARS[-dates:]
    return tuple(np.linspace(*SPAN, dates).round().astype(int).tolist())


def truth_of(scene):
    """What a made scene's map is held against."""
    return Reference(scene["truth"], "the made truth")


def write_past(folder, scene, year, say):
    """Map an earlier date by a threshold and write its folder; the area of its outlines [km²]."""
    prediction = map_glaciers(scene)
    area = write_folder(folder, scene, prediction, reference=truth_of(scene)).area_km2.sum()
    say(f"mapped {year} by {method_of(prediction)}: {area:.2f} km² of glacier, in {folder}")
    return area


def remove_years(folder, kept):
    """Away with maps of years that an earlier demo left there."""
    names = {str(year) for year in range(SPAN[0], SPAN[1] + 1)} - {str(year) for year in kept}
    for place in folder.iterdir():
        if place.name in names:
            remove_map(place)


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
