"""`predict`: a model over a scene of any size."""

from functools import partial
from os import PathLike

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import parse_bytes

from ..errors import GlacierlabError, GridError
from ..features.recipe import Recipe
from ..io.align import at_pixel_size
from ..io.layers import pixel_size_m, require_crs
from ..io.scene import open_scene
from ..samples.moves import sources_of
from ..tables import CLASSES, NOT_OBSERVED, lookup
from .blocks import Grid, block_side, predicted, rows_of
from .cluster import cluster, gpu_units
from .job import about_job, fill, precision_begun, require_name, written
from .models import models_of
from .passes import Manner, precision_of, require_dropout
from .tiles import require_whole
from .walking import MEMORY, walk

CHUNK = 1024  # in which scenes are opened from paths [pixels]
TILE = 256  # where the model's card says nothing: an assumption
VIEWS = {
    "none": ("identity",),
    "chu2022": ("identity", "hflip", "vflip", "rot180", "rot90_cw", "rot90_ccw"),
    "dihedral": (
        "identity", "rot90_ccw", "rot180", "rot90_cw", "hflip", "vflip", "transpose", "antitranspose",
    ),
}  # fmt: skip
UNCERTAINTIES = ("entropy", "spread")
SAME_SIZE = 1 / 3 + 1e-6  # share by which pixels may differ from the model's


def predict(
    scene, model, *, tile=None, overlap=None, blend="hann", tta="none", uncertainty=(), dropout=0, seed=0,
    batch_size="auto", device="auto", precision="auto", resample=False, out=None, max_memory=None,
    progress=True,
):  # fmt: skip
    """Map a scene with a model, tile by tile; lazy if the scene is.

    Tiles lie on one grid over the whole scene and go through the model once for each view; their
    probabilities are blended where they overlap. The result does not depend on chunks or workers, and on
    `batch_size` and torch's number of threads by the rounding of floating-point numbers alone.

    Parameters
    ----------
    scene : xarray.Dataset, xarray.DataArray or path
        A scene (y, x) or (time, y, x), of which the model's recipe makes its layers; a stack
        (feature, y, x) that was made by that recipe; or what `open_scene` opens, here lazily.
    model : path, Segmenter or list of these
        A model file, "default", or a model with a card. Several are averaged; they have the same features,
        classes and recipe.
    tile : int, optional
        Side of the tiles [pixels]; by default that of the patches that the model was trained on, or 256, an
        assumption. Of a scene that is smaller, the missing part is its mirror image.
    overlap : int, optional
        Of neighboring tiles [pixels], less than a tile. A quarter of a tile by default, an assumption; 0
        where `blend` is "none".
    blend : {"hann", "linear", "crop", "none"}
        How overlapping tiles meet: a squared sine or a straight ramp over the overlap; the middle of each
        tile alone, without a margin of half the overlap (Chu et al. 2022 keep 90 % of the area: tile 1024,
        overlap 52); or their plain mean, which shows seams.
    tta : str or sequence of str
        Views that are averaged: "none", "chu2022" (six), "dihedral" (all eight), or names of
        `samples.MOVES`. Layers that point somewhere are turned as vectors.
    uncertainty : sequence of str
        "entropy": of the averaged probabilities, as a share of its largest value, ln K. "spread": the
        standard deviation over views, draws and models of the class whose is largest.
    dropout : int
        Draws of Monte-Carlo dropout (Gal and Ghahramani 2016, arXiv:1506.02142), averaged.
    seed : int
        Of these draws. They depend on seed and tile alone.
    batch_size : int or "auto"
        Tiles at a time; "auto" suits a CPU, and is found by trial on a GPU. Where there is no memory for
        them, half as many.
    device : str
        "auto" is a GPU where there is one, in this process or, on a `dask.distributed` cluster, where workers
        declare a resource "GPU"; tiles run on those alone then, one block a unit of it.
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 on GPUs that have it, and on CPUs whose convolutions are faster so.
    resample : bool
        Bring a scene whose pixels differ from the model's by more than a third to the model's pixel size,
        averaged where pixels grow, else bilinearly; the map has these pixels.
    out : path, optional
        Write the map as it is made: a Zarr folder ("map.zarr"), or the class map alone as a cloud-optimized
        GeoTIFF ("map.tif"). After a kill the same call goes on. Another scene is told by its grid and
        values; a lazy one, which is not read for it, by windows along both diagonals.
    max_memory : int or str, optional
        With `out`, but not on a cluster: most memory around the model and its batch, beside the chunks that
        the scene itself is read or made in; in bytes or as "2 GB", 1 GB by default, an assumption.
    progress : bool
        Whether a bar shows how far that is, in terminals.

    Returns
    -------
    xarray.Dataset
        On the scene's grid: `probability` (class, y, x) float32, NaN where a layer has no value; `class_map`
        (y, x) uint8 with `flag_values` and `flag_meanings`, 255 where not observed; and what `uncertainty`
        asks, (y, x) float32. Several dates have a dimension `time`.

    Raises
    ------
    MissingBandError, RadiometryError
        The scene cannot yield the model's layers.
    ModelFileError
        The file is no model file.
    GridError
        The scene is in degrees, or its pixels differ from the model's by more than a third.
    GlacierlabError, UnknownNameError
        An argument is not what it should be; or the model gives NaN, found when it runs.

    References
    ----------
    Chu et al. 2022, doi:10.5194/tc-16-4273-2022.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    >>> found = predict(scene, "default")
    >>> found.probability.dims, dict(found.sizes)
    (('class', 'y', 'x'), {'class': 4, 'y': 60, 'x': 80})
    """
    models = models_of(model)
    if out is not None:
        out = require_name(out)
        precision = precision_begun(out) if precision == "auto" else precision
    manner = manner_of(models, tta, uncertainty, dropout, seed, batch_size, device, precision)
    if isinstance(scene, str | PathLike):
        scene = open_scene(scene, chunks=CHUNK)
    how = dict(tile=tile, overlap=overlap, blend=blend, uncertainty=uncertainty, resample=resample)
    if "time" not in scene.dims:
        memory = MEMORY if max_memory is None else bytes_of(max_memory)
        return of_date(scene, models, manner, out=out, memory=memory, progress=progress, **how)
    if out is not None:
        raise GlacierlabError("out= holds one date: choose it with isel(time=0), and write each by itself.")
    if not scene.sizes["time"]:
        raise GlacierlabError("The cube has no dates: time is empty.")
    dates = [scene.isel(time=number) for number in range(scene.sizes["time"])]
    found = xr.concat([of_date(date, models, manner, progress=progress, **how) for date in dates], "time")
    found.attrs.pop("datetime", None)  # of the first
    return found.assign_coords({name: scene.coords[name] for name in {"time"} & set(scene.coords)})


def of_date(
    scene, models, manner, *, tile, overlap, blend, uncertainty, resample, out=None, memory=MEMORY,
    progress=True,
):  # fmt: skip
    """The prediction of a scene or stack of one date."""
    stack = stack_of(scene, models.card, resample)
    tile = models.card.tile or TILE if tile is None else tile
    require_whole("tile", tile, 1)
    overlap = overlap if overlap is not None else 0 if blend == "none" else tile // 4
    image = padded(stack.data, tile)
    grid = Grid(image.shape[1:], tile, overlap, blend, block_side(tile, image.shape[1:], manner.device))
    describe = partial(layers_of, card=models.card, uncertainty=uncertainty)
    about = {"tile": tile, "overlap": overlap, "blend": blend, "views": list(manner.views)}
    about |= {key: scene.attrs[key] for key in ("datetime", "sensor", "title") if key in scene.attrs}
    shape = stack.sizes["y"], stack.sizes["x"]
    if out is None and stack.chunks is not None:
        values = predicted(in_blocks(image, grid), grid, models, manner)[:, : shape[0], : shape[1]]
        return dataset_of(describe(values), stack, models.card).assign_attrs(about)
    values = da.zeros((models.channels + manner.spread, *shape), np.float32, chunks=-1)
    found = dataset_of(describe(values), stack, models.card).assign_attrs(about)
    if out is not None:

        def blocks(first):
            if cluster() is not None:
                return rows_of(in_blocks(image, grid), grid, models, manner, first)
            return walk(image, grid, models, manner, first, memory)

        job = about_job(found, image, grid, models, manner)
        return written(found, blocks, grid, job, describe, out, progress)
    arrays = {name: np.empty(layer.shape, layer.dtype) for name, layer in found.items()}
    fill(arrays, found, walk(image, grid, models, manner), grid, describe, "predict", progress)
    return found.copy(data=arrays)


# ---- what goes in ----


def stack_of(scene, card, resample=False):
    """The model's layers of a scene, or a stack's that has them, (feature, y, x)."""
    if isinstance(scene, xr.DataArray):
        stack = scene
        names = stack["feature"].values.tolist() if "feature" in stack.coords else None
        if set(stack.dims) != {"feature", "y", "x"} or names is None:
            raise GridError(f"A stack is (feature, y, x) with names of its features, not {stack.dims}.")
        if missing := [name for name in card.features if name not in names]:
            raise GlacierlabError(
                f"The model needs {missing}, the stack has {names}: give the scene, or a stack made by the "
                "model's recipe, gl.Recipe.from_json(model.card.recipe)."
            )
        stack = in_order(stack, card).transpose("feature", "y", "x")
    else:
        if card.recipe is None:
            raise GlacierlabError(
                "The model's file holds no recipe: give a stack (feature, y, x) that has its features, "
                f"{list(card.features)}."
            )
        if resample and size_differs(scene, card):
            scene = at_pixel_size(scene, card.pixel_size_m)
        stack = in_order(Recipe.from_json(card.recipe).apply(scene), card)
    require_size(stack, card)
    return stack.astype("float32", copy=False)


def in_order(stack, card):
    """A stack's features that the model knows, in its order; a copy only where they are others."""
    names = list(card.features)
    return stack if stack["feature"].values.tolist() == names else stack.sel(feature=names)


def bytes_of(asked):
    """A number of bytes, of an int or a text such as "2 GB"."""
    try:
        return parse_bytes(asked)
    except (TypeError, ValueError) as error:
        raise GlacierlabError(f"max_memory={asked!r}: give bytes, or a text such as '2 GB'.") from error


def require_size(stack, card):
    """GridError where pixels are degrees, or differ from the model's by more than a third."""
    if size_differs(stack, card):
        raise GridError(
            f"The scene's pixels have {pixel_size_m(stack):g} m, the model was trained on "
            f"{card.pixel_size_m:g} m, where glaciers look otherwise: give the scene and resample=True."
        )


def size_differs(raster, card):
    """Whether pixels differ from the model's by more than a third; GridError where they are degrees."""
    if require_crs(raster, "predict").is_geographic:
        raise GridError(
            "The scene is in degrees: reproject it to meters first, such as scene.rio.reproject(…)."
        )
    return bool(card.pixel_size_m) and abs(pixel_size_m(raster) / card.pixel_size_m - 1) > SAME_SIZE


def padded(values, tile):
    """Values (feature, y, x) of at least a tile a side, continued by their mirror image; lazy if they are."""
    for axis in (1, 2):
        widths = [(0, 0)] * 3
        widths[axis] = (0, max(tile - values.shape[axis], 0))
        if not widths[axis][1]:
            continue
        if isinstance(values, np.ndarray):
            values = np.pad(values, widths, mode="symmetric")
        else:
            values = values.rechunk({axis: -1})
            chunks = [*values.chunks[:axis], (tile,), *values.chunks[axis + 1 :]]
            values = values.map_blocks(np.pad, widths, mode="symmetric", chunks=chunks, dtype=values.dtype)
    return values


def in_blocks(values, grid):
    """Values (feature, y, x) as a dask array of the grid's blocks, all features together."""
    chunks = (-1, grid.chunks(0), grid.chunks(1))
    if isinstance(values, np.ndarray):
        return da.from_array(values, chunks, name=False)  # no hash of them
    return values.rechunk(chunks)


def manner_of(models, tta, uncertainty, dropout, seed, batch_size, device, precision):
    """How tiles go through the models, from what was asked; a cluster's own GPUs settle what is "auto"."""
    views = lookup(VIEWS, tta, kind="tta") if isinstance(tta, str) else tuple(tta)
    if not views:
        raise GlacierlabError("tta=[]: give 'none', or names of views.")
    for by in views:
        sources_of(models.card.features, by)  # refuses unknown views, and layers that cannot be turned
    asked = [uncertainty] if isinstance(uncertainty, str) else list(uncertainty)
    for name in asked:
        lookup(dict.fromkeys(UNCERTAINTIES), name, kind="uncertainty")
    for name, value, least in (("dropout", dropout, 0), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise GlacierlabError(f"{name}={value!r}: give a whole number, {least} or more.")
    if dropout:
        require_dropout(models.members)
    if "spread" in asked and len(views) * max(dropout, 1) * len(models.members) == 1:
        raise GlacierlabError("A spread needs several views (tta=), draws (dropout=) or models.")
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if batch_size != "auto" and not (whole and batch_size >= 1):
        raise GlacierlabError(f"batch_size={batch_size!r}: give 'auto' or a whole number, 1 or more.")
    manner = Manner(
        tuple(models.card.features), views, int(dropout), int(seed), "spread" in asked, precision, device,
        int(batch_size) if whole else "auto",
    )  # fmt: skip
    precision_of(precision, "cpu")  # refuses unknown ones
    client, units = cluster(), gpu_units()
    if client is None or not (units or device.startswith("cuda")):
        return manner.settled()
    return client.submit(manner.settled, pure=False, resources=units or None).result()  # it knows its GPU


# ---- what comes out ----


def layers_of(values, card, uncertainty):
    """{variable: array} of values (K, y, x), the spread behind them where it is asked; lazy if they are."""
    probability, codes = values[: len(card.names)], codes_of(card.names)
    layers = {"probability": probability, "class_map": over_classes(coded, probability, np.uint8, codes)}
    if "entropy" in uncertainty:
        layers["entropy"] = over_classes(entropy, probability, np.float32)
    if "spread" in uncertainty:
        layers["spread"] = values[-1]
    return layers


def over_classes(function, probability, dtype, *args):
    """A function of probabilities (K, y, x) that gives (y, x); in each block of a dask array."""
    if isinstance(probability, np.ndarray):
        return function(probability, *args)
    return probability.map_blocks(function, *args, drop_axis=0, dtype=dtype)


def dataset_of(layers, stack, card):
    """The prediction as a Dataset on the stack's grid."""
    names = list(card.names)
    grid = {name: stack.coords[name] for name in ("y", "x")}
    grid["spatial_ref"] = stack.coords[stack.rio.grid_mapping].variable
    told = {"class_map": {"flag_values": codes_of(names), "flag_meanings": " ".join(names)}}
    found = {
        name: (("class", "y", "x")[3 - layer.ndim :], layer, LONG_NAMES[name] | told.get(name, {}))
        for name, layer in layers.items()
    }
    return xr.Dataset(found, {"class": names} | grid)


LONG_NAMES = {
    "probability": {"long_name": "probability of the class", "units": "1"},
    "class_map": {"long_name": "class"},
    "entropy": {"long_name": "entropy as a share of its largest value", "units": "1"},
    "spread": {"long_name": "standard deviation of the probability over all passes", "units": "1"},
}


def codes_of(names):
    """The package's codes where it knows all of the classes, each by another; else in order, background 0."""
    codes = [CLASSES[name].code for name in names if name in CLASSES]
    first = 0 if names[0] == "background" else 1
    return codes if len(set(codes)) == len(names) else list(range(first, first + len(names)))


def coded(probability, codes):
    """The code of the likeliest class (y, x) uint8, 255 where there is none."""
    best, found = np.array(probability[0]), np.full(probability.shape[1:], codes[0], np.uint8)
    for code, layer in zip(codes[1:], probability[1:], strict=True):  # several times as fast as argmax
        np.copyto(found, np.uint8(code), where=layer > best)
        np.maximum(best, layer, out=best)
    np.copyto(found, np.uint8(NOT_OBSERVED), where=np.isnan(best))
    return found


def entropy(probability):
    """Entropy (y, x) float32 of probabilities (K, y, x), as a share of ln K."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probability > 0, probability * np.log(probability), 0)
    terms[:, np.isnan(probability[0])] = np.nan
    return (-terms.sum(axis=0) / np.log(len(probability))).clip(0, 1).astype(np.float32)
