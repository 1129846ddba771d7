"""Bad model files: cut, altered, forged or foreign, each is refused with the reason, and none is run."""

import json
import os
import pickle
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402
from model_files import CLASSES, FEATURES, Deep, Tiny, forge, parts_of  # noqa: E402

from glacierlab.errors import ModelFileError  # noqa: E402
from glacierlab.models import MODELS, build_model, load_model, read_card, save_model  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def _networks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "tiny", Tiny)
        patch.setitem(MODELS, "deep", Deep)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good file, in which half of the bytes are card."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    about = dict(features=FEATURES, classes=CLASSES, note="Größe", metrics={"iou": 0.5})
    return save_model(build_model("tiny", 3, 2, widths=(8, 8)), path, **about)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def refused(path, match=None):
    with pytest.raises(ModelFileError, match=match) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- cut and altered


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), other=st.integers(1, 255))
def test_any_altered_byte_is_refused(good, place, other):
    raw = bytearray(good.read_bytes())
    at = int(place * len(raw))
    raw[at] ^= other
    altered = good.with_name("altered.safetensors")
    altered.write_bytes(raw)
    refused(altered)
    with suppress(ModelFileError):
        assert read_card(altered) == read_card(good)  # what was altered is about the tensors


@given(keep=st.floats(0, 1, exclude_max=True))
def test_any_cut_is_refused(good, keep):
    raw = good.read_bytes()
    cut = good.with_name("cut.safetensors")
    cut.write_bytes(raw[: int(keep * len(raw))])
    refused(cut)
    with pytest.raises(ModelFileError):
        read_card(cut)


def test_anything_after_the_end_is_refused(good, path):
    path.write_bytes(good.read_bytes() + b"\0")
    refused(path, "is longer than it says")


@given(raw=st.binary(max_size=200), length=st.integers(0, 300))
def test_anything_else_is_refused(good, raw, length):
    other = good.with_name("other.safetensors")
    for content in (raw, length.to_bytes(8, "little") + raw):
        other.write_bytes(content)
        refused(other)


def test_two_tensors_that_changed_places_are_refused(good, path):
    raw = good.read_bytes()
    first, second = b'"layers.0.bias"', b'"layers.3.bias"'
    raw = raw.replace(first, b'"*"').replace(second, first).replace(b'"*"', second)
    path.write_bytes(raw)
    refused(path, "altered")


# ---- forged: every checksum fits


def test_a_forger_can_write_what_we_write(good, path):
    assert forge(path, *parts_of(good)).read_bytes() == good.read_bytes()


def forged(good, path, change):
    parts = dict(zip(("body", "rows", "data"), parts_of(good), strict=True))
    change(parts)
    return forge(path, **parts)


def body(**other):
    return lambda parts: parts["body"].update(other)


def network(**other):
    return lambda parts: parts["body"]["network"].update(other)


def card(**other):
    return lambda parts: parts["body"]["card"].update(other)


def bias(**other):
    return lambda parts: parts["rows"]["layers.0.bias"].update(other)


def last(number):
    return lambda parts: parts.update(data=parts["data"][:-4] + np.float32(number).tobytes())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (network(name="tinny"), "Unknown model 'tinny'. Did you mean 'tiny'.*Known: .*written by glacierlab"),
        (network(name=3), "without a name"),
        (network(options={"width": [4]}), "Unknown option of tiny 'width'. Did you mean 'widths'"),
        (network(options={"widths": "four"}), "cannot be built here"),
        (network(options={"widths": [4, 8]}), r"'layers.0.bias' is \(8,\), and \(4,\) is asked for"),
        (network(options={"widths": [8]}), r"the tensors \['layers.4.* are none of its network"),
        (network(options={"widths": [8, 8, 8]}), r"lacks the tensors \['layers.7.* and 1 more"),
        (network(options={"widths": [10**7] * 2}), r"is \(8,\), and \(10000000,\) is asked for"),
        (network(options={"widths": [10**9]}), "1000000000 as an option"),
        (network(options={"scale": 1e300}), "as an option"),
        (network(in_channels=10**9), "1,000,000,000 channels"),
        (network(in_channels=4), "takes 4 channels, and 3 are named"),
        (network(in_channels=-3), "sizes"),
        (network(in_channels=True), "sizes"),
        (network(classes=3), "gives 3 logits, and 2 classes are named"),
        (network(name="deep", options={"depth": 10**7}), "more than 10,000 layers"),
        (network(extra=1), "cannot be right.*extra"),
        (card(classes=["glacier"]), "gives 2 logits, and 1 classes"),
        (card(classes=[1, 2]), "give a list of names"),
        (card(features=["red", "red", "nir"]), "more than once"),
        (card(temperature=0), "temperature"),
        (card(temperature="1"), "temperature"),
        (card(recipe=5), "recipe"),
        (card(author="me"), "author"),
        (card(metrics=[]), "a card holds a dict"),
        (lambda parts: parts["body"]["card"].pop("note"), "altered"),
        (lambda parts: parts["body"].pop("card"), "cannot be right"),
        (body(version=2), "of version 2, and this reads .* 1: update glacierlab"),
        (body(format="recipe"), "is a 'recipe' of version"),
        (body(more=1), "altered"),
        (body(colors=["x"]), "colors"),
        (body(colors={"glacier": 5}), "colors"),
        (bias(dtype="F8"), "of type 'F8'"),
        (bias(dtype="I32"), "is torch.int32, and torch.float32 is asked"),
        (bias(shape=[2, 4]), r"is \(2, 4\), and \(8,\) is asked"),
        (bias(shape=[-8]), "of type 'F32' and shape"),
        (bias(shape=[8.0]), "of type 'F32' and shape"),
        (bias(shape=[10**12]), "altered"),
        (bias(data_offsets=[0, 32]), "altered"),
        (bias(more=1), "altered"),
        (lambda parts: parts.update(rows=dict(reversed(parts["rows"].items()))), "altered"),
        (last(np.nan), "'layers.6.weight' holds NaN or infinity"),
        (last(np.inf), "'layers.6.weight' holds NaN or infinity"),
    ],
)
def test_a_forged_file_is_refused(good, path, change, match):
    start = time.process_time()
    refused(forged(good, path, change), match)
    assert time.process_time() - start < 5


def test_a_file_never_asks_for_a_download(good, path):
    given = {"widths": [8, 8], "encoder_weights": "imagenet"}
    assert load_model(forged(good, path, network(options=given))).options["encoder_weights"] is None


def test_weights_from_elsewhere_are_never_read(good, path, tmp_path):
    torch.save({"bomb": Bomb(tmp_path / "ran")}, tmp_path / "other.pth")
    options = {
        "architecture": "unet",
        "encoder_name": "tu-resnet10t",
        "checkpoint_path": str(tmp_path / "other.pth"),
    }
    refused(forged(good, path, network(name="smp", options=options)), "does not fit its network")
    assert not (tmp_path / "ran").exists()


def test_a_key_that_comes_twice_is_refused(good, path):
    raw = good.read_bytes()[8:]
    raw = raw.replace(b'{"__metadata__"', b'{"layers.0.bias":0,"__metadata__"', 1)
    path.write_bytes((int.from_bytes(good.read_bytes()[:8], "little") + 19).to_bytes(8, "little") + raw)
    refused(path, "altered")


# ---- what is no model file


class Bomb:
    """What a pickle may hold: a call that is made when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["m.pt", "m.ckpt", "m.pth", "m.safetensors"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5, "torch", "old torch"])
def test_pickles_are_not_run(tmp_path, name, protocol):
    path, bomb = tmp_path / name, Bomb(tmp_path / "ran")
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps({"state_dict": bomb}, protocol))
    else:
        torch.save({"state_dict": bomb}, path, _use_new_zipfile_serialization=protocol == "torch")
    told = r"no \.safetensors file" if (name, protocol) == ("m.safetensors", 0) else "pickle.*If you trust"
    refused(path, told)
    assert not (tmp_path / "ran").exists()


def test_the_way_to_convert_a_checkpoint_works(tmp_path, path):
    model = build_model("tiny", 3, 2)
    torch.save(model.network.state_dict(), tmp_path / "m.pt")
    refused(tmp_path / "m.pt", r"torch\.load\(path, weights_only=True\).*load_state_dict.*gl\.save_model")
    other = build_model("tiny", 3, 2)
    other.network.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    save_model(other, path, features=FEATURES, classes=CLASSES)
    assert torch.equal(load_model(path).network.layers[0].weight, model.network.layers[0].weight)


def test_a_safetensors_file_of_others_says_what_to_do(path):
    model = build_model("tiny", 3, 2)
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file(model.network.state_dict(), path, metadata)
        refused(path, r"no card of glacierlab.*build_model.*load_state_dict.*gl\.save_model")


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "no .safetensors file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "no .safetensors file"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "no .safetensors file"),
        ((17 << 20).to_bytes(8, "little") + b" " * (17 << 20), "no .safetensors file"),
        ((100).to_bytes(8, "little") + b"{}", "cut short: 10 bytes"),
        ((2).to_bytes(8, "little") + b"[]", "no .safetensors file"),
        ((2).to_bytes(8, "little") + b"{}", "no card of glacierlab"),
        ((10**6).to_bytes(8, "little") + b"[" * 10**6, "no .safetensors file"),
        ((10**6 + 5).to_bytes(8, "little") + b'{"a":' + b"[" * 10**6, "no .safetensors file"),
        ((5009).to_bytes(8, "little") + b'{"a": ' + b"9" * 5002 + b"}", "no .safetensors file"),
    ],
)
def test_other_files_are_refused(path, raw, match):
    path.write_bytes(raw)
    refused(path, match)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 10**5, '{"format": 1, "version": NaN}', "{"])
def test_a_card_that_is_none_is_refused(path, text):
    raw = json.dumps({"__metadata__": {"glacierlab": text}}).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw)
    refused(path)


def test_places_without_a_file_are_refused(tmp_path):
    refused(tmp_path / "m.safetensors", "is not there")
    refused(tmp_path, "is a folder: give the .safetensors file in it")
    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "no file")
