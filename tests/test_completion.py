"""Tab within strings: what a running kernel offers, and what it leaves alone."""

import subprocess
import sys

import pytest

import glacierlab as gl
from glacierlab.completing import ailment_names, complete, model_names

START = """
import numpy as np
import glacierlab as gl
scene = gl.synthetic_scene(seed=1, shape=(48, 48)).drop_vars("swir22")
"""
KERNEL = {  # code up to the cursor → names that are offered, names that are not
    'scene.glacier.stack(["nd': (["ndsi", "ndwi"], ["red"]),
    'scene.glacier.stack(["red", "ndsi", "sw': (["swir16"], ["swir22"]),
    'scene.glacier.index("nds': (["ndsi"], ["red"]),
    'scene.glacier.ratio("red", "swi': (["swir16"], ["swir22", "red"]),
    'gl.index(scene, "nds': (["ndsi"], []),
    'gl.Recipe(["glcm:n': (["glcm:nir"], ["nir"]),
    'gl.Recipe(["glcm:nir:contrast,ent': (["glcm:nir:contrast,entropy"], []),
    'gl.teach.ailing(scene, "off': (["offset left in"], ["striped"]),
    'gl.Recipe("cry': (["cryonet", "cryonet_landsat"], []),
    'gl.models.build_model("m_': (["m_landsnet"], ["unet"]),
    'gl.fit(\n    model,\n    patches,\n    preset="ch': (["chen2022", "chu2022"], ["huang2025"]),
    'gl.compare(["unet", "cry': (["cryonet"], []),
    'gl.compare(protocol="': (["chen2022", "cryonet"], []),
    'gl.sample("ath': (["athabasca", "athabasca_outline"], ["everest"]),
    "gl.load_model('": (["default"], []),
    'gl.samples.PatchSet.from_scenes(scenes, labels, classes=["clean': (["clean_ice"], []),
    'gl.models.MODELS["lands': (["landsnet"], ["unet"]),
    'gl.tables.INDICES["nds': (["ndsi"], []),
}


@pytest.fixture(scope="module")
def kernel():
    """A running kernel of IPython with a scene in it."""
    pytest.importorskip("ipykernel", reason="of the extra `notebooks`")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        reply = client.execute_interactive(START, timeout=120)
        assert reply["content"]["status"] == "ok"
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def offered(kernel, code):
    """The code after each choice of what Tab offers at its end."""
    reply = kernel.complete(code, len(code), reply=True, timeout=60)["content"]
    assert reply["status"] == "ok"
    return [code[: reply["cursor_start"]] + match for match in reply["matches"]]


@pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")  # zmq on Windows
def test_a_kernel_completes_names_within_strings(kernel):
    for code, (wanted, others) in KERNEL.items():
        texts = offered(kernel, code)
        before = code[: max(code.rfind('"'), code.rfind("'")) + 1]
        assert [name for name in wanted if not any(t.startswith(before + name) for t in texts)] == [], code
        assert [name for name in others if any(t.startswith(before + name) for t in texts)] == [], code


@pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")
def test_a_kernel_completes_other_code_as_before(kernel):
    assert "scene.glacier.stack" in offered(kernel, "scene.glacier.sta")
    assert not any("ndsi" in text for text in offered(kernel, 'np.stack(["nd'))
    assert any("red" in text for text in offered(kernel, 'scene["re'))


@pytest.mark.parametrize(
    "code",
    [
        'np.stack(["nd', 'print("nd', 'gl.fit(model, loss={"name": "ch', 'x = "nd', 'gl.index(scene, "ndsi")',
        'f(gl.index(scene, "ndsi"), "nd', '# gl.index(scene, "nd', 'gl.sample("""\nath', ")]}(", "",
        'gl["nd', 'unknown.index("nd', 'gl.index(scene, b"\\"',
    ],
)  # fmt: skip
def test_what_is_not_ours_is_left_alone(code):
    assert complete(code, {"gl": gl}) == ("", []) or complete(code, {"gl": gl})[1] == []


def test_a_name_imported_by_itself_is_known():
    assert complete('fetch("athabasca_', {"fetch": gl.sample}) == ("athabasca_", ["athabasca_outline"])


def test_the_rest_of_a_chain_is_known_by_its_accessor():
    assert "ndsi" in complete('gl.open_scene("x").glacier.stack(["nds', {"gl": gl})[1]


def test_every_model_is_offered():
    pytest.importorskip("torch")
    assert sorted(model_names("", [])) == sorted(gl.models.MODELS)
    assert ailment_names("", []) == list(gl.teach.AILMENTS)


def test_nothing_is_loaded_outside_ipython():
    code = "import sys, glacierlab; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"IPython", "glacierlab.completing"} & set(run.stdout.split())
