"""U-Net++. Zhou et al. 2018, doi:10.1007/978-3-030-00889-5_1."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import convs, one_of, up_conv, whole_numbers


class UNetPP(nn.Module):
    """U-Net with nested skips; logits (N, classes, H, W) of images (N, in_channels, H, W).

    Node X(i, j) is on level i, H/2ⁱ, and is a double convolution of all X(i, 0 … j-1) and of X(i+1, j-1) one
    level below, up-sampled; X(i, 0) is the encoder. Widths, up-convolutions, dropout and the normal
    initialization after He are those of the authors' code; biases start at 0, an assumption.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    deep_supervision : bool
        A head on each of X(0, 1 … 4) instead of one on X(0, 4). In training the network then gives a list,
        X(0, 4) first, and X(0, 1) last.
    inference : {"mean", "last"}
        What such a network gives otherwise: the mean of the heads' probabilities (the paper's accurate mode),
        as logits; or X(0, 4) alone.
    widths : sequence of int
        Channels of each level, finest first.
    dropout : float
        Share of values set to 0 after each 3 x 3 convolution in training.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        deep_supervision=False,
        inference="mean",
        widths=(32, 64, 128, 256, 512),
        dropout=0.5,
    ):
        super().__init__()
        self.inference = one_of("inference", inference, ("mean", "last"))
        widths = whole_numbers("widths", widths)
        before = [in_channels, *widths]
        depth = len(widths) - 1  # 4
        self.nodes = nn.ModuleList(  # nodes[i][j] is X(i, j)
            nn.ModuleList(
                convs((j + 1) * width if j else before[i], (width, width), dropout=dropout)
                for j in range(depth - i + 1)
            )
            for i, width in enumerate(widths)
        )
        self.ups = nn.ModuleList(  # ups[i][j] leads from X(i+1, j) to X(i, j+1)
            nn.ModuleList(up_conv(below, width) for _ in range(depth - i))
            for i, (width, below) in enumerate(pairwise(widths))
        )
        heads = depth if deep_supervision else 1
        self.heads = nn.ModuleList(nn.Conv2d(widths[0], classes, 1) for _ in range(heads))
        self.multiple = 2**depth
        for layer in self.nodes.modules():
            if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:  # there PyTorch thinks for seconds
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, image):  # (N, in_channels, H, W)
        rows = []  # rows[i] holds X(i, 0), X(i, 1), …: (N, 32, H, W) in the first, (N, 512, H/16, W/16) below
        for nodes in self.nodes:
            rows.append([nodes[0](F.max_pool2d(rows[-1][0], 2) if rows else image)])
        for j in range(1, len(rows)):
            for i in range(len(rows) - j):
                below = self.ups[i][j - 1](rows[i + 1][j - 1])  # the shape of X(i, 0)
                rows[i].append(self.nodes[i][j](torch.cat([*rows[i], below], dim=1)))
        nested = rows[0][:0:-1]  # X(0, 4) … X(0, 1), each (N, 32, H, W)
        outputs = [head(x) for head, x in zip(self.heads, nested, strict=False)]  # each (N, classes, H, W)
        if len(outputs) == 1 or (self.inference == "last" and not self.training):
            return outputs[0]
        return outputs if self.training else mean_of(outputs)


def mean_of(outputs):
    """Logits whose probabilities are the mean of those of several logits (N, C, H, W)."""
    logits = torch.stack(outputs)  # (heads, N, C, H, W)
    if logits.shape[2] > 1:
        return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(outputs))
    return F.logsigmoid(logits).logsumexp(dim=0) - F.logsigmoid(-logits).logsumexp(dim=0)
