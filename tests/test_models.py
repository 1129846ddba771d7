"""Every network of the registry under one interface: sizes, gradients, options that come from a file."""

import copy
import inspect
import json
from functools import cache

import pytest

torch = pytest.importorskip("torch")

from glacierlab.errors import GlacierlabError, UnknownNameError  # noqa: E402
from glacierlab.models import MODELS, Segmenter, build_model  # noqa: E402

BASELINES = {"band_ratio", "random_forest", "single_band"}  # they learn without gradients
U_SHAPED = {"widths": (4, 8, 8, 16, 16)}
LIGHT = {"encoder_name": "resnet18"}
SMALL = {  # the same network, quick on one core
    "attention_deeplabv3plus": {"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1), "pooled": 8, "low": 4},
    "cryonet": LIGHT | {"decoder_channels": (16, 16, 16, 16, 16)},
    "deeplabv3plus": LIGHT,
    "fcn32s": {"widths": (4, 4, 8, 8, 8), "hidden": 16},
    "fcn32s_resnet50": LIGHT | {"hidden": 16},
    "glaciernet": {"widths": (4, 8, 8, 16)},
    "landsnet": {"widths": (4, 8, 16)},
    "lanet": LIGHT,
    "m_landsnet": {"widths": (4, 8, 16)},
    "manet": LIGHT,
    "pan": LIGHT,
    "pspnet": LIGHT,
    "ra_ds_unet": U_SHAPED | {"branch": 8},
    "saunet": U_SHAPED,
    "segformer": {"encoder_name": "mit_b0"},
    "smp": LIGHT | {"architecture": "fpn"},
    "transunet": {
        "image_size": 64, "root": 8, "blocks": (1, 1, 1), "embedding": 16, "depth": 1, "heads": 2, "mlp": 32,
        "decoder": (16, 8, 8, 4, 4),
    },
    "unet": U_SHAPED,
    "unet_cse": U_SHAPED,
    "unetpp": U_SHAPED,
}  # fmt: skip
DEEP = {"unetpp": {"deep_supervision": True}}  # what gives side outputs, where it is not the default
NETWORKS = sorted(set(MODELS) - BASELINES)
every = pytest.mark.parametrize("name", NETWORKS)


@cache
def made(name):
    torch.manual_seed(0)
    return build_model(name, 5, 3, **SMALL.get(name, {}), **DEEP.get(name, {}))


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


# ---- what all have in common


@every
def test_any_size_gives_logits_of_that_size_and_the_same_ones_again(name):
    model = made(name).eval()
    image = images(1, 5, 37, 53)
    with torch.no_grad():
        logits, again = model(image), model(image)
    assert isinstance(model, Segmenter)
    assert logits.shape == (1, 3, 37, 53)
    assert logits.isfinite().all()
    assert torch.equal(logits, again)
    sums = model.probabilities(image).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones(1, 37, 53))


@every
def test_one_image_trains_every_parameter(name):
    model = copy.deepcopy(made(name)).train()
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if path.endswith(("bias", "gamma")):
                parameter.fill_(1)  # ReLUs are awake, and the attention of `saunet`, which starts at 0
    for module in model.modules():
        if "Drop" in type(module).__name__:
            module.eval()
    side = (
        160 if name == "lanet" else 23
    )  # of 128 px its embedding sees one average, which batch norm removes
    outputs = listed(model(images(1, 5, 20, side)))
    assert all(logits.shape == (1, 3, 20, side) for logits in outputs)
    sum((images(*logits.shape) * logits).sum() for logits in outputs).backward()
    for path, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue  # some of smp's weights are there and unused
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        # batch norm takes a bias before it away, and softmax one that all keys share
        assert path.endswith("bias") or parameter.grad.any(), path


@every
def test_it_is_built_without_memory_and_filled_from_a_file(name):
    model = made(name).eval()
    with torch.device("meta"), torch.no_grad():
        empty = build_model(name, 5, 3, **json.loads(json.dumps(model.options))).eval()
    numbers = [each.numel() for each in empty.state_dict().values() if not each.is_meta]
    assert sum(numbers) <= 64 * 5 * 7 * 7  # smp makes its first layer anew for other bands, in memory
    assert json.dumps(empty.options) == json.dumps(model.options)
    empty.load_state_dict(model.state_dict(), assign=True)
    image = images(1, 5, 16, 16)
    with torch.no_grad():
        assert torch.equal(empty(image), model(image))


@every
def test_one_band_and_one_class_fit_in_full_width(name):
    with torch.device("meta"):  # shapes without numbers
        model = build_model(name, 1, 1)
        image = torch.empty(2, 1, 130, 259)
        assert model.eval()(image).shape == (2, 1, 130, 259)
        assert all(logits.shape == (2, 1, 130, 259) for logits in listed(model.train()(image)))


@every
def test_options_are_by_name_and_all_recorded(name):
    takes = inspect.signature(MODELS[name]).parameters.values()
    options = {each.name: each for each in takes if each.name not in ("in_channels", "classes")}
    assert all(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in options.values())
    defaults = {key: each.default for key, each in options.items() if each.kind is each.KEYWORD_ONLY}
    assert made(name).options == defaults | SMALL.get(name, {}) | DEEP.get(name, {})


@pytest.mark.parametrize("name", [name for name in ("unetpp", "ra_ds_unet") if name in MODELS])
def test_side_outputs_come_in_training_only(name):
    model = made(name)
    assert len(model.train()(images(2, 5, 20, 23))) > 1
    with torch.no_grad():
        assert model.eval()(images(2, 5, 20, 23)).shape == (2, 3, 20, 23)


# ---- what the door refuses


def test_the_model_knows_how_it_was_made():
    model = build_model("unet", 4, 1, widths=[4, 8])
    assert (model.name, model.in_channels, model.classes) == ("unet", 4, 1)
    assert model.options == {"widths": [4, 8], "norm": None, "bias": False, "up": "transposed"}
    assert build_model("m_landsnet", 7, 2, widths=[4, 8]).options["rates"] == (1, 2, 3)
    probabilities = model.eval().probabilities(images(1, 4, 9, 7))
    assert probabilities.shape == (1, 2, 9, 7)


def test_near_names_are_told():
    with pytest.raises(UnknownNameError, match=r"Unknown model 'mlandsnet'. Did you mean 'm_landsnet'\?"):
        build_model("mlandsnet", 7, 2)
    with pytest.raises(UnknownNameError, match=r"option of unet 'width'. Did you mean 'widths'\?"):
        build_model("unet", 7, 2, width=(4, 8))


@pytest.mark.parametrize("sizes", [(0, 1), (3, -1), (3.0, 1), (3, True), ("3", 1)])
def test_sizes_are_whole_numbers(sizes):
    with pytest.raises(GlacierlabError, match="give a whole number, 1 or more"):
        build_model("unet", *sizes)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("attention_deeplabv3plus", {"rates": 6}, "rates=6"),
        ("cryonet", {"decoder_channels": 5}, "decoder_channels=5"),
        ("deeplabv3plus", {"atrous_rates": 6}, "atrous_rates=6"),
        ("fcn32s", {"hidden": "a"}, "hidden=a"),
        ("fcn32s", {"hidden": 0}, "zero-element"),
        ("landsnet", {"gate_reduction": 0}, "reduction"),
        ("lanet", {"windows": 4}, "windows=4"),
        ("ra_ds_unet", {"branch": 0}, "zero-element"),
        ("random_forest", {"n_estimators": "a"}, "n_estimators=a"),
        ("saunet", {"reduction": 0}, "reduction"),
        ("transunet", {"blocks": 3}, "blocks=3"),
        ("transunet", {"blocks": (3, 4, 0)}, "blocks="),
        ("unet_cse", {"reduction": -2}, "reduction"),
        ("unetpp", {"dropout": 2.0}, "between 0 and 1"),
    ],
)
def test_options_of_another_kind_are_refused_in_one_line(name, options, said):
    with pytest.raises(GlacierlabError, match=said) as caught, torch.device("meta"):
        build_model(name, 3, 2, **options)
    assert "\n" not in str(caught.value)


def test_public_names_are_listed():
    from glacierlab import judge, models

    assert {"build_model", "load_model"} <= set(dir(models))
    assert {"evaluate", "compare"} <= set(dir(judge))


# ---- probabilities


@pytest.mark.parametrize("name", ["unetpp", "ra_ds_unet"])  # with dropout; with batch norm and side outputs
def test_probabilities_are_those_of_eval_mode_and_change_nothing(name):
    model = copy.deepcopy(made(name)).train()
    model.network.get_submodule(
        next(iter(dict(model.network.named_children())))
    ).eval()  # as a frozen encoder
    modes = [each.training for each in model.modules()]
    before = {key: each.clone() for key, each in model.state_dict().items()}
    found = model.probabilities(images(2, 5, 20, 23))
    assert [each.training for each in model.modules()] == modes
    assert all(torch.equal(each, before[key]) for key, each in model.state_dict().items())
    assert torch.equal(found, model.eval().probabilities(images(2, 5, 20, 23)))
    with torch.no_grad():
        torch.testing.assert_close(found, model(images(2, 5, 20, 23)).softmax(dim=1))
