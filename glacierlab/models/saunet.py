"""SaU-Net, a U-Net with self-attention. He et al. 2021, doi:10.1109/JSTARS.2021.3085397."""

from torch import nn

from .blocks import SelfAttention
from .unet import UNet


class SaUNet(nn.Module):
    """U-Net with one self-attention block; logits (N, classes, H, W) of images (N, in_channels, H, W).

    What is known of it is the idea and its use, glacial lakes on Landsat 8. Where the attention sits, its
    form and the batch norm are assumptions: one non-local block at the bottleneck, which adds nothing before
    training (γ = 0), so that the network starts as the plain U-Net. The attention's cost grows with the
    fourth power of the image's side: 1024 pixels are 64 x 64 places that look at each other.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    reduction : int
        How much narrower queries and keys are than the bottleneck; an assumption.
    widths, norm, bias, up
        Of the U-Net, see `unet`; `norm="batch"` is an assumption.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        reduction=8,
        widths=(64, 128, 256, 512, 1024),
        norm="batch",
        bias=False,
        up="transposed",
    ):
        super().__init__()
        self.unet = UNet(in_channels, classes, widths=widths, norm=norm, bias=bias, up=up)
        self.attention = SelfAttention(widths[-1], reduction)
        self.multiple, self.smallest = self.unet.multiple, self.unet.smallest

    def forward(self, image):  # (N, in_channels, H, W)
        *skips, x = self.unet.encode(image)  # skips (N, 64, H, W) … (N, 512, H/8, W/8)
        x = self.attention(x)  # (N, 1024, H/16, W/16)
        return self.unet.head(self.unet.decode([*skips, x])[-1])  # (N, classes, H, W)
