"""The threshold lab, the judgment and the comparison of the inspector: no screen, no server."""

import json
import sqlite3

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.apps.comparing import Comparison
from glacierlab.apps.judging import Judge, Judgment
from glacierlab.apps.lab import Lab
from glacierlab.apps.uploads import read_upload
from glacierlab.errors import GlacierlabError, GridError, InventoryError, UnknownNameError
from glacierlab.report import Reference

CRS = "EPSG:32632"


@pytest.fixture
def squares():
    """A scene of 20 x 20 pixels of 30 m whose ratio is 1, 2, …, 400, row by row."""
    values = np.arange(1, 401, dtype="float32").reshape(20, 20)
    coords = {"y": 5_000_600 - 15 - 30.0 * np.arange(20), "x": 500_000 + 15 + 30.0 * np.arange(20)}
    scene = xr.Dataset({"red": (("y", "x"), values), "swir16": (("y", "x"), np.ones_like(values))}, coords)
    return scene.assign_attrs(radiometry="sr").rio.write_crs(CRS)


def boxes(*bounds, **columns):
    return gpd.GeoDataFrame(columns, geometry=[shapely.box(*each) for each in bounds], crs=CRS)


# ---- the lab ----


def test_lab_begins_at_the_published_threshold_of_the_first_layer(made):
    lab = Lab(made)
    assert (lab.layer, lab.threshold) == ("red/swir16", 2.0)  # Paul et al. 2015
    lab.layer = "ndsi"
    assert lab.threshold == 0.4


def test_area_above_is_pixels_times_their_area(squares):
    lab = Lab(squares)
    lab.threshold = 9.0
    assert lab.told() == {"area_km2": pytest.approx(391 * 900 / 1e6)}
    lab.threshold = 99.5  # no step of the slider
    assert lab.told()["area_km2"] == pytest.approx(301 * 900 / 1e6)


def test_lab_tells_what_the_sweep_of_the_package_tells(made):
    lab = Lab(made, Reference(made["truth"], "truth"))
    lab.threshold = 2.4
    curve = gl.best_threshold(gl.ratio(made, "red", "swir16"), made["truth"], [2.0, 2.4, 2.6, 4.0])
    told = lab.told()
    assert [told[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        curve.table.loc[2.4, ["precision", "recall", "f1"]].tolist()
    )


def test_an_incomplete_reference_gives_recall_alone(made):
    lab = Lab(made, Reference(made["truth"], "truth", complete=False))
    assert lab.curve is None
    assert set(lab.told()) == {"area_km2", "recall"}
    lab.reference = Reference(made["truth"], "truth")
    assert lab.recall is None
    assert set(lab.told()) == {"area_km2", "precision", "recall", "f1"}


def test_published_numbers_of_athabasca_are_alive_in_the_lab(athabasca, athabasca_outline):
    lab = Lab(athabasca, Reference(athabasca_outline, "1984", complete=False))
    recalls = []
    for number in (1.5, 2.0, 2.4, 3.7):  # ends and middle of Chen's sweep
        lab.threshold = number
        recalls.append(lab.told()["recall"])
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[1] == pytest.approx(
        gl.score(gl.threshold(gl.ratio(athabasca, "red", "swir16"), 2.0), athabasca_outline).recall.item(),
        abs=2e-3,
    )


def test_outlines_are_those_of_the_package(made):
    lab = Lab(made)
    lab.threshold = 2.4
    whole = gl.vectorize(gl.map_glaciers(made, "red/swir16", 2.4)["class_map"])
    assert lab.outlines().area_km2.sum() == pytest.approx(whole.area_km2.sum())
    left, bottom, right, top = whole.total_bounds
    part = lab.outlines((left, bottom, (left + right) / 2, top))
    assert 0 < part.area_km2.sum() < whole.area_km2.sum()
    assert part.total_bounds[2] <= (left + right) / 2 + 30


def test_the_picture_is_the_map(squares):
    lab = Lab(squares)
    lab.threshold = 200.0  # the upper ten rows are below
    bounds = (500_000, 5_000_000, 500_600, 5_000_600)
    picture = lab.picture().render("mapped", bounds, (20, 20))
    assert (picture[:10, :, 3] == 0).all()
    assert (picture[10:, :, 3] > 0).all()
    assert (picture[10:12, :, 3] == 255).all()  # its border
    assert (picture[12:, 1:-1, 3] < 255).all()
    beside = lab.picture().render("mapped", (490_000, 5_000_000, 490_600, 5_000_600), (20, 20))
    assert not beside.any()


def test_layers_without_a_published_threshold_begin_at_otsu(made):
    lab = Lab(made)
    lab.layer = "ndmi_gao"
    found = float(gl.threshold(gl.index(made, "ndmi_gao"), "otsu").attrs["threshold"])
    assert lab.threshold == pytest.approx(found, abs=0.006)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_threshold_is_finite(squares, number):
    with pytest.raises(GlacierlabError, match="maps nothing"):
        Lab(squares).threshold = number


def test_lab_says_what_it_lacks(squares):
    with pytest.raises(UnknownNameError, match="Unknown layer 'ndvi'"):
        Lab(squares).layer = "ndvi"
    with pytest.raises(GlacierlabError, match="yields no ratio and no index"):
        Lab(squares[["red"]])
    with pytest.raises(GridError, match="has none"):
        Lab(squares.drop_vars("spatial_ref"))


def test_lazy_scenes_give_the_same(made):
    eager, lazy = (
        Lab(made, Reference(made["truth"], "t")),
        Lab(made.chunk(y=37, x=53), Reference(made["truth"], "t")),
    )
    pd.testing.assert_frame_equal(eager.curve.table, lazy.curve.table)
    pd.testing.assert_series_equal(eager.areas, lazy.areas)
    bounds = tuple(map(float, gl.io.layers.bounds_of(made)))
    np.testing.assert_array_equal(
        *(each.picture().render("mapped", bounds, (90, 120)) for each in (eager, lazy))
    )


# ---- judging ----


def test_hits_and_errors_of_squares(squares):
    # ours: 10 columns; the reference: 10 columns, 5 of them the same. 20 rows of 30 m
    ours = boxes((500_000, 5_000_000, 500_300, 5_000_600))
    theirs = boxes((500_150, 5_000_000, 500_450, 5_000_600))
    judge = Judge(squares, Reference(theirs))
    errors = judge.errors(ours)
    assert errors.values[3].tolist() == [3] * 5 + [1] * 5 + [2] * 5 + [0] * 5
    assert judge.areas(errors).tolist() == pytest.approx([0.09, 0.09, 0.09])
    row = judge.scores(ours).iloc[0]
    assert (row.precision, row.recall, row.f1, row.iou) == pytest.approx((0.5, 0.5, 0.5, 1 / 3))


def test_scores_are_those_of_the_package(made):
    outlines = gl.vectorize(gl.map_glaciers(made)["class_map"])
    found = Judge(made, Reference(made["truth"], "truth")).scores(outlines)
    expected = gl.score(gl.scores.burn(outlines, made["truth"]), made["truth"])
    pd.testing.assert_frame_equal(found, expected[list(found)])


def test_what_is_unknown_is_no_error(squares):
    ours = boxes((500_000, 5_000_000, 500_300, 5_000_600))
    theirs = boxes((500_150, 5_000_000, 500_450, 5_000_600))
    judge = Judge(squares, Reference(theirs, complete=False))
    assert list(judge.scores(ours)) == ["recall"]
    assert judge.errors(ours).values[3].tolist() == [255] * 5 + [1] * 5 + [2] * 5 + [0] * 5
    assert np.isnan(judge.areas(judge.errors(ours))["false"])
    gap = squares.assign(red=squares.red.where(squares.x > 500_180))  # the first six columns were not seen
    codes = Judge(gap, Reference(theirs)).errors(ours).values[3]
    assert codes.tolist() == [255] * 6 + [1] * 4 + [2] * 5 + [0] * 5


def test_classes_count_as_what_they_are(squares):
    ours = boxes(
        (500_000, 5_000_000, 500_150, 5_000_600), (500_150, 5_000_000, 500_300, 5_000_600),
        (500_300, 5_000_000, 500_600, 5_000_600),
        **{"class": ["clean_ice", "debris_covered_ice", "glacial_lake"]},
    )  # fmt: skip
    judge = Judge(squares, Reference(boxes((500_000, 5_000_000, 500_300, 5_000_600))))
    assert judge.scores(ours).recall.item() == 1
    assert judge.scores(ours).precision.item() == 1  # the lake is no ice
    odd = ours.assign(**{"class": "<script>alert(1)</script>"})
    assert (judge.errors(odd).values[:, :10] == 2).all()


def test_no_outlines_miss_everything(squares):
    judge = Judge(squares, Reference(boxes((500_000, 5_000_000, 500_300, 5_000_600))))
    assert judge.scores(boxes()).recall.item() == 0
    assert judge.areas(judge.errors(boxes()))["hit"] == 0


def test_error_picture_has_a_color_each(squares):
    ours = boxes((500_000, 5_000_000, 500_300, 5_000_600))
    judge = Judge(squares, Reference(boxes((500_150, 5_000_000, 500_450, 5_000_600))))
    picture = Judgment(lambda: judge, ours).render("", (500_000, 5_000_000, 500_600, 5_000_600), (20, 20))
    assert len({tuple(color) for color in picture[3]}) == 4
    assert picture[3, -1, 3] == 0  # no ice: clear


def test_a_reference_elsewhere_is_told(squares):
    with pytest.raises(GridError, match="do not overlap"):
        Judge(squares, Reference(boxes((0, 0, 100, 100))))


# ---- comparing ----


def test_comparison_names_both_sides():
    found = Comparison(
        boxes((5e5, 5e6, 501_000, 5_001_000)), boxes((5e5, 5e6, 501_000, 5_000_500)), ("me", "Ben")
    )
    assert found.told().startswith("IoU 0.500; me 1.00 km², Ben 0.50 km² (+100.0 %); 1 matched")
    assert set(found.colored().mapped_by) == {"both", "me only"}
    assert found.shown().status.tolist() == ["matched"]


# ---- what is handed in ----


def geopackage(table, path):
    table.to_file(path, driver="GPKG")
    return path.read_bytes()


def test_uploads_are_read_by_what_they_are(tmp_path):
    table = boxes((5e5, 5e6, 501_000, 5_001_000), name=["<b>x</b>"])
    for data in (geopackage(table, tmp_path / "a.gpkg"), table.to_crs(4326).to_json().encode()):
        found = read_upload(data)
        assert len(found) == 1
        assert found.area_km2.item() == pytest.approx(1, rel=1e-2)


def test_an_upload_is_bounded():
    with pytest.raises(InventoryError, match="The file has 2 MB, and 1 may be sent"):
        read_upload(bytes(2 * 2**20), max_bytes=2**20)


VRT = b"<OGRVRTDataSource><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTDataSource>"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"SQLite format 3\0" + bytes(100),
        VRT,
        b"[1]",
        b'{"type": "Topology"}',
        b"[" * 100_000,
    ],
)
def test_an_upload_of_another_kind_is_refused_in_one_line(data):
    with pytest.raises(InventoryError, match="neither a GeoPackage nor GeoJSON") as caught:
        read_upload(data)
    assert "\n" not in str(caught.value)


def test_a_broken_upload_is_refused_without_its_folder(tmp_path):
    whole = geopackage(boxes((5e5, 5e6, 501_000, 5_001_000)), tmp_path / "a.gpkg")
    no_polygons = json.dumps({"type": "FeatureCollection", "features": []}).encode()
    for data in (whole[: len(whole) // 2], no_polygons):
        with pytest.raises(InventoryError) as caught:
            read_upload(data)
        assert "/glacierlab-" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_geopackage_that_points_elsewhere_is_refused(tmp_path):
    path = tmp_path / "a.gpkg"
    geopackage(boxes((5e5, 5e6, 501_000, 5_001_000)), path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES "
            "('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING VirtualOGR(''/etc/passwd'')')"
        )
    database.close()
    with pytest.raises(InventoryError, match="lie elsewhere"):
        read_upload(path.read_bytes())


def test_nothing_of_an_upload_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    read_upload(boxes((5e5, 5e6, 501_000, 5_001_000)).to_crs(4326).to_json().encode())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("glacierlab-")]
