"""Augmentation: exact moves by what layers mean, the group's laws, bands that stay physical, papers' sets."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import glacierlab as gl
from glacierlab.errors import GlacierlabError, GridError, UnknownNameError
from glacierlab.samples.augment import Augmentation, bands_of, drop, jitter, offline, random_clip
from glacierlab.samples.moves import MOVES, compose, inverse, move
from glacierlab.tables import AUGMENTATIONS

MIXED = ["red", "aspect_sin", "slope", "aspect_cos", "phase_sin", "contrast_0", "contrast_45", "contrast_90",
         "contrast_135"]  # fmt: skip
BANDS = ["blue", "red", "nir", "swir16", "slope", "coherence"]
ASPECT = ["aspect_sin", "aspect_cos"]
names = st.sampled_from(sorted(MOVES))
seeds = st.integers(0, 2**32)


def sample(features, shape=(8, 8), seed=0):
    """An image and a label in which no value comes twice."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(len(features) * np.prod(shape)).reshape(-1, *shape).astype("float32") + 1
    return image, rng.permutation(np.prod(shape)).reshape(shape)


def dem_of(heights, step=30.0):
    """A DEM (y, x) of heights [m] with square pixels."""
    rows, columns = heights.shape
    coords = {"y": 3_100_000 - step * np.arange(rows), "x": 500_000 + step * np.arange(columns)}
    return xr.DataArray(heights, coords, ("y", "x")).rio.write_crs("EPSG:32645")


# ---- outside answers ----

NUMPY = {
    "identity": lambda a: a,
    "rot90_ccw": np.rot90,
    "rot180": lambda a: np.rot90(a, 2),
    "rot90_cw": lambda a: np.rot90(a, -1),
    "hflip": np.fliplr,
    "vflip": np.flipud,
    "transpose": np.transpose,
    "antitranspose": lambda a: np.rot90(np.transpose(a), 2),
}


@pytest.mark.parametrize("by", MOVES)
def test_pixels_move_as_numpys_do(by):
    image, label = sample(["red", "slope"], (5, 7))
    moved, moved_label = move(image, label, by, ["red", "slope"])
    np.testing.assert_array_equal(moved, [NUMPY[by](band) for band in image])
    np.testing.assert_array_equal(moved_label, NUMPY[by](label))


@pytest.mark.parametrize("by", MOVES)
def test_aspect_of_turned_hills_is_the_turned_aspect(by):
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:30, :40] / 6
    heights = (3000 + 300 * np.sin(x + 0.3 * y) * np.cos(y) + rng.normal(0, 3, x.shape)).astype("float32")
    layers = ["aspect_sin", "aspect_cos", "slope", "plan_curvature", "profile_curvature", "tpi"]
    of = lambda heights: gl.features.terrain(dem_of(heights), layers).values
    moved, turned = move(of(heights), heights, by, layers)
    np.testing.assert_allclose(moved, of(turned), rtol=1e-3, atol=2e-5)
    if by != "identity":  # a move that left the layers' values alone would be seen
        alone = MOVES[by](of(heights))
        assert np.nanmax(np.abs(alone - of(turned))[:2]) > 0.5


@given(east=st.integers(-40, 40), north=st.integers(-40, 40), by=names)
def test_aspect_of_a_turned_plane(east, north, by):
    assume(east or north)  # level ground looks nowhere
    y, x = np.mgrid[:6, :6]
    heights = 2000.0 + east * x - north * y  # rises towards (east, north), so it looks the other way
    of = lambda heights: gl.features.terrain(dem_of(heights), ASPECT).values
    steep = np.hypot(east, north)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    by_hand = np.broadcast_to(np.array([-east, -north])[:, None, None] / steep, (2, 4, 4))
    np.testing.assert_allclose(of(heights)[inside], by_hand, atol=1e-6)
    moved, turned = move(of(heights), heights, by, ASPECT)
    np.testing.assert_allclose(moved, of(turned), atol=1e-6)


@pytest.mark.parametrize("by", MOVES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_textures_of_a_turned_image_are_the_turned_textures(by, symmetric):
    image = np.random.default_rng(1).integers(0, 8, (14, 17)).astype("float32")
    angles = (0, 45, 90, 135) if symmetric else (0, 45, 90, 135, 180, 225, 270, 315)

    def textures(image):
        how = dict(window=5, levels=8, quantizer=(0, 7), combine=None, directions=angles, symmetric=symmetric)
        return gl.features.glcm(xr.DataArray(image, dims=("y", "x")), ["contrast", "mean"], **how)

    found = textures(image)
    moved, turned = move(found.values, image, by, found.feature.values.tolist())
    np.testing.assert_allclose(moved, textures(turned).values, rtol=1e-5, atol=1e-6)


# ---- laws ----


@given(first=names, second=names, seed=st.integers(0, 99))
def test_one_move_after_another_is_their_composition(first, second, seed):
    image, label = sample(MIXED, seed=seed)
    twice = move(*move(image, label, first, MIXED), second, MIXED)
    once = move(image, label, compose(first, second), MIXED)
    for a, b in zip(twice, once, strict=True):
        np.testing.assert_array_equal(a, b)


@given(by=names, seed=st.integers(0, 99))
def test_the_inverse_takes_a_move_back(by, seed):
    image, label = sample(MIXED, (6, 9), seed)
    back, back_label = move(*move(image, label, by, MIXED), inverse(by), MIXED)
    np.testing.assert_array_equal(back, image)
    np.testing.assert_array_equal(back_label, label)


def test_the_eight_are_the_dihedral_group():
    table = {a: [compose(a, b) for b in MOVES] for a in MOVES}
    assert all(sorted(row) == sorted(MOVES) for row in table.values())  # a Latin square
    assert table["identity"] == list(MOVES)
    assert compose("hflip", compose("rot90_ccw", "hflip")) == inverse("rot90_ccw")  # s r s = r⁻¹
    image, label = sample(MIXED)
    moved = image, label
    for _ in range(4):
        moved = move(*moved, "rot90_ccw", MIXED)
    np.testing.assert_array_equal(moved[0], image)
    np.testing.assert_array_equal(moved[1], label)
    assert len({move(image, None, by, MIXED)[0].tobytes() for by in MOVES}) == 8


@given(by=names, batch=st.integers(1, 3))
def test_label_and_image_stay_registered_in_a_batch_too(by, batch):
    image = np.stack([sample(["red", "slope"], (5, 7), seed)[0] for seed in range(batch)])
    moved, label = move(image, image[:, 0] * 2, by, ["red", "slope"])
    np.testing.assert_array_equal(label, moved[:, 0] * 2)
    assert not np.shares_memory(moved, image)
    assert moved.flags.c_contiguous


def test_other_vectors_turn_when_named():
    image = np.zeros((4, 3, 3), "float32")
    image[0] = image[2] = 1  # eastwards
    turned, _ = move(image, None, "rot90_cw", ["vx", "vy", *ASPECT], vectors=[("vx", "vy")])
    assert turned[:, 1, 1].tolist() == [0, -1, 0, -1]  # southwards
    image = image[:2]
    same, _ = move(image, None, "rot90_cw", ["phase_sin", "phase_cos"])
    assert same[:, 1, 1].tolist() == [1, 0]  # the line of sight stays


# ---- what cannot be moved ----


@pytest.mark.parametrize(
    ("features", "by", "message"),
    [
        (["red", "hillshade"], "hflip", r"\['hillshade'\].*sun.*drop.*fixed_light='keep'"),
        (["cast_shadow", "glcm:hillshade:contrast"], "rot180", "cast_shadow.*glcm:hillshade"),
        (["aspect"], "hflip", "'aspect' is an angle.*aspect_sin"),
        (["aspect_sin", "red"], "rot90_cw", "'aspect_sin' is what 'aspect_cos' was"),
        (["contrast_0", "contrast_45"], "transpose", "'contrast_0' is what 'contrast_90' was"),
        (
            [*ASPECT, "glcm:aspect_sin:contrast"],
            "hflip",
            r"\['glcm:aspect_sin:contrast'\] are made of one part",
        ),
    ],
)
def test_layers_that_cannot_move_are_refused(features, by, message):
    image, label = sample(features)
    with pytest.raises(GlacierlabError, match=message):
        move(image, label, by, features)
    move(image, label, "identity", features)


def test_light_moves_where_it_is_said_to():
    image, label = sample(["hillshade", "aspect_sin"])
    moved, _ = move(image, label, "hflip", ["hillshade", "aspect_sin"], fixed_light="keep")
    np.testing.assert_array_equal(moved, [image[0, :, ::-1], -image[1, :, ::-1]])


def test_bad_input_says_what_to_do():
    image, label = sample(["red", "nir"])
    with pytest.raises(UnknownNameError, match="Did you mean 'rot90_cw'"):
        move(image, label, "rot90cw", ["red", "nir"])
    with pytest.raises(UnknownNameError, match="fixed_light"):
        move(image, label, "hflip", ["red", "nir"], fixed_light="yes")
    with pytest.raises(GlacierlabError, match="give pairs"):
        move(image, label, "hflip", ["red", "nir"], vectors=("red", "nir"))
    with pytest.raises(GridError, match="names of its features"):
        move(image, label, "hflip", ["red"])
    with pytest.raises(GridError, match="same window"):
        move(image, label[:-1], "hflip", ["red", "nir"])


# ---- bands ----

reflectance = hnp.arrays(
    "float32", (6, 4, 5), elements=st.floats(-0.0625, 1.5, width=32).filter(lambda v: abs(v) > 1e-6 or v == 0)
)


@given(
    image=reflectance, seed=seeds, gain=st.floats(0, 0.9), offset=st.floats(0, 0.5), per_band=st.booleans()
)
def test_jitter_keeps_reflectance_above_zero_and_the_rest_as_it_is(image, seed, gain, offset, per_band):
    image[0, 0, 0] = np.nan
    found = jitter(image, BANDS, seed, gain=gain, offset=offset, per_band=per_band)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(image))
    assert (found[:4][image[:4] > 0] > 0).all()
    np.testing.assert_array_equal(found[4:], image[4:])
    rise = np.abs(found[:4].astype(float) - image[:4])
    assert (np.nan_to_num(rise - gain * np.abs(image[:4])) <= offset + 1e-6).all()
    np.testing.assert_array_equal(
        found, jitter(image, BANDS, seed, gain=gain, offset=offset, per_band=per_band)
    )


@given(seed=seeds)
def test_one_gain_for_all_bands_leaves_ratios(seed):
    image = np.random.default_rng(seed).uniform(0.01, 1, (6, 4, 5))
    found = jitter(image, BANDS, seed, offset=0)
    np.testing.assert_allclose(found[1] / found[3], image[1] / image[3], rtol=1e-9)
    own = jitter(image, BANDS, seed, offset=0, per_band=True)
    assert not np.allclose(own[1] / own[3], image[1] / image[3], rtol=1e-9)


def test_jitter_spans_its_bounds():
    image = np.full((6, 2, 2), 0.5)
    gains = [jitter(image, BANDS, seed, offset=0)[0, 0, 0] / 0.5 for seed in range(400)]
    offsets = [jitter(image, BANDS, seed, gain=0)[0, 0, 0] - 0.5 for seed in range(400)]
    assert [min(gains), max(gains)] == pytest.approx([0.9, 1.1], abs=0.003)
    assert [min(offsets), max(offsets)] == pytest.approx([-0.02, 0.02], abs=6e-4)


def test_jitter_of_a_normalized_stack_is_the_stack_of_jittered_bands():
    scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    recipe = gl.Recipe(["red", "nir", "swir16", "slope"]).fit(scene)
    stack, plain = recipe.apply(scene), scene.glacier.stack(["red", "nir", "swir16", "slope"])
    found = jitter(stack.values, recipe.features, 5, normalizer=recipe.fitted.normalizer)
    raw = plain.copy(data=jitter(plain.values, recipe.features, 5))
    normalized = [recipe.fitted.normalizer(raw.sel(feature=name).values, name) for name in recipe.features]
    np.testing.assert_allclose(found, normalized, rtol=1e-4, atol=1e-4)
    assert np.nanmax(np.abs(found - stack.values)) > 0.01


@pytest.mark.parametrize(
    "made", ["ndsi", "red/swir16", "pc1", "tasseled_cap:wetness", "glcm:nir:contrast", "mean_45"]
)
def test_jitter_refuses_layers_made_of_bands(made):
    with pytest.raises(GlacierlabError, match=r"made of the bands.*before"):
        jitter(np.ones((2, 3, 3)), ["red", made], 0)


def test_jitter_refuses_what_makes_no_sense():
    with pytest.raises(GlacierlabError, match=r"gain=1\.5"):
        jitter(np.ones((1, 3, 3)), ["red"], 0, gain=1.5)
    with pytest.raises(GlacierlabError, match="No optical band"):
        jitter(np.ones((1, 3, 3)), ["slope"], 0)


@given(seed=seeds, probability=st.floats(0, 1))
def test_a_part_is_dropped_whole_and_one_stays(seed, probability):
    groups = {"optical": BANDS[:4], "terrain": ["slope"], "insar": ["coherence"]}
    found = drop(np.ones((6, 3, 3)), BANDS, groups, seed, probability=probability, fill=-5)
    gone = {name for name, band in zip(BANDS, found, strict=True) if (band == -5).all()}
    assert all((band == 1).all() for name, band in zip(BANDS, found, strict=True) if name not in gone)
    assert all(set(part) <= gone or not set(part) & gone for part in groups.values())
    assert len(gone) < 6


def test_bands_are_dropped_as_often_as_asked():
    image = np.ones((6, 2, 2))
    found = np.array([drop(image, BANDS, bands_of(BANDS), seed, probability=0.3) for seed in range(2000)])
    assert (found[:, :4, 0, 0] == 0).mean(0) == pytest.approx([0.3] * 4, abs=0.04)
    assert (found[:, 4:] == 1).all()
    with pytest.raises(UnknownNameError, match="feature 'green'"):
        drop(image, BANDS, {"a": ["green"]}, 0)
    with pytest.raises(GlacierlabError, match="probability=2"):
        drop(image, BANDS, {}, 0, probability=2)


# ---- the papers' sets ----


def test_chens_set_makes_3996_tiles_of_999():
    row = AUGMENTATIONS["chen2022"]
    assert (list(row.moves), row.random_clip) == (["identity", "hflip", "vflip", "rot90_ccw"], False)
    image, label = sample(["red", *ASPECT])
    copies = offline(image, label, ["red", *ASPECT], "chen2022")
    assert 999 * len(copies) == 3996  # the paper's count
    for by, moved, moved_label in copies:
        np.testing.assert_array_equal(moved[0], NUMPY[by](image[0]))
        np.testing.assert_array_equal(moved_label, NUMPY[by](label))


def test_chus_set_is_five_moves_and_a_clip():
    row = AUGMENTATIONS["chu2022"]
    assert row.random_clip
    image, label = sample(["red"], (12, 12))
    copies = offline(image, label, ["red"], "chu2022", clip=12)
    outside = [np.fliplr, np.flipud, lambda a: np.flipud(np.fliplr(a)), lambda a: np.rot90(a, -1), np.rot90]
    for (_, moved, moved_label), by in zip(copies, outside, strict=True):
        np.testing.assert_array_equal(moved[0], by(image[0]))
        np.testing.assert_array_equal(moved_label, by(label))
    clipped = offline(image, image[0] * 2, ["red"], "chu2022", clip=5, seed=3)
    assert all(moved.shape == (1, 5, 5) for _, moved, _ in clipped)
    assert all((twice == moved[0] * 2).all() for _, moved, twice in clipped)
    assert len({moved.min() for _, moved, _ in clipped}) > 1  # each copy has a window of its own
    with pytest.raises(GlacierlabError, match="give clip="):
        offline(image, label, ["red"], "chu2022")
    with pytest.raises(GlacierlabError, match="does not clip"):
        offline(image, label, ["red"], "chen2022", clip=5)


def test_a_random_clip_is_a_window_of_both():
    image, label = sample(["red"], (6, 9))
    found = {random_clip(image, image[0], 4, seed)[1].tobytes() for seed in range(300)}
    assert len(found) == 3 * 6  # every place
    with pytest.raises(GridError, match="7 pixels does not fit"):
        random_clip(image, label, 7, 0)


# ---- all together ----


@pytest.fixture(scope="module")
def recipe():
    scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    return gl.Recipe(["red", "nir", "slope", "aspect", "elevation"]).fit(scene)


def test_a_sample_depends_on_its_seed_alone(recipe):
    how = dict(gain=0.1, offset=0.02, drop_bands=0.3, drop_groups=0.2)
    augment = Augmentation.for_recipe(recipe, **how)
    image, label = sample(recipe.features)
    before = image.copy()
    first = [augment(image, label, (7, epoch, 3)) for epoch in range(20)]
    again = [Augmentation.for_recipe(recipe, **how)(image, label, (7, epoch, 3)) for epoch in range(20)][::-1]
    for (a, b), (c, d) in zip(first, again[::-1], strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert len({a.tobytes() for a, _ in first}) > 15
    np.testing.assert_array_equal(image, before)


def test_all_eight_moves_are_as_likely():
    image, label = sample(["red"])
    of = {MOVES[by](label).tobytes(): by for by in MOVES}
    found = [of[Augmentation(["red"])(image, label, seed)[1].tobytes()] for seed in range(1600)]
    assert sorted(set(found)) == sorted(MOVES)
    assert all(found.count(by) == pytest.approx(200, abs=60) for by in MOVES)


def test_what_cannot_be_is_told_before_training():
    with pytest.raises(GlacierlabError, match="hillshade"):
        Augmentation(["red", "hillshade"])
    with pytest.raises(GlacierlabError, match="made of the bands"):
        Augmentation(["red", "ndsi"], gain=0.1)
    with pytest.raises(UnknownNameError, match="move 'flip'"):
        Augmentation(["red"], moves=["flip"])
    with pytest.raises(GlacierlabError, match="moves is empty"):
        Augmentation(["red"], moves=[])
    scene = gl.synthetic_scene(seed=1, shape=(60, 80))
    one_way = gl.Recipe(["glcm:nir:contrast"], glcm=dict(directions=(0,))).fit(scene)
    with pytest.raises(GlacierlabError, match="other directions of the recipe's textures"):
        Augmentation.for_recipe(one_way)
    Augmentation.for_recipe(one_way, moves=["identity", "hflip", "vflip", "rot180"])
