"""Pictures of both apps, through Chromium: `python docs/images/apps.py [NAME...]` writes app_NAME.png.

On twelve dates of a made world, made in a temporary folder unless `--folder` has what `glacierlab demo` with
`--dates 12` writes; and on the sample `athabasca`, where it is.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import glacierlab as gl
from glacierlab import demo
from glacierlab.apps import gallery, studio
from glacierlab.apps.holdings import held
from glacierlab.errors import GlacierlabError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from browsing import FLAGS, chromium, serving, visit  # noqa: E402

TALK, PHONE = (1600, 1000), (390, 844)
SETTLED_MS = 2500  # after which pictures are drawn


def tab(name):
    return lambda page: page.get_by_text(name, exact=True).first.click()


def choose(label, value):
    return lambda page: page.get_by_label(label).first.select_option(value)


def click(name):
    return lambda page: page.get_by_role("button", name=name).first.click()


def down(pixels):
    return lambda page: page.locator("#main").evaluate(f"main => main.scrollTop = {pixels}")


AGAINST_TRUTH = (tab("Scores"), choose("Reference", "truth"))
VIEWS = {  # name → path, size, what is done first
    "inspect": ("/inspect", TALK, ()),
    "inspect_dark": ("/inspect?theme=dark", TALK, ()),
    "swipe": ("/inspect", TALK, (choose("Swipe to", "1986-09-15"),)),
    "review": ("/inspect", TALK, (tab("Review"),)),
    "threshold": ("/inspect", TALK, (*AGAINST_TRUTH, tab("Threshold"))),
    "scores": ("/inspect", TALK, AGAINST_TRUTH),
    "compare": ("/inspect", TALK, (tab("Compare"),)),
    "inspect_phone": ("/inspect", PHONE, ()),
    "dashboard": ("/", TALK, ()),
    "dashboard_dark": ("/?theme=dark", TALK, ()),
    "dashboard_below": ("/", TALK, (down(900),)),
    "glacier": ("/?rgi_id=2", TALK, ()),
    "methods": ("/?view=methods", TALK, ()),
    "dashboard_phone": ("/", PHONE, ()),
    "dashboard_phone_dark": ("/?theme=dark", PHONE, (down(900),)),
    "athabasca": ("/athabasca", TALK, ()),
    "athabasca_threshold": ("/athabasca", TALK, (tab("Threshold"),)),
}


def pages_of(folder):
    """What is served: the dashboard, the inspector, and that of the real scene where it is at hand."""
    pages = gallery.boards([folder], with_inspect=True)
    try:
        scene, outline = gl.sample("athabasca"), gl.sample("athabasca_outline")
    except GlacierlabError as error:
        print(f"without Athabasca: {error}")
        return pages
    mapped = scene.glacier.map_glaciers()
    real = held(scene, mapped, mapped.glacier.outlines())
    make = lambda: gallery.page(studio.inspect(real, reference=outline), "Inspect: athabasca")
    return pages | {"/athabasca": make}


def picture(browser, url, name):
    """Write one picture; of 256 colors, which a screen hardly tells from all."""
    path, (width, height), steps = VIEWS[name]
    page = visit(browser, url.rstrip("/") + path, width=width, height=height)
    page.wait_for_timeout(SETTLED_MS)
    for step in steps:
        step(page)
        page.wait_for_timeout(SETTLED_MS)
    target = HERE / f"app_{name}.png"
    page.screenshot(path=target)
    page.close()
    with Image.open(target) as whole:
        small = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(target, optimize=True)
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB{' ' + str(page.told) if page.told else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(VIEWS)}; default all")
    parser.add_argument("--folder", help="what `glacierlab demo --dates 12` wrote")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, sync_playwright() as starter:
        twelve = Path(made) / "twelve"
        if not asked.folder:
            demo.run(twelve, dates=12)
        pages = pages_of(asked.folder or twelve)
        browser = starter.chromium.launch(executable_path=chromium(), args=FLAGS)
        with serving(pages) as (url, _):
            for name in asked.names or VIEWS:
                if VIEWS[name][0].split("?")[0] in pages:
                    picture(browser, url, name)
        browser.close()


if __name__ == "__main__":
    main()
