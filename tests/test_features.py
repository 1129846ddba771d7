"""Ratios, indices and thresholds: outside answers, laws, laziness, messages."""

import numpy as np
import pandas as pd
import pytest
import spyndex
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_li, threshold_otsu

import glacierlab as gl
from glacierlab.errors import (
    DataWarning,
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    UnknownNameError,
)
from glacierlab.features.indices import SPYNDEX_BANDS
from glacierlab.tables import INDICES

LETTER = {band: letter for letter, band in SPYNDEX_BANDS.items()}
DIFFERENT_IN_SPYNDEX = {"awei_nsh"}  # its sign of SWIR 2 is not the published one


def scene_of(radiometry="sr", **bands):
    """A small scene from nested lists."""
    variables = {name: (("y", "x"), np.asarray(values, "float32")) for name, values in bands.items()}
    return xr.Dataset(variables, attrs={"radiometry": radiometry})


@pytest.fixture
def all_bands():
    rng = np.random.default_rng(5)
    names = dict.fromkeys(SPYNDEX_BANDS.values())
    return scene_of(**{name: rng.uniform(0.05, 0.9, (6, 7)) for name in names})


# ---- indices ----


@pytest.mark.parametrize(
    "name", sorted(n for n, row in INDICES.items() if row.spyndex and n not in DIFFERENT_IN_SPYNDEX)
)
def test_own_rows_agree_with_spyndex(all_bands, name):
    row = INDICES[name]
    bands = {LETTER[band]: all_bands[band].values for band in row.bands}
    theirs = next(name for name in row.spyndex if name in spyndex.indices)  # names differ by version
    expected = spyndex.computeIndex(theirs, {**bands, **row.constants})
    np.testing.assert_allclose(gl.index(all_bands, name), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["NDVI", "NDBI", "MNDWI", "NDSIWV", "MSAVI", "EVI"])
def test_catalogue_entries_agree_with_spyndex(all_bands, name):
    needed = spyndex.indices[name].bands
    values = {b: all_bands[SPYNDEX_BANDS[b]].values for b in needed if b in SPYNDEX_BANDS}
    constants = {b: spyndex.constants[b].default for b in needed if b not in SPYNDEX_BANDS}
    expected = spyndex.computeIndex(name, {**values, **constants})
    np.testing.assert_allclose(gl.index(all_bands, name), expected, rtol=2e-5)


def test_published_awei_subtracts_both_infrared_terms():
    # 4 (0.3 - 0.1) - (0.25 * 0.2 + 2.75 * 0.04), Feyisa et al. 2014, by hand
    scene = scene_of(green=[[0.3]], swir16=[[0.1]], nir=[[0.2]], swir22=[[0.04]])
    for name in ("awei_nsh", "AWEInsh"):
        assert float(gl.index(scene, name)[0, 0]) == pytest.approx(0.8 - 0.05 - 0.11, abs=1e-6)


def test_glacier_constants_replace_spyndex_defaults():
    scene = scene_of(nir=[[0.5]], red=[[0.1]], green=[[0.4]])
    assert float(gl.index(scene, "SAVI")[0, 0]) == pytest.approx(1.5 * 0.4 / 1.1)  # L = 0.5
    assert float(gl.index(scene, "NDWIns")[0, 0]) == pytest.approx((0.4 - 1.2 * 0.5) / 0.9)  # alpha = 1.2


@given(a=st.floats(0.001, 1), b=st.floats(0.001, 1), gain=st.floats(0.1, 10))
def test_ndsi_ignores_illumination(a, b, gain):
    dim, lit = (scene_of(green=[[g * a]], swir16=[[g * b]]) for g in (1, gain))
    assert float(gl.index(lit, "ndsi")[0, 0]) == pytest.approx(float(gl.index(dim, "ndsi")[0, 0]), abs=1e-5)


def test_normalized_difference_is_undefined_where_both_bands_are_dark():
    scene = scene_of(green=[[0.0, -0.01, 0.2, np.nan, 0.1]], swir16=[[0.0, -0.02, -0.01, 0.1, -0.1]])
    values = gl.index(scene, "ndsi").values[0]
    assert np.isnan(values[[0, 1, 3, 4]]).all()
    assert values[2] == pytest.approx(0.21 / 0.19, rel=1e-5)  # beyond 1, and not clipped


def test_index_is_refused_on_digital_numbers():
    with pytest.raises(RadiometryError, match=r"'ndsi' needs reflectance.*to_reflectance"):
        gl.index(scene_of("dn", green=[[80]], swir16=[[20]]), "ndsi")


def test_missing_band_says_what_to_do(made):
    with pytest.raises(MissingBandError, match=r"'ndsi' needs \['swir16'\].*scene has.*bands="):
        made.drop_vars("swir16").glacier.index("ndsi")


def test_unknown_index_suggests_a_near_one(made):
    with pytest.raises(UnknownNameError, match=r"Unknown index 'ndssi'.*Did you mean 'ndsi'"):
        made.glacier.index("ndssi")


# ---- ratios ----


def test_ratio_floors_its_denominator_at_one_step():
    scene = scene_of(red=[[0.4, 0.4, 0.4, np.nan]], swir16=[[0.1, 0.0, -0.02, 0.1]])
    scene.swir16.attrs["scale_step"] = 1e-4
    np.testing.assert_allclose(gl.ratio(scene, "red", "swir16").values[0], [4, 4000, 4000, np.nan], rtol=1e-5)


def test_ratio_of_digital_numbers_is_recorded():
    ratio = gl.ratio(scene_of("dn", red=[[90, 90]], swir16=[[30, 0]]), "red", "swir16")
    assert ratio.attrs["radiometry"] == "dn"
    np.testing.assert_allclose(ratio.values[0], [3, 90])  # floored at one DN


@given(t=st.floats(1.05, 5))
def test_ratio_and_normalized_difference_are_interchangeable(t):
    # t in red/SWIR is (t - 1) / (t + 1) in the index of Xiao et al.
    scene = scene_of(red=[[0.1 * t]], swir16=[[0.1]])
    assert float(gl.index(scene, "ndsii_xiao")[0, 0]) == pytest.approx((t - 1) / (t + 1), abs=1e-5)


@pytest.mark.parametrize("chunks", [{"y": 13, "x": 17}, {"y": 160, "x": 5}])
def test_features_are_lazy_and_equal(made, chunks):
    lazy = made.chunk(chunks)
    for compute in (
        lambda s: s.glacier.ratio("red", "swir16"),
        lambda s: s.glacier.index("ndsi"),
        lambda s: s.glacier.ratio("red", "swir16").glacier.threshold("otsu"),
        lambda s: s.glacier.ratio("red", "swir16").glacier.threshold("li"),
        lambda s: s["nir"].glacier.threshold("otsu"),
        lambda s: s.glacier.map_glaciers()["class_map"],
    ):
        result = compute(lazy)
        assert result.chunks is not None
        result = result.compute().drop_vars("threshold", errors="ignore")  # told where it was not known
        xr.testing.assert_equal(result, compute(made))


# ---- thresholds ----


@pytest.mark.parametrize(("method", "function"), [("otsu", threshold_otsu), ("li", threshold_li)])
def test_automatic_threshold_of_a_band_is_scikit_images(made, method, function):
    mask = made["nir"].glacier.threshold(method)
    assert mask.attrs["threshold"] == pytest.approx(function(np.sort(made["nir"].values.ravel())), rel=1e-5)


def test_otsu_on_a_ratio_is_not_fooled_by_huge_values(athabasca):
    mask = athabasca.glacier.ratio("red", "swir16").glacier.threshold("otsu")
    assert 1.5 < mask.attrs["threshold"] < 2.5  # Paul et al. 2015: 2.0 ± 0.5


def test_threshold_keeps_unobserved_pixels_apart():
    image = xr.DataArray(np.array([[1.0, 3.0, np.nan, 2.0]], "float32"), dims=("y", "x"))
    mask = gl.threshold(image, 2)
    np.testing.assert_array_equal(mask.values, [[0, 1, 255, 0]])
    assert mask.dtype == np.uint8
    assert mask.attrs["flag_meanings"] == "background glacier"


@pytest.mark.parametrize(("values", "found"), [(np.nan, "no observed pixel"), (0.3, "only one value")])
@pytest.mark.parametrize("method", ["otsu", "li"])
@pytest.mark.parametrize("chunks", [None, 3])
def test_no_contrast_no_threshold(values, found, method, chunks):
    image = xr.DataArray(np.full((4, 6), values, "float32"), dims=("y", "x"))
    image = image.chunk(chunks) if chunks else image
    with pytest.raises(GlacierlabError, match=found):
        gl.threshold(image, method).compute()


@pytest.fixture
def labeled():
    """A ratio and its truth, 40 x 50, with a tenth of the labels wrong and some pixels unseen."""
    rng = np.random.default_rng(3)
    truth = rng.random((40, 50)) < 0.3
    values = np.where(truth, rng.normal(3.4, 0.8, truth.shape), rng.normal(1.2, 0.8, truth.shape))
    values[5:8, 10:20] = np.nan
    dims = ("y", "x")
    return xr.DataArray(values.astype("float32"), dims=dims), xr.DataArray(truth, dims=dims)


def test_sweep_equals_scoring_each_threshold(labeled):
    image, truth = labeled
    curve = gl.best_threshold(image, truth)
    assert list(curve.table.index.round(1)) == [1.5, 1.7, 1.9, 2.1, 2.3, 2.5, 2.7, 2.9, 3.1, 3.3, 3.5, 3.7]
    for threshold, row in curve.table.iterrows():
        direct = gl.score(gl.threshold(image, threshold), truth, boundary=False).loc["glacier"]
        for name in ("precision", "recall", "f1", "kappa", "oa"):
            assert row[name] == pytest.approx(direct[name], rel=1e-12)
    assert float(curve) == curve.table.f1.idxmax()
    assert curve.stable[0] <= curve.best <= curve.stable[1]
    assert (curve.table.f1[slice(*curve.stable)] >= curve.table.f1.max() - curve.tolerance).all()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(3, 40), columns=st.integers(3, 50))
def test_sweep_does_not_depend_on_chunks(labeled, rows, columns):
    image, truth = labeled
    whole = gl.best_threshold(image, truth).table
    assert whole.equals(gl.best_threshold(image.chunk({"y": rows, "x": columns}), truth).table)


def test_a_long_sweep_is_shown_in_a_few_rows_with_the_best_among_them(labeled):
    short, long = (gl.best_threshold(*labeled, grid=np.linspace(1, 4, count)) for count in (7, 50))
    rows = [line for line in repr(long).splitlines() if line[:1].isdigit()]
    assert len(rows) == 10
    assert min(abs(float(row.split()[0]) - long.best) for row in rows) < 1e-6
    assert "one in 5 of 50 thresholds" in repr(long)
    assert long._repr_html_().count("<tr>") == 10 + 1  # and the name of the index
    assert len([line for line in repr(short).splitlines() if line[:1].isdigit()]) == 7
    assert repr(short).startswith(f"best threshold {short.best:g}, F1 within 0.01 of its best from ")
    assert "thresholds is shown" not in repr(short)


def test_best_at_the_end_of_the_sweep_is_said(labeled):
    with pytest.warns(DataWarning, match="wider grid="):
        gl.best_threshold(*labeled, grid=[0.5, 1, 1.5])


def test_curve_is_a_threshold(labeled):
    image, truth = labeled
    curve = gl.best_threshold(image, truth, grid=np.arange(1, 4, 0.1))
    xr.testing.assert_equal(gl.threshold(image, curve), gl.threshold(image, float(curve)))


def test_curve_found_on_a_ratio_is_refused_on_an_index(made):
    curve = gl.best_threshold(made.glacier.ratio("red", "swir16"), made["truth"], range(1, 16))
    with pytest.raises(GlacierlabError, match=r"found on 'red / swir16', and this is 'normalized difference"):
        made.glacier.index("ndsi").glacier.threshold(curve)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_threshold_is_finite(made, value):
    with pytest.raises(GlacierlabError, match="finite"):
        made["nir"].glacier.threshold(value)


def test_columns_before_rows_make_no_difference(made):
    ratio = made.glacier.ratio("red", "swir16")
    turned = ratio.transpose("x", "y")
    curve = gl.best_threshold(ratio, made["truth"], range(1, 16))
    assert gl.best_threshold(turned, made["truth"], range(1, 16)).table.equals(curve.table)
    outlines = gl.vectorize(made["truth"])
    ice = outlines[outlines["class"] != "glacial_lake"]
    by_outline = gl.best_threshold(turned, ice, range(1, 16))
    assert by_outline.table.equals(gl.best_threshold(ratio, ice, range(1, 16)).table)


@pytest.mark.parametrize("formula", ["ndsi_nw", "s3", "swi", "ndwi_ns", "bsi", "nbsims"])
def test_nothing_is_divided_by_next_to_nothing(formula):
    tiny = {band: [[1e-12, 0.0]] for band in ("blue", "green", "red", "nir", "swir16", "swir22")}
    assert gl.index(scene_of(**tiny), formula).isnull().all()


@pytest.mark.parametrize("name", ["truth", "qa"])
def test_flags_are_no_layer(made, name):
    made["qa"] = made["truth"]
    with pytest.raises(UnknownNameError, match="no layer to map from"):
        made.glacier.map_glaciers(layer_name=name)


def test_curve_found_on_dn_is_refused_on_reflectance(labeled):
    image, truth = labeled
    curve = gl.best_threshold(image.assign_attrs(radiometry="dn"), truth)
    with pytest.raises(GlacierlabError, match=r"found on 'dn' and the image is 'sr'"):
        gl.threshold(image.assign_attrs(radiometry="sr"), curve)


def test_sweep_needs_both_classes(labeled):
    image, truth = labeled
    with pytest.raises(GlacierlabError, match="only one class"):
        gl.best_threshold(image, truth & False)


@pytest.mark.parametrize("grid", [[], [1.5, np.nan]])
def test_sweep_needs_thresholds(labeled, grid):
    with pytest.raises(GlacierlabError, match="finite thresholds"):
        gl.best_threshold(*labeled, grid=grid)


def test_sweep_needs_one_image(labeled):
    image, truth = labeled
    with pytest.raises(GridError, match=r"one image \(y, x\)"):
        gl.best_threshold(image.expand_dims("time"), truth)


def test_sweep_needs_one_grid(labeled):
    image, truth = labeled
    with pytest.raises(GridError, match="Different grids"):
        gl.best_threshold(image, truth[:, :30])


def test_area_curve_counts_pixels(made):
    ratio = made.glacier.ratio("red", "swir16")
    areas = gl.area_curve(ratio, [1.0, 2.0])
    assert areas[2.0] == pytest.approx(float((ratio > 2).sum()) * 900 / 1e6)
    assert areas[1.0] >= areas[2.0]


# ---- real data ----


def test_athabasca_figures(athabasca, athabasca_outline):
    ndsi, ratio = athabasca.glacier.index("ndsi"), athabasca.glacier.ratio("red", "swir16")
    inside = gl.scores.burn(athabasca_outline, ndsi)
    recall = float((ndsi > 0.4).where(inside & ndsi.notnull()).mean())
    assert recall == pytest.approx(0.95, abs=0.01)
    assert 27.5 <= float((ndsi > 0.4).sum()) * 9e-4 <= 27.9  # km²
    assert float((ratio > 2).where(inside & ratio.notnull()).mean()) >= 0.93


def test_spectra_separate_by_ndsi(data):
    spectra = pd.read_csv(data / "spectra/Sentinel-2_SR_training_data.csv")
    scene = scene_of(green=[spectra.B3], swir16=[spectra.B11])
    snow_or_ice = spectra["class"].isin([1, 2, 3]).values
    mapped = gl.threshold(gl.index(scene, "ndsi"), 0.4).values[0] == 1
    assert (mapped == snow_or_ice).mean() >= 0.96
