"""`glacierlab map`: one scene to a folder of results, or many to a folder each."""

from pathlib import Path

import click
from click.core import ParameterSource

from .group import main, number, steps
from .opening import open_truth, opening_of, scene_options


def several(*options):
    """A decorator that gives a command options, which help shows in this order."""

    def give(command):
        for option in reversed(options):
            command = option(command)
        return command

    return give


threshold_options = several(
    click.option(
        "-l", "--layer", "layer_name", default="red/swir16", show_default=True, help="Ratio, index or band."
    ),
    click.option("-t", "--threshold", "value", help="A number, 'otsu' or 'li'; default the published one."),
    click.option("--blue-above", type=float, help="Also ask for blue reflectance above this (shadow guard)."),
    click.option(
        "--size", default=5, show_default=True, help="Side of the opening and closing square; 0: none."
    ),
)
model_options = several(
    click.option(
        "-m", "--model", multiple=True, metavar="FILE",
        help="Map by a model file, or 'default', instead of a threshold; several are averaged.",
    ),
    click.option("--tile", type=click.IntRange(1), help="Side of tiles [pixels]; default the model's own."),
    click.option("--overlap", type=click.IntRange(0), help="Of tiles [pixels]; default a quarter of a tile."),
    click.option(
        "--blend", type=click.Choice(["hann", "linear", "crop", "none"]), default="hann", show_default=True,
        help="How overlapping tiles meet.",
    ),
    click.option(
        "--tta", type=click.Choice(["none", "chu2022", "dihedral"]), default="none", show_default=True,
        help="Views of each tile that are averaged: one, six or eight.",
    ),
    click.option(
        "--uncertainty", type=click.Choice(["entropy", "spread"]), multiple=True,
        help="Also write this as a raster; a spread needs --tta or several models. May be repeated.",
    ),
    click.option("--device", default="auto", show_default=True, help="'cpu', 'cuda', 'cuda:1', …"),
    click.option(
        "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True
    ),
    click.option("--batch-size", type=click.IntRange(1), help="Tiles at a time; default by device."),
)  # fmt: skip
query_options = several(
    click.option("--stac", metavar="URL", help="Map what a STAC catalog finds: its name or URL."),
    click.option("--collection", help="Of the catalog; default the sensor's."),
    click.option("--bbox", metavar="W,S,E,N", help="Area [degrees]: '-117.4,52.1,-117.2,52.3'."),
    click.option("--dates", help="A day, month or year, or two with a slash: '2020-07/2020-09'."),
    click.option("--max-cloud", type=float, help="Largest cloud cover of a tile, as the catalog says [%]."),
    click.option("--max-items", type=click.IntRange(1), help="Where the search stops; default 100."),
)


OF_THRESHOLDS = ("layer_name", "value", "blue_above", "size")
OF_MODELS = ("tile", "overlap", "blend", "tta", "uncertainty", "device", "precision", "batch_size")
OF_QUERIES = ("collection", "bbox", "dates", "max_cloud", "max_items")


@main.command("map")
@click.argument("paths", nargs=-1, metavar="[SCENE]...")
@threshold_options
@model_options
@click.option("--keep-ice/--no-keep-ice", default=True, show_default=True, help="Win back ice flagged cloud.")
@click.option("--min-area", "min_area_km2", default=0.01, show_default=True, help="Smallest part [km²].")
@click.option("--dem", metavar="FILE", help="Elevation: an inventory, glaciers divided, columns of RGI 7.0.")
@click.option("--smooth", type=click.IntRange(0, 8), help="Rounds of smoothing the outlines; default none.")
@click.option("--reference", help="Outlines or mask to score against.")
@click.option(
    "--partial", is_flag=True, help="The reference labels only some of the ice: report recall alone."
)
@click.option(
    "-o", "--output", default="glacierlab-map", show_default=True, type=click.Path(file_okay=False),
    help="Folder to write to.",
)  # fmt: skip
@scene_options
@query_options
@click.pass_context
def map_command(
    context, paths, model, keep_ice, min_area_km2, dem, smooth, reference, partial, output, stac, **options
):  # fmt: skip
    """Map glaciers by a threshold or a model; writes rasters, outlines, areas, a picture and a report.

    SCENE is what `doctor` opens. Several, a folder of several or a STAC query give a folder each, and
    summary.csv: a scene that fails does not stop the others, the exit code is then 1, and the same call maps
    what is missing.
    """
    from ..batch import map_scene, map_scenes
    from ..io.finding import scenes_below
    from ..io.maps import open_map
    from ..report import Reference

    require_scenes(context, paths, stac)
    if partial and not reference:
        raise click.UsageError("--partial is about a reference: give --reference, or leave it out.")
    wrong = OF_THRESHOLDS if model else OF_MODELS
    refuse(context, wrong, "--model maps without a threshold" if model else "only --model takes it")
    by = {name: options.pop(name) for name in (*OF_MODELS, *OF_THRESHOLDS)}
    by = {name: value for name, value in by.items() if name not in wrong and value not in (None, ())}
    if by.get("value") not in (None, "otsu", "li"):
        by["value"] = number(by["value"], "--threshold")
    query = {name: options.pop(name) for name in OF_QUERIES}
    opening = opening_of(**options)
    held = Reference(open_truth(reference), Path(reference).name, not partial) if reference else None
    how = dict(model=list(model) or None, reference=held, keep_ice=keep_ice, min_area_km2=min_area_km2) | by
    how |= dict(dem=dem, smooth=smooth)
    say = steps()
    if stac:
        scenes, opening = queried(stac, opening, **query)
    else:
        scenes = [scene for path in paths for scene in scenes_below(path, but_not=output)]
        if len(scenes) == 1:
            outlines = map_scene(scenes[0], output, opening=opening, say=say, **how)
            click.echo(summed(outlines, open_map(Path(output) / "class_map.tif", chunks=1024)))
            return 0
    return told(map_scenes(scenes, output, opening=opening, say=say, **how), output)


def require_scenes(context, paths, stac):
    """UsageError unless scenes come from paths or from a query, and only that one's options are given."""
    if not paths and not stac:
        raise click.UsageError("Missing argument: give a scene, several, a folder of them, or --stac.")
    if paths and stac:
        raise click.UsageError("Give scenes or --stac, not both.")
    if stac:
        refuse(context, ("radiometry", "gain"), "catalogs say it")
    else:
        refuse(context, OF_QUERIES, "only --stac takes it")


def refuse(context, names, why):
    """UsageError where one of these options was given."""
    for option in context.command.params:
        given = context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
        if option.name in names and given:
            raise click.UsageError(f"{option.opts[-1]} does not go with the rest: {why}. Leave it out.")


def queried(stac, opening, bbox, **query):
    """Scenes that a catalog finds, and how they are opened."""
    from ..batch import passes

    if bbox is None:
        raise click.UsageError("--stac needs an area: --bbox west,south,east,north in degrees.")
    box = tuple(number(edge, "--bbox") for edge in bbox.split(","))
    if len(box) != 4:
        raise click.BadParameter(f"{bbox!r} is not west,south,east,north.", param_hint="--bbox")
    query |= {"catalog": stac, "sensor": opening.pop("sensor", None)}
    return passes(bbox=box, **query), opening | {"bbox": box}


def summed(outlines, codes):
    """Area and number of outlines of each class that a map knows, in a line, glacier first."""
    from ..mapping import areas_by_class
    from ..scores import GLACIER_PARTS

    names = list(areas_by_class(codes, outlines))
    names = [name for name in names if name not in GLACIER_PARTS or "glacier" not in names]
    groups = {name: outlines[outlines["class"] == name] for name in names}
    areas = (
        f"{group.area_km2.sum():.2f} km² of {name.replace('_', ' ')} in {len(group)} outlines"
        for name, group in groups.items()
    )
    return ", ".join(areas) + "."


def told(table, output):
    """Tell how a batch ended, the failures on stderr; the exit code."""
    failed = table[table["status"] == "failed"]
    click.echo(
        f"{len(table) - len(failed)} of {len(table)} scenes mapped: see {Path(output) / 'summary.csv'}"
    )
    for row in failed.itertuples():
        click.echo(f"glacierlab: {row.scene} failed: {row.reason}", err=True)
    return int(len(failed) > 0)
