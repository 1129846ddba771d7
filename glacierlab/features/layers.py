"""What the name of a layer stands for: its group, its features in a stack, what a scene must have for it."""

import re
from dataclasses import dataclass

from ..errors import GlacierlabError, UnknownNameError
from ..io.radiometry import FLAGS, kind_of
from ..tables import INDICES, SENSORS, TASSELED_CAP, band_name, lookup
from .dem import TERRAIN
from .haralick import FEATURES as TEXTURES
from .indices import find_index
from .texture import DEFAULT as DEFAULT_TEXTURES

COMPONENTS = 3  # of "pca" without a number, an assumption
BANDS = {band.name for sensor in SENSORS.values() for band in sensor.bands}
ANGLES = {"aspect": ("aspect_sin", "aspect_cos"), "phase": ("phase_sin", "phase_cos")}
GROUP_OF = dict.fromkeys((*TERRAIN, "elevation"), "terrain") | dict.fromkeys(("coherence", "phase"), "insar")
EXAMPLES = (
    "pca:3",
    "tasseled_cap",
    "glcm:nir:contrast",
    "ndpci",
    "aspect",
    "elevation",
    "coherence",
    "phase",
)
MOST_LAYERS, LONGEST_NAME = 256, 200
COMPONENT = re.compile(r"pc([1-9]\d?)")


@dataclass(frozen=True)
class Layer:
    """A layer's name, read.

    Attributes
    ----------
    name, group : str
    source : str
        What makes it, at once with all others of that source: "variable", "ratio", "index", "pca", "ndpci",
        "tasseled_cap", "terrain", "angle", or "glcm:" and the name of what the texture looks at.
    features : tuple of str
        Their names in a stack, in order.
    needs : tuple of str
        Variables of the scene.
    components : int
        How many principal components it is made of.
    image : Layer, optional
        What a texture looks at, unless it is a component.
    """

    name: str
    group: str
    source: str
    features: tuple[str, ...]
    needs: tuple[str, ...] = ()
    components: int = 0
    image: "Layer | None" = None


@dataclass(frozen=True)
class Context:
    """What the reading of a name depends on beside the tables."""

    variables: tuple[str, ...] = ()  # of the scene, which are layers by their own names
    table: str | None = None  # of the tasseled cap; None: not chosen yet
    pca_bands: tuple[str, ...] = ()


def read_layer(name, context=None):
    """The `Layer` of a name: what it means is settled here, once, and not by what another scene holds.

    Raises
    ------
    UnknownNameError
        It names nothing; near matches are told.
    GlacierlabError
        It names nothing sensible, such as "pca:0".

    >>> read_layer("glcm:nir:contrast,entropy").features
    ('glcm:nir:contrast', 'glcm:nir:entropy')
    >>> read_layer("aspect").features, read_layer("red/swir1").needs
    (('aspect_sin', 'aspect_cos'), ('red', 'swir16'))
    """
    name, context = str(name), context or Context()
    kind, _, rest = name.partition(":")
    if kind in READERS:
        return READERS[kind](name, rest, context)
    if name in FLAGS:
        raise UnknownNameError(f"{name!r} is no layer: flags and the truth never enter a stack.")
    if name in ANGLES and (name in context.variables or name not in TERRAIN):
        return Layer(name, GROUP_OF[name], "angle", ANGLES[name], (name,))
    if name in context.variables:
        return read_variable(name)
    if name in TERRAIN:
        return Layer(name, "terrain", "terrain", ANGLES.get(name, (name,)), ("elevation",))
    if found := COMPONENT.fullmatch(name):
        raise UnknownNameError(f"{name!r} is no layer by itself: 'pca:{found[1]}' makes components up to it.")
    return read_spectral(name, context)


def read_variable(name):
    """A variable of the scene as it is."""
    spectral = "thermal" if kind_of(name) == "thermal" else "optical"
    group = spectral if name in BANDS else GROUP_OF.get(name, "other")
    return Layer(name, group, "variable", (name,), (name,))


def read_spectral(name, context):
    """A band, a ratio, an index, or a layer that every scene may have."""
    band = band_name(name)
    if band in BANDS or band in GROUP_OF:
        return read_variable(band)
    if "/" in name:
        pair = tuple(band_name(part) for part in name.split("/", 1))
        for part in pair:
            lookup(dict.fromkeys([*sorted(BANDS), *context.variables]), part, kind="band")
        return Layer(name, "indices", "ratio", ("/".join(pair),), pair)
    try:
        return Layer(name, "indices", "index", (name.lower(),), tuple(find_index(name).bands))
    except UnknownNameError as error:
        known = dict.fromkeys([*EXAMPLES, *sorted(BANDS), *INDICES, *TERRAIN, *context.variables])
        try:
            lookup(known, name, kind="layer")
        except UnknownNameError as told:
            raise told from error
        raise


def read_pca(name, rest, context):
    if not re.fullmatch(r"([1-9]\d?)?", rest):
        raise GlacierlabError(f"{name!r} names no principal components: say how many, as in 'pca:3'.")
    count = int(rest or COMPONENTS)
    features = tuple(f"pc{i}" for i in range(1, count + 1))
    return Layer(name, "pca", "pca", features, context.pca_bands, count)


def read_ndpci(name, rest, context):
    if name != "ndpci":
        raise GlacierlabError(f"{name!r} names no index: it is 'ndpci', of the first two components.")
    return Layer(name, "indices", "ndpci", (name,), context.pca_bands, 2)


def read_tasseled_cap(name, rest, context):
    row = TASSELED_CAP.get(context.table)
    published = row.coefficients if row else {c: 0 for r in TASSELED_CAP.values() for c in r.coefficients}
    asked = rest.split(",") if rest else list(row.coefficients) if row else []
    for component in asked:
        lookup(published, component, kind="tasseled-cap component")
    features = tuple(f"tasseled_cap:{component}" for component in asked)
    return Layer(name, "tasseled_cap", "tasseled_cap", features, tuple(row.bands) if row else ())


def read_glcm(name, rest, context):
    image, _, asked = rest.partition(":")
    if not image:
        raise GlacierlabError(f"{name!r} names no texture: say of what, as in 'glcm:nir:contrast,entropy'.")
    for feature in (asked := asked.split(",") if asked else DEFAULT_TEXTURES):
        lookup(TEXTURES, feature, kind="GLCM feature")
    features = lambda image: tuple(f"glcm:{image}:{feature}" for feature in asked)
    if found := COMPONENT.fullmatch(image):
        return Layer(name, "glcm", f"glcm:{image}", features(image), context.pca_bands, int(found[1]))
    source = read_layer(image, context)
    if source.source not in ("variable", "ratio", "index"):
        raise GlacierlabError(
            f"{name!r}: a texture looks at a band, a ratio, an index, a variable of the scene or a component "
            f"('glcm:pc1'), not at {image!r}. Add that to the scene first, and name it."
        )
    (seen,) = source.features
    return Layer(name, "glcm", f"glcm:{seen}", features(seen), source.needs, 0, source)


READERS = {"pca": read_pca, "ndpci": read_ndpci, "tasseled_cap": read_tasseled_cap, "glcm": read_glcm}


def names_of(names, what, least=1):
    """Names as a tuple of strings; GlacierlabError where they are none, or too many or too long."""
    ordered = not isinstance(names, str | bytes | set | frozenset | dict) and hasattr(names, "__iter__")
    found = tuple(names) if ordered else ()
    if not ordered or not all(isinstance(name, str) for name in found):
        raise GlacierlabError(f"{what}={names!r}: give a list of names.")
    if not least <= len(found) <= MOST_LAYERS or any(len(name) > LONGEST_NAME for name in found):
        raise GlacierlabError(f"{what} holds {len(found)} names: give {least} to {MOST_LAYERS}, each short.")
    return found


def require_once(features):
    """GlacierlabError where a feature comes twice."""
    if twice := sorted({name for name in features if features.count(name) > 1}):
        raise GlacierlabError(f"{twice} would come twice in the stack: ask for each once.")


def ratios_of(layers):
    """The layers that are ratios, and the ratios that textures look at."""
    return [each for each in (each.image or each for each in layers) if each.source == "ratio"]
