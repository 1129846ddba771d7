"""Networks of segmentation-models-pytorch (smp), each under the name that the papers' comparisons know it by.

All take `encoder_name`, any encoder of smp ("resnet18" or "mobilenet_v2" suit a laptop), `encoder_weights`
and `features` as `encoders.on_encoder` explains them. Batch norms are made fit for a batch of one, as
`norms.settle_norms` explains.
"""

import inspect

from ..errors import GlacierlabError
from ..tables import lookup
from .encoders import first_line, on_encoder
from .norms import settle_norms

OURS = (
    "self",
    "in_channels",
    "classes",
    "encoder_name",
    "encoder_weights",
    "activation",
    "aux_params",
    "kwargs",
)


def unet_resnet18(in_channels, classes, *, encoder_name="resnet18", encoder_weights=None, features=None):
    """U-Net with a ResNet-18 as encoder, a baseline of Chu et al. 2022, doi:10.5194/tc-16-4273-2022."""
    return from_smp("unet", in_channels, classes, encoder_name, encoder_weights, features)


def deeplabv3plus(
    in_channels, classes, *, encoder_name="resnet34", encoder_weights=None, features=None,
    atrous_rates=(6, 12, 18), separable=True,
):  # fmt: skip
    """DeepLabV3+ (L.-C. Chen et al. 2018, doi:10.1007/978-3-030-01234-2_49), with the paper's atrous rates.

    ResNet-34 as in Chu et al. 2022; for the comparison of Huang et al. 2025, doi:10.1109/JSTARS.2025.3600287,
    ResNet-50 is assumed (`encoder_name="resnet50"`). `separable` is about the atrous convolutions: smp's way,
    where the paper's first form has plain ones.
    """
    options = dict(decoder_atrous_rates=tuple(atrous_rates), decoder_aspp_separable=separable)
    return from_smp("deeplabv3plus", in_channels, classes, encoder_name, encoder_weights, features, **options)


def pspnet(in_channels, classes, *, encoder_name="resnet50", encoder_weights=None, features=None):
    """PSPNet (Zhao et al. 2017, doi:10.1109/CVPR.2017.660).

    ResNet-50 is an assumption: Huang et al. 2025 do not say. Its stages beyond 1/8 of the image are there and
    idle.
    """
    return from_smp("pspnet", in_channels, classes, encoder_name, encoder_weights, features)


def pan(in_channels, classes, *, encoder_name="resnet50", encoder_weights=None, features=None):
    """Pyramid attention network (Li H. et al. 2018, arXiv:1805.10180).

    ResNet-50 is an assumption: Huang et al. 2025 do not say.
    """
    return from_smp("pan", in_channels, classes, encoder_name, encoder_weights, features)


def manet(in_channels, classes, *, encoder_name="resnet34", encoder_weights=None, features=None):
    """MA-Net (Fan T. et al. 2020, doi:10.1109/ACCESS.2020.3025372), assumed to be the one of Huang et al.

    Two networks bear the name, and what is public of Huang's comparison does not say which it was. The other
    is MANet of Li R. et al. 2021, doi:10.1109/TGRS.2021.3093977, made for fine remote sensing. That five of
    the other baselines are in smp speaks for this one; that LANet is a network of remote sensing, for the
    other. In smp the attention at the center takes its softmax over all pairs of pixels at once.
    """
    return from_smp("manet", in_channels, classes, encoder_name, encoder_weights, features)


def segformer(in_channels, classes, *, encoder_name="mit_b2", encoder_weights=None, features=None):
    """SegFormer (Xie E. et al. 2021, arXiv:2105.15203); its size, "mit_b0" to "mit_b5", is an assumption."""
    return from_smp("segformer", in_channels, classes, encoder_name, encoder_weights, features)


def any_of_smp(
    in_channels, classes, *, architecture="unet", encoder_name="resnet34", encoder_weights=None,
    features=None, **options,
):  # fmt: skip
    """Any architecture of smp by its name, such as "fpn" or "upernet", with its own options.

    "dpt" needs an encoder of timm that takes any image: `encoder_name="tu-vit_small_patch16_224"` with
    `dynamic_img_size=True`.
    """
    return from_smp(architecture, in_channels, classes, encoder_name, encoder_weights, features, **options)


def from_smp(architecture, in_channels, classes, encoder_name, encoder_weights, features, **options):
    """An architecture of smp on an encoder; logits (N, classes, H, W) of images (N, in_channels, H, W).

    Parameters
    ----------
    architecture : str
        Its name in smp, in any case.
    in_channels, classes : int
        Features of an image, logits of a pixel.
    encoder_name, encoder_weights, features
        See `encoders.on_encoder`.
    **options
        Of the architecture, or of an encoder of timm ("tu-…").

    Returns
    -------
    torch.nn.Module
        smp's own, for H and W multiples of 32, and 64 at least (128 for PAN).

    Raises
    ------
    UnknownNameError
        No such architecture, encoder, weights or option; near matches are told.
    GlacierlabError
        smp cannot build what was asked, or weights cannot be had.
    """
    import segmentation_models_pytorch as smp

    kind = lookup(smp.MODEL_ARCHITECTURES_MAPPING, str(architecture).lower(), kind="architecture of smp")
    takes = {key: None for key in inspect.signature(kind.__init__).parameters if key not in OURS}
    for option in options:
        if option in OURS or not str(encoder_name).startswith("tu-"):
            lookup(takes, option, kind=f"option of {kind.__name__}")

    def make(in_channels, encoder_weights):
        sizes = dict(in_channels=in_channels, classes=classes)
        return kind(encoder_name=encoder_name, encoder_weights=encoder_weights, **sizes, **options)

    try:
        network = on_encoder(make, in_channels, encoder_name, encoder_weights, features)
        network.multiple = 32
        network.smallest = 128 if kind is smp.PAN else 64  # its pyramid halves 1/16 of the image three times
        return settle_norms(network, in_channels)
    except (AssertionError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        asked = f"{kind.__name__} on {encoder_name!r} with {options}"
        raise GlacierlabError(f"smp cannot build {asked}: {first_line(error)}") from error
