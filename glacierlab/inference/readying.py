"""A copy of a model for mapping: on its device, fused, its weights in the precision that is asked."""

import copy
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def made_ready(model, device, precision="float32"):
    """A copy of a model in eval mode on a device, in the memory layout that convolutions are fastest in.

    For bfloat16 the weights of convolutions are rounded here once, as autocast would before each batch.
    """
    ready = copy.deepcopy(model).eval().requires_grad_(False)
    fuse(ready)
    if precision == "bfloat16":
        for each in ready.modules():
            if type(each) in CONVOLUTIONS:
                each.to(torch.bfloat16)
    return ready.to(device).to(memory_format=torch.channels_last)


def fuse(module):
    """Take each batch normalization that follows a convolution, and it alone, into its weights; in place.

    What follows what is read off a symbolic trace; a module whose path depends on its input has none, and
    its children are looked at one by one.
    """
    if not any(type(each) is nn.BatchNorm2d for each in module.modules()):
        return  # nothing to do, and a trace runs a module's own code
    try:
        nodes = list(torch.fx.Tracer().trace(module).nodes)
    except Exception:  # whatever tracing stumbles over, the module runs as it is
        for child in module.children():
            fuse(child)
        return
    parts, calls = dict(module.named_modules()), Counter(node.target for node in nodes if is_call(node))
    for node in filter(is_call, nodes):
        before = node.args[0] if node.args else None
        if type(parts[node.target]) is not nn.BatchNorm2d or not is_call(before):
            continue
        conv, norm = parts[before.target], parts[node.target]
        once = calls[before.target] == calls[node.target] == len(before.users) == 1
        if type(conv) is nn.Conv2d and norm.track_running_stats and once:
            module.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
            module.set_submodule(node.target, nn.Identity())


def is_call(node):
    """Whether a node of a trace calls a module."""
    return isinstance(node, torch.fx.Node) and node.op == "call_module"
