"""Areas with a 95 % interval: what a method's maps were off by where the truth was known.

A pixel errs as a draw with its probability would; errors of pixels near each other go together, as a
variogram says; and a border may lie too far out or in as a whole, in part the same way at every date.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from ..errors import GlacierlabError, InventoryError, require_outlines, require_valid
from ..io.layers import geodesic_area_km2
from .area import INTERVAL, pixel_of
from .zones import zones_of

Z = 1.96  # half of a 95 % interval in standard deviations of a normal law
SURE = 1e-4  # a probability is not believed to be nearer to 0 or 1: an assumption
FAR = 5  # correlation lengths beyond which pixels err each by itself
ROWS = 1024  # of pixels that are convolved at a time


@dataclass(frozen=True)
class AreaError:
    """How far a method's areas are off, as `fit_area_error` found; `dataclasses.asdict` makes JSON of it.

    Examples
    --------
    >>> error = AreaError(
    ...     reach_px=4, temperature=float("nan"), by_distance=[1.0, 0.5, 0.0], length_px=1.0, sill=0.0,
    ...     bias_px=0.1, local_independent=1.0, local_correlated=0.0, border_sd_independent_px=0.15,
    ...     border_sd_correlated_px=0.2, glaciers=40, glacier_dates=80,
    ... )
    >>> [round(float(px), 1) for px in error.deviations(local=100.0, length_px=400.0)]  # [px]
    [60.8, 80.0]
    >>> error.uses_probabilities
    False
    """

    reach_px: int  # how far from its outline a pixel may belong to a glacier
    temperature: float  # by which logits of probabilities are divided; NaN where there are none
    by_distance: Sequence[float]  # of maps without them: share of ice, by distance from the border in pixels
    length_px: float  # of the exponential variogram of pixels' errors
    sill: float  # its correlated part [1]; the rest is each pixel's own
    bias_px: float  # how far out borders lie on average
    local_independent: float  # variance of pixels' errors against p (1 - p), new at each date
    local_correlated: float  # the same, that stays from date to date
    border_sd_independent_px: float  # of how far out a whole border lies, new at each date
    border_sd_correlated_px: float  # the same, that stays from date to date
    glaciers: int  # that it was fitted on
    glacier_dates: int  # times the dates at which each was mapped

    def __post_init__(self):
        object.__setattr__(self, "by_distance", tuple(self.by_distance))

    @property
    def uses_probabilities(self):
        """Whether it was fitted with probabilities."""
        return bool(np.isfinite(self.temperature))

    def chance(self, zone):
        """Calibrated probability of ice of each pixel of a zone, and the standard deviation of its error."""
        if not self.uses_probabilities:
            chance = np.array(self.by_distance)[bins_of(zone.distance_px, self.reach_px)]
            return chance, np.sqrt(chance * (1 - chance))
        chance = scaled(zone.probability, self.temperature)
        unseen = np.isnan(chance)  # the outline is believed there, and nothing is known
        return np.where(unseen, zone.within, chance), np.where(unseen, 0.5, np.sqrt(chance * (1 - chance)))

    def sums(self, zone):
        """The sum of probabilities [px], and its variance if nothing were fitted [px²]."""
        chance, sd = self.chance(zone)
        return chance[zone.near].sum(), local_variance(
            np.where(zone.near, sd, 0.0), self.length_px, self.sill
        )

    def deviations(self, local, length_px):
        """Standard deviations of areas [px], independent and correlated, by `sums` and length of border."""
        parts = (
            (self.local_independent, self.border_sd_independent_px),
            (self.local_correlated, self.border_sd_correlated_px),
        )
        return [np.sqrt(pixels * local + (border * length_px) ** 2) for pixels, border in parts]


def area_distribution(outlines, calibration, probability=None, *, pixel_m=None):
    """The likeliest area of each glacier and its 95 % interval, from a calibration.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Mapped glaciers, one row each, in any CRS. Divides are taken as given: their error is none of the
        border's. Dates are told apart as by `area_uncertainty`.
    calibration : AreaError
        Of `fit_area_error`, on maps of the same method and sensor.
    probability : xarray.Dataset or xarray.DataArray, optional
        The prediction that the outlines were drawn from, or its `probability` (class, y, x), of which
        `glacier`, or clean and debris-covered ice, count; or that of glacier alone (y, x). Needed where the
        calibration was fitted with probabilities. It is read once, four bytes a pixel.
    pixel_m : float, optional
        Without probabilities: side of the pixels that were mapped [m]; default what a column `pixels` (of
        `vectorize`) tells.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines with `area_km2`, the likeliest area: what the outline encloses, less the calibration's
        bias along its border; `area_mapped_km2`, what it encloses (geodesic); `area_sd_independent_km2` and
        `area_sd_correlated_km2`, standard deviations of what is new at each date, and of what one method and
        sensor repeat; `area_unc_km2`, 1.96 times both together; `area_unc_kind`, "95 %". With probabilities
        also `area_expected_km2`, their calibrated sum over the pixels nearest to the outline, which does not
        know of corrections by hand.

    Raises
    ------
    InventoryError
        There are no polygons, or invalid ones, or no CRS; or nothing tells how large the pixels are.
    GridError
        The prediction has no CRS, is in degrees, or lies elsewhere.
    GlacierlabError
        Calibration and probabilities do not go together.

    Notes
    -----
    With p the calibrated probability, s² = p (1 - p), c the area of a pixel and L the length of the border
    (divides and steps of pixels left out), the variance of an area is c² (a Σ s_i s_j r(d_ij) + b² L²), r
    being the correlation of an exponential variogram. a and b have an independent and a correlated part each.
    This form is an assumption; that 95 % lie within is what the calibration's scenes said. A pixel that was
    not observed is taken as the outline has it, with s = 1/2. Memory goes by the largest glacier's box, about
    60 bytes a pixel.

    Examples
    --------
    >>> import warnings
    >>> import glacierlab as gl
    >>> truth = gl.synthetic_world(seed=6, years=[2020], shape=(64, 64)).outlines(2020)
    >>> mapped = truth.assign(geometry=truth.buffer(15))  # half a pixel too far out
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", gl.errors.DataWarning)  # fewer than 30 glaciers: a try
    ...     error = gl.change.fit_area_error([mapped], [truth], pixel_m=30)
    >>> table = area_distribution(mapped, error, pixel_m=30)
    >>> table[["area_mapped_km2", "area_km2", "area_unc_km2"]].max().round(2).tolist()
    [0.31, 0.25, 0.03]
    """
    require_outlines(outlines, "area_distribution")
    require_valid(outlines, "area_distribution")
    if not isinstance(calibration, AreaError):
        raise GlacierlabError(
            f"calibration is an AreaError of change.fit_area_error, not {type(calibration).__name__}."
        )
    if calibration.uses_probabilities != (probability is not None):
        found = "with" if calibration.uses_probabilities else "without"
        raise GlacierlabError(f"The calibration was fitted {found} probabilities: give the same here.")
    mapped = geodesic_area_km2(outlines.geometry)
    zones = zones_of(
        outlines, calibration.reach_px, size_of(outlines, mapped, pixel_m, probability), probability
    )
    sums = [(*calibration.sums(zone), zone.length_px, zone.pixel_m**2 / 1e6) for zone in zones]
    chances, local, length, cell = np.array(sums).reshape(-1, 4).T
    independent, correlated = (sd * cell for sd in calibration.deviations(local, length))
    found = outlines.assign(
        area_km2=np.maximum(mapped - calibration.bias_px * length * cell, 0.0),
        area_mapped_km2=mapped,
        area_sd_independent_km2=independent,
        area_sd_correlated_km2=correlated,
        area_unc_km2=Z * np.hypot(independent, correlated),
        area_unc_kind=INTERVAL,
    )
    if calibration.uses_probabilities:
        found["area_expected_km2"] = chances * cell
    found.attrs["area_unc"] = f"calibrated on {calibration.glaciers} glaciers"
    return found


def size_of(outlines, area_km2, pixel_m, probability):
    """Side of the pixels [m]; InventoryError where nothing tells."""
    if probability is not None or not len(outlines):
        return pixel_m or 1.0
    pixel_m = pixel_of(outlines, area_km2) if pixel_m is None else pixel_m
    if not pixel_m:
        raise InventoryError(
            "Nothing tells how large the pixels were: give pixel_m=30 for Landsat, 10 for Sentinel-2."
        )
    return pixel_m


def bins_of(distance_px, reach_px):
    """The pixel of distance, from 0 deep inside to 2 reach - 1 outside."""
    return np.clip(np.floor(distance_px).astype(int) + reach_px, 0, 2 * reach_px - 1)


def logit(probability):
    """Log-odds, bounded."""
    chance = np.clip(probability, SURE, 1 - SURE)
    return np.log(chance / (1 - chance))


def scaled(probability, temperature):
    """Probabilities with their logits divided by a temperature."""
    return 1 / (1 + np.exp(-logit(probability) / temperature))


def correlation(length_px, sill):
    """The correlation of two pixels' errors by their distance, as a kernel (odd, odd)."""
    reach = int(np.ceil(FAR * length_px))
    steps = np.arange(-reach, reach + 1)
    kernel = sill * np.exp(-np.hypot(*np.meshgrid(steps, steps)) / length_px)
    kernel[reach, reach] = 1.0
    return kernel.astype("float32")


def local_variance(sd, length_px, sill):
    """Σ_i Σ_j s_i s_j r(d_ij) of standard deviations (y, x), in strips of rows."""
    kernel = correlation(length_px, sill)
    reach, total = len(kernel) // 2, 0.0
    sd = sd.astype("float32")
    for top in range(0, len(sd), ROWS):
        rows = slice(top, top + ROWS)
        above = max(top - reach, 0)
        spread = oaconvolve(sd[above : top + ROWS + reach], kernel, mode="same")
        total += (sd[rows] * spread[top - above : top - above + len(sd[rows])]).sum(dtype="float64")
    return max(total, 0.0)
