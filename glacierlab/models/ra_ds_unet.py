"""U-Net with deep supervision and reverse attention. Huang et al. 2025, doi:10.1109/JSTARS.2025.3600287.

Only the abstract is public. The reverse attention is that of PraNet (Fan et al. 2020, arXiv:2006.11392); how
it sits in the U-Net, all widths and the form for several classes are assumptions.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import convs
from .unet import UNet


class RADSUNet(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); in training a list of maps, finest first.

    The decoder features d4 … d1 of the U-Net refine a coarse map S5 of its bottleneck: each level looks where
    the coarser map saw nothing, S_i = S_up + branch(d_i · (1 - p)), with S_up = S_{i+1} twice as large and
    p = sigmoid(S_up), or with several classes the largest foreground probability (softmax; the first class is
    background). The list is [S1, S2, S3, S4, S5], all at the input's size.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    branch : int
        Channels of the branches.
    widths, norm, bias, up
        Of the U-Net, see `unet`. There are as many maps as levels.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        branch=64,
        widths=(64, 128, 256, 512, 1024),
        norm="batch",
        bias=False,
        up="transposed",
    ):
        super().__init__()
        self.unet = UNet(in_channels, classes, widths=widths, norm=norm, bias=bias, up=up)
        self.unet.head = nn.Identity()  # the maps are the heads
        self.coarse = nn.Conv2d(widths[-1], classes, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                convs(width, [branch], 1, norm="batch"),
                convs(branch, [branch, branch], norm="batch"),
                nn.Conv2d(branch, classes, 3, padding=1),
            )
            for width in widths[-2::-1]
        )
        self.multiple = self.unet.multiple
        self.smallest = 2 * self.multiple  # batch norm needs more than one pixel

    def forward(self, image):  # (N, in_channels, H, W)
        features = self.unet.encode(image)  # (N, 64, H, W) … (N, 1024, H/16, W/16)
        maps = [self.coarse(features[-1])]  # S5 (N, classes, H/16, W/16)
        for branch, decoded in zip(self.branches, self.unet.decode(features), strict=True):
            larger = F.interpolate(maps[-1], scale_factor=2, mode="bilinear")  # S_up (N, classes, H/8, W/8) …
            maps.append(larger + branch(decoded * unseen(larger)))  # S4 (N, classes, H/8, W/8) … S1 at H, W
        if not self.training:
            return maps[-1]
        return [F.interpolate(each, size=image.shape[-2:], mode="bilinear") for each in reversed(maps)]


def unseen(logits):
    """How little foreground a map sees at a pixel: logits (N, classes, H, W) → (N, 1, H, W), 0 to 1."""
    if logits.shape[1] == 1:
        return 1 - torch.sigmoid(logits)
    return 1 - logits.softmax(dim=1)[:, 1:].amax(dim=1, keepdim=True)
