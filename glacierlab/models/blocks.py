"""Building blocks that several networks share: tensors (N, C, H, W) in, tensors (N, C, H, W) out."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ..errors import GlacierlabError
from ..tables import lookup


def convs(in_channels, widths, size=3, *, norm=None, bias=False, dilation=1, dropout=None):
    """Convolutions that keep H and W, one for each of `widths`, each with its norm, ReLU and dropout.

    `norm` is None or "batch". `bias` is that of convolutions under batch norm, which makes it idle; without
    norm they always have one. A `dropout` of 0 keeps its layer, so that weights keep their names.
    """
    one_of("norm", norm, (None, "batch"))
    layers = []
    for before, width in pairwise((in_channels, *widths)):
        padding = dilation * (size // 2)
        layers.append(
            nn.Conv2d(before, width, size, padding=padding, dilation=dilation, bias=bias or norm is None)
        )
        if norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        if dropout is not None:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


UPS = {
    "transposed": lambda channels, width: nn.ConvTranspose2d(channels, width, 2, stride=2),
    "nearest": lambda channels, width: nn.Sequential(
        nn.Upsample(scale_factor=2), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, width, 2)
    ),
}


def up_conv(channels, width, up="transposed"):
    """Twice H and W and `width` channels by a 2 x 2 kernel.

    "transposed" is Ronneberger's up-convolution; "nearest" repeats pixels and then convolves, padded below
    and at the right, as Keras ports do. Both have the same number of parameters.
    """
    return lookup(UPS, up, kind="up-sampling")(channels, width)


class AttentionGate(nn.Module):
    """Weigh a skip's pixels by what the decoder makes of them: additive gate, all 1 x 1 convolutions.

    α = sigmoid(BN(ψ(ReLU(BN(W_x x) + BN(W_g g))))) of Attention U-Net (Oktay et al. 2018, arXiv:1804.03999),
    here with the gating signal at the skip's size.
    """

    def __init__(self, skip_channels, gate_channels, hidden):
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skip_channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.gate = nn.Sequential(nn.Conv2d(gate_channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.weight = nn.Sequential(nn.Conv2d(hidden, 1, 1), nn.BatchNorm2d(1))

    def forward(self, skip, gate):  # (N, S, H, W), (N, G, H, W)
        joint = torch.relu(self.skip(skip) + self.gate(gate))  # (N, hidden, H, W)
        return skip * torch.sigmoid(self.weight(joint))  # (N, S, H, W)


class CSE(nn.Module):
    """Weigh channels by their means z: x · sigmoid(W₂ ReLU(W₁ z)). Roy et al. 2018, arXiv:1803.02579."""

    def __init__(self, channels, reduction=2):
        super().__init__()
        hidden = squeezed(channels, reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):  # (N, C, H, W)
        mean = x.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))  # (N, C, H, W)


class CBAM(nn.Module):
    """Weigh channels, then pixels, by means and maxima. Woo et al. 2018, doi:10.1007/978-3-030-01234-2_1."""

    def __init__(self, channels, reduction=16):
        super().__init__()
        hidden = squeezed(channels, reduction)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):  # (N, C, H, W)
        mean, most = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
        x = x * torch.sigmoid(self.channel(mean) + self.channel(most))
        maps = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
        return x * torch.sigmoid(self.spatial(maps))  # (N, C, H, W)


class SelfAttention(nn.Module):
    """Add to each pixel what it attends to in all others: x + γ · softmax(QᵀK) V, γ = 0 at the start."""

    def __init__(self, channels, reduction=8):
        super().__init__()
        hidden = squeezed(channels, reduction)
        self.query = nn.Conv2d(channels, hidden, 1)
        self.key = nn.Conv2d(channels, hidden, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):  # (N, C, H, W)
        tokens = [part(x).flatten(2).mT for part in (self.query, self.key, self.value)]  # (N, HW, C/8), …, C
        attended = F.scaled_dot_product_attention(*tokens, scale=1.0)  # (N, HW, C)
        return x + self.gamma * attended.mT.reshape(x.shape)  # (N, C, H, W)


def unpool(x, places):
    """Twice H and W: every pixel returns to where its maximum was found, with zeros around it.

    `places` are the indices of `max_pool2d(x, 2, return_indices=True)`. PyTorch's own `max_unpool2d` refuses
    to work where deterministic results are asked of a GPU.
    """
    batch, channels, height, width = x.shape
    corner = places // (2 * width) % 2 * 2 + places % 2  # 0 … 3, which of its four pixels it was
    each = torch.arange(4, device=x.device).view(2, 1, 2)
    squares = torch.where(corner[:, :, :, None, :, None] == each, x[:, :, :, None, :, None], 0)
    return squares.reshape(batch, channels, 2 * height, 2 * width)  # of (N, C, H, 2, W, 2)


def whole_numbers(option, values, least=2, most=None):
    """The values as a list; GlacierlabError unless they are whole, above 0, and as many as asked."""
    numbers = list(values) if isinstance(values, (list, tuple)) else []
    fits = least <= len(numbers) <= (most or len(numbers))
    if not fits or not all(type(number) is int and number > 0 for number in numbers):
        count = f"{least}" if most == least else f"{least} or more"
        raise GlacierlabError(f"{option}={values!r}: give {count} whole numbers above 0.")
    return numbers


def one_of(option, value, choices):
    """The value; GlacierlabError unless it is one of the choices."""
    if value not in choices:
        raise GlacierlabError(f"{option}={value!r} is unknown: give {' or '.join(map(repr, choices))}.")
    return value


def squeezed(channels, reduction):
    """Inner width of a block that narrows `channels` by `reduction`: at least 1."""
    whole_numbers("reduction", [reduction], least=1, most=1)
    return max(channels // reduction, 1)
