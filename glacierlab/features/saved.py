"""Recipes as JSON text: nothing in it is evaluated, and whatever it says is checked."""

import hashlib
import json

from ..errors import GlacierlabError
from ..tables import SENSORS, TASSELED_CAP, lookup
from .fitting import Fit, Normalizer
from .layers import names_of, read_layer, require_once
from .quantize import Quantizer
from .transforms import PCA

FORMAT, VERSION = "glacierlab recipe", 1
LONGEST = 1_000_000  # characters; a recipe of a hundred layers has some thirty thousand


def text_of(content):
    """A recipe's content as JSON text with a checksum."""
    body = {"format": FORMAT, "version": VERSION, **content}
    return json.dumps(body | {"sha256": digest(body)}, indent=1)


def digest(body):
    """The checksum of a recipe's content."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def body_of(text):
    """The content of a recipe's JSON, its checksum proved."""

    def no_number(name):
        raise ValueError(f"{name} is no number of a recipe")

    if not isinstance(text, str) or len(text) > LONGEST:
        raise GlacierlabError(f"No saved recipe: JSON text of at most {LONGEST:,} characters is.")
    try:
        body = json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise GlacierlabError(f"No saved recipe, or one cut short: {error}.") from error
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise GlacierlabError(f"No saved recipe: the text is not marked {FORMAT!r}.")
    if (version := body.pop("version", None)) != VERSION:
        raise GlacierlabError(
            f"The recipe is of version {version!r}, this glacierlab reads {VERSION}: update."
        )
    if body.pop("sha256", None) != digest({"format": FORMAT, "version": VERSION, **body}):
        raise GlacierlabError(
            "The recipe was altered after it was saved: its checksum does not fit. Fit again."
        )
    return body


def fit_of(recipe, saved):
    """The `Fit` of a recipe's saved one; ValueError or TypeError for what no fit can be."""
    pca, quantizers, normalizer = (saved[name] for name in ("pca", "quantizers", "normalizer"))
    pca = None if pca is None else PCA.from_json(json.dumps(pca))
    quantizers = {name: Quantizer.from_json(json.dumps(row)) for name, row in quantizers.items()}
    normalizer = None if normalizer is None else Normalizer(**normalizer)
    names = dict(variables=names_of(saved["variables"], "variables", least=0))
    fitted = Fit(**saved | dict(pca=pca, quantizers=quantizers, normalizer=normalizer) | names)
    if fitted.sensor is not None:
        lookup(SENSORS, fitted.sensor, kind="sensor")
    if fitted.table is not None:
        lookup(TASSELED_CAP, fitted.table, kind="tasselled-cap table")
    if not (isinstance(fitted.radiometry, str) and isinstance(fitted.pixel_size_m, float | None)):
        raise ValueError("it does not say what scenes it was fitted to")
    layers = [read_layer(name, fitted.context) for name in recipe.layers]
    features = [name for each in layers for name in each.features]
    require_once(features)
    if any(not each.features for each in layers):
        raise ValueError("the tasselled-cap table is missing")
    images = {each.source.partition(":")[2] for each in layers if each.group == "glcm"}
    if images != set(quantizers):
        raise ValueError(f"textures look at {sorted(images)}, gray levels are of {sorted(quantizers)}")
    if max(each.components for each in layers) > (len(pca.loadings) if pca else 0):
        raise ValueError("components are missing")
    if recipe.normalize != (normalizer is not None):
        raise ValueError("the normalizer does not fit")
    if normalizer:
        normalizer.require(features)
    return fitted
