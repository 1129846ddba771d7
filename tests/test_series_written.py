"""composite: what files hold of it, what is read to make it, and in what blocks."""

import numpy as np
import pytest
import xarray as xr
from test_series_composite import METHODS, dates_in, random_scenes

import glacierlab as gl
from glacierlab.series import composite, compositing


@pytest.mark.parametrize("chunks", [{}, {"y": 20, "x": 25}])
def test_a_composite_is_written_opened_and_mapped(tmp_path, chunks):
    world = gl.synthetic_world(seed=6, years=[2010, 2011], shape=(48, 50))
    scenes = [world.scene(year).chunk(chunks) if chunks else world.scene(year) for year in world.years]
    found = composite(scenes, window=None, reference=1).isel(time=0)
    assert found.attrs["datetime"] == scenes[1].attrs["datetime"][:19]
    again = gl.open_scene(gl.write_raster(found, tmp_path / "c.tif"))
    for name in ("green", "swir16", "source_date", "observations", "elevation"):
        np.testing.assert_array_equal(again[name], found[name])
    assert again.source_date.attrs["units"] == "days since 1970-01-01"
    assert (dates_in(again).dt.year == 2011).any()
    assert again.attrs["title"] == found.attrs["title"]
    maps = [gl.map_glaciers(each).class_map for each in (found, again)]
    np.testing.assert_array_equal(*maps)
    assert maps[0].attrs["datetime"] == found.attrs["datetime"]


def test_a_composite_of_one_window_has_a_date_and_a_title():
    scenes = random_scenes(3)
    found = composite(scenes, method="medoid")
    assert found.attrs["title"] == "medoid of 2001-01-01 to 2003-12-31"
    assert found.attrs["datetime"] == "2001-01-01T00:00:00"
    assert composite(scenes, reference=2).attrs["datetime"] == "2003-07-15T04:30:00"
    alone = composite(scenes, window=["2002-01-01", "2003-01-01"], reference=2)  # which lies outside
    assert alone.attrs["datetime"] == "2002-01-01T00:00:00"


@pytest.mark.parametrize("method", METHODS)
def test_computing_reads_each_block_once_in_bounded_blocks(monkeypatch, method):
    """Witness: the reads are counted; and so are the numbers that a kernel is given."""
    read, held = [], []

    def watched(block):
        read.append(block.shape)
        return block

    monkeypatch.setattr(compositing, "HELD", 6 * 12 * 16)
    kernel = compositing.composed
    monkeypatch.setattr(
        compositing, "composed", lambda *a, **how: held.append(sum(b.size for b in a)) or kernel(*a, **how)
    )
    scenes = random_scenes(3, (32, 48))
    lazy = [
        s.chunk(16).map(
            lambda v: v.copy(data=v.data.map_blocks(watched, dtype=v.dtype, meta=np.empty((0, 0), v.dtype)))
        )
        for s in scenes
    ]
    lazy = [s.assign_attrs(old.attrs) for s, old in zip(lazy, scenes, strict=True)]
    found = composite(lazy, window=None, method=method)
    values = found.compute(scheduler="sync")
    assert len(read) == 3 * 3 * 2 * 3  # dates, bands, blocks of 16
    assert max(held) <= compositing.HELD
    assert len(held) == len(set(np.ndindex(found.nir.data.numblocks)))
    read.clear()
    found.nir.compute(scheduler="sync")
    assert len(read) == 3 * 3 * 2 * 3
    monkeypatch.setattr(compositing, "composed", kernel)
    xr.testing.assert_identical(values, composite(scenes, window=None, method=method))


def test_dates_that_were_decoded_are_written_as_days(tmp_path):
    scenes = random_scenes(3, (32, 48))
    found = composite(scenes, window=None, method="medoid").isel(time=0)
    path = gl.write_raster(xr.decode_cf(found), tmp_path / "decoded.tif")
    plain = gl.write_raster(found, tmp_path / "plain.tif")
    days, same = (gl.open_scene(each)["source_date"] for each in (path, plain))
    np.testing.assert_array_equal(days, same)
    assert float(days.max()) > 0
