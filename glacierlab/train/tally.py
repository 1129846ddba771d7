"""Scores of an epoch, as sums that batches and devices add up."""

import torch

from ..scores import scores_from
from .losses import dice, known_pixels


class Tally:
    """Confusions, losses and soft Dice of batches, kept on the device and read once, at the end."""

    def __init__(self, classes, device):
        self.confusion = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        precise = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no more
        self.sums = torch.zeros(4, dtype=precise, device=device)

    def add_loss(self, loss, count):
        """A loss, the mean of `count` samples."""
        self.sums[0] += loss * count
        self.sums[1] += count

    def add(self, logits, labels):
        """Logits (N, C, H, W) of labels (N, H, W)."""
        classes, known = len(self.confusion), known_pixels(labels)
        found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1)
        pairs = labels[known] * classes + found[known]
        self.confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
        samples = known.flatten(1).any(dim=1).sum()
        self.sums[2] += (1 - dice(logits, labels)) * samples
        self.sums[3] += samples

    def scores(self, reduce):
        """The loss; of validation also accuracy, miou (of classes that are there or found), iou (without the
        first class) and dice.

        `reduce` sums over devices, as `Strategy.reduce(tensor, reduce_op="sum")`.
        """
        loss, count, overlap, samples = reduce(self.sums, reduce_op="sum").tolist()
        scores = {"loss": loss / count if count else float("nan")}
        if not len(self.confusion):
            return scores
        matrix = reduce(self.confusion, reduce_op="sum").cpu()
        iou = class_iou(matrix)
        scores |= {"accuracy": float(matrix.diagonal().sum() / matrix.sum().clamp(min=1))}
        scores |= {"miou": float(iou.nanmean()), "iou": float(iou[1:].nanmean())}
        return scores | {"dice": overlap / samples if samples else float("nan")}


def class_iou(matrix):
    """Intersection over union of each class, (K,), of counts (actual, predicted); NaN where there is none."""
    tp = matrix.diagonal()
    fp, fn = matrix.sum(dim=0) - tp, matrix.sum(dim=1) - tp
    return torch.as_tensor(
        scores_from(tp.numpy(), fp.numpy(), fn.numpy(), (matrix.sum() - tp - fp - fn).numpy())["iou"]
    )
