"""From masks to an inventory: cleaning, polygons, ice divides, attributes, and what is wrong with them."""

from importlib import import_module

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

__all__ = list(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
