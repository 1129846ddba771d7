"""STAC: a catalog whose answers are signed, and scenes across the 180th meridian."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from stac_server import add_sentinel_2, serving

from glacierlab.errors import GlacierlabError, GridError
from glacierlab.io.assets import DEGREES, outline_of
from glacierlab.io.stac import open_stac
from glacierlab.tables import CATALOGS

pytest.importorskip("odc.stac")
pystac = pytest.importorskip("pystac")
pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A catalog on loopback, past any proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving(tmp_path / "served") as found:
        yield found


@pytest.mark.parametrize(
    ("epsg", "west", "sides"),
    [
        (32601, 300_000, [(179.0, 179.9), (-179.9, -178.0)]),  # 71 degrees north, zone 1
        (32660, 590_000, [(179.0, 179.9), (-179.9, -178.0)]),  # zone 60
        (32602, 400_000, [(-173.0, -172.0)]),
    ],
)
def test_outlines_keep_to_their_side_of_the_world(epsg, west, sides):
    """Witness: PROJ tells of single points whether they lie in the grid."""
    grid = GeoBox((1098, 1098), rasterio.Affine(100, 0, west, 0, -100, 7_900_000), f"EPSG:{epsg}")
    outline = outline_of(grid, DEGREES)
    assert outline.is_valid
    assert outline.bounds[0] >= -180
    assert outline.bounds[2] <= 180
    onto = Transformer.from_crs(4326, epsg, always_xy=True)
    bounds = grid.extent.boundingbox
    points = [(lon, lat) for lon in np.arange(-179.95, 180, 0.37) for lat in np.arange(70.03, 71.5, 0.31)]
    for lon, lat in points:
        x, y = onto.transform(lon, lat)
        inside = bounds.left < x < bounds.right and bounds.bottom < y < bounds.top and abs(lon) > 90
        near = min(abs(x - bounds.left), abs(x - bounds.right), abs(y - bounds.top), abs(y - bounds.bottom))
        if near > 500:  # the rim bends
            assert outline.contains(shapely.Point(lon, lat)) == inside, (lon, lat)
    for one, other in sides:
        assert outline.intersects(shapely.box(one, 70.6, other, 70.8))
    assert not outline.intersects(shapely.box(-90, 70, 90, 72))


@pytest.mark.parametrize("lon", [179.97, -179.97])
def test_scenes_across_180_degrees_open_on_both_sides(api, lon):
    onto = Transformer.from_crs(4326, 32601, always_xy=True)
    x, y = onto.transform(180.0, 70.7)
    add_sentinel_2(
        api, bands={"B04": np.full((400, 400), 3000)}, applied=True, crs="EPSG:32601",
        corner=(round(x, -1) - 2000, round(y, -1) + 2000),
    )  # fmt: skip
    scene = open_stac(
        [pystac.Item.from_dict(item) for item in api.items], bbox=(lon - 0.01, 70.697, lon + 0.01, 70.703)
    )
    assert max(scene.sizes.values()) < 100
    np.testing.assert_allclose(scene.red, 0.3, rtol=0, atol=1e-6)
    with pytest.raises(GridError, match="outside the scenes"):
        open_stac([pystac.Item.from_dict(item) for item in api.items], bbox=(0, 70.6, 1, 70.8))


def test_planetary_computer_is_signed_or_refused(api, monkeypatch):
    monkeypatch.setitem(CATALOGS, "planetary-computer", replace(CATALOGS["planetary-computer"], url=api.url))
    monkeypatch.setitem(sys.modules, "planetary_computer", None)
    item = add_sentinel_2(api, bands={"B04": np.full((20, 20), 3000)}, applied=True)
    area = {"bbox": item["bbox"], "catalog": api.url}
    for catalog in ("planetary-computer", api.url + "/"):
        with pytest.raises(GlacierlabError, match=r"pip install planetary-computer, or give modifier="):
            open_stac(**area | {"catalog": catalog})
    calls = []
    monkeypatch.setitem(sys.modules, "planetary_computer", SimpleNamespace(sign_inplace=calls.append))
    assert open_stac(**area | {"catalog": "planetary-computer"}).sizes["time"] == 1
    assert calls
    calls.clear()
    own = []
    open_stac(**area | {"catalog": "planetary-computer"}, modifier=own.append)  # the caller's goes first
    assert own
    assert not calls
