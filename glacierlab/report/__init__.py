"""Folders of results, and the pages that tell them: of a map, and of change between dates."""

from ..lazy import lazily

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

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
