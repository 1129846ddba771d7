"""Attention DeepLabV3+. Chu et al. 2022, doi:10.5194/tc-16-4273-2022, details as in the authors' public code.

Unlike DeepLabV3+ it has a stem without stride, no dilation in the backbone, a low-level feature of the second
layer, and a sixth branch beside the five of atrous pooling: its input, weighed by CBAM.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import GlacierlabError
from .blocks import CBAM
from .norms import group_norm


class AttentionDeepLabV3Plus(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); H and W multiples of 16.

    Parameters
    ----------
    in_channels, classes : int
    widths, blocks : sequence of four int
        Channels and residual blocks of the backbone's layers: ResNet-34.
    pooled, low : int
        Channels of each atrous branch, and of the low-level feature.
    rates : sequence of int
        Dilations of the atrous branches [px of the deepest feature].
    cbam : bool
        Whether there is the sixth branch.
    reduction : int
        By which CBAM narrows its channels.
    dropout : (float, float)
        After the branches are merged, and before the last convolution.
    align_corners : bool
        Of the last up-sampling; an assumption, all others are aligned.

    Notes
    -----
    After the image pooling stands a group norm, so that a batch of one trains; the authors have a batch norm.
    """

    multiple = 16
    smallest = 32

    def __init__(
        self, in_channels, classes, *, widths=(64, 128, 256, 512), blocks=(3, 4, 6, 3), pooled=256, low=32,
        rates=(6, 12, 18), cbam=True, reduction=16, dropout=(0.2, 0.1), align_corners=True,
    ):  # fmt: skip
        super().__init__()
        if len(widths) != 4 or len(blocks) != 4:
            raise GlacierlabError(f"widths={widths}, blocks={blocks}: give four numbers each, one a layer.")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 7, padding=3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = layer(widths[0], widths[0], blocks[0], stride=1)
        self.layer2 = layer(widths[0], widths[1], blocks[1], stride=2)
        self.layer3 = layer(widths[1], widths[2], blocks[2], stride=2)
        self.layer4 = layer(widths[2], widths[3], blocks[3], stride=2)
        self.low = conv(widths[1], low)
        self.aspp = AtrousPooling(widths[3], pooled, rates, cbam, reduction, dropout[0])
        self.join = nn.Sequential(
            nn.Conv2d(pooled + low, pooled + low, 3, padding=1, groups=pooled + low, bias=False),
            nn.Conv2d(pooled + low, pooled, 1, bias=False),
            nn.BatchNorm2d(pooled),
            nn.ReLU(),
            nn.Dropout(dropout[1]),
        )
        self.head = nn.Conv2d(pooled, classes, 1)
        self.align_corners = align_corners

    def forward(self, image):  # (N, in_channels, H, W)
        x = self.pool(self.stem(image))  # (N, 64, H/2, W/2)
        x = self.layer2(self.layer1(x))  # (N, 128, H/4, W/4)
        low = self.low(x)  # (N, 32, H/4, W/4)
        x = self.layer4(self.layer3(x))  # (N, 512, H/16, W/16)
        x = self.aspp(x)  # (N, 256, H/16, W/16)
        x = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=True)  # (N, 256, H/4, W/4)
        x = self.join(torch.cat([x, low], dim=1))  # (N, 256, H/4, W/4)
        x = self.head(x)  # (N, classes, H/4, W/4)
        return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=self.align_corners)


class AtrousPooling(nn.Module):
    """What lies around a pixel at several distances and in all the image, and the input, weighed by CBAM."""

    def __init__(self, channels, width, rates, cbam, reduction, dropout):
        super().__init__()
        self.branches = nn.ModuleList([conv(channels, width), *(conv(channels, width, 3, r) for r in rates)])
        self.image = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, width, 1), group_norm(width), nn.ReLU()
        )
        self.cbam = CBAM(channels, reduction) if cbam else None
        joined = (len(self.branches) + 1) * width + (channels if cbam else 0)
        self.merge = nn.Sequential(conv(joined, width), nn.Dropout(dropout))

    def forward(self, x):  # (N, 512, h, w)
        parts = [branch(x) for branch in self.branches]  # four of (N, 256, h, w)
        parts.append(self.image(x).expand_as(parts[0]))  # bilinear up-sampling of one pixel
        if self.cbam is not None:
            parts.append(self.cbam(x))  # (N, 512, h, w)
        return self.merge(torch.cat(parts, dim=1))  # 1792 channels → (N, 256, h, w)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the first block of a layer has a 1 x 1 convolution in it."""

    def __init__(self, channels, width, stride, project):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):  # (N, C, H, W)
        return torch.relu(self.body(x) + self.shortcut(x))  # (N, width, H/stride, W/stride)


def layer(channels, width, blocks, stride):
    """Residual blocks, the first with the stride."""
    rest = (ResidualBlock(width, width, 1, project=False) for _ in range(blocks - 1))
    return nn.Sequential(ResidualBlock(channels, width, stride, project=True), *rest)


def conv(channels, width, size=1, dilation=1):
    """Convolution with bias, batch norm, ReLU; H and W stay."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(channels, width, size, padding=padding, dilation=dilation), nn.BatchNorm2d(width), nn.ReLU()
    )
