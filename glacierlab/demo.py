"""`glacierlab demo`: a scene, a map, scores and a report."""

from .mapping import map_glaciers
from .report import Reference, write_folder

SEED = 6  # of the made scene: a forked valley glacier with moraines and a lake


def run(folder, sample_name=None, seed=None, say=print):
    """Map a made scene, or a real sample, and write the folder.

    Parameters
    ----------
    folder : path
    sample_name : str, optional
        A sample that is a scene; its outlines, if it has some, become the reference.
    seed : int, optional
        Of the made scene.
    say : function of str
        Told of each step.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines.
    """
    if sample_name:
        scene, reference = real_scene(sample_name)
    else:
        from .synthetic import synthetic_scene

        scene = synthetic_scene(seed=SEED if seed is None else seed)
        reference = Reference(scene["truth"], "the made truth")
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
