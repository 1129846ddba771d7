"""Writes the tables of docs/models.md.

    python docs/images/models.py [COMPARISON]

The table of networks comes from the code. COMPARISON is the folder that `glacierlab compare
examples/compare_worlds.toml` wrote; without it that part of the page stays.
"""

import inspect
import sys
from pathlib import Path

import torch
from pages import replaced

import glacierlab as gl
from glacierlab.models import MODELS, build_model

PAGE = Path(__file__).parents[1] / "models.md"
BASELINES = ("band_ratio", "random_forest", "single_band")
CLASSES = ("clean_ice", "debris_covered_ice", "glacial_lake")


def source_of(name):
    """What a network is and where it comes from: how its function, or else its file, begins."""
    make = getattr(MODELS[name], "func", MODELS[name])
    said = inspect.getdoc(make if inspect.isfunction(make) else inspect.getmodule(make))
    return said.partition("\n\n")[0].replace("\n", " ")


def zoo():
    rows = ["| name | parameters | what it is |", "| --- | --- | --- |"]
    for name in MODELS:
        if name == "smp":
            count = "depends"
        elif name in BASELINES:
            count = "none"
        else:
            with torch.device("meta"):
                count = f"{sum(each.numel() for each in build_model(name, 7, 2).parameters()):,}"
        rows.append(f"| `{name}` | {count} | {source_of(name)} |")
    return "\n".join(rows)


def scores(found):
    """IoU with its interval, a row a model, for each test."""
    texts = []
    wide = found.wide("iou")
    for test in wide.index.get_level_values("test").unique():
        rows = wide.loc[test].loc[list(CLASSES)].T
        head = f"\n**{test}**\n\n| model | " + " | ".join(name.replace("_", " ") for name in CLASSES)
        texts += [head + " |", "| --- " * (len(CLASSES) + 1) + "|"]
        texts += [f"| `{model}` | " + " | ".join(row) + " |" for model, row in rows.iterrows()]
    return "\n".join(texts).strip()


def costs(found):
    rows = [
        "| model | features | parameters | epochs | training [min] | seconds per megapixel |",
        "| --- " * 6 + "|",
    ]
    for row in found.models.itertuples():
        counts = f"{row.features} | {row.parameters:,} | {row.epochs:g}"
        rows.append(f"| `{row.model}` | {counts} | {row.training_s / 60:.1f} | {row.s_per_megapixel:.2g} |")
    return "\n".join(rows)


def main():
    tables = {"zoo": zoo()}
    if len(sys.argv) > 1:
        found = gl.judge.Comparison.from_json(Path(sys.argv[1]) / "comparison.json")
        lines = "\n".join(f"- {line}" for line in found.verdict("iou").split("\n") if line)
        tables |= {"scores": scores(found), "costs": costs(found), "verdict": lines}
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
