"""Attributes of an inventory that cannot be, or not of this outline."""

import numpy as np
import shapely

from ..tables import RGI7
from .findings import Flaw, numbers

UNITS = {1e6: "m²", 100.0: "ha", 1e-6: "1e6 km²"}  # by how many of them a km² is
SECTOR = 45.0  # degrees, the first around north
LOWEST_M, HIGHEST_M = -500.0, 9000.0  # no land lies beyond
SLACK = 0.05  # degrees, in which a rounded aspect may lie in the next sector


def attribute_flaws(table, looked, limits):
    """Flaws of the columns that are there."""
    columns, flaws = {}, []
    measured = [name for name, row in RGI7.items() if row.dtype in ("int", "float") and name in table.columns]
    for name in measured:
        columns[name], bad = numbers(table, name)
        flaws += bad
    values = {name: columns.get(name, np.full(len(table), np.nan)) for name in RGI7}
    with np.errstate(invalid="ignore", divide="ignore"):
        flaws += area_flaws(values["area_km2"], looked, limits)
        flaws += elevation_flaws(values)
        flaws += angle_flaws(values, limits)
        flaws += length_flaws(values, looked, limits)
    for name in measured:
        flaws += code_flaws(name, values[name])
    return flaws


def area_flaws(area, looked, limits):
    ratio = area / looked.area_km2
    wrong = abs(ratio - 1) > limits["area_tolerance"]
    planar = np.full(len(area), np.nan)
    if looked.crs is not None and looked.crs.is_geographic:
        planar = shapely.area(looked.shapes)
    in_degrees = wrong & (abs(area / planar - 1) < 1e-3)
    said = "attribute {:.4g}, outline {:.4g} km²{}"
    flaws = []
    for at in np.flatnonzero(wrong):
        unit = next((f": {name}?" for n, name in UNITS.items() if abs(ratio[at] / n - 1) < 0.1), "")
        name = "area_in_degrees" if in_degrees[at] else "area_differs"
        evidence = said.format(area[at], looked.area_km2[at], "" if in_degrees[at] else unit)
        flaws.append(Flaw(int(at), name, ratio[at], evidence))
    return flaws


def elevation_flaws(values):
    lowest, highest = values["zmin_m"], values["zmax_m"]
    flaws = [
        Flaw(int(at), "elevation_impossible", values[name][at], name)
        for name in ("zmin_m", "zmed_m", "zmean_m", "zmax_m")
        for at in np.flatnonzero((values[name] < LOWEST_M) | (values[name] > HIGHEST_M))
    ]
    flaws += [
        Flaw(int(at), "elevations_out_of_order", lowest[at] - highest[at], "zmin_m above zmax_m")
        for at in np.flatnonzero(lowest > highest)
    ]
    for name in ("zmed_m", "zmean_m"):
        beyond = np.fmax(lowest - values[name], values[name] - highest)
        where = (beyond > 0) & ~(lowest > highest)
        said = f"{name} outside zmin_m to zmax_m"
        flaws += [Flaw(int(at), "elevations_out_of_order", beyond[at], said) for at in np.flatnonzero(where)]
    return flaws


def angle_flaws(values, limits):
    slope, aspect, sector = values["slope_deg"], values["aspect_deg"], values["aspect_sec"]
    most = limits["max_slope_deg"]
    steep = (slope <= 0) | (slope > most)
    flaws = [
        Flaw(
            int(at),
            "slope_impossible",
            slope[at],
            f"slope_deg {slope[at]:.4g}, not above 0 and up to {most:g}",
        )
        for at in np.flatnonzero(steep)
    ]
    turned = (aspect < 0) | (aspect > 360)
    flaws += [
        Flaw(int(at), "aspect_impossible", aspect[at], f"aspect_deg {aspect[at]:.4g}, not 0 to 360")
        for at in np.flatnonzero(turned)
    ]
    middle = (sector - 1) * SECTOR
    apart = abs((aspect - middle + 180) % 360 - 180)
    other = (apart > SECTOR / 2 + SLACK) & ~turned & (sector >= 1) & (sector <= 8)
    return flaws + [
        Flaw(int(at), "aspect_sector", aspect[at], f"sector {sector[at]:.0f}") for at in np.flatnonzero(other)
    ]


def length_flaws(values, looked, limits):
    length, drop = values["lmax_m"], values["zmax_m"] - values["zmin_m"]
    least = drop / np.tan(np.radians(limits["max_slope_deg"]))
    most = looked.perimeter_m / 2
    flaws = [
        Flaw(int(at), "too_short", length[at], f"falls {drop[at]:.0f} m")
        for at in np.flatnonzero((length < least) | (length <= 0))
    ]
    return flaws + [
        Flaw(int(at), "too_long", length[at], f"{2 * most[at]:.0f} m around")
        for at in np.flatnonzero(length > most)
    ]


def code_flaws(name, values):
    codes = RGI7[name].codes
    bad = np.isfinite(values) & ~np.isin(values, list(codes)) if codes else np.zeros(len(values), bool)
    return [Flaw(int(at), "unknown_code", None, f"{name} {values[at]:g}") for at in np.flatnonzero(bad)]
