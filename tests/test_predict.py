"""predict: the same map for every chunking, batch and blend; holes stay holes; refusals say what to do."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.errors import (  # noqa: E402
    DataWarning,
)
from glacierlab.inference.blocks import Grid, predicted, rows_of  # noqa: E402
from glacierlab.inference.models import models_of  # noqa: E402
from glacierlab.inference.passes import Manner  # noqa: E402
from glacierlab.inference.prediction import in_blocks  # noqa: E402
from glacierlab.inference.tiles import Axis  # noqa: E402
from glacierlab.inference.walking import walk, working_set  # noqa: E402
from glacierlab.models import Card, Segmenter  # noqa: E402

NAMES = ("background", "clean_ice", "debris_covered_ice")
BLENDS = ("hann", "linear", "crop", "none")


class Counted(nn.Module):
    """Gives back what it gets, and counts its tiles."""

    def __init__(self, function=lambda x: x):
        super().__init__()
        self.function, self.tiles = function, []

    def __deepcopy__(self, memo):
        return self  # so that the test sees what the copy saw

    def forward(self, x):
        self.tiles.append(len(x))
        return self.function(x)


def model_of(function=lambda x: x, features=("a", "b", "c"), classes=NAMES, **card):
    model = Segmenter(Counted(function), "counted", len(features), len(classes), {})
    model.card = Card(features=tuple(features), classes=tuple(classes), **card)
    return model


def stack_of(values, features=("a", "b", "c"), chunks=None):
    """A stack of values (C, y, x) on pixels of 30 m."""
    _, height, width = values.shape
    coords = {
        "feature": list(features),
        "y": 5e6 - 30 * (np.arange(height) + 0.5),
        "x": 5e5 + 30 * (np.arange(width) + 0.5),
    }
    stack = xr.DataArray(values.astype("float32"), coords, ("feature", "y", "x")).rio.write_crs("EPSG:32645")
    return stack if chunks is None else stack.chunk(dict(zip(stack.dims, chunks, strict=True)))


def random_logits(height, width, seed=0, holes=0.0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, height, width)).astype("float32")
    values[:, rng.random((height, width)) < holes] = np.nan
    return values


def softmax(values):
    powers = np.exp(values - values.max(axis=0))
    return powers / powers.sum(axis=0)


# ---- one map, however it is cut


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_chunk_batch_or_blend_changes_the_map(data):
    draw = data.draw
    height, width = draw(st.integers(1, 150), "height"), draw(st.integers(1, 150), "width")
    tile = draw(st.integers(1, 60), "tile")
    overlap = draw(st.integers(0, tile - 1), "overlap")
    values = random_logits(
        height, width, draw(st.integers(0, 99)), holes=draw(st.sampled_from([0, 0.05, 0.9]))
    )
    chunks = tuple(draw(st.integers(1, side + 3)) for side in values.shape)
    asked = dict(tile=tile, overlap=overlap, blend=draw(st.sampled_from(BLENDS)), precision="float32")
    sizes = dict(batch_size=draw(st.integers(1, 9))), dict(batch_size=draw(st.integers(1, 9)))
    model = model_of()
    lazy = gl.predict(stack_of(values, chunks=chunks), model, **sizes[0], **asked)
    eager = gl.predict(stack_of(values), model, **sizes[0], **asked)
    assert lazy.class_map.chunks is not None
    xr.testing.assert_identical(lazy.compute(), eager)
    other = gl.predict(stack_of(values), model, **sizes[1], **asked)  # torch rounds by place in a batch
    np.testing.assert_allclose(other.probability, eager.probability, rtol=1e-5, atol=1e-6)
    known = np.isfinite(values).all(axis=0)
    found = eager.probability.values
    np.testing.assert_allclose(found[:, known], softmax(values[:, known]), rtol=1e-4, atol=2e-5)
    assert np.isnan(found[:, ~known]).all()
    assert (eager.class_map.values[~known] == 255).all()
    sure = known & (np.sort(values, axis=0)[-1] - np.sort(values, axis=0)[-2] > 1e-3)
    np.testing.assert_array_equal(eager.class_map.values[sure], values.argmax(axis=0)[sure])


def by_identity(height, width, blend):
    """A model that gives back its input: as much as a map of it differs, at most."""
    values = random_logits(height, width)
    found = gl.predict(stack_of(values), model_of(), tile=64, overlap=20, blend=blend, precision="float32")
    return abs(found.probability.values - softmax(values)).max()


@pytest.mark.parametrize("blend", BLENDS)
def test_an_identity_model_returns_its_input(blend):
    for side in [*range(1, 8), *range(60, 68), *range(81, 600, 47), 600]:
        assert by_identity(side, side, blend) < 1e-6
        assert by_identity(side, 601 - side, blend) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("blend", BLENDS)
def test_an_identity_model_returns_its_input_of_any_size(blend):
    for side in range(1, 601):
        assert by_identity(side, side, blend) < 1e-6
        assert by_identity(side, 601 - side, blend) < 1e-6


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_way_over_many_small_blocks_gives_the_same(data):
    draw = data.draw
    tile = draw(st.integers(1, 8), "tile")
    height, width = (draw(st.integers(tile, 60)) for _ in range(2))
    block = min(draw(st.integers(tile, tile + 12), "block"), max(height, width))
    overlap, blend = draw(st.integers(0, tile - 1), "overlap"), draw(st.sampled_from(BLENDS))
    grid = Grid((height, width), tile, overlap, blend, block)
    values = random_logits(height, width, draw(st.integers(0, 99)), draw(st.sampled_from([0, 0.2, 0.95])))
    lazy = da.from_array(values, chunks=tuple(draw(st.integers(1, side + 3)) for side in values.shape))
    models, manner = models_of(model_of()), Manner(("a", "b", "c"), batch_size=3)
    first = draw(st.integers(0, grid.counts[0] - 1), "first")
    memory = int(working_set([1, 1], lazy, grid, 3) * draw(st.floats(1, 6)))
    blocked = in_blocks(lazy, grid)
    with dask.config.set(scheduler="sync"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # chunks that are read several times over
        whole = predicted(blocked, grid, models, manner).compute()
        for start, way in (
            (0, walk(values, grid, models, manner)),
            (0, walk(lazy, grid, models, manner, 0, memory)),
            (first, walk(lazy, grid, models, manner, first, memory)),
            (first, rows_of(blocked, grid, models, manner, first)),
        ):
            found = np.full_like(whole, -7)
            for i, j, part in way:
                found[:, grid.slice(0)(i), grid.slice(1)(j)] = part
            np.testing.assert_array_equal(found[:, start * block :], whole[:, start * block :])
            assert (found[:, : start * block] == -7).all()


@pytest.mark.parametrize("blend", BLENDS)
def test_weights_add_up_to_one_for_every_length(blend):
    for length in range(64, 601):
        axis, total = Axis(length, 64, 0 if blend == "none" else 16, blend), np.zeros(length)
        for start, weights in zip(axis.starts, axis.weights, strict=True):
            total[start : start + 64] += weights
        np.testing.assert_allclose(total, 1, atol=1e-5)


def test_tiles_of_chu_keep_their_middle():
    axis = Axis(3000, 1024, 52, "crop")
    assert axis.starts.tolist() == [0, 972, 1944, 1976]  # the last moves inward
    assert (axis.weights[1] > 0).sum() == 972
    assert axis.weights[0, :26].tolist() == [1] * 26  # the scene's border is nobody else's


def test_each_tile_goes_through_once_for_each_view():
    model = model_of()
    scene = stack_of(random_logits(700, 650), chunks=(1, 90, 333))
    gl.predict(scene, model, tile=64, overlap=16, batch_size=7, tta="chu2022", precision="float32").compute()
    steps = [len(Axis(side, 64, 16, "hann").starts) for side in (700, 650)]
    assert sum(model.network.tiles) == 6 * steps[0] * steps[1]


def test_tiles_without_any_value_are_not_run():
    values = random_logits(256, 256)
    values[:, :, 100:] = np.nan
    model = model_of()
    gl.predict(stack_of(values), model, tile=64, overlap=0, precision="float32")
    assert sum(model.network.tiles) == 8


def test_holes_do_not_reach_their_neighbors():
    values = random_logits(90, 90)
    whole = gl.predict(stack_of(values), model_of(), tile=40, precision="float32").probability
    values[1, 30:50, 30:50] = np.nan  # in one feature
    holed = gl.predict(stack_of(values), model_of(), tile=40, precision="float32").probability
    known = np.isfinite(values).all(axis=0)
    np.testing.assert_allclose(holed.values[:, known], whole.values[:, known], atol=1e-6)
    assert holed.isnull().values.sum() == 3 * 400


def test_seams_show_without_blending_and_not_with_it():
    """A model that is wrong at the borders of its tiles."""
    near = torch.minimum(torch.arange(64) + 1, 64 - torch.arange(64)).float()
    edge = torch.minimum(near[:, None], near).clamp(max=20) / 10  # grows inward
    model = model_of(lambda x: torch.stack([x[:, 0] * 0, edge.expand_as(x[:, 0])], 1), classes=NAMES[:2])
    scene = stack_of(np.zeros((3, 256, 256)))
    jumps = {}
    for blend in ("none", "hann"):
        found = gl.predict(scene, model, tile=64, blend=blend, overlap=0 if blend == "none" else 32,
                           precision="float32").probability.isel({"class": 1})  # fmt: skip
        inner = found.values[40:-40, 40:-40]
        jumps[blend] = np.ptp(inner)
    assert jumps["hann"] < 0.3 * jumps["none"]


# ---- views, draws, members


def test_views_change_nothing_for_a_model_that_turns_with_its_image():
    mean = nn.AvgPool2d(3, 1, 1)
    model, scene = model_of(mean), stack_of(random_logits(70, 90))
    one = gl.predict(scene, model, tile=32, precision="float32")
    for tta in ("chu2022", "dihedral"):
        many = gl.predict(scene, model, tile=32, tta=tta, uncertainty="spread", precision="float32")
        np.testing.assert_allclose(many.probability, one.probability, atol=2e-6)
        assert many.spread.max() < 1e-5


def test_views_turn_vectors():
    """The model says how far east a slope looks, which is the same in every view of it."""
    features = ("aspect_sin", "aspect_cos", "red")

    def rightward(x):  # toward the right border of the tile: the image's own east, and the layer's
        step = x[:, 2].roll(-1, -1) - x[:, 2].roll(1, -1)
        return torch.stack([step * 0, x[:, 0] * step], 1)

    values = np.stack([np.full((64, 64), 0.8), np.full((64, 64), 0.6), np.tile(np.arange(64.0), (64, 1))])
    model = model_of(rightward, features, NAMES[:2])
    scene = stack_of(values, features)
    one = gl.predict(scene, model, tile=64, precision="float32").probability
    mirrored = gl.predict(scene, model, tile=64, tta=["hflip"], precision="float32").probability
    np.testing.assert_allclose(mirrored[:, :, 2:-2], one[:, :, 2:-2], atol=1e-6)


def test_spread_is_the_deviation_over_views():
    model = model_of(lambda x: x * torch.linspace(0, 1, x.shape[-1]))
    scene = stack_of(random_logits(32, 32))
    views = [gl.predict(scene, model, tile=32, tta=[by], precision="float32").probability.values
             for by in ("identity", "hflip", "rot180")]  # fmt: skip
    found = gl.predict(scene, model, tile=32, tta=["identity", "hflip", "rot180"], precision="float32",
                       uncertainty=["spread", "entropy"])  # fmt: skip
    np.testing.assert_allclose(found.probability, np.mean(views, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.spread, np.std(views, axis=0).max(axis=0), atol=1e-6)
    p = found.probability.values.astype(float)
    np.testing.assert_allclose(found.entropy, -(p * np.log(p)).sum(axis=0) / np.log(3), atol=1e-5)


def with_dropout():
    torch.manual_seed(0)
    model = Segmenter(
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Dropout2d(0.5), nn.Conv2d(8, 3, 1)), "own", 3, 3, {}
    )
    model.card = Card(features=("a", "b", "c"), classes=NAMES)
    return model.eval()


def test_draws_of_dropout_depend_on_seed_and_place_alone():
    model, values = with_dropout(), random_logits(100, 120)
    asked = dict(tile=32, dropout=3, uncertainty="spread", precision="float32")
    before = torch.random.get_rng_state()
    one = gl.predict(stack_of(values), model, batch_size=1, **asked)
    many = gl.predict(stack_of(values, chunks=(3, 17, 50)), model, batch_size=8, **asked)
    xr.testing.assert_allclose(one, many.compute(), atol=1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(each.training for each in model.modules())
    other = gl.predict(stack_of(values), model, seed=1, **asked)
    assert not np.allclose(other.probability, one.probability)
    assert float(one.spread.mean()) > 0.01


def test_an_ensemble_is_the_mean_of_its_members():
    scene, models = stack_of(random_logits(50, 50)), [model_of(), model_of(lambda x: -x)]
    both = gl.predict(scene, models, tile=32, precision="float32").probability
    each = [gl.predict(scene, model, tile=32, precision="float32").probability for model in models]
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, atol=1e-6)


def test_temperature_of_the_card_is_applied():
    values = random_logits(40, 40)
    found = gl.predict(stack_of(values), model_of(temperature=2.0), tile=32, precision="float32")
    np.testing.assert_allclose(found.probability, softmax(values / 2), atol=1e-5)


def test_classes_without_background_leave_its_code_alone():
    found = gl.predict(stack_of(random_logits(40, 40)), model_of(classes=("ice", "rock", "snow")), tile=32)
    assert found.class_map.attrs["flag_values"] == [1, 2, 3]
    assert set(np.unique(found.class_map)) <= {1, 2, 3}


def test_one_logit_is_the_sigmoid_of_the_named_class():
    model = model_of(lambda x: x[:, :1], classes=("glacier",))
    values = random_logits(40, 40)
    found = gl.predict(stack_of(values), model, tile=32, precision="float32")
    assert found["class"].values.tolist() == ["background", "glacier"]
    np.testing.assert_allclose(
        found.probability.sel({"class": "glacier"}), 1 / (1 + np.exp(-values[0])), atol=1e-6
    )
