"""Which networks there are, and how one is built by its name."""

import inspect
import warnings
from functools import partial

from ..errors import GlacierlabError
from ..tables import lookup
from .attention_deeplabv3plus import AttentionDeepLabV3Plus
from .cryonet import cryonet
from .encoders import first_line
from .fcn32s import FCN32s, fcn32s_resnet50
from .forest import RandomForest
from .glaciernet import GlacierNet
from .landsnet import LandsNet
from .lanet import LANet
from .ra_ds_unet import RADSUNet
from .ready_made import any_of_smp, deeplabv3plus, manet, pan, pspnet, segformer, unet_resnet18
from .saunet import SaUNet
from .segmenter import Segmenter
from .thresholds import band_ratio, single_band
from .transunet import TransUNet
from .unet import UNet
from .unet_cse import UNetCSE
from .unetpp import UNetPP

MODELS = {
    "attention_deeplabv3plus": AttentionDeepLabV3Plus,
    "band_ratio": band_ratio,
    "cryonet": cryonet,
    "deeplabv3plus": deeplabv3plus,
    "fcn32s": FCN32s,
    "fcn32s_resnet50": fcn32s_resnet50,
    "glaciernet": GlacierNet,
    "landsnet": LandsNet,
    "lanet": LANet,
    "m_landsnet": partial(LandsNet, rates=(1, 2, 3)),
    "manet": manet,
    "pan": pan,
    "pspnet": pspnet,
    "ra_ds_unet": RADSUNet,
    "random_forest": RandomForest,
    "saunet": SaUNet,
    "segformer": segformer,
    "single_band": single_band,
    "smp": any_of_smp,
    "transunet": TransUNet,
    "unet": UNet,
    "unet_cse": UNetCSE,
    "unet_resnet18": unet_resnet18,
    "unetpp": UNetPP,
}


def build_model(name, in_channels, classes, **options):
    """A network by name, with fresh weights.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    in_channels : int
        How many features an image has.
    classes : int
        How many logits a pixel gets; 1 for the probability of one class against the rest.
    **options
        Of the architecture; its own page tells which, and which of them are assumptions.

    Returns
    -------
    Segmenter
        It records name, sizes and every option, so that `save_model` needs nothing more.

    Raises
    ------
    UnknownNameError
        No such model, or no such option of it; near matches are told.
    GlacierlabError
        A size or an option is not what it should be.

    Examples
    --------
    >>> model = build_model("unet", in_channels=8, classes=4, widths=[4, 8, 16])
    >>> model.name, model.options["widths"]
    ('unet', [4, 8, 16])
    >>> sum(weight.numel() for weight in model.parameters())
    7664
    """
    make = lookup(MODELS, name, kind="model")
    for what, number in (("in_channels", in_channels), ("classes", classes)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise GlacierlabError(f"{what}={number!r}: give a whole number, 1 or more.")
    known = inspect.signature(make).parameters
    takes = {key: each for key, each in known.items() if key not in ("in_channels", "classes")}
    open_ended = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    for option in options:
        if not open_ended:
            lookup(takes, option, kind=f"option of {name}")
    network = built(name, make, in_channels, classes, options)
    options = {key: each.default for key, each in takes.items() if each.kind is each.KEYWORD_ONLY} | options
    return Segmenter(network, name, in_channels, classes, options)


def built(name, make, in_channels, classes, options):
    """The network; GlacierlabError where its options are of another kind, or leave a layer without width."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Initializing zero-element tensors")
            return make(in_channels=in_channels, classes=classes, **options)
    except GlacierlabError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
            UserWarning) as error:  # fmt: skip
        asked = ", ".join(f"{key}={value!s:.60}" for key, value in options.items()) or "these sizes"
        raise GlacierlabError(
            f"{name!r} cannot be built with {asked}: {first_line(error)}. See its page for what they are."
        ) from error
