"""Fronts that move: along a line and by box, by hand and on five glaciers of Svalbard."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.change import terminus_change
from glacierlab.errors import DataWarning, GlacierlabError, InventoryError
from glacierlab.io.layers import geodesic_area_km2

EAST, NORTH, CRS = 500_000, 5_200_000, "EPSG:32632"
GROUND = 1 / 0.9996  # meters a UTM metre, on the zone's middle


def placed(shape):
    return shapely.affinity.translate(shape, EAST, NORTH)


def table(*shapes, crs=CRS, **columns):
    columns = columns or {"rgi_id": [f"g{i}" for i in range(len(shapes))]}
    return gpd.GeoDataFrame(columns, geometry=[placed(shape) for shape in shapes], crs=crs)


def tongue(end, width=300):
    """A tongue from x = 0 to its end [m], on the x axis."""
    return shapely.box(0, -width / 2, end, width / 2)


AXIS = placed(shapely.LineString([(100, 0), (1500, 0)]))


def retreats(found, method="centerline"):
    return (found[found.method == method].retreat_m.dropna() / GROUND).tolist()


# ---- by hand


def test_a_tongue_along_its_line_and_by_box():
    dates = {2000: table(tongue(2000)), 2010: table(tongue(1700)), 2015: table(tongue(1100))}
    found = terminus_change(dates, lines=AXIS, width_m=200)
    assert found.method.tolist() == ["centerline"] * 3 + ["box"] * 3
    assert found.date.tolist() == ["2000", "2010", "2015"] * 2
    assert found.since.tolist() == ["", "2000", "2010"] * 2
    for method in ("centerline", "box"):
        assert retreats(found, method) == pytest.approx([300, 600], rel=1e-4)
    line = found[found.method == "centerline"]
    assert (line.position_m / GROUND).tolist() == pytest.approx([1900, 1600, 1000], rel=1e-4)  # from the head
    assert line.years.tolist()[1:] == pytest.approx([10, 5], abs=0.01)
    assert line.retreat_m_per_a[1] == pytest.approx(30 * GROUND, rel=2e-3)


def test_an_advance_is_negative():
    found = terminus_change({2000: table(tongue(1000)), 2001: table(tongue(1400))}, lines=AXIS, width_m=100)
    assert retreats(found) == pytest.approx([-400], rel=1e-4)
    assert retreats(found, "box") == pytest.approx([-400], rel=1e-4)


def test_the_whole_front_counts_in_a_box():
    before = tongue(2000)
    after = shapely.Polygon([(0, -150), (1800, -150), (1400, 150), (0, 150)])  # a slanting front
    found = terminus_change({2000: table(before), 2010: table(after)}, lines=AXIS, width_m=300)
    assert retreats(found) == pytest.approx([400], rel=1e-4)
    assert retreats(found, "box") == pytest.approx([400], rel=1e-4)
    calved = after.difference(shapely.box(1300, -20, 1700, 20))  # a bay where the line runs
    found = terminus_change({2000: table(before), 2010: table(calved)}, lines=AXIS, width_m=300)
    assert retreats(found) == pytest.approx([700], rel=1e-4)
    assert retreats(found, "box")[0] == pytest.approx(
        400 + calved.symmetric_difference(after).area / 300, rel=1e-4
    )


def test_area_over_width_without_a_line():
    first, second = table(tongue(2000), front=[320.0]), table(tongue(1500), front=[280.0])
    first["rgi_id"] = second["rgi_id"] = "a"
    found = terminus_change({2000: first, 2010: second}, width_m="front")
    lost = geodesic_area_km2(first.geometry)[0] - geodesic_area_km2(second.geometry)[0]
    assert found.retreat_m[1] == pytest.approx(lost * 1e6 / 300, rel=1e-5)  # the mean width


def test_boxes_of_ones_own():
    box = placed(shapely.box(1000, -100, 3000, 100))
    found = terminus_change(
        {2000: table(tongue(2000)), 2010: table(tongue(1500))}, boxes=box, width_m=200 * GROUND
    )
    assert (found.position_m / GROUND).tolist() == pytest.approx([1000, 500], rel=1e-4)


def test_past_its_end_a_line_goes_on_as_it_headed():
    bent = placed(shapely.LineString([(0, 0), (1000, 0), (1000, 600)]))
    before = shapely.union_all([tongue(1150), shapely.box(850, 0, 1150, 1500)])
    after = shapely.union_all([tongue(1150), shapely.box(850, 0, 1150, 900)])
    found = terminus_change({2000: table(before), 2010: table(after)}, lines=bent)
    assert (found.position_m / GROUND).tolist() == pytest.approx([2500, 1900], rel=1e-4)


def test_rock_in_the_tongue_is_no_front():
    holed = tongue(2000).difference(shapely.box(900, -50, 1000, 50))
    found = terminus_change({2000: table(tongue(2000)), 2010: table(holed)}, lines=AXIS)
    assert retreats(found) == pytest.approx([0], abs=1e-6)


def test_a_table_of_lines_takes_the_main_ones():
    north = [shapely.affinity.translate(tongue(end), 0, 5000) for end in (900, 800)]
    dates = {2000: table(tongue(2000), north[0]), 2010: table(tongue(1500), north[1])}
    lines = gpd.GeoDataFrame(
        {"rgi_id": ["g1", "g0", "g0"], "is_main": [1, 0, 1]},
        geometry=[shapely.affinity.translate(AXIS, 0, 5000), AXIS.reverse(), AXIS],
        crs=CRS,
    )
    found = terminus_change(dates, lines=lines.to_crs("EPSG:4326"))
    assert found.glacier.tolist() == ["g0", "g0", "g1", "g1"]
    assert retreats(found) == pytest.approx([500, 100], rel=1e-3)


@settings(max_examples=15)
@given(st.lists(st.floats(300, 4000), min_size=2, max_size=4), st.floats(0, 360))
def test_turning_the_glacier_changes_nothing(ends, angle):
    turn = lambda shape: shapely.affinity.rotate(shape, angle, origin=(0, 0))
    dates = {2000 + i: table(turn(tongue(end))) for i, end in enumerate(ends)}
    line = placed(turn(shapely.LineString([(0, 0), (1500, 0)])))
    found = terminus_change(dates, lines=line, width_m=100)
    expected = -np.diff(ends)
    np.testing.assert_allclose(retreats(found), expected, atol=2, rtol=1e-3)
    np.testing.assert_allclose(retreats(found, "box"), expected, atol=2, rtol=1e-3)


# ---- Svalbard

TONGUES = {  # drawn by hand down the middle of the tongues, UTM 33
    "Austre Brøggerbreen": [  # from its largest lobe in 1990 on: the middles of that, from west to east
        (433040, 8758700),
        (432300, 8759500),
        (431570, 8760500),
        (431830, 8761000),
        (431870, 8761250),
        (431900, 8761500),
    ],
    "Austre Lovenbreen": [(438900, 8756500), (438450, 8757500), (438500, 8758500), (438550, 8759500)],
    "Edithbreen": [(437370, 8755440), (436730, 8755600), (435910, 8755440), (435170, 8754720)],
    "Midtre Lovenbreen": [(436300, 8758000), (436600, 8759500), (436700, 8760100), (436800, 8760700)],
    "Steenbreen": [
        (434570, 8756440),
        (433670, 8756580),
        (433330, 8756400),
        (433050, 8756000),
        (432770, 8755900),
    ],
}


@pytest.fixture(scope="module")
def svalbard(data):
    return gl.open_inventory(data / "svalbard_outlines/svalbard.gpkg")


def test_areas_of_svalbard(svalbard):
    planar = svalbard.area / 1e6
    np.testing.assert_allclose(svalbard.area_km2, planar, rtol=2e-3)
    areas = svalbard.pivot(index="name", columns="year", values="area_km2")
    assert (areas[1936] > areas[1990]).all()
    assert (areas[1990] > areas[2007]).all()


def test_fronts_of_svalbard_went_back_as_their_lengths_say(svalbard):
    """The outlines come with lengths that somebody else measured along lines of their own."""
    dates = {int(year): outlines for year, outlines in svalbard.groupby("year")}
    axes = [shapely.LineString(points) for points in TONGUES.values()]
    lines = gpd.GeoDataFrame({"name": [*TONGUES]}, geometry=axes, crs=svalbard.crs)
    found = terminus_change(dates, lines=lines, by="name").dropna()
    lengths = svalbard.set_index(["name", svalbard.year.astype(int).astype(str)])["length"]
    told = [lengths[row.glacier, row.since] - lengths[row.glacier, row.date] for row in found.itertuples()]
    apart = pd.Series(abs(found.retreat_m.to_numpy() - told), found.glacier + " " + found.date)
    assert apart[["Edithbreen 1990", "Edithbreen 2007"]].max() < 2
    assert apart.drop("Austre Lovenbreen 2007").max() < 17
    bay = found.set_index(["glacier", "date"]).retreat_m["Austre Lovenbreen", "2007"]  # where that line ends
    assert bay == pytest.approx(519, abs=2)
    assert lengths["Austre Lovenbreen", "1990"] - lengths["Austre Lovenbreen", "2007"] == pytest.approx(
        310, abs=1
    )
    tip = svalbard[svalbard.name == "Austre Lovenbreen"].set_index("year").bounds.maxy  # it looks north
    assert tip[1990] - tip[2007] == pytest.approx(329, abs=1)
    assert found.years.tolist() == pytest.approx([54, 17] * 5, abs=0.05)


def test_area_over_front_width_follows_the_lengths_too(svalbard):
    dates = dict(tuple(svalbard.groupby("year")))
    found = terminus_change(dates, width_m="fwidth", by="name").dropna()
    lengths = svalbard.set_index(["name", svalbard.year.astype(int).astype(str)])["length"]
    told = [lengths[row.glacier, row.since] - lengths[row.glacier, row.date] for row in found.itertuples()]
    assert np.corrcoef(found.retreat_m, told)[0, 1] > 0.9
    assert (found.retreat_m > 0).all()


# ---- bad input


def test_what_has_no_position_is_told():
    dates = {2000: table(tongue(2000)), 2010: table(shapely.box(0, 100, 100, 500))}
    with pytest.warns(DataWarning, match=r"1 outlines do not touch .* in 2010: 'g0'"):
        assert len(terminus_change(dates, lines=AXIS)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs lines=, or width_m="),
        ({"boxes": placed(tongue(10))}, "say width_m="),
        ({"lines": AXIS, "heading_m": 0}, "heading_m=0 is no length"),
        ({"width_m": -5}, "width_m is -5"),
        ({"width_m": "front"}, "no column 'front'"),
        ({"lines": [AXIS]}, "not list"),
        ({"lines": placed(shapely.LineString([(9, 0), (9, 0)]))}, "lines have no length in rows 0"),
        ({"lines": placed(tongue(10))}, "lines are LineStrings, and some are .'Polygon'"),
        ({"lines": table(AXIS, name=["g0"])}, "no column 'rgi_id'"),
        ({"lines": table(AXIS, AXIS, rgi_id=["g0", "g0"])}, "'g0' have several"),
        ({"width_m": 100, "by": "name"}, "no column 'name'"),
    ],
)
def test_bad_arguments_are_told(options, message):
    with pytest.raises(GlacierlabError, match=message):
        terminus_change({2000: table(tongue(2000)), 2010: table(tongue(1500))}, **options)


def test_one_glacier_is_at_one_place():
    here, there = table(tongue(2000)), table(shapely.affinity.translate(tongue(1700), 300_000, 0))
    with pytest.raises(InventoryError, match=r"1 of 1 glaciers do not touch .*'g0'.*other places"):
        terminus_change({2000: here, 2010: there}, width_m=300)
    beside = shapely.affinity.translate(tongue(1000), 0, 5000)
    dates = {2000: table(tongue(2000), beside), 2010: table(tongue(1700), tongue(800))}
    with pytest.warns(DataWarning, match="1 of 2 glaciers do not touch .*is what 'g1' names one glacier"):
        terminus_change(dates, width_m=300)


def test_one_line_is_of_one_glacier():
    dates = {2000: table(tongue(2000), tongue(10)), 2010: table(tongue(1500), tongue(10))}
    with pytest.raises(GlacierlabError, match="one LineString for 2 glaciers"):
        terminus_change(dates, lines=AXIS)


def test_nothing_makes_an_empty_table():
    empty = table(rgi_id=[])
    assert len(terminus_change({2000: empty, 2010: empty}, width_m=100)) == 0


def test_dates_reversed_and_twice():
    later, earlier = table(tongue(1000)), table(tongue(1400))
    found = terminus_change({2010: later, 2000: earlier}, lines=AXIS)
    assert retreats(found) == pytest.approx([400], rel=1e-4)
    with pytest.raises(InventoryError, match="two inventories are of 2010"):
        terminus_change({2010: later, "2010": earlier}, lines=AXIS)
