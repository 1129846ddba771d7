"""GlacierNet, of the SegNet family. Xie et al. 2020, doi:10.1109/ACCESS.2020.2991187.

SegNet: Badrinarayanan et al. 2017, doi:10.1109/TPAMI.2016.2644615.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn

from .blocks import convs, one_of, unpool, whole_numbers


class GlacierNet(nn.Module):
    """A SegNet, small; logits (N, classes, H, W) of images (N, in_channels, H, W).

    The paper tunes a SegNet for debris-covered glaciers and publishes no table of layers, so all numbers here
    are assumptions: four levels of two 3 x 3 convolutions with bias, batch norm and ReLU, a decoder that
    mirrors them from the places of the maxima, and a 1 x 1 head. Its images had 17 layers: Landsat 8 bands,
    elevation and terrain.

    SegNet is `widths=(64, 128, 256, 512, 512), convolutions=(2, 2, 3, 3, 3),
    decoder_convolutions=(1, 2, 3, 3, 3), head_size=3`.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    widths : sequence of int
        Channels of each level, finest first; H and W are halved after each.
    convolutions, decoder_convolutions : sequence of int
        How many a level has on the way down, and on the way back.
    head_size : {1, 3}
        Side of the last kernel, which gives the classes.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        widths=(64, 128, 256, 512),
        convolutions=(2, 2, 2, 2),
        decoder_convolutions=(2, 2, 2, 2),
        head_size=1,
    ):
        super().__init__()
        widths = whole_numbers("widths", widths)
        levels = len(widths)
        down = whole_numbers("convolutions", convolutions, levels, levels)
        back = whole_numbers("decoder_convolutions", decoder_convolutions, levels, levels)
        options = {"norm": "batch", "bias": True}
        self.encoder = nn.ModuleList(
            convs(before, [width] * n, **options)
            for (before, width), n in zip(pairwise((in_channels, *widths)), down, strict=True)
        )
        self.decoder = nn.ModuleList(
            convs(width, [width] * (n - 1) + [above], **options)
            for (above, width), n in zip(pairwise((widths[0], *widths)), back, strict=True)
        )
        one_of("head_size", head_size, (1, 3))
        self.head = nn.Conv2d(widths[0], classes, head_size, padding=head_size // 2)
        self.multiple = 2**levels

    def forward(self, image):  # (N, in_channels, H, W)
        x, found = image, []
        for block in self.encoder:  # (N, 64, H/2, W/2) … (N, 512, H/16, W/16)
            x, places = F.max_pool2d(block(x), 2, return_indices=True)
            found.append(places)
        for block, places in zip(reversed(self.decoder), reversed(found), strict=True):
            x = block(unpool(x, places))  # (N, 256, H/8, W/8) … (N, 64, H, W)
        return self.head(x)  # (N, classes, H, W)
