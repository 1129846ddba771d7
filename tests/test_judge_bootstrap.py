"""Block bootstrap: coverage on made data, SciPy's percentiles, pairs, and which patches make a block."""

import numpy as np
import pytest

from glacierlab.errors import GlacierlabError, UnknownNameError

pytest.importorskip("torch")

from judging import BINARY, noisy, noisy_patches, patches_of, truth_of

from glacierlab.judge import block_bootstrap, blocks_of, interval
from glacierlab.judge.bootstrap import Draws, scored
from glacierlab.judge.tally import score_values


def block_counts(blocks, patches, spread, seed):
    """Matrices of patches whose accuracy is their block's own; the true mean accuracy is 0.8."""
    random = np.random.default_rng(seed)
    chance = np.repeat((0.8 + spread * random.uniform(-1, 1, blocks)).clip(0, 1), patches)
    right = random.binomial(50, chance)
    return np.stack([np.diag([each, 0]) + np.array([[0, 50 - each], [0, 0]]) for each in right])


def accuracy(sums):
    return np.trace(sums, axis1=-2, axis2=-1) / sums.sum(axis=(-2, -1))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = {"blocks": 0, "patches": 0}
    for seed in range(200):
        counts = block_counts(30, 8, 0.15, seed)
        for what, of in (("blocks", np.repeat(np.arange(30), 8)), ("patches", np.arange(240))):
            low, high = interval(block_bootstrap(counts, of, accuracy, repeats=200, seed=seed))
            held[what] += low <= 0.8 <= high
    assert 0.89 <= held["blocks"] / 200 <= 0.985
    assert held["patches"] / 200 < 0.8  # pixels and patches of a block are no evidence of their own


def test_percentiles_are_those_of_scipy():
    from scipy import stats

    counts = block_counts(40, 1, 0.15, 5)
    low, high = interval(block_bootstrap(counts, np.arange(40), accuracy, repeats=20_000))
    right = counts[:, 0, 0] / 50
    found = stats.bootstrap((right,), np.mean, n_resamples=20_000, method="percentile").confidence_interval
    assert (low, high) == pytest.approx((found.low, found.high), abs=2e-3)


def test_equal_models_differ_by_nothing_and_pairs_are_narrower():
    one, noise = block_counts(20, 5, 0.2, 1), np.random.default_rng(2)
    other = one.copy()
    moved = np.minimum(noise.binomial(4, 0.5, len(one)), one[:, 0, 0])  # a little worse everywhere
    other[:, 0, 0] -= moved
    other[:, 0, 1] += moved
    of = np.repeat(np.arange(20), 5)
    both = lambda a, b: block_bootstrap(
        np.stack([a, b], axis=1), of, lambda s: accuracy(s[:, 0]) - accuracy(s[:, 1])
    )
    assert (both(one, one) == 0).all()
    low, high = interval(both(one, other))
    assert 0 < low < high
    apart = block_bootstrap(one, of, accuracy, seed=1) - block_bootstrap(other, of, accuracy, seed=2)
    assert np.ptp(interval(apart)) > 5 * (high - low)
    first, second = (block_bootstrap(each, of, accuracy) for each in (one, other))
    np.testing.assert_allclose(first - second, both(one, other), atol=1e-12)  # one seed draws the same blocks


def test_the_same_seed_draws_the_same():
    counts = block_counts(20, 5, 0.2, 1)
    of = np.repeat(np.arange(20), 5)
    first, again, other = (block_bootstrap(counts, of, score_values, seed=seed) for seed in (3, 3, 4))
    assert first.shape == (1000, 3, 9)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    shuffled = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(
        block_bootstrap(counts[shuffled], of[shuffled], score_values, seed=3), first
    )


def test_a_class_that_draws_may_miss_leaves_them_out():
    counts = np.zeros((8, 2, 2), int)
    counts[:, 0, 0] = 10
    counts[0, 1, 1] = 5
    found = scored(counts, np.arange(8), BINARY, Draws())
    assert found.loc["glacier", ["recall", "recall_low", "recall_high"]].tolist() == [1, 1, 1]


def test_bad_bootstraps_are_refused():
    counts = block_counts(4, 1, 0.1, 0)
    with pytest.raises(GlacierlabError, match="3 blocks for 4 patches"):
        block_bootstrap(counts, np.arange(3), accuracy)
    with pytest.raises(GlacierlabError, match="repeats=0"):
        block_bootstrap(counts, np.arange(4), accuracy, repeats=0)
    with pytest.raises(GlacierlabError, match="level=95"):
        interval(np.zeros(10), 95)


def test_blocks_are_scenes_then_glaciers_then_squares():
    assert str(blocks_of(noisy_patches(6).manifest)) == "by 6 scenes"
    few = noisy_patches(2, shape=(128, 128)).manifest
    assert str(blocks_of(few)) == "by 18 squares of ground"  # of 640 m, which cut 1280 m in three
    assert str(blocks_of(few, "scene")) == "none: 2 scenes are too few, 5 are needed"
    assert blocks_of(few, "scene", fewest=2).enough
    assert blocks_of(few, "space", block_m=160).count == len(few)
    ids = [("a",), ("a", "b"), ("c",), ("d",), ("e",), ("f",)] + [()] * (len(few) - 6)
    glaciers = blocks_of(few.assign(glaciers=ids))
    assert glaciers.kind == "glacier"
    of = glaciers.of_patch
    assert of[0] == of[1]
    assert len(set(of[1:6])) == 5
    assert set(of[6:]).isdisjoint(of[:6])  # ground without ice is drawn by squares
    assert glaciers.count == 5 + len(set(blocks_of(few[6:], "space").of_patch))


def test_one_glacier_across_all_patches_leaves_squares():
    manifest = noisy_patches(6).manifest
    icefield = manifest.assign(glaciers=[("icefield",)] * len(manifest))
    assert blocks_of(icefield, "glacier").count == 1
    found = blocks_of(icefield)
    assert found.kind == "space"
    np.testing.assert_array_equal(found.of_patch, blocks_of(manifest, "space").of_patch)


def test_ground_of_several_dates_is_one_block():
    dates = {f"d{n}": noisy(seed=n) for n in range(6)}
    shared = truth_of(dates["d0"], dates["d0"].red.values > 0.5)
    manifest = patches_of(dates, shared).manifest
    assert blocks_of(manifest, "scene").count == 1
    assert blocks_of(manifest, "space", block_m=160).count == len(manifest) / 6
    with pytest.raises(UnknownNameError, match=r"Unknown kind of blocks 'scenes'\. Did you mean 'scene'"):
        blocks_of(manifest, "scenes")
    with pytest.raises(GlacierlabError, match="names no glaciers"):
        blocks_of(manifest, "glacier")
