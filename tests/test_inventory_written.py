"""Opening what was written gives what was written, in every format; RGI 7.0 as it is published."""

import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError, UnknownNameError
from glacierlab.tables import RGI7

FORMATS = ["gpkg", "parquet", "shp", "geojson", "fgb"]
NOW_AND_THEN = pytest.mark.filterwarnings("ignore:.*ten letters")


def squares(count=2, crs="EPSG:32646", **columns):
    shapes = [shapely.box(5e5 + 2000 * i, 3e6, 5e5 + 2000 * i + 1000, 3e6 + 1000) for i in range(count)]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


@pytest.fixture
def glaciers(data):
    """23 glaciers of RGI 7.0 with columns of ours and of a user's."""
    found = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    return found.assign(area_unc_km2=0.1, area_unc_kind="bound", note="Ötztal", seen=range(23), ok=True)


@NOW_AND_THEN
@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_back_types_dates_crs_and_rows(glaciers, tmp_path, ending):
    path = gl.write_outlines(glaciers, tmp_path / f"a.{ending}")
    again = gl.open_inventory(path)
    assert set(again) == set(glaciers)
    again = again[list(glaciers)]
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.drop(columns="geometry")),
        pd.DataFrame(glaciers.drop(columns="geometry")),
        rtol=1e-12,
        check_dtype=ending != "geojson",  # whose whole numbers are of no width
    )
    assert again.crs.equals(glaciers.crs, ignore_axis_order=True)
    assert again.geometry.geom_equals_exact(glaciers.geometry, 1e-9).all()
    assert [p.stem for p in tmp_path.iterdir()] == ["a"] * len(list(tmp_path.iterdir()))


def test_attrs_come_back(glaciers, tmp_path):
    glaciers.attrs["note"] = ["of Kienholz", 2013]
    for ending in ("gpkg", "parquet"):
        assert (
            gl.open_inventory(gl.write_outlines(glaciers, tmp_path / f"a.{ending}")).attrs == glaciers.attrs
        )


def test_the_source_area_and_the_repair_are_remembered(data, tmp_path):
    with pytest.warns(DataWarning, match="repaired"):
        first = gl.open_inventory(data / "gnp_glaciers/polys05.json", columns={"glac_name": "GLACNAME"})
    again = gl.open_inventory(gl.write_outlines(first, tmp_path / "a.gpkg"))
    assert again.index[again.repaired].tolist() == [4]
    np.testing.assert_array_equal(again.area_km2_source, first.area_km2_source)
    assert again.attrs == {"area_source": "AREA in m2"}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40).map(str.strip)
DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)).map(str)


@settings(max_examples=10)
@given(
    names=st.lists(
        TEXTS.filter(lambda t: t not in ("None", "NULL", "nan", "<NA>", "À")), min_size=2, max_size=2
    ),
    days=st.lists(st.one_of(st.just(""), DAYS), min_size=2, max_size=2),
    heights=st.lists(st.floats(0, 8000), min_size=2, max_size=2),
    codes=st.lists(st.integers(0, 9), min_size=2, max_size=2),
)
@pytest.mark.parametrize("ending", ["gpkg", "parquet", "shp"])
def test_whatever_is_written_comes_back(tmp_path_factory, ending, names, days, heights, codes):
    columns = dict(glac_name=names, src_date=days, zmed_m=heights, term_type=codes)
    path = gl.write_outlines(squares(**columns), tmp_path_factory.mktemp("a") / f"a.{ending}")
    again = gl.open_inventory(path)
    assert again.glac_name.tolist() == names
    assert again.src_date.tolist() == days
    assert again.zmed_m.tolist() == pytest.approx(heights, rel=1e-12, abs=1e-12)
    assert again.term_type.tolist() == codes


# ---- RGI 7.0 ----


@pytest.mark.parametrize("ending", ["gpkg", "shp"])
def test_rgi7_as_published(data, tmp_path, ending):
    """Its own glaciers through our hands, meters and all, are its own glaciers."""
    theirs = gpd.read_file(data / "oggm/rgi7g_hef_complex.shp")
    glaciers = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp").drop(
        columns=["area_km2_source", "repaired"]
    )
    path = gl.write_outlines(glaciers.to_crs("EPSG:32632"), tmp_path / f"a.{ending}", schema="rgi7")
    ours = gpd.read_file(path)
    assert list(ours) == list(theirs) == [*RGI7]
    assert ours.dtypes.drop("geometry").to_dict() == theirs.dtypes.drop("geometry").to_dict()
    assert ours.crs.equals("EPSG:4326", ignore_axis_order=True)
    assert ours.geometry.geom_equals_exact(theirs.geometry, 1e-8).all()
    ours, theirs = (pd.DataFrame(t).fillna({"glac_name": ""}) for t in (ours, theirs))
    same = ours.drop(columns=["geometry", "src_date", "area_km2"])
    pd.testing.assert_frame_equal(same, theirs[list(same)], rtol=1e-12)


def test_rgi7_of_outlines_that_know_little(tmp_path):
    outlines = squares(rgi_id=["a", "b"], src_date=["2020-08-16"] * 2, mine=[1.0, 2.0])
    table = gpd.read_file(gl.write_outlines(outlines, tmp_path / "a.gpkg", schema="rgi7"))
    assert list(table) == [*list(RGI7)[:-1], "mine", "geometry"]
    row = table.iloc[0]
    assert (row.surge_type, row.term_type, row.aspect_sec, row.utm_zone) == (9, 9, 9, 46)
    assert (row.rgi_id, row.glac_name) == ("a", "")
    assert np.isnan(row.zmed_m)
    assert np.isnan(row.lmax_m)
    assert row.area_km2 == pytest.approx(1.0008, abs=1e-4)  # 0.9996 is UTM's scale on the central meridian
    assert shapely.contains_xy(row.geometry, row.cenlon, row.cenlat)


# ---- shapefiles, and what cannot be written ----


def test_a_shapefile_tells_what_it_calls_columns(tmp_path):
    outlines = squares(area_unc_km2=[1.0, 2.0], glacier_name_long=["a", "b"], glacier_name_2=["c", "d"])
    outlines["taken_on"] = pd.Timestamp("2020-08-16")
    with pytest.warns(
        DataWarning, match="area_unc_km2 → area_unc, glacier_name_long → glacier_na, .* → glacier_n1"
    ):
        path = gl.write_outlines(outlines, tmp_path / "a.shp")
    again = gl.open_inventory(path)
    assert again.area_unc_km2.tolist() == [1, 2]  # ours find their way back
    assert again.glacier_na.tolist() == ["a", "b"]
    assert again.glacier_n1.tolist() == ["c", "d"]
    assert again.taken_on.tolist() == ["2020-08-16"] * 2


def test_a_shapefile_tells_of_long_texts(tmp_path):
    with pytest.warns(DataWarning, match=r"254 bytes at most, and those of \['note'\]"):
        gl.write_outlines(squares(note=["ö" * 200, ""], name=["a", "b"]), tmp_path / "a.shp")


@pytest.mark.parametrize("ending", ["foo", "tif", "csv", "kml"])
def test_endings_that_are_none(tmp_path, ending):
    with pytest.raises(InventoryError, match=r"ends in none of \.gpkg, \.shp"):
        gl.write_outlines(squares(n=[1, 2]), tmp_path / f"a.{ending}")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InventoryError, match="set_crs"):
        gl.write_outlines(squares(n=[1, 2], crs=None), tmp_path / "a.gpkg")
    with pytest.raises(InventoryError, match="set_crs"):
        gl.write_outlines(pd.DataFrame({"n": [1]}), tmp_path / "a.gpkg")
    twice = squares(n=[1, 2], m=[1, 2]).rename(columns={"m": "n"})
    with pytest.raises(InventoryError, match=r"\['n'\] are the names of several"):
        gl.write_outlines(twice, tmp_path / "a.gpkg")
    for columns in ({"Name": ["a", "b"], "NAME": ["c", "d"]}, {"fid": [1.5, 2.5]}, {"FID": [1, 1]}):
        with pytest.raises(InventoryError, match=rf"cannot have the columns \['{next(iter(columns))}'"):
            gl.write_outlines(squares(**columns), tmp_path / "a.gpkg")
    with pytest.raises(InventoryError, match=r"values of several types.*column n"):
        gl.write_outlines(squares(n=[1, "b"]), tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnknownNameError, match="rgi7"):
        gl.write_outlines(squares(n=[1, 2]), tmp_path / "a.gpkg", schema="rgi6")
    bow = shapely.Polygon([(5e5, 5e6), (501e3, 5001e3), (501e3, 5e6), (5e5, 5001e3)])
    crossed = gpd.GeoDataFrame(geometry=[bow], crs="EPSG:32632")
    with pytest.raises(InventoryError, match="schema='rgi7': 1 of 1 outlines are invalid"):
        gl.write_outlines(crossed, tmp_path / "a.gpkg", schema="rgi7")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.*outlines cross 180°:glacierlab.errors.DataWarning")
def test_rgi7_across_the_antimeridian(tmp_path):
    across = shapely.segmentize(shapely.box(179.95, 66, 180.05, 66.03), 0.01)
    outlines = gpd.GeoDataFrame(geometry=[across], crs=4326).to_crs("EPSG:32601")
    path = gl.write_outlines(outlines, tmp_path / "a.gpkg", schema="rgi7")
    row = gpd.read_file(path).iloc[0]
    assert abs(row.cenlon) == pytest.approx(180, abs=0.05)
    assert row.utm_zone in (1, 60)
    assert row.geometry.is_valid
    assert row.geometry.bounds[2] - row.geometry.bounds[0] == pytest.approx(0.1, abs=1e-6)
    assert gl.open_inventory(path).area_km2[0] == pytest.approx(row.area_km2, rel=1e-9)
