"""How often is the true area of a glacier within its error bar? Made worlds, by method and size.

    python examples/area_coverage.py --seeds 20 --fit 10 -o coverage.csv

Each world is seen at twelve dates, at the end of summer without clouds, and mapped three times: by a ratio,
to which debris-covered ice is added from the truth, as an analyst would draw it; the same, opened with a
square of five pixels; and by the default model. Divides are the truth's, for theirs is another error. Errors
are fitted on worlds of their own. docs/areas.md holds what this prints.
"""

import argparse
from functools import partial

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape
from tqdm import tqdm

import glacierlab as gl
from glacierlab.change.area import METHODS
from glacierlab.change.calibrating import fit_area_error
from glacierlab.io.layers import transform_of
from glacierlab.mapping import map_by_model

YEARS = tuple(range(1988, 2024, 3))
FIRST = 400  # seed of the first world that errors are fitted on; the default model saw none below 9000
SIZES = (0.01, 0.05, 0.2, 1.0, np.inf)  # [km²]; the first is the least of RGI 7.0


def by_ratio(scene, truth, size=0):
    """A glacier mask by red/SWIR, with true debris; `size` of the opening that cleans it."""
    mask = gl.map_glaciers(scene, size=size)["class_map"] == 1
    return mask.values | (truth["class_map"] == 2).values, None


def by_model(scene, truth):
    """A glacier mask by the default model, and the probability that goes with it."""
    found = map_by_model(scene, progress=False)
    return found["class_map"].isin([1, 2]).values, found["probability"].astype("float32")


MAPS = {"ratio": by_ratio, "ratio, opened": partial(by_ratio, size=5), "model": by_model}


def outlined(mask, truth, seed):
    """Outlines (glac_id, geometry) of those parts of a mask that meet a true glacier, cut at true divides."""
    known = truth["glacier_id"].values
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    met = np.isin(np.arange(count + 1), parts[(known > 0) & mask])
    nearest = ndimage.distance_transform_edt(known == 0, return_distances=False, return_indices=True)
    labels = np.where(mask & met[parts], known[tuple(nearest)], 0).astype("int32")
    found = shapes(labels, mask=labels > 0, transform=transform_of(truth["class_map"]))
    rows = [(f"synthetic-{seed}-{int(number)}", shape(polygon)) for polygon, number in found]
    table = gpd.GeoDataFrame(rows, columns=["glac_id", "geometry"], crs=truth.rio.crs.to_wkt())
    table = table.dissolve("glac_id", as_index=False)
    return table[table.area >= 1e6 * SIZES[0]].reset_index(drop=True)


def seen(seed, maps=MAPS, years=YEARS, size=200, **view):
    """(year, true outlines, {map: (outlines, probability)}) of a world, date by date."""
    world = gl.synthetic_world(seed, years, (size, size))
    for number, year in enumerate(years):
        view_of = dict(year=year, weather=number) | view
        truth, scene = world.truth(**view_of), world.scene(**view_of)
        drawn = {name: maps[name](scene, truth) for name in maps}
        mapped = {name: (outlined(mask, truth, seed), chance) for name, (mask, chance) in drawn.items()}
        yield year, world.outlines(year), mapped


def fits(seeds, maps=MAPS, **options):
    """The `AreaError` of each way to map, of worlds."""
    scenes = [case for seed in tqdm(seeds, desc="fit") for case in seen(seed, maps, **options)]
    _, truths, mapped = zip(*scenes, strict=True)
    found = {}
    for name in maps:
        outlines, chances = zip(*(each[name] for each in mapped), strict=True)
        chances = None if chances[0] is None else chances
        found[name] = fit_area_error(outlines, truths, chances, pixel_m=30)
    return found


def compared(seeds, errors, maps=MAPS, methods=METHODS, **options):
    """One row a glacier, date, map and method: true area, area, half width; NaN where it was not mapped."""
    rows = []
    for seed in tqdm(seeds, desc="test"):
        for year, truth, mapped in seen(seed, maps, **options):
            true = truth.loc[truth.area_km2 >= SIZES[0], ["glac_id", "area_km2"]]
            for name, (outlines, chance) in mapped.items():
                tables = {method: gl.area_uncertainty(outlines, method, pixel_m=30) for method in methods}
                tables["calibrated"] = gl.change.area_distribution(outlines, errors[name], chance, pixel_m=30)
                for method, table in tables.items():
                    both = true.merge(
                        table.drop(columns="geometry"), "left", on="glac_id", suffixes=("_true", "")
                    )
                    rows.append(both.assign(map=name, method=method, seed=seed, year=year))
    return pd.concat(rows, ignore_index=True).rename(columns={"area_km2_true": "true_km2"})


def coverage(rows, by=("map", "method")):
    """Share of glacier-dates whose true area is within the bar, and how wide the bar is, by group."""
    rows = rows.assign(
        inside=(100.0 * ((rows.area_km2 - rows.true_km2).abs() <= rows.area_unc_km2)).where(
            rows.area_km2.notna()
        ),
        half=100 * rows.area_unc_km2 / rows.true_km2,
        off=100 * (rows.area_km2 - rows.true_km2).abs() / rows.true_km2,
        size=pd.cut(rows.true_km2, SIZES, right=False),
        lost=100.0 * rows.area_km2.isna(),
    )
    groups = rows.groupby(list(by), observed=True)
    return pd.DataFrame(
        {
            "glacier-dates": groups["area_km2"].count(),
            "not mapped %": groups["lost"].mean(),
            "inside %": groups["inside"].mean(),
            "half width %": groups["half"].mean(),
            "off by %": groups["off"].mean(),
        }
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="worlds to test")
    parser.add_argument("--fit", type=int, default=10, help="worlds to fit errors on")
    parser.add_argument("--size", type=int, default=200, help="side of a world [pixels of 30 m]")
    parser.add_argument("--date", help="MM-DD of the tested views; errors are fitted on the end of summer")
    parser.add_argument("-o", help="every glacier and date, as CSV")
    asked = parser.parse_args()
    errors = fits(range(FIRST, FIRST + asked.fit), size=asked.size)
    print(*(f"{name}: {error}" for name, error in errors.items()), sep="\n")
    view = {} if asked.date is None else {"date": asked.date}
    rows = compared(range(asked.seeds), errors, size=asked.size, **view)
    if asked.o:
        rows.to_csv(asked.o, index=False)
    for by in (("map", "method"), ("map", "method", "size")):
        print(coverage(rows, by).round(1).to_string())
