"""LANet. Ding et al. 2021, doi:10.1109/TGRS.2020.2994150, details as in the authors' code."""

import torch.nn.functional as F
from torch import nn

from .encoders import on_encoder
from .norms import settle_norms

MOMENTUM = 0.95  # of the batch norms beyond the encoder: a new batch counts for nearly all


class LANet(nn.Module):
    """Logits (N, classes, H, W) of images (N, in_channels, H, W); H and W multiples of 32.

    Parameters
    ----------
    in_channels, classes : int
        Features of an image, logits of a pixel.
    encoder_name, encoder_weights, features
        See `encoders.on_encoder`; the authors repeat the weights of red, green and blue over further bands.
    windows : (int, int)
        Sides of the patches that share an attention [px of the high and the low feature]. Smaller images are
        continued to the size of one, 128 px by default.

    Notes
    -----
    Assumed: a feature attends to its patches before the low one is weighed by the high one; up-sampling does
    not align corners; averages at the border leave the padding out; of the two 1 x 1 convolutions before
    attention, the low one has a bias, as the number of parameters asks for.
    """

    multiple = 32

    def __init__(
        self,
        in_channels,
        classes,
        *,
        encoder_name="resnet50",
        encoder_weights=None,
        features=None,
        windows=(4, 20),
    ):
        super().__init__()
        from segmentation_models_pytorch.encoders import get_encoder  # seconds that other networks do without

        def make(in_channels, encoder_weights):
            return get_encoder(encoder_name, in_channels, weights=encoder_weights)

        self.encoder = on_encoder(make, in_channels, encoder_name, encoder_weights, features)
        *_, deep = self.encoder.out_channels  # 2048 at H/32
        shallow = self.encoder.out_channels[2]  # 256 at H/4
        self.high = nn.Sequential(
            nn.Conv2d(deep, 128, 1, bias=False), nn.BatchNorm2d(128, momentum=MOMENTUM), nn.ReLU()
        )
        self.low = nn.Sequential(nn.Conv2d(shallow, 64, 1), nn.BatchNorm2d(64, momentum=MOMENTUM), nn.ReLU())
        self.high_patches = PatchAttention(128, reduction=16, window=windows[0])
        self.low_patches = PatchAttention(64, reduction=8, window=windows[1])
        self.embedding = AttentionEmbedding(128, 64, hidden=8)
        self.high_head = nn.Conv2d(128, classes, 1)
        self.low_head = nn.Conv2d(64, classes, 1)
        self.smallest = max(32 * windows[0], 4 * windows[1])  # a patch at least in either feature
        settle_norms(self, in_channels)

    def forward(self, image):  # (N, in_channels, H, W)
        features = self.encoder(image)
        high = self.high_patches(self.high(features[-1]))  # (N, 128, H/32, W/32)
        low = self.low_patches(self.low(features[2]))  # (N, 64, H/4, W/4)
        taught = high.detach() if self.training else high  # the low branch does not teach the high one
        low = self.embedding(low, taught)
        logits = (self.high_head(high), self.low_head(low))
        high, low = (F.interpolate(each, size=image.shape[-2:], mode="bilinear") for each in logits)
        return high + low  # (N, classes, H, W)


class PatchAttention(nn.Module):
    """PAM: a feature plus itself, its channels weighed by their means in patches of window x window px."""

    def __init__(self, channels, reduction, window):
        super().__init__()
        hidden = channels // reduction
        self.window = window
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.BatchNorm2d(hidden, momentum=MOMENTUM),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):  # (N, C, H, W)
        patches = [side // self.window for side in x.shape[-2:]]
        weights = self.weigh(F.adaptive_avg_pool2d(x, patches))  # (N, C, H // window, W // window)
        return x + x * F.interpolate(weights, size=x.shape[-2:], mode="bilinear")  # (N, C, H, W)


class AttentionEmbedding(nn.Module):
    """AEM: weigh a low feature's channels by what the high feature finds around."""

    def __init__(self, high_channels, low_channels, hidden):
        super().__init__()
        self.around = nn.AvgPool2d(7, stride=1, padding=3, count_include_pad=False)
        self.weigh = nn.Sequential(
            nn.Conv2d(high_channels, hidden, 1),
            nn.BatchNorm2d(hidden, momentum=MOMENTUM),
            nn.ReLU(),
            nn.Conv2d(hidden, low_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, low, high):  # (N, L, H, W), (N, C, h, w)
        weights = self.weigh(self.around(high))  # (N, L, h, w)
        return low * F.interpolate(weights, size=low.shape[-2:], mode="bilinear")  # (N, L, H, W)
