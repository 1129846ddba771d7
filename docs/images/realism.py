"""Measures made worlds against real data and writes the tables and pictures of docs/worlds.md.

`GLACIERLAB_DATA=... python docs/images/realism.py`: the folder holds athabasca/, liligo/, everest/, oggm/ and
spectra/. Takes minutes. Tables between the marks `<!-- name -->` and `<!-- end -->` of the page are replaced.
"""

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import rasterio.features
import rasterio.warp
from matplotlib.figure import Figure
from pages import replaced
from scipy.stats import ks_2samp

import glacierlab as gl
from glacierlab.synthetic import spectra

DATA = Path(os.environ["GLACIERLAB_DATA"])
HERE = Path(__file__).parent
PAGE = HERE.parent / "worlds.md"
SEEDS = range(8)
SIDE = 800  # pixels of 30 m: 24 km
CLASSES = {"snow": 1, "ice": 3, "rock": 4, "water": 5}  # numbers in the table of spectra
BANDS = ("blue", "green", "red", "nir", "swir16")
SNOW, ICE = ("snow", "fresh_snow", "coarse_snow"), ("ice", "dirty_ice")
COVERS = {
    "snow": SNOW,
    "ice": ICE,
    "rock": ("rock", "scree", "debris", "dark_debris"),
    "water": ("water", "clear_water", "turbid_water"),
}
CELL = 90.0  # [m], at which slopes are compared


def ndsi(bands):
    total = bands["green"] + bands["swir16"]
    return (bands["green"] - bands["swir16"]) / np.where(total == 0, np.nan, total)


def with_ndsi(bands):
    return {name: bands[name] for name in BANDS} | {"NDSI": np.clip(ndsi(bands), -1, 1)}


def labeled():
    """Bands of real labeled spectra by class, without the rows that the table of endmembers leaves out."""
    table = pd.read_csv(DATA / "spectra" / "Sentinel-2_SR_training_data.csv")
    table = table[~((table.site_name == "Wolverine") & (table.image_date == 20210615))].dropna()
    native = {name: spectra.SENTINEL2[name].native.replace("B0", "B") for name in BANDS}
    real = {}
    for name, number in CLASSES.items():
        rows = table[(table["class"] == number) & ((table.NDSI >= 0.4) | (name not in ("snow", "ice")))]
        real[name] = with_ndsi({band: rows[column].to_numpy() for band, column in native.items()})
    return real


def counts(real):
    """How many spectra there are, and how many are used, as a sentence."""
    table = pd.read_csv(DATA / "spectra" / "Sentinel-2_SR_training_data.csv")
    of_class = ", ".join(f"{len(bands['red'])} of {name}" for name, bands in real.items())
    garbage = ((table.site_name == "Wolverine") & (table.image_date == 20210615)).sum()
    return f"Of {len(table)} spectra the scene of Wolverine has {garbage}. Fitted are {of_class}."


def drawn(name, count=40_000):
    """Bands of spectra drawn from a row of the table of endmembers."""
    rng = np.random.default_rng(7)
    patterns = lambda _, k: rng.standard_normal((k, 1, count), dtype="float32")
    bands = spectra.mix({name: np.ones((1, count), "float32")}, patterns, "sentinel-2")
    return with_ndsi({band: values[0] for band, values in bands.items()})


def rendered(worlds):
    """Bands of pixels of one cover in the sun, as Sentinel-2 sees them, all worlds together."""
    found = {name: [] for name in COVERS}
    for world in worlds:
        scene, view = world.scene(sensor="sentinel-2"), world._view(world.years[-1], "09-15")
        lit = view.light.shadow == 0
        for name, members in COVERS.items():
            pure = lit & (sum(view.cover[member] for member in members) > 0.99)
            found[name].append({band: scene[band].values[pure][::7] for band in BANDS})
    join = lambda parts, band: np.concatenate([part[band] for part in parts])
    return {name: with_ndsi({b: join(parts, b) for b in BANDS}) for name, parts in found.items()}


def distance(one, other):
    return ks_2samp(one, other).statistic


def spectra_table(real, made, pixels):
    rows = []
    for name in CLASSES:
        for band in (*BANDS, "NDSI"):
            values = real[name][band], made[name][band], pixels[name][band]
            numbers = [f"{np.median(v):.3f} ({np.subtract(*np.percentile(v, (75, 25))):.3f})" for v in values]
            apart = [f"{distance(values[0], v):.2f}" for v in values[1:]]
            rows.append([name, band, numbers[0], numbers[1], apart[0], numbers[2], apart[1]])
    head = ["cover", "band", "real", "endmember", "distance", "pixels", "distance"]
    return pd.DataFrame(rows, columns=head)


def spectra_picture(real, made, pixels):
    panels = {
        f"{name}, {band}": {
            "real": real[name][band],
            "endmember": made[name][band],
            "pixels": pixels[name][band],
        }
        for name in CLASSES
        for band in (*BANDS, "NDSI")
    }
    gl.viz.histogram_figure(panels, columns=6).savefig(HERE / "world_spectra.png", dpi=70)


# ---- a scene


def twins():
    """Athabasca, and a world of its size, place and day."""
    athabasca = gl.sample("athabasca")
    world = gl.synthetic_world(1, (2020,), (205, 215), latitude=52.2, ela_m=2700)
    return athabasca, world.scene(date="08-16", sensor="hls_l30")


def twins_picture(scenes):
    limits = {"swir16": 0.35, "nir": 0.9, "green": 1.0}  # of the stretch, the same for both
    figure = Figure(figsize=(10, 5), layout="constrained")
    for ax, (title, scene) in zip(figure.subplots(1, 2), scenes.items(), strict=True):
        picture = np.stack(
            [np.clip(scene[band] / most, 0, 1) ** 0.8 for band, most in limits.items()], axis=-1
        )
        shown = np.where(np.isnan(picture).any(axis=-1, keepdims=True), 1, picture)
        km = scene.sizes["x"] * 0.03, scene.sizes["y"] * 0.03
        ax.imshow(shown, extent=(0, km[0], 0, km[1]), interpolation="nearest")
        ax.set(title=title, xlabel="east [km]", ylabel="north [km]")
    figure.savefig(HERE / "world_athabasca.jpg", dpi=80, pil_kwargs={"quality": 85})


def scene_table(scenes):
    """Reflectance and roughness of what is certainly snow or ice, and certainly not, in both scenes."""
    rows = {}
    for title, scene in scenes.items():
        bands = {band: scene[band].values for band in BANDS}
        index = ndsi(bands)
        bright = bands["nir"] > 0.11
        ice, land = (index > 0.5) & bright, (index < 0.0) & bright
        row = {}
        for cover, mask in (("snow and ice", ice), ("land", land)):
            red = bands["red"]
            row[f"{cover}: share of the picture"] = f"{mask.mean():.2f}"
            for band in ("red", "nir", "swir16"):
                low, middle, high = np.percentile(bands[band][mask], (5, 50, 95))
                row[f"{cover}: {band}, 5, 50, 95 %"] = f"{low:.3f}, {middle:.3f}, {high:.3f}"
            pairs = mask[:, 1:] & mask[:, :-1]
            step = np.abs(np.diff(red, axis=1))[pairs] / red[:, 1:][pairs]
            row[f"{cover}: step of red to the next pixel, median"] = f"{np.median(step):.1%}"
            hue = np.log(np.clip(bands["swir16"], 1e-3, None) / np.clip(red, 1e-3, None))
            turn = np.abs(np.diff(hue, axis=1))[pairs]
            row[f"{cover}: step of SWIR/red to the next pixel, median"] = f"{np.median(turn):.1%}"
        seen = np.stack(list(bands.values()))
        seen = seen[np.isfinite(seen)]
        row["reflectances below 0, above 1"] = f"{(seen < 0).mean():.1%}, {(seen > 1).mean():.1%}"
        row["dark (NIR < 0.05)"] = f"{(bands['nir'] < 0.05).mean():.1%}"
        rows[title] = row
    return pd.DataFrame(rows).rename_axis("").reset_index()


# ---- terrain and glaciers


def steepness(heights, cell_m):
    return np.degrees(np.arctan(np.hypot(*np.gradient(heights, cell_m))))


def real_terrain(dem, outlines, crs):
    """Heights at CELL (y, x), and the outlines, in a projection."""
    with rasterio.open(dem) as source:
        transform, width, height = rasterio.warp.calculate_default_transform(
            source.crs, crs, source.width, source.height, *source.bounds, resolution=CELL
        )
        heights = np.full((height, width), np.nan, "float32")
        rasterio.warp.reproject(
            rasterio.band(source, 1), heights, dst_transform=transform, dst_crs=crs,
            dst_nodata=np.nan, resampling=rasterio.warp.Resampling.bilinear,
        )  # fmt: skip
    return heights, transform, outlines.to_crs(crs)


def made_terrain(world):
    truth = world.scene()
    three = round(CELL / world.pixel_size_m)
    heights = truth.elevation.coarsen(y=three, x=three, boundary="trim").mean()
    outlines = world.outlines()
    return heights.values, heights.rio.transform(recalc=True), outlines


def terrain_of(heights, transform, outlines):
    """What is compared of one landscape: of the land, and of each glacier."""
    slope = steepness(heights, CELL)
    numbers = rasterio.features.rasterize(
        [(shape, n) for n, shape in enumerate(outlines.geometry, 1)], heights.shape, 0, transform=transform
    )
    land = slope[(numbers == 0) & np.isfinite(slope)]
    window = round(5000 / CELL)
    blocks = [
        heights[i : i + window, j : j + window]
        for i in range(0, heights.shape[0] - window + 1, window)
        for j in range(0, heights.shape[1] - window + 1, window)
    ]
    relief = [np.ptp(block) for block in blocks if np.isfinite(block).all()]
    glaciers = []
    for number, shape in enumerate(outlines.geometry, 1):
        here = (numbers == number) & np.isfinite(slope)
        if here.sum() >= 12:  # 0.1 km²
            low, middle, high = np.percentile(heights[here], (0, 50, 100))
            glaciers.append(
                {"area": shape.area / 1e6, "slope": slope[here].mean(), "span": high - low,
                 "middle": (middle - low) / max(high - low, 1)}
            )  # fmt: skip
    return land, relief, pd.DataFrame(glaciers)


def terrain_table(worlds):
    oetztal = gpd.read_file(DATA / "oggm/rgi_oetztal.shp")
    real = terrain_of(*real_terrain(DATA / "oggm/srtm_oetztal.tif", oetztal, "EPSG:32632"))
    parts = [terrain_of(*made_terrain(world)) for world in worlds]
    slopes, reliefs, glaciers = zip(*parts, strict=True)
    made = np.concatenate(slopes), np.concatenate(reliefs), pd.concat(glaciers)
    everest = gpd.read_file(DATA / "everest/15_rgi60_glacier_outlines.gpkg").to_crs("EPSG:32645")
    areas = {"Everest": everest.area / 1e6, "made": made[2]["area"]}
    spread = lambda values, form: ", ".join(form.format(v) for v in np.percentile(values, (10, 50, 90)))
    rows = [
        ["slope of the land without ice [°]", "Ötztal", real[0], made[0], "{:.0f}"],
        ["relief within 5 km [m]", "Ötztal", real[1], made[1], "{:.0f}"],
        ["mean slope of a glacier [°]", "Ötztal", real[2]["slope"], made[2]["slope"], "{:.0f}"],
        ["height a glacier spans [m]", "Ötztal", real[2]["span"], made[2]["span"], "{:.0f}"],
        ["median height within that span [1]", "Ötztal", real[2]["middle"], made[2]["middle"], "{:.2f}"],
        ["area of a glacier over 0.1 km² [km²]", "Everest", areas["Everest"][areas["Everest"] > 0.1],
         areas["made"][areas["made"] > 0.1], "{:.2f}"],
    ]  # fmt: skip
    table = [
        [what, f"{where}: {spread(one, form)}", spread(other, form), f"{distance(one, other):.2f}"]
        for what, where, one, other, form in rows
    ]
    return pd.DataFrame(table, columns=["10, 50, 90 %", "real", "made", "distance"])


def debris_share(worlds):
    masks = {}
    for name in ("debris", "glacier"):
        with rasterio.open(DATA / f"liligo/{name}Mask_30m.tif") as source:
            masks[name] = source.read(1, masked=True).filled(0) > 0
    made = []
    for world in worlds:
        fraction = world.truth().fraction.sum(["y", "x"])
        ice = fraction.sel({"class": ["clean_ice", "debris_covered_ice"]})
        made.append(float(ice.sel({"class": "debris_covered_ice"}) / ice.sum()))
    return (masks["debris"] & masks["glacier"]).sum() / masks["glacier"].sum(), made


# ---- a method


def method_table(worlds):
    rows = []
    for world in worlds:
        scene, truth = world.scene(), world.truth()
        ratio = scene.glacier.ratio("red", "swir16")
        clean = (truth.class_map == 1).values
        curve = gl.best_threshold(ratio, truth.class_map == 1, np.arange(1.1, 6.05, 0.2).round(2))
        best = curve.table.loc[curve.best]
        taken = ratio.values > curve.best
        share = lambda mask, taken=taken: f"{taken[mask].mean():.0%}" if mask.any() else "none"
        land = (truth.class_map == 0).values
        dark = land & truth.shadow.values & (truth.snow.values == 0)
        wrong = taken & ~clean
        rows.append(
            [world.seed, f"{curve.best:g}", f"{best.f1:.3f}", f"{best.precision:.2f}", f"{best.recall:.2f}",
             share((truth.class_map == 2).values), share((truth.class_map == 3).values), share(dark),
             f"{(wrong & (truth.snow.values > 0.3)).sum() / max(wrong.sum(), 1):.0%}"]
        )  # fmt: skip
    head = ["seed", "best threshold", "F1", "precision", "recall"]
    taken = ["debris taken", "lakes taken", "shadow taken", "snow among the false"]
    return pd.DataFrame(rows, columns=[*head, *taken])


def area_difference(worlds):
    """Largest relative difference of the outlines' planar area from the truth's fractions."""
    differences = []
    for world in worlds:
        truth = float(world.truth().glacier_fraction.sum(dtype="float64")) * world.pixel_size_m**2
        differences.append(abs(world.outlines().area.sum() / truth - 1))
    return max(max(differences), 1e-9)


def main():
    worlds = [gl.synthetic_world(seed, (2020,), (SIDE, SIDE)) for seed in SEEDS]
    real, pixels = labeled(), rendered(worlds[:4])
    made = {name: drawn(name) for name in CLASSES}
    athabasca, twin = twins()
    scenes = {"Athabasca": athabasca, "made (seed 1)": twin}
    spectra_picture(real, made, pixels)
    twins_picture(scenes)
    liligo, shares = debris_share(worlds)
    debris = (
        f"Debris covers {np.median(shares):.0%} of the ice in 2020 (median of the worlds, from "
        f"{min(shares):.0%} to {max(shares):.0%}), and {liligo:.0%} of Liligo Glacier in the Karakoram. "
        f"Area by polygons and area by fractions differ by less than {area_difference(worlds):.0e} of it."
    )
    tables = {
        "counts": counts(real),
        "spectra": spectra_table(real, made, pixels),
        "scene": scene_table(scenes),
        "terrain": terrain_table(worlds),
        "debris": debris,
        "method": method_table(worlds),
    }
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
