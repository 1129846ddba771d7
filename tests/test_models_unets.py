"""The U-Net family, SegNet's and FCN's: published sizes, what each adds to another, and their blocks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from glacierlab.errors import GlacierlabError, UnknownNameError  # noqa: E402
from glacierlab.models import blocks, build_model  # noqa: E402
from glacierlab.models.fcn32s import FCN32s, bilinear_kernel  # noqa: E402
from glacierlab.models.landsnet import LandsNet  # noqa: E402
from glacierlab.models.unetpp import UNetPP, mean_of  # noqa: E402

SMALL = (4, 8, 8, 16, 16)
SEGNET = {
    "widths": (64, 128, 256, 512, 512),
    "convolutions": (2, 2, 3, 3, 3),
    "decoder_convolutions": (1, 2, 3, 3, 3),
    "head_size": 3,
}


def images(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(name, seed=0, **options):
    torch.manual_seed(seed)
    return build_model(name, 3, 2, **options).eval()


# ---- sizes

COUNTS = [  # name, bands, classes, options, parameters
    ("unet", 1, 2, {}, 31_030_658),
    ("unet", 1, 1, {}, 31_030_593),
    ("unet", 7, 2, {}, 31_034_114),
    ("unet", 7, 2, {"up": "nearest"}, 31_034_114),
    ("unet", 7, 1, {"norm": "batch", "bias": True}, 31_045_825),
    ("unet", 7, 1, {"norm": "batch"}, 31_039_937),
    ("unet", 1, 1, {"widths": (32, 64, 128, 256, 512)}, 7_759_521),  # Zhou et al. 2018, table 2
    ("unet", 1, 1, {"widths": (35, 70, 140, 280, 560)}, 9_282_246),
    ("unetpp", 1, 1, {}, 9_041_601),
    ("unetpp", 1, 1, {"deep_supervision": True}, 9_041_700),
    ("glaciernet", 17, 2, {}, 9_420_418),
    ("glaciernet", 3, 2, SEGNET, 29_444_162),
    ("glaciernet", 17, 2, SEGNET, 29_452_226),
    ("saunet", 7, 1, {}, 32_351_938),
    ("unet_cse", 7, 1, {}, 32_789_249),
    ("unet_cse", 7, 1, {"reduction": 16}, 31_261_177),
    ("landsnet", 7, 2, {}, 6_105_323),
    ("m_landsnet", 7, 2, {}, 6_105_323),
    ("landsnet", 7, 2, {"fuse": "concat"}, 6_236_395),
    ("m_landsnet", 7, 2, {"fuse": "concat"}, 6_236_395),
    ("fcn32s", 3, 1, {}, 134_268_737),
    ("fcn32s", 4, 1, {}, 134_268_737 + 576),
]


@pytest.mark.parametrize(("name", "bands", "classes", "options", "parameters"), COUNTS)
def test_parameters_are_as_many_as_published_or_counted(name, bands, classes, options, parameters):
    with torch.device("meta"):
        model = build_model(name, bands, classes, **options)
    assert sum(each.numel() for each in model.parameters()) == parameters


def test_the_unet_has_23_convolutions():
    with torch.device("meta"):
        layers = list(build_model("unet", 1, 2).modules())
    assert sum(isinstance(each, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)) for each in layers) == 23
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in layers)


# ---- what one network adds to another


def test_the_unet_is_what_its_figure_shows():
    model = small("unet", widths=(4, 8))
    image = images(1, 3, 10, 6)
    weights = iter(model.state_dict().values())

    def conv(x, *, of=F.conv2d, **options):
        return of(x, next(weights), next(weights), **options)

    def double(x):
        return conv(conv(x, padding=1).relu(), padding=1).relu()

    with torch.no_grad():
        skip = double(image)
        below = double(F.max_pool2d(skip, 2))
        up = conv(below, of=F.conv_transpose2d, stride=2)
        torch.testing.assert_close(conv(double(torch.cat([skip, up], 1))), model(image))
    assert not list(weights)


@torch.no_grad()
def test_saunet_starts_as_the_plain_unet():
    model = small("saunet", widths=SMALL)
    plain = small("unet", seed=1, widths=SMALL, norm="batch")
    plain.network.load_state_dict(model.network.unet.state_dict())
    image = images(1, 3, 32, 48)
    assert torch.equal(model(image), plain(image))
    model.network.attention.gamma.fill_(1)
    assert not torch.allclose(model.train()(image), plain.train()(image), atol=1e-3)


@torch.no_grad()
def test_unet_cse_without_its_weights_halves_every_block():
    model = small("unet_cse", widths=(4, 8)).network
    for block in model.modules():
        if isinstance(block, blocks.CSE):
            block.excite.weight.zero_(), block.excite.bias.zero_()
    assert sum(isinstance(each, blocks.CSE) for each in model.modules()) == 3
    image = images(1, 3, 8, 8)
    first = model.unet.encoder[0]
    torch.testing.assert_close(first(image), 0.5 * first[0](image))


@torch.no_grad()
def test_m_landsnet_differs_in_dilation_alone():
    wide, narrow = small("landsnet", widths=SMALL[:3]), small("m_landsnet", seed=1, widths=SMALL[:3])
    narrow.load_state_dict(wide.state_dict())
    image = images(2, 3, 64, 64)
    assert not torch.allclose(wide(image), narrow(image))
    convolutions = [
        [each for each in model.modules() if isinstance(each, torch.nn.Conv2d)] for model in (wide, narrow)
    ]
    dilations = []
    for one, other in zip(*convolutions, strict=True):
        if one.dilation != other.dilation:
            dilations.append((one.dilation[0], other.dilation[0]))
            other.dilation, other.padding = one.dilation, one.padding
    assert dilations == [(2, 1), (4, 2), (6, 3)]
    assert torch.equal(wide(image), narrow(image))


@pytest.mark.parametrize(("fuse", "join"), [("add", torch.add), ("concat", lambda *maps: torch.cat(maps, 1))])
@torch.no_grad()
def test_landsnet_goes_by_its_steps(fuse, join):
    torch.manual_seed(0)
    net = LandsNet(3, 2, widths=(4, 8), fuse=fuse).train()  # batch norm keeps values apart
    image = images(1, 3, 32, 32)
    first = net.encoder[0](image)
    second = net.encoder[1](F.max_pool2d(first, 2))
    x = F.max_pool2d(second, 2)
    a, b, c = (dilated(x) for dilated in net.dilated)
    x = net.fusions[1].conv(join(net.fusions[0].conv(join(a, b)), c))
    for place, skip in enumerate((second, first)):
        x = net.ups[place](x)
        x = net.decoder[place](torch.cat([net.gates[place](skip, x), x], dim=1))
    torch.testing.assert_close(net(image), net.head(x))


@pytest.mark.parametrize(
    ("rates", "branches", "side"),
    [((2, 4, 6), "parallel", 13), ((1, 2, 3), "parallel", 7), ((1, 2, 3), "cascaded", 13)],
)
def test_how_far_the_dilated_part_sees(rates, branches, side):
    torch.manual_seed(0)
    model = LandsNet(3, 2, widths=(4, 4), rates=rates, branches=branches).eval()
    x = images(1, 4, 31, 31).requires_grad_()
    model.aggregate(x)[..., 15, 15].sum().backward()
    _, rows, columns = np.nonzero(x.grad[0].numpy())
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == side


# ---- U-Net++


def test_two_levels_of_unetpp_are_a_unet():
    nested, plain = small("unetpp", widths=(4, 8)), small("unet", widths=(4, 8))
    order = ["nodes.0.0", "nodes.1.0", "ups.0.0", "nodes.0.1", "heads.0"]
    weights = nested.network.state_dict()
    chosen = [weights[key] for part in order for key in weights if key.startswith(part)]
    plain.network.load_state_dict(dict(zip(plain.network.state_dict(), chosen, strict=True)))
    image = images(1, 3, 10, 12)
    with torch.no_grad():
        torch.testing.assert_close(nested(image), plain(image))


@torch.no_grad()
def test_three_levels_of_unetpp_are_wired_as_the_paper_says():
    torch.manual_seed(0)
    net = UNetPP(3, 2, widths=(4, 8, 16)).eval()
    (n00, n01, n02), (n10, n11), (n20,) = net.nodes
    image = images(1, 3, 12, 16)
    x00 = n00(image)
    x10 = n10(F.max_pool2d(x00, 2))
    x20 = n20(F.max_pool2d(x10, 2))
    x11 = n11(torch.cat([x10, net.ups[1][0](x20)], dim=1))
    x01 = n01(torch.cat([x00, net.ups[0][0](x10)], dim=1))
    x02 = n02(torch.cat([x00, x01, net.ups[0][1](x11)], dim=1))
    torch.testing.assert_close(net(image), net.heads[0](x02))


def test_each_head_is_that_of_a_pruned_network():
    torch.manual_seed(0)
    whole = UNetPP(3, 2, widths=SMALL, deep_supervision=True, dropout=0.0).train()
    image = images(1, 3, 32, 16)
    outputs = whole(image)
    assert len(outputs) == 4
    for place, output in enumerate(outputs):
        pruned = UNetPP(3, 2, widths=SMALL[: 5 - place])
        weights = whole.state_dict()
        for kind in ("weight", "bias"):
            weights[f"heads.0.{kind}"] = whole.heads[place].state_dict()[kind]
        pruned.load_state_dict({key: weights[key] for key in pruned.state_dict()})
        torch.testing.assert_close(pruned.eval()(image), output)


@pytest.mark.parametrize("classes", [1, 3])
@torch.no_grad()
def test_the_accurate_mode_is_the_mean_probability(classes):
    torch.manual_seed(0)
    model = UNetPP(3, classes, widths=SMALL, deep_supervision=True, dropout=0.0)
    image = 20 * images(1, 3, 16, 16)
    outputs = model.train()(image)
    probability = torch.sigmoid if classes == 1 else lambda logits: logits.softmax(dim=1)
    mean = sum(map(probability, outputs)) / 4
    torch.testing.assert_close(probability(model.eval()(image)), mean)
    model.inference = "last"
    assert torch.equal(model(image), outputs[0])


def test_means_of_certain_logits_stay_finite():
    certain = torch.full((1, 1, 2, 2), 200.0)
    assert mean_of([certain, certain]).flatten().tolist() == pytest.approx([200] * 4)
    assert mean_of([certain, -certain]).abs().max() < 1e-4


def test_unetpp_starts_as_its_authors_say():
    torch.manual_seed(0)
    layer = UNetPP(3, 1).nodes[2][0][3]  # 128 → 128, dropout between
    assert isinstance(layer, torch.nn.Conv2d)
    assert layer.weight.std().item() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
    dropouts = [each for each in UNetPP(3, 1, widths=SMALL).modules() if isinstance(each, torch.nn.Dropout)]
    assert len(dropouts) == 30
    assert {each.p for each in dropouts} == {0.5}


# ---- FCN


def test_its_features_are_those_of_vgg16():
    vgg = pytest.importorskip("torchvision.models.vgg")
    torch.manual_seed(0)
    theirs = vgg.make_layers(vgg.cfgs["D"]).eval()
    with torch.device("meta"):
        ours = FCN32s(3, 1).eval().features
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)), assign=True)
    image = images(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


@torch.no_grad()
def test_it_grows_scores_bilinearly():
    model = FCN32s(3, 2, widths=SMALL, hidden=4)
    scores = images(1, 2, 4, 5)
    expected = F.interpolate(scores, scale_factor=32, mode="bilinear")
    inside = (..., slice(16, -16), slice(16, -16))  # beyond, it takes what is outside for 0
    torch.testing.assert_close(model.up(scores)[inside], expected[inside])
    assert bilinear_kernel(4)[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]


# ---- blocks


def test_unpooling_puts_maxima_back():
    x = images(2, 3, 8, 6).abs()
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    back = blocks.unpool(pooled, places)
    assert torch.equal(back, F.max_unpool2d(pooled, places, 2))
    assert (back > 0).sum() == pooled.numel()
    assert torch.equal(back[back > 0], x[back > 0])
    flat = torch.ones(1, 1, 4, 4)  # equal values: one of four
    assert blocks.unpool(*F.max_pool2d(flat, 2, return_indices=True)).sum() == 4


@torch.no_grad()
def test_a_gate_never_adds():
    torch.manual_seed(0)
    gate = blocks.AttentionGate(6, 4, 3).eval()
    skip, signal = images(2, 6, 5, 7), images(2, 4, 5, 7, seed=2)
    assert (gate(skip, signal).abs() <= skip.abs()).all()
    assert not torch.equal(gate(skip, signal), gate(skip, -signal))
    gate.weight[0].weight.zero_(), gate.weight[0].bias.zero_()
    torch.testing.assert_close(gate(skip, signal), 0.5 * skip)


@torch.no_grad()
def test_cse_is_that_of_segmentation_models():
    modules = pytest.importorskip("segmentation_models_pytorch.base.modules")
    theirs = modules.SCSEModule(8, reduction=2).cSE
    ours = blocks.CSE(8, reduction=2)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = images(2, 8, 5, 7)
    torch.testing.assert_close(ours(x), x * theirs(x))
    ours.excite.weight.zero_(), ours.excite.bias.zero_()
    torch.testing.assert_close(ours(x), 0.5 * x)


@torch.no_grad()
def test_cbam():
    torch.manual_seed(0)
    cbam = blocks.CBAM(512)
    assert sum(each.numel() for each in cbam.parameters()) == 2 * 512 * 512 // 16 + 99 == 32_867
    cbam = blocks.CBAM(8, reduction=2)
    x = images(2, 8, 9, 9)
    x[:, 3] = x[:, 5]
    cbam.channel[2].weight[3] = cbam.channel[2].weight[5]  # whose weights are the same as well
    assert torch.equal(cbam(x)[:, 3], cbam(x)[:, 5])
    assert (cbam(x).abs() <= x.abs()).all()
    for parameter in cbam.parameters():
        parameter.zero_()
    torch.testing.assert_close(cbam(x), 0.25 * x)  # a half by channel, a half by pixel


@torch.no_grad()
def test_self_attention_is_its_formula():
    torch.manual_seed(0)
    attention = blocks.SelfAttention(16)
    x = images(2, 16, 3, 5)
    assert torch.equal(attention(x), x)
    attention.gamma.fill_(0.7)
    for image, found in zip(x.numpy(), attention(x).numpy(), strict=True):
        flat = image.reshape(16, 15)
        q, k, v = (
            part.weight[:, :, 0, 0].numpy() @ flat + part.bias[:, None].numpy()
            for part in (attention.query, attention.key, attention.value)
        )
        weights = np.exp(q.T @ k)  # (pixel, pixel it looks at)
        weights /= weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            found, image + 0.7 * (v @ weights.T).reshape(16, 3, 5), rtol=1e-4, atol=1e-5
        )


@torch.no_grad()
def test_up_convolutions():
    x = torch.tensor([[[[2.0]]]])
    for up, expected in {"transposed": [[2, 2], [2, 2]], "nearest": [[8, 4], [4, 2]]}.items():
        layer = blocks.up_conv(1, 1, up)
        for parameter in layer.parameters():
            parameter.fill_(parameter.ndim > 1)  # a kernel of ones, no bias
        assert layer(x)[0, 0].tolist() == expected


# ---- what is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"norm": "btach"}, r"norm='btach' is unknown: give None or 'batch'"),
        ("unet", {"widths": (64,)}, r"widths=\(64,\): give 2 or more whole numbers"),
        ("unet", {"widths": 64}, "widths"),
        ("saunet", {"widths": (4, 0)}, "widths"),
        ("unet_cse", {"widths": (4, 8.0)}, "widths"),
        ("unetpp", {"inference": "first"}, "give 'mean' or 'last'"),
        ("glaciernet", {"convolutions": (2, 2, 3)}, r"convolutions=\(2, 2, 3\): give 4 whole numbers"),
        ("glaciernet", {"head_size": 2}, "give 1 or 3"),
        ("landsnet", {"rates": (2, 4)}, "give 3 whole numbers"),
        ("m_landsnet", {"fuse": "sum"}, "give 'add' or 'concat'"),
        ("landsnet", {"branches": "cascade"}, "give 'parallel' or 'cascaded'"),
        ("landsnet", {"rates": 2}, "rates=2: give 3"),
        ("fcn32s", {"widths": SMALL[:4]}, "give 5"),
        ("fcn32s", {"widths": (*SMALL, 4)}, "give 5"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(GlacierlabError, match=message):
        build_model(name, 3, 2, **options)


def test_near_choices_are_told():
    with pytest.raises(UnknownNameError, match=r"up-sampling 'neares'. Did you mean 'nearest'\?"):
        build_model("unet", 3, 2, up="neares")
    with pytest.raises(UnknownNameError, match=r"Unknown encoder 'resnet52'"):
        build_model("fcn32s_resnet50", 3, 2, encoder_name="resnet52")
