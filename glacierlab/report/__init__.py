"""Folders of results, and the pages that tell them: of a map, and of change between dates."""

from importlib import import_module

_WHERE = {
    "FILES": "mapped",
    "Reference": "mapped",
    "method_of": "mapped",
    "remove_map": "mapped",
    "version_of": "pages",
    "write_change": "changed",
    "write_folder": "mapped",
    "write_report": "mapped",
}  # name → module, loaded when it is used

__all__ = list(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
