"""The page around an app, and the one that lists several."""

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import panel as pn
import shapely

from .pieces import counted

SIDE = 240  # pixels of a sketch
RESERVED = ("static", "components", "liveness", "login", "logout", "inspect")  # paths of the server's own
PHONE = """
#main { padding: 0.5rem; }
@media (max-width: 600px) { .pn-busy-container { display: none; } }
#header .title { font-size: 1.1rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
"""
FOCUS = ":focus-visible { outline: 3px solid #e69f00 !important; outline-offset: 2px; }"
LINKS = "a { color: white; margin: 0 0.6rem; line-height: 2.2rem; text-decoration: underline; }"
SWITCH = """
const here = new URL(window.location);
here.searchParams.set("theme", here.searchParams.get("theme") === "dark" ? "default" : "dark");
window.location = here;
"""
CARDS = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 1.2rem; }
.card { border: 1px solid currentColor; border-radius: 0.4rem; padding: 0.9rem; color: inherit; }
.card h2 { font-size: 1.15rem; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
.card p { margin: 0.3rem 0; }
.card a { color: inherit; margin-right: 0.9rem; }
.card svg { width: 100%; height: 170px; }
path { vector-effect: non-scaling-stroke; }
.first { fill: none; stroke: #e69f00; stroke-width: 1.5; stroke-dasharray: 4 2; }
.last { fill: #56b4e9; fill-opacity: 0.6; stroke: #0072b2; stroke-width: 1; }
"""


@dataclass(frozen=True)
class Entry:
    """What the gallery says of one thing to look at."""

    title: str
    holdings: object  # Holdings
    links: dict  # text → path


def page(app, title, links=None):
    """A whole page around an app, which asks for nothing from outside: title, links, light or dark.

    Parameters
    ----------
    app : panel.viewable.Viewable or Viewer
    title : str
        Text; what HTML would mean in it is lost.
    links : dict of str to str, optional
        Text and path of other pages.

    Returns
    -------
    panel.template.BootstrapTemplate
        Dark where the address says `?theme=dark`.
    """
    dark = pn.config.theme == "dark"
    switch = pn.widgets.Button(name="Light" if dark else "Dark", width=70)
    switch.js_on_click(code=SWITCH)
    show_focus(switch)
    shown = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for text, path in (links or {}).items())
    found = pn.template.BootstrapTemplate(
        title=escape(title), theme="dark" if dark else "default", header_background="#1f4e79", main=[app]
    )
    found.header.append(
        pn.Row(
            pn.pane.HTML(shown, stylesheets=[LINKS, FOCUS]), pn.HSpacer(), switch, sizing_mode="stretch_width"
        )
    )
    found.meta_viewport = "width=device-width, initial-scale=1"
    found.config.raw_css += [PHONE, FOCUS]
    return found


def show_focus(panel):
    """Let all widgets of a panel show which of them the keyboard is at."""
    for widget in panel.select(pn.widgets.Widget):
        if FOCUS not in widget.stylesheets:
            widget.stylesheets = [*widget.stylesheets, FOCUS]


def boards(paths, with_inspect=False):
    """Dashboards of files and folders by path of the server, and a page that lists them if they are several.

    Parameters
    ----------
    paths : list of path
        Those with one date or none are shown together; one with more dates is a dashboard of its own.
    with_inspect : bool
        Also an inspector of each that has a scene.

    Returns
    -------
    dict of str to function
        As `serve` takes it.
    """
    entries, makers = [], {}
    groups = together(paths)
    for title, held in groups:
        slug = f"/{free_slug(title, makers)}" if len(groups) > 1 else ""
        makers[slug or "/"], links = board(title, held, slug, with_inspect, several=len(groups) > 1)
        if with_inspect and held.scenes:
            makers[f"{slug}/inspect"] = desk(title, held, slug or "/")
        entries.append(Entry(title, held, links))
    if len(groups) > 1:
        makers["/"] = lambda: page(gallery(entries), "Glaciers")
    return makers


def together(paths):
    """[(title, holdings)]: of each path that holds several dates, and of all others in one."""
    from .holdings import holdings_of, is_date

    alone, rest = [], []
    for path in paths:
        held = holdings_of(path)
        several = sum(map(is_date, held.labels)) > 1
        (alone if several else rest).append((Path(path).resolve().name, path, held))
    found = [(name, held) for name, _, held in alone]
    if len(rest) == 1:
        found.append((rest[0][0], rest[0][2]))
    elif rest:
        found.append((" and ".join(name for name, *_ in rest), holdings_of(*(path for _, path, _ in rest))))
    return found


def board(title, held, slug, with_inspect, several):
    """A function that makes a dashboard with links, and the links that lead to it."""
    from .dashboard import change

    story = change(held).story  # measured before anyone waits for it
    links = {"Inspect": f"{slug}/inspect"} if with_inspect and held.scenes else {}
    back = {"All": "/"} if several else {}
    make = lambda: change(story).page(f"Change: {title}", back | links)
    return make, {"Dashboard": slug or "/"} | links


def desk(title, held, back):
    """A function that makes an inspector with a link back to the dashboard."""
    from .studio import inspect

    return lambda: page(inspect(held), f"Inspect: {title}", {"Dashboard": back})


def free_slug(title, taken):
    """A path of letters and digits for a title, which nothing else has."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", title).strip("-").lower() or "folder"
    count, found = 1, name
    while f"/{found}" in taken or found in RESERVED:
        count += 1
        found = f"{name}-{count}"
    return found


def gallery(entries):
    """A card for each of several things to look at: links, and a sketch of its first and last outlines."""
    told = "<p>Filled: outlines of the last date. Dashed: those of the first.</p>"
    return pn.pane.HTML(
        f'{told}<div class="cards">{"".join(map(card_of, entries))}</div>',
        stylesheets=[CARDS, FOCUS],
        sizing_mode="stretch_width",
    )


def card_of(entry):
    """An entry as HTML; what it says is escaped."""
    links = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for text, path in entry.links.items())
    return (
        f'<section class="card"><h2>{escape(entry.title)}</h2>{sketch_of(entry.holdings)}'
        f"<p>{escape(told_of(entry.holdings))}</p><p>{links}</p></section>"
    )


def told_of(holdings):
    """What there is to see, in a line."""
    from .holdings import is_date

    labels = holdings.labels
    dates = [label for label in labels if is_date(label)]
    if len(dates) > 1:
        text = f"{len(dates)} dates, {dates[0]} to {dates[-1]}"
    else:
        text = dates[0] if dates else ", ".join(labels)
    if not holdings.outlines:
        return text
    return f"{text}; {counted(len(list(holdings.outlines.values())[-1]), 'outline')} at the last"


def sketch_of(holdings):
    """The last outlines, filled, and the first, dashed, as SVG; nothing where there are none."""
    tables = [table.geometry for table in holdings.outlines.values() if len(table)]
    if not tables:
        return ""
    west, south, east, north = np.array([table.total_bounds for table in tables]).T
    west, south, east, north = west.min(), south.min(), east.max(), north.max()
    scale = SIDE / max(east - west, north - south, 1e-9)
    paths = []
    for kind, table in {"last": tables[-1], "first": tables[0]}.items():
        if kind == "first" and len(tables) == 1:
            continue
        shapes = shapely.simplify(table.values, 1 / scale)
        corners = [
            (shapely.get_coordinates(ring) - (west, north)) * (scale, -scale) for ring in rings_of(shapes)
        ]
        lines = "".join("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in ring) + "Z" for ring in corners)
        paths.append(f'<path class="{kind}" fill-rule="evenodd" d="{lines}"/>')
    box = f"0 0 {(east - west) * scale:.0f} {(north - south) * scale:.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="outlines, first and last">{"".join(paths)}</svg>'


def rings_of(shapes):
    """All rings of polygons, holes too."""
    return shapely.get_rings(shapely.get_parts(shapes))
