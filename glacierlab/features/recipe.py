"""A recipe: which layers make a stack, and all that was fitted for them, to be replayed anywhere."""

import re
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial

import numpy as np
import xarray as xr

from ..cells import html_of, lines_of
from ..errors import GlacierlabError, warn
from ..io.layers import pixel_size_m
from ..io.radiometry import FLAGS, kind_of
from ..tables import RECIPES, TASSELED_CAP, band_name, lookup
from .fitting import SCALED, Fit, Normalizer, learn
from .indices import floor_of
from .kinds import kind_of_scene, require_one_kind, require_same_kind, sensors_of
from .layers import BANDS, names_of, ratios_of, read_layer, require_once
from .quantize import METHODS, Quantizer
from .saved import body_of, fit_of, text_of
from .stacking import make, put_together, require_layers, require_pixels
from .texture import offset_groups
from .transforms import default_table

NOT_FOR_COMPONENTS = ("pan", "cirrus", "nir09")  # pan holds the others; the other two see the air
TEXTURE = dict(window=7, distance=1, directions=(0, 45, 90, 135), combine="features", symmetric=True,
               levels=32, method="width", percentiles=(2.0, 98.0))  # fmt: skip
SAME_PIXEL = 0.1  # share by which pixel sizes may differ before a warning, an assumption


@dataclass(frozen=True)
class Recipe:
    """An ordered list of layers and everything fitted for them.

    Parameters
    ----------
    layers : sequence of str, or str
        Names of layers, or the name of a recipe in `tables.RECIPES`, such as "cryonet". A layer is

        - a band ("red"), a ratio ("red/swir16"), an index ("ndsi"), "elevation", "coherence", or any other
          variable of the scene;
        - "pca:3": the first principal components of the bands; "ndpci": (pc1 - pc2) / (pc1 + pc2);
        - "tasseled_cap": all components of the table, or "tasseled_cap:wetness";
        - "glcm:nir:contrast,entropy": textures of a band, an index or a component ("glcm:pc1:contrast");
          "glcm:nir": eight of them;
        - any layer of `features.terrain`; "aspect" gives its sine and cosine, level ground 0 in both;
        - "phase": its sine and cosine.
    normalize : bool
        Subtract each feature's mean and divide by its standard deviation over the training scenes, when far
        outliers are bounded: a ratio t enters as (t - 1) / (t + 1), a normalized difference is kept within
        -1 and 1, other indices and curvatures within the percentiles `limits`. Sines, cosines and cast
        shadow stay as they are.
    limits : (float, float)
        Percentiles, see `normalize`.
    glcm : dict, optional
        How textures are made, where not by default: `window`, `distance`, `directions`, `combine`,
        `symmetric` as in `features.glcm`; `levels`, `method`, `percentiles` as in `Quantizer.fit`.
    pca_bands : sequence of str, optional
        What the components are made of; by default every band of the first scene but pan, cirrus, nir09 and
        thermal ones.
    standardize : bool
        Whether the components are those of correlation instead of covariance.
    table : str, optional
        A key of `tables.TASSELED_CAP`; by default the one for the scenes' sensor and radiometry.
    max_pixels : int
        About how many pixels of all training scenes `fit` looks at: of larger ones it takes tiles of
        128 x 128, evenly spread, and at least one of each scene.
    fitted : Fit, optional
        Given by `fit`.

    Notes
    -----
    Every default is an assumption, and so is how outliers are bounded: none of the papers publishes its own.
    What a name means is settled by `fit`: a variable of the training scenes goes before an index or a terrain
    layer of that name, and is then asked of every scene.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    >>> recipe = gl.Recipe(["red", "ndsi", "pca:2", "slope"]).fit(scene)
    >>> stack = recipe.apply(scene)
    >>> stack.feature.values.tolist()
    ['red', 'ndsi', 'pc1', 'pc2', 'slope']
    >>> recipe.groups
    {'optical': ['red'], 'indices': ['ndsi'], 'pca': ['pc1', 'pc2'], 'terrain': ['slope']}
    """

    layers: tuple[str, ...]
    normalize: bool = True
    limits: tuple[float, float] = (1.0, 99.0)
    glcm: dict = field(default_factory=dict)
    pca_bands: tuple[str, ...] | None = None
    standardize: bool = False
    table: str | None = None
    max_pixels: int = 1_000_000
    fitted: Fit | None = None

    def __post_init__(self):
        layers, settle = self.layers, partial(object.__setattr__, self)
        if isinstance(layers, str):
            lookup(RECIPES, layers, kind="recipe (for a single layer give a list)")
            layers = RECIPES[layers].layers
        settle("layers", names_of(layers, "layers"))
        if self.pca_bands is not None:
            settle("pca_bands", tuple(map(band_name, names_of(self.pca_bands, "pca_bands"))))
        if self.table is not None:
            lookup(TASSELED_CAP, self.table, kind="tasseled-cap table")
        for name in ("normalize", "standardize"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise GlacierlabError(f"{name}={getattr(self, name)!r}: give True or False.")
            settle(name, bool(getattr(self, name)))
        if not is_whole(self.max_pixels) or self.max_pixels < 1:
            raise GlacierlabError(f"max_pixels={self.max_pixels!r}: give a whole number, such as 1_000_000.")
        settle("max_pixels", int(self.max_pixels))
        settle("limits", percentiles_of(self.limits, "limits"))
        settle("glcm", texture_options(self.glcm))

    # ---- how it is shown ----

    def __repr__(self):
        return lines_of(*recipe_facts(self))

    def _repr_html_(self):
        return html_of(*recipe_facts(self))

    # ---- what it makes ----

    @property
    def features(self):
        """Names of the features of its stacks, in order."""
        return [name for each in self._read() for name in each.features]

    @property
    def groups(self):
        """Names of the features by group, such as optical, indices, pca, tasseled_cap, glcm or terrain."""
        groups = {}
        for each in self._read():
            groups.setdefault(each.group, []).extend(each.features)
        return groups

    def fit(self, scenes):
        """The recipe fitted to training scenes; this one stays as it is.

        The scenes are read once, and only where something is to be learned from them: components, gray
        levels, means and deviations. A progress bar shows it where the scenes are lazy.

        Parameters
        ----------
        scenes : xarray.Dataset or sequence of them
            (y, x), of one radiometry; of several sensors where no layer is a tasseled cap, and the recipe
            then serves these sensors.

        Returns
        -------
        Recipe

        Raises
        ------
        UnknownNameError
            A layer's name means nothing; near matches are told.
        MissingBandError
            A scene cannot yield a layer; all such layers are told.
        RadiometryError
            The scenes differ in radiometry, or in sensor though a tasseled cap is asked; or no tasseled
            cap fits them.
        GlacierlabError
            A feature comes twice, or has no observed pixel.

        Warns
        -----
        DataWarning
            A feature is constant; or scenes differ in pixel size, and textures and terrain layers in shape.
        """
        scenes = [scenes] if isinstance(scenes, xr.Dataset) else list(scenes)
        if not scenes:
            raise GlacierlabError("A recipe is fitted to one scene or more, and there is none.")
        for scene in scenes:
            if not isinstance(scene, xr.Dataset):
                raise GlacierlabError(
                    f"A recipe is fitted to scenes (xarray.Dataset), not {type(scene).__name__}."
                )
            require_pixels(scene)
        require_one_kind(scenes, capped=self.table is None and takes_cap(self.layers))
        recipe = replace(self, fitted=start(self, scenes))
        own = [read_layer(name, recipe.fitted.context) for name in self.pca_bands or ()]
        if other := [each.name for each in own if each.source != "variable"]:
            raise GlacierlabError(f"Components are made of bands, not of {other}: choose other pca_bands.")
        bands = self.pca_bands or component_bands(scenes[0])
        layers = recipe._read(replace(recipe.fitted.context, pca_bands=bands))
        require_once([name for each in layers for name in each.features])
        for scene in scenes:
            require_layers(scene, layers)
            recipe._warn_of_pixels(scene, layers)
        below = dict.fromkeys(each.needs[1] for each in ratios_of(layers))
        floors = {band: max(floor_of(scene, band) for scene in scenes) for band in below}
        recipe = replace(recipe, fitted=replace(recipe.fitted, floors=floors))
        learns = any(each.components or each.group == "glcm" for each in layers)
        if learns or (self.normalize and any(set(each.features) - set(SCALED) for each in layers)):
            return learn(recipe, layers, scenes)
        if self.normalize:
            return replace(recipe, fitted=replace(recipe.fitted, normalizer=Normalizer({}, {}, {})))
        return recipe

    def apply(self, scene):
        """The stack of a scene, with what was fitted; lazy if the scene is.

        Parameters
        ----------
        scene : xarray.Dataset
            (y, x), of a sensor and the radiometry that the recipe was fitted to.

        Returns
        -------
        xarray.DataArray
            `features` (feature, y, x) float32; coordinates `feature` and `group`. A lazy one has a chunk for
            each feature: one that is taken alone is made alone.

        Raises
        ------
        GlacierlabError
            The recipe is not fitted.
        RadiometryError
            The scene is of another sensor or radiometry.
        MissingBandError
            The scene cannot yield a layer; all such layers are told.

        Warns
        -----
        DataWarning
            The pixels are of another size, and textures and terrain look at other shapes.
        """
        layers, fitted = self._read(), self.fitted
        require_same_kind(scene, fitted.sensor, fitted.radiometry)
        require_layers(scene, layers)
        self._warn_of_pixels(scene, layers)
        made = make(scene.unify_chunks(), layers, self)
        if self.normalize:
            made = {name: self.fitted.normalizer(values, name) for name, values in made.items()}
        groups = [each.group for each in layers for _ in each.features]
        return put_together(scene, made, groups)

    def _read(self, context=None):
        """Its layers, read with what was fitted."""
        if self.fitted is None:
            raise GlacierlabError("The recipe is not fitted: recipe = recipe.fit(scenes) gives one that is.")
        context = context or self.fitted.context
        return [read_layer(name, context) for name in self.layers]

    def _warn_of_pixels(self, scene, layers):
        fitted, found = self.fitted.pixel_size_m, pixel_size_m(scene)
        looks_around = any(each.source.partition(":")[0] in ("glcm", "terrain") for each in layers)
        if fitted and looks_around and abs(found / fitted - 1) > SAME_PIXEL:
            warn(
                f"The recipe was fitted on pixels of {fitted:g} m and these have {found:g} m: textures and "
                "terrain layers look at other shapes. Resample the scene, or fit again."
            )

    # ---- in a file ----

    def to_json(self):
        """The recipe as JSON text with a checksum."""
        return text_of(asdict(self))

    @classmethod
    def from_json(cls, text):
        """The recipe of JSON text; nothing in it is evaluated.

        Raises
        ------
        GlacierlabError
            The text is no recipe, is too long, was cut short or altered, or was written by a newer version.
        """
        body = body_of(text)
        try:
            options = {each.name: body.pop(each.name) for each in fields(cls)}
            if body:
                raise ValueError(f"there is no {sorted(body)[0]!r} in one")
            fitted = options.pop("fitted")
            recipe = cls(**options)
            return recipe if fitted is None else replace(recipe, fitted=fit_of(recipe, fitted))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise GlacierlabError(f"No saved recipe: {' '.join(str(error).split())}.") from error


def stack(scene, layers, **options):
    """Layers of a scene by name as one array; lazy if the scene is.

    Parameters
    ----------
    scene : xarray.Dataset
        (y, x).
    layers : sequence of str, str or Recipe
        Names as in `Recipe`, the name of a recipe, or a `Recipe`. Names, and a recipe that is not fitted,
        are fitted on this scene first, which reads it where components or textures are asked.
    **options
        Of `Recipe`. Values of names keep their own units unless `normalize=True`.

    Returns
    -------
    xarray.DataArray
        As `Recipe.apply` gives it.

    Raises
    ------
    UnknownNameError, MissingBandError, RadiometryError, GlacierlabError
        As `Recipe.fit` and `Recipe.apply` do.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> stack(scene, ["red", "ndsi", "red/swir16", "slope"]).feature.values.tolist()
    ['red', 'ndsi', 'red/swir16', 'slope']
    """
    if not isinstance(layers, Recipe):
        layers = Recipe(layers, **{"normalize": False, **options})
    elif options:
        raise GlacierlabError(f"A recipe holds its own options: {sorted(options)} cannot be given again.")
    return (layers if layers.fitted else layers.fit(scene)).apply(scene)


def recipe_facts(recipe):
    """A title and (label, fact) rows of a recipe."""
    fitted, groups = recipe.fitted, {}
    for name in recipe.layers:
        try:
            group = read_layer(name, fitted.context if fitted else None).group
        except GlacierlabError:  # a variable of scenes that are not here yet
            group = "of the scene"
        groups.setdefault(group, []).append(name)
    rows = [(group, ", ".join(names)) for group, names in groups.items()]
    rows.append(("normalized", "yes" if recipe.normalize else "no"))
    if any(name.startswith("glcm:") for name in recipe.layers):
        rows.append(("textures", ", ".join(f"{key} {value}" for key, value in recipe.glcm.items())))
    if fitted is None:
        return f"Recipe of {len(recipe.layers)} layers, not fitted", rows
    size = f"{fitted.pixel_size_m:g} m" if fitted.pixel_size_m else "unknown size"
    rows.append(("sensor", fitted.sensor or "not said"))
    rows.append(("radiometry", fitted.radiometry))
    rows.append(("looked at", f"{fitted.scenes} scenes, {fitted.pixels:,} pixels of {size}"))
    if fitted.table:
        rows.append(("tasseled cap", fitted.table))
    return f"Recipe of {len(recipe.layers)} layers, {len(recipe.features)} features, fitted", rows


# ---- fitting ----


def start(recipe, scenes):
    """A `Fit` of what needs no pixel."""
    first = scenes[0]
    _, radiometry = kind_of_scene(first)
    named = {part for name in recipe.layers for part in re.split("[:/]", name)} | {*(recipe.pca_bands or ())}
    own = named - BANDS - set(FLAGS)
    variables = tuple(sorted(name for name in own if all(name in scene.data_vars for scene in scenes)))
    table = None
    if takes_cap(recipe.layers):
        table = recipe.table or default_table(first)
    size = pixel_size_m(first)
    size = float(size) if np.isfinite(size) else None
    return Fit(sensors_of(scenes), radiometry, size, len(scenes), variables=variables, table=table)


def takes_cap(layers):
    """Whether a tasseled cap is among layers by name."""
    return any(name.partition(":")[0] == "tasseled_cap" for name in layers)


def component_bands(scene):
    """The bands that principal components are made of by default."""
    used = BANDS - set(NOT_FOR_COMPONENTS)
    return tuple(name for name in scene.data_vars if name in used and kind_of(name) == "reflective")


# ---- options ----


def texture_options(given):
    """All options of textures, the given ones checked; GlacierlabError or UnknownNameError."""
    if not isinstance(given, dict):
        raise GlacierlabError(f"glcm={given!r}: give a dict, such as dict(window=9).")
    for name in given:
        lookup(TEXTURE, name, kind="option of textures")
    options = TEXTURE | given
    for name in ("window", "levels"):
        if not is_whole(options[name]):
            raise GlacierlabError(f"glcm={{{name!r}: {options[name]!r}}}: give a whole number.")
        options[name] = int(options[name])
    lookup({"features": 1, "pool": 1}, options["combine"], kind="way to combine directions")
    lookup(METHODS, options["method"], kind="quantizer method")
    if not isinstance(options["symmetric"], bool):
        raise GlacierlabError(f"glcm={{'symmetric': {options['symmetric']!r}}}: give True or False.")
    try:
        offset_groups(*(options[name] for name in ("directions", "distance", "window", "combine")))
        Quantizer.between(0, 1, options["levels"])
        for name in ("directions", "distance"):
            several = np.ndim(options[name]) > 0
            options[name] = tuple(map(int, options[name])) if several else int(options[name])
    except (TypeError, ValueError) as error:
        raise GlacierlabError(f"glcm={given!r}: {error}.") from error
    options["percentiles"] = percentiles_of(options["percentiles"], "percentiles")
    return options


def percentiles_of(given, what):
    """Two numbers from 0 to 100, the lower first."""
    try:
        low, high = (float(number) for number in given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not 0 <= low < high <= 100:
        raise GlacierlabError(f"{what}={given!r}: give two percentiles from 0 to 100, the lower first.")
    return low, high


def is_whole(number):
    """Whether a value is an integer, and no truth value."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)
