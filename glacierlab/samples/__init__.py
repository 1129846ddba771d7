"""Samples: patches with labels, splits that do not leak, the audit that proves it, and augmentation.

`PatchSet` cuts patches from scenes, splits and audits them, and feeds a network.

Splits and audit work on a *manifest*: a GeoDataFrame in a projected CRS [m], one row a patch, whose geometry
is the patch's square. Columns: `scene`, `row`, `col`, `size` [px]; where they are known also `glaciers` (the
ids in the patch), `region`, `label` (id of the label, which may serve other dates) and `source` (index of the
patch that this one is an augmented or doubled twin of).
"""

from ..lazy import lazily

_WHERE = {
    "Augmentation": "augment",
    "LeakageAudit": "leakage",
    "PatchSet": "patches",
    "athabasca": "real",
    "audit": "leakage",
    "drop": "augment",
    "folds": "splits",
    "jitter": "augment",
    "move": "moves",
    "offline": "augment",
    "split": "splits",
    "swiss_snow": "real",
}  # public name → module, loaded when it is used; no module bears the name of a function, which it would hide

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
