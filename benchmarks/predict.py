"""What does mapping a scene cost beside the model's bare forward passes, and beside MONAI's sliding windows?

U-Net-ResNet34 on 13 bands of noise, tiles of 256 that overlap by 64, all from memory to memory. The bare
passes are those of as many tiles in the same batches; MONAI (pip install monai; left out where it is missing)
runs at the same overlap, with constant and Gaussian weights, in float32. Rounds take turns; the best of each
counts. `--memory` measures the process's peak beside the model instead, from a Zarr scene to a Zarr map with
a small model; `--views` all eight views against one; `--cluster` two processes of one thread against one;
`--gpu` a GPU, from memory to memory, against the bare passes of the best batch.

    python benchmarks/predict.py --side 4096 --rounds 1
    python benchmarks/predict.py --memory 4096 8192
    python benchmarks/predict.py --views --side 1024
    OMP_NUM_THREADS=1 python benchmarks/predict.py --cluster --side 2048
    python benchmarks/predict.py --gpu --side 10980
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import dask.array as da
import numpy as np
import torch
import xarray as xr

import glacierlab as gl
from glacierlab.inference.models import models_of
from glacierlab.inference.passes import precision_of, probabilities
from glacierlab.inference.prediction import manner_of
from glacierlab.inference.readying import made_ready
from glacierlab.inference.tiles import axes_of
from glacierlab.models import Card, build_model

FEATURES, TILE, OVERLAP, BATCH, AIM, HALF_AIM = [f"band{n}" for n in range(13)], 256, 64, 4, 1.10, 2.0
NAMES = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")


def made_model(encoder="resnet34"):
    torch.manual_seed(0)
    model = build_model("smp", len(FEATURES), len(NAMES), architecture="unet", encoder_name=encoder).eval()
    model.card = Card(features=tuple(FEATURES), classes=NAMES)
    return model


def coords_of(side):
    return {"feature": FEATURES, "y": 5e6 - 10.0 * np.arange(side), "x": 5e5 + 10.0 * np.arange(side)}


def in_memory(side):
    values = np.random.default_rng(0).normal(size=(len(FEATURES), side, side)).astype(np.float32)
    return xr.DataArray(values, coords_of(side), ("feature", "y", "x")).rio.write_crs(32632)


def by_predict(stack, model, precision, batch=BATCH, **asked):
    asked |= dict(tile=TILE, overlap=OVERLAP, batch_size=batch, precision=precision)
    return gl.predict(stack, model, progress=False, **asked).class_map.values


def by_forward(stack, model, precision, batch=BATCH, device="cpu"):
    """As many tiles as `predict` runs, of the scene's first values."""
    manner = manner_of(models_of(model), "none", (), 0, 0, batch, device, precision)
    ready = made_ready(model, device, precision)
    tiles = np.prod([len(axis.starts) for axis in axes_of(stack.shape[1:], TILE, OVERLAP, "hann")])
    image = torch.from_numpy(stack.values[None, :, :TILE, :TILE]).to(device)
    image = image.expand(batch, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        for first in range(0, tiles, batch):
            found = probabilities(ready, image[: min(batch, tiles - first)], manner)
    found.cpu()  # all of it is done


def by_monai(stack, model, mode):
    from monai.inferers import sliding_window_inference

    image = torch.from_numpy(stack.values[None])
    with torch.inference_mode():
        logits = sliding_window_inference(
            image, (TILE, TILE), BATCH, model, overlap=OVERLAP / TILE, mode=mode
        )
    return logits[0].argmax(0).numpy()


def compare(side, rounds):
    stack, model = in_memory(side), made_model()
    auto = precision_of("auto", "cpu")
    ways = {
        "bare forward passes, float32": lambda: by_forward(stack, model, "float32"),
        "predict, float32": lambda: by_predict(stack, model, "float32"),
    }
    if auto != "float32":
        ways[f"bare forward passes, {auto}"] = lambda: by_forward(stack, model, auto)
        ways[f"predict, auto ({auto})"] = lambda: by_predict(stack, model, auto)
    try:
        import monai  # noqa: F401

        for mode in ("constant", "gaussian"):
            ways[f"MONAI {mode}, float32"] = lambda mode=mode: by_monai(stack, model, mode)
    except ImportError:
        print("MONAI is not installed: left out.")
    seconds, maps = {}, {}
    for _ in range(rounds):
        for name, run in ways.items():
            start = perf_counter()
            maps[name] = run()
            seconds[name] = min(perf_counter() - start, seconds.get(name, np.inf))
    print(f"scene of {side} x {side}, {len(FEATURES)} bands, {torch.get_num_threads()} threads of torch")
    for name, took in seconds.items():
        print(f"  {name:34} {took:8.2f} s")
    for precision in dict.fromkeys(("float32", auto)):
        name = "predict, float32" if precision == "float32" else f"predict, auto ({precision})"
        ratio = seconds[name] / seconds[f"bare forward passes, {precision}"]
        print(f"{name} / bare forward passes: {ratio:.3f} (aim: at most {AIM})")
    if auto != "float32":
        same = (maps["predict, float32"] == maps[f"predict, auto ({auto})"]).mean()
        print(f"class maps of both precisions agree on {same:.4%} of pixels (aim: 99.5 %, of noise)")
    for mode in ("constant", "gaussian"):
        if (other := f"MONAI {mode}, float32") in seconds:
            ratio = seconds[other] / seconds["predict, float32"]
            print(f"{other} / predict, float32: {ratio:.3f} (aim: at least 1)")
            if auto != "float32":
                ratio = seconds[other] / seconds[f"predict, auto ({auto})"]
                print(f"{other} / predict, auto: {ratio:.3f} (aim: at least {HALF_AIM})")


def best_of(rounds, run, *args, **asked):
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(rounds):
        start = perf_counter()
        run(*args, **asked)
        seconds.append(perf_counter() - start)
    return min(seconds)


def views(side, rounds):
    stack, model = in_memory(side), made_model()
    one, eight = (best_of(rounds, by_predict, stack, model, "auto", tta=tta) for tta in ("none", "dihedral"))
    print(f"one view {one:.1f} s, eight {eight:.1f} s: {eight / one:.2f} times (aim: at most 8.3)")


def cluster(side):
    from distributed import Client, LocalCluster

    stack, model, maps, seconds = in_memory(side).chunk(y=1024, x=1024), made_model(), [], []
    asked = dict(tile=TILE, overlap=OVERLAP, batch_size=BATCH, precision="float32")
    for workers in (1, 2):
        options = dict(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)
        with LocalCluster(**options) as local, Client(local):
            held = stack.persist()
            gl.predict(held[:, :1500, :1500], model, **asked).class_map.compute()  # in all workers
            start = perf_counter()
            maps.append(gl.predict(held, model, **asked).class_map.compute().values)
            seconds.append(perf_counter() - start)
    print(
        f"one worker {seconds[0]:.1f} s, two {seconds[1]:.1f} s: {seconds[0] / seconds[1]:.2f} times faster"
    )
    print(f"(aim: at least 1.7); the same map: {np.array_equal(*maps)}")


def gpu(side, rounds):
    stack, model = in_memory(side), made_model()
    whole = best_of(rounds + 1, by_predict, stack, model, "bfloat16", "auto", device="cuda")
    bare = {
        batch: best_of(rounds + 1, by_forward, stack, model, "bfloat16", batch, "cuda")
        for batch in (8, 16, 32, 64, 128)
    }
    best = min(bare, key=bare.get)
    print(f"{torch.cuda.get_device_name()}: predict {whole:.2f} s, {side**2 / whole / 1e6:.1f} Mpx/s")
    print(f"bare passes {bare[best]:.2f} s in batches of {best}: {bare[best] / whole:.2f} (aim: 0.75)")


def peak_mb():
    """The most memory that this process has held [MB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1000


def memory_of(side, folder):
    """Peak of a process that maps a Zarr scene into a Zarr map, less what it holds with the model ready."""
    noise = da.random.default_rng(0).normal(size=(len(FEATURES), side, side), chunks=(1, 1024, 1024))
    scene = xr.DataArray(noise.astype(np.float32), coords_of(side), ("feature", "y", "x"), name="stack")
    scene.to_dataset().rio.write_crs(32632).to_zarr(
        Path(folder) / "scene.zarr", zarr_format=2, consolidated=False
    )
    command = [sys.executable, __file__, "--map", folder]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def map_once(folder):
    """What `memory_of` measures, in a process of its own."""
    model = made_model("resnet18")
    stack = xr.open_zarr(Path(folder) / "scene.zarr", consolidated=False).set_coords("spatial_ref")["stack"]
    gl.predict(in_memory(TILE), model, tile=TILE, overlap=OVERLAP, progress=False)
    before = peak_mb()
    asked = dict(tile=TILE, overlap=OVERLAP, batch_size=BATCH, progress=False)
    start = perf_counter()
    gl.predict(stack, model, out=Path(folder) / "map.zarr", **asked)
    print(f"{perf_counter() - start:.0f} s", peak_mb() - before)


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--side", type=int, default=1024)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--memory", type=int, nargs="+", help="sides of scenes")
    for name in ("--views", "--cluster", "--gpu"):
        asked.add_argument(name, action="store_true")
    asked.add_argument("--map", help=argparse.SUPPRESS)
    asked = asked.parse_args()
    if asked.map:
        return map_once(asked.map)
    if asked.views:
        return views(asked.side, asked.rounds)
    if asked.cluster:
        return cluster(asked.side)
    if asked.gpu:
        return gpu(asked.side, asked.rounds)
    if not asked.memory:
        return compare(asked.side, asked.rounds)
    peaks = []
    for side in asked.memory:
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(memory_of(side, folder))
        print(f"{side} x {side}: {peaks[-1]:.0f} MB beside the model (aim: below 1500)")
    if len(peaks) > 1:
        print(f"last / first: {peaks[-1] / peaks[0]:.2f} (aim: at most 1.2)")


if __name__ == "__main__":
    main()
