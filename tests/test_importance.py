"""Layer importance: what one-channel, twin and linear models must give, by hand; and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from labeled import FLAGS, grid

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, MissingBandError, UnknownNameError
from glacierlab.samples import PatchSet

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from glacierlab.judge.attribution import baseline_of, importance  # noqa: E402
from glacierlab.models import Segmenter, build_model  # noqa: E402
from glacierlab.models.card import Card  # noqa: E402
from glacierlab.train import fit  # noqa: E402

BANDS = ("green", "red", "nir", "swir16")
CLASSES = ("background", "clean_ice")
SCORED = ("permute_tiles", "permute_pixels", "permute_others", "occlude")
torch.set_num_threads(1)


def noise(side=64, seed=0, bands=BANDS):
    """Independent uniform numbers in each band."""
    values = np.random.default_rng(seed).random((len(bands), side, side), dtype="float32")
    return scene_of(dict(zip(bands, values, strict=True)))


def scene_of(values):
    shape = next(iter(values.values())).shape
    scene = xr.Dataset({name: (("y", "x"), each) for name, each in values.items()}, grid(shape))
    return scene.rio.write_crs("EPSG:32632").assign_attrs(sensor="landsat_oli", radiometry="sr")


def patches_of(scene, ice, size=16, **options):
    """Patches of a scene and where its ice is (y, x) bool."""
    label = scene["red"].copy(data=np.asarray(ice, dtype="uint8")).assign_attrs(FLAGS)
    return PatchSet.from_scenes(scene, label, size=size, classes=list(CLASSES), **options)


def linear(weights, bias=0.0, features=BANDS, recipe=None):
    """A model of one logit, weights x features + bias at each pixel."""
    layer = nn.Conv2d(len(features), 1, 1)
    nn.init.constant_(layer.bias, bias)
    with torch.no_grad():
        layer.weight[0, :, 0, 0] = torch.tensor([weights.get(name, 0.0) for name in features])
    return made(layer, features, CLASSES[1:], recipe)


def made(network, features=BANDS, classes=CLASSES, recipe=None):
    model = Segmenter(network, "made", len(features), len(classes), {})
    model.card = Card(features=tuple(features), classes=tuple(classes), recipe=recipe)
    return model


def wide(table, name="clean_ice"):
    """Importances of a class, groups by methods."""
    rows = table[table["class"] == name]
    return rows.pivot(index="group", columns="method", values="importance")


ZERO = dict.fromkeys(BANDS, 0.0)


# ---- what must come out


def test_what_a_model_does_not_look_at_has_no_importance():
    scene = noise()
    patches = patches_of(scene, scene.red > 0.6)
    table = importance(
        linear({"red": 1.0}, -0.6), patches, method=[*SCORED, "integrated_gradients"], baseline=ZERO
    )
    assert table.columns.tolist() == ["method", "class", "group", "importance", "spread", "repeats"]
    for name in (*CLASSES, "mean"):
        found = wide(table, name)
        assert (found.drop("red") == 0).all(axis=None)
        assert (found.loc["red"] > 0.25).all()
    assert table.attrs["score"] == dict.fromkeys([*CLASSES, "mean"], 1.0)


def test_a_permuted_threshold_scores_as_chance_does():
    share = 0.3
    scene = noise(256)
    patches = patches_of(scene, scene.red > 1 - share, size=32)
    model = linear({"red": 1.0}, share - 1)
    table = importance(
        model, patches, method=SCORED, repeats=2, groups={"r": ["red"], "g": "green"}, baseline=ZERO
    )
    chance = {
        "clean_ice": share / (2 - share),
        "background": (1 - share) / (1 + share),
    }  # IoU, independent maps
    for name, expected in chance.items():
        found = wide(table, name).loc["r"]
        np.testing.assert_allclose(
            found[["permute_tiles", "permute_pixels", "permute_others"]], 1 - expected, atol=0.01
        )
    assert wide(table, "clean_ice").loc["r", "occlude"] == 1  # red 0 everywhere: no ice is found
    share_found = float((scene.red > 1 - share).mean())
    assert wide(table, "background").loc["r", "occlude"] == pytest.approx(share_found)  # IoU 1 - share


def test_importance_is_a_difference_of_the_asked_score():
    scene = noise()
    patches = patches_of(scene, scene.red > 0.5)
    model = linear({"red": 1.0, "nir": 0.4}, -0.7)
    found = importance(model, patches, method="occlude", metric="oa", groups={"nir": ["nir"]}, baseline=ZERO)
    right = lambda map: float((map == (scene.red > 0.5)).mean())
    expected = right(scene.red + 0.4 * scene.nir > 0.7) - right(scene.red > 0.7)
    assert wide(found).loc["nir", "occlude"] == pytest.approx(expected, abs=1e-3)  # float32 at the threshold
    assert found.attrs["metric"] == "oa"


def test_twins_share_their_importance():
    scene = noise()
    scene["nir"] = scene.red
    patches = patches_of(scene, scene.red > 0.5)
    groups = {"red": ["red"], "nir": ["nir"], "both": ["green"]}
    model = linear({"red": 0.5, "nir": 0.5}, -0.5)
    each = wide(importance(model, patches, groups=groups, method=["permute_tiles", "permute_others"]))
    both = wide(importance(model, patches, groups={"both": ["red", "nir"]}, method=["permute_tiles"]))
    assert each.loc["red"].tolist() == each.loc["nir"].tolist()
    assert 0.1 < each.loc["red", "permute_tiles"] < 0.8 * both.loc["both", "permute_tiles"]
    assert each.loc["red", "permute_others"] > 0.1


def test_tiles_keep_their_structure_and_pixels_do_not():
    tile = np.random.default_rng(0).random((16, 16), dtype="float32")
    scene = scene_of({name: np.tile(tile, (4, 4)) for name in BANDS})  # all patches are alike
    patches = patches_of(scene, scene.red > 0.5)
    found = wide(importance(linear({"red": 1.0}, -0.5), patches, method=SCORED[:2]))
    assert (found["permute_tiles"] == 0).all()
    assert found.loc["red", "permute_pixels"] > 0.5


def test_no_patch_is_its_own_partner():
    scene = scene_of({name: np.kron(np.arange(9.0, dtype="float32").reshape(3, 3), np.ones((8, 8), "float32"))
                      for name in BANDS})  # fmt: skip
    patches, seen = patches_of(scene, scene.red % 2, size=8), []

    class Watching(nn.Module):
        def forward(self, image):
            seen.append(image[:, :, 0, 0].clone())
            return torch.stack([image[:, 0], image[:, 1]], dim=1)

    importance(made(Watching()), patches, groups={"g": ["red", "nir"]}, repeats=4, batch_size=4)
    red, nir, green = (torch.cat(seen)[9:, BANDS.index(name)].view(4, 9) for name in ("red", "nir", "green"))
    assert (red != green).all()  # green stays
    assert torch.equal(red, nir)  # a group moves as one
    assert (red.sort(dim=1).values == torch.arange(9.0)).all()  # a permutation: each patch's once
    assert len({tuple(row) for row in red.tolist()}) == 4  # repeats differ


def test_every_patch_gets_pixels_of_its_own_with_their_group():
    scene = noise()
    scene["nir"] = 1 - scene.red
    patches, seen = patches_of(scene, scene.red > 0.5), []

    class Watching(nn.Module):
        def forward(self, image):
            seen.append(image.clone())
            return image[:, :2]

    groups = {"g": ["red", "nir"]}
    importance(made(Watching()), patches, groups=groups, method="permute_pixels", repeats=1)
    before, after = torch.cat(seen).unflatten(0, (2, 16)).numpy()
    np.testing.assert_allclose(after[:, 1] + after[:, 2], 1, rtol=1e-6)  # a group moves as one
    np.testing.assert_array_equal(after[:, [0, 3]], before[:, [0, 3]])
    assert len({tile.tobytes() for tile in after[:, 1]}) == 16
    assert np.isin(after[:, 1], before[:, 1]).all()


@pytest.mark.parametrize("method", [*SCORED, "integrated_gradients"])
def test_batches_and_the_order_of_groups_change_nothing(method):
    scene = noise()
    patches = patches_of(scene, scene.red + 0.3 * scene.nir > 0.6)
    model = linear({"red": 1.0, "nir": 0.5}, -0.7)
    options = dict(method=method, repeats=2, baseline=ZERO)
    one = importance(model, patches, groups={"a": ["red"], "b": ["nir", "green"]}, batch_size=1, **options)
    two = importance(model, patches, groups={"b": ["green", "nir"], "a": ["red"]}, batch_size=5, **options)
    by = ["group", "class"]
    columns = [*by, "importance", "spread"]
    one, two = (each.sort_values(by)[columns].reset_index(drop=True) for each in (one, two))
    (np.testing.assert_array_equal if method in SCORED else np.testing.assert_allclose)(
        one.importance, two.importance
    )
    other = importance(model, patches, groups={"a": ["red"], "b": ["nir", "green"]}, seed=1, **options)
    assert method in ("occlude", "integrated_gradients") or not np.array_equal(
        other.sort_values(by).importance, one.importance
    )


def test_pixels_are_drawn_where_something_is_known():
    from glacierlab.judge.permuting import pool_of

    scene = noise()
    scene["red"] = scene.red.where(scene.nir > 0.4)
    patches = patches_of(scene, scene.swir16 > 0.5, fill=99.0)
    pool = pool_of(patches, seed=0)
    assert len(pool) == int((scene.nir > 0.4).sum())  # fewer than asked: all of them
    assert pool.max() < 1
    many = patches_of(noise(512), np.arange(512 * 512).reshape(512, 512) % 2, size=64)
    assert abs(len(pool_of(many, seed=0)) - 65536) < 64


def test_groups_are_those_of_the_recipe():
    scene = gl.synthetic_scene(seed=1, shape=(64, 64))
    recipe = gl.Recipe(["red", "nir", "ndsi", "pca:2"]).fit(scene)
    patches = patches_of(scene, scene.truth == 1, size=32, layers=recipe)
    model = linear({"ndsi": 1.0}, 0.0, recipe.features, recipe.to_json())
    found = wide(importance(model, patches, method="occlude"))  # the baseline is 0, the recipe normalizes
    assert found.index.tolist() == sorted(["optical", "indices", "pca"])
    assert found.drop("indices").eq(0).all(axis=None)
    assert found.loc["indices"].gt(0).all()


# ---- integrated gradients


def test_gradients_of_a_linear_model_are_its_products():
    scene = noise()
    patches = patches_of(scene, scene.red > 0.5)
    start = {"green": 0.5, "red": 0.25, "nir": -1.0, "swir16": 0.0}
    weights = {"green": -3.0, "red": 1.0, "nir": 0.5}
    table = importance(
        linear(weights, 7.0), patches, method="integrated_gradients", baseline=start, steps=3,
        groups={"visible": ["green", "red"], "nir": ["nir"]},
    )  # fmt: skip
    for name, where in (("clean_ice", scene.red > 0.5), ("background", scene.red <= 0.5)):
        each = {
            band: float(abs(weight * (scene[band] - start[band])).where(where).mean())
            for band, weight in weights.items()
        }
        found = wide(table, name)["integrated_gradients"]
        assert found["visible"] == pytest.approx(each["green"] + each["red"], rel=1e-5)
        assert found["nir"] == pytest.approx(each["nir"], rel=1e-5)
        assert table.attrs["incompleteness"][name] < 1e-5


def test_gradients_of_a_product_are_half_of_it_each():
    class Product(nn.Module):
        def forward(self, image):
            return image[:, :1] * image[:, 1:2]

    scene = noise()
    patches = patches_of(scene, scene.red > 0.5)
    table = importance(
        made(Product(), classes=CLASSES[1:]), patches, method="integrated_gradients", baseline=ZERO
    )
    half = float((scene.green * scene.red).where(scene.red > 0.5).mean()) / 2
    found = wide(table)["integrated_gradients"]
    assert found[["green", "red"]].tolist() == pytest.approx([half, half], rel=1e-5)
    assert found[["nir", "swir16"]].tolist() == [0, 0]


def small_net(gain=1.0):
    torch.manual_seed(0)
    first, second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    net = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.Softplus(), nn.Conv2d(8, 2, 1))
    with torch.no_grad():
        second.weight *= gain
    return made(net)


def test_attributions_of_a_network_are_complete():
    scene = noise()
    patches = patches_of(scene, scene.red > 0.5)
    model = small_net()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    table = importance(model, patches, method="integrated_gradients", baseline=ZERO, steps=64)
    assert max(table.attrs["incompleteness"].values()) < 0.01
    assert all(each.requires_grad and each.grad is None for each in model.parameters())  # as before
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    with pytest.warns(DataWarning, match=r"miss more than 1 %.*raise steps=1"):
        importance(small_net(30.0), patches, method="integrated_gradients", baseline=ZERO, steps=1)


# ---- training again


def test_dropping_the_group_that_tells_costs_the_score():
    scene = noise(seed=3)
    patches = patches_of(scene, scene.red > 0.5).split(by="random", leaks=True)
    test = patches.subset("test")
    model = build_model("random_forest", 4, 2, n_estimators=5, min_samples_leaf=5)
    settings = dict(progress=False)
    model = fit(model, patches, seed=1, **settings).model
    asked = dict(
        method="drop_group", train=patches, fit=settings, repeats=2, groups={"red": ["red"], "rest": ["nir"]}
    )
    found = importance(model, test, **asked)
    assert wide(found).loc["red", "drop_group"] > 0.4
    assert abs(wide(found).loc["rest", "drop_group"]) < 0.1
    assert (found.repeats == 2).all()
    assert found.attrs["passes"] == 7  # as it is, and twice with all and without each of two groups
    assert importance(model, test, **asked).equals(found)
    model.network.share.copy_(model.network.share.flip(1))  # what the given weights are does not matter
    again = importance(model, test, **asked)
    assert again.importance.equals(found.importance)
    assert again.attrs["score"]["mean"] < 0.1 < found.attrs["score"]["mean"]


# ---- refused


def asked_wrongly():
    linear_red = linear({"red": 1.0}, -0.5)
    return [
        (linear_red, {"method": "permute"}, UnknownNameError, "Unknown method of importance 'permute'"),
        (linear_red, {"metric": "IoU"}, UnknownNameError, "Unknown metric 'IoU'. Known: f1, iou"),
        (linear_red, {"groups": {"a": ["reed"]}}, UnknownNameError, "Did you mean 'red'"),
        (linear_red, {"groups": {"a": ["red"], "b": ["red"]}}, GlacierlabError, "in two groups"),
        (linear_red, {"groups": {"a": []}}, GlacierlabError, "hold no feature"),
        (linear_red, {"groups": ["red"]}, GlacierlabError, "give a dict"),
        (linear_red, {"repeats": 0}, GlacierlabError, "repeats=0"),
        (linear_red, {"method": "occlude"}, GlacierlabError, "not normalized"),
        (linear_red, {"method": "occlude", "baseline": {"red": 1}}, GlacierlabError, "no number for 'green'"),
        (linear_red, {"method": "drop_group"}, GlacierlabError, "give train="),
        (
            linear_red,
            {"method": "integrated_gradients", "baseline": ZERO, "steps": 0},
            GlacierlabError,
            "steps=0",
        ),
        (linear({}, 0, ("blue",)), {}, MissingBandError, "blue"),
    ]


@pytest.mark.parametrize(("model", "options", "error", "message"), asked_wrongly())
def test_bad_input_is_told(model, options, error, message):
    scene = noise(32)
    with pytest.raises(error, match=message):
        importance(model, patches_of(scene, scene.red > 0.5), **options)


def test_one_patch_has_no_partner():
    scene = noise(16)
    with pytest.raises(GlacierlabError, match="One patch has no other"):
        importance(linear({"red": 1.0}), patches_of(scene, scene.red > 0.5))


def test_a_forest_has_no_gradients():
    scene = noise(32)
    patches = patches_of(scene, scene.red > 0.5)
    model = build_model("random_forest", 4, 2, n_estimators=2)
    pixels = np.stack([scene[name].values.ravel() for name in BANDS], axis=1)
    model.options |= model.network.learn(pixels, (pixels[:, 1] > 0.5).astype(int))
    model.card = Card(features=BANDS, classes=CLASSES)
    with pytest.raises(GlacierlabError, match="'random_forest' has no gradients"):
        importance(model, patches, method="integrated_gradients", baseline=patches)


def test_what_a_recipe_leaves_as_it_is_gets_its_mean_and_not_0():
    scene = noise().assign(cast_shadow=(("y", "x"), (np.random.default_rng(5).random((64, 64)) < 0.75) * 1.0))
    patches = patches_of(scene, scene.red > 0.5, layers=["red", "cast_shadow"])
    recipe = gl.Recipe(["red", "ndsi"]).fit(noise())
    given = linear({"cast_shadow": 1.0}, -0.5, patches.features, recipe.to_json())
    values = baseline_of(
        SimpleNamespace(baseline=None, patches=patches, model=given, features=patches.features)
    )
    shadow = np.mean([image[1].mean() for image, _ in patches])
    assert values == {"red": 0.0, "cast_shadow": pytest.approx(shadow)}
    assert 0.7 < shadow < 0.8


def test_encoders_that_know_channels_by_name_are_trained_again_without_some():
    scene = noise(side=32)
    patches = patches_of(scene, scene.red > 0.5).split(by="random", leaks=True)
    options = dict(encoder_name="resnet18", features=list(BANDS))
    model = build_model("unet_resnet18", 4, 2, **options)
    model.card = Card(features=BANDS, classes=CLASSES)
    settings = dict(progress=False, max_epochs=1, accelerator="cpu")
    groups = {"red": ["red"]}
    found = importance(
        model,
        patches.subset("test"),
        method="drop_group",
        train=patches,
        fit=settings,
        repeats=1,
        groups=groups,
    )
    assert found.importance.notna().any()
