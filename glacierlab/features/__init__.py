"""Layers of a scene: ratios, indices, thresholds, transforms, textures, terrain, radar, stacks."""

from importlib import import_module

_WHERE = {
    "PCA": "transforms",
    "Quantizer": "quantize",
    "coherence": "insar",
    "expected_coherence": "insar",
    "glcm": "texture",
    "pansharpen": "sharpening",
    "tasseled_cap": "transforms",
    "terrain": "dem",
}  # public name → module, loaded when it is used

__all__ = list(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
