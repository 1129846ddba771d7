"""Mountains, ice, lakes and what lies on them, before any sensor looks."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.morphology import reconstruction
from worlds import cover_of, world_of

from glacierlab.synthetic import _kernels, cover, glaciers, ground, model, terrain
from glacierlab.synthetic.spectra import ENDMEMBERS
from glacierlab.synthetic.terrain import Noise

CELL = 130.0


@lru_cache
def bed_of(seed, shape=(80, 90)):
    return terrain.mountains(Noise(seed).rng("mountains"), shape, CELL)


def ramp(facing, slope=0.3, shape=(40, 50), cell_m=30.0):
    """A plane (y, x) that falls towards north, east, south or west; row 0 is in the north."""
    y, x = np.mgrid[: shape[0], : shape[1]] * cell_m * slope
    return {"north": y, "south": -y, "west": x, "east": -x}[facing]


# ---- terrain ----


@pytest.mark.parametrize("seed", range(4))
def test_valleys_drain_to_the_border(seed):
    land = np.pad(bed_of(seed)[0], 1, mode="edge")
    seeds = np.full_like(land, land.max())
    seeds[[0, -1]], seeds[:, [0, -1]] = land[[0, -1]], land[:, [0, -1]]
    depth = lambda ground: (reconstruction(seeds, ground, method="erosion") - ground).max()
    assert depth(land) < 1
    land[40, 30] -= 500
    assert depth(land) > 200  # a planted basin is seen


@pytest.mark.parametrize("seed", range(2))
def test_all_rain_leaves_the_picture(seed):
    _, drained, below = bed_of(seed)
    outlets = below.ravel() < 0
    assert drained.ravel()[outlets].sum() == pytest.approx(drained.size * CELL**2)
    assert drained.min() == pytest.approx(CELL**2)
    border = np.ones(drained.shape, bool)
    border[1:-1, 1:-1] = False
    assert border.ravel()[outlets].all()
    flows = np.flatnonzero(~outlets)
    assert (drained.ravel()[below[flows]] > drained.ravel()[flows]).all()


def test_valley_floors_flatten_downstream():
    height, drained, _ = bed_of(0, (120, 120))
    slope = glaciers.steepness(height, CELL)
    small, large = (drained > 2e6) & (drained < 4e6), drained > 2e7
    assert large.sum() > 50
    assert np.median(slope[large]) < 0.6 * np.median(slope[small])
    assert np.median(slope[drained < 1e5]) > 0.4  # walls


def test_drained_area_by_hand():
    # 0 ← 1 ← 2 and 1 ← 3: the mouth drains all four
    area = terrain.drained_area(np.array([0.0, 1.0, 2.0, 2.0]), np.array([-9999, 0, 1, 1]), 10.0)
    assert area.tolist() == [40, 30, 10, 10]


def test_fractal_is_standard_and_rough_as_asked():
    field = terrain.fractal(np.random.default_rng(0), (256, 256), 1.0, longest_m=1e6, exponent=3.0)
    assert field.dtype == "float32"
    assert field.mean(dtype=float) == pytest.approx(0, abs=1e-6)
    assert field.std(dtype=float) == pytest.approx(1, abs=1e-5)
    power = np.abs(np.fft.rfft2(field)[1:40, 0]) ** 2  # along one axis the power falls as k^-3
    slope = np.polyfit(np.log(np.arange(1, 40)), np.log(power), 1)[0]
    assert slope == pytest.approx(-3, abs=0.6)


def test_wide_noise_repeats_without_a_seam(monkeypatch):
    monkeypatch.setattr(terrain, "TILE", 64)
    field = terrain.fractal(np.random.default_rng(0), (100, 150), 1.0, longest_m=30)
    assert field.shape == (100, 150)
    np.testing.assert_array_equal(field[64:], field[:36])
    np.testing.assert_array_equal(field[:, 64:128], field[:, :64])
    steps = np.abs(np.diff(field, axis=0)).mean(axis=1)
    assert steps[63] < 2 * np.median(steps)


def test_noise_goes_by_name_alone():
    one, other = Noise(3), Noise(3)
    first = one("drift", (20, 30), 30.0, 500)
    other("something else", (20, 30), 30.0, 500)
    np.testing.assert_array_equal(other("drift", (20, 30), 30.0, 500), first)
    for twin in (Noise(4)("drift", (20, 30), 30.0, 500), one("plants", (20, 30), 30.0, 500)):
        assert np.abs(np.corrcoef(first.ravel(), twin.ravel())[0, 1]) < 0.9
        assert not np.array_equal(twin, first)


# ---- ice ----


def test_ice_velocity_by_hand():
    # stress 900 · 9.81 · 100 · 0.1 = 88290 Pa; 2/5 · 2.4e-24 · 88290³ · 100 m = 6.607e-8 m/s = 2.085 m/a
    assert glaciers.ice_velocity(100.0, 0.1) == pytest.approx(2.085, abs=1e-3)


def halfar(radius, year, dome_m=400.0, edge_m=8000.0):
    """Thickness [m] of Halfar's dome (1983, doi:10.1029/JC088iC10p06043) as it spreads on a plane, n = 3.

    Returns it with the year whose dome is `dome_m` high and `edge_m` wide, by Bueler et al. 2005.
    """
    start = (7 / 4) ** 3 * edge_m**4 / dome_m**7 / (18 * glaciers.ice_velocity(1.0, 1.0))
    later = (start + year) / start
    inside = np.maximum(1 - (later ** (-1 / 18) * radius / edge_m) ** (4 / 3), 0)
    return dome_m * later ** (-1 / 9) * inside ** (3 / 7)


def test_a_dome_spreads_as_its_exact_solution():
    cell_m = 250.0
    y, x = (np.mgrid[:81, :81] - 40) * cell_m
    radius, flat = np.hypot(y, x), np.zeros((81, 81))
    first, expected = halfar(radius, 0), halfar(radius, 3000)
    nothing_falls = dict(melt=0.0, max_diffusivity=1e9)
    found = glaciers.flow(flat, first, cell_m, 1e5, 3000, **nothing_falls)
    assert found.sum() == pytest.approx(first.sum(), rel=1e-12)  # mass
    assert found[40, 40] == pytest.approx(expected[40, 40], rel=0.01)
    assert np.abs(found - expected).mean() < 0.03 * expected.mean()
    assert np.abs(first - expected).mean() > 0.1 * expected.mean()  # it did spread
    np.testing.assert_allclose(found, found[::-1], atol=1e-9)
    np.testing.assert_allclose(found, found.T, atol=1e-9)


@given(seed=st.integers(0, 20), years=st.integers(1, 40))
@settings(max_examples=10)
def test_flow_loses_nothing_and_runs_down(seed, years):
    bed = bed_of(seed % 3, (80, 90))[0]
    ice = np.random.default_rng(seed).uniform(0, 90, bed.shape)
    later = glaciers.flow(bed, ice, CELL, 1e5, years, melt=0.0)
    assert later.min() >= 0
    assert later.sum() == pytest.approx(ice.sum(), rel=1e-9)
    assert (later * (bed + later / 2)).sum() < (ice * (bed + ice / 2)).sum()  # potential energy


def test_mountains_know_no_left_and_right():
    bed = bed_of(1)[0]

    def grown(bed, poleward):
        line = np.quantile(bed, 0.7) - glaciers.shade(bed, CELL, poleward)
        return glaciers.steady_ice(bed, CELL, line, years=100)

    ice = grown(bed, 1)
    assert ice.max() > 10
    np.testing.assert_allclose(grown(bed[:, ::-1], 1)[:, ::-1], ice, atol=1e-6)
    np.testing.assert_allclose(grown(bed[::-1], -1)[::-1], ice, atol=1e-6)


def test_balance_by_hand():
    bed = np.full((6, 6), 1000.0)
    below = glaciers.flow(bed, np.full((6, 6), 50.0), 100.0, 1250.0, 1)
    np.testing.assert_allclose(below, 50 - 2, rtol=0.01)  # 200 m below the line, 0.010 a year and metre
    above = glaciers.flow(bed, np.full((6, 6), 50.0), 100.0, 850.0, 1)
    gained = (above - 50)[2:-2, 2:-2]
    kept = glaciers.snow_retention(bed, 100.0)[3, 3]
    np.testing.assert_allclose(gained, kept * (0.8 + 1) - 1, atol=0.02)  # 200 m above it, 0.004


def test_ice_on_a_ramp_keeps_its_mass():
    bed = np.repeat(np.linspace(2000.0, 0.0, 200)[:, None], 4, axis=1)
    assert glaciers.steady_ice(bed, 40.0, 5000.0, years=50).max() == 0
    ice = glaciers.steady_ice(bed, 40.0, 1200.0, years=1500, fine_years=200)
    surface = bed + ice
    covered = ice > 0.5
    assert covered.any()
    assert surface[covered].min() < 1200  # it flows below the equilibrium line and ends
    assert ice[-1].max() == 0
    above = surface - 1200
    kept = glaciers.snow_retention(bed, 40.0) * (np.minimum(0.004 * above, 1.5) + 1) - 1
    balance = np.where(above > 0, kept, 0.010 * above)[covered]
    assert abs(balance.sum()) < 0.1 * np.abs(balance).sum()  # what falls above the line melts below it


@pytest.mark.parametrize("poleward", [1, -1])
def test_shady_slopes_have_a_lower_line(poleward):
    middle = {side: glaciers.shade(ramp(side), 30.0, poleward)[20, 25] for side in ("north", "south", "east")}
    assert poleward * middle["north"] == pytest.approx(80 * np.sin(np.arctan(0.3)), rel=0.05)
    assert middle["south"] == pytest.approx(-middle["north"])
    assert middle["east"] == pytest.approx(0, abs=1e-9)


def test_snow_stays_on_gentle_ground():
    gentle, wall = (glaciers.snow_retention(ramp("east", slope), 30.0)[20, 25] for slope in (0.2, 1.0))
    assert gentle > 0.4
    assert wall == 0
    hill = np.zeros((41, 41))
    hill[18:23, 18:23] = 60.0
    kept = glaciers.snow_retention(hill, 100.0)
    assert kept[20, 20] < kept[10, 20]  # the wind blows it from crests


def test_each_valley_ends_once():
    y, x = np.mgrid[:60, :60].astype(float)
    trough = 0.05 * 30 * y + 4 * np.minimum(abs(x - 15), abs(x - 45))  # two valleys that fall to the north
    found = glaciers.ends(trough, np.ones(trough.shape, bool))
    assert found.max() == 2
    assert set(np.unique(found[:, :30])) == {0, found[0, 15]}
    assert found[0, 15] != found[0, 45] != 0
    assert glaciers.ends(trough, np.zeros(trough.shape, bool)).max() == 0
    bumpy = trough + 20 * (np.hypot(y - 30, x - 15) < 4)  # no pass as high as a saddle
    assert glaciers.ends(bumpy, np.ones(trough.shape, bool)).max() == 2


@pytest.mark.parametrize("seed", range(3))
def test_ice_came_from_its_great_advance(seed):
    made = world_of(seed)._model
    great = made.advance > ground.MIN_ICE
    for year in (1990, 2020):
        now = made.ice[year] > ground.MIN_ICE
        assert now.sum() < great.sum()
        assert (now & ~great).sum() < 0.02 * now.sum()
        assert made.ice[year].max() < 800
    thickest = made.ice[1990].max()
    assert thickest > 60


# ---- lakes, moraines, rivers ----


def test_a_bowl_fills_to_its_rim():
    y, x = np.mgrid[:21, :21] - 10.0
    land = 100 + np.hypot(y, x)  # a funnel of walls
    land[land > 108] = 108.0
    land[10, 16:] = 106.0  # its outlet
    depth, level = model.lakes(land)
    held = depth > 0
    assert np.unique(level[held]).tolist() == [106]
    np.testing.assert_allclose(depth[held], 106 - land[held])
    assert held[1:-1, 1:-1][land[1:-1, 1:-1] < 106].all()
    assert not held[0].any()
    assert model.lakes(np.maximum(land, 104))[0].max() == 0  # 2 m are no lake


def test_moraines_wall_the_lower_ends():
    bed, ice = ramp("north", 0.3, (60, 40), CELL), np.zeros((60, 40))
    ice[15:50, 15:25] = 60
    wall = model.with_moraines(bed, ice) - bed
    assert wall.min() >= 0
    assert wall[14, 20] > 20  # before the snout, in the north
    assert wall[50, 20] == pytest.approx(0, abs=0.01)  # none at the head
    assert wall[30:, 28:].max() < 1
    assert wall[20:40, 18:22].max() < 1  # nor under the ice


def test_rivers_run_down_where_enough_drains():
    height, drained, below = bed_of(0, (120, 120))
    ways = model.courses(np.random.default_rng(0), drained, below)
    assert len(ways) == ((drained.ravel() >= 8e6) & (below >= 0)).sum()
    assert np.abs(ways[:, 0] - ways[:, 1]).max() <= 4
    at = lambda end: height[tuple(np.clip(ways[:, end].round().astype(int), 0, 119).T)]
    assert np.mean(at(1) <= at(0) + 30) > 0.9


# ---- pixels ----


def test_pieces_make_pixels():
    pieces = np.zeros((4, 6), bool)
    pieces[0, 0] = pieces[2:, 2:4] = True
    assert ground.pixel_mean(pieces).tolist() == [[0.25, 0, 0], [0, 1, 0]]
    pixels = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(ground.pixel_mean(ground.spread(pixels)), pixels)


def test_small_pieces_and_threads_go():
    mask = np.zeros((60, 60), bool)
    mask[5:30, 5:30] = True
    mask[10, 30:50] = True  # a thread
    mask[40:46, 40:46] = True  # 36 cells of 15 m: 8100 m²
    kept = ground.without_small(mask, 15.0)
    assert not kept[10, 40]
    assert not kept[40:46, 40:46].any()
    assert kept[7:28, 7:28].all()
    assert ground.without_small(mask, 15.0, min_area_m2=5000)[42, 42]


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_most_of_a_pixel_wins_and_ties_go_either_way(seed):
    quarters = np.random.default_rng(seed).multinomial(4, [0.25] * 4, size=(20, 20)).transpose(2, 0, 1)
    shares = (quarters / 4).astype("float32")
    winner = ground.majority(shares)
    chosen = np.take_along_axis(shares, winner[None], axis=0)[0]
    np.testing.assert_array_equal(chosen, shares.max(axis=0))
    halves = np.full((2, 20, 20), 0.5, "float32")
    assert ground.majority(halves).mean() == 0.5


# ---- what lies on it ----


def test_what_ice_carries_came_from_above():
    surface = ramp("north", 0.3, (80, 40)).astype("float32")  # ice flows north, up the rows
    marked = np.zeros((1, 80, 40), "float32")
    marked[0, 60:] = 1.0
    ice = np.ones((80, 40), bool)
    mean = cover.carried(marked, ice, surface, 30.0, length_m=600.0)[0]
    assert mean[50:58, 20].min() > mean[44, 20] > 0
    assert mean[20, 20] == 0  # 600 m and no farther
    assert mean[70, 20] == pytest.approx(1)
    assert (np.diff(mean[40:60, 20]) >= -1e-6).all()
    even = cover.carried(np.full_like(marked, 0.7), ice, surface, 30.0)[0]
    np.testing.assert_allclose(even, 0.7, rtol=1e-5)
    assert cover.carried(marked, ~ice, surface, 30.0).max() == 0


def test_climb_by_hand():
    fields = np.arange(10.0, dtype=np.float32)[None, :, None]
    rise, still = np.ones((10, 1)), np.zeros((10, 1))
    out = np.zeros((1, 2), np.float32)
    _kernels.climb(np.array([2, 8]), np.array([0, 0]), fields, rise, still, 4, out)
    assert out.tolist() == [[(2 + 3 + 4 + 5) / 4, (8 + 9 + 9 + 9) / 4]]  # the border is the end


def test_debris_melts_out_below_the_line():
    surface = np.repeat(np.linspace(5000, 6000, 50)[:, None], 20, axis=1)
    bare = lambda name, shape, *args, **options: np.zeros(shape)
    grid = ground.Grid(50, 20, 30.0)
    load = ground.debris_load(bare, grid, np.ones((50, 20)), surface, 5600.0)
    assert (load[surface > 5600] == 0).all()
    assert (np.diff(load[:, 10]) <= 0).all()
    assert load[0, 10] > 0
    np.testing.assert_allclose(
        ground.debris_load(bare, grid, np.full((50, 20), 2.0), surface, 5600.0), 2 * load
    )


@pytest.mark.parametrize(("latitude", "highest", "lowest"), [(28, 258, 76), (-40, 76, 258)])
def test_the_snow_line_stands_highest_in_late_summer(latitude, highest, lowest):
    days = np.arange(1, 366)
    line = np.array([cover.snowline(5400.0, day, latitude) for day in days])
    assert abs(days[line.argmax()] - highest) <= 2
    assert abs(days[line.argmin()] - lowest) <= 2
    assert line.max() == pytest.approx(5400, abs=1)
    assert np.ptp(line) == pytest.approx(1500, rel=0.01)


@pytest.mark.parametrize("view", [{}, {"date": "01-15"}, {"snowline_m": 9000}, {"frozen": True}])
def test_covers_share_every_pixel(view):
    shares = cover_of(world_of(1), **view)
    assert all(share.dtype == "float32" for share in shares.values())
    assert min(share.min() for share in shares.values()) >= -1e-6
    np.testing.assert_allclose(sum(shares.values()), 1, atol=1e-5)
    truth = world_of(1).truth(**view)
    ice = sum(shares[name] for name in ("ice", "dirty_ice"))
    assert (ice <= truth.glacier_fraction.values + 1e-5).all()
    snow = sum(shares[name] for name in ("snow", "fresh_snow", "coarse_snow"))
    np.testing.assert_allclose(truth.snow, snow, atol=1e-6)
    if "snowline_m" in view:
        assert snow.max() == 0
    frozen = shares["lake_ice"].any()
    assert frozen == ("frozen" in view or view.get("date") == "01-15")
    assert frozen != (shares["water"].any() or shares["turbid_water"].any())


def test_every_endmember_but_cloud_covers_ground_on_some_day():
    days = cover_of(world_of(1)), cover_of(world_of(1), date="01-15")
    seen = {name for shares in days for name, share in shares.items() if share.max() > 0.05}
    assert seen == set(ENDMEMBERS) - {"cloud"}


def test_scree_rests_below_steep_rock():
    shares, height = cover_of(world_of(1)), world_of(1).truth().elevation.values
    angle = np.degrees(np.arctan(np.hypot(*np.gradient(height, 30.0))))
    on_scree = np.average(angle, weights=shares["scree"])
    assert 30 < on_scree < 40  # [degrees], where loose stones rest
    assert shares["scree"][angle > 55].max(initial=0) < 0.05


def test_plants_by_altitude():
    shares, truth = cover_of(world_of(1)), world_of(1).truth()
    height = truth.elevation.values
    mean = {
        name: np.average(height, weights=shares[name]) for name in ("forest", "vegetation", "rock", "snow")
    }
    assert mean["forest"] < mean["vegetation"] < mean["rock"] < mean["snow"]
    assert (shares["vegetation"] + shares["forest"])[truth.glacier_fraction.values == 1].max() < 1e-6


def test_avalanche_snow_lies_at_the_foot_of_walls():
    profile = np.concatenate([np.linspace(6400, 5400, 25), np.linspace(5390, 5190, 25)])  # 1.3, then 0.27
    surface = np.repeat(profile[:, None], 40, axis=1).astype("float32")
    steep = glaciers.steepness(surface, np.float32(30.0))
    share = cover.cones(surface, steep, 30.0, 5400.0)
    assert share[28:32, 20].max() > 0.3
    assert share[:24].max() == 0  # not on the wall
    assert share[45:].max() == 0  # and it ends
    low = cover.cones(surface, steep, 30.0, 6900.0)
    assert low.max() == 0  # no snow falls from warm walls
