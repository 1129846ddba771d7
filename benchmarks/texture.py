"""How fast is GLCM texture? Eight features, 32 levels, 7 x 7, four directions averaged.

Against GRASS r.texture (eight measures, file to file), Orfeo Toolbox (its eight simple ones, one run for each
of four offsets) and a scikit-image loop over pixels (a sample, scaled up to the image), each where it is
installed. Aims on two cores: 25, 100 and 3000 times; a window of 15 less than 2.5 times one of 7. On a GPU,
where there is one: a Sentinel-2 band, against copying what must be read and written. Medians of rounds.
"""

import argparse
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from timeit import timeit

import dask
import numpy as np
import xarray as xr

from glacierlab.features.quantize import Quantizer
from glacierlab.features.texture import DEFAULT, glcm

LEVELS = Quantizer.between(0, 32, 32)
SAMPLE = 200  # pixels of the scikit-image loop
GRASS = ["asm", "contrast", "corr", "var", "idm", "entr", "sa", "sv"]
OFFSETS = [(1, 0), (1, 1), (0, 1), (1, -1)]


def made_image(side):
    """Smooth noise in 32 whole gray levels (y, x) float32."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).normal(size=(side, side)), 1)
    noise = (noise - noise.min()) / np.ptp(noise)
    coords = {"y": 3.1e6 - 10.0 * np.arange(side), "x": 5e5 + 10.0 * np.arange(side)}
    image = xr.DataArray(np.floor(noise * 31.99).astype("float32"), coords, ("y", "x"))
    return image.rio.write_crs("EPSG:32645")


def by_scikit_image(image, pixels):
    """The eight features of some pixels (pixel, feature)."""
    from skimage.feature import graycomatrix, graycoprops

    levels = image.values.astype("uint8")
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    found = []
    for y, x in pixels:
        part = levels[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        matrix = graycomatrix(part, [1], angles, 32, symmetric=True, normed=True)
        found.append([graycoprops(matrix, "ASM" if n == "asm" else n).mean() for n in DEFAULT])
    return np.array(found)


def by_otb(path):
    """Four files of features, one an offset."""
    for k, (dx, dy) in enumerate(OFFSETS):
        output = path.with_name(f"otb{k}.tif")
        parameters = dict(xrad=3, yrad=3, xoff=dx, yoff=dy, min=0, max=32, nbbin=32)
        options = [text for name, n in parameters.items() for text in (f"-parameters.{name}", str(n))]
        command = ["otbcli_HaralickTextureExtraction", "-in", path, "-texture", "simple", "-out", output]
        subprocess.run([*command, *options], check=True, capture_output=True)


def grass_session(folder, path):
    """A function that runs a command in a GRASS project that holds the image as `grey`."""
    start = ["grass", "-c", "EPSG:32645", folder / "project", "-e"]
    subprocess.run(start, check=True, capture_output=True)

    def run(*command):
        grass = ["grass", folder / "project" / "PERMANENT", "--exec", *command]
        subprocess.run(grass, check=True, capture_output=True)

    run("r.in.gdal", f"input={path}", "output=grey", "-o")
    run("g.region", "raster=grey")
    return run


def peers(image, folder):
    """What else is installed: a function to time, and by how much to multiply, by name."""
    path = folder / "grey.tif"
    image.astype("uint8").rio.to_raster(path)
    cases = {}
    if shutil.which("grass"):
        run = grass_session(folder, path)
        texture = (
            "r.texture",
            "input=grey",
            "output=t",
            "size=7",
            f"method={','.join(GRASS)}",
            "--overwrite",
        )
        cases["GRASS r.texture"] = (lambda: run(*texture), 1.0)
        cases["GRASS, starting and ending"] = (lambda: run("g.region", "-p"), 1.0)
    if shutil.which("otbcli_HaralickTextureExtraction"):
        cases["Orfeo Toolbox, four runs"] = (lambda: by_otb(path), 1.0)
    if find_spec("skimage"):
        pixels = np.random.default_rng(1).integers(0, min(image.shape), (SAMPLE, 2))
        expected = glcm(image, quantizer=LEVELS).values[:, pixels[:, 0], pixels[:, 1]].T
        np.testing.assert_allclose(by_scikit_image(image, pixels), expected, rtol=1e-5, atol=1e-6)
        share = image.size / SAMPLE
        cases[f"scikit-image, {SAMPLE} pixels scaled up"] = (lambda: by_scikit_image(image, pixels), share)
    return cases


def on_gpu():
    """Speed on a GPU, and against copying one level in and eight features out there."""
    import torch

    band = made_image(2196)
    band = xr.DataArray(np.tile(band.values, (5, 5)), dims=("y", "x"))  # a Sentinel-2 band at 10 m
    glcm(band[:1000], quantizer=LEVELS, device="cuda")
    seconds = min(timeit(lambda: glcm(band, quantizer=LEVELS, device="cuda"), number=1) for _ in range(3))
    moved = torch.empty(band.size * (2 + 4 * len(DEFAULT)) // 2, dtype=torch.uint8, device="cuda")

    def copy():
        moved.clone()
        torch.cuda.synchronize()

    copy()
    bound = min(timeit(copy, number=1) for _ in range(5))
    print(f"\n{torch.cuda.get_device_name()}, {band.shape[0]} x {band.shape[1]} pixels, from and to memory:")
    print(
        f"{seconds:.2f} s, {band.size / seconds / 1e6:.0f} Mpx/s, {seconds / bound:.0f} x its memory's bound"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    image = made_image(options.side)
    ours = "glacierlab, 7 x 7"
    cases = {
        ours: (lambda: glcm(image, quantizer=LEVELS), 1.0),
        "glacierlab, 15 x 15": (lambda: glcm(image, quantizer=LEVELS, window=15), 1.0),
        "glacierlab, twice the pixels": (lambda: glcm(twice, quantizer=LEVELS), 1.0),
    }
    twice = xr.DataArray(np.tile(image.values, (2, 1)), dims=("y", "x"))
    with tempfile.TemporaryDirectory() as folder, dask.config.set(num_workers=options.threads):
        for run, _ in cases.values():
            run()  # compiles
        theirs = peers(image, Path(folder))
        rounds = []
        for _ in range(options.rounds):
            row = {name: min(timeit(run, number=1) for _ in range(5)) for name, (run, _) in cases.items()}
            rounds.append(
                row | {name: timeit(run, number=1) * share for name, (run, share) in theirs.items()}
            )
    medians = {name: float(np.median([row[name] for row in rounds])) for name in rounds[0]}
    print(
        f"{options.side} x {options.side} pixels, {options.threads} threads; seconds, ratio to ours at 7 x 7"
    )
    for name, value in medians.items():
        print(f"{name:36} {value:9.3f} s  {value / medians[ours]:8.1f} x")
    if find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            on_gpu()


if __name__ == "__main__":
    main()
