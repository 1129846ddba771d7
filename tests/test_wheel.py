"""The package without its extras: what works all the same, and that the rest says what to install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
EXTRAS = {  # import names of what the extras bring
    "models": ("filelock", "lightning", "safetensors", "segmentation_models_pytorch", "sklearn", "timm",
               "torch", "torchmetrics", "torchvision"),
    "viz": ("bokeh", "cartopy", "geoviews", "holoviews", "panel", "param"),
    "stac": ("odc.loader", "odc.stac", "pystac", "pystac_client"),
}  # fmt: skip
BLOCK = f"""
import sys

class Missing:
    names = {tuple(name for names in EXTRAS.values() for name in names)}

    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in self.names):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
NAMES = """
import glacierlab as gl

def told(get):
    try:
        get()
    except gl.errors.MissingExtraError as error:
        return str(error)
    return ""

missing = {}
for name in gl.__all__:
    missing[f"glacierlab.{name}"] = told(lambda: getattr(gl, name))
for part in gl._PARTS:
    module = getattr(gl, part)
    for name in getattr(module, "__all__", dir(module)):
        missing[f"glacierlab.{part}.{name}"] = told(lambda: getattr(module, name))
accessors = gl._accessors
for owner in (accessors.SceneAccessor, accessors.RasterAccessor):
    for name in vars(owner):
        missing[f".glacier.{name}"] = told(lambda: getattr(owner, name))
for name, text in missing.items():
    print(name, "|", text)
"""
CALLS = """
import glacierlab as gl
scene = gl.synthetic_scene(seed=1, shape=(60, 80))
patches = gl.samples.PatchSet.from_scenes({"a": scene}, {"a": scene.truth}, ["red", "nir"], size=16)
calls = {
    "patches.torch": lambda: patches.torch(),
    "patches.sampler": lambda: patches.sampler(),
    "find_scenes": lambda: gl.find_scenes(bbox=(0, 0, 1, 1), dates="2020"),
    "map_by_model": lambda: scene.glacier.map_by_model("default"),
    "map_scenes": lambda: gl.map_scenes("nowhere", "out", model="default"),
    "predict": lambda: scene.glacier.predict("default"),
    "glcm on a GPU": lambda: scene.nir.glacier.glcm(["contrast"], device="cuda"),
    "explore": lambda: gl.viz.explore(scene),
    "explore_inventory": lambda: gl.viz.explore_inventory(None),
    "write_page": lambda: gl.viz.write_page(None, "x.html"),
    "inspect": lambda: gl.apps.inspect(scene),
}
for name, call in calls.items():
    try:
        call()
        print(name, "| worked")
    except gl.errors.GlacierlabError as error:
        print(name, "|", error)
mask = scene.glacier.ratio("red", "swir16").glacier.threshold(2.0)
print("outlines |", len(mask.glacier.outlines()) > 0, len(scene.glacier._repr_html_()) > 0)
print("card |", gl.models.read_card("default").classes[0])
"""


def without_extras(code, folder):
    """Lines that code prints where no extra is installed: {what: told}."""
    run = subprocess.run(
        [sys.executable, "-c", BLOCK + code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(line.split(" | ", 1) for line in run.stdout.splitlines() if " | " in line)


def test_every_public_name_loads_or_says_which_extra_it_needs(tmp_path):
    told = without_extras(NAMES, tmp_path)
    wants = {name: text for name, text in told.items() if text.strip()}
    for name, text in wants.items():
        assert name in text or name.rsplit(".", 1)[-1] in text, (name, text)
        assert "pip install 'glacierlab[models]'" in text or "pip install 'glacierlab[viz]'" in text, (
            name,
            text,
        )
    needed = {"fit", "predict", "evaluate", "compare", "importance", "load_model", "save_model"}
    assert {f"glacierlab.{name}" for name in needed} <= set(wants)
    free = {
        "open_scene",
        "map_glaciers",
        "Recipe",
        "score",
        "qa",
        "area_change",
        "synthetic_world",
        "find_scenes",
    }
    assert not {f"glacierlab.{name}" for name in free} & set(wants)
    assert "glacierlab[viz]" in wants["glacierlab.viz.explore"]
    assert "glacierlab[viz]" in wants["glacierlab.apps.inspect"]
    assert "glacierlab[models]" in wants["glacierlab.models.MODELS"]


def test_calls_that_need_an_extra_say_which(tmp_path):
    told = without_extras(CALLS, tmp_path)
    assert told.pop("outlines") == "True True"
    assert told.pop("card") == "background"
    extra = {
        "explore": "viz",
        "explore_inventory": "viz",
        "write_page": "viz",
        "inspect": "viz",
        "find_scenes": "stac",
    }
    for name, text in told.items():
        assert f"pip install 'glacierlab[{extra.get(name, 'models')}]'" in text, (name, text)


@pytest.mark.parametrize(
    "command", [["train", "x.toml"], ["compare", "x.toml"], ["inspect", "."], ["dashboard", "."]]
)
def test_commands_that_need_an_extra_say_which(command, tmp_path):
    (tmp_path / "x.toml").write_text("")
    code = f"{BLOCK}\nfrom glacierlab.cli import main\nsys.argv = ['glacierlab', *{command}]\nmain()"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 2
    assert "pip install 'glacierlab[" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", ["00", "01", "02"])
def test_the_first_lessons_run_without_extras(number, tmp_path):
    found = sorted(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    if not found:
        pytest.skip(f"there is no lesson {number}")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(found[0], as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BLOCK))
    offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | offline | {"NO_PROXY": "", "OMP_NUM_THREADS": "1"})
