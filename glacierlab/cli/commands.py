"""All commands but `map`."""

from pathlib import Path

import click

from .group import main, steps
from .opening import open_truth, opening_of, scene_options


@main.command()
@click.option(
    "--sample", "name", help="A real scene instead of the made one; `glacierlab sample` lists them."
)
@click.option("--seed", default=None, type=int, help="Which made scene.")
@click.option(
    "--dates", default=2, show_default=True, type=click.IntRange(1, 36),
    help="Of the made scene: 2000 and 2020, or more, evenly from 1986 to 2021.",
)  # fmt: skip
@click.option(
    "-o", "--output", default="glacierlab-demo", show_default=True,
    type=click.Path(file_okay=False), help="Folder to write to.",
)  # fmt: skip
def demo(name, seed, dates, output):
    """The whole story in a minute: scene, maps, scores, report. Only --sample may download.

    The folder opens in both apps: `glacierlab inspect` and `glacierlab dashboard`.
    """
    from ..demo import run

    say = steps()
    maps = run(output, sample_name=name, seed=seed, dates=dates, say=say)
    click.echo()
    for method, outlines in maps.items():
        click.echo(f"{outlines.area_km2.sum():.2f} km² of glacier in {len(outlines)} outlines by {method}.")
    click.echo(f"Open {Path(output) / 'report.html'} in a browser.")


@main.command()
@click.argument("path")
@scene_options
def doctor(path, **options):
    """Look a scene over: units, offsets, swapped bands, gaps, sun. Exits with 1 where a test fails."""
    from ..mapping import open_to_map
    from ..quality import check

    table = check(open_to_map(path, **opening_of(**options)))
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
    from ..io.samples import fetch, sample_table

    if name is None:
        click.echo(sample_table().to_string())
    else:
        click.echo(fetch(name))


@main.command()
@click.argument("config")
@click.option(
    "-o", "--out", type=click.Path(file_okay=False), help="Folder to write to, instead of the config's."
)
@click.option("--epochs", type=int, help="How many, instead of the config's.")
def train(config, out, epochs):
    """Train a model as a TOML file says; the same call again continues after a kill."""
    from ..train import read_config, train_from

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
    from ..io.maps import open_map
    from ..scores import score as score_maps

    table = score_maps(open_map(prediction), open_truth(reference))
    click.echo(table.to_csv() if as_csv else table.T.to_string(float_format="{:.4f}".format))


@main.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="Folder to write to, instead of the file's `out`.",
)
def compare(config, output):
    """Train and judge several models alike, as a TOML file says. Exits with 1 where one failed.

    The same command goes on where it was stopped.
    """
    from ..judge.config import compare_from

    found = compare_from(config, output)
    if len(found.table):
        click.echo(found.wide().to_string())
    shown = found.models.drop(columns=["layers", "warned"])
    click.echo(shown.to_string(index=False, float_format="{:.4g}".format))
    click.echo(found.verdict())
    return int(not found.ok)


@main.group()
def model():
    """Look into model files."""


@model.command("show")
@click.argument("path", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print all of the card as JSON.")
def show_model(path, as_json):
    """Print the card of a model file: layers, classes, training, scores. Nothing in it is run."""
    import json

    from ..features.recipe import Recipe
    from ..models.describe import describe
    from ..models.header import located, read_header

    header = read_header(path)
    if as_json:
        click.echo(json.dumps(header.body(), indent=1))
        return
    recipe = header.card.recipe
    click.echo(f"{path}, {located(path).stat().st_size / 1e6:.3g} MB")
    click.echo(describe(header, Recipe.from_json(recipe).groups if recipe else None))
