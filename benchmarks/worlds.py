"""What does a made world cost? Six bands of Landsat 5 and all truth, with the peak of memory.

Each size runs in a process of its own, compiled code ready, once a round; best of the rounds. Twice the side
should cost no more than four times the seconds. The mountains alone are made 4096 pixels wide.
"""

import argparse
import json
import subprocess
import sys
from time import perf_counter

import numpy as np

AIM_S, AIM_GB, AIM_MOUNTAINS_S = 30, 3, 60


def peak_gb():
    """The most memory that this process has held."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e6


def measure(side):
    """Make one world in this process and print what it cost as JSON."""
    import glacierlab as gl

    gl.synthetic_world(0, (2020,), (64, 64)).scene()  # compile and import
    begin = perf_counter()
    world = gl.synthetic_world(1, (2020,), (side, side))
    scene = world.scene(sensor="landsat-5")
    seen = perf_counter()
    truth = world.truth()
    known = perf_counter()
    area = world.outlines().area.sum()
    traced = perf_counter()
    np.testing.assert_allclose(area, float(truth["glacier_fraction"].sum(dtype="float64")) * 900, rtol=1e-6)
    assert scene.sizes["y"] == side
    cost = {"scene": seen - begin, "truth": known - seen, "outlines": traced - known, "GB": peak_gb()}
    print(json.dumps(cost))


def mountains(side):
    """Seconds for the terrain alone, refined to the pixels."""
    from glacierlab.synthetic.ground import Grid
    from glacierlab.synthetic.model import CELL, MARGIN, Model
    from glacierlab.synthetic.terrain import mountains

    begin = perf_counter()
    cells = int(np.ceil(side * 30 / CELL)) + 2 * MARGIN
    bed = mountains(np.random.default_rng(1), (cells, cells), CELL)[0]
    heights = Grid(side, side, 30.0).coarse(Model(bed, 0.0, {}, bed, bed, bed, bed), bed)
    assert heights.shape == (side, side)
    assert np.isfinite(heights).all()
    return perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure)
    found = {side: [] for side in options.sides}
    for _ in range(options.rounds):
        for side in options.sides:
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(side)], check=True, stdout=subprocess.PIPE
            )
            found[side].append(json.loads(done.stdout))
    total = {}
    for side, costs in found.items():
        best = min(costs, key=lambda cost: cost["scene"] + cost["truth"])
        total[side] = best["scene"] + best["truth"]
        seconds = ", ".join(f"{name} {best[name]:.1f} s" for name in ("scene", "truth", "outlines"))
        print(f"{side} x {side}: {seconds}; peak {best['GB']:.2f} GB (2048: aims {AIM_S} s, {AIM_GB} GB)")
    first, *_, last = options.sides
    times = last / first
    print(f"{times:g} times the side costs {total[last] / total[first]:.1f} x (aim {times**2:g})")
    seconds = min(mountains(4096) for _ in range(options.rounds))
    print(f"mountains of 4096 x 4096: {seconds:.1f} s (aim {AIM_MOUNTAINS_S})")


if __name__ == "__main__":
    main()
