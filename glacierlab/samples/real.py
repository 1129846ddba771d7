"""Real labeled sets as patches."""

import os
from pathlib import Path

import pandas as pd

from ..errors import SampleError, warn
from ..io.maps import open_map
from ..io.samples import sample
from ..io.scene import open_scene
from ..tables import NOT_OBSERVED
from .patches import PatchSet

HOW = dict(sensor="sentinel-2", radiometry="sr", gain=1e-4, offset=0, chunks=1024)
SNOW = {"flag_values": [1, 2], "flag_meanings": "bare_ice snow"}


def swiss_snow(folder=None, layers=None, *, mini=False, size=64, **options):
    """Snow against bare ice on 76 Swiss glaciers: 202 labeled Sentinel-2 chips of 2015 to 2018.

    Bands blue, nir08 and nir, no green and no SWIR; labels were drawn by hand. Off the glaciers, and under
    cloud, neither pixels nor labels were published: images are filled there and labels are 255. A chip is a
    scene and bears its glacier's id. Chips have 78 to 833 pixels a side, 10 m each, so patches are small by
    default; what is left over at the right and lower border of a chip is not used, nor are smaller chips.
    Each chip has its own projection; the manifest is in an equal-area one around them all (see `crs` of
    `PatchSet.from_scenes`).

    Parameters
    ----------
    folder : path, optional
        The set: `manifest.csv` and `chips/`. By default `swiss_snow` in the folder that the environment
        variable `GLACIERLAB_DATA` names.
    layers : Recipe or sequence of str, optional
        As in `PatchSet.from_scenes`.
    mini : bool
        Only the 90 chips that the set marks as its small version.
    size : int
        Side of a patch [pixels].
    **options
        Of `PatchSet.from_scenes`.

    Returns
    -------
    PatchSet
        Classes bare_ice and snow. It reads the files when asked for a patch; `to_zarr` makes it fast.

    Raises
    ------
    SampleError
        The folder does not hold the set.

    References
    ----------
    github.com/lgeibel/snowicesen (GPL-3); Copernicus Sentinel-2 data.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         swiss_snow(folder)
    ...     except gl.errors.SampleError as error:
    ...         print(str(error).partition("holds ")[2].partition(":")[0])
    no manifest.csv and chips/ of the Swiss snow set
    """
    scenes, labels, glaciers = swiss_chips(folder, mini=mini, least=size)
    return PatchSet.from_scenes(scenes, labels, layers, **{"size": size, "glaciers": glaciers} | options)


def swiss_chips(folder=None, *, mini=False, least=1):
    """Whole chips of `swiss_snow` with `least` pixels a side: scenes, class maps and glacier ids by name."""
    folder = Path(folder or Path(os.environ.get("GLACIERLAB_DATA", ".")) / "swiss_snow").expanduser()
    if not (folder / "manifest.csv").is_file() or not (folder / "chips").is_dir():
        raise SampleError(
            f"{folder} holds no manifest.csv and chips/ of the Swiss snow set: give its folder, or set "
            "GLACIERLAB_DATA to the folder that holds swiss_snow/."
        )
    table = pd.read_csv(folder / "manifest.csv", dtype={"chip": str, "gid": str, "date": str})
    table = table[table["mini"]] if mini else table
    large = table[["h", "w"]].min(axis=1) >= least
    if not large.all():
        warn(f"{(~large).sum()} of {len(table)} chips are smaller than a patch of {least} pixels: left out.")
        table = table[large]
    scenes, labels = {}, {}
    for chip in table["chip"]:
        label = open_map(folder / "chips" / f"{chip}_label.tif", chunks=1024).assign_attrs(SNOW)
        scene = open_scene(folder / "chips" / f"{chip}.tif", **HOW)
        scenes[chip], labels[chip] = scene.where(label != NOT_OBSERVED), label
    return scenes, labels, dict(zip(table["chip"], table["gid"], strict=True))


def athabasca(layers=None, *, background=False, size=64, **options):
    """Athabasca Glacier in a Landsat 8 scene (HLS) of 2020, labeled by its one outline, of 1984.

    The icefield around the outline is ice as well, and nobody drew it: beyond it labels are 255, so that the
    set knows glacier alone. And the glacier has retreated since 1984: what the outline holds near the
    terminus is no ice any more. A set to try things on, not to judge a model by.

    Parameters
    ----------
    layers, size, **options
        As in `PatchSet.from_scenes`.
    background : bool
        Count all beyond the outline as background, the neighbors' ice too, which is wrong.

    Returns
    -------
    PatchSet
        Of the scene "athabasca", 215 x 205 pixels of 30 m.

    Raises
    ------
    SampleError
        The files are not here and cannot be downloaded.

    Examples
    --------
    >>> from glacierlab.io.samples import SAMPLES
    >>> SAMPLES["athabasca"].long_name  # what it is cut from; the call itself may download it
    'Athabasca Glacier, Columbia Icefield, 2020-08-16'
    """
    scene, outline = sample("athabasca"), sample("athabasca_outline")
    if not background:
        from ..scores import burn

        given = options.pop("ignore", None)
        given = list(given) if isinstance(given, list | tuple) else [given]
        options["ignore"] = [~burn(outline, scene["red"]), *given]
    options = {"layers": layers, "size": size, "glaciers": outline.assign(glacier="athabasca")} | options
    return PatchSet.from_scenes({"athabasca": scene}, outline, **options)
