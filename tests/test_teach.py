"""Verdicts and hints of the exercises."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import UnknownNameError
from glacierlab.teach import feature_stacks

ALWAYS = {"right", "type"}  # findings that every exercise knows


@pytest.fixture
def reference(made):
    return gl.vectorize(made.truth).query("`class` != 'glacial_lake'")


@pytest.fixture
def ramp():
    """A made NDSI from 0 to 1, and a reference that is glacier exactly above 0.605: hand-made truth."""
    ndsi = xr.DataArray(
        np.linspace(0, 1, 1001, dtype="float32")[None], dims=("y", "x"), attrs={"radiometry": "sr"}
    )
    return ndsi, (ndsi > 0.605).astype("uint8")


def test_every_exercise_has_texts_and_a_function():
    assert set(teach.EXERCISES) == {judge.__name__ for judge in teach.JUDGES.values()}
    assert all(set(texts) >= ALWAYS for texts in teach.EXERCISES.values())


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown exercise '4\.2'\. Did you mean '04.2'"):
        gl.teach.check("4.2", 1)


def test_a_verdict_is_true_or_false_and_reads_as_a_sentence():
    right, wrong = teach.Verdict(True, "a < b"), teach.Verdict(False, "Look again.")
    assert right
    assert not wrong
    assert repr(wrong) == "Not yet. Look again."
    assert "<b>Right.</b> a &lt; b</div>" in right._repr_html_()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("swir16", "Right. swir16 it is"),
        ("swir1", "Right. swir16 it is"),  # an alias
        ("nir", "Not yet. In nir the glaciers send back"),
        ("blau", "Not yet. There is no band 'blau'"),
        (6, "Not yet. A band is named by text"),
    ],
)
def test_darkest_band(made, reference, answer, expected):
    bands = made[["green", "red", "nir", "swir16"]]
    assert repr(gl.teach.check("01.1", answer, bands, reference)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.605, "Right."),
        (np.float32(0.6), "Right."),
        (0.4, "Not yet. 0.4 is too low"),
        (xr.DataArray(0.9), "Not yet. 0.9 is too high"),
        ("high", "Not yet. A threshold is a number"),
        (None, "Not yet. A threshold is a number"),
        (np.nan, "Not yet. A threshold is a number"),
    ],
)
def test_ndsi_threshold(ramp, answer, expected):
    assert repr(gl.teach.check("01.2", answer, *ramp)).startswith(expected)


def test_ndsi_threshold_accepts_the_curve_itself(ramp):
    assert gl.teach.check("01.2", gl.best_threshold(*ramp, np.arange(0, 1, 0.05)), *ramp)


def test_better_outlines(made, reference):
    lesson = gl.map_glaciers(made.where(made.x > made.x[20]))["class_map"]  # some of it is not observed
    judge = lambda answer: repr(gl.teach.check("01.3", answer, lesson, reference))
    assert judge(reference).startswith("Right. F1 is 1.000 with yours")
    assert judge(gl.vectorize(lesson)).startswith("Not yet. These score just as")
    assert judge(reference.iloc[-1:]).startswith("Not yet. F1 is 0.0")
    assert judge(lesson).startswith("Not yet. Give outlines")


# ---- what lesson 2 measures


@pytest.fixture(scope="module")
def lesson():
    """The made scene of lesson 2, its glaciers, debris and ground."""
    scene = gl.synthetic_scene(seed=2)
    glacier = scene.truth.isin([1, 2])
    return scene, glacier, *teach.debris_and_ground(scene, glacier)


@pytest.fixture(scope="module")
def next_scene():
    """The scene that lesson 2 replays its recipe on."""
    return gl.synthetic_scene(seed=3)


def table_of(**kinds):
    """A table of `pixels` by hand."""
    return pd.concat({kind: pd.DataFrame(values) for kind, values in kinds.items()}, names=["kind", "pixel"])


def test_debris_is_bare_and_on_the_glacier_and_ground_is_bare_and_near(lesson):
    scene, glacier, debris, ground = lesson
    assert float((scene.truth == 2).where(debris).mean()) > 0.9
    assert not (ground & glacier).any()
    assert float((ground & (scene.truth != 0)).sum()) < 0.01 * float(ground.sum())
    assert float(scene.glacier.index("ndsi").where(debris | ground).max()) < 0.2
    assert float(scene.glacier.index("ndvi").where(debris | ground).max()) < 0.2


def test_ground_lies_within_a_distance_in_meters():
    scene = xr.Dataset(
        {name: (("y", "x"), np.full((3, 60), 0.2)) for name in ("green", "red", "nir", "swir16")},
        coords={"y": [20.0, 10.0, 0.0], "x": 10.0 * np.arange(60)},
    ).rio.write_crs("EPSG:32645")
    glacier = (scene.x == 200) & (scene.red > 0)
    _, ground = teach.debris_and_ground(scene, glacier, within_m=100)
    assert ground.x[ground[1]].values.tolist() == [*range(100, 200, 10), *range(210, 310, 10)]
    nothing = glacier & False
    assert not any(mask.any() for mask in teach.debris_and_ground(scene, nothing))


def test_pixels_are_a_row_each_and_unobserved_ones_left_out(made):
    stack = made.glacier.stack(["red", "slope"])  # slope is NaN on the rim
    masks = {"here": made.truth == 1, "there": made.truth == 2}
    table = teach.pixels(stack, **masks)
    assert list(table) == ["red", "slope"]
    for kind, mask in masks.items():
        seen = mask & stack.notnull().all("feature")
        np.testing.assert_array_equal(table.loc[kind, "red"], made.red.values[seen.values])
    pd.testing.assert_frame_equal(
        teach.pixels(stack.chunk(y=50).transpose("x", "y", "feature"), **masks), table
    )


def test_separation_by_hand_and_by_scikit_learn():
    table = table_of(a={"f": [1.0, 2, 3], "g": [1.0, 1, 1]}, b={"f": [0.0, 2, 9], "g": [1.0, 1, 1]})
    # of nine pairs, a is above in 1>0, 2>0, 3>0, 3>2 and level in 2=2: 4.5, a coin
    assert teach.separation(table).to_dict() == {"f": 0.5, "g": 0.5}
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    table = table_of(a={"f": rng.normal(size=300)}, b={"f": rng.normal(1, size=200)})
    expected = metrics.roc_auc_score(table.index.get_level_values("kind") == "b", table.f)
    assert teach.separation(table).f == pytest.approx(expected)


def test_separation_does_not_ask_which_way_round_nor_how_features_are_scaled():
    rng = np.random.default_rng(2)
    table = table_of(a={"f": rng.normal(size=50)}, b={"f": rng.normal(1, size=70)})
    for other in (-table, np.exp(table), table[::-1]):
        assert teach.separation(other).f == pytest.approx(teach.separation(table).f)


def test_together_is_scikit_learns_discriminant():
    discriminant = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    rng = np.random.default_rng(3)
    mix = np.array([[1.0, 0.9], [0.0, 0.3]])  # features that say little alone and much together
    made = lambda: table_of(
        **{k: dict(zip("fg", (rng.normal(size=(500, 2)) @ mix + at).T, strict=True))
           for k, at in (("a", (0, 0)), ("b", (0, 0.6)))}
    )  # fmt: skip
    table, other = made(), made()
    known = table.index.get_level_values("kind")
    projected = other[[]].assign(sum=discriminant(solver="eigen").fit(table, known).transform(other))
    assert feature_stacks.together(table, other) == pytest.approx(
        teach.separation(projected).item(), abs=1e-3
    )
    assert feature_stacks.together(table, other) > teach.separation(other).max()


def test_together_minds_no_constant_feature():
    table = table_of(a={"f": [0.0, 1, 2], "c": [1.0] * 3}, b={"f": [3.0, 4, 5], "c": [1.0] * 3})
    assert feature_stacks.together(table, table) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("green", "red"), "Right. green and red it is"),
        (["blue", "green"], "Right. blue and green it is"),  # as alike, nearly
        (("red", "swir1"), "Not yet. The correlation of red and swir16 is -0."),
        (("red", "red"), "Not yet. Name two different bands of these: blue, green, red, swir16."),
        (("red", "nir"), "Not yet. Name two different bands of these"),
        (("red", "blue", "green"), "Not yet. Name two different bands"),
        ("red", "Not yet. Give two names"),
        ((1, 2), "Not yet. Give two names"),
        (None, "Not yet. Give two names"),
    ],
)
def test_alike_bands(made, answer, expected):
    bands = made.glacier.stack(["blue", "green", "red", "swir16"])
    assert repr(gl.teach.check("02.1", answer, bands)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (11, "Right. With 11 pixels a side"),
        (np.int64(11), "Right."),
        (3, "Not yet. 3 pixels a side are too few"),
        (31, "Not yet. 31 pixels a side are too many"),
        (8, "Not yet. A window of 8 pixels has no middle pixel"),
        (1, "Not yet. A window is a whole odd number"),
        (7.5, "Not yet. A window is a whole odd number"),
        (1001, "Not yet. A window is a whole odd number"),
        ("wide", "Not yet. A window is a whole odd number"),
    ],
)
def test_texture_window(lesson, answer, expected):
    scene, _, debris, ground = lesson
    assert repr(gl.teach.check("02.2", answer, scene.nir, debris, ground)).startswith(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["glcm:nir:homogeneity", "slope", "ndsi"], "Right. The separation is 0.9"),
        (("slope", "glcm:nir:homogeneity"), "Not yet. These separate just as"),
        (["cast_shadow"], "Not yet. The separation is 0.5"),
        (["pca:4"], "Not yet. These make 4 features (pc1, pc2, pc3, pc4)"),
        (["slop"], "Not yet. That stack cannot be made. Unknown layer 'slop'. Did you mean 'slope'"),
        (["truth"], "Not yet. That stack cannot be made. "),
        (["slope", "slope"], "Not yet. That stack cannot be made. ['slope'] would come twice"),
        ([], "Not yet. That stack cannot be made. "),
        ("slope", "Not yet. Give a list of layer names"),
        ([1], "Not yet. Give a list of layer names"),
    ],
)
def test_better_stack(lesson, next_scene, answer, expected):
    scene, glacier, *_ = lesson
    given = (scene, glacier), (next_scene, next_scene.truth.isin([1, 2]))
    judged = gl.teach.check("02.3", answer, ["glcm:nir:homogeneity", "slope"], *given)
    assert repr(judged).startswith(expected)


def texture_of_light(scene, debris, ground):
    """What the homogeneity of the hillshade separates."""
    light = scene.elevation.glacier.terrain("hillshade").squeeze("feature", drop=True)
    seen = light.glacier.glcm(["homogeneity"])
    return teach.separation(teach.pixels(seen, debris=debris, ground=ground)).item()


def test_what_lesson_1_says_of_the_made_scene():
    scene = gl.synthetic_scene(seed=30)
    reference = gl.vectorize(scene.truth).query("`class` != 'glacial_lake'")
    curve = gl.best_threshold(scene.glacier.ratio("red", "swir16"), reference, np.arange(1, 10.1, 0.25))
    assert 1.25 <= curve.stable[0] < 2.0 < curve.stable[1] < 6  # the published one, on the flat part
    low, high = gl.best_threshold(scene.glacier.index("ndsi"), reference, np.linspace(0, 1, 51)).stable
    assert 0.1 < low < 0.4 < high
    mapped = gl.map_glaciers(scene)["class_map"] == 1
    glacier = scene.truth.isin([1, 2])
    missed, wrong = glacier & ~mapped, mapped & ~glacier
    assert float((scene.truth == 2).where(missed).mean()) > 0.7  # debris is most of what is missed
    share = lambda kind: float(kind.where(wrong).mean())
    assert share(scene.truth == 3) > 0.4  # lakes are most of what is wrong
    assert share((scene.truth == 0) & (scene.blue > 0.3)) > 0.07  # late snow
    assert share((scene.truth == 0) & (scene.blue < 0.08)) > 0.1  # shadow


def test_what_lesson_2_says_of_the_made_scene(lesson):
    scene, _, debris, ground = lesson
    bands = ["blue", "green", "red", "nir", "swir16", "swir22"]
    names = [*bands, "ndsi", "ndvi", "pca:3", "tasseled_cap", "slope", "tpi", "profile_curvature"]
    stack = scene.glacier.stack([*names, "glcm:nir:homogeneity"], pca_bands=bands)
    found = teach.separation(teach.pixels(stack, debris=debris, ground=ground))
    sums = found[["ndsi", "ndvi", "tasseled_cap:greenness", "tasseled_cap:wetness"]]
    assert found.index[:2].tolist() == ["slope", "glcm:nir:homogeneity"]
    assert found["slope"] > 0.85 > found["glcm:nir:homogeneity"] > 0.73 > sums.max()
    assert sums.min() > found[bands].max() + 0.01
    assert found[[*bands, "pc1", "pc2", "pc3", "tpi", "profile_curvature"]].max() < 0.62
    light = texture_of_light(scene, debris, ground)
    assert light > found["glcm:nir:homogeneity"] + 0.05  # the shape of the ground, not the stones
    assert light == pytest.approx(found["slope"], abs=0.04)
    assert gl.features.expected_coherence(25) == pytest.approx(0.18, abs=0.005)


def test_what_lesson_2_says_of_athabasca(athabasca, athabasca_outline):
    debris, ground = teach.debris_and_ground(athabasca, gl.scores.burn(athabasca_outline, athabasca.red))
    stack = athabasca.glacier.stack(["swir16", "slope", "glcm:nir:homogeneity"])
    found = teach.separation(teach.pixels(stack, debris=debris, ground=ground))
    light = texture_of_light(athabasca, debris, ground)
    assert found["slope"] > found["swir16"] > 0.75 > light > found["glcm:nir:homogeneity"]
