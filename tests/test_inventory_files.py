"""Files of outlines as they come: cut, locked, without parts, with points among the polygons, across 180°."""

import shutil
import sqlite3

import geopandas as gpd
import numpy as np
import pytest
import shapely

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError

PARTS = ("shp", "shx", "dbf", "prj", "cpg")


def table(shapes, crs="EPSG:32646", **columns):
    return gpd.GeoDataFrame(columns or {"n": range(len(shapes))}, geometry=shapes, crs=crs)


def square(x=500_000, y=3_000_000, side=1000):
    return shapely.box(x, y, x + side, y + side)


@pytest.fixture
def shapefile(tmp_path):
    """A shapefile of three squares."""
    table([square(500_000 + 2000 * i) for i in range(3)], name=["Á", "b", "c"]).to_file(tmp_path / "a.shp")
    return tmp_path / "a.shp"


def refused(path, match, **options):
    with pytest.raises(InventoryError, match=match) as error:
        gl.open_inventory(path, **options)
    assert "\n" not in str(error.value)


def test_a_shapefile_without_its_index(shapefile):
    shapefile.with_suffix(".shx").unlink()
    refused(shapefile, r"lacks its \.shx.*SHAPE_RESTORE_SHX")
    assert not shapefile.with_suffix(".shx").exists()  # nothing is written beside


def test_a_shapefile_without_its_table(shapefile):
    shapefile.with_suffix(".dbf").unlink()
    with pytest.warns(DataWarning, match=r"lacks its \.dbf"):
        glaciers = gl.open_inventory(shapefile)
    assert len(glaciers) == 3


def test_a_shapefile_without_its_projection(shapefile):
    shapefile.with_suffix(".prj").unlink()
    refused(shapefile, r"no CRS.*\.prj")


@pytest.mark.parametrize("part", ["shp", "dbf"])
def test_a_shapefile_cut_short(data, tmp_path, part):
    for ending in PARTS:
        shutil.copyfile(data / f"oggm/rgi7g_hef_complex.{ending}", tmp_path / f"a.{ending}")
    path = tmp_path / f"a.{part}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(
        tmp_path / "a.shp", "cut short: it has .* of 251,144 bytes" if part == "shp" else "cannot be read"
    )


@pytest.mark.parametrize("source", ["svalbard_outlines/svalbard.gpkg", "gnp_glaciers/polys66.json"])
def test_other_files_cut_short(data, tmp_path, source):
    path = tmp_path / (data / source).name
    path.write_bytes((data / source).read_bytes()[: (data / source).stat().st_size // 2])
    refused(path, "cannot be read as a vector file")


def test_a_geopackage_that_another_program_is_writing(data, tmp_path):
    path = tmp_path / "a.gpkg"
    shutil.copyfile(data / "svalbard_outlines/svalbard.gpkg", path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            found = len(gl.open_inventory(path))  # GDAL may read what was there before
        except InventoryError:
            found = "told"
        other.execute("ROLLBACK")
    assert found in (15, "told")


def test_what_is_no_file_of_outlines(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    refused(tmp_path / "a.tif", "is a raster.*vectorize")
    refused(tmp_path, "is a folder without polygons.shp")
    table([square()]).iloc[:0].to_file(tmp_path / "empty.gpkg")
    refused(tmp_path / "empty.gpkg", "holds no outlines: 0 rows")


def test_layers(tmp_path):
    table([square()], name=["a"]).to_file(tmp_path / "a.gpkg", layer="ice")
    table([shapely.Point(5e5, 3e6)]).to_file(tmp_path / "a.gpkg", layer="stakes")
    assert gl.open_inventory(tmp_path / "a.gpkg").name.tolist() == ["a"]  # the one with polygons
    refused(tmp_path / "a.gpkg", r"no layer 'lakes', but \['ice', 'stakes'\]", layer="lakes")
    table([square()] * 2, name=["b", "c"]).to_file(tmp_path / "a.gpkg", layer="lakes")
    with pytest.warns(DataWarning, match=r"'ice' is opened.*layer="):
        assert len(gl.open_inventory(tmp_path / "a.gpkg")) == 1
    assert len(gl.open_inventory(tmp_path / "a.gpkg", layer="lakes")) == 2


def test_mixed_geometries(tmp_path):
    collection = shapely.GeometryCollection([square(), shapely.Point(0, 0)])
    shapes = [square(), None, shapely.Point(5e5, 3e6), collection, shapely.Polygon()]
    table(shapes).to_file(tmp_path / "a.gpkg")
    with pytest.warns(DataWarning, match=r"3 of 5 rows hold no polygon \(Point, nothing\).*\[1, 2, 4\]"):
        glaciers = gl.open_inventory(tmp_path / "a.gpkg")
    assert glaciers.n.tolist() == [0, 3]
    assert glaciers.area.tolist() == [1e6, 1e6]


def test_heights_and_measures_are_dropped(tmp_path):
    ring = np.column_stack([*square().exterior.xy, np.arange(5.0)])
    table([shapely.Polygon(ring)]).to_file(tmp_path / "a.gpkg")
    assert gpd.read_file(tmp_path / "a.gpkg").has_z.all()
    glaciers = gl.open_inventory(tmp_path / "a.gpkg")
    assert not glaciers.has_z.any()
    assert glaciers.area.tolist() == [1e6]


def test_self_crossing_rings(tmp_path):
    bow_tie = shapely.Polygon([(0, 0), (1000, 1000), (1000, 0), (0, 1000)])  # two triangles of 0.25 km²
    line = shapely.Polygon([(5000, 0), (6000, 0), (5000, 0)])
    shapes = [shapely.affinity.translate(s, 5e5, 3e6) for s in (bow_tie, square(0, 0), line)]
    table(shapes).to_file(tmp_path / "a.gpkg")
    with pytest.warns(DataWarning, match="2 of 3 polygons were invalid .*row 0: Self-intersection"):
        glaciers = gl.open_inventory(tmp_path / "a.gpkg")
    assert glaciers.repaired.tolist() == [True, False]  # nothing is left of the line
    np.testing.assert_allclose(glaciers.area, [5e5, 1e6])


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1"])
@pytest.mark.parametrize("told", [True, False])
def test_names_in_every_encoding(tmp_path, encoding, told):
    names = ["Übeltalferner", "Austre Brøggerbreen", ""]
    path = tmp_path / "a.shp"
    table([square()] * 3, glac_name=names).to_file(path, encoding=encoding)
    if not told:
        path.with_suffix(".cpg").unlink()
    assert gl.open_inventory(path).glac_name.tolist() == names


def test_an_encoding_that_is_told_wrong(tmp_path):
    table([square()], glac_name=["Übeltalferner"]).to_file(tmp_path / "a.shp", encoding="UTF-8")
    (tmp_path / "a.cpg").write_text("ISO-8859-1")
    assert gl.open_inventory(tmp_path / "a.shp", encoding="UTF-8").glac_name[0] == "Übeltalferner"


def test_across_the_antimeridian(tmp_path):
    west = shapely.box(179.9, 71, 180.1, 71.1).difference(shapely.box(179.98, 71.02, 180.02, 71.04))
    wrapped = shapely.transform(west, lambda xy: np.column_stack([(xy[:, 0] + 180) % 360 - 180, xy[:, 1]]))
    table([wrapped, shapely.box(170, 71, 170.2, 71.1)], "EPSG:4326").to_file(tmp_path / "a.gpkg")
    with pytest.warns(DataWarning, match=r"1 outlines cross 180°.*rows \[0\]"):
        glaciers = gl.open_inventory(tmp_path / "a.gpkg")
    assert glaciers.is_valid.all()
    assert glaciers.total_bounds[2] == pytest.approx(180.1)
    hole = 0.04 * 0.02 / (0.2 * 0.1)
    assert glaciers.area_km2[0] == pytest.approx(glaciers.area_km2[1] * (1 - hole), rel=1e-3)


def test_parts_on_both_sides_of_180_stay(tmp_path):
    shape = shapely.MultiPolygon([shapely.box(179.9, 71, 180, 71.1), shapely.box(-180, 71, -179.9, 71.1)])
    table([shape], "EPSG:4326").to_file(tmp_path / "a.gpkg")
    glaciers = gl.open_inventory(tmp_path / "a.gpkg")
    assert glaciers.geometry[0].equals(shape)
