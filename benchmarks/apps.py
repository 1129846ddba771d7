"""What do the apps cost: until the first picture, to pan and zoom, and for each session they hold?

Both apps are served by their commands in a process of their own, on the folder of `glacierlab demo`; beside
them an empty page of Panel, which is what no app can be cheaper than. Chromium opens each page twice (left
out where there is none): the first visit makes what all sessions share. Then sessions join over websockets
as browsers do, a few at a time, and stay. Pans and zooms are drawn in this process, at random places, as the
map asks for them. `--big` does the same for 5,000 outlines of two dates on a scene of 10,980 x 10,980 pixels
in four bands, made in a temporary folder (about 0.7 GB, a few minutes).

    python benchmarks/apps.py --sessions 50
    python benchmarks/apps.py --big
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
import rasterio
import shapely
from rasterio.windows import Window

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from visiting import crowd, leave, process

AIM_MS, MB = 300, 2**20
SIDE, BLOCK, PIXEL_M, WEST, NORTH = 10_980, 1098, 10.0, 500_000.0, 5_400_000.0
BANDS = {"green": 1.0, "red": 1.1, "nir": 1.3, "swir16": 0.5}
EMPTY = (
    "import panel as pn; from glacierlab.apps.serving import serve;"
    "serve(lambda: pn.pane.Markdown('hello'), port=0, show=False, say=lambda text: print(text, flush=True))"
)
DRAWN = """kinds => {
  const page = window.Bokeh && Bokeh.documents[0];
  if (!page || !page.is_idle) return false;
  const maps = [...page._all_models.values()].filter(m => m.glyph && kinds.includes(m.glyph.type));
  const data = map => map.data_source.data;
  return kinds.length === 0 || maps.some(map => (data(map).image || data(map).xs || []).length);
}"""
PICTURE, LINES = "ImageRGBA", "MultiPolygons"


def made_scene(path):
    """A smooth, noisy scene of four bands, uint16 reflectance, in tiles without overviews."""
    rng = np.random.default_rng(0)
    profile = dict(
        driver="GTiff", dtype="uint16", count=len(BANDS), width=SIDE, height=SIDE, crs="EPSG:32645"
    )
    profile |= dict(transform=rasterio.Affine(PIXEL_M, 0, WEST, 0, -PIXEL_M, NORTH), nodata=0)
    profile |= dict(tiled=True, blockxsize=512, blockysize=512, compress="deflate", zlevel=1, predictor=2)
    with rasterio.open(path, "w", **profile) as file:
        file.descriptions, file.scales = tuple(BANDS), (1e-4,) * len(BANDS)
        for top in range(0, SIDE, BLOCK):
            y, x = np.mgrid[top : top + BLOCK, :SIDE].astype("float32") / SIDE
            ground = 3000 + 2500 * np.sin(40 * x + 15 * y) * np.cos(33 * y)
            for number, weight in enumerate(BANDS.values(), 1):
                values = ground * weight + rng.integers(-64, 64, ground.shape, dtype="int16")
                file.write(
                    np.clip(values, 1, 10_000).astype("uint16"), number, window=Window(0, top, SIDE, BLOCK)
                )


def made_outlines(count, size, date):
    """Star-shaped outlines of 40 to 400 corners on a grid of places, as one date has them."""
    rng, across = np.random.default_rng(1), int(np.ceil(np.sqrt(count)))
    step = SIDE * PIXEL_M / across
    shapes = []
    for number in range(count):
        angles = np.linspace(0, 2 * np.pi, rng.integers(40, 400), endpoint=False)
        far = 0.45 * step * size * rng.uniform(0.3, 1) * (0.8 + 0.2 * np.sin(5 * angles + number))
        middle = (WEST + step * (number % across + 0.5), NORTH - step * (number // across + 0.5))
        shapes.append(
            shapely.Polygon(np.column_stack([np.cos(angles), np.sin(angles)]) * far[:, None] + middle)
        )
    table = {"rgi_id": [f"made-{number}" for number in range(count)], "src_date": date, "class": "glacier"}
    return gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:32645")


def first_pictures(url, kinds):
    """Seconds until the map is drawn, for the first visitor and for the second; NaN without Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return np.nan, np.nan
    from browsing import FLAGS

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        return np.nan, np.nan
    took = []
    with sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=path, args=FLAGS)
        browser.new_page().goto(f"{url}liveness")  # the browser itself is warm
        for _ in range(2):
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            start = perf_counter()
            page.goto(url, timeout=300_000)
            page.wait_for_function(DRAWN, arg=kinds, timeout=300_000)
            took.append(perf_counter() - start)
            page.close()
        browser.close()
    return tuple(took)


def own_mb(server):
    """Memory that the process shares with no other [MB]."""
    return psutil.Process(server.pid).memory_full_info().uss / MB


def cpu_s(server):
    """Seconds that the process has computed."""
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


async def held(url, server, sessions):
    """What sessions cost that are all open at once: memory and computing of each, and of how many."""
    connections, _ = await crowd(url, 2)  # what the first ones make is shared
    memory, computing = own_mb(server), cpu_s(server)
    more, took = await crowd(url, sessions, at_once=4)
    row = {
        "MB a session": (own_mb(server) - memory) / sessions,
        "CPU s a session": (cpu_s(server) - computing) / sessions,
        "slowest s": max(took),
        "held": len(more) + len(connections),
    }
    await leave(*connections, *more)
    return row


def measured(name, command, kinds, sessions):
    """A row of the table: a server, two visitors, and many sessions."""
    start = perf_counter()
    with process(command) as (server, url):
        row = {"page": name, "start s": perf_counter() - start}
        row["first picture s"], row["again s"] = first_pictures(url, kinds)
        row["server MB"] = own_mb(server)
        row |= asyncio.run(held(url, server, sessions))
        server.terminate()
        server.wait(30)
    print(f"  {name}: {row}", file=sys.stderr)
    return row


def views(bounds, count=12):
    """Random windows, from all of the ground to a hundredth of its side."""
    rng = np.random.default_rng(2)
    left, bottom, right, top = bounds
    for share in np.geomspace(1, 0.01, count):
        x = left + (right - left) * (1 - share) * rng.random()
        y = bottom + (top - bottom) * (1 - share) * rng.random()
        yield x, y, x + share * (right - left), y + share * (top - bottom)


def panned(paths):
    """What windows of the map cost at first, and when they are asked for again."""
    from glacierlab.apps import holdings_of
    from glacierlab.apps.drawing import Drawing
    from glacierlab.apps.mapview import enlarged
    from glacierlab.apps.pictures import Pictures

    held, shape = holdings_of(*paths), (600, 1100)
    label = list(held.scenes)[-1]
    pictures = Pictures(held.scenes[label], held.predictions.get(label), held.dem)
    lines = Drawing(held.outlines[label], color="#ffffff", hover=["area_km2"])

    def drawn(bounds):
        """Seconds until there is a picture with its outlines, and until it is as sharp as it gets."""
        start = perf_counter()
        lines.columns(*lines.need(bounds, (bounds[2] - bounds[0]) / shape[1]))
        window = enlarged(bounds, shape)
        draft = pictures.render("false color", *window, crs=held.crs, draft=True)
        seen = perf_counter() - start
        pictures.render("false color", *window, crs=held.crs)
        sharp = perf_counter() - start
        return (sharp if draft is None else seen), sharp

    _, first = drawn(held.bounds)
    new, again = (1000 * np.array([drawn(bounds) for bounds in views(held.bounds)]) for _ in range(2))
    return {
        "first of all s": first,
        "median ms": np.median(new[:, 0]),
        "slowest ms": new[:, 0].max(),
        "aim ms": AIM_MS,
        "sharp, slowest ms": new[:, 1].max(),
        "again, slowest ms": again[:, 1].max(),
    }


def shown(title, rows):
    print(f"\n{title}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format))


def told(title, inspected, compared, sessions):
    """Measure both apps on some files and print it."""
    app = [sys.executable, "-m", "glacierlab"]
    asked = ["--no-browser", "--port", "0"]
    commands = {
        "an empty page": ([sys.executable, "-c", EMPTY], []),
        "inspect": ([*app, "inspect", *map(str, inspected), *asked], [PICTURE]),
        "dashboard": ([*app, "dashboard", *map(str, compared), *asked], [PICTURE, LINES]),
    }
    shown(title, [measured(name, *how, sessions) for name, how in commands.items()])
    shown("pan and zoom of the inspector, 600 x 1100 pixels", [panned(inspected)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--big", action="store_true", help="5,000 outlines and a scene of 10,980 x 10,980")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--outlines", type=int, default=5000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if asked.big:
            made_scene(folder / "scene.tif")
            for date, size in (("2000-08-15", 1.0), ("2020-08-15", 0.9)):
                made_outlines(asked.outlines, size, date).to_file(folder / f"{date}.gpkg")
            now, before = folder / "2020-08-15.gpkg", folder / "2000-08-15.gpkg"
            told("5,000 outlines, 10,980²", [folder / "scene.tif", now], [before, now], asked.sessions)
        else:
            from glacierlab import demo

            demo.run(folder, say=lambda text: None)
            told("the demo's folder", [folder], [folder], asked.sessions)


if __name__ == "__main__":
    main()
