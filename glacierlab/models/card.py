"""What a model file says of its network besides the weights: enough to use it rightly, and to judge it."""

import json
import math
from dataclasses import dataclass, field, replace

from ..errors import GlacierlabError
from ..tables import CLASSES

REST = "background"  # what one logit is not


@dataclass(frozen=True)
class Card:
    """The card of a model; every value of it goes into JSON and comes back the same.

    Attributes
    ----------
    features : tuple of str
        Names of the channels that the network takes, in order.
    classes : tuple of str
        Names of its classes, in the order of the logits; one name where there is one logit.
    recipe : str or None
        JSON text of the fitted `Recipe` that makes the features; `gl.Recipe.from_json` reads it.
    sensor, radiometry : str or None
        Of the scenes that it was trained on, as scenes call them; None where they differ or do not say.
    pixel_size_m, tile : float, int, or None
        Size of their pixels [m], and side of the training patches [pixels].
    training : dict
        Data, split and settings; JSON's types, NumPy's are turned into them.
    metrics : dict
        Scores: a number, or {"value", "low", "high"} where there is an interval, nested as one likes. What is
        not finite is kept as None.
    temperature : float
        Logits are divided by it before they become probabilities.
    license, citation, note : str

    Raises
    ------
    GlacierlabError
        A value is not of its kind; or a name comes twice.

    Examples
    --------
    >>> Card(features=("red", "swir16"), classes=("glacier",)).names
    ('background', 'glacier')
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    recipe: str | None = None
    sensor: str | None = None
    radiometry: str | None = None
    pixel_size_m: float | None = None
    tile: int | None = None
    training: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    temperature: float = 1.0
    license: str = ""
    citation: str = ""
    note: str = ""

    def __post_init__(self):
        for name in ("features", "classes"):
            self._settle(name, unique_names(getattr(self, name), name))
        if self.classes == (REST,):
            raise GlacierlabError(f"classes=['{REST}']: one logit is of the class that is sought; name that.")
        for name in ("training", "metrics"):
            if not isinstance(getattr(self, name), dict):
                raise GlacierlabError(f"{name}={getattr(self, name)!r}: a card holds a dict there.")
            self._settle(name, plain(getattr(self, name), name))
        for name in ("recipe", "sensor", "radiometry", "license", "citation", "note"):
            given = getattr(self, name)
            if not isinstance(given, str) and (given is not None or name in ("license", "citation", "note")):
                raise GlacierlabError(f"{name}={given!r:.60}: a card holds text there.")
        self._settle("temperature", positive(self.temperature, "temperature"))
        if self.pixel_size_m is not None:
            self._settle("pixel_size_m", positive(self.pixel_size_m, "pixel_size_m"))
        if self.tile is not None:
            tile = positive(self.tile, "tile")
            if tile != int(tile):
                raise GlacierlabError(f"tile={self.tile!r}: give a whole number of pixels.")
            self._settle("tile", int(tile))

    def _settle(self, name, value):
        object.__setattr__(self, name, value)

    @property
    def names(self):
        """Names of the channels of `Segmenter.probabilities`; one logit is the second of two."""
        return self.classes if len(self.classes) > 1 else (REST, *self.classes)

    @property
    def colors(self):
        """Colors of those classes that the package's maps know, by name."""
        return {name: CLASSES[name].color for name in self.names if name in CLASSES}

    def _repr_html_(self):
        from .describe import card_rows, html_card

        return html_card("Card of a model", card_rows(self))

    def require_fit(self, in_channels, classes):
        """GlacierlabError unless the names are as many as the network's channels and logits."""
        if len(self.features) != in_channels:
            raise GlacierlabError(
                f"The network takes {in_channels} channels, and {len(self.features)} are named: "
                f"{clipped(self.features)}. Name every one, in order."
            )
        if len(self.classes) != classes:
            raise GlacierlabError(
                f"The network gives {classes} logits, and {len(self.classes)} classes are named: "
                f"{clipped(self.classes)}. Name one for every logit, in order."
            )


def card_of(card, recipe, given):
    """The card that a model is saved with: what is given goes before the recipe, that before `card`.

    Parameters
    ----------
    card : Card or None
        The model's own.
    recipe : Recipe, str or None
        A fitted one, or its JSON text; it says for which scenes it was fitted.
    given : dict
        Attributes of `Card`.
    """
    if recipe is not None:
        text = recipe if isinstance(recipe, str) else recipe.to_json()
        own = {} if isinstance(recipe, str) else {"features": tuple(recipe.features)}
        if own and tuple(given.get("features", own["features"])) != own["features"]:
            raise GlacierlabError(
                f"The recipe makes the features {clipped(own['features'])}: do not give others."
            )
        given = own | fitted_for(text) | {"recipe": text} | given
    if card is not None:
        return replace(card, **given)
    for name, what in (
        ("features", "recipe=, a fitted gl.Recipe, or features=[names]"),
        ("classes", "classes=[names]"),
    ):
        if name not in given:
            raise GlacierlabError(f"A model file names its {name}, and this model has no card: give {what}.")
    return Card(**given)


def fitted_for(text):
    """Sensor, radiometry and pixel size of the scenes that a recipe, as JSON text, was fitted to."""
    try:
        fitted = json.loads(text)["fitted"]
        return {name: fitted[name] for name in ("sensor", "radiometry", "pixel_size_m")}
    except (ValueError, KeyError, TypeError) as error:
        raise GlacierlabError(
            "recipe= is not the JSON text of a fitted gl.Recipe: give recipe.to_json()."
        ) from error


# ---- values


def plain(value, what):
    """A value in JSON's types: NumPy's numbers as Python's, sequences as lists, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(key): plain(each, f"{what}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, what) for each in value]
    if hasattr(value, "tolist"):  # of NumPy
        return plain(value.tolist(), what)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise GlacierlabError(
        f"{what} is of type {type(value).__name__}: a card holds numbers, text, lists and dicts."
    )


def unique_names(given, what):
    """A tuple of names, at least one, each once."""
    names = tuple(given) if isinstance(given, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise GlacierlabError(f"{what}={given!r:.80}: give a list of names, such as {what}=['glacier'].")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise GlacierlabError(f"{what}: {clipped(twice)} come more than once; each needs a name of its own.")
    return tuple(map(str, names))


def positive(given, what):
    """A finite number above 0."""
    number = plain(given, what)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e300:
        raise GlacierlabError(f"{what}={given!r:.60}: give a number above 0.")
    return float(number)


def clipped(names, most=6):
    """A list of names, the first of them where there are many."""
    names = list(names)
    return f"{names}" if len(names) <= most else f"{names[:most]} and {len(names) - most} more"
