"""Pansharpening: GDAL's, the patent's transform, degraded scenes, laws, laziness, messages."""

import shutil
import subprocess
from functools import cache

import dask
import numpy as np
import pytest
import rioxarray
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling

import glacierlab as gl
from glacierlab.errors import GlacierlabError, GridError, MissingBandError, UnknownNameError
from glacierlab.features.sharpening import pansharpen
from glacierlab.io.align import geobox_of, on_grid

BANDS = ["blue", "green", "red", "nir"]
FACTOR = 4


def averaged(scene, factor=FACTOR):
    """The scene in larger pixels, the means of its own."""
    coarse = scene.coarsen(y=factor, x=factor).mean()
    coarse = coarse.assign({name: coarse[name].assign_attrs(scene[name].attrs) for name in scene.data_vars})
    return coarse.assign_attrs(scene.attrs).rio.write_crs(scene.rio.crs)


def mean_of(scene, names=BANDS):
    """A panchromatic band made of some bands."""
    return scene[names].to_array().mean("variable").rename("pan").rio.write_crs(scene.rio.crs)


def whole(scene):
    """The bands, cut to a multiple of the factor."""
    sizes = {dim: slice(scene.sizes[dim] // FACTOR * FACTOR) for dim in ("y", "x")}
    return scene[[*BANDS, "swir16"]].isel(sizes)


def interpolated(coarse, fine):
    """The bilinear way back to small pixels."""
    grid = geobox_of(fine, "the test")
    bands = {n: (("y", "x"), on_grid(v, grid, Resampling.bilinear)) for n, v in coarse.data_vars.items()}
    return xr.Dataset(bands, fine.coords)


@pytest.fixture
def fine(made):
    return whole(made)


@pytest.fixture(params=["made", "athabasca"])
def degraded(request):
    """A scene, itself in larger pixels, and the bilinear way back."""
    fine = whole(request.getfixturevalue(request.param))
    coarse = averaged(fine)
    return fine, coarse, interpolated(coarse, fine)


def ergas(found, true, names=BANDS):
    """Relative global error [%], Wald 2000."""
    shares = [((found[n] - true[n]) ** 2).mean().item() / true[n].mean().item() ** 2 for n in names]
    return 100 / FACTOR * np.sqrt(np.mean(shares))


# ---- outside answers ----


@pytest.mark.skipif(
    not shutil.which("gdal_pansharpen.py"), reason="GDAL's gdal_pansharpen.py is not installed"
)
def test_brovey_as_gdal_has_it(fine, tmp_path):
    names = ["green", "red", "nir"]
    bands, pan = fine[names], mean_of(fine, names)
    averaged(bands).to_array("band").rio.to_raster(tmp_path / "coarse.tif")
    pan.rio.to_raster(tmp_path / "pan.tif")
    paths = [tmp_path / name for name in ("pan.tif", "coarse.tif", "sharp.tif")]
    weights = [word for _ in names for word in ("-w", f"{1 / 3:.17g}")]
    subprocess.run(["gdal_pansharpen.py", *weights, "-r", "bilinear", "-q", *paths], check=True)
    with rioxarray.open_rasterio(paths[-1]) as file:
        expected = file.load()
    found = pansharpen(averaged(bands), pan, "brovey", weights=dict.fromkeys(names, 1 / 3))
    inner = dict(y=slice(4, -4), x=slice(4, -4))  # GDAL's edges differ
    for name, theirs in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name].isel(inner), theirs.isel(inner), rtol=1e-4, atol=1e-5)


def test_gram_schmidt_is_the_transform_of_the_patent(fine):
    bands = np.stack([fine[name].values.astype("float64").ravel() for name in BANDS])
    rng = np.random.default_rng(1)
    pan = fine.red.copy(data=(3 * fine.red + rng.normal(1, 0.1, fine.red.shape)).astype("float32"))
    simulated = bands.mean(axis=0)
    axes, shares = [simulated - simulated.mean()], []
    for band in bands:  # each less its projections on those before
        shares.append([np.mean((band - band.mean()) * axis) / np.mean(axis**2) for axis in axes])
        axes.append(band - band.mean() - sum(s * axis for s, axis in zip(shares[-1], axes, strict=True)))
    values = pan.values.astype("float64").ravel()
    axes[0] = (values - values.mean()) / values.std() * simulated.std()
    expected = [
        axes[i + 1] + band.mean() + sum(s * a for s, a in zip(shares[i], axes[: i + 1], strict=True))
        for i, band in enumerate(bands)
    ]
    found = pansharpen(fine[BANDS].assign(pan=pan), method="gram_schmidt", weights=dict.fromkeys(BANDS, 0.25))
    np.testing.assert_allclose(found.to_array().values.reshape(4, -1), expected, atol=2e-5)


@pytest.mark.parametrize("method", ["brovey", "gram_schmidt"])
def test_a_degraded_scene_comes_back_better_than_interpolated(degraded, method):
    fine, coarse, bilinear = degraded  # Wald et al. 1997
    sharp = pansharpen(coarse[BANDS], mean_of(fine, ["green", "red"]), method)
    assert ergas(sharp, fine) < 0.5 * ergas(bilinear, fine)
    for name in BANDS:
        seen = (sharp[name].notnull() & fine[name].notnull()).values
        detail, true = ((s[name] - bilinear[name]).values[seen] for s in (sharp, fine))
        assert np.corrcoef(detail, true)[0, 1] > 0.85
        kept, lost = (averaged(s)[name] - coarse[name] for s in (sharp, bilinear))
        assert (kept**2).mean() < (lost**2).mean()  # averaged again, it is nearer to what went in
        assert sharp[name].mean().item() == pytest.approx(fine[name].mean().item(), rel=0.02)


def test_gram_schmidt_gives_little_to_what_pan_does_not_see(degraded):
    fine, coarse, bilinear = degraded
    pan = mean_of(fine)
    errors = {m: ergas(pansharpen(coarse, pan, m), fine, ["swir16"]) for m in ("brovey", "gram_schmidt")}
    assert errors["gram_schmidt"] < 1.05 * ergas(bilinear, fine, ["swir16"]) < errors["brovey"]


# ---- laws ----


@pytest.mark.parametrize("method", ["brovey", "gram_schmidt"])
def test_pan_in_any_unit(fine, method):
    coarse, pan = averaged(fine), mean_of(fine)
    counts = (pan * 4000 + 120).rio.write_crs(fine.rio.crs)
    xr.testing.assert_allclose(
        pansharpen(coarse, counts, method), pansharpen(coarse, pan, method), rtol=1e-3, atol=1e-4
    )


def test_brovey_keeps_the_ratios_of_bands(fine):
    sharp = pansharpen(averaged(fine), mean_of(fine), "brovey")
    plain = interpolated(averaged(fine), fine)
    np.testing.assert_allclose(sharp.red / sharp.nir, plain.red / plain.nir, rtol=1e-4)


@pytest.mark.parametrize("method", ["brovey", "gram_schmidt"])
def test_a_pan_without_detail_changes_nothing(fine, method):
    scene = interpolated(averaged(fine), fine)
    sharp = pansharpen(scene.assign(pan=mean_of(scene)), method=method)
    xr.testing.assert_allclose(sharp.drop_attrs(), scene, atol=1e-4)


def test_fitted_weights_are_those_of_which_pan_is_made(fine):
    weights = {"green": 0.7, "red": 0.3}
    pan = (0.7 * fine.green + 0.3 * fine.red).rio.write_crs(fine.rio.crs)
    coarse = averaged(fine).assign_attrs(sensor="landsat_oli")  # its pan sees green and red
    xr.testing.assert_allclose(pansharpen(coarse, pan), pansharpen(coarse, pan, weights=weights), rtol=1e-4)


@pytest.mark.parametrize("method", ["brovey", "gram_schmidt"])
def test_where_nothing_is_observed_nothing_is_sharpened(fine, method):
    pan, coarse = mean_of(fine), averaged(fine)
    pan[8:12, 20:23] = np.nan
    coarse["red"][10, 10] = np.nan
    sharp = pansharpen(coarse, pan, method)
    gone = pan.isnull().values
    assert sharp.blue.isnull().values[gone].all()
    assert sharp.blue.isnull().values[40:44, 40:44].all()
    assert sharp.blue.notnull().mean() > 0.98


def test_dark_pixels_are_left_as_they_are(fine):
    coarse = averaged(fine)
    coarse["red"][5:20, 5:20] = coarse["nir"][5:20, 5:20] = coarse["green"][5:20, 5:20] = -0.02
    coarse["blue"][5:20, 5:20] = -0.01
    sharp = pansharpen(coarse, mean_of(fine), "brovey", weights=dict.fromkeys(BANDS, 0.25))
    np.testing.assert_allclose(sharp.red[24:76, 24:76], -0.02, rtol=1e-5)


def test_the_grid_the_names_and_the_input_stay(fine):
    coarse, pan = averaged(fine).assign(elevation=averaged(fine).red * 3000), mean_of(fine)
    coarse["elevation"].attrs = {"kind": "layer"}
    before = coarse.copy(deep=True)
    sharp = pansharpen(coarse, pan)
    assert list(sharp) == [*BANDS, "swir16"]
    assert sharp.attrs == coarse.attrs | {"pansharpening": "brovey"}
    assert {v.dtype for v in sharp.data_vars.values()} == {np.dtype("float32")}
    assert sharp.red.attrs == coarse.red.attrs
    assert sharp.rio.crs == fine.rio.crs
    np.testing.assert_array_equal(sharp.y, pan.y)
    xr.testing.assert_identical(coarse, before)
    xr.testing.assert_identical(pansharpen(coarse, pan.transpose("x", "y")), sharp)


# ---- laziness ----


@cache
def small():
    """A small made scene, for many examples."""
    return whole(gl.synthetic_scene(seed=1, shape=(64, 80)))


@settings(max_examples=10)
@given(
    rows=st.integers(12, 64), cols=st.integers(15, 80), coarse_rows=st.integers(5, 16),
    method=st.sampled_from(["brovey", "gram_schmidt"]),
)  # fmt: skip
def test_chunks_change_rounding_alone(rows, cols, coarse_rows, method):
    fine = small()
    coarse, pan = averaged(fine), mean_of(fine)
    eager = pansharpen(coarse, pan, method)
    lazy = pansharpen(coarse.chunk(y=coarse_rows), pan.chunk(y=rows, x=cols), method)
    assert lazy.red.chunks == pan.chunk(y=rows, x=cols).chunks
    xr.testing.assert_allclose(lazy.compute(scheduler="synchronous"), eager, rtol=1e-5, atol=1e-6)


def test_lazy_if_either_is(fine):
    def never(*_args, **_kwargs):
        raise AssertionError("computed")

    coarse, pan = averaged(fine), mean_of(fine)
    with dask.config.set(scheduler=never):
        for scene, band in ((coarse.chunk(y=9), pan), (coarse, pan.chunk(y=50))):
            for method in ("brovey", "gram_schmidt"):
                sharp = pansharpen(scene, band, method)
                assert all(v.chunks is not None and v.dtype == np.float32 for v in sharp.data_vars.values())
    assert all(v.chunks is None for v in pansharpen(coarse, pan).data_vars.values())


def test_a_scene_opened_at_the_size_of_its_pan(fine, tmp_path):
    averaged(fine).pipe(gl.write_raster, tmp_path / "coarse.tif")
    mean_of(fine).to_dataset().assign_attrs(fine.attrs).pipe(gl.write_raster, tmp_path / "pan.tif")
    pan = gl.open_scene(tmp_path / "pan.tif", radiometry="sr")
    coarse = gl.open_scene(tmp_path / "coarse.tif", radiometry="sr")
    opened = gl.open_scene(
        tmp_path / "coarse.tif", radiometry="sr", resolution=abs(float(pan.x[1] - pan.x[0]))
    )
    both = opened.assign(pan=pan["pan"].drop_vars("spatial_ref"))
    sharp = pansharpen(both, method="gram_schmidt")
    direct = pansharpen(coarse, pan["pan"], "gram_schmidt")
    assert ergas(direct, fine) < ergas(sharp, fine) < ergas(opened, fine)


# ---- messages ----


def test_pan_and_scene_that_do_not_fit_are_told(fine):
    coarse, pan = averaged(fine), mean_of(fine)
    with pytest.raises(GridError, match=r"Pan is in EPSG:32601 and the scene in EPSG:\d+: reproject"):
        pansharpen(coarse, pan.rio.write_crs("EPSG:32601"))
    with pytest.raises(GridError, match=r"'pan' does not overlap the scene"):
        pansharpen(coarse, pan.assign_coords(x=pan.x + 1e5))
    with pytest.raises(GridError, match=r"Pan's pixels \(\d+\) are larger than the scene's \(\d+\)"):
        pansharpen(fine, mean_of(coarse))
    with pytest.raises(GridError, match=r"one date, dims \(y, x\), not \('time', 'y', 'x'\)"):
        pansharpen(coarse.expand_dims("time"), pan)
    with pytest.raises(GridError, match=r"Pansharpening needs a CRS"):
        pansharpen(coarse, pan.drop_vars("spatial_ref"))


def test_what_cannot_be_sharpened_is_told(fine):
    coarse, pan = averaged(fine), mean_of(fine)
    with pytest.raises(UnknownNameError, match=r"Unknown pansharpening method 'brovy'\. Did you mean"):
        pansharpen(coarse, pan, "brovy")
    with pytest.raises(MissingBandError, match=r"'pansharpen' needs \['pan'\]"):
        pansharpen(coarse)
    with pytest.raises(MissingBandError, match=r"no band to sharpen, only \['elevation'\]"):
        pansharpen(coarse[["red"]].rename(red="elevation").map(lambda v: v.assign_attrs(kind="layer")), pan)
    with pytest.raises(MissingBandError, match=r"Pan sees none of \['swir16'\].*weights="):
        pansharpen(coarse[["swir16"]], pan)
    with pytest.raises(MissingBandError, match=r"needs \['coastal'\]"):
        pansharpen(coarse, pan, weights={"coastal": 1.0})
    with pytest.raises(GlacierlabError, match="give a dict from band to number"):
        pansharpen(coarse, pan, weights=["red"])
    with pytest.raises(GlacierlabError, match="Pan is constant"):
        pansharpen(coarse, pan * 0 + 1)
    with pytest.raises(GlacierlabError, match="The intensity is constant"):
        pansharpen(coarse, pan, weights={"red": 0.0})
