"""Maps written as they are made: whole or taken up again, alone at their output, the same on a cluster."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest
import rasterio
import zarr

torch = pytest.importorskip("torch")

from test_predict import model_of, random_logits, stack_of  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.errors import DataWarning, GlacierlabError, SceneError, WriteError  # noqa: E402

ASKED = dict(tile=64, overlap=16, precision="float32", uncertainty=["entropy"], progress=False)


@pytest.fixture(scope="module")
def values():
    return random_logits(1300, 600, holes=0.01)  # three rows of blocks


@pytest.fixture(scope="module")
def whole(values):
    return gl.predict(stack_of(values), model_of(), **ASKED)


class Cut(Exception):
    """As a kill would be, within the process."""


def cut_after(tiles):
    """A model that fails once it has seen so many tiles."""
    model = model_of()

    def failing(x):
        if sum(model.network.tiles) > tiles:
            raise Cut
        return x

    model.network.function = failing
    return model


def rows_done(path):
    return json.loads((path.with_name(path.name + ".unfinished") / "manifest.json").read_text())["rows"]


# ---- whole


def test_a_zarr_map_is_the_map(values, whole, tmp_path):
    found = gl.predict(stack_of(values, chunks=(1, 400, 250)), model_of(), out=tmp_path / "map.zarr", **ASKED)
    assert found.class_map.chunks is not None
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name])
        assert found[name].attrs == whole[name].attrs
    assert found.class_map.dtype == np.uint8
    assert found.rio.crs == whole.rio.crs
    assert sorted(each.name for each in tmp_path.iterdir()) == [".map.zarr.lock", "map.zarr"]
    again = model_of()
    gl.predict(stack_of(values), again, out=tmp_path / "map.zarr", **ASKED)
    assert sum(again.network.tiles) == 0  # it is there


def test_a_tif_holds_the_class_map_as_a_cog(values, whole, tmp_path):
    found = gl.predict(stack_of(values), model_of(), out=tmp_path / "map.tif", **ASKED)
    np.testing.assert_array_equal(found.class_map, whole.class_map)
    assert found.class_map.attrs["flag_meanings"] == whole.class_map.attrs["flag_meanings"]
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1)
        assert (file.nodata, file.dtypes) == (255, ("uint8",))
    assert not (tmp_path / "map.tif.unfinished").exists()


# ---- cut


@pytest.mark.parametrize("suffix", ["zarr", "tif"])
def test_a_cut_job_goes_on_and_ends_the_same(values, whole, tmp_path, suffix):
    path, seen = tmp_path / f"map.{suffix}", []
    for tiles in (60, 300, 150):
        with pytest.raises(Cut):
            gl.predict(stack_of(values), cut_after(tiles), out=path, **ASKED)
        seen.append(rows_done(path))
        assert not path.exists()
    assert seen == sorted(seen)
    assert seen[-1] > 0
    rest = model_of()
    found = gl.predict(stack_of(values), rest, out=path, **ASKED)
    np.testing.assert_array_equal(found.class_map, whole.class_map)
    if suffix == "zarr":
        np.testing.assert_array_equal(found.probability, whole.probability)
    uncut = model_of()
    gl.predict(stack_of(values), uncut, out=tmp_path / f"uncut.{suffix}", **ASKED)
    assert 0 < sum(rest.network.tiles) < sum(uncut.network.tiles)
    if suffix == "zarr":
        same_files(tmp_path / "uncut.zarr", path)


def same_files(first, second):
    """Every chunk, byte for byte; the manifest knows no times."""
    names = {str(each.relative_to(first)) for each in first.rglob("*") if each.is_file()}
    assert names == {str(each.relative_to(second)) for each in second.rglob("*") if each.is_file()}
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("suffix", ["zarr", "tif"])
@pytest.mark.parametrize("height", [1300, 1024])  # the latter in whole blocks
def test_a_job_cut_at_its_very_end_goes_on(values, tmp_path, monkeypatch, suffix, height):
    from glacierlab.inference import job

    def cut(*args):
        raise Cut

    def cut_there(folder, **how):
        if str(folder).endswith(".unfinished"):
            raise Cut
        remove(folder, **how)

    remove = shutil.rmtree
    path, part = tmp_path / f"map.{suffix}", values[:, :height]
    lazy, model = stack_of(part, chunks=(1, 400, 250)), model_of()
    with monkeypatch.context() as patch:
        patch.setattr(job, "finish", cut)
        with pytest.raises(Cut):
            gl.predict(lazy, model, out=path, **ASKED)
    ran = sum(model.network.tiles)
    found = gl.predict(lazy, model, out=path, **ASKED)
    assert sum(model.network.tiles) == ran  # all was there
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut_there)
        with pytest.raises(Cut):
            gl.predict(lazy, model, out=tmp_path / f"other.{suffix}", **ASKED)
    again = gl.predict(lazy, model, out=tmp_path / f"other.{suffix}", **ASKED)  # it is there
    np.testing.assert_array_equal(again.class_map, found.class_map)
    assert not (tmp_path / f"other.{suffix}.unfinished").exists()
    np.testing.assert_array_equal(found.class_map, gl.predict(stack_of(part), model_of(), **ASKED).class_map)


def test_one_pixel_makes_another_scene(values, tmp_path):
    gl.predict(stack_of(values), model_of(), out=tmp_path / "map.zarr", **ASKED)
    other = values.copy()
    other[0, 700, 5] += 1
    with pytest.raises(GlacierlabError, match="a map of another scene"):
        gl.predict(stack_of(other), model_of(), out=tmp_path / "map.zarr", **ASKED)
    elsewhere = stack_of(values).rio.write_crs("EPSG:32646")
    with pytest.raises(GlacierlabError, match="a map of another scene"):
        gl.predict(elsewhere, model_of(), out=tmp_path / "map.zarr", **ASKED)


def test_a_scene_that_ends_in_the_midst_is_told_and_the_job_goes_on(values, whole, tmp_path):
    def part(block, block_info=None):
        if broken and block_info[0]["chunk-location"][1]:
            raise OSError("the file ends here")
        return block

    broken, lazy = True, stack_of(values, chunks=(3, 512, 600))
    lazy = lazy.copy(data=lazy.data.map_blocks(part, dtype="float32"))
    with pytest.raises(SceneError, match=r"cannot be read on \(the file ends here\)"):
        job_of(lazy, tmp_path)
    broken = False
    np.testing.assert_array_equal(job_of(lazy, tmp_path).class_map, whole.class_map)


def job_of(scene, folder):
    """A map whose scene is told by its first values alone."""
    from glacierlab.inference import job

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "LOOKS", 1)
        return gl.predict(scene, model_of(), out=folder / "map.zarr", **ASKED)


KILLED = """
import sys
import glacierlab as gl
scene = gl.open_scene(sys.argv[1], chunks=512)
gl.predict(scene, "default", out=sys.argv[2], precision="float32")
"""


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path):
    scene = gl.synthetic_scene(seed=2, shape=(2300, 500)).drop_vars("truth")
    gl.write_raster(scene, tmp_path / "scene.tif")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "scene.tif")]
    subprocess.run([*command, str(tmp_path / "whole.zarr")], check=True)
    path, rng, kills = tmp_path / "cut.zarr", np.random.default_rng(0), 0
    folder = path.with_name("cut.zarr.unfinished")
    while kills < 10:
        job = subprocess.Popen([*command, str(path)])
        while not folder.exists() and job.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2.5 if kills % 3 == 2 else 0.8))
        if job.poll() is not None:
            break  # the job was faster
        job.send_signal(signal.SIGKILL)
        job.wait()
        kills += 1
    subprocess.run([*command, str(path)], check=True)
    assert kills >= 5
    same_files(tmp_path / "whole.zarr", path)


# ---- what may go wrong


def test_two_jobs_on_one_output_refuse_each_other(values, tmp_path):
    with (
        filelock.FileLock(tmp_path / ".map.zarr.lock"),
        pytest.raises(GlacierlabError, match="being written by another run"),
    ):
        gl.predict(stack_of(values), model_of(), out=tmp_path / "map.zarr", **ASKED)


def test_auto_precision_does_not_change_its_mind(values, tmp_path, monkeypatch):
    from glacierlab.inference import passes

    path, asked = tmp_path / "map.zarr", ASKED | {"precision": "auto"}
    monkeypatch.setattr(passes, "bf16_is_fast", lambda: True)
    with pytest.raises(Cut):
        gl.predict(stack_of(values), cut_after(150), out=path, **asked)
    monkeypatch.setattr(passes, "bf16_is_fast", lambda: False)
    gl.predict(stack_of(values), model_of(), out=path, **asked)  # goes on
    gl.predict(stack_of(values), model_of(), out=path, **asked)  # is there


def test_another_map_is_not_continued(values, tmp_path):
    path = tmp_path / "map.zarr"
    with pytest.raises(Cut):
        gl.predict(stack_of(values), cut_after(300), out=path, **ASKED)
    with pytest.raises(GlacierlabError, match=r"another overlap: delete.*begun with overlap=\d+, and"):
        gl.predict(stack_of(values), cut_after(300), out=path, **ASKED | {"overlap": 8})
    with pytest.raises(GlacierlabError, match="another scene"):
        gl.predict(stack_of(values * 2), cut_after(300), out=path, **ASKED)
    inside = values.copy()
    inside[:, 40:-40, 40:-40] += 1  # all but its borders, which are often empty
    with pytest.raises(GlacierlabError, match="another scene"):
        gl.predict(stack_of(inside), cut_after(300), out=path, **ASKED)
    with pytest.raises(GlacierlabError, match="another model"):
        gl.predict(stack_of(values), model_of(temperature=2.0), out=path, **ASKED)
    assert rows_done(path) > 0


def test_a_job_that_wrote_no_row_binds_nobody(values, tmp_path):
    path, lazy = tmp_path / "map.zarr", stack_of(values, chunks=(1, 1300, 600))
    with pytest.raises(GlacierlabError, match="too little"):
        gl.predict(lazy, model_of(), out=path, max_memory="1 MB", **ASKED)
    gl.predict(lazy, model_of(), out=path, **ASKED | {"overlap": 8})
    assert path.exists()


def test_what_is_no_map_is_left_alone(values, tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr/file").write_text("mine")
    with pytest.raises(GlacierlabError, match="exists: delete it"):
        gl.predict(stack_of(values), model_of(), out=tmp_path / "mine.zarr", **ASKED)
    assert (tmp_path / "mine.zarr/file").read_text() == "mine"
    with pytest.raises(GlacierlabError, match=r"ends in \.zarr"):
        gl.predict(stack_of(values), model_of(), out=tmp_path / "map.nc", **ASKED)


def test_a_full_disk_is_told_and_the_job_goes_on(values, whole, tmp_path, monkeypatch):
    store, path = zarr.Array.__setitem__, tmp_path / "map.zarr"

    def full(array, place, value):
        if (tmp_path / "map.zarr.unfinished/manifest.json").exists() and rows_done(path) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        store(array, place, value)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", full)
        with pytest.raises(WriteError, match=r"No space left.*goes on from there"):
            gl.predict(stack_of(values), model_of(), out=path, **ASKED)
    assert rows_done(path) == 1
    found = gl.predict(stack_of(values), model_of(), out=path, **ASKED)
    np.testing.assert_array_equal(found.probability, whole.probability)


def test_a_removed_folder_is_told(values, tmp_path):
    path = tmp_path / "map.zarr"
    model = model_of()

    def removing(x):
        if sum(model.network.tiles) > 150:
            shutil.rmtree(tmp_path / "map.zarr.unfinished", ignore_errors=True)
        return x

    model.network.function = removing
    with pytest.raises(WriteError, match="was removed while"):
        gl.predict(stack_of(values), model, out=path, **ASKED)
    assert not path.exists()


def test_a_truncated_scene_is_told(tmp_path):
    scene = gl.synthetic_scene(seed=2, shape=(600, 500)).drop_vars("truth")
    path = gl.write_raster(scene, tmp_path / "scene.tif")
    lazy = gl.open_scene(path, chunks=256)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises((GlacierlabError, OSError), match=r"scene\.tif|TIFF|read"):
        gl.predict(lazy, "default", out=tmp_path / "map.zarr", progress=False)
    assert not (tmp_path / "map.zarr").exists()


# ---- memory


def test_memory_bounds_what_is_read_at_a_time(values, whole, tmp_path):
    lazy = stack_of(values, chunks=(1, 1300, 600))
    with pytest.raises(
        GlacierlabError, match=r"max_memory=1 MB is too little.*give (\d+) MB or more"
    ) as told:
        gl.predict(lazy, model_of(), out=tmp_path / "map.zarr", max_memory="1 MB", **ASKED)
    least = int(str(told.value).split(": give ")[1].split()[0])
    with pytest.warns(DataWarning, match="read several times over"):
        found = gl.predict(lazy, model_of(), out=tmp_path / "map.zarr", max_memory=least * 10**6, **ASKED)
    np.testing.assert_array_equal(found.probability, whole.probability)
