"""Recipes as JSON text: nothing in it is evaluated, and whatever it says is checked."""

import hashlib
import json
from dataclasses import replace

from ..errors import GlacierlabError, require_numbers
from ..tables import TASSELED_CAP, lookup
from .fitting import Fit, Normalizer
from .layers import names_of, ratios_of, read_layer, require_once
from .quantize import Quantizer
from .stacking import texture_name
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
    if not isinstance(text, str) or len(text) > LONGEST:
        raise GlacierlabError(f"No saved recipe: JSON text of at most {LONGEST:,} characters is.")
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
            raise GlacierlabError(f"No saved recipe: the text is not marked {FORMAT!r}.")
        if (version := body.pop("version", None)) != VERSION:
            raise GlacierlabError(
                f"The recipe is of version {str(version)[:20]!r}, this reads {VERSION}: update glacierlab."
            )
        told = body.pop("sha256", None)
        proved = told == digest({"format": FORMAT, "version": VERSION, **body})
    except (ValueError, RecursionError) as error:  # not JSON, NaN or infinity, too deep
        raise GlacierlabError(f"No saved recipe, or one cut short: {error}.") from error
    if not proved:
        raise GlacierlabError("The recipe was altered after it was saved: its checksum does not fit.")
    return body


def fit_of(recipe, saved):
    """The `Fit` of a recipe's saved one; ValueError or TypeError for what no fit can be."""
    fitted = Fit(**saved)
    pca = None if fitted.pca is None else PCA.from_json(json.dumps(fitted.pca))
    quantizers = {name: Quantizer.from_json(json.dumps(row)) for name, row in fitted.quantizers.items()}
    variables = names_of(fitted.variables, "variables", least=0)
    fitted = replace(fitted, pca=pca, quantizers=quantizers, variables=variables)
    if fitted.normalizer is not None:
        own = Normalizer(**fitted.normalizer)
        limits = {name: tuple(pair) for name, pair in own.limits.items()}
        fitted = replace(fitted, normalizer=replace(own, limits=limits, ratios=tuple(own.ratios)))
    if fitted.table is not None:
        lookup(TASSELED_CAP, fitted.table, kind="tasseled-cap table")
    if not isinstance(fitted.sensor, str | None) or not isinstance(fitted.radiometry, str):
        raise ValueError("it does not say what scenes it was fitted to")
    for what in ("scenes", "pixels", "pixel_size_m"):
        if (number := getattr(fitted, what)) is not None:
            require_numbers(number, (), what)
    require_numbers(list(fitted.floors.values()), (len(fitted.floors),), "floors")
    require_fitted(recipe, fitted)
    return fitted


def require_fitted(recipe, fitted):
    """ValueError unless a `Fit` has all that a recipe's layers are made with, and no more."""
    layers = [read_layer(name, fitted.context) for name in recipe.layers]
    features = [name for each in layers for name in each.features]
    require_once(features)
    if any(not each.features for each in layers):
        raise ValueError("the tasseled-cap table is missing")
    images = {texture_name(each) for each in layers if each.group == "glcm"}
    if images != set(fitted.quantizers):
        raise ValueError(f"textures look at {sorted(images)}, gray levels are of {sorted(fitted.quantizers)}")
    if max(each.components for each in layers) > (len(fitted.pca.loadings) if fitted.pca else 0):
        raise ValueError("principal components are missing")
    if {each.needs[1] for each in ratios_of(layers)} != set(fitted.floors):
        raise ValueError("the smallest denominators are of other bands")
    if recipe.normalize != (fitted.normalizer is not None):
        raise ValueError("the normalizer does not fit")
    if fitted.normalizer:
        fitted.normalizer.require(features)
