"""Lesson 9: a made world mapped date by date, outlines that are moved, and verdicts of its exercises."""

import numpy as np
import pandas as pd

from ..change.area import area_uncertainty
from ..change.dated import TOTAL
from ..change.differences import area_change
from ..errors import require_outlines
from .answers import as_number

SMALLEST_KM2 = 0.01  # what is smaller is no glacier, as in RGI 7.0
NEAR_PX = 0.1  # by which an answer may be above the least shift, an assumption
ROUNDING = 1e-3  # share by which a mended number may be off, an assumption


# ---- what the lesson measures


def window_of(year):
    """The three years around a year, in the way Chen et al. 2022 name them: "1986-1988" for 1987."""
    return f"{year - 1}-{year + 1}"


def true_dates(world):
    """The true outlines of a made world, by window, with the day that `mapped_dates` sees as `src_date`."""
    return {
        window_of(year): world.outlines(year).assign(src_date=world.scene(year).attrs["datetime"][:10])
        for year in world.years
    }


def mapped_dates(world, inventory=None):
    """Map the glaciers of a made world at each of its dates, as an analyst might.

    Clean ice by the ratio of red and SWIR at the end of a summer; debris-covered ice, which no ratio finds,
    from the truth, as if somebody had drawn it; divides and names from an inventory.

    Parameters
    ----------
    world : World
        Of `gl.synthetic_world`.
    inventory : geopandas.GeoDataFrame, optional
        With `glac_id`; default the true outlines of the first year. Ice that touches none of its glaciers
        is left out, so that late snow makes no glaciers.

    Returns
    -------
    dict of str to geopandas.GeoDataFrame
        By window, such as "1986-1988" for the year 1987: `glac_id`, `src_date`, `geometry`; one row a
        glacier of 0.01 km² or more, in several parts where it has broken up.
    """
    from ..mapping import map_glaciers
    from ..outlines.divides import split_glaciers
    from ..outlines.polygons import vectorize

    inventory = world.outlines(world.years[0]) if inventory is None else inventory
    found = {}
    for weather, year in enumerate(world.years):
        scene, truth = (view(year, weather=weather) for view in (world.scene, world.truth))
        clean = map_glaciers(scene, size=0, min_area_km2=0)["class_map"] == 1
        ice = (clean | (truth["class_map"] == 2)).astype("uint8")
        parts = split_glaciers(vectorize(ice)[["geometry"]], divides=inventory)
        parts["glac_id"] = parts["glac_id"].str.partition("_")[0]  # pieces bear their place behind the name
        glaciers = parts[parts["glac_id"].isin(inventory["glac_id"])].dissolve("glac_id", as_index=False)
        large = glaciers[glaciers.area >= 1e6 * SMALLEST_KM2].reset_index(drop=True)
        found[window_of(year)] = large[["glac_id", "geometry"]].assign(src_date=scene.attrs["datetime"][:10])
    return found


def whole(outlines):
    """Ice that hangs together as one outline each, without divides: `glac_id` and geometry, largest first."""
    parts = outlines[["geometry"]].dissolve().explode(ignore_index=True)
    parts = parts.loc[parts.area.sort_values(ascending=False).index].reset_index(drop=True)
    return parts.assign(glac_id=[f"ice {number}" for number in parts.index + 1])


def moved(outlines, meters):
    """Outlines whose borders lie so far outward, or inward below 0; those of which nothing is left go.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        In a projected CRS. Divides move like other borders: take `whole` ice.
    meters : float

    Returns
    -------
    geopandas.GeoDataFrame
    """
    require_outlines(outlines, "moved")
    shifted = outlines.set_geometry(outlines.buffer(meters, join_style="mitre"))
    return shifted[~shifted.is_empty]


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def total_of(change):
    """The row of all glaciers: by the parts of calibrated errors, or else errors added."""
    rows = change[change["glacier"] == TOTAL].set_index("errors_summed")
    return rows.loc["parts" if "parts" in rows.index else "linear"]


def loss_by(pixels, outlines, pixel_m):
    """The change in all if borders moved inward by so many pixels, errors being bounds of half a pixel."""
    before, after = (
        area_uncertainty(each, pixel_m=pixel_m) for each in (outlines, moved(outlines, -pixels * pixel_m))
    )
    return total_of(area_change(before, after, years=None, by="glac_id", missing="vanished"))


def least_shift(answer, outlines, pixel_m):
    """The least retreat of all borders [px], a number, that exceeds errors of half a pixel at both dates."""
    number = as_number(answer)
    if number is None or not 0 < number <= 10:
        return "type", {}
    found = loss_by(number, outlines, pixel_m)
    facts = dict(number=number, loss=found["loss_km2"], error=found["loss_unc_km2"])
    if not found["significant"]:
        return ("single" if abs(number - 0.5) < 0.01 else "low"), facts
    if number > NEAR_PX and loss_by(number - NEAR_PX, outlines, pixel_m)["significant"]:
        return ("added" if abs(number - 1) < 0.01 else "high"), facts
    return "right", facts


def first_sure(answer, series):
    """The first window (text) of a series from which on the loss since its first one is significant."""
    labels = list(dict.fromkeys(series["window"]))
    if not isinstance(answer, str):
        return "type", {}
    if answer not in labels[1:]:
        return "unknown", dict(window=answer, choices=", ".join(labels[1:]))
    glaciers = series[series["glacier"] != TOTAL]
    pairs = [(labels[0], label) for label in labels[1:]]
    change = area_change(glaciers, between=pairs, missing="vanished")
    found = {label: total_of(rows) for label, rows in change.groupby("date_2", sort=False)}
    sure = [label for label in labels[1:] if found[label]["significant"]]
    row = found[answer]
    facts = dict(first=labels[0], window=answer, loss=row["loss_km2"], error=row["loss_unc_km2"])
    if answer not in sure:
        return "early", facts
    since = next((at for at in range(1, len(labels)) if set(labels[at:]) <= set(sure)), len(labels))
    if labels.index(answer) < since:
        return "lapses", facts
    if labels.index(answer) > since:
        return "late", facts
    before = found[labels[since - 1]] if since > 1 else row
    return "right", facts | dict(years=row["years"], loss_before=before["loss_km2"])


def false_ice(answer, mapped, truth):
    """What most of the pixels are that a map calls glacier and that are none: lake, snow, shadow or rock.

    `mapped` is a mask (y, x) of bool, `truth` of `World.truth`.
    """
    names = truth["class_map"].attrs["flag_meanings"].split()
    code = dict(zip(names, truth["class_map"].attrs["flag_values"], strict=True))
    extra = mapped & ~truth["class_map"].isin([code["clean_ice"], code["debris_covered_ice"]])
    seen = {
        "lake": truth["class_map"] == code["glacial_lake"],
        "snow": truth["snow"] > 0.5,
        "shadow": truth["shadow"],
        "rock": extra,  # what is none of these
    }
    if not isinstance(answer, str) or answer not in seen:
        return "type", dict(choices=", ".join(seen))
    if not extra.any():
        return "nothing", {}
    left, share = extra, {}
    for name, mask in seen.items():
        share[name] = float((left & mask).sum() / extra.sum())
        left = left & ~mask
    facts = dict(name=answer, percent=100 * share[answer])
    return ("right" if share[answer] == max(share.values()) else answer), facts


def mended_series(answer, series):
    """A series with its slip mended, a table: `qa` finds nothing, and nothing else was touched."""
    from ..outlines.checking import qa

    columns = ["glacier", "window", "area_km2", "area_unc_km2"]
    if not isinstance(answer, pd.DataFrame) or not {*columns} <= set(answer) or len(answer) != len(series):
        return "type", {}
    findings = qa(answer)
    if same(answer, series, columns):
        return "same", dict(count=len(findings))
    if not same(answer, series, columns[:3]):
        return "areas", {}
    if len(findings):
        first = findings.iloc[0]
        return "left", dict(count=len(findings), finding=first["finding"], id=first["id"])
    touched = ~np.isclose(answer["area_unc_km2"].to_numpy(), series["area_unc_km2"].to_numpy(), ROUNDING)
    return "right", dict(count=int(touched.sum()), names=", ".join(series["glacier"][touched].unique()))


def same(one, other, columns):
    """Whether two tables say the same in some columns."""
    equal = [
        np.allclose(one[name], other[name], ROUNDING)
        if pd.api.types.is_numeric_dtype(one[name]) and pd.api.types.is_numeric_dtype(other[name])
        else one[name].tolist() == other[name].tolist()
        for name in columns
    ]
    return all(equal)


JUDGES = (least_shift, first_sure, false_ice, mended_series)
