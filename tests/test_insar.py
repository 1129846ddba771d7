"""Coherence and phase: the pack's numbers, SciPy, simulated noise, laws, laziness, messages."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from glacierlab.errors import GlacierlabError, GridError
from glacierlab.features.insar import coherence, expected_coherence


def image_of(values, step=10.0):
    """A complex image (y, x) with coordinates."""
    values = np.asarray(values)
    rows, cols = values.shape
    return xr.DataArray(values, {"y": -step * np.arange(rows), "x": step * np.arange(cols)}, ("y", "x"))


def noise(shape, seed):
    """Circular Gaussian noise."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("complex64")


@pytest.fixture
def images():
    """Two images that have half of their noise in common, and fringes."""
    common, first, second = (noise((40, 90), seed) for seed in (1, 2, 3))
    fringes = np.exp(0.2j * np.arange(90)).astype("complex64")
    return image_of(common + 0.5 * first), image_of((common + 0.5 * second) * fringes)


def filtered(first, second, window):
    """Coherence and phase by SciPy's uniform filter."""
    a, b = first.values.astype("complex128"), second.values.astype("complex128")

    def mean(values):
        return uniform_filter(values, window, mode="constant")  # zeros beyond the edges

    product = a * b.conj()
    joint = mean(product.real) + 1j * mean(product.imag)
    return np.abs(joint) / np.sqrt(mean(np.abs(a) ** 2) * mean(np.abs(b) ** 2)), np.angle(joint)


# ---- outside answers ----


def test_the_packs_vectors():
    k = np.add.outer(5 * np.arange(5), np.arange(5))
    first = k % 7 + 1j * (k % 3)
    turned = coherence(image_of(first), image_of(first * np.exp(0.5j)), window=(3, 3))
    assert turned.coherence[2, 2].item() == pytest.approx(1, abs=1e-6)
    assert turned.phase[2, 2].item() == pytest.approx(-0.5, abs=1e-6)
    rolled = coherence(image_of(first), image_of(np.roll(first, 1, axis=1)), window=(3, 3))
    assert rolled.coherence[2, 2].item() == pytest.approx(0.800655, abs=1e-6)
    assert rolled.phase[2, 2].item() == pytest.approx(-0.134771, abs=1e-6)


@pytest.mark.parametrize("window", [(5, 20), (3, 3), (1, 7), (4, 1), (2, 2), (16, 31), (40, 90)])
def test_any_window_as_scipy_filters_it_up_to_the_edges(images, window):
    found = coherence(*images, window=window)
    size, phase = filtered(*images, window)
    np.testing.assert_allclose(found.coherence, size, atol=1e-6)
    np.testing.assert_allclose(np.exp(1j * found.phase), np.exp(1j * phase), atol=1e-4)


@pytest.mark.parametrize("window", [(1, 2), (2, 2), (2, 4), (5, 20)])
def test_noise_has_the_coherence_expected_of_so_few_looks(window):
    found = coherence(image_of(noise((400, 420), 4)), image_of(noise((400, 420), 5)), window)
    inner = found.coherence[window[0] :: window[0], window[1] :: window[1]]  # windows apart from each other
    looks = window[0] * window[1]
    error = inner.std().item() / np.sqrt(inner.size)
    assert inner.mean().item() == pytest.approx(expected_coherence(looks), abs=4 * error)
    assert error < 0.01


def test_expected_coherence_of_few_and_many_looks():
    assert expected_coherence(1) == pytest.approx(1)
    assert expected_coherence(2) == pytest.approx(2 / 3)  # Γ(2) Γ(3/2) / Γ(5/2)
    assert expected_coherence(1e6) == pytest.approx(np.sqrt(np.pi) / 2e3, rel=1e-5)
    assert (np.diff(expected_coherence(np.arange(1, 200))) < 0).all()
    with pytest.raises(GlacierlabError, match="at least one"):
        expected_coherence([4, 0.5])


# ---- laws ----


@given(
    rows=st.integers(1, 12), cols=st.integers(1, 30), turn=st.floats(-3, 3),
    gain=st.floats(1e-6, 1e6), seed=st.integers(0, 9),
)  # fmt: skip
def test_coherence_is_a_share_that_no_gain_or_turn_changes(rows, cols, turn, gain, seed):
    first, second = image_of(noise((12, 30), seed)), image_of(noise((12, 30), seed + 100))
    plain = coherence(first, second, (rows, cols))
    assert ((plain.coherence >= 0) & (plain.coherence <= 1)).all()
    assert (abs(plain.phase) <= np.float32(np.pi)).all()
    other = coherence(first, second * np.complex64(gain * np.exp(1j * turn)), (rows, cols))
    np.testing.assert_allclose(other.coherence, plain.coherence, atol=2e-6)
    seen = plain.coherence > 1e-3
    off = np.exp(1j * (other.phase + turn - plain.phase)) - 1
    assert abs(off).where(seen, 0).max() < 1e-3
    swapped = coherence(second, first, (rows, cols))
    np.testing.assert_array_equal(swapped.coherence, plain.coherence)
    np.testing.assert_array_equal(swapped.phase, -plain.phase)


def test_one_look_and_an_image_with_itself_are_fully_coherent(images):
    first, second = images
    one = coherence(first, second, (1, 1))
    np.testing.assert_allclose(one.coherence, 1, atol=1e-6)
    np.testing.assert_allclose(one.phase, np.angle(first * second.conj()), atol=1e-5)
    itself = coherence(first, first)
    np.testing.assert_allclose(itself.coherence, 1, atol=1e-6)
    assert (itself.phase == 0).all()


def test_pixels_that_are_not_observed_are_left_out(images):
    first, second = images
    holed, other = first.copy(), second.copy()
    holed[10, 20], other[25, 60], other[30, 10] = np.nan, np.inf, complex(0, np.nan)
    found, whole = coherence(holed, other, (5, 8)), coherence(first, second, (5, 8))
    gone = np.zeros(first.shape, bool)
    gone[10, 20] = gone[25, 60] = gone[30, 10] = True
    for name in ("coherence", "phase"):
        assert (found[name].isnull() == gone).all()
    masked = first.where(~gone, 0), second.where(~gone, 0)
    np.testing.assert_allclose(found.coherence.values[~gone], filtered(*masked, (5, 8))[0][~gone], atol=1e-6)
    far = uniform_filter(gone.astype(float), (11, 17)) < 1e-9
    np.testing.assert_array_equal(found.coherence.where(far), whole.coherence.where(far))


def test_declared_nodata_and_dark_windows(images):
    first, second = images
    dark = first.where(first.x > 300, 0)
    assert coherence(dark, second, (3, 3)).coherence[:, :25].isnull().all()
    declared = dark.rio.write_nodata(0)
    expected = coherence(first.where(first.x > 300), second, (3, 3))
    np.testing.assert_array_equal(coherence(declared, second, (3, 3)).coherence, expected.coherence)


def test_double_precision_is_as_good(images):
    doubles = [image.astype("complex128") for image in images]
    xr.testing.assert_identical(coherence(*doubles), coherence(*images))
    huge = coherence(doubles[0] * 1e90, doubles[1] * 1e-90)
    xr.testing.assert_allclose(huge, coherence(*images), atol=1e-6)


# ---- laziness ----


@given(
    rows=st.integers(1, 40), cols=st.integers(1, 90),
    window=st.tuples(st.integers(1, 9), st.integers(1, 24)), both=st.booleans(),
)  # fmt: skip
def test_chunks_change_nothing(rows, cols, window, both):
    first, second = image_of(noise((40, 90), 1)), image_of(noise((40, 90), 2))
    first[7, 11] = np.nan
    chunks = dict(y=max(rows, 6), x=max(cols, 13))
    lazy = coherence(first.chunk(chunks), second.chunk(y=17) if both else second, window)
    assert lazy.coherence.chunks is not None
    xr.testing.assert_identical(lazy.compute(scheduler="synchronous"), coherence(first, second, window))


def test_nothing_is_computed_before_it_is_asked_for(images):
    def never(*_args, **_kwargs):
        raise AssertionError("computed")

    with dask.config.set(scheduler=never):
        found = coherence(*(image.chunk(y=20) for image in images))
        assert {name: v.dtype for name, v in found.items()} == dict(coherence=np.float32, phase=np.float32)
        assert found.coherence.dims == ("y", "x")
        with pytest.raises(AssertionError, match="computed"):
            found.compute()


def test_the_pair_joins_a_scene_and_the_images_stay(images):
    first, second = (image.rio.write_crs("EPSG:32645") for image in images)
    before = first.copy(deep=True)
    scene = xr.Dataset({"red": first.real}, attrs={"sensor": "landsat_oli"})
    scene = scene.assign(coherence(first.transpose("x", "y"), second))
    assert list(scene) == ["red", "coherence", "phase"]
    assert scene.attrs == {"sensor": "landsat_oli"}
    assert (scene.coherence.attrs["units"], scene.phase.attrs["units"]) == ("1", "radians")
    assert scene.coherence.attrs["window"] == "5 x 20 (azimuth x range)"
    assert scene.phase.rio.crs == "EPSG:32645"
    xr.testing.assert_identical(first, before)


def test_images_without_coordinates(images):
    bare = [image.drop_vars(("y", "x")) for image in images]
    np.testing.assert_array_equal(coherence(*bare).coherence, coherence(*images).coherence)


# ---- messages ----


def test_pairs_that_do_not_match_are_refused(images):
    first, second = images
    with pytest.raises(GridError, match=r"Different grids: first .*40.* and second .*39"):
        coherence(first, second[1:])
    with pytest.raises(GridError, match=r"do not overlap pixel by pixel in x"):
        coherence(first, second.assign_coords(x=second.x + 5))
    with pytest.raises(GridError, match=r"EPSG:32645 and second in EPSG:32646"):
        coherence(first.rio.write_crs("EPSG:32645"), second.rio.write_crs("EPSG:32646"))
    with pytest.raises(GridError, match=r"dims \(y, x\), not \('time', 'y', 'x'\)"):
        coherence(first.expand_dims("time"), second)
    with pytest.raises(GlacierlabError, match=r"needs complex images, and this one is float32"):
        coherence(first, abs(second))


@pytest.mark.parametrize("window", [5, (5,), (0, 20), (5, -1), (41, 20), (5, 91), (2.5, 3), "ab", (5, 5, 5)])
def test_windows_that_will_not_do(images, window):
    with pytest.raises(GlacierlabError, match=r"must be two whole numbers.*to the image's \(40, 90\)"):
        coherence(*images, window=window)
