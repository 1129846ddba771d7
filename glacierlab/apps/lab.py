"""The threshold lab: one layer, one number, and at once what it maps and how good that is.

Chen et al. 2022, doi:10.1109/JSTARS.2022.3189277, Table II, sweeps the threshold of a band ratio so.
"""

import warnings
from threading import RLock

import numpy as np
from pyproj import CRS
from shapely.geometry import box

from ..errors import DataWarning, GlacierlabError, require_same_grid
from ..features.indices import layer
from ..features.threshold import area_curve, best_threshold, otsu, recall_curve
from ..io.layers import bounds_of, require_crs
from ..mapping import default_threshold, map_glaciers, outline
from ..tables import INDICES, RATIOS, lookup
from .coded import color_of
from .levels import sampled, sheets_of

RATIO_STEPS = np.arange(5, 101) / 10  # 0.5 to 10 by 0.1: an assumption around the published 2.0 ± 0.5
INDEX_STEPS = np.arange(-100, 101) / 100
STEPS = 100  # of a layer whose range is not known beforehand
MAX_PIXELS = 3000 * 3000  # a larger scene is swept over every nth pixel, and outlined where one looks
MAPPED = "#ffd400"
LASTING = ("steps", "areas", "thinned", "sheets")  # of a layer, whatever it is held against


class Lab:
    """A threshold on a layer of a scene, what it maps, and its scores where there is a reference.

    Parameters
    ----------
    scene : xarray.Dataset
    reference : Reference, optional
        Where it does not label all ice, recall is the only score.

    Attributes
    ----------
    names : list of str
        Layers that the scene yields: ratios and indices, those with a published threshold first.
    layer : str
        The one that is looked at; set it to look at another.
    threshold : float
        Glacier is above it; set it, to any finite number.
    reference : Reference or None

    Raises
    ------
    GridError
        The scene has no CRS.
    GlacierlabError
        The scene yields no layer, or no threshold can be found.
    """

    def __init__(self, scene, reference=None):
        require_crs(scene, "A threshold lab")
        self.scene, self._reference, self._lock = scene, reference, RLock()
        self.names = names_of(scene)
        if not self.names:
            raise GlacierlabError(
                f"This scene yields no ratio and no index: it has {list(scene.data_vars)}. Open its bands."
            )
        self._every = int(np.ceil(np.sqrt(scene.sizes["y"] * scene.sizes["x"] / MAX_PIXELS)))
        self.layer = self.names[0]

    @property
    def layer(self):
        return self._layer

    @layer.setter
    def layer(self, name):
        lookup(dict.fromkeys(self.names), name, kind="layer")
        self._layer, self._found, self._seen = name, {}, None
        self.image = layer(self.scene, name).transpose("y", "x")
        self._threshold = self.usual

    @property
    def threshold(self):
        return self._threshold

    @threshold.setter
    def threshold(self, number):
        if not np.isfinite(number):
            raise GlacierlabError(f"A threshold of {number} maps nothing: give a finite number.")
        self._threshold = float(number)

    @property
    def reference(self):
        return self._reference

    @reference.setter
    def reference(self, reference):
        self._reference = reference
        self._found = {name: found for name, found in self._found.items() if name in LASTING}

    @property
    def usual(self):
        """The published threshold of the layer, or the step next to Otsu's where none is."""
        try:
            return default_threshold(self.image, self.layer)
        except GlacierlabError:
            found = float(otsu(self._thinned()))
            return float(self.steps[np.argmin(abs(self.steps - found))])

    @property
    def steps(self):
        """Thresholds that a slider has (n,): of a layer of unknown range about a hundred."""
        return self._once("steps", lambda: steps_of(self.image.attrs, self._thinned))

    @property
    def curve(self):
        """`best_threshold` over the steps; None without a reference that labels all ice."""
        if self.reference is None or not self.reference.complete:
            return None
        return self._once(
            "curve", lambda: quietly(best_threshold, self._thinned(), self._truth(), self.steps)
        )

    @property
    def recall(self):
        """Recall by step, where the reference labels only some ice; else None."""
        if self.reference is None or self.reference.complete:
            return None
        return self._once("recall", lambda: recall_curve(self._thinned(), self._truth(), self.steps))

    @property
    def areas(self):
        """Area [km²] above each step, before anything is cleaned."""
        return self._once("areas", lambda: area_curve(self._thinned(), self.steps))

    def told(self):
        """What the threshold gives: area_km2, and precision, recall and f1 as far as they can be known."""
        place = int(np.argmin(abs(self.steps - self.threshold)))
        exact = np.isclose(self.steps[place], self.threshold, rtol=0, atol=1e-9)
        area = self.areas.iloc[place] if exact else area_curve(self._thinned(), [self.threshold]).iloc[0]
        told = {"area_km2": float(area)}
        if self.curve is not None:
            told |= self.curve.table[["precision", "recall", "f1"]].iloc[place].to_dict()
        elif self.recall is not None:
            told["recall"] = float(self.recall.iloc[place])
        return told

    def outlines(self, bounds=None):
        """Outlines of the map at this threshold, cleaned and exact.

        Parameters
        ----------
        bounds : (left, bottom, right, top), optional
            In the scene's CRS; of what lies there only. Default everywhere.

        Returns
        -------
        geopandas.GeoDataFrame
            See `mapping.outline`.
        """
        scene = self.scene if bounds is None else within(self.scene, bounds)
        return outline(map_glaciers(scene, self.layer, self.threshold).compute())

    def is_large(self, bounds=None):
        """Whether so many pixels lie there that outlines take long."""
        scene = self.scene if bounds is None else within(self.scene, bounds)
        return scene.sizes["y"] * scene.sizes["x"] > MAX_PIXELS

    def picture(self):
        """The map at this threshold, drawn as fast as a slider moves; as `Pictures` of one name."""
        return MappedPicture(self)

    def look(self, bounds, shape, crs=None):
        """The layer as a screen shows it, float32 (height, width), NaN outside; kept until that moves."""
        window = tuple(bounds), tuple(shape), crs
        with self._lock:
            sheets = self._once("sheets", lambda: sheets_of([self.image], held=[True]))
            if self._seen is None or self._seen[0] != window:
                self._seen = window, sampled(sheets, *window)[0]
            return self._seen[1]

    def value_at(self, x, y):
        """The layer's value at a place of the scene's CRS; NaN outside."""
        return float(
            sampled(self._once("sheets", lambda: sheets_of([self.image], held=[True])), (x, y, x, y), (1, 1))[
                0
            ].item()
        )

    def _thinned(self):
        """The layer, every nth pixel of a large one."""
        if self._every == 1:
            return self.image
        return self._once("thinned", lambda: self.image[:: self._every, :: self._every].compute())

    def _truth(self):
        """The reference on the pixels that are swept."""
        data = self.reference.data
        if hasattr(data, "geometry") or self._every == 1:
            return data
        require_same_grid(self.image, data, ("scene", self.reference.name))
        return data.transpose("y", "x")[:: self._every, :: self._every]

    def _once(self, name, make):
        with self._lock:
            if name not in self._found:
                self._found[name] = make()
            return self._found[name]


class MappedPicture:
    """What a lab maps, its border opaque and its inside tinted; as `Pictures` of one name."""

    names = ("mapped",)

    def __init__(self, lab):
        self._lab = lab
        self.crs, self.bounds = CRS.from_user_input(lab.scene.rio.crs.to_wkt()), bounds_of(lab.scene)

    def render(self, name, bounds, shape, stretch=None, crs=None):
        """A picture (height, width, 4) uint8 of a window, north up."""
        above = self._lab.look(bounds, shape, crs) > np.float32(self._lab.threshold)
        picture = np.zeros((*above.shape, 4), "uint8")
        picture[above] = color_of(MAPPED, 60)
        picture[above & ~inner(inner(above))] = color_of(MAPPED)
        return picture

    def value_at(self, name, x, y):
        """The layer's value at a place; NaN outside."""
        return self._lab.value_at(x, y)

    def legend(self, name, stretch=None):
        """None: one color has no scale."""


def inner(mask):
    """A mask (y, x) without its border pixels; those at the picture's edge stay."""
    found = mask.copy()
    found[1:] &= mask[:-1]
    found[:-1] &= mask[1:]
    found[:, 1:] &= mask[:, :-1]
    found[:, :-1] &= mask[:, 1:]
    return found


def names_of(scene):
    """Ratios and indices that a scene yields, those with a published threshold first."""
    bands, reflects = set(scene.data_vars), scene.attrs.get("radiometry") != "dn"
    ratios = {f"{r.numerator}/{r.denominator}": r for r in RATIOS.values()}
    ratios = [name for name in ratios if set(name.split("/")) <= bands]
    indices = {name: row for name, row in INDICES.items() if reflects and set(row.bands) <= bands}
    published = [name for name, row in indices.items() if row.threshold is not None]
    return ratios + published + [name for name in indices if name not in published]


def steps_of(attrs, make):
    """Thresholds of a slider, by the attributes of a layer or else by its values, which `make()` gives."""
    kind = attrs.get("kind")
    if kind == "ratio" and attrs.get("radiometry") != "dn":
        return RATIO_STEPS
    if kind == "normalized_difference":
        return INDEX_STEPS
    values = make().to_numpy()
    seen = values[np.isfinite(values)]
    if not seen.size:
        raise GlacierlabError("This layer has no observed pixel here: look at another layer or scene.")
    low, high = np.percentile(seen, (1, 99)).astype(float)
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-9) / STEPS)) * np.array([1, 2, 5, 10])
    step = step[step >= max(high - low, 1e-9) / STEPS][0]
    return np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step


def within(scene, bounds):
    """The pixels of a scene whose centers lie within bounds."""
    left, bottom, right, top = box(*bounds).bounds
    rows = np.flatnonzero((scene.y.values >= bottom) & (scene.y.values <= top))
    columns = np.flatnonzero((scene.x.values >= left) & (scene.x.values <= right))
    if len(rows) < 2 or len(columns) < 2:
        raise GlacierlabError("No two pixels of the scene lie there: zoom out, or to the scene.")
    return scene.isel(y=slice(rows[0], rows[-1] + 1), x=slice(columns[0], columns[-1] + 1))


def quietly(function, *args):
    """The result without a `DataWarning`: a slider shows that its best is at one end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return function(*args)
