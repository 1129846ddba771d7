"""predict on several processes, and with too little memory for a batch: the same map."""

import os
import signal
import time

import cloudpickle
import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")

import dask  # noqa: E402
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster  # noqa: E402
from test_predict import model_of, random_logits, stack_of  # noqa: E402

import glacierlab as gl  # noqa: E402
from glacierlab.errors import DataWarning, GlacierlabError  # noqa: E402
from glacierlab.inference.batches import by_trial  # noqa: E402

TWO = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)


@pytest.fixture(scope="module")
def scene():
    return gl.synthetic_scene(seed=2, shape=(900, 700)).drop_vars("truth")


@pytest.fixture(scope="module")
def here(scene):
    return gl.predict(scene, "default", precision="float32")


@pytest.fixture
def lazy(scene, tmp_path):
    return gl.open_scene(gl.write_raster(scene, tmp_path / "scene.tif"), chunks=300)


# ---- several processes


@pytest.fixture(scope="module")
def client():
    with LocalCluster(**TWO) as cluster, Client(cluster) as client:
        yield client


def test_a_cluster_gives_the_same_map_and_loads_the_model_once(client, lazy, here, tmp_path):
    there = gl.predict(lazy, "default", precision="float32").compute()
    written = gl.predict(lazy, "default", precision="float32", out=tmp_path / "map.zarr", progress=False)
    kept = client.run(models_kept)
    xr.testing.assert_allclose(there, here, atol=1e-5)
    np.testing.assert_array_equal(there.class_map, here.class_map)
    np.testing.assert_array_equal(written.class_map, here.class_map)
    assert list(kept.values()) == [1, 1]


def test_no_task_but_one_holds_the_model(lazy):
    graph = dict(gl.predict(lazy, "default", precision="float32").class_map.data.dask)
    sizes = {key: len(cloudpickle.dumps(task)) for key, task in graph.items() if "open" not in str(key)}
    heavy = [key for key, size in sizes.items() if size > 100_000]
    assert len(heavy) == 1
    assert str(heavy[0]).startswith("model-")


def models_kept():
    from glacierlab.inference.models import REVIVED

    return len(REVIVED)


def test_a_worker_killed_in_the_midst_changes_nothing(client, lazy, here):
    client.run(forget)
    found = client.compute(gl.predict(lazy, "default", precision="float32").class_map)
    while not any(client.run(models_kept).values()):
        time.sleep(0.01)  # until tiles run
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    np.testing.assert_array_equal(found.result(timeout=100), here.class_map)


def forget():
    from glacierlab.inference.models import REVIVED

    REVIVED.clear()


def test_tiles_run_where_a_gpu_is_declared(lazy, here, tmp_path):
    with_gpu = {"cls": Nanny, "options": {"nthreads": 1, "resources": {"GPU": 1}}}
    without = {"cls": Nanny, "options": {"nthreads": 1}}
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0"}}
    with SpecCluster({0: with_gpu, 1: without}, scheduler) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        gpus = {
            address: bool(worker["resources"])
            for address, worker in client.scheduler_info()["workers"].items()
        }
        written = gl.predict(lazy, "default", precision="float32", out=tmp_path / "map.zarr", progress=False)
        assert client.run(models_run) == gpus
        with dask.config.set({"optimization.fuse.active": False}):  # fused tasks lose what they ask for
            there = gl.predict(lazy, "default", precision="float32").class_map.compute()
        assert client.run(models_run) == gpus
    np.testing.assert_array_equal(written.class_map, here.class_map)
    np.testing.assert_array_equal(there, here.class_map)


def models_run():
    from glacierlab.inference.models import REVIVED

    return any(models._ready for models in REVIVED.values())


# ---- too little memory


def small(most):
    """A model for which there is no memory for more than so many tiles."""

    def run(x):
        if len(x) > most:
            raise torch.OutOfMemoryError("simulated")
        return x

    return model_of(run)


def test_fewer_tiles_at_a_time_where_memory_ends():
    stack = stack_of(random_logits(200, 200))
    asked = dict(tile=64, overlap=16, precision="float32")
    with pytest.warns(DataWarning, match="No memory on 'cpu' for 5 tiles at a time: going on with 2"):
        found = gl.predict(stack, small(3), batch_size=5, **asked)
    xr.testing.assert_identical(found, gl.predict(stack, model_of(), batch_size=2, **asked))
    with pytest.raises(GlacierlabError, match="no memory on 'cpu' for one tile: give a smaller tile="):
        gl.predict(stack, small(0), batch_size=1, **asked)


def test_a_trial_stops_where_more_tiles_gain_little_or_do_not_fit():
    taken = {1: 1.0, 2: 1.2, 4: 1.6, 8: 3.1, 16: 6.2}  # each: 1, 0.6, 0.4, 0.39
    assert by_trial(taken.__getitem__) == 4

    def seconds(size):
        if size > 2:
            raise torch.OutOfMemoryError("simulated")
        return taken[size]

    assert by_trial(seconds) == 2
    assert by_trial(lambda size: 1.0) == 256  # the most that is tried
    with pytest.raises(RuntimeError, match="broken"):
        by_trial(lambda size: (_ for _ in ()).throw(RuntimeError("broken")))
