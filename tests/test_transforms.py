"""Tasseled cap and principal components: tables that hold together, fits that replay."""

import json
import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import (
    DataWarning,
    GlacierlabError,
    MissingBandError,
    RadiometryError,
    UnknownNameError,
)
from glacierlab.features import PCA, tasseled_cap
from glacierlab.tables import SENSORS, TASSELED_CAP


@pytest.fixture
def bands():
    """A scene (12, 17) with every band, random, one pixel unobserved."""
    rng = np.random.default_rng(4)
    names = dict.fromkeys(band for row in TASSELED_CAP.values() for band in row.bands)
    scene = xr.Dataset({n: (("y", "x"), rng.uniform(0, 1, (12, 17)).astype("float32")) for n in names})
    scene["red"][3, 4] = np.nan
    return scene


# ---- tasseled cap ----

OFF_DIAGONAL = {"landsat4_tm_dn_crist1984": 0.0013, "landsat5_tm_dn_crist1986": 0.0877}  # others 1e-4
NORMS = {"landsat5_tm_dn_crist1986": [0.9559, 0.9895, 0.9157, 0.9691]}  # others 1


@pytest.mark.parametrize("name", TASSELED_CAP)
def test_tables_are_as_orthonormal_as_published(name):
    row = TASSELED_CAP[name]
    matrix = np.array(list(row.coefficients.values()))
    assert matrix.shape[1] == len(row.bands)
    norms = np.linalg.norm(matrix, axis=1)
    np.testing.assert_allclose(norms, NORMS.get(name, np.ones(len(matrix))), atol=1.1e-4)
    products = np.abs(matrix @ matrix.T - np.diag(norms**2))
    if name == "landsat5_tm_dn_crist1986":  # the haze row is not among the published products
        products = products[:3, :3]
    assert products.max() == pytest.approx(OFF_DIAGONAL.get(name, 0.0), abs=1.6e-4)


def test_baigs_matrix_is_a_rotation():
    matrix = np.array(list(TASSELED_CAP["landsat8_oli_toa_baig2014"].coefficients.values()))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=2e-4)


def test_bands_are_the_sensors_own():
    for row in TASSELED_CAP.values():
        assert set(row.bands) <= set(SENSORS[row.sensor].by_name)


@pytest.mark.parametrize("name", TASSELED_CAP)
def test_equals_a_matrix_product(bands, name):
    row = TASSELED_CAP[name]
    out = tasseled_cap(bands.assign_attrs(radiometry=row.radiometry), table=name)
    stack = np.stack([bands[band].values for band in row.bands])
    expected = np.einsum("cb,byx->cyx", np.array(list(row.coefficients.values())), stack)
    expected += np.array([row.additive.get(c, 0) for c in row.coefficients])[:, None, None]
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert list(out.feature.values) == list(row.coefficients)
    assert out.dtype == np.float32


@pytest.mark.parametrize(
    ("sensor", "radiometry", "table", "borrowed"),
    [
        ("landsat_tm", "sr", "landsat_tm_reflectance_crist1985", False),
        ("landsat_etm", "toa", "landsat7_etm_toa_huang2002", False),
        ("landsat_etm", "sr", "landsat_tm_reflectance_crist1985", True),
        ("landsat_oli", "toa", "landsat8_oli_toa_baig2014", False),
        ("landsat_oli", "sr", "landsat8_oli_sr_zhai2022", False),
        ("hls_l30", "sr", "landsat8_oli_sr_zhai2022", False),
        ("sentinel2_msi", "toa", "sentinel2_l1c_6band_shi2019", False),
        ("sentinel2_msi", "sr", "sentinel2_l1c_6band_shi2019", True),
        ("hls_s30", "sr", "sentinel2_l1c_6band_shi2019", True),
    ],
)
def test_the_table_follows_sensor_and_radiometry(bands, sensor, radiometry, table, borrowed):
    scene = bands.assign_attrs(sensor=sensor, radiometry=radiometry)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert tasseled_cap(scene).attrs["table"] == table
    said = [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    assert len(said) == borrowed
    assert all(table in text for text in said)


@pytest.mark.parametrize(
    ("sensor", "radiometry", "match"),
    [
        ("landsat_tm", "dn", r"landsat4_tm_dn_crist1984 .*landsat5_tm_dn_crist1986 "),
        ("landsat_oli", "unknown", r"sensor 'landsat_oli' with 'unknown'"),
        ("gf6_pms", "toa", r"Published for this sensor: none"),
    ],
)
def test_no_table_is_refused_with_the_reason(bands, sensor, radiometry, match):
    with pytest.raises(RadiometryError, match=match):
        tasseled_cap(bands.assign_attrs(sensor=sensor, radiometry=radiometry))


@pytest.mark.parametrize(
    ("radiometry", "table"), [("sr", "landsat4_tm_dn_crist1984"), ("dn", "landsat8_oli_sr_zhai2022")]
)
def test_dn_and_reflectance_do_not_mix(bands, radiometry, table):
    with pytest.raises(RadiometryError, match=table):
        tasseled_cap(bands.assign_attrs(radiometry=radiometry), table=table)


def test_missing_band_and_unknown_table(bands):
    scene = bands.assign_attrs(sensor="landsat_oli", radiometry="sr")
    with pytest.raises(MissingBandError, match=r"needs \['swir22'\]"):
        tasseled_cap(scene.drop_vars("swir22"))
    with pytest.raises(UnknownNameError, match="Unknown tasseled-cap table 'baig'"):
        tasseled_cap(scene, table="baig")


def test_ice_is_bright_and_wet(made):
    parts = made.glacier.tasseled_cap().groupby(made["truth"].where(made["truth"] < 2)).median()
    assert float(parts.sel(feature="brightness", truth=1)) > float(parts.sel(feature="brightness", truth=0))
    assert float(parts.sel(feature="wetness", truth=1)) > 0 > float(parts.sel(feature="wetness", truth=0))


def test_tasseled_cap_of_many_pixels_is_shared_by_threads():
    row = TASSELED_CAP["landsat8_oli_toa_baig2014"]
    values = np.random.default_rng(8).uniform(0, 1, (6, 301, 433)).astype("float32")
    scene = xr.Dataset({name: (("y", "x"), v) for name, v in zip(row.bands, values, strict=True)})
    out = tasseled_cap(scene, table="landsat8_oli_toa_baig2014")
    expected = np.tensordot(np.array(list(row.coefficients.values())), values.astype("float64"), axes=1)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    lazy = tasseled_cap(scene.chunk(y=100, x=77), table="landsat8_oli_toa_baig2014")
    xr.testing.assert_equal(lazy.compute(), out)


@pytest.mark.parametrize("chunks", [5, {"y": 12, "x": 3}])
def test_tasseled_cap_is_lazy_and_equal(bands, chunks):
    scene = bands.assign_attrs(sensor="landsat_oli", radiometry="sr")
    lazy = tasseled_cap(scene.chunk(chunks))
    assert lazy.chunks is not None
    xr.testing.assert_equal(lazy.compute(), tasseled_cap(scene))


# ---- principal components ----


@pytest.fixture
def stack():
    """Four correlated layers (4, 40, 50), means far from 0, 3 % unobserved."""
    rng = np.random.default_rng(7)
    mixed = rng.normal(size=(4, 4)) @ rng.normal(size=(4, 2000)) + np.array([[5.0], [100.0], [-3.0], [0.2]])
    values = mixed.reshape(4, 40, 50).astype("float32")
    values[1, rng.random((40, 50)) < 0.03] = np.nan
    return xr.DataArray(values, {"feature": list("abcd")}, ("feature", "y", "x"))


def valid(stack):
    pixels = stack.values.reshape(len(stack), -1).T.astype("float64")
    return pixels[np.isfinite(pixels).all(axis=1)]


@pytest.mark.parametrize("standardize", [False, True])
def test_pca_is_scikit_learns_in_float64(stack, standardize):
    sklearn = pytest.importorskip("sklearn.decomposition")
    pixels = valid(stack)
    if standardize:
        pixels = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0, ddof=1)
    theirs = sklearn.PCA(3, svd_solver="full").fit(pixels)
    ours = PCA.fit(stack, 3, standardize=standardize)
    np.testing.assert_allclose(ours.explained_variance, theirs.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(ours.explained_variance_ratio, theirs.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(np.abs(ours.loadings), np.abs(theirs.components_), atol=1e-5)
    flips = np.sign((np.array(ours.loadings) * theirs.components_).sum(axis=1))
    seen = np.isfinite(stack.values).all(axis=0)
    components = ours.transform(stack).values[:, seen].T
    np.testing.assert_allclose(components, theirs.transform(pixels) * flips, atol=2e-4)


def test_pca_laws(stack):
    fit = PCA.fit(stack, 4)
    pixels = valid(stack)
    assert sum(fit.explained_variance) == pytest.approx(np.trace(np.cov(pixels.T)), rel=1e-5)
    assert fit.pixels == len(pixels)
    largest = [row[np.argmax(np.abs(row))] for row in fit.loadings]
    assert min(largest) > 0  # the sign rule
    components = fit.transform(stack)
    assert components.isnull().any("feature").equals(stack.isnull().any("feature"))
    correlation = np.corrcoef(valid(components).T)
    np.testing.assert_allclose(correlation, np.eye(4), atol=1e-4)


@given(rows=st.integers(3, 40), columns=st.integers(3, 50), features=st.integers(1, 4))
def test_pca_does_not_depend_on_chunks(rows, columns, features):
    rng = np.random.default_rng(7)
    values = (rng.normal(size=(4, 4)) @ rng.normal(size=(4, 2000))).reshape(4, 40, 50).astype("float32")
    values[0, 5] = np.nan
    stack = xr.DataArray(values, {"feature": list("abcd")}, ("feature", "y", "x"))
    lazy = stack.chunk({"feature": features, "y": rows, "x": columns})
    whole, blockwise = PCA.fit(stack), PCA.fit(lazy)
    np.testing.assert_allclose(blockwise.loadings, whole.loadings, atol=1e-12)
    np.testing.assert_allclose(blockwise.explained_variance, whole.explained_variance, rtol=1e-12)
    components = whole.transform(lazy)
    assert components.chunks is not None
    xr.testing.assert_allclose(components.compute(), whole.transform(stack), atol=1e-5)


def covariance_of(fit):
    """The covariance that all components together hold."""
    loadings = np.array(fit.loadings)
    return (loadings.T * fit.explained_variance) @ loadings


@given(
    features=st.integers(2, 9),
    rows=st.integers(1, 40),
    columns=st.integers(2, 700),
    dtype=st.sampled_from(["float32", "float64", ">f4", "float16", "int16", "uint8", "int32"]),
    last=st.booleans(),
    holes=st.floats(0, 0.4),
)
def test_moments_are_numpys(features, rows, columns, dtype, last, holes):
    rng = np.random.default_rng(features * rows * columns)
    mixed = rng.normal(size=(features, features)) @ rng.normal(20, 3, (features, rows * columns))
    values = (128 + mixed / np.abs(mixed).max() * 100).astype(dtype).reshape(features, rows, columns)
    if values.dtype.kind == "f":
        values[0, rng.random((rows, columns)) < holes] = np.nan
        values[-1, rng.random((rows, columns)) < holes / 4] = np.inf
    stack = xr.DataArray(values, {"feature": [*map(str, range(features))]}, ("feature", "y", "x"))
    pixels = valid(stack)
    if len(pixels) < 2:
        return
    if last:  # in memory feature by feature within a pixel
        stack = stack.transpose("y", "x", "feature").copy()
    fit = PCA.fit(stack, features)
    expected = np.cov(pixels.T)
    np.testing.assert_allclose(covariance_of(fit), expected, atol=1e-11 * np.trace(expected))
    np.testing.assert_allclose(fit.mean, pixels.mean(axis=0), rtol=1e-12)
    assert fit.pixels == len(pixels)
    components = fit.transform(stack).values
    seen = np.isfinite(values.astype("float64")).all(axis=0)
    expected = ((pixels - fit.mean) @ np.transpose(fit.loadings)).T
    np.testing.assert_allclose(components[:, seen], expected, rtol=1e-6, atol=1e-4)


@given(rows=st.integers(3, 40), columns=st.integers(3, 50), features=st.integers(1, 4))
def test_components_are_the_same_to_the_bit_in_any_chunks(rows, columns, features):
    values = np.random.default_rng(3).normal(50, 9, (4, 40, 50)).astype("float32")
    stack = xr.DataArray(values, {"feature": list("abcd")}, ("feature", "y", "x"))
    fit = PCA.fit(stack)
    lazy = fit.transform(stack.chunk({"feature": features, "y": rows, "x": columns}))
    np.testing.assert_array_equal(lazy.compute(), fit.transform(stack))


def test_pca_of_many_features_and_threads(stack):
    values = np.random.default_rng(5).normal(3, 1, (100, 300, 320)).astype("float32")
    many = xr.DataArray(values, {"feature": [*map(str, range(100))]}, ("feature", "y", "x"))
    with dask.config.set(num_workers=1):
        alone = PCA.fit(many, 100)
    with dask.config.set(num_workers=4):
        assert PCA.fit(many, 100) == alone  # parts are joined in their order
    np.testing.assert_allclose(covariance_of(alone), np.cov(valid(many).T), atol=1e-11)


def test_pca_on_a_cluster(stack):
    distributed = pytest.importorskip("distributed")
    here, lazy = PCA.fit(stack), stack.chunk(y=16, x=25)
    with (
        distributed.LocalCluster(1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        there = PCA.fit(lazy)
        np.testing.assert_array_equal(here.transform(lazy).compute(), here.transform(stack))
        assert PCA.fit(stack) == here  # an array in memory stays here
        mixed = PCA.fit([stack[:, :16], lazy[:, 16:]])
    for fit in (there, mixed):
        np.testing.assert_allclose(fit.loadings, here.loadings, atol=1e-12)
        np.testing.assert_allclose(fit.explained_variance, here.explained_variance, rtol=1e-12)
        assert fit.pixels == here.pixels


def test_pca_of_several_scenes_is_that_of_all_pixels(stack):
    parts = [stack[:, :15], stack[:, 15:]]
    np.testing.assert_allclose(PCA.fit(parts).loadings, PCA.fit(stack).loadings, atol=1e-12)


def test_pca_survives_means_far_from_zero(stack):
    near, far = PCA.fit(stack.astype("float64")), PCA.fit(stack.astype("float64") + 1e5)
    np.testing.assert_allclose(far.loadings, near.loadings, atol=1e-6)


def test_pca_replays_from_json(stack):
    fit = PCA.fit(stack, standardize=True)
    again = PCA.from_json(fit.to_json())
    assert again == fit
    shuffled = stack.isel(feature=[2, 0, 3, 1])  # by name, not by place
    xr.testing.assert_equal(again.transform(shuffled), fit.transform(stack))


@pytest.mark.parametrize(
    "change",
    [
        lambda fit: fit | {"loadings": fit["loadings"][:1]},
        lambda fit: fit | {"mean": fit["mean"][:2]},
        lambda fit: fit | {"mean": [float("nan")] * 4},
        lambda fit: fit | {"code": "import os"},
        lambda fit: {key: value for key, value in fit.items() if key != "scale"},
        lambda fit: fit | {"mean": ["1"] * 4},
        lambda fit: fit | {"mean": [10**400] * 4},
        lambda fit: fit | {"scale": [0.0] * 4},
        lambda fit: fit | {"features": ["red"] * 4},
        lambda fit: fit | {"explained_variance": ["1", "2", "3"]},
        lambda fit: fit | {"total_variance": None},
        lambda fit: [fit],
    ],
)
def test_altered_json_is_refused(stack, change):
    text = json.dumps(change(json.loads(PCA.fit(stack).to_json())))
    with pytest.raises(GlacierlabError, match="No saved principal components"):
        PCA.from_json(text)


def test_json_cut_short_is_refused(stack):
    with pytest.raises(GlacierlabError, match="No saved principal components"):
        PCA.from_json(PCA.fit(stack).to_json()[:80])
    with pytest.raises(GlacierlabError, match="No saved principal components"):
        PCA.from_json("[" * 100_000)


def test_what_has_no_components_is_told(stack):
    with pytest.raises(GlacierlabError, match="nothing varies"):
        PCA.fit(stack * 0 + 3)
    with pytest.raises(GlacierlabError, match="there is none"):
        PCA.fit([])
    for components in (0, 1.5, 9):
        with pytest.raises(GlacierlabError, match=f"components={components}: the stack has 4"):
            PCA.fit(stack, components)


def test_pca_refusals(stack):
    with pytest.raises(GlacierlabError, match=r"components=5: the stack has 4"):
        PCA.fit(stack, 5)
    with pytest.raises(GlacierlabError, match="Only 0 pixels"):
        PCA.fit(stack * np.nan)
    with pytest.raises(GlacierlabError, match=r"\['b'\] are constant"):
        PCA.fit(stack.where(stack.feature != "b", 1.0), standardize=True)
    with pytest.raises(GlacierlabError, match="different features"):
        PCA.fit([stack, stack[:3]])
    with pytest.raises(GlacierlabError, match=r"lacks \['d'\]"):
        PCA.fit(stack).transform(stack[:3])
    with pytest.raises(GlacierlabError, match="`feature` coordinate"):
        PCA.fit(stack.drop_vars("feature"))


def test_pca_of_a_scene(athabasca):
    names = ["blue", "green", "red", "nir", "swir16", "swir22"]
    fit = PCA.fit(athabasca[names].to_dataarray("feature"))
    assert fit.explained_variance_ratio[0] > 0.9  # snow against everything
    assert sum(fit.explained_variance_ratio) <= 1 + 1e-9
    assert gl.features.PCA is PCA
