"""Fitting how far a method's areas are off, where the truth is known."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import shapely
from rasterio import Affine
from rasterio.features import rasterize
from scipy import fft
from scipy.optimize import curve_fit, minimize_scalar, nnls

from ..errors import GlacierlabError, InventoryError, require_outlines, require_valid, warn
from ..io.layers import geodesic_area_km2
from .area import require_numbers
from .calibrated import AreaError, Z, bins_of, logit, size_of
from .matching import id_column
from .zones import Zone, clipped, edges, zones_of

FEW = 30  # glaciers below which a calibration is called weak: an assumption
FINE = 4  # parts of a pixel's side by which the truth's share of it is told
LAGS = 20  # [px] over which a variogram is fitted: an assumption
ROUNDS = 20  # of reweighting


@dataclass(frozen=True)
class Case:
    """A glacier at one date, mapped and true."""

    name: object
    zone: Zone
    share: np.ndarray  # (y, x) float32, of each pixel that is ice in truth
    excess_px: float  # area within the outline, less the true one


def fit_area_error(outlines, truths, probability=None, *, by=None, pixel_m=None, reach_px=4, least_px=0.15):
    """Learn from maps with known truth how far a method's areas are off.

    Parameters
    ----------
    outlines : sequence of geopandas.GeoDataFrame
        Mapped glaciers of each scene, one row a glacier, split by the truth's divides.
    truths : sequence of geopandas.GeoDataFrame
        The true outlines of each scene. A glacier that both tables of a scene name is compared; one that is
        there at several dates has the same name in all, and two glaciers never share one.
    probability : sequence of xarray.Dataset or xarray.DataArray, optional
        The predictions that the outlines were drawn from, as of `area_distribution`. Without, pixels get the
        share of ice that was found at their distance from the border, which serves maps by threshold.
    by : str, optional
        The column that names glaciers; default as of `area_change`.
    pixel_m : float, optional
        As of `area_distribution`.
    reach_px : int
        How far outside an outline pixels may be its ice [px]; 4 is an assumption.
    least_px : float
        The least standard deviation [px] by which a whole border is off anew at each date; what was found to
        stay from date to date is lessened by as much. Scenes on one grid do not show what another grid, sun
        or sensor moves: resampled by half a pixel and mapped again by a ratio, borders in made worlds move
        by 0.16 px (root mean square, docs/areas.md). 0.15 is an assumption.

    Returns
    -------
    AreaError
        Where no glacier was seen twice, nothing tells what stays from date to date, and all is called
        independent: an upper bound for changes.

    Raises
    ------
    InventoryError
        Tables are no outlines, name no glaciers, or have none in common.
    GlacierlabError
        The sequences differ in length, `reach_px` is no whole number of 1 or more, or `least_px`
        negative.

    Warns
    -----
    DataWarning
        Fewer than 30 glaciers were compared.

    Examples
    --------
    >>> import warnings
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> truths = [world.outlines(year) for year in world.years]
    >>> mapped = [truth.assign(geometry=truth.buffer(15)) for truth in truths]  # half a pixel too far out
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", gl.errors.DataWarning)  # fewer than 30 glaciers: a try
    ...     error = fit_area_error(mapped, truths, pixel_m=30)
    >>> round(error.bias_px, 1), error.glaciers
    (0.6, 15)
    """
    probability = [None] * len(outlines) if probability is None else probability
    if not len(outlines) == len(truths) == len(probability) or not len(outlines):
        raise GlacierlabError(
            f"{len(outlines)} tables of outlines, {len(truths)} truths, {len(probability)} predictions: "
            "give one of each for every scene."
        )
    if not isinstance(reach_px, int) or reach_px < 1:
        raise GlacierlabError(f"reach_px={reach_px!r}: give a whole number, 1 or more.")
    require_numbers(least_px=least_px)
    cases = []
    for scene in zip(outlines, truths, probability, strict=True):
        cases += compared(*scene, by, pixel_m, reach_px)
    if not cases:
        raise InventoryError("No glacier is in a table of outlines and its truth: name the column with by=.")
    count = len({case.name for case in cases})
    if count < FEW:
        warn(f"{count} glaciers say little about how far areas are off; {FEW} or more would say more.")
    return fitted(cases, reach_px, least_px, probability[0] is not None)


# ---- what was mapped beside what is true ----


def compared(outlines, truth, probability, by, pixel_m, reach_px):
    """The `Case` of each glacier of a scene that both tables name."""
    for table in (outlines, truth):
        require_outlines(table, "fit_area_error")
        require_valid(table, "fit_area_error")
    column = id_column([outlines, truth], by)
    mapped = geodesic_area_km2(outlines.geometry)
    actual = dict(zip(truth[column], geodesic_area_km2(truth.geometry), strict=True))
    zones = zones_of(outlines, reach_px, size_of(outlines, mapped, pixel_m, probability), probability)
    moved = {}
    for name, area, zone in zip(outlines[column], mapped, zones, strict=True):
        if name not in actual:
            continue
        if zone.crs not in moved:
            moved[zone.crs] = shapely.STRtree(truth.geometry.to_crs(zone.crs).values)
        excess = (area - actual[name]) * 1e6 / zone.pixel_m**2
        yield Case(name, zone, share_of(moved[zone.crs], zone), excess)


def share_of(tree, zone):
    """The share of each pixel of a zone (y, x) that lies in one of a tree's shapes."""
    rows, columns = zone.within.shape
    near = tree.geometries[tree.query(shapely.box(*edges(zone.grid, zone.within.shape)))]
    near = [part for part in clipped(near, zone.grid, zone.within.shape) if not part.is_empty]
    if not near:
        return np.zeros((rows, columns), "float32")
    fine = rasterize(near, (rows * FINE, columns * FINE), transform=zone.grid * Affine.scale(1 / FINE))
    return fine.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3), dtype="float32")


# ---- from cases to an AreaError ----


def fitted(cases, reach_px, least_px, with_probabilities):
    """The `AreaError` of cases: chances first, then their variogram, then what areas are off by."""
    names = [case.name for case in cases]
    found = AreaError(
        reach_px,
        temperature=temperature_of(cases) if with_probabilities else np.nan,
        by_distance=() if with_probabilities else shares_by_distance(cases, reach_px),
        length_px=1.0, sill=0.0, bias_px=0.0, local_independent=1.0, local_correlated=0.0,
        border_sd_independent_px=0.0, border_sd_correlated_px=0.0,
        glaciers=len(set(names)), glacier_dates=len(cases),
    )  # fmt: skip
    length, sill = variogram(cases, found)
    found = replace(found, length_px=length, sill=sill)
    local = np.array([found.sums(case.zone)[1] for case in cases])
    border = np.array([case.zone.length_px for case in cases])
    off = np.array([case.excess_px for case in cases])
    total, bias = squares(off, local, border)
    off = off - bias * border
    beyond = np.abs(off) / deviation(local, border, total)
    stretch = np.quantile(beyond, min(1.0, 0.95 * (1 + 1 / len(off)))) / Z  # 95 % are to lie within
    stays = np.minimum(repeated(off, local, border, total, names), total)
    anew, stays = stretch**2 * (total - stays), stretch**2 * stays
    more = max(least_px**2 - anew[1], 0.0)
    return replace(
        found,
        bias_px=bias,
        local_independent=float(anew[0]), border_sd_independent_px=float(np.sqrt(anew[1] + more)),
        local_correlated=float(stays[0]), border_sd_correlated_px=float(np.sqrt(max(stays[1] - more, 0.0))),
    )  # fmt: skip


def deviation(local, border, factors):
    """Standard deviations [px] by the factors (a, b²) of the pixels' variance and of the squared border."""
    return np.sqrt(np.maximum(factors[0] * local + factors[1] * border**2, 1e-6))


def shares_by_distance(cases, reach_px):
    """The share of ice by pixel of distance from the mapped border, from inside to outside."""
    sums = np.zeros((2, 2 * reach_px))
    for case in cases:
        near = case.zone.near
        place = bins_of(case.zone.distance_px[near], reach_px)
        sums += [np.bincount(place, weight, 2 * reach_px) for weight in (case.share[near], None)]
    plain = np.repeat([1.0, 0.0], reach_px)  # where no pixel is that far inside
    return tuple(np.divide(*sums, where=sums[1] > 0, out=plain).tolist())


def temperature_of(cases):
    """The temperature that makes the truth likeliest, its shares being chances."""
    near = [case.zone.near & np.isfinite(case.zone.probability) for case in cases]
    given = np.concatenate([case.zone.probability[there] for case, there in zip(cases, near, strict=True)])
    share = np.concatenate([case.share[there] for case, there in zip(cases, near, strict=True)])
    odds = logit(given)

    def loss(log_temperature):
        scaled_odds = odds / np.exp(log_temperature)
        return (np.logaddexp(0.0, scaled_odds) - share * scaled_odds).mean(dtype="float64")

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def variogram(cases, error):
    """(length [px], sill) of the exponential variogram of pixels' errors, in units of their deviation."""
    products = np.zeros((2, LAGS + 1))
    for case in cases:
        chance, sd = error.chance(case.zone)
        near = case.zone.near
        products += [by_lag(np.where(near, field, 0.0)) for field in (case.share - chance, sd)]
    found = products[0] / np.maximum(products[1], np.finfo(float).tiny)
    if not found[0] > 0:
        return 1.0, 0.0
    lags = np.arange(1, LAGS + 1)
    weight = np.sqrt(np.maximum(products[1, 1:], 1.0))
    (length, sill), _ = curve_fit(
        lambda lag, length, sill: sill * np.exp(-lag / length), lags, found[1:] / found[0], p0=(2.0, 0.5),
        sigma=1 / weight, bounds=((0.3, 0.0), (LAGS, 1.0)),
    )  # fmt: skip
    return float(length), float(sill)


def by_lag(field):
    """Σ f_i f_j over pairs of pixels of a field (y, x), by their distance, rounded, to `LAGS` pixels."""
    size = [fft.next_fast_len(n + LAGS, real=True) for n in field.shape]
    spectrum = fft.rfft2(field, size)
    together = fft.fftshift(fft.irfft2(np.abs(spectrum) ** 2, size))
    rows, columns = (n // 2 for n in size)
    steps = np.arange(-LAGS, LAGS + 1)
    part = np.zeros((2 * LAGS + 1, 2 * LAGS + 1))
    high, wide = min(rows, LAGS), min(columns, LAGS)
    shown = together[rows - high : rows + high, columns - wide : columns + wide]
    part[LAGS - high : LAGS + high, LAGS - wide : LAGS + wide] = shown
    lag = np.rint(np.hypot(*np.meshgrid(steps, steps))).astype(int)
    return np.bincount(lag[lag <= LAGS], part[lag <= LAGS], LAGS + 1)


def squares(off, local, border):
    """(a, b²) and the bias: areas are off by bias times border, with a variance of a local + b² border².

    Weighted least squares. A case counts for no more than three deviations, so that one glacier that was
    taken for another does not settle all (assumption).
    """
    terms, factors, bias = np.stack([local, border**2], axis=1), np.array([1.0, 0.01]), 0.0
    for _ in range(ROUNDS):
        sd = deviation(local, border, factors)
        rest = np.clip(off - bias * border, -3 * sd, 3 * sd)
        bias += float((rest * border / sd**2).sum() / (border**2 / sd**2).sum())
        factors = nnls(terms / sd[:, None] ** 2, rest**2 / sd**2)[0]
    return factors, bias


def repeated(off, local, border, total, names):
    """(a, b²) of the part that stays: what the errors of one glacier at two dates have in common."""
    sd = deviation(local, border, total)
    held = np.clip(off, -3 * sd, 3 * sd)
    places = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    pairs = [pair for group in places.values() for pair in combinations(group, 2)]
    if not pairs:
        return np.zeros(2)
    first, second = np.array(pairs).T
    weight = 1 / (sd[first] * sd[second])
    terms = np.stack([np.sqrt(local[first] * local[second]), border[first] * border[second]], axis=1)
    return nnls(terms * weight[:, None], held[first] * held[second] * weight)[0]
