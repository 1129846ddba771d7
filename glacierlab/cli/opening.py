"""How commands open what they are given."""

from pathlib import Path

import click

from .group import number


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


def opening_of(bands=None, offset=None, **options):
    """Arguments of `open_scene` from the options of `scene_options`."""
    given = {key: value for key, value in options.items() if value is not None}
    if offset is not None:
        given["offset"] = offset if offset in ("metadata", "baseline") else number(offset, "--offset")
    if bands:
        pairs = [tuple(part.strip().split("=", 1)) for part in bands.split(",")]
        if len({len(pair) for pair in pairs}) > 1:
            raise click.BadParameter(f"{bands!r} mixes names and name=number.", param_hint="--bands")
        given["bands"] = dict(pairs) if len(pairs[0]) == 2 else [name for (name,) in pairs]
    return given


def open_truth(path):
    """A reference from a file: a raster as class map, anything else as outlines."""
    from ..io.inventory import open_inventory
    from ..io.maps import open_map

    is_raster = Path(path).suffix.lower() in (".tif", ".tiff")
    return open_map(path) if is_raster else open_inventory(path)
