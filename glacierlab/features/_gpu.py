"""Statistics of pixel pairs by torch, for a GPU: sums by running totals, histograms by comparing pairs.

No window's histogram is ever made. A pair counts in the same cell as those of its window that equal it;
whether pairs a given step apart are equal is one image for all windows; and of running totals of these
images over the steps, four tell each pair its cell's count.
"""

import numpy as np

from ..errors import GlacierlabError
from ._kernels.texture import ONE, SUMS
from .haralick import FEATURES, needs

try:
    import torch
except ImportError as error:
    raise GlacierlabError(
        "Only device='cpu' works without torch: pip install 'glacierlab[models]'."
    ) from error

MEMORY = 2**31  # bytes that a block may take, about
ENTROPY_STEP = 2.0**-30  # what is smaller is rounding

where = torch.where


def require_device(device):
    """The device, if torch knows it; GlacierlabError if not."""
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise GlacierlabError(f"device={device!r} is not here ({reason}): take 'cpu' or 'cuda'.") from error
    return device


def tile_shape(cols, count):
    """Rows and columns at a time: all columns, and as many rows as fit."""
    pixel = 5 * count.window**2 * tally_type(4 * count.window**2).itemsize + 400
    return max(1, MEMORY // (pixel * cols)), cols


def load(levels, device):
    """A block of levels on the device."""
    return torch.from_numpy(np.ascontiguousarray(levels)).to(device)


def unload(values):
    """Values as NumPy has them, float32."""
    return values.to(torch.float32).cpu().numpy()


def formula(name):
    """A feature's formula, and the names of what it takes."""
    return FEATURES[name], needs(FEATURES[name])


def statistics(levels, offsets, count):
    """Statistics of `haralick` by name, each (rows, cols) float64, of the pairs of all offsets together.

    `levels` (y, x) int16 has a margin; `offsets` (offset, 2); `count` is a `Counting`.
    """
    parts = [pairs_of(levels, offset, count) for offset in offsets.tolist()]
    found = {}
    for name in SUMS:
        if name == "pairs" or name in count.needs:
            found[name] = sum(box_sums(TERMS[name](i, j) * seen, size) for i, j, seen, size in parts).double()
    for name in found.keys() & {"near", "near2"}:
        found[name] /= ONE
    if count.needs & {"squares", "peak", "entropy"}:
        codes = [(torch.where(seen, cell(i, j, count), -1), size) for i, j, seen, size in parts]
        twice = [(i == j) & seen for i, j, seen, _ in parts] if count.symmetric else None
        found |= histogram(codes, found["pairs"], twice)
    kinds = {"total_entropy": [lambda i, j: i + j], "step_entropy": [lambda i, j: (i - j).abs()],
             "second_entropy": [lambda i, j: j],
             "first_entropy": [lambda i, j: i, lambda i, j: j][: 1 + count.symmetric]}  # fmt: skip
    for name in kinds.keys() & count.needs:
        codes = [
            (torch.where(seen, kind(i, j), -1), size) for i, j, seen, size in parts for kind in kinds[name]
        ]
        found[name] = histogram(codes, found["pairs"] * len(kinds[name]))["entropy"]
    return found


TERMS = {
    "pairs": lambda i, j: torch.ones_like(i),
    "sum_": lambda i, j: i + j,
    "sum2": lambda i, j: (i + j) ** 2,
    "sum3": lambda i, j: (i + j) ** 3,
    "sum4": lambda i, j: (i + j) ** 4,
    "diff": lambda i, j: (i - j).abs(),
    "diff2": lambda i, j: (i - j) ** 2,
    "skew": lambda i, j: i - j,
    "skew2": lambda i, j: i * i - j * j,
    "near2": lambda i, j: torch.round(ONE / (1 + (i - j).double() ** 2)).long(),
    "near": lambda i, j: torch.round(ONE / (1 + (i - j).abs().double())).long(),
}


def pairs_of(levels, offset, count):
    """Levels i, j (int64) and whether both are seen, of all pairs, and how many a window has (high, wide)."""
    first, second, sizes = [], [], []
    for step, size in zip(offset, levels.shape, strict=True):
        start, end = (
            (count.reach, size - count.reach) if count.reach else (max(0, -step), size - max(0, step))
        )
        first.append(slice(start, end))
        second.append(slice(start + step, end + step))
        sizes.append(count.side(step))
    i, j = levels[tuple(first)], levels[tuple(second)]
    return i.long(), j.long(), (i >= 0) & (j >= 0), tuple(sizes)


def cell(i, j, count):
    """Which cell of the matrix a pair belongs to."""
    if count.symmetric:
        return torch.maximum(i, j) * count.levels + torch.minimum(i, j)
    return i * count.levels + j


def box_sums(term, size):
    """Sums of whole numbers (y, x) over boxes of a size (high, wide), from running totals."""
    for dim, side in enumerate(size):
        total = term.cumsum(dim)
        last = total.narrow(dim, side - 1, total.shape[dim] - side + 1)
        term = last.clone()
        term.narrow(dim, 1, term.shape[dim] - 1).sub_(total.narrow(dim, 0, term.shape[dim] - 1))
    return term


def histogram(members, pairs, twice=None):
    """`squares`, `peak` and `entropy` of each window's histogram, by name, (rows, cols) float64.

    `members` are bins of pairs (y, x), -1 where not seen, and sizes (high, wide). Of a symmetric matrix,
    `twice` (y, x), one a member, says which pairs count twice in a cell: the others count once in two.
    """
    ways = 1 if twice is None else 2
    squares, logs = torch.zeros_like(pairs), torch.zeros_like(pairs)
    peak = torch.zeros_like(pairs)
    rows, cols = pairs.shape
    for m, (codes, (high, wide)) in enumerate(members):
        tallies = tallies_of(codes, (high, wide), members, (rows, cols))
        for k, tally in enumerate(tallies):
            y, x = divmod(k, wide)
            same = tally.double()
            if twice is not None:
                same = same * (1 + twice[m][y : y + rows, x : x + cols])
            squares += ways * same
            peak = torch.maximum(peak, same)
            logs += ways * same.clamp_(min=1).log_()
    counts = ways * pairs
    entropy = torch.xlogy(counts, counts) - logs
    return {"squares": squares, "peak": peak, "entropy": torch.round(entropy / ENTROPY_STEP) * ENTROPY_STEP}


def tallies_of(codes, size, members, shape):
    """For each pair of a window (high * wide, rows, cols): how many of the window's pairs share its bin."""
    high, wide = size
    rows, cols = shape
    kind = tally_type(sum(h * w for _, (h, w) in members))
    tallies = torch.zeros((high * wide, rows, cols), dtype=kind, device=codes.device)
    for others, (tall, broad) in members:
        totals = step_totals(codes, size, others, (tall, broad), kind)
        for k in range(high * wide):
            y, x = divmod(k, wide)
            # Steps from a pair in row y lead to rows 0 to tall - 1: positions high - 1 - y and on.
            up, left = high - 1 - y, wide - 1 - x
            part = totals[:, :, y : y + rows, x : x + cols]
            tallies[k] += part[up + tall, left + broad] - part[up, left + broad]
            tallies[k] -= part[up + tall, left] - part[up, left]
    return tallies


def step_totals(codes, size, others, other_size, kind):
    """Running totals (step down, step right, y, x), over steps, of whether a pair equals that a step away."""
    (high, wide), (tall, broad) = size, other_size
    rows, cols = codes.shape
    down, right = high + tall - 1, wide + broad - 1
    bottom, end = max(0, rows + tall - 1 - others.shape[0]), max(0, cols + broad - 1 - others.shape[1])
    others = torch.where(others < 0, -2, others)  # nothing equals what is not seen
    others = torch.nn.functional.pad(others, (wide - 1, end, high - 1, bottom), value=-2)
    totals = torch.zeros((down + 1, right + 1, rows, cols), dtype=kind, device=codes.device)
    for y in range(down):
        run = torch.zeros_like(totals[0, 0])
        for x in range(right):
            run += codes == others[y : y + rows, x : x + cols]
            torch.add(totals[y, x + 1], run, out=totals[y + 1, x + 1])
    return totals


def tally_type(most):
    """The smallest type that holds a count; running totals may overflow, their differences do not."""
    return torch.uint8 if most < 2**8 else torch.int16 if most < 2**15 else torch.int32
