"""CryoNet (Barzegar, Bolch, Kuehtreiber, Ullo, arXiv:2605.21527): nested skips on a ResNet, with scSE."""

import torch
from torch import nn

from ..errors import GlacierlabError
from .blocks import convs, whole_numbers
from .ready_made import from_smp


def cryonet(
    in_channels, classes, *, encoder_name="resnet101", encoder_weights=None, features=None, attention="scse",
    decoder_channels=(256, 128, 64, 32, 16), full_resolution=0,
):  # fmt: skip
    """CryoNet (Barzegar, Bolch, Kuehtreiber, Ullo, arXiv:2605.21527): nested skips on ResNet-101, with scSE.

    The abstract names these; that they meet as in smp's U-Net++ is an assumption, and so are the widths of
    the decoder. `attention=None` leaves scSE out. There the first node of the nest is at half of the image's
    resolution, that of a ResNet's first layer, and what is thinner than two pixels is lost;
    `full_resolution=32` adds one with 32 channels at full resolution, where the nest of the U-Net++ paper
    begins (doi:10.1007/978-3-030-00889-5_1). 0, without it, is an assumption.
    """
    if attention is not None and min(decoder_channels) < 16:
        raise GlacierlabError(
            f"decoder_channels={decoder_channels}: give 16 or more each, which scSE narrows to 1."
        )
    options = dict(decoder_attention_type=attention, decoder_channels=tuple(decoder_channels))
    asked = (encoder_name, encoder_weights, features)
    if not full_resolution:
        return from_smp("unetplusplus", in_channels, classes, *asked, **options)
    whole_numbers("full_resolution", (full_resolution,), least=1)
    nest = from_smp("unetplusplus", in_channels, decoder_channels[-1], *asked, **options)
    return FromFullResolution(nest, in_channels, classes, decoder_channels[-1], full_resolution)


class FromFullResolution(nn.Module):
    """A network whose result meets a node of the image's own resolution before its classes are told."""

    def __init__(self, nest, in_channels, classes, width, channels):
        super().__init__()
        self.multiple, self.smallest = nest.multiple, nest.smallest
        self.nest = nest
        self.first = convs(in_channels, (channels, channels), norm="batch")
        self.last = convs(width + channels, (channels,), norm="batch")
        self.head = nn.Conv2d(channels, classes, 1)

    @property
    def encoder(self):
        """The nest's, which pretrained weights go to."""
        return self.nest.encoder

    def forward(self, image):  # (N, in_channels, H, W)
        nested = torch.relu(self.nest(image))  # (N, width, H, W)
        own = self.first(image)  # (N, channels, H, W)
        return self.head(self.last(torch.cat([nested, own], dim=1)))  # (N, classes, H, W)
