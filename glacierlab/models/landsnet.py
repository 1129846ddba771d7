"""LandsNet and M-LandsNet. Yi and Zhang 2020, doi:10.1109/JSTARS.2020.3028855; Chen et al. 2022,
doi:10.1109/JSTARS.2022.3189277.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import AttentionGate, convs, one_of, squeezed, up_conv, whole_numbers


class LandsNet(nn.Module):
    """Residual U-Net with dilated convolutions; logits (N, classes, H, W) of images (N, in_channels, H, W).

    As Chen et al. 2022 describe both (section II-G): `rates` are 2, 4, 6 in LandsNet and 1, 2, 3 in
    M-LandsNet, and nothing else differs. Assumptions beside the arguments marked so: skips are taken before
    pooling, where sizes match (the paper says pooled maps); a residual block is two 3 x 3 convolutions with
    batch norm and a ReLU between, plus a 1 x 1 convolution with batch norm, then ReLU; batch norm and ReLU
    follow every dilated and fusing convolution; gates are those of Attention U-Net.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel; 7 and 2 in the papers.
    rates : sequence of three int
        Dilation of the three 3 x 3 convolutions, from local to global.
    widths : sequence of int
        Channels of each level, finest first; the dilated part keeps the last. An assumption.
    branches : {"parallel", "cascaded"}
        Whether dilated convolutions see the same input, or each the one before; an assumption.
    fuse : {"add", "concat"}
        How their results meet before a 1 x 1 convolution; an assumption.
    gate_reduction : int
        How much narrower a gate's middle is than its skip; an assumption.
    up : {"transposed", "nearest"}
        The 2 x 2 up-convolution, see `unet`; an assumption.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        rates=(2, 4, 6),
        widths=(64, 128, 256),
        branches="parallel",
        fuse="add",
        gate_reduction=2,
        up="transposed",
    ):
        super().__init__()
        widths = whole_numbers("widths", widths)
        deepest = widths[-1]
        rates = whole_numbers("rates", rates, least=3, most=3)
        self.encoder = nn.ModuleList(ResBlock(*pair) for pair in pairwise((in_channels, *widths)))
        self.dilated = nn.ModuleList(convs(deepest, [deepest], norm="batch", dilation=rate) for rate in rates)
        self.fusions = nn.ModuleList(Fusion(deepest, fuse) for _ in rates[1:])
        self.cascaded = one_of("branches", branches, ("parallel", "cascaded")) == "cascaded"
        self.ups = nn.ModuleList(
            up_conv(below, width, up) for below, width in pairwise((deepest, *widths[::-1]))
        )
        self.gates = nn.ModuleList(AttentionGate(w, w, squeezed(w, gate_reduction)) for w in widths[::-1])
        self.decoder = nn.ModuleList(ResBlock(2 * width, width) for width in widths[::-1])
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.multiple = 2 ** len(widths)
        self.smallest = 2 * self.multiple  # batch norm needs more than one pixel

    def forward(self, image):  # (N, in_channels, H, W)
        x, skips = image, []
        for block in self.encoder:
            skips.append(block(x))  # (N, 64, H, W), (N, 128, H/2, W/2), (N, 256, H/4, W/4)
            x = F.max_pool2d(skips[-1], 2)
        x = self.aggregate(x)  # (N, 256, H/8, W/8)
        for up, gate, block, skip in zip(self.ups, self.gates, self.decoder, reversed(skips), strict=True):
            x = up(x)  # the skip's shape
            x = block(torch.cat([gate(skip, x), x], dim=1))  # ends as (N, 64, H, W)
        return self.head(x)  # (N, classes, H, W)

    def aggregate(self, x):  # (N, 256, H/8, W/8)
        """Fuse what dilated convolutions find, from local to global; shapes stay."""
        results = []
        for dilated in self.dilated:
            results.append(dilated(results[-1] if results and self.cascaded else x))
        fused = self.fusions[0](results[0], results[1])
        return self.fusions[1](fused, results[2])


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions and a 1 x 1 beside them."""

    def __init__(self, in_channels, width):
        super().__init__()
        self.block = nn.Sequential(
            *convs(in_channels, [width], norm="batch"),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):  # (N, C, H, W)
        return torch.relu(self.block(x) + self.shortcut(x))  # (N, width, H, W)


class Fusion(nn.Module):
    """Two maps of one width as one: their sum, or both side by side, through a 1 x 1 convolution."""

    def __init__(self, width, fuse):
        super().__init__()
        self.side_by_side = one_of("fuse", fuse, ("add", "concat")) == "concat"
        self.conv = convs((1 + self.side_by_side) * width, [width], 1, norm="batch")

    def forward(self, local, wider):  # (N, C, H, W) both
        return self.conv(torch.cat([local, wider], dim=1) if self.side_by_side else local + wider)
