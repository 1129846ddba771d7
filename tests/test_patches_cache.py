"""The cache of patches: whole, resumed or refused, never silently short."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from labeled import made_labels, made_outlines, made_scene

from glacierlab.errors import SampleError, WriteError
from glacierlab.samples import PatchSet

SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from test_patches_cache import made_patches
from glacierlab.samples import sources
read_many = sources.Scenes.read_many
def slow(*args, **options):
    for each in read_many(*args, **options):
        time.sleep(0.02)
        yield each
sources.Scenes.read_many = slow
made_patches().to_zarr({path!r})
"""


def made_patches(seed=0, **options):
    scenes = {name: made_scene(seed=seed + n, west=500_000 + 20_000 * n) for n, name in enumerate("ab")}
    labels = {name: made_labels(scene) for name, scene in scenes.items()}
    options = {"size": 8, "stride": 5, "glaciers": made_outlines(scenes["a"])} | options
    return PatchSet.from_scenes(scenes, labels, **options)


def files(folder):
    """The content of every file by name."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def patches():
    return made_patches()


@pytest.fixture
def cache(patches, tmp_path):
    patches.to_zarr(tmp_path / "cache")
    return tmp_path / "cache"


def test_a_cache_holds_the_same_patches(patches, tmp_path):
    split = patches.split("blocks", (0.5, 0.5), names=("train", "test"), block_m=100)
    cached = split.to_zarr(tmp_path / "new/cache")
    assert len(cached) == len(patches) > 100
    for mine, theirs in zip(cached, patches, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])
        assert (mine[0].dtype, mine[1].dtype) == (np.float32, np.uint8)
    assert (cached.features, cached.classes, cached.size) == (patches.features, patches.classes, 8)
    assert cached.fingerprint == patches.fingerprint
    assert cached.class_weights() == patches.class_weights()
    assert cached.manifest["glaciers"].tolist() == split.manifest["glaciers"].tolist()
    same = ["scene", "row", "col", "size", "label", "split", "valid_share", "geometry"]
    assert (cached.manifest[same] == split.manifest[same]).all(axis=None)
    assert cached.manifest.crs == patches.manifest.crs
    assert repr(cached.audit()) == repr(split.audit())


def test_a_part_can_be_cached_and_cut_again(patches, tmp_path):
    parted = patches.split("scene", (0.5, 0.5), names=("train", "test"))
    cached = parted.subset("test").to_zarr(tmp_path / "test")
    again = cached.to_zarr(tmp_path / "again")
    for one, two, three in zip(parted.subset("test"), cached, again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[0], three[0])


def test_xarray_reads_its_arrays(cache, patches):
    opened = xr.open_zarr(cache / "patches.zarr", consolidated=False)
    assert opened["image"].dims == ("patch", "feature", "y", "x")
    np.testing.assert_array_equal(opened["label"][3], patches[3][1])
    assert zarr.open_array(cache / "patches.zarr/image", mode="r").metadata.zarr_format == 3


def test_a_killed_run_is_refused_and_resumes_to_the_same_bits(patches, cache, tmp_path):
    path = tmp_path / "killed"
    code = SLOW.format(tests=str(Path(__file__).parent), path=str(path))
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    notes, until = path / "done.txt", time.monotonic() + 60
    while not (notes.exists() and notes.read_text().count("\n") >= 10):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    with pytest.raises(SampleError, match=r"killed is not complete.*interrupted after \d+ patches.*resumes"):
        PatchSet.from_zarr(path)
    before = {
        number: os.stat(path / f"patches.zarr/image/c/{number}/0/0/0").st_mtime_ns for number in range(9)
    }
    torn = path / f"patches.zarr/image/c/{len(patches) - 1}/0/0/0"  # of the right size, and not noted as done
    torn.parent.mkdir(parents=True)
    torn.write_bytes(bytes(4 * 3 * 8 * 8))
    resumed = patches.to_zarr(path)
    assert all(os.stat(path / f"patches.zarr/image/c/{n}/0/0/0").st_mtime_ns == t for n, t in before.items())
    assert len(resumed) == len(patches)
    whole, again = files(cache), files(path)
    for folder in (whole, again):
        folder.pop(Path("done.txt"))  # its order is that of writing
    again = {name: text for name, text in again.items() if not name.name.endswith(".partial")}
    assert again == whole


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("patches.zarr/image/c/7/0/0/0", lambda path: path.unlink()),
        ("patches.zarr/label/c/7/0/0", lambda path: path.unlink()),
        ("patches.zarr/image/c/7/0/0/0", lambda path: os.truncate(path, 100)),
    ],
)
def test_a_lost_chunk_is_refused_and_made_again(patches, cache, name, change):
    change(cache / name)
    with pytest.raises(
        SampleError, match=r"1 of \d+ patches are missing or cut short, the first is number 7"
    ):
        PatchSet.from_zarr(cache)
    np.testing.assert_array_equal(patches.to_zarr(cache)[7][0], patches[7][0])


@pytest.mark.parametrize("name", ["manifest.parquet", "patches.json", "patches.zarr/image/zarr.json"])
def test_a_lost_or_broken_file_is_refused_and_made_again(patches, cache, name):
    os.truncate(cache / name, 10)
    with pytest.raises(SampleError, match="cannot be read"):
        PatchSet.from_zarr(cache)
    (cache / name).unlink()
    with pytest.raises(SampleError, match=r"cannot be read|not complete"):
        PatchSet.from_zarr(cache)
    np.testing.assert_array_equal(patches.to_zarr(cache)[7][0], patches[7][0])


def test_a_newer_version_is_refused(cache):
    mark = json.loads((cache / "patches.json").read_text())
    (cache / "patches.json").write_text(json.dumps(mark | {"version": 99}))
    with pytest.raises(SampleError, match="newer version"):
        PatchSet.from_zarr(cache)


@pytest.mark.parametrize(
    "other", [{"seed": 5}, {"stride": 4}, {"fill": 1.0}, {"layers": ["red"]}, {"classes": list("ab")}]
)
def test_a_folder_of_another_set_is_refused(cache, other):
    if "classes" in other:
        other = {"classes": ["glacial_lake", "background", "clean_ice", "debris_covered_ice"]}
    before = files(cache)
    with pytest.raises(WriteError, match="of other scenes, layers, labels or windows"):
        made_patches(**other).to_zarr(cache)
    assert files(cache) == before


def test_another_split_changes_the_manifest_alone(patches, cache):
    before = files(cache)
    cached = patches.with_split("train").to_zarr(cache)
    assert set(cached.manifest["split"]) == {"train"}
    changed = {str(name) for name, text in files(cache).items() if before[name] != text}
    assert changed == {"manifest.parquet"}
    assert "split" not in patches.to_zarr(cache).manifest


def test_a_folder_of_something_else_is_refused(patches, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match="holds no patches of ours"):
        patches.to_zarr(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(SampleError, match="no cache of patches"):
        PatchSet.from_zarr(tmp_path)


def test_images_of_nothing_but_zeros_are_written_too(tmp_path):
    scene = made_scene(holes=0) * np.float32(0)
    patches = PatchSet.from_scenes(scene, made_labels(scene, codes=(0,)), size=20)
    assert len(patches.to_zarr(tmp_path / "cache")) == 4
