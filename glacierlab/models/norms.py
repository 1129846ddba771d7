"""Norms where a batch gives few numbers a channel: after a global pooling, and at the smallest tiles."""

import copy
from itertools import chain

import torch
import torch.nn.functional as F
from torch import nn


def group_norm(channels):
    """A group norm in place of a batch norm: as many parameters, the same for any batch.

    Groups are of eight channels, 32 groups of 256, or there is one where eight do not divide the channels: an
    assumption.
    """
    return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)


class PatientBatchNorm(nn.BatchNorm2d):
    """A batch norm that learns nothing from a batch of one number a channel, and applies what it knows."""

    def forward(self, x):  # (N, C, H, W)
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def settle_norms(network, in_channels):
    """Let a network train on a batch of one, and freeze what its output does not depend on.

    Batch norms are watched in a forward on the meta device, which computes nothing. One that sees a single
    pixel even of images twice the network's `smallest` side follows a global pooling: a group norm takes its
    place. One that does so at the smallest side alone becomes a `PatientBatchNorm`. Weights that no gradient
    reaches, such as stages of an encoder beyond its depth, ask for none.
    """
    narrow, idle = probe(network, in_channels, network.smallest)
    pooled = probe(network, in_channels, 2 * network.smallest)[0] if narrow else narrow
    for name in narrow:
        old = network.get_submodule(name)
        if name in pooled:
            new = group_norm(old.num_features).to(old.weight.device)
        else:
            new = PatientBatchNorm(old.num_features, old.eps, old.momentum, device=old.weight.device)
            new.load_state_dict(old.state_dict(), assign=True)
        network.set_submodule(name, new)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in idle)
    return network


def probe(network, in_channels, side):
    """Names of batch norms that see a single pixel of images side x side, and of weights without gradient."""
    shadows = {id(each): shadow(each) for each in chain(network.parameters(), network.buffers())}
    double = copy.deepcopy(network, shadows).eval()  # of shapes alone
    narrow = set()
    for name, module in double.named_modules():
        if type(module) is nn.BatchNorm2d:  # timm has kinds that hold an activation
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: narrow.add(name) if inputs[0].shape[-2:] == (1, 1) else None
            )
    with torch.enable_grad():
        double(torch.empty(1, in_channels, side, side, device="meta")).sum().backward()
    return narrow, {name for name, each in double.named_parameters() if each.grad is None}


def shadow(tensor):
    """A tensor's shape on the meta device."""
    return nn.Parameter(tensor.to("meta")) if isinstance(tensor, nn.Parameter) else tensor.to("meta")
