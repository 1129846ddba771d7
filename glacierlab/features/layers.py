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

GROUPS = ("optical", "thermal", "indices", "pca", "tasseled_cap", "glcm", "terrain", "insar", "other")
COMPONENTS = 3  # of "pca" without a number, an assumption
BANDS = {band.name for sensor in SENSORS.values() for band in sensor.bands}
ANGLES = {"aspect": ("aspect_sin", "aspect_cos"), "phase": ("phase_sin", "phase_cos")}
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
        What makes it, at once with all others of that source: "scene", "pca", "ndpci", "tasseled_cap",
        "terrain", "phase", or "glcm:" and the image that it looks at.
    features : tuple of str
        Their names in a stack, in order.
    needs : tuple of str
        Variables of the scene.
    components : int
        How many principal components it is made of.
    """

    name: str
    group: str
    source: str
    features: tuple[str, ...]
    needs: tuple[str, ...] = ()
    components: int = 0


@dataclass(frozen=True)
class Context:
    """What the reading of a name depends on beside the tables."""

    variables: tuple[str, ...] = ()  # of the scene, which count as layers
    table: str | None = None  # of the tasselled cap; None: not chosen yet
    pca_bands: tuple[str, ...] = ()


def read_layer(name, context=None):
    """The `Layer` of a name.

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
    if name in TERRAIN or name == "aspect":
        return Layer(name, "terrain", "terrain", ANGLES.get(name, (name,)), ("elevation",))
    if name in ("elevation", "coherence"):
        return Layer(name, "terrain" if name == "elevation" else "insar", "scene", (name,), (name,))
    return read_plain(name, context)


def read_plain(name, context):
    """A band, a ratio, an index, or another variable of the scene."""
    band = band_name(name)
    if band in BANDS:
        return Layer(name, "thermal" if kind_of(band) == "thermal" else "optical", "scene", (band,), (band,))
    if "/" in name:
        pair = tuple(band_name(part) for part in name.split("/", 1))
        for part in pair:
            lookup(dict.fromkeys([*sorted(BANDS), *context.variables]), part, kind="band")
        return Layer(name, "indices", "scene", ("/".join(pair),), pair)
    if name in context.variables and name not in FLAGS:
        return Layer(name, "other", "scene", (name,), (name,))
    try:
        return Layer(name, "indices", "scene", (name,), tuple(find_index(name).bands))
    except UnknownNameError as error:
        known = dict.fromkeys([*EXAMPLES, *sorted(BANDS), *INDICES, *TERRAIN, *context.variables])
        try:
            lookup({key: None for key in known if key not in FLAGS}, name, kind="layer")
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
    return Layer("ndpci", "indices", "ndpci", ("ndpci",), context.pca_bands, 2)


def read_phase(name, rest, context):
    return Layer("phase", "insar", "phase", ANGLES["phase"], ("phase",))


def read_tasseled_cap(name, rest, context):
    row = TASSELED_CAP.get(context.table)
    published = row.coefficients if row else {c: 0 for r in TASSELED_CAP.values() for c in r.coefficients}
    asked = rest.split(",") if rest else list(row.coefficients) if row else []
    for component in asked:
        lookup(published, component, kind="tasselled-cap component")
    features = tuple(f"tasseled_cap:{component}" for component in asked)
    return Layer(name, "tasseled_cap", "tasseled_cap", features, tuple(row.bands) if row else ())


def read_glcm(name, rest, context):
    image, _, asked = rest.partition(":")
    if not image:
        raise GlacierlabError(f"{name!r} names no texture: say of what, as in 'glcm:nir:contrast,entropy'.")
    for feature in (asked := asked.split(",") if asked else DEFAULT_TEXTURES):
        lookup(TEXTURES, feature, kind="GLCM feature")
    if found := COMPONENT.fullmatch(image):
        needs, components = context.pca_bands, int(found[1])
    else:
        source = read_plain(image, context)
        (image,), needs, components = source.features, source.needs, 0
    features = tuple(f"glcm:{image}:{feature}" for feature in asked)
    return Layer(name, "glcm", f"glcm:{image}", features, needs, components)


READERS = {
    "pca": read_pca,
    "ndpci": read_ndpci,
    "phase": read_phase,
    "tasseled_cap": read_tasseled_cap,
    "glcm": read_glcm,
}


def names_of(names, what, least=1):
    """Names as a tuple of strings; GlacierlabError where they are none, or too many or too long."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise GlacierlabError(f"{what}={names!r}: give a list of names.")
    names = tuple(names)
    if not least <= len(names) <= MOST_LAYERS or any(len(name) > LONGEST_NAME for name in names):
        raise GlacierlabError(f"{what} holds {len(names)} names: give {least} to {MOST_LAYERS}, each short.")
    return names


def require_once(features):
    """GlacierlabError where a feature comes twice."""
    if twice := sorted({name for name in features if features.count(name) > 1}):
        raise GlacierlabError(f"{twice} would come twice in the stack: ask for each once.")
