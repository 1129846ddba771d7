"""GLCM texture as other tools count it: GRASS and Orfeo Toolbox, where they are installed, and R's rule."""

import shutil
import subprocess

import numpy as np
import pytest
import rioxarray
import xarray as xr
from skimage.feature import graycoprops

from glacierlab.features.texture import PRESETS, glcm


def image_of(values):
    """An image (y, x) of 10 m pixels, rows downwards."""
    values = np.asarray(values, "float32")
    rows, cols = values.shape
    coords = {"y": 3.1e6 - 10.0 * np.arange(rows), "x": 5e5 + 10.0 * np.arange(cols)}
    return xr.DataArray(values, coords, ("y", "x")).rio.write_crs("EPSG:32645")


@pytest.fixture
def grey_file(tmp_path):
    """An image of smooth whole numbers 0 to 255, and its file."""
    rough = np.random.default_rng(7).normal(0, 40, (30, 36))
    y, x = np.mgrid[:30, :36]
    image = image_of(np.clip(120 + 60 * np.sin(x / 5) * np.cos(y / 7) + rough, 0, 255).round())
    image.astype("uint8").rio.to_raster(tmp_path / "grey.tif")
    return image, tmp_path / "grey.tif"


@pytest.mark.skipif(not shutil.which("grass"), reason="GRASS (grass-core) is not installed")
def test_the_grass_preset_is_its_r_texture(grey_file):
    image, path = grey_file
    theirs = {"asm": "ASM", "contrast": "Contr", "corr": "Corr", "var": "Var", "idm": "IDM", "entr": "Entr",
              "moc1": "MOC-1"}  # fmt: skip
    lines = [f"r.in.gdal input={path} output=grey -o", "g.region raster=grey",
             f"r.texture input=grey output=t size=5 method={','.join(theirs)}"]  # fmt: skip
    for name in theirs.values():
        output = path.with_name(f"{name}.tif")
        lines.append(f"r.out.gdal input=t_{name} output={output} type=Float64 -f -c")
    script = path.with_suffix(".sh")
    script.write_text("\n".join(lines))
    grass = ["grass", "--tmp-location", "EPSG:32645", "--exec", "bash", "-e", script]
    subprocess.run(grass, check=True, capture_output=True)
    ours = ["asm", "contrast", "correlation", "variance", "homogeneity", "entropy", "imc1"]
    found = glcm(image, ours, **PRESETS["grass"] | dict(window=5))
    for layer, name in zip(found, theirs.values(), strict=True):
        with rioxarray.open_rasterio(path.with_name(f"{name}.tif")) as file:
            expected = file.values[0]
        np.testing.assert_allclose(
            layer[2:-2, 2:-2], expected[2:-2, 2:-2], rtol=1e-4, atol=1e-5
        )  # its float32


@pytest.mark.skipif(
    not shutil.which("otbcli_HaralickTextureExtraction"), reason="Orfeo Toolbox (otb-bin) is not installed"
)
def test_the_otb_preset_is_its_haralick_texture_extraction(grey_file):
    image, path = grey_file
    output = path.with_name("texture.tif")
    command = ["otbcli_HaralickTextureExtraction", "-in", path, "-channel", "1", "-texture", "simple",
               "-parameters.xrad", "2", "-parameters.yrad", "2", "-parameters.xoff", "1", "-parameters.yoff",
               "1", "-parameters.min", "0", "-parameters.max", "255", "-parameters.nbbin", "8",
               "-out", output, "double"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    theirs = ["asm", "entropy", "", "homogeneity", "contrast", "cluster_shade", "cluster_prominence"]
    found = glcm(image, [name for name in theirs if name], **PRESETS["otb"])
    with rioxarray.open_rasterio(output) as file:
        expected = file.values[[k for k, name in enumerate(theirs) if name]]
    inner = np.s_[:, 3:-3, 3:-3]
    np.testing.assert_allclose(found.values[inner], expected[inner], rtol=1e-5, atol=1e-5)


def test_the_r_preset_counts_pairs_of_the_window_and_the_window_shifted():
    values = np.random.default_rng(8).integers(0, 5, (5, 5))
    base, shifted = values[1:4, 1:4].ravel(), values[2:5, 2:5].ravel()  # around (2, 2), and by (1, 1)
    matrix = np.zeros((5, 5))
    np.add.at(matrix, (base, shifted), 1)
    expected = [graycoprops(matrix[..., None, None] / 9, p)[0, 0] for p in ("contrast", "ASM", "correlation")]
    preset = PRESETS["r_glcm"] | dict(levels=5, quantizer=(0, 5))
    found = glcm(image_of(values), ["contrast", "asm", "correlation"], **preset)
    np.testing.assert_allclose(found[:, 2, 2], expected, rtol=1e-6)
