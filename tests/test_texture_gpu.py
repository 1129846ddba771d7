"""GLCM texture by torch: the compiled kernels' results, on the processor, and on a GPU where there is one."""

import sys

import numpy as np
import pytest
import xarray as xr

from glacierlab.errors import GlacierlabError
from glacierlab.features.haralick import FEATURES
from glacierlab.features.texture import glcm

torch = pytest.importorskip("torch")

DEVICES = [
    torch.device("cpu"),  # torch's, where the string means the compiled kernels
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")),
]


@pytest.fixture
def image():
    random = np.random.default_rng(12)
    values = random.integers(0, 16, (26, 33)).astype("float32")
    values[3:10, 5:20] = 7  # level
    values[12:20, 22:30] = np.nan
    values[15, 25] = 3  # alone
    values[random.random(values.shape) < 0.05] = np.nan
    return xr.DataArray(values, dims=("y", "x"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(symmetric=False, window=5),
        dict(combine="pool", distance=[1, 2], window=5),
        dict(combine="pool", symmetric=False, directions=[135, 270], window=5),
        dict(combine=None, directions=[0, 225], partners="anywhere", window=5),
        dict(levels=256, window=17, entropy_unit="bit", directions=[45]),  # more pairs than a byte counts
    ],
    ids=str,
)
def test_torch_and_the_compiled_kernels_agree(image, device, options):
    options = dict(levels=16, quantizer=(0, 16)) | options
    expected, found = (
        glcm(image, list(FEATURES), **options),
        glcm(image, list(FEATURES), device=device, **options),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_strips_and_chunks_change_nothing(image, device, monkeypatch):
    from glacierlab.features import _gpu

    expected = glcm(image, device=device)
    monkeypatch.setattr(_gpu, "tile_shape", lambda cols, count: (4, cols))
    xr.testing.assert_identical(glcm(image, device=device), expected)
    lazy = glcm(image.chunk(y=11, x=9), device=device)
    assert lazy.chunks
    xr.testing.assert_equal(lazy.compute(scheduler="synchronous"), expected)


def test_strips_fit_the_memory():
    from glacierlab.features import _gpu
    from glacierlab.features.texture import Counting

    for window in (7, 31):
        count = Counting(window, 0, 32, True, frozenset(), 1.0)
        rows, cols = _gpu.tile_shape(10_980, count)
        assert cols == 10_980
        assert 5 * window**2 * rows * cols <= _gpu.MEMORY


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_without_a_gpu_cuda_is_refused(image):
    for device in ("cuda", "gpu"):
        with pytest.raises(GlacierlabError, match=f"device='{device}'"):
            glcm(image, device=device)


def test_without_torch_a_device_is_refused(image, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "glacierlab.features._gpu", raising=False)
    monkeypatch.delattr("glacierlab.features._gpu", raising=False)
    assert glcm(image).notnull().any()
    with pytest.raises(GlacierlabError, match="pip install"):
        glcm(image, device="cuda")
