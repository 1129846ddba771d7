"""`coregister`: scenes of several dates moved onto one of them."""

from functools import partial

import dask
import numpy as np
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio import Affine
from rasterio.enums import Resampling
from tqdm.dask import TqdmCallback

from ..errors import GlacierlabError, GridError, MissingBandError, require_same_grid
from ..io.align import (
    BLOCK,
    RESAMPLING,
    WRAPS,
    aligned,
    chunks_of,
    coverage,
    default_resampling,
    geobox_of,
    on_grid,
)
from ..quality import valid_mask
from ..tables import MASKS, NOT_OBSERVED, lookup
from .dates import iso, scenes_of, time_of, variable_kind
from .matching import agreed, tile_shift, tiles_of

BANDS = ("nir", "red", "green", "swir16", "pan")  # looked at, the first that all scenes have
FEWEST = 3  # tiles that must agree: assumption
NOISE = 2.0  # standard errors: assumption


def coregister(
    scenes, reference=0, *, band=None, stable=None, tile=128, max_tiles=100, min_agreement=0.2,
    max_shift=1.0, min_shift=0.1, resampling="cubic",
):  # fmt: skip
    """Move scenes of several dates onto one of them, by less than a pixel, and tell how far.

    Each scene gets one shift: the median of those of its tiles, found by correlation in the Fourier domain.
    What differs from place to place, by rotation, scale or another DEM in orthorectification, stays and shows
    in `rmse_px`.

    Parameters
    ----------
    scenes : list of xarray.Dataset, or xarray.Dataset
        Scenes (y, x) of one date each, or a cube (time, y, x). Those of a list may lie on other grids and in
        other CRS: they come back on the reference's.
    reference : int or xarray.Dataset
        Which of them stays as it is, from 0; or a scene of its own.
    band : str, optional
        Where to look for the same ground; by default the first of nir, red, green, swir16 and pan that all
        have, an assumption. Pixels that a `qa` layer calls cloud, shadow or fill are left out.
    stable : xarray.DataArray of bool, optional
        (y, x) on the reference's grid: where to look, such as off the glaciers. They move, and where they
        cover most of the scene so does the median.
    tile : int
        Side of the tiles [pixels], a third of the scene's shorter side where that is less. 128 and the third
        are assumptions.
    max_tiles : int
        About how many tiles are looked at, spread evenly over a scene that has more. 100 is an assumption.
    min_agreement : float
        Tiles whose gradients correlate less are left out. 0.2 is an assumption.
    max_shift : float
        The largest shift that is trusted [pixels]. Beyond one pixel the scene is taken for another product or
        an error, which is an assumption.
    min_shift : float
        A scene that is closer than this [pixels], or than two standard errors of its shift, is not moved:
        resampling would cost more than it brings. 0.1 is an assumption.
    resampling : {"cubic", "bilinear", "average", "nearest"}
        Of what is measured. Flags, masks and classes take the nearest pixel and are never mixed.

    Returns
    -------
    moved : list of xarray.Dataset, or xarray.Dataset
        As `scenes`, on the reference's grid, lazy where they are. A scene of a list that was moved says
        in its attribute `misregistration_px` how far off it was before, [dx, dy] as in the report: it was
        moved by the opposite. One that was not moved is the same as before. Layers from elsewhere, such as
        `elevation`, are not shifted, for they do not share a scene's error. NaN stay NaN.
    report : pandas.DataFrame
        One row a scene: `datetime`; `dx_px`, `dy_px`, how many pixels right of and below its place in the
        reference the content lay before; `east_m`, `north_m`, the same on the ground, NaN in degrees;
        `tiles`, how many agree, of `offered`; `nmad_px`, the spread of their shifts about the median, on the
        axis where it is larger; `rmse_px`, of their distances from it; `error_px`, the standard error of the
        median; `verdict`, "reference", "moved" or "left". `attrs["band"]` is where it looked.

    Raises
    ------
    GridError
        A scene lies farther off than `max_shift`, does not overlap, has no CRS; or too few of its tiles show
        the same ground, or they contradict each other.
    MissingBandError
        The scenes share no band to look at, or lack `band`.
    GlacierlabError, UnknownNameError
        An argument is not what it should be.

    Notes
    -----
    Scenes are read once to find the shifts, a lazy one tile by tile with a bar; moving is lazy. Gradients
    of a tile, tapered by a Hann window, are correlated with sub-pixel steps (Guizar-Sicairos et al. 2008,
    doi:10.1364/OL.33.000156, by scikit-image) where both dates show the ground; then the tile is moved by
    what was found and correlated again, until nothing is left: a first look is drawn to whole pixels, and to
    the edges of gaps that both dates have. Amplitudes are not leveled: with phases alone, made pairs ten
    years and a third of a pixel apart came out by 0.05 wrong, with gradients by 0.01. At least a quarter of a
    tile must be seen, tiles beyond three NMAD are left out, and three must remain: assumptions. Where the sun
    stood elsewhere, shadows moved, and so does the result: by up to 0.1 pixel of 30 m between June and
    September on made worlds.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=1, years=[2010, 2020], shape=(128, 128))
    >>> moved, report = coregister([world.scene(2010), world.scene(2020)])
    >>> report.verdict.tolist()
    ['reference', 'left']
    """
    dates = scenes_of(scenes, "coregister")
    given = reference if isinstance(reference, xr.Dataset) else chosen(dates, reference)
    band = band_of([*dates, given], band)
    method = lookup(RESAMPLING, resampling, kind="resampling")
    require_settings(tile, max_tiles, min_agreement, max_shift, min_shift)
    grid = geobox_of(given, "coregister")
    target = picture(given, band)
    if stable is not None:
        require_same_grid(given, stable, ("the reference", "stable"))
        target = target.where(stable.transpose("y", "x").data)
    tiles = tiles_of(grid.shape, tile, max_tiles)
    rows, shifts = [], []
    for number, scene in enumerate(dates):
        name = f"scene {number}{iso(time_of(scene))}"
        if scene is given:
            rows.append(row_of(scene, None, grid, "reference"))
            shifts.append(None)
            continue
        tables = matched(target, grid, scene, band, tiles, name)
        shift = require_shift(agreed(tables, min_agreement), grid, name, band, len(tiles), max_shift)
        move = shift.length > min_shift and max(abs(shift.dx), abs(shift.dy)) > NOISE * shift.error
        rows.append(row_of(scene, shift, grid, "moved" if move else "left"))
        shifts.append(shift if move else None)
    report = pd.DataFrame(rows).rename_axis("scene")
    report.attrs["band"] = band
    apply = partial(placed, given=given, grid=grid, method=method)
    if not isinstance(scenes, xr.Dataset):
        return [apply(scene, shift) for scene, shift in zip(dates, shifts, strict=True)], report
    return joined(scenes, dates, shifts, apply), report


def chosen(dates, reference):
    """The scene of a number; GlacierlabError where there is none."""
    if isinstance(reference, bool) or not isinstance(reference, int | np.integer):
        raise GlacierlabError(f"reference={reference!r}: give the number of a scene, or a Dataset.")
    if not -len(dates) <= reference < len(dates):
        raise GlacierlabError(f"reference={reference}: there are {len(dates)} scenes, 0 to {len(dates) - 1}.")
    return dates[reference]


def band_of(scenes, band):
    """The band to look at; MissingBandError where not all have it."""
    shared = set.intersection(*(set(scene.data_vars) for scene in scenes))
    if band is None:
        band = next((name for name in BANDS if name in shared), None)
    if band not in shared:
        raise MissingBandError(
            f"coregister looks at {band or 'one of ' + ', '.join(BANDS)}, and the scenes share "
            f"{sorted(shared)}: give band=."
        )
    return band


def require_settings(tile, max_tiles, min_agreement, max_shift, min_shift):
    """GlacierlabError for numbers that make no sense."""
    for name, value, least in (("tile", tile, 16), ("max_tiles", max_tiles, FEWEST)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise GlacierlabError(f"{name}={value!r}: give a whole number, {least} or more.")
    if not 0 <= min_agreement < 1:
        raise GlacierlabError(f"min_agreement={min_agreement!r}: a correlation, 0 or more and below 1.")
    if not 0 <= min_shift < max_shift:
        raise GlacierlabError(
            f"min_shift={min_shift!r} and max_shift={max_shift!r}: pixels, the first below the second."
        )


# ---- finding


def picture(scene, band):
    """A band (y, x), NaN where a `qa` layer says that it does not show the ground."""
    image = scene[band].transpose("y", "x")
    if "qa" not in scene:
        return image
    return image.where(valid_mask(scene).transpose("y", "x").data)


def matched(target, grid, scene, band, tiles, name):
    """Shifts and agreement of each tile, (tile, 3), of a scene against a target (y, x) on a grid."""
    image = picture(scene, band)
    own = geobox_of(image, name)
    if aligned(own, grid):
        moving = image.data
    else:
        coverage(grid, own, name)  # refuses what does not overlap
        moving = on_grid(image, grid, default_or_cubic(image, own, grid), BLOCK)
    fixed = target.data
    if not dask.is_dask_collection(fixed) and not dask.is_dask_collection(moving):
        return np.stack([tile_shift(fixed[each], moving[each]) for each in tiles])
    match = dask.delayed(tile_shift, pure=False)
    with TqdmCallback(desc=f"Reading tiles of {name}", unit="task", leave=False):
        return np.stack(dask.compute(*(match(fixed[each], moving[each]) for each in tiles)))


def default_or_cubic(image, own, grid):
    """The mean where pixels grow, else cubic."""
    found = default_resampling(image, own, grid)
    return found if found == Resampling.average else Resampling.cubic


def require_shift(shift, grid, name, band, tiles, max_shift):
    """The shift, if it can be believed; GridError says why not."""
    if shift is None or shift.tiles < FEWEST:
        raise GridError(
            f"{name} cannot be matched: {shift.tiles if shift else 0} of {tiles} tiles show in {band!r} the "
            f"ground that the reference shows, and {FEWEST} are needed. Is it clouded, snowed in, without "
            "texture? Take another band= or reference=, a smaller tile=, or leave it out."
        )
    if shift.nmad > max(1.0, max_shift):
        raise GridError(
            f"{name} cannot be matched: its tiles contradict each other by {shift.nmad:.1f} pixels (NMAD) in "
            f"{band!r}. Is it of the same place? Take another band= or reference=, or leave it out."
        )
    if shift.length > max_shift:
        east, north = on_ground(shift, grid)
        meters = "" if np.isnan(east) else f" ({east:+.0f} m east, {north:+.0f} m north)"
        raise GridError(
            f"{name} lies {shift.length:.2f} pixels off the reference{meters}, more than "
            f"max_shift={max_shift:g}: check its CRS and product level, or allow it with "
            f"max_shift={np.ceil(shift.length):g}."
        )
    return shift


def on_ground(shift, grid):
    """(east, north) of a shift [m]; NaN in degrees."""
    if grid.crs.proj.is_geographic:
        return np.nan, np.nan
    meters = grid.crs.proj.axis_info[0].unit_conversion_factor
    return shift.dx * grid.affine.a * meters, shift.dy * grid.affine.e * meters


def row_of(scene, shift, grid, verdict):
    """A row of the report."""
    told = {"datetime": time_of(scene)}
    if shift is None:
        zeros = dict.fromkeys(["dx_px", "dy_px", "east_m", "north_m"], 0.0) | {"tiles": 0, "offered": 0}
        return told | zeros | dict.fromkeys(["nmad_px", "rmse_px", "error_px"], np.nan) | {"verdict": verdict}
    east, north = on_ground(shift, grid)
    return told | {
        "dx_px": shift.dx, "dy_px": shift.dy, "east_m": east, "north_m": north, "tiles": shift.tiles,
        "offered": shift.offered, "nmad_px": shift.nmad, "rmse_px": shift.rmse, "error_px": shift.error,
        "verdict": verdict,
    }  # fmt: skip


# ---- moving


def placed(scene, shift, given, grid, method):
    """A scene on the reference's grid, moved back by its shift; as it is where neither is needed."""
    if scene is given:
        return scene
    own = geobox_of(scene, "coregister")
    if shift is None and aligned(own, grid):
        same = all(np.array_equal(scene[dim], given[dim]) for dim in ("y", "x"))
        return scene if same else scene.assign_coords({dim: given[dim].variable for dim in ("y", "x")})
    dy, dx = (shift.dy, shift.dx) if shift else (0.0, 0.0)
    # The reference's pixel shows what lies (dx, dy) further in the scene.
    there = GeoBox(grid.shape, grid.affine * Affine.translation(dx, dy), grid.crs)
    chunks = chunks_of(scene) if own.shape == grid.shape else None
    held = [name for name in scene.coords if not scene.coords[name].dims and name != scene.rio.grid_mapping]
    coords = {name: scene.coords[name].variable for name in held}
    coords |= {name: given.coords[name].variable for name in ("y", "x", given.rio.grid_mapping)}
    out = {}
    for name, variable in scene.data_vars.items():
        if not {"y", "x"} <= set(variable.dims):
            out[name] = variable
            continue
        kind = variable_kind(scene, name)
        onto = grid if kind == "layer" else there
        how = {"flags": Resampling.nearest, "layer": None}.get(kind, method)
        how = default_resampling(variable, own, grid) if how is None else how
        values = on_grid(variable, onto, how, chunks, WRAPS.get(name))
        encoding = {"grid_mapping": given.rio.grid_mapping}
        out[name] = (("y", "x"), as_before(values, variable), variable.attrs, encoding)
    moved = xr.Dataset(out, coords, scene.attrs)
    return moved.assign_attrs(misregistration_px=[dx, dy]) if shift else moved


def as_before(values, variable):
    """Resampled flags in their own type again, with what stands for nothing where there is nothing."""
    if variable.dtype.kind == "b":
        return values == 1
    fill = fill_of(variable)
    if variable.dtype.kind == "f" or fill is None:
        return values
    return np.where(np.isnan(values), fill, values).astype(variable.dtype)


def fill_of(variable):
    """What stands for nothing in a layer of whole numbers; None where nothing says."""
    if variable.rio.nodata is not None:
        return variable.rio.nodata
    if variable.attrs.get("native") in MASKS:
        return MASKS[variable.attrs["native"]].fill_value
    return NOT_OBSERVED if variable.name in ("truth", "class_map") else None


def joined(cube, dates, shifts, apply):
    """The cube whose dates are moved; what has no time is brought to the grid and not shifted."""
    if not any(shifts) and aligned(geobox_of(cube, "coregister"), apply.keywords["grid"]):
        return cube
    of_dates = [name for name in cube.data_vars if "time" in cube[name].dims]
    moved = [apply(date[of_dates], shift) for date, shift in zip(dates, shifts, strict=True)]
    out = xr.concat(moved, "time", coords="minimal", compat="override", combine_attrs="override")
    if fixed := [name for name in cube.data_vars if name not in of_dates]:
        out = out.assign(apply(cube[fixed], None).data_vars)
    return out.assign_attrs(cube.attrs)
