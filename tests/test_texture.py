"""GLCM texture: the pack's numbers, scikit-image, laws, laziness, messages."""

import numpy as np
import pytest
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from skimage.feature import graycomatrix, graycoprops

from glacierlab.errors import GlacierlabError, GridError, UnknownNameError
from glacierlab.features.haralick import FEATURES
from glacierlab.features.quantize import Quantizer
from glacierlab.features.texture import PRESETS, glcm

EVERY = list(FEATURES)
IMAGE = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]


def image_of(values):
    """An image (y, x) of 10 m pixels."""
    values = np.asarray(values, "float32")
    coords = {name: 10.0 * np.arange(size) for name, size in zip("yx", values.shape, strict=True)}
    return xr.DataArray(values, coords, ("y", "x"), name="nir").rio.write_crs("EPSG:32645")


def whole(values, features=EVERY, **options):
    """Features of all pairs of an image, by name: one window that holds it."""
    rows, cols = np.shape(values)
    around = np.full((rows + 8, cols + 8), np.nan)
    around[4 : 4 + rows, 4 : 4 + cols] = values
    found = glcm(image_of(around), features, window=2 * max(rows, cols) - 1, **options)
    middle = found[:, 4 + rows // 2, 4 + cols // 2]
    return dict(zip(middle.feature.values.tolist(), middle.values.tolist(), strict=True))


@pytest.fixture
def levels():
    """Random levels 0 to 15, smooth in part, with holes."""
    random = np.random.default_rng(5)
    values = random.integers(0, 16, (24, 31)).astype("float32")
    values[:12, :15] = np.clip(values[:12, :15] // 4 + 5, 0, 15)
    values[15:20, 20:27] = 0  # of a constant level above 0, scikit-image's correlation is rounding
    values[random.random(values.shape) < 0.1] = np.nan
    return image_of(values)


# ---- outside answers ----

# The pack's table: angles by scikit-image's names, where rows run down.
VECTOR = {
    "contrast": (0.583333, 1.777778, 1.000000, 0.444444, 0.951389, 0.928571),
    "dissimilarity": (0.416667, 1.111111, 0.666667, 0.444444, 0.659722, 0.642857),
    "homogeneity": (0.808333, 0.511111, 0.700000, 0.777778, 0.699306, 0.707143),
    "asm": (0.145833, 0.117284, 0.138889, 0.148148, 0.137539, 0.109694),
    "correlation": (0.719533, 0.162791, 0.485714, 0.735294, 0.525833, 0.528430),
    "mean": (1.291667, 1.222222, 1.166667, 1.222222, 1.225694, 1.226190),
    "variance": (1.039931, 1.061728, 0.972222, 0.839506, 0.978347, 0.984552),
    "entropy": (2.094729, 2.216102, 2.094729, 2.043192, 2.112188, 2.340669),
}
AT_0 = {
    "energy": 0.381881, "maximum_probability": 0.25, "inverse_difference": 0.819444,
    "cluster_shade": 1.626157, "cluster_prominence": 23.704716, "sum_average": 2.583333,
    "sum_variance": 3.576389, "sum_entropy": 1.704551, "difference_entropy": 0.823959,
    "difference_variance": 0.409722, "imc1": -0.427479, "imc2": 0.824512, "std": 1.039931**0.5,
}  # fmt: skip


def test_the_packs_vector():
    fixed = dict(levels=4, quantizer=(0, 4))
    for place, angle in enumerate((0, 315, 90, 225)):
        found = whole(IMAGE, list(VECTOR), directions=[angle], **fixed)
        assert found == pytest.approx({name: row[place] for name, row in VECTOR.items()}, abs=1e-6)
    for place, combine in ((4, "features"), (5, "pool")):
        found = whole(IMAGE, list(VECTOR), combine=combine, **fixed)
        assert found == pytest.approx({name: row[place] for name, row in VECTOR.items()}, abs=1e-6)
    assert whole(IMAGE, list(AT_0), directions=[0], **fixed) == pytest.approx(AT_0, abs=1e-6)


SCIKIT = ["contrast", "dissimilarity", "homogeneity", "asm", "energy", "correlation", "mean", "variance",
          "std", "entropy"]  # fmt: skip


def by_scikit_image(levels, angles, count, window, symmetric, distance):
    """Features (feature, y, x): graycomatrix of each pixel's cut window, its pairs with holes left out."""
    out = np.full((len(SCIKIT), *levels.shape), np.nan)
    filled = np.where(np.isnan(levels), count, levels).astype("uint16")
    for y, x in np.argwhere(np.isfinite(levels)):
        y0, x0 = max(0, y - window // 2), max(0, x - window // 2)
        part = filled[y0 : y + window // 2 + 1, x0 : x + window // 2 + 1]
        matrix = graycomatrix(part, [distance], -np.radians(angles), count + 1, symmetric)
        matrix = matrix[:count, :count, :, :].astype(float)
        matrix = matrix[..., matrix.sum(axis=(0, 1, 2)) > 0]
        if matrix.size:
            matrix /= matrix.sum(axis=(0, 1))
            out[:, y, x] = [graycoprops(matrix, "ASM" if name == "asm" else name).mean() for name in SCIKIT]
    return out


@pytest.mark.parametrize(
    ("window", "angles", "symmetric", "distance"),
    [
        (7, (0, 45, 90, 135), True, 1),
        (5, (0, 45, 90, 135, 180, 225, 270, 315), False, 1),
        (5, (270, 180), True, 3),
    ],
)
def test_every_pixel_as_scikit_image_has_it(levels, window, angles, symmetric, distance):
    expected = by_scikit_image(levels.values, angles, 16, window, symmetric, distance)
    found = glcm(levels, SCIKIT, window=window, levels=16, quantizer=(0, 16), directions=angles,
                 symmetric=symmetric, distance=distance)  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)


def test_256_levels_as_scikit_image_has_it():
    values = np.random.default_rng(6).integers(0, 256, (9, 12))
    values[:, 6:] //= 16
    expected = by_scikit_image(values.astype(float), [0, 90], 256, 9, False, 1)
    found = glcm(image_of(values), SCIKIT, **PRESETS["scikit_image"] | dict(window=9, directions=(0, 90)))
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_the_other_features_follow_from_scikit_images_matrix():
    values = np.random.default_rng(13).integers(0, 6, (6, 7)) ** 2 // 4
    matrix = graycomatrix(values.astype("uint8"), [1], [0], 7, normed=True)[..., 0, 0]
    i, j = np.indices(matrix.shape)
    first, second = matrix.sum(axis=1), matrix.sum(axis=0)
    total, step = (
        np.bincount((i + j).ravel(), matrix.ravel()),
        np.bincount(abs(i - j).ravel(), matrix.ravel()),
    )
    away = i + j - (i + j).ravel() @ matrix.ravel()
    joint, apart = entropy(matrix, axis=None), entropy(np.outer(first, second), axis=None)
    expected = {
        "inverse_difference": (matrix / (1 + abs(i - j))).sum(),
        "maximum_probability": matrix.max(),
        "cluster_shade": (away**3 * matrix).sum(),
        "cluster_prominence": (away**4 * matrix).sum(),
        "sum_average": total @ np.arange(13),
        "sum_variance": (away**2 * matrix).sum(),
        "sum_entropy": entropy(total),
        "difference_variance": step @ np.arange(7) ** 2 - (step @ np.arange(7)) ** 2,
        "difference_entropy": entropy(step),
        "imc1": (joint - apart) / max(entropy(first), entropy(second)),
        "imc2": np.sqrt(1 - np.exp(-2 * (apart - joint))),
    }
    assert {*expected, *SCIKIT} == {*EVERY}
    found = whole(values, list(expected), levels=7, quantizer=(0, 7), directions=[0], symmetric=False)
    assert found == pytest.approx(expected, rel=2e-6)


def test_haralicks_angles():
    step = [[0, 0, 2], [0, 1, 0], [0, 0, 0]]  # level 2 to the upper right of level 1
    options = dict(window=3, levels=3, quantizer=(0, 3), combine=None)
    sums = glcm(image_of(step), "sum_average", directions=[45, 135], **options)
    assert sums.feature.values.tolist() == ["sum_average_45", "sum_average_135"]
    np.testing.assert_allclose(sums[:, 1, 1], [(3 + 1) / 4, (1 + 1) / 4])
    first = glcm(image_of(step), "mean", directions=[45, 225], symmetric=False, **options)
    np.testing.assert_allclose(first[:, 1, 1], [1 / 4, (2 + 1) / 4])


# ---- laws ----


def test_any_set_of_features_is_that_part_of_all(levels):
    everything = glcm(levels, EVERY)
    for name in EVERY:
        np.testing.assert_array_equal(glcm(levels, name)[0], everything.sel(feature=name), err_msg=name)
    turned = glcm(levels, EVERY[::-1])
    assert turned.feature.values.tolist() == EVERY[::-1]


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_constant_window(symmetric):
    found = whole(np.full((5, 5), 3), levels=8, quantizer=(0, 8), symmetric=symmetric)
    ones = ["homogeneity", "inverse_difference", "asm", "energy", "correlation", "maximum_probability"]
    expected = dict.fromkeys(EVERY, 0.0) | dict.fromkeys(ones, 1.0) | {"mean": 3.0, "sum_average": 6.0}
    assert found == expected


def test_directions_turn_with_the_image(levels):
    found = glcm(levels, ["contrast", "entropy", "imc2"], combine=None, directions=[0, 45, 90, 135])
    turned = glcm(image_of(np.rot90(levels)), ["contrast", "entropy", "imc2"], combine=None,
                  directions=[90, 135, 0, 45])  # fmt: skip
    np.testing.assert_array_equal(np.rot90(found, axes=(1, 2)), turned)
    opposite = glcm(levels, ["contrast", "entropy", "imc2"], combine=None, directions=[180, 225, 270, 315])
    np.testing.assert_array_equal(found, opposite)


def test_combinations_of_directions(levels):
    single = glcm(levels, ["contrast", "asm"], combine=None)
    assert single.feature.values.tolist()[:5] == [
        "contrast_0",
        "contrast_45",
        "contrast_90",
        "contrast_135",
        "asm_0",
    ]
    mean = single.values.reshape(2, 4, *levels.shape).mean(axis=1)
    np.testing.assert_allclose(glcm(levels, ["contrast", "asm"]), mean, rtol=1e-6)
    pooled = glcm(levels, ["contrast", "asm"], combine="pool")
    assert (pooled[1] < mean[1]).sum() > (pooled[1] > mean[1]).sum()
    near, far = (glcm(levels, "contrast", distance=d) for d in (1, 2))
    np.testing.assert_allclose(glcm(levels, "contrast", distance=[1, 2]), (near + far) / 2, rtol=1e-6)


def test_bits_are_nats_over_ln_2(levels):
    names = ["entropy", "sum_entropy", "difference_entropy", "imc1", "imc2"]
    nats, bits = glcm(levels, names), glcm(levels, names, entropy_unit="bit")
    np.testing.assert_allclose(bits[:3] * np.log(2), nats[:3], rtol=1e-6)
    np.testing.assert_array_equal(bits[3:], nats[3:])


def test_wide_windows_keep_their_digits():
    values = np.random.default_rng(9).integers(0, 4, (90, 90))
    found = glcm(image_of(values), ["asm", "entropy"], window=89, levels=4, quantizer=(0, 4), combine="pool")
    part = values[1:, 1:].astype("uint8")  # the window of (45, 45)
    matrix = (
        graycomatrix(part, [1], np.arange(4) * np.pi / 4, 4, True).sum(axis=3, keepdims=True).astype(float)
    )
    expected = [graycoprops(matrix / matrix.sum(), name)[0, 0] for name in ("ASM", "entropy")]
    np.testing.assert_allclose(found[:, 45, 45], expected, rtol=1e-6)


def test_holes_stay_local(levels):
    holed = levels.copy()
    holed[10, 12], holed[3, 3] = np.nan, np.inf
    found, before = (glcm(image, EVERY, quantizer=(0, 16)) for image in (holed, levels))
    assert (found.isnull().any("feature") == ~np.isfinite(holed)).all()
    far = xr.ones_like(holed, bool)
    far[7:14, 9:16] = far[:7, :7] = False
    np.testing.assert_array_equal(found.where(far), before.where(far))


def test_a_pixel_without_partners_is_nan():
    values = np.full((5, 5), np.nan)
    values[2, 2] = values[4, 4] = 1
    found = glcm(image_of(values), EVERY, window=3, quantizer=(0, 2), levels=2)
    assert found.isnull().all()
    values[2, 3] = 1
    assert (
        glcm(image_of(values), window=3, quantizer=(0, 2), levels=2).notnull().sum("feature") == 8
    ).sum() == 2


def test_declared_nodata_are_holes(levels):
    stored = levels.fillna(-9999).rio.write_nodata(-9999)
    np.testing.assert_array_equal(glcm(stored), glcm(levels))


def test_the_grid_and_the_input_stay(levels):
    before = levels.copy(deep=True)
    found = glcm(levels.transpose("x", "y"))
    assert (found.dims, found.dtype) == (("feature", "y", "x"), np.float32)
    assert found.rio.crs == levels.rio.crs
    xr.testing.assert_identical(levels, before)
    xr.testing.assert_identical(found, glcm(levels))


def test_a_real_band(athabasca):
    found = glcm(athabasca["nir"], ["contrast", "entropy", "correlation"])
    observed = athabasca["nir"].notnull()
    np.testing.assert_array_equal(found[0].notnull(), observed)
    assert (found[0] >= 0).where(observed, True).all()
    assert abs(found[2]).max() <= 1
    assert 0 < found[1].max() <= np.log(84)


# ---- laziness ----

CHUNKED = image_of(np.random.default_rng(10).normal(size=(40, 50)))
CHUNKED[11:13, 13:40] = np.nan


@settings(max_examples=25)
@given(rows=st.integers(1, 40), cols=st.integers(9, 50), fixed=st.booleans())
def test_chunks_change_nothing(rows, cols, fixed):
    options = dict(features=["contrast", "asm", "entropy", "correlation", "homogeneity"], window=5,
                   quantizer=Quantizer.between(-1, 1) if fixed else None)  # fmt: skip
    chunked = CHUNKED.chunk(y=rows, x=cols)
    lazy = glcm(chunked, **options)
    assert lazy.chunks[1:] == chunked.chunks
    xr.testing.assert_equal(lazy.compute(scheduler="synchronous"), glcm(CHUNKED, **options))


def test_nothing_is_computed_before_it_is_asked_for():
    import dask.array as da

    def never(block):
        raise AssertionError("computed")

    lazy = CHUNKED.copy(data=da.map_blocks(never, CHUNKED.chunk(y=20).data, meta=np.empty((0, 0), "float32")))
    found = glcm(lazy)
    assert (found.shape, found.dtype) == ((8, 40, 50), np.float32)
    assert isinstance(found.data._meta, np.ndarray)
    with pytest.raises(AssertionError, match="computed"):
        found.compute()


def test_an_all_nan_chunk_is_nan():
    image = CHUNKED.copy()
    image[:20] = np.nan
    found = glcm(image.chunk(y=10)).compute()
    assert found[:, :20].isnull().all()
    assert found[:, 20:].notnull().all()


# ---- messages ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(window=6), GlacierlabError, "odd side"),
        (dict(window=1), GlacierlabError, "odd side"),
        (dict(window=7.5), GlacierlabError, "odd side"),
        (dict(window=np.nan), GlacierlabError, "odd side"),
        (dict(distance="a"), GlacierlabError, "from 1 to 6"),
        (dict(window=25), GridError, "larger than the image"),
        (dict(levels=257), GlacierlabError, "2 to 256"),
        (dict(levels=1), GlacierlabError, "2 to 256"),
        (dict(quantizer=(1, 1)), GlacierlabError, "low < high"),
        (dict(quantizer=3), GlacierlabError, "Quantizer or"),
        (dict(features="contrst"), UnknownNameError, "Did you mean 'contrast'"),
        (dict(directions=[30]), GlacierlabError, "0, 45, 90"),
        (dict(directions=[]), GlacierlabError, "directions"),
        (dict(distance=7), GlacierlabError, "from 1 to 6"),
        (dict(combine="mean"), UnknownNameError, "features, pool"),
        (dict(entropy_unit="log2"), UnknownNameError, "bit, nat"),
        (dict(partners="outside"), UnknownNameError, "inside"),
    ],
)
@pytest.mark.parametrize("chunks", [None, 10])
def test_bad_options(levels, options, error, message, chunks):
    with pytest.raises(error, match=message):
        glcm(levels.chunk(y=chunks) if chunks else levels, **options)


def test_bad_images(levels):
    with pytest.raises(GridError, match=r"\(y, x\)"):
        glcm(levels.expand_dims("time"))
    flat = xr.full_like(levels, 4)
    for image in (flat, flat.chunk(y=10)):
        with pytest.raises(GlacierlabError, match="all 4"):
            glcm(image).compute()
    with pytest.raises(GlacierlabError, match="no pixel is observed"):
        glcm(xr.full_like(levels, np.nan))
