"""What each option of a recipe does, what it learns from, and what unusual scenes give."""

import pickle
import warnings

import dask
import numpy as np
import pytest
import xarray as xr

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, GridError, MissingBandError, UnknownNameError
from glacierlab.features import PCA, Quantizer
from glacierlab.features.fitting import windows

PLAIN = dict(normalize=False)


def texture(scene, kinds, quantizer, **options):
    return scene.nir.glacier.glcm(kinds, quantizer=quantizer, **options)


# ---- options


@pytest.mark.parametrize(
    "options", [dict(window=5), dict(distance=2), dict(directions=(0, 90)), dict(combine="pool"),
                dict(symmetric=False)],
)  # fmt: skip
def test_options_of_textures_reach_them(made, options):
    quantizer = Quantizer.fit(made.nir)
    found = made.glacier.stack(["glcm:nir:contrast,mean,entropy"], glcm=options)
    usual = texture(made, ["contrast", "mean", "entropy"], quantizer)
    expected = texture(made, ["contrast", "mean", "entropy"], quantizer, **options)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(expected, usual)


@pytest.mark.parametrize(
    "options", [dict(levels=8), dict(method="population"), dict(percentiles=(10, 90))],
)  # fmt: skip
def test_options_of_gray_levels_reach_the_quantizer(made, options):
    recipe = gl.Recipe(["glcm:nir:contrast"], glcm=options, **PLAIN).fit(made)
    assert recipe.fitted.quantizers["nir"] == Quantizer.fit(made.nir, **options) != Quantizer.fit(made.nir)
    expected = texture(made, "contrast", Quantizer.fit(made.nir, **options))
    np.testing.assert_array_equal(recipe.apply(made), expected)


def test_components_are_of_the_bands_and_kind_asked(made):
    bands = made[["red", "swir16", "nir"]].to_dataarray("feature")
    for standardize in (False, True):
        options = dict(pca_bands=["red", "swir1", "nir"], standardize=standardize)
        found = made.glacier.stack(["pca:2"], **options)
        expected = PCA.fit(bands, 2, standardize).transform(bands)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pan_thermal_and_atmospheric_bands_and_layers_make_no_components(made):
    more = dict.fromkeys(("pan", "cirrus", "lwir11", "velocity"), made.red * 9)
    recipe = gl.Recipe(["pca:3"], **PLAIN).fit(made.assign(more))
    assert recipe.fitted.pca.features == ["coastal", "blue", "green", "red", "nir", "swir16", "swir22"]


def test_a_table_of_the_tasseled_cap_is_kept(made):
    table = "landsat8_oli_toa_baig2014"
    recipe = gl.Recipe(["tasseled_cap"], table=table, **PLAIN).fit(made)
    expected = made.glacier.tasseled_cap(table)
    np.testing.assert_array_equal(recipe.apply(made), expected)
    again = gl.Recipe.from_json(recipe.to_json())
    np.testing.assert_array_equal(again.apply(made), expected)
    assert recipe.features[-1] == f"tasseled_cap:{expected.feature.values[-1]}"


def test_limits_are_the_percentiles_asked(made):
    curvature = made.glacier.stack(["plan_curvature"])[0]
    recipe = gl.Recipe(["plan_curvature"], limits=(5, 90)).fit(made)
    expected = np.nanpercentile(curvature, (5, 90))
    np.testing.assert_allclose(recipe.fitted.normalizer.limits["plan_curvature"], expected, rtol=1e-5)


# ---- training scenes


def test_tiles_know_their_neighbors(made):
    names = ["glcm:nir:contrast", "slope"]
    (tile,) = windows(made.red.shape, 128**2)
    options = dict(max_pixels=128**2)
    plain = gl.Recipe(names, **PLAIN, **options).fit(made).apply(made)  # of the whole scene
    fitted = gl.Recipe(names, **options).fit(made).fitted
    assert fitted.pixels == 128**2 < made.red.size
    for name in names:
        expected = plain.sel(feature=name)[tile].values.astype(float)
        assert np.isfinite(expected).all()
        assert fitted.normalizer.mean[name] == pytest.approx(expected.mean(), rel=1e-6)


def test_every_training_scene_is_read_and_checked(made):
    brighter, brightest = made.assign(red=made.red + 1), made.assign(red=made.red + 5)
    recipe = gl.Recipe(["red"]).fit([made, brighter, brightest])
    assert recipe.fitted.normalizer.mean["red"] == pytest.approx(made.red.mean().item() + 2, rel=1e-5)
    with pytest.raises(MissingBandError, match="'red' needs red"):
        gl.Recipe(["red"]).fit([made, made, made.drop_vars("red")])
    with pytest.raises(UnknownNameError, match="velocity"):
        gl.Recipe(["velocity"]).fit([made.assign(velocity=made.red), made, made])
    tiny = gl.Recipe(["red"], max_pixels=1).fit([made, brighter])
    assert tiny.fitted.pixels == 2 * 128**2  # a tile of each


def test_training_scenes_of_other_pixel_sizes_are_warned_of(made):
    coarse = made.isel(y=slice(None, None, 2), x=slice(None, None, 2))
    with pytest.warns(DataWarning, match="fitted on pixels of 30 m and these have 60 m"):
        gl.Recipe(["slope"]).fit([made, coarse])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        gl.Recipe(["red"]).fit([made, coarse])  # a band has no shape


def test_what_needs_no_learning_is_not_read(made):
    lazy = made.chunk(y=80, x=100)
    lazy["elevation"] = lazy.elevation.copy(
        data=lazy.elevation.data.map_blocks(refuse, meta=np.empty((0, 0)))
    )
    recipe = gl.Recipe(["aspect"]).fit(lazy)
    assert gl.Recipe.from_json(recipe.to_json()) == recipe


def refuse(block):
    assert not block.size, "it was read"
    return block


# ---- a name means on every scene what it meant where it was fitted


def test_an_index_stays_an_index_where_a_variable_has_its_name(made):
    recipe = gl.Recipe(["ndvi"], **PLAIN).fit(made)
    stack = recipe.apply(made.assign(ndvi=made.red * 0 + 7))
    np.testing.assert_array_equal(stack[0], made.glacier.index("ndvi"))


def test_a_variable_of_the_training_scenes_goes_first_and_is_asked_again(made):
    slope = made.red * 2
    recipe = gl.Recipe(["slope"], **PLAIN).fit(made.assign(slope=slope))
    np.testing.assert_array_equal(recipe.apply(made.assign(slope=slope))[0], slope)
    assert recipe.groups == {"terrain": ["slope"]}
    with pytest.raises(MissingBandError, match="'slope' needs slope"):
        recipe.apply(made)


def test_a_given_aspect_enters_as_sine_and_cosine(made):
    degrees = made.red * 300
    stack = made.assign(aspect=degrees).glacier.stack(["aspect"])
    np.testing.assert_allclose(stack[0], np.sin(np.deg2rad(degrees)), atol=1e-5)
    np.testing.assert_allclose(stack[1], np.cos(np.deg2rad(degrees)), atol=1e-5)


def test_the_floor_of_a_ratio_is_replayed(made):
    made["swir16"] = made.swir16.where(made.swir16 > 0.05, 1e-6).assign_attrs(scale_step=2.75e-5)
    recipe = gl.Recipe(["red/swir16", "glcm:red/swir16:mean"], **PLAIN).fit(made)
    other = made.assign(swir16=made.swir16.drop_attrs())
    xr.testing.assert_equal(recipe.apply(other), recipe.apply(made))
    assert recipe.fitted.floors == {"swir16": 2.75e-5}


def test_case_and_alias_name_the_same_layer(made):
    assert gl.Recipe(["NDSI", "swir1"], **PLAIN).fit(made).features == ["ndsi", "swir16"]
    with pytest.raises(GlacierlabError, match="twice"):
        made.glacier.stack(["NDSI", "ndsi"])


@pytest.mark.parametrize(
    "layers", [["red/truth"], ["truth/red"], ["glcm:truth"], ["qa"], ["class_map"]],
)  # fmt: skip
def test_the_truth_never_enters(made, layers):
    made["qa"] = made["class_map"] = made.truth
    with pytest.raises((UnknownNameError, GlacierlabError), match=r"truth|qa|class_map"):
        made.glacier.stack(layers)
    with pytest.raises(GlacierlabError, match="truth"):
        made.glacier.stack(["pca:2"], pca_bands=["red", "truth"])


@pytest.mark.parametrize(
    ("layers", "told"),
    [(["ndpci:foo"], "ndpci"), (["phase:x"], "phase:x"), (["glcm:slope"], "not at 'slope'"),
     (["glcm:ndpci"], "not at 'ndpci'"), (["glcm:elevation"], "elevation"), (["line"], r"not \(y, x\)"),
     (["when"], "not real numbers"), (["wave"], "not real numbers"), (["hillshade"], "sun_azimuth")],
)  # fmt: skip
def test_what_cannot_be_a_layer_is_told(made, layers, told):
    made = made.drop_vars("elevation") if layers == ["glcm:elevation"] else made
    made["line"], made["wave"] = made.red[0], made.red * 1j
    made["when"] = made.red.copy(data=np.full(made.red.shape, "2020-01-01", "M8[ns]"))
    made.attrs["sun_azimuth"] = "south"
    with pytest.raises(GlacierlabError, match=told):
        made.glacier.stack(layers)


# ---- unusual scenes


def test_a_scene_without_bands_has_no_components(made):
    with pytest.raises(MissingBandError, match="'pca:3' needs reflective bands"):
        made[["elevation"]].glacier.stack(["pca:3"])


def test_other_dims_and_no_pixels_are_told(made):
    with pytest.raises(GridError, match=r"dims \(y, x\), the scene \('lat', 'lon'\)"):
        made.rename(y="lat", x="lon").glacier.stack(["red"])
    with pytest.raises(GridError, match="no pixels"):
        made.isel(y=slice(0, 0)).glacier.stack(["red"])
    for wrong in (made.red, {"a": made}, None):
        with pytest.raises(GlacierlabError, match="fitted to"):
            gl.Recipe(["red"]).fit([wrong])


def test_bands_in_other_chunks_are_put_together(made):
    lazy = made.chunk(y=80, x=100)
    lazy["elevation"] = lazy.elevation.chunk(y=50, x=60)
    lazy["nir"] = lazy.nir.chunk(y=160, x=33)
    names = ["red", "slope", "pca:2", "tasseled_cap", "glcm:pc1:mean", "red/nir"]
    stack = gl.Recipe(names).fit(lazy).apply(lazy)
    np.testing.assert_allclose(stack, gl.Recipe(names).fit(made).apply(made), rtol=1e-4, atol=1e-4)
    assert lazy.glacier.tasseled_cap().chunks is not None


def test_an_empty_chunk_stays_empty_and_spoils_nothing(made):
    holed = made.copy(deep=True)
    for name in ("red", "nir", "elevation"):
        holed[name][40:80, 50:100] = np.nan
    names = ["red", "glcm:nir:contrast", "slope", "pca:2"]
    stack = gl.Recipe(names).fit(holed).apply(holed.chunk(y=40, x=50)).compute()
    assert np.isnan(stack[:, 40:80, 50:100]).all()
    assert np.isfinite(stack[:, 90:-1, 1:-1]).all()


def test_constant_bands_are_refused_by_name(made):
    flat = made.assign(nir=made.nir * 0 + 0.5)
    with pytest.raises(GlacierlabError, match=r"'glcm:nir:contrast' cannot be fitted: .* all 0\.5"):
        flat.glacier.stack(["glcm:nir:contrast"])
    with pytest.raises(GlacierlabError, match="constant"):
        flat.glacier.stack(["pca:1"], pca_bands=["nir"])
    with pytest.raises(GlacierlabError, match="constant"):
        flat.glacier.stack(["pca:1"], pca_bands=["nir", "red"], standardize=True)


def test_a_window_larger_than_the_scene_is_refused(made):
    with pytest.raises(GridError, match="larger than the image"):
        made.isel(x=slice(0, 5)).glacier.stack(["glcm:nir"])


def test_a_dem_in_degrees_is_refused_for_slope_and_brought_over_by_add_layer(made, data):
    import rioxarray

    with rioxarray.open_rasterio(data / "oggm/srtm_oetztal.tif", masked=True) as file:
        dem = file.squeeze(drop=True).load()
    in_degrees = xr.Dataset({"elevation": dem.drop_attrs().rio.write_crs(dem.rio.crs)})
    with pytest.raises(GridError, match=r"in degrees .* scene\.glacier\.add_layer"):
        in_degrees.glacier.stack(["slope"])
    coords = {"y": 5_190_000 - 30.0 * np.arange(50), "x": 640_000 + 30.0 * np.arange(60)}
    grid = xr.DataArray(np.zeros((50, 60)), coords, ("y", "x")).rio.write_crs("EPSG:32632")
    scene = xr.Dataset({"red": grid}).glacier.add_layer("elevation", dem)
    assert np.isfinite(scene.glacier.stack(["slope"])[0, 1:-1, 1:-1]).all()


def test_the_crs_follows_whatever_it_is_called(made):
    crs = made.rio.crs
    renamed = made.rename(spatial_ref="crs")
    for variable in renamed.data_vars.values():
        variable.encoding["grid_mapping"] = "crs"
        variable.attrs.pop("grid_mapping", None)
    assert renamed.glacier.stack(["red", "slope"]).rio.crs == crs


def test_a_stack_goes_to_zarr_and_to_a_geotiff_and_back(made, tmp_path):
    stack = made.glacier.stack(["red", "glcm:nir:contrast", "red/swir16"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        stack.to_dataset().to_zarr(tmp_path / "stack.zarr")
    again = xr.open_zarr(tmp_path / "stack.zarr", decode_coords="all")["features"]
    np.testing.assert_array_equal(again, stack)
    assert again.sel(feature="red").group == "optical"
    path = gl.write_raster(stack, tmp_path / "stack.tif")
    scene = gl.open_scene(path)
    assert list(scene.data_vars) == stack.feature.values.tolist()
    np.testing.assert_array_equal(scene["glcm:nir:contrast"], stack[1])


def test_a_recipe_travels_to_workers_and_a_stack_is_made_there(made):
    distributed = pytest.importorskip("distributed")
    names = ["red", "pca:2", "glcm:nir:entropy", "slope", "cast_shadow"]
    recipe = pickle.loads(pickle.dumps(gl.Recipe(names).fit(made)))
    lazy = made.chunk(y=80, x=100)
    options = dict(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        found = recipe.apply(lazy).compute()
        assert gl.Recipe(names).fit(lazy).fitted.pixels == recipe.fitted.pixels
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_identical(found, recipe.apply(lazy).compute())


def test_warnings_point_at_the_line_that_asked(made):
    made["flat"] = made.red * 0 + 7
    etm = made.assign_attrs(sensor="landsat_etm")
    asks = [
        lambda: gl.Recipe(["flat"]).fit(made),
        lambda: made.glacier.stack(["flat"], normalize=True),
        lambda: etm.glacier.stack(["tasseled_cap"]),
        lambda: etm.glacier.tasseled_cap(),
    ]
    for ask in asks:
        with pytest.warns(DataWarning) as told:
            ask()
        assert {w.filename for w in told if w.category is DataWarning} == {__file__}
