"""Recipes and stacks: layers by name, fitted once, replayed anywhere, kept as harmless JSON."""

import json
from functools import cache
from itertools import pairwise

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import (
    DataWarning,
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    UnknownNameError,
)
from glacierlab.features import fitting, saved
from glacierlab.features.fitting import windows
from glacierlab.tables import RECIPES

MANY = ["red", "red/swir16", "ndsi", "ndpci", "pca:3", "tasseled_cap", "glcm:nir:contrast,entropy",
        "glcm:pc1:mean", "elevation", "slope", "aspect", "profile_curvature", "hillshade", "coherence",
        "phase"]  # fmt: skip


@pytest.fixture
def scene(made):
    """A small made scene with coherence and phase."""
    random = np.random.default_rng(5)
    for name, low, high in (("coherence", 0, 1), ("phase", -np.pi, np.pi)):
        values = random.uniform(low, high, made.red.shape).astype("float32")
        made[name] = made.red.copy(data=values)
    return made


@pytest.fixture
def recipe(scene):
    return gl.Recipe(MANY).fit(scene)


@cache
def small_scene():
    return gl.synthetic_scene(seed=1, shape=(120, 150))


def nothing_is_computed():
    """Fails as soon as a graph is computed."""

    def refuse(*args, **kwargs):
        raise AssertionError("something was computed")

    return dask.config.set(scheduler=refuse)


# ---- what is in a stack


def test_a_stack_holds_every_layer_by_name_as_its_function_gives_it(scene):
    stack = scene.glacier.stack(MANY)
    caps = scene.glacier.tasseled_cap()
    bands = scene[["coastal", "blue", "green", "red", "nir", "swir16", "swir22"]].to_dataarray("feature")
    pca = gl.features.PCA.fit(bands)
    terrain = scene.elevation.glacier.terrain(["slope", "profile_curvature"])
    level = terrain[1].notnull() | terrain[0].isnull()  # a level pixel bends neither way
    sun = {name: scene.attrs[name] for name in ("sun_azimuth", "sun_elevation")}
    shade = gl.features.terrain(scene.elevation, "hillshade", **sun)[0]
    low, high = np.nanpercentile(scene.nir, (2, 98))
    textures = scene.nir.glacier.glcm(["contrast", "entropy"], quantizer=(low, high))
    expected = {
        "red": scene.red, "red/swir16": scene.glacier.ratio("red", "swir16"),
        "ndsi": scene.glacier.index("ndsi"), "pc1": pca.transform(bands)[0], "pc3": pca.transform(bands)[2],
        "tasseled_cap:brightness": caps[0], "tasseled_cap:wetness": caps[2],
        "glcm:nir:contrast": textures[0], "glcm:nir:entropy": textures[1], "elevation": scene.elevation,
        "slope": terrain[0], "profile_curvature": terrain[1].where(level, 0), "hillshade": shade,
        "coherence": scene.coherence, "phase_cos": np.cos(scene.phase),
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(stack.sel(feature=name), values, rtol=1e-5, atol=1e-5, err_msg=name)
    assert stack.dims == ("feature", "y", "x")
    assert stack.dtype == "float32"
    assert stack.rio.crs == scene.rio.crs


def test_ndpci_is_worked_out_by_hand(scene):
    stack = scene.glacier.stack(["pca:2", "ndpci"]).isel(y=20, x=30).values
    assert stack[2] == pytest.approx((stack[0] - stack[1]) / (stack[0] + stack[1]), rel=1e-5)


def test_groups_gather_features_for_layer_importance(recipe, scene):
    assert list(recipe.groups) == ["optical", "indices", "pca", "tasseled_cap", "glcm", "terrain", "insar"]
    assert recipe.groups["glcm"] == ["glcm:nir:contrast", "glcm:nir:entropy", "glcm:pc1:mean"]
    assert recipe.groups["insar"] == ["coherence", "phase_sin", "phase_cos"]
    stack = recipe.apply(scene)
    for group, features in recipe.groups.items():
        assert stack.feature[stack.group == group].values.tolist() == features


def test_level_ground_has_no_aspect_and_a_hole_in_the_dem_stays_a_hole(scene):
    scene["elevation"][40:60, 40:60] = 3000.0
    scene["elevation"][90, 90] = np.nan
    stack = scene.glacier.stack(["aspect", "tangential_curvature"])
    assert (stack[:, 50, 50] == 0).all()
    assert np.isnan(stack[:, 89:92, 89:92]).all()
    assert np.isfinite(stack[:, 85:88, 85:88]).all()


def test_any_other_variable_of_the_scene_is_a_layer(scene):
    scene["velocity"] = scene.nir**2
    recipe = gl.Recipe(["velocity", "velocity/red"]).fit(scene)
    assert recipe.groups == {"other": ["velocity"], "indices": ["velocity/red"]}
    assert gl.Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("name", RECIPES)
def test_the_named_recipes_give_their_stacks(scene, name):
    if name == "cryonet":
        scene = scene.assign(dict.fromkeys(("rededge071", "rededge075", "rededge078", "nir08"), scene.nir))
        scene.attrs |= {"sensor": "sentinel2_msi", "radiometry": "toa"}
    recipe = gl.Recipe(name).fit(scene)
    assert list(recipe.groups) == ["optical", "indices", "pca", "tasseled_cap", "glcm", "terrain", "insar"]
    stack = recipe.apply(scene)
    assert np.isfinite(stack[:, 1:-1, 1:-1]).mean() > 0.99


def test_a_real_scene_gives_its_stack(athabasca):
    recipe = gl.Recipe(["red", "ndsi", "pca:3", "glcm:nir:contrast,entropy", "slope"]).fit(athabasca)
    assert np.isfinite(recipe.apply(athabasca)).mean(("y", "x")).min() > 0.9
    assert recipe.fitted.pca.explained_variance_ratio[0] > 0.8  # brightness carries most of a glacier scene


# ---- fitting


def test_the_normalizer_is_that_of_scikit_learn(scene):
    sklearn = pytest.importorskip("sklearn.preprocessing")
    names = ["red", "elevation", "slope", "glcm:nir:contrast"]
    plain = scene.glacier.stack(names)
    recipe = gl.Recipe(names).fit(scene)
    expected = sklearn.StandardScaler().fit_transform(plain.values.reshape(4, -1).T.astype("float64"))
    found = recipe.apply(scene).values.reshape(4, -1).T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_outliers_are_bounded_before_means_are_taken(athabasca):
    names = ["red/swir16", "ndsi", "ndvi", "awei_sh", "tangential_curvature", "red"]
    recipe = gl.Recipe(names).fit(athabasca)
    normalizer = recipe.fitted.normalizer
    plain = athabasca.glacier.stack(names)
    assert abs(plain.sel(feature="ndsi")).max() > 50  # where both bands all but cancel
    t = plain.sel(feature="red/swir16").clip(min=0)
    low, high = np.nanpercentile(plain.sel(feature="awei_sh"), (1, 99))
    expected = {"red/swir16": (t - 1) / (t + 1), "ndsi": plain.sel(feature="ndsi").clip(-1, 1),
                "awei_sh": plain.sel(feature="awei_sh").clip(low, high), "red": athabasca.red}  # fmt: skip
    stack = recipe.apply(athabasca)
    for name, values in expected.items():
        assert normalizer.mean[name] == pytest.approx(values.mean().item(), rel=1e-4)
        assert normalizer.scale[name] == pytest.approx(values.std().item(), rel=1e-4)
        same = (values - normalizer.mean[name]) / normalizer.scale[name]
        np.testing.assert_allclose(stack.sel(feature=name), same, atol=1e-3)
    assert set(normalizer.limits) == {"ndsi", "ndvi", "awei_sh", "tangential_curvature"}
    ice, rock = ((r - 1) / (r + 1) for r in (5.0, 1.0))
    assert (ice - rock) / normalizer.scale["red/swir16"] > 0.5  # a scale on which the two differ


def test_what_was_fitted_on_one_scene_is_replayed_on_another(recipe, scene):
    darker = scene.assign({name: scene[name] * 0.5 for name in ("red", "nir")})
    stack = recipe.apply(darker)
    mean, scale = recipe.fitted.normalizer.mean["red"], recipe.fitted.normalizer.scale["red"]
    np.testing.assert_allclose(stack.sel(feature="red"), (scene.red * 0.5 - mean) / scale, atol=1e-4)
    low, high = np.nanpercentile(scene.nir, (2, 98))
    texture = darker.nir.glacier.glcm("contrast", quantizer=(low, high))[0]
    mean, scale = (getattr(recipe.fitted.normalizer, n)["glcm:nir:contrast"] for n in ("mean", "scale"))
    np.testing.assert_allclose(stack.sel(feature="glcm:nir:contrast"), (texture - mean) / scale, atol=1e-3)


def test_several_scenes_count_together(scene):
    brighter = scene.assign(red=scene.red + 1)
    recipe = gl.Recipe(["red"]).fit([scene, brighter])
    assert recipe.fitted.normalizer.mean["red"] == pytest.approx(scene.red.mean().item() + 0.5, rel=1e-5)
    assert (recipe.fitted.scenes, recipe.fitted.pixels) == (2, 2 * scene.red.size)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(fitting.SIDE**2, 2_000_000))
@example(768, 22, fitting.SIDE**2)
def test_training_tiles_lie_inside_do_not_overlap_and_keep_to_their_number(rows, cols, pixels):
    tiles = windows((rows, cols), pixels)
    assert all(0 <= y.start < y.stop <= rows and 0 <= x.start < x.stop <= cols for y, x in tiles)
    assert sum((y.stop - y.start) * (x.stop - x.start) for y, x in tiles) <= pixels
    for along in zip(*tiles, strict=True):
        edges = sorted({(s.start, s.stop) for s in along})
        assert all(a[1] <= b[0] for a, b in pairwise(edges))


def test_tiles_of_a_large_scene_teach_nearly_what_all_of_it_does():
    scene = gl.synthetic_scene(seed=3, shape=(400, 500))
    names = ["red", "glcm:nir:contrast", "slope"]
    whole, tiles = (gl.Recipe(names, max_pixels=n).fit(scene).fitted for n in (10**6, 100_000))
    assert (whole.pixels, tiles.pixels) == (200_000, 6 * fitting.SIDE**2)
    for name in ("red", "slope"):
        assert tiles.normalizer.mean[name] == pytest.approx(whole.normalizer.mean[name], rel=0.2)


def test_a_lazy_scene_is_read_once_to_fit_and_not_at_all_to_apply(recipe, scene):
    reads = []

    def read(block):
        if block.size:  # not dask's question for the type
            reads.append(block.shape)
        return block

    lazy = scene[["red", "nir", "swir16"]].chunk(y=80, x=100)
    lazy["nir"] = lazy.nir.copy(data=lazy.nir.data.map_blocks(read, meta=np.empty((0, 0), "float32")))
    fitted = gl.Recipe(["nir", "glcm:nir:contrast", "pca:2", "nir/swir16"]).fit(lazy)
    assert len(reads) == 4  # once a chunk
    with nothing_is_computed():
        stack = fitted.apply(lazy)
    assert stack.chunks is not None


def test_bands_and_indices_need_no_reading(scene):
    with nothing_is_computed():
        stack = scene.chunk(y=80, x=100).glacier.stack(["red", "ndsi", "tasseled_cap", "slope"])
    xr.testing.assert_allclose(stack.compute(), scene.glacier.stack(["red", "ndsi", "tasseled_cap", "slope"]))


def test_a_feature_taken_alone_is_made_alone(recipe, scene):
    def refuse(block):
        assert not block.size, "the other bands were read"
        return block

    lazy = scene.chunk(y=80, x=100)
    for name in set(scene.data_vars) - {"red", "swir16"}:
        lazy[name] = lazy[name].copy(
            data=lazy[name].data.map_blocks(refuse, meta=np.empty((0, 0), "float32"))
        )
    stack = recipe.apply(lazy)
    assert np.isfinite(stack.sel(feature=["red", "red/swir16"]).compute()).all()
    with pytest.raises(AssertionError, match="other bands"):
        stack.sel(feature="ndsi").compute()


@settings(max_examples=8)
@given(rows=st.integers(15, 120), cols=st.integers(15, 150))
def test_chunks_change_nothing(rows, cols):
    scene = small_scene()
    names = ["glcm:nir:contrast,entropy,correlation", "glcm:pc1:mean", "slope", "aspect", "plan_curvature",
             "hillshade", "cast_shadow", "red/swir16"]  # fmt: skip
    recipe = gl.Recipe(names).fit(scene)
    whole, lazy = recipe.apply(scene), recipe.apply(scene.chunk(y=rows, x=cols)).compute()
    np.testing.assert_allclose(lazy, whole, rtol=2e-6, atol=2e-6)


# ---- refusals


@pytest.mark.parametrize(
    ("layers", "error", "told"),
    [
        (["ndssi"], UnknownNameError, "Did you mean 'ndsi'"),
        (["slop"], UnknownNameError, "Did you mean 'slope'"),
        (["pc2"], UnknownNameError, "'pca:2' makes"),
        (["truth"], UnknownNameError, "truth"),
        (["red/gren"], UnknownNameError, "Did you mean 'green'"),
        (["glcm:nir:contrst"], UnknownNameError, "Did you mean 'contrast'"),
        (["glcm"], GlacierlabError, "glcm:nir"),
        (["pca:0"], GlacierlabError, "pca:3"),
        (["pca:9"], GlacierlabError, "components"),
        (["tasseled_cap:wetnes"], UnknownNameError, "Did you mean 'wetness'"),
        (["red", "red"], GlacierlabError, "twice"),
        (["pca:2", "pca:3"], GlacierlabError, "twice"),
        ([], GlacierlabError, "0 names"),
        (["red", 3], GlacierlabError, "list of names"),
        ("cryonett", UnknownNameError, "Did you mean 'cryonet'"),
        (["rededge071", "elevation"], MissingBandError, "'rededge071' needs rededge071"),
    ],
)
def test_a_layer_that_cannot_be_had_is_refused_by_name(made, layers, error, told):
    with pytest.raises(error, match=told):
        made.glacier.stack(layers)


def test_all_unavailable_layers_are_told_at_once(made):
    del made.attrs["sun_azimuth"]
    with pytest.raises(MissingBandError, match=r"'coherence' needs coherence; 'hillshade' needs attrs"):
        made.drop_vars("nir").glacier.stack(["red", "coherence", "hillshade", "glcm:nir"])


BAD_OPTIONS = [
    ({"glcm": {"window": 4}}, "window=4: a window has a middle"),
    ({"glcm": {"window": 1}}, "window=1"),
    ({"glcm": {"window": 7.5}}, "whole number"),
    ({"glcm": {"levels": 257}}, "2 to 256"),
    ({"glcm": {"levels": True}}, "whole number"),
    ({"glcm": {"method": "log"}}, "quantizer method 'log'"),
    ({"glcm": {"directions": "north"}}, "directions=north"),
    ({"glcm": {"distance": 7}}, "distance=7"),
    ({"glcm": {"distance": "a"}}, "distance=a"),
    ({"glcm": {"combine": None}}, "combine directions None"),
    ({"glcm": {"symmetric": 1}}, "True or False"),
    ({"glcm": {"percentiles": (98, 2)}}, "lower first"),
    ({"glcm": {"size": 7}}, "option of textures 'size'"),
    ({"glcm": 7}, "give a dict"),
    ({"normalize": "no"}, "True or False"),
    ({"standardize": 1}, "True or False"),
    ({"limits": (1,)}, "two percentiles"),
    ({"limits": (50, 101)}, "two percentiles"),
    ({"max_pixels": True}, "whole number"),
    ({"max_pixels": 0}, "whole number"),
    ({"table": "tct"}, "tasseled-cap table 'tct'"),
    ({"pca_bands": "red"}, "list of names"),
    ({"layers": None}, "list of names"),
    ({"layers": {"red"}}, "list of names"),
    ({"layers": "red"}, "for a single layer give a list"),
]


@pytest.mark.parametrize(("options", "told"), BAD_OPTIONS, ids=lambda value: str(value)[:30])
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises(GlacierlabError, match=told):
        gl.Recipe(**{"layers": ["red"], **options})


def test_a_recipe_is_for_its_sensor_and_radiometry(recipe, scene):
    with pytest.raises(RadiometryError, match="'landsat_oli' with 'sr' values there, 'sentinel2_msi'"):
        recipe.apply(scene.assign_attrs(sensor="sentinel2_msi"))
    with pytest.raises(RadiometryError, match="'toa' here"):
        recipe.apply(scene.assign_attrs(radiometry="toa"))
    with pytest.raises(RadiometryError, match="not of one kind: they hold"):
        gl.Recipe(["red"]).fit([scene, scene.assign_attrs(radiometry="toa")])
    harmonized = recipe.apply(scene.assign_attrs(sensor="hls_l30"))  # the same instrument
    np.testing.assert_array_equal(harmonized, recipe.apply(scene))


def test_a_recipe_may_be_for_several_sensors(scene):
    other = scene.assign_attrs(sensor="sentinel2_msi")
    recipe = gl.Recipe(["red", "ndsi"]).fit([other, scene])
    assert recipe.fitted.sensor == "landsat_oli+sentinel2_msi"
    again = gl.Recipe.from_json(recipe.to_json())
    xr.testing.assert_equal(again.apply(scene), recipe.apply(other).assign_attrs(sensor="landsat_oli"))
    with pytest.raises(RadiometryError, match="'landsat_tm' with 'sr' here"):
        recipe.apply(scene.assign_attrs(sensor="landsat_tm"))
    with pytest.raises(RadiometryError, match="a tasseled cap is made for one"):
        gl.Recipe(["tasseled_cap"]).fit([scene, other])
    with pytest.raises(RadiometryError, match="some scenes do not say theirs"):
        gl.Recipe(["red"]).fit([scene, scene.assign_attrs(sensor=None)])


def test_pixels_of_another_size_are_warned_of(recipe, scene):
    coarse = scene.isel(y=slice(None, None, 2), x=slice(None, None, 2))
    with pytest.warns(DataWarning, match="fitted on pixels of 30 m and these have 60 m"):
        recipe.apply(coarse)


def test_an_unfitted_recipe_says_so(scene):
    for use in (lambda r: r.apply(scene), lambda r: r.features, lambda r: r.groups):
        with pytest.raises(GlacierlabError, match=r"recipe = recipe\.fit"):
            use(gl.Recipe(["red"]))


def test_a_cube_is_refused(scene):
    with pytest.raises(GridError, match="choose a date with isel"):
        scene.expand_dims("time").glacier.stack(["red"])


def test_a_constant_layer_is_warned_of_and_an_empty_one_refused(scene):
    scene["flat"], scene["empty"] = scene.red * 0 + 7, scene.red * np.nan
    with pytest.warns(DataWarning, match="'flat' is constant"):
        recipe = gl.Recipe(["flat"]).fit(scene)
    assert (recipe.apply(scene) == 0).all()
    with pytest.raises(GlacierlabError, match="'empty' is not observed"):
        gl.Recipe(["empty"]).fit(scene)


def test_a_fitted_recipe_takes_no_options(recipe, scene):
    with pytest.raises(GlacierlabError, match="holds its own options"):
        scene.glacier.stack(recipe, window=5)


# ---- JSON


def test_a_recipe_comes_back_from_its_text(recipe, scene):
    again = gl.Recipe.from_json(recipe.to_json())
    assert again == recipe
    xr.testing.assert_identical(again.apply(scene), recipe.apply(scene))
    fresh = gl.Recipe(["red"], glcm={"window": 9})
    assert gl.Recipe.from_json(fresh.to_json()) == fresh


def test_every_cut_or_changed_text_is_refused_or_means_the_same(recipe):
    text = recipe.to_json()
    random, refused = np.random.default_rng(0), 0
    for at in random.integers(0, len(text), 200):
        with pytest.raises(GlacierlabError):
            gl.Recipe.from_json(text[:at])
        other = chr((ord(text[at]) - 31) % 95 + 32)
        try:  # a seventeenth digit may not change a number
            assert gl.Recipe.from_json(text[:at] + other + text[at + 1 :]) == recipe
        except GlacierlabError:
            refused += 1
    assert refused > 150


HEAD = '{"format": "glacierlab recipe", "version": 1, '


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cut short"),
        ("{}", "not marked"),
        ("null", "not marked"),
        ("[" * 100_000, "cut short"),
        (HEAD + '"x": NaN}', "JSON compliant"),
        (HEAD + '"x": 1e999}', "JSON compliant"),
        (HEAD + '"x": ' + "[" * 2000 + "]" * 2000 + "}", "cut short|checksum"),
        (HEAD + '"x": 1}', "checksum"),
        ('{"format": "glacierlab recipe", "version": 2}', "version '2', this reads 1"),
        ('"' + "x" * 2_000_000 + '"', "at most 1,000,000 characters"),
        ("__import__('os').system('false')", "cut short"),
        (b"\x80\x04", "JSON text"),
        (None, "JSON text"),
    ],
    ids=range(13),
)
def test_hostile_text_is_refused(text, told):
    with pytest.raises(GlacierlabError, match=told):
        gl.Recipe.from_json(text)


def fitted(body, **changes):
    return body | {"fitted": body["fitted"] | changes}


def inside(body, name, **changes):
    return fitted(body, **{name: body["fitted"][name] | changes})


def scales(body, value):
    return inside(body, "normalizer", scale=dict.fromkeys(body["fitted"]["normalizer"]["scale"], value))


def quantizer(body, **changes):
    own = body["fitted"]["quantizers"]
    return inside(body, "quantizers", nir=own["nir"] | changes)


HOSTILE = [  # (what is changed, what is told)
    (lambda body: body | {"layers": {"red": 1}}, "list of names"),
    (lambda body: body | {"layers": ["red"] * 10_000}, "10000 names"),
    (lambda body: body | {"layers": ["red" * 100]}, "each short"),
    (lambda body: body | {"layers": [*body["layers"], "red"]}, "twice"),
    (lambda body: body | {"code": "print()"}, "there is no 'code'"),
    (lambda body: {k: v for k, v in body.items() if k != "glcm"}, "'glcm'"),
    (lambda body: body | {"glcm": {"window": 8}}, "window=8"),
    (lambda body: body | {"standardize": {"a": [1]}}, "True or False"),
    (lambda body: body | {"fitted": [1]}, "mapping"),
    (lambda body: fitted(body, code="print()"), "code"),
    (lambda body: fitted(body, table="x"), "table 'x'"),
    (lambda body: fitted(body, table=None), "table is missing"),
    (lambda body: fitted(body, sensor=["x"]), "what scenes"),
    (lambda body: fitted(body, radiometry=None), "what scenes"),
    (lambda body: fitted(body, scenes="rm -rf"), "scenes holds 'rm -rf'"),
    (lambda body: fitted(body, pixels=[1, {}]), "pixels holds"),
    (lambda body: fitted(body, floors={"swir16": "0"}), "floors holds '0'"),
    (lambda body: fitted(body, floors={}), "smallest denominators"),
    (lambda body: fitted(body, pca=None), "components are missing"),
    (
        lambda body: inside(body, "pca", loadings=body["fitted"]["pca"]["loadings"][:1]),
        "loadings is not of 3",
    ),
    (lambda body: inside(body, "pca", mean=["1"] * 7), "mean holds '1'"),
    (lambda body: inside(body, "pca", scale=[0] * 7), "scale, or all the variance, is 0"),
    (lambda body: inside(body, "pca", features=["red"] * 7), "each once"),
    (lambda body: inside(body, "pca", total_variance=None), "total_variance holds"),
    (lambda body: fitted(body, quantizers={}), "gray levels are of"),
    (lambda body: inside(body, "quantizers", red=body["fitted"]["quantizers"]["nir"]), "gray levels are of"),
    (lambda body: quantizer(body, low="0"), "two finite numbers"),
    (lambda body: quantizer(body, levels=10**6), "2 to 256"),
    (lambda body: fitted(body, normalizer=None), "normalizer does not fit"),
    (lambda body: inside(body, "normalizer", mean={}), "mean is of"),
    (lambda body: scales(body, 0.0), "scale of 0"),
    (lambda body: scales(body, 1e-300), "scale of 0"),
    (lambda body: scales(body, "1 + 1"), "no finite number"),
    (lambda body: scales(body, True), "no finite number"),
    (lambda body: scales(body, 10**400), "no finite number"),
    (lambda body: inside(body, "normalizer", limits={"ndsi": [2.0, 1.0]}), "above the higher"),
    (lambda body: inside(body, "normalizer", limits={"ndsi": [2.0, 1.0, 3.0]}), "limits is not of"),
    (lambda body: inside(body, "normalizer", limits={"other": [1.0, 2.0]}), "other features"),
    (lambda body: inside(body, "normalizer", ratios=["other"]), "other features"),
]


@pytest.mark.parametrize(("change", "told"), HOSTILE)
def test_altered_content_with_a_right_checksum_is_refused(recipe, change, told):
    body = change({k: v for k, v in json.loads(recipe.to_json()).items() if k != "sha256"})
    text = json.dumps(body | {"sha256": saved.digest(body)})
    with pytest.raises(GlacierlabError, match=told):
        gl.Recipe.from_json(text)
