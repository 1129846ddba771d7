"""Distances of borders: smooth, ragged, far apart and oblong ones, against distance transforms."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from glacierlab.scores import score

NAMES = ["asd", "asd_mean_of_means", "hausdorff", "hd95"]


def by_transform(a, b, sampling=(1, 1)):
    """The four scores of two masks (y, x) of bool by SciPy's distance transform."""
    a, b = (side & ~ndimage.binary_erosion(side) for side in (a, b))
    there = ndimage.distance_transform_edt(~b, sampling)[a]
    back = ndimage.distance_transform_edt(~a, sampling)[b]
    every = np.concatenate([there, back])
    return [every.mean(), (there.mean() + back.mean()) / 2, every.max(), np.percentile(every, 95)]


def ours(a, b, unit="px"):
    return score(a, b).loc["glacier", [f"{name}_{unit}" for name in NAMES]].tolist()


@given(seed=st.integers(0, 10**6), density=st.sampled_from([0.02, 0.3, 0.9]))
def test_noise(seed, density):
    masks = np.random.default_rng(seed).random((2, 24, 31)) < density
    masks[:, 5, 5] = True  # neither is empty
    assert ours(*masks) == pytest.approx(by_transform(*masks), rel=1e-12)


def test_ragged_with_a_gap_that_neighbors_do_not_bridge():
    a, b = np.random.default_rng(3).random((2, 60, 80)) < 0.5
    b[20:50, 10:60] = False  # crowded all around, and up to 15 px from anything within
    found = ours(a, b)
    assert found == pytest.approx(by_transform(a, b), rel=1e-12)
    assert found[2] > 10


def test_far_apart():
    a, b = np.zeros((2, 300, 400), bool)
    a[10:12, 10:12] = b[290:295, 380:390] = True
    assert ours(a, b) == pytest.approx(by_transform(a, b), rel=1e-12)


def test_oblong_pixels_of_ragged_masks():
    a, b = np.random.default_rng(4).random((2, 40, 50)) < 0.6
    coords = {"y": -20.0 * np.arange(40), "x": 10.0 * np.arange(50)}
    rasters = (xr.DataArray(side, coords, ("y", "x")) for side in (a, b))
    assert ours(*rasters, unit="m") == pytest.approx(by_transform(a, b, (20, 10)), rel=1e-12)


def test_one_pixel_and_all_glacier():
    full, one = np.ones((9, 9), bool), np.zeros((9, 9), bool)
    one[4, 4] = True
    assert ours(one, full) == pytest.approx(by_transform(np.pad(one, 1), np.pad(full, 1)), rel=1e-12)
    assert ours(full, full) == [0, 0, 0, 0]


def test_the_type_of_a_mask_does_not_matter():
    a, b = np.random.default_rng(5).random((2, 20, 30)) < 0.4
    for dtype in ("uint8", "int16", "float32"):
        assert ours(a.astype(dtype), b.T.astype(dtype).T) == ours(a, b)


@pytest.mark.parametrize("chunks", [7, {"y": 64, "x": 5}])
def test_chunks_do_not_matter_for_ragged_masks(chunks):
    a, b = (
        xr.DataArray(side, dims=("y", "x")) for side in np.random.default_rng(6).random((2, 64, 60)) < 0.5
    )
    assert ours(a.chunk(chunks), b) == ours(a, b)
