"""Coherence and phase: exact statistics against simulated echoes, geometry and motion by hand."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from glacierlab.errors import GlacierlabError
from glacierlab.features.insar import coherence, expected_coherence
from glacierlab.synthetic.radar import coherence_and_phase, estimate, hidden, within_window

LEVEL = np.full((80, 90), 3000, np.float32)
ROCK = 0.9 * np.exp(-0.12) * 0.98  # on the day, after 12 days of 100, 2 % of the critical baseline


def pair_of(elevation=LEVEL, seed=0, cell_m=30.0, **what):
    return coherence_and_phase(np.random.default_rng(seed), elevation, cell_m, **what)


def plane(slope, azimuth, cell_m=30.0, shape=(80, 90)):
    """Ground that falls towards an azimuth."""
    y, x = np.mgrid[: shape[0], : shape[1]] * cell_m
    along = np.sin(np.radians(azimuth)) * x - np.cos(np.radians(azimuth)) * y
    return (4000 - np.tan(np.radians(slope)) * along).astype(np.float32)


# ---- the distribution


@pytest.mark.parametrize("looks", [1, 2, 5, 30, 100])
def test_noise_has_the_bias_of_its_looks(looks):
    found, phase = estimate(np.random.default_rng(1), np.zeros((300, 300), np.float32), looks)
    assert found.mean() == pytest.approx(expected_coherence(looks), abs=0.004)
    assert np.histogram(phase, 8, (-np.pi, np.pi))[0] / phase.size == pytest.approx(1 / 8, abs=0.006)


@pytest.mark.parametrize(("true", "looks"), [(0.3, 6), (0.6, 12), (0.9, 20)])
def test_estimates_are_those_of_simulated_echoes(true, looks):
    rng = np.random.default_rng(2)
    count = 40_000
    first, other = (rng.normal(size=(count, looks)) + 1j * rng.normal(size=(count, looks)) for _ in range(2))
    second = true * first + np.sqrt(1 - true**2) * other
    sums = (first * second.conj()).sum(1)
    power = (np.abs(first) ** 2).sum(1) * (np.abs(second) ** 2).sum(1)
    simulated, angle = np.abs(sums) / np.sqrt(power), np.angle(sums)
    found, phase = estimate(rng, np.full((200, 200), true, np.float32), looks)
    levels = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(found, levels), np.quantile(simulated, levels), atol=0.012)
    np.testing.assert_allclose(np.quantile(phase, levels), np.quantile(angle, levels), atol=0.03)


def test_estimates_are_those_of_the_package():
    rng = np.random.default_rng(3)
    shape, window, true = (400, 400), (4, 5), 0.5
    first, other = (rng.normal(size=shape) + 1j * rng.normal(size=shape) for _ in range(2))
    images = (xr.DataArray(image, dims=("y", "x")) for image in (first, true * first + np.sqrt(0.75) * other))
    seen = coherence(*images, window=window).coherence.values[4:-4:4, 5:-5:5]
    found, _ = estimate(rng, np.full((200, 200), true, np.float32), 20)
    assert found.mean() == pytest.approx(seen.mean(), abs=0.006)
    assert found.std() == pytest.approx(seen.std(), abs=0.005)


@pytest.mark.parametrize("true", [0.5, 0.8])
def test_phase_is_as_sharp_as_its_bound(true):
    looks = 200  # many: then √((1 - γ²) / (2 L γ²)) (Rodriguez and Martin 1992, doi:10.1049/ip-f-2.1992.0018)
    _, phase = estimate(np.random.default_rng(4), np.full((200, 200), true, np.float32), looks)
    assert phase.std() == pytest.approx(np.sqrt((1 - true**2) / (2 * looks * true**2)), rel=0.03)


def test_one_look_is_always_coherent():
    found, _ = estimate(np.random.default_rng(5), np.full((50, 50), 0.3, np.float32), 1)
    np.testing.assert_allclose(found, 1, atol=1e-6)


# ---- the ground


def test_rock_by_hand():
    found, phase, layover = pair_of(looks=100_000, atmosphere_rad=0)
    np.testing.assert_allclose(found, ROCK, atol=0.01)
    assert np.abs(phase).max() < 0.02
    assert not layover.any()


def test_surfaces_lose_coherence_in_order():
    means = {
        name: pair_of(**what)[0].mean()
        for name, what in {
            "rock": {},
            "meadow": {"vegetation": 0.8},
            "debris": {"melting": 0.7, "speed_m_a": 5.0},
            "ice": {"melting": 1.0, "speed_m_a": 60.0},
            "lake": {"water": 1.0},
        }.items()
    }
    assert means["rock"] > 0.75
    assert means["rock"] > means["meadow"] + 0.2 > means["debris"] + 0.1
    assert means["debris"] > means["ice"]
    assert means["lake"] == pytest.approx(expected_coherence(30), abs=0.002)
    assert pair_of(melting=1.0, days=1)[0].mean() > pair_of(melting=1.0, days=12)[0].mean() + 0.3


def test_shear_within_a_window_by_hand():
    cell_m, moved = 35.0, np.full((40, 40), 1e-9, np.float32)
    columns = np.arange(40, dtype=np.float32)
    for cycles, kept in ((0, 1), (0.5, 2 / np.pi), (1, 0), (1.5, 2 / (3 * np.pi))):  # over 70 m, two pixels
        ramp = np.tile(np.pi * cycles * columns, (40, 1)).astype(np.float32)
        np.testing.assert_allclose(within_window(ramp, moved, cell_m), kept, atol=1e-4)
        np.testing.assert_allclose(within_window(ramp.T, moved, cell_m), kept, atol=1e-4)


def test_ice_that_left_its_pixel_is_lost():
    still, half, gone = (
        pair_of(plane(10, 90), speed_m_a=speed * 365.25 / 12, looks=10_000)[0][20:60, 20:60]
        for speed in (0, 7, 20)  # meters in 12 days; a pixel is 14 m
    )
    assert half.mean() == pytest.approx(0.5 * still.mean(), abs=0.02)
    assert gone.mean() == pytest.approx(expected_coherence(10_000), abs=0.002)


@pytest.mark.parametrize(("slope", "look"), [(10, 90), (10, 270), (25, 90), (10, 0)])
def test_phase_of_ice_on_a_plane_by_hand(slope, look):
    # falls to the east; in one day 3.6525 m/a is a centimetre
    _, phase, _ = pair_of(
        plane(slope, 90),
        speed_m_a=3.6525,
        days=1,
        look_azimuth=look,
        looks=100_000,
        atmosphere_rad=0,
    )
    tilt, angle = np.radians([slope, 39])
    away = {
        90: np.sin(angle + tilt),  # with the flow: away from the radar
        270: np.sin(tilt - angle),
        0: np.cos(angle) * np.sin(tilt),  # across it: only down
    }[look]
    expected = 4 * np.pi / 0.0555 * 0.01 * away
    expected -= 2 * np.pi * np.round(expected / (2 * np.pi))
    assert np.median(phase[20:60, 20:60]) == pytest.approx(expected, abs=0.01)


def test_air_delays_by_as_much_as_asked():
    _, phase, _ = pair_of(np.zeros((256, 256), np.float32), looks=10_000, atmosphere_rad=0.5)
    assert phase.std() == pytest.approx(0.5, abs=0.01)
    steps = np.diff(phase, axis=1)
    assert steps.std() < 0.1  # smooth from pixel to pixel


# ---- folds and shadows


@pytest.mark.parametrize(
    ("slope", "falls_to", "is_hidden"),
    [
        (45, 270, True),  # faces the radar in the west, steeper than 39 degrees
        (33, 270, False),
        (45, 90, False),
        (55, 90, True),  # turned away by more than 90 - 39
        (45, 0, False),
    ],
)
def test_slopes_fold_or_hide_by_their_angle(slope, falls_to, is_hidden):
    found = hidden(plane(slope, falls_to), 30.0, 90, 39)
    assert (found[20:60, 20:60] == is_hidden).all()


def test_a_tower_folds_over_its_foot_and_hides_what_is_behind():
    ground = np.zeros((5, 120), np.float32)
    ground[:, 50:90] = 200.0  # radar in the west: 200 m / tan 35° = 286 m, 200 m · tan 35° = 140 m
    found = hidden(ground, 10.0, 90, 35)[2]
    assert np.flatnonzero(found).tolist() == [*range(22, 78), *range(90, 104)]  # foot and roof; behind
    np.testing.assert_array_equal(hidden(ground[:, ::-1], 10.0, 270, 35)[2], found[::-1])
    assert not hidden(np.zeros((5, 100), np.float32), 10.0, 90, 35).any()


def test_foreshortened_slopes_are_less_coherent():
    facing, level, away = (
        pair_of(plane(slope, azimuth), looks=10_000, look_azimuth=90)[0][20:60, 20:60].mean()
        for slope, azimuth in ((37, 270), (0, 270), (30, 90))
    )
    assert facing < level - 0.2
    assert level < away


# ---- laws


@settings(max_examples=20)
@given(
    seed=st.integers(0, 99),
    speed=st.floats(0, 500),
    melting=st.floats(0, 1),
    days=st.floats(0, 60),
    look=st.floats(0, 360),
    looks=st.integers(1, 200),
)
def test_bounds_and_repeats(seed, speed, melting, days, look, looks):
    rough = np.random.default_rng(seed).normal(3000, 40, (30, 40)).astype(np.float32)
    options = dict(speed_m_a=speed, melting=melting, days=days, look_azimuth=look, looks=looks)
    found, phase, layover = pair_of(rough, seed, **options)
    assert found.dtype == phase.dtype == np.float32
    assert layover.dtype == bool
    assert found.shape == phase.shape == layover.shape == rough.shape
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert (np.abs(phase) <= np.float32(np.pi)).all()
    for one, other in zip((found, phase, layover), pair_of(rough, seed, **options), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"looks": 0}, "looks=0 is 1 or more"),
        ({"incidence_angle": 90}, "incidence_angle=90 between 0 and 90"),
        ({"days": -1}, "days=-1 0 or more"),
    ],
)
def test_bad_input_says_what_to_do(what, message):
    with pytest.raises(GlacierlabError, match=message):
        pair_of(**what)
