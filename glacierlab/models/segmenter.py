"""A network under its name, made to fit images of any size."""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn


class Segmenter(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W), for any H and W.

    Images are continued at the right and lower border, by their last pixel, to a multiple of the network's
    `multiple` and to its `smallest` side at least; logits are cut back. In training mode a network with side
    outputs gives a list, the main one first.

    Attributes
    ----------
    network : torch.nn.Module
        The architecture itself.
    name, in_channels, classes, options
        What `build_model` was asked for, every option with its value: enough to build it again.
    card : Card or None
        What is known of it besides: names of features and classes, recipe, training; `fit` fills it in.

    Examples
    --------
    >>> import torch
    >>> import glacierlab as gl
    >>> model = gl.models.build_model("unet", 3, 2, widths=[4, 8]).eval()
    >>> model.name, model.in_channels, model.classes
    ('unet', 3, 2)
    >>> with torch.no_grad():
    ...     print(tuple(model(torch.zeros(1, 3, 50, 70)).shape))
    (1, 2, 50, 70)
    """

    def __init__(self, network, name, in_channels, classes, options):
        super().__init__()
        self.network = network
        self.name, self.in_channels, self.classes, self.options = name, in_channels, classes, options
        self.card = None

    def forward(self, image):
        height, width = image.shape[-2:]
        out = self.network(self.padded(image))
        if isinstance(out, torch.Tensor):
            return out[..., :height, :width]
        return [each[..., :height, :width] for each in out]

    def padded(self, image):
        """The image continued to a size that the network takes."""
        multiple = getattr(self.network, "multiple", 1)
        smallest = getattr(self.network, "smallest", multiple)
        missing = [max(-(-side // multiple) * multiple, smallest) - side for side in image.shape[-2:]]
        return F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else image

    @torch.inference_mode()
    def probabilities(self, image):
        """Probabilities (N, max(classes, 2), H, W) float32 at the card's temperature; one logit makes two.

        They are those of eval mode, whatever mode the model is in, and change nothing in it.
        """
        with in_eval_mode(self):
            return self.activated(self(image))

    def activated(self, logits):
        """Probabilities (N, max(classes, 2), H, W) float32 of logits (N, classes, H, W)."""
        logits = logits.float() / (self.card.temperature if self.card else 1.0)
        if self.classes > 1:
            return logits.softmax(dim=1)
        yes = logits.sigmoid()
        return torch.cat([1 - yes, yes], dim=1)

    def _repr_html_(self):
        from .describe import card_rows, html_card, in_words

        parameters = sum(each.numel() for each in self.parameters())
        options = {key: value for key, value in self.options.items() if value is not None}
        rows = [
            ("takes", f"{self.in_channels} features"),
            ("gives", f"{self.classes} logits a pixel"),
            ("parameters", f"{parameters:,}"),
            ("options", in_words(options)),
        ]
        told = card_rows(self.card) if self.card else [("card", "none: gl.fit fills it in")]
        return html_card(f"Model {self.name}", [*rows, *told])

    def extra_repr(self):
        return f"{self.name!r}, in_channels={self.in_channels}, classes={self.classes}"


@contextmanager
def in_eval_mode(model):
    """The model in eval mode; afterwards each of its layers is in the mode that it was in."""
    modes = [(each, each.training) for each in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for each, training in modes:
            each.training = training
