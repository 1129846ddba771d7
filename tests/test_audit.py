"""The leakage audit: a planted leak of each kind is caught, a clean split passes."""

import time

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from manifests import PIXEL_M, grid, patches

from glacierlab.errors import ManifestError
from glacierlab.samples import audit, split

COUNTS = ["windows", "twins", "labels", "glaciers"]


@pytest.fixture
def clean():
    """Two parts of two patches each, 480 m apart, that share nothing."""
    made = patches(
        [0, 16, 0, 16], [0, 0, 64, 64], scenes="aabb", glaciers=[("g1",), ("g1",), ("g2",), ("g2", "g3")],
        label=["l1", "l2", "l3", "l4"], source=[None, 0, None, 2],
    )  # fmt: skip
    return made.assign(split=["train", "train", "test", "test"])


def plant(manifest, column, row, value):
    changed = manifest.copy()
    changed[column] = [value if n == row else each for n, each in enumerate(manifest[column])]
    return changed


def test_a_clean_split_passes(clean):
    found = audit(clean, min_distance_m=480)
    row = found.table.loc[("train", "test")]
    assert found.ok
    assert found.offenders.empty
    assert (row["overlap_px"], row["overlap_m2"], row["nearest_m"]) == (0, 0, 480)
    assert (row[COUNTS] == 0).all()
    assert "No leak found." in repr(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("column", "row", "value", "kind", "guilty"),
    [
        ("glaciers", 2, ("g9", "g1"), "glaciers", [0, 1, 2]),
        ("label", 3, "l1", "labels", [0, 3]),
        ("source", 3, 0, "twins", [0, 1, 3]),  # a twin names its original
        ("source", 2, 99, None, []),  # an original that was left out has one twin only
    ],
)
def test_a_planted_id_is_caught(clean, column, row, value, kind, guilty):
    found = audit(plant(clean, column, row, value))
    assert found.ok == (kind is None)
    assert list(found.offenders.index) == guilty
    assert set(found.offenders["leak"]) <= {kind}
    assert dict(found.table.loc[("train", "test"), COUNTS]) == {each: int(each == kind) for each in COUNTS}


def test_twins_of_an_original_that_was_left_out_are_caught(clean):
    found = audit(plant(plant(clean, "source", 1, "gone"), "source", 2, "gone"))
    assert list(found.offenders.index) == [1, 2]
    assert list(audit(plant(clean, "split", 0, "buffer")).offenders.index) == []


def test_the_same_window_twice_is_caught(clean):
    found = audit(plant(clean, "split", 1, "test"))  # a twin's window is its own here: nothing but the source
    assert found.table["twins"].item() == 1
    twice = clean.copy()
    for column in ["scene", "row", "col", "geometry"]:
        twice.loc[3, column] = twice.loc[0, column]
    found = audit(twice)
    assert found.table["windows"].item() == 1
    assert found.table["overlap_px"].item() == 16 * 16
    assert dict(found.offenders["leak"]) == {0: "overlap, windows", 3: "overlap, windows"}


def test_overlap_is_ground_counted_once():
    made = patches([0, 0, 0, 0], [0, 4, 12, 40], scenes="abcd").assign(
        split=["train", "train", "test", "test"]
    )
    row = audit(made).table.loc[
        ("train", "test")
    ]  # columns 0–20 and 12–28: 8 columns of 16 rows are on both sides
    assert row["overlap_px"] == 8 * 16
    assert row["overlap_m2"] == 8 * 16 * PIXEL_M**2
    assert row["nearest_m"] == 0
    assert list(audit(made).offenders.index) == [0, 1, 2]


def test_patches_may_touch_and_be_left_out(clean):
    touching = patches([0, 0, 0], [0, 16, 20]).assign(split=["train", "test", "buffer"])
    found = audit(touching)
    assert found.ok
    assert found.table["nearest_m"].item() == 0
    assert not audit(touching, min_distance_m=1).ok
    turned = touching.assign(geometry=touching.rotate(30, origin=(500_000, 5_000_000)))
    assert audit(turned).ok  # squares with rounded corners still only touch
    assert not audit(turned.assign(split=["train", "train", "test"])).ok


@given(gap=st.integers(0, 50), shift=st.integers(0, 50), least=st.integers(1, 800))
def test_distance_is_pythagoras(gap, shift, least):
    made = patches([0, 16 + shift], [0, 16 + gap]).assign(split=["train", "test"])
    found = audit(made, min_distance_m=least)
    expected = PIXEL_M * np.hypot(gap, shift)
    assert found.table["nearest_m"].item() == pytest.approx(expected)
    assert found.ok == (expected >= least)
    assert list(found.offenders["leak"]) == ([] if found.ok else ["distance"] * 2)


@given(stride=st.integers(4, 12), seed=st.integers(0, 99))
def test_random_splits_of_overlapping_patches_fail(stride, seed):
    found = audit(split(grid(6, stride=stride), by="random", leaks=True, seed=seed))
    assert not found.ok
    assert found.table["overlap_px"].sum() > 0


def test_overlap_agrees_with_counted_pixels():
    made = split(grid(8, stride=6), by="random", leaks=True, seed=3)
    covered = {}
    for name in ("train", "test"):
        covered[name] = np.zeros((80, 80), dtype=bool)
        for patch in made[made["split"] == name].itertuples():
            covered[name][patch.row : patch.row + 16, patch.col : patch.col + 16] = True
    pairs = audit(made).table.reset_index().set_index(["first", "second"])["overlap_px"]
    found = pairs.get(("train", "test"), pairs.get(("test", "train")))
    assert found == pytest.approx((covered["train"] & covered["test"]).sum())


def test_what_the_manifest_does_not_know_is_said(clean):
    found = audit(clean.drop(columns=["glaciers", "label"]))
    assert found.ok
    assert found.table[["glaciers", "labels"]].isna().all(axis=None)
    assert "The table of patches does not tell of labels, glaciers." in repr(found)


def test_names_of_parts_are_escaped(clean):
    leaky = plant(clean, "label", 3, "l1").assign(split=["<b>", "<b>", "test", "test"])
    assert "<b>" not in audit(leaky)._repr_html_()


def test_twenty_thousand_patches_take_seconds():
    side = 142
    made = grid(side, stride=8)
    made["glaciers"] = list(
        zip(made["row"] // 160 * 1000 + made["col"] // 160, strict=True)
    )  # 20 x 20 patches each
    start = time.perf_counter()
    assert audit(split(made, by="blocks", block_m=800, buffer_m=100), min_distance_m=100).ok
    assert not audit(split(made, by="random", leaks=True)).ok
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda m: m.drop(columns="split"), {}, r"lacks \['split'\]"),
        (lambda m: m.assign(split="train"), {}, r"two parts or more.*\['train'\]"),
        (lambda m: m.assign(split=["train", "test", None, "test"]), {}, "1 patches have no split"),
        (lambda m: m.to_crs(4326), {}, "projected CRS"),
        (lambda m: m[:0], {}, "no patches"),
        (lambda m: m, {"min_distance_m": -1}, "min_distance_m"),
        (lambda m: m.set_geometry([shapely.Polygon()] * 4, crs=m.crs), {}, "no area"),
    ],
)
def test_bad_input_says_what_to_do(clean, change, options, message):
    with pytest.raises(ManifestError, match=message):
        audit(change(clean), **options)
