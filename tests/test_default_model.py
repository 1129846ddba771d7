"""The small model that the package brings: what it knows, and what it is worth."""

import numpy as np
import pytest
import torch

import glacierlab as gl
from glacierlab.cli import main
from glacierlab.models.header import SHIPPED

BANDS = {"blue", "green", "red", "nir", "swir16", "swir22"}  # that Landsat and Sentinel-2 share


@pytest.fixture(scope="module")
def model():
    return gl.load_model("default")


def class_map(model, scene):
    """Classes (y, x) of a whole scene, 255 where it has no value."""
    stack = gl.Recipe.from_json(model.card.recipe).apply(scene).transpose("feature", "y", "x")
    image = torch.from_numpy(np.nan_to_num(stack.values))[None]
    found = model.probabilities(image)[0].argmax(0).to(torch.uint8).numpy()
    return np.where(np.isfinite(stack.values).all(axis=0), found, 255)


def test_it_is_small_and_says_what_it_is(model, capsys):
    assert SHIPPED["default"].stat().st_size < 10e6
    card = model.card
    assert BANDS <= set(card.features) <= BANDS | {"ndsi", "red/swir16"}
    assert card.classes == ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
    assert set(card.sensor.split("+")) == {"landsat_tm", "landsat_oli", "sentinel2_msi"}
    assert "made worlds" in card.note
    with pytest.raises(SystemExit, match="0"):
        main(["model", "show", "default"])
    assert "debris_covered_ice" in capsys.readouterr().out


@pytest.mark.parametrize(("sensor", "pixel_size_m"), [("landsat-8", 30.0), ("sentinel-2", 20.0)])
def test_it_finds_the_ice_of_a_world_it_never_saw(model, sensor, pixel_size_m):
    world = gl.synthetic_world(77, (2020,), (256, 256), pixel_size_m=pixel_size_m)
    scene = world.scene(sensor=sensor)
    truth = scene["truth"]
    found = truth.copy(data=class_map(model, scene.drop_vars("truth")))
    scores = gl.score(found, truth, boundary=False)
    assert scores.loc["clean_ice", "iou"] > 0.85
    ratio = (scene.glacier.ratio("red", "swir16") > 2.0) & (truth != 255)
    assert scores.loc["clean_ice", "iou"] > gl.score(ratio, truth == 1, boundary=False)["iou"].iloc[0]


def test_it_finds_athabasca_glacier(model, athabasca, athabasca_outline):
    scene = athabasca.assign_attrs(sensor="landsat_oli")  # HLS L30 is Landsat 8 on another grid
    found = class_map(model, scene)
    ice = athabasca["red"].copy(data=np.isin(found, (1, 2)))
    inside = gl.scores.burn(athabasca_outline, athabasca["red"]).values & (found != 255)
    assert ice.values[inside].mean() > 0.9  # the terminus has melted back since the outline was drawn
