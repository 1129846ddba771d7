"""Lesson 10: true errors, made hands, a killed session, and verdicts of its exercises."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import glacierlab as gl
from glacierlab import teach
from glacierlab.errors import GlacierlabError, InventoryError

EAST, NORTH, CRS = 500_000, 5_200_000, "EPSG:32632"


def said(exercise, *given):
    return repr(gl.teach.check(exercise, *given))


def square(west, south, side=1000):
    return shapely.box(EAST + west, NORTH + south, EAST + west + side, NORTH + south + side)


def table(*shapes, **columns):
    return gpd.GeoDataFrame(columns, geometry=[*shapes], crs=CRS)


@pytest.fixture
def two():
    return table(square(0, 0), square(3000, 0, 500), glac_id=["a", "b"])


# ---- true errors


def test_true_errors_by_hand():
    """A square 100 m too far east has 0.1 km² too much and misses as much; unmapped ice, the nearest."""
    mapped = table(square(100, 0), square(3000, 0, 500)).set_axis(["x", "y"])
    truth = table(square(0, 0), square(3000, 0, 500), square(3600, 0, 200))
    errors = teach.true_errors(mapped, truth)
    assert errors.to_dict() == pytest.approx({"x": 0.2, "y": 0.04})
    elsewhere = teach.true_errors(mapped, truth.to_crs("EPSG:4326"))
    assert elsewhere.to_dict() == pytest.approx(errors.to_dict(), rel=1e-3)


def test_an_outline_that_is_true_has_no_error(two):
    assert teach.true_errors(two, two).tolist() == [0, 0]


def test_errors_and_misses_add_up(two):
    moved = two.set_geometry(two.translate(120, 80))
    whole = moved.union_all().symmetric_difference(two.union_all()).area / 1e6
    assert teach.true_errors(moved, two).sum() == pytest.approx(whole)


def test_true_errors_need_outlines():
    with pytest.raises(InventoryError):
        teach.true_errors(pd.DataFrame({"a": [1]}), table(square(0, 0)))


# ---- hands


def test_a_hand_without_slips_draws_what_is_there(two):
    found = teach.drawn(two, slip_m=0)
    assert found.symmetric_difference(two).area.max() < 1e-3
    assert found.glac_id.tolist() == ["a", "b"]


def test_a_hand_slips_as_far_as_it_is_told():
    """Away from the middle of a circle a slip is that along one axis."""
    disk = table(shapely.Point(EAST, NORTH).buffer(20_000, 2000))
    corners = shapely.get_coordinates(teach.drawn(disk, slip_m=12, seed=3).geometry)
    slips = np.hypot(*(corners - (EAST, NORTH)).T) - 20_000
    assert slips.std() == pytest.approx(12, rel=0.1)
    assert abs(slips.mean()) < 2


def test_an_offset_is_that_of_a_buffer(two):
    found = teach.drawn(two, slip_m=0, offset_m=10)
    # a square of side s grows by 4 s d and corners of pi d²
    expected = np.array([1000.0, 500.0]) * 40 + np.pi * 100
    assert (found.area - two.area).to_numpy() == pytest.approx(expected, rel=1e-2)


def test_what_glaciers_share_stays_shared_and_a_seed_is_a_hand():
    pair = table(square(0, 0), square(1000, 0))
    found = teach.drawn(pair, slip_m=15, seed=5)
    assert found.is_valid.all()
    assert found.intersection(found.iloc[0].geometry).iloc[1].area < 1
    assert found.union_all().area == pytest.approx(found.area.sum(), abs=1)
    assert teach.drawn(pair, slip_m=15, seed=5).geom_equals(found).all()
    assert not teach.drawn(pair, slip_m=15, seed=6).geom_equals(found).any()


# ---- a killed session


def test_a_killed_session_leaves_its_acts_to_the_next(two, tmp_path):
    path = gl.write_outlines(two, tmp_path / "two.gpkg")
    before = path.read_bytes()
    assert teach.killed_review(path, "Ana", 2) == 2
    assert path.read_bytes() == before
    review = gl.apps.Review(gl.open_inventory(path), analyst="Ana", path=path)
    assert review.recover() == 2
    assert review.queue.status.tolist() == ["accepted"] * 2


def test_a_session_that_ends_by_itself_says_why(tmp_path):
    with pytest.raises(GlacierlabError, match=r"ended by itself: .*nothing\.gpkg does not exist"):
        teach.killed_review(tmp_path / "nothing.gpkg", "Ana", 1)


# ---- verdicts


def queue(*errors):
    return pd.DataFrame({"id": [*map(str, range(len(errors)))], "expected_error_km2": errors})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (2, "Right. 2 of 5 outlines, 40 % of them"),
        (np.int64(2), "Right."),
        (1, "Not yet. The first 1 hold 50 %"),
        (3, "Not yet. The first 3 hold 90 %, and fewer are enough"),
        (4, "Not yet. 4 are 80 % of the outlines"),
        (0, "Not yet. A number of outlines is a whole number from 1 to 5"),
        (1.5, "Not yet. A number of outlines"),
        ("two", "Not yet. A number of outlines"),
    ],
)
def test_outlines_to_review(answer, expected):
    assert said("10.1", answer, queue(0.5, 0.3, 0.1, 0.1, np.nan)).startswith(expected)


@pytest.fixture
def review():
    return gl.apps.Review(table(square(0, 0), square(900, 0)), analyst="Ana")


def test_sound_outlines(review):
    judged = lambda: said("10.3", review.outlines, review, 1.9)
    assert judged().startswith(
        "Not yet. Problems are left in 2 outlines, the first in outline '0': overlaps 1 by"
    )
    review.reject("1", "away with it")
    assert judged().startswith("Not yet. No problem is left, but 1.90 km² became 1.00 km²")
    review.undo()
    review.trim("1")
    assert judged().startswith("Right. No outline has a problem any more, and all 1.90 km²")
    assert said("10.3", 3, review, 1.9).startswith("Not yet. Give review.outlines")


def test_net_change(review):
    review.cut("0", shapely.LineString([(EAST + 300, NORTH - 9), (EAST + 300, NORTH + 2000)]))
    review.reject("0-2", "no ice")
    review.replace("1", square(900, 0, 1100))
    review.undo()
    judged = lambda answer: said("10.2", answer, review.trail)
    net = review.trail.change_km2.sum()
    assert net == pytest.approx(-0.3, rel=2e-3)  # a strip of 300 m by 1 km; the ellipsoid's is 0.08 % larger
    assert judged(net).startswith("Right. -0.3")
    assert judged(-net).startswith("Not yet. The number is right and the sign is not")
    assert judged(review.trail.change_km2.abs().sum()).startswith("Not yet. 1.3")
    assert judged(net + 0.2102).startswith("Not yet. -0.09")
    assert "leaves the lines of undo" in judged(net + 0.2102)
    assert judged(7).startswith("Not yet. +7.0000 is not it")
    assert judged("much").startswith("Not yet. Give one number")


def test_border_offset(two):
    wide = two.set_geometry(two.buffer(10, join_style="mitre"))
    judged = lambda answer, *given: said("10.4", answer, *(given or (two, wide)))
    assert judged(10).startswith("Right. +10.0 m")
    assert judged(-10).startswith("Not yet. -10.0 m has the wrong sign")
    assert judged(14).startswith("Not yet. 14.0 m is more than the offset")
    assert judged(3).startswith("Not yet. +3.0 m is not it")
    assert judged(None).startswith("Not yet. Give one number")
    assert judged(-10, wide, two).startswith("Right. -10.0 m")
