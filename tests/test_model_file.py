"""Model files: what was saved comes back bit for bit, and the old file stays until the new one is whole."""

import hashlib
import inspect
import json
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402
from model_files import CLASSES, FEATURES, Tiny, parts_of  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.cli import main  # noqa: E402
from glacierlab.errors import GlacierlabError, ModelFileError, UnknownNameError, WriteError  # noqa: E402
from glacierlab.models import (  # noqa: E402
    MODELS,
    Card,
    build_model,
    load_model,
    read_card,
    save_model,
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", Tiny)


def fresh(classes=2, seed=0, **options):
    torch.manual_seed(seed)
    model = build_model("tiny", 3, classes, **options)
    model(torch.rand(2, 3, 8, 8))  # moves the batch norms
    return model.eval()


def save(model, path, **about):
    return save_model(model, path, **({"features": FEATURES, "classes": CLASSES[-model.classes :]} | about))


def logits(model, size=(24, 17)):
    torch.manual_seed(5)
    with torch.inference_mode():
        return model(torch.rand(1, model.in_channels, *size))


# ---- round trips


@pytest.mark.parametrize("classes", [1, 2])
def test_a_model_comes_back(tmp_path, classes):
    model = fresh(classes, widths=[7, 3], scale=3.5)
    state = torch.get_rng_state()
    back = load_model(save(model, tmp_path / "new" / "m.safetensors"))
    assert torch.equal(torch.get_rng_state(), state)  # neither saving nor loading draws
    assert torch.equal(logits(back), logits(model))
    assert (back.name, back.in_channels, back.classes, back.training) == ("tiny", 3, classes, False)
    assert back.options == model.options
    assert {each.dtype for each in back.parameters()} == {torch.float32}
    again = save_model(back, tmp_path / "again.safetensors")
    assert again.read_bytes() == (tmp_path / "new" / "m.safetensors").read_bytes()
    assert all(each.requires_grad for each in back.parameters())  # to be trained further
    assert torch.equal(
        back.probabilities(torch.zeros(1, 3, 8, 8)), model.probabilities(torch.zeros(1, 3, 8, 8))
    )


SMALL = {
    "transunet": dict(
        image_size=32,
        root=8,
        blocks=(1, 1, 1),
        embedding=16,
        depth=1,
        heads=2,
        mlp=16,
        decoder=(8, 8, 8, 8, 8),
    ),
    "segformer": dict(encoder_name="mit_b0"),
    "random_forest": dict(n_estimators=5),
    "cryonet": dict(decoder_channels=(16,) * 5),
}


def small(name):
    """Options that make a network of the zoo small."""
    given = {key: each.default for key, each in inspect.signature(MODELS[name]).parameters.items()}
    options = {"encoder_name": "resnet18"} if "encoder_name" in given else {}
    if "widths" in given:
        options["widths"] = tuple(max(8, width // 16) for width in given["widths"])
    if "hidden" in given:
        options["hidden"] = 16
    return options | SMALL.get(name, {})


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_of_the_zoo_comes_back(tmp_path, name):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = build_model(name, 3, 2, **small(name))
    if hasattr(model.network, "learn"):
        pixels = rng.random((300, 3), np.float32)
        labels = (pixels[:, 0] > 2 * pixels[:, 2]).astype(np.int64)
        model.options |= model.network.learn(pixels, labels, features=FEATURES, classes=CLASSES, seed=0)
    for key, buffer in model.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    back = load_model(save(model, tmp_path / "m.safetensors"))
    assert torch.equal(logits(back), logits(model.eval()))


def test_the_file_is_what_safetensors_writes_byte_for_byte(tmp_path):
    path = save(fresh(), tmp_path / "m.safetensors")
    body, rows, _ = parts_of(path)
    tensors = safetensors.torch.load_file(path)
    assert set(tensors) == set(rows) == set(fresh().network.state_dict())
    for name, tensor in fresh().network.state_dict().items():
        assert torch.equal(tensors[name], tensor)
    assert safetensors.torch.save(tensors, {"glacierlab": json.dumps(body)}) == path.read_bytes()


def test_the_hash_is_of_names_types_shapes_and_bytes(tmp_path):
    path = save(fresh(), tmp_path / "m.safetensors")
    tensors, lines = safetensors.torch.load_file(path), []
    for name in sorted(tensors):
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensors[name].dtype]
        hashed = hashlib.sha256(tensors[name].numpy().tobytes()).hexdigest()
        lines.append(json.dumps([name, kind, list(tensors[name].shape), hashed]))
    assert parts_of(path)[0]["tensors_sha256"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_half_the_size(tmp_path, dtype):
    model = fresh(widths=(64, 64))
    whole = save(model, tmp_path / "whole.safetensors")
    half = save(model, tmp_path / "half.safetensors", dtype=dtype)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    back = load_model(half)
    for name, tensor in model.network.state_dict().items():
        found, kind = back.network.state_dict()[name], getattr(torch, dtype)
        expected = tensor.to(kind).float() if tensor.is_floating_point() else tensor
        assert torch.equal(found, expected)
        assert found.dtype == tensor.dtype  # single precision, and whole counters
    assert torch.allclose(logits(back), logits(model), atol=0.05)


def test_a_model_in_half_precision_is_kept_as_what_it_is_built_as(tmp_path):
    back = load_model(save(fresh().bfloat16(), tmp_path / "m.safetensors"))
    assert {each.dtype for each in back.parameters()} == {torch.float32}


def test_memory_is_one_copy_and_a_card_needs_no_torch(tmp_path):
    small = save(build_model("unet", 3, 2, widths=(8,) * 5), tmp_path / "small.safetensors")
    large = save(build_model("unet", 3, 2, widths=(8, 8, 8, 512, 1024)), tmp_path / "large.safetensors")
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no peak of memory to read")
    code = """
import re, sys
from glacierlab.models import read_card
assert read_card(sys.argv[1]).classes == ("background", "glacier")
assert "torch" not in sys.modules
from glacierlab.models import load_model
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
load_model(sys.argv[1])  # the first loads code
before = peak()
load_model(sys.argv[2])
print(peak() - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, small, large], env=beside(), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    size = large.stat().st_size
    assert size > 100e6
    assert int(run.stdout) < 1.15 * size


def beside():
    """The environment of a process that finds the tests' own modules."""
    return {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}


# ---- the card


def test_the_recipe_inside_replays(made, tmp_path):
    recipe = gl.Recipe(["red", "ndsi", "pca:2", "glcm:nir:contrast"]).fit(made)
    model = build_model("tiny", len(recipe.features), 2)
    save_model(model, tmp_path / "m.safetensors", recipe=recipe, classes=["background", "glacier"])
    card = load_model(tmp_path / "m.safetensors").card
    assert card.features == tuple(recipe.features)
    assert (card.sensor, card.radiometry, card.pixel_size_m) == ("landsat_oli", "sr", 30.0)
    xr.testing.assert_identical(gl.Recipe.from_json(card.recipe).apply(made), recipe.apply(made))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(), st.floats(1e-6, 1e6))
def test_every_card_comes_back(tmp_path_factory, training, note, temperature):
    path = tmp_path_factory.mktemp("card") / "m.safetensors"
    card = Card(FEATURES, CLASSES, training=training, note=note, temperature=temperature)
    model = fresh()
    model.card = card
    assert read_card(save_model(model, path)) == card
    path.unlink()


def test_a_card_takes_numpys_numbers_and_keeps_what_is_not_finite_as_unknown():
    metrics = {"iou": np.float32(0.5), "counts": np.arange(3), "f1": np.nan, "low": -np.inf, 3: (1, np.True_)}
    card = Card(FEATURES, CLASSES, metrics=metrics, tile=np.int64(64), pixel_size_m=np.float64(10))
    assert card.metrics == {"iou": 0.5, "counts": [0, 1, 2], "f1": None, "low": None, "3": [1, True]}
    assert (card.tile, card.pixel_size_m) == (64, 10.0)


def test_what_is_given_goes_before_the_card(tmp_path):
    model = fresh()
    model.card = Card(FEATURES, CLASSES, sensor="landsat_oli", note="old")
    card = read_card(save_model(model, tmp_path / "m.safetensors", note="new", classes=["rest", "snow"]))
    assert (card.sensor, card.note, card.classes) == ("landsat_oli", "new", ("rest", "snow"))
    assert model.card.note == "old"


def test_names_and_colors():
    assert Card(FEATURES, ("glacier",)).names == ("background", "glacier")
    assert Card(FEATURES, ("snow", "glacier")).names == ("snow", "glacier")
    assert Card(FEATURES, ("snow", "glacier")).colors == {"glacier": "#3d9be9"}


@pytest.mark.parametrize(
    ("about", "match"),
    [
        ({"features": FEATURES[:2]}, "takes 3 channels, and 2 are named"),
        ({"features": "red"}, "give a list of names"),
        ({"features": ["red", "red", "nir"]}, r"\['red'\] come more than once"),
        ({"features": ["red", "", "nir"]}, "give a list of names"),
        ({"classes": ["a", "b", "c"]}, "gives 2 logits, and 3 classes are named"),
        ({"classes": None}, "names its classes.*give classes="),
        ({"temperature": 0}, "temperature=0: give a number above 0"),
        ({"temperature": np.nan}, "above 0"),
        ({"tile": 2.5}, "whole number of pixels"),
        ({"training": "worlds"}, "holds a dict"),
        ({"training": {"when": np.datetime64("2020-01-01")}}, "training.when is of type date"),
        ({"license": None}, "license=None: a card holds text"),
        ({"recipe": "{}"}, "not the JSON text of a fitted gl.Recipe"),
        ({"training": {"log": "x" * (17 << 20)}}, "header of 17,.* bytes.*shorten"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, about, match):
    with pytest.raises(GlacierlabError, match=match):
        save(fresh(), tmp_path / "m.safetensors", **about)
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown entry of a card 'licence'\. Did you mean 'license'"):
        save(fresh(), tmp_path / "m.safetensors", licence="CC0")
    with pytest.raises(UnknownNameError, match=r"precision of a model file 'half'.*float16"):
        save(fresh(), tmp_path / "m.safetensors", dtype="half")
    with pytest.raises(GlacierlabError, match=r"m\.pt: a model file's name ends in \.safetensors"):
        save(fresh(), tmp_path / "m.pt")
    with pytest.raises(GlacierlabError, match=r"what gl\.models\.build_model gives, and this is Conv2d"):
        save_model(torch.nn.Conv2d(1, 1, 1), tmp_path / "m.safetensors")
    with pytest.raises(GlacierlabError, match=r"names its features.*recipe=, a fitted gl\.Recipe"):
        save_model(fresh(), tmp_path / "m.safetensors", classes=CLASSES)
    with pytest.raises(GlacierlabError, match=r"classes=\['background'\].*name that"):
        save(fresh(1), tmp_path / "m.safetensors", classes=["background"])


# ---- weights that no file should hold


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [
        (np.nan, None, "'layers.0.weight' holds NaN or infinity"),
        (-np.inf, None, "'layers.0.weight' holds NaN or infinity"),
        (7e4, "float16", "'layers.0.weight' holds 70000, too large for torch.float16"),
        (3.4e38, "bfloat16", "'layers.0.weight' holds 3.4e.38, too large for torch.bfloat16"),
    ],
)
def test_bad_weights_never_replace_good_ones(tmp_path, value, dtype, match):
    path = save(fresh(), tmp_path / "m.safetensors")
    before = path.read_bytes()
    model = fresh(seed=1)
    model.network.layers[0].weight.data[0, 0, 0, 0] = value
    with pytest.raises(ModelFileError, match=match):
        save(model, path, dtype=dtype)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_was_changed_is_refused(tmp_path):
    model = fresh()
    model.network.layers[0] = torch.nn.Conv2d(3, 4, 1)
    with pytest.raises(
        ModelFileError, match=r"changed since it was built: 'layers.0.weight' is \(4, 3, 1, 1\)"
    ):
        save(model, tmp_path / "m.safetensors")
    model.network.layers[0] = torch.nn.Identity()
    with pytest.raises(ModelFileError, match=r"lacks the tensors \['layers.0.weight', 'layers.0.bias'"):
        save(model, tmp_path / "m.safetensors")


# ---- writing


def test_a_kill_while_saving_leaves_the_old_file(tmp_path):
    path = save(fresh(), tmp_path / "m.safetensors")
    before = path.read_bytes()
    code = """
import os, signal, sys
from model_files import CLASSES, FEATURES, Tiny
from glacierlab.models import MODELS, build_model, save_model
MODELS["tiny"] = Tiny
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
save_model(build_model("tiny", 3, 2, widths=(200, 200)), sys.argv[1], features=FEATURES, classes=CLASSES)
"""
    run = subprocess.run([sys.executable, "-c", code, path], env=beside(), check=False)
    assert run.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert torch.equal(logits(load_model(path)), logits(fresh()))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource")
    path = save(fresh(), tmp_path / "m.safetensors")
    before, model = path.read_bytes(), build_model("tiny", 3, 2, widths=(200, 200))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # bytes of a file
    try:
        with pytest.raises(
            WriteError, match=r"cannot be written \(File too large\)\. What was there is as it was"
        ):
            save(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_no_place_to_write(tmp_path):
    (tmp_path / "m.safetensors").mkdir()
    with pytest.raises(WriteError, match="cannot be written"):
        save(fresh(), tmp_path / "m.safetensors")


def test_others_may_read_the_file(tmp_path):
    path = save(fresh(), tmp_path / "m.safetensors")
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


# ---- the command line


def show(*arguments):
    """Exit code of `glacierlab model show ...`."""
    with pytest.raises(SystemExit) as stop:
        main.main(["model", "show", *map(str, arguments)])
    return stop.value.code


def test_the_card_is_shown(capsys, made, tmp_path):
    recipe = gl.Recipe(["red", "ndsi", "slope"]).fit(made)
    scores = {"iou": {"glacier": {"value": 0.81234, "low": 0.79, "high": 0.83}, "lake": None}}
    path = save_model(
        fresh(), tmp_path / "m.safetensors", recipe=recipe, classes=CLASSES, metrics=scores, tile=128,
        training={"data": "worlds"}, license="CC0-1.0", temperature=1.25, dtype="float16", note="a\x1b[2Jb",
    )  # fmt: skip
    assert show(path) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        f"{path}, {path.stat().st_size / 1e6:.3g} MB", "network tiny, 327 parameters, float16",
        "options widths 4, 5, scale 1", "features 3", "optical red", "indices ndsi", "terrain slope",
        "classes background #d9d4c7, glacier #3d9be9",
        "scenes landsat_oli, sr, pixels of 30 m, tiles of 128 px", "data worlds",
        "glacier 0.8123 (0.79 to 0.83)", "lake unknown", "temperature 1.25", "license CC0-1.0", "note a [2Jb",
    ):  # fmt: skip
        assert line in lines
    assert (3 * 9 + 1 + 2) * 4 + (4 * 9 + 1 + 2) * 5 + (5 + 1) * 2 == 327  # convolutions and batch norms
    assert show(path, "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert body["network"]["options"]["widths"] == [4, 5]
    assert body["card"]["metrics"] == scores
    assert body["colors"] == {"background": "#d9d4c7", "glacier": "#3d9be9"}


def test_a_file_that_is_none_is_told_in_one_line(capsys, tmp_path):
    (tmp_path / "m.safetensors").write_text("no")
    assert show(tmp_path / "m.safetensors") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "is no .safetensors file" in err
