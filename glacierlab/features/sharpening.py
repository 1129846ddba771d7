"""Pansharpening: the detail of a panchromatic band in the colors of a coarser scene."""

import dask
import dask.array as da
import numpy as np
import xarray as xr
from rasterio.enums import Resampling

from ..errors import GlacierlabError, GridError, MissingBandError, require_bands
from ..io.align import BLOCK, chunks_of, coverage, geobox_of, on_grid
from ..io.bands import crs_name, pixel_size, same_projection
from ..io.radiometry import kind_of
from ..tables import SENSORS, lookup

VISIBLE_TO_NIR = ("blue", "green", "red", "nir")  # where no table has the sensor's panchromatic band


def pansharpen(scene, pan="pan", method="brovey", *, weights=None):
    """Sharpen a scene's reflective bands with a panchromatic one; lazy if either is.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x), one variable a band, projected. Every reflective band is sharpened: choose some with
        `scene[["blue", "green", "red"]]`. Thermal bands, layers and flags are left out: `add_layer` brings
        them over.
    pan : xarray.DataArray or str
        (y, x) in the scene's CRS, with smaller pixels, in any unit:
        `open_scene(path, bands=["pan"])["pan"]`. Or the name of a variable of the scene, opened at pan's
        pixel size (`open_scene(path, resolution=15)`): statistics of bands interpolated already add too
        little detail, so prefer the first. A scene at the bands' own size holds a pan without its detail.
    method : {"brovey", "gram_schmidt"}
        "brovey" multiplies every band by pan / intensity: ratios of bands stay as they were, at the cost of
        bands that pan does not see. "gram_schmidt" adds pan - intensity, times the covariance of band and
        intensity over the variance of intensity: a band unlike pan gets little.
    weights : dict of float, optional
        Of the bands in the intensity. By default fitted to pan by least squares, over the bands whose center
        lies within pan's range by `tables.SENSORS`, or blue, green, red and nir where no table has it: an
        assumption, as is scaling pan linearly to the mean and standard deviation of the intensity.

    Returns
    -------
    xarray.Dataset
        The bands on pan's grid, float32, attributes kept; NaN where pan or a band of the intensity is.
        Where brovey's intensity or scaled pan is not positive, bands are interpolated and no more.

    Raises
    ------
    GridError
        Pan is in another CRS, does not overlap the scene, or has larger pixels.
    MissingBandError
        No pan, nothing to sharpen, or no band within pan's range.
    UnknownNameError, GlacierlabError
        No such method; or, when computed, pan is constant or nothing is observed.

    Notes
    -----
    Bands are interpolated bilinearly. All statistics are global and taken at the scene's pixels, with pan
    averaged to them; they stay delayed where the input is lazy, and chunks change them by rounding alone.
    Brovey: Gillespie et al. 1987, doi:10.1016/0034-4257(87)90088-5. Gram-Schmidt: Laben and Brower 2000,
    US patent 6,011,875, in the covariance form of Aiazzi et al. 2007, doi:10.1109/TGRS.2007.901007, whence
    the fitted weights. Orthorectification is out of scope: pan and scene must lie on each other.

    Examples
    --------
    >>> import glacierlab as gl
    >>> fine = gl.synthetic_scene(shape=(64, 64))[["green", "red"]]
    >>> coarse = fine.coarsen(y=4, x=4).mean().rio.write_crs(fine.rio.crs)
    >>> dict(pansharpen(coarse, fine.to_array().mean("variable"), "gram_schmidt").sizes)
    {'y': 64, 'x': 64}
    """
    sharpen = lookup(METHODS, method, kind="pansharpening method")
    if weights is not None and not isinstance(weights, dict):
        raise GlacierlabError(f"weights={weights!r}: give a dict from band to number.")
    pan = require_bands(scene, [pan], needed_by="pansharpen")[pan] if isinstance(pan, str) else pan
    kinds = {name: v.attrs.get("kind", kind_of(name)) for name, v in scene.data_vars.items()}
    bands = {name: scene[name] for name, kind in kinds.items() if kind == "reflective" and name != "pan"}
    if not bands:
        raise MissingBandError(f"The scene has no band to sharpen, only {list(scene.data_vars)}.")
    if weights is None:
        seen = seen_by_pan(scene, bands)
    else:
        seen = list(require_bands(scene[list(bands)], weights, needed_by="weights"))
    fine, coarse = require_finer(pan, scene)

    low = on_grid(pan, coarse, Resampling.average, chunks_of(scene))
    stacked = [band.transpose("y", "x").data for band in bands.values()] + [low]
    lazy = any(dask.is_dask_collection(values) for values in (*stacked, pan.data))
    names = list(bands)
    numbers = adjustment(stacked, [names.index(name) for name in seen], weights, lazy)
    shares, (scale, shift), gains = numbers[: len(seen)], numbers[len(seen) :][:2], numbers[len(seen) + 2 :]

    chunks = (pan.transpose("y", "x").chunks or BLOCK) if lazy else None
    raised = {name: on_grid(band, fine, Resampling.bilinear, chunks) for name, band in bands.items()}
    intensity = sum(share * raised[name] for name, share in zip(seen, shares, strict=True))
    matched = on_grid(pan, fine, Resampling.nearest, chunks) * scale + shift
    coords = {name: c for name, c in pan.coords.items() if name in ("y", "x", pan.rio.grid_mapping)}
    sharp = {
        name: xr.Variable(("y", "x"), sharpen(raised[name], matched, intensity, gain), bands[name].attrs)
        for name, gain in zip(names, gains, strict=True)
    }
    return xr.Dataset(sharp, coords, scene.attrs | {"pansharpening": method})


def brovey(band, pan, intensity, _gain):
    """A band times pan / intensity where both are positive; NaN where one is."""
    one = np.float32(1)
    ratio = pan / np.where(intensity == 0, one, intensity)
    return band * np.where((pan <= 0) | (intensity <= 0), one, ratio)


def gram_schmidt(band, pan, intensity, gain):
    """A band plus its gain times pan - intensity."""
    return band + gain * (pan - intensity)


METHODS = {"brovey": brovey, "gram_schmidt": gram_schmidt}


def seen_by_pan(scene, bands):
    """Names of the bands whose center lies within the range of the sensor's panchromatic band."""
    sensor = SENSORS.get(scene.attrs.get("sensor"))
    table = sensor.by_name if sensor else {}
    if "pan" not in table:
        seen = [name for name in bands if name in VISIBLE_TO_NIR]
    else:
        pan = table["pan"]
        away = {name: abs(table[name].center_um - pan.center_um) for name in bands if name in table}
        seen = [name for name, distance in away.items() if distance <= pan.width_um / 2]
    if not seen:
        raise MissingBandError(f"Pan sees none of {list(bands)}: keep more bands, or give weights=.")
    return seen


def require_finer(pan, scene):
    """The GeoBoxes of pan and scene; GridError unless pan has smaller pixels on some of the same ground."""
    if set(scene.dims) - {"y", "x"}:
        raise GridError(f"pansharpen takes one date, dims (y, x), not {tuple(scene.dims)}: choose with isel.")
    fine, coarse = geobox_of(pan, "Pansharpening"), geobox_of(scene, "Pansharpening")
    if not same_projection(fine.crs, coarse.crs):
        raise GridError(
            f"Pan is in {crs_name(fine.crs)} and the scene in {crs_name(coarse.crs)}: "
            "reproject the scene first."
        )
    if pixel_size(fine) > 1.001 * pixel_size(coarse):
        raise GridError(
            f"Pan's pixels ({pixel_size(fine):g}) are larger than the scene's ({pixel_size(coarse):g}): "
            "nothing to sharpen with."
        )
    coverage(coarse, fine, "pan")
    return fine, coarse


def adjustment(stacked, seen, weights, lazy):
    """The numbers of `numbers_of` for arrays (y, x), the last of them pan; delayed if `lazy`."""
    given = None if weights is None else np.array(list(weights.values()), float)
    if not lazy:
        return numbers_of([sums_of(np.stack(stacked))], seen, given)
    blocks = da.stack(stacked).rechunk({0: -1}).to_delayed().ravel()
    numbers = dask.delayed(numbers_of)([dask.delayed(sums_of)(block) for block in blocks], seen, given)
    return da.from_delayed(numbers, (len(seen) + 2 + len(stacked) - 1,), meta=np.empty(0, np.float32))


def sums_of(block):
    """Sums (1 + n, 1 + n) of products of 1 and the layers (n, y, x), over pixels where all are observed."""
    total = np.zeros((1 + len(block), 1 + len(block)))
    for row in np.moveaxis(block, 1, 0):
        pixels = np.concatenate([np.ones((1, row.shape[1])), row])  # float64
        pixels = pixels[:, np.isfinite(pixels).all(axis=0)]
        total += pixels @ pixels.T
    return total


def numbers_of(sums, seen, weights):
    """Weights of the bands seen, scale and shift of pan, gain of every band: float32, from sums of blocks.

    Pan is the last layer; weights are fitted to it where they are None.
    """
    sums = np.sum(sums, axis=0)
    count, mean = sums[0, 0], sums[0, 1:] / max(sums[0, 0], 1)
    scatter = sums[1:, 1:] - count * np.outer(mean, mean)
    noise = 1e-12 * np.diag(sums)[1:]  # of rounding
    if count < 2 or not scatter[-1, -1] > noise[-1]:
        raise GlacierlabError(f"Pan is constant over the {count:.0f} pixels where all is observed.")
    if weights is None:
        weights = np.linalg.lstsq(scatter[np.ix_(seen, seen)], scatter[seen, -1])[0]
    with_intensity = scatter[:-1, seen] @ weights
    power = with_intensity[seen] @ weights
    if not power > noise[seen] @ weights**2:
        raise GlacierlabError("The intensity is constant: pan has nothing in common with it. Give weights=.")
    scale = np.sqrt(power / scatter[-1, -1])
    shift = mean[seen] @ weights - scale * mean[-1]
    return np.concatenate([weights, [scale, shift], with_intensity / power]).astype(np.float32)
