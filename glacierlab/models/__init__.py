"""Networks by name, all under one interface, and the safe file that keeps them.

`build_model("m_landsnet", in_channels=7, classes=2)` gives a `Segmenter`: logits (N, classes, H, W) of images
(N, in_channels, H, W), for any H and W.
"""

from ..lazy import lazily

_WHERE = {
    "Card": "card",
    "MODELS": "registry",
    "Segmenter": "segmenter",
    "build_model": "registry",
    "load_model": "file",
    "read_card": "header",
    "save_model": "file",
}  # public name → module, loaded when it is used, for torch takes a second

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
