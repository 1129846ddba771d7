"""From masks to an inventory: cleaning, polygons, ice divides, attributes, and what is wrong with them."""

from ..lazy import lazily

_WHERE = {
    "attributes": "attributing",
    "centerlines": "routes",
    "clean": "cleaning",
    "debris": "products",
    "hypsometry": "elevations",
    "lakes": "products",
    "majority": "cleaning",
    "qa": "checking",
    "smooth": "smoothing",
    "split_glaciers": "divides",
    "vectorize": "polygons",
    "without_gentle_holes": "cleaning",
    "without_lakes": "cleaning",
    "without_steep_debris": "cleaning",
}  # public name → module, loaded when it is used

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
