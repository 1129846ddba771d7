"""What a quality report is made of: flaws that tests find, and their rows in a table."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..tables import read_table

COLUMNS = ["row", "id", "finding", "severity", "value", "units", "evidence", "advice"]


@dataclass(frozen=True)
class Finding:
    """A row of `findings.toml`."""

    severity: str  # "error" or "warning"
    advice: str
    units: str = ""


class Flaw(NamedTuple):
    """Something that a test found."""

    position: int | None  # of the row; None: the whole table
    name: str  # a key of FINDINGS
    value: float | None = None
    evidence: str = ""
    other: int | None = None  # position of a second row, with which the evidence ends


FINDINGS = read_table("findings.toml", Finding)
RANK = {name: place for place, name in enumerate(FINDINGS)}


def in_order(flaws):
    """Flaws in the order of FINDINGS, then of rows."""
    return sorted(flaws, key=lambda flaw: (RANK[flaw.name], -1 if flaw.position is None else flaw.position))


def as_table(flaws, table, ids):
    """Flaws as a tidy table."""
    names = [""] * len(table) if ids is None else [text_of(value) for value in table[ids]]
    label_of = lambda position: None if position is None else table.index[position]
    name_of = lambda position: "" if position is None else names[position]
    rows = []
    for flaw in flaws:
        row, evidence = FINDINGS[flaw.name], flaw.evidence
        if flaw.other is not None:
            evidence += f" row {label_of(flaw.other)}, {name_of(flaw.other)}".removesuffix(", ")
        value = np.nan if flaw.value is None else float(flaw.value)
        who = label_of(flaw.position), name_of(flaw.position)
        rows.append((*who, flaw.name, row.severity, value, row.units, evidence, row.advice))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"row": object, "value": float})


def text_of(value):
    """A cell as text; '' where it is missing."""
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def numbers(table, column):
    """A column as float64, NaN for what is no finite number, and flaws of those that are not missing."""
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(float, na_value=np.nan)
    bad = ~np.isfinite(values) & table[column].notna().to_numpy()
    cells = table[column].tolist()
    flaws = [Flaw(int(at), "no_number", None, f"{column} {cells[at]!r:.40}") for at in np.flatnonzero(bad)]
    return np.where(np.isfinite(values), values, np.nan), flaws
