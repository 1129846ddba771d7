"""Acts of a review on outlines: what each does to shapes, areas, neighbors and attributes, forth and back."""

from contextlib import suppress

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from reviewing import UTM, X, Y, across, outlines, square, total

from glacierlab.apps.review import Review
from glacierlab.errors import InventoryError, UnknownNameError

BOW_TIE = shapely.Polygon([(X, Y), (X + 1000, Y + 1000), (X + 1000, Y), (X, Y + 1000)])
ROCK = shapely.box(X + 400, Y + 400, X + 600, Y + 600)  # 0.04 km² within g0


@pytest.fixture
def review():
    return Review(outlines(), analyst="Ana")


def test_the_callers_table_stays_as_it_was():
    table = outlines()
    before, review = table.copy(deep=True), Review(table, analyst="Ana")
    review.cut("g1", across(1))
    review.reject("g0", "rock")
    review.outlines["note"] = "changed"
    assert table.equals(before)
    assert review.outlines.note.tolist() == ["Ötztal"] * 4


# ---- shapes


def test_a_cut_shares_the_ground_and_the_largest_piece_keeps_the_id(review):
    assert review.cut("g1", across(1, share=0.3)) == ["g1", "g1-2"]
    large, small = review.geometry("g1"), review.geometry("g1-2")
    assert (large.area, small.area) == pytest.approx((700_000, 300_000))
    assert shapely.union(large, small).equals(square(1))
    assert large.intersection(small).area == 0
    corners = {*map(tuple, shapely.get_coordinates(square(1)))}
    assert corners <= {*map(tuple, shapely.get_coordinates([large, small]))}
    assert review.outlines.review_id.tolist() == ["g0", "g1", "g2", "g3", "g1-2"]
    assert review.outlines.rgi_id.tolist() == review.outlines.review_id.tolist()
    assert review.queue.id.tolist().index("g1-2") == review.queue.id.tolist().index("g1") + 1


def test_a_cut_twice_through_an_arch_makes_three_and_keeps_holes():
    arch = (
        square(0)
        - shapely.box(X + 300, Y, X + 700, Y + 600)
        - shapely.box(X + 450, Y + 700, X + 550, Y + 800)
    )
    review = Review(gpd.GeoDataFrame({"rgi_id": ["arch"]}, geometry=[arch], crs=UTM))
    level = shapely.LineString([(X - 100, Y + 300), (X + 1100, Y + 300)])
    assert review.cut("arch", level) == ["arch", "arch-2", "arch-3"]
    pieces = [review.geometry(one) for one in review.ids]
    assert [piece.area for piece in pieces] == pytest.approx([arch.area - 180_000, 90_000, 90_000])
    assert len(pieces[0].interiors) == 1


def test_parts_that_the_line_leaves_whole_stay_with_the_largest_piece():
    both = shapely.MultiPolygon([square(0), square(1)])
    review = Review(gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[both], crs=UTM))
    review.cut("a", across(0, share=0.2))
    assert review.geometry("a").area == pytest.approx(1_800_000)
    assert review.geometry("a-2").area == pytest.approx(200_000)


def test_a_line_that_ends_inside_cuts_nothing(review):
    with pytest.raises(InventoryError, match="cuts nothing: draw it from outside"):
        review.cut("g0", shapely.LineString([(X - 100, Y + 500), (X + 500, Y + 500)]))
    assert not review.can_undo


def test_holes_are_cut_kept_and_filled(review):
    review.cut_hole("g0", ROCK)
    assert review.geometry("g0").area == pytest.approx(960_000)
    review.replace("g0", shapely.affinity.translate(review.geometry("g0"), 10, 0))
    assert len(review.geometry("g0").interiors) == 1
    with pytest.raises(InventoryError, match="No hole lies there"):
        review.remove_hole("g0", shapely.Point(X + 50, Y + 50))
    review.remove_hole("g0", shapely.Point(X + 500, Y + 500))
    assert review.geometry("g0").area == pytest.approx(1_000_000)
    with pytest.raises(InventoryError, match="reject it instead"):
        review.cut_hole("g0", square(0, side=5000).buffer(100))


def test_an_addition_gets_an_id_of_its_own_and_the_common_date_and_class(review):
    new = review.add(square(9))
    row = review.outlines.set_index("review_id").loc[new]
    assert new not in ("g0", "g1", "g2", "g3")
    assert (row.src_date, row.review_status, row.reviewed_by, row.rgi_id) == (
        "2020-08-01",
        "edited",
        "Ana",
        new,
    )
    assert row.aspect_sec == 9  # RGI 7.0's "not assigned"
    assert np.isnan(row.zmin_m)
    assert "class" not in review.outlines
    assert Review(outlines()).add(square(9)) != new  # another session gives another


def test_a_class_is_one_of_the_tables_or_of_the_outlines(review):
    review.reclassify("g1", "glacial_lake")
    assert review.outlines["class"].tolist() == ["glacier", "glacial_lake", "glacier", "glacier"]
    assert review.add(square(9), "debris_covered_ice") in review.outlines.review_id.tolist()
    with pytest.raises(UnknownNameError, match=r"Unknown class 'glacial_lakes'. Did you mean 'glacial_lake'"):
        review.reclassify("g1", "glacial_lakes")


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (shapely.LineString([(0, 0), (1, 1)]), "is LineString"),
        (shapely.Polygon(), "an empty Polygon"),
        (shapely.Polygon([(0, 0), (1, 0), (np.inf, 1)]), "no finite number"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_polygon_is_refused(review, shape, told):
    for act in (lambda: review.replace("g0", shape), lambda: review.add(shape)):
        with pytest.raises(InventoryError, match=told):
            act()
    assert review.trail.empty


def test_an_id_that_nothing_has_is_told(review):
    with pytest.raises(UnknownNameError, match="No outline 'g9' here: the queue lists the 4 ids"):
        review.accept("g9")


# ---- what is wrong with a shape


def test_an_invalid_ring_is_kept_as_drawn_told_and_not_accepted_until_repaired(review):
    review.replace("g0", BOW_TIE)
    assert review.geometry("g0").equals_exact(BOW_TIE, 0)
    assert review.problems("g0") == ["invalid: Self-intersection"]  # the place is seen on the map
    assert review.flaws == {"g0": "Self-intersection"}
    with pytest.raises(InventoryError, match=r"Acceptance cannot be: the outline is invalid .*repair it"):
        review.accept("g0")
    with pytest.raises(InventoryError, match="A cut cannot be"):
        review.cut("g0", across(0, share=0.2))
    assert "g0" not in review.labels().id.tolist()
    assert len(review.outlines) == 4
    review.repair("g0")
    assert review.geometry("g0").area == pytest.approx(500_000)  # two triangles
    assert review.problems("g0") == []
    assert review.flaws == {}
    review.accept("g0")


def test_overlaps_tell_whom_and_how_much_and_a_trim_ends_them(review):
    review.replace("g1", shapely.box(X + 900, Y, X + 3000, Y + 1000))  # 100 m into g0
    (problem,) = review.problems("g1")
    meters = float(problem.removeprefix("overlaps g0 by ").removesuffix(" m²").replace(",", ""))
    assert meters == pytest.approx(100_000, rel=1e-3)
    assert review.problems("g0") == [problem.replace("g0", "g1")]
    review.trim("g1")
    assert review.geometry("g1").equals(shapely.box(X + 1000, Y, X + 3000, Y + 1000))
    assert review.problems("g0") == review.problems("g1") == []
    review.trim("g1")
    assert review.undo() == "undo trim"  # there was nothing more to trim


def test_rejected_outlines_are_no_neighbors(review):
    review.replace("g1", square(0))
    review.reject("g0", "double")
    assert review.problems("g1") == []
    review.undo()
    assert len(review.problems("g1")) == 1


def test_ground_outside_of_the_scene_is_told():
    review = Review(outlines(), extent=shapely.box(X - 1, Y - 1, X + 2500, Y + 5000))
    assert review.problems("g0") == []
    assert review.problems("g1") == ["50.0% outside of the scene"]


def test_neighbors_are_found_however_many_outlines_moved():
    table = gpd.GeoDataFrame(geometry=[square(n % 20, n // 20) for n in range(400)], crs=UTM)
    review, rng = Review(table), np.random.default_rng(0)
    for one in rng.permutation(400)[:250]:
        review.replace(str(one), square(*rng.integers(0, 20, 2), side=1000 + 1500 * rng.random()))
    shapes = {one: review.geometry(one) for one in review.ids}
    for one in rng.permutation(400)[:60].astype(str):
        shared = {
            other: shapes[one].intersection(shape).area for other, shape in shapes.items() if other != one
        }
        told = {problem.split()[1] for problem in review.problems(one)}
        assert told == {other for other, m2 in shared.items() if m2 > 1}


# ---- areas and attributes


def test_areas_are_geodesic_in_any_crs():
    review = Review(outlines(crs="EPSG:4326"), analyst="Ana")
    corners = gpd.GeoSeries([square(7)], crs=UTM).to_crs("EPSG:4326").iloc[0]
    new = review.add(corners)
    expected = abs(Geod(ellps="WGS84").geometry_area_perimeter(corners)[0]) / 1e6
    assert review.queue.set_index("id").area_km2[new] == pytest.approx(expected, rel=1e-9)
    assert review.trail.area_after_km2.tolist() == pytest.approx([expected], rel=1e-9)


def test_what_an_edit_makes_untrue_is_measured_again_or_missing():
    given = outlines(
        area_km2=1.0, area_unc_km2=0.1, pixels=np.arange(1, 5), cenlon=0.0, cenlat=0.0, mean_prob=0.9
    )
    review = Review(given)
    review.replace("g1", shapely.box(X + 2000, Y, X + 2500, Y + 1000))
    review.accept("g0")
    found = review.outlines
    assert found.area_km2.round(3).tolist() == [1.0, 0.5, 1.0, 1.0]
    assert found.loc[[0, 2, 3], list(given.columns.drop("geometry"))].equals(
        given.loc[[0, 2, 3], list(given.columns.drop("geometry"))].astype({"pixels": float})
    )
    assert found.loc[1, ["zmin_m", "area_unc_km2", "pixels", "mean_prob"]].isna().all()
    assert (found.aspect_sec.tolist(), found.note[1]) == ([3, 9, 3, 3], "Ötztal")
    inside = shapely.Point(found.cenlon[1], found.cenlat[1])
    assert found.geometry.to_crs("EPSG:4326")[1].contains(inside)


# ---- forth and back


def test_undo_and_redo_go_through_every_act(review):
    states, acts = (
        [review.outlines],
        [
            lambda: review.accept("g0"),
            lambda: review.replace("g0", square(0).buffer(10)),
            lambda: review.cut("g1", across(1)),
            lambda: review.reject("g1-2", "snow"),
            lambda: review.add(square(9)),
            lambda: review.reclassify("g3", "glacial_lake"),
            lambda: review.cut_hole("g2", square(2).buffer(-400)),
        ],
    )
    for act in acts:
        act()
        states.append(review.outlines)
    assert review.undo() == "undo cut hole"
    for state in states[-2:0:-1]:
        assert review.outlines.equals(state)
        review.undo()
    assert not review.can_undo
    assert review.undo() is None
    for state in states:
        assert review.outlines.equals(state)
        review.redo()
    assert review.redo() is None
    review.undo()
    review.accept("g3")
    assert not review.can_redo  # a new act ends what was undone


def test_a_change_to_the_same_is_no_act(review):
    review.replace("g0", square(0))
    review.reclassify("g0", "glacier")
    review.repair("g0")
    assert review.trail.empty


ACTS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.floats(0.1, 0.9)), max_size=12)


def act(review, kind, which, share):
    """One act of eight on one of the outlines."""
    one = review.ids[which % len(review.ids)]
    shape = review.geometry(one)
    west, south, east, north = shape.bounds
    x = west + share * (east - west)
    [
        lambda: review.accept(one),
        lambda: review.reject(one, "snow"),
        lambda: review.replace(one, shapely.affinity.scale(shape, share, 1)),
        lambda: review.cut(one, shapely.LineString([(x, south - 1), (x, north + 1)])),
        lambda: review.add(square(which, 3, 1000 * share)),
        lambda: review.cut_hole(one, shape.centroid.buffer(20 * share)),
        review.undo,
        review.redo,
    ][kind]()


@settings(max_examples=20)
@given(acts=ACTS)
def test_the_changes_of_the_trail_add_up_and_all_can_be_taken_back(acts):
    review = Review(outlines(3), analyst="Ana")
    first, before = review.outlines, total(review)
    for each in acts:
        with suppress(InventoryError):  # of an act that would leave nothing
            act(review, *each)
        assert review.trail.change_km2.sum() == pytest.approx(total(review) - before, abs=0.01)
    while review.can_undo:
        review.undo()
    assert review.outlines.equals(first)
    assert review.trail.change_km2.sum() == pytest.approx(0, abs=1e-9)
