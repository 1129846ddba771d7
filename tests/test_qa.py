"""The quality report of an inventory: every finding, where it must be told and where not."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from inventories import AWAY, LEFT, RIGHT, UTM, X, Y, dem, good, measured, put, shaped
from shapely import affinity

import glacierlab as gl
from glacierlab.errors import GridError, InventoryError, SceneError, UnknownNameError
from glacierlab.outlines.findings import FINDINGS

qa = gl.outlines.qa
SERIES_ONLY = {
    "negative", "uncertainty_missing", "duplicate_row", "dates_out_of_order", "areas_do_not_sum",
    "uncertainties_do_not_sum", "misplaced_decimal", "uncertainty_out_of_line", "area_rises",
}  # fmt: skip


def box(x, y, width, height):
    """A rectangle [m], from the corner of the inventory."""
    return shapely.box(X + x, Y + y, X + x + width, Y + y + height)


def fresh(table, crs):
    """The same coordinates under another CRS."""
    return table.set_crs(crs, allow_override=True)


def bow_tie():
    return shapely.Polygon([(X + 5000, Y), (X + 6000, Y + 1000), (X + 6000, Y), (X + 5000, Y + 1000)])


def at_origin():
    """Metres that begin at 0."""
    table = good()
    return table.set_geometry(table.geometry.map(lambda shape: affinity.translate(shape, -X, -Y)))


def lofty(highest):
    """One glacier near the top of the world."""
    table = good()
    table.loc[30, ["zmin_m", "zmed_m", "zmean_m", "zmax_m"]] = [8800.0, 8900.0, 8900.0, highest]
    return table


def same_thrice():
    """One glacier at three dates that has not changed."""
    table = good().iloc[[0, 0, 0]]
    return table.assign(src_date=["2019-08-01", "2020", "2021"])


def degrees(*shapes, **columns):
    """Outlines in degrees, with their area."""
    table = gpd.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326")
    return measured(table) if "area_km2" not in columns else table


ACROSS = shapely.Polygon([(179.9, 70), (-179.9, 70), (-179.9, 70.1), (179.9, 70.1)])
CUT = shapely.MultiPolygon([shapely.box(179.9, 70, 180, 70.1), shapely.box(-180, 70, -179.9, 70.1)])
SQUARE_DEGREE = shapely.box(10, 46, 10.1, 46.1)
HOLED = box(5000, 0, 1000, 1000) - box(5100, 100, 90, 90)
HOLED_MORE = box(5000, 0, 1000, 1000) - box(5100, 100, 110, 110)
HOLLOW = box(5000, 0, 1000, 1000) - box(5140, 140, 720, 720)
LESS_HOLLOW = box(5000, 0, 1000, 1000) - box(5150, 150, 700, 700)
BROKEN = shapely.transform(AWAY, lambda points: np.where(points == Y, np.inf, points))
SOON = {"today": "2020-06-30"}

# finding: (table, options), (a table that is just good enough, options)
CASES = {
    "no_crs": ((fresh(good(), None), {}), (good(), {})),
    "degrees_as_meters": (
        (fresh(good("EPSG:4326"), UTM), {}),
        (at_origin(), {"area_tolerance": 1}),
    ),
    "meters_as_degrees": ((fresh(good(), "EPSG:4326"), {}), (good("EPSG:4326"), {})),
    "no_geometry": ((shaped(None, measure=False), {}), (good(), {})),
    "not_finite": ((shaped(BROKEN, measure=False), {}), (good(), {})),
    "no_polygon": ((shaped(AWAY.exterior, measure=False), {}), (shaped(shapely.MultiPolygon([AWAY])), {})),
    "invalid": ((shaped(bow_tie(), measure=False), {"area_tolerance": 9}), (shaped(AWAY), {})),
    "across_antimeridian": ((degrees(ACROSS, area_km2=[85.0]), {}), (degrees(CUT), {})),
    "tiny": ((shaped(box(5000, 0, 98, 100)), {}), (shaped(box(5000, 0, 101, 101)), {})),
    "sliver": ((shaped(box(5000, 0, 3000, 29)), {}), (shaped(box(5000, 0, 3000, 31)), {})),
    "small_hole": ((shaped(HOLED), {}), (shaped(HOLED_MORE), {})),
    "large_hole": ((shaped(HOLLOW), {}), (shaped(LESS_HOLLOW), {})),
    "duplicate_geometry": ((shaped(RIGHT.reverse()), {}), (same_thrice(), {})),
    "duplicate_id": ((put("rgi_id", "a").assign(src_date="2020"), {}), (same_thrice(), {})),
    "overlap": ((shaped(box(1990, 0, 500, 500)), {}), (shaped(box(2000, 0, 500, 500)), {})),
    "off_dem": ((good(), {"dem": dem(box(5000, 0, 50, 350))}), (good(), {"dem": dem(box(5000, 0, 50, 50))})),
    "no_number": ((put("zmed_m", "high"), {}), (put("zmed_m", "2800"), {})),
    "area_in_degrees": ((degrees(SQUARE_DEGREE, area_km2=[0.01]), {}), (degrees(SQUARE_DEGREE), {})),
    "area_differs": ((put("area_km2", 0.975), {}), (put("area_km2", 0.965), {})),
    "elevations_out_of_order": ((put("zmed_m", 3001.0), {}), (put("zmed_m", 3000.0), {})),
    "elevation_impossible": ((lofty(9001.0), {}), (lofty(9000.0), {})),
    "slope_impossible": ((put("slope_deg", 61.0), {}), (put("slope_deg", 60.0), {})),
    "aspect_impossible": ((put("aspect_deg", -1.0), {}), (put("aspect_deg", 179.0), {})),
    "aspect_sector": ((put("aspect_deg", 203.0), {}), (put("aspect_deg", 202.0), {})),
    "too_short": ((put("lmax_m", 288), {}), (put("lmax_m", 289), {})),
    "too_long": ((put("lmax_m", 2003), {}), (put("lmax_m", 1999), {})),
    "unknown_code": ((put("term_type", 4), {}), (put("term_type", 9), {})),
    "date_missing": ((put("src_date", ""), {}), (put("src_date", "1985-07"), {})),
    "date_unreadable": ((put("src_date", "2019-02-30"), {}), (put("src_date", "2019-02-28T10:30:00Z"), {})),
    "date_in_future": ((put("src_date", "2020-07-01"), SOON), (put("src_date", "2020-06-30"), SOON)),
    "date_reversed": ((put("src_date", "2020-09-01/2019-09-01"), {}), (put("src_date", "2019/2020"), {})),
}  # fmt: skip


def test_every_finding_has_its_case():
    assert set(CASES) | SERIES_ONLY == set(FINDINGS)
    assert {row.severity for row in FINDINGS.values()} == {"error", "warning"}


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3035"])
def test_nothing_is_found_where_nothing_is_wrong(crs):
    findings = qa(good(crs), dem=dem())
    assert findings.empty
    assert list(findings) == ["row", "id", "finding", "severity", "value", "units", "evidence", "advice"]


@pytest.mark.parametrize("name", CASES)
def test_finding(name):
    (bad, options), (passes, others) = CASES[name]
    found = qa(bad, **options)
    assert set(found.finding) == {name}
    assert (found.severity == FINDINGS[name].severity).all()
    assert qa(passes, **others).empty


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0][0].crs == UTM])
def test_row_and_id_are_those_of_the_table(name):
    table, options = CASES[name][0]
    rows = qa(table, **options)[["row", "id"]].drop_duplicates().values.tolist()
    assert rows == ([[None, ""]] if name == "degrees_as_meters" else [[30, table.rgi_id[30]]])


def one(name):
    table, options = CASES[name][0]
    return qa(table, **options).iloc[0]


def test_values_by_hand():
    assert one("overlap").value == pytest.approx(10 * 500 / 1e6, rel=1e-3)
    assert one("overlap").evidence == "2.0% of it, with row 20, b"
    assert one("tiny").evidence == "0.00981 km², least 0.01"  # 98 x 100 m, and the scale of UTM here
    assert one("sliver").value == pytest.approx(2 * 3000 * 29 / (2 * 3029), rel=1e-3)
    assert one("small_hole").value == pytest.approx(0.0081, rel=2e-3)
    assert one("large_hole").value == pytest.approx(0.72**2, rel=1e-3)
    assert one("off_dem").value == pytest.approx(7 / 384)  # 400 pixels less 16 of the hole
    assert one("across_antimeridian").value == pytest.approx(359.8)
    assert one("date_reversed").value == 366  # 2020 is a leap year
    assert one("date_in_future").value == 1
    assert one("invalid").evidence.startswith("Self-intersection[")
    assert one("duplicate_geometry").evidence == "as row 20, b"
    assert one("elevations_out_of_order").value == 1
    assert one("slope_impossible").evidence == "slope_deg 61, not above 0 and up to 60"
    assert one("aspect_impossible").evidence == "aspect_deg -1, not 0 to 360"


def test_units_of_areas_are_guessed():
    hectares = qa(put("area_km2", 96.0)).iloc[0]
    assert hectares.value == pytest.approx(100, rel=0.01)
    assert hectares.evidence.endswith("ha?")
    assert qa(put("area_km2", 0.96e6)).evidence[0].endswith("m²?")


def test_outside_the_dem():
    cut = dem().isel(x=slice(0, 120))  # half the glacier
    found = qa(good(), dem=cut)
    assert found.row.tolist() == [30]
    assert found.value[0] == pytest.approx(0.5)
    assert found.evidence[0] == "50.0% outside, 0.0% over gaps"
    nowhere = dem().assign_coords(x=dem().x + 1e5)
    assert qa(good(), dem=nowhere).value.tolist() == [1, 1, 1]


def test_dem_in_degrees_or_lazy_or_from_a_file(tmp_path):
    holed = dem(box(5000, 0, 50, 350))
    expected = qa(good(), dem=holed)
    pd.testing.assert_frame_equal(qa(good(), dem=holed.chunk(x=17)), expected)
    pd.testing.assert_frame_equal(qa(good("EPSG:4326"), dem=holed), expected)
    holed.astype("float32").rio.write_nodata(np.nan).rio.to_raster(tmp_path / "dem.tif")
    pd.testing.assert_frame_equal(qa(good(), dem=tmp_path / "dem.tif"), expected)
    whole = holed.fillna(-9999).rio.write_nodata(-9999)
    pd.testing.assert_frame_equal(qa(good(), dem=whole), expected)
    turned = holed.rio.reproject("EPSG:4326", nodata=np.nan)
    assert set(qa(good(), dem=turned).row) == {30}


def test_large_rasters_are_read_in_strips(monkeypatch):
    holed = dem(box(5000, 0, 50, 350))
    expected = qa(good(), dem=holed)
    monkeypatch.setattr("glacierlab.outlines.within.SMALL", 0)
    monkeypatch.setattr("glacierlab.outlines.within.STRIP", 50)
    pd.testing.assert_frame_equal(qa(good(), dem=holed.chunk(y=7, x=30)), expected)


def test_dem_coarser_than_the_glaciers():
    coarse = dem().coarsen(y=40, x=140).mean()
    west, _, _, north = dem().rio.bounds()
    coarse = coarse.rio.write_transform(Affine(7000, 0, west, 0, -2000, north))
    assert qa(good(), dem=coarse).empty
    assert qa(good(), dem=coarse * np.nan).value.tolist() == [1, 1, 1]


def test_several_dates_of_one_glacier_overlap_by_right():
    dates = pd.concat([good(), good().assign(src_date="2010-08-01")])
    assert qa(dates).empty
    again = shaped(box(1990, 0, 500, 500)).iloc[[2]].assign(rgi_id="d")
    crowded = qa(pd.concat([dates, again.assign(src_date="2010-08-01")]))
    assert crowded[["finding", "row"]].values.tolist() == [["overlap", 30]]
    assert qa(pd.concat([good(), again])).finding.tolist() == ["overlap"]  # neighbors of other dates do not


def test_a_table_without_any_date_is_told_once():
    found = qa(good().assign(src_date=""))
    assert found[["row", "finding", "evidence"]].values.tolist() == [[None, "date_missing", "all 3 rows"]]


def test_own_names_of_ids():
    table = good().rename(columns={"rgi_id": "NAME"}).assign(src_date="2020")
    assert qa(table.assign(NAME="x")).empty
    assert qa(table.assign(NAME="x"), by="NAME").finding.tolist() == 2 * ["duplicate_id"]


def test_around_the_pole_is_told():
    ring = shapely.Polygon([(x, 80) for x in range(-180, 181, 10)] + [(180, 90), (-180, 90)])
    repaired, found = qa(degrees(ring), repair=True)
    assert found.finding.tolist() == ["across_antimeridian"]
    assert found.done.tolist() == [""]
    assert repaired.geometry[0].equals(ring)


def test_across_the_antimeridian_in_meters():
    polar = degrees(CUT).assign(lmax_m=18_000).to_crs("EPSG:3413").dissolve()
    assert polar.geometry[0].geom_type in ("Polygon", "MultiPolygon")
    whole = polar.set_geometry(polar.buffer(1e-3).buffer(-1e-3), crs="EPSG:3413")
    assert whole.geometry[0].geom_type == "Polygon"
    assert qa(whole).empty
    assert qa(whole.assign(lmax_m=20_000)).finding.tolist() == ["too_long"]  # 18.8 km are half its sides
    assert qa(whole.assign(area_km2=80.0)).value[0] == pytest.approx(80 / 85.0, rel=1e-3)


def test_a_collection_of_mixed_types():
    mixed = good()
    shapes = [LEFT, shapely.Point(X, Y), shapely.GeometryCollection([AWAY, AWAY.centroid])]
    found = qa(mixed.set_geometry(shapes, crs=UTM))
    assert found[["row", "finding", "evidence"]].values.tolist() == [
        [20, "no_polygon", "Point"],
        [30, "no_polygon", "GeometryCollection"],
    ]


# ---- nothing in a table makes it fail ----

POINTS = st.tuples(
    st.sampled_from([0.0, 1.0, 2.0, 179.9, -179.9, 1e6, np.inf]),
    st.sampled_from([0.0, 1.0, 2.0, 89.9, 91.0, 5e6, -np.inf]),
)
SHAPES = st.one_of(
    st.none(),
    st.just(shapely.Polygon()),
    POINTS.map(shapely.Point),
    st.lists(POINTS, min_size=3, max_size=6).map(shapely.Polygon),
    st.lists(POINTS, min_size=2, max_size=4).map(shapely.LineString),
    st.lists(st.lists(POINTS, min_size=3, max_size=4).map(shapely.Polygon), max_size=2).map(
        shapely.GeometryCollection
    ),
)
CELLS = st.sampled_from([None, np.nan, np.inf, "", "x", -1, 0, 1e9, "2020-13", pd.NaT, (1, 2), True])


@pytest.mark.filterwarnings("ignore")  # of libraries, on such numbers
@given(
    shapes=st.lists(SHAPES, min_size=1, max_size=4),
    cells=st.lists(CELLS, min_size=8, max_size=8),
    crs=st.sampled_from([None, "EPSG:4326", UTM, "EPSG:3413"]),
)
def test_no_table_is_too_bad(shapes, cells, crs):
    columns = ["area_km2", "src_date", "rgi_id", "zmin_m", "zmax_m", "lmax_m", "surge_type", "aspect_deg"]
    data = {name: [cell] * len(shapes) for name, cell in zip(columns, cells, strict=True)}
    table = gpd.GeoDataFrame(data, geometry=gpd.GeoSeries(shapes, crs=crs))
    found = qa(table, dem=dem())
    assert set(found.finding) <= set(FINDINGS)
    repaired, told = qa(table, dem=dem(), repair=True)
    assert len(told) == len(found)
    assert len(repaired) <= len(table)


def test_empty_and_bare_tables():
    assert qa(good().iloc[:0]).empty
    assert qa(good()[["geometry"]]).empty
    assert qa(gpd.GeoDataFrame(geometry=[None, None], crs=UTM)).finding.tolist() == 2 * ["no_geometry"]
    assert qa(good().rename_geometry("outline")).empty
    assert qa(good().set_index(pd.Index(["x", "x", "x"]))).empty


def test_what_is_no_inventory_is_refused(tmp_path):
    with pytest.raises(InventoryError, match="this is list: read a file"):
        qa([LEFT])
    with pytest.raises(InventoryError, match=r"this table has \['a'\] and no geometry"):
        qa(pd.DataFrame({"a": [1]}))
    with pytest.raises(InventoryError, match="No column 'name'"):
        qa(good(), by="name")
    with pytest.raises(UnknownNameError, match=r"'min_area'. Did you mean 'min_area_km2'"):
        qa(good(), min_area=1)
    with pytest.raises(GridError, match="CRS"):
        qa(good(), dem=dem().drop_vars("spatial_ref"))
    with pytest.raises(SceneError, match="does not exist"):
        qa(good(), dem=tmp_path / "dem.tif")


def test_real_inventories(data):
    found = qa(gpd.read_file(data / "gnp_glaciers/polys05.json"))
    assert found[found.finding == "invalid"].row.tolist() == [4]
    found = qa(gpd.read_file(data / "oggm/rgi7g_hef_complex.shp"))
    assert found[found.severity == "error"].empty


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32601"])
def test_a_dem_in_degrees_may_run_from_0_to_360(crs):
    across = gpd.GeoDataFrame(geometry=[shapely.box(179.95, 66, 180.05, 66.03)], crs="EPSG:4326").to_crs(crs)
    west = gpd.GeoDataFrame(geometry=[shapely.box(-120.05, 66, -119.95, 66.03)], crs="EPSG:4326")
    for outlines, lon in ((across, 180.0), (west, 240.0)):
        y, x = 66.05 - 0.001 * np.arange(80), lon + 0.001 * np.arange(-80, 80)
        heights = xr.DataArray(np.full((80, 160), 900.0), {"y": y, "x": x}, ("y", "x")).rio.write_crs(4326)
        assert qa(outlines, dem=heights).empty
        assert gl.outlines.lakes(outlines, outlines, dem=heights).zmed_m.tolist() == [900.0]


def test_ids_that_are_empty_are_none():
    table = good().assign(glims_id=["G1", "G2", "G3"], rgi_id="", term_type=4)
    assert qa(table).id.tolist() == ["G1", "G2", "G3"]


def test_an_outline_around_a_pole_has_the_area_it_has():
    polar = gpd.GeoDataFrame(
        {"rgi_id": ["p"], "src_date": ["2000-01-01"], "area_km2": [169083.2]},
        geometry=[shapely.box(-2e5, -2e5, 2e5, 2e5)], crs="EPSG:3031",
    )  # fmt: skip
    repaired, findings = gl.qa(polar, repair=True)
    assert repaired.area_km2.tolist() == [169083.2]
    assert set(findings["finding"]) <= {"incomplete"}, findings
