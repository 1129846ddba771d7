"""Attributes of RGI 7.0 and hypsometry: published rows, planes, other libraries, and bad input."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio.mask
import rioxarray
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError
from glacierlab.features.dem import terrain
from glacierlab.tables import EXTRA_COLUMNS, RGI7

attributes, hypsometry = gl.outlines.attributes, gl.outlines.hypsometry

UTM = "EPSG:32632"
EAST, NORTH = 640_000.0, 5_190_000.0


def plane(azimuth=135.0, slope=20.0, pixel=20.0, side=300, crs=UTM):
    """A DEM about (EAST, NORTH), 3000 m there, that falls towards an azimuth."""
    x = EAST + pixel * (np.arange(side) - side / 2 + 0.5)
    y = NORTH - pixel * (np.arange(side) - side / 2 + 0.5)
    turn = np.radians(azimuth)
    fall = (x - EAST) * np.sin(turn) + (y[:, np.newaxis] - NORTH) * np.cos(turn)
    heights = (3000 - np.tan(np.radians(slope)) * fall).astype("float32")
    return xr.DataArray(heights, {"y": y, "x": x}, ("y", "x"), name="made").rio.write_crs(crs)


def glaciers(*shapes, crs=UTM, **columns):
    ids = [f"g{place}" for place in range(len(shapes))]
    return gpd.GeoDataFrame({"rgi_id": ids} | columns, geometry=list(shapes), crs=crs)


def disc(radius=600.0, x=EAST, y=NORTH):
    return shapely.Point(x, y).buffer(radius)


@pytest.fixture(scope="module")
def oetztal(data):
    """Twenty glaciers with RGI 5's columns beside ours."""
    outlines = gpd.read_file(data / "oggm/rgi_oetztal.shp")
    with pytest.warns(DataWarning, match=r"3 glaciers .* rings are invalid"):
        return attributes(outlines, data / "oggm/srtm_oetztal.tif")


def test_oetztal_agrees_with_its_published_rows(oetztal):
    assert (oetztal.area_km2 / oetztal.Area - 1).abs().max() < 0.005
    assert (oetztal.zmed_m - oetztal.Zmed).abs().max() < 35
    assert (oetztal.slope_deg - oetztal.Slope).abs().max() < 4
    assert (oetztal.dem_frac == 1).all()
    undivided = oetztal[~oetztal.RGIId.str.contains("_d")]  # RGI 5's row is that of the whole
    off = {
        name: undivided[ours] - undivided[name] for name, ours in {"Zmin": "zmin_m", "Zmax": "zmax_m"}.items()
    }
    assert off["Zmin"].between(-20, 55).all()
    assert off["Zmax"].between(-5, 50).all()
    assert (undivided.lmax_m / undivided.Lmax).between(0.93, 1.37).all()  # by other center lines
    assert (undivided.zmin_m - undivided.Zmin).abs().median() < 15
    assert (undivided.zmax_m - undivided.Zmax).abs().median() < 15
    turned = (undivided.aspect_deg - undivided.Aspect + 180) % 360 - 180
    assert turned.abs().max() < 10
    assert (undivided.lmax_m / undivided.Lmax - 1).abs().median() < 0.05


def test_hintereisferner_agrees_with_rgi_7(data):
    published = gpd.read_file(data / "oggm/rgi7g_hef.shp")
    ours = attributes(published, data / "oggm/srtm_oetztal.tif").iloc[0]
    row = published.iloc[0]
    assert ours.lmax_m == pytest.approx(row.lmax_m, rel=0.15)
    assert ours.area_km2 == pytest.approx(row.area_km2, rel=1e-6)
    assert (ours.cenlon, ours.cenlat) == pytest.approx((row.cenlon, row.cenlat), abs=1e-9)
    assert (ours.utm_zone, ours.aspect_sec) == (row.utm_zone, row.aspect_sec)
    assert ours.zmed_m == pytest.approx(row.zmed_m, abs=35)
    assert ours.slope_deg == pytest.approx(row.slope_deg, abs=4)
    assert ours.aspect_deg == pytest.approx(row.aspect_deg, abs=15)
    away = gpd.GeoSeries.from_xy([ours.termlon, row.termlon], [ours.termlat, row.termlat], crs=4326)
    assert away.to_crs(UTM)[0].distance(away.to_crs(UTM)[1]) < 150
    assert ours.dem_source == "srtm_oetztal.tif"
    kept = ["rgi_id", "o1region", "o2region", "glims_id", "anlys_id", "subm_id", "src_date", "glac_name"]
    assert [str(ours[name]) for name in kept] == [str(row[name]) for name in kept]


def test_schema_is_that_of_the_published_file(data):
    published = gpd.read_file(data / "oggm/rgi7g_hef.shp")
    assert list(RGI7) == list(published.columns)
    kinds = {"str": "OSUT", "int": "iu", "float": "f", "geometry": "O"}
    for name, column in RGI7.items():
        assert published[name].dtype.kind in kinds[column.dtype], name
    assert not set(RGI7) & set(EXTRA_COLUMNS)


def test_the_table_is_whole_and_keeps_what_was_there():
    outlines = glaciers(
        disc(), disc(300, EAST + 1500), glac_name=["Made", None], surge_type=[3, 9], note=[7, 8]
    )
    outlines = outlines.assign(src_date=pd.to_datetime(["2003-07-30", None])).set_index(pd.Index([5, 2]))
    table = attributes(outlines, plane())
    assert list(table) == [*(name for name in RGI7 if name != "geometry"), "note", "dem_frac", "geometry"]
    assert list(table.index) == [5, 2]
    assert table.crs == outlines.crs
    assert table.geometry.geom_equals(outlines.geometry).all()
    assert list(table.glac_name) == ["Made", ""]
    assert list(table.src_date) == ["2003-07-30", ""]
    assert list(table.surge_type) == [3, 9]
    assert (table.term_type == 9).all()
    assert (table.primeclass == 0).all()
    assert (table.o1region == "").all()
    assert list(table.note) == [7, 8]
    kinds = {"str": "OSUT", "int": "i", "float": "f"}
    assert all(
        table[name].dtype.kind in kinds[RGI7[name].dtype]
        for name in table
        if name in RGI7 and name != "geometry"
    )
    assert set(table.dem_source) == {"made"}


@pytest.mark.parametrize(
    ("azimuth", "sector"),
    [(10.0, 1), (350.0, 1), (30.0, 2), (77.0, 3), (135.0, 4), (180.0, 5), (210.0, 6), (290.0, 7), (330.0, 8)],
)
def test_a_plane_has_its_slope_aspect_and_heights(azimuth, sector):
    row = attributes(glaciers(disc()), plane(azimuth, slope=20.0)).iloc[0]
    convergence = 1.34  # (10.84° - 9°) * sin(46.85°), between the grid's north and the pole
    assert row.slope_deg == pytest.approx(20.0, abs=0.01)
    assert row.aspect_deg == pytest.approx((azimuth + convergence) % 360, abs=0.02)
    assert row.aspect_sec == sector
    assert row.zmed_m == pytest.approx(3000, abs=1)
    assert row.zmean_m == pytest.approx(3000, abs=1)
    half = 600 * np.tan(np.radians(20))
    assert (row.zmin_m, row.zmax_m) == pytest.approx((3000 - half, 3000 + half), abs=6)  # a cell's half


def test_level_ground_looks_nowhere():
    row = attributes(glaciers(disc()), plane(slope=0.0)).iloc[0]
    assert row.slope_deg == pytest.approx(0, abs=1e-3)
    assert row.aspect_sec == 9
    assert np.isnan(row.aspect_deg)
    assert row.lmax_m > 1000


def test_on_the_dems_own_pixels_it_agrees_with_rasterio_and_terrain():
    side = np.arange(150)
    heights = 2500 + 300 * np.sin(side / 11) * np.cos(side[:, np.newaxis] / 17) + 4 * side
    coords = {"y": 5_200_000 - 100 * side - 50.0, "x": 600_000 + 100 * side + 50.0}
    dem = xr.DataArray(heights.astype("float32"), coords, ("y", "x")).rio.write_crs(UTM)
    outline = disc(5000, 607_510, 5_192_480)  # 79 km2: cells of 100 m, at multiples of 100
    row = attributes(glaciers(outline), dem).iloc[0]
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            dtype="float32",
            count=1,
            crs=UTM,
            transform=dem.rio.transform(),
            width=150,
            height=150,
        ) as file:
            file.write(dem.values, 1)
        with memory.open() as file:
            inside = ~np.ma.getmaskarray(rasterio.mask.mask(file, [outline], filled=False)[0][0])
    known = heights[inside]
    expected = (known.min(), known.max(), np.median(known), known.mean())
    assert (row.zmin_m, row.zmax_m, row.zmed_m, row.zmean_m) == pytest.approx(expected, abs=0.01)
    slope, aspect = terrain(dem, ["slope", "aspect"], gradient="zevenbergen_thorne").values[:, inside]
    assert row.slope_deg == pytest.approx(slope.mean(), abs=0.001)
    mean = np.arctan2(np.sin(np.radians(aspect)).mean(), np.cos(np.radians(aspect)).mean())
    assert row.aspect_deg == pytest.approx((np.degrees(mean) + 1.03) % 360, abs=0.05)


def test_memory_chunks_files_and_crs_are_one(tmp_path):
    dem, outlines = plane(), glaciers(disc(), disc(250, EAST - 1200))
    dem.rio.to_raster(tmp_path / "dem.tif")
    first = attributes(outlines, dem)
    measured = ["zmin_m", "zmax_m", "zmed_m", "slope_deg", "aspect_deg", "lmax_m", "area_km2"]
    for other in (dem.chunk(y=37, x=90), tmp_path / "dem.tif", dem[::-1]):
        pd.testing.assert_frame_equal(attributes(outlines, other)[measured], first[measured])
    degrees = attributes(outlines.to_crs(4326), dem)[measured].astype(float)
    pd.testing.assert_frame_equal(degrees, first[measured].astype(float), rtol=1e-3)
    reprojected = attributes(outlines, dem.rio.reproject("EPSG:4326", nodata=np.nan))[measured].astype(float)
    pd.testing.assert_frame_equal(reprojected, first[measured].astype(float), rtol=0.02)


def test_only_the_dem_below_is_read():
    dem = plane(side=600).chunk(y=100, x=100)

    def block(values, block_id=None):
        assert not block_id or max(block_id) < 5, "a block far away was read"
        return values

    dem = dem.copy(data=dem.data.map_blocks(block, meta=np.empty((0, 0), "float32")))
    assert attributes(glaciers(disc(800)), dem).dem_frac[0] == 1


def test_partial_cover_is_told_by_name():
    dem = plane()
    dem = dem.where((dem.x < EAST + 200) | (dem.x > EAST + 1500))
    outlines = glaciers(disc(), disc(200, EAST + 800), disc(200, EAST - 1000), disc(200, EAST + 90_000))
    with pytest.warns(DataWarning) as told:
        table = attributes(outlines, dem)
    messages = sorted(str(each.message) for each in told if each.category is DataWarning)
    assert [m.split(":")[0] for m in messages] == ["1 glacier (g0)", "2 glaciers (g1, g3)"]
    assert "less than 50% of them" in messages[1]
    assert list(table.dem_frac.round(1)) == [0.7, 0.0, 1.0, 0.0]
    assert table.zmed_m.isna().tolist() == [False, True, False, True]
    assert table.lmax_m.isna().tolist() == [False, True, False, True]
    assert table.aspect_sec.tolist()[1::2] == [9, 9]
    assert table.dem_source.tolist()[1::2] == ["", ""]
    assert (table.area_km2 > 0).all()
    with pytest.warns(DataWarning, match="less than 90%"):
        assert np.isnan(attributes(outlines[:1], dem, min_cover=0.9).zmed_m[0])


def test_small_thin_and_several_parts():
    pixel = shapely.box(EAST, NORTH, EAST + 30, NORTH + 30)
    sliver = shapely.box(EAST, NORTH, EAST + 400, NORTH + 0.5)
    parts = shapely.MultiPolygon([disc(400), disc(100, EAST + 1000)])
    with pytest.warns(
        DataWarning, match=r"2 glaciers \(g0, g1\): they are smaller than a pixel of the DEM \(90 m\)"
    ):
        table = attributes(glaciers(pixel, sliver, parts), plane(pixel=90.0))
    assert table.zmed_m.notna().all()
    assert table.slope_deg.to_numpy() == pytest.approx(20, abs=0.1)
    assert table.lmax_m.tolist() == pytest.approx([36, 400, 800], rel=0.2)


def test_rows_may_share_an_index_and_the_geometry_a_name():
    outlines = pd.concat([glaciers(disc()), glaciers(disc(250, EAST - 1200))]).rename_geometry("shape")
    table = attributes(outlines, plane())
    assert list(table.index) == [0, 0]
    assert table.geometry.geom_equals(outlines.geometry).all()
    assert table.lmax_m.tolist() == pytest.approx([1200, 500], rel=0.05)
    assert len(hypsometry(outlines, plane())) == 2


def test_an_empty_table_stays_one():
    table = attributes(glaciers(disc())[:0], plane())
    assert len(table) == 0
    assert set(RGI7) <= set(table)
    assert table.crs == UTM
    assert len(hypsometry(glaciers(disc())[:0], plane())) == 0


def around(lon, lat, tilt=60.0, step=1 / 1200, side=160):
    """A DEM in degrees about a place that falls towards an azimuth by 15 degrees, and a glacier there."""
    x, y = (middle + step * (np.arange(side) - side / 2 + 0.5) for middle in (lon, lat))
    east = (x - lon) * 111_320 * np.cos(np.radians(lat))
    fall = east * np.sin(np.radians(tilt)) + (y[:, np.newaxis] - lat) * 111_320 * np.cos(np.radians(tilt))
    heights = (1000 - np.tan(np.radians(15)) * fall).astype("float32")
    dem = xr.DataArray(heights, {"y": y, "x": x}, ("y", "x")).rio.write_crs(4326)
    turn = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return dem, np.column_stack([lon + 0.04 * np.cos(turn), lat + 0.012 * np.sin(turn)])


def outlines_across(ring):
    """One glacier about 180° E, as five files would hold it."""
    past, left, right = shapely.Polygon(ring), shapely.box(170, 0, 180, 90), shapely.box(180, 0, 190, 90)
    back = shapely.transform(past & right, lambda xy: xy - [360, 0])
    jumping = shapely.Polygon(np.column_stack([(ring[:, 0] + 180) % 360 - 180, ring[:, 1]]))
    degrees = [past, shapely.MultiPolygon([past & left, back]), jumping]
    tables = [glaciers(shape, crs="EPSG:4326") for shape in degrees]
    return [*tables, tables[0].to_crs("EPSG:3413"), tables[1].to_crs("EPSG:3413")]


def test_across_the_antimeridian_it_is_one_glacier():
    elsewhere, ring = around(3.0, 70.0)  # as far from the middle of its zone
    expected = attributes(glaciers(shapely.Polygon(ring), crs="EPSG:4326"), elsewhere).iloc[0]
    for dem in (around(180.0, 70.0)[0], around(-180.0, 70.0)[0]):
        for outlines in outlines_across(around(180.0, 70.0)[1]):
            found = attributes(outlines, dem).iloc[0]
            assert found.area_km2 == pytest.approx(expected.area_km2, rel=1e-6)
            for name in ("zmin_m", "zmed_m", "zmax_m", "slope_deg", "aspect_deg", "lmax_m"):
                tolerance = 0.02 if name == "lmax_m" else 0.01  # another grid
                assert found[name] == pytest.approx(expected[name], rel=tolerance), name
            assert abs(found.cenlon) == pytest.approx(180, abs=0.01)
            assert abs((found.termlon - 180) % 360) == pytest.approx(expected.termlon - 3, abs=0.002)
            assert found.utm_zone in (1, 60)
            assert found.dem_frac == 1


@pytest.mark.parametrize(("lon", "lat"), [(-40.0, 86.0), (100.0, -86.0)])
def test_beyond_utm_the_aspect_is_still_from_true_north(lon, lat):
    dem, ring = around(lon, lat)
    row = attributes(glaciers(shapely.Polygon(ring), crs="EPSG:4326"), dem).iloc[0]
    assert row.aspect_deg == pytest.approx(60, abs=1)
    assert row.slope_deg == pytest.approx(15, abs=0.5)
    assert row.dem_frac == 1


@pytest.mark.filterwarnings("ignore:.*rings are invalid:glacierlab.errors.DataWarning")
def test_bad_input_says_what_to_do():
    outlines = glaciers(disc())
    with pytest.raises(GridError, match="A DEM needs a CRS"):
        attributes(outlines, plane().drop_vars("spatial_ref"))
    for dem in (None, plane().to_dataset(name="elevation")):
        with pytest.raises(GridError, match=r"such as scene\.elevation"):
            attributes(outlines, dem)
    with pytest.raises(GridError, match="heights are in 'feet'"):
        attributes(outlines, plane().assign_attrs(units="feet"))
    with pytest.raises(InventoryError, match="set_crs"):
        attributes(outlines.set_crs(None, allow_override=True), plane())
    with pytest.raises(InventoryError, match="needs polygons"):
        attributes(outlines.set_geometry(outlines.centroid), plane())
    with pytest.raises(InventoryError, match=r"attributes got coordinates to .*no longitudes and latitudes"):
        attributes(glaciers(shapely.Polygon(around(7.0, 46.0)[1]), disc(), crs="EPSG:4326"), plane())
    with pytest.raises(InventoryError, match=r"have no area.*first is g0"):
        attributes(glaciers(shapely.Polygon([(EAST, NORTH), (EAST + 9, NORTH), (EAST, NORTH)])), plane())
    with pytest.raises(GlacierlabError, match="min_cover=50"):
        attributes(outlines, plane(), min_cover=50)
    with pytest.raises(InventoryError, match="primeclass holds ints"):
        attributes(outlines.assign(primeclass="valley glacier"), plane())
    with pytest.raises(GlacierlabError, match="band_m=25"):
        hypsometry(outlines, plane(), band_m=25)
    with pytest.raises(gl.errors.SceneError, match="does not exist"):
        attributes(outlines, "nowhere.tif")


def test_hypsometry_of_hintereisferner_is_the_published_one(data):
    outlines = gpd.read_file(data / "oggm/Hintereisferner_RGI5.shp")
    ours = hypsometry(outlines, data / "oggm/srtm_oetztal.tif").iloc[0]
    published = pd.read_csv(data / "oggm/Hintereisferner_V5_hypso.csv").iloc[0]
    theirs = {int(name): published[name] for name in published.index if name.strip().isdigit()}
    apart = [ours.get(middle, 0) - share for middle, share in theirs.items()]
    assert sum(theirs.values()) == 1000
    assert max(map(abs, apart)) <= 6  # thousandths
    assert ours.area_km2 == pytest.approx(8.036, rel=0.005)


def test_hypsometry_of_a_tilted_square_is_even():
    square = shapely.box(EAST - 1000, NORTH - 1000, EAST + 1000, NORTH + 1000)
    slope = np.degrees(np.arctan(0.1))  # 3100 to 2900 m
    table = hypsometry(glaciers(square, disc(300)), plane(90.0, slope))
    bands = [name for name in table if isinstance(name, int)]
    assert bands == [2925, 2975, 3025, 3075]
    assert table.loc[0, bands].tolist() == pytest.approx([250] * 4, abs=15)
    assert (table[bands].sum(axis=1) == 1000).all()
    assert hypsometry(glaciers(square), plane(90.0, slope), band_m=100)[[2950, 3050]].sum(axis=1)[0] == 1000
    with pytest.warns(DataWarning, match="does not cover them"):
        assert hypsometry(glaciers(disc(x=EAST + 90_000)), plane()).shape == (1, 2)


def test_invalid_rings_are_measured_as_repaired_and_named():
    bow = shapely.Polygon([(0, 0), (1000, 1000), (1000, 0), (0, 1000)])
    bow = shapely.transform(bow, lambda xy: xy + np.array([EAST - 500, NORTH - 500]))
    with pytest.warns(DataWarning, match=r"1 glacier \(g0\): their rings are invalid"):
        table = attributes(glaciers(bow), plane())
    assert table.area_km2[0] == pytest.approx(0.5, rel=0.01)
    assert not table.geometry.is_valid[0]  # as it was


def test_rioxarray_dems_of_integers_with_nodata_are_heights(tmp_path):
    dem = plane().round().astype("int16")
    dem[:, :60] = -9999
    dem.rio.write_nodata(-9999).rio.to_raster(tmp_path / "dem.tif")
    for source in (tmp_path / "dem.tif", rioxarray.open_rasterio(tmp_path / "dem.tif")):
        row = attributes(glaciers(disc()), source).iloc[0]
        assert row.zmed_m == pytest.approx(3000, abs=2)
        with pytest.warns(DataWarning, match="in part"):
            half = attributes(glaciers(disc(x=EAST - 1750)), source).iloc[0]
        assert half.zmin_m > 2000


@pytest.mark.parametrize("nodata", [-9999.0, -32768.0, 1e20])
def test_nodata_that_nobody_declared_is_no_height(nodata):
    dem = plane()
    holed = dem.where(dem.x < EAST + 200, nodata)
    with pytest.warns(DataWarning, match="covers them in part"):
        table = gl.attributes(glaciers(disc()), holed)
    seen = gl.attributes(glaciers(disc()), dem)
    assert seen.zmin_m[0] - 1 < table.zmin_m[0] < table.zmax_m[0] < seen.zmax_m[0] + 1
    assert table.dem_frac[0] < 0.9


def test_outlines_around_a_pole_are_refused():
    cap = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0).buffer(300_000)], crs="EPSG:3031")
    with pytest.raises(InventoryError, match=r"go around a pole.*first is row 0"):
        gl.attributes(cap, plane())
