"""The inspector: look at a scene and its outlines, correct them, and sign."""

from functools import partial
from html import escape

import panel as pn

from ..errors import GlacierlabError
from ..tables import SENSORS
from .answering import Answering
from .comparing_tab import ComparingTab
from .desk import Desk
from .frame import framed
from .holdings import Holdings, held
from .judging import Judgment
from .judging_tab import JudgingTab
from .keys import Keys
from .lab_tab import LabTab
from .layers_tab import ERRORS, LayersTab
from .mapview import MapView
from .pieces import counted
from .products_tab import debris_tab, lakes_tab
from .review_tab import ReviewTab, clock, told_of_flaws, told_of_save
from .sessions import end_abandoned, end_with_session
from .tools import Tools

HEIGHT = 680  # pixels of the map where no page says how high it is
ACTS = {"vertices": "change of corners", "add": "drawing"}  # what a review calls otherwise
AROUND_M = 250  # of the outline that is looked at


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


class Studio(Answering):
    """The inspector of one session; see `inspect`.

    Attributes
    ----------
    desk : Desk
        What the session knows and does, without a screen.
    map : MapView
    layers : LayersTab
        What the map shows, by widgets that a script may set, too.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> studio = gl.apps.inspect(scene, scene.glacier.map_glaciers(), analyst="Ana")
    >>> studio.reject("snow")
    >>> studio.review.trail[["who", "what", "reason"]].values.tolist()
    [['Ana', 'reject', 'snow']]
    """

    def __init__(self, desk):
        dark = pn.config.theme == "dark"
        shown = MapView(desk.holdings.crs, first_bounds(desk), height=HEIGHT, dark=dark)
        super().__init__(shown.figure)
        self.desk, self.map = desk, shown
        self.heading = pn.pane.HTML("", margin=(4, 10))
        self._judgment = None
        self.layers, self.tools = LayersTab(self), Tools(self)
        self.judging, self.comparing = JudgingTab(self), ComparingTab(self)
        self.queue, self.thresholds = ReviewTab(self, self.tools), LabTab(self)
        self._tabs = [
            self.layers, self.queue, self.thresholds, self.judging, lakes_tab(self), debris_tab(self),
            self.comparing,
        ]  # fmt: skip
        self.tabs = pn.Tabs(
            *((tab.title, tab.panel) for tab in self._tabs),
            sizing_mode="stretch_width",
            dynamic=True,
        )
        self.tabs.param.watch(self.doing(self._turned), "active")
        self.keys = Keys(self.doing_with(self._pressed))
        self._shown = 0
        self.map.on_tap(self.doing_with(self._tapped))
        # a page that is loaded anew: its old session ends only now
        end_with_session(self, self.doing(self._loaded))
        self._head()
        self.layers.refresh()
        self.queue.refresh()
        self._welcome()
        self.recover()

    def __panel__(self):
        heading, stage = [self.heading, self.layers.dates], [self.map.panel(fill=True), self.layers.legend]
        return framed(self.status, self.tabs, self.keys, heading, stage)

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
        name = self.desk.hold_against(reference, name)
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
        self._decide("Accepted", partial(self.review.accept, reason=reason))

    def reject(self, reason):
        """Reject the current outline, with a reason, and go to the next."""
        self._decide("Rejected", partial(self.review.reject, reason=reason))

    def _decide(self, done, act):
        self.tools.stop()
        one, name = self.review.current, self.desk.called().get(self.review.current)
        act(one)
        self.review.next()
        self.edited(f"{done}: {name}")

    def restore(self, one, reason=""):
        """Bring a rejected outline back into the queue, and make it the current one."""
        self.tools.stop()
        self.review.restore(one, reason)
        self.review.go(one)
        self.edited(f"Back in the queue: {self.desk.called()[one]}")

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
        self.tools.stop()
        self.desk.take(outlines)
        self.edited(f"{counted(len(outlines), 'outline')} to review")

    def refresh(self):
        """Show everything as it is now, after a script changed `review`, `lab` or `desk`."""
        self.layers.refresh()
        self.judge_anew()
        self.queue.refresh()
        self._tabs[self.tabs.active].refresh()

    def require_saved(self):
        """GlacierlabError while acts of the review are not saved."""
        if unsaved := self.review.unsaved:
            raise GlacierlabError(f"{counted(unsaved, 'act')} not saved yet: save or undo first.")

    def edited(self, told="Changed"):
        """Show what an act changed, and say so; every act of the browser ends here."""
        self._show_review()
        self.tell(f"{told}. {self._where_kept()} {clock()}", "done")

    def _show_review(self):
        self.layers.draw_outlines()
        self.judge_anew()
        self._refresh()

    def told_of(self, act, told):
        """Show what an undo or a redo changed: `act` is what the review called it."""
        self.tools.again()
        if act is None:
            self.tell("There is nothing to take back or do again.")
        else:
            act = act.removeprefix("undo ").removeprefix("redo ")
            self.edited(f"{told}: {ACTS.get(act, act)}")

    def save(self, path=None, *, overwrite=()):
        """Save the review to its GeoPackage, or to a new one; see `Review.save`.

        Outlines that cross themselves are saved, too, and the page says which they are.
        """
        changes, acts = self.review.changes, self.review.unsaved
        saved = self.desk.save(path, overwrite=overwrite)
        self._show_review()
        flaws, called = self.review.flaws, self.desk.called()
        told = f"{told_of_save(changes, acts, saved.name)} {clock()}"
        if flaws:
            told += f". But {told_of_flaws({called[one]: flaw for one, flaw in flaws.items()})}"
        self.tell(told, "error" if flaws else "done")
        return saved

    def recover(self):
        """Bring back what an ended session of the same analyst had not saved; how many acts."""
        end_abandoned()
        found = self.review.recover()
        if found:
            if self.review.queue.set_index("id").status[self.review.current]:
                self.review.next()
            self._show_review()
            told = f"Here again: {counted(found, 'act')} of a session that ended without a save."
            self.tell(f"{told} {self._where_kept()}", "done")
        return found

    def _loaded(self):
        """The page is there: what an old session of it did is brought back, or told."""
        if not self.recover():
            self.queue.refresh()

    def close(self):
        """End the session: what is not saved waits beside the file for the next one of the same analyst."""
        self.desk.close()

    def _where_kept(self):
        if self.desk.file is None:
            return "Kept until this page is closed: download the outlines to keep them longer."
        kept = "Kept safe; " if self.desk.keeps else ""
        return f"{kept}Save writes it to {self.desk.file.name}."

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
        outlines, place = self.layers.seen, Point(x, y)
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
        if hasattr(before, "closed"):
            before.closed()
        now.refresh()
        if hasattr(now, "opened"):
            now.opened()

    def _refresh(self):
        """Show the open tab as things are now, and the queue."""
        self.queue.refresh()
        open_now = self._tabs[self.tabs.active]
        if open_now not in (self.layers, self.queue):
            open_now.refresh()

    def _head(self):
        """What is looked at, above the map; a date that is told already is not told again."""
        scene = self.desk.scene
        title, sensor = (
            ("", "") if scene is None else (scene.attrs.get(key, "") for key in ("title", "sensor"))
        )
        has_date = self.label in str(title) or self.layers.dates.visible
        sensor = SENSORS[sensor].long_name if sensor in SENSORS else sensor
        told = ["" if has_date else self.label, title, sensor]
        told = " · ".join(dict.fromkeys(str(each) for each in told if each))
        self.heading.object = f'<div style="font-size:15px;font-weight:600">{escape(told)}</div>'

    def _welcome(self):
        status = self.review.queue["status"]
        if len(status):
            told = f"{(status == '').sum()} of {counted(len(status), 'outline')}"
            self.tell(f"{told} to decide on, the most doubtful first.")
        else:
            self.tell("No outlines yet: map some under Threshold, or draw one under Review.")

    def _pressed(self, name):
        dict(
            next=self.queue.go_next, previous=self.queue.go_previous, accept=self.queue.do_accept,
            undo=self.queue.do_undo,
        )[name]()  # fmt: skip


def first_bounds(desk):
    """What the map shows first: the scene of the date, or all outlines."""
    from rasterio.warp import transform_bounds

    from ..io.layers import bounds_of

    if desk.scene is None:
        return desk.holdings.bounds
    return transform_bounds(desk.scene.rio.crs, desk.holdings.crs.to_wkt(), *bounds_of(desk.scene))
