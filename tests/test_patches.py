"""PatchSet: windows, labels of each kind, what the manifest says, and what is refused."""

from itertools import product

import numpy as np
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from labeled import CRS, made_labels, made_outlines, made_scene
from rasterio.features import rasterize

import glacierlab as gl
from glacierlab.errors import UnknownNameError
from glacierlab.samples import PatchSet

CLASSES = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
SHARES = [f"{name}_share" for name in CLASSES]


@pytest.fixture
def scene():
    return made_scene()


def cut(scene, labels=None, **options):
    return PatchSet.from_scenes(scene, made_labels(scene) if labels is None else labels, **options)


def whole(scenes):
    """Values (feature, y, x) of a scene."""
    return np.stack([band.values for band in scenes.data_vars.values()])


def expected_label(labels, values):
    """Labels as a patch holds them, written out again."""
    return np.where(np.isnan(values).any(axis=0), 255, labels)


def bare(labels):
    """Labels without flags."""
    labels = labels.copy()
    labels.attrs = {}
    return labels


# ---- windows and pixels


@given(
    shape=st.tuples(st.integers(4, 30), st.integers(4, 30)), size=st.integers(1, 12),
    stride=st.integers(1, 14), seed=st.integers(0, 9),
)  # fmt: skip
def test_patches_are_the_windows_of_the_scene(shape, size, stride, seed):
    size = min(size, *shape)
    scene = made_scene(shape, seed)
    labels = made_labels(scene, seed, codes=(0, 1, 2, 3))
    values = whole(scene)
    every = list(product(*(range(0, length - size + 1, stride) for length in shape)))
    first = np.isfinite(values[0])
    every = [(r, c) for r, c in every if first[r : r + size, c : c + size].any()]
    assume(every)  # a set of none is refused
    patches = cut(scene, labels, size=size, stride=stride)
    manifest = patches.manifest
    assert list(zip(manifest["row"], manifest["col"], strict=True)) == every  # row by row, inside, each once
    for (row, col), (image, label) in zip(every, patches, strict=True):
        window = (slice(row, row + size), slice(col, col + size))
        part = values[:, *window]
        np.testing.assert_array_equal(image, np.nan_to_num(part, nan=0.0))
        np.testing.assert_array_equal(label, expected_label(labels.values[window], part))
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)


@given(size=st.integers(1, 9), stride=st.integers(1, 12), seed=st.integers(0, 99))
def test_shares_are_counted_pixels(size, stride, seed):
    scene = made_scene((23, 31), seed, holes=0.1)
    labels = made_labels(scene, seed)
    patches = cut(scene, labels, size=size, stride=stride, classes=list(CLASSES))
    known = np.isfinite(scene.red.values) & (labels.values != 255)
    for row in patches.manifest.itertuples():
        window = (slice(row.row, row.row + size), slice(row.col, row.col + size))
        counts = [(known[window] & (labels.values[window] == code)).sum() for code in range(4)]
        found = [getattr(row, name) * size**2 for name in SHARES]
        np.testing.assert_allclose(found, counts, atol=1e-9)
        assert row.valid_share * size**2 == pytest.approx(sum(counts))


def test_all_but_a_rim_narrower_than_the_stride_is_covered(scene):
    patches = cut(scene, size=12, stride=7)
    seen = np.zeros((40, 50), dtype=bool)
    for row in patches.manifest.itertuples():
        seen[row.row : row.row + 12, row.col : row.col + 12] = True
    assert seen[: 40 - 6, : 50 - 6].all()


@given(y=st.integers(3, 40), x=st.integers(3, 50), strip=st.integers(1, 60))
def test_chunks_and_strips_change_nothing(y, x, strip):
    scene = made_scene()
    labels = made_labels(scene)
    eager = cut(scene, labels, size=8, stride=5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("glacierlab.samples.windows.STRIP", strip)
        lazy = cut(scene.chunk(y=y, x=x), labels.chunk(y=x, x=y), size=8, stride=5)
    assert lazy.manifest.equals(eager.manifest)
    np.testing.assert_array_equal(lazy[7][0], eager[7][0])
    np.testing.assert_array_equal(lazy[7][1], eager[7][1])


def test_a_zarr_scene_is_read_window_by_window(scene, tmp_path):
    scene.to_zarr(tmp_path / "scene.zarr", consolidated=False)
    stored = xr.open_zarr(tmp_path / "scene.zarr", chunks=None, consolidated=False, decode_coords="all")
    bands = ["red", "nir", "swir16"]
    eager, lazy = (cut(each, made_labels(scene), layers=bands, size=16) for each in (scene, stored))
    assert lazy.fingerprint == eager.fingerprint
    assert not stored.red.variable._in_memory
    for mine, theirs in zip(lazy, eager, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_a_fitted_recipe_makes_the_stack(scene):
    recipe = gl.Recipe(["nir", "red/swir16", "pca:2"]).fit(scene)
    stack = recipe.apply(scene)
    by_recipe, by_stack = cut(scene, layers=recipe, size=16), cut(stack, made_labels(scene), size=16)
    lazy = cut(scene.chunk(y=11), made_labels(scene), layers=recipe, size=16)
    assert by_recipe.features == ("nir", "red/swir16", "pc1", "pc2") == by_stack.features
    image, label = by_recipe[1]
    part = stack.isel(y=slice(0, 16), x=slice(16, 32)).values
    np.testing.assert_array_equal(image, np.nan_to_num(part, nan=0.0))
    assert ((label == 255) >= np.isnan(part).any(axis=0)).all()
    for other in (by_stack, lazy):
        np.testing.assert_allclose(other[1][0], image, atol=1e-6)
    assert cut(stack, made_labels(scene), layers=["pc2", "nir"], size=16).features == ("pc2", "nir")


def test_patches_are_copies(scene):
    for options in ({"size": 8}, {"size": 40}):
        patches = cut(scene.isel(x=slice(40)), made_labels(scene.isel(x=slice(40))), **options)
        before = patches[0][0].copy()
        patches[0][0][:] = 7
        patches[0][1][:] = 7
        np.testing.assert_array_equal(patches[0][0], before)
        assert not (patches[0][1] == 7).any()
    stack = scene.isel(x=slice(40)).to_dataarray("feature").chunk()
    kept = stack.values.copy()
    cut(stack, made_labels(scene.isel(x=slice(40))), size=40)[0][0][:] = 7
    np.testing.assert_array_equal(stack.values, kept)
    filled = cut(scene, size=8, fill=-3.0)
    assert any((image == -3).any() for image, _ in filled)


def test_it_is_a_sequence(scene):
    patches = cut(scene, size=16)
    assert len(patches) == len(list(patches)) == 6
    np.testing.assert_array_equal(patches[-1][0], patches[5][0])
    with pytest.raises(IndexError):
        patches[6]
    assert "6 patches of 3 x 16 x 16 from 1 scenes" in repr(patches)


# ---- outlines, ids, places to ignore


@pytest.mark.parametrize("crs", [CRS, "EPSG:4326"])
def test_outlines_are_burnt_as_rasterio_does(scene, crs):
    outlines = made_outlines(scene)
    patches = cut(scene, outlines.to_crs(crs), size=10, stride=5)
    shapes, transform = list(outlines.geometry), scene.rio.transform(recalc=True)
    burnt = rasterize(shapes, (40, 50), transform=transform, all_touched=False)
    assert patches.classes == ("background", "glacier")
    values = whole(scene)
    for row, (_, label) in zip(patches.manifest.itertuples(), patches, strict=True):
        window = (slice(row.row, row.row + 10), slice(row.col, row.col + 10))
        np.testing.assert_array_equal(label, expected_label(burnt[window], values[:, *window]))
    squares = patches.manifest.geometry
    for ids, square in zip(patches.manifest["glaciers"], squares, strict=True):
        assert ids == tuple(outlines["rgi_id"][outlines.to_crs(CRS).intersects(square)])


def test_outlines_may_be_of_several_classes_and_later_ones_go_before(scene):
    outlines = made_outlines(scene, **{"class": ["clean_ice", "glacial_lake", "clean_ice"]})
    outlines.loc[3] = ["d", "debris_covered_ice", shapely.box(*scene.rio.bounds()).buffer(-100)]
    outlines = outlines.set_crs(scene.rio.crs)  # older geopandas forgets it with a new row
    patches = cut(scene, outlines, size=40)
    assert patches.classes == CLASSES
    places = [CLASSES.index(name) for name in outlines["class"]]
    burnt = rasterize(zip(outlines.geometry, places, strict=True), (40, 50), transform=scene.rio.transform())
    np.testing.assert_array_equal(patches[0][1], expected_label(burnt[:, :40], whole(scene)[:, :, :40]))


def test_ids_by_pixel_and_one_id_for_all(scene):
    ids = scene.red.copy(data=np.zeros((40, 50), dtype=int)).rename("ids")
    ids[3, 4], ids[3, 20], ids[20, 20] = 7, 9, 7
    by_pixel = cut(scene, size=16, glaciers=ids).manifest["glaciers"]
    assert by_pixel.tolist() == [(7,), (9,), (), (), (7,), ()]
    assert set(cut(scene, size=16, glaciers="only").manifest["glaciers"]) == {("only",)}
    assert "glaciers" not in cut(scene, size=16).manifest


def test_squares_are_the_pixels_bounds(scene):
    for row in cut(scene, size=9, stride=11).manifest.itertuples():
        window = scene.isel(y=slice(row.row, row.row + 9), x=slice(row.col, row.col + 9))
        np.testing.assert_allclose(row.geometry.bounds, window.rio.bounds(recalc=True))


def test_places_to_ignore_get_no_label(scene):
    cloud = scene.red.copy(data=np.zeros((40, 50), dtype=bool)).rename("cloud")
    cloud[:, :16] = True
    doubt = made_outlines(scene).iloc[[1]].to_crs(4326)
    labels = made_labels(scene, codes=(0, 1))
    plain = cut(scene, labels, size=16)
    patches = cut(scene, labels, size=16, ignore=[cloud, doubt])
    shape = made_outlines(scene).geometry.iloc[1]
    hidden = cloud.values | (rasterize([shape], (40, 50), transform=scene.rio.transform()) == 1)
    assert list(patches.manifest["col"]) == [16, 32, 16, 32]  # wholly ignored ones are left out
    for row, (_, label) in zip(patches.manifest.itertuples(), patches, strict=True):
        window = (slice(row.row, row.row + 16), slice(row.col, row.col + 16))
        same = plain.manifest[(plain.manifest["row"] == row.row) & (plain.manifest["col"] == row.col)]
        np.testing.assert_array_equal(label, np.where(hidden[window], 255, plain[same.index[0]][1]))


def test_least_shares_choose_patches(scene):
    every = cut(scene, size=8, stride=4).manifest
    ice = every["clean_ice_share"] + every["debris_covered_ice_share"]
    chosen = cut(scene, size=8, stride=4, min_valid=0.8, min_glacier=0.3).manifest
    expected = every[(every["valid_share"] >= 0.8) & (ice >= 0.3)]
    assert 0 < len(chosen) < len(every)
    np.testing.assert_array_equal(chosen["label"], expected["label"])
    assert list(chosen.index) == list(range(len(chosen)))


# ---- classes


def test_classes_are_matched_by_name(scene):
    other = made_scene(seed=1, west=700_000)
    own = made_labels(other, codes=(1, 2), flag_values=[1, 2], flag_meanings="snow background")
    scenes, labels = {"a": scene, "b": other}, {"a": made_labels(scene), "b": own}
    patches = PatchSet.from_scenes(scenes, labels, size=8)
    assert patches.classes == (*CLASSES, "snow")
    label = next(patches[n][1] for n, name in enumerate(patches.manifest["scene"]) if name == "b")
    assert set(np.unique(label)) <= {0, 4, 255}
    mask = bare(made_labels(scene, codes=(0, 1)).astype(bool))
    assert cut(scene, mask, size=8).classes == ("background", "glacier")
    named = cut(scene, bare(made_labels(scene, codes=(5, 9))), classes={"rock": 9, "ice": 5}, size=8)
    assert named.classes == ("ice", "rock")


def test_parts_of_a_glacier_are_merged_when_asked(scene):
    labels = made_labels(scene, codes=(0, 1, 2))
    whole, merged = cut(scene, labels, size=8), cut(scene, labels, size=8, classes=["background", "glacier"])
    for (_, parts), (_, one) in zip(whole, merged, strict=True):
        np.testing.assert_array_equal(one, np.where(parts == 2, 1, parts))
    mixed = {"a": labels, "b": bare(labels.astype(bool))}
    with pytest.raises(UnknownNameError, match="merge them by"):
        PatchSet.from_scenes({"a": scene, "b": made_scene(seed=1)}, mixed, size=8)


def test_class_weights(scene):
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    patches = cut(
        scene, made_labels(scene, codes=(0, 0, 0, 0, 1, 1, 2), block=1), size=10, classes=list(CLASSES)
    )
    shares = np.array([*patches.class_shares().values()])
    pixels = np.repeat([0, 1, 2], np.round(shares[:3] * 1e5).astype(int))
    witness = sklearn.compute_class_weight("balanced", classes=np.arange(3), y=pixels)
    found = np.array([*patches.class_weights("inverse").values()])
    np.testing.assert_allclose(found[:3], witness / witness.mean(), rtol=1e-3)
    assert found[3] == 0  # no pixel has it
    f = shares[:3]
    for method, formula in {"median": np.median(f) / f, "inverse_sqrt": f**-0.5}.items():
        found = np.array([*patches.class_weights(method).values()])[:3]
        np.testing.assert_allclose(found, formula / formula.mean())
        assert found.mean() == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="class weights"):
        patches.class_weights("inverze")


def test_a_patch_of_a_rare_class_is_drawn_as_often_as_its_class_is_rare(scene):
    labels = made_labels(scene, codes=(0,), block=1)
    labels[:10, :10] = 1
    patches = cut(made_scene(holes=0), labels, size=10)
    weights = patches.sampling_weights()
    assert weights.sum() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(19)  # one patch of ice, 19 of background
