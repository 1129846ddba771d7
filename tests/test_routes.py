"""Center lines: shapes whose length and course are known, and what holds of all."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.errors import DataWarning

UTM = "EPSG:32645"
X, Y = 500_000.0, 3_100_000.0
HERE = np.array([X, Y])
COLUMNS = ["rgi_id", "segment_id", "is_main", "outflow_id", "strahler_n", "length_m", "geometry"]


def dem_of(heights_at, side=260, pixel=25.0):
    """A DEM about (X, Y) of a function of meters east and north of there."""
    x, y = pixel * (np.arange(side) - side / 2 + 0.5), -pixel * (np.arange(side) - side / 2 + 0.5)
    heights = heights_at(x, y[:, np.newaxis]) + np.zeros((side, side))
    return xr.DataArray(heights, {"y": Y + y, "x": X + x}, ("y", "x")).rio.write_crs(UTM)


def glacier(*points, width=600.0):
    """A strip about a line of points in meters from (X, Y)."""
    line = shapely.LineString(np.array(points) + HERE)
    return gpd.GeoDataFrame({"rgi_id": ["g"]}, geometry=[line.buffer(width / 2, cap_style="flat")], crs=UTM)


@pytest.mark.parametrize(
    ("turn", "cells"), [(0.0, 1), (45.0, 1), (90.0, 1), (180.0, 1), (22.5, 2.2), (70.0, 2.2), (200.0, 2.2)]
)  # a route on eight neighbors keeps to the axis best where that is one of their directions
def test_a_straight_tongue_has_its_length_and_axis(turn, cells):
    way = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    dem = dem_of(lambda x, y: 3000 - 0.2 * (x * way[0] + y * way[1]))
    tongue = glacier(-1500 * way, 1500 * way)
    row = gl.outlines.attributes(tongue, dem).iloc[0]
    assert row.lmax_m == pytest.approx(3000, rel=0.05)
    lines = gl.outlines.centerlines(tongue, dem)
    assert len(lines) == 1
    cell = 14 * np.sqrt(1.8) + 10
    along = (shapely.get_coordinates(lines.geometry[0]) - HERE) @ way
    across = (shapely.get_coordinates(lines.geometry[0]) - HERE) @ [-way[1], way[0]]
    assert np.abs(across[np.abs(along) < 1200]).max() <= cells * cell
    assert along[0] < -1400  # from the head
    assert along[-1] > 1400  # down


def test_a_bend_has_the_length_of_its_middle():
    turn = np.radians(np.arange(0, 181, 3))
    arc = np.column_stack([1200 * np.cos(turn), 1200 * np.sin(turn)])
    dem = dem_of(lambda x, y: 3000 - 300 * np.mod(np.arctan2(y, x) + np.pi / 2, 2 * np.pi))
    (line,) = gl.outlines.centerlines(glacier(*arc, width=500.0), dem).geometry
    radius = np.hypot(*(shapely.get_coordinates(line) - HERE).T)
    assert line.length == pytest.approx(np.pi * 1200, rel=0.05)
    assert np.abs(radius[20:-20] - 1200).max() < 100  # of 250 to either side


@pytest.fixture(scope="module")
def fork():
    """A trunk to the south with a long and a short arm: the DEM falls to the axes and south along them."""
    dem = dem_of(lambda x, y: 3000 + 0.15 * y + 0.02 * np.abs(x))
    trunk = shapely.LineString(np.array([(0, -2000), (0, 0), (-1400, 2200)]) + HERE)
    arm = shapely.LineString(np.array([(0, 0), (1300, 1500)]) + HERE)
    outline = shapely.union_all([trunk.buffer(250, cap_style="flat"), arm.buffer(250, cap_style="flat")])
    outlines = gpd.GeoDataFrame({"rgi_id": ["fork"]}, geometry=[outline], crs=UTM)
    return outlines, gl.outlines.centerlines(outlines, dem), dem


def test_a_tributary_joins_the_main_line(fork):
    _, lines, _ = fork
    assert list(lines) == COLUMNS
    assert lines.is_main.tolist() == [0, 1]
    assert lines.outflow_id.tolist() == [1, -1]
    assert lines.strahler_n.tolist() == [1, 2]
    assert lines.segment_id.tolist() == [0, 1]
    branch, main = lines.geometry
    assert main.length == pytest.approx(2000 + np.hypot(1400, 2200), rel=0.05)
    cell = 14 * np.sqrt(float(fork[0].area.iloc[0]) / 1e6) + 10
    end = shapely.Point(branch.coords[-1])
    assert 2.5 * cell <= main.distance(end) < 4 * cell
    assert branch.length == pytest.approx(np.hypot(1300, 1500), rel=0.2)


def test_short_tributaries_are_left_out(fork):
    outlines, lines, dem = fork
    fewer = gl.outlines.centerlines(outlines, dem, min_branch_m=5000)
    assert fewer.is_main.tolist() == [1]
    assert fewer.length_m[0] == pytest.approx(lines.length_m[1])
    assert fewer.strahler_n[0] == 1


def test_steps_of_the_grid_lengthen_a_line(fork):
    outlines, lines, dem = fork
    stepped = gl.outlines.centerlines(outlines, dem, smooth_cells=0)
    assert lines.length_m.max() < stepped.length_m.max() < 1.09 * lines.length_m.max()


def test_laws_of_all_lines(data):
    outlines = gpd.read_file(data / "oggm/rgi_oetztal.shp").to_crs("EPSG:32632")
    outlines = outlines[outlines.is_valid].reset_index(drop=True)
    dem = data / "oggm/srtm_oetztal.tif"
    lines, table = gl.outlines.centerlines(outlines, dem), gl.outlines.attributes(outlines, dem)
    assert lines.crs == outlines.crs
    for place, branches in lines.groupby("rgi_id"):
        main, outline = branches.iloc[-1], outlines.geometry[place]
        assert branches.is_main.tolist() == [0] * (len(branches) - 1) + [1]
        assert branches.length_m.max() == main.length_m
        assert table.lmax_m[place] == round(main.length_m)
        assert branches.segment_id.tolist() == list(range(len(branches)))
        assert branches.strahler_n.is_monotonic_increasing
        assert all(outline.buffer(100).covers(line) for line in branches.geometry)
        assert outline.boundary.distance(shapely.Point(main.geometry.coords[-1])) < 1
        ups = branches[branches.is_main == 0]
        into = branches.set_index("segment_id").loc[ups.outflow_id]
        assert (into.strahler_n.to_numpy() > ups.strahler_n.to_numpy()).all()
        assert (ups.length_m >= 500).all()
    pairs = outlines.assign(rgi_id=outlines.RGIId).set_index("rgi_id").geometry
    assert len(lines[lines.is_main == 1]) == len(pairs)


def test_a_line_goes_round_a_rock():
    outline = glacier((-1500, 0), (1500, 0), width=1000.0).geometry[0] - shapely.Point(X, Y + 30).buffer(250)
    outlines = gpd.GeoDataFrame(geometry=[outline], crs=UTM)
    lines = gl.outlines.centerlines(outlines, dem_of(lambda x, y: 3000 - 0.2 * x))
    main = lines.geometry.iloc[-1]
    assert not main.intersects(shapely.Point(X, Y + 30).buffer(240))
    assert lines.rgi_id.tolist() == [0] * len(lines)  # the index, for want of an id


def test_level_small_split_and_uncovered_glaciers():
    level = dem_of(lambda x, y: 2000 + 0 * x)
    (line,) = gl.outlines.centerlines(glacier((-1500, 0), (1500, 0)), level).geometry
    assert line.length > 2500
    (line,) = gl.outlines.centerlines(glacier((0, 0), (60, 0), width=60.0), level).geometry
    assert 60 <= line.length < 90
    parts = shapely.MultiPolygon(
        [glacier((-1500, 0), (0, 0)).geometry[0], shapely.Point(X + 900, Y).buffer(90)]
    )
    (line,) = gl.outlines.centerlines(gpd.GeoDataFrame(geometry=[parts], crs=UTM), level).geometry
    assert line.bounds[2] <= X + 1
    away = glacier((90_000, 0), (91_000, 0))
    with pytest.warns(DataWarning, match=r"1 glacier \(g\): the DEM does not cover them"):
        lines = gl.outlines.centerlines(away, level)
    assert list(lines) == COLUMNS
    assert len(lines) == 0
    assert lines.crs == UTM
    assert len(gl.outlines.centerlines(away[:0], level)) == 0


def test_lines_come_back_in_degrees_where_outlines_are():
    dem = dem_of(lambda x, y: 3000 - 0.2 * x)
    tongue = glacier((-1500, 0), (1500, 0))
    planar, degrees = gl.outlines.centerlines(tongue, dem), gl.outlines.centerlines(tongue.to_crs(4326), dem)
    assert degrees.crs == "EPSG:4326"
    assert degrees.length_m[0] == pytest.approx(planar.length_m[0], abs=0.5)
    assert degrees.to_crs(UTM).geometry[0].hausdorff_distance(planar.geometry[0]) < 1


def test_where_ids_are_empty_lines_tell_the_row():
    dem = dem_of(lambda x, y: 3000 - 0.2 * x)
    tongues = gpd.GeoDataFrame(
        {"rgi_id": ["", "g"]},
        geometry=[glacier((-1500, y), (1500, y)).geometry[0] for y in (0, 1000)],
        index=[7, 8],
        crs=UTM,
    )
    assert gl.outlines.centerlines(tongues, dem).rgi_id.tolist() == [7, "g"]
