"""A model's copy for mapping gives what the model gives."""

from copy import deepcopy

import pytest

torch = pytest.importorskip("torch")
from test_models import NETWORKS, images, made  # noqa: E402
from torch import nn  # noqa: E402

from glacierlab.inference.readying import fuse, made_ready  # noqa: E402
from glacierlab.models import build_model  # noqa: E402


def lived_in(model):
    """A model whose normalizations know other means and scales than 0 and 1."""
    generator = torch.Generator().manual_seed(2)
    for each in model.modules():
        if isinstance(each, nn.BatchNorm2d):
            for tensor in (each.weight.data, each.bias.data, each.running_mean, each.running_var):
                tensor += torch.rand(tensor.shape, generator=generator) - 0.3
    return model.eval()


def norms(model):
    return sum(isinstance(each, nn.BatchNorm2d) for each in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_stays_the_same(name):
    model = lived_in(deepcopy(made(name)))
    image, ready = images(1, 5, 128, 128), made_ready(model, "cpu")
    with torch.inference_mode():
        there, here = ready(image), model(image)
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3 * float(here.abs().max()))


def test_normalizations_of_a_resnet_go_into_its_convolutions():
    model = build_model("smp", 5, 3, architecture="unet", encoder_name="resnet18").eval()
    before = norms(model)
    assert before > 20
    assert norms(made_ready(model, "cpu")) == 0
    assert norms(model) == before  # it is a copy


class Shared(nn.Module):
    """A convolution that is used twice, one that others look at, and one that only its norm sees."""

    def __init__(self):
        super().__init__()
        self.twice, self.seen, self.own = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x):
        once = self.norms[0](self.twice(x))
        seen = self.seen(once)
        return self.norms[2](self.own(self.norms[1](seen) + seen)) + self.twice(once)


class Undecided(nn.Module):
    """One that cannot be traced; its child can."""

    def __init__(self):
        super().__init__()
        self.child = Shared()

    def forward(self, x):
        return self.child(x) if x.sum() > 0 else self.child(-x)


def test_what_is_used_elsewhere_is_left_alone():
    torch.manual_seed(0)
    model = lived_in(Undecided())
    image = images(2, 3, 16, 16)
    with torch.inference_mode():
        before = model(image)
        fuse(model)
        torch.testing.assert_close(model(image), before, rtol=1e-4, atol=1e-5)
    assert norms(model) == 2
    assert isinstance(model.child.norms[2], nn.Identity)


def test_half_precision_rounds_convolutions_alone():
    model = made_ready(lived_in(deepcopy(made("transunet"))), "cpu", "bfloat16")
    kinds = {type(each): each.weight.dtype for each in model.modules() if hasattr(each, "weight")}
    assert kinds[nn.Conv2d] == torch.bfloat16
    assert kinds[nn.Linear] == kinds[nn.LayerNorm] == torch.float32


def test_a_module_without_normalizations_is_not_traced():
    seen = []

    class Noting(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    fuse(nn.Sequential(nn.Conv2d(3, 3, 1), Noting()))
    assert seen == []
