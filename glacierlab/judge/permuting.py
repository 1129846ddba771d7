"""Images with the features of other patches or pixels in place of their own, and what scores lose by it.

Each function takes what `importance` was asked and gives score differences (repeat, class + 1) by group.
"""

import numpy as np
from tqdm import tqdm

from ..errors import GlacierlabError
from ..tables import NOT_OBSERVED

POOL = 1 << 16  # labeled pixels that "permute_pixels" draws from


def bar(steps, what):
    """A progress bar, in terminals alone."""
    return tqdm(list(steps), desc=what, leave=False, disable=None)


def permute_tiles(asked):
    """Losses of score, by group, when each patch gets the group of another."""
    losses = {group: [] for group in asked.groups}
    for partner in bar(partners(asked), "permute_tiles"):
        for group, names in asked.groups.items():
            edit = from_partners(asked.patches, partner, asked.places(names))
            losses[group].append(asked.whole - asked.scores(edit))
    return losses


def permute_others(asked):
    """Gains of score, by group, when it alone stays, over nothing that stays."""
    gains = {group: [] for group in asked.groups}
    for partner in bar(partners(asked), "permute_others"):
        nothing = asked.scores(from_partners(asked.patches, partner, asked.places(asked.features)))
        for group in asked.groups:
            edit = from_partners(asked.patches, partner, asked.places(asked.without(group)))
            gains[group].append(asked.scores(edit) - nothing)
    return gains


def partners(asked):
    """For each repeat, the place of each patch's partner (patch,): one cycle through all, so never itself."""
    count = len(asked.patches)
    if count < 2:
        raise GlacierlabError("One patch has no other to change places with: take more, or 'permute_pixels'.")
    cycles = []
    for repeat in range(asked.repeats):
        order = np.random.default_rng((asked.seed, repeat)).permutation(count)
        partner = np.empty(count, dtype=int)
        partner[order] = np.roll(order, 1)
        cycles.append(partner)
    return cycles


def from_partners(patches, partner, channels):
    """An edit that gives patches some channels of their partners, which are read for it."""
    windows = patches.windows()

    def edit(images, places):
        images = images.copy()
        for image, place in zip(images, partner[places].tolist(), strict=True):
            scene, row, col, position = windows[place]
            image[channels] = patches.store.read(scene, row, col, patches.size, position)[0][channels]
        return images

    return edit


def permute_pixels(asked):
    """Losses of score, by group, when each pixel gets the group of another."""
    pool = pool_of(asked.patches, asked.seed)
    losses = {group: [] for group in asked.groups}
    for repeat in bar(range(asked.repeats), "permute_pixels"):
        for group, names in asked.groups.items():
            edit = from_pool(pool, (asked.seed, repeat), asked.places(names))
            losses[group].append(asked.whole - asked.scores(edit))
    return losses


def pool_of(patches, seed):
    """Labeled pixels (n, feature) of all patches, about 65,536, the same share of each patch's."""
    shares = patches.manifest["valid_share"].to_numpy() if "valid_share" in patches.manifest else np.ones(1)
    taken = min(1.0, POOL / (shares.sum() * patches.size**2))
    drawn = {}
    for place, image, label in patches.store.read_many(patches.windows(), patches.size):
        known = np.flatnonzero(label.ravel() != NOT_OBSERVED)
        random = np.random.default_rng((seed, place))
        count = int(np.floor(known.size * taken + random.random()))  # right on average, for few pixels too
        chosen = random.choice(known, min(count, known.size), replace=False)
        drawn[place] = image.reshape(len(image), -1)[:, chosen].T
    pool = np.concatenate([drawn[place] for place in sorted(drawn)])
    if not len(pool):
        raise GlacierlabError("No pixel of the patches is labeled: there is nothing to draw from.")
    return pool


def from_pool(pool, seed, channels):
    """An edit that gives every pixel some channels of a pixel of the pool, the same for all channels."""

    def edit(images, places):
        images = images.copy()
        shape = images.shape[2:]
        for image, place in zip(images, places.tolist(), strict=True):
            chosen = np.random.default_rng((*seed, place)).integers(len(pool), size=shape)
            image[channels] = np.moveaxis(pool[chosen][..., channels], -1, 0)
        return images

    return edit
