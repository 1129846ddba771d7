"""`glacierlab change`: what changed between inventories, as a folder of results."""

from pathlib import Path

import click

from ..errors import GlacierlabError
from .group import main, number, steps


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="INVENTORY...")
@click.option(
    "-o", "--output", default="glacierlab-change", show_default=True,
    type=click.Path(file_okay=False), help="Folder to write to.",
)  # fmt: skip
@click.option("--dates", help="Of the inventories, in their order: '1998,2009' or '1986-1988,2019-2021'.")
@click.option("--by", help="Column that names a glacier; default a column of ids, or where outlines lie.")
@click.option("--pixel", "pixel_m", type=float, help="Side of the pixels that were mapped [m], for --method.")
@click.option(
    "--method",
    help="How areas of all files err: symmetric_buffer, buffer, perimeter, pixel_count, rgi, share. Default: "
    "as area_unc_km2 of a file says, symmetric_buffer where it has none.",
)
@click.option(
    "--years", default="dates", show_default=True,
    help="Between dates: 'dates', 'chen2022', or, of two inventories, a number.",
)  # fmt: skip
@click.option("--dem", help="Elevation: also areas by elevation.")
@click.option("--title", default="Glacier change", show_default=True)
def change(paths, output, dates, years, **asked):
    """What changed between glacier outlines of two dates or more: tables, figures, a report page.

    Each INVENTORY is a vector file with a date in every row's src_date, or else give --dates.
    """
    from ..change.differences import CONVENTIONS
    from ..change.tracking import date_of
    from ..io.inventory import open_inventory
    from ..report.changed import write_change

    say = steps()
    inventories = [open_inventory(path) for path in paths]
    say(f"read {sum(map(len, inventories))} outlines of {len(paths)} files")
    if dates is not None:
        labels = [label.strip() for label in dates.split(",")]
        if len(set(labels)) != len(paths) or len(labels) != len(paths):
            raise GlacierlabError(
                f"--dates {dates!r} names {len(set(labels))} dates, and there are {len(paths)} inventories: "
                "give one for each, in their order, with commas between."
            )
        inventories = dict(zip(labels, inventories, strict=True))
    elif undated := [path for path, table in zip(paths, inventories, strict=True) if not date_of(table)]:
        raise GlacierlabError(f"{undated[0]} has no dates in a column src_date: give --dates for all files.")
    years = years if years in CONVENTIONS else number(years, "--years")
    found = write_change(output, inventories, years=years, **asked)
    say(f"compared {len(found.labels)} dates by {found.by}")
    total = found.changes[found.changes["glacier"] == "total"].iloc[-1]
    click.echo(
        f"{found.labels[0]} to {found.labels[-1]}: {total.area_1_km2:.2f} to {total.area_2_km2:.2f} km², "
        f"a {'loss' if total.loss_pct >= 0 else 'gain'} of {abs(total.loss_pct):.1f} %."
    )
    click.echo(f"Open {Path(output) / 'report.html'} in a browser.")
