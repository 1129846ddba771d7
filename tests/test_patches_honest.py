"""What a set of patches says of its pixels, its twins and its cache is true of them."""

import numpy as np
import pytest
from labeled import made_labels, made_scene

import glacierlab as gl
from glacierlab.errors import DataWarning, ManifestError, WriteError
from glacierlab.samples import PatchSet

NODATA_LEFT = 16  # columns


def gapped(seed=0):
    """A scene of 96 x 128 pixels whose left border was not seen."""
    scene = made_scene((96, 128), seed=seed, holes=0)
    return scene.where(scene.x > scene.x[NODATA_LEFT - 1])


def test_sets_that_differ_in_a_later_band_are_told_apart(tmp_path):
    one = gapped()
    two = one.assign(nir=one.nir * 0.5)
    labels = made_labels(one)
    sets = [PatchSet.from_scenes(scene, labels, ["red", "nir"], size=16) for scene in (one, two)]
    assert sets[0].fingerprint != sets[1].fingerprint
    sets[0].to_zarr(tmp_path / "cache")
    with pytest.raises(WriteError, match="holds patches of other scenes"):
        sets[1].to_zarr(tmp_path / "cache")


def test_two_dates_with_one_dem_are_two_scenes():
    height = made_scene((96, 128), seed=5, bands=("elevation",), holes=0).elevation
    scenes = {name: gapped(seed).assign(elevation=height) for seed, name in enumerate("ab")}
    labels = made_labels(scenes["a"])
    patches = PatchSet.from_scenes(scenes, labels, ["elevation", "red"], size=16)
    assert set(patches.manifest["scene"]) == {"a", "b"}
    with pytest.raises(ManifestError, match="holds the same pixels"):
        PatchSet.from_scenes({"a": scenes["a"], "b": scenes["a"].copy()}, labels, ["red"], size=16)


def test_a_dem_does_not_make_unseen_ground_valid():
    scene = gapped()
    scene["elevation"] = made_scene((96, 128), seed=5, bands=("elevation",), holes=0).elevation
    labels = made_labels(scene, codes=(0, 1))
    patches = PatchSet.from_scenes(scene, labels, ["elevation", "red"], size=16, min_valid=0.9)
    assert patches.manifest["col"].min() == NODATA_LEFT
    assert all((label != 255).all() for _, label in patches)
    unseen = scene.assign(red=scene.red.where(False))
    with pytest.raises(ManifestError, match="None of 48 patches is left"):
        PatchSet.from_scenes(unseen, labels, ["elevation", "red"], size=16, min_valid=0.9)


def test_lakes_are_background_where_nobody_asks_for_them():
    scene = made_scene((32, 32), holes=0)
    labels = made_labels(scene, codes=(0, 1, 2, 3))
    patches = PatchSet.from_scenes(scene, labels, size=32, classes=["background", "glacier"])
    np.testing.assert_array_equal(patches[0][1], np.isin(labels, (1, 2)).astype(int))


def test_a_cache_of_some_patches_keeps_their_twins(tmp_path):
    patches = PatchSet.from_scenes(gapped(), made_labels(gapped()), ["red"], size=16)
    manifest = patches.manifest
    sources = np.full(len(manifest), None, dtype=object)
    sources[20], sources[30], sources[31] = 25, 2, 2  # the second and third are twins of one that is left out
    whole = PatchSet(manifest.assign(source=sources), *(getattr(patches, n) for n in (
        "features", "classes", "size", "fingerprint", "store")))  # fmt: skip
    some = whole.with_split(np.where(np.arange(len(manifest)) < 10, "left", "kept")).subset("kept")
    cached = some.to_zarr(tmp_path / "cache")
    found = cached.manifest["source"]
    window = lambda table, number: tuple(table.loc[number, ["row", "col"]])
    assert window(cached.manifest, found[10]) == window(manifest, 25)
    assert found[20] == found[21] == "old 2"
    assert found.notna().sum() == 3
    parts = np.where(np.arange(len(cached)) == 21, "test", "train")
    assert cached.with_split(parts).audit().table["twins"].item() == 1


def test_athabasca_ignores_what_is_asked_as_well(data, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(data))
    bright = gl.sample("athabasca").red > 0.3
    plain, dark = gl.samples.athabasca(size=16), gl.samples.athabasca(size=16, ignore=bright)
    assert plain.class_shares()["background"] == dark.class_shares()["background"] == 0
    assert 0 < dark.manifest["valid_share"].sum() < plain.manifest["valid_share"].sum()


def test_scenes_a_quarter_of_the_earth_apart_are_told():
    worlds = [gl.synthetic_world(1, (2020,), (48, 48), latitude=latitude) for latitude in (75, -75)]
    scenes = {str(world.latitude): world.scene(snowline_m=9000) for world in worlds}
    labels = {name: scene.truth for name, scene in scenes.items()}
    with pytest.warns(DataWarning, match="km from their middle"):
        PatchSet.from_scenes(scenes, labels, ["red"], size=16)


def test_what_is_no_split_is_refused():
    patches = PatchSet.from_scenes(gapped(), made_labels(gapped()), ["red"], size=16)
    with pytest.raises(ManifestError, match="1 parts for 42 patches"):
        patches.with_split(["train"])
    with pytest.raises(ManifestError, match="no parts to draw"):
        gl.viz.split_figure(patches.manifest)
    with pytest.raises(gl.errors.GlacierlabError, match="features='red': give a list of names"):
        gl.samples.Augmentation("red")


def test_one_patch_at_a_time():
    patches = PatchSet.from_scenes(gapped(), made_labels(gapped()), ["red"], size=16)
    with pytest.raises(gl.errors.GlacierlabError, match=r"patches\[slice\(0, 2, None\)\]: one patch"):
        patches[0:2]
    np.testing.assert_array_equal(patches[-1][0], patches[len(patches) - 1][0])
