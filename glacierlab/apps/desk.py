"""What a session of the inspector knows and does; no screen needed."""

import weakref
from threading import RLock

import geopandas as gpd
import shapely

from ..errors import GlacierlabError
from ..io.inventory import open_inventory
from ..io.layers import bounds_of
from ..mapping import outline
from ..outlines.polygons import class_names
from ..outlines.products import DEBRIS, LAKE, debris, lakes
from ..report.mapped import Reference
from ..tables import lookup
from .comparing import Comparison, ice_of
from .holdings import free_label
from .judging import Judge
from .lab import Lab
from .pictures import Pictures
from .review import Review, expected_area_error
from .uploads import read_upload

TRUTH = "truth"  # of made scenes: name of the variable, and of the reference


class Desk:
    """One date of what is held, its review, its threshold lab, and what it is held against.

    Parameters
    ----------
    holdings : Holdings
        Shared, and not changed.
    analyst : str
        The name in the audit trail.
    label : str, optional
        The date to begin with; default the last that has a scene.

    Attributes
    ----------
    references : dict of str to Reference
        Other outlines of the same ground, and the truth of a made scene.
    uploads : dict of str to Reference
        What was handed in.
    """

    def __init__(self, holdings, analyst="", label=None):
        self.holdings, self._analyst = holdings, analyst
        self.stock = stock_of(holdings)
        self.labels = holdings.labels
        self._made, self._lock = {}, RLock()
        self._files = {}  # that this session saved to, by date
        self._left_at = {}  # the current outline of a date whose review is made anew
        self._taken = set()  # dates whose review is of other outlines than those held
        self.uploads = {}
        self._label = label or next(iter(reversed(holdings.scenes)), self.labels[-1])
        lookup(dict.fromkeys(self.labels), self._label, kind="date")
        self._reference = next(iter(self.references), None)

    # ---- the date ----

    @property
    def label(self):
        """The date that is looked at; set it to look at another."""
        return self._label

    @label.setter
    def label(self, label):
        lookup(dict.fromkeys(self.labels), label, kind="date")
        self._label = label
        if self._reference not in self.references:
            self._reference = next(iter(self.references), None)

    @property
    def scene(self):
        """The scene of the date, or None."""
        return self.holdings.scenes.get(self.label)

    @property
    def prediction(self):
        """The map of the date, or None."""
        return self.holdings.predictions.get(self.label)

    @property
    def pictures(self):
        """What the date can be seen as; None without a scene."""
        return self.stock.pictures(self.label)

    # ---- who reviews what ----

    @property
    def analyst(self):
        return self._analyst

    @analyst.setter
    def analyst(self, name):
        self._analyst = str(name).strip()
        with self._lock:
            for key, review in list(self._made.items()):
                if key[0] == "review" and review.unsaved:
                    review.analyst = self._analyst
                elif key[0] == "review" and key[1] not in self._taken:
                    self._left_at[key[1]] = review.current
                    del self._made[key]  # made anew, with the journal of this analyst

    @property
    def review(self):
        """The `Review` of the date's outlines."""
        return self._once("review", self._new_review)

    @property
    def file(self):
        """The GeoPackage that `save` writes to, or None."""
        return self._files.get(self.label) or (self.holdings.files.get(self.label) if self.keeps else None)

    @property
    def keeps(self):
        """Whether every act goes to a sidecar at once, which a killed session leaves behind."""
        return self.label in self.holdings.files and self.label not in self._taken

    def save(self, path=None, *, overwrite=()):
        """Save the review to its file, or a new one; the path. See `Review.save`."""
        self._files[self.label] = self.review.save(path, overwrite=overwrite)
        return self._files[self.label]

    def take(self, outlines):
        """Review other outlines of the date, such as those of the lab, instead; what was done is let go."""
        with self._lock:
            self._files.pop(self.label, None)
            self._made["review", self.label] = self._new_review(outlines)
            self._taken.add(self.label)

    def _new_review(self, outlines=None):
        if outlines is None:
            outlines, doubt = self.stock.to_review(self.label)
            path = self.holdings.files.get(self.label)
        else:
            outlines, path = outlines.to_crs(self.holdings.crs), None
            doubt = expected_area_error(outlines, self.prediction)
        extent = None if self.scene is None else extent_of(self.scene, self.holdings.crs)
        review = Review(outlines, analyst=self.analyst, doubt=doubt, path=path, extent=extent)
        if (current := self._left_at.pop(self.label, None)) in review.ids:
            review.go(current)
        return review

    # ---- thresholds ----

    @property
    def lab(self):
        """The `Lab` of the date's scene; None where there is no layer to map from."""
        if self.scene is None:
            return None
        try:
            lab = self._once("lab", lambda: Lab(self.scene))
        except GlacierlabError:
            return None
        if lab.reference is not self._held_against():
            lab.reference = self._held_against()
        return lab

    # ---- what it is held against ----

    @property
    def references(self):
        """{name: Reference}, of the date and of all dates."""
        found = {name: Reference(table, name, False) for name, table in self.holdings.rivals.items()}
        if self.scene is not None and TRUTH in self.scene:
            found[TRUTH] = Reference(self.scene[TRUTH], TRUTH, True)
        return found | self.uploads

    @property
    def reference(self):
        """Name of the reference that scores are of, or None; set it to choose another."""
        return self._reference

    @reference.setter
    def reference(self, name):
        if name is not None:
            lookup(self.references, name, kind="reference")
        self._reference = name

    def hold_against(self, data, name="reference", complete=False):
        """Add outlines or a class map as a reference, and choose it; its name, with a number where taken."""
        if hasattr(data, "geometry"):
            data = data.to_crs(self.holdings.crs)
        name = free_label(name, self.references)
        self.uploads[name] = Reference(data, name, complete)
        self._reference = name
        return name

    def hold_upload(self, data, name):
        """Add what someone handed in as bytes, see `read_upload`, under the name of its file."""
        return self.hold_against(read_upload(data), name)

    def is_complete(self, complete):
        """Say whether the reference labels all ice of the scene."""
        chosen = self.references[self._reference]
        self.uploads[self._reference] = Reference(chosen.data, chosen.name, bool(complete))

    def _held_against(self):
        """The reference, the same object until it is told to be another."""
        if self._reference is None:
            return None
        found = self.references[self._reference]
        return self._once(f"reference {found.name}, {found.complete}", lambda: found)

    @property
    def can_judge(self):
        """Whether there are a scene and a reference."""
        return self.scene is not None and self._reference is not None

    @property
    def judge(self):
        """The `Judge` of the date's scene and the reference; None without either."""
        if not self.can_judge:
            return None
        reference = self._held_against()
        return self._once(
            f"judge by {reference.name}, {reference.complete}", lambda: Judge(self.scene, reference)
        )

    @property
    def scores(self):
        """Scores of the outlines as they are now, see `Judge.scores`; None without a reference or scene."""
        return None if self.judge is None else self.judge.scores(self.review.outlines)

    @property
    def rivals(self):
        """Names of outlines that the review's can be compared with: other dates, inventories, references."""
        dates = [label for label in self.holdings.outlines if label != self.label]
        return dates + [name for name, each in self.references.items() if hasattr(each.data, "geometry")]

    def rival(self, name):
        """The outlines of one of `rivals`."""
        lookup(dict.fromkeys(self.rivals), name, kind="inventory")
        return self.references[name].data if name in self.references else self.stock.outlines(name)

    def compare(self, name, ours=None):
        """The review's outlines, as they are now by default, against others by name: a `Comparison`."""
        return Comparison(self.review.outlines if ours is None else ours, self.rival(name), ("ours", name))

    # ---- products ----

    def lakes(self):
        """Lakes among the outlines, with their distance to ice: see `outlines.lakes`; empty without any."""
        outlines = self.review.outlines
        if "class" not in outlines:
            return outlines.iloc[:0]
        return lakes(outlines[outlines["class"] == LAKE], outlines, dem=self.holdings.dem)

    def debris(self):
        """Debris-covered area of each glacier: see `outlines.debris`; None where no map tells it."""
        if self.prediction is None or DEBRIS not in class_names(self.prediction["class_map"]).values():
            return None
        return debris(ice_of(self.review.outlines), self.prediction)

    def _once(self, kind, make):
        """What is made once for the date."""
        with self._lock:
            if (kind, self.label) not in self._made:
                self._made[kind, self.label] = make()
            return self._made[kind, self.label]


class Stock:
    """What is made of holdings for all sessions: pictures, and outlines with their expected errors.

    Outlines that a file holds are those of the file, read again once it was written.
    """

    def __init__(self, holdings):
        self._holdings, self._made, self._lock = weakref.ref(holdings), {}, RLock()

    def pictures(self, label):
        """`Pictures` of a date's scene; None without one."""
        held = self._holdings()
        if label not in held.scenes:
            return None
        make = lambda: Pictures(held.scenes[label], held.predictions.get(label), held.dem)
        return self._once(("pictures", label), None, make)

    def outlines(self, label):
        """Outlines of a date: of its file, else as held, else of its map, else none at all."""
        held, written = self._holdings(), self._written(label)
        if written is not None:
            path = held.files[label]
            return self._once(("file", label), written, lambda: open_inventory(path).to_crs(held.crs))
        if label in held.outlines:
            return held.outlines[label]
        if label not in held.predictions:
            return gpd.GeoDataFrame({"class": []}, geometry=[], crs=held.crs)
        return self._once(("map", label), None, lambda: outline(held.predictions[label]).to_crs(held.crs))

    def to_review(self, label):
        """Outlines of a date, and the expected area error of each [km²]."""
        outlines, prediction = self.outlines(label), self._holdings().predictions.get(label)
        make = lambda: expected_area_error(outlines, prediction)
        return outlines, self._once(("doubt", label), self._written(label), make)

    def _written(self, label):
        """When a date's file was written, and its size; None without a file."""
        path = self._holdings().files.get(label)
        if path is None or not path.exists():
            return None
        found = path.stat()
        return found.st_mtime_ns, found.st_size

    def _once(self, key, state, make):
        """What is made once for a state of the file."""
        with self._lock:
            if key not in self._made or self._made[key][0] != state:
                self._made[key] = state, make()
            return self._made[key][1]


_STOCKS = {}  # of each holdings, as long as they are there


def stock_of(holdings):
    """The `Stock` that all sessions of these holdings share."""
    key = id(holdings)
    if key not in _STOCKS:
        _STOCKS[key] = Stock(holdings)
        weakref.finalize(holdings, _STOCKS.pop, key, None)
    return _STOCKS[key]


def extent_of(scene, crs):
    """The ground of a scene as a polygon in a CRS."""
    left, _, right, _ = bounds = bounds_of(scene)
    edge = shapely.segmentize(
        shapely.box(*bounds), (right - left) / 20
    )  # a straight edge may be none elsewhere
    return gpd.GeoSeries([edge], crs=scene.rio.crs.to_wkt()).to_crs(crs).iloc[0]
