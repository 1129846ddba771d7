"""Complexes divided by a DEM: where the divides run, what stays exactly as it was, and what is refused."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from pyproj import Geod
from skimage.morphology import reconstruction
from worlds import world_of

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError
from glacierlab.outlines import flow

EAST, NORTH = 600_000.0, 5_200_000.0
UTM = "EPSG:32632"


def dem_of(height, half=4000, step=30.0, crs=UTM, at=(EAST, NORTH)):
    """A DEM of a function of the meters east and north of a place."""
    along = np.arange(-half + step / 2, half, step)
    z = np.broadcast_to(height(*np.meshgrid(along, along[::-1])), (len(along),) * 2)
    coords = {"y": at[1] + along[::-1], "x": at[0] + along}
    return xr.DataArray(z.astype("float32"), coords, ("y", "x")).rio.write_crs(crs)


def outlines_of(*shapes, crs=UTM, **columns):
    moved = [shapely.affinity.translate(shape, EAST, NORTH) for shape in shapes]
    return gpd.GeoDataFrame(columns, geometry=moved, crs=crs)


def funnel(x, y):
    """Distance of the ground below from the point that it falls to [m]."""
    return lambda east, north: np.hypot(east - x, north - y)


def two_funnels(east, north, gradient=0.3):
    """Cones that stand on their tips at (-1500, 0) and (1500, 0), joined at a saddle in (0, 0)."""
    return 2000 + gradient * np.minimum(funnel(-1500, 0)(east, north), funnel(1500, 0)(east, north))


BAND = shapely.box(-1480, -600, 1480, 600)  # from one tip to the other


# ---- where divides run


def test_two_cones_joined_at_a_saddle_are_cut_at_the_saddle():
    parts = gl.outlines.split_glaciers(outlines_of(BAND), dem_of(two_funnels))
    assert len(parts) == 2
    divide = shapely.intersection(*parts.geometry)
    assert abs(shapely.get_coordinates(divide)[:, 0] - EAST).max() < 60  # a cell and a half
    assert divide.length == pytest.approx(1200, rel=0.02)


@pytest.mark.parametrize("gradient", [0.3, -0.3])
def test_one_cone_is_one_glacier(gradient):
    cone = dem_of(lambda x, y: 3000 + gradient * funnel(0, 0)(x, y))
    assert len(gl.outlines.split_glaciers(outlines_of(shapely.Point(0, 0).buffer(1500)), cone)) == 1


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_ice_on_a_plateau_is_one_glacier(tilt):
    plateau = dem_of(lambda x, y: 3000 + tilt * y)
    assert len(gl.outlines.split_glaciers(outlines_of(shapely.Point(0, 0).buffer(1200)), plateau)) == 1


def test_a_saddle_under_a_plateau_of_ice_still_divides():
    table = dem_of(lambda x, y: np.minimum(two_funnels(x, y), 2350))  # level within 330 m of the saddle
    parts = gl.outlines.split_glaciers(outlines_of(BAND), table)
    assert len(parts) == 2
    assert abs(shapely.get_coordinates(shapely.intersection(*parts.geometry))[:, 0] - EAST).max() < 350


def test_ends_of_flow_near_each_other_are_one_glacier():
    near = dem_of(two_funnels)
    assert len(gl.outlines.split_glaciers(outlines_of(BAND), near, merge_m=100.0)) == 1  # √1100 x 100 m
    capped = gl.outlines.split_glaciers(outlines_of(BAND), near, merge_m=100.0, max_merge_m=500.0)
    assert len(capped) == 2


def test_slivers_and_parts_without_relief_go_to_the_neighbor():
    dem = dem_of(two_funnels)
    assert len(gl.outlines.split_glaciers(outlines_of(BAND), dem, sliver_km2=2.0)) == 1  # each half has 1.8
    assert len(gl.outlines.split_glaciers(outlines_of(BAND), dem, min_range_m=600.0)) == 1  # 0.3 x 1610 m


def test_the_hintereisferner_complex_against_its_published_glaciers(data):
    whole = gl.open_inventory(data / "oggm/rgi7c_hef.shp")
    published = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    for merge_m, number, share in ((14.3, (30, 34), 0.86), (24.0, (24, 28), 0.92)):
        parts = gl.outlines.split_glaciers(whole, data / "oggm/srtm_oetztal.tif", merge_m=merge_m)
        assert number[0] <= len(parts) <= number[1]  # of 23
        assert matched(published, parts) > share
        assert matched(parts, published) > 0.97  # hardly any part lies in two
    assert parts.is_valid.all()
    assert parts.glac_id.is_unique
    assert parts.area_km2.sum() == pytest.approx(77.6702, abs=1e-3)  # the RGI's own number
    gone = shapely.symmetric_difference(shapely.union_all(parts.geometry.values), whole.geometry[0])
    assert gone.area < 1e-12  # squared degrees: a hundredth of a square meter


def matched(reference, parts):
    """Area of reference glaciers that lies in the part with most of each, of the whole."""
    reference, parts = reference.to_crs("EPSG:3035"), parts.to_crs("EPSG:3035")
    shared = [shapely.area(shapely.intersection(parts.geometry.values, g)).max() for g in reference.geometry]
    return sum(shared) / reference.area.sum()


def complexes_of(world):
    """The ice of a world, one row for what hangs together, and its DEM."""
    outlines = world.outlines(2020)
    whole = shapely.get_parts(shapely.union_all(outlines.geometry.values))
    return gpd.GeoDataFrame(geometry=whole, crs=outlines.crs), world.truth(2020).elevation


@pytest.fixture(scope="module")
def world():
    return complexes_of(world_of(5, (2020,), (400, 400)))


@pytest.mark.filterwarnings("ignore:.*DEM:glacierlab.errors.DataWarning")  # ice at the edge of the picture
@pytest.mark.parametrize("noise_m", [2.0, 5.0])
def test_noise_on_the_dem_moves_hardly_any_area_and_keeps_the_names(world, noise_m):
    whole, dem = world
    before = gl.outlines.split_glaciers(whole, dem)
    noise = np.random.default_rng(1).normal(0, noise_m, dem.shape).astype("float32")
    after = gl.outlines.split_glaciers(whole, dem + noise)
    assert abs(len(after) - len(before)) <= 1
    assert after.glac_id.isin(before.glac_id).mean() >= 0.95
    pairs = before.merge(after[["glac_id", "geometry"]], on="glac_id")
    shared = shapely.area(shapely.intersection(pairs.geometry_x.values, pairs.geometry_y.values))
    assert shared.sum() / whole.area.sum() > 0.98


# ---- what stays


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_glaciers_are_exactly_the_complex(crs):
    whole = outlines_of(BAND.difference(shapely.Point(400, 100).buffer(80)), rgi_id=["C-1"]).to_crs(crs)
    parts = gl.outlines.split_glaciers(whole, dem_of(two_funnels))
    assert len(parts) == 2
    assert parts.crs == whole.crs
    assert parts.is_valid.all()
    a, b = parts.geometry
    assert shapely.area(shapely.intersection(a, b)) == 0
    union = shapely.union(a, b)
    assert union.symmetric_difference(whole.geometry[0]).area < 1e-9 * whole.geometry[0].area
    vertices = {tuple(at) for at in shapely.get_coordinates(parts.geometry.values)}
    assert {tuple(at) for at in shapely.get_coordinates(whole.geometry.values)} <= vertices  # none has moved


def test_columns_are_kept_and_measured_anew():
    whole = outlines_of(
        BAND, shapely.box(-3000, 2500, -2900, 2600), rgi_id=["C-1", "C-2"], area_km2=[9.0, 9.0]
    )
    whole.index = ["first", "second"]
    parts = gl.outlines.split_glaciers(whole, dem_of(two_funnels))
    assert parts.complex_id.tolist() == ["first", "first", "second"]
    assert parts.index.tolist() == [0, 1, 2]
    assert parts.rgi_id.str.startswith(("C-1_G00", "C-1_G01")).tolist() == [True, True, False]
    assert parts.rgi_id[2] == "C-2"  # whole, and its own
    assert parts.rgi_id.is_unique
    ellipsoid = [
        abs(Geod(ellps="WGS84").geometry_area_perimeter(g)[0]) / 1e6 for g in parts.to_crs(4326).geometry
    ]
    np.testing.assert_allclose(parts.area_km2, ellipsoid, rtol=1e-9)
    inside = gpd.points_from_xy(parts.cenlon, parts.cenlat, crs=4326).to_crs(UTM)
    assert parts.contains(gpd.GeoSeries(inside)).all()


def test_a_name_is_the_roundest_place_inside():
    square = gpd.GeoDataFrame(geometry=[shapely.box(10.7501, 46.7999, 10.7535, 46.8005)], crs=4326)
    parts = gl.outlines.split_glaciers(square, divides=square)
    assert parts.glac_id.tolist() == ["G010752E46800N"]  # 10752 = 2⁹ x 21, 46800 = 2⁴ x 2925
    southern = square.translate(-21.5, -93.6).to_frame("geometry")
    south = gl.outlines.split_glaciers(southern, divides=southern)
    assert south.glac_id.tolist() == ["G349252E46800S"]


@pytest.mark.parametrize("chunks", [None, {"y": 50, "x": 70}])
def test_dem_by_path_in_degrees_or_lazy_gives_the_same_glaciers(tmp_path, chunks):
    dem = dem_of(two_funnels)
    expected = gl.outlines.split_glaciers(outlines_of(BAND), dem)
    dem.rio.to_raster(tmp_path / "dem.tif")
    source = dem.chunk(chunks) if chunks else tmp_path / "dem.tif"
    found = gl.outlines.split_glaciers(outlines_of(BAND), source)
    assert shapely.equals_exact(found.geometry.values, expected.geometry.values).all()
    degrees = gl.outlines.split_glaciers(outlines_of(BAND), dem.rio.reproject("EPSG:4326"))
    np.testing.assert_allclose(degrees.area_km2, expected.area_km2, rtol=0.03)


# ---- flow itself


def test_flow_of_a_small_dem_by_hand():
    """A plane that falls 2 m a cell to the south and 1 m to the east: at 26.57° of 45, 59.03 % go aside."""
    y, x = np.mgrid[:4, :4].astype("float32")
    outlets = np.zeros((4, 4), bool)
    outlets[3] = outlets[:, 3] = True
    ends, through = flow.drain(20 - 2 * y - x, np.ones((4, 4), bool), outlets)
    aside = np.arctan(0.5) / (np.pi / 4)  # to the southeast, the rest south
    assert through[0, 0] == 1
    assert through[1, 0] == pytest.approx(1 + (1 - aside))
    assert through[1, 1] == pytest.approx(1 + aside + (1 - aside))
    assert through[2, 1] == pytest.approx(1 + through[1, 1] * (1 - aside) + through[1, 0] * aside)
    assert np.unique(ends).tolist() == [15]  # outlets drain on to the lowest corner
    assert through[3, 3] == pytest.approx(16)


def test_water_fills_pits_as_reconstruction_does():
    heights = np.random.default_rng(0).normal(0, 10, (60, 80)).astype("float32")
    rim = np.ones(heights.shape, bool)
    rim[1:-1, 1:-1] = False
    _, level, _ = flow.flood(heights, np.ones(heights.shape, bool), rim)
    seed = np.where(rim, heights, heights.max())
    np.testing.assert_array_equal(level, reconstruction(seed, heights, "erosion", np.ones((3, 3))))
    ends, through = flow.drain(heights, np.ones(heights.shape, bool), rim)
    assert through.ravel()[np.unique(ends)].sum() == pytest.approx(heights.size)  # nothing is lost


# ---- bad input


def test_gaps_in_the_dem_are_filled_or_told():
    dem = dem_of(two_funnels)
    small = dem.where(~((abs(dem.x - EAST) < 100) & (abs(dem.y - NORTH) < 100)))
    with pytest.warns(DataWarning, match="divided on a DEM with gaps"):
        assert len(gl.outlines.split_glaciers(outlines_of(BAND), small)) == 2
    with pytest.warns(DataWarning, match=r"left whole: more than 5 %.*rows 0"):
        assert len(gl.outlines.split_glaciers(outlines_of(BAND), dem.where(dem.x < EAST))) == 1
    both = outlines_of(BAND, BAND)
    both.geometry = [both.geometry[0], both.geometry[1].buffer(1)]
    with pytest.warns(DataWarning, match="2 outlines overlap"):
        gl.outlines.split_glaciers(both, dem)


def test_a_coarse_dem_leaves_the_complex_whole():
    with pytest.warns(DataWarning, match="fewer than 25 pixels"):
        assert len(gl.outlines.split_glaciers(outlines_of(BAND), dem_of(two_funnels, step=500.0))) == 1


@pytest.mark.parametrize(
    ("change", "dem", "error", "message"),
    [
        (lambda o: o.set_crs(None, allow_override=True), {}, InventoryError, "CRS"),
        (lambda o: o.set_geometry(o.centroid), {}, InventoryError, "needs polygons"),
        (lambda o: o.set_crs(4326, allow_override=True), {}, InventoryError, "no longitudes and latitudes"),
        (lambda o: o.translate(50_000).to_frame("geometry"), {}, GridError, "covers none"),
        (lambda o: o, {"cell_m": 0.0}, GlacierlabError, "cell_m=0.0"),
        (lambda o: o, {"merge_m": np.nan}, GlacierlabError, "merge_m=nan"),
        (lambda o: o, {"dem": None}, GlacierlabError, "needs dem="),
        (lambda o: o, {"dem": np.zeros((9, 9))}, GlacierlabError, "not ndarray"),
        (lambda o: o, {"dem": dem_of(two_funnels).drop_vars("spatial_ref")}, GridError, "CRS"),
        (lambda o: o, {"dem": "nowhere.tif"}, GlacierlabError, "does not exist"),
    ],
)
def test_bad_input_says_what_to_do(change, dem, error, message):
    options = {"dem": dem_of(two_funnels)} | dem
    with pytest.raises(error, match=message):
        gl.outlines.split_glaciers(change(outlines_of(BAND)), **options)


def test_heights_in_feet_are_refused():
    with pytest.raises(GridError, match="heights are in 'ft'"):
        gl.outlines.split_glaciers(outlines_of(BAND), dem_of(two_funnels).assign_attrs(units="ft"))


def test_empty_ids_stay_empty():
    parts = gl.outlines.split_glaciers(outlines_of(BAND, rgi_id=[""]), dem_of(two_funnels))
    assert parts.rgi_id.tolist() == ["", ""]


def test_invalid_outlines_are_named():
    bow = shapely.Polygon([(0, 0), (900, 900), (900, 0), (0, 900)])
    with pytest.raises(InventoryError, match=r"1 of 1 outlines are invalid, the first in row 0"):
        gl.outlines.split_glaciers(outlines_of(bow), dem_of(two_funnels))


def test_tiny_and_no_glaciers():
    pixel = outlines_of(shapely.box(0, 0, 30, 30))
    assert gl.outlines.split_glaciers(pixel, dem_of(two_funnels)).area_km2[0] == pytest.approx(9e-4, rel=1e-2)
    none = gl.outlines.split_glaciers(pixel.iloc[:0], dem_of(two_funnels))
    assert len(none) == 0
    assert {"complex_id", "area_km2", "cenlon", "glac_id"} <= set(none)


@pytest.mark.parametrize("turn", [0, 360])
def test_across_the_antimeridian(turn):
    """Two funnels with their saddle at 180°; there a degree has 37.5 km from west to east."""
    lon, lat = np.arange(-180.1099, -179.89, 0.0008), np.arange(70.38, 70.30, -0.0003)
    x, y = np.meshgrid((lon + 180) * 37_500, (lat - 70.34) * 111_500)
    heights = two_funnels(x, y).astype("float32")
    dem = xr.DataArray(heights, {"y": lat, "x": lon + turn}, ("y", "x")).rio.write_crs(4326)
    half = 1480 / 37_500
    sides = [shapely.box(180 - half, 70.335, 180, 70.345), shapely.box(-180, 70.335, half - 180, 70.345)]
    whole = gpd.GeoDataFrame(geometry=[shapely.MultiPolygon(sides)], crs=4326)
    parts = gl.outlines.split_glaciers(whole, dem)
    assert len(parts) == 2
    assert parts.total_bounds == pytest.approx(whole.total_bounds)
    assert parts.area_km2.tolist() == pytest.approx([1.48 * 1.115] * 2, rel=0.03)
    assert parts.is_valid.all()
    beyond = whole.set_geometry([shapely.box(180 - half, 70.335, 180 + half, 70.345)], crs=4326)
    in_meters = gl.outlines.split_glaciers(beyond.to_crs(32601), dem)
    assert sorted(in_meters.glac_id) == sorted(parts.glac_id)
    assert sorted(in_meters.cenlon) == pytest.approx(sorted(parts.cenlon), abs=0.01)
    assert gl.outlines.split_glaciers(beyond, dem).cenlon.between(-180, 180).all()


def test_what_was_measured_of_a_complex_is_not_said_of_its_glaciers():
    measured = outlines_of(BAND, pixels=[100], debris_frac=[0.2], zmin_m=[2000.0], src_date=["2020"])
    parts = gl.outlines.split_glaciers(measured, dem_of(two_funnels))
    assert len(parts) == 2
    assert parts[["pixels", "debris_frac", "zmin_m"]].isna().all(axis=None)
    assert set(parts.src_date) == {"2020"}


def test_a_complex_too_wide_for_its_cells_is_refused():
    far = shapely.MultiPolygon([BAND, shapely.affinity.translate(BAND, 300_000, 300_000)])
    with pytest.raises(InventoryError, match=r"spans 303 x 301 km.*explode\(\) them first"):
        gl.split_glaciers(outlines_of(far), dem_of(two_funnels))
