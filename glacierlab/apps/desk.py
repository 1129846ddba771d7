"""What a session of the inspector knows and does; no screen needed."""

import weakref
from dataclasses import replace
from threading import RLock

import geopandas as gpd
import shapely

from ..errors import GlacierlabError
from ..io.layers import bounds_of
from ..mapping import outline
from ..outlines.polygons import class_names
from ..outlines.products import DEBRIS, LAKE, debris, lakes
from ..report.mapped import Reference
from ..tables import lookup
from .comparing import Comparison, ice_of
from .geopackage import outlines_of
from .holdings import free_label
from .judging import Judge
from .lab import Lab
from .pictures import Pictures
from .review import Review, expected_area_error
from .rows import into
from .uploads import read_upload

TRUTH = "truth"  # of made scenes: name of the variable, and of the reference
UNASKED = object()  # nobody chose a reference yet


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
        self._made, self._locks, self._lock = {}, {}, RLock()
        self._files = {}  # that this session saved to, by date
        self._taken = set()  # dates whose review is of other outlines than those held
        self.uploads = {}
        self._complete = {}  # whether a reference labels all ice, where someone said so
        self._chosen = UNASKED  # the reference, or None
        self._label = label or next(iter(reversed(holdings.scenes)), self.labels[-1])
        lookup(dict.fromkeys(self.labels), self._label, kind="date")

    # ---- the date ----

    @property
    def label(self):
        """The date that is looked at; set it to look at another."""
        return self._label

    @label.setter
    def label(self, label):
        lookup(dict.fromkeys(self.labels), label, kind="date")
        self._label = label

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
        for review in self._reviews():
            review.analyst = self._analyst

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
        taken = self._new_review(outlines)
        self.review.close()
        with self._lock:
            self._files.pop(self.label, None)
            self._made["review", self.label] = taken
            self._taken.add(self.label)

    def _new_review(self, outlines=None):
        if outlines is None:
            outlines, doubt = self.stock.to_review(self.label)
            path = self.holdings.files.get(self.label)
        else:
            outlines, path = outlines.to_crs(self.holdings.crs), None
            doubt = expected_area_error(outlines, self.prediction)
        extent = None if self.scene is None else extent_of(self.scene, self.holdings.crs)
        return Review(outlines, analyst=self.analyst, doubt=doubt, path=path, extent=extent)

    def called(self):
        """{id: name of the glacier}; the id where it has none, both where several share a name."""
        queue = self.review.queue
        ids, names = queue["id"], queue["name"]
        numbers = ids.str.isdecimal().astype(bool)  # of rows, where no column has ids
        alone = ids.mask(numbers, "outline " + ids)
        several = names.duplicated(keep=False)
        called = names.mask(several, names + " (" + ids + ")").mask(names == "", alone)
        return dict(zip(ids, called, strict=True))

    @property
    def outlines(self):
        """The review's outlines as they are now, with what each is `called`."""
        outlines = self.review.outlines
        return outlines.assign(called=outlines["review_id"].map(self.called()).astype(object))

    def close(self):
        """End the session: no journal stays open, and what is not saved waits in it for the next."""
        for review in self._reviews():
            review.close()

    def _reviews(self):
        with self._lock:
            return [made for (kind, _), made in self._made.items() if kind == "review"]

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
        found |= self.uploads
        said = {
            name: replace(found[name], complete=is_so)
            for name, is_so in self._complete.items()
            if name in found
        }
        return found | said

    @property
    def reference(self):
        """Name of the reference that scores are of, or None; set it to choose another.

        Until someone does it is what was given, else the truth of a made scene: never what a method mapped.
        """
        known = self.references
        if self._chosen is None or self._chosen in known:
            return self._chosen
        return next(iter(self.uploads), TRUTH if TRUTH in known else None)

    @reference.setter
    def reference(self, name):
        if name is not None:
            lookup(self.references, name, kind="reference")
        self._chosen = name

    def hold_against(self, data, name="reference", complete=None):
        """Add a reference and choose it.

        Parameters
        ----------
        data : geopandas.GeoDataFrame, xarray.DataArray or Reference
            Outlines, a class map, or either with its name and what it labels.
        name : str
        complete : bool, optional
            Whether it labels all ice; by default a class map does and outlines do not.

        Returns
        -------
        str
            Its name, with a number where that is taken.
        """
        if isinstance(data, Reference):
            data, name, complete = data.data, data.name, data.complete
        is_map = not hasattr(data, "geometry")
        name = free_label(name, self.references)
        data = data if is_map else into(data, self.holdings.crs)
        self.uploads[name] = Reference(data, name, is_map if complete is None else complete)
        self._chosen = name
        return name

    def hold_upload(self, data, name):
        """Add what someone handed in as bytes, see `read_upload`, under the name of its file."""
        return self.hold_against(read_upload(data), name)

    def is_complete(self, complete):
        """Say whether the reference labels all ice of the scene."""
        self._complete[self.reference] = bool(complete)

    def _held_against(self):
        """The reference, the same object until it is told to be another."""
        if self.reference is None:
            return None
        found = self.references[self.reference]
        return self._once(f"reference {found.name}, {found.complete}", lambda: found)

    @property
    def can_judge(self):
        """Whether there are a scene and a reference."""
        return self.scene is not None and self.reference is not None

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
        return Comparison(self.outlines if ours is None else ours, self.rival(name), ("ours", name))

    # ---- products ----

    def lakes(self, outlines=None):
        """Lakes among the outlines, with their distance to ice: see `outlines.lakes`; empty without any."""
        outlines = self.outlines if outlines is None else outlines
        if "class" not in outlines:
            return outlines.iloc[:0]
        return lakes(outlines[outlines["class"] == LAKE], outlines, dem=self.holdings.dem, by="called")

    def debris(self, outlines=None):
        """Debris-covered area of each glacier: see `outlines.debris`; None where no map tells it."""
        if self.prediction is None or DEBRIS not in class_names(self.prediction["class_map"]).values():
            return None
        return debris(ice_of(self.outlines if outlines is None else outlines), self.prediction)

    def _once(self, kind, make):
        """What is made once for the date; what is made in a thread keeps nobody from the rest."""
        key = kind, self.label
        with self._lock:
            lock = self._locks.setdefault(key, RLock())
        with lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]


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
            return self._once(("file", label), written, lambda: into(outlines_of(path), held.crs))
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
