"""Several indices of one lazy scene: one dask graph that holds no more, and reads no more, than it must."""

import cloudpickle
import dask
import numpy as np
import pytest
import xarray as xr
from products import landsat

import glacierlab as gl
from glacierlab.io import bands as band_files

NUMBERS = {"SR_B3": 17000, "SR_B4": 15000, "SR_B5": 14000, "SR_B6": 9000}  # green, red, nir, swir16


def four_layers(scene):
    indices = [scene.glacier.index(name) for name in ("ndsi", "ndvi", "ndwi")]
    return [*indices, scene.glacier.ratio("red", "swir16")]


def test_four_indices_in_one_graph_read_each_band_once(tmp_path, monkeypatch):
    reads, whole = [], band_files.read_stored
    monkeypatch.setattr(band_files, "read_stored", lambda *a: reads.append(a) or whole(*a))
    scene = gl.open_scene(landsat(tmp_path, NUMBERS), chunks=6)
    lazy = four_layers(scene)
    assert reads == []
    computed = dask.compute(*lazy)
    blocks = scene.green.data.npartitions
    assert blocks > 1
    assert len(reads) == 4 * blocks  # each block of each band once, though three layers share green or nir
    for found, expected in zip(computed, four_layers(scene.compute()), strict=True):
        xr.testing.assert_identical(found, expected)


@pytest.mark.parametrize("name", ["ndsi", "aweish", "red/swir16"])
def test_a_layers_tasks_hold_no_band(name):
    rng = np.random.default_rng(0)
    values = {
        n: (("y", "x"), rng.random((500, 500))) for n in ("blue", "green", "red", "nir", "swir16", "swir22")
    }
    scene = xr.Dataset(values, attrs={"radiometry": "sr"}).chunk(250)
    layer = gl.features.indices.layer(scene, name)
    own = set(layer.data.dask.layers) - {key for band in scene.values() for key in band.data.dask.layers}
    assert own
    for key in own:
        assert len(cloudpickle.dumps(dict(layer.data.dask.layers[key]))) < 50_000, key
