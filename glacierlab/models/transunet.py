"""TransUNet, R50-ViT-B/16. J. Chen et al. 2021, arXiv:2102.04306, details as in the authors' code."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import GlacierlabError
from .blocks import whole_numbers


class TransUNet(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); H and W multiples of 16.

    Parameters
    ----------
    in_channels, classes : int
    image_size : int
        Side of the images that the position embedding is stored for [px]; for others it is interpolated.
    root : int
        Channels of the ResNet's root; its stages have 4, 8, 16 times as many.
    blocks : sequence of three int
        Residual blocks of the stages.
    embedding, depth, heads, mlp : int
        Channels, blocks, attention heads and inner channels of the transformer.
    decoder : sequence of five int
        Channels of the decoder: its first convolution, and its four blocks.
    dropout : float
        After the position embedding and in the transformer's two-layer perceptrons.

    Notes
    -----
    Assumed: bicubic interpolation of the positions, which start as normal noise of 0.02; no dropout of
    attention weights; aligned corners in the decoder's up-sampling; and fresh weights throughout.
    """

    multiple = 16
    smallest = 32

    def __init__(
        self, in_channels, classes, *, image_size=224, root=64, blocks=(3, 4, 9), embedding=768, depth=12,
        heads=12, mlp=3072, decoder=(512, 256, 128, 64, 16), dropout=0.1,
    ):  # fmt: skip
        super().__init__()
        if embedding % heads or image_size % 16:
            raise GlacierlabError(
                f"embedding={embedding}, image_size={image_size}: give multiples of heads={heads} and of 16."
            )
        self.resnet = ResNet(in_channels, root, whole_numbers("blocks", blocks, least=3, most=3))
        self.embed = nn.Conv2d(16 * root, embedding, 1)
        self.positions = nn.Parameter(torch.empty(1, embedding, image_size // 16, image_size // 16))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Sequential(
            *(TransformerBlock(embedding, heads, mlp, dropout) for _ in range(depth)), nn.LayerNorm(embedding)
        )
        self.decoder = Decoder(embedding, decoder, skips=(8 * root, 4 * root, root, 0))
        self.head = nn.Conv2d(decoder[-1], classes, 3, padding=1)

    def forward(self, image):  # (N, in_channels, H, W)
        x, skips = self.resnet(image)  # (N, 1024, H/16, W/16); skips at H/8, H/4, H/2
        x = self.embed(x)  # (N, 768, H/16, W/16)
        size = x.shape[-2:]
        x = self.dropout(x + self.positions_for(size))
        rows = self.transformer(x.flatten(2).mT)  # (N, HW/256, 768)
        x = self.decoder(rows.mT.unflatten(2, size), skips)  # (N, 16, H, W)
        return self.head(x)  # (N, classes, H, W)

    def positions_for(self, size):
        """The position embedding (1, embedding, h, w) for a grid of any size."""
        if self.positions.shape[-2:] == size:
            return self.positions
        return F.interpolate(self.positions, size=size, mode="bicubic")


class ResNet(nn.Module):
    """ResNet-50 without its fourth stage: weights standardized, group norm throughout."""

    def __init__(self, in_channels, root, blocks):
        super().__init__()
        self.root = nn.Sequential(
            StandardizedConv(in_channels, root, 7, stride=2, padding=3, bias=False), norm(root), nn.ReLU()
        )
        widths = [root, 4 * root, 8 * root, 16 * root]
        self.stages = nn.ModuleList(
            nn.Sequential(
                Bottleneck(before, width, 1 if number == 0 else 2),
                *(Bottleneck(width, width, 1) for _ in range(blocks[number] - 1)),
            )
            for number, (before, width) in enumerate(pairwise(widths))
        )

    def forward(self, image):  # (N, in_channels, H, W)
        root = self.root(image)  # (N, 64, H/2, W/2)
        x = F.max_pool2d(root, 3, stride=2)  # (N, 64, H/4 - 1, W/4 - 1): no padding
        quarter = self.stages[0](x)  # (N, 256, H/4 - 1, W/4 - 1)
        eighth = self.stages[1](quarter)  # (N, 512, H/8, W/8)
        x = self.stages[2](eighth)  # (N, 1024, H/16, W/16)
        return x, [eighth, F.pad(quarter, (0, 1, 0, 1)), root]  # the skip filled with zeros to H/4


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, channels, width, stride):
        super().__init__()
        hidden = width // 4
        self.body = nn.Sequential(
            StandardizedConv(channels, hidden, 1, bias=False), norm(hidden), nn.ReLU(),
            StandardizedConv(hidden, hidden, 3, stride, padding=1, bias=False), norm(hidden), nn.ReLU(),
            StandardizedConv(hidden, width, 1, bias=False), norm(width),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                StandardizedConv(channels, width, 1, stride, bias=False), norm(width)
            )

    def forward(self, x):  # (N, C, H, W)
        return torch.relu(self.body(x) + self.shortcut(x))  # (N, width, H/stride, W/stride)


class StandardizedConv(nn.Conv2d):
    """A convolution whose kernels have mean 0 and variance 1."""

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, embedding, heads, mlp, dropout):
        super().__init__()
        self.attention_norm = nn.LayerNorm(embedding)
        self.attention = nn.MultiheadAttention(embedding, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(embedding),
            nn.Linear(embedding, mlp), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(mlp, embedding), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, rows):  # (N, pixels, embedding)
        x = self.attention_norm(rows)
        rows = rows + self.attention(x, x, x, need_weights=False)[0]
        return rows + self.mlp(rows)  # (N, pixels, embedding)


class Decoder(nn.Module):
    """Four times twice the size, with skips as long as there are some."""

    def __init__(self, embedding, widths, skips):
        super().__init__()
        if len(widths) != len(skips) + 1:
            raise GlacierlabError(f"decoder={widths}: give {len(skips) + 1} numbers of channels.")
        self.first = conv(embedding, widths[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(before + skip, width), conv(width, width))
            for (before, width), skip in zip(pairwise(widths), skips, strict=True)
        )

    def forward(self, x, skips):  # (N, 768, H/16, W/16)
        x = self.first(x)  # (N, 512, H/16, W/16)
        for block, skip in zip(self.blocks, [*skips, None], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = block(x if skip is None else torch.cat([x, skip], dim=1))  # 256, 128, 64, 16 channels
        return x  # (N, 16, H, W)


def norm(channels):
    """A group norm of 32 groups, or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


def conv(channels, width):
    """3 x 3 convolution, batch norm, ReLU; H and W stay."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )
