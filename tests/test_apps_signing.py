"""Who signs: a name that is filled in late, and acts that somebody's ended session left."""

import pytest

import glacierlab as gl

pytest.importorskip("panel")


@pytest.fixture
def package(mapped, tmp_path):
    gl.write_outlines(gl.vectorize(mapped["class_map"]), tmp_path / "outlines.gpkg")
    return tmp_path / "outlines.gpkg"


def test_who_fills_in_a_name_stays_at_the_outline_that_is_shown(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package)
    studio.queue.go_next()
    shown = studio.review.current
    assert shown != studio.review.queue["id"].iloc[0]
    studio.queue.analyst.value = "Ana"
    assert studio.review.current == shown
    studio.queue.do_accept()
    assert studio.review.trail[["who", "what", "id"]].values.tolist() == [["Ana", "accept", shown]]


def test_acts_of_an_ended_session_are_told_to_whoever_comes(made, mapped, package):
    first = gl.apps.inspect(made, mapped, package, analyst="Ana")
    first.accept()
    first.reject("snow")
    assert first.review.left_by == {}  # it lives
    first.review.close()
    second = gl.apps.inspect(made, mapped, package)
    assert second.review.left_by == {"Ana": 2}
    assert "Ana (2). Fill in that name" in second.queue.file.object
    second.queue.analyst.value = "Ana"
    assert second.review.trail["what"].tolist() == ["accept", "reject"]
    assert "Fill in" not in second.queue.file.object


def test_both_inventories_of_a_comparison_keep_their_ids(made, mapped, package):
    studio = gl.apps.inspect(made, mapped, package, analyst="Ana")
    studio.reject("snow")
    from glacierlab.apps.comparing import Comparison

    left = studio.review.outlines
    found = Comparison(left, left.drop(columns="review_id")).shown()
    assert {*found["ours"]} == {*left["review_id"]}
