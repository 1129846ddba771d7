"""The command line: each command is a thin shell over one function of the package."""

import sys
import time
import warnings
from pathlib import Path

import click

from .errors import DataWarning, GlacierlabError

LARGE = 3000 * 3000  # pixels; a larger scene is opened lazily
CHUNK = 2048


def show_note(message, category, *_):
    """Warnings about the data as notes; those of libraries are for developers."""
    if issubclass(category, DataWarning):
        click.echo(f"glacierlab: note: {message}", err=True)


class OneLine(click.Group):
    """A group whose every error is one line on stderr and exit code 2; --debug shows the traceback."""

    def main(self, args=None, **extra):
        args = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in args
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show_note
                code = super().main([a for a in args if a != "--debug"], standalone_mode=False, **extra)
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.Abort:
            click.echo("glacierlab: stopped.", err=True)
            sys.exit(130)
        except click.ClickException as error:
            click.echo(f"glacierlab: {error.format_message()}", err=True)
            sys.exit(2)
        except (GlacierlabError, OSError, MemoryError) as error:
            if debug:
                raise
            click.echo(f"glacierlab: {' '.join(str(error).split()) or type(error).__name__}", err=True)
            sys.exit(2)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glacierlab")
def main():
    """Map glaciers from satellite images. `--debug` anywhere shows tracebacks."""


def steps():
    """A function that says what was done and how long it took."""
    last = time.perf_counter()

    def say(text):
        nonlocal last
        now = time.perf_counter()
        click.echo(f"{now - last:6.1f} s  {text}")
        last = now

    return say


def scene_options(command):
    """How a scene is opened."""
    options = [
        click.option("--sensor", help="Sensor, platform or family, where the file does not say."),
        click.option(
            "--radiometry", type=click.Choice(["dn", "toa", "sr"]), help="What the numbers are, or 'dn'."
        ),
        click.option("--gain", type=float, help="Reflectance = gain * (DN + offset)."),
        click.option("--offset", help="'metadata' (default), 'baseline' or a number added to the DN."),
        click.option("--bands", help="Names, or name=number pairs: 'red,nir,swir16' or 'red=1,nir=2'."),
        click.option("--resolution", type=float, help="Pixel size to open at, in units of the CRS."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_from(path, bands=None, offset=None, **options):
    """The scene of a path and the options of `scene_options`; a large one lazily."""
    from .io.scene import open_scene, require_data

    given = {key: value for key, value in options.items() if value is not None}
    if offset is not None:
        given["offset"] = offset if offset in ("metadata", "baseline") else number(offset, "--offset")
    if bands:
        pairs = [tuple(part.strip().split("=", 1)) for part in bands.split(",")]
        if len({len(pair) for pair in pairs}) > 1:
            raise click.BadParameter(f"{bands!r} mixes names and name=number.", param_hint="--bands")
        given["bands"] = dict(pairs) if len(pairs[0]) == 2 else [name for (name,) in pairs]
    scene = open_scene(path, chunks=CHUNK, **given)
    if scene.sizes["y"] * scene.sizes["x"] > LARGE:
        return scene
    scene = scene.compute()
    require_data(scene, path)
    return scene


def number(text, option):
    """A number of an option that also takes words."""
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number.", param_hint=option) from None


@main.command()
@click.option(
    "--sample", "name", help="A real scene instead of the made one; `glacierlab sample` lists them."
)
@click.option("--seed", default=None, type=int, help="Which made scene.")
@click.option("-o", "--output", default="glacierlab-demo", show_default=True, help="Folder to write to.")
def demo(name, seed, output):
    """The whole story in a minute: scene, map, scores, report. Only --sample may download."""
    from .demo import run

    say = steps()
    outlines = run(output, sample_name=name, seed=seed, say=say)
    click.echo(f"\n{outlines.area_km2.sum():.2f} km² of glacier in {len(outlines)} outlines.")
    click.echo(f"Open {Path(output) / 'report.html'} in a browser.")


@main.command()
@click.argument("path")
@scene_options
def doctor(path, **options):
    """Look a scene over: units, offsets, swapped bands, gaps, sun. Exits with 1 where a test fails."""
    from .quality import check

    table = check(open_from(path, **options))
    width = max(map(len, table.index))
    colors = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": None}
    for test, row in table.iterrows():
        advice = f"  → {row.advice}" if row.advice else ""
        verdict = click.style(f"{row.verdict:<7}", fg=colors[row.verdict])
        click.echo(f"{test:<{width}}  {verdict}  {row.evidence}{advice}")
    return int((table.verdict == "fail").any())


@main.command()
@click.argument("name", required=False)
def sample(name):
    """List the real samples, or fetch one by name."""
    from .io.samples import fetch, sample_table

    if name is None:
        click.echo(sample_table().to_string())
    else:
        click.echo(fetch(name))


@main.command("map")
@click.argument("path")
@click.option(
    "-l", "--layer", "layer_name", default="red/swir16", show_default=True, help="Ratio, index or band."
)
@click.option("-t", "--threshold", "value", help="A number, 'otsu' or 'li'; default the published one.")
@click.option("--blue-above", type=float, help="Also ask for blue reflectance above this (shadow guard).")
@click.option("--keep-ice/--no-keep-ice", default=True, show_default=True, help="Win back ice flagged cloud.")
@click.option("--size", default=5, show_default=True, help="Side of the opening and closing square; 0: none.")
@click.option("--min-area", "min_area_km2", default=0.01, show_default=True, help="Smallest part [km²].")
@click.option("--reference", help="Outlines or mask to score against.")
@click.option(
    "--partial", is_flag=True, help="The reference labels only some of the ice: report recall alone."
)
@click.option("-o", "--output", default="glacierlab-map", show_default=True, help="Folder to write to.")
@scene_options
def map_command(
    path, layer_name, value, blue_above, keep_ice, size, min_area_km2, reference, partial, output, **options
):
    """Map glaciers in a scene by a threshold; writes rasters, outlines, areas, a picture and a report."""
    from tqdm.dask import TqdmCallback

    from .mapping import map_glaciers
    from .report import Reference, write_folder

    say = steps()
    scene = open_from(path, **options)
    say(f"opened {scene.attrs.get('title', path)}: {', '.join(scene.data_vars)}")
    if value is not None and value not in ("otsu", "li"):
        value = number(value, "--threshold")
    prediction = map_glaciers(
        scene,
        layer_name,
        value,
        blue_above=blue_above,
        keep_ice=keep_ice,
        size=size,
        min_area_km2=min_area_km2,
    )
    with TqdmCallback(desc="mapping", leave=False, disable=None):  # a lazy scene is computed here
        prediction = prediction.compute()
    say(f"mapped {layer_name}")
    held = Reference(open_truth(reference), Path(reference).name, not partial) if reference else None
    outlines = write_folder(output, scene, prediction, reference=held)
    say(f"wrote {output}")
    click.echo(f"{outlines.area_km2.sum():.2f} km² of glacier in {len(outlines)} outlines.")


@main.command()
@click.argument("config")
@click.option("-o", "--out", help="Folder to write to, instead of the config's.")
@click.option("--epochs", type=int, help="How many, instead of the config's.")
def train(config, out, epochs):
    """Train a model as a TOML file says; the same call again continues after a kill."""
    from .train import read_config, train_from

    say = steps()
    training = train_from(read_config(config), out=out, epochs=epochs)
    say(f"trained {training.model.name}: {len(training.history)} epochs, best {training.best_epoch}")
    told = sorted({training.best_epoch, training.history["epoch"].iloc[-1]})
    rows = training.history.set_index("epoch").loc[told]
    click.echo(rows.to_string(float_format="{:.4g}".format))
    for name in ("best", "last"):
        click.echo(f"{name}: {getattr(training, name)}")
    click.echo(f"history: {training.best.parent / 'history.csv'}")


@main.command()
@click.argument("prediction")
@click.argument("reference")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
def score(prediction, reference, as_csv):
    """Score a class map or mask against a reference mask or outlines."""
    from .io.maps import open_map
    from .scores import score as score_maps

    table = score_maps(open_map(prediction), open_truth(reference))
    click.echo(table.to_csv() if as_csv else table.T.to_string(float_format="{:.4f}".format))


@main.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", help="Folder to write to, instead of the file's `out`.")
def compare(config, output):
    """Train and judge several models alike, as a TOML file says. Exits with 1 where one failed.

    The same command goes on where it was stopped.
    """
    from .judge.config import compare_from

    found = compare_from(config, output)
    if len(found.table):
        click.echo(found.wide().to_string())
    shown = found.models.drop(columns=["layers", "warned"])
    click.echo(shown.to_string(index=False, float_format="{:.4g}".format))
    click.echo(found.verdict())
    return int(not found.ok)


def open_truth(path):
    """A reference from a file: a raster as class map, anything else as outlines."""
    from .io.inventory import open_inventory
    from .io.maps import open_map

    is_raster = Path(path).suffix.lower() in (".tif", ".tiff")
    return open_map(path) if is_raster else open_inventory(path)


@main.group()
def model():
    """Look into model files."""


@model.command("show")
@click.argument("path", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print all of the card as JSON.")
def show_model(path, as_json):
    """Print the card of a model file: layers, classes, training, scores. Nothing in it is run."""
    import json

    from .features.recipe import Recipe
    from .models.describe import describe
    from .models.header import located, read_header

    header = read_header(path)
    if as_json:
        click.echo(json.dumps(header.body(), indent=1))
        return
    recipe = header.card.recipe
    click.echo(f"{path}, {located(path).stat().st_size / 1e6:.3g} MB")
    click.echo(describe(header, Recipe.from_json(recipe).groups if recipe else None))
