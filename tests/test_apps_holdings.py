"""What files, folders and Python objects hold for the apps."""

import shutil

import geopandas as gpd
import numpy as np
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr
from commands import call

import glacierlab as gl
from glacierlab.apps import held, holdings_of
from glacierlab.apps import holdings as module
from glacierlab.apps.holdings import in_time
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError, SceneError

SHAPE = (90, 90)


@pytest.fixture(scope="session")
def world():
    return gl.synthetic_world(6, [2000, 2020], SHAPE)


@pytest.fixture(scope="session")
def written(world, tmp_path_factory):
    """What `glacierlab demo` writes: a later date, an earlier one, and the later by another threshold."""
    folder = tmp_path_factory.mktemp("written") / "demo"
    for year, place, value in (
        (2000, folder / "2000", None),
        (2020, folder, None),
        (2020, folder / "model", 1.5),
    ):
        scene = world.scene(year)
        gl.write_folder(place, scene, scene.glacier.map_glaciers(value=value))
    return folder


@pytest.fixture(scope="session")
def changed(written, tmp_path_factory):
    """What `glacierlab change` writes of them."""
    folder = tmp_path_factory.mktemp("changed") / "change"
    tables = {
        year: gl.open_inventory(written / part / "outlines.gpkg")
        for year, part in (("2000", "2000"), ("2020", ""))
    }
    gl.write_change(folder, tables)
    return folder


@pytest.fixture
def copied(written, tmp_path):
    """A copy of them, to be broken."""
    return shutil.copytree(written, tmp_path / "demo")


# ---- folders ----


def test_a_demo_is_opened_whole(written, world):
    found = holdings_of(written)
    assert found.labels == list(found.scenes) == list(found.outlines) == ["2000-09-15", "2020-09-15"]
    assert set(found.predictions) == set(found.scenes)
    assert list(found.rivals) == ["red/swir16 > 1.5"]
    assert found.files == {
        "2000-09-15": written / "2000/outlines.gpkg",
        "2020-09-15": written / "outlines.gpkg",
    }
    xr.testing.assert_equal(found.dem.drop_attrs(), world.scene(2020)["elevation"].drop_attrs())
    assert found.crs == world.scene(2020).rio.crs
    assert found.bounds == world.scene(2020).rio.bounds()
    later = gpd.read_file(written / "outlines.gpkg")
    assert found.outlines["2020-09-15"].area_km2.sum() == pytest.approx(later.area_km2.sum(), rel=1e-6)
    assert "not a real place" in found.facts["2020-09-15"]


def test_the_folder_that_was_opened_is_as_it_was(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    found = holdings_of(written)
    found.scenes["2020-09-15"]["red"].values.sum()
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_what_change_wrote_has_every_date_and_its_series(changed):
    found = holdings_of(changed)
    assert found.labels == ["2000", "2020"]
    assert found.scenes == found.files == {}
    assert found.series.glacier.iloc[-1] == "total"
    total = found.series[found.series.glacier == "total"].set_index("window").area_km2
    for label, table in found.outlines.items():
        assert table.area_km2.sum() == pytest.approx(total[label])
    assert found.crs.to_epsg() == 32645


def test_change_can_be_told_again_of_what_it_wrote(changed):
    again = gl.change.assess(holdings_of(changed).outlines)
    assert again.labels == ["2000", "2020"]
    whole = again.changes[again.changes.glacier == "total"].iloc[-1]
    told = holdings_of(changed).series.query("glacier == 'total'").area_km2.tolist()
    assert [whole.area_1_km2, whole.area_2_km2] == pytest.approx(told)


def test_a_batch_is_its_scenes(world, tmp_path):
    for name, year in (("b", 2000), ("a", 2020)):
        gl.write_folder(tmp_path / name, world.scene(year), world.scene(year).glacier.map_glaciers())
    (tmp_path / "summary.csv").write_text("scene,status\na,ok\n")
    assert holdings_of(tmp_path).labels == ["2000-09-15", "2020-09-15"]


def test_two_places_of_one_day_are_two(world, tmp_path):
    scene = world.scene(2020)
    for name, part in (("a", scene.isel(x=slice(0, 45))), ("b", scene.isel(x=slice(45, 90)))):
        gl.write_folder(tmp_path / name, part, part.glacier.map_glaciers())
    found = holdings_of(tmp_path)
    assert found.labels == ["2020-09-15", "2020-09-15 (2)"]
    assert found.rivals == {}
    assert found.bounds == scene.rio.bounds()


def test_a_folder_of_bands_and_an_outline(data):
    found = holdings_of(data / "athabasca")
    assert found.labels == ["2020-08-16"]
    assert {"red", "swir16", "elevation"} <= set(found.scenes["2020-08-16"])
    assert found.dem is not None
    assert len(found.outlines["2020-08-16"]) == 1
    assert found.files == {}  # a shapefile is not written to


def test_files_one_by_one(written, changed):
    found = holdings_of(
        written / "scene.tif", written / "class_map.tif", written / "outlines.gpkg", changed / "series.csv"
    )
    assert found.labels == list(found.predictions) == list(found.outlines) == ["2020-09-15"]
    assert found.series is not None
    assert found.files == {"2020-09-15": written / "outlines.gpkg"}


def test_a_dem_is_known_by_its_name(written, tmp_path):
    scene = gl.open_scene(written / "scene.tif")
    gl.write_raster(scene["elevation"] + 5, tmp_path / "my_dem.tif")
    gl.write_raster(scene.drop_vars("elevation"), tmp_path / "image.tif")
    found = holdings_of(tmp_path / "image.tif", tmp_path / "my_dem.tif")
    np.testing.assert_allclose(found.dem, scene["elevation"] + 5)
    assert list(found.scenes) == ["2020-09-15"]


def test_an_older_inventory_beside_a_map_is_a_rival(written, tmp_path):
    shutil.copy(written / "2000/outlines.gpkg", tmp_path / "reference.gpkg")
    found = holdings_of(written / "model", tmp_path / "reference.gpkg")
    assert found.labels == ["2020-09-15"]
    assert list(found.rivals) == ["reference"]


# ---- what is broken ----


def test_a_folder_of_nothing_says_what_was_looked_for(tmp_path, capsys):
    with pytest.raises(GlacierlabError, match=r"nothing there to show. Looked for scene.tif.*glaciers.gpkg"):
        holdings_of(tmp_path)
    with pytest.raises(GlacierlabError, match="does not exist"):
        holdings_of(tmp_path / "none")
    with pytest.raises(GlacierlabError, match="nothing to show"):
        holdings_of()


def test_broken_files_of_a_folder_are_told_and_left_out(copied):
    whole = (copied / "outlines.gpkg").read_bytes()
    (copied / "outlines.gpkg").write_bytes(whole[: len(whole) // 3])
    (copied / "2000/class_map.tif").write_text("no raster at all")
    with pytest.warns(DataWarning) as told:
        found = holdings_of(copied)
    texts = sorted(str(one.message) for one in told if one.category is DataWarning)
    assert len(texts) == 2
    assert "2000/class_map.tif" in texts[0]
    assert "demo/outlines.gpkg" in texts[1]
    assert all("\n" not in text for text in texts)
    assert list(found.scenes) == ["2000-09-15", "2020-09-15"]
    assert list(found.predictions) == ["2020-09-15"]
    assert "2000-09-15" in found.outlines


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("outlines.gpkg", InventoryError),
        ("scene.tif", SceneError),
        ("class_map.tif", SceneError),
        ("series.csv", InventoryError),
    ],
)
@pytest.mark.filterwarnings("ignore:GPKG:RuntimeWarning")  # GDAL's own word, not shown by the command line
@pytest.mark.parametrize(
    "content",
    [b"", b"plain text", b"\x00\xff" * 999, b"SQLite format 3\x00" + b"\x00" * 84],
    ids=["empty", "text", "noise", "cut"],
)
def test_a_broken_file_that_is_named_is_refused(tmp_path, name, error, content, capsys):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=name):
        holdings_of(tmp_path / name)
    code, _, err = call(capsys, "inspect", tmp_path / name, "--no-browser", "--port", "0")
    assert code == 2
    assert name in err
    assert err.count("\n") == 1


def test_a_folder_of_broken_files_says_why(copied):
    shutil.rmtree(copied / "2000")
    shutil.rmtree(copied / "model")
    for path in copied.iterdir():
        path.write_bytes(b"plain text")
    with pytest.raises(
        GlacierlabError, match=r"nothing there to show.*scene.tif.*class_map.tif.*outlines.gpkg"
    ):
        holdings_of(copied)


def test_a_link_that_leads_around_ends(copied):
    (copied / "around").symlink_to(copied)
    assert holdings_of(copied).labels == ["2000-09-15", "2020-09-15"]


# ---- Python objects ----


def test_one_scene_its_map_and_its_outlines(world):
    scene = world.scene(2020)
    prediction = scene.glacier.map_glaciers()
    outlines = gl.vectorize(prediction["class_map"])
    found = held(scene, prediction, outlines)
    assert found.labels == list(found.predictions) == list(found.outlines) == ["2020-09-15"]
    assert found.dem is not None
    xr.testing.assert_equal(found.scenes["2020-09-15"], scene)
    codes = held(scene, prediction["class_map"]).predictions["2020-09-15"]
    assert "class_map" in codes


def test_an_old_outline_on_a_new_scene_is_of_that_scene(athabasca, athabasca_outline):
    found = held(athabasca, outlines=athabasca_outline)
    assert list(found.outlines) == ["2020-08-16"]
    assert found.outlines["2020-08-16"].src_date.iloc[0] == athabasca_outline.src_date.iloc[0]


def test_scenes_by_time_by_list_and_by_name(world):
    scenes = [world.scene(2020), world.scene(2000)]
    stacked = xr.concat(
        [scene.drop_vars("truth") for scene in reversed(scenes)], "time", combine_attrs="drop_conflicts"
    )
    stacked = stacked.assign_coords(time=np.array(["2000-09-15", "2020-09-15"], "datetime64[ns]"))
    for given in (scenes, stacked):
        assert held(given).labels == ["2000-09-15", "2020-09-15"]
    assert held({"2020": scenes[0], "before": scenes[1]}).labels == ["2020", "before"]
    maps = [scene.glacier.map_glaciers() for scene in scenes]
    found = held(scenes, maps)
    for label, one in found.predictions.items():
        assert one.attrs.get("datetime", one["class_map"].attrs.get("datetime"))[:10] == label


def test_inventories_by_date(world):
    tables = {year: world.outlines(year) for year in (2020, 2000)}
    assert held(outlines=tables).labels == ["2000", "2020"]
    found = held(outlines=list(tables.values()))
    assert len(found.labels) == 2
    assert found.labels == sorted(found.labels)


def test_every_outline_with_a_date_is_in_one_of_the_dates(world):
    table = world.outlines(2000)
    table = gpd.GeoDataFrame(
        {"rgi_id": ["a", "b", "c"]}, geometry=[table.geometry.iloc[0]] * 3, crs=table.crs
    )
    found = held(outlines=table.assign(date=["2000", "2000-01-01/2000-12-31", "2000-06-01"])).outlines
    assert {label: part.rgi_id.tolist() for label, part in found.items()} == {
        "2000": ["a", "b"],
        "2000-06-01": ["c"],
    }
    both = held(outlines={2000: table, "2000-01-01/2000-12-31": table}).outlines
    assert [len(part) for part in both.values()] == [3, 3]
    none = held(world.scene(2000), outlines=table.assign(date="2000").iloc[:0])
    assert [len(part) for part in none.outlines.values()] == [0]


def test_degrees_become_meters_and_several_crs_one(world):
    tables = {"2000": world.outlines(2000).to_crs("EPSG:4326"), "2020": world.outlines(2020)}
    found = held(outlines=tables)
    assert found.crs.is_projected
    assert all(table.crs == found.crs for table in found.outlines.values())
    again = found.outlines["2020"].geometry.to_crs(tables["2020"].crs)
    off_m2 = shapely.area(shapely.symmetric_difference(again, tables["2020"].geometry)).sum()
    assert off_m2 < 1e-3 * again.length.sum()  # less than a millimeter along the borders
    on_scene = held(world.scene(2020), outlines=tables["2000"])
    assert on_scene.crs == world.scene(2020).rio.crs
    assert on_scene.outlines["2020-09-15"].crs == on_scene.crs


def test_paths_and_holdings_are_taken_too(written, changed):
    found = held(str(written))
    assert held(found).labels == found.labels
    both = held(outlines=changed)
    assert both.labels == ["2000", "2020"]
    single = held(written / "model" / "scene.tif", outlines=written / "outlines.gpkg")
    assert list(single.outlines) == ["2020-09-15"]
    assert single.files == {"2020-09-15": written / "outlines.gpkg"}
    assert held(written, series=changed / "series.csv").series is not None


def test_files_in_any_order_belong_together(written, tmp_path):
    undated = gl.open_scene(written / "scene.tif")
    undated.attrs.pop("datetime")
    gl.write_raster(undated, tmp_path / "image.tif")
    codes = gl.open_map(written / "class_map.tif")
    codes.attrs.pop("datetime")
    gl.write_raster(codes, tmp_path / "codes.tif")
    for paths in (("image.tif", "codes.tif"), ("codes.tif", "image.tif")):
        found = holdings_of(written / "outlines.gpkg", *(tmp_path / name for name in paths))
        assert found.labels == list(found.predictions) == list(found.outlines) == ["image"]
        assert list(found.files) == ["image"]
    found = held(tmp_path / "image.tif", tmp_path / "codes.tif", written / "outlines.gpkg")
    assert found.labels == list(found.predictions) == list(found.outlines) == ["image"]
    with pytest.raises(GlacierlabError, match="give a scene or outlines"):
        holdings_of(tmp_path / "codes.tif")


def test_edits_of_tables_in_memory_have_no_file(written):
    found = holdings_of(written)
    tables = dict(found.outlines)
    assert held(found, outlines=tables).files == {}


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (dict(), GlacierlabError, "nothing to show"),
        (dict(scenes=3), GlacierlabError, "A scene is an xarray Dataset"),
        (dict(outlines=3), InventoryError, "needs outlines"),
        (dict(outlines=gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)])), InventoryError, "needs a CRS"),
        (
            dict(outlines=gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=32645)),
            InventoryError,
            "needs polygons",
        ),
    ],
)
def test_what_is_no_scene_and_no_outline_is_refused(arguments, error, told):
    with pytest.raises(error, match=told):
        held(**arguments)


def test_scenes_without_crs_and_in_degrees_are_refused(world):
    scene = world.scene(2020)
    with pytest.raises(GridError, match="needs a CRS"):
        held(scene.drop_vars("spatial_ref"))
    with pytest.raises(GridError, match="in degrees"):
        held(scene.rio.reproject("EPSG:4326"))
    with pytest.raises(GlacierlabError, match="2 maps of 1 scenes"):
        held(scene, [scene.glacier.map_glaciers()] * 2)
    with pytest.raises(GlacierlabError, match="label both alike"):
        held({"2020": scene}, {"2021": scene.glacier.map_glaciers()})


# ---- size and order ----


def test_small_scenes_are_read_now_and_large_ones_by_chunks(written, monkeypatch):
    now = holdings_of(written)
    assert all(scene["red"].chunks is None for scene in now.scenes.values())
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    later = holdings_of(written)
    assert all(scene["red"].chunks is not None for scene in later.scenes.values())
    assert all(one["class_map"].chunks is not None for one in later.predictions.values())
    for label, scene in now.scenes.items():
        xr.testing.assert_equal(later.scenes[label].compute(), scene)


def test_dates_come_in_order_of_time_and_names_after():
    labels = ["b", "2020", "1998/2001", "1999-07-01", "a", "2020-01-01", "2020"]
    assert in_time(labels) == ["1999-07-01", "1998/2001", "2020-01-01", "2020", "a", "b"]


def test_holdings_are_known_by_identity(written):
    one, two = holdings_of(written), holdings_of(written)
    assert one != two
    assert len({one, two, one}) == 2
    with pytest.raises(AttributeError):
        one.scenes = {}
