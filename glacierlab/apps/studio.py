"""The inspector: look at a scene and its outlines, correct them, and sign."""

import logging
from functools import partial
from html import escape

import panel as pn

from ..errors import GlacierlabError
from .comparing_tab import ComparingTab
from .desk import Desk
from .holdings import Holdings, held
from .judging import Judgment
from .judging_tab import JudgingTab
from .keys import Keys
from .lab_tab import LabTab
from .layers_tab import ERRORS, LayersTab
from .mapview import POOL, MapView
from .pieces import KINDS, WIDTH
from .products_tab import debris_tab, lakes_tab
from .review_tab import ReviewTab, clock
from .tools import Tools

LOG = logging.getLogger(__name__)
HEIGHT = 680  # pixels of the map
AROUND_M = 250  # of the outline that is looked at
NARROW = ".bk-tab { padding: 6px 5px !important; font-size: 13px !important; }"  # seven of them in a row


def inspect(scenes=None, prediction=None, outlines=None, dem=None, *, reference=None, analyst=None):
    """Look at scenes and outlines, correct them, and sign; in a notebook, served, or without a screen.

    Parameters
    ----------
    scenes : xarray.Dataset, list or dict of them, path, list of paths, or Holdings, optional
        See `apps.held`; a folder that `glacierlab demo`, `map` or `change` wrote holds all of it.
    prediction : xarray.Dataset, list or dict of them, or path, optional
        Maps of the scenes.
    outlines : geopandas.GeoDataFrame, list or dict of them, or path, optional
        Default those of the prediction. Of a path, edits are saved to it where it is a GeoPackage.
    dem : xarray.DataArray or path, optional
    reference : geopandas.GeoDataFrame, xarray.DataArray or Reference, optional
        What scores are of. Outlines are taken to label only some of the ice (an assumption: recall alone is
        told) unless a `Reference` says otherwise; a class map is taken to label all.
    analyst : str, optional
        Who signs; default who is logged in.

    Returns
    -------
    Studio
        A Panel viewer; `review`, `lab`, `scores`, `map` and more work without a browser.

    Raises
    ------
    GlacierlabError
        There is nothing to show, or a path cannot be read.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    >>> studio = inspect(scene, scene.glacier.map_glaciers(), analyst="Ana")
    >>> studio.accept()
    >>> studio.review.trail[["who", "what"]].values.tolist()
    [['Ana', 'accept']]
    """
    given = (prediction, outlines, dem)
    alone = isinstance(scenes, Holdings) and all(each is None for each in given)
    holdings = scenes if alone else held(scenes, *given)
    if analyst is None:
        analyst = pn.state.user if pn.state.user not in (None, "guest") else ""
    studio = Studio(Desk(holdings, analyst))
    if reference is not None:
        studio.hold_against(reference)
    return studio


class Studio(pn.viewable.Viewer):
    """The inspector of one session; see `inspect`.

    Attributes
    ----------
    desk : Desk
        What the session knows and does, without a screen.
    map : MapView
    layers : LayersTab
        What the map shows, by widgets that a script may set, too.
    """

    def __init__(self, desk):
        super().__init__()
        self.desk = desk
        self.map = MapView(desk.holdings.crs, first_bounds(desk), height=HEIGHT)
        self.status = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 10), height=26)
        self.heading = pn.pane.HTML("", margin=(4, 10))
        self._judgment, self._asked, self._acting = None, {}, 0
        self.layers, self.tools = LayersTab(self), Tools(self)
        self.judging, self.comparing = JudgingTab(self), ComparingTab(self)
        self.queue, self.thresholds = ReviewTab(self, self.tools), LabTab(self)
        self._tabs = [
            self.layers, self.queue, self.thresholds, self.judging, lakes_tab(self), debris_tab(self),
            self.comparing,
        ]  # fmt: skip
        self.tabs = pn.Tabs(
            *((tab.title, tab.panel) for tab in self._tabs),
            width=WIDTH + 20,
            dynamic=True,
            stylesheets=[NARROW],
        )
        self.tabs.param.watch(self.doing(self._turned), "active")
        self.keys = Keys(self.doing_with(self._pressed))
        self._shown = 0
        self.map.on_tap(self.doing_with(self._tapped))
        self._head()
        self.layers.refresh()
        self.queue.refresh()
        self.recover()

    def __panel__(self):
        sidebar = pn.Column(self.tabs, self.keys, width=WIDTH + 20, max_height=HEIGHT + 120, scroll=True)
        stage = pn.Column(
            self.heading, self.layers.dates, self.map.panel(), self.status, sizing_mode="stretch_width"
        )
        return pn.Row(sidebar, stage, sizing_mode="stretch_width")

    # ---- what it knows ----

    @property
    def review(self):
        """The `Review` of the date's outlines; after changing it in a script, `refresh()` shows it."""
        return self.desk.review

    @property
    def lab(self):
        """The `Lab` of the date's scene, or None."""
        return self.desk.lab

    @property
    def scores(self):
        """Scores of the outlines as they are now, a DataFrame; None without a reference."""
        return self.desk.scores

    @property
    def label(self):
        """The date that is looked at."""
        return self.desk.label

    def hold_against(self, reference, name="reference"):
        """Hold the outlines against a reference: outlines, a class map, or a `Reference`."""
        complete = getattr(reference, "complete", not hasattr(reference, "geometry"))
        name = self.desk.hold_against(
            getattr(reference, "data", reference) if hasattr(reference, "complete") else reference,
            getattr(reference, "name", None) or name, complete,
        )  # fmt: skip
        self._judgment = None
        self.layers.refresh()
        self._refresh()
        return name

    @property
    def judgment(self):
        """The `Judgment` of the outlines that the map shows; None without a reference or scene."""
        if self._judgment is None and self.desk.can_judge:
            self._judgment = Judgment(partial(getattr, self.desk, "judge"), self.review.outlines)
        return self._judgment

    def judge_anew(self):
        """The outlines, the date or the reference are others."""
        self._judgment = None
        if self.layers.over.value == ERRORS:
            self.layers.draw_over()

    # ---- what it does ----

    def accept(self, reason=""):
        """Accept the current outline and go to the next."""
        self.review.accept(self.review.current, reason)
        self.review.next()
        self.edited()

    def reject(self, reason):
        """Reject the current outline, with a reason, and go to the next."""
        self.review.reject(self.review.current, reason)
        self.review.next()
        self.edited()

    def go(self, one):
        """Make an outline the current one, and look at it."""
        self.tools.stop()
        if one is not None:
            self.review.go(one)
        self.layers.mark_current()
        self.zoom_to_current()
        self.queue.refresh()

    def look_at(self, label):
        """Look at another date."""
        if label == self.desk.label:
            return
        self.tools.stop()
        self.map.remove("lab")
        self.desk.label = label
        self._judgment = None
        self._head()
        self.layers.refresh()
        self.recover()
        self._refresh()

    def take(self, outlines):
        """Review other outlines of the date instead; refused while acts are not saved."""
        self.require_saved()
        self.desk.take(outlines)
        self.edited(f"{len(outlines)} outlines to review")

    def refresh(self):
        """Show everything as it is now, after a script changed `review`, `lab` or `desk`."""
        self.layers.refresh()
        self.judge_anew()
        self.queue.refresh()
        self._tabs[self.tabs.active].refresh()

    def require_saved(self):
        """GlacierlabError while acts of the review are not saved."""
        if unsaved := self.review.unsaved:
            raise GlacierlabError(f"{unsaved} acts of this review are not saved: save or undo them first.")

    def edited(self, told=""):
        """Show what an act changed; every act of the browser ends here."""
        self.layers.draw_outlines()
        self.judge_anew()
        self._refresh()
        self.tell(f"{told + ', ' if told else ''}{self._where_kept()} {clock()}", "done")

    def told_of(self, act, told):
        """Show what an undo or a redo changed."""
        self.tools.again()
        if act is None:
            self.tell("There is nothing to take back or do again.")
        else:
            self.edited(told)

    def save(self, path=None, *, overwrite=()):
        """Save the review to its GeoPackage, or to a new one; see `Review.save`."""
        saved = self.desk.save(path, overwrite=overwrite)
        self.edited()
        self.tell(f"saved to {saved.name} {clock()}", "done")
        return saved

    def recover(self):
        """Bring back what a session that was killed had not saved; how many acts."""
        found = self.review.recover()
        if found:
            self.edited()
            self.tell(f"recovered {found} edits of a session that was not saved", "done")
        return found

    def _where_kept(self):
        return "saved to sidecar" if self.desk.keeps else "kept in this session"

    # ---- the map ----

    @property
    def bounds(self):
        """(left, bottom, right, top) that is in view."""
        return self.map.view[0]

    def in_scene(self, bounds):
        """Bounds of the map in the CRS of the date's scene."""
        from pyproj import Transformer

        own = self.desk.scene.rio.crs.to_wkt()
        return Transformer.from_crs(self.desk.holdings.crs, own, always_xy=True).transform_bounds(*bounds)

    def zoom_to_current(self):
        """Look at the current outline and what lies around it."""
        if self.review.current is None:
            return
        left, bottom, right, top = self.review.geometry(self.review.current).bounds
        self.map.zoom_to((left - AROUND_M, bottom - AROUND_M, right + AROUND_M, top + AROUND_M))

    def _tapped(self, x, y):
        from shapely import Point

        if self.tools.tapped(x, y):
            return
        outlines, place = self.review.outlines, Point(x, y)
        hit = outlines.iloc[outlines.sindex.query(place, predicate="intersects")]
        if len(hit):
            self.review.go(hit["review_id"].iloc[hit.area.argmin()])
            self.layers.mark_current()
            self._refresh()

    # ---- the page ----

    def _turned(self):
        """Another tab is open: the one before takes its layer away."""
        before, now = self._tabs[self._shown], self._tabs[self.tabs.active]
        self._shown = self.tabs.active
        for tab, name in [(before, "closed"), (now, "opened")]:
            if name == "opened":
                tab.refresh()
            getattr(tab, name, lambda: None)()

    def _refresh(self):
        """Show the open tab as things are now, and the queue."""
        self.queue.refresh()
        open_now = self._tabs[self.tabs.active]
        if open_now not in (self.layers, self.queue):
            open_now.refresh()

    def _head(self):
        """What is looked at, above the map."""
        scene = self.desk.scene
        told = [self.label, *(scene.attrs.get(key, "") for key in ("title", "sensor") if scene is not None)]
        told = dict.fromkeys(str(each).replace("_", " ") for each in told if each)
        self.heading.object = f'<div style="font-size:15px;font-weight:600">{escape(" · ".join(told))}</div>'

    def _pressed(self, name):
        dict(
            next=self.queue.go_next, previous=self.queue.go_previous, accept=self.queue.do_accept,
            undo=self.queue.do_undo,
        )[name]()  # fmt: skip

    def later(self, kind, work, show):
        """Do work in a thread and show what it gives, unless newer work of its kind was asked for meanwhile.

        Without a browser it is done at once.
        """
        document = self._document()
        if document is None:
            show(work())
            return
        self._asked[kind] = ticket = object()
        wanted = lambda: self._asked[kind] is ticket

        def run():
            if not wanted():
                return
            try:
                found = work()
            except Exception as error:  # nobody waits for this thread: what went wrong is told
                if not isinstance(error, GlacierlabError):
                    LOG.warning("Work for the page failed", exc_info=error)
                document.add_next_tick_callback(partial(self.tell, str(error), "error"))
                return
            document.add_next_tick_callback(lambda: show(found) if wanted() else None)

        POOL.submit(run)

    def tell(self, text, kind="info"):
        """Say something in the line below the map; screen readers read it."""
        mark, color = KINDS[kind]
        style = f"border-left:5px solid {color};padding-left:8px;font-weight:600"
        self.status.object = f'<div role="status" style="{style}">{mark}{escape(text)}</div>'

    def doing(self, function):
        """A handler of events that calls a function without them; an error of ours is told, not raised."""
        return self.doing_with(lambda *_: function())

    def doing_with(self, function):
        """The same, with the arguments. It holds a session's document, which Panel's own handlers do not."""

        def act(*args):
            self._acting += 1
            try:
                function(*args)
            except GlacierlabError as error:
                self.tell(str(error), "error")
            finally:
                self._acting -= 1

        def handler(*args):
            document = self._document()
            if document is None or self._acting:  # what an act of ours changes is answered within it
                act(*args)
            else:
                document.add_next_tick_callback(partial(act, *args))

        return handler

    def _document(self):
        """The document of a session with a browser, or None."""
        document = self.map.figure.document
        return None if document is None or document.session_context is None else document


def first_bounds(desk):
    """What the map shows first: the scene of the date, or all outlines."""
    from rasterio.warp import transform_bounds

    from ..io.layers import bounds_of

    if desk.scene is None:
        return desk.holdings.bounds
    return transform_bounds(desk.scene.rio.crs, desk.holdings.crs.to_wkt(), *bounds_of(desk.scene))
