"""Splits: what is kept together stays together, shares are met, and nothing is nearer than the buffer."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from manifests import SIZE, grid, patches

from glacierlab.errors import ManifestError, UnknownNameError
from glacierlab.samples import audit, folds, split
from glacierlab.tables import SPLITS


@st.composite
def manifests(draw):
    """Patches anywhere, overlapping or not; some share scenes, regions, glaciers, labels or a source."""
    count = draw(st.integers(8, 30))
    drawn = lambda most: draw(st.lists(st.integers(0, most), min_size=count, max_size=count))
    ids = lambda most: [number if number < 40 else None for number in drawn(most)]
    made = patches(drawn(300), drawn(300), scenes=[f"s{number}" for number in drawn(20)])
    return made.assign(
        glaciers=[() if each is None else (each, each + 100) for each in ids(200)],
        label=ids(200),
        source=[each if each is None or each < count else None for each in ids(200)],
        region=drawn(20),
    )


def split_or_skip(manifest, **options):
    """A split, where the manifest has groups enough for one."""
    try:
        return split(manifest, **options)
    except ManifestError as error:
        assume("would be empty" not in str(error))
        raise


# ---- what is kept together


@pytest.mark.parametrize("by", ["scene", "region", "glacier", "blocks"])
@given(manifest=manifests(), seed=st.integers(0, 9))
def test_groups_never_part(by, manifest, seed):
    options = dict(by=by, shares=(0.7, 0.3), names=("train", "test"), seed=seed, block_m=400)
    made = split_or_skip(manifest, **options).query("split != 'buffer'")
    kept_together = {"scene": ["scene"], "region": ["region"]}.get(by, [])
    for column in [*kept_together, "label", "glaciers"]:
        parts = made.explode(column).dropna(subset=column).groupby(column)["split"].nunique()
        assert (parts == 1).all()
    for twin in made.dropna(subset="source").itertuples():
        assert made["split"].get(int(twin.source), twin.split) == twin.split


def test_ids_tie_patches_into_one_group_through_others():
    tied = patches(
        [0, 100, 200, 300, 400, 500], [0] * 6, glaciers=[("g1",), ("g1", "g2"), ("g2",), (), (), ()],
        label=[None, None, "l1", "l1", None, None], source=[None, None, None, None, 3, None],
    )  # fmt: skip
    made = split(tied, by="glacier", shares=(0.8, 0.2), names=("train", "test"))
    assert list(made["split"]) == ["train"] * 5 + ["test"]


def test_glaciers_across_block_borders_do_not_tie_the_blocks():
    made = grid(12)  # glaciers of 3 x 3 patches, blocks of 4 x 4: every border is crossed
    made["glaciers"] = [((row // 48, col // 48),) for row, col in zip(made["row"], made["col"], strict=True)]
    made = split(made, by="blocks", block_m=640, shares=(0.5, 0.5), names=("train", "test"))
    assert (made.explode("glaciers").groupby("glaciers")["split"].nunique() == 1).all()
    assert abs((made["split"] == "train").mean() - 0.5) < 0.15


def test_a_twin_stays_with_its_original_and_dates_of_one_label_stay_together():
    first = grid(4, scenes="2019", label=[f"l{n}" for n in range(16)])
    second = grid(4, scenes="2020", label=[f"l{n}" for n in range(16)])
    both = pd.concat([first, second], ignore_index=True)
    flipped = both.assign(source=both.index).set_index(both.index + 32)
    made = split(
        pd.concat([both, flipped]), by="source", leaks=True, shares=(0.5, 0.5), names=("train", "test")
    )
    assert Counter(made["split"]) == {"train": 32, "test": 32}
    assert (made.groupby("label")["split"].nunique() == 1).all()


# ---- shares


@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=20),
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    seed=st.integers(0, 5),
)
def test_no_part_exceeds_its_share_by_a_whole_group(sizes, weights, seed):
    scenes = [f"s{n}" for n, size in enumerate(sizes) for _ in range(size)]
    manifest = patches(np.arange(len(scenes)) * SIZE, [0] * len(scenes), scenes=scenes)
    shares, names = np.array(weights) / sum(weights), ["train", "validation", "test"][-len(weights) :]
    made = split(manifest, by="scene", shares=shares, names=names, seed=seed)
    for name, share in zip(names, shares, strict=True):
        count = (made["split"] == name).sum()
        assert 0 < count < share * len(scenes) + max(sizes)


def test_equal_groups_meet_the_shares_exactly():
    scenes = [f"s{n}" for n in range(20) for _ in range(5)]
    made = split(patches(np.arange(100) * SIZE, [0] * 100, scenes=scenes), shares="8:1:1")
    assert Counter(made["split"]) == {"train": 80, "validation": 10, "test": 10}


def test_the_seed_decides():
    manifest = grid(8)
    first, again, other = (
        split(manifest, by="blocks", block_m=320, seed=seed)["split"] for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


# ---- buffers


@given(
    manifest=manifests(), buffer_m=st.integers(0, 400), block_m=st.integers(100, 1500), seed=st.integers(0, 9)
)
def test_blocks_with_a_buffer_pass_the_audit(manifest, buffer_m, block_m, seed):
    options = dict(shares=(0.6, 0.4), names=("train", "test"), block_m=block_m, seed=seed)
    made = split_or_skip(manifest, by="blocks", buffer_m=buffer_m, **options)
    found = audit(made, min_distance_m=buffer_m)
    assert found.ok, found
    assert (found.table["nearest_m"] >= buffer_m).all()


def test_training_gives_way_to_the_test_which_stays_whole():
    manifest = patches([0, 0, 0, 0], [0, 16, 48, 80], scenes="aaab")  # gaps of 0, 160 and 160 m
    halves = dict(shares=(0.75, 0.25), names=("train", "test"))
    assert list(split(manifest, **halves, buffer_m=160)["split"]) == ["train", "train", "train", "test"]
    assert list(split(manifest, **halves, buffer_m=160.1)["split"]) == ["train", "train", "buffer", "test"]


def test_patches_that_overlap_another_part_are_left_out_without_a_buffer_too():
    manifest = patches([0, 0, 8], [0, 16, 32], scenes="aab")  # the third touches the second, 8 rows lower
    kept = split(manifest, shares=(0.6, 0.4), names=("train", "test"))["split"]
    assert list(kept) == ["train", "train", "test"]
    manifest = patches([0, 0, 8], [0, 16, 31], scenes="aab")
    kept = split(manifest, shares=(0.6, 0.4), names=("train", "test"))["split"]
    assert list(kept) == ["train", "buffer", "test"]


# ---- folds


@pytest.mark.parametrize("by", ["glacier", "blocks"])
def test_each_patch_is_tested_once(by):
    manifest = grid(12, glaciers=[(f"g{n // 4}",) for n in range(144)])
    made = folds(manifest, k=3, by=by, block_m=640, buffer_m=100)
    assert (sum((each["split"] == "test").astype(int) for each in made) == 1).all()
    assert all(audit(each, min_distance_m=100).ok for each in made)


# ---- presets


def test_presets_are_those_of_the_papers():
    scene1 = SPLITS["chen2022_scene1"]
    train, validation, test = scene1.shares
    assert test == pytest.approx(1199 / (2797 + 1199), abs=1e-3)  # tiles of Chen et al. 2022
    assert validation / (train + validation) == pytest.approx(0.2)
    assert SPLITS["8:1:1"].shares[-1] == pytest.approx(400 / 4000)  # tiles of Chu et al. 2022
    for row in SPLITS.values():
        assert row.regions or (sum(row.shares) == pytest.approx(1) and len(row.names) == len(row.shares))


def test_scene_1_leaks_as_published_and_not_by_glacier():
    originals = grid(10, glaciers=[(f"g{n // 5}",) for n in range(100)])
    twins = originals.assign(source=originals.index).set_index(originals.index + 100)
    manifest = pd.concat([originals, twins])
    with pytest.raises(ManifestError, match="leaks=True"):
        split(manifest, shares="chen2022_scene1")
    published = split(manifest, shares="chen2022_scene1", leaks=True)
    assert Counter(published["split"]) == {"train": 112, "validation": 28, "test": 60}
    assert not audit(published).ok
    by_source = audit(split(manifest, by="source", shares="chen2022_scene1", leaks=True)).table
    assert (by_source["twins"] == 0).all()
    assert (by_source["glaciers"] > 0).any()
    assert audit(split(manifest, by="glacier", shares="chen2022_scene1")).ok


def test_scene_2_assigns_path_rows():
    regions = [139036, 137037, 139035, 133036, 135038, 133038]
    manifest = patches(np.arange(6) * 100, [0] * 6, region=regions)
    made = split(manifest, shares="chen2022_scene2")
    assert list(made["split"]) == ["train", "train", "area1", "area2", "area3", "area3"]
    overlapping = patches(
        [0, 10, 200, 300, 400, 500], [0] * 6, region=[139036, 139035, 139036, 133036, 135038, 139036]
    )
    assert list(split(overlapping, shares="chen2022_scene2")["split"])[:3] == ["buffer", "area1", "train"]
    with pytest.raises(ManifestError, match=r"\['area2', 'area3'\] would be empty"):
        split(manifest[:3], shares="chen2022_scene2")
    with pytest.raises(ManifestError, match=r"Regions \['1'\] are in no part"):
        split(manifest.assign(region=1), shares="chen2022_scene2")
    with pytest.raises(ManifestError, match="by='region'"):
        split(manifest, by="scene", shares="chen2022_scene2")


# ---- bad input


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda m: m.drop(columns=["scene", "size"]), {}, r"lacks \['scene', 'size'\]"),
        (lambda m: m.drop(columns="glaciers"), {"by": "glacier"}, r"lacks \['glaciers'\]"),
        (lambda m: m, {"by": "region"}, r"lacks \['region'\]"),
        (lambda m: m.assign(region=None), {"by": "region"}, "have no region"),
        (lambda m: m[:0], {}, "no patches"),
        (lambda m: m.to_crs(4326), {}, "projected CRS in meters; found WGS 84"),
        (lambda m: m.to_crs(2263), {}, "in meters; found NAD83"),
        (lambda m: m.set_crs(None, allow_override=True), {}, "found no CRS"),
        (lambda m: m.set_geometry(m.centroid), {}, "no area"),
        (lambda m: m.assign(size=0), {}, "size is a number of pixels"),
        (lambda m: m.set_index(m.index // 2), {}, "duplicates"),
        (lambda m: m.drop(columns="geometry"), {}, "not a DataFrame"),
        (lambda m: m, {"shares": (0.5, 0.2, 0.1)}, r"sum to 0.8"),
        (lambda m: m, {"shares": (1.2, -0.1, -0.1)}, "more than 0"),
        (lambda m: m, {"shares": (0.5, 0.5)}, "2 shares for 3 names"),
        (lambda m: m, {"names": ("train", "test", "buffer")}, "not 'buffer'"),
        (lambda m: m, {"by": "random"}, "leaks=True"),
        (lambda m: m, {"by": "random", "leaks": True, "buffer_m": 5}, "no borders to buffer"),
        (lambda m: m, {"by": "blocks", "block_m": 0}, "block_m"),
        (lambda m: m, {"buffer_m": -1}, "buffer_m"),
        (
            lambda m: m,
            {"by": "scene"},
            r"\['validation', 'test'\] would be empty: 144 patches make 1 group",
        ),
        (lambda m: m, {"by": "blocks", "buffer_m": 1e5}, r"'validation' would be empty: .* within 100000 m"),
    ],
)
def test_bad_input_says_what_to_do(change, options, message):
    with pytest.raises(ManifestError, match=message):
        split(change(grid()), **options)


def test_unknown_names_say_which_there_are():
    with pytest.raises(UnknownNameError, match="Did you mean 'scene'"):
        split(grid(), by="scenes")
    with pytest.raises(UnknownNameError, match="Did you mean 'chen2022_scene1'"):
        split(grid(), shares="chen2022_scene_1")
    for k in (1, 2.5):
        with pytest.raises(ManifestError, match="at least 2"):
            folds(grid(), k=k)
    with pytest.raises(ManifestError, match="leaks"):
        folds(grid(), by="random")
