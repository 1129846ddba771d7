"""U-Net. Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import convs, up_conv, whole_numbers


class UNet(nn.Module):
    """The plain U-Net, 23 convolutions; logits (N, classes, H, W) of images (N, in_channels, H, W).

    The paper's convolutions are unpadded; here they are padded, so that logits have the image's size.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    widths : sequence of int
        Channels of each level, finest first; H and W are halved between two levels.
    norm : {None, "batch"}
        What follows each 3 x 3 convolution; the paper has none, "batch" is an assumption of later builds.
    bias : bool
        Whether convolutions before batch norm keep a bias, which it makes idle; without norm all have one.
    up : {"transposed", "nearest"}
        The 2 x 2 up-convolution: the paper's, or the one of Keras ports, nearest and then a convolution.
        Which of them Chen et al. 2022 (doi:10.1109/JSTARS.2022.3189277) ran is not said.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        widths=(64, 128, 256, 512, 1024),
        norm=None,
        bias=False,
        up="transposed",
    ):
        super().__init__()
        widths = whole_numbers("widths", widths)
        options = {"norm": norm, "bias": bias}
        self.encoder = nn.ModuleList(convs(w, (v, v), **options) for w, v in pairwise((in_channels, *widths)))
        self.ups = nn.ModuleList(up_conv(below, width, up) for below, width in pairwise(widths[::-1]))
        self.decoder = nn.ModuleList(convs(2 * w, (w, w), **options) for w in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.multiple = 2 ** (len(widths) - 1)
        self.smallest = self.multiple * (2 if norm else 1)  # batch norm needs more than one pixel

    def forward(self, image):  # (N, in_channels, H, W)
        return self.head(self.decode(self.encode(image))[-1])  # (N, classes, H, W)

    def encode(self, image):
        """Features of each level, (N, 64, H, W) … (N, 1024, H/16, W/16)."""
        features = []
        for block in self.encoder:
            features.append(block(F.max_pool2d(features[-1], 2) if features else image))
        return features

    def decode(self, features):
        """Features on the way back, (N, 512, H/8, W/8) … (N, 64, H, W)."""
        *skips, x = features  # x (N, 1024, H/16, W/16)
        decoded = []
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = block(torch.cat([skip, up(x)], dim=1))
            decoded.append(x)
        return decoded
