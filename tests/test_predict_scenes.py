"""predict on scenes: the model's layers and pixels, dates, paths; refusals say what to do."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from rasterio.enums import Resampling

torch = pytest.importorskip("torch")

from test_predict import NAMES, Counted, model_of, random_logits, softmax, stack_of  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.errors import (  # noqa: E402
    GlacierlabError,
    GridError,
    MissingBandError,
    RadiometryError,
    UnknownNameError,
)
from glacierlab.models import Segmenter  # noqa: E402


def test_a_scene_by_the_model_of_the_package():
    scene = gl.synthetic_scene(seed=3, shape=(150, 130))
    found = scene.glacier.predict("default")
    assert found.class_map.attrs["flag_meanings"] == "background clean_ice debris_covered_ice glacial_lake"
    assert found.class_map.dtype == np.uint8
    score = gl.score(found.class_map, scene["truth"])
    assert score.loc["clean_ice", "iou"] > 0.85
    assert found.attrs["sensor"] == scene.attrs["sensor"]
    assert len(found.glacier.outlines()) > 0


def test_half_precision_gives_the_same_map():
    scene = gl.synthetic_scene(seed=3, shape=(150, 130)).drop_vars("truth")
    whole, half = (gl.predict(scene, "default", precision=name) for name in ("float32", "bfloat16"))
    assert float((whole.class_map == half.class_map).mean()) > 0.995
    assert float(abs(whole.probability - half.probability).max()) < 0.1


def test_several_dates_are_mapped_each_by_itself():
    scene = gl.synthetic_scene(seed=3, shape=(60, 70)).drop_vars("truth")
    cloud = scene * np.nan
    cube = xr.concat([scene, cloud.assign_attrs(scene.attrs)], "time").assign_attrs(scene.attrs)
    found = gl.predict(cube, "default")
    assert found.class_map.dims == ("time", "y", "x")
    assert (found.class_map.isel(time=1) == 255).all()
    xr.testing.assert_equal(found.isel(time=0), gl.predict(scene, "default"))
    dated = gl.predict(cube.assign_coords(time=[2010, 2020]).chunk(y=30), "default")
    assert dated.time.values.tolist() == [2010, 2020]
    assert "datetime" not in dated.attrs
    np.testing.assert_array_equal(dated.class_map, found.class_map)
    with pytest.raises(GlacierlabError, match="no dates"):
        gl.predict(cube.isel(time=[]), "default")


def test_a_scene_comes_to_the_pixels_of_the_model():
    world = gl.synthetic_world(3, shape=(200, 240))
    fine, coarse = world.scene(2020), world.scene(2020).coarsen(y=2, x=2).mean()
    coarse = coarse.assign_attrs(fine.attrs).rio.write_crs(fine.rio.crs).drop_vars("truth")
    model = gl.load_model("default")
    model.card = replace(model.card, pixel_size_m=30.0)
    with pytest.raises(GridError, match="resample=True"):
        gl.predict(coarse, model)
    found = gl.predict(coarse, model, resample=True)
    assert found.sizes["y"] == 200
    np.testing.assert_allclose(found.y, fine.y)
    np.testing.assert_allclose(found.x, fine.x)
    own = gl.predict(fine, model)
    assert float((found.class_map == own.class_map).mean()) > 0.9  # but for what 60 m cannot show
    by_gdal = coarse.rio.reproject_match(fine, resampling=Resampling.bilinear, nodata=np.nan)
    other = gl.predict(by_gdal.assign_attrs(fine.attrs), model)
    np.testing.assert_allclose(found.probability, other.probability, atol=1e-4)
    lazy = gl.predict(coarse.chunk(y=33, x=50), model, resample=True)
    assert lazy.class_map.chunks is not None
    np.testing.assert_array_equal(lazy.class_map, found.class_map)
    xr.testing.assert_identical(gl.predict(fine, model, resample=True), own)  # nothing to do


def test_a_model_takes_its_own_of_the_layers_of_a_recipe():
    scene = gl.synthetic_scene(seed=3, shape=(60, 70))
    recipe = gl.Recipe(["red", "swir16", "ndsi"]).fit(scene)
    model = model_of(lambda x: x.repeat(1, 2, 1, 1)[:, :3], features=("ndsi", "red"), recipe=recipe.to_json())
    found, stack = gl.predict(scene, model, tile=32), recipe.apply(scene)
    np.testing.assert_allclose(
        found.probability, softmax(stack.sel(feature=["ndsi", "red", "ndsi"]).values), atol=1e-5
    )


def test_a_path_is_opened_lazily(tmp_path):
    scene = gl.synthetic_scene(seed=3, shape=(60, 70)).drop_vars("truth")
    found = gl.predict(gl.write_raster(scene, tmp_path / "scene.tif"), "default")
    assert found.class_map.chunks is not None
    np.testing.assert_array_equal(found.class_map, gl.predict(scene, "default").class_map)


def test_refusals_say_what_to_do():
    scene = gl.synthetic_scene(seed=3, shape=(60, 70))
    stack, model = stack_of(random_logits(40, 40)), model_of()
    with pytest.raises(MissingBandError, match="swir16"):
        gl.predict(scene.drop_vars(["swir16"]), "default")
    with pytest.raises(GlacierlabError, match=r"needs \['c'\]"):
        gl.predict(stack.isel(feature=[0, 1]), model)
    with pytest.raises(GlacierlabError, match="no recipe: give a stack"):
        gl.predict(scene, model)
    degrees = stack.rio.write_crs("EPSG:4326")
    with pytest.raises(GridError, match="degrees"):
        gl.predict(degrees, model)
    with pytest.raises(GridError, match=r"30 m, the model was trained on 10 m.*resample=True"):
        gl.predict(stack, model_of(pixel_size_m=10.0), resample=True)  # a stack, whose layers are made
    gl.predict(stack.assign_coords(x=stack.x / 1.5, y=stack.y / 1.5), model_of(pixel_size_m=30.0))  # a third
    with pytest.raises(GlacierlabError, match="max_memory='much'"):
        gl.predict(stack, model, max_memory="much")
    with pytest.raises(GlacierlabError, match="tile='64'"):
        gl.predict(stack, model, tile="64")
    with pytest.raises(RadiometryError, match="reflectance"):
        gl.predict(scene.assign_attrs(radiometry="dn"), "default")
    with pytest.raises(UnknownNameError, match="Did you mean 'hann'"):
        gl.predict(stack, model, tile=32, blend="han")
    with pytest.raises(UnknownNameError, match="tta"):
        gl.predict(stack, model, tta="dihedrall")
    with pytest.raises(GlacierlabError, match="tile=0: give a whole number"):
        gl.predict(stack, model, tile=0)
    with pytest.raises(GlacierlabError, match="overlap=32 with tile=32"):
        gl.predict(stack, model, tile=32, overlap=32)
    with pytest.raises(GlacierlabError, match="A spread needs several"):
        gl.predict(stack, model, uncertainty="spread")
    with pytest.raises(GlacierlabError, match="no dropout"):
        gl.predict(stack, model, dropout=3)
    with pytest.raises(GlacierlabError, match="differ in their classes"):
        gl.predict(stack, [model, model_of(lambda x: x[:, :2], classes=NAMES[:2])])
    with pytest.raises(GlacierlabError, match="has no card"):
        gl.predict(stack, Segmenter(Counted(), "counted", 3, 3, {}))


def test_a_model_that_gives_nan_is_told_by_its_place():
    def broken(x):
        return torch.where(x.amax((1, 2, 3), keepdim=True) > 50, torch.nan, x)

    values = random_logits(100, 100)
    values[0, 80, 80] = 100
    with pytest.raises(GlacierlabError, match="no numbers at row"):
        gl.predict(stack_of(values), model_of(broken), tile=32, precision="float32")
