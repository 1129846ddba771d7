"""Inventories of others in one schema: names, dates, codes and areas, on the files themselves."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError, UnknownNameError
from glacierlab.io.dates import iso_dates
from glacierlab.tables import EXTRA_COLUMNS, INVENTORIES, RGI7

SVALBARD = {"glac_name": "name", "src_date": "year"}
PARK = {"glac_name": "GLACNAME", "src_date": "Year"}


def written(tmp_path, rows, shapes=None, crs="EPSG:4326", name="a.gpkg"):
    """A file of squares beside each other, with columns as a file of others has them."""
    count = len(next(iter(rows.values())))
    shapes = shapes or [shapely.box(90 + 0.1 * i, 30, 90.05 + 0.1 * i, 30.05) for i in range(count)]
    gpd.GeoDataFrame(rows, geometry=shapes, crs=crs).to_file(tmp_path / name)
    return tmp_path / name


# ---- published areas and dates ----


@pytest.mark.parametrize(("year", "total"), [("66", 21.63), ("98", 16.27), ("05", 15.45), ("15", 14.18)])
@pytest.mark.filterwarnings("ignore::glacierlab.errors.DataWarning")
def test_glacier_national_park_as_published(data, year, total):
    glaciers = gl.open_inventory(data / f"gnp_glaciers/polys{year}.json", columns=PARK)
    assert glaciers.crs.equals("EPSG:4326", ignore_axis_order=True)
    assert glaciers.area_km2.sum() == pytest.approx(total, rel=0.003)
    assert glaciers.glac_name.nunique() == 39
    full = f"19{year}" if int(year) > 20 else f"20{year}"
    assert set(glaciers.src_date) == {f"{full}-01-01/{full}-12-31"}


def test_svalbard_in_three_years(data):
    glaciers = gl.open_inventory(data / "svalbard_outlines/svalbard.gpkg", columns=SVALBARD)
    equal_area = glaciers.to_crs("+proj=laea +lat_0=78.9 +lon_0=12 +ellps=WGS84").area / 1e6  # PROJ's own
    np.testing.assert_allclose(glaciers.area_km2, equal_area, rtol=1e-5)
    by_year = glaciers.groupby(glaciers.src_date.str[:4]).area_km2.agg(["size", "sum"])
    assert by_year["size"].to_dict() == {"1936": 5, "1990": 5, "2007": 5}
    assert by_year["sum"].is_monotonic_decreasing
    one = glaciers[glaciers.glac_name == "Austre Lovenbreen"]
    assert one["length"].round().tolist() == [4655, 3751, 3441]  # the file's own attributes go along


@pytest.mark.filterwarnings("ignore:.*repaired")
@pytest.mark.parametrize(
    ("date", "area", "parts", "rocks"), [("1998-08-31", 16.10, 1, 2), ("2009-09-15", 15.31, 2, 0)]
)
def test_rhone_of_glims(data, date, area, parts, rocks):
    glaciers = gl.open_inventory(data / "rhone_glims/glims_polygons.shp")
    rhone = glaciers[(glaciers.glac_name == "Rhonegletscher") & (glaciers.src_date == date)].iloc[0]
    assert rhone.area_km2 == pytest.approx(area, rel=0.005)
    assert rhone.area_km2_source == pytest.approx(rhone.area_km2, rel=0.001)  # the analysts' own
    assert (rhone.parts, rhone.rocks) == (parts, rocks)
    assert rhone.glims_id == "G008398E46623N"


@pytest.mark.filterwarnings("ignore:.*repaired")
def test_glims_areas_are_those_of_its_database(data):
    glaciers = gl.open_inventory(data / "rhone_glims")  # a folder will do
    assert len(glaciers) == 145
    assert set(glaciers.src_date) == {"1998-08-31", "2009-09-15"}
    assert not glaciers.duplicated(["glims_id", "src_date"]).any()
    off = glaciers[(glaciers.area_km2 / glaciers.db_area - 1).abs() > 0.001]  # of all parts, without the rock
    # two large ones, whose polygons here are not all that the database has, and one far from its id
    assert set(off.glims_id) == {"G008379E46648N", "G008187E46569N", "G008427E46731N"}
    assert len(off) == 5
    assert glaciers.lmax_m.min() > 0  # 0 is how the file writes what it does not know
    assert glaciers.zmin_m.isna().sum() == glaciers.zmax_m.isna().sum() > 0


@pytest.mark.parametrize("file", ["rgi7g_hef.shp", "rgi7g_hef_complex.shp"])
def test_rgi7_is_as_it_is(data, file):
    glaciers, plain = gl.open_inventory(data / "oggm" / file), gpd.read_file(data / "oggm" / file)
    assert list(glaciers)[: len(plain.columns) - 1] == list(plain)[:-1]
    for name in plain.columns.drop(["src_date", "area_km2", "geometry"]):
        assert glaciers[name].dtype == plain[name].dtype
        assert glaciers[name].tolist() == plain[name].fillna("").tolist()
    assert [text + "T00:00:00" for text in glaciers.src_date] == plain.src_date.tolist()
    np.testing.assert_allclose(glaciers.area_km2_source, plain.area_km2, rtol=0)
    np.testing.assert_allclose(glaciers.area_km2, plain.area_km2, rtol=1e-6)  # both geodesic, ours and theirs
    assert "doi:10.5067/F6JMOVY5NAVZ" in glaciers.attrs["source"]


def test_rgi5_in_the_names_of_rgi7(data):
    glacier = gl.open_inventory(data / "oggm/Hintereisferner_RGI5.shp").iloc[0]
    assert glacier.rgi_id == "RGI50-11.00897"
    assert glacier.glac_name == "Hintereisferner"
    assert glacier.src_date == "2003-07-01/2003-09-30"  # 20030799 to 20030999
    assert (glacier.o1region, glacier.o2region) == ("11", "11-01")
    assert (glacier.zmin_m, glacier.zmed_m, glacier.zmax_m, glacier.lmax_m) == (2430, 3050, 3674, 7178)
    assert glacier.GlacType == "0091"  # what has no name of RGI 7 stays
    assert "BgnDate" not in glacier
    assert glacier.area_km2 == pytest.approx(glacier.area_km2_source, rel=1e-4)


@pytest.mark.filterwarnings("ignore:.*repaired")
@pytest.mark.parametrize(
    ("file", "count", "region", "dates"),
    [
        ("everest/15_rgi60_glacier_outlines.gpkg", 86, "15-02", {"2000-10-30"}),
        ("exploradores/17_rgi60_glacier_outlines.gpkg", 47, "17-01", {"2000-01-01/2003-05-31"}),
    ],
)
def test_rgi6_in_the_names_of_rgi7(data, file, count, region, dates):
    glaciers = gl.open_inventory(data / file)
    assert len(glaciers) == count
    assert dates <= set(glaciers.src_date)
    assert set(glaciers.o2region) == {region}
    assert {"rgi_id", "glims_id", "zmin_m", "slope_deg", "aspect_deg", "term_type"} <= {*glaciers}
    assert glaciers.area_km2.sum() == pytest.approx(glaciers.area_km2_source.sum(), rel=0.005)
    ours = [name for name in glaciers if name in {**RGI7, **EXTRA_COLUMNS} and name != "geometry"]
    assert list(glaciers)[: len(ours)] == ours  # names of RGI 7 first, in its order
    assert glaciers.columns[-1] == "geometry"


# ---- codes, columns, presets ----


def test_rgi6_codes_and_missing_numbers(tmp_path):
    rows = {"RGIId": list("abc"), "GLIMSId": ["x"] * 3, "O1Region": [1, 1, 1], "O2Region": ["2", "2", "3"]}
    rows |= {"BgnDate": ["20009999", "-9999999", "20030831"], "EndDate": ["-9999999"] * 3}
    rows |= {"TermType": [5, 3, 1], "Zmin": [-999, -5, 100], "Slope": [-9.0, 20, 30], "Lmax": [-9, 500, 600]}
    glaciers = gl.open_inventory(written(tmp_path, rows))
    assert glaciers.term_type.tolist() == [3, 9, 1]
    assert glaciers.o2region.tolist() == ["01-02", "01-02", "01-03"]
    assert glaciers.src_date.tolist() == ["2000-01-01/2000-12-31", "", "2003-08-31"]
    np.testing.assert_array_equal(glaciers.zmin_m, [np.nan, -5, 100])  # a front below the sea is no gap
    np.testing.assert_array_equal(glaciers.slope_deg, [np.nan, 20, 30])
    np.testing.assert_array_equal(glaciers.lmax_m, [np.nan, 500, 600])


def test_columns_by_hand(tmp_path):
    path = written(tmp_path, {"NAME": ["A", None], "when": [1986.0, 2003.0], "SHAPE_AREA": [1, 2]})
    glaciers = gl.open_inventory(path, columns={"glac_name": "NAME", "local": "name", "src_date": "when"})
    assert glaciers.glac_name.tolist() == ["A", ""]
    assert glaciers.src_date.tolist() == ["1986-01-01/1986-12-31", "2003-01-01/2003-12-31"]
    assert "NAME" not in glaciers
    assert "SHAPE_AREA" in glaciers
    assert gl.open_inventory(path).src_date.tolist() == ["", ""]  # nothing is guessed


def test_columns_that_are_not_there(tmp_path):
    path = written(tmp_path, {"NAME": ["A"], "glac_name": ["B"]})
    with pytest.raises(InventoryError, match=r"names \['NAMES'\], but the file has \['NAME', 'glac_name'"):
        gl.open_inventory(path, columns={"glac_name": "NAMES"})
    with pytest.raises(InventoryError, match="columns of that name already"):
        gl.open_inventory(path, columns={"glac_name": "NAME"})
    with pytest.raises(UnknownNameError, match="Did you mean 'cgi2'"):
        gl.open_inventory(path, columns="cgi")


def test_dates_that_are_none_are_told(data):
    with pytest.warns(DataWarning, match="39 of 39 dates cannot be read and are left empty: 'LIA'"):
        glaciers = gl.open_inventory(data / "gnp_glaciers/lia-poly.json", columns=PARK)
    assert set(glaciers.src_date) == {""}


def test_the_second_chinese_inventory_is_known_by_its_columns(tmp_path):
    rows = {
        "Glc_Name": ["Qiangyong"],
        "FCGI_ID": ["5O"],
        "GLIMS_ID": ["G090270E28850N"],
        "Rep_Date": [20091106],
    }
    rows |= {"Glc_Area": [26.0], "Max_Elev": [6500.0], "MA_Elev": [5900.0], "Compiler": ["x"]}
    glacier = gl.open_inventory(written(tmp_path, rows)).iloc[0]
    assert (glacier.glims_id, glacier.glac_name, glacier.src_date) == (
        "G090270E28850N",
        "Qiangyong",
        "2009-11-06",
    )
    assert (glacier.zmax_m, glacier.zmed_m, glacier.area_km2_source) == (6500, 5900, 26)
    assert glacier.Compiler == "x"


@pytest.mark.parametrize(
    ("preset", "date"),
    [("tpg2017", "2013-01-01/2018-12-31"), ("ggi", "1990-01-01/2010-12-31"), ("chen2022", "")],
)
def test_presets_leave_unknown_columns_alone(tmp_path, preset, date):
    glaciers = gl.open_inventory(written(tmp_path, {"any": [1], "Area": [26.8]}), columns=preset)
    assert glaciers.src_date.tolist() == [date]
    assert glaciers["any"].tolist() == [1]
    assert "doi:10." in glaciers.attrs["source"]


def test_every_inventory_names_its_source_and_columns_of_ours():
    for name, row in INVENTORIES.items():
        assert "doi:10." in row.source, name
        assert {*row.columns} <= {*RGI7, *EXTRA_COLUMNS}, name


def test_areas_in_other_units(tmp_path):
    shape = [shapely.box(500_000, 3_000_000, 501_000, 3_001_000)]
    for value, unit in [(100.1, "ha"), (1_001_000, "m2"), (1.001, "km2")]:
        path = written(tmp_path, {"Area": [value]}, shape, "EPSG:32646", f"{unit}.gpkg")
        glaciers = gl.open_inventory(path)
        assert glaciers.area_km2_source.tolist() == pytest.approx([1.001])
        assert glaciers.attrs["area_source"] == f"Area in {unit}"
        named = gl.open_inventory(path, columns={"area_km2": "Area"})
        assert named.area_km2_source.tolist() == pytest.approx([1.001])


# ---- dates ----


@pytest.mark.parametrize(
    ("written_as", "iso"),
    [
        ("2009-09-15T00:00:00", "2009-09-15"),
        ("2020-08-16T18:33:05Z", "2020-08-16T18:33:05Z"),
        ("20030831", "2003-08-31"),
        (20030831.0, "2003-08-31"),
        ("20040299", "2004-02-01/2004-02-29"),
        ("2003/8/5", "2003-08-05"),
        ("1986-1988", "1986-01-01/1988-12-31"),
        ("2003-07", "2003-07-01/2003-07-31"),
        ("Aug 2005", "2005-08-01/2005-08-31"),
        ("12 Aug 2005", "2005-08-12"),
        ("31/08/2005", "2005-08-31"),
        ("08/31/2005", "2005-08-31"),
        ("5.8.2005", "2005-08-05"),
        ("9999", ""),
        ("2003-07-01/2003-09-30", "2003-07-01/2003-09-30"),
        (np.datetime64("2015-09-12").astype("M8[ms]").item(), "2015-09-12"),
        ("-9999999", ""),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_dates_in_every_writing(written_as, iso):
    assert iso_dates([written_as]) == ([iso], [])


@pytest.mark.parametrize(
    "text",
    [
        "LIA", "20031345", "summer 2003", "2003-02-30", "99999", "12/08/2005", "2009.5", "today", "10:00",
        "August", "2003-07-01/", "31/08/2005 10:00",
    ],
)  # fmt: skip
def test_what_is_no_date(text):
    """Nor one that may be read in two ways."""
    assert iso_dates([text]) == ([""], [text])


@given(st.dates(min_value=np.datetime64("1850-01-01").item(), max_value=np.datetime64("2099-12-31").item()))
def test_a_day_is_the_same_in_every_writing(day):
    iso = day.isoformat()
    for text in (
        iso,
        iso.replace("-", ""),
        iso.replace("-", "/"),
        int(iso.replace("-", "")),
        day,
        iso + "T00:00:00",
    ):
        assert iso_dates([text]) == ([iso], [])
    assert iso_dates([iso], [f"{day.year}9999"])[0][0].startswith(iso)
