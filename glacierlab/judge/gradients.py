"""Integrated gradients of a class's logits. Sundararajan et al. 2017, arXiv:1703.01365."""

import numbers

import numpy as np
import torch
from tqdm import tqdm

from ..errors import GlacierlabError, warn
from ..inference.passes import device_of
from ..inference.readying import made_ready
from .looking import inputs, order_of

COMPLETE = 0.01  # share of the change of logits that attributions may miss


def attributions(model, patches, start, steps=64, batch_size=8, device="auto"):
    """Absolute attributions of each channel to the logits of each class over its own pixels.

    The attribution of a pixel's channel is (x - x0) times the mean gradient, on the way from x0 to x, of the
    sum of a class's logits over the pixels that are labeled so; the mean by Gauss-Legendre quadrature (an
    assumption), which misses less than equal steps. With one logit z, that of the rest is -z.

    Parameters
    ----------
    model : Segmenter
    patches : PatchSet
    start : array (channel,)
        x0, of the model's features.
    steps : int

    Returns
    -------
    by_channel : numpy.ndarray (class, channel)
        Sum of absolute attributions per pixel of the class [logit]; NaN where there is no such pixel.
    passes : int
        How often the patches went through the model.
    incompleteness : numpy.ndarray (class,)
        Sum over patches of what attributions miss of F(x) - F(x0), as a share of the sum of its size.

    Raises
    ------
    GlacierlabError
        The model has no gradients.

    Warns
    -----
    DataWarning
        They miss more than 1 %.
    """
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral) or steps < 1:
        raise GlacierlabError(f"steps={steps!r}: give a whole number, 1 or more.")
    classes, order = len(patches.classes), order_of(model, patches)
    sums, pixels = np.zeros((classes, len(start))), np.zeros(classes)
    missed, changes = np.zeros(classes), np.zeros(classes)
    model = made_ready(model, where := device_of(device))
    with tqdm(total=len(patches), desc="integrated_gradients", leave=False, disable=None) as bar:
        for places, images, labels in inputs(model, patches, batch_size):
            masks = np.stack([labels == place for place in range(classes)])  # (class, N, H, W)
            found = of_batch(model, images.to(where), torch.from_numpy(masks), start, steps, order)
            for total, each in zip((sums, missed, changes), found, strict=True):
                total += each
            pixels += masks.sum(axis=(1, 2, 3))
            bar.update(len(places))
    incompleteness = np.divide(missed, changes, out=np.where(missed > 0, np.inf, 0.0), where=changes > 0)
    if (incompleteness > COMPLETE).any():
        told = {
            name: f"{share:.1%}"
            for name, share in zip(patches.classes, incompleteness, strict=True)
            if share > COMPLETE
        }
        warn(f"Attributions miss more than 1 % of the change of logits, {told}: raise steps={steps}.")
    by_channel = np.divide(sums, pixels[:, None], out=np.full(sums.shape, np.nan), where=pixels[:, None] > 0)
    return by_channel, steps + 2, incompleteness


def of_batch(model, images, masks, start, steps, order):
    """Of a batch: absolute attributions (class, channel), what they miss, and how logits change, (class,)."""
    masks = masks.to(images.device)
    x0 = torch.as_tensor(start, device=images.device)[:, None, None].expand_as(images)
    total = images.new_zeros(len(masks), *images.shape)  # (class, N, C, H, W)
    present = [place for place in range(len(masks)) if masks[place].any()]
    points = quadrature(steps)
    with torch.enable_grad():
        for way, weight in points:
            x = (x0 + way * (images - x0)).requires_grad_()
            logits = class_logits(model, x, order)
            if not logits.requires_grad:
                raise GlacierlabError(
                    f"The model {model.name!r} has no gradients: take 'permute_tiles' or 'occlude' instead."
                )
            for place in present:
                target = (logits[:, place] * masks[place]).sum()
                total[place] += weight * torch.autograd.grad(target, x, retain_graph=place != present[-1])[0]
    total = (images - x0) * total
    with torch.no_grad():
        change = class_logits(model, images, order) - class_logits(model, x0, order)  # (N, class, H, W)
    change = (change.movedim(1, 0) * masks).cpu().double().sum(dim=(2, 3))  # (class, N)
    total = total.cpu().double()
    missed = (total.sum(dim=(2, 3, 4)) - change).abs().sum(dim=1)
    return total.abs().sum(dim=(1, 3, 4)).numpy(), missed.numpy(), change.abs().sum(dim=1).numpy()


def quadrature(steps):
    """Gauss-Legendre points between 0 and 1, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return list(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def class_logits(model, images, order):
    """Logits (N, class, H, W) in the order of the patches' classes; of one logit z, -z for the rest."""
    logits = model(images)
    if logits.shape[1] == 1:
        logits = torch.cat([-logits, logits], dim=1)
    return logits if order is None else logits[:, order]
