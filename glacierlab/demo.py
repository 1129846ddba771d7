"""`glacierlab demo`: a scene, a map, scores and a report; of a made world also an earlier date."""

from pathlib import Path

from .mapping import map_glaciers
from .report import Reference, write_folder

SEED = 6  # of the made world: a forked valley glacier with moraines and lakes
YEARS = (2000, 2020)  # the later one is what `synthetic_scene` makes


def run(folder, sample_name=None, seed=None, say=print):
    """Map a made world at two dates, or a real sample, and write the folder.

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
    geopandas.GeoDataFrame
        The outlines, of the later date.
    """
    if sample_name:
        return write_map(folder, *real_scene(sample_name), say)
    from .synthetic import synthetic_world

    world = synthetic_world(SEED if seed is None else seed, YEARS)
    maps, folders = [], (Path(folder) / str(YEARS[0]), folder)
    for year, place in zip(YEARS, folders, strict=True):
        scene = world.scene(year)
        maps.append(write_map(place, scene, Reference(scene["truth"], "the made truth"), say))
    areas = " → ".join(
        f"{table.area_km2.sum():.2f} km² in {year}" for table, year in zip(maps, YEARS, strict=True)
    )
    say(f"glacier: {areas}")
    return maps[-1]


def write_map(folder, scene, reference, say):
    """Map a scene and write its folder; returns the outlines."""
    say(f"scene: {scene.attrs.get('title')}")
    prediction = map_glaciers(scene)
    say(f"mapped: glacier where {prediction.attrs['layer']} > {prediction.attrs['threshold']:g}")
    outlines = write_folder(folder, scene, prediction, reference=reference)
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
