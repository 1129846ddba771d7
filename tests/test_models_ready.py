"""Networks of segmentation-models-pytorch: published sizes, pretrained encoders, norms for a batch of one."""

import subprocess
import sys
import time
from functools import cache

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from glacierlab.errors import GlacierlabError, UnknownNameError  # noqa: E402
from glacierlab.models import build_model  # noqa: E402
from glacierlab.models.norms import PatientBatchNorm, group_norm, settle_norms  # noqa: E402

BANDS = ("nir", "blue", "swir16", "red", "slope", "green")


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def of_shapes(name, in_channels, classes, **options):
    """A network in full width, without memory."""
    with torch.device("meta"):
        return build_model(name, in_channels, classes, **options).network


def kinds(network, kind):
    """Names of the modules that are of a kind."""
    return {name for name, module in network.named_modules() if isinstance(module, kind)}


# ---- published numbers of parameters (smp 0.5.0 and 0.6.0 count the same)


@pytest.mark.parametrize(
    ("name", "in_channels", "options", "expected"),
    [
        ("unet_resnet18", 4, {}, 14_331_345),
        ("deeplabv3plus", 4, {}, 22_440_593),
        ("deeplabv3plus", 4, {"separable": False}, 25_572_497),
        ("pspnet", 6, {}, 24_310_401),
        ("pan", 6, {}, 24_269_224),
        ("manet", 6, {}, 31_793_041),
        ("manet", 6, {"encoder_name": "resnet50"}, 147_449_401),
        ("segformer", 7, {"encoder_name": "mit_b0"}, 3_720_673),
        ("segformer", 7, {}, 24_734_913),
        pytest.param("segformer", 7, {"encoder_name": "mit_b5"}, 81_981_633, marks=pytest.mark.slow),
        ("cryonet", 3, {}, 70_117_576),
        ("cryonet", 24, {}, 70_183_432),
        ("cryonet", 3, {"attention": None}, 67_977_873),
        # 16 maps instead of a class: 15 (16 x 9 + 1); two 3 x 3 to 32 with norms; 48 to 32; 1 x 1
        ("cryonet", 3, {"full_resolution": 32}, 70_117_576 + 2_175 + 10_208 + 13_888 + 33),
    ],
)
def test_parameters_are_as_many_as_counted(name, in_channels, options, expected):
    network = of_shapes(name, in_channels, 1, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert all(each.is_meta for each in network.state_dict().values())


def test_they_are_what_their_papers_name():
    deeplab = of_shapes("deeplabv3plus", 4, 1, encoder_name="resnet18", atrous_rates=(2, 4, 6))
    assert of_shapes("deeplabv3plus", 4, 1).decoder.aspp[0].convs[3][0][0].dilation == (18, 18)
    assert [deeplab.decoder.aspp[0].convs[n][0][0].dilation[0] for n in (1, 2, 3)] == [2, 4, 6]
    cryonet = of_shapes("cryonet", 24, 1)
    scse = [each for each in cryonet.modules() if type(each).__name__ == "SCSEModule"]
    assert len(scse) == 2 * len(cryonet.decoder.blocks)  # before and after the convolutions of every block
    assert len(cryonet.encoder.layer3) == 23  # ResNet-101
    x = torch.randn(1, 4, 3, 3)
    block = type(scse[0])(4, reduction=2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(block(x), x)  # zero weights: 0.5 of each gate
    bands = {"unet_resnet18": 4, "pspnet": 6, "pan": 6, "manet": 6, "segformer": 7}
    names = {of_shapes(name, number, 1).name for name, number in bands.items()}
    assert names == {"u-resnet18", "psp-resnet50", "pan-resnet50", "manet-resnet34", "segformer-mit_b2"}


def test_cryonet_from_full_resolution_tells_single_pixels_apart():
    """One pixel of every second row and column, in each of four phases, is found to the pixel."""
    options = dict(encoder_name="resnet18", decoder_channels=(16,) * 5)
    torch.manual_seed(0)
    image, label = torch.zeros(4, 1, 64, 64), torch.zeros(4, 64, 64, dtype=torch.long)
    for number in range(4):  # the four phases, which a mean over 2 x 2 cannot tell
        image[number, 0, number // 2 :: 2, number % 2 :: 2] = 1
        label[number, number // 2 :: 2, number % 2 :: 2] = 1
    model = build_model("cryonet", 1, 2, full_resolution=8, **options).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(image), label)
        loss.backward()
        optimizer.step()
    assert (model(image).argmax(dim=1) == label).float().mean() > 0.99
    assert all(each.grad is not None for each in model.parameters() if each.requires_grad)
    assert model.eval()(torch.zeros(1, 1, 37, 90)).shape == (1, 2, 37, 90)


# ---- a batch of one


@pytest.mark.parametrize(
    ("name", "options", "pooled"),
    [
        ("deeplabv3plus", {}, {"decoder.aspp.0.convs.4.2"}),
        ("pan", {}, {"decoder.fpa.branch1.1.bn", *(f"decoder.gau{n}.conv1.1.bn" for n in (1, 2, 3))}),
        ("smp", {"architecture": "DeepLabV3"}, {"decoder.aspp.convs.4.2"}),
        ("smp", {"architecture": "UPerNet"}, {"decoder.psp.blocks.0.1.1"}),
        ("pspnet", {}, set()),  # smp has no norm there
        ("unet_resnet18", {}, set()),
    ],
)
def test_one_image_trains_by_group_norms_after_global_pooling(name, options, pooled):
    model = build_model(name, 4, 2, encoder_name="resnet18", **options).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert kinds(model.network, nn.GroupNorm) == pooled
    model(torch.randn(1, 4, 48, 80)).square().mean().backward()
    assert all(each.grad is not None for each in model.parameters() if each.requires_grad)
    assert not any(
        key.endswith("running_mean") and key.removesuffix(".running_mean") in pooled for key in before
    )


def test_norms_deep_in_an_encoder_are_found():
    network = of_shapes("smp", 4, 1, encoder_name="tu-skresnet18")  # selects kernels by global pooling
    assert len(kinds(network.encoder, nn.GroupNorm)) == 8


def test_the_pyramid_of_pan_trains_at_its_smallest_side():
    model = build_model("pan", 4, 1, encoder_name="resnet18").train()
    patient = kinds(model.network, PatientBatchNorm)
    assert patient == {"decoder.fpa.down3.1.bn", "decoder.fpa.down3.2.bn"}
    assert model(torch.randn(1, 4, 128, 128)).shape == (1, 1, 128, 128)


def test_a_patient_norm_is_a_batch_norm_that_waits():
    patient, plain = PatientBatchNorm(6), nn.BatchNorm2d(6)
    x = torch.randn(4, 6, 3, 3)
    torch.testing.assert_close(patient(x), plain(x))  # both learn
    kept = patient.running_mean.clone()
    one = torch.randn(1, 6, 1, 1)
    with pytest.raises(ValueError, match="more than 1 value"):
        plain(one)
    torch.testing.assert_close(patient(one), plain.eval()(one))
    assert torch.equal(patient.running_mean, kept)


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (32, 4), (8, 1), (6, 1), (1, 1)])
def test_a_group_norm_has_the_parameters_of_a_batch_norm(channels, groups):
    norm = group_norm(channels)
    assert norm.num_groups == groups
    assert [each.shape for each in norm.parameters()] == [
        each.shape for each in nn.BatchNorm2d(channels).parameters()
    ]


def test_settling_touches_nothing_else():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8))
    network.smallest = 16
    network[3].eval()
    before = {key: value.clone() for key, value in network[:3].state_dict().items()}
    settle_norms(network, 3)
    assert [type(each) for each in network[1::2]] == [nn.BatchNorm2d, nn.GroupNorm]
    assert before.keys() == network[:3].state_dict().keys()
    assert all(torch.equal(value, before[key]) for key, value in network[:3].state_dict().items())


def test_weights_that_nothing_depends_on_ask_for_no_gradient():
    frozen = [
        name.rpartition(".")[0]
        for name, each in of_shapes("pspnet", 6, 1).named_parameters()
        if not each.requires_grad
    ]
    assert {name.split(".")[1] for name in frozen} == {"layer3", "layer4"}  # 1/8 of the image is before them
    cryonet = of_shapes("cryonet", 24, 1)
    frozen = {name for name, each in cryonet.named_parameters() if not each.requires_grad}
    assert frozen
    assert all(name.startswith("decoder.blocks.x_0_4.attention1.") for name in frozen)  # no skip, not called


# ---- any of smp, and what is refused


def test_any_architecture_by_name_with_its_options():
    model = build_model("smp", 5, 3, architecture="FPN", encoder_name="mobilenet_v2", decoder_dropout=0.0)
    assert model.options["decoder_dropout"] == 0.0
    assert model.network.name == "fpn-mobilenet_v2"
    assert model.eval()(torch.randn(1, 5, 33, 70)).shape == (1, 3, 33, 70)
    vit = dict(architecture="dpt", encoder_name="tu-vit_tiny_patch16_224")
    assert of_shapes("smp", 5, 3, **vit, dynamic_img_size=True).smallest == 64
    with pytest.raises(GlacierlabError, match=r"cannot build DPT on 'tu-vit_tiny_patch16_224'.*224"):
        build_model("smp", 5, 3, **vit)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smp", {"architecture": "unett"}, "Unknown architecture of smp 'unett'. Did you mean 'unet'"),
        ("smp", {"encoder_name": "resnet43"}, "Unknown encoder 'resnet43'. Did you mean 'resnet34'"),
        ("smp", {"encoder_name": "tu-resnet19"}, "Unknown encoder of timm 'resnet19'. Did you mean 'resnet"),
        ("smp", {"decoder_chanels": [8]}, "option of Unet 'decoder_chanels'. Did you mean 'decoder_ch"),
        ("smp", {"activation": "sigmoid"}, "Unknown option of Unet 'activation'"),  # logits are what we give
        ("smp", {"encoder_name": "tu-resnet18", "aux_params": {}}, "Unknown option of Unet 'aux_params'"),
        ("pan", {"encoder_nam": "resnet18"}, "option of pan 'encoder_nam'. Did you mean 'encoder_name'"),
        ("segformer", {"encoder_name": 3}, "Unknown encoder 3"),
        ("unet_resnet18", {"encoder_weights": "imagnet"}, "of resnet18 'imagnet'. Did you mean 'imagenet'"),
    ],
)  # fmt: skip
def test_unknown_names_are_told_with_near_ones(name, options, message):
    with pytest.raises(UnknownNameError, match=message):
        build_model(name, 4, 1, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cryonet", {"encoder_name": "mit_b0"}, "cannot build UnetPlusPlus on 'mit_b0'"),
        ("cryonet", {"decoder_channels": [64, 32, 16, 8, 8]}, "16 or more"),
        ("cryonet", {"full_resolution": 1.5}, "full_resolution="),
        ("smp", {"decoder_channels": [8, 8]}, "cannot build Unet .*decoder_channels"),
        ("unet_resnet18", {"features": ["red", "green"]}, "give 4 different names"),
        ("unet_resnet18", {"features": ["red", "nir", "nir", "blue"]}, "give 4 different names"),
        ("unet_resnet18", {"features": "nirs"}, r"features=\['nirs'\]"),
    ],
)
def test_what_cannot_be_built_is_told(name, options, message):
    with pytest.raises(GlacierlabError, match=message):
        build_model(name, 4, 1, **options)


# ---- pretrained encoders, from a cache of the hub as it lies on a disk


class Hub:
    """A cache of the hub, offline: what is put there is found, and nothing else."""

    def __init__(self, folder):
        self.folder = folder

    def put(self, repository, revision, tensors):
        from safetensors.torch import save_file

        root = self.folder / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs/main").write_text(revision)
        snapshot = root / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, snapshot / "model.safetensors"
        )
        return snapshot / "model.safetensors"

    def teach(self, name):
        """Random weights of an encoder of smp, and where its file lies."""
        from segmentation_models_pytorch.encoders import encoders, get_encoder

        tensors = get_encoder(name).state_dict()
        row = encoders[name]["pretrained_settings"]["imagenet"]
        return tensors, self.put(row["repo_id"], row["revision"], tensors)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return Hub(tmp_path)


def first_layers(tensors, bands=3):
    """Names of kernels (out, bands, …) that meet the bands: the first, and in mobileone its twin."""
    found = [name for name, each in tensors.items() if each.ndim == 4 and each.shape[1] == bands]
    return [
        name for name in found if name.rsplit(".", 3)[0] == found[0].rsplit(".", 3)[0] or name == found[0]
    ]


@pytest.mark.parametrize(("name", "encoder"), [("unet_resnet18", "mobilenet_v2"), ("segformer", "mit_b0")])
def test_kernels_of_red_green_and_blue_go_where_these_bands_are(hub, name, encoder):
    taught, _ = hub.teach(encoder)
    (first,) = first_layers(taught)
    model = build_model(name, 6, 1, encoder_name=encoder, encoder_weights="imagenet", features=list(BANDS))
    own = model.network.encoder.state_dict()
    assert all(torch.equal(own[key], taught[key]) for key in taught if key != first)
    image = torch.randn(1, 6, 32, 32)
    image[:, [BANDS.index(name) for name in BANDS if name not in ("red", "green", "blue")]] = 0
    rgb = image[:, [BANDS.index(name) for name in ("red", "green", "blue")]]
    torch.testing.assert_close(F.conv2d(image, own[first]), F.conv2d(rgb, taught[first]))
    nir = own[first][:, 0]
    assert not any(torch.equal(nir, taught[first][:, band]) for band in range(3))
    assert 0.5 < nir.std() / fresh_deviation(name, encoder, first) < 2  # as a fresh one has it


def fresh_deviation(name, encoder, first):
    return build_model(name, 6, 1, encoder_name=encoder).network.encoder.state_dict()[first].std()


def test_both_first_layers_of_mobileone_are_adapted(hub):
    taught, _ = hub.teach("mobileone_s0")
    weights = dict(encoder_name="mobileone_s0", encoder_weights="imagenet")
    own = build_model("unet_resnet18", 4, 1, features=("red", "x", "y", "z"), **weights).network.encoder
    changed = [key for key, each in own.state_dict().items() if not same(each, taught[key])]
    assert len(changed) == 2
    assert all(torch.equal(own.state_dict()[key][:, 0], taught[key][:, 0]) for key in changed)


def same(one, other):
    return one.shape == other.shape and torch.equal(one, other)


def test_three_bands_in_another_order_are_told_apart(hub):
    taught, _ = hub.teach("mobilenet_v2")
    (first,) = first_layers(taught)
    options = dict(encoder_name="mobilenet_v2", encoder_weights="imagenet")
    for bands in (("blue", "green", "red"), ("red", "green", "blue")):
        model = build_model("unet_resnet18", 3, 1, features=bands, **options)
        order = [("red", "green", "blue").index(band) for band in bands]
        assert torch.equal(model.network.encoder.state_dict()[first], taught[first][:, order])
    with pytest.raises(GlacierlabError, match=r"None of the features .* is red, green or blue"):
        build_model("unet_resnet18", 2, 1, features=("nir", "slope"), **options)


def test_without_names_smp_repeats_red_green_and_blue(hub):
    taught, _ = hub.teach("mobilenet_v2")
    (first,) = first_layers(taught)
    options = dict(encoder_name="mobilenet_v2", encoder_weights="imagenet")
    own = build_model("pspnet", 5, 1, **options).network.encoder.state_dict()[first]
    torch.testing.assert_close(own, taught[first][:, [0, 1, 2, 0, 1]] * 3 / 5)


def test_lanet_and_timm_load_by_the_same_door(hub):
    taught, _ = hub.teach("resnet18")
    options = dict(encoder_name="resnet18", encoder_weights="imagenet")
    lanet = build_model("lanet", 6, 1, features=BANDS, **options).network.encoder
    assert torch.equal(lanet.conv1.weight[:, BANDS.index("green")], taught["conv1.weight"][:, 1])
    assert torch.equal(lanet.layer4[1].conv2.weight, taught["layer4.1.conv2.weight"])

    import timm

    name = "mobilenetv3_small_050.lamb_in1k"
    tensors = timm.create_model(name).state_dict()
    hub.put(f"timm/{name}", "0" * 40, tensors)
    options = dict(encoder_name=f"tu-{name}", encoder_weights="imagenet")
    encoder = build_model("smp", 6, 1, features=BANDS, **options).network.encoder.model
    assert torch.equal(encoder.conv_stem.weight[:, BANDS.index("blue")], tensors["conv_stem.weight"][:, 2])
    assert torch.equal(encoder.blocks[1][0].conv_pw.weight, tensors["blocks.1.0.conv_pw.weight"])


@pytest.mark.parametrize(
    ("name", "encoder"),
    [("unet_resnet18", "resnet18"), ("lanet", "resnet50"), ("smp", "tu-resnet18.a1_in1k")],
)
def test_weights_that_cannot_be_had_are_told_at_once(hub, name, encoder):
    build_model(name, 4, 1, encoder_name="resnet18")  # imports and first uses
    start = time.perf_counter()
    message = (
        f"weights 'imagenet' of '{encoder}' could not be had .*offline mode.*HF_HOME.*encoder_weights=None"
    )
    with pytest.raises(GlacierlabError, match=message) as told:
        build_model(name, 4, 1, encoder_name=encoder, encoder_weights="imagenet")
    assert time.perf_counter() - start < (3 if encoder.startswith("tu-") else 0.5)  # timm builds it before
    assert type(told.value.__cause__).__name__ == "LocalEntryNotFoundError"
    assert len(str(told.value).splitlines()) == 1


def test_a_damaged_file_in_the_cache_is_told(hub):
    _, path = hub.teach("mobilenet_v2")
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(GlacierlabError, match=r"could not be had .SafetensorError"):
        build_model("unet_resnet18", 4, 1, encoder_name="mobilenet_v2", encoder_weights="imagenet")


@pytest.mark.parametrize(
    ("name", "encoder"), [("cryonet", "resnet18"), ("lanet", "resnet18"), ("pan", "mit_b0")]
)
def test_on_the_meta_device_no_weights_are_asked_for(hub, name, encoder):
    network = of_shapes(name, 6, 2, encoder_name=encoder, encoder_weights="imagenet", features=BANDS)
    assert all(each.is_meta for each in network.parameters())


@pytest.mark.slow
def test_the_registry_does_not_load_smp():
    code = "import sys, glacierlab.models.registry; print('segmentation_models_pytorch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


# ---- at full width


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["cryonet", "deeplabv3plus", "manet", "pan", "pspnet", "segformer", "unet_resnet18"]
)
def test_in_full_width_one_image_of_odd_size_trains(name):
    model = build_model(name, 7, 1).train()
    logits = model(torch.randn(1, 7, 99, 131))
    assert logits.shape == (1, 1, 99, 131)
    logits.square().mean().backward()
    for path, each in model.named_parameters():
        assert not each.requires_grad or each.grad.isfinite().all(), path
