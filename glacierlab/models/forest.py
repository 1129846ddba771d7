"""A random forest under the interface of networks: scikit-learn grows it, flat arrays keep its trees.

Breiman 2001, doi:10.1023/A:1010933404324. Chu et al. 2022 compare with one on four bands; its settings are
not told.
"""

import numpy as np
import torch
from torch import nn

from ..errors import GlacierlabError
from .thresholds import weights_of

LEAST = 1e-7  # of a probability before its logarithm
PIXELS = 1 << 16  # that go down the trees at a time: about 2 MB each step, whatever the image


class RandomForest(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); their softmax is the forest's probability.

    A logit is the logarithm of a class's share, the mean over trees, of at least 1e-7; a single logit is
    log(p) - log(1 - p). They are scikit-learn's probabilities to 1e-6, for every image. Nothing here has a
    gradient. Weights stored in half precision move thresholds, by up to a thousandth of their size.

    Parameters
    ----------
    in_channels, classes : int
    n_estimators : int
        Trees; 100 is an assumption.
    max_depth, max_leaf_nodes : int, optional
        Bounds of each tree; None grows it to the end.
    min_samples_leaf : int
        Training pixels that a leaf holds at least. On 30,000 noisy pixels of four classes a file takes 17 MB
        with 1, scikit-learn's default, and 2.4 MB with 20.
    max_features : str, int or float
        Features that a split chooses from, as scikit-learn has it.
    class_weight : str, optional
        "balanced" is an assumption.
    nodes, leaves : int
        Told by `learn`: of all trees.
    """

    def __init__(
        self, in_channels, classes, *, n_estimators=100, max_depth=None, min_samples_leaf=1,
        max_leaf_nodes=None, max_features="sqrt", class_weight="balanced", nodes=0, leaves=0,
    ):  # fmt: skip
        super().__init__()
        self.classes = classes
        self.settings = {
            "n_estimators": n_estimators, "max_depth": max_depth, "min_samples_leaf": min_samples_leaf,
            "max_leaf_nodes": max_leaf_nodes, "max_features": max_features, "class_weight": class_weight,
        }  # fmt: skip
        self.register_buffer("roots", torch.zeros(n_estimators, dtype=torch.int32))
        self.register_buffer("levels", torch.zeros(n_estimators, dtype=torch.int16))  # splits on the way down
        self.register_buffer(
            "feature", torch.zeros(nodes, dtype=torch.int16)
        )  # that a node looks at; -1: a leaf
        self.register_buffer(
            "threshold", torch.zeros(nodes)
        )  # above it a pixel goes right; infinite in a leaf
        self.register_buffer(
            "left", torch.zeros(nodes, dtype=torch.int32)
        )  # right is the next; a leaf's: itself
        self.register_buffer(
            "share", torch.zeros(leaves, max(classes, 2))
        )  # of each class, in order of leaves

    @torch.no_grad()
    def forward(self, image):  # (N, in_channels, H, W)
        if not len(self.feature):
            raise GlacierlabError("This forest was not grown yet: gl.fit(model, patches) does.")
        pixels = image.float().movedim(1, 0).flatten(1)  # (in_channels, N H W)
        shares = torch.cat([self.shares(some) for some in pixels.split(PIXELS, dim=1)])
        logits = shares.clamp(min=LEAST).log()
        if self.classes == 1:
            logits = logits[:, 1:] - logits[:, :1]
        return logits.unflatten(0, (len(image), *image.shape[2:])).movedim(-1, 1)

    def shares(self, pixels):
        """Share of each class (n, classes) of pixels (in_channels, n), the mean over the trees."""
        count, flat = pixels.shape[1], pixels.flatten()
        place = torch.arange(count, dtype=torch.int32, device=pixels.device)
        leaf = (self.feature < 0).cumsum(0, dtype=torch.int32) - 1  # a node's row in `share`
        start = self.feature.clamp(min=0).int() * count  # of a node's feature in `flat`
        exact = torch.float32 if pixels.device.type == "mps" else torch.float64  # 100 shares add up
        total = torch.zeros(count, self.share.shape[1], dtype=exact, device=pixels.device)
        for root, levels in zip(self.roots, self.levels.tolist(), strict=True):
            node = root.expand(count)
            for _ in range(levels):
                value = flat.index_select(0, start.index_select(0, node) + place)
                node = self.left.index_select(0, node) + (value > self.threshold.index_select(0, node))
            total += self.share.index_select(0, leaf.index_select(0, node))
        return (total / len(self.roots)).float()

    def learn(self, pixels, labels, *, features=None, classes=None, seed=0, counts=None):
        """Grow the trees.

        Parameters
        ----------
        pixels : array (n, in_channels) float32
        labels : array (n,) int
            Places in `classes`; where there is one logit, 1 is its class and 0 the rest.
        features, classes : sequence of str
            Not used.
        seed : int
            Of scikit-learn's `random_state`.
        counts : array (class,), optional
            Pixels of each class that the given ones were drawn from; without a `class_weight` they count so.

        Returns
        -------
        dict
            Options that rebuild this network.
        """
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(**self.settings, random_state=seed, n_jobs=-1)
        natural = counts is not None and self.settings["class_weight"] is None
        weights = weights_of(labels, counts) if natural else None
        forest.fit(np.asarray(pixels, dtype=np.float32), np.asarray(labels), weights)
        return self.take(forest)

    def take(self, forest):
        """Take over the trees of a fitted `RandomForestClassifier`; the options that rebuild this network."""
        trees = [flat_tree(each.tree_) for each in forest.estimators_]
        sizes = [len(tree["feature"]) for tree in trees]
        roots = np.cumsum([0, *sizes[:-1]])
        share = np.concatenate([tree["share"] for tree in trees])
        full = np.zeros((len(share), max(self.classes, 2)), np.float32)
        full[:, forest.classes_] = share  # a class without training pixels has none
        arrays = {name: np.concatenate([tree[name] for tree in trees]) for name in ("feature", "threshold")}
        arrays["left"] = np.concatenate(
            [tree["left"] + root for tree, root in zip(trees, roots, strict=True)]
        )
        arrays["levels"] = [each.tree_.max_depth for each in forest.estimators_]
        for name, values in (arrays | {"roots": roots, "share": full}).items():
            own = getattr(self, name)
            setattr(self, name, torch.as_tensor(np.asarray(values), dtype=own.dtype, device=own.device))
        return {"nodes": sum(sizes), "leaves": len(share)}


def flat_tree(tree):
    """The arrays of a scikit-learn tree, its nodes level by level, so that children lie side by side."""
    level, levels = np.zeros(1, dtype=int), []
    while level.size:
        levels.append(level)
        inner = level[tree.children_left[level] >= 0]
        level = np.stack([tree.children_left[inner], tree.children_right[inner]], axis=1).ravel()
    order = np.concatenate(levels)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    is_leaf = tree.children_left[order] < 0
    share = tree.value[order[is_leaf], 0]
    return {
        "feature": np.where(is_leaf, -1, tree.feature[order]),
        "threshold": np.where(is_leaf, np.inf, rounded_down(tree.threshold[order])),
        "left": np.where(is_leaf, place[order], place[tree.children_left[order]]),
        "share": share / share.sum(axis=1, keepdims=True),
    }


def rounded_down(thresholds):
    """The highest float32 that are no higher, for scikit-learn compares float32 with float64 thresholds."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
