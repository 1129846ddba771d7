"""Layers of a scene: ratios, indices, thresholds, transforms, textures, terrain, radar, stacks."""

from ..lazy import lazily

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

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
