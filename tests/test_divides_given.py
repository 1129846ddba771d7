"""Complexes divided by divides that are given: an older inventory's polygons, or lines."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import LineString, MultiPolygon, box

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError

UTM = "EPSG:32632"


def table(*shapes, crs=UTM, **columns):
    moved = [shapely.affinity.translate(shape, 600_000, 5_200_000) for shape in shapes]
    return gpd.GeoDataFrame(columns, geometry=moved, crs=crs)


def split(outlines, divides):
    return gl.outlines.split_glaciers(outlines, divides=divides)


def lies_in(parts, shape):
    """Share of a shape, and of each part, that the two have in common."""
    shape = shapely.affinity.translate(shape, 600_000, 5_200_000)
    return [part.intersection(shape).area / shape.area for part in parts.geometry]


WEST, EAST = box(0, 0, 1000, 800), box(1000, 0, 1800, 800)


def test_older_glaciers_are_imposed_exactly_and_give_their_ids():
    older = table(WEST, EAST, rgi_id=["RGI-1", "RGI-2"], glac_name=["A", "B"])
    parts = split(table(box(0, 0, 1800, 800), src_date=["2020"]), older)
    assert parts.rgi_id.tolist() == ["RGI-1", "RGI-2"]
    assert parts.glac_name.tolist() == ["A", "B"]
    assert parts.src_date.tolist() == ["2020", "2020"]
    assert shapely.equals(parts.geometry.values, older.geometry.values).all()


def test_new_ice_goes_to_the_nearest_older_glacier():
    older = table(WEST, EAST, rgi_id=["RGI-1", "RGI-2"])
    grown = table(box(-50, -50, 1850, 850))  # 50 m more all around
    parts = split(grown, older)
    assert parts.rgi_id.tolist() == ["RGI-1", "RGI-2"]
    assert parts.area.sum() == pytest.approx(grown.area.sum(), rel=1e-12)
    west, east = parts.geometry
    assert shapely.area(shapely.intersection(west, east)) == 0
    assert lies_in(parts, box(-50, -50, 985, 850))[0] == pytest.approx(1)  # the divide goes on straight
    assert lies_in(parts, box(1015, -50, 1850, 850))[1] == pytest.approx(1)


def test_retreat_that_breaks_a_glacier_leaves_its_largest_piece_the_id():
    older = table(WEST, EAST, rgi_id=["RGI-1", "RGI-2"])
    now = table(box(0, 0, 400, 800), box(600, 0, 1800, 800))
    parts = split(now, older)
    assert parts.complex_id.tolist() == [0, 1, 1]
    assert parts.rgi_id[1] == "RGI-2"
    both = [parts.rgi_id[0], parts.rgi_id[2]]
    assert sorted(parts.area_km2[parts.rgi_id == "RGI-1"].round(1)) == [0.3]
    assert all(name.startswith("RGI-1") for name in both)
    assert parts.rgi_id.is_unique
    assert parts.older_id.tolist() == ["RGI-1", "RGI-2", "RGI-1"]


def test_each_glacier_tells_the_older_one_by_its_id():
    """The first column of ids that says something, numbers too; new ice apart has none."""
    older = table(WEST, EAST, rgi_id=["", None], glacier_id=[17, 4]).set_axis([8, 9])
    now = table(box(0, 0, 1800, 800), box(5000, 0, 5500, 500), glacier_id=["own", "new"])
    parts = split(now, older)
    assert parts.older_id.tolist() == [17, 4, pd.NA]
    assert "older_id" not in split(now, older[["geometry"]])


def test_a_complex_that_no_older_glacier_touches_stays_whole():
    far = box(5000, 0, 5500, 500)
    older = table(WEST, EAST, rgi_id=["RGI-1", "RGI-2"])
    parts = split(table(box(0, 0, 1800, 800), far, rgi_id=["near", "new"]), older)
    assert parts.rgi_id.tolist() == ["RGI-1", "RGI-2", "new"]
    with pytest.warns(DataWarning, match="divides touch no outline"):
        parts = split(table(far, rgi_id=["new"]), older)
    assert parts.rgi_id.tolist() == ["new"]


def test_overlaps_of_older_glaciers_go_to_the_larger_and_slivers_to_none():
    older = table(WEST, box(900, 0, 1800, 800), box(1799, 0, 2500, 5), rgi_id=["RGI-1", "RGI-2", "RGI-3"])
    parts = split(table(box(0, 0, 1800, 800)), older)
    assert parts.rgi_id.tolist() == ["RGI-1", "RGI-2"]
    assert parts.area.tolist() == pytest.approx([800_000, 640_000])


def test_pieces_of_one_older_glacier_stay_one_row():
    older = table(box(0, 0, 300, 800), box(300, 0, 600, 800), rgi_id=["RGI-1", "RGI-2"])
    older.loc[0, "geometry"] = MultiPolygon(
        [older.geometry[0], shapely.affinity.translate(older.geometry[0], 600)]
    )
    parts = split(table(box(0, 0, 900, 800)), older)
    assert parts.rgi_id.tolist() == ["RGI-1", "RGI-2"]
    assert parts.geom_type.tolist() == ["MultiPolygon", "Polygon"]


def test_divides_in_another_crs_leave_no_slivers():
    older = table(WEST, EAST, rgi_id=["RGI-1", "RGI-2"]).to_crs(4326)
    whole = table(box(0, 0, 1800, 800))
    parts = split(whole, older)
    assert len(parts) == 2
    assert (parts.geom_type == "Polygon").all()
    assert parts.area.sum() == pytest.approx(whole.area.sum(), rel=1e-9)
    assert parts.is_valid.all()


def test_the_rgi_imposed_on_its_own_complex_gives_the_rgi(data):
    whole = gl.open_inventory(data / "oggm/rgi7c_hef.shp")
    published = gl.open_inventory(data / "oggm/rgi7g_hef_complex.shp")
    parts = split(whole, published)
    assert len(parts) == len(published) == 23
    pairs = parts.merge(published, on="rgi_id", suffixes=("", "_rgi"))
    assert len(pairs) == 23
    np.testing.assert_allclose(pairs.area_km2, pairs.area_km2_rgi, rtol=1e-4, atol=1e-5)


def test_lines_cut_from_outline_to_outline():
    whole = table(MultiPolygon([box(0, 0, 1800, 800), box(1900, 0, 2000, 800)]), rgi_id=["C"])
    lines = table(LineString([(1000, -50), (1000, 850)]), LineString([(-50, 400), (1050, 400)]))
    parts = split(whole, lines)
    assert parts.area.tolist() == pytest.approx([800 * 900, 400_000, 400_000])  # what no line cuts is nearest
    assert parts.rgi_id.str.startswith("C_G").all()
    assert parts.rgi_id.is_unique


def test_lines_that_cut_nothing_are_told():
    with pytest.warns(DataWarning, match="cut nothing"):
        parts = split(table(box(0, 0, 1800, 800)), table(LineString([(1000, -50), (1000, 750)])))
    assert len(parts) == 1


@pytest.mark.parametrize(
    ("divides", "message"),
    [
        ([1, 2], "GeoDataFrame of polygons or lines"),
        (table(WEST, crs=None), "no CRS"),
        (table(shapely.Point(0, 0)), r"\['Point'\]"),
        (table(WEST, LineString([(0, 0), (1, 1)])), "all of one kind"),
        (table(shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])), "1 divides are invalid"),
    ],
)
def test_bad_divides_say_what_to_do(divides, message):
    with pytest.raises(InventoryError, match=message):
        split(table(box(0, 0, 1800, 800)), divides)
