"""Packages whose names load their modules when they are first used."""

import sys
from importlib import import_module

from .errors import extras


def lazily(package, where):
    """`__getattr__`, `__dir__` and `__all__` of a package, by a dict of public name → module.

    No module may bear the name of a function in the dict, which it would hide once loaded.
    """

    def get(name):
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with extras(f"{package}.{name}"):
            return getattr(import_module(f".{where[name]}", package), name)

    def names():
        return sorted({*vars(sys.modules[package]), *where})

    return get, names, list(where)
