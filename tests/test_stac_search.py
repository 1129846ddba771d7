"""STAC: asking a catalog, what it answers when things go wrong, and which of its scenes to take."""

import datetime as dt
import time

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from stac_server import add_landsat, add_sentinel_2, serving

from glacierlab.errors import DataWarning, GlacierlabError, GridError, SceneError, UnknownNameError
from glacierlab.io.catalogs import area_of, dates_text
from glacierlab.io.stac import open_stac
from glacierlab.series.scenes import find_scenes

pytest.importorskip("odc.stac")
pystac = pytest.importorskip("pystac")
pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # odc-geo
CLEAR, CLOUD, SHADOW, SNOW = 4, 9, 3, 11  # of SCL


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A catalog on loopback, past any proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving(tmp_path / "served") as found:
        yield found


def add_date(api, day, scl=CLEAR, **more):
    """A scene of one SCL, one number or (20, 20), its red band 0.3."""
    bands = {"B04": np.full((40, 40), 3000), "SCL": np.broadcast_to(scl, (20, 20))}
    return add_sentinel_2(api, f"S2_{day}", bands, applied=True, when=f"{day}T18:59:19Z", **more)


@pytest.fixture
def summer(api):
    """Five dates on three pages, and where they are."""
    for month in (5, 6, 7, 8, 9):
        add_date(api, f"2020-0{month}-15", **{"eo:cloud_cover": 10.0 * month})
    return dict(bbox=api.items[0]["bbox"], catalog=api.url)


months = lambda scene: scene.time.dt.month.values.tolist()


# ---- asking ----


def test_all_pages_come(api, summer):
    assert months(open_stac(**summer)) == [5, 6, 7, 8, 9]
    assert api.log.count("/search") == 3


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        ("2020-07/2020-09", [7, 8, 9]),
        ("2020-08-15", [8]),
        ("2020", [5, 6, 7, 8, 9]),
        (2020, [5, 6, 7, 8, 9]),
        ("2020-08/..", [8, 9]),
        (("2020-06", "2020-07-15"), [6, 7]),
        ((dt.datetime(2020, 6, 1), dt.datetime(2020, 6, 30, tzinfo=dt.UTC)), [6]),
        ((None, dt.date(2020, 6, 1)), [5]),
        (pd.Timestamp("2020-08-15T03:00"), [8]),
        (np.datetime64("2020-08-15"), [8]),
        ((np.datetime64("2020-08-15T18:00"), None), [8, 9]),
    ],
)
def test_dates(api, summer, dates, found):
    assert months(open_stac(dates=dates, **summer)) == found


@pytest.mark.parametrize("dates", ["summer", "2020-09/2020-07", ("2020", "2021", "2022"), "15.8.2020"])
def test_what_is_no_date(dates):
    with pytest.raises(GlacierlabError, match=r"dates="):
        dates_text(dates)


@pytest.mark.parametrize("conforms", [True, False])
def test_cloud_cover_of_the_tile(api, summer, conforms):
    if not conforms:  # a catalog that cannot filter by properties
        api.conforms = api.conforms[:-1]
    assert months(open_stac(max_cloud=70, **summer)) == [5, 6, 7]


def test_query_and_platform(api, summer):
    add_date(api, "2020-08-20", platform="sentinel-2a")
    assert months(open_stac(query={"eo:cloud_cover": {"eq": 60.0}}, **summer)) == [6]
    assert open_stac(sensor="sentinel-2a", **summer).platform.values.tolist() == ["sentinel-2a"]
    assert open_stac(sensor="sentinel-2", **summer).sizes["time"] == 6


def test_more_than_max_items_is_told(api, summer):
    with pytest.warns(DataWarning, match=r"More than max_items=2"):
        assert open_stac(max_items=2, **summer).sizes["time"] == 2


def test_the_modifier_signs_every_item(api, summer):
    def sign(answer):
        for item in answer.get("features", []) if isinstance(answer, dict) else answer:
            assets = item["assets"] if isinstance(item, dict) else item.assets
            for asset in assets.values():
                asset["href"] += "?sig=secret"

    scene = open_stac(modifier=sign, dates="2020-08", bands=["red"], **summer)
    assert float(scene.red.max()) == pytest.approx(0.3)
    assert all(path.endswith("?sig=secret") for path in api.files_read())
    api.status["/files/S2_2020-07-15/red.tif"] = 403
    with pytest.raises(SceneError, match=r"S2_2020-07-15/red.tif cannot be read") as caught:
        open_stac(modifier=sign, dates="2020-07", bands=["red"], **summer).compute()
    assert "secret" not in str(caught.value)


# ---- where ----


def test_one_area_in_many_forms(api, summer):
    west, south, east, north = summer["bbox"]
    box = shapely.box(west, south, east, north)
    frame = gpd.GeoDataFrame(geometry=[box], crs=4326)
    forms = [box, frame, frame.to_crs(32611), frame.geometry, box.__geo_interface__]
    forms += [
        {"type": "Feature", "geometry": box.__geo_interface__, "properties": {}},
        frame.__geo_interface__,
    ]
    expected = open_stac(dates="2020-08", **summer)
    for form in forms:
        found = open_stac(dates="2020-08", geometry=form, catalog=api.url)
        assert found.sizes == expected.sizes
        np.testing.assert_array_equal(found.x, expected.x)


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ((12, 46, 10, 47), "west < east"),  # corners swapped
        ((10, 47, 12, 46), "south < north"),
        ((10, 46, 10, 47), "no extent"),
        ((10, 46, 11), "not .west"),
        ((478_000, 5_784_000, 479_000, 5_785_000), "GeoDataFrame"),
        ((10, float("nan"), 11, 47), "not finite"),
    ],
)
def test_what_is_no_bbox(bbox, message):
    with pytest.raises(GridError, match=message):
        area_of(bbox=bbox)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (shapely.Point(10, 46), "no extent.*buffer"),
        (gpd.GeoSeries([shapely.box(10, 46, 11, 47)]), "no CRS"),
        (shapely.box(478_000, 5_784_000, 479_000, 5_785_000), "not in degrees"),
        ({"type": "Nonsense"}, "cannot be read"),
        (shapely.Polygon(), "empty"),
    ],
)
def test_what_is_no_area(geometry, message):
    with pytest.raises(GridError, match=message):
        area_of(geometry=geometry)


def test_an_area_is_needed_and_one_only():
    with pytest.raises(GridError, match="Where"):
        open_stac(dates="2020")
    with pytest.raises(GlacierlabError, match="no dict"):
        open_stac(bbox=(1, 1, 2, 2), query=["eo:cloud_cover<10"])
    with pytest.raises(GridError, match="not both"):
        open_stac(bbox=(1, 1, 2, 2), geometry=shapely.box(1, 1, 2, 2))


# ---- what goes wrong ----


def test_nothing_found_says_what_was_asked(api, summer):
    with pytest.raises(
        SceneError, match=r"No scenes of 'sentinel-2-l2a'.*dates 1999, cloud up to 5 %: widen"
    ):
        open_stac(dates="1999", max_cloud=5, **summer)
    with pytest.raises(SceneError, match="No scenes"):
        open_stac(bbox=(10, 46, 11, 47), catalog=api.url)


def test_a_collection_that_is_not_there(api, summer):
    api.collections = ("landsat-c2-l2",)
    with pytest.raises(
        UnknownNameError, match=r"has no collection 'sentinel-2-c1-l2a' among 1; it has \['landsat-c2-l2'\]"
    ):
        open_stac(collection="sentinel-2-c1-l2a", **summer)


def test_a_platform_that_nobody_tells(api):
    item = add_date(api, "2020-08-15", platform="")
    with pytest.raises(SceneError, match="do not name their platform: say sensor="):
        open_stac(pystac.Item.from_dict(item))
    assert open_stac(pystac.Item.from_dict(item), sensor="sentinel-2").sizes["time"] == 1


def test_names_that_nobody_knows(summer):
    with pytest.raises(UnknownNameError, match="Did you mean 'sentinel-2-l2a'"):
        open_stac(**summer, collection="sentinel-2-l2")
    with pytest.raises(UnknownNameError, match="Did you mean 'earth-search'"):
        open_stac(bbox=(1, 1, 2, 2), catalog="earthsearch")
    with pytest.raises(UnknownNameError, match="No STAC collection of 'aster'"):
        open_stac(**summer, sensor="aster")


def test_another_catalogues_collection_needs_its_sensor(api):
    item = add_date(api, "2020-08-15", collection="s2_l2a")
    api.collections += ("s2_l2a",)
    area = dict(bbox=item["bbox"], catalog=api.url, collection="s2_l2a")
    with pytest.raises(UnknownNameError, match="Unknown collection 's2_l2a'"):
        open_stac(**area)
    with pytest.warns(DataWarning, match=r"'s2_l2a' is not known.*sentinel-2-l2a"):
        scene = open_stac(sensor="sentinel-2", **area)
    assert float(scene.red.max()) == pytest.approx(0.3)


def within(seconds, action):
    """An error of ours, and in time."""
    began = time.monotonic()
    with pytest.raises(SceneError) as caught:
        action()
    assert time.monotonic() - began < seconds
    return str(caught.value)


def test_an_unreachable_catalogue(api, summer):
    told = within(20, lambda: open_stac(bbox=(1, 1, 2, 2), catalog="http://127.0.0.1:9"))
    assert "http://127.0.0.1:9 cannot be reached. Check the address" in told


def test_a_catalogue_out_of_order(api, summer):
    api.status["/search"] = 500
    told = within(20, lambda: open_stac(**summer))
    assert "HTTP status 500" in told
    assert api.log.count("/search") == 1
    api.status["/search"] = 503  # asked again, but not for minutes
    assert "HTTP status 503" in within(30, lambda: open_stac(**summer))
    assert api.log.count("/search") == 4


def test_a_catalogue_that_does_not_answer_in_time(api, summer):
    api.delay["/search"] = 5
    told = within(5, lambda: open_stac(timeout=0.5, **summer))
    assert "did not answer within 0.5 s" in told
    assert api.log.count("/search") == 1


@pytest.mark.parametrize("text", ["<html>Sign in</html>", "{}", "[]"])
def test_what_is_no_stac_api(api, summer, text):
    api.text[""] = text
    assert "as a STAC API does" in within(20, lambda: open_stac(**summer))


def test_a_file_that_vanished_is_named_while_computing(api, summer):
    scene = open_stac(dates="2020-07/2020-08", **summer)
    path = api.folder / "S2_2020-08-15/red.tif"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(SceneError, match=r"S2_2020-08-15/red.tif cannot be read.*leave the scene out"):
        scene.compute()
    assert float(scene.red.isel(time=0).max()) == pytest.approx(0.3)
    path.write_bytes(content)  # trying again is worth it
    assert float(scene.red.isel(time=1).max()) == pytest.approx(0.3)


def test_a_file_server_that_does_not_answer_in_time(api, summer):
    api.delay["/files/S2_2020-08-15/red.tif"] = 30
    scene = open_stac(dates="2020-08", bands=["red"], timeout=1, **summer)
    assert "red.tif cannot be read" in within(25, scene.compute)


def test_a_damaged_file(api, summer):
    path = api.folder / "S2_2020-08-15/red.tif"
    path.write_bytes(path.read_bytes()[:300])
    assert "red.tif cannot be read" in within(20, open_stac(dates="2020-08", **summer).compute)


# ---- which scenes to take ----


def patchwork(share_of_cloud, share_of_snow):
    """SCL (20, 20) with so many columns of cloud and, beside them, of snow."""
    scl = np.full((20, 20), CLEAR)
    scl[:, : round(20 * share_of_cloud)] = CLOUD
    scl[:, 20 - round(20 * share_of_snow) :] = SNOW
    return scl


@pytest.fixture
def choice(api):
    """Dates good and bad, and an area within them."""
    for day, scl, tile_cloud in [
        ("2020-08-15", patchwork(0, 0.25), 90.0),  # the tile is cloudy, the area is not
        ("2020-08-20", patchwork(0.5, 0.25), 1.0),
        ("2020-08-25", patchwork(0, 0.75), 2.0),  # fresh snow
        ("2020-02-15", patchwork(0, 0.25), 0.0),  # winter
    ]:
        add_date(api, day, scl, **{"eo:cloud_cover": tile_cloud})
    return dict(bbox=api.items[0]["bbox"], catalog=api.url, resolution=20)


def test_scenes_are_ranked_by_what_the_area_shows(api, choice):
    table = find_scenes(**choice)
    assert table.datetime.dt.strftime("%m-%d").tolist() == ["08-15", "08-20", "08-25", "02-15"]
    best, cloudy, snowy, winter = table.itertuples()
    assert best.tile_cloud_share == 0.9
    assert (best.covered_share, best.cloud_share) == (pytest.approx(1, abs=0.2), 0)
    assert best.snow_share == pytest.approx(0.25, abs=0.02)
    assert cloudy.cloud_share == pytest.approx(0.5, abs=0.02)
    assert cloudy.snow_share == pytest.approx(0.5, abs=0.02)  # of the ground that is seen
    assert snowy.snow_share == pytest.approx(0.75, abs=0.02)
    assert (best.season_day, winter.score) == (46, 0)  # July and 15 days
    assert best.score == pytest.approx(best.covered_share * (1 - best.snow_share))
    assert table.score.between(0, 1).all()
    assert table.crs.to_epsg() == 4326
    assert {path.rpartition("/")[2] for path in api.files_read()} == {"scl.tif"}


def test_the_table_opens_whole_by_rows_and_by_row(api, choice):
    table = find_scenes(**choice)
    assert open_stac(table).sizes["time"] == 4
    for one in (table.iloc[[1]], table.iloc[1], table.loc[1, "items"]):
        scene = open_stac(one)
        assert scene.attrs["title"] == "S2_2020-08-20"
    cut = find_scenes(**choice | {"bbox": shapely.box(*choice["bbox"]).buffer(-0.001).bounds})
    assert open_stac(cut.head(1)).sizes["x"] < scene.sizes["x"]  # the area goes with the table


def test_glaciers_are_left_out_of_the_snow(api, choice):
    west, south, east, north = choice["bbox"]
    ice = gpd.GeoDataFrame(geometry=[shapely.box((west + 2 * east) / 3, south, east, north)], crs=4326)
    table = find_scenes(**choice, glaciers=ice.to_crs(32611))
    assert table.set_index("id").snow_share["S2_2020-08-15"] == 0


def test_without_looking_no_file_is_read(api, choice):
    table = find_scenes(**choice, look=False)
    assert not api.files_read()
    assert table.cloud_share.isna().all()
    assert table.id[0] == "S2_2020-08-20"  # by the catalog's clouds
    assert table.score[0] == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("south", "season", "day", "score"),
    [
        (False, ("07-01", "09-30"), 46, 1.0),
        (True, ("07-01", "09-30"), 228, 0.0),  # January to March: 137 days after it, 139 before the next
        (False, ("06-01", "08-10"), 76, 1 - 5 / 60),
        (False, ("12-01", "02-28"), -107, 0.0),
    ],
)
def test_the_season(api, south, season, day, score):
    crs = "EPSG:32711" if south else "EPSG:32611"
    add_date(api, "2020-08-15", crs=crs)
    table = find_scenes(bbox=api.items[0]["bbox"], catalog=api.url, season=season, resolution=20)
    assert table.season_day[0] == day
    assert table.score[0] == pytest.approx(score * table.covered_share[0])


def test_a_missing_quality_layer_is_told_and_the_rest_ranked(api, choice):
    (api.folder / "S2_2020-08-15/scl.tif").unlink()
    with pytest.warns(DataWarning, match=r"1 of 4 scenes cannot be read; S2_2020-08-15: .*scl.tif"):
        table = find_scenes(**choice)
    assert np.isnan(table.set_index("id").cloud_share["S2_2020-08-15"])
    assert table.cloud_share.notna().sum() == 3


def test_no_quality_layer_at_all(api, choice):
    for path in api.folder.glob("*/scl.tif"):
        path.unlink()
    with pytest.raises(SceneError, match=r"No quality layer.*look=False.*scl.tif"):
        find_scenes(**choice)


def test_landsat_clouds_and_several_platforms(api):
    qa = np.full((20, 20), 21824)
    qa[:5], qa[5:10], qa[10:15] = 1 << 3, 1 << 4, 30048  # cloud, shadow, clear snow
    add_landsat(api, bands={"B4": np.full((20, 20), 9000), "QA_PIXEL": qa})
    add_landsat(api, "LE07", {"B4": np.full((20, 20), 9000), "QA_PIXEL": qa}, platform="landsat-7")
    table = find_scenes(bbox=api.items[0]["bbox"], catalog=api.url, collection="landsat-c2-l2", resolution=30)
    assert sorted(table.sensor) == ["landsat_etm", "landsat_oli"]
    assert table.cloud_share.tolist() == [pytest.approx(0.5, abs=0.03)] * 2
    assert table.snow_share.tolist() == [pytest.approx(0.5, abs=0.05)] * 2


@pytest.mark.parametrize(
    "options", [{"resolution": 0}, {"off_season_days": 0}, {"season": ("July", "August")}]
)
def test_wrong_arguments_of_the_ranking(options):
    with pytest.raises(GlacierlabError):
        find_scenes(bbox=(1, 1, 2, 2), **options)
