"""FCN-32s. Long et al. 2015, doi:10.1109/CVPR.2015.7298965."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import convs, whole_numbers
from .encoders import on_encoder


class FCN32s(nn.Module):
    """VGG-16 made convolutional; logits (N, classes, H, W) of images (N, in_channels, H, W).

    The paper pads the image by 100 pixels and crops; here every convolution is padded and the last one crops,
    which keeps the number of parameters. The transposed convolution starts as bilinear interpolation and is
    learned.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    widths : sequence of int
        Channels of VGG's five stages of 2, 2, 3, 3, 3 convolutions; H and W are halved after each.
    hidden : int
        Channels of the two layers that were fully connected.
    dropout : float
        Share of values of those two that are set to 0 in training.
    """

    multiple = 32

    def __init__(self, in_channels, classes, *, widths=(64, 128, 256, 512, 512), hidden=4096, dropout=0.5):
        super().__init__()
        widths = whole_numbers("widths", widths, least=5, most=5)
        stages = zip(pairwise((in_channels, *widths)), (2, 2, 3, 3, 3), strict=True)
        self.features = nn.Sequential(
            *(nn.Sequential(convs(before, [width] * n), nn.MaxPool2d(2)) for (before, width), n in stages)
        )
        self.fc6 = convs(widths[-1], [hidden], 7, dropout=dropout)
        self.fc7 = convs(hidden, [hidden], 1, dropout=dropout)
        self.score = nn.Conv2d(hidden, classes, 1)
        self.up = nn.ConvTranspose2d(classes, classes, 64, stride=32, padding=16, bias=False)
        if not self.up.weight.is_meta:  # there is nothing to fill, and PyTorch thinks for seconds
            nn.init.zeros_(self.up.weight)
            self.up.weight.data.diagonal().copy_(bilinear_kernel(64)[..., None])

    def forward(self, image):  # (N, in_channels, H, W)
        x = self.features(image)  # (N, 64, H/2, W/2) … (N, 512, H/32, W/32)
        x = self.fc7(self.fc6(x))  # (N, 4096, H/32, W/32)
        return self.up(self.score(x))  # (N, classes, H, W)


def fcn32s_resnet50(
    in_channels, classes, *, encoder_name="resnet50", encoder_weights=None, features=None, hidden=128
):
    """The light variant: a ResNet to stride 32, two 1 x 1 convolutions, and bilinear up-sampling.

    This is the FCN that the authors of LANet (Ding et al. 2021, doi:10.1109/TGRS.2020.2994150) keep in their
    code. That it may stand for the "FCN 32s" of Chu et al. 2022 (doi:10.5194/tc-16-4273-2022) is assumed.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    encoder_name, encoder_weights, features
        See `encoders.on_encoder`.
    hidden : int
        Channels of the two 1 x 1 convolutions.

    Returns
    -------
    FCN32sOnEncoder
    """

    def make(in_channels, encoder_weights):
        return FCN32sOnEncoder(in_channels, classes, encoder_name, encoder_weights, hidden)

    return on_encoder(make, in_channels, encoder_name, encoder_weights, features)


class FCN32sOnEncoder(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); H and W multiples of 32."""

    multiple = 32
    smallest = 64  # batch norm needs more than one pixel

    def __init__(self, in_channels, classes, encoder_name, encoder_weights, hidden):
        super().__init__()
        from segmentation_models_pytorch.encoders import get_encoder

        self.encoder = get_encoder(encoder_name, in_channels, weights=encoder_weights)
        self.reduce = convs(self.encoder.out_channels[-1], [hidden, hidden], 1, norm="batch")
        self.score = nn.Conv2d(hidden, classes, 1)

    def forward(self, image):  # (N, in_channels, H, W)
        x = self.encoder(image)[-1]  # (N, 2048, H/32, W/32)
        x = self.score(self.reduce(x))  # (N, classes, H/32, W/32)
        return F.interpolate(x, scale_factor=32, mode="bilinear")  # (N, classes, H, W)


def bilinear_kernel(size):
    """Weights (size, size) by which a transposed convolution of stride size / 2 interpolates linearly."""
    center = (size - 1) / 2
    line = 1 - (torch.arange(size) - center).abs() / (size / 2)
    return line[:, None] * line
