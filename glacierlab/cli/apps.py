"""`glacierlab inspect` and `glacierlab dashboard`: the apps in a browser."""

import re
import sys
from pathlib import Path

import click

from .group import main
from .mapping import several
from .opening import open_truth

serving_options = several(
    click.option(
        "--port", default=5006, show_default=True, type=click.IntRange(0, 65535),
        help="Of the server; 0 takes any free one.",
    ),
    click.option(
        "--address", default="127.0.0.1", show_default=True,
        help="To listen on; 0.0.0.0 lets other machines in.",
    ),
    click.option("--no-browser", is_flag=True, help="Do not open the page, only print where it is."),
    click.option(
        "--allow-origin", multiple=True, metavar="HOST[:PORT]",
        help="A further name that the server is reached by, as behind a proxy. May be repeated.",
    ),
    click.option(
        "--basic-auth", metavar="FILE",
        help='Ask for a password: a file of one, or of {"name": "password"}. Or set GLACIERLAB_PASSWORD.',
    ),
    click.option(
        "--oauth-provider", help="Ask to log in there: 'github', 'google', 'azure', …, as Panel knows them."
    ),
    click.option("--oauth-key", help="Of the provider; the secret comes from PANEL_OAUTH_SECRET."),
    click.option("--oauth-redirect-uri", help="Where the provider sends people back to."),
    click.option(
        "--max-upload", "max_upload_mb", default=64.0, show_default=True, help="Largest file to take [MB]."
    ),
)  # fmt: skip


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--analyst", help="The name in the audit trail; else asked for, or the login.")
@click.option("--reference", metavar="FILE", help="Outlines or class map that scores are of.")
@serving_options
def inspect(paths, analyst, reference, **options):
    """Look at outlines on their scenes, correct and sign them, in a browser.

    PATH is a folder that `demo` or `map` wrote, a scene, an inventory; several are shown together. Edits are
    saved to the GeoPackage they came from when you say so, and nothing else is written there.

    \b
    Examples:
      glacierlab demo && glacierlab inspect glacierlab-demo
      glacierlab inspect my-map --reference my-reference.gpkg --analyst "Ana"
    """
    from ..apps.holdings import holdings_of
    from ..apps.serving import serve
    from ..apps.studio import inspect as studio

    held = holdings_of(*paths)
    truth = open_reference(reference) if reference else None
    make = lambda: studio(held, analyst=analyst, reference=truth)
    serve(make, title=f"Inspect: {named(paths)}", **asked(options))


@main.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option(
    "--inspect", "with_inspect", is_flag=True, help="Also serve the inspector of scenes, linked to."
)
@serving_options
def dashboard(folders, with_inspect, **options):
    """What changed between dates, in a browser: map, series, table, a page for each glacier.

    FOLDER is what `demo`, `map` (of many scenes) or `change` wrote. Folders and files of one date are shown
    together; of several folders with dates of their own, a first page lists them all.

    \b
    Examples:
      glacierlab demo --dates 12 -o twelve && glacierlab dashboard twelve
      glacierlab dashboard map-2000 map-2020
    """
    from ..apps.gallery import boards
    from ..apps.serving import serve

    if sys.stderr.isatty():  # somebody is waiting, as with a progress bar
        click.echo(f"Measuring {named(folders)} …", err=True)
    pages = boards(folders, with_inspect)
    if with_inspect and not any(path.endswith("/inspect") for path in pages):
        click.echo(
            "There is no inspector: it needs a scene, as a folder of `glacierlab demo` or `map` holds one. "
            "`glacierlab inspect` opens outlines alone."
        )
    serve(pages, title=f"Change: {named(folders)}", **asked(options))


def open_reference(path):
    """A `Reference` of a file, by its name: a class map labels all ice, outlines perhaps some."""
    from ..report import Reference

    data = open_truth(path)
    return Reference(data, Path(path).name, complete=not hasattr(data, "geometry"))


def asked(options):
    """Arguments of `serve` from the options of `serving_options`."""
    no_browser = options.pop("no_browser")
    return options | {"show": not no_browser, "say": click.echo}


def named(paths):
    """What is opened, in a few words."""
    names = [re.sub(r"\s+", " ", Path(path).resolve().name) for path in paths]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
