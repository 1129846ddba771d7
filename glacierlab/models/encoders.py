"""Encoders of segmentation-models-pytorch, and pretrained weights adapted to bands by their names.

That package takes seconds to import: functions do it. timm's encoders go by "tu-" and timm's name.
"""

import torch

from ..errors import GlacierlabError
from ..tables import lookup

RGB = ("red", "green", "blue")


def on_encoder(make, in_channels, encoder_name, encoder_weights=None, features=None):
    """What `make(in_channels=, encoder_weights=)` builds, its encoder pretrained where asked.

    Parameters
    ----------
    make : callable
        Builds an encoder of segmentation-models-pytorch, or a network that has one as `encoder`.
    in_channels : int
        Bands of an image.
    encoder_name : str
        Such as "resnet34", "mit_b2", "tu-convnext_tiny".
    encoder_weights : str, optional
        Such as "imagenet". On the meta device, which holds no numbers, none are loaded: so a saved network
        is built again without asking for them.
    features : sequence of str, optional
        Names of the bands. The pretrained first layer's kernels for red, green and blue go to the features
        of these names, unscaled; those of other features keep their fresh initialization (an assumption: no
        paper says). Without names segmentation-models-pytorch adapts the layer: it repeats red, green, blue
        over the bands in order, times 3 / bands.

    Raises
    ------
    UnknownNameError
        No such encoder, or no such weights of it.
    GlacierlabError
        The weights cannot be had; `features` are not one name a band, or none is red, green or blue.
    """
    require_encoder(encoder_name)
    if features is not None:
        require_features(features, in_channels)
    if encoder_weights is None or torch.get_default_device().type == "meta":
        return fresh(make, in_channels, encoder_name)
    if features is not None and not set(RGB) & set(features):
        raise GlacierlabError(
            f"None of the features {list(features)} is red, green or blue, which pretrained weights are for: "
            "leave out features= to spread them over all, or train with encoder_weights=None."
        )
    if features is None:
        return pretrained(make, in_channels, encoder_name, encoder_weights)
    known = encoder_of(pretrained(make, len(RGB), encoder_name, encoder_weights)).state_dict()
    network = fresh(make, in_channels, encoder_name)
    with torch.device("meta"):
        other = encoder_of(fresh(make, len(RGB) + 1, encoder_name)).state_dict()
    own = encoder_of(network).state_dict()
    first = [key for key in known if known[key].shape != other[key].shape]  # weights that meet the bands
    encoder_of(network).load_state_dict(
        known | {key: by_name(known[key], own[key], features) for key in first}
    )
    return network


def encoder_of(network):
    """Its encoder, or the network itself where it is one."""
    return getattr(network, "encoder", network)


def by_name(known, own, features):
    """First-layer weights (out, features, …): those of red, green, blue where they belong, else our own."""
    own = own.clone()
    for place, name in enumerate(features):
        if name in RGB:
            own[:, place] = known[:, RGB.index(name)]
    return own


def fresh(make, in_channels, encoder_name):
    """The network without pretrained weights, on the default device."""
    device = torch.get_default_device()
    reads = encoder_name.startswith("mit_")  # numbers off a tensor, while it is built
    with torch.device("cpu" if reads else device):
        network = make(in_channels=in_channels, encoder_weights=None)
    return network.to(device)  # smp makes a first layer for other than three bands in memory


def pretrained(make, in_channels, encoder_name, encoder_weights):
    """The network with weights from the hub or its cache."""
    from huggingface_hub import hf_hub_download
    from safetensors import SafetensorError
    from segmentation_models_pytorch.encoders import encoders

    try:
        if encoder_name.startswith("tu-"):  # which weights is in timm's name, after a dot
            return make(in_channels=in_channels, encoder_weights=True)
        choices = encoders[encoder_name]["pretrained_settings"]
        row = lookup(choices, encoder_weights, kind=f"weights of {encoder_name}")
        for file in ("config.json", "model.safetensors"):  # smp 0.5 would turn to pickled files elsewhere
            hf_hub_download(row["repo_id"], file, revision=row["revision"])
        return make(in_channels=in_channels, encoder_weights=encoder_weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = error.__cause__ or error
        raise GlacierlabError(
            f"Pretrained weights {encoder_weights!r} of {encoder_name!r} could not be had "
            f"({type(reason).__name__}: {first_line(reason)}). Connect to huggingface.co once, copy the "
            "Hugging Face cache (HF_HOME) of a machine that has them, or start with encoder_weights=None."
        ) from error


def require_encoder(name):
    """UnknownNameError unless there is an encoder of that name."""
    import timm
    from segmentation_models_pytorch.encoders import encoders

    if isinstance(name, str) and name.startswith("tu-"):
        lookup(dict.fromkeys(timm.list_models()), name[3:].partition(".")[0], kind="encoder of timm")
    else:
        lookup(encoders, name, kind="encoder")


def require_features(features, in_channels):
    """GlacierlabError unless `features` are as many different names as there are bands."""
    names = [features] if isinstance(features, str) else list(features)
    if len(names) != in_channels or len(set(names)) != in_channels:
        raise GlacierlabError(f"features={names}: give {in_channels} different names, one for each band.")


def first_line(error):
    """What another package's error says first."""
    return (str(error).strip() or "no reason given").splitlines()[0][:200]
