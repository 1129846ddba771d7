"""The map: what it draws for a view, what is edited and drawn on it, and what a browser shows of it."""

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import geopandas as gpd
import numpy as np
import pytest
import shapely
from browsing import outside, visit
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Geod, Transformer

pytest.importorskip("panel", reason="the apps need panel")
from bokeh.document import Document
from bokeh.events import DoubleTap, Tap

import glacierlab as gl
from glacierlab.apps.basemap import Basemap
from glacierlab.apps.drawing import Drawing, polygon_of, rings_of
from glacierlab.apps.mapview import MapView
from glacierlab.apps.pictures import Pictures
from glacierlab.apps.places import sphere_fit
from glacierlab.errors import GlacierlabError, UnknownNameError

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> @told0 &amp;"
UTM = CRS.from_epsg(32645)


@pytest.fixture
def pictured(made):
    return Pictures(made, made.glacier.map_glaciers())


@pytest.fixture
def outlined(pictured):
    found = gl.vectorize(pictured.prediction["class_map"]).to_crs(pictured.crs)
    return found.assign(name=[f"{HOSTILE} {k}" for k in range(len(found))])


@pytest.fixture
def view(pictured):
    return MapView(pictured.crs, pictured.bounds, height=500)


def image(view, slot="base"):
    """What a slot holds: the picture (height, width, 4), north up, and its bounds; None where it is empty."""
    data = view._pictures[slot].data_source.data
    if not data["image"]:
        return None
    picture = data["image"][0][..., None].view(np.uint8)[::-1]
    (x,), (y,), (dw,), (dh,) = (data[key] for key in ("x", "y", "dw", "dh"))
    return picture, (x, y, x + dw, y + dh)


def columns(view, name):
    return view._drawings[name][1].data_source.data


def drawn(view, name):
    """The outlines of a name as they lie in the browser."""
    data = columns(view, name)
    polygons = []
    for xs, ys in zip(data["xs"], data["ys"], strict=True):
        parts = [
            [np.column_stack(ring) for ring in zip(*part, strict=True)] for part in zip(xs, ys, strict=True)
        ]
        polygons.append(shapely.MultiPolygon([(shell, holes) for shell, *holes in parts]))
    return polygons


# ---- pictures ----


def test_without_a_browser_it_is_drawn_at_once(view, pictured):
    view.show("base", pictured, "false color", opacity=0.5)
    picture, bounds = image(view)
    assert picture.shape == (600, 960, 4)  # a tenth more on each side
    np.testing.assert_array_equal(picture, pictured.render("false color", bounds, (600, 960)))
    assert view._pictures["base"].glyph.global_alpha == 0.5
    view.hide("base")
    assert image(view) is None
    with pytest.raises(UnknownNameError, match="slot"):
        view.show("top", pictured, "red")


def test_moving_draws_and_tells(view, pictured):
    told = []
    view.on_moved(lambda bounds, shape: told.append((bounds, shape)))
    view.show("base", pictured, "red")
    left, bottom, *_ = pictured.bounds
    view.zoom_to((left, bottom, left + 600, bottom + 900), margin=0)
    (x0, y0, x1, y1), shape = view.view
    assert (y1 - y0) / shape[0] == pytest.approx((x1 - x0) / shape[1])  # one scale
    assert y1 - y0 == pytest.approx(900)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((left + 300, bottom + 450))
    _, bounds = image(view)
    assert bounds[0] < x0 < x1 < bounds[2]
    assert told[-1] == view.view


def test_pictures_in_another_crs_lie_where_they_should(pictured):
    other = CRS.from_epsg(32644)
    carry = Transformer.from_crs(pictured.crs, other, always_xy=True)
    view = MapView(other, carry.transform_bounds(*pictured.bounds), height=500)
    view.show("base", pictured, "elevation")
    picture, (left, bottom, right, top) = image(view)
    x, y = carry.transform(*np.mean(np.reshape(pictured.bounds, (2, 2)), axis=0))
    row, column = int((top - y) / (top - bottom) * 600), int((x - left) / (right - left) * 960)
    here = Transformer.from_crs(other, pictured.crs, always_xy=True).transform(x, y)
    low, high, palette = pictured.legend("elevation")
    shade = palette[int(256 * (pictured.value_at("elevation", *here) - low) / (high - low))]
    assert abs(picture[row, column, :3].astype(int) - list(bytes.fromhex(shade[1:]))).max() <= 8


class Slow:
    """Pictures that wait to be let go."""

    def __init__(self):
        self.asked, self.go = [], threading.Semaphore(0)

    def render(self, name, bounds, shape, stretch, crs=None):
        self.asked.append(bounds)
        assert self.go.acquire(timeout=20)
        return np.zeros((*shape, 4), np.uint8)


class Session(Document):
    """A document that believes in a browser, and runs what it is told to do next when asked."""

    session_context = object()

    def __init__(self, view):
        super().__init__()
        self.add_root(view.figure)
        self.waiting = []

    def add_next_tick_callback(self, callback):
        self.waiting.append(callback)

    def settle(self, until):
        for _ in range(400):
            while self.waiting:
                self.waiting.pop(0)()
            if until():
                return
            time.sleep(0.01)
        raise AssertionError("it never came")


def test_the_newest_view_wins(view):
    slow, document = Slow(), Session(view)
    view.show("base", slow, "any")
    assert not slow.asked  # nothing before the browser says how large it is
    view._sized("inner_width", None, 700)
    view._sized("inner_height", None, 480)
    document.settle(lambda: slow.asked)
    for step in range(30):  # while the first is drawn
        view.figure.x_range.start = step
    for _ in range(2):
        slow.go.release()
    document.settle(lambda: (found := image(view)) and found[0].shape[:2] == (576, 840) and not view._busy)
    assert len(slow.asked) == 2
    assert image(view)[1] == slow.asked[-1]
    assert slow.asked[-1][0] < 29


def test_what_cannot_be_drawn_is_told_as_text(view, pictured):
    document = Session(view)
    view._size = {"inner_width": 700, "inner_height": 480}
    view.show("base", pictured, "<b>none</b>")
    document.settle(lambda: view.message.text)
    assert "&lt;b&gt;none" in view.message.text
    view.show("base", pictured, "red")
    document.settle(lambda: image(view) and not view._busy)


def test_a_view_that_is_set_while_a_session_is_held_is_drawn_once(view):
    slow, document = Slow(), Session(view)
    view._size = {"inner_width": 700, "inner_height": 480}
    view.show("base", slow, "any")
    slow.go.release()
    document.settle(lambda: image(view) and not view._busy)
    document.hold()  # as Panel does while it answers
    view.zoom_to((0, 0, 600, 900))
    document.settle(lambda: len(slow.asked) == 2)
    document.unhold()  # now the session is told of its ranges
    slow.go.release(9)
    document.settle(lambda: image(view)[1] == slow.asked[1] and not view._busy)
    assert len(slow.asked) == 2


@pytest.fixture
def notebook(view):
    """What a notebook with the map was sent; its document is held, as Panel does when a button is clicked."""
    comms = pytest.importorskip("pyviz_comms", reason="a notebook speaks through pyviz_comms")
    sent = []

    class Heard(comms.Comm):
        def send(self, data=None, metadata=None, buffers=()):
            sent.append(str(data))

    comm, document = Heard(), Document()
    comm._comm = True
    document.add_root(view.panel().get_root(document, comm))
    document.hold()
    yield sent
    document.clear()


def test_a_view_that_is_set_is_drawn_in_a_notebook_at_once(view, pictured, notebook):
    rendered = []
    draw = pictured.render
    pictured.render = lambda *given, **options: rendered.append(given) or draw(*given, **options)
    view.show("base", pictured, "red")
    left, bottom, *_ = pictured.bounds
    for size in (600, 900):
        view.zoom_to((left, bottom, left + size, bottom + size))
        (x0, y0, x1, y1), bounds = view.view[0], image(view)[1]
        assert bounds[0] < x0 < x1 < bounds[2]
        assert bounds[1] < y0 < y1 < bounds[3]
        assert view._pictures["base"].data_source.id in "".join(notebook)
        notebook.clear()
    assert len(rendered) == 3
    view.figure.document.unhold()
    assert len(rendered) == 3


def test_what_is_edited_drawn_or_hidden_is_sent_to_a_notebook_at_once(view, pictured, outlined, notebook):
    view.show("base", pictured, "red")
    view.outline("mapped", outlined, color="red")
    shape = outlined.geometry.iloc[0]
    steps = [
        lambda: view.edit(shape), lambda: view.edit(None), lambda: view.draw("line"),
        lambda: click(view, 1, 2), lambda: view.draw(None), lambda: view.hide("base"),
        lambda: view.recolor("mapped", ["blue"] * len(outlined)), lambda: view.remove("mapped"),
    ]  # fmt: skip
    for number, step in enumerate(steps):
        notebook.clear()
        step()
        assert notebook, number
        assert not view.figure.document.callbacks._held_events, number


# ---- outlines ----


def test_outlines_in_view_are_drawn_no_finer_than_a_pixel(view, outlined):
    view.outline("mapped", outlined, color="#ffd400")
    pixel = (view.view[0][2] - view.view[0][0]) / view.view[1][1]
    for found, outline in zip(drawn(view, "mapped"), outlined.geometry, strict=True):
        assert shapely.hausdorff_distance(found, outline) <= 1.5 * pixel
    largest = outlined.geometry.iloc[int(np.argmax(outlined.area))]
    view.zoom_to(shapely.box(*largest.bounds).centroid.buffer(30).bounds, margin=0)
    near = shapely.box(*view.view[0]).buffer(2000)
    found = drawn(view, "mapped")
    assert 0 < len(found) < len(outlined)
    assert all(near.intersects(each) for each in found)


def test_holes_and_parts_are_kept(view):
    x, y, *_ = view.bounds
    ring = shapely.Point(x + 900, y + 900).buffer(800) - shapely.Point(x + 900, y + 900).buffer(300)
    both = shapely.MultiPolygon([ring, shapely.Point(x + 3000, y + 900).buffer(200)])
    view.outline("one", gpd.GeoDataFrame({"a": [1]}, geometry=[both], crs=view.crs), color="red")
    (found,) = drawn(view, "one")
    assert [len(part.interiors) for part in found.geoms] == [1, 0]
    assert found.area == pytest.approx(both.area, rel=0.02)


def test_columns_of_colors_and_texts(view, outlined):
    table = outlined.assign(ink=["#112233", *[None] * (len(outlined) - 1)])
    view.outline(
        "mapped", table, color="ink", fill="#ffffff", hover={"Area [km²]": "area_km2", "Name": "name"}
    )
    data = columns(view, "mapped")
    assert data["color"] == ["#112233", *[None] * (len(outlined) - 1)]
    assert {*data["fill"]} == {"#ffffff"}
    assert data["told0"][0] == f"{outlined.area_km2.iloc[0]:.4g}"
    assert data["told1"][0] == f"{HOSTILE} 0"
    tip = view._drawings["mapped"][3][0]
    assert tip.tooltips == [("Area [km²]", "@told0"), ("Name", "@told1")]
    view.remove("mapped")
    assert tip not in view.figure.tools
    view.remove("mapped")


def test_some_are_marked_and_colors_change(view, outlined):
    view.outline("mapped", outlined, color="#ffd400")
    marked = view._drawings["mapped"][2].data_source
    view.select("mapped", outlined.index[[2, 0]])
    assert marked.data["xs"] == [columns(view, "mapped")["xs"][k] for k in (0, 2)]
    view.select("mapped", [])
    assert marked.data["xs"] == []
    colors = [f"#0000{k:02x}" for k in range(len(outlined))]
    view.recolor("mapped", colors)
    assert list(columns(view, "mapped")["color"]) == colors
    view.zoom_to(outlined.total_bounds, margin=4)
    assert columns(view, "mapped")["color"] == colors


def test_no_outlines_are_no_trouble(view, outlined):
    view.outline("none", outlined.iloc[:0], color="red", hover=["area_km2"])
    assert columns(view, "none")["xs"] == []
    mixed = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0), shapely.Polygon(), None], crs=view.crs)
    assert len(Drawing(mixed, color="red").outlines) == 0


# ---- editing ----

corner = st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000))


@given(st.lists(corner, min_size=1, max_size=4, unique=True), st.booleans())
def test_rings_become_the_polygon_they_were(corners, holed):
    parts = [shapely.Point(10 * x, 10 * y).buffer(4) for x, y in corners]
    parts = [part - shapely.affinity.scale(part, 0.5, 0.5) if holed else part for part in parts]
    shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    assert polygon_of(rings_of(shape)).equals_exact(shape, 0)


def test_a_corner_that_is_moved_is_told(view):
    x, y, *_ = view.bounds
    hole = shapely.box(x + 300, y + 300, x + 500, y + 500)
    shape = shapely.box(x, y, x + 1000, y + 1000) - hole
    told = []
    view.on_edited(told.append)
    view.edit(shape)
    corners = view._editor.corners
    assert not told
    assert corners.tags == [True]
    assert len(corners.data["x"]) == 8
    inner = [k for k, ring in enumerate(corners.data["ring"]) if ring == 1]
    moved = dict(corners.data, x=list(corners.data["x"]))
    moved["x"][inner[0]] += 50.0
    corners.data = moved
    (found,) = told
    assert len(found.interiors) == 1
    assert found.area != shape.area
    assert shapely.Polygon(found.exterior).equals(shapely.Polygon(shape.exterior))
    less = {
        key: np.delete(np.array(values), inner[0]) for key, values in corners.data.items()
    }  # as it may come
    corners.data = less
    assert len(told[-1].interiors[0].coords) == 4
    view.edit(None)
    assert corners.tags == [False]
    corners.data = {"x": [], "y": [], "ring": []}
    assert len(told) == 2


def click(view, x, y, times=1):
    for event in (Tap, DoubleTap)[:times]:
        view.figure._trigger_event(event(view.figure, x=x, y=y))


def test_drawing_ends_with_a_double_click(view, outlined):
    view.outline("mapped", outlined, color="red", hover=["area_km2"])
    (tip,) = view._drawings["mapped"][3]
    tapped, made = [], []
    view.on_tap(lambda x, y: tapped.append((x, y)))
    view.draw("polygon", made.append)
    assert tip.renderers == []  # nothing else is hit
    click(view, 0, 0, times=2)  # a polygon has three corners
    click(view, 10, 0)
    assert not made
    click(view, 10, 10, times=2)
    assert made[0].equals(shapely.Polygon([(0, 0), (10, 0), (10, 10)]))
    assert tip.renderers
    click(view, 3, 4)
    assert tapped == [(3, 4)]
    view.draw("line", made.append)
    click(view, 0, 0)
    click(view, 5, 5)
    view.finish()
    assert made[1].equals(shapely.LineString([(0, 0), (5, 5)]))
    view.draw("line", made.append)
    click(view, 1, 1)
    view.draw(None)
    click(view, 7, 7)
    assert tapped[-1] == (7, 7)
    assert len(made) == 2


# ---- where things lie ----


@pytest.mark.parametrize(
    ("crs", "bounds", "most_m"),
    [
        (UTM, (399960, 2990220, 509760, 3100020), 0.01),
        ("EPSG:32601", (200000, 7e6, 310000, 7.11e6), 0.01),  # across the antimeridian
        ("EPSG:32661", (1.9e6, 1.9e6, 2.1e6, 2.1e6), 0.1),  # the pole in the middle
        ("+proj=laea +lat_0=35 +lon_0=76", (-5e5, -5e5, 5e5, 5e5), 1),
    ],
)
def test_the_place_below_the_pointer(crs, bounds, most_m):
    fit = sphere_fit(CRS.from_user_input(crs), bounds)
    x, y = np.random.default_rng(0).uniform(bounds[:2], bounds[2:], (500, 2)).T
    u, v = (x - fit["cx"]) / fit["half"], (y - fit["cy"]) / fit["half"]
    terms = np.stack([u**i * v**j for i, j in fit["powers"]])
    east, north, up = np.array(fit["terms"]) @ terms
    lon, lat = np.degrees(np.arctan2(north, east)), np.degrees(np.arctan2(up, np.hypot(east, north)))
    there = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    assert Geod(ellps="WGS84").inv(lon, lat, *there)[2].max() < most_m


# ---- a basemap ----


@pytest.fixture
def tiles():
    """Tiles that bear their own place as a color; the address, and what was asked."""
    asked = []

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            z, x, y = map(int, self.path.removesuffix(".png").split("/")[1:])
            stream = io.BytesIO()
            Image.new("RGB", (256, 256), (x % 256, y % 256, z)).save(stream, "PNG")
            self.send_response(200 if x % 2 else 404)
            self.end_headers()
            self.wfile.write(stream.getvalue() if x % 2 else b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_tiles_lie_where_the_tile_scheme_says(tiles):
    address, asked = tiles
    bounds = (500000, 5430000, 520000, 5445000)
    found = Basemap(address).render("basemap", bounds, (150, 200), crs=UTM)
    seen = 0
    for row, column in ((20, 20), (75, 100), (140, 190), (100, 30), (40, 150)):
        x, y = 500000 + (column + 0.5) * 100, 5445000 - (row + 0.5) * 100
        lon, lat = np.radians(Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(x, y))
        zoom = int(asked[0].split("/")[1])
        across = int((lon / np.pi + 1) / 2 * 2**zoom)  # the scheme's own formulas, as in its wiki
        down = int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * 2**zoom)
        if across % 2:
            assert found[row, column].tolist() == [across % 256, down % 256, zoom, 255]
            seen += 1
        else:  # it was not there
            assert found[row, column, 3] == 0
    assert seen
    assert 80 < 156543.03 * np.cos(lat) / 2**zoom < 250  # about the picture's own pixels
    assert len(asked) <= 16


def test_without_tiles_the_map_is_as_it_is(pictured):
    view = MapView(pictured.crs, pictured.bounds, basemap="http://127.0.0.1:9/{z}/{x}/{y}.png")
    view.show("base", pictured, "red")
    assert image(view)[0].any()
    assert not image(view, "ground")[0].any()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "https://example.org/tiles", "{z}/{x}/{y}"])
def test_no_address_of_tiles(address):
    with pytest.raises(GlacierlabError, match="no address of tiles"):
        Basemap(address)


# ---- in a browser ----


class Shown:
    """A map in a browser: its page, and where on the page a place of the map is."""

    def __init__(self, browser, served, make, **options):
        import panel as pn

        def app():
            self.view = make()
            page = pn.template.BootstrapTemplate(title="map")
            page.main.append(pn.Column(self.view.panel(), self.view.swipe, sizing_mode="stretch_width"))
            return page

        self.page = visit(browser, served(app), **options)
        self.page.dialogs = []
        self.page.on("dialog", lambda dialog: (self.page.dialogs.append(dialog.message), dialog.dismiss()))
        self.wait(lambda: len(self.view._size) == 2 and image(self.view))

    def wait(self, until):
        for _ in range(200):
            if until():
                self.page.wait_for_timeout(150)
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it never came")

    def do(self, function):
        """Run something in the session, as a callback would."""
        done = threading.Event()
        self.view.figure.document.add_next_tick_callback(lambda: (function(), done.set()))
        self.wait(done.is_set)
        self.wait(lambda: not self.view._busy)

    def at(self, x, y):
        """Pixels of the page."""
        (left, bottom, right, top), (height, width) = self.view.view
        box = self.page.locator(".bk-Figure").first.bounding_box()
        return box["x"] + (x - left) / (right - left) * width, box["y"] + (top - y) / (top - bottom) * height

    def color(self, x, y):
        """What the page shows at a place of the map."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.array(shot.getpixel(tuple(int(each) for each in self.at(x, y))))

    def shows(self, pictures, name, x, y):
        expected = pictures.render(name, (x - 1, y - 1, x + 1, y + 1), (1, 1))[0, 0, :3]
        return abs(self.color(x, y) - expected.astype(int)).max() <= 3


@pytest.fixture
def middle(made):
    """The middle of a pixel that is far from its neighbors' borders."""
    return float(made.x[100]), float(made.y[80])


@pytest.mark.browser
def test_a_map_is_loaded_zoomed_panned_and_resized(browser, served, pictured, outlined, middle):
    def make():
        view = MapView(pictured.crs, pictured.bounds, height=500)
        view.show("base", pictured, "false color")
        view.outline("mapped", outlined, color="#ffd400", hover={"<b>Name</b>": "name", "Area": "area_km2"})
        return view

    shown = Shown(browser, served, make)
    page, view = shown.page, shown.view
    x, y = middle
    assert shown.shows(pictured, "false color", x, y)
    before = view.view[0]
    page.mouse.move(*shown.at(x, y))
    page.mouse.wheel(0, -400)
    shown.wait(lambda: view.view[0][2] - view.view[0][0] < 0.5 * (before[2] - before[0]) and not view._busy)
    assert shown.shows(pictured, "false color", x, y)
    before, (px, py) = view.view[0], shown.at(x, y)
    page.mouse.down()
    page.mouse.move(px + 120, py + 50, steps=4)
    page.mouse.up()
    shown.wait(lambda: view.view[0][0] < before[0] and not view._busy)
    assert shown.at(x, y) == pytest.approx((px + 120, py + 50), abs=3)
    assert shown.shows(pictured, "false color", x, y)
    page.set_viewport_size({"width": 700, "height": 800})
    shown.wait(lambda: view.view[1][1] < 700 and not view._busy)
    (left, bottom, right, top), (height, width) = view.view
    assert (right - left) / width == pytest.approx((top - bottom) / height)
    text = page.locator("text=/° N/").inner_text()
    assert "E" in text
    assert page.told == []
    assert outside(page) == []


@pytest.mark.browser
def test_hostile_names_are_text_where_the_pointer_rests(browser, served, pictured, outlined):
    largest = int(np.argmax(outlined.area))

    def make():
        view = MapView(pictured.crs, pictured.bounds, height=500)
        view.show("base", pictured, "false color")
        view.outline(
            "mapped", outlined, color="#ffd400", hover={"<b>Name</b> @told1": "name", "Area": "area_km2"}
        )
        return view

    shown = Shown(browser, served, make)
    inside = outlined.geometry.iloc[largest].representative_point()
    px, py = shown.at(inside.x, inside.y)
    shown.page.mouse.move(px, py)
    shown.page.mouse.move(px + 2, py)
    shown.page.wait_for_selector(".bk-tooltip-row-value")
    values = shown.page.locator(".bk-tooltip-row-value").all_inner_texts()
    labels = shown.page.locator(".bk-tooltip-row-label").all_inner_texts()
    assert values[0].strip() == f"{HOSTILE} {largest}"
    assert "<b>Name</b>" in labels[0]
    assert shown.page.dialogs == []
    assert shown.page.told == []


@pytest.mark.browser
def test_swiping_shows_one_picture_left_and_another_right(browser, served, pictured, made):
    def make():
        view = MapView(pictured.crs, pictured.bounds, height=500)
        view.show("base", pictured, "false color")
        view.show("swipe", pictured, "hillshade")
        return view

    shown = Shown(browser, served, make)
    shown.wait(lambda: image(shown.view, "swipe"))
    west, east = (float(made.x[80]), float(made.y[80])), (float(made.x[120]), float(made.y[80]))
    assert shown.shows(pictured, "false color", *west)
    assert shown.shows(pictured, "hillshade", *east)
    sent = image(shown.view, "swipe")
    handle = shown.page.locator(".noUi-handle")
    handle.focus()
    for _ in range(25):
        handle.press("ArrowRight")
    shown.wait(lambda: shown.view.swipe.value > 0.7)
    assert shown.shows(pictured, "false color", *east)
    for _ in range(50):
        handle.press("ArrowLeft")
    shown.wait(lambda: shown.view.swipe.value < 0.3)
    assert shown.shows(pictured, "hillshade", *west)
    assert image(shown.view, "swipe")[0] is not None
    np.testing.assert_array_equal(image(shown.view, "swipe")[0], sent[0])  # the browser cut it alone
    shown.do(lambda: shown.view.hide("swipe"))
    assert shown.shows(pictured, "false color", *east)
    assert shown.page.told == []


@pytest.mark.browser
def test_corners_are_dragged_made_and_taken_away(browser, served, pictured):
    left, bottom, right, top = pictured.bounds
    x, y = (left + right) / 2, (bottom + top) / 2
    ring = shapely.box(x - 1500, y - 1200, x + 1500, y + 1200) - shapely.box(
        x - 300, y - 300, x + 300, y + 300
    )
    told, tapped = [], []

    def make():
        view = MapView(pictured.crs, pictured.bounds, height=500)
        view.show("base", pictured, "false color")
        view.on_edited(told.append)
        view.on_tap(lambda *place: tapped.append(place))
        view.edit(ring)
        return view

    shown = Shown(browser, served, make)
    mouse = shown.page.mouse
    (px, py), (qx, qy) = shown.at(x + 300, y + 300), shown.at(x + 500, y + 400)
    mouse.move(px, py)
    mouse.down()
    mouse.move(qx, qy, steps=4)
    mouse.up()
    shown.wait(lambda: told)
    moved = told[-1]
    assert moved.exterior.equals(ring.exterior)
    expected = shapely.Polygon(
        [(x - 300, y - 300), (x + 300, y - 300), (x + 500, y + 400), (x - 300, y + 300)]
    )
    assert shapely.hausdorff_distance(shapely.Polygon(moved.interiors[0]), expected) < 15  # a pixel or so
    mouse.click(*shown.at(x - 1500, y))
    shown.wait(lambda: len(told) == 2)
    assert len(told[1].exterior.coords) == 6
    assert told[1].area == pytest.approx(moved.area, rel=0.01)
    shown.page.wait_for_timeout(500)  # or it is a double click
    mouse.dblclick(*shown.at(x - 1500, y))
    shown.wait(lambda: len(told) == 3)
    assert told[2].equals_exact(moved, 1e-6)
    before = shown.view.view[0]
    px, py = shown.at(x - 2500, y + 1800)
    mouse.move(px, py)
    mouse.down()
    mouse.move(px + 60, py, steps=3)
    mouse.up()
    shown.wait(lambda: shown.view.view[0][0] < before[0])
    assert len(told) == 3
    assert tapped == []
    drawn = []
    shown.do(lambda: (shown.view.edit(None), shown.view.draw("line", drawn.append)))
    for east in (-1000, 0):
        mouse.click(*shown.at(x + east, y))
        shown.page.wait_for_timeout(500)
    mouse.dblclick(*shown.at(x + 1000, y + 500))
    shown.wait(lambda: drawn)
    expected = shapely.LineString([(x - 1000, y), (x, y), (x + 1000, y + 500)])
    assert shapely.hausdorff_distance(drawn[0], expected) < 15
    assert shown.page.told == []
