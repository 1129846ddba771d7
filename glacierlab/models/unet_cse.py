"""U-Net with channel attention. Tian et al. 2022, doi:10.1080/17538947.2022.2036834."""

from torch import nn

from .blocks import CSE
from .unet import UNet


class UNetCSE(nn.Module):
    """U-Net with cSE blocks; logits (N, classes, H, W) of images (N, in_channels, H, W).

    The paper names the U-Net and channel attention; the block is that of Roy et al. 2018 (arXiv:1803.02579).
    One after every double convolution, in encoder and decoder, and the batch norm are assumptions. The
    paper's conditional random field, which refines results, is not part of the network.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    reduction : int
        How much narrower the middle of a cSE block is; 2 in its authors' code.
    widths, norm, bias, up
        Of the U-Net, see `unet`; `norm="batch"` is an assumption.
    """

    def __init__(
        self,
        in_channels,
        classes,
        *,
        reduction=2,
        widths=(64, 128, 256, 512, 1024),
        norm="batch",
        bias=False,
        up="transposed",
    ):
        super().__init__()
        self.unet = UNet(in_channels, classes, widths=widths, norm=norm, bias=bias, up=up)
        for blocks, block_widths in ((self.unet.encoder, widths), (self.unet.decoder, widths[-2::-1])):
            for place, width in enumerate(block_widths):
                blocks[place] = nn.Sequential(blocks[place], CSE(width, reduction))
        self.multiple, self.smallest = self.unet.multiple, self.unet.smallest

    def forward(self, image):  # (N, in_channels, H, W)
        return self.unet(image)  # (N, classes, H, W); levels as in `unet`
