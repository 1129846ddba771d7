"""Baselines under the interface of networks, against scikit-learn and the sweep of scenes."""

import json
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, MissingBandError, UnknownNameError

torch = pytest.importorskip("torch")
ensemble = pytest.importorskip("sklearn.ensemble")
from glacierlab.models import build_model  # noqa: E402

CLASSES = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
WIDE = np.arange(15, 120, 2) / 10


@lru_cache
def scene():
    return gl.synthetic_scene(seed=1, shape=(96, 128))


def pixels_of(stack):
    """Observed pixels (n, feature) and labels of the scene."""
    values, labels = stack.values.reshape(len(stack), -1).T, scene().truth.values.ravel()
    seen = np.isfinite(values).all(axis=1) & (labels != 255)
    return np.ascontiguousarray(values[seen]), labels[seen].astype("int64")


def learned(name, stack, classes=CLASSES, relabel=lambda labels: labels, logits=None, **options):
    model = build_model(name, len(stack), logits or len(classes), **options)
    pixels, labels = pixels_of(stack)
    names = stack.feature.values.tolist()
    model.options |= model.network.learn(pixels, relabel(labels), features=names, classes=classes, seed=0)
    return model.eval()


def mapped(model, stack):
    """Class codes (y, x) by a model."""
    image = torch.as_tensor(np.nan_to_num(stack.values))[None]
    return model.probabilities(image)[0].argmax(dim=0).numpy()


def rebuilt(model):
    """The model again, from what a file would hold of it."""
    options = json.loads(json.dumps(model.options))
    with torch.device("meta"):
        again = build_model(model.name, model.in_channels, model.classes, **options)
    stored = {key: value.clone() for key, value in model.state_dict().items()}
    again.load_state_dict(stored, strict=True, assign=True)
    return again.eval()


# ---- thresholds


def test_the_threshold_is_that_of_the_sweep_of_scenes():
    ratio = scene().glacier.ratio("red", "swir16")
    reference = (scene().truth == 1).where(scene().truth != 255).astype("float32")
    curve = gl.best_threshold(ratio, reference, WIDE)
    stack = scene().glacier.stack(["nir", "red", "swir16"])
    model = learned("band_ratio", stack, grid=WIDE.tolist())
    assert model.network.threshold.item() == np.float32(curve.best)
    assert model.network.channels == [1, 2]
    expected = gl.threshold(ratio, curve).values
    np.testing.assert_array_equal(mapped(model, stack)[expected != 255], expected[expected != 255])


def test_chens_sweep_is_the_default_and_a_sweep_warns_at_its_end():
    stack = scene().glacier.stack(["red", "swir16"])
    curve = gl.best_threshold(scene().glacier.ratio("red", "swir16"), scene().truth == 1)
    assert learned("band_ratio", stack).network.threshold.item() == np.float32(curve.best)
    with pytest.warns(DataWarning, match="end of the sweep"):
        learned("band_ratio", stack, grid=[50, 60, 70])


@given(
    values=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40),
    above=st.booleans(),
)
def test_no_step_of_the_sweep_has_a_better_f1(values, above):
    values, positive = (np.array(each) for each in zip(*values, strict=True))
    if not 0 < positive.sum() < len(positive):
        return
    grid = [1.0, 4.0, 7.0, 8.0, 11.0]
    model = build_model("single_band", 1, 1, band="b", above=above, grid=grid)
    pixels = values[:, None].astype("float32")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("glacierlab.models.thresholds.warn", lambda message: None)
        model.network.learn(pixels, positive.astype(int), features=["b"], classes=["glacier"])

    def f1(step):
        found = values > step if above else values < step
        tp = (found & positive).sum()
        return 2 * tp / (found.sum() + positive.sum())

    scores = [f1(step) for step in grid]
    assert model.network.threshold.item() == grid[int(np.argmax(scores))]
    logits = model(torch.as_tensor(pixels).T[None, :, None])[0, 0, 0].detach().numpy()
    found = values > model.network.threshold.item() if above else values < model.network.threshold.item()
    np.testing.assert_array_equal(logits > 0, found)  # a pixel at the threshold is below it, never at 0
    assert (logits != 0).all()


def test_a_normalized_ratio_finds_the_threshold_of_the_ratio():
    recipe = gl.Recipe(["red", "swir16", "red/swir16"]).fit(scene())
    stack, plain = recipe.apply(scene()), scene().glacier.ratio("red", "swir16")
    model = learned("band_ratio", stack)
    assert model.network.channels == [2]
    normal = recipe.fitted.normalizer
    bounded = model.network.threshold.item() * normal.scale["red/swir16"] + normal.mean["red/swir16"]
    expected = gl.threshold(plain, (1 + bounded) / (1 - bounded)).values
    seen = expected != 255
    assert (mapped(model, stack)[seen] == expected[seen]).mean() > 0.9999  # but for rounding at the threshold
    best = gl.best_threshold(plain, scene().truth == 1, np.arange(1.5, 60, 0.1)).table.f1.max()
    found = gl.score(plain > (1 + bounded) / (1 - bounded), scene().truth == 1, boundary=False)
    assert found.f1["glacier"] > best - 0.01  # percentiles are no coarser than that


def test_a_ratio_of_normalized_bands_is_refused():
    stack = gl.Recipe(["red", "swir16"]).fit(scene()).apply(scene())
    with pytest.raises(GlacierlabError, match=r"normalized.*'red/swir16'"):
        learned("band_ratio", stack)


@pytest.mark.parametrize("name", ["band_ratio", "random_forest"])
def test_classes_drawn_more_often_than_others_count_no_more(name):
    pixels, labels = pixels_of(scene().glacier.stack(["red", "swir16"]))
    rare = np.concatenate([np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)[::25]])
    counts, learned = np.bincount(labels), []
    options = dict(grid=[0.1, *np.arange(0.3, 12, 0.1).tolist()])
    if name == "random_forest":
        options = dict(class_weight=None, n_estimators=3, max_depth=1)
    for some, known in ((slice(None), None), (rare, None), (rare, counts)):
        network = build_model(name, 2, 4, **options).network
        network.learn(pixels[some], labels[some], features=["red", "swir16"], classes=CLASSES, counts=known)
        value = network.threshold if name == "band_ratio" else network.share[:, 1].mean()
        learned.append(value.item())
    whole, biased, weighted = learned
    assert abs(weighted - whole) < abs(biased - whole) / 3


def test_only_its_class_and_background_are_mapped():
    stack = scene().glacier.stack(["red", "nir", "swir16"])
    for target, place in (("clean_ice", 1), ("glacial_lake", 3)):
        model = learned("single_band", stack, target=target)
        assert set(np.unique(mapped(model, stack))) == {0, place}
        assert model.options["places"] == [0, place]
    snow = learned("single_band", stack, ("bare_ice", "snow"), lambda labels: (labels == 1).astype(int))
    assert snow.options["places"] == [0, 1]


def test_one_logit_is_the_second_of_two():
    stack = scene().glacier.stack(["red", "swir16"])
    ice = lambda labels: (labels == 1).astype(int)
    one = learned("band_ratio", stack, ("glacier",), ice, grid=WIDE.tolist())
    two = learned("band_ratio", stack, ("background", "glacier"), ice, grid=WIDE.tolist())
    image = torch.as_tensor(np.nan_to_num(stack.values))[None]
    torch.testing.assert_close(one.probabilities(image), two.probabilities(image))


def test_a_known_threshold_is_kept():
    stack = scene().glacier.stack(["red", "swir16"])
    assert learned("band_ratio", stack, threshold=2.0).network.threshold.item() == 2.0
    ready = build_model("band_ratio", 2, 2, threshold=2.0, channels=[0, 1], places=[0, 1]).eval()
    image = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.0]), torch.tensor([0.26, 0.25, 0.24, -0.01, 0.0])
    found = ready(torch.stack(image)[None, :, None]).argmax(dim=1).ravel().tolist()
    assert found == [0, 0, 1, 1, 0]  # exactly 2 is not above 2; no value (0, 0) is background


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"numerator": "green"}, MissingBandError, r"\['green', 'swir16'\] or 'green/swir16'.*\['red'"),
        ({"target": "clean-ice"}, UnknownNameError, "Did you mean 'clean_ice'"),
    ],
)
def test_bad_threshold_options_are_told(options, error, message):
    with pytest.raises(error, match=message):
        learned("band_ratio", scene().glacier.stack(["red", "swir16"]), **options)


def test_a_class_that_no_pixel_has_is_told():
    stack = scene().glacier.stack(["red", "swir16"])
    with pytest.raises(GlacierlabError, match=r"0 of .* training pixels are of the mapped class"):
        learned("band_ratio", stack, relabel=np.zeros_like)
    with pytest.raises(GlacierlabError, match="Say target="):
        learned("single_band", scene().glacier.stack(["nir"]), ("rock", "snow", "ice"))


# ---- the forest


def grown(pixels, labels, classes=3, **options):
    model = build_model("random_forest", pixels.shape[1], classes, **options)
    forest = ensemble.RandomForestClassifier(
        options.get("n_estimators", 100), class_weight="balanced", random_state=5, n_jobs=1,
        **{key: value for key, value in options.items() if key != "n_estimators"},
    )  # fmt: skip
    model.options |= model.network.learn(pixels, labels, features=None, classes=None, seed=5)
    return model.eval(), forest.fit(pixels, labels)


def probabilities(model, pixels):
    """Of pixels (n, features), as an image of one row."""
    return model.probabilities(torch.as_tensor(pixels).T[None, :, None])[0, :, 0].T.numpy()


@pytest.mark.parametrize("options", [{}, {"max_depth": 4}, {"min_samples_leaf": 9}, {"max_leaf_nodes": 7}])
def test_probabilities_are_those_of_scikit_learn(options):
    random = np.random.default_rng(0)
    pixels = random.normal(size=(700, 5)).astype("float32").round(1)  # many equal values, many on thresholds
    labels = (pixels[:, 0] + pixels[:, 1] * pixels[:, 2] + random.normal(size=700) > 0).astype(int)
    labels[pixels[:, 3] > 1] = 2
    model, forest = grown(pixels, labels, **options)
    thresholds = np.concatenate(
        [tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_]
    )
    near = random.choice(thresholds, (400, 5)).astype("float32")  # rounded up or down to float32
    beside = np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))
    for some in (pixels, random.normal(size=(500, 5)).astype("float32") * 3, near, *beside):
        np.testing.assert_allclose(probabilities(model, some), forest.predict_proba(some), rtol=0, atol=1e-6)


def test_thresholds_are_rounded_down():
    from glacierlab.models.forest import rounded_down

    exact = np.array([0.1, -0.1, 1 / 3, 0.5, 1e-300, -1e-300, 7.0])
    down = rounded_down(exact)
    assert down.dtype == np.float32
    assert (down <= exact).all()
    assert (np.nextafter(down, np.float32(np.inf)) > exact).all()


def test_a_forest_keeps_every_place_of_a_batch(monkeypatch):
    random = np.random.default_rng(1)
    pixels = random.normal(size=(300, 4)).astype("float32")
    model, forest = grown(pixels, (pixels[:, 0] > 0).astype(int), classes=2, n_estimators=7)
    images = random.normal(size=(3, 4, 5, 6)).astype("float32")
    expected = forest.predict_proba(np.moveaxis(images, 1, -1).reshape(-1, 4)).reshape(3, 5, 6, 2)
    for chunk in (1 << 16, 7):  # any chunk, the same
        monkeypatch.setattr("glacierlab.models.forest.PIXELS", chunk)
        found = model.probabilities(torch.as_tensor(images)).numpy()
        np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, atol=1e-6)


def test_one_logit_of_a_forest_is_the_second_of_two():
    random = np.random.default_rng(2)
    pixels = random.normal(size=(200, 3)).astype("float32")
    labels = (pixels[:, 0] + random.normal(size=200) > 0.3).astype(int)
    one, forest = grown(pixels, labels, classes=1, n_estimators=9, min_samples_leaf=5)
    assert one(torch.zeros(1, 3, 2, 2)).shape == (1, 1, 2, 2)
    np.testing.assert_allclose(probabilities(one, pixels), forest.predict_proba(pixels), atol=1e-6)


def test_a_class_without_pixels_has_no_probability():
    random = np.random.default_rng(3)
    pixels = random.normal(size=(100, 2)).astype("float32")
    model, forest = grown(pixels, np.where(pixels[:, 0] > 0, 3, 1), classes=4, n_estimators=5)
    found = probabilities(model, pixels)
    np.testing.assert_allclose(found[:, [1, 3]], forest.predict_proba(pixels), atol=1e-6)
    assert found[:, [0, 2]].max() < 1e-6


# ---- both


@pytest.mark.parametrize("name", ["band_ratio", "single_band", "random_forest"])
def test_options_and_tensors_rebuild_the_model(name):
    stack = scene().glacier.stack(["red", "nir", "swir16"])
    options = dict(n_estimators=4, max_depth=6) if name == "random_forest" else dict(grid=WIDE.tolist())
    if name == "single_band":
        options = {}
    model = learned(name, stack, **options)
    image = torch.as_tensor(np.nan_to_num(stack.values))[None, :, :33, :17]
    torch.testing.assert_close(rebuilt(model)(image), model(image), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["band_ratio", "single_band", "random_forest"])
def test_what_was_not_learned_says_so(name):
    with pytest.raises(GlacierlabError, match=r"not .* yet: gl.fit\(model, patches\)"):
        build_model(name, 3, 2)(torch.zeros(1, 3, 4, 4))


def test_a_forest_beats_a_ratio_where_ice_is_under_debris():
    stack = scene().glacier.stack(["red", "nir", "swir16", "ndsi"])
    forest = learned("random_forest", stack, n_estimators=20, min_samples_leaf=5)
    ratio = learned("band_ratio", stack, grid=WIDE.tolist())
    debris = scene().truth.values == 2
    assert (mapped(ratio, stack)[debris] != 2).all()
    assert (mapped(forest, stack)[debris] == 2).mean() > 0.5
