"""Networks by name, all under one interface, and the safe file that keeps them.

`build_model("m_landsnet", in_channels=7, classes=2)` gives a `Segmenter`: logits (N, classes, H, W) of images
(N, in_channels, H, W), for any H and W.
"""

from importlib import import_module

_WHERE = {
    "Card": "card",
    "MODELS": "registry",
    "Segmenter": "segmenter",
    "build_model": "registry",
    "load_model": "file",
    "read_card": "header",
    "save_model": "file",
}  # public name → module, loaded when it is used, for torch takes a second

__all__ = list(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
