"""Masks to polygons: exact areas, valid shapes; inventories in and out."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import given
from hypothesis.extra.numpy import arrays
from masks import mask_of
from pyproj import Geod
from scipy import ndimage

import glacierlab as gl
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError, UnknownNameError
from glacierlab.io.layers import geodesic_area_km2
from glacierlab.io.write import write_outlines
from glacierlab.outlines.attributing import MEASURED

# ---- vectorize ----


@given(arrays(bool, (7, 9)))
def test_polygons_keep_every_pixel(present):
    mask = mask_of(present)
    outlines = gl.vectorize(mask)
    assert outlines.area.sum() == pytest.approx(present.sum() * 900)
    assert outlines.pixels.sum() == present.sum()
    assert outlines.is_valid.all()
    assert len(outlines) == ndimage.label(present, np.ones((3, 3)))[1]  # eight neighbors
    if len(outlines):
        np.testing.assert_array_equal(gl.scores.burn(outlines, mask), present)


def test_classes_are_those_of_the_map():
    mask = mask_of([[1, 0], [0, 0]])
    assert len(gl.vectorize(mask, "glacier")) == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'glacier'"):
        gl.vectorize(mask, ["glaciers"])


@pytest.mark.parametrize("crs", ["EPSG:32645", "EPSG:4326"])
def test_an_inventory_of_a_map(crs):
    """A wall through the middle of a level square of ice, from which both halves fall."""
    step, left, top = (30.0, 500_000.0, 5_200_000.0) if crs != "EPSG:4326" else (0.0003, 87.0, 40.0)
    m = 30.0 / step
    side = np.arange(100)
    x, y = left + step * (side + 0.5), top - step * (side + 0.5)
    there = {"y": y, "x": x}
    inside = (side > 10) & (side < 90)
    codes = xr.DataArray((inside[:, np.newaxis] & inside).astype("uint8"), there, ("y", "x"))
    codes = codes.rio.write_crs(crs)
    ridge = 3000 - 0.3 * m * np.abs(x - x.mean()) + np.zeros((100, 1))
    dem = xr.DataArray(ridge, there, ("y", "x"), "elevation").rio.write_crs(crs)
    flags = {"flag_values": [0, 1, 3], "flag_meanings": "background glacier glacial_lake"}
    codes[20:30, 20:30] = 3
    outlines = codes.assign_attrs(flags).glacier.outlines(dem=dem, smooth=2)
    ice = outlines[outlines["class"] == "glacier"]
    assert ice.complex_id.tolist() == [ice.complex_id.iloc[0]] * len(ice)
    assert len(ice) == 2
    assert outlines.complex_id.isna().tolist() == (outlines["class"] != "glacier").tolist()
    assert "pixels" not in outlines
    lakes = outlines[outlines["class"] == "glacial_lake"]
    assert lakes[["cenlon", "cenlat", "area_km2", "area_unc_km2"]].notna().all(axis=None)
    assert lakes[[*MEASURED, "termlon", "dem_frac"]].isna().all(axis=None)
    assert lakes[["dem_source", "aspect_sec"]].values.tolist() == [["", 9]]
    assert ice[MEASURED].notna().all(axis=None)
    assert (outlines.dtypes == gl.outlines.attributes(outlines, dem).dtypes).all()
    assert (outlines.area_unc_km2 / outlines.area_km2).between(0.01, 0.25).all()
    assert gl.outlines.qa(outlines.assign(src_date="2020")).empty
    assert codes.copy(data=np.zeros_like(codes)).glacier.outlines(dem=dem).empty


def test_codes_of_two_ice_classes_are_whole_numbers_too():
    flags = {"flag_values": "[0, 1, 2]", "flag_meanings": "background clean_ice debris_covered_ice"}
    codes = mask_of([[0, 1], [1, 2]]).assign_attrs(flags)  # values as a GeoTIFF's tags have them
    assert codes.glacier.outlines().debris_frac.tolist() == pytest.approx([1 / 3])
    with pytest.raises(GridError, match="codes from 0 to 255, and this one nan"):
        codes.where(codes > 0).assign_attrs(flags).glacier.outlines()


def test_holes_are_kept():
    codes = np.ones((5, 5))
    codes[2, 2] = 0
    outline = gl.vectorize(mask_of(codes)).geometry[0]
    assert len(outline.interiors) == 1
    assert outline.area == 24 * 900


def test_parts_that_touch_at_a_corner_are_one_valid_outline():
    outlines = gl.vectorize(mask_of([[1, 0], [0, 1]]))
    assert len(outlines) == 1
    assert outlines.geometry[0].geom_type == "MultiPolygon"
    assert outlines.is_valid.all()


def test_unobserved_pixels_get_no_outline():
    assert gl.vectorize(mask_of([[255, 0], [255, 1]])).pixels.tolist() == [1]


def test_area_is_geodesic_and_named(athabasca):
    outlines = athabasca.glacier.map_glaciers().glacier.outlines()
    shape = shapely.orient_polygons(outlines.to_crs("EPSG:4326").geometry[0])
    expected = Geod(ellps="WGS84").geometry_area_perimeter(shape)[0] / 1e6
    assert outlines.area_km2[0] == pytest.approx(expected, rel=1e-6)
    assert (outlines["class"] == "glacier").all()
    assert outlines.cenlon.between(-118, -117).all()
    assert outlines.cenlat.between(52, 53).all()


def test_classes_by_name(made):
    outlines = gl.vectorize(made["truth"])
    assert set(outlines["class"]) == {"clean_ice", "debris_covered_ice", "glacial_lake"}
    assert outlines.pixels.sum() == int((made["truth"] > 0).sum())


def test_columns_before_rows_and_south_up_make_no_difference(made):
    mask = made["truth"]
    bounds = gl.vectorize(mask).total_bounds
    for turned in (mask.transpose("x", "y"), mask[::-1], mask[:, ::-1]):
        outlines = gl.vectorize(turned)
        np.testing.assert_allclose(outlines.total_bounds, bounds)
        assert outlines.area_km2.sum() == pytest.approx(gl.vectorize(mask).area_km2.sum())


def test_one_row_of_pixels():
    codes = mask_of([[1, 1, 0]])
    codes = codes.rio.write_transform(Affine(30, 0, 600_000, 0, -30, 5_200_000))
    assert gl.vectorize(codes).area.tolist() == [1800]


def test_map_without_crs_says_what_to_do():
    with pytest.raises(GridError, match="write_crs"):
        gl.vectorize(mask_of([[1]], crs=None))


def test_several_dates_are_refused():
    with pytest.raises(GridError, match="choose one"):
        gl.vectorize(mask_of([[1, 0]]).expand_dims("time"))


def test_what_is_no_class_map_is_named():
    mask = mask_of([[1, 0], [0, 0]])
    with pytest.raises(GridError, match=r"GeoDataFrame, .* outlines already"):
        gl.vectorize(gl.vectorize(mask))
    with pytest.raises(GridError, match="ndarray, not a class map"):
        gl.vectorize(mask.values)
    with pytest.raises(UnknownNameError, match=r"\['red'\], no 'class_map'"):
        gl.vectorize(mask.to_dataset(name="red"))


# ---- clean ----


@pytest.fixture
def speckled():
    """A 12 x 14 block with a hole of one pixel, and specks: seed 2."""
    rng = np.random.default_rng(2)
    codes = (rng.random((60, 70)) < 0.02).astype("uint8")
    codes[20:32, 30:44] = 1
    codes[25, 36] = 0
    return mask_of(codes)


def test_clean_is_opening_then_closing(speckled):
    square = np.ones((5, 5))
    expected = ndimage.binary_closing(ndimage.binary_opening(speckled == 1, square), square)
    cleaned = speckled.glacier.clean(min_area_km2=0, min_hole_km2=0)
    np.testing.assert_array_equal(cleaned == 1, expected)


def test_clean_drops_small_parts_and_fills_small_holes():
    codes = np.zeros((40, 40))
    codes[2:5, 2:6] = 1  # 12 px = 0.0108 km²: stays
    codes[2:5, 20:23] = 1  # 9 px = 0.0081 km²: goes
    codes[20:35, 20:35] = 1
    codes[25, 25] = 0  # hole of 1 px: filled
    codes[28:32, 28:32] = 0  # hole of 16 px = 0.0144 km²: stays
    cleaned = mask_of(codes).glacier.clean(size=0)
    codes[2:5, 20:23], codes[25, 25] = 0, 1
    np.testing.assert_array_equal(cleaned, codes)


def test_clean_keeps_what_was_not_observed():
    codes = np.ones((20, 20))
    codes[8:11, 8:11] = 255
    np.testing.assert_array_equal(mask_of(codes).glacier.clean(), codes)


def test_clean_does_not_eat_the_edge_of_the_image():
    assert (mask_of(np.ones((30, 30))).glacier.clean() == 1).all()


@pytest.mark.parametrize("chunks", [7, {"y": 60, "x": 3}])
def test_clean_is_lazy_and_equal(speckled, chunks):
    lazy = speckled.chunk(chunks).glacier.clean()
    assert lazy.chunks is not None
    xr.testing.assert_equal(lazy.compute(), speckled.glacier.clean())


def test_clean_refuses_a_map_of_several_classes():
    codes = np.ones((30, 30))
    codes[10:20, 10:20] = 2
    with pytest.raises(GlacierlabError, match=r"other classes too \(\[2\]\).*isin"):
        mask_of(codes).glacier.clean()
    ice = mask_of(codes).isin([1, 2]).glacier.clean()
    assert (ice == 1).all()


def test_clean_in_degrees_is_refused():
    with pytest.raises(GridError, match="degrees"):
        mask_of([[1]], pixel=0.001, crs="EPSG:4326").glacier.clean()


# ---- areas and inventories ----


def test_geodesic_area_of_a_known_polygon(data):
    # RGI 7 gives 8.036175 km² for Hintereisferner
    outline = gl.open_inventory(data / "oggm/rgi7g_hef.shp")
    assert outline.area_km2[0] == pytest.approx(8.036175234219074, rel=1e-6)


def test_area_of_the_athabasca_outline(athabasca_outline):
    assert athabasca_outline.area.sum() / 1e6 == pytest.approx(16.14, abs=0.005)
    assert athabasca_outline.area_km2.sum() == pytest.approx(16.16, abs=0.005)


@pytest.mark.parametrize(("year", "total"), [("66", 21.63), ("98", 16.27), ("05", 15.45), ("15", 14.18)])
@pytest.mark.filterwarnings("ignore::glacierlab.errors.DataWarning")
def test_glacier_national_park_areas(data, year, total):
    glaciers = gl.open_inventory(data / f"gnp_glaciers/polys{year}.json")
    assert len(glaciers) == 39
    assert glaciers.area_km2.sum() == pytest.approx(total, rel=0.005)
    error = (glaciers.area_km2 / glaciers.area_km2_source - 1).abs()
    # four outlines of these files differ from their own attribute, measured on the plane too
    known = {"05": ["Harris Glacier"], "98": ["Herbst Glacier", "Shepard Glacier"], "15": ["Gem Glacier"]}
    assert glaciers.GLACNAME[error > 0.005].tolist() == known.get(year, [])
    planar = glaciers.to_crs("EPSG:26912").area / 1e6
    np.testing.assert_allclose(glaciers.area_km2, planar, rtol=0.002)
    assert glaciers.attrs["area_source"] == "AREA in m2"


def test_invalid_polygon_is_repaired_and_reported(data):
    with pytest.warns(DataWarning, match=r"1 of 39 polygons were invalid .*row 4: Ring Self-intersection"):
        glaciers = gl.open_inventory(data / "gnp_glaciers/polys05.json")
    assert glaciers.is_valid.all()
    assert glaciers.index[glaciers.repaired].tolist() == [4]
    assert glaciers.area_km2[4] == pytest.approx(0.045804, rel=0.005)  # the file's own


@pytest.mark.filterwarnings("ignore::glacierlab.errors.DataWarning")
def test_oetztal_areas(data):
    glaciers = gl.open_inventory(data / "oggm/rgi_oetztal.shp")
    assert len(glaciers) == 20
    np.testing.assert_allclose(glaciers.area_km2, glaciers.area_km2_source, rtol=0.005)
    assert glaciers.area_km2.sum() == pytest.approx(87.7, rel=0.005)


def test_rgi_complex_areas(data):
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    np.testing.assert_allclose(glaciers.area_km2, glaciers.area_km2_source, rtol=0.005)


def test_everest_outlines_overlay_their_scene(data):
    scene = gl.open_scene(
        data / "everest",
        bands={"red": "LE71400412000304SGS00_RGB.tif:1", "nir": "LE71400412000304SGS00_B4.tif"},
        sensor="landsat-7",
        radiometry="dn",
    )
    outlines = gl.open_inventory(data / "everest/15_rgi60_glacier_outlines.gpkg")
    inside = gl.scores.burn(outlines, scene["nir"])
    assert 0.3 < float(inside.mean()) < 0.7
    # ice and snow are brighter than rock in the near infrared
    assert float(scene["nir"].where(inside).mean()) > 1.2 * float(scene["nir"].where(~inside).mean())


def test_geopackage_round_trip(athabasca, tmp_path):
    outlines = athabasca.glacier.map_glaciers().glacier.outlines()
    again = gl.open_inventory(write_outlines(outlines, tmp_path / "outlines.gpkg"))
    np.testing.assert_allclose(again.area_km2, outlines.area_km2, rtol=1e-6)
    np.testing.assert_allclose(again.area_km2_source, outlines.area_km2, rtol=1e-12)
    assert again.geometry.geom_equals_exact(outlines.geometry, 1e-6).all()
    assert geodesic_area_km2(again.geometry).sum() == pytest.approx(outlines.area_km2.sum())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.gpkg", None, "does not exist"),
        ("text.shp", "not a shapefile", "cannot be read as a vector file"),
        ("points.geojson", '{"type":"Point","coordinates":[1,2]}', "holds no polygons"),
        ("empty.geojson", '{"type":"FeatureCollection","features":[]}', "holds no"),
        ("cut.parquet", "PAR1", "cannot be read as a vector file.*Copy or fetch it again"),
        ("none.gpkg", "", "is empty, 0 bytes"),
    ],
)
def test_no_inventory(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InventoryError, match=message) as error:
        gl.open_inventory(path)
    assert "\n" not in str(error.value)


def test_inventory_without_crs(tmp_path):
    square = shapely.box(0, 0, 1, 1)
    bare = gpd.GeoDataFrame(pd.DataFrame({"n": [1]}), geometry=[square])
    with pytest.warns(UserWarning, match="crs"):
        bare.to_file(tmp_path / "bare.shp")
    with pytest.raises(InventoryError, match="no CRS"):
        gl.open_inventory(tmp_path / "bare.shp")
