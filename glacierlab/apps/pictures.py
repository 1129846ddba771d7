"""What a scene, its prediction and its DEM can be seen as, and pictures of any window of them."""

import itertools
import threading
import weakref

import numpy as np
import xarray as xr
from pyproj import CRS

from ..features.dem import TERRAIN, terrain
from ..features.indices import layer
from ..features.layers import Context, read_layer
from ..features.recipe import stack
from ..features.stacking import SUN, require_pixels
from ..io.layers import bounds_of, require_crs
from ..io.radiometry import FLAGS, kind_of
from ..tables import INDICES, NOT_OBSERVED, RATIOS, TASSELED_CAP
from ..viz.figures import COMPOSITES
from ..viz.predictions import class_colors
from .levels import Shelf, sampled, sheets_of

SHELF = Shelf(2**30)  # bytes, of all scenes together
NUMBERS = itertools.count()
PRESETS = {
    "true color": ("red", "green", "blue"),
    "false color": COMPOSITES[0],  # ice is turquoise
    "color infrared": COMPOSITES[1],
    "infrared and red": COMPOSITES[3] + COMPOSITES[3][-1:],
}
GAMMA = 0.8  # of composites, as in `viz.false_color`
PALETTES = {"band": "gray", "index": "cividis", "signed": "RdBu", "probability": "viridis", "doubt": "magma"}
FIXED = {
    "coherence": (0.0, 1.0), "entropy": (0.0, 1.0), "spread": (0.0, 0.5), "hillshade": (1.0, 255.0),
    "cast_shadow": (0.0, 1.0),
}  # fmt: skip
GRAY = ("hillshade", "cast_shadow", "coherence")
DOUBTS = ("entropy", "spread")
PROBABILITY, CLASS_MAP = "probability of ", "class map"
BACKGROUND_ALPHA = 60  # of 255, so that the class map can lie on a scene; not observed is clear
FEWEST = 3  # reflective bands that are worth components


class Pictures:
    """A scene, its prediction and its DEM, to be drawn window by window; shared by all who look.

    Parameters
    ----------
    scene : xarray.Dataset
        Dims (y, x), with a CRS; perhaps lazy, best in chunks of about 1024 pixels.
    prediction : xarray.Dataset, optional
        As `gl.predict` or `map_glaciers` gives it, in the same CRS. Compute or write a lazy one first, or
        the model runs again whenever single pixels are seen.
    dem : xarray.DataArray, optional
        Heights [m], on any grid; by default the scene's `elevation`.

    Attributes
    ----------
    crs : pyproj.CRS
    bounds : (left, bottom, right, top)
    names : list of str
        What can be drawn, composites first. `render` also takes any layer that `Recipe` knows: of one with
        several features the first three are red, green and blue ("pca:3").

    Notes
    -----
    What is drawn first goes once through `levels.sheets_of`: smaller sizes, 2, 4, 8, … times, as float16 (a
    third of two bytes a pixel) are kept for all scenes and sessions together, `SHELF.most_bytes` of them,
    1 GB by default; what was not looked at for longest goes first and is made again when asked. Full size
    is read from the scene, for the window alone. All methods may be called from several threads.
    """

    def __init__(self, scene, prediction=None, dem=None):
        require_pixels(scene)
        self.scene, self.prediction = scene, prediction
        self.crs = CRS.from_user_input(require_crs(scene, "A map").to_wkt())
        self.bounds = bounds_of(scene)
        self._dem = dem if dem is not None else scene.get("elevation")
        self._key, self._making = next(NUMBERS), threading.Lock()
        weakref.finalize(self, SHELF.drop, self._key)
        self.names = [*self._composites(), *self._layers(), *self._predicted()]

    # ---- what there is ----

    def _composites(self):
        return [name for name, bands in PRESETS.items() if all(band in self.scene for band in bands)]

    def _layers(self):
        scene = self.scene
        numbers = {name: kind_of(name) for name, v in scene.data_vars.items()
                   if set(v.dims) == {"y", "x"} and v.dtype.kind in "iuf" and name not in FLAGS}  # fmt: skip
        bands = [name for name, kind in numbers.items() if kind != "layer"]
        names = [*bands, *self._indices(), *self._transforms(bands)]
        if self._dem is not None:
            names += ["hillshade", "slope", "elevation"]
            names += ["cast_shadow"] * all(name in scene.attrs for name in SUN)
        return list(dict.fromkeys([*names, *numbers]))

    def _indices(self):
        pairs = [(row.numerator, row.denominator) for row in RATIOS.values()]
        ratios = [f"{top}/{bottom}" for top, bottom in pairs if top in self.scene and bottom in self.scene]
        if self.scene.attrs.get("radiometry") == "dn":
            return ratios
        return ratios + [n for n, row in INDICES.items() if all(band in self.scene for band in row.bands)]

    def _transforms(self, bands):
        known = f"{self.scene.attrs.get('sensor')}:{self.scene.attrs.get('radiometry', 'unknown')}"
        tables = [row for row in TASSELED_CAP.values()
                  if known in row.default_for and all(band in self.scene for band in row.bands)]  # fmt: skip
        names = [f"tasseled_cap:{component}" for row in tables[:1] for component in row.coefficients]
        if sum(kind_of(name) == "reflective" for name in bands) >= FEWEST:
            names += ["pca:3", "pca:1"]
        if bands:
            seen = "nir" if "nir" in bands else bands[0]
            names += [f"glcm:{seen}:contrast", f"glcm:{seen}:entropy"]
        return names

    def _predicted(self):
        if self.prediction is None:
            return []
        found = self.prediction
        names = [f"{PROBABILITY}{each}" for each in found.get("class", xr.DataArray([])).values.tolist()
                 if "probability" in found and each != "background"]  # fmt: skip
        return [*names, *(d for d in DOUBTS if d in found), *([CLASS_MAP] if "class_map" in found else [])]

    @property
    def classes(self):
        """{class: color} of the class map, empty where there is none."""
        if self.prediction is None or "class_map" not in self.prediction:
            return {}
        return class_colors(self.prediction["class_map"].attrs["flag_meanings"].split())

    # ---- what it looks like ----

    def render(self, name, bounds, shape, stretch=(2, 98), crs=None, *, draft=False):
        """A picture of a window.

        Parameters
        ----------
        name : str
            Of `names`, or any layer that a stack can have.
        bounds : (left, bottom, right, top)
        shape : (height, width)
        stretch : (low, high)
            Percentiles of the whole scene, seen at its coarsest, that become the ends of the colors; layers
            of a fixed range, such as a probability, do not use them.
        crs : pyproj.CRS, optional
            That `bounds` and the picture are in, where it is not the scene's: each pixel looks its place up.
        draft : bool
            Half as fine, from what is in memory, where the picture would have to be read from a file.

        Returns
        -------
        numpy.ndarray
            (height, width, 4) uint8, north up, clear where there is no data. None of a draft that would be
            no quicker.

        Raises
        ------
        GlacierlabError
            There is no such layer, or the scene cannot yield it.
        """
        sheets = self._sheets(name)
        found = sampled(sheets, bounds, tuple(shape), crs, draft=draft)
        if found is None:
            return None
        if sheets[0].codes:
            return self._class_colors()[found[0]]
        if len(sheets) > 1:
            ends = [sheet.limits(tuple(stretch)) for sheet in sheets]
            return composed(found, ends)
        low, high, colors = self._scale(name, sheets[0], stretch)
        return colored(found[0], low, high, colors)

    def value_at(self, name, x, y):
        """The number below a point of the scene's CRS; NaN outside, without data, and of composites."""
        sheets = self._sheets(name)
        sheet = sheets[0]
        column, row = ~sheet.transform * (x, y)
        within = 0 <= column < sheet.values.sizes["x"] and 0 <= row < sheet.values.sizes["y"]
        if len(sheets) > 1 or not within:
            return float("nan")
        value = float(sheet.values[int(row), int(column)])
        return float("nan") if sheet.codes and value == NOT_OBSERVED else value

    def legend(self, name, stretch=(2, 98)):
        """(low, high, palette of 256 hex colors) of a layer; None of composites and the class map."""
        sheets = self._sheets(name)
        if len(sheets) > 1 or sheets[0].codes:
            return None
        low, high, colors = self._scale(name, sheets[0], stretch)
        return low, high, ["#{:02x}{:02x}{:02x}".format(*color) for color in colors[:, :3]]

    def _scale(self, name, sheet, stretch):
        """Ends and colors (256, 4) of a layer of one feature."""
        import matplotlib

        low, high = FIXED.get(name) or (
            (0.0, 1.0) if name.startswith(PROBABILITY) else sheet.limits(tuple(stretch))
        )
        kind = "band"
        if name.startswith(PROBABILITY):
            kind = "probability"
        elif name in DOUBTS:
            kind = "doubt"
        elif name == "elevation" or (name not in self.scene and name not in GRAY):
            kind = "index"
            if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
                kind, high = "signed", max(-low, high)
                low = -high
        colors = matplotlib.colormaps[PALETTES[kind]](np.arange(256), bytes=True)
        return low, high, colors

    def _class_colors(self):
        from matplotlib.colors import to_rgb

        codes = self.prediction["class_map"].attrs["flag_values"]
        table = np.zeros((256, 4), np.uint8)
        for code, (name, color) in zip(np.atleast_1d(codes), self.classes.items(), strict=True):
            table[code, :3] = np.rint(255 * np.array(to_rgb(color)))
            table[code, 3] = BACKGROUND_ALPHA if name == "background" else 255
        return table

    # ---- where it comes from ----

    def _sheets(self, name):
        """The sheets that a name is drawn from: three of a composite, else one."""
        layers = PRESETS[name] if name in PRESETS and name in self.names else (name,)
        found = self._shelved(layers)
        if None in found.values():
            with self._making:  # one session makes what all wait for
                found = self._shelved(layers)
                found |= self._made([each for each, sheets in found.items() if sheets is None])
        return [sheet for each in layers for sheet in found[each]]

    def _shelved(self, layers):
        return {each: SHELF.get((self._key, each)) for each in layers}

    def _made(self, layers):
        """{layer: sheets} of layers, read in one pass and put on the shelf."""
        rasters = {each: self._rasters(each) for each in layers}
        held = [each in self._given() for each in layers for _ in rasters[each]]
        sheets = iter(sheets_of([raster for each in layers for raster in rasters[each]], held))
        made = {each: list(itertools.islice(sheets, len(rasters[each]))) for each in layers}
        for each, its in made.items():
            SHELF.put((self._key, each), its, sum(sheet.nbytes for sheet in its))
        return made

    def _given(self):
        """Names of layers that the scene, the prediction or the DEM hold themselves."""
        return {*map(str, self.scene.data_vars), *self._predicted(), "elevation"}

    def _rasters(self, name):
        """The arrays (y, x) behind a layer's name: one, or three to be shown as colors."""
        scene, found = self.scene, self.prediction
        if found is not None and name in self._predicted():
            if name.startswith(PROBABILITY):
                return [found["probability"].sel({"class": name.removeprefix(PROBABILITY)}, drop=True)]
            return [found["class_map" if name == CLASS_MAP else name]]
        if name == "elevation" and self._dem is not None:
            return [self._dem]
        if name in scene and name not in FLAGS:
            return [scene[name]]
        if name in TERRAIN and self._dem is not None:
            sun = {key: float(scene.attrs[key]) for key in SUN} if name == "cast_shadow" else {}
            return [terrain(self._dem, [name], **sun).isel(feature=0, drop=True)]
        source = read_layer(name, Context(variables=tuple(map(str, scene.data_vars)))).source
        if source in ("ratio", "index"):
            return [layer(scene, name)]
        made = stack(scene, [name])
        return [made.isel(feature=k, drop=True) for k in range(3 if made.sizes["feature"] >= 3 else 1)]


def composed(bands, ends):
    """Three arrays (y, x) float32 as a picture (y, x, 4), each black at its low end, full at its high."""
    steps = 1023
    curve = np.rint(255 * np.linspace(0, 1, steps + 1) ** GAMMA).astype(np.uint8)
    picture = np.empty((*bands[0].shape, 4), np.uint8)
    picture[..., 3] = 255
    for number, (values, (low, high)) in enumerate(zip(bands, ends, strict=True)):
        seen = np.isfinite(values)
        at = np.where(seen, values, low)
        at -= np.float32(low)
        at *= np.float32(steps / (high - low))
        picture[..., number] = curve[at.clip(0, steps, out=at).astype(np.uint16)]
        picture[..., 3] *= seen
    return picture


def colored(values, low, high, colors):
    """An array (y, x) float32 as a picture (y, x, 4) in 256 colors (256, 4), from its low to its high end."""
    seen = np.isfinite(values)
    at = (np.where(seen, values, low) - np.float32(low)) * np.float32(256 / (high - low))
    picture = colors[at.clip(0, 255, out=at).astype(np.uint8)]
    picture[..., 3] *= seen
    return picture
