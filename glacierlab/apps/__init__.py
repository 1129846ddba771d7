"""Two Panel apps: look at outlines, correct and sign them; and see what changed.

What an app knows lies in plain classes that need no screen (`Holdings`, `Review`, `Filter`); what many
sessions share is read once a process and changed by none of them.
"""

from ..lazy import lazily

_WHERE = {
    "Dashboard": "dashboard",
    "Holdings": "holdings",
    "Review": "review",
    "ReviewConflict": "saving",
    "Studio": "studio",
    "change": "dashboard",
    "expected_area_error": "doubts",
    "held": "holdings",
    "holdings_of": "holdings",
    "inspect": "studio",
    "serve": "serving",
}  # public name → module, loaded when it is used; no module bears the name of a function, which it would hide

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
