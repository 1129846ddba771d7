"""Attention DeepLabV3+, RA-DS-UNet, LANet, TransUNet: published sizes, shapes of every stage, their laws."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from glacierlab.errors import GlacierlabError  # noqa: E402
from glacierlab.models import build_model  # noqa: E402
from glacierlab.models.attention_deeplabv3plus import ResidualBlock  # noqa: E402
from glacierlab.models.lanet import AttentionEmbedding, PatchAttention  # noqa: E402
from glacierlab.models.ra_ds_unet import unseen  # noqa: E402
from glacierlab.models.transunet import StandardizedConv, TransformerBlock  # noqa: E402

SMALL = {
    "attention_deeplabv3plus": dict(widths=[8, 8, 16, 16], blocks=[1, 1, 1, 1], pooled=8, low=4),
    "ra_ds_unet": dict(widths=[4, 8, 8, 16, 16], branch=8),
    "lanet": dict(encoder_name="resnet18"),
    "transunet": dict(
        image_size=64, root=8, blocks=[1, 1, 1], embedding=16, depth=1, heads=2, mlp=32,
        decoder=[16, 8, 8, 4, 4],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of_shapes(name, in_channels=4, classes=1, **options):
    """A network in full width, without memory."""
    with torch.device("meta"):
        return build_model(name, in_channels, classes, **options).network


def small(name, in_channels=4, classes=1, **options):
    return build_model(name, in_channels, classes, **SMALL[name] | options)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def shapes_within(network, image, names):
    """Shapes (C, H, W) that modules give while an image passes."""
    seen = {}

    def noting(name):
        return lambda _, __, out: seen.update({name: tuple(out.shape[1:])})

    hooks = [network.get_submodule(name).register_forward_hook(noting(name)) for name in names]
    network(image)
    for hook in hooks:
        hook.remove()
    return seen


def inputs_of(module):
    """A list that fills with what the module is given."""
    seen = []
    module.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    return seen


# ---- published numbers of parameters


@pytest.mark.parametrize(
    ("name", "in_channels", "classes", "options", "expected"),
    [
        ("attention_deeplabv3plus", 4, 1, {}, 25_670_628),
        ("attention_deeplabv3plus", 4, 1, {"cbam": False}, 25_506_689),
        ("ra_ds_unet", 7, 1, {}, 31_401_093),
        ("lanet", 3, 7, {}, 23_793_302),
        ("lanet", 4, 1, {}, 23_795_274),
        ("transunet", 3, 9, {}, 105_277_081),
        ("transunet", 3, 2, {}, 105_276_066),
    ],
)
def test_parameters_are_as_many_as_counted(name, in_channels, classes, options, expected):
    assert count(of_shapes(name, in_channels, classes, **options)) == expected


def test_parts_are_as_large_as_counted():
    deeplab = of_shapes("attention_deeplabv3plus")
    backbone = (deeplab.stem, deeplab.layer1, deeplab.layer2, deeplab.layer3, deeplab.layer4)
    assert sum(map(count, backbone)) == 21_292_032
    assert count(deeplab.aspp.cbam) == 32_867
    transunet = of_shapes("transunet", 3, 9)
    parts = (transunet.resnet, transunet.transformer, transunet.decoder)
    assert [count(part) for part in parts] == [11_894_848, 85_056_000, 7_387_200]
    assert transunet.positions.numel() == (224 // 16) ** 2 * 768


# ---- Attention DeepLabV3+


def test_stages_of_attention_deeplab_are_those_of_the_table():
    network = of_shapes("attention_deeplabv3plus")
    expected = {
        "stem": (64, 64, 64), "pool": (64, 32, 32), "layer1": (64, 32, 32), "layer2": (128, 16, 16),
        "low": (32, 16, 16), "layer3": (256, 8, 8), "layer4": (512, 4, 4), "aspp.image": (256, 1, 1),
        "aspp.cbam": (512, 4, 4), "aspp": (256, 4, 4), "join": (256, 16, 16), "head": (1, 16, 16),
        **{f"aspp.branches.{number}": (256, 4, 4) for number in range(4)},
    }  # fmt: skip
    image = torch.empty(2, 4, 64, 64, device="meta")
    assert shapes_within(network, image, expected) == expected
    assert network(image).shape == (2, 1, 64, 64)
    assert network.aspp.merge[0][0].in_channels == 1792
    assert [branch[0].dilation[0] for branch in network.aspp.branches] == [1, 6, 12, 18]
    assert all(conv.dilation == (1, 1) for conv in network.layer4.modules() if isinstance(conv, nn.Conv2d))
    assert [part.p for part in network.modules() if isinstance(part, nn.Dropout)] == [0.2, 0.1]


def test_the_sixth_branch_is_cbam_of_the_input_and_nothing_more():
    pooling = small("attention_deeplabv3plus").eval().network.aspp
    merged = inputs_of(pooling.merge)
    x = torch.randn(1, 16, 5, 6)
    pooling(x)
    torch.testing.assert_close(merged[0][:, -16:], pooling.cbam(x))
    assert merged[0].shape[1] == 5 * 8 + 16
    image = merged[0][:, 4 * 8 : 5 * 8]
    assert torch.equal(image, image[..., :1, :1].expand_as(image))  # one pixel, up-sampled


def test_a_residual_block_is_that_of_torchvision():
    resnet = pytest.importorskip("torchvision.models.resnet")
    ours = ResidualBlock(6, 8, stride=2, project=True).eval()
    shortcut = nn.Sequential(nn.Conv2d(6, 8, 1, 2, bias=False), nn.BatchNorm2d(8))
    theirs = resnet.BasicBlock(6, 8, stride=2, downsample=shortcut).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 6, 10, 12)
    torch.testing.assert_close(ours(x), theirs(x))
    assert isinstance(of_shapes("attention_deeplabv3plus").layer1[0].shortcut, nn.Sequential)
    assert isinstance(of_shapes("attention_deeplabv3plus").layer1[1].shortcut, nn.Identity)


# ---- RA-DS-UNet


@pytest.mark.parametrize("classes", [1, 4])
def test_maps_of_every_level_come_in_training_at_the_input_size(classes):
    model = small("ra_ds_unet", classes=classes).train()
    names = ["coarse", *(f"branches.{number}" for number in range(4))]
    sides = [shape[1] for shape in shapes_within(model.network, torch.randn(2, 4, 64, 64), names).values()]
    assert sides == [4, 8, 16, 32, 64]
    maps = model(torch.randn(2, 4, 37, 53))
    assert [each.shape for each in maps] == [(2, classes, 37, 53)] * 5
    assert model.eval()(torch.randn(2, 4, 37, 53)).shape == (2, classes, 37, 53)


def test_the_main_output_is_the_finest_map():
    model = small("ra_ds_unet").eval()
    image = torch.randn(1, 4, 32, 48)
    with torch.no_grad():
        expected = model(image)
        model.network.training = True  # its norms stay as they are
        assert torch.equal(model(image)[0], expected)


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("place", range(5))
def test_every_map_teaches_the_coarse_one_and_its_own_branch(classes, place):
    model = small("ra_ds_unet", classes=classes).train()
    (model(torch.randn(2, 4, 32, 32))[place] ** 2).sum().backward()
    network = model.network
    assert network.coarse.weight.grad.any()
    taught = [branch[-1].weight.grad is not None for branch in network.branches]
    assert taught == [True] * (4 - place) + [False] * place  # S1 needs all four branches, S5 none


def test_reverse_weight_by_hand():
    assert unseen(torch.zeros(1, 1, 1, 1)).item() == 0.5
    assert unseen(torch.zeros(1, 4, 1, 1)).item() == 0.75  # softmax of four equal logits is 1 / 4
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).log().reshape(1, 4, 1, 1)  # probabilities 0, 1/6, 2/6, 3/6
    assert unseen(logits).item() == pytest.approx(0.5)
    logits = torch.tensor([5.0, 1.0, 2.0, 2.0]).log().reshape(1, 4, 1, 1)  # most likely background, 5 / 10
    assert unseen(logits).item() == pytest.approx(0.8)  # foreground alone counts: 1 - 2 / 10


@pytest.mark.parametrize(("classes", "sure", "seen"), [(1, 0, True), (4, 2, True), (4, 0, False)])
def test_branches_look_where_nothing_was_seen(classes, sure, seen):
    network = small("ra_ds_unet", classes=classes).eval().network
    with torch.no_grad():
        network.coarse.bias[sure] = 1e4
    given = [inputs_of(branch) for branch in network.branches]
    decoded = network.unet.decode(network.unet.encode(image := torch.randn(1, 4, 32, 32)))
    network(image)
    for (x,), feature in zip(given, decoded, strict=True):
        torch.testing.assert_close(x, torch.zeros_like(x) if seen else feature.detach())
        assert feature.any()


# ---- LANet


def test_constant_features_get_constant_attention():
    high, low = torch.ones(2, 16, 8, 8), 2 * torch.ones(2, 8, 40, 60)
    patches = PatchAttention(16, reduction=4, window=4).eval()
    assert patches(high).shape == high.shape
    for out in (patches(high), AttentionEmbedding(16, 8, hidden=4).eval()(low, high)):
        torch.testing.assert_close(out, out[..., :1, :1].expand_as(out))


def test_patch_attention_is_a_share_of_the_feature_added_to_it():
    patches = PatchAttention(16, reduction=4, window=4).eval()
    x = torch.rand(2, 16, 9, 14) + 0.1
    share = patches(x) / x - 1
    assert ((share > 0) & (share < 1)).all()
    means = F.adaptive_avg_pool2d(x, (2, 3))  # 9 // 4, 14 // 4
    expected = F.interpolate(patches.weigh(means), size=(9, 14), mode="bilinear")
    torch.testing.assert_close(share, expected, atol=1e-5, rtol=1e-5)
    embedding = AttentionEmbedding(16, 4, hidden=4).eval()
    low = torch.rand(2, 4, 20, 20) + 0.1
    weights = embedding(low, x) / low  # nothing is added here
    assert ((weights > 0) & (weights < 1)).all()


@pytest.fixture(scope="module")
def lanet():
    return small("lanet", classes=3)


def test_stages_of_lanet_and_its_smallest_image(lanet):
    network = of_shapes("lanet")
    expected = {
        "high": (128, 4, 8), "low": (64, 32, 64), "high_patches": (128, 4, 8), "low_patches": (64, 32, 64),
        "embedding": (64, 32, 64), "high_head": (1, 4, 8), "low_head": (1, 32, 64),
    }  # fmt: skip
    assert shapes_within(network, torch.empty(2, 4, 128, 256, device="meta"), expected) == expected
    assert (network.multiple, network.smallest) == (32, 128)
    added = [
        part.weigh[1].momentum for part in (network.high_patches, network.low_patches, network.embedding)
    ]
    assert [*added, network.high[1].momentum, network.low[1].momentum] == [0.95] * 5
    wide = small("lanet", windows=[2, 8])
    assert wide.network.smallest == 64
    assert lanet.eval()(torch.randn(1, 4, 40, 200)).shape == (1, 3, 40, 200)


def test_the_low_branch_does_not_teach_the_high_one(lanet):
    network = lanet.train().network
    nn.init.zeros_(network.high_head.weight)  # so that the high branch learns nothing of its own
    network(torch.randn(2, 4, 128, 128)).square().sum().backward()
    assert network.embedding.weigh[0].weight.grad.any()
    assert not network.high[0].weight.grad.any()
    assert network.low[0].weight.grad.any()


def test_one_image_of_the_smallest_size_trains_lanet(lanet):
    lanet.train()(torch.randn(1, 4, 128, 128)).sum().backward()


# ---- TransUNet


def test_stages_of_transunet():
    network = of_shapes("transunet", 3, 9)
    expected = {
        "resnet.root": (64, 112, 112), "resnet.stages.0": (256, 55, 55), "resnet.stages.1": (512, 28, 28),
        "resnet.stages.2": (1024, 14, 14), "embed": (768, 14, 14), "transformer": (14 * 14, 768),
        "decoder.first": (512, 14, 14), "decoder.blocks.0": (256, 28, 28), "decoder.blocks.1": (128, 56, 56),
        "decoder.blocks.2": (64, 112, 112), "decoder.blocks.3": (16, 224, 224),
    }  # fmt: skip
    image = torch.empty(1, 3, 224, 224, device="meta")
    assert shapes_within(network, image, expected) == expected
    assert network(image).shape == (1, 9, 224, 224)
    quarter = small("transunet").network.resnet(torch.randn(1, 4, 64, 96))[1][1]
    assert quarter.shape == (1, 32, 16, 24)
    assert not quarter[..., -1, :].any()
    assert not quarter[..., -1].any()
    assert quarter[..., :-1, :-1].any()


def test_positions_are_interpolated_to_other_sizes():
    network = small("transunet").network
    assert network.positions_for((4, 4)) is network.positions
    with torch.no_grad():
        network.positions[:] = torch.arange(16.0)[:, None, None]
    other = network.positions_for((7, 3))
    torch.testing.assert_close(other, torch.arange(16.0)[:, None, None].expand(1, 16, 7, 3))
    for shape in ((33, 90), (128, 16)):
        assert small("transunet", classes=2).eval()(torch.randn(1, 4, *shape)).shape == (1, 2, *shape)


def test_a_transformer_block_is_that_of_torch():
    ours = TransformerBlock(16, heads=4, mlp=24, dropout=0.1).eval()
    theirs = nn.TransformerEncoderLayer(
        16, 4, 24, activation="gelu", batch_first=True, norm_first=True
    ).eval()  # fmt: skip
    names = {
        "self_attn": ours.attention, "norm1": ours.attention_norm, "norm2": ours.mlp[0],
        "linear1": ours.mlp[1], "linear2": ours.mlp[4],
    }  # fmt: skip
    for name, module in names.items():
        theirs.get_submodule(name).load_state_dict(module.state_dict())
    rows = torch.randn(2, 9, 16)
    torch.testing.assert_close(ours(rows), theirs(rows))


def test_standardized_kernels_forget_scale_and_offset():
    conv = StandardizedConv(3, 8, 3, padding=1, bias=False)
    x = torch.randn(1, 3, 6, 6)
    before = conv(x)
    kernels = conv.weight.flatten(1)
    standard = (kernels - kernels.mean(1, keepdim=True)) / kernels.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(
        before, F.conv2d(x, standard.view_as(conv.weight), padding=1), rtol=1e-3, atol=1e-3
    )
    with torch.no_grad():
        conv.weight.mul_(3).add_(0.5)
    torch.testing.assert_close(conv(x), before, rtol=1e-3, atol=1e-3)


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attention_deeplabv3plus", {"widths": (8, 8, 8)}, "four numbers each"),
        ("ra_ds_unet", {"widths": (8,)}, "widths=.*2 or more"),
        ("transunet", {"heads": 5}, "multiples of heads=5"),
        ("transunet", {"image_size": 100}, "and of 16"),
        ("transunet", {"decoder": (8, 8)}, "decoder=.*5 numbers"),
        ("lanet", {"encoder_name": "resnet20"}, "Unknown encoder 'resnet20'. Did you mean 'resnet"),
    ],
)
def test_bad_options_are_told(name, options, message):
    with pytest.raises(GlacierlabError, match=message):
        build_model(name, 4, 1, **options)


# ---- at full width


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_in_full_width_one_image_trains(name):
    model = build_model(name, 4, 1).train()
    outputs = model(torch.randn(1, 4, 100, 130))
    sum(each.square().sum() for each in (outputs if isinstance(outputs, list) else [outputs])).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


def test_the_low_branch_of_lanet_leaves_the_high_one_alone_in_training_only():
    """Gradients of what a trained network does, as integrated gradients take them, miss no path."""
    torch.manual_seed(0)
    network = build_model("lanet", 3, 2, encoder_name="resnet18").network
    with torch.no_grad():
        for head in (network.high_head.weight, network.high_head.bias):
            head.zero_()  # the high branch speaks through the low one alone
    for training, taught in ((True, False), (False, True)):
        network.zero_grad()
        network.train(training)
        network(torch.rand(2, 3, 160, 160)).square().sum().backward()
        assert bool(network.high[0].weight.grad is not None and network.high[0].weight.grad.any()) is taught
